/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An iommufd in a container's place: given to a group, and the calls of a container on it (Linux
 * 7.2: drivers/iommu/iommufd/vfio_compat.c, drivers/vfio/group.c).
 */
#include "iommufd_rig.h"

static long set_container(struct rig *r, int group, int fd)
{
	return client_call(r->c, group, UAPI_GROUP_SET_CONTAINER, &fd, sizeof(fd));
}

static long device_fd(struct rig *r, int group, const char *name)
{
	char text[16];

	memcpy(text, name, strlen(name) + 1);
	return client_call(r->c, group, UAPI_GROUP_GET_DEVICE_FD, text, strlen(name) + 1);
}

static uint32_t group_flags(struct rig *r, int group)
{
	struct uapi_group_status s = { .argsz = sizeof(s) };

	assert_int_equal(client_call(r->c, group, UAPI_GROUP_GET_STATUS, &s, sizeof(s)), 0);
	return s.flags;
}

static long dma_map(struct rig *r, uint64_t iova, uint64_t va, uint64_t size, uint32_t flags)
{
	struct uapi_dma_map cmd = {
		.argsz = sizeof(cmd), .flags = flags, .vaddr = va, .iova = iova, .size = size
	};

	return client_call(r->c, r->fd, UAPI_IOMMU_MAP_DMA, &cmd, sizeof(cmd));
}

/* *@size gets what the structure says afterwards. */
static long dma_unmap(struct rig *r, uint64_t iova, uint64_t *size, uint32_t flags)
{
	struct uapi_dma_unmap cmd = {
		.argsz = sizeof(cmd), .flags = flags, .iova = iova, .size = *size
	};
	long ret = client_call(r->c, r->fd, UAPI_IOMMU_UNMAP_DMA, &cmd, sizeof(cmd));

	*size = cmd.size;
	return ret;
}

static long vfio_ioas(struct rig *r, uint16_t op, uint32_t *id)
{
	struct uapi_vfio_ioas cmd = { .size = sizeof(cmd), .ioas_id = *id, .op = op };
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_VFIO_IOAS, &cmd, sizeof(cmd));

	*id = cmd.ioas_id;
	return ret;
}

/* Without an address space for it there is not much of a container. */
static void test_alone(void **state)
{
	struct rig *r = *state;
	struct uapi_iommu_info info = { .argsz = sizeof(info) };
	uint64_t size = P;
	uint32_t id = 9;

	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_GET_API_VERSION, NOWHERE), 0);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_CHECK_EXTENSION, UAPI_TYPE1_IOMMU), 1);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_CHECK_EXTENSION, UAPI_TYPE1v2_IOMMU), 1);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_CHECK_EXTENSION, UAPI_UNMAP_ALL), 1);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_CHECK_EXTENSION, UAPI_UPDATE_VADDR), 0);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_CHECK_EXTENSION, UAPI_NOIOMMU_IOMMU), 1);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_CHECK_EXTENSION, UAPI_DMA_CC_IOMMU),
			 -ENODEV);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_SET_IOMMU, 2), -EINVAL);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), -ENODEV);
	assert_int_equal(dma_map(r, 0, RAM, P, 4), -EINVAL);
	assert_int_equal(dma_map(r, 0, RAM, P, 3), -ENODEV);
	assert_int_equal(dma_unmap(r, 0, &size, 1), -EINVAL);
	assert_int_equal(dma_unmap(r, 0, &size, UAPI_DMA_UNMAP_ALL), -ENODEV);
	assert_int_equal(client_call(r->c, r->fd, UAPI_IOMMU_GET_INFO, &info, sizeof(info)),
			 -ENODEV);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_IOMMU_DIRTY_PAGES, 0), -ENOTTY);

	/* which address space it is may be said */
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_GET, &id), -ENODEV);
	assert_int_equal(vfio_ioas(r, 3, &id), -EOPNOTSUPP);
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_SET, &id), -ENOENT);
	id = 1;
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_SET, &id), 0);
	id = 0;
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_GET, &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(dma_map(r, 0x10000, RAM, P, 3), 0);
	assert_int_equal(rig_unmap(r, 1, 0x10000, P), 0);
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_CLEAR, &id), 0);
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_GET, &id), -ENODEV);
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_SET, &id), 0);
	/* and is forgotten with it */
	assert_int_equal(rig_destroy(r, 1), 0);
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_GET, &id), -ENODEV);
}

