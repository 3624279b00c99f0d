/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine, fifth part: which leaves hardware has marked as written. See radix.h.
 */
#ifndef CBIT_PT_RADIX_DIRTY_H
#define CBIT_PT_RADIX_DIRTY_H

#include "radix.h"

#define RADIX_DIRTY ((uint64_t)CBIT_ATTR_DIRTY)

/* @from, @len: the run found so far and not yet told. */
struct radix_dirty {
	const struct cbit_pt *pt;
	const struct mem_view *view;
	const struct cbit_pt_dirty *req;
	uint64_t first;
	uint64_t last;
	uint64_t from;
	uint64_t len;
};

static inline void radix_dirty_tell(struct radix_dirty *d)
{
	if (d->len && d->req->found)
		d->req->found(d->req->opaque, CBIT_IOVA(d->from), d->len);
	d->len = 0;
}

/* A dirty leaf; of a part that lies in the range the owner is told. */
static inline void radix_dirty_add(struct radix_dirty *d, uint64_t iova, uint64_t size)
{
	uint64_t from = iova > d->first ? iova : d->first;
	uint64_t last = iova + (size - 1) < d->last ? iova + (size - 1) : d->last;

	if (!d->len || d->from + d->len != from) {
		radix_dirty_tell(d);
		d->from = from;
	}
	d->len += last - from + 1;
}

/* Any of @n entries; they are clean afterwards unless that was not wanted. */
static inline bool radix_dirty_take(const struct radix_dirty *d, uint64_t *slot, unsigned int n)
{
	uint64_t any = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t entry = radix_load(&slot[i]);

		/* A device may be setting the bit in a neighbour's word: this one alone. */
		if (entry & RADIX_DIRTY && !(d->req->flags & CBIT_PT_DIRTY_NO_CLEAR))
			entry = __atomic_fetch_and(&slot[i], ~RADIX_DIRTY, __ATOMIC_ACQ_REL);
		any |= entry;
	}
	return any & RADIX_DIRTY;
}

/* The next entry that may be dirty; only at the lowest level all of them are leaves. */
static inline unsigned int radix_dirty_next(const uint64_t *table, unsigned int from,
					    unsigned int to)
{
	for (; from < to && from % 8 == 0 && to - from >= 8; from += 8) {
		uint64_t any = 0;

		for (unsigned int i = 0; i < 8; i++)
			any |= __atomic_load_n(&table[from + i], __ATOMIC_RELAXED);
		if (any & RADIX_DIRTY)
			break;
	}
	return from;
}

/* @base: IOVA of entry 0 of @table. */
static void radix_dirty_table(struct radix_dirty *d, uint64_t *table, unsigned int level,
			      uint64_t base)
{
	unsigned int item = fmt_item_lg2(level);
	uint64_t end = (d->last - base) >> item;
	unsigned int at = d->first > base ? (unsigned int)((d->first - base) >> item) : 0;
	unsigned int to = end < fmt_items(level) - 1 ? (unsigned int)end + 1 : fmt_items(level);
	bool edge = true;

	while (at < to) {
		uint64_t entry, spa, *child;
		unsigned int lg2, copies;

		/* a leaf on the range's edge has copies outside, and one of those may be it */
		if (level == 1 && !edge && to == fmt_items(level)) {
			at = radix_dirty_next(table, at, to);
			if (at == to)
				break;
		}
		edge = false;
		entry = radix_load(&table[at]);
		switch (fmt_kind(entry, level, 0)) {
		case FMT_LEAF:
			lg2 = fmt_leaf_lg2(entry, level);
			copies = 1u << (lg2 - item);
			at &= ~(copies - 1);
			if (radix_dirty_take(d, &table[at], copies))
				radix_dirty_add(d, base + ((uint64_t)at << item), radix_bytes(lg2));
			at += copies;
			continue;
		case FMT_TABLE:
			child = radix_child(d->pt, d->view, entry, level, &spa);
			if (child)
				radix_dirty_table(d, child, level - 1,
						  base + ((uint64_t)at << item));
			break;
		default:
			break;
		}
		at++;
	}
}

static inline void radix_dirty(struct cbit_pt *pt, uint64_t first, uint64_t last,
			       const struct cbit_pt_dirty *req)
{
	uint64_t top = pt_top(pt);
	unsigned int level = pt_top_level(top);
	uint64_t *table = pt_table(pt, pt_top_spa(top));
	struct radix_dirty d = {
		.pt = pt, .view = mem_view(pt->mem), .req = req, .first = first, .last = last
	};

	if (!table || !radix_reaches(pt_top_mode(top), first))
		return;
	radix_dirty_table(&d, table, level, first & ~radix_below(fmt_item_lg2(level) + 9));
	radix_dirty_tell(&d);
}

#endif
