/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU: device table, IOTLB, event log, decoding of what was mapped.
 */
#include "iommu/internal.h"

#include "iommu_rig.h"

/* --- device table --- */

static void check_dte(struct rig *r, uint64_t c)
{
	struct cbit_domain *other;
	uint64_t dte[4];

	cbit_iommu_dte(r->iommu, DEV + 1, dte);
	assert_int_equal(dte[0], 1);
	assert_int_equal(dte[1], 0);
	cbit_iommu_dte(r->iommu, DEV, dte);
	assert_int_equal(dte[0],
			 0x6000000000000603 | c | cbit_pt_root(cbit_domain_pt(r->domain)).v);
	assert_int_equal(dte[1], 1);
	assert_int_equal(dte[2] | dte[3], 0);
	/* Grows to 6: every attached device's entry follows. */
	cbit_domain_attach(r->domain, 0xffff);
	map(r, 0xfffffffffffff000, CLIENT, 4096, ENC);
	cbit_iommu_dte(r->iommu, 0xffff, dte);
	assert_int_equal(dte[0],
			 0x6000000000000c03 | c | cbit_pt_root(cbit_domain_pt(r->domain)).v);
	cbit_iommu_dte(r->iommu, DEV, dte);
	assert_int_equal(dte[0] >> 9 & 7, 6);
	/* Another domain, another id; the old one's destruction does not touch it. */
	assert_int_equal(cbit_domain_create(r->iommu, NULL, &other), 0);
	cbit_domain_attach(other, 0xffff);
	cbit_iommu_dte(r->iommu, 0xffff, dte);
	assert_int_equal(dte[1], 2);
	cbit_iommu_block(r->iommu, DEV);
	cbit_iommu_dte(r->iommu, DEV, dte);
	assert_int_equal(dte[0], 1);
	cbit_domain_destroy(other);
	cbit_iommu_dte(r->iommu, 0xffff, dte);
	assert_int_equal(dte[0], 1);
	assert_int_equal(dte[1], 0);
}

static void test_dte(void **state)
{
	struct rig *r = rig_new(true);

	(void)state;
	check_dte(r, C51);
	rig_free(r);
	r = rig_new(false);
	check_dte(r, 0);
	rig_free(r);
}

static void test_dma_after_growth(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t buf[64], back[64];

	(void)state;
	fill(buf, sizeof(buf));
	map(r, 0x10000, CLIENT, 4096, ENC);
	assert_int_equal(dma_write(r, 0x10000, buf, sizeof(buf), NULL), CBIT_DMA_OK);
	map(r, 0xfffffffffffff000, CLIENT, 4096, ENC);
	assert_int_equal(dma_read(r, 0xffffffffffffffc0 - 0xfc0, back, sizeof(back), NULL),
			 CBIT_DMA_OK);
	assert_memory_equal(buf, back, sizeof(buf));
	assert_int_equal(dma_read(r, 0x10000, back, sizeof(back), NULL), CBIT_DMA_OK);
	assert_memory_equal(buf, back, sizeof(buf));
	/* The last bytes there are, and one too many. */
	assert_int_equal(dma_read(r, 0xffffffffffffffc0, back, 64, NULL), CBIT_DMA_OK);
	assert_int_equal(r->n, 0);
	assert_int_equal(dma_read(r, 0xffffffffffffffc1, back, 64, NULL), CBIT_DMA_FAULT);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].iova.v, 0);
	rig_free(r);
}

/* --- IOTLB --- */

