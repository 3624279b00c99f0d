/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine's way down, kept in a cursor: the next address starts at the lowest table that
 * it shares with the last. Every table set aside makes all cursors forget (pt->epoch), except
 * that of the operation that did it, which knows that its own tables above are still there. See
 * radix.h.
 */
#ifndef CBIT_PT_RADIX_PATH_H
#define CBIT_PT_RADIX_PATH_H

#include "radix.h"

/*
 * The level from which to go down to @iova, @want at least, its table in @cur->at[]; 0 when the
 * top table is not where it should be.
 */
static inline unsigned int radix_resume(const struct cbit_pt *pt, const struct mem_view *view,
					struct cbit_pt_cursor *cur, uint64_t iova,
					unsigned int want)
{
	uint64_t top = pt_top(pt);
	unsigned int mode = pt_top_level(top);

	if (cur->level && cur->epoch == pt->epoch) {
		unsigned int level = cur->level > want ? cur->level : want;
		const struct mem_page *page;

		while (level < mode && (iova ^ cur->iova) >> (fmt_item_lg2(level) + 9))
			level++;
		page = mem_view_frame(view, cur->at[level].spa);
		if (page && mem_page_view(page) == pt->want)
			return level;
	}
	cur->at[mode].spa = pt_top_spa(top);
	cur->at[mode].table = mem_view_page(view, pt->mem, pt_top_spa(top) | pt->table_c);
	cur->at[mode].path = ~(uint64_t)0;
	return cur->at[mode].table ? mode : 0;
}

/* The tables on the way to @iova are known down to that of @level. */
static inline void radix_keep(const struct cbit_pt *pt, struct cbit_pt_cursor *cur, uint64_t iova,
			      unsigned int level)
{
	cur->iova = iova;
	cur->level = level;
	cur->epoch = pt->epoch;
}

static inline uint64_t *radix_slot(const struct cbit_pt_cursor *cur, uint64_t iova,
				   unsigned int level)
{
	return &cur->at[level].table[iova >> fmt_item_lg2(level) & (fmt_items(level) - 1)];
}

/* One level down by @entry, which points to a table of ours; false if it does not. */
static inline bool radix_down(const struct cbit_pt *pt, const struct mem_view *view,
			      struct cbit_pt_cursor *cur, uint64_t entry, unsigned int level)
{
	uint64_t spa, *child = radix_child(pt, view, entry, level, &spa);

	if (!child)
		return false;
	cur->at[level - 1].table = child;
	cur->at[level - 1].spa = spa;
	cur->at[level - 1].path = cur->at[level].path & fmt_path(entry);
	return true;
}

#endif
