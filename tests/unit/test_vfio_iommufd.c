/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd as far as VFIO programs need it: the size rules of its structures, an IOAS with its
 * mappings, and device files bound and attached (Linux 7.2: drivers/iommu/iommufd).
 */
#include "client_rig.h"

#define P CBIT_PAGE_SIZE

struct fixture {
	struct client *c;
	int iommufd;
	uint32_t ioas;
};

static int setup(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat,membar=64K");
	client_plug(f->c, "ioat");
	f->iommufd = client_open(f->c, CBIT_FILE_IOMMUFD, 0);
	assert_int_equal(
		client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)), 0);
	f->ioas = alloc.out_ioas_id;
	*state = f;
	return 0;
}

static long map(struct fixture *f, uint64_t iova, uint64_t va, uint64_t len)
{
	struct uapi_ioas_map cmd = { .size = sizeof(cmd),
				     .flags = 7,
				     .ioas_id = f->ioas,
				     .user_va = va,
				     .length = len,
				     .iova = iova };

	return client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_MAP, &cmd, sizeof(cmd));
}

static long unmap(struct fixture *f, uint64_t iova, uint64_t *len)
{
	struct uapi_ioas_unmap cmd = {
		.size = sizeof(cmd), .ioas_id = f->ioas, .iova = iova, .length = *len
	};
	long ret = client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_UNMAP, &cmd, sizeof(cmd));

	*len = cmd.length;
	return ret;
}

static long destroy(struct fixture *f, uint32_t id)
{
	struct uapi_fd_destroy cmd = { .size = sizeof(cmd), .id = id };

	return client_call(f->c, f->iommufd, UAPI_IOMMUFD_DESTROY, &cmd, sizeof(cmd));
}

static long bind(struct fixture *f, int dev, int iommufd)
{
	struct uapi_bind_iommufd cmd = { .argsz = sizeof(cmd), .iommufd = iommufd };

	return client_call(f->c, dev, UAPI_DEVICE_BIND_IOMMUFD, &cmd, sizeof(cmd));
}

static long attach(struct fixture *f, int dev, uint32_t id)
{
	struct uapi_attach_pt cmd = { .argsz = 12, .pt_id = id };

	return client_call(f->c, dev, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 12);
}

static long detach(struct fixture *f, int dev)
{
	struct uapi_detach_pt cmd = { .argsz = 8 };

	return client_call(f->c, dev, UAPI_DEVICE_DETACH_IOMMUFD_PT, &cmd, 8);
}

/* Device 0 to the IOAS: from then on pages are pinned, and everything is aligned to them. */
static int attach_first(struct fixture *f)
{
	int dev = client_open(f->c, CBIT_FILE_DEVICE, 0);

	assert_int_equal(bind(f, dev, f->iommufd), 0);
	assert_int_equal(attach(f, dev, f->ioas), 0);
	return dev;
}

/* A structure may be longer than what is known, as long as the rest is zero. */
static void test_sizes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t size, there;
		unsigned int dirty; /* a byte that is not zero, 0 for none */
		long ret;
	} cases[] = {
		{ 0, 12, 0, -EINVAL },
		{ 11, 12, 0, -EINVAL },
		{ 12, 11, 0, -EFAULT },
		{ 12, 12, 0, 0 },
		{ 13, 13, 0, 0 },
		{ 13, 12, 0, -EFAULT },
		{ 200, 200, 0, 0 },
		{ 13, 13, 12, -E2BIG },
		{ 200, 200, 199, -E2BIG },
		{ 200, 200, 140, -E2BIG },
		{ 200, 300, 200, 0 },
		{ 4096, 4096, 4095, -E2BIG },
		{ 4096, 4096, 0, 0 },
		{ 200, 100, 0, -EFAULT },
		{ UINT32_MAX, 4096, 20, -E2BIG },
	};
	uint32_t last = f->ioas;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[4096] = { 0 };
		uint32_t id;
		long ret;

		memcpy(buf, &cases[i].size, 4);
		if (cases[i].dirty)
			buf[cases[i].dirty] = 1;
		ret = client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC, buf, cases[i].there);
		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld", i, ret);
		memcpy(&id, buf + 8, 4);
		if (!ret) {
			assert_true(id > last);
			last = id;
		}
	}
	assert_int_equal(client_ioctl(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC, NOWHERE), -EFAULT);
	assert_int_equal(client_ioctl(f->c, f->iommufd, UAPI_NR(0x95), ARGS), -ENOTTY);
	/* the number counts, then the whole command */
	assert_int_equal(
		client_ioctl(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC | 1u << 30, NOWHERE),
		-EFAULT);
	assert_int_equal(client_ioctl(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC | 1u << 30, ARGS),
			 -ENOTTY);
}

