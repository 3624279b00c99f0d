/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommu: an AMD-Vi IOMMU: device table, walker, IOTLB, event log, and the DMA that goes
 * through them. Domains pair a page table with a domain id, as the kernel's driver does.
 *
 * There are two ways in. The driver's side (cbit_domain_*) writes tables and invalidates what
 * it changed. The hardware's side (registers, command ring, tables in DRAM that the embedder
 * writes himself) forgets nothing unless it is told to: a table entry that was rewritten
 * without an invalidation command keeps being used. Layouts are in <cbit/amdvi.h>.
 */
#ifndef CBIT_IOMMU_H
#define CBIT_IOMMU_H

#include <cbit/amdvi.h>
#include <cbit/mem.h>
#include <cbit/pt.h>

CBIT_API_BEGIN

struct cbit_iommu;
struct cbit_domain;

/**
 * cbit_iommu_create() - an IOMMU with every device blocked (DTE V=1, TV=0).
 * @observer: may be NULL; must outlive the IOMMU.
 * The device table (2 MiB) and the command and event rings (4 KiB, 256 entries each) are taken
 * from @mem's sparse DRAM, under the host key when the platform has SME; the registers point
 * to them, and translation, command ring and event log are switched on.
 * Return: 0, -ENOMEM.
 */
int cbit_iommu_create(struct cbit_mem *mem, const struct cbit_observer *observer,
		      struct cbit_iommu **out);

/**
 * cbit_iommu_create_driven() - as cbit_iommu_create(), for an IOMMU that a hypervisor gives to its
 * guest: what the driver does through cbit_domain_*() it does in another address space.
 * @mem:     where the IOMMU reads its tables and rings, and carries out requests: the guest's
 * memory as the hypervisor sees it.
 * @driver:  the same memory as the guest's CPU sees it: tables and rings are taken from there.
 * @table_c: they are private pages, and registers, DTEs and pointers carry the guest's C-bit.
 * Whether it works is decided by what @mem shows of them. Return: 0, -ENOMEM.
 */
int cbit_iommu_create_driven(struct cbit_mem *mem, struct cbit_mem *driver, bool table_c,
			     const struct cbit_observer *observer, struct cbit_iommu **out);

/**
 * cbit_iommu_set_out() - where requests go once they are translated, if not to the memory that
 * tables are in: devices in TDISP run state reach a guest's memory as its own CPU does
 * (cbit_guest_view()), with the guest's C-bit in the address. Before there is traffic.
 */
void cbit_iommu_set_out(struct cbit_iommu *iommu, struct cbit_mem *out);

/**
 * cbit_iommu_create_reset() - an IOMMU as it comes out of reset: registers 0, translation off, no
 * table anywhere. Somebody else's driver sets it up by its registers: a guest's, when @mem is that
 * guest's memory as the hypervisor sees it. cbit_domain_*() are not for such an IOMMU.
 * Return: 0, -ENOMEM.
 */
