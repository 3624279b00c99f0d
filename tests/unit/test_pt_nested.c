/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walks of two stages: against the two walks one after the other, over every size in either; what
 * is said when one of them ends it; the guest's C-bit.
 */
#include <errno.h>
#include <stdlib.h>

#include "pt_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define DRAM GIB(1) /* where frames are: see make_mem() */
#define DATA GIB(8) /* GPA of the guest's pages */
#define HOST GIB(64)
#define GVA  GIB(3)
#define RWU  (CBIT_ATTR_RW | CBIT_ATTR_USER)

struct rig {
	struct cbit_mem *mem;
	struct cbit_pt *guest;
	struct cbit_pt *host;
	struct cbit_pt_nested nested;
};

static uint64_t rng;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* @c: the guest sets its C-bit, at the same place as the host, and its tables are encrypted. */
static void up(struct rig *r, enum cbit_pt_format format, unsigned int guest_levels,
	       unsigned int host_levels, bool c)
{
	struct cbit_pt_config guest = {
		.format = CBIT_PT_X86_64,
		.mode = guest_levels,
		.max_mode = guest_levels,
		.sign_extend = true,
		.table_c = c,
	};
	struct cbit_pt_config host = {
		.format = format, .mode = host_levels, .max_mode = host_levels, .table_c = true
	};

	*r = (struct rig){ .mem = make_mem(true, 51) };
	assert_int_equal(cbit_pt_create(r->mem, &guest, &r->guest), 0);
	assert_int_equal(cbit_pt_create(r->mem, &host, &r->host), 0);
	/* Where its tables are, the guest's physical addresses are the machine's. */
	assert_int_equal(cbit_pt_map(r->host, CBIT_IOVA(DRAM), CBIT_SPA(DRAM), MIB(256),
				     RWU | (c ? CBIT_ATTR_ENCRYPTED : 0), NULL),
			 0);
	r->nested = (struct cbit_pt_nested){
		.guest_mode = guest_levels | CBIT_PT_SIGN_EXTEND,
		.gpa_bits = 48,
		.guest_root = cbit_pt_root(r->guest).v,
		.host_format = format,
		.host_mode = host_levels,
		.host_root = cbit_mem_bus(r->mem, cbit_pt_root(r->host), true),
	};
}

static void down(struct rig *r)
{
	cbit_pt_destroy(r->guest);
	cbit_pt_destroy(r->host);
	cbit_mem_destroy(r->mem);
}

static const struct {
	enum cbit_pt_format format;
	unsigned int guest, host;
} shapes[] = {
	{ CBIT_PT_AMDV1, 4, 4 },  { CBIT_PT_AMDV1, 5, 4 },  { CBIT_PT_AMDV1, 4, 6 },
	{ CBIT_PT_AMDV1, 5, 5 },  { CBIT_PT_X86_64, 4, 4 }, { CBIT_PT_X86_64, 5, 4 },
	{ CBIT_PT_X86_64, 4, 5 }, { CBIT_PT_X86_64, 5, 5 }, { CBIT_PT_AMDV1, 4, 3 },
};

/* --- both stages against one walk after the other --- */

