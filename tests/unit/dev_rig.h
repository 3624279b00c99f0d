/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine for device tests: DRAM, an IOMMU, one domain, and ioat devices plugged in. Test
 * memory is RAM_SIZE bytes of DRAM at IOVA RAM_IOVA.
 */
#ifndef CBIT_TEST_DEV_RIG_H
#define CBIT_TEST_DEV_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <cbit/dev.h>

#define RAM_SIZE ((uint64_t)8 << 20)
#define RAM_IOVA ((uint64_t)0x100000000)

#define RIG_DEVICES 2

struct rig {
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	struct cbit_spa ram;
	bool sme;
	uint64_t place;
	struct cbit_pci *pci[RIG_DEVICES];
	void *memory[16];
	unsigned int memories;
	unsigned int irqs;
	unsigned int irqs_of[16]; /* by vector, the last counts all beyond */
	unsigned int irq_index;
	unsigned int irq_vector;
	unsigned int events[CBIT_NR_EVENTS];
	struct cbit_observer observer;
};

static inline void *rig_bar_memory(void *opaque, unsigned int bar, uint64_t size)
{
	struct rig *rig = opaque;
	void *p = aligned_alloc(4096, size);

	(void)bar;
	if (!p)
		return NULL;
	memset(p, 0, size);
	rig->memory[rig->memories++] = p;
	return p;
}

static inline struct cbit_spa rig_bar_place(void *opaque, uint64_t size)
{
	struct rig *rig = opaque;
	uint64_t at = (rig->place + size - 1) & ~(size - 1);

	rig->place = at + size;
	return CBIT_SPA(at);
}

static inline void rig_irq(void *opaque, unsigned int index, unsigned int vector)
{
	struct rig *rig = opaque;

	rig->irq_index = index;
	rig->irq_vector = vector;
	__atomic_add_fetch(&rig->irqs_of[vector < 15 ? vector : 15], 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&rig->irqs, 1, __ATOMIC_SEQ_CST);
}

static inline void rig_event(void *opaque, const struct cbit_event *ev)
{
	struct rig *rig = opaque;

	__atomic_add_fetch(&rig->events[ev->type], 1, __ATOMIC_SEQ_CST);
}

static inline int rig_plug(struct rig *rig, unsigned int slot, const char *spec,
			   struct cbit_error *err)
{
	struct cbit_pci_host host = {
		.iommu = rig->iommu,
		.bar_memory = rig_bar_memory,
		.bar_place = rig_bar_place,
		.irq = rig_irq,
		.opaque = rig,
	};

	return cbit_pci_create(spec, (uint16_t)(0x100 + 8 * slot), &host, &rig->pci[slot], err);
}

static inline unsigned int rig_ram_attrs(const struct rig *rig)
{
	return CBIT_ATTR_RW | (rig->sme ? CBIT_ATTR_ENCRYPTED : 0);
}

/* A machine of the given platform with a device for each SPEC, open, in one domain. */
static inline void rig_up(struct rig *rig, const char *platform, const char *spec0,
			  const char *spec1)
{
	const char *spec[RIG_DEVICES] = { spec0, spec1 };
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(0),
		.size = (uint64_t)1 << 30,
		.name = "dram",
	};
	struct cbit_platform p;

	memset(rig, 0, sizeof(*rig));
	assert_int_equal(cbit_platform_preset(platform, &p), 0);
	rig->sme = p.sme;
	rig->place = (uint64_t)1 << 36;
	rig->observer = (struct cbit_observer){ .event = rig_event, .opaque = rig };
	assert_int_equal(cbit_mem_create(&p, &rig->mem), 0);
	assert_int_equal(cbit_mem_add_region(rig->mem, &dram, NULL), 0);
	assert_int_equal(cbit_iommu_create(rig->mem, &rig->observer, &rig->iommu), 0);
	assert_int_equal(cbit_domain_create(rig->iommu, NULL, &rig->domain), 0);
	assert_int_equal(cbit_mem_frames_alloc(rig->mem, (unsigned int)(RAM_SIZE / 4096),
					       rig->sme ? CBIT_KEY_HOST : CBIT_KEY_NONE, &rig->ram),
			 0);
	assert_int_equal(cbit_domain_map(rig->domain, CBIT_IOVA(RAM_IOVA), rig->ram, RAM_SIZE,
					 rig_ram_attrs(rig)),
			 0);
	for (unsigned int i = 0; i < RIG_DEVICES; i++) {
		uint16_t command = 0x0006;

		if (!spec[i])
			continue;
		assert_int_equal(rig_plug(rig, i, spec[i], NULL), 0);
		cbit_pci_open(rig->pci[i]);
		cbit_pci_config_write(rig->pci[i], 4, &command, 2);
		assert_int_equal(cbit_domain_attach(rig->domain, cbit_pci_devid(rig->pci[i])), 0);
	}
}

static inline void rig_down(struct rig *rig)
{
	for (unsigned int i = 0; i < RIG_DEVICES; i++)
		if (rig->pci[i])
			cbit_pci_close(rig->pci[i]);
	cbit_domain_destroy(rig->domain);
	for (unsigned int i = 0; i < RIG_DEVICES; i++)
		cbit_pci_destroy(rig->pci[i]);
	cbit_iommu_destroy(rig->iommu);
	cbit_mem_destroy(rig->mem);
	for (unsigned int i = 0; i < rig->memories; i++)
		free(rig->memory[i]);
}

/* Test memory as the CPU sees it, by offset. */
static inline void ram_write(struct rig *rig, uint64_t at, const void *buf, size_t len)
{
	struct cbit_bus bus = cbit_mem_bus(rig->mem, CBIT_SPA(rig->ram.v + at), rig->sme);

	assert_int_equal(cbit_mem_write(rig->mem, bus, buf, len), CBIT_MEM_OK);
}

static inline void ram_read(struct rig *rig, uint64_t at, void *buf, size_t len)
{
	struct cbit_bus bus = cbit_mem_bus(rig->mem, CBIT_SPA(rig->ram.v + at), rig->sme);

	assert_int_equal(cbit_mem_read(rig->mem, bus, buf, len), CBIT_MEM_OK);
}

static inline bool same(struct rig *rig, uint64_t a, uint64_t b, size_t len)
{
	uint8_t *x = malloc(2 * len);
	bool equal;

	ram_read(rig, a, x, len);
	ram_read(rig, b, x + len, len);
	equal = !memcmp(x, x + len, len);
	free(x);
	return equal;
}

static inline uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline uint32_t cfg_read(struct cbit_pci *pci, uint32_t offset, uint32_t len)
{
	uint32_t v = 0;

	cbit_pci_config_read(pci, offset, &v, len);
	return v;
}

static inline void cfg_write(struct cbit_pci *pci, uint32_t offset, uint32_t v, uint32_t len)
{
	cbit_pci_config_write(pci, offset, &v, len);
}

static inline uint64_t reg_read(struct cbit_pci *pci, uint64_t offset, uint32_t len)
{
	uint64_t v = 0;

	cbit_pci_bar_read(pci, 0, offset, &v, len);
	return v;
}

static inline void reg_write(struct cbit_pci *pci, uint64_t offset, uint64_t v, uint32_t len)
{
	cbit_pci_bar_write(pci, 0, offset, &v, len);
}

#endif
