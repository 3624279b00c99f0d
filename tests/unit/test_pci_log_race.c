/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of DMA writes, read at the worst moments: memory that holds a write up right before and
 * right after its bytes arrive, and threads that mark pages next to each other.
 */
#include "dev_rig.h"
#include "dev/pci_internal.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#define SLOW_SPA   (UINT64_C(1) << 40)
#define SLOW_IOVA  (RAM_IOVA + (UINT64_C(1) << 32))
#define SLOW_PAGES 8u
#define SLOW_SIZE  (SLOW_PAGES * CBIT_PAGE_SIZE)

/* Whether the bytes wait before they arrive or after that. */
enum when { BEFORE, AFTER };

/**
 * struct slow - memory whose writes wait for a reader of the log, but not for ever: one that has to
 * wait for the write itself comes back only afterwards.
 * @arrived: how many writes are done; @log_read: the reader is back.
 */
struct slow {
	uint8_t bytes[SLOW_SIZE];
	enum when when;
	sem_t here, log_read;
	unsigned int arrived;
};

struct fixture {
	struct rig rig;
	struct slow slow;
};

static int slow_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	memcpy(buf, ((struct slow *)opaque)->bytes + offset, len);
	return 0;
}

static void wait_for_reader(struct slow *s)
{
	struct timespec until;

	sem_post(&s->here);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 30000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (sem_timedwait(&s->log_read, &until) && errno == EINTR)
		;
}

static int slow_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	struct slow *s = opaque;

	if (s->when == BEFORE)
		wait_for_reader(s);
	memcpy(s->bytes + offset, buf, len);
	__atomic_add_fetch(&s->arrived, 1, __ATOMIC_SEQ_CST);
	if (s->when == AFTER)
		wait_for_reader(s);
	return 0;
}

static int setup(void **state)
{
	static const struct cbit_mem_ops ops = { .read = slow_read, .write = slow_write };
	struct fixture *f = calloc(1, sizeof(*f));
	const struct cbit_mem_region_desc desc = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(SLOW_SPA),
		.size = SLOW_SIZE,
		.ops = &ops,
		.opaque = &f->slow,
		.resident = CBIT_KEY_HOST,
	};

	rig_up(&f->rig, "sme", "ioat,migration=on", NULL);
	assert_int_equal(cbit_mem_add_region(f->rig.mem, &desc, NULL), 0);
	assert_int_equal(cbit_domain_map(f->rig.domain, CBIT_IOVA(SLOW_IOVA), CBIT_SPA(SLOW_SPA),
					 SLOW_SIZE, rig_ram_attrs(&f->rig)),
			 0);
	sem_init(&f->slow.here, 0, 0);
	sem_init(&f->slow.log_read, 0, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rig_down(&f->rig);
	sem_destroy(&f->slow.here);
	sem_destroy(&f->slow.log_read);
	free(f);
	return 0;
}

static void start(struct fixture *f, uint64_t first, uint64_t len, uint64_t page_size)
{
	const struct cbit_pci_log_range r = { first, first + (len - 1) };
	uint64_t got = page_size;

	assert_int_equal(cbit_pci_log_start(f->rig.pci[0], &r, 1, &got), 0);
	assert_int_equal(got, page_size);
}

static void count(void *opaque, struct cbit_iova iova, uint64_t len)
{
	(void)iova;
	*(uint64_t *)opaque += len;
}

static uint64_t read_log(struct fixture *f, uint64_t first, uint64_t len)
{
	uint64_t bytes = 0;

	assert_int_equal(cbit_pci_log_read(f->rig.pci[0], first, first + (len - 1), count, &bytes),
			 0);
	return bytes;
}

/* --- a report in the middle of a write --- */

static void *write_word(void *opaque)
{
	struct fixture *f = opaque;
	const uint64_t word = 0x1122334455667788;

	return pci_dma_write(f->rig.pci[0], SLOW_IOVA, &word, sizeof(word), NULL) == PCI_DMA_OK
		       ? NULL
		       : f;
}

static void *write_copy(void *opaque)
{
	struct fixture *f = opaque;
	enum pci_dma rd, wr;
	uint8_t buf[64];

	pci_dma_copy(f->rig.pci[0], SLOW_IOVA, RAM_IOVA, sizeof(buf), buf, sizeof(buf), &rd, &wr,
		     NULL);
	return rd == PCI_DMA_OK && wr == PCI_DMA_OK ? NULL : f;
}

