/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An IOMMU in a guest: every combination of its driver's habits, each with a DMA to a shared page
 * and one to a window, and what interrupts make of its tables.
 */
#include <errno.h>

#include <cbit/apics.h>
#include <cbit/viommu.h>

#include "guest_rig.h"

#define DEVID     0x0008
#define IOVA_PAGE 0x10000
#define IOVA_BAR  0x20000
#define TEXT      "sixteen bytes..."

struct vi_guest {
	struct guest_rig rig;
	struct cbit_viommu *vi;
	struct cbit_viommu_domain *domain;
	struct cbit_gpa page;
};

static void start(struct vi_guest *v, enum cbit_guest_kind kind, bool tables_shared, bool xt)
{
	struct cbit_viommu_config cfg = { .tables_shared = tables_shared,
					  .xt = xt,
					  .last_devid = 0xff,
					  .observer = &v->rig.observer };

	guest_rig_init(&v->rig, kind, true);
	cfg.observer = &v->rig.observer;
	v->page = rig_page(&v->rig);
	assert_int_equal(cbit_guest_share(v->rig.guest, v->page, CBIT_PAGE_SIZE), 0);
	assert_int_equal(rig_put(&v->rig, v->page, TEXT), CBIT_GUEST_OK);
	assert_int_equal(cbit_viommu_create(v->rig.guest, &cfg, &v->vi), 0);
	assert_int_equal(cbit_viommu_attach(v->vi, DEVID, &v->domain), 0);
}

static void stop(struct vi_guest *v)
{
	cbit_viommu_destroy(v->vi);
	guest_rig_fini(&v->rig);
}

static void map(struct vi_guest *v, uint64_t iova, uint64_t gpa, bool c)
{
	assert_int_equal(cbit_viommu_map(v->domain, CBIT_IOVA(iova), CBIT_GPA(gpa), CBIT_PAGE_SIZE,
					 CBIT_ATTR_RW | (c ? CBIT_ATTR_ENCRYPTED : 0)),
			 0);
}

/* What an emulated device reads, and what comes of what it writes. */
static bool dma_works(struct vi_guest *v, uint64_t iova, uint64_t gpa)
{
	struct cbit_iommu *hw = cbit_viommu_hardware(v->vi);
	char in[sizeof(TEXT)] = { 0 }, back[8] = { 0 };
	bool rd, wr;

	rd = cbit_iommu_dma_read(hw, DEVID, CBIT_IOVA(iova), in, sizeof(in), NULL) == CBIT_DMA_OK &&
	     !strcmp(in, TEXT);
	wr = cbit_iommu_dma_write(hw, DEVID, CBIT_IOVA(iova + 64), "DEVICE", 7, NULL) ==
	     CBIT_DMA_OK;
	assert_int_equal(
		cbit_guest_read(v->rig.guest, cbit_guest_direct(CBIT_GPA(gpa + 64)), back, 7, NULL),
		CBIT_GUEST_OK);
	assert_int_equal(wr, !strcmp(back, "DEVICE"));
	assert_int_equal(rd, wr);
	return rd;
}

/* Tables shared or private; C-bit in the entry of a shared page; C-bit in the entry of a window. */
static void one_of_eight_works(void **state)
{
	(void)state;
	for (enum cbit_guest_kind kind = CBIT_GUEST_SEV; kind <= CBIT_GUEST_SNP; kind++) {
		unsigned int work = 0;

		for (unsigned int i = 0; i < 8; i++) {
			bool shared = i & 1, page_c = i & 2, bar_c = i & 4, page, bar;
			struct vi_guest v;

			start(&v, kind, shared, false);
			assert_int_equal(cbit_viommu_alive(v.vi), shared);
			map(&v, IOVA_PAGE, v.page.v, page_c);
			map(&v, IOVA_BAR, RIG_BAR_GPA, bar_c);
			memcpy(v.rig.bar, TEXT, sizeof(TEXT));
			page = dma_works(&v, IOVA_PAGE, v.page.v);
			bar = dma_works(&v, IOVA_BAR, RIG_BAR_GPA);
			assert_int_equal(page, shared && !page_c);
			assert_int_equal(bar, shared && !bar_c);
			work += page && bar;
			if (shared && page_c) {
				assert_int_equal(v.rig.log.count[CBIT_EVENT_DMA_ABORT],
						 bar_c ? 4 : 2);
			}
			if (!shared)
				assert_true(v.rig.log.count[CBIT_EVENT_TABLE_PRIVATE] > 0);
			stop(&v);
		}
		assert_int_equal(work, 1);
	}
}

