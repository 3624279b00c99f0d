/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the DMA API share: a kernel with its own mapping of every page over real
 * modelled memory, and devices that reach that memory by the address they were given, with an IOMMU
 * or without. The host's key stands for a guest's, too: what counts here is the C-bit.
 */
#ifndef CBIT_TEST_DMA_RIG_H
#define CBIT_TEST_DMA_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/dma.h>
#include <cbit/iommu.h>

#define MIB(n)  ((uint64_t)(n) << 20)
#define GIB(n)  ((uint64_t)(n) << 30)
#define P       CBIT_PAGE_SIZE
#define SLOT    CBIT_SWIOTLB_SLOT
#define SEGMENT CBIT_SWIOTLB_SEGMENT

#define TABLES    MIB(16)
#define RAM       MIB(256)
#define RAM_SIZE  MIB(256)
#define RAM_MOST  GIB(2)
#define HIGH_SIZE MIB(256)
#define HIGH      GIB(8) /* RAM that a 32-bit device does not reach; not for the allocator */
#define BAR       GIB(32)
#define BAR_SIZE  MIB(1)
#define DEV       0x0100
#define MASK32    UINT64_C(0xffffffff)
#define MASK48    UINT64_C(0xffffffffffff)
#define MASK64    UINT64_MAX
#define C51       (UINT64_C(1) << 51)

#define BIDIR CBIT_DMA_BIDIRECTIONAL
#define TO    CBIT_DMA_TO_DEVICE
#define FROM  CBIT_DMA_FROM_DEVICE

/**
 * struct kernel - of the host or of a guest.
 * @taken:  its RAM's pages, by the allocator. @plain: mapped with the C-bit clear, for all pages.
 * @bar_private: the BAR is mapped with the C-bit set.
 * @fail_read, @fail_decrypt: errno that the next such operation returns.
 * @decrypts: calls of set_decrypted.
 */
struct kernel {
	struct cbit_platform platform;
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	struct cbit_dma *dma;
	uint8_t *bar;
	uint8_t taken[RAM_MOST / P];
	uint8_t plain[(RAM_MOST + HIGH_SIZE) / P];
	uint64_t ram_size;
	bool bar_private;
	int fail_read;
	int fail_write;
	int fail_decrypt;
	int fail_map;
	int fail_unmap;
	unsigned int decrypts;
	unsigned int attrs; /* of the last IOMMU mapping */
	uint64_t mapped;    /* bytes in the IOMMU */
	uint64_t zeroed;    /* largest allocation that is zeroed; 0: all */
};

struct setup {
	const char *platform;
	const char *policy;
	bool guest;
	bool confidential;
	uint64_t swiotlb;
	uint64_t ram;
	uint64_t zeroed;
	uint64_t ram_size; /* of the rig; 0: RAM_SIZE */
	const struct cbit_policy *derived;
};

static inline uint8_t *page_plain(struct kernel *k, uint64_t phys)
{
	if (phys - RAM < RAM_MOST)
		return &k->plain[(phys - RAM) / P];
	assert_true(phys - HIGH < HIGH_SIZE);
	return &k->plain[(RAM_MOST + (phys - HIGH) % HIGH_SIZE) / P];
}

static inline struct cbit_bus cpu_address(struct kernel *k, uint64_t phys)
{
	bool c = phys - BAR < BAR_SIZE ? false : !*page_plain(k, phys);

	return cbit_mem_bus(k->mem, CBIT_SPA(phys), c && k->platform.sme);
}

static inline int take_error(int *error)
{
	int was = *error;

	*error = 0;
	return was;
}

static inline int kernel_read(void *opaque, struct cbit_phys phys, void *buf, size_t len)
{
	struct kernel *k = opaque;

	if (k->fail_read)
		return take_error(&k->fail_read);
	assert_true(phys.v % P + len <= P && len);
	return cbit_mem_read(k->mem, cpu_address(k, phys.v), buf, len) == CBIT_MEM_OK ? 0 : -EFAULT;
}

static inline int kernel_write(void *opaque, struct cbit_phys phys, const void *buf, size_t len)
{
	struct kernel *k = opaque;

	if (k->fail_write)
		return take_error(&k->fail_write);
	assert_true(phys.v % P + len <= P && len);
	return cbit_mem_write(k->mem, cpu_address(k, phys.v), buf, len) == CBIT_MEM_OK ? 0
										       : -EFAULT;
}

/* The CPU's own loads and stores, across pages. */
static inline void cpu_read(struct kernel *k, uint64_t phys, void *buf, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = P - (phys + i) % P < len - i ? P - (phys + i) % P : len - i;
		assert_int_equal(kernel_read(k, CBIT_PHYS(phys + i), (uint8_t *)buf + i, n), 0);
	}
}

