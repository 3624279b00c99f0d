/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioat: an Intel I/OAT copy engine with one channel: options, registers, reset.
 *
 * BAR0 registers; BAR2 plain memory where "membar" asks for it, as a target for other devices;
 * BAR4 the MSI-X table. The engine is in ioat_engine.c.
 */
#include "ioat.h"
#include "models.h"
#include "pci_fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REG_BAR_SIZE    0x4000u
#define MSIX_BAR_SIZE   0x4000u
#define MSIX_BAR        4
#define MSIX_VECTORS    16u
#define MEM_BAR         2
#define MEM_BAR_MIN     ((uint64_t)64 << 10)
#define MEM_BAR_MAX     ((uint64_t)64 << 30)
#define DEFAULT_VERSION 0x33

static int ioat_create(struct cbit_pci *pci)
{
	struct ioat *ioat = calloc(1, sizeof(*ioat));

	pci->state = ioat;
	if (!ioat)
		return -ENOMEM;
	ioat->pci = pci;
	ioat->version = DEFAULT_VERSION;
	pci->ids = (struct cbit_pci_ids){
		.vendor = IOAT_VENDOR,
		.device = IOAT_DEVICE,
		.subsystem_vendor = IOAT_VENDOR,
		.subsystem_device = IOAT_DEVICE,
		.class_code = IOAT_CLASS,
		.revision = 4,
	};
	pci->bar[0] = (struct cbit_bar_info){
		.mode = CBIT_BAR_TRAPPED,
		.size = REG_BAR_SIZE,
		.is64 = true,
	};
	pci->bar[MSIX_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_MEMORY,
		.size = MSIX_BAR_SIZE,
		.is64 = true,
	};
	pci->msix_bar = MSIX_BAR;
	pci->irqs[PCI_IRQ_INTX] = 1;
	pci->irqs[PCI_IRQ_MSI] = 1;
	pci->irqs[PCI_IRQ_MSIX] = MSIX_VECTORS;
	pci_config_declare(pci, IOAT_PCI_DMAUNCERRSTS, 0, ~0u);
	pci_config_declare(pci, IOAT_PCI_CHANERR_INT, 0, ~0u);
	pci_config_declare(pci, IOAT_PCI_CHANERRMASK_INT, ~0u, 0);
	return ioat_engine_init(ioat);
}

static void ioat_destroy(struct cbit_pci *pci)
{
	struct ioat *ioat = pci->state;

	if (!ioat)
		return;
	ioat_engine_stop(ioat);
	free(ioat);
}

static int option_membar(struct cbit_pci *pci, const char *value, struct cbit_error *err)
{
	uint64_t size;

	if (!pci_parse_size(value, &size) || size & (size - 1) || size < MEM_BAR_MIN ||
	    size > MEM_BAR_MAX)
		return cbit_error_set(err, -EINVAL,
				      "ioat: membar=%s: must be a power of two from 64K to 64G",
				      value);
	pci->bar[MEM_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_MEMORY,
		.size = size,
		.is64 = true,
		.prefetch = true,
	};
	return 0;
}

static int option_version(struct ioat *ioat, const char *value, struct cbit_error *err)
{
	uint64_t version;

	if (!pci_parse_number(value, &version) || version < 0x32 || version > 0x34)
		return cbit_error_set(err, -EINVAL, "ioat: version=%s: must be 0x32, 0x33 or 0x34",
				      value);
	ioat->version = (uint8_t)version;
	return 0;
}

static int ioat_option(struct cbit_pci *pci, const char *key, const char *value,
		       struct cbit_error *err)
{
	if (!strcmp(key, "membar"))
		return option_membar(pci, value, err);
	if (!strcmp(key, "version"))
		return option_version(pci->state, value, err);
	return -ENOENT;
}

static void ioat_reset(struct cbit_pci *pci)
{
	struct ioat *ioat = pci->state;

	ioat_engine_reset(ioat);
	ioat_engine_drain(ioat);
	/* Whoever wrote registers while we waited wrote them before the reset ended. */
	ioat_engine_reset(ioat);
	ioat->genctrl = 0;
	ioat->intrctrl = 0;
	ioat->attention = false;
	ioat_pin(ioat);
	ioat->intrdelay = 0;
	ioat->chanctrl = 0;
	ioat->chainaddr = 0;
	ioat->chancmp = 0;
	ioat->chanerr = 0;
	ioat->chanerr_mask = 0;
	pci_config_set32(pci, IOAT_PCI_DMAUNCERRSTS, 0);
	pci_config_set32(pci, IOAT_PCI_CHANERR_INT, 0);
	pci_config_set32(pci, IOAT_PCI_CHANERRMASK_INT, 0);
}

