/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges that a mapping call was refused for: the first DMA through one is told.
 */
#include <stdlib.h>

#include "internal.h"

#define WATCHES 16u

/* @told: set by whichever DMA comes first, under the lock held for reading. */
struct watch {
	struct cbit_mapping_info refused; /* size 0: free */
	const char *what;
	bool told;
};

struct watches {
	unsigned int next; /* to be taken when none is free */
	struct watch slot[WATCHES];
};

static bool overlaps(const struct watch *w, uint64_t first, uint64_t last)
{
	return w->refused.size && w->refused.iova.v <= last &&
	       w->refused.iova.v + (w->refused.size - 1) >= first;
}

static void drop(struct cbit_domain *domain, struct watch *w)
{
	if (w->refused.size && !w->told)
		domain->iommu->refused--;
	w->refused.size = 0;
	w->told = false;
}

void cbit_domain_watch(struct cbit_domain *domain, const char *what,
		       const struct cbit_mapping_info *refused)
{
	struct cbit_iommu *iommu = domain->iommu;
	struct watches *all;
	struct watch *w = NULL;

	if (!refused->size)
		return;
	pthread_rwlock_wrlock(&iommu->lock);
	if (!domain->watches)
		domain->watches = calloc(1, sizeof(*domain->watches));
	all = domain->watches;
	for (unsigned int i = 0; all && i < WATCHES; i++) {
		struct watch *at = &all->slot[i];

		/* A call made again and again is watched once. */
		if (at->refused.size == refused->size && at->refused.iova.v == refused->iova.v)
			goto out;
		if (!at->refused.size && !w)
			w = at;
	}
	if (all && !w)
		w = &all->slot[all->next++ % WATCHES];
	if (w) {
		drop(domain, w);
		w->refused = *refused;
		w->what = what;
		iommu->refused++;
	}
out:
	cbit_iommu_unlock(iommu);
}

void cbit_watch_forget(struct cbit_domain *domain, uint64_t first, uint64_t last)
{
	for (unsigned int i = 0; i < WATCHES; i++) {
		if (overlaps(&domain->watches->slot[i], first, last))
			drop(domain, &domain->watches->slot[i]);
	}
}

void cbit_watch_destroy(struct cbit_domain *domain)
{
	if (domain->watches)
		cbit_watch_forget(domain, 0, ~(uint64_t)0);
	free(domain->watches);
	domain->watches = NULL;
}

bool cbit_watch_hit(struct cbit_domain *domain, uint64_t first, uint64_t last,
		    struct cbit_mapping_info *refused, const char **what)
{
	for (unsigned int i = 0; domain->watches && i < WATCHES; i++) {
		struct watch *w = &domain->watches->slot[i];

		if (overlaps(w, first, last) &&
		    !__atomic_exchange_n(&w->told, true, __ATOMIC_RELAXED)) {
			__atomic_sub_fetch(&domain->iommu->refused, 1, __ATOMIC_RELAXED);
			*refused = w->refused;
			*what = w->what;
			return true;
		}
	}
	return false;
}
