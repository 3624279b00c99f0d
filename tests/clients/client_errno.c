// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: the answers of the VFIO container, group and type1 calls to right and wrong
 * arguments: errno, argsz and what is written back, as Linux 7.2 gives them. TAP on stdout.
 *
 * usage: client_errno 1|3|limit     (VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, the mapping limit)
 */
#include "errno_check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static unsigned int count, failed;

void check_errno(const char *name, int expected, int got)
{
	count++;
	if (expected == got) {
		printf("ok %u - %s\n", count, name);
		return;
	}
	failed++;
	printf("not ok %u - %s\n", count, name);
	printf("# expected errno %d (%s), got %d (%s)\n", expected,
	       expected ? strerror(expected) : "success", got, got ? strerror(got) : "success");
}

void check_true(const char *name, bool condition)
{
	count++;
	failed += !condition;
	printf("%sok %u - %s\n", condition ? "" : "not ", count, name);
}

static uint32_t group_flags(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	VC_REQUIRE(!ioctl(group, VFIO_GROUP_GET_STATUS, &status), "GROUP_GET_STATUS");
	return status.flags;
}

/* A container that no group has joined yet. */
static void check_empty_container(int container)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };

	check_true("the API version is 0", ioctl(container, VFIO_GET_API_VERSION) == 0);
	check_true("type1 is offered", ioctl(container, VFIO_CHECK_EXTENSION, 1) == 1);
	check_true("type1v2 is offered", ioctl(container, VFIO_CHECK_EXTENSION, 3) == 1);
	check_true("sPAPR is not offered", ioctl(container, VFIO_CHECK_EXTENSION, 7) == 0);
	check_true("no-IOMMU is not offered", ioctl(container, VFIO_CHECK_EXTENSION, 8) == 0);
	check_true("UNMAP_ALL is offered", ioctl(container, VFIO_CHECK_EXTENSION, 9) == 1);
	check_true("an unknown extension is not", ioctl(container, VFIO_CHECK_EXTENSION, 99) == 0);
	EXPECT("SET_IOMMU without a group", EINVAL, ioctl(container, VFIO_SET_IOMMU, 1));
	EXPECT("IOMMU_GET_INFO without an IOMMU", EINVAL,
	       ioctl(container, VFIO_IOMMU_GET_INFO, &info));
	EXPECT("MAP_DMA without an IOMMU", EINVAL, ioctl(container, VFIO_IOMMU_MAP_DMA, &map));
	EXPECT("an unknown call without an IOMMU", EINVAL, ioctl(container, _IO(VFIO_TYPE, 180)));
}

