/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vector registers of a traced thread, for the instructions of insn.c.
 */
#ifndef CBIT_HOST_INSN_VECTOR_H
#define CBIT_HOST_INSN_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_VECTOR_BYTES 64u

/** struct host_vectors - them all. @area: what XSAVE has, AMX's tiles included. */
struct host_vectors {
	pid_t tid;
	bool have, changed;
	size_t len;
	uint8_t area[16384] __attribute__((aligned(8)));
};

void host_vector_begin(struct host_vectors *v, pid_t tid);
/** host_vector_get() - register 0 to 31, zeros for parts that there are not. False: no such one. */
bool host_vector_get(struct host_vectors *v, unsigned int reg, uint8_t out[HOST_VECTOR_BYTES]);
bool host_vector_set(struct host_vectors *v, unsigned int reg, const uint8_t value[]);
/** host_vector_enabled() - bytes that mask register @k has, whose bits are for @size bytes each. */
bool host_vector_enabled(struct host_vectors *v, unsigned int k, unsigned int size,
			 bool on[HOST_VECTOR_BYTES]);
/** host_vector_put() - what was set is the thread's from now on. */
bool host_vector_put(struct host_vectors *v);

#endif
