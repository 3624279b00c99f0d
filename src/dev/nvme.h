/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nvme model inside: its state, and the calls between its files.
 *
 *   nvme.c           options, creation, reset, the pin
 *   nvme_regs.c      the register page: finding what a client wrote, enabling, shutdown
 *   nvme_worker.c    threads: watching doorbells, sleeping, stopping the others
 *   nvme_queue.c     queues: doorbells, fetching, completions
 *   nvme_data.c      PRP lists and SGLs; bytes to and from the host
 *   nvme_pmr.c       the persistent memory region
 *   nvme_io.c        NVM commands
 *   nvme_store.c     a namespace's bytes in a file
 *   nvme_fault.c     faults that somebody asked for
 *   nvme_admin.c     admin commands; nvme_identify.c, nvme_feature.c, nvme_log.c parts of them
 *
 * Locks: state is under the device's lock. A worker holds it while it takes commands of a queue
 * and while it puts their results back, and is busy in between; whoever takes queues away
 * (nvme_quiesce()) waits until nobody is.
 */
#ifndef CBIT_DEV_NVME_H
#define CBIT_DEV_NVME_H

#include "nvme_hw.h"
#include "pci_internal.h"

#define NVME_QUEUES     64u /* pairs, the admin pair included: one bit each in a word */
#define NVME_QUEUE_MAX  1024u
#define NVME_VECTORS    64u
#define NVME_NAMESPACES 32u
#define NVME_WORKERS    8u
#define NVME_MPS_MAX    4u /* largest memory page: 2^(12 + 4) bytes */
#define NVME_MDTS       8u /* log2 of the largest transfer in pages of 4 KiB */
#define NVME_DATA_MAX   ((size_t)4096 << NVME_MDTS)
#define NVME_AERS       4u
#define NVME_EVENTS     8u
#define NVME_ERRORS     64u
#define NVME_BATCH      64u
#define NVME_LATE       256u
#define NVME_SEGS       1024u
#define NVME_SHIFT_MIN  9u
#define NVME_SHIFT_MAX  12u

#define NVME_REG_BAR  0u
#define NVME_CMB_BAR  2u
#define NVME_MSIX_BAR 4u
/* With a persistent memory region the MSI-X table is behind the doorbells. */
#define NVME_PMR_BAR 4u

/* What a doorbell reads as until somebody rings it: no legal value has these bits. */
#define NVME_DOORBELL_NONE UINT32_MAX

/* Registers that are compared with what they should be, in words of 4 bytes. */
#define NVME_REG_WORDS 24u
/* Those of the persistent memory region, the reserved word behind them included. */
#define NVME_PMR_WORDS 8u

struct nvme;

/**
 * struct nvme_ns - a namespace.
 * @path:   NULL for one in memory. @fd: -1 before nvme_store_open().
 * @shift:  log2 of the block size. Changed by Format NVM while nobody is busy.
 * @bytes:  of the file; @blocks of the namespace.
 */
struct nvme_ns {
	uint32_t id;
	char *path;
	int fd;
	bool readonly;
	unsigned int shift;
	uint64_t bytes;
	uint64_t blocks;
};

/**
 * struct nvme_cq - a completion queue.
 * @users: submission queues that report to it.
 * @bad:   as for a submission queue.
 */
struct nvme_cq {
	bool exists;
	bool ien;
	bool phase;
	uint16_t id;
	bool bad;
	uint16_t vector;
	uint32_t size;
	uint32_t head;
	uint32_t tail;
	unsigned int users;
	uint64_t addr;
};

/**
 * struct nvme_sq - a submission queue.
 * @head:    the next entry to be fetched; @tail as the doorbell last said.
 * @worker:  who looks after it.
 * @bad:     the last doorbell value was refused, and that has been told.
 */
struct nvme_sq {
	bool exists;
	bool bad;
	uint16_t id;
	uint16_t cqid;
	uint32_t size;
	uint32_t head;
	uint32_t tail;
	unsigned int worker;
	uint64_t addr;
};

