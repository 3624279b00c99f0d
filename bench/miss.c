/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of a miss of the IOTLB as a request has it: the look-up that finds nothing, the walk, and
 * the entry that is filled. 1 GiB in 4 KiB leaves, pages in a scattered order, 64 times what the
 * IOTLB holds. One stage: amdv1 of 4 levels. Two: a PASID's tables by the GCR3 table, x86_64 of 4
 * levels, over them.
 */
#include <cbit/amdvi.h>
#include <cbit/pt.h>

#include "bench.h"
#include "iommu/internal.h"

#define DRAM   GIB(1)
#define GVA    GIB(64)
#define GPA    GIB(512)
#define SPA    GIB(1024)
#define PAGES  ((uint64_t)1 << 18)
#define TABLES MIB(8) /* from the start of DRAM: what the guest's tables are in */
#define PASID  5

struct fixture {
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_pt *host;
	struct cbit_pt *guest;
	struct cbit_spa gcr3;
};

static uint64_t step(uint64_t page)
{
	return (page * 1664525 + 1013904223) & (PAGES - 1);
}

static double run(struct fixture *f, bool pasid, uint64_t base)
{
	struct request q = {
		.iommu = f->iommu,
		.rq = { .devid = pasid ? 8 : 16, .pasid_valid = pasid, .pasid = PASID }
	};
	struct cbit_pt_leaf leaf;
	struct failure failure;
	uint64_t page = 0, sum = 0;
	double t;

	MUST(cbit_request_start(&q, base, &failure));
	t = bench_now();
	for (uint64_t i = 0; i < PAGES; i++) {
		page = step(page);
		MUST(!cbit_request_translate(&q, base + (page << 12), &leaf, &failure));
		sum += leaf.spa.v;
	}
	bench_use(sum);
	t = bench_now() - t;
	/* each a miss, but for chance */
	MUST(q.walks > PAGES - PAGES / 64);
	return t;
}

static double run_one(void *opaque)
{
	return run(opaque, false, GPA);
}

static double run_two(void *opaque)
{
	return run(opaque, true, GVA);
}

static void map_pages(struct cbit_pt *pt, uint64_t from, uint64_t to, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += 4096)
		MUST(!cbit_pt_map(pt, CBIT_IOVA(from + at), CBIT_SPA(to + at), 4096,
				  CBIT_ATTR_RW | CBIT_ATTR_USER, NULL));
}

static void put(struct fixture *f, uint64_t spa, uint64_t v)
{
	MUST(cbit_mem_write(f->mem, cbit_mem_bus(f->mem, CBIT_SPA(spa), true), &v, sizeof(v)) ==
	     CBIT_MEM_OK);
}

/* Nobody has asked for these entries yet, so nothing is to be invalidated. */
static void set_dte(struct fixture *f, uint16_t devid, uint64_t word0, uint64_t word1)
{
	uint64_t at = cbit_dte_spa(f->iommu, devid);
	uint64_t root = cbit_mem_bus(f->mem, cbit_pt_root(f->host), true).v;

	put(f, at + 8, word1 | devid);
	put(f, at,
	    word0 | root | UINT64_C(4) << CBIT_VI_DTE0_MODE_SHIFT | CBIT_VI_DTE0_V |
		    CBIT_VI_DTE0_TV | CBIT_VI_DTE0_IR | CBIT_VI_DTE0_IW);
}

static void init(struct fixture *f)
{
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = CBIT_SPA(DRAM), .size = GIB(1)
	};
	struct cbit_pt_config guest = { .format = CBIT_PT_X86_64, .mode = 4, .max_mode = 4 };
	struct cbit_pt_config host = {
		.format = CBIT_PT_AMDV1, .mode = 4, .max_mode = 4, .table_c = true
	};
	struct cbit_platform platform;
	uint64_t gcr3;

	MUST(!cbit_platform_preset("sme", &platform));
	MUST(!cbit_mem_create(&platform, &f->mem));
	MUST(!cbit_mem_add_region(f->mem, &dram, NULL));
	MUST(!cbit_pt_create(f->mem, &host, &f->host));
	map_pages(f->host, DRAM, DRAM, TABLES);
	map_pages(f->host, GPA, SPA, PAGES << 12);
	MUST(!cbit_pt_create(f->mem, &guest, &f->guest));
	map_pages(f->guest, GVA, GPA, PAGES << 12);
	MUST(!cbit_iommu_create(f->mem, NULL, &f->iommu));
	MUST(!cbit_mem_frames_alloc(f->mem, 1, CBIT_KEY_HOST, &f->gcr3));
	put(f, f->gcr3.v + PASID * sizeof(gcr3), cbit_pt_root(f->guest).v | CBIT_VI_GCR3_V);
	gcr3 = cbit_mem_bus(f->mem, f->gcr3, true).v;
	set_dte(f, 8, CBIT_VI_DTE0_GV | (gcr3 >> 12 & 7) << CBIT_VI_DTE0_GCR3_SHIFT,
		(gcr3 >> 15 & 0xffff) << 16 | (gcr3 >> 31 & 0x1fffff) << 43);
	set_dte(f, 16, 0, 0);
}

void bench_miss(void)
{
	struct fixture f = { 0 };
	struct bench b = {
		.name = "iotlb-miss-4k", .run = run_one, .opaque = &f, .per = PAGES, .rounds = 25
	};

	if (!bench_wanted("iotlb-miss-"))
		return;
	init(&f);
	bench_figure(&b);
	b.name = "iotlb-miss-4k-nested";
	b.run = run_two;
	bench_figure(&b);
	cbit_mem_frames_free(f.mem, f.gcr3, 1);
	cbit_iommu_destroy(f.iommu);
	cbit_pt_destroy(f.guest);
	cbit_pt_destroy(f.host);
	cbit_mem_destroy(f.mem);
}
