/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues: what a doorbell says, taking commands, and handing their results back.
 *
 * A doorbell is taken by exchanging it for a value that no client writes, so every ring is seen,
 * that of the same value too. Heads and tails only ever go forward, and one that was overwritten
 * before it was seen is contained in the next.
 */
#include "nvme.h"
#include "pci_fault.h"

#include <string.h>

/* Looks at a doorbell in the host's memory that changes each time, before others have a turn. */
#define SHADOW_LOOKS 16u

#define DOORBELL_TAIL(id) ((size_t)2 * (id))
#define DOORBELL_HEAD(id) ((size_t)2 * (id) + 1)

static uint32_t take_doorbell(struct nvme *n, size_t index)
{
	uint32_t *at = &n->doorbell[index];

	if (__atomic_load_n(at, __ATOMIC_RELAXED) == NVME_DOORBELL_NONE)
		return NVME_DOORBELL_NONE;
	return __atomic_exchange_n(at, NVME_DOORBELL_NONE, __ATOMIC_ACQ_REL);
}

unsigned int nvme_queue_room(const struct nvme_cq *cq)
{
	return (cq->head + cq->size - cq->tail - 1) % cq->size;
}

static unsigned int pending(const struct nvme_sq *sq)
{
	return (sq->tail + sq->size - sq->head) % sq->size;
}

/*
 * With Doorbell Buffer Config the host writes its doorbells to memory, and rings only when it goes
 * past the event index that we put beside. What was there is told before it is read once more, or a
 * step in between would stay unnoticed. @settled: nothing new came since; otherwise somebody must
 * look again without being rung for. The lock is dropped.
 */
static uint32_t shadow_look(struct nvme *n, size_t index, uint32_t now, bool *settled)
{
	const uint64_t db = n->shadow_db + UINT64_C(4) * index,
		       ei = n->shadow_ei + UINT64_C(4) * index;
	uint32_t v, seen = now;

	*settled = false;
	pthread_mutex_unlock(&n->pci->lock);
	for (unsigned int i = 0; i < SHADOW_LOOKS && !*settled; i++) {
		*settled = !nvme_data_write(n, ei, &seen, sizeof(seen)) ||
			   !nvme_data_read(n, db, &v, sizeof(v)) || v == seen;
		if (!*settled)
			seen = v;
	}
	pthread_mutex_lock(&n->pci->lock);
	return seen;
}

void nvme_queue_head(struct nvme *n, struct nvme_cq *cq)
{
	uint32_t head = take_doorbell(n, DOORBELL_HEAD(cq->id));
	const bool rung = head != NVME_DOORBELL_NONE;
	bool settled;

	if (n->shadowed && cq->id)
		head = shadow_look(n, DOORBELL_HEAD(cq->id), cq->head, &settled);
	if (head == NVME_DOORBELL_NONE || !cq->exists)
		return;
	/* The host cannot have taken what is not there. In its memory that stays, and is told once.
	 */
	if (head >= cq->size ||
	    (head + cq->size - cq->head) % cq->size > (cq->tail + cq->size - cq->head) % cq->size) {
		if (rung || !cq->bad) {
			nvme_log_error(n, cq->id, NULL);
			nvme_log_event(n, NVME_EVENT_BAD_VALUE);
		}
		cq->bad = true;
		return;
	}
	cq->bad = false;
	cq->head = head;
	if (atomic_load_explicit(&n->pin, memory_order_relaxed))
		nvme_pin(n);
}

/* A tail that the host has rung, or written to the shadow. */
static void new_tail(struct nvme *n, struct nvme_sq *sq, uint32_t tail)
{
	/* More than the ring holds is no tail; the host must write another one first. */
	if (tail >= sq->size) {
		if (!sq->bad) {
			nvme_log_error(n, sq->id, NULL);
			nvme_log_event(n, NVME_EVENT_BAD_VALUE);
		}
		sq->bad = true;
		return;
	}
	sq->bad = false;
	sq->tail = tail;
}

static void set_waiting(struct nvme *n, struct nvme_sq *sq, bool settled)
{
	_Atomic uint64_t *waiting = &n->worker[sq->worker].waiting;
	const uint64_t bit = (uint64_t)1 << sq->id;

	if (pending(sq) || !settled)
		atomic_fetch_or_explicit(waiting, bit, memory_order_relaxed);
	else if (atomic_load_explicit(waiting, memory_order_relaxed) & bit)
		atomic_fetch_and_explicit(waiting, ~bit, memory_order_relaxed);
}

