/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The format x86_64: entry bits, rights along the path, canonical addresses, reserved bits.
 */
#include <errno.h>

#include "pt_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define P  ((uint64_t)1 << 0)
#define RW ((uint64_t)1 << 1)
#define US ((uint64_t)1 << 2)
#define A  ((uint64_t)1 << 5)
#define D  ((uint64_t)1 << 6)
#define PS ((uint64_t)1 << 7)
#define G  ((uint64_t)1 << 8)
#define NX ((uint64_t)1 << 63)

#define POINTER (P | RW | US | A) /* what Linux writes: fmt/x86_64.h, install_table */

static uint64_t sext(uint64_t v, unsigned int levels)
{
	unsigned int unused = 64 - (12 + 9 * levels);

	return (uint64_t)((int64_t)(v << unused) >> unused);
}

/* --- exact bits --- */

/* The first is an AMD v2 leaf as Linux writes it for a read-write mapping. */
static const struct {
	unsigned int lg2;
	unsigned int level;
	uint64_t spa;
	unsigned int attrs;
	uint64_t entry;
} bits[] = {
	{ 12, 1, 0x12345000, CBIT_ATTR_RW | CBIT_ATTR_USER | CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY,
	  0x12345000 | P | RW | US | A | D },
	{ 12, 1, 0x12345000, CBIT_ATTR_READ, 0x12345000 | P },
	{ 12, 1, 0x12345000, CBIT_ATTR_READ | CBIT_ATTR_ENCRYPTED | CBIT_ATTR_NOEXEC,
	  0x12345000 | P | C51 | NX },
	{ 21, 2, 0x12200000, CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED, 0x12200000 | P | RW | PS | C51 },
	{ 30, 3, 0x140000000, CBIT_ATTR_RW | CBIT_ATTR_USER, 0x140000000 | P | RW | US | PS },
};

static void check_bits(unsigned int levels, bool sign_extend, uint64_t iova)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_x86(mem, levels, sign_extend);
	uint64_t *table = table_at(mem, cbit_pt_root(pt).v, C51), done;
	struct cbit_pt_leaf leaf;
	unsigned int leaves;

	assert_int_equal(cbit_pt_page_sizes(pt), 0x40201000);
	assert_int_equal(cbit_pt_mode(pt), levels);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		uint64_t size = (uint64_t)1 << bits[i].lg2;
		uint64_t *t = table;

		assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(iova), CBIT_SPA(bits[i].spa), size,
					     bits[i].attrs, NULL),
				 0);
		for (unsigned int level = levels; level > bits[i].level; level--) {
			uint64_t entry = t[iova >> (12 + 9 * (level - 1)) & 511];

			assert_int_equal(entry & ~0x7fffffff000u, POINTER | C51);
			t = table_at(mem, entry, C51);
		}
		assert_int_equal(t[iova >> bits[i].lg2 & 511], bits[i].entry);
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(iova + size - 1), &leaf), 0);
		assert_int_equal(leaf.iova.v, iova);
		assert_int_equal(leaf.size, size);
		assert_int_equal(leaf.spa.v, bits[i].spa);
		assert_int_equal(leaf.entry, bits[i].entry);
		assert_int_equal(leaf.level, bits[i].level);
		assert_int_equal(leaf.attrs, bits[i].attrs);
		assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(iova), size, &done), 0);
		assert_int_equal(done, size);
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(iova), &leaf), -ENOENT);
	}
	count_tables(mem, pt, &leaves);
	assert_int_equal(leaves, 0);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

static void test_bits(void **state)
{
	(void)state;
	check_bits(4, false, GIB(5));
	check_bits(4, true, GIB(5));
	check_bits(4, false, ((uint64_t)1 << 48) - GIB(1));
	check_bits(4, true, -GIB(1));
	check_bits(5, false, ((uint64_t)1 << 57) - GIB(1));
	check_bits(5, true, -GIB(1));
	check_bits(5, true, ((uint64_t)1 << 56) - GIB(1));
}

