/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU as the files of this room share it: locks, registers, caches, event log.
 *
 * Locks, outermost first:
 *   lock      DMA and interrupts take it for reading around translation and transfer of one
 *             chunk; whoever changes tables, DTEs or the set of domains, and the command ring,
 *             take it for writing. Writers go first, so a stream of DMA cannot keep an unmap
 *             waiting. Dropped with cbit_iommu_unlock(): see there.
 *   irt.lock  cached IRTEs.
 *   regs.lock the register file, the event ring's pointers included.
 *   pin_lock  domain->pins.
 * None is held while an observer, a domain's owner or the interrupt handler is called.
 */
#ifndef CBIT_IOMMU_INTERNAL_H
#define CBIT_IOMMU_INTERNAL_H

#include <pthread.h>

#include <cbit/amdvi.h>
#include <cbit/iommu.h>
#include <cbit/rmp.h>

#define DTE_WORDS    4
#define DTE_BYTES    32
#define DEVICES      65536
#define DEVTAB_PAGES (DEVICES * DTE_BYTES / 4096)

_Static_assert(DEVTAB_PAGES == 512, "65536 entries of 32 bytes are 2 MiB");

#define RING_LG2        8 /* of the rings that an IOMMU starts with */
#define RING_ENTRY      16u
#define RING_PAGE_BYTES (RING_ENTRY << RING_LG2)

_Static_assert(sizeof(struct cbit_iommu_log_entry) == RING_ENTRY, "an event is 16 bytes");
_Static_assert(RING_PAGE_BYTES == 4096, "a ring is a page");

/*
 * IOTLB: direct mapped, shared by all domains. An entry is filled under the lock held for
 * reading, so fills race with look-ups: a sequence number, odd while a fill is under way,
 * guards it, and whoever meets an odd one does without.
 * @meta: sequence number << 36 | domain id << 20 | PASID: one load and one comparison instead of
 *        several of small fields.
 * @tag:  IOVA of the leaf | whether it is a GVA << 7 | log2 of its size << 1 | 1; 0 for an empty
 *        entry.
 * @spa:  | level << 8 | attributes.
 */
struct iotlb_entry {
	uint64_t meta;
	uint64_t tag;
	uint64_t spa;
	uint64_t entry;
};

#define IOTLB_DOMAIN_SHIFT 20
#define IOTLB_SEQ          ((uint64_t)1 << 36)
#define IOTLB_IDS          (IOTLB_SEQ - 1)

/* Whose addresses: the ids as in @meta, and IOTLB_GUEST for those of a PASID. */
#define IOTLB_GUEST ((uint64_t)1 << 63)

static inline uint64_t iotlb_host(uint16_t domid)
{
	return (uint64_t)domid << IOTLB_DOMAIN_SHIFT;
}

static inline uint64_t iotlb_guest(uint16_t domid, uint32_t pasid)
{
	return IOTLB_GUEST | (uint64_t)domid << IOTLB_DOMAIN_SHIFT | pasid;
}

#define IOTLB_LG2     12
#define IOTLB_ENTRIES (1u << IOTLB_LG2)

/* @sizes: bit n: a leaf of 2^n bytes may be in the table; @guests: one of a PASID. */
struct iotlb {
	uint64_t sizes;
	bool guests;
	struct iotlb_entry entry[IOTLB_ENTRIES];
};

bool cbit_iotlb_lookup(const struct iotlb *tlb, uint64_t ctx, uint64_t iova,
		       struct cbit_pt_leaf *leaf);
void cbit_iotlb_fill(struct iotlb *tlb, uint64_t ctx, const struct cbit_pt_leaf *leaf);
/* All with the lock held for writing. @last is inclusive. */
void cbit_iotlb_invalidate_range(struct iotlb *tlb, uint64_t ctx, uint64_t first, uint64_t last);
void cbit_iotlb_invalidate_guests(struct iotlb *tlb, uint16_t domid);
void cbit_iotlb_invalidate_domain(struct iotlb *tlb, uint16_t domid);
void cbit_iotlb_invalidate_all(struct iotlb *tlb);

/*
 * The register file. @devtab and @control are read without the lock; all else is under it.
 * Heads and tails are byte offsets.
 */
struct iommu_regs {
	pthread_mutex_t lock;
	uint64_t devtab;
	uint64_t control;
	uint64_t cmd_base;
	uint64_t evt_base;
	uint64_t status;
	uint32_t cmd_head;
	uint32_t cmd_tail;
	uint32_t evt_head;
	uint32_t evt_tail;
	bool mapped; /* there is a window for them in the address map */
	void (*irq)(void *opaque);
	void *irq_opaque;
};