static void test_alloc_destroy(void **state)
{
	struct fixture *f = *state;
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc), .flags = 1 };

	assert_int_equal(
		client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)),
		-EOPNOTSUPP);
	assert_int_equal(destroy(f, f->ioas + 1), -ENOENT);
	assert_int_equal(destroy(f, 0), -ENOENT);
	assert_int_equal(map(f, 0, RAM, P), 0);
	/* its mappings go with it */
	assert_int_equal(destroy(f, f->ioas), 0);
	assert_int_equal(f->c->pinned, 0);
	assert_int_equal(destroy(f, f->ioas), -ENOENT);
	assert_int_equal(map(f, 0, RAM, P), -ENOENT);
}

static void test_ranges(void **state)
{
	struct fixture *f = *state;
	static const struct uapi_iova_range want[] = {
		{ 0, 0xfedfffff },
		{ 0xfef00000, 0xfcffffffff },
		{ 0x10000000000, UINT64_MAX },
	};
	struct uapi_iova_range got[4];
	int dev = client_open(f->c, CBIT_FILE_DEVICE, 0);

	/* reserved ranges are those of the devices attached */
	assert_int_equal(bind(f, dev, f->iommufd), 0);
	assert_int_equal(attach(f, dev, f->ioas), 0);
	for (uint32_t n = 0; n <= 4; n++) {
		struct uapi_ioas_iova_ranges cmd = { .size = sizeof(cmd),
						     .ioas_id = f->ioas,
						     .num_iovas = n,
						     .allowed_iovas = ARGS };

		memset(f->c->args, 0xaa, sizeof(got));
		assert_int_equal(client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_IOVA_RANGES, &cmd,
					     sizeof(cmd)),
				 n < 3 ? -EMSGSIZE : 0);
		assert_int_equal(cmd.num_iovas, 3);
		assert_int_equal(cmd.out_iova_alignment, P);
		memcpy(got, f->c->args, sizeof(got));
		for (uint32_t i = 0; i < 4; i++) {
			if (i < n && i < 3)
				assert_memory_equal(&got[i], &want[i], sizeof(got[i]));
			else
				assert_int_equal(got[i].start, 0xaaaaaaaaaaaaaaaa);
		}
	}
	for (unsigned int i = 0; i < 3; i++) {
		struct uapi_ioas_iova_ranges cmd = { .size = sizeof(cmd),
						     .ioas_id = f->ioas + (i == 1),
						     .num_iovas = 3,
						     .reserved = i == 0,
						     .allowed_iovas = i == 2 ? NOWHERE : ARGS };
		static const long ret[] = { -EOPNOTSUPP, -ENOENT, -EFAULT };

		assert_int_equal(client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_IOVA_RANGES, &cmd,
					     sizeof(cmd)),
				 ret[i]);
	}
}

