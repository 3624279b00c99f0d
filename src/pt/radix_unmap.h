/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine, second part: removing a range. See radix.h.
 */
#ifndef CBIT_PT_RADIX_UNMAP_H
#define CBIT_PT_RADIX_UNMAP_H

#include "radix_near.h"
#include "radix_path.h"

struct radix_unmap {
	struct cbit_pt *pt;
	const struct mem_view *view;
	uint64_t first;
	uint64_t last;
	uint64_t removed;
};

/* Set the table below @slot aside if nothing is left in it. @spa: of the table of @slot. */
static inline bool radix_retire(struct cbit_pt *pt, const struct mem_view *view, uint64_t *slot,
				uint64_t spa, uint64_t *child, uint64_t child_spa,
				unsigned int child_level)
{
	if (!radix_empty(view, child, child_spa, child_level))
		return false;
	radix_store(slot, 0);
	radix_count(view, spa, -1);
	radix_set_aside(pt, child, child_spa);
	return true;
}

/* Leaves of their level's own size that follow one another, of @n entries; how many there were. */
static inline unsigned int radix_drop_singles(uint64_t *slot, unsigned int n, unsigned int level)
{
	unsigned int i = 0;

	do
		radix_store(&slot[i++], 0);
	while (i < n && fmt_single(radix_load(&slot[i]), level));
	return i;
}

/*
 * The same of leaves of 2^@lg2 bytes, @copies entries each, from @at on, where @entry stands. An
 * entry that agrees with it in what says so is a leaf of that size as well. Where they end.
 */
static inline unsigned int radix_drop_leaves(uint64_t *table, unsigned int at, unsigned int to,
					     unsigned int lg2, unsigned int copies, uint64_t entry)
{
	const uint64_t size = FMT_CHILD_MASK | (FMT_ADDR & radix_below(lg2));

	do {
		radix_store_all(&table[at], copies, 0);
		at += copies;
	} while (at < to && !((radix_load(&table[at]) ^ entry) & size));
	return at;
}

/* @base: IOVA of entry 0 of @table, which is at @table_spa. */
static void radix_unmap_table(struct radix_unmap *u, uint64_t *table, uint64_t table_spa,
			      unsigned int level, uint64_t base)
{
	unsigned int item = fmt_item_lg2(level);
	uint64_t end = (u->last - base) >> item;
	unsigned int at = u->first > base ? (unsigned int)((u->first - base) >> item) : 0;
	unsigned int to = end < fmt_items(level) - 1 ? (unsigned int)end + 1 : fmt_items(level);
	int gone = 0;

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
		if (fmt_single(entry, level) && base + ((uint64_t)at << item) >= u->first) {
			unsigned int n = radix_drop_singles(&table[at], to - at, level);

			u->removed += (uint64_t)n << item;
			gone += (int)n;
			at += n;
			continue;
		}
		kind = fmt_kind(entry, level, 0);
		if (kind == FMT_LEAF) {
			unsigned int lg2 = fmt_leaf_lg2(entry, level);
			unsigned int copies = 1u << (lg2 - item);
			unsigned int start = at & ~(copies - 1), from;

			/*
			 * A leaf that began before the range stays as it is. So does a stray
			 * copy in a damaged table: its run could lead beyond the table.
			 */
			if (start < at || base + ((uint64_t)start << item) < u->first) {
				at = start + copies;
				continue;
			}
			from = at;
			at = radix_drop_leaves(table, at, to, lg2, copies, entry);
			u->removed += (uint64_t)(at - from) << item;
			gone += (int)(at - from);
			continue;
		}
		child = radix_child(u->pt, u->view, entry, level, &spa);
		if (child) {
			radix_unmap_table(u, child, spa, level - 1, base + ((uint64_t)at << item));
			radix_retire(u->pt, u->view, &table[at], table_spa, child, spa, level - 1);
		}
		at++;
	}
	radix_count(u->view, table_spa, -gone);
}

/* The level of the lowest table that holds all of a range, and of none above @mode. */
static inline unsigned int radix_holder(uint64_t first, uint64_t last, unsigned int mode)
{
	unsigned int level = 1;

	while (level < mode && (first ^ last) >> (fmt_item_lg2(level) + 9))
		level++;
	return level;
}

static __attribute__((noinline)) uint64_t radix_unmap(struct cbit_pt *pt, uint64_t first,
						      uint64_t last, struct cbit_pt_cursor *cur)
{
	const struct mem_view view = *mem_view(pt->mem);
	struct radix_unmap u = {
		.pt = pt, .view = mem_view(pt->mem), .first = first, .last = last
	};
	uint64_t top = pt_top(pt), spa, *slot;
	unsigned int mode = pt_top_level(top), want = radix_holder(first, last, mode), level;
	struct cbit_pt_cursor none;

	/* Nothing is mapped beyond the reach of the top. */
	if (!radix_reaches(pt_top_mode(top), first))
		return 0;
	if (!cur) {
		none.level = 0;
		cur = &none;
	}
	/* Straight down to the table that holds the whole range: mostly the one with its leaf. */
	level = radix_resume(pt, &view, cur, first, want);
	if (!level)
		return 0;
	while (level > want &&
	       radix_down(pt, &view, cur, radix_load(radix_slot(cur, first, level)), level))
		level--;
	slot = radix_slot(cur, first, level);
	spa = cur->at[level].spa;
	/* A page, or another single leaf of its level's own size that starts with the range. */
	if (last - first == radix_below(fmt_item_lg2(level)) &&
	    !(first & radix_below(fmt_item_lg2(level))) && fmt_single(radix_load(slot), level)) {
		radix_count(&view, spa, -1);
		radix_store(slot, 0);
		radix_near_keep(pt, first, level, cur->at[level].table, spa);
		u.removed = radix_bytes(fmt_item_lg2(level));
	} else {
		radix_unmap_table(&u, cur->at[level].table, spa, level,
				  first & ~radix_below(fmt_item_lg2(level) + 9));
	}
	while (level < mode &&
	       radix_retire(pt, &view, radix_slot(cur, first, level + 1), cur->at[level + 1].spa,
			    cur->at[level].table, cur->at[level].spa, level))
		level++;
	radix_keep(pt, cur, first, level);
	return u.removed;
}

#endif
