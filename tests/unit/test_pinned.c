/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pinned addresses as counted intervals, against a count for each page; and what is kept of memory
 * that is given up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/pinned.h"

#define P     CBIT_PAGE_SIZE
#define PAGES 64u
#define PINS  200u

static struct cbit_owner owners[2];

static uint64_t seed = 88172645463325252u;
static unsigned int rnd(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)(seed % n);
}

/* Every page of both owners: covered by one interval with its count, or by none. */
static void check(struct pinned_set *set, uint64_t base, unsigned int count[2][PAGES],
		  bool gone[2][PAGES])
{
	unsigned int nr_gone = 0;

	for (unsigned int o = 0; o < 2; o++) {
		struct pinned *p = pinned_find(set, &owners[o], base, base + PAGES * P - 1);

		for (unsigned int i = 0; i < PAGES; i++) {
			struct pinned *at =
				pinned_find(set, &owners[o], base + i * P, base + (i + 1) * P - 1);

			assert_int_equal(at ? at->count : 0, count[o][i]);
			assert_int_equal(at && at->gone, gone[o][i]);
			if (at)
				assert_true(at->first <= base + i * P &&
					    at->last >= base + (i + 1) * P - 1);
		}
		for (; p; p = pinned_next(p, base + PAGES * P - 1)) {
			nr_gone += p->gone;
			assert_ptr_equal(p->owner, &owners[o]);
		}
	}
	assert_int_equal(set->gone, nr_gone);
}

static void test_model(void **state)
{
	const uint64_t base = 0x100000;
	unsigned int count[2][PAGES] = { 0 }, nr = 0;
	bool gone[2][PAGES] = { 0 };
	struct pinned_set set = { 0 };
	struct {
		unsigned int owner, first, pages;
	} pins[PINS];

	(void)state;
	for (unsigned int step = 0; step < 20000; step++) {
		unsigned int o = rnd(2), first = rnd(PAGES), n = 1 + rnd(PAGES - first);
		uint64_t at = base + first * P, last = at + n * P - 1;
		bool clear = true;

		for (unsigned int i = 0; i < n; i++)
			clear = clear && !gone[o][first + i];
		if (clear && nr < PINS && rnd(2)) {
			assert_int_equal(pinned_add(&set, &owners[o], at, last), 0);
			for (unsigned int i = 0; i < n; i++)
				count[o][first + i]++;
			pins[nr].owner = o;
			pins[nr].first = first;
			pins[nr++].pages = n;
		} else if (nr) {
			unsigned int k = rnd(nr);

			o = pins[k].owner;
			at = base + pins[k].first * P;
			pinned_drop(&set, &owners[o], at, at + pins[k].pages * P - 1);
			for (unsigned int i = pins[k].first; i < pins[k].first + pins[k].pages; i++)
				gone[o][i] = --count[o][i] && gone[o][i];
			pins[k] = pins[--nr];
		}
		if (!rnd(40)) {
			/* Nothing is there to be read: it is kept all the same. */
			pinned_give_up(&set, &owners[o], getpid(), base + first * P,
				       base + (first + n) * P - 1);
			for (unsigned int i = 0; i < n; i++)
				gone[o][first + i] |= count[o][first + i] != 0;
		}
		if (step % 16 == 0)
			check(&set, base, count, gone);
	}
	while (nr--) {
		uint64_t at = base + pins[nr].first * P;

		pinned_drop(&set, &owners[pins[nr].owner], at, at + pins[nr].pages * P - 1);
	}
	assert_true(RB_EMPTY(&set.tree));
	assert_int_equal(set.gone, 0);
}

/* What is kept is as it was, also around a page that cannot be read; and in pieces. */
static void test_kept(void **state)
{
	uint8_t *mem =
		mmap(NULL, 8 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)mem;
	struct pinned_set set = { 0 };
	struct pinned *p;

	(void)state;
	assert_ptr_not_equal(mem, MAP_FAILED);
	for (unsigned int i = 0; i < 8 * P; i++)
		mem[i] = (uint8_t)(1 + i % 251);
	assert_int_equal(mprotect(mem + 3 * P, P, PROT_NONE), 0);
	assert_int_equal(pinned_add(&set, &owners[0], at, at + 8 * P - 1), 0);
	assert_null(pinned_find_gone(&set, &owners[0], at, at + 8 * P - 1));
	pinned_give_up(&set, &owners[0], getpid(), at + P, at + 6 * P - 1);
	memset(mem + 4 * P, 0, 2 * P);
	p = pinned_find_gone(&set, &owners[0], at, at + 8 * P - 1);
	assert_non_null(p);
	assert_int_equal(p->first, at + P);
	assert_int_equal(p->last, at + 6 * P - 1);
	for (unsigned int i = 0; i < 5 * P; i++) {
		bool unreadable = i >= 2 * P && i < 3 * P;

		assert_int_equal(p->kept[i], unreadable ? 0 : (uint8_t)(1 + (P + i) % 251));
	}
	assert_null(pinned_find_gone(&set, &owners[1], at, at + 8 * P - 1));
	assert_null(pinned_find_gone(&set, &owners[0], at + 6 * P, at + 8 * P - 1));
	/* half of it is dropped: the rest stays as it is */
	pinned_drop(&set, &owners[0], at, at + 4 * P - 1);
	p = pinned_find_gone(&set, &owners[0], at, at + 8 * P - 1);
	assert_non_null(p);
	assert_int_equal(p->first, at + 4 * P);
	assert_int_equal(p->kept[5], (uint8_t)(1 + (4 * P + 5) % 251));
	pinned_clear(&set);
	assert_true(RB_EMPTY(&set.tree));
	munmap(mem, 8 * P);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