/*
 * Cached DTEs: direct mapped by device, legal ones with V=1 only (capability NpCache is 0: what
 * is not present is not cached). Guarded as IOTLB entries are.
 * @tag: device id + 1, 0 for an empty slot.
 */
#define DTE_CACHE 1024u

struct dte_slot {
	uint32_t seq;
	uint32_t tag;
	uint64_t word[DTE_WORDS];
};

/* Cached IRTEs, those with RemapEn=1 only. @tag: in use, format, device, index. */
#define IRT_CACHE 256u

struct irt_slot {
	uint64_t tag;
	uint64_t lo;
	uint64_t hi;
};

struct irt_cache {
	pthread_mutex_t lock;
	struct irt_slot slot[IRT_CACHE];
};

/* Bits of cbit_iommu.work: what waits until nobody of this thread holds a lock. */
#define WORK_COMMANDS (1u << 0)
#define WORK_IRQ      (1u << 1)
#define WORK_TELL     (1u << 2)

/*
 * @mem: where its tables and rings are read; @drv: the same as the driver that fills them in sees
 *       it, another space only in a guest; @out: where requests go once they are translated.
 * @table_c: the driver's pointers to tables have the C-bit.
 * @driver: it was created set up, with @devtab, @cmd_ring and @evt_ring, the memory that the
 *          registers point to at first.
 * @watched: cbit_mem_watched_writes() when the IOTLB was last emptied: until there are more, the
 *           tables of domains are as their domains left them.
 * @deferred: domains with unmaps that the IOTLB was not told of.
 */
struct cbit_iommu {
	struct cbit_mem *mem;
	struct cbit_mem *drv;
	struct cbit_mem *out;
	const struct cbit_observer *observer;
	uint64_t c_mask;
	bool table_c;
	bool driver;
	bool stale_check;
	struct cbit_iommu_owner owner;
	uint64_t owner_note; /* see cbit_owner_table() */
	unsigned int work;
	unsigned int deferred;
	uint64_t watched;
	unsigned int refused; /* ranges of watch.c not told of yet, of all domains */
	pthread_rwlock_t lock;
	struct cbit_spa devtab;
	struct cbit_spa cmd_ring;
	struct cbit_spa evt_ring;
	struct iommu_regs regs;
	pthread_mutex_t pin_lock;
	pthread_cond_t pin_cond;
	struct cbit_iommu_stats stats;
	/* By domain id; id 0 is never given out and means "no domain" in @attached. */
	struct cbit_domain *domains[DEVICES];
	uint16_t attached[DEVICES];
	struct irt_cache irt;
	struct dte_slot dtes[DTE_CACHE];
	struct iotlb iotlb;
};

/*
 * @pins: owners being asked to describe a mapping; destroy waits until there are none.
 * @top: root and mode as they stand in a DTE.
 * @deferred: entries of @first to @last were taken away and the IOTLB was not told.
 */
struct cbit_domain {
	struct cbit_iommu *iommu;
	struct cbit_pt *pt;
	struct cbit_domain_owner owner;
	uint16_t id;
	unsigned int pins;
	uint64_t top;
	bool dirty; /* tracking */
	bool deferred;
	uint64_t first;
	uint64_t last;
	struct watches *watches; /* NULL until there was one */
};

/* What a DTE says of a DMA. */
enum dte_state {
	DTE_TRANSLATE, /* by the host's tables; with Mode 0 the IOVA is the SPA */
	DTE_PASS,      /* IOMMU off, or V=0: the IOVA is the SPA */
	DTE_BLOCKED,   /* TV=0 */
	DTE_BEYOND,    /* the device table ends before this device */
	DTE_ILLEGAL,
	DTE_ILLEGAL_LEVEL,
	DTE_UNREADABLE,
};

/*
 * @silent: SA is set: its page faults are not logged.
 * @guest: requests with a PASID, and with @giov those without, go through the guest's tables: the
 *         GCR3 table at @gcr3 with @glx + 1 levels, then x86_64 tables of @guest_mode levels, whose
 *         addresses go through the host's tables if @mode is not 0.
 * @marks: CBIT_ATTR_ACCESSED and CBIT_ATTR_DIRTY: what to leave in the host's tables (HAD).
 * @gcr3_gpa: the addresses of GCR3 tables do, too.
 */
struct dte {
	enum dte_state state;
	uint16_t domid;
	bool silent;
	bool guest;
	bool giov;
	bool gcr3_gpa;
	unsigned int mode;
	unsigned int glx;
	unsigned int guest_mode;
	unsigned int rights;
	unsigned int marks;
	struct cbit_bus root;
	struct cbit_bus gcr3;
};