static void test_map(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t flags, ioas, reserved;
		uint64_t va, len, iova;
		long ret;
	} cases[] = {
		{ 8, 0, 0, RAM, P, 0, -EOPNOTSUPP },
		{ 7, 0, 1, RAM, P, 0, -EOPNOTSUPP },
		{ 8, 0, 0, RAM, UINT64_MAX, 0, -EOPNOTSUPP },
		{ 1, 9, 0, RAM, P, UINT64_MAX, -EOVERFLOW },
		{ 1, 9, 0, RAM, UINT64_MAX, 0, -EOVERFLOW },
		{ 1, 9, 0, RAM, P, 0, -EINVAL },
		{ 7, 9, 0, RAM, 0, 0, -ENOENT },
		{ 7, 0, 0, RAM, 0, 0, -EINVAL },
		{ 7, 0, 0, RAM, 2 * P, UINT64_C(0xfffffffffffff000), -EOVERFLOW },
		{ 7, 0, 0, UINT64_C(0xfffffffffffff000), 2 * P, 0, -EOVERFLOW },
		{ 7, 0, 0, RAM, P, 0x100, -EINVAL },
		{ 7, 0, 0, RAM, 2 * P, UINT64_C(0xfffffffffffff100), -EINVAL },
		{ 7, 0, 0, RAM, 0x101, 0, -EINVAL },
		{ 7, 0, 0, UINT64_C(0xffffffffffffffff), 0, 0, -EINVAL },
		{ 7, 0, 0, UINT64_C(0xfffffffffffff000), P, 0, -EOVERFLOW },
		{ 7, 0, 0, RAM + 1, P, 0x40000, -EEXIST },
		{ 7, 0, 0, RAM + 1, P, 0, -EINVAL },
		{ 7, 0, 0, RAM, P, 0x40000, -EEXIST },
		{ 7, 0, 0, RAM, 2 * P, 0x3f000, -EEXIST },
		{ 7, 0, 0, NOWHERE, P, 0, -EFAULT },
		{ 7, 0, 0, READONLY, P, 0, -EFAULT },
		{ 5, 0, 0, READONLY, P, 0, 0 },
		{ 3, 0, 0, RAM, P, 0x1000, 0 },
	};
	struct cbit_device_info dev;

	attach_first(f);
	assert_int_equal(map(f, 0x40000, RAM, 2 * P), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_ioas_map cmd = { .size = sizeof(cmd),
					     .flags = cases[i].flags,
					     .ioas_id = f->ioas + cases[i].ioas,
					     .reserved = cases[i].reserved,
					     .user_va = cases[i].va,
					     .length = cases[i].len,
					     .iova = cases[i].iova };
		int64_t pinned = f->c->pinned;
		long ret = client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_MAP, &cmd, sizeof(cmd));

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
		assert_int_equal(f->c->pinned, pinned + !ret);
	}
	/* iommufd pins pages only: a BAR is refused, also behind memory */
	assert_true(cbit_machine_device(f->c->machine, 0, &dev));
	client_add(f->c, RAM + RAM_SIZE, 16 * P, cbit_pci_bar(dev.pci, 2)->spa.v, CBIT_MEM_MMIO,
		   NULL);
	f->c->pins = 0;
	assert_int_equal(map(f, 0x80000, RAM + RAM_SIZE, P), -EFAULT);
	assert_int_equal(map(f, 0x80000, RAM + RAM_SIZE - P, 2 * P), -EFAULT);
	assert_int_equal(f->c->pins, 3);
	assert_int_equal(f->c->pinned, 4);
}