static inline void cpu_write(struct kernel *k, uint64_t phys, const void *buf, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = P - (phys + i) % P < len - i ? P - (phys + i) % P : len - i;
		assert_int_equal(kernel_write(k, CBIT_PHYS(phys + i), (const uint8_t *)buf + i, n),
				 0);
	}
}

static inline void cpu_fill(struct kernel *k, uint64_t phys, uint8_t byte, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	memset(buf, byte, len);
	cpu_write(k, phys, buf, len);
	free(buf);
}

static inline int kernel_alloc(void *opaque, uint64_t size, uint64_t align, uint64_t limit,
			       struct cbit_phys *out)
{
	struct kernel *k = opaque;
	int fail = take_error(&k->fail_write); /* not for the allocator */

	assert_true(size && size % P == 0 && align >= P && !(align & (align - 1)));
	for (uint64_t at = RAM; at + size <= RAM + k->ram_size; at += align) {
		uint8_t *taken = &k->taken[(at - RAM) / P];

		if (memchr(taken, 1, size / P) || at + size - 1 > limit)
			continue;
		memset(taken, 1, size / P);
		memset(page_plain(k, at), 0, size / P);
		if (!k->zeroed || size <= k->zeroed)
			cpu_fill(k, at, 0, size);
		k->fail_write = fail;
		*out = CBIT_PHYS(at);
		return 0;
	}
	return -ENOMEM;
}

static inline void kernel_free(void *opaque, struct cbit_phys phys, uint64_t size)
{
	struct kernel *k = opaque;

	for (uint64_t i = 0; i < size; i += P) {
		assert_true(k->taken[(phys.v + i - RAM) / P]);
		assert_false(*page_plain(k, phys.v + i));
		k->taken[(phys.v + i - RAM) / P] = 0;
	}
}

static inline int kernel_set_decrypted(void *opaque, struct cbit_phys phys, uint64_t size,
				       bool decrypted)
{
	struct kernel *k = opaque;

	if (k->fail_decrypt)
		return take_error(&k->fail_decrypt);
	assert_true(phys.v % P == 0 && size % P == 0);
	memset(page_plain(k, phys.v), decrypted, size / P);
	k->decrypts++;
	return 0;
}

static inline bool kernel_is_mmio(void *opaque, struct cbit_phys phys)
{
	(void)opaque;
	return phys.v - BAR < BAR_SIZE;
}

static inline enum cbit_dma_pages kernel_pages(void *opaque, struct cbit_phys phys, uint64_t size)
{
	struct kernel *k = opaque;
	uint64_t n = 0, all = 0;

	if (kernel_is_mmio(k, phys))
		return k->bar_private ? CBIT_DMA_PAGES_C : CBIT_DMA_PAGES_PLAIN;
	for (uint64_t at = phys.v & ~(P - 1); at < phys.v + size; at += P, all++)
		n += *page_plain(k, at);
	return !n ? CBIT_DMA_PAGES_C : n == all ? CBIT_DMA_PAGES_PLAIN : CBIT_DMA_PAGES_MIXED;
}

static const struct cbit_kernel_ops kernel_ops = {
	.read = kernel_read,
	.write = kernel_write,
	.alloc = kernel_alloc,
	.free = kernel_free,
	.set_decrypted = kernel_set_decrypted,
	.is_mmio = kernel_is_mmio,
	.pages = kernel_pages,
};

static inline int driver_map(void *opaque, struct cbit_iova iova, struct cbit_phys phys,
			     uint64_t size, unsigned int attrs)
{
	struct kernel *k = opaque;
	int err;

	if (k->fail_map)
		return take_error(&k->fail_map);
	assert_true(iova.v && (iova.v | phys.v | size) % P == 0 && size);
	k->attrs = attrs;
	err = cbit_domain_map(k->domain, iova, CBIT_SPA(phys.v), size, attrs);
	k->mapped += err ? 0 : size;
	return err;
}

static inline int driver_unmap(void *opaque, struct cbit_iova iova, uint64_t size)
{
	struct kernel *k = opaque;
	uint64_t unmapped = 0;
	int err;

	if (k->fail_unmap)
		return take_error(&k->fail_unmap);
	err = cbit_domain_unmap(k->domain, iova, size, &unmapped);
	assert_int_equal(unmapped, size);
	k->mapped -= unmapped;
	return err;
}

static const struct cbit_dma_iommu_ops driver_ops = { .map = driver_map, .unmap = driver_unmap };

static inline const struct cbit_policy *setup_policy(const struct setup *s)
{
	return s->derived ? s->derived : cbit_policy_preset(s->policy ? s->policy : "linux-7.2");
}

static inline int kernel_dma_up(struct kernel *k, const struct setup *s)
{
	struct cbit_dma_config cfg = {
		.platform = k->platform,
		.guest = s->guest,
		.confidential = s->confidential,
		.policy = setup_policy(s),
		.ops = kernel_ops,
		.opaque = k,
		.ram = s->ram,
		.swiotlb = s->swiotlb,
	};

	return cbit_dma_create(&cfg, &k->dma);
}

