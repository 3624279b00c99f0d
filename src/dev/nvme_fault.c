/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults that somebody asked for: commands that fail, commands that end late, and a controller that
 * is not there any more. Only called with a fault plan.
 */
#include "nvme.h"
#include "pci_fault.h"

#include <string.h>

/* What a medium that fails says of a command. */
static uint16_t media_status(const struct nvme_batch *b, const struct nvme_cmd *cmd)
{
	if (!b->sqid)
		return NVME_INTERNAL;
	switch (cmd->sqe.opcode) {
	case NVME_IO_READ:
	case NVME_IO_COMPARE:
	case NVME_IO_VERIFY:
		return NVME_READ_ERROR;
	case NVME_IO_WRITE:
	case NVME_IO_WRITE_ZEROES:
		return NVME_WRITE_FAULT;
	default:
		return NVME_INTERNAL;
	}
}

uint16_t nvme_fault_command(struct nvme *n, const struct nvme_batch *b, struct nvme_cmd *cmd)
{
	struct pci_fault_end end = pci_fault_command(n->pci, b->sqid, "command", cmd->sqe.cid,
						     media_status(b, cmd), NVME_STATUS_MASK);

	cmd->until_ns = end.until_ns;
	return end.fail ? (uint16_t)end.status : NVME_OK;
}

bool nvme_fault_hold(struct nvme *n, const struct nvme_batch *b, const struct nvme_cmd *cmd,
		     const struct nvme_cqe *cqe)
{
	const unsigned int nr = atomic_load(&n->nr_late);

	if (!cmd->until_ns || cmd->until_ns <= nvme_now() || nr == NVME_LATE)
		return false;
	n->late[nr] = (struct nvme_late){
		.until_ns = cmd->until_ns, .sqid = b->sqid, .cqid = b->cqid, .cqe = *cqe
	};
	atomic_store(&n->nr_late, nr + 1);
	nvme_kick(n, 0);
	return true;
}

static void drop(struct nvme *n, unsigned int i)
{
	const unsigned int nr = atomic_load(&n->nr_late) - 1;

	memmove(n->late + i, n->late + i + 1, (nr - i) * sizeof(n->late[0]));
	atomic_store(&n->nr_late, nr);
}

void nvme_fault_deliver(struct nvme *n)
{
	const uint64_t now = nvme_now();

	for (unsigned int i = 0; i < atomic_load(&n->nr_late);) {
		struct nvme_late late = n->late[i];
		struct nvme_cq *cq = &n->cq[late.cqid];

		if (late.until_ns > now) {
			i++;
			continue;
		}
		if (!nvme_queue_room(cq))
			nvme_queue_head(n, cq);
		if (!nvme_queue_room(cq))
			return; /* again at the next look */
		drop(n, i);
		late.cqe.sq_head = (uint16_t)n->sq[late.sqid].head;
		nvme_queue_complete(n, late.cqid, late.sqid, &late.cqe, 1);
		/* The lock was dropped: whatever comes next is found at the next look. */
		return;
	}
}

void nvme_fault_forget(struct nvme *n, int sqid)
{
	for (unsigned int i = 0; i < atomic_load(&n->nr_late);) {
		if (sqid < 0 || n->late[i].sqid == sqid)
			drop(n, i);
		else
			i++;
	}
}

void nvme_fault_absent(struct nvme *n)
{
	pthread_mutex_lock(&n->pci->lock);
	if (atomic_load(&n->pci->gone))
		memset(n->regs, 0xff, n->pci->bar[NVME_REG_BAR].size);
	pthread_mutex_unlock(&n->pci->lock);
}
