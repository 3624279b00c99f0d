/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMA API of the kernels of a machine: mappings, bounce buffers, coherent memory. The kernel's
 * side of it is in the guest room; here it meets this machine's memory and IOMMU.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_internal.h"

/* --- the IOMMU driver of the host --- */

static int iommu_map(void *opaque, struct cbit_iova iova, struct cbit_phys phys, uint64_t size,
		     unsigned int attrs)
{
	const struct sim_device *dev = opaque;

	return cbit_domain_map(dev->domain, iova, CBIT_SPA(phys.v), size, attrs);
}

static int iommu_unmap(void *opaque, struct cbit_iova iova, uint64_t size)
{
	const struct sim_device *dev = opaque;

	return cbit_domain_unmap(dev->domain, iova, size, NULL);
}

static const struct cbit_dma_iommu_ops iommu_ops = { .map = iommu_map, .unmap = iommu_unmap };

/* --- kernels and devices, made when they are first needed --- */

static int guest_dma(struct cbit_sim *sim)
{
	struct cbit_dma_config cfg = {
		.platform = sim->cfg.platform,
		.guest = true,
		.confidential = sim->guest_c != 0,
		.policy = sim->guest_policy,
		.ops = sim_guest_kernel(),
		.opaque = sim->guest,
		.swiotlb = sim->cfg.swiotlb,
	};

	if (sim->guest_dma)
		return 0;
	for (unsigned int i = 0; i < sim->nr_regions; i++)
		cfg.ram += sim->regions[i].cfg.kind == CBIT_MEM_DRAM ? sim->regions[i].guest : 0;
	return cbit_dma_create(&cfg, &sim->guest_dma);
}

static struct cbit_dma *dma_of(const struct cbit_sim *sim, const struct sim_device *dev)
{
	return dev->cfg.guest ? sim->guest_dma : sim->host_dma;
}

static bool has_iommu(const struct sim_device *dev)
{
	return dev->cfg.guest ? dev->viommu != NULL : !dev->cfg.direct;
}

static int host_dma(struct cbit_sim *sim)
{
	struct cbit_dma_config cfg = {
		.platform = sim->cfg.platform,
		.policy = sim->cfg.policy,
		.ops = sim_host_kernel(),
		.opaque = sim,
		.swiotlb = sim->cfg.swiotlb,
	};

	if (sim->host_dma)
		return 0;
	for (unsigned int i = 0; i < sim->nr_regions; i++)
		cfg.ram += sim->regions[i].cfg.kind == CBIT_MEM_DRAM ? sim->regions[i].cfg.size : 0;
	return cbit_dma_create(&cfg, &sim->host_dma);
}

static int device_dma(struct cbit_sim *sim, struct sim_device *dev)
{
	const struct cbit_dma_iommu_ops viommu_ops = cbit_viommu_dma_ops();
	const struct cbit_dma_dev_config cfg = {
		.devid = dev->cfg.devid,
		.mask = dev->cfg.mask ? dev->cfg.mask : UINT64_MAX,
		.coherent_mask = dev->cfg.coherent_mask ? dev->cfg.coherent_mask
				 : dev->cfg.mask        ? dev->cfg.mask
							: UINT64_MAX,
		.untrusted = dev->cfg.untrusted,
		.tdisp_run = dev->cfg.tdisp,
		.iommu = !has_iommu(dev) ? NULL
			 : dev->viommu   ? &viommu_ops
					 : &iommu_ops,
		.iommu_opaque = dev->viommu ? (void *)dev->viommu : dev,
		.iova_base = CBIT_IOVA(SIM_IOVA_BASE),
		.iova_size = SIM_IOVA_SIZE,
	};
	int ret;

	if (dev->dma)
		return 0;
	ret = dev->cfg.guest ? guest_dma(sim) : host_dma(sim);
	return ret ? ret : cbit_dma_dev_create(dma_of(sim, dev), &cfg, &dev->dma);
}

static uint64_t slots_used(const struct cbit_sim *sim, const struct sim_device *dev)
{
	struct cbit_dma_stats stats = { 0 };

	cbit_dma_stats(dma_of(sim, dev), &stats);
	return stats.used;
}

/* --- mapping --- */

/* The kernel's functions and what they say, asked as the DMA API asks. */
static void decide(struct cbit_sim *sim, const struct sim_map *map, unsigned int attrs)
{
	const struct sim_device *dev = &sim->devices[map->dev];
	const struct sim_buf *buf = &sim->bufs[map->buf];
	const struct cbit_kernel_ops ops = dev->cfg.guest ? sim_guest_kernel() : sim_host_kernel();
	void *kernel = dev->cfg.guest ? (void *)sim->guest : sim;
	const struct cbit_phys phys = CBIT_PHYS(buf->addr + map->offset);
	struct cbit_policy_decision decision;
	const struct cbit_policy_dma ask = {
		.platform = &sim->cfg.platform,
		.guest = dev->cfg.guest,
		.confidential = dev->cfg.guest && sim->guest_c,
		.iommu = has_iommu(dev),
		.untrusted = dev->cfg.untrusted,
		.tdisp_run = dev->cfg.tdisp,
		.mmio = attrs & CBIT_DMA_ATTR_MMIO,
		.cc_shared = attrs & CBIT_DMA_ATTR_CC_SHARED,
		.require_coherent = attrs & CBIT_DMA_ATTR_REQUIRE_COHERENT,
		.window = ops.is_mmio(kernel, phys),
		.pages = ops.pages(kernel, phys, map->size),
		.phys = phys.v,
		.size = map->size,
		.mask = dev->cfg.mask ? dev->cfg.mask : UINT64_MAX,
		.rw = map->attrs,
	};

	cbit_policy_dma_map(dev->cfg.guest ? sim->guest_policy : sim->cfg.policy, &ask, &decision);
	sim_decide_all(sim, &decision);
}

