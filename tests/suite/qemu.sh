# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section qemu: QEMU gives devices of ours to a guest, whose own drivers use them (docs/qemu.md).

# get_guest initrd|tools: sets $guest, a directory that anybody can read; a case of its own, and false, where it cannot be had.
get_guest() {
	local dir
	rc=0
	dir=$("$here/qemu/fetch-guest.sh" "$@" 2>"$T/fetch") || rc=$?
	if [ "$rc" -eq 0 ]; then
		guest=$T/guest
		mkdir -p "$guest"
		cp "$dir"/[!.]* "$cbit" "$guest/"
		cp "$clients/p2p_copy_static" "$guest/p2p_copy"
		# What the build makes is put behind what the cache has.
		(cd "$guest" && echo p2p_copy | ./busybox cpio -o -H newc 2>/dev/null | gzip -1 >>initrd)
		chmod a+rx "$T"
		chmod -R a+rX "$guest"
		return 0
	fi
	if [ "$rc" -eq 77 ] && [ -z "${CI:-}" ]; then
		skip "qemu: a guest" "not run: $(tail -n 1 "$T/fetch")"
	else
		not_ok "qemu: a guest from packages" "$T/fetch"
	fi
	return 1
}

# boot [cbit run's options] -- [what guest-init is to do] -- [QEMU's options]
boot() {
	local options=() words=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	while [ "$1" != -- ]; do
		words+=("$1")
		shift
	done
	shift
	# shellcheck disable=SC2086 # none or some words
	try "${limit:-120}" ${as_user:-} "$guest/cbit" run "${options[@]}" -- \
		qemu-system-x86_64 -machine q35 -accel tcg -nodefaults -no-user-config -display none -serial stdio \
		-no-reboot -kernel "$guest/vmlinuz" -initrd "$guest/initrd" \
		-append "console=ttyS0 quiet panic=-1 ${boot_args:-} -- ${words[*]}" "$@"
	# The firmware and the serial line write as to a terminal.
	sed -i 's/\r$//' "$out"
	want_rc 0
	want_out '^guest: Linux [0-9]'
	want_out '^guest: end$'
	want_no_out '^guest: kernel:|Kernel panic'
	sed -n 's/^guest: /# guest: /p' "$out"
}

section_qemu() {
	local style
	get_guest initrd || return 0
	echo "# guest: $(cat "$guest/VERSION"), $(qemu-system-x86_64 --version | head -n 1)"
	if [ "$(id -u)" -eq 0 ]; then
		as_user="setpriv --reuid 65534 --regid 65534 --clear-groups"
	fi
	# QEMU leaves its mappings to the kernel when it ends.
	begin "qemu: the guest's I/OAT driver by MSI-X, MSI and the pin: self-test, dmatest${as_user:+, as an ordinary user}"
	boot --device ioat -- dmatest=msix dmatest=msi dmatest=intx -- -smp 2 -m 256 \
		-device vfio-pci,host=0000:01:00.0
	for style in msix msi intx; do
		want_out "^guest: ioat $style: channels dma0chan0\$"
		want_out "^guest: ioat $style: [1-9][0-9]* interrupts\$"
	done
	[ "$(grep -cE '^guest: dmatest: dma0chan0-copy0: summary 50 tests, 0 failures' "$out")" = 3 ] ||
		because "dmatest has failures, or did not run three times"
	want_kinds mapping-leaked
	end
	as_user=
	begin "qemu: the same with guest memory that is shared"
	boot --stats --device ioat -- dmatest=msix -- -object memory-backend-memfd,id=ram,size=256M,share=on \
		-machine memory-backend=ram -m 256 -device vfio-pci,host=0000:01:00.0
	want_out '^guest: dmatest: dma0chan0-copy0: summary 50 tests, 0 failures'
	want_err '^cbit: stat dma-bytes-by-pointer [1-9]'
	want_err '^cbit: stat dma-bytes-by-call 0$'
	want_kinds mapping-leaked
	end
	# The guest's VFIO, the guest's IOMMU, QEMU's mapping, ours: a BAR on all of the way.
	for policy in complete linux-7.2; do
		begin "qemu: peer to peer by the guest's own VFIO, $policy"
		boot_args='intel_iommu=on' boot --policy "$policy" "${two[@]}" -- p2p -- -m 256 \
			-device intel-iommu,caching-mode=on \
			-device pcie-root-port,id=a,slot=1 -device vfio-pci,host=0000:01:00.0,bus=a \
			-device pcie-root-port,id=b,slot=2 -device vfio-pci,host=0000:02:00.0,bus=b
		if [ "$policy" = complete ]; then
			want_out '^the bytes arrived: 4096 of 4096$'
			want_out '^guest: p2p: exit status 0$'
			want_kinds mapping-leaked unmapped-nothing
		else
			want_out '^the copy was lost: 0 of 4096 bytes arrived$'
			want_out '^guest: p2p: exit status 1$'
			want_kinds mapping-leaked mmio-encrypted unmapped-nothing
			want_err '^    dma:     device 0000:01:00.0 write IOVA 0x20000000 .*: lost \(master abort\)$'
		fi
		end
	done
}