/* Locked. Fill in the batch with what there is to do; how many commands that are. */
static unsigned int take(struct nvme_worker *w, uint16_t id)
{
	struct nvme *n = w->n;
	struct nvme_batch *b = &w->batch;
	struct nvme_sq *sq = &n->sq[id];
	struct nvme_cq *cq = &n->cq[sq->cqid];
	bool settled = true;
	unsigned int nr;
	uint32_t tail;

	if (n->stopping || n->halted || !sq->exists || sq->worker != w->index)
		return 0;
	/* Nobody takes the queue away while we are busy, though the lock may be dropped below. */
	w->busy = true;
	tail = take_doorbell(n, DOORBELL_TAIL(id));
	if (pci_faulty(n->pci) && tail != NVME_DOORBELL_NONE &&
	    pci_fault_doorbell(n->pci, id, "tail of queue", id, tail))
		tail = NVME_DOORBELL_NONE;
	if (n->shadowed && id)
		tail = shadow_look(n, DOORBELL_TAIL(id), sq->tail, &settled);
	if (tail != NVME_DOORBELL_NONE)
		new_tail(n, sq, tail);
	nr = pending(sq);
	if (nr > nvme_queue_room(cq))
		nvme_queue_head(n, cq);
	if (nr > nvme_queue_room(cq))
		nr = nvme_queue_room(cq);
	if (nr > NVME_BATCH)
		nr = NVME_BATCH;
	if (n->stopping)
		nr = 0;
	/* What was written to a register before the doorbell comes first: another look. */
	if (nr && nvme_regs_touched(n)) {
		if (w->index)
			nvme_kick(n, 0);
		nr = 0;
	}
	b->sqid = id;
	b->cqid = sq->cqid;
	b->nr = nr;
	b->first = sq->head;
	b->size = sq->size;
	b->addr = sq->addr;
	b->mps = nvme_page_shift(n);
	b->durable = atomic_load_explicit(&n->cache_off, memory_order_relaxed);
	sq->head = (sq->head + nr) % sq->size;
	set_waiting(n, sq, settled);
	return nr;
}

/* Locked. */
static void done(struct nvme_worker *w)
{
	w->busy = false;
	if (w->n->stopping)
		pthread_cond_broadcast(&w->n->idle);
}

static bool fetch(struct nvme_worker *w)
{
	struct nvme_batch *b = &w->batch;
	struct nvme_sqe sqe[NVME_BATCH];
	unsigned int first = b->size - b->first;

	if (first > b->nr)
		first = b->nr;
	if (!nvme_data_read(w->n, b->addr + b->first * sizeof(sqe[0]), sqe,
			    first * sizeof(sqe[0])) ||
	    (b->nr > first &&
	     !nvme_data_read(w->n, b->addr, sqe + first, (b->nr - first) * sizeof(sqe[0]))))
		return false;
	for (unsigned int i = 0; i < b->nr; i++)
		b->cmd[i].sqe = sqe[i];
	return true;
}

void nvme_queue_complete(struct nvme *n, uint16_t cqid, uint16_t sqid, struct nvme_cqe *cqe,
			 unsigned int nr)
{
	struct nvme_cq *cq = &n->cq[cqid];
	const uint32_t at = cq->tail, size = cq->size;
	const uint64_t addr = cq->addr;
	unsigned int first = size - at;
	bool ok;

	if (first > nr)
		first = nr;
	for (unsigned int i = 0; i < nr; i++) {
		bool phase = i < first ? cq->phase : !cq->phase;

		cqe[i].sq_id = sqid;
		cqe[i].status = (uint16_t)(cqe[i].status << 1 | phase);
	}
	cq->tail = (at + nr) % size;
	if (at + nr >= size)
		cq->phase = !cq->phase;
	pthread_mutex_unlock(&n->pci->lock);
	/*
	 * The host looks at the last word. A DMA's words may come in any order, so where the first
	 * one says something it goes before.
	 */
	for (unsigned int i = 0; i < nr; i++) {
		if (cqe[i].result)
			nvme_data_write(n, addr + (at + i) % size * sizeof(cqe[0]), &cqe[i].result,
					sizeof(cqe[i].result));
	}
	ok = nvme_data_write(n, addr + at * sizeof(cqe[0]), cqe, first * sizeof(cqe[0]));
	if (nr > first)
		ok &= nvme_data_write(n, addr, cqe + first, (nr - first) * sizeof(cqe[0]));
	pthread_mutex_lock(&n->pci->lock);
	/* A queue whose memory is gone: the host will not look there. */
	if (ok && cq->exists && cq->ien) {
		if (!pci_irq_messages(n->pci))
			nvme_pin(n);
		else
			pci_irq_raise(n->pci, cq->vector);
	}
}

/* Whether the same command again can end otherwise. */
static unsigned int dnr(uint16_t status)
{
	switch (status) {
	case NVME_OK:
	case NVME_DATA_TRANSFER:
	case NVME_INTERNAL:
	case NVME_ABORTED:
	case NVME_CAPACITY:
	case NVME_WRITE_FAULT:
	case NVME_READ_ERROR:
		return 0;
	default:
		return NVME_DNR;
	}
}

