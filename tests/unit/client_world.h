/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A made-up client of the vfio room: an address space of ranges, descriptors, eventfds and
 * pins that are counted, so that a test sees what is left behind.
 */
#ifndef CBIT_TEST_CLIENT_WORLD_H
#define CBIT_TEST_CLIENT_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CLIENT_CHECK
#include <cmocka.h>
#define CLIENT_CHECK(x) assert_true(x)
#endif

#include <cbit/vfio.h>
#include "vfio/uapi_iommufd.h"

/* The client's address space: arguments, memory with bytes, memory without, read-only memory. */
#define ARGS          UINT64_C(0x10000)
#define ARGS_SIZE     UINT64_C(0x4000)
#define RAM           UINT64_C(0x7f0000000000)
#define RAM_SIZE      UINT64_C(0x400000)
#define RAM_SPA       (CBIT_CLIENT_DRAM_BASE)
#define BLANK         UINT64_C(0x100000000000)
#define BLANK_SIZE    UINT64_C(0x10000000000)
#define BLANK_SPA     (CBIT_CLIENT_DRAM_BASE + UINT64_C(0x10000000000))
#define READONLY      UINT64_C(0x7e0000000000)
#define READONLY_SIZE UINT64_C(0x10000)
#define READONLY_SPA  (CBIT_CLIENT_DRAM_BASE + UINT64_C(0x40000000))
#define NOWHERE       UINT64_C(0x500000000000)

#define CLIENT_FDS 64
#ifndef CLIENT_RANGES
#define CLIENT_RANGES 16
#endif
#define CLIENT_PID       4711 /* of process 0; that of the next is one more */
#define CLIENT_PROCESSES 3
#define CLIENT_USERS     2
#define OWN_FD           1000 /* our duplicates of eventfds are numbered from here */

/* A piece of address space. Without @bytes it cannot be copied, without @spa not be pinned. */
struct client_range {
	uint64_t start, len, spa;
	enum cbit_mem_kind kind;
	bool writable;
	uint8_t *bytes;
	bool pfn_map;
};

enum client_fd_kind { FD_CLOSED, FD_FILE, FD_EVENTFD, FD_OTHER, FD_MEMORY };

/* A file in memory, whose bytes are those of a part of RAM. */
#define CLIENT_MEMORIES 2
struct client_memory {
	uint64_t spa, size;
	int refs;
	int64_t pinned;
};

/* A stream: what was given out, or what a test puts in. */
#define CLIENT_STREAMS 4
struct client_stream {
	uint8_t data[8192];
	size_t len;
	bool in_use; /* the vfio room takes it in */
};

struct client_fd {
	enum client_fd_kind kind;
	struct client_stream *stream;
	struct cbit_file *file;
	uint64_t count; /* of the eventfd */
	int dups;
	struct client_memory *memory;
	struct { /* at most one watch for each duplicate */
		void (*wake)(void *ctx);
		void *ctx;
	} watch;
};

struct client {
	struct cbit_machine *machine;
	struct client_range range[CLIENT_RANGES];
	unsigned int ranges;
	uint8_t args[ARGS_SIZE];
	uint8_t *ram;
	struct client_fd fd[CLIENT_FDS];
	int fd_limit;
	struct client_memory memory[CLIENT_MEMORIES];
	struct client_stream stream[CLIENT_STREAMS];
	unsigned int streams; /* made so far */
	int owners;
	int64_t pinned;     /* pages */
	int64_t locked;     /* pages accounted, in all */
	int64_t lock_limit; /* how many may be on an account; 0 for any */
	int64_t mm_locked[CLIENT_PROCESSES], user_locked[CLIENT_USERS];
	unsigned int process, user; /* who calls */
	unsigned int ended;         /* processes, a bit each, that are no more */
	bool unlimited;             /* it may lock any amount by an iommufd, uncounted */
	bool powerless;             /* it has no capabilities */
	unsigned int pins;
	unsigned int fail_pin; /* let this many succeed, then fail; 0 for never */
	unsigned int events[CBIT_NR_EVENTS];
	struct cbit_event last;
	bool telling;
	uint32_t trace; /* of every call */
};

static inline struct client_range *client_find(struct client *c, uint64_t addr)
{
	for (unsigned int i = 0; i < c->ranges; i++) {
		if (addr - c->range[i].start < c->range[i].len)
			return &c->range[i];
	}
	return NULL;
}

/* Copy piece by piece, as far as there are ranges; the copy that fails may have begun. */
static inline int client_copy(struct client *c, void *buf, uint64_t addr, size_t len, bool out)
{
	uint8_t *p = buf;

	while (len) {
		struct client_range *r = client_find(c, addr);
		size_t n;

		if (!r || !r->bytes || (out && !r->writable))
			return -EFAULT;
		n = r->len - (addr - r->start) < len ? (size_t)(r->len - (addr - r->start)) : len;
		if (out)
			memcpy(r->bytes + (addr - r->start), p, n);
		else
			memcpy(p, r->bytes + (addr - r->start), n);
		addr += n;
		p += n;
		len -= n;
	}
	return 0;
}

