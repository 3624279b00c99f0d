/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How threads are started. The C library takes RLIMIT_STACK for the stack of a thread, and that
 * limit is whoever's who started us: a shell with a small one would make us crash.
 */
#include <signal.h>

#include "thread.h"

/*
 * The largest frames are of 64 and 80 KiB, libdw's, which reads a program's line numbers for a
 * report, of 150; and sanitizers make them larger. What is not touched costs nothing.
 */
#define STACK_SIZE ((size_t)2 << 20)

int mem_thread_start(pthread_t *thread, void *(*run)(void *opaque), void *opaque)
{
	pthread_attr_t attr;
	int ret = -pthread_attr_init(&attr);

	if (ret)
		return ret;
	ret = -pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (!ret)
		ret = -pthread_create(thread, &attr, run, opaque);
	pthread_attr_destroy(&attr);
	return ret;
}

int mem_thread_start_worker(pthread_t *thread, void *(*run)(void *opaque), void *opaque)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = mem_thread_start(thread, run, opaque);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}
