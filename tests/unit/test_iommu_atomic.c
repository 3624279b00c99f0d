/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Atomic DMA: each operation and size through the tables, the rights it needs, what is refused, and
 * that nothing is lost among devices and a CPU that use one word.
 */
#include <pthread.h>

#include "vi_rig.h"

#define IOVA  0x40000u
#define CELL  SCRATCH /* in sparse DRAM */
#define ADD   CBIT_ATOMIC_FETCH_ADD
#define SWAP  CBIT_ATOMIC_SWAP
#define CAS   CBIT_ATOMIC_CAS
#define WORDS 2

static enum cbit_dma_status atomic(struct rig *r, uint64_t iova, enum cbit_atomic_op op,
				   unsigned int size, const uint64_t *operand,
				   const uint64_t *compare, uint64_t *old)
{
	const struct cbit_dma_request rq = { .devid = DEV };

	return cbit_iommu_dma_atomic(r->iommu, &rq, CBIT_IOVA(iova), op, size, operand, compare,
				     old);
}

static const struct row {
	enum cbit_atomic_op op;
	unsigned int size;
	uint64_t before[WORDS], operand[WORDS], compare[WORDS], after[WORDS], old[WORDS];
} rows[] = {
	{ ADD,
	  4,
	  { 0xaaaaaaaafffffffe, 7 },
	  { 3 },
	  { 0 },
	  { 0xaaaaaaaa00000001, 7 },
	  { 0xfffffffe } },
	{ ADD, 8, { 0xfffffffffffffffe, 7 }, { 3, 9 }, { 0 }, { 1, 7 }, { 0xfffffffffffffffe } },
	{ SWAP,
	  4,
	  { 0x1111111122222222, 7 },
	  { 0x33333333 },
	  { 0 },
	  { 0x1111111133333333, 7 },
	  { 0x22222222 } },
	{ SWAP, 8, { 1, 7 }, { 2 }, { 0 }, { 2, 7 }, { 1 } },
	{ CAS,
	  4,
	  { 0x1111111122222222, 7 },
	  { 5 },
	  { 0x22222222 },
	  { 0x1111111100000005, 7 },
	  { 0x22222222 } },
	{ CAS,
	  4,
	  { 0x1111111122222222, 7 },
	  { 5 },
	  { 6 },
	  { 0x1111111122222222, 7 },
	  { 0x22222222 } },
	{ CAS, 8, { 4, 7 }, { 5 }, { 4 }, { 5, 7 }, { 4 } },
	{ CAS, 8, { 4, 7 }, { 5 }, { 3 }, { 4, 7 }, { 4 } },
	{ CAS, 16, { 4, 7 }, { 5, 8 }, { 4, 7 }, { 5, 8 }, { 4, 7 } },
	{ CAS, 16, { 4, 7 }, { 5, 8 }, { 4, 6 }, { 4, 7 }, { 4, 7 } },
};

static void test_operations(void **state)
{
	static const uint64_t where[] = { CELL, CLIENT, BAR };
	struct rig *r = vi_rig_new(true);

	(void)state;
	for (unsigned int w = 0; w < 3; w++)
		map(r, IOVA + w * 0x1000, where[w], 4096, where[w] == BAR ? PLAIN : ENC);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned int w = 0; w < 3; w++) {
			const struct row *row = &rows[i];
			uint64_t iova = IOVA + w * 0x1000 + 32, old[WORDS], now[WORDS];

			assert_int_equal(dma_write(r, iova, row->before, 16, NULL), CBIT_DMA_OK);
			assert_int_equal(atomic(r, iova, row->op, row->size, row->operand,
						row->compare, old),
					 CBIT_DMA_OK);
			assert_int_equal(dma_read(r, iova, now, 16, NULL), CBIT_DMA_OK);
			if (memcmp(now, row->after, 16) != 0 || memcmp(old, row->old, 16) != 0)
				fail_msg("row %zu at %u", i, w);
		}
	}
	assert_int_equal(r->n, 0);
	rig_free(r);
}

/* A size or alignment that PCI Express does not have: nothing happens, nothing is logged. */
static void test_unsupported(void **state)
{
	static const struct {
		enum cbit_atomic_op op;
		unsigned int size, offset;
	} bad[] = { { ADD, 0, 0 },   { ADD, 1, 0 },  { ADD, 2, 0 },    { ADD, 16, 0 },
		    { SWAP, 16, 0 }, { SWAP, 3, 0 }, { CAS, 32, 0 },   { CAS, 5, 0 },
		    { ADD, 4, 1 },   { ADD, 4, 2 },  { ADD, 8, 4 },    { CAS, 8, 1 },
		    { CAS, 16, 8 },  { CAS, 16, 4 }, { SWAP, 8, 4092 } };
	struct rig *r = vi_rig_new(true);
	const uint64_t one[WORDS] = { 1, 1 };
	uint64_t old[WORDS];

	(void)state;
	map(r, IOVA, CELL, 4096, ENC);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
			atomic(r, IOVA + bad[i].offset, bad[i].op, bad[i].size, one, one, old),
			CBIT_DMA_UNSUPPORTED);
		assert_int_equal(get64(r, CELL) | get64(r, CELL + 8), 0);
	}
	assert_int_equal(r->n, 0);
	expect_no_log(r);
	rig_free(r);
}