static void test_group(void **state)
{
	struct rig *r = *state;
	int group = client_open(r->c, CBIT_FILE_GROUP, 2);
	int first, second, other;
	struct uapi_group_status status = { .argsz = sizeof(status) };
	int container = client_open(r->c, CBIT_FILE_CONTAINER, 0);
	uint32_t id = 0;

	assert_int_equal(rig_destroy(r, 1), 0);
	assert_int_equal(set_container(r, group, r->cdev[0]), -EBADFD);
	assert_int_equal(device_fd(r, group, "0000:02:00.0"), -EINVAL);
	assert_int_equal(set_container(r, group, r->fd), 0);
	assert_int_equal(set_container(r, group, r->fd), -EINVAL);
	assert_int_equal(set_container(r, group, container), -EINVAL);
	assert_int_equal(client_call(r->c, group, UAPI_GROUP_GET_STATUS, &status, sizeof(status)),
			 0);
	assert_int_equal(status.flags, 3);
	/* it made the address space */
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_GET, &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_CHECK_EXTENSION, UAPI_DMA_CC_IOMMU), 1);
	/* which may be mapped to before there is a device, and SET_IOMMU does not matter */
	assert_int_equal(dma_map(r, 0x10000, RAM, 2 * P, 3), 0);
	assert_int_equal(r->c->pinned, 0);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), 0);
	first = (int)device_fd(r, group, "0000:02:00.0");
	assert_true(first >= 0);
	assert_int_equal(r->c->pinned, 2);
	assert_true(rig_reaches(r, 1, 0x11000));
	/* device 2, page table 3; a second file of the device is no second device */
	assert_int_equal(rig_destroy(r, 2), -EBUSY);
	assert_int_equal(rig_destroy(r, 3), -EBUSY);
	other = (int)device_fd(r, group, "0000:02:00.0");
	second = (int)device_fd(r, group, "0000:02:00.1");
	assert_true(second >= 0);
	assert_int_equal(rig_destroy(r, 4), -EBUSY);
	assert_int_equal(rig_destroy(r, 5), -ENOENT);
	/* attaching is for files of the other way */
	assert_int_equal(client_ioctl(r->c, first, UAPI_DEVICE_ATTACH_IOMMUFD_PT, 0), -ENOTTY);
	client_close(r->c, first);
	assert_true(rig_reaches(r, 1, 0x11000));
	client_close(r->c, other);
	assert_true(rig_reaches(r, 1, 0x11000)); /* its group is attached as long as the other */
	assert_int_equal(rig_destroy(r, 2), -ENOENT);
	client_close(r->c, second);
	assert_false(rig_reaches(r, 1, 0x11000));
	assert_int_equal(r->c->pinned, 0);
	/* the group may leave; with devices open as well */
	first = (int)device_fd(r, group, "0000:02:00.0");
	assert_int_equal(client_ioctl(r->c, group, UAPI_GROUP_UNSET_CONTAINER, 0), 0);
	assert_int_equal(client_ioctl(r->c, group, UAPI_GROUP_UNSET_CONTAINER, 0), -EINVAL);
	assert_true(rig_reaches(r, 1, 0x11000));
	/* somebody drives its DMA, but not through the group */
	assert_int_equal(group_flags(r, group), 0);
	other = client_open(r->c, CBIT_FILE_CONTAINER, 0);
	assert_int_equal(set_container(r, group, other), -EPERM);
	client_close(r->c, first);
	assert_int_equal(group_flags(r, group), UAPI_GROUP_FLAGS_VIABLE);
	/* without an address space no device */
	assert_int_equal(set_container(r, group, r->fd), 0);
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_CLEAR, &id), 0);
	assert_int_equal(device_fd(r, group, "0000:02:00.0"), -ENODEV);
	/* a mapping that cannot be had keeps the device out, and leaves nothing bound */
	id = 1;
	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_SET, &id), 0);
	assert_int_equal(dma_map(r, 0x20000, NOWHERE, P, 3), 0);
	assert_int_equal(device_fd(r, group, "0000:02:00.0"), -EFAULT);
	assert_int_equal(rig_destroy(r, 2), -ENOENT);
}

