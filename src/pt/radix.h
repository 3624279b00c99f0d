/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine: map, unmap, walk and growth of a multi-level table whose entries mean
 * what a format says. A format's C file defines the fmt_* functions below as static inline and
 * then includes this file and those that do the work (radix_near.h, radix_map.h,
 * radix_unmap.h, radix_walk.h), so that the compiler folds both into one loop: no call through a
 * pointer anywhere between the API and an entry.
 *
 *   FMT_SIZES                       bit n: leaves of 2^n bytes may be written
 *   FMT_LOWEST, FMT_LEVELS          levels there can be, at least and at most
 *   fmt_item_lg2(level)             log2 of what one entry of a table spans
 *   fmt_level_of(lg2)               level at which leaves of 2^lg2 bytes stand
 *   fmt_items(level)                entries of a table
 *   FMT_USER                        attribute that a second stage must have, for its accesses are
 *                                   those of a user; 0 for none
 *   FMT_USABLE                      bits that a leaf needs for such an access to read
 *   FMT_SIGNED                      whether addresses may be sign-extended
 *   fmt_kind(entry, level, wide)    what an entry is; @wide: address bits that must be 0
 *   fmt_single(entry, level)        a leaf of the level's own size; a fast fmt_kind()
 *   fmt_plain(entry, level, wide)   the same, and nothing wrong with it
 *   FMT_ADDR                        bits of an address in an entry
 *   FMT_CHILD_MASK                  bits that tell a pointer to a table of the level below...
 *   fmt_child_bits(level)           ...from everything else, and their value in it
 *   fmt_next_level(entry, level)           level of the table that a table entry points to
 *   fmt_table_addr(entry)           address in a table entry, C-bit included
 *   fmt_table(spa, level, c)        entry that points to a table of @level
 *   fmt_leaf_lg2(entry, level)      log2 of a leaf's size
 *   fmt_leaf_spa(entry, lg2, c)     its SPA; @c is the C-bit as a mask
 *   fmt_leaf(spa, lg2, item)        leaf without attributes
 *   fmt_attr_bits(attrs, c)         bits for attributes
 *   fmt_attrs(entry, c)             the other way, for those that the leaf alone decides
 *   fmt_path(entry)                 what an entry contributes to the attributes that the whole path
 *                                   decides: they are those of the AND of these words...
 *   fmt_path_attrs(path)            ...and read from it so
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
#include <string.h>

#include "internal.h"

static inline unsigned int fmt_item_lg2(unsigned int level);
static inline unsigned int fmt_level_of(unsigned int lg2);
static inline unsigned int fmt_items(unsigned int level);
static inline enum fmt_kind fmt_kind(uint64_t entry, unsigned int level, uint64_t wide);
static inline bool fmt_single(uint64_t entry, unsigned int level);
static inline bool fmt_plain(uint64_t entry, unsigned int level, uint64_t wide);
static inline uint64_t fmt_child_bits(unsigned int level);
static inline unsigned int fmt_next_level(uint64_t entry, unsigned int level);
static inline uint64_t fmt_table_addr(uint64_t entry);
static inline uint64_t fmt_table(uint64_t spa, unsigned int level, uint64_t c);
static inline unsigned int fmt_leaf_lg2(uint64_t entry, unsigned int level);
static inline uint64_t fmt_leaf_spa(uint64_t entry, unsigned int lg2, uint64_t c);
static inline uint64_t fmt_leaf(uint64_t spa, unsigned int lg2, unsigned int item);
static inline uint64_t fmt_attr_bits(unsigned int attrs, uint64_t c);
static inline unsigned int fmt_attrs(uint64_t entry, uint64_t c);
static inline uint64_t fmt_path(uint64_t entry);
static inline unsigned int fmt_path_attrs(uint64_t path);

#define RADIX_PRESENT ((uint64_t)1)
/* Link of a table set aside: a value a walker takes for an entry that is not present. */
#define RADIX_LINK ((uint64_t)2)

static inline uint64_t radix_bytes(unsigned int lg2)
{
	return (uint64_t)1 << lg2;
}

/* All addresses and sizes below 2^@lg2; the level above the widest table's entries is 2^66. */
static inline uint64_t radix_below(unsigned int lg2)
{
	return lg2 < 64 ? radix_bytes(lg2) - 1 : ~(uint64_t)0;
}

