/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The type1 back end: errno, argsz and effect of GET_INFO, MAP_DMA and UNMAP_DMA, in the
 * order of Linux 7.2's drivers/vfio/vfio_iommu_type1.c.
 */
#include "client_rig.h"

#define P     CBIT_PAGE_SIZE
#define LIMIT 65535u

struct fixture {
	struct client *c;
	struct opened o;
};

static int setup(void **state, unsigned long type)
{
	struct fixture *f = malloc(sizeof(*f));

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat");
	f->o = client_start(f->c, type);
	*state = f;
	return 0;
}

static int setup_v1(void **state)
{
	return setup(state, UAPI_TYPE1_IOMMU);
}

static int setup_v2(void **state)
{
	return setup(state, UAPI_TYPE1v2_IOMMU);
}

static bool mapped(struct fixture *f, uint64_t iova)
{
	struct cbit_domain *domain = cbit_vfio_domain(f->c->fd[f->o.container].file);
	struct cbit_mapping_info info;
	struct cbit_pt_leaf leaf;
	bool entry = !cbit_pt_walk(cbit_domain_pt(domain), CBIT_IOVA(iova), &leaf);

	/* what is recorded and what the IOMMU would find never differ */
	assert_int_equal(cbit_vfio_describe(f->c->fd[f->o.container].file, CBIT_IOVA(iova), &info),
			 entry);
	return entry;
}

static void test_info_argsz(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t argsz, there;
		long ret;
		uint32_t argsz_out, cap_offset;
	} cases[] = {
		{ 0, 16, -EINVAL, 0, 0 },
		{ 15, 16, -EINVAL, 15, 0 },
		{ 16, 15, -EFAULT, 16, 0 },
		/* short answers tell in argsz what the whole one takes, and write no more */
		{ 16, 16, 0, 136, 0xaaaaaaaa },
		{ 20, 20, 0, 136, 0 },
		{ 24, 24, 0, 136, 0 },
		{ 135, 135, 0, 136, 0 },
		{ 136, 136, 0, 136, 24 },
		{ 1000, 1000, 0, 1000, 24 },
		{ 136, 100, -EFAULT, 136, 0xaaaaaaaa },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[1000];
		struct uapi_iommu_info info;

		memset(buf, 0xaa, sizeof(buf));
		memcpy(buf, &cases[i].argsz, 4);
		assert_int_equal(
			client_call(f->c, f->o.container, UAPI_IOMMU_GET_INFO, buf, cases[i].there),
			cases[i].ret);
		memcpy(&info, buf, sizeof(info));
		assert_int_equal(info.argsz, cases[i].argsz_out);
		if (cases[i].ret)
			continue;
		assert_int_equal(info.flags, UAPI_IOMMU_INFO_PGSIZES | UAPI_IOMMU_INFO_CAPS);
		assert_int_equal(info.iova_pgsizes, 0xfff7ffffff000);
		assert_int_equal(info.cap_offset, cases[i].cap_offset);
	}
}

static void test_info_caps(void **state)
{
	struct fixture *f = *state;
	static const struct uapi_iova_range ranges[] = {
		{ 0, 0xfedfffff },
		{ 0xfef00000, 0xfcffffffff },
		{ 0x10000000000, UINT64_MAX },
	};
	struct uapi_cap_migration migration;
	struct uapi_cap_dma_avail avail;
	struct uapi_cap_iova_range iova;
	uint8_t buf[136] = { 136 };

	assert_int_equal(client_map(f->c, f->o.container, 0, RAM, P, MAP_RW), 0);
	assert_int_equal(client_call(f->c, f->o.container, UAPI_IOMMU_GET_INFO, buf, sizeof(buf)),
			 0);
	memcpy(&migration, buf + 24, sizeof(migration));
	assert_int_equal(migration.header.id, UAPI_IOMMU_CAP_MIGRATION);
	assert_int_equal(migration.header.version, 1);
	assert_int_equal(migration.flags, 0);
	assert_int_equal(migration.pgsize_bitmap, P);
	assert_int_equal(migration.max_dirty_bitmap_size, 268435456);
	assert_int_equal(migration.header.next, 24 + 32);
	memcpy(&avail, buf + migration.header.next, sizeof(avail));
	assert_int_equal(avail.header.id, UAPI_IOMMU_CAP_DMA_AVAIL);
	assert_int_equal(avail.avail, LIMIT - 1);
	assert_int_equal(avail.header.next, 24 + 32 + 16);
	memcpy(&iova, buf + avail.header.next, sizeof(iova));
	assert_int_equal(iova.header.id, UAPI_IOMMU_CAP_IOVA_RANGE);
	assert_int_equal(iova.header.next, 0);
	assert_int_equal(iova.nr_iovas, 3);
	assert_memory_equal(iova.ranges, ranges, sizeof(ranges));
}

