/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nvme controller against whatever a client may do: registers, doorbells, queue entries, PRP
 * and SGL lists, doorbells in memory, resets. There are no threads: after each step the controller
 * looks as its worker does, until it finds nothing more to do. That must come soon, rings stay
 * rings, and nothing is left in hand.
 *
 * An input is steps of the form that step() reads; tests/fuzz/seeds_nvme.py writes some.
 */
#include "fuzz_device.h"

#include <unistd.h>

#include "dev/nvme.h"

#define CMB_IOVA (RAM_IOVA + RAM_SIZE) /* they touch */
#define CMB_SIZE 0x10000u
#define PMR_IOVA (CMB_IOVA + CMB_SIZE) /* and so do these */
#define PMR_SIZE 0x10000u
#define DISK     0x40000u
#define QUEUES   4u
/* A look takes one batch of each queue; a ring of 4096 entries is empty after this many. */
#define LOOKS   4096u
#define ENTRIES 64u

struct rig {
	struct machine m;
	struct nvme *n;
	uint32_t tails[QUEUES]; /* of commands that are not rung for yet */
};

static void plug(struct rig *r)
{
	machine_plug(&r->m, "nvme,size=256K,cmb=64K,pmr=64K", NVME_VECTORS);
	r->n = r->m.pci->state;
	/* What opening it does, but for the thread. */
	atomic_store(&r->m.pci->in_use, true);
	r->n->worker[0].in = malloc(NVME_DATA_MAX);
	r->n->worker[0].out = malloc(NVME_DATA_MAX);
	FUZZ_CHECK(r->n->worker[0].in && r->n->worker[0].out);
}

static void check(const struct rig *r)
{
	const struct nvme *n = r->n;
	unsigned int users[NVME_QUEUES] = { 0 };

	for (unsigned int i = 0; i < NVME_QUEUES; i++) {
		const struct nvme_sq *sq = &n->sq[i];
		const struct nvme_cq *cq = &n->cq[i];

		if (sq->exists) {
			FUZZ_CHECK(sq->size >= 2 && sq->head < sq->size && sq->tail < sq->size);
			FUZZ_CHECK(n->cq[sq->cqid].exists);
			users[sq->cqid]++;
		}
		if (cq->exists)
			FUZZ_CHECK(cq->size >= 2 && cq->head < cq->size && cq->tail < cq->size);
	}
	for (unsigned int i = 0; i < NVME_QUEUES; i++)
		FUZZ_CHECK(!n->cq[i].exists || n->cq[i].users == users[i]);
	FUZZ_CHECK(n->nr_aer + n->nr_aborted <= NVME_AERS && n->nr_event <= NVME_EVENTS);
	FUZZ_CHECK(!n->stopping && !n->scanning && !n->worker[0].busy);
	FUZZ_CHECK(n->regs[NVME_CSTS / 4] == n->csts && n->regs[NVME_VS / 4] == NVME_VS_1_4);
	FUZZ_CHECK(n->ns[0].blocks << n->ns[0].shift == DISK);
	FUZZ_CHECK((n->regs[NVME_PMRCTL / 4] & NVME_PMRCTL_EN) == atomic_load(&n->pmr.ready));
	FUZZ_CHECK(!atomic_load(&n->pmr.ready) || !(n->regs[NVME_PMRSTS / 4] & NVME_PMRSTS_NRDY));
	FUZZ_CHECK(!n->pmr.on || n->pmr.base <= UINT64_MAX - (PMR_SIZE - 1));
	FUZZ_CHECK(!n->pmr.on || !n->cmb_on || n->pmr.base > n->cmb_base + (CMB_SIZE - 1) ||
		   n->cmb_base > n->pmr.base + (PMR_SIZE - 1));
}

static void work(struct rig *r)
{
	unsigned int looks = 0;

	while (nvme_worker_look(&r->n->worker[0]))
		FUZZ_CHECK(++looks < LOOKS);
	pthread_mutex_lock(&r->m.pci->lock);
	nvme_queue_strays(r->n);
	pthread_mutex_unlock(&r->m.pci->lock);
	check(r);
}

static void store(struct rig *r, uint32_t reg, uint32_t v)
{
	__atomic_store_n(&r->n->regs[reg / 4], v, __ATOMIC_RELEASE);
}