/**
 * struct nvme_cmd - a command of a batch.
 * @status:   NVME_OK or what went wrong, without the phase.
 * @silent:   it completes later.
 * @until_ns: it does not complete before then (nvme_now()); 0: at once.
 * @to_host:  direction of its @len bytes at @data; @segs[0..@nr_segs) of its worker say where.
 */
struct nvme_cmd {
	struct nvme_sqe sqe;
	uint64_t result;
	uint16_t status;
	bool silent;
	uint64_t until_ns;
	bool to_host;
	struct nvme_ns *ns;
	uint64_t offset;
	uint64_t bytes;
	uint8_t *data;
	uint32_t len;
	uint32_t first_seg;
	uint32_t nr_segs;
};

/** struct nvme_late - a command that has been carried out, and ends later. */
struct nvme_late {
	uint64_t until_ns;
	uint16_t sqid;
	uint16_t cqid;
	struct nvme_cqe cqe;
};

/** struct nvme_batch - commands taken from one queue together. */
struct nvme_batch {
	uint16_t sqid;
	uint16_t cqid;
	unsigned int nr;
	uint32_t first; /* index in the ring */
	uint32_t size;  /* of the ring */
	uint64_t addr;
	unsigned int mps; /* log2 of the memory page */
	bool durable;     /* the write cache is off */
	struct nvme_cmd cmd[NVME_BATCH];
};

/**
 * struct nvme_worker - a thread and its room.
 * @busy: it has commands in hand, and the lock is not held.
 * @in, @out: data from and to the host, of one round of commands.
 */
struct nvme_worker {
	struct nvme *n;
	unsigned int index;
	pthread_t thread;
	bool exists;
	bool busy;
	atomic_uint kicked;
	_Atomic uint64_t live;    /* queues it looks after */
	_Atomic uint64_t waiting; /* of these: entries are left that could not be taken */
	uint8_t *in;
	uint8_t *out;
	struct nvme_batch batch;
	struct cbit_dma_seg segs[2 * NVME_SEGS]; /* from the host, then to it */
};

/** struct nvme_stats - what SMART counts; bytes and commands. */
struct nvme_stats {
	_Atomic uint64_t bytes_read;
	_Atomic uint64_t bytes_written;
	_Atomic uint64_t reads;
	_Atomic uint64_t writes;
	_Atomic uint64_t media_errors;
	_Atomic uint64_t busy_ns;
};

/**
 * struct nvme_pmr - the persistent memory region.
 * @size:   0: there is none. @path: NULL for one that is in memory.
 * @msc:    PMRMSCU and PMRMSCL. @on: they are good for the addresses from @base on.
 * @ready:  enabled. @disabled: not any more, as opposed to not yet.
 * @failed: something that was written did not arrive.
 */
struct nvme_pmr {
	uint64_t size;
	char *path;
	int fd;
	uint64_t msc;
	bool on;
	uint64_t base;
	bool disabled;
	atomic_bool ready;
	atomic_bool failed;
};

/**
 * struct nvme - a controller.
 * @regs:     the register page as clients see it; @shadow, @pmr_shadow: as it should be.
 * @doorbell: the doorbells.
 * @stopping: queues are being taken away: no commands are taken.
 * @aer:      command ids of Asynchronous Event Requests that wait for an event.
 * @event:    events that wait for a request; a type is masked (@masked) from its report until its
 *            log page is read.
 * @chores:   worker 0 has something to do that no doorbell says.
 */
struct nvme {
	struct cbit_pci *pci;
	uint32_t *regs;
	uint32_t *doorbell;
	uint32_t shadow[NVME_REG_WORDS] __attribute__((aligned(8)));
	uint32_t pmr_shadow[NVME_PMR_WORDS] __attribute__((aligned(8)));
	uint64_t cap;
	uint32_t cc;
	uint32_t csts;
	uint32_t intms;
	uint64_t cmbmsc;
	bool cmb_on;
	uint64_t cmb_base;
	uint64_t cmb_size;
	struct nvme_pmr pmr;
	bool halted;   /* a fatal error: nothing is fetched any more */
	bool scanning; /* somebody carries out what was written to registers */

