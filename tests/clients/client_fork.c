// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: processes. A forked child goes on with what it inherited (descriptors, the mapped
 * BAR), then replaces itself by exec: the new program keeps the container and group descriptors
 * (the device's is close-on-exec), finds its parent's group busy, and opens the second device for
 * itself. Parent and child copy at the same time; both see only their own memory.
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define COPY_SIZE (128u << 10)
#define COPIES    40

/* The same IOVAs in parent and child: two containers are two address spaces. */
static void copy_loop(struct vc *c, unsigned int seed)
{
	struct vc_device *d = &c->dev[0];
	uint8_t *source = vc_memory(COPY_SIZE, VC_PAGE, 0);
	uint8_t *target = vc_memory(COPY_SIZE, VC_PAGE, 0);

	vc_map(c, source, 0x10000000, COPY_SIZE);
	vc_map(c, target, 0x20000000, COPY_SIZE);
	vc_engine(c, d, 0x1000000);
	for (unsigned int i = 0; i < COPIES; i++) {
		vc_fill(source, COPY_SIZE, seed + i);
		VC_REQUIRE(vc_copy(d, 0x10000000, 0x20000000, COPY_SIZE) == IOAT_DONE, "copy %u",
			   i);
		VC_REQUIRE(vc_filled(target, COPY_SIZE, seed + i), "copy %u: wrong bytes", i);
	}
	vc_engine_end(c, d);
	vc_unmap_exact(c, 0x10000000, COPY_SIZE);
	vc_unmap_exact(c, 0x20000000, COPY_SIZE);
}

/* The program after exec: container=FD device=FD group=NUMBER */
static int second_program(int container, int device, int group_number)
{
	char path[64];
	struct vc c;

	VC_REQUIRE(ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION,
		   "the inherited container does not answer");
	VC_REQUIRE(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) && errno == EINVAL,
		   "the inherited container has lost its state");
	VC_REQUIRE(fcntl(device, F_GETFD) < 0 && errno == EBADF, "the device survived exec");
	snprintf(path, sizeof(path), "/dev/vfio/%d", group_number);
	VC_REQUIRE(open(path, O_RDWR) < 0 && errno == EBUSY, "the parent's group is not busy");
	vc_open(&c, 1, 1, VFIO_TYPE1v2_IOMMU);
	copy_loop(&c, 2000);
	vc_close(&c);
	return 0;
}

static void forked_child(struct vc *c, char *self)
{
	struct vc_device *d = &c->dev[0];
	char container[16], device[16], group[16];
	uint32_t id, again;

	vc_config_read(d, 0, &id, sizeof(id));
	VC_REQUIRE(id == 0x20218086, "the inherited device reads id 0x%08x", id);
	again = *(volatile uint8_t *)(d->bar0 + 0x08);
	VC_REQUIRE(again >= 0x32, "the inherited BAR reads version 0x%x", again);
	snprintf(container, sizeof(container), "%d", c->container);
	snprintf(device, sizeof(device), "%d", d->fd);
	snprintf(group, sizeof(group), "%d", d->group_number);
	execl(self, self, container, device, group, (char *)NULL);
	vc_die("exec %s", self);
}

int main(int argc, char **argv)
{
	struct vc c;
	int status;
	pid_t pid;

	if (argc == 4)
		return second_program(atoi(argv[1]), atoi(argv[2]), atoi(argv[3]));
	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	pid = fork();
	VC_REQUIRE(pid >= 0, "fork");
	if (!pid)
		forked_child(&c, argv[0]);
	copy_loop(&c, 1000);
	VC_REQUIRE(waitpid(pid, &status, 0) == pid, "waitpid");
	VC_REQUIRE(WIFEXITED(status) && !WEXITSTATUS(status), "the child ended with status 0x%x",
		   (unsigned int)status);
	vc_close(&c);
	printf("parent and child: all right\n");
	return 0;
}
