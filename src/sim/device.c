/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA by the devices of a machine, and what became of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

/* --- who carries a request out --- */

enum road { HOST_IOMMU, GUEST_IOMMU, HYPERVISOR, TRUSTED };

static enum road road_of(const struct sim_device *dev)
{
	if (dev->viommu)
		return GUEST_IOMMU;
	if (dev->cfg.guest && dev->cfg.tdisp)
		return TRUSTED;
	return dev->cfg.guest && dev->cfg.emulated ? HYPERVISOR : HOST_IOMMU;
}

/* As an IOMMU tells of it; of the address nothing is an entry but the C-bit that it may carry. */
static void tell_failed(struct cbit_sim *sim, const struct sim_device *dev, struct cbit_mem *view,
			enum cbit_event_type type, uint64_t addr, bool write, size_t len)
{
	const struct cbit_spa at = CBIT_SPA(addr & ~sim->guest_c);
	const struct cbit_mem_region *region = cbit_mem_find(view, at);
	const struct cbit_event ev = {
		.type = type,
		.devid = dev->cfg.devid,
		.write = write,
		.spa_valid = true,
		.kind = region ? region->kind : CBIT_MEM_DRAM,
		.iova = CBIT_IOVA(addr),
		.spa = at,
		.len = len,
		.entry = addr & sim->guest_c,
		.c_mask = sim->guest_c,
		.region = region ? region->name : NULL,
	};

	sim->observer.event(sim->observer.opaque, &ev);
}

/* Requests that meet no IOMMU: the hypervisor's own, and a trusted device's. */
static enum cbit_dma_status by_view(struct cbit_sim *sim, const struct sim_device *dev,
				    struct cbit_mem *view, uint64_t addr, bool write, uint8_t *data,
				    size_t len)
{
	const struct cbit_bus bus = { addr };

	switch (write ? cbit_mem_write(view, bus, data, len)
		      : cbit_mem_read(view, bus, data, len)) {
	case CBIT_MEM_OK:
	case CBIT_MEM_WRONG_KEY:
		return CBIT_DMA_OK;
	case CBIT_MEM_REFUSED:
		tell_failed(sim, dev, view, CBIT_EVENT_RMP_FAULT, addr, write, len);
		sim->res->fault = CBIT_SIM_FAULT_DMA_RMP;
		return CBIT_DMA_FAULT;
	default:
		tell_failed(sim, dev, view, CBIT_EVENT_DMA_ABORT, addr, write, len);
		return CBIT_DMA_ABORT;
	}
}

static enum cbit_dma_status request(struct cbit_sim *sim, const struct sim_device *dev,
				    uint64_t iova, bool write, uint8_t *data, size_t len)
{
	struct cbit_iommu *iommu = sim->iommu;

	switch (road_of(dev)) {
	case HYPERVISOR:
		return by_view(sim, dev, cbit_guest_hypervisor_view(sim->guest), iova, write, data,
			       len);
	case TRUSTED:
		return by_view(sim, dev, cbit_guest_view(sim->guest), iova, write, data, len);
	case GUEST_IOMMU:
		iommu = cbit_viommu_hardware(sim->viommu);
		break;
	case HOST_IOMMU:
		break;
	}
	return write ? cbit_iommu_dma_write(iommu, dev->cfg.devid, CBIT_IOVA(iova), data, len, NULL)
		     : cbit_iommu_dma_read(iommu, dev->cfg.devid, CBIT_IOVA(iova), data, len, NULL);
}

/* --- where it ended --- */

/* A GPA as the hypervisor, or a trusted device, reaches it. */
static void place_gpa(struct cbit_sim *sim, enum road road, uint64_t gpa, struct sim_place *place)
{
	bool c = road == TRUSTED && gpa & sim->guest_c;
	const struct cbit_mem_region *region;
	struct cbit_spa spa;

	if (road == TRUSTED)
		gpa &= ~sim->guest_c;
	place->known = !cbit_guest_spa(sim->guest, CBIT_GPA(gpa), &spa);
	if (!place->known)
		return;
	sim_trace_npt(sim, gpa);
	region = cbit_mem_find(sim->mem, spa);
	place->spa = spa;
	place->c = c || (sim->cfg.guest.npt_c && sim->cfg.platform.sme && region->encrypts);
	place->key = c && region->encrypts ? sim->guest_key : sim_key(sim, spa.v, place->c);
}

/* A device's request went out to @iova. Where it ended, as the tables or the IOTLB have it. */
static void find_place(struct cbit_sim *sim, unsigned int index, uint64_t iova,
		       struct sim_walk *walk, struct sim_place *place)
{
	enum road road = road_of(&sim->devices[index]);

	*place = (struct sim_place){ 0 };
	sim_trace_device(sim, index, iova, walk);
	place->known = walk->ok;
	place->spa = CBIT_SPA(walk->out);
	place->c = walk->c;
	if (sim->stale.len && iova - sim->stale.iova.v < sim->stale.len) {
		/* The IOTLB had another entry than the tables. */
		place->known = sim->stale.spa_valid;
		place->spa = CBIT_SPA(sim->stale.spa.v + (iova - sim->stale.iova.v));
		place->c = (sim->stale.entry & sim->c_mask) != 0;
	}
	if (road != HOST_IOMMU && place->known)
		place_gpa(sim, road, place->spa.v, place);
	else if (place->known)
		place->key = sim_key(sim, place->spa.v, place->c);
}

