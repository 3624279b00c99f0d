/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables that no driver would write, one case a line for each format: a walk ends, names the place,
 * and says "not mapped" only where nothing is present.
 */
#include <errno.h>
#include <stdlib.h>

#include "pt_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Where an entry points to. */
enum target {
	SELF,      /* the table that it stands in */
	TOP,       /* the top table: a loop */
	NEXT,      /* the table below, as it should be */
	PAGE,      /* a page of data */
	NOWHERE,   /* an address that nothing decodes */
	MMIO,      /* a window of a device */
	OTHER_KEY, /* the table below, without the C-bit: noise is read */
	NOTHING,   /* address 0 */
};

/*
 * @level: of the entry that is replaced, in tables of four levels with a 4 KiB leaf, IOVA 0.
 * @bits:  the rest of the entry.
 * @err, @at: what the walk says, and the level it names.
 */
struct invalid {
	const char *name;
	enum cbit_pt_format format;
	unsigned int level;
	enum target to;
	uint64_t bits;
	int err;
	unsigned int at;
};

#define V1(next) (1 | (uint64_t)(next) << 9 | (uint64_t)3 << 61)
#define X86      ((uint64_t)0x27)
#define BIT(n)   ((uint64_t)1 << (n))

static const struct invalid cases[] = {
	/* loops: the level falls with every step, so they end at a leaf that is none */
	{ "points to itself, level kept", CBIT_PT_AMDV1, 4, SELF, V1(4), -EIO, 4 },
	{ "points to itself, level falls", CBIT_PT_AMDV1, 4, SELF, V1(3), -EIO, 3 },
	{ "back to the top from 3", CBIT_PT_AMDV1, 3, TOP, V1(2), -EIO, 2 },
	{ "back to the top from 2", CBIT_PT_AMDV1, 2, TOP, V1(1), -EIO, 1 },
	{ "points to itself", CBIT_PT_X86_64, 4, SELF, X86, 0, 1 },
	{ "back to the top from 3", CBIT_PT_X86_64, 3, TOP, X86, 0, 1 },
	{ "back to the top from 2", CBIT_PT_X86_64, 2, TOP, X86, 0, 1 },
	/* levels out of order */
	{ "next level above", CBIT_PT_AMDV1, 3, NEXT, V1(4), -EIO, 3 },
	{ "next level the same", CBIT_PT_AMDV1, 3, NEXT, V1(3), -EIO, 3 },
	{ "next level six in a table of two", CBIT_PT_AMDV1, 2, NEXT, V1(6), -EIO, 2 },
	{ "next level in the lowest", CBIT_PT_AMDV1, 1, NEXT, V1(1), -EIO, 1 },
	{ "a level skipped reads a pointer as one of its level", CBIT_PT_AMDV1, 4, NEXT, V1(2),
	  -EIO, 2 },
	/* sizes that no entry of the level has */
	{ "coded size below the level", CBIT_PT_AMDV1, 3, NOTHING, V1(7), -EIO, 3 },
	{ "coded size above the level", CBIT_PT_AMDV1, 1, NOTHING, V1(7) | 0x7ffffff000, -EIO, 1 },
	{ "coded size of all ones", CBIT_PT_AMDV1, 3, NOTHING, V1(7) | 0xffffffffff000, -EIO, 3 },
	/* tables that are not in memory */
	{ "table nowhere", CBIT_PT_AMDV1, 4, NOWHERE, V1(3), -EIO, 3 },
	{ "table nowhere", CBIT_PT_AMDV1, 2, NOWHERE, V1(1), -EIO, 1 },
	{ "table in a device", CBIT_PT_AMDV1, 3, MMIO, V1(2), -EIO, 2 },
	{ "table nowhere", CBIT_PT_X86_64, 4, NOWHERE, X86, -EIO, 3 },
	{ "table nowhere", CBIT_PT_X86_64, 2, NOWHERE, X86, -EIO, 1 },
	{ "table in a device", CBIT_PT_X86_64, 3, MMIO, X86, -EIO, 2 },
	/* reserved bits */
	{ "PS in level 4", CBIT_PT_X86_64, 4, NEXT, X86 | BIT(7), -EIO, 4 },
	{ "bit 8 in level 4", CBIT_PT_X86_64, 4, NEXT, X86 | BIT(8), -EIO, 4 },
	{ "1 GiB leaf, bit 13", CBIT_PT_X86_64, 3, NOTHING, X86 | BIT(7) | BIT(13), -EIO, 3 },
	{ "1 GiB leaf, bit 29", CBIT_PT_X86_64, 3, NOTHING, X86 | BIT(7) | BIT(29), -EIO, 3 },
	{ "2 MiB leaf, bit 20", CBIT_PT_X86_64, 2, NOTHING, X86 | BIT(7) | BIT(20), -EIO, 2 },
	{ "pointer beyond the SPA's width", CBIT_PT_X86_64, 3, NEXT, X86 | BIT(48), -EIO, 3 },
	{ "leaf beyond the SPA's width", CBIT_PT_X86_64, 1, PAGE, X86 | BIT(50), -EIO, 1 },
	/* what is legal all the same */
	{ "nothing", CBIT_PT_AMDV1, 3, NOTHING, 0, -ENOENT, 3 },
	{ "not present, all else set", CBIT_PT_AMDV1, 2, NOTHING, ~BIT(0), -ENOENT, 2 },
	{ "nothing", CBIT_PT_X86_64, 3, NOTHING, 0, -ENOENT, 3 },
	{ "not present, all else set", CBIT_PT_X86_64, 2, NOTHING, ~BIT(0), -ENOENT, 2 },
	{ "a page where nothing is", CBIT_PT_AMDV1, 1, NOWHERE, V1(0), 0, 1 },
	{ "a page where nothing is", CBIT_PT_X86_64, 1, NOWHERE, X86, 0, 1 },
	{ "a page in a device", CBIT_PT_X86_64, 1, MMIO, X86, 0, 1 },
	{ "PAT of a large leaf", CBIT_PT_X86_64, 2, NOTHING, X86 | BIT(7) | BIT(12), 0, 2 },
};

