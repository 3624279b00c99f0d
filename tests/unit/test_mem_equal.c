/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The proof by test that the fast path is not seen: two machines get the same million random
 * accesses, one of them always through AES, and must agree in every outcome, every byte read
 * and in the end in every byte of DRAM and of the backings.
 *
 * CBIT_SEED and CBIT_OPS in the environment choose another run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/mem.h>

#define PAGE    ((size_t)4096)
#define LOW     0x40000000u /* the first region; all lie in the 32 pages from here */
#define PAGES   32u
#define LONGEST (3 * PAGE)
#define ASIDS   3u

/* pages of the map: [0,8) dram, [8,12) ops host, [12,16) ops none, [16,18) hole, then: */
#define OPS_HOST       8u
#define OPS_NONE       12u
#define CXL            18u
#define COHERENT       22u
#define COHERENT_PLAIN 24u
#define OPS_COHERENT   26u
#define BAR            28u
#define END            30u

struct machine {
	struct cbit_mem *mem;
	bool lends;
	_Alignas(4096)
		uint8_t bytes[PAGES * PAGE]; /* behind every region that has its memory elsewhere */
};

static int ops_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	memcpy(buf, (uint8_t *)opaque + offset, len);
	return 0;
}

static int ops_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	memcpy((uint8_t *)opaque + offset, buf, len);
	return 0;
}

/* Every other page is lent; those between are read and written. */
static void *ops_hold(void *opaque, uint64_t offset, size_t *len, bool write, void **cookie)
{
	size_t left = PAGE - (size_t)(offset & (PAGE - 1));

	(void)write;
	*cookie = NULL;
	if (*len > left)
		*len = left;
	return offset & PAGE ? (uint8_t *)opaque + offset : NULL;
}

static int ops_release(void *opaque, void *cookie)
{
	(void)opaque;
	(void)cookie;
	return 0;
}

static const struct cbit_mem_ops ops = {
	.read = ops_read, .write = ops_write, .hold = ops_hold, .release = ops_release
};
static const struct cbit_mem_ops bare_ops = { .read = ops_read, .write = ops_write };

static void add(struct machine *m, enum cbit_mem_kind kind, bool encrypts, unsigned int first,
		unsigned int end)
{
	struct cbit_mem_region_desc d = { .kind = kind, .encrypts = encrypts };

	d.base.v = LOW + first * PAGE;
	d.size = (end - first) * PAGE;
	d.resident = first == OPS_HOST ? CBIT_KEY_HOST : CBIT_KEY_NONE;
	d.opaque = m->bytes + first * PAGE;
	if (first == OPS_HOST || first == OPS_NONE || first == OPS_COHERENT)
		d.ops = m->lends ? &ops : &bare_ops;
	else if (first == BAR)
		d.direct = d.opaque;
	assert_int_equal(cbit_mem_add_region(m->mem, &d, NULL), 0);
}

static struct machine *make(const char *preset, bool lends)
{
	struct machine *m = aligned_alloc(4096, sizeof(*m));
	struct cbit_platform p;

	assert_non_null(m);
	memset(m, 0, sizeof(*m));
	m->lends = lends;
	assert_int_equal(cbit_platform_preset(preset, &p), 0);
	if (p.sme) {
		p.sev = true;
		p.asids = ASIDS;
	}
	assert_int_equal(cbit_mem_create(&p, &m->mem), 0);
	add(m, CBIT_MEM_MMIO, false, BAR, END);
	add(m, CBIT_MEM_DRAM, true, 0, OPS_HOST);
	add(m, CBIT_MEM_DRAM, true, OPS_HOST, OPS_NONE);
	add(m, CBIT_MEM_DRAM, true, OPS_NONE, 16);
	add(m, CBIT_MEM_CXL_RAM, true, CXL, COHERENT);
	add(m, CBIT_MEM_COHERENT, true, COHERENT, COHERENT_PLAIN);
	add(m, CBIT_MEM_COHERENT, false, COHERENT_PLAIN, OPS_COHERENT);
	add(m, CBIT_MEM_COHERENT, false, OPS_COHERENT, BAR);
	return m;
}

