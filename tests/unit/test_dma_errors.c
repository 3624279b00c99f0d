/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMA API: arguments that are none, what an IOMMU driver may do to it, the rights of entries,
 * and the policy's switches one by one.
 */
#include "dma_rig.h"

#define BUF (RAM + MIB(128)) /* pages that the allocator does not reach in these tests */

static void test_coherent_errors(void **state)
{
	static const struct setup s = {
		.policy = "complete", .guest = true, .confidential = true, .swiotlb = MIB(1)
	};
	struct kernel *k = kernel_up(&s);
	struct cbit_dma_dev_config cfg = dev_config(k, true);
	struct cbit_dma_dev *dev = dev_up(k, &cfg);
	struct cbit_error err;
	struct cbit_iova addr;
	struct cbit_phys phys;

	(void)state;
	assert_int_equal(cbit_dma_alloc_coherent(dev, 0, &phys, &addr, &err), -EINVAL);
	assert_int_equal(cbit_dma_alloc_coherent(dev, SIZE_MAX, &phys, &addr, &err), -EINVAL);
	assert_int_equal(cbit_dma_alloc_coherent(dev, GIB(3), &phys, &addr, &err), -ENOMEM);
	k->fail_map = -EIO;
	assert_int_equal(cbit_dma_alloc_coherent(dev, P, &phys, &addr, &err), -EIO);
	k->fail_write = -EFAULT;
	assert_int_equal(cbit_dma_alloc_coherent(dev, 1, &phys, &addr, &err), -EFAULT);
	assert_null(memchr(k->taken + 256, 1, RAM_SIZE / P - 256));
	/* what is in an unknown state is leaked: here and when it is given back */
	k->fail_decrypt = -EIO;
	assert_int_equal(cbit_dma_alloc_coherent(dev, P, &phys, &addr, &err), -EIO);
	assert_non_null(strstr(err.text, "set_memory_decrypted"));
	assert_non_null(memchr(k->taken + 256, 1, RAM_SIZE / P - 256));
	memset(k->taken + 256, 0, RAM_SIZE / P - 256);
	assert_int_equal(cbit_dma_alloc_coherent(dev, P, &phys, &addr, NULL), 0);
	k->fail_unmap = -EIO;
	assert_int_equal(cbit_dma_free_coherent(dev, P, phys, addr), -EIO);
	assert_int_equal(k->taken[(phys.v - RAM) / P], 1);
	assert_int_equal(cbit_dma_free_coherent(dev, P, phys, addr), -ENOENT);
	assert_int_equal(driver_unmap(k, addr, P), 0);
	assert_int_equal(kernel_set_decrypted(k, phys, P, false), 0);
	kernel_free(k, phys, P);
	cbit_dma_dev_destroy(dev);
	/* without an IOMMU it has to be where the device reaches it */
	cfg = dev_config(k, false);
	cfg.coherent_mask = RAM + MIB(1) + P - 2;
	dev = dev_up(k, &cfg);
	assert_int_equal(cbit_dma_alloc_coherent(dev, P, &phys, &addr, &err), -ENOMEM);
	cbit_dma_dev_destroy(dev);
	cfg.coherent_mask++;
	dev = dev_up(k, &cfg);
	assert_int_equal(cbit_dma_alloc_coherent(dev, P, &phys, &addr, &err), 0);
	cbit_dma_dev_destroy(dev);
	kernel_down(k);
}

