/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dsa engine: takes descriptors from the queues in the order they came, a few in the
 * thread that wrote the portal, the rest on a worker.
 *
 * Exactly one thread runs the queues (@running). It drops the device's lock for each DMA
 * (begin()/end()), and afterwards looks at the generation: a reset or abort in the meantime
 * means that what it moved counts for nothing.
 */
#include "dsa.h"
#include "pci_fault.h"
#include "../mem/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Work done by the thread that writes the portal. */
#define INLINE_BYTES ((uint64_t)256 * 1024)
#define INLINE_STEPS 64u

struct budget {
	uint64_t bytes;
	unsigned int steps;
};

static const struct budget unlimited = { UINT64_MAX, UINT32_MAX };

int dsa_engine_init(struct dsa *dsa)
{
	pthread_cond_init(&dsa->wake, NULL);
	pthread_cond_init(&dsa->idle, NULL);
	dsa->chunk[0] = malloc(DSA_CHUNK);
	dsa->chunk[1] = malloc(DSA_CHUNK);
	return dsa->chunk[0] && dsa->chunk[1] ? 0 : -ENOMEM;
}

bool dsa_engine_pending(const struct dsa *dsa, uint32_t wqs)
{
	for (unsigned int i = 0; i < DSA_WQS; i++) {
		if (wqs >> i & 1 && dsa->queued[i])
			return true;
	}
	return (dsa->busy || dsa->moving) && wqs >> dsa->job.wq & 1;
}

/* Around a DMA: end() is false when the work was made void in between. */
static uint64_t begin(struct dsa *dsa)
{
	uint64_t generation = atomic_load(&dsa->generation);

	dsa->moving = true;
	pthread_mutex_unlock(&dsa->pci->lock);
	return generation;
}

static bool end(struct dsa *dsa, uint64_t generation)
{
	pthread_mutex_lock(&dsa->pci->lock);
	dsa->moving = false;
	pthread_cond_broadcast(&dsa->idle);
	if (atomic_load(&dsa->generation) == generation)
		return true;
	dsa_command_progress(dsa);
	return false;
}

static void next_job(struct dsa *dsa)
{
	dsa->job = dsa->jobs[dsa->first];
	dsa->first = (dsa->first + 1) % DSA_WQ_ENTRIES;
	dsa->nr_jobs--;
	dsa->queued[dsa->job.wq]--;
	dsa->busy = true;
	dsa->in_batch = false;
}

static void job_done(struct dsa *dsa)
{
	dsa->busy = false;
	dsa->in_batch = false;
	dsa_command_progress(dsa);
}

/*
 * The completion record, its first eight bytes last: whoever sees a status finds the rest. False
 * when the work was made void.
 */
static bool write_record(struct dsa *dsa, const struct dsa_job *job, bool batch,
			 const struct dsa_completion *c)
{
	uint64_t at = job->desc.completion;
	struct dsa_error e = { .wq = job->wq,
			       .desc = &job->desc,
			       .batch = batch,
			       .index = batch ? dsa->index : 0,
			       .address = at,
			       .write = true };
	uint64_t generation;
	enum pci_dma status;

	if (at % sizeof(*c)) {
		e.code = DSA_COMPLETION_ALIGN;
		dsa_software_error(dsa, &e);
		return true;
	}
	generation = begin(dsa);
	status = pci_dma_write(dsa->pci, at + 8, (const uint8_t *)c + 8, sizeof(*c) - 8, NULL);
	if (status != PCI_DMA_FAULT && status != PCI_DMA_DISABLED)
		status = pci_dma_write(dsa->pci, at, c, 8, NULL);
	if (!end(dsa, generation))
		return false;
	if (status == PCI_DMA_FAULT || status == PCI_DMA_DISABLED) {
		e.code = DSA_COMPLETION_FAULT;
		dsa_software_error(dsa, &e);
	}
	return true;
}

/* Tell how a descriptor ended. False when the work was made void. */
static bool tell(struct dsa *dsa, const struct dsa_job *job, bool batch,
		 const struct dsa_completion *c)
{
	uint32_t flags = DSA_FLAGS(job->desc.op);
	bool failed = (c->status & ~DSA_STATUS_WRITE) != DSA_SUCCESS;

	if (flags & DSA_FLAG_COMPLETION && (flags & DSA_FLAG_REQUEST || failed)) {
		if (!write_record(dsa, job, batch, c))
			return false;
	} else if (failed) {
		const struct dsa_error e = {
			.code = c->status & ~DSA_STATUS_WRITE,
			.wq = job->wq,
			.desc = &job->desc,
			.batch = batch,
			.index = batch ? dsa->index : 0,
			.write = c->status & DSA_STATUS_WRITE,
			.flags = c->status == DSA_BAD_FLAGS ? (uint32_t)c->value : 0,
			.address = c->fault_address,
		};

		dsa_software_error(dsa, &e);
	}
	if (flags & DSA_FLAG_INTERRUPT && job->desc.interrupt < DSA_VECTORS)
		pci_irq_raise(dsa->pci, job->desc.interrupt);
	return true;
}

