/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The smallest NVMe driver that reads and writes. See nvme_small.h.
 */
#include "nvme_small.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "vfio_space.h"

/* Registers, as indices of 32-bit words. */
#define CC       (0x14 / 4)
#define CSTS     (0x1c / 4)
#define AQA      (0x24 / 4)
#define ASQ      (0x28 / 4)
#define ACQ      (0x30 / 4)
#define CMBMSC   (0x50 / 4)
#define DOORBELL (0x1000 / 4)

#define CC_ENABLE  0x00460001u /* entries of 64 and 16 bytes, NVM command set */
#define CSTS_READY 1u
#define CSTS_FATAL 2u
#define CMB_ENABLE 3u /* CRE, CMSE */

#define ADMIN_CREATE_SQ 0x01
#define ADMIN_CREATE_CQ 0x05
#define ADMIN_IDENTIFY  0x06

#define ENTRIES 16u

_Static_assert(sizeof(struct nvme_command) == 64, "a command is 64 bytes");

static bool passed(const struct timespec *start, time_t seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec > seconds;
}

static void set64(struct nvme *n, unsigned int at, uint64_t value)
{
	n->reg[at] = (uint32_t)value;
	n->reg[at + 1] = (uint32_t)(value >> 32);
}

static void wait_ready(const struct nvme *n, uint32_t ready)
{
	struct timespec start;

	errno = 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	while ((n->reg[CSTS] & CSTS_READY) != ready) {
		if (n->reg[CSTS] & CSTS_FATAL || passed(&start, 30))
			fail("the controller does not get %sready, CSTS 0x%x", ready ? "" : "un",
			     n->reg[CSTS]);
	}
}

/* One command to its end. Returns the status, 0 for success. */
static unsigned int run(struct nvme *n, unsigned int number, struct nvme_command command)
{
	struct nvme_queue *q = &n->queue[number];
	volatile uint32_t *cqe = q->cq + 4 * (size_t)q->at;
	struct timespec start;
	unsigned int status;

	q->sq[q->at] = command;
	q->at = (q->at + 1) % ENTRIES;
	/* The command, then the doorbell. */
	__atomic_store_n(&n->reg[DOORBELL + 2 * number], q->at, __ATOMIC_RELEASE);
	errno = 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	while ((__atomic_load_n(&cqe[3], __ATOMIC_ACQUIRE) >> 16 & 1) != q->phase) {
		if (passed(&start, 30))
			fail("command 0x%x does not end", command.opcode);
	}
	status = cqe[3] >> 17;
	if (!q->at)
		q->phase ^= 1;
	n->reg[DOORBELL + 2 * number + 1] = q->at;
	return status;
}

static void admin(struct nvme *n, struct nvme_command command)
{
	unsigned int status = run(n, 0, command);

	errno = 0;
	if (status)
		fail("admin command 0x%x: status 0x%x", command.opcode, status);
}

void nvme_start(struct nvme *n, void *registers, uint8_t *memory, uint64_t iova)
{
	const uint8_t *id = memory + 4 * NVME_PAGE;

	*n = (struct nvme){ .reg = registers };
	for (size_t i = 0; i < 2; i++)
		n->queue[i] = (struct nvme_queue){
			.sq = (void *)(memory + 2 * i * NVME_PAGE),
			.cq = (void *)(memory + (2 * i + 1) * NVME_PAGE),
			.phase = 1,
		};
	n->reg[CC] = 0;
	wait_ready(n, 0);
	n->reg[AQA] = (ENTRIES - 1) | (ENTRIES - 1) << 16;
	set64(n, ASQ, iova);
	set64(n, ACQ, iova + NVME_PAGE);
	n->reg[CC] = CC_ENABLE;
	wait_ready(n, CSTS_READY);
	admin(n, (struct nvme_command){ .opcode = ADMIN_CREATE_CQ,
					.prp1 = iova + 3 * NVME_PAGE,
					.cdw10 = 1 | (ENTRIES - 1) << 16,
					.cdw11 = 1 });
	admin(n, (struct nvme_command){ .opcode = ADMIN_CREATE_SQ,
					.prp1 = iova + 2 * NVME_PAGE,
					.cdw10 = 1 | (ENTRIES - 1) << 16,
					.cdw11 = 1 | 1 << 16 });
	admin(n, (struct nvme_command){
			 .opcode = ADMIN_IDENTIFY, .nsid = 1, .prp1 = iova + 4 * NVME_PAGE });
	memcpy(&n->blocks, id, sizeof(n->blocks));
	/* FLBAS says which LBA format, whose third byte is the logarithm of the block size. */
	n->block = 1u << id[128 + 4 * (id[26] & 15) + 2];
}

void nvme_stop(struct nvme *n)
{
	n->reg[CC] = 0;
	wait_ready(n, 0);
}

void nvme_enable_cmb(struct nvme *n, uint64_t iova)
{
	set64(n, CMBMSC, iova | CMB_ENABLE);
}

unsigned int nvme_two_pages(struct nvme *n, uint8_t opcode, uint64_t iova)
{
	return run(n, 1,
		   (struct nvme_command){ .opcode = opcode,
					  .nsid = 1,
					  .prp1 = iova,
					  .prp2 = iova + NVME_PAGE,
					  .cdw12 = (uint32_t)(2 * NVME_PAGE / n->block - 1) });
}