static void *write_segments(void *opaque)
{
	struct fixture *f = opaque;
	const struct cbit_dma_seg seg = { .iova = CBIT_IOVA(SLOW_IOVA), .len = 64 };
	uint8_t buf[64] = { 1 };

	return pci_dma_vec(f->rig.pci[0], &seg, 1, buf, true) == PCI_DMA_OK ? NULL : f;
}

/*
 * A report that comes while a write is under way waits for it or leaves it to the next one: whoever
 * has read the log after bytes have arrived was told of their page then, or is told next time.
 * Told before they came, and forgotten, is what loses pages.
 */
static void meet(struct fixture *f, void *(*writer)(void *), enum when when)
{
	struct slow *s = &f->slow;
	uint64_t told;
	unsigned int before;
	pthread_t thread;
	void *failed;

	s->when = when;
	before = s->arrived;
	assert_int_equal(pthread_create(&thread, NULL, writer, f), 0);
	while (sem_wait(&s->here))
		;
	told = read_log(f, SLOW_IOVA, SLOW_SIZE);
	/* It has seen all that there was to see when it came back. */
	if (__atomic_load_n(&s->arrived, __ATOMIC_SEQ_CST) != before)
		assert_int_equal(told, CBIT_PAGE_SIZE);
	else
		told = 0;
	sem_post(&s->log_read);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(s->arrived, before + 1);
	told += read_log(f, SLOW_IOVA, SLOW_SIZE);
	assert_int_equal(told, CBIT_PAGE_SIZE);
	/* a reader that was waited for in vain must not let the next write pass */
	while (!sem_trywait(&s->log_read))
		;
}

static void test_report_meets_write(void **state)
{
	struct fixture *f = *state;

	start(f, SLOW_IOVA, SLOW_SIZE, CBIT_PAGE_SIZE);
	for (enum when when = BEFORE; when <= AFTER; when++) {
		meet(f, write_word, when);
		meet(f, write_copy, when);
		meet(f, write_segments, when);
	}
	cbit_pci_log_stop(f->rig.pci[0]);
}

/* --- pages next to each other --- */

#define STEPS 8192u
/* Looks for the other thread, some 10 us of them: on one processor it would take a slice each. */
#define SPINS 500u

/* @step: how far it is; @other: whom it waits for. */
struct marker {
	struct cbit_pci *pci;
	unsigned int nr;
	unsigned int step;
	struct marker *other;
	pthread_t thread;
};

/*
 * What a write does with the log, and nothing else: page after page in step with another thread,
 * so that both set bits of one word at the same moment.
 */
static void *mark_pages(void *opaque)
{
	struct marker *m = opaque;

	for (unsigned int step = 1; step <= STEPS; step++) {
		__atomic_store_n(&m->step, step, __ATOMIC_RELEASE);
		for (unsigned int i = 0;
		     i < SPINS && __atomic_load_n(&m->other->step, __ATOMIC_ACQUIRE) < step; i++)
			__builtin_ia32_pause();
		pci_log_begin(m->pci);
		pci_log_end(m->pci, RAM_IOVA + (2 * step - m->nr) * CBIT_PAGE_SIZE, 1);
	}
	return NULL;
}

/* None is lost, whether or not the log is read meanwhile. */
static void test_neighbours(void **state)
{
	const uint64_t size = (2 * STEPS + 1) * CBIT_PAGE_SIZE;
	struct fixture *f = *state;

	start(f, RAM_IOVA, size, CBIT_PAGE_SIZE);
	for (unsigned int round = 0; round < 2; round++) {
		struct marker m[2];
		uint64_t told = 0;

		for (unsigned int i = 0; i < 2; i++)
			m[i] = (struct marker){ .pci = f->rig.pci[0], .nr = i, .other = &m[!i] };
		for (unsigned int i = 0; i < 2; i++)
			assert_int_equal(pthread_create(&m[i].thread, NULL, mark_pages, &m[i]), 0);
		/* now and then: those who mark wait for whoever waits to read */
		for (unsigned int now, at = 0; round && at < STEPS;) {
			nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
			now = __atomic_load_n(&m[0].step, __ATOMIC_RELAXED);
			if (now < STEPS && now - at < STEPS / 64)
				continue;
			at = now;
			told += read_log(f, RAM_IOVA, size);
		}
		for (unsigned int i = 0; i < 2; i++)
			pthread_join(m[i].thread, NULL);
		told += read_log(f, RAM_IOVA, size);
		assert_int_equal(told, 2 * STEPS * CBIT_PAGE_SIZE);
	}
	cbit_pci_log_stop(f->rig.pci[0]);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_report_meets_write), T(test_neighbours) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
