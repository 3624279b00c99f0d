/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page tables: entry bits, growth, map and unmap against a flat model, hostile tables.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/pt.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KIB(n)        ((uint64_t)(n) << 10)
#define MIB(n)        ((uint64_t)(n) << 20)
#define GIB(n)        ((uint64_t)(n) << 30)

static struct cbit_mem *make_mem(bool sme, unsigned int c_bit)
{
	struct cbit_platform platform = { .name = "test", .sme = sme, .c_bit = c_bit };
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(GIB(1)),
		.size = MIB(256),
		.name = "dram",
	};
	struct cbit_mem *mem;

	platform.pa_bits = c_bit == 47 ? 43 : 48;
	memset(platform.host_key, 0x5a, 16);
	assert_int_equal(cbit_mem_create(&platform, &mem), 0);
	assert_int_equal(cbit_mem_add_region(mem, &dram, NULL), 0);
	return mem;
}

static struct cbit_pt *make_pt(struct cbit_mem *mem, unsigned int mode, unsigned int max)
{
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1,
		.mode = mode,
		.max_mode = max,
		.table_c = true,
	};
	struct cbit_pt *pt;

	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), 0);
	return pt;
}

static uint64_t *table_at(struct cbit_mem *mem, uint64_t entry, uint64_t c)
{
	uint64_t addr = entry & 0xffffffffff000 & ~c;

	return cbit_mem_page(mem, cbit_mem_bus(mem, CBIT_SPA(addr), true));
}

/* Present entries of all tables below an entry, and the tables. */
static void count(struct cbit_mem *mem, uint64_t table, unsigned int level, uint64_t c,
		  unsigned int *leaves, unsigned int *tables)
{
	uint64_t *t = table_at(mem, table, c);

	assert_non_null(t);
	++*tables;
	for (unsigned int i = 0; i < 512; i++) {
		unsigned int next = t[i] >> 9 & 7;

		if (!(t[i] & 1))
			continue;
		if (next && next != 7)
			count(mem, t[i], level - 1, c, leaves, tables);
		else
			++*leaves;
	}
}

static unsigned int count_tables(struct cbit_mem *mem, struct cbit_pt *pt, unsigned int *leaves)
{
	uint64_t c = cbit_platform_c_mask(cbit_mem_platform(mem));
	unsigned int tables = 0;

	*leaves = 0;
	count(mem, cbit_pt_root(pt).v, cbit_pt_mode(pt), c, leaves, &tables);
	return tables;
}

/* --- exact bits --- */

#define C51 0x0008000000000000u
#define C47 0x0000800000000000u

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
		cmocka_unit_test(test_bits),      cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_arguments), cmocka_unit_test(test_growth),
		cmocka_unit_test(test_exists),    cmocka_unit_test(test_unmap_leaves),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_property),
		cmocka_unit_test(test_garbage),   cmocka_unit_test(test_skip_and_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
