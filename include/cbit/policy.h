/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy: the code that a kernel would be: which attributes a mapping gets.
 */
#ifndef CBIT_POLICY_H
#define CBIT_POLICY_H

#include <cbit/types.h>

CBIT_API_BEGIN

/** struct cbit_policy - what a kernel decides; opaque. A preset is static and never freed. */
struct cbit_policy;

/** cbit_policy_preset() - by name ("linux-6.17", "linux-7.2", "complete", ...), or NULL. */
const struct cbit_policy *cbit_policy_preset(const char *name);

/** cbit_policy_name() and cbit_policy_about() - its name and one line about it. */
const char *cbit_policy_name(const struct cbit_policy *policy);
const char *cbit_policy_about(const struct cbit_policy *policy);

/** cbit_policy_at() - the presets one by one, NULL after the last. */
const struct cbit_policy *cbit_policy_at(unsigned int index);

/**
 * struct cbit_policy_type1 - the state of one type1 MAP_DMA call, zeroed at its start.
 * @mmio_seen: a refill of the batch has met a PFN map.
 */
struct cbit_policy_type1 {
	bool mmio_seen;
};

/**
 * cbit_policy_type1_attrs() - the attributes of one run of a type1 mapping.
 * @platform: where.
 * @call:     state of the call; a policy that lets one run influence another keeps it here.
 * @kind:     what backs the run.
 * @next_mmio: the run that follows in the same call is a PFN map (the kernel's batch refill
 *            has already looked at it when this run is mapped).
 * @attrs:    CBIT_ATTR_READ and CBIT_ATTR_WRITE as the client asked.
 * Return: CBIT_ATTR_*.
 */
unsigned int cbit_policy_type1_attrs(const struct cbit_policy *policy,
				     const struct cbit_platform *platform,
				     struct cbit_policy_type1 *call, enum cbit_mem_kind kind,
				     bool next_mmio, unsigned int attrs);

/**
 * struct cbit_policy_switches - what can be wrong behind the vIOMMU of a confidential guest.
 * @tables_shared: the guest's IOMMU tables and rings are in shared pages.
 * @shared_clear:  entries of shared and bounced pages have the C-bit clear.
 * @mmio_clear:    entries of device windows have it clear.
 */
struct cbit_policy_switches {
	bool tables_shared;
	bool shared_clear;
	bool mmio_clear;
};

/**
 * cbit_policy_derive() - a policy like @base but for the switches.
 * Return: 0 and *@out, which keeps @base's name and is to be given to cbit_policy_free(); -ENOMEM.
 */
int cbit_policy_derive(const struct cbit_policy *base, const struct cbit_policy_switches *switches,
		       struct cbit_policy **out);

/** cbit_policy_free() - of cbit_policy_derive(). NULL is allowed. */
void cbit_policy_free(struct cbit_policy *policy);

/**
 * enum cbit_dma_pages - how the kernel at hand has the pages of a buffer in its own mapping.
 * @CBIT_DMA_PAGES_C:     all with the C-bit set: private in a guest, encrypted on a host.
 * @CBIT_DMA_PAGES_PLAIN: all with it clear: shared, plain.
 * @CBIT_DMA_PAGES_MIXED: some so, some so.
 */
enum cbit_dma_pages {
	CBIT_DMA_PAGES_C,
	CBIT_DMA_PAGES_PLAIN,
	CBIT_DMA_PAGES_MIXED,
};

/**
 * struct cbit_policy_dma - what the DMA API of a kernel is asked to map.
 * @platform:     of the kernel; a guest that is not confidential has no C-bit whatever it says.
 * @guest, @confidential: as in struct cbit_dma_config.
 * @iommu:        the device is behind an IOMMU that this kernel drives; else dma-direct.
 * @untrusted, @tdisp_run: as in struct cbit_dma_dev_config.
 * @mmio, @cc_shared, @require_coherent: what the caller says (DMA_ATTR_*).
 * @window:       what it is: a device's window.
 * @pages:        how the kernel has it mapped.
 * @phys, @size:  the buffer, in bytes; @mask: the last address that the device can issue.
 * @rw:           CBIT_ATTR_READ and CBIT_ATTR_WRITE as the direction says.
 */
struct cbit_policy_dma {
	const struct cbit_platform *platform;
	bool guest;
	bool confidential;
	bool iommu;
	bool untrusted;
	bool tdisp_run;
	bool mmio;
	bool cc_shared;
	bool require_coherent;
	bool window;
	enum cbit_dma_pages pages;
	uint64_t phys;
	uint64_t size;
	uint64_t mask;
	unsigned int rw;
};

/** enum cbit_dma_way - what becomes of a buffer. */
enum cbit_dma_way {
	CBIT_DMA_WAY_DIRECT, /* the device reaches the buffer itself */
	CBIT_DMA_WAY_BOUNCE, /* it reaches slots of SWIOTLB */
	CBIT_DMA_WAY_REFUSE,
};

