/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bitmaps of dirty pages in a client's memory (Linux 7.2: drivers/iommu/iommufd/iova_bitmap.c):
 * bits are set, and none is cleared.
 */
#include <string.h>

#include "vfio_internal.h"

/*
 * OR into the client's words. Where the bitmap is no memory, what was to be told is lost, as in
 * Linux (iova_bitmap_set() cannot fail).
 */
void vfio_bitmap_flush(struct vfio_bitmap *w)
{
	const struct cbit_client_ops *ops = w->call->machine->client;
	void *opaque = w->call->machine->client_opaque;
	uint64_t old[VFIO_BITMAP_WORDS];
	unsigned int first = 0, last = VFIO_BITMAP_WORDS;
	uint64_t addr;

	if (!w->any)
		return;
	while (!w->words[first])
		first++;
	while (!w->words[last - 1])
		last--;
	addr = w->data + (w->at + first) * sizeof(uint64_t);
	for (unsigned int i = first, n; i < last; i += n, addr += n * sizeof(uint64_t)) {
		/* Not beyond a page, so that all that is there is told. */
		n = (unsigned int)(CBIT_PAGE_SIZE - (addr & ~CBIT_PAGE_MASK)) / sizeof(uint64_t);
		n = n > last - i ? last - i : n ? n : 1;
		if (ops->copy_in(opaque, w->call->caller, old, addr, n * sizeof(uint64_t)))
			continue;
		for (unsigned int k = 0; k < n; k++)
			old[k] |= w->words[i + k];
		ops->copy_out(opaque, w->call->caller, addr, old, n * sizeof(uint64_t));
	}
	memset(w->words, 0, sizeof(w->words));
	w->any = false;
}

void vfio_bitmap_set(void *opaque, struct cbit_iova iova, uint64_t len)
{
	struct vfio_bitmap *w = opaque;
	uint64_t bit = (iova.v - w->iova) >> w->shift;
	uint64_t last = (iova.v + (len - 1) - w->iova) >> w->shift;

	for (;; bit++) {
		uint64_t word = bit / 64;

		if (word - w->at >= VFIO_BITMAP_WORDS) {
			vfio_bitmap_flush(w);
			w->at = word;
		}
		w->any = true;
		if (!(bit & 63) && last - bit >= 63) {
			w->words[word - w->at] = UINT64_MAX;
			bit += 63;
		} else {
			w->words[word - w->at] |= UINT64_C(1) << (bit & 63);
		}
		if (bit == last)
			break;
	}
}
