# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# tests/run.sh's tools: running one case, looking at what came of it, counting.
#
# A case is
#     begin NAME
#     try SECONDS COMMAND...      (may be repeated; the checks look at the last one)
#     want_... ; want_...
#     end
# and prints one line, ok or not ok; a failing case prints its log below.

passed=0
failed=0
skipped=0
label=${CBIT_TEST_LABEL:-}
T=$(mktemp -d "${TMPDIR:-/tmp}/cbit-tests.XXXXXX")
out=$T/out
err=$T/err

ok() {
	passed=$((passed + 1))
	printf 'ok %s%s\n' "$label" "$1"
}

# not_ok NAME [LOG...]: prints the ends of those files as well.
not_ok() {
	failed=$((failed + 1))
	printf 'not ok %s%s\n' "$label" "$1"
	shift
	local file
	for file; do
		[ -s "$file" ] && tail -n 60 "$file" | cut -c 1-300 | sed 's/^/    | /'
	done
	return 0
}

skip() {
	skipped=$((skipped + 1))
	printf 'skip %s%s - %s\n' "$label" "$1" "$2"
}

begin() {
	name=$1
	why=
	: >"$out"
	: >"$err"
	rc=
}

# Runs a command with a limit of time; rc is its exit status (124: out of time).
try() {
	local seconds=$1
	shift
	printf '$ %s\n' "$*" >"$T/command"
	rc=0
	timeout -k 3 "$seconds" "$@" >"$out" 2>"$err" <"${input:-/dev/null}" || rc=$?
	[ "$rc" -ne 124 ] || because "still running after $seconds s"
}

# try_cpu SECONDS COMMAND...: as try, in so much processor time; how long it waits for one is not its affair.
try_cpu() {
	local seconds=$1 TIMEFORMAT='%U %S'
	shift
	{ time try $((seconds * 20)) "$@"; } 2>"$T/time"
	awk -v most="$seconds" '{ exit $1 + $2 > most }' "$T/time" ||
		because "user and system time $(cat "$T/time") s, together more than $seconds"
}

because() {
	why="$why    * $1"$'\n'
}

want_rc() {
	[ "$rc" = "$1" ] || because "exit status $rc, expected $1"
}

want_out() {
	grep -qE -- "$1" "$out" || because "stdout lacks: $1"
}

want_no_out() {
	! grep -qE -- "$1" "$out" || because "stdout has: $1"
}

want_err() {
	grep -qE -- "$1" "$err" || because "stderr lacks: $1"
}

want_no_err() {
	! grep -qE -- "$1" "$err" || because "stderr has: $1"
}

# The ids of the findings on stderr, one a line.
findings() {
	sed -n 's/^cbit: finding \([a-z0-9-]*\):.*/\1/p' "$err"
}

# Exactly those findings: "want_findings" for none, "want_findings mmio-encrypted=6".
want_findings() {
	local expected=0 found pair last
	found=$(findings | sort | uniq -c | awk '{ print $2 "=" $1 }' | tr '\n' ' ')
	for pair; do
		expected=$((expected + ${pair#*=}))
	done
	[ "${found% }" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ' | sed 's/ $//')" ] ||
		because "findings: ${found:-none }; expected: ${*:-none}"
	last=$(tail -n 1 "$err")
	if [ "$expected" -eq 0 ]; then
		[ "$last" = 'cbit: no findings' ] || because "the last line is '$last'"
	else
		[[ $last =~ ^cbit:\ $expected\ findings?$ ]] || because "the last line is '$last'"
	fi
}

# At least one finding, and none of another kind than that.
want_only_findings() {
	local found
	found=$(findings | sort -u | tr '\n' ' ')
	[ "${found% }" = "$1" ] || because "findings: ${found:-none }; expected only: $1"
	want_err '^cbit: [0-9]+ findings?$'
}

# Findings of those kinds only, each of them at least once.
want_kinds() {
	local found
	found=$(findings | sort -u | tr '\n' ' ')
	[ "${found% }" = "$*" ] || because "findings: ${found:-none }; expected kinds: ${*:-none}"
}

end() {
	if [ -z "$why" ]; then
		ok "$name"
		return
	fi
	printf '%s' "$why" >"$T/why"
	not_ok "$name" "$T/why" "$T/command" "$out" "$err"
}

# The closing line; the unprivileged half leaves its numbers to the other one.
count() {
	if [ -n "${CBIT_TEST_COUNTS:-}" ]; then
		echo "$passed $failed $skipped" >"$CBIT_TEST_COUNTS"
	elif [ "$skipped" -gt 0 ]; then
		echo "$passed passed, $failed failed, $skipped skipped"
	else
		echo "$passed passed, $failed failed"
	fi
}

# A shell's own wait for a condition: until SECONDS COMMAND... What counts is a look that began when
# the time was up, and the twentieth in each second: on a busy machine a look may take as long as the whole
# wait, and where none of us gets a processor time goes by that is nobody's fault.
until_true() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000)) looks=$(($1 * 20)) look
	shift
	while :; do
		look=${EPOCHREALTIME/./}
		! "$@" || return 0
		looks=$((looks - 1))
		[ "$look" -lt "$deadline" ] || [ "$looks" -gt 0 ] || return 1
		sleep 0.02
	done
}

# has_capability NUMBER: root in a container may lack what root elsewhere has.
has_capability() {
	local effective
	effective=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
	((16#$effective >> $1 & 1))
}
