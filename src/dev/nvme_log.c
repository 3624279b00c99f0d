/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log pages, the error log behind one of them, and asynchronous events.
 */
#include "nvme.h"

#include <string.h>

#define CMD_SUPPORTED     (1u << 0)
#define CMD_CHANGES       (1u << 1) /* logical blocks */
#define CMD_NS_CHANGES    (1u << 2)
#define LOG_MAX           4096u
#define RETAIN            (1u << 15)
#define KELVIN(c)         ((c) + 273u)
#define TEMPERATURE_C     38u
#define SMART_TEMPERATURE (1u << 1)        /* of the critical warning */
#define UNIT              UINT64_C(512000) /* of data, as SMART counts it */
#define NS_PER_MINUTE     UINT64_C(60000000000)
#define NS_PER_HOUR       (60 * NS_PER_MINUTE)

_Static_assert(NVME_ERRORS * sizeof(struct nvme_error_entry) <= LOG_MAX, "room for a log");

/* --- what there is to tell --- */

void nvme_log_error(struct nvme *n, uint16_t sqid, const struct nvme_cmd *cmd)
{
	struct nvme_error_entry *e = &n->error[n->nr_error % NVME_ERRORS];
	const uint64_t count = ++n->nr_error;

	*e = (struct nvme_error_entry){
		.count = count, .sq_id = sqid, .cid = 0xffff, .location = 0xffff
	};
	if (!cmd)
		return;
	e->cid = cmd->sqe.cid;
	e->status = (uint16_t)(cmd->status << 1);
	e->nsid = cmd->sqe.nsid;
	if (sqid)
		e->lba = cmd->sqe.cdw10 | (uint64_t)cmd->sqe.cdw11 << 32;
}

static bool wanted(const struct nvme *n, uint32_t event)
{
	const uint32_t config = n->feature[NVME_FEAT_ASYNC_EVENT];

	/* Bit 8 of the configuration: namespace attributes; bit 1: the critical warning. Errors are
	 * always told. */
	if (event == NVME_EVENT_NS_CHANGED)
		return config >> 8 & 1;
	return event != NVME_EVENT_TEMPERATURE || config & SMART_TEMPERATURE;
}

/* It is as warm as it is; a threshold may be set on the other side of that. */
static bool temperature_warning(const struct nvme *n)
{
	return KELVIN(TEMPERATURE_C) >= (n->feature[NVME_FEAT_TEMPERATURE] & 0xffff) ||
	       KELVIN(TEMPERATURE_C) <= n->temperature_under;
}

void nvme_log_temperature(struct nvme *n)
{
	if (temperature_warning(n))
		nvme_log_event(n, NVME_EVENT_TEMPERATURE);
}

void nvme_log_event(struct nvme *n, uint32_t event)
{
	if (!wanted(n, event))
		return;
	for (unsigned int i = 0; i < n->nr_event; i++) {
		if (n->event[i] == event)
			return;
	}
	/* Where there is no more room the log page still has it. */
	if (n->nr_event == NVME_EVENTS)
		return;
	n->event[n->nr_event++] = event;
	atomic_store(&n->chores, true);
	nvme_kick(n, 0);
}

/* An event that may be reported now, taken out. */
static bool take_event(struct nvme *n, uint32_t *event)
{
	for (unsigned int i = 0; i < n->nr_event; i++) {
		if (n->masked >> NVME_EVENT_TYPE(n->event[i]) & 1)
			continue;
		*event = n->event[i];
		n->nr_event--;
		memmove(n->event + i, n->event + i + 1, (n->nr_event - i) * sizeof(n->event[0]));
		return true;
	}
	return false;
}

static uint16_t pop(uint16_t *cids, unsigned int *nr)
{
	uint16_t cid = cids[0];

	--*nr;
	memmove(cids, cids + 1, *nr * sizeof(cids[0]));
	return cid;
}

