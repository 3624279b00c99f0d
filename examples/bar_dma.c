/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bar_dma: a host with SME, an IOMMU domain, and in it a page of memory and a page of another
 * device's BAR, each mapped with the C-bit and without. What does a device read there?
 *
 *   cc bar_dma.c $(pkg-config --cflags --libs cbit) -o bar_dma
 */
#include <cbit/cbit.h>

#include "example.h"

#define DRAM_BASE UINT64_C(0x10000000)
#define DRAM_SIZE UINT64_C(0x10000000)
#define BAR_BASE  UINT64_C(0x200000000000)
#define DEVICE    0x0100 /* 01:00.0 as bus << 8 | device << 3 | function */
#define TEXT      "sixteen letters"

/* The library prints nothing. What goes wrong is told here. */
static void told(void *opaque, const struct cbit_event *ev)
{
	const char *id = cbit_report_id(ev);

	(void)opaque;
	if (!id)
		return;
	printf("    finding: %s, IOVA 0x%llx", id, (unsigned long long)ev->iova.v);
	if (ev->spa_valid)
		printf(", SPA 0x%llx in %s", (unsigned long long)ev->spa.v,
		       ev->region ? ev->region : "nothing");
	printf("\n");
}

static void device_reads(struct cbit_iommu *iommu, const char *what, uint64_t iova)
{
	uint8_t buf[sizeof(TEXT)];

	printf("%s\n", what);
	switch (cbit_iommu_dma_read(iommu, DEVICE, CBIT_IOVA(iova), buf, sizeof(buf), NULL)) {
	case CBIT_DMA_OK:
		printf("    done: ");
		break;
	case CBIT_DMA_ABORT:
		printf("    nobody answered: ");
		break;
	default:
		printf("    refused: ");
		break;
	}
	for (size_t i = 0; i < sizeof(buf); i++)
		printf("%02x", buf[i]);
	printf("%s\n", memcmp(buf, TEXT, sizeof(buf)) ? "" : " \"" TEXT "\"");
}

int main(void)
{
	static uint8_t bar_memory[4096]; /* what the BAR's device keeps behind it */
	struct cbit_observer observer = { .event = told };
	struct cbit_platform platform;
	struct cbit_domain *domain;
	struct cbit_iommu *iommu;
	struct cbit_mem *mem;
	struct cbit_spa page;

	/* The address map: sparse DRAM behind a controller that encrypts, and a window. */
	MUST(cbit_platform_preset("sme", &platform));
	MUST(cbit_mem_create(&platform, &mem));
	MUST(cbit_mem_add_region(mem,
				 &(struct cbit_mem_region_desc){ .kind = CBIT_MEM_DRAM,
								 .encrypts = true,
								 .base = CBIT_SPA(DRAM_BASE),
								 .size = DRAM_SIZE,
								 .name = "dram" },
				 NULL));
	MUST(cbit_mem_add_region(mem,
				 &(struct cbit_mem_region_desc){ .kind = CBIT_MEM_MMIO,
								 .base = CBIT_SPA(BAR_BASE),
								 .size = sizeof(bar_memory),
								 .name = "bar",
								 .direct = bar_memory },
				 NULL));

	/* The CPU writes its page with the C-bit set, as Linux maps all of its memory. */
	MUST(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &page));
	if (cbit_mem_write(mem, cbit_mem_bus(mem, page, true), TEXT, sizeof(TEXT)) != CBIT_MEM_OK)
		return 1;
	memcpy(bar_memory, TEXT, sizeof(TEXT));

	/* An IOMMU with its tables in that DRAM; every device is blocked until it has a domain. */
	MUST(cbit_iommu_create(mem, &observer, &iommu));
	MUST(cbit_domain_create(iommu, NULL, &domain));
	MUST(cbit_domain_attach(domain, DEVICE));
	for (unsigned int c = 0; c < 2; c++) {
		unsigned int attrs = CBIT_ATTR_RW | (c ? CBIT_ATTR_ENCRYPTED : 0);

		MUST(cbit_domain_map(domain, CBIT_IOVA(0x10000 + 0x1000 * c), page, CBIT_PAGE_SIZE,
				     attrs));
		MUST(cbit_domain_map(domain, CBIT_IOVA(0x20000 + 0x1000 * c), CBIT_SPA(BAR_BASE),
				     CBIT_PAGE_SIZE, attrs));
	}

	device_reads(iommu, "memory, mapped with the C-bit (right)", 0x11000);
	device_reads(iommu, "memory, mapped without: what DRAM holds is ciphertext", 0x10000);
	device_reads(iommu, "BAR, mapped without the C-bit (right)", 0x20000);
	device_reads(iommu, "BAR, mapped with it: an address that nobody decodes", 0x21000);
	device_reads(iommu, "an address that is not mapped", 0x30000);

	/* In the reverse order; who was created with something must go before it. */
	cbit_domain_destroy(domain);
	cbit_iommu_destroy(iommu);
	cbit_mem_frames_free(mem, page, 1);
	cbit_mem_destroy(mem);
	return 0;
}