/* A private page behind a shared table: ciphertext, or a refusal by the RMP. */
static void private_pages_stay_private(void **state)
{
	(void)state;
	for (enum cbit_guest_kind kind = CBIT_GUEST_SEV; kind <= CBIT_GUEST_SNP; kind++) {
		struct vi_guest v;
		struct cbit_gpa page;
		char in[sizeof(TEXT)] = { 0 };

		start(&v, kind, true, false);
		page = rig_page(&v.rig);
		assert_int_equal(rig_put(&v.rig, page, TEXT), CBIT_GUEST_OK);
		map(&v, IOVA_PAGE, page.v, false);
		assert_int_equal(cbit_iommu_dma_read(cbit_viommu_hardware(v.vi), DEVID,
						     CBIT_IOVA(IOVA_PAGE), in, sizeof(in), NULL),
				 CBIT_DMA_OK);
		assert_memory_not_equal(in, TEXT, sizeof(TEXT));
		assert_int_equal(v.rig.log.count[CBIT_EVENT_DMA_PRIVATE], 1);
		assert_int_equal(cbit_iommu_dma_write(cbit_viommu_hardware(v.vi), DEVID,
						      CBIT_IOVA(IOVA_PAGE), "from the device", 16,
						      NULL),
				 kind == CBIT_GUEST_SNP ? CBIT_DMA_ABORT : CBIT_DMA_OK);
		assert_int_equal(v.rig.log.count[CBIT_EVENT_RMP_FAULT], kind == CBIT_GUEST_SNP);
		assert_int_equal(
			cbit_guest_read(v.rig.guest, cbit_guest_direct(page), in, sizeof(in), NULL),
			CBIT_GUEST_OK);
		assert_int_equal(!strcmp(in, TEXT), kind == CBIT_GUEST_SNP);
		stop(&v);
	}
}

static void unmapping_needs_the_iommu(void **state)
{
	struct vi_guest v;
	char in[sizeof(TEXT)];

	(void)state;
	start(&v, CBIT_GUEST_SEV, true, false);
	map(&v, IOVA_PAGE, v.page.v, false);
	assert_true(dma_works(&v, IOVA_PAGE, v.page.v));
	assert_int_equal(cbit_viommu_unmap(v.domain, CBIT_IOVA(IOVA_PAGE), CBIT_PAGE_SIZE), 0);
	assert_int_equal(cbit_viommu_unmap(v.domain, CBIT_IOVA(IOVA_PAGE), CBIT_PAGE_SIZE),
			 -ENOENT);
	assert_int_equal(cbit_iommu_dma_read(cbit_viommu_hardware(v.vi), DEVID,
					     CBIT_IOVA(IOVA_PAGE), in, sizeof(in), NULL),
			 CBIT_DMA_FAULT);
	/* Forgotten: the IOTLB goes on leading there. */
	map(&v, IOVA_PAGE, v.page.v, false);
	assert_true(dma_works(&v, IOVA_PAGE, v.page.v));
	assert_int_equal(cbit_viommu_unmap_only(v.domain, CBIT_IOVA(IOVA_PAGE), CBIT_PAGE_SIZE), 0);
	assert_int_equal(cbit_iommu_dma_read(cbit_viommu_hardware(v.vi), DEVID,
					     CBIT_IOVA(IOVA_PAGE), in, sizeof(in), NULL),
			 CBIT_DMA_OK);
	assert_true(v.rig.log.count[CBIT_EVENT_DMA_STALE_IOTLB] > 0);
	stop(&v);

	start(&v, CBIT_GUEST_SEV, false, false);
	map(&v, IOVA_PAGE, v.page.v, false);
	assert_int_equal(cbit_viommu_unmap(v.domain, CBIT_IOVA(IOVA_PAGE), CBIT_PAGE_SIZE),
			 -ETIMEDOUT);
	stop(&v);
}

