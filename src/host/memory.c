/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files in memory that are mapped for DMA by their descriptor (IOMMU_IOAS_MAP_FILE): address spaces
 * without a process, whose addresses are offsets in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm.h"

/* Devices may write whatever the program may: its descriptor's mode does not count (pages.c). */
static int open_again(int fd)
{
	int own = host_shm_reopen(fd, O_RDWR);

	return own >= 0 ? own : host_shm_reopen(fd, O_RDONLY);
}

static int create(int fd, const struct stat *st, struct cbit_owner **out)
{
	struct cbit_owner *owner = calloc(1, sizeof(*owner));

	if (!owner)
		return -ENOMEM;
	owner->file = open_again(fd);
	if (owner->file < 0) {
		free(owner);
		return 0; /* what cannot be opened is none of the program's own */
	}
	owner->pidfd = -1;
	owner->maps = -1;
	owner->refs = 1;
	owner->dev = st->st_dev;
	owner->ino = st->st_ino;
	*out = owner;
	return 0;
}

int host_memory_open(struct host *host, pid_t tid, int fd, struct cbit_owner **out)
{
	int own = host_get_fd(host, tid, fd), mode, ret = 0;
	struct host_fd info;
	size_t granule;
	struct stat st;

	*out = NULL;
	if (own < 0)
		return own == -ENOMEM ? own : -EBADF;
	mode = fcntl(own, F_GETFL);
	if (mode < 0 || mode & O_PATH)
		ret = -EBADF;
	else if (host_fd_lookup(host, tid, fd, &info))
		ret = 0;
	/* vfio_pci_dma_buf_iommufd_map(): dma-bufs of nobody else */
	else if (info.kind == HOST_FD_HEAP_BUFFER &&
		 !cbit_policy_takes_pfn_ram(host->config->policy))
		ret = -EOPNOTSUPP;
	else if ((info.kind == HOST_FD_OTHER || info.kind == HOST_FD_HEAP_BUFFER) &&
		 !fstat(own, &st) && S_ISREG(st.st_mode) && host_shm_in_memory(own, &granule))
		ret = create(own, &st, out);
	close(own);
	return ret;
}

static bool within(const struct cbit_owner *o, uint64_t offset, uint64_t len)
{
	struct stat st;

	return !fstat(o->file, &st) && offset < (uint64_t)st.st_size &&
	       len <= (uint64_t)st.st_size - offset;
}

int host_memory_pin(struct host *host, struct cbit_owner *o, uint64_t offset, uint64_t len,
		    struct cbit_client_run *run)
{
	struct host_vma vma = { .end = offset + len,
				.dev = o->dev,
				.ino = o->ino,
				.readable = true,
				.writable = true,
				.shared = true };

	/* Linux: memfd_pin_folios() */
	if (!within(o, offset, len))
		return -EINVAL;
	run->pfn_map = host_heap_find(&host->heaps, o->dev, o->ino, &vma.cc_shared);
	return host_frames_pin(host->frames, o, &vma, offset, len, run);
}

/* Bytes of a file that is not mapped here. It must not become longer by that. */
bool host_memory_move(const struct cbit_owner *o, char *buf, const struct iovec *remote,
		      unsigned long nr, bool write)
{
	for (unsigned long i = 0; i < nr; i++) {
		uint64_t at = (uintptr_t)remote[i].iov_base;
		size_t len = remote[i].iov_len;
		ssize_t n = -1;

		if (within(o, at, len))
			n = write ? pwrite(o->file, buf, len, (off_t)at)
				  : pread(o->file, buf, len, (off_t)at);
		if (n != (ssize_t)len)
			return false;
		buf += len;
	}
	return true;
}
