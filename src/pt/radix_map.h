/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine, first part: entering a range. See radix.h.
 */
#ifndef CBIT_PT_RADIX_MAP_H
#define CBIT_PT_RADIX_MAP_H

#include "radix_near.h"
#include "radix_path.h"

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

/*
 * Leaves from entry @at on, all in the table at @table_spa. Return: 0, or -EEXIST when an entry
 * is in the way; what fits before it has been entered then.
 */
static inline int radix_fill(struct radix_map *m, uint64_t *table, uint64_t table_spa,
			     unsigned int level, unsigned int at, unsigned int lg2, uint64_t n)
{
	unsigned int item = fmt_item_lg2(level);
	unsigned int copies = 1u << (lg2 - item);
	unsigned int end = at + ((unsigned int)n << (lg2 - item));
	unsigned int used = radix_first_used(table, at, end);
	uint64_t entry = fmt_leaf(m->spa, lg2, item) | m->bits;
	int pruned = 0;
	uint64_t bytes;
	bool blocked;

	while (used < end && radix_prune(m->pt, radix_load(&table[used]), level)) {
		radix_store(&table[used], 0);
		pruned++;
		used = radix_first_used(table, used, end);
	}
	blocked = used < end;
	n = (used - at) >> (lg2 - item);
	end = at + ((unsigned int)n << (lg2 - item));
	radix_count(mem_view(m->pt->mem), table_spa, (int)(end - at) - pruned);
	if (copies == 1) {
		for (; at < end; at++, entry += radix_bytes(lg2))
			radix_store(&table[at], entry);
	} else {
		for (; at < end; at += copies, entry += radix_bytes(lg2))
			radix_store_all(&table[at], copies, entry);
	}
	bytes = n << lg2;
	m->iova += bytes;
	m->spa += bytes;
	m->left -= bytes;
	return blocked ? -EEXIST : 0;
}

/*
 * Go down to the table of level @want on the way to @iova, making those that are missing; it is
 * in @cur then. Return: 0; -EEXIST where a leaf (or nothing of ours) is in the way; -ENOMEM.
 */
static inline int radix_descend(struct cbit_pt *pt, struct cbit_pt_cursor *cur, uint64_t iova,
				unsigned int want)
{
	const struct mem_view view = *mem_view(pt->mem);
	unsigned int level = radix_resume(pt, &view, cur, iova, want);
	int err = level ? 0 : -ENOMEM;

	for (; level > want; level--) {
		uint64_t *slot = radix_slot(cur, iova, level);
		uint64_t entry = radix_load(slot);

		if (__builtin_expect(!(entry & RADIX_PRESENT), 0)) {
			uint64_t child, *table;

			err = pt_frame_alloc(pt, level - 1, &child, &table);
			if (err)
				break;
			radix_count(&view, cur->at[level].spa, 1);
			entry = fmt_table(child, level - 1, pt->table_c);
			radix_store(slot, entry);
		}
		if (!radix_down(pt, &view, cur, entry, level)) {
			err = -EEXIST;
			break;
		}
	}
	radix_keep(pt, cur, iova, level);
	return err;
}

/*
 * Table by table: go down to where the next leaf has to stand, and fill that table as far as
 * leaves of its sizes reach.
 */
static inline int radix_map_all(struct radix_map *m, unsigned int mode, struct cbit_pt_cursor *cur)
{
	/* The top's items times 512 would be a leaf of a level that there is not. */
	unsigned int reach = fmt_item_lg2(mode) + 9;
	uint64_t sizes = FMT_SIZES & radix_below(reach);
	unsigned int lg2 = radix_best(m, sizes);

	for (;;) {
		unsigned int level = fmt_level_of(lg2);
		unsigned int item = fmt_item_lg2(level);
		unsigned int items = fmt_items(level);
		unsigned int at = (unsigned int)(m->iova >> item) & (items - 1);
		uint64_t *table, spa;
		int err = radix_descend(m->pt, cur, m->iova, level);

		if (err)
			return err;
		table = cur->at[level].table;
		spa = cur->at[level].spa;
		/* A page, or another single leaf of its level's own size, and its place is free. */
		if (m->left == radix_bytes(item) && !(radix_load(&table[at]) & RADIX_PRESENT)) {
			radix_count(mem_view(m->pt->mem), spa, 1);
			radix_store(&table[at], fmt_leaf(m->spa, item, item) | m->bits);
			radix_near_keep(m->pt, m->iova, level, table, spa);
			m->left = 0;
			return 0;
		}
		do {
			uint64_t here = sizes & radix_below(item + 9);
			uint64_t n = radix_run(m, here, lg2, (uint64_t)(items - at) << item);

			err = radix_fill(m, table, spa, level, at, lg2, n);
			/* only tables below this one can have been in the way */
			cur->epoch = m->pt->epoch;
			if (err)
				return err;
			if (!m->left)
				return 0;
			at += (unsigned int)n << (lg2 - item);
			lg2 = radix_best(m, sizes);
		} while (at < items && fmt_level_of(lg2) == level);
	}
}

static inline int radix_grow(struct cbit_pt *pt)
{
	uint64_t top = pt_top(pt);
	unsigned int mode = pt_top_mode(top);
	uint64_t *table, spa;
	int err;

	err = pt_frame_alloc(pt, (mode & PT_LEVELS) + 1, &spa, &table);
	if (err)
		return err;
	radix_count(mem_view(pt->mem), spa, 1);
	radix_store(&table[0], fmt_table(pt_top_spa(top), mode & PT_LEVELS, pt->table_c));
	__atomic_store_n(&pt->top, spa | (mode + 1), __ATOMIC_RELEASE);
	pt->epoch++;
	if (pt->cfg.top_changed)
		pt->cfg.top_changed(pt->cfg.opaque, pt);
	return 0;
}

static __attribute__((noinline)) int radix_map(struct cbit_pt *pt, uint64_t iova, uint64_t spa,
					       uint64_t len, unsigned int attrs,
					       struct cbit_pt_cursor *cur, uint64_t *mapped)
{
	struct radix_map m = {
		.pt = pt,
		.iova = iova,
		.spa = spa,
		.left = len,
		.bits = fmt_attr_bits(attrs, pt->c_mask),
	};
	unsigned int max = pt->cfg.max_mode | (pt_top_mode(pt_top(pt)) & ~PT_LEVELS);
	uint64_t last = iova + (len - 1);
	struct cbit_pt_cursor none;
	int err;

	if (!radix_reaches(max, iova) || !radix_reaches(max, last) ||
	    (FMT_SIGNED && (iova ^ last) >> 63))
		return -ERANGE;
	while (!radix_reaches(pt_top_mode(pt_top(pt)), last)) {
		err = radix_grow(pt);
		if (err)
			return err;
	}
	if (!cur) {
		none.level = 0;
		cur = &none;
	}
	err = radix_map_all(&m, pt_top_level(pt_top(pt)), cur);
	*mapped = len - m.left;
	return err;
}

#endif
