/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space as a vfio-pci client sees it: which bits it can write, and what a write
 * does. Facts from Linux drivers/vfio/pci/vfio_pci_config.c: BARs, MSI and the interrupt line
 * are virtual; MSI-X control and the PCI Express status registers cannot be written.
 */
#include "pci_internal.h"
#include "pci_regs.h"

#include <string.h>

static uint16_t get16(const struct cbit_pci *pci, uint32_t offset)
{
	uint16_t v;

	memcpy(&v, pci->cfg + offset, sizeof(v));
	return v;
}

static void set16(struct cbit_pci *pci, uint32_t offset, uint16_t value)
{
	memcpy(pci->cfg + offset, &value, sizeof(value));
}

uint32_t pci_config_get32(const struct cbit_pci *pci, uint32_t offset)
{
	uint32_t v;

	memcpy(&v, pci->cfg + offset, sizeof(v));
	return v;
}

void pci_config_set32(struct cbit_pci *pci, uint32_t offset, uint32_t value)
{
	memcpy(pci->cfg + offset, &value, sizeof(value));
}

void pci_config_declare(struct cbit_pci *pci, uint32_t offset, uint32_t writable, uint32_t w1c)
{
	memcpy(pci->wmask + offset, &writable, sizeof(writable));
	memcpy(pci->w1c + offset, &w1c, sizeof(w1c));
}

/* A capability's first two bytes; returns where the next capability's pointer is. */
static uint32_t cap_add(struct cbit_pci *pci, uint32_t link, uint32_t at, uint8_t id)
{
	pci->cfg[link] = (uint8_t)at;
	pci->cfg[at] = id;
	return at + 1;
}

static void bars_defaults(struct cbit_pci *pci)
{
	for (unsigned int i = 0; i < CBIT_PCI_BARS; i++) {
		const struct cbit_bar_info *bar = &pci->bar[i];
		uint32_t at = PCI_BAR0 + 4 * i;
		uint64_t mask = ~(bar->size - 1);

		if (bar->mode == CBIT_BAR_NONE)
			continue;
		pci_config_declare(pci, at, (uint32_t)mask & ~0xfu, 0);
		pci_config_set32(pci, at,
				 (uint32_t)bar->spa.v | (bar->is64 ? PCI_BAR_64 : 0) |
					 (bar->prefetch ? PCI_BAR_PREFETCH : 0));
		if (bar->is64) {
			pci_config_declare(pci, at + 4, (uint32_t)(mask >> 32), 0);
			pci_config_set32(pci, at + 4, (uint32_t)(bar->spa.v >> 32));
			i++;
		}
	}
}

