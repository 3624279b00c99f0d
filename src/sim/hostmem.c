/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's kernel as far as memory goes: which pages are given out, and the page table of its
 * CPUs, in modelled DRAM, whose leaves say how they reach them.
 */
#include <errno.h>
#include <stdlib.h>

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

/* Whether the CPU's leaf for a page has the C-bit. */
bool sim_host_c(struct cbit_sim *sim, uint64_t spa)
{
	struct cbit_pt_leaf leaf;

	return !cbit_pt_walk(sim->host_pt, CBIT_IOVA(sim_host_va(spa)), &leaf) &&
	       leaf.attrs & CBIT_ATTR_ENCRYPTED;
}

/* --- the kernel as the DMA API sees it --- */

static int kernel_access(struct cbit_sim *sim, uint64_t spa, bool write, void *buf, size_t len)
{
	struct cbit_sim_result *mine = sim->res;
	struct cbit_sim_result *look = calloc(1, sizeof(*look));
	struct sim_place place;
	int ret;

	if (!look)
		return -ENOMEM;
	sim->res = look; /* nobody asks about the tables here */
	ret = sim_cpu(sim, CBIT_SIM_HOST_CPU, spa, write, buf, len, &place, &look->outcome);
	if (!ret && look->outcome == CBIT_SIM_FAULT)
		ret = -EFAULT;
	sim->res = mine;
	free(look);
	return ret;
}

static int kernel_read(void *opaque, struct cbit_phys phys, void *buf, size_t len)
{
	return kernel_access(opaque, phys.v, false, buf, len);
}

static int kernel_write(void *opaque, struct cbit_phys phys, const void *buf, size_t len)
{
	/* only ever read from: one function serves both ways */
	return kernel_access(opaque, phys.v, true, (void *)(uintptr_t)buf, len);
}

static unsigned int frames(uint64_t size, uint64_t align)
{
	return (unsigned int)((size > align ? size : align) >> CBIT_PAGE_SHIFT);
}

static int kernel_alloc(void *opaque, uint64_t size, uint64_t align, uint64_t limit,
			struct cbit_phys *out)
{
	struct cbit_sim *sim = opaque;
	struct cbit_spa spa;
	int ret;

	/* All of the kernel's own memory lies below 2 GiB. */
	ret = cbit_mem_frames_alloc(sim->mem, frames(size, align), CBIT_KEY_HOST, &spa);
	if (ret)
		return ret;
	if (spa.v + size - 1 > limit)
		ret = -ENOMEM;
	if (!ret)
		ret = sim_host_map(sim, spa.v, size, sim->cfg.platform.sme);
	if (ret)
		cbit_mem_frames_free(sim->mem, spa, frames(size, align));
	else
		*out = CBIT_PHYS(spa.v);
	return ret;
}

static void kernel_free(void *opaque, struct cbit_phys phys, uint64_t size)
{
	struct cbit_sim *sim = opaque;

	/* Frames stay taken: their alignment is not told, and a machine does not live long. */
	sim_host_unmap(sim, phys.v, size);
}

static int kernel_set_decrypted(void *opaque, struct cbit_phys phys, uint64_t size, bool decrypted)
{
	struct cbit_sim *sim = opaque;

	/* What was mapped in one piece changes in one piece: pools, coherent memory. */
	sim_host_unmap(sim, phys.v, size);
	return sim_host_map(sim, phys.v, size, !decrypted && sim->cfg.platform.sme);
}

static bool kernel_is_mmio(void *opaque, struct cbit_phys phys)
{
	const struct cbit_sim *sim = opaque;
	const struct cbit_mem_region *region = cbit_mem_find(sim->mem, CBIT_SPA(phys.v));

	return region && region->kind == CBIT_MEM_MMIO;
}

static enum cbit_dma_pages kernel_pages(void *opaque, struct cbit_phys phys, uint64_t size)
{
	uint64_t at = phys.v & CBIT_PAGE_MASK;
	bool first = sim_host_c(opaque, at);

	for (at += CBIT_PAGE_SIZE; at < phys.v + size; at += CBIT_PAGE_SIZE) {
		if (sim_host_c(opaque, at) != first)
			return CBIT_DMA_PAGES_MIXED;
	}
	return first ? CBIT_DMA_PAGES_C : CBIT_DMA_PAGES_PLAIN;
}

struct cbit_kernel_ops sim_host_kernel(void)
{
	return (struct cbit_kernel_ops){
		.read = kernel_read,
		.write = kernel_write,
		.alloc = kernel_alloc,
		.free = kernel_free,
		.set_decrypted = kernel_set_decrypted,
		.is_mmio = kernel_is_mmio,
		.pages = kernel_pages,
	};
}

/* --- pages of a region, first fit --- */

/* A guest's part of a region, at its start, is the guest's to give out; the rest is the host's. */
int sim_pages_alloc(struct sim_region *region, bool guest, uint64_t size, uint64_t *out)
{
	uint64_t border = region->guest >> CBIT_PAGE_SHIFT, want = size >> CBIT_PAGE_SHIFT;
	uint64_t end = guest ? border : region->cfg.size >> CBIT_PAGE_SHIFT;
	uint64_t from = !guest && region->next < border ? border : region->next;

	for (uint64_t at = from, run = 0; at < end; at++) {
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
