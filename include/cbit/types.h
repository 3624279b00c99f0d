/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The words every room shares: address types that do not mix, the platform, errors
 * and the observer through which the core tells what happened.
 */
#ifndef CBIT_TYPES_H
#define CBIT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cbit/api.h>

CBIT_API_BEGIN

/** struct cbit_iova - an address as a device issues it, in bytes. */
struct cbit_iova {
	uint64_t v;
};

/** struct cbit_spa - a system physical address in bytes, never with the C-bit in it. */
struct cbit_spa {
	uint64_t v;
};

/**
 * struct cbit_bus - an address as it travels on the fabric: an SPA plus, where the entry
 * that produced it had it, the C-bit. The C-bit is an address bit; what consumes it is the
 * memory controller behind DRAM, and nothing else.
 */
struct cbit_bus {
	uint64_t v;
};

#define CBIT_IOVA(x) CBIT_VALUE(cbit_iova, (uint64_t)(x))
#define CBIT_SPA(x)  CBIT_VALUE(cbit_spa, (uint64_t)(x))

#define CBIT_PAGE_SHIFT 12
#define CBIT_PAGE_SIZE  ((uint64_t)1 << CBIT_PAGE_SHIFT)
#define CBIT_PAGE_MASK  (~(CBIT_PAGE_SIZE - 1))

/**
 * struct cbit_platform - what the modelled machine's processor says of itself.
 * @name:    the word used on the command line.
 * @sme:     page tables may carry the C-bit (CPUID 8000001F EAX[0], and switched on).
 * @tsme:    everything in DRAM is encrypted under the host key whatever the C-bit says.
 * @c_bit:   position of the C-bit in an address (CPUID 8000001F EBX[5:0]).
 * @pa_bits: usable width of an SPA in bits, after the reduction (EBX[11:6]).
 * @host_key: 32 bytes: AES-128 data key followed by the tweak key (docs/semantics.md).
 * @sev, @sev_es, @snp: what guests can be protected with (CPUID 8000001F EAX[1], [3], [4]).
 * @asids:   number of ASIDs for such guests, 1..@asids (CPUID 8000001F ECX).
 * @snp_reads_ciphertext: what a device's read of a guest's page gets with SNP: false for an abort
 *            (default; nothing public says), true for ciphertext.
 *
 * On a platform without SME @c_bit has no meaning and no address carries it.
 */
struct cbit_platform {
	const char *name;
	bool sme;
	bool tsme;
	unsigned int c_bit;
	unsigned int pa_bits;
	uint8_t host_key[32];
	bool sev;
	bool sev_es;
	bool snp;
	bool snp_reads_ciphertext;
	uint32_t asids;
};

/**
 * cbit_platform_preset() - look up a platform by its command-line name.
 * @name: "bare", "sme" or "tsme"; "sev-guest" or "snp-guest" for the host of such a guest.
 * @out:  filled in on success.
 * Return: 0, or -ENOENT for a name that is not known.
 */
int cbit_platform_preset(const char *name, struct cbit_platform *out);

/** cbit_platform_c_mask() - the C-bit as a mask, 0 where the platform has none. */
static inline uint64_t cbit_platform_c_mask(const struct cbit_platform *p)
{
	return p->sme ? (uint64_t)1 << p->c_bit : 0;
}

/** struct cbit_error - the words that go with a negative errno; @text is always terminated. */
struct cbit_error {
	int code;
	char text[252];
};

/**
 * cbit_error_set() - fill in an error.
 * @err:  may be NULL: then only the code is passed on.
 * @code: a negative errno.
 * @fmt:  printf format: what is wrong and where, quoting the bad input and the legal range.
 * Return: @code, so that callers can return it.
 */