/* The descriptor is done, but nobody is told yet. False: it was made void meanwhile. */
static bool late(struct dsa *dsa, uint64_t until_ns)
{
	const uint64_t generation = atomic_load(&dsa->generation);

	while (atomic_load(&dsa->generation) == generation && !dsa->stop &&
	       pci_fault_wait(until_ns, &dsa->wake, &dsa->pci->lock))
		continue;
	return atomic_load(&dsa->generation) == generation;
}

/* One descriptor that is no batch, from its checks to its record. *@failed: not a success. */
static bool carry_out(struct dsa *dsa, const struct dsa_job *job, bool batch, bool *failed)
{
	struct pci_fault_end end_as = { 0 };
	struct dsa_completion c = { 0 };

	c.status = (uint8_t)dsa_check(dsa, job, batch, &c.value);
	if (c.status == DSA_SUCCESS && pci_faulty(dsa->pci)) {
		end_as = pci_fault_command(dsa->pci, job->wq, "descriptor with its record at IOVA",
					   job->desc.completion, DSA_HW_ERROR, DSA_STATUS_MASK);
		if (end_as.fail)
			c.status = (uint8_t)end_as.status;
	}
	if (c.status == DSA_SUCCESS && !end_as.fail) {
		uint64_t generation = begin(dsa);

		dsa_operate(dsa, &job->desc, generation, &c);
		if (!end(dsa, generation))
			return false;
	}
	if (end_as.until_ns && !late(dsa, end_as.until_ns))
		return false;
	*failed = c.status != DSA_SUCCESS;
	return tell(dsa, job, batch, &c);
}

/* The batch is over, after @index of its descriptors. */
static void end_batch(struct dsa *dsa, uint8_t status, uint64_t fault)
{
	const struct dsa_completion c = { .status = status,
					  .completed = dsa->index,
					  .fault_address = fault };
	const struct dsa_job job = dsa->job;

	if (tell(dsa, &job, false, &c))
		job_done(dsa);
}

/* Read on in the list. False when the batch ended with that, or was made void. */
static bool read_list(struct dsa *dsa)
{
	const struct dsa_desc *batch = &dsa->job.desc;
	uint64_t at = batch->source + (uint64_t)dsa->index * sizeof(*batch), generation;
	uint32_t n = batch->size - dsa->index;
	struct dsa_desc list[DSA_LIST];
	enum pci_dma status;
	size_t done;

	n = n < DSA_LIST ? n : DSA_LIST;
	generation = begin(dsa);
	status = pci_dma_read(dsa->pci, at, list, n * sizeof(*list), &done);
	if (!end(dsa, generation))
		return false;
	if (status == PCI_DMA_FAULT || status == PCI_DMA_DISABLED)
		n = (uint32_t)(done / sizeof(*list));
	if (!n) {
		end_batch(dsa, DSA_BATCH_PAGE_FAULT, at + done);
		return false;
	}
	memcpy(dsa->list, list, sizeof(list));
	dsa->list_at = 0;
	dsa->listed = n;
	return true;
}

static void batch_step(struct dsa *dsa)
{
	struct dsa_job job = { .wq = dsa->job.wq };
	bool failed;

	if (dsa->index == dsa->job.desc.size) {
		end_batch(dsa, dsa->batch_failed ? DSA_BATCH_FAILED : DSA_SUCCESS, 0);
		return;
	}
	if (dsa->list_at == dsa->listed && !read_list(dsa))
		return;
	job.desc = dsa->list[dsa->list_at++];
	/* A fence waits for what came before, and nothing goes on behind a failure. */
	if (job.desc.op & DSA_FLAG_FENCE && dsa->batch_failed) {
		end_batch(dsa, DSA_BATCH_FAILED, 0);
		return;
	}
	if (!carry_out(dsa, &job, true, &failed))
		return;
	dsa->batch_failed |= failed;
	dsa->index++;
}

static void start_batch(struct dsa *dsa)
{
	struct dsa_completion c = { 0 };
	const struct dsa_job job = dsa->job;

	c.status = (uint8_t)dsa_check(dsa, &job, false, &c.value);
	if (c.status != DSA_SUCCESS) {
		if (tell(dsa, &job, false, &c))
			job_done(dsa);
		return;
	}
	dsa->in_batch = true;
	dsa->batch_failed = false;
	dsa->index = 0;
	dsa->list_at = 0;
	dsa->listed = 0;
}

static void step(struct dsa *dsa)
{
	const struct dsa_job job = dsa->job;
	bool failed;

	if (dsa->in_batch)
		batch_step(dsa);
	else if (DSA_OPCODE(job.desc.op) == DSA_BATCH)
		start_batch(dsa);
	else if (carry_out(dsa, &job, false, &failed))
		job_done(dsa);
}

