/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sparse storage and the frames in it: what they cost, who gets which, and many threads.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <cbit/mem.h>

#include "mem/view.h"

#define DRAM    0x100000000u
#define MIB     ((uint64_t)1 << 20)
#define TIB     ((uint64_t)1 << 40)
#define THREADS 4

#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif

static struct cbit_mem *make(uint64_t base, uint64_t size)
{
	struct cbit_mem_region_desc d = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = { base }, .size = size
	};
	struct cbit_platform p;
	struct cbit_mem *mem;

	assert_int_equal(cbit_platform_preset("sme", &p), 0);
	assert_int_equal(cbit_mem_create(&p, &mem), 0);
	assert_int_equal(cbit_mem_add_region(mem, &d, NULL), 0);
	return mem;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	return !p[0] && memcmp(p, p + 1, len - 1) == 0;
}

static uint64_t rss(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void test_tebibyte_is_cheap(void **state)
{
	struct cbit_mem *mem;
	uint64_t before = rss();
	uint8_t byte;

	(void)state;
	mem = make(DRAM, TIB);
	/* one byte in every 16 GiB, and a look at many more */
	for (uint64_t at = 0; at < TIB; at += TIB / 64)
		assert_int_equal(cbit_mem_write(mem, (struct cbit_bus){ DRAM + at }, "x", 1), 0);
	for (uint64_t at = 1; at < TIB; at += TIB / 4096)
		assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ DRAM + at }, &byte, 1), 0);
	assert_true(rss() - before < 16 * MIB);
	cbit_mem_destroy(mem);
	/* all that 48 bits can address */
	mem = make(0, 256 * TIB);
	assert_int_equal(cbit_mem_write(mem, (struct cbit_bus){ 256 * TIB - 1 }, "x", 1), 0);
	cbit_mem_destroy(mem);
	assert_true(rss() - before < 16 * MIB);
}

/* Machines of 1 and 16 TiB: both ends, the middle and frames, each under keys of its own. */
static void test_large_machines(void **state)
{
	static const uint64_t sizes[] = { TIB, 16 * TIB };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct cbit_mem *mem = make(0, sizes[i]);
		const uint64_t at[] = { 0x1000, sizes[i] / 2 - 4096, sizes[i] / 2,
					sizes[i] - 4096 };
		uint64_t before = rss();
		uint8_t page[4096], got[4096];
		struct cbit_spa spa[64];

		for (unsigned int n = 0; n < 8; n++) {
			struct cbit_bus bus = cbit_mem_bus(mem, CBIT_SPA(at[n / 2]), n & 1);

			memset(page, (int)n + 1, sizeof(page));
			assert_int_equal(cbit_mem_write(mem, bus, page, sizeof(page)), CBIT_MEM_OK);
			assert_int_equal(cbit_mem_read(mem, bus, got, sizeof(got)), CBIT_MEM_OK);
			assert_memory_equal(got, page, sizeof(page));
			assert_memory_equal(cbit_mem_page(mem, bus), page, sizeof(page));
		}
		for (unsigned int n = 0; n < 64; n++) {
			assert_int_equal(
				cbit_mem_frames_alloc(mem, 1u << n % 10, CBIT_KEY_HOST, &spa[n]),
				0);
			assert_true(spa[n].v < sizes[i]);
		}
		for (unsigned int n = 0; n < 64; n++)
			cbit_mem_frames_free(mem, spa[n], 1u << n % 10);
		/* 6.5 * 1023 frames, which large pages may round up, and some state */
		assert_true(rss() - before < 64 * MIB);
		cbit_mem_destroy(mem);
		assert_true(rss() < before + 8 * MIB);
	}
}

static void test_frames_are_zero_under_their_key(void **state)
{
	struct cbit_mem *mem = make(0, 4 * MIB);
	struct cbit_spa spa, again;
	uint8_t page[4096];

	(void)state;
	for (int round = 0; round < 2; round++) {
		for (cbit_key_t key = CBIT_KEY_NONE; key <= CBIT_KEY_HOST; key++) {
			struct cbit_bus bus;

			assert_int_equal(cbit_mem_frames_alloc(mem, 1, key, &spa), 0);
			assert_int_not_equal(spa.v, 0);
			bus = cbit_mem_bus(mem, spa, key == CBIT_KEY_HOST);
			assert_int_equal(cbit_mem_read(mem, bus, page, 4096), CBIT_MEM_OK);
			assert_true(all_zero(page, 4096));
			assert_true(all_zero(cbit_mem_page(mem, bus), 4096));
			assert_int_equal(cbit_mem_raw(mem, spa, page, 4096), 0);
			assert_int_equal(all_zero(page, 4096), key == CBIT_KEY_NONE);
			/* dirty it, so that the next owner would see */
			memset(page, 0xee, 4096);
			assert_int_equal(cbit_mem_write(mem, bus, page, 4096), CBIT_MEM_OK);
			cbit_mem_frames_free(mem, spa, 1);
		}
	}
	assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_NONE, &again), 0);
	assert_int_equal(again.v, spa.v);
	assert_int_equal(cbit_mem_frames_alloc(mem, 0, CBIT_KEY_NONE, &again), -EINVAL);
	cbit_mem_destroy(mem);
}

