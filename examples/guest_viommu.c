/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest_viommu: a SEV guest behind an IOMMU that the hypervisor emulates. The guest shares a page
 * with the hypervisor so that a device can read it. Whether the device gets the bytes depends on
 * two habits of the guest's IOMMU driver: where its tables lie, and whether it sets the C-bit in
 * the entry of a shared page.
 *
 *   cc guest_viommu.c $(pkg-config --cflags --libs cbit) -o guest_viommu
 */
#include <cbit/cbit.h>

#include "example.h"

#define HOST_DRAM  UINT64_C(0x1000000)   /* for NPT and the like */
#define GUEST_DRAM UINT64_C(0x100000000) /* what the guest has as its memory */
#define SIZE       UINT64_C(0x10000000)
#define GUEST_SIZE UINT64_C(0x400000)
#define DEVICE     0x0008
#define TEXT       "for the device"

static void add_dram(struct cbit_mem *mem, const char *name, uint64_t base, uint64_t size)
{
	MUST(cbit_mem_add_region(mem,
				 &(struct cbit_mem_region_desc){ .kind = CBIT_MEM_DRAM,
								 .encrypts = true,
								 .base = CBIT_SPA(base),
								 .size = size,
								 .name = name },
				 NULL));
}

/* Keeps the id of the first thing that goes wrong. */
static void told(void *opaque, const struct cbit_event *ev)
{
	const char **first = (const char **)opaque;

	if (!*first)
		*first = cbit_report_id(ev);
}

static void try(struct cbit_guest *guest, struct cbit_gpa page, bool tables_shared, bool c)
{
	const char *finding = NULL;
	struct cbit_observer observer = { .event = told, .opaque = &finding };
	struct cbit_viommu_config cfg = { .tables_shared = tables_shared,
					  .last_devid = 0xff,
					  .observer = &observer };
	struct cbit_viommu_domain *domain;
	struct cbit_viommu *viommu;
	enum cbit_dma_status status;
	char buf[sizeof(TEXT)];

	/* The guest's driver builds its tables in guest memory and waits for an answer. */
	MUST(cbit_viommu_create(guest, &cfg, &viommu));
	MUST(cbit_viommu_attach(viommu, DEVICE, &domain));
	MUST(cbit_viommu_map(domain, CBIT_IOVA(0x10000), page, CBIT_PAGE_SIZE,
			     CBIT_ATTR_RW | (c ? CBIT_ATTR_ENCRYPTED : 0)));
	/* The hypervisor's IOMMU reads them, as it sees guest memory, for an emulated device. */
	status = cbit_iommu_dma_read(cbit_viommu_hardware(viommu), DEVICE, CBIT_IOVA(0x10000), buf,
				     sizeof(buf), NULL);
	printf("tables %s C-bit %s IOMMU %s, device reads %s, finding %s\n",
	       tables_shared ? "shared, " : "private,",
	       c ? "set:  " : "clear:", cbit_viommu_alive(viommu) ? "answers" : "is dead",
	       status == CBIT_DMA_OK && !memcmp(buf, TEXT, sizeof(buf)) ? "\"" TEXT "\""
	       : status == CBIT_DMA_OK                                  ? "noise"
	       : status == CBIT_DMA_ABORT                               ? "nothing (abort)"
									: "nothing (fault)",
	       finding ? finding : "none");
	cbit_viommu_destroy(viommu);
}

int main(void)
{
	struct cbit_guest_config cfg = { .kind = CBIT_GUEST_SEV, .asid = 1, .npt_c = true };
	struct cbit_platform platform;
	struct cbit_guest *guest;
	struct cbit_error err;
	struct cbit_mem *mem;
	struct cbit_gpa page;
	char raw[sizeof(TEXT)];
	struct cbit_spa spa;

	/* A host with SME whose processor also has SEV, with 15 ASIDs. */
	MUST(cbit_platform_preset("sme", &platform));
	platform.sev = true;
	platform.asids = 15;
	MUST(cbit_mem_create(&platform, &mem));
	add_dram(mem, "host-dram", HOST_DRAM, SIZE);
	add_dram(mem, "guest-dram", GUEST_DRAM, GUEST_SIZE);

	/* 4 MiB of memory at GPA 0, and a kernel that maps all of it. */
	MUST(cbit_guest_create(mem, &cfg, &guest, &err));
	MUST(cbit_guest_add_memory(guest, CBIT_GPA(0), CBIT_SPA(GUEST_DRAM), GUEST_SIZE, &err));
	MUST(cbit_guest_boot(guest, &err));

	/* A page that it shares with the hypervisor, then writes by its CPU. */
	MUST(cbit_guest_alloc(guest, CBIT_PAGE_SIZE, CBIT_PAGE_SIZE, UINT64_MAX, &page));
	MUST(cbit_guest_share(guest, page, CBIT_PAGE_SIZE));
	if (cbit_guest_write(guest, cbit_guest_direct(page), TEXT, sizeof(TEXT), NULL) !=
	    CBIT_GUEST_OK)
		return 1;

	/* Shared is not the same as plain: the nested page table has the C-bit on an SME host. */
	MUST(cbit_guest_spa(guest, page, &spa));
	MUST(cbit_mem_raw(mem, spa, raw, sizeof(raw)));
	printf("the page is shared, and DRAM holds %s\n",
	       memcmp(raw, TEXT, sizeof(raw)) ? "ciphertext (host key)" : "plaintext");

	for (unsigned int i = 0; i < 4; i++)
		try(guest, page, i & 1, i & 2);

	cbit_guest_free(guest, page, CBIT_PAGE_SIZE);
	cbit_guest_destroy(guest);
	cbit_mem_destroy(mem);
	return 0;
}
