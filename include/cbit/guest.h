/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest: a guest on the modelled machine: its physical memory (NPT), its own page tables with the
 * C-bit in them, who sees what of it, and what it takes to share a page with the hypervisor.
 *
 * Three parties look at the same DRAM, each through tables that lie in that DRAM:
 *
 *   the guest's CPU      guest page table -> GPA and C-bit -> NPT -> SPA. C=1 is the guest's
 *                        key; C=0 is what the NPT leaf says: host key or none.
 *   the guest's walker   and its instruction fetches: always the guest's key.
 *   the hypervisor       its own mapping of the guest's memory: host key or none. A GPA with the
 *                        C-bit in it is no memory of the guest's.
 *
 * An object is used by one thread at a time; the views may be used by the IOMMU's.
 */
#ifndef CBIT_GUEST_H
#define CBIT_GUEST_H

#include <cbit/dma.h>
#include <cbit/mem.h>
#include <cbit/types.h>

CBIT_API_BEGIN

/** struct cbit_gva - a guest virtual address; struct cbit_gpa - a guest physical one, no C-bit. */
struct cbit_gva {
	uint64_t v;
};

struct cbit_gpa {
	uint64_t v;
};

#define CBIT_GVA(x) CBIT_VALUE(cbit_gva, (uint64_t)(x))
#define CBIT_GPA(x) CBIT_VALUE(cbit_gpa, (uint64_t)(x))

/** CBIT_GUEST_DIRECT_MAP - where a guest's kernel maps all of its GPAs in order, as Linux does. */
#define CBIT_GUEST_DIRECT_MAP UINT64_C(0xffff888000000000)

/**
 * enum cbit_guest_kind - what protects a guest.
 * @CBIT_GUEST_PLAIN: nothing: no key of its own, no C-bit in its tables.
 * @CBIT_GUEST_SEV:   its memory is encrypted with the key of its ASID.
 * @CBIT_GUEST_SEV_ES: and its registers; for memory the same as SEV.
 * @CBIT_GUEST_SNP:   and the RMP says which page is whose.
 */
enum cbit_guest_kind {
	CBIT_GUEST_PLAIN,
	CBIT_GUEST_SEV,
	CBIT_GUEST_SEV_ES,
	CBIT_GUEST_SNP,
};

/** cbit_guest_kind_name() - "plain", "sev", "sev-es", "sev-snp". */
const char *cbit_guest_kind_name(enum cbit_guest_kind kind);

/**
 * struct cbit_guest_config - a guest to be.
 * @kind:     what protects it; more than PLAIN needs a platform that has it.
 * @asid:     of a confidential guest: 1 to the platform's number of ASIDs.
 * @npt_c:    the NPT's leaves for memory have the C-bit, and so has the hypervisor's own mapping
 *            of it: KVM on an SME host. Without SME it is ignored.
 * @observer: told of faults and of private pages touched by others; may be NULL, must outlive
 *            the guest.
 */
struct cbit_guest_config {
	enum cbit_guest_kind kind;
	uint32_t asid;
	bool npt_c;
	const struct cbit_observer *observer;
};

struct cbit_guest;

/**
 * cbit_guest_create() - a guest without memory. The NPT is made in @mem's sparse DRAM, under the
 * host key when the platform has SME.
 * Return: 0, -ENOMEM, -EINVAL for a kind that the platform lacks or an ASID out of range, -EBUSY
 * for an ASID in use; words in @err, which may be NULL.
 */
int cbit_guest_create(struct cbit_mem *mem, const struct cbit_guest_config *cfg,
		      struct cbit_guest **out, struct cbit_error *err);

/** cbit_guest_destroy() - its pages go back to the hypervisor. NULL is allowed. */
void cbit_guest_destroy(struct cbit_guest *guest);

/**
 * cbit_guest_add_memory() - a memory slot: @size bytes at @gpa are the memory at @spa.
 * Encrypting memory belongs to an SNP guest afterwards (RMPUPDATE) and is validated, as after
 * launch and acceptance. Memory that does not encrypt can only be shared.
 * To be called before cbit_guest_boot(). Return: 0; -EINVAL for misalignment, for a GPA at or
 * beyond the C-bit, or memory that is not in one region of RAM; -EEXIST; -ENOMEM.
 */
int cbit_guest_add_memory(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa spa,
			  uint64_t size, struct cbit_error *err);

