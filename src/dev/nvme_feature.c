/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Get Features and Set Features.
 *
 * Where a value decides something here it does (write cache, queues, events, timestamp); the others
 * are kept and told, as on a controller whose firmware takes no notice. Nothing can be saved.
 */
#include "nvme.h"

#include <string.h>

#define SEL(cdw10)      ((cdw10) >> 8 & 7)
#define SEL_CURRENT     0u
#define SEL_DEFAULT     1u
#define SEL_SAVED       2u
#define SEL_SUPPORTED   3u
#define SAVE            (1u << 31)
#define CAP_CHANGEABLE  (1u << 2)
#define CAP_NS_SPECIFIC (1u << 1)
#define TEMPERATURE_MAX 0x161u /* 80 degrees, in kelvin */
#define VECTOR_CD       (1u << 16)

#define THRESHOLD_TYPE(dw11)   ((dw11) >> 20 & 3)
#define THRESHOLD_SENSOR(dw11) ((dw11) >> 16 & 15)
#define THRESHOLD_UNDER        1u
#define THRESHOLD_ALL          15u

static const uint32_t defaults[16] = {
	[NVME_FEAT_ARBITRATION] = 7, /* no limit to a burst */
	[NVME_FEAT_TEMPERATURE] = TEMPERATURE_MAX,
	[NVME_FEAT_WRITE_CACHE] = 1,
};

void nvme_feature_defaults(struct nvme *n)
{
	memcpy(n->feature, defaults, sizeof(n->feature));
	n->temperature_under = 0;
	n->no_coalescing = 0;
	atomic_store(&n->cache_off, false);
	n->timestamp = 0;
	n->timestamp_at = nvme_now();
}

static bool known(uint8_t fid)
{
	switch (fid) {
	case NVME_FEAT_ARBITRATION:
	case NVME_FEAT_POWER:
	case NVME_FEAT_TEMPERATURE:
	case NVME_FEAT_ERROR_RECOVERY:
	case NVME_FEAT_WRITE_CACHE:
	case NVME_FEAT_QUEUES:
	case NVME_FEAT_COALESCING:
	case NVME_FEAT_VECTOR:
	case NVME_FEAT_ATOMICITY:
	case NVME_FEAT_ASYNC_EVENT:
	case NVME_FEAT_TIMESTAMP:
		return true;
	default:
		return false;
	}
}

static uint32_t queues(const struct nvme *n)
{
	const uint32_t most = n->nr_queues - 2; /* I/O pairs, counted from 0 */

	return most | most << 16;
}

static uint64_t timestamp(const struct nvme *n, bool was_set)
{
	uint64_t ms = n->timestamp + (nvme_now() - n->timestamp_at) / 1000000;

	/* Byte 6, origin: 1 when the host set it since the last reset. */
	return (ms & 0xffffffffffff) | (uint64_t)was_set << 49;
}

static uint16_t check_ns(struct nvme *n, uint8_t fid, uint32_t nsid)
{
	if (fid == NVME_FEAT_ERROR_RECOVERY)
		return nvme_ns_find(n, nsid) || nsid == UINT32_MAX ? NVME_OK : NVME_INVALID_NS;
	return NVME_OK;
}

/* 5.21.1.4: threshold types 2 and 3 and sensors 9 to 14 are reserved. */
static bool threshold_ok(uint32_t dw11)
{
	const uint32_t type = THRESHOLD_TYPE(dw11), sensor = THRESHOLD_SENSOR(dw11);

	return type <= 1 && (sensor <= 8 || sensor == 15);
}

/* Of features with more than one value, which @dw11 chooses from. */
static uint32_t one_of(const struct nvme *n, uint8_t fid, uint32_t dw11, bool current)
{
	const uint32_t vector = dw11 & 0xffff;

	if (fid == NVME_FEAT_VECTOR)
		return vector | (current && n->no_coalescing >> vector & 1 ? VECTOR_CD : 0);
	if (THRESHOLD_TYPE(dw11) == THRESHOLD_UNDER)
		return current ? n->temperature_under : 0;
	return current ? n->feature[fid] : defaults[fid];
}

uint16_t nvme_feature_get(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd)
{
	struct nvme *n = w->n;
	const uint8_t fid = (uint8_t)cmd->sqe.cdw10;
	const unsigned int sel = SEL(cmd->sqe.cdw10);
	const uint32_t dw11 = cmd->sqe.cdw11;
	const uint32_t *from;
	uint16_t status;
	uint64_t stamp;

	if (!known(fid) || sel > SEL_SUPPORTED ||
	    (fid == NVME_FEAT_TEMPERATURE && !threshold_ok(dw11)) ||
	    (fid == NVME_FEAT_VECTOR && sel != SEL_SUPPORTED && (dw11 & 0xffff) >= NVME_VECTORS))
		return NVME_INVALID_FIELD;
	status = check_ns(n, fid, cmd->sqe.nsid);
	if (status)
		return status;
	if (sel == SEL_SUPPORTED) {
		cmd->result =
			CAP_CHANGEABLE | (fid == NVME_FEAT_ERROR_RECOVERY ? CAP_NS_SPECIFIC : 0);
		return NVME_OK;
	}
	pthread_mutex_lock(&n->pci->lock);
	from = sel == SEL_CURRENT ? n->feature : defaults;
	cmd->result = from[fid];
	if (fid == NVME_FEAT_VECTOR || fid == NVME_FEAT_TEMPERATURE)
		cmd->result = one_of(n, fid, dw11, sel == SEL_CURRENT);
	else if (fid == NVME_FEAT_QUEUES)
		cmd->result = queues(n);
	stamp = timestamp(n, n->feature[NVME_FEAT_TIMESTAMP]);
	pthread_mutex_unlock(&n->pci->lock);
	if (fid == NVME_FEAT_TIMESTAMP) {
		cmd->result = 0;
		return nvme_admin_send(w, b, cmd, &stamp, sizeof(stamp));
	}
	return NVME_OK;
}

