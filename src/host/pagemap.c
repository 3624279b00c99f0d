/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /proc/PID/pagemap of a program whose devices no IOMMU of its own translates: what it gives to
 * them are physical addresses, of the guest (GPAs), and this is where it looks them up.
 *
 * What is answered are the kernel's own entries with the frame numbers of the modelled machine in
 * them. A page keeps its frame from the first look until the program gives it up. The file is a
 * memfd, whose entries are filled in before each read of them goes on (Linux:
 * Documentation/admin-guide/mm/pagemap.rst, fs/proc/task_mmu.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/sys/tree.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

#define ENTRY        sizeof(uint64_t)
#define ENTRY_PFN    ((UINT64_C(1) << 55) - 1)
#define ENTRY_THERE  (UINT64_C(1) << 63)
#define ADDRESSES    UINT64_C(0x7ffffffff000) /* TASK_SIZE of 4-level paging */
#define FILE_SIZE    (ADDRESSES / CBIT_PAGE_SIZE * ENTRY)
#define FILL_ENTRIES 512u

/* A page that was looked up. */
struct frame {
	RB_ENTRY(frame) node;
	uint64_t vaddr;
	struct cbit_client_run run;
};

RB_HEAD(frames, frame);

static int frame_cmp(const struct frame *a, const struct frame *b)
{
	return a->vaddr < b->vaddr ? -1 : a->vaddr > b->vaddr;
}

RB_GENERATE_INTERNAL(frames, frame, node, frame_cmp, __attribute__((unused)) static)

/* An address space that was looked at; @fd is the file that all who open it read. */
struct host_pagemap {
	struct cbit_owner *owner;
	uint64_t id;
	int fd;
	int real;
	struct frames frames;
	struct host_pagemap *next;
};

/* --- opening --- */

/* With the lock held. */
static struct host_pagemap *create(struct host *host, struct cbit_owner *owner)
{
	struct host_pagemap *map = calloc(1, sizeof(*map));
	char name[64];

	if (!map)
		return NULL;
	map->id = ++host->pagemaps.last;
	snprintf(name, sizeof(name), "cbit-pagemap:%llx", (unsigned long long)map->id);
	map->fd = memfd_create(name, MFD_CLOEXEC);
	snprintf(name, sizeof(name), "/proc/%d/pagemap", owner->tgid);
	map->real = open(name, O_RDONLY | O_CLOEXEC);
	if (map->fd < 0 || map->real < 0 || ftruncate(map->fd, (off_t)FILE_SIZE)) {
		if (map->fd >= 0)
			close(map->fd);
		if (map->real >= 0)
			close(map->real);
		free(map);
		return NULL;
	}
	map->owner = owner;
	RB_INIT(&map->frames);
	map->next = host->pagemaps.first;
	host->pagemaps.first = map;
	return map;
}

/* Of address spaces that are gone, or all. With the lock held. */
static void drop(struct host *host, bool all)
{
	struct host_pagemap **at = &host->pagemaps.first, *map;
	struct frame *frame, *next;

	while ((map = *at)) {
		if (!all && !__atomic_load_n(&map->owner->gone, __ATOMIC_RELAXED)) {
			at = &map->next;
			continue;
		}
		__atomic_store_n(at, map->next, __ATOMIC_RELEASE);
		for (frame = RB_MIN(frames, &map->frames); frame; frame = next) {
			next = RB_NEXT(frames, &map->frames, frame);
			RB_REMOVE(frames, &map->frames, frame);
			host_client_ops.unpin(host, map->owner, frame->vaddr, &frame->run);
			free(frame);
		}
		close(map->fd);
		close(map->real);
		host_owner_put(host, map->owner);
		free(map);
	}
}

static pid_t named(const char *path, pid_t tid)
{
	int pid, end = 0;

	if (!strcmp(path, "/proc/self/pagemap") || !strcmp(path, "/proc/thread-self/pagemap"))
		return tid;
	return sscanf(path, "/proc/%d/pagemap%n", &pid, &end) == 1 && end && !path[end] ? pid : 0;
}

int host_pagemap_open(struct host_call *call, const char *path)
{
	struct host *host = call->host;
	struct host_pagemap *map;
	struct cbit_owner *owner;
	char link[64];
	pid_t pid;
	int fd = -ENOMEM;

	pid = host_noiommu(host->config) ? named(path, call->tid) : 0;
	owner = pid ? host_owner_get(host, pid) : NULL;
	if (!owner)
		return -ENOENT;
	pthread_mutex_lock(&host->pagemaps.lock);
	drop(host, false);
	for (map = host->pagemaps.first; map && map->owner != owner;)
		map = map->next;
	/* It keeps the reference. */
	if (map)
		host_owner_put(host, owner);
	else
		map = create(host, owner);
	if (map) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", map->fd);
		fd = open(link, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	} else {
		host_owner_put(host, owner);
	}
	pthread_mutex_unlock(&host->pagemaps.lock);
	return fd;
}

/* --- reading --- */

static struct frame *frame_at(struct host_pagemap *map, uint64_t vaddr)
{
	struct frame find = { .vaddr = vaddr };

	return RB_FIND(frames, &map->frames, &find);
}

/* The frame of a page that is there; 0 where it has none (its address is in no mapping by now). */
static uint64_t look_up(struct host *host, struct host_pagemap *map, uint64_t vaddr)
{
	struct frame *frame = frame_at(map, vaddr);
	struct cbit_client_run run = { .len = 0 };

	if (frame)
		return frame->run.spa.v;
	if (host_client_ops.pin(host, map->owner, vaddr, CBIT_PAGE_SIZE, false, &run))
		return 0;
	if (run.kind != CBIT_MEM_DRAM)
		return run.spa.v; /* a BAR stays where it is */
	frame = calloc(1, sizeof(*frame));
	if (!frame || cbit_guest_accept(cbit_machine_guest(host->machine), CBIT_GPA(run.spa.v),
					CBIT_PAGE_SIZE)) {
		host_client_ops.unpin(host, map->owner, vaddr, &run);
		free(frame);
		return 0;
	}
	frame->vaddr = vaddr;
	frame->run = run;
	RB_INSERT(frames, &map->frames, frame);
	return run.spa.v; /* NOLINT(clang-analyzer-unix.Malloc): the tree holds it */
}

/* Where nothing is mapped there is nothing to keep: the file is as long as the address space. */
static bool keep(struct host_pagemap *map, const uint64_t *entries, size_t n, uint64_t offset)
{
	const uint8_t *bytes = (const uint8_t *)entries;

	if (!bytes[0] && !memcmp(bytes, bytes + 1, n - 1))
		return !fallocate(map->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)offset, (off_t)n);
	return pwrite(map->fd, entries, n, (off_t)offset) == (ssize_t)n;
}

