/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register file: what a read gives, what a write does, and the window in the address map
 * (AMD I/O Virtualization Technology Specification, section 3.4).
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define WINDOW_ALIGN ((uint64_t)CBIT_VI_WINDOW - 1)

/* Bits that software may set. Those that only tune the bus are kept and mean nothing here. */
#define CTRL_BUS \
	(CBIT_VI_BIT(1) | UINT64_C(7) << 5 | CBIT_VI_BIT(8) | CBIT_VI_BIT(9) | CBIT_VI_BIT(11))
#define CTRL_WRITABLE                                                                         \
	(CBIT_VI_CTRL_ENABLE | CBIT_VI_CTRL_EVT_LOG | CBIT_VI_CTRL_EVT_INT |                  \
	 CBIT_VI_CTRL_WAIT_INT | CBIT_VI_CTRL_COHERENT | CBIT_VI_CTRL_CMD | CBIT_VI_CTRL_GT | \
	 CBIT_VI_CTRL_GA | CBIT_VI_CTRL_IRT_MASK | CBIT_VI_CTRL_XT | CBIT_VI_CTRL_GCR3_GPA |  \
	 CBIT_VI_CTRL_IRT_UNCACHED | CTRL_BUS)

#define STATUS_W1C (CBIT_VI_STATUS_EVT_OVERFLOW | CBIT_VI_STATUS_EVT_INT | CBIT_VI_STATUS_WAIT_INT)

int cbit_regs_init(struct cbit_iommu *iommu)
{
	struct iommu_regs *regs = &iommu->regs;
	uint64_t len = (uint64_t)RING_LG2 << CBIT_VI_RING_SHIFT;
	int err = pthread_mutex_init(&regs->lock, NULL);

	if (err || !iommu->driver)
		return -err;
	regs->devtab = cbit_driver_bus(iommu, iommu->devtab).v | (DEVTAB_PAGES - 1);
	regs->cmd_base = cbit_driver_bus(iommu, iommu->cmd_ring).v | len;
	regs->evt_base = cbit_driver_bus(iommu, iommu->evt_ring).v | len;
	regs->control = CBIT_VI_CTRL_ENABLE | CBIT_VI_CTRL_EVT_LOG | CBIT_VI_CTRL_COHERENT |
			CBIT_VI_CTRL_CMD | CBIT_VI_CTRL_GT;
	regs->status = CBIT_VI_STATUS_EVT_RUN | CBIT_VI_STATUS_CMD_RUN;
	return 0;
}

void cbit_regs_fini(struct cbit_iommu *iommu)
{
	pthread_mutex_destroy(&iommu->regs.lock);
}

void cbit_iommu_on_irq(struct cbit_iommu *iommu, void (*irq)(void *opaque), void *opaque)
{
	iommu->regs.irq = irq;
	iommu->regs.irq_opaque = opaque;
}

void cbit_regs_signal(struct cbit_iommu *iommu, uint64_t status, uint64_t enable)
{
	struct iommu_regs *regs = &iommu->regs;

	/* A message goes out when the bit becomes set; until it is cleared there is no other. */
	if (!(regs->status & status) && regs->control & enable)
		cbit_iommu_work(iommu, WORK_IRQ);
	regs->status |= status;
}

/* --- reading --- */

static uint64_t reg_get(const struct iommu_regs *regs, unsigned int offset)
{
	switch (offset) {
	case CBIT_VI_REG_DEVTAB:
		return regs->devtab;
	case CBIT_VI_REG_CMD_BASE:
		return regs->cmd_base;
	case CBIT_VI_REG_EVT_BASE:
		return regs->evt_base;
	case CBIT_VI_REG_CONTROL:
		return regs->control;
	case CBIT_VI_REG_EFR:
		return CBIT_IOMMU_EFR;
	case CBIT_VI_REG_EFR2:
		return CBIT_IOMMU_EFR2;
	case CBIT_VI_REG_CMD_HEAD:
		return regs->cmd_head;
	case CBIT_VI_REG_CMD_TAIL:
		return regs->cmd_tail;
	case CBIT_VI_REG_EVT_HEAD:
		return regs->evt_head;
	case CBIT_VI_REG_EVT_TAIL:
		return regs->evt_tail;
	case CBIT_VI_REG_STATUS:
		return regs->status;
	default:
		return 0;
	}
}

uint64_t cbit_iommu_reg_read(struct cbit_iommu *iommu, unsigned int offset)
{
	uint64_t value;

	pthread_mutex_lock(&iommu->regs.lock);
	value = reg_get(&iommu->regs, offset);
	pthread_mutex_unlock(&iommu->regs.lock);
	return value;
}

/* --- writing --- */

static bool on(uint64_t control, uint64_t bit)
{
	return control & CBIT_VI_CTRL_ENABLE && control & bit;
}

static void set_control(struct cbit_iommu *iommu, uint64_t value)
{
	struct iommu_regs *regs = &iommu->regs;
	uint64_t old = regs->control;

	value &= CTRL_WRITABLE;
	/* 2 and 3 are reserved encodings of NumIntRemapMode. */
	if (value & CBIT_VI_CTRL_IRT_MASK & ~CBIT_VI_CTRL_IRT_2K)
		value &= ~CBIT_VI_CTRL_IRT_MASK;
	__atomic_store_n(&regs->control, value, __ATOMIC_RELAXED);
	if (!on(value, CBIT_VI_CTRL_EVT_LOG))
		regs->status &= ~CBIT_VI_STATUS_EVT_RUN;
	else if (!on(old, CBIT_VI_CTRL_EVT_LOG) && !(regs->status & CBIT_VI_STATUS_EVT_OVERFLOW))
		regs->status |= CBIT_VI_STATUS_EVT_RUN;
	if (!on(value, CBIT_VI_CTRL_CMD)) {
		regs->status &= ~CBIT_VI_STATUS_CMD_RUN;
	} else if (!on(old, CBIT_VI_CTRL_CMD)) {
		regs->status |= CBIT_VI_STATUS_CMD_RUN;
		cbit_iommu_work(iommu, WORK_COMMANDS);
	}
}