bool nvme_log_deliver(struct nvme *n)
{
	bool delivered = false;

	while (n->nr_aer + n->nr_aborted && n->cq[0].exists && !n->halted) {
		struct nvme_cqe cqe = { .sq_head = (uint16_t)n->sq[0].head };
		uint32_t event = 0;

		if (!nvme_queue_room(&n->cq[0]))
			nvme_queue_head(n, &n->cq[0]);
		if (!nvme_queue_room(&n->cq[0])) {
			/* Again when the host has made room. */
			atomic_store(&n->chores, true);
			break;
		}
		if (n->nr_aborted) {
			cqe.cid = pop(n->aborted, &n->nr_aborted);
			cqe.status = NVME_ABORTED;
		} else if (take_event(n, &event)) {
			cqe.cid = pop(n->aer, &n->nr_aer);
			cqe.result = event;
			n->masked |= 1u << NVME_EVENT_TYPE(event);
		} else {
			break;
		}
		nvme_queue_complete(n, 0, 0, &cqe, 1);
		delivered = true;
	}
	return delivered;
}

void nvme_log_forget(struct nvme *n)
{
	n->nr_aer = 0;
	n->nr_aborted = 0;
	n->nr_event = 0;
	n->masked = 0;
}

/* --- pages --- */

static void error_page(struct nvme *n, uint8_t *page)
{
	for (unsigned int i = 0; i < NVME_ERRORS && i < n->nr_error; i++)
		memcpy(page + i * sizeof(n->error[0]),
		       &n->error[(n->nr_error - 1 - i) % NVME_ERRORS], sizeof(n->error[0]));
}

static void put64(uint8_t *page, unsigned int at, uint64_t v)
{
	memcpy(page + at, &v, sizeof(v));
}

static void put16(uint8_t *page, unsigned int at, uint16_t v)
{
	memcpy(page + at, &v, sizeof(v));
}

static void smart_page(struct nvme *n, uint8_t *page)
{
	struct nvme_stats *s = &n->stats;

	page[NVME_SMART_WARNING] = temperature_warning(n) ? SMART_TEMPERATURE : 0;
	put16(page, NVME_SMART_TEMPERATURE, KELVIN(TEMPERATURE_C));
	page[NVME_SMART_SPARE] = 100;
	page[NVME_SMART_SPARE_THRESHOLD] = 10;
	put64(page, NVME_SMART_UNITS_READ, (atomic_load(&s->bytes_read) + UNIT - 1) / UNIT);
	put64(page, NVME_SMART_UNITS_WRITTEN, (atomic_load(&s->bytes_written) + UNIT - 1) / UNIT);
	put64(page, NVME_SMART_READS, atomic_load(&s->reads));
	put64(page, NVME_SMART_WRITES, atomic_load(&s->writes));
	put64(page, NVME_SMART_BUSY, atomic_load(&s->busy_ns) / NS_PER_MINUTE);
	put64(page, NVME_SMART_POWER_CYCLES, 1);
	put64(page, NVME_SMART_POWER_ON_HOURS, (nvme_now() - n->powered_at) / NS_PER_HOUR);
	put64(page, NVME_SMART_MEDIA_ERRORS, atomic_load(&s->media_errors));
	put64(page, NVME_SMART_ERROR_ENTRIES, n->nr_error);
}

static void firmware_page(uint8_t *page)
{
	page[0] = 1; /* active: slot 1 */
	memcpy(page + 8, CBIT_VERSION "        ", 8);
}

static void changed_page(struct nvme *n, uint8_t *page, bool retain)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < n->nr_ns; i++) {
		const uint32_t nsid = i + 1;

		if (!n->ns_changed[i])
			continue;
		memcpy(page + sizeof(nsid) * nr++, &nsid, sizeof(nsid));
		n->ns_changed[i] = retain;
	}
}

