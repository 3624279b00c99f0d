/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arithmetic of atomic accesses: by the CPU's own instructions on memory that others use
 * at the same time, and plainly on a block that is ours alone.
 */
#include "mem_internal.h"

/* cbit_mem_block_load() - a block that may change meanwhile; its halves may be of two times. */
void cbit_mem_block_load(const uint8_t *shared, uint8_t block[MEM_BLOCK])
{
	cbit_mem_copy_out(block, shared, MEM_BLOCK);
}

/*
 * cbit_mem_block_swap() - put @block where @expect is. @shared is a multiple of 16. The compilers'
 * own 16-byte swap becomes a call to a library, or a missing one, unless everything is built for
 * processors that have the instruction; every one with an encryption engine does.
 * Return: false, and what is there in @expect, if it was something else.
 */
bool cbit_mem_block_swap(uint8_t *shared, uint8_t expect[MEM_BLOCK], const uint8_t block[MEM_BLOCK])
{
	uint64_t seen[2], with[2];
	bool same;

	memcpy(seen, expect, sizeof(seen));
	memcpy(with, block, sizeof(with));
	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@ccz"(same), "+m"(*(uint8_t(*)[MEM_BLOCK])shared), "+a"(seen[0]),
			   "+d"(seen[1])
			 : "b"(with[0]), "c"(with[1])
			 : "memory");
	memcpy(expect, seen, sizeof(seen));
	return same;
}

static uint32_t atomic_4(uint32_t *p, const struct mem_atomic *a)
{
	uint32_t operand = (uint32_t)a->operand[0], expect;

	switch (a->op) {
	case CBIT_ATOMIC_FETCH_ADD:
		return __atomic_fetch_add(p, operand, __ATOMIC_SEQ_CST);
	case CBIT_ATOMIC_SWAP:
		return __atomic_exchange_n(p, operand, __ATOMIC_SEQ_CST);
	case CBIT_ATOMIC_CAS:
		break;
	}
	expect = (uint32_t)a->compare[0];
	__atomic_compare_exchange_n(p, &expect, operand, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expect;
}

static uint64_t atomic_8(uint64_t *p, const struct mem_atomic *a)
{
	uint64_t operand = a->operand[0], expect;

	switch (a->op) {
	case CBIT_ATOMIC_FETCH_ADD:
		return __atomic_fetch_add(p, operand, __ATOMIC_SEQ_CST);
	case CBIT_ATOMIC_SWAP:
		return __atomic_exchange_n(p, operand, __ATOMIC_SEQ_CST);
	case CBIT_ATOMIC_CAS:
		break;
	}
	expect = a->compare[0];
	__atomic_compare_exchange_n(p, &expect, operand, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expect;
}

/* cbit_mem_atomic_shared() - at @at, a multiple of the size. Other threads see all or nothing. */
void cbit_mem_atomic_shared(uint8_t *at, const struct mem_atomic *a)
{
	if (a->size == 4) {
		a->old[0] = atomic_4((uint32_t *)(void *)at, a);
	} else if (a->size == 8) {
		a->old[0] = atomic_8((uint64_t *)(void *)at, a);
	} else {
		uint8_t seen[MEM_BLOCK], with[MEM_BLOCK];

		memcpy(seen, a->compare, sizeof(seen));
		memcpy(with, a->operand, sizeof(with));
		cbit_mem_block_swap(at, seen, with);
		memcpy(a->old, seen, sizeof(seen));
	}
}

/* cbit_mem_atomic_own() - the same where nobody else looks; @at may have any alignment. */
void cbit_mem_atomic_own(uint8_t *at, const struct mem_atomic *a)
{
	uint64_t block[2] __attribute__((aligned(16))) = { 0 };

	memcpy(block, at, a->size);
	cbit_mem_atomic_shared((uint8_t *)block, a);
	memcpy(at, block, a->size);
}
