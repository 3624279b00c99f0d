/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine, fourth part: leaves become smaller ones that translate the same, until one
 * starts at a given address. Each store leaves every address with the translation it had, so a
 * walk may run beside; bits that hardware sets meanwhile are carried over. See radix.h.
 */
#ifndef CBIT_PT_RADIX_SPLIT_H
#define CBIT_PT_RADIX_SPLIT_H

#include "radix_path.h"

#define RADIX_MARKS ((uint64_t)(CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY))

/* Leaves of 2^@lg2 over @n entries of a table. */
struct radix_pieces {
	uint64_t spa;
	uint64_t bits;
	unsigned int item;
	unsigned int lg2;
};

static inline uint64_t radix_piece(const struct radix_pieces *p, unsigned int i)
{
	uint64_t offset = (uint64_t)i << p->item & ~(radix_bytes(p->lg2) - 1);

	return fmt_leaf(p->spa + offset, p->lg2, p->item) | p->bits;
}

/* Store them. What hardware has marked since @p->bits were read is marked in all of them. */
static inline void radix_pieces_put(uint64_t *slot, unsigned int n, const struct radix_pieces *p)
{
	uint64_t late = 0;

	for (unsigned int i = 0; i < n; i++)
		late |= __atomic_exchange_n(&slot[i], radix_piece(p, i), __ATOMIC_ACQ_REL);
	late &= RADIX_MARKS & ~p->bits;
	for (unsigned int i = 0; late && i < n; i++)
		__atomic_fetch_or(&slot[i], late, __ATOMIC_ACQ_REL);
}

/* One entry of @level becomes a table of leaves, as large as they can be there. */
static inline int radix_push_down(struct cbit_pt *pt, uint64_t *slot, unsigned int level,
				  uint64_t spa, uint64_t bits)
{
	uint64_t sizes = FMT_SIZES & radix_below(fmt_item_lg2(level));
	struct radix_pieces p = {
		.spa = spa,
		.bits = bits,
		.item = fmt_item_lg2(level - 1),
		.lg2 = 63 - (unsigned int)__builtin_clzll(sizes),
	};
	unsigned int n = fmt_items(level - 1);
	uint64_t child, *table, late;
	int err = pt_frame_alloc(pt, level - 1, &child, &table);

	if (err)
		return err;
	for (unsigned int i = 0; i < n; i++)
		radix_store(&table[i], radix_piece(&p, i));
	radix_count(mem_view(pt->mem), child, (int)n);
	late = __atomic_exchange_n(slot, fmt_table(child, level - 1, pt->table_c),
				   __ATOMIC_ACQ_REL);
	late &= RADIX_MARKS & ~bits;
	for (unsigned int i = 0; late && i < n; i++)
		__atomic_fetch_or(&table[i], late, __ATOMIC_ACQ_REL);
	return 0;
}

/* A leaf of 2^@lg2 at @slot, its first entry, becomes the next smaller ones. */
static inline int radix_halve(struct cbit_pt *pt, uint64_t *slot, unsigned int level,
			      unsigned int lg2)
{
	unsigned int item = fmt_item_lg2(level), copies = 1u << (lg2 - item);
	uint64_t entry = radix_load(slot), spa = fmt_leaf_spa(entry, lg2, pt->c_mask), bits;
	unsigned int attrs = fmt_attrs(entry, pt->c_mask) | fmt_path_attrs(fmt_path(entry));

	/* hardware marks the one copy that it read */
	for (unsigned int i = 1; i < copies; i++)
		attrs |= (unsigned int)(radix_load(&slot[i]) & RADIX_MARKS);
	bits = fmt_attr_bits(attrs, pt->c_mask);
	if (lg2 > item && FMT_SIZES & radix_bytes(lg2 - 1)) {
		const struct radix_pieces p = {
			.spa = spa, .bits = bits, .item = item, .lg2 = lg2 - 1
		};

		radix_pieces_put(slot, copies, &p);
		return 0;
	}
	for (unsigned int i = 0; i < copies; i++) {
		int err = radix_push_down(pt, &slot[i], level, spa + ((uint64_t)i << item), bits);

		/* the rest of the copies still say what they said */
		if (err)
			return err;
	}
	return 0;
}

/* Return: 0 when no leaf has @iova inside, -ENOMEM; then some may have been split. */
static inline int radix_cut(struct cbit_pt *pt, uint64_t iova)
{
	const struct mem_view view = *mem_view(pt->mem);
	struct cbit_pt_cursor cur = { .pt = pt };
	unsigned int level;

	if (!radix_reaches(pt_top_mode(pt_top(pt)), iova))
		return 0;
	level = radix_resume(pt, &view, &cur, iova, 1);
	while (level) {
		uint64_t *slot = radix_slot(&cur, iova, level);
		uint64_t entry = radix_load(slot);
		unsigned int lg2;
		int err;

		if (radix_down(pt, &view, &cur, entry, level)) {
			level--;
			continue;
		}
		if (fmt_kind(entry, level, 0) != FMT_LEAF)
			return 0;
		lg2 = fmt_leaf_lg2(entry, level);
		if (!(iova & (radix_bytes(lg2) - 1)))
			return 0;
		/* the first of its copies */
		slot -= (iova & (radix_bytes(lg2) - 1)) >> fmt_item_lg2(level);
		err = radix_halve(pt, slot, level, lg2);
		if (err)
			return err;
	}
	return 0;
}

#endif
