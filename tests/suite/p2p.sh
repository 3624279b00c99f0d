# shellcheck shell=bash disable=SC2034,SC2154
# Section p2p: NVMe controller to NVMe controller, and a DMA engine into a CMB: the program of
# docs/tutorial-p2p.md, by type1 and by dma-buf, under the kernel that gets it wrong and the policy
# that does not.

# p2p POLICY HOW BLOCK RC: two disks in files, so that what is on B's can be looked at afterwards.
p2p() {
	begin "p2p: nvme_p2p by $2, $1"
	rm -f "$T/a.img" "$T/b.img"
	truncate -s 4M "$T/a.img" "$T/b.img"
	run --platform sme --policy "$1" --device "nvme,file=$T/a.img" \
		--device "nvme,file=$T/b.img,cmb=1M,block=$3" --device ioat -- "$examples/nvme_p2p" "$2"
	want_rc "$4"
}

p2p_arrived() {
	want_out "^A read into B's CMB: 8192 of 8192 bytes arrived$"
	want_out '^B wrote them from its CMB to its disk: 8192 of 8192 bytes arrived$'
	want_out '^the I/OAT engine copied into the CMB: 8192 of 8192 bytes arrived$'
	cmp -s -n 8192 "$T/a.img" "$T/b.img" || because "the disks differ"
	want_findings
}

# One copy into a BAR three times: what changes is the policy and how the BAR is mapped.
p2p_side_by_side() {
	local -a machine=(--platform sme --device ioat --device "ioat,membar=1M")
	local policy

	begin "p2p: by dma-buf under complete and linux-7.2, by type1 under linux-7.2"
	for policy in complete linux-7.2; do
		run "${machine[@]}" --policy "$policy" -- "$examples/p2p_dmabuf"
		want_rc 0
		want_out '^the bytes arrived: 4096 of 4096$'
		want_findings
	done
	run "${machine[@]}" --policy linux-7.2 -- "$examples/p2p_copy"
	want_rc 1
	want_out '^the copy was lost: 0 of 4096 bytes arrived$'
	want_findings mmio-encrypted=1
	end
}

section_p2p() {
	p2p_side_by_side
	p2p linux-7.2 type1 512 1
	want_out "^A read into B's CMB: 0 of 8192 bytes arrived, the rest was lost$"
	want_out '^the I/OAT engine copied into the CMB: 0 of 8192 bytes arrived, the rest was lost$'
	want_findings mmio-encrypted=1
	want_err '^    dma:     device 0000:01:00\.0 write .*: lost \(master abort\)$'
	want_err '^    dma:     device 0000:03:00\.0 write .*: lost \(master abort\)$'
	cmp -s -n 8192 "$T/b.img" /dev/zero || because "B's disk has something after all"
	end
	p2p linux-7.2 dmabuf 512 0
	p2p_arrived
	end
	p2p complete type1 4096 0
	p2p_arrived
	end
	p2p complete dmabuf 4096 0
	p2p_arrived
	end
}
