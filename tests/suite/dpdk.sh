# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section dpdk: DPDK's own test, and a program of ours on DPDK, by its I/OAT and DSA drivers.

# Those of DPDK give their memory up at the end with the device still set up for it, and say nothing.
want_dpdk_findings() {
	local found
	found=$(findings | grep -vxE "mapping-leaked|unmapped-while-mapped${1:+|$1}" | sort | uniq -c | tr '\n' ' ')
	[ -z "$found" ] || because "findings: $found"
}

# huge_pages COUNT: true when as many are free; root makes them, and drop_huge_pages takes them back.
huge_pages() {
	local set=/proc/sys/vm/nr_hugepages free
	free=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
	huge_before=
	if [ "${free:-0}" -lt "$1" ] && [ -w "$set" ]; then
		huge_before=$(cat "$set")
		echo $((huge_before + $1)) >"$set" 2>/dev/null || :
		free=$(awk '/^HugePages_Free/ { print $2 }' /proc/meminfo)
	fi
	[ "${free:-0}" -ge "$1" ]
}

drop_huge_pages() {
	[ -z "$huge_before" ] || echo "$huge_before" >/proc/sys/vm/nr_hugepages || :
}

# dpdk_program DEVICE MODE KIND EAL-OPTIONS...: client_dpdk finds its memory of that KIND, IOVAs in MODE.
dpdk_program() {
	local device=$1 mode=$2 kind=$3
	shift 3
	run --stats --device "$device" -- "$clients/client_dpdk" -l 0 -m 64 -a 0000:01:00.0 --no-telemetry "$@"
	want_rc 0
	want_out "^iova mode $mode, $kind"
	want_out '^ok 0000:01:00.0.*: [0-9]+ operations, fill too$'
	want_no_out '^not ok'
	want_dpdk_findings
}

section_dpdk() {
	local device mode how
	printf 'dmadev_autotest\nquit\n' >"$T/dpdk"
	for device in ioat dsa; do
		begin "dpdk: dmadev_autotest, $device"
		input=$T/dpdk try 180 "$cbit" run --device "$device" -- dpdk-test --no-huge -m 64 --iova-mode=va -l 0 \
			-a 0000:01:00.0 --no-telemetry --no-shconf --file-prefix=t1
		want_rc 0
		want_out '^### Test dmadev instance 0 \[0000:01:00\.0'
		want_out 'Test OK'
		want_no_out 'Test Failed|Failed [1-9]|No devices'
		# The I/OAT driver offers no test of errors for version 0x33; dsa is given bad addresses.
		if [ "$device" = ioat ]; then
			want_dpdk_findings
		else
			want_out 'Running error handling Tests'
			want_dpdk_findings iova-not-mapped
		fi
		end
	done

	if ! [ -x "$clients/client_dpdk" ]; then
		if [ -n "${CI:-}" ]; then
			not_ok "dpdk: client_dpdk has been built"
		else
			skip "dpdk: client_dpdk" "built without libdpdk-dev"
		fi
		return
	fi
	for device in ioat dsa; do
		begin "dpdk: copies and fills, $device, IOVAs are addresses, small pages"
		dpdk_program "$device" va "the program's addresses, pages of 4 KiB" --no-huge --no-shconf --iova-mode=va
		end
	done
	# Without huge pages DPDK never asks for physical addresses.
	begin "dpdk: copies and fills, ioat, IOVAs were to be physical, small pages"
	dpdk_program ioat va "the program's addresses, pages of 4 KiB" --no-huge --no-shconf --iova-mode=pa
	want_err 'Physical addresses are unavailable, selecting IOVA as VA'
	end
	if ! huge_pages 40; then
		skip "dpdk: copies and fills, huge pages" "none here, and none to be made"
		drop_huge_pages
		return
	fi
	for mode in va pa; do
		for device in ioat dsa; do
			begin "dpdk: copies and fills, $device, IOVAs $mode, huge pages"
			how="$mode, the program's addresses"
			# Frame numbers are only for the privileged (/proc/PID/pagemap).
			[ "$mode" = pa ] && [ "$(id -u)" -eq 0 ] && how="pa, other addresses"
			dpdk_program "$device" "${how%%,*}" "${how#*, }, pages of 2048 KiB" --in-memory --iova-mode="$mode"
			want_err '^cbit: stat dma-bytes-by-call 0$'
			end
		done
	done
	drop_huge_pages
}
