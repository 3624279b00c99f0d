/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA: the road from a device's read, write or atomic to the address map.
 *
 * A request is carried out in chunks, each under the lock held for reading, and a chunk in
 * runs: neighbouring leaves that continue one another in SPA space with equal attributes,
 * within one region, are one access to memory.
 */
#include <errno.h>
#include <string.h>

#include "dma.h"

/* --- refusals --- */

static void fault(struct dma *d, enum cbit_event_type type, uint64_t len,
		  const struct cbit_pt_leaf *leaf)
{
	d->status = CBIT_DMA_FAULT;
	cbit_dma_note(d, type, len, leaf);
}

/* Bytes from here in which nothing is mapped either, at most @len. */
static uint64_t hole(struct dma *d, uint64_t len, const struct cbit_pt_leaf *first)
{
	uint64_t iova = cbit_dma_iova(d);
	struct cbit_pt_leaf leaf = *first;
	struct failure none;
	uint64_t n = 0;

	for (;;) {
		uint64_t rest = leaf.size - (iova + n - leaf.iova.v);

		if (rest >= len - n)
			return len;
		n += rest;
		if (cbit_request_translate(&d->q, iova + n, &leaf, &none) != -ENOENT)
			return n;
	}
}

static void fault_walk(struct dma *d, int err, uint64_t len, const struct cbit_pt_leaf *leaf,
		       const struct failure *f)
{
	struct cbit_pt_leaf bad = { .entry = leaf->entry };
	uint64_t page = CBIT_PAGE_SIZE - (cbit_dma_iova(d) & ~CBIT_PAGE_MASK);

	cbit_request_log(&d->q, f);
	if (err == -ENOENT)
		fault(d, CBIT_EVENT_DMA_NOT_MAPPED, hole(d, len, leaf), NULL);
	else
		fault(d, CBIT_EVENT_DMA_NOT_MAPPED, len < page ? len : page, &bad);
}

static void fault_denied(struct dma *d, unsigned int flags, uint64_t len,
			 const struct cbit_pt_leaf *leaf)
{
	struct failure f = { CBIT_VI_EVT_IO_PAGE_FAULT, flags, cbit_dma_iova(d) };

	if (request_is_guest(&d->q))
		cbit_guest_denied(&d->q, cbit_dma_iova(d), &f);
	cbit_request_log(&d->q, &f);
	fault(d, CBIT_EVENT_DMA_NO_PERMISSION, len, leaf);
}

/* --- transfer --- */

#define SAME_ATTRS \
	(CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED | CBIT_ATTR_USER | CBIT_ATTR_NOEXEC | LEAF_STALE)

/* Bytes of the run that starts in @leaf, at most @want. */
uint64_t cbit_dma_run_length(struct dma *d, const struct cbit_pt_leaf *leaf, uint64_t want)
{
	uint64_t iova = cbit_dma_iova(d);
	uint64_t spa = leaf->spa.v + (iova - leaf->iova.v);
	const struct cbit_iommu *iommu = d->q.iommu;
	/* A trusted device's address may have the guest's C-bit in it. */
	uint64_t at = iommu->out == iommu->mem ? spa : spa & ~iommu->owner.c_mask;
	const struct cbit_mem_region *region = cbit_mem_find(iommu->out, CBIT_SPA(at));
	uint64_t page = CBIT_PAGE_SIZE - (spa & ~CBIT_PAGE_MASK);
	struct failure none;
	uint64_t n;

	/* Where nothing is behind the address, the map is tried page by page. */
	if (!region || d->by_page)
		want = want < page ? want : page;
	else if (region->base.v + region->size - at < want)
		want = region->base.v + region->size - at;
	n = leaf->size - (iova - leaf->iova.v);
	while (n < want) {
		struct cbit_pt_leaf *next = &d->ahead;

		if (cbit_request_translate(&d->q, iova + n, next, &none)) {
			next->size = 0;
			break;
		}
		if (next->spa.v + (iova + n - next->iova.v) != spa + n ||
		    (next->attrs ^ leaf->attrs) & SAME_ATTRS)
			break;
		n += next->size - (iova + n - next->iova.v);
		next->size = 0;
	}
	return n < want ? n : want;
}

/*
 * Nobody answered for a run. What follows is in requests of its own on the bus, and goes on:
 * memory behind a window that was missed still gets its bytes.
 */
static void aborted(struct dma *d, enum cbit_event_type type, uint64_t n,
		    const struct cbit_pt_leaf *leaf)
{
	d->status = CBIT_DMA_ABORT;
	cbit_dma_note(d, type, n, leaf);
	d->off += n;
}

