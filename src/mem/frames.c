/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of sparse DRAM for tables and rings.
 *
 * Free blocks of 2^n frames, each at a multiple of its size, stand on one stack for each n.
 * A request takes the smallest that fits and splits it. Blocks given back go on their stack
 * as they are; buddies are joined again only when a request would fail otherwise, so that
 * taking and giving back single frames, which page tables do all day, is push and pop.
 */
#include <errno.h>
#include <stdlib.h>

#include "mem_internal.h"

int cbit_mem_frames_init(struct cbit_mem *mem)
{
	return pthread_mutex_init(&mem->frames.lock, NULL) ? -ENOMEM : 0;
}

void cbit_mem_frames_destroy(struct cbit_mem *mem)
{
	for (unsigned int i = 0; i < MEM_FRAME_ORDERS; i++)
		free(mem->frames.free[i].frame);
	pthread_mutex_destroy(&mem->frames.lock);
}

/* Without memory for the note the frames are lost until the end; nothing else is. */
static bool push(struct mem_frame_list *l, uint64_t frame)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		uint64_t *v = reallocarray(l->frame, cap, sizeof(*v));

		if (!v)
			return false;
		l->frame = v;
		l->cap = cap;
	}
	l->frame[l->count++] = frame;
	return true;
}

/* Everything of the region as blocks as large as alignment lets them be. */
static void fill(struct mem_frames *f, const struct mem_region *r)
{
	uint64_t at = r->pub.base.v >> CBIT_PAGE_SHIFT;
	uint64_t end = (r->last >> CBIT_PAGE_SHIFT) + 1;

	/* SPA 0 looks too much like "no table" to readers of entries */
	if (!at)
		at = 1;
	while (at < end) {
		unsigned int order = (unsigned int)__builtin_ctzll(at);

		if (order >= MEM_FRAME_ORDERS)
			order = MEM_FRAME_ORDERS - 1;
		while (((uint64_t)1 << order) > end - at)
			order--;
		push(&f->free[order], at);
		at += (uint64_t)1 << order;
	}
}

/* The lowest sparse DRAM; decided once, for regions may be added later. */
static bool bind(struct cbit_mem *mem)
{
	struct mem_frames *f = &mem->frames;

	for (size_t i = 0; i < mem->window_count && !f->region; i++) {
		struct mem_region *r = mem->windows[i].region;

		if (r->pub.kind == CBIT_MEM_DRAM && r->sparse) {
			f->region = r;
			fill(f, r);
		}
	}
	return f->region != NULL;
}

static bool take(struct mem_frames *f, unsigned int order, uint64_t *frame)
{
	unsigned int have = order;

	while (have < MEM_FRAME_ORDERS && !f->free[have].count)
		have++;
	if (have == MEM_FRAME_ORDERS)
		return false;
	*frame = f->free[have].frame[--f->free[have].count];
	while (have > order) {
		have--;
		push(&f->free[have], *frame + ((uint64_t)1 << have));
	}
	return true;
}

static int by_frame(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void join_buddies(struct mem_frames *f)
{
	for (unsigned int order = 0; order + 1 < MEM_FRAME_ORDERS; order++) {
		struct mem_frame_list *l = &f->free[order];
		uint64_t size = (uint64_t)1 << order;
		size_t kept = 0;

		if (l->count < 2)
			continue;
		qsort(l->frame, l->count, sizeof(l->frame[0]), by_frame);
		for (size_t i = 0; i < l->count; i++) {
			uint64_t at = l->frame[i];

			if (!(at & size) && i + 1 < l->count && l->frame[i + 1] == at + size &&
			    push(&f->free[order + 1], at))
				i++;
			else
				l->frame[kept++] = at;
		}
		l->count = kept;
	}
}

static unsigned int order_of(unsigned int count)
{
	unsigned int order = 0;

	while (((uint64_t)1 << order) < count)
		order++;
	return order;
}

int cbit_mem_frames_alloc(struct cbit_mem *mem, unsigned int count, cbit_key_t key,
			  struct cbit_spa *out)
{
	struct mem_frames *f = &mem->frames;
	unsigned int order = order_of(count);
	uint64_t frame;
	bool ok;

	if (!count)
		return -EINVAL;
	if (mem->forwards)
		return mem->forward.frames_alloc
			       ? mem->forward.frames_alloc(mem->forward_opaque, count,
							   key != CBIT_KEY_NONE, out)
			       : -ENOMEM;
	pthread_mutex_lock(&f->lock);
	ok = f->region || bind(mem);
	if (ok && !take(f, order, &frame)) {
		join_buddies(f);
		ok = take(f, order, &frame);
	}
	pthread_mutex_unlock(&f->lock);
	if (!ok)
		return -ENOMEM;

	key = cbit_mem_key_here(mem, key);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t spa = (frame + i) << CBIT_PAGE_SHIFT;
		int ret;

		/* frames are handed out upwards: the first of 2 MiB speaks for the rest */
		if (!((frame + i) & 511))
			cbit_mem_sparse_dense(f->region->sparse, spa);
		ret = cbit_mem_sparse_zero(f->region->sparse, spa, key);
		if (ret) {
			cbit_mem_frames_free(mem, CBIT_SPA(frame << CBIT_PAGE_SHIFT), count);
			return ret;
		}
	}
	*out = CBIT_SPA(frame << CBIT_PAGE_SHIFT);
	return 0;
}

static bool holds(const struct mem_region *r, uint64_t spa, unsigned int count)
{
	return r && !(spa & (CBIT_PAGE_SIZE - 1)) && spa >= r->pub.base.v && spa <= r->last &&
	       ((r->last - spa) >> CBIT_PAGE_SHIFT) + 1 >= count;
}

void cbit_mem_frames_free(struct cbit_mem *mem, struct cbit_spa spa, unsigned int count)
{
	struct mem_frames *f = &mem->frames;

	if (mem->forwards) {
		if (count && mem->forward.frames_free)
			mem->forward.frames_free(mem->forward_opaque, spa, count);
		return;
	}
	pthread_mutex_lock(&f->lock);
	/* what was never given out must not be given out next */
	if (count && holds(f->region, spa.v, count))
		push(&f->free[order_of(count)], spa.v >> CBIT_PAGE_SHIFT);
	pthread_mutex_unlock(&f->lock);
}
