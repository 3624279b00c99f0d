/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A forwarding address space: what goes to its ops, what a window keeps, and a page table that is
 * built and walked through one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/mem.h>
#include <cbit/pt.h>

#define HOST_BASE UINT64_C(0x100000)
#define HOST_SIZE UINT64_C(0x400000)
#define SHIFT     UINT64_C(0x40000000) /* of the addresses of the space that is forwarded */
#define WINDOW    UINT64_C(0x80000000)

/* A space whose address A is the host's A - SHIFT, under the host key or none as its C-bit says. */
struct rig {
	struct cbit_mem *host;
	struct cbit_mem *fwd;
	uint64_t c;
	uint8_t window[CBIT_PAGE_SIZE];
};

static bool inside(uint64_t at)
{
	return at >= HOST_BASE + SHIFT && at < HOST_BASE + SHIFT + HOST_SIZE;
}

static enum cbit_mem_outcome fwd_read(void *opaque, struct cbit_bus addr, void *buf, size_t len)
{
	struct rig *r = opaque;

	if (!inside(addr.v & ~r->c)) {
		memset(buf, 0xff, len);
		return CBIT_MEM_ABORT;
	}
	return cbit_mem_read(r->host, (struct cbit_bus){ addr.v - SHIFT }, buf, len);
}

static enum cbit_mem_outcome fwd_write(void *opaque, struct cbit_bus addr, const void *buf,
				       size_t len)
{
	struct rig *r = opaque;

	if (!inside(addr.v & ~r->c))
		return CBIT_MEM_ABORT;
	return cbit_mem_write(r->host, (struct cbit_bus){ addr.v - SHIFT }, buf, len);
}

static enum cbit_mem_outcome fwd_atomic(void *opaque, struct cbit_bus addr, enum cbit_atomic_op op,
					unsigned int size, const uint64_t operand[2],
					const uint64_t compare[2], uint64_t old[2])
{
	struct rig *r = opaque;

	if (!inside(addr.v & ~r->c))
		return CBIT_MEM_ABORT;
	return cbit_mem_atomic(r->host, (struct cbit_bus){ addr.v - SHIFT }, op, size, operand,
			       compare, old);
}

static void *fwd_page(void *opaque, struct cbit_bus addr)
{
	struct rig *r = opaque;

	return inside(addr.v & ~r->c) ? cbit_mem_page(r->host, (struct cbit_bus){ addr.v - SHIFT })
				      : NULL;
}

static const struct cbit_mem_region *fwd_find(void *opaque, struct cbit_spa addr)
{
	struct rig *r = opaque;

	return inside(addr.v) ? cbit_mem_find(r->host, CBIT_SPA(addr.v - SHIFT)) : NULL;
}

static int fwd_alloc(void *opaque, unsigned int count, bool c, struct cbit_spa *out)
{
	struct rig *r = opaque;
	int err = cbit_mem_frames_alloc(r->host, count, c ? CBIT_KEY_HOST : CBIT_KEY_NONE, out);

	out->v += SHIFT;
	return err;
}

static void fwd_free(void *opaque, struct cbit_spa addr, unsigned int count)
{
	struct rig *r = opaque;

	cbit_mem_frames_free(r->host, CBIT_SPA(addr.v - SHIFT), count);
}

static const struct cbit_mem_forward_ops ops = {
	.read = fwd_read,
	.write = fwd_write,
	.atomic = fwd_atomic,
	.page = fwd_page,
	.find = fwd_find,
	.frames_alloc = fwd_alloc,
	.frames_free = fwd_free,
};

static int setup(void **state)
{
	static struct rig r;
	struct cbit_mem_region_desc dram = { .kind = CBIT_MEM_DRAM,
					     .encrypts = true,
					     .base = CBIT_SPA(HOST_BASE),
					     .size = HOST_SIZE };
	struct cbit_mem_region_desc window = { .kind = CBIT_MEM_MMIO,
					       .base = CBIT_SPA(WINDOW),
					       .size = CBIT_PAGE_SIZE,
					       .direct = r.window };
	struct cbit_platform p;

	memset(&r, 0, sizeof(r));
	cbit_platform_preset("sme", &p);
	r.c = cbit_platform_c_mask(&p);
	if (cbit_mem_create(&p, &r.host) || cbit_mem_add_region(r.host, &dram, NULL) ||
	    cbit_mem_create_forward(&p, &ops, &r, &r.fwd) ||
	    cbit_mem_add_region(r.fwd, &window, NULL))
		return -1;
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	cbit_mem_destroy(r->fwd);
	cbit_mem_destroy(r->host);
	return 0;
}

