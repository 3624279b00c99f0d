# shellcheck shell=bash disable=SC2016,SC2034,SC2054,SC2154
# Section kill: kill -9 of the client or of the supervisor leaves nothing behind.

# The processes that carry this case's mark in their environment, zombies left out.
marked() {
	grep -lsz "^CBIT_TEST_MARK=$mark\$" /proc/[0-9]*/environ | cut -d/ -f3
	return 0
}

none_marked() {
	[ -z "$(marked)" ]
}

# What could be left in a file system: anything where TMPDIR points, which is this case's alone, and
# what bears our name where everybody's temporary files are. (Other files come and go there with
# whatever else the machine does, a compiler in the background for one.)
temporary_files() {
	{
		find "$private" -mindepth 1
		find /tmp /dev/shm -mindepth 1 -maxdepth 1 -user "$(id -u)" -name '*cbit*' \
			! -name 'cbit-tests.*' ! -name 'cbit-tables-*'
	} 2>/dev/null | sort
}

new_files() {
	temporary_files | comm -13 "$T/files" -
}

no_new_files() {
	[ -z "$(new_files)" ]
}

# Starts cbit with a client in the background, in a session of its own; pid is cbit.
start_marked() {
	mark=$$-$RANDOM-$RANDOM
	private=$(mktemp -d "$T/private.XXXXXX")
	temporary_files >"$T/files"
	: >"$out"
	: >"$err"
	printf '$ %s\n' "$*" >"$T/command"
	CBIT_TEST_MARK=$mark TMPDIR=$private setsid "$@" >"$out" 2>"$err" </dev/null &
	pid=$!
}

client_pid() {
	local p
	for p in $(marked); do
		if [ "$(cat "/proc/$p/comm" 2>/dev/null)" = "$1" ]; then
			printf '%s\n' "$p"
			return
		fi
	done
}

# How long a killed supervisor's program may live. On a free processor a second is ample. It dies when the tracer
# has closed its files, an inotify descriptor among them, and that waits for work in the kernel's background, on a
# busy machine for seconds.
soon() {
	awk -v processors="$(nproc)" '{ print ($1 > processors ? 20 : 1) }' /proc/loadavg
}

# Nothing may be left so many seconds after the kill.
want_nothing_left() {
	local p
	if ! until_true "${1:-$(soon)}" none_marked; then
		for p in $(marked); do
			because "left: $p $(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null)"
			kill -9 "$p" 2>/dev/null || true
		done
	fi
	rc=0
	wait "$pid" 2>/dev/null || rc=$?
}

kill_case() {
	begin "$1"
	"$2"
	until_true 2 no_new_files || because "new files: $(new_files | tr '\n' ' ')"
	end
}

kill_cbit() {
	kill -9 "$pid" || because "cbit had ended by itself"
}

wait_for_dma() {
	until_true 15 grep -q '^starting' "$out" || because "the client did not start"
	sleep 0.3
}

kill_client() {
	local victim
	start_marked "$cbit" run --device ioat -- "$clients/client_longdma"
	wait_for_dma
	victim=$(client_pid client_longdma)
	if [ -n "$victim" ]; then
		kill -9 "$victim" || because "the client had ended by itself"
	else
		because "no client to kill"
		kill_cbit
	fi
	# Here the supervisor closes it, and at length, before it ends.
	want_nothing_left 20
	want_rc 137
}

kill_supervisor() {
	start_marked "$cbit" run --device ioat -- "$clients/client_longdma"
	wait_for_dma
	kill_cbit
	want_nothing_left
	want_rc 137
}

kill_supervisor_of_two() {
	start_marked "$cbit" run --device ioat -- "$clients/client_longdma" fork
	wait_for_dma
	kill_cbit
	want_nothing_left
}

# The shell starts its client twice over: grandchildren, daemons.
kill_supervisor_of_daemon() {
	# shellcheck disable=SC2016
	start_marked "$cbit" run --device ioat -- sh -c 'setsid "$0" & sleep 100' \
		"$clients/client_longdma"
	wait_for_dma
	kill_cbit
	want_nothing_left
}

# At any moment of its start.
kill_early() {
	local i
	for i in 0 5 10 15 20 30 40 60 80 120; do
		start_marked "$cbit" run --device ioat -- "$clients/client_longdma"
		sleep "0.$(printf '%03d' "$i")"
		kill_cbit
		want_nothing_left
		no_new_files || until_true 2 no_new_files || return 0
	done
}

ended() {
	! [ -e "/proc/$1" ]
}

# SIGTERM is for the program; when that has ended, for what it has left behind.
terminate() {
	start_marked "$cbit" run --device ioat -- sh -c 'trap "exit 5" TERM; echo starting; while :; do sleep 0.1; done'
	wait_for_dma
	kill -TERM "$pid"
	want_nothing_left 20
	want_rc 5
	start_marked "$cbit" run --device ioat -- sh -c 'sh -c "sleep 100 & sleep 100" & echo "starting $$"; exit 3'
	wait_for_dma
	until_true 15 ended "$(sed -n 's/^starting //p' "$out")" || because "the program did not end"
	kill -TERM "$pid" || because "cbit had ended by itself"
	want_nothing_left 20
	want_rc 3
}

section_kill() {
	# Without bash's own "Killed" lines.
	exec 4>&2 2>/dev/null
	kill_case "kill -9 of the client amid DMA" kill_client
	kill_case "kill -9 of the supervisor amid DMA" kill_supervisor
	kill_case "kill -9 of the supervisor of two processes" kill_supervisor_of_two
	kill_case "kill -9 of the supervisor of a daemon" kill_supervisor_of_daemon
	kill_case "kill -9 of the supervisor while it starts" kill_early
	kill_case "SIGTERM" terminate
	exec 2>&4 4>&-
}
