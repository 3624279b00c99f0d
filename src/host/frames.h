/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames: what keeping account of client pages and moving their bytes share.
 */
#ifndef CBIT_HOST_FRAMES_H
#define CBIT_HOST_FRAMES_H

#include "pinned.h"
#include "shm.h"

#define CHUNK_SHIFT    30
#define CHUNK_SIZE     (UINT64_C(1) << CHUNK_SHIFT)
#define CHUNK_PAGES    (CHUNK_SIZE >> CBIT_PAGE_SHIFT)
#define FRAMES_BUCKETS 1024u

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

RB_HEAD(views, view);

struct space {
	bool file;
	bool cc_shared;           /* file: a guest shares it with its hypervisor */
	struct cbit_owner *owner; /* !file */
	unsigned int layer;       /* !file: how often the program gave up what was there */
	uint64_t dev, ino;        /* file */
	uint64_t delta;           /* key = file offset + delta */
	uint64_t chunks;
	struct views views;
	struct pinned_set pinned; /* by address */
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
	uint64_t pins;
	struct chunk *chunks;
	uint32_t next_chunk;
	uint32_t next_shared;
	uint32_t buckets[FRAMES_BUCKETS];
};

/* The key in its chunk's space of an offset into the region. With the lock held. */
uint64_t frames_key(const struct host_frames_map *map, uint64_t offset);
/* A view of @key in a process that is still there; the @skip first ones are passed by. */
const struct view *frames_view_find(struct space *space, uint64_t key, unsigned int skip);

#endif
