/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device files: information, regions, reading and writing them, and which ranges may be
 * mapped. As Linux 7.2's vfio-pci.
 */
#include "client_rig.h"

#define P      CBIT_PAGE_SIZE
#define MEMBAR ((uint64_t)1 << 20)

struct fixture {
	struct client *c;
	struct opened o;
	struct cbit_file *file;
	struct cbit_pci *pci;
};

static int setup(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct cbit_device_info dev;

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat,membar=1M");
	assert_true(cbit_machine_device(f->c->machine, 0, &dev));
	f->pci = dev.pci;
	f->o = client_start(f->c, UAPI_TYPE1v2_IOMMU);
	f->file = f->c->fd[f->o.device].file;
	*state = f;
	return 0;
}

static void test_info(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t argsz, there;
		long ret;
	} cases[] = {
		{ 15, 16, -EINVAL }, { 16, 15, -EFAULT }, { 16, 16, 0 },
		{ 20, 20, 0 },       { 24, 24, 0 },       { 100, 24, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_device_info info;

		memset(&info, 0xaa, sizeof(info));
		info.argsz = cases[i].argsz;
		assert_int_equal(
			client_call(f->c, f->o.device, UAPI_DEVICE_GET_INFO, &info, cases[i].there),
			cases[i].ret);
		assert_int_equal(info.argsz, cases[i].argsz);
		if (cases[i].ret)
			continue;
		assert_int_equal(info.flags, UAPI_DEVICE_FLAGS_PCI | UAPI_DEVICE_FLAGS_RESET);
		assert_int_equal(info.num_regions, 9);
		assert_int_equal(info.num_irqs, 5);
		assert_int_equal(info.cap_offset, cases[i].there > 16 ? 0 : 0xaaaaaaaa);
	}
}

static void test_region_info(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t index;
		uint64_t size;
		uint32_t flags;
	} cases[] = {
		{ 0, 0x4000, 7 },
		{ 1, 0, 0 },
		{ 2, MEMBAR, 7 },
		{ 3, 0, 0 },
		{ 5, 0, 0 },
		{ 6, 0, 0 },
		{ 7, CBIT_PCI_CONFIG_SIZE, 3 },
	};
	struct uapi_region_info info = { .argsz = 31 };

	assert_int_equal(client_call(f->c, f->o.device, UAPI_DEVICE_GET_REGION_INFO, &info, 32),
			 -EINVAL);
	info.argsz = 32;
	assert_int_equal(client_call(f->c, f->o.device, UAPI_DEVICE_GET_REGION_INFO, &info, 31),
			 -EFAULT);
	for (uint32_t index = 8; index < 20; index++) {
		info.index = index;
		assert_int_equal(
			client_call(f->c, f->o.device, UAPI_DEVICE_GET_REGION_INFO, &info, 32),
			-EINVAL);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&info, 0xaa, sizeof(info));
		info.argsz = 40;
		info.index = cases[i].index;
		assert_int_equal(
			client_call(f->c, f->o.device, UAPI_DEVICE_GET_REGION_INFO, &info, 32), 0);
		assert_int_equal(info.argsz, 40);
		assert_int_equal(info.size, cases[i].size);
		assert_int_equal(info.flags, cases[i].flags);
		assert_int_equal(info.cap_offset, 0xaaaaaaaa); /* left as it came */
		assert_int_equal(info.offset, cbit_vfio_offset(f->pci, cases[i].index));
	}
}

