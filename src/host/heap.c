/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA heaps: /dev/dma_heap/system, and system_cc_shared on a confidential guest. Checks and errors
 * are those of Linux 7.2, drivers/dma-buf/dma-heap.c and heaps/system_heap.c.
 *
 * A buffer is a memfd: its descriptor is a file of its own, and what the program maps of it is
 * memory that its CPU reaches as any other. Which files are buffers is kept by inode, since what
 * backs an address is all that a mapping call tells; inodes of memfds are not given out twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "host.h"

/* include/uapi/linux/dma-heap.h */
struct heap_alloc_abi {
	uint64_t len;
	uint32_t fd;
	uint32_t fd_flags;
	uint64_t heap_flags;
};
_Static_assert(sizeof(struct heap_alloc_abi) == 24, "struct dma_heap_allocation_data");
#define HEAP_ALLOC _IOWR('H', 0, struct heap_alloc_abi)
_Static_assert(HEAP_ALLOC == 0xc0184800, "DMA_HEAP_IOCTL_ALLOC");

/* include/uapi/linux/dma-buf.h, struct dma_buf_sync: one word of flags. */
#define BUF_SYNC       _IOW('b', 0, uint64_t)
#define BUF_SYNC_RW    UINT64_C(3)
#define BUF_SYNC_VALID UINT64_C(7)
_Static_assert(BUF_SYNC == 0x40086200, "DMA_BUF_IOCTL_SYNC");

struct heap_buffer {
	uint64_t dev, ino;
	bool shared;
};

void host_heaps_destroy(struct host_heaps *heaps)
{
	free(heaps->buffers);
	pthread_mutex_destroy(&heaps->lock);
}