static unsigned long straight; /* copies that went by pointers: there must be some */

static uint64_t rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static size_t length(uint64_t *s)
{
	uint64_t r = rnd(s) >> 8;

	switch (r & 31) {
	case 0:
		return (r >> 5) % LONGEST + 1;
	case 1:
		return (size_t)16 << (r >> 5 & 3);
	case 2:
		return PAGE;
	default:
		return (r >> 5) % 48 + 1;
	}
}

static void compare_dram(struct machine *a, struct machine *b)
{
	static uint8_t x[PAGE], y[PAGE];

	assert_memory_equal(a->bytes, b->bytes, sizeof(a->bytes));
	for (unsigned int i = 0; i < PAGES; i++) {
		struct cbit_spa spa = CBIT_SPA(LOW + i * PAGE);
		int ret = cbit_mem_raw(a->mem, spa, x, PAGE);

		assert_int_equal(ret, cbit_mem_raw(b->mem, spa, y, PAGE));
		if (!ret)
			assert_memory_equal(x, y, PAGE);
	}
}

/* Compared with what is there in every other case, so that it also succeeds. */
static void atomic(struct machine *a, struct machine *b, struct cbit_bus bus, uint64_t *s)
{
	uint64_t r = rnd(s) >> 8, operand[2] = { rnd(s), rnd(s) }, compare[2], x[2], y[2];
	enum cbit_atomic_op op = (enum cbit_atomic_op)(r % 3);
	unsigned int size = r & 16 ? 8 : 4;

	if (op == CBIT_ATOMIC_CAS && r & 32)
		size = 16;
	if (r & 0x3c0) /* else it may be refused */
		bus.v &= ~(uint64_t)(size - 1);
	cbit_mem_read(a->mem, bus, compare, sizeof(compare));
	compare[size == 16] += r >> 10 & 1;
	assert_int_equal(cbit_mem_atomic(a->mem, bus, op, size, operand, compare, x),
			 cbit_mem_atomic(b->mem, bus, op, size, operand, compare, y));
	assert_memory_equal(x, y, sizeof(x));
}

/* From memory to memory: by pointers as far as that goes, and by a buffer where it does not. */
static void copy(struct machine *a, struct machine *b, struct cbit_bus from, uint64_t *s,
		 size_t len, uint8_t *x)
{
	uint64_t r = rnd(s) >> 8;
	struct cbit_spa spa = CBIT_SPA(LOW + (r >> 8) % (PAGES * PAGE));
	struct cbit_bus to = cbit_mem_bus(a->mem, spa, r & 1);

	while (len) {
		enum cbit_mem_outcome o[2];
		size_t n = cbit_mem_copy(a->mem, to, from, len, o);

		if (n) {
			assert_int_equal(cbit_mem_read(b->mem, from, x, n), o[0]);
			assert_int_equal(cbit_mem_write(b->mem, to, x, n), o[1]);
			straight++;
		} else {
			n = len < 64 ? len : 64;
			assert_int_equal(cbit_mem_read(b->mem, from, x, n),
					 cbit_mem_read(a->mem, from, x, n));
			assert_int_equal(cbit_mem_write(b->mem, to, x, n),
					 cbit_mem_write(a->mem, to, x, n));
		}
		from.v += n;
		to.v += n;
		len -= n;
	}
}

/* An access that names a key, of a guest's CPU or of a trusted device; at times a new guest comes.
 */
static void named(struct machine *a, struct machine *b, struct cbit_spa spa, uint64_t *s,
		  size_t len, uint8_t *x, uint8_t *y)
{
	uint64_t r = rnd(s) >> 8;
	cbit_key_t key = (cbit_key_t)(r % (2 + ASIDS));

	if (!(r >> 8 & 1023)) {
		unsigned int asid = 1 + (unsigned int)(r >> 20) % ASIDS;

		assert_int_equal(cbit_mem_guest_rekey(a->mem, asid),
				 cbit_mem_guest_rekey(b->mem, asid));
	} else if (r & 0x100000) {
		memset(x, (int)(r >> 32), len);
		assert_int_equal(cbit_mem_write_as(a->mem, spa, key, x, len),
				 cbit_mem_write_as(b->mem, spa, key, x, len));
	} else {
		assert_int_equal(cbit_mem_read_as(a->mem, spa, key, x, len),
				 cbit_mem_read_as(b->mem, spa, key, y, len));
		assert_memory_equal(x, y, len);
	}
}

