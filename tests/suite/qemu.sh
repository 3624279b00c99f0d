# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Sections qemu and qemu-full: QEMU gives devices of ours to a guest, whose own drivers use them (docs/qemu.md).

# get_guest initrd|tools: sets $guest, a directory that anybody can read; a case of its own, and false, where it cannot be had.
get_guest() {
	guest=$T/guest
	rc=0
	BUILD=$build "$here/qemu/prepare-guest.sh" "$guest" "$@" 2>"$T/fetch" || rc=$?
	if [ "$rc" -eq 0 ]; then
		cp "$cbit" "$guest/"
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

# Sets $newest, a directory with the newest QEMU; a case of its own, and false, where it cannot be had.
get_newest() {
	rc=0
	newest=$("$here/qemu/fetch-qemu.sh" 2>"$T/fetch") || rc=$?
	if [ "$rc" -eq 0 ]; then
		echo "# $(cat "$newest/VERSION")"
		return 0
	fi
	if [ "$rc" -eq 77 ]; then
		skip "qemu: the newest QEMU" "not run: $(tail -n 1 "$T/fetch")"
	else
		not_ok "qemu: the newest QEMU from packages" "$T/fetch"
	fi
	return 1
}

# boot [cbit run's options] -- [what guest-init is to do] -- [QEMU's options]
# Without what the guest's kernel says of a timer or of processors that do not run for a while: they are threads of ours.
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
	try "${limit:-300}" ${as_user:-} "$guest/cbit" run "${options[@]}" -- \
		"${qemu:-qemu-system-x86_64}" -machine q35 -accel tcg -nodefaults -no-user-config -display none -serial stdio \
		-kernel "$guest/vmlinuz" -initrd "$guest/initrd" \
		-append "console=ttyS0 quiet panic=-1 no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1 ${boot_args:-} -- ${words[*]}" "$@"
	# The firmware and the serial line write as to a terminal.
	sed -i 's/\r$//' "$out"
	want_rc 0
	want_out '^guest: Linux [0-9]'
	want_out '^guest: end$'
	want_no_out '^guest: kernel:|Kernel panic'
	sed -n 's/^guest: /# guest: /p' "$out"
}

# One line of the guest's: the checksum of the file on the disk, at first and after the restart.
disk_sum() {
	sed -n "s/^guest: disk: ext4 mounted, sha256 $1 //p" "$out" | grep -xE '[0-9a-f]{64}'
}

# The file system and the file that the guest made are there after the restart, and in nobody's cache.
want_disk() {
	local first
	want_out "^guest: disk: cbit NVMe controller, [0-9]+ bytes in blocks of $1, [2-9] vectors\$"
	first=$(disk_sum first) || because "no checksum of the file on the disk"
	[ "$(disk_sum again)" = "$first" ] || because "another checksum after the restart"
	[ "$(grep -c '^guest: disk: unmounted$' "$out")" = 2 ] || because "the disk was not unmounted twice"
	# The host sees the same: an ext4 with the magic number where it belongs.
	[ "$(od -An -tx1 -j 1080 -N 2 "$disk" | tr -d ' ')" = 53ef ] || because "no ext4 in $disk"
}

new_disk() {
	disk=$T/disk.img
	rm -f "$disk"
	truncate -s 256M "$disk"
	chmod a+rw "$disk"
}

# Each of the two drivers' three ways to be interrupted, twice: before and after the restart.
want_dmatest() {
	local style
	for style in msix msi intx; do
		want_out "^guest: ioat $style: channels dma0chan0\$"
		want_out "^guest: ioat $style: [1-9][0-9]* interrupts\$"
	done
	[ "$(grep -cE '^guest: dmatest: dma0chan0-copy0: summary 50 tests, 0 failures' "$out")" = "$1" ] ||
		because "dmatest has failures, or did not run $1 times"
}

begin_qemu() {
	get_guest "$1" || return 1
	echo "# guest: $(cat "$guest/VERSION"), $(qemu-system-x86_64 --version | head -n 1)"
}

section_qemu() {
	local policy
	begin_qemu initrd || return 0
	if [ "$(id -u)" -eq 0 ]; then
		as_user="setpriv --reuid 65534 --regid 65534 --clear-groups"
	fi
	new_disk
	# QEMU leaves its mappings to the kernel when it ends.
	begin "qemu: dmatest by every kind of interrupt; ext4 on NVMe; the same after a restart${as_user:+, as an ordinary user}"
	boot --device ioat --device nvme,file="$disk" -- dmatest=msix dmatest=msi dmatest=intx disk restart -- \
		-smp 2 -m 256 -device vfio-pci,host=0000:01:00.0 -device vfio-pci,host=0000:02:00.0
	want_dmatest 6
	want_disk 512
	want_kinds mapping-leaked
	end
	as_user=
	begin "qemu: dmatest in guest memory that is shared"
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
		peers --policy "$policy" -- ''
		if [ "$policy" = complete ]; then
			want_p2p arrived
			want_kinds mapping-leaked unmapped-nothing
		else
			want_p2p lost
			want_kinds mapping-leaked mmio-encrypted unmapped-nothing
			want_err '^    dma:     device 0000:01:00.0 write IOVA 0x20000000 .*: lost \(master abort\)$'
			# A BAR of 256 pages, mapped page by page from one place, is one finding.
			want_err '^    alike:   [1-9][0-9]{2} more mapping calls of 02:00.0 BAR2; '
		fi
		end
	done
	get_newest || return 0
	# By /dev/iommu QEMU maps BARs as dma-bufs, and those Linux 7.2 gets right.
	begin "qemu: peer to peer by the guest's own VFIO, linux-7.2, QEMU maps BARs by dma-buf"
	qemu=$newest/qemu-system-x86_64 peers --policy linux-7.2 -- ,iommufd=i -object iommufd,id=i
	want_p2p arrived
	want_kinds mapping-leaked
	end
}

