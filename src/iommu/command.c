/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command ring (AMD I/O Virtualization Technology Specification, section 2.4): commands of
 * 16 bytes between head and tail, carried out in order.
 *
 * The first that is illegal, or cannot be read, stops the ring: CmdBufRun is cleared, head
 * stays at it, and the event log names its address as the base register has it (Linux strips
 * the C-bit: dump_command() in drivers/iommu/amd/iommu.c).
 */
#include <errno.h>

#include "internal.h"

/* --- the commands --- */

static void completion_wait(struct cbit_iommu *iommu, const uint32_t dw[4])
{
	uint64_t data = (uint64_t)dw[3] << 32 | dw[2];
	struct cbit_bus at = { (uint64_t)(dw[1] & 0xfffff) << 32 | (dw[0] & ~UINT32_C(7)) };

	/*
	 * Commands are carried out in order and with no DMA under way, so there is nothing left
	 * to wait for. The store is posted: where nobody takes it, nobody is told.
	 */
	if (dw[0] & CBIT_VI_WAIT_STORE)
		cbit_mem_write(iommu->mem, at, &data, sizeof(data));
	if (dw[0] & CBIT_VI_WAIT_INT) {
		pthread_mutex_lock(&iommu->regs.lock);
		cbit_regs_signal(iommu, CBIT_VI_STATUS_WAIT_INT, CBIT_VI_CTRL_WAIT_INT);
		pthread_mutex_unlock(&iommu->regs.lock);
	}
}

static void invalidate_devtab(struct cbit_iommu *iommu, const uint32_t dw[4])
{
	cbit_dte_forget(iommu, (uint16_t)dw[0]);
	cbit_stat_add(&iommu->stats.invalidations, 1);
}

/*
 * With S the size is in the address: the lowest clear bit, counted from bit 12, is half of it.
 * With GN the address is a GVA of a PASID, else a GPA or IOVA of the host's tables, and what the
 * IOTLB has of guests by way of them goes, too. The PDE bit asks for cached upper levels too, of
 * which there are none.
 */
static void invalidate_pages(struct cbit_iommu *iommu, const uint32_t dw[4])
{
	uint64_t address = (uint64_t)dw[3] << 32 | (dw[2] & ~UINT32_C(0xfff));
	uint64_t rest = CBIT_PAGE_SIZE - 1;
	uint16_t domid = (uint16_t)dw[1];

	if (dw[2] & CBIT_VI_PAGES_S) {
		uint64_t zeros = ~(address | rest);

		/* Bits up to and with the lowest zero; all of them if that is bit 63 or none. */
		rest = zeros ? zeros ^ (zeros - 1) : ~UINT64_C(0);
	}
	if (dw[2] & CBIT_VI_PAGES_GN) {
		cbit_iotlb_invalidate_range(&iommu->iotlb, iotlb_guest(domid, dw[0] & 0xfffff),
					    address & ~rest, address | rest);
	} else {
		cbit_iotlb_invalidate_range(&iommu->iotlb, iotlb_host(domid), address & ~rest,
					    address | rest);
		/* Which of these came by way of such a GPA is not known. */
		cbit_iotlb_invalidate_guests(&iommu->iotlb, domid);
		cbit_domain_flushed(iommu, domid, address & ~rest, address | rest);
	}
	cbit_stat_add(&iommu->stats.invalidations, 1);
}

static void invalidate_irt(struct cbit_iommu *iommu, const uint32_t dw[4])
{
	cbit_irt_forget(iommu, (uint16_t)dw[0]);
	cbit_stat_add(&iommu->stats.invalidations, 1);
}

static void invalidate_all(struct cbit_iommu *iommu, const uint32_t dw[4])
{
	(void)dw;
	cbit_dte_forget_all(iommu);
	cbit_irt_forget_all(iommu);
	cbit_domain_flushed_all(iommu);
	cbit_stat_add(&iommu->stats.invalidations, 1);
}

/*
 * What this IOMMU understands. Not in the list, and so illegal: INVALIDATE_IOTLB_PAGES (no
 * device has an IOTLB of its own: capability IotlbSup is 0), PREFETCH_IOMMU_PAGES (PreFSup),
 * COMPLETE_PPR_REQUEST (PPRSup).
 * @reserved: bits that must be zero.
 */
static const struct command {
	uint32_t reserved[4];
	void (*run)(struct cbit_iommu *iommu, const uint32_t dw[4]);
} commands[16] = {
	[CBIT_VI_CMD_COMPLETION_WAIT] = { { 0, 0x0ff00000, 0, 0 }, completion_wait },
	[CBIT_VI_CMD_INVALIDATE_DEVTAB] = { { 0xffff0000, 0x0fffffff, ~0u, ~0u },
					    invalidate_devtab },
	[CBIT_VI_CMD_INVALIDATE_PAGES] = { { 0xfff00000, 0x0fff0000, 0xff8, 0 }, invalidate_pages },
	[CBIT_VI_CMD_INVALIDATE_IRT] = { { 0xffff0000, 0x0fffffff, ~0u, ~0u }, invalidate_irt },
	[CBIT_VI_CMD_INVALIDATE_ALL] = { { ~0u, 0x0fffffff, ~0u, ~0u }, invalidate_all },
};

