/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Access to sparse memory under keys.
 *
 * A page holds the view of the key it was last written with, its tag. Under that key an
 * access is a copy. A read under another key computes what that key makes of the DRAM bytes,
 * and leaves the page alone; a write under another key first turns the whole page into that
 * key's view, which loses nothing, because the engine is a bijection under every key.
 *
 * Writers and everything that looks at a whole page hold the page's lock. A reader under the
 * tag holds none: it copies, then looks whether the tag changed meanwhile, and if so starts
 * again with the lock.
 */
#include <errno.h>

#include "mem_internal.h"

#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif

/* TSan does not know fences; it checks the accesses, which only the state word orders. */
static void fence(void)
{
#ifndef HAVE_TSAN
	atomic_thread_fence(memory_order_acq_rel);
#endif
}

static pthread_mutex_t *page_lock(struct mem_sparse *sp, uint64_t spa)
{
	return &sp->lock[(spa >> CBIT_PAGE_SHIFT) % MEM_SPARSE_LOCKS];
}

static uint8_t *page_data(const struct mem_sparse *sp, const struct mem_page *pg)
{
	return sp->bytes + ((size_t)(pg - sp->pages) << CBIT_PAGE_SHIFT);
}

static cbit_key_t page_tag(struct mem_page *pg)
{
	return (cbit_key_t)(atomic_load_explicit(&pg->state, memory_order_acquire) & MEM_STATE_TAG);
}

/* See mem_view_one_key(): from @n on, as far as pages are under the key now. */
static void one_key_set(struct cbit_mem *mem, unsigned int c, uint64_t n)
{
	const struct mem_view *v = &mem->view;
	uint32_t want = c ? v->want_c : v->want;

	while (n < v->size >> CBIT_PAGE_SHIFT && mem_page_view(&v->pages[n]) == want)
		n++;
	__atomic_store_n(&mem->one_key[c], n, __ATOMIC_RELEASE);
}

/* The state of a page is another. */
static void one_key_update(struct mem_sparse *sp, const struct mem_page *pg)
{
	const struct mem_view *v = &sp->mem->view;
	uint64_t at = ((uintptr_t)pg - (uintptr_t)v->pages) / sizeof(*pg);

	if (at >= v->size >> CBIT_PAGE_SHIFT)
		return;
	pthread_mutex_lock(&sp->grow);
	for (unsigned int c = 0; c < 2; c++) {
		bool same = mem_page_view(pg) == (c ? v->want_c : v->want);
		uint64_t n = sp->mem->one_key[c];

		if (at < n && !same)
			one_key_set(sp->mem, c, at);
		else if (at == n && same)
			one_key_set(sp->mem, c, n);
	}
	pthread_mutex_unlock(&sp->grow);
}

/* cbit_mem_one_key_restart() - the view is of other memory than it was; nobody walks yet. */
void cbit_mem_one_key_restart(struct cbit_mem *mem)
{
	one_key_set(mem, 0, 0);
	one_key_set(mem, 1, 0);
}

/* From here until change_end() the bytes belong to no key; unlocked readers keep off. */
static void change_begin(struct mem_sparse *sp, struct mem_page *pg)
{
	atomic_fetch_or_explicit(&pg->state, MEM_STATE_BUSY, memory_order_acq_rel);
	fence();
	one_key_update(sp, pg);
}

static void change_end(struct mem_sparse *sp, struct mem_page *pg, cbit_key_t tag)
{
	uint64_t s = atomic_load_explicit(&pg->state, memory_order_relaxed);

	s = (s & ~(MEM_STATE_TAG | MEM_STATE_BUSY)) + MEM_STATE_CHANGE;
	atomic_store_explicit(&pg->state, s | tag, memory_order_release);
	one_key_update(sp, pg);
}

static void page_convert(struct mem_sparse *sp, struct mem_page *pg, uint64_t spa, cbit_key_t key)
{
	cbit_key_t tag = page_tag(pg);

	if (tag == key)
		return;
	change_begin(sp, pg);
	cbit_mem_transcode(sp->mem, tag, key, spa & CBIT_PAGE_MASK, page_data(sp, pg),
			   page_data(sp, pg), MEM_PAGE);
	change_end(sp, pg, key);
}

/* The view of @key on the first @upto bytes (whole blocks) of a page, into @tmp. */
static void page_prefix(struct mem_sparse *sp, struct mem_page *pg, uint64_t spa, cbit_key_t key,
			uint8_t *tmp, size_t upto)
{
	if (pg)
		memcpy(tmp, page_data(sp, pg), upto);
	else
		memset(tmp, 0, upto);
	cbit_mem_transcode(sp->mem, pg ? page_tag(pg) : CBIT_KEY_NONE, key, spa & CBIT_PAGE_MASK,
			   tmp, tmp, upto);
}