#define WINDOW GIB(32)

static uint8_t window[8192];

static struct cbit_mem *rig(void)
{
	struct cbit_mem *mem = make_mem(true, 51);
	struct cbit_mem_region_desc bar = { .kind = CBIT_MEM_MMIO,
					    .base = CBIT_SPA(WINDOW),
					    .size = sizeof(window),
					    .direct = window };

	assert_int_equal(cbit_mem_add_region(mem, &bar, NULL), 0);
	return mem;
}

static void check(struct cbit_mem *mem, const struct invalid *c, bool twist)
{
	struct cbit_pt *pt =
		c->format == CBIT_PT_AMDV1 ? make_pt(mem, 4, 4) : make_x86(mem, 4, false);
	struct cbit_bus root = cbit_mem_bus(mem, cbit_pt_root(pt), true);
	uint64_t *table, *slot = NULL, was, addr = 0, self = cbit_pt_root(pt).v;
	struct cbit_pt_leaf leaf, again;
	int err;

	assert_int_equal(
		cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(MIB(1)), KIB(4), CBIT_ATTR_RW, NULL), 0);
	table = table_at(mem, self, C51);
	for (unsigned int level = 4; level > c->level; level--) {
		self = table[0] & 0xffffffffff000 & ~C51;
		table = table_at(mem, table[0], C51);
	}
	slot = &table[0];
	was = *slot;
	switch (c->to) {
	case SELF:
		addr = self | C51;
		break;
	case TOP:
		addr = root.v;
		break;
	case NEXT:
	case PAGE:
		addr = was & 0xffffffffff000;
		break;
	case OTHER_KEY:
		addr = was & 0xffffffffff000 & ~C51;
		break;
	case NOWHERE:
		addr = GIB(200);
		break;
	case MMIO:
		addr = WINDOW;
		break;
	case NOTHING:
		break;
	}
	*slot = addr | c->bits;
	/* a page under another key somewhere makes the walker look at every table's key */
	if (twist) {
		uint8_t byte = 1;

		cbit_mem_write(mem, (struct cbit_bus){ GIB(1) }, &byte, 1);
	}
	err = cbit_pt_walk(pt, CBIT_IOVA(0x123), &leaf);
	if (err != c->err || leaf.level != c->at)
		fail_msg("%s (level %u): %d at level %u instead of %d at %u", c->name, c->level,
			 err, leaf.level, c->err, c->at);
	assert_int_equal(cbit_pt_walk_from(mem, c->format, root, 4, CBIT_IOVA(0x123), &again), err);
	assert_int_equal(again.level, leaf.level);
	assert_int_equal(cbit_pt_walk_mark(mem, c->format, root, 4, CBIT_IOVA(0x123),
					   CBIT_ATTR_ACCESSED, &again),
			 err);
	*slot = addr | c->bits;
	if (err == -EIO && leaf.level == c->level)
		assert_int_equal(leaf.entry, *slot);
	if (err == -EIO && (c->to == NOWHERE || c->to == MMIO)) {
		assert_int_equal(leaf.entry, 0);
		assert_int_equal(leaf.spa.v, addr);
	}
	if (err == -ENOENT)
		assert_true(0x123 - leaf.iova.v < leaf.size);
	/* the writer and what it keeps beside are not led astray either */
	(void)cbit_pt_cut(pt, CBIT_IOVA(KIB(4)));
	(void)cbit_pt_read_dirty(pt, CBIT_IOVA(0), GIB(1), &(struct cbit_pt_dirty){ .flags = 0 });
	(void)cbit_pt_unmap(pt, CBIT_IOVA(MIB(4)), GIB(1), NULL);
	/* nor at the end */
	if (!twist) {
		*slot = was;
		if (cbit_pt_walk(pt, CBIT_IOVA(0), &leaf))
			fail_msg("%s (level %u): unmapped by a call elsewhere", c->name, c->level);
	}
	cbit_pt_destroy(pt);
}

