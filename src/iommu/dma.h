/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of DMA share: a request under way, and what there is to say of it.
 */
#ifndef CBIT_IOMMU_DMA_H
#define CBIT_IOMMU_DMA_H

#include "internal.h"

/* Long enough to hide the lock, short enough that a writer gets in. */
#define DMA_CHUNK ((size_t)1 << 20)
#define DMA_NOTES 16
/* A run as long as this is worth an access of its own. */
#define DMA_SHORT ((uint64_t)64 << 10)

/*
 * @domain: pinned, or NULL when nobody is to be asked for the mapping.
 * @refused: what ev.call is to point to, of CBIT_EVENT_DMA_REFUSED_MAP.
 */
struct dma_note {
	struct cbit_event ev;
	struct cbit_domain *domain;
	struct cbit_mapping_info refused;
};

struct dma_atomic {
	enum cbit_atomic_op op;
	unsigned int size;
	const uint64_t *operand;
	const uint64_t *compare;
	uint64_t *old;
};

/*
 * @ahead: the leaf after the last run, already translated; valid if its size is not 0.
 * @scattered: the last run was short, and more was wanted.
 * @one_by_one: runs have been tried together, in vain.
 * @by_page: the backing refused a run: find the page that it lacks.
 * @atomic:  NULL for a read or a write.
 */
struct dma {
	struct request q;
	uint8_t *buf;
	uint64_t iova;
	size_t len;
	size_t off;
	size_t good; /* bytes before the first that failed; == off while none has */
	bool scattered;
	bool one_by_one;
	bool by_page;
	bool owned; /* whose memory it is has to be asked */
	enum cbit_dma_status status;
	const struct dma_atomic *atomic;
	struct cbit_pt_leaf ahead;
	unsigned int n;
	struct dma_note notes[DMA_NOTES];
};

static inline uint64_t cbit_dma_iova(const struct dma *d)
{
	return d->iova + d->off;
}

static inline struct cbit_bus cbit_dma_bus(const struct dma *d, const struct cbit_pt_leaf *leaf)
{
	return cbit_mem_bus(d->q.iommu->mem,
			    CBIT_SPA(leaf->spa.v + (cbit_dma_iova(d) - leaf->iova.v)),
			    leaf->attrs & CBIT_ATTR_ENCRYPTED);
}

/* Whether there is room for all that one run may have to say. */
static inline bool cbit_dma_room(const struct dma *d)
{
	return d->n < DMA_NOTES - 1;
}

/* dma.c: the lock is held for reading while a request looks for its next run */
void cbit_dma_start(struct dma *d, struct cbit_iommu *iommu, const struct cbit_dma_request *rq,
		    struct cbit_iova iova, void *buf, size_t len, bool write);
void cbit_dma_count(const struct dma *d);
int cbit_dma_next_leaf(struct dma *d, struct cbit_pt_leaf *leaf, struct failure *f);
uint64_t cbit_dma_run_length(struct dma *d, const struct cbit_pt_leaf *leaf, uint64_t want);

/* dma_gather.c */
bool cbit_dma_gather(struct dma *d, uint64_t want);

/*
 * dma_note.c: noted under the lock, told without it. What continues the last note is added to it.
 * @leaf: where the bytes went or should have gone, NULL if there is none; of size 0: only its entry
 * counts.
 */
void cbit_dma_note(struct dma *d, enum cbit_event_type type, uint64_t len,
		   const struct cbit_pt_leaf *leaf);
void cbit_dma_note_refused(struct dma *d, size_t from);
void cbit_dma_tell(struct dma *d);

/*
 * owner.c: may the request have the run of *@len bytes in @leaf? False if the reverse map table
 * refuses its first page: *@len is then that page's part. Otherwise *@len is cut to what it lets
 * through and to pages that are all a guest's private ones, or none: *@private.
 */
bool cbit_owner_check(struct dma *d, const struct cbit_pt_leaf *leaf, uint64_t *len, bool *private);

#endif
