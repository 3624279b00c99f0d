/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dsa: an Intel Data Streaming Accelerator, version 1: options, registers, portals, reset.
 *
 * BAR0 registers; BAR2 the portals, four pages a queue; BAR4 the MSI-X table (real parts have it
 * in BAR0). Queues are dedicated ones: shared queues need a PASID in the submitting CPU, which
 * a VFIO program has not.
 */
#include "dsa.h"
#include "models.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REG_BAR_SIZE  0x10000u
#define PORTAL_BAR    2
#define MSIX_BAR      4
#define MSIX_BAR_SIZE 0x4000u

static int dsa_create(struct cbit_pci *pci)
{
	struct dsa *dsa = calloc(1, sizeof(*dsa));

	pci->state = dsa;
	if (!dsa)
		return -ENOMEM;
	dsa->pci = pci;
	dsa->xfer_shift = DSA_XFER_SHIFT;
	pci->ids = (struct cbit_pci_ids){
		.vendor = DSA_VENDOR,
		.device = DSA_DEVICE,
		.subsystem_vendor = DSA_VENDOR,
		.subsystem_device = 0,
		.class_code = DSA_CLASS,
		.revision = 0,
	};
	pci->bar[0] = (struct cbit_bar_info){
		.mode = CBIT_BAR_TRAPPED,
		.size = REG_BAR_SIZE,
		.is64 = true,
		.prefetch = true,
	};
	pci->bar[PORTAL_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_TRAPPED,
		.size = (uint64_t)DSA_WQS * DSA_PORTAL_SIZE,
		.is64 = true,
		.prefetch = true,
	};
	pci->bar[MSIX_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_MEMORY,
		.size = MSIX_BAR_SIZE,
		.is64 = true,
	};
	pci->msix_bar = MSIX_BAR;
	pci->irqs[PCI_IRQ_MSIX] = DSA_VECTORS;
	return dsa_engine_init(dsa);
}

static void dsa_destroy(struct cbit_pci *pci)
{
	struct dsa *dsa = pci->state;

	if (!dsa)
		return;
	dsa_engine_stop(dsa);
	free(dsa);
}

static int dsa_option(struct cbit_pci *pci, const char *key, const char *value,
		      struct cbit_error *err)
{
	struct dsa *dsa = pci->state;
	uint64_t size;

	if (strcmp(key, "maxcopy") != 0)
		return -ENOENT;
	if (!pci_parse_size(value, &size) || size & (size - 1) || size < 4096 ||
	    size > UINT64_C(1) << DSA_XFER_SHIFT)
		return cbit_error_set(err, -EINVAL,
				      "dsa: maxcopy=%s: must be a power of two from 4K to 2G",
				      value);
	dsa->xfer_shift = (unsigned int)__builtin_ctzll(size);
	return 0;
}

static void dsa_reset(struct cbit_pci *pci)
{
	struct dsa *dsa = pci->state;

	dsa->command = 0;
	dsa_engine_abort(dsa, ~0u);
	dsa_engine_drain(dsa);
	/* Whoever wrote registers while we waited wrote them before the reset ended. */
	dsa->command = 0;
	dsa_engine_abort(dsa, ~0u);
	dsa_defaults(dsa);
	dsa->cmdsts = 0;
	dsa->intcause = 0;
	memset(dsa->swerr, 0, sizeof(dsa->swerr));
}

/* INTCAUSE says why vector 0 came; it is raised again for each cause. */
void dsa_cause(struct dsa *dsa, uint32_t bit)
{
	dsa->intcause |= bit;
	pci_irq_raise(dsa->pci, 0);
}

void dsa_software_error(struct dsa *dsa, const struct dsa_error *e)
{
	uint64_t v = DSA_SWERR_VALID | (uint64_t)e->code << DSA_SWERR_CODE_SHIFT;

	if (dsa->swerr[0] & DSA_SWERR_VALID) {
		dsa->swerr[0] |= DSA_SWERR_OVERFLOW;
		return;
	}
	if (e->wq < DSA_WQS)
		v |= DSA_SWERR_WQ | (uint64_t)e->wq << DSA_SWERR_WQ_SHIFT;
	if (e->desc)
		v |= DSA_SWERR_DESC | (uint64_t)DSA_OPCODE(e->desc->op) << DSA_SWERR_OPCODE_SHIFT |
		     (uint64_t)(e->desc->pasid & 0xfffff) << DSA_SWERR_PASID_SHIFT |
		     (e->desc->pasid >> 31 ? DSA_SWERR_PRIV : 0);
	v |= (e->batch ? DSA_SWERR_BATCH : 0) | (e->write ? DSA_SWERR_WRITE : 0);
	dsa->swerr[0] = v;
	dsa->swerr[1] = (e->index & 0xffff) | (uint64_t)e->flags << 32;
	dsa->swerr[2] = e->address;
	dsa->swerr[3] = 0;
	if (dsa->genctrl & DSA_GENCTRL_SWERR_INT)
		dsa_cause(dsa, DSA_INTCAUSE_SWERR);
	else
		dsa->intcause |= DSA_INTCAUSE_SWERR;
}

