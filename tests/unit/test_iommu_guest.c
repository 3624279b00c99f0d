/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest translation (v2): data moves by PASID, what can fail does, with the event as bytes, and
 * what the IOTLB has of a PASID goes by GN=1 alone.
 */
#include "pasid_rig.h"

/* --- data moves --- */

static void test_moves(void **state)
{
	struct guest g = guest_new();
	const uint64_t one[2] = { 1 };
	uint8_t out[0x2000], in[0x2000];
	uint64_t old[2];

	(void)state;
	fill(out, sizeof(out));
	assert_int_equal(cbit_iommu_request_write(g.r->iommu, &pasid5, CBIT_IOVA(GVA), out,
						  sizeof(out), NULL),
			 CBIT_DMA_OK);
	assert_memory_equal(g.r->client, out, sizeof(out));
	assert_int_equal(
		cbit_iommu_request_read(g.r->iommu, &pasid5, CBIT_IOVA(GVA), in, sizeof(in), NULL),
		CBIT_DMA_OK);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(cbit_iommu_dma_atomic(g.r->iommu, &pasid5, CBIT_IOVA(GVA),
					       CBIT_ATOMIC_SWAP, 8, one, NULL, old),
			 CBIT_DMA_OK);
	assert_memory_equal(old, out, 8);
	assert_memory_equal(g.r->client, one, 8);
	assert_int_equal(g.r->n, 0);
	expect_no_log(g.r);
	guest_free(&g);
}

/* PASIDs in tables of 1 to 3 levels, each with a page of its own at one GVA. */
static void test_levels(void **state)
{
	static const struct {
		unsigned int glx;
		uint32_t pasid;
	} rows[] = { { 0, 0 },      { 0, 1 }, { 0, 511 },    { 1, 0 },     { 1, 512 },
		     { 1, 0xffff }, { 2, 3 }, { 2, 0x1234 }, { 2, 0xffff } };
	static const uint8_t zeros[0x3000];
	struct rig *r = vi_rig_new(true);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cbit_dma_request rq = { DEV, true, false, false, rows[i].pasid };
		struct cbit_pt *pt = table(r, 4, true);

		put(r, GCR3, zeros, sizeof(zeros));
		command(r, 0, 0x80000000, 0, 0);
		assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(GVA), CBIT_SPA(CLIENT + i * 4096), 4096,
					     USER, NULL),
				 0);
		set_gcr3(r, rows[i].glx, rows[i].pasid, root(r, pt));
		set_dte(r, bus_of(r, GCR3).v, (uint64_t)rows[i].glx << 56, 0);
		assert_int_equal(wr(r, &rq, GVA + 7, (uint8_t)(i + 1)), CBIT_DMA_OK);
		assert_int_equal(r->client[i * 4096 + 7], i + 1);
		/* Another PASID of that table has none. */
		rq.pasid ^= 1;
		assert_int_equal(wr(r, &rq, GVA + 7, 0xee), CBIT_DMA_FAULT);
		expect_log(r, DEV | (rq.pasid & 0xf0000), 0x20250000 | (rq.pasid & 0xffff),
			   GVA + 7);
		cbit_pt_destroy(pt);
	}
	rig_free(r);
}

/* The three fields of the GCR3 root: bits 14:12, 30:15 and 51:31 with the C-bit. */
static void test_gcr3_root(void **state)
{
	static const uint64_t where[] = { SCRATCH, SCRATCH + 0x7000, SCRATCH + 0x3000 };
	struct guest g = guest_new();

	(void)state;
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		put64(g.r, SCRATCH + 5 * 8, 0);
		put64(g.r, where[i] + 5 * 8, root(g.r, g.pt));
		set_dte(g.r, bus_of(g.r, where[i]).v, 0, 0);
		command(g.r, 0, 0x80000000, 0, 0);
		assert_int_equal(wr(g.r, &pasid5, GVA, (uint8_t)(i + 1)), CBIT_DMA_OK);
		assert_int_equal(g.r->client[0], i + 1);
		put64(g.r, where[i] + 5 * 8, 0);
	}
	guest_free(&g);
}

