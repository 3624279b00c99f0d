/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Domains: a page table, a domain id and the devices that use them.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "../mem/view.h"

#define CHECK_BATCH 32

/* --- what the IOTLB was not told --- */

static void set_deferred(struct cbit_domain *domain, bool deferred)
{
	domain->iommu->deferred += (unsigned int)deferred - (unsigned int)domain->deferred;
	domain->deferred = deferred;
}

void cbit_domain_flushed(struct cbit_iommu *iommu, uint16_t domid, uint64_t first, uint64_t last)
{
	struct cbit_domain *domain = iommu->domains[domid];

	if (domain && domain->deferred && first <= domain->first && last >= domain->last)
		set_deferred(domain, false);
}

void cbit_domain_flushed_all(struct cbit_iommu *iommu)
{
	/* Before the entries go: a write that comes later is not overlooked. */
	iommu->watched = cbit_mem_watched_writes(iommu->mem);
	cbit_iotlb_invalidate_all(&iommu->iotlb);
	for (unsigned int id = 1; iommu->deferred && id < DEVICES; id++)
		cbit_domain_flushed(iommu, (uint16_t)id, 0, ~(uint64_t)0);
}

/* The part of a flush that there seldom is. */
static __attribute__((noinline)) void flush_rest(struct cbit_domain *domain, uint64_t first,
						 uint64_t last)
{
	cbit_iotlb_invalidate_guests(&domain->iommu->iotlb, domain->id);
	cbit_domain_flushed(domain->iommu, domain->id, first, last);
}

/* With the lock held for writing. @last is inclusive. */
static inline void flush(struct cbit_domain *domain, uint64_t first, uint64_t last)
{
	struct cbit_iommu *iommu = domain->iommu;

	cbit_iotlb_invalidate_range(&iommu->iotlb, iotlb_host(domain->id), first, last);
	cbit_stat_add(&iommu->stats.invalidations, 1);
	if (__builtin_expect(iommu->iotlb.guests | domain->deferred, 0))
		flush_rest(domain, first, last);
	/* Until then an entry of a table that is gone may still be in use. */
	if (!domain->deferred)
		cbit_pt_gather_free(domain->pt);
}

/* --- making and unmaking --- */

/* With the lock held for writing. */
static void rewrite_dtes(struct cbit_domain *domain)
{
	struct cbit_iommu *iommu = domain->iommu;

	for (unsigned int devid = 0; devid < DEVICES; devid++)
		if (iommu->attached[devid] == domain->id)
			cbit_dte_write(iommu, (uint16_t)devid, domain);
}

/*
 * The top grew: each attached device's DTE holds the old root. Called from within a map, so
 * the lock is held for writing. The IOTLB holds leaves only and those have not moved; the
 * driver flushes the domain all the same, as hardware caches upper levels too.
 */
static void top_changed(void *opaque, struct cbit_pt *pt)
{
	struct cbit_domain *domain = opaque;
	struct cbit_iommu *iommu = domain->iommu;

	(void)pt;
	rewrite_dtes(domain);
	cbit_iotlb_invalidate_domain(&iommu->iotlb, domain->id);
	cbit_stat_add(&iommu->stats.invalidations, 1);
	if (domain->deferred)
		set_deferred(domain, false);
}

static int take_id(struct cbit_iommu *iommu, struct cbit_domain *domain)
{
	for (unsigned int id = 1; id < DEVICES; id++) {
		if (!iommu->domains[id]) {
			iommu->domains[id] = domain;
			domain->id = (uint16_t)id;
			return 0;
		}
	}
	return -ENOSPC;
}

int cbit_domain_create(struct cbit_iommu *iommu, const struct cbit_domain_owner *owner,
		       struct cbit_domain **out)
{
	struct cbit_domain *domain = calloc(1, sizeof(*domain));
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1,
		.mode = 3, /* Linux: amd_iommu_domain_alloc_paging_v1(), starting_level */
		.max_mode = 6,
		.table_c = iommu->table_c,
		.top_changed = top_changed,
		.opaque = domain,
	};
	int err;

	if (!domain)
		return -ENOMEM;
	domain->iommu = iommu;
	if (owner)
		domain->owner = *owner;
	err = cbit_pt_create(iommu->drv, &cfg, &domain->pt);
	if (err)
		goto free_domain;
	pthread_rwlock_wrlock(&iommu->lock);
	err = take_id(iommu, domain);
	cbit_iommu_unlock(iommu);
	if (err)
		goto free_pt;
	*out = domain;
	return 0;

free_pt:
	cbit_pt_destroy(domain->pt);
free_domain:
	free(domain);
	return err;
}

