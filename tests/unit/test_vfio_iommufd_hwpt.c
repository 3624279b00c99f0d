/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page tables of an iommufd and the devices attached to them, what devices wrote, and what is
 * there for VMMs (Linux 7.2: drivers/iommu/iommufd/hw_pagetable.c, device.c, viommu.c, eventq.c;
 * drivers/iommu/amd/iommu.c, iommufd.c).
 */
#include "iommufd_rig.h"

#define NEST  UAPI_HWPT_NEST_PARENT
#define DIRTY UAPI_HWPT_DIRTY_TRACKING
#define FAULT UAPI_HWPT_FAULT_ID_VALID
#define PASID UAPI_HWPT_PASID

static void test_alloc(void **state)
{
	struct rig *r = *state;
	static const struct {
		uint32_t flags, dev, pt, type, len, fault, reserved;
		long ret;
	} cases[] = {
		{ 0, 9, 9, 0, 0, 0, 1, -EOPNOTSUPP },
		{ 0, 9, 9, 1, 0, 0, 0, -EINVAL },
		{ 0, 9, 9, 0, 4, 0, 0, -EINVAL },
		{ 0, 9, 1, 0, 0, 0, 0, -ENOENT },
		{ 0, 1, 1, 0, 0, 0, 0, -ENOENT }, /* an IOAS is no device */
		{ 0, 2, 9, 0, 0, 0, 0, -EINVAL },
		{ 0, 2, 2, 0, 0, 0, 0, -EINVAL },      /* nor a device a page table */
		{ 16, 2, 1, 0, 0, 0, 0, -EOPNOTSUPP }, /* unknown */
		{ 0, 2, 1, 3, 4, 0, 0, -EOPNOTSUPP },  /* no data */
		{ FAULT | NEST, 2, 1, 0, 0, 0, 0, -EOPNOTSUPP },
		{ PASID | DIRTY, 2, 1, 0, 0, 0, 0, -EOPNOTSUPP },
		{ PASID | NEST, 2, 1, 0, 0, 0, 0, -EOPNOTSUPP },
		{ FAULT, 2, 1, 0, 0, 9, 0, -ENOENT },
		{ FAULT, 2, 1, 0, 0, 1, 0, -ENOENT },
		/* nested ones are not there, neither of a page table nor of a vIOMMU */
		{ 0, 2, 3, 3, 32, 0, 0, -EOPNOTSUPP },
		{ 0, 2, 3, 0, 0, 0, 0, -EOPNOTSUPP },
		{ 0, 2, 4, 3, 32, 0, 0, -EOPNOTSUPP },
		{ 0, 2, 1, 0, 0, 0, 0, 5 },
		{ DIRTY, 2, 1, 0, 0, 0, 0, 5 },
		{ NEST, 2, 1, 0, 0, 0, 0, 5 },
		{ NEST | DIRTY, 2, 1, 0, 0, 0, 0, 5 },
		{ PASID, 2, 1, 0, 0, 0, 0, 5 },
	};
	struct uapi_viommu_alloc viommu = {
		.size = sizeof(viommu), .type = 1, .dev_id = 2, .hwpt_id = 3
	};

	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_hwpt(r, 2, 1, NEST), 3);
	assert_int_equal(
		client_call(r->c, r->fd, UAPI_IOMMUFD_VIOMMU_ALLOC, &viommu, sizeof(viommu)), 0);
	assert_int_equal(viommu.out_viommu_id, 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_hwpt_alloc cmd = { .size = sizeof(cmd),
					       .flags = cases[i].flags,
					       .dev_id = cases[i].dev,
					       .pt_id = cases[i].pt,
					       .reserved = cases[i].reserved,
					       .data_type = cases[i].type,
					       .data_len = cases[i].len,
					       .data_uptr = ARGS,
					       .fault_id = cases[i].fault };
		long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_HWPT_ALLOC, &cmd, sizeof(cmd));

		if (!ret) {
			ret = (long)cmd.out_hwpt_id;
			assert_int_equal(rig_destroy(r, cmd.out_hwpt_id), 0);
		}
		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
	}
	/* an old program's structure ends before the data */
	struct uapi_hwpt_alloc cmd = { .size = 24, .dev_id = 2, .pt_id = 1 };

	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_HWPT_ALLOC, &cmd, 24), 0);
	cmd.size = 23;
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_HWPT_ALLOC, &cmd, 24), -EINVAL);
}