/* A pointer into the ring at @base. */
static uint32_t pointer(uint64_t base, uint64_t value)
{
	return (uint32_t)(value & CBIT_VI_PTR_MASK) & (cbit_ring_bytes(base) - 1);
}

static void reg_set(struct cbit_iommu *iommu, unsigned int offset, uint64_t value)
{
	struct iommu_regs *regs = &iommu->regs;

	switch (offset) {
	case CBIT_VI_REG_DEVTAB:
		__atomic_store_n(&regs->devtab, value & (CBIT_VI_BASE_MASK | CBIT_VI_DEVTAB_SIZE),
				 __ATOMIC_RELAXED);
		break;
	case CBIT_VI_REG_CMD_BASE:
		regs->cmd_base = value & (CBIT_VI_BASE_MASK | CBIT_VI_RING_LEN);
		regs->cmd_head = 0;
		regs->cmd_tail = 0;
		break;
	case CBIT_VI_REG_EVT_BASE:
		regs->evt_base = value & (CBIT_VI_BASE_MASK | CBIT_VI_RING_LEN);
		regs->evt_head = 0;
		regs->evt_tail = 0;
		break;
	case CBIT_VI_REG_CONTROL:
		set_control(iommu, value);
		break;
	case CBIT_VI_REG_CMD_HEAD:
		regs->cmd_head = pointer(regs->cmd_base, value);
		break;
	case CBIT_VI_REG_CMD_TAIL:
		regs->cmd_tail = pointer(regs->cmd_base, value);
		cbit_iommu_work(iommu, WORK_COMMANDS);
		break;
	case CBIT_VI_REG_EVT_HEAD:
		regs->evt_head = pointer(regs->evt_base, value);
		break;
	case CBIT_VI_REG_EVT_TAIL:
		regs->evt_tail = pointer(regs->evt_base, value);
		break;
	case CBIT_VI_REG_STATUS:
		regs->status &= ~(value & STATUS_W1C);
		break;
	default:
		break;
	}
}

/* @mask: bytes of the register that are written, the others of a W1C register count as 0. */
static void reg_write(struct cbit_iommu *iommu, unsigned int offset, uint64_t value, uint64_t mask)
{
	struct iommu_regs *regs = &iommu->regs;

	pthread_mutex_lock(&regs->lock);
	if (offset != CBIT_VI_REG_STATUS)
		value |= reg_get(regs, offset) & ~mask;
	reg_set(iommu, offset, value);
	pthread_mutex_unlock(&regs->lock);
	/* This may be a DMA's thread, in the midst of it. */
	cbit_iommu_service(iommu, false);
}

void cbit_iommu_reg_write(struct cbit_iommu *iommu, unsigned int offset, uint64_t value)
{
	reg_write(iommu, offset, value, ~UINT64_C(0));
}

/* --- the window --- */

static size_t part(uint64_t offset, size_t len)
{
	size_t room = 8 - (size_t)(offset & 7);

	return len < room ? len : room;
}

static int window_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	struct cbit_iommu *iommu = opaque;
	uint8_t *p = buf;

	while (len) {
		size_t n = part(offset, len);
		uint64_t value = cbit_iommu_reg_read(iommu, (unsigned int)(offset & ~UINT64_C(7)));

		memcpy(p, (const uint8_t *)&value + (offset & 7), n);
		offset += n;
		p += n;
		len -= n;
	}
	return 0;
}

static int window_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	struct cbit_iommu *iommu = opaque;
	const uint8_t *p = buf;

	while (len) {
		size_t n = part(offset, len);
		uint64_t value = 0, mask = 0;

		memcpy((uint8_t *)&value + (offset & 7), p, n);
		memset((uint8_t *)&mask + (offset & 7), 0xff, n);
		reg_write(iommu, (unsigned int)(offset & ~UINT64_C(7)), value, mask);
		offset += n;
		p += n;
		len -= n;
	}
	return 0;
}

int cbit_iommu_map_registers(struct cbit_iommu *iommu, struct cbit_spa base, struct cbit_error *err)
{
	static const struct cbit_mem_ops ops = { .read = window_read, .write = window_write };
	struct cbit_mem_region_desc desc = {
		.kind = CBIT_MEM_MMIO,
		.base = base,
		.size = CBIT_VI_WINDOW,
		.name = "iommu registers",
		.ops = &ops,
		.opaque = iommu,
	};
	int ret;

	if (iommu->regs.mapped)
		return cbit_error_set(err, -EBUSY, "iommu registers: they have a window already");
	if (base.v & WINDOW_ALIGN)
		return cbit_error_set(err, -EINVAL,
				      "iommu registers: base 0x%llx is not a multiple of 0x%x",
				      (unsigned long long)base.v, CBIT_VI_WINDOW);
	ret = cbit_mem_add_region(iommu->mem, &desc, err);
	iommu->regs.mapped = !ret;
	return ret;
}
