/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU object, and the work that waits until its lock is free.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "../mem/view.h"

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

static void frames_free(struct cbit_iommu *iommu)
{
	cbit_mem_frames_free(iommu->drv, iommu->evt_ring, 1);
	cbit_mem_frames_free(iommu->drv, iommu->cmd_ring, 1);
	cbit_mem_frames_free(iommu->drv, iommu->devtab, DEVTAB_PAGES);
}

static int frames_alloc(struct cbit_iommu *iommu)
{
	cbit_key_t key = iommu->table_c ? CBIT_KEY_HOST : CBIT_KEY_NONE;
	int err = cbit_mem_frames_alloc(iommu->drv, DEVTAB_PAGES, key, &iommu->devtab);

	if (err)
		return err;
	err = cbit_mem_frames_alloc(iommu->drv, 1, key, &iommu->cmd_ring);
	if (err)
		goto free_devtab;
	err = cbit_mem_frames_alloc(iommu->drv, 1, key, &iommu->evt_ring);
	if (!err)
		return 0;
	cbit_mem_frames_free(iommu->drv, iommu->cmd_ring, 1);
free_devtab:
	cbit_mem_frames_free(iommu->drv, iommu->devtab, DEVTAB_PAGES);
	return err;
}

/* @drv: NULL for an IOMMU that somebody else's driver is to set up. */
static int create(struct cbit_mem *mem, struct cbit_mem *drv, bool table_c,
		  const struct cbit_observer *observer, struct cbit_iommu **out)
{
	bool driver = drv != NULL;
	const struct cbit_platform *platform = cbit_mem_platform(mem);
	struct cbit_iommu *iommu = calloc(1, sizeof(*iommu));
	int err;

	if (!iommu)
		return -ENOMEM;
	iommu->mem = mem;
	iommu->drv = driver ? drv : mem;
	iommu->out = mem;
	iommu->observer = observer;
	iommu->c_mask = cbit_platform_c_mask(platform);
	iommu->table_c = table_c;
	iommu->stale_check = true;
	iommu->watched = cbit_mem_watched_writes(mem);
	err = lock_init(&iommu->lock);
	if (err)
		goto free_iommu;
	err = driver ? frames_alloc(iommu) : 0;
	if (err)
		goto free_lock;
	iommu->driver = driver;
	err = cbit_regs_init(iommu);
	if (!err && driver)
		err = cbit_dte_init(iommu);
	if (err)
		goto free_frames;
	pthread_mutex_init(&iommu->pin_lock, NULL);
	pthread_cond_init(&iommu->pin_cond, NULL);
	pthread_mutex_init(&iommu->irt.lock, NULL);
	*out = iommu;
	return 0;

free_frames:
	if (driver)
		frames_free(iommu);
free_lock:
	pthread_rwlock_destroy(&iommu->lock);
free_iommu:
	free(iommu);
	return err;
}

int cbit_iommu_create(struct cbit_mem *mem, const struct cbit_observer *observer,
		      struct cbit_iommu **out)
{
	return create(mem, mem, cbit_mem_platform(mem)->sme, observer, out);
}

int cbit_iommu_create_reset(struct cbit_mem *mem, const struct cbit_observer *observer,
			    struct cbit_iommu **out)
{
	return create(mem, NULL, false, observer, out);
}

int cbit_iommu_create_driven(struct cbit_mem *mem, struct cbit_mem *driver, bool table_c,
			     const struct cbit_observer *observer, struct cbit_iommu **out)
{
	return create(mem, driver, table_c, observer, out);
}

void cbit_iommu_set_out(struct cbit_iommu *iommu, struct cbit_mem *out)
{
	iommu->out = out;
}

void cbit_iommu_destroy(struct cbit_iommu *iommu)
{
	if (!iommu)
		return;
	pthread_cond_destroy(&iommu->pin_cond);
	pthread_mutex_destroy(&iommu->pin_lock);
	pthread_mutex_destroy(&iommu->irt.lock);
	cbit_regs_fini(iommu);
	if (iommu->driver)
		frames_free(iommu);
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
	cbit_iommu_unlock(iommu);
}

/*
 * Until there is nothing left: a doorbell that finds the lock taken here counts on it. Only a
 * ring whose own commands write to its pointers never ends, and must not keep this thread.
 */
#define YIELDS 4

void cbit_iommu_service(struct cbit_iommu *iommu, bool wait)
{
	/* What is to be told is told by who holds no lock. */
	unsigned int mine = wait ? ~0u : ~WORK_TELL, work, yields = 0;

	while (yields < YIELDS &&
	       (work = __atomic_load_n(&iommu->work, __ATOMIC_SEQ_CST) & mine) != 0) {
		if (work & WORK_COMMANDS || !wait) {
			if (wait)
				pthread_rwlock_wrlock(&iommu->lock);
			else if (pthread_rwlock_trywrlock(&iommu->lock))
				return;
			work = __atomic_fetch_and(&iommu->work, ~WORK_COMMANDS, __ATOMIC_SEQ_CST);
			if (work & WORK_COMMANDS && !cbit_command_run(iommu))
				yields++;
			pthread_rwlock_unlock(&iommu->lock);
		}
		work = __atomic_fetch_and(&iommu->work, ~WORK_IRQ, __ATOMIC_SEQ_CST);
		if (work & WORK_IRQ && iommu->regs.irq)
			iommu->regs.irq(iommu->regs.irq_opaque);
		if (wait && work & WORK_TELL) {
			__atomic_fetch_and(&iommu->work, ~WORK_TELL, __ATOMIC_SEQ_CST);
			cbit_owner_tell(iommu);
		}
	}
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
	/* Where an address with a guest's C-bit was meant to lead. */
	uint64_t meant = spa & ~iommu->owner.c_mask;
	const struct cbit_mem_region *region = cbit_mem_find(iommu->out, CBIT_SPA(meant));
	bool c = attrs & CBIT_ATTR_ENCRYPTED;

	ev->spa.v = meant;
	ev->spa_valid = true;
	ev->c_mask = iommu->c_mask | iommu->owner.c_mask;
	ev->key_used = cbit_mem_key_name(c ? CBIT_KEY_HOST : CBIT_KEY_NONE);
	ev->key_right = cbit_mem_key_name(c ? CBIT_KEY_NONE : CBIT_KEY_HOST);
	if (region) {
		ev->region = region->name;
		ev->kind = region->kind;
	}
}