static void test_invalid(void **state)
{
	struct cbit_mem *mem;

	(void)state;
	for (unsigned int twist = 0; twist < 2; twist++) {
		mem = rig();
		if (twist) {
			struct cbit_spa first;

			/* so that the twisted page is nobody's table */
			assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &first), 0);
			assert_int_equal(first.v, GIB(1));
		}
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			check(mem, &cases[i], twist);
		cbit_mem_destroy(mem);
	}
}

/*
 * A table whose page goes to another key while walks go through it: from that moment noise is
 * read, and when it comes back under its key, what it holds.
 */
static void test_foreign_table(void **state)
{
	static const enum cbit_pt_format formats[] = { CBIT_PT_AMDV1, CBIT_PT_X86_64 };

	(void)state;
	for (unsigned int f = 0; f < ARRAY_SIZE(formats); f++) {
		for (unsigned int level = 4; level >= 1; level--) {
			struct cbit_mem *mem = rig();
			struct cbit_pt *pt = formats[f] == CBIT_PT_AMDV1 ? make_pt(mem, 4, 4)
									 : make_x86(mem, 4, false);
			uint64_t spa = cbit_pt_root(pt).v, raw[512], plain[512];
			struct cbit_pt_leaf leaf;
			int err;

			assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(0), CBIT_SPA(MIB(1)), KIB(4),
						     CBIT_ATTR_RW, NULL),
					 0);
			assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), 0);
			for (unsigned int n = 4; n > level; n--)
				spa = table_at(mem, spa, C51)[0] & 0xffffffffff000 & ~C51;
			memcpy(plain, table_at(mem, spa, C51), sizeof(plain));
			/* what is in the chip, written as it is: the page is under no key now */
			assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(spa), raw, sizeof(raw)), 0);
			assert_int_equal(
				cbit_mem_write(mem, (struct cbit_bus){ spa }, raw, sizeof(raw)),
				CBIT_MEM_OK);
			/* the walker asks for it under the host key, and the same is read */
			assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), 0);
			/* plaintext without the key is noise with it */
			assert_int_equal(
				cbit_mem_write(mem, (struct cbit_bus){ spa }, plain, sizeof(plain)),
				CBIT_MEM_OK);
			err = cbit_pt_walk(pt, CBIT_IOVA(0), &leaf);
			assert_true(err || leaf.spa.v != MIB(1));
			/* and back */
			assert_int_equal(cbit_mem_write(mem, (struct cbit_bus){ spa | C51 }, plain,
							sizeof(plain)),
					 CBIT_MEM_OK);
			assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), 0);
			assert_int_equal(leaf.spa.v, MIB(1));
			cbit_pt_destroy(pt);
			cbit_mem_destroy(mem);
		}
	}
}

#define PAGES_OF_TWO 1024u /* two tables of level 1 */
#define FRAMES       64u

/* What a device has written into the tables of a pt that has two full tables of level 1. */
enum damage {
	TWICE,      /* the second pointer of level 2 is the first once more */
	EVERYWHERE, /* so are all entries of levels 4 to 2 */
	UPWARDS,    /* it leads to the top table */
	FOREIGN,    /* to a frame that is somebody else's, full of entries */
	OTHERS,     /* to a table of another pt */
	ASIDE,      /* what is left in the tables set aside leads back to them */
	DAMAGES,
};

static uint64_t pointer(enum cbit_pt_format format, uint64_t spa, unsigned int next)
{
	return spa | C51 | (format == CBIT_PT_AMDV1 ? V1(next) : X86);
}

