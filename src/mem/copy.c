/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies to and from memory that other threads look at while we copy.
 *
 * A bus moves an aligned word whole, and in order: a device that polls a descriptor never
 * sees half of it. memcpy promises neither, so short accesses made of whole aligned words go
 * word by word with acquire and release. Longer ones may tear, as bursts do.
 */
#include "mem_internal.h"

#define WORDS_MAX 64 /* bytes: a cache line */

static bool is_words(const uint8_t *shared, size_t len)
{
	return !(((uintptr_t)shared | len) & 7) && len <= WORDS_MAX;
}

static bool is_aligned(const uint8_t *shared, size_t len)
{
	return !((uintptr_t)shared & (len - 1));
}

/* The caller's side may have any alignment, hence the memcpy of a constant size. */
#define LOAD(type)                                                                              \
	do {                                                                                    \
		type v = __atomic_load_n((const type *)(const void *)shared, __ATOMIC_ACQUIRE); \
		memcpy(dst, &v, sizeof(v));                                                     \
	} while (0)

#define STORE(type)                                                            \
	do {                                                                   \
		type v;                                                        \
		memcpy(&v, src, sizeof(v));                                    \
		__atomic_store_n((type *)(void *)shared, v, __ATOMIC_RELEASE); \
	} while (0)

void cbit_mem_copy_out(void *dst, const uint8_t *shared, size_t len)
{
	if (is_words(shared, len)) {
		for (uint8_t *d = dst; len; len -= 8, d += 8, shared += 8) {
			dst = d;
			LOAD(uint64_t);
		}
	} else if (len == 4 && is_aligned(shared, 4)) {
		LOAD(uint32_t);
	} else if (len == 2 && is_aligned(shared, 2)) {
		LOAD(uint16_t);
	} else if (len == 1) {
		LOAD(uint8_t);
	} else {
		memcpy(dst, shared, len);
	}
}

void cbit_mem_copy_in(uint8_t *shared, const void *src, size_t len)
{
	if (is_words(shared, len)) {
		for (const uint8_t *s = src; len; len -= 8, s += 8, shared += 8) {
			src = s;
			STORE(uint64_t);
		}
	} else if (len == 4 && is_aligned(shared, 4)) {
		STORE(uint32_t);
	} else if (len == 2 && is_aligned(shared, 2)) {
		STORE(uint16_t);
	} else if (len == 1) {
		STORE(uint8_t);
	} else {
		memcpy(shared, src, len);
	}
}
