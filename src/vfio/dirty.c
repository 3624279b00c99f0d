/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dirty bitmaps of type1v2, as Linux 7.2 gives them for devices that cannot tell what they wrote:
 * every page of a mapping counts as dirty (vfio_iommu_type1.c, update_user_bitmap).
 */
#include <errno.h>
#include <string.h>

#include "vfio_internal.h"

#define WORD_BITS   64u
#define CHUNK_WORDS 512u

/*
 * What the kernel's bitmap of a mapping has in word @j, moved up by @shift for the client's: ones
 * for its pages, and behind them what earlier moves have left there, which is never cleared.
 */
static uint64_t word_at(const struct vfio_mapping *m, uint64_t j, uint64_t shift)
{
	const uint64_t pages = m->size >> CBIT_PAGE_SHIFT, end = pages / WORD_BITS;
	uint64_t w[2] = { 0 };

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t k = j - 1 + i; /* w[1] is word j, w[0] the one before */

		if (!j && !i)
			continue;
		if (k < end)
			w[i] = UINT64_MAX;
		else if (k == end)
			w[i] = ((UINT64_C(1) << pages % WORD_BITS) - 1) | m->dirty_tail[0];
		else if (k == end + 1)
			w[i] = m->dirty_tail[1];
	}
	return shift ? w[1] << shift | w[0] >> (WORD_BITS - shift) : w[1];
}

/* The client's bitmap is an array of 64-bit words; bit 0 stands for @base. */
int vfio_dirty_mark(const struct vfio_call *call, uint64_t bitmap, struct vfio_mapping *m,
		    uint64_t base)
{
	const struct cbit_client_ops *ops = call->machine->client;
	void *opaque = call->machine->client_opaque;
	const uint64_t pages = m->size >> CBIT_PAGE_SHIFT, end = pages / WORD_BITS;
	uint64_t first = (m->iova - base) >> CBIT_PAGE_SHIFT;
	uint64_t shift = first % WORD_BITS;
	uint64_t total = (pages + shift + WORD_BITS - 1) / WORD_BITS;
	uint64_t at = bitmap + first / WORD_BITS * sizeof(uint64_t);
	uint64_t words[CHUNK_WORDS], tail[2], n, left = 0;
	int ret = 0;

	/* The first word is shared with what comes before. The kernel ORs the whole of it in. */
	if (shift) {
		ret = ops->copy_in(opaque, call->caller, &left, at, sizeof(left));
		if (ret)
			left = 0;
	}
	for (uint64_t done = 0; !ret && done < total; done += n, at += n * sizeof(uint64_t)) {
		n = total - done < CHUNK_WORDS ? total - done : CHUNK_WORDS;
		for (uint64_t i = 0; i < n; i++)
			words[i] = word_at(m, done + i, shift);
		if (!done)
			words[0] |= left;
		ret = ops->copy_out(opaque, call->caller, at, words, n * sizeof(words[0]));
	}
	for (uint64_t i = 0; i < 2; i++) {
		tail[i] = m->dirty_tail[i];
		if (end + i < total)
			tail[i] = word_at(m, end + i, shift) | (end + i ? 0 : left);
	}
	m->dirty_tail[0] = tail[0] & UINT64_MAX << pages % WORD_BITS;
	m->dirty_tail[1] = tail[1];
	return ret;
}

/* Linux: verify_bitmap_size(). */
int vfio_dirty_check(uint64_t pages, uint64_t bytes)
{
	uint64_t need = (pages + WORD_BITS - 1) / WORD_BITS * sizeof(uint64_t);

	return !pages || !bytes || bytes > UAPI_DIRTY_BITMAP_SIZE_MAX || bytes < need ? -EINVAL : 0;
}

static long get_bitmap(struct vfio_space *space, const struct vfio_call *call, uint32_t argsz)
{
	struct uapi_dirty_get range;
	struct vfio_mapping *m;
	uint64_t last;
	long ret;

	if (argsz - sizeof(struct uapi_dirty) < sizeof(range))
		return -EINVAL;
	ret = vfio_get(call, &range, sizeof(struct uapi_dirty), sizeof(range));
	if (ret)
		return ret;
	if (!range.size)
		return -EINVAL;
	if (__builtin_add_overflow(range.iova, range.size - 1, &last))
		return -EOVERFLOW;
	if (!vfio_access_ok(range.bitmap.data, range.bitmap.size) || !range.bitmap.pgsize)
		return -EINVAL;
	ret = vfio_dirty_check(range.size >> __builtin_ctzll(range.bitmap.pgsize),
			       range.bitmap.size);
	if (ret)
		return ret;
	if (range.bitmap.pgsize != CBIT_PAGE_SIZE || (range.iova | range.size) & ~CBIT_PAGE_MASK)
		return -EINVAL;
	pthread_mutex_lock(&space->lock);
	/* No mapping may be cut by either end. */
	m = vfio_space_first(space, range.iova, range.iova);
	if (!space->dirty_tracking || (m && m->iova != range.iova))
		ret = -EINVAL;
	m = vfio_space_first(space, last, last);
	if (m && m->iova + m->size - 1 != last)
		ret = -EINVAL;
	for (m = vfio_space_first(space, range.iova, last); !ret && m && m->iova <= last;
	     m = vfio_space_next(space, m))
		ret = vfio_dirty_mark(call, range.bitmap.data, m, range.iova);
	pthread_mutex_unlock(&space->lock);
	return ret;
}

/* Tracking starts with bitmaps that are new. */
static void fresh_bitmaps(struct vfio_space *space)
{
	struct vfio_mapping *m;

	for (m = vfio_space_first(space, 0, UINT64_MAX); m; m = vfio_space_next(space, m))
		m->dirty_tail[0] = m->dirty_tail[1] = 0;
}

long vfio_dirty_pages(struct vfio_space *space, const struct vfio_call *call)
{
	struct uapi_dirty dirty;
	long ret;

	if (!space->v2)
		return -EACCES;
	ret = vfio_get(call, &dirty, 0, sizeof(dirty));
	if (ret)
		return ret;
	if (dirty.argsz < sizeof(dirty) || dirty.flags & ~UAPI_DIRTY_ALL)
		return -EINVAL;
	switch (dirty.flags) {
	case UAPI_DIRTY_START:
	case UAPI_DIRTY_STOP:
		pthread_mutex_lock(&space->lock);
		if (dirty.flags == UAPI_DIRTY_START && !space->dirty_tracking)
			fresh_bitmaps(space);
		space->dirty_tracking = dirty.flags == UAPI_DIRTY_START;
		pthread_mutex_unlock(&space->lock);
		return 0;
	case UAPI_DIRTY_GET_BITMAP:
		return get_bitmap(space, call, dirty.argsz);
	default:
		return -EINVAL; /* none, or more than one */
	}
}
