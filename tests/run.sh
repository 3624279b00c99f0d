#!/usr/bin/env bash
# The whole test suite, as "make test" runs it after building.
#
# usage: tests/run.sh [SECTION...]
#   unit       the cmocka programs
#   abi        errno and argsz of the VFIO calls; the IOMMU tables that clients cause
#   clients    our own VFIO programs
#   guest      a VFIO program inside a confidential guest
#   oracle     thousands of calls and the tables they cause, against a record of Linux itself
#   selftests  the kernel's VFIO selftests (built from Debian's source, then kept in a cache)
#   dpdk       DPDK's dmadev_autotest, and a program on DPDK
#   nvme       the NVMe controller under our own driver and QEMU's (qemu-img)
#   powercut   kill -9 of the supervisor under load: what was flushed is on the disk
#   qemu       QEMU with a guest whose own drivers use the devices
#   libcbit    the library as others meet it: installed, its symbols, headers and examples
#   sim        scenario files, the matrix, explanations
#   explore    the shortest sequences that break a policy
#   faults     --fault: what goes wrong, how it is told, drivers that mind and do not
#   p2p        disk to disk without the machine's memory, by type1 and by dma-buf
#   contract   options, exit statuses, what a program sees
#   kill       kill -9 of either side leaves nothing behind
#   demo       make demo
#   user       abi to demo once more as an unprivileged user (only when run as root)
#   fuzz       each fuzz target for CBIT_FUZZ_SECONDS (20) on its corpus
#   guard      instructions of the hot paths against the stored counts
#   sanitize   clang build; unit tests and clients with sanitizers; valgrind
#   qemu-full  QEMU's guest with fio and nvme-cli (make test-qemu); runs only when it is named
# Without arguments: all the others. BUILD names the build directory (default build).
# CBIT_USER_SECTIONS names the sections that "user" repeats.
# Each case prints a line, ok, not ok or skip; the last line counts them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
case ${BUILD:-build} in
/*) build=$BUILD ;;
*) build=$(dirname "$here")/${BUILD:-build} ;;
esac
export LC_ALL=C
cbit=$build/cbit
clients=$build/tests/clients
examples=$build/examples
selftests=${CBIT_SELFTESTS:-}
client_sections='abi oracle clients guest selftests dpdk nvme powercut faults p2p contract kill demo'
all="unit libcbit sim explore $client_sections qemu user fuzz guard sanitize"

# The parts below share these variables; shellcheck sees one file at a time.
# shellcheck disable=SC2154
for part in lib build clients guest oracle thirdparty dpdk nvme faults p2p qemu contract kill sim explore guard libcbit; do
	# shellcheck source=/dev/null
	. "$here/suite/$part.sh"
done
finished=1
# Whatever ends the suite early is a failure, and is counted.
at_exit() {
	if [ -z "$finished" ]; then
		not_ok "the suite ran to its end (section ${section:-none})"
		count
	fi
	drop_huge_pages
	rm -rf "$T"
}
trap at_exit EXIT
trap 'exit 130' INT TERM

# The client sections again as nobody in particular, on a copy that such a user can read.
section_user() {
	local stage counts id=65534 path
	local -a as=(setpriv --reuid "$id" --regid "$id" --clear-groups)
	if [ "$(id -u)" -ne 0 ]; then
		skip "the suite as root" "not run: this user is not root"
		return
	fi
	stage=$T/stage
	mkdir -p "$stage/build/tests" "$stage/home" "$stage/tmp" "$stage/tests/clients"
	cp "$cbit" "$stage/build/"
	mkdir "$stage/build/examples" "$stage/build/tests/clients" "$stage/build/tests/abi" \
		"$stage/build/tests/oracle"
	for path in "$examples"/* "$clients"/* "$build"/tests/abi/* "$build"/tests/oracle/*; do
		[ -f "$path" ] && [ -x "$path" ] && cp "$path" "$stage/build/${path#"$build"/}"
	done
	cp -r "$here/run.sh" "$here/suite" "$here/data" "$here/oracle" "$stage/tests/"
	cp "$here/clients/"*.sh "$stage/tests/clients/"
	cp -r "$here/../scripts" "$stage/scripts"
	get_selftests "as user $id" || true
	[ -n "$selftests" ] && cp -r "$selftests" "$stage/selftests"
	chmod -R a+rX "$stage" "$T"
	chown "$id:$id" "$stage/home" "$stage/tmp"
	# shellcheck disable=SC2086 # a list of sections
	(cd "$stage" && "${as[@]}" env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$stage/home" TMPDIR="$stage/tmp" \
		${CI:+CI="$CI"} ${selftests:+CBIT_SELFTESTS="$stage/selftests"} BUILD=build \
		CBIT_TEST_LABEL="as user $id: " CBIT_TEST_COUNTS="$stage/tmp/counts" \
		bash tests/run.sh ${CBIT_USER_SECTIONS:-$client_sections}) || true
	if ! counts=$(cat "$stage/tmp/counts" 2>/dev/null); then
		not_ok "as user $id: the suite ran to its end"
		return
	fi
	# shellcheck disable=SC2086
	set -- $counts
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

sections=${*:-$all}
for section in $sections; do
	case " $all qemu-full " in
	*" $section "*) ;;
	*)
		sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
		[ "$section" = --help ] && exit 0
		exit 2
		;;
	esac
done
if ! [ -x "$cbit" ]; then
	echo "tests/run.sh: there is no $cbit; run make first" >&2
	exit 2
fi
finished=
ran=0
for section in $sections; do
	started=$SECONDS
	# shellcheck disable=SC2154
	echo "# $label$section"
	"section_$section"
	echo "# $label$section: $((SECONDS - started)) s"
	ran=$((ran + 1))
done

finished=1
# Wrong arithmetic makes bash drop the loop and go on here.
[ "$ran" -eq "$(wc -w <<<"$sections")" ] || not_ok "the suite ran to its end (section ${section:-none})"
count
[ "$failed" -eq 0 ]
