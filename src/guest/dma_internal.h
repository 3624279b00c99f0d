/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the DMA layer share.
 */
#ifndef CBIT_DMA_INTERNAL_H
#define CBIT_DMA_INTERNAL_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <pthread.h>

#include <cbit/dma.h>

/* --- swiotlb.c: the pool of slots --- */

struct cbit_swiotlb;

/**
 * cbit_swiotlb_create() - take the pool from the kernel and have it made shared or plain.
 * @size:    bytes, rounded up as cbit_dma_create() says.
 * @decrypt: the kernel has a C-bit, so the pool's pages are to be rid of it.
 */
int cbit_swiotlb_create(const struct cbit_kernel_ops *ops, void *opaque, uint64_t size,
			bool decrypt, struct cbit_swiotlb **out);
void cbit_swiotlb_destroy(struct cbit_swiotlb *sw);

/**
 * struct cbit_swiotlb_buffer - a buffer to be bounced.
 * @owner: whose; told apart in cbit_swiotlb_release().
 * @min_align_mask: bits of @phys that the slots' address has to keep.
 * @align_mask: bits that must be clear in the address of the first slot and of the end: the
 *              page's for an IOMMU; 0 for no demand.
 * @zero: zero what lies between the ends of those pages and the buffer. Only with @align_mask.
 */
struct cbit_swiotlb_buffer {
	const void *owner;
	struct cbit_phys phys;
	size_t size;
	uint32_t min_align_mask;
	uint32_t align_mask;
	bool zero;
};

/**
 * cbit_swiotlb_map() - swiotlb_tbl_map_single().
 * Return: 0, -EINVAL for a buffer longer than a segment, -ENOSPC, what the kernel returned.
 */
int cbit_swiotlb_map(struct cbit_swiotlb *sw, const struct cbit_swiotlb_buffer *buffer,
		     struct cbit_phys *out);

/** cbit_swiotlb_find() - whether @phys is in the pool (swiotlb_find_pool()). */
bool cbit_swiotlb_find(const struct cbit_swiotlb *sw, struct cbit_phys phys);

/** enum cbit_swiotlb_copy - which way, if any. */
enum cbit_swiotlb_copy {
	CBIT_SWIOTLB_NOTHING,
	CBIT_SWIOTLB_TO_SLOTS,
	CBIT_SWIOTLB_BACK,
};

/**
 * cbit_swiotlb_copy() - swiotlb_bounce(): a part of a bounced buffer.
 * Return: 0, -ENOENT, -EINVAL for bytes beyond the buffer.
 */
int cbit_swiotlb_copy(struct cbit_swiotlb *sw, const void *owner, struct cbit_phys phys,
		      size_t size, enum cbit_swiotlb_copy how);

/** cbit_swiotlb_unmap() - free the slots of a buffer. Return: 0, -ENOENT, -EINVAL. */
int cbit_swiotlb_unmap(struct cbit_swiotlb *sw, const void *owner, struct cbit_phys phys,
		       size_t size, bool copy_back);

/** cbit_swiotlb_release() - free the slots of everything that @owner has. */
void cbit_swiotlb_release(struct cbit_swiotlb *sw, const void *owner);

/** cbit_swiotlb_abandon() - what @owner has is nobody's from now on, and not used again. */
void cbit_swiotlb_abandon(struct cbit_swiotlb *sw, const void *owner);

void cbit_swiotlb_stats(struct cbit_swiotlb *sw, struct cbit_dma_stats *out);

/* --- iova.c: which IOVAs are in use, and for what --- */

/**
 * struct cbit_iova_range - IOVAs that were given out.
 * @pfn, @pages: where; @pages as it was rounded.
 * @busy: in use, else waiting in a cache for the next mapping of that size.
 * @phys: what is mapped there (the slots, if @bounced), first byte; @size in bytes.
 * @coherent: memory of dma_alloc_coherent().
 */
struct cbit_iova_range {
	RB_ENTRY(cbit_iova_range) node;
	SLIST_ENTRY(cbit_iova_range) cached;
	uint64_t pfn;
	uint64_t pages;
	struct cbit_phys phys;
	uint64_t size;
	enum cbit_dma_dir dir;
	bool busy;
	bool bounced;
	bool coherent;
};

RB_HEAD(cbit_iova_tree, cbit_iova_range);
SLIST_HEAD(cbit_iova_list, cbit_iova_range);

/* Sizes of up to 32 pages, by order, are kept for reuse (IOVA_RANGE_CACHE_MAX_SIZE). */
#define CBIT_IOVA_ORDERS 6

