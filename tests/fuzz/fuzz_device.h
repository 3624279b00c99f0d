/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets of device models share: a machine with some pages of memory, mapped at
 * RAM_IOVA, and one device. Both are kept from input to input.
 */
#ifndef CBIT_FUZZ_DEVICE_H
#define CBIT_FUZZ_DEVICE_H

#include "fuzz.h"

#include <cbit/dev.h>
#include <cbit/iommu.h>

#include "dev/pci_internal.h"

#define PAGES    32u
#define RAM_IOVA UINT64_C(0x100000)
#define RAM_SIZE (PAGES * UINT64_C(4096))

struct machine {
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	struct cbit_spa ram;
	struct cbit_pci *pci;
	uint64_t place;
	unsigned int vectors; /* that the device has, at most */
};

static void *bar_memory(void *opaque, unsigned int bar, uint64_t size)
{
	(void)opaque;
	(void)bar;
	return aligned_alloc(4096, size);
}

static struct cbit_spa bar_place(void *opaque, uint64_t size)
{
	struct machine *m = opaque;
	uint64_t at = (m->place + size - 1) & ~(size - 1);

	m->place = at + size;
	return CBIT_SPA(at);
}

static void irq(void *opaque, unsigned int index, unsigned int vector)
{
	const struct machine *m = opaque;

	FUZZ_CHECK(index < PCI_IRQS && vector < m->vectors);
}

static void machine_plug(struct machine *m, const char *spec, unsigned int vectors)
{
	const struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(0),
		.size = 0x4000000,
		.name = "dram",
	};
	struct cbit_pci_host host = {
		.bar_memory = bar_memory, .bar_place = bar_place, .irq = irq, .opaque = m
	};
	struct cbit_platform platform;

	FUZZ_CHECK(!cbit_platform_preset("bare", &platform));
	FUZZ_CHECK(!cbit_mem_create(&platform, &m->mem));
	FUZZ_CHECK(!cbit_mem_add_region(m->mem, &dram, NULL));
	FUZZ_CHECK(!cbit_iommu_create(m->mem, NULL, &m->iommu));
	FUZZ_CHECK(!cbit_domain_create(m->iommu, NULL, &m->domain));
	FUZZ_CHECK(!cbit_mem_frames_alloc(m->mem, PAGES, CBIT_KEY_NONE, &m->ram));
	FUZZ_CHECK(
		!cbit_domain_map(m->domain, CBIT_IOVA(RAM_IOVA), m->ram, RAM_SIZE, CBIT_ATTR_RW));
	m->place = UINT64_C(1) << 36;
	m->vectors = vectors;
	host.iommu = m->iommu;
	FUZZ_CHECK(!cbit_pci_create(spec, 0x100, &host, &m->pci, NULL));
	FUZZ_CHECK(!cbit_domain_attach(m->domain, 0x100));
}

/* The device as new, but for memory decoding and bus mastering, which are on; memory of zeros. */
static void machine_reset(struct machine *m)
{
	static const uint8_t zeroes[RAM_SIZE];
	uint16_t memory_and_master = 6;

	cbit_pci_reset(m->pci);
	cbit_pci_config_write(m->pci, 4, &memory_and_master, sizeof(memory_and_master));
	cbit_mem_write(m->mem, cbit_mem_bus(m->mem, m->ram, false), zeroes, sizeof(zeroes));
}

#endif