/** struct cbit_policy_step - a kernel function that had a say, and what it said. */
struct cbit_policy_step {
	const char *function;
	const char *why;
};

#define CBIT_POLICY_STEPS 4

/**
 * struct cbit_policy_decision - what a policy decides.
 * @way:     what becomes of the buffer; CBIT_DMA_WAY_DIRECT for memory of the kernel's own.
 * @error:   a negative errno where refused, else 0.
 * @attrs:   CBIT_ATTR_* of the entry. CBIT_ATTR_ENCRYPTED without an IOMMU: the address itself
 *           carries the C-bit.
 * @decrypt: the memory is to be made shared or plain first.
 * @zero_padding: what shares pages with a bounced buffer is zeroed.
 * @step:    the functions that decided, in their order; static text. @steps: how many.
 */
struct cbit_policy_decision {
	enum cbit_dma_way way;
	int error;
	unsigned int attrs;
	bool decrypt;
	bool zero_padding;
	unsigned int steps;
	struct cbit_policy_step step[CBIT_POLICY_STEPS];
};

/**
 * cbit_policy_dma_looks() - whether cbit_policy_dma_map() reads @window and @pages of its question:
 * a kernel that trusts the caller does not look at pages.
 */
bool cbit_policy_dma_looks(const struct cbit_policy *policy);

/**
 * cbit_policy_dma_map() - dma_map_phys() of one buffer. Streaming only.
 * Return: the decision's @error: -EOPNOTSUPP for attributes that the kernel refuses here, -ERANGE
 * for an address that the mask cannot reach and that must not be bounced.
 */
int cbit_policy_dma_map(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
			struct cbit_policy_decision *out);

/**
 * cbit_policy_dma_coherent() - dma_alloc_coherent(). Reads @platform, @guest, @confidential,
 * @iommu, @tdisp_run and @mask (the coherent one) of @ask.
 */
void cbit_policy_dma_coherent(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
			      struct cbit_policy_decision *out);

/**
 * cbit_policy_iommu_tables() - where an IOMMU driver puts device table, page tables, rings and
 * interrupt remapping tables: @decrypt says to make the pages shared, and CBIT_ATTR_ENCRYPTED that
 * base registers, DTE and pointers carry the C-bit. Reads @platform, @guest, @confidential.
 */
void cbit_policy_iommu_tables(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
			      struct cbit_policy_decision *out);

/**
 * cbit_policy_type1_why() - the functions behind what cbit_policy_type1_attrs() returned.
 * @kind:  what backs the run. @attrs: what it returned.
 * @out:   @attrs and the steps.
 */
void cbit_policy_type1_why(const struct cbit_policy *policy, const struct cbit_platform *platform,
			   enum cbit_mem_kind kind, unsigned int attrs,
			   struct cbit_policy_decision *out);

/**
 * cbit_policy_map_file() - IOMMU_IOAS_MAP_FILE of iommufd: a memfd, or the dma-buf of a BAR.
 * @kind:  what backs the run. @attrs: CBIT_ATTR_READ and CBIT_ATTR_WRITE as the client asked.
 * Return: the decision's @error: 0; -ENOTTY where a BAR cannot be had as a file.
 */
int cbit_policy_map_file(const struct cbit_policy *policy, const struct cbit_platform *platform,
			 enum cbit_mem_kind kind, unsigned int attrs,
			 struct cbit_policy_decision *out);

/**
 * struct cbit_policy_guest_page - what VFIO in a confidential guest is to map.
 * @shared:    the guest's kernel has it mapped with the C-bit clear.
 * @window:    it is a device's window.
 * @tdisp_run: the guest's devices are in TDISP run state.
 */
struct cbit_policy_guest_page {
	bool shared;
	bool window;
	bool tdisp_run;
};

/**
 * cbit_policy_guest_attrs() - the entry that VFIO or iommufd of a confidential guest makes.
 * @attrs: what cbit_policy_type1_attrs() or cbit_policy_map_file() decided with the guest kernel's
 *         platform.
 * A kernel that does not look at pages leaves it at that. One that does sets the C-bit for a
 * private page or window of a device that may reach it, and for nothing else: to any other device
 * it is an address that leads nowhere.
 */
unsigned int cbit_policy_guest_attrs(const struct cbit_policy *policy,
				     const struct cbit_policy_guest_page *page, unsigned int attrs);

/**
 * cbit_policy_takes_pfn_ram() - whether VFIO and iommufd map RAM that the client has mapped by PFN
 * (VM_PFNMAP), as it has the memory of a system heap's dma-buf.
 */
bool cbit_policy_takes_pfn_ram(const struct cbit_policy *policy);

CBIT_API_END

#endif
