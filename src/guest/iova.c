/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOVAs of a device behind an IOMMU, given out as by Linux (drivers/iommu/iova.c and
 * iommu_dma_alloc_iova()): from the top, naturally aligned, below 4 GiB first; sizes of up to 32
 * pages are kept when they become free, and the last one freed is the next one used.
 */
#include <errno.h>
#include <stdlib.h>

#include "dma_internal.h"

#define LOW_PAGES (UINT64_C(1) << (32 - CBIT_PAGE_SHIFT))
#define CHUNK     64
#define TRIES     8 /* ranges of a cache that are held against the mask */

/* amd_iommu_get_resv_regions(): MSI_RANGE_*, HT_RANGE_* */
static const struct {
	uint64_t first, last;
} reserved[] = {
	{ UINT64_C(0xfee00000), UINT64_C(0xfeefffff) },
	{ UINT64_C(0xfd00000000), UINT64_C(0xffffffffff) },
};

struct cbit_iova_chunk {
	struct cbit_iova_chunk *next;
	struct cbit_iova_range range[CHUNK];
};

static int compare(const struct cbit_iova_range *a, const struct cbit_iova_range *b)
{
	return a->pfn < b->pfn ? -1 : a->pfn > b->pfn;
}

RB_GENERATE_INTERNAL(cbit_iova_tree, cbit_iova_range, node, compare, __attribute__((unused)) static)

static unsigned int order_of(uint64_t pages)
{
	return pages <= 1 ? 0 : 64 - (unsigned int)__builtin_clzll(pages - 1);
}

static struct cbit_iova_range *spare(struct cbit_iova_space *space)
{
	struct cbit_iova_range *range = SLIST_FIRST(&space->spare);

	if (!range) {
		struct cbit_iova_chunk *chunk = calloc(1, sizeof(*chunk));

		if (!chunk)
			return NULL;
		chunk->next = space->chunks;
		space->chunks = chunk;
		for (unsigned int i = 0; i < CHUNK; i++)
			SLIST_INSERT_HEAD(&space->spare, &chunk->range[i], cached);
		range = SLIST_FIRST(&space->spare);
	}
	SLIST_REMOVE_HEAD(&space->spare, cached);
	return range;
}

static struct cbit_iova_range *insert(struct cbit_iova_space *space, uint64_t pfn, uint64_t pages)
{
	struct cbit_iova_range *range = spare(space);

	if (!range)
		return NULL;
	*range = (struct cbit_iova_range){ .pfn = pfn, .pages = pages };
	RB_INSERT(cbit_iova_tree, &space->tree, range);
	return range;
}

int cbit_iova_init(struct cbit_iova_space *space, struct cbit_iova base, uint64_t size)
{
	*space = (struct cbit_iova_space){ .full = { UINT64_MAX, UINT64_MAX } };
	RB_INIT(&space->tree);
	if (!size || size - 1 > UINT64_MAX - base.v)
		return -EINVAL;
	space->start = (base.v >> CBIT_PAGE_SHIFT) + !!(base.v & ~CBIT_PAGE_MASK);
	space->end = (base.v + (size - 1)) >> CBIT_PAGE_SHIFT;
	if (!((base.v + size) & ~CBIT_PAGE_MASK))
		space->end++;
	if (!space->start)
		space->start = 1; /* iommu_dma_init_domain(): 0 is no IOVA */
	if (space->start >= space->end)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		uint64_t pfn = reserved[i].first >> CBIT_PAGE_SHIFT;

		if (!insert(space, pfn, (reserved[i].last >> CBIT_PAGE_SHIFT) + 1 - pfn)) {
			cbit_iova_fini(space);
			return -ENOMEM;
		}
	}
	return 0;
}

void cbit_iova_fini(struct cbit_iova_space *space)
{
	while (space->chunks) {
		struct cbit_iova_chunk *next = space->chunks->next;

		free(space->chunks);
		space->chunks = next;
	}
}

/* The range with the highest page number below @pfn. */
static struct cbit_iova_range *below(struct cbit_iova_space *space, uint64_t pfn)
{
	struct cbit_iova_range *found = NULL, *range = RB_ROOT(&space->tree);

	while (range) {
		if (range->pfn < pfn) {
			found = range;
			range = RB_RIGHT(range, node);
		} else {
			range = RB_LEFT(range, node);
		}
	}
	return found;
}

/*
 * The highest gap below @high of @pages, naturally aligned, not below @low. @next is the range to
 * start with: the highest one that is not above @high.
 */
static bool walk(struct cbit_iova_range *next, uint64_t pages, uint64_t low, uint64_t high,
		 uint64_t *out)
{
	const uint64_t align = ~(uint64_t)0 << order_of(pages);

	for (;;) {
		uint64_t pfn;

		if (high < pages)
			return false;
		pfn = (high - pages) & align;
		if (pfn < low)
			return false;
		if (!next || pfn >= next->pfn + next->pages) {
			*out = pfn;
			return true;
		}
		high = next->pfn;
		next = RB_PREV(cbit_iova_tree, NULL, next);
	}
}

