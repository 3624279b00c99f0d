/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: the MSI and MSI-X capabilities, messages that leave the device, and the pin.
 *
 * vfio-pci owns the vectors: a client cannot enable them through configuration space, and
 * what it writes to the MSI-X table in the BAR programs nothing. So the table is plain memory
 * here, and only cbit_pci_set_irqs_enabled() matters.
 */
#include "pci_fault.h"
#include "pci_internal.h"
#include "pci_regs.h"

#include <string.h>

static bool flag(const struct cbit_pci *pci, uint32_t offset, uint32_t bit)
{
	return pci_config_get32(pci, offset & ~3u) >> (8 * (offset & 3u)) & bit;
}

static void set_flag(struct cbit_pci *pci, uint32_t offset, uint32_t bit, bool on)
{
	uint32_t at = offset & ~3u;
	uint32_t v = pci_config_get32(pci, at);

	bit <<= 8 * (offset & 3u);
	pci_config_set32(pci, at, on ? v | bit : v & ~bit);
}

void pci_irq_defaults(struct cbit_pci *pci)
{
	unsigned int vectors = pci->irqs[PCI_IRQ_MSIX];

	if (pci->irqs[PCI_IRQ_MSI]) {
		set_flag(pci, PCI_MSI_AT + PCI_MSI_FLAGS, PCI_MSI_64BIT, true);
		pci_config_declare(pci, PCI_MSI_AT + PCI_MSI_ADDRESS_LO, ~3u, 0);
		pci_config_declare(pci, PCI_MSI_AT + PCI_MSI_ADDRESS_HI, ~0u, 0);
		pci_config_declare(pci, PCI_MSI_AT + PCI_MSI_DATA, 0xffff, 0);
	}
	if (vectors) {
		uint32_t bir = (uint32_t)pci->msix_bar;

		if (!pci->msix_pending)
			pci->msix_pending = (uint32_t)(pci->bar[bir].size / 2);
		set_flag(pci, PCI_MSIX_AT + PCI_MSIX_FLAGS, vectors - 1, true);
		pci_config_set32(pci, PCI_MSIX_AT + PCI_MSIX_TABLE, pci->msix_table | bir);
		pci_config_set32(pci, PCI_MSIX_AT + PCI_MSIX_PBA, pci->msix_pending | bir);
	}
}

unsigned int cbit_pci_irq_count(const struct cbit_pci *pci, unsigned int index)
{
	return index < PCI_IRQS ? pci->irqs[index] : 0;
}

int cbit_pci_msix_bar(const struct cbit_pci *pci)
{
	return pci->msix_bar;
}

uint32_t cbit_pci_msix_table(const struct cbit_pci *pci)
{
	return pci->msix_table;
}

void cbit_pci_set_irqs_enabled(struct cbit_pci *pci, unsigned int index, unsigned int vectors)
{
	bool on = vectors > 0;

	if (!cbit_pci_irq_count(pci, index))
		return;
	pthread_mutex_lock(&pci->lock);
	if (index == PCI_IRQ_MSI) {
		uint8_t *mask = &pci->wmask[PCI_MSI_AT + PCI_MSI_FLAGS];

		set_flag(pci, PCI_MSI_AT + PCI_MSI_FLAGS, PCI_MSI_ENABLE, on);
		/* While it is armed a client may switch the bit off and on again. */
		*mask = (uint8_t)((*mask & ~PCI_MSI_ENABLE) | (on ? PCI_MSI_ENABLE : 0));
	} else if (index == PCI_IRQ_MSIX) {
		set_flag(pci, PCI_MSIX_AT + PCI_MSIX_FLAGS, PCI_MSIX_ENABLE, on);
	}
	pci_intx_update(pci);
	pthread_mutex_unlock(&pci->lock);
}

bool pci_irq_messages(const struct cbit_pci *pci)
{
	return (pci->irqs[PCI_IRQ_MSIX] &&
		flag(pci, PCI_MSIX_AT + PCI_MSIX_FLAGS, PCI_MSIX_ENABLE)) ||
	       (pci->irqs[PCI_IRQ_MSI] && flag(pci, PCI_MSI_AT + PCI_MSI_FLAGS, PCI_MSI_ENABLE));
}

/*
 * PCI Express 5.0, 7.5.1.1.4: Interrupt Status shows the pending interrupt whatever Interrupt
 * Disable says; 6.1.4.3: with MSI or MSI-X enabled the pin is not used. Interrupt Disable
 * belongs to VFIO, which lets the client see a virtual one.
 */
void pci_intx_update(struct cbit_pci *pci)
{
	bool on = pci->intx_wanted && pci->irqs[PCI_IRQ_INTX] && !pci_irq_messages(pci) &&
		  !atomic_load(&pci->gone);
	bool rising = !atomic_exchange(&pci->intx, on);

	set_flag(pci, PCI_STATUS, PCI_STATUS_INTERRUPT, on);
	if (!on || !pci->host.irq)
		return;
	/* The message that asserts the pin can be lost; the pin stays asserted all the same. */
	if (!(pci_faulty(pci) && rising && pci_fault_irq(pci, PCI_IRQ_INTX, 0)))
		pci->host.irq(pci->host.opaque, PCI_IRQ_INTX, 0);
}

void pci_intx_set(struct cbit_pci *pci, bool asserted)
{
	if (pci->intx_wanted == asserted)
		return;
	pci->intx_wanted = asserted;
	pci_intx_update(pci);
}

bool cbit_pci_intx(const struct cbit_pci *pci)
{
	return atomic_load(&pci->intx);
}

void pci_irq_raise(struct cbit_pci *pci, unsigned int vector)
{
	unsigned int index;

	/* A message is a memory write: it needs bus mastering like any other. */
	if (!pci->host.irq || !atomic_load(&pci->mastering))
		return;
	if (pci->irqs[PCI_IRQ_MSIX] && flag(pci, PCI_MSIX_AT + PCI_MSIX_FLAGS, PCI_MSIX_ENABLE))
		index = PCI_IRQ_MSIX;
	else if (pci->irqs[PCI_IRQ_MSI] && flag(pci, PCI_MSI_AT + PCI_MSI_FLAGS, PCI_MSI_ENABLE))
		index = PCI_IRQ_MSI;
	else
		return;
	if (vector >= pci->irqs[index] || (pci_faulty(pci) && pci_fault_irq(pci, index, vector)))
		return;
	pci->host.irq(pci->host.opaque, index, vector);
}
