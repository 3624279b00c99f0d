/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA from memory to memory: a read and a write of the same device, run by run without a stop in
 * between as long as both are ordinary; where one is not, that piece is read and then written,
 * which is also what says why.
 */
#include "dma.h"

/* What is left of the run that one side of a copy is in. */
struct run {
	struct cbit_pt_leaf leaf;
	uint64_t left;
};

/* False where something is to be said of the request: the long way does that. */
static bool find_run(struct dma *d, struct run *run)
{
	uint64_t iova = cbit_dma_iova(d), want = d->len - d->off;
	struct failure f;

	if (run->left)
		return true;
	if (d->off && iova < d->iova)
		return false;
	if (iova && want > -iova)
		want = -iova;
	if (cbit_dma_next_leaf(d, &run->leaf, &f) || cbit_request_denied(&d->q, &run->leaf) ||
	    run->leaf.attrs & LEAF_STALE)
		return false;
	run->left = cbit_dma_run_length(d, &run->leaf, want);
	return true;
}

static void moved(struct dma *d, struct run *run, size_t n, enum cbit_mem_outcome outcome)
{
	if (outcome == CBIT_MEM_WRONG_KEY)
		cbit_dma_note(d, CBIT_EVENT_DMA_WRONG_KEY, n, &run->leaf);
	d->off += n;
	run->left -= n;
}

/* One chunk, with the lock held for reading. False at the end, and where it goes no further. */
static bool copy_chunk(struct dma *from, struct dma *to)
{
	size_t end = from->len - from->off < DMA_CHUNK ? from->len : from->off + DMA_CHUNK;
	struct run src = { .left = 0 }, dst = { .left = 0 };
	enum cbit_mem_outcome outcome[2];
	struct failure f;

	if (from->owned || !cbit_request_start(&from->q, cbit_dma_iova(from), &f) ||
	    !cbit_request_start(&to->q, cbit_dma_iova(to), &f))
		return false;
	from->ahead.size = 0;
	to->ahead.size = 0;
	while (from->off < end) {
		size_t n = end - from->off;

		if (!cbit_dma_room(from) || !cbit_dma_room(to))
			return true;
		if (!find_run(from, &src) || !find_run(to, &dst))
			return false;
		n = src.left < n ? src.left : n;
		n = dst.left < n ? dst.left : n;
		n = cbit_mem_copy(from->q.iommu->out, cbit_dma_bus(to, &dst.leaf),
				  cbit_dma_bus(from, &src.leaf), n, outcome);
		if (!n)
			return false;
		moved(from, &src, n, outcome[0]);
		moved(to, &dst, n, outcome[1]);
	}
	return from->off < from->len;
}

/* Bytes copied without a stop in between. */
static size_t copy_straight(struct cbit_iommu *iommu, uint16_t devid, struct cbit_iova to,
			    struct cbit_iova from, size_t len)
{
	const struct cbit_dma_request rq = { .devid = devid };
	struct dma rd, wr;
	bool more = true;

	cbit_dma_start(&rd, iommu, &rq, from, NULL, len, false);
	cbit_dma_start(&wr, iommu, &rq, to, NULL, len, true);
	while (more) {
		size_t done = rd.off;

		pthread_rwlock_rdlock(&iommu->lock);
		more = copy_chunk(&rd, &wr);
		if (__builtin_expect(__atomic_load_n(&iommu->refused, __ATOMIC_RELAXED) != 0, 0)) {
			cbit_dma_note_refused(&rd, done);
			cbit_dma_note_refused(&wr, done);
		}
		cbit_iommu_unlock(iommu);
		if (!cbit_dma_room(&rd) || !cbit_dma_room(&wr) || !more) {
			cbit_dma_tell(&rd);
			cbit_dma_tell(&wr);
		}
	}
	cbit_dma_count(&rd);
	cbit_dma_count(&wr);
	return rd.off;
}

void cbit_iommu_dma_copy(struct cbit_iommu *iommu, uint16_t devid, struct cbit_iova to,
			 struct cbit_iova from, size_t len, void *buf, size_t room,
			 struct cbit_dma_copied *out)
{
	size_t done = 0;

	*out = (struct cbit_dma_copied){ .read = CBIT_DMA_OK, .write = CBIT_DMA_OK };
	while (done < len && out->read != CBIT_DMA_FAULT && out->write != CBIT_DMA_FAULT) {
		enum cbit_dma_status status;
		size_t n, got, put;

		done += copy_straight(iommu, devid, CBIT_IOVA(to.v + done),
				      CBIT_IOVA(from.v + done), len - done);
		n = len - done < room ? len - done : room;
		out->done = done;
		if (!n)
			break;
		status = cbit_iommu_dma_read(iommu, devid, CBIT_IOVA(from.v + done), buf, n, &got);
		if (status != CBIT_DMA_OK && out->read != CBIT_DMA_FAULT)
			out->read = status;
		/* What came before the fault was on its way already. */
		n = status == CBIT_DMA_FAULT ? got : n;
		if (!n)
			break;
		status = cbit_iommu_dma_write(iommu, devid, CBIT_IOVA(to.v + done), buf, n, &put);
		if (status != CBIT_DMA_OK && out->write != CBIT_DMA_FAULT)
			out->write = status;
		/* A write that nothing decoded was done with all the same. */
		out->done = done + (status == CBIT_DMA_FAULT ? put : n);
		done += n;
	}
}