int cbit_iommu_create_reset(struct cbit_mem *mem, const struct cbit_observer *observer,
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
 * cbit_iommu_describe() - the mapping that covers @iova of @devid, as the owner of the device's
 * domain tells it, for an event that a device met before the IOMMU did. Return: false, and @out as
 * it was, when there is none. Called as cbit_iommu_tell().
 */
bool cbit_iommu_describe(struct cbit_iommu *iommu, uint16_t devid, struct cbit_iova iova,
			 struct cbit_mapping_info *out);

/**
 * cbit_domain_create() - a translation domain with an empty amdv1 table, mode 3 growing to 6.
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
 * cbit_domain_unmap_deferred() - change the tables alone, as iommu_unmap_fast() does: the IOTLB is
 * not told, and DMA may go on through what it holds until cbit_domain_flush(). Such a DMA is told
 * as CBIT_EVENT_DMA_STALE_IOTLB. Tables that became empty are kept until the flush.
 */
int cbit_domain_unmap_deferred(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
			       uint64_t *unmapped);

/**
 * cbit_domain_flush() - invalidate the IOTLB for a range and wait until no DMA through old entries
 * is under way, as iommu_iotlb_sync() does.
 * @len: 0 for everything from @iova on.
 */
void cbit_domain_flush(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len);

/**
 * cbit_domain_set_dirty_tracking() - let the IOMMU mark what it uses in the domain's table (HAD in
 * its devices' DTEs), or not: DTEs are rewritten and the IOTLB told, as in Linux
 * (amd_iommu_set_dirty_tracking()). Marks that are there stay. Off at first.
 */
void cbit_domain_set_dirty_tracking(struct cbit_domain *domain, bool on);

/**
 * cbit_domain_read_dirty() - cbit_pt_read_dirty() of the domain's table; what was made clean is
 * invalidated, so that the next write marks it again. No write that ended before is missed.
 * @req->found must not call into this room.
 * Return: 0, -EINVAL.
 */
int cbit_domain_read_dirty(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
			   const struct cbit_pt_dirty *req);

/**
 * cbit_iommu_set_stale_check() - whether a hit in the IOTLB is compared with the tables in memory,
 * so that one which they no longer bear out can be told. On at first; where DMA goes is the same
 * either way.
 *
 * Tables of a domain cost nothing unless something other than this room changed them: a deferred
 * unmap, or a write to one of their pages by cbit_mem_write() or a device (a pointer from
 * cbit_mem_page() is not noticed). From then on until the flush, or INVALIDATE_IOMMU_ALL, and for
 * tables that the embedder built himself always, every hit costs a walk.
 */
void cbit_iommu_set_stale_check(struct cbit_iommu *iommu, bool on);

/**
 * cbit_domain_watch() - tell of the first DMA that goes through a range for which a mapping call
 * was refused, as CBIT_EVENT_DMA_REFUSED_MAP with @refused as its call.
 * @what:    the call in the words of its manual, for the event; lives as long as the domain.
 * @refused: copied; its @iova and @size are the range.
 * Ends when something overlapping is mapped or unmapped by this room. A domain watches 16 ranges;
 * a further one takes the place of the oldest. DMA pays for it only while there are such ranges
 * that have not been told of. Any thread.
 */
void cbit_domain_watch(struct cbit_domain *domain, const char *what,
		       const struct cbit_mapping_info *refused);

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
	CBIT_DMA_UNSUPPORTED, /* an atomic of a size or alignment that there is not; nothing done */
};

/**
 * struct cbit_dma_request - who makes a request, and what its PASID prefix says.
 * @devid:       the requester, bus << 8 | devfn.
 * @pasid_valid: it has a prefix; @privileged, @exec and @pasid are not looked at otherwise.
 * @privileged:  Privileged Mode Requested: pages that users may not reach are allowed.
 * @exec:        Execute Requested: the read is an instruction fetch.
 * @pasid:       20 bits.
 * @unmapped:    the request finds no translation, whatever the tables say (fault injection): its
 *               event is told with @injected set.
 */
