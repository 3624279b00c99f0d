/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA from memory to memory: whether or not the client lends pointers, a copy leaves the same
 * bytes, ends in the same way and says the same as a read and a write; and where it lends them,
 * nothing goes by way of the buffer.
 */
#include "iommu_rig.h"

#define KIB(n) ((uint64_t)(n) << 10)
#define ROOM   KIB(64)

/* IOVAs; each range is 1 MiB of client memory unless the comment says otherwise. */
#define GOOD     MIB(16)  /* the first MiB, under the CPU's key */
#define BAD      MIB(32)  /* the second MiB, without the C-bit */
#define BAD_TOO  MIB(48)  /* the third */
#define SHUFFLED MIB(64)  /* pages of the fourth, each one's neighbour first */
#define RO       MIB(80)  /* the second, read only */
#define BAR_OK   MIB(96)  /* the BAR */
#define BAR_C    MIB(112) /* the BAR with the C-bit */
#define GAPPED   MIB(128) /* the third, its page 5 not mapped */
#define SECOND   MIB(144) /* the second, under the CPU's key */
#define HOLED    MIB(160) /* the third; the client has lost what lies behind its page 7 */

static const struct {
	uint64_t from, to;
	size_t len;
	enum cbit_dma_status read, write;
	bool straight; /* nothing is read or written by the client's ops */
	bool hole;
} cases[] = {
	{ GOOD, SECOND, MIB(1), 0, 0, true },
	{ GOOD + 100, SECOND + 3, KIB(300), 0, 0, true },
	{ GOOD, SECOND, 64, 0, 0, false },
	{ GOOD, SECOND, 0, 0, 0, true },
	{ GOOD, BAD, MIB(1), 0, 0, true },
	{ GOOD + 5, BAD + 4090, KIB(200), 0, 0, true },
	{ BAD, GOOD, MIB(1), 0, 0, true },
	{ BAD + 4095, GOOD + 1, KIB(40), 0, 0, true },
	{ BAD, BAD_TOO, KIB(128), 0, 0, false },
	{ GOOD, SHUFFLED, KIB(512), 0, 0, true },
	{ SHUFFLED, BAD, KIB(512), 0, 0, true },
	{ SHUFFLED + 2000, BAR_OK + 8, KIB(256), 0, 0, true },
	{ GOOD, BAR_OK, KIB(256), 0, 0, true },
	{ BAR_OK, BAD, KIB(256), 0, 0, true },
	{ GOOD, BAR_C, KIB(128), 0, CBIT_DMA_ABORT, false },
	{ BAR_C, GOOD, KIB(128), CBIT_DMA_ABORT, 0, false },
	{ GOOD, RO, KIB(128), 0, CBIT_DMA_FAULT, false },
	{ RO, GOOD, KIB(128), 0, 0, true },
	{ GAPPED, GOOD, KIB(128), CBIT_DMA_FAULT, 0, false },
	{ GOOD, GAPPED, KIB(128), 0, CBIT_DMA_FAULT, false },
	{ GOOD, GOOD + KIB(4), KIB(60), 0, 0, false },
	{ GOOD + KIB(4), GOOD, KIB(60), 0, 0, false },
	{ GOOD, GOOD, KIB(60), 0, 0, false },
	{ SECOND, BAD, KIB(60), 0, 0, false },
	{ HOLED, GOOD, KIB(128), CBIT_DMA_ABORT, 0, false, true },
	{ GOOD, HOLED, KIB(128), 0, CBIT_DMA_ABORT, false, true },
	{ MIB(512), GOOD, KIB(8), CBIT_DMA_FAULT, 0, false },
	{ GOOD, (uint64_t) - (int64_t)KIB(4), KIB(8), 0, CBIT_DMA_FAULT, false },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static struct rig *make(bool lends)
{
	struct rig *r = rig_new(true);

	r->lends = lends;
	fill(r->client, CLIENT_SIZE);
	fill(r->bar, BAR_SIZE);
	map(r, GOOD, CLIENT, MIB(1), ENC);
	map(r, BAD, CLIENT + MIB(1), MIB(1), PLAIN);
	map(r, BAD_TOO, CLIENT + MIB(2), MIB(1), PLAIN);
	for (uint64_t at = 0; at < MIB(1); at += KIB(4))
		map(r, SHUFFLED + (at ^ KIB(4)), CLIENT + MIB(3) + at, KIB(4), ENC);
	map(r, RO, CLIENT + MIB(1), MIB(1), ENC & ~CBIT_ATTR_WRITE);
	map(r, BAR_OK, BAR, MIB(1), PLAIN);
	map(r, BAR_C, BAR, MIB(1), ENC);
	map(r, GAPPED, CLIENT + MIB(2), KIB(20), ENC);
	map(r, GAPPED + KIB(24), CLIENT + MIB(2) + KIB(24), MIB(1) - KIB(24), ENC);
	map(r, SECOND, CLIENT + MIB(1), MIB(1), ENC);
	map(r, HOLED, CLIENT + MIB(2), MIB(1), ENC);
	map(r, (uint64_t) - (int64_t)KIB(4), CLIENT, KIB(4), ENC);
	return r;
}

/* As a device does it that reads a piece, and then writes what came. */
static struct cbit_dma_copied by_hand(struct rig *r, uint64_t to, uint64_t from, size_t len)
{
	struct cbit_dma_copied c = { .read = CBIT_DMA_OK, .write = CBIT_DMA_OK };
	static uint8_t buf[ROOM];

	for (size_t at = 0; at < len && c.read != CBIT_DMA_FAULT && c.write != CBIT_DMA_FAULT;
	     at += ROOM) {
		size_t n = len - at < ROOM ? len - at : ROOM, got, put = 0;
		enum cbit_dma_status s = dma_read(r, from + at, buf, n, &got);

		if (s != CBIT_DMA_OK)
			c.read = s;
		if (s == CBIT_DMA_FAULT)
			n = got;
		s = n ? dma_write(r, to + at, buf, n, &put) : CBIT_DMA_OK;
		if (s != CBIT_DMA_OK)
			c.write = s;
		c.done += s == CBIT_DMA_FAULT ? put : n;
	}
	return c;
}

/* Bytes that events of one kind speak of, reads or writes. */
static uint64_t told(const struct rig *r, enum cbit_event_type type, bool write)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < r->n; i++)
		if (r->ev[i].type == type && r->ev[i].write == write)
			sum += r->ev[i].len;
	return sum;
}

