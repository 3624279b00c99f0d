/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine: map, unmap, walk and growth of a multi-level table whose entries mean
 * what a format says. A format's C file defines the fmt_* functions below as static inline and
 * then includes this file, so that the compiler folds both into one loop: no call through a
 * pointer anywhere between the API and an entry.
 *
 *   FMT_SIZES                       bit n: leaves of 2^n bytes may be written
 *   FMT_LEVELS                      levels there can be
 *   fmt_item_lg2(level)             log2 of what one entry of a table spans
 *   fmt_items(level)                entries of a table
 *   fmt_kind(entry, level)          what an entry is
 *   fmt_single(entry, level)        a leaf of the level's own size; a fast fmt_kind()
 *   fmt_next_level(entry)           level of the table that a table entry points to
 *   fmt_table_addr(entry)           address in a table entry, C-bit included
 *   fmt_table(spa, level, c)        entry that points to a table of @level
 *   fmt_leaf_lg2(entry, level)      log2 of a leaf's size
 *   fmt_leaf_spa(entry, lg2, c)     its SPA; @c is the C-bit as a mask
 *   fmt_leaf(spa, lg2, item)        leaf without attributes
 *   fmt_attr_bits(attrs, c)         bits for attributes
 *   fmt_attrs(entry, c)             the other way
 *   fmt_rights(entry)               CBIT_ATTR_READ and WRITE that an entry lets pass
 *
 * Every format here has its present bit at bit 0.
 *
 * Invariant: a table below the top holds at least one present entry. Unmap sets aside every
 * table that becomes empty, whether or not the range covered it; the exceptions (an old top
 * that was empty when the top grew, tables left by a map that ran out of frames) are pruned
 * when a leaf wants their place.
 *
 * Entries are read with acquire and tables published with release, so a walk of another range
 * may run beside the one writer.
 */
#ifndef CBIT_PT_RADIX_H
#define CBIT_PT_RADIX_H

#include <errno.h>

#include "internal.h"

enum fmt_kind {
	FMT_EMPTY,
	FMT_LEAF,
	FMT_TABLE,
	FMT_BAD,
};

static inline unsigned int fmt_item_lg2(unsigned int level);
static inline unsigned int fmt_items(unsigned int level);
static inline enum fmt_kind fmt_kind(uint64_t entry, unsigned int level);
static inline bool fmt_single(uint64_t entry, unsigned int level);
static inline unsigned int fmt_next_level(uint64_t entry);
static inline uint64_t fmt_table_addr(uint64_t entry);
static inline uint64_t fmt_table(uint64_t spa, unsigned int level, uint64_t c);
static inline unsigned int fmt_leaf_lg2(uint64_t entry, unsigned int level);
static inline uint64_t fmt_leaf_spa(uint64_t entry, unsigned int lg2, uint64_t c);
static inline uint64_t fmt_leaf(uint64_t spa, unsigned int lg2, unsigned int item);
static inline uint64_t fmt_attr_bits(unsigned int attrs, uint64_t c);
static inline unsigned int fmt_attrs(uint64_t entry, uint64_t c);
static inline unsigned int fmt_rights(uint64_t entry);

#define RADIX_PRESENT ((uint64_t)1)
/* Link of a table set aside: a value a walker takes for an entry that is not present. */
#define RADIX_LINK ((uint64_t)2)

static inline uint64_t radix_bytes(unsigned int lg2)
{
	return (uint64_t)1 << lg2;
}

