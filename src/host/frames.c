/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames: which modelled SPA a client page has, and the bytes behind an SPA.
 *
 * A page is known by what backs it: file and offset for shared memory, address space and
 * address otherwise; so a page mapped twice has one SPA. SPAs are given out in chunks of
 * 1 GiB of that key space, congruent to the virtual address of the first pin, and a chunk
 * lives as long as any of its pages is pinned. Nothing is kept per page.
 */
#include <bsd/sys/tree.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "shm.h"

#define CHUNK_SHIFT  30
#define CHUNK_SIZE   (UINT64_C(1) << CHUNK_SHIFT)
#define CHUNK_PAGES  (CHUNK_SIZE >> CBIT_PAGE_SHIFT)
#define NR_CHUNKS    (CBIT_CLIENT_DRAM_SIZE >> CHUNK_SHIFT)
#define NR_BUCKETS   1024u
#define MAX_SEGMENTS 16

/* Odd, so that multiplying by it permutes the pages of a chunk; and its inverse. */
#define SCATTER 0x2545fu
static uint32_t scatter_inverse(void)
{
	uint32_t inv = SCATTER;

	for (int i = 0; i < 5; i++)
		inv *= 2 - SCATTER * inv;
	return inv;
}

/*
 * Where pages of a shared file can be reached: keys @first..@last in @owner, at key + @shift.
 * One for each range that was pinned. (Private memory needs none: its key is its address.)
 */
struct view {
	RB_ENTRY(view) node;
	uint64_t first, last;
	struct cbit_owner *owner;
	uint64_t shift;
	uint64_t pins;
};

static int view_cmp(const struct view *a, const struct view *b)
{
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	if (a->last != b->last)
		return a->last < b->last ? -1 : 1;
	if (a->shift != b->shift)
		return a->shift < b->shift ? -1 : 1;
	return a->owner < b->owner ? -1 : a->owner > b->owner;
}

RB_HEAD(views, view);
RB_GENERATE_INTERNAL(views, view, node, view_cmp, __attribute__((unused)) static)

struct space {
	bool file;
	struct cbit_owner *owner; /* !file */
	uint64_t dev, ino;        /* file */
	uint64_t delta;           /* key = file offset + delta */
	uint64_t chunks;
	struct views views;
	struct space *next;
};

struct chunk {
	struct space *space;
	struct host_shm_map *map; /* of a file that we have mapped ourselves, otherwise NULL */
	uint64_t index;           /* key >> CHUNK_SHIFT */
	uint64_t pinned;          /* pages, once for each pin */
	uint32_t next;            /* in its bucket, number + 1 */
};

struct host_frames_map {
	struct host *host;
	pthread_rwlock_t lock;
	enum host_frames placement;
	uint32_t inverse;
	struct space *spaces;
	struct chunk *chunks;
	uint32_t next_chunk;
	uint32_t buckets[NR_BUCKETS];
};

int host_frames_create(struct host *host, struct host_frames_map **out)
{
	struct host_frames_map *map = calloc(1, sizeof(*map));
	pthread_rwlockattr_t attr;

	if (!map)
		return -ENOMEM;
	map->chunks = calloc(NR_CHUNKS, sizeof(*map->chunks));
	if (!map->chunks) {
		free(map);
		return -ENOMEM;
	}
	map->host = host;
	map->placement = host->config->frames;
	map->inverse = scatter_inverse();
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&map->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	*out = map;
	return 0;
}

void host_frames_destroy(struct host_frames_map *map)
{
	struct space *space;
	struct view *view;

	if (!map)
		return;
	for (uint32_t i = 0; i < NR_CHUNKS; i++)
		host_shm_put(map->chunks[i].map);
	while ((space = map->spaces)) {
		map->spaces = space->next;
		while ((view = RB_ROOT(&space->views))) {
			RB_REMOVE(views, &space->views, view);
			free(view);
		}
		free(space);
	}
	pthread_rwlock_destroy(&map->lock);
	free(map->chunks);
	free(map);
}

