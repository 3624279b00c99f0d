/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * viommu: an AMD-Vi IOMMU that a hypervisor gives to its guest. The guest's driver builds device
 * table, page tables, rings and interrupt tables in guest memory; the hypervisor's emulation is a
 * struct cbit_iommu that reads them as the hypervisor sees that memory.
 *
 * Whether it works is decided by where the driver puts its tables and what it writes into
 * their entries, and by nothing else.
 *
 * An object is used by one thread at a time, which is the guest's (see <cbit/guest.h>).
 */
#ifndef CBIT_VIOMMU_H
#define CBIT_VIOMMU_H

#include <cbit/guest.h>
#include <cbit/iommu.h>

CBIT_API_BEGIN

struct cbit_viommu;
struct cbit_viommu_domain;

/**
 * struct cbit_viommu_config - the driver's habits.
 * @tables_shared: device table, page tables, rings, semaphore and interrupt tables lie in pages
 *              shared with the hypervisor, and what points to them has no C-bit. Otherwise they
 *              are private and every pointer has it, as Linux's __sme_set() leaves them.
 * @xt:         128-bit IRTEs with 32-bit destinations and tables of 2048, as Linux sets up for
 *              x2APIC; otherwise 32-bit IRTEs and tables of 512.
 * @last_devid: the highest requester there is: the device table covers it and no more. 0 for all.
 * @observer:   of what the emulated IOMMU meets; may be NULL, must outlive it.
 */
struct cbit_viommu_config {
	bool tables_shared;
	bool xt;
	uint16_t last_devid;
	const struct cbit_observer *observer;
};

/**
 * cbit_viommu_create() - the hypervisor adds the IOMMU, the guest's driver sets it up: tables, base
 * registers, control register, and a COMPLETION_WAIT to see whether it lives.
 * A dead one is no error here: Linux goes on too. cbit_viommu_alive() tells.
 * Return: 0, -EINVAL for a guest that has not booted, -ENOMEM.
 */
int cbit_viommu_create(struct cbit_guest *guest, const struct cbit_viommu_config *cfg,
		       struct cbit_viommu **out);

/** cbit_viommu_destroy() - with its domains, before the guest. NULL is allowed. */
void cbit_viommu_destroy(struct cbit_viommu *viommu);

/** cbit_viommu_hardware() - the emulated IOMMU: DMA of emulated devices goes through it. */
struct cbit_iommu *cbit_viommu_hardware(struct cbit_viommu *viommu);

/**
 * cbit_viommu_alive() - whether the last COMPLETION_WAIT came back ("Completion-Wait loop timed
 * out" is what Linux prints otherwise).
 */
bool cbit_viommu_alive(const struct cbit_viommu *viommu);

/**
 * cbit_viommu_attach() - a domain for @devid: page table, DTE, invalidation.
 * Return: 0; -EEXIST when it has one; -EINVAL beyond the device table; -ENOMEM.
 */
int cbit_viommu_attach(struct cbit_viommu *viommu, uint16_t devid, struct cbit_viommu_domain **out);

/** cbit_viommu_domain_pt() - its page table, in guest memory. */
struct cbit_pt *cbit_viommu_domain_pt(struct cbit_viommu_domain *domain);

/** cbit_viommu_map() - write entries; @attrs are CBIT_ATTR_*, ENCRYPTED being the guest's C-bit. */
int cbit_viommu_map(struct cbit_viommu_domain *domain, struct cbit_iova iova, struct cbit_gpa gpa,
		    uint64_t size, unsigned int attrs);

/**
 * cbit_viommu_unmap() - remove entries, invalidate, wait.
 * Return: 0; -ENOENT when nothing was there; -ETIMEDOUT when the IOMMU does not answer.
 */
int cbit_viommu_unmap(struct cbit_viommu_domain *domain, struct cbit_iova iova, uint64_t size);

/** cbit_viommu_unmap_only() - remove entries and forget to invalidate. */
int cbit_viommu_unmap_only(struct cbit_viommu_domain *domain, struct cbit_iova iova, uint64_t size);

/** cbit_viommu_dma_ops() - a domain as the DMA API uses it; @opaque is the domain. */
struct cbit_dma_iommu_ops cbit_viommu_dma_ops(void);

/**
 * cbit_viommu_msi_setup() - an interrupt remapping table for @devid and entry @index in it.
 * @dest: APIC id; up to 8 bits without XT.
 * Return: 0, -EINVAL for an index or id that the format has no room for, -ENOMEM, -ETIMEDOUT.
 */
int cbit_viommu_msi_setup(struct cbit_viommu *viommu, uint16_t devid, unsigned int index,
			  uint32_t dest, uint8_t vector);

CBIT_API_END

#endif