static void enable(struct rig *r)
{
	store(r, NVME_AQA, 0x001f001f);
	store(r, NVME_ASQ, (uint32_t)RAM_IOVA);
	store(r, NVME_ASQ + 4, 0);
	store(r, NVME_ACQ, (uint32_t)RAM_IOVA + 0x1000);
	store(r, NVME_ACQ + 4, 0);
	store(r, NVME_CMBMSC, CMB_IOVA | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	store(r, NVME_PMRMSCU, (uint32_t)(PMR_IOVA >> 32));
	store(r, NVME_PMRMSCL, (uint32_t)(PMR_IOVA | NVME_PMRMSC_CMSE));
	store(r, NVME_PMRCTL, NVME_PMRCTL_EN);
	store(r, NVME_CC, NVME_CC_EN | 6u << 16 | 4u << 20);
	work(r);
	FUZZ_CHECK(r->n->csts == NVME_CSTS_RDY);
}

/* Machine and device are kept; the controller is as new, and enabled with queues if asked for. */
static struct rig *up(uint8_t how)
{
	static const uint8_t zeroes[PMR_SIZE];
	static struct rig kept;
	struct rig *r = &kept;

	if (!r->m.mem)
		plug(r);
	memset(r->tails, 0, sizeof(r->tails));
	machine_reset(&r->m);
	memset(r->m.pci->bar[NVME_CMB_BAR].memory, 0, CMB_SIZE);
	FUZZ_CHECK(pwrite(r->n->pmr.fd, zeroes, PMR_SIZE, 0) == (ssize_t)PMR_SIZE);
	r->n->ns[0].shift = how & 4 ? NVME_SHIFT_MAX : NVME_SHIFT_MIN;
	r->n->ns[0].blocks = DISK >> r->n->ns[0].shift;
	if (how & 1)
		enable(r);
	for (uint16_t q = 1; how & 1 && how & 2 && q < QUEUES; q++) {
		const uint32_t size = 4u << (4 * (q - 1));

		pthread_mutex_lock(&r->m.pci->lock);
		nvme_queue_create_cq(r->n, q, 16, RAM_IOVA + 0x2000 * q, true, q);
		nvme_queue_create_sq(r->n, q, q, size, RAM_IOVA + 0x2000 * q + 0x1000);
		pthread_mutex_unlock(&r->m.pci->lock);
	}
	return r;
}

/* An address: one of our memories, their edges, the end of all, or as it comes. */
static uint64_t address(struct input *in)
{
	uint8_t form = take8(in);

	switch (form >> 5) {
	case 0:
	case 1:
		return RAM_IOVA + (form & 31u) * 4096;
	case 2:
		return PMR_IOVA + (form & 15u) * 4096 + (form & 16 ? take16(in) : 0);
	case 3:
		return RAM_IOVA + (form & 31u) * 4096 + take16(in);
	case 4:
		return CMB_IOVA + (form & 15u) * 4096 + (form & 16 ? take16(in) : 0);
	case 5:
		return CMB_IOVA + (form & 16 ? CMB_SIZE : 0) - (form & 15u) * 4 - 4;
	case 6:
		return -(uint64_t)(form & 31u) * 4096 - take8(in);
	default:
		return take64(in);
	}
}

static void entries(struct rig *r, struct input *in, uint8_t op)
{
	uint64_t to = address(in), at = address(in);
	unsigned int nr = take8(in) % ENTRIES + 1;
	struct nvme_sgl sgl = { 0 };

	sgl.len = take16(in);
	sgl.id = take8(in);
	for (unsigned int i = 0; i < nr; i++) {
		sgl.addr = at;
		if (op & 0x10)
			nvme_data_write(r->n, to + 8 * i, &at, sizeof(at));
		else
			nvme_data_write(r->n, to + 16 * i, &sgl, sizeof(sgl));
		at += op & 0x10 ? 4096u : (op & 0x20 ? sgl.len : 0);
	}
	/* and where it goes on, or a last one of another kind */
	if (op & 0x40) {
		sgl.addr = address(in);
		sgl.id = take8(in);
		nvme_data_write(r->n, to + (op & 0x10 ? 8 : 16) * (uint64_t)nr, &sgl,
				op & 0x10 ? 8 : sizeof(sgl));
	}
}

/* A command at the tail of a queue; rung unless more are to follow. */
static void command(struct rig *r, struct input *in, uint8_t op)
{
	const unsigned int q = op >> 4 & 3, more = op >> 6 & 1;
	struct nvme_sq *sq = &r->n->sq[q];
	struct nvme_sqe sqe = { .opcode = take8(in), .flags = take8(in), .cid = take8(in) };
	uint32_t *tails = r->tails;
	uint8_t form = take8(in);

	sqe.nsid = form & 1 ? 1 : form & 2 ? UINT32_MAX : form >> 4;
	if (sqe.flags >> 6 == NVME_PSDT_SGL) {
		struct nvme_sgl sgl = { .addr = address(in), .len = take16(in), .id = take8(in) };

		memcpy(sqe.dptr, &sgl, sizeof(sgl));
	} else {
		sqe.dptr[0] = address(in);
		sqe.dptr[1] = address(in);
	}
	/* Small numbers in few bytes, so that many are good. */
	sqe.cdw10 = form & 4 ? take32(in) : take8(in);
	sqe.cdw11 = form & 8 ? take32(in) : op & 0x80 ? take8(in) : 0;
	sqe.cdw12 = form & 4 ? take32(in) : take8(in);
	if (form & 8)
		sqe.cdw13 = take32(in);
	if (!sq->exists)
		return;
	if (tails[q] >= sq->size || !more)
		tails[q] = sq->tail;
	nvme_data_write(r->n, sq->addr + tails[q] * sizeof(sqe), &sqe, sizeof(sqe));
	tails[q] = (tails[q] + 1) % sq->size;
	if (!more)
		store(r, NVME_DOORBELLS + 8 * q, tails[q]);
}

static void take_completions(struct rig *r)
{
	for (unsigned int q = 0; q < NVME_QUEUES; q++) {
		if (r->n->cq[q].exists)
			store(r, NVME_DOORBELLS + 8 * q + 4, r->n->cq[q].tail);
	}
}

static void others(struct rig *r, struct input *in, uint8_t op)
{
	uint32_t v = take32(in), at = take16(in);
	uint8_t size = (uint8_t)(1u << (op >> 4 & 3));

	switch (op >> 6) {
	case 0:
		/* what is not a store of the client, or not to registers */
		if (op & 8) {
			cbit_pci_bar_write(r->m.pci, NVME_PMR_BAR, at, &v, size > 4 ? 4 : size);
			cbit_pci_bar_read(r->m.pci, NVME_PMR_BAR, at, &v, size > 4 ? 4 : size);
			break;
		}
		at = at % 0x1200u & ~(size - 1u);
		cbit_pci_bar_write(r->m.pci, NVME_REG_BAR, at, &v, size > 4 ? 4 : size);
		break;
	case 1:
		at = at % 256u & ~(size - 1u);
		cbit_pci_config_write(r->m.pci, at, &v, size > 4 ? 4 : size);
		break;
	case 2:
		cbit_pci_set_irqs_enabled(r->m.pci, at % 3, v % (NVME_VECTORS + 1));
		break;
	default:
		cbit_pci_reset(r->m.pci);
		break;
	}
}

static void step(struct rig *r, struct input *in)
{
	static const uint16_t registers[] = {
		NVME_CC,      NVME_AQA,        NVME_ASQ,    NVME_ASQ + 4, NVME_ACQ,   NVME_CAP,
		NVME_CMBMSC,  NVME_CMBMSC + 4, NVME_CSTS,   NVME_NSSR,    NVME_INTMS, NVME_INTMC,
		NVME_ACQ + 4, NVME_CMBLOC,     NVME_PMRCTL, NVME_VS
	};
	static const uint16_t memories[] = { NVME_PMRCTL, NVME_PMRMSCL, NVME_PMRMSCU, NVME_PMRSTS,
					     NVME_PMRCAP, NVME_PMREBS,  NVME_PMRSWTP, NVME_CMBMSC };
	const uint8_t op = take8(in);
	uint64_t at, v;

	switch (op & 7) {
	case 0:
		store(r, op & 8 ? memories[op >> 5] : registers[op >> 4], take32(in));
		break;
	case 1:
		v = take8(in);
		store(r, NVME_DOORBELLS + 4 * (op >> 3 & 7), op & 0x40 ? take32(in) : (uint32_t)v);
		break;
	case 2:
		at = address(in);
		v = op & 8 ? take64(in) : take8(in);
		nvme_data_write(r->n, at, &v, op & 8 ? 8 : 4);
		break;
	case 3:
		entries(r, in, op);
		break;
	case 4:
		take_completions(r);
		break;
	case 5:
		others(r, in, op);
		break;
	default:
		command(r, in, op);
		break;
	}
	work(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct rig *r = up(take8(&in));

	for (unsigned int i = 0; i < 200 && in.left; i++)
		step(r, &in);
	return 0;
}
