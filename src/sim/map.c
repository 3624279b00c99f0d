/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings: what VFIO's type1 does for a program, run of pages by run of pages, with the
 * attributes that the policy decides; unmapping, with and without telling the IOTLB.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "sim_internal.h"

struct sim_map *sim_map_get(struct cbit_sim *sim, unsigned int index)
{
	struct sim_map *map = index < CBIT_SIM_MAPS ? &sim->maps[index] : NULL;

	if (map && map->used)
		return map;
	sim_bad(sim, "there is no mapping %u", index);
	return NULL;
}

struct sim_buf *sim_map_buf(struct cbit_sim *sim, const struct sim_map *map)
{
	struct sim_buf *buf = &sim->bufs[map->buf];

	return buf->used && buf->serial == map->serial ? buf : NULL;
}

/* The leaf as it stands in DRAM now. */
static void note_iopte(struct cbit_sim *sim, const struct sim_map *map)
{
	struct sim_walk walk;

	sim_trace_device(sim, map->dev, map->iova.v, &walk);
	sim->res->iopte_valid = walk.ok && walk.entry;
	sim->res->iopte = walk.entry;
}

static void check_entries(struct cbit_sim *sim, struct cbit_domain *domain,
			  const struct sim_map *map)
{
	const struct cbit_mapping_info info = { .iova = map->iova,
						.size = map->size,
						.vaddr = sim->bufs[map->buf].addr,
						.attrs = map->attrs };

	cbit_domain_check(domain, map->iova, map->size, &info);
}

int sim_iova_place(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map)
{
	struct sim_device *dev = &sim->devices[map->dev];

	if (op->iova.v & ~CBIT_PAGE_MASK)
		return sim_bad(sim, "IOVA 0x%" PRIx64 " is not a multiple of 0x1000", op->iova.v);
	map->iova = op->iova;
	if (!map->iova.v) {
		map->iova = CBIT_IOVA(dev->next_iova);
		dev->next_iova += map->size;
	}
	return 0;
}

/*
 * What the IOMMU driver reserves (amd_iommu_get_resv_regions(): MSI, HyperTransport): type1's
 * vfio_iommu_iova_dma_valid() and iommufd's iopt_check_iova() answer EINVAL.
 */
static bool reserved(const struct sim_map *map)
{
	static const struct {
		uint64_t first, last;
	} ranges[] = {
		{ UINT64_C(0xfee00000), UINT64_C(0xfeefffff) },
		{ UINT64_C(0xfd00000000), UINT64_C(0xffffffffff) },
	};
	const uint64_t last = map->iova.v + (map->size - 1);

	for (unsigned int i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (map->iova.v <= ranges[i].last && last >= ranges[i].first)
			return true;
	}
	return false;
}

static int map_run(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map,
		   unsigned int attrs, const char *call)
{
	struct sim_device *dev = &sim->devices[map->dev];
	int ret;

	ret = sim_iova_place(sim, op, map);
	if (ret)
		return ret;
	if (dev->cfg.guest && (dev->cfg.emulated || dev->cfg.tdisp))
		return sim_refused(sim, -ENODEV, "%s: %s is not behind the host's IOMMU", call,
				   dev->cfg.name);
	if (dev->cfg.direct && !dev->cfg.guest)
		return sim_refused(sim, -ENODEV, "%s: no IOMMU translates for %s", call,
				   dev->cfg.name);
	if (map->iova.v + (map->size - 1) < map->iova.v)
		return sim_refused(sim, -EOVERFLOW, "%s: IOVA 0x%" PRIx64 " wraps around", call,
				   map->iova.v);
	if (reserved(map))
		return sim_refused(sim, -EINVAL, "%s: IOVA 0x%" PRIx64 " is reserved", call,
				   map->iova.v);
	ret = cbit_domain_map(dev->domain, map->iova, sim->bufs[map->buf].spa, map->size, attrs);
	if (ret)
		return sim_refused(sim, ret, "%s of IOVA 0x%" PRIx64, call, map->iova.v);
	check_entries(sim, dev->domain, map);
	return 0;
}

static enum cbit_mem_kind kind_of(const struct cbit_sim *sim, const struct sim_map *map)
{
	return sim->regions[sim->bufs[map->buf].region].cfg.kind;
}

static int type1_run(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map,
		     struct cbit_policy_type1 *call, bool next_mmio)
{
	enum cbit_mem_kind kind = kind_of(sim, map);
	struct cbit_policy_decision decision;
	unsigned int attrs;

	attrs = cbit_policy_type1_attrs(sim->cfg.policy, &sim->cfg.platform, call, kind, next_mmio,
					map->attrs);
	cbit_policy_type1_why(sim->cfg.policy, &sim->cfg.platform, kind, attrs, &decision);
	sim_decide_all(sim, &decision);
	return map_run(sim, op, map, attrs, "VFIO_IOMMU_MAP_DMA");
}