	struct nvme_sq sq[NVME_QUEUES];
	struct nvme_cq cq[NVME_QUEUES];
	unsigned int nr_queues; /* pairs that exist at most, the admin pair included */
	unsigned int stopping;
	pthread_cond_t idle;
	atomic_bool chores;
	atomic_bool pin;

	bool shadowed; /* Doorbell Buffer Config */
	uint64_t shadow_db;
	uint64_t shadow_ei;

	struct nvme_ns ns[NVME_NAMESPACES];
	unsigned int nr_ns;
	unsigned int default_shift;
	uint64_t memory_size;

	uint32_t feature[16];
	atomic_bool cache_off;
	uint16_t temperature_under;
	uint64_t no_coalescing; /* interrupt vectors with Coalescing Disable */
	uint64_t timestamp;
	uint64_t timestamp_at;

	uint16_t aer[NVME_AERS];
	unsigned int nr_aer;
	uint16_t aborted[NVME_AERS]; /* such requests that shall complete without one */
	unsigned int nr_aborted;
	uint32_t event[NVME_EVENTS];
	unsigned int nr_event;
	uint32_t masked;
	struct nvme_error_entry error[NVME_ERRORS];
	uint64_t nr_error;
	bool ns_changed[NVME_NAMESPACES];
	struct nvme_late late[NVME_LATE];
	atomic_uint nr_late;
	struct nvme_stats stats;
	uint64_t powered_at;

	struct nvme_worker worker[NVME_WORKERS];
	unsigned int nr_workers;
	atomic_bool stop;
};

/* nvme.c. Locked. */
/* nvme_pin() - the pin follows from completions that the host has not taken, and INTMS. */
void nvme_pin(struct nvme *n);
/* nvme_now() - nanoseconds of a clock that only goes forward. */
uint64_t nvme_now(void);

/* nvme_regs.c */
void nvme_regs_init(struct nvme *n);
/* nvme_regs_touched() - may a client have written to a register? Any thread. */
bool nvme_regs_touched(const struct nvme *n);
/* Locked; these may wait. nvme_regs_scan() - carry out what was written. */
void nvme_regs_scan(struct nvme *n);
/* nvme_regs_enter(), nvme_regs_leave() - around whatever else changes registers. */
void nvme_regs_enter(struct nvme *n);
void nvme_regs_leave(struct nvme *n);
/* nvme_regs_cmb_size() - a size as CMBSZ has it. */
uint32_t nvme_regs_cmb_size(uint64_t size);
/* nvme_regs_reset() - stop and forget everything a controller level reset forgets. */
void nvme_regs_reset(struct nvme *n);
/* nvme_regs_fatal() - CSTS.CFS. */
void nvme_regs_fatal(struct nvme *n);
void nvme_regs_store32(struct nvme *n, uint32_t offset, uint32_t value);
uint64_t nvme_bar_read(struct cbit_pci *pci, unsigned int bar, uint64_t offset, unsigned int size);
void nvme_bar_write(struct cbit_pci *pci, unsigned int bar, uint64_t offset, unsigned int size,
		    uint64_t value, bool peer);

/* nvme_worker.c */
int nvme_workers_start(struct nvme *n);
void nvme_workers_stop(struct nvme *n);
/*
 * nvme_worker_look() - look at everything once and do what there is to do. Of the worker's thread,
 * or of a test that has started none. True if there was something.
 */
bool nvme_worker_look(struct nvme_worker *w);
/* nvme_kick() - a worker shall look now. Any thread. */
void nvme_kick(struct nvme *n, unsigned int worker);
/*
 * nvme_quiesce() - keep commands from being taken and wait until no worker but @self (NULL for
 * anybody else) has any in hand; nvme_resume() ends that. Locked; the lock is dropped meanwhile.
 */
