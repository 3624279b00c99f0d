/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes behind an SPA: moved through the client's process, by a pointer where its file is
 * mapped here too, or in what was kept of memory that the program gave up.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "frames.h"

#define MAX_SEGMENTS 64

/* What one remote segment of a transfer is: a piece of one process's memory. */
struct segment {
	struct cbit_owner *owner;
	uint64_t vaddr;
	size_t len;
};

static bool resolve(struct host_frames_map *map, uint64_t offset, size_t len, unsigned int skip,
		    struct segment *out)
{
	uint64_t limit = map->placement == HOST_FRAMES_SCATTERED ? CBIT_PAGE_SIZE : CHUNK_SIZE;
	uint64_t rest = limit - (offset & (limit - 1)), key;
	struct space *space = map->chunks[offset >> CHUNK_SHIFT].space;
	const struct view *view;

	if (!space)
		return false;
	key = frames_key(map, offset);
	if (space->file) {
		view = frames_view_find(space, key, skip);
		if (!view)
			return false;
		out->owner = view->owner;
		out->vaddr = key + view->shift;
		if (rest > view->last - key + 1)
			rest = view->last - key + 1;
	} else {
		const struct pinned *gone = pinned_find_gone(&space->pinned, space->owner, key,
							     key + (len < rest ? len : rest) - 1);

		if (skip || __atomic_load_n(&space->owner->gone, __ATOMIC_RELAXED))
			return false;
		/* Those are for move_kept(). */
		if (gone && gone->first <= key)
			return false;
		if (gone)
			rest = gone->first - key;
		out->owner = space->owner;
		out->vaddr = key;
	}
	out->len = len < rest ? len : (size_t)rest;
	return true;
}

static bool transfer(struct host *host, struct cbit_owner *owner, void *buf, size_t len,
		     const struct iovec *remote, unsigned long nr, bool write)
{
	struct iovec local = { .iov_base = buf, .iov_len = len };
	ssize_t n;
	pid_t tid;

	if (owner->file >= 0) {
		host_count(&host->stats.calls, nr);
		host_count(&host->stats.by_call, len);
		return host_memory_move(owner, buf, remote, nr, write);
	}
	__atomic_add_fetch(&host->moving, 1, __ATOMIC_RELAXED);
	do {
		tid = __atomic_load_n(&owner->tid, __ATOMIC_RELAXED);
		n = write ? process_vm_writev(tid, &local, 1, remote, nr, 0)
			  : process_vm_readv(tid, &local, 1, remote, nr, 0);
		host_count(&host->stats.calls, 1);
	} while (n < 0 && errno == ESRCH && host_owner_retarget(owner));
	__atomic_sub_fetch(&host->moving, 1, __ATOMIC_RELEASE);
	if (n < 0 && errno == ESRCH)
		__atomic_store_n(&owner->dying, true, __ATOMIC_RELAXED);
	if (n > 0)
		host_count(&host->stats.by_call, (uint64_t)n);
	return n == (ssize_t)len;
}

/* Pieces of one process's memory that one call can move. */
struct gathered {
	struct cbit_owner *owner; /* held */
	struct iovec remote[MAX_SEGMENTS];
	unsigned long nr;
	size_t len;
};

/* At most @max pieces, by the view that comes after @skip others. False when there is none. */
static bool gather(struct host_frames_map *map, uint64_t offset, size_t len, unsigned int skip,
		   unsigned long max, struct gathered *g)
{
	struct segment seg;

	g->owner = NULL;
	g->len = 0;
	pthread_rwlock_rdlock(&map->lock);
	for (g->nr = 0; g->nr < max && g->len < len; g->nr++) {
		if (!resolve(map, offset + g->len, len - g->len, skip, &seg) ||
		    (g->owner && seg.owner != g->owner))
			break;
		if (!g->owner)
			host_owner_hold(seg.owner);
		g->owner = seg.owner;
		g->remote[g->nr].iov_base = (void *)(uintptr_t)seg.vaddr;
		g->remote[g->nr].iov_len = seg.len;
		g->len += seg.len;
	}
	pthread_rwlock_unlock(&map->lock);
	return g->owner != NULL;
}

static bool move_gathered(struct host_frames_map *map, const struct gathered *g, void *buf,
			  bool write)
{
	bool ok = transfer(map->host, g->owner, buf, g->len, g->remote, g->nr, write);

	host_owner_put(map->host, g->owner);
	return ok;
}

