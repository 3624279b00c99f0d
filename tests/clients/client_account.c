/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Test client: whose locked memory counts for an iommufd when several processes use it.
 *
 * usage: client_account, under cbit run --memlock 128K with a device
 *
 * By user, which is what an iommufd starts with, and with CAP_SYS_RESOURCE by process too.
 * Processes of another user are tried where this one may become another. The last line says what
 * was tried.
 */
#include "iommufd_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUIRE VC_REQUIRE
#define MOST    ((size_t)131072) /* what --memlock says */
#define OTHER   65534u

#define FIRST_IOVA  0x1000000u
#define SECOND_IOVA 0x2000000u
#define THIRD_IOVA  0x3000000u

struct space {
	int iommufd, device;
	uint32_t ioas;
};

static int memory_file(size_t size)
{
	int fd = memfd_create("buffer", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && !ftruncate(fd, (off_t)size), "memfd_create");
	return fd;
}

static int map(const struct space *s, uint64_t iova, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED, "mmap");
	return ic_map(s->iommufd, s->ioas, iova, p, size);
}

static void unmap(const struct space *s, uint64_t iova, size_t size)
{
	ic_unmap(s->iommufd, s->ioas, iova, size);
}

static struct space open_space(bool by_process)
{
	struct space s = { .iommufd = ic_open() };
	struct vc c;

	REQUIRE(vc_list(&c), "a device is needed");
	REQUIRE(!ic_rlimit_mode(s.iommufd), "it does not begin by user");
	if (by_process)
		REQUIRE(!ic_set_rlimit_mode(s.iommufd, 1), "RLIMIT_MODE");
	s.ioas = ic_ioas_alloc(s.iommufd);
	if (by_process)
		REQUIRE(ic_set_rlimit_mode(s.iommufd, 0) == -EBUSY, "RLIMIT_MODE with objects");
	REQUIRE(ic_rlimit_mode(s.iommufd) == by_process, "RLIMIT_MODE");
	s.device = ic_open_cdev(c.dev[0].bdf, s.iommufd);
	ic_attach(s.device, s.ioas);
	return s;
}

static void close_space(const struct space *s)
{
	close(s->device);
	close(s->iommufd);
}

/* In a process of its own, of user @user if not 0: @room bytes can be mapped there, and no more. */
static void in_a_child(const struct space *s, uid_t user, size_t room)
{
	pid_t child = fork();
	int status;

	if (!child) {
		REQUIRE(!user || (!setresuid(user, user, user) && !prctl(PR_SET_DUMPABLE, 1)),
			"setresuid");
		REQUIRE(map(s, SECOND_IOVA, room + VC_PAGE) == -ENOMEM, "more than %zu", room);
		REQUIRE(!room || !map(s, SECOND_IOVA, room), "%zu bytes", room);
		REQUIRE(map(s, THIRD_IOVA, VC_PAGE) == -ENOMEM, "a page more");
		exit(0);
	}
	REQUIRE(waitpid(child, &status, 0) == child && !status, "the child: status %x", status);
}

/* --- memory of processes --- */

static void by_user(bool other)
{
	const size_t half = MOST / 2;
	struct space s = open_space(false);

	REQUIRE(!map(&s, FIRST_IOVA, half), "half of it");
	in_a_child(&s, 0, half);
	/* The child has gone, its mapping has not. */
	REQUIRE(map(&s, THIRD_IOVA, VC_PAGE) == -ENOMEM, "a page more than the child left");
	if (other) {
		unmap(&s, SECOND_IOVA, half);
		in_a_child(&s, OTHER, MOST);
		unmap(&s, SECOND_IOVA, MOST);
		REQUIRE(!map(&s, SECOND_IOVA, half), "the other half");
	}
	/* Whoever takes it off, it was the user's. */
	unmap(&s, SECOND_IOVA, half);
	REQUIRE(!map(&s, THIRD_IOVA, half), "what the child had");
	unmap(&s, FIRST_IOVA, half);
	unmap(&s, THIRD_IOVA, half);
	in_a_child(&s, 0, MOST);
	unmap(&s, SECOND_IOVA, MOST);
	close_space(&s);
}

