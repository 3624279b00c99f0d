/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backtraces of a child that waits in a system call: told apart, recognised, and named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <cbit/report.h>
#include "host/host.h"

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define KEEP __asm__ volatile("" ::: "memory")

static int pipes[2][2]; /* what the child waits for; what it says */

/* Written before the child is made to wait; read by the parent. */
NOINLINE static void wait_here(int line)
{
	char byte;

	if (write(pipes[1][1], &line, sizeof(line)) != sizeof(line) ||
	    read(pipes[0][0], &byte, 1) != 1)
		_exit(1);
	KEEP;
}

NOINLINE static void one(void)
{
	wait_here(__LINE__);
	KEEP;
}

NOINLINE static void two(void)
{
	volatile char room[3000];

	room[0] = 1;
	wait_here(__LINE__);
	KEEP;
	(void)room[0];
}

NOINLINE static void deep(int n)
{
	if (n)
		deep(n - 1);
	else
		wait_here(__LINE__);
	KEEP;
}

static void child_main(void)
{
	volatile int twice = 2; /* one place, not two */

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		for (int i = 0; i < twice; i++)
			one();
		two();
		deep(40);
	}
}

static struct cbit_owner owner = { .serial = 1 };

/* Let the child go on to its next wait, and take where it is. */
static uint32_t next(struct host_traces *traces, int *line, bool first)
{
	struct seccomp_notif req = { .data = { .nr = SYS_read } };
	uint64_t stack[HOST_STACK_WORDS];
	struct host_call call = { .req = &req, .tid = owner.tgid, .stack = stack };
	char path[64], state = 0;
	FILE *f;

	if (!first)
		assert_int_equal(write(pipes[0][1], "g", 1), 1);
	assert_int_equal(read(pipes[1][0], line, sizeof(*line)), sizeof(*line));
	snprintf(path, sizeof(path), "/proc/%d/syscall", owner.tgid);
	while (state != '0') { /* read(2) is call 0; "running" before that */
		f = fopen(path, "re");
		assert_non_null(f);
		assert_int_equal(fread(&state, 1, 1, f), 1);
		fclose(f);
	}
	return host_trace_take(traces, &owner, &call);
}

/* Is @function at @line among the frames of @trace? */
static bool names(struct host_traces *traces, uint32_t trace, const char *function, int line)
{
	const struct cbit_trace_source source = host_traces_source(traces);
	struct cbit_frame frames[32];
	unsigned int nr = source.frames(source.opaque, trace, frames, 32);

	for (unsigned int i = 0; i < nr; i++) {
		assert_true(frames[i].module[0] == '/' && frames[i].offset);
		if (!strcmp(frames[i].function, function) && frames[i].line == (unsigned int)line &&
		    strstr(frames[i].file, "test_backtrace.c"))
			return true;
	}
	return false;
}

static void test_told_apart(void **state)
{
	struct host_traces *traces;
	uint32_t t[4], again;
	int line[4], l;

	(void)state;
	assert_int_equal(pipe(pipes[0]) | pipe(pipes[1]), 0);
	owner.tgid = fork();
	if (!owner.tgid) {
		child_main();
		_exit(0);
	}
	assert_int_equal(host_traces_create(&traces), 0);
	for (int i = 0; i < 4; i++) {
		t[i] = next(traces, &line[i], !i);
		assert_int_not_equal(t[i], 0);
	}
	/* the two calls of one() come from one place */
	assert_int_equal(t[0], t[1]);
	assert_int_not_equal(t[1], t[2]);
	assert_int_not_equal(t[2], t[3]);
	for (int i = 0; i < 12; i++) {
		again = next(traces, &l, false);
		assert_int_equal(again, t[i % 4]);
		assert_int_equal(l, line[i % 4]);
	}
	assert_true(names(traces, t[0], "one", line[0]));
	assert_true(names(traces, t[2], "two", line[2]));
	assert_true(names(traces, t[3], "deep", line[3]));
	assert_false(names(traces, t[0], "two", line[2]));
	/* names are there without the process; numbers that were never given name nothing */
	kill(owner.tgid, SIGKILL);
	waitpid(owner.tgid, NULL, 0);
	assert_true(names(traces, t[2], "two", line[2]));
	assert_false(names(traces, 0, "two", line[2]));
	assert_false(names(traces, t[3] + 100, "two", line[2]));
	host_traces_destroy(traces);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_told_apart) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