/* As it leaves the driver for a register or an entry. */
static inline struct cbit_bus cbit_driver_bus(const struct cbit_iommu *iommu, struct cbit_spa spa)
{
	return cbit_mem_bus(iommu->drv, spa, iommu->table_c);
}

/* dte.c */
int cbit_dte_init(struct cbit_iommu *iommu);
/*
 * cbit_dte_load() - the words: 1 from the cache, and so legal; 0 from memory, not yet checked;
 * -ENXIO beyond the table, -EIO.
 */
int cbit_dte_load(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[DTE_WORDS]);
void cbit_dte_decode(struct cbit_iommu *iommu, uint16_t devid, struct dte *out);
/* With the lock held for writing; a NULL domain blocks the device. */
void cbit_dte_write(struct cbit_iommu *iommu, uint16_t devid, struct cbit_domain *domain);
/* With the lock held for writing. */
void cbit_dte_forget(struct cbit_iommu *iommu, uint16_t devid);
void cbit_dte_forget_all(struct cbit_iommu *iommu);
/* Where the entry of @devid is, without the C-bit. */
uint64_t cbit_dte_spa(struct cbit_iommu *iommu, uint16_t devid);

/*
 * What a request needs to be translated.
 * @ctx: whose addresses, for the IOTLB; IOTLB_GUEST in it: by the guest's tables.
 * @identity: no tables at all.
 * @compare: hits with the tables.
 * @marks: what the request leaves in the leaf: CBIT_ATTR_ACCESSED, and of a write CBIT_ATTR_DIRTY.
 */
struct request {
	struct cbit_iommu *iommu;
	struct cbit_dma_request rq;
	bool write;
	bool atomic;
	struct dte dte;
	uint64_t ctx;
	bool identity;
	bool compare;
	unsigned int marks;
	uint64_t walks;
	uint64_t hits;
};

static inline bool request_is_guest(const struct request *q)
{
	return q->ctx & IOTLB_GUEST;
}

/* What hardware logs of a translation that failed: see struct cbit_vi_event. */
struct failure {
	unsigned int code;
	unsigned int flags;
	uint64_t address;
};

/* translate.c */
/*
 * cbit_request_start() - read the DTE. False if nothing can be translated: @f is to be logged.
 * With the lock held, and again whenever it was dropped.
 */
bool cbit_request_start(struct request *q, uint64_t iova, struct failure *f);
/*
 * cbit_request_translate() - as cbit_pt_walk_from(): on failure @leaf covers at least the page of
 * @iova, and @f is to be logged. Rights are not checked.
 */
int cbit_request_translate(struct request *q, uint64_t iova, struct cbit_pt_leaf *leaf,
			   struct failure *f);
/* The same without the IOTLB. @marks: what to leave in the tables. */
int cbit_request_walk(struct request *q, uint64_t iova, unsigned int marks,
		      struct cbit_pt_leaf *leaf, struct failure *f);
/* What the leaf lacks for the request: flags of a page fault, 0 for nothing. */
unsigned int cbit_request_denied(const struct request *q, const struct cbit_pt_leaf *leaf);
/* Log a failure of the request, unless its DTE asks for silence. */
void cbit_request_log(const struct request *q, const struct failure *f);

/*
 * cbit_failure_of_walk() - what hardware logs of a walk that ended with @err. @gn: CBIT_VI_EVT_GN
 * or 0.
 */
void cbit_failure_of_walk(struct failure *f, int err, const struct cbit_pt_leaf *leaf,
			  uint64_t address, unsigned int gn);

/* Of an entry that is refused nothing is known but that it is in the way of @iova's page. */
static inline void leaf_is_page(struct cbit_pt_leaf *leaf, uint64_t iova)
{
	leaf->iova.v = iova & CBIT_PAGE_MASK;
	leaf->size = CBIT_PAGE_SIZE;
}

/* guest.c: which stage lacks the right, for a page fault in @f that names a GVA so far. */
void cbit_guest_denied(struct request *q, uint64_t gva, struct failure *f);
/* As cbit_request_walk(), for requests of a guest. */
int cbit_guest_walk(struct request *q, uint64_t gva, unsigned int marks, struct cbit_pt_leaf *leaf,
		    struct failure *f);

/* stale.c */
#define LEAF_STALE (1u << 31) /* in the attributes of a leaf: the tables say otherwise */

