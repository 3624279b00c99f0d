/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt controllers, and what becomes of a message on its way to one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/apics.h>

#define DEST_SHIFT      12
#define EXT_SHIFT       5
#define EXT_MASK        0x7fu
#define ADDR_LOGICAL    UINT64_C(4)
#define ADDR_REMAPPABLE UINT64_C(0x10)
#define DELIVERY_SHIFT  8
#define VECTORS         256u
#define BROADCAST       UINT32_C(0xffffffff)
#define BROADCAST_8     UINT32_C(0xff)

struct apic {
	uint32_t id;
	uint64_t irr[VECTORS / 64];
};

struct cbit_apics {
	struct cbit_apics_config cfg;
	size_t count;
	struct apic apic[]; /* by id */
};

void cbit_msi_compose(enum cbit_msi_format format, uint32_t dest, uint8_t vector, uint64_t *address,
		      uint32_t *data)
{
	*address = CBIT_MSI_ADDRESS;
	*data = vector;
	switch (format) {
	case CBIT_MSI_FORMAT_EXT_DEST_ID:
		*address |= (uint64_t)(dest >> 8 & EXT_MASK) << EXT_SHIFT;
		__attribute__((fallthrough));
	case CBIT_MSI_FORMAT_COMPAT:
		*address |= (uint64_t)(dest & 0xff) << DEST_SHIFT;
		break;
	case CBIT_MSI_FORMAT_REMAPPED:
		/* The mode of tables of 2048 wants DM=1 in the message. */
		*address |= ADDR_LOGICAL;
		*data = dest & 0x7ff;
		break;
	}
}

uint32_t cbit_msi_reach(enum cbit_msi_format format, bool broadcast_quirk)
{
	switch (format) {
	case CBIT_MSI_FORMAT_COMPAT:
		return broadcast_quirk ? 254 : 255;
	case CBIT_MSI_FORMAT_EXT_DEST_ID:
		return 0x7fff;
	case CBIT_MSI_FORMAT_REMAPPED:
		break;
	}
	return BROADCAST - 1;
}

static int by_id(const void *a, const void *b)
{
	const struct apic *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int cbit_apics_create(const struct cbit_apics_config *cfg, struct cbit_apics **out)
{
	struct cbit_apics *apics;

	if (!cfg->count)
		return -EINVAL;
	apics = calloc(1, sizeof(*apics) + cfg->count * sizeof(apics->apic[0]));
	if (!apics)
		return -ENOMEM;
	apics->cfg = *cfg;
	apics->cfg.ids = NULL;
	apics->count = cfg->count;
	for (size_t i = 0; i < cfg->count; i++)
		apics->apic[i].id = cfg->ids[i];
	qsort(apics->apic, apics->count, sizeof(apics->apic[0]), by_id);
	for (size_t i = 1; i < apics->count; i++) {
		if (apics->apic[i].id == apics->apic[i - 1].id) {
			free(apics);
			return -EINVAL;
		}
	}
	*out = apics;
	return 0;
}

void cbit_apics_destroy(struct cbit_apics *apics)
{
	free(apics);
}

static struct apic *find(struct cbit_apics *apics, uint32_t id)
{
	struct apic key = { .id = id };

	return bsearch(&key, apics->apic, apics->count, sizeof(key), by_id);
}

static void raise_irq(struct apic *apic, uint8_t vector)
{
	apic->irr[vector / 64] |= UINT64_C(1) << (vector % 64);
}

static unsigned int lost(struct cbit_apics *apics, uint16_t devid, uint64_t address, uint32_t dest)
{
	const struct cbit_observer *o = apics->cfg.observer;
	struct cbit_event ev = {
		.type = CBIT_EVENT_INTERRUPT_LOST,
		.devid = devid,
		.write = true,
		.iova = CBIT_IOVA(address),
		.len = sizeof(uint32_t),
		.count = dest,
	};

	if (o && o->event)
		o->event(o->opaque, &ev);
	return 0;
}

static unsigned int deliver(struct cbit_apics *apics, uint16_t devid, uint64_t address,
			    const struct cbit_msi *msi)
{
	struct apic *apic;

	if (msi->delivery || msi->logical)
		return lost(apics, devid, address, msi->dest);
	if (msi->dest == BROADCAST || (msi->dest == BROADCAST_8 && apics->cfg.broadcast_quirk)) {
		for (size_t i = 0; i < apics->count; i++)
			raise_irq(&apics->apic[i], msi->vector);
		return (unsigned int)apics->count;
	}
	apic = find(apics, msi->dest);
	if (!apic)
		return lost(apics, devid, address, msi->dest);
	raise_irq(apic, msi->vector);
	return 1;
}

unsigned int cbit_apics_message(struct cbit_apics *apics, uint16_t devid, uint64_t address,
				uint32_t data)
{
	struct cbit_msi msi = {
		.dest = (uint32_t)(address >> DEST_SHIFT & 0xff),
		.vector = (uint8_t)data,
		.delivery = (uint8_t)(data >> DELIVERY_SHIFT & 7),
		.logical = address & ADDR_LOGICAL,
	};

	if ((address & ~UINT64_C(0xfffff)) != CBIT_MSI_ADDRESS)
		return lost(apics, devid, address, BROADCAST);
	if (apics->cfg.ext_dest_id && !(address & ADDR_REMAPPABLE))
		msi.dest |= (uint32_t)(address >> EXT_SHIFT & EXT_MASK) << 8;
	return deliver(apics, devid, address, &msi);
}

unsigned int cbit_apics_remapped(struct cbit_apics *apics, uint16_t devid,
				 const struct cbit_msi *msi)
{
	return deliver(apics, devid, CBIT_MSI_ADDRESS, msi);
}

unsigned int cbit_apics_send(struct cbit_apics *apics, struct cbit_iommu *iommu, uint16_t devid,
			     uint64_t address, uint32_t data)
{
	struct cbit_msi msi;

	if (!iommu)
		return cbit_apics_message(apics, devid, address, data);
	switch (cbit_iommu_msi(iommu, devid, address, data, &msi)) {
	case CBIT_MSI_REMAPPED:
		return deliver(apics, devid, address, &msi);
	case CBIT_MSI_FORWARDED:
		return cbit_apics_message(apics, devid, address, data);
	case CBIT_MSI_ABORTED:
	case CBIT_MSI_NONE:
		break;
	}
	return lost(apics, devid, address, (uint32_t)(address >> DEST_SHIFT & 0xff));
}

bool cbit_apics_take(struct cbit_apics *apics, uint32_t id, uint8_t vector)
{
	struct apic *apic = find(apics, id);
	uint64_t bit = UINT64_C(1) << (vector % 64);
	bool pending = apic && apic->irr[vector / 64] & bit;

	if (pending)
		apic->irr[vector / 64] &= ~bit;
	return pending;
}
