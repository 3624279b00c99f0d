# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Sections nvme and powercut: the NVMe controller under our own driver and under QEMU's.

nvme_disk=0000:01:00.0

# What QEMU's driver leaves: it frees buffers, and ends, with their mappings in place.
want_qemu_kinds() {
	local found
	found=$(findings | sort -u | grep -vx 'mapping-leaked\|unmapped-while-mapped' | tr '\n' ' ')
	[ -z "$found" ] || because "findings: $found"
}

nvme_qemu() {
	local how mib=${CBIT_NVME_MIB:-256} src=$T/nvme-src disk=$T/nvme-disk copy=$T/nvme-copy
	# Once a suite run at full size: as an ordinary user.
	[ "$(id -u)" -eq 0 ] || mib=${CBIT_NVME_MIB:-1024}
	if ! command -v qemu-img >/dev/null 2>&1; then
		skip "nvme: qemu-img" "no qemu-img here (package qemu-utils)"
		return
	fi
	head -c "${mib}M" /dev/urandom >"$src"
	truncate -s "${mib}M" "$disk"
	begin "nvme: qemu-img info, and two BARs that it does not know"
	run --device "nvme,file=$disk,cmb=1M,pmr=1M" -- qemu-img info "nvme://$nvme_disk/1"
	want_rc 0
	want_out "virtual size: .* \($((mib * 1048576)) bytes\)"
	want_qemu_kinds
	end
	begin "nvme: qemu-img convert to the disk, $mib MiB"
	run --device "nvme,file=$disk" -- qemu-img convert -n -f raw -O raw "$src" "nvme://$nvme_disk/1"
	want_rc 0
	want_qemu_kinds
	cmp "$src" "$disk" >>"$out" 2>&1 || because "the disk differs from the source"
	end
	begin "nvme: qemu-img convert from the disk, $mib MiB"
	run --device "nvme,file=$disk" -- qemu-img convert -f raw -O raw "nvme://$nvme_disk/1" "$copy"
	want_rc 0
	want_qemu_kinds
	cmp "$src" "$copy" >>"$out" 2>&1 || because "the copy differs from the source"
	end
	rm -f "$src" "$copy"
	for how in '' -w; do
		begin "nvme: qemu-img bench${how:+ $how}, 10,000 requests of 4 KiB, 32 at a time"
		# shellcheck disable=SC2086 # none or one
		run --device "nvme,file=$disk" -- qemu-img bench -f raw $how -c 10000 -d 32 -s 4096 "nvme://$nvme_disk/1"
		want_rc 0
		want_out '^Run completed in [0-9.]+ seconds'
		want_qemu_kinds
		end
	done
	begin "nvme: qemu-io: write zeroes, discard, flush, patterns; blocks of 4096 bytes"
	run --device "nvme,file=$disk,block=4096,pmr=64K" -- qemu-io -f raw -c 'write -P 0x5a 64k 1M' \
		-c 'write -z 128k 64k' -c 'discard 256k 64k' -c flush -c 'read -P 0x5a 64k 64k' \
		-c 'read -P 0 128k 64k' -c 'read -P 0 256k 64k' -c 'read -P 0x5a 320k 768k' "nvme://$nvme_disk/1"
	want_rc 0
	want_no_out 'verification failed|error'
	want_qemu_kinds
	end
	rm -f "$disk"
}

