/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stale IOTLB entries: where the bytes of a DMA go that hits one, what is told of it, and that
 * nothing is told once the IOTLB was told.
 */
#include "vi_rig.h"

#define IOVA 0x5000u
#define OLD  CLIENT            /* client[0] */
#define NEW  (CLIENT + 0x1000) /* client[0x1000] */

/* The next event is a stale hit of @len bytes at @iova that went to @spa. */
static void expect_stale(struct rig *r, bool write, uint64_t iova, uint64_t len, uint64_t spa,
			 uint64_t now)
{
	const struct cbit_event *ev = &r->ev[0];

	assert_int_equal(r->n, 1);
	assert_int_equal(ev->type, CBIT_EVENT_DMA_STALE_IOTLB);
	assert_int_equal(ev->devid, DEV);
	assert_int_equal(ev->write, write);
	assert_int_equal(ev->iova.v, iova);
	assert_int_equal(ev->len, len);
	assert_true(ev->spa_valid);
	assert_int_equal(ev->spa.v, spa);
	assert_int_not_equal(ev->entry, now);
	assert_int_equal(ev->entry_now, now);
	r->n = 0;
}

static void write_byte(struct rig *r, uint64_t iova, uint8_t b)
{
	assert_int_equal(dma_write(r, iova, &b, 1, NULL), CBIT_DMA_OK);
}

/* What a driver does that forgets to invalidate: the old page gets the bytes. */
static void test_forgotten_flush(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_iommu_stats s0, s1;
	uint64_t n, entry;

	(void)state;
	map(r, IOVA, OLD, 4096, ENC);
	write_byte(r, IOVA + 8, 1);
	assert_int_equal(r->client[8], 1);
	cbit_iommu_stats(r->iommu, &s0);
	assert_int_equal(cbit_domain_unmap_deferred(r->domain, CBIT_IOVA(IOVA), 4096, &n), 0);
	assert_int_equal(n, 4096);
	cbit_iommu_stats(r->iommu, &s1);
	assert_int_equal(s1.invalidations, s0.invalidations);
	assert_int_equal(r->n, 0);
	/* Nothing is mapped, and yet it goes through. */
	write_byte(r, IOVA + 8, 2);
	assert_int_equal(r->client[8], 2);
	expect_stale(r, true, IOVA + 8, 1, OLD + 8, 0);
	/* Mapped to another page, the old one still gets the bytes, the new one none. */
	map(r, IOVA, NEW, 4096, ENC);
	entry = get64(r, pte_spa(r, IOVA));
	write_byte(r, IOVA + 8, 3);
	assert_int_equal(r->client[8], 3);
	assert_int_equal(r->client[0x1008], 0);
	expect_stale(r, true, IOVA + 8, 1, OLD + 8, entry);
	/* Told at last. */
	cbit_domain_flush(r->domain, CBIT_IOVA(IOVA), 4096);
	write_byte(r, IOVA + 8, 4);
	assert_int_equal(r->client[8], 3);
	assert_int_equal(r->client[0x1008], 4);
	write_byte(r, IOVA + 8, 5);
	assert_int_equal(r->n, 0);
	expect_no_log(r);
	rig_free(r);
}