/* An IOAS is in every page table of it; the pages stay as long as there is one. */
static void test_tables(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 4 * P), 0);
	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_bind(r, 1), 3);
	assert_int_equal(rig_hwpt(r, 2, 1, 0), 4);
	assert_int_equal(r->c->pinned, 4);
	assert_int_equal(rig_hwpt(r, 2, 1, DIRTY), 5);
	assert_int_equal(r->c->pinned, 4);
	assert_int_equal(rig_destroy(r, 1), -EBUSY);
	/* one made by hand is never chosen for an IOAS */
	assert_int_equal(rig_attach(r, 0, 1), 6);
	assert_int_equal(rig_destroy(r, 6), -EBUSY);
	assert_int_equal(rig_attach(r, 1, 4), 4);
	assert_int_equal(rig_map(r, 1, 0x20000, RAM, P), 0);
	for (unsigned int dev = 0; dev < 3; dev++) {
		/* device 2 is of device 1's group, so it has what that has */
		assert_true(rig_reaches(r, dev, 0x13000));
		assert_true(rig_reaches(r, dev, 0x20000));
	}
	/* moved; what was made for attaching goes, what was made by hand stays */
	assert_int_equal(rig_attach(r, 0, 5), 5);
	assert_int_equal(rig_destroy(r, 6), -ENOENT);
	assert_true(rig_reaches(r, 0, 0x13000));
	assert_int_equal(rig_attach(r, 0, 1), 6);
	assert_int_equal(rig_destroy(r, 5), 0);
	assert_int_equal(rig_unmap(r, 1, 0x10000, 4 * P), 0);
	assert_false(rig_reaches(r, 0, 0x13000));
	assert_false(rig_reaches(r, 1, 0x13000));
	assert_true(rig_reaches(r, 1, 0x20000));
	assert_int_equal(rig_detach(r, 1), 0);
	assert_false(rig_reaches(r, 2, 0x20000));
	assert_int_equal(rig_detach(r, 0), 0);
	assert_int_equal(rig_destroy(r, 6), -ENOENT);
	assert_int_equal(r->c->pinned, 1);
	assert_int_equal(rig_destroy(r, 4), 0);
	assert_int_equal(r->c->pinned, 0);
	assert_int_equal(rig_destroy(r, 1), 0);
}

/* The devices of a group are in one page table, and move together. */
static void test_group(void **state)
{
	struct rig *r = *state;
	uint32_t other = (uint32_t)rig_ioas_alloc(r);

	assert_int_equal(rig_map(r, 1, 0x10000, RAM, P), 0);
	assert_int_equal(rig_map(r, other, 0x20000, RAM, P), 0);
	assert_int_equal(rig_bind(r, 1), 3);
	assert_int_equal(rig_bind(r, 2), 4);
	assert_int_equal(rig_attach(r, 1, 1), 5);
	assert_int_equal(rig_attach(r, 2, other), -EINVAL);
	assert_int_equal(rig_hwpt(r, 3, 1, 0), 6);
	assert_int_equal(rig_attach(r, 2, 6), -EINVAL);
	assert_int_equal(rig_attach(r, 2, 1), 5);
	assert_int_equal(rig_attach(r, 1, other), 7);
	assert_int_equal(rig_destroy(r, 5), -ENOENT);
	assert_false(rig_reaches(r, 2, 0x10000));
	assert_true(rig_reaches(r, 2, 0x20000));
	/* a place that is refused leaves them where they were */
	assert_int_equal(rig_detach(r, 1), 0);
	assert_true(rig_reaches(r, 1, 0x20000));
	assert_int_equal(rig_map(r, 1, 0xfee00000, RAM, P), 0);
	assert_int_equal(rig_attach(r, 2, 6), -EADDRINUSE);
	assert_int_equal(rig_attach(r, 2, 1), -EADDRINUSE);
	assert_true(rig_reaches(r, 2, 0x20000));
	assert_int_equal(rig_detach(r, 2), 0);
	assert_false(rig_reaches(r, 1, 0x20000));
	assert_int_equal(rig_destroy(r, other), 0);
}

