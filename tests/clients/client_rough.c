// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: rough handling, which a kernel bears.
 *
 * usage: client_rough CASE
 *   twice     a device's file opened twice and both closed at once: the group is free again
 *   reopen    a device's file opened by /proc/self/fd, which Linux refuses, does not close it
 *   path      an O_PATH descriptor of a node, and the node opened by it
 *   truncate  a device's file cannot be cut: its memory stays
 *   cdev      a second, unbound open of a device's node leaves the first alone
 * Exit status 0 when all went as under Linux.
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vc c;

static void device_answers(int fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	VC_REQUIRE(!ioctl(fd, VFIO_DEVICE_GET_INFO, &info), "the device does not answer");
}

static int open_group(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%d", c.dev[0].group_number);
	return open(path, O_RDWR);
}

static void twice(void)
{
	int second = ioctl(c.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, c.dev[0].bdf);

	VC_REQUIRE(second >= 0, "a second GET_DEVICE_FD");
	munmap((void *)(uintptr_t)c.dev[0].bar0, c.dev[0].bar0_size);
	close(c.dev[0].group);
	close(c.container);
	close(second);
	device_answers(c.dev[0].fd);
	second = dup(c.dev[0].fd);
	VC_REQUIRE(open_group() < 0 && errno == EBUSY, "the group is free too early");
	close(second);
	close(c.dev[0].fd);
	VC_REQUIRE(open_group() >= 0, "the group is not free");
	/* Both closes without a call between them. */
	vc_open(&c, 1, 1, VFIO_TYPE1v2_IOMMU);
	second = ioctl(c.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, c.dev[0].bdf);
	munmap((void *)(uintptr_t)c.dev[0].bar0, c.dev[0].bar0_size);
	if (c.dev[0].bar2)
		munmap(c.dev[0].bar2, c.dev[0].bar2_size);
	close(c.dev[0].group);
	close(c.container);
	close(second);
	close(c.dev[0].fd);
	VC_REQUIRE(open_group() >= 0, "the group is not free after two closes");
}

static void reopen(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", c.dev[0].fd);
	VC_REQUIRE(open(path, O_RDWR) < 0 && errno == ENXIO, "it was opened again");
	device_answers(c.dev[0].fd);
	VC_REQUIRE(open_group() < 0 && errno == EBUSY, "the group is free too early");
}

static void by_path(void)
{
	int fd = open("/dev/vfio/vfio", O_PATH);
	char path[64];

	VC_REQUIRE(fd >= 0, "O_PATH");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDWR);
	VC_REQUIRE(fd >= 0, "%s", path);
	VC_REQUIRE(ioctl(fd, VFIO_GET_API_VERSION) == VFIO_API_VERSION, "it is no container");
}

static void cut(void)
{
	struct vc_device *d = &c.dev[0];
	uint32_t v = 1;

	vc_close(&c);
	vc_open(&c, 1, 1, VFIO_TYPE1v2_IOMMU);
	VC_REQUIRE(d->bar2, "the second device must have memory");
	VC_REQUIRE(ftruncate(d->fd, 0), "ftruncate of a device");
	VC_REQUIRE(pread(d->fd, &v, sizeof(v), (off_t)d->bar2_offset) == sizeof(v), "BAR2");
}

static void cdev(void)
{
	/* Linux include/uapi/linux/vfio.h, struct vfio_device_bind_iommufd: newer than some. */
	struct {
		uint32_t argsz, flags;
		int32_t iommufd;
		uint32_t devid;
	} bind = { .argsz = sizeof(bind) };
	int first, second;

	vc_close(&c);
	first = open("/dev/vfio/devices/vfio0", O_RDWR);
	bind.iommufd = open("/dev/iommu", O_RDWR);
	VC_REQUIRE(first >= 0 && bind.iommufd >= 0, "opening the device and iommufd");
	VC_REQUIRE(!ioctl(first, _IO(VFIO_TYPE, VFIO_BASE + 18), &bind), "BIND_IOMMUFD");
	second = open("/dev/vfio/devices/vfio0", O_RDWR);
	VC_REQUIRE(second >= 0, "a second open");
	device_answers(first);
	close(second);
	device_answers(first);
	close(first);
	VC_REQUIRE(open_group() >= 0, "the group is not free");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{ "twice", twice },  { "reopen", reopen }, { "path", by_path },
		{ "truncate", cut }, { "cdev", cdev },
	};

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			printf("%s: all right\n", argv[1]);
			return 0;
		}
	}
	vc_die("no such case");
}
