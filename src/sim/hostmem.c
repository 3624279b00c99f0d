/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's kernel as far as memory goes: which pages are given out, and the page table of its
 * CPUs, in modelled DRAM, whose leaves say how they reach them.
 */
#include <errno.h>

#include "sim_internal.h"

/* Where Linux maps all of physical memory (page_offset_base without KASLR). */
#define DIRECT_MAP UINT64_C(0xffff888000000000)

uint64_t sim_host_va(uint64_t spa)
{
	return DIRECT_MAP + spa;
}

int sim_host_init(struct cbit_sim *sim)
{
	const struct cbit_pt_config cfg = {
		.format = CBIT_PT_X86_64,
		.mode = 4,
		.max_mode = 4,
		.sign_extend = true,
		.table_c = sim->cfg.platform.sme,
	};

	return cbit_pt_create(sim->mem, &cfg, &sim->host_pt);
}

int sim_host_map(struct cbit_sim *sim, uint64_t spa, uint64_t size, bool c)
{
	unsigned int attrs = CBIT_ATTR_RW | CBIT_ATTR_NOEXEC | CBIT_ATTR_ACCESSED |
			     CBIT_ATTR_DIRTY | (c ? CBIT_ATTR_ENCRYPTED : 0);
	uint64_t mapped = 0;
	int ret;

	ret = cbit_pt_map(sim->host_pt, CBIT_IOVA(sim_host_va(spa)), CBIT_SPA(spa), size, attrs,
			  &mapped);
	if (ret)
		cbit_pt_unmap(sim->host_pt, CBIT_IOVA(sim_host_va(spa)), mapped, NULL);
	return ret;
}

void sim_host_unmap(struct cbit_sim *sim, uint64_t spa, uint64_t size)
{
	cbit_pt_unmap(sim->host_pt, CBIT_IOVA(sim_host_va(spa)), size, NULL);
	cbit_pt_gather_free(sim->host_pt);
}

/* --- pages of a region, first fit --- */

int sim_pages_alloc(struct sim_region *region, uint64_t size, uint64_t *out)
{
	uint64_t total = region->cfg.size >> CBIT_PAGE_SHIFT, want = size >> CBIT_PAGE_SHIFT;

	for (uint64_t at = region->next, run = 0; at < total; at++) {
		run = region->used[at] ? 0 : run + 1;
		if (run < want)
			continue;
		for (uint64_t i = 0; i < want; i++)
			region->used[at - i] = 1;
		at = at + 1 - want;
		if (at == region->next)
			region->next += want;
		*out = region->cfg.base.v + (at << CBIT_PAGE_SHIFT);
		return 0;
	}
	return -ENOMEM;
}

void sim_pages_free(struct sim_region *region, uint64_t spa, uint64_t size)
{
	uint64_t at = (spa - region->cfg.base.v) >> CBIT_PAGE_SHIFT;

	for (uint64_t i = 0; i < size >> CBIT_PAGE_SHIFT; i++)
		region->used[at + i] = 0;
	if (at < region->next)
		region->next = at;
}
