/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accesses as the fabric carries them out: strip the C-bit, let a window decode the rest,
 * pick the key, and hand each part to what stands behind its window.
 */
#include <errno.h>

#include "mem_internal.h"

/* An access under way. The C-bit and the key belong to all of it; only the SPA counts up. */
struct access {
	uint64_t spa;
	bool c;
	cbit_key_t key; /* on memory that encrypts */
};

static struct access access_start(const struct cbit_mem *mem, struct cbit_bus addr)
{
	bool c = (addr.v & mem->c_mask) != 0;

	return (struct access){ .spa = addr.v & ~mem->c_mask,
				.c = c,
				.key = c || mem->platform.tsme ? CBIT_KEY_HOST : CBIT_KEY_NONE };
}

/* Who names a key has the C-bit set, as far as his platform has one: it is what selects a key. */
static struct access access_as(const struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key)
{
	bool c = key == CBIT_KEY_HOST ? mem->platform.sme
				      : key != CBIT_KEY_NONE && mem->platform.sev;

	return (struct access){ .spa = spa.v, .c = c, .key = cbit_mem_key_here(mem, key) };
}

/* The window that answers, with *@len cut to its part of the access, or NULL. */
static struct mem_region *decode(const struct cbit_mem *mem, const struct access *a, size_t *len)
{
	struct mem_region *r = cbit_mem_region_decode(mem, a->spa, len);

	/* where nothing consumes the C-bit it is one more address bit, and no window has it */
	return r && a->c && !r->pub.encrypts ? NULL : r;
}

/* What no window decodes is another space's to answer; a window that the C-bit misses is not. */
static bool forwards(const struct cbit_mem *mem, const struct access *a)
{
	return mem->forwards && !cbit_mem_region_find(mem, a->spa);
}

static struct cbit_bus access_bus(const struct cbit_mem *mem, const struct access *a)
{
	return (struct cbit_bus){ a->spa | (a->c ? mem->c_mask : 0) };
}

static cbit_key_t key_of(const struct mem_region *r, const struct access *a)
{
	return r->pub.encrypts ? a->key : CBIT_KEY_NONE;
}

static enum cbit_mem_outcome read_part(struct cbit_mem *mem, struct mem_region *r,
				       const struct access *a, uint8_t *buf, size_t len)
{
	if (!r) {
		if (forwards(mem, a))
			return mem->forward.read(mem->forward_opaque, access_bus(mem, a), buf, len);
		memset(buf, 0xff, len);
		return CBIT_MEM_ABORT;
	}
	if (r->has_ops)
		return cbit_mem_backing_read(mem, r, a->spa, key_of(r, a), buf, len);
	if (r->direct)
		cbit_mem_copy_out(buf, r->direct + (a->spa - r->pub.base.v), len);
	else
		cbit_mem_sparse_read(r->sparse, a->spa, key_of(r, a), buf, len);
	return CBIT_MEM_OK;
}

static enum cbit_mem_outcome write_part(struct cbit_mem *mem, struct mem_region *r,
					const struct access *a, const uint8_t *buf, size_t len)
{
	if (!r) {
		if (forwards(mem, a))
			return mem->forward.write(mem->forward_opaque, access_bus(mem, a), buf,
						  len);
		return CBIT_MEM_ABORT;
	}
	if (r->has_ops)
		return cbit_mem_backing_write(mem, r, a->spa, key_of(r, a), buf, len);
	if (r->direct)
		cbit_mem_copy_in(r->direct + (a->spa - r->pub.base.v), buf, len);
	else if (cbit_mem_sparse_write(r->sparse, a->spa, key_of(r, a), buf, len))
		return CBIT_MEM_NO_BACKING;
	return CBIT_MEM_OK;
}

static enum cbit_mem_outcome read_all(struct cbit_mem *mem, struct access a, void *buf, size_t len)
{
	enum cbit_mem_outcome worst = CBIT_MEM_OK;
	uint8_t *p = buf;

	while (len) {
		size_t n = len;
		struct mem_region *r = decode(mem, &a, &n);
		enum cbit_mem_outcome o = read_part(mem, r, &a, p, n);

		if (o > worst)
			worst = o;
		a.spa += n;
		p += n;
		len -= n;
	}
	return worst;
}

static enum cbit_mem_outcome write_all(struct cbit_mem *mem, struct access a, const void *buf,
				       size_t len)
{
	enum cbit_mem_outcome worst = CBIT_MEM_OK;
	const uint8_t *p = buf;

	while (len) {
		size_t n = len;
		struct mem_region *r = decode(mem, &a, &n);
		enum cbit_mem_outcome o = write_part(mem, r, &a, p, n);

		if (o > worst)
			worst = o;
		a.spa += n;
		p += n;
		len -= n;
	}
	return worst;
}

enum cbit_mem_outcome cbit_mem_read(struct cbit_mem *mem, struct cbit_bus addr, void *buf,
				    size_t len)
{
	return read_all(mem, access_start(mem, addr), buf, len);
}

enum cbit_mem_outcome cbit_mem_write(struct cbit_mem *mem, struct cbit_bus addr, const void *buf,
				     size_t len)
{
	return write_all(mem, access_start(mem, addr), buf, len);
}

enum cbit_mem_outcome cbit_mem_read_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key,
				       void *buf, size_t len)
{
	return read_all(mem, access_as(mem, spa, key), buf, len);
}

enum cbit_mem_outcome cbit_mem_write_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key,
					const void *buf, size_t len)
{
	return write_all(mem, access_as(mem, spa, key), buf, len);
}

/* Below this a copy is not worth the two pointers, and words have to stay whole. */
#define COPY_MIN 256