static inline uint64_t radix_load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void radix_store(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint64_t *radix_table(struct cbit_pt *pt, uint64_t spa)
{
	return cbit_mem_page(pt->mem, cbit_mem_bus(pt->mem, CBIT_SPA(spa), pt->cfg.table_c));
}

/* The table below @entry if it is one of ours (no level skipped), with its SPA. */
static inline uint64_t *radix_child(struct cbit_pt *pt, uint64_t entry, unsigned int level,
				    uint64_t *spa)
{
	if (fmt_kind(entry, level) != FMT_TABLE || fmt_next_level(entry) != level - 1)
		return NULL;
	*spa = fmt_table_addr(entry) & ~pt->c_mask;
	return radix_table(pt, *spa);
}

/*
 * The scans read plainly: only the one writer stores to a table, and it is the one who scans.
 * Eight entries are tested at once, which compilers do in vector registers.
 */
static inline unsigned int radix_first_used(const uint64_t *table, unsigned int from,
					    unsigned int to)
{
	for (; to - from >= 8; from += 8) {
		const uint64_t *t = &table[from];
		uint64_t any = t[0] | t[1] | t[2] | t[3] | t[4] | t[5] | t[6] | t[7];

		if (any & RADIX_PRESENT)
			break;
	}
	while (from < to && !(table[from] & RADIX_PRESENT))
		from++;
	return from;
}

static inline bool radix_empty(const uint64_t *table, unsigned int level)
{
	unsigned int items = fmt_items(level);

	return radix_first_used(table, 0, items) == items;
}

/*
 * Keep a table until radix_gather_free(). The list runs through entry 0 of the tables
 * themselves, so that unmapping never needs memory; a walker that still holds such a table
 * finds nothing present in it.
 */
static inline void radix_set_aside(struct cbit_pt *pt, uint64_t *table, uint64_t spa)
{
	radix_store(&table[0], pt->gather);
	pt->gather = spa | RADIX_LINK;
}

static inline void radix_gather_free(struct cbit_pt *pt)
{
	while (pt->gather) {
		uint64_t spa = pt->gather & ~RADIX_LINK;
		uint64_t *table = radix_table(pt, spa);

		pt->gather = table ? radix_load(&table[0]) : 0;
		cbit_mem_frames_free(pt->mem, CBIT_SPA(spa), 1);
	}
}

/* True when no leaf is left below @entry, whose tables then have been set aside. */
static bool radix_prune(struct cbit_pt *pt, uint64_t entry, unsigned int level)
{
	uint64_t spa;
	uint64_t *table = radix_child(pt, entry, level, &spa);

	if (!table)
		return false;
	for (unsigned int i = 0; i < fmt_items(level - 1); i++) {
		uint64_t below = radix_load(&table[i]);

		if (!(below & RADIX_PRESENT))
			continue;
		if (!radix_prune(pt, below, level - 1))
			return false;
		radix_store(&table[i], 0);
	}
	radix_set_aside(pt, table, spa);
	return true;
}

static void radix_free_below(struct cbit_pt *pt, uint64_t spa, unsigned int level)
{
	uint64_t *table = radix_table(pt, spa);

	if (table && level > 1) {
		for (unsigned int i = 0; i < fmt_items(level); i++) {
			uint64_t entry = radix_load(&table[i]);

			if (fmt_kind(entry, level) == FMT_TABLE &&
			    fmt_next_level(entry) == level - 1)
				radix_free_below(pt, fmt_table_addr(entry) & ~pt->c_mask,
						 level - 1);
		}
	}
	cbit_mem_frames_free(pt->mem, CBIT_SPA(spa), 1);
}

static inline void radix_free_all(struct cbit_pt *pt)
{
	uint64_t top = pt_top(pt);

	radix_gather_free(pt);
	radix_free_below(pt, top & ~PT_TOP_LEVEL, (unsigned int)(top & PT_TOP_LEVEL));
}

/* --- map --- */

struct radix_map {
	struct cbit_pt *pt;
	uint64_t iova;
	uint64_t spa;
	uint64_t left;
	uint64_t bits;
};

/* log2 of the largest leaf that fits here, of those in @sizes. */
static inline unsigned int radix_best(const struct radix_map *m, uint64_t sizes)
{
	unsigned int align = (unsigned int)__builtin_ctzll(m->iova | m->spa | radix_bytes(63));
	unsigned int room = 63 - (unsigned int)__builtin_clzll(m->left);
	unsigned int top = align < room ? align : room;

	sizes &= (radix_bytes(top) << 1) - 1;
	return 63 - (unsigned int)__builtin_clzll(sizes);
}

/*
 * How many leaves of @lg2 follow one another from here before a larger one fits, the range
 * ends or the table ends (@room bytes).
 */
static inline uint64_t radix_run(const struct radix_map *m, uint64_t sizes, unsigned int lg2,
				 uint64_t room)
{
	uint64_t n = (m->left < room ? m->left : room) >> lg2;
	uint64_t larger = sizes & ~((radix_bytes(lg2) << 1) - 1);
	uint64_t next, gap;

	if (!larger)
		return n;
	next = larger & -larger;
	if ((m->iova ^ m->spa) & (next - 1))
		return n;
	gap = -m->iova & (next - 1);
	if (gap && gap < m->left && m->left - gap >= next && gap >> lg2 < n)
		n = gap >> lg2;
	return n;
}

static inline int radix_fill(struct radix_map *m, uint64_t *table, unsigned int level,
			     unsigned int at, unsigned int lg2, uint64_t n)
{
	unsigned int item = fmt_item_lg2(level);
	unsigned int copies = 1u << (lg2 - item);
	unsigned int end = at + ((unsigned int)n << (lg2 - item));
	unsigned int used = radix_first_used(table, at, end);
	uint64_t entry = fmt_leaf(m->spa, lg2, item) | m->bits;
	uint64_t bytes;
	bool blocked;

	while (used < end && radix_prune(m->pt, radix_load(&table[used]), level)) {
		radix_store(&table[used], 0);
		used = radix_first_used(table, used, end);
	}
	blocked = used < end;
	n = (used - at) >> (lg2 - item);
	end = at + ((unsigned int)n << (lg2 - item));
	if (copies == 1) {
		for (; at < end; at++, entry += radix_bytes(lg2))
			radix_store(&table[at], entry);
	} else {
		for (; at < end; entry += radix_bytes(lg2))
			for (unsigned int i = 0; i < copies; i++)
				radix_store(&table[at++], entry);
	}
	bytes = n << lg2;
	m->iova += bytes;
	m->spa += bytes;
	m->left -= bytes;
	return blocked ? -EEXIST : 0;
}

static int radix_map_table(struct radix_map *m, uint64_t *table, unsigned int level)
{
	unsigned int item = fmt_item_lg2(level);
	unsigned int items = fmt_items(level);
	unsigned int at = (unsigned int)(m->iova >> item) & (items - 1);
	/* Item size times 512 would be a leaf of the level above, where that exists. */
	uint64_t sizes = FMT_SIZES & (item + 9 < 64 ? radix_bytes(item + 9) - 1 : ~(uint64_t)0);

	while (m->left && at < items) {
		unsigned int lg2 = radix_best(m, sizes);
		uint64_t entry, spa;
		uint64_t *child;
		int err;

		if (lg2 >= item) {
			uint64_t n = radix_run(m, sizes, lg2, (uint64_t)(items - at) << item);

			err = radix_fill(m, table, level, at, lg2, n);
			if (err)
				return err;
			at += (unsigned int)n << (lg2 - item);
			continue;
		}
		entry = radix_load(&table[at]);
		if (!(entry & RADIX_PRESENT)) {
			struct cbit_spa frame;

			err = pt_frame_alloc(m->pt, &frame);
			if (err)
				return err;
			child = radix_table(m->pt, frame.v);
			if (!child) {
				cbit_mem_frames_free(m->pt->mem, frame, 1);
				return -ENOMEM;
			}
			radix_store(&table[at], fmt_table(frame.v, level - 1,
							  m->pt->cfg.table_c ? m->pt->c_mask : 0));
		} else {
			child = radix_child(m->pt, entry, level, &spa);
			if (!child)
				return -EEXIST;
		}
		err = radix_map_table(m, child, level - 1);
		if (err)
			return err;
		at++;
	}
	return 0;
}

static inline bool radix_reaches(unsigned int mode, uint64_t iova)
{
	unsigned int lg2 = fmt_item_lg2(mode) + 9;

	return lg2 >= 64 || !(iova >> lg2);
}

static inline int radix_grow(struct cbit_pt *pt)
{
	uint64_t top = pt_top(pt);
	unsigned int mode = (unsigned int)(top & PT_TOP_LEVEL);
	struct cbit_spa frame;
	uint64_t *table;
	int err;

	err = pt_frame_alloc(pt, &frame);
	if (err)
		return err;
	table = radix_table(pt, frame.v);
	if (!table) {
		cbit_mem_frames_free(pt->mem, frame, 1);
		return -ENOMEM;
	}
	radix_store(&table[0],
		    fmt_table(top & ~PT_TOP_LEVEL, mode, pt->cfg.table_c ? pt->c_mask : 0));
	__atomic_store_n(&pt->top, frame.v | (mode + 1), __ATOMIC_RELEASE);
	if (pt->cfg.top_changed)
		pt->cfg.top_changed(pt->cfg.opaque, pt);
	return 0;
}

static inline int radix_map(struct cbit_pt *pt, uint64_t iova, uint64_t spa, uint64_t len,
			    unsigned int attrs, uint64_t *mapped)
{
	struct radix_map m = {
		.pt = pt,
		.iova = iova,
		.spa = spa,
		.left = len,
		.bits = fmt_attr_bits(attrs, pt->c_mask),
	};
	uint64_t last = iova + (len - 1);
	uint64_t *table;
	uint64_t top;
	int err;

	if (!radix_reaches(pt->cfg.max_mode, last))
		return -ERANGE;
	while (!radix_reaches((unsigned int)(pt_top(pt) & PT_TOP_LEVEL), last)) {
		err = radix_grow(pt);
		if (err)
			return err;
	}
	top = pt_top(pt);
	table = radix_table(pt, top & ~PT_TOP_LEVEL);
	if (!table)
		return -ENOMEM;
	err = radix_map_table(&m, table, (unsigned int)(top & PT_TOP_LEVEL));
	*mapped = len - m.left;
	return err;
}

/* --- unmap --- */

struct radix_unmap {
	struct cbit_pt *pt;
	uint64_t first;
	uint64_t last;
	uint64_t removed;
};

/* @base: IOVA of entry 0 of @table. */
static void radix_unmap_table(struct radix_unmap *u, uint64_t *table, unsigned int level,
			      uint64_t base)
{
	unsigned int item = fmt_item_lg2(level);
	uint64_t end = (u->last - base) >> item;
	unsigned int at = u->first > base ? (unsigned int)((u->first - base) >> item) : 0;
	unsigned int to = end < fmt_items(level) - 1 ? (unsigned int)end + 1 : fmt_items(level);

	while (at < to) {
		uint64_t entry = radix_load(&table[at]);
		enum fmt_kind kind;
		uint64_t *child;
		uint64_t spa;

		if (!(entry & RADIX_PRESENT)) {
			at = radix_first_used(table, at, to);
			continue;
		}
		/* Most are leaves of the level's own size, one after the other. */
		while (fmt_single(entry, level) && base + ((uint64_t)at << item) >= u->first) {
			radix_store(&table[at], 0);
			u->removed += radix_bytes(item);
			if (++at == to)
				return;
			entry = radix_load(&table[at]);
		}
		if (!(entry & RADIX_PRESENT))
			continue;
		kind = fmt_kind(entry, level);
		if (kind == FMT_LEAF) {
			unsigned int lg2 = fmt_leaf_lg2(entry, level);
			unsigned int copies = 1u << (lg2 - item);
			unsigned int start = at & ~(copies - 1);

			/*
			 * A leaf that began before the range stays as it is. So does a stray
			 * copy in a damaged table: its run could lead beyond the table.
			 */
			if (start < at || base + ((uint64_t)start << item) < u->first) {
				at = start + copies;
				continue;
			}
			for (unsigned int i = 0; i < copies; i++)
				radix_store(&table[at++], 0);
			u->removed += radix_bytes(lg2);
			continue;
		}
		child = radix_child(u->pt, entry, level, &spa);
		if (child) {
			radix_unmap_table(u, child, level - 1, base + ((uint64_t)at << item));
			if (radix_empty(child, level - 1)) {
				radix_store(&table[at], 0);
				radix_set_aside(u->pt, child, spa);
			}
		}
		at++;
	}
}

static inline uint64_t radix_unmap(struct cbit_pt *pt, uint64_t first, uint64_t last)
{
	struct radix_unmap u = { .pt = pt, .first = first, .last = last };
	uint64_t top = pt_top(pt);
	uint64_t *table = radix_table(pt, top & ~PT_TOP_LEVEL);
	unsigned int mode = (unsigned int)(top & PT_TOP_LEVEL);

	/* Nothing is mapped beyond the reach of the top. */
	if (table && radix_reaches(mode, first))
		radix_unmap_table(&u, table, mode, 0);
	return u.removed;
}

/* --- walk --- */

static inline int radix_hole(struct cbit_pt_leaf *leaf, uint64_t iova, unsigned int lg2)
{
	leaf->entry = 0;
	leaf->size = radix_bytes(lg2);
	leaf->iova.v = iova & ~(leaf->size - 1);
	return -ENOENT;
}

/*
 * Ends whatever the tables hold: the level falls with every step.
 */
static inline int radix_walk(struct cbit_mem *mem, uint64_t c_mask, uint64_t root,
			     unsigned int mode, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	unsigned int rights = CBIT_ATTR_RW;
	unsigned int level = mode;

	*leaf = (struct cbit_pt_leaf){ .level = level };
	if (!mode || mode > FMT_LEVELS)
		return -EIO;
	if (!radix_reaches(mode, iova))
		return radix_hole(leaf, iova, fmt_item_lg2(mode) + 9);
	for (;;) {
		unsigned int item = fmt_item_lg2(level);
		const uint64_t *table = cbit_mem_page(mem, (struct cbit_bus){ root });
		unsigned int next, lg2;
		uint64_t entry, skipped;

		leaf->level = level;
		if (!table) {
			leaf->entry = 0;
			leaf->spa.v = root & ~c_mask;
			return -EIO;
		}
		entry = radix_load(&table[(iova >> item) & (fmt_items(level) - 1)]);
		switch (fmt_kind(entry, level)) {
		case FMT_EMPTY:
			return radix_hole(leaf, iova, item);
		case FMT_BAD:
			leaf->entry = entry;
			return -EIO;
		case FMT_LEAF:
			lg2 = fmt_leaf_lg2(entry, level);
			leaf->size = radix_bytes(lg2);
			leaf->iova.v = iova & ~(leaf->size - 1);
			leaf->spa.v = fmt_leaf_spa(entry, lg2, c_mask);
			leaf->entry = entry;
			rights &= fmt_rights(entry);
			leaf->attrs = (fmt_attrs(entry, c_mask) & ~CBIT_ATTR_RW) | rights;
			return 0;
		case FMT_TABLE:
			break;
		}
		next = fmt_next_level(entry);
		skipped = (radix_bytes(item) - 1) & ~(radix_bytes(fmt_item_lg2(next) + 9) - 1);
		if (iova & skipped)
			return radix_hole(leaf, iova, fmt_item_lg2(next) + 9);
		rights &= fmt_rights(entry);
		root = fmt_table_addr(entry);
		level = next;
	}
}

#endif
