/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory whose bytes live elsewhere, behind ops, as plaintext of a resident key.
 *
 * Under the resident key an access is one call, however long. Under another key the DRAM
 * bytes stand between the two plaintexts: they are computed from the one, and the other from
 * them. A write that covers a block of 16 bytes in part reads, changes and writes the whole
 * block, as a memory controller does; nothing holds other writers off meanwhile.
 */
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

static bool is_straight(struct cbit_mem *mem, const struct mem_region *r, cbit_key_t key)
{
	return key == r->resident && !(r->pub.encrypts && mem_is_slow(mem));
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
		cbit_mem_transcode(mem, r->resident, key, spa, buf, n);
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
		cbit_mem_transcode(mem, r->resident, key, s.spa, tmp, s.blocks);
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
		cbit_mem_transcode(mem, r->resident, key, spa, tmp, MEM_BLOCK);
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
		cbit_mem_transcode(mem, key, r->resident, s.spa, tmp, s.blocks);
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

/* cbit_mem_backing_read() - @len bytes at @spa, all inside @r, as @key shows them. */
enum cbit_mem_outcome cbit_mem_backing_read(struct cbit_mem *mem, const struct mem_region *r,
					    uint64_t spa, cbit_key_t key, uint8_t *buf, size_t len)
{
	int ret;

	if (is_straight(mem, r, key))
		ret = ops_read(r, spa, buf, len);
	else
		ret = read_through(mem, r, spa, key, buf, len);
	if (ret)
		memset(buf, 0xff, len);
	return outcome(r, key, ret);
}

/* cbit_mem_backing_write() - the other way. */
enum cbit_mem_outcome cbit_mem_backing_write(struct cbit_mem *mem, const struct mem_region *r,
					     uint64_t spa, cbit_key_t key, const uint8_t *buf,
					     size_t len)
{
	if (is_straight(mem, r, key))
		return outcome(r, key, ops_write(r, spa, buf, len));
	return outcome(r, key, write_through(mem, r, spa, key, buf, len));
}

/* cbit_mem_backing_raw() - what DRAM would hold there. Return: 0 or the error of the ops. */
int cbit_mem_backing_raw(struct cbit_mem *mem, const struct mem_region *r, uint64_t spa,
			 uint8_t *buf, size_t len)
{
	return read_through(mem, r, spa, CBIT_KEY_NONE, buf, len);
}