static void commands_page(const struct nvme *n, uint8_t *page)
{
	static const struct {
		uint8_t io;
		uint8_t opcode;
		uint32_t effects;
	} commands[] = {
		{ 0, NVME_ADM_DELETE_SQ, CMD_SUPPORTED },
		{ 0, NVME_ADM_CREATE_SQ, CMD_SUPPORTED },
		{ 0, NVME_ADM_GET_LOG, CMD_SUPPORTED },
		{ 0, NVME_ADM_DELETE_CQ, CMD_SUPPORTED },
		{ 0, NVME_ADM_CREATE_CQ, CMD_SUPPORTED },
		{ 0, NVME_ADM_IDENTIFY, CMD_SUPPORTED },
		{ 0, NVME_ADM_ABORT, CMD_SUPPORTED },
		{ 0, NVME_ADM_SET_FEATURES, CMD_SUPPORTED },
		{ 0, NVME_ADM_GET_FEATURES, CMD_SUPPORTED },
		{ 0, NVME_ADM_ASYNC_EVENT, CMD_SUPPORTED },
		{ 0, NVME_ADM_FW_COMMIT, CMD_SUPPORTED },
		{ 0, NVME_ADM_FW_DOWNLOAD, CMD_SUPPORTED },
		{ 0, NVME_ADM_DOORBELL_BUFFER, CMD_SUPPORTED },
		{ 0, NVME_ADM_FORMAT, CMD_SUPPORTED | CMD_CHANGES | CMD_NS_CHANGES },
		{ 1, NVME_IO_FLUSH, CMD_SUPPORTED | CMD_CHANGES },
		{ 1, NVME_IO_WRITE, CMD_SUPPORTED | CMD_CHANGES },
		{ 1, NVME_IO_READ, CMD_SUPPORTED },
		{ 1, NVME_IO_COMPARE, CMD_SUPPORTED },
		{ 1, NVME_IO_WRITE_ZEROES, CMD_SUPPORTED | CMD_CHANGES },
		{ 1, NVME_IO_DSM, CMD_SUPPORTED | CMD_CHANGES },
		{ 1, NVME_IO_VERIFY, CMD_SUPPORTED },
	};

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		memcpy(page + (size_t)1024 * commands[i].io + (size_t)4 * commands[i].opcode,
		       &commands[i].effects, sizeof(commands[i].effects));
	if (nvme_has_siblings(n))
		memset(page + sizeof(uint32_t) * NVME_ADM_FORMAT, 0, sizeof(uint32_t));
}

/* 0: there is no such page. */
static uint32_t page_size(uint8_t lid)
{
	switch (lid) {
	case NVME_LOG_ERROR:
		return NVME_ERRORS * (uint32_t)sizeof(struct nvme_error_entry);
	case NVME_LOG_SMART:
	case NVME_LOG_FIRMWARE:
		return NVME_SMART_SIZE;
	case NVME_LOG_CHANGED_NS:
	case NVME_LOG_COMMANDS:
		return LOG_MAX;
	default:
		return 0;
	}
}

/* Reading a page makes its events reportable again, unless RAE says otherwise. */
static void unmask(struct nvme *n, uint8_t lid)
{
	const unsigned int type = lid == NVME_LOG_ERROR ? 0 : lid == NVME_LOG_SMART ? 1 : 2;

	if (lid != NVME_LOG_ERROR && lid != NVME_LOG_SMART && lid != NVME_LOG_CHANGED_NS)
		return;
	n->masked &= ~(1u << type);
	if (n->nr_event) {
		atomic_store(&n->chores, true);
		nvme_kick(n, 0);
	}
}

uint16_t nvme_log_get(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd)
{
	struct nvme *n = w->n;
	const struct nvme_sqe *sqe = &cmd->sqe;
	const uint64_t dwords = (sqe->cdw10 >> 16 | (uint64_t)(sqe->cdw11 & 0xffff) << 16) + 1;
	const uint64_t offset = sqe->cdw12 | (uint64_t)sqe->cdw13 << 32;
	const uint8_t lid = (uint8_t)sqe->cdw10;
	const bool retain = sqe->cdw10 & RETAIN;
	uint8_t page[LOG_MAX] = { 0 };
	uint64_t len = 4 * dwords;
	const uint32_t size = page_size(lid);

	if (!size)
		return NVME_LOG_INVALID;
	/* SMART is the controller's alone (LPA bit 0 is clear). */
	if (lid == NVME_LOG_SMART && sqe->nsid && sqe->nsid != UINT32_MAX)
		return NVME_INVALID_FIELD;
	if (offset & 3 || offset > size)
		return NVME_INVALID_FIELD;
	pthread_mutex_lock(&n->pci->lock);
	switch (lid) {
	case NVME_LOG_ERROR:
		error_page(n, page);
		break;
	case NVME_LOG_SMART:
		smart_page(n, page);
		break;
	case NVME_LOG_FIRMWARE:
		firmware_page(page);
		break;
	case NVME_LOG_CHANGED_NS:
		changed_page(n, page, retain);
		break;
	default:
		commands_page(n, page);
		break;
	}
	if (!retain)
		unmask(n, lid);
	pthread_mutex_unlock(&n->pci->lock);
	/* What is asked for beyond the page's end stays as the host has it. */
	if (len > size - offset)
		len = size - offset;
	return len ? nvme_admin_send(w, b, cmd, page + offset, (uint32_t)len) : NVME_OK;
}
