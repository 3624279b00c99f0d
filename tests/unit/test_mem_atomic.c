/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Atomic accesses: what every operation does on every kind of memory, what another key makes
 * of them, what is refused, and that nothing is lost between devices and CPUs.
 */
#include <pthread.h>

#include "mem_rig.h"

#define ONES UINT64_MAX

static const struct {
	enum cbit_atomic_op op;
	unsigned int size;
	uint64_t at; /* offset into a page */
	uint64_t was[2], operand[2], compare[2];
	uint64_t is[2]; /* afterwards; beyond @size nothing changes */
} cases[] = {
	{ CBIT_ATOMIC_FETCH_ADD, 4, 0, { 5, 0 }, { 3, 0 }, { 0 }, { 8, 0 } },
	{ CBIT_ATOMIC_FETCH_ADD, 4, 8, { 0xffffffff, 9 }, { 2, 7 }, { 0 }, { 1, 9 } },
	{ CBIT_ATOMIC_FETCH_ADD, 4, 4092, { 1 }, { ONES }, { 0 }, { 0 } },
	{ CBIT_ATOMIC_FETCH_ADD, 8, 16, { ONES, 4 }, { 2, 2 }, { 0 }, { 1, 4 } },
	{ CBIT_ATOMIC_FETCH_ADD, 8, 4088, { 1 }, { 1ull << 63 }, { 0 }, { (1ull << 63) + 1 } },
	{ CBIT_ATOMIC_SWAP,
	  4,
	  20,
	  { 0x1122334455667788 },
	  { ONES },
	  { 0 },
	  { 0x11223344ffffffff } },
	{ CBIT_ATOMIC_SWAP, 8, 24, { 1 }, { 0x8877665544332211 }, { 0 }, { 0x8877665544332211 } },
	{ CBIT_ATOMIC_CAS, 4, 28, { 7 }, { 9 }, { 7 }, { 9 } },
	{ CBIT_ATOMIC_CAS, 4, 28, { 7 }, { 9 }, { 0x100000007 }, { 9 } },
	{ CBIT_ATOMIC_CAS, 4, 28, { 7 }, { 9 }, { 8 }, { 7 } },
	{ CBIT_ATOMIC_CAS, 8, 40, { 7, 1 }, { 9, 2 }, { 7, 9 }, { 9, 1 } },
	{ CBIT_ATOMIC_CAS, 8, 40, { 7 }, { 9 }, { 0x100000007 }, { 7 } },
	{ CBIT_ATOMIC_CAS, 16, 48, { 7, 1 }, { 9, 2 }, { 7, 1 }, { 9, 2 } },
	{ CBIT_ATOMIC_CAS, 16, 4080, { 7, 1 }, { 9, 2 }, { 7, 2 }, { 7, 1 } },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/* The key of RIG_CLIENT and RIG_LENT is the host's; the others have no resident key. */
static bool is_wrong(const struct rig *r, enum rig_kind kind, bool c)
{
	bool host = (c && r->platform.sme) || r->platform.tsme;

	if (kind == RIG_CLIENT || kind == RIG_LENT)
		return !host && (r->platform.sme || r->platform.tsme);
	return kind == RIG_LENT_RAW && host && !r->platform.tsme;
}

static bool decodes(enum rig_kind kind, bool c)
{
	return !c || (kind != RIG_COHERENT_PLAIN && kind != RIG_BAR && kind != RIG_DOORBELL);
}

static void run_cases(const char *preset, bool slow)
{
	struct rig *r = rig_up(preset);

	cbit_mem_set_slow(r->mem, slow);
	for (unsigned int n = 0; n < RIG_KINDS * 2 * CASES; n++) {
		enum rig_kind kind = (enum rig_kind)(n % RIG_KINDS);
		bool c = n / RIG_KINDS & 1;
		unsigned int i = n / RIG_KINDS / 2;
		struct cbit_bus bus = rig_bus(r, kind, RIG_PAGE + cases[i].at, c);
		enum cbit_mem_outcome want =
			is_wrong(r, kind, c) ? CBIT_MEM_WRONG_KEY : CBIT_MEM_OK;
		uint64_t old[2] = { 1, 2 }, now[2] = { 0 }, expect[2] = { 0 };
		size_t span = cases[i].at + 16 <= RIG_PAGE ? 16 : cases[i].size;

		if (kind == RIG_DOORBELL || (!decodes(kind, c) && r->platform.sme)) {
			want = CBIT_MEM_ABORT;
			memset(expect, 0xff, cases[i].size);
		} else {
			assert_int_equal(cbit_mem_write(r->mem, bus, cases[i].was, span), want);
			memcpy(expect, cases[i].was, cases[i].size);
		}
		assert_int_equal(cbit_mem_atomic(r->mem, bus, cases[i].op, cases[i].size,
						 cases[i].operand, cases[i].compare, old),
				 want);
		assert_memory_equal(old, expect, sizeof(old));
		if (want == CBIT_MEM_ABORT)
			continue;
		assert_int_equal(cbit_mem_read(r->mem, bus, now, span), want);
		assert_memory_equal(now, cases[i].is, span);
	}
	/* a window of registers was neither read nor written for it */
	assert_int_equal(r->back[RIG_DOORBELL].reads + r->back[RIG_DOORBELL].writes, 0);
	assert_int_equal(r->back[RIG_LENT].reads + r->back[RIG_LENT].writes, 0);
	rig_down(r);
}

static void test_operations(void **state)
{
	(void)state;
	run_cases("sme", false);
	run_cases("sme", true);
	run_cases("tsme", false);
	run_cases("bare", false);
}

static void test_refused(void **state)
{
	static const struct {
		enum cbit_atomic_op op;
		unsigned int size;
		uint64_t at;
	} bad[] = {
		{ CBIT_ATOMIC_FETCH_ADD, 1, 0 }, { CBIT_ATOMIC_FETCH_ADD, 2, 0 },
		{ CBIT_ATOMIC_FETCH_ADD, 0, 0 }, { CBIT_ATOMIC_FETCH_ADD, 16, 0 },
		{ CBIT_ATOMIC_SWAP, 16, 0 },     { CBIT_ATOMIC_CAS, 32, 0 },
		{ CBIT_ATOMIC_FETCH_ADD, 4, 2 }, { CBIT_ATOMIC_SWAP, 8, 4 },
		{ CBIT_ATOMIC_CAS, 16, 8 },      { CBIT_ATOMIC_CAS, 12, 0 },
		{ CBIT_ATOMIC_SWAP, 8, 4092 },   { CBIT_ATOMIC_CAS, UINT32_MAX, 0 },
	};
	static const uint64_t any[2] = { 3, 4 };
	struct rig *r = rig_up("sme");
	uint8_t before[RIG_SIZE], after[RIG_SIZE];

	(void)state;
	for (unsigned int n = 0; n < RIG_KINDS * sizeof(bad) / sizeof(bad[0]); n++) {
		enum rig_kind kind = (enum rig_kind)(n % RIG_KINDS);
		unsigned int i = n / RIG_KINDS;
		struct cbit_bus all = rig_bus(r, kind, 0, false);
		uint64_t old[2], ones[2] = { 0 };

		memset(ones, 0xff, bad[i].size < 16 ? bad[i].size : 16);
		cbit_mem_read(r->mem, all, before, RIG_SIZE);
		assert_int_equal(cbit_mem_atomic(r->mem, rig_bus(r, kind, bad[i].at, false),
						 bad[i].op, bad[i].size, any, any, old),
				 CBIT_MEM_ABORT);
		assert_memory_equal(old, ones, sizeof(old));
		cbit_mem_read(r->mem, all, after, RIG_SIZE);
		assert_memory_equal(before, after, RIG_SIZE);
	}
	rig_down(r);
}

/* What is in DRAM changes by the sum in the device's view; to the CPU the block is noise. */
static void test_wrong_key(void **state)
{
	static const enum rig_kind kinds[] = { RIG_CLIENT, RIG_LENT, RIG_DRAM, RIG_CXL };
	static const uint64_t add[2] = { 0x1234567 };
	struct rig *r = rig_up("sme");

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct cbit_bus cpu = rig_bus(r, kinds[i], 0x1000, true);
		struct cbit_spa spa = CBIT_SPA(rig_spa(kinds[i]) + 0x1000);
		uint64_t plain[8], raw[8], want[8], got[8], old[2];

		for (unsigned int n = 0; n < 8; n++)
			plain[n] = n * 0x0101010101010101u;
		assert_int_equal(cbit_mem_write(r->mem, cpu, plain, sizeof(plain)), CBIT_MEM_OK);
		cbit_mem_aes(r->mem, CBIT_KEY_HOST, spa, plain, raw, sizeof(raw), true);
		cbit_mem_atomic(r->mem, rig_bus(r, kinds[i], 0x1000 + 40, false),
				CBIT_ATOMIC_FETCH_ADD, 8, add, NULL, old);
		assert_int_equal(old[0], raw[5]);
		raw[5] += add[0];
		cbit_mem_aes(r->mem, CBIT_KEY_HOST, spa, raw, want, sizeof(want), false);
		assert_int_equal(cbit_mem_read(r->mem, cpu, got, sizeof(got)), CBIT_MEM_OK);
		assert_memory_equal(got, want, sizeof(got));
		/* both halves of the block and nothing beside it */
		assert_int_not_equal(got[4], plain[4]);
		assert_int_not_equal(got[5], plain[5]);
		assert_int_equal(got[3], plain[3]);
		assert_int_equal(got[6], plain[6]);
	}
	rig_down(r);
}

