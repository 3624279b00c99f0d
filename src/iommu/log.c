/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event log: a ring of 16-byte entries in modelled DRAM, written by the IOMMU and read by
 * its driver. Layout: AMD I/O Virtualization Technology Specification, section 2.5; the same
 * fields as Linux decodes (iommu_print_event in drivers/iommu/amd/iommu.c).
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static cbit_key_t ring_key(const struct cbit_iommu *iommu)
{
	return iommu->sme ? CBIT_KEY_HOST : CBIT_KEY_NONE;
}

int cbit_log_init(struct cbit_iommu *iommu)
{
	int err = cbit_mem_frames_alloc(iommu->mem, 1, ring_key(iommu), &iommu->log.ring);

	if (err)
		return err;
	pthread_mutex_init(&iommu->log.lock, NULL);
	return 0;
}

void cbit_log_fini(struct cbit_iommu *iommu)
{
	pthread_mutex_destroy(&iommu->log.lock);
	cbit_mem_frames_free(iommu->mem, iommu->log.ring, 1);
}

static struct cbit_iommu_log_entry *ring(struct cbit_iommu *iommu)
{
	return cbit_mem_page(iommu->mem, cbit_mem_bus(iommu->mem, iommu->log.ring, iommu->sme));
}

void cbit_log_push(struct cbit_iommu *iommu, unsigned int code, unsigned int flags, uint16_t devid,
		   uint16_t domid, uint64_t address)
{
	struct cbit_iommu_log_entry entry = {
		.dw = { devid, code << LOG_CODE_SHIFT | flags | domid, (uint32_t)address,
			(uint32_t)(address >> 32) },
	};
	struct event_log *log = &iommu->log;
	struct cbit_iommu_log_entry *at;
	unsigned int next;

	pthread_mutex_lock(&log->lock);
	next = (log->tail + 1) % LOG_ENTRIES;
	at = ring(iommu);
	if (next == log->head || !at) {
		log->overflow = true;
	} else {
		at[log->tail] = entry;
		log->tail = next;
	}
	pthread_mutex_unlock(&log->lock);
}

int cbit_iommu_log_pop(struct cbit_iommu *iommu, struct cbit_iommu_log_entry *out)
{
	struct event_log *log = &iommu->log;
	struct cbit_iommu_log_entry *at;
	int err = -ENOENT;

	pthread_mutex_lock(&log->lock);
	at = ring(iommu);
	if (log->head != log->tail && at) {
		*out = at[log->head];
		/* Linux clears what it has read (erratum 732); later readers see no stale entry. */
		memset(&at[log->head], 0, sizeof(*at));
		log->head = (log->head + 1) % LOG_ENTRIES;
		err = 0;
	} else {
		log->overflow = false;
	}
	pthread_mutex_unlock(&log->lock);
	return err;
}

bool cbit_log_overflow(struct cbit_iommu *iommu)
{
	bool overflow;

	pthread_mutex_lock(&iommu->log.lock);
	overflow = iommu->log.overflow;
	pthread_mutex_unlock(&iommu->log.lock);
	return overflow;
}
