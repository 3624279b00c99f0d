/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page tables: entry bits, sizes, growth, overlap, partial unmap, shortage of frames.
 */
#include <errno.h>
#include <stdlib.h>

#include "pt_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- exact bits --- */

/* The first, the fourth and the shapes 3... and 5... are what Linux 7.2 wrote. */
static const struct {
	unsigned int lg2;
	uint64_t spa;
	uint64_t entry; /* read, write, FC, no C */
	unsigned int level;
} bits[] = {
	{ 14, 0x2e00000, 0x7000000002e01e01, 1 },     { 12, 0x12345000, 0x7000000012345001, 1 },
	{ 13, 0x12346000, 0x7000000012346e01, 1 },    { 21, 0x3800000, 0x7000000003800001, 2 },
	{ 15, 0x12348000, 0x700000001234be01, 1 },    { 16, 0x12340000, 0x7000000012347e01, 1 },
	{ 20, 0x12300000, 0x700000001237fe01, 1 },    { 22, 0x40400000, 0x70000000405ffe01, 2 },
	{ 29, 0x60000000, 0x700000006ffffe01, 2 },    { 30, 0x140000000, 0x7000000140000001, 3 },
	{ 31, 0x180000000, 0x70000001bffffe01, 3 },   { 38, 0x4000000000, 0x7000005ffffffe01, 3 },
	{ 40, 0x10000000000, 0x7000017ffffffe01, 4 },
};

static void check_bits(bool sme, unsigned int c_bit, uint64_t c, unsigned int attrs, uint64_t clear)
{
	struct cbit_mem *mem = make_mem(sme, c_bit);
	uint64_t table_bits = 0x6000000000000001 | c;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		struct cbit_pt *pt = make_pt(mem, 4, 6);
		uint64_t size = (uint64_t)1 << bits[i].lg2, mapped;
		uint64_t want = (bits[i].entry & ~clear) | (attrs & CBIT_ATTR_ENCRYPTED ? c : 0);
		/* Congruent with the SPA, so that the whole range is one leaf. */
		struct cbit_iova iova = CBIT_IOVA(bits[i].spa + size * 4);
		unsigned int item = 12 + 9 * (bits[i].level - 1);
		unsigned int copies = 1u << (bits[i].lg2 - item);
		uint64_t *table = table_at(mem, cbit_pt_root(pt).v, c);
		struct cbit_pt_leaf leaf;
		unsigned int leaves;

		assert_int_equal(cbit_pt_map(pt, iova, CBIT_SPA(bits[i].spa), size, attrs, &mapped),
				 0);
		assert_int_equal(mapped, size);
		for (unsigned int level = 4; level > bits[i].level; level--) {
			uint64_t entry = table[iova.v >> (12 + 9 * (level - 1)) & 511];

			assert_int_equal(entry & ~0x7fffffff000u, table_bits | (uint64_t)(level - 1)
										       << 9);
			table = table_at(mem, entry, c);
		}
		for (unsigned int k = 0; k < copies; k++)
			assert_int_equal(table[(iova.v >> item & 511) + k], want);
		count_tables(mem, pt, &leaves);
		assert_int_equal(leaves, copies);

		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(iova.v + size - 1), &leaf), 0);
		assert_int_equal(leaf.iova.v, iova.v);
		assert_int_equal(leaf.size, size);
		assert_int_equal(leaf.spa.v, bits[i].spa);
		assert_int_equal(leaf.entry, want);
		assert_int_equal(leaf.level, bits[i].level);
		assert_int_equal(leaf.attrs, sme ? attrs : attrs & ~CBIT_ATTR_ENCRYPTED);

		assert_int_equal(cbit_pt_unmap(pt, iova, size, &mapped), 0);
		assert_int_equal(mapped, size);
		assert_int_equal(count_tables(mem, pt, &leaves), 1);
		assert_int_equal(leaves, 0);
		cbit_pt_destroy(pt);
	}
	cbit_mem_destroy(mem);
}

