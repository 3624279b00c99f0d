/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of the IOMMU: the IOTLB alone, map and unmap of a domain with its lock and
 * invalidation, and whole DMA requests.
 */
#include "bench.h"
#include "iommu/internal.h"

#define HITS  1000000u
#define PAIRS 50000u

struct fixture {
	struct bench_rig rig;
	struct iotlb *tlb;
	uint64_t mask;      /* of leaves looked up */
	unsigned int shift; /* log2 of their size */
	pthread_rwlock_t lock;
	const uint8_t *buf;
	size_t size;
};

static double run_hits(void *opaque)
{
	struct fixture *f = opaque;
	uint64_t mask = f->mask, sum = 0;
	unsigned int shift = f->shift;
	struct cbit_pt_leaf leaf;
	double t = bench_now();

	for (unsigned int i = 0; i < HITS; i++) {
		MUST(cbit_iotlb_lookup(f->tlb, iotlb_host(1), (i & mask) << shift | 8, &leaf));
		sum += leaf.spa.v;
	}
	bench_use(sum);
	return bench_now() - t;
}

/* The two loads without which no cache of translations does: a tag and what it stands for. */
static double ref_hits(void *opaque)
{
	struct fixture *f = opaque;
	uint64_t mask = f->mask, sum = 0;
	const volatile struct iotlb_entry *e = f->tlb->entry;
	double t = bench_now();

	for (unsigned int i = 0; i < HITS; i++) {
		MUST(e[i & mask].tag != 2);
		sum += e[i & mask].spa;
	}
	bench_use(sum);
	return bench_now() - t;
}

static double run_domain(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (unsigned int i = 0; i < PAIRS; i++) {
		uint64_t at =
			(uint64_t)(i & 16383) << CBIT_PAGE_SHIFT | CBIT_PAGE_SIZE; /* odd pages */

		MUST(!cbit_domain_map(f->rig.domain, CBIT_IOVA(at), CBIT_SPA(RIG_CLIENT), 4096,
				      CBIT_ATTR_RW));
		MUST(!cbit_domain_unmap(f->rig.domain, CBIT_IOVA(at), 4096, NULL));
	}
	return bench_now() - t;
}

/* Two rounds of a lock that nobody else wants. */
static double ref_domain(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (unsigned int i = 0; i < 2 * PAIRS; i++) {
		pthread_rwlock_wrlock(&f->lock);
		pthread_rwlock_unlock(&f->lock);
	}
	return bench_now() - t;
}

/* DMA of @size bytes to one page after the other, each in the IOTLB. */
static double run_dma(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (unsigned int i = 0; i < PAIRS; i++)
		MUST(cbit_iommu_dma_write(f->rig.iommu, RIG_DEVICE,
					  CBIT_IOVA((uint64_t)(i & 255) << CBIT_PAGE_SHIFT), f->buf,
					  f->size, NULL) == CBIT_DMA_OK);
	return bench_now() - t;
}

/* The bytes alone. */
static double ref_dma(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (unsigned int i = 0; i < PAIRS; i++) {
		memcpy(f->rig.client + ((size_t)(i & 255) << CBIT_PAGE_SHIFT), f->buf, f->size);
		__asm__ volatile("" ::: "memory");
	}
	return bench_now() - t;
}

static void bench_dma(struct fixture *f)
{
	static uint8_t buf[CBIT_PAGE_SIZE];
	struct bench dma = { .name = "iommu-dma-4k",
			     .run = run_dma,
			     .ref = ref_dma,
			     .opaque = f,
			     .per = PAIRS,
			     .rounds = 20 };

	f->buf = buf;
	f->size = sizeof(buf);
	/* Pages that lie apart, so that each has a leaf of its own. */
	for (uint64_t i = 0; i < 256; i++)
		MUST(!cbit_domain_map(f->rig.domain, CBIT_IOVA(i * CBIT_PAGE_SIZE),
				      CBIT_SPA(RIG_CLIENT + (255 - i) * CBIT_PAGE_SIZE), 4096,
				      CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED));
	bench_figure(&dma);
	f->size = 64;
	dma.name = "iommu-dma-64";
	bench_figure(&dma);
	MUST(!cbit_domain_unmap(f->rig.domain, CBIT_IOVA(0), MIB(1), NULL));
}

static void fill(struct fixture *f, uint64_t pages, uint64_t size)
{
	for (uint64_t i = 0; i < pages; i++) {
		struct cbit_pt_leaf leaf = {
			.iova = CBIT_IOVA(i * size),
			.size = size,
			.spa = CBIT_SPA(RIG_CLIENT + i * size),
			.entry = RIG_CLIENT + i * size + 1,
			.level = 1,
			.attrs = CBIT_ATTR_RW,
		};

		cbit_iotlb_fill(f->tlb, iotlb_host(1), &leaf);
	}
}

void bench_iommu(void)
{
	struct fixture f = { .mask = 255, .shift = CBIT_PAGE_SHIFT };
	struct bench hit = { .name = "iotlb-hit",
			     .run = run_hits,
			     .ref = ref_hits,
			     .opaque = &f,
			     .per = HITS,
			     .goal = 5,
			     .rounds = 20 };
	struct bench pair = { .name = "iommu-domain-4k-pair",
			      .run = run_domain,
			      .ref = ref_domain,
			      .opaque = &f,
			      .per = PAIRS,
			      .rounds = 20 };

	if (!bench_wanted("iotlb-") && !bench_wanted("iommu-"))
		return;
	f.tlb = aligned_alloc(64, (sizeof(*f.tlb) + 63) & ~(size_t)63);
	MUST(f.tlb);
	memset(f.tlb, 0, sizeof(*f.tlb));
	fill(&f, 256, 4096);
	bench_figure(&hit);
	f.mask = 2047;
	fill(&f, 2048, 4096);
	hit.name = "iotlb-hit-2048-pages";
	hit.goal = 0;
	bench_figure(&hit);
	/* leaves of 2 MiB after five smaller sizes that are somewhere in the tables, too */
	memset(f.tlb, 0, sizeof(*f.tlb));
	f.mask = 255;
	f.shift = 21;
	fill(&f, 256, MIB(2));
	f.tlb->sizes |= 0x1f000;
	hit.name = "iotlb-hit-largest-of-6";
	bench_figure(&hit);
	free(f.tlb);

	bench_rig_init(&f.rig);
	pthread_rwlock_init(&f.lock, NULL);
	bench_dma(&f);
	/* the first page of each table stays mapped */
	for (uint64_t at = 0; at <= MIB(66); at += MIB(2))
		MUST(!cbit_domain_map(f.rig.domain, CBIT_IOVA(at), CBIT_SPA(RIG_CLIENT), 4096,
				      CBIT_ATTR_RW));
	bench_figure(&pair);
	bench_rig_fini(&f.rig);
	pthread_rwlock_destroy(&f.lock);
}
