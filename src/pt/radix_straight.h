/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine: the walk as it nearly always goes, through tables that look as those who build
 * them write them. See radix.h; whatever is otherwise is left to radix_walk_rest().
 */
#ifndef CBIT_PT_RADIX_STRAIGHT_H
#define CBIT_PT_RADIX_STRAIGHT_H

#include "radix_walk.h"

/*
 * What such a walk needs of the view. A pointer as fmt_table() writes it, with all rights, is
 * the view's base with the C-bit, the bits of a pointer of its level, and the offset of the next
 * table; so the offset is a difference, and since it is a multiple of the page size, rotated by
 * the page shift it is below @limit exactly if presence, level, rights, C-bit, and range are as
 * they should be and nothing else is set. Nothing needs to be masked, and the rights of the leaf
 * are those of the path.
 *
 * @minus: what is added to a pointer without the bits that its level gives, to have the offset.
 * @host:  the same, to have the host's address.
 * @limit: pages from the start of the view that are all under the key of the tables.
 */
struct radix_way {
	uint64_t minus;
	uint64_t host;
	uint64_t limit;
};

/* Bits of a pointer in a table of @level: those that depend on the level, and those that do not. */
static inline uint64_t radix_low_bits(unsigned int level)
{
	return fmt_table(0, level - 1, 0) & ~CBIT_PAGE_MASK;
}

static inline uint64_t radix_high_bits(void)
{
	return fmt_table(0, 1, 0) & CBIT_PAGE_MASK;
}

/* @c: the C-bit if pointers have it, otherwise 0. */
static inline __attribute__((always_inline)) struct radix_way radix_way(const struct mem_view *v,
									uint64_t c, uint64_t limit)
{
	struct radix_way way;
	uint64_t minus = -(v->base + c + radix_high_bits());

	/* gcc would take sums apart again, and need two instructions for each */
	__asm__("" : "+r"(minus));
	way.minus = minus;
	way.host = (uint64_t)(uintptr_t)v->bytes + minus;
	way.limit = limit;
	return way;
}

/* @iova through a leaf, with the C-bit where the leaf has it. */
static inline uint64_t radix_bus(uint64_t entry, uint64_t iova, unsigned int lg2)
{
	return (entry & FMT_ADDR & ~(radix_bytes(lg2) - 1)) | (iova & (radix_bytes(lg2) - 1));
}

/*
 * radix_load() of the entry at host address @a + @b, with the sum in the load's own address, which
 * gcc does not make of an access that is atomic: nothing but loads and what is added in them is
 * left for a dependent walk to wait for.
 */
static inline __attribute__((always_inline)) uint64_t radix_load_sum(uint64_t a, uint64_t b)
{
#if defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
	return radix_load(
		(const uint64_t *)(uintptr_t)(a + b)); // NOLINT(performance-no-int-to-ptr)
#else
	uint64_t entry;

	__asm__ volatile("movq (%1,%2), %0" : "=r"(entry) : "r"(a), "r"(b) : "memory");
	return entry;
#endif
}

/* What to add to a pointer in a table of level @n + 1 for the address of the next entry. */
static inline __attribute__((always_inline)) uint64_t radix_next(const struct radix_way *way,
								 uint64_t iova, unsigned int n)
{
	return way->host - radix_low_bits(n + 1) +
	       (iova >> fmt_item_lg2(n) & (fmt_items(n) - 1)) * sizeof(uint64_t);
}

#define RADIX_STRAIGHT(n)                                                                       \
	do {                                                                                    \
		if (__builtin_expect(radix_rotate(*e + way->minus - radix_low_bits((n) + 1)) >= \
					     way->limit,                                        \
				     0))                                                        \
			return (n) + 1;                                                         \
		*e = radix_load_sum(radix_next(way, iova, n), *e);                              \
	} while (0)

/* Not even the first entry was read. */
#define RADIX_NOT_STRAIGHT (FMT_LEVELS + 1)

/*
 * Four levels, from the table at the host's address @table. Return: 0 with a leaf of level 1 in
 * *@e, or the level at which there is something else, which is *@e.
 */
static inline __attribute__((always_inline)) unsigned int
radix_straight_four(const struct mem_view *v, const struct radix_way *way, const uint8_t *table,
		    uint64_t iova, uint64_t *e)
{
	*e = iova >> fmt_item_lg2(4);
	if (__builtin_expect(*e >= 512, 0))
		return RADIX_NOT_STRAIGHT;
	*e = radix_load((const uint64_t *)(const void *)(table + *e * sizeof(*e)));
	RADIX_STRAIGHT(3);
	RADIX_STRAIGHT(2);
	RADIX_STRAIGHT(1);
	return !fmt_plain(*e, 1, v->wide);
}

