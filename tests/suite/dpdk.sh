# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section dpdk: DPDK's own test, one of its example applications, and a program of ours on DPDK, by its I/OAT
# and DSA drivers.

# le BYTES NUMBER: little-endian.
le() {
	local i
	for ((i = 0; i < $1; i++)); do
		printf '%b' "\\x$(printf %02x $(($2 >> 8 * i & 255)))"
	done
}

# packets COUNT LENGTH: a capture file with as many Ethernet frames, of random bytes.
packets() {
	local i
	le 4 $((0xa1b2c3d4)) && le 2 2 && le 2 4 && le 4 0 && le 4 0 && le 4 65536 && le 4 1
	for ((i = 0; i < $1; i++)); do
		le 4 "$i" && le 4 0 && le 4 "$2" && le 4 "$2"
		head -c "$2" /dev/urandom
	done
}

# DPDK's "DMA Device forwarding", as Debian packages it: frames come from one capture file, each is copied by
# the device, the copies go into another.
dpdk_forward() {
	local source=/usr/share/dpdk/examples/dma/dmafwd.c device count=500 len=1400 differ
	if ! [ -f "$source" ] || ! pkg-config --exists libdpdk; then
		if [ -n "${CI:-}" ]; then
			not_ok "dpdk: the example dmafwd has been installed"
		else
			skip "dpdk: the example dmafwd" "no $source, or no libdpdk (packages dpdk-doc, libdpdk-dev)"
		fi
		return
	fi
	begin "dpdk: the example dmafwd builds"
	# shellcheck disable=SC2046 # options
	try 120 "${CC:-cc}" -O2 -w -DALLOW_EXPERIMENTAL_API $(pkg-config --cflags libdpdk) -o "$T/dmafwd" "$source" \
		$(pkg-config --libs libdpdk)
	want_rc 0
	end
	packets "$count" "$len" >"$T/in.pcap"
	# It goes on until somebody ends it; each second it tells what it has done.
	cat >"$T/forward.sh" <<-'END'
		count=$1
		shift
		log=$(mktemp)
		"$@" >"$log" &
		program=$!
		for i in $(seq 240); do
			grep -q "Total completed ops: $count\$" "$log" && break
			kill -0 $program 2>/dev/null || break
			sleep 0.5
		done
		kill -INT $program
		wait $program
		status=$?
		cat "$log"
		rm -f "$log"
		exit $status
	END
	for device in ioat dsa; do
		begin "dpdk: the example dmafwd forwards frames by $device"
		rm -f "$T/out.pcap"
		run --stats --device "$device" -- sh "$T/forward.sh" "$count" "$T/dmafwd" \
			--no-huge -m 1024 --iova-mode=va --lcores "0@$cpu,1@$cpu" -a 0000:01:00.0 --no-telemetry --no-shconf \
			--vdev "net_pcap0,rx_pcap=$T/in.pcap,tx_pcap=$T/out.pcap" -- -c hw --no-mac-updating -s 512 -i 1
		want_rc 0
		want_out "^Packets sent: +$count\$"
		want_out "Total completed ops: $count\$"
		want_out 'Total failed ops: 0$'
		want_err "^cbit: stat dma-bytes-by-pointer [1-9]"
		# The same but for the file's header (24 bytes) and the times, the first 8 bytes of each record.
		differ=$(cmp -l "$T/in.pcap" "$T/out.pcap" 2>&1 | awk -v size=$((len + 16)) \
			'!/^ *[0-9]/ || ($1 > 24 && ($1 - 25) % size >= 8) { n++ } END { print n + 0 }')
		[ "$differ" = 0 ] || because "the frames that came out are not those that went in: $differ bytes differ"
		[ "$(stat -c %s "$T/in.pcap")" = "$(stat -c %s "$T/out.pcap")" ] || because "not as many bytes of frames"
		want_dpdk_findings
		end
	done
}

# Those of DPDK give their memory up at the end with the device still set up for it, and say nothing.
want_dpdk_findings() {
	local found
	found=$(findings | grep -vxE "mapping-leaked|unmapped-while-mapped${1:+|$1}" | sort | uniq -c | tr '\n' ' ')
	[ -z "$found" ] || because "findings: $found"
}

huge_before=

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
	huge_before=
}

# dpdk_program DEVICE MODE KIND EAL-OPTIONS...: client_dpdk finds its memory of that KIND, IOVAs in MODE.
dpdk_program() {
	local device=$1 mode=$2 kind=$3
	shift 3
	run --stats --device "$device" -- "$clients/client_dpdk" --lcores "0@$cpu" -m 64 -a 0000:01:00.0 --no-telemetry "$@"
	want_rc 0
	want_out "^iova mode $mode, $kind"
	want_out '^ok 0000:01:00.0.*: [0-9]+ operations, fill too$'
	want_no_out '^not ok'
	want_dpdk_findings
}

# Before it comes to our device, dmadev_autotest tries its interface on one in software ("skeleton"), for whose
# thread it waits 50 ms and no longer: true when the machine was too busy for that.
skeleton_late() {
	grep -qE '^test_dma_(completed|completed_status|sg) Failed' "$out" &&
		! grep -q '^### Test dmadev instance' "$out"
}

section_dpdk() {
	local device mode how cpu
	# Any that is ours: containers have some of the machine's.
	cpu=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
	printf 'dmadev_autotest\nquit\n' >"$T/dpdk"
	for device in ioat dsa; do
		begin "dpdk: dmadev_autotest, $device"
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			input=$T/dpdk try 180 "$cbit" run --device "$device" -- dpdk-test --no-huge -m 64 --iova-mode=va \
				--lcores "0@$cpu" -a 0000:01:00.0 --no-telemetry --no-shconf --file-prefix=t1
			skeleton_late || break
		done
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

	dpdk_forward

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
	begin "dpdk: a fault of dsa is an error to DPDK"
	run --device dsa --fault completion-error,after=20 -- "$clients/client_dpdk" --lcores "0@$cpu" -m 64 -a 0000:01:00.0 \
		--no-telemetry --no-huge --no-shconf --iova-mode=va
	want_rc 1
	want_out '^not ok 0000:01:00.0.*: an operation failed'
	want_err '^cbit: fault 1: completion-error: device 0000:01:00\.0: queue 0, .*: not carried out, status 0x20 \(event 21\)$'
	end
	# How its driver takes it is DPDK's (docs/faults.md); that it can be told is ours.
	begin "dpdk: the link of ioat goes down under DPDK"
	run --device ioat --fault link-down,after=200 -- "$clients/client_dpdk" --lcores "0@$cpu" -m 64 -a 0000:01:00.0 \
		--no-telemetry --no-huge --no-shconf --iova-mode=va
	[ "$rc" = 1 ] || [ "$rc" = 139 ] || because "exit status $rc, expected 1 or 139"
	want_no_out '^ok 0000:01:00.0'
	want_err '^cbit: fault 1: link-down: device 0000:01:00\.0: the link is down \(event 201\)$'
	want_dpdk_findings
	end
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
			# Frame numbers are only for who has CAP_SYS_ADMIN (/proc/PID/pagemap).
			[ "$mode" = pa ] && has_capability 21 && how="pa, other addresses"
			dpdk_program "$device" "${how%%,*}" "${how#*, }, pages of 2048 KiB" --in-memory --iova-mode="$mode"
			want_err '^cbit: stat dma-bytes-by-call 0$'
			end
		done
	done
	drop_huge_pages
}