/* Bytes moved under another key than their owner's: nobody in the machine notices. */
static void tell_wrong_key(struct cbit_sim *sim, const struct cbit_sim_op *op, uint64_t iova,
			   const struct sim_place *place, uint64_t entry)
{
	const struct cbit_mem_region *region = cbit_mem_find(sim->mem, place->spa);
	bool private = sim_guest_private(sim, place->spa.v);
	const struct cbit_event ev = {
		.type = private ? CBIT_EVENT_DMA_PRIVATE : CBIT_EVENT_DMA_WRONG_KEY,
		.devid = sim->devices[op->dev].cfg.devid,
		.write = op->kind != CBIT_SIM_DMA_READ,
		.spa_valid = true,
		.kind = region ? region->kind : CBIT_MEM_DRAM,
		.iova = CBIT_IOVA(iova),
		.spa = place->spa,
		.len = op->len,
		.entry = entry,
		.c_mask = sim->c_mask,
		.key_used = cbit_mem_key_name(place->key),
		.key_right = private      ? cbit_mem_key_name(sim->guest_key)
			     : place->key ? cbit_mem_key_name(CBIT_KEY_NONE)
					  : cbit_mem_key_name(CBIT_KEY_HOST),
		.region = region ? region->name : NULL,
	};

	/* The IOMMU says so itself where it knows whose memory it is. */
	if (!private || !sim->told_private)
		sim->observer.event(sim->observer.opaque, &ev);
}

static void show(struct cbit_sim *sim, const uint8_t *seen, const uint8_t *wanted, size_t len)
{
	struct cbit_sim_result *res = sim->res;

	res->len = len < CBIT_SIM_SEEN ? len : CBIT_SIM_SEEN;
	memcpy(res->seen, seen, res->len);
	memcpy(res->wanted, wanted, res->len);
}

/* A finished DMA write of @data: what the owner's CPU sees at the place where it landed. */
static int judge_write(struct cbit_sim *sim, const struct sim_place *place, uint8_t *data,
		       size_t len)
{
	struct cbit_sim_result *mine = sim->res;
	struct cbit_sim_result look = { 0 };
	struct sim_place owner;
	uint8_t *seen = malloc(len);
	uint64_t gpa;
	int ret;

	if (!seen)
		return -ENOMEM;
	memset(seen, 0xff, len);
	sim->res = &look;
	if (sim_guest_gpa(sim, place->spa.v, &gpa))
		ret = sim_cpu(sim, CBIT_SIM_GUEST_CPU, gpa, false, seen, len, &owner,
			      &look.outcome);
	else
		ret = sim_cpu(sim, CBIT_SIM_HOST_CPU, place->spa.v, false, seen, len, &owner,
			      &look.outcome);
	if (!ret && look.outcome == CBIT_SIM_OK)
		ret = sim_judge_read(sim, seen, data, len, &owner, &look.outcome);
	/* Pages given back: nobody is left to read them. */
	mine->outcome = look.outcome == CBIT_SIM_FAULT ? CBIT_SIM_STALE : look.outcome;
	sim->res = mine;
	show(sim, seen, data, len);
	free(seen);
	return ret;
}

/* The part of a mapping's buffer that lies at @place, if any of it does. */
static uint8_t *truth_at(struct cbit_sim *sim, const struct sim_map *map,
			 const struct sim_place *place, size_t len)
{
	struct sim_buf *buf = sim_map_buf(sim, map);

	if (!place->known || !buf || len > buf->size || place->spa.v < buf->spa.v ||
	    place->spa.v - buf->spa.v > buf->size - len)
		return NULL;
	return buf->truth + (place->spa.v - buf->spa.v);
}

/* What a device is to find: what the owner wrote, but for what it wrote itself into a bounce. */
static void expected(const struct cbit_sim *sim, const struct sim_map *map, uint64_t offset,
		     uint8_t *out, size_t len)
{
	memcpy(out, sim->bufs[map->buf].truth + map->offset + offset, len);
	for (size_t i = 0; map->shadow && i < len; i++) {
		if (map->wrote[offset + i])
			out[i] = map->shadow[offset + i];
	}
}

/* @data is now at @place: whose truth is that? */
static void remember(struct cbit_sim *sim, struct sim_map *map, const struct sim_place *place,
		     uint64_t offset, const uint8_t *data, size_t len)
{
	uint8_t *truth = truth_at(sim, map, place, len);

	if (truth) {
		memcpy(truth, data, len);
	} else if (map->shadow && map->live) {
		memcpy(map->shadow + offset, data, len);
		memset(map->wrote + offset, 1, len);
	}
}

