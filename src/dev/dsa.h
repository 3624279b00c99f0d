/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dsa model inside: its state, and the calls between registers (dsa.c), commands
 * (dsa_command.c), the engine that takes descriptors from the queues (dsa_engine.c) and the
 * operations (dsa_ops.c). All of it under the device's lock unless it says otherwise.
 */
#ifndef CBIT_DEV_DSA_H
#define CBIT_DEV_DSA_H

#include "dsa_hw.h"
#include "pci_internal.h"

#define DSA_WQS         8u
#define DSA_GROUPS      4u
#define DSA_ENGINES     4u
#define DSA_WQ_ENTRIES  128u /* of all queues together */
#define DSA_VECTORS     9u   /* 0 for errors and commands, one more for each queue */
#define DSA_PORTAL_SIZE 0x4000u
#define DSA_BATCH_SHIFT 10u
#define DSA_XFER_SHIFT  31u

/* Bytes moved at a time: what a reset may have to wait for. */
#define DSA_CHUNK ((size_t)256 * 1024)

/* As many descriptors of a batch are read at a time. */
#define DSA_LIST 32u

/* struct dsa_job - a descriptor in a queue. */
struct dsa_job {
	unsigned int wq;
	struct dsa_desc desc;
};

/**
 * struct dsa - queues and engine.
 * @grpcfg, @wqcfg, @msix_perm: the tables, as they read but for the state of a queue.
 * @enabled:    a bit for each queue that takes descriptors.
 * @device_on:  GENSTS says enabled.
 * @queued:     descriptors of each queue that have not been taken.
 * @jobs:       the queues' descriptors in the order they came, a ring.
 * @busy:       @job is being carried out; with @in_batch it is a batch, and @index of its
 *              descriptors have been.
 * @list:       the next @listed descriptors of a batch, from @list_at on.
 * @fault:      where reading a batch's list faulted.
 * @generation: counts what makes the work under way void; read without the lock too.
 * @running:    some thread is responsible for the queues (the worker, from being called on).
 * @moving:     that thread is in a DMA, with the lock dropped.
 * @command:    the one under way, waiting for @waiting queues to be empty, 0 for none.
 */
struct dsa {
	struct cbit_pci *pci;
	unsigned int xfer_shift;

	uint64_t grpcfg[DSA_GROUPS * DSA_GRPCFG_SIZE / 8];
	uint32_t wqcfg[DSA_WQS][DSA_WQCFG_SIZE / 4];
	uint64_t msix_perm[DSA_VECTORS];
	uint32_t gencfg;
	uint32_t genctrl;
	uint32_t intcause;
	uint32_t cmdsts;
	uint64_t swerr[4];
	bool device_on;
	uint32_t enabled;

	unsigned int queued[DSA_WQS];
	struct dsa_job jobs[DSA_WQ_ENTRIES];
	unsigned int first, nr_jobs;

	bool busy;
	struct dsa_job job;
	bool in_batch;
	bool batch_failed;
	uint32_t index;
	struct dsa_desc list[DSA_LIST];
	unsigned int list_at, listed;

	_Atomic uint64_t generation;
	bool running;
	bool moving;
	uint32_t command;
	uint32_t waiting;

	uint8_t *chunk[2];
	pthread_t worker;
	bool worker_exists;
	bool handed;
	bool stop;
	pthread_cond_t wake; /* to the worker: handed or stop */
	pthread_cond_t idle; /* moving ended */
};

/* struct dsa_error - what SWERR is to tell. @desc may be NULL; @wq is DSA_WQS for none. */
struct dsa_error {
	enum dsa_status code;
	unsigned int wq;
	const struct dsa_desc *desc;
	bool batch;
	bool write;
	uint32_t index;
	uint32_t flags;
	uint64_t address;
};

/* dsa.c */
void dsa_software_error(struct dsa *dsa, const struct dsa_error *e);
void dsa_cause(struct dsa *dsa, uint32_t bit);

/* dsa_command.c */
void dsa_command(struct dsa *dsa, uint32_t value);
/* Something has been done or dropped: the command that waits for it may be over. */
void dsa_command_progress(struct dsa *dsa);
void dsa_defaults(struct dsa *dsa);

/* dsa_engine.c */
int dsa_engine_init(struct dsa *dsa);
void dsa_engine_stop(struct dsa *dsa);
/* A descriptor came to a portal. @inline_ok: this thread may carry it out. */
void dsa_engine_submit(struct dsa *dsa, unsigned int wq, const struct dsa_desc *desc,
		       bool inline_ok);
/* Drop the descriptors of those queues; what is being moved for them counts for nothing. */
void dsa_engine_abort(struct dsa *dsa, uint32_t wqs);
/* Have those queues anything left to do? */
bool dsa_engine_pending(const struct dsa *dsa, uint32_t wqs);
/* Wait until no DMA is under way. Drops the lock meanwhile. */
void dsa_engine_drain(struct dsa *dsa);

/**
 * dsa_check() - what is wrong with a descriptor before anything moves: DSA_SUCCESS for nothing.
 * @batch: it is part of a batch. @value: for the completion record.
 */
enum dsa_status dsa_check(const struct dsa *dsa, const struct dsa_job *job, bool batch,
			  uint64_t *value);

/**
 * dsa_operate() - carry out a descriptor that has been checked. Called unlocked.
 * It ends early when the generation is no longer @generation.
 */
void dsa_operate(struct dsa *dsa, const struct dsa_desc *desc, uint64_t generation,
		 struct dsa_completion *out);

#endif
