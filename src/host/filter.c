/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting the program: the child installs a seccomp filter that notifies us of the few calls
 * that concern a VFIO program, hands over the listener, waits to be released, and executes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/filter.h>
#include <unistd.h>

#include "host.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

/* VFIO and iommufd share ioctl type ';'. */
#define VFIO_TYPE_MASK 0xff00u
#define VFIO_TYPE      ((unsigned int)';' << 8)
#define DMABUF_TYPE    ((unsigned int)'b' << 8)

/* Calls that can take memory away, see giveup.c. */
static int add_memory_rules(scmp_filter_ctx ctx)
{
	static const unsigned int advices[] = {
		MADV_DONTNEED, MADV_REMOVE, 24 /* MADV_DONTNEED_LOCKED, Linux 5.18 */,
		102 /* MADV_GUARD_INSTALL, Linux 6.13 */
	};
	int ret = seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(munmap), 0);

	ret = ret ? ret : seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(mremap), 0);
	/* brk(0) only asks. */
	ret = ret ? ret
		  : seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(brk), 1,
					   SCMP_A0(SCMP_CMP_NE, 0));
	ret = ret ? ret
		  : seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(mmap), 1,
					   SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_FIXED, MAP_FIXED));
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]) && !ret; i++)
		ret = seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(madvise), 1,
					     SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX, advices[i]));
	return ret;
}

static int add_rules(scmp_filter_ctx ctx, const struct host_config *config)
{
	static const int always[] = {
		SCMP_SYS(open),       SCMP_SYS(openat),      SCMP_SYS(openat2),
		SCMP_SYS(stat),       SCMP_SYS(lstat),       SCMP_SYS(fstat),
		SCMP_SYS(newfstatat), SCMP_SYS(statx),       SCMP_SYS(access),
		SCMP_SYS(faccessat),  SCMP_SYS(faccessat2),  SCMP_SYS(readlink),
		SCMP_SYS(readlinkat), SCMP_SYS(getdents64),  SCMP_SYS(getxattr),
		SCMP_SYS(lgetxattr),  SCMP_SYS(listxattr),   SCMP_SYS(llistxattr),
		SCMP_SYS(clone3),     SCMP_SYS(close_range), SCMP_SYS(io_uring_setup),
	};
	/* Region offsets are marked by a bit that no other file offset has. */
	const struct scmp_arg_cmp marked3 =
		SCMP_A3(SCMP_CMP_MASKED_EQ, CBIT_VFIO_OFFSET_MARK, CBIT_VFIO_OFFSET_MARK);
	const struct scmp_arg_cmp marked5 =
		SCMP_A5(SCMP_CMP_MASKED_EQ, CBIT_VFIO_OFFSET_MARK, CBIT_VFIO_OFFSET_MARK);
	/*
	 * vfio-pci's own offset of configuration space, which DPDK 22.11 takes for granted
	 * instead of asking GET_REGION_INFO. Other files are not read 7 TiB from their start.
	 */
	const struct scmp_arg_cmp config3 =
		SCMP_A3(SCMP_CMP_MASKED_EQ, ~((UINT64_C(1) << CBIT_VFIO_INDEX_SHIFT) - 1),
			UINT64_C(7) << CBIT_VFIO_INDEX_SHIFT);
	/* Shared, of a file; MAP_SHARED_VALIDATE has the bit of MAP_SHARED too. */
	const struct scmp_arg_cmp shared =
		SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED | MAP_ANONYMOUS, MAP_SHARED);
	/* What fds.c must know of. Nobody keeps a file of ours as standard input or output. */
	const uint64_t tables = CLONE_FILES | CLONE_THREAD;
	/* Descriptors are 32 bits wide, whatever the register holds above. */
	const uint64_t high = UINT32_MAX & ~(uint64_t)(HOST_FDS_MAX - 1);
	const struct scmp_arg_cmp low0 = SCMP_A0(SCMP_CMP_MASKED_EQ, high, 0);
	const struct scmp_arg_cmp low1 = SCMP_A1(SCMP_CMP_MASKED_EQ, high, 0);
	const struct {
		int call;
		struct scmp_arg_cmp when;
	} some[] = {
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, VFIO_TYPE_MASK, VFIO_TYPE) },
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, VFIO_TYPE_MASK, DMABUF_TYPE) },
		/* DMA_HEAP_IOCTL_ALLOC, of any size, as the kernel takes it. */
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffff, (unsigned int)'H' << 8) },
		{ SCMP_SYS(pread64), marked3 },
		{ SCMP_SYS(pwrite64), marked3 },
		{ SCMP_SYS(pread64), config3 },
		{ SCMP_SYS(pwrite64), config3 },
		{ SCMP_SYS(preadv), marked3 },
		{ SCMP_SYS(pwritev), marked3 },
		{ SCMP_SYS(mmap), marked5 },
		{ SCMP_SYS(mmap), shared },
		{ SCMP_SYS(close), low0 },
		{ SCMP_SYS(dup2), low1 },
		{ SCMP_SYS(dup3), low1 },
		{ SCMP_SYS(unshare), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_FILES, CLONE_FILES) },
		{ SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, tables, CLONE_FILES) },
		{ SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, tables, CLONE_THREAD) },
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]) && !ret; i++)
		ret = seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, always[i], 0);
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]) && !ret; i++)
		ret = seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, some[i].call, 1, some[i].when);
	if (!ret && config->watch_memory)
		ret = add_memory_rules(ctx);
	/* Entries of /proc/PID/pagemap are filled in before they are read. */
	if (!ret && host_noiommu(config))
		ret = seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(read), 0);
	if (!ret && host_noiommu(config))
		ret = seccomp_rule_add_exact(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(pread64), 0);
	return ret;
}

