/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accessed and dirty bits (HAD): which entries a DMA marks, by way of the IOTLB or not, that what
 * is refused leaves no marks, and reading them back.
 */
#include "vi_rig.h"

#define IOVA  0x5000u
#define A     (UINT64_C(1) << 5)
#define D     (UINT64_C(1) << 6)
#define TOP   cbit_pt_root(cbit_domain_pt(r->domain)).v /* entry 0 is on the way to IOVA */
#define RUNS  8
#define DOMID 1

struct runs {
	unsigned int n;
	struct {
		uint64_t iova, len;
	} run[RUNS];
};

static void found(void *opaque, struct cbit_iova iova, uint64_t len)
{
	struct runs *runs = opaque;

	assert_true(runs->n < RUNS);
	runs->run[runs->n].iova = iova.v;
	runs->run[runs->n++].len = len;
}

static struct runs dirty(struct rig *r, uint64_t iova, uint64_t len, unsigned int flags)
{
	struct runs runs = { 0 };
	struct cbit_pt_dirty req = { .flags = flags, .found = found, .opaque = &runs };

	assert_int_equal(cbit_domain_read_dirty(r->domain, CBIT_IOVA(iova), len, &req), 0);
	return runs;
}

static void expect_marks(struct rig *r, uint64_t iova, uint64_t marks)
{
	assert_int_equal(get64(r, pte_spa(r, iova)) & (A | D), marks);
}

static void wr(struct rig *r, uint64_t iova)
{
	uint8_t b = 1;

	assert_int_equal(dma_write(r, iova, &b, 1, NULL), CBIT_DMA_OK);
}

static void rd(struct rig *r, uint64_t iova)
{
	uint8_t b;

	assert_int_equal(dma_read(r, iova, &b, 1, NULL), CBIT_DMA_OK);
}

static void test_marks(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_iommu_stats s0, s1;

	(void)state;
	map(r, IOVA, CLIENT, 0x3000, ENC);
	wr(r, IOVA);
	expect_marks(r, IOVA, 0);
	assert_int_equal(get64(r, TOP) & A, 0);
	cbit_domain_set_dirty_tracking(r->domain, true);
	assert_int_equal(get64(r, dte_spa(r, DEV)) >> 7 & 3, 3);
	rd(r, IOVA);
	expect_marks(r, IOVA, A);
	assert_int_equal(get64(r, TOP) & (A | D), A);
	/* What the IOTLB has of the read is not dirty: the write marks it. */
	wr(r, IOVA);
	expect_marks(r, IOVA, A | D);
	cbit_iommu_stats(r->iommu, &s0);
	wr(r, IOVA);
	rd(r, IOVA);
	cbit_iommu_stats(r->iommu, &s1);
	assert_int_equal(s1.walks, s0.walks);
	wr(r, IOVA + 0x1000);
	expect_marks(r, IOVA + 0x1000, A | D);
	expect_marks(r, IOVA + 0x2000, 0);
	assert_int_equal(get64(r, TOP) & D, 0);
	/* Off again: marks stay, and there are no new ones. */
	cbit_domain_set_dirty_tracking(r->domain, false);
	assert_int_equal(get64(r, dte_spa(r, DEV)) >> 7 & 3, 0);
	wr(r, IOVA + 0x2000);
	expect_marks(r, IOVA + 0x2000, 0);
	expect_marks(r, IOVA, A | D);
	assert_int_equal(r->n, 0);
	rig_free(r);
}

static void test_read_and_clear(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct runs runs;

	(void)state;
	map(r, IOVA, CLIENT, 0x3000, ENC);
	map(r, MIB(4), CLIENT, MIB(2), ENC);
	cbit_domain_set_dirty_tracking(r->domain, true);
	wr(r, IOVA);
	wr(r, IOVA + 0x2000);
	rd(r, IOVA + 0x1000);
	for (unsigned int i = 0; i < 2; i++) {
		runs = dirty(r, 0, MIB(8), i ? 0 : CBIT_PT_DIRTY_NO_CLEAR);
		assert_int_equal(runs.n, 2);
		assert_int_equal(runs.run[0].iova, IOVA);
		assert_int_equal(runs.run[0].len, 0x1000);
		assert_int_equal(runs.run[1].iova, IOVA + 0x2000);
	}
	assert_int_equal(dirty(r, 0, MIB(8), 0).n, 0);
	/* The IOTLB was told: the next write marks again, as does each after a read. */
	wr(r, IOVA);
	runs = dirty(r, 0, MIB(8), 0);
	assert_int_equal(runs.n, 1);
	assert_int_equal(runs.run[0].iova, IOVA);
	/* A large leaf as a whole, clipped to what is asked. */
	wr(r, MIB(5));
	runs = dirty(r, MIB(4) + 0x1000, 0x3000, 0);
	assert_int_equal(runs.n, 1);
	assert_int_equal(runs.run[0].iova, MIB(4) + 0x1000);
	assert_int_equal(runs.run[0].len, 0x3000);
	assert_int_equal(r->n, 0);
	rig_free(r);
}