static void same_events(const struct rig *a, const struct rig *b)
{
	assert_true(a->n < EVENTS && b->n < EVENTS);
	for (unsigned int i = 0; i < 2 * a->n + 2 * b->n; i++) {
		const struct rig *r = i / 2 < a->n ? a : b;
		enum cbit_event_type type = r->ev[i / 2 - (r == b ? a->n : 0)].type;

		assert_int_equal(told(a, type, i & 1), told(b, type, i & 1));
	}
}

static void run(bool lends)
{
	static uint8_t buf[ROOM];

	for (unsigned int i = 0; i < CASES; i++) {
		struct rig *a = make(lends), *b = make(false);
		struct cbit_dma_copied got, want;

		if (cases[i].hole) {
			a->client_hole = MIB(2) + KIB(32);
			b->client_hole = a->client_hole;
		}
		a->n = 0;
		b->n = 0;
		a->calls = 0;
		cbit_iommu_dma_copy(a->iommu, DEV, CBIT_IOVA(cases[i].to), CBIT_IOVA(cases[i].from),
				    cases[i].len, buf, ROOM, &got);
		want = by_hand(b, cases[i].to, cases[i].from, cases[i].len);
		assert_int_equal(got.read, want.read);
		assert_int_equal(got.write, want.write);
		assert_int_equal(got.done, want.done);
		assert_int_equal(want.read, cases[i].read);
		assert_int_equal(want.write, cases[i].write);
		assert_memory_equal(a->client, b->client, CLIENT_SIZE);
		assert_memory_equal(a->bar, b->bar, BAR_SIZE);
		same_events(a, b);
		if (lends && cases[i].straight)
			assert_int_equal(a->calls, 0);
		if (!lends)
			assert_int_equal(a->lent, 0);
		rig_free(a);
		rig_free(b);
	}
}

static void test_lent(void **state)
{
	(void)state;
	run(true);
}

static void test_not_lent(void **state)
{
	(void)state;
	run(false);
}

/* The events name the pages that each side went to, and where one run ended another begins. */
static void test_events(void **state)
{
	struct rig *r = make(true);
	struct cbit_dma_copied copied;

	(void)state;
	r->n = 0;
	cbit_iommu_dma_copy(r->iommu, DEV, CBIT_IOVA(BAD + 16), CBIT_IOVA(SHUFFLED), KIB(32), NULL,
			    0, &copied);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_WRONG_KEY);
	assert_true(r->ev[0].write);
	assert_int_equal(r->ev[0].iova.v, BAD + 16);
	assert_int_equal(r->ev[0].spa.v, CLIENT + MIB(1) + 16);
	assert_int_equal(r->ev[0].len, KIB(32));
	assert_string_equal(r->ev[0].key_used, "no key");
	rig_free(r);
}

/* A range that a mapping call was refused for is told of when a copy reads there, or writes. */
static void test_refused_range(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		const struct cbit_mapping_info refused = {
			.id = 3, .iova = CBIT_IOVA((i ? SECOND : GOOD) + KIB(16)), .size = KIB(4)
		};
		struct rig *r = make(true);
		struct cbit_dma_copied copied;

		cbit_domain_watch(r->domain, "it", &refused);
		r->n = 0;
		r->calls = 0;
		cbit_iommu_dma_copy(r->iommu, DEV, CBIT_IOVA(SECOND), CBIT_IOVA(GOOD), KIB(64),
				    NULL, 0, &copied);
		assert_int_equal(r->calls, 0);
		assert_int_equal(r->n, 1);
		assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_REFUSED_MAP);
		assert_int_equal(r->ev[0].write, i);
		assert_int_equal(r->ev[0].iova.v, refused.iova.v);
		assert_int_equal(r->ev[0].len, KIB(4));
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lent),
		cmocka_unit_test(test_not_lent),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_refused_range),
	};

	return cmocka_run_group_tests_name("iommu_copy", tests, NULL, NULL);
}
