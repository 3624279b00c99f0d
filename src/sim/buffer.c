/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers: memory that somebody owns, with what he last wrote there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

#define MAX_PAGES 4096u

/* NULL, with words, when there is none or the range is not in it. */
struct sim_buf *sim_buf_get(struct cbit_sim *sim, unsigned int index, uint64_t offset, uint64_t len)
{
	struct sim_buf *buf = index < CBIT_SIM_BUFS ? &sim->bufs[index] : NULL;

	if (!buf || !buf->used) {
		sim_bad(sim, "there is no buffer %u", index);
		return NULL;
	}
	if (!len || len > buf->size || offset > buf->size - len) {
		sim_bad(sim,
			"offset 0x%" PRIx64 " length 0x%" PRIx64
			" is not within the buffer's 0x%" PRIx64 " bytes",
			offset, len, buf->size);
		return NULL;
	}
	return buf;
}

/* The owner zeroes new pages by his own mapping, as kernels do. */
static int zero(struct cbit_sim *sim, const struct sim_buf *buf)
{
	struct cbit_sim_result *mine = sim->res;
	struct cbit_sim_result look = { 0 };
	struct sim_place place;
	int ret;

	sim->res = &look;
	ret = sim_cpu(sim, buf->guest ? CBIT_SIM_GUEST_CPU : CBIT_SIM_HOST_CPU, buf->addr, true,
		      buf->truth, (size_t)buf->size, &place, &look.outcome);
	sim->res = mine;
	return ret;
}

static int alloc_host(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_buf *buf)
{
	struct sim_region *region = &sim->regions[op->region];
	bool c = sim->cfg.platform.sme && !op->c_clear && region->cfg.kind != CBIT_MEM_MMIO;
	int ret;

	ret = sim_pages_alloc(region, false, buf->size, &buf->addr);
	if (ret)
		return sim_refused(sim, -ENOSPC, "%s: no %u pages are left", region->cfg.name,
				   op->pages);
	ret = sim_host_map(sim, buf->addr, buf->size, c);
	if (ret) {
		sim_pages_free(region, buf->addr, buf->size);
		return ret;
	}
	buf->spa = CBIT_SPA(buf->addr);
	buf->c_clear = !c;
	ret = region->cfg.kind == CBIT_MEM_MMIO ? 0 : zero(sim, buf);
	if (!ret)
		buf->used = true;
	return ret;
}

static int alloc_guest(struct cbit_sim *sim, struct sim_buf *buf)
{
	int ret = sim_guest_alloc(sim, buf);

	if (!ret && buf->used && sim->regions[buf->region].cfg.kind != CBIT_MEM_MMIO)
		ret = zero(sim, buf);
	return ret;
}

int sim_op_alloc(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = op->buf < CBIT_SIM_BUFS ? &sim->bufs[op->buf] : NULL;
	int ret;

	if (!buf || buf->used)
		return sim_bad(sim, buf ? "buffer %u is in use" : "buffer %u: too many", op->buf);
	if (op->region >= sim->nr_regions)
		return sim_bad(sim, "there is no region %u", op->region);
	if (!op->pages || op->pages > MAX_PAGES)
		return sim_bad(sim, "%u pages: from 1 to %u are possible", op->pages, MAX_PAGES);
	if (op->guest && !sim->guest)
		return sim_bad(sim, "this machine has no guest");
	*buf = (struct sim_buf){ .guest = op->guest,
				 .region = op->region,
				 .size = op->pages * CBIT_PAGE_SIZE,
				 .serial = ++sim->serial };
	buf->truth = calloc(op->pages, CBIT_PAGE_SIZE);
	if (!buf->truth)
		return -ENOMEM;
	ret = op->guest ? alloc_guest(sim, buf) : alloc_host(sim, op, buf);
	/* A window holds what was there before. */
	if (!ret && buf->used && sim->regions[op->region].bytes)
		memcpy(buf->truth,
		       sim->regions[op->region].bytes +
			       (buf->spa.v - sim->regions[op->region].cfg.base.v),
		       buf->size);
	if (!buf->used) {
		free(buf->truth);
		buf->truth = NULL;
	} else {
		sim->res->spa = buf->spa;
	}
	return ret;
}

void sim_buf_drop(struct cbit_sim *sim, struct sim_buf *buf)
{
	if (buf->guest) {
		sim_guest_free(sim, buf);
	} else {
		sim_host_unmap(sim, buf->addr, buf->size);
		sim_pages_free(&sim->regions[buf->region], buf->addr, buf->size);
	}
	free(buf->truth);
	*buf = (struct sim_buf){ 0 };
}

/* Whether a device has it mapped, otherwise than by @but. */
bool sim_buf_mapped(const struct cbit_sim *sim, unsigned int index, const struct sim_map *but)
{
	for (unsigned int i = 0; i < CBIT_SIM_MAPS; i++) {
		if (sim->maps[i].live && sim->maps[i].buf == index && &sim->maps[i] != but)
			return true;
	}
	return false;
}

int sim_op_free(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = sim_buf_get(sim, op->buf, 0, 1);

	if (!buf)
		return -EINVAL;
	if (sim_buf_mapped(sim, op->buf, NULL))
		return sim_refused(sim, -EBUSY, "the buffer is mapped for a device");
	if (buf->region == SIM_KERNEL)
		return sim_bad(sim, "coherent memory is given back with its mapping");
	sim_buf_drop(sim, buf);
	return 0;
}