/* A write of several pages marks each, one of them in 16 copies of which one is marked. */
static void test_ranges(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint8_t buf[0x6000] = { 0 };
	struct runs runs;

	(void)state;
	map(r, 0x10000, CLIENT, 0x10000, ENC);
	map(r, 0x20000, CLIENT + 0x10000, 0x4000, ENC);
	cbit_domain_set_dirty_tracking(r->domain, true);
	assert_int_equal(dma_write(r, 0x1e000, buf, sizeof(buf), NULL), CBIT_DMA_OK);
	runs = dirty(r, 0, MIB(2), 0);
	assert_int_equal(runs.n, 1);
	assert_int_equal(runs.run[0].iova, 0x10000);
	assert_int_equal(runs.run[0].len, 0x14000);
	rig_free(r);
}

/* A copy marks its source as read and its destination as written, and nothing else. */
static void test_copy(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_dma_copied copied;
	uint8_t buf[0x1000];

	(void)state;
	map(r, IOVA, CLIENT, 0x1000, ENC);
	map(r, IOVA + 0x2000, CLIENT + 0x2000, 0x1000, ENC);
	for (unsigned int i = 0; i < 2; i++) {
		cbit_domain_set_dirty_tracking(r->domain, i);
		cbit_iommu_dma_copy(r->iommu, DEV, CBIT_IOVA(IOVA + 0x2000), CBIT_IOVA(IOVA),
				    0x1000, buf, sizeof(buf), &copied);
		assert_int_equal(copied.read, CBIT_DMA_OK);
		assert_int_equal(copied.write, CBIT_DMA_OK);
		expect_marks(r, IOVA, i ? A : 0);
		expect_marks(r, IOVA + 0x2000, i ? A | D : 0);
	}
	rig_free(r);
}

static void test_refused(void **state)
{
	struct rig *r = vi_rig_new(true);
	const struct cbit_dma_request rq = { .devid = DEV };
	uint64_t at = dte_spa(r, DEV), old[2];
	const uint64_t one[2] = { 1 };
	uint8_t buf[0x2000] = { 0 };

	(void)state;
	map(r, IOVA, CLIENT, 0x1000, ENC & ~CBIT_ATTR_WRITE);
	map(r, IOVA + 0x1000, CLIENT + 0x1000, 0x1000, ENC);
	cbit_domain_set_dirty_tracking(r->domain, true);
	assert_int_equal(dma_write(r, IOVA, buf, sizeof(buf), NULL), CBIT_DMA_FAULT);
	expect_marks(r, IOVA, 0);
	expect_marks(r, IOVA + 0x1000, 0);
	assert_int_equal(cbit_iommu_dma_atomic(r->iommu, &rq, CBIT_IOVA(IOVA),
					       CBIT_ATOMIC_FETCH_ADD, 8, one, NULL, old),
			 CBIT_DMA_FAULT);
	expect_marks(r, IOVA, 0);
	/* The DTE's own rights. */
	put64(r, at, get64(r, at) & ~(UINT64_C(1) << 62));
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(dma_write(r, IOVA + 0x1000, buf, 1, NULL), CBIT_DMA_FAULT);
	expect_marks(r, IOVA + 0x1000, 0);
	put64(r, at, get64(r, at) | UINT64_C(1) << 62);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(cbit_iommu_dma_atomic(r->iommu, &rq, CBIT_IOVA(IOVA + 0x1000),
					       CBIT_ATOMIC_FETCH_ADD, 8, one, NULL, old),
			 CBIT_DMA_OK);
	expect_marks(r, IOVA + 0x1000, A | D);
	rig_free(r);
}

/* HAD 1: accessed bits alone. HAD 2 is reserved. */
static void test_accessed_alone(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = dte_spa(r, DEV), good = get64(r, at);
	uint8_t b = 0;

	(void)state;
	map(r, IOVA, CLIENT, 0x1000, ENC);
	put64(r, at, good | 1 << 7);
	command(r, DEV, 0x20000000, 0, 0);
	wr(r, IOVA);
	expect_marks(r, IOVA, A);
	put64(r, at, good | 2 << 7);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(dma_write(r, IOVA, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x10a00000, IOVA);
	rig_free(r);
}

/* --- guests --- */

#define GVA  UINT64_C(0x7f0012345000)
#define USER (CBIT_ATTR_RW | CBIT_ATTR_USER)

static uint64_t attrs(struct cbit_pt *pt, uint64_t iova)
{
	struct cbit_pt_leaf leaf;

	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(iova), &leaf), 0);
	return leaf.attrs & (CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY);
}