static int start_shadow(struct cbit_sim *sim, struct sim_map *map)
{
	map->shadow = malloc((size_t)map->size);
	map->wrote = calloc(1, (size_t)map->size);
	if (!map->shadow || !map->wrote)
		return -ENOMEM;
	memcpy(map->shadow, sim->bufs[map->buf].truth + map->offset, (size_t)map->size);
	return 0;
}

int sim_dma_map(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map)
{
	static const unsigned int rights[] = { CBIT_ATTR_RW, CBIT_ATTR_READ, CBIT_ATTR_WRITE };
	struct sim_device *dev = &sim->devices[map->dev];
	const struct sim_buf *buf;
	uint64_t before;
	int ret;

	buf = sim_buf_get(sim, map->buf, op->offset, op->len ? op->len : 1);
	if (buf && buf->guest != dev->cfg.guest)
		return sim_bad(sim, "%s is a device of the %s, and that is not its memory",
			       dev->cfg.name, dev->cfg.guest ? "guest" : "host");
	if (!buf || op->dir > CBIT_DMA_FROM_DEVICE)
		return buf ? sim_bad(sim, "direction %u is none", (unsigned int)op->dir) : -EINVAL;
	map->offset = op->offset;
	map->size = op->len ? op->len : buf->size - op->offset;
	map->attrs = rights[op->dir];
	map->dma_attrs = op->attrs;
	ret = device_dma(sim, dev);
	if (ret)
		return ret;
	decide(sim, map, op->attrs);
	before = slots_used(sim, dev);
	ret = cbit_dma_map_phys(dev->dma, CBIT_PHYS(buf->addr + map->offset), (size_t)map->size,
				map->dir, op->attrs, &map->iova, &sim->res->err);
	sim->res->slots = slots_used(sim, dev);
	/* the API says so in words where it is IOVAs that are short, and not our memory */
	if (ret == -ENOMEM && !sim->res->err.text[0])
		return ret;
	if (ret) {
		sim->res->outcome = CBIT_SIM_REFUSED;
		sim->res->error = ret;
		return 0;
	}
	sim->res->way = sim->res->slots > before ? CBIT_SIM_WAY_SWIOTLB : CBIT_SIM_WAY_DIRECT;
	if (has_iommu(dev) && !dev->viommu) {
		const struct cbit_mapping_info info = { .iova = map->iova,
							.size = map->size,
							.vaddr = buf->addr };

		cbit_domain_check(dev->domain, CBIT_IOVA(map->iova.v & CBIT_PAGE_MASK),
				  (map->size + (map->iova.v & ~CBIT_PAGE_MASK) + CBIT_PAGE_SIZE -
				   1) & CBIT_PAGE_MASK,
				  &info);
	}
	return sim->res->way == CBIT_SIM_WAY_SWIOTLB ? start_shadow(sim, map) : 0;
}

/* The CPU takes over what the device wrote: from now on it is what the owner has to read. */
static void take_over(struct cbit_sim *sim, struct sim_map *map, uint64_t offset, uint64_t len)
{
	struct sim_buf *buf = &sim->bufs[map->buf];

	if (!map->shadow || map->dir == CBIT_DMA_TO_DEVICE)
		return;
	for (uint64_t i = offset; i < offset + len; i++) {
		if (map->wrote[i])
			buf->truth[map->offset + i] = map->shadow[i];
		map->wrote[i] = 0;
	}
}

int sim_dma_unmap(struct cbit_sim *sim, struct sim_map *map)
{
	struct sim_device *dev = &sim->devices[map->dev];
	struct sim_buf *buf = &sim->bufs[map->buf];
	int ret;

	if (map->coherent) {
		if (sim_buf_mapped(sim, map->buf, map))
			return sim_refused(sim, -EBUSY,
					   "the memory is mapped for a device as well");
		cbit_dma_free_coherent(dev->dma, (size_t)map->size, CBIT_PHYS(buf->addr),
				       map->iova);
		free(buf->truth);
		*buf = (struct sim_buf){ 0 };
		map->live = false;
		return 0;
	}
	ret = cbit_dma_unmap_phys(dev->dma, map->iova, (size_t)map->size, map->dir, map->dma_attrs);
	sim->res->slots = slots_used(sim, dev);
	/* The caller is told nothing: to the driver it is unmapped either way. */
	map->live = false;
	if (ret)
		return sim_refused(sim, ret, "dma_unmap_phys() of 0x%" PRIx64, map->iova.v);
	if (!(map->dma_attrs & CBIT_DMA_ATTR_SKIP_CPU_SYNC))
		take_over(sim, map, 0, map->size);
	sim_map_drop(map);
	return sim_read_as_owner(sim, buf, map->offset, (size_t)map->size);
}