static inline int client_copy_in(void *opaque, void *caller, void *dst, uint64_t addr, size_t len)
{
	(void)caller;
	return client_copy(opaque, dst, addr, len, false);
}

static inline int client_copy_out(void *opaque, void *caller, uint64_t addr, const void *src,
				  size_t len)
{
	uint8_t *copy = malloc(len);
	int ret;

	(void)caller;
	memcpy(copy, src, len);
	ret = client_copy(opaque, copy, addr, len, true);
	free(copy);
	return ret;
}

static inline struct cbit_owner *client_owner(void *opaque, void *caller, int *pid)
{
	struct client *c = opaque;

	(void)caller;
	__atomic_add_fetch(&c->owners, 1, __ATOMIC_SEQ_CST);
	*pid = CLIENT_PID + (int)c->process;
	return (struct cbit_owner *)&c->mm_locked[c->process];
}

/* The number of the process that an owner is; nothing else may come. All have the same memory. */
static inline unsigned int client_process_of(struct client *c, struct cbit_owner *owner)
{
	unsigned int i = 0;

	while (i < CLIENT_PROCESSES && (void *)owner != (void *)&c->mm_locked[i])
		i++;
	CLIENT_CHECK(i < CLIENT_PROCESSES);
	return i;
}

/* The file that an owner is; NULL for a process. */
static inline struct client_memory *client_memory_of(struct client *c, struct cbit_owner *owner)
{
	for (unsigned int i = 0; i < CLIENT_MEMORIES; i++) {
		if ((void *)owner == (void *)&c->memory[i])
			return &c->memory[i];
	}
	client_process_of(c, owner);
	return NULL;
}

static inline int client_memory(void *opaque, void *caller, int fd, struct cbit_owner **out)
{
	struct client *c = opaque;

	(void)caller;
	if (fd < 0 || fd >= CLIENT_FDS || c->fd[fd].kind == FD_CLOSED)
		return -EBADF;
	*out = NULL;
	if (c->fd[fd].kind != FD_MEMORY)
		return 0;
	__atomic_add_fetch(&c->fd[fd].memory->refs, 1, __ATOMIC_SEQ_CST);
	*out = (struct cbit_owner *)c->fd[fd].memory;
	return 0;
}

static inline void client_owner_put(void *opaque, struct cbit_owner *owner)
{
	struct client *c = opaque;
	struct client_memory *memory = client_memory_of(c, owner);

	if (memory) {
		CLIENT_CHECK(memory->refs > 0);
		__atomic_sub_fetch(&memory->refs, 1, __ATOMIC_SEQ_CST);
		return;
	}
	__atomic_sub_fetch(&c->owners, 1, __ATOMIC_SEQ_CST);
}

static inline int client_pin(void *opaque, struct cbit_owner *owner, uint64_t vaddr, uint64_t len,
			     bool write, struct cbit_client_run *run)
{
	struct client *c = opaque;
	struct client_range *r = client_find(c, vaddr);
	struct client_memory *memory = client_memory_of(c, owner);

	CLIENT_CHECK(len && !((vaddr | len) & ~CBIT_PAGE_MASK));
	if (memory) {
		if (vaddr >= memory->size || len > memory->size - vaddr)
			return -EINVAL;
		*run = (struct cbit_client_run){ CBIT_SPA(memory->spa + vaddr), len,
						 CBIT_MEM_DRAM };
		memory->pinned += (int64_t)(len >> CBIT_PAGE_SHIFT);
		return 0;
	}
	if (!r || !r->spa || (write && !r->writable))
		return -EFAULT;
	if (c->fail_pin && c->pins == c->fail_pin) /* NOLINT(clang-analyzer-core.NullDereference) */
		return -ENOMEM;
	run->spa = CBIT_SPA(r->spa + (vaddr - r->start));
	run->len = r->len - (vaddr - r->start) < len ? r->len - (vaddr - r->start) : len;
	run->kind = r->kind;
	run->pfn_map = r->pfn_map;
	c->pins++;
	c->pinned += (int64_t)(run->len >> CBIT_PAGE_SHIFT);
	return 0;
}