static struct cbit_pt *guest(struct rig *r, uint64_t spa, unsigned int leaf, uint64_t host)
{
	const struct cbit_pt_config cfg = {
		.format = CBIT_PT_X86_64, .mode = 4, .max_mode = 4, .table_c = !host
	};
	uint64_t gcr3 = bus_of(r, SCRATCH).v;
	struct cbit_pt *pt;

	assert_int_equal(cbit_pt_create(r->mem, &cfg, &pt), 0);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(GVA), CBIT_SPA(spa), 0x3000, leaf, NULL), 0);
	put64(r, SCRATCH + 5 * 8,
	      (host ? cbit_pt_root(pt).v : bus_of(r, cbit_pt_root(pt).v).v) | 1);
	put64(r, dte_spa(r, DEV) + 8,
	      DOMID | (gcr3 >> 15 & 0xffff) << 16 | (gcr3 >> 31 & 0x1fffff) << 43);
	put64(r, dte_spa(r, DEV),
	      3 | UINT64_C(1) << 55 | UINT64_C(3) << 61 | (gcr3 >> 12 & 7) << 58 | host);
	return pt;
}

static enum cbit_dma_status as_user(struct rig *r, uint64_t iova, bool write)
{
	const struct cbit_dma_request rq = { .devid = DEV, .pasid_valid = true, .pasid = 5 };
	uint8_t b = 0;

	return write ? cbit_iommu_request_write(r->iommu, &rq, CBIT_IOVA(iova), &b, 1, NULL)
		     : cbit_iommu_request_read(r->iommu, &rq, CBIT_IOVA(iova), &b, 1, NULL);
}

/* A guest's own tables are marked as a CPU marks them, whatever HAD says. */
static void test_guest(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_pt *pt = guest(r, CLIENT, USER | CBIT_ATTR_ENCRYPTED, 0);

	(void)state;
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(GVA + 0x8000), CBIT_SPA(CLIENT), 4096,
				     CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED, NULL),
			 0);
	assert_int_equal(as_user(r, GVA, false), CBIT_DMA_OK);
	assert_int_equal(attrs(pt, GVA), CBIT_ATTR_ACCESSED);
	assert_int_equal(as_user(r, GVA, true), CBIT_DMA_OK);
	assert_int_equal(attrs(pt, GVA), CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY);
	/* A supervisor's page is not marked by a user. */
	assert_int_equal(as_user(r, GVA + 0x8000, true), CBIT_DMA_FAULT);
	assert_int_equal(attrs(pt, GVA + 0x8000), 0);
	assert_int_equal(r->n, 1);
	cbit_pt_destroy(pt);
	rig_free(r);
}

/* With HAD the host's entry of the page says that a guest wrote it. */
static void test_nested(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_pt *pt;
	struct runs runs;
	uint64_t host;

	(void)state;
	map(r, DRAM, DRAM, MIB(512), PLAIN);
	map(r, 0x10000, CLIENT, 0x3000, ENC);
	host = bus_of(r, cbit_pt_root(cbit_domain_pt(r->domain)).v).v |
	       (uint64_t)cbit_pt_mode(cbit_domain_pt(r->domain)) << 9;
	pt = guest(r, 0x10000, USER, host | 3 << 7);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(as_user(r, GVA + 0x1000, false), CBIT_DMA_OK);
	expect_marks(r, 0x11000, A);
	assert_int_equal(as_user(r, GVA + 0x1000, true), CBIT_DMA_OK);
	expect_marks(r, 0x11000, A | D);
	expect_marks(r, 0x10000, 0);
	runs = dirty(r, 0, MIB(1), 0);
	assert_int_equal(runs.n, 1);
	/* One leaf of 8 KiB in two entries. */
	assert_int_equal(runs.run[0].iova, 0x10000);
	assert_int_equal(runs.run[0].len, 0x2000);
	assert_int_equal(as_user(r, GVA + 0x1000, true), CBIT_DMA_OK);
	assert_int_equal(dirty(r, 0, MIB(1), 0).n, 1);
	assert_int_equal(r->n, 0);
	cbit_pt_destroy(pt);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks),   cmocka_unit_test(test_read_and_clear),
		cmocka_unit_test(test_ranges),  cmocka_unit_test(test_copy),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_accessed_alone),
		cmocka_unit_test(test_guest),   cmocka_unit_test(test_nested),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