void nvme_quiesce(struct nvme *n, const struct nvme_worker *self);
void nvme_resume(struct nvme *n);

/* nvme_queue.c. Locked unless told otherwise. */
void nvme_queue_create_sq(struct nvme *n, uint16_t id, uint16_t cqid, uint32_t size, uint64_t addr);
void nvme_queue_create_cq(struct nvme *n, uint16_t id, uint32_t size, uint64_t addr, bool ien,
			  uint16_t vector);
void nvme_queue_delete_sq(struct nvme *n, uint16_t id);
void nvme_queue_delete_cq(struct nvme *n, uint16_t id);
void nvme_queues_clear(struct nvme *n);
/* nvme_queue_head() - how far the host has taken completions. May drop the lock. */
void nvme_queue_head(struct nvme *n, struct nvme_cq *cq);
/* nvme_queue_run() - take commands, carry them out, complete them. Unlocked. False: none. */
bool nvme_queue_run(struct nvme_worker *w, uint16_t id);
/* nvme_queue_complete() - post @nr entries, which need only result, cid and status. Drops the lock.
 */
void nvme_queue_complete(struct nvme *n, uint16_t cqid, uint16_t sqid, struct nvme_cqe *cqe,
			 unsigned int nr);
unsigned int nvme_queue_room(const struct nvme_cq *cq);
/* nvme_queue_strays() - doorbells of queues that do not exist. */
void nvme_queue_strays(struct nvme *n);

/* nvme_data.c. Unlocked. Statuses are of enum nvme_status. */
uint16_t nvme_data_map(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd);
bool nvme_data_read(struct nvme *n, uint64_t addr, void *buf, size_t len);
bool nvme_data_write(struct nvme *n, uint64_t addr, const void *buf, size_t len);
bool nvme_data_move(struct nvme_worker *w, uint32_t first, uint32_t nr, uint8_t *buf, bool to_host);

/* nvme_pmr.c */
int nvme_pmr_option(struct nvme *n, const char *key, const char *value, struct cbit_error *err);
/* nvme_pmr_finish() - all options are known: open it, and make room for its BAR. */
int nvme_pmr_finish(struct nvme *n, struct cbit_error *err);
void nvme_pmr_close(struct nvme *n);
/* nvme_pmr_init() - its registers as after a reset of the function. Locked. */
void nvme_pmr_init(struct nvme *n);
/* nvme_pmr_control() - PMRCTL is @v now. Locked, with no worker busy. */
void nvme_pmr_control(struct nvme *n, uint32_t v);
/* nvme_pmr_space() - PMRMSC, or what else is at those addresses, has changed. Likewise. */
void nvme_pmr_space(struct nvme *n);
/* nvme_pmr_sync() - what was written is on the storage below. False: it is not. */
bool nvme_pmr_sync(struct nvme *n);
/* nvme_pmr_move() - bytes to or from a region that is ready; false: that failed. Unlocked. */
bool nvme_pmr_move(struct nvme *n, uint64_t offset, void *buf, size_t len, bool write);
/* nvme_pmr_bytes() - an access through the BAR. Unlocked. */
bool nvme_pmr_bytes(struct cbit_pci *pci, unsigned int bar, uint64_t offset, void *buf,
		    uint64_t len, bool write);

/* nvme_io.c: carry out a batch of an I/O queue; statuses are in its commands. Unlocked. */
void nvme_io_run(struct nvme_worker *w, struct nvme_batch *b);

