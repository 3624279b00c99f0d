/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What VFIO and iommufd make of a mapping call, function by function: the decision behind
 * cbit_policy_type1_attrs() told, and that of IOMMU_IOAS_MAP_FILE taken.
 */
#include <errno.h>

#include "policy_internal.h"

static void step(struct cbit_policy_decision *out, const char *function, const char *why)
{
	if (out->steps < CBIT_POLICY_STEPS)
		out->step[out->steps++] = (struct cbit_policy_step){ function, why };
}

/* drivers/iommu/generic_pt/fmt/amdv1.h, amdv1pt_iommu_set_prot(); before 6.19 io_pgtable.c */
static void step_format(const struct cbit_policy *policy, const struct cbit_platform *platform,
			bool flag, bool window, struct cbit_policy_decision *out)
{
	const char *function =
		policy->format_honours_mmio ? "amdv1pt_iommu_set_prot()" : "iommu_v1_map_pages()";

	if (!platform->sme)
		step(out, function, "no SME: entries have no C-bit");
	else if (!(out->attrs & CBIT_ATTR_ENCRYPTED))
		step(out, function,
		     window ? "IOMMU_MMIO: the C-bit stays clear"
			    : "IOMMU_MMIO, though this is memory: the C-bit stays clear");
	else if (flag)
		step(out, function, "does not look at IOMMU_MMIO: sets the C-bit on everything");
	else
		step(out, function,
		     window ? "no IOMMU_MMIO: sets the C-bit, on a window that does not consume it"
			    : "no IOMMU_MMIO: sets the C-bit");
}

void cbit_policy_type1_why(const struct cbit_policy *policy, const struct cbit_platform *platform,
			   enum cbit_mem_kind kind, unsigned int attrs,
			   struct cbit_policy_decision *out)
{
	bool window = kind == CBIT_MEM_MMIO;

	*out = (struct cbit_policy_decision){ .attrs = attrs };
	/* drivers/vfio/vfio_iommu_type1.c */
	step(out, "vaddr_get_pfns()",
	     window ? "no struct page: a PFN map, follow_fault_pfn() finds the window"
		    : "pin_user_pages_remote() pins the pages");
	step(out, "vfio_iommu_map()",
	     !window                     ? "prot | IOMMU_CACHE"
	     : policy->type1_passes_mmio ? "prot | IOMMU_CACHE | IOMMU_MMIO for the PFN map"
					 : "prot | IOMMU_CACHE: IOMMU_MMIO is not passed");
	step_format(policy, platform, window && policy->type1_passes_mmio, window, out);
}

int cbit_policy_map_file(const struct cbit_policy *policy, const struct cbit_platform *platform,
			 enum cbit_mem_kind kind, unsigned int attrs,
			 struct cbit_policy_decision *out)
{
	bool window = kind == CBIT_MEM_MMIO;

	*out = (struct cbit_policy_decision){ .attrs = (attrs & CBIT_ATTR_RW) | CBIT_ATTR_CACHE };
	/* A BAR has no file before VFIO_DEVICE_FEATURE_DMA_BUF (drivers/vfio/pci/vfio_pci_dmabuf.c)
	 */
	if (window && !policy->phys_attrs) {
		out->way = CBIT_DMA_WAY_REFUSE;
		out->error = -ENOTTY;
		step(out, "vfio_pci_core_ioctl_feature()",
		     "there is no VFIO_DEVICE_FEATURE_DMA_BUF before 6.19");
		return out->error;
	}
	/* drivers/iommu/iommufd/pages.c, batch_from_pfns() and the kinds of a batch */
	step(out, "iopt_map_file_pages()",
	     window ? "the file is a dma-buf of a BAR: the pages are BATCH_MMIO"
		    : "memfd_pin_folios() pins the pages: BATCH_CPU_MEMORY");
	step(out, "batch_to_domain()",
	     window ? "IOMMU_MMIO for BATCH_MMIO" : "iommu_prot | IOMMU_CACHE");
	if (platform->sme && !(window && policy->format_honours_mmio))
		out->attrs |= CBIT_ATTR_ENCRYPTED;
	step_format(policy, platform, window, window, out);
	return 0;
}

/*
 * "complete": as cbit_policy_dma_map() has it, but that nothing can be bounced: the address is the
 * client's choice. A private page is mapped for an untrusted device all the same, as for any other
 * mapping that is of no use, and without the C-bit its device gets as far as that page.
 */
unsigned int cbit_policy_guest_attrs(const struct cbit_policy *policy,
				     const struct cbit_policy_guest_page *page, unsigned int attrs)
{
	bool trusted = page->tdisp_run && policy->tdisp;

	if (!policy->sees_pages)
		return attrs;
	attrs &= ~CBIT_ATTR_ENCRYPTED;
	if (trusted && (page->window || !page->shared))
		attrs |= CBIT_ATTR_ENCRYPTED;
	return attrs;
}

/*
 * Linux 7.2 does not: vaddr_get_pfns() of drivers/vfio/vfio_iommu_type1.c takes what
 * follow_fault_pfn() found only where is_invalid_reserved_pfn() says that it is no ordinary RAM,
 * and iommufd pins pages, of which a PFN map has none. "complete" goes by what is there.
 */
bool cbit_policy_takes_pfn_ram(const struct cbit_policy *policy)
{
	return policy->sees_pages;
}
