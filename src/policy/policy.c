/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy presets: what kernels decide for a mapping, each with where it was read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "policy_internal.h"

static const struct cbit_policy presets[] = {
	{
		/*
		 * Linux up to 6.18: drivers/iommu/amd sets the C-bit on every entry, and
		 * drivers/vfio/vfio_iommu_type1.c knows no IOMMU_MMIO.
		 */
		.name = "linux-6.17",
		.about = "C-bit on everything; no format looks at IOMMU_MMIO",
		/* dma_direct_map_resource() does not ask is_swiotlb_force_bounce() */
		.mmio_unforced = true,
	},
	{
		/*
		 * Linux 6.19 to 7.2: generic_pt/fmt/amdv1.h leaves the C-bit off for
		 * IOMMU_MMIO, but vfio_iommu_map() passes only prot | IOMMU_CACHE.
		 */
		.name = "linux-7.2",
		.about = "the format honours IOMMU_MMIO, type1 never passes it: C-bit on BARs",
		.format_honours_mmio = true,
		.phys_attrs = true,
	},
	{
		.name = "complete",
		.about = "type1 passes IOMMU_MMIO for each PFN-mapped run: C-bit on RAM only",
		.type1_passes_mmio = true,
		.format_honours_mmio = true,
		.phys_attrs = true,
		.mmio_unforced = true,
		.sees_pages = true,
		.iommu_bounces = true,
		.iommu_shared_clear = true,
		.tables_shared = true,
		.tdisp = true,
	},
	{
		/*
		 * A posted version of the type1 change wrote IOMMU_MMIO into the mapping's own
		 * prot when a batch refill met a PFN map. The refill happens before the run
		 * gathered so far is mapped, so RAM next to a BAR loses its C-bit.
		 */
		.name = "posted-mmio",
		.about = "a posted type1 patch: RAM before a BAR in one mapping loses its C-bit",
		.type1_passes_mmio = true,
		.format_honours_mmio = true,
		.mmio_leaks = true,
		.phys_attrs = true,
	},
};

#define NR_PRESETS (sizeof(presets) / sizeof(presets[0]))

const struct cbit_policy *cbit_policy_at(unsigned int index)
{
	return index < NR_PRESETS ? &presets[index] : NULL;
}

const struct cbit_policy *cbit_policy_preset(const char *name)
{
	for (unsigned int i = 0; i < NR_PRESETS; i++) {
		if (!strcmp(presets[i].name, name))
			return &presets[i];
	}
	return NULL;
}

const char *cbit_policy_name(const struct cbit_policy *policy)
{
	return policy->name;
}

const char *cbit_policy_about(const struct cbit_policy *policy)
{
	return policy->about;
}

int cbit_policy_derive(const struct cbit_policy *base, const struct cbit_policy_switches *switches,
		       struct cbit_policy **out)
{
	struct cbit_policy *policy = malloc(sizeof(*policy));

	if (!policy)
		return -ENOMEM;
	*policy = *base;
	policy->tables_shared = switches->tables_shared;
	policy->iommu_shared_clear = switches->shared_clear;
	policy->format_honours_mmio = switches->mmio_clear;
	*out = policy;
	return 0;
}

void cbit_policy_free(struct cbit_policy *policy)
{
	free(policy);
}

unsigned int cbit_policy_type1_attrs(const struct cbit_policy *policy,
				     const struct cbit_platform *platform,
				     struct cbit_policy_type1 *call, enum cbit_mem_kind kind,
				     bool next_mmio, unsigned int attrs)
{
	bool mmio = kind == CBIT_MEM_MMIO;

	if (policy->mmio_leaks) {
		call->mmio_seen |= mmio || next_mmio;
		mmio = call->mmio_seen;
	}
	attrs &= CBIT_ATTR_RW;
	attrs |= CBIT_ATTR_CACHE;
	if (platform->sme && !(mmio && policy->type1_passes_mmio && policy->format_honours_mmio))
		attrs |= CBIT_ATTR_ENCRYPTED;
	return attrs;
}
