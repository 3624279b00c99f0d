/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables on the way of an address, entry by entry, read from DRAM as the walker reads them:
 * each under the C-bit of what points to it. For telling what happened; the accesses
 * themselves go by the walkers of pt and iommu.
 */
#include "sim_internal.h"

#define ADDRESS UINT64_C(0x000ffffffffff000)

static void stage(struct cbit_sim *sim, const struct cbit_sim_stage *s)
{
	struct cbit_sim_result *res = sim->res;

	if (res->nr_stages < CBIT_SIM_STAGES)
		res->stages[res->nr_stages++] = *s;
}

static bool read_entry(struct cbit_sim *sim, struct cbit_sim_stage *s, uint64_t bus)
{
	s->at = bus & ~sim->c_mask;
	s->at_key = sim_key(sim, s->at, (bus & sim->c_mask) != 0);
	s->entry = 0;
	return cbit_mem_read(sim->mem, (struct cbit_bus){ bus }, &s->entry, sizeof(s->entry)) ==
	       CBIT_MEM_OK;
}

/* Bits of the address that a leaf of amdv1 with next level 7 covers: its run of ones. */
static unsigned int contiguous_bits(uint64_t entry, uint64_t c_mask)
{
	uint64_t address = entry & ADDRESS & ~c_mask;

	return (unsigned int)__builtin_ctzll(~(address >> CBIT_PAGE_SHIFT)) + CBIT_PAGE_SHIFT + 1;
}

static void finish(struct cbit_sim *sim, struct cbit_sim_stage *s, unsigned int bits,
		   struct sim_walk *walk)
{
	uint64_t size = (uint64_t)1 << bits;

	s->leaf = true;
	walk->ok = true;
	walk->entry = s->entry;
	walk->c = s->c;
	walk->out = (s->entry & ADDRESS & ~sim->c_mask & ~(size - 1)) | (s->in & (size - 1));
	stage(sim, s);
}

static void walk_x86(struct cbit_sim *sim, enum cbit_sim_table table, uint64_t root,
		     unsigned int levels, uint64_t va, struct sim_walk *walk)
{
	for (unsigned int level = levels; level; level--) {
		unsigned int shift = CBIT_PAGE_SHIFT + 9 * (level - 1);
		struct cbit_sim_stage s = { .table = table, .level = level, .in = va };
		bool ok = read_entry(sim, &s, root + 8 * ((va >> shift) & 511));

		s.c = (s.entry & sim->c_mask) != 0;
		if (!ok || !(s.entry & 1)) {
			stage(sim, &s);
			return;
		}
		if (level == 1 || (level < 4 && s.entry & 0x80)) {
			finish(sim, &s, shift, walk);
			return;
		}
		stage(sim, &s);
		root = s.entry & ADDRESS;
	}
}

static void walk_amdv1(struct cbit_sim *sim, enum cbit_sim_table table, uint64_t root,
		       unsigned int level, uint64_t iova, struct sim_walk *walk)
{
	while (level) {
		unsigned int shift = CBIT_PAGE_SHIFT + 9 * (level - 1);
		struct cbit_sim_stage s = { .table = table, .level = level, .in = iova };
		bool ok = read_entry(sim, &s, root + 8 * ((iova >> shift) & 511));
		unsigned int next = (s.entry >> 9) & 7;

		s.c = (s.entry & sim->c_mask) != 0;
		if (!ok || !(s.entry & 1)) {
			stage(sim, &s);
			return;
		}
		if (next == 0 || next == 7) {
			finish(sim, &s, next ? contiguous_bits(s.entry, sim->c_mask) : shift, walk);
			return;
		}
		stage(sim, &s);
		if (next >= level)
			return;
		root = s.entry & ADDRESS;
		level = next;
	}
}

void sim_trace_host(struct cbit_sim *sim, uint64_t va, struct sim_walk *walk)
{
	uint64_t root = cbit_mem_bus(sim->mem, cbit_pt_root(sim->host_pt), sim->cfg.platform.sme).v;

	*walk = (struct sim_walk){ 0 };
	walk_x86(sim, CBIT_SIM_HOST_PT, root, cbit_pt_mode(sim->host_pt), va, walk);
}

void sim_trace_device(struct cbit_sim *sim, unsigned int dev, uint64_t iova, struct sim_walk *walk)
{
	uint64_t base = cbit_iommu_reg_read(sim->iommu, CBIT_VI_REG_DEVTAB) & CBIT_VI_BASE_MASK;
	struct cbit_sim_stage s = { .table = CBIT_SIM_DEVTAB, .in = sim->devices[dev].cfg.devid };
	unsigned int mode;

	*walk = (struct sim_walk){ 0 };
	if (!read_entry(sim, &s, base + s.in * 32)) {
		stage(sim, &s);
		return;
	}
	s.c = (s.entry & sim->c_mask) != 0;
	mode = (unsigned int)((s.entry & CBIT_VI_DTE0_MODE) >> CBIT_VI_DTE0_MODE_SHIFT);
	stage(sim, &s);
	if (!(s.entry & CBIT_VI_DTE0_V) || !(s.entry & CBIT_VI_DTE0_TV))
		return;
	if (!mode) {
		walk->ok = true;
		walk->c = (iova & sim->c_mask) != 0;
		walk->out = iova & ~sim->c_mask;
		return;
	}
	walk_amdv1(sim, CBIT_SIM_IOPT, s.entry & ADDRESS, mode, iova, walk);
}