static void test_sizes(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_x86(mem, 4, false);
	struct cbit_pt_leaf leaf;
	uint64_t done;

	(void)state;
	/* 4 KiB, 2 MiB, 1 GiB, and down again: the largest that fit, nothing in between. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(GIB(1) - MIB(2) - KIB(16)),
				     CBIT_SPA(GIB(3) - MIB(2) - KIB(16)), GIB(1) + MIB(4) + KIB(32),
				     CBIT_ATTR_RW, NULL),
			 0);
	const struct {
		uint64_t at, size;
	} want[] = { { GIB(1) - MIB(2) - KIB(16), KIB(4) },
		     { GIB(1) - MIB(2) - KIB(4), KIB(4) },
		     { GIB(1) - MIB(2), MIB(2) },
		     { GIB(1), GIB(1) },
		     { GIB(2), MIB(2) },
		     { GIB(2) + MIB(2), KIB(4) },
		     { GIB(2) + MIB(2) + KIB(12), KIB(4) } };
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(want[i].at), &leaf), 0);
		assert_int_equal(leaf.iova.v, want[i].at);
		assert_int_equal(leaf.size, want[i].size);
		assert_int_equal(leaf.spa.v, want[i].at + GIB(2));
	}
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(GIB(2) + MIB(2) + KIB(16)), &leaf), -ENOENT);
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), (uint64_t)1 << 63, &done), 0);
	assert_int_equal(done, GIB(1) + MIB(4) + KIB(32));
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

static void test_arguments(void **state)
{
	static const struct cbit_pt_config bad[] = {
		{ .format = CBIT_PT_X86_64, .mode = 3, .max_mode = 3 },
		{ .format = CBIT_PT_X86_64, .mode = 6, .max_mode = 6 },
		{ .format = CBIT_PT_X86_64, .mode = 4, .max_mode = 5 },
		{ .format = CBIT_PT_X86_64, .mode = 5, .max_mode = 4 },
		{ .format = CBIT_PT_X86_64, .mode = 0, .max_mode = 0 },
		{ .format = CBIT_PT_AMDV1, .mode = 4, .max_mode = 6, .sign_extend = true },
		{ .format = (enum cbit_pt_format)7, .mode = 4, .max_mode = 4 },
	};
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(cbit_pt_create(mem, &bad[i], &pt), -EINVAL);
	pt = make_x86(mem, 4, false);
	/* A present leaf can be read: there is none for writing alone. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), KIB(4), CBIT_ATTR_WRITE, NULL),
			 -EINVAL);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(0), KIB(4), 0, NULL), -EINVAL);
	/* An SPA beyond the width (48 here) would be a reserved bit. */
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA((uint64_t)1 << 48), KIB(4),
				     CBIT_ATTR_READ, NULL),
			 -ERANGE);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(((uint64_t)1 << 48) - KIB(4)),
				     KIB(8), CBIT_ATTR_READ, NULL),
			 -ERANGE);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(((uint64_t)1 << 48) - KIB(4)),
				     KIB(4), CBIT_ATTR_READ, NULL),
			 0);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

/* --- canonical addresses --- */

static const struct {
	unsigned int levels;
	bool sign_extend;
	uint64_t iova;
	uint64_t len;
	int err;
} reach[] = {
	{ 4, false, ((uint64_t)1 << 48) - KIB(4), KIB(4), 0 },
	{ 4, false, ((uint64_t)1 << 48) - KIB(4), KIB(8), -ERANGE },
	{ 4, false, (uint64_t)1 << 48, KIB(4), -ERANGE },
	{ 4, false, -KIB(4), KIB(4), -ERANGE },
	{ 4, true, ((uint64_t)1 << 47) - KIB(4), KIB(4), 0 },
	{ 4, true, ((uint64_t)1 << 47) - KIB(4), KIB(8), -ERANGE },
	{ 4, true, (uint64_t)1 << 47, KIB(4), -ERANGE },
	{ 4, true, -((uint64_t)1 << 47), KIB(4), 0 },
	{ 4, true, -((uint64_t)1 << 47) - KIB(4), KIB(4), -ERANGE },
	{ 4, true, -((uint64_t)1 << 47) - KIB(4), KIB(8), -ERANGE },
	{ 4, true, -KIB(4), KIB(4), 0 },
	/* both ends canonical, but not what lies between them */
	{ 4, true, KIB(4), -KIB(8), -ERANGE },
	{ 5, true, ((uint64_t)1 << 56) - KIB(4), KIB(8), -ERANGE },
	{ 5, true, -((uint64_t)1 << 56), KIB(4), 0 },
	{ 5, true, (uint64_t)1 << 47, KIB(4), 0 },
	{ 5, false, ((uint64_t)1 << 57) - KIB(4), KIB(4), 0 },
	{ 5, false, (uint64_t)1 << 57, KIB(4), -ERANGE },
};