static void damage(struct cbit_mem *mem, struct cbit_pt *pt, enum cbit_pt_format format,
		   enum damage what, uint64_t *top, uint64_t foreign)
{
	uint64_t *three = table_at(mem, top[0], C51), *two = table_at(mem, three[0], C51);

	switch (what) {
	case TWICE:
		two[1] = two[0];
		break;
	case EVERYWHERE:
		for (unsigned int i = 1; i < 512; i++) {
			two[i] = two[0];
			three[i] = three[0];
			top[i] = top[0];
		}
		break;
	case UPWARDS:
		two[1] = pointer(format, cbit_pt_root(pt).v, 1);
		break;
	case FOREIGN:
	case OTHERS:
		two[1] = pointer(format, foreign, 1);
		break;
	default:
		break;
	}
}

/*
 * Whatever a device writes over tables, unmapping and destroying them ends, gives back each frame
 * once, and leaves alone what is not theirs.
 */
static void check_writer(enum cbit_pt_format format, enum damage what, bool unmap)
{
	struct cbit_mem *mem = rig();
	struct cbit_pt *pt, *other;
	struct cbit_spa held, got[FRAMES];
	struct cbit_pt_leaf leaf;
	uint64_t *table, *one[2], n;

	pt = format == CBIT_PT_AMDV1 ? make_pt(mem, 4, 4) : make_x86(mem, 4, false);
	other = format == CBIT_PT_AMDV1 ? make_pt(mem, 4, 4) : make_x86(mem, 4, false);
	assert_int_equal(
		cbit_pt_map(other, CBIT_IOVA(0), CBIT_SPA(MIB(1)), KIB(4), CBIT_ATTR_RW, NULL), 0);
	assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &held), 0);
	table = table_at(mem, held.v, C51);
	for (unsigned int i = 0; i < 512; i++)
		table[i] = pointer(format, MIB(1), 0);
	for (unsigned int i = 0; i < PAGES_OF_TWO; i++)
		assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(i * KIB(4)),
					     CBIT_SPA(MIB(64) - i * KIB(4)), KIB(4), CBIT_ATTR_RW,
					     NULL),
				 0);
	table = table_at(mem, cbit_pt_root(pt).v, C51);
	for (unsigned int i = 0; i < 2; i++)
		one[i] = table_at(mem, table_at(mem, table_at(mem, table[0], C51)[0], C51)[i], C51);
	if (what == OTHERS) {
		uint64_t *at = table_at(mem, cbit_pt_root(other).v, C51);

		for (unsigned int i = 0; i < 2; i++)
			at = table_at(mem, at[0], C51);
		damage(mem, pt, format, what, table, at[0] & 0xffffffffff000 & ~C51);
	} else {
		damage(mem, pt, format, what, table, held.v);
	}
	if (unmap) {
		assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), GIB(2), &n), 0);
		assert_true(n >= MIB(2) && n <= MIB(4));
		if (what == ASIDE) {
			/* each to itself, and to the other */
			one[0][0] = one[1][0] | (one[0][0] ? 0 : 2);
			one[1][0] |= 2;
		}
		cbit_pt_gather_free(pt);
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0), &leaf), -ENOENT);
	}
	cbit_pt_destroy(pt);
	/* theirs is as it was */
	assert_int_equal(cbit_pt_walk(other, CBIT_IOVA(0), &leaf), 0);
	assert_int_equal(leaf.spa.v, MIB(1));
	table = table_at(mem, held.v, C51);
	for (unsigned int i = 0; i < 512; i++)
		assert_int_equal(table[i], pointer(format, MIB(1), 0));
	/* and no frame is given out twice */
	for (unsigned int i = 0; i < FRAMES; i++) {
		assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &got[i]), 0);
		assert_int_not_equal(got[i].v, held.v);
		assert_int_not_equal(got[i].v, cbit_pt_root(other).v);
		for (unsigned int k = 0; k < i; k++)
			assert_int_not_equal(got[i].v, got[k].v);
	}
	cbit_pt_destroy(other);
	cbit_mem_destroy(mem);
}

static void test_writer(void **state)
{
	(void)state;
	for (unsigned int what = 0; what < DAMAGES; what++) {
		for (unsigned int unmap = 0; unmap < 2; unmap++) {
			check_writer(CBIT_PT_AMDV1, what, unmap);
			check_writer(CBIT_PT_X86_64, what, unmap);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_foreign_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
