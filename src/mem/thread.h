/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How threads are started, in all rooms.
 */
#ifndef CBIT_MEM_THREAD_H
#define CBIT_MEM_THREAD_H

#include <pthread.h>

/**
 * mem_thread_start() - start a thread whose stack is large enough, whatever RLIMIT_STACK says.
 * @thread: out: to join it by
 * @run: what it does, with @opaque
 *
 * Return: 0, or a negative errno.
 */
int mem_thread_start(pthread_t *thread, void *(*run)(void *opaque), void *opaque);

#endif