/* nvme_store.c. Any thread but for open and close. */
int nvme_store_open(struct nvme_ns *ns, uint64_t memory_size, struct cbit_error *err);
/* Of a virtual function: the namespace of its physical one. */
int nvme_store_share(struct nvme_ns *ns, const struct nvme_ns *of, struct cbit_error *err);
void nvme_store_close(struct nvme_ns *ns);
/* Bytes of a file, all of them: 0, or an errno (EIO where the file ends before). */
int nvme_file_read(int fd, uint64_t offset, void *buf, size_t len);
int nvme_file_write(int fd, uint64_t offset, const void *buf, size_t len, bool durable);
uint16_t nvme_store_read(struct nvme_ns *ns, uint64_t offset, void *buf, size_t len);
uint16_t nvme_store_write(struct nvme_ns *ns, uint64_t offset, const void *buf, size_t len,
			  bool durable);
uint16_t nvme_store_zero(struct nvme_ns *ns, uint64_t offset, uint64_t len, bool deallocate,
			 bool durable);
uint16_t nvme_store_flush(struct nvme_ns *ns);
uint64_t nvme_store_used(const struct nvme_ns *ns);

/* nvme_admin.c: one command, unlocked. */
void nvme_admin_run(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd);
/* nvme_admin_transfer() - send @len bytes that the command asked for, or get them. */
uint16_t nvme_admin_send(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd,
			 void *data, uint32_t len);
uint16_t nvme_admin_receive(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd,
			    void *data, uint32_t len);
uint16_t nvme_admin_identify(struct nvme_worker *w, const struct nvme_batch *b,
			     struct nvme_cmd *cmd);

/* nvme_fault.c; with a fault plan only */
/* nvme_fault_command() - NVME_OK, or the status that it is to fail with, undone. Unlocked. */
uint16_t nvme_fault_command(struct nvme *n, const struct nvme_batch *b, struct nvme_cmd *cmd);
/* nvme_fault_hold() - keep a completion for later. False: it is due. Locked. */
bool nvme_fault_hold(struct nvme *n, const struct nvme_batch *b, const struct nvme_cmd *cmd,
		     const struct nvme_cqe *cqe);
/* nvme_fault_deliver() - what is due by now. Locked; drops the lock. */
void nvme_fault_deliver(struct nvme *n);
/* nvme_fault_forget() - of one submission queue, or (-1) all. Locked. */
void nvme_fault_forget(struct nvme *n, int sqid);
/* nvme_fault_absent() - registers of a device that is gone read all ones again. Unlocked. */
void nvme_fault_absent(struct nvme *n);

/* nvme_feature.c */
void nvme_feature_defaults(struct nvme *n);
uint16_t nvme_feature_get(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd);
uint16_t nvme_feature_set(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd);

/* nvme_log.c */
uint16_t nvme_log_get(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd);
/* nvme_log_error() - a command failed, or (NULL) a doorbell. Locked. */
void nvme_log_error(struct nvme *n, uint16_t sqid, const struct nvme_cmd *cmd);
/* nvme_log_event() - something the host may have asked to be told of. Locked. */
void nvme_log_event(struct nvme *n, uint32_t event);
/* nvme_log_temperature() - thresholds, or what is asked for, have changed. Locked. */
void nvme_log_temperature(struct nvme *n);
/*
 * nvme_log_deliver() - requests and events that wait for each other. False: nothing was delivered.
 * Locked; drops the lock.
 */
bool nvme_log_deliver(struct nvme *n);
void nvme_log_forget(struct nvme *n);

static inline struct nvme_ns *nvme_ns_find(struct nvme *n, uint32_t nsid)
{
	return nsid && nsid <= n->nr_ns ? &n->ns[nsid - 1] : NULL;
}

/* Is it one of several controllers of a subsystem, with the same namespaces? */
static inline bool nvme_has_siblings(const struct nvme *n)
{
	return n->pci->pf || n->pci->total_vfs;
}

/* Do @size bytes at @base end by the last address there is? */
static inline bool nvme_range_fits(uint64_t base, uint64_t size)
{
	return size - 1 <= UINT64_MAX - base;
}

static inline unsigned int nvme_page_shift(const struct nvme *n)
{
	return 12 + NVME_CC_MPS(n->cc);
}

#endif
