// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: so many files close while nobody looks that the kernel forgets some of it. The next
 * call must find the device's file closed all the same; and what is open still must work.
 *
 * Whoever looks for closes is our parent, which we stop meanwhile. Exit status 77 where the limits
 * of this machine do not let us have that many files.
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vfio/uapi_iommufd.h"

/* Nobody is told of a close() of such numbers. */
#define FIRST_NUMBER 256
/* More than that no machine has by default. */
#define MANY 40000

static void skip(const char *why)
{
	printf("skipped: %s\n", why);
	exit(77);
}

static unsigned int queue_length(void)
{
	unsigned int n = 0;
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");

	if (!f || fscanf(f, "%u", &n) != 1 || n > MANY)
		skip("no such queue, or a very long one");
	fclose(f);
	return n;
}

static int dmabuf(int device)
{
	struct {
		struct uapi_feature head;
		struct uapi_feature_dma_buf get;
		struct uapi_dma_range range;
	} cmd = { { sizeof(cmd), UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET },
		  { 2, O_RDWR | O_CLOEXEC, 0, 1 },
		  { 0, VC_PAGE } };

	return ioctl(device, UAPI_DEVICE_FEATURE, &cmd);
}

/* Until it has stopped: its first thread, and a moment later the others. */
static void stop(int stat)
{
	char text[512], *state;
	ssize_t n;

	VC_REQUIRE(!kill(getppid(), SIGSTOP), "kill");
	do {
		usleep(1000);
		n = pread(stat, text, sizeof(text) - 1, 0);
		VC_REQUIRE(n > 0, "the supervisor's state");
		text[n] = 0;
		state = strrchr(text, ')');
	} while (!state || state[2] != 'T');
	usleep(50000);
}

static int container, group;
static char bdf[16];

static bool leaves(void)
{
	return !ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
}

/* The group in its container, which it cannot leave while a device's file is open. */
static int device(void)
{
	int fd, high;

	VC_REQUIRE(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	VC_REQUIRE(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_NUMBER);
	VC_REQUIRE(fd >= 0 && high >= 0, "GET_DEVICE_FD");
	close(fd);
	VC_REQUIRE(!leaves() && errno == EBUSY, "the group leaves with a device in use");
	return high;
}

static int high_dmabuf(int dev)
{
	int fd = dmabuf(dev), high;

	if (fd < 0 && errno == ENOMEM)
		skip("fs.inotify.max_user_watches is too low");
	high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_NUMBER);
	VC_REQUIRE(fd >= 0 && high >= 0, "FEATURE_DMA_BUF");
	close(fd);
	return high;
}

static bool is_dmabuf(int fd)
{
	struct stat st;

	VC_REQUIRE(!fstat(fd, &st), "fstat");
	return !(st.st_mode & S_IFMT);
}

int main(void)
{
	unsigned int events = queue_length(), nr = events / 2 + 500;
	struct rlimit limit;
	struct vc c;
	int *files = calloc(nr, sizeof(*files)), dev, kept, stat;
	char path[64];

	VC_REQUIRE(files && !getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	VC_REQUIRE(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	if (limit.rlim_cur < nr + FIRST_NUMBER + 100)
		skip("RLIMIT_NOFILE is too low");
	snprintf(path, sizeof(path), "/proc/%d/stat", getppid());
	stat = open(path, O_RDONLY | O_CLOEXEC);
	VC_REQUIRE(stat >= 0, "%s", path);
	VC_REQUIRE(vc_list(&c), "no device");
	memcpy(bdf, c.dev[0].bdf, sizeof(bdf));
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	snprintf(path, sizeof(path), "/dev/vfio/%d", vc_group_number(bdf));
	group = open(path, O_RDWR | O_CLOEXEC);
	VC_REQUIRE(container >= 0 && group >= 0, "%s", path);
	dev = device();
	kept = high_dmabuf(dev);
	for (unsigned int i = 0; i < nr; i++)
		files[i] = high_dmabuf(dev);
	stop(stat);
	/* Two events each, one of the close and one of the watch that goes with it. */
	for (unsigned int i = 0; i < nr; i++)
		close(files[i]);
	free(files);
	close(dev);
	VC_REQUIRE(!kill(getppid(), SIGCONT), "kill");
	VC_REQUIRE(leaves(), "the device is still in use");
	VC_REQUIRE(is_dmabuf(kept), "a dma-buf that is open has been forgotten");
	/* and the next closes are told of again */
	dev = device();
	close(dev);
	VC_REQUIRE(leaves(), "the device is still in use after a second close");
	close(kept);
	puts("all right");
	return 0;
}