/* How much the next step moves, as far as that is known before it is looked at. */
static uint64_t weight(const struct dsa *dsa)
{
	if (!dsa->in_batch)
		return DSA_OPCODE(dsa->job.desc.op) == DSA_BATCH ? 0 : dsa->job.desc.size;
	return dsa->list_at < dsa->listed ? dsa->list[dsa->list_at].size : 0;
}

/* Run the queues. False when the budget ended before them. */
static bool run(struct dsa *dsa, struct budget left)
{
	while (!dsa->stop) {
		uint64_t bytes;

		if (!dsa->busy && !dsa->nr_jobs)
			break;
		if (!dsa->busy)
			next_job(dsa);
		bytes = weight(dsa);
		if (!left.steps || bytes > left.bytes)
			return false;
		left.steps--;
		left.bytes -= bytes;
		step(dsa);
	}
	return true;
}

static void *worker_main(void *arg)
{
	struct dsa *dsa = arg;

	pthread_mutex_lock(&dsa->pci->lock);
	while (!dsa->stop) {
		if (!dsa->handed) {
			pthread_cond_wait(&dsa->wake, &dsa->pci->lock);
			continue;
		}
		dsa->handed = false;
		run(dsa, unlimited);
		dsa->running = false;
	}
	pthread_mutex_unlock(&dsa->pci->lock);
	return NULL;
}

static bool worker_ready(struct dsa *dsa)
{
	if (dsa->worker_exists)
		return true;
	dsa->worker_exists = !mem_thread_start_worker(&dsa->worker, worker_main, dsa);
	return dsa->worker_exists;
}

static void kick(struct dsa *dsa, bool inline_ok)
{
	const struct budget small = { INLINE_BYTES, INLINE_STEPS };

	/* Whoever runs the queues sees the new descriptor before it leaves. */
	if (dsa->running)
		return;
	dsa->running = true;
	/* Nobody waits in the write of a portal. */
	inline_ok &= !(pci_faulty(dsa->pci) && pci_fault_delays(dsa->pci));
	if (inline_ok && run(dsa, small)) {
		dsa->running = false;
	} else if (worker_ready(dsa)) {
		dsa->handed = true;
		pthread_cond_signal(&dsa->wake);
	} else {
		/* No thread to be had: slow is better than lost. */
		run(dsa, unlimited);
		dsa->running = false;
	}
}

void dsa_engine_submit(struct dsa *dsa, unsigned int wq, const struct dsa_desc *desc,
		       bool inline_ok)
{
	struct dsa_error e = { .wq = wq, .desc = desc };

	if (pci_faulty(dsa->pci) &&
	    pci_fault_doorbell(dsa->pci, wq, "portal of queue", wq, DSA_OPCODE(desc->op)))
		return;
	/* A dedicated queue is written by posted writes: what it cannot take is lost, and told. */
	if (!(dsa->enabled >> wq & 1))
		e.code = DSA_WQ_OFF;
	else if (dsa->queued[wq] >= DSA_WQ_SIZE(dsa->wqcfg[wq]))
		e.code = DSA_WQ_FULL;
	if (e.code) {
		dsa_software_error(dsa, &e);
		return;
	}
	dsa->jobs[(dsa->first + dsa->nr_jobs) % DSA_WQ_ENTRIES] =
		(struct dsa_job){ .wq = wq, .desc = *desc };
	dsa->nr_jobs++;
	dsa->queued[wq]++;
	kick(dsa, inline_ok);
}

void dsa_engine_abort(struct dsa *dsa, uint32_t wqs)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < dsa->nr_jobs; i++) {
		const struct dsa_job *job = &dsa->jobs[(dsa->first + i) % DSA_WQ_ENTRIES];

		if (wqs >> job->wq & 1)
			dsa->queued[job->wq]--;
		else
			dsa->jobs[(dsa->first + kept++) % DSA_WQ_ENTRIES] = *job;
	}
	dsa->nr_jobs = kept;
	if (dsa->busy && wqs >> dsa->job.wq & 1) {
		dsa->busy = false;
		dsa->in_batch = false;
		atomic_fetch_add(&dsa->generation, 1);
		/* One that is late is waited for no longer. */
		pthread_cond_broadcast(&dsa->wake);
	}
}

void dsa_engine_drain(struct dsa *dsa)
{
	while (dsa->moving)
		pthread_cond_wait(&dsa->idle, &dsa->pci->lock);
}

void dsa_engine_stop(struct dsa *dsa)
{
	pthread_mutex_lock(&dsa->pci->lock);
	dsa->command = 0;
	dsa_engine_abort(dsa, ~0u);
	dsa->stop = true;
	pthread_cond_signal(&dsa->wake);
	dsa_engine_drain(dsa);
	pthread_mutex_unlock(&dsa->pci->lock);
	if (dsa->worker_exists)
		pthread_join(dsa->worker, NULL);
	pthread_cond_destroy(&dsa->wake);
	pthread_cond_destroy(&dsa->idle);
	free(dsa->chunk[0]);
	free(dsa->chunk[1]);
}