static void test_unmap(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t iova, len;
		long ret;
		uint64_t done;
	} cases[] = {
		{ 0, P, -ENOENT, 0 },
		{ 0, 0, -EINVAL, 0 },
		{ UINT64_MAX, P, -EOVERFLOW, 0 },
		{ P, UINT64_MAX, -EOVERFLOW, 0 },
		{ UINT64_C(0xfffffffffffff000), 2 * P, -EOVERFLOW, 0 },
		/* nothing is ever split */
		{ 0x10000, P, -ENOENT, 0 },
		{ 0x11000, 3 * P, -ENOENT, 0 },
		{ 0xf000, 2 * P, -ENOENT, 0 },
		/* nor brought back: what lay whole before the one that is cut is gone */
		{ 0x10000, 5 * P, -ENOENT, 4 * P },
		{ 0x10000, 4 * P, 0, 4 * P },
		{ 0x10000, 0x10000, 0, 6 * P },
		{ 0, 0x100000, 0, 6 * P },
		{ 0, UINT64_MAX, 0, 6 * P },
	};

	attach_first(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t len = UINT64_MAX;
		long ret;

		/* everything may be nothing */
		assert_int_equal(unmap(f, 0, &len), 0);
		assert_int_equal(f->c->pinned, 0);
		assert_int_equal(map(f, 0x10000, RAM, 4 * P), 0);
		assert_int_equal(map(f, 0x14000, RAM, 2 * P), 0);
		len = cases[i].len;
		ret = unmap(f, cases[i].iova, &len);
		if (ret != cases[i].ret || (!ret && len != cases[i].done))
			fail_msg("case %zu: %ld, 0x%lx", i, ret, (unsigned long)len);
		assert_int_equal(f->c->pinned, 6 - (int64_t)(cases[i].done / P));
	}
}

static void test_bind(void **state)
{
	struct fixture *f = *state;
	struct uapi_bind_iommufd cmd = { .argsz = 15, .iommufd = f->iommufd };
	int dev = client_open(f->c, CBIT_FILE_DEVICE, 0), other, eventfd, group;

	eventfd = client_fd_new(f->c, FD_EVENTFD, NULL);
	/* nothing can be done before */
	assert_int_equal(client_ioctl(f->c, dev, UAPI_DEVICE_RESET, 0), -EINVAL);
	assert_int_equal(attach(f, dev, f->ioas), -EINVAL);
	assert_int_equal(cbit_vfio_rw(f->c->fd[dev].file,
				      cbit_vfio_offset(NULL, UAPI_PCI_CONFIG_REGION), f->c->ram, 4,
				      false),
			 -EINVAL);
	assert_int_equal(client_call(f->c, dev, UAPI_DEVICE_BIND_IOMMUFD, &cmd, 16), -EINVAL);
	cmd.argsz = 16;
	assert_int_equal(client_call(f->c, dev, UAPI_DEVICE_BIND_IOMMUFD, &cmd, 15), -EFAULT);
	cmd.flags = 2;
	assert_int_equal(client_call(f->c, dev, UAPI_DEVICE_BIND_IOMMUFD, &cmd, 16), -EINVAL);
	assert_int_equal(bind(f, dev, -1), -EINVAL);
	assert_int_equal(bind(f, dev, 60), -EBADF);
	assert_int_equal(bind(f, dev, eventfd), -EBADFD);
	/* the group's way and this one exclude each other, also before the descriptor is seen */
	group = client_open(f->c, CBIT_FILE_GROUP, 1);
	assert_int_equal(bind(f, dev, 60), -EBUSY);
	client_close(f->c, group);
	cmd.flags = 0;
	cmd.out_devid = 0;
	assert_int_equal(client_call(f->c, dev, UAPI_DEVICE_BIND_IOMMUFD, &cmd, 16), 0);
	assert_true(cmd.out_devid > 0);
	assert_int_equal(client_open(f->c, CBIT_FILE_GROUP, 1), -EBUSY);
	assert_int_equal(bind(f, dev, f->iommufd), -EINVAL);
	assert_int_equal(bind(f, dev, 60), -EINVAL);
	/* a second file of the device cannot have it; its descriptor is looked at first */
	other = client_open(f->c, CBIT_FILE_DEVICE, 0);
	assert_int_equal(bind(f, other, 60), -EBADF);
	assert_int_equal(bind(f, other, f->iommufd), -EINVAL);
	assert_int_equal(client_ioctl(f->c, other, UAPI_DEVICE_RESET, 0), -EINVAL);
	client_close(f->c, other);
	assert_int_equal(client_ioctl(f->c, dev, UAPI_DEVICE_RESET, 0), 0);
	client_close(f->c, dev);
	group = client_open(f->c, CBIT_FILE_GROUP, 1);
	assert_true(group >= 0);
}