/* Each case is wrong in more than one way; what comes first in the kernel is the answer. */
static void test_map_errors(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t argsz, flags;
		uint64_t vaddr, iova, size;
		long ret;
	} cases[] = {
		{ 31, 3, RAM, 0, P, -EINVAL },
		{ 32, 8, RAM, 0, P, -EINVAL },
		{ 32, 0x80000003, RAM, UINT64_MAX & ~(P - 1), 2 * P, -EINVAL },
		{ 32, 3, RAM, 0, 0, -EINVAL },
		{ 32, 3, RAM, UINT64_C(0xfffffffffffff000), 2 * P, -EOVERFLOW },
		{ 32, 3, UINT64_C(0xfffffffffffff000), 0, 2 * P, -EOVERFLOW },
		/* overflow before flags, flags before alignment */
		{ 32, 0, RAM, UINT64_C(0xfffffffffffff000), 2 * P, -EOVERFLOW },
		{ 32, 0, RAM, 1, P, -EINVAL },
		{ 32, 7, RAM, 0, P, -EINVAL },
		{ 32, 5, RAM, 0, P, -EINVAL },
		{ 32, 4, RAM, 0, P, -ENOENT },
		{ 32, 4, RAM, 1, P, -EINVAL },
		{ 32, 3, RAM, 1, P, -EINVAL },
		{ 32, 3, RAM + 1, 0, P, -EINVAL },
		{ 32, 3, RAM, 0, P + 1, -EINVAL },
		{ 32, 3, RAM, 0, 1, -EINVAL },
		/* what is mapped at 0x100000..0x103fff */
		{ 32, 3, RAM, 0x103000, P, -EEXIST },
		{ 32, 3, RAM, 0xff000, 2 * P, -EEXIST },
		{ 32, 3, RAM, 0xff000, 0x100000, -EEXIST },
		{ 32, 4, RAM, 0x100000, 4 * P, -EINVAL },
		{ 32, 3, NOWHERE, 0x100000, P, -EEXIST },
		/* EEXIST before the reserved ranges */
		{ 32, 3, BLANK, 0x100000, UINT64_C(0x100000000), -EEXIST },
		{ 32, 3, RAM, 0xfee00000, P, -EINVAL },
		{ 32, 3, RAM, 0xfedff000, 2 * P, -EINVAL },
		{ 32, 3, RAM, 0xfeeff000, 2 * P, -EINVAL },
		{ 32, 3, RAM, UINT64_C(0xfd00000000), P, -EINVAL },
		{ 32, 3, RAM, UINT64_C(0xfcfffff000), 2 * P, -EINVAL },
		{ 32, 3, RAM, UINT64_C(0xfffffff000), 2 * P, -EINVAL },
		/* reserved ranges before what backs the address */
		{ 32, 3, NOWHERE, 0xfee00000, P, -EINVAL },
		{ 32, 3, NOWHERE, 0, P, -EFAULT },
		{ 32, 3, READONLY, 0, P, -EFAULT },
		{ 32, 2, READONLY, 0, P, -EFAULT },
		/* and those that are right */
		{ 32, 1, READONLY, 0, P, 0 },
		{ 33, 2, RAM, 0x1000, P, 0 },
		{ 32, 3, RAM, 0xfedff000, P, 0 },
		{ 32, 3, RAM, 0xfef00000, P, 0 },
		{ 32, 3, RAM, UINT64_C(0xfcfffff000), P, 0 },
		{ 32, 3, RAM, UINT64_C(0x10000000000), P, 0 },
		{ 32, 3, RAM, UINT64_C(0xfffffffffffff000), P, 0 },
	};
	struct uapi_dma_map cut = { .argsz = 32, .flags = 3, .vaddr = RAM, .size = P };
	int64_t pinned;

	assert_int_equal(client_map(f->c, f->o.container, 0x100000, RAM, 4 * P, MAP_RW), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_dma_map map = { .argsz = cases[i].argsz,
					    .flags = cases[i].flags,
					    .vaddr = cases[i].vaddr,
					    .iova = cases[i].iova,
					    .size = cases[i].size };
		long ret;

		pinned = f->c->pinned;
		ret = client_call(f->c, f->o.container, UAPI_IOMMU_MAP_DMA, &map, sizeof(map));
		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
		assert_int_equal(f->c->pinned, pinned + (ret ? 0 : 1));
		if (!ret)
			assert_true(mapped(f, cases[i].iova));
	}
	assert_int_equal(client_call(f->c, f->o.container, UAPI_IOMMU_MAP_DMA, &cut, 31), -EFAULT);
	assert_int_equal(client_dma_avail(f->c, f->o.container), LIMIT - 8);
}