/**
 * struct cbit_iova_space - the IOVAs of a device. Not locked: the device's lock is held.
 * @start, @end: page numbers that may be given out, @end exclusive.
 * @lowest: where the last search ended, below and above 4 GiB: above it all is taken, or was.
 * @full:   the least number of pages for which there is no room, likewise.
 * @dac:    the space below 4 GiB has been full once.
 * @spare:  ranges to be used; @chunks: what they were allocated in.
 */
struct cbit_iova_space {
	struct cbit_iova_tree tree;
	struct cbit_iova_list caches[CBIT_IOVA_ORDERS];
	struct cbit_iova_list spare;
	struct cbit_iova_chunk *chunks;
	struct cbit_iova_range *lowest[2];
	uint64_t full[2];
	uint64_t start;
	uint64_t end;
	bool dac;
};

/** cbit_iova_init() - Return: 0, -ENOMEM, -EINVAL for a range that wraps or holds no page. */
int cbit_iova_init(struct cbit_iova_space *space, struct cbit_iova base, uint64_t size);
void cbit_iova_fini(struct cbit_iova_space *space);

/**
 * cbit_iova_alloc() - iommu_dma_alloc_iova(): @pages with the last byte not above @mask, from the
 * top, below 4 GiB while there is room.
 * Return: a range, busy; NULL.
 */
struct cbit_iova_range *cbit_iova_alloc(struct cbit_iova_space *space, uint64_t pages,
					uint64_t mask);

/** cbit_iova_free() - a range that was given out. */
void cbit_iova_free(struct cbit_iova_space *space, struct cbit_iova_range *range);

/** cbit_iova_find() - the range in use that holds @iova, or NULL. */
struct cbit_iova_range *cbit_iova_find(struct cbit_iova_space *space, struct cbit_iova iova);

/** cbit_iova_next() - the ranges in use one by one; @prev NULL for the first. */
struct cbit_iova_range *cbit_iova_next(struct cbit_iova_space *space, struct cbit_iova_range *prev);

/* --- dma.c, dma_coherent.c --- */

struct cbit_dma {
	struct cbit_dma_config cfg;
	uint64_t c_mask;
	struct cbit_swiotlb *swiotlb;
};

/** struct cbit_dma_memory - coherent memory that was given out. @size in whole pages. */
struct cbit_dma_memory {
	LIST_ENTRY(cbit_dma_memory) link;
	struct cbit_phys phys;
	struct cbit_iova addr;
	uint64_t size;
	bool decrypted;
};

LIST_HEAD(cbit_dma_memories, cbit_dma_memory);

struct cbit_dma_dev {
	struct cbit_dma *dma;
	struct cbit_dma_dev_config cfg;
	struct cbit_dma_iommu_ops iommu;
	pthread_mutex_t lock; /* of all below */
	struct cbit_iova_space space;
	struct cbit_dma_memories memories;
};

/** cbit_dma_ask() - the question about a device, but for the buffer. */
void cbit_dma_ask(const struct cbit_dma_dev *dev, struct cbit_policy_dma *ask);

/** cbit_dma_refused() - words for a decision; returns its code. */
int cbit_dma_refused(const struct cbit_dma_dev *dev, const struct cbit_policy_decision *decision,
		     struct cbit_error *err);

/**
 * cbit_dma_iommu_map() - __iommu_dma_map(): IOVAs for @phys and the entries.
 * @what: everything but the IOVAs, for who looks the mapping up.
 */
int cbit_dma_iommu_map(struct cbit_dma_dev *dev, const struct cbit_iova_range *what, uint64_t mask,
		       unsigned int attrs, struct cbit_iova *out, struct cbit_error *err);

/**
 * cbit_dma_iommu_unmap() - __iommu_dma_unmap() of a range that the caller has claimed.
 * Return: 0, or what the driver returned: then the IOVAs stay taken.
 */
int cbit_dma_iommu_unmap(struct cbit_dma_dev *dev, struct cbit_iova_range *range);

/**
 * cbit_dma_claim() - the mapping that starts at @addr and is like @what in size, direction and
 * @coherent: out of reach for everybody else from now on.
 * Return: 0, -ENOENT, -EINVAL.
 */
int cbit_dma_claim(struct cbit_dma_dev *dev, struct cbit_iova addr,
		   const struct cbit_iova_range *what, struct cbit_iova_range **out);

/** cbit_dma_free_memories() - all coherent memory of a device. */
void cbit_dma_free_memories(struct cbit_dma_dev *dev);

#endif