/**
 * cbit_guest_add_unaccepted() - a memory slot whose pages come when they are first used: NPT leaf,
 * RMP entry and the kernel's own mapping are made by cbit_guest_accept() (Linux:
 * CONFIG_UNACCEPTED_MEMORY), in units of 2 MiB. Nothing of it goes to the page allocator.
 * @shared: the kernel shares each page with the hypervisor as it takes it; otherwise it is private.
 * @gpa, @spa, @size: multiples of 2 MiB. Before or after boot, but not while the views are used.
 * Return: as cbit_guest_add_memory().
 */
int cbit_guest_add_unaccepted(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa spa,
			      uint64_t size, bool shared, struct cbit_error *err);

/**
 * cbit_guest_accept() - the guest's kernel begins to use @size bytes at @gpa; where it does
 * already, nothing happens. Any thread, also while the views are used.
 * Return: 0; -EINVAL for what is in no slot, or before boot; -ENOMEM.
 */
int cbit_guest_accept(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size);

/**
 * cbit_guest_add_mmio() - a window of an assigned device, at @gpa; the NPT leaf has no C-bit.
 * Before boot or after it (a device that was plugged in), but not while the views are used.
 * @tdisp: it belongs to a trusted device in TDISP run state: a private GPA, which is reached with
 *         the C-bit set and not without.
 */
int cbit_guest_add_mmio(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa spa,
			uint64_t size, bool tdisp, struct cbit_error *err);

/**
 * cbit_guest_boot() - the guest's kernel builds its page tables, in its own private memory: all
 * memory at CBIT_GUEST_DIRECT_MAP, private; all windows too, shared unless TDISP.
 */
int cbit_guest_boot(struct cbit_guest *guest, struct cbit_error *err);

/* --- accesses of the guest's CPU --- */

/**
 * enum cbit_guest_outcome - how an access ended.
 * @CBIT_GUEST_OK:    bytes moved; whether they mean anything is another matter.
 * @CBIT_GUEST_PF:    #PF: the guest's own tables have nothing there, or not this right, or noise.
 * @CBIT_GUEST_NPF:   #NPF: the NPT has nothing there.
 * @CBIT_GUEST_RMP:   #NPF with the RMP bit: the RMP does not let this guest have the page so.
 * @CBIT_GUEST_VC:    #VC: the page is the guest's but not validated.
 * @CBIT_GUEST_ABORT: nobody decodes the address: reads gave all ones, writes vanished.
 */
enum cbit_guest_outcome {
	CBIT_GUEST_OK,
	CBIT_GUEST_PF,
	CBIT_GUEST_NPF,
	CBIT_GUEST_RMP,
	CBIT_GUEST_VC,
	CBIT_GUEST_ABORT,
};

/** cbit_guest_outcome_name() - "ok", "#PF", "#NPF", "#NPF(RMP)", "#VC", "abort". */
const char *cbit_guest_outcome_name(enum cbit_guest_outcome outcome);

/**
 * struct cbit_guest_trace - what an access met on its way: of its first page, or of the page that
 * failed.
 * @gva, @gpa, @spa: the address at each stage, as far as it came.
 * @c:         the C-bit of the guest's leaf.
 * @guest_entry, @npt_entry: the leaves as they stand in DRAM, decoded by the right key; 0 if none.
 * @key:       on DRAM.
 */
struct cbit_guest_trace {
	struct cbit_gva gva;
	struct cbit_gpa gpa;
	struct cbit_spa spa;
	bool c;
	uint64_t guest_entry;
	uint64_t npt_entry;
	cbit_key_t key;
};

/**
 * cbit_guest_read() - the guest's CPU reads @len bytes at @gva, through both tables in DRAM.
 * @buf:   filled up to the first byte that failed, all ones from there.
 * @trace: may be NULL.
 */
enum cbit_guest_outcome cbit_guest_read(struct cbit_guest *guest, struct cbit_gva gva, void *buf,
					size_t len, struct cbit_guest_trace *trace);

/** cbit_guest_write() - the guest's CPU writes; what comes before the byte that failed is done. */
enum cbit_guest_outcome cbit_guest_write(struct cbit_guest *guest, struct cbit_gva gva,
					 const void *buf, size_t len,
					 struct cbit_guest_trace *trace);

/** cbit_guest_fetch() - an instruction fetch: always the guest's key, whatever the C-bit. */
enum cbit_guest_outcome cbit_guest_fetch(struct cbit_guest *guest, struct cbit_gva gva, void *buf,
					 size_t len, struct cbit_guest_trace *trace);