/* One access of both machines. Which kind, where and how long come from the seed alone. */
static void step(struct machine *a, struct machine *b, uint64_t *s, uint8_t *x, uint8_t *y)
{
	uint64_t r = rnd(s) >> 8;
	size_t len = length(s);
	struct cbit_spa spa = CBIT_SPA(LOW + (r >> 8) % (PAGES * PAGE));
	struct cbit_bus bus;

	/* hammer the ends of pages: crossings are where mistakes live */
	if (!(r & 0x30))
		spa.v = ((spa.v + PAGE) & ~(uint64_t)(PAGE - 1)) - (r >> 8) % 32;
	if ((r & 0xc0) == 0x80 && len == PAGE)
		spa.v &= ~(uint64_t)(PAGE - 1);
	bus = cbit_mem_bus(a->mem, spa, r & 1);
	if (r & 2) {
		for (size_t i = 0; i < len; i += 8) {
			uint64_t v = rnd(s);

			memcpy(x + i, &v, 8);
		}
		assert_int_equal(cbit_mem_write(a->mem, bus, x, len),
				 cbit_mem_write(b->mem, bus, x, len));
	} else if ((r & 0x7c) == 0x24) {
		named(a, b, spa, s, len, x, y);
	} else if ((r & 0xfc) == 0xc4) {
		copy(a, b, bus, s, len, x);
	} else if ((r & 0xfc) == 0x84) {
		atomic(a, b, bus, s);
	} else if ((r & 0xfc) == 0x44) {
		const void *p = cbit_mem_page(a->mem, bus), *q = cbit_mem_page(b->mem, bus);

		assert_int_equal(p == NULL, q == NULL);
		if (p)
			assert_memory_equal(p, q, PAGE);
	} else {
		assert_int_equal(cbit_mem_read(a->mem, bus, x, len),
				 cbit_mem_read(b->mem, bus, y, len));
		if (memcmp(x, y, len) != 0)
			assert_memory_equal(x, y, len);
	}
}

static void compare(const char *preset, uint64_t seed, unsigned long count)
{
	static uint8_t x[LONGEST + 8], y[LONGEST + 8];
	struct machine *fast = make(preset, true), *slow = make(preset, false);

	cbit_mem_set_slow(slow->mem, true);
	for (unsigned long i = 0; i < count; i++) {
		step(fast, slow, &seed, x, y);
		if (i % 50000 == 0)
			compare_dram(fast, slow);
	}
	compare_dram(fast, slow);
	/* and the way back: a machine may change its mind */
	cbit_mem_set_slow(slow->mem, false);
	cbit_mem_set_slow(fast->mem, true);
	for (unsigned long i = 0; i < count / 10; i++)
		step(fast, slow, &seed, x, y);
	compare_dram(fast, slow);
	cbit_mem_destroy(fast->mem);
	cbit_mem_destroy(slow->mem);
	free(fast);
	free(slow);
}

static unsigned long wanted(const char *name, unsigned long otherwise)
{
	const char *s = getenv(name);

	return s ? strtoul(s, NULL, 0) : otherwise;
}

static void test_sme(void **state)
{
	(void)state;
	straight = 0;
	compare("sme", wanted("CBIT_SEED", 0x5eed), wanted("CBIT_OPS", 1000000));
	assert_true(straight > 20);
}

static void test_tsme(void **state)
{
	(void)state;
	compare("tsme", wanted("CBIT_SEED", 0x5eed), wanted("CBIT_OPS", 1000000) / 10);
}

static void test_bare(void **state)
{
	(void)state;
	compare("bare", wanted("CBIT_SEED", 0x5eed), wanted("CBIT_OPS", 1000000) / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sme),
		cmocka_unit_test(test_tsme),
		cmocka_unit_test(test_bare),
	};

	return cmocka_run_group_tests_name("mem_equal", tests, NULL, NULL);
}
