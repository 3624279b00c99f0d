/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory whose bytes live elsewhere, behind ops, as plaintext of a resident key.
 *
 * Under the resident key an access is one call, however long. Under another key the DRAM
 * bytes stand between the two plaintexts: they are computed from the one, and the other from
 * them. A write that covers a block of 16 bytes in part reads, changes and writes the whole
 * block, as a memory controller does; nothing holds other writers off meanwhile. Where the
 * backing lends a pointer, held.c does all that in place, and better.
 */
#include <errno.h>

#include "mem_internal.h"

#define DIRECT (64 * MEM_PAGE)
#define CHUNK  (4 * MEM_PAGE) /* on the stack; threads of a client's tracer may have little */

/* One stretch of an access, widened to blocks. */
struct stretch {
	uint64_t spa;  /* of the first block */
	size_t lead;   /* bytes of that block before the access */
	size_t len;    /* bytes of the access */
	size_t blocks; /* bytes, all in all */
};

/* Stretches end where SPAs are multiples of CHUNK, so that only the first starts in a page. */
static struct stretch stretch_at(uint64_t spa, size_t len)
{
	size_t room = CHUNK - (size_t)(spa & (CHUNK - 1));
	struct stretch s;

	s.lead = (size_t)(spa & (MEM_BLOCK - 1));
	s.spa = spa - s.lead;
	s.len = len < room ? len : room;
	s.blocks = (s.lead + s.len + MEM_BLOCK - 1) & ~(MEM_BLOCK - 1);
	return s;
}

static int ops_read(const struct mem_region *r, uint64_t spa, void *buf, size_t len)
{
	return r->ops.read(r->opaque, spa - r->pub.base.v, buf, len);
}

static int ops_write(const struct mem_region *r, uint64_t spa, const void *buf, size_t len)
{
	return r->ops.write(r->opaque, spa - r->pub.base.v, buf, len);
}

/*
 * Whole blocks of a read need no room beside the caller's: they arrive there and are turned on
 * the spot. That is one copy of three less, and few calls of the ops, which on a client's
 * private memory cost a system call each (256 KiB still stand in the second-level cache).
 */
static int read_blocks(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
		       cbit_key_t key, uint8_t *buf, size_t len)
{
	while (len) {
		size_t n = len < DIRECT ? len : DIRECT;
		int ret = ops_read(r, spa, buf, n);

		if (ret)
			return ret;
		cbit_mem_transcode(mem, r->resident, key, spa, buf, buf, n);
		spa += n;
		buf += n;
		len -= n;
	}
	return 0;
}

static int read_through(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			cbit_key_t key, uint8_t *buf, size_t len)
{
	uint8_t tmp[CHUNK];

	if (!((spa | len) & (MEM_BLOCK - 1)))
		return read_blocks(mem, r, spa, key, buf, len);
	while (len) {
		struct stretch s = stretch_at(spa, len);
		int ret = ops_read(r, s.spa, tmp, s.blocks);

		if (ret)
			return ret;
		cbit_mem_transcode(mem, r->resident, key, s.spa, tmp, tmp, s.blocks);
		memcpy(buf, tmp + s.lead, s.len);
		spa += s.len;
		buf += s.len;
		len -= s.len;
	}
	return 0;
}

/* Fetch the block at @tmp as @key shows it, for a write that leaves some of it as it is. */
static int fetch_block(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
		       cbit_key_t key, uint8_t *tmp)
{
	int ret = ops_read(r, spa, tmp, MEM_BLOCK);

	if (!ret)
		cbit_mem_transcode(mem, r->resident, key, spa, tmp, tmp, MEM_BLOCK);
	return ret;
}

static int write_through(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 cbit_key_t key, const uint8_t *buf, size_t len)
{
	uint8_t tmp[CHUNK];

	while (len) {
		struct stretch s = stretch_at(spa, len);
		size_t end = s.lead + s.len;
		size_t tail = s.blocks - MEM_BLOCK;
		int ret = 0;

		if (s.lead)
			ret = fetch_block(mem, r, s.spa, key, tmp);
		if (!ret && end < s.blocks && (tail || !s.lead))
			ret = fetch_block(mem, r, s.spa + tail, key, tmp + tail);
		if (ret)
			return ret;
		memcpy(tmp + s.lead, buf, s.len);
		cbit_mem_transcode(mem, key, r->resident, s.spa, tmp, tmp, s.blocks);
		ret = ops_write(r, s.spa, tmp, s.blocks);
		if (ret)
			return ret;
		spa += s.len;
		buf += s.len;
		len -= s.len;
	}
	return 0;
}

static enum cbit_mem_outcome outcome(const struct mem_region *r, cbit_key_t key, int ret)
{
	if (ret)
		return CBIT_MEM_NO_BACKING;
	return key == r->resident ? CBIT_MEM_OK : CBIT_MEM_WRONG_KEY;
}

/*
 * cbit_mem_hold() - the stretch at @spa, at most @len bytes, as the region lends it; with the
 * blocks that it lies in unless @straight. One that is not lent has @at NULL.
 */
struct mem_piece cbit_mem_hold(const struct mem_region *r, uint64_t spa, size_t len, bool write,
			       bool straight)
{
	size_t lead = straight ? 0 : (size_t)(spa & (MEM_BLOCK - 1));
	struct mem_piece p = { .len = lead + len };

	if (!r->ops.hold) {
		if (r->direct)
			p.at = r->direct + (spa - r->pub.base.v);
		p.len = len;
		return p;
	}
	if (!straight)
		p.len = (p.len + MEM_BLOCK - 1) & ~(MEM_BLOCK - 1);
	p.at = r->ops.hold(r->opaque, spa - lead - r->pub.base.v, &p.len, write, &p.cookie);
	if (p.at)
		p.at += lead;
	p.len -= lead;
	if (p.len > len)
		p.len = len;
	return p;
}

