/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A rig for tests of the mem room: an address space with a window of every kind, and backings
 * whose bytes the test sees. A backing may lend pointers to some of its pages, and lose them.
 */
#ifndef CBIT_TEST_MEM_RIG_H
#define CBIT_TEST_MEM_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/mem.h>

#define RIG_PAGE  ((size_t)4096)
#define RIG_SIZE  (8 * RIG_PAGE) /* of each window */
#define RIG_SPA   UINT64_C(0x100000000)
#define RIG_C     (UINT64_C(1) << 51)
#define RIG_KINDS 9

/* What stands behind a window; the order is that of the address map, RIG_SIZE apart. */
enum rig_kind {
	RIG_DRAM,
	RIG_CXL,
	RIG_COHERENT,
	RIG_COHERENT_PLAIN, /* does not consume the C-bit */
	RIG_BAR,            /* direct */
	RIG_DOORBELL,       /* MMIO behind ops */
	RIG_CLIENT,         /* ops, resident under the host key, nothing lent */
	RIG_LENT,           /* the same, every page lent */
	RIG_LENT_RAW,       /* lent, resident under no key */
};

struct rig_backing {
	uint8_t *bytes;
	unsigned int reads, writes, holds, held, atomics;
	int lost;            /* what release answers */
	uint64_t hole;       /* read and write fail from here on */
	unsigned int refuse; /* pages not lent, as a mask of their numbers */
	size_t longest;      /* most that is lent at a time, 0: all */
};

struct rig {
	struct cbit_mem *mem;
	struct cbit_platform platform;
	struct rig_backing back[RIG_KINDS];
};

static inline uint64_t rig_spa(enum rig_kind kind)
{
	return RIG_SPA + (uint64_t)kind * RIG_SIZE;
}

static inline struct cbit_bus rig_bus(const struct rig *r, enum rig_kind kind, uint64_t at, bool c)
{
	return cbit_mem_bus(r->mem, CBIT_SPA(rig_spa(kind) + at), c);
}

static int rig_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	struct rig_backing *b = opaque;

	__atomic_fetch_add(&b->reads, 1, __ATOMIC_RELAXED);
	if (offset + len > b->hole)
		return -EFAULT;
	memcpy(buf, b->bytes + offset, len);
	return 0;
}

static int rig_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	struct rig_backing *b = opaque;

	__atomic_fetch_add(&b->writes, 1, __ATOMIC_RELAXED);
	if (offset + len > b->hole)
		return -EFAULT;
	memcpy(b->bytes + offset, buf, len);
	return 0;
}

static void *rig_hold(void *opaque, uint64_t offset, size_t *len, bool write, void **cookie)
{
	struct rig_backing *b = opaque;
	uint64_t end = (offset | (RIG_PAGE - 1)) + 1;
	bool lent = !(b->refuse >> (offset / RIG_PAGE) & 1);

	(void)write;
	__atomic_fetch_add(&b->holds, 1, __ATOMIC_RELAXED);
	/* as long as the answer is the same */
	while (end < offset + *len && !(b->refuse >> (end / RIG_PAGE) & 1) == lent &&
	       !(b->longest && end - offset >= b->longest))
		end += RIG_PAGE;
	if (*len > end - offset)
		*len = end - offset;
	if (!lent)
		return NULL;
	__atomic_fetch_add(&b->held, 1, __ATOMIC_RELAXED);
	*cookie = b;
	return b->bytes + offset;
}

static int rig_release(void *opaque, void *cookie)
{
	struct rig_backing *b = opaque;

	assert_ptr_equal(cookie, b);
	__atomic_fetch_sub(&b->held, 1, __ATOMIC_RELAXED);
	return b->lost;
}

static const struct cbit_mem_ops rig_copying = { .read = rig_read, .write = rig_write };
static const struct cbit_mem_ops rig_lending = {
	.read = rig_read, .write = rig_write, .hold = rig_hold, .release = rig_release
};

/* @ops: of RIG_CLIENT, NULL for those that only copy. */
static struct rig *rig_up_with(const struct cbit_platform *platform, const struct cbit_mem_ops *ops)
{
	static const enum cbit_mem_kind kinds[RIG_KINDS] = {
		CBIT_MEM_DRAM,     CBIT_MEM_CXL_RAM, CBIT_MEM_COHERENT,
		CBIT_MEM_COHERENT, CBIT_MEM_MMIO,    CBIT_MEM_MMIO,
		CBIT_MEM_DRAM,     CBIT_MEM_DRAM,    CBIT_MEM_DRAM,
	};
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->platform = *platform;
	assert_int_equal(cbit_mem_create(platform, &r->mem), 0);
	for (unsigned int i = 0; i < RIG_KINDS; i++) {
		struct rig_backing *b = &r->back[i];
		struct cbit_mem_region_desc d = { .kind = kinds[i],
						  .base = CBIT_SPA(RIG_SPA + i * RIG_SIZE),
						  .size = RIG_SIZE,
						  .opaque = b };

		d.encrypts = kinds[i] != CBIT_MEM_MMIO && i != RIG_COHERENT_PLAIN;
		d.resident = i == RIG_CLIENT || i == RIG_LENT ? CBIT_KEY_HOST : CBIT_KEY_NONE;
		b->bytes = aligned_alloc(RIG_PAGE, RIG_SIZE);
		b->hole = RIG_SIZE;
		assert_non_null(b->bytes);
		for (size_t n = 0; n < RIG_SIZE; n++)
			b->bytes[n] = (uint8_t)(n * 7 + (n >> 8) * 3 + i);
		if (i == RIG_BAR)
			d.direct = b->bytes;
		else if (i == RIG_DOORBELL)
			d.ops = &rig_copying;
		else if (i == RIG_CLIENT)
			d.ops = ops ? ops : &rig_copying;
		else if (i > RIG_CLIENT)
			d.ops = &rig_lending;
		assert_int_equal(cbit_mem_add_region(r->mem, &d, NULL), 0);
	}
	return r;
}

static inline struct rig *rig_up(const char *preset)
{
	struct cbit_platform p;

	assert_int_equal(cbit_platform_preset(preset, &p), 0);
	return rig_up_with(&p, NULL);
}

static void rig_down(struct rig *r)
{
	for (unsigned int i = 0; i < RIG_KINDS; i++) {
		assert_int_equal(r->back[i].held, 0);
		free(r->back[i].bytes);
	}
	cbit_mem_destroy(r->mem);
	free(r);
}

#endif