/* Addresses of a page table for PASIDs end lower; AMD attaches none to a PASID. */
static void test_pasid(void **state)
{
	struct rig *r = *state;
	struct uapi_attach_pt cmd = { .argsz = 16, .flags = 1, .pasid = 5 };
	static const struct {
		uint32_t pt;
		long ret;
	} cases[] = {
		{ 1, -EINVAL }, { 2, -EINVAL }, { 3, -EOPNOTSUPP }, { 4, -EINVAL }, { 9, -ENOENT }
	};

	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_map(r, 1, UINT64_C(1) << 60, RAM, P), 0);
	assert_int_equal(rig_hwpt(r, 2, 1, PASID), -EADDRINUSE);
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	assert_int_equal(rig_hwpt(r, 2, 1, PASID), 3);
	assert_int_equal(rig_hwpt(r, 2, 1, 0), 4);
	assert_int_equal(rig_map(r, 1, UINT64_C(1) << 60, RAM, P), -EINVAL);
	assert_int_equal(rig_map(r, 1, UINT64_C(1) << 55, RAM, P), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cmd.pt_id = cases[i].pt;
		assert_int_equal(
			client_call(r->c, r->cdev[0], UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 16),
			cases[i].ret);
	}
	/* one that is none for PASIDs at the device itself comes first */
	assert_int_equal(rig_attach(r, 0, 4), 4);
	cmd.pt_id = 3;
	assert_int_equal(client_call(r->c, r->cdev[0], UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 16),
			 -EINVAL);
	assert_int_equal(rig_attach(r, 0, 3), 3);
	assert_true(rig_reaches(r, 0, UINT64_C(1) << 55));
	assert_int_equal(client_call(r->c, r->cdev[0], UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 16),
			 -EOPNOTSUPP);
}

/* --- what devices wrote --- */

static long track(struct rig *r, uint32_t hwpt, uint32_t flags)
{
	struct uapi_set_dirty_tracking cmd = { .size = sizeof(cmd),
					       .flags = flags,
					       .hwpt_id = hwpt };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_SET_DIRTY_TRACKING, &cmd, sizeof(cmd));
}

static long bitmap(struct rig *r, uint32_t hwpt, uint64_t iova, uint64_t len, uint64_t page,
		   uint32_t flags, uint64_t at)
{
	struct uapi_get_dirty_bitmap cmd = { .size = sizeof(cmd),
					     .hwpt_id = hwpt,
					     .flags = flags,
					     .iova = iova,
					     .length = len,
					     .page_size = page,
					     .data = at };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_GET_DIRTY_BITMAP, &cmd, sizeof(cmd));
}

static void test_dirty_errors(void **state)
{
	struct rig *r = *state;
	static const struct {
		uint32_t hwpt, flags;
		uint64_t iova, len, page;
		long ret;
	} cases[] = {
		{ 9, 2, 0, 0, 0, -EOPNOTSUPP },
		{ 9, 0, 0, 0, 0, -ENOENT },
		{ 1, 0, 0, P, P, -ENOENT }, /* an IOAS is none */
		{ 4, 0, 2 * P, UINT64_MAX, P, -EOVERFLOW },
		{ 4, 0, P, 0, P, -EOVERFLOW },
		{ 4, 0, 1, P, P, -EINVAL },
		{ 4, 0, 0, 1, P, -EINVAL },
		{ 4, 0, 0, P, 0, -EINVAL },
		{ 4, 0, 0, 3 * P, 2 * P, -EINVAL },
		{ 4, 0, 0, P, P, -EOPNOTSUPP }, /* not made for it */
		{ 3, 0, 0, P, P, 0 },
		{ 3, 1, 0, P, P, 0 },
	};

	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_hwpt(r, 2, 1, DIRTY), 3);
	assert_int_equal(rig_hwpt(r, 2, 1, 0), 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long ret = bitmap(r, cases[i].hwpt, cases[i].iova, cases[i].len, cases[i].page,
				  cases[i].flags, RAM);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
	}
	assert_int_equal(track(r, 9, 2), -EOPNOTSUPP);
	assert_int_equal(track(r, 9, 1), -ENOENT);
	assert_int_equal(track(r, 4, 1), -EOPNOTSUPP);
	assert_int_equal(track(r, 3, 1), 0);
	assert_int_equal(track(r, 3, 1), 0);
	assert_int_equal(track(r, 3, 0), 0);
}

