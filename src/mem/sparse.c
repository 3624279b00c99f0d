/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Storage of sparse memory: a two-level radix from page number to page, in which nothing
 * exists until touched. Look-ups take no lock; pages and leaves stay until the region goes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mem_internal.h"

#define LEAF_SHIFT  12 /* a leaf (64 KiB) covers 16 MiB; 1 TiB has 65536 of them */
#define LEAF_PAGES  ((size_t)1 << LEAF_SHIFT)
#define CHUNK_PAGES 256 /* pages are asked of the system 1 MiB at a time */

struct mem_sparse_leaf {
	struct mem_sparse_page page[LEAF_PAGES];
	struct mem_sparse_leaf *next; /* all leaves: the top is too large to go through */
};

struct mem_sparse_chunk {
	struct mem_sparse_chunk *next;
	void *pages;
};

/* Zeroed memory that the system backs only where it is touched; NULL without any. */
static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

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

int cbit_mem_sparse_create(struct cbit_mem *mem, uint64_t base, uint64_t size,
			   struct mem_sparse **out)
{
	struct mem_sparse *sp = calloc(1, sizeof(*sp));
	uint64_t leaves;

	if (!sp)
		return -ENOMEM;
	sp->mem = mem;
	sp->base = base;
	leaves = ((size >> CBIT_PAGE_SHIFT) + LEAF_PAGES - 1) >> LEAF_SHIFT;
	sp->top_bytes = (size_t)leaves * sizeof(sp->top[0]);
	sp->top = map(sp->top_bytes);
	if (!sp->top || !locks_init(sp)) {
		if (sp->top)
			munmap(sp->top, sp->top_bytes);
		free(sp);
		return -ENOMEM;
	}
	*out = sp;
	return 0;
}

void cbit_mem_sparse_destroy(struct mem_sparse *sp)
{
	struct mem_sparse_chunk *chunk;
	struct mem_sparse_leaf *leaf;

	if (!sp)
		return;
	while ((leaf = sp->leaves)) {
		sp->leaves = leaf->next;
		free(leaf);
	}
	while ((chunk = sp->chunks)) {
		sp->chunks = chunk->next;
		munmap(chunk->pages, CHUNK_PAGES * MEM_PAGE);
		free(chunk);
	}
	for (unsigned int i = 0; i < MEM_SPARSE_LOCKS; i++)
		pthread_mutex_destroy(&sp->lock[i]);
	pthread_mutex_destroy(&sp->grow);
	munmap(sp->top, sp->top_bytes);
	free(sp);
}

/* cbit_mem_sparse_lookup() - the page at @spa, NULL if it was never touched. */
struct mem_sparse_page *cbit_mem_sparse_lookup(struct mem_sparse *sp, uint64_t spa)
{
	uint64_t n = (spa - sp->base) >> CBIT_PAGE_SHIFT;
	struct mem_sparse_leaf *leaf;
	struct mem_sparse_page *pg;

	leaf = atomic_load_explicit(&sp->top[n >> LEAF_SHIFT], memory_order_acquire);
	if (!leaf)
		return NULL;
	pg = &leaf->page[n & (LEAF_PAGES - 1)];
	return atomic_load_explicit(&pg->data, memory_order_acquire) ? pg : NULL;
}

/* A zeroed page; chunks are never given back before the region, so a bump will do. */
static uint8_t *page_take(struct mem_sparse *sp)
{
	struct mem_sparse_chunk *chunk;
	uint8_t *page;

	if (!sp->spare_pages) {
		chunk = malloc(sizeof(*chunk));
		if (!chunk)
			return NULL;
		chunk->pages = map(CHUNK_PAGES * MEM_PAGE);
		if (!chunk->pages) {
			free(chunk);
			return NULL;
		}
		chunk->next = sp->chunks;
		sp->chunks = chunk;
		sp->spare = chunk->pages;
		sp->spare_pages = CHUNK_PAGES;
	}
	page = sp->spare;
	sp->spare += MEM_PAGE;
	sp->spare_pages--;
	return page;
}

static struct mem_sparse_page *page_create(struct mem_sparse *sp, uint64_t n, bool *fresh)
{
	_Atomic(struct mem_sparse_leaf *) *slot = &sp->top[n >> LEAF_SHIFT];
	struct mem_sparse_leaf *leaf;
	struct mem_sparse_page *pg;
	uint8_t *data;

	leaf = atomic_load_explicit(slot, memory_order_relaxed);
	pg = leaf ? &leaf->page[n & (LEAF_PAGES - 1)] : NULL;
	if (pg && atomic_load_explicit(&pg->data, memory_order_relaxed))
		return pg; /* another thread was faster */
	data = page_take(sp);
	if (!data)
		return NULL;
	if (!leaf) {
		leaf = calloc(1, sizeof(*leaf));
		if (!leaf) {
			sp->spare -= MEM_PAGE;
			sp->spare_pages++;
			return NULL;
		}
		leaf->next = sp->leaves;
		sp->leaves = leaf;
		pg = &leaf->page[n & (LEAF_PAGES - 1)];
		atomic_store_explicit(slot, leaf, memory_order_release);
	}
	/* zeros under key none, which is how DRAM nobody wrote to is defined here */
	atomic_store_explicit(&pg->data, data, memory_order_release);
	*fresh = true;
	return pg;
}

/*
 * cbit_mem_sparse_get() - the page at @spa, made if need be; *@fresh tells that this call made
 * it. Return: NULL when there is no memory.
 */
struct mem_sparse_page *cbit_mem_sparse_get(struct mem_sparse *sp, uint64_t spa, bool *fresh)
{
	struct mem_sparse_page *pg = cbit_mem_sparse_lookup(sp, spa);

	*fresh = false;
	if (pg)
		return pg;
	pthread_mutex_lock(&sp->grow);
	pg = page_create(sp, (spa - sp->base) >> CBIT_PAGE_SHIFT, fresh);
	pthread_mutex_unlock(&sp->grow);
	return pg;
}