static void test_attach(void **state)
{
	struct fixture *f = *state;
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct uapi_attach_pt cmd = { .argsz = 11, .pt_id = f->ioas };
	int dev = client_open(f->c, CBIT_FILE_DEVICE, 0);
	struct cbit_mapping_info info;

	assert_int_equal(bind(f, dev, f->iommufd), 0);
	assert_int_equal(map(f, 0x7000, RAM, P), 0);
	assert_int_equal(client_call(f->c, dev, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 12), -EINVAL);
	cmd.argsz = 12;
	assert_int_equal(client_call(f->c, dev, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 11), -EFAULT);
	/* numbers are those of objects of any kind; the IOAS came first, then the device */
	assert_int_equal(attach(f, dev, f->ioas + 2), -ENOENT);
	assert_int_equal(attach(f, dev, f->ioas + 1), -EINVAL);
	assert_int_equal(destroy(f, f->ioas + 1), -EBUSY);
	assert_false(cbit_vfio_describe(f->c->fd[dev].file, CBIT_IOVA(0x7000), &info));
	cmd.pt_id = f->ioas;
	assert_int_equal(client_call(f->c, dev, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 12), 0);
	assert_true(cbit_vfio_describe(f->c->fd[dev].file, CBIT_IOVA(0x7000), &info));
	assert_int_equal(destroy(f, f->ioas), -EBUSY);
	/* what comes back is the page table that was made; it can be attached to as well */
	assert_int_equal(cmd.pt_id, f->ioas + 2);
	assert_int_equal(destroy(f, cmd.pt_id), -EBUSY);
	assert_int_equal(attach(f, dev, cmd.pt_id), 0);
	/* replaced by another one */
	assert_int_equal(
		client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)), 0);
	assert_int_equal(alloc.out_ioas_id, f->ioas + 3);
	assert_int_equal(attach(f, dev, alloc.out_ioas_id), 0);
	assert_int_equal(destroy(f, f->ioas + 2), -ENOENT);
	assert_false(cbit_vfio_describe(f->c->fd[dev].file, CBIT_IOVA(0x7000), &info));
	assert_int_equal(destroy(f, f->ioas), 0);
	assert_int_equal(destroy(f, alloc.out_ioas_id), -EBUSY);
	assert_int_equal(detach(f, dev), 0);
	assert_int_equal(detach(f, dev), 0);
	assert_int_equal(destroy(f, alloc.out_ioas_id), 0);
}

/* Closing the iommufd before the device that is bound to it leaves it working. */
static void test_close_orders(void **state)
{
	struct fixture *f = *state;
	int dev = client_open(f->c, CBIT_FILE_DEVICE, 0);
	struct cbit_mapping_info info;

	assert_int_equal(map(f, 0x7000, RAM, P), 0);
	assert_int_equal(bind(f, dev, f->iommufd), 0);
	assert_int_equal(attach(f, dev, f->ioas), 0);
	client_close(f->c, f->iommufd);
	assert_int_equal(f->c->pinned, 1);
	assert_true(cbit_vfio_describe(f->c->fd[dev].file, CBIT_IOVA(0x7000), &info));
	client_close(f->c, dev);
	assert_int_equal(f->c->pinned, 0);
	assert_int_equal(f->c->events[CBIT_EVENT_MAPPING_LEAKED], 1);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_sizes), T(test_alloc_destroy), T(test_ranges), T(test_map),
		T(test_unmap), T(test_bind),          T(test_attach), T(test_close_orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