/* The filter as BPF; made before the fork, where memory can still be had. */
static int build(struct sock_fprog *prog, const struct host_config *config, struct cbit_error *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct stat st;
	int fd, ret;

	if (!ctx)
		return cbit_error_set(err, -ENOMEM, "libseccomp: no memory for a filter");
	/* A 32-bit program finds no VFIO, but is not killed for being one. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	ret = ret ? ret : seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	ret = ret ? ret : add_rules(ctx, config);
	fd = memfd_create("cbit-filter", MFD_CLOEXEC);
	if (fd < 0)
		ret = ret ? ret : -errno;
	ret = ret ? ret : seccomp_export_bpf(ctx, fd);
	seccomp_release(ctx);
	if (!ret && fstat(fd, &st))
		ret = -errno;
	if (!ret) {
		prog->filter = malloc((size_t)st.st_size);
		prog->len = (unsigned short)((size_t)st.st_size / sizeof(struct sock_filter));
		if (!prog->filter || pread(fd, prog->filter, (size_t)st.st_size, 0) != st.st_size)
			ret = -ENOMEM;
	}
	if (fd >= 0)
		close(fd);
	return ret ? cbit_error_set(err, ret, "cannot build the seccomp filter: %s", strerror(-ret))
		   : 0;
}

static int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (char[]){ 'f' }, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -EPIPE;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/* execvp() says EACCES when it could not look into a directory of PATH; a shell says "not found".
 */
static int why_not(const char *program, int code)
{
	const char *path = getenv("PATH"), *end;
	char name[HOST_PATH_MAX];

	if (code != EACCES || strchr(program, '/') || !path)
		return code;
	for (; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		snprintf(name, sizeof(name), "%.*s/%s", (int)(end - path), path, program);
		if (!access(name, F_OK))
			return code;
	}
	return ENOENT;
}

/* The child's life until the program takes over. What fails is told as an errno by the socket. */
static void __attribute__((noreturn))
child_main(const struct host *host, int sock, const struct sock_fprog *prog, pid_t parent)
{
	char *const *argv = host->config->argv;
	struct sock_fprog copy = *prog;
	int listener, code;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	listener = (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &copy);
	code = errno;
	if (listener < 0 || send_fd(sock, listener)) {
		if (write(sock, "e", 1) != 1 || write(sock, &code, sizeof(code)) < 0)
			_exit(125);
		_exit(125);
	}
	close(listener);
	if (read(sock, &byte, 1) != 1)
		_exit(125);
	/* The program may outlive this signal's purpose: the tracer's EXITKILL takes over. */
	prctl(PR_SET_PDEATHSIG, 0);
	sigprocmask(SIG_SETMASK, &host->old_mask, NULL);
	execvp(argv[0], argv);
	code = why_not(argv[0], errno);
	if (write(sock, &code, sizeof(code)) < 0)
		_exit(125);
	_exit(code == ENOENT ? 127 : 126);
}

int host_spawn(struct host *host, struct cbit_error *err)
{
	pid_t self = getpid();
	struct sock_fprog prog = { 0 };
	int pair[2], ret;

	ret = build(&prog, host->config, err);
	if (ret)
		return ret;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		free(prog.filter);
		return cbit_error_set(err, -errno, "socketpair: %s", strerror(errno));
	}
	host->child = fork();
	if (!host->child) {
		close(pair[0]);
		child_main(host, pair[1], &prog, self);
	}
	free(prog.filter);
	close(pair[1]);
	if (host->child < 0) {
		close(pair[0]);
		return cbit_error_set(err, -errno, "fork: %s", strerror(errno));
	}
	/* Its number may be somebody else's after its end. */
	host->child_pidfd = (int)syscall(SYS_pidfd_open, host->child, 0);
	host->listener = receive_fd(pair[0]);
	if (host->listener < 0) {
		int code = 0;

		if (read(pair[0], &code, sizeof(code)) != sizeof(code))
			code = -host->listener;
		close(pair[0]);
		kill(host->child, SIGKILL);
		waitpid(host->child, NULL, 0);
		return cbit_error_set(err, -code,
				      "seccomp refuses a filter with a listener: %s (Linux 5.19 or "
				      "newer is needed, and no other such filter above us)",
				      strerror(code));
	}
	return pair[0];
}

int host_release_child(int sync, struct cbit_error *err)
{
	if (send(sync, "g", 1, MSG_NOSIGNAL) != 1)
		return cbit_error_set(err, -EPIPE, "the program's process died before it began");
	return 0;
}
