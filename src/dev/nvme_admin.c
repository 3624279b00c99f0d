/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands: queues, events, abort, format, firmware, and where the others are.
 */
#include "nvme.h"
#include "pci_fault.h"

#include <string.h>

#define QUEUE_CONTIGUOUS (1u << 0)
#define QUEUE_INTERRUPTS (1u << 1)
#define FORMAT_LBAF(v)   ((v)&15u)
#define FORMAT_MSET      (1u << 4)
#define FORMAT_PI(v)     ((v) >> 5 & 7u)
#define FORMAT_SES(v)    ((v) >> 9 & 7u)
#define FW_SLOT(v)       ((v)&7u)
#define FW_ACTION(v)     ((v) >> 3 & 7u)
#define FW_ACTIVATE      2u

static uint16_t transfer(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd,
			 void *data, uint32_t len, bool to_host)
{
	uint16_t status;

	cmd->len = len;
	cmd->to_host = to_host;
	cmd->first_seg = to_host ? NVME_SEGS : 0;
	status = nvme_data_map(w, b, cmd);
	if (status)
		return status;
	return nvme_data_move(w, cmd->first_seg, cmd->nr_segs, data, to_host) ? NVME_OK
									      : NVME_DATA_TRANSFER;
}

uint16_t nvme_admin_send(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd,
			 void *data, uint32_t len)
{
	return transfer(w, b, cmd, data, len, true);
}

uint16_t nvme_admin_receive(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd,
			    void *data, uint32_t len)
{
	return transfer(w, b, cmd, data, len, false);
}

/* --- queues --- */

static bool queue_size_ok(uint32_t cdw10)
{
	return cdw10 >> 16 && (cdw10 >> 16) < NVME_QUEUE_MAX;
}

static uint16_t create_cq(struct nvme *n, const struct nvme_sqe *sqe)
{
	const uint16_t id = (uint16_t)sqe->cdw10, vector = (uint16_t)(sqe->cdw11 >> 16);

	if (!id || id >= n->nr_queues || n->cq[id].exists)
		return NVME_QID_INVALID;
	if (!queue_size_ok(sqe->cdw10))
		return NVME_QSIZE_INVALID;
	/* CAP.CQR: queues are physically contiguous. */
	if (!(sqe->cdw11 & QUEUE_CONTIGUOUS) || NVME_CC_IOCQES(n->cc) != 4)
		return NVME_INVALID_FIELD;
	if (sqe->dptr[0] & (((uint64_t)1 << nvme_page_shift(n)) - 1))
		return NVME_PRP_OFFSET;
	if (vector >= NVME_VECTORS)
		return NVME_VECTOR_INVALID;
	nvme_queue_create_cq(n, id, (sqe->cdw10 >> 16) + 1, sqe->dptr[0],
			     sqe->cdw11 & QUEUE_INTERRUPTS, vector);
	return NVME_OK;
}

static uint16_t create_sq(struct nvme *n, const struct nvme_sqe *sqe)
{
	const uint16_t id = (uint16_t)sqe->cdw10, cqid = (uint16_t)(sqe->cdw11 >> 16);

	/* 5.4: what can be no completion queue, and what is none yet */
	if (!cqid || cqid >= n->nr_queues)
		return NVME_QID_INVALID;
	if (!n->cq[cqid].exists)
		return NVME_CQ_INVALID;
	if (!id || id >= n->nr_queues || n->sq[id].exists)
		return NVME_QID_INVALID;
	if (!queue_size_ok(sqe->cdw10))
		return NVME_QSIZE_INVALID;
	if (!(sqe->cdw11 & QUEUE_CONTIGUOUS) || NVME_CC_IOSQES(n->cc) != 6)
		return NVME_INVALID_FIELD;
	if (sqe->dptr[0] & (((uint64_t)1 << nvme_page_shift(n)) - 1))
		return NVME_PRP_OFFSET;
	nvme_queue_create_sq(n, id, cqid, (sqe->cdw10 >> 16) + 1, sqe->dptr[0]);
	return NVME_OK;
}

