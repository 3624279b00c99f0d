/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short way to a table: what cbit_mem_page() does, without a call, for the memory that
 * frames come from. Walkers and the page tables' writers take it; everything it does not
 * serve goes to cbit_mem_page(), which says the same of each address.
 *
 * Sparse memory lies in one range of host addresses, so an SPA becomes a pointer by an
 * addition, and what a dependent walk waits for is the entries alone: 12 loads one after the
 * other became 4 (a walk over 1 GiB of 4 KiB leaves: see docs/performance.md).
 */
#ifndef CBIT_MEM_VIEW_H
#define CBIT_MEM_VIEW_H

#include <stdatomic.h>

#include <cbit/mem.h>

/*
 * One page of sparse memory; its bytes stand in the region's range as the tag key shows them.
 * @state: the tag, MEM_STATE_BUSY while the bytes are on their way to another key,
 *         MEM_STATE_HERE from the first touch on; in the upper half a count of such changes, by
 *         which a reader without lock sees that it was overtaken.
 * @note, @holder: of whoever holds the frame; nothing in DRAM.
 * @watch: writes to the page are counted: see mem_view_watch().
 */
struct mem_page {
	_Atomic uint64_t state;
	int16_t note;
	uint16_t holder;
	_Atomic uint32_t watch;
};

#define MEM_STATE_TAG    ((uint64_t)0xffff)
#define MEM_STATE_BUSY   ((uint64_t)1 << 16)
#define MEM_STATE_HERE   ((uint64_t)1 << 17)
#define MEM_STATE_CHANGE ((uint64_t)1 << 32)

/* The state of the page at offset @at, a multiple of the page size: one shift, no scaling. */
static inline struct mem_page *mem_page_of(struct mem_page *pages, uint64_t at)
{
	_Static_assert(sizeof(struct mem_page) == CBIT_PAGE_SIZE >> 8, "see the shift");
	return (struct mem_page *)(void *)((uint8_t *)pages + (at >> 8));
}

/* The low half of the state: all that a look at the page depends on. */
static inline uint32_t mem_page_view(const struct mem_page *pg)
{
	return (uint32_t)atomic_load_explicit(&pg->state, memory_order_acquire);
}

/*
 * @base, @size: of the region that frames come from, or of its start that lies in one range,
 * without SPA 0, which is no frame; 0 while there is none.
 * @want: state of a page that may be looked at without the C-bit in the address; @want_c: with.
 * @spa:  bits of an entry that are an address, without the C-bit: the same in all formats.
 * @wide: bits of an address that no SPA has and that are not the C-bit either.
 */
struct mem_view {
	uint64_t c_mask;
	uint64_t spa;
	uint64_t wide;
	uint64_t base;
	uint64_t size;
	uint8_t *bytes;
	struct mem_page *pages;
	uint32_t want;
	uint32_t want_c;
};

/* The view is the first member of struct cbit_mem. */
static inline const struct mem_view *mem_view(const struct cbit_mem *mem)
{
	return (const struct mem_view *)(const void *)mem;
}

/* cbit_mem_page() with @v a copy of the view of @mem, which stays in registers in a loop. */
static inline void *mem_view_page(const struct mem_view *v, struct cbit_mem *mem, uint64_t bus)
{
	uint64_t at = (bus & ~v->c_mask) - v->base;

	if (__builtin_expect(at < v->size, 1)) {
		uint32_t want = bus & v->c_mask ? v->want_c : v->want;

		if (__builtin_expect(mem_page_view(&v->pages[at >> CBIT_PAGE_SHIFT]) == want, 1))
			return v->bytes + (at & CBIT_PAGE_MASK);
	}
	return cbit_mem_page(mem, (struct cbit_bus){ bus });
}

/*
 * How many pages from the start of the view are all under the key that @c, any of the C-bit,
 * selects: a walk through tables below that need not look at each one's state. Frames are given out
 * upwards, so it is nearly all there are, until somebody touches one under another key.
 */
static inline const uint64_t *mem_view_one_key_of(const struct mem_view *v, uint64_t c)
{
	const uint64_t *one_key = (const uint64_t *)(const void *)(v + 1);

	return &one_key[c != 0];
}

static inline uint64_t mem_view_one_key(const struct mem_view *v, uint64_t c)
{
	return __atomic_load_n(mem_view_one_key_of(v, c), __ATOMIC_ACQUIRE);
}

/* The state of the frame at @spa of cbit_mem_frames_alloc(); NULL if it is out of the view. */
static inline struct mem_page *mem_view_frame(const struct mem_view *v, uint64_t spa)
{
	uint64_t at = spa - v->base;

	return __builtin_expect(at < v->size, 1) ? &v->pages[at >> CBIT_PAGE_SHIFT] : NULL;
}

/*
 * Count writes to the frame at @spa from now until it is given back. Only those of cbit_mem_write()
 * and its like are: whoever writes through a pointer knows himself.
 */
static inline void mem_view_watch(const struct mem_view *v, uint64_t spa)
{
	struct mem_page *pg = mem_view_frame(v, spa);

	if (pg)
		atomic_store_explicit(&pg->watch, 1, memory_order_relaxed);
}

/* How many writes there were to pages that are watched. */
uint64_t cbit_mem_watched_writes(struct cbit_mem *mem);

#endif
