/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Containers, groups and device files: who may do what when, and what closing them in any
 * order leaves behind. As Linux 7.2's drivers/vfio/group.c and container.c.
 */
#include "client_rig.h"

#define P CBIT_PAGE_SIZE

static int setup(void **state)
{
	struct client *c = client_up("sme", "complete", NULL);

	client_plug(c, "ioat");
	client_plug(c, "ioat,group=7");
	client_plug(c, "ioat,group=7");
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	client_down(*state);
	return 0;
}

static long set_container(struct client *c, int group, int fd)
{
	return client_call(c, group, UAPI_GROUP_SET_CONTAINER, &fd, sizeof(fd));
}

static long get_device(struct client *c, int group, const char *name)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%s", name);
	return client_call(c, group, UAPI_GROUP_GET_DEVICE_FD, buf, strlen(buf) + 1);
}

static uint32_t status(struct client *c, int group)
{
	struct uapi_group_status s = { .argsz = sizeof(s), .flags = 0xff };

	assert_int_equal(client_call(c, group, UAPI_GROUP_GET_STATUS, &s, sizeof(s)), 0);
	return s.flags;
}

/* Does the device table entry translate? */
static bool attached(struct client *c, uint16_t devid)
{
	uint64_t dte[4];

	cbit_iommu_dte(cbit_machine_iommu(c->machine), devid, dte);
	assert_int_equal(dte[0] & 1, 1);
	return (dte[0] & 2) != 0;
}

static void test_open(void **state)
{
	struct client *c = *state;
	int group = client_open(c, CBIT_FILE_GROUP, 7);

	assert_true(group >= 0);
	assert_int_equal(client_open(c, CBIT_FILE_GROUP, 7), -EBUSY);
	assert_int_equal(client_open(c, CBIT_FILE_GROUP, 2), -ENODEV);
	assert_int_equal(client_open(c, CBIT_FILE_DEVICE, 3), -ENODEV);
	assert_int_equal(cbit_vfio_group_number(c->fd[group].file), 7);
	assert_int_equal(cbit_vfio_kind(c->fd[group].file), CBIT_FILE_GROUP);
	client_close(c, group);
	group = client_open(c, CBIT_FILE_GROUP, 7);
	assert_true(group >= 0);
}

static void test_status(void **state)
{
	struct client *c = *state;
	struct uapi_group_status s = { .argsz = 7 };
	int group = client_open(c, CBIT_FILE_GROUP, 1);
	int container = client_open(c, CBIT_FILE_CONTAINER, 0);

	assert_int_equal(client_call(c, group, UAPI_GROUP_GET_STATUS, &s, sizeof(s)), -EINVAL);
	s.argsz = 8;
	assert_int_equal(client_call(c, group, UAPI_GROUP_GET_STATUS, &s, 7), -EFAULT);
	assert_int_equal(status(c, group), UAPI_GROUP_FLAGS_VIABLE);
	assert_int_equal(set_container(c, group, container), 0);
	assert_int_equal(status(c, group),
			 UAPI_GROUP_FLAGS_VIABLE | UAPI_GROUP_FLAGS_CONTAINER_SET);
	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_UNSET_CONTAINER, 0), 0);
	assert_int_equal(status(c, group), UAPI_GROUP_FLAGS_VIABLE);
	assert_int_equal(client_ioctl(c, group, UAPI_DEVICE_GET_INFO, 0), -ENOTTY);
}

static void test_set_container(void **state)
{
	struct client *c = *state;
	int group = client_open(c, CBIT_FILE_GROUP, 1);
	int container = client_open(c, CBIT_FILE_CONTAINER, 0);
	int eventfd = client_fd_new(c, FD_EVENTFD, NULL);

	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_SET_CONTAINER, NOWHERE), -EFAULT);
	assert_int_equal(set_container(c, group, -1), -EBADF);
	assert_int_equal(set_container(c, group, 60), -EBADF);
	assert_int_equal(set_container(c, group, eventfd), -EBADFD);
	assert_int_equal(set_container(c, group, group), -EBADFD);
	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_UNSET_CONTAINER, 0), -EINVAL);
	assert_int_equal(set_container(c, group, container), 0);
	/* which descriptor it is comes before having one already, and that before its kind */
	assert_int_equal(set_container(c, group, 60), -EBADF);
	assert_int_equal(set_container(c, group, eventfd), -EINVAL);
	assert_int_equal(set_container(c, group, container), -EINVAL);
}

