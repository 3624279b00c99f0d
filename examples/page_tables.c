/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * page_tables: the same ranges mapped in two formats, AMD I/O page tables (v1) and x86-64 ones,
 * looked up and listed. The tables lie in modelled DRAM, encrypted, and are read from there.
 *
 *   cc page_tables.c $(pkg-config --cflags --libs cbit) -o page_tables
 */
#include <errno.h>
#include <inttypes.h>

#include <cbit/cbit.h>

#include "example.h"

/* Leaves that lie behind one another, of one size and alike, are one line. */
static void list(struct cbit_pt *pt, uint64_t end)
{
	struct cbit_pt_leaf leaf, run = { 0 };
	uint64_t at = 0, leaves = 0;

	while (at < end || leaves) {
		int ret = at < end ? cbit_pt_walk(pt, CBIT_IOVA(at), &leaf) : -ENOENT;

		if (ret && ret != -ENOENT)
			MUST(ret);
		if (leaves && !ret && leaf.size == run.size && leaf.attrs == run.attrs &&
		    leaf.iova.v == run.iova.v + leaves * run.size &&
		    leaf.spa.v == run.spa.v + leaves * run.size) {
			leaves++;
		} else if (leaves) {
			printf("    IOVA 0x%09" PRIx64 " -> SPA 0x%012" PRIx64 ", %3" PRIu64
			       " x %7" PRIu64 " KiB, first entry 0x%016" PRIx64
			       " at level %u, %s%s, %s\n",
			       run.iova.v, run.spa.v, leaves, run.size >> 10, run.entry, run.level,
			       run.attrs & CBIT_ATTR_READ ? "r" : "-",
			       run.attrs & CBIT_ATTR_WRITE ? "w" : "-",
			       run.attrs & CBIT_ATTR_ENCRYPTED ? "C-bit" : "no C-bit");
			leaves = 0;
			continue; /* with the same address */
		} else if (!ret) {
			run = leaf;
			leaves = 1;
		}
		/* A walk that finds nothing says how large the hole is. */
		at = at < end ? leaf.iova.v + leaf.size : at;
	}
}

static void demonstrate(struct cbit_mem *mem, const char *name, enum cbit_pt_format format)
{
	struct cbit_pt_config cfg = { .format = format, .mode = 4, .max_mode = 4, .table_c = true };
	struct cbit_spa spa;
	struct cbit_pt *pt;
	uint64_t removed;

	MUST(cbit_pt_create(mem, &cfg, &pt));
	/* Memory: 4 MiB + 16 KiB with the C-bit. The largest leaves that fit are used. */
	MUST(cbit_pt_map(pt, CBIT_IOVA(0x200000), CBIT_SPA(0x140200000), 0x404000,
			 CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED, NULL));
	/* A window of a device: never with it. */
	MUST(cbit_pt_map(pt, CBIT_IOVA(0x800000), CBIT_SPA(0x200000000000), 0x10000, CBIT_ATTR_RW,
			 NULL));
	/* And one page that may only be read. */
	MUST(cbit_pt_map(pt, CBIT_IOVA(0x900000), CBIT_SPA(0x150000000), 0x1000,
			 CBIT_ATTR_READ | CBIT_ATTR_ENCRYPTED, NULL));
	printf("%s, %u levels\n", name, cbit_pt_mode(pt));
	list(pt, 0x1000000);

	MUST(cbit_pt_iova_to_phys(pt, CBIT_IOVA(0x345678), &spa));
	printf("    IOVA 0x345678 is SPA 0x%" PRIx64 "\n", spa.v);
	MUST(cbit_pt_unmap(pt, CBIT_IOVA(0x200000), 0x404000, &removed));
	cbit_pt_gather_free(pt); /* nobody walks meanwhile: the tables that are empty may go */
	printf("    unmapped 0x%" PRIx64 " bytes; IOVA 0x345678 is %s\n", removed,
	       cbit_pt_iova_to_phys(pt, CBIT_IOVA(0x345678), &spa) == -ENOENT ? "not mapped"
									      : "mapped");
	cbit_pt_destroy(pt);
}

int main(void)
{
	struct cbit_platform platform;
	struct cbit_mem *mem;

	MUST(cbit_platform_preset("sme", &platform));
	MUST(cbit_mem_create(&platform, &mem));
	MUST(cbit_mem_add_region(mem,
				 &(struct cbit_mem_region_desc){ .kind = CBIT_MEM_DRAM,
								 .encrypts = true,
								 .base = CBIT_SPA(0x1000000),
								 .size = 0x10000000,
								 .name = "dram" },
				 NULL));
	demonstrate(mem, "amdv1", CBIT_PT_AMDV1);
	demonstrate(mem, "x86_64", CBIT_PT_X86_64);
	cbit_mem_destroy(mem);
	return 0;
}
