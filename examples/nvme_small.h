/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The smallest NVMe driver that reads and writes: an admin queue, one pair of I/O queues, one
 * command at a time, polled. NVM Express Base Specification 1.4.
 */
#ifndef EXAMPLES_NVME_SMALL_H
#define EXAMPLES_NVME_SMALL_H

#include <stddef.h>
#include <stdint.h>

#define NVME_PAGE   ((size_t)4096)
#define NVME_MEMORY (5 * NVME_PAGE) /* what a controller needs: four queues and a page */
#define NVME_WRITE  0x01
#define NVME_READ   0x02

struct nvme_command {
	uint8_t opcode;
	uint8_t flags;
	uint16_t id;
	uint32_t nsid;
	uint64_t reserved;
	uint64_t metadata;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_queue {
	struct nvme_command *sq;
	volatile uint32_t *cq; /* four words a completion; the phase is bit 16 of the last */
	uint32_t at;
	uint32_t phase;
};

struct nvme {
	volatile uint32_t *reg;
	struct nvme_queue queue[2];
	uint32_t block; /* bytes of a block of namespace 1, of which there are @blocks */
	uint64_t blocks;
};

/* @memory: NVME_MEMORY zeroed bytes, mapped for DMA at @iova. Exits when it cannot be done. */
void nvme_start(struct nvme *n, void *registers, uint8_t *memory, uint64_t iova);
void nvme_stop(struct nvme *n);

/* Tells the controller that its memory buffer is at @iova for commands, too (CMBMSC). */
void nvme_enable_cmb(struct nvme *n, uint64_t iova);

/* Reads or writes two pages at block 0 of namespace 1; @iova page aligned. Returns the status. */
unsigned int nvme_two_pages(struct nvme *n, uint8_t opcode, uint64_t iova);

#endif