/* BAR4 holds the MSI-X table, which may be mapped along with the rest. */
static void test_region_caps(void **state)
{
	struct fixture *f = *state;
	struct {
		struct uapi_region_info info;
		struct uapi_cap_header cap;
	} r;

	for (uint32_t argsz = 32; argsz <= 40; argsz += 8) {
		memset(&r, 0xaa, sizeof(r));
		r.info.argsz = argsz;
		r.info.index = 4;
		assert_int_equal(
			client_call(f->c, f->o.device, UAPI_DEVICE_GET_REGION_INFO, &r, argsz), 0);
		assert_int_equal(r.info.argsz, 40);
		assert_int_equal(r.info.flags, 15);
		assert_int_equal(r.info.cap_offset, argsz == 40 ? 32 : 0);
		assert_int_equal(r.cap.id, argsz == 40 ? 3 : 0xaaaa);
	}
	assert_int_equal(r.cap.version, 1);
	assert_int_equal(r.cap.next, 0);
	r.info.argsz = 40;
	assert_int_equal(client_call(f->c, f->o.device, UAPI_DEVICE_GET_REGION_INFO, &r, 36),
			 -EFAULT);
}

/* Behind registers that are not for the taking: nvme with a region in BAR4 has its table so. */
static void test_table_in_bar0(void **state)
{
	static const struct {
		uint64_t pos;
		long ret;
	} cases[] = {
		{ 0x1000, 0 }, /* a doorbell */
		{ 0x1ffc, 0 }, /* just before the table of 64 entries, across its edges, in it */
		{ 0x1ffe, -EINVAL }, { 0x2000, -EINVAL }, { 0x23fc, -EINVAL },
		{ 0x23fe, -EINVAL }, { 0x2400, 0 },
	};
	struct client *c = client_up("sme", "complete", NULL);
	struct uapi_region_info info = { .argsz = sizeof(info) };
	struct cbit_device_info dev;
	struct opened o;

	(void)state;
	client_plug(c, "nvme,size=1M,pmr=64K");
	assert_true(cbit_machine_device(c->machine, 0, &dev));
	o = client_start(c, UAPI_TYPE1v2_IOMMU);
	assert_int_equal(client_call(c, o.device, UAPI_DEVICE_GET_REGION_INFO, &info, sizeof(info)),
			 0);
	assert_int_equal(info.flags, 15);
	info = (struct uapi_region_info){ .argsz = sizeof(info), .index = 4 };
	assert_int_equal(client_call(c, o.device, UAPI_DEVICE_GET_REGION_INFO, &info, sizeof(info)),
			 0);
	assert_int_equal(info.flags, 7);
	assert_int_equal(info.size, 0x10000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_ioeventfd arg = { .argsz = 28,
					      .flags = 4,
					      .offset = cbit_vfio_offset(dev.pci, 0) + cases[i].pos,
					      .fd = client_fd_new(c, FD_EVENTFD, NULL) };
		long ret = client_call(c, o.device, UAPI_DEVICE_IOEVENTFD, &arg, 28);

		if (ret != cases[i].ret)
			fail_msg("0x%llx: %ld", (unsigned long long)cases[i].pos, ret);
	}
	client_down(c);
}

static uint64_t at(struct fixture *f, unsigned int index, uint64_t pos)
{
	return cbit_vfio_offset(f->pci, index) + pos;
}

static void test_config(void **state)
{
	struct fixture *f = *state;
	uint8_t buf[CBIT_PCI_CONFIG_SIZE + 1], direct[64];
	static const struct {
		uint64_t pos;
		size_t len;
		long ret;
	} cases[] = {
		{ 0, 0, 0 },          { 0, 4096, 4096 },    { 0, 4097, -EFAULT }, { 4095, 1, 1 },
		{ 4095, 2, -EFAULT }, { 4096, 1, -EFAULT }, { 4092, 8, -EFAULT }, { 5000, 0, 0 },
	};
	uint16_t command = 0x0006;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			cbit_vfio_rw(f->file, at(f, 7, cases[i].pos), buf, cases[i].len, false),
			cases[i].ret);
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 7, 0), buf, 64, false), 64);
	cbit_pci_config_read(f->pci, 0, direct, sizeof(direct));
	assert_memory_equal(buf, direct, sizeof(direct));
	assert_int_equal(buf[0] | buf[1] << 8, 0x8086);
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 7, 4), &command, 2, true), 2);
	command = 0;
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 7, 4), &command, 2, false), 2);
	assert_int_equal(command, 6);
	/* an access that goes beyond the end does nothing at all */
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 7, 4), buf, 4096, true), -EFAULT);
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 7, 4), &command, 2, false), 2);
	assert_int_equal(command, 6);
}

