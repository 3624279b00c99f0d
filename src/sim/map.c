/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mappings: what VFIO's type1 does for a program, run of pages by run of pages, with the
 * attributes that the policy decides; unmapping, with and without telling the IOTLB.
 */
#include <errno.h>
#include <inttypes.h>

#include "sim_internal.h"

struct sim_map *sim_map_get(struct cbit_sim *sim, unsigned int index)
{
	struct sim_map *map = index < CBIT_SIM_MAPS ? &sim->maps[index] : NULL;

	if (map && map->used)
		return map;
	sim_bad(sim, "there is no mapping %u", index);
	return NULL;
}

/* The leaf as it stands in DRAM now. */
static void note_iopte(struct cbit_sim *sim, const struct sim_map *map)
{
	struct sim_walk walk;

	sim_trace_device(sim, map->dev, map->iova.v, &walk);
	sim->res->iopte_valid = walk.ok;
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

static int place_iova(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map)
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

static void decide_type1(struct cbit_sim *sim, enum cbit_mem_kind kind, unsigned int attrs)
{
	bool c = (attrs & CBIT_ATTR_ENCRYPTED) != 0;

	sim_decide(sim, "vfio_pin_map_dma()",
		   kind == CBIT_MEM_MMIO ? "pins the range: a PFN map, follow_fault_pfn()"
					 : "pins the range: pages with struct page");
	if (!sim->cfg.platform.sme)
		sim_decide(sim, "amd_iommu", "no SME: entries have no C-bit");
	else if (kind != CBIT_MEM_MMIO)
		sim_decide(sim, "amdv1pt_iommu_set_prot()",
			   c ? "no IOMMU_MMIO: the C-bit is set"
			     : "IOMMU_MMIO, though this is memory: the C-bit is clear");
	else if (c)
		sim_decide(
			sim, "vfio_iommu_map()",
			"IOMMU_MMIO is not passed, or not looked at: the C-bit is set on a window");
	else
		sim_decide(sim, "vfio_iommu_map()", "passes IOMMU_MMIO: the C-bit is clear");
}

/* drivers/vfio/vfio_iommu_type1.c: one call, one run of one kind of memory. */
static int map_type1(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map)
{
	struct sim_device *dev = &sim->devices[map->dev];
	const struct sim_buf *buf = &sim->bufs[map->buf];
	enum cbit_mem_kind kind = sim->regions[buf->region].cfg.kind;
	struct cbit_policy_type1 call = { 0 };
	unsigned int attrs;
	int ret;

	ret = place_iova(sim, op, map);
	if (ret)
		return ret;
	attrs = cbit_policy_type1_attrs(sim->cfg.policy, &sim->cfg.platform, &call, kind, false,
					map->attrs);
	decide_type1(sim, kind, attrs);
	ret = cbit_domain_map(dev->domain, map->iova, buf->spa, map->size, attrs);
	if (ret)
		return sim_refused(sim, ret, "VFIO_IOMMU_MAP_DMA of IOVA 0x%" PRIx64, map->iova.v);
	check_entries(sim, dev->domain, map);
	return 0;
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
	switch (op->mapper) {
	case CBIT_SIM_TYPE1:
		ret = map_type1(sim, op, &map);
		break;
	default:
		return sim_bad(sim, "mapper %u is not known", op->mapper);
	}
	if (ret || sim->res->outcome == CBIT_SIM_REFUSED)
		return ret;
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
