#!/bin/sh
# The demo: one unmodified VFIO program, twice. Device A copies a buffer into device B's BAR on a
# machine with encrypted memory; first as the Linux 7.2 kernel maps the BAR, then with the
# mapping right.
#
# usage: scripts/demo.sh [BUILD_DIR]
# Exit status 0 only when the first copy was lost with a finding that says so, and the second one
# arrived without findings.
set -eu

build=${1:-build}
out=$(mktemp)
err=$(mktemp)
trap 'rm -f "$out" "$err"' EXIT
rc=0

# Runs the example under that policy; $out, $err and $rc tell what came of it.
demo() {
	set -- "$build/cbit" run --platform sme --policy "$1" --device ioat --device ioat,membar=1M \
		-- "$build/examples/p2p_copy"
	printf '$ %s\n' "$*"
	rc=0
	"$@" >"$out" 2>"$err" || rc=$?
	cat "$out" "$err"
	printf '(exit status %d)\n\n' "$rc"
}
wrong() {
	printf 'demo: %s\n' "$1" >&2
	exit 1
}

demo linux-7.2
[ "$rc" -eq 1 ] || wrong "under linux-7.2 the copy should have been lost"
grep -q '^the copy was lost' "$out" || wrong "the program did not say that the copy was lost"
grep -q '^cbit: finding mmio-encrypted:' "$err" || wrong "the finding mmio-encrypted is missing"

demo complete
[ "$rc" -eq 0 ] || wrong "under complete the bytes should have arrived"
grep -q '^the bytes arrived' "$out" || wrong "the program did not say that the bytes arrived"
grep -qx 'cbit: no findings' "$err" || wrong "there should be no findings"

echo 'Same program, same devices, same machine with encrypted memory (SME). Under linux-7.2 the'
echo 'BAR was mapped with the C-bit, and the copy went nowhere; under complete it was mapped'
echo 'without, and the bytes arrived.'
