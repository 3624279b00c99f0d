/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small NVMe driver for test clients, on vfio_client.h: one controller, its admin queue and some
 * pairs of I/O queues, all polled unless told otherwise. Nothing of cbit is used; layouts are the
 * NVM Express Base Specification's, 1.4.
 */
#ifndef TESTS_CLIENTS_NVME_CLIENT_H
#define TESTS_CLIENTS_NVME_CLIENT_H

#include "vfio_client.h"

#define NC_MAX_QUEUES 5 /* the admin queue is number 0 */
#define NC_ENTRIES    64u
#define NC_IOVA       0x100000000ull

enum {
	NC_FLUSH = 0,
	NC_WRITE = 1,
	NC_READ = 2,
	NC_IDENTIFY = 6,
};

#define NC_FUA (1u << 30)

struct nc_sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2, cdw3;
	uint64_t mptr;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nc_cqe {
	uint64_t result;
	uint16_t sq_head, sq_id, cid, status;
};

struct nc_queue {
	struct nc_sqe *sq;
	volatile struct nc_cqe *cq;
	uint64_t sq_iova, cq_iova;
	uint32_t tail, head;
	uint16_t phase;
	unsigned int number;
};

/**
 * struct nc - a controller in use.
 * @memory: queues, then @data bytes for the caller, in one mapping for DMA.
 * @block:  bytes of a logical block of namespace 1, of which there are @blocks.
 * @eventfd: of MSI-X vector 0, which all queues use; -1: nobody waits for interrupts.
 */
struct nc {
	struct vc vc;
	struct vc_device *dev;
	volatile uint32_t *reg;
	struct nc_queue q[NC_MAX_QUEUES];
	unsigned int queues;
	uint8_t *memory;
	size_t size;
	uint8_t *data;
	uint64_t data_iova;
	uint32_t block;
	uint64_t blocks;
	int eventfd;
};

enum nc_memory { NC_PRIVATE, NC_SHARED };

/* Opens device @index of $CBIT_DEVICES with so many I/O queue pairs and bytes of data. */
void nc_open(struct nc *nc, unsigned int index, unsigned int queues, size_t data,
	     enum nc_memory kind, bool interrupts);
void nc_close(struct nc *nc);

/* Puts a command in a queue; nc_ring() tells of all that were put. */
void nc_put(struct nc_queue *q, const struct nc_sqe *sqe);
void nc_ring(struct nc *nc, struct nc_queue *q);
/* The next completion, if there is one; nc_taken() tells that all up to here were taken. */
bool nc_poll(struct nc_queue *q, struct nc_cqe *out);
void nc_taken(struct nc *nc, struct nc_queue *q);
/* Waits for an interrupt, at most that long. */
bool nc_wait(struct nc *nc, int ms);
/* One command to its end, whose status must be 0. Returns dword 0. */
uint32_t nc_do(struct nc *nc, unsigned int queue, struct nc_sqe sqe);
/* A read or write of up to two pages of data at that offset of the data memory. */
struct nc_sqe nc_io(const struct nc *nc, uint8_t opcode, uint64_t lba, uint32_t blocks, size_t at);

#endif
