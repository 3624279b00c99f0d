/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of the walker: 1 GiB in 4 KiB leaves under 4 levels, pages in a scattered order.
 * The tables are 2 MiB, more than the reference machine's second-level cache has (1 MiB), so
 * each lookup ends in a load from the third level.
 */
#include <sys/mman.h>

#include <cbit/pt.h>

#include "bench.h"

#define BASE   GIB(64) /* IOVA */
#define SPA    GIB(512)
#define PAGES  ((uint64_t)1 << 18)
#define LEVELS 4

struct fixture {
	struct cbit_mem *mem;
	struct cbit_pt *pt;
	uint64_t *bare; /* top of a tree of plain pointers, of the same shape */
	uint64_t *pool;
};

/* All pages in turn, neighbours far apart. */
static uint64_t step(uint64_t page)
{
	return (page * 1664525 + 1013904223) & (PAGES - 1);
}

static uint64_t bare_walk(const struct fixture *f, uint64_t iova)
{
	const uint64_t *table = f->bare;

	for (unsigned int lg2 = 39; lg2 > 12; lg2 -= 9)
		table = (const uint64_t *)(uintptr_t)table[iova >> lg2 & 511]; // NOLINT
	return table[iova >> 12 & 511];
}

static double run_independent(void *opaque)
{
	struct fixture *f = opaque;
	struct cbit_pt_leaf leaf;
	uint64_t page = 0, sum = 0;
	double t = bench_now();

	for (uint64_t i = 0; i < PAGES; i++) {
		page = step(page);
		MUST(!cbit_pt_walk(f->pt, CBIT_IOVA(BASE + (page << 12)), &leaf));
		sum += leaf.spa.v;
	}
	bench_use(sum);
	return bench_now() - t;
}

static double ref_independent(void *opaque)
{
	struct fixture *f = opaque;
	uint64_t page = 0, sum = 0;
	double t = bench_now();

	for (uint64_t i = 0; i < PAGES; i++) {
		page = step(page);
		sum += bare_walk(f, BASE + (page << 12));
	}
	bench_use(sum);
	return bench_now() - t;
}

static double run_dependent(void *opaque)
{
	struct fixture *f = opaque;
	struct cbit_pt_leaf leaf;
	uint64_t page = 0;
	double t = bench_now();

	for (uint64_t i = 0; i < PAGES; i++) {
		MUST(!cbit_pt_walk(f->pt, CBIT_IOVA(BASE + (page << 12)), &leaf));
		page = step((leaf.spa.v - SPA) >> 12);
	}
	bench_use(page);
	return bench_now() - t;
}

static double ref_dependent(void *opaque)
{
	struct fixture *f = opaque;
	uint64_t page = 0;
	double t = bench_now();

	for (uint64_t i = 0; i < PAGES; i++)
		page = step((bare_walk(f, BASE + (page << 12)) - SPA) >> 12);
	bench_use(page);
	return bench_now() - t;
}

static void build_bare(struct fixture *f)
{
	const size_t bytes = MIB(4);
	uint64_t *next;

	f->pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(f->pool != MAP_FAILED);
	(void)madvise(f->pool, bytes, MADV_HUGEPAGE);
	f->bare = f->pool;
	next = f->pool + 512;
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t iova = BASE + (page << 12);
		uint64_t *table = f->bare;

		for (unsigned int lg2 = 39; lg2 > 12; lg2 -= 9) {
			uint64_t *slot = &table[iova >> lg2 & 511];

			if (!*slot) {
				*slot = (uint64_t)(uintptr_t)next;
				next += 512;
			}
			table = (uint64_t *)(uintptr_t)*slot; // NOLINT
		}
		table[iova >> 12 & 511] = SPA + (page << 12);
	}
	MUST(next <= f->pool + bytes / 8);
}

static void init(struct fixture *f)
{
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = CBIT_SPA(GIB(1)), .size = GIB(1)
	};
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1, .mode = LEVELS, .max_mode = 6, .table_c = true
	};
	struct cbit_platform platform;

	MUST(!cbit_platform_preset("sme", &platform));
	MUST(!cbit_mem_create(&platform, &f->mem));
	MUST(!cbit_mem_add_region(f->mem, &dram, NULL));
	MUST(!cbit_pt_create(f->mem, &cfg, &f->pt));
	/* page by page, so that every leaf is 4 KiB */
	for (uint64_t page = 0; page < PAGES; page++)
		MUST(!cbit_pt_map(f->pt, CBIT_IOVA(BASE + (page << 12)),
				  CBIT_SPA(SPA + (page << 12)), 4096, CBIT_ATTR_RW, NULL));
	build_bare(f);
}

void bench_walk(void)
{
	struct fixture f = { 0 };
	struct bench b = { .name = "walk-1g-independent",
			   .run = run_independent,
			   .ref = ref_independent,
			   .opaque = &f,
			   .per = PAGES,
			   .goal = 7,
			   .rounds = 25 };

	if (!bench_wanted("walk-"))
		return;
	init(&f);
	bench_figure(&b);
	b.name = "walk-1g-dependent";
	b.run = run_dependent;
	b.ref = ref_dependent;
	b.goal = 19;
	bench_figure(&b);
	munmap(f.pool, MIB(4));
	cbit_pt_destroy(f.pt);
	cbit_mem_destroy(f.mem);
}
