#!/bin/sh
# Makes the guest of tests/suite/qemu.sh from Debian's packages in a cache directory and prints the
# directory that holds it: vmlinuz, initrd (busybox, mke2fs, modules; init is put behind it, see get_guest), busybox
# and, with "tools", tools.img (ext4 with fio and nvme-cli).
#
# usage: fetch-guest.sh initrd|tools
#   CBIT_CACHE   default: $HOME/.cache/cbit
# The kernel is the one that linux-image-amd64 stands for. Its dmatest module, which Debian leaves out, is
# built from Debian's own source of the same version. Packages are downloaded and unpacked, never installed;
# any user may run it. A guest that is there already and was made by this very script is
# used as it is. Exit status: 77 when packages cannot be had, 1 when something else fails.
set -eu

# shellcheck source=tests/clients/newer-suite.sh
. "$(dirname "$0")/../clients/newer-suite.sh"
modules='ioatdma dmatest vfio-pci vfio_iommu_type1 nvme ext4 crc32c_generic virtio_blk virtio_pci'
log() { printf 'fetch-guest: %s\n' "$*" >&2; }
cannot() {
	log "$1, the end of the log:"
	tail -n 10 "$work/log" >&2
	exit "${2:-77}"
}

suite_cache ''
out=$cache/guest
stamp=$(sha256sum <"$0")
[ "${1:-}" = tools ] && want=$out/tools.img || want=$out/initrd

# One at a time; whoever waited finds it there.
exec 9>"$cache/.guest-lock"
flock 9
if [ "$(cat "$out/STAMP" 2>/dev/null)" = "$stamp" ] && [ -f "$want" ]; then
	printf '%s\n' "$out"
	exit 0
