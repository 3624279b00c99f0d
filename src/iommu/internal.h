/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU as the files of this room share it: locks, device table layout, IOTLB, event log.
 *
 * Locks, outermost first:
 *   lock      DMA takes it for reading around translation and transfer of one chunk; whoever
 *             changes tables, DTEs or the set of domains takes it for writing. Writers go
 *             first, so a stream of DMA cannot keep an unmap waiting.
 *   log_lock  the event ring.
 *   pin_lock  domain->pins.
 * None is held while an observer or a domain's owner is called.
 */
#ifndef CBIT_IOMMU_INTERNAL_H
#define CBIT_IOMMU_INTERNAL_H

#include <pthread.h>

#include <cbit/iommu.h>

/*
 * Device table entry, first two quadwords (AMD I/O Virtualization Technology Specification,
 * section 2.2.2.1; the rest stays zero: no guest tables, no interrupt remapping).
 */
#define DTE_V          ((uint64_t)1 << 0)
#define DTE_TV         ((uint64_t)1 << 1)
#define DTE_MODE_SHIFT 9
#define DTE_MODE_MASK  ((uint64_t)7)
#define DTE_ROOT       ((uint64_t)0x000ffffffffff000)
#define DTE_GV         ((uint64_t)1 << 55)
#define DTE_IR         ((uint64_t)1 << 61)
#define DTE_IW         ((uint64_t)1 << 62)
#define DTE_RESERVED0  ((uint64_t)0x7c | (uint64_t)1 << 63)
#define DTE_DOMAIN     ((uint64_t)0xffff)

#define DTE_WORDS    4
#define DTE_BYTES    32
#define DEVICES      65536
#define DEVTAB_PAGES (DEVICES * DTE_BYTES / 4096)

_Static_assert(DEVTAB_PAGES == 512, "65536 entries of 32 bytes are 2 MiB");

/* Event log codes and flags, bits of dw1 (same specification, section 2.5). */
#define LOG_ILLEGAL_DEV_TABLE_ENTRY 0x1u
#define LOG_IO_PAGE_FAULT           0x2u
#define LOG_DEV_TAB_HARDWARE_ERROR  0x3u
#define LOG_PAGE_TAB_HARDWARE_ERROR 0x4u
#define LOG_CODE_SHIFT              28
#define LOG_PR                      (1u << 20)
#define LOG_RW                      (1u << 21)
#define LOG_PE                      (1u << 22)
#define LOG_RZ                      (1u << 23)
#define LOG_TYPE_MASTER_ABORT       (1u << 25)
#define LOG_ENTRIES                 256

_Static_assert(sizeof(struct cbit_iommu_log_entry) == 16, "an event is 16 bytes");
_Static_assert(LOG_ENTRIES * sizeof(struct cbit_iommu_log_entry) == 4096, "the ring is a page");

/*
 * IOTLB: direct mapped, shared by all domains. An entry is filled under the lock held for
 * reading, so fills race with look-ups: a sequence number, odd while a fill is under way,
 * guards it, and whoever meets an odd one does without.
 * @tag: IOVA of the leaf | log2 of its size << 1 | 1; 0 for an empty entry.
 */
struct iotlb_entry {
	uint32_t seq;
	uint16_t domid;
	uint8_t level;
	uint8_t attrs;
	uint64_t tag;
	uint64_t spa;
	uint64_t entry;
};

#define IOTLB_LG2     12
#define IOTLB_ENTRIES (1u << IOTLB_LG2)

/* @sizes: bit n: a leaf of 2^n bytes may be in the table. */
struct iotlb {
	uint64_t sizes;
	struct iotlb_entry entry[IOTLB_ENTRIES];
};

bool cbit_iotlb_lookup(const struct iotlb *tlb, uint16_t domid, uint64_t iova,
		       struct cbit_pt_leaf *leaf);
void cbit_iotlb_fill(struct iotlb *tlb, uint16_t domid, const struct cbit_pt_leaf *leaf);
/* Both with the lock held for writing. @last is inclusive. */
void cbit_iotlb_invalidate_range(struct iotlb *tlb, uint16_t domid, uint64_t first, uint64_t last);
void cbit_iotlb_invalidate_domain(struct iotlb *tlb, uint16_t domid);

/* @head, @tail: indexes into the ring; full when the next tail would be the head. */
struct event_log {
	pthread_mutex_t lock;
	struct cbit_spa ring;
	unsigned int head;
	unsigned int tail;
	bool overflow;
};

struct cbit_iommu {
	struct cbit_mem *mem;
	const struct cbit_observer *observer;
	uint64_t c_mask;
	bool sme;
	pthread_rwlock_t lock;
	struct cbit_spa devtab;
	struct event_log log;
	pthread_mutex_t pin_lock;
	pthread_cond_t pin_cond;
	struct cbit_iommu_stats stats;
	/* By domain id; id 0 is never given out and means "no domain" in @attached. */
	struct cbit_domain *domains[DEVICES];
	uint16_t attached[DEVICES];
	struct iotlb iotlb;
};

/*
 * @pins: owners being asked to describe a mapping; destroy waits until there are none.
 */
struct cbit_domain {
	struct cbit_iommu *iommu;
	struct cbit_pt *pt;
	struct cbit_domain_owner owner;
	uint16_t id;
	unsigned int pins;
};

/* What a DTE says. */
enum dte_state {
	DTE_TRANSLATE,
	DTE_PASS,    /* V=0, or Mode 0: the IOVA is the SPA */
	DTE_BLOCKED, /* TV=0 */
	DTE_ILLEGAL,
	DTE_UNREADABLE,
};

struct dte {
	enum dte_state state;
	uint16_t domid;
	unsigned int mode;
	unsigned int rights;
	struct cbit_bus root;
};

void cbit_dte_decode(struct cbit_iommu *iommu, uint16_t devid, struct dte *out);
/* With the lock held for writing; a NULL domain blocks the device. */
void cbit_dte_write(struct cbit_iommu *iommu, uint16_t devid, const struct cbit_domain *domain);

int cbit_log_init(struct cbit_iommu *iommu);
void cbit_log_fini(struct cbit_iommu *iommu);
void cbit_log_push(struct cbit_iommu *iommu, unsigned int code, unsigned int flags, uint16_t devid,
		   uint16_t domid, uint64_t address);
/* Whether an event was dropped since the ring was last found empty. */
bool cbit_log_overflow(struct cbit_iommu *iommu);

/* Asking an owner with no lock held: pin under the lock, ask, unpin. */
void cbit_domain_pin(struct cbit_domain *domain);
void cbit_domain_unpin(struct cbit_domain *domain);

/* Fill in @spa, region, kind and key names of an event for a leaf's attributes. */
void cbit_event_target(struct cbit_iommu *iommu, struct cbit_event *ev, uint64_t spa,
		       unsigned int attrs);

static inline void cbit_stat_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

#endif