/* cbit_mem_release() - and give it back. Return: 0, or what the backing says. */
int cbit_mem_release(const struct mem_region *r, const struct mem_piece *p)
{
	return r->ops.release && p->at ? r->ops.release(r->opaque, p->cookie) : 0;
}

static int read_piece(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
		      cbit_key_t key, uint8_t *buf, const struct mem_piece *p)
{
	if (p->at) {
		cbit_mem_held_read(mem, r, spa, key, p->at, buf, p->len);
		return cbit_mem_release(r, p);
	}
	if (cbit_mem_is_straight(mem, r, key))
		return ops_read(r, spa, buf, p->len);
	return read_through(mem, r, spa, key, buf, p->len);
}

static int read_all(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa, cbit_key_t key,
		    uint8_t *buf, size_t len)
{
	bool straight = cbit_mem_is_straight(mem, r, key);
	int ret = 0;

	while (len && !ret) {
		struct mem_piece p = cbit_mem_hold(r, spa, len, false, straight);

		ret = read_piece(mem, r, spa, key, buf, &p);
		spa += p.len;
		buf += p.len;
		len -= p.len;
	}
	return ret;
}

/* cbit_mem_backing_read() - @len bytes at @spa, all inside @r, as @key shows them. */
enum cbit_mem_outcome cbit_mem_backing_read(struct cbit_mem *mem, const struct mem_region *r,
					    uint64_t spa, cbit_key_t key, uint8_t *buf, size_t len)
{
	int ret = read_all(mem, r, spa, key, buf, len);

	if (ret)
		memset(buf, 0xff, len);
	return outcome(r, key, ret);
}

static int write_piece(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
		       cbit_key_t key, const uint8_t *buf, const struct mem_piece *p)
{
	if (p->at) {
		cbit_mem_held_write(mem, r, spa, key, p->at, buf, p->len);
		return cbit_mem_release(r, p);
	}
	if (cbit_mem_is_straight(mem, r, key))
		return ops_write(r, spa, buf, p->len);
	return write_through(mem, r, spa, key, buf, p->len);
}

/* cbit_mem_backing_write() - the other way. */
enum cbit_mem_outcome cbit_mem_backing_write(struct cbit_mem *mem, const struct mem_region *r,
					     uint64_t spa, cbit_key_t key, const uint8_t *buf,
					     size_t len)
{
	bool straight = cbit_mem_is_straight(mem, r, key);
	int ret = 0;

	while (len && !ret) {
		struct mem_piece p = cbit_mem_hold(r, spa, len, true, straight);

		ret = write_piece(mem, r, spa, key, buf, &p);
		spa += p.len;
		buf += p.len;
		len -= p.len;
	}
	return outcome(r, key, ret);
}

/* Nothing but read and write to do it with: other devices' atomics are all that is kept off. */
static int atomic_by_copy(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			  cbit_key_t key, const struct mem_atomic *a)
{
	bool straight = cbit_mem_is_straight(mem, r, key);
	size_t lead = straight ? 0 : (size_t)(spa & (MEM_BLOCK - 1));
	size_t len = straight ? a->size : MEM_BLOCK;
	uint8_t tmp[MEM_BLOCK];
	int ret;

	spa -= lead;
	pthread_mutex_lock(&mem->atomics);
	ret = ops_read(r, spa, tmp, len);
	if (!ret) {
		if (!straight)
			cbit_mem_transcode(mem, r->resident, key, spa, tmp, tmp, len);
		cbit_mem_atomic_own(tmp + lead, a);
		if (!straight)
			cbit_mem_transcode(mem, key, r->resident, spa, tmp, tmp, len);
		ret = ops_write(r, spa, tmp, len);
	}
	pthread_mutex_unlock(&mem->atomics);
	return ret;
}

/* cbit_mem_backing_atomic() - an atomic access at @spa, by the best means that there are. */
enum cbit_mem_outcome cbit_mem_backing_atomic(struct cbit_mem *mem, const struct mem_region *r,
					      uint64_t spa, cbit_key_t key,
					      const struct mem_atomic *a)
{
	bool straight = cbit_mem_is_straight(mem, r, key);
	struct mem_piece p = cbit_mem_hold(r, spa, a->size, true, straight);
	int ret = -EOPNOTSUPP;

	if (p.at) {
		cbit_mem_held_atomic(mem, r, spa, key, p.at, a);
		return outcome(r, key, cbit_mem_release(r, &p));
	}
	if (straight && r->ops.atomic)
		ret = r->ops.atomic(r->opaque, spa - r->pub.base.v, a->op, a->size, a->operand,
				    a->compare, a->old);
	if (ret == -EOPNOTSUPP && r->pub.kind == CBIT_MEM_MMIO)
		return CBIT_MEM_ABORT;
	if (ret == -EOPNOTSUPP)
		ret = atomic_by_copy(mem, r, spa, key, a);
	return outcome(r, key, ret);
}

/* cbit_mem_backing_raw() - what DRAM would hold there. Return: 0 or the error of the ops. */
int cbit_mem_backing_raw(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 uint8_t *buf, size_t len)
{
	return read_all(mem, r, spa, CBIT_KEY_NONE, buf, len);
}
