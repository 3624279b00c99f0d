/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver for tests of the nvme model: it stores into the register BAR as a client that has it
 * mapped does, and builds commands in test memory.
 *
 * Test memory: admin queues, I/O queue pairs, a page for lists, then data.
 */
#ifndef CBIT_TEST_NVME_RIG_H
#define CBIT_TEST_NVME_RIG_H

#include "dev_rig.h"

#include <dev/nvme_hw.h>

#include <sched.h>
#include <unistd.h>

#define Q_SIZE     16u
#define Q_MAX      4u
#define SQ_AT(q)   (0x1000u + 0x2000u * (q))
#define CQ_AT(q)   (0x2000u + 0x2000u * (q))
#define LIST_AT    0x10000u
#define SHADOW_AT  0x18000u
#define DATA_AT    0x100000u
#define OTHER_AT   0x400000u
#define IOVA(at)   (RAM_IOVA + (at))
#define NO_IOVA    UINT64_C(0x7000000000)
#define PATIENCE_S 20

#define CC_ENABLE (NVME_CC_EN | 6u << 16 | 4u << 20)

struct nq {
	uint32_t tail;
	uint32_t head;
	bool phase;
};

struct nrig {
	struct rig rig;
	volatile uint32_t *reg;
	struct nq q[Q_MAX];
	uint16_t cid;
};

/* An answer, with the phase taken off the status. */
struct answer {
	uint64_t result;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status; /* with DNR and More taken off, too */
	bool dnr;
};

static inline uint32_t nreg(struct nrig *r, uint32_t at)
{
	return __atomic_load_n(&r->reg[at / 4], __ATOMIC_ACQUIRE);
}

static inline void nstore(struct nrig *r, uint32_t at, uint32_t v)
{
	__atomic_store_n(&r->reg[at / 4], v, __ATOMIC_RELEASE);
}

/* The low half last, for that of CMBMSC switches on: it shall find the whole address. */
static inline void nstore64(struct nrig *r, uint32_t at, uint64_t v)
{
	nstore(r, at + 4, (uint32_t)(v >> 32));
	nstore(r, at, (uint32_t)v);
}

static inline bool nwait(struct nrig *r, uint32_t at, uint32_t mask, uint32_t value)
{
	for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end; sched_yield())
		if ((nreg(r, at) & mask) == value)
			return true;
	return false;
}

static inline void nenable(struct nrig *r)
{
	static const char zeroes[0x10000];

	ram_write(&r->rig, 0x1000, zeroes, 0xf000);
	for (unsigned int i = 0; i < Q_MAX; i++)
		r->q[i] = (struct nq){ .phase = true };
	nstore(r, NVME_AQA, (Q_SIZE - 1) | (Q_SIZE - 1) << 16);
	nstore64(r, NVME_ASQ, IOVA(SQ_AT(0)));
	nstore64(r, NVME_ACQ, IOVA(CQ_AT(0)));
	nstore(r, NVME_CC, CC_ENABLE);
	assert_true(nwait(r, NVME_CSTS, NVME_CSTS_RDY | NVME_CSTS_CFS, NVME_CSTS_RDY));
}

static inline void ndisable(struct nrig *r)
{
	nstore(r, NVME_CC, nreg(r, NVME_CC) & ~NVME_CC_EN);
	assert_true(nwait(r, NVME_CSTS, NVME_CSTS_RDY, 0));
}

/* Put a command in the queue, without ringing. */
static inline uint16_t nput(struct nrig *r, unsigned int q, struct nvme_sqe *sqe)
{
	sqe->cid = ++r->cid;
	ram_write(&r->rig, SQ_AT(q) + r->q[q].tail * sizeof(*sqe), sqe, sizeof(*sqe));
	r->q[q].tail = (r->q[q].tail + 1) % Q_SIZE;
	return sqe->cid;
}

static inline void nring(struct nrig *r, unsigned int q)
{
	nstore(r, NVME_DOORBELLS + 8 * q, r->q[q].tail);
}

