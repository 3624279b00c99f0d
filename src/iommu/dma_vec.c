/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA of many segments at once: what a device has in hand when it has read a batch of commands.
 *
 * In the ordinary case the pieces that they lie in are moved together, up to SPANS in a call of
 * the backing. Where that is not possible, or something is to be said of one, the segments go one
 * by one as any other DMA.
 */
#include "dma.h"

#define SPANS 64

/* What is left to be moved together: segments from @seg on, the first of them from @off on. */
struct rest {
	const struct cbit_dma_seg *seg;
	unsigned int nr;
	size_t off;
	uint8_t *buf;
};

static void skip(struct rest *rest, size_t len)
{
	rest->buf += len;
	rest->off += len;
	while (rest->nr && rest->off >= rest->seg->len) {
		rest->off -= rest->seg->len;
		rest->seg++;
		rest->nr--;
	}
}

/* The spans of one segment. False where something has to be said, or there are too many. */
static bool add_spans(struct dma *d, struct cbit_mem_span *spans, unsigned int *nr)
{
	struct cbit_pt_leaf leaf;
	struct failure f;

	if (!cbit_request_start(&d->q, d->iova, &f) || d->iova + d->len < d->iova)
		return false;
	d->ahead.size = 0;
	for (d->off = 0; d->off < d->len && *nr < SPANS;) {
		uint64_t n;

		if (cbit_dma_next_leaf(d, &leaf, &f) || cbit_request_denied(&d->q, &leaf) ||
		    leaf.attrs & LEAF_STALE)
			return false;
		n = cbit_dma_run_length(d, &leaf, d->len - d->off);
		spans[(*nr)++] = (struct cbit_mem_span){ cbit_dma_bus(d, &leaf), (size_t)n };
		d->off += n;
	}
	return true;
}

/* One call of the backing: bytes moved, 0 when that is not possible here. */
static size_t together(struct dma *d, const struct rest *rest)
{
	struct cbit_mem_span spans[SPANS];
	unsigned int nr = 0;
	size_t moved = 0;

	for (unsigned int i = 0; i < rest->nr && nr < SPANS; i++) {
		size_t off = i ? 0 : rest->off;

		d->iova = rest->seg[i].iova.v + off;
		d->len = rest->seg[i].len - off;
		if (!d->len)
			continue;
		if (!add_spans(d, spans, &nr))
			return 0;
		moved += d->off;
	}
	return cbit_mem_gather(d->q.iommu->out, spans, nr, rest->buf, d->q.write) ? moved : 0;
}

/* All that can be moved together; what is left in @rest goes one by one. */
static void move_together(struct cbit_iommu *iommu, const struct cbit_dma_request *rq, bool write,
			  struct rest *rest)
{
	struct dma d;
	size_t n = 1;

	cbit_dma_start(&d, iommu, rq, CBIT_IOVA(0), NULL, 0, write);
	if (d.owned)
		return;
	while (rest->nr && n) {
		pthread_rwlock_rdlock(&iommu->lock);
		n = __atomic_load_n(&iommu->refused, __ATOMIC_RELAXED) ? 0 : together(&d, rest);
		cbit_iommu_unlock(iommu);
		skip(rest, n);
	}
	cbit_dma_count(&d);
}

enum cbit_dma_status cbit_iommu_dma_vec(struct cbit_iommu *iommu, uint16_t devid,
					const struct cbit_dma_seg *segs, unsigned int nr, void *buf,
					bool write)
{
	const struct cbit_dma_request rq = { .devid = devid };
	struct rest rest = { .seg = segs, .nr = nr, .buf = buf };
	enum cbit_dma_status worst = CBIT_DMA_OK;

	skip(&rest, 0);
	if (nr > 1)
		move_together(iommu, &rq, write, &rest);
	for (; rest.nr; skip(&rest, rest.seg->len - rest.off)) {
		const struct cbit_iova iova = CBIT_IOVA(rest.seg->iova.v + rest.off);
		const size_t len = rest.seg->len - rest.off;
		enum cbit_dma_status status =
			write ? cbit_iommu_dma_write(iommu, devid, iova, rest.buf, len, NULL)
			      : cbit_iommu_dma_read(iommu, devid, iova, rest.buf, len, NULL);

		if (status == CBIT_DMA_FAULT || worst == CBIT_DMA_OK)
			worst = status;
	}
	return worst;
}
