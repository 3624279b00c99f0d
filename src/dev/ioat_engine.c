/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ioat engine: runs descriptors, a few in the thread that rang the doorbell, the rest on
 * a worker.
 *
 * Exactly one thread runs the queue (@running). It drops the device's lock for each DMA
 * (begin()/end()), and afterwards looks at the generation: a RESET or a new chain in the
 * meantime means that what it moved counts for nothing. A completion is written before CHANSTS
 * changes, and CHANERR is set before either, because DPDK looks at the completion word first.
 */
#include "ioat.h"
#include "pci_fault.h"
#include "../mem/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct budget {
	uint64_t bytes;
	unsigned int descs;
};

static const struct budget unlimited = { UINT64_MAX, UINT32_MAX };

int ioat_engine_init(struct ioat *ioat)
{
	pthread_cond_init(&ioat->wake, NULL);
	pthread_cond_init(&ioat->idle, NULL);
	ioat->chunk = malloc(IOAT_CHUNK);
	return ioat->chunk ? 0 : -ENOMEM;
}

static uint16_t pending(const struct ioat *ioat)
{
	return (uint16_t)(ioat->dmacount - ioat->executed);
}

/* Around a DMA: end() is false when the channel was reset or chained anew in between. */
static uint64_t begin(struct ioat *ioat)
{
	uint64_t generation = ioat->generation;

	ioat->moving = true;
	pthread_mutex_unlock(&ioat->pci->lock);
	return generation;
}

static bool end(struct ioat *ioat, uint64_t generation)
{
	pthread_mutex_lock(&ioat->pci->lock);
	ioat->moving = false;
	ioat->resetting = false;
	pthread_cond_broadcast(&ioat->idle);
	return ioat->generation == generation;
}

static void interrupt(struct ioat *ioat)
{
	/* With a table of vectors nobody asks which channel it was. */
	if (!(ioat->intrctrl & IOAT_INTRCTRL_MSIX_CONTROL)) {
		ioat->attention = true;
		ioat_pin(ioat);
	}
	/* One channel, so vector 0; MSI-X needs one enable bit, MSI the other. */
	if (ioat->intrctrl & (IOAT_INTRCTRL_MASTER_EN | IOAT_INTRCTRL_MSIX_CONTROL))
		pci_irq_raise(ioat->pci, 0);
}

/* A posted write that nothing decoded is lost, and the device never knows. */
static bool write_arrived(enum pci_dma status)
{
	return status == PCI_DMA_OK || status == PCI_DMA_ABORT;
}

/*
 * What a device sees of a read that nothing decoded depends on the platform; all ones as data
 * is what AMD's hosts are assumed to give (docs: the master abort parameter), so it is no
 * error either.
 */
static bool read_arrived(enum pci_dma status)
{
	return status == PCI_DMA_OK || status == PCI_DMA_ABORT;
}

/* Write the completion word; false when the channel is no longer ours. *@ok: it arrived. */
static bool complete(struct ioat *ioat, uint64_t word, bool *ok)
{
	uint64_t at = ioat->chancmp;
	uint64_t generation;

	*ok = false;
	if (at % sizeof(word))
		return true;
	generation = begin(ioat);
	*ok = write_arrived(pci_dma_write(ioat->pci, at, &word, sizeof(word), NULL));
	return end(ioat, generation);
}

static void set_error(struct ioat *ioat, uint32_t bits)
{
	struct cbit_pci *pci = ioat->pci;

	ioat->chanerr |= bits;
	pci_config_set32(pci, IOAT_PCI_CHANERR_INT,
			 pci_config_get32(pci, IOAT_PCI_CHANERR_INT) | bits);
}

/* Stop with @bits in CHANERR. @control: of the descriptor that failed, 0 if it is not known. */
static void fail(struct ioat *ioat, uint32_t bits, uint32_t control)
{
	bool ok = true;

	set_error(ioat, bits);
	if (control & IOAT_CTL_COMPLETION || ioat->chanctrl & IOAT_CHANCTRL_ERR_COMPLETION)
		if (!complete(ioat, ioat->last | IOAT_HALTED, &ok))
			return;
	if (!ok)
		set_error(ioat, IOAT_ERR_COMPLETION);
	ioat->cur_valid = false;
	ioat->suspending = false;
	ioat->state = IOAT_HALTED;
	/* Only who asks for them gets interrupts for errors; the selftest must not. */
	if (ioat->chanctrl & IOAT_CHANCTRL_ERR_INT)
		interrupt(ioat);
}

