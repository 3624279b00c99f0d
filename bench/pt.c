/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of the page tables' writing side: single leaves and whole ranges.
 */
#include <cbit/pt.h>

#include "bench.h"

#define BASE    GIB(64) /* IOVA */
#define SPA     GIB(512)
#define ATTRS   (CBIT_ATTR_RW | CBIT_ATTR_CACHE)
#define PAIRS   100000u
#define LARGE   20000u
#define PER_ONE 32u /* 2 MiB leaves that fit the region of 64 MiB */

struct fixture {
	struct cbit_mem *mem;
	struct cbit_pt *pt;
	uint64_t spa;
	uint64_t *words;
	bool time_unmap;
};

static void init(struct fixture *f)
{
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = CBIT_SPA(GIB(1)), .size = GIB(1)
	};
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1, .mode = 4, .max_mode = 6, .table_c = true
	};
	struct cbit_platform platform;

	MUST(!cbit_platform_preset("sme", &platform));
	MUST(!cbit_mem_create(&platform, &f->mem));
	MUST(!cbit_mem_add_region(f->mem, &dram, NULL));
	MUST(!cbit_pt_create(f->mem, &cfg, &f->pt));
	f->words = aligned_alloc(4096, MIB(1));
	MUST(f->words);
	memset(f->words, 0, MIB(1));
}

static void fini(struct fixture *f)
{
	free(f->words);
	cbit_pt_destroy(f->pt);
	cbit_mem_destroy(f->mem);
}

/* Page @i of the region, in an order that visits all but the first of every 512. */
static uint64_t page_at(unsigned int i)
{
	uint64_t page = (uint64_t)i * 7919 % 16384;

	return page & 511 ? page : page + 1;
}

static double run_pairs(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (unsigned int i = 0; i < PAIRS; i++) {
		uint64_t at = page_at(i) << CBIT_PAGE_SHIFT;
		uint64_t n;

		MUST(!cbit_pt_map(f->pt, CBIT_IOVA(BASE + at), CBIT_SPA(SPA + at), 4096, ATTRS,
				  NULL));
		MUST(!cbit_pt_unmap(f->pt, CBIT_IOVA(BASE + at), 4096, &n) && n == 4096);
		cbit_pt_gather_free(f->pt);
	}
	return bench_now() - t;
}

/* What is left without tables to walk: an entry tested and stored, twice. */
static double ref_pairs(void *opaque)
{
	struct fixture *f = opaque;
	volatile uint64_t *words = f->words;
	double t = bench_now();

	for (unsigned int i = 0; i < PAIRS; i++) {
		uint64_t at = page_at(i);

		MUST(!words[at]);
		words[at] = at | 1;
		MUST(words[at]);
		words[at] = 0;
	}
	return bench_now() - t;
}

static double run_large(void *opaque)
{
	struct fixture *f = opaque;
	double total = 0;

	for (unsigned int i = 0; i < LARGE / PER_ONE; i++) {
		double t0, t1, t2;

		t0 = bench_now();
		for (unsigned int k = 0; k < PER_ONE; k++)
			MUST(!cbit_pt_map(f->pt, CBIT_IOVA(BASE + MIB(2) * k),
					  CBIT_SPA(SPA + MIB(2) * k), MIB(2), ATTRS, NULL));
		t1 = bench_now();
		for (unsigned int k = 0; k < PER_ONE; k++)
			MUST(!cbit_pt_unmap(f->pt, CBIT_IOVA(BASE + MIB(2) * k), MIB(2), NULL));
		t2 = bench_now();
		cbit_pt_gather_free(f->pt);
		total += f->time_unmap ? t2 - t1 : t1 - t0;
	}
	return total;
}

static double ref_large(void *opaque)
{
	struct fixture *f = opaque;
	volatile uint64_t *words = f->words;
	double total = 0;

	for (unsigned int i = 0; i < LARGE / PER_ONE; i++) {
		double t = bench_now();

		for (unsigned int k = 0; k < PER_ONE; k++) {
			MUST(words[k] != 1);
			words[k] = 0;
		}
		total += bench_now() - t;
	}
	return total;
}