static void test_bars(void **state)
{
	struct fixture *f = *state;
	uint8_t *buf = malloc(MEMBAR + 16), *back = malloc(MEMBAR + 16);
	static const struct {
		unsigned int index;
		uint64_t pos;
		size_t len;
		long ret;
	} cases[] = {
		{ 2, 0, 0, 0 },
		{ 2, MEMBAR - 1, 1, 1 },
		{ 2, MEMBAR - 1, 8, 1 },
		{ 2, MEMBAR, 1, -EINVAL },
		{ 2, MEMBAR + 7, 0, 0 },
		{ 2, 0, MEMBAR + 16, (long)MEMBAR },
		{ 2, 3, MEMBAR, (long)MEMBAR - 3 },
		{ 0, 0x4000, 4, -EINVAL },
		{ 0, 0x3ffc, 8, 4 },
		{ 1, 0, 4, -EINVAL },
		{ 6, 0, 4, -EINVAL },
		{ 8, 0, 4, -EINVAL },
		{ 9, 0, 4, -EINVAL },
		{ 200, 0, 4, -EINVAL },
	};
	uint16_t command = 2;

	assert_int_equal(cbit_vfio_rw(f->file, at(f, 7, 4), &command, 2, true), 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cbit_vfio_rw(f->file, at(f, cases[i].index, cases[i].pos), buf,
					      cases[i].len, false),
				 cases[i].ret);
	}
	/* every byte of it, in pieces that are not aligned */
	for (size_t i = 0; i < MEMBAR; i++)
		buf[i] = (uint8_t)(i * 7 + (i >> 9));
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 2, 0), buf, 5, true), 5);
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 2, 5), buf + 5, MEMBAR - 5, true), MEMBAR - 5);
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 2, 0), back, MEMBAR, false), MEMBAR);
	assert_memory_equal(buf, back, MEMBAR);
	assert_memory_equal(buf, cbit_pci_bar(f->pci, 2)->memory, MEMBAR);
	/* the ioat's registers: version */
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 0, 8), back, 1, false), 1);
	assert_int_equal(back[0], 0x33);
	free(buf);
	free(back);
}

static void test_no_device_file(void **state)
{
	struct fixture *f = *state;
	struct cbit_file *container = f->c->fd[f->o.container].file;
	uint8_t b[4];

	assert_int_equal(cbit_vfio_rw(container, at(f, 7, 0), b, 4, false), -EINVAL);
	assert_int_equal(cbit_vfio_mmap_check(container, at(f, 2, 0), P, true), -EINVAL);
	assert_int_equal(cbit_vfio_device_index(container), UINT32_MAX);
	assert_int_equal(cbit_vfio_device_index(f->file), 0);
}