static bool legal(const uint32_t dw[4])
{
	const struct command *c = &commands[dw[1] >> CBIT_VI_CMD_SHIFT];

	if (!c->run)
		return false;
	for (unsigned int i = 0; i < 4; i++)
		if (dw[i] & c->reserved[i])
			return false;
	return true;
}

/* --- the ring --- */

static void stop(struct cbit_iommu *iommu, unsigned int code, unsigned int flags,
		 struct cbit_bus at)
{
	pthread_mutex_lock(&iommu->regs.lock);
	iommu->regs.status &= ~CBIT_VI_STATUS_CMD_RUN;
	pthread_mutex_unlock(&iommu->regs.lock);
	cbit_iommu_log(iommu,
		       &(struct cbit_vi_event){ .code = code, .flags = flags, .address = at.v });
}

/* False when the ring is empty or stopped. */
static bool next(struct cbit_iommu *iommu, uint32_t *head, struct cbit_bus *at)
{
	struct iommu_regs *regs = &iommu->regs;
	bool there;

	pthread_mutex_lock(&regs->lock);
	there = regs->status & CBIT_VI_STATUS_CMD_RUN && regs->cmd_head != regs->cmd_tail;
	*head = regs->cmd_head;
	at->v = (regs->cmd_base & CBIT_VI_BASE_MASK) + *head;
	pthread_mutex_unlock(&regs->lock);
	return there;
}

/* Fetched: unless the driver has moved head meanwhile, it goes on. */
static void advance(struct cbit_iommu *iommu, uint32_t head)
{
	struct iommu_regs *regs = &iommu->regs;

	pthread_mutex_lock(&regs->lock);
	if (regs->cmd_head == head)
		regs->cmd_head = (head + RING_ENTRY) & (cbit_ring_bytes(regs->cmd_base) - 1);
	pthread_mutex_unlock(&regs->lock);
}

bool cbit_command_run(struct cbit_iommu *iommu)
{
	/* A ring that feeds itself yields to others after one round. */
	uint64_t round =
		cbit_ring_bytes(cbit_iommu_reg_read(iommu, CBIT_VI_REG_CMD_BASE)) / RING_ENTRY;
	struct cbit_bus at;
	uint32_t dw[4], head;

	for (uint64_t n = 0; next(iommu, &head, &at); n++) {
		if (n == round) {
			cbit_iommu_work(iommu, WORK_COMMANDS);
			return false;
		}
		if (cbit_table_read(iommu, at, dw, sizeof(dw))) {
			stop(iommu, CBIT_VI_EVT_COMMAND_HW_ERROR, CBIT_VI_EVT_MASTER_ABORT, at);
			return true;
		}
		if (!legal(dw)) {
			stop(iommu, CBIT_VI_EVT_ILLEGAL_COMMAND, 0, at);
			return true;
		}
		advance(iommu, head);
		commands[dw[1] >> CBIT_VI_CMD_SHIFT].run(iommu, dw);
	}
	return true;
}

static int put(struct cbit_iommu *iommu, const uint32_t dw[4])
{
	struct iommu_regs *regs = &iommu->regs;
	uint32_t next_tail = (regs->cmd_tail + RING_ENTRY) & (cbit_ring_bytes(regs->cmd_base) - 1);
	struct cbit_bus at = { (regs->cmd_base & CBIT_VI_BASE_MASK) + regs->cmd_tail };

	if (!(regs->status & CBIT_VI_STATUS_CMD_RUN))
		return -EIO;
	if (next_tail == regs->cmd_head)
		return -EAGAIN;
	if (cbit_table_write(iommu, at, dw, RING_ENTRY))
		return -EFAULT;
	regs->cmd_tail = next_tail;
	return 0;
}

int cbit_iommu_command(struct cbit_iommu *iommu, const uint32_t dw[4])
{
	int err;

	pthread_mutex_lock(&iommu->regs.lock);
	err = put(iommu, dw);
	pthread_mutex_unlock(&iommu->regs.lock);
	if (err)
		return err;
	cbit_iommu_work(iommu, WORK_COMMANDS);
	cbit_iommu_service(iommu, true);
	return cbit_iommu_reg_read(iommu, CBIT_VI_REG_STATUS) & CBIT_VI_STATUS_CMD_RUN ? 0 : -EIO;
}