static inline void client_unpin(void *opaque, struct cbit_owner *owner, uint64_t vaddr,
				const struct cbit_client_run *run)
{
	struct client *c = opaque;
	struct client_range *r = client_find(c, vaddr);
	struct client_memory *memory = client_memory_of(c, owner);

	if (memory) {
		CLIENT_CHECK(run->spa.v == memory->spa + vaddr);
		memory->pinned -= (int64_t)(run->len >> CBIT_PAGE_SHIFT);
		return;
	}
	CLIENT_CHECK(r && run->spa.v == r->spa + (vaddr - r->start));
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	c->pinned -= (int64_t)(run->len >> CBIT_PAGE_SHIFT);
}

static inline int client_charge(struct client *c, int64_t *account, int64_t pages)
{
	if (pages > 0 && c->lock_limit && *account + pages > c->lock_limit)
		return -ENOMEM;
	*account += pages;
	CLIENT_CHECK(*account >= 0);
	c->locked += pages;
	return 0;
}

static inline int client_lock(void *opaque, struct cbit_owner *owner, int64_t pages)
{
	struct client *c = opaque;

	return client_charge(c, &c->mm_locked[client_process_of(c, owner)], pages);
}

static inline bool client_lock_counts(void *opaque, void *caller, uint32_t *user)
{
	struct client *c = opaque;

	(void)caller;
	*user = c->user;
	return !c->unlimited;
}

static inline int client_lock_user(void *opaque, struct cbit_owner *owner, uint32_t user,
				   int64_t pages)
{
	struct client *c = opaque;
	unsigned int process = client_process_of(c, owner);

	CLIENT_CHECK(pages && (user == CBIT_NO_USER || user < CLIENT_USERS));
	if (user != CBIT_NO_USER)
		return client_charge(c, &c->user_locked[user], pages);
	if (client_charge(c, &c->mm_locked[process], pages))
		return -ENOMEM;
	return pages < 0 && c->ended & 1u << process ? -EINVAL : 0;
}

static inline bool client_capable(void *opaque, void *caller, int capability)
{
	(void)caller;
	(void)capability;
	return !((struct client *)opaque)->powerless;
}

static inline int client_eventfd(void *opaque, void *caller, int fd)
{
	struct client *c = opaque;

	(void)caller;
	if (fd < 0 || fd >= CLIENT_FDS || c->fd[fd].kind == FD_CLOSED)
		return -EBADF;
	if (c->fd[fd].kind != FD_EVENTFD)
		return -EINVAL;
	c->fd[fd].dups++;
	return OWN_FD + fd;
}

static inline void client_signal(void *opaque, int eventfd)
{
	struct client *c = opaque;

	CLIENT_CHECK(eventfd >= OWN_FD && c->fd[eventfd - OWN_FD].dups > 0);
	__atomic_add_fetch(&c->fd[eventfd - OWN_FD].count, 1, __ATOMIC_SEQ_CST);
}

static inline void client_eventfd_put(void *opaque, int eventfd)
{
	struct client *c = opaque;

	CLIENT_CHECK(eventfd >= OWN_FD && c->fd[eventfd - OWN_FD].dups > 0);
	c->fd[eventfd - OWN_FD].dups--;
}

static inline int client_watch(void *opaque, int eventfd, void (*wake)(void *ctx), void *ctx)
{
	struct client *c = opaque;

	CLIENT_CHECK(eventfd >= OWN_FD && c->fd[eventfd - OWN_FD].dups > 0);
	if (wake && c->fd[eventfd - OWN_FD].watch.wake)
		return -ENOMEM;
	CLIENT_CHECK(wake || c->fd[eventfd - OWN_FD].watch.wake);
	c->fd[eventfd - OWN_FD].watch.wake = wake;
	c->fd[eventfd - OWN_FD].watch.ctx = ctx;
	return 0;
}

/* The client writes to its eventfd, and whoever watches it is called. */
static inline void client_kick(struct client *c, int fd)
{
	if (c->fd[fd].watch.wake)
		c->fd[fd].watch.wake(c->fd[fd].watch.ctx);
	else
		c->fd[fd].count++;
}

static inline int client_file(void *opaque, void *caller, int fd, struct cbit_file **out)
{
	struct client *c = opaque;

	(void)caller;
	if (fd < 0 || fd >= CLIENT_FDS || c->fd[fd].kind == FD_CLOSED)
		return -EBADF;
	*out = c->fd[fd].kind == FD_FILE ? c->fd[fd].file : NULL;
	return 0;
}

static inline int client_fd_new(struct client *c, enum client_fd_kind kind, struct cbit_file *file)
{
	/* descriptors whose eventfd somebody still holds are not used again */
	for (int fd = 0; fd < c->fd_limit; fd++) {
		if (c->fd[fd].kind == FD_CLOSED && !c->fd[fd].dups) {
			c->fd[fd] = (struct client_fd){ .kind = kind, .file = file };
			return fd;
		}
	}
	return -EMFILE;
}