#define PAGES 256u
#define AT    UINT64_C(0x800000) /* IOVA */

/* Random writes, page by page; the bitmap is those pages, no more and no less. */
static void test_dirty(void **state)
{
	static const uint8_t data[0x3000];
	struct rig *r = *state;
	uint64_t v = 0, words[PAGES / 64], got[PAGES / 64], seed = 1;

	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_SET, 1, &v), 0);
	assert_int_equal(rig_hwpt(r, 2, 1, DIRTY), 3);
	assert_int_equal(rig_attach(r, 0, 3), 3);
	/* two mappings side by side, and one apart */
	assert_int_equal(rig_map(r, 1, AT, RAM, PAGES / 4 * P), 0);
	assert_int_equal(rig_map(r, 1, AT + PAGES / 4 * P, RAM + 0x200000, PAGES / 4 * 3 * P), 0);
	/* without tracking nothing is marked */
	assert_int_equal(rig_dma_write(r, 0, AT, "x", 1), CBIT_DMA_OK);
	memset(r->c->args, 0, sizeof(words));
	assert_int_equal(bitmap(r, 3, AT, PAGES * P, P, 0, ARGS + 3), 0);
	memcpy(got, r->c->args + 3, sizeof(got));
	for (unsigned int i = 0; i < PAGES / 64; i++)
		assert_int_equal(got[i], 0);
	assert_int_equal(track(r, 3, 1), 0);
	for (unsigned int round = 0; round < 40; round++) {
		memset(words, 0, sizeof(words));
		for (unsigned int i = 0; i < round; i++) {
			uint64_t page, len;

			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			page = seed >> 33 & (PAGES - 1);
			len = seed >> 50 & 0x2fff;
			if ((page << CBIT_PAGE_SHIFT) + len >= PAGES * P || !len)
				continue;
			assert_int_equal(rig_dma_write(r, 0, AT + page * P, data, len),
					 CBIT_DMA_OK);
			assert_true(rig_reaches(r, 0, AT + (page ^ 1) * P)); /* reads do not */
			for (uint64_t k = page; k <= page + (len - 1) / P; k++)
				words[k / 64] |= UINT64_C(1) << k % 64;
		}
		/* a look that leaves them, two that take one half each */
		for (unsigned int look = 0; look < 3; look++) {
			uint64_t half = PAGES / 2 * P;

			memset(r->c->args, 0, sizeof(got));
			if (look == 0)
				assert_int_equal(bitmap(r, 3, AT, PAGES * P, P, 1, ARGS), 0);
			else if (look == 1)
				assert_int_equal(bitmap(r, 3, AT, half, P, 0, ARGS), 0);
			else
				assert_int_equal(bitmap(r, 3, AT + half, half, P, 0, ARGS), 0);
			memcpy(got, r->c->args, sizeof(got));
			if (look == 0)
				assert_memory_equal(got, words, sizeof(words));
			else
				assert_memory_equal(
					got, (uint8_t *)words + (look - 1) * sizeof(words) / 2,
					sizeof(words) / 2);
		}
	}
	memset(r->c->args, 0, sizeof(got));
	assert_int_equal(bitmap(r, 3, AT, PAGES * P, P, 0, ARGS), 0);
	memcpy(got, r->c->args, sizeof(got));
	for (unsigned int i = 0; i < PAGES / 64; i++)
		assert_int_equal(got[i], 0);
}

