/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA: the road from a device's read or write to the address map, and what is said when it
 * goes wrong.
 *
 * A request is carried out in chunks, each under the lock held for reading, and a chunk in
 * runs: neighbouring leaves that continue one another in SPA space with equal attributes,
 * within one region, are one access to memory. What went wrong is noted under the lock and
 * told after it was dropped.
 */
#include <errno.h>
#include <string.h>

#include "dma.h"

/* --- translation --- */

int cbit_dte_walk(struct cbit_iommu *iommu, const struct dte *dte, uint64_t iova,
		  struct cbit_pt_leaf *leaf)
{
	return cbit_pt_walk_from(iommu->mem, CBIT_PT_AMDV1, dte->root, dte->mode, CBIT_IOVA(iova),
				 leaf);
}

static int translate(struct dma *d, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	struct cbit_iommu *iommu = d->iommu;
	int err;

	if (d->dte.state == DTE_PASS) {
		uint64_t size = (uint64_t)1 << 30;

		*leaf = (struct cbit_pt_leaf){
			.iova = CBIT_IOVA(iova & ~(size - 1)),
			.size = size,
			.spa = CBIT_SPA(iova & ~(size - 1) & ~iommu->c_mask),
			.attrs = CBIT_ATTR_RW | (iova & iommu->c_mask ? CBIT_ATTR_ENCRYPTED : 0),
		};
		return 0;
	}
	if (cbit_iotlb_lookup(&iommu->iotlb, d->dte.domid, iova, leaf)) {
		d->hits++;
		if (__builtin_expect(d->compare, 0))
			cbit_stale_compare(iommu, &d->dte, iova, leaf);
		return 0;
	}
	d->walks++;
	err = cbit_dte_walk(iommu, &d->dte, iova, leaf);
	if (!err)
		cbit_iotlb_fill(&iommu->iotlb, d->dte.domid, leaf);
	return err;
}

static void fault(struct dma *d, enum cbit_event_type type, uint64_t len,
		  const struct cbit_pt_leaf *leaf)
{
	d->status = CBIT_DMA_FAULT;
	cbit_dma_note(d, type, len, leaf);
}

static void log_fault(struct dma *d, unsigned int code, unsigned int flags, uint64_t address)
{
	if (code == CBIT_VI_EVT_IO_PAGE_FAULT && d->dte.silent)
		return;
	cbit_iommu_log(d->iommu, &(struct cbit_vi_event){
					 .code = code,
					 .flags = flags | (d->write ? CBIT_VI_EVT_RW : 0),
					 .devid = d->devid,
					 .domid = d->dte.domid,
					 .address = address,
				 });
}

/* Bytes from here in which nothing is mapped either, at most @len. */
static uint64_t hole(struct dma *d, uint64_t len, const struct cbit_pt_leaf *first)
{
	uint64_t iova = cbit_dma_iova(d);
	struct cbit_pt_leaf leaf = *first;
	uint64_t n = 0;

	for (;;) {
		uint64_t rest = leaf.size - (iova + n - leaf.iova.v);

		if (rest >= len - n)
			return len;
		n += rest;
		if (translate(d, iova + n, &leaf) != -ENOENT)
			return n;
	}
}

/* Where the entry for @iova stands in a table that could not be read. */
static uint64_t entry_spa(const struct cbit_pt_leaf *leaf, uint64_t iova)
{
	unsigned int item = CBIT_PAGE_SHIFT + 9 * (leaf->level - 1);

	return leaf->spa.v + (iova >> item & 0x1ff) * sizeof(uint64_t);
}

static void fault_walk(struct dma *d, int err, uint64_t len, const struct cbit_pt_leaf *leaf)
{
	struct cbit_pt_leaf bad = { .entry = leaf->entry };
	uint64_t page = CBIT_PAGE_SIZE - (cbit_dma_iova(d) & ~CBIT_PAGE_MASK);

	if (err == -ENOENT) {
		log_fault(d, CBIT_VI_EVT_IO_PAGE_FAULT, 0, cbit_dma_iova(d));
		fault(d, CBIT_EVENT_DMA_NOT_MAPPED, hole(d, len, leaf), NULL);
		return;
	}
	if (leaf->entry)
		log_fault(d, CBIT_VI_EVT_IO_PAGE_FAULT, CBIT_VI_EVT_PR | CBIT_VI_EVT_RZ,
			  cbit_dma_iova(d));
	else
		log_fault(d, CBIT_VI_EVT_PAGETAB_HW_ERROR, CBIT_VI_EVT_MASTER_ABORT,
			  entry_spa(leaf, cbit_dma_iova(d)));
	fault(d, CBIT_EVENT_DMA_NOT_MAPPED, len < page ? len : page, &bad);
}