fi
work=$(mktemp -d "$cache/guest.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
: >"$work/log"
: >"$work/status"
if ! command -v apt-get >/dev/null 2>&1; then
	log "no apt-get here, so no packages"
	exit 77
fi

# apt NAME ARGUMENTS: this machine's mirrors, but state and archives of our own. No package counts as
# installed, so what something depends on is whole.
apt() {
	tool=$1
	shift
	"$tool" -q -o Dir::State::Lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work" \
		-o Dir::Cache::Archives="$work/debs" -o Debug::NoLocking=1 -o APT::Install-Recommends=0 \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=2 -o Acquire::http::Timeout=60 "$@"
}
mkdir -p "$work/debs/partial" "$work/lists/partial" "$work/packages"
# depends PACKAGE REGEX: the first of its dependencies of such a name.
depends() {
	apt apt-cache depends --important "$1" 2>/dev/null | sed -nE "s/^ *Depends: ($2)$/\1/p" | head -n 1
}
# closure PACKAGE...: these and all that they depend on.
closure() {
	apt apt-get --print-uris -y install "$@" 2>"$work/log" | sed -n "s/^'.*' \([^_ ]*\)_.*/\1/p"
}
download() {
	(cd "$work/debs" && apt apt-get download "$@") >"$work/log" 2>&1
}
# get PACKAGE...: downloads and unpacks into $work/packages.
get() {
	patiently download "$@" ||
		cannot "packages cannot be downloaded"
	for deb in "$work/debs"/*.deb; do
		printf '%s %s\n' "$(dpkg-deb -f "$deb" Package)" "$(dpkg-deb -f "$deb" Version)" >>"$work/versions"
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/packages" --no-same-owner \
			--exclude='*/kernel/sound' --exclude='*/kernel/net' --exclude='*/drivers/gpu' \
			--exclude='*/drivers/net' --exclude='*/drivers/media' --exclude='*/usr/share'
		rm "$deb"
	done
}
# programs ROOT PATH...: copies programs and the libraries that they load.
programs() {
	root=$1
	shift
	path=
	for dir in lib usr/lib usr/lib/ceph usr/lib/systemd; do
		path=$path:$work/packages/$(echo "$dir" | sed 's|lib|lib/x86_64-linux-gnu|')
	done
	ld=$(find "$work/packages" -name 'ld-linux-x86-64.so.2' | head -n 1)
	mkdir -p "$root/bin" "$root/lib64" "$root/lib/x86_64-linux-gnu"
	cp -L "$ld" "$root/lib64/ld-linux-x86-64.so.2"
	for program; do
		cp -L "$program" "$root/bin/"
		"$ld" --library-path "${path#:}" --list "$program" >"$work/log" 2>&1 || cannot "$program lacks libraries" 1
		sed -n "s|.*=> \($work/packages/[^ ]*\) .*|\1|p" "$work/log" | while read -r file; do
			cp -L "$file" "$root/lib/x86_64-linux-gnu/"
		done
	done
}
# found NAME: the file of that name among the packages, wherever merged /usr has put it.
found() {
	find "$work/packages" -name "$1" \( -path '*/bin/*' -o -path '*/sbin/*' \) | head -n 1
}

# The image that linux-image-amd64 stands for, by lists read now: the machine's may be so old that a mirror has
# nothing of them any more. Some may be unreadable, of others' archives, when these are there.
current_image() {
	apt apt-get update >"$work/log" 2>&1 || :
	image=$(depends linux-image-amd64 'linux-image-[0-9].*-amd64')
	[ -n "$image" ]
}
patiently current_image || cannot "the package lists cannot be read (no network?), or lack linux-image-amd64"
release=${image#linux-image-}
short=$(printf '%s' "$release" | sed -E 's/^([0-9]+\.[0-9]+).*/\1/')
headers=linux-headers-$release
common=$(depends "$headers" 'linux-headers-[0-9].*-common')
kbuild=$(depends "$headers" 'linux-kbuild-.*')
log "downloading $image, its headers and source (some 220 MB)"
get "$image" "$headers" "$common" "$kbuild" busybox-static
kernel=$work/packages/usr/src/$headers

log "building dmatest for $release"
mkdir "$work/dmatest"
patiently download "linux-source-$short" ||
	cannot "linux-source-$short cannot be downloaded"
# One file of it, without unpacking the rest: tar ends the pipe when it has that.
dpkg-deb --fsys-tarfile "$work/debs"/linux-source-*.deb 2>/dev/null |
	tar -xO --wildcards "*/linux-source-$short.tar.xz" 2>/dev/null | xz -dc 2>/dev/null |
	tar -x -C "$work/dmatest" --occurrence=1 --strip-components=3 "linux-source-$short/drivers/dma/dmatest.c" || :
rm "$work/debs"/linux-source-*.deb
printf 'obj-m := dmatest.o\n' >"$work/dmatest/Kbuild"
sed -i "s|/usr/src/|$work/packages/usr/src/|" "$kernel/Makefile"
# The compiler that built the kernel, where it is there.
cc=$(sed -n 's/^CC = .*\(gcc-[0-9]*\)$/\1/p' "$kernel/.kernelvariables")
command -v "${cc:-none}" >/dev/null 2>&1 || cc=gcc
# A make above this script would tell the kernel's that it is not the first one.
unset MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES BUILD
make -s -C "$kernel" M="$work/dmatest" CC="$cc" modules >"$work/log" 2>&1 </dev/null ||
	cannot "dmatest does not build" 1

new=$work/guest
root=$work/root
mkdir -p "$new" "$root/proc" "$root/sys" "$root/dev" "$root/mnt" "$root/tools" "$root/lib/modules/$release"
cp "$work/packages/boot/vmlinuz-$release" "$new/vmlinuz"

# Modules and what they need, without debug information; what is built in is no file.
todo=$modules
while [ -n "$todo" ]; do
	name=$(echo "${todo%% *}" | tr - _)
	case $todo in
	*' '*) todo=${todo#* } ;;
	*) todo= ;;
	esac
	ko=$root/lib/modules/$release/$name.ko
	file=$work/dmatest/$name.ko
	if ! [ -f "$file" ]; then
		pattern=$(echo "$name" | sed 's/_/[_-]/g')
		file=$(find "$work/packages" -name "$pattern.ko" -o -name "$pattern.ko.xz" | head -n 1)
	fi
	if [ -f "$ko" ] || [ -z "$file" ]; then
		continue
	fi
	case $file in
	*.xz) xz -dc "$file" >"$ko" ;;
	*) cp "$file" "$ko" ;;
	esac
	objcopy --strip-debug "$ko"
	for need in $(objcopy -O binary -j .modinfo "$ko" /dev/stdout | tr '\0' '\n' |
		sed -n 's/^depends=//p' | tr ',' ' '); do
		todo="$need${todo:+ $todo}"
	done
done

# The programs: what the kernel's packages were unpacked to is not needed any more.
rm -rf "$work/packages"
mkdir "$work/packages"
# shellcheck disable=SC2046 # a list of words
get $(closure e2fsprogs busybox-static)
cp "$(found busybox)" "$work/busybox"
programs "$root" "$(found mke2fs)"
cp "$work/busybox" "$root/bin/"
cp "$work/busybox" "$new/"
"$work/busybox" depmod -b "$root" "$release"
(cd "$root" && find . | "$work/busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$new/initrd"

if [ "${1:-}" = tools ]; then
	log "downloading fio and nvme-cli (some 60 MB)"
	mke2fs=$root/bin/mke2fs
	# shellcheck disable=SC2046
	get $(closure fio nvme-cli)
	programs "$work/tools" "$(found fio)" "$(found nvme)"
	"$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" "$mke2fs" -q -F -t ext4 -O ^has_journal -d "$work/tools" "$new/tools.img" \
		"$(($(du -sm "$work/tools" | cut -f 1) * 5 / 4 + 16))M" >"$work/log" 2>&1 ||
		cannot "tools.img cannot be made" 1
fi
grep "^$image " "$work/versions" >"$new/VERSION"
printf '%s\n' "$stamp" >"$new/STAMP"
chmod -R a+rX "$new"
rm -rf "$out"
mv "$new" "$out"
printf '%s\n' "$out"