int sim_op_sync(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_map *map = sim_map_get(sim, op->map);
	uint64_t len = op->len;
	struct cbit_iova at;
	bool cpu = op->kind == CBIT_SIM_SYNC_CPU;
	int ret;

	if (!map)
		return -EINVAL;
	if (!map->live || map->mapper != CBIT_SIM_DMA)
		return sim_bad(sim, "only what the DMA API has mapped can be synced");
	if (!len && op->offset < map->size)
		len = map->size - op->offset;
	if (!len || len > map->size || op->offset > map->size - len)
		return sim_bad(sim, "the range is not within the mapping");
	at = CBIT_IOVA(map->iova.v + op->offset);
	ret = cpu ? cbit_dma_sync_for_cpu(sim->devices[map->dev].dma, at, (size_t)len, map->dir)
		  : cbit_dma_sync_for_device(sim->devices[map->dev].dma, at, (size_t)len, map->dir);
	if (ret)
		return sim_refused(sim, ret, "sync of 0x%" PRIx64, at.v);
	if (cpu) {
		take_over(sim, map, op->offset, len);
		return sim_read_as_owner(sim, &sim->bufs[map->buf], map->offset + op->offset,
					 (size_t)len);
	}
	if (map->shadow && map->dir != CBIT_DMA_FROM_DEVICE) {
		memcpy(map->shadow + op->offset,
		       sim->bufs[map->buf].truth + map->offset + op->offset, (size_t)len);
		memset(map->wrote + op->offset, 0, (size_t)len);
	}
	return 0;
}

int sim_op_coherent(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = op->buf < CBIT_SIM_BUFS ? &sim->bufs[op->buf] : NULL;
	struct sim_map *map = op->map < CBIT_SIM_MAPS ? &sim->maps[op->map] : NULL;
	struct cbit_policy_decision decision;
	struct cbit_policy_dma ask = { .platform = &sim->cfg.platform };
	struct sim_device *dev;
	struct cbit_phys phys;
	struct sim_walk walk;
	int ret;

	if (!buf || buf->used || !map || map->live)
		return sim_bad(sim, "a buffer and a mapping that are free are needed");
	if (op->dev >= sim->cfg.nr_devices || !op->pages || op->pages > 1024)
		return sim_bad(sim, "there is no device %u, or not 1 to 1024 pages", op->dev);
	dev = &sim->devices[op->dev];
	ret = device_dma(sim, dev);
	if (ret)
		return ret;
	ask.guest = dev->cfg.guest;
	ask.confidential = dev->cfg.guest && sim->guest_c;
	ask.iommu = has_iommu(dev);
	ask.tdisp_run = dev->cfg.tdisp;
	ask.mask = dev->cfg.coherent_mask ? dev->cfg.coherent_mask
		   : dev->cfg.mask        ? dev->cfg.mask
					  : UINT64_MAX;
	cbit_policy_dma_coherent(dev->cfg.guest ? sim->guest_policy : sim->cfg.policy, &ask,
				 &decision);
	sim_decide_all(sim, &decision);
	sim_map_drop(map);
	*map = (struct sim_map){ .buf = op->buf,
				 .dev = op->dev,
				 .mapper = CBIT_SIM_DMA,
				 .attrs = CBIT_ATTR_RW,
				 .coherent = true,
				 .size = op->pages * CBIT_PAGE_SIZE };
	map->serial = ++sim->serial;
	*buf = (struct sim_buf){ .guest = dev->cfg.guest,
				 .size = map->size,
				 .serial = map->serial };
	buf->truth = calloc(1, (size_t)map->size);
	if (!buf->truth)
		return -ENOMEM;
	ret = cbit_dma_alloc_coherent(dev->dma, (size_t)map->size, &phys, &map->iova,
				      &sim->res->err);
	if (ret) {
		free(buf->truth);
		buf->truth = NULL;
		if (ret == -ENOMEM && !sim->res->err.text[0])
			return ret;
		sim->res->outcome = CBIT_SIM_REFUSED;
		sim->res->error = ret;
		return 0;
	}
	buf->used = map->used = map->live = true;
	buf->addr = phys.v;
	buf->spa = CBIT_SPA(phys.v);
	if (buf->guest)
		(void)cbit_guest_spa(sim->guest, CBIT_GPA(phys.v), &buf->spa);
	buf->region = SIM_KERNEL;
	sim->res->iova = map->iova;
	sim_trace_device(sim, op->dev, map->iova.v, &walk);
	sim->res->iopte_valid = walk.ok && walk.entry;
	sim->res->iopte = walk.entry;
	return sim_read_as_owner(sim, buf, 0, 64);
}