# The persistent memory region: in memory, in a file, under kill -9, for another device.
nvme_pmr() {
	local policy pmr=$T/pmr-file victim word
	begin "nvme: a persistent memory region: handshake, accesses, data of commands, resets"
	for word in pmr=64K cmb=1M,pmr=64K "pmr-file=$pmr"; do
		rm -f "$pmr"
		truncate -s 64K "$pmr"
		run --device "nvme,size=16M,$word" -- "$clients/client_pmr" data
		want_rc 0
		want_out 'a region of 65536 bytes: all right$'
		want_findings
	done
	end
	begin "nvme: a persistent memory region in a file outlives cbit"
	run --device "nvme,pmr-file=$pmr" -- "$clients/client_pmr" write 3
	want_out '^written$'
	run --device "nvme,pmr-file=$pmr" -- "$clients/client_pmr" check 3
	want_rc 0
	want_out '^there$'
	run --device "nvme,pmr-file=$pmr" -- "$clients/client_pmr" check 4
	want_rc 2
	run --device nvme,pmr=64K -- "$clients/client_pmr" check 3
	want_rc 2
	end
	begin "nvme: a persistent memory region after kill -9: what a barrier told of is there"
	: >"$out"
	"$cbit" run --device "nvme,pmr-file=$pmr" -- "$clients/client_pmr" write 5 wait >"$out" 2>"$err" </dev/null &
	victim=$!
	until_true 20 grep -q '^written$' "$out" || because "it was not written"
	kill -9 "$victim" || because "cbit had ended by itself"
	wait "$victim" 2>/dev/null || true
	run --device "nvme,pmr-file=$pmr" -- "$clients/client_pmr" check 5
	want_rc 0
	want_out '^there$'
	end
	for policy in linux-7.2 complete; do
		begin "nvme: another device copies into a persistent memory region, $policy"
		run --platform sme --policy "$policy" --device nvme,pmr=64K --device ioat -- "$clients/client_pmr" peer
		want_rc 0
		if [ "$policy" = complete ]; then
			want_out '^arrived$'
			want_findings
		else
			want_out '^lost$'
			want_findings mmio-encrypted=1
		fi
		end
	done
	begin "nvme: a persistent memory region that cannot be had"
	truncate -s 32K "$pmr"
	for word in pmr=0 pmr=3M pmr=128G pmr-file=/nonexistent "pmr-file=$pmr" "pmr=64K,pmr-file=$pmr" \
		"pmr-file=/dev/null" "sriov=1,pmr=32K"; do
		run --device "nvme,$word" -- true
		want_rc 125
		want_err "^cbit: .*nvme: .*pmr"
	done
	end
	rm -f "$pmr"
}

section_nvme() {
	local how
	for how in 'private 2' 'shared 4' 'private 4 irq' 'shared 1 irq'; do
		begin "nvme: verified load, $how"
		# shellcheck disable=SC2086
		run --device nvme,size=64M -- "$clients/client_nvme" verify $how
		want_rc 0
		want_out 'all right$'
		want_findings
		end
	done
	begin "nvme: verified load, scattered frames, 4096-byte blocks, linux-7.2"
	run --policy linux-7.2 --frames scattered --device nvme,size=64M,block=4096 -- \
		"$clients/client_nvme" verify private 2 irq
	want_rc 0
	want_out 'all right$'
	want_findings
	end
	begin "nvme: verified load on a virtual function"
	cat >"$T/vf.sh" <<-'END'
		CBIT_DEVICES=$("$1/client_sriov" prepare) VC_TOKEN=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0
		export CBIT_DEVICES VC_TOKEN
		exec "$1/client_nvme" verify
	END
	run --device nvme,size=64M,sriov=4 -- sh "$T/vf.sh" "$clients"
	want_rc 0
	want_out 'all right$'
	want_findings
	end
	begin "nvme: an idle client costs less than one per cent of a processor"
	run --device nvme,size=64M -- "$clients/client_nvme" idle
	want_rc 0
	want_findings
	end
	begin "nvme: a file that another cbit has"
	truncate -s 1M "$T/nvme-shared"
	run --device "nvme,file=$T/nvme-shared" -- "$cbit" run --device "nvme,file=$T/nvme-shared" -- true
	want_rc 125
	want_err 'is in use by another device'
	end
	nvme_pmr
	nvme_qemu
}

# kill -9 of the supervisor at some moment of a load; then the disk is compared with what was
# acknowledged. The next load goes on with the same disk.
section_powercut() {
	local disk=$T/power-disk state=$T/power-state cuts=${CBIT_POWER_CUTS:-10} i ms cut acknowledged=0 n
	rm -f "$disk" "$state"
	truncate -s 16M "$disk"
	exec 4>&2 2>/dev/null
	begin "powercut: $cuts times kill -9, every acknowledged flush survived"
	for i in $(seq "$cuts"); do
		: >"$out"
		"$cbit" run --device "nvme,file=$disk,block=4096" -- "$clients/client_nvme" load "$state" \
			>"$out" 2>"$err" </dev/null &
		cut=$!
		until_true 20 grep -q '^starting' "$out" || because "cut $i: the load did not start"
		ms=$((RANDOM % 400))
		sleep "0.$(printf '%03d' "$ms")"
		kill -9 "$cut" || because "cut $i: cbit had ended by itself"
		wait "$cut" || true
		try 20 "$clients/client_nvme" check "$disk" "$state"
		n=$(sed -n 's/.* \([0-9]*\) flushes, .*/\1/p' "$out")
		[ "$rc" -eq 0 ] || because "cut $i, after $ms ms: $(tail -n 3 "$out" | tr '\n' ' ')"
		acknowledged=${n:-0}
		[ -z "$why" ] || break
	done
	[ "$acknowledged" -gt "$cuts" ] || because "only $acknowledged flushes in all"
	end
	exec 2>&4 4>&-
	rm -f "$disk" "$state"
}