/* Commands that have been fetched are completed first; the others are never looked at. */
static uint16_t delete_sq(struct nvme_worker *w, const struct nvme_sqe *sqe)
{
	struct nvme *n = w->n;
	const uint16_t id = (uint16_t)sqe->cdw10;

	if (!id || id >= n->nr_queues || !n->sq[id].exists)
		return NVME_QID_INVALID;
	nvme_quiesce(n, w);
	nvme_queue_delete_sq(n, id);
	nvme_resume(n);
	return NVME_OK;
}

static uint16_t delete_cq(struct nvme *n, const struct nvme_sqe *sqe)
{
	const uint16_t id = (uint16_t)sqe->cdw10;

	if (!id || id >= n->nr_queues || !n->cq[id].exists)
		return NVME_QID_INVALID;
	if (n->cq[id].users)
		return NVME_QUEUE_DELETION;
	nvme_queue_delete_cq(n, id);
	return NVME_OK;
}

/* PRP1: a page of doorbells, PRP2: a page of event indices (1.4 section 5.7). */
static uint16_t doorbell_buffer(struct nvme *n, const struct nvme_sqe *sqe)
{
	const uint64_t mask = ((uint64_t)1 << nvme_page_shift(n)) - 1;

	if ((sqe->dptr[0] | sqe->dptr[1]) & mask)
		return NVME_INVALID_FIELD;
	n->shadow_db = sqe->dptr[0];
	n->shadow_ei = sqe->dptr[1];
	n->shadowed = true;
	/* A host may have written tails there before it told us. */
	for (unsigned int i = 0; i < n->nr_workers; i++)
		atomic_fetch_or(&n->worker[i].waiting,
				atomic_load(&n->worker[i].live) & ~(uint64_t)1);
	return NVME_OK;
}

/* --- others --- */

/* Commands are carried out at once, so only event requests are there to be aborted. */
static uint16_t abort_command(struct nvme *n, struct nvme_cmd *cmd)
{
	const uint16_t sqid = (uint16_t)cmd->sqe.cdw10, cid = (uint16_t)(cmd->sqe.cdw10 >> 16);

	if (sqid >= n->nr_queues || !n->sq[sqid].exists)
		return NVME_INVALID_FIELD;
	cmd->result = 1;
	for (unsigned int i = 0; !sqid && i < n->nr_aer; i++) {
		if (n->aer[i] != cid)
			continue;
		n->nr_aer--;
		memmove(n->aer + i, n->aer + i + 1, (n->nr_aer - i) * sizeof(n->aer[0]));
		/* After this batch, which has room for its own completions alone. */
		n->aborted[n->nr_aborted++] = cid;
		atomic_store(&n->chores, true);
		cmd->result = 0;
		break;
	}
	return NVME_OK;
}

static uint16_t async_event(struct nvme *n, struct nvme_cmd *cmd)
{
	if (n->nr_aer + n->nr_aborted == NVME_AERS)
		return NVME_AER_LIMIT;
	n->aer[n->nr_aer++] = cmd->sqe.cid;
	cmd->silent = true;
	/* After the batch: there may be an event already. */
	atomic_store(&n->chores, true);
	return NVME_OK;
}

static uint16_t format_one(struct nvme *n, struct nvme_ns *ns, unsigned int shift)
{
	uint16_t status;

	if (ns->readonly)
		return NVME_WRITE_PROTECTED;
	if (!(ns->bytes >> shift))
		return NVME_FORMAT_INVALID;
	/* That may take a while, and nobody takes commands meanwhile. */
	pthread_mutex_unlock(&n->pci->lock);
	status = nvme_store_zero(ns, 0, ns->bytes, true, true);
	pthread_mutex_lock(&n->pci->lock);
	if (status)
		return status;
	ns->shift = shift;
	ns->blocks = ns->bytes >> shift;
	n->ns_changed[ns->id - 1] = true;
	return NVME_OK;
}

