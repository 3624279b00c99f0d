/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine, third part: reading as hardware reads. See radix.h.
 */
#ifndef CBIT_PT_RADIX_WALK_H
#define CBIT_PT_RADIX_WALK_H

#include "radix_path.h"

/* Nothing in the 2^@lg2 bytes around @iova. */
static inline int radix_hole(struct cbit_pt_leaf *leaf, uint64_t iova, unsigned int lg2,
			     unsigned int level)
{
	*leaf = (struct cbit_pt_leaf){ .level = level, .size = radix_bytes(lg2) };
	leaf->iova.v = iova & ~(leaf->size - 1);
	return -ENOENT;
}

/* A leaf of 2^@lg2 bytes at @iova; @path: the AND of fmt_path() of all entries before it. */
static inline int radix_found(struct cbit_pt_leaf *leaf, uint64_t iova, uint64_t entry,
			      unsigned int lg2, unsigned int level, uint64_t path, uint64_t c_mask)
{
	leaf->size = radix_bytes(lg2);
	leaf->iova.v = iova & ~(leaf->size - 1);
	leaf->spa.v = fmt_leaf_spa(entry, lg2, c_mask);
	leaf->entry = entry;
	leaf->level = level;
	leaf->attrs = fmt_attrs(entry, c_mask) | fmt_path_attrs(fmt_path(entry) & path);
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
 * One level of the tagged walk: @at is the offset in the view of the table of level @n, whose
 * page's key is looked at before the entry for @iova is loaded. If that points on, it differs from
 * the view's base with the C-bit and the bits of such a pointer by the next table's offset, a
 * multiple of the page size; rotated by the page shift, one comparison takes in presence, level,
 * C-bit and range. A loop over levels took 15.3 ns a walk where this took 10.2.
 */
#define RADIX_STEP(n)                                                                        \
	do {                                                                                 \
		if (__builtin_expect(mem_page_view(mem_page_of(pages, at)) != want, 0))      \
			return false;                                                        \
		e = radix_load(                                                              \
			(const uint64_t *)(const void *)(bytes + at +                        \
							 (iova >> (fmt_item_lg2(n) - 3) &    \
							  (fmt_items(n) - 1) * sizeof(e)))); \
		at = (e & mask) - base - fmt_child_bits(n);                                  \
		if ((n) == 1 || __builtin_expect(radix_rotate(at) >= limit, 0)) {            \
			if (__builtin_expect(!fmt_plain(e, n, v->wide), 0))                  \
				return false;                                                \
			radix_found(leaf, iova, e, fmt_item_lg2(n), n, path, v->c_mask);     \
			return true;                                                         \
		}                                                                            \
		path &= fmt_path(e);                                                         \
	} while (0)

static inline uint64_t radix_rotate(uint64_t at)
{
	return at >> CBIT_PAGE_SHIFT | at << (64 - CBIT_PAGE_SHIFT);
}

/*
 * The walk when tables lie in the view, no level is skipped, and there is a leaf of its level's
 * own size at the end. False, and nothing done, when anything is otherwise; radix_walk() then
 * finds out what.
 */
static inline bool radix_walk_tagged(const struct mem_view *v, uint64_t root, unsigned int mode,
				     uint64_t iova, struct cbit_pt_leaf *leaf)
{
	/* Copies: they stay in registers, the loads' ordering notwithstanding. */
	const uint64_t c = root & v->c_mask, base = v->base + c;
	const uint64_t limit = v->size >> CBIT_PAGE_SHIFT;
	struct mem_page *pages = v->pages;
	const uint8_t *bytes = v->bytes;
	const uint32_t want = c ? v->want_c : v->want;
	uint64_t at = (root & FMT_ADDR) - base, path = ~(uint64_t)0, e;
	unsigned int level = mode & PT_LEVELS;
	const uint64_t mask = FMT_ADDR | FMT_CHILD_MASK;

	if (__builtin_expect(radix_rotate(at) >= limit, 0))
		return false;
	if (level > FMT_LEVELS || level < FMT_LOWEST || !radix_reaches(mode, iova))
		return false;
	switch (level) {
#if FMT_LEVELS > 5
	case 6:
		RADIX_STEP(6);
		__attribute__((fallthrough));
#endif
	case 5:
		RADIX_STEP(5);
		__attribute__((fallthrough));
	case 4:
		RADIX_STEP(4);
		__attribute__((fallthrough));
	case 3:
		RADIX_STEP(3);
		__attribute__((fallthrough));
	case 2:
		RADIX_STEP(2);
		__attribute__((fallthrough));
	case 1:
		RADIX_STEP(1);
		break;
	default:
		break;
	}
	return false;
}

/* The entries that a walk read, from the top. */
struct radix_trail {
	uint64_t *slot[FMT_LEVELS];
	uint64_t entry[FMT_LEVELS];
	unsigned int n;
};

/*
 * Ends whatever the tables hold: the level falls with every step. @trail may be NULL.
 */
static __attribute__((noinline)) int radix_walk(struct cbit_mem *mem, uint64_t root,
						unsigned int mode, uint64_t iova,
						struct cbit_pt_leaf *leaf,
						struct radix_trail *trail)
{
	const struct mem_view view = *mem_view(mem);
	unsigned int level = mode & PT_LEVELS;
	uint64_t path = ~(uint64_t)0;

	if (level < FMT_LOWEST || level > FMT_LEVELS)
		return radix_refused(leaf, 0, level, 0);
	if (!radix_reaches(mode, iova))
		return radix_hole(leaf, iova, fmt_item_lg2(level) + 9 - FMT_SIGNED, level);
	for (;;) {
		unsigned int item = fmt_item_lg2(level);
		uint64_t *table = mem_view_page(&view, mem, root);
		unsigned int next, lg2;
		uint64_t entry, skipped;

		if (__builtin_expect(!table, 0))
			return radix_refused(leaf, 0, level, root & ~view.c_mask);
		entry = radix_load(&table[(iova >> item) & (fmt_items(level) - 1)]);
		if (trail) {
			trail->slot[trail->n] = &table[(iova >> item) & (fmt_items(level) - 1)];
			trail->entry[trail->n++] = entry;
		}
		switch (fmt_kind(entry, level, view.wide)) {
		case FMT_EMPTY:
			return radix_hole(leaf, iova, item, level);
		case FMT_BAD:
			return radix_refused(leaf, entry, level, 0);
		case FMT_LEAF:
			lg2 = fmt_leaf_lg2(entry, level);
			return radix_found(leaf, iova, entry, lg2, level, path, view.c_mask);
		case FMT_TABLE:
			break;
		}
		next = fmt_next_level(entry, level);
		skipped = (radix_bytes(item) - 1) & ~(radix_bytes(fmt_item_lg2(next) + 9) - 1);
		if (iova & skipped)
			return radix_hole(leaf, iova, fmt_item_lg2(next) + 9, level);
		path &= fmt_path(entry);
		root = fmt_table_addr(entry);
		level = next;
	}
}

/* What radix_walk_straight() does not serve. */
static __attribute__((noinline)) int radix_walk_rest(struct cbit_mem *mem, uint64_t root,
						     unsigned int mode, uint64_t iova,
						     struct cbit_pt_leaf *leaf)
{
	if (radix_walk_tagged(mem_view(mem), root, mode, iova, leaf))
		return 0;
	return radix_walk(mem, root, mode, iova, leaf, NULL);
}

/*
 * The walk of a cursor, over the tables of the one who built them. What is not plain takes the
 * long way from the top.
 */
static inline int radix_walk_on(struct cbit_pt_cursor *cur, uint64_t iova,
				struct cbit_pt_leaf *leaf)
{
	const struct cbit_pt *pt = cur->pt;
	const struct mem_view view = *mem_view(pt->mem);
	uint64_t top = pt_top(pt), entry;
	unsigned int level = 0, lg2;

	if (radix_reaches(pt_top_mode(top), iova))
		level = radix_resume(pt, &view, cur, iova, 1);
	while (level) {
		entry = radix_load(radix_slot(cur, iova, level));
		if (radix_down(pt, &view, cur, entry, level)) {
			level--;
			continue;
		}
		radix_keep(pt, cur, iova, level);
		switch (fmt_kind(entry, level, view.wide)) {
		case FMT_EMPTY:
			return radix_hole(leaf, iova, fmt_item_lg2(level), level);
		case FMT_LEAF:
			lg2 = fmt_leaf_lg2(entry, level);
			return radix_found(leaf, iova, entry, lg2, level, cur->at[level].path,
					   view.c_mask);
		default:
			level = 0;
		}
	}
	return radix_walk(pt->mem, pt_top_spa(top) | pt->table_c, pt_top_mode(top), iova, leaf,
			  NULL);
}

#endif
