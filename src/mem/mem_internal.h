/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the mem room: its structures, and what its files call of each other.
 */
#ifndef CBIT_MEM_INTERNAL_H
#define CBIT_MEM_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/evp.h>

#include <cbit/mem.h>

#include "view.h"

#define MEM_PAGE      ((size_t)4096)
#define MEM_BLOCK     ((size_t)16) /* what one AES operation covers */
#define MEM_KEY_BYTES 32
#define MEM_KEY_GUEST ((cbit_key_t)2) /* of ASID 1; those of the others follow */

#define MEM_ENGINE_SLOTS 4
#define MEM_SPARSE_LOCKS 64
#define MEM_FRAME_ORDERS 41 /* 2^40 frames fill the widest SPA, 52 bits */

/* Directions of the engine, as indices. */
enum { MEM_DECRYPT, MEM_ENCRYPT, MEM_DIRECTIONS };

/*
 * @tweak: where the cipher keeps the tweak, or NULL: then it has to be set by a call, which costs
 *         as much as encrypting half a KiB.
 */
struct mem_cipher {
	EVP_CIPHER_CTX *ctx;
	uint8_t *tweak;
};

/*
 * One set of cipher contexts. A context holds the tweak of the page under way, so it belongs
 * to one thread at a time; several sets let threads run side by side without a thread-local.
 */
struct mem_engine_slot {
	pthread_mutex_t lock;
	struct mem_cipher host[MEM_DIRECTIONS];
	struct mem_cipher guest[MEM_DIRECTIONS];
	/* Whose key schedule guest[] holds, 0 for none, and which of his keys. */
	cbit_key_t guest_key[MEM_DIRECTIONS];
	uint32_t guest_round[MEM_DIRECTIONS];
};

struct mem_engine {
	struct mem_engine_slot slot[MEM_ENGINE_SLOTS];
	unsigned int ready; /* slots whose mutex exists */
};

struct mem_sparse {
	struct cbit_mem *mem;
	uint64_t base;
	uint64_t size;
	uint8_t *bytes;
	struct mem_page *pages;
	_Atomic(uint8_t) *open;  /* by granule of addresses: they may be written */
	_Atomic(uint32_t) *slot; /* where granules from @direct on have theirs, 0: nowhere yet */
	size_t slot_bytes;
	size_t direct;        /* granules of the region that have addresses of their own */
	size_t granules;      /* granules of addresses */
	size_t next_slot;     /* the first that no granule has */
	pthread_mutex_t grow; /* opening of granules, first touch of pages */
	pthread_mutex_t lock[MEM_SPARSE_LOCKS]; /* bytes and tag of the pages that hash there */
};

struct mem_region {
	struct cbit_mem_region pub; /* first: cbit_mem_find() gives it out */
	uint64_t last;              /* SPA of the last byte */
	bool has_ops;
	struct cbit_mem_ops ops;
	void *opaque;
	cbit_key_t resident;
	uint8_t *direct;
	struct mem_sparse *sparse;
};

/* What the binary search touches, kept apart from the regions so that it stays small. */
struct mem_window {
	uint64_t base;
	uint64_t last;
	struct mem_region *region;
};

struct mem_frame_list {
	uint64_t *frame;
	size_t count;
	size_t cap;
};

struct mem_frames {
	pthread_mutex_t lock;
	struct mem_region *region; /* chosen at the first allocation */
	struct mem_frame_list free[MEM_FRAME_ORDERS];
};

/* An atomic access under way; @compare is NULL where nothing is compared. */
struct mem_atomic {
	enum cbit_atomic_op op;
	unsigned int size;
	const uint64_t *operand;
	const uint64_t *compare;
	uint64_t *old;
};

/* rmp.c: @size is 0 while SNP is off. */
struct mem_rmp {
	uint64_t base;
	uint64_t size;
	uint64_t covered;
};

struct cbit_mem {
	struct mem_view view; /* first: see mem_view() */
	uint64_t one_key[2];  /* second: see mem_view_one_key() */
	struct cbit_platform platform;
	uint64_t c_mask;
	_Atomic bool slow;
	_Atomic uint64_t watched_writes;
	struct mem_window *windows; /* by base */
	size_t window_count;
	struct mem_engine engine;
	struct mem_frames frames;
	_Atomic uint32_t *guest_keys; /* by ASID: how many times its key was replaced */
	struct mem_rmp rmp;
	bool forwards; /* what no window decodes goes to @forward */
	struct cbit_mem_forward_ops forward;
	void *forward_opaque;
	pthread_mutex_t atomics; /* those that are not the CPU's */
};

_Static_assert(offsetof(struct cbit_mem, one_key) == sizeof(struct mem_view), "see view.h");

static inline bool mem_is_slow(struct cbit_mem *mem)
{
	return atomic_load_explicit(&mem->slow, memory_order_relaxed);
}

/* Whether @key shows the bytes behind the ops of @r as they are, so that no engine is asked. */
static inline bool cbit_mem_is_straight(struct cbit_mem *mem, const struct mem_region *r,
					cbit_key_t key)
{
	return key == r->resident && !(r->pub.encrypts && mem_is_slow(mem));
}

