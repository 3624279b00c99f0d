#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Run every fuzz target for some seconds on its corpus and count.
#
#   tests/fuzz/run.sh [SECONDS [BUILD]]
#
# Builds the targets in BUILD (default build-fuzz) when need be. Inputs found on the way are
# kept in BUILD/corpus/NAME, those that fail in BUILD/crash-NAME-*; the seeds in tests/fuzz/corpus
# are only read. SECONDS of 0 runs the corpus once and no more. Status 1 when one has failed.
set -eu

cd "$(dirname "$0")/../.."
seconds=${1:-300}
build=${2:-build-fuzz}
targets='ioctl iommufd walk command spec config path insn scenario fault nvme dsa'
passed=0
failed=0

if [ ! -f "$build/build.ninja" ]; then
	CC=clang meson setup "$build" -Dfuzz=true -Dtests=false >/dev/null
fi
ninja -C "$build" fuzz >"$build/fuzz-build.log" 2>&1 || {
	cat "$build/fuzz-build.log" >&2
	exit 1
}

for name in $targets; do
	mkdir -p "$build/corpus/$name"
	seeds="tests/fuzz/corpus/$name"
	if [ "$seconds" -eq 0 ]; then
		limit='-runs=0'
	else
		limit="-max_total_time=$seconds"
	fi
	log="$build/fuzz-$name.log"
	# The device's worker makes one input in a thousand slow; none may hang.
	runs=0
	if "$build/tests/fuzz/fuzz_$name" "$limit" -timeout=20 -rss_limit_mb=3000 -max_len=4096 -len_control=0 \
		-print_final_stats=1 -artifact_prefix="$build/crash-$name-" \
		"$build/corpus/$name" "$seeds" >"$log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	fi
	if [ "${runs:-0}" -gt 0 ]; then
		passed=$((passed + 1))
		echo "fuzz_$name: $runs inputs"
	else
		failed=$((failed + 1))
		echo "fuzz_$name: failed, see $log"
		tail -n 40 "$log" >&2
	fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
