/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SR-IOV: virtual functions as devices of their own, with the DMA, BARs and configuration space
 * of one, and the capability of their physical function that enables and places them.
 *
 * All that there may be are made with the physical function, because regions cannot be put into
 * the memory map later; enabling is what makes them be there for others.
 */
#include "pci_internal.h"
#include "pci_regs.h"

#include <string.h>

/* VFs follow their PF without gaps: with ARI 255 functions fit on one bus. */
#define FIRST_OFFSET 1u
#define STRIDE       1u

unsigned int cbit_pci_total_vfs(const struct cbit_pci *pf)
{
	return pf->total_vfs;
}

uint16_t cbit_pci_vf_devid(const struct cbit_pci *pf, unsigned int n)
{
	return (uint16_t)(pf->devid + FIRST_OFFSET + n * STRIDE);
}

static void set_bars(struct cbit_pci *pf)
{
	const struct cbit_pci *vf = pf->vfs[0];

	for (unsigned int i = 0; vf && i < CBIT_PCI_BARS; i++) {
		const struct cbit_bar_info *bar = &vf->bar[i];
		uint32_t at = PCI_SRIOV_AT + PCI_SRIOV_BAR0 + 4 * i;

		if (bar->mode == CBIT_BAR_NONE)
			continue;
		pci_config_set32(pf, at,
				 (uint32_t)bar->spa.v | (bar->is64 ? PCI_BAR_64 : 0) |
					 (bar->prefetch ? PCI_BAR_PREFETCH : 0));
		if (bar->is64)
			pci_config_set32(pf, at + 4, (uint32_t)(bar->spa.v >> 32));
	}
}

/* As vfio-pci shows it: nothing of it can be written, the host enables VFs by sysfs. */
void pci_sriov_defaults(struct cbit_pci *pci)
{
	const uint32_t at = PCI_SRIOV_AT;

	if (!pci->total_vfs)
		return;
	pci_config_set32(pci, at, PCI_EXT_CAP_ID_SRIOV | PCI_EXT_CAP_VERSION_1);
	pci_config_set32(pci, at + PCI_SRIOV_CTRL,
			 pci->num_vfs ? PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | PCI_SRIOV_CTRL_ARI
				      : 0);
	pci_config_set32(pci, at + PCI_SRIOV_INITIAL_VFS, pci->total_vfs << 16 | pci->total_vfs);
	pci_config_set32(pci, at + PCI_SRIOV_NUM_VFS, pci->num_vfs);
	pci_config_set32(pci, at + PCI_SRIOV_OFFSET, STRIDE << 16 | FIRST_OFFSET);
	pci_config_set32(pci, at + PCI_SRIOV_VF_DEVICE - 2, (uint32_t)pci->ids.device << 16);
	pci_config_set32(pci, at + PCI_SRIOV_PAGE_SIZES, 1); /* 4 KiB */
	pci_config_set32(pci, at + PCI_SRIOV_PAGE_SIZE, 1);
	set_bars(pci);
}

void cbit_pci_enable_vfs(struct cbit_pci *pf, unsigned int n)
{
	pthread_mutex_lock(&pf->lock);
	/* Virtual functions need a physical one that is awake. */
	if (n)
		pci_config_power_up(pf);
	pf->num_vfs = n;
	pci_sriov_defaults(pf);
	pthread_mutex_unlock(&pf->lock);
	pci_sriov_reset(pf);
}

void pci_sriov_reset(struct cbit_pci *pci)
{
	unsigned int n;

	if (!pci->total_vfs)
		return;
	pthread_mutex_lock(&pci->lock);
	n = pci->num_vfs;
	pthread_mutex_unlock(&pci->lock);
	for (unsigned int i = 0; i < n; i++)
		cbit_pci_reset(pci->vfs[i]);
}
