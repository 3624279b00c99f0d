/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of DMA writes: equal to the set of pages that were written, whatever the page size, the
 * ranges and the number of threads; and nothing of what a reader can see in memory is missed.
 */
#include "dev_rig.h"
#include "dev/pci_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

/* The test memory again and again: a large space with little behind it. */
#define COPIES  64u
#define SPACE   (COPIES * RAM_SIZE)
#define PAGES   (SPACE >> 12)
#define LARGE   (SPACE >> 21)
#define THREADS 4u
#define WRITES  3000u
#define KIB(n)  ((uint64_t)(n) << 10)
#define MIB(n)  ((uint64_t)(n) << 20)

/*
 * Where writes of several threads meet in memory on purpose, or readers look at bytes that are
 * being written, TSan sees races of the devices' and none of ours. It has test_pci_log_race.
 */
#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif

static void not_for_tsan(void)
{
#ifdef HAVE_TSAN
	skip();
#endif
}

static int setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	rig_up(rig, "sme", "ioat,migration=on", NULL);
	for (unsigned int i = 1; i < COPIES; i++)
		assert_int_equal(cbit_domain_map(rig->domain, CBIT_IOVA(RAM_IOVA + i * RAM_SIZE),
						 rig->ram, RAM_SIZE, rig_ram_attrs(rig)),
				 0);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	rig_down(*state);
	free(*state);
	return 0;
}

/* Let the others write something. */
static void rest(void)
{
	const struct timespec t = { .tv_nsec = 200000 };

	nanosleep(&t, NULL);
}

static uint64_t start(struct rig *rig, uint64_t page_size, const struct cbit_pci_log_range *ranges,
		      unsigned int nr)
{
	assert_int_equal(cbit_pci_log_start(rig->pci[0], ranges, nr, &page_size), 0);
	return page_size;
}

/* What a log tells, a bit for each 4 KiB; pages told twice are an error. */
struct told {
	uint8_t *page;
	uint64_t bytes;
	unsigned int runs;
	uint64_t next;
};

static void found(void *opaque, struct cbit_iova iova, uint64_t len)
{
	struct told *t = opaque;
	uint64_t at = iova.v - RAM_IOVA;

	assert_true(iova.v >= RAM_IOVA && len && len <= SPACE && at <= SPACE - len);
	assert_true(iova.v >= t->next);
	t->next = iova.v + len;
	t->bytes += len;
	t->runs++;
	for (uint64_t p = at >> 12; p <= (at + len - 1) >> 12; p++)
		t->page[p]++;
}

static int read_log(struct rig *rig, struct told *t, uint64_t first, uint64_t len)
{
	t->next = 0;
	return cbit_pci_log_read(rig->pci[0], RAM_IOVA + first, RAM_IOVA + first + len - 1, found,
				 t);
}

struct writer {
	struct rig *rig;
	uint64_t seed;
	uint8_t *written; /* of all threads, 4 KiB pages */
	pthread_t thread;
};

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Writes, copies and vectors of them, of a byte to several large pages. */
static void *write_at_random(void *opaque)
{
	struct writer *w = opaque;
	uint8_t *buf = calloc(1, MIB(5));

	for (unsigned int i = 0; i < WRITES; i++) {
		uint64_t r = next(&w->seed);
		uint64_t len = r % 100 ? r / 100 % KIB(20) + 1 : r / 100 % MIB(5) + 1;
		uint64_t at = next(&w->seed) % (SPACE - len + 1);
		struct cbit_dma_seg segs[2] = {
			{ .iova = CBIT_IOVA(RAM_IOVA + at), .len = (len + 1) / 2 },
			{ .iova = CBIT_IOVA(RAM_IOVA + at + (len + 1) / 2), .len = len / 2 }
		};
		enum pci_dma rd = PCI_DMA_OK, wr = PCI_DMA_OK;

		switch (r >> 60 & 3) {
		case 0:
			pci_dma_copy(w->rig->pci[0], RAM_IOVA + at, RAM_IOVA, len, buf, KIB(64),
				     &rd, &wr, NULL);
			break;
		case 1:
			wr = pci_dma_vec(w->rig->pci[0], segs, len > 1 ? 2 : 1, buf, true);
			break;
		default:
			wr = pci_dma_write(w->rig->pci[0], RAM_IOVA + at, buf, len, NULL);
			break;
		}
		if (rd != PCI_DMA_OK || wr != PCI_DMA_OK)
			abort();
		for (uint64_t p = at >> 12; p <= (at + len - 1) >> 12; p++)
			__atomic_store_n(&w->written[p], 1, __ATOMIC_RELAXED);
		/* reads leave no trace */
		if (pci_dma_read(w->rig->pci[0], RAM_IOVA + next(&w->seed) % SPACE, buf, 1, NULL))
			abort();
	}
	free(buf);
	return NULL;
}