/* Arguments that are none, and what the IOMMU driver may do to us. */
static void test_errors(void **state)
{
	static const struct setup s = {
		.policy = "complete", .guest = true, .confidential = true, .swiotlb = MIB(1)
	};
	static const struct {
		uint64_t phys;
		size_t size;
		int dir;
	} bad[] = {
		{ BUF, 0, BIDIR },       { BUF, SIZE_MAX, BIDIR },  { UINT64_MAX, 2, BIDIR },
		{ BUF | C51, P, BIDIR }, { C51 - P, 2 * P, BIDIR }, { BUF, P, 3 },
	};
	struct cbit_dma_config cfg = { .guest = true, .confidential = true, .swiotlb = MIB(1) };
	struct kernel *k = kernel_up(&s);
	struct cbit_dma_dev_config dev_cfg = dev_config(k, true);
	struct cbit_dma_dev *dev = dev_up(k, &dev_cfg), *direct;
	struct cbit_iova addr, again;
	struct cbit_error err;
	struct cbit_dma *dma;

	(void)state;
	dev_cfg.iommu = NULL;
	direct = dev_up(k, &dev_cfg);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(bad[i].phys), bad[i].size,
						   (enum cbit_dma_dir)bad[i].dir, 0, &addr, &err),
				 -EINVAL);
		assert_int_equal(cbit_dma_map_phys(direct, CBIT_PHYS(bad[i].phys), bad[i].size,
						   (enum cbit_dma_dir)bad[i].dir, 0, &addr, NULL),
				 -EINVAL);
	}
	/* the map fails: slots and IOVAs are back */
	k->fail_map = -ENOMEM;
	assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 10, BIDIR, 0, &addr, &err),
			 -ENOMEM);
	assert_int_equal(slots_used(k), 0);
	assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 10, BIDIR, 0, &addr, NULL), 0);
	assert_int_equal(addr.v, UINT64_C(0xfffff000));
	/* wrong arguments change nothing */
	assert_int_equal(cbit_dma_unmap_phys(dev, addr, 11, BIDIR, 0), -EINVAL);
	assert_int_equal(cbit_dma_unmap_phys(dev, addr, 10, TO, 0), -EINVAL);
	assert_int_equal(cbit_dma_unmap_phys(dev, CBIT_IOVA(addr.v + 1), 10, BIDIR, 0), -ENOENT);
	assert_int_equal(cbit_dma_unmap_phys(dev, CBIT_IOVA(addr.v - P), 10, BIDIR, 0), -ENOENT);
	assert_int_equal(cbit_dma_sync_for_cpu(dev, CBIT_IOVA(addr.v + 10), 0, BIDIR), -ENOENT);
	/* the unmap fails: neither IOVA nor slots may be used again */
	k->fail_unmap = -EIO;
	assert_int_equal(cbit_dma_unmap_phys(dev, addr, 10, BIDIR, 0), -EIO);
	assert_int_equal(slots_used(k), 2);
	assert_int_equal(cbit_dma_unmap_phys(dev, addr, 10, BIDIR, 0), -ENOENT);
	assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 10, BIDIR, 0, &again, NULL), 0);
	assert_int_not_equal(again.v, addr.v);
	assert_int_equal(driver_unmap(k, addr, P), 0);
	/* no IOVA below the mask */
	dev_cfg = dev_config(k, true);
	dev_cfg.iova_base = CBIT_IOVA(UINT64_C(1) << 32);
	dev_cfg.mask = MASK32;
	cbit_dma_dev_destroy(direct);
	direct = dev_up(k, &dev_cfg);
	assert_int_equal(cbit_dma_map_phys(direct, CBIT_PHYS(BUF), 10, BIDIR, 0, &addr, &err),
			 -ENOMEM);
	assert_non_null(strstr(err.text, "mask"));
	assert_int_equal(slots_used(k), 4);
	cbit_dma_dev_destroy(direct);
	cbit_dma_dev_destroy(dev); /* unmaps again */
	assert_int_equal(slots_used(k), 2);
	/* a pool that the device cannot reach */
	dev_cfg = dev_config(k, false);
	dev_cfg.mask = 0xffffff;
	direct = dev_up(k, &dev_cfg);
	assert_int_equal(cbit_dma_map_phys(direct, CBIT_PHYS(BUF), 10, BIDIR, 0, &addr, &err),
			 -ERANGE);
	assert_non_null(strstr(err.text, "swiotlb_map"));
	cbit_dma_dev_destroy(direct);
	assert_int_equal(slots_used(k), 2);
	/* kernels that are none */
	cfg.platform = k->platform;
	cfg.ops = kernel_ops;
	assert_int_equal(cbit_dma_create(&cfg, &dma), -EINVAL);
	cfg.policy = cbit_policy_preset("linux-7.2");
	cfg.guest = false;
	assert_int_equal(cbit_dma_create(&cfg, &dma), -EINVAL);
	cfg.guest = true;
	cfg.ops.pages = NULL; /* only a policy that looks needs it */
	cfg.opaque = k;
	assert_int_equal(cbit_dma_create(&cfg, &dma), 0);
	cbit_dma_destroy(dma);
	cfg.policy = cbit_policy_preset("complete");
	assert_int_equal(cbit_dma_create(&cfg, &dma), -EINVAL);
	cbit_dma_dev_destroy(NULL);
	cbit_dma_destroy(NULL);
	/* the slots that were lost */
	cbit_dma_destroy(k->dma);
	assert_int_equal(kernel_dma_up(k, &s), 0);
	kernel_down(k);
}