static void test_iotlb(void **state)
{
	struct rig *r = rig_new(true);
	struct cbit_iommu_stats s0, s1;
	uint64_t n;
	uint8_t b;

	(void)state;
	map(r, 0x10000, CLIENT, 0x10000, ENC);
	map(r, 0x200000, CLIENT + 0x1000, 0x1000, ENC);
	assert_int_equal(dma_read(r, 0x10000, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(dma_read(r, 0x200000, &b, 1, NULL), CBIT_DMA_OK);
	cbit_iommu_stats(r->iommu, &s0);
	assert_int_equal(s0.walks, 2);
	assert_int_equal(dma_read(r, 0x1ffff, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(dma_read(r, 0x200fff, &b, 1, NULL), CBIT_DMA_OK);
	cbit_iommu_stats(r->iommu, &s1);
	assert_int_equal(s1.walks, 2);
	assert_int_equal(s1.iotlb_hits, s0.iotlb_hits + 2);
	/* Only what was unmapped goes; asking for its first page takes the whole 64 KiB leaf. */
	assert_int_equal(cbit_domain_unmap(r->domain, CBIT_IOVA(0x10000), 0x1000, &n), 0);
	assert_int_equal(n, 0x10000);
	cbit_iommu_stats(r->iommu, &s0);
	assert_int_equal(s0.invalidations, s1.invalidations + 1);
	assert_int_equal(dma_read(r, 0x1f000, &b, 1, NULL), CBIT_DMA_FAULT);
	assert_int_equal(dma_read(r, 0x200000, &b, 1, NULL), CBIT_DMA_OK);
	/* Mapped anew: the new place is seen. */
	map(r, 0x10000, CLIENT + 0x30000, 0x1000, ENC);
	r->client[0x30000] = 0x77;
	assert_int_equal(dma_read(r, 0x10000, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(b, 0x77);
	/* A range so long that the table is scanned. */
	assert_int_equal(cbit_domain_unmap(r->domain, CBIT_IOVA(0), GIB(64), &n), 0);
	assert_int_equal(n, 0x2000);
	assert_int_equal(dma_read(r, 0x10000, &b, 1, NULL), CBIT_DMA_FAULT);
	assert_int_equal(dma_read(r, 0x200000, &b, 1, NULL), CBIT_DMA_FAULT);
	rig_free(r);
}

/* Domains do not see one another's entries, also when an id is used again. */
static void test_iotlb_domains(void **state)
{
	struct rig *r = rig_new(true);
	struct cbit_domain *other;
	uint8_t b;

	(void)state;
	r->client[0] = 1;
	r->client[4096] = 2;
	assert_int_equal(cbit_domain_create(r->iommu, NULL, &other), 0);
	map(r, 0, CLIENT, 4096, ENC);
	assert_int_equal(cbit_domain_map(other, CBIT_IOVA(0), CBIT_SPA(CLIENT + 4096), 4096, ENC),
			 0);
	assert_int_equal(dma_read(r, 0, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(b, 1);
	cbit_domain_attach(other, DEV);
	assert_int_equal(dma_read(r, 0, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(b, 2);
	cbit_domain_destroy(other);
	assert_int_equal(dma_read(r, 0, &b, 1, NULL), CBIT_DMA_FAULT);
	assert_int_equal(cbit_domain_create(r->iommu, NULL, &other), 0);
	cbit_domain_attach(other, DEV);
	assert_int_equal(dma_read(r, 0, &b, 1, NULL), CBIT_DMA_FAULT);
	cbit_domain_destroy(other);
	rig_free(r);
}

/* The slot is found by a hash: only the tag and the domain id tell entries apart. */
static void test_iotlb_tags(void **state)
{
	struct iotlb *tlb = calloc(1, sizeof(*tlb));
	struct cbit_pt_leaf leaf = { .iova = CBIT_IOVA(0x5000),
				     .size = 4096,
				     .spa = CBIT_SPA(CLIENT),
				     .entry = 1,
				     .level = 1,
				     .attrs = CBIT_ATTR_READ };
	struct cbit_pt_leaf got;

	(void)state;
	cbit_iotlb_fill(tlb, iotlb_host(9), &leaf);
	for (unsigned int domid = 0; domid < DEVICES; domid++)
		assert_int_equal(cbit_iotlb_lookup(tlb, iotlb_host((uint16_t)domid), 0x5678, &got),
				 domid == 9);
	for (uint64_t iova = 0; iova < GIB(1); iova += 4096)
		assert_int_equal(cbit_iotlb_lookup(tlb, iotlb_host(9), iova, &got), iova == 0x5000);
	assert_true(cbit_iotlb_lookup(tlb, iotlb_host(9), 0x5fff, &got));
	assert_memory_equal(&got, &leaf, sizeof(got));
	/* what sizes there were costs look-ups nothing once all is forgotten */
	leaf.size = MIB(2);
	leaf.iova.v = MIB(4);
	cbit_iotlb_fill(tlb, iotlb_host(9), &leaf);
	assert_int_equal(tlb->sizes, MIB(2) | 4096);
	cbit_iotlb_invalidate_all(tlb);
	assert_false(cbit_iotlb_lookup(tlb, iotlb_host(9), MIB(4), &got));
	assert_int_equal(tlb->sizes, 0);
	cbit_iotlb_fill(tlb, iotlb_host(9), &leaf);
	assert_true(cbit_iotlb_lookup(tlb, iotlb_host(9), MIB(5), &got));
	free(tlb);
}

static void test_map_error(void **state)
{
	struct rig *r = rig_new(true);
	struct cbit_pt_leaf leaf;

	(void)state;
	map(r, MIB(4), CLIENT, 4096, ENC);
	assert_int_equal(
		cbit_domain_map(r->domain, CBIT_IOVA(0), CBIT_SPA(CLIENT + 0x1000), MIB(8), ENC),
		-EEXIST);
	assert_int_equal(cbit_pt_walk(cbit_domain_pt(r->domain), CBIT_IOVA(0), &leaf), -ENOENT);
	assert_int_equal(cbit_pt_walk(cbit_domain_pt(r->domain), CBIT_IOVA(MIB(4)), &leaf), 0);
	assert_int_equal(cbit_domain_unmap(r->domain, CBIT_IOVA(1), 4096, NULL), -EINVAL);
	rig_free(r);
}

/* --- event log --- */

static uint64_t *dte_words(struct rig *r)
{
	struct cbit_spa page = CBIT_SPA(r->iommu->devtab.v + DEV / 128 * 4096);

	return (uint64_t *)cbit_mem_page(r->mem, cbit_mem_bus(r->mem, page, r->platform.sme)) +
	       DEV % 128 * 4;
}

/* The entry was changed behind the IOMMU's back: INVALIDATE_DEVTAB_ENTRY. */
static void flush_dte(struct rig *r)
{
	static const uint32_t command[4] = { DEV, 0x20000000, 0, 0 };

	assert_int_equal(cbit_iommu_command(r->iommu, command), 0);
}

static void test_log_codes(void **state)
{
	struct rig *r = rig_new(true);
	uint64_t *dte = dte_words(r), good = dte[0], *top;
	uint8_t b;

	(void)state;
	dte[0] = good | 7 << 9;
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x10000000, 0x5000);
	dte[0] = good | 1 << 2;
	assert_int_equal(dma_write(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x10a00000, 0x5000);
	/* A root where no memory is. */
	dte[0] = (good & ~(uint64_t)0x7ffffffff000) | 0x700000000000;
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x42000001, 0x700000000000);
	dte[0] = good;
	flush_dte(r);
	/* An entry that points up: reserved encoding. */
	top = cbit_mem_page(r->mem,
			    cbit_mem_bus(r->mem, cbit_pt_root(cbit_domain_pt(r->domain)), true));
	top[0] = 1 | 5 << 9;
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	assert_int_equal(r->ev[r->n - 1].entry, top[0]);
	expect_log(r, DEV, 0x20900001, 0x5000);
	top[0] = 0;
	/* The DTE's own rights count too. */
	map(r, 0x5000, CLIENT, 4096, ENC);
	dte[0] = good & ~((uint64_t)1 << 62);
	flush_dte(r);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(dma_write(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20700001, 0x5000);
	/* Mode 0: no translation. */
	dte[0] = good & ~(uint64_t)0xe00;
	flush_dte(r);
	r->bar[5] = 0x66;
	assert_int_equal(dma_read(r, BAR + 5, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(b, 0x66);
	dte[0] = good;
	rig_free(r);
}

static void test_log_overflow(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t b;

	(void)state;
	for (unsigned int i = 0; i < 300; i++)
		assert_int_equal(dma_read(r, i, &b, 1, NULL), CBIT_DMA_FAULT);
	assert_true(cbit_log_overflow(r->iommu));
	for (unsigned int i = 0; i < 255; i++)
		expect_log(r, DEV, 0x20000001, i);
	expect_no_log(r);
	assert_false(cbit_log_overflow(r->iommu));
	assert_int_equal(dma_read(r, 999, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20000001, 999);
	expect_no_log(r);
	rig_free(r);
}

/* --- check --- */

static void test_check(void **state)
{
	struct cbit_mapping_info info = { .id = 42 };
	struct rig *r = rig_new(true);

	(void)state;
	map(r, 0, CLIENT, MIB(1), ENC);
	map(r, MIB(1), BAR + 0x1000, MIB(1), ENC);
	map(r, MIB(2), BAR, MIB(1), PLAIN);
	map(r, MIB(8), BAR + 0x3000, 0x2000, ENC);
	cbit_domain_check(r->domain, CBIT_IOVA(0), GIB(300), &info);
	assert_int_equal(r->n, 2);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_MMIO_ENCRYPTED);
	assert_int_equal(r->ev[0].iova.v, MIB(1));
	assert_int_equal(r->ev[0].len, MIB(1));
	assert_int_equal(r->ev[0].spa.v, BAR + 0x1000);
	assert_int_equal(r->ev[0].entry, 0x7000000000000001 | C51 | (BAR + 0x1000));
	assert_int_equal(r->ev[0].kind, CBIT_MEM_MMIO);
	assert_int_equal(r->ev[0].c_mask, C51);
	assert_int_equal(r->ev[0].mapping.id, 42);
	assert_int_equal(r->ev[1].iova.v, MIB(8));
	assert_int_equal(r->ev[1].len, 0x2000);
	/* Only the part asked for; more findings than one batch holds. */
	r->n = 0;
	cbit_domain_check(r->domain, CBIT_IOVA(MIB(1) + 0x5000), 0x3000, &info);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].len, 0x3000);
	r->n = 0;
	for (unsigned int i = 0; i < 50; i++)
		map(r, GIB(1) + i * 8192, BAR + i * 4096, 4096, ENC);
	cbit_domain_check(r->domain, CBIT_IOVA(GIB(1)), MIB(1), &info);
	assert_int_equal(r->n, 50);
	assert_int_equal(r->ev[49].iova.v, GIB(1) + 49 * 8192);
	r->n = 0;
	cbit_domain_check(r->domain, CBIT_IOVA(0xfffffffffffff000), 4096, &info);
	assert_int_equal(r->n, 0);
	rig_free(r);
}

static void test_ids(void **state)
{
	struct rig *r = rig_new(true);
	struct cbit_domain *d[16];

	(void)state;
	for (unsigned int i = 0; i < 16; i++) {
		assert_int_equal(cbit_domain_create(r->iommu, NULL, &d[i]), 0);
		assert_int_equal(d[i]->id, i + 2);
	}
	cbit_domain_destroy(d[3]);
	assert_int_equal(cbit_domain_create(r->iommu, NULL, &d[3]), 0);
	assert_int_equal(d[3]->id, 5);
	for (unsigned int i = 0; i < 16; i++)
		cbit_domain_destroy(d[i]);
	rig_free(r);
}

/* What a device needs that met an event before the IOMMU did. */
static void test_describe(void **state)
{
	struct rig *r = rig_new(true);
	struct cbit_mapping_info info = { .id = 3 };
	struct cbit_domain *nobodys;

	(void)state;
	assert_true(cbit_iommu_describe(r->iommu, DEV, CBIT_IOVA(0x5000), &info));
	assert_int_equal(info.id, 7);
	assert_int_equal(info.iova.v, 0x5000);
	/* a device that is blocked, and one whose domain nobody owns */
	info.id = 3;
	assert_false(cbit_iommu_describe(r->iommu, DEV + 1, CBIT_IOVA(0x5000), &info));
	assert_int_equal(cbit_domain_create(r->iommu, NULL, &nobodys), 0);
	assert_int_equal(cbit_domain_attach(nobodys, DEV + 1), 0);
	assert_false(cbit_iommu_describe(r->iommu, DEV + 1, CBIT_IOVA(0x5000), &info));
	assert_int_equal(info.id, 3);
	assert_int_equal(r->described, 1);
	cbit_domain_destroy(nobodys);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dte),        cmocka_unit_test(test_dma_after_growth),
		cmocka_unit_test(test_iotlb),      cmocka_unit_test(test_iotlb_domains),
		cmocka_unit_test(test_iotlb_tags), cmocka_unit_test(test_map_error),
		cmocka_unit_test(test_log_codes),  cmocka_unit_test(test_log_overflow),
		cmocka_unit_test(test_check),      cmocka_unit_test(test_ids),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
