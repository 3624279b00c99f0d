# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section selftests: the kernel's own, unmodified.

# selftest NAME LEAST SECONDS OPTIONS... -- ARGUMENTS...: runs one of the kernel's VFIO selftests
# and counts each of its cases; at least LEAST must be there. Only huge-page variants may skip,
# and only for want of huge pages. Each case has a time of its own in the program, the storm of copies a minute
# for 64 GiB: where the machine was too busy for one, all are run again. Afterwards $out and $err are there for
# checks of findings.
selftest() {
	local test=$1 least=$2 seconds=$3 line result options=() total=0 log=$T/selftest.log
	shift 3
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	begin "selftest $test"
	for _ in 1 2 3; do
		try "$seconds" "$cbit" run "${options[@]}" -- "$selftests/$test" "$@"
		grep -q 'Test terminated by timeout' "$out" "$err" || break
	done
	cat "$T/command" "$out" "$err" >"$log"
	while IFS= read -r line; do
		total=$((total + 1))
		result=${line#* }
		result="selftest $test: ${result#* }"
		case $line in
		'not ok'*) not_ok "${result#*: }" "$log" ;;
		*'# SKIP'*)
			if [[ $line == *hugetlb* ]]; then
				skip "${result%% \# SKIP*}" "no huge pages here"
			else
				not_ok "$result" "$log"
			fi
			;;
		*) ok "$result" ;;
		esac
	done < <(grep -E '^(not )?ok [0-9]+ ' "$out" || true)
	name="selftest $test: exit status, findings"
	want_rc 0
	[ "$total" -ge "$least" ] || because "$total cases, expected at least $least"
	grep -qx "1\.\.$total" "$out" || because "the plan is not 1..$total"
}

# Sets $selftests; a case of its own, and false, where they cannot be had.
get_selftests() {
	[ -z "${selftests:-}" ] || return 0
	rc=0
	selftests=$("$here/clients/fetch-selftests.sh" 2>"$T/fetch") || rc=$?
	[ "$rc" -ne 0 ] || return 0
	selftests=
	if [ "$rc" -eq 77 ] && [ -z "${CI:-}" ]; then
		skip "$1" "not run: $(tail -n 1 "$T/fetch")"
	else
		not_ok "$1: building the kernel's VFIO selftests" "$T/fetch"
	fi
	return 1
}

# want_cases PROGRAM: it ran the very cases that pass on Linux's own VFIO.
want_cases() {
	local wanted
	wanted=$(sed -n "s/^$1 //p" "$here/data/selftests.list" | sort)
	[ -n "$wanted" ] || because "no cases of $1 are listed"
	[ "$wanted" = "$(sed -nE 's/^(not )?ok [0-9]+ ([^ ]+).*/\2/p' "$out" | sort)" ] ||
		because "other cases than on Linux"
}

# All modes: type1, type1v2, iommufd in their place, and iommufd itself.
section_selftests() {
	get_selftests "kernel selftests" || return 0
	echo "# kernel selftests of $(cat "$selftests/VERSION")"

	selftest vfio_dma_mapping_test 30 300 --device ioat -- 0000:01:00.0
	want_findings
	want_cases vfio_dma_mapping_test
	end
	# Three BAR mappings in each of the two modes of type1; iommufd refuses them.
	selftest vfio_dma_mapping_mmio_test 15 300 --policy linux-7.2 --device ioat,membar=1M -- 0000:01:00.0
	want_findings mmio-encrypted=6
	want_cases vfio_dma_mapping_mmio_test
	end
	selftest vfio_dma_mapping_mmio_test 15 300 --policy complete --device ioat,membar=1M -- 0000:01:00.0
	want_findings
	end
	selftest vfio_pci_device_test 5 300 --device ioat,membar=1M -- 0000:01:00.0
	want_findings
	want_cases vfio_pci_device_test
	end
	selftest vfio_iommufd_setup_test 6 300 --device ioat -- 0000:01:00.0
	want_findings
	want_cases vfio_iommufd_setup_test
	end
	# Its cases copy to and from an unmapped IOVA on purpose.
	selftest vfio_pci_driver_test 35 1200 --device ioat -- 0000:01:00.0
	want_only_findings iova-not-mapped
	end
	selftest vfio_pci_driver_test 35 1200 --device dsa,maxcopy=256K -- 0000:01:00.0
	want_only_findings iova-not-mapped
	end
	selftest vfio_pci_sriov_uapi_test 45 300 --device ioat,sriov=4 -- 0000:01:00.0
	want_findings
	want_cases vfio_pci_sriov_uapi_test
	end
	selftest vfio_pci_sriov_uapi_test 45 300 --device nvme,size=16M,sriov=1 -- 0000:01:00.0
	want_findings
	want_cases vfio_pci_sriov_uapi_test
	end
	selftest vfio_pci_device_init_perf_test 5 300 --device ioat --device ioat --device ioat \
		--device ioat -- 0000:01:00.0 0000:02:00.0 0000:03:00.0 0000:04:00.0
	want_findings
	want_cases vfio_pci_device_init_perf_test
	end
}