/* drivers/vfio/vfio_iommu_type1.c: one call, a run for each kind of memory. */
static int map_type1(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map)
{
	struct cbit_policy_type1 call = { 0 };
	struct cbit_sim_op second = *op;
	struct sim_map *other, more = *map;
	int ret;

	if (!op->both)
		return type1_run(sim, op, map, &call, false);
	if (!sim_buf_get(sim, op->buf2, 0, 1))
		return -EINVAL;
	if (op->map2 >= CBIT_SIM_MAPS || op->map2 == op->map || sim->maps[op->map2].live)
		return sim_bad(sim, "mapping %u is in use", op->map2);
	other = &sim->maps[op->map2];
	more.buf = op->buf2;
	more.serial = sim->bufs[op->buf2].serial;
	more.size = sim->bufs[op->buf2].size;
	ret = type1_run(sim, op, map, &call, kind_of(sim, &more) == CBIT_MEM_MMIO);
	if (ret || sim->res->outcome == CBIT_SIM_REFUSED)
		return ret;
	second.iova = CBIT_IOVA(map->iova.v + map->size);
	if (!op->iova.v)
		sim->devices[map->dev].next_iova += more.size;
	ret = type1_run(sim, &second, &more, &call, false);
	if (ret || sim->res->outcome == CBIT_SIM_REFUSED) {
		/* Nothing stays of a call that fails. */
		cbit_domain_unmap(sim->devices[map->dev].domain, map->iova, map->size, NULL);
		return ret;
	}
	sim_map_drop(other);
	*other = more;
	return 0;
}

/* drivers/iommu/iommufd: a memfd, or a dma-buf of a BAR. */
static int map_iommufd(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map)
{
	enum cbit_mem_kind kind = sim->regions[sim->bufs[map->buf].region].cfg.kind;
	struct cbit_policy_decision decision;
	int ret;

	ret = cbit_policy_map_file(sim->cfg.policy, &sim->cfg.platform, kind, map->attrs,
				   &decision);
	sim_decide_all(sim, &decision);
	if (ret)
		return sim_refused(sim, ret, "%s: %s", decision.step[decision.steps - 1].function,
				   decision.step[decision.steps - 1].why);
	return map_run(sim, op, map, decision.attrs, "IOMMU_IOAS_MAP_FILE");
}

void sim_map_drop(struct sim_map *map)
{
	free(map->shadow);
	free(map->wrote);
	map->shadow = NULL;
	map->wrote = NULL;
}

int sim_op_map(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = sim_buf_get(sim, op->buf, 0, 1);
	struct sim_map map = {
		.used = true,
		.live = true,
		.buf = op->buf,
		.dev = op->dev,
		.mapper = op->mapper,
		.attrs = op->rights & CBIT_ATTR_RW,
		.dir = op->dir,
	};
	int ret;

	if (!buf)
		return -EINVAL;
	if (op->map >= CBIT_SIM_MAPS || sim->maps[op->map].live)
		return sim_bad(sim,
			       op->map < CBIT_SIM_MAPS ? "mapping %u is in use"
						       : "mapping %u: too many",
			       op->map);
	if (op->dev >= sim->cfg.nr_devices)
		return sim_bad(sim, "there is no device %u", op->dev);
	if (!map.attrs)
		map.attrs = CBIT_ATTR_RW;
	map.size = buf->size;
	map.serial = buf->serial;
	switch (op->mapper) {
	case CBIT_SIM_TYPE1:
		ret = map_type1(sim, op, &map);
		break;
	case CBIT_SIM_IOMMUFD:
		ret = map_iommufd(sim, op, &map);
		break;
	case CBIT_SIM_DMA:
		ret = sim_dma_map(sim, op, &map);
		break;
	default:
		return sim_bad(sim, "mapper %u is not known", op->mapper);
	}
	if (ret || sim->res->outcome == CBIT_SIM_REFUSED) {
		sim_map_drop(&map);
		return ret;
	}
	sim_map_drop(&sim->maps[op->map]);
	sim->maps[op->map] = map;
	sim->res->iova = map.iova;
	note_iopte(sim, &map);
	return 0;
}

int sim_op_unmap(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_map *map = sim_map_get(sim, op->map);
	struct cbit_domain *domain;
	uint64_t unmapped = 0;
	int ret;

	if (!map)
		return -EINVAL;
	if (!map->live)
		return sim_refused(sim, -ENOENT, "it is unmapped already");
	domain = sim->devices[map->dev].domain;
	if (map->mapper == CBIT_SIM_DMA && op->kind == CBIT_SIM_UNMAP)
		return sim_dma_unmap(sim, map);
	if (map->mapper == CBIT_SIM_DMA)
		return sim_bad(sim, "the DMA API always tells the IOTLB");
	if (op->kind == CBIT_SIM_UNMAP)
		ret = cbit_domain_unmap(domain, map->iova, map->size, &unmapped);
	else
		ret = cbit_domain_unmap_deferred(domain, map->iova, map->size, &unmapped);
	if (ret)
		return sim_refused(sim, ret, "unmap of IOVA 0x%" PRIx64, map->iova.v);
	map->live = false;
	return 0;
}

int sim_op_flush(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_map *map = sim_map_get(sim, op->map);

	if (!map)
		return -EINVAL;
	cbit_domain_flush(sim->devices[map->dev].domain, map->iova, map->size);
	return 0;
}