static inline uint64_t radix_load(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void radix_store(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/*
 * The same into all @n entries of a leaf that has several: eight at a time, for one by one the
 * counting takes longer than the stores.
 */
static inline void radix_store_all(uint64_t *slot, unsigned int n, uint64_t v)
{
	for (; n >= 8; n -= 8, slot += 8) {
		radix_store(&slot[0], v);
		radix_store(&slot[1], v);
		radix_store(&slot[2], v);
		radix_store(&slot[3], v);
		radix_store(&slot[4], v);
		radix_store(&slot[5], v);
		radix_store(&slot[6], v);
		radix_store(&slot[7], v);
	}
	while (n)
		radix_store(&slot[--n], v);
}

/* The table below @entry if it is one of ours (no level skipped), with its SPA. */
static inline uint64_t *radix_child(const struct cbit_pt *pt, const struct mem_view *view,
				    uint64_t entry, unsigned int level, uint64_t *spa)
{
	if (level == 1 || (entry & FMT_CHILD_MASK) != fmt_child_bits(level))
		return NULL;
	*spa = fmt_table_addr(entry) & ~view->c_mask;
	if (__builtin_expect(!pt_holds(pt, view, *spa, level - 1), 0))
		return NULL;
	return mem_view_page(view, pt->mem, *spa | pt->table_c);
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

/* Entries came or, with a negative @n, went. */
static inline void radix_count(const struct mem_view *view, uint64_t spa, int n)
{
	int16_t *live = pt_live(view, spa);

	if (live)
		*live = (int16_t)(*live + n);
}

/* See pt_live(): a count below 0 is wrong as well. */
static inline bool radix_empty(const struct mem_view *view, const uint64_t *table, uint64_t spa,
			       unsigned int level)
{
	const int16_t *live = pt_live(view, spa);
	unsigned int items = fmt_items(level);

	if (live && *live > 0)
		return false;
	/* All zeros, as libc compares in wide registers: 21 ns of 336 for a pair that empties
	 * three. */
	if (!table[0] && !memcmp(table, table + 1, (items - 1) * sizeof(*table)))
		return true;
	return radix_first_used(table, 0, items) == items;
}

/*
 * Keep a table until radix_gather_free(). The list runs through entry 0 of the tables
 * themselves, so that unmapping never needs memory; a walker that still holds such a table
 * finds nothing present in it.
 */
static inline void radix_set_aside(struct cbit_pt *pt, uint64_t *table, uint64_t spa)
{
	if (pt->near_used)
		memset(pt->near, 0, sizeof(pt->near));
	pt->near_used = false;
	pt->epoch++;
	radix_store(&table[0], pt->gather);
	pt->gather = spa | RADIX_LINK;
	pt->gathered++;
	pt_hold(pt, spa, pt->mark);
}

/* Links that somebody has written over end the list, or lead to no frame that was set aside. */
static inline void radix_gather_free(struct cbit_pt *pt)
{
	const struct mem_view *view = mem_view(pt->mem);

	for (; pt->gathered && pt->gather & RADIX_LINK; pt->gathered--) {
		uint64_t spa = pt->gather & CBIT_PAGE_MASK & ~view->c_mask;
		uint64_t *table = pt_holds(pt, view, spa, 0) ? pt_table(pt, spa) : NULL;

		if (!table)
			break;
		pt->gather = radix_load(&table[0]);
		pt_hold(pt, spa, 0);
		pt_frame_free(pt, spa);
	}
	pt->gather = 0;
	pt->gathered = 0;
}

/* True when no leaf is left below @entry, whose tables then have been set aside. */
static bool radix_prune(struct cbit_pt *pt, uint64_t entry, unsigned int level)
{
	uint64_t spa;
	uint64_t *table = radix_child(pt, mem_view(pt->mem), entry, level, &spa);

	if (!table)
		return false;
	for (unsigned int i = 0; i < fmt_items(level - 1); i++) {
		uint64_t below = radix_load(&table[i]);

		if (!(below & RADIX_PRESENT))
			continue;
		if (!radix_prune(pt, below, level - 1))
			return false;
		radix_store(&table[i], 0);
		radix_count(mem_view(pt->mem), spa, -1);
	}
	radix_set_aside(pt, table, spa);
	return true;
}

/* @table: the one at @spa, NULL if it cannot be read any more. */
static void radix_free_below(struct cbit_pt *pt, const uint64_t *table, uint64_t spa,
			     unsigned int level)
{
	for (unsigned int i = 0; table && level > 1 && i < fmt_items(level); i++) {
		uint64_t child_spa;
		const uint64_t *child = radix_child(pt, mem_view(pt->mem), radix_load(&table[i]),
						    level, &child_spa);

		if (child)
			radix_free_below(pt, child, child_spa, level - 1);
	}
	pt_hold(pt, spa, 0);
	cbit_mem_frames_free(pt->mem, CBIT_SPA(spa), 1);
}

static inline void radix_free_all(struct cbit_pt *pt)
{
	uint64_t top = pt_top(pt);

	radix_gather_free(pt);
	radix_free_below(pt, pt_table(pt, pt_top_spa(top)), pt_top_spa(top), pt_top_level(top));
}

/*
 * Whether tables of @mode decode all of @iova. With CBIT_PT_SIGN_EXTEND the upper half of what
 * they decode lies at the top of the 64-bit space, otherwise all of it at the bottom.
 */
static inline bool radix_reaches(unsigned int mode, uint64_t iova)
{
	unsigned int lg2 = fmt_item_lg2(mode & PT_LEVELS) + 9;

	if (lg2 >= 64)
		return true;
	if (FMT_SIGNED && mode & CBIT_PT_SIGN_EXTEND)
		return !((iova + radix_bytes(lg2 - 1)) >> lg2);
	return !(iova >> lg2);
}

#endif