static int fill(struct host *host, struct host_pagemap *map, uint64_t offset, uint64_t len)
{
	uint64_t entries[FILL_ENTRIES];

	if (offset >= FILE_SIZE)
		return 0;
	if (len > FILE_SIZE - offset)
		len = FILE_SIZE - offset;
	while (len) {
		size_t n = len < sizeof(entries) ? (size_t)len : sizeof(entries);
		ssize_t got = pread(map->real, entries, n, (off_t)offset);

		if (got <= 0)
			return got ? -errno : 0;
		n = (size_t)got;
		for (size_t i = 0; i < n / ENTRY; i++) {
			uint64_t vaddr = (offset / ENTRY + i) * CBIT_PAGE_SIZE;

			if (entries[i] & ENTRY_THERE)
				entries[i] = (entries[i] & ~ENTRY_PFN) |
					     look_up(host, map, vaddr) >> CBIT_PAGE_SHIFT;
		}
		if (!keep(map, entries, n, offset))
			return -ENOMEM;
		offset += n;
		len -= n;
	}
	return 0;
}

void host_pagemap_read(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host *host = call->host;
	uint64_t offset = args[3], len = args[2];
	struct host_pagemap *map;
	struct host_fd info;
	int fd, ret = 0;

	call->pass = true;
	if (!__atomic_load_n(&host->pagemaps.first, __ATOMIC_ACQUIRE) ||
	    host_fd_lookup(host, call->tid, (int)args[0], &info) || info.kind != HOST_FD_PAGEMAP)
		return;
	if (call->req->data.nr == SYS_read) {
		/* Descriptors of one open share the place in it. */
		fd = host_get_fd(host, call->tid, (int)args[0]);
		offset = fd >= 0 ? (uint64_t)lseek(fd, 0, SEEK_CUR) : UINT64_MAX;
		if (fd >= 0)
			close(fd);
	}
	if ((offset | len) % ENTRY)
		ret = -EINVAL; /* pagemap_read() */
	pthread_mutex_lock(&host->pagemaps.lock);
	for (map = host->pagemaps.first; map && map->id != info.number;)
		map = map->next;
	if (map && !ret)
		ret = fill(host, map, offset, len);
	pthread_mutex_unlock(&host->pagemaps.lock);
	if (ret) {
		call->pass = false;
		call->error = ret;
	}
}

/* --- giving up --- */

void host_pagemap_lost(struct host *host, const struct cbit_owner *owner, uint64_t first,
		       uint64_t last)
{
	struct frame find = { .vaddr = first & CBIT_PAGE_MASK }, *frame, *next;
	struct host_pagemap *map;

	if (!__atomic_load_n(&host->pagemaps.first, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&host->pagemaps.lock);
	for (map = host->pagemaps.first; map && map->owner != owner;)
		map = map->next;
	for (frame = map ? RB_NFIND(frames, &map->frames, &find) : NULL;
	     frame && frame->vaddr <= last; frame = next) {
		next = RB_NEXT(frames, &map->frames, frame);
		RB_REMOVE(frames, &map->frames, frame);
		host_client_ops.unpin(host, map->owner, frame->vaddr, &frame->run);
		free(frame);
	}
	pthread_mutex_unlock(&host->pagemaps.lock);
}

void host_pagemaps_destroy(struct host *host)
{
	drop(host, true);
	pthread_mutex_destroy(&host->pagemaps.lock);
}
