/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nested translation (v2 over v1): data moves through both stages, and a fault is of the stage that
 * it happened in: GVA and PASID of the first, GPA and domain of the second.
 */
#include "pasid_rig.h"

#define GPA UINT64_C(0x10000)

/* The guest has DRAM at the same GPAs, unencrypted, and the client's memory from GPA on. */
static struct guest nested_new(uint64_t control)
{
	struct rig *r = vi_rig_new(true);
	struct guest g = { r, table(r, 4, false) };
	uint64_t host, gcr3;

	map(r, DRAM, DRAM, MIB(512), PLAIN);
	map(r, GPA, CLIENT, 0x10000, ENC);
	assert_int_equal(cbit_pt_map(g.pt, CBIT_IOVA(GVA), CBIT_SPA(GPA), 0x10000,
				     PLAIN | CBIT_ATTR_USER, NULL),
			 0);
	set_reg(r, CBIT_VI_REG_CONTROL, reg(r, CBIT_VI_REG_CONTROL) | control);
	/* At an SPA it is read as the DTE says; at a GPA as the host's leaf says. */
	gcr3 = control ? GCR3 : bus_of(r, GCR3).v;
	if (control) {
		uint64_t v = cbit_pt_root(g.pt).v | 1;

		assert_int_equal(cbit_mem_write(r->mem, (struct cbit_bus){ GCR3 + 5 * 8 }, &v, 8),
				 CBIT_MEM_OK);
	} else {
		put64(r, GCR3 + 5 * 8, cbit_pt_root(g.pt).v | 1);
	}
	host = bus_of(r, cbit_pt_root(cbit_domain_pt(r->domain)).v).v |
	       (uint64_t)cbit_pt_mode(cbit_domain_pt(r->domain)) << 9;
	set_dte(r, gcr3, host, 0);
	return g;
}

static void test_nested(void **state)
{
	static const uint64_t modes[] = { 0, CBIT_VI_CTRL_GCR3_GPA };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct guest g = nested_new(modes[i]);
		uint8_t out[0x10000], in[0x10000];

		fill(out, sizeof(out));
		assert_int_equal(cbit_iommu_request_write(g.r->iommu, &pasid5, CBIT_IOVA(GVA), out,
							  sizeof(out), NULL),
				 CBIT_DMA_OK);
		assert_memory_equal(g.r->client, out, sizeof(out));
		assert_int_equal(cbit_iommu_request_read(g.r->iommu, &pasid5, CBIT_IOVA(GVA), in,
							 sizeof(in), NULL),
				 CBIT_DMA_OK);
		assert_memory_equal(in, out, sizeof(in));
		/* Without a PASID: the second stage alone, under the same domain id. */
		assert_int_equal(dma_read(g.r, GPA, in, 16, NULL), CBIT_DMA_OK);
		assert_memory_equal(in, out, 16);
		assert_int_equal(g.r->n, 0);
		expect_no_log(g.r);
		guest_free(&g);
	}
}

static void test_nested_faults(void **state)
{
	struct guest g = nested_new(0);
	struct rig *r = g.r;
	uint64_t top, entry, gone = cbit_pt_root(g.pt).v & ~UINT64_C(0xfff);

	(void)state;
	/* First stage: the GVA and the PASID. */
	assert_int_equal(wr(r, &pasid5, GVA + 0x20000, 1), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20250005, GVA + 0x20000);
	/* Second stage, of the page: the GPA and the domain. */
	assert_int_equal(cbit_pt_map(g.pt, CBIT_IOVA(GVA + 0x20000), CBIT_SPA(0x700000), 4096,
				     PLAIN | CBIT_ATTR_USER, NULL),
			 0);
	assert_int_equal(wr(r, &pasid5, GVA + 0x20123, 1), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20200000 | DOMID, 0x700123);
	/* A right that the second stage lacks, and one that the first does. */
	map(r, 0x700000, CLIENT, 4096, ENC & ~CBIT_ATTR_WRITE);
	assert_int_equal(rd(r, &pasid5, GVA + 0x20123), CBIT_DMA_OK);
	assert_int_equal(wr(r, &pasid5, GVA + 0x20123, 1), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20700000 | DOMID, 0x700123);
	assert_int_equal(cbit_pt_map(g.pt, CBIT_IOVA(GVA + 0x21000), CBIT_SPA(GPA), 4096,
				     (PLAIN & ~CBIT_ATTR_WRITE) | CBIT_ATTR_USER, NULL),
			 0);
	assert_int_equal(wr(r, &pasid5, GVA + 0x21004, 1), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20750005, GVA + 0x21004);
	/* A guest that sets the C-bit: a GPA that the second stage does not have. */
	assert_int_equal(cbit_pt_map(g.pt, CBIT_IOVA(GVA + 0x22000), CBIT_SPA(GPA), 4096,
				     ENC | CBIT_ATTR_USER, NULL),
			 0);
	assert_int_equal(wr(r, &pasid5, GVA + 0x22000, 1), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20200000 | DOMID, GPA | C51);
	/* A table of the guest at a GPA that is not there. */
	top = cbit_pt_root(g.pt).v + (GVA >> 39 & 0x1ff) * 8;
	assert_int_equal(cbit_mem_read(r->mem, (struct cbit_bus){ top }, &entry, 8), CBIT_MEM_OK);
	entry = (entry & 0xfff) | 0x900000;
	assert_int_equal(cbit_mem_write(r->mem, (struct cbit_bus){ top }, &entry, 8), CBIT_MEM_OK);
	command(r, 0, 0x80000000, 0, 0);
	assert_int_equal(rd(r, &pasid5, GVA), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20000000 | DOMID, 0x900000 + (GVA >> 30 & 0x1ff) * 8);
	/* All of the guest's tables gone from under it. */
	assert_int_equal(cbit_domain_unmap(r->domain, CBIT_IOVA(DRAM), MIB(512), NULL), 0);
	command(r, 0, 0x80000000, 0, 0);
	assert_int_equal(rd(r, &pasid5, GVA), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20000000 | DOMID, gone + (GVA >> 39 & 0x1ff) * 8);
	expect_no_log(r);
	guest_free(&g);
}

/* GCR3 tables at GPAs that the second stage does not have. */
static void test_nested_gcr3(void **state)
{
	struct guest g = nested_new(CBIT_VI_CTRL_GCR3_GPA);

	(void)state;
	assert_int_equal(cbit_domain_unmap(g.r->domain, CBIT_IOVA(DRAM), MIB(512), NULL), 0);
	assert_int_equal(rd(g.r, &pasid5, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20000000 | DOMID, GCR3 + 5 * 8);
	guest_free(&g);
}

/* Tables that the host keeps encrypted while the guest wrote them without: noise. */
static void test_nested_noise(void **state)
{
	struct guest g = nested_new(0);

	(void)state;
	assert_int_equal(cbit_domain_unmap(g.r->domain, CBIT_IOVA(DRAM), MIB(512), NULL), 0);
	map(g.r, DRAM, DRAM, MIB(512), ENC);
	assert_int_equal(wr(g.r, &pasid5, GVA, 0x77), CBIT_DMA_FAULT);
	assert_int_equal(g.r->client[0], 0);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_nested_faults),
		cmocka_unit_test(test_nested_gcr3),
		cmocka_unit_test(test_nested_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