static uint64_t read_wqcfg(const struct dsa *dsa, uint64_t offset)
{
	unsigned int wq = (unsigned int)(offset / DSA_WQCFG_SIZE);
	unsigned int dword = (unsigned int)(offset % DSA_WQCFG_SIZE / 4);
	uint64_t v = dsa->wqcfg[wq][dword] | (uint64_t)dsa->wqcfg[wq][dword + 1] << 32;

	if (dword == DSA_WQ_STATE_DWORD && dsa->enabled >> wq & 1)
		v |= UINT64_C(1) << DSA_WQ_STATE_SHIFT;
	return v;
}

/* The aligned eight bytes at @offset of BAR0, as they read. */
static uint64_t read_qword(const struct dsa *dsa, uint64_t offset)
{
	if (offset >= DSA_GRPCFG && offset < DSA_GRPCFG + sizeof(dsa->grpcfg))
		return dsa->grpcfg[(offset - DSA_GRPCFG) / 8];
	if (offset >= DSA_WQCFG && offset < DSA_WQCFG + sizeof(dsa->wqcfg))
		return read_wqcfg(dsa, offset - DSA_WQCFG);
	if (offset >= DSA_MSIX_PERM && offset < DSA_MSIX_PERM + sizeof(dsa->msix_perm))
		return dsa->msix_perm[(offset - DSA_MSIX_PERM) / 8];
	if (offset >= DSA_SWERR && offset < DSA_SWERR + sizeof(dsa->swerr))
		return dsa->swerr[(offset - DSA_SWERR) / 8];
	switch (offset) {
	case DSA_VERSION:
		return DSA_VERSION_1;
	case DSA_GENCAP:
		return DSA_GENCAP_OVERLAP | DSA_GENCAP_CC_MEM | DSA_GENCAP_CMDCAP |
		       DSA_GENCAP_READBACK | DSA_GENCAP_CONFIG |
		       (uint64_t)dsa->xfer_shift << DSA_GENCAP_XFER_SHIFT |
		       (uint64_t)DSA_BATCH_SHIFT << DSA_GENCAP_BATCH_SHIFT;
	case DSA_WQCAP:
		return DSA_WQ_ENTRIES | DSA_WQS << DSA_WQCAP_NUM_SHIFT | DSA_WQCAP_DEDICATED |
		       DSA_WQCAP_PRIORITY;
	/* NOLINTNEXTLINE(bugprone-branch-clone): as many groups as engines */
	case DSA_GRPCAP:
		return DSA_GROUPS;
	case DSA_ENGCAP:
		return DSA_ENGINES;
	case DSA_OPCAP:
		return 1u << DSA_NOOP | 1u << DSA_BATCH | 1u << DSA_DRAIN | 1u << DSA_MEMMOVE |
		       1u << DSA_FILL | 1u << DSA_COMPARE | 1u << DSA_COMPARE_PATTERN |
		       1u << DSA_DUALCAST | 1u << DSA_CRC | 1u << DSA_COPY_CRC;
	case DSA_OFFSETS:
		return (uint64_t)(DSA_GRPCFG / 0x100) << DSA_OFFSETS_GRPCFG |
		       (uint64_t)(DSA_WQCFG / 0x100) << DSA_OFFSETS_WQCFG |
		       (uint64_t)(DSA_MSIX_PERM / 0x100) << DSA_OFFSETS_MSIX_PERM;
	case DSA_GENCFG:
		return dsa->gencfg;
	case DSA_GENCTRL:
		return dsa->genctrl;
	case DSA_GENSTS:
		return dsa->device_on ? DSA_GENSTS_ENABLED : 0;
	case DSA_INTCAUSE:
		return dsa->intcause;
	case DSA_CMDSTS:
		return dsa->cmdsts;
	case DSA_CMDCAP:
		/* All but those of interrupt handles: a vector's number is its handle. */
		return ((2u << DSA_ABORT_PASID) - 1) & ~1u;
	default:
		return 0;
	}
}

static uint64_t low_bytes(unsigned int n)
{
	return n >= 8 ? UINT64_MAX : ((uint64_t)1 << 8 * n) - 1;
}