/* Ranges of every size are invalidated as a whole. */
static void ranges_are_invalidated(void **state)
{
	struct vi_guest v;
	struct cbit_iommu *hw;
	char in[8];

	(void)state;
	start(&v, CBIT_GUEST_SEV, true, false);
	hw = cbit_viommu_hardware(v.vi);
	for (uint64_t pages = 1; pages < 200; pages += 7) {
		uint64_t iova = 0x7f000 + pages * 0x3000;

		for (uint64_t i = 0; i < pages; i++)
			map(&v, iova + i * 0x1000, v.page.v, false);
		for (uint64_t i = 0; i < pages; i++)
			assert_int_equal(cbit_iommu_dma_read(hw, DEVID,
							     CBIT_IOVA(iova + i * 0x1000), in, 8,
							     NULL),
					 CBIT_DMA_OK);
		assert_int_equal(cbit_viommu_unmap(v.domain, CBIT_IOVA(iova), pages * 0x1000), 0);
		for (uint64_t i = 0; i < pages; i++)
			assert_int_equal(cbit_iommu_dma_read(hw, DEVID,
							     CBIT_IOVA(iova + i * 0x1000), in, 8,
							     NULL),
					 CBIT_DMA_FAULT);
	}
	stop(&v);
}

/* 288 and more CPUs: remapping reaches them all, from shared tables only. */
static void interrupts(void **state)
{
	uint32_t ids[288];
	struct vi_guest v;

	(void)state;
	for (uint32_t i = 0; i < 288; i++)
		ids[i] = i < 286 ? i : 32767 + (i - 286);
	for (unsigned int i = 0; i < 4; i++) {
		bool shared = i & 1, xt = i & 2;
		struct cbit_apics_config cfg = { .ids = ids,
						 .count = 288,
						 .broadcast_quirk = true };
		struct cbit_apics *apics;

		start(&v, CBIT_GUEST_SEV, shared, xt);
		cfg.observer = &v.rig.observer;
		assert_int_equal(cbit_apics_create(&cfg, &apics), 0);
		for (unsigned int n = 0; n < 288; n++) {
			unsigned int index = n % (xt ? 2048 : 512);
			bool reaches = shared && (xt || ids[n] < 255);
			uint64_t address;
			uint32_t data;
			int ret;

			if (ids[n] == 255 && !xt)
				continue; /* broadcast: below */
			ret = cbit_viommu_msi_setup(v.vi, DEVID, index, ids[n], 0x41);
			if (!xt && ids[n] > 255)
				assert_int_equal(ret, -EINVAL);
			else
				assert_int_equal(ret, shared ? 0 : -ETIMEDOUT);
			if (ret == -EINVAL)
				continue;
			cbit_msi_compose(CBIT_MSI_FORMAT_REMAPPED, index, 0, &address, &data);
			if (ids[n] == 255)
				assert_int_equal(cbit_apics_send(apics, cbit_viommu_hardware(v.vi),
								 DEVID, address, data),
						 shared ? 288 : 0);
			else
				assert_int_equal(cbit_apics_send(apics, cbit_viommu_hardware(v.vi),
								 DEVID, address, data),
						 reaches);
			assert_int_equal(cbit_apics_take(apics, ids[n], 0x41), reaches);
		}
		assert_int_equal(v.rig.log.count[CBIT_EVENT_INTERRUPT_LOST] > 0, !shared);
		assert_int_equal(cbit_viommu_msi_setup(v.vi, DEVID, xt ? 2048 : 512, 0, 0x41),
				 -EINVAL);
		cbit_apics_destroy(apics);
		stop(&v);
	}
}

/* The DMA API's view of it. */
static void ops(void **state)
{
	struct cbit_dma_iommu_ops ops = cbit_viommu_dma_ops();
	struct vi_guest v;

	(void)state;
	start(&v, CBIT_GUEST_SNP, true, false);
	assert_int_equal(ops.map(v.domain, CBIT_IOVA(IOVA_PAGE), CBIT_PHYS(v.page.v),
				 CBIT_PAGE_SIZE, CBIT_ATTR_RW),
			 0);
	assert_true(dma_works(&v, IOVA_PAGE, v.page.v));
	assert_int_equal(ops.unmap(v.domain, CBIT_IOVA(IOVA_PAGE), CBIT_PAGE_SIZE), 0);
	stop(&v);
}

/*
 * The whole road: a driver's dma_map_phys() under each policy, for a device that is trusted or not,
 * behind tables where the policy puts them or in shared pages all the same.
 */
