/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine's short way: single leaves of a level's own size (pages, 2 MiB) in a table
 * that was used a while ago. Drivers map and unmap those all day, each time in one of a few
 * tables, and going down from the top takes most of the 33 ns that a pair cost without this.
 *
 * Only the writer comes this way; who walks reads the entries from the top, as ever. A table
 * is forgotten when any is set aside. Whatever is not plain here takes the long way, which
 * also finds out what is wrong.
 */
#ifndef CBIT_PT_RADIX_NEAR_H
#define CBIT_PT_RADIX_NEAR_H

#include "radix.h"

static inline uint64_t radix_near_tag(uint64_t iova, unsigned int level)
{
	return iova >> (fmt_item_lg2(level) + 9) << 3 | level;
}

/* The level at which all of the range is one leaf of that level's own size; 0 for none. */
static inline unsigned int radix_near_level(uint64_t place, uint64_t len)
{
	if (len == radix_bytes(fmt_item_lg2(1)))
		return 1;
	return len == radix_bytes(fmt_item_lg2(2)) && !(place & (len - 1)) ? 2 : 0;
}

static inline struct pt_near *radix_near_at(struct cbit_pt *pt, uint64_t iova, unsigned int level)
{
	return &pt->near[iova >> (fmt_item_lg2(level) + 9) & (PT_NEAR - 1)];
}

/* The table of @level around @iova if it is remembered and still under its key. */
static inline struct pt_near *radix_near(struct cbit_pt *pt, uint64_t iova, unsigned int level)
{
	struct pt_near *near = radix_near_at(pt, iova, level);

	if (near->tag != radix_near_tag(iova, level) || mem_page_view(near->page) != pt->want)
		return NULL;
	return near;
}

/* Remember the table of @level at @spa, through which the way to @iova leads. */
static inline void radix_near_keep(struct cbit_pt *pt, uint64_t iova, unsigned int level,
				   uint64_t *table, uint64_t spa)
{
	struct mem_page *page = mem_view_frame(mem_view(pt->mem), spa);

	if (level > 2 || !page)
		return;
	pt->near_used = true;
	*radix_near_at(pt, iova, level) = (struct pt_near){
		.tag = radix_near_tag(iova, level),
		.table = table,
		.page = page,
	};
}

static inline uint64_t *radix_near_slot(const struct pt_near *near, uint64_t iova,
					unsigned int level)
{
	return &near->table[iova >> fmt_item_lg2(level) & (fmt_items(level) - 1)];
}

/* False, and nothing done, unless the short way leads to a free entry. */
static inline bool radix_near_map(struct cbit_pt *pt, uint64_t iova, uint64_t spa, uint64_t len,
				  unsigned int attrs)
{
	unsigned int level = radix_near_level(iova | spa, len);
	struct pt_near *near = level ? radix_near(pt, iova, level) : NULL;
	uint64_t *slot;

	if (!near)
		return false;
	slot = radix_near_slot(near, iova, level);
	if (radix_load(slot) & RADIX_PRESENT)
		return false;
	near->page->note++;
	radix_store(slot, fmt_leaf(spa, fmt_item_lg2(level), fmt_item_lg2(level)) |
				  fmt_attr_bits(attrs, pt->c_mask));
	return true;
}

/* Likewise, unless it leads to one such leaf among others: the last takes its table along. */
static inline bool radix_near_unmap(struct cbit_pt *pt, uint64_t iova, uint64_t len)
{
	unsigned int level = radix_near_level(iova, len);
	struct pt_near *near = level ? radix_near(pt, iova, level) : NULL;
	uint64_t *slot;

	if (!near)
		return false;
	slot = radix_near_slot(near, iova, level);
	if (!fmt_single(radix_load(slot), level) || near->page->note <= 1)
		return false;
	near->page->note--;
	radix_store(slot, 0);
	return true;
}

#endif