static inline bool npeek(struct nrig *r, unsigned int q, struct answer *out)
{
	struct nvme_cqe cqe;
	struct nq *nq = &r->q[q];

	ram_read(&r->rig, CQ_AT(q) + nq->head * sizeof(cqe), &cqe, sizeof(cqe));
	if ((cqe.status & 1) != nq->phase)
		return false;
	/* The phase comes last: what was read before it may be older. */
	ram_read(&r->rig, CQ_AT(q) + nq->head * sizeof(cqe), &cqe, sizeof(cqe));
	*out = (struct answer){ .result = cqe.result,
				.sq_head = cqe.sq_head,
				.sq_id = cqe.sq_id,
				.cid = cqe.cid,
				.status = cqe.status >> 1 & 0x7ff,
				.dnr = cqe.status >> 15 };
	nq->head = (nq->head + 1) % Q_SIZE;
	if (!nq->head)
		nq->phase = !nq->phase;
	return true;
}

static inline void nhead(struct nrig *r, unsigned int q)
{
	nstore(r, NVME_DOORBELLS + 8 * q + 4, r->q[q].head);
}

static inline struct answer nanswer(struct nrig *r, unsigned int q)
{
	struct answer a = { 0 };
	bool there = false;

	for (time_t end = time(NULL) + PATIENCE_S; !there && time(NULL) < end; sched_yield())
		there = npeek(r, q, &a);
	assert_true(there);
	nhead(r, q);
	return a;
}

static inline struct answer ndo(struct nrig *r, unsigned int q, struct nvme_sqe sqe)
{
	uint16_t cid = nput(r, q, &sqe);
	struct answer a;

	nring(r, q);
	a = nanswer(r, q);
	assert_int_equal(a.cid, cid);
	assert_int_equal(a.sq_id, q);
	return a;
}

static inline struct answer nadmin(struct nrig *r, struct nvme_sqe sqe)
{
	return ndo(r, 0, sqe);
}

static inline void nqueues(struct nrig *r, unsigned int q)
{
	struct answer a;

	a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_CREATE_CQ,
					 .dptr = { IOVA(CQ_AT(q)) },
					 .cdw10 = q | (Q_SIZE - 1) << 16,
					 .cdw11 = 3 | q << 16 });
	assert_int_equal(a.status, NVME_OK);
	a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_CREATE_SQ,
					 .dptr = { IOVA(SQ_AT(q)) },
					 .cdw10 = q | (Q_SIZE - 1) << 16,
					 .cdw11 = 1 | q << 16 });
	assert_int_equal(a.status, NVME_OK);
}

/* Read or write @blocks at @lba, data at @at of test memory, page aligned and at most two pages. */
static inline struct nvme_sqe nio(uint8_t opcode, uint64_t lba, uint32_t blocks, uint64_t at)
{
	return (struct nvme_sqe){ .opcode = opcode,
				  .nsid = 1,
				  .dptr = { IOVA(at), IOVA(at) + 4096 },
				  .cdw10 = (uint32_t)lba,
				  .cdw11 = (uint32_t)(lba >> 32),
				  .cdw12 = blocks - 1 };
}

static inline void nrig_up(struct nrig *r, const char *spec, const char *peer)
{
	memset(r, 0, sizeof(*r));
	rig_up(&r->rig, "sme", spec, peer);
	r->reg = cbit_pci_bar(r->rig.pci[0], 0)->memory;
	nenable(r);
}

/* A teardown of cmocka. */
static inline int nrig_free(void **state)
{
	struct nrig *r = *state;

	rig_down(&r->rig);
	free(r);
	return 0;
}

static inline void pattern(struct nrig *r, uint64_t at, size_t len, unsigned int seed)
{
	uint8_t *buf = malloc(len);

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i * 7 + (i >> 9) * 13 + seed);
	ram_write(&r->rig, at, buf, len);
	free(buf);
}

#endif
