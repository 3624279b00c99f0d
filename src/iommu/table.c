/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU's own accesses to memory: device table, rings, interrupt tables.
 *
 * The address comes from a register or an entry and carries the C-bit as it stands there. With
 * the wrong one the access is carried out under the wrong key, and noise is read.
 */
#include <errno.h>
#include <string.h>

#include "../mem/view.h"
#include "internal.h"

static bool in_memory(struct cbit_iommu *iommu, struct cbit_bus at)
{
	const struct cbit_mem_region *region =
		cbit_mem_find(iommu->mem, CBIT_SPA(at.v & ~iommu->c_mask));

	return region && region->kind != CBIT_MEM_MMIO;
}

/* Whatever key it is under: a walker that reads noise is told by what it makes of it. */
static int result(enum cbit_mem_outcome outcome)
{
	return outcome == CBIT_MEM_OK || outcome == CBIT_MEM_WRONG_KEY ? 0 : -EIO;
}

/* A word of sparse memory that shows what its key shows, as a walk reads entries: 30 instructions
 * in place of 370. */
static bool read_word(struct cbit_iommu *iommu, uint64_t at, void *buf, size_t len)
{
	const struct mem_view *v = mem_view(iommu->mem);
	uint64_t offset = (at & ~v->c_mask) - v->base, word;

	if (len != sizeof(word) || at % sizeof(word) || offset >= v->size ||
	    mem_page_view(&v->pages[offset >> CBIT_PAGE_SHIFT]) !=
		    (at & v->c_mask ? v->want_c : v->want))
		return false;
	word = __atomic_load_n((const uint64_t *)(const void *)(v->bytes + offset),
			       __ATOMIC_ACQUIRE);
	memcpy(buf, &word, sizeof(word));
	return true;
}

int cbit_table_read(struct cbit_iommu *iommu, struct cbit_bus at, void *buf, size_t len)
{
	if (iommu->owner.is_private)
		cbit_owner_table(iommu, at, false);
	if (read_word(iommu, at.v, buf, len))
		return 0;
	return in_memory(iommu, at) ? result(cbit_mem_read(iommu->mem, at, buf, len)) : -EIO;
}

int cbit_table_write(struct cbit_iommu *iommu, struct cbit_bus at, const void *buf, size_t len)
{
	if (iommu->owner.is_private)
		cbit_owner_table(iommu, at, true);
	return in_memory(iommu, at) ? result(cbit_mem_write(iommu->mem, at, buf, len)) : -EIO;
}

int cbit_driver_write(struct cbit_iommu *iommu, struct cbit_bus at, const void *buf, size_t len)
{
	if (iommu->drv == iommu->mem)
		return cbit_table_write(iommu, at, buf, len);
	return result(cbit_mem_write(iommu->drv, at, buf, len));
}
