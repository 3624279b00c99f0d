/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU's own accesses to memory: device table, rings, interrupt tables.
 *
 * The address comes from a register or an entry and carries the C-bit as it stands there. With
 * the wrong one the access is carried out under the wrong key, and noise is read.
 */
#include <errno.h>

#include "internal.h"

static bool in_memory(struct cbit_iommu *iommu, struct cbit_bus at)
{
	const struct cbit_mem_region *region =
		cbit_mem_find(iommu->mem, CBIT_SPA(at.v & ~iommu->c_mask));

	return region && region->kind != CBIT_MEM_MMIO;
}

int cbit_table_read(struct cbit_iommu *iommu, struct cbit_bus at, void *buf, size_t len)
{
	if (!in_memory(iommu, at))
		return -EIO;
	switch (cbit_mem_read(iommu->mem, at, buf, len)) {
	case CBIT_MEM_OK:
	case CBIT_MEM_WRONG_KEY:
		return 0;
	case CBIT_MEM_ABORT:
	case CBIT_MEM_NO_BACKING:
		break;
	}
	return -EIO;
}

int cbit_table_write(struct cbit_iommu *iommu, struct cbit_bus at, const void *buf, size_t len)
{
	if (!in_memory(iommu, at))
		return -EIO;
	switch (cbit_mem_write(iommu->mem, at, buf, len)) {
	case CBIT_MEM_OK:
	case CBIT_MEM_WRONG_KEY:
		return 0;
	case CBIT_MEM_ABORT:
	case CBIT_MEM_NO_BACKING:
		break;
	}
	return -EIO;
}