/* GIoV: requests without PASID go by PASID 0; without it, by the host's tables or straight. */
static void test_giov(void **state)
{
	const struct cbit_dma_request plain = { .devid = DEV };
	struct guest g = guest_new();
	struct cbit_pt *zero = table(g.r, 4, true);

	(void)state;
	assert_int_equal(
		cbit_pt_map(zero, CBIT_IOVA(0x5000), CBIT_SPA(CLIENT + 0x8000), 4096, USER, NULL),
		0);
	/* PASID 0 decodes all 48 bits: no sign extension. */
	assert_int_equal(cbit_pt_map(zero, CBIT_IOVA(0xfffffffff000), CBIT_SPA(CLIENT + 0x9000),
				     4096, USER, NULL),
			 0);
	put64(g.r, GCR3, root(g.r, zero));
	/* Mode 0, no GIoV: the SPA. */
	g.r->bar[5] = 0x55;
	assert_int_equal(wr(g.r, &plain, BAR + 5, 0x56), CBIT_DMA_OK);
	assert_int_equal(g.r->bar[5], 0x56);
	set_dte(g.r, bus_of(g.r, GCR3).v, GIOV, 0);
	assert_int_equal(wr(g.r, &plain, 0x5001, 0x57), CBIT_DMA_OK);
	assert_int_equal(g.r->client[0x8001], 0x57);
	assert_int_equal(wr(g.r, &plain, 0xfffffffff001, 0x58), CBIT_DMA_OK);
	assert_int_equal(g.r->client[0x9001], 0x58);
	assert_int_equal(wr(g.r, &pasid5, GVA, 0x59), CBIT_DMA_OK);
	assert_int_equal(g.r->client[0], 0x59);
	/* The fault is one of PASID 0 and a user. */
	assert_int_equal(wr(g.r, &plain, 0x9000, 0), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20250000, 0x9000);
	cbit_pt_destroy(zero);
	guest_free(&g);
}

static void test_five_levels(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_pt *pt = table(r, 5, true);
	const uint64_t high = UINT64_C(0xff000012345000);

	(void)state;
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(high), CBIT_SPA(CLIENT), 4096, USER, NULL), 0);
	set_gcr3(r, 0, 5, root(r, pt));
	set_dte(r, bus_of(r, GCR3).v, 0, UINT64_C(1) << 54);
	assert_int_equal(wr(r, &pasid5, high, 1), CBIT_DMA_OK);
	assert_int_equal(r->client[0], 1);
	/* Bits 63:57 are copies of bit 56. */
	assert_int_equal(wr(r, &pasid5, high | UINT64_C(1) << 57, 1), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20250005, high | UINT64_C(1) << 57);
	/* Six are beyond GATS. */
	set_dte(r, bus_of(r, GCR3).v, 0, UINT64_C(2) << 54);
	assert_int_equal(wr(r, &pasid5, high, 1), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x10210005, high);
	cbit_pt_destroy(pt);
	rig_free(r);
}

/* Mode 0 asks no table and no IOTLB, even if another device left something under its domain id. */
static void test_identity(void **state)
{
	const struct cbit_dma_request other = { .devid = DEV + 1 };
	struct rig *r = vi_rig_new(true);

	(void)state;
	map(r, BAR, CLIENT, 4096, ENC);
	assert_int_equal(cbit_domain_attach(r->domain, DEV), 0);
	put64(r, dte_spa(r, DEV + 1) + 8, 1);
	put64(r, dte_spa(r, DEV + 1), 3 | IRW);
	command(r, DEV + 1, 0x20000000, 0, 0);
	assert_int_equal(wr(r, &(struct cbit_dma_request){ .devid = DEV }, BAR, 1), CBIT_DMA_OK);
	assert_int_equal(wr(r, &other, BAR, 2), CBIT_DMA_OK);
	assert_int_equal(r->client[0], 1);
	assert_int_equal(r->bar[0], 2);
	assert_int_equal(r->n, 0);
	rig_free(r);
}

/* --- failures --- */

static void test_rights(void **state)
{
	struct cbit_dma_request rq = pasid5;
	struct guest g = guest_new();

	(void)state;
	cbit_pt_map(g.pt, CBIT_IOVA(GVA + 0x10000), CBIT_SPA(CLIENT), 4096, USER & ~CBIT_ATTR_WRITE,
		    NULL);
	cbit_pt_map(g.pt, CBIT_IOVA(GVA + 0x11000), CBIT_SPA(CLIENT), 4096, ENC, NULL);
	cbit_pt_map(g.pt, CBIT_IOVA(GVA + 0x12000), CBIT_SPA(CLIENT), 4096, USER | CBIT_ATTR_NOEXEC,
		    NULL);
	/* Read-only. PE with PR, GN, US, RW. */
	assert_int_equal(rd(g.r, &rq, GVA + 0x10000), CBIT_DMA_OK);
	assert_int_equal(wr(g.r, &rq, GVA + 0x10000, 0), CBIT_DMA_FAULT);
	assert_int_equal(g.r->ev[0].type, CBIT_EVENT_DMA_NO_PERMISSION);
	assert_true(g.r->ev[0].pasid_valid);
	assert_int_equal(g.r->ev[0].pasid, 5);
	expect_log(g.r, DEV, 0x20750005, GVA + 0x10000);
	/* A supervisor's page. */
	assert_int_equal(rd(g.r, &rq, GVA + 0x11000), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20550005, GVA + 0x11000);
	rq.privileged = true;
	assert_int_equal(rd(g.r, &rq, GVA + 0x11000), CBIT_DMA_OK);
	/* An instruction fetch. */
	rq.exec = true;
	assert_int_equal(rd(g.r, &rq, GVA + 0x11000), CBIT_DMA_OK);
	assert_int_equal(rd(g.r, &rq, GVA + 0x12000), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20530005, GVA + 0x12000);
	rq.privileged = false;
	assert_int_equal(rd(g.r, &rq, GVA + 0x12000), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20570005, GVA + 0x12000);
	expect_no_log(g.r);
	guest_free(&g);
}