/* Closing in any order: the group holds the iommufd, the device the group. */
static void test_close_orders(void **state)
{
	struct rig *r = *state;
	int group = client_open(r->c, CBIT_FILE_GROUP, 2), dev;

	assert_int_equal(set_container(r, group, r->fd), 0);
	dev = (int)device_fd(r, group, "0000:02:00.0");
	assert_int_equal(dma_map(r, 0x10000, RAM, P, 3), 0);
	client_close(r->c, r->fd);
	assert_true(rig_reaches(r, 1, 0x10000));
	client_close(r->c, group);
	assert_true(rig_reaches(r, 1, 0x10000));
	assert_int_equal(client_open(r->c, CBIT_FILE_GROUP, 2), -EBUSY);
	client_close(r->c, dev);
	assert_int_equal(r->c->pinned, 0);
	assert_int_equal(r->c->events[CBIT_EVENT_MAPPING_LEAKED], 1);
}

/* type1v2 does not cut, type1 does. */
static void test_unmap(void **state)
{
	struct rig *r = *state;
	static const struct {
		uint64_t iova, size;
		uint32_t flags;
		long ret[2]; /* type1v2, type1 */
		uint64_t done[2];
	} cases[] = {
		{ 0x10000, 8 * P, 0, { 0, 0 }, { 8 * P, 8 * P } },
		{ 0x10000, 2 * P, 0, { -ENOENT, 0 }, { 0, 2 * P } },
		{ 0x13000, 2 * P, 0, { -ENOENT, 0 }, { 0, 2 * P } },
		{ 0x16000, 4 * P, 0, { -ENOENT, 0 }, { 0, 4 * P } },
		{ 0xf000, 0x20000, 0, { 0, 0 }, { 12 * P, 12 * P } },
		{ 0x10800, P, 0, { -ENOENT, -EINVAL }, { 0, P } },
		{ 0x80000, P, 0, { 0, 0 }, { 0, 0 } },
		{ 0x10000, 0, 0, { -EINVAL, -EINVAL }, { 0, 0 } },
		{ UINT64_C(0xfffffffffffff000), 2 * P, 0, { -EOVERFLOW, -EOVERFLOW }, { 0, 0 } },
		{ 0, P, UAPI_DMA_UNMAP_ALL, { -EINVAL, -EINVAL }, { P, P } },
		{ 0, 0, UAPI_DMA_UNMAP_ALL, { 0, 0 }, { 12 * P, 12 * P } },
	};
	int group = client_open(r->c, CBIT_FILE_GROUP, 2);
	int dev;

	assert_int_equal(set_container(r, group, r->fd), 0);
	for (unsigned int v1 = 0; v1 < 2; v1++) {
		assert_int_equal(client_ioctl(r->c, r->fd, UAPI_SET_IOMMU,
					      v1 ? UAPI_TYPE1_IOMMU : UAPI_TYPE1v2_IOMMU),
				 0);
		dev = (int)device_fd(r, group, "0000:02:00.0");
		assert_true(dev >= 0);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint64_t size = 0;
			unsigned int told = r->c->events[CBIT_EVENT_UNMAPPED_NOTHING];
			long ret;

			assert_int_equal(dma_unmap(r, 0, &size, UAPI_DMA_UNMAP_ALL), 0);
			assert_int_equal(dma_map(r, 0x10000, RAM, 8 * P, 3), 0);
			assert_int_equal(dma_map(r, 0x18000, RAM, 4 * P, 3), 0);
			size = cases[i].size;
			ret = dma_unmap(r, cases[i].iova, &size, cases[i].flags);
			if (ret != cases[i].ret[v1] || size != cases[i].done[v1])
				fail_msg("case %zu, v1 %u: %ld, 0x%lx", i, v1, ret,
					 (unsigned long)size);
			if (!ret)
				assert_int_equal(r->c->pinned, 12 - (int64_t)(size / P));
			assert_int_equal(r->c->events[CBIT_EVENT_UNMAPPED_NOTHING],
					 told + (!ret && !size));
			/* the ends of what is left are there, what is gone is not */
			assert_int_equal(rig_reaches(r, 1, 0x10000),
					 !(size && cases[i].iova <= 0x10000 && !ret));
			if (!ret && cases[i].size == 2 * P && cases[i].iova == 0x13000) {
				assert_true(rig_reaches(r, 1, 0x12fff));
				assert_false(rig_reaches(r, 1, 0x13000));
				assert_false(rig_reaches(r, 1, 0x14fff));
				assert_true(rig_reaches(r, 1, 0x15000));
			}
		}
		uint64_t size = 0;

		assert_int_equal(dma_unmap(r, 0, &size, UAPI_DMA_UNMAP_ALL), 0);
		client_close(r->c, dev);
	}
	/* once there are mappings in a page table it is too late for type1 */
	uint64_t on = 1;

	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_SET, 2, &on), 0);
	assert_true(device_fd(r, group, "0000:02:00.0") >= 0);
	assert_int_equal(dma_map(r, 0x10000, RAM, 8 * P, 3), 0);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_SET_IOMMU, UAPI_TYPE1_IOMMU), -EINVAL);
	/* a mapping that may be neither read nor written is no entry */
	assert_int_equal(dma_map(r, 0x40000, RAM, P, 0), -EINVAL);
	/* BARs have no pages */
	assert_int_equal(dma_map(r, 0x10000, RAM, P, 3), -EEXIST);
}