static int asked(void *opaque, uint64_t offset, enum cbit_atomic_op op, unsigned int size,
		 const uint64_t operand[2], const uint64_t compare[2], uint64_t old[2])
{
	struct rig_backing *b = opaque;

	assert_int_equal(op, CBIT_ATOMIC_CAS);
	assert_int_equal(size, 8);
	b->atomics++;
	if (b->lost)
		return b->lost;
	memcpy(old, b->bytes + offset, 8);
	if (old[0] == compare[0])
		memcpy(b->bytes + offset, operand, 8);
	return 0;
}

static enum cbit_mem_outcome cas(struct rig *r, enum rig_kind kind, bool c, uint64_t *old)
{
	static const uint64_t operand[2] = { 99 }, compare[2] = { 42 };

	return cbit_mem_atomic(r->mem, rig_bus(r, kind, 0, c), CBIT_ATOMIC_CAS, 8, operand, compare,
			       old);
}

static void test_backings(void **state)
{
	const struct cbit_mem_ops ops = { .read = rig_read, .write = rig_write, .atomic = asked };
	struct cbit_platform p;
	struct rig_backing *b;
	uint64_t old[2];
	struct rig *r;

	(void)state;
	assert_int_equal(cbit_platform_preset("sme", &p), 0);
	r = rig_up_with(&p, &ops);
	b = &r->back[RIG_CLIENT];
	memcpy(b->bytes, &(uint64_t){ 42 }, 8);
	assert_int_equal(cas(r, RIG_CLIENT, true, old), CBIT_MEM_OK);
	assert_int_equal(old[0], 42);
	assert_int_equal(b->bytes[0], 99);
	assert_int_equal(b->atomics, 1);
	assert_int_equal(b->reads + b->writes, 0);
	/* under another key the backing cannot know what to compare */
	assert_int_equal(cas(r, RIG_CLIENT, false, old), CBIT_MEM_WRONG_KEY);
	assert_int_equal(b->atomics, 1);
	assert_int_equal(b->reads, 1);
	assert_int_equal(b->writes, 1);
	/* it may decline, and it may have nothing there */
	b->lost = -EOPNOTSUPP;
	assert_int_equal(cas(r, RIG_CLIENT, true, old), CBIT_MEM_OK);
	assert_int_equal(b->reads, 2);
	b->lost = -EFAULT;
	assert_int_equal(cas(r, RIG_CLIENT, true, old), CBIT_MEM_NO_BACKING);
	assert_true(old[0] == ONES && !old[1]);
	b->lost = -EOPNOTSUPP;
	b->hole = 0;
	assert_int_equal(cas(r, RIG_CLIENT, true, old), CBIT_MEM_NO_BACKING);
	assert_true(old[0] == ONES && !old[1]);
	/* what was lent may be gone when it is given back */
	assert_int_equal(cas(r, RIG_LENT, true, old), CBIT_MEM_OK);
	r->back[RIG_LENT].lost = -EFAULT;
	assert_int_equal(cas(r, RIG_LENT, true, old), CBIT_MEM_NO_BACKING);
	assert_true(old[0] == ONES && !old[1]);
	/* a page that is not lent is read and written */
	r->back[RIG_LENT].refuse = 1;
	assert_int_equal(cas(r, RIG_LENT, true, old), CBIT_MEM_OK);
	assert_int_equal(r->back[RIG_LENT].reads, 1);
	rig_down(r);
}