/* A leaf of level 1 behind such pointers. */
static inline __attribute__((always_inline)) int radix_straight_leaf(const struct mem_view *v,
								     uint64_t iova, uint64_t entry,
								     struct cbit_pt_leaf *leaf)
{
	leaf->iova.v = iova & CBIT_PAGE_MASK;
	leaf->size = CBIT_PAGE_SIZE;
	leaf->spa.v = entry & v->spa;
	leaf->entry = entry;
	leaf->level = 1;
	leaf->attrs = fmt_attrs(entry, v->c_mask) | fmt_path_attrs(fmt_path(entry));
	return 0;
}

/* The same for tables of other levels, or whose addresses are sign-extended. */
static inline unsigned int radix_straight_other(const struct mem_view *v, uint64_t root,
						unsigned int mode, uint64_t iova, uint64_t *e)
{
	const uint64_t c = root & v->c_mask;
	const struct radix_way here = radix_way(v, c, mem_view_one_key(v, c)), *way = &here;
	const uint64_t at = (root & FMT_ADDR) - c - v->base;
	unsigned int level = mode & PT_LEVELS;

	if (level > FMT_LEVELS || level < FMT_LOWEST || level < 2 || !radix_reaches(mode, iova) ||
	    radix_rotate(at) >= here.limit)
		return RADIX_NOT_STRAIGHT;
	*e = radix_load((const uint64_t *)(const void *)(v->bytes + at) +
			(iova >> fmt_item_lg2(level) & (fmt_items(level) - 1)));
	switch (level) {
	case 6:
		RADIX_STRAIGHT(5);
		__attribute__((fallthrough));
	case 5:
		RADIX_STRAIGHT(4);
		__attribute__((fallthrough));
	case 4:
		RADIX_STRAIGHT(3);
		__attribute__((fallthrough));
	case 3:
		RADIX_STRAIGHT(2);
		__attribute__((fallthrough));
	default:
		RADIX_STRAIGHT(1);
	}
	return !fmt_plain(*e, 1, v->wide);
}

/* After a straight walk that ended at @level with @entry: a large leaf, or something rarer. */
static __attribute__((noinline)) int radix_not_straight(struct cbit_mem *mem, uint64_t root,
							unsigned int mode, uint64_t iova,
							struct cbit_pt_leaf *leaf, uint64_t entry,
							unsigned int level)
{
	const struct mem_view *v = mem_view(mem);

	if (level == RADIX_NOT_STRAIGHT)
		level = radix_straight_other(v, root, mode, iova, &entry);
	if (!level)
		return radix_straight_leaf(v, iova, entry, leaf);
	if (level > 1 && level <= FMT_LEVELS && fmt_plain(entry, level, v->wide))
		return radix_found(leaf, iova, entry, fmt_item_lg2(level), level, ~(uint64_t)0,
				   v->c_mask);
	return radix_walk_rest(mem, root, mode, iova, leaf);
}

static __attribute__((noinline)) int radix_not_straight_pt(const struct cbit_pt *pt, uint64_t iova,
							   struct cbit_pt_leaf *leaf,
							   uint64_t entry, unsigned int level)
{
	uint64_t top = pt_top(pt);

	return radix_not_straight(pt->mem, pt_top_spa(top) | pt->table_c, pt_top_mode(top), iova,
				  leaf, entry, level);
}

/* Tables of ours, whose root nobody has to make out. */
static inline __attribute__((always_inline)) int
radix_straight_pt(const struct cbit_pt *pt, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	const struct mem_view *v = mem_view(pt->mem);
	const uint8_t *bytes = v->bytes;
	const struct radix_way way =
		radix_way(v, pt->table_c, __atomic_load_n(pt->one_key, __ATOMIC_RELAXED));
	/* an offset in the view if the mode is a plain 4 */
	uint64_t at = __atomic_load_n(&pt->top, __ATOMIC_RELAXED) - v->base - 4, e = 0;
	unsigned int level = RADIX_NOT_STRAIGHT;

	if (__builtin_expect(radix_rotate(at) < way.limit, 1))
		level = radix_straight_four(v, &way, bytes + at, iova, &e);
	if (__builtin_expect(!level, 1))
		return radix_straight_leaf(v, iova, e, leaf);
	return radix_not_straight_pt(pt, iova, leaf, e, level);
}

/* Tables at @root. */
static inline __attribute__((always_inline)) int radix_straight(struct cbit_mem *mem, uint64_t root,
								unsigned int mode, uint64_t iova,
								struct cbit_pt_leaf *leaf)
{
	const struct mem_view *v = mem_view(mem);
	const uint64_t c = root & v->c_mask;
	const uint8_t *bytes = v->bytes;
	const struct radix_way way = radix_way(v, c, mem_view_one_key(v, c));
	uint64_t at = (root & FMT_ADDR) - c - v->base, e = 0;
	unsigned int level = RADIX_NOT_STRAIGHT;

	if (__builtin_expect(mode == 4 && radix_rotate(at) < way.limit, 1))
		level = radix_straight_four(v, &way, bytes + at, iova, &e);
	if (__builtin_expect(!level, 1))
		return radix_straight_leaf(v, iova, e, leaf);
	return radix_not_straight(mem, root, mode, iova, leaf, e, level);
}

#endif
