/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine, third part: reading as hardware reads. See radix.h.
 */
#ifndef CBIT_PT_RADIX_WALK_H
#define CBIT_PT_RADIX_WALK_H

#include "radix.h"

/* Nothing in the 2^@lg2 bytes around @iova. */
static inline int radix_hole(struct cbit_pt_leaf *leaf, uint64_t iova, unsigned int lg2,
			     unsigned int level)
{
	*leaf = (struct cbit_pt_leaf){ .level = level, .size = radix_bytes(lg2) };
	leaf->iova.v = iova & ~(leaf->size - 1);
	return -ENOENT;
}

/* A leaf of 2^@lg2 bytes at @iova. */
static inline int radix_found(struct cbit_pt_leaf *leaf, uint64_t iova, uint64_t entry,
			      unsigned int lg2, unsigned int level, unsigned int rights,
			      uint64_t c_mask)
{
	leaf->size = radix_bytes(lg2);
	leaf->iova.v = iova & ~(leaf->size - 1);
	leaf->spa.v = fmt_leaf_spa(entry, lg2, c_mask);
	leaf->entry = entry;
	leaf->level = level;
	leaf->attrs = (fmt_attrs(entry, c_mask) & ~CBIT_ATTR_RW) | (fmt_rights(entry) & rights);
	return 0;
}

/* What hardware would refuse; @spa: of the table if that could not be read. */
static inline int radix_refused(struct cbit_pt_leaf *leaf, uint64_t entry, unsigned int level,
				uint64_t spa)
{
	*leaf = (struct cbit_pt_leaf){ .entry = entry, .level = level, .spa = { spa } };
	return -EIO;
}

/*
 * Ends whatever the tables hold: the level falls with every step.
 */
static inline int radix_walk(struct cbit_mem *mem, uint64_t root, unsigned int mode, uint64_t iova,
			     struct cbit_pt_leaf *leaf)
{
	/* A copy: the loop then holds it in registers, the loads' ordering notwithstanding. */
	const struct mem_view view = *mem_view(mem);
	unsigned int rights = CBIT_ATTR_RW;
	unsigned int level = mode;

	if (!mode || mode > FMT_LEVELS)
		return radix_refused(leaf, 0, level, 0);
	if (!radix_reaches(mode, iova))
		return radix_hole(leaf, iova, fmt_item_lg2(mode) + 9, level);
	for (;;) {
		unsigned int item = fmt_item_lg2(level);
		const uint64_t *table = mem_view_page(&view, mem, root);
		unsigned int next, lg2;
		uint64_t entry, skipped;

		if (__builtin_expect(!table, 0))
			return radix_refused(leaf, 0, level, root & ~view.c_mask);
		entry = radix_load(&table[(iova >> item) & (fmt_items(level) - 1)]);
		/* The two that nearly all entries are, before the one question for everything. */
		if (level > 1 && __builtin_expect(fmt_child(entry, level), 1)) {
			rights &= fmt_rights(entry);
			root = fmt_table_addr(entry);
			level--;
			continue;
		}
		if (fmt_single(entry, level))
			return radix_found(leaf, iova, entry, item, level, rights, view.c_mask);
		switch (fmt_kind(entry, level)) {
		case FMT_EMPTY:
			return radix_hole(leaf, iova, item, level);
		case FMT_BAD:
			return radix_refused(leaf, entry, level, 0);
		case FMT_LEAF:
			lg2 = fmt_leaf_lg2(entry, level);
			return radix_found(leaf, iova, entry, lg2, level, rights, view.c_mask);
		case FMT_TABLE:
			break;
		}
		next = fmt_next_level(entry);
		skipped = (radix_bytes(item) - 1) & ~(radix_bytes(fmt_item_lg2(next) + 9) - 1);
		if (iova & skipped)
			return radix_hole(leaf, iova, fmt_item_lg2(next) + 9, level);
		rights &= fmt_rights(entry);
		root = fmt_table_addr(entry);
		level = next;
	}
}

#endif
