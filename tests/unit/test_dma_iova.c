/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOVAs: where they are given out, in what order, what is kept away from, and that no two
 * overlap, against a bitmap.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/dma_internal.h"

#define P      CBIT_PAGE_SIZE
#define MASK32 UINT64_C(0xffffffff)
#define LOW    UINT64_C(0x100000) /* pages below 4 GiB */
#define MSI    UINT64_C(0xfee00)
#define HT     UINT64_C(0xfd00000)
#define HT_END UINT64_C(0x10000000)

static void space_up(struct cbit_iova_space *s, uint64_t first, uint64_t pages)
{
	assert_int_equal(cbit_iova_init(s, CBIT_IOVA(first * P), pages * P), 0);
}

static void test_window(void **state)
{
	static const struct {
		uint64_t base, size;
		int err;
		uint64_t start, end;
	} cases[] = {
		{ 0, 0, -EINVAL, 0, 0 },
		{ 0, P, -EINVAL, 0, 0 }, /* page 0 is none */
		{ 0, 2 * P, 0, 1, 2 },
		{ 1, P, -EINVAL, 0, 0 },
		{ P - 1, 2 * P, 0, 1, 2 },
		{ 5 * P, 3 * P + 1, 0, 5, 8 },
		{ UINT64_MAX, 2, -EINVAL, 0, 0 },
		{ 0, UINT64_MAX, 0, 1, UINT64_MAX >> 12 },
		{ P, UINT64_MAX - P + 1, 0, 1, UINT64_C(1) << 52 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_iova_space s;
		int err = cbit_iova_init(&s, CBIT_IOVA(cases[i].base), cases[i].size);

		assert_int_equal(err, cases[i].err);
		if (err)
			continue;
		assert_int_equal(s.start, cases[i].start);
		assert_int_equal(s.end, cases[i].end);
		cbit_iova_fini(&s);
	}
}

/* From the top, naturally aligned; the MSI window is stepped over; 32 bits first. */
static void test_order(void **state)
{
	struct cbit_iova_space s;
	struct cbit_iova_range *r[8];

	(void)state;
	space_up(&s, 0, UINT64_C(1) << 36);
	r[0] = cbit_iova_alloc(&s, 1, UINT64_MAX);
	assert_int_equal(r[0]->pfn, LOW - 1);
	r[1] = cbit_iova_alloc(&s, 3, UINT64_MAX);
	assert_int_equal(r[1]->pfn, LOW - 8);
	assert_int_equal(r[1]->pages, 4);
	r[2] = cbit_iova_alloc(&s, 33, UINT64_MAX); /* more than 32: not rounded, but aligned */
	assert_int_equal(r[2]->pfn, LOW - 64);
	assert_int_equal(r[2]->pages, 33);
	r[3] = cbit_iova_alloc(&s, 0x2000, UINT64_MAX); /* down to 0xfe000, behind the MSI window */
	assert_int_equal(r[3]->pfn, MSI - 0xe00 - 0x2000);
	/* a smaller mask; the whole of its last page counts */
	r[4] = cbit_iova_alloc(&s, 1, 0xffffff);
	assert_int_equal(r[4]->pfn, 0xfff);
	r[5] = cbit_iova_alloc(&s, 1, 0x1ffe);
	assert_null(r[5]);
	r[5] = cbit_iova_alloc(&s, 1, 0x1fff);
	assert_int_equal(r[5]->pfn, 1);
	/* the last one freed is the next one used, also for another size of that order */
	cbit_iova_free(&s, r[1]);
	cbit_iova_free(&s, r[2]);
	assert_ptr_equal(cbit_iova_alloc(&s, 4, UINT64_MAX), r[1]);
	r[6] = cbit_iova_alloc(&s, 64, UINT64_MAX);
	assert_int_equal(r[6]->pfn, LOW - 128);
	cbit_iova_fini(&s);
}

static void test_find(void **state)
{
	struct cbit_iova_space s;
	struct cbit_iova_range *a, *b;

	(void)state;
	space_up(&s, 0, LOW);
	a = cbit_iova_alloc(&s, 4, MASK32);
	b = cbit_iova_alloc(&s, 4, MASK32);
	assert_ptr_equal(cbit_iova_find(&s, CBIT_IOVA(a->pfn * P)), a);
	assert_ptr_equal(cbit_iova_find(&s, CBIT_IOVA(a->pfn * P + 4 * P - 1)), a);
	assert_ptr_equal(cbit_iova_find(&s, CBIT_IOVA(a->pfn * P - 1)), b);
	assert_null(cbit_iova_find(&s, CBIT_IOVA(b->pfn * P - 1)));
	assert_null(cbit_iova_find(&s, CBIT_IOVA(0)));
	assert_null(cbit_iova_find(&s, CBIT_IOVA(UINT64_MAX)));
	assert_null(cbit_iova_find(&s, CBIT_IOVA(MSI * P))); /* reserved, not in use */
	assert_ptr_equal(cbit_iova_next(&s, NULL), b);
	assert_ptr_equal(cbit_iova_next(&s, b), a);
	assert_null(cbit_iova_next(&s, a));
	cbit_iova_free(&s, b);
	assert_null(cbit_iova_find(&s, CBIT_IOVA(b->pfn * P)));
	assert_ptr_equal(cbit_iova_next(&s, NULL), a);
	cbit_iova_fini(&s);
}

/* A full space: NULL; below 4 GiB full: above; and what was freed is found again. */
static void test_full(void **state)
{
	struct cbit_iova_space s;
	struct cbit_iova_range *r[64], *big;

	(void)state;
	space_up(&s, 16, 64);
	for (unsigned int i = 0; i < 64; i++) {
		r[i] = cbit_iova_alloc(&s, 1, MASK32);
		assert_int_equal(r[i]->pfn, 79 - i);
	}
	assert_null(cbit_iova_alloc(&s, 1, MASK32));
	assert_null(cbit_iova_alloc(&s, 2, MASK32));
	/* single pages are kept for single pages, until nothing else is left */
	for (unsigned int i = 0; i < 64; i += 2)
		cbit_iova_free(&s, r[i]);
	assert_null(cbit_iova_alloc(&s, 2, MASK32));
	cbit_iova_free(&s, r[1]);
	big = cbit_iova_alloc(&s, 2, MASK32);
	assert_non_null(big);
	assert_int_equal(big->pfn, 78);
	assert_non_null(cbit_iova_alloc(&s, 1, MASK32));
	cbit_iova_fini(&s);

	space_up(&s, LOW - 4, UINT64_C(1) << 30);
	big = cbit_iova_alloc(&s, 4, UINT64_MAX);
	assert_int_equal(big->pfn, LOW - 4);
	assert_null(cbit_iova_alloc(&s, 1, MASK32));
	r[0] = cbit_iova_alloc(&s, 1, UINT64_MAX);
	assert_int_equal(r[0]->pfn, LOW - 4 + (UINT64_C(1) << 30) - 1);
	cbit_iova_fini(&s);

	/* the HyperTransport hole */
	space_up(&s, HT - 4, HT_END - HT + 8);
	r[0] = cbit_iova_alloc(&s, 4, UINT64_MAX);
	assert_int_equal(r[0]->pfn, HT_END);
	r[0] = cbit_iova_alloc(&s, 4, UINT64_MAX);
	assert_int_equal(r[0]->pfn, HT - 4);
	assert_null(cbit_iova_alloc(&s, 1, UINT64_MAX));
	cbit_iova_fini(&s);
}

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Random sizes and masks over a small space around 4 GiB: no overlap, no refusal without cause. */
static void test_model(void **state)
{
	enum { PAGES = 2048, LIVE = 400 };
	const char *env = getenv("CBIT_SEED");
	const uint64_t seed = env ? strtoull(env, NULL, 0) : 0x9e3779b97f4a7c15, first = LOW - 1000;
	uint64_t x = seed ? seed : 1, refused = 0;
	struct cbit_iova_range *live[LIVE] = { 0 };
	uint8_t used[PAGES] = { 0 };
	struct cbit_iova_space s;

	(void)state;
	print_message("seed %#llx (CBIT_SEED)\n", (unsigned long long)seed);
	space_up(&s, first, PAGES);
	for (unsigned int i = 0; i < 200000; i++) {
		unsigned int n = (unsigned int)(next(&x) % LIVE);
		uint64_t pages = UINT64_C(1) << (next(&x) % 7), mask, align = 1;
		struct cbit_iova_range *r = live[n];

		if (r) {
			memset(used + (r->pfn - first), 0, r->pages);
			cbit_iova_free(&s, r);
			live[n] = NULL;
			continue;
		}
		pages -= next(&x) % ((pages + 1) / 2);
		mask = next(&x) % 2 ? MASK32 : UINT64_MAX;
		r = cbit_iova_alloc(&s, pages, mask);
		while (align < pages)
			align *= 2;
		if (!r) {
			const uint64_t end = mask == MASK32 ? LOW : first + PAGES;

			refused++;
			for (uint64_t at = (first + align - 1) & -align; at + align <= end;
			     at += align)
				if (!memchr(used + (at - first), 1, align))
					fail_msg("seed %#lx step %u: %lu pages at %lx were free",
						 (unsigned long)seed, i, (unsigned long)pages,
						 (unsigned long)at);
			continue;
		}
		if (r->pages < pages || r->pfn < first || r->pfn + r->pages > first + PAGES ||
		    (r->pfn & (align - 1)) || ((r->pfn + r->pages) * P - 1 > mask) ||
		    memchr(used + (r->pfn - first), 1, r->pages))
			fail_msg("seed %#lx step %u: %lu pages at %lx", (unsigned long)seed, i,
				 (unsigned long)r->pages, (unsigned long)r->pfn);
		memset(used + (r->pfn - first), 1, r->pages);
		live[n] = r;
	}
	assert_true(refused > 100); /* the space was full at times */
	cbit_iova_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window), cmocka_unit_test(test_order),
		cmocka_unit_test(test_find),   cmocka_unit_test(test_full),
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
