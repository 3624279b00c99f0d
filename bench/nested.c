/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of the walk of two stages: a guest's 1 GiB in 4 KiB leaves under 4 levels, each GPA under
 * 4 levels of 4 KiB leaves, pages in a scattered order. A walk reads 24 entries, one after the
 * other; two of them are in 2 MiB of lowest tables each, which no second-level cache holds.
 */
#include <sys/mman.h>

#include <cbit/pt.h>

#include "bench.h"

#define GVA    GIB(64)
#define GPA    GIB(512) /* of the data; tables of the guest are where their frames are */
#define SPA    GIB(1024)
#define PAGES  ((uint64_t)1 << 18)
#define DRAM   GIB(1)
#define TABLES MIB(8) /* frames from which the guest's tables come */
#define ENTRY  ((uint64_t)0xffffffffff000)

struct fixture {
	struct cbit_mem *mem;
	struct cbit_pt *guest;
	struct cbit_pt *host;
	struct cbit_pt_nested nested;
	uint64_t *pool; /* bare: the second stage's tree of plain pointers, and copies of the
			   guest's */
	uint64_t *bare;
};

static uint64_t step(uint64_t page)
{
	return (page * 1664525 + 1013904223) & (PAGES - 1);
}

/* The second stage without a model. */
static uint64_t bare_second(const struct fixture *f, uint64_t gpa)
{
	const uint64_t *table = f->bare;

	for (unsigned int lg2 = 39; lg2 > 12; lg2 -= 9)
		table = (const uint64_t *)(uintptr_t)table[gpa >> lg2 & 511]; // NOLINT
	return table[gpa >> 12 & 511];
}

static uint64_t bare_walk(const struct fixture *f, uint64_t gva)
{
	uint64_t gpa = f->nested.guest_root;

	for (unsigned int lg2 = 39;; lg2 -= 9) {
		const uint64_t *table = (const uint64_t *)(uintptr_t)bare_second(f, gpa); // NOLINT

		gpa = table[gva >> lg2 & 511] & ENTRY;
		if (lg2 == 12)
			return bare_second(f, gpa);
	}
}

static double run_independent(void *opaque)
{
	struct fixture *f = opaque;
	struct cbit_pt_nested_leaf leaf;
	uint64_t page = 0, sum = 0;
	double t = bench_now();

	for (uint64_t i = 0; i < PAGES; i++) {
		page = step(page);
		MUST(!cbit_pt_walk_nested(f->mem, &f->nested, CBIT_IOVA(GVA + (page << 12)),
					  &leaf));
		sum += leaf.leaf.spa.v;
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
		sum += bare_walk(f, GVA + (page << 12));
	}
	bench_use(sum);
	return bench_now() - t;
}