/* Each way in which there is no table for a PASID. */
static void test_no_table(void **state)
{
	struct cbit_dma_request rq = pasid5;
	struct guest g = guest_new();
	uint64_t entry = GCR3 + 5 * 8;

	(void)state;
	put64(g.r, entry, root(g.r, g.pt) & ~UINT64_C(1)); /* V=0 */
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20050005, GVA);
	assert_int_equal(g.r->ev[0].type, CBIT_EVENT_DMA_NOT_MAPPED);
	put64(g.r, entry, root(g.r, g.pt) | 1 << 5); /* reserved */
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20950005, GVA);
	put64(g.r, entry, 0x600000000000 | 1); /* tables that are nowhere */
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x42010005, 0x600000000000 + (GVA >> 39 & 0x1ff) * 8);
	set_dte(g.r, 0x600000000000, 0, 0); /* a GCR3 table that is nowhere */
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x42010005, 0x600000000000 + 5 * 8);
	/* More PASID than levels. */
	set_dte(g.r, bus_of(g.r, GCR3).v, 0, 0);
	put64(g.r, entry, root(g.r, g.pt));
	rq.pasid = 512 + 5;
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20050205, GVA);
	/* More than PASmax. */
	rq.pasid = 0x10005;
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV | 0x10000, 0x20050005, GVA);
	/* Bits 63:48 are copies of bit 47. */
	rq.pasid = 5;
	assert_int_equal(rd(g.r, &rq, GVA | UINT64_C(1) << 48), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20050005, GVA | UINT64_C(1) << 48);
	/* Guest translation switched off: a PASID leads nowhere. */
	set_reg(g.r, CBIT_VI_REG_CONTROL, reg(g.r, CBIT_VI_REG_CONTROL) & ~CBIT_VI_CTRL_GT);
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_FAULT);
	expect_log(g.r, DEV, 0x20050005, GVA);
	set_reg(g.r, CBIT_VI_REG_CONTROL, reg(g.r, CBIT_VI_REG_CONTROL) | CBIT_VI_CTRL_GT);
	assert_int_equal(rd(g.r, &rq, GVA), CBIT_DMA_OK);
	expect_no_log(g.r);
	guest_free(&g);
}

/* A PASID on a device whose DTE has no guest, or is no good. */
static void test_dte(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = dte_spa(r, DEV), good = get64(r, at);

	(void)state;
	map(r, GVA, CLIENT, 4096, ENC);
	assert_int_equal(rd(r, &pasid5, GVA), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20050005, GVA);
	put64(r, at, 1);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(rd(r, &pasid5, GVA), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20050005, GVA);
	put64(r, at, good | 1 << 2);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(rd(r, &pasid5, GVA), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x10810005, GVA);
	put64(r, at, good | GV | UINT64_C(3) << 56);
	assert_int_equal(rd(r, &pasid5, GVA), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x10010005, GVA);
	rig_free(r);
}

/* The C-bit of each pointer on the way: without it what is read there is noise. */
static void test_wrong_c_bits(void **state)
{
	struct guest g = guest_new();
	struct cbit_iommu_log_entry e;
	uint64_t top = cbit_pt_root(g.pt).v + (GVA >> 39 & 0x1ff) * 8, entry = get64(g.r, top);

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		if (i == 0)
			set_dte(g.r, GCR3, 0, 0);
		else if (i == 1)
			put64(g.r, GCR3 + 5 * 8, root(g.r, g.pt) & ~C51);
		else
			put64(g.r, top, entry & ~C51);
		command(g.r, 0, 0x80000000, 0, 0);
		assert_int_equal(wr(g.r, &pasid5, GVA, 0x77), CBIT_DMA_FAULT);
		assert_int_equal(g.r->client[0], 0);
		assert_int_equal(cbit_iommu_log_pop(g.r->iommu, &e), 0);
		assert_int_equal(e.dw[1] & 0x0001ffff, 0x00010005);
		set_dte(g.r, bus_of(g.r, GCR3).v, 0, 0);
		put64(g.r, GCR3 + 5 * 8, root(g.r, g.pt));
		put64(g.r, top, entry);
		command(g.r, 0, 0x80000000, 0, 0);
		assert_int_equal(wr(g.r, &pasid5, GVA, 0), CBIT_DMA_OK);
	}
	/* And of the leaf: the bytes are noise to the CPU. */
	assert_int_equal(cbit_pt_map(g.pt, CBIT_IOVA(GVA + 0x8000), CBIT_SPA(CLIENT), 4096,
				     PLAIN | CBIT_ATTR_USER, NULL),
			 0);
	g.r->n = 0;
	assert_int_equal(wr(g.r, &pasid5, GVA + 0x8000, 0x77), CBIT_DMA_OK);
	assert_int_equal(g.r->n, 1);
	assert_int_equal(g.r->ev[0].type, CBIT_EVENT_DMA_WRONG_KEY);
	guest_free(&g);
}