static struct space *space_get(struct host_frames_map *map, struct cbit_owner *owner,
			       const struct host_vma *vma, uint64_t vaddr)
{
	/* Private mappings of a file are the process's own pages once written: by address. */
	bool file = vma->ino && vma->shared;
	struct space *space;

	for (space = map->spaces; space; space = space->next) {
		if (file ? space->file && space->dev == vma->dev && space->ino == vma->ino
			 : !space->file && space->owner == owner)
			return space;
	}
	space = calloc(1, sizeof(*space));
	if (!space)
		return NULL;
	space->file = file;
	if (file) {
		space->dev = vma->dev;
		space->ino = vma->ino;
		space->delta = (vaddr - (vma->offset + (vaddr - vma->start))) & (CHUNK_SIZE - 1);
	} else {
		space->owner = owner;
	}
	space->next = map->spaces;
	map->spaces = space;
	return space;
}

static void space_put(struct host_frames_map *map, struct space *space)
{
	struct space **at;

	if (space->chunks)
		return;
	for (at = &map->spaces; *at != space;)
		at = &(*at)->next;
	*at = space->next;
	free(space);
}

static uint32_t *bucket(struct host_frames_map *map, const struct space *space, uint64_t index)
{
	uint64_t h = ((uint64_t)(uintptr_t)space >> 4) * UINT64_C(0x9e3779b97f4a7c15) + index;

	return &map->buckets[(h ^ h >> 32) % NR_BUCKETS];
}

static int64_t chunk_find(struct host_frames_map *map, const struct space *space, uint64_t index)
{
	for (uint32_t n = *bucket(map, space, index); n; n = map->chunks[n - 1].next) {
		if (map->chunks[n - 1].space == space && map->chunks[n - 1].index == index)
			return n - 1;
	}
	return -1;
}

/* The chunk for @index, new if need be, at @wish when that is free: neighbours stay neighbours. */
static int64_t chunk_get(struct host_frames_map *map, struct space *space, uint64_t index,
			 int64_t wish)
{
	int64_t n = chunk_find(map, space, index);
	uint32_t *head;

	if (n >= 0)
		return n;
	if (wish >= 0 && wish < (int64_t)NR_CHUNKS && !map->chunks[wish].space) {
		n = wish;
	} else {
		for (uint32_t i = 0; i < NR_CHUNKS && n < 0; i++) {
			uint32_t at = (uint32_t)((map->next_chunk + i) % NR_CHUNKS);

			if (!map->chunks[at].space)
				n = at;
		}
		if (n < 0)
			return -ENOMEM;
	}
	map->next_chunk = (uint32_t)((uint64_t)(n + 1) % NR_CHUNKS);
	head = bucket(map, space, index);
	map->chunks[n] = (struct chunk){ .space = space, .index = index, .next = *head };
	*head = (uint32_t)(n + 1);
	space->chunks++;
	return n;
}

static void chunk_put(struct host_frames_map *map, uint32_t n)
{
	struct chunk *chunk = &map->chunks[n];
	uint32_t *at = bucket(map, chunk->space, chunk->index);

	if (chunk->pinned)
		return;
	while (*at != n + 1)
		at = &map->chunks[*at - 1].next;
	*at = chunk->next;
	chunk->space->chunks--;
	chunk->space = NULL;
	host_shm_put(chunk->map);
	chunk->map = NULL;
}

static struct view view_key(struct cbit_owner *owner, uint64_t vaddr, uint64_t key, uint64_t len)
{
	return (struct view){
		.first = key, .last = key + len - 1, .owner = owner, .shift = vaddr - key
	};
}

static int view_add(struct space *space, struct cbit_owner *owner, uint64_t vaddr, uint64_t key,
		    uint64_t len)
{
	struct view find = view_key(owner, vaddr, key, len), *view;

	view = RB_FIND(views, &space->views, &find);
	if (!view) {
		view = malloc(sizeof(*view));
		if (!view)
			return -ENOMEM;
		*view = find;
		RB_INSERT(views, &space->views, view);
	}
	view->pins++;
	return 0; /* NOLINT(clang-analyzer-unix.Malloc): the tree holds it */
}

