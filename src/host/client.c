/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the vfio room asks of a presenter, answered with a real process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm.h"

static int copy_in(void *opaque, void *caller, void *dst, uint64_t addr, size_t len)
{
	struct host_traces *traces = ((struct host *)opaque)->config->traces;
	struct host_call *call = caller;

	if (traces && host_trace_copy_in(traces, call, dst, addr, len))
		return 0;
	return host_copy_in(call->tid, dst, addr, len);
}

static int copy_out(void *opaque, void *caller, uint64_t addr, const void *src, size_t len)
{
	(void)opaque;
	return host_copy_out(((struct host_call *)caller)->tid, addr, src, len);
}

static struct cbit_owner *owner(void *opaque, void *caller, int *pid)
{
	struct cbit_owner *o = host_owner_get(opaque, ((struct host_call *)caller)->tid);

	if (o)
		*pid = o->tgid;
	return o;
}

static void owner_put(void *opaque, struct cbit_owner *o)
{
	host_owner_put(opaque, o);
}

/* The part of a BAR that a VMA of a device file shows at @vaddr. */
static int pin_bar(const struct host_devfile *dev, const struct host_vma *vma, uint64_t vaddr,
		   uint64_t len, struct cbit_client_run *run)
{
	uint64_t offset = vma->offset + (vaddr - vma->start);
	unsigned int bar = (unsigned int)(offset >> CBIT_VFIO_INDEX_SHIFT) & 0xff;
	uint64_t pos = offset & ((UINT64_C(1) << CBIT_VFIO_INDEX_SHIFT) - 1);
	const struct cbit_bar_info *info;

	if (!dev->pci || bar >= CBIT_PCI_BARS)
		return -EFAULT;
	info = cbit_pci_bar(dev->pci, bar);
	if (pos >= info->size)
		return -EFAULT;
	run->spa = CBIT_SPA(info->spa.v + pos);
	run->kind = CBIT_MEM_MMIO;
	run->len = len;
	if (run->len > vma->end - vaddr)
		run->len = vma->end - vaddr;
	if (run->len > info->size - pos)
		run->len = info->size - pos;
	return 0;
}

static int pin(void *opaque, struct cbit_owner *o, uint64_t vaddr, uint64_t len, bool write,
	       struct cbit_client_run *run)
{
	struct host *host = opaque;
	struct host_devfile *dev;
	struct host_vma vma;
	bool pfn_map;
	int ret;

	if (o->file >= 0)
		return host_memory_pin(host, o, vaddr, len, run);
	if (host_vma_find(o, vaddr, &vma))
		return -EFAULT;
	if (write ? !vma.writable : !vma.readable)
		return -EFAULT;
	dev = vma.ino ? host_devfile_by_inode(host, vma.dev, vma.ino) : NULL;
	if (dev)
		return pin_bar(dev, &vma, vaddr, len, run);
	vma.cc_shared = false;
	/* system_heap_mmap() maps by remap_pfn_range(). */
	pfn_map = vma.ino && vma.shared &&
		  host_heap_find(&host->heaps, vma.dev, vma.ino, &vma.cc_shared);
	ret = host_frames_pin(host->frames, o, &vma, vaddr, len, run);
	run->pfn_map = pfn_map;
	return ret;
}

static void unpin(void *opaque, struct cbit_owner *o, uint64_t vaddr,
		  const struct cbit_client_run *run)
{
	if (run->kind == CBIT_MEM_DRAM)
		host_frames_unpin(((struct host *)opaque)->frames, o, vaddr, run);
}

static int lock(void *opaque, struct cbit_owner *o, int64_t pages)
{
	return host_lock(opaque, o, pages);
}

static bool lock_counts(void *opaque, void *caller, uint32_t *user)
{
	return host_lock_counts(opaque, ((struct host_call *)caller)->tid, user);
}

static int lock_user(void *opaque, struct cbit_owner *o, uint32_t user, int64_t pages)
{
	return host_lock_user(opaque, o, user, pages);
}

static int get_eventfd(void *opaque, void *caller, int fd)
{
	return host_eventfd_get(opaque, ((struct host_call *)caller)->tid, fd);
}

static void signal_eventfd(void *opaque, int fd)
{
	host_eventfd_signal(opaque, fd);
}

static void put_eventfd(void *opaque, int fd)
{
	(void)opaque;
	close(fd);
}

static int watch(void *opaque, int fd, void (*wake)(void *ctx), void *ctx)
{
	return host_watch(&((struct host *)opaque)->watcher, fd, wake, ctx);
}

static int get_file(void *opaque, void *caller, int fd, struct cbit_file **out)
{
	struct host_fd info;
	int ret;

	*out = NULL;
	if (fd < 0)
		return -EBADF;
	ret = host_fd_lookup(opaque, ((struct host_call *)caller)->tid, fd, &info);
	if (!ret)
		*out = info.file;
	return ret;
}