/* A proper unmap in another place, or a map: nobody is accused. */
static void test_no_false_report(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint8_t b;

	(void)state;
	map(r, 0, CLIENT, 0x10000, ENC);
	map(r, MIB(2), CLIENT, 0x4000, ENC);
	assert_int_equal(dma_read(r, 0x3000, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(dma_read(r, MIB(2), &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(cbit_domain_unmap(r->domain, CBIT_IOVA(MIB(2)), 0x4000, NULL), 0);
	map(r, MIB(2), CLIENT + 0x8000, 0x4000, ENC);
	r->client[0x8000] = 0x77;
	assert_int_equal(dma_read(r, MIB(2), &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(b, 0x77);
	/* While something else is deferred, hits are compared and found right. */
	assert_int_equal(cbit_domain_unmap_deferred(r->domain, CBIT_IOVA(MIB(2)), 0x1000, NULL), 0);
	for (uint64_t iova = 0; iova < 0x10000; iova += 0x800)
		assert_int_equal(dma_read(r, iova, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(r->n, 0);
	/* A flush of too little does not end it, a command that covers it does. */
	cbit_domain_flush(r->domain, CBIT_IOVA(MIB(4)), 0x1000);
	assert_int_equal(dma_read(r, MIB(2) + 4, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(r->n, 1);
	r->n = 0;
	command(r, 0, 0x30000001, 0x00200000, 0);
	assert_int_equal(dma_read(r, MIB(2) + 4, &b, 1, NULL), CBIT_DMA_FAULT);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_NOT_MAPPED);
	assert_int_equal(r->n, 1);
	rig_free(r);
}

/* How the embedder tells the IOTLB after a deferred unmap; all of them have to do. */
static void flush_pages(struct rig *r)
{
	command(r, 0, 0x30000001, 0xfffff003, 0x7fffffff);
}

static void flush_all(struct rig *r)
{
	command(r, 0, 0x80000000, 0, 0);
}

static void flush_domain(struct rig *r)
{
	cbit_domain_flush(r->domain, CBIT_IOVA(0), 0);
}

static void flush_growth(struct rig *r)
{
	map(r, 0xfffffffffffff000, CLIENT, 4096, ENC);
}

static void test_ways_to_flush(void **state)
{
	static void (*const ways[])(struct rig *) = { flush_pages, flush_all, flush_domain,
						      flush_growth };

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct rig *r = vi_rig_new(true);
		uint8_t b = 1;

		map(r, IOVA, OLD, 4096, ENC);
		write_byte(r, IOVA, 1);
		assert_int_equal(cbit_domain_unmap_deferred(r->domain, CBIT_IOVA(IOVA), 4096, NULL),
				 0);
		ways[i](r);
		map(r, IOVA, NEW, 4096, ENC);
		write_byte(r, IOVA, 2);
		assert_int_equal(r->client[0], 1);
		assert_int_equal(r->client[0x1000], 2);
		assert_int_equal(r->n, 0);
		assert_int_equal(cbit_domain_unmap(r->domain, CBIT_IOVA(IOVA), 4096, NULL), 0);
		assert_int_equal(dma_write(r, IOVA, &b, 1, NULL), CBIT_DMA_FAULT);
		rig_free(r);
	}
}

/* Every level of the tables may be changed by a CPU, or by a device that scribbles. */
static void test_rewritten(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t root = cbit_pt_root(cbit_domain_pt(r->domain)).v, pte, entry;

	(void)state;
	map(r, IOVA, OLD, 4096, ENC);
	pte = pte_spa(r, IOVA);
	entry = get64(r, pte);
	write_byte(r, IOVA, 1);
	assert_int_equal(r->n, 0);
	put64(r, pte, entry + 0x1000);
	write_byte(r, IOVA, 2);
	assert_int_equal(r->client[0], 2);
	assert_int_equal(r->client[0x1000], 0);
	expect_stale(r, true, IOVA, 1, OLD, entry + 0x1000);
	/* Rights count, whether they are missed or not; bits without meaning do not. */
	put64(r, pte, entry & ~(UINT64_C(1) << 62));
	write_byte(r, IOVA, 3);
	expect_stale(r, true, IOVA, 1, OLD, entry & ~(UINT64_C(1) << 62));
	put64(r, pte, entry & ~C51);
	write_byte(r, IOVA, 4);
	assert_int_equal(r->client[0], 4);
	expect_stale(r, true, IOVA, 1, OLD, entry & ~C51);
	put64(r, pte, entry | UINT64_C(1) << 63 | 2);
	write_byte(r, IOVA, 5);
	assert_int_equal(r->n, 0);
	/* A table above it gone, or unreadable. */
	put64(r, pte, entry);
	entry = get64(r, root);
	put64(r, root, 0);
	write_byte(r, IOVA, 6);
	assert_int_equal(r->client[0], 6);
	expect_stale(r, true, IOVA, 1, OLD, 0);
	put64(r, root, entry | 5 << 9);
	write_byte(r, IOVA, 7);
	expect_stale(r, true, IOVA, 1, OLD, entry | 5 << 9);
	put64(r, root, entry);
	write_byte(r, IOVA, 8);
	assert_int_equal(r->n, 0);
	rig_free(r);
}

/* A device that is sent through the tables of its own domain. */
static void test_scribbled_by_dma(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t pte, entry;

	(void)state;
	map(r, IOVA, OLD, 4096, ENC);
	pte = pte_spa(r, IOVA);
	map(r, MIB(1), pte & ~UINT64_C(0xfff), 4096, ENC);
	write_byte(r, IOVA, 1);
	entry = get64(r, pte) + 0x1000;
	assert_int_equal(dma_write(r, MIB(1) + (pte & 0xfff), &entry, 8, NULL), CBIT_DMA_OK);
	assert_int_equal(r->n, 0);
	write_byte(r, IOVA, 2);
	expect_stale(r, true, IOVA, 1, OLD, entry);
	assert_int_equal(r->client[0], 2);
	rig_free(r);
}

/* One leaf in the IOTLB, pages of it changed: just those bytes are stale. */
static void test_part_of_a_leaf(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_pt_leaf leaf;
	uint8_t buf[0x10000];

	(void)state;
	map(r, MIB(2), CLIENT, MIB(2), ENC);
	assert_int_equal(cbit_pt_walk(cbit_domain_pt(r->domain), CBIT_IOVA(MIB(2)), &leaf), 0);
	assert_int_equal(leaf.size, MIB(2));
	fill(buf, sizeof(buf));
	assert_int_equal(dma_write(r, MIB(2), buf, 8, NULL), CBIT_DMA_OK);
	assert_int_equal(cbit_domain_unmap_deferred(r->domain, CBIT_IOVA(MIB(2)), MIB(2), NULL), 0);
	map(r, MIB(2), CLIENT, 0x4000, ENC);
	map(r, MIB(2) + 0x4000, CLIENT + 0x5000, 0x1000, ENC);
	map(r, MIB(2) + 0x5000, CLIENT + 0x5000, 0xb000, ENC);
	assert_int_equal(dma_write(r, MIB(2), buf, sizeof(buf), NULL), CBIT_DMA_OK);
	assert_memory_equal(r->client, buf, sizeof(buf));
	expect_stale(r, true, MIB(2) + 0x4000, 0x1000, CLIENT + 0x4000,
		     get64(r, pte_spa(r, MIB(2) + 0x4000)));
	/* Reads are no better. */
	r->client[0x4abc] = 0x99;
	assert_int_equal(dma_read(r, MIB(2) + 0x4abc, buf, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(buf[0], 0x99);
	expect_stale(r, false, MIB(2) + 0x4abc, 1, CLIENT + 0x4abc,
		     get64(r, pte_spa(r, MIB(2) + 0x4000)));
	rig_free(r);
}

/* A stale entry without the right: refused by what the IOTLB has, and told as both. */
static void test_stale_refusal(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint8_t b = 0;

	(void)state;
	map(r, IOVA, OLD, 4096, ENC & ~CBIT_ATTR_WRITE);
	assert_int_equal(dma_read(r, IOVA, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(cbit_domain_unmap_deferred(r->domain, CBIT_IOVA(IOVA), 4096, NULL), 0);
	map(r, IOVA, OLD, 4096, ENC);
	assert_int_equal(dma_write(r, IOVA, &b, 1, NULL), CBIT_DMA_FAULT);
	assert_int_equal(r->n, 2);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_STALE_IOTLB);
	assert_int_equal(r->ev[1].type, CBIT_EVENT_DMA_NO_PERMISSION);
	rig_free(r);
}

/* Tables that the embedder built: an id that no domain has. */
static void test_embedders_tables(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t leaf = bus_of(r, OLD).v | 0x7000000000000001;

	(void)state;
	put64(r, SCRATCH, leaf);
	put64(r, dte_spa(r, DEV) + 8, 0x123);
	put64(r, dte_spa(r, DEV), bus_of(r, SCRATCH).v | 0x6000000000000203);
	command(r, DEV, 0x20000000, 0, 0);
	write_byte(r, 4, 1);
	write_byte(r, 4, 2);
	assert_int_equal(r->client[4], 2);
	assert_int_equal(r->n, 0);
	put64(r, SCRATCH, leaf + 0x1000);
	write_byte(r, 4, 3);
	assert_int_equal(r->client[4], 3);
	expect_stale(r, true, 4, 1, OLD + 4, leaf + 0x1000);
	cbit_iommu_set_stale_check(r->iommu, false);
	write_byte(r, 4, 4);
	assert_int_equal(r->client[4], 4);
	assert_int_equal(r->n, 0);
	cbit_iommu_set_stale_check(r->iommu, true);
	command(r, 0, 0x30000123, 0, 0);
	write_byte(r, 4, 5);
	assert_int_equal(r->client[0x1004], 5);
	assert_int_equal(r->n, 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forgotten_flush),  cmocka_unit_test(test_no_false_report),
		cmocka_unit_test(test_ways_to_flush),    cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_scribbled_by_dma), cmocka_unit_test(test_part_of_a_leaf),
		cmocka_unit_test(test_stale_refusal),    cmocka_unit_test(test_embedders_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