static void test_mmap_check(void **state)
{
	struct fixture *f = *state;
	static const struct {
		unsigned int index;
		uint64_t pos, len;
		bool private;
		int ret;
	} cases[] = {
		{ 2, 0, MEMBAR, false, 0 },
		{ 2, 0, MEMBAR, true, -EINVAL },
		{ 2, 0, P, false, 0 },
		{ 2, 0, 1, false, 0 },
		{ 2, MEMBAR - P, P, false, 0 },
		{ 2, MEMBAR - P, 1, false, 0 },
		{ 2, MEMBAR - P, P + 1, false, -EINVAL },
		{ 2, 0, MEMBAR + 1, false, -EINVAL },
		{ 2, 0, 0, false, -EINVAL },
		{ 2, MEMBAR, P, false, -EINVAL },
		{ 2, MEMBAR + P, P, false, -EINVAL },
		{ 2, P, UINT64_MAX - P + 1, false, -EINVAL },
		{ 0, 0, 0x4000, false, 0 },
		{ 0, 0, 0x5000, false, -EINVAL },
		{ 1, 0, P, false, -EINVAL },
		{ 4, 0, 0x4000, false, 0 },
		{ 6, 0, P, false, -EINVAL },
		{ 7, 0, P, false, -EINVAL },
		{ 8, 0, P, false, -EINVAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret = cbit_vfio_mmap_check(f->file, at(f, cases[i].index, cases[i].pos),
					       cases[i].len, !cases[i].private);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %d", i, ret);
	}
	/* the marks of the offset belong to it */
	assert_int_equal(
		cbit_vfio_mmap_check(f->file, at(f, 2, 0) ^ CBIT_VFIO_OFFSET_MARK, P, true),
		-EINVAL);
	assert_int_equal(
		cbit_vfio_mmap_check(f->file, at(f, 2, 0) ^ CBIT_VFIO_OFFSET_TRAP, P, true),
		-EINVAL);
	assert_int_equal(
		cbit_vfio_mmap_check(f->file, at(f, 0, 0) ^ CBIT_VFIO_OFFSET_TRAP, P, true),
		-EINVAL);
}

static void test_feature(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t argsz, flags;
		long ret;
	} cases[] = {
		{ 7, UAPI_FEATURE_GET, -EINVAL },
		{ 8, 1u << 19, -EINVAL },
		{ 8, 1u << 31, -EINVAL },
		{ 8, UAPI_FEATURE_GET | UAPI_FEATURE_SET, -EINVAL },
		{ 8, UAPI_FEATURE_GET | UAPI_FEATURE_SET | UAPI_FEATURE_PROBE, -ENOTTY },
		{ 8, UAPI_FEATURE_GET | 1000, -ENOTTY },
		{ 8, UAPI_FEATURE_PROBE | UAPI_FEATURE_SET, -ENOTTY },
		/* low power: entry with and without wake-up, exit */
		{ 8, 3 | UAPI_FEATURE_PROBE, 0 },
		{ 8, 3 | UAPI_FEATURE_PROBE | UAPI_FEATURE_SET, 0 },
		{ 8, 3 | UAPI_FEATURE_GET, -EINVAL },
		{ 8, 3, -EINVAL },
		{ 8, 3 | UAPI_FEATURE_SET, 0 },
		{ 8, 3 | UAPI_FEATURE_SET, -EINVAL },
		{ 8, 5 | UAPI_FEATURE_SET, 0 },
		{ 8, 5 | UAPI_FEATURE_SET, 0 },
		{ 8, 3 | UAPI_FEATURE_SET, 0 },
		{ 8, 5 | UAPI_FEATURE_SET, 0 },
		{ 15, 4 | UAPI_FEATURE_SET, -EINVAL },
		{ 16, 4 | UAPI_FEATURE_SET, -EFAULT },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_feature feat = { .argsz = cases[i].argsz, .flags = cases[i].flags };

		assert_int_equal(
			client_call(f->c, f->o.device, UAPI_DEVICE_FEATURE, &feat, sizeof(feat)),
			cases[i].ret);
	}
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t cmd, argsz, flags, count;
		long ret;
	} cases[] = {
		{ UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, 11, 0, 0, -EINVAL },
		{ UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, 12, 0, 0, -ENOSPC },
		{ UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, 19, 0, 0, -ENOSPC },
		{ UAPI_DEVICE_PCI_HOT_RESET, 11, 0, 1, -EINVAL },
		{ UAPI_DEVICE_PCI_HOT_RESET, 12, 1, 1, -EINVAL },
		/* who came through a group has to name groups */
		{ UAPI_DEVICE_PCI_HOT_RESET, 12, 0, 0, -EINVAL },
		/* more groups than devices; a group that is not shown at all */
		{ UAPI_DEVICE_PCI_HOT_RESET, 12, 0, 2, -EINVAL },
		{ UAPI_DEVICE_PCI_HOT_RESET, 12, 0, 1, -EFAULT },
	};
	uint64_t v = 0x1234;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_hot_reset hdr = { cases[i].argsz, cases[i].flags, cases[i].count };

		assert_int_equal(client_call(f->c, f->o.device, cases[i].cmd, &hdr, sizeof(hdr)),
				 cases[i].ret);
		assert_int_equal(client_ioctl(f->c, f->o.device, cases[i].cmd, NOWHERE), -EFAULT);
	}
	/* a reset takes the registers with it */
	cbit_vfio_rw(f->file, at(f, 7, 4), &(uint16_t){ 2 }, 2, true);
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 0, 0x98), &v, 8, true), 8);
	assert_int_equal(client_ioctl(f->c, f->o.device, UAPI_DEVICE_RESET, 0), 0);
	assert_int_equal(cbit_vfio_rw(f->file, at(f, 0, 0x98), &v, 8, false), 8);
	assert_int_equal(v, 0);
	assert_int_equal(client_ioctl(f->c, f->o.device, UAPI_NR(99), 0), -ENOTTY);
	/* what only device nodes know */
	assert_int_equal(client_ioctl(f->c, f->o.device, UAPI_DEVICE_ATTACH_IOMMUFD_PT, ARGS),
			 -ENOTTY);
}