static void run_writers(struct rig *rig, uint8_t *written)
{
	struct writer w[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		w[i] = (struct writer){ .rig = rig, .seed = 77 + i, .written = written };
		assert_int_equal(pthread_create(&w[i].thread, NULL, write_at_random, &w[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
}

/* The true set at a page size: a 4 KiB page counts when anything of its large page was written. */
static bool truth(const uint8_t *written, uint64_t page, unsigned int shift)
{
	uint64_t per = UINT64_C(1) << (shift - 12), first = page & ~(per - 1);

	for (uint64_t p = first; p < first + per; p++) {
		if (written[p])
			return true;
	}
	return false;
}

static void test_true_set(void **state)
{
	static const unsigned int shifts[] = { 12, 21, 14 };
	const struct cbit_pci_log_range all = { RAM_IOVA, RAM_IOVA + SPACE - 1 };
	struct rig *rig = *state;

	not_for_tsan();
	for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		uint8_t *written = calloc(1, PAGES);
		struct told t = { .page = calloc(1, PAGES) };
		unsigned int clean = 0;

		assert_int_equal(start(rig, UINT64_C(1) << shifts[i], &all, 1),
				 UINT64_C(1) << shifts[i]);
		run_writers(rig, written);
		/* in pieces that end anywhere in a large page, or all at once */
		for (uint64_t at = 0, n; at < SPACE; at += n) {
			n = i == 1 ? SPACE : KIB(4) * (1 + at / 977 % 700) << (shifts[i] - 12);
			n = n < SPACE - at ? n : SPACE - at;
			assert_int_equal(read_log(rig, &t, at, n), 0);
		}
		for (uint64_t p = 0; p < PAGES; p++) {
			if (t.page[p] != truth(written, p, shifts[i]))
				fail_msg("page %llu at shift %u: told %u", (unsigned long long)p,
					 shifts[i], t.page[p]);
			clean += !t.page[p];
		}
		if (shifts[i] == 12)
			assert_true(clean > PAGES / 10 && clean < PAGES);
		/* and all of it is forgotten */
		t.bytes = 0;
		assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
		assert_int_equal(t.bytes, 0);
		cbit_pci_log_stop(rig->pci[0]);
		free(t.page);
		free(written);
	}
}

static void put(struct rig *rig, uint64_t at, uint64_t len)
{
	uint8_t *buf = calloc(1, len);

	assert_int_equal(pci_dma_write(rig->pci[0], RAM_IOVA + at, buf, len, NULL), PCI_DMA_OK);
	free(buf);
}

/* Only what lies in a range counts, however the ranges lie to the pages of the log. */
static void test_ranges(void **state)
{
	const struct cbit_pci_log_range ranges[] = {
		{ RAM_IOVA + KIB(400), RAM_IOVA + KIB(408) - 1 },
		{ RAM_IOVA + KIB(100), RAM_IOVA + KIB(108) - 1 },
		{ RAM_IOVA + KIB(108), RAM_IOVA + KIB(112) - 1 },
		{ RAM_IOVA + KIB(200), RAM_IOVA + KIB(200) - 1 }, /* empty */
	};
	struct rig *rig = *state;
	struct told t = { .page = calloc(1, PAGES) };

	for (unsigned int shift = 12; shift <= 21; shift += 9) {
		t.bytes = 0;
		start(rig, UINT64_C(1) << shift, ranges, 4);
		put(rig, KIB(92), KIB(8));
		put(rig, KIB(112), KIB(100));
		put(rig, KIB(408), 1);
		assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
		assert_int_equal(t.bytes, 0);
		put(rig, KIB(99), KIB(2)); /* begins before a range */
		assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
		assert_int_equal(t.bytes, shift == 12 ? KIB(4) : KIB(8));
		t.bytes = 0;
		put(rig, 0, MIB(1)); /* over all of them */
		t.runs = 0;
		assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
		assert_int_equal(t.bytes, KIB(20));
		assert_int_equal(t.runs, 3);
		cbit_pci_log_stop(rig->pci[0]);
	}
	free(t.page);
}

/* A page that is asked for in part is told in part, and stays. */
static void test_parts(void **state)
{
	const struct cbit_pci_log_range all = { RAM_IOVA, RAM_IOVA + SPACE - 1 };
	struct rig *rig = *state;
	struct told t = { .page = calloc(1, PAGES) };

	start(rig, MIB(2), &all, 1);
	put(rig, MIB(5), 1);
	for (unsigned int i = 0; i < 2; i++) {
		t.bytes = 0;
		assert_int_equal(read_log(rig, &t, MIB(4) + KIB(8), KIB(12)), 0);
		assert_int_equal(t.bytes, KIB(12));
	}
	t.bytes = 0;
	assert_int_equal(read_log(rig, &t, MIB(3), MIB(4)), 0);
	assert_int_equal(t.bytes, MIB(2));
	assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
	assert_int_equal(t.bytes, MIB(2));
	/* what was refused leaves no trace, what came before it does */
	t.bytes = 0;
	{
		uint8_t *buf = calloc(1, MIB(4));

		assert_int_equal(
			pci_dma_write(rig->pci[0], RAM_IOVA + SPACE - MIB(1), buf, MIB(3), NULL),
			PCI_DMA_FAULT);
		assert_int_equal(pci_dma_write(rig->pci[0], RAM_IOVA - KIB(4), buf, MIB(3), NULL),
				 PCI_DMA_FAULT);
		free(buf);
	}
	assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
	assert_int_equal(t.bytes, MIB(2));
	cbit_pci_log_stop(rig->pci[0]);
	free(t.page);
}

/* One write over the border between two pages of bits, of which nothing else touches the second. */
static void test_border(void **state)
{
	const struct cbit_pci_log_range all = { RAM_IOVA, RAM_IOVA + SPACE - 1 };
	struct rig *rig = *state;
	struct told t = { .page = calloc(1, PAGES) };

	start(rig, KIB(4), &all, 1);
	for (uint64_t border = MIB(128); border < SPACE; border += MIB(128)) {
		put(rig, border - KIB(4), KIB(8));
		t.bytes = 0;
		assert_int_equal(read_log(rig, &t, border, KIB(4)), 0);
		assert_int_equal(t.bytes, KIB(4));
		assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
		assert_int_equal(t.bytes, KIB(8));
	}
	cbit_pci_log_stop(rig->pci[0]);
	free(t.page);
}

static void test_page_sizes(void **state)
{
	static const struct {
		uint64_t first, last, wish, got;
	} cases[] = {
		{ 0, MIB(1) - 1, 0, 4096 },
		{ 0, MIB(1) - 1, 1, 4096 },
		{ 0, MIB(1) - 1, 4096, 4096 },
		{ 0, MIB(1) - 1, 12288, 8192 },
		{ 0, MIB(1) - 1, MIB(1024), MIB(1024) },
		{ 0, MIB(1) - 1, UINT64_C(1) << 40, MIB(1024) },
		{ 0, (UINT64_C(1) << 47) - 1, 4096, 4096 },
		{ 0, (UINT64_C(1) << 52) - 1, 4096, UINT64_C(1) << 17 },
		{ 0, UINT64_MAX, 4096, UINT64_C(1) << 29 },
	};
	struct rig *rig = *state;
	struct told t = { .page = calloc(1, PAGES) };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cbit_pci_log_range r = { cases[i].first, cases[i].last };
		uint64_t size = start(rig, cases[i].wish, &r, 1);

		if (size != cases[i].got)
			fail_msg("case %zu: %llx", i, (unsigned long long)size);
		size = 4096;
		assert_int_equal(cbit_pci_log_start(rig->pci[0], &r, 1, &size), -EINVAL);
		if (cases[i].last > RAM_IOVA) {
			t.bytes = 0;
			put(rig, MIB(3), 1);
			assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
			assert_int_equal(t.bytes, cases[i].got > SPACE ? SPACE : cases[i].got);
		}
		cbit_pci_log_stop(rig->pci[0]);
	}
	assert_int_equal(read_log(rig, &t, 0, SPACE), -EINVAL);
	free(t.page);
}

/* --- as in a migration: whoever copies the pages that are told ends with the same memory --- */

struct mover {
	struct rig *rig;
	uint8_t *copy; /* of RAM */
	uint64_t pages;
};

static void copy_pages(void *opaque, struct cbit_iova iova, uint64_t len)
{
	struct mover *m = opaque;
	uint64_t at = iova.v - RAM_IOVA;

	ram_read(m->rig, at, m->copy + at, len);
	m->pages += len >> 12;
}

struct scribbler {
	struct rig *rig;
	uint64_t seed;
	bool *stop;
	pthread_t thread;
};

static void *scribble(void *opaque)
{
	struct scribbler *s = opaque;
	uint64_t words[64];

	while (!__atomic_load_n(s->stop, __ATOMIC_RELAXED)) {
		uint64_t r = next(&s->seed), len = 8 * (1 + r % 64);

		for (unsigned int i = 0; i < 64; i++)
			words[i] = r + i;
		/* a few pages often, the others seldom */
		r = r >> 32 & 3 ? r >> 34 & 0xfff8 : r >> 34 & (RAM_SIZE - 1) & ~UINT64_C(7);
		if (r + len > RAM_SIZE)
			r = RAM_SIZE - len;
		if (pci_dma_write(s->rig->pci[0], RAM_IOVA + r, words, len, NULL))
			abort();
	}
	return NULL;
}

static void test_nothing_missed(void **state)
{
	static const unsigned int shifts[] = { 12, 21 };
	struct rig *rig = *state;
	uint8_t *now = malloc(RAM_SIZE);

	not_for_tsan();
	for (unsigned int round = 0; round < 6; round++) {
		const struct cbit_pci_log_range all = { RAM_IOVA, RAM_IOVA + RAM_SIZE - 1 };
		struct mover m = { .rig = rig, .copy = malloc(RAM_SIZE) };
		struct scribbler s[3];
		bool stop = false;

		for (unsigned int i = 0; i < 3; i++) {
			s[i] = (struct scribbler){ .rig = rig,
						   .seed = 5 + round * 3 + i,
						   .stop = &stop };
			assert_int_equal(pthread_create(&s[i].thread, NULL, scribble, &s[i]), 0);
		}
		/* the log begins while writes are under way; then everything is copied once */
		start(rig, UINT64_C(1) << shifts[round & 1], &all, 1);
		ram_read(rig, 0, m.copy, RAM_SIZE);
		for (unsigned int i = 0; i < 20 || m.pages < 200; i++, rest())
			assert_int_equal(cbit_pci_log_read(rig->pci[0], RAM_IOVA,
							   RAM_IOVA + RAM_SIZE - 1, copy_pages, &m),
					 0);
		__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
		for (unsigned int i = 0; i < 3; i++)
			pthread_join(s[i].thread, NULL);
		assert_int_equal(cbit_pci_log_read(rig->pci[0], RAM_IOVA, RAM_IOVA + RAM_SIZE - 1,
						   copy_pages, &m),
				 0);
		ram_read(rig, 0, now, RAM_SIZE);
		assert_memory_equal(m.copy, now, RAM_SIZE);
		cbit_pci_log_stop(rig->pci[0]);
		free(m.copy);
	}
	free(now);
}

/* Whoever sees bytes in memory and then reads the log finds their page. */
static void test_seen_is_told(void **state)
{
	const struct cbit_pci_log_range all = { RAM_IOVA, RAM_IOVA + RAM_SIZE - 1 };
	struct rig *rig = *state;
	struct told t = { .page = calloc(1, PAGES) };
	struct scribbler s;
	unsigned int seen = 0;
	bool stop = false;
	uint64_t before[8192], after[8192];

	not_for_tsan();
	start(rig, 4096, &all, 1);
	s = (struct scribbler){ .rig = rig, .seed = 99, .stop = &stop };
	assert_int_equal(pthread_create(&s.thread, NULL, scribble, &s), 0);
	for (unsigned int round = 0; round < 20 || seen < 20; round++, rest()) {
		assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
		ram_read(rig, 0, before, sizeof(before));
		memset(t.page, 0, PAGES);
		/* on one processor the writer has no turn by itself */
		rest();
		ram_read(rig, 0, after, sizeof(after));
		assert_int_equal(read_log(rig, &t, 0, SPACE), 0);
		for (unsigned int i = 0; i < 8192; i++) {
			if (before[i] == after[i])
				continue;
			assert_true(t.page[i / 512]);
			seen++;
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(s.thread, NULL);
	cbit_pci_log_stop(rig->pci[0]);
	free(t.page);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_true_set),   T(test_ranges),         T(test_parts),        T(test_border),
		T(test_page_sizes), T(test_nothing_missed), T(test_seen_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