/** cbit_guest_direct() - where the guest's kernel has @gpa in its direct map. */
static inline struct cbit_gva cbit_guest_direct(struct cbit_gpa gpa)
{
	return CBIT_GVA(CBIT_GUEST_DIRECT_MAP + gpa.v);
}

/* --- private and shared --- */

/**
 * cbit_guest_share() - set_memory_decrypted() of the guest's kernel: all that it takes on this
 * kind of guest for @size bytes at @gpa to be shared with the hypervisor. SEV: the C-bit of the
 * guest's leaves is cleared. SNP: PVALIDATE rescinds, a page-state change asks the hypervisor for
 * RMPUPDATE, the C-bit is cleared (arch/x86/mm/mem_encrypt_amd.c, arch/x86/coco/sev/core.c).
 * Contents do not survive. On a plain guest nothing is done.
 * Return: 0; -EINVAL for misalignment or what is not memory; -ENOMEM; -EPERM when the RMP refuses.
 */
int cbit_guest_share(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size);

/** cbit_guest_unshare() - set_memory_encrypted(): the way back. */
int cbit_guest_unshare(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size);

/** cbit_guest_is_shared() - whether the guest's own leaf for @gpa has the C-bit clear. */
bool cbit_guest_is_shared(struct cbit_guest *guest, struct cbit_gpa gpa);

/*
 * The steps of the above one by one, for guests that forget one or confuse their order.
 */

/** cbit_guest_set_c() - rewrite the C-bit of the guest's leaves, and nothing else. */
int cbit_guest_set_c(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size, bool c);

/**
 * cbit_guest_page_state() - a page-state change request: the hypervisor makes the pages shared
 * or private (assigned to the guest, not validated) by RMPUPDATE. SNP only, else -EOPNOTSUPP.
 */
int cbit_guest_page_state(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size,
			  bool shared);

/**
 * cbit_guest_pvalidate() - PVALIDATE. SNP only, else -EOPNOTSUPP.
 * Return: 0; 1 when nothing changed (CF set); -EPERM for pages that are not the guest's
 * (FAIL_INPUT or #NPF).
 */
int cbit_guest_pvalidate(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size, bool valid);

/* --- views --- */

/**
 * cbit_guest_view() - the guest's physical addresses as its own CPU drives them, once its page
 * table has said GPA and C-bit: an address space in which the driver side of a guest's
 * kernel builds tables. Frames come from the guest's memory, private where the C-bit was asked
 * for, else made shared first. Owned by the guest.
 */
struct cbit_mem *cbit_guest_view(struct cbit_guest *guest);

/**
 * cbit_guest_hypervisor_view() - the guest's memory as the hypervisor has it mapped: what devices
 * and IOMMUs that it emulates read and write. No address in it has a C-bit. A write to a
 * page that the RMP assigns to the guest is refused (CBIT_MEM_REFUSED), a read gives ciphertext.
 * Windows of kind MMIO may be added for devices that are emulated. Owned by the guest.
 */
struct cbit_mem *cbit_guest_hypervisor_view(struct cbit_guest *guest);

/* --- memory and bookkeeping of the guest's kernel --- */

/**
 * cbit_guest_alloc() - pages of the guest's memory from its page allocator, zeroed, private.
 * @size: bytes, a multiple of the page size; @align: a power of two; @limit: highest address of
 * the last byte.
 * Return: 0, -ENOMEM.
 */
int cbit_guest_alloc(struct cbit_guest *guest, uint64_t size, uint64_t align, uint64_t limit,
		     struct cbit_gpa *out);

/** cbit_guest_free() - gives them back; private again if they were shared. */
void cbit_guest_free(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size);

/** cbit_guest_kernel() - the guest's kernel for the DMA API; @opaque is the guest. */
struct cbit_kernel_ops cbit_guest_kernel(void);

/** cbit_guest_spa() - what the NPT says of @gpa. Return: 0, -ENOENT. */
int cbit_guest_spa(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa *out);

/**
 * cbit_guest_root() - CR3: the guest's top page table, of 4 levels, as its walker has it; a GPA
 * with the guest's C-bit. 0 before boot. cbit_guest_npt() - the nested page table, for walks.
 */
struct cbit_bus cbit_guest_root(const struct cbit_guest *guest);
struct cbit_pt *cbit_guest_npt(struct cbit_guest *guest);

CBIT_API_END

#endif
