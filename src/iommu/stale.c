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
#include "internal.h"
#include "../mem/view.h"

#define COMPARED (CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED | CBIT_ATTR_USER | CBIT_ATTR_NOEXEC)

void cbit_iommu_set_stale_check(struct cbit_iommu *iommu, bool on)
{
	__atomic_store_n(&iommu->stale_check, on, __ATOMIC_RELAXED);
}

bool cbit_stale_possible(const struct request *q)
{
	struct cbit_iommu *iommu = q->iommu;
	const struct cbit_domain *domain = iommu->domains[q->dte.domid];

	if (!iommu->observer || !iommu->observer->event ||
	    !__atomic_load_n(&iommu->stale_check, __ATOMIC_RELAXED))
		return false;
	return request_is_guest(q) || !domain || domain->deferred ||
	       domain->top != (q->dte.root.v | (uint64_t)q->dte.mode << CBIT_VI_DTE0_MODE_SHIFT) ||
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

void cbit_stale_compare(struct request *q, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	struct cbit_pt_leaf now;
	struct failure f;
	int err = cbit_request_walk(q, iova, 0, &now, &f);

	if (err || now.spa.v + (iova - now.iova.v) != leaf->spa.v + (iova - leaf->iova.v) ||
	    (now.attrs ^ leaf->attrs) & COMPARED)
		leaf->attrs |= LEAF_STALE;
	narrow(leaf, now.iova.v, now.size);
}
