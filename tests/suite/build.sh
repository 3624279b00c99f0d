# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Sections unit, fuzz and sanitize: the cmocka programs, plain and under the sanitizers and valgrind;
# a build by clang; a sanitized cbit under the plain clients.

# unit_programs BUILD: the cmocka programs of that build directory.
unit_programs() {
	find "$1/tests/unit" -maxdepth 1 -type f -name 'test_*' -perm -u+x 2>/dev/null | sort
}

# unit_cases LABEL PROGRAM COMMAND...: runs a cmocka program, counting each of its cases. The " - "
# tells cmocka's lines from those of programs that a test runs.
unit_cases() {
	local where=$1 test line seen=0
	test=$(basename "$2")
	test=${test#test_}
	shift 2
	begin "$where $test"
	CMOCKA_MESSAGE_OUTPUT=TAP try "${limit:-180}" "$@"
	cat "$out" "$err" >"$T/unit"
	while IFS= read -r line; do
		seen=$((seen + 1))
		line=${line#*ok }
		line=${line#* - }
		ok "$name: ${line%% \# *}"
	done < <(grep -E '^ok [0-9]+ - ' "$T/unit" || true)
	while IFS= read -r line; do
		seen=$((seen + 1))
		line=${line#*ok }
		case $line in
		*'# SKIP '*)
			skip "$name: ${line#*# SKIP }" "the test says so"
			continue
			;;
		esac
		not_ok "$name: ${line#* - }" "$out" "$err"
	done < <(grep -E '^not ok [0-9]+ (-|# SKIP) ' "$T/unit" || true)
	if [ "$rc" -ne 0 ] && ! grep -qE '^not ok [0-9]+ - ' "$T/unit"; then
		not_ok "$name: exit status $rc" "$out" "$err"
	elif ! grep -qx "1\.\.$seen" "$T/unit"; then
		not_ok "$name: $seen cases ran, that was not the plan" "$out" "$err"
	fi
}

section_unit() {
	local program any=
	for program in $(unit_programs "$build"); do
		any=1
		unit_cases unit "$program" "$program"
	done
	[ -n "$any" ] || not_ok "unit: there are programs in $build/tests/unit"
}

# Every fuzz target for a moment on its corpus; "make fuzz" runs them at length.
section_fuzz() {
	local line any=
	begin "fuzz"
	try 3000 "$here/fuzz/run.sh" "${CBIT_FUZZ_SECONDS:-20}" "$build-fuzz"
	while IFS= read -r line; do
		case $line in
		fuzz_*': failed'*) not_ok "$line" "$out" "$err" ;;
		fuzz_*' inputs') ok "$line" ;;
		*) continue ;;
		esac
		any=1
	done < <(cat "$out")
	# Those that came first may be well, and the rest not have run.
	if [ -z "$any" ] || { [ "$rc" -ne 0 ] && ! grep -q '^fuzz_.*: failed' "$out"; }; then
		not_ok "fuzz: the targets build and run, exit status $rc" "$out" "$err"
	fi
}

# make_build DIRECTORY OPTIONS...: a further build; a case of its own. False when it fails.
make_build() {
	local dir=$1
	shift
	begin "build: $(basename "$dir") ($*)"
	rc=0
	[ -f "$dir/build.ninja" ] || try 120 meson setup "$dir" "$here/.." "$@"
	[ "$rc" -ne 0 ] || try 3000 ninja -C "$dir"
	[ "$rc" -eq 0 ] || because "it does not build"
	end
	[ -z "$why" ]
}

# threaded BUILD: those of that build directory in which there can be two threads: the test's own, or one
# of a device's (its rig or its room has devices).
threaded() {
	local program
	for program in $(unit_programs "$1"); do
		if grep -qE 'pthread_create|"(dev|ioat|iommufd|client|hostile|migration|nvme|dsa)[a-z_]*\.h"|<cbit/(dev|vfio)\.h>' \
			"$here/unit/$(basename "$program").c"; then
			echo "$program"
		fi
	done
}

section_sanitize() {
	local program cbit=$cbit label=$label fixed='setarch -R'
	export ASAN_OPTIONS=exitcode=99:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	export TSAN_OPTIONS="exitcode=99:halt_on_error=1:suppressions='$here/tsan.supp'"

	CC=clang make_build "$build-clang" || true
	if make_build "$build-asan" -Db_sanitize=address,undefined; then
		for program in $(unit_programs "$build-asan"); do
			unit_cases asan "$program" "$program"
		done
		cbit=$build-asan/cbit
		label="${label}asan: "
		client_basics
		label=${label%asan: }
	fi
	if make_build "$build-tsan" -Db_sanitize=thread; then
		# Without address randomisation, where one may turn it off: its shadow has a fixed place.
		$fixed true 2>/dev/null || fixed=
		for program in $(threaded "$build-tsan"); do
			# shellcheck disable=SC2086 # none or two words
			limit=400 unit_cases tsan "$program" $fixed "$program"
		done
		# Its threads under ours: a script, for cbit is one word to the cases.
		printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$fixed" "$build-tsan/cbit" >"$T/cbit-tsan"
		chmod +x "$T/cbit-tsan"
		cbit=$T/cbit-tsan
		label="${label}tsan: "
		client_basics
		label=${label%tsan: }
	fi
	# Under valgrind the smallest of the unit tests that touch modelled memory.
	for program in $(unit_programs "$build" | grep -E '/test_(mem|pt)$' || true); do
		limit=400 unit_cases valgrind "$program" \
			valgrind -q --error-exitcode=99 --leak-check=full "$program"
	done
	unset ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
}
