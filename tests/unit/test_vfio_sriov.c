/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SR-IOV: which numbers virtual functions get, when they are there, the token that opens them, and
 * that each is a device of its own to the IOMMU.
 */
#include "iommufd_rig.h"

#define P CBIT_PAGE_SIZE

#define UUID_1 "52ac9bff-3a88-4fbd-901a-0d767c3b6c97"
#define UUID_2 "88594674-90A0-47A9-AEA8-9D9B352AC08A"

static const uint8_t uuid_1[16] = { 0x52, 0xac, 0x9b, 0xff, 0x3a, 0x88, 0x4f, 0xbd,
				    0x90, 0x1a, 0x0d, 0x76, 0x7c, 0x3b, 0x6c, 0x97 };
static const uint8_t uuid_2[16] = { 0x88, 0x59, 0x46, 0x74, 0x90, 0xa0, 0x47, 0xa9,
				    0xae, 0xa8, 0x9d, 0x9b, 0x35, 0x2a, 0xc0, 0x8a };

/* Devices 0 and 1 are physical, 2 to 5 the first one's virtual functions, in groups 3 to 6. */
static int setup(void **state)
{
	struct client *c = client_up("sme", "complete", NULL);

	client_plug(c, "ioat,membar=64K,sriov=4");
	client_plug(c, "ioat");
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	client_down(*state);
	return 0;
}

static struct cbit_device_info device(struct client *c, unsigned int index)
{
	struct cbit_device_info info;

	assert_true(cbit_machine_device(c->machine, index, &info));
	return info;
}

static void test_numbers(void **state)
{
	struct client *c = *state;
	struct cbit_device_info info;
	const struct cbit_bar_info *bars[4];

	assert_int_equal(device(c, 0).total_vfs, 4);
	assert_int_equal(device(c, 0).pf, UINT32_MAX);
	assert_int_equal(device(c, 1).total_vfs, 0);
	assert_int_equal(device(c, 1).group, 2);
	assert_string_equal(device(c, 1).bdf, "0000:02:00.0");
	for (unsigned int i = 0; i < 4; i++) {
		info = device(c, 2 + i);
		assert_int_equal(info.index, 2 + i);
		assert_int_equal(info.group, 3 + i);
		assert_int_equal(info.pf, 0);
		assert_int_equal(info.vf, i);
		assert_int_equal(info.total_vfs, 0);
		assert_false(info.present);
		assert_int_equal(info.bdf[11], '1' + i);
		assert_int_equal(cbit_pci_irq_count(info.pci, 0), 0);
		bars[i] = cbit_pci_bar(info.pci, 2);
	}
	assert_false(cbit_machine_device(c->machine, 6, &info));
	/* one window for the same BAR of all */
	for (unsigned int i = 1; i < 4; i++)
		assert_int_equal(bars[i]->spa.v, bars[0]->spa.v + i * bars[0]->size);
	/* another device, with others: the numbers of virtual ones give way */
	client_plug(c, "ioat,group=9,sriov=1");
	assert_int_equal(device(c, 2).group, 9);
	assert_int_equal(device(c, 3).pf, 0);
	assert_int_equal(device(c, 3).group, 10);
	assert_int_equal(device(c, 7).pf, 2);
	assert_int_equal(device(c, 7).group, 14);
	assert_string_equal(device(c, 7).bdf, "0000:03:00.1");
}

/* What cannot be plugged in leaves nothing behind, not even a virtual function. */
static void test_refused(void **state)
{
	static const struct {
		const char *spec;
		int ret;
	} cases[] = {
		{ "ioat,sriov=0", -EINVAL },
		{ "ioat,sriov=17", -EINVAL },
		{ "ioat,sriov=x", -EINVAL },
		{ "ioat,addr=0000:01:00.3", -EEXIST },
		{ "ioat,addr=0000:05:1f.0,sriov=8", -EINVAL },
		{ "ioat,addr=0000:00:1f.7,sriov=1", -EINVAL },
		{ "ioat,sriov=16", 0 },
		{ "ioat,sriov=16", -EINVAL },
		{ "ioat", 0 },
	};
	struct client *c = *state;
	unsigned int n = 6;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_error err = { 0 };
		struct cbit_device_info info;

		if (cbit_machine_add_device(c->machine, cases[i].spec, &err) != cases[i].ret)
			fail_msg("'%s': %d %s", cases[i].spec, err.code, err.text);
		assert_int_equal(err.text[0] != 0, cases[i].ret != 0);
		while (cases[i].ret == 0 && cbit_machine_device(c->machine, n, &info))
			n++;
		assert_false(cbit_machine_device(c->machine, n, &info));
		assert_true(cbit_machine_device(c->machine, n - 1, &info));
		assert_int_equal(info.index, n - 1);
	}
	assert_int_equal(n, 6 + 17 + 1);
}