#define THREADS 4
#define ROUNDS  20000u /* several slices of time, also where threads share a core */

struct worker {
	struct rig *r;
	enum rig_kind kind;
	bool c;
	unsigned int id;
	pthread_barrier_t *together;
	unsigned int *running; /* devices that are not done */
};

/* A CPU with a pointer to the word that the devices count up, as long as they do. Return: its
 * share. */
static uint64_t cpu(const struct worker *w)
{
	const struct rig *r = w->r;
	uint8_t *page = w->kind == RIG_LENT || w->kind == RIG_BAR
				? r->back[w->kind].bytes
				: cbit_mem_page(r->mem, rig_bus(r, w->kind, 0, w->c));
	uint64_t *p = (uint64_t *)(void *)(page + 64);

	uint64_t added = 0;

	pthread_barrier_wait(w->together);
	while (__atomic_load_n(w->running, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_add(p, 1, __ATOMIC_SEQ_CST);
		added++;
	}
	return added;
}

/* Threads that all start before the first is done; @self is the CPU beside them, or NULL. */
static uint64_t race(struct worker *w, void *(*work)(void *), const struct worker *self)
{
	unsigned int running = THREADS;
	uint64_t added = 0;
	pthread_barrier_t together;
	pthread_t t[THREADS];

	pthread_barrier_init(&together, NULL, THREADS + (self != NULL));
	for (unsigned int i = 0; i < THREADS; i++) {
		w[i].id = i;
		w[i].together = &together;
		w[i].running = &running;
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	if (self) {
		struct worker beside = *self;

		beside.together = &together;
		beside.running = &running;
		added = cpu(&beside);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&together);
	return added;
}

/* Each adds to one word; by a CAS of 16 bytes in every other round. */
static void *add_up(void *opaque)
{
	static const uint64_t one[2] = { 1 };
	const struct worker *w = opaque;
	struct cbit_bus bus = rig_bus(w->r, w->kind, 64, w->c);
	uint64_t old[2] = { 0 }, want[2], seen[2];

	pthread_barrier_wait(w->together);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (i & 1) {
			cbit_mem_atomic(w->r->mem, bus, CBIT_ATOMIC_FETCH_ADD, 8, one, NULL, old);
			continue;
		}
		do {
			memcpy(seen, old, sizeof(seen));
			want[0] = seen[0] + 1;
			want[1] = seen[1] + 1;
			cbit_mem_atomic(w->r->mem, bus, CBIT_ATOMIC_CAS, 16, want, seen, old);
		} while (memcmp(seen, old, sizeof(seen)) != 0);
	}
	__atomic_fetch_sub(w->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void test_threads(void **state)
{
	/* @also_cpu: it sees the same plaintext, so that it can count with the devices */
	static const struct {
		enum rig_kind kind;
		bool c, also_cpu;
	} tries[] = {
		{ RIG_DRAM, true, true },     { RIG_CXL, false, true },
		{ RIG_BAR, false, true },     { RIG_LENT, true, true },
		{ RIG_CLIENT, true, false },  { RIG_LENT, false, false },
		{ RIG_CLIENT, false, false },
	};

	(void)state;
	for (unsigned int n = 0; n < sizeof(tries) / sizeof(tries[0]); n++) {
		struct rig *r = rig_up("sme");
		struct cbit_bus bus = rig_bus(r, tries[n].kind, 64, tries[n].c);
		uint64_t got[2] = { 0 }, added;
		struct worker w[THREADS], self = { r, tries[n].kind, tries[n].c, 0, NULL, NULL };

		cbit_mem_write(r->mem, bus, got, sizeof(got));
		for (unsigned int i = 0; i < THREADS; i++)
			w[i] = self;
		added = race(w, add_up, tries[n].also_cpu ? &self : NULL);
		cbit_mem_read(r->mem, bus, got, sizeof(got));
		assert_int_equal(got[0], THREADS * ROUNDS + added);
		assert_int_equal(got[1], THREADS * ROUNDS / 2);
		rig_down(r);
	}
}

/*
 * Parts of blocks, written through the wrong key into lent memory by two devices at once: a
 * block is put in place as one, so neither loses what the other wrote beside it.
 */
static void *write_half(void *opaque)
{
	const struct worker *w = opaque;

	pthread_barrier_wait(w->together);
	for (unsigned int i = 1; i <= ROUNDS; i++) {
		uint32_t v = i;

		cbit_mem_write(w->r->mem, rig_bus(w->r, RIG_LENT, 128 + 4 * w->id, false), &v, 4);
	}
	return NULL;
}

static void test_shared_block(void **state)
{
	struct rig *r = rig_up("sme");
	struct worker w[THREADS];
	uint32_t got[THREADS];

	(void)state;
	for (unsigned int i = 0; i < THREADS; i++)
		w[i] = (struct worker){ .r = r };
	race(w, write_half, NULL);
	cbit_mem_read(r->mem, rig_bus(r, RIG_LENT, 128, false), got, sizeof(got));
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(got[i], ROUNDS);
	rig_down(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operations), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_wrong_key),  cmocka_unit_test(test_backings),
		cmocka_unit_test(test_threads),    cmocka_unit_test(test_shared_block),
	};

	return cmocka_run_group_tests_name("mem_atomic", tests, NULL, NULL);
}
