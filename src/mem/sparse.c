/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Storage of sparse memory: a range of host addresses as large as the region, reserved at
 * creation and opened in granules when somebody touches them, and a word of state for each
 * page beside it. Nothing but addresses is spent before that. Look-ups take no lock; pages
 * stay until the region goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mem_internal.h"

/* What is opened at a time; 1 TiB has 65536 of them. The state of one is 64 KiB. */
#define GRANULE_SHIFT 24
#define GRANULE       ((size_t)1 << GRANULE_SHIFT)
#define GRANULE_PAGES (GRANULE >> CBIT_PAGE_SHIFT)

_Static_assert(GRANULE_PAGES * sizeof(struct mem_page) % 4096 == 0, "state opens in pages");

#define HUGE_BYTES ((size_t)2 << 20)

/* Largest part of a region that has addresses of its own; what lies behind shares as many. */
#define DIRECT_MAX ((uint64_t)1 << 40)
#define DIRECT_MIN GRANULE

/* Zeroed memory of which the system commits nothing, however strict it is about that. */
static void *reserve(size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static bool locks_init(struct mem_sparse *sp)
{
	unsigned int i;

	if (pthread_mutex_init(&sp->grow, NULL))
		return false;
	for (i = 0; i < MEM_SPARSE_LOCKS; i++) {
		if (pthread_mutex_init(&sp->lock[i], NULL))
			break;
	}
	if (i == MEM_SPARSE_LOCKS)
		return true;
	while (i--)
		pthread_mutex_destroy(&sp->lock[i]);
	pthread_mutex_destroy(&sp->grow);
	return false;
}

/* The same at a multiple of what the system can back with one large page. */
static uint8_t *reserve_aligned(size_t bytes)
{
	uint8_t *p = reserve(bytes + HUGE_BYTES, PROT_NONE);
	size_t lead;

	if (!p)
		return NULL;
	lead = -(uintptr_t)p & (HUGE_BYTES - 1);
	if (lead)
		munmap(p, lead);
	munmap(p + lead + bytes, HUGE_BYTES - lead);
	return p + lead;
}

static size_t state_bytes(size_t granules)
{
	return granules * GRANULE_PAGES * sizeof(struct mem_page);
}

static void release(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

static void unreserve(struct mem_sparse *sp)
{
	release(sp->bytes, sp->granules << GRANULE_SHIFT);
	release(sp->pages, state_bytes(sp->granules));
	release(sp->open, sp->granules);
	release(sp->slot, sp->slot_bytes);
	sp->bytes = NULL;
	sp->pages = NULL;
	sp->open = NULL;
	sp->slot = NULL;
}

/*
 * Addresses for @direct granules of @all. Those behind them get theirs when they are touched,
 * from as many again; sp->slot tells which.
 */
static bool reserve_all(struct mem_sparse *sp, size_t direct, size_t all)
{
	sp->direct = direct;
	sp->granules = direct < all ? 2 * direct : direct;
	sp->next_slot = direct;
	sp->slot_bytes = (all - direct) * sizeof(sp->slot[0]);
	sp->bytes = reserve_aligned(sp->granules << GRANULE_SHIFT);
	sp->pages = reserve(state_bytes(sp->granules), PROT_READ);
	sp->open = reserve(sp->granules, PROT_READ | PROT_WRITE);
	if (sp->slot_bytes)
		sp->slot = reserve(sp->slot_bytes, PROT_READ | PROT_WRITE);
	if (sp->bytes && sp->pages && sp->open && (sp->slot || !sp->slot_bytes))
		return true;
	unreserve(sp);
	return false;
}

int cbit_mem_sparse_create(struct cbit_mem *mem, uint64_t base, uint64_t size,
			   struct mem_sparse **out)
{
	struct mem_sparse *sp = calloc(1, sizeof(*sp));
	uint64_t direct = size < DIRECT_MAX ? size : DIRECT_MAX;
	size_t all = (size_t)((size + GRANULE - 1) >> GRANULE_SHIFT);
	bool ok = false;

	if (!sp)
		return -ENOMEM;
	sp->mem = mem;
	sp->base = base;
	sp->size = size;
	/* under a limit of addresses (RLIMIT_AS) with less of them */
	for (; !ok && direct >= CBIT_PAGE_SIZE; direct /= 4) {
		ok = reserve_all(sp, (size_t)((direct + GRANULE - 1) >> GRANULE_SHIFT), all);
		if (direct <= DIRECT_MIN)
			break;
	}
	if (!ok || !locks_init(sp)) {
		unreserve(sp);
		free(sp);
		return -ENOMEM;
	}
	*out = sp;
	return 0;
}

void cbit_mem_sparse_destroy(struct mem_sparse *sp)
{
	if (!sp)
		return;
	for (unsigned int i = 0; i < MEM_SPARSE_LOCKS; i++)
		pthread_mutex_destroy(&sp->lock[i]);
	pthread_mutex_destroy(&sp->grow);
	unreserve(sp);
	free(sp);
}

/* cbit_mem_sparse_direct() - bytes from the region's start on that lie in one range. */
uint64_t cbit_mem_sparse_direct(const struct mem_sparse *sp)
{
	return (uint64_t)sp->direct << GRANULE_SHIFT;
}

/* Where the state of the page at @offset is; NULL if that has no addresses yet. */
static struct mem_page *page_at(struct mem_sparse *sp, uint64_t offset)
{
	size_t n = (size_t)(offset >> GRANULE_SHIFT);
	uint64_t at = (offset & (GRANULE - 1)) >> CBIT_PAGE_SHIFT;

	if (n >= sp->direct) {
		n = atomic_load_explicit(&sp->slot[n - sp->direct], memory_order_acquire);
		if (!n)
			return NULL;
	}
	/* a closed granule has no page, and its state is not worth bringing into being */
	if (!atomic_load_explicit(&sp->open[n], memory_order_acquire))
		return NULL;
	return &sp->pages[n * GRANULE_PAGES + at];
}

/*
 * cbit_mem_sparse_next() - the first page at offset *@at or later that was touched, and its offset
 * in *@at; NULL if there is none. What was never opened is passed over as a whole.
 */
struct mem_page *cbit_mem_sparse_next(struct mem_sparse *sp, uint64_t *at)
{
	while (*at < sp->size) {
		struct mem_page *pg = page_at(sp, *at);

		if (!pg)
			*at = (*at | (GRANULE - 1)) + 1;
		else if (atomic_load_explicit(&pg->state, memory_order_acquire) & MEM_STATE_HERE)
			return pg;
		else
			*at += CBIT_PAGE_SIZE;
	}
	return NULL;
}

/* cbit_mem_sparse_lookup() - the page at @spa, NULL if it was never touched. */
struct mem_page *cbit_mem_sparse_lookup(struct mem_sparse *sp, uint64_t spa)
{
	struct mem_page *pg = page_at(sp, spa - sp->base);

	/* acquire: whoever sees the page also sees its granule open */
	return pg && atomic_load_explicit(&pg->state, memory_order_acquire) & MEM_STATE_HERE ? pg
											     : NULL;
}

/* Make the granule at @offset usable. */
static bool granule_open(struct mem_sparse *sp, uint64_t offset)
{
	size_t n = (size_t)(offset >> GRANULE_SHIFT), at = n;

	if (n >= sp->direct) {
		at = atomic_load_explicit(&sp->slot[n - sp->direct], memory_order_relaxed);
		if (at)
			return true;
		if (sp->next_slot == sp->granules)
			return false;
		at = sp->next_slot;
	}
	if (atomic_load_explicit(&sp->open[at], memory_order_relaxed))
		return true;
	if (mprotect((uint8_t *)sp->pages + state_bytes(at), state_bytes(1),
		     PROT_READ | PROT_WRITE) ||
	    mprotect(sp->bytes + (at << GRANULE_SHIFT), GRANULE, PROT_READ | PROT_WRITE))
		return false;
	atomic_store_explicit(&sp->open[at], 1, memory_order_release);
	if (n >= sp->direct) {
		sp->next_slot++;
		atomic_store_explicit(&sp->slot[n - sp->direct], (uint32_t)at,
				      memory_order_release);
	}
	return true;
}

/*
 * cbit_mem_sparse_get() - the page at @spa, made if need be; *@fresh tells that this call made
 * it: zeros under key none, which is how DRAM nobody wrote to is defined here.
 * Return: NULL when there is no memory.
 */
struct mem_page *cbit_mem_sparse_get(struct mem_sparse *sp, uint64_t spa, bool *fresh)
{
	struct mem_page *pg = cbit_mem_sparse_lookup(sp, spa);

	*fresh = false;
	if (pg)
		return pg;
	pthread_mutex_lock(&sp->grow);
	if (granule_open(sp, spa - sp->base)) {
		uint64_t old;

		pg = page_at(sp, spa - sp->base);
		old = atomic_fetch_or_explicit(&pg->state, MEM_STATE_HERE, memory_order_acq_rel);
		*fresh = !(old & MEM_STATE_HERE); /* another thread may have been faster */
	}
	pthread_mutex_unlock(&sp->grow);
	return pg;
}

/*
 * cbit_mem_sparse_dense() - frames around the page at @spa will be in use soon: let one large
 * page of the system stand behind them. A scattered walk over 2 MiB of tables is 3 ns of 25
 * faster so. What is sparse stays in small pages.
 */
void cbit_mem_sparse_dense(struct mem_sparse *sp, uint64_t spa)
{
	uint64_t at = (spa - sp->base) & ~(uint64_t)(HUGE_BYTES - 1);
	bool fresh;

	/* only ranges of which nothing was touched; a wish, and no harm if it is not granted */
	if (at + HUGE_BYTES <= cbit_mem_sparse_direct(sp) && !cbit_mem_sparse_lookup(sp, spa) &&
	    cbit_mem_sparse_get(sp, spa, &fresh))
		(void)madvise(sp->bytes + at, HUGE_BYTES, MADV_HUGEPAGE);
}