static int install_dmabuf(struct host *host, struct host_call *call, struct cbit_file *file,
			  bool cloexec)
{
	int fd, ret = host_dmabuf_open(host, file, &fd);

	if (ret)
		return ret;
	ret = host_install_fd(call, fd, cloexec);
	if (ret < 0)
		host_dmabuf_cancel(host, file);
	close(fd);
	return ret;
}

static int install(void *opaque, void *caller, struct cbit_file *file)
{
	struct host *host = opaque;
	bool device = cbit_vfio_kind(file) == CBIT_FILE_DEVICE;
	struct cbit_dmabuf_info info;
	int fd, ret;

	if (device) {
		fd = host_devfile_open(host, file, true);
	} else if (cbit_vfio_dmabuf(file, &info)) {
		return install_dmabuf(host, caller, file, info.flags & O_CLOEXEC);
	} else {
		ret = host_sock_open(host, file, &fd);
		fd = ret ? ret : fd;
	}
	if (fd < 0)
		return fd;
	ret = host_install_fd(caller, fd, true);
	/* Where the client is gone, its file never was: the vfio room takes it back itself. */
	if (device)
		host_devfile_given(host, file, ret >= 0);
	else if (ret < 0)
		host_sock_cancel(host, file);
	close(fd);
	return ret;
}

static uint32_t trace(void *opaque, struct cbit_owner *o, void *caller)
{
	struct host_traces *traces = ((struct host *)opaque)->config->traces;

	return traces ? host_trace_take(traces, o, caller) : 0;
}

static bool capable(void *opaque, void *caller, int capability)
{
	return host_owner_capable(host_tgid(opaque, ((struct host_call *)caller)->tid), capability);
}

static int memory(void *opaque, void *caller, int fd, struct cbit_owner **out)
{
	return host_memory_open(opaque, ((struct host_call *)caller)->tid, fd, out);
}

/* --- streams of a device's state --- */

/* All of it fits into a pipe, whose other end is closed: read it, and it is at its end. */
static int stream_out(void *opaque, void *caller, const void *data, size_t len)
{
	int pair[2], ret = -EIO;

	(void)opaque;
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	if (write(pair[1], data, len) == (ssize_t)len && !fcntl(pair[0], F_SETFL, 0))
		ret = host_install_fd(caller, pair[0], true);
	close(pair[0]);
	close(pair[1]);
	return ret;
}

/* What is written is only looked at afterwards: a file in memory takes as much as there is. */
static int stream_in(void *opaque, void *caller, void **stream)
{
	int fd = memfd_create("cbit-state", MFD_CLOEXEC), out, ret;
	char path[64];

	(void)opaque;
	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	out = open(path, O_WRONLY | O_CLOEXEC);
	ret = out < 0 ? -errno : host_install_fd(caller, out, true);
	if (out >= 0)
		close(out);
	if (ret < 0)
		close(fd);
	else
		*stream = (void *)((intptr_t)fd + 1);
	return ret;
}

static long stream_take(void *opaque, void *stream, void *buf, size_t size)
{
	int fd = (int)((intptr_t)stream - 1);
	struct stat st;
	ssize_t n;

	(void)opaque;
	if (fstat(fd, &st) || (size_t)st.st_size > size)
		return -EINVAL;
	n = pread(fd, buf, size, 0);
	return n < 0 ? -errno : n;
}

static void stream_drop(void *opaque, void *stream)
{
	(void)opaque;
	close((int)((intptr_t)stream - 1));
}

const struct cbit_client_ops host_client_ops = {
	.copy_in = copy_in,
	.copy_out = copy_out,
	.owner = owner,
	.owner_put = owner_put,
	.pin = pin,
	.unpin = unpin,
	.lock = lock,
	.lock_counts = lock_counts,
	.lock_user = lock_user,
	.eventfd = get_eventfd,
	.signal = signal_eventfd,
	.eventfd_put = put_eventfd,
	.watch = watch,
	.file = get_file,
	.install = install,
	.trace = trace,
	.capable = capable,
	.memory = memory,
	.stream_out = stream_out,
	.stream_in = stream_in,
	.stream_take = stream_take,
	.stream_drop = stream_drop,
};

static int dram_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	return host_frames_read(((struct host *)opaque)->frames, offset, buf, len);
}

static int dram_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	return host_frames_write(((struct host *)opaque)->frames, offset, buf, len);
}

static void *dram_hold(void *opaque, uint64_t offset, size_t *len, bool write, void **cookie)
{
	return host_frames_hold(((struct host *)opaque)->frames, offset, len, write, cookie);
}

static int dram_release(void *opaque, void *cookie)
{
	(void)opaque;
	return host_shm_release(cookie);
}

static int dram_move(void *opaque, const struct cbit_mem_part *parts, unsigned int nr, void *buf,
		     bool write)
{
	return host_frames_move(((struct host *)opaque)->frames, parts, nr, buf, write);
}

const struct cbit_mem_ops host_dram_ops = {
	.read = dram_read,
	.write = dram_write,
	.hold = dram_hold,
	.release = dram_release,
	.move = dram_move,
};
