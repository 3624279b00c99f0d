#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Instructions an operation, counted by callgrind, against bench/guard.counts: unlike times they
# are the same on every machine and in every run, so a CI may fail on them. For that libc is kept to
# what every x86-64 processor has: its memset of a page takes twice the instructions without AVX2.
# The stored ones are those of gcc 12 (Debian 12); another compiler's differ by up to half.
#
#   bench/guard.sh [--update] [BUILD]    BUILD: a release build with -Dbench=true
set -eu

update=false
if [ "${1:-}" = --update ]; then
	update=true
	shift
fi
build=${1:-build-bench}
counts=$(dirname "$0")/guard.counts
tolerance=10 # per cent: what another release of a compiler may change
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512VL,-AVX512BW,-ERMS

# Figure, function that does the work, operations of one round.
while read -r figure function operations; do
	valgrind --tool=callgrind --callgrind-out-file="$tmp/out" --collect-atstart=no \
		--toggle-collect="$function" "$build/bench/cbit-bench" --once "$figure" \
		>/dev/null 2>"$tmp/err" || { cat "$tmp/err" >&2; exit 1; }
	total=$(awk '/^(summary|totals):/ { print $2; exit }' "$tmp/out")
	now=$(awk -v t="$total" -v n="$operations" 'BEGIN { printf "%.1f", t / n }')
	if $update; then
		echo "$figure $now" >>"$tmp/counts"
		continue
	fi
	then=$(awk -v f="$figure" '$1 == f { print $2 }' "$counts")
	verdict=$(awk -v a="$now" -v b="${then:-0}" -v t="$tolerance" \
		'BEGIN { print (a <= b * (1 + t / 100)) ? "ok" : "more" }')
	echo "guard $figure $now instructions stored=${then:-none} $verdict"
	[ "$verdict" = ok ] || bad=1
done <<'END'
pt-64m-4k-map run_range 16384
pt-64m-64k-unmap run_range 16384
pt-2m-map run_large 20000
pt-4k-pair-warm run_pairs 100000
walk-1g-independent run_independent 262144
walk-nested-4x4-npt run_independent 262144
iotlb-hit-2048-pages run_hits 1000000
iommu-domain-4k-pair run_domain 50000
END
if $update; then
	cp "$tmp/counts" "$counts"
	cat "$counts"
fi
exit $bad