static uint16_t set_timestamp(struct nvme_worker *w, const struct nvme_batch *b,
			      struct nvme_cmd *cmd)
{
	struct nvme *n = w->n;
	uint64_t stamp = 0;
	uint16_t status = nvme_admin_receive(w, b, cmd, &stamp, sizeof(stamp));

	if (status)
		return status;
	pthread_mutex_lock(&n->pci->lock);
	n->timestamp = stamp & 0xffffffffffff;
	n->timestamp_at = nvme_now();
	n->feature[NVME_FEAT_TIMESTAMP] = 1;
	pthread_mutex_unlock(&n->pci->lock);
	return NVME_OK;
}

/* Number of Queues is asked for before there are any (5.21.1.7). */
static uint16_t set_queues(struct nvme *n, struct nvme_cmd *cmd)
{
	const uint32_t dw11 = cmd->sqe.cdw11;

	if ((dw11 & 0xffff) == 0xffff || dw11 >> 16 == 0xffff)
		return NVME_INVALID_FIELD;
	for (unsigned int i = 1; i < n->nr_queues; i++) {
		if (n->sq[i].exists || n->cq[i].exists)
			return NVME_SEQUENCE;
	}
	cmd->result = queues(n);
	return NVME_OK;
}

/* Going without the cache: what it holds goes down first. */
static uint16_t set_cache(struct nvme *n, bool on)
{
	uint16_t status = NVME_OK;

	atomic_store(&n->cache_off, !on);
	for (unsigned int i = 0; !on && !status && i < n->nr_ns; i++)
		status = nvme_store_flush(&n->ns[i]);
	return status;
}

/* Of the composite temperature: sensors there are not. */
static void set_threshold(struct nvme *n, uint32_t dw11)
{
	if (THRESHOLD_SENSOR(dw11) && THRESHOLD_SENSOR(dw11) != THRESHOLD_ALL)
		return;
	if (THRESHOLD_TYPE(dw11) == THRESHOLD_UNDER)
		n->temperature_under = (uint16_t)dw11;
	else
		n->feature[NVME_FEAT_TEMPERATURE] = dw11 & 0xffff;
	nvme_log_temperature(n);
}

static uint16_t set_value(struct nvme *n, struct nvme_cmd *cmd, uint8_t fid)
{
	const uint32_t v = cmd->sqe.cdw11;

	switch (fid) {
	case NVME_FEAT_POWER:
		/* There is one power state. */
		if (v & 0x1f)
			return NVME_INVALID_FIELD;
		break;
	case NVME_FEAT_QUEUES:
		return set_queues(n, cmd);
	case NVME_FEAT_VECTOR:
		if ((v & 0xffff) >= NVME_VECTORS)
			return NVME_INVALID_FIELD;
		/* Coalescing is a permission; this controller never waits. */
		n->no_coalescing &= ~((uint64_t)1 << (v & 0xffff));
		n->no_coalescing |= (uint64_t)(v & VECTOR_CD ? 1 : 0) << (v & 0xffff);
		return NVME_OK;
	case NVME_FEAT_TEMPERATURE:
		if (!threshold_ok(v))
			return NVME_INVALID_FIELD;
		set_threshold(n, v);
		return NVME_OK;
	default:
		break;
	}
	n->feature[fid] = fid == NVME_FEAT_WRITE_CACHE ? v & 1 : v;
	if (fid == NVME_FEAT_ASYNC_EVENT)
		nvme_log_temperature(n);
	return NVME_OK;
}

uint16_t nvme_feature_set(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd)
{
	struct nvme *n = w->n;
	const uint8_t fid = (uint8_t)cmd->sqe.cdw10;
	uint16_t status;

	if (!known(fid))
		return NVME_INVALID_FIELD;
	if (cmd->sqe.cdw10 & SAVE)
		return NVME_FEATURE_NOT_SAVEABLE;
	status = check_ns(n, fid, cmd->sqe.nsid);
	/* A feature of the controller is not one namespace's. */
	if (!status && fid != NVME_FEAT_ERROR_RECOVERY && cmd->sqe.nsid &&
	    cmd->sqe.nsid != UINT32_MAX)
		status = NVME_FEATURE_NOT_NS;
	if (status)
		return status;
	if (fid == NVME_FEAT_TIMESTAMP)
		return set_timestamp(w, b, cmd);
	pthread_mutex_lock(&n->pci->lock);
	status = set_value(n, cmd, fid);
	pthread_mutex_unlock(&n->pci->lock);
	if (!status && fid == NVME_FEAT_WRITE_CACHE)
		status = set_cache(n, cmd->sqe.cdw11 & 1);
	return status;
}
