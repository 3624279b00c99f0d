/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells with values that they cannot have, and doorbells of queues that there are not: nothing
 * is taken, the controller tells of it by an asynchronous event and in the error log (NVM Express
 * Base Specification 1.4, 5.2 figure 147 and 5.14.1.1), and the next good value works.
 */
#include "nvme_bad.h"

#define TAIL(q) (NVME_DOORBELLS + 8 * (q))
#define HEAD(q) (NVME_DOORBELLS + 8 * (q) + 4)

static const struct {
	const char *what;
	uint32_t doorbell;
	uint32_t value;
	unsigned int queue;
	uint8_t info; /* 0: a doorbell of no queue; 1: a bad value */
} rows[] = {
	{ "tail of queue 1: its size", TAIL(1), Q_SIZE, 1, 1 },
	{ "tail of queue 1: its size and one", TAIL(1), Q_SIZE + 1, 1, 1 },
	{ "tail of queue 2: its size", TAIL(2), Q_SIZE, 2, 1 },
	{ "tail of queue 2: 255", TAIL(2), 255, 2, 1 },
	{ "tail of queue 1: MQES", TAIL(1), MQES, 1, 1 },
	{ "tail of queue 1: 0xffff", TAIL(1), 0xffff, 1, 1 },
	{ "tail of queue 2: reserved bits", TAIL(2), 0x10000, 2, 1 },
	{ "tail of queue 2: the sign bit", TAIL(2), 0x80000001, 2, 1 },
	{ "tail of the admin queue: its size", TAIL(0), Q_SIZE, 0, 1 },
	{ "tail of the admin queue: 0xfff", TAIL(0), 0xfff, 0, 1 },
	{ "tail of a queue that there is not", TAIL(3), 1, 3, 0 },
	{ "tail of the last queue that there could be", TAIL(63), 5, 63, 0 },
	{ "head of a queue that there is not", HEAD(3), 1, 3, 0 },
	{ "head of a queue that there is not, 0", HEAD(40), 0, 40, 0 },
	{ "head of the last queue that there could be", HEAD(63), 0xffff, 63, 0 },
};

static void event(struct nrig *r, uint8_t info, const char *what)
{
	struct answer a = nanswer(r, 0);

	if (a.status || a.result != NVME_EVENT(0, info, NVME_LOG_ERROR))
		fail_msg("%s: event %x, status %x", what, (unsigned int)a.result, a.status);
}

/* Heads: the host cannot have taken what is not there. They are looked at when room is needed. */
static void heads(struct nrig *r)
{
	static const uint32_t steps[] = {
		1, 5, Q_SIZE - 1, Q_SIZE, Q_SIZE + 3, 0xffff, 0x80000000
	};

	for (size_t i = 0; i < NR(steps); i++) {
		uint32_t bad = r->q[1].head + steps[i];

		if (bad >= Q_SIZE && steps[i] < Q_SIZE)
			bad -= Q_SIZE;
		nstore(r, HEAD(1), bad);
		bad_count++;
		/* More than a ring of commands: each answer is in its place. */
		for (unsigned int k = 0; k < Q_SIZE + 4; k++) {
			struct nvme_sqe read = nio(NVME_IO_READ, 3, 1, OTHER_AT);
			uint16_t cid = nput(r, 1, &read);
			struct answer a = { 0 };

			nring(r, 1);
			/* Without a good head until the ring is nearly full. */
			for (time_t end = time(NULL) + PATIENCE_S;
			     !npeek(r, 1, &a) && time(NULL) < end;)
				sched_yield();
			assert_int_equal(a.cid, cid);
			assert_int_equal(a.status, NVME_OK);
			if (k > Q_SIZE / 2)
				nhead(r, 1);
		}
		bad_intact(r, "a head beyond the tail");
	}
}

void bad_doorbells(void **state)
{
	struct nrig *r = *state;

	for (size_t i = 0; i < NR(rows); i++) {
		struct nvme_sqe aer = { .opcode = NVME_ADM_ASYNC_EVENT };
		struct nvme_error_entry e;

		nput(r, 0, &aer);
		nring(r, 0);
		/* The request has been taken before anything is wrong. */
		bad_intact(r, rows[i].what);
		nstore(r, rows[i].doorbell, rows[i].value);
		bad_count++;
		event(r, rows[i].info, rows[i].what);
		/* Reading the page lets the next event come. */
		bad_errors(r, &e);
		assert_int_equal(e.sq_id, rows[i].queue);
		assert_int_equal(e.cid, 0xffff);
		bad_intact(r, rows[i].what);
	}
	heads(r);
}