static inline struct kernel *kernel_up(const struct setup *s)
{
	struct kernel *k = calloc(1, sizeof(*k));
	struct cbit_mem_region_desc ram = { .kind = CBIT_MEM_DRAM, .encrypts = true };
	struct cbit_mem_region_desc bar = { .kind = CBIT_MEM_MMIO,
					    .base = CBIT_SPA(BAR),
					    .size = BAR_SIZE };

	assert_non_null(k);
	assert_int_equal(cbit_platform_preset(s->platform ? s->platform : "sme", &k->platform), 0);
	k->platform.c_bit = 51;
	assert_int_equal(cbit_mem_create(&k->platform, &k->mem), 0);
	k->bar = aligned_alloc(P, BAR_SIZE);
	assert_non_null(k->bar);
	memset(k->bar, 0, BAR_SIZE);
	bar.direct = k->bar;
	assert_int_equal(cbit_mem_add_region(k->mem, &bar, NULL), 0);
	ram.base = CBIT_SPA(TABLES);
	ram.size = MIB(64);
	assert_int_equal(cbit_mem_add_region(k->mem, &ram, NULL), 0);
	ram.base = CBIT_SPA(RAM);
	k->ram_size = s->ram_size ? s->ram_size : RAM_SIZE;
	ram.size = k->ram_size;
	assert_int_equal(cbit_mem_add_region(k->mem, &ram, NULL), 0);
	ram.base = CBIT_SPA(HIGH);
	ram.size = HIGH_SIZE;
	assert_int_equal(cbit_mem_add_region(k->mem, &ram, NULL), 0);
	assert_int_equal(cbit_iommu_create(k->mem, NULL, &k->iommu), 0);
	assert_int_equal(cbit_domain_create(k->iommu, NULL, &k->domain), 0);
	assert_int_equal(cbit_domain_attach(k->domain, DEV), 0);
	k->zeroed = s->zeroed;
	assert_int_equal(kernel_dma_up(k, s), 0);
	return k;
}

/* Nothing is left: no slot, no page of RAM, no entry. */
static inline void kernel_down(struct kernel *k)
{
	struct cbit_dma_stats stats;

	cbit_dma_stats(k->dma, &stats);
	assert_int_equal(stats.used, 0);
	cbit_dma_destroy(k->dma);
	assert_null(memchr(k->taken, 1, sizeof(k->taken)));
	assert_int_equal(k->mapped, 0);
	cbit_domain_destroy(k->domain);
	cbit_iommu_destroy(k->iommu);
	cbit_mem_destroy(k->mem);
	free(k->bar);
	free(k);
}

static inline struct cbit_dma_dev_config dev_config(struct kernel *k, bool iommu)
{
	return (struct cbit_dma_dev_config){
		.devid = DEV,
		.mask = MASK64,
		.coherent_mask = MASK64,
		.iommu = iommu ? &driver_ops : NULL,
		.iommu_opaque = k,
		.iova_size = UINT64_C(1) << 48,
	};
}

static inline struct cbit_dma_dev *dev_up(struct kernel *k, const struct cbit_dma_dev_config *cfg)
{
	struct cbit_dma_dev *dev;

	assert_int_equal(cbit_dma_dev_create(k->dma, cfg, &dev), 0);
	return dev;
}

/* What the device does with an address: by the fabric, or through the IOMMU. */
static inline bool dev_read(struct kernel *k, bool iommu, struct cbit_iova addr, void *buf,
			    size_t len)
{
	if (iommu)
		return cbit_iommu_dma_read(k->iommu, DEV, addr, buf, len, NULL) == CBIT_DMA_OK;
	return cbit_mem_read(k->mem, (struct cbit_bus){ addr.v }, buf, len) == CBIT_MEM_OK;
}

static inline bool dev_write(struct kernel *k, bool iommu, struct cbit_iova addr, const void *buf,
			     size_t len)
{
	if (iommu)
		return cbit_iommu_dma_write(k->iommu, DEV, addr, buf, len, NULL) == CBIT_DMA_OK;
	return cbit_mem_write(k->mem, (struct cbit_bus){ addr.v }, buf, len) == CBIT_MEM_OK;
}

static inline bool in_pool(struct kernel *k, uint64_t phys)
{
	struct cbit_dma_stats stats;

	cbit_dma_stats(k->dma, &stats);
	return phys - stats.pool.v < stats.pool_size;
}

static inline uint64_t slots_used(struct kernel *k)
{
	struct cbit_dma_stats stats;

	cbit_dma_stats(k->dma, &stats);
	return stats.used;
}

static inline void pattern(uint8_t *p, size_t len, unsigned int seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) + seed * 31 + 1);
}

#endif
