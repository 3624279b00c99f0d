#!/bin/sh
# Builds the kernel's VFIO selftests from Debian's linux-source package (suite sid by
# default) into a cache directory and prints the directory that holds the programs.
#
# usage: fetch-selftests.sh [CACHE_DIR]
# The system's own apt state is never touched: a private list directory reads the newer
# suite. A cache that already holds the programs is used as it is.
set -eu

cache=${1:-${CBIT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cbit}}
suite=${CBIT_KERNEL_SUITE:-sid}
want=${CBIT_KERNEL_SOURCE:-}
log() { printf 'fetch-selftests: %s\n' "$*" >&2; }

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
out=$cache/selftests
if [ -f "$out/.complete" ]; then
	printf '%s\n' "$out"
	exit 0
fi

work=$cache/kernel-work
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
# An existing mirror and its key, as this machine already uses them.
uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
	grep -v -i security | head -n 1)
: "${uri:=http://deb.debian.org/debian/}"
key=
for k in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
	[ -f "$k" ] && key=$k && break
done
{
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$suite"
	[ -n "$key" ] && printf 'Signed-By: %s\n' "$key"
} >"$work/newer.sources"
apt_private() {
	apt-get -q -o Dir::Etc::sourcelist="$work/newer.sources" -o Dir::Etc::SourceParts=/nonexistent \
		-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User=root "$@"
}
log "reading the package list of $suite"
apt_private update >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; exit 1; }
if [ -z "$want" ]; then
	# The newest linux-source-X.Y that the suite has, 7.2 when it is there.
	names=$(grep -h -o '^Package: linux-source-[0-9][0-9.]*$' "$work"/lists/*Packages* 2>/dev/null |
		sed 's/^Package: //' | sort -u -V || true)
	if [ -z "$names" ]; then
		for f in "$work"/lists/*Packages*; do
			names="$names $(/usr/lib/apt/apt-helper cat-file "$f" |
				grep -o '^Package: linux-source-[0-9][0-9.]*$' | sed 's/^Package: //')"
		done
		names=$(printf '%s\n' $names | sort -u -V)
	fi
	want=$(printf '%s\n' $names | grep -x 'linux-source-7\.2' || printf '%s\n' $names | tail -n 1)
fi
[ -n "$want" ] || { log "no linux-source package in $suite"; exit 1; }
log "downloading $want"
(cd "$work" && apt_private download "$want" >>"$work/apt.log" 2>&1) || { cat "$work/apt.log" >&2; exit 1; }
dpkg -x "$work"/linux-source-*.deb "$work/deb"
tarball=$(echo "$work"/deb/usr/src/linux-source-*.tar.*)
top=$(tar -tf "$tarball" 2>/dev/null | head -n 1 | cut -d/ -f1)
log "unpacking $top"
(cd "$work" && tar -xf "$tarball" "$top/tools" "$top/include" "$top/scripts" "$top/arch/x86" \
	"$top/usr" "$top/drivers/dma" "$top/Makefile" "$top/Kbuild" "$top/Kconfig" ${CBIT_KERNEL_EXTRA:-})
log "building the VFIO selftests"
src=$work/$top
make -s -C "$src" headers >"$work/build.log" 2>&1 &&
	make -s -C "$src/tools/testing/selftests/vfio" EXTRA_CFLAGS="-g -Dcalloc_assert=calloc" \
		>>"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; exit 1; }
rm -rf "$out.new"
mkdir -p "$out.new"
for p in "$src"/tools/testing/selftests/vfio/vfio_*; do
	[ -f "$p" ] && [ -x "$p" ] && case $p in *.c | *.o | *.d | *.sh) ;; *) cp "$p" "$out.new/" ;; esac
done
ls "$out.new"/vfio_dma_mapping_test "$out.new"/vfio_pci_driver_test >/dev/null
printf '%s %s\n' "$want" "$(dpkg-deb -f "$work"/linux-source-*.deb Version)" >"$out.new/VERSION"
: >"$out.new/.complete"
chmod -R a+rX "$out.new"
rm -rf "$out"
mv "$out.new" "$out"
[ -n "${CBIT_KEEP_SOURCE:-}" ] || rm -rf "$work"
printf '%s\n' "$out"