void cbit_domain_pin(struct cbit_domain *domain)
{
	pthread_mutex_lock(&domain->iommu->pin_lock);
	domain->pins++;
	pthread_mutex_unlock(&domain->iommu->pin_lock);
}

void cbit_domain_unpin(struct cbit_domain *domain)
{
	struct cbit_iommu *iommu = domain->iommu;

	pthread_mutex_lock(&iommu->pin_lock);
	if (!--domain->pins)
		pthread_cond_broadcast(&iommu->pin_cond);
	pthread_mutex_unlock(&iommu->pin_lock);
}

void cbit_domain_destroy(struct cbit_domain *domain)
{
	struct cbit_iommu *iommu;

	if (!domain)
		return;
	iommu = domain->iommu;
	pthread_rwlock_wrlock(&iommu->lock);
	for (unsigned int devid = 0; devid < DEVICES; devid++) {
		if (iommu->attached[devid] == domain->id) {
			iommu->attached[devid] = 0;
			cbit_dte_write(iommu, (uint16_t)devid, NULL);
		}
	}
	cbit_iotlb_invalidate_domain(&iommu->iotlb, domain->id);
	cbit_stat_add(&iommu->stats.invalidations, 1);
	set_deferred(domain, false);
	iommu->domains[domain->id] = NULL;
	cbit_watch_destroy(domain);
	cbit_iommu_unlock(iommu);

	/* No DMA finds the domain any more; those that did may still be asking its owner. */
	pthread_mutex_lock(&iommu->pin_lock);
	while (domain->pins)
		pthread_cond_wait(&iommu->pin_cond, &iommu->pin_lock);
	pthread_mutex_unlock(&iommu->pin_lock);
	cbit_pt_destroy(domain->pt);
	free(domain);
}

struct cbit_pt *cbit_domain_pt(struct cbit_domain *domain)
{
	return domain->pt;
}

int cbit_domain_attach(struct cbit_domain *domain, uint16_t devid)
{
	struct cbit_iommu *iommu = domain->iommu;

	pthread_rwlock_wrlock(&iommu->lock);
	iommu->attached[devid] = domain->id;
	cbit_dte_write(iommu, devid, domain);
	cbit_iommu_unlock(iommu);
	return 0;
}

void cbit_domain_set_dirty_tracking(struct cbit_domain *domain, bool on)
{
	struct cbit_iommu *iommu = domain->iommu;

	pthread_rwlock_wrlock(&iommu->lock);
	if (domain->dirty != on) {
		domain->dirty = on;
		rewrite_dtes(domain);
		flush(domain, 0, ~(uint64_t)0);
	}
	cbit_iommu_unlock(iommu);
}

int cbit_domain_read_dirty(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
			   const struct cbit_pt_dirty *req)
{
	struct cbit_iommu *iommu = domain->iommu;
	int err;

	pthread_rwlock_wrlock(&iommu->lock);
	err = cbit_pt_read_dirty(domain->pt, iova, len, req);
	/* What the IOTLB has as dirty would not be marked again. */
	if (!err && len && !(req->flags & CBIT_PT_DIRTY_NO_CLEAR))
		flush(domain, iova.v, iova.v + (len - 1));
	cbit_iommu_unlock(iommu);
	return err;
}

/* With the lock held for writing. */
static int unmap(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
		 uint64_t *unmapped)
{
	int err = cbit_pt_unmap(domain->pt, iova, len, unmapped);

	if (err || !len)
		return err;
	if (domain->watches)
		cbit_watch_forget(domain, iova.v, iova.v + (len - 1));
	/* A leaf that reaches beyond the range went too: it overlaps the range, so it is hit. */
	flush(domain, iova.v, iova.v + (len - 1));
	return 0;
}

int cbit_domain_map(struct cbit_domain *domain, struct cbit_iova iova, struct cbit_spa spa,
		    uint64_t len, unsigned int attrs)
{
	struct cbit_iommu *iommu = domain->iommu;
	uint64_t mapped;
	int err;

	pthread_rwlock_wrlock(&iommu->lock);
	err = cbit_pt_map(domain->pt, iova, spa, len, attrs, &mapped);
	if (err && mapped)
		unmap(domain, iova, mapped, NULL);
	else if (!err && len && domain->watches)
		cbit_watch_forget(domain, iova.v, iova.v + (len - 1));
	cbit_iommu_unlock(iommu);
	return err;
}

int cbit_domain_unmap(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
		      uint64_t *unmapped)
{
	struct cbit_iommu *iommu = domain->iommu;
	int err;

	pthread_rwlock_wrlock(&iommu->lock);
	err = unmap(domain, iova, len, unmapped);
	cbit_iommu_unlock(iommu);
	return err;
}