static void test_rights(void **state)
{
	struct fixture *f = *state;
	struct cbit_domain *domain = cbit_vfio_domain(f->c->fd[f->o.container].file);
	static const unsigned int want[] = { 0, CBIT_ATTR_READ, CBIT_ATTR_WRITE, CBIT_ATTR_RW };

	for (uint32_t flags = 1; flags <= 3; flags++) {
		struct cbit_pt_leaf leaf;

		assert_int_equal(client_map(f->c, f->o.container, flags * P, RAM, P, flags), 0);
		assert_int_equal(cbit_pt_walk(cbit_domain_pt(domain), CBIT_IOVA(flags * P), &leaf),
				 0);
		assert_int_equal(leaf.attrs & CBIT_ATTR_RW, want[flags]);
		assert_int_equal(leaf.spa.v, RAM_SPA);
		assert_int_equal(leaf.entry >> 60 & 1, 1);
	}
}

/* A mapping that fails half way leaves nothing mapped, pinned or counted. */
static void test_half_way(void **state)
{
	struct fixture *f = *state;
	struct client *c = f->c;

	/* memory, then a hole; and three neighbours of which the last is not there */
	assert_int_equal(client_map(c, f->o.container, 0, RAM + RAM_SIZE - P, 2 * P, MAP_RW),
			 -EFAULT);
	assert_int_equal(c->pinned, 0);
	client_add(c, RAM + RAM_SIZE, P, BLANK_SPA, CBIT_MEM_DRAM, NULL);
	client_add(c, RAM + RAM_SIZE + P, P, CBIT_MMIO_BASE, CBIT_MEM_MMIO, NULL);
	c->pins = 0;
	assert_int_equal(client_map(c, f->o.container, 0, RAM + RAM_SIZE - P, 4 * P, MAP_RW),
			 -EFAULT);
	assert_int_equal(c->pins, 3);
	assert_int_equal(c->pinned, 0);
	assert_int_equal(c->owners, 0);
	for (uint64_t iova = 0; iova < 4 * P; iova += P)
		assert_false(mapped(f, iova));
	/* at every step */
	for (c->fail_pin = 1; c->fail_pin <= 2; c->fail_pin++) {
		c->pins = 0;
		assert_int_equal(
			client_map(c, f->o.container, 0, RAM + RAM_SIZE - P, 3 * P, MAP_RW),
			-ENOMEM);
		assert_int_equal(c->pins, c->fail_pin);
		assert_int_equal(c->pinned, 0);
		assert_false(mapped(f, 0));
	}
	c->fail_pin = 0;
	assert_int_equal(client_dma_avail(c, f->o.container), LIMIT);
	assert_int_equal(client_map(c, f->o.container, 0, RAM + RAM_SIZE - P, 3 * P, MAP_RW), 0);
	assert_int_equal(c->pinned, 3);
	assert_true(mapped(f, 2 * P));
}

static void test_limit(void **state)
{
	struct fixture *f = *state;
	struct client *c = f->c;
	uint64_t size = 0;

	for (uint64_t i = 0; i < LIMIT; i++) {
		if (client_map(c, f->o.container, i * P, BLANK + 2 * i * P, P, MAP_RW))
			fail_msg("mapping %u failed", (unsigned int)i);
	}
	assert_int_equal(client_dma_avail(c, f->o.container), 0);
	assert_int_equal(client_map(c, f->o.container, LIMIT * P, RAM, P, MAP_RW), -ENOSPC);
	/* EEXIST before ENOSPC, ENOSPC before the reserved ranges */
	assert_int_equal(client_map(c, f->o.container, 0, RAM, P, MAP_RW), -EEXIST);
	assert_int_equal(client_map(c, f->o.container, 0xfee00000, RAM, P, MAP_RW), -ENOSPC);
	size = P;
	assert_int_equal(client_unmap(c, f->o.container, 5 * P, &size, 0), 0);
	assert_int_equal(client_dma_avail(c, f->o.container), 1);
	assert_int_equal(client_map(c, f->o.container, LIMIT * P, RAM, P, MAP_RW), 0);
	size = 0;
	assert_int_equal(client_unmap(c, f->o.container, 0, &size, UAPI_DMA_UNMAP_ALL), 0);
	assert_int_equal(size, LIMIT * P);
	assert_int_equal(client_dma_avail(c, f->o.container), LIMIT);
	assert_int_equal(c->pinned, 0);
}

