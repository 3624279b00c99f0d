/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * apics: the interrupt controllers of a machine with up to 4096 CPUs and more, and the three ways
 * in which a message names one of them: 8 bits of destination in compatibility format, 15 bits
 * with kvm-msi-ext-dest-id, 32 bits by way of interrupt remapping.
 *
 * An object is used by one thread at a time.
 */
#ifndef CBIT_APICS_H
#define CBIT_APICS_H

#include <cbit/iommu.h>
#include <cbit/types.h>

CBIT_API_BEGIN

#define CBIT_MSI_ADDRESS UINT64_C(0xfee00000)

/**
 * enum cbit_msi_format - how the kernel of a machine writes a message.
 * @CBIT_MSI_FORMAT_COMPAT: destination 7:0 in address bits 19:12.
 * @CBIT_MSI_FORMAT_EXT_DEST_ID: and 14:8 in address bits 11:5, where the hypervisor offers that
 * (CPUID 40000001 EAX[15]; struct x86_msi_addr_lo in arch/x86/include/asm/msi.h).
 * @CBIT_MSI_FORMAT_REMAPPED: an index into the device's interrupt remapping table, in the data
 * (48882 2.2.5: data bits 10:0 with tables of 2048).
 */
enum cbit_msi_format {
	CBIT_MSI_FORMAT_COMPAT,
	CBIT_MSI_FORMAT_EXT_DEST_ID,
	CBIT_MSI_FORMAT_REMAPPED,
};

/**
 * cbit_msi_compose() - the message a kernel writes into a device, as __irq_msi_compose_msg() does.
 * @dest:   APIC id; bits that the format has no room for are lost, as they are there. For
 *          CBIT_MSI_FORMAT_REMAPPED the index of the entry.
 * @vector: 16..255; ignored for CBIT_MSI_FORMAT_REMAPPED.
 */
void cbit_msi_compose(enum cbit_msi_format format, uint32_t dest, uint8_t vector, uint64_t *address,
		      uint32_t *data);

/** cbit_msi_reach() - the highest APIC id that a format can name. */
uint32_t cbit_msi_reach(enum cbit_msi_format format, bool broadcast_quirk);

/**
 * struct cbit_apics_config - the CPUs.
 * @ids:   their APIC ids in any order, @count of them; copied.
 * @ext_dest_id: the hypervisor honours address bits 11:5 when the message is not in remappable
 *         format (bit 4 is 0) and the upper half of the address is 0.
 * @broadcast_quirk: destination 255 means all CPUs even in x2APIC mode: KVM unless
 *         KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK is set (arch/x86/kvm/lapic.c, kvm_apic_mda()).
 * @observer: told of lost interrupts; may be NULL.
 */
struct cbit_apics_config {
	const uint32_t *ids;
	size_t count;
	bool ext_dest_id;
	bool broadcast_quirk;
	const struct cbit_observer *observer;
};

struct cbit_apics;

/** cbit_apics_create() - Return: 0; -EINVAL for none or an id twice; -ENOMEM. */
int cbit_apics_create(const struct cbit_apics_config *cfg, struct cbit_apics **out);

/** cbit_apics_destroy() - NULL is allowed. */
void cbit_apics_destroy(struct cbit_apics *apics);

/**
 * cbit_apics_message() - a message arrives as a device wrote it, no IOMMU having changed it.
 * Fixed delivery in physical destination mode; anything else is for nobody here.
 * Return: CPUs that took it; 0 when it is lost, of which the observer is told
 * (CBIT_EVENT_INTERRUPT_LOST).
 */
unsigned int cbit_apics_message(struct cbit_apics *apics, uint16_t devid, uint64_t address,
				uint32_t data);

/** cbit_apics_remapped() - one that an IOMMU has remapped: 32 bits of destination. */
unsigned int cbit_apics_remapped(struct cbit_apics *apics, uint16_t devid,
				 const struct cbit_msi *msi);

/**
 * cbit_apics_send() - a device writes @data to @address: through @iommu if there is one.
 * Return: CPUs that took it; 0 when it is lost, also because the IOMMU aborted it.
 */
unsigned int cbit_apics_send(struct cbit_apics *apics, struct cbit_iommu *iommu, uint16_t devid,
			     uint64_t address, uint32_t data);

/** cbit_apics_take() - whether @vector is pending on the CPU with @id, which it is not after. */
bool cbit_apics_take(struct cbit_apics *apics, uint32_t id, uint8_t vector);

CBIT_API_END

#endif