static void view_drop(struct space *space, struct cbit_owner *owner, uint64_t vaddr, uint64_t key,
		      uint64_t len)
{
	struct view find = view_key(owner, vaddr, key, len), *view;

	view = RB_FIND(views, &space->views, &find);
	if (view && !--view->pins) {
		RB_REMOVE(views, &space->views, view);
		free(view);
	}
}

/* A view of @key in a process that is still there; the @skip first ones are passed by. */
static const struct view *view_find(struct space *space, uint64_t key, unsigned int skip)
{
	struct view find = { .first = key, .last = UINT64_MAX, .shift = UINT64_MAX }, *view;

	view = RB_NFIND(views, &space->views, &find);
	view = view ? RB_PREV(views, &space->views, view) : RB_MAX(views, &space->views);
	for (; view; view = RB_PREV(views, &space->views, view)) {
		if (key <= view->last && !__atomic_load_n(&view->owner->gone, __ATOMIC_RELAXED) &&
		    !skip--)
			return view;
	}
	return NULL;
}

/* Drop @len bytes' worth of pins from @offset into the region on. */
static void release(struct host_frames_map *map, uint64_t offset, uint64_t len)
{
	uint64_t done = 0, piece;

	while (done < len) {
		uint32_t n = (uint32_t)((offset + done) >> CHUNK_SHIFT);

		piece = CHUNK_SIZE - ((offset + done) & (CHUNK_SIZE - 1));
		if (piece > len - done)
			piece = len - done;
		map->chunks[n].pinned -= piece >> CBIT_PAGE_SHIFT;
		chunk_put(map, n);
		done += piece;
	}
}

static uint64_t place(const struct host_frames_map *map, uint32_t chunk, uint64_t key)
{
	uint64_t in = key & (CHUNK_SIZE - 1);
	uint32_t page = (uint32_t)(in >> CBIT_PAGE_SHIFT);

	if (map->placement == HOST_FRAMES_SCATTERED)
		page = (uint32_t)(page * SCATTER) & (uint32_t)(CHUNK_PAGES - 1);
	return ((uint64_t)chunk << CHUNK_SHIFT) + ((uint64_t)page << CBIT_PAGE_SHIFT) +
	       (in & ~CBIT_PAGE_MASK);
}

/* The way back: key in the chunk's space for an offset into the region. */
static uint64_t unplace(const struct host_frames_map *map, uint64_t offset)
{
	const struct chunk *chunk = &map->chunks[offset >> CHUNK_SHIFT];
	uint32_t page = (uint32_t)((offset & (CHUNK_SIZE - 1)) >> CBIT_PAGE_SHIFT);

	if (map->placement == HOST_FRAMES_SCATTERED)
		page = (uint32_t)(page * map->inverse) & (uint32_t)(CHUNK_PAGES - 1);
	return (chunk->index << CHUNK_SHIFT) + ((uint64_t)page << CBIT_PAGE_SHIFT) +
	       (offset & ~CBIT_PAGE_MASK);
}

/* Map a fresh chunk of a file into this process, if that can be done. */
static void chunk_map(struct host_frames_map *map, struct chunk *chunk, struct cbit_owner *owner,
		      const struct host_vma *vma)
{
	int64_t offset = (int64_t)((chunk->index << CHUNK_SHIFT) - chunk->space->delta);

	chunk->map = host_shm_get(map->host->shm, owner, vma, offset, CHUNK_SIZE);
}

int host_frames_pin(struct host_frames_map *map, struct cbit_owner *owner,
		    const struct host_vma *vma, uint64_t vaddr, uint64_t len,
		    struct cbit_client_run *run)
{
	bool scattered = map->placement == HOST_FRAMES_SCATTERED;
	int64_t chunk = -1, first = -1;
	struct space *space;
	uint64_t key, done = 0, piece;
	int ret = 0;