static void test_bits(void **state)
{
	const unsigned int fc = CBIT_ATTR_CACHE, c = CBIT_ATTR_ENCRYPTED;

	(void)state;
	check_bits(true, 51, C51, CBIT_ATTR_RW | fc, 0);
	check_bits(true, 51, C51, CBIT_ATTR_RW | fc | c, 0);
	check_bits(true, 47, C47, CBIT_ATTR_RW | fc, 0);
	check_bits(true, 47, C47, CBIT_ATTR_RW | fc | c, 0);
	check_bits(false, 51, 0, CBIT_ATTR_RW | fc | c, 0);
	check_bits(true, 51, C51, CBIT_ATTR_READ | fc, (uint64_t)1 << 62);
	check_bits(true, 51, C51, CBIT_ATTR_WRITE | fc | c, (uint64_t)1 << 61);
	check_bits(true, 51, C51, CBIT_ATTR_RW, (uint64_t)1 << 60);
}

static void test_sizes(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_pt(mem, 4, 6);
	struct cbit_pt_leaf leaf;
	uint64_t mapped;

	(void)state;
	assert_int_equal(cbit_pt_page_sizes(pt), 0xfff7ffffff000);
	/* 512 GiB is two leaves of 256 GiB, 2^48 two of 2^47 in a table of mode 4. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), GIB(512), CBIT_ATTR_RW, NULL),
			 0);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), 0);
	assert_int_equal(leaf.size, GIB(256));
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), GIB(512), &mapped), 0);
	assert_int_equal(mapped, GIB(512));
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), (uint64_t)1 << 48, 0, NULL), 0);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), 0);
	assert_int_equal(leaf.size, (uint64_t)1 << 47);
	assert_int_equal(cbit_pt_mode(pt), 4);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), (uint64_t)1 << 48, &mapped), 0);
	/* 2^50 wants level 5: the old top, empty, must not be in its way. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), (uint64_t)1 << 50, 0, NULL), 0);
	assert_int_equal(cbit_pt_mode(pt), 5);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(12345), &leaf), 0);
	assert_int_equal(leaf.size, (uint64_t)1 << 50);
	assert_int_equal(leaf.entry, 0x1fffffffffe01);
	cbit_pt_gather_free(pt);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

static void test_arguments(void **state)
{
	struct cbit_pt_config cfg = { .format = CBIT_PT_AMDV1, .mode = 0, .max_mode = 6 };
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_pt(mem, 3, 3);
	uint64_t page = CBIT_PAGE_SIZE, mapped = 1;

	(void)state;
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(1), CBIT_SPA(0), page, 0, &mapped), -EINVAL);
	assert_int_equal(mapped, 0);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(8), page, 0, NULL), -EINVAL);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), 100, 0, NULL), -EINVAL);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), 0, 0, NULL), -EINVAL);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(-page), CBIT_SPA(0), 2 * page, 0, NULL),
			 -EINVAL);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(GIB(512)), CBIT_SPA(0), page, 0, NULL), -ERANGE);
	assert_int_equal(
		cbit_pt_map(pt, CBIT_IOVA(GIB(512) - page), CBIT_SPA(0), 2 * page, 0, NULL),
		-ERANGE);
	/* An SPA that would reach into the C-bit. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(C51 - page), 2 * page, 0, NULL),
			 -ERANGE);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), 5, NULL), -EINVAL);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(-page), 2 * page, NULL), -EINVAL);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(-page), page, &mapped), 0);
	assert_int_equal(mapped, 0);
	cbit_pt_destroy(pt);
	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), -EINVAL);
	cfg.mode = 5, cfg.max_mode = 4;
	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), -EINVAL);
	cfg.max_mode = 7;
	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), -EINVAL);
	cbit_mem_destroy(mem);
}

/* --- growth --- */

struct growth {
	unsigned int calls;
	uint64_t root;
	unsigned int mode;
};

static void on_top(void *opaque, struct cbit_pt *pt)
{
	struct growth *g = opaque;

	g->calls++;
	g->root = cbit_pt_root(pt).v;
	g->mode = cbit_pt_mode(pt);
}

static void test_growth(void **state)
{
	struct growth g = { 0 };
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1,
		.mode = 4,
		.max_mode = 6,
		.table_c = true,
		.top_changed = on_top,
		.opaque = &g,
	};
	const struct cbit_iova low = CBIT_IOVA(0x1000), mid = CBIT_IOVA((uint64_t)1 << 48),
			       high = CBIT_IOVA(0xfffffffffffff000);
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt_leaf leaf;
	struct cbit_spa old;
	struct cbit_pt *pt;
	uint64_t *top, done;

	(void)state;
	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), 0);
	assert_int_equal(cbit_pt_map(pt, low, CBIT_SPA(0x5000), 4096, CBIT_ATTR_RW, NULL), 0);
	assert_int_equal(g.calls, 0);
	old = cbit_pt_root(pt);
	assert_int_equal(cbit_pt_walk(pt, mid, &leaf), -ENOENT);
	assert_int_equal(cbit_pt_map(pt, mid, CBIT_SPA(0x6000), 4096, CBIT_ATTR_RW, NULL), 0);
	assert_int_equal(g.calls, 1);
	assert_int_equal(g.mode, 5);
	assert_int_equal(g.root, cbit_pt_root(pt).v);
	top = table_at(mem, g.root, C51);
	assert_int_equal(top[0], 0x6000000000000001 | C51 | old.v | 4 << 9);
	assert_int_equal(cbit_pt_map(pt, high, CBIT_SPA(0x7000), 4096, CBIT_ATTR_RW, NULL), 0);
	assert_int_equal(g.calls, 2);
	assert_int_equal(cbit_pt_mode(pt), 6);
	assert_int_equal(cbit_pt_walk(pt, low, &leaf), 0);
	assert_int_equal(leaf.spa.v, 0x5000);
	assert_int_equal(cbit_pt_walk(pt, mid, &leaf), 0);
	assert_int_equal(leaf.spa.v, 0x6000);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(~(uint64_t)0), &leaf), 0);
	assert_int_equal(leaf.spa.v, 0x7000);
	assert_int_equal(leaf.iova.v, high.v);
	/* Aliases of the low page under other upper bits are not mapped. */
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA((uint64_t)1 << 57 | 0x1000), &leaf), -ENOENT);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0x1000), -(uint64_t)0x1000, &done), 0);
	assert_int_equal(done, 3 * 4096);
	assert_int_equal(cbit_pt_walk(pt, high, &leaf), -ENOENT);
	/* Two steps at once, from an empty table. */
	cbit_pt_destroy(pt);
	g.calls = 0;
	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), 0);
	assert_int_equal(cbit_pt_map(pt, high, CBIT_SPA(0x7000), 4096, CBIT_ATTR_RW, NULL), 0);
	assert_int_equal(g.calls, 2);
	assert_int_equal(cbit_pt_walk(pt, high, &leaf), 0);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