/* Locked, dropping it. Results in the order of the commands; errors are logged first. */
static void complete(struct nvme_worker *w)
{
	struct nvme *n = w->n;
	struct nvme_batch *b = &w->batch;
	struct nvme_cqe cqe[NVME_BATCH];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < b->nr; i++) {
		struct nvme_cmd *cmd = &b->cmd[i];

		if (cmd->silent)
			continue;
		if (cmd->status & NVME_STATUS_MASK)
			nvme_log_error(n, b->sqid, cmd);
		cqe[nr] = (struct nvme_cqe){ .result = cmd->result,
					     .sq_head = (uint16_t)((b->first + i + 1) % b->size),
					     .cid = cmd->sqe.cid,
					     .status = (uint16_t)(cmd->status | dnr(cmd->status)) };
		if (!cmd->until_ns || !nvme_fault_hold(n, b, cmd, &cqe[nr]))
			nr++;
	}
	/* The admin command itself may have taken the queue away; a reset waits for us. */
	if (nr && n->cq[b->cqid].exists)
		nvme_queue_complete(n, b->cqid, b->sqid, cqe, nr);
}

bool nvme_queue_run(struct nvme_worker *w, uint16_t id)
{
	struct nvme *n = w->n;
	uint64_t since;
	unsigned int nr;
	bool ok;

	pthread_mutex_lock(&n->pci->lock);
	nr = take(w, id);
	if (!nr) {
		done(w);
		pthread_mutex_unlock(&n->pci->lock);
		return false;
	}
	pthread_mutex_unlock(&n->pci->lock);
	ok = fetch(w);
	if (ok && !id) {
		for (unsigned int i = 0; i < nr; i++)
			nvme_admin_run(w, &w->batch, &w->batch.cmd[i]);
	} else if (ok) {
		since = nvme_now();
		nvme_io_run(w, &w->batch);
		atomic_fetch_add_explicit(&n->stats.busy_ns, nvme_now() - since,
					  memory_order_relaxed);
	}
	pthread_mutex_lock(&n->pci->lock);
	if (ok)
		complete(w);
	else
		nvme_regs_fatal(n);
	done(w);
	pthread_mutex_unlock(&n->pci->lock);
	return true;
}

/* --- their life --- */

void nvme_queue_create_sq(struct nvme *n, uint16_t id, uint16_t cqid, uint32_t size, uint64_t addr)
{
	struct nvme_sq *sq = &n->sq[id];

	*sq = (struct nvme_sq){ .exists = true,
				.id = id,
				.cqid = cqid,
				.size = size,
				.addr = addr,
				.worker = id % n->nr_workers };
	n->cq[cqid].users++;
	/* What was written there before there was a queue is no ring of it. */
	__atomic_store_n(&n->doorbell[DOORBELL_TAIL(id)], NVME_DOORBELL_NONE, __ATOMIC_RELAXED);
	atomic_fetch_or(&n->worker[sq->worker].live, (uint64_t)1 << id);
	nvme_kick(n, sq->worker);
}

void nvme_queue_create_cq(struct nvme *n, uint16_t id, uint32_t size, uint64_t addr, bool ien,
			  uint16_t vector)
{
	n->cq[id] = (struct nvme_cq){ .exists = true,
				      .ien = ien,
				      .phase = true,
				      .id = id,
				      .vector = vector,
				      .size = size,
				      .addr = addr };
	__atomic_store_n(&n->doorbell[DOORBELL_HEAD(id)], NVME_DOORBELL_NONE, __ATOMIC_RELAXED);
}

void nvme_queue_delete_sq(struct nvme *n, uint16_t id)
{
	struct nvme_sq *sq = &n->sq[id];

	atomic_fetch_and(&n->worker[sq->worker].live, ~((uint64_t)1 << id));
	atomic_fetch_and(&n->worker[sq->worker].waiting, ~((uint64_t)1 << id));
	nvme_fault_forget(n, id);
	n->cq[sq->cqid].users--;
	sq->exists = false;
}

void nvme_queue_delete_cq(struct nvme *n, uint16_t id)
{
	n->cq[id].exists = false;
	nvme_pin(n);
}

void nvme_queues_clear(struct nvme *n)
{
	for (unsigned int i = 0; i < n->nr_workers; i++) {
		atomic_store(&n->worker[i].live, 0);
		atomic_store(&n->worker[i].waiting, 0);
	}
	nvme_fault_forget(n, -1);
	memset(n->sq, 0, sizeof(n->sq));
	memset(n->cq, 0, sizeof(n->cq));
	for (unsigned int i = 0; i < 2 * NVME_QUEUES; i++)
		__atomic_store_n(&n->doorbell[i], NVME_DOORBELL_NONE, __ATOMIC_RELAXED);
}

void nvme_queue_strays(struct nvme *n)
{
	for (uint16_t id = 0; id < NVME_QUEUES; id++) {
		bool stray = false;

		if (!n->sq[id].exists)
			stray |= take_doorbell(n, DOORBELL_TAIL(id)) != NVME_DOORBELL_NONE;
		if (!n->cq[id].exists)
			stray |= take_doorbell(n, DOORBELL_HEAD(id)) != NVME_DOORBELL_NONE;
		if (!stray || !(n->csts & NVME_CSTS_RDY))
			continue;
		nvme_log_error(n, id, NULL);
		nvme_log_event(n, NVME_EVENT_BAD_DOORBELL);
	}
}
