# shellcheck shell=bash disable=SC2154
# Section explore: what the explorer finds under each policy, and in what time.

# finding ID STEPS MACHINE: it is on stdout, with so many steps.
want_sequence() {
	want_out "^finding $1: $2 steps? on $3\$"
}

section_explore() {
	local policy
	for policy in linux-6.17 linux-7.2; do
		begin "explore: $policy: a shortest sequence for each finding, in 10 s"
		try_cpu 10 "$cbit" explore --policy "$policy"
		want_rc 3
		want_sequence mmio-encrypted 2 host-vfio
		want_sequence wrong-key 2 host-kernel
		want_sequence interrupt-lost 1 guest-viommu
		want_sequence table-in-private-memory 2 guest-viommu
		want_sequence private-page 2 guest-viommu-patched
		want_sequence shared-entry-encrypted 2 guest-viommu-patched
		want_out '^6 findings$'
		want_no_err .
		end
	done
	begin "explore: linux-7.2: the steps, with what came of them"
	try 60 "$cbit" explore --policy linux-7.2 --depth 2
	want_rc 3
	want_out '^    1\. map disk\.bar for nic0 by type1: ok, IOVA 0x[0-9a-f]+, IOPTE 0x7008[0-9a-f]{12} \[mmio-encrypted\]$'
	want_out '^    2\. nic0 writes disk\.bar by DMA: lost, SPA 0x[0-9a-f]+ \(disk\.bar\), C-bit set \[mmio-encrypted\]$'
	want_out '^    1\. map page0 \(private\) for trusted by the DMA API: ok, direct, IOVA 0x[0-9a-f]+, IOPTE 0x7008[0-9a-f]{12}$'
	want_out '^    2\. trusted reads page0 \(private\) by DMA: abort \[private-page\]$'
	want_out '^    1\. map page0 \(private\) for untrusted by the DMA API: ok, bounced, IOVA 0x[0-9a-f]+, IOPTE 0x7008[0-9a-f]{12}$'
	want_out '^    2\. untrusted reads page0 \(private\) by DMA: abort \[shared-entry-encrypted\]$'
	end
	begin "explore: posted-mmio: RAM next to a BAR"
	try 60 "$cbit" explore --policy posted-mmio --depth 3
	want_rc 3
	want_out '^    1\. map page0 and then disk\.bar for nic0 by one type1 call: ok'
	want_sequence wrong-key 2 host-vfio
	want_no_out '^finding mmio-encrypted'
	end
	for policy in sev sev-snp; do
		begin "explore: complete is clean at depth 6, guest $policy"
		try_cpu 30 "$cbit" explore --depth 6 --guest "$policy"
		want_rc 0
		want_out '^explored: platform sme, policy complete, depth 6$'
		want_out '^  guest-viommu: '
		want_out '^[1-9][0-9]{3,} states in [0-9.]+ s: [0-9]+ states a second, [0-9]+ operations a second$'
		want_out '^no findings$'
		want_no_err .
		end
	done
	begin "explore: every state of the host's machines"
	try 120 "$cbit" explore --depth 16 --guest none
	want_rc 0
	want_out '^    [1-9][0-9]+ states, all that there are; '
	want_no_out 'up to the depth'
	end
	begin "explore: what is broken on purpose is found"
	try 60 "$cbit" explore --break invalidation --guest none --depth 4
	want_rc 3
	want_sequence stale-iotlb 4 host-vfio
	want_out '^    broken: no translation outlives its unmap and sync$'
	end
	begin "explore: sequences that end in one state are compared"
	try 120 "$cbit" explore --depth 4 --verify 500
	want_rc 0
	want_out '; [1-9][0-9]* compared$'
	end
	begin "explore: --format json is JSON"
	try 60 "$cbit" explore --policy linux-7.2 --depth 2 --format json
	want_rc 3
	want_out '"id": "shared-entry-encrypted"'
	cp "$out" "$T/json"
	try 20 python3 -m json.tool "$T/json"
	want_rc 0
	end
	begin "explore: a progress bar on a terminal only"
	if command -v script >/dev/null; then
		try 60 script -qec "'$cbit' explore --depth 4" /dev/null
		want_rc 0
		want_out 'machine 3 of 4, guest-viommu: operation [1-4] of 4'
	fi
	try 60 "$cbit" explore --depth 3
	want_no_err .
	end
	begin "explore: bad options are refused"
	try 20 "$cbit" explore --depth 0
	want_rc 125
	want_err "--depth '0': 1 to 16"
	try 20 "$cbit" explore --guest tdx
	want_rc 125
	want_err "--guest 'tdx': none, plain, sev, sev-es or sev-snp"
	try 20 "$cbit" explore --platform tsme --guest sev
	want_rc 125
	want_err 'a confidential guest needs a host with SME'
	try 20 "$cbit" explore --policy linux-1.0
	want_rc 125
	want_err "--policy 'linux-1.0'"
	end
}
