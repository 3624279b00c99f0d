# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section guest: a VFIO program inside a confidential guest, every platform, IOMMU, policy and state
# of its devices. What is expected is the matrix of docs/semantics.md, "A program in a guest".

# guest_case NAME-OF-OPTIONS KIND STATUS THERE BACK FINDINGS... with the options in $guest_opts
guest_case() {
	local kind=$1 status=$2 there=$3 back=$4
	shift 4
	begin "guest: ${guest_opts[*]}: $kind"
	# shellcheck disable=SC2086 # a kind, perhaps with a size and the C-bit
	run "${guest_opts[@]}" --device ioat --device ioat,membar=64K -- "$clients/client_guest" $kind
	want_rc "$status"
	[ -z "$there" ] || want_out "^from it: engine [a-z]+, $there$"
	[ -z "$back" ] || want_out "^to it: engine [a-z]+, $back$"
	want_kinds "$@"
	end
}

# Without an IOMMU in the guest devices get physical addresses, and what is assigned to the guest goes
# through the host's IOMMU, whichever kernel the guest has.
guest_noiommu() {
	local platform policy
	for policy in linux-7.2 complete; do
		guest_opts=(--platform sev-guest --viommu off --policy "$policy")
		guest_case shared 0 arrived arrived
		guest_case private 1 noise noise private-page
		guest_opts=(--platform snp-guest --viommu off --policy "$policy")
		guest_case shared 0 arrived arrived
		guest_case bar 0 arrived arrived
		guest_case private 1 untouched untouched rmp-fault
		guest_case ordinary 1 untouched untouched rmp-fault
	done
	guest_opts=(--platform snp-guest --viommu off --snp-reads ciphertext)
	guest_case private 1 noise untouched private-page rmp-fault
	for platform in sev-guest snp-guest; do
		guest_opts=(--platform "$platform" --viommu off --tdisp)
		guest_case shared 0 arrived arrived
		guest_case 'private 0x4000 51' 0 arrived arrived
		guest_case 'ordinary 0x4000 51' 0 arrived arrived
		guest_case 'bar 0x4000 51' 0 arrived arrived
		guest_case 'bar 0x4000' 1 'all ones' untouched rmp-fault
	done
	guest_opts=(--platform snp-guest --viommu off --tdisp)
	guest_case private 1 noise untouched private-page rmp-fault
	guest_opts=(--platform snp-guest --viommu off --frames scattered)
	guest_case 'shared 0x40000' 0 arrived arrived
	begin "guest: --viommu off: calls"
	run --platform snp-guest --viommu off -- "$clients/client_guest" calls
	want_rc 0
	want_findings map-before-set-iommu=1 # one of its calls, to see the errno
	end
	begin "guest: --viommu off: nothing is kept of processes that have ended"
	run --platform snp-guest --viommu off -- "$clients/client_guest" children
	want_rc 0
	want_findings
	end
	begin "guest: --viommu off: reading all of pagemap takes no memory"
	run --platform snp-guest --viommu off -- "$clients/client_guest" scan
	want_rc 0
	want_findings
	end
	begin "guest: --viommu off: what sysfs shows"
	run --platform snp-guest --viommu off -- sh -c 'ls /dev/vfio
		cat /sys/module/vfio/parameters/enable_unsafe_noiommu_mode
		cat /sys/bus/pci/devices/*/iommu_group/name'
	want_rc 0
	want_out '^noiommu-1$'
	want_no_out '^(1|devices)$'
	want_out '^Y$'
	want_out '^vfio-noiommu$'
	end
	begin "guest: --viommu off: a group is of one device"
	run --platform snp-guest --viommu off --device ioat --device ioat,group=1 -- true
	want_rc 125
	want_err 'without an IOMMU each device has a group of its own'
	end
}

# What no device can be helped to reach tells what to do.
guest_advice() {
	begin "guest: the finding says what to do"
	run --platform snp-guest -- "$clients/client_guest" private
	want_rc 1
	want_err '^    right: .*/dev/dma_heap/system_cc_shared.*TDISP'
	want_err 'SPA 0x100[0-9a-f]+ \(client-dram, dram\)'
	end
}

section_guest() {
	local -a guest_opts
	local platform policy heap

	for platform in sev-guest snp-guest; do
		guest_opts=(--platform "$platform")
		guest_case shared 0 arrived arrived
		guest_case bar 0 arrived arrived
		guest_case file 0 arrived arrived
		if [ "$platform" = snp-guest ]; then
			guest_case private 1 noise untouched private-page rmp-fault
			guest_case system 1 noise untouched private-page rmp-fault
		else
			guest_case private 1 noise noise private-page
			guest_case system 1 noise noise private-page
		fi
		guest_opts=(--platform "$platform" --tdisp)
		guest_case ordinary 0 arrived arrived
		guest_case private 0 arrived arrived
		guest_case shared 0 arrived arrived
		guest_case bar 0 arrived arrived
		for policy in linux-6.17 linux-7.2 posted-mmio; do
			guest_opts=(--platform "$platform" --policy "$policy")
			guest_case ordinary 1 untouched untouched iova-not-mapped table-in-private-memory
			guest_case shared 3 '' ''
			guest_case file 3 '' ''
		done
		guest_opts=(--platform "$platform" --policy linux-7.2 --tdisp)
		guest_case ordinary 1 untouched untouched iova-not-mapped table-in-private-memory
	done
	guest_noiommu
	guest_advice
	begin "guest: what Linux 7.2 answers for the memory of a DMA heap"
	run --platform snp-guest --policy linux-7.2 -- "$clients/client_guest" file
	want_rc 3
	want_out 'IOAS_MAP_FILE of system_cc_shared: Operation not supported'
	run --platform snp-guest --policy linux-7.2 -- "$clients/client_guest" shared
	want_rc 3
	want_out 'MAP_DMA of system_cc_shared: Bad address'
	end
	if get_selftests "guest: the kernel's selftests"; then
		begin "guest: vfio_dma_mapping_test with trusted devices"
		run --platform snp-guest --tdisp -- "$selftests/vfio_dma_mapping_test" 0000:01:00.0
		want_out '^# Totals: pass:20 fail:0 '
		want_findings
		end
	fi
	for heap in system system_cc_shared; do
		begin "guest: DMA heap $heap"
		run --platform snp-guest -- "$clients/client_guest" sync "$heap"
		want_rc 0
		want_findings
		end
	done
	begin "guest: no system_cc_shared on a host"
	run -- "$clients/client_guest" sync
	want_rc 2
	want_err '/dev/dma_heap/system_cc_shared .errno 2,'
	end
	begin "guest: system on a host"
	run -- "$clients/client_guest" sync system
	want_rc 0
	want_findings
	end
	begin "guest: large copies, scattered pages"
	run --platform snp-guest --frames scattered -- "$clients/client_guest" shared 0x300000
	want_rc 0
	want_findings
	end
	begin "guest: --viommu without a guest"
	run --viommu on -- true
	want_rc 125
	want_err 'for a guest: --platform sev-guest or snp-guest'
	end
}
