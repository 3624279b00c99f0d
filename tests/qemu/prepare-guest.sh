#!/bin/sh
# Puts a guest for QEMU into a directory: vmlinuz, and an initrd with the drivers (fetch-guest.sh, from Debian's
# packages), with guest-init and the demo's program behind them; with "tools" also tools.img (fio and nvme-cli).
#
# usage: prepare-guest.sh DIRECTORY initrd|tools
#   BUILD        the build directory (default: build, beside tests)
#   CBIT_CACHE   see fetch-guest.sh
# Exit status: as fetch-guest.sh's.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build}
program=$build/tests/clients/p2p_copy_static
if [ $# -ne 2 ]; then
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
	exit 2
fi
[ -x "$program" ] || {
	echo "prepare-guest: there is no $program; run make first" >&2
	exit 1
}
made=$("$here/fetch-guest.sh" "$2")
mkdir -p "$1"
cp "$made"/[!.]* "$1/"
cp "$program" "$1/p2p_copy"
cp "$here/guest-init" "$1/init"
chmod 755 "$1/init" "$1/p2p_copy"
# What changes with the project is put behind what the cache has.
(cd "$1" && printf 'init\np2p_copy\n' | ./busybox cpio -o -H newc 2>/dev/null | gzip -1 >>initrd)
chmod -R a+rX "$1"