static void test_unmap_errors(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t argsz, flags;
		uint64_t iova, size;
		long ret;
	} cases[] = {
		{ 23, 0, 0, P, -EINVAL },
		{ 24, 8, 0, P, -EINVAL },
		{ 24, 3, 0, 0, -EINVAL },
		{ 24, 1, 0, P, -EINVAL },
		{ 24, 0, 1, P, -EINVAL },
		{ 24, 0, 0, 0, -EINVAL },
		{ 24, 0, 0, P + 1, -EINVAL },
		{ 24, 0, UINT64_C(0xfffffffffffff000), 2 * P, -EOVERFLOW },
		{ 24, 0, UINT64_C(0xfffffffffffff001), 2 * P, -EINVAL },
		{ 24, 0, P, UINT64_C(0xfffffffffffff000), 0 },
		{ 24, 0, 2 * P, UINT64_C(0xfffffffffffff000), -EOVERFLOW },
		{ 24, 2, P, 0, -EINVAL },
		{ 24, 2, 0, P, -EINVAL },
		{ 24, 2, P, P, -EINVAL },
		{ 24, 2, 0, 0, 0 },
		{ 25, 0, 0, P, 0 },
	};
	struct uapi_dma_unmap cut = { .argsz = 24, .size = P };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_dma_unmap unmap = { .argsz = cases[i].argsz,
						.flags = cases[i].flags,
						.iova = cases[i].iova,
						.size = cases[i].size };
		long ret = client_call(f->c, f->o.container, UAPI_IOMMU_UNMAP_DMA, &unmap,
				       sizeof(unmap));

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
		/* the size is answered on success only: there was nothing to unmap */
		assert_int_equal(unmap.size, ret ? cases[i].size : 0);
	}
	assert_int_equal(client_call(f->c, f->o.container, UAPI_IOMMU_UNMAP_DMA, &cut, 23),
			 -EFAULT);
}

/* Mappings at 0x10000 (4 pages), 0x14000 (4 pages) and 0x20000 (1 page) for the cases below. */
static void three(struct fixture *f)
{
	uint64_t size = 0;

	assert_int_equal(client_unmap(f->c, f->o.container, 0, &size, UAPI_DMA_UNMAP_ALL), 0);
	assert_int_equal(f->c->pinned, 0);
	assert_int_equal(client_map(f->c, f->o.container, 0x10000, RAM, 4 * P, MAP_RW), 0);
	assert_int_equal(client_map(f->c, f->o.container, 0x14000, RAM + 0x10000, 4 * P, MAP_RW),
			 0);
	assert_int_equal(client_map(f->c, f->o.container, 0x20000, RAM, P, MAP_RW), 0);
}

struct unmap_case {
	uint64_t iova, size;
	long ret;
	uint64_t done;
	unsigned int left; /* bit n: the n-th mapping is still there */
};

static void unmap_cases(struct fixture *f, const struct unmap_case *cases, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t size = cases[i].size;
		unsigned int left;
		long ret;

		three(f);
		ret = client_unmap(f->c, f->o.container, cases[i].iova, &size, 0);
		if (ret != cases[i].ret || (!ret && size != cases[i].done))
			fail_msg("case %zu: %ld, 0x%lx", i, ret, (unsigned long)size);
		/* both ends of each, so that nothing was split */
		left = (unsigned int)mapped(f, 0x10000) | (unsigned int)mapped(f, 0x14000) << 1 |
		       (unsigned int)mapped(f, 0x20000) << 2;
		assert_int_equal(left, cases[i].left);
		assert_int_equal(mapped(f, 0x13000), left & 1);
		assert_int_equal(mapped(f, 0x17000), left >> 1 & 1);
		assert_int_equal(f->c->pinned,
				 4 * (left & 1) + 4 * (left >> 1 & 1) + (left >> 2 & 1));
	}
}

