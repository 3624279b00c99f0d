/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Coherent memory: dma_direct_alloc() (kernel/dma/direct.c) and iommu_dma_alloc()
 * (drivers/iommu/dma-iommu.c). It is contiguous here in either case.
 */
#include <errno.h>
#include <stdlib.h>

#include "dma_internal.h"

/* Back to how it was, and to the allocator; what cannot go back is leaked. */
static int give_back(struct cbit_dma *dma, const struct cbit_dma_memory *m)
{
	const struct cbit_kernel_ops *ops = &dma->cfg.ops;
	int err = 0;

	if (m->decrypted)
		err = ops->set_decrypted(dma->cfg.opaque, m->phys, m->size, false);
	if (!err)
		ops->free(dma->cfg.opaque, m->phys, m->size);
	return err;
}

/* dma_direct_alloc() after set_memory_decrypted(): contents are not converted */
static int clear(struct cbit_dma *dma, const struct cbit_dma_memory *m)
{
	static const uint8_t zeros[CBIT_PAGE_SIZE];
	int err = 0;

	for (uint64_t i = 0; !err && i < m->size; i += CBIT_PAGE_SIZE)
		err = dma->cfg.ops.write(dma->cfg.opaque, CBIT_PHYS(m->phys.v + i), zeros,
					 sizeof(zeros));
	return err;
}

static int take(struct cbit_dma_dev *dev, const struct cbit_policy_decision *decision,
		struct cbit_dma_memory *m, struct cbit_error *err)
{
	struct cbit_dma *dma = dev->dma;
	uint64_t align = CBIT_PAGE_SIZE, limit = UINT64_MAX;
	int code;

	while (align < m->size)
		align *= 2;
	if (!dev->cfg.iommu) /* dma_coherent_ok() */
		limit = dev->cfg.coherent_mask & ~dma->c_mask;
	code = dma->cfg.ops.alloc(dma->cfg.opaque, m->size, align, limit, &m->phys);
	if (code)
		return cbit_error_set(err, code, "dma_alloc_coherent(): no memory of %llu bytes",
				      (unsigned long long)m->size);
	if (decision->decrypt) {
		code = dma->cfg.ops.set_decrypted(dma->cfg.opaque, m->phys, m->size, true);
		/* as in Linux the memory is leaked: nobody knows what state it is in */
		if (code)
			return cbit_error_set(err, code,
					      "set_memory_decrypted(): the kernel could not");
		m->decrypted = true;
	}
	code = clear(dma, m);
	if (code) {
		give_back(dma, m);
		return cbit_error_set(err, code, "dma_alloc_coherent(): memory cannot be zeroed");
	}
	return 0;
}

static int map(struct cbit_dma_dev *dev, const struct cbit_policy_decision *decision,
	       struct cbit_dma_memory *m, struct cbit_error *err)
{
	const struct cbit_iova_range what = { .phys = m->phys, .size = m->size, .coherent = true };

	if (dev->cfg.iommu)
		return cbit_dma_iommu_map(dev, &what, dev->cfg.coherent_mask, decision->attrs,
					  &m->addr, err);
	m->addr = CBIT_IOVA(m->phys.v |
			    (decision->attrs & CBIT_ATTR_ENCRYPTED ? dev->dma->c_mask : 0));
	return 0;
}

int cbit_dma_alloc_coherent(struct cbit_dma_dev *dev, size_t size, struct cbit_phys *phys,
			    struct cbit_iova *out, struct cbit_error *err)
{
	const uint64_t whole = ((uint64_t)size + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	struct cbit_policy_decision decision;
	struct cbit_policy_dma ask;
	struct cbit_dma_memory *m;
	int code;

	if (!size || whole < size || whole > UINT64_MAX / 2)
		return cbit_error_set(err, -EINVAL, "dma_alloc_coherent(): %zu bytes", size);
	m = calloc(1, sizeof(*m));
	if (!m)
		return cbit_error_set(err, -ENOMEM, "dma_alloc_coherent(): out of memory");
	cbit_dma_ask(dev, &ask);
	ask.mask = dev->cfg.coherent_mask;
	cbit_policy_dma_coherent(dev->dma->cfg.policy, &ask, &decision);
	m->size = whole;
	code = take(dev, &decision, m, err);
	if (code)
		goto free_m;
	code = map(dev, &decision, m, err);
	if (code) {
		give_back(dev->dma, m);
		goto free_m;
	}
	pthread_mutex_lock(&dev->lock);
	LIST_INSERT_HEAD(&dev->memories, m, link);
	pthread_mutex_unlock(&dev->lock);
	*phys = m->phys;
	*out = m->addr;
	return 0;

free_m:
	free(m);
	return code;
}

static int release(struct cbit_dma_dev *dev, struct cbit_dma_memory *m)
{
	const struct cbit_iova_range what = { .size = m->size, .coherent = true };
	struct cbit_iova_range *range;
	int err = 0;

	if (dev->cfg.iommu) {
		err = cbit_dma_claim(dev, m->addr, &what, &range);
		if (!err)
			err = cbit_dma_iommu_unmap(dev, range);
	}
	if (!err)
		err = give_back(dev->dma, m);
	free(m);
	return err;
}

int cbit_dma_free_coherent(struct cbit_dma_dev *dev, size_t size, struct cbit_phys phys,
			   struct cbit_iova addr)
{
	const uint64_t whole = ((uint64_t)size + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	struct cbit_dma_memory *m;

	pthread_mutex_lock(&dev->lock);
	m = LIST_FIRST(&dev->memories);
	while (m && (m->phys.v != phys.v || m->addr.v != addr.v || m->size != whole))
		m = LIST_NEXT(m, link);
	if (m)
		LIST_REMOVE(m, link);
	pthread_mutex_unlock(&dev->lock);
	return m ? release(dev, m) : -ENOENT;
}

void cbit_dma_free_memories(struct cbit_dma_dev *dev)
{
	struct cbit_dma_memory *m;

	while ((m = LIST_FIRST(&dev->memories))) {
		LIST_REMOVE(m, link);
		release(dev, m);
	}
}
