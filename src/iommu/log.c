/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event log: a ring of 16-byte entries in modelled DRAM, written by the IOMMU and read by
 * its driver. What is in an entry: event.c.
 *
 * A log that is full sets EventOverflow and stops; nothing is written until the driver has
 * cleared EventLogEn, cleared EventOverflow by writing a one, and set EventLogEn.
 */
#include <errno.h>

#include "internal.h"

static struct cbit_bus entry_at(const struct iommu_regs *regs, uint32_t offset)
{
	return (struct cbit_bus){ (regs->evt_base & CBIT_VI_BASE_MASK) + offset };
}

static uint32_t after(const struct iommu_regs *regs, uint32_t offset)
{
	return (offset + RING_ENTRY) & (cbit_ring_bytes(regs->evt_base) - 1);
}

int cbit_iommu_log(struct cbit_iommu *iommu, const struct cbit_vi_event *ev)
{
	struct iommu_regs *regs = &iommu->regs;
	struct cbit_iommu_log_entry entry;
	int err = -ENOSPC;

	if (!cbit_vi_event_encode(ev, entry.dw))
		return -EINVAL;
	pthread_mutex_lock(&regs->lock);
	if (!(regs->status & CBIT_VI_STATUS_EVT_RUN)) {
		/* stopped: the event is lost */
	} else if (after(regs, regs->evt_tail) == regs->evt_head) {
		regs->status &= ~CBIT_VI_STATUS_EVT_RUN;
		cbit_regs_signal(iommu, CBIT_VI_STATUS_EVT_OVERFLOW, CBIT_VI_CTRL_EVT_INT);
	} else {
		/* A posted write: that nobody took it is not noticed. */
		cbit_table_write(iommu, entry_at(regs, regs->evt_tail), &entry, sizeof(entry));
		regs->evt_tail = after(regs, regs->evt_tail);
		cbit_regs_signal(iommu, CBIT_VI_STATUS_EVT_INT, CBIT_VI_CTRL_EVT_INT);
		err = 0;
	}
	pthread_mutex_unlock(&regs->lock);
	return err;
}

int cbit_iommu_log_pop(struct cbit_iommu *iommu, struct cbit_iommu_log_entry *out)
{
	static const struct cbit_iommu_log_entry none;
	struct iommu_regs *regs = &iommu->regs;
	int err = -ENOENT;

	pthread_mutex_lock(&regs->lock);
	if (regs->evt_head != regs->evt_tail &&
	    !cbit_table_read(iommu, entry_at(regs, regs->evt_head), out, sizeof(*out))) {
		/* Linux clears what it has read (erratum 732); later readers see no stale entry. */
		cbit_table_write(iommu, entry_at(regs, regs->evt_head), &none, sizeof(none));
		regs->evt_head = after(regs, regs->evt_head);
		err = 0;
	} else if (regs->status & CBIT_VI_STATUS_EVT_OVERFLOW) {
		regs->status &= ~CBIT_VI_STATUS_EVT_OVERFLOW;
		if (regs->control & CBIT_VI_CTRL_EVT_LOG && regs->control & CBIT_VI_CTRL_ENABLE)
			regs->status |= CBIT_VI_STATUS_EVT_RUN;
	}
	pthread_mutex_unlock(&regs->lock);
	return err;
}

bool cbit_log_overflow(struct cbit_iommu *iommu)
{
	return cbit_iommu_reg_read(iommu, CBIT_VI_REG_STATUS) & CBIT_VI_STATUS_EVT_OVERFLOW;
}
