// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: a device's file goes in every way in which a file can go, each time after a while in
 * which nothing happened. The very next call must find it gone: who looks for closes only when
 * some may come has to know that one does.
 *
 * usage: client_quiet [ROUNDS]
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than anybody would expect a close to take. */
#define QUIET_US 1700000

static int container, group;
static char bdf[16];

static void quiet(void)
{
	usleep(QUIET_US);
}

static bool leaves(void)
{
	return !ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
}

/* The group in its container, which it cannot leave while a device's file is open. */
static int device(void)
{
	int fd;

	VC_REQUIRE(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	VC_REQUIRE(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	VC_REQUIRE(fd >= 0, "GET_DEVICE_FD");
	VC_REQUIRE(!leaves() && errno == EBUSY, "the group leaves with a device in use");
	return fd;
}

static void want_gone(const char *how, int round)
{
	VC_REQUIRE(leaves(), "%s, round %d: the device is still in use", how, round);
}

static void by_close(int round)
{
	int fd = device();

	quiet();
	close(fd);
	want_gone("close", round);
}

static void by_dup2(int round)
{
	int fd = device(), null = open("/dev/null", O_RDWR | O_CLOEXEC);

	quiet();
	VC_REQUIRE(dup2(null, fd) == fd, "dup2");
	want_gone("dup2", round);
	close(fd);
	close(null);
}

static void by_range(int round)
{
	int fd = device();

	quiet();
	VC_REQUIRE(!syscall(SYS_close_range, fd, fd, 0), "close_range");
	want_gone("close_range", round);
}

/* A page of a BAR, which is all that is left of the file. */
static void *page_of(int fd)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = 2 };
	void *p;

	VC_REQUIRE(!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region), "GET_REGION_INFO");
	p = mmap(NULL, VC_PAGE, PROT_READ, MAP_SHARED, fd, (off_t)region.offset);
	VC_REQUIRE(p != MAP_FAILED, "mmap of BAR2");
	close(fd);
	return p;
}

static void by_munmap(int round)
{
	void *p = page_of(device());

	quiet();
	munmap(p, VC_PAGE);
	want_gone("munmap", round);
}

static void by_mmap(int round)
{
	void *p = page_of(device());

	quiet();
	VC_REQUIRE(mmap(p, VC_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p,
		   "mmap over it");
	want_gone("mmap", round);
	munmap(p, VC_PAGE);
}

/* A number so high that nobody tells of it. */
static void by_number(int round)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int fd = device(), high = fcntl(fd, F_DUPFD_CLOEXEC, 700);

	VC_REQUIRE(high >= 700, "F_DUPFD");
	VC_REQUIRE(!ioctl(high, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
	close(fd);
	quiet();
	close(high);
	want_gone("close of a high number", round);
}

/* Another process has it last. */
static void by_exit(int round)
{
	int fd = device(), ends[2], status;
	char byte;
	pid_t pid;

	VC_REQUIRE(!pipe(ends), "pipe");
	pid = fork();
	if (!pid) {
		close(ends[1]);
		VC_REQUIRE(read(ends[0], &byte, 1) == 1, "read");
		_exit(0);
	}
	close(ends[0]);
	close(fd);
	quiet();
	VC_REQUIRE(write(ends[1], "x", 1) == 1, "write");
	VC_REQUIRE(waitpid(pid, &status, 0) == pid && !status, "the child failed");
	want_gone("exit", round);
	close(ends[1]);
}

/* Gone on the way into a new program, which has the others still. */
static void by_exec(void)
{
	char again[] = "exec", first[16], second[16];
	char *args[] = { again, first, second, NULL };

	VC_REQUIRE(!fcntl(device(), F_SETFD, FD_CLOEXEC), "F_SETFD");
	VC_REQUIRE(!fcntl(container, F_SETFD, 0) && !fcntl(group, F_SETFD, 0), "F_SETFD");
	snprintf(first, sizeof(first), "%d", container);
	snprintf(second, sizeof(second), "%d", group);
	quiet();
	execv("/proc/self/exe", args);
	vc_die("execv");
}

int main(int argc, char **argv)
{
	bool new = argc == 3 && !strcmp(argv[0], "exec");
	int rounds = argc == 2 ? atoi(argv[1]) : 1;
	char path[32];
	struct vc c;

	if (new) {
		container = atoi(argv[1]);
		group = atoi(argv[2]);
		want_gone("exec", 1);
	}
	VC_REQUIRE(vc_list(&c) > 0, "no device");
	snprintf(bdf, sizeof(bdf), "%s", c.dev[0].bdf);
	if (new) {
		by_number(1);
		by_exit(1);
		printf("quiet: all right\n");
		return 0;
	}
	snprintf(path, sizeof(path), "/dev/vfio/%d", vc_group_number(bdf));
	container = open("/dev/vfio/vfio", O_RDWR);
	group = open(path, O_RDWR);
	VC_REQUIRE(container >= 0 && group >= 0, "%s", path);
	for (int i = 1; i <= rounds; i++) {
		by_close(i);
		by_dup2(i);
		by_range(i);
		by_munmap(i);
		by_mmap(i);
	}
	by_exec();
	return 1;
}
