/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page tables: random operations against a flat model, walks of hostile tables.
 */
#include <errno.h>
#include <stdlib.h>

#include "pt_rig.h"

/* --- random operations against a flat model --- */

#define MODEL_PAGES (1u << 16)
#define MODEL_BASE  ((uint64_t)0x7ffff0000000 - 0x40000000)

/* @start: first page of the leaf that a page belongs to; @lg2 its size, 0 for none. */
struct model_page {
	uint32_t start;
	uint8_t lg2;
	uint8_t attrs;
	uint64_t spa;
};

static uint64_t rng;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* The largest leaf by the definition, one candidate after the other. */
static unsigned int model_best(uint64_t iova, uint64_t spa, uint64_t left)
{
	unsigned int lg2 = 12;

	for (unsigned int n = 13; n < 30; n++) {
		uint64_t size = (uint64_t)1 << n;

		if (!(iova % size) && !(spa % size) && size <= left)
			lg2 = n;
	}
	return lg2;
}

static int model_map(struct model_page *m, uint32_t at, uint64_t spa, uint32_t pages,
		     unsigned int attrs)
{
	for (uint32_t i = 0; i < pages; i++)
		if (m[at + i].lg2)
			return -EEXIST;
	while (pages) {
		unsigned int lg2 =
			model_best(MODEL_BASE + (uint64_t)at * 4096, spa, (uint64_t)pages * 4096);
		uint32_t n = 1u << (lg2 - 12);

		for (uint32_t i = 0; i < n; i++)
			m[at + i] = (struct model_page){ .start = at,
							 .lg2 = (uint8_t)lg2,
							 .attrs = (uint8_t)attrs,
							 .spa = spa };
		at += n;
		pages -= n;
		spa += (uint64_t)n * 4096;
	}
	return 0;
}

static uint64_t model_unmap(struct model_page *m, uint32_t at, uint32_t pages)
{
	uint64_t removed = 0;

	for (uint32_t i = at; i < at + pages; i++) {
		if (m[i].lg2 && m[i].start == i) {
			uint32_t n = 1u << (m[i].lg2 - 12);

			removed += (uint64_t)n * 4096;
			memset(&m[i], 0, n * sizeof(*m));
		}
	}
	return removed;
}

static void model_walk(struct cbit_pt *pt, const struct model_page *m, uint32_t at)
{
	struct cbit_pt_leaf leaf;
	int err = cbit_pt_walk(pt, CBIT_IOVA(MODEL_BASE + (uint64_t)at * 4096 + 123), &leaf);

	if (!m[at].lg2) {
		assert_int_equal(err, -ENOENT);
		return;
	}
	assert_int_equal(err, 0);
	assert_int_equal(leaf.iova.v, MODEL_BASE + (uint64_t)m[at].start * 4096);
	assert_int_equal(leaf.size, (uint64_t)1 << m[at].lg2);
	assert_int_equal(leaf.spa.v, m[at].spa);
	assert_int_equal(leaf.attrs, m[at].attrs);
}

static void test_property(void **state)
{
	struct model_page *m = calloc(MODEL_PAGES, sizeof(*m));
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_pt(mem, 4, 6);
	unsigned int leaves;
	uint64_t n;

	(void)state;
	assert_non_null(m);
	rng = 0x123456789abcdef;
	for (unsigned int op = 0; op < 1200000; op++) {
		uint32_t at = (uint32_t)(rnd() % MODEL_PAGES);
		uint32_t pages = (uint32_t)(rnd() % (op % 64 ? 48 : 4096)) + 1;
		unsigned int attrs = (unsigned int)rnd() & 15;
		uint64_t spa = rnd() % (1u << 20) * 4096;

		if (pages > MODEL_PAGES - at)
			pages = MODEL_PAGES - at;
		/* Half the SPAs are congruent, as with huge pages behind them. */
		if (rnd() & 1)
			spa = GIB(4) + ((uint64_t)at * 4096 + MODEL_BASE) % GIB(1);
		switch (op % 4) {
		case 0: {
			int want = model_map(m, at, spa, pages, attrs);

			assert_int_equal(
				cbit_pt_map(pt, CBIT_IOVA(MODEL_BASE + (uint64_t)at * 4096),
					    CBIT_SPA(spa), (uint64_t)pages * 4096, attrs, &n),
				want);
			if (!want) {
				assert_int_equal(n, (uint64_t)pages * 4096);
			} else if (n) {
				uint64_t gone;

				cbit_pt_unmap(pt, CBIT_IOVA(MODEL_BASE + (uint64_t)at * 4096), n,
					      &gone);
				assert_int_equal(gone, n);
			}
			break;
		}
		case 1:
			assert_int_equal(cbit_pt_unmap(pt,
						       CBIT_IOVA(MODEL_BASE + (uint64_t)at * 4096),
						       (uint64_t)pages * 4096, &n),
					 0);
			assert_int_equal(n, model_unmap(m, at, pages));
			cbit_pt_gather_free(pt);
			break;
		default:
			model_walk(pt, m, at);
			break;
		}
	}
	for (uint32_t at = 0; at < MODEL_PAGES; at++)
		model_walk(pt, m, at);
	n = 0;
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(MODEL_BASE), (uint64_t)MODEL_PAGES * 4096, &n),
			 0);
	assert_int_equal(n, model_unmap(m, 0, MODEL_PAGES));
	assert_int_equal(count_tables(mem, pt, &leaves), 1);
	assert_int_equal(leaves, 0);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
	free(m);
}

