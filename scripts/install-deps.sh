#!/bin/sh
# Installs the Debian packages that cbit needs and that are not there yet; does nothing when all
# are.
#
# usage: scripts/install-deps.sh [--check] build|test|lint
#   build    what "make" and "make demo" need
#   test     the same and what "make test" needs
#   lint     the same as build and what "make lint" needs
#   --check  only names what is missing (exit status 1 when something is)
set -eu

check=
if [ "${1:-}" = --check ]; then
	check=1
	shift
fi
build='gcc libc6-dev make meson ninja-build pkg-config libseccomp-dev libzydis-dev libcmocka-dev'
build="$build libssl-dev libjansson-dev libyaml-dev libbsd-dev libdw-dev"
# bc to uuid-dev: to build the kernel's VFIO selftests; dpdk-dev: DPDK's dmadev_autotest; dpdk-doc: its
# example applications.
# The sanitizers' runtime goes by clang's version, which is Debian 12's where nothing tells.
rt=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
tests="bc bison flex rsync libelf-dev xz-utils uuid-dev dpdk-dev libdpdk-dev dpdk-doc clang libclang-rt-${rt:-14}-dev"
# qemu-system-x86: a guest on our devices.
tests="$tests valgrind util-linux procps jq g++ binutils qemu-system-x86 qemu-utils"
case ${1:-} in
build) want=$build ;;
test) want="$build $tests" ;;
lint) want="$build libdpdk-dev clang-format clang-tidy cppcheck shellcheck" ;;
*)
	echo "usage: scripts/install-deps.sh [--check] build|test|lint" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	# Not a Debian system: say what is needed and let the build find out.
	echo "install-deps: no dpkg here; the build needs what Debian calls:" >&2
	echo "install-deps: $want" >&2
	exit 0
fi

# 0 when the package is installed, or another one that provides it (pkgconf for pkg-config).
installed() {
	case $(dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null || true) in
	*'install ok installed'*) return 0 ;;
	esac
	[ "$1" = pkg-config ] && command -v pkg-config >/dev/null 2>&1
}
missing=
for p in $want; do
	installed "$p" || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
missing=${missing# }
if [ -n "$check" ]; then
	echo "$missing"
	exit 1
fi

give_up() {
	echo "install-deps: $1. Please have these packages installed, then run this again:" >&2
	echo "    apt-get install $missing" >&2
	exit 1
}
command -v apt-get >/dev/null 2>&1 || give_up "no apt-get here"
as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 || give_up "packages are missing, and there is no sudo"
	as_root=sudo
	# Without a terminal nobody can type a password.
	[ -t 0 ] || as_root='sudo -n'
fi
echo "install-deps: installing $missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Another apt may be at work, the one of unattended upgrades for example. For dpkg's lock apt-get waits
# by itself, for those of its lists and archives it does not.
until=$(($(date +%s) + ${CBIT_APT_WAIT:-600}))
apt() {
	while :; do
		rc=0
		# shellcheck disable=SC2086 # a list of words
		$as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
			-o DPkg::Lock::Timeout="${CBIT_APT_WAIT:-600}" -o Acquire::Retries=3 "$@" >"$log" 2>&1 || rc=$?
		if [ "$rc" -eq 0 ] || ! grep -q '^E: Could not get lock' "$log" || [ "$(date +%s)" -ge "$until" ]; then
			return "$rc"
		fi
		sleep 2
	done
}
# The package lists may be absent or old: read them anew only when the first try fails.
# shellcheck disable=SC2086
if apt install $missing; then
	exit 0
fi
if [ -n "$as_root" ] && grep -q '^sudo:' "$log"; then
	give_up "packages are missing, and sudo refuses"
fi
echo "install-deps: reading the package lists" >&2
# shellcheck disable=SC2086
if apt update && apt install $missing; then
	exit 0
fi
tail -n 20 "$log" >&2
give_up "apt-get failed (its last lines are above)"