/* --- overlap, partial unmap --- */

static void test_exists(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_pt(mem, 4, 6);
	uint64_t base = MIB(64), page = CBIT_PAGE_SIZE, n;
	struct cbit_pt_leaf leaf;

	(void)state;
	/* A single page in the way: what lies before it is entered and counted. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(base + MIB(4) + 5 * page), CBIT_SPA(0), page,
				     CBIT_ATTR_RW, NULL),
			 0);
	assert_int_equal(
		cbit_pt_map(pt, CBIT_IOVA(base), CBIT_SPA(MIB(32)), MIB(8), CBIT_ATTR_RW, &n),
		-EEXIST);
	assert_true(n <= MIB(4) + 5 * page);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(base), n, &n), 0);
	/* With 4 KiB leaves the count is exact. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(base), CBIT_SPA(MIB(32) + page), MIB(8),
				     CBIT_ATTR_RW, &n),
			 -EEXIST);
	assert_int_equal(n, MIB(4) + 5 * page);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(base), n, &n), 0);
	assert_int_equal(n, MIB(4) + 5 * page);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(base + MIB(4) + 5 * page), &leaf), 0);
	/* A large leaf in the way of a small one. */
	assert_int_equal(
		cbit_pt_map(pt, CBIT_IOVA(GIB(2)), CBIT_SPA(GIB(2)), GIB(1), CBIT_ATTR_RW, NULL),
		0);
	assert_int_equal(
		cbit_pt_map(pt, CBIT_IOVA(GIB(2) + page), CBIT_SPA(0), page, CBIT_ATTR_RW, &n),
		-EEXIST);
	assert_int_equal(n, 0);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

static void test_unmap_leaves(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_pt(mem, 4, 6);
	struct cbit_pt_leaf leaf;
	unsigned int leaves;
	uint64_t n;

	(void)state;
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), MIB(4), CBIT_ATTR_RW, NULL), 0);
	/* Starts before the range: stays. */
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(MIB(2)), MIB(2), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(4096), 4096, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(MIB(3)), &leaf), 0);
	/* Starts inside: goes wholly. */
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), 4096, &n), 0);
	assert_int_equal(n, MIB(4));
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(MIB(3)), &leaf), -ENOENT);
	assert_int_equal(leaf.entry, 0);
	assert_int_equal(leaf.iova.v, 0);
	assert_true(leaf.size >= MIB(4));
	assert_int_equal(count_tables(mem, pt, &leaves), 1);
	/* The same with as much as one leaf, where one of just that size begins before it. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), GIB(1), CBIT_ATTR_RW, NULL), 0);
	assert_int_equal(
		cbit_pt_map(pt, CBIT_IOVA(GIB(1)), CBIT_SPA(MIB(2)), MIB(2), CBIT_ATTR_RW, NULL),
		0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(MIB(4)), GIB(1) - MIB(4), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(GIB(1) + 4096), MIB(2), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(4096), GIB(1), &n), 0);
	assert_int_equal(n, MIB(2));
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(MIB(3)), &leaf), 0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), GIB(1), &n), 0);
	assert_int_equal(n, GIB(1));
	/* A hole in the middle of 16 KiB runs. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(KIB(16)), CBIT_SPA(KIB(16)), KIB(16), 0, NULL),
			 0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(KIB(20)), GIB(1) - KIB(20), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), -(uint64_t)4096, &n), 0);
	assert_int_equal(n, KIB(16));
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

/* Frames run out in the middle of a map: what was entered can be unmapped, nothing is lost. */
static void test_no_memory(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_pt(mem, 4, 6);
	struct cbit_spa hog[2048];
	unsigned int hogs = 0, leaves;
	uint64_t n, m;

	(void)state;
	for (unsigned int order = 10;; order--) {
		while (hogs < ARRAY_SIZE(hog) &&
		       !cbit_mem_frames_alloc(mem, 1u << order, CBIT_KEY_NONE, &hog[hogs]))
			hogs++;
		if (!order)
			break;
	}
	for (unsigned int i = 1; i <= 6; i++)
		cbit_mem_frames_free(mem, hog[hogs - i], 1);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(4096), MIB(64), CBIT_ATTR_RW, &n),
			 -ENOMEM);
	assert_true(n > 0 && n < MIB(64));
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), n, &m), 0);
	assert_int_equal(m, n);
	cbit_pt_gather_free(pt);
	/* Tables that a failed map left empty are no obstacle to a large leaf. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), GIB(2), CBIT_ATTR_RW, &n), 0);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), GIB(2), &n), 0);
	assert_int_equal(count_tables(mem, pt, &leaves), 1);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),      cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_growth),
		cmocka_unit_test(test_exists),    cmocka_unit_test(test_unmap_leaves),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