/* Bits are added to those that are there; a gap ends the look, and memory that is none loses it. */
static void test_dirty_bitmap(void **state)
{
	struct rig *r = *state;
	uint64_t got;

	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_hwpt(r, 2, 1, DIRTY), 3);
	assert_int_equal(rig_attach(r, 0, 3), 3);
	assert_int_equal(track(r, 3, 1), 0);
	assert_int_equal(rig_map(r, 1, AT, RAM + P, 2 * P), 0);
	assert_int_equal(rig_map(r, 1, AT + 3 * P, RAM + 3 * P, P), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(rig_dma_write(r, 0, AT + i * P, "x", 1),
				 i == 2 ? CBIT_DMA_FAULT : CBIT_DMA_OK);
	memset(r->c->args, 0, 16);
	r->c->args[0] = 0x80;
	assert_int_equal(bitmap(r, 3, AT, 4 * P, P, 1, ARGS), 0);
	memcpy(&got, r->c->args, 8);
	assert_int_equal(got, 0x83);
	/* larger pages: one bit */
	memset(r->c->args, 0, 16);
	assert_int_equal(bitmap(r, 3, AT, 4 * P, 4 * P, 1, ARGS), 0);
	memcpy(&got, r->c->args, 8);
	assert_int_equal(got, 1);
	assert_int_equal(bitmap(r, 3, AT, 4 * P, P, 0, NOWHERE), 0);
	memset(r->c->args, 0, 16);
	assert_int_equal(bitmap(r, 3, AT, 2 * P, P, 0, ARGS), 0);
	assert_int_equal(r->c->args[0], 0);
	/* a large entry is dirty as one */
	assert_int_equal(rig_map(r, 1, 0x400000, RAM, 0x200000), 0);
	assert_int_equal(rig_dma_write(r, 0, 0x567890, "x", 1), CBIT_DMA_OK);
	memset(r->c->args, 0, 64);
	assert_int_equal(bitmap(r, 3, 0x400000, 0x200000, P, 0, ARGS), 0);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(r->c->args[i], 0xff);
	assert_int_equal(r->c->args[64], 0);
}

/* --- what is there for VMMs --- */

static void test_hw_info(void **state)
{
	struct rig *r = *state;
	struct uapi_hw_info_amd info;
	static const struct {
		uint32_t flags, dev, len, type;
		uint8_t reserved;
		uint64_t at;
		long ret;
	} cases[] = {
		{ 2, 9, 16, 0, 0, ARGS, -EOPNOTSUPP },
		{ 0, 9, 16, 0, 1, ARGS, -EOPNOTSUPP },
		{ 1, 9, 16, 1, 0, ARGS, -ENOENT },
		{ 1, 2, 16, 1, 0, ARGS, -EOPNOTSUPP }, /* VT-d */
		{ 0, 2, 16, 1, 0, ARGS, 0 },           /* not asked for */
		{ 1, 2, 16, 4, 0, ARGS, 0 },
		{ 1, 2, 0, 4, 0, NOWHERE, 0 },
		{ 1, 2, 1, 4, 0, NOWHERE, -EFAULT },
		{ 1, 2, 20, 4, 0, ARGS + ARGS_SIZE - 18, -EFAULT }, /* the rest is cleared */
		{ 1, 2, 0x1100, 4, 0, ARGS, 0 },
	};

	assert_int_equal(rig_bind(r, 0), 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_hw_info cmd = { .size = sizeof(cmd),
					    .flags = cases[i].flags,
					    .dev_id = cases[i].dev,
					    .data_len = cases[i].len,
					    .data_uptr = cases[i].at,
					    .data_type = cases[i].type,
					    .reserved[1] = cases[i].reserved };
		long ret;

		memset(r->c->args, 0xaa, 0x2000);
		ret = client_call(r->c, r->fd, UAPI_IOMMUFD_GET_HW_INFO, &cmd, sizeof(cmd));
		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
		if (ret)
			continue;
		assert_int_equal(cmd.data_len, sizeof(info));
		assert_int_equal(cmd.data_type, UAPI_HW_INFO_TYPE_AMD);
		assert_int_equal(cmd.out_capabilities, 9);
		assert_int_equal(cmd.out_max_pasid_log2, 0);
		memcpy(&info, r->c->args, sizeof(info));
		if (cases[i].len) {
			assert_int_equal(info.efr, CBIT_IOMMU_EFR);
			assert_int_equal(info.efr2, CBIT_IOMMU_EFR2);
		}
		for (uint32_t k = sizeof(info); k < cases[i].len; k++)
			assert_int_equal(r->c->args[k], 0);
		assert_int_equal(r->c->args[cases[i].len < 0x1100 ? 16 : 0x1100], 0xaa);
	}
}