/* Find the next descriptor's address and read it. False: the channel changed or failed. */
static bool fetch(struct ioat *ioat)
{
	enum pci_dma status;
	struct ioat_desc desc;
	uint64_t generation, from;

	if (!ioat->next_known) {
		uint64_t at = ioat->last + offsetof(struct ioat_desc, next);
		uint64_t next;

		generation = begin(ioat);
		status = pci_dma_read(ioat->pci, at, &next, sizeof(next), NULL);
		if (!end(ioat, generation))
			return false;
		if (!read_arrived(status)) {
			fail(ioat, IOAT_ERR_READ_DATA, 0);
			return false;
		}
		ioat->next = next;
		ioat->next_known = true;
	}
	if (ioat->next % IOAT_DESC_ALIGN) {
		fail(ioat, ioat->chained ? IOAT_ERR_NEXT_ALIGN : IOAT_ERR_CHAIN_ADDRESS, 0);
		return false;
	}
	ioat->cur_linked = pending(ioat) > 1;
	from = ioat->next;
	generation = begin(ioat);
	status = pci_dma_read(ioat->pci, from, &desc, sizeof(desc), NULL);
	if (!end(ioat, generation))
		return false;
	if (!read_arrived(status)) {
		fail(ioat, IOAT_ERR_READ_DATA, 0);
		return false;
	}
	ioat->cur = desc;
	ioat->cur_valid = true;
	return true;
}

/* What is wrong with a descriptor before anything moves. */
static uint32_t check(const struct ioat_desc *desc)
{
	uint32_t op = IOAT_CTL_OP(desc->control);

	if (op != IOAT_OP_COPY && op != IOAT_OP_FILL)
		return IOAT_ERR_CONTROL;
	if (!desc->size || desc->size > 1u << IOAT_XFERCAP_LOG2)
		return IOAT_ERR_LENGTH;
	return 0;
}

/* Move @len bytes at @offset of the descriptor, unlocked. Return: CHANERR bits. */
static uint32_t move_chunk(struct ioat *ioat, const struct ioat_desc *desc, uint64_t offset,
			   size_t len)
{
	enum pci_dma read = PCI_DMA_OK, write;

	if (IOAT_CTL_OP(desc->control) == IOAT_OP_FILL) {
		for (size_t i = 0; i < len; i += sizeof(desc->source))
			memcpy(ioat->chunk + i, &desc->source, sizeof(desc->source));
		write = pci_dma_write(ioat->pci, desc->destination + offset, ioat->chunk, len,
				      NULL);
	} else {
		pci_dma_copy(ioat->pci, desc->destination + offset, desc->source + offset, len,
			     ioat->chunk, IOAT_CHUNK, &read, &write, NULL);
	}
	return (read_arrived(read) ? 0 : IOAT_ERR_SOURCE) |
	       (write_arrived(write) ? 0 : IOAT_ERR_DESTINATION);
}

/* The descriptor is done, but nobody is told yet. False: the channel has changed meanwhile. */
static bool late(struct ioat *ioat, uint64_t until_ns)
{
	uint64_t generation = ioat->generation;

	while (ioat->generation == generation && !ioat->stop && !ioat->frozen &&
	       pci_fault_wait(until_ns, &ioat->wake, &ioat->pci->lock))
		continue;
	return ioat->generation == generation;
}

/* Run the descriptor in @cur to its end. False: the channel changed or failed. */
static bool execute(struct ioat *ioat)
{
	const struct ioat_desc desc = ioat->cur;
	const uint64_t at = ioat->next;
	uint32_t error = check(&desc);
	uint64_t size = desc.control & IOAT_CTL_NULL ? 0 : desc.size;
	struct pci_fault_end end_as = { 0 };
	bool ok = true;

	if (pci_faulty(ioat->pci) && !error) {
		end_as = pci_fault_command(ioat->pci, 0, "descriptor at IOVA", at,
					   IOAT_ERR_WRITE_DATA, UINT32_MAX);
		error = end_as.status;
	}
	for (uint64_t offset = 0; !error && offset < size; offset += IOAT_CHUNK) {
		uint64_t left = size - offset;
		uint64_t generation = begin(ioat);

		error = move_chunk(ioat, &desc, offset, left < IOAT_CHUNK ? left : IOAT_CHUNK);
		if (!end(ioat, generation))
			return false;
	}
	if (end_as.until_ns && !late(ioat, end_as.until_ns))
		return false;
	if (error) {
		fail(ioat, error, desc.control);
		return false;
	}
	if (desc.control & IOAT_CTL_COMPLETION) {
		enum ioat_state state = pending(ioat) > 1 ? IOAT_ACTIVE : IOAT_DONE;

		if (!complete(ioat, at | state, &ok))
			return false;
	}
	ioat->executed++;
	ioat->last = at;
	ioat->next = desc.next;
	ioat->next_known = ioat->cur_linked;
	ioat->chained = true;
	ioat->cur_valid = false;
	if (!ok) {
		fail(ioat, IOAT_ERR_COMPLETION, 0);
		return false;
	}
	return true;
}

/* After a descriptor, or between reading and running one: what the channel does next. */
static void settle(struct ioat *ioat)
{
	if (ioat->suspending) {
		ioat->suspending = false;
		ioat->cur_valid = false;
		ioat->state = IOAT_SUSPENDED;
	} else if (!pending(ioat)) {
		ioat->state = IOAT_DONE;
	}
}