/* --- hostile tables --- */

static void test_garbage(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt_leaf leaf;
	struct cbit_spa pool[8];
	uint64_t *page[8];

	(void)state;
	rng = 42;
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &pool[i]), 0);
		page[i] = cbit_mem_page(mem, cbit_mem_bus(mem, pool[i], true));
	}
	for (unsigned int round = 0; round < 200; round++) {
		for (unsigned int i = 0; i < 8; i++)
			for (unsigned int k = 0; k < 512; k++) {
				uint64_t e = rnd();

				/* Mostly pointers that lead on, so that walks get deep. */
				if (e & 0x6000000000000000)
					e = (e & ~0xffffffffff000u) | pool[rnd() % 8].v | C51 | 1;
				page[i][k] = e;
			}
		for (unsigned int w = 0; w < 500; w++) {
			int err = cbit_pt_walk_from(
				mem, CBIT_PT_AMDV1, cbit_mem_bus(mem, pool[0], true),
				(unsigned int)(rnd() % 8), CBIT_IOVA(rnd()), &leaf);

			assert_true(err == 0 || err == -ENOENT || err == -EIO);
			if (!err)
				assert_true(leaf.size >= 4096 && !(leaf.iova.v % leaf.size));
		}
	}
	/* Every entry of every level points back to the table it stands in. */
	for (unsigned int next = 1; next < 7; next++) {
		for (unsigned int k = 0; k < 512; k++)
			page[0][k] = pool[0].v | C51 | 1 | (uint64_t)next << 9 | (uint64_t)3 << 61;
		for (unsigned int mode = 1; mode < 7; mode++)
			for (unsigned int w = 0; w < 100; w++) {
				int err = cbit_pt_walk_from(
					mem, CBIT_PT_AMDV1, cbit_mem_bus(mem, pool[0], true), mode,
					CBIT_IOVA(rnd() >> (60 - 9 * mode)), &leaf);

				assert_true(err == -EIO || err == -ENOENT);
			}
	}
	/* A pointer without C is read without the key: ciphertext, and still an end. */
	page[0][0] = pool[1].v | 1 | 3 << 9;
	for (unsigned int k = 0; k < 512; k++)
		page[1][k] = 0;
	(void)cbit_pt_walk_from(mem, CBIT_PT_AMDV1, cbit_mem_bus(mem, pool[0], true), 4,
				CBIT_IOVA(0), &leaf);
	/* A table where there is no memory. */
	page[0][0] = 0x7000000000 | 1 | 3 << 9;
	assert_int_equal(cbit_pt_walk_from(mem, CBIT_PT_AMDV1, cbit_mem_bus(mem, pool[0], true), 4,
					   CBIT_IOVA(0), &leaf),
			 -EIO);
	assert_int_equal(leaf.entry, 0);
	assert_int_equal(leaf.spa.v, 0x7000000000);
	assert_int_equal(leaf.level, 3);
	cbit_mem_destroy(mem);
}

static void test_skip_and_rights(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_bus root;
	struct cbit_pt_leaf leaf;
	struct cbit_spa f[2];
	uint64_t *top, *low;

	(void)state;
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &f[i]), 0);
	root = cbit_mem_bus(mem, f[0], true);
	top = cbit_mem_page(mem, root);
	low = cbit_mem_page(mem, cbit_mem_bus(mem, f[1], true));
	/* Level 4 straight to level 1; the pointer lets reads pass only. */
	top[2] = f[1].v | C51 | 1 | 1 << 9 | (uint64_t)1 << 61;
	low[3] = 0xabc000 | 1 | (uint64_t)3 << 61;
	assert_int_equal(cbit_pt_walk_from(mem, CBIT_PT_AMDV1, root, 4,
					   CBIT_IOVA((uint64_t)2 << 39 | 0x3000), &leaf),
			 0);
	assert_int_equal(leaf.spa.v, 0xabc000);
	assert_int_equal(leaf.attrs, CBIT_ATTR_READ);
	assert_int_equal(cbit_pt_walk_from(mem, CBIT_PT_AMDV1, root, 4,
					   CBIT_IOVA((uint64_t)2 << 39 | 0x203000), &leaf),
			 -ENOENT);
	/* NextLevel not below the level, reserved sizes, a leaf in the top level. */
	top[2] = f[1].v | C51 | 1 | 4 << 9;
	assert_int_equal(
		cbit_pt_walk_from(mem, CBIT_PT_AMDV1, root, 4, CBIT_IOVA((uint64_t)2 << 39), &leaf),
		-EIO);
	assert_int_equal(leaf.entry, top[2]);
	top[2] = 1 | 7 << 9; /* 8 KiB in a table of 512 GiB entries */
	assert_int_equal(
		cbit_pt_walk_from(mem, CBIT_PT_AMDV1, root, 4, CBIT_IOVA((uint64_t)2 << 39), &leaf),
		-EIO);
	top[2] = 0xffffffffff000 | 1 | 7 << 9;
	assert_int_equal(
		cbit_pt_walk_from(mem, CBIT_PT_AMDV1, root, 4, CBIT_IOVA((uint64_t)2 << 39), &leaf),
		-EIO);
	top[2] = 1;
	assert_int_equal(
		cbit_pt_walk_from(mem, CBIT_PT_AMDV1, root, 6, CBIT_IOVA((uint64_t)2 << 57), &leaf),
		-EIO);
	cbit_mem_destroy(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_property),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_skip_and_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
