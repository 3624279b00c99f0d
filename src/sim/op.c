/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations: from their kind to the code, and the words of the enumerations.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim_internal.h"

#define NAME(fn, type, count, ...)                                             \
	const char *fn(type v)                                                 \
	{                                                                      \
		static const char *const names[count] = { __VA_ARGS__ };       \
                                                                               \
		return (unsigned int)v < (count) && names[v] ? names[v] : "?"; \
	}

NAME(cbit_sim_mapper_name, enum cbit_sim_mapper, CBIT_SIM_NR_MAPPERS, [CBIT_SIM_TYPE1] = "type1",
     [CBIT_SIM_IOMMUFD] = "iommufd", [CBIT_SIM_DMA] = "dma-api")

NAME(cbit_sim_who_name, enum cbit_sim_who,
     CBIT_SIM_NR_WHO, [CBIT_SIM_HOST_CPU] = "host-cpu", [CBIT_SIM_GUEST_CPU] = "guest-cpu",
     [CBIT_SIM_GUEST_FETCH] = "guest-fetch", [CBIT_SIM_HYPERVISOR] = "hypervisor")

NAME(cbit_sim_op_name, enum cbit_sim_op_kind, CBIT_SIM_NR_OPS, [CBIT_SIM_ALLOC] = "alloc",
     [CBIT_SIM_FREE] = "free", [CBIT_SIM_WRITE] = "write", [CBIT_SIM_READ] = "read",
     [CBIT_SIM_RAW] = "raw", [CBIT_SIM_MAP] = "map", [CBIT_SIM_UNMAP] = "unmap",
     [CBIT_SIM_UNMAP_NO_FLUSH] = "unmap-no-flush", [CBIT_SIM_FLUSH] = "flush",
     [CBIT_SIM_DMA_READ] = "dma-read", [CBIT_SIM_DMA_WRITE] = "dma-write",
     [CBIT_SIM_DMA_COPY] = "dma-copy", [CBIT_SIM_SYNC_CPU] = "sync-for-cpu",
     [CBIT_SIM_SYNC_DEVICE] = "sync-for-device", [CBIT_SIM_COHERENT] = "alloc-coherent",
     [CBIT_SIM_CHECK] = "check", [CBIT_SIM_SHARE] = "share", [CBIT_SIM_UNSHARE] = "unshare",
     [CBIT_SIM_SET_C] = "set-c", [CBIT_SIM_PAGE_STATE] = "page-state",
     [CBIT_SIM_PVALIDATE] = "pvalidate", [CBIT_SIM_RMPUPDATE] = "rmpupdate", [CBIT_SIM_MSI] = "msi")

NAME(cbit_sim_outcome_name, enum cbit_sim_outcome,
     CBIT_SIM_NR_OUTCOMES, [CBIT_SIM_OK] = "ok", [CBIT_SIM_PLAINTEXT] = "plaintext",
     [CBIT_SIM_CIPHERTEXT] = "ciphertext", [CBIT_SIM_STALE] = "stale", [CBIT_SIM_ABORT] = "abort",
     [CBIT_SIM_LOST] = "lost", [CBIT_SIM_FAULT] = "fault", [CBIT_SIM_REFUSED] = "refused",
     [CBIT_SIM_MISDIRECTED] = "misdirected")

NAME(cbit_sim_table_name, enum cbit_sim_table,
     CBIT_SIM_NR_TABLES, [CBIT_SIM_HOST_PT] = "host page table", [CBIT_SIM_DEVTAB] = "device table",
     [CBIT_SIM_IOPT] = "I/O page table", [CBIT_SIM_GUEST_PT] = "guest page table",
     [CBIT_SIM_NPT] = "nested page table", [CBIT_SIM_VDEVTAB] = "device table of the vIOMMU",
     [CBIT_SIM_VIOPT] = "page table of the vIOMMU")

NAME(cbit_sim_fault_name, enum cbit_sim_fault, CBIT_SIM_NR_FAULTS, [CBIT_SIM_FAULT_NONE] = "none",
     [CBIT_SIM_FAULT_PF] = "pf", [CBIT_SIM_FAULT_PF_RMP] = "pf-rmp", [CBIT_SIM_FAULT_NPF] = "npf",
     [CBIT_SIM_FAULT_NPF_RMP] = "npf-rmp", [CBIT_SIM_FAULT_VC] = "vc",
     [CBIT_SIM_FAULT_IOMMU] = "io-page-fault", [CBIT_SIM_FAULT_DMA_RMP] = "rmp-page-fault")

int sim_bad(struct cbit_sim *sim, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	sim->res->err.code = -EINVAL;
	if (vsnprintf(sim->res->err.text, sizeof(sim->res->err.text), fmt, ap) < 0)
		sim->res->err.text[0] = '\0';
	va_end(ap);
	return -EINVAL;
}