static uint16_t format(struct nvme_worker *w, const struct nvme_sqe *sqe)
{
	struct nvme *n = w->n;
	const uint32_t v = sqe->cdw10;
	const unsigned int shift = FORMAT_LBAF(v) ? NVME_SHIFT_MAX : NVME_SHIFT_MIN;
	struct nvme_ns *ns = nvme_ns_find(n, sqe->nsid);
	uint16_t status = NVME_OK;

	/* The format of a namespace is that of all its controllers, which would have to be stopped.
	 */
	if (nvme_has_siblings(n))
		return NVME_INVALID_OPCODE;
	if (!ns && sqe->nsid != UINT32_MAX)
		return NVME_INVALID_NS;
	/* No metadata, no protection information, no erase by key. */
	if (FORMAT_LBAF(v) > 1 || v & FORMAT_MSET || FORMAT_PI(v))
		return NVME_FORMAT_INVALID;
	if (FORMAT_SES(v) > 1)
		return NVME_INVALID_FIELD;
	nvme_quiesce(n, w);
	for (unsigned int i = 0; i < n->nr_ns && !status; i++) {
		if (!ns || ns == &n->ns[i])
			status = format_one(n, &n->ns[i], shift);
	}
	nvme_resume(n);
	if (!status)
		nvme_log_event(n, NVME_EVENT_NS_CHANGED);
	return status;
}

/* One slot, read-only: nothing can be loaded, and only what runs can be activated. */
static uint16_t firmware_commit(const struct nvme_sqe *sqe)
{
	if (FW_SLOT(sqe->cdw10) > 1)
		return NVME_FW_SLOT;
	return FW_ACTION(sqe->cdw10) == FW_ACTIVATE ? NVME_OK : NVME_FW_IMAGE;
}

static uint16_t locked(struct nvme_worker *w, struct nvme_cmd *cmd)
{
	struct nvme *n = w->n;

	switch (cmd->sqe.opcode) {
	case NVME_ADM_DELETE_SQ:
		return delete_sq(w, &cmd->sqe);
	case NVME_ADM_CREATE_SQ:
		return create_sq(n, &cmd->sqe);
	case NVME_ADM_DELETE_CQ:
		return delete_cq(n, &cmd->sqe);
	case NVME_ADM_CREATE_CQ:
		return create_cq(n, &cmd->sqe);
	case NVME_ADM_ABORT:
		return abort_command(n, cmd);
	case NVME_ADM_ASYNC_EVENT:
		return async_event(n, cmd);
	case NVME_ADM_FW_COMMIT:
		return firmware_commit(&cmd->sqe);
	case NVME_ADM_FW_DOWNLOAD:
		return NVME_FW_IMAGE;
	case NVME_ADM_DOORBELL_BUFFER:
		return doorbell_buffer(n, &cmd->sqe);
	case NVME_ADM_FORMAT:
		return format(w, &cmd->sqe);
	default:
		return NVME_INVALID_OPCODE;
	}
}

void nvme_admin_run(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd)
{
	cmd->result = 0;
	cmd->silent = false;
	cmd->until_ns = 0;
	cmd->ns = NULL;
	if (NVME_FUSE(cmd->sqe.flags) || NVME_PSDT(cmd->sqe.flags)) {
		cmd->status = NVME_INVALID_FIELD;
		return;
	}
	if (pci_faulty(w->n->pci)) {
		cmd->status = nvme_fault_command(w->n, b, cmd);
		if (cmd->status)
			return;
	}
	switch (cmd->sqe.opcode) {
	case NVME_ADM_IDENTIFY:
		cmd->status = nvme_admin_identify(w, b, cmd);
		break;
	case NVME_ADM_GET_LOG:
		cmd->status = nvme_log_get(w, b, cmd);
		break;
	case NVME_ADM_GET_FEATURES:
		cmd->status = nvme_feature_get(w, b, cmd);
		break;
	case NVME_ADM_SET_FEATURES:
		cmd->status = nvme_feature_set(w, b, cmd);
		break;
	default:
		pthread_mutex_lock(&w->n->pci->lock);
		cmd->status = locked(w, cmd);
		pthread_mutex_unlock(&w->n->pci->lock);
		break;
	}
}
