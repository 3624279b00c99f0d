/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU object and its device table.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

static uint64_t *dte_at(struct cbit_iommu *iommu, uint16_t devid)
{
	uint64_t offset = (uint64_t)devid * DTE_BYTES;
	struct cbit_spa page = CBIT_SPA(iommu->devtab.v + (offset & CBIT_PAGE_MASK));
	uint64_t *words = cbit_mem_page(iommu->mem, cbit_mem_bus(iommu->mem, page, iommu->sme));

	return words ? words + (offset & ~CBIT_PAGE_MASK) / sizeof(*words) : NULL;
}

/* Word 0 goes last: it holds V and the root. */
static void dte_store(struct cbit_iommu *iommu, uint16_t devid, uint64_t word0, uint64_t word1)
{
	uint64_t *dte = dte_at(iommu, devid);

	if (!dte)
		return;
	__atomic_store_n(&dte[1], word1, __ATOMIC_RELAXED);
	__atomic_store_n(&dte[0], word0, __ATOMIC_RELEASE);
}

void cbit_dte_write(struct cbit_iommu *iommu, uint16_t devid, const struct cbit_domain *domain)
{
	uint64_t root;

	if (!domain) {
		dte_store(iommu, devid, DTE_V, 0);
	} else {
		root = cbit_mem_bus(iommu->mem, cbit_pt_root(domain->pt), iommu->sme).v;
		dte_store(iommu, devid,
			  DTE_V | DTE_TV | (uint64_t)cbit_pt_mode(domain->pt) << DTE_MODE_SHIFT |
				  root | DTE_IR | DTE_IW,
			  domain->id);
	}
	/* There is no cache of DTEs to flush; the driver's command is counted all the same. */
	cbit_stat_add(&iommu->stats.invalidations, 1);
}

void cbit_dte_decode(struct cbit_iommu *iommu, uint16_t devid, struct dte *out)
{
	const uint64_t *dte = dte_at(iommu, devid);
	uint64_t word0, word1;

	*out = (struct dte){ .state = DTE_UNREADABLE };
	if (!dte)
		return;
	word0 = __atomic_load_n(&dte[0], __ATOMIC_ACQUIRE);
	word1 = __atomic_load_n(&dte[1], __ATOMIC_RELAXED);
	out->rights = CBIT_ATTR_RW;
	if (!(word0 & DTE_V)) {
		out->state = DTE_PASS;
		return;
	}
	out->domid = (uint16_t)(word1 & DTE_DOMAIN);
	out->mode = (unsigned int)(word0 >> DTE_MODE_SHIFT & DTE_MODE_MASK);
	out->root.v = word0 & DTE_ROOT;
	/* This IOMMU has no guest translation, so GV is as good as a reserved bit. */
	if (word0 & (DTE_RESERVED0 | DTE_GV) || out->mode == 7) {
		out->state = DTE_ILLEGAL;
		return;
	}
	if (!(word0 & DTE_TV)) {
		out->state = DTE_BLOCKED;
		return;
	}
	out->rights =
		(word0 & DTE_IR ? CBIT_ATTR_READ : 0) | (word0 & DTE_IW ? CBIT_ATTR_WRITE : 0);
	out->state = out->mode ? DTE_TRANSLATE : DTE_PASS;
}

static int lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;
	int err;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	err = pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return -err;
}

int cbit_iommu_create(struct cbit_mem *mem, const struct cbit_observer *observer,
		      struct cbit_iommu **out)
{
	const struct cbit_platform *platform = cbit_mem_platform(mem);
	struct cbit_iommu *iommu = calloc(1, sizeof(*iommu));
	int err;

	if (!iommu)
		return -ENOMEM;
	iommu->mem = mem;
	iommu->observer = observer;
	iommu->c_mask = cbit_platform_c_mask(platform);
	iommu->sme = platform->sme;
	err = lock_init(&iommu->lock);
	if (err)
		goto free_iommu;
	err = cbit_mem_frames_alloc(mem, DEVTAB_PAGES, iommu->sme ? CBIT_KEY_HOST : CBIT_KEY_NONE,
				    &iommu->devtab);
	if (err)
		goto free_lock;
	err = cbit_log_init(iommu);
	if (err)
		goto free_devtab;
	pthread_mutex_init(&iommu->pin_lock, NULL);
	pthread_cond_init(&iommu->pin_cond, NULL);
	for (unsigned int devid = 0; devid < DEVICES; devid++)
		dte_store(iommu, (uint16_t)devid, DTE_V, 0);
	*out = iommu;
	return 0;

free_devtab:
	cbit_mem_frames_free(mem, iommu->devtab, DEVTAB_PAGES);
free_lock:
	pthread_rwlock_destroy(&iommu->lock);
free_iommu:
	free(iommu);
	return err;
}

void cbit_iommu_destroy(struct cbit_iommu *iommu)
{
	if (!iommu)
		return;
	pthread_cond_destroy(&iommu->pin_cond);
	pthread_mutex_destroy(&iommu->pin_lock);
	cbit_log_fini(iommu);
	cbit_mem_frames_free(iommu->mem, iommu->devtab, DEVTAB_PAGES);
	pthread_rwlock_destroy(&iommu->lock);
	free(iommu);
}

void cbit_iommu_tell(struct cbit_iommu *iommu, const struct cbit_event *ev)
{
	if (iommu->observer && iommu->observer->event)
		iommu->observer->event(iommu->observer->opaque, ev);
}

struct cbit_mem *cbit_iommu_mem(struct cbit_iommu *iommu)
{
	return iommu->mem;
}

void cbit_iommu_block(struct cbit_iommu *iommu, uint16_t devid)
{
	pthread_rwlock_wrlock(&iommu->lock);
	iommu->attached[devid] = 0;
	cbit_dte_write(iommu, devid, NULL);
	pthread_rwlock_unlock(&iommu->lock);
}

void cbit_iommu_dte(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[4])
{
	const uint64_t *words;

	pthread_rwlock_rdlock(&iommu->lock);
	words = dte_at(iommu, devid);
	for (unsigned int i = 0; i < DTE_WORDS; i++)
		dte[i] = words ? __atomic_load_n(&words[i], __ATOMIC_RELAXED) : ~(uint64_t)0;
	pthread_rwlock_unlock(&iommu->lock);
}

void cbit_iommu_stats(struct cbit_iommu *iommu, struct cbit_iommu_stats *out)
{
	out->walks = __atomic_load_n(&iommu->stats.walks, __ATOMIC_RELAXED);
	out->iotlb_hits = __atomic_load_n(&iommu->stats.iotlb_hits, __ATOMIC_RELAXED);
	out->invalidations = __atomic_load_n(&iommu->stats.invalidations, __ATOMIC_RELAXED);
}

void cbit_event_target(struct cbit_iommu *iommu, struct cbit_event *ev, uint64_t spa,
		       unsigned int attrs)
{
	const struct cbit_mem_region *region = cbit_mem_find(iommu->mem, CBIT_SPA(spa));
	bool c = attrs & CBIT_ATTR_ENCRYPTED;

	ev->spa.v = spa;
	ev->spa_valid = true;
	ev->c_mask = iommu->c_mask;
	ev->key_used = cbit_mem_key_name(c ? CBIT_KEY_HOST : CBIT_KEY_NONE);
	ev->key_right = cbit_mem_key_name(c ? CBIT_KEY_NONE : CBIT_KEY_HOST);
	if (region) {
		ev->region = region->name;
		ev->kind = region->kind;
	}
}
