/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A namespace's bytes: a file, a block device, or memory (a memfd, which is a file too).
 *
 * What was written is in the file when a command completes, so it outlives this process; what was
 * flushed, or written with FUA, is also on whatever is below the file (fdatasync, RWF_DSYNC).
 */
#include "nvme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ZERO_CHUNK ((size_t)64 << 10)

static int open_memory(struct nvme_ns *ns, uint64_t size, struct cbit_error *err)
{
	ns->fd = memfd_create("cbit-nvme", MFD_CLOEXEC);
	if (ns->fd < 0 || ftruncate(ns->fd, (off_t)size))
		return cbit_error_set(err, -ENOMEM, "nvme: no memory for a disk of %llu bytes: %s",
				      (unsigned long long)size, strerror(errno));
	ns->bytes = size;
	return 0;
}

static int open_path(struct nvme_ns *ns, struct cbit_error *err)
{
	struct stat st;
	off_t end;

	ns->fd = open(ns->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (ns->fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
		ns->fd = open(ns->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		ns->readonly = ns->fd >= 0;
	}
	if (ns->fd < 0)
		return cbit_error_set(err, -errno, "nvme: cannot open file=%s: %s", ns->path,
				      strerror(errno));
	if (fstat(ns->fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return cbit_error_set(err, -EINVAL,
				      "nvme: file=%s is neither a file nor a block device",
				      ns->path);
	end = lseek(ns->fd, 0, SEEK_END);
	if (end < 0)
		return cbit_error_set(err, -errno, "nvme: file=%s: no size: %s", ns->path,
				      strerror(errno));
	/* Two controllers on one file would undo each other's work. */
	if (flock(ns->fd, (ns->readonly ? LOCK_SH : LOCK_EX) | LOCK_NB) && errno == EWOULDBLOCK)
		return cbit_error_set(err, -EBUSY, "nvme: file=%s is in use by another device",
				      ns->path);
	ns->bytes = (uint64_t)end;
	return 0;
}

int nvme_store_open(struct nvme_ns *ns, uint64_t memory_size, struct cbit_error *err)
{
	int ret = ns->path ? open_path(ns, err) : open_memory(ns, memory_size, err);

	if (ret)
		return ret;
	ns->blocks = ns->bytes >> ns->shift;
	if (!ns->blocks)
		return cbit_error_set(err, -EINVAL,
				      "nvme: file=%s: %llu bytes are less than a block of %u",
				      ns->path ? ns->path : "(memory)",
				      (unsigned long long)ns->bytes, 1u << ns->shift);
	return 0;
}

int nvme_store_share(struct nvme_ns *ns, const struct nvme_ns *of, struct cbit_error *err)
{
	ns->fd = fcntl(of->fd, F_DUPFD_CLOEXEC, 0);
	if (ns->fd < 0)
		return cbit_error_set(err, -errno, "nvme: no descriptor for a namespace: %s",
				      strerror(errno));
	ns->readonly = of->readonly;
	ns->bytes = of->bytes;
	ns->blocks = ns->bytes >> ns->shift;
	return 0;
}

void nvme_store_close(struct nvme_ns *ns)
{
	if (ns->fd >= 0)
		close(ns->fd);
	ns->fd = -1;
	free(ns->path);
	ns->path = NULL;
}

static uint16_t failed(int error)
{
	return error == ENOSPC || error == EDQUOT ? NVME_CAPACITY : NVME_WRITE_FAULT;
}

int nvme_file_read(int fd, uint64_t offset, void *buf, size_t len)
{
	uint8_t *at = buf;

	while (len) {
		ssize_t got = pread(fd, at, len, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		/* Nothing there: somebody has cut the file short. */
		if (got <= 0)
			return got ? errno : EIO;
		at += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

int nvme_file_write(int fd, uint64_t offset, const void *buf, size_t len, bool durable)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };

	while (iov.iov_len) {
		ssize_t put = durable ? pwritev2(fd, &iov, 1, (off_t)offset, RWF_DSYNC)
				      : pwrite(fd, iov.iov_base, iov.iov_len, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put ? errno : EIO;
		iov.iov_base = (uint8_t *)iov.iov_base + put;
		iov.iov_len -= (size_t)put;
		offset += (uint64_t)put;
	}
	return 0;
}

uint16_t nvme_store_read(struct nvme_ns *ns, uint64_t offset, void *buf, size_t len)
{
	return nvme_file_read(ns->fd, offset, buf, len) ? NVME_READ_ERROR : NVME_OK;
}

uint16_t nvme_store_write(struct nvme_ns *ns, uint64_t offset, const void *buf, size_t len,
			  bool durable)
{
	int error;

	if (ns->readonly)
		return NVME_WRITE_PROTECTED;
	error = nvme_file_write(ns->fd, offset, buf, len, durable);
	return error ? failed(error) : NVME_OK;
}

/* Where the file system cannot do it. */
static uint16_t write_zeroes(struct nvme_ns *ns, uint64_t offset, uint64_t len)
{
	static const uint8_t zeroes[ZERO_CHUNK];
	uint16_t status = NVME_OK;

	while (len && !status) {
		size_t n = len < sizeof(zeroes) ? (size_t)len : sizeof(zeroes);

		status = nvme_store_write(ns, offset, zeroes, n, false);
		offset += n;
		len -= n;
	}
	return status;
}

uint16_t nvme_store_zero(struct nvme_ns *ns, uint64_t offset, uint64_t len, bool deallocate,
			 bool durable)
{
	uint16_t status = NVME_OK;
	int mode = deallocate ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, ret;

	if (ns->readonly)
		return NVME_WRITE_PROTECTED;
	do {
		ret = fallocate(ns->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
	} while (ret && errno == EINTR);
	/* Block devices want blocks of their own size. */
	if (ret && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ENODEV))
		status = write_zeroes(ns, offset, len);
	else if (ret)
		status = failed(errno);
	if (!status && durable)
		status = nvme_store_flush(ns);
	return status;
}

uint16_t nvme_store_flush(struct nvme_ns *ns)
{
	if (!ns->path || ns->readonly)
		return NVME_OK;
	while (fdatasync(ns->fd)) {
		if (errno != EINTR)
			return failed(errno);
	}
	return NVME_OK;
}

uint64_t nvme_store_used(const struct nvme_ns *ns)
{
	struct stat st;
	uint64_t used;

	if (fstat(ns->fd, &st) || !S_ISREG(st.st_mode))
		return ns->blocks;
	used = ((uint64_t)st.st_blocks * 512 + (1u << ns->shift) - 1) >> ns->shift;
	return used < ns->blocks ? used : ns->blocks;
}