static void test_frames_all_of_them(void **state)
{
	struct cbit_mem *mem = make(DRAM + 0x3000, (uint64_t)253 * 4096);
	struct cbit_spa spa[256], big;
	bool seen[256] = { false };

	(void)state;
	for (unsigned int i = 0; i < 253; i++) {
		uint64_t n;

		assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &spa[i]), 0);
		n = (spa[i].v - DRAM) >> 12;
		assert_true(n >= 3 && n < 256 && !seen[n] && !(spa[i].v & 4095));
		seen[n] = true;
	}
	assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &big), -ENOMEM);
	for (unsigned int i = 0; i < 253; i++)
		cbit_mem_frames_free(mem, spa[(i * 100) % 253], 1);
	/* what went out in single frames comes back as one block */
	assert_int_equal(cbit_mem_frames_alloc(mem, 100, CBIT_KEY_HOST, &big), 0);
	assert_int_equal(big.v & (128 * 4096 - 1), 0);
	assert_int_equal(cbit_mem_frames_alloc(mem, 65, CBIT_KEY_HOST, &spa[0]), -ENOMEM);
	assert_int_equal(cbit_mem_frames_alloc(mem, 64, CBIT_KEY_HOST, &spa[0]), 0);
	assert_int_equal(spa[0].v & (64 * 4096 - 1), 0);
	cbit_mem_frames_free(mem, spa[0], 64);
	cbit_mem_frames_free(mem, big, 100);
	/* strangers are not taken in */
	cbit_mem_frames_free(mem, CBIT_SPA(0), 1);
	cbit_mem_frames_free(mem, CBIT_SPA(DRAM + 0x3000 + (uint64_t)252 * 4096), 2);
	assert_int_equal(cbit_mem_frames_alloc(mem, 300, CBIT_KEY_HOST, &big), -ENOMEM);
	assert_int_equal(cbit_mem_frames_alloc(mem, UINT32_MAX, CBIT_KEY_HOST, &big), -ENOMEM);
	cbit_mem_destroy(mem);
}

static uint64_t one_key(struct cbit_mem *mem)
{
	const struct mem_view *v = mem_view(mem);

	return mem_view_one_key(v, v->c_mask);
}

/*
 * How far the pages under the key of tables reach without a gap is kept for walks. It has to be
 * true of the region that frames come from, which another may become, and to be of use in one
 * that begins at SPA 0, which is no frame.
 */
static void test_frames_under_one_key(void **state)
{
	struct cbit_mem_region_desc low = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = { 0x1000000 }, .size = MIB
	};
	static const uint8_t page[4096] = { 1 };
	struct cbit_mem *mem = make(DRAM, MIB);
	struct cbit_spa spa;

	(void)state;
	for (uint64_t at = DRAM; at < DRAM + 9 * 4096; at += 4096)
		assert_int_equal(cbit_mem_write(mem, cbit_mem_bus(mem, CBIT_SPA(at), true), page,
						sizeof(page)),
				 CBIT_MEM_OK);
	assert_int_equal(one_key(mem), 9);
	/* touched without the key before it was the first region: nothing changes at the page then
	 */
	assert_int_equal(cbit_mem_add_region(mem, &low, NULL), 0);
	assert_int_equal(one_key(mem), 0);
	assert_int_equal(
		cbit_mem_write(mem, (struct cbit_bus){ low.base.v + 4096 }, page, sizeof(page)),
		CBIT_MEM_OK);
	assert_int_equal(cbit_mem_write(mem, cbit_mem_bus(mem, low.base, true), page, sizeof(page)),
			 CBIT_MEM_OK);
	assert_int_equal(one_key(mem), 1);
	/* a third one above them changes nothing */
	low.base.v = DRAM + 8 * MIB;
	assert_int_equal(cbit_mem_add_region(mem, &low, NULL), 0);
	assert_int_equal(one_key(mem), 1);
	cbit_mem_destroy(mem);

	mem = make(0, MIB);
	for (unsigned int i = 1; i < 256; i++) {
		assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &spa), 0);
		assert_int_equal(spa.v, i * 4096);
		assert_int_equal(one_key(mem), i);
		assert_ptr_equal(mem_view_page(mem_view(mem), mem, cbit_mem_bus(mem, spa, true).v),
				 cbit_mem_page(mem, cbit_mem_bus(mem, spa, true)));
	}
	assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &spa), -ENOMEM);
	/* a page in the middle goes to another key, and comes back; page 0 is nobody's concern */
	assert_int_equal(cbit_mem_write(mem, (struct cbit_bus){ 100 * 4096 }, page, 1),
			 CBIT_MEM_OK);
	assert_int_equal(one_key(mem), 99);
	assert_int_equal(cbit_mem_write(mem, (struct cbit_bus){ 0 }, page, 1), CBIT_MEM_OK);
	assert_int_equal(one_key(mem), 99);
	assert_int_equal(
		cbit_mem_write(mem, cbit_mem_bus(mem, CBIT_SPA(100 * 4096), true), page, 1),
		CBIT_MEM_OK);
	assert_int_equal(one_key(mem), 255);
	cbit_mem_destroy(mem);
}