/* A group that is in no container yet. */
static void check_free_group(int group, const char *bdf)
{
	struct vfio_group_status status = { .argsz = 4 };
	int no_fd = -1, null = open("/dev/null", O_RDWR);

	EXPECT("GROUP_GET_STATUS, argsz too small", EINVAL,
	       ioctl(group, VFIO_GROUP_GET_STATUS, &status));
	EXPECT("GROUP_GET_STATUS, bad pointer", EFAULT, ioctl(group, VFIO_GROUP_GET_STATUS, 8));
	check_true("a free group is viable and without container",
		   group_flags(group) == VFIO_GROUP_FLAGS_VIABLE);
	EXPECT("GET_DEVICE_FD without a container", EINVAL,
	       ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf));
	EXPECT("GET_DEVICE_FD of another group's device", ENODEV,
	       ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:7f:00.0"));
	EXPECT("UNSET_CONTAINER without a container", EINVAL,
	       ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	EXPECT("SET_CONTAINER, bad pointer", EFAULT, ioctl(group, VFIO_GROUP_SET_CONTAINER, 8));
	EXPECT("SET_CONTAINER, no descriptor", EBADF,
	       ioctl(group, VFIO_GROUP_SET_CONTAINER, &no_fd));
	EXPECT("SET_CONTAINER, a descriptor of something else", EBADFD,
	       ioctl(group, VFIO_GROUP_SET_CONTAINER, &null));
	EXPECT("an unknown call on a group", ENOTTY, ioctl(group, _IO(VFIO_TYPE, 180)));
	close(null);
}

void check_container_and_group(int type)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	char path[64], token[128];
	int container, group, device;
	struct vc list;

	VC_REQUIRE(vc_list(&list), "no device");
	container = open("/dev/vfio/vfio", O_RDWR);
	VC_REQUIRE(container >= 0, "/dev/vfio/vfio");
	snprintf(path, sizeof(path), "/dev/vfio/%d", vc_group_number(list.dev[0].bdf));
	group = open(path, O_RDWR);
	VC_REQUIRE(group >= 0, "%s", path);

	check_empty_container(container);
	EXPECT("a second open of the group", EBUSY, open(path, O_RDWR));
	EXPECT("a group that does not exist", ENOENT, open("/dev/vfio/4711", O_RDWR));
	check_free_group(group, list.dev[0].bdf);

	EXPECT("SET_CONTAINER", 0, ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	EXPECT("SET_CONTAINER again", EINVAL, ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	check_true("the group says that it has a container",
		   group_flags(group) ==
			   (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET));
	EXPECT("GET_DEVICE_FD before SET_IOMMU", EINVAL,
	       ioctl(group, VFIO_GROUP_GET_DEVICE_FD, list.dev[0].bdf));
	EXPECT("SET_IOMMU, sPAPR", ENODEV, ioctl(container, VFIO_SET_IOMMU, 7));
	EXPECT("SET_IOMMU, an unknown type", ENODEV, ioctl(container, VFIO_SET_IOMMU, 77));
	EXPECT("SET_IOMMU", 0, ioctl(container, VFIO_SET_IOMMU, (unsigned long)type));
	EXPECT("SET_IOMMU again", EINVAL, ioctl(container, VFIO_SET_IOMMU, (unsigned long)type));
	EXPECT("an unknown call with an IOMMU", ENOTTY, ioctl(container, _IO(VFIO_TYPE, 180)));
	EXPECT("a group's call on the container", ENOTTY,
	       ioctl(container, VFIO_GROUP_GET_STATUS, &info));

	EXPECT("GET_DEVICE_FD of no device", ENODEV,
	       ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:7f:00.0"));
	EXPECT("GET_DEVICE_FD, bad pointer", EFAULT, ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 8));
	snprintf(token, sizeof(token), "%s nonsense", list.dev[0].bdf);
	EXPECT("GET_DEVICE_FD with an unknown option", EINVAL,
	       ioctl(group, VFIO_GROUP_GET_DEVICE_FD, token));
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, list.dev[0].bdf);
	check_true("GET_DEVICE_FD", device >= 0);
	check_true("the device is close-on-exec",
		   device >= 0 && fcntl(device, F_GETFD) == FD_CLOEXEC);
	EXPECT("UNSET_CONTAINER with the device open", EBUSY,
	       ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	close(device);
	EXPECT("UNSET_CONTAINER", 0, ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	EXPECT("IOMMU_GET_INFO after the last group has gone", EINVAL,
	       ioctl(container, VFIO_IOMMU_GET_INFO, &info));
	EXPECT("SET_IOMMU after the last group has gone", EINVAL,
	       ioctl(container, VFIO_SET_IOMMU, (unsigned long)type));
	close(group);
	group = open(path, O_RDWR);
	check_true("the group opens again after close", group >= 0);
	close(group);
	close(container);
}

int main(int argc, char **argv)
{
	bool limit = argc == 2 && !strcmp(argv[1], "limit");
	int type = limit ? VFIO_TYPE1v2_IOMMU : argc == 2 ? atoi(argv[1]) : 0;
	struct vc c;

	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU) {
		fprintf(stderr, "usage: client_errno 1|3|limit\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!limit)
		check_container_and_group(type);
	vc_open(&c, 0, 1, type);
	if (limit) {
		check_limit(&c);
	} else {
		check_map(&c, type);
		check_unmap(&c, type);
		check_device(&c);
		check_irqs(&c);
	}
	vc_close(&c);
	printf("1..%u\n", count);
	return failed ? 1 : 0;
}
