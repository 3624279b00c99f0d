#!/bin/sh
# What the oracle needs to be recorded: a Linux kernel of our own configuration, from Debian's
# linux-source package (suite sid by default), and busybox. Both go into a cache directory; nothing
# is installed. Prints that directory. QEMU comes from ../qemu/fetch-qemu.sh.
#
# usage: fetch.sh [CACHE_DIR]
#   CACHE_DIR            default: $CBIT_CACHE, else $HOME/.cache/cbit
#   CBIT_KERNEL_SUITE    the suite to look into, default sid
#   CBIT_KERNEL_SOURCE   the package, default linux-source-7.2 or else the newest one
# The kernel is built anew when kernel.config has changed: 5 to 8 minutes on two cores. Any user may
# run it. Exit status: 77 when packages cannot be had, 1 when the kernel does not build.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
suite=${CBIT_KERNEL_SUITE:-sid}
want=${CBIT_KERNEL_SOURCE:-}
log() { printf 'oracle: %s\n' "$*" >&2; }
cannot() {
	log "$*"
	exit 77
}
failed() {
	log "$1, the end of the log:"
	tail -n 30 "$2" >&2
	exit "${3:-1}"
}

# shellcheck source=tests/clients/newer-suite.sh
. "$here/../clients/newer-suite.sh"
suite_cache "${1:-}"
out=$cache/oracle
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

get() {
	(cd "$work" && apt_newer apt-get download "$1" >"$work/apt.log" 2>&1) ||
		failed "$1 cannot be downloaded" "$work/apt.log" 77
}

sum=$(cksum <"$here/kernel.config")
if [ -f "$out/bzImage" ] && [ -x "$out/busybox" ] &&
	[ "$(cat "$out/config.sum" 2>/dev/null)" = "$sum" ]; then
	printf '%s\n' "$out"
	exit 0
fi
log "reading the package list of $suite"
newer_suite "$suite"
get busybox-static
dpkg-deb -x "$(echo "$work"/busybox-static_*.deb)" "$work/deb"
cp "$work/deb/usr/bin/busybox" "$out/busybox"
if [ -z "$want" ]; then
	names=$(find "$work/lists" -name '*Packages*' -exec /usr/lib/apt/apt-helper cat-file {} + |
		sed -n 's/^Package: \(linux-source-[0-9][0-9.]*\)$/\1/p' | sort -u -V)
	want=$(printf '%s\n' "$names" | grep -x 'linux-source-7\.2' ||
		printf '%s\n' "$names" | tail -n 1)
fi
[ -n "$want" ] || cannot "no linux-source package in $suite"
log "downloading $want (some 160 MB)"
get "$want"
dpkg-deb -x "$(echo "$work"/linux-source-*.deb)" "$work/deb"
tarball=$(echo "$work"/deb/usr/src/linux-source-*.tar.*)
top=$(basename "$tarball" | sed 's/\.tar\..*//')
log "unpacking $top"
(cd "$work" && tar -xf "$tarball") >"$work/build.log" 2>&1 || failed "unpacking failed" "$work/build.log"

log "building the kernel, some minutes"
# A make above this script would tell the kernel's that it is not the first one.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD
{ make -s -C "$work/$top" KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig &&
	make -s -j "$(nproc 2>/dev/null || echo 1)" -C "$work/$top" bzImage; } \
	>"$work/build.log" 2>&1 </dev/null || failed "the kernel does not build" "$work/build.log"
cp "$work/$top/arch/x86/boot/bzImage" "$out/bzImage"
make -s -C "$work/$top" kernelversion >"$out/VERSION"
printf '%s\n' "$sum" >"$out/config.sum"
printf '%s\n' "$out"