static void header_defaults(struct cbit_pci *pci)
{
	const struct cbit_pci_ids *ids = &pci->ids;

	set16(pci, PCI_VENDOR_ID, ids->vendor);
	set16(pci, PCI_DEVICE_ID, ids->device);
	set16(pci, PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	set16(pci, PCI_SUBSYSTEM_ID, ids->subsystem_device);
	pci_config_set32(pci, PCI_REVISION_ID, ids->class_code << 8 | ids->revision);
	set16(pci, PCI_STATUS, PCI_STATUS_CAP_LIST);

	/* pci_enable_device() ran before the client came; bus mastering is the client's. */
	set16(pci, PCI_COMMAND, PCI_COMMAND_MEMORY);
	pci_config_declare(pci, PCI_COMMAND,
			   PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
				   PCI_COMMAND_SERR | PCI_COMMAND_INTX_OFF,
			   0);
	pci->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	pci->wmask[PCI_INTERRUPT_LINE] = 0xff;
	pci->cfg[PCI_INTERRUPT_PIN] = pci->irqs[PCI_IRQ_INTX] ? 1 : 0; /* INTA */
}

static uint32_t express_defaults(struct cbit_pci *pci, uint32_t link)
{
	const uint32_t at = PCI_EXP_AT;

	link = cap_add(pci, link, at, PCI_CAP_ID_EXP);
	set16(pci, at + PCI_EXP_FLAGS, PCI_EXP_FLAGS_V2);
	pci_config_set32(pci, at + PCI_EXP_DEVCAP,
			 PCI_EXP_DEVCAP_MPS_256 | PCI_EXP_DEVCAP_EXT_TAG | PCI_EXP_DEVCAP_RBER |
				 PCI_EXP_DEVCAP_FLR);
	set16(pci, at + PCI_EXP_DEVCTL,
	      PCI_EXP_DEVCTL_RELAX | PCI_EXP_DEVCTL_NOSNOOP | PCI_EXP_DEVCTL_MRRS512);
	/* The FLR bit is among them: it acts when written and reads zero. */
	pci_config_declare(pci, at + PCI_EXP_DEVCTL, 0xffffu & ~PCI_EXP_DEVCTL_PHANTOM, 0);
	pci_config_set32(pci, at + PCI_EXP_LNKCAP, PCI_EXP_LNK_GEN3_X8);
	set16(pci, at + PCI_EXP_LNKSTA, PCI_EXP_LNK_GEN3_X8);
	pci_config_set32(pci, at + PCI_EXP_DEVCAP2, PCI_EXP_DEVCAP2_CTO);
	pci_config_declare(pci, at + PCI_EXP_DEVCTL2, PCI_EXP_DEVCTL2_CTO, 0);
	return link;
}

/* Decoding and bus mastering follow from two registers: D3hot has neither. */
static void update_derived(struct cbit_pci *pci)
{
	uint16_t command = get16(pci, PCI_COMMAND);
	bool d0 = !(get16(pci, PCI_PM_AT + PCI_PM_CSR) & PCI_PM_CSR_STATE);

	bool there = d0 && !atomic_load(&pci->gone);

	atomic_store(&pci->decoding, there && (command & PCI_COMMAND_MEMORY));
	atomic_store(&pci->mastering, there && (command & PCI_COMMAND_MASTER));
}

void pci_config_defaults(struct cbit_pci *pci)
{
	uint32_t link = PCI_CAP_POINTER;

	/* The masks of what a model declared in extended space are the model's and stay. */
	memset(pci->cfg, 0, sizeof(pci->cfg));
	memset(pci->wmask, 0, 0x100);
	memset(pci->w1c, 0, 0x100);
	header_defaults(pci);
	bars_defaults(pci);

	link = cap_add(pci, link, PCI_PM_AT, PCI_CAP_ID_PM);
	set16(pci, PCI_PM_AT + PCI_PM_PMC, PCI_PM_PMC_V3);
	set16(pci, PCI_PM_AT + PCI_PM_CSR, PCI_PM_CSR_NO_SOFT_R);
	pci->wmask[PCI_PM_AT + PCI_PM_CSR] = PCI_PM_CSR_STATE;
	if (pci->irqs[PCI_IRQ_MSI])
		link = cap_add(pci, link, PCI_MSI_AT, PCI_CAP_ID_MSI);
	if (pci->irqs[PCI_IRQ_MSIX])
		link = cap_add(pci, link, PCI_MSIX_AT, PCI_CAP_ID_MSIX);
	express_defaults(pci, link);
	pci_sriov_defaults(pci);
	pci_irq_defaults(pci);
	pci_intx_update(pci);
	update_derived(pci);
}

void pci_config_power_up(struct cbit_pci *pci)
{
	pci->cfg[PCI_PM_AT + PCI_PM_CSR] &= (uint8_t)~PCI_PM_CSR_STATE;
	update_derived(pci);
}

void pci_config_gone(struct cbit_pci *pci)
{
	update_derived(pci);
	pci_intx_update(pci);
}

void pci_config_unconfigured(struct cbit_pci *pci)
{
	set16(pci, PCI_COMMAND,
	      get16(pci, PCI_COMMAND) & (uint16_t) ~(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER));
	update_derived(pci);
}

/*
 * Bits that vfio-pci keeps itself, so that they can still be read when the device cannot. Linux:
 * vfio_pci_config.c, init_pci_cap_*_perm() and vfio_default_config_read().
 */
static uint8_t kept_by_vfio(const struct cbit_pci *pci, uint32_t offset)
{
	static const struct {
		uint32_t first, last;
		uint8_t bits;
	} kept[] = {
		{ PCI_VENDOR_ID, PCI_DEVICE_ID + 1, 0xff },
		{ PCI_COMMAND + 1, PCI_COMMAND + 1, PCI_COMMAND_INTX_OFF >> 8 },
		{ PCI_STATUS, PCI_STATUS, PCI_STATUS_CAP_LIST },
		{ PCI_BAR0, PCI_BAR0 + 4 * CBIT_PCI_BARS - 1, 0xff },
		{ PCI_ROM_ADDRESS, PCI_ROM_ADDRESS + 3, 0xff },
		{ PCI_CAP_POINTER, PCI_CAP_POINTER, 0xff },
		{ PCI_INTERRUPT_LINE, PCI_INTERRUPT_PIN, 0xff },
		{ PCI_PM_AT + 1, PCI_PM_AT + 1, 0xff },
		{ PCI_PM_AT + PCI_PM_PMC + 1, PCI_PM_AT + PCI_PM_PMC + 1, PCI_PM_PMC_PME >> 8 },
		{ PCI_PM_AT + PCI_PM_CSR + 1, PCI_PM_AT + PCI_PM_CSR + 1, PCI_PM_CSR_PME >> 8 },
		{ PCI_MSI_AT + 1, PCI_MSI_AT + PCI_MSI_FLAGS, 0xff },
		{ PCI_MSI_AT + PCI_MSI_ADDRESS_LO, PCI_MSI_AT + PCI_MSI_DATA + 1, 0xff },
		{ PCI_MSIX_AT + 1, PCI_MSIX_AT + 1, 0xff },
		{ PCI_EXP_AT + 1, PCI_EXP_AT + 1, 0xff },
		{ PCI_EXP_AT + PCI_EXP_DEVCTL, PCI_EXP_AT + PCI_EXP_DEVCTL,
		  PCI_EXP_DEVCTL_VIRTUAL & 0xff },
		{ PCI_EXP_AT + PCI_EXP_DEVCTL + 1, PCI_EXP_AT + PCI_EXP_DEVCTL + 1,
		  PCI_EXP_DEVCTL_VIRTUAL >> 8 },
	};

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (offset < kept[i].first || offset > kept[i].last)
			continue;
		if ((offset & ~0xfu) == PCI_MSI_AT && !pci->irqs[PCI_IRQ_MSI])
			return 0;
		return kept[i].bits;
	}
	return 0;
}