static long viommu(struct rig *r, uint32_t type, uint32_t dev, uint32_t hwpt)
{
	struct uapi_viommu_alloc cmd = {
		.size = sizeof(cmd), .type = type, .dev_id = dev, .hwpt_id = hwpt
	};
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_VIOMMU_ALLOC, &cmd, sizeof(cmd));

	return ret ? ret : (long)cmd.out_viommu_id;
}

static long vdevice(struct rig *r, uint32_t viommu_id, uint32_t dev, uint64_t virt)
{
	struct uapi_vdevice_alloc cmd = {
		.size = sizeof(cmd), .viommu_id = viommu_id, .dev_id = dev, .virt_id = virt
	};
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_VDEVICE_ALLOC, &cmd, sizeof(cmd));

	return ret ? ret : (long)cmd.out_vdevice_id;
}

static long invalidate(struct rig *r, uint32_t id, uint32_t nr, uint32_t len, uint64_t at)
{
	struct uapi_hwpt_invalidate cmd = { .size = sizeof(cmd),
					    .hwpt_id = id,
					    .data_uptr = at,
					    .entry_len = len,
					    .entry_num = nr };
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_HWPT_INVALIDATE, &cmd, sizeof(cmd));

	assert_int_equal(cmd.entry_num, 0);
	return ret;
}

static void test_viommu(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_bind(r, 1), 3);
	assert_int_equal(rig_hwpt(r, 2, 1, NEST), 4);
	assert_int_equal(rig_hwpt(r, 2, 1, 0), 5);
	assert_int_equal(viommu(r, 0, 2, 4), -EOPNOTSUPP);
	assert_int_equal(viommu(r, 1, 9, 4), -ENOENT);
	assert_int_equal(viommu(r, 1, 2, 1), -ENOENT);
	assert_int_equal(viommu(r, 1, 2, 5), -EINVAL);
	/* the driver takes any kind */
	assert_int_equal(viommu(r, 77, 2, 4), 6);
	assert_int_equal(rig_destroy(r, 4), -EBUSY);
	assert_int_equal(vdevice(r, 4, 2, 0), -ENOENT);
	assert_int_equal(vdevice(r, 6, 4, 0), -ENOENT);
	assert_int_equal(vdevice(r, 6, 2, 0x10), 7);
	assert_int_equal(vdevice(r, 6, 2, 0x11), -EEXIST);
	assert_int_equal(vdevice(r, 6, 3, 0x10), -EEXIST);
	assert_int_equal(vdevice(r, 6, 3, 0x11), 8);
	assert_int_equal(rig_destroy(r, 6), -EBUSY);
	assert_int_equal(rig_destroy(r, 7), 0);
	assert_int_equal(vdevice(r, 6, 2, 0x12), 7);
	/* a device takes its own with it, and the number is never given again */
	client_close(r->c, r->cdev[1]);
	assert_int_equal(rig_destroy(r, 8), -ENOENT);
	assert_int_equal(rig_ioas_alloc(r), 3);
	assert_int_equal(rig_ioas_alloc(r), 9);
	assert_int_equal(rig_destroy(r, 7), 0);
	assert_int_equal(invalidate(r, 6, 0, 0, 0), -EOPNOTSUPP);
	assert_int_equal(invalidate(r, 6, 1, 16, 0), -EINVAL);
	assert_int_equal(invalidate(r, 6, 1, 0, ARGS), -EINVAL);
	assert_int_equal(invalidate(r, 6, 1, 4097, ARGS), -EINVAL);
	assert_int_equal(invalidate(r, 6, (1 << 19) + 1, 16, ARGS), -EINVAL);
	assert_int_equal(invalidate(r, 6, 1 << 19, 16, ARGS), -EOPNOTSUPP);
	assert_int_equal(invalidate(r, 77, 1, 16, ARGS), -ENOENT);
	assert_int_equal(invalidate(r, 4, 1, 16, ARGS), -EINVAL);
	assert_int_equal(rig_destroy(r, 6), 0);
	assert_int_equal(rig_destroy(r, 4), 0);
}