static void compare(struct rig *r, uint64_t gva)
{
	struct cbit_pt_nested_leaf both;
	struct cbit_pt_leaf first, second = { 0 };
	int err = cbit_pt_walk(r->guest, CBIT_IOVA(gva), &first), two = 0;
	uint64_t gpa = 0, size;
	unsigned int may;

	if (!err) {
		gpa = first.spa.v + (gva - first.iova.v);
		two = cbit_pt_walk(r->host, CBIT_IOVA(gpa), &second);
	}
	assert_int_equal(cbit_pt_walk_nested(r->mem, &r->nested, CBIT_IOVA(gva), &both),
			 err ? err : two);
	assert_true(gva - both.leaf.iova.v < both.leaf.size);
	if (err) {
		assert_int_equal(both.stage, 1);
		assert_int_equal(both.guest_level, first.level);
		assert_int_equal(both.leaf.iova.v, first.iova.v);
		assert_int_equal(both.leaf.size, first.size);
		return;
	}
	assert_int_equal(both.guest_entry, first.entry);
	if (two) {
		assert_int_equal(both.stage, 2);
		assert_int_equal(both.guest_level, 0);
		assert_int_equal(both.gpa, gpa);
		assert_int_equal(both.leaf.level, second.level);
		assert_int_equal(both.leaf.entry, second.entry);
		return;
	}
	/* to nested tables every access is a user's */
	may = r->nested.host_format == CBIT_PT_AMDV1 || second.attrs & CBIT_ATTR_USER ? ~0u : 0;
	size = first.size < second.size ? first.size : second.size;
	assert_int_equal(both.stage, 0);
	assert_int_equal(both.guest_level, first.level);
	assert_int_equal(both.leaf.size, size);
	assert_int_equal(both.leaf.iova.v, gva & ~(size - 1));
	assert_int_equal(both.leaf.spa.v + (gva & (size - 1)),
			 second.spa.v + (gpa - second.iova.v));
	assert_int_equal(both.gpa, gpa & ~(size - 1));
	assert_int_equal(both.leaf.entry, second.entry);
	assert_int_equal(both.leaf.level, second.level);
	assert_int_equal(both.leaf.attrs & CBIT_ATTR_RW,
			 may & first.attrs & second.attrs & CBIT_ATTR_RW);
	assert_int_equal(both.leaf.attrs & CBIT_ATTR_USER, first.attrs & CBIT_ATTR_USER);
	assert_int_equal(both.leaf.attrs & CBIT_ATTR_NOEXEC,
			 (first.attrs | second.attrs) & CBIT_ATTR_NOEXEC);
	assert_int_equal(both.leaf.attrs & (CBIT_ATTR_ENCRYPTED | CBIT_ATTR_CACHE),
			 second.attrs & (CBIT_ATTR_ENCRYPTED | CBIT_ATTR_CACHE));
	assert_int_equal(both.leaf.attrs & CBIT_ATTR_DIRTY,
			 first.attrs & second.attrs & CBIT_ATTR_DIRTY);
}

/* Runs of every size in either stage, congruent and not, with holes. */
static void fill(struct cbit_pt *pt, uint64_t from, uint64_t to, uint64_t len,
		 unsigned int attrs_in)
{
	static const uint64_t sizes[] = { KIB(4), KIB(16), KIB(256), MIB(2), MIB(6), GIB(1) };
	uint64_t at = 0;

	while (at < len) {
		uint64_t size = sizes[rnd() % ARRAY_SIZE(sizes)];
		unsigned int attrs = CBIT_ATTR_READ | ((unsigned int)rnd() & attrs_in);

		at = (at + size - 1) & ~((size & -size) - 1);
		if (rnd() & 3)
			assert_int_equal(
				cbit_pt_map(
					pt, CBIT_IOVA(from + at),
					CBIT_SPA(to + at + (rnd() & 1 ? 0 : KIB(4) * (rnd() & 7))),
					size, attrs, NULL),
				0);
		at += size;
	}
}

static void test_composition(void **state)
{
	struct rig r;

	(void)state;
	rng = 0xfeedface1234567;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		up(&r, shapes[i].format, shapes[i].guest, shapes[i].host, false);
		fill(r.guest, GVA, DATA, GIB(4), 0xff & ~CBIT_ATTR_ENCRYPTED);
		fill(r.guest, -GIB(2), DATA, GIB(2), CBIT_ATTR_RW);
		fill(r.host, DATA, HOST, GIB(5), 0xff);
		for (unsigned int k = 0; k < 20000; k++) {
			compare(&r, GVA + rnd() % (GIB(4) + MIB(64)) - MIB(32));
			compare(&r, -(rnd() % GIB(2)) - 1);
		}
		compare(&r, (uint64_t)1 << 63);
		compare(&r, 0);
		down(&r);
	}
}

/* --- how it ends --- */