static void by_process(void)
{
	struct space s = open_space(true);

	REQUIRE(!map(&s, FIRST_IOVA, MOST), "all of it");
	REQUIRE(map(&s, THIRD_IOVA, VC_PAGE) == -ENOMEM, "a page more");
	in_a_child(&s, 0, MOST);
	unmap(&s, SECOND_IOVA, MOST);
	REQUIRE(map(&s, THIRD_IOVA, VC_PAGE) == -ENOMEM, "a page of what the child had");
	unmap(&s, FIRST_IOVA, MOST);
	close_space(&s);
}

/* --- files, which go from process to process --- */

static int change_process(const struct space *s)
{
	struct uapi_change_process cmd = { .size = sizeof(cmd) };

	return ioctl(s->iommufd, UAPI_IOMMUFD_IOAS_CHANGE_PROCESS, &cmd) ? -errno : 0;
}

/* Another process takes the mappings over, which has to end like that; @then more is too much for
 * it. */
static void to_a_child(const struct space *s, int ret, size_t then)
{
	pid_t child = fork();
	int status;

	if (!child) {
		REQUIRE(change_process(s) == ret, "CHANGE_PROCESS of a child, not %d", ret);
		REQUIRE(ret || !change_process(s), "CHANGE_PROCESS once more");
		REQUIRE(ret || map(s, SECOND_IOVA, then) == -ENOMEM, "the child's account");
		exit(0);
	}
	REQUIRE(waitpid(child, &status, 0) == child && !status, "the child: status %x", status);
}

static void files(bool process)
{
	const size_t half = MOST / 2, over = half + VC_PAGE;
	int fd = memory_file(half), page = memory_file(VC_PAGE);
	struct space s = open_space(process);

	REQUIRE(!ic_map_file(s.iommufd, s.ioas, FIRST_IOVA, fd, 0, half), "MAP_FILE");
	REQUIRE(map(&s, SECOND_IOVA, over) == -ENOMEM, "the limit does not count");
	to_a_child(&s, 0, over);
	if (process) {
		REQUIRE(!map(&s, SECOND_IOVA, MOST), "the account is as full as before");
		unmap(&s, SECOND_IOVA, MOST);
	} else {
		REQUIRE(map(&s, SECOND_IOVA, over) == -ENOMEM, "the user's account is less full");
	}
	REQUIRE(!map(&s, SECOND_IOVA, half), "the account is full");
	REQUIRE(change_process(&s) == -EINVAL, "memory of a process was given away");
	unmap(&s, SECOND_IOVA, half);
	/* On the way it is on the account of the user twice, and a page more is too much for that.
	 */
	REQUIRE(!ic_map_file(s.iommufd, s.ioas, THIRD_IOVA, page, 0, VC_PAGE), "MAP_FILE");
	/* By process the child before it has it, and has ended: an error, but not for want of room.
	 */
	to_a_child(&s, process ? -EINVAL : -ENOMEM, 0);
	unmap(&s, THIRD_IOVA, VC_PAGE);
	REQUIRE(change_process(&s) == (process ? -EINVAL : 0), "CHANGE_PROCESS back");
	if (!process)
		REQUIRE(map(&s, SECOND_IOVA, over) == -ENOMEM, "the limit does not count any more");
	unmap(&s, FIRST_IOVA, half);
	/* Linux loses count by process after such an error. */
	if (!process) {
		REQUIRE(!map(&s, SECOND_IOVA, MOST), "the account is full yet");
		unmap(&s, SECOND_IOVA, MOST);
	}
	close(fd);
	close(page);
	close_space(&s);
}

int main(void)
{
	bool root = !geteuid();
	int iommufd = ic_open(), ret = ic_set_rlimit_mode(iommufd, 1);

	close(iommufd);
	REQUIRE(!ret || ret == -EPERM, "RLIMIT_MODE: %d", ret);
	by_user(root);
	files(false);
	if (!ret) {
		by_process();
		files(true);
	}
	printf("tried: user%s%s\n", root ? ", another user" : "", ret ? "" : ", process");
	return 0;
}