int cbit_domain_unmap_deferred(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
			       uint64_t *unmapped)
{
	struct cbit_iommu *iommu = domain->iommu;
	uint64_t last = iova.v + (len - 1);
	int err;

	pthread_rwlock_wrlock(&iommu->lock);
	err = cbit_pt_unmap(domain->pt, iova, len, unmapped);
	if (!err && len) {
		if (!domain->deferred || iova.v < domain->first)
			domain->first = iova.v;
		if (!domain->deferred || last > domain->last)
			domain->last = last;
		set_deferred(domain, true);
		if (domain->watches)
			cbit_watch_forget(domain, iova.v, last);
	}
	cbit_iommu_unlock(iommu);
	return err;
}

void cbit_domain_flush(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len)
{
	uint64_t last = iova.v + (len - 1);

	pthread_rwlock_wrlock(&domain->iommu->lock);
	flush(domain, iova.v, last < iova.v || !len ? ~(uint64_t)0 : last);
	cbit_iommu_unlock(domain->iommu);
}

/* --- decoding of what was mapped --- */

struct check {
	struct cbit_domain *domain;
	const struct cbit_mapping_info *info;
	uint64_t at;
	uint64_t last;
	bool end;
	unsigned int n;
	struct cbit_event events[CHECK_BATCH];
};

/* False when there is no room for another event. */
static bool check_add(struct check *c, uint64_t iova, uint64_t len, uint64_t spa,
		      const struct cbit_pt_leaf *leaf)
{
	struct cbit_event *ev = c->n ? &c->events[c->n - 1] : NULL;

	if (ev && ev->iova.v + ev->len == iova && ev->spa.v + ev->len == spa) {
		const struct cbit_mem_region *region =
			cbit_mem_find(c->domain->iommu->mem, CBIT_SPA(spa));

		if (region && region->name == ev->region) {
			ev->len += len;
			return true;
		}
	}
	if (c->n == CHECK_BATCH)
		return false;
	ev = &c->events[c->n++];
	*ev = (struct cbit_event){
		.type = CBIT_EVENT_MMIO_ENCRYPTED,
		.iova = CBIT_IOVA(iova),
		.len = len,
		.entry = leaf->entry,
		.write = leaf->attrs & CBIT_ATTR_WRITE,
	};
	if (c->info)
		ev->mapping = *c->info;
	cbit_event_target(c->domain->iommu, ev, spa, leaf->attrs);
	return true;
}

/* One piece: from c->at to the end of a leaf, a region or the range, whichever is first. */
static bool check_step(struct check *c)
{
	struct cbit_mem *mem = c->domain->iommu->mem;
	const struct cbit_mem_region *region;
	struct cbit_pt_leaf leaf;
	uint64_t piece, spa, offset = 0;
	int err = cbit_pt_walk(c->domain->pt, CBIT_IOVA(c->at), &leaf);

	if (err == -EIO) {
		piece = CBIT_PAGE_SIZE - (c->at & ~CBIT_PAGE_MASK);
	} else {
		offset = c->at - leaf.iova.v;
		piece = leaf.size - offset;
		if (c->last - c->at < piece - 1)
			piece = c->last - c->at + 1;
	}
	if (!err) {
		spa = leaf.spa.v + offset;
		region = cbit_mem_find(mem, CBIT_SPA(spa));
		if (region && region->base.v + region->size - spa < piece)
			piece = region->base.v + region->size - spa;
		if (region && !region->encrypts && leaf.attrs & CBIT_ATTR_ENCRYPTED &&
		    !check_add(c, c->at, piece, spa, &leaf))
			return false;
	}
	if (c->last - c->at < piece)
		c->end = true;
	c->at += piece;
	return true;
}

void cbit_domain_check(struct cbit_domain *domain, struct cbit_iova iova, uint64_t len,
		       const struct cbit_mapping_info *info)
{
	struct cbit_iommu *iommu = domain->iommu;
	struct check c = { .domain = domain, .info = info, .at = iova.v };

	if (!iommu->observer || !iommu->observer->event || !len || !iommu->c_mask)
		return;
	c.last = iova.v + (len - 1);
	if (c.last < iova.v)
		c.last = ~(uint64_t)0;
	while (!c.end) {
		c.n = 0;
		pthread_rwlock_rdlock(&iommu->lock);
		while (!c.end && check_step(&c))
			;
		cbit_iommu_unlock(iommu);
		for (unsigned int i = 0; i < c.n; i++)
			iommu->observer->event(iommu->observer->opaque, &c.events[i]);
	}
}
