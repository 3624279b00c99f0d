/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A real device behind the host's IOMMU, and an SNP guest's memory: what the reverse map table lets
 * through, page by page, and the event for what it does not.
 */
#include <errno.h>

#include <cbit/iommu.h>

#include "guest_rig.h"

#define DEVID 0x0100
#define IOVA  UINT64_C(0x40000000)
#define TEXT  "sixteen bytes..."

struct rmp_rig {
	struct guest_rig rig;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	struct cbit_gpa page; /* the first of two, mapped at IOVA */
	struct cbit_spa spa;
};

static bool is_private(void *opaque, struct cbit_spa at)
{
	struct rmp_rig *r = opaque;

	return at.v - r->spa.v < 2 * CBIT_PAGE_SIZE &&
	       !cbit_guest_is_shared(r->rig.guest, CBIT_GPA(r->page.v + (at.v - r->spa.v)));
}

static void start(struct rmp_rig *r, enum cbit_guest_kind kind)
{
	struct cbit_iommu_owner owner = { .is_private = is_private, .opaque = r };

	guest_rig_init(&r->rig, kind, true);
	assert_int_equal(cbit_iommu_create(r->rig.mem, &r->rig.observer, &r->iommu), 0);
	assert_int_equal(cbit_domain_create(r->iommu, NULL, &r->domain), 0);
	assert_int_equal(cbit_domain_attach(r->domain, DEVID), 0);
	assert_int_equal(cbit_guest_alloc(r->rig.guest, 2 * CBIT_PAGE_SIZE, CBIT_PAGE_SIZE,
					  ~UINT64_C(0), &r->page),
			 0);
	assert_int_equal(cbit_guest_spa(r->rig.guest, r->page, &r->spa), 0);
	assert_int_equal(cbit_domain_map(r->domain, CBIT_IOVA(IOVA), r->spa, 2 * CBIT_PAGE_SIZE,
					 CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED),
			 0);
	cbit_iommu_set_owner(r->iommu, &owner);
}

static void stop(struct rmp_rig *r)
{
	cbit_domain_destroy(r->domain);
	cbit_iommu_destroy(r->iommu);
	guest_rig_fini(&r->rig);
}

static enum cbit_dma_status wr(struct rmp_rig *r, uint64_t offset, size_t len, size_t *done)
{
	static const uint8_t bytes[2 * CBIT_PAGE_SIZE] = { 1, 2, 3 };

	return cbit_iommu_dma_write(r->iommu, DEVID, CBIT_IOVA(IOVA + offset), bytes, len, done);
}

static void expect_event(struct rmp_rig *r, uint32_t flags, uint64_t address)
{
	struct cbit_iommu_log_entry e;

	assert_int_equal(cbit_iommu_log_pop(r->iommu, &e), 0);
	assert_int_equal(e.dw[0], DEVID);
	assert_int_equal(e.dw[1], 0xd0000000u | flags);
	assert_int_equal(e.dw[2], (uint32_t)address);
	assert_int_equal(e.dw[3], (uint32_t)(address >> 32));
}