static void test_set_iommu(void **state)
{
	struct client *c = *state;
	int group = client_open(c, CBIT_FILE_GROUP, 1);
	int container = client_open(c, CBIT_FILE_CONTAINER, 0);
	static const long types[][2] = { { 0, -ENODEV }, { 2, -ENODEV }, { 4, -ENODEV },
					 { 6, -ENODEV }, { 9, -EINVAL }, { 1000, -ENODEV },
					 { 3, 0 },       { 3, -EINVAL }, { 1, -EINVAL } };

	/* a container without groups can do nothing */
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, 1), -EINVAL);
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, 1000), -EINVAL);
	assert_int_equal(client_map(c, container, 0, RAM, P, MAP_RW), -EINVAL);
	assert_int_equal(client_ioctl(c, container, UAPI_CHECK_EXTENSION, UAPI_DMA_CC_IOMMU), 0);
	assert_int_equal(client_ioctl(c, container, UAPI_CHECK_EXTENSION, UAPI_TYPE1v2_IOMMU), 1);
	assert_null(cbit_vfio_domain(c->fd[container].file));
	assert_int_equal(set_container(c, group, container), 0);
	assert_int_equal(client_map(c, container, 0, RAM, P, MAP_RW), -EINVAL);
	assert_false(attached(c, 0x100));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, (uint64_t)types[i][0]),
				 types[i][1]);
	assert_true(attached(c, 0x100));
	assert_false(attached(c, 0x200));
	assert_int_equal(client_ioctl(c, container, UAPI_CHECK_EXTENSION, UAPI_DMA_CC_IOMMU), 1);
	assert_non_null(cbit_vfio_domain(c->fd[container].file));
	/* the group goes, and with it the right to have an IOMMU */
	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_UNSET_CONTAINER, 0), 0);
	assert_false(attached(c, 0x100));
	assert_null(cbit_vfio_domain(c->fd[container].file));
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, 1), -EINVAL);
}

static void test_device_name(void **state)
{
	struct client *c = *state;
	int group = client_open(c, CBIT_FILE_GROUP, 1);
	int container = client_open(c, CBIT_FILE_CONTAINER, 0);
	int fd, limit;

	/* the name is looked at before the container */
	assert_int_equal(get_device(c, group, "0000:02:00.0"), -ENODEV);
	assert_int_equal(get_device(c, group, "0000:01:00.0"), -EINVAL);
	assert_int_equal(set_container(c, group, container), 0);
	assert_int_equal(get_device(c, group, "0000:01:00.0"), -EINVAL);
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, 1), 0);
	assert_int_equal(get_device(c, group, ""), -ENODEV);
	assert_int_equal(get_device(c, group, "0000:01:00"), -ENODEV);
	assert_int_equal(get_device(c, group, "0000:01:00.00"), -ENODEV);
	assert_int_equal(get_device(c, group, "0000:02:00.0"), -ENODEV);
	assert_int_equal(get_device(c, group, "0000:01:00.0 vf_token=1"), -EINVAL);
	assert_int_equal(get_device(c, group, "0000:01:00.0 x"), -EINVAL);
	assert_int_equal(get_device(c, group, "0000:02:00.0 x"), -ENODEV);
	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_GET_DEVICE_FD, NOWHERE), -EFAULT);
	/* no descriptor to be had: the device does not stay open */
	limit = c->fd_limit;
	c->fd_limit = 0;
	assert_int_equal(get_device(c, group, "0000:01:00.0"), -EMFILE);
	c->fd_limit = limit;
	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_UNSET_CONTAINER, 0), 0);
	assert_int_equal(set_container(c, group, container), 0);
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, 1), 0);
	fd = (int)get_device(c, group, "0000:01:00.0 ");
	assert_true(fd >= 0);
	assert_int_equal(cbit_vfio_device_index(c->fd[fd].file), 0);
	/* once more is allowed on the group's way */
	assert_true(get_device(c, group, "0000:01:00.0") >= 0);
}

/* A name is at most a page with its NUL, wherever it lies and whatever follows it. */
static void test_name_page(void **state)
{
	struct client *c = *state;
	struct opened o = client_start(c, UAPI_TYPE1_IOMMU);
	uint8_t *args = c->args;

	memset(args, 'a', ARGS_SIZE);
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_GET_DEVICE_FD, ARGS), -EINVAL);
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_GET_DEVICE_FD, ARGS + 100), -EINVAL);
	args[P] = 0;
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_GET_DEVICE_FD, ARGS), -EINVAL);
	args[P - 1] = 0;
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_GET_DEVICE_FD, ARGS), -ENODEV);
	/* running off the end of what is mapped */
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_GET_DEVICE_FD, ARGS + ARGS_SIZE - 1),
			 -EFAULT);
	assert_int_equal(
		client_ioctl(c, o.group, UAPI_GROUP_GET_DEVICE_FD, ARGS + ARGS_SIZE - P + 1),
		-EFAULT);
	memcpy(args + ARGS_SIZE - 13, "0000:01:00.0", 13);
	assert_true(client_ioctl(c, o.group, UAPI_GROUP_GET_DEVICE_FD, ARGS + ARGS_SIZE - 13) >= 0);
}