static void read_gone(const struct cbit_pci *pci, uint32_t offset, uint8_t *out, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t kept = kept_by_vfio(pci, offset + i);

		out[i] = (uint8_t)((pci->cfg[offset + i] & kept) | (uint8_t)~kept);
	}
}

void cbit_pci_config_read(struct cbit_pci *pci, uint32_t offset, void *buf, uint32_t len)
{
	if (offset > CBIT_PCI_CONFIG_SIZE || len > CBIT_PCI_CONFIG_SIZE - offset) {
		memset(buf, 0xff, len);
		return;
	}
	pthread_mutex_lock(&pci->lock);
	if (atomic_load(&pci->gone))
		read_gone(pci, offset, buf, len);
	else
		memcpy(buf, pci->cfg + offset, len);
	pthread_mutex_unlock(&pci->lock);
}

/*
 * What the bytes just stored mean. @power: the power state before them. True when they asked for a
 * reset of the function.
 */
static bool config_written(struct cbit_pci *pci, uint8_t power)
{
	uint8_t *csr = &pci->cfg[PCI_PM_AT + PCI_PM_CSR];
	uint16_t devctl = get16(pci, PCI_EXP_AT + PCI_EXP_DEVCTL);
	uint8_t state = *csr & PCI_PM_CSR_STATE;

	/*
	 * D1 and D2 are not supported: a write of them leaves the state as it was. So does D3hot
	 * where virtual functions depend on this one (Linux: vfio_pci_set_power_state()).
	 */
	if (state != 0 && (state != PCI_PM_CSR_D3HOT || pci->num_vfs))
		*csr = (uint8_t)((*csr & ~PCI_PM_CSR_STATE) | power);
	update_derived(pci);
	pci_intx_update(pci);
	if (devctl & PCI_EXP_DEVCTL_FLR) {
		set16(pci, PCI_EXP_AT + PCI_EXP_DEVCTL, devctl & (uint16_t)~PCI_EXP_DEVCTL_FLR);
		pci_reset_locked(pci);
		return true;
	}
	return false;
}

void cbit_pci_config_write(struct cbit_pci *pci, uint32_t offset, const void *buf, uint32_t len)
{
	const uint8_t *in = buf;
	uint8_t power;
	bool reset;

	if (offset > CBIT_PCI_CONFIG_SIZE || len > CBIT_PCI_CONFIG_SIZE - offset)
		return;
	pthread_mutex_lock(&pci->lock);
	power = pci->cfg[PCI_PM_AT + PCI_PM_CSR] & PCI_PM_CSR_STATE;
	for (uint32_t i = 0; i < len && !atomic_load(&pci->gone); i++) {
		uint8_t *cfg = &pci->cfg[offset + i];
		uint8_t writable = pci->wmask[offset + i];

		*cfg = (uint8_t)((*cfg & ~writable) | (in[i] & writable));
		*cfg &= (uint8_t) ~(in[i] & pci->w1c[offset + i]);
	}
	reset = config_written(pci, power);
	pthread_mutex_unlock(&pci->lock);
	if (reset)
		pci_sriov_reset(pci);
}