static void ioat_freeze(struct cbit_pci *pci, bool on)
{
	ioat_engine_freeze(pci->state, on);
}

/* What is in a BAR of memory would have to move too. */
static int ioat_finish(struct cbit_pci *pci, struct cbit_error *err)
{
	if (pci->log && pci->bar[MEM_BAR].mode != CBIT_BAR_NONE)
		return cbit_error_set(err, -EINVAL, "ioat: migration=on: not with membar");
	return 0;
}

void ioat_pin(struct ioat *ioat)
{
	pci_intx_set(ioat->pci, ioat->attention && ioat->intrctrl & IOAT_INTRCTRL_MASTER_EN);
}

static uint8_t read_intrctrl(const struct ioat *ioat)
{
	uint8_t v = ioat->intrctrl;

	if (ioat->attention)
		v |= IOAT_INTRCTRL_INT_STATUS;
	if (ioat->attention && v & IOAT_INTRCTRL_MASTER_EN)
		v |= IOAT_INTRCTRL_INT;
	return v;
}

/* The aligned eight bytes at @offset, as they read. */
static uint64_t read_qword(const struct ioat *ioat, uint64_t offset)
{
	switch (offset) {
	case IOAT_CHANCNT:
		return 1 | (uint64_t)IOAT_XFERCAP_LOG2 << 8 * IOAT_XFERCAP |
		       (uint64_t)ioat->genctrl << 8 * IOAT_GENCTRL |
		       (uint64_t)read_intrctrl(ioat) << 8 * IOAT_INTRCTRL |
		       (uint64_t)ioat->attention << 8 * IOAT_ATTNSTATUS;
	case IOAT_CBVER:
		return ioat->version | (uint64_t)ioat->intrdelay
					       << 8 * (IOAT_INTRDELAY - IOAT_CBVER);
	case IOAT_DMACAP:
		return IOAT_DMACAP_FILL;
	case IOAT_CHANNEL + IOAT_CHANCTRL:
		return ioat->chanctrl |
		       (uint64_t)(ioat->resetting ? IOAT_CHANCMD_RESET : 0) << 8 * IOAT_CHANCMD |
		       (uint64_t)ioat->dmacount << 8 * IOAT_DMACOUNT;
	case IOAT_CHANNEL + IOAT_CHANSTS:
		return ioat->last | ioat->state;
	case IOAT_CHANNEL + IOAT_CHAINADDR:
		return ioat->chainaddr;
	case IOAT_CHANNEL + IOAT_CHANCMP:
		return ioat->chancmp;
	case IOAT_CHANNEL + IOAT_CDAR:
		return ioat->next_known ? ioat->next : ioat->last;
	case IOAT_CHANNEL + IOAT_CHANERR:
		return ioat->chanerr | (uint64_t)ioat->chanerr_mask << 32;
	default:
		return 0;
	}
}

static uint64_t ioat_bar_read(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			      unsigned int size)
{
	uint64_t v = read_qword(pci->state, offset & ~(uint64_t)7) >> 8 * (offset & 7);
	struct ioat *ioat = pci->state;

	(void)bar;
	/* Reading ATTNSTATUS takes what it says: nothing else in a driver does. */
	if (ioat->attention && offset <= IOAT_ATTNSTATUS && offset + size > IOAT_ATTNSTATUS) {
		ioat->attention = false;
		ioat_pin(ioat);
	}
	return size == 8 ? v : v & (((uint64_t)1 << 8 * size) - 1);
}