static void test_canonical(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reach); i++) {
		struct cbit_pt *pt = make_x86(mem, reach[i].levels, reach[i].sign_extend);
		struct cbit_iova iova = CBIT_IOVA(reach[i].iova);
		uint64_t spa = reach[i].len > GIB(1) ? 0 : MIB(1), done;
		struct cbit_pt_leaf leaf;

		if (reach[i].len <= GIB(1))
			assert_int_equal(cbit_pt_map(pt, iova, CBIT_SPA(spa), reach[i].len,
						     CBIT_ATTR_READ, NULL),
					 reach[i].err);
		else
			assert_int_not_equal(cbit_pt_map(pt, iova, CBIT_SPA(spa), reach[i].len,
							 CBIT_ATTR_READ, NULL),
					     0);
		assert_int_equal(cbit_pt_walk(pt, iova, &leaf), reach[i].err ? -ENOENT : 0);
		assert_true(iova.v - leaf.iova.v < leaf.size);
		assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), -KIB(4), &done), 0);
		assert_true(iova.v != -KIB(4) ? done == (reach[i].err ? 0 : KIB(4)) : !done);
		cbit_pt_destroy(pt);
	}
	cbit_mem_destroy(mem);
}

/* One unmap over both halves takes both, and what is between is a hole to a walk. */
static void test_both_halves(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);

	(void)state;
	for (unsigned int levels = 4; levels <= 5; levels++) {
		struct cbit_pt *pt = make_x86(mem, levels, true);
		uint64_t half = (uint64_t)1 << (11 + 9 * levels), done;
		struct cbit_pt_leaf leaf;
		unsigned int leaves;

		assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(half - KIB(8)), CBIT_SPA(0), KIB(8),
					     CBIT_ATTR_READ, NULL),
				 0);
		assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(-half), CBIT_SPA(MIB(8)),
					     MIB(2) + KIB(4), CBIT_ATTR_READ, NULL),
				 0);
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(half), &leaf), -ENOENT);
		assert_int_equal(leaf.iova.v, half);
		assert_true(leaf.size <= half);
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(sext(half, levels)), &leaf), 0);
		assert_int_equal(leaf.size, MIB(2));
		/* a mode without the flag reads the upper half at its low address */
		assert_int_equal(cbit_pt_walk_from(mem, CBIT_PT_X86_64,
						   cbit_mem_bus(mem, cbit_pt_root(pt), true),
						   levels, CBIT_IOVA(half), &leaf),
				 0);
		assert_int_equal(leaf.spa.v, MIB(8));
		assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(half - KIB(4)), half, &done), 0);
		assert_int_equal(done, KIB(4));
		assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), -KIB(4), &done), 0);
		assert_int_equal(done, KIB(4) + MIB(2) + KIB(4));
		assert_int_equal(count_tables(mem, pt, &leaves), 1);
		cbit_pt_destroy(pt);
	}
	cbit_mem_destroy(mem);
}

/* --- rights of a path --- */