static void test_enable(void **state)
{
	struct client *c = *state;
	struct cbit_machine *m = c->machine;
	uint32_t v[16];

	assert_int_equal(client_open(c, CBIT_FILE_GROUP, 3), -ENODEV);
	assert_int_equal(client_open(c, CBIT_FILE_DEVICE, 2), -ENODEV);
	assert_int_equal(cbit_machine_set_vfs(m, 9, 1), -ENODEV);
	assert_int_equal(cbit_machine_set_vfs(m, 1, 1), -ENOENT);
	assert_int_equal(cbit_machine_set_vfs(m, 2, 1), -ENOENT);
	assert_int_equal(cbit_machine_set_vfs(m, 0, 5), -ERANGE);
	assert_int_equal(cbit_machine_set_vfs(m, 0, 0), 0);
	assert_int_equal(cbit_machine_set_vfs(m, 0, 2), 0);
	assert_int_equal(cbit_machine_set_vfs(m, 0, 2), 0);
	assert_int_equal(cbit_machine_set_vfs(m, 0, 3), -EBUSY);
	assert_int_equal(device(c, 0).num_vfs, 2);
	assert_true(device(c, 3).present);
	assert_false(device(c, 4).present);
	assert_int_equal(client_open(c, CBIT_FILE_DEVICE, 4), -ENODEV);
	client_close(c, client_open(c, CBIT_FILE_GROUP, 3));
	client_close(c, client_open(c, CBIT_FILE_DEVICE, 3));
	/* the capability: there, right, and not to be written */
	cbit_pci_config_read(device(c, 0).pci, 0x100, v, sizeof(v));
	assert_int_equal(v[0], 0x00010010);
	assert_int_equal(v[2] & 0xffff, 0x19);
	assert_int_equal(v[3], 4 << 16 | 4);
	assert_int_equal(v[4] & 0xffff, 2);
	assert_int_equal(v[5], 1 << 16 | 1);
	assert_int_equal(v[6] >> 16, 0x2021);
	assert_int_equal((v[9] & ~0xfu) | (uint64_t)v[10] << 32,
			 cbit_pci_bar(device(c, 2).pci, 0)->spa.v);
	assert_int_equal((v[11] & ~0xfu) | (uint64_t)v[12] << 32,
			 cbit_pci_bar(device(c, 2).pci, 2)->spa.v);
	cbit_pci_config_write(device(c, 0).pci, 0x108, &(uint32_t){ 0 }, 4);
	cbit_pci_config_read(device(c, 0).pci, 0x108, v, 4);
	assert_int_equal(v[0] & 0xffff, 0x19);
	cbit_pci_config_read(device(c, 2).pci, 0x100, v, 4);
	assert_int_equal(v[0], 0);
	/* a function that others depend on stays awake */
	cbit_pci_config_write(device(c, 0).pci, 0x44, &(uint16_t){ 3 }, 2);
	cbit_pci_config_read(device(c, 0).pci, 0x44, v, 2);
	assert_int_equal(v[0] & 3, 0);
	assert_int_equal(cbit_machine_set_vfs(m, 0, 0), 0);
	assert_int_equal(client_open(c, CBIT_FILE_GROUP, 3), -ENODEV);
	cbit_pci_config_write(device(c, 0).pci, 0x44, &(uint16_t){ 3 }, 2);
	cbit_pci_config_read(device(c, 0).pci, 0x44, v, 2);
	assert_int_equal(v[0] & 3, 3);
	/* which ends with the next use of it */
	assert_int_equal(cbit_machine_set_vfs(m, 0, 4), 0);
	cbit_pci_config_read(device(c, 0).pci, 0x44, v, 2);
	assert_int_equal(v[0] & 3, 0);
}

static int group_with_container(struct client *c, unsigned int number)
{
	int group = client_open(c, CBIT_FILE_GROUP, number);
	int container = client_open(c, CBIT_FILE_CONTAINER, 0);

	assert_true(group >= 0 && container >= 0);
	assert_int_equal(client_call(c, group, UAPI_GROUP_SET_CONTAINER, &container, 4), 0);
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), 0);
	return group;
}

