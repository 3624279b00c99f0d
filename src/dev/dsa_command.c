/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of the dsa device: switching device and queues on and off, draining, aborting, reset.
 * A command that has to wait for descriptors stays active until the engine has done with them.
 */
#include "dsa.h"

#include <string.h>

#define ALL_WQS ((1u << DSA_WQS) - 1)

/* The reset of the command: configuration gone, everything off. */
void dsa_defaults(struct dsa *dsa)
{
	dsa->device_on = false;
	dsa->enabled = 0;
	dsa->gencfg = 0;
	dsa->genctrl = 0;
	memset(dsa->grpcfg, 0, sizeof(dsa->grpcfg));
	memset(dsa->wqcfg, 0, sizeof(dsa->wqcfg));
	memset(dsa->msix_perm, 0, sizeof(dsa->msix_perm));
}

/* Every queue with entries in one group, every engine in one at most, groups complete. */
static enum dsa_command_error check_groups(const struct dsa *dsa)
{
	uint64_t wqs = 0, engines = 0;

	for (unsigned int g = 0; g < DSA_GROUPS; g++) {
		const uint64_t *cfg = &dsa->grpcfg[g * DSA_GRPCFG_SIZE / 8];
		uint64_t group_wqs = cfg[0], group_engines = cfg[DSA_GRPCFG_ENGINES / 8];

		if (group_wqs & wqs || group_wqs & ~(uint64_t)ALL_WQS)
			return DSA_ERR_GROUP_WQ;
		if (group_engines & engines || group_engines >> DSA_ENGINES)
			return DSA_ERR_GROUP_ENGINE;
		if (group_wqs && !group_engines)
			return DSA_ERR_GROUP_EMPTY;
		wqs |= group_wqs;
		engines |= group_engines;
	}
	for (unsigned int i = 0; i < DSA_WQS; i++) {
		if (DSA_WQ_SIZE(dsa->wqcfg[i]) && !(wqs >> i & 1))
			return DSA_ERR_GROUP_WQ;
	}
	return DSA_OK;
}

static enum dsa_command_error enable_device(struct dsa *dsa)
{
	unsigned int size = 0;
	enum dsa_command_error error;

	if (dsa->device_on)
		return DSA_ERR_DEV_ENABLED;
	if (!atomic_load(&dsa->pci->mastering))
		return DSA_ERR_BUS_MASTER;
	for (unsigned int i = 0; i < DSA_WQS; i++)
		size += DSA_WQ_SIZE(dsa->wqcfg[i]);
	if (size > DSA_WQ_ENTRIES)
		return DSA_ERR_SIZES;
	error = check_groups(dsa);
	dsa->device_on = error == DSA_OK;
	return error;
}

static enum dsa_command_error enable_wq(struct dsa *dsa, uint32_t operand)
{
	const uint32_t *cfg;

	if (operand >= DSA_WQS)
		return DSA_ERR_WQ_INDEX;
	cfg = dsa->wqcfg[operand];
	if (!dsa->device_on)
		return DSA_ERR_DEV_OFF;
	if (dsa->enabled >> operand & 1)
		return DSA_ERR_WQ_ENABLED;
	if (!DSA_WQ_SIZE(cfg))
		return DSA_ERR_WQ_SIZE;
	if (!DSA_WQ_PRIORITY(cfg))
		return DSA_ERR_WQ_PRIORITY;
	if (!DSA_WQ_DEDICATED(cfg))
		return DSA_ERR_WQ_MODE;
	if (DSA_WQ_BOF(cfg))
		return DSA_ERR_WQ_BOF;
	if (DSA_WQ_PASID_EN(cfg))
		return DSA_ERR_WQ_PASID;
	if (DSA_WQ_BATCH_SHIFT(cfg) > DSA_BATCH_SHIFT)
		return DSA_ERR_WQ_BATCH;
	if (DSA_WQ_XFER_SHIFT(cfg) > dsa->xfer_shift)
		return DSA_ERR_WQ_XFER;
	dsa->enabled |= 1u << operand;
	return DSA_OK;
}