static int judge(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map,
		 bool write, const struct sim_place *place, uint8_t *data, uint8_t *wanted)
{
	size_t len = (size_t)op->len;

	if (write)
		remember(sim, map, place, op->offset, data, len);
	if (!sim_map_buf(sim, map)) {
		sim->res->outcome = CBIT_SIM_STALE;
		return 0;
	}
	if (write)
		return judge_write(sim, place, data, len);
	expected(sim, map, op->offset, wanted, len);
	show(sim, data, wanted, len);
	return sim_judge_read(sim, data, wanted, len, place, &sim->res->outcome);
}

/* Both are faults to the device; the RMP's is in the log under a code of its own. */
static enum cbit_sim_fault fault_of(const struct cbit_sim *sim)
{
	for (unsigned int i = 0; i < sim->res->nr_findings; i++) {
		if (!strcmp(sim->res->findings[i], "rmp-fault"))
			return CBIT_SIM_FAULT_DMA_RMP;
	}
	return CBIT_SIM_FAULT_IOMMU;
}

/* Of a bounce the slots are written, which only the tables, or the address, lead to. */
static void look_before_slots(struct cbit_sim *sim, const struct cbit_sim_op *op, uint64_t iova)
{
	struct cbit_sim_result *mine = sim->res;
	struct cbit_sim_result look = { 0 };
	struct sim_place place;
	struct sim_walk walk;

	sim->res = &look; /* the way is told once */
	find_place(sim, op->dev, iova, &walk, &place);
	sim->res = mine;
	if (place.known)
		sim_look_before(sim, op, place.spa);
}

static int dma(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map, bool write,
	       uint8_t *data, uint8_t *wanted)
{
	const struct sim_device *dev = &sim->devices[op->dev];
	uint64_t iova = map->iova.v + op->offset;
	size_t len = (size_t)op->len;
	enum cbit_dma_status status;
	struct sim_place place;
	struct sim_walk walk;
	int ret = 0;

	sim->stale.len = 0;
	if (write && map->shadow)
		look_before_slots(sim, op, iova);
	status = request(sim, dev, iova, write, data, len);
	find_place(sim, op->dev, iova, &walk, &place);
	if (write || !sim_map_buf(sim, map))
		memcpy(wanted, data, len);
	else
		expected(sim, map, op->offset, wanted, len);
	show(sim, data, wanted, len);
	switch (status) {
	case CBIT_DMA_FAULT:
		sim->res->outcome = CBIT_SIM_FAULT;
		if (!sim->res->fault)
			sim->res->fault = fault_of(sim);
		break;
	case CBIT_DMA_ABORT:
	case CBIT_DMA_UNSUPPORTED:
		sim->res->outcome = write ? CBIT_SIM_LOST : CBIT_SIM_ABORT;
		/* An emulated IOMMU knows no RMP: it is the hypervisor's own write that it refuses.
		 */
		if (fault_of(sim) == CBIT_SIM_FAULT_DMA_RMP) {
			sim->res->outcome = CBIT_SIM_FAULT;
			sim->res->fault = CBIT_SIM_FAULT_DMA_RMP;
		}
		break;
	case CBIT_DMA_OK:
		ret = judge(sim, op, map, write, &place, data, wanted);
		break;
	}
	if (ret)
		return ret;
	sim_note_place(sim, &place);
	if (sim->res->outcome == CBIT_SIM_CIPHERTEXT)
		tell_wrong_key(sim, op, iova, &place, walk.entry);
	return 0;
}

static struct sim_map *check(struct cbit_sim *sim, const struct cbit_sim_op *op, unsigned int index)
{
	struct sim_map *map = sim_map_get(sim, index);

	if (!map)
		return NULL;
	if (op->dev >= sim->cfg.nr_devices) {
		sim_bad(sim, "there is no device %u", op->dev);
		return NULL;
	}
	if (!op->len || op->len > map->size || op->offset > map->size - op->len) {
		sim_bad(sim,
			"offset 0x%" PRIx64 " length 0x%" PRIx64
			" is not within the mapping's 0x%" PRIx64 " bytes",
			op->offset, op->len, map->size);
		return NULL;
	}
	return map;
}

int sim_op_dma(struct cbit_sim *sim, const struct cbit_sim_op *op, bool write)
{
	struct sim_map *map = check(sim, op, op->map);
	uint8_t *data;
	int ret;

	if (!map)
		return -EINVAL;
	data = malloc(2 * (size_t)op->len);
	if (!data)
		return -ENOMEM;
	if (write && op->data)
		memcpy(data, op->data, (size_t)op->len);
	else if (write)
		sim_pattern(op->seed, data, (size_t)op->len);
	ret = dma(sim, op, map, write, data, data + op->len);
	free(data);
	return ret;
}

/* The result tells of the write, or of the read if that was the end of it. */
int sim_op_dma_copy(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_map *from = check(sim, op, op->map);
	struct sim_map *to = from ? check(sim, op, op->map2) : NULL;
	uint8_t *data;
	int ret;

	if (!to)
		return -EINVAL;
	data = malloc(2 * (size_t)op->len);
	if (!data)
		return -ENOMEM;
	ret = dma(sim, op, from, false, data, data + op->len);
	if (!ret && sim->res->outcome != CBIT_SIM_FAULT)
		ret = dma(sim, op, to, true, data, data + op->len);
	free(data);
	return ret;
}