static void guest_pages_are_refused(void **state)
{
	struct cbit_iommu_log_entry e;
	struct rmp_rig r;
	uint8_t in[16];
	size_t done;

	(void)state;
	start(&r, CBIT_GUEST_SNP);
	assert_int_equal(rig_put(&r.rig, r.page, TEXT), CBIT_GUEST_OK);
	assert_int_equal(wr(&r, 0x10, 16, &done), CBIT_DMA_FAULT);
	assert_int_equal(done, 0);
	expect_event(&r, CBIT_VI_EVT_RW, IOVA + 0x10);
	assert_int_equal(cbit_iommu_dma_read(r.iommu, DEVID, CBIT_IOVA(IOVA), in, 16, NULL),
			 CBIT_DMA_FAULT);
	expect_event(&r, 0, IOVA);
	assert_int_equal(in[0], 0xff);
	assert_int_equal(r.rig.log.count[CBIT_EVENT_RMP_FAULT], 2);
	/* The first page is shared, the second is not: the request gets as far as that. */
	assert_int_equal(cbit_guest_share(r.rig.guest, r.page, CBIT_PAGE_SIZE), 0);
	assert_int_equal(wr(&r, 0x800, 0x1000, &done), CBIT_DMA_FAULT);
	assert_int_equal(done, 0x800);
	expect_event(&r, CBIT_VI_EVT_RW, IOVA + 0x1000);
	assert_int_equal(r.rig.log.last.len, 0x800);
	/* Both shared: through, and nothing is said. */
	assert_int_equal(
		cbit_guest_share(r.rig.guest, CBIT_GPA(r.page.v + CBIT_PAGE_SIZE), CBIT_PAGE_SIZE),
		0);
	assert_int_equal(wr(&r, 0, 2 * CBIT_PAGE_SIZE, &done), CBIT_DMA_OK);
	assert_int_equal(r.rig.log.count[CBIT_EVENT_RMP_FAULT], 3);
	assert_int_equal(cbit_iommu_log_pop(r.iommu, &e), -ENOENT);
	assert_int_equal(cbit_guest_read(r.rig.guest, cbit_guest_direct(r.page), in, 16, NULL),
			 CBIT_GUEST_OK);
	assert_int_equal(in[1], 2);
	stop(&r);
}

/* An atomic and a copy ask as well. */
static void other_requests_ask(void **state)
{
	const struct cbit_dma_request rq = { .devid = DEVID };
	const uint64_t one[2] = { 1, 0 };
	struct cbit_dma_copied copied;
	uint8_t buf[4096];
	struct rmp_rig r;
	uint64_t old[2];

	(void)state;
	start(&r, CBIT_GUEST_SNP);
	assert_int_equal(cbit_iommu_dma_atomic(r.iommu, &rq, CBIT_IOVA(IOVA), CBIT_ATOMIC_FETCH_ADD,
					       8, one, NULL, old),
			 CBIT_DMA_FAULT);
	assert_int_equal(cbit_guest_share(r.rig.guest, r.page, CBIT_PAGE_SIZE), 0);
	cbit_iommu_dma_copy(r.iommu, DEVID, CBIT_IOVA(IOVA + CBIT_PAGE_SIZE), CBIT_IOVA(IOVA), 64,
			    buf, sizeof(buf), &copied);
	assert_int_equal(copied.read, CBIT_DMA_OK);
	assert_int_equal(copied.write, CBIT_DMA_FAULT);
	assert_int_equal(r.rig.log.count[CBIT_EVENT_RMP_FAULT], 2);
	stop(&r);
}

/* SEV has no such table: the device reads ciphertext and leaves noise, of which it is told. */
static void without_a_table_it_is_ciphertext(void **state)
{
	struct rmp_rig r;
	char in[sizeof(TEXT)];

	(void)state;
	start(&r, CBIT_GUEST_SEV);
	assert_int_equal(rig_put(&r.rig, r.page, TEXT), CBIT_GUEST_OK);
	assert_int_equal(cbit_iommu_dma_read(r.iommu, DEVID, CBIT_IOVA(IOVA), in, sizeof(in), NULL),
			 CBIT_DMA_OK);
	assert_memory_not_equal(in, TEXT, sizeof(TEXT));
	assert_int_equal(r.rig.log.count[CBIT_EVENT_DMA_PRIVATE], 1);
	/* A run ends where private pages do. */
	assert_int_equal(cbit_guest_share(r.rig.guest, r.page, CBIT_PAGE_SIZE), 0);
	assert_int_equal(wr(&r, 0, 2 * CBIT_PAGE_SIZE, NULL), CBIT_DMA_OK);
	assert_int_equal(r.rig.log.count[CBIT_EVENT_DMA_PRIVATE], 2);
	assert_int_equal(r.rig.log.last.iova.v, IOVA + CBIT_PAGE_SIZE);
	assert_int_equal(r.rig.log.last.len, CBIT_PAGE_SIZE);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guest_pages_are_refused),
		cmocka_unit_test(other_requests_ask),
		cmocka_unit_test(without_a_table_it_is_ciphertext),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