/* The queues that a command names: 16 at a time, bits 19:16 say which 16. */
static uint32_t named(uint32_t operand)
{
	return operand >> 16 ? 0 : operand & 0xffff;
}

static void finish(struct dsa *dsa, enum dsa_command_error error)
{
	bool interrupt = dsa->command & DSA_CMD_INT;

	dsa->command = 0;
	dsa->waiting = 0;
	dsa->cmdsts = error;
	if (interrupt)
		dsa_cause(dsa, DSA_INTCAUSE_COMMAND);
}

/* What is left to do once the queues that a command waits for are empty. */
static void conclude(struct dsa *dsa)
{
	uint32_t operand = DSA_CMD_OPERAND(dsa->command);

	switch (DSA_CMD_CODE(dsa->command)) {
	case DSA_DISABLE_DEVICE:
		dsa->device_on = false;
		break;
	case DSA_RESET_DEVICE:
		dsa_defaults(dsa);
		break;
	case DSA_RESET_WQ:
		for (unsigned int i = 0; i < DSA_WQS; i++) {
			if (named(operand) >> i & 1)
				memset(&dsa->wqcfg[i][1], 0, sizeof(dsa->wqcfg[i]) - 4);
		}
		break;
	default:
		break;
	}
	finish(dsa, DSA_OK);
}

void dsa_command_progress(struct dsa *dsa)
{
	if (dsa->command && !dsa_engine_pending(dsa, dsa->waiting))
		conclude(dsa);
}

/* Wait until those queues are empty, or empty them; @off: they take nothing from now on. */
static void start_waiting(struct dsa *dsa, uint32_t wqs, bool abort, bool off)
{
	dsa->waiting = wqs;
	dsa->cmdsts = DSA_CMDSTS_ACTIVE;
	if (off)
		dsa->enabled &= ~wqs;
	if (abort)
		dsa_engine_abort(dsa, wqs);
	dsa_command_progress(dsa);
}

static void queue_command(struct dsa *dsa, uint32_t code)
{
	uint32_t wqs = named(DSA_CMD_OPERAND(dsa->command));

	if (wqs & ~ALL_WQS || !wqs)
		finish(dsa, DSA_ERR_WQ_INDEX);
	else if (wqs & ~dsa->enabled)
		finish(dsa, DSA_ERR_WQ_NOT_ENABLED);
	else
		start_waiting(dsa, wqs, code == DSA_ABORT_WQ || code == DSA_RESET_WQ,
			      code == DSA_DISABLE_WQ || code == DSA_RESET_WQ);
}

void dsa_command(struct dsa *dsa, uint32_t value)
{
	uint32_t code = DSA_CMD_CODE(value);

	/* One at a time: what is written while one is active is lost. */
	if (dsa->command)
		return;
	dsa->command = value;
	switch (code) {
	case DSA_ENABLE_DEVICE:
		finish(dsa, enable_device(dsa));
		break;
	case DSA_ENABLE_WQ:
		finish(dsa, enable_wq(dsa, DSA_CMD_OPERAND(value)));
		break;
	case DSA_DISABLE_DEVICE:
	case DSA_DRAIN_ALL:
	case DSA_ABORT_ALL:
		if (!dsa->device_on)
			finish(dsa, DSA_ERR_NOT_ENABLED);
		else
			start_waiting(dsa, ALL_WQS, code == DSA_ABORT_ALL,
				      code == DSA_DISABLE_DEVICE);
		break;
	case DSA_RESET_DEVICE:
		start_waiting(dsa, ALL_WQS, true, true);
		break;
	case DSA_DISABLE_WQ:
	case DSA_DRAIN_WQ:
	case DSA_ABORT_WQ:
	case DSA_RESET_WQ:
		queue_command(dsa, code);
		break;
	case DSA_DRAIN_PASID:
	case DSA_ABORT_PASID:
		finish(dsa, DSA_OK); /* no queue has PASIDs */
		break;
	default:
		finish(dsa, DSA_ERR_COMMAND);
		break;
	}
}