static void test_queues(void **state)
{
	struct rig *r = *state;
	struct uapi_fault_alloc fault = { .size = sizeof(fault), .flags = 1 };
	struct uapi_veventq_alloc q = {
		.size = sizeof(q), .viommu_id = 99, .type = 1, .veventq_depth = 8
	};
	struct uapi_hw_queue_alloc hw = { .size = sizeof(hw), .viommu_id = 99, .type = 1 };
	struct uapi_hwpt_alloc hwpt = { .size = sizeof(hwpt), .flags = FAULT };
	uint32_t dev, id;

	dev = (uint32_t)rig_bind(r, 0);
	assert_int_equal(
		client_call(r->c, r->fd, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, &fault, sizeof(fault)),
		-EOPNOTSUPP);
	fault.flags = 0;
	assert_int_equal(
		client_call(r->c, r->fd, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, &fault, sizeof(fault)), 0);
	assert_int_equal(client_ioctl(r->c, (int)fault.out_fault_fd, UAPI_GET_API_VERSION, 0),
			 -ENOTTY);
	/* a page table may send its faults there: then it stays, file or not */
	hwpt.dev_id = dev;
	hwpt.pt_id = 1;
	hwpt.fault_id = fault.out_fault_id;
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_HWPT_ALLOC, &hwpt, sizeof(hwpt)), 0);
	assert_int_equal(rig_destroy(r, fault.out_fault_id), -EBUSY);
	client_close(r->c, (int)fault.out_fault_fd);
	assert_int_equal(rig_destroy(r, fault.out_fault_id), -EBUSY);
	assert_int_equal(rig_destroy(r, hwpt.out_hwpt_id), 0);
	assert_int_equal(rig_destroy(r, fault.out_fault_id), 0);
	/* none that cannot be told of is given */
	r->c->fd_limit = 0;
	assert_int_equal(
		client_call(r->c, r->fd, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, &fault, sizeof(fault)),
		-EMFILE);
	r->c->fd_limit = CLIENT_FDS;

	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_VEVENTQ_ALLOC, &q, sizeof(q)),
			 -ENOENT);
	id = (uint32_t)rig_hwpt(r, dev, 1, NEST);
	q.viommu_id = hw.viommu_id = (uint32_t)viommu(r, 1, dev, id);
	q.veventq_depth = 0;
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_VEVENTQ_ALLOC, &q, sizeof(q)),
			 -EINVAL);
	q.veventq_depth = 8;
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_VEVENTQ_ALLOC, &q, sizeof(q)), 0);
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_VEVENTQ_ALLOC, &q, sizeof(q)),
			 -EEXIST);
	assert_int_equal(rig_destroy(r, q.viommu_id), -EBUSY);
	/* queues in hardware there are none */
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_HW_QUEUE_ALLOC, &hw, sizeof(hw)),
			 -EINVAL);
	hw.length = 2;
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_HW_QUEUE_ALLOC, &hw, sizeof(hw)),
			 -EOPNOTSUPP);
	hw.nesting_parent_iova = UINT64_MAX;
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMUFD_HW_QUEUE_ALLOC, &hw, sizeof(hw)),
			 -EOVERFLOW);
	/* the file keeps the iommufd; all goes with the last of them */
	client_close(r->c, r->fd);
	client_close(r->c, r->cdev[0]);
}

#define T(t) cmocka_unit_test_setup_teardown(t, rig_up, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_alloc),        T(test_tables), T(test_group),        T(test_pasid),
		T(test_dirty_errors), T(test_dirty),  T(test_dirty_bitmap), T(test_hw_info),
		T(test_viommu),       T(test_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
