/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stale IOTLB entries: hits that the tables in memory no longer bear out, because somebody changed
 * a table and did not invalidate.
 *
 * A domain's own tables are written by src/pt alone, and this room knows which of its unmaps were
 * not followed by a flush; a stray write to one of their pages is counted by src/mem. As long as
 * there is neither, nothing is compared. Tables that the embedder built may change in ways that
 * nobody sees, so every hit on them is compared.
 */
#include <errno.h>

#include "internal.h"
#include "../mem/view.h"

#define COMPARED (CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED)

void cbit_iommu_set_stale_check(struct cbit_iommu *iommu, bool on)
{
	__atomic_store_n(&iommu->stale_check, on, __ATOMIC_RELAXED);
}

bool cbit_stale_possible(struct cbit_iommu *iommu, const struct dte *dte)
{
	const struct cbit_domain *domain = iommu->domains[dte->domid];

	if (!iommu->observer || !iommu->observer->event ||
	    !__atomic_load_n(&iommu->stale_check, __ATOMIC_RELAXED))
		return false;
	return !domain || domain->deferred ||
	       domain->top != (dte->root.v | (uint64_t)dte->mode << CBIT_VI_DTE0_MODE_SHIFT) ||
	       iommu->watched != cbit_mem_watched_writes(iommu->mem);
}

/* Cut @leaf down to its part in the @size bytes at @base, of which @iova is one. */
static void narrow(struct cbit_pt_leaf *leaf, uint64_t base, uint64_t size)
{
	if (size >= leaf->size)
		return;
	leaf->spa.v += base - leaf->iova.v;
	leaf->iova.v = base;
	leaf->size = size;
}

void cbit_stale_compare(struct cbit_iommu *iommu, const struct dte *dte, uint64_t iova,
			struct cbit_pt_leaf *leaf)
{
	struct cbit_pt_leaf now;
	int err = cbit_dte_walk(iommu, dte, iova, &now);

	if (err || now.spa.v + (iova - now.iova.v) != leaf->spa.v + (iova - leaf->iova.v) ||
	    (now.attrs ^ leaf->attrs) & COMPARED)
		leaf->attrs |= LEAF_STALE;
	/* Where no table could be read, nothing is said of the pages around. */
	if (err && err != -ENOENT)
		narrow(leaf, iova & CBIT_PAGE_MASK, CBIT_PAGE_SIZE);
	else
		narrow(leaf, now.iova.v, now.size);
}