static size_t block_up(size_t n)
{
	return (n + MEM_BLOCK - 1) & ~(MEM_BLOCK - 1);
}

/* The fast path of a read: false when the page is not, or did not stay, under @key. */
static bool read_tagged(const struct mem_sparse *sp, struct mem_page *pg, size_t at, cbit_key_t key,
			uint8_t *buf, size_t len)
{
	uint64_t s = atomic_load_explicit(&pg->state, memory_order_acquire);

	if ((s & (MEM_STATE_TAG | MEM_STATE_BUSY)) != key)
		return false;
	cbit_mem_copy_out(buf, page_data(sp, pg) + at, len);
	fence();
	return atomic_load_explicit(&pg->state, memory_order_relaxed) == s;
}

static void page_read(struct mem_sparse *sp, uint64_t spa, cbit_key_t key, uint8_t *buf, size_t len)
{
	struct mem_page *pg = cbit_mem_sparse_lookup(sp, spa);
	size_t at = (size_t)(spa & (MEM_PAGE - 1));
	bool slow = mem_is_slow(sp->mem);
	uint8_t tmp[MEM_PAGE];

	if (!slow && pg && read_tagged(sp, pg, at, key, buf, len))
		return;
	if (!slow && !pg && key == CBIT_KEY_NONE) {
		memset(buf, 0, len);
		return;
	}
	if (pg)
		pthread_mutex_lock(page_lock(sp, spa));
	page_prefix(sp, pg, spa, key, tmp, block_up(at + len));
	if (pg)
		pthread_mutex_unlock(page_lock(sp, spa));
	memcpy(buf, tmp + at, len);
}

/* cbit_mem_sparse_read() - what @key shows of @len bytes at @spa, all inside the region. */
void cbit_mem_sparse_read(struct mem_sparse *sp, uint64_t spa, cbit_key_t key, uint8_t *buf,
			  size_t len)
{
	while (len) {
		size_t n = MEM_PAGE - (size_t)(spa & (MEM_PAGE - 1));

		if (n > len)
			n = len;
		page_read(sp, spa, key, buf, n);
		spa += n;
		buf += n;
		len -= n;
	}
}

/*
 * The reference path of a write: the page keeps its tag; the blocks in question go to the
 * writer's view, take the data, and come back by way of their DRAM bytes.
 */
static void write_slow(struct mem_sparse *sp, struct mem_page *pg, uint64_t spa, cbit_key_t key,
		       const uint8_t *buf, size_t len)
{
	size_t at = (size_t)(spa & (MEM_PAGE - 1));
	size_t from = at & ~(MEM_BLOCK - 1);
	size_t upto = block_up(at + len);
	uint8_t tmp[MEM_PAGE];

	page_prefix(sp, pg, spa, key, tmp, upto);
	memcpy(tmp + at, buf, len);
	cbit_mem_transcode(sp->mem, key, page_tag(pg), spa & CBIT_PAGE_MASK, tmp, tmp, upto);
	memcpy(page_data(sp, pg) + from, tmp + from, upto - from);
}

/* After the bytes: whoever sees the count sees them. */
static void count_watched(struct mem_sparse *sp, struct mem_page *pg)
{
	if (__builtin_expect(atomic_load_explicit(&pg->watch, memory_order_relaxed) != 0, 0))
		atomic_fetch_add_explicit(&sp->mem->watched_writes, 1, memory_order_release);
}

static int page_write(struct mem_sparse *sp, uint64_t spa, cbit_key_t key, const uint8_t *buf,
		      size_t len)
{
	size_t at = (size_t)(spa & (MEM_PAGE - 1));
	struct mem_page *pg;
	bool fresh;

	pg = cbit_mem_sparse_get(sp, spa, &fresh);
	if (!pg)
		return -ENOMEM;
	pthread_mutex_lock(page_lock(sp, spa));
	if (mem_is_slow(sp->mem)) {
		write_slow(sp, pg, spa, key, buf, len);
	} else if (len == MEM_PAGE && page_tag(pg) != key) {
		/* nothing of the old view survives, so it need not be computed */
		change_begin(sp, pg);
		memcpy(page_data(sp, pg), buf, len);
		change_end(sp, pg, key);
	} else {
		page_convert(sp, pg, spa, key);
		cbit_mem_copy_in(page_data(sp, pg) + at, buf, len);
	}
	pthread_mutex_unlock(page_lock(sp, spa));
	count_watched(sp, pg);
	return 0;
}