/* Both rights are needed, wherever one is missing; the device gets all ones. */
static void test_rights(void **state)
{
	struct rig *r = vi_rig_new(true);
	const uint64_t one[WORDS] = { 1 };
	uint64_t old[WORDS], at = dte_spa(r, DEV), good;

	(void)state;
	map(r, IOVA, CELL, 4096, ENC & ~CBIT_ATTR_WRITE);
	map(r, IOVA + 0x1000, CELL, 4096, ENC & ~CBIT_ATTR_READ);
	map(r, IOVA + 0x2000, CELL, 4096, ENC);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(atomic(r, IOVA + i * 0x1000, ADD, 4, one, NULL, old),
				 CBIT_DMA_FAULT);
		assert_int_equal(old[0], 0xffffffff);
		assert_int_equal(r->ev[i].type, CBIT_EVENT_DMA_NO_PERMISSION);
		assert_true(r->ev[i].write);
		expect_log(r, DEV, 0x20700001, IOVA + i * 0x1000);
	}
	assert_int_equal(atomic(r, IOVA + 0x2000, ADD, 8, one, NULL, old), CBIT_DMA_OK);
	assert_int_equal(old[0], 0);
	/* The DTE's rights count as the entries' do. */
	good = get64(r, at);
	for (unsigned int bit = 61; bit <= 62; bit++) {
		put64(r, at, good & ~(UINT64_C(1) << bit));
		command(r, DEV, 0x20000000, 0, 0);
		assert_int_equal(atomic(r, IOVA + 0x2000, ADD, 8, one, NULL, old), CBIT_DMA_FAULT);
		assert_int_equal(old[0], UINT64_MAX);
		expect_log(r, DEV, 0x20700001, IOVA + 0x2000);
	}
	put64(r, at, good);
	command(r, DEV, 0x20000000, 0, 0);
	/* Nothing mapped. */
	assert_int_equal(atomic(r, 0x123450, CAS, 16, one, one, old), CBIT_DMA_FAULT);
	assert_int_equal(old[0] & old[1], UINT64_MAX);
	expect_log(r, DEV, 0x20200001, 0x123450);
	assert_int_equal(get64(r, CELL), 1);
	rig_free(r);
}

/* Where it leads: nowhere, to memory that is gone, to memory under another key. */
static void test_outcomes(void **state)
{
	struct rig *r = vi_rig_new(true);
	const uint64_t one[WORDS] = { 1 };
	uint64_t old[WORDS], plain = 0x0123456789abcdef;

	(void)state;
	map(r, IOVA, BAR, 4096, ENC);
	assert_int_equal(atomic(r, IOVA, ADD, 4, one, NULL, old), CBIT_DMA_ABORT);
	assert_int_equal(old[0], 0xffffffff);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_ABORT);
	assert_int_equal(r->bar[0], 0);
	map(r, IOVA + 0x1000, CLIENT, 4096, ENC);
	r->client_hole = 0;
	assert_int_equal(atomic(r, IOVA + 0x1000, ADD, 4, one, NULL, old), CBIT_DMA_ABORT);
	assert_int_equal(r->ev[1].type, CBIT_EVENT_DMA_NO_BACKING);
	r->client_hole = CLIENT_SIZE;
	memcpy(r->client, &plain, 8);
	map(r, IOVA + 0x2000, CLIENT, 4096, PLAIN);
	assert_int_equal(atomic(r, IOVA + 0x2000, SWAP, 8, one, NULL, old), CBIT_DMA_OK);
	assert_int_equal(r->ev[2].type, CBIT_EVENT_DMA_WRONG_KEY);
	assert_int_not_equal(old[0], plain);
	assert_int_not_equal(memcmp(r->client, one, 8), 0);
	assert_int_equal(r->n, 3);
	rig_free(r);
}

/* Three devices and a CPU add to one word. */
#define ROUNDS 20000u

struct adder {
	struct rig *r;
	uint16_t devid;
};

static void *device(void *opaque)
{
	struct adder *a = opaque;
	const struct cbit_dma_request rq = { .devid = a->devid };
	const uint64_t one[WORDS] = { 1 };
	uint64_t old[WORDS];

	for (unsigned int i = 0; i < ROUNDS; i++)
		if (cbit_iommu_dma_atomic(a->r->iommu, &rq, CBIT_IOVA(IOVA), ADD, 8, one, NULL,
					  old) != CBIT_DMA_OK)
			return a;
	return NULL;
}

static void test_concurrent(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct adder adders[3];
	pthread_t threads[3];
	uint64_t *cpu;

	(void)state;
	map(r, IOVA, BAR, 4096, PLAIN);
	cpu = (uint64_t *)(void *)r->bar;
	for (unsigned int i = 0; i < 3; i++) {
		adders[i] = (struct adder){ r, (uint16_t)(DEV + i) };
		cbit_domain_attach(r->domain, adders[i].devid);
		assert_int_equal(pthread_create(&threads[i], NULL, device, &adders[i]), 0);
	}
	for (unsigned int i = 0; i < ROUNDS; i++)
		__atomic_fetch_add(cpu, 1, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < 3; i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(*cpu, 4 * ROUNDS);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations), cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_rights),     cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_concurrent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