int sim_refused(struct cbit_sim *sim, int error, const char *fmt, ...)
{
	va_list ap;

	if (error == -ENOMEM)
		return error;
	va_start(ap, fmt);
	sim->res->err.code = error;
	if (vsnprintf(sim->res->err.text, sizeof(sim->res->err.text), fmt, ap) < 0)
		sim->res->err.text[0] = '\0';
	va_end(ap);
	sim->res->error = error;
	sim->res->outcome = CBIT_SIM_REFUSED;
	return 0;
}

void sim_decide(struct cbit_sim *sim, const char *function, const char *text)
{
	struct cbit_sim_result *res = sim->res;

	if (res->nr_decisions < CBIT_SIM_DECISIONS)
		res->decisions[res->nr_decisions++] =
			(struct cbit_sim_decision){ .function = function, .text = text };
}

void sim_decide_all(struct cbit_sim *sim, const struct cbit_policy_decision *decision)
{
	for (unsigned int i = 0; i < decision->steps; i++)
		sim_decide(sim, decision->step[i].function, decision->step[i].why);
}

static void drain_events(struct cbit_sim *sim)
{
	struct cbit_sim_result *res = sim->res;
	struct cbit_iommu_log_entry entry;

	while (!cbit_iommu_log_pop(sim->iommu, &entry) ||
	       (sim->viommu && cbit_viommu_alive(sim->viommu) &&
		!cbit_iommu_log_pop(cbit_viommu_hardware(sim->viommu), &entry))) {
		if (res->nr_events < CBIT_SIM_EVENTS)
			res->events[res->nr_events++] = entry;
	}
}

static int dispatch(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	switch (op->kind) {
	case CBIT_SIM_ALLOC:
		return sim_op_alloc(sim, op);
	case CBIT_SIM_FREE:
		return sim_op_free(sim, op);
	case CBIT_SIM_WRITE:
		return sim_op_write(sim, op);
	case CBIT_SIM_READ:
	case CBIT_SIM_CHECK:
		return sim_op_read(sim, op);
	case CBIT_SIM_RAW:
		return sim_op_raw(sim, op);
	case CBIT_SIM_MAP:
		return sim_op_map(sim, op);
	case CBIT_SIM_UNMAP:
	case CBIT_SIM_UNMAP_NO_FLUSH:
		return sim_op_unmap(sim, op);
	case CBIT_SIM_FLUSH:
		return sim_op_flush(sim, op);
	case CBIT_SIM_DMA_READ:
		return sim_op_dma(sim, op, false);
	case CBIT_SIM_DMA_WRITE:
		return sim_op_dma(sim, op, true);
	case CBIT_SIM_DMA_COPY:
		return sim_op_dma_copy(sim, op);
	case CBIT_SIM_SYNC_CPU:
	case CBIT_SIM_SYNC_DEVICE:
		return sim_op_sync(sim, op);
	case CBIT_SIM_COHERENT:
		return sim_op_coherent(sim, op);
	case CBIT_SIM_SHARE:
	case CBIT_SIM_UNSHARE:
	case CBIT_SIM_SET_C:
	case CBIT_SIM_PAGE_STATE:
	case CBIT_SIM_PVALIDATE:
	case CBIT_SIM_RMPUPDATE:
		return sim_op_state(sim, op);
	case CBIT_SIM_MSI:
		return sim_op_msi(sim, op);
	default:
		return sim_bad(sim, "operation %u is not known", (unsigned int)op->kind);
	}
}

/* What DRAM holds where a write is about to go. */
void sim_look_before(struct cbit_sim *sim, const struct cbit_sim_op *op, struct cbit_spa at)
{
	size_t len = op->len < CBIT_SIM_SEEN ? (size_t)op->len : CBIT_SIM_SEEN;

	sim->before = cbit_mem_raw(sim->mem, at, sim->res->before, len) ? CBIT_SPA(0) : at;
}

/* For the buffer itself; where a bounce goes is found out when the device does it. */
static void look_before(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	const struct sim_buf *buf = NULL;
	uint64_t at = op->offset;

	sim->before = CBIT_SPA(0);

	if (op->kind == CBIT_SIM_WRITE && op->buf < CBIT_SIM_BUFS) {
		buf = &sim->bufs[op->buf];
	} else if (op->kind == CBIT_SIM_DMA_WRITE && op->map < CBIT_SIM_MAPS &&
		   sim->maps[op->map].used) {
		buf = sim_map_buf(sim, &sim->maps[op->map]);
		at += sim->maps[op->map].offset;
	}
	if (buf && buf->used && op->len && at < buf->size && op->len <= buf->size - at)
		sim_look_before(sim, op, CBIT_SPA(buf->spa.v + at));
}

int cbit_sim_do(struct cbit_sim *sim, const struct cbit_sim_op *op, struct cbit_sim_result *result)
{
	int ret;

	memset(result, 0, sizeof(*result));
	sim->res = result;
	sim->told_private = false;
	look_before(sim, op);
	ret = dispatch(sim, op);
	result->before_valid =
		sim->before.v && result->dram_valid && result->spa.v == sim->before.v;
	drain_events(sim);
	sim->res = NULL;
	return ret;
}