static double run_dependent(void *opaque)
{
	struct fixture *f = opaque;
	struct cbit_pt_nested_leaf leaf;
	uint64_t page = 0;
	double t = bench_now();

	for (uint64_t i = 0; i < PAGES; i++) {
		MUST(!cbit_pt_walk_nested(f->mem, &f->nested, CBIT_IOVA(GVA + (page << 12)),
					  &leaf));
		page = step((leaf.leaf.spa.v - SPA) >> 12);
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
		page = step((bare_walk(f, GVA + (page << 12)) - SPA) >> 12);
	bench_use(page);
	return bench_now() - t;
}

/* What the second stage says of every GPA, as pointers and, for the data, SPAs. */
static void bare_map(struct fixture *f, uint64_t **next, uint64_t gpa, uint64_t value)
{
	uint64_t *table = f->bare;

	for (unsigned int lg2 = 39; lg2 > 12; lg2 -= 9) {
		uint64_t *slot = &table[gpa >> lg2 & 511];

		if (!*slot) {
			*slot = (uint64_t)(uintptr_t)*next;
			*next += 512;
		}
		table = (uint64_t *)(uintptr_t)*slot; // NOLINT
	}
	table[gpa >> 12 & 511] = value;
}

static void build_bare(struct fixture *f)
{
	const size_t bytes = MIB(16);
	uint64_t *next, *copy;

	f->pool = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(f->pool != MAP_FAILED);
	(void)madvise(f->pool, bytes, MADV_HUGEPAGE);
	copy = f->pool + MIB(8) / 8;
	MUST(cbit_mem_read(f->mem, (struct cbit_bus){ DRAM }, copy, TABLES) == CBIT_MEM_OK);
	f->bare = f->pool;
	next = f->pool + 512;
	for (uint64_t at = 0; at < TABLES; at += 4096)
		bare_map(f, &next, DRAM + at, (uint64_t)(uintptr_t)(copy + at / 8));
	for (uint64_t page = 0; page < PAGES; page++)
		bare_map(f, &next, GPA + (page << 12), SPA + (page << 12));
	MUST(next <= copy);
}

static void map_pages(struct cbit_pt *pt, uint64_t from, uint64_t to, uint64_t len)
{
	/* page by page, so that every leaf is 4 KiB */
	for (uint64_t at = 0; at < len; at += 4096)
		MUST(!cbit_pt_map(pt, CBIT_IOVA(from + at), CBIT_SPA(to + at), 4096,
				  CBIT_ATTR_RW | CBIT_ATTR_USER, NULL));
}

static void init(struct fixture *f, enum cbit_pt_format format)
{
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = CBIT_SPA(DRAM), .size = GIB(1)
	};
	/* The guest's tables are read at GPAs equal to their SPAs, without a key. */
	struct cbit_pt_config guest = { .format = CBIT_PT_X86_64, .mode = 4, .max_mode = 4 };
	struct cbit_pt_config host = {
		.format = format, .mode = 4, .max_mode = 4, .table_c = true
	};
	struct cbit_platform platform;

	MUST(!cbit_platform_preset("sme", &platform));
	MUST(!cbit_mem_create(&platform, &f->mem));
	MUST(!cbit_mem_add_region(f->mem, &dram, NULL));
	/* the host is there before its guest */
	MUST(!cbit_pt_create(f->mem, &host, &f->host));
	map_pages(f->host, DRAM, DRAM, TABLES);
	map_pages(f->host, GPA, SPA, PAGES << 12);
	MUST(!cbit_pt_create(f->mem, &guest, &f->guest));
	map_pages(f->guest, GVA, GPA, PAGES << 12);
	f->nested = (struct cbit_pt_nested){
		.guest_mode = 4,
		.gpa_bits = 48,
		.guest_root = cbit_pt_root(f->guest).v,
		.host_format = format,
		.host_mode = 4,
		.host_root = cbit_mem_bus(f->mem, cbit_pt_root(f->host), true),
	};
	build_bare(f);
}

static void fini(struct fixture *f)
{
	munmap(f->pool, MIB(16));
	cbit_pt_destroy(f->host);
	cbit_pt_destroy(f->guest);
	cbit_mem_destroy(f->mem);
}

void bench_nested(void)
{
	struct fixture f = { 0 };
	struct bench b = { .name = "walk-nested-4x4",
			   .run = run_independent,
			   .ref = ref_independent,
			   .opaque = &f,
			   .per = PAGES,
			   .goal = 60,
			   .rounds = 25 };

	if (!bench_wanted("walk-nested-"))
		return;
	init(&f, CBIT_PT_AMDV1);
	bench_figure(&b);
	b.name = "walk-nested-4x4-dependent";
	b.run = run_dependent;
	b.ref = ref_dependent;
	b.goal = 0;
	bench_figure(&b);
	fini(&f);
	init(&f, CBIT_PT_X86_64);
	b.name = "walk-nested-4x4-npt";
	b.run = run_independent;
	b.ref = ref_independent;
	b.goal = 60;
	bench_figure(&b);
	fini(&f);
}