/* __alloc_and_insert_iova_range(): @end is the page behind the last one that may be used. */
static struct cbit_iova_range *search(struct cbit_iova_space *space, uint64_t pages, uint64_t end)
{
	const bool high = end > LOW_PAGES;
	struct cbit_iova_range *from = space->lowest[high], *range;
	uint64_t pfn;

	if (pages >= space->full[high])
		return NULL;
	if (!from || from->pfn >= end ||
	    !walk(RB_PREV(cbit_iova_tree, &space->tree, from), pages, space->start, from->pfn,
		  &pfn)) {
		if (!walk(below(space, end), pages, space->start, end, &pfn)) {
			/* another mask may find room where this one does not */
			if (end == space->end || end == LOW_PAGES)
				space->full[high] = pages;
			return NULL;
		}
	}
	range = insert(space, pfn, pages);
	if (range)
		space->lowest[pfn >= LOW_PAGES] = range;
	return range;
}

/* iova_rcache_get() */
static struct cbit_iova_range *reuse(struct cbit_iova_space *space, unsigned int order,
				     uint64_t end)
{
	struct cbit_iova_range *range = SLIST_FIRST(&space->caches[order]), *prev = NULL;

	for (unsigned int tries = 0; range && tries < TRIES; tries++) {
		if (range->pfn + range->pages <= end) {
			if (prev)
				SLIST_NEXT(prev, cached) = SLIST_NEXT(range, cached);
			else
				SLIST_REMOVE_HEAD(&space->caches[order], cached);
			return range;
		}
		prev = range;
		range = SLIST_NEXT(range, cached);
	}
	return NULL;
}

/* remove_iova() with __cached_rbnode_delete_update() */
static void drop(struct cbit_iova_space *space, struct cbit_iova_range *range)
{
	struct cbit_iova_range *next = RB_NEXT(cbit_iova_tree, &space->tree, range);

	for (unsigned int high = 0; high < 2; high++) {
		const struct cbit_iova_range *lowest = space->lowest[high];

		/* what is free above 4 GiB is no news to the search below */
		if (lowest && range->pfn >= lowest->pfn &&
		    (high || range->pfn < LOW_PAGES || range == lowest))
			space->lowest[high] = next;
		space->full[high] = UINT64_MAX;
	}
	RB_REMOVE(cbit_iova_tree, &space->tree, range);
	SLIST_INSERT_HEAD(&space->spare, range, cached);
}

/* free_global_cached_iovas(). Return: whether there were any. */
static bool flush(struct cbit_iova_space *space)
{
	bool any = false;

	for (unsigned int order = 0; order < CBIT_IOVA_ORDERS; order++) {
		struct cbit_iova_range *range;

		while ((range = SLIST_FIRST(&space->caches[order]))) {
			SLIST_REMOVE_HEAD(&space->caches[order], cached);
			drop(space, range);
			any = true;
		}
	}
	return any;
}

/* alloc_iova_fast() */
static struct cbit_iova_range *take(struct cbit_iova_space *space, uint64_t pages, uint64_t end,
				    bool may_flush)
{
	unsigned int order = order_of(pages);
	struct cbit_iova_range *range = NULL;

	if (order < CBIT_IOVA_ORDERS) {
		pages = UINT64_C(1) << order;
		range = reuse(space, order, end);
	}
	if (!range)
		range = search(space, pages, end);
	if (!range && may_flush && flush(space))
		range = search(space, pages, end);
	return range;
}

struct cbit_iova_range *cbit_iova_alloc(struct cbit_iova_space *space, uint64_t pages,
					uint64_t mask)
{
	struct cbit_iova_range *range = NULL;
	uint64_t end = (mask >> CBIT_PAGE_SHIFT) + !(~mask & ~CBIT_PAGE_MASK);

	if (end > space->end)
		end = space->end;
	if (end > LOW_PAGES && !space->dac) {
		range = take(space, pages, LOW_PAGES, false);
		space->dac = !range; /* pci_32bit_workaround */
	}
	if (!range)
		range = take(space, pages, end, true);
	if (range)
		range->busy = true;
	return range;
}

void cbit_iova_free(struct cbit_iova_space *space, struct cbit_iova_range *range)
{
	unsigned int order = order_of(range->pages);

	range->busy = false;
	if (order < CBIT_IOVA_ORDERS)
		SLIST_INSERT_HEAD(&space->caches[order], range, cached);
	else
		drop(space, range);
}

struct cbit_iova_range *cbit_iova_find(struct cbit_iova_space *space, struct cbit_iova iova)
{
	uint64_t pfn = iova.v >> CBIT_PAGE_SHIFT;
	struct cbit_iova_range *range = below(space, pfn + 1);

	return range && range->busy && pfn < range->pfn + range->pages ? range : NULL;
}

struct cbit_iova_range *cbit_iova_next(struct cbit_iova_space *space, struct cbit_iova_range *prev)
{
	struct cbit_iova_range *range = prev ? RB_NEXT(cbit_iova_tree, &space->tree, prev)
					     : RB_MIN(cbit_iova_tree, &space->tree);

	while (range && !range->busy)
		range = RB_NEXT(cbit_iova_tree, &space->tree, range);
	return range;
}