static long get_device(struct client *c, int group, const char *name)
{
	char buf[128];

	snprintf(buf, sizeof(buf), "%s", name);
	return client_call(c, group, UAPI_GROUP_GET_DEVICE_FD, buf, strlen(buf) + 1);
}

static long set_token(struct client *c, int device, const uint8_t uuid[16], uint32_t flags)
{
	struct {
		struct uapi_feature head;
		uint8_t uuid[16];
	} cmd = { .head = { sizeof(cmd), UAPI_FEATURE_PCI_VF_TOKEN | flags } };

	memcpy(cmd.uuid, uuid, 16);
	return client_call(c, device, UAPI_DEVICE_FEATURE, &cmd, sizeof(cmd));
}

static void test_token(void **state)
{
	static const struct {
		const char *options;
		long ret;
	} cases[] = {
		{ "", -EACCES },
		{ " vf_token=" UUID_2, -EACCES },
		{ " vf_token=", -EINVAL },
		{ " vf_token=52ac9bff-3a88-4fbd-901a-0d767c3b6c9", -EINVAL },
		{ " vf_token=52ac9bff-3a88-4fbd-901a-0d767c3b6c9g", -EINVAL },
		{ " vf_token=52ac9bff+3a88-4fbd-901a-0d767c3b6c97", -EINVAL },
		{ " vf_token=" UUID_1 "x", -EINVAL },
		{ " vf_token=" UUID_1 " vf_token=" UUID_1, -EINVAL },
		{ " token=" UUID_1, -EINVAL },
		{ "vf_token=" UUID_1, -ENODEV },
	};
	struct client *c = *state;
	char name[128];
	long pf, vf;
	int group, other;

	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 2), 0);
	group = group_with_container(c, 1);
	/* with no virtual function in use, what is given sets the token */
	pf = get_device(c, group, "0000:01:00.0 vf_token=" UUID_1);
	assert_true(pf >= 0);
	group = group_with_container(c, 3);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(name, sizeof(name), "0000:01:00.1%s", cases[i].options);
		if (get_device(c, group, name) != cases[i].ret)
			fail_msg("'%s'", name);
	}
	vf = get_device(c, group, "0000:01:00.1  vf_token=" UUID_1 " ");
	assert_true(vf >= 0);
	/* now whoever opens the physical one must know it */
	client_close(c, (int)pf);
	group = -1;
	for (int fd = 0; fd < CLIENT_FDS; fd++) {
		if (c->fd[fd].kind == FD_FILE &&
		    cbit_vfio_kind(c->fd[fd].file) == CBIT_FILE_GROUP &&
		    cbit_vfio_group_number(c->fd[fd].file) == 1)
			group = fd;
	}
	if (group < 0)
		fail_msg("group 1 is not open");
	assert_int_equal(get_device(c, group, "0000:01:00.0"), -EACCES);
	assert_int_equal(get_device(c, group, "0000:01:00.0 vf_token=" UUID_2), -EACCES);
	pf = get_device(c, group, "0000:01:00.0 vf_token=" UUID_1);
	assert_true(pf >= 0);
	/* it may be changed at any time, through the physical function alone */
	assert_int_equal(set_token(c, (int)pf, uuid_2, UAPI_FEATURE_PROBE | UAPI_FEATURE_SET), 0);
	assert_int_equal(set_token(c, (int)pf, uuid_2, UAPI_FEATURE_PROBE | UAPI_FEATURE_GET),
			 -EINVAL);
	assert_int_equal(set_token(c, (int)pf, uuid_2, UAPI_FEATURE_GET), -EINVAL);
	assert_int_equal(set_token(c, (int)vf, uuid_2, UAPI_FEATURE_SET), -ENOTTY);
	assert_int_equal(set_token(c, (int)pf, uuid_2, UAPI_FEATURE_SET), 0);
	other = group_with_container(c, 4);
	assert_int_equal(get_device(c, other, "0000:01:00.2 vf_token=" UUID_1), -EACCES);
	assert_true(get_device(c, other, "0000:01:00.2 vf_token=" UUID_2) >= 0);
	/* a function that is neither */
	other = group_with_container(c, 2);
	assert_int_equal(get_device(c, other, "0000:02:00.0 vf_token=" UUID_2), -EINVAL);
	vf = get_device(c, other, "0000:02:00.0 ");
	assert_true(vf >= 0);
	assert_int_equal(set_token(c, (int)vf, uuid_2, UAPI_FEATURE_SET), -ENOTTY);
}