/* region.c: decoding */
struct mem_region *cbit_mem_region_find(const struct cbit_mem *mem, uint64_t spa);
struct mem_region *cbit_mem_region_decode(const struct cbit_mem *mem, uint64_t spa, size_t *len);
void cbit_mem_regions_destroy(struct cbit_mem *mem);
cbit_key_t cbit_mem_key_here(const struct cbit_mem *mem, cbit_key_t key);

/* aes.c: the engine */
int cbit_mem_engine_init(struct cbit_mem *mem);
void cbit_mem_engine_destroy(struct cbit_mem *mem);
void cbit_mem_transcode(struct cbit_mem *mem, cbit_key_t from, cbit_key_t to, uint64_t spa,
			const uint8_t *in, uint8_t *out, size_t len);

/* sparse.c: storage; sparse_access.c: what the keys make of it */
int cbit_mem_sparse_create(struct cbit_mem *mem, uint64_t base, uint64_t size,
			   struct mem_sparse **out);
void cbit_mem_sparse_destroy(struct mem_sparse *sp);
uint64_t cbit_mem_sparse_direct(const struct mem_sparse *sp);
void cbit_mem_sparse_dense(struct mem_sparse *sp, uint64_t spa);
struct mem_page *cbit_mem_sparse_lookup(struct mem_sparse *sp, uint64_t spa);
struct mem_page *cbit_mem_sparse_next(struct mem_sparse *sp, uint64_t *at);
struct mem_page *cbit_mem_sparse_get(struct mem_sparse *sp, uint64_t spa, bool *fresh);
void cbit_mem_sparse_read(struct mem_sparse *sp, uint64_t spa, cbit_key_t key, uint8_t *buf,
			  size_t len);
int cbit_mem_sparse_write(struct mem_sparse *sp, uint64_t spa, cbit_key_t key, const uint8_t *buf,
			  size_t len);
int cbit_mem_sparse_atomic(struct mem_sparse *sp, uint64_t spa, cbit_key_t key,
			   const struct mem_atomic *a);
void cbit_mem_sparse_settle(struct mem_sparse *sp, cbit_key_t key);
void cbit_mem_one_key_restart(struct cbit_mem *mem);
uint8_t *cbit_mem_sparse_view(struct mem_sparse *sp, uint64_t spa, cbit_key_t key);
int cbit_mem_sparse_zero(struct mem_sparse *sp, uint64_t spa, cbit_key_t key);

/* backing.c: memory behind ops that the engine stands in front of */
enum cbit_mem_outcome cbit_mem_backing_read(struct cbit_mem *mem, const struct mem_region *r,
					    uint64_t spa, cbit_key_t key, uint8_t *buf, size_t len);
enum cbit_mem_outcome cbit_mem_backing_write(struct cbit_mem *mem, const struct mem_region *r,
					     uint64_t spa, cbit_key_t key, const uint8_t *buf,
					     size_t len);
enum cbit_mem_outcome cbit_mem_backing_atomic(struct cbit_mem *mem, const struct mem_region *r,
					      uint64_t spa, cbit_key_t key,
					      const struct mem_atomic *a);
int cbit_mem_backing_raw(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 uint8_t *buf, size_t len);

/* A stretch of a region's memory that can be reached by a pointer; @at is NULL if it cannot. */
struct mem_piece {
	uint8_t *at;
	size_t len;
	void *cookie;
};
struct mem_piece cbit_mem_hold(const struct mem_region *r, uint64_t spa, size_t len, bool write,
			       bool straight);
int cbit_mem_release(const struct mem_region *r, const struct mem_piece *p);

/* One side of a copy between two places. */
struct mem_side {
	const struct mem_region *r;
	uint64_t spa;
	cbit_key_t key;
};

/* held.c: the same where a backing lends a pointer to the block or blocks in question */
void cbit_mem_held_read(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			cbit_key_t key, const uint8_t *held, uint8_t *buf, size_t len);
void cbit_mem_held_write(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 cbit_key_t key, uint8_t *held, const uint8_t *buf, size_t len);
void cbit_mem_held_atomic(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			  cbit_key_t key, uint8_t *held, const struct mem_atomic *a);
size_t cbit_mem_held_copy(struct cbit_mem *mem, const struct mem_side *to,
			  const struct mem_side *from, size_t len);

/* atomic.c: the arithmetic, on memory that others use and on memory that is ours alone */
void cbit_mem_atomic_shared(uint8_t *at, const struct mem_atomic *a);
void cbit_mem_atomic_own(uint8_t *at, const struct mem_atomic *a);
void cbit_mem_block_load(const uint8_t *shared, uint8_t block[MEM_BLOCK]);
bool cbit_mem_block_swap(uint8_t *shared, uint8_t expect[MEM_BLOCK],
			 const uint8_t block[MEM_BLOCK]);

/* copy.c: copies to and from memory that other threads look at */
void cbit_mem_copy_out(void *dst, const uint8_t *shared, size_t len);
void cbit_mem_copy_in(uint8_t *shared, const void *src, size_t len);

/* frames.c */
int cbit_mem_frames_init(struct cbit_mem *mem);
void cbit_mem_frames_destroy(struct cbit_mem *mem);

#endif