static void the_dma_api_behind_it(void **state)
{
	static const struct {
		const char *policy;
		bool tables_shared; /* although this policy would not */
		bool untrusted;
		bool works;
		enum cbit_event_type told;
	} table[] = {
		{ "complete", true, false, true, CBIT_EVENT_MAP },
		{ "complete", true, true, true, CBIT_EVENT_MAP },
		{ "linux-7.2", false, false, false, CBIT_EVENT_TABLE_PRIVATE },
		{ "linux-7.2", false, true, false, CBIT_EVENT_TABLE_PRIVATE },
		/* Were the tables shared: the private page itself, and its C-bit in the entry. */
		{ "linux-7.2", true, false, false, CBIT_EVENT_DMA_ABORT },
		/* An unaligned buffer of an untrusted device is bounced, and C is set all the same.
		 */
		{ "linux-7.2", true, true, false, CBIT_EVENT_DMA_ABORT },
		{ "linux-6.17", true, true, false, CBIT_EVENT_DMA_ABORT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct cbit_dma_config cfg = { .guest = true,
					       .confidential = true,
					       .ops = cbit_guest_kernel(),
					       .ram = RIG_SIZE,
					       .swiotlb = 0x100000 };
		struct cbit_dma_dev_config dc = { .devid = DEVID,
						  .mask = ~UINT64_C(0),
						  .coherent_mask = ~UINT64_C(0),
						  .iova_base = CBIT_IOVA(0x100000),
						  .iova_size = 0x10000000 };
		struct cbit_dma_iommu_ops iommu = cbit_viommu_dma_ops();
		char in[sizeof(TEXT)] = { 0 };
		struct cbit_dma_dev *dev;
		struct cbit_iova iova;
		struct cbit_gpa page;
		struct cbit_error err;
		struct cbit_dma *dma;
		struct vi_guest v;

		start(&v, CBIT_GUEST_SEV, table[i].tables_shared, false);
		cfg.platform = *cbit_mem_platform(v.rig.mem);
		cfg.policy = cbit_policy_preset(table[i].policy);
		cfg.opaque = v.rig.guest;
		dc.untrusted = table[i].untrusted;
		dc.iommu = &iommu;
		dc.iommu_opaque = v.domain;
		assert_int_equal(cbit_dma_create(&cfg, &dma), 0);
		assert_int_equal(cbit_dma_dev_create(dma, &dc, &dev), 0);
		page = CBIT_GPA(rig_page(&v.rig).v + 256);
		assert_int_equal(rig_put(&v.rig, page, TEXT), CBIT_GUEST_OK);
		if (cbit_dma_map_phys(dev, CBIT_PHYS(page.v), sizeof(TEXT), CBIT_DMA_BIDIRECTIONAL,
				      0, &iova, &err))
			fail_msg("case %zu: %s", i, err.text);
		(void)cbit_iommu_dma_read(cbit_viommu_hardware(v.vi), DEVID, iova, in, sizeof(in),
					  NULL);
		if (!strcmp(in, TEXT) != table[i].works)
			fail_msg("case %zu", i);
		if (table[i].told != CBIT_EVENT_MAP && !v.rig.log.count[table[i].told])
			fail_msg("case %zu: not told", i);
		(void)cbit_iommu_dma_write(cbit_viommu_hardware(v.vi), DEVID, iova, "DEVICE", 7,
					   NULL);
		assert_int_equal(
			cbit_dma_unmap_phys(dev, iova, sizeof(TEXT), CBIT_DMA_BIDIRECTIONAL, 0),
			table[i].tables_shared ? 0 : -ETIMEDOUT);
		assert_int_equal(
			cbit_guest_read(v.rig.guest, cbit_guest_direct(page), in, sizeof(in), NULL),
			CBIT_GUEST_OK);
		assert_int_equal(!strcmp(in, "DEVICE"), table[i].works);
		cbit_dma_dev_destroy(dev);
		cbit_dma_destroy(dma);
		stop(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_of_eight_works),
		cmocka_unit_test(private_pages_stay_private),
		cmocka_unit_test(unmapping_needs_the_iommu),
		cmocka_unit_test(ranges_are_invalidated),
		cmocka_unit_test(interrupts),
		cmocka_unit_test(ops),
		cmocka_unit_test(the_dma_api_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