static long bind_token(struct client *c, int device, int iommufd, const uint8_t *uuid)
{
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };

	if (uuid) {
		memcpy(c->args, uuid, 16);
		bind.flags = UAPI_BIND_FLAG_TOKEN;
		bind.token_uuid_ptr = ARGS;
	}
	return client_call(c, device, UAPI_DEVICE_BIND_IOMMUFD, &bind, sizeof(bind));
}

static void test_token_cdev(void **state)
{
	struct client *c = *state;
	int iommufd = client_open(c, CBIT_FILE_IOMMUFD, 0);
	int pf, vf, plain;

	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 1), 0);
	pf = client_open(c, CBIT_FILE_DEVICE, 0);
	vf = client_open(c, CBIT_FILE_DEVICE, 2);
	plain = client_open(c, CBIT_FILE_DEVICE, 1);
	assert_int_equal(bind_token(c, vf, iommufd, NULL), -EACCES);
	assert_int_equal(bind_token(c, pf, iommufd, uuid_1), 0);
	assert_int_equal(bind_token(c, vf, iommufd, NULL), -EACCES);
	assert_int_equal(bind_token(c, vf, iommufd, uuid_2), -EACCES);
	assert_int_equal(bind_token(c, vf, iommufd, uuid_1), 0);
	client_close(c, pf);
	pf = client_open(c, CBIT_FILE_DEVICE, 0);
	assert_int_equal(bind_token(c, pf, iommufd, NULL), -EACCES);
	client_close(c, vf);
	/* the last one is closed: nobody has to be convinced */
	assert_int_equal(bind_token(c, pf, iommufd, NULL), 0);
	assert_int_equal(bind_token(c, plain, iommufd, uuid_1), -EINVAL);
	assert_int_equal(bind_token(c, plain, iommufd, NULL), 0);
}

/* The same IOVA of two functions is two places; a function is reached by its own requests only. */
static void test_isolation(void **state)
{
	struct client *c = *state;
	struct cbit_iommu *iommu = cbit_machine_iommu(c->machine);
	long fd[3];
	int container[3];
	uint64_t word;

	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 2), 0);
	for (unsigned int i = 0; i < 3; i++) {
		static const unsigned int groups[] = { 1, 3, 4 };
		char name[64];
		int group = group_with_container(c, groups[i]);

		container[i] = group + 1;
		snprintf(name, sizeof(name), "0000:01:00.%u vf_token=" UUID_1, i);
		fd[i] = get_device(c, group, name);
		assert_true(fd[i] >= 0);
		assert_int_equal(client_map(c, container[i], 0x10000, RAM + i * P, P, 3), 0);
	}
	for (unsigned int i = 0; i < 3; i++) {
		uint16_t devid = (uint16_t)(0x100 + i);

		word = 0x1111 * (i + 1);
		assert_int_equal(
			cbit_iommu_dma_write(iommu, devid, CBIT_IOVA(0x10000), &word, 8, NULL),
			CBIT_DMA_OK);
	}
	for (unsigned int i = 0; i < 3; i++) {
		memcpy(&word, c->ram + i * P, 8);
		assert_int_equal(word, 0x1111 * (i + 1));
	}
	/* one that is not enabled has no table */
	assert_int_equal(cbit_iommu_dma_read(iommu, 0x103, CBIT_IOVA(0x10000), &word, 8, NULL),
			 CBIT_DMA_FAULT);
}

struct hot_reset {
	uint32_t argsz, flags, count;
	int32_t fds[4];
};

struct hot_reset_info {
	uint32_t argsz, flags, count;
	struct uapi_dependent_device list[4];
};

/*
 * A bus reset takes the virtual functions too, but to Linux each is a set of its own, so nobody
 * owns all that a reset would take: it is refused until they are gone.
 */
