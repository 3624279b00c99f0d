/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMA API: streaming mappings by dma-direct (kernel/dma/direct.h) and through an IOMMU
 * (drivers/iommu/dma-iommu.c). What is decided is the policy's; here it is done.
 */
#include <errno.h>
#include <stdlib.h>

#include "dma_internal.h"

#define MIB UINT64_C(0x100000)

/* mem_encrypt_setup_arch() and IO_TLB_DEFAULT_SIZE */
static uint64_t pool_size(const struct cbit_dma_config *cfg)
{
	const uint64_t least = 64 * MIB, most = 1024 * MIB;
	uint64_t size;

	if (cfg->swiotlb)
		return cfg->swiotlb;
	if (!cfg->confidential)
		return least;
	size = cfg->ram / 100 * 6 + cfg->ram % 100 * 6 / 100;
	size = size < least ? least : size;
	return size > most ? most : size;
}

int cbit_dma_create(const struct cbit_dma_config *cfg, struct cbit_dma **out)
{
	const struct cbit_kernel_ops *ops = &cfg->ops;
	struct cbit_dma *dma;
	int err;

	if (!cfg->policy || (cfg->confidential && !cfg->guest) || !ops->read || !ops->write ||
	    !ops->alloc || !ops->free || !ops->set_decrypted ||
	    (cbit_policy_dma_looks(cfg->policy) && (!ops->is_mmio || !ops->pages)))
		return -EINVAL;
	dma = calloc(1, sizeof(*dma));
	if (!dma)
		return -ENOMEM;
	dma->cfg = *cfg;
	if (cfg->guest)
		dma->c_mask = cfg->confidential ? UINT64_C(1) << cfg->platform.c_bit : 0;
	else
		dma->c_mask = cbit_platform_c_mask(&cfg->platform);
	err = cbit_swiotlb_create(ops, cfg->opaque, pool_size(cfg), dma->c_mask != 0,
				  &dma->swiotlb);
	if (err) {
		free(dma);
		return err;
	}
	*out = dma;
	return 0;
}

void cbit_dma_destroy(struct cbit_dma *dma)
{
	if (!dma)
		return;
	cbit_swiotlb_destroy(dma->swiotlb);
	free(dma);
}

void cbit_dma_stats(struct cbit_dma *dma, struct cbit_dma_stats *out)
{
	cbit_swiotlb_stats(dma->swiotlb, out);
}

int cbit_dma_dev_create(struct cbit_dma *dma, const struct cbit_dma_dev_config *cfg,
			struct cbit_dma_dev **out)
{
	const uint32_t align = cfg->min_align_mask;
	struct cbit_dma_dev *dev;
	int err;

	/* __iommu_dma_map(): "Unsupported alignment constraint" */
	if ((align & (align + 1)) || align >= (cfg->iommu ? CBIT_PAGE_SIZE : 0x10000))
		return -EINVAL;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->dma = dma;
	dev->cfg = *cfg;
	if (cfg->iommu) {
		dev->iommu = *cfg->iommu;
		dev->cfg.iommu = &dev->iommu;
		err = cbit_iova_init(&dev->space, cfg->iova_base, cfg->iova_size);
		if (err) {
			free(dev);
			return err;
		}
	}
	LIST_INIT(&dev->memories);
	pthread_mutex_init(&dev->lock, NULL);
	*out = dev;
	return 0;
}