/* Bytes at @offset that the program gave up: how many were moved, 0 where there are none. */
static size_t move_kept(struct host_frames_map *map, uint64_t offset, char *buf, size_t len,
			bool write)
{
	uint64_t limit = map->placement == HOST_FRAMES_SCATTERED ? CBIT_PAGE_SIZE : CHUNK_SIZE;
	uint64_t rest = limit - (offset & (limit - 1)), key;
	const struct pinned *gone = NULL;
	struct space *space;
	size_t n = 0;

	pthread_rwlock_rdlock(&map->lock);
	space = map->chunks[offset >> CHUNK_SHIFT].space;
	if (space && !space->file && space->pinned.gone) {
		key = frames_key(map, offset);
		gone = pinned_find_gone(&space->pinned, space->owner, key, key);
	}
	if (gone && gone->kept) {
		if (rest > gone->last - key + 1)
			rest = gone->last - key + 1;
		n = len < rest ? len : (size_t)rest;
		if (write)
			memcpy(gone->kept + (key - gone->first), buf, n);
		else
			memcpy(buf, gone->kept + (key - gone->first), n);
	}
	pthread_rwlock_unlock(&map->lock);
	return n;
}

/* Through the client's process. The map is not locked while bytes move. */
static int move(struct host_frames_map *map, uint64_t offset, char *buf, size_t len, bool write)
{
	struct gathered g;

	size_t kept;

	while (len) {
		if (!gather(map, offset, len, 0, MAX_SEGMENTS, &g)) {
			kept = move_kept(map, offset, buf, len, write);
			if (!kept)
				return -EFAULT;
			offset += kept;
			buf += kept;
			len -= kept;
			continue;
		}
		if (!move_gathered(map, &g, buf, write)) {
			/* One segment, by whichever view of it still works. */
			for (unsigned int skip = 0;; skip++) {
				if (!gather(map, offset, len, skip, 1, &g))
					return -EFAULT;
				if (move_gathered(map, &g, buf, write))
					break;
			}
		}
		offset += g.len;
		buf += g.len;
		len -= g.len;
	}
	return 0;
}

void *host_frames_hold(struct host_frames_map *map, uint64_t offset, size_t *len, bool write,
		       void **cookie)
{
	uint64_t rest = CHUNK_SIZE - (offset & (CHUNK_SIZE - 1)), key;
	struct host_shm_map *shm;
	void *p = NULL;

	if (*len > rest)
		*len = (size_t)rest;
	pthread_rwlock_rdlock(&map->lock);
	shm = map->chunks[offset >> CHUNK_SHIFT].map;
	if (shm && (shm->writable || !write)) {
		uint8_t *at;

		key = frames_key(map, offset) & (CHUNK_SIZE - 1);
		at = shm->base + key;
		rest = CBIT_PAGE_SIZE - (offset & ~CBIT_PAGE_MASK);
		if (map->placement == HOST_FRAMES_SCATTERED && *len > rest)
			*len = (size_t)rest;
		if (at >= shm->start && at + *len <= shm->start + shm->size &&
		    host_shm_hold(shm, at, *len, cookie))
			p = at;
	}
	pthread_rwlock_unlock(&map->lock);
	if (p)
		host_count(&map->host->stats.by_pointer, *len);
	return p;
}

int host_frames_move(struct host_frames_map *map, const struct cbit_mem_part *parts,
		     unsigned int nr, void *buf, bool write)
{
	struct gathered g = { .owner = NULL };
	struct segment seg;
	bool all = true;

	pthread_rwlock_rdlock(&map->lock);
	for (unsigned int i = 0; i < nr && all; i++) {
		uint64_t offset = parts[i].offset;
		size_t rest = parts[i].len;

		/* What is mapped here needs no calls to be saved. */
		all = !map->chunks[offset >> CHUNK_SHIFT].map;
		while (rest && all) {
			all = g.nr < MAX_SEGMENTS && resolve(map, offset, rest, 0, &seg) &&
			      (!g.owner || seg.owner == g.owner);
			if (!all)
				break;
			g.owner = seg.owner;
			g.remote[g.nr++] = (struct iovec){ (void *)(uintptr_t)seg.vaddr, seg.len };
			g.len += seg.len;
			offset += seg.len;
			rest -= seg.len;
		}
	}
	if (all && g.owner)
		host_owner_hold(g.owner);
	pthread_rwlock_unlock(&map->lock);
	return all && g.owner && move_gathered(map, &g, buf, write) ? 0 : -EFAULT;
}

int host_frames_read(struct host_frames_map *map, uint64_t offset, void *buf, size_t len)
{
	return move(map, offset, buf, len, false);
}

int host_frames_write(struct host_frames_map *map, uint64_t offset, const void *buf, size_t len)
{
	return move(map, offset, (char *)(uintptr_t)buf, len, true);
}