static void test_frames_need_sparse_dram(void **state)
{
	struct cbit_platform p;
	struct cbit_mem *mem;
	struct cbit_spa spa;

	(void)state;
	assert_int_equal(cbit_platform_preset("sme", &p), 0);
	assert_int_equal(cbit_mem_create(&p, &mem), 0);
	assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_HOST, &spa), -ENOMEM);
	cbit_mem_frames_free(mem, CBIT_SPA(4096), 1);
	cbit_mem_destroy(mem);
}

struct worker {
	struct cbit_mem *mem;
	unsigned int n;
	unsigned int bad;
};

/*
 * Every worker owns every fourth 16-byte block of shared pages and goes through its own key,
 * so pages change keys under the others' feet, and no byte of theirs may be lost. Reading
 * whole pages makes it likely that a change catches a reader half way.
 */
static void *work_shared(void *arg)
{
	struct worker *w = arg;
	uint8_t page[4096];
	uint64_t v;

	for (uint64_t i = 0; i < 20000; i++) {
		uint64_t at = DRAM + (i % 8) * 4096 + (i / 8 % 60) * 64 + (uint64_t)w->n * 16;
		bool c = i % 7 == w->n;
		struct cbit_bus bus = cbit_mem_bus(w->mem, CBIT_SPA(at), c);
		struct cbit_bus all = cbit_mem_bus(w->mem, CBIT_SPA(at & CBIT_PAGE_MASK), c);

		v = i << 8 | w->n;
		if (cbit_mem_write(w->mem, bus, &v, sizeof(v)) ||
		    cbit_mem_read(w->mem, all, page, sizeof(page)) ||
		    memcmp(page + (at & 4095), &v, sizeof(v)) != 0)
			w->bad++;
	}
	return NULL;
}

/* The normal case: frames of one's own, in bulk, under one key. */
static void *work_frames(void *arg)
{
	struct worker *w = arg;
	struct cbit_spa spa[16];
	uint64_t got[2];

	for (unsigned int round = 0; round < 100; round++) {
		for (unsigned int i = 0; i < 16; i++) {
			uint64_t *view;

			if (cbit_mem_frames_alloc(w->mem, 1 + i % 3, CBIT_KEY_HOST, &spa[i])) {
				w->bad++;
				return NULL;
			}
			view = cbit_mem_page(w->mem, cbit_mem_bus(w->mem, spa[i], true));
			if (!view || view[511])
				w->bad++;
			else
				view[511] = w->n + 1;
		}
		for (unsigned int i = 0; i < 16; i++) {
			struct cbit_bus bus = cbit_mem_bus(w->mem, CBIT_SPA(spa[i].v + 4080), true);

			if (cbit_mem_read(w->mem, bus, got, 16) || got[1] != w->n + 1)
				w->bad++;
			cbit_mem_frames_free(w->mem, spa[i], 1 + i % 3);
		}
	}
	return NULL;
}

/* A doorbell: one thread counts a word up by writes, another sees it whole and rising. */
static void *work_doorbell(void *arg)
{
	struct worker *w = arg;
	struct cbit_bus bus = { DRAM + MIB };
	uint64_t last = 0, v;

	for (uint64_t i = 1; i <= 20000; i++) {
		v = i << 32 | i;
		if (w->n == 0)
			cbit_mem_write(w->mem, bus, &v, 8);
		else if (cbit_mem_read(w->mem, bus, &v, 8) || v >> 32 != (uint32_t)v || v < last)
			w->bad++;
		last = v;
	}
	return NULL;
}

static void run(void *(*work)(void *))
{
	struct cbit_mem *mem = make(DRAM, 64 * MIB);
	struct worker w[THREADS];
	pthread_t t[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .mem = mem, .n = i };
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].bad, 0);
	}
	cbit_mem_destroy(mem);
}

/* Writers take the page's lock, but a reader may watch a page change its key: not for TSan. */
static void test_threads_change_keys(void **state)
{
	(void)state;
#ifdef HAVE_TSAN
	skip();
#endif
	run(work_shared);
}

static void test_threads_frames(void **state)
{
	(void)state;
	run(work_frames);
}

static void test_threads_doorbell(void **state)
{
	(void)state;
	run(work_doorbell);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tebibyte_is_cheap),
		cmocka_unit_test(test_large_machines),
		cmocka_unit_test(test_frames_are_zero_under_their_key),
		cmocka_unit_test(test_frames_all_of_them),
		cmocka_unit_test(test_frames_need_sparse_dram),
		cmocka_unit_test(test_frames_under_one_key),
		cmocka_unit_test(test_threads_change_keys),
		cmocka_unit_test(test_threads_frames),
		cmocka_unit_test(test_threads_doorbell),
	};

	return cmocka_run_group_tests_name("mem_frames", tests, NULL, NULL);
}