/* Two functions of one device, in two groups: reset together, by who owns what is in use. */
static void test_hot_reset(void **state)
{
	struct fixture *f = *state;
	struct client *c;
	struct {
		struct uapi_hot_reset head;
		struct uapi_dependent_device list[2];
	} info = { .head = { .argsz = sizeof(info) } };
	struct {
		struct uapi_hot_reset head;
		int32_t fds[2];
	} reset = { .head = { .argsz = sizeof(reset), .count = 1 } };
	struct opened o;
	int group2, device2, eventfd;
	char name[] = "0000:01:00.1";

	(void)f;
	c = client_up("sme", "complete", NULL);
	client_plug(c, "ioat");
	client_plug(c, "ioat,addr=0000:01:00.1");
	client_plug(c, "ioat,addr=0000:02:00.0");
	o = client_start(c, UAPI_TYPE1v2_IOMMU);
	assert_int_equal(
		client_call(c, o.device, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, &info, sizeof(info)),
		0);
	assert_int_equal(info.head.count, 2);
	assert_int_equal(info.list[0].id, 1);
	assert_int_equal(info.list[1].id, 2);
	assert_int_equal(info.list[1].bus, 1);
	assert_int_equal(info.list[1].devfn, 1);
	/* nobody uses the second function, but its group must be shown all the same */
	reset.fds[0] = o.group;
	assert_int_equal(client_call(c, o.device, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			 -EINVAL);
	group2 = client_open(c, CBIT_FILE_GROUP, 2);
	assert_int_equal(client_call(c, group2, UAPI_GROUP_SET_CONTAINER, &o.container, 4), 0);
	device2 = (int)client_call(c, group2, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	assert_true(device2 >= 0);
	assert_int_equal(client_call(c, o.device, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			 -EINVAL);
	reset.head.count = 2;
	reset.fds[1] = group2;
	assert_int_equal(client_call(c, o.device, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			 0);
	reset.fds[1] = 63;
	assert_int_equal(client_call(c, o.device, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			 -EBADF);
	eventfd = client_fd_new(c, FD_EVENTFD, NULL);
	reset.fds[1] = eventfd;
	assert_int_equal(client_call(c, o.device, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			 -EINVAL);
	client_down(c);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_info),
		T(test_region_info),
		T(test_region_caps),
		T(test_config),
		T(test_bars),
		T(test_no_device_file),
		T(test_mmap_check),
		T(test_feature),
		T(test_reset),
		T(test_hot_reset),
		cmocka_unit_test(test_table_in_bar0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
