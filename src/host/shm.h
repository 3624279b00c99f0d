/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm: files in memory that clients share with us (memfd, /dev/shm, hugetlbfs, and shared
 * anonymous memory where we may open it), mapped here so that DMA is a copy.
 */
#ifndef CBIT_HOST_SHM_H
#define CBIT_HOST_SHM_H

#include "host.h"

struct host_shm;

/** struct host_shm_map - a part of such a file, mapped into this process. */
struct host_shm_map {
	uint8_t *base; /* as if the part began at its first key; maybe below @start */
	uint8_t *start;
	size_t size;
	size_t granule; /* page size of the file system, bytes */
	bool writable;
	/* The file was cut short: from here on, the pages are not the file's any more. */
	uint8_t *broken;
	unsigned int users;
};

int host_shm_create(struct host_shm **out);
void host_shm_destroy(struct host_shm *shm);

/**
 * host_shm_seen() - a client is about to map a file shared: keep a way to it, for the client may
 * close its descriptor before it maps the memory for DMA. Any thread.
 */
void host_shm_seen(struct host *host, struct host_shm *shm, pid_t tid, int fd);

/**
 * host_shm_sweep() - let go of files that no client maps any more.
 * Return: how many files that are not mapped for DMA are kept.
 */
unsigned int host_shm_sweep(struct host_shm *shm);

/**
 * host_shm_get() - map @size bytes of the file behind @vma from @offset on.
 * Bytes of the part before the file begins (@offset negative) are left out.
 * Return: owned by the caller, or NULL where the file cannot be reached.
 */
struct host_shm_map *host_shm_get(struct host_shm *shm, struct cbit_owner *owner,
				  const struct host_vma *vma, int64_t offset, uint64_t size);

/** host_shm_in_memory() - is it a file in memory? Then @granule is the size of its pages. */
bool host_shm_in_memory(int fd, size_t *granule);

/** host_shm_reopen() - a description of our own: a descriptor, or negative with errno set. */
int host_shm_reopen(int fd, int flags);

/** host_shm_put() - let go; unmapped when nobody holds it. Any thread. */
void host_shm_put(struct host_shm_map *map);

/**
 * host_shm_hold() - before this thread touches @len bytes of a map at @at. A page that is gone
 * then reads as zeros instead of raising SIGBUS, and host_shm_release() tells.
 * Return: false when this thread holds too many already, or when such a page was found before.
 */
bool host_shm_hold(struct host_shm_map *map, const uint8_t *at, size_t len, void **cookie);

/** host_shm_release() - after it. Return: 0, or -EFAULT when bytes were lost meanwhile. */
int host_shm_release(void *cookie);

/** host_shm_catch() - install the SIGBUS handler; @old is to be put back at the end. */
void host_shm_catch(struct sigaction *old);

#endif
