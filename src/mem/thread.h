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

/**
 * mem_thread_start_worker() - the same for a thread of a device. It takes no signals: those are for
 * the program around us. But what it brings about itself (SIGBUS, SIGSEGV) must reach it: the
 * presenter answers for client memory that is cut off under a DMA.
 */
int mem_thread_start_worker(pthread_t *thread, void *(*run)(void *opaque), void *opaque);

#endif