int cbit_error_set(struct cbit_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * enum cbit_mem_kind - what kind of memory a region is. Attributes are decided by this.
 * @CBIT_MEM_DRAM:     behind a memory controller with an AES engine.
 * @CBIT_MEM_CXL_RAM:  CXL memory given to the OS as system RAM; takes the C-bit as DRAM does.
 * @CBIT_MEM_COHERENT: coherent device memory (CXL type 2, GPU); undefined by vendor.
 * @CBIT_MEM_MMIO:     a device window; nothing consumes the C-bit.
 */
enum cbit_mem_kind {
	CBIT_MEM_DRAM,
	CBIT_MEM_CXL_RAM,
	CBIT_MEM_COHERENT,
	CBIT_MEM_MMIO,
};

/** cbit_mem_kind_name() - the word for a kind: "dram", "cxl-ram", "coherent", "mmio". */
const char *cbit_mem_kind_name(enum cbit_mem_kind kind);

/**
 * enum cbit_atomic_op - what an atomic access does to memory (PCI Express 6.15 AtomicOps).
 * @CBIT_ATOMIC_FETCH_ADD: adds, with wrap-around.
 * @CBIT_ATOMIC_SWAP:      replaces.
 * @CBIT_ATOMIC_CAS:       replaces if memory equals what it is compared with.
 */
enum cbit_atomic_op {
	CBIT_ATOMIC_FETCH_ADD,
	CBIT_ATOMIC_SWAP,
	CBIT_ATOMIC_CAS,
};

/* Attributes of a mapping, arch-neutral; only a format turns them into bits. */
#define CBIT_ATTR_READ      (1u << 0)
#define CBIT_ATTR_WRITE     (1u << 1)
#define CBIT_ATTR_ENCRYPTED (1u << 2) /* the entry's C-bit */
#define CBIT_ATTR_CACHE     (1u << 3) /* forced coherent (amdv1: FC) */
#define CBIT_ATTR_USER      (1u << 4) /* accessible to user requests (x86_64: US) */
#define CBIT_ATTR_ACCESSED  (1u << 5) /* the entry's A bit */
#define CBIT_ATTR_DIRTY     (1u << 6) /* the entry's D bit */
#define CBIT_ATTR_NOEXEC    (1u << 7) /* no instruction fetches (x86_64: NX) */
#define CBIT_ATTR_RW        (CBIT_ATTR_READ | CBIT_ATTR_WRITE)

/**
 * enum cbit_backing - what a mapping call mapped.
 * @CBIT_BACKING_MEMORY:  memory of a process, by address.
 * @CBIT_BACKING_FILE:    a file in memory, by offset.
 * @CBIT_BACKING_DMABUF:  a dma-buf, by offset.
 * @CBIT_BACKING_REVOKED: a dma-buf that its device has taken back: there are no entries any more.
 */
enum cbit_backing {
	CBIT_BACKING_MEMORY,
	CBIT_BACKING_FILE,
	CBIT_BACKING_DMABUF,
	CBIT_BACKING_REVOKED,
};

/**
 * struct cbit_mapping_info - the mapping call behind an IOVA, for messages.
 * @id:    counts from 1 in a machine; 0 when there is no mapping.
 * @iova:  start of the mapping call's range; @size its length in bytes.
 * @vaddr: client virtual address, or what @backing says; @pid the client's process.
 * @attrs: CBIT_ATTR_READ and CBIT_ATTR_WRITE as the client asked.
 * @trace: where in the client the call came from, for struct cbit_trace_source; 0: not known.
 * @backing: what was mapped.
 */
struct cbit_mapping_info {
	uint64_t id;
	struct cbit_iova iova;
	uint64_t size;
	uint64_t vaddr;
	int pid;
	unsigned int attrs;
	uint32_t trace;
	enum cbit_backing backing;
};

/**
 * enum cbit_event_type - what an observer is told.
 * @CBIT_EVENT_MAP: a mapping call has been carried out, @mapping tells which: its entries stand
 *      in DRAM, and the client has not been answered yet.
 * @CBIT_EVENT_MMIO_ENCRYPTED: an IOPTE just written has the C-bit on a page of a region
 *      that does not consume it. One event a leaf run; @mapping names the call.
 * @CBIT_EVENT_DMA_NOT_MAPPED: a DMA found no entry at @iova.
 * @CBIT_EVENT_DMA_NO_PERMISSION: a DMA found an entry without the right it needs.
 * @CBIT_EVENT_DMA_ABORT:      no window decoded the bus address; reads gave all ones, writes
 *      were dropped. With the C-bit on an MMIO page this is the peer-to-peer failure.
 * @CBIT_EVENT_DMA_WRONG_KEY:  DMA moved bytes under another key than the CPU uses there.
 * @CBIT_EVENT_DMA_NO_BACKING: the client memory behind an SPA is gone.
 * @CBIT_EVENT_DMA_STALE_IOTLB: a DMA went through an IOTLB entry that the tables in memory no
 *      longer bear out: @entry and @spa are what the IOTLB had, @entry_now what the tables say.
 *      It went where the old entry leads, as in hardware.
 * @CBIT_EVENT_DMA_NO_MASTER:  a device that is in use wanted to do DMA while its bus mastering was
 *      off; nothing left it.
 * @CBIT_EVENT_DMA_REFUSED_MAP: the first DMA through an IOVA for which a mapping call (@call) was
 *      refused with EEXIST: it went where the older mapping (@mapping) leads.
 * @CBIT_EVENT_UNMAPPED_NOTHING: an unmap call (@call) for a range returned 0 and removed nothing;
 *      @below and @above are the mappings next to it.
 * @CBIT_EVENT_NO_IOMMU: a call (@what, @call) that needs an IOMMU behind the container, which has
 *      none yet; @count groups are in it.
 * @CBIT_EVENT_MEMORY_CHANGED: a call (@what, @call) took away client memory that @mapping has
 *      pinned: the device keeps the old pages, the program does not see them any more.
 * @CBIT_EVENT_DMA_PRIVATE: a DMA, or a device that the hypervisor emulates, reached a page that a
 *      guest has private: what was read is ciphertext, what was written is noise to the guest.
 * @CBIT_EVENT_TABLE_PRIVATE: an IOMMU that the hypervisor emulates was led to a table or ring in
 * the guest's private memory; @spa is the GPA that the guest meant, @entry what pointed there.
 * @CBIT_EVENT_RMP_FAULT: the reverse map table refused an access to the page at @spa.
 * @CBIT_EVENT_INTERRUPT_LOST: a message at address @iova reached no CPU; @count is the
 *      destination that it named.
 * @CBIT_EVENT_MAPPING_LEAKED: a container went away with @count mappings left in it;
 *      @mapping is the one with the lowest IOVA, @len the sum of their sizes in bytes.
 * @CBIT_EVENT_FAULT: a fault was injected into device @devid, as somebody asked (@fault). For a DMA
 *      @write, @iova and @len are given.
 */
enum cbit_event_type {
	CBIT_EVENT_MAP,
	CBIT_EVENT_MMIO_ENCRYPTED,
	CBIT_EVENT_DMA_NOT_MAPPED,
	CBIT_EVENT_DMA_NO_PERMISSION,
	CBIT_EVENT_DMA_ABORT,
	CBIT_EVENT_DMA_WRONG_KEY,
	CBIT_EVENT_DMA_NO_BACKING,
	CBIT_EVENT_DMA_STALE_IOTLB,
	CBIT_EVENT_DMA_NO_MASTER,
	CBIT_EVENT_DMA_REFUSED_MAP,
	CBIT_EVENT_UNMAPPED_NOTHING,
	CBIT_EVENT_NO_IOMMU,
	CBIT_EVENT_MEMORY_CHANGED,
	CBIT_EVENT_DMA_PRIVATE,
	CBIT_EVENT_TABLE_PRIVATE,
	CBIT_EVENT_RMP_FAULT,
	CBIT_EVENT_INTERRUPT_LOST,
	CBIT_EVENT_MAPPING_LEAKED,
	CBIT_EVENT_FAULT,
};

/** The number of event types. */
#define CBIT_NR_EVENTS (CBIT_EVENT_FAULT + 1)

struct cbit_fault_info;

/**
 * struct cbit_event - one thing that happened; only valid during the call.
 * @devid:   requester (bus << 8 | devfn) of a DMA.
 * @write:   the DMA was a write.
 * @injected: it was brought about by a fault plan; CBIT_EVENT_FAULT tells of it too.
 * @fault:   of CBIT_EVENT_FAULT: which (cbit/fault.h), otherwise NULL.
 * @iova:    where; @len bytes.
 * @spa:     the SPA that the entry gave, without the C-bit; valid if @spa_valid.
 * @entry:   the IOPTE as read from or written to DRAM, 0 if there was none.
 * @pasid:   of a DMA with @pasid_valid, whose @iova then is a GVA.
 * @entry_now: of a stale IOTLB entry: the IOPTE in DRAM, 0 if there is none any more.
 * @c_mask:  the C-bit of the platform as a mask.
 * @key_used, @key_right: names of the DRAM keys ("host key", "no key").
 * @what:    the call of @call in the words of its manual, NULL if none.
 * @call:    a call of the client that is not (or did not become) @mapping: @id is 0; NULL if none.
 * @below, @above: neighbours of @call among the mappings, NULL if none.
 * @region:  name of the region that @spa lies in, NULL if none; @kind is its kind.
 */
struct cbit_event {
	enum cbit_event_type type;
	uint16_t devid;
	bool write;
	bool spa_valid;
	bool pasid_valid;
	bool injected;
	uint32_t pasid;
	enum cbit_mem_kind kind;
	struct cbit_iova iova;
	struct cbit_spa spa;
	uint64_t len;
	uint64_t entry;
	uint64_t entry_now;
	uint64_t c_mask;
	uint64_t count;
	const char *key_used;
	const char *key_right;
	const char *region;
	const char *what;
	const struct cbit_mapping_info *call;
	const struct cbit_mapping_info *below;
	const struct cbit_mapping_info *above;
	const struct cbit_fault_info *fault;
	struct cbit_mapping_info mapping;
};

/**
 * struct cbit_observer - the one way in which the core speaks.
 * @event: called from whatever thread the thing happened on, perhaps with locks of the vfio
 *         room held; must not call into that room or dev. Reading mem, pt and iommu is allowed.
 */
struct cbit_observer {
	void (*event)(void *opaque, const struct cbit_event *ev);
	void *opaque;
};

CBIT_API_END

#endif
