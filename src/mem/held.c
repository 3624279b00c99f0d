/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accesses to memory that a backing lends as a pointer: plaintext of the resident key, under
 * the eyes of the client's CPUs. Under that key they are a copy; under another one the
 * engine reads from it or writes to it where it lies.
 *
 * A block of 16 bytes that is written in part, or atomically, is read, changed and put in
 * place by one compare-and-swap, again until nobody else changed it in between. That is what
 * a memory controller gives: no write of a neighbour is lost.
 */
#include "mem_internal.h"

#define CHUNK (4 * MEM_PAGE)

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Of an access at @spa, the bytes that lie in its first block. */
static size_t in_block(uint64_t spa, size_t len)
{
	return smaller(len, MEM_BLOCK - (size_t)(spa & (MEM_BLOCK - 1)));
}

static void read_block(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
		       cbit_key_t key, const uint8_t *held, uint8_t *buf, size_t len)
{
	size_t lead = (size_t)(spa & (MEM_BLOCK - 1));
	uint8_t block[MEM_BLOCK];

	cbit_mem_block_load(held - lead, block);
	cbit_mem_transcode(mem, r->resident, key, spa - lead, block, block, MEM_BLOCK);
	memcpy(buf, block + lead, len);
}

/*
 * cbit_mem_held_read() - @len bytes at @spa as @key shows them; @held points to the first, and
 * under another key than the resident one all of the blocks around them are held.
 */
void cbit_mem_held_read(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			cbit_key_t key, const uint8_t *held, uint8_t *buf, size_t len)
{
	size_t n;

	if (cbit_mem_is_straight(mem, r, key)) {
		cbit_mem_copy_out(buf, held, len);
		return;
	}
	while (len) {
		n = in_block(spa, len);
		if (n == MEM_BLOCK) {
			n = len & ~(MEM_BLOCK - 1);
			cbit_mem_transcode(mem, r->resident, key, spa, held, buf, n);
		} else {
			read_block(mem, r, spa, key, held, buf, n);
		}
		spa += n;
		held += n;
		buf += n;
		len -= n;
	}
}

/* What becomes of a block: some bytes of it are replaced, or an atomic access happens. */
struct change {
	size_t at;
	const uint8_t *buf;
	size_t len;
	const struct mem_atomic *atomic;
};

static void change_block(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 cbit_key_t key, uint8_t *held, const struct change *c)
{
	uint8_t was[MEM_BLOCK], block[MEM_BLOCK];

	cbit_mem_block_load(held, was);
	do {
		cbit_mem_transcode(mem, r->resident, key, spa, was, block, MEM_BLOCK);
		if (c->buf)
			memcpy(block + c->at, c->buf, c->len);
		else
			cbit_mem_atomic_own(block + c->at, c->atomic);
		cbit_mem_transcode(mem, key, r->resident, spa, block, block, MEM_BLOCK);
	} while (!cbit_mem_block_swap(held, was, block));
}

/* Whole blocks. Two passes of the engine meet in between, not where the client looks. */
static void write_blocks(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 cbit_key_t key, uint8_t *held, const uint8_t *buf, size_t len)
{
	uint8_t tmp[CHUNK];

	if (key == CBIT_KEY_NONE || r->resident == CBIT_KEY_NONE) {
		cbit_mem_transcode(mem, key, r->resident, spa, buf, held, len);
		return;
	}
	while (len) {
		size_t n = smaller(len, CHUNK - (size_t)(spa & (CHUNK - 1)));

		cbit_mem_transcode(mem, key, r->resident, spa, buf, tmp, n);
		memcpy(held, tmp, n);
		spa += n;
		held += n;
		buf += n;
		len -= n;
	}
}

/* cbit_mem_held_write() - the other way. */
void cbit_mem_held_write(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 cbit_key_t key, uint8_t *held, const uint8_t *buf, size_t len)
{
	size_t n;

	if (cbit_mem_is_straight(mem, r, key)) {
		cbit_mem_copy_in(held, buf, len);
		return;
	}
	while (len) {
		n = in_block(spa, len);
		if (n == MEM_BLOCK) {
			n = len & ~(MEM_BLOCK - 1);
			write_blocks(mem, r, spa, key, held, buf, n);
		} else {
			size_t at = (size_t)(spa & (MEM_BLOCK - 1));
			const struct change c = { .at = at, .buf = buf, .len = n };

			change_block(mem, r, spa - at, key, held - at, &c);
		}
		spa += n;
		held += n;
		buf += n;
		len -= n;
	}
}

/* cbit_mem_held_atomic() - an atomic access at @held, around which its block is held. */
void cbit_mem_held_atomic(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			  cbit_key_t key, uint8_t *held, const struct mem_atomic *a)
{
	size_t at = (size_t)(spa & (MEM_BLOCK - 1));
	const struct change c = { .at = at, .atomic = a };

	if (cbit_mem_is_straight(mem, r, key))
		cbit_mem_atomic_shared(held, a);
	else
		change_block(mem, r, spa - at, key, held - at, &c);
}

static bool overlap(const uint8_t *a, const uint8_t *b, size_t len)
{
	return (uintptr_t)a - (uintptr_t)b < len || (uintptr_t)b - (uintptr_t)a < len;
}

/*
 * Both sides lie at a pointer. At most one of them is turned, and that in one pass: what would
 * need room in between is left to who has it.
 */
static bool copy_pieces(struct cbit_mem *mem, const struct mem_side *to, uint8_t *dst,
			const struct mem_side *from, const uint8_t *src, size_t len)
{
	if (overlap(dst, src, len))
		return false;
	if (cbit_mem_is_straight(mem, to->r, to->key))
		cbit_mem_held_read(mem, from->r, from->spa, from->key, src, dst, len);
	else
		cbit_mem_held_write(mem, to->r, to->spa, to->key, dst, src, len);
	return true;
}

static bool one_pass(struct cbit_mem *mem, const struct mem_side *s)
{
	return cbit_mem_is_straight(mem, s->r, s->key) || s->key == CBIT_KEY_NONE ||
	       s->r->resident == CBIT_KEY_NONE;
}

/*
 * cbit_mem_held_copy() - copy without a stop in between. Return: bytes copied, 0 when one side
 * lends nothing there, or when it has to be done by reading and writing for other reasons.
 */
size_t cbit_mem_held_copy(struct cbit_mem *mem, const struct mem_side *to,
			  const struct mem_side *from, size_t len)
{
	bool to_straight = cbit_mem_is_straight(mem, to->r, to->key);
	bool from_straight = cbit_mem_is_straight(mem, from->r, from->key);
	struct mem_piece src, dst;
	size_t done = 0;

	if ((!to_straight && !from_straight) || !one_pass(mem, to) || !one_pass(mem, from))
		return 0;
	src = cbit_mem_hold(from->r, from->spa, len, false, from_straight);
	if (!src.at)
		return 0;
	dst = cbit_mem_hold(to->r, to->spa, src.len, true, to_straight);
	if (dst.at && copy_pieces(mem, to, dst.at, from, src.at, dst.len))
		done = dst.len;
	/* what went away meanwhile is met again on the long way, which tells who lost it */
	if (cbit_mem_release(to->r, &dst))
		done = 0;
	if (cbit_mem_release(from->r, &src))
		done = 0;
	return done;
}