/* A register of @width bytes that a write touches: what it was and what it becomes. */
static void write_register(struct ioat *ioat, uint64_t reg, uint64_t v, uint64_t touched, bool peer)
{
	switch (reg) {
	case IOAT_GENCTRL:
		ioat->genctrl = (uint8_t)v;
		break;
	case IOAT_INTRCTRL:
		ioat->intrctrl =
			(uint8_t)v & (IOAT_INTRCTRL_MASTER_EN | IOAT_INTRCTRL_MSIX_CONTROL);
		ioat_pin(ioat);
		break;
	case IOAT_INTRDELAY:
		ioat->intrdelay = (uint16_t)v;
		break;
	case IOAT_CHANNEL + IOAT_CHANCTRL:
		ioat->chanctrl = (uint16_t)(v & ~(uint64_t)IOAT_CHANCTRL_INT_REARM);
		break;
	case IOAT_CHANNEL + IOAT_CHANCMD:
		if (v & touched & IOAT_CHANCMD_RESET)
			ioat_engine_reset(ioat);
		else if (v & touched & IOAT_CHANCMD_SUSPEND)
			ioat_engine_suspend(ioat);
		break;
	case IOAT_CHANNEL + IOAT_DMACOUNT:
		if (pci_faulty(ioat->pci) &&
		    pci_fault_doorbell(ioat->pci, 0, "DMACOUNT of channel", 0, v))
			break;
		ioat->dmacount = (uint16_t)v;
		ioat_engine_kick(ioat, !peer);
		break;
	case IOAT_CHANNEL + IOAT_CHAINADDR:
		ioat->chainaddr = v;
		ioat_engine_chain(ioat);
		break;
	case IOAT_CHANNEL + IOAT_CHANCMP:
		ioat->chancmp = v;
		break;
	case IOAT_CHANNEL + IOAT_CHANERR:
		ioat->chanerr &= ~(uint32_t)(v & touched);
		break;
	case IOAT_CHANNEL + IOAT_CHANERR_MASK:
		ioat->chanerr_mask = (uint32_t)v;
		break;
	default:
		break;
	}
}

/* Writable registers in ascending order, each within an aligned eight bytes. */
static const struct {
	uint16_t offset;
	uint8_t width;
} writable[] = {
	{ IOAT_GENCTRL, 1 },
	{ IOAT_INTRCTRL, 1 },
	{ IOAT_INTRDELAY, 2 },
	{ IOAT_CHANNEL + IOAT_CHANCTRL, 2 },
	{ IOAT_CHANNEL + IOAT_CHANCMD, 1 },
	{ IOAT_CHANNEL + IOAT_DMACOUNT, 2 },
	{ IOAT_CHANNEL + IOAT_CHAINADDR, 8 },
	{ IOAT_CHANNEL + IOAT_CHANCMP, 8 },
	{ IOAT_CHANNEL + IOAT_CHANERR, 4 },
	{ IOAT_CHANNEL + IOAT_CHANERR_MASK, 4 },
};

static uint64_t low_bytes(unsigned int n)
{
	return n >= 8 ? UINT64_MAX : ((uint64_t)1 << 8 * n) - 1;
}

static void ioat_bar_write(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			   unsigned int size, uint64_t value, bool peer)
{
	struct ioat *ioat = pci->state;
	uint64_t base = offset & ~(uint64_t)7;
	uint64_t touched = low_bytes(size) << 8 * (offset & 7);

	(void)bar;
	value <<= 8 * (offset & 7);
	for (size_t i = 0; i < sizeof(writable) / sizeof(writable[0]); i++) {
		uint64_t reg = writable[i].offset;
		unsigned int shift = 8 * (unsigned int)(reg & 7);
		uint64_t mask = low_bytes(writable[i].width) << shift;
		uint64_t merged;

		if ((reg & ~(uint64_t)7) != base || !(touched & mask))
			continue;
		/* A narrower write leaves the register's other bytes as they were. */
		merged = (value & touched) | (read_qword(ioat, base) & ~touched);
		write_register(ioat, reg, (merged & mask) >> shift, (touched & mask) >> shift,
			       peer);
	}
}

const struct pci_model pci_ioat_model = {
	.name = "ioat",
	.options = "membar=SIZE, version=0x32|0x33|0x34, sriov=N, migration=on",
	.sriov = true,
	.create = ioat_create,
	.option = ioat_option,
	.destroy = ioat_destroy,
	.reset = ioat_reset,
	.finish = ioat_finish,
	.freeze = ioat_freeze,
	.save = ioat_save,
	.load = ioat_load,
	.bar_read = ioat_bar_read,
	.bar_write = ioat_bar_write,
};
