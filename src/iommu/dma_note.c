/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What went wrong with a DMA: noted while the IOMMU is locked, told to the observer after.
 */
#include <errno.h>

#include "dma.h"

/* The domain whose IOVAs the request uses. */
static struct cbit_domain *owned(const struct dma *d)
{
	const struct request *q = &d->q;

	if (q->dte.state != DTE_TRANSLATE || !q->dte.mode || request_is_guest(q))
		return NULL;
	return q->iommu->domains[q->dte.domid];
}

void cbit_dma_note(struct dma *d, enum cbit_event_type type, uint64_t len,
		   const struct cbit_pt_leaf *leaf)
{
	struct cbit_iommu *iommu = d->q.iommu;
	struct cbit_event ev = {
		.type = type,
		.devid = d->q.rq.devid,
		.write = d->q.write,
		.injected = d->q.rq.unmapped,
		.pasid_valid = d->q.rq.pasid_valid,
		.pasid = d->q.rq.pasid_valid ? d->q.rq.pasid : 0,
		.iova = CBIT_IOVA(cbit_dma_iova(d)),
		.len = len,
		.c_mask = iommu->c_mask,
	};
	struct cbit_domain *domain;
	struct dma_note *last = d->n ? &d->notes[d->n - 1] : NULL;

	if (!iommu->observer || !iommu->observer->event)
		return;
	if (type == CBIT_EVENT_DMA_STALE_IOTLB) {
		struct cbit_pt_leaf now;
		struct failure f;

		if (cbit_request_walk(&d->q, ev.iova.v, 0, &now, &f) != -ENOENT)
			ev.entry_now = now.entry;
	}
	if (leaf) {
		ev.entry = leaf->entry;
		if (leaf->size)
			cbit_event_target(iommu, &ev, leaf->spa.v + (ev.iova.v - leaf->iova.v),
					  leaf->attrs);
	}
	domain = owned(d);
	if (domain && !domain->owner.describe)
		domain = NULL;
	/* A long DMA through one mistaken mapping is one event. */
	if (last && last->ev.type == type && last->domain == domain &&
	    last->ev.iova.v + last->ev.len == ev.iova.v && last->ev.region == ev.region &&
	    last->ev.key_used == ev.key_used) {
		last->ev.len += len;
		return;
	}
	if (d->n == DMA_NOTES)
		return; /* never: a chunk ends when only one is left */
	if (domain)
		cbit_domain_pin(domain);
	d->notes[d->n].ev = ev;
	d->notes[d->n++].domain = domain;
}

/* Bytes of a chunk, from @from on, have gone where a refused mapping call wanted to be. */
void cbit_dma_note_refused(struct dma *d, size_t from)
{
	struct cbit_iommu *iommu = d->q.iommu;
	struct cbit_domain *domain = owned(d);
	uint64_t first = d->iova + from, last = d->iova + (d->off - 1), end;
	struct dma_note *n = &d->notes[d->n];
	const char *what;

	if (!domain || d->off == from || d->n == DMA_NOTES || !iommu->observer ||
	    !iommu->observer->event || !cbit_watch_hit(domain, first, last, &n->refused, &what))
		return;
	end = n->refused.iova.v + (n->refused.size - 1);
	if (first < n->refused.iova.v)
		first = n->refused.iova.v;
	if (last > end)
		last = end;
	n->ev = (struct cbit_event){ .type = CBIT_EVENT_DMA_REFUSED_MAP,
				     .devid = d->q.rq.devid,
				     .write = d->q.write,
				     .iova = CBIT_IOVA(first),
				     .len = last - first + 1,
				     .c_mask = iommu->c_mask,
				     .what = what };
	n->domain = domain->owner.describe ? domain : NULL;
	if (n->domain)
		cbit_domain_pin(domain);
	d->n++;
}

bool cbit_iommu_describe(struct cbit_iommu *iommu, uint16_t devid, struct cbit_iova iova,
			 struct cbit_mapping_info *out)
{
	struct cbit_mapping_info info = { 0 };
	struct cbit_domain *domain;
	bool found = false;

	pthread_rwlock_rdlock(&iommu->lock);
	domain = iommu->domains[iommu->attached[devid]];
	if (domain)
		cbit_domain_pin(domain);
	cbit_iommu_unlock(iommu);
	if (!domain)
		return false;
	if (domain->owner.describe)
		found = domain->owner.describe(domain->owner.opaque, iova, &info);
	cbit_domain_unpin(domain);
	if (found)
		*out = info;
	return found;
}

void cbit_dma_tell(struct dma *d)
{
	const struct cbit_observer *observer = d->q.iommu->observer;

	for (unsigned int i = 0; i < d->n; i++) {
		struct dma_note *n = &d->notes[i];

		if (n->ev.type == CBIT_EVENT_DMA_REFUSED_MAP)
			n->ev.call = &n->refused;
		if (n->domain) {
			struct cbit_mapping_info info = { 0 };

			if (n->domain->owner.describe(n->domain->owner.opaque, n->ev.iova, &info))
				n->ev.mapping = info;
			cbit_domain_unpin(n->domain);
		}
		observer->event(observer->opaque, &n->ev);
	}
	d->n = 0;
}
