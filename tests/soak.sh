#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The full figures of what "make test" runs shortened: random operations against their models, by
# the ten million, and storms many times over. Hours on a small machine.
#
#   tests/soak.sh [BUILD [OPERATIONS]]
#
# Each line tells the program, its operations and the seed; a seed that failed is run again with
# CBIT_SEED=SEED. Status 1 when anything failed.
set -eu

cd "$(dirname "$0")/.."
build=${1:-build}
operations=${2:-10000000}
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

ninja -C "$build" >/dev/null
for name in pt_property mem_equal dma_model dma_iova sim_model; do
	program=$build/tests/unit/test_$name
	seed=${CBIT_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
	started=$SECONDS
	if CBIT_OPS=$operations CBIT_SEED=$seed "$program" >"$log" 2>&1; then
		passed=$((passed + 1))
		echo "soak $name: ok, $operations operations, seed $seed, $((SECONDS - started)) s"
	else
		failed=$((failed + 1))
		echo "soak $name: failed, seed $seed"
		tail -n 40 "$log" | sed 's/^/    | /'
	fi
done
# Either side killed, CBIT_SOAK_KILLS times.
for _ in $(seq "${CBIT_SOAK_KILLS:-20}"); do
	if BUILD=$build tests/run.sh kill >"$log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		grep -A20 '^not ok' "$log" || tail -n 20 "$log"
	fi
done
# The supervisor of a disk under load, CBIT_SOAK_CUTS times.
if CBIT_POWER_CUTS=${CBIT_SOAK_CUTS:-100} BUILD=$build tests/run.sh powercut >"$log" 2>&1; then
	passed=$((passed + 1))
	grep '^ok' "$log"
else
	failed=$((failed + 1))
	tail -n 20 "$log"
fi
echo "soak: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
