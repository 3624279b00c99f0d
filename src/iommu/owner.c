/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose memory a request or a table access meets: the reverse map table refuses, and what a guest
 * has private is told of.
 *
 * A table access happens under locks; what is to be told of it waits until they are dropped, as
 * the IOMMU's own interrupt does.
 */
#include "dma.h"

void cbit_iommu_set_owner(struct cbit_iommu *iommu, const struct cbit_iommu_owner *owner)
{
	iommu->owner = *owner;
}

static bool is_private(const struct cbit_iommu *iommu, uint64_t at)
{
	const struct cbit_iommu_owner *o = &iommu->owner;

	return o->is_private && o->is_private(o->opaque, CBIT_SPA(at & ~o->c_mask));
}

/* --- tables --- */

void cbit_owner_table(struct cbit_iommu *iommu, struct cbit_bus at, bool write)
{
	uint64_t page = at.v & CBIT_PAGE_MASK;

	if (!(page & iommu->owner.c_mask) && !is_private(iommu, page & ~iommu->c_mask))
		return;
	/* Bit 0: there is one; bit 1: it was written. The first that waits is told. */
	page |= 1 | (write ? 2 : 0);
	if (!__atomic_exchange_n(&iommu->owner_note, page, __ATOMIC_RELAXED))
		cbit_iommu_work(iommu, WORK_TELL);
}

void cbit_owner_tell(struct cbit_iommu *iommu)
{
	uint64_t note = __atomic_exchange_n(&iommu->owner_note, 0, __ATOMIC_RELAXED);
	uint64_t at = note & CBIT_PAGE_MASK & ~iommu->c_mask;
	struct cbit_event ev = {
		.type = CBIT_EVENT_TABLE_PRIVATE,
		.write = note & 2,
		.len = CBIT_PAGE_SIZE,
	};

	if (!note)
		return;
	cbit_event_target(iommu, &ev, at, 0);
	ev.entry = note & CBIT_PAGE_MASK;
	cbit_iommu_tell(iommu, &ev);
}

/* --- requests --- */

bool cbit_owner_asked(struct cbit_iommu *iommu)
{
	return iommu->owner.is_private || cbit_rmp_enabled(iommu->mem);
}

static void refuse(struct dma *d, uint64_t spa)
{
	/*
	 * Bits of the RMP flags and the VMG tag are not published: 0 (48882 2.5; layout from
	 * Linux amd_iommu_report_rmp_fault()). Without guest translation there is no GPA of a
	 * guest's own: the address is what the device asked for.
	 */
	(void)spa;
	cbit_iommu_log(d->q.iommu, &(struct cbit_vi_event){
					   .code = CBIT_VI_EVT_RMP_FAULT,
					   .flags = d->q.write ? CBIT_VI_EVT_RW : 0,
					   .devid = d->q.rq.devid,
					   .address = cbit_dma_iova(d),
				   });
}

bool cbit_owner_check(struct dma *d, const struct cbit_pt_leaf *leaf, uint64_t *len, bool *private)
{
	struct cbit_iommu *iommu = d->q.iommu;
	uint64_t c = iommu->owner.c_mask;
	uint64_t spa = leaf->spa.v + (cbit_dma_iova(d) - leaf->iova.v);
	enum cbit_rmp_access access = d->q.write ? CBIT_RMP_DEVICE_WRITE : CBIT_RMP_DEVICE_READ;

	for (uint64_t n = 0; n < *len;) {
		uint64_t at = spa + n;
		bool here = !(at & c) && is_private(iommu, at);

		if (cbit_rmp_check(iommu->mem, CBIT_SPA(at), access, 0, 0) != CBIT_RMP_OK) {
			if (!n) {
				*len = CBIT_PAGE_SIZE - (at & ~CBIT_PAGE_MASK) < *len
					       ? CBIT_PAGE_SIZE - (at & ~CBIT_PAGE_MASK)
					       : *len;
				refuse(d, at);
				return false;
			}
			*len = n;
			break;
		}
		/* A run is one or the other. */
		if (!n)
			*private = here;
		else if (*private != here)
			*len = n;
		n += CBIT_PAGE_SIZE - (at & ~CBIT_PAGE_MASK);
	}
	return true;
}