static void test_hot_reset(void **state)
{
	struct client *c = *state;
	int iommufd = client_open(c, CBIT_FILE_IOMMUFD, 0);
	int group = group_with_container(c, 1), vf_group;
	struct hot_reset reset = { .argsz = sizeof(reset), .count = 1, .fds = { group } };
	struct hot_reset_info info;
	long pf, vf;

	pf = get_device(c, group, "0000:01:00.0 vf_token=" UUID_1);
	assert_int_equal(client_call(c, (int)pf, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			 0);
	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 1), 0);
	vf_group = reset.fds[1] = group_with_container(c, 3);
	vf = get_device(c, vf_group, "0000:01:00.1 vf_token=" UUID_1);
	assert_true(vf >= 0);
	info = (struct hot_reset_info){ .argsz = sizeof(info) };
	assert_int_equal(
		client_call(c, (int)vf, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, &info, sizeof(info)),
		0);
	assert_int_equal(info.count, 2);
	assert_int_equal(info.list[0].id, 1);
	assert_int_equal(info.list[1].id, 3);
	for (reset.count = 1; reset.count <= 2; reset.count++) {
		assert_int_equal(
			client_call(c, (int)pf, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			-EINVAL);
		assert_int_equal(
			client_call(c, (int)vf, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			-EINVAL);
	}
	/* by cdev: of an iommufd that has both only the one that asks is owned */
	client_close(c, (int)vf);
	client_close(c, (int)pf);
	client_close(c, group);
	client_close(c, vf_group);
	pf = client_open(c, CBIT_FILE_DEVICE, 0);
	vf = client_open(c, CBIT_FILE_DEVICE, 2);
	assert_int_equal(bind_token(c, (int)pf, iommufd, uuid_1), 0);
	assert_int_equal(bind_token(c, (int)vf, iommufd, uuid_1), 0);
	info = (struct hot_reset_info){ .argsz = sizeof(info) };
	assert_int_equal(
		client_call(c, (int)pf, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, &info, sizeof(info)),
		0);
	assert_int_equal(info.flags, UAPI_HOT_RESET_DEV_ID);
	assert_true(info.list[0].id > 0 && info.list[0].id < 100);
	assert_int_equal(info.list[1].id, UAPI_HOT_RESET_NOT_OWNED);
	reset.count = 0;
	assert_int_equal(client_call(c, (int)pf, UAPI_DEVICE_PCI_HOT_RESET, &reset, sizeof(reset)),
			 -EINVAL);
}

/* Disabled while somebody has one open: it cannot be opened again, and its user is asked. */
static void test_disable_in_use(void **state)
{
	struct client *c = *state;
	int event = client_fd_new(c, FD_EVENTFD, NULL);
	struct {
		struct uapi_irq_set head;
		int32_t fd;
	} irq = { { sizeof(irq), UAPI_IRQ_SET_DATA_EVENTFD | UAPI_IRQ_SET_ACTION_TRIGGER,
		    UAPI_IRQ_REQ, 0, 1 },
		  event };
	int group;
	long vf;

	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 2), 0);
	group = group_with_container(c, 1);
	assert_true(get_device(c, group, "0000:01:00.0 vf_token=" UUID_1) >= 0);
	group = group_with_container(c, 3);
	vf = get_device(c, group, "0000:01:00.1 vf_token=" UUID_1);
	assert_true(vf >= 0);
	assert_int_equal(client_call(c, (int)vf, UAPI_DEVICE_SET_IRQS, &irq, sizeof(irq)), 0);
	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 0), 0);
	assert_int_equal(c->fd[event].count, 1);
	assert_int_equal(get_device(c, group, "0000:01:00.1 vf_token=" UUID_1), -ENODEV);
	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 1), -EBUSY);
	/* what is open goes on */
	assert_int_equal(client_ioctl(c, (int)vf, UAPI_DEVICE_RESET, 0), 0);
	client_close(c, (int)vf);
	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 1), 0);
	assert_true(get_device(c, group, "0000:01:00.1 vf_token=" UUID_1) >= 0);
}

/* A reset of the physical function is one of all. */
static void test_reset(void **state)
{
	struct client *c = *state;
	struct cbit_pci *pf = device(c, 0).pci, *vf = device(c, 2).pci, *off = device(c, 3).pci;
	struct cbit_pci *const both[] = { vf, off };
	uint64_t at = 0x123400;

	assert_int_equal(cbit_machine_set_vfs(c->machine, 0, 1), 0);
	for (unsigned int how = 0; how < 2; how++) {
		for (unsigned int i = 0; i < 2; i++)
			cbit_pci_bar_write(both[i], 0, 0x98, &at, 8);
		if (how)
			cbit_pci_config_write(pf, 0x79, &(uint8_t){ 0x80 }, 1); /* FLR */
		else
			cbit_pci_reset(pf);
		cbit_pci_bar_read(vf, 0, 0x98, &at, 8);
		assert_int_equal(at, 0);
		cbit_pci_bar_read(off, 0, 0x98, &at, 8);
		assert_int_equal(at, 0x123400);
	}
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_numbers),   T(test_refused),        T(test_enable),
		T(test_token),     T(test_token_cdev),     T(test_isolation),
		T(test_hot_reset), T(test_disable_in_use), T(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
