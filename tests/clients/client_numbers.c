// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: descriptor numbers that become other files, in each way in which they can. After
 * every one the very next call on the number must see what it is now.
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vc client;

static int try_info(int fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return ioctl(fd, VFIO_DEVICE_GET_INFO, &info) ? errno : 0;
}

static int try_version(int fd)
{
	int ret = ioctl(fd, VFIO_GET_API_VERSION);

	return ret == VFIO_API_VERSION ? 0 : errno;
}

/* A new descriptor of a device, used once. */
static int device(void)
{
	int fd = ioctl(client.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, client.dev[0].bdf);

	VC_REQUIRE(fd >= 0, "GET_DEVICE_FD");
	VC_REQUIRE(!try_info(fd), "GET_INFO of a new device file");
	return fd;
}

static int container(void)
{
	int fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);

	VC_REQUIRE(fd >= 0, "/dev/vfio/vfio");
	VC_REQUIRE(!try_version(fd), "GET_API_VERSION of a new container");
	return fd;
}

#define WANT(call, error)                                                                      \
	do {                                                                                   \
		int got_ = (call);                                                             \
		VC_REQUIRE(got_ == (error), "line %d: errno %d instead of %d", __LINE__, got_, \
			   error);                                                             \
	} while (0)

static void closed(void)
{
	int fd = device(), other;

	close(fd);
	WANT(try_info(fd), EBADF);
	other = container();
	VC_REQUIRE(other == fd, "number %d came after %d", other, fd);
	WANT(try_info(fd), EINVAL); /* a container without IOMMU knows no such call */
	WANT(try_version(fd), 0);
	close(fd);
	WANT(try_version(fd), EBADF);
	fd = device();
	VC_REQUIRE(!syscall(SYS_close_range, fd, fd, 0), "close_range");
	WANT(try_info(fd), EBADF);
}

static void duplicated(void)
{
	int null = open("/dev/null", O_RDWR), fd = device(), copy = dup(fd);

	WANT(try_info(copy), 0);
	close(fd); /* not the last of its file */
	WANT(try_info(fd), EBADF);
	WANT(try_info(copy), 0);
	VC_REQUIRE(dup2(null, copy) == copy, "dup2");
	WANT(try_info(copy), ENOTTY);
	VC_REQUIRE(dup3(client.container, copy, O_CLOEXEC) == copy, "dup3");
	WANT(try_version(copy), 0);
	VC_REQUIRE(dup2(client.dev[0].fd, copy) == copy, "dup2");
	WANT(try_info(copy), 0);
	close(copy);
	VC_REQUIRE(fcntl(null, F_DUPFD, copy) == copy, "F_DUPFD");
	WANT(try_info(copy), ENOTTY);
	close(copy);
	close(null);
}

/* Mapped, a device file lives on when its descriptor is closed. */
static void mapped(void)
{
	struct vc_device *d = &client.dev[0];
	int fd = device();
	void *p = mmap(NULL, VC_PAGE, PROT_READ, MAP_SHARED, fd, (off_t)d->bar2_offset);

	VC_REQUIRE(p != MAP_FAILED, "mmap of BAR2");
	WANT(try_info(fd), 0);
	close(fd);
	WANT(try_info(fd), EBADF);
	munmap(p, VC_PAGE);
}

/*
 * Closed by one call: whoever watches may see it as one close. There is no limit on opens. The
 * numbers are in a row, which new ones need not be: whoever started us may have left files open.
 */
static void together(void)
{
	const int first = 200, last = 202;

	for (int at = first; at <= last; at++) {
		int fd = device();

		VC_REQUIRE(dup2(fd, at) == at, "dup2");
		close(fd);
		WANT(try_info(at), 0);
	}
	VC_REQUIRE(!syscall(SYS_close_range, first, last, 0), "close_range");
	for (int at = first; at <= last; at++)
		WANT(try_info(at), EBADF);
}

/* A number that another process sends, and that goes when it is closed here. */
static void sent(void)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 }, byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = (struct cmsghdr *)(void *)control;
	int pair[2], fd = container(), got;

	VC_REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	VC_REQUIRE(sendmsg(pair[0], &msg, 0) == 1, "sendmsg");
	close(fd);
	WANT(try_version(fd), EBADF); /* the file itself is on its way */
	VC_REQUIRE(recvmsg(pair[1], &msg, 0) == 1, "recvmsg");
	memcpy(&got, CMSG_DATA(cmsg), sizeof(got));
	WANT(try_version(got), 0);
	close(got);
	WANT(try_version(got), EBADF);
	close(pair[0]);
	close(pair[1]);
}

static void forked(void)
{
	int fd = device(), status;
	pid_t pid = fork();

	if (!pid) {
		WANT(try_info(fd), 0);
		close(fd);
		WANT(try_info(fd), EBADF);
		_exit(0);
	}
	VC_REQUIRE(waitpid(pid, &status, 0) == pid && !status, "the child failed");
	WANT(try_info(fd), 0); /* its table was not ours */
	close(fd);
}

/* A thread with a table of descriptors of its own. */
static void *alone(void *arg)
{
	int fd = *(int *)arg;

	VC_REQUIRE(!unshare(CLONE_FILES), "unshare");
	WANT(try_info(fd), 0);
	close(fd);
	WANT(try_info(fd), EBADF);
	return NULL;
}

static void unshared(void)
{
	int fd = device();
	pthread_t thread;

	VC_REQUIRE(!pthread_create(&thread, NULL, alone, &fd), "pthread_create");
	pthread_join(thread, NULL);
	WANT(try_info(fd), 0);
	close(fd);
	WANT(try_info(fd), EBADF);
}

int main(void)
{
	vc_open(&client, 0, 1, VFIO_TYPE1v2_IOMMU);
	for (int i = 0; i < 20; i++) {
		closed();
		duplicated();
		mapped();
		sent();
		forked();
		together();
	}
	unshared();
	closed();
	vc_close(&client);
	printf("numbers: all right\n");
	return 0;
}