/* Where a walk of GVA goes wrong after one change; 0 stands for the guest's own table. */
static void test_failures(void **state)
{
	const struct cbit_iova gva = CBIT_IOVA(GVA);
	struct cbit_pt_nested_leaf both;
	struct rig r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		uint64_t table[6], at, was;
		unsigned int levels = shapes[i].guest;

		up(&r, shapes[i].format, levels, shapes[i].host, false);
		assert_int_equal(
			cbit_pt_map(r.guest, gva, CBIT_SPA(DATA), KIB(4), CBIT_ATTR_RW, NULL), 0);
		assert_int_equal(cbit_pt_map(r.host, CBIT_IOVA(DATA), CBIT_SPA(HOST), KIB(4),
					     CBIT_ATTR_RW, NULL),
				 0);
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), 0);
		/* each level of the first stage in turn */
		table[levels] = cbit_pt_root(r.guest).v;
		for (unsigned int level = levels; level >= 1; level--) {
			struct cbit_bus bus;

			at = table[level] + (GVA >> (12 + 9 * (level - 1)) & 511) * 8;
			bus = (struct cbit_bus){ at };
			assert_int_equal(cbit_mem_read(r.mem, bus, &was, 8), CBIT_MEM_OK);
			const struct {
				uint64_t entry;
				int err;
				unsigned int stage, at_level;
				uint64_t gpa;
			} change[] = {
				{ 0, -ENOENT, 1, level, at },
				{ was & ~(uint64_t)1, -ENOENT, 1, level, at },
				/* address beyond the GPA's width */
				{ was | (uint64_t)1 << 50, -EIO, 1, level, at },
				/* the guest's C-bit is an address bit beyond it as well */
				{ was | C51, -EIO, 1, level, at },
				/* a table or page at a GPA that is not there */
				{ (was & 0xfff) | (DATA + GIB(16)), -ENOENT, 2, level - 1,
				  DATA + GIB(16) +
					  (level > 1 ? (GVA >> (12 + 9 * (level - 2)) & 511) * 8
						     : 0) },
				/* a large leaf that is not aligned, or none at all in levels 4 and
				   5 */
				{ was | 0x80, level > 1 ? -EIO : 0, level > 1 ? 1 : 0, level, at },
			};

			for (size_t k = 0; k < ARRAY_SIZE(change); k++) {
				/* frames are not aligned to 2 MiB; only the first is, by chance */
				if (change[k].entry == (was | 0x80) && level < 4 && level > 1 &&
				    !(was & 0x1fe000))
					continue;
				cbit_mem_write(r.mem, bus, &change[k].entry, 8);
				assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both),
						 change[k].err);
				assert_int_equal(both.stage, change[k].stage);
				if (!change[k].err)
					continue;
				assert_int_equal(both.guest_level, change[k].at_level);
				assert_int_equal(both.gpa, change[k].gpa);
				if (change[k].err == -ENOENT)
					assert_true(gva.v - both.leaf.iova.v < both.leaf.size);
			}
			cbit_mem_write(r.mem, bus, &was, 8);
			if (level > 1)
				table[level - 1] = was & 0xffffffffff000;
		}
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), 0);
		/* the page alone */
		assert_int_equal(cbit_pt_unmap(r.host, CBIT_IOVA(DATA), KIB(4), NULL), 0);
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), -ENOENT);
		assert_int_equal(both.stage, 2);
		assert_int_equal(both.guest_level, 0);
		assert_int_equal(both.gpa, DATA);
		assert_int_equal(both.leaf.iova.v, GVA);
		assert_int_equal(both.leaf.size, KIB(4));
		/* tables that may not be read, or are nowhere, or in a window that is none of
		 * memory */
		assert_int_equal(cbit_pt_unmap(r.host, CBIT_IOVA(DRAM), MIB(256), NULL), 0);
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), -ENOENT);
		assert_int_equal(both.stage, 2);
		assert_int_equal(both.guest_level, levels);
		assert_int_equal(both.gpa & ~(uint64_t)0xfff, table[levels]);
		{
			/* v1: for writing alone; NPT: not for users, as whom every access counts */
			unsigned int attrs =
				shapes[i].format == CBIT_PT_AMDV1 ? CBIT_ATTR_WRITE : CBIT_ATTR_RW;

			assert_int_equal(cbit_pt_map(r.host, CBIT_IOVA(DRAM), CBIT_SPA(DRAM),
						     MIB(256), attrs, NULL),
					 0);
			assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both),
					 -EACCES);
			assert_int_equal(both.stage, 2);
			assert_int_equal(both.guest_level, levels);
			cbit_pt_unmap(r.host, CBIT_IOVA(DRAM), MIB(256), NULL);
		}
		assert_int_equal(cbit_pt_map(r.host, CBIT_IOVA(DRAM), CBIT_SPA(GIB(256)), MIB(256),
					     RWU, NULL),
				 0);
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), -EIO);
		assert_int_equal(both.stage, 1);
		assert_int_equal(both.guest_level, levels);
		assert_int_equal(both.leaf.entry, 0);
		assert_int_equal(both.leaf.spa.v & ~(uint64_t)0xfff,
				 table[levels] - DRAM + GIB(256));
		/* modes that are none */
		for (unsigned int mode = 0; mode < 9; mode++) {
			r.nested.guest_mode = mode;
			if (mode == 4 || mode == 5)
				continue;
			assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), -EIO);
			assert_int_equal(both.stage, 1);
		}
		r.nested.guest_mode = levels;
		r.nested.host_mode = 7;
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), -EIO);
		assert_int_equal(both.stage, 2);
		down(&r);
	}
}

/* --- the guest's C-bit --- */