static uint64_t dsa_bar_read(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			     unsigned int size)
{
	uint64_t v;

	if (bar == PORTAL_BAR)
		return low_bytes(size); /* portals are written only */
	v = read_qword(pci->state, offset & ~(uint64_t)7) >> 8 * (offset & 7);
	return v & low_bytes(size);
}

/* Sizes only while the device is off, the rest of a queue's while the queue is. */
static void write_wqcfg(struct dsa *dsa, uint64_t offset, uint64_t value, uint64_t touched)
{
	unsigned int wq = (unsigned int)(offset / DSA_WQCFG_SIZE);
	unsigned int dword = (unsigned int)(offset % DSA_WQCFG_SIZE / 4);
	uint64_t mask = touched;

	if (dsa->enabled >> wq & 1)
		return;
	if (dword == 0 && dsa->device_on)
		mask &= ~(uint64_t)UINT32_MAX;
	if (dword == DSA_WQ_STATE_DWORD)
		return; /* occupancy and state, read only */
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t m = (uint32_t)(mask >> 32 * i);

		dsa->wqcfg[wq][dword + i] =
			(dsa->wqcfg[wq][dword + i] & ~m) | ((uint32_t)(value >> 32 * i) & m);
	}
}

static void write_swerr(struct dsa *dsa, uint64_t value)
{
	if (value & DSA_SWERR_OVERFLOW)
		dsa->swerr[0] &= ~(uint64_t)DSA_SWERR_OVERFLOW;
	if (value & DSA_SWERR_VALID)
		memset(dsa->swerr, 0, sizeof(dsa->swerr));
}

/* @value: what was there with the bytes of @touched new. */
static void write_qword(struct dsa *dsa, uint64_t offset, uint64_t value, uint64_t touched)
{
	if (offset >= DSA_GRPCFG && offset < DSA_GRPCFG + sizeof(dsa->grpcfg)) {
		if (!dsa->device_on)
			dsa->grpcfg[(offset - DSA_GRPCFG) / 8] = value;
		return;
	}
	if (offset >= DSA_WQCFG && offset < DSA_WQCFG + sizeof(dsa->wqcfg)) {
		write_wqcfg(dsa, offset - DSA_WQCFG, value, touched);
		return;
	}
	if (offset >= DSA_MSIX_PERM && offset < DSA_MSIX_PERM + sizeof(dsa->msix_perm)) {
		dsa->msix_perm[(offset - DSA_MSIX_PERM) / 8] = value & UINT32_MAX;
		return;
	}
	switch (offset) {
	case DSA_GENCFG:
		if (!dsa->device_on)
			dsa->gencfg = (uint32_t)value;
		break;
	case DSA_GENCTRL:
		dsa->genctrl = (uint32_t)value;
		break;
	case DSA_INTCAUSE:
		dsa->intcause &= ~(uint32_t)(value & touched);
		break;
	case DSA_CMD:
		if (touched & UINT32_MAX)
			dsa_command(dsa, (uint32_t)value);
		break;
	case DSA_SWERR:
		write_swerr(dsa, value & touched);
		break;
	default:
		break;
	}
}

static void dsa_bar_write(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			  unsigned int size, uint64_t value, bool peer)
{
	struct dsa *dsa = pci->state;
	uint64_t base = offset & ~(uint64_t)7;
	uint64_t touched = low_bytes(size) << 8 * (offset & 7);

	(void)peer;
	/* A portal takes nothing but whole descriptors. */
	if (bar == PORTAL_BAR)
		return;
	value <<= 8 * (offset & 7);
	write_qword(dsa, base, (value & touched) | (read_qword(dsa, base) & ~touched), touched);
}

static void dsa_bar_line(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			 const uint8_t line[64], bool peer)
{
	struct dsa_desc desc;

	if (bar != PORTAL_BAR) {
		for (unsigned int i = 0; i < 64; i += 8) {
			uint64_t v;

			memcpy(&v, line + i, sizeof(v));
			dsa_bar_write(pci, bar, offset + i, 8, v, peer);
		}
		return;
	}
	memcpy(&desc, line, sizeof(desc));
	dsa_engine_submit(pci->state, (unsigned int)(offset / DSA_PORTAL_SIZE), &desc, !peer);
}

const struct pci_model pci_dsa_model = {
	.name = "dsa",
	.options = "maxcopy=SIZE, sriov=N",
	.sriov = true,
	.create = dsa_create,
	.option = dsa_option,
	.destroy = dsa_destroy,
	.reset = dsa_reset,
	.bar_read = dsa_bar_read,
	.bar_write = dsa_bar_write,
	.bar_line = dsa_bar_line,
};
