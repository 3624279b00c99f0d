/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames: which modelled SPA a client page has, and the bytes behind an SPA.
 *
 * A page is known by what backs it: file and offset for shared memory, address space and
 * address otherwise; so a page mapped twice has one SPA. SPAs are given out in chunks of
 * 1 GiB of that key space, congruent to the virtual address of the first pin, and a chunk
 * lives as long as any of its pages is pinned. Nothing is kept per page.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"

#define NR_CHUNKS       (CBIT_CLIENT_DRAM_SIZE >> CHUNK_SHIFT)
#define NR_GUEST_CHUNKS ((uint32_t)(CBIT_CLIENT_GUEST_SIZE >> CHUNK_SHIFT))

/* Odd, so that multiplying by it permutes the pages of a chunk; and its inverse. */
#define SCATTER 0x2545fu
static uint32_t scatter_inverse(void)
{
	uint32_t inv = SCATTER;

	for (int i = 0; i < 5; i++)
		inv *= 2 - SCATTER * inv;
	return inv;
}

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

RB_GENERATE_INTERNAL(views, view, node, view_cmp, __attribute__((unused)) static)

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
		pinned_clear(&space->pinned);
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
			       const struct host_vma *vma, uint64_t vaddr, unsigned int layer)
{
	/* Private mappings of a file are the process's own pages once written: by address. */
	bool file = vma->ino && vma->shared;
	struct space *space;

	for (space = map->spaces; space; space = space->next) {
		if (file ? space->file && space->dev == vma->dev && space->ino == vma->ino
			 : !space->file && space->owner == owner && space->layer == layer)
			return space;
	}
	space = calloc(1, sizeof(*space));
	if (!space)
		return NULL;
	space->file = file;
	if (file) {
		space->dev = vma->dev;
		space->ino = vma->ino;
		space->cc_shared = vma->cc_shared;
		space->delta = (vaddr - (vma->offset + (vaddr - vma->start))) & (CHUNK_SIZE - 1);
	} else {
		space->owner = owner;
		space->layer = layer;
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

	return &map->buckets[(h ^ h >> 32) % FRAMES_BUCKETS];
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
	bool guest = map->host->config->guest.kind != CBIT_GUEST_PLAIN;
	uint32_t nr = guest ? NR_GUEST_CHUNKS : (uint32_t)NR_CHUNKS;
	/* A guest's shared pages are elsewhere than its private ones. */
	uint32_t first = guest && space->cc_shared ? NR_GUEST_CHUNKS : 0;
	uint32_t *from = first ? &map->next_shared : &map->next_chunk;
	uint32_t *head;

	if (n >= 0)
		return n;
	if (wish >= (int64_t)first && wish < (int64_t)first + nr && !map->chunks[wish].space) {
		n = wish;
	} else {
		for (uint32_t i = 0; i < nr && n < 0; i++) {
			uint32_t at = first + (*from + i) % nr;

			if (!map->chunks[at].space)
				n = at;
		}
		if (n < 0)
			return -ENOMEM;
	}
	*from = ((uint32_t)n - first + 1) % nr;
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
const struct view *frames_view_find(struct space *space, uint64_t key, unsigned int skip)
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
uint64_t frames_key(const struct host_frames_map *map, uint64_t offset)
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

/*
 * The space for @vaddr, and at most how much of @len is in it. Where the program has given pinned
 * memory up, what it has there since is other memory, in the next layer.
 */
static struct space *space_for(struct host_frames_map *map, struct cbit_owner *owner,
			       const struct host_vma *vma, uint64_t vaddr, uint64_t *len)
{
	const struct pinned *gone;
	struct space *space;

	for (unsigned int layer = 0;; layer++) {
		space = space_get(map, owner, vma, vaddr, layer);
		if (!space)
			return NULL;
		gone = pinned_find_gone(&space->pinned, owner, vaddr, vaddr + *len - 1);
		if (!gone)
			return space;
		if (gone->first > vaddr) {
			*len = gone->first - vaddr;
			return space;
		}
	}
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
	space = space_for(map, owner, vma, vaddr, &len);
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
		ret = pinned_add(&space->pinned, owner, vaddr, vaddr + done - 1);
		if (!ret && space->file) {
			ret = view_add(space, owner, vaddr, key, done);
			if (ret)
				pinned_drop(&space->pinned, owner, vaddr, vaddr + done - 1);
		}
		if (ret)
			release(map, run->spa.v - CBIT_CLIENT_DRAM_BASE, done);
		else
			__atomic_store_n(&map->pins, map->pins + 1, __ATOMIC_RELAXED);
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
			view_drop(space, owner, vaddr, frames_key(map, offset), run->len);
		pinned_drop(&space->pinned, owner, vaddr, vaddr + run->len - 1);
		__atomic_store_n(&map->pins, map->pins - 1, __ATOMIC_RELAXED);
		release(map, offset, run->len);
		space_put(map, space);
	}
	pthread_rwlock_unlock(&map->lock);
}

bool host_frames_any(struct host_frames_map *map)
{
	return __atomic_load_n(&map->pins, __ATOMIC_RELAXED) != 0;
}

bool host_frames_pinned(struct host_frames_map *map, struct cbit_owner *owner, uint64_t first,
			uint64_t last, bool shared)
{
	bool found = false;

	pthread_rwlock_rdlock(&map->lock);
	for (struct space *space = map->spaces; space && !found; space = space->next) {
		struct pinned *p;

		if (space->file ? !shared : space->owner != owner)
			continue;
		for (p = pinned_find(&space->pinned, owner, first, last); p && !found;
		     p = pinned_next(p, last))
			found = !p->gone;
	}
	pthread_rwlock_unlock(&map->lock);
	return found;
}

void host_frames_give_up(struct host_frames_map *map, struct cbit_owner *owner, pid_t tid,
			 uint64_t first, uint64_t last)
{
	pthread_rwlock_wrlock(&map->lock);
	for (struct space *space = map->spaces; space; space = space->next) {
		if (!space->file && space->owner == owner)
			pinned_give_up(&space->pinned, owner, tid, first, last);
	}
	pthread_rwlock_unlock(&map->lock);
}
