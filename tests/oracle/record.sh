#!/bin/sh
# Records the oracle anew: boots the kernel that fetch.sh has built under QEMU's TCG, with an AMD
# IOMMU and four devices, runs the probe there, and puts what it wrote into data/.
#
# usage: record.sh BUILD [FAMILY...]
#   BUILD   the build directory, which has the probe
# With families only those are run, and the log goes to BUILD/oracle.log instead.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
shift
seconds=${CBIT_ORACLE_SECONDS:-900}
oracle=$("$here/fetch.sh")
qemu=$("$here/../qemu/fetch-qemu.sh")
version=$(cat "$oracle/VERSION")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

mkdir -p "$work/root/bin"
cp "$oracle/busybox" "$work/root/bin/"
cp "$here/init" "$build/tests/oracle/probe" "$build/tests/oracle/probe_tables" "$build/tests/oracle/send" "$work/root/"
(cd "$work/root" && find . | "$oracle/busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initramfs"

# Four devices behind root ports, the last two in one group for want of ACS between them.
set -- "$*" -smp 1 -m 768 -machine q35 -cpu max,la57=off -nodefaults -nographic -no-reboot \
	-device amd-iommu,dma-remap=on -accel tcg -icount shift=1,sleep=off \
	-device pcie-root-port,x-speed=2_5,id=rp1,slot=1,chassis=1,addr=3 -device e1000e,bus=rp1,romfile= \
	-device pcie-root-port,x-speed=2_5,id=rp2,slot=2,chassis=2,addr=4 -device e1000e,bus=rp2,romfile= \
	-device pcie-root-port,x-speed=2_5,id=rp3,slot=3,chassis=3,addr=5 \
	-device e1000e,bus=rp3,romfile=,multifunction=on,addr=0.0 \
	-device e1000e,bus=rp3,romfile=,addr=0.1
families=$(echo "$1" | tr ' ' ,)
shift
timeout "$seconds" "$qemu/qemu-system-x86_64" "$@" \
	-kernel "$oracle/bzImage" -initrd "$work/initramfs" \
	-append "console=ttyS0 quiet panic=-1 no_timer_check hugepages=8 \
probe.devices=0000:01:00.0,0000:02:00.0,0000:03:00.0,0000:03:00.1 probe.families=$families" \
	-serial "file:$work/console" -chardev "file,id=logs,path=$work/logs" -device isa-debugcon,iobase=0xe9,chardev=logs -monitor none </dev/null >&2 || {
	echo "oracle: QEMU failed, or ran out of time ($seconds s); the console's end:" >&2
	tail -n 20 "$work/console" >&2
	exit 1
}
grep '^oracle:' "$work/console" >&2 || true
if ! grep -q '^oracle: done' "$work/console" || grep -q 'exit status [1-9]' "$work/console"; then
	tail -n 20 "$work/console" >&2
	exit 1
fi
mkdir "$work/out"
tar -C "$work/out" -xzf "$work/logs"
if [ -n "$families" ]; then
	cp "$work/out/calls.log" "$build/oracle.log"
	exit 0
fi
mkdir -p "$here/data"
rm -f "$here"/data/linux-*
for log in calls tables; do
	xz -9 -c "$work/out/$log.log" >"$here/data/linux-$version-$log.log.xz"
done
printf 'Linux %s, %s\n' "$version" "$(cat "$qemu/VERSION")" >"$here/data/VERSION"
ls -l "$here/data" >&2