size_t cbit_mem_copy(struct cbit_mem *mem, struct cbit_bus to, struct cbit_bus from, size_t len,
		     enum cbit_mem_outcome outcome[2])
{
	struct access a = access_start(mem, from), b = access_start(mem, to);
	const struct mem_region *src, *dst;

	if (len < COPY_MIN)
		return 0;
	src = decode(mem, &a, &len);
	dst = decode(mem, &b, &len);
	if (!src || !dst || len < COPY_MIN || !(src->direct || src->ops.hold) ||
	    !(dst->direct || dst->ops.hold))
		return 0;
	len = cbit_mem_held_copy(mem, &(struct mem_side){ dst, b.spa, key_of(dst, &b) },
				 &(struct mem_side){ src, a.spa, key_of(src, &a) }, len);
	outcome[0] = key_of(src, &a) == src->resident ? CBIT_MEM_OK : CBIT_MEM_WRONG_KEY;
	outcome[1] = key_of(dst, &b) == dst->resident ? CBIT_MEM_OK : CBIT_MEM_WRONG_KEY;
	return len;
}

static bool atomic_exists(enum cbit_atomic_op op, unsigned int size, uint64_t addr)
{
	if (size != 4 && size != 8 && !(size == 16 && op == CBIT_ATOMIC_CAS))
		return false;
	return !(addr & (size - 1));
}

/* Memory that somebody gave us may lie at any address; what has no atom there gets a lock. */
static void atomic_direct(struct cbit_mem *mem, uint8_t *at, const struct mem_atomic *atomic)
{
	if (!((uintptr_t)at & (atomic->size - 1))) {
		cbit_mem_atomic_shared(at, atomic);
		return;
	}
	pthread_mutex_lock(&mem->atomics);
	cbit_mem_atomic_own(at, atomic);
	pthread_mutex_unlock(&mem->atomics);
}

static enum cbit_mem_outcome atomic_part(struct cbit_mem *mem, struct mem_region *r,
					 const struct access *a, const struct mem_atomic *atomic)
{
	if (!r) {
		if (forwards(mem, a) && mem->forward.atomic)
			return mem->forward.atomic(mem->forward_opaque, access_bus(mem, a),
						   atomic->op, atomic->size, atomic->operand,
						   atomic->compare, atomic->old);
		return CBIT_MEM_ABORT;
	}
	if (r->has_ops)
		return cbit_mem_backing_atomic(mem, r, a->spa, key_of(r, a), atomic);
	if (r->direct)
		atomic_direct(mem, r->direct + (a->spa - r->pub.base.v), atomic);
	else if (cbit_mem_sparse_atomic(r->sparse, a->spa, key_of(r, a), atomic))
		return CBIT_MEM_NO_BACKING;
	return CBIT_MEM_OK;
}

static enum cbit_mem_outcome atomic_all(struct cbit_mem *mem, struct access a,
					const struct mem_atomic *atomic)
{
	enum cbit_mem_outcome outcome = CBIT_MEM_ABORT;
	size_t n = atomic->size;

	memset(atomic->old, 0, 2 * sizeof(*atomic->old));
	if (atomic_exists(atomic->op, atomic->size, a.spa))
		outcome = atomic_part(mem, decode(mem, &a, &n), &a, atomic);
	if (outcome == CBIT_MEM_ABORT || outcome == CBIT_MEM_NO_BACKING)
		memset(atomic->old, 0xff, atomic->size < 16 ? atomic->size : 16);
	return outcome;
}

enum cbit_mem_outcome cbit_mem_atomic(struct cbit_mem *mem, struct cbit_bus addr,
				      enum cbit_atomic_op op, unsigned int size,
				      const uint64_t operand[2], const uint64_t compare[2],
				      uint64_t old[2])
{
	return atomic_all(mem, access_start(mem, addr),
			  &(struct mem_atomic){ op, size, operand, compare, old });
}

enum cbit_mem_outcome cbit_mem_atomic_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key,
					 enum cbit_atomic_op op, unsigned int size,
					 const uint64_t operand[2], const uint64_t compare[2],
					 uint64_t old[2])
{
	return atomic_all(mem, access_as(mem, spa, key),
			  &(struct mem_atomic){ op, size, operand, compare, old });
}

static void *page_of(struct cbit_mem *mem, const struct access *a)
{
	size_t n = 1;
	struct mem_region *r = decode(mem, a, &n);

	if (!r && forwards(mem, a))
		return mem->forward.page(mem->forward_opaque, access_bus(mem, a));
	if (!r || !r->sparse)
		return NULL;
	return cbit_mem_sparse_view(r->sparse, a->spa, key_of(r, a));
}

void *cbit_mem_page(struct cbit_mem *mem, struct cbit_bus addr)
{
	struct access a = access_start(mem, addr);

	return page_of(mem, &a);
}

void *cbit_mem_page_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key)
{
	struct access a = access_as(mem, spa, key);

	return page_of(mem, &a);
}

int cbit_mem_raw(struct cbit_mem *mem, struct cbit_spa spa, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		size_t n = len;
		struct mem_region *r = cbit_mem_region_decode(mem, spa.v, &n);
		int ret = 0;

		if (!r || r->pub.kind == CBIT_MEM_MMIO)
			return -ENXIO;
		if (r->has_ops)
			ret = cbit_mem_backing_raw(mem, r, spa.v, p, n);
		else if (r->direct)
			cbit_mem_copy_out(p, r->direct + (spa.v - r->pub.base.v), n);
		else
			cbit_mem_sparse_read(r->sparse, spa.v, CBIT_KEY_NONE, p, n);
		if (ret)
			return ret;
		spa.v += n;
		p += n;
		len -= n;
	}
	return 0;
}