void cbit_dma_dev_destroy(struct cbit_dma_dev *dev)
{
	struct cbit_iova_range *range;

	if (!dev)
		return;
	cbit_dma_free_memories(dev);
	if (dev->cfg.iommu) {
		while ((range = cbit_iova_next(&dev->space, NULL))) {
			const struct cbit_iova_range was = *range;

			range->busy = false;
			if (!cbit_dma_iommu_unmap(dev, range) && was.bounced)
				cbit_swiotlb_unmap(dev->dma->swiotlb, dev, was.phys, was.size,
						   false);
		}
		/* slots that the device may still reach are lost */
		cbit_swiotlb_abandon(dev->dma->swiotlb, dev);
		cbit_iova_fini(&dev->space);
	} else {
		cbit_swiotlb_release(dev->dma->swiotlb, dev);
	}
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

/* --- decisions --- */

void cbit_dma_ask(const struct cbit_dma_dev *dev, struct cbit_policy_dma *ask)
{
	*ask = (struct cbit_policy_dma){
		.platform = &dev->dma->cfg.platform,
		.guest = dev->dma->cfg.guest,
		.confidential = dev->dma->cfg.confidential,
		.iommu = dev->cfg.iommu != NULL,
		.untrusted = dev->cfg.untrusted,
		.tdisp_run = dev->cfg.tdisp_run,
	};
}

int cbit_dma_refused(const struct cbit_dma_dev *dev, const struct cbit_policy_decision *decision,
		     struct cbit_error *err)
{
	const struct cbit_policy_step *step = &decision->step[decision->steps - 1];
	const unsigned int id = dev->cfg.devid;

	return cbit_error_set(err, decision->error, "device %02x:%02x.%x: %s: %s", id >> 8,
			      (id >> 3) & 31, id & 7, step->function, step->why);
}

/* enum dma_data_direction as dma_info_to_prot() has it */
static int rights(enum cbit_dma_dir dir, unsigned int *rw)
{
	switch (dir) {
	case CBIT_DMA_BIDIRECTIONAL:
		*rw = CBIT_ATTR_RW;
		return 0;
	case CBIT_DMA_TO_DEVICE:
		*rw = CBIT_ATTR_READ;
		return 0;
	case CBIT_DMA_FROM_DEVICE:
		*rw = CBIT_ATTR_WRITE;
		return 0;
	}
	return -EINVAL;
}

int cbit_dma_decide(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		    enum cbit_dma_dir dir, unsigned int attrs, struct cbit_policy_decision *out)
{
	const struct cbit_dma_config *cfg = &dev->dma->cfg;
	const uint64_t c_mask = dev->dma->c_mask;
	struct cbit_policy_dma ask;

	*out = (struct cbit_policy_decision){
		.way = CBIT_DMA_WAY_REFUSE,
		.error = -EINVAL,
		.steps = 1,
		.step = { { "dma_map_phys()", "no buffer that can be" } },
	};
	cbit_dma_ask(dev, &ask);
	if (!size || size - 1 > UINT64_MAX - phys.v || (phys.v & c_mask) ||
	    ((phys.v + (size - 1)) & c_mask) || rights(dir, &ask.rw))
		return -EINVAL;
	ask.mmio = attrs & CBIT_DMA_ATTR_MMIO;
	ask.cc_shared = attrs & CBIT_DMA_ATTR_CC_SHARED;
	ask.require_coherent = attrs & CBIT_DMA_ATTR_REQUIRE_COHERENT;
	ask.phys = phys.v;
	ask.size = size;
	ask.mask = dev->cfg.mask;
	if (cbit_policy_dma_looks(cfg->policy)) {
		ask.window = cfg->ops.is_mmio(cfg->opaque, phys);
		ask.pages = cfg->ops.pages(cfg->opaque, phys, size);
	}
	return cbit_policy_dma_map(cfg->policy, &ask, out);
}

/* --- mappings in an IOMMU --- */

static int iommu_error(struct cbit_error *err, int code, const char *what)
{
	return cbit_error_set(err, code, "__iommu_dma_map(): %s", what);
}

int cbit_dma_iommu_map(struct cbit_dma_dev *dev, const struct cbit_iova_range *what, uint64_t mask,
		       unsigned int attrs, struct cbit_iova *out, struct cbit_error *err)
{
	const uint64_t offset = what->phys.v & ~CBIT_PAGE_MASK;
	const uint64_t size = (what->size + offset + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	struct cbit_iova_range *range;
	struct cbit_iova iova;
	int code;

	if (size < what->size)
		return iommu_error(err, -EINVAL, "longer than an address space");
	pthread_mutex_lock(&dev->lock);
	range = cbit_iova_alloc(&dev->space, size >> CBIT_PAGE_SHIFT, mask);
	if (range) {
		range->phys = what->phys;
		range->size = what->size;
		range->dir = what->dir;
		range->bounced = what->bounced;
		range->coherent = what->coherent;
		range->busy = false; /* until it is mapped */
		iova = CBIT_IOVA(range->pfn << CBIT_PAGE_SHIFT);
	}
	pthread_mutex_unlock(&dev->lock);
	if (!range)
		return iommu_error(err, -ENOMEM, "no IOVAs within the device's mask");
	code = dev->iommu.map(dev->cfg.iommu_opaque, iova, CBIT_PHYS(what->phys.v - offset), size,
			      attrs);
	pthread_mutex_lock(&dev->lock);
	if (code)
		cbit_iova_free(&dev->space, range);
	else
		range->busy = true;
	pthread_mutex_unlock(&dev->lock);
	*out = CBIT_IOVA(iova.v + offset);
	return code ? iommu_error(err, code, "the IOMMU driver could not map it") : 0;
}

int cbit_dma_iommu_unmap(struct cbit_dma_dev *dev, struct cbit_iova_range *range)
{
	const uint64_t offset = range->phys.v & ~CBIT_PAGE_MASK;
	const uint64_t size = (range->size + offset + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	int err = dev->iommu.unmap(dev->cfg.iommu_opaque, CBIT_IOVA(range->pfn << CBIT_PAGE_SHIFT),
				   size);

	if (err)
		return err;
	pthread_mutex_lock(&dev->lock);
	cbit_iova_free(&dev->space, range);
	pthread_mutex_unlock(&dev->lock);
	return 0;
}

/* Where in a range an address is, from the first mapped byte on; wraps for one before it. */
static uint64_t within(const struct cbit_iova_range *range, struct cbit_iova addr)
{
	return addr.v - ((range->pfn << CBIT_PAGE_SHIFT) | (range->phys.v & ~CBIT_PAGE_MASK));
}

int cbit_dma_claim(struct cbit_dma_dev *dev, struct cbit_iova addr,
		   const struct cbit_iova_range *what, struct cbit_iova_range **out)
{
	struct cbit_iova_range *range;
	int err = 0;

	pthread_mutex_lock(&dev->lock);
	range = cbit_iova_find(&dev->space, addr);
	if (!range || within(range, addr) || range->coherent != what->coherent)
		err = -ENOENT;
	else if (range->size != what->size || range->dir != what->dir)
		err = -EINVAL;
	else
		range->busy = false;
	pthread_mutex_unlock(&dev->lock);
	*out = range;
	return err;
}

/* --- dma_map_phys(), dma_unmap_phys() --- */

static int bounce(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		  const struct cbit_policy_decision *decision, struct cbit_phys *out,
		  struct cbit_error *err)
{
	const struct cbit_swiotlb_buffer buffer = {
		.owner = dev,
		.phys = phys,
		.size = size,
		.min_align_mask = dev->cfg.min_align_mask,
		.align_mask = dev->cfg.iommu ? (uint32_t)~CBIT_PAGE_MASK : 0,
		.zero = decision->zero_padding,
	};
	int code = cbit_swiotlb_map(dev->dma->swiotlb, &buffer, out);

	switch (code) {
	case 0:
		return 0;
	case -ENOSPC:
		return cbit_error_set(err, code,
				      "swiotlb_tbl_map_single(): swiotlb buffer is full (%zu bytes "
				      "wanted)",
				      size);
	case -EINVAL:
		return cbit_error_set(err, code,
				      "swiotlb_tbl_map_single(): %zu bytes, aligned, do not fit a "
				      "segment of 262144",
				      size);
	default:
		return cbit_error_set(err, code,
				      "swiotlb_bounce(): the kernel cannot copy the buffer");
	}
}

/* iommu_dma_map_phys() */
static int map_iommu(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		     enum cbit_dma_dir dir, const struct cbit_policy_decision *decision,
		     struct cbit_iova *out, struct cbit_error *err)
{
	struct cbit_iova_range what = {
		.phys = phys,
		.size = size,
		.dir = dir,
		.bounced = decision->way == CBIT_DMA_WAY_BOUNCE,
	};
	int code;

	if (what.bounced) {
		code = bounce(dev, phys, size, decision, &what.phys, err);
		if (code)
			return code;
	}
	code = cbit_dma_iommu_map(dev, &what, dev->cfg.mask, decision->attrs, out, err);
	if (code && what.bounced)
		cbit_swiotlb_unmap(dev->dma->swiotlb, dev, what.phys, size, false);
	return code;
}

/* dma_direct_map_phys() */
static int map_direct(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		      const struct cbit_policy_decision *decision, struct cbit_iova *out,
		      struct cbit_error *err)
{
	int code;

	if (decision->way == CBIT_DMA_WAY_DIRECT) {
		*out = CBIT_IOVA(phys.v |
				 (decision->attrs & CBIT_ATTR_ENCRYPTED ? dev->dma->c_mask : 0));
		return 0;
	}
	code = bounce(dev, phys, size, decision, &phys, err);
	if (code)
		return code;
	if (phys.v + (size - 1) > dev->cfg.mask) {
		cbit_swiotlb_unmap(dev->dma->swiotlb, dev, phys, size, false);
		return cbit_error_set(err, -ERANGE,
				      "swiotlb_map(): the device's mask %#llx does not reach the "
				      "slots",
				      (unsigned long long)dev->cfg.mask);
	}
	*out = CBIT_IOVA(phys.v); /* phys_to_dma_unencrypted() */
	return 0;
}

int cbit_dma_map_phys(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		      enum cbit_dma_dir dir, unsigned int attrs, struct cbit_iova *out,
		      struct cbit_error *err)
{
	struct cbit_policy_decision decision;

	if (cbit_dma_decide(dev, phys, size, dir, attrs, &decision))
		return cbit_dma_refused(dev, &decision, err);
	return dev->cfg.iommu ? map_iommu(dev, phys, size, dir, &decision, out, err)
			      : map_direct(dev, phys, size, &decision, out, err);
}

int cbit_dma_unmap_phys(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			enum cbit_dma_dir dir, unsigned int attrs)
{
	const bool back = dir != CBIT_DMA_TO_DEVICE && !(attrs & CBIT_DMA_ATTR_SKIP_CPU_SYNC);
	const struct cbit_iova_range what = { .size = size, .dir = dir };
	struct cbit_phys phys = CBIT_PHYS(addr.v & ~dev->dma->c_mask);
	struct cbit_iova_range *range;
	bool bounced;
	int err;

	if (!dev->cfg.iommu) {
		if ((attrs & (CBIT_DMA_ATTR_MMIO | CBIT_DMA_ATTR_REQUIRE_COHERENT)) ||
		    !cbit_swiotlb_find(dev->dma->swiotlb, phys))
			return 0;
		return cbit_swiotlb_unmap(dev->dma->swiotlb, dev, phys, size, back);
	}
	err = cbit_dma_claim(dev, addr, &what, &range);
	if (err)
		return err;
	phys = range->phys;
	bounced = range->bounced;
	/* first the device is shut out, then what it wrote is taken over */
	err = cbit_dma_iommu_unmap(dev, range);
	if (err || !bounced)
		return err;
	return cbit_swiotlb_unmap(dev->dma->swiotlb, dev, phys, size, back);
}

/* --- partial transfers --- */

static int sync(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
		enum cbit_swiotlb_copy how)
{
	struct cbit_phys phys = CBIT_PHYS(addr.v & ~dev->dma->c_mask);
	bool bounced = false;
	int err = 0;

	if (dev->cfg.iommu) {
		const struct cbit_iova_range *range;

		pthread_mutex_lock(&dev->lock);
		range = cbit_iova_find(&dev->space, addr);
		if (!range || within(range, addr) >= range->size) {
			err = -ENOENT;
		} else if (size > range->size - within(range, addr)) {
			err = -EINVAL;
		} else {
			phys = CBIT_PHYS(range->phys.v + within(range, addr));
			bounced = range->bounced;
		}
		pthread_mutex_unlock(&dev->lock);
	} else {
		bounced = cbit_swiotlb_find(dev->dma->swiotlb, phys);
	}
	if (err || !bounced)
		return err;
	return cbit_swiotlb_copy(dev->dma->swiotlb, dev, phys, size, how);
}

int cbit_dma_sync_for_cpu(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			  enum cbit_dma_dir dir)
{
	return sync(dev, addr, size,
		    dir == CBIT_DMA_TO_DEVICE ? CBIT_SWIOTLB_NOTHING : CBIT_SWIOTLB_BACK);
}

int cbit_dma_sync_for_device(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			     enum cbit_dma_dir dir)
{
	return sync(dev, addr, size,
		    dir == CBIT_DMA_FROM_DEVICE ? CBIT_SWIOTLB_NOTHING : CBIT_SWIOTLB_TO_SLOTS);
}