/* The leaf at the DMA's place, from the last run if it looked ahead. */
int cbit_dma_next_leaf(struct dma *d, struct cbit_pt_leaf *leaf, struct failure *f)
{
	uint64_t iova = cbit_dma_iova(d);
	int err = 0;

	if (d->ahead.size && iova - d->ahead.iova.v < d->ahead.size)
		*leaf = d->ahead;
	else
		err = cbit_request_translate(&d->q, iova, leaf, f);
	d->ahead.size = 0;
	return err;
}

static enum cbit_mem_outcome access(struct dma *d, struct cbit_bus bus, uint64_t n)
{
	const struct dma_atomic *a = d->atomic;
	struct cbit_mem *mem = d->q.iommu->out;

	if (a)
		return cbit_mem_atomic(mem, bus, a->op, a->size, a->operand, a->compare, a->old);
	if (d->q.write)
		return cbit_mem_write(mem, bus, d->buf + d->off, n);
	return cbit_mem_read(mem, bus, d->buf + d->off, n);
}

/* One run. False when the DMA is over or the chunk has to end. */
static bool dma_run(struct dma *d, uint64_t want)
{
	uint64_t iova = cbit_dma_iova(d);
	unsigned int denied;
	enum cbit_mem_outcome outcome;
	struct cbit_pt_leaf leaf;
	bool private = false;
	struct failure f;
	uint64_t n;
	int err;

	err = cbit_dma_next_leaf(d, &leaf, &f);
	if (err) {
		fault_walk(d, err, want, &leaf, &f);
		return false;
	}
	denied = cbit_request_denied(&d->q, &leaf);
	/* What is not carried out leaves no marks. */
	if (denied)
		d->q.marks = 0;
	n = cbit_dma_run_length(d, &leaf, want);
	if (denied) {
		if (leaf.attrs & LEAF_STALE)
			cbit_dma_note(d, CBIT_EVENT_DMA_STALE_IOTLB, n, &leaf);
		fault_denied(d, denied, n, &leaf);
		return false;
	}
	if (__builtin_expect(d->owned, 0) && !cbit_owner_check(d, &leaf, &n, &private)) {
		fault(d, CBIT_EVENT_RMP_FAULT, n, &leaf);
		return false;
	}
	outcome = access(d, cbit_dma_bus(d, &leaf), n);
	if (outcome == CBIT_MEM_NO_BACKING && !d->by_page &&
	    n > CBIT_PAGE_SIZE - (iova & ~CBIT_PAGE_MASK)) {
		/* Again from here, to find how far it goes: the same bytes twice. */
		d->by_page = true;
		return true;
	}
	if (leaf.attrs & LEAF_STALE)
		cbit_dma_note(d, CBIT_EVENT_DMA_STALE_IOTLB, n, &leaf);
	switch (outcome) {
	case CBIT_MEM_OK:
		if (__builtin_expect(private, 0))
			cbit_dma_note(d, CBIT_EVENT_DMA_PRIVATE, n, &leaf);
		break;
	case CBIT_MEM_WRONG_KEY:
		cbit_dma_note(d, private ? CBIT_EVENT_DMA_PRIVATE : CBIT_EVENT_DMA_WRONG_KEY, n,
			      &leaf);
		break;
	case CBIT_MEM_ABORT:
		aborted(d, CBIT_EVENT_DMA_ABORT, n, &leaf);
		return true;
	case CBIT_MEM_NO_BACKING:
		aborted(d, CBIT_EVENT_DMA_NO_BACKING, n, &leaf);
		return true;
	case CBIT_MEM_REFUSED:
		aborted(d, CBIT_EVENT_RMP_FAULT, n, &leaf);
		return true;
	}
	d->scattered = n < want && n <= DMA_SHORT && !d->one_by_one && !d->by_page;
	if (d->status == CBIT_DMA_OK)
		d->good += n;
	d->off += n;
	return true;
}

/* One chunk, with the lock held for reading. False when the DMA is over. */
static bool dma_chunk(struct dma *d)
{
	size_t end = d->len - d->off < DMA_CHUNK ? d->len : d->off + DMA_CHUNK;
	struct failure f;

	/* What was translated ahead may be gone since the lock was dropped. */
	d->ahead.size = 0;
	if (!cbit_request_start(&d->q, cbit_dma_iova(d), &f)) {
		cbit_request_log(&d->q, &f);
		fault(d, CBIT_EVENT_DMA_NOT_MAPPED, d->len - d->off, NULL);
		return false;
	}
	while (d->off < end) {
		uint64_t iova = cbit_dma_iova(d);
		uint64_t want = end - d->off;

		if (!cbit_dma_room(d))
			return true;
		/* No request wraps: what would lie beyond the last page is at no address. */
		if (d->off && iova < d->iova) {
			struct cbit_pt_leaf beyond = { .size = CBIT_PAGE_SIZE };

			cbit_failure_of_walk(&f, -ENOENT, &beyond, iova,
					     request_is_guest(&d->q) ? CBIT_VI_EVT_GN : 0);
			fault_walk(d, -ENOENT, want < CBIT_PAGE_SIZE ? want : CBIT_PAGE_SIZE,
				   &beyond, &f);
			return false;
		}
		if (iova && want > -iova)
			want = -iova;
		if (d->scattered && !d->owned && cbit_dma_gather(d, want))
			continue;
		if (!dma_run(d, want))
			return false;
	}
	return d->off < d->len;
}