uint64_t cbit_mem_watched_writes(struct cbit_mem *mem)
{
	return atomic_load_explicit(&mem->watched_writes, memory_order_acquire);
}

/* cbit_mem_sparse_write() - the other way. Return: 0, -ENOMEM. */
int cbit_mem_sparse_write(struct mem_sparse *sp, uint64_t spa, cbit_key_t key, const uint8_t *buf,
			  size_t len)
{
	while (len) {
		size_t n = MEM_PAGE - (size_t)(spa & (MEM_PAGE - 1));
		int ret;

		if (n > len)
			n = len;
		ret = page_write(sp, spa, key, buf, n);
		if (ret)
			return ret;
		spa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

/* The reference path: the value goes to @key's view and back; holders of a view see no atom. */
static void atomic_slow(struct mem_sparse *sp, struct mem_page *pg, uint64_t spa, cbit_key_t key,
			const struct mem_atomic *a)
{
	size_t at = (size_t)(spa & (MEM_PAGE - 1));
	uint8_t tmp[MEM_PAGE];

	page_prefix(sp, pg, spa, key, tmp, block_up(at + a->size));
	cbit_mem_atomic_own(tmp + at, a);
	write_slow(sp, pg, spa, key, tmp + at, a->size);
}

/*
 * cbit_mem_sparse_atomic() - an atomic access through @key. The lock holds off other keys;
 * under this one there are also CPUs with a pointer to the page, so the access itself is a
 * CPU's. Return: 0, -ENOMEM.
 */
int cbit_mem_sparse_atomic(struct mem_sparse *sp, uint64_t spa, cbit_key_t key,
			   const struct mem_atomic *a)
{
	struct mem_page *pg;
	bool fresh;

	pg = cbit_mem_sparse_get(sp, spa, &fresh);
	if (!pg)
		return -ENOMEM;
	pthread_mutex_lock(page_lock(sp, spa));
	if (mem_is_slow(sp->mem)) {
		atomic_slow(sp, pg, spa, key, a);
	} else {
		page_convert(sp, pg, spa, key);
		cbit_mem_atomic_shared(page_data(sp, pg) + (spa & (MEM_PAGE - 1)), a);
	}
	pthread_mutex_unlock(page_lock(sp, spa));
	count_watched(sp, pg);
	return 0;
}

/*
 * cbit_mem_sparse_settle() - turn every page that stands in @key's view to what DRAM holds: the
 * key is about to be another.
 */
void cbit_mem_sparse_settle(struct mem_sparse *sp, cbit_key_t key)
{
	struct mem_page *pg;

	for (uint64_t at = 0; (pg = cbit_mem_sparse_next(sp, &at)) != NULL; at += MEM_PAGE) {
		uint64_t spa = sp->base + at;

		if (page_tag(pg) != key)
			continue;
		pthread_mutex_lock(page_lock(sp, spa));
		if (page_tag(pg) == key)
			page_convert(sp, pg, spa, CBIT_KEY_NONE);
		pthread_mutex_unlock(page_lock(sp, spa));
	}
}

/* cbit_mem_sparse_view() - the page at @spa, turned into @key's view; NULL without memory. */
uint8_t *cbit_mem_sparse_view(struct mem_sparse *sp, uint64_t spa, cbit_key_t key)
{
	struct mem_page *pg;
	bool fresh;

	pg = cbit_mem_sparse_get(sp, spa, &fresh);
	if (!pg)
		return NULL;
	/* a tag that is just being changed away from @key is the callers' disagreement */
	if (page_tag(pg) != key) {
		pthread_mutex_lock(page_lock(sp, spa));
		page_convert(sp, pg, spa, key);
		pthread_mutex_unlock(page_lock(sp, spa));
	}
	return page_data(sp, pg);
}

/* cbit_mem_sparse_zero() - make the page at @spa zeros under @key. Return: 0, -ENOMEM. */
int cbit_mem_sparse_zero(struct mem_sparse *sp, uint64_t spa, cbit_key_t key)
{
	struct mem_page *pg;
	bool fresh;

	pg = cbit_mem_sparse_get(sp, spa, &fresh);
	if (!pg)
		return -ENOMEM;
	pthread_mutex_lock(page_lock(sp, spa));
	change_begin(sp, pg);
	if (!fresh)
		memset(page_data(sp, pg), 0, MEM_PAGE);
	change_end(sp, pg, key);
	atomic_store_explicit(&pg->watch, 0, memory_order_relaxed);
	pthread_mutex_unlock(page_lock(sp, spa));
	return 0;
}
