/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core and the models ask when their device has a fault plan (pci_faulty()).
 */
#ifndef CBIT_DEV_PCI_FAULT_H
#define CBIT_DEV_PCI_FAULT_H

#include "fault.h"
#include "pci_internal.h"

/* pci_faulty() - is there a plan at all? The one thing that costs without one. */
static inline bool pci_faulty(const struct cbit_pci *pci)
{
	return __builtin_expect(pci->faults != NULL, 0);
}

/*
 * pci_fault_stop() - nothing comes by time any more: the model may go away. Twice does no harm.
 * pci_fault_destroy() - after that, and after the model, whose engine asks until it has stopped.
 */
void pci_fault_stop(struct pci_faults *faults);
void pci_fault_destroy(struct pci_faults *faults);

/* pci_fault_opened() - the device was opened, or closed. With no lock held. */
void pci_fault_opened(struct pci_faults *faults, bool open);

/*
 * pci_fault_dma() - a DMA request is about to leave; no lock held. True: it finds no translation.
 * The device may be gone afterwards.
 */
bool pci_fault_dma(struct cbit_pci *pci, uint64_t iova, size_t len, bool write);

/* pci_fault_irq() - an interrupt is about to leave. True: it is lost. */
bool pci_fault_irq(struct cbit_pci *pci, unsigned int index, unsigned int vector);

/*
 * pci_fault_doorbell() - a doorbell was written, of @queue; the rest is for the message. True: the
 * model must not see it.
 */
bool pci_fault_doorbell(struct cbit_pci *pci, unsigned int queue, const char *name,
			unsigned int number, uint64_t value);

/**
 * struct pci_fault_end - how a command is to end.
 * @fail:     with @status and not carried out.
 * @until_ns: not before then (CLOCK_MONOTONIC); 0 for at once.
 */
struct pci_fault_end {
	bool fail;
	uint32_t status;
	uint64_t until_ns;
};

/*
 * pci_fault_command() - a command of @queue is about to be carried out. @name and @number: for the
 * message;
 * @status: what the model fails with unless the rule says otherwise, @mask: bits that a status has.
 */
struct pci_fault_end pci_fault_command(struct cbit_pci *pci, unsigned int queue, const char *name,
				       uint64_t number, uint32_t status, uint32_t mask);

/* pci_fault_delays() - may a command of this device have to wait? */
bool pci_fault_delays(const struct cbit_pci *pci);

/*
 * pci_fault_wait() - wait on @cond, of the default clock, at most until then. False: it is then
 * already. The caller looks why it was woken.
 */
bool pci_fault_wait(uint64_t until_ns, pthread_cond_t *cond, pthread_mutex_t *lock);

/*
 * pci_fault_link_restored() - with the device locked: a reset retrains the link. False if it was
 * not down.
 */
bool pci_fault_link_restored(struct cbit_pci *pci);

#endif