/* --- the IOTLB --- */

static uint8_t peek(struct rig *r, const struct cbit_dma_request *rq)
{
	uint8_t b = 0xee;

	cbit_iommu_request_read(r->iommu, rq, CBIT_IOVA(GVA), &b, 1, NULL);
	return b;
}

static void test_invalidation(void **state)
{
	const struct cbit_dma_request pasid6 = { DEV, true, false, false, 6 };
	struct guest g = guest_new();
	struct cbit_pt *other = table(g.r, 4, true);

	(void)state;
	g.r->client[0] = 1;
	g.r->client[0x1000] = 2;
	g.r->client[0x2000] = 3;
	assert_int_equal(
		cbit_pt_map(other, CBIT_IOVA(GVA), CBIT_SPA(CLIENT + 0x1000), 0x1000, USER, NULL),
		0);
	set_gcr3(g.r, 0, 6, root(g.r, other));
	assert_int_equal(peek(g.r, &pasid5), 1);
	assert_int_equal(peek(g.r, &pasid6), 2);
	assert_int_equal(g.r->n, 0);
	/* PASID 5 gets another table: the old one is still used, and that is told. */
	assert_int_equal(cbit_pt_unmap(other, CBIT_IOVA(GVA), 0x1000, NULL), 0);
	assert_int_equal(
		cbit_pt_map(other, CBIT_IOVA(GVA), CBIT_SPA(CLIENT + 0x2000), 0x1000, USER, NULL),
		0);
	put64(g.r, GCR3 + 5 * 8, root(g.r, other));
	assert_int_equal(peek(g.r, &pasid5), 1);
	assert_int_equal(g.r->n, 1);
	assert_int_equal(g.r->ev[0].type, CBIT_EVENT_DMA_STALE_IOTLB);
	assert_int_equal(g.r->ev[0].pasid, 5);
	/* Other PASIDs, domains and pages, and the DTE: no help. */
	command(g.r, 7, 0x30000000 | DOMID, (uint32_t)GVA | 4, (uint32_t)(GVA >> 32));
	command(g.r, 5, 0x30000000 | (DOMID + 1), (uint32_t)GVA | 4, (uint32_t)(GVA >> 32));
	command(g.r, 5, 0x30000000 | DOMID, ((uint32_t)GVA + 0x1000) | 4, (uint32_t)(GVA >> 32));
	command(g.r, DEV, 0x20000000, 0, 0);
	assert_int_equal(peek(g.r, &pasid5), 1);
	/* GN=1 with its PASID; PASID 6 keeps what it has. */
	command(g.r, 5, 0x30000000 | DOMID, (uint32_t)GVA | 4, (uint32_t)(GVA >> 32));
	assert_int_equal(peek(g.r, &pasid5), 3);
	assert_int_equal(peek(g.r, &pasid6), 2);
	/* GN=0: whatever came by way of the host's tables may have changed. */
	command(g.r, 0, 0x30000000 | DOMID, 0, 0);
	assert_int_equal(peek(g.r, &pasid6), 3);
	put64(g.r, GCR3 + 6 * 8, root(g.r, g.pt));
	assert_int_equal(peek(g.r, &pasid6), 3);
	command(g.r, 6, 0x30000000 | DOMID, 0xfffff007, 0x7fffffff);
	assert_int_equal(peek(g.r, &pasid6), 1);
	put64(g.r, GCR3 + 6 * 8, root(g.r, other));
	command(g.r, 0, 0x80000000, 0, 0);
	assert_int_equal(peek(g.r, &pasid6), 3);
	expect_no_log(g.r);
	cbit_pt_destroy(other);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),        cmocka_unit_test(test_levels),
		cmocka_unit_test(test_gcr3_root),    cmocka_unit_test(test_giov),
		cmocka_unit_test(test_five_levels),  cmocka_unit_test(test_identity),
		cmocka_unit_test(test_rights),       cmocka_unit_test(test_no_table),
		cmocka_unit_test(test_dte),          cmocka_unit_test(test_wrong_c_bits),
		cmocka_unit_test(test_invalidation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