static void test_guest_c(void **state)
{
	const struct cbit_iova gva = CBIT_IOVA(GVA);
	struct cbit_pt_nested_leaf both;
	struct rig r;

	(void)state;
	up(&r, CBIT_PT_AMDV1, 4, 4, true);
	assert_int_equal(cbit_pt_map(r.guest, gva, CBIT_SPA(DATA), KIB(4),
				     CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED, NULL),
			 0);
	assert_int_equal(
		cbit_pt_map(r.host, CBIT_IOVA(DATA), CBIT_SPA(HOST), KIB(4), CBIT_ATTR_RW, NULL),
		0);
	/* A CPU strips it. The page's key in the combined leaf is the second stage's. */
	r.nested.guest_c = C51;
	assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), 0);
	assert_int_equal(both.leaf.spa.v, HOST);
	assert_int_equal(both.leaf.attrs, CBIT_ATTR_RW);
	assert_int_equal(both.guest_entry, DATA | C51 | 3);
	assert_int_equal(both.gpa, DATA);
	/* An IOMMU does not: the pointer to the table of level 3 leads to a GPA that is not there.
	 */
	r.nested.guest_c = 0;
	r.nested.gpa_bits = 52;
	assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), -ENOENT);
	assert_int_equal(both.stage, 2);
	assert_int_equal(both.guest_level, 3);
	assert_int_equal(both.gpa & C51, C51);
	down(&r);
	/* Read under another key than it was written with, a table is noise, and still an end. */
	up(&r, CBIT_PT_X86_64, 4, 4, false);
	assert_int_equal(cbit_pt_map(r.guest, gva, CBIT_SPA(DATA), KIB(4), CBIT_ATTR_RW, NULL), 0);
	assert_int_equal(cbit_pt_unmap(r.host, CBIT_IOVA(DRAM), MIB(256), NULL), 0);
	assert_int_equal(cbit_pt_map(r.host, CBIT_IOVA(DRAM), CBIT_SPA(DRAM), MIB(256),
				     RWU | CBIT_ATTR_ENCRYPTED, NULL),
			 0);
	assert_int_not_equal(cbit_pt_walk_nested(r.mem, &r.nested, gva, &both), 0);
	assert_true(both.stage == 1 || both.stage == 2);
	down(&r);
}

/* --- a guest's tables in memory that a client provides --- */

static uint64_t client[4][512];

static int client_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	(void)opaque;
	memcpy(buf, (const uint8_t *)client + offset, len);
	return 0;
}

static int client_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	(void)opaque;
	memcpy((uint8_t *)client + offset, buf, len);
	return 0;
}

static void test_client_memory(void **state)
{
	static const struct cbit_mem_ops ops = { .read = client_read, .write = client_write };
	struct cbit_mem_region_desc desc = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(HOST),
		.size = sizeof(client),
		.ops = &ops,
		.resident = CBIT_KEY_HOST,
	};
	struct cbit_pt_nested_leaf both;
	struct rig r;

	(void)state;
	up(&r, CBIT_PT_AMDV1, 4, 4, false);
	assert_int_equal(cbit_mem_add_region(r.mem, &desc, NULL), 0);
	assert_int_equal(cbit_pt_map(r.host, CBIT_IOVA(DATA), CBIT_SPA(HOST), sizeof(client),
				     CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED, NULL),
			 0);
	for (unsigned int k = 0; k < 3; k++)
		client[k][0] = (DATA + KIB(4) * (k + 1)) | 7;
	client[3][0] = DATA | 3;
	r.nested.guest_root = DATA;
	assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, CBIT_IOVA(0), &both), 0);
	assert_int_equal(both.leaf.spa.v, HOST);
	assert_int_equal(both.leaf.attrs, CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED);
	/* in a device's window it is not looked for */
	desc.kind = CBIT_MEM_MMIO;
	desc.encrypts = false;
	desc.base = CBIT_SPA(HOST + GIB(1));
	assert_int_equal(cbit_mem_add_region(r.mem, &desc, NULL), 0);
	assert_int_equal(cbit_pt_map(r.host, CBIT_IOVA(DATA + GIB(1)), desc.base, sizeof(client),
				     CBIT_ATTR_RW, NULL),
			 0);
	r.nested.guest_root = DATA + GIB(1);
	assert_int_equal(cbit_pt_walk_nested(r.mem, &r.nested, CBIT_IOVA(0), &both), -EIO);
	assert_int_equal(both.stage, 1);
	assert_int_equal(both.leaf.spa.v, HOST + GIB(1));
	down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_composition),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_guest_c),
		cmocka_unit_test(test_client_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