static void test_unmap_v1(void **state)
{
	static const struct unmap_case cases[] = {
		{ 0x10000, 4 * P, 0, 4 * P, 6 },
		/* covering the first IOVA takes the whole mapping, and tells so */
		{ 0x10000, P, 0, 4 * P, 6 },
		{ 0xf000, 2 * P, 0, 4 * P, 6 },
		{ 0x10000, 5 * P, 0, 8 * P, 4 },
		{ 0x10000, 0x11000, 0, 9 * P, 0 },
		/* starting inside takes nothing, nor what follows */
		{ 0x11000, P, 0, 0, 7 },
		{ 0x13000, P, 0, 0, 7 },
		{ 0x11000, 0x10000, 0, 0, 7 },
		/* nothing there */
		{ 0x30000, P, 0, 0, 7 },
		{ 0x18000, 8 * P, 0, 0, 7 },
		{ 0x18000, 9 * P, 0, P, 3 },
	};

	unmap_cases(*state, cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_unmap_v2(void **state)
{
	static const struct unmap_case cases[] = {
		{ 0x10000, 4 * P, 0, 4 * P, 6 },
		{ 0x10000, 8 * P, 0, 8 * P, 4 },
		{ 0xf000, 0x20000, 0, 9 * P, 0 },
		{ 0x18000, 9 * P, 0, P, 3 },
		{ 0x30000, P, 0, 0, 7 },
		{ 0x18000, P, 0, 0, 7 },
		/* cutting at the start, at the end, or both */
		{ 0x10000, P, -EINVAL, 0, 7 },
		{ 0x11000, 3 * P, -EINVAL, 0, 7 },
		{ 0xf000, 2 * P, -EINVAL, 0, 7 },
		{ 0x11000, P, -EINVAL, 0, 7 },
		{ 0x10000, 5 * P, -EINVAL, 0, 7 },
		{ 0x13000, 5 * P, -EINVAL, 0, 7 },
	};

	unmap_cases(*state, cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_unmap_all(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 0;

	three(f);
	assert_int_equal(
		client_map(f->c, f->o.container, UINT64_C(0xfffffffffffff000), RAM, P, MAP_RW), 0);
	assert_true(mapped(f, UINT64_C(0xfffffffffffff000)));
	assert_int_equal(client_unmap(f->c, f->o.container, 0, &size, UAPI_DMA_UNMAP_ALL), 0);
	assert_int_equal(size, 10 * P);
	assert_int_equal(f->c->pinned, 0);
	assert_false(mapped(f, 0x10000));
	/* and the last page by itself */
	assert_int_equal(
		client_map(f->c, f->o.container, UINT64_C(0xfffffffffffff000), RAM, P, MAP_RW), 0);
	size = P;
	assert_int_equal(client_unmap(f->c, f->o.container, UINT64_C(0xfffffffffffff000), &size, 0),
			 0);
	assert_int_equal(size, P);
	assert_int_equal(client_dma_avail(f->c, f->o.container), LIMIT);
}

static void test_others(void **state)
{
	struct fixture *f = *state;
	static const long ext[12][2] = { { 1, 1 }, { 3, 1 }, { 4, 1 },  { 9, 1 },
					 { 0, 0 }, { 2, 0 }, { 5, 0 },  { 6, 0 },
					 { 7, 0 }, { 8, 0 }, { 11, 0 }, { 1000, 0 } };

	for (size_t i = 0; i < 12; i++)
		assert_int_equal(client_ioctl(f->c, f->o.container, UAPI_CHECK_EXTENSION,
					      (uint64_t)ext[i][0]),
				 ext[i][1]);
	assert_int_equal(client_ioctl(f->c, f->o.container, UAPI_GET_API_VERSION, 0), 0);
	assert_int_equal(client_ioctl(f->c, f->o.container, UAPI_NR(115), 0), -ENOTTY);
	assert_int_equal(client_ioctl(f->c, f->o.container, 0, 0), -ENOTTY);
}

static void test_dirty_v1(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(client_ioctl(f->c, f->o.container, UAPI_IOMMU_DIRTY_PAGES, 0), -EACCES);
}

#define V1(t) cmocka_unit_test_setup_teardown(t, setup_v1, client_teardown)
#define V2(t) cmocka_unit_test_setup_teardown(t, setup_v2, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		V1(test_info_argsz), V2(test_info_caps),    V1(test_map_errors),
		V2(test_map_errors), V2(test_rights),       V2(test_half_way),
		V1(test_limit),      V1(test_unmap_errors), V2(test_unmap_errors),
		V1(test_unmap_v1),   V2(test_unmap_v2),     V1(test_unmap_all),
		V2(test_unmap_all),  V1(test_others),       V1(test_dirty_v1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