/* Where @ino is or would be; with the lock held. They grow as they are given out. */
static size_t place(const struct host_heaps *heaps, uint64_t ino)
{
	size_t low = 0, high = heaps->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (heaps->buffers[mid].ino < ino)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int remember(struct host_heaps *heaps, const struct stat *st, bool shared)
{
	size_t at;
	int ret = 0;

	pthread_mutex_lock(&heaps->lock);
	if (heaps->nr == heaps->cap) {
		size_t cap = heaps->cap ? 2 * heaps->cap : 16;
		struct heap_buffer *more = reallocarray(heaps->buffers, cap, sizeof(*more));

		if (more) {
			heaps->buffers = more;
			heaps->cap = cap;
		} else {
			ret = -ENOMEM;
		}
	}
	if (!ret) {
		at = place(heaps, st->st_ino);
		memmove(&heaps->buffers[at + 1], &heaps->buffers[at],
			(heaps->nr - at) * sizeof(heaps->buffers[0]));
		heaps->buffers[at] = (struct heap_buffer){ st->st_dev, st->st_ino, shared };
		__atomic_store_n(&heaps->nr, heaps->nr + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&heaps->lock);
	return ret;
}

bool host_heap_find(struct host_heaps *heaps, uint64_t dev, uint64_t ino, bool *shared)
{
	bool found;
	size_t at;

	if (!__atomic_load_n(&heaps->nr, __ATOMIC_ACQUIRE))
		return false;
	pthread_mutex_lock(&heaps->lock);
	at = place(heaps, ino);
	found = at < heaps->nr && heaps->buffers[at].ino == ino && heaps->buffers[at].dev == dev;
	if (found)
		*shared = heaps->buffers[at].shared;
	pthread_mutex_unlock(&heaps->lock);
	return found;
}

/* More than there can be: alloc_pages() would give up. */
static bool too_much(uint64_t len)
{
	struct sysinfo info;

	return sysinfo(&info) || len / info.mem_unit > info.totalram;
}

/* The buffer, as an open file of the access that was asked for; or a negative errno. */
static int buffer_new(struct host *host, uint64_t len, uint32_t flags, bool shared)
{
	char name[64];
	struct stat st;
	int fd, own, ret;

	if (too_much(len))
		return -ENOMEM;
	snprintf(name, sizeof(name), "cbit-heap:%s", shared ? "system_cc_shared" : "system");
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* A dma-buf keeps its size. */
	if (ftruncate(fd, (off_t)len) || fstat(fd, &st) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		ret = -errno;
	} else {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		own = open(name, (int)(flags & O_ACCMODE) | O_CLOEXEC);
		ret = own < 0 ? -errno : remember(&host->heaps, &st, shared);
		if (!ret)
			ret = own;
		else if (own >= 0)
			close(own);
	}
	close(fd);
	return ret;
}

/* dma_heap_ioctl_allocate() */
static int check(const struct heap_alloc_abi *a, uint64_t *len)
{
	if (a->fd || a->fd_flags & ~(uint32_t)(O_CLOEXEC | O_ACCMODE) || a->heap_flags)
		return -EINVAL;
	/* PAGE_ALIGN() wraps to 0 for the last page of lengths. */
	*len = (a->len + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	return *len ? 0 : -EINVAL;
}

/* dma_heap_ioctl(): a caller's structure of another size is cut or filled up with zeros. */
static int alloc(struct host_call *call, uint32_t cmd, uint64_t arg, bool shared)
{
	size_t size = _IOC_SIZE(cmd) < sizeof(struct heap_alloc_abi)
			      ? _IOC_SIZE(cmd)
			      : sizeof(struct heap_alloc_abi);
	size_t in = cmd & IOC_IN ? size : 0, out = cmd & IOC_OUT ? size : 0;
	struct heap_alloc_abi a = { 0 };
	uint64_t len;
	int fd, ret;

	if (in && host_copy_in(call->tid, &a, arg, in))
		return -EFAULT;
	ret = check(&a, &len);
	if (ret)
		return ret;
	fd = buffer_new(call->host, len, a.fd_flags, shared);
	if (fd < 0)
		return fd;
	/* What cannot be answered is not given out: found out by writing what is there already. */
	if (out && host_copy_out(call->tid, arg, &a, out))
		ret = -EFAULT;
	if (!ret)
		ret = host_install_fd(call, fd, (a.fd_flags & O_CLOEXEC) != 0);
	close(fd);
	if (ret < 0)
		return ret;
	a.fd = (uint32_t)ret;
	return out && host_copy_out(call->tid, arg, &a, out) ? -EFAULT : 0;
}

/* dma_buf_ioctl(): nobody is attached by a device that would have to be told. */
static int sync_buffer(struct host_call *call, uint64_t arg)
{
	uint64_t flags;

	if (host_copy_in(call->tid, &flags, arg, sizeof(flags)))
		return -EFAULT;
	return flags & ~BUF_SYNC_VALID || !(flags & BUF_SYNC_RW) ? -EINVAL : 0;
}

bool host_heap_ioctl(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	uint32_t cmd = (uint32_t)args[1];
	struct host_fd fd;

	if (host_fd_lookup(call->host, call->tid, (int)args[0], &fd))
		return false;
	if (cmd == BUF_SYNC && fd.kind == HOST_FD_HEAP_BUFFER)
		call->error = sync_buffer(call, args[2]);
	else if (_IOC_NR(cmd) == 0 && fd.kind == HOST_FD_VFS && fd.node->heap)
		call->error = alloc(call, cmd, args[2], fd.node->number == HOST_HEAP_CC_SHARED);
	else
		return false;
	return true;
}

/* dma_buf_mmap_internal() */
int host_heap_mmap_check(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host_fd fd;
	struct stat st;
	bool shared;
	int own, ret = 0;

	if (!__atomic_load_n(&call->host->heaps.nr, __ATOMIC_ACQUIRE) ||
	    host_fd_lookup(call->host, call->tid, (int)args[4], &fd) ||
	    fd.kind != HOST_FD_HEAP_BUFFER)
		return 0;
	own = host_get_fd(call->host, call->tid, (int)args[4]);
	if (own < 0)
		return 0;
	if (!fstat(own, &st) && host_heap_find(&call->host->heaps, st.st_dev, st.st_ino, &shared)) {
		uint64_t len = (args[1] + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;

		if (args[5] > (uint64_t)st.st_size || len > (uint64_t)st.st_size - args[5])
			ret = -EINVAL;
	}
	close(own);
	return ret;
}

int host_heap_nodes(struct vfs *vfs, bool confidential)
{
	/* A dynamic major number. */
	const unsigned int major = 240;
	int ret;

	if (!vfs_dir(vfs, "/dev/dma_heap", true))
		return -ENOMEM;
	ret = vfs_heap(vfs, "/dev/dma_heap/system", major, 0, HOST_HEAP_SYSTEM);
	/* system_heap_create() asks for CC_ATTR_MEM_ENCRYPT, which an SME host has too. */
	if (!ret && confidential)
		ret = vfs_heap(vfs, "/dev/dma_heap/system_cc_shared", major, 1,
			       HOST_HEAP_CC_SHARED);
	return ret;
}