void cbit_dma_start(struct dma *d, struct cbit_iommu *iommu, const struct cbit_dma_request *rq,
		    struct cbit_iova iova, void *buf, size_t len, bool write)
{
	/* Not zeroed as a whole: the notes are large and seldom used. */
	d->q.iommu = iommu;
	d->q.rq = *rq;
	d->q.write = write;
	d->q.atomic = false;
	d->q.walks = 0;
	d->q.hits = 0;
	d->buf = buf;
	d->iova = iova.v;
	d->len = len;
	d->off = 0;
	d->good = 0;
	d->scattered = false;
	d->one_by_one = false;
	d->by_page = false;
	d->owned = cbit_owner_asked(iommu);
	d->status = CBIT_DMA_OK;
	d->atomic = NULL;
	d->n = 0;
}

void cbit_dma_count(const struct dma *d)
{
	if (d->q.walks)
		cbit_stat_add(&d->q.iommu->stats.walks, d->q.walks);
	if (d->q.hits)
		cbit_stat_add(&d->q.iommu->stats.iotlb_hits, d->q.hits);
}

static enum cbit_dma_status run(struct dma *d, size_t *done)
{
	struct cbit_iommu *iommu = d->q.iommu;
	bool more = d->len;

	while (more) {
		size_t from = d->off;

		pthread_rwlock_rdlock(&iommu->lock);
		more = dma_chunk(d);
		if (__builtin_expect(__atomic_load_n(&iommu->refused, __ATOMIC_RELAXED) != 0, 0))
			cbit_dma_note_refused(d, from);
		cbit_iommu_unlock(iommu);
		if (!cbit_dma_room(d) || !more)
			cbit_dma_tell(d);
	}
	cbit_dma_count(d);
	if (!d->q.write && d->off < d->len)
		memset(d->buf + d->off, 0xff, d->len - d->off);
	if (done)
		*done = d->good;
	return d->status;
}

enum cbit_dma_status cbit_iommu_request_read(struct cbit_iommu *iommu,
					     const struct cbit_dma_request *rq,
					     struct cbit_iova iova, void *buf, size_t len,
					     size_t *done)
{
	struct dma d;

	cbit_dma_start(&d, iommu, rq, iova, buf, len, false);
	return run(&d, done);
}

enum cbit_dma_status cbit_iommu_request_write(struct cbit_iommu *iommu,
					      const struct cbit_dma_request *rq,
					      struct cbit_iova iova, const void *buf, size_t len,
					      size_t *done)
{
	struct dma d;

	/* Only ever read from: one loop serves both ways. */
	cbit_dma_start(&d, iommu, rq, iova, (void *)(uintptr_t)buf, len, true);
	return run(&d, done);
}

enum cbit_dma_status cbit_iommu_dma_read(struct cbit_iommu *iommu, uint16_t devid,
					 struct cbit_iova iova, void *buf, size_t len, size_t *done)
{
	const struct cbit_dma_request rq = { .devid = devid };

	return cbit_iommu_request_read(iommu, &rq, iova, buf, len, done);
}

enum cbit_dma_status cbit_iommu_dma_write(struct cbit_iommu *iommu, uint16_t devid,
					  struct cbit_iova iova, const void *buf, size_t len,
					  size_t *done)
{
	const struct cbit_dma_request rq = { .devid = devid };

	return cbit_iommu_request_write(iommu, &rq, iova, buf, len, done);
}

enum cbit_dma_status cbit_iommu_dma_atomic(struct cbit_iommu *iommu,
					   const struct cbit_dma_request *rq, struct cbit_iova iova,
					   enum cbit_atomic_op op, unsigned int size,
					   const uint64_t operand[2], const uint64_t compare[2],
					   uint64_t old[2])
{
	const struct dma_atomic a = { op, size, operand, compare, old };
	bool wide = size == 16 && op == CBIT_ATOMIC_CAS;
	struct dma d;

	old[0] = ~UINT64_C(0);
	old[1] = wide ? ~UINT64_C(0) : 0;
	if (size == 4)
		old[0] = UINT32_MAX;
	if ((size != 4 && size != 8 && !wide) || iova.v % size)
		return CBIT_DMA_UNSUPPORTED;
	cbit_dma_start(&d, iommu, rq, iova, NULL, size, true);
	d.q.atomic = true;
	d.atomic = &a;
	return run(&d, NULL);
}