static void test_info(void **state)
{
	struct rig *r = *state;
	uint32_t id = 1;
	static const struct {
		uint32_t argsz;
		long ret;
		uint32_t cap, ranges; /* where capabilities begin; how many ranges are there */
	} cases[] = {
		{ 15, -EINVAL, 0, 0 }, { 16, 0, 0, 0 },  { 24, 0, 0, 0 },   { 40, 0, 0, 0 },
		{ 72, 0, 0, 1 },       { 103, 0, 0, 2 }, { 104, 0, 24, 3 }, { 200, 0, 24, 3 },
	};

	assert_int_equal(vfio_ioas(r, UAPI_VFIO_IOAS_SET, &id), 0);
	for (unsigned int attached = 0; attached < 2; attached++) {
		if (attached) {
			assert_int_equal(rig_bind(r, 0), 2);
			assert_int_equal(rig_attach(r, 0, 1), 3);
		}
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			uint8_t buf[200] = { 0 };
			struct uapi_iommu_info info = { .argsz = cases[i].argsz };
			struct uapi_cap_dma_avail avail;
			struct uapi_cap_iova_range ranges;
			uint32_t need = attached ? 104 : 72;
			long ret;

			memcpy(buf, &info, sizeof(info));
			ret = client_call(r->c, r->fd, UAPI_IOMMU_GET_INFO, buf, sizeof(buf));
			assert_int_equal(ret, cases[i].ret);
			if (ret)
				continue;
			memcpy(&info, buf, sizeof(info));
			assert_int_equal(info.argsz, need);
			assert_int_equal(info.flags, 3);
			assert_int_equal(info.iova_pgsizes, attached
								    ? UINT64_C(0xfff7ffffff000)
								    : UINT64_C(0xfffffffffffff000));
			assert_int_equal(info.cap_offset, cases[i].argsz >= need ? 24 : 0);
			memcpy(&avail, buf + 24, sizeof(avail));
			memcpy(&ranges, buf + 40, sizeof(ranges));
			if (cases[i].argsz >= need) {
				assert_int_equal(avail.header.id, UAPI_IOMMU_CAP_DMA_AVAIL);
				assert_int_equal(avail.header.next, 40);
				assert_int_equal(avail.avail, UINT32_MAX);
				assert_int_equal(ranges.header.id, UAPI_IOMMU_CAP_IOVA_RANGE);
				assert_int_equal(ranges.header.next, 0);
				assert_int_equal(ranges.nr_iovas, attached ? 3 : 1);
			}
			for (uint32_t k = 0; attached && k < 3; k++) {
				if (k < cases[i].ranges)
					assert_true(ranges.ranges[k].last != 0);
				else
					assert_int_equal(ranges.ranges[k].last, 0);
			}
		}
	}
}

#define T(t) cmocka_unit_test_setup_teardown(t, rig_up, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_alone), T(test_group), T(test_close_orders), T(test_unmap), T(test_info),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