struct cbit_dma_request {
	uint16_t devid;
	bool pasid_valid;
	bool privileged;
	bool exec;
	uint32_t pasid;
	bool unmapped;
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

/** cbit_iommu_request_read() - cbit_iommu_dma_read() with all that a request may carry. */
enum cbit_dma_status cbit_iommu_request_read(struct cbit_iommu *iommu,
					     const struct cbit_dma_request *rq,
					     struct cbit_iova iova, void *buf, size_t len,
					     size_t *done);

/** cbit_iommu_request_write() - the other way. */
enum cbit_dma_status cbit_iommu_request_write(struct cbit_iommu *iommu,
					      const struct cbit_dma_request *rq,
					      struct cbit_iova iova, const void *buf, size_t len,
					      size_t *done);

/**
 * cbit_iommu_dma_atomic() - a device carries out an AtomicOp: see cbit_mem_atomic().
 * @iova:    a multiple of @size, so it lies in one page.
 * @size:    4 or 8 bytes, or 16 for CBIT_ATOMIC_CAS; anything else is CBIT_DMA_UNSUPPORTED.
 * @operand, @compare: little-endian words, the low one first; @compare may be NULL but for CAS.
 * @old:     filled in: what was there, or all ones in @size bytes. May not be NULL.
 * The entry must allow reading and writing; a fault is logged, and told, as that of a write.
 * Otherwise as cbit_iommu_dma_write().
 */
enum cbit_dma_status cbit_iommu_dma_atomic(struct cbit_iommu *iommu,
					   const struct cbit_dma_request *rq, struct cbit_iova iova,
					   enum cbit_atomic_op op, unsigned int size,
					   const uint64_t operand[2], const uint64_t compare[2],
					   uint64_t old[2]);

/** struct cbit_dma_seg - @len bytes from @iova on, at a device. */
struct cbit_dma_seg {
	struct cbit_iova iova;
	size_t len;
};

/**
 * cbit_iommu_dma_vec() - a device reads or (@write) writes @nr segments, whose bytes follow one
 * another in @buf: as cbit_iommu_dma_read() or cbit_iommu_dma_write() of each in turn, but with
 * one look-up and one access of a backing for many of them, where all is in order.
 * Return: CBIT_DMA_FAULT if the IOMMU refused any, otherwise CBIT_DMA_ABORT if any was not
 * decoded, otherwise CBIT_DMA_OK. Any thread.
 */
enum cbit_dma_status cbit_iommu_dma_vec(struct cbit_iommu *iommu, uint16_t devid,
					const struct cbit_dma_seg *segs, unsigned int nr, void *buf,
					bool write);

/**
 * struct cbit_dma_copied - how a copy ended.
 * @read, @write: CBIT_DMA_FAULT if the IOMMU refused one, otherwise CBIT_DMA_ABORT if one was not
 *                decoded anywhere.
 * @done: bytes written before the first that was refused.
 */
struct cbit_dma_copied {
	enum cbit_dma_status read, write;
	size_t done;
};

/**
 * cbit_iommu_dma_copy() - a device reads at @from and writes what it got at @to, a piece after the
 * other. As cbit_iommu_dma_read() and cbit_iommu_dma_write() of pieces of @room bytes by way of
 * @buf, and with the same events; but where both sides can be reached by pointers (cbit_mem_copy())
 * nothing stops in @buf. Sides that overlap are copied piece by piece.
 * It ends at the first refused request: bytes read before it are still written. Any thread, as
 * above.
 */
void cbit_iommu_dma_copy(struct cbit_iommu *iommu, uint16_t devid, struct cbit_iova to,
			 struct cbit_iova from, size_t len, void *buf, size_t room,
			 struct cbit_dma_copied *out);

/**
 * struct cbit_iommu_log_entry - one event log entry in hardware layout (AMD I/O
 * Virtualization Technology Specification, section 2.5): code in dw1[31:28].
 */
struct cbit_iommu_log_entry {
	uint32_t dw[4];
};

/**
 * cbit_iommu_log() - put an event at the tail of the event log, for what is found out outside this
 * room: an RMP check behind the translation, a device that answers no invalidation.
 * Return: 0; -EINVAL for a code that there is not; -ENOSPC when the log is not running, or is full,
 * which sets EventOverflow and stops it: the event is lost. Any thread.
 */
int cbit_iommu_log(struct cbit_iommu *iommu, const struct cbit_vi_event *ev);

/**
 * cbit_iommu_log_pop() - read the next event from the ring in DRAM, as a driver does.
 * With the ring empty and EventOverflow set, the log is started again, as in Linux
 * (amd_iommu_restart_log()).
 * Return: 0, -ENOENT when empty.
 */
int cbit_iommu_log_pop(struct cbit_iommu *iommu, struct cbit_iommu_log_entry *out);

/** cbit_iommu_dte() - the 256-bit device table entry of @devid, read from DRAM. */
void cbit_iommu_dte(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[4]);

/**
 * enum cbit_dte_verdict - what is wrong with a device table entry.
 * @CBIT_DTE_RESERVED: a reserved bit or encoding (RZ=1 in the event).
 * @CBIT_DTE_LEVEL:    an invalid level encoding: Mode, GLX (RZ=0).
 */
enum cbit_dte_verdict {
	CBIT_DTE_LEGAL,
	CBIT_DTE_RESERVED,
	CBIT_DTE_LEVEL,
};

/**
 * cbit_dte_check() - whether a 256-bit DTE is legal (48882 sections 2.2.2.1, 2.5.2).
 * @efr:       extended features of the IOMMU; CBIT_IOMMU_EFR for this one.
 * @interrupt: look at the half that interrupts use (IV), else at the one that DMA uses (V).
 */
enum cbit_dte_verdict cbit_dte_check(const uint64_t dte[4], uint64_t efr, bool interrupt);

/*
 * What this IOMMU has: invalidate-all, 128-bit IRTEs, x2APIC, 6 levels of host tables; guest
 * translation with 4 or 5 levels, NX, GIoV, PASIDs of 16 bits (Linux refuses more) in 1 to 3
 * levels; accessed and dirty bits; tables of 2048 IRTEs, GCR3 tables at SPAs or GPAs.
 */
#define CBIT_IOMMU_PASID_BITS 16
#define CBIT_IOMMU_EFR                                                                        \
	(CBIT_VI_EFR_IA | CBIT_VI_EFR_GA | CBIT_VI_EFR_XT | CBIT_VI_EFR_GT | CBIT_VI_EFR_NX | \
	 CBIT_VI_EFR_GIO | CBIT_VI_EFR_HA | CBIT_VI_EFR_HD |                                  \
	 UINT64_C(2) << CBIT_VI_EFR_HATS_SHIFT | UINT64_C(1) << CBIT_VI_EFR_GATS_SHIFT |      \
	 UINT64_C(2) << CBIT_VI_EFR_GLX_SHIFT |                                               \
	 (CBIT_IOMMU_PASID_BITS - UINT64_C(1)) << CBIT_VI_EFR_PASMAX_SHIFT)
#define CBIT_IOMMU_EFR2 (CBIT_VI_EFR2_IRT_2K | CBIT_VI_EFR2_GCR3_GPA)

/**
 * cbit_iommu_map_registers() - give the registers a window of 16 KiB in the address map, so that
 * cbit_mem_write() by a CPU and DMA by a peer device reach them (48882 section 3.4).
 * @base: 16 KiB aligned.
 * Registers are 64 bits wide; parts of one may be written. A write to the command tail that
 * is made by a DMA rings when that DMA drops its locks. The window must not be used after
 * the IOMMU is gone.
 * Return: 0; -EBUSY when it has a window already; -EINVAL; what cbit_mem_add_region() returns.
 */
int cbit_iommu_map_registers(struct cbit_iommu *iommu, struct cbit_spa base,
			     struct cbit_error *err);

/**
 * cbit_iommu_reg_read() - a register by its offset (CBIT_VI_REG_*), 0 where there is none. Any
 * thread, also from within struct cbit_mem_ops.
 */
uint64_t cbit_iommu_reg_read(struct cbit_iommu *iommu, unsigned int offset);

/**
 * cbit_iommu_reg_write() - write all 64 bits of a register.
 *
 * Writing a base register clears its ring's head and tail. Setting CmdBufEn starts the command
 * ring, also after an error; setting EventLogEn starts the event log if EventOverflow is
 * clear. Writing the command tail carries out what is in the ring, before this returns unless
 * another thread has the IOMMU locked. Reserved bits stay 0, as do bits of absent features.
 * Pointers beyond the end of a ring are taken modulo its length.
 */
void cbit_iommu_reg_write(struct cbit_iommu *iommu, unsigned int offset, uint64_t value);

/**
 * cbit_iommu_on_irq() - where the IOMMU's own interrupt goes: EventLogInt, EventOverflow or
 * ComWaitInt was set while its enable bit was.
 * @irq: called with no lock of this room held, by any thread that uses the IOMMU; several
 *       causes may share a call. It may read and write registers, but must not ring the
 *       command tail. To be set before there is traffic.
 */
void cbit_iommu_on_irq(struct cbit_iommu *iommu, void (*irq)(void *opaque), void *opaque);

/**
 * cbit_iommu_command() - what a driver does to have a command carried out: put it at the tail
 * of the ring, advance the tail, and wait until the ring is empty or has stopped.
 * @dw: the command in hardware layout (48882 section 2.4).
 * Return: 0; -EAGAIN when the ring is full; -EIO when it has stopped (an illegal command, or
 * not started): the event log tells why, head is at the command, and CmdBufEn has to be
 * cleared and set; -EFAULT when it is not in memory.
 * Any thread; but not from within struct cbit_mem_ops.
 */
int cbit_iommu_command(struct cbit_iommu *iommu, const uint32_t dw[4]);

/**
 * enum cbit_msi_fate - what became of a write to 0xfee00000..0xfeefffff.
 * @CBIT_MSI_FORWARDED: went on as it was: remapping is off for the device, or passes it.
 * @CBIT_MSI_REMAPPED:  replaced by what an IRTE says.
 * @CBIT_MSI_ABORTED:   target abort; nothing reaches an APIC, the event log may tell why.
 * @CBIT_MSI_NONE:      not an interrupt address: an ordinary write.
 */
enum cbit_msi_fate {
	CBIT_MSI_FORWARDED,
	CBIT_MSI_REMAPPED,
	CBIT_MSI_ABORTED,
	CBIT_MSI_NONE,
};

/**
 * struct cbit_msi - an interrupt as it reaches the APICs.
 * @dest:     APIC id or logical destination: 8 bits unless remapped with XTEn.
 * @delivery: 0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 7 ExtINT.
 * @logical:  destination mode.
 * @index:    of the IRTE, if remapped.
 */
struct cbit_msi {
	uint32_t dest;
	uint8_t vector;
	uint8_t delivery;
	bool logical;
	uint16_t index;
};

/**
 * cbit_iommu_msi() - a device writes @data to @address (48882 section 2.2.5).
 * @out: filled in when forwarded or remapped; may be NULL.
 * IRTEs with RemapEn=1 are cached until INVALIDATE_INTERRUPT_TABLE, unless IRTCacheDis is set.
 * Any thread; but not from within struct cbit_mem_ops.
 */
enum cbit_msi_fate cbit_iommu_msi(struct cbit_iommu *iommu, uint16_t devid, uint64_t address,
				  uint32_t data, struct cbit_msi *out);

/**
 * struct cbit_iommu_owner - whose the memory behind an IOMMU is, so that it can be told when a
 * request or a table access meets what a guest keeps to itself. It changes nothing of what is
 * carried out; see <cbit/rmp.h> for what refuses.
 * @c_mask:     the guest's C-bit, where it is none of this address space's: an address that has it
 *              was meant for the page without it.
 * @is_private: whether a guest has the page at @at private. Called under locks of this room; it
 *              must not call into it.
 */
struct cbit_iommu_owner {
	uint64_t c_mask;
	bool (*is_private)(void *opaque, struct cbit_spa at);
	void *opaque;
};

/**
 * cbit_iommu_set_owner() - from now on tell of CBIT_EVENT_DMA_PRIVATE and CBIT_EVENT_TABLE_PRIVATE.
 * @owner: copied. To be set before there is traffic.
 */
void cbit_iommu_set_owner(struct cbit_iommu *iommu, const struct cbit_iommu_owner *owner);

/** struct cbit_iommu_stats - counters, for tests and reports. */
struct cbit_iommu_stats {
	uint64_t walks;
	uint64_t iotlb_hits;
	uint64_t invalidations;
};

/** cbit_iommu_stats() - a snapshot. */
void cbit_iommu_stats(struct cbit_iommu *iommu, struct cbit_iommu_stats *out);

CBIT_API_END

#endif