/* Entries carry the rights of the direction. */
static void test_rights(void **state)
{
	static const struct setup s = { .swiotlb = MIB(1) };
	struct kernel *k = kernel_up(&s);
	struct cbit_dma_dev_config cfg = dev_config(k, true);
	struct cbit_dma_dev *dev = dev_up(k, &cfg);
	uint8_t byte = 1;

	(void)state;
	for (unsigned int dir = BIDIR; dir <= FROM; dir++) {
		struct cbit_iova addr;

		assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), P, (enum cbit_dma_dir)dir,
						   0, &addr, NULL),
				 0);
		assert_int_equal(dev_read(k, true, addr, &byte, 1), dir != FROM);
		assert_int_equal(dev_write(k, true, addr, &byte, 1), dir != TO);
		assert_int_equal(cbit_dma_unmap_phys(dev, addr, P, (enum cbit_dma_dir)dir, 0), 0);
		assert_false(dev_read(k, true, addr, &byte, 1));
	}
	cbit_dma_dev_destroy(dev);
	kernel_down(k);
}

/* The three switches, one at a time, and where an IOMMU driver puts its tables. */
static void test_switches(void **state)
{
	(void)state;
	for (unsigned int bits = 0; bits < 8; bits++) {
		const struct cbit_policy_switches sw = { bits & 1, bits & 2, bits & 4 };
		struct cbit_policy_decision d;
		struct cbit_policy_dma ask = { .guest = true, .confidential = true };
		struct cbit_policy *policy;
		struct setup s = { .guest = true, .confidential = true, .swiotlb = MIB(1) };
		struct cbit_dma_dev_config cfg;
		struct cbit_dma_dev *dev;
		struct cbit_iova addr;
		struct cbit_phys phys;
		struct kernel *k;

		assert_int_equal(cbit_policy_derive(cbit_policy_preset("complete"), &sw, &policy),
				 0);
		s.derived = policy;
		k = kernel_up(&s);
		cfg = dev_config(k, true);
		dev = dev_up(k, &cfg);
		ask.platform = &k->platform;
		cbit_policy_iommu_tables(policy, &ask, &d);
		assert_int_equal(d.decrypt, (bits & 1) != 0);
		assert_int_equal((d.attrs & CBIT_ATTR_ENCRYPTED) != 0, !(bits & 1));
		/* bounced, shared by the caller, coherent: one switch */
		assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), P, TO, 0, &addr, NULL), 0);
		assert_int_equal(slots_used(k), 2);
		assert_int_equal((k->attrs & CBIT_ATTR_ENCRYPTED) != 0, !(bits & 2));
		assert_int_equal(kernel_set_decrypted(k, CBIT_PHYS(BUF + P), P, true), 0);
		assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF + P), P, TO,
						   CBIT_DMA_ATTR_CC_SHARED, &addr, NULL),
				 0);
		assert_int_equal(slots_used(k), 2);
		assert_int_equal((k->attrs & CBIT_ATTR_ENCRYPTED) != 0, !(bits & 2));
		assert_int_equal(cbit_dma_alloc_coherent(dev, P, &phys, &addr, NULL), 0);
		assert_int_equal((k->attrs & CBIT_ATTR_ENCRYPTED) != 0, !(bits & 2));
		assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BAR), P, TO, CBIT_DMA_ATTR_MMIO,
						   &addr, NULL),
				 0);
		assert_int_equal((k->attrs & CBIT_ATTR_ENCRYPTED) != 0, !(bits & 4));
		cbit_dma_dev_destroy(dev);
		kernel_down(k);
		cbit_policy_free(policy);
	}
	for (unsigned int i = 0; cbit_policy_at(i); i++) {
		const struct cbit_policy *policy = cbit_policy_at(i);
		const bool complete = !strcmp(cbit_policy_name(policy), "complete");
		struct cbit_policy_decision d;
		struct cbit_policy_dma ask = { .guest = true, .confidential = true };
		struct cbit_platform sme;

		assert_int_equal(cbit_platform_preset("sme", &sme), 0);
		ask.platform = &sme;
		cbit_policy_iommu_tables(policy, &ask, &d);
		assert_int_equal(d.decrypt, complete);
		assert_int_equal(d.attrs, complete ? 0 : CBIT_ATTR_ENCRYPTED);
		ask.confidential = false;
		cbit_policy_iommu_tables(policy, &ask, &d);
		assert_int_equal(d.decrypt, false);
		assert_int_equal(d.attrs, 0);
		ask.guest = false;
		cbit_policy_iommu_tables(policy, &ask, &d);
		assert_int_equal(d.decrypt, false);
		assert_int_equal(d.attrs, CBIT_ATTR_ENCRYPTED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_coherent_errors),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