	if (len > vma->end - vaddr)
		len = vma->end - vaddr;
	pthread_rwlock_wrlock(&map->lock);
	space = space_get(map, owner, vma, vaddr);
	if (!space) {
		pthread_rwlock_unlock(&map->lock);
		return -ENOMEM;
	}
	key = space->file ? vma->offset + (vaddr - vma->start) + space->delta : vaddr;
	if (scattered)
		len = CBIT_PAGE_SIZE;
	while (done < len) {
		chunk = chunk_get(map, space, (key + done) >> CHUNK_SHIFT,
				  first < 0 ? -1 : chunk + 1);
		if (chunk < 0)
			break;
		if (first < 0) {
			first = chunk;
		} else if ((uint64_t)(chunk - first) !=
			   ((key + done) >> CHUNK_SHIFT) - (key >> CHUNK_SHIFT)) {
			chunk_put(map, (uint32_t)chunk); /* not a neighbour: the run ends here */
			break;
		}
		if (space->file && !map->chunks[chunk].pinned)
			chunk_map(map, &map->chunks[chunk], owner, vma);
		piece = CHUNK_SIZE - ((key + done) & (CHUNK_SIZE - 1));
		if (piece > len - done)
			piece = len - done;
		map->chunks[chunk].pinned += piece >> CBIT_PAGE_SHIFT;
		done += piece;
	}
	if (first < 0) {
		ret = (int)chunk;
	} else {
		run->spa = CBIT_SPA(CBIT_CLIENT_DRAM_BASE + place(map, (uint32_t)first, key));
		run->len = done;
		run->kind = CBIT_MEM_DRAM;
		if (space->file)
			ret = view_add(space, owner, vaddr, key, done);
		if (ret)
			release(map, run->spa.v - CBIT_CLIENT_DRAM_BASE, done);
	}
	space_put(map, space);
	pthread_rwlock_unlock(&map->lock);
	return ret;
}

void host_frames_unpin(struct host_frames_map *map, struct cbit_owner *owner, uint64_t vaddr,
		       const struct cbit_client_run *run)
{
	uint64_t offset = run->spa.v - CBIT_CLIENT_DRAM_BASE;
	struct space *space;

	pthread_rwlock_wrlock(&map->lock);
	space = map->chunks[offset >> CHUNK_SHIFT].space;
	if (space) {
		if (space->file)
			view_drop(space, owner, vaddr, unplace(map, offset), run->len);
		release(map, offset, run->len);
		space_put(map, space);
	}
	pthread_rwlock_unlock(&map->lock);
}

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
	key = unplace(map, offset);
	if (space->file) {
		view = view_find(space, key, skip);
		if (!view)
			return false;
		out->owner = view->owner;
		out->vaddr = key + view->shift;
		if (rest > view->last - key + 1)
			rest = view->last - key + 1;
	} else {
		if (skip || __atomic_load_n(&space->owner->gone, __ATOMIC_RELAXED))
			return false;
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

	do {
		tid = __atomic_load_n(&owner->tid, __ATOMIC_RELAXED);
		n = write ? process_vm_writev(tid, &local, 1, remote, nr, 0)
			  : process_vm_readv(tid, &local, 1, remote, nr, 0);
		host_count(&host->stats.calls, 1);
	} while (n < 0 && errno == ESRCH && host_owner_retarget(owner));
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

/* Through the client's process. The map is not locked while bytes move. */
static int move(struct host_frames_map *map, uint64_t offset, char *buf, size_t len, bool write)
{
	struct gathered g;

	while (len) {
		if (!gather(map, offset, len, 0, MAX_SEGMENTS, &g))
			return -EFAULT;
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

		key = unplace(map, offset) & (CHUNK_SIZE - 1);
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

int host_frames_read(struct host_frames_map *map, uint64_t offset, void *buf, size_t len)
{
	return move(map, offset, buf, len, false);
}

int host_frames_write(struct host_frames_map *map, uint64_t offset, const void *buf, size_t len)
{
	return move(map, offset, (char *)(uintptr_t)buf, len, true);
}