static void accesses_go_where_they_belong(void **state)
{
	struct rig *r = *state;
	struct cbit_bus at = { HOST_BASE + SHIFT + 0x1ff8 };
	uint8_t in[16], raw[16], out[16];
	uint64_t old[2];

	memset(in, 0x5a, sizeof(in));
	at.v |= r->c;
	assert_int_equal(cbit_mem_write(r->fwd, at, in, sizeof(in)), CBIT_MEM_OK);
	assert_int_equal(cbit_mem_read(r->fwd, at, out, sizeof(out)), CBIT_MEM_OK);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(cbit_mem_raw(r->host, CBIT_SPA(HOST_BASE + 0x1ff8), raw, sizeof(raw)), 0);
	assert_memory_not_equal(in, raw, sizeof(in));
	at.v &= ~r->c;
	assert_int_equal(cbit_mem_read(r->fwd, at, out, sizeof(out)), CBIT_MEM_OK);
	assert_memory_equal(raw, out, sizeof(raw));

	/* Atomically as well; the memory is the same. */
	at.v = (HOST_BASE + SHIFT + 0x1ff8) | r->c;
	assert_int_equal(cbit_mem_atomic(r->fwd, at, CBIT_ATOMIC_FETCH_ADD, 8, (uint64_t[2]){ 1 },
					 NULL, old),
			 CBIT_MEM_OK);
	assert_int_equal(old[0], 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(cbit_mem_read(r->fwd, at, out, sizeof(out)), CBIT_MEM_OK);
	assert_int_equal(out[0], 0x5b);
	at.v = HOST_BASE;
	assert_int_equal(
		cbit_mem_atomic(r->fwd, at, CBIT_ATOMIC_SWAP, 4, (uint64_t[2]){ 1 }, NULL, old),
		CBIT_MEM_ABORT);
	assert_int_equal(old[0], 0xffffffff);

	/* Nothing there: all ones, as on any bus. */
	at.v = HOST_BASE;
	assert_int_equal(cbit_mem_read(r->fwd, at, out, sizeof(out)), CBIT_MEM_ABORT);
	assert_int_equal(out[0], 0xff);
	assert_null(cbit_mem_find(r->fwd, CBIT_SPA(HOST_BASE)));
	assert_non_null(cbit_mem_find(r->fwd, CBIT_SPA(HOST_BASE + SHIFT)));
}

/* A window goes first, and with the C-bit it is missed, not forwarded. */
static void a_window_is_kept(void **state)
{
	struct rig *r = *state;
	uint32_t v = 0x12345678;

	assert_int_equal(cbit_mem_write(r->fwd, (struct cbit_bus){ WINDOW }, &v, 4), CBIT_MEM_OK);
	assert_memory_equal(r->window, &v, 4);
	assert_int_equal(cbit_mem_write(r->fwd, (struct cbit_bus){ WINDOW | r->c }, &v, 4),
			 CBIT_MEM_ABORT);
}

static void memory_of_its_own_is_refused(void **state)
{
	struct rig *r = *state;
	struct cbit_mem_region_desc d = { .kind = CBIT_MEM_DRAM,
					  .encrypts = true,
					  .size = CBIT_PAGE_SIZE };
	struct cbit_error err;

	assert_int_equal(cbit_mem_add_region(r->fwd, &d, &err), -EINVAL);
	assert_non_null(strstr(err.text, "forwarding"));
}

static void a_page_table_lives_in_it(void **state)
{
	struct rig *r = *state;
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1, .mode = 3, .max_mode = 4, .table_c = true
	};
	struct cbit_pt_leaf leaf;
	struct cbit_pt *pt;
	uint64_t unmapped;

	assert_int_equal(cbit_pt_create(r->fwd, &cfg, &pt), 0);
	assert_true(inside(cbit_pt_root(pt).v));
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(cbit_pt_map(pt, CBIT_IOVA(i << 21), CBIT_SPA(i << 12),
					     CBIT_PAGE_SIZE, CBIT_ATTR_RW, NULL),
				 0);
	for (uint64_t i = 0; i < 600; i++) {
		struct cbit_bus root = { cbit_pt_root(pt).v | r->c };

		assert_int_equal(cbit_pt_walk_from(r->fwd, CBIT_PT_AMDV1, root, cbit_pt_mode(pt),
						   CBIT_IOVA(i << 21), &leaf),
				 0);
		assert_int_equal(leaf.spa.v, i << 12);
		/* The pointer has the C-bit: without it, noise is read, never the leaf. */
		root.v &= ~r->c;
		if (!cbit_pt_walk_from(r->fwd, CBIT_PT_AMDV1, root, cbit_pt_mode(pt),
				       CBIT_IOVA(i << 21), &leaf))
			assert_int_not_equal(leaf.spa.v, i << 12);
	}
	assert_int_equal(cbit_pt_unmap(pt, CBIT_IOVA(0), UINT64_C(600) << 21, &unmapped), 0);
	assert_int_equal(unmapped, 600 * CBIT_PAGE_SIZE);
	cbit_pt_destroy(pt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(accesses_go_where_they_belong, setup, teardown),
		cmocka_unit_test_setup_teardown(a_window_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_of_its_own_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_page_table_lives_in_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