/* A DTE under which nothing can be translated. */
static void fault_dte(struct dma *d, uint64_t len)
{
	uint64_t iova = cbit_dma_iova(d);

	switch (d->dte.state) {
	case DTE_ILLEGAL:
		log_fault(d, CBIT_VI_EVT_ILLEGAL_DTE, CBIT_VI_EVT_RZ, iova);
		break;
	case DTE_ILLEGAL_LEVEL:
		log_fault(d, CBIT_VI_EVT_ILLEGAL_DTE, 0, iova);
		break;
	case DTE_UNREADABLE:
		log_fault(d, CBIT_VI_EVT_DEVTAB_HW_ERROR, CBIT_VI_EVT_MASTER_ABORT,
			  cbit_dte_spa(d->iommu, d->devid));
		break;
	default:
		log_fault(d, CBIT_VI_EVT_IO_PAGE_FAULT, 0, iova);
		break;
	}
	fault(d, CBIT_EVENT_DMA_NOT_MAPPED, len, NULL);
}

/* --- transfer --- */

#define SAME_ATTRS (CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED | LEAF_STALE)

/* Bytes of the run that starts in @leaf, at most @want. */
uint64_t cbit_dma_run_length(struct dma *d, const struct cbit_pt_leaf *leaf, uint64_t want)
{
	uint64_t iova = cbit_dma_iova(d);
	uint64_t spa = leaf->spa.v + (iova - leaf->iova.v);
	const struct cbit_mem_region *region = cbit_mem_find(d->iommu->mem, CBIT_SPA(spa));
	uint64_t page = CBIT_PAGE_SIZE - (spa & ~CBIT_PAGE_MASK);
	uint64_t n;

	/* Where nothing is behind the address, the map is tried page by page. */
	if (!region || d->by_page)
		want = want < page ? want : page;
	else if (region->base.v + region->size - spa < want)
		want = region->base.v + region->size - spa;
	n = leaf->size - (iova - leaf->iova.v);
	while (n < want) {
		struct cbit_pt_leaf *next = &d->ahead;

		if (translate(d, iova + n, next)) {
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
int cbit_dma_next_leaf(struct dma *d, struct cbit_pt_leaf *leaf)
{
	uint64_t iova = cbit_dma_iova(d);
	int err = 0;

	if (d->ahead.size && iova - d->ahead.iova.v < d->ahead.size)
		*leaf = d->ahead;
	else
		err = translate(d, iova, leaf);
	d->ahead.size = 0;
	return err;
}

/* One run. False when the DMA is over or the chunk has to end. */
static bool dma_run(struct dma *d, uint64_t want)
{
	struct cbit_iommu *iommu = d->iommu;
	uint64_t iova = cbit_dma_iova(d);
	enum cbit_mem_outcome outcome;
	struct cbit_pt_leaf leaf;
	struct cbit_bus bus;
	uint64_t n;
	int err;

	err = cbit_dma_next_leaf(d, &leaf);
	if (err) {
		fault_walk(d, err, want, &leaf);
		return false;
	}
	n = cbit_dma_run_length(d, &leaf, want);
	if (!cbit_dma_permits(d, &leaf)) {
		if (leaf.attrs & LEAF_STALE)
			cbit_dma_note(d, CBIT_EVENT_DMA_STALE_IOTLB, n, &leaf);
		log_fault(d, CBIT_VI_EVT_IO_PAGE_FAULT, CBIT_VI_EVT_PR | CBIT_VI_EVT_PE, iova);
		fault(d, CBIT_EVENT_DMA_NO_PERMISSION, n, &leaf);
		return false;
	}
	bus = cbit_dma_bus(d, &leaf);
	if (d->write)
		outcome = cbit_mem_write(iommu->mem, bus, d->buf + d->off, n);
	else
		outcome = cbit_mem_read(iommu->mem, bus, d->buf + d->off, n);
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
		break;
	case CBIT_MEM_WRONG_KEY:
		cbit_dma_note(d, CBIT_EVENT_DMA_WRONG_KEY, n, &leaf);
		break;
	case CBIT_MEM_ABORT:
		aborted(d, CBIT_EVENT_DMA_ABORT, n, &leaf);
		return true;
	case CBIT_MEM_NO_BACKING:
		aborted(d, CBIT_EVENT_DMA_NO_BACKING, n, &leaf);
		return true;
	}
	if (d->status == CBIT_DMA_OK)
		d->good += n;
	d->off += n;
	return true;
}

/* One chunk, with the lock held for reading. False when the DMA is over. */
static bool dma_chunk(struct dma *d)
{
	size_t end = d->len - d->off < DMA_CHUNK ? d->len : d->off + DMA_CHUNK;

	cbit_dte_decode(d->iommu, d->devid, &d->dte);
	/* What was translated ahead may be gone since the lock was dropped. */
	d->ahead.size = 0;
	d->compare = d->dte.state == DTE_TRANSLATE && cbit_stale_possible(d->iommu, &d->dte);
	if (d->dte.state != DTE_TRANSLATE && d->dte.state != DTE_PASS) {
		fault_dte(d, d->len - d->off);
		return false;
	}
	while (d->off < end) {
		uint64_t iova = cbit_dma_iova(d);
		uint64_t want = end - d->off;

		if (d->n >= DMA_NOTES - 1)
			return true;
		/* No request wraps: what would lie beyond the last page is at no address. */
		if (d->off && iova < d->iova) {
			struct cbit_pt_leaf beyond = { .size = CBIT_PAGE_SIZE };

			fault_walk(d, -ENOENT, want < CBIT_PAGE_SIZE ? want : CBIT_PAGE_SIZE,
				   &beyond);
			return false;
		}
		if (iova && want > -iova)
			want = -iova;
		if (!dma_run(d, want))
			return false;
	}
	return d->off < d->len;
}

void cbit_dma_start(struct dma *d, struct cbit_iommu *iommu, uint16_t devid, struct cbit_iova iova,
		    void *buf, size_t len, bool write)
{
	/* Not zeroed as a whole: the notes are large and seldom used. */
	d->iommu = iommu;
	d->buf = buf;
	d->iova = iova.v;
	d->len = len;
	d->off = 0;
	d->good = 0;
	d->devid = devid;
	d->write = write;
	d->by_page = false;
	d->status = CBIT_DMA_OK;
	d->walks = 0;
	d->hits = 0;
	d->n = 0;
}

void cbit_dma_count(const struct dma *d)
{
	if (d->walks)
		cbit_stat_add(&d->iommu->stats.walks, d->walks);
	if (d->hits)
		cbit_stat_add(&d->iommu->stats.iotlb_hits, d->hits);
}

static enum cbit_dma_status dma(struct cbit_iommu *iommu, uint16_t devid, struct cbit_iova iova,
				void *buf, size_t len, bool write, size_t *done)
{
	struct dma d;
	bool more = len;

	cbit_dma_start(&d, iommu, devid, iova, buf, len, write);
	while (more) {
		size_t from = d.off;

		pthread_rwlock_rdlock(&iommu->lock);
		more = dma_chunk(&d);
		if (__builtin_expect(__atomic_load_n(&iommu->refused, __ATOMIC_RELAXED) != 0, 0))
			cbit_dma_note_refused(&d, from);
		cbit_iommu_unlock(iommu);
		if (d.n >= DMA_NOTES - 1 || !more)
			cbit_dma_tell(&d);
	}
	cbit_dma_count(&d);
	if (!write && d.off < len)
		memset(d.buf + d.off, 0xff, len - d.off);
	if (done)
		*done = d.good;
	return d.status;
}

enum cbit_dma_status cbit_iommu_dma_read(struct cbit_iommu *iommu, uint16_t devid,
					 struct cbit_iova iova, void *buf, size_t len, size_t *done)
{
	return dma(iommu, devid, iova, buf, len, false, done);
}

enum cbit_dma_status cbit_iommu_dma_write(struct cbit_iommu *iommu, uint16_t devid,
					  struct cbit_iova iova, const void *buf, size_t len,
					  size_t *done)
{
	/* Only ever read from: one loop serves both ways. */
	return dma(iommu, devid, iova, (void *)(uintptr_t)buf, len, true, done);
}