static void test_busy(void **state)
{
	struct client *c = *state;
	struct opened o = client_start(c, UAPI_TYPE1v2_IOMMU);
	int more = (int)get_device(c, o.group, "0000:01:00.0");

	assert_int_equal(client_map(c, o.container, 0, RAM, 2 * P, MAP_RW), 0);
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	client_close(c, o.device);
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	client_close(c, more);
	assert_int_equal(c->pinned, 2);
	assert_int_equal(client_ioctl(c, o.group, UAPI_GROUP_UNSET_CONTAINER, 0), 0);
	assert_int_equal(c->pinned, 0);
	assert_int_equal(c->events[CBIT_EVENT_MAPPING_LEAKED], 1);
	assert_int_equal(client_map(c, o.container, 0, RAM, P, MAP_RW), -EINVAL);
}

static void test_two_groups(void **state)
{
	struct client *c = *state;
	struct opened o = client_start(c, UAPI_TYPE1v2_IOMMU);
	int group = client_open(c, CBIT_FILE_GROUP, 7), fd[2];
	struct cbit_mapping_info info;

	assert_int_equal(client_map(c, o.container, 0x5000, RAM, P, MAP_RW), 0);
	assert_false(attached(c, 0x200));
	/* a group that comes later finds what is mapped; all its devices do */
	assert_int_equal(set_container(c, group, o.container), 0);
	assert_true(attached(c, 0x200));
	assert_true(attached(c, 0x300));
	assert_int_equal(get_device(c, group, "0000:01:00.0"), -ENODEV);
	fd[0] = (int)get_device(c, group, "0000:02:00.0");
	fd[1] = (int)get_device(c, group, "0000:03:00.0");
	assert_true(fd[0] >= 0 && fd[1] >= 0);
	assert_true(cbit_vfio_describe(c->fd[fd[1]].file, CBIT_IOVA(0x5fff), &info));
	assert_int_equal(info.vaddr, RAM);
	assert_int_equal(info.pid, CLIENT_PID);
	assert_false(cbit_vfio_describe(c->fd[fd[1]].file, CBIT_IOVA(0x6000), &info));
	client_close(c, fd[0]);
	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_UNSET_CONTAINER, 0), -EBUSY);
	client_close(c, fd[1]);
	assert_int_equal(client_ioctl(c, group, UAPI_GROUP_UNSET_CONTAINER, 0), 0);
	assert_false(attached(c, 0x200));
	assert_false(attached(c, 0x300));
	/* the other one stays */
	assert_true(attached(c, 0x100));
	assert_int_equal(c->pinned, 1);
	assert_int_equal(c->events[CBIT_EVENT_MAPPING_LEAKED], 0);
}

/* The container's mappings live as long as group or device file, whatever is closed when. */
static void test_close_orders(void **state)
{
	static const unsigned int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
						   { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct client *c = *state;

	for (unsigned int i = 0; i < 6; i++) {
		struct opened o = client_start(c, UAPI_TYPE1v2_IOMMU);
		const int fds[3] = { o.container, o.group, o.device };
		bool open[3] = { true, true, true };

		assert_int_equal(client_map(c, o.container, 0x9000, RAM, P, MAP_RW), 0);
		assert_int_equal(client_map(c, o.container, 0x3000, RAM + P, 3 * P, MAP_RW), 0);
		assert_int_equal(c->events[CBIT_EVENT_MAPPING_LEAKED], i);
		for (unsigned int j = 0; j < 3; j++) {
			bool alive;

			client_close(c, fds[orders[i][j]]);
			open[orders[i][j]] = false;
			alive = open[1] || open[2];
			assert_int_equal(c->pinned, alive ? 4 : 0);
			assert_int_equal(attached(c, 0x100), alive);
			assert_int_equal(c->events[CBIT_EVENT_MAPPING_LEAKED], i + !alive);
			if (alive)
				assert_int_equal(client_open(c, CBIT_FILE_GROUP, 1), -EBUSY);
		}
		assert_int_equal(c->last.count, 2);
		assert_int_equal(c->last.len, 4 * P);
		assert_int_equal(c->last.iova.v, 0x3000);
		assert_int_equal(c->last.mapping.vaddr, RAM + P);
		assert_int_equal(c->last.mapping.size, 3 * P);
	}
}

/* Whoever unmaps everything leaks nothing. */
static void test_clean_close(void **state)
{
	struct client *c = *state;
	struct opened o = client_start(c, UAPI_TYPE1_IOMMU);
	uint64_t size = P;

	assert_int_equal(client_map(c, o.container, 0x9000, RAM, P, MAP_RW), 0);
	assert_int_equal(client_unmap(c, o.container, 0x9000, &size, 0), 0);
	client_close(c, o.device);
	client_close(c, o.group);
	client_close(c, o.container);
	assert_int_equal(c->events[CBIT_EVENT_MAPPING_LEAKED], 0);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_open),        T(test_status),      T(test_set_container),
		T(test_set_iommu),   T(test_device_name), T(test_name_page),
		T(test_busy),        T(test_two_groups),  T(test_close_orders),
		T(test_clean_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
