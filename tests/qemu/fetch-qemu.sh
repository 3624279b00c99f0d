#!/bin/sh
# Unpacks the newest QEMU of a Debian suite (sid by default), with the libraries that it loads, in a cache directory,
# and prints the directory that holds it: qemu-system-x86_64, a script that starts it, and VERSION.
# Nothing is installed; any user may run it. What is in the cache already is used as it is.
#
# usage: fetch-qemu.sh
#   CBIT_CACHE        default: $HOME/.cache/cbit
#   CBIT_QEMU_SUITE   default: sid
# Exit status: 77 when it cannot be had (no apt, no network), 1 when something else fails.
set -eu

# shellcheck source=tests/clients/newer-suite.sh
. "$(dirname "$0")/../clients/newer-suite.sh"

suite=${CBIT_QEMU_SUITE:-sid}
log() { printf 'fetch-qemu: %s\n' "$*" >&2; }
cannot() {
	log "$*"
	exit 77
}
failed() {
	log "$1, the end of the log:"
	tail -n 10 "$2" >&2
	exit "${3:-1}"
}
suite_cache ''
out=$cache/qemu-$suite
stamp=$(sha256sum <"$0")

# One at a time; whoever waited finds it there.
exec 9>"$cache/.qemu-lock"
flock 9
if [ "$(cat "$out/STAMP" 2>/dev/null)" = "$stamp" ]; then
	printf '%s\n' "$out"
	exit 0
fi
work=$(mktemp -d "$cache/qemu.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
: >"$work/status"
log "reading the package list of $suite"
newer_suite "$suite"
# No package counts as installed, so what QEMU depends on is whole.
apt_all() {
	apt_newer "$@" -o Dir::State::status="$work/status" -o Debug::NoLocking=1 -o APT::Install-Recommends=0
}
packages=$(apt_all apt-get --print-uris -y install qemu-system-x86 2>"$work/apt.log" |
	sed -n "s/^'.*' \([^_ ]*\)_.*/\1/p")
[ -n "$packages" ] || failed "qemu-system-x86 has no list of dependencies" "$work/apt.log" 77
log "downloading QEMU and its libraries (some 40 MB)"
download() {
	# shellcheck disable=SC2086 # a list of words
	(cd "$work/archives" && apt_all apt-get download $packages) >"$work/apt.log" 2>&1
}
patiently download ||
	failed "packages cannot be downloaded" "$work/apt.log" 77
mkdir "$work/root"
for deb in "$work/archives"/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/root" --no-same-owner
done

# The program, what it loads, its own modules and the firmware that a PC needs.
new=$work/new
libraries=usr/lib/x86_64-linux-gnu
mkdir -p "$new/lib" "$new/firmware"
ld=$(find "$work/root" -name 'ld-linux-x86-64.so.2' | head -n 1)
path=$work/root/$libraries:$work/root/$libraries/systemd
"$ld" --library-path "$path" --list "$work/root/usr/bin/qemu-system-x86_64" >"$work/list" 2>&1 ||
	failed "QEMU lacks libraries" "$work/list"
sed -n "s|.*=> \($work/root/[^ ]*\) .*|\1|p" "$work/list" | while read -r file; do
	cp -L "$file" "$new/lib/"
done
cp -L "$ld" "$new/lib/ld-linux-x86-64.so.2"
cp "$work/root/usr/bin/qemu-system-x86_64" "$new/lib/qemu"
for file in seabios/bios-256k.bin qemu/kvmvapic.bin qemu/linuxboot_dma.bin; do
	cp -L "$work/root/usr/share/$file" "$new/firmware/"
done
cat >"$new/qemu-system-x86_64" <<'END'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/lib/ld-linux-x86-64.so.2" --library-path "$here/lib" "$here/lib/qemu" -L "$here/firmware" "$@"
END
chmod 755 "$new/qemu-system-x86_64"
"$new/qemu-system-x86_64" --version | head -n 1 >"$new/VERSION"
printf '%s\n' "$stamp" >"$new/STAMP"
chmod -R a+rX "$new"
rm -rf "$out"
mv "$new" "$out"
printf '%s\n' "$out"