/* Whether what the IOTLB has for a request may differ from the tables. */
bool cbit_stale_possible(const struct request *q);
/*
 * Compare @leaf, which the IOTLB had for @iova, with the tables. Afterwards it covers no more than
 * the part around @iova of which the answer, LEAF_STALE or not, is true.
 */
void cbit_stale_compare(struct request *q, uint64_t iova, struct cbit_pt_leaf *leaf);

/* domain.c, with the lock held for writing: the IOTLB forgot this range of a domain, or all. */
void cbit_domain_flushed(struct cbit_iommu *iommu, uint16_t domid, uint64_t first, uint64_t last);
void cbit_domain_flushed_all(struct cbit_iommu *iommu);

/* interrupt.c, with the lock held for writing */
void cbit_irt_forget(struct cbit_iommu *iommu, uint16_t devid);
void cbit_irt_forget_all(struct cbit_iommu *iommu);

/* watch.c; forgetting with the lock held for writing, hits with it held for reading */
void cbit_watch_forget(struct cbit_domain *domain, uint64_t first, uint64_t last);
void cbit_watch_destroy(struct cbit_domain *domain);
/* The range that a transfer has met and nobody was told of yet; it is told of by that. */
bool cbit_watch_hit(struct cbit_domain *domain, uint64_t first, uint64_t last,
		    struct cbit_mapping_info *refused, const char **what);

/* owner.c */
/* An access to a table or ring: is it a guest's secret? */
void cbit_owner_table(struct cbit_iommu *iommu, struct cbit_bus at, bool write);
/* With no lock held: tell what cbit_owner_table() found. */
void cbit_owner_tell(struct cbit_iommu *iommu);
/* Whether anybody has to be asked about a request. */
bool cbit_owner_asked(struct cbit_iommu *iommu);

/* log.c */
/* Whether an event was dropped since the ring was last found empty. */
bool cbit_log_overflow(struct cbit_iommu *iommu);

/* regs.c */
int cbit_regs_init(struct cbit_iommu *iommu);
void cbit_regs_fini(struct cbit_iommu *iommu);
/* With regs.lock held: set a bit that interrupts if @enable is set in the control register. */
void cbit_regs_signal(struct cbit_iommu *iommu, uint64_t status, uint64_t enable);

/*
 * command.c: with the lock held for writing, carry out what is in the ring. False when it stopped
 * after one round of the ring with more to do; WORK_COMMANDS is set again.
 */
bool cbit_command_run(struct cbit_iommu *iommu);

/*
 * table.c: the IOMMU's own accesses to its tables and rings. They must be in memory: a window is
 * not accepted, as it could be the IOMMU's own registers. Return 0 or -EIO.
 */
int cbit_table_read(struct cbit_iommu *iommu, struct cbit_bus at, void *buf, size_t len);
int cbit_table_write(struct cbit_iommu *iommu, struct cbit_bus at, const void *buf, size_t len);
/* The driver's, by its own CPU. */
int cbit_driver_write(struct cbit_iommu *iommu, struct cbit_bus at, const void *buf, size_t len);

/*
 * cbit_iommu_service() - do what waits.
 * @wait: the caller holds no lock of this room. Otherwise it may: then nothing is done unless the
 *        lock is free, and whoever holds it does the work when he drops it.
 */
void cbit_iommu_service(struct cbit_iommu *iommu, bool wait);

static inline void cbit_iommu_work(struct cbit_iommu *iommu, unsigned int work)
{
	__atomic_fetch_or(&iommu->work, work, __ATOMIC_SEQ_CST);
}

/*
 * Every holder of the lock drops it here. A register write from within a DMA (peer to peer)
 * finds the lock taken by its own thread, so the doorbell's work is left to whoever holds it:
 * the bit is set before the lock is tried and looked at after it was dropped.
 */
static inline void cbit_iommu_unlock(struct cbit_iommu *iommu)
{
	pthread_rwlock_unlock(&iommu->lock);
	if (__builtin_expect(__atomic_load_n(&iommu->work, __ATOMIC_SEQ_CST) != 0, 0))
		cbit_iommu_service(iommu, true);
}

static inline uint64_t cbit_control(const struct cbit_iommu *iommu)
{
	return __atomic_load_n(&iommu->regs.control, __ATOMIC_RELAXED);
}

/* Bytes of the ring that a base register describes. */
static inline uint32_t cbit_ring_bytes(uint64_t base)
{
	unsigned int lg2 = (unsigned int)((base & CBIT_VI_RING_LEN) >> CBIT_VI_RING_SHIFT);

	/* Lengths below 8 are reserved and taken for the shortest. */
	return RING_ENTRY << (lg2 < RING_LG2 ? RING_LG2 : lg2);
}

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