# peers [cbit run's options] -- OPTIONS...: the demo's program on two devices behind the guest's IOMMU;
# the first of OPTIONS goes to each device, the others to QEMU.
peers() {
	local options=() device
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	device=$2
	shift 2
	boot_args=intel_iommu=on boot "${options[@]}" "${two[@]}" -- p2p -- -m 256 "$@" \
		-device intel-iommu,caching-mode=on \
		-device pcie-root-port,id=a,slot=1 -device "vfio-pci,host=0000:01:00.0,bus=a$device" \
		-device pcie-root-port,id=b,slot=2 -device "vfio-pci,host=0000:02:00.0,bus=b$device"
}

want_p2p() {
	if [ "$1" = arrived ]; then
		want_out '^the bytes arrived: 4096 of 4096$'
		want_out '^guest: p2p: exit status 0$'
	else
		want_out '^the copy was lost: 0 of 4096 bytes arrived$'
		want_out '^guest: p2p: exit status 1$'
	fi
}

# What nvme-cli tells of a disk with blocks of $1 bytes.
want_nvme_cli() {
	local bytes
	bytes=$(stat -c %s "$disk")
	# list: the node, serial number, model, namespace.
	want_out '^/dev/nvme0n1 +.*CBIT.* cbit NVMe controller +1 '
	# id-ctrl
	want_out '^mn +: cbit NVMe controller *$'
	want_out '^ver +: 0x10400$'
	want_out "^tnvmcap +: $bytes\$"
	want_out '^sqes +: 0x66$'
	want_out '^cqes +: 0x44$'
	want_out '^nn +: 1$'
	# id-ns: size, capacity and the format in use.
	want_out "^nsze +: 0x$(printf %x $((bytes / $1)))\$"
	want_out "^ncap +: 0x$(printf %x $((bytes / $1)))\$"
	want_out "^nvmcap +: $bytes\$"
	want_out "^lbaf +[0-9] : ms:0 +lbads:$([ "$1" = 512 ] && echo 9 || echo 12) +rp:0(x[0-9])? \(in use\)"
	# smart-log: what fio has moved, and a healthy disk.
	want_out '^critical_warning[[:space:]]+: 0$'
	want_out '^available_spare[[:space:]]+: 100%$'
	want_out '^percentage_used[[:space:]]+: 0%$'
	want_out '^[Dd]ata.[Uu]nits.[Ww]ritten[[:space:]]+: [1-9]'
	want_out '^host_write_commands[[:space:]]+: [1-9]'
	want_out '^media_errors[[:space:]]+: 0$'
	# error-log: Linux has asked for what an optional feature would answer.
	want_out '^Error Log Entries for device:nvme0 entries:4$'
	want_out '^error_count[[:space:]]+: [1-9]'
	want_out '^status_field[[:space:]]+: 0x[0-9a-f]*2\(Invalid Field'
	want_no_out '^guest: nvme .*exit status'
}

# The whole, which "make test-qemu" runs: fio and nvme-cli besides.
section_qemu-full() {
	local block memory
	begin_qemu tools || return 0
	for block in 512 4096; do
		new_disk
		[ "$block" = 512 ] && memory=(-m 256) ||
			memory=(-m 256 -object memory-backend-memfd,id=ram,size=256M,share=on -machine memory-backend=ram)
		begin "qemu: ext4, fio and nvme-cli on NVMe with blocks of $block bytes, and after a restart"
		limit=600 boot --device "nvme,file=$disk,block=$block" -- disk restart -- -smp 2 "${memory[@]}" \
			-device vfio-pci,host=0000:01:00.0 \
			-drive "file=$guest/tools.img,format=raw,if=virtio,readonly=on"
		want_disk "$block"
		want_out '^guest: fio: verify first, exit status 0$'
		want_out '^guest: fio: verify again, exit status 0$'
		[ "$(grep -c '^guest: fio: .*err= 0' "$out")" = 2 ] || because "fio tells of errors"
		want_nvme_cli "$block"
		want_kinds mapping-leaked
		sed -nE '/^nvme |^\/dev\/nvme/p; /^(mn|ver|nn|nsze|critical_warning|available_spare|error_count) *[\t:]/p; /^Data Units/p' "$out" |
			sed 's/^/# /'
		end
	done
	get_newest || return 0
	new_disk
	begin "qemu: dmatest and the disk by the newest QEMU and /dev/iommu"
	limit=600 qemu=$newest/qemu-system-x86_64 boot --device ioat --device "nvme,file=$disk" -- \
		dmatest=msix dmatest=msi dmatest=intx disk restart -- -smp 2 -m 256 -object iommufd,id=i \
		-device vfio-pci,host=0000:01:00.0,iommufd=i -device vfio-pci,host=0000:02:00.0,iommufd=i
	want_dmatest 6
	want_disk 512
	want_kinds mapping-leaked
	end
}
