/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of the client that the filter singles out: carried out on the machine, and answered.
 * serve.c receives them, perhaps several at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shm.h"

/* The most one pread or pwrite moves; a longer one is answered short, as it may be. */
#define RW_MAX 65536u

int host_install_fd(struct host_call *call, int fd, bool cloexec)
{
	struct seccomp_notif_addfd add = {
		.id = call->req->id,
		.srcfd = (uint32_t)fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	int ret = ioctl(call->host->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	if (ret >= HOST_FDS_MAX)
		host_files_expect_always(call->host);
	return ret < 0 ? -errno : ret;
}

static void answer(struct host_call *call, long ret)
{
	if (ret < 0)
		call->error = (int)ret;
	else
		call->val = ret;
}

/* The file that the call is about, held until done(). False when it is none of ours. */
static bool find(struct host_call *call, struct host_fd *fd)
{
	host_files_settle(call->host);
	pthread_rwlock_rdlock(&call->host->calls);
	if (!host_fd_lookup(call->host, call->tid, (int)call->req->data.args[0], fd) && fd->file)
		return true;
	pthread_rwlock_unlock(&call->host->calls);
	call->pass = true;
	return false;
}

static void done(struct host_call *call)
{
	pthread_rwlock_unlock(&call->host->calls);
}

/* Only device files have a place in them. */
static bool find_device(struct host_call *call, struct host_fd *fd)
{
	if (!find(call, fd))
		return false;
	if (fd->kind == HOST_FD_DEVICE)
		return true;
	done(call);
	call->pass = true;
	return false;
}

static void do_ioctl(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host_fd fd;

	if ((args[1] & 0xff00) != (unsigned int)';' << 8 && host_heap_ioctl(call))
		return;
	if (!find(call, &fd))
		return;
	answer(call, cbit_vfio_ioctl(fd.file, call, (uint32_t)args[1], args[2]));
	done(call);
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

	/* With a pagemap about every read is notified. */
	if (!write && !(args[3] & CBIT_VFIO_OFFSET_MARK) && args[3] >> CBIT_VFIO_INDEX_SHIFT != 7) {
		host_pagemap_read(call);
		return;
	}
	if (!find_device(call, &fd))
		return;
	answer(call, move(call, fd.file, args[3], args[1], args[2], write));
	done(call);
}

static void do_rwv(struct host_call *call, bool write)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct iovec one;
	struct host_fd fd;
	long n = 0, total = 0;

	if (!find_device(call, &fd))
		return;
	if (args[2] > 1024)
		n = -EINVAL;
	for (uint64_t i = 0; i < args[2] && n >= 0; i++) {
		if (host_copy_in(call->tid, &one, args[1] + i * sizeof(one), sizeof(one))) {
			n = -EFAULT;
			break;
		}
		n = move(call, fd.file, args[3] + (uint64_t)total, (uintptr_t)one.iov_base,
			 one.iov_len, write);
		if (n < 0)
			break;
		total += n;
		if ((size_t)n < one.iov_len)
			break;
	}
	answer(call, total ? total : n);
	done(call);
}

/* Files whose memory is not what the kernel, which sees other ones, would give. */
static bool refuses_mmap(struct host *host, pid_t tid, int number, int *error)
{
	struct host_fd fd;

	*error = 0;
	pthread_rwlock_rdlock(&host->calls);
	if (!host_fd_lookup(host, tid, number, &fd)) {
		if (fd.kind == HOST_FD_DMABUF)
			*error = -EINVAL; /* vfio-pci's have no mmap (dma_buf_mmap_internal) */
		else if (fd.kind == HOST_FD_SOCK && cbit_vfio_kind(fd.file) == CBIT_FILE_IOMMUFD)
			*error = -ENXIO; /* no queues of hardware (iommufd_fops_mmap) */
	}
	pthread_rwlock_unlock(&host->calls);
	return *error;
}

static void do_mmap(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host *host = call->host;
	struct host_fd fd;
	int ret;

	call->pass = true;
	if (args[3] & MAP_FIXED && host->config->watch_memory) {
		host_files_expect(host);
		host_give_up(call);
	}
	if (!(args[5] & CBIT_VFIO_OFFSET_MARK)) {
		if (args[3] & MAP_ANONYMOUS || (args[3] & MAP_TYPE) == MAP_PRIVATE)
			return;
		if (refuses_mmap(host, call->tid, (int)args[4], &call->error)) {
			call->pass = false;
			return;
		}
		call->error = host_heap_mmap_check(call);
		call->pass = !call->error;
		if (call->error)
			return;
		host_shm_seen(host, host->shm, call->tid, (int)args[4]);
		return;
	}
	pthread_rwlock_rdlock(&host->calls);
	if (!host_fd_lookup(host, call->tid, (int)args[4], &fd) && fd.kind == HOST_FD_DEVICE) {
		ret = cbit_vfio_mmap_check(fd.file, args[5], args[1],
					   (args[3] & MAP_TYPE) != MAP_PRIVATE);
		if (ret) {
			call->pass = false;
			call->error = ret;
		}
	}
	pthread_rwlock_unlock(&host->calls);
	__atomic_add_fetch(&host->maps_generation, 1, __ATOMIC_RELEASE);
}

static void dispatch(struct host_call *call)
{
	switch (call->req->data.nr) {
	case SYS_ioctl:
		do_ioctl(call);
		break;
	case SYS_read:
		host_pagemap_read(call);
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
	case SYS_munmap:
	case SYS_mremap:
		/* A mapping can be what is left of a file. */
		host_files_expect(call->host);
		call->pass = true;
		host_give_up(call);
		break;
	case SYS_madvise:
	case SYS_brk:
		call->pass = true;
		host_give_up(call);
		break;
	case SYS_getdents64:
		host_getdents(call);
		break;
	case SYS_close:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_close_range:
	case SYS_unshare:
	case SYS_clone:
	case SYS_clone3:
	case SYS_io_uring_setup:
		host_fds_call(call);
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

void host_call_serve(struct host_call *call)
{
	uint64_t *answered = &call->host->stats.answered;

	/*
	 * The kernel orders a call that is received after the answers given before. Said once more,
	 * for tools that do not see it: a client's next call may be another thread's here.
	 */
	(void)__atomic_load_n(answered, __ATOMIC_ACQUIRE);
	dispatch(call);
	__atomic_add_fetch(answered, 1, __ATOMIC_RELEASE);
	respond(call);
}
