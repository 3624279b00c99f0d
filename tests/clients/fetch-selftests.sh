#!/bin/sh
# Builds the kernel's VFIO selftests from Debian's linux-source package (suite sid by default)
# into a cache directory and prints the directory that holds the programs.
#
# usage: fetch-selftests.sh [CACHE_DIR]
#   CACHE_DIR            default: $CBIT_CACHE, else $HOME/.cache/cbit
#   CBIT_KERNEL_SUITE    the suite to look into, default sid
#   CBIT_KERNEL_SOURCE   the package, default linux-source-7.2 or else the newest one
#   CBIT_KEEP_SOURCE=1   keeps the unpacked source in CACHE_DIR/kernel-source
# The mirror and its key are those that this machine's apt already uses; apt's own state is not
# touched: a private list directory reads the other suite. Any user may run it. A cache that
# holds the programs is used as it is. Exit status: 77 when the source cannot be had (no apt, no
# network, no such package), 1 when it does not build.
set -eu

# shellcheck source=tests/clients/newer-suite.sh
. "$(dirname "$0")/newer-suite.sh"

suite=${CBIT_KERNEL_SUITE:-sid}
want=${CBIT_KERNEL_SOURCE:-}
programs='vfio_dma_mapping_test vfio_dma_mapping_mmio_test vfio_pci_driver_test
	vfio_pci_device_init_perf_test vfio_pci_device_test vfio_iommufd_setup_test
	vfio_pci_sriov_uapi_test'
log() { printf 'fetch-selftests: %s\n' "$*" >&2; }
cannot() {
	log "$*"
	exit 77
}
failed() {
	log "$1, the end of the log:"
	tail -n 30 "$2" >&2
	exit "${3:-1}"
}

suite_cache "${1:-}"
out=$cache/selftests
have_all() {
	[ -f "$out/.complete" ] || return 1
	for p in $programs; do
		[ -x "$out/$p" ] || return 1
	done
}

# One at a time; whoever waited finds the programs there.
exec 9>"$cache/.lock"
flock 9
if have_all; then
	printf '%s\n' "$out"
	exit 0
fi
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work" "$out.new"' EXIT
trap 'exit 130' INT TERM
log "reading the package list of $suite"
newer_suite "$suite"

if [ -z "$want" ]; then
	names=$(find "$work/lists" -name '*Packages*' -exec /usr/lib/apt/apt-helper cat-file {} + |
		sed -n 's/^Package: \(linux-source-[0-9][0-9.]*\)$/\1/p' | sort -u -V)
	want=$(printf '%s\n' "$names" | grep -x 'linux-source-7\.2' ||
		printf '%s\n' "$names" | tail -n 1)
fi
[ -n "$want" ] || cannot "no linux-source package in $suite"
log "downloading $want (some 160 MB)"
download() {
	(cd "$work" && apt_newer apt-get download "$want" >"$work/apt.log" 2>&1)
}
patiently download ||
	failed "$want cannot be downloaded" "$work/apt.log" 77

deb=$(echo "$work"/linux-source-*.deb)
dpkg-deb -x "$deb" "$work/deb"
tarball=$(echo "$work"/deb/usr/src/linux-source-*.tar.*)
top=$(basename "$tarball" | sed 's/\.tar\..*//')
log "unpacking $top"
# drivers/dma: the selftests' device drivers use its register headers.
# shellcheck disable=SC2086,SC2248 # a list of words
(cd "$work" && tar -xf "$tarball" "$top/tools" "$top/include" "$top/scripts" "$top/arch/x86" \
	"$top/usr" "$top/drivers/dma" "$top/Makefile" "$top/Kbuild" "$top/Kconfig" \
	${CBIT_KERNEL_EXTRA:-}) >"$work/build.log" 2>&1 || failed "unpacking failed" "$work/build.log"
src=$work/$top
tests=$src/tools/testing/selftests/vfio
[ -d "$tests" ] || cannot "$want has no VFIO selftests"

log "building the VFIO selftests"
jobs=$(nproc 2>/dev/null || echo 1)
# A make above this script would tell the kernel's that it is not the first one.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD
flags=-g
# 7.2.13 uses this helper and does not define it.
grep -rq 'calloc_assert(' "$tests/lib/include" || flags="$flags -Dcalloc_assert=calloc"
{ make -s -j "$jobs" -C "$src" headers &&
	make -s -j "$jobs" -C "$tests" EXTRA_CFLAGS="$flags"; } >"$work/build.log" 2>&1 </dev/null ||
	failed "the selftests do not build" "$work/build.log"

rm -rf "$out.new" "$out"
mkdir "$out.new"
for p in "$tests"/vfio_*; do
	case $p in
	*.c | *.o | *.d | *.sh) ;;
	*) [ -f "$p" ] && [ -x "$p" ] && cp "$p" "$out.new/" ;;
	esac
done
for p in $programs; do
	[ -x "$out.new/$p" ] || failed "$p has not been built" "$work/build.log"
done
printf '%s %s\n' "$want" "$(dpkg-deb -f "$deb" Version)" >"$out.new/VERSION"
: >"$out.new/.complete"
chmod -R a+rX "$out.new"
mv "$out.new" "$out"
if [ -n "${CBIT_KEEP_SOURCE:-}" ]; then
	rm -rf "$cache/kernel-source"
	mv "$src" "$cache/kernel-source"
fi
printf '%s\n' "$out"
