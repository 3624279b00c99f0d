/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommu: an AMD-Vi IOMMU: device table, walker, IOTLB, event log, and the DMA that goes
 * through them. Domains pair a page table with a domain id, as the kernel's driver does.
 */
#ifndef CBIT_IOMMU_H
#define CBIT_IOMMU_H

#include <cbit/mem.h>
#include <cbit/pt.h>

struct cbit_iommu;
struct cbit_domain;

/**
 * cbit_iommu_create() - an IOMMU with every device blocked (DTE V=1, TV=0).
 * @observer: may be NULL; must outlive the IOMMU.
 * The device table (2 MiB) and event ring are taken from @mem's sparse DRAM, under the host
 * key when the platform has SME.
 * Return: 0, -ENOMEM.
 */
int cbit_iommu_create(struct cbit_mem *mem, const struct cbit_observer *observer,
		      struct cbit_iommu **out);

/** cbit_iommu_destroy() - after its domains are gone. NULL is allowed. */
void cbit_iommu_destroy(struct cbit_iommu *iommu);

/**
 * cbit_iommu_tell() - tell the observer of an event that a device met before the IOMMU: a
 * device has no other way to it. Called without locks that an observer may need.
 */
void cbit_iommu_tell(struct cbit_iommu *iommu, const struct cbit_event *ev);

/** cbit_iommu_mem() - the address space given at creation. */
struct cbit_mem *cbit_iommu_mem(struct cbit_iommu *iommu);

/**
 * struct cbit_domain_owner - who made a domain, asked when a message needs the mapping call.
 * @describe: fill in the mapping that covers @iova; false when there is none. Called with no
 *            lock of this room held.
 */
struct cbit_domain_owner {
	bool (*describe)(void *opaque, struct cbit_iova iova, struct cbit_mapping_info *out);
	void *opaque;
};

/**
 * cbit_domain_create() - a translation domain with an empty amdv1 table, mode 4 growing to 6.
 * @owner: copied; may be NULL.
 * Return: 0, -ENOMEM, -ENOSPC when the 16-bit domain ids are used up.
 */
int cbit_domain_create(struct cbit_iommu *iommu, const struct cbit_domain_owner *owner,
		       struct cbit_domain **out);

/**
 * cbit_domain_destroy() - detach every device (they are blocked again) and free it.
 * Waits until no describe call of its owner is under way, so it must not be called with a
 * lock held that describe takes. NULL is allowed.
 */
void cbit_domain_destroy(struct cbit_domain *domain);

/** cbit_domain_pt() - its page table, for walks and tests. */
struct cbit_pt *cbit_domain_pt(struct cbit_domain *domain);

/** cbit_domain_attach() - write and invalidate the DTE of @devid so that it uses @domain. */
int cbit_domain_attach(struct cbit_domain *domain, uint16_t devid);

/** cbit_iommu_block() - block @devid again. */
void cbit_iommu_block(struct cbit_iommu *iommu, uint16_t devid);

/**
 * cbit_domain_map() - map a range of SPAs; see cbit_pt_map(). Nothing stays mapped on error.
 * Takes the IOMMU's lock for writing. Any thread.
 */
int cbit_domain_map(struct cbit_domain *domain, struct cbit_iova iova, struct cbit_spa spa,
		    uint64_t len, unsigned int attrs);

/**
 * cbit_domain_unmap() - unmap a range, invalidate the IOTLB for it and wait until no DMA
 * through the old entries is under way; then free the tables that became empty.
 * @unmapped: bytes removed. May be NULL.
 */
int cbit_domain_unmap(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
		      uint64_t *unmapped);

/**
 * cbit_domain_check() - decode the IOPTEs of a range against the address map.
 * Each run of leaves whose C-bit the memory behind it does not consume is told to the
 * observer as CBIT_EVENT_MMIO_ENCRYPTED with @info. Called without locks held.
 */
void cbit_domain_check(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
		       const struct cbit_mapping_info *info);

/** enum cbit_dma_status - how a DMA ended, as the device sees it. */
enum cbit_dma_status {
	CBIT_DMA_OK,    /* bytes moved; also with the wrong key: nobody tells the device */
	CBIT_DMA_FAULT, /* the IOMMU refused (target abort) */
	CBIT_DMA_ABORT, /* nothing decoded the address: reads gave all ones, writes vanished */
};

/**
 * cbit_iommu_dma_read() - a device reads memory.
 * @devid: the requester, bus << 8 | devfn.
 * @iova:  where the device thinks it is; @len bytes, may cross pages and mappings.
 * @buf:   filled in; all ones where nothing answered, and from the first byte that the IOMMU
 *         refused. What lies behind an aborted part is still carried out.
 * @done:  bytes moved before the first failure; may be NULL.
 * The observer is told of everything that went wrong, a run of bytes that failed alike in
 * one event, after the transfer. Any thread; but not from within struct cbit_mem_ops, which a
 * DMA calls with this room's lock held.
 */
enum cbit_dma_status cbit_iommu_dma_read(struct cbit_iommu *iommu, uint16_t devid,
					 struct cbit_iova iova, void *buf, size_t len,
					 size_t *done);

/** cbit_iommu_dma_write() - the other way. */
enum cbit_dma_status cbit_iommu_dma_write(struct cbit_iommu *iommu, uint16_t devid,
					  struct cbit_iova iova, const void *buf, size_t len,
					  size_t *done);

/**
 * struct cbit_iommu_log_entry - one event log entry in hardware layout (AMD I/O
 * Virtualization Technology Specification, section 2.5): code in dw1[31:28].
 */
struct cbit_iommu_log_entry {
	uint32_t dw[4];
};

/** cbit_iommu_log_pop() - read the next event from the ring in DRAM; -ENOENT when empty. */
int cbit_iommu_log_pop(struct cbit_iommu *iommu, struct cbit_iommu_log_entry *out);

/** cbit_iommu_dte() - the 256-bit device table entry of @devid, read from DRAM. */
void cbit_iommu_dte(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[4]);

/** struct cbit_iommu_stats - counters, for tests and reports. */
struct cbit_iommu_stats {
	uint64_t walks;
	uint64_t iotlb_hits;
	uint64_t invalidations;
};

/** cbit_iommu_stats() - a snapshot. */
void cbit_iommu_stats(struct cbit_iommu *iommu, struct cbit_iommu_stats *out);

#endif