static void test_path(void **state)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_pt *pt = make_x86(mem, 4, true);
	uint64_t *t = table_at(mem, cbit_pt_root(pt).v, C51);
	struct cbit_pt_leaf leaf;
	const unsigned int all = CBIT_ATTR_RW | CBIT_ATTR_USER;

	(void)state;
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(MIB(1)), KIB(4), all, NULL), 0);
	for (unsigned int level = 4; level > 1; level--) {
		static const struct {
			uint64_t clear, set;
			unsigned int attrs;
		} change[] = {
			{ RW, 0, CBIT_ATTR_READ | CBIT_ATTR_USER },
			{ US, 0, CBIT_ATTR_RW },
			{ 0, NX, CBIT_ATTR_RW | CBIT_ATTR_USER | CBIT_ATTR_NOEXEC },
			{ RW | US, NX, CBIT_ATTR_READ | CBIT_ATTR_NOEXEC },
			/* bits that are ignored in pointers: D, PWT, PCD, available ones */
			{ 0, D | 0x18 | 0xe00 | (uint64_t)0x7ff << 52,
			  CBIT_ATTR_RW | CBIT_ATTR_USER },
		};
		uint64_t was = t[0];

		for (size_t i = 0; i < ARRAY_SIZE(change); i++) {
			t[0] = (was & ~change[i].clear) | change[i].set;
			assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), 0);
			assert_int_equal(leaf.attrs, change[i].attrs);
		}
		/* G is ignored in pointers of levels 3 and 2 */
		t[0] = was | G;
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), level == 4 ? -EIO : 0);
		t[0] = was;
		t = table_at(mem, was, C51);
	}
	/* PAT in a page, G in a leaf */
	t[0] |= PS | G;
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), 0);
	assert_int_equal(leaf.attrs, all);
	assert_int_equal(leaf.size, KIB(4));
	t[0] &= ~(PS | G);
	cbit_pt_destroy(pt);
	cbit_mem_destroy(mem);
}

/* --- reserved bits --- */

static void check_reserved(bool sme, unsigned int c_bit, uint64_t c, unsigned int levels)
{
	struct cbit_mem *mem = make_mem(sme, c_bit);
	uint64_t pa_bits = c_bit == 47 ? 43 : 48;

	for (unsigned int leaf_level = 1; leaf_level <= 3; leaf_level++) {
		struct cbit_pt *pt = make_x86(mem, levels, false);
		uint64_t *t = table_at(mem, cbit_pt_root(pt).v, c);
		uint64_t size = (uint64_t)1 << (12 + 9 * (leaf_level - 1));
		struct cbit_pt_leaf leaf;

		assert_int_equal(
			cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(GIB(1)), size, CBIT_ATTR_RW, NULL),
			0);
		for (unsigned int level = levels; level >= leaf_level; level--) {
			uint64_t was = t[0];

			for (unsigned int bit = 1; bit < 64; bit++) {
				uint64_t b = (uint64_t)1 << bit;
				bool address = bit >= pa_bits && bit < 52 && b != c;
				bool large =
					level == leaf_level && level > 1 && bit > 12 && b < size;
				bool upper = level > 3 && (b == PS || b == G);
				int err;

				/* another table, another page, or another size */
				if (level != leaf_level && ((bit >= 12 && bit < pa_bits) || b == c))
					continue;
				if (b == PS && level < 4 && level != 1)
					continue;
				t[0] = was | b;
				err = cbit_pt_walk(pt, CBIT_IOVA(0), &leaf);
				assert_int_equal(err, address || large || upper ? -EIO : 0);
				assert_int_equal(leaf.level, err ? level : leaf_level);
				if (err)
					assert_int_equal(leaf.entry, was | b);
			}
			t[0] = was;
			if (level > leaf_level)
				t = table_at(mem, was, c);
		}
		cbit_pt_destroy(pt);
	}
	cbit_mem_destroy(mem);
}

static void test_reserved(void **state)
{
	(void)state;
	for (unsigned int levels = 4; levels <= 5; levels++) {
		check_reserved(true, 51, C51, levels);
		check_reserved(true, 47, C47, levels);
		check_reserved(false, 51, 0, levels);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),        cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_arguments),   cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_both_halves), cmocka_unit_test(test_path),
		cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