/* A file in memory of @size bytes, which are those of RAM from @offset on. */
static inline int client_memfd(struct client *c, unsigned int n, uint64_t offset, uint64_t size)
{
	int fd = client_fd_new(c, FD_MEMORY, NULL);

	CLIENT_CHECK(fd >= 0 && !c->memory[n].refs);
	c->memory[n] = (struct client_memory){ .spa = RAM_SPA + offset, .size = size };
	c->fd[fd].memory = &c->memory[n];
	return fd;
}

static inline int client_install(void *opaque, void *caller, struct cbit_file *file)
{
	(void)caller;
	return client_fd_new(opaque, FD_FILE, file);
}

static inline int client_stream(struct client *c, struct client_stream **out)
{
	int fd = client_fd_new(c, FD_OTHER, NULL);

	if (fd < 0)
		return fd;
	do
		*out = c->fd[fd].stream = &c->stream[c->streams++ % CLIENT_STREAMS];
	while ((*out)->in_use);
	(*out)->len = 0;
	return fd;
}

static inline int client_stream_out(void *opaque, void *caller, const void *data, size_t len)
{
	struct client_stream *stream;
	int fd = client_stream(opaque, &stream);

	(void)caller;
	CLIENT_CHECK(len <= sizeof(stream->data));
	if (fd < 0)
		return fd;
	memcpy(stream->data, data, len);
	stream->len = len;
	return fd;
}

static inline int client_stream_in(void *opaque, void *caller, void **out)
{
	struct client_stream *stream;
	int fd = client_stream(opaque, &stream);

	(void)caller;
	if (fd < 0)
		return fd;
	stream->in_use = true;
	*out = stream;
	return fd;
}

static inline long client_stream_take(void *opaque, void *in, void *buf, size_t size)
{
	const struct client_stream *stream = in;

	(void)opaque;
	if (stream->len > size)
		return -EINVAL;
	memcpy(buf, stream->data, stream->len);
	return (long)stream->len;
}

static inline void client_stream_drop(void *opaque, void *in)
{
	struct client_stream *stream = in;

	(void)opaque;
	CLIENT_CHECK(stream->in_use);
	stream->in_use = false;
}

static inline uint32_t client_trace(void *opaque, struct cbit_owner *owner, void *caller)
{
	struct client *c = opaque;

	(void)caller;
	client_process_of(c, owner);
	return c->trace;
}

static const struct cbit_client_ops client_ops = {
	.copy_in = client_copy_in,
	.copy_out = client_copy_out,
	.owner = client_owner,
	.owner_put = client_owner_put,
	.pin = client_pin,
	.unpin = client_unpin,
	.lock = client_lock,
	.lock_counts = client_lock_counts,
	.lock_user = client_lock_user,
	.eventfd = client_eventfd,
	.signal = client_signal,
	.eventfd_put = client_eventfd_put,
	.watch = client_watch,
	.file = client_file,
	.install = client_install,
	.trace = client_trace,
	.capable = client_capable,
	.memory = client_memory,
	.stream_out = client_stream_out,
	.stream_in = client_stream_in,
	.stream_take = client_stream_take,
	.stream_drop = client_stream_drop,
};

/* The bytes behind client DRAM: those of the range whose frames they are. */
static inline int client_dram(struct client *c, uint64_t offset, void *buf, size_t len, bool write)
{
	uint64_t spa = CBIT_CLIENT_DRAM_BASE + offset;

	for (unsigned int i = 0; i < c->ranges; i++) {
		const struct client_range *r = &c->range[i];

		if (!r->bytes || !r->spa || r->kind != CBIT_MEM_DRAM || spa < r->spa ||
		    spa - r->spa >= r->len || len > r->len - (spa - r->spa))
			continue;
		if (write)
			memcpy(r->bytes + (spa - r->spa), buf, len);
		else
			memcpy(buf, r->bytes + (spa - r->spa), len);
		return 0;
	}
	return -EFAULT;
}

static inline int client_dram_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	return client_dram(opaque, offset, buf, len, false);
}

static inline int client_dram_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	union {
		const void *in;
		void *out;
	} u = { .in = buf };

	return client_dram(opaque, offset, u.out, len, true);
}

static const struct cbit_mem_ops client_dram_ops = {
	.read = client_dram_read,
	.write = client_dram_write,
};

static inline void client_event(void *opaque, const struct cbit_event *ev)
{
	struct client *c = opaque;

	__atomic_add_fetch(&c->events[ev->type], 1, __ATOMIC_SEQ_CST);
	/* Events come from any thread; whoever reads the last one has stopped them. */
	while (__atomic_test_and_set(&c->telling, __ATOMIC_ACQUIRE))
		;
	c->last = *ev;
	__atomic_clear(&c->telling, __ATOMIC_RELEASE);
}

#endif
