/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The notification loop: receives the client's calls that the filter singles out, carries them
 * out on the machine, and answers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, uint64_t)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* The most one pread or pwrite moves; a longer one is answered short, as it may be. */
#define RW_MAX 65536u

/* How long closes under way are waited for at last, doubling from 1 ms. */
#define LAST_LOOK_MS 512

int host_install_fd(struct host_call *call, int fd, bool cloexec)
{
	struct seccomp_notif_addfd add = {
		.id = call->req->id,
		.srcfd = (uint32_t)fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	int ret = ioctl(call->host->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	return ret < 0 ? -errno : ret;
}

static void answer(struct host_call *call, long ret)
{
	if (ret < 0)
		call->error = (int)ret;
	else
		call->val = ret;
}

static bool find(struct host_call *call, struct host_fd *fd)
{
	if (call->host->again)
		host_files_drain(call->host);
	return !host_fd_lookup(call->host, call->tid, (int)call->req->data.args[0], fd);
}

static void do_ioctl(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host_fd fd;

	if (!find(call, &fd) || !fd.file)
		call->pass = true;
	else
		answer(call, cbit_vfio_ioctl(fd.file, call, (uint32_t)args[1], args[2]));
}

static long move(struct host_call *call, struct cbit_file *file, uint64_t offset, uint64_t addr,
		 uint64_t len, bool write)
{
	uint8_t buf[RW_MAX];
	long n;

	if (len > sizeof(buf))
		len = sizeof(buf);
	if (write && host_copy_in(call->tid, buf, addr, len))
		return -EFAULT;
	n = cbit_vfio_rw(file, offset, buf, len, write);
	if (n > 0 && !write && host_copy_out(call->tid, addr, buf, (size_t)n))
		return -EFAULT;
	return n;
}

static void do_rw(struct host_call *call, bool write)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host_fd fd;

	if (!find(call, &fd) || fd.kind != HOST_FD_DEVICE)
		call->pass = true;
	else
		answer(call, move(call, fd.file, args[3], args[1], args[2], write));
}

static void do_rwv(struct host_call *call, bool write)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct iovec one;
	struct host_fd fd;
	long n = 0, total = 0;

	if (!find(call, &fd) || fd.kind != HOST_FD_DEVICE) {
		call->pass = true;
		return;
	}
	if (args[2] > 1024)
		return answer(call, -EINVAL);
	for (uint64_t i = 0; i < args[2]; i++) {
		if (host_copy_in(call->tid, &one, args[1] + i * sizeof(one), sizeof(one)))
			return answer(call, total ? total : -EFAULT);
		n = move(call, fd.file, args[3] + (uint64_t)total, (uintptr_t)one.iov_base,
			 one.iov_len, write);
		if (n < 0)
			break;
		total += n;
		if ((size_t)n < one.iov_len)
			break;
	}
	answer(call, total ? total : n);
}

static void do_mmap(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host *host = call->host;
	struct host_fd fd;
	int ret;

	call->pass = true;
	if (host_fd_lookup(host, call->tid, (int)args[4], &fd) || fd.kind != HOST_FD_DEVICE)
		return;
	ret = cbit_vfio_mmap_check(fd.file, args[5], args[1], (args[3] & MAP_TYPE) != MAP_PRIVATE);
	if (ret) {
		call->pass = false;
		call->error = ret;
	}
	__atomic_add_fetch(&host->maps_generation, 1, __ATOMIC_RELEASE);
}

static void dispatch(struct host_call *call)
{
	switch (call->req->data.nr) {
	case SYS_ioctl:
		do_ioctl(call);
		break;
	case SYS_pread64:
	case SYS_pwrite64:
		do_rw(call, call->req->data.nr == SYS_pwrite64);
		break;
	case SYS_preadv:
	case SYS_pwritev:
		do_rwv(call, call->req->data.nr == SYS_pwritev);
		break;
	case SYS_mmap:
		do_mmap(call);
		break;
	case SYS_getdents64:
		host_getdents(call);
		break;
	default:
		host_path_call(call);
		break;
	}
}

static void respond(struct host_call *call)
{
	struct seccomp_notif_resp resp = {
		.id = call->req->id,
		.val = call->error ? 0 : call->val,
		.error = call->error,
		.flags = call->pass ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0,
	};

	if (call->pass) {
		resp.val = 0;
		resp.error = 0;
	}
	/* ENOENT: the caller was killed meanwhile; nobody waits for the answer. */
	(void)ioctl(call->host->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

/* Who asks us to end means the program: it decides, and we end with it. */
static void forward_signal(struct host *host)
{
	struct signalfd_siginfo info;

	if (read(host->signals, &info, sizeof(info)) == sizeof(info))
		kill(host->child, (int)info.ssi_signo);
}

int host_notify_loop(struct host *host)
{
	struct pollfd fds[4] = { { .fd = host->listener, .events = POLLIN },
				 { .fd = host->stop, .events = POLLIN },
				 { .fd = host->signals, .events = POLLIN },
				 { .fd = host->epoll, .events = POLLIN } };
	struct seccomp_notif_sizes sizes;
	struct seccomp_notif *req;
	int ret = 0;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes))
		return -errno;
	/* The kernel's structure may be longer than ours. */
	req = calloc(1, sizes.seccomp_notif > sizeof(*req) ? sizes.seccomp_notif : sizeof(*req));
	if (!req)
		return -ENOMEM;
	/* A faster hand-over where the kernel has it. */
	(void)ioctl(host->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		    SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	for (;;) {
		struct host_call call = { .host = host, .req = req };

		int n = poll(fds, 4, host->again ? host->again : -1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			ret = -errno;
			break;
		}
		if (!n) {
			host_files_drain(host);
			host->again = host->again < LAST_LOOK_MS ? 2 * host->again : 0;
		}
		if (fds[1].revents)
			break;
		if (fds[2].revents)
			forward_signal(host);
		/*
		 * Looked at after the listener, so that a close before a call is seen before
		 * the call is received.
		 */
		if (fds[3].revents)
			host_files_drain(host);
		if (!(fds[0].revents & POLLIN)) {
			/* No process with the filter is left; the tracer is about to say so. */
			if (fds[0].revents)
				fds[0].fd = -1;
			continue;
		}
		memset(req, 0, sizes.seccomp_notif);
		if (ioctl(host->listener, SECCOMP_IOCTL_NOTIF_RECV, req)) {
			if (errno == ENOENT || errno == EINTR)
				continue;
			ret = -errno;
			break;
		}
		call.tid = (pid_t)req->pid;
		dispatch(&call);
		respond(&call);
	}
	free(req);
	return ret;
}