static double run_range(void *opaque)
{
	struct fixture *f = opaque;
	double t0, t1, t2;
	uint64_t n;

	t0 = bench_now();
	MUST(!cbit_pt_map(f->pt, CBIT_IOVA(BASE), CBIT_SPA(f->spa), MIB(64), ATTRS, NULL));
	t1 = bench_now();
	MUST(!cbit_pt_unmap(f->pt, CBIT_IOVA(BASE), MIB(64), &n) && n == MIB(64));
	t2 = bench_now();
	cbit_pt_gather_free(f->pt);
	return f->time_unmap ? t2 - t1 : t1 - t0;
}

/* The stores alone: as many words in a buffer of the tables' size. */
static double ref_range(void *opaque)
{
	struct fixture *f = opaque;
	volatile uint64_t *words = f->words;
	uint64_t entry = f->time_unmap ? 0 : SPA | 1, step = f->time_unmap ? 0 : 4096;
	double t = bench_now();

	for (unsigned int i = 0; i < 16384; i++, entry += step)
		words[i] = entry;
	return bench_now() - t;
}

static void figures(struct fixture *f)
{
	struct bench pair = { .name = "pt-4k-pair-warm",
			      .run = run_pairs,
			      .ref = ref_pairs,
			      .opaque = f,
			      .per = PAIRS,
			      .goal = 25,
			      .rounds = 20 };
	struct bench large = { .name = "pt-2m-map",
			       .run = run_large,
			       .ref = ref_large,
			       .opaque = f,
			       .per = LARGE - LARGE % PER_ONE, /* whole rounds */
			       .goal = 15,
			       .rounds = 20 };
	struct bench range = { .name = "pt-64m-4k-map",
			       .run = run_range,
			       .ref = ref_range,
			       .opaque = f,
			       .per = 16384,
			       .goal = 1.0,
			       .rounds = 200 };
	const uint64_t page = CBIT_PAGE_SIZE;

	/* No table is empty at any time, as in a region that drivers map and unmap all day. */
	for (uint64_t at = 0; at < MIB(64); at += MIB(2))
		MUST(!cbit_pt_map(f->pt, CBIT_IOVA(BASE + at), CBIT_SPA(SPA), page, ATTRS, NULL));
	bench_figure(&pair);
	MUST(!cbit_pt_unmap(f->pt, CBIT_IOVA(BASE), MIB(64), NULL));
	cbit_pt_gather_free(f->pt);
	pair.name = "pt-4k-pair-empty";
	pair.goal = 0;
	bench_figure(&pair);

	/* A neighbour keeps the level above alive. */
	MUST(!cbit_pt_map(f->pt, CBIT_IOVA(BASE + MIB(64)), CBIT_SPA(SPA), page, ATTRS, NULL));
	bench_figure(&large);
	large.name = "pt-2m-unmap";
	large.goal = 12;
	f->time_unmap = true;
	bench_figure(&large);

	/* One page off congruence: 4 KiB leaves; 64 KiB off: leaves of 64 KiB. */
	f->spa = SPA + page;
	f->time_unmap = false;
	bench_figure(&range);
	f->time_unmap = true;
	range.name = "pt-64m-4k-unmap";
	bench_figure(&range);
	f->spa = SPA + KIB(64);
	f->time_unmap = false;
	range.goal = 0.6;
	range.name = "pt-64m-64k-map";
	bench_figure(&range);
	f->time_unmap = true;
	range.name = "pt-64m-64k-unmap";
	bench_figure(&range);
}

void bench_pt(void)
{
	struct fixture f = { 0 };

	if (!bench_wanted("pt-"))
		return;
	init(&f);
	figures(&f);
	fini(&f);
}