/* Run the queue. False when the budget ended before it. */
static bool run(struct ioat *ioat, struct budget left)
{
	while (ioat->state == IOAT_ACTIVE && !ioat->stop && !ioat->frozen) {
		uint32_t control;

		if (!ioat->cur_valid) {
			if (!left.descs)
				return false;
			left.descs--;
			if (!fetch(ioat))
				continue;
			settle(ioat);
			if (ioat->state != IOAT_ACTIVE)
				continue;
		}
		control = ioat->cur.control;
		if (!(control & IOAT_CTL_NULL)) {
			if (ioat->cur.size > left.bytes)
				return false;
			left.bytes -= ioat->cur.size;
		}
		if (!execute(ioat))
			continue;
		settle(ioat);
		if (control & IOAT_CTL_INTERRUPT)
			interrupt(ioat);
	}
	return true;
}

static void *worker_main(void *arg)
{
	struct ioat *ioat = arg;

	pthread_mutex_lock(&ioat->pci->lock);
	while (!ioat->stop) {
		if (!ioat->handed) {
			pthread_cond_wait(&ioat->wake, &ioat->pci->lock);
			continue;
		}
		ioat->handed = false;
		run(ioat, unlimited);
		ioat->running = false;
		pthread_cond_broadcast(&ioat->idle);
	}
	pthread_mutex_unlock(&ioat->pci->lock);
	return NULL;
}

static bool worker_ready(struct ioat *ioat)
{
	if (ioat->worker_exists)
		return true;
	ioat->worker_exists = !mem_thread_start_worker(&ioat->worker, worker_main, ioat);
	return ioat->worker_exists;
}

static void at_rest(struct ioat *ioat)
{
	ioat->running = false;
	pthread_cond_broadcast(&ioat->idle);
}

/* Whoever runs the queue already sees what is new in it before it leaves. */
static void start(struct ioat *ioat, bool inline_ok)
{
	const struct budget small = { IOAT_INLINE_BYTES, IOAT_INLINE_DESCS };

	if (ioat->running || ioat->frozen)
		return;
	ioat->running = true;
	/* Nobody waits in a doorbell write. */
	inline_ok &= !(pci_faulty(ioat->pci) && pci_fault_delays(ioat->pci));
	if (inline_ok && run(ioat, small)) {
		at_rest(ioat);
	} else if (worker_ready(ioat)) {
		ioat->handed = true;
		pthread_cond_signal(&ioat->wake);
	} else {
		/* No thread to be had: slow is better than lost. */
		run(ioat, unlimited);
		at_rest(ioat);
	}
}

void ioat_engine_kick(struct ioat *ioat, bool inline_ok)
{
	if (ioat->state == IOAT_HALTED || ioat->state == IOAT_SUSPENDED || !pending(ioat))
		return;
	ioat->state = IOAT_ACTIVE;
	start(ioat, inline_ok);
}

void ioat_engine_freeze(struct ioat *ioat, bool on)
{
	ioat->frozen = on;
	if (!on) {
		if (ioat->state == IOAT_ACTIVE)
			start(ioat, true);
		return;
	}
	/*
	 * The descriptor under way is carried out, and one that was to end late ends now; one that
	 * has been read ahead is read again.
	 */
	pthread_cond_broadcast(&ioat->wake);
	while (ioat->running && ioat->frozen)
		pthread_cond_wait(&ioat->idle, &ioat->pci->lock);
	ioat->cur_valid = false;
}

/* Forget the chain; a DMA under way counts for nothing any more. */
static void forget(struct ioat *ioat, enum ioat_state state)
{
	ioat->generation++;
	pthread_cond_broadcast(&ioat->wake);
	ioat->state = state;
	ioat->dmacount = 0;
	ioat->executed = 0;
	ioat->last = 0;
	ioat->next = 0;
	ioat->next_known = true;
	ioat->chained = false;
	ioat->cur_valid = false;
	ioat->suspending = false;
}

void ioat_engine_reset(struct ioat *ioat)
{
	forget(ioat, IOAT_HALTED);
	ioat->resetting = ioat->moving;
}

void ioat_engine_chain(struct ioat *ioat)
{
	forget(ioat, IOAT_ARMED);
	ioat->next = ioat->chainaddr;
}

void ioat_engine_suspend(struct ioat *ioat)
{
	/* A channel that halted on an error stays halted: the error is not to be lost. */
	if (ioat->state == IOAT_HALTED)
		return;
	if (ioat->moving && ioat->state == IOAT_ACTIVE) {
		ioat->suspending = true;
		return;
	}
	ioat->cur_valid = false;
	ioat->state = IOAT_SUSPENDED;
}

void ioat_engine_drain(struct ioat *ioat)
{
	while (ioat->moving)
		pthread_cond_wait(&ioat->idle, &ioat->pci->lock);
}

void ioat_engine_stop(struct ioat *ioat)
{
	pthread_mutex_lock(&ioat->pci->lock);
	ioat_engine_reset(ioat);
	ioat->stop = true;
	pthread_cond_signal(&ioat->wake);
	ioat_engine_drain(ioat);
	pthread_mutex_unlock(&ioat->pci->lock);
	if (ioat->worker_exists)
		pthread_join(ioat->worker, NULL);
	pthread_cond_destroy(&ioat->wake);
	pthread_cond_destroy(&ioat->idle);
	free(ioat->chunk);
}
