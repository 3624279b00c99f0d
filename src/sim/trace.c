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

/*
 * struct space - where tables are read.
 * @c_mask: what is taken off an entry to have the address, and put where the C-bit is shown.
 */
struct space {
	struct cbit_sim *sim;
	struct cbit_mem *mem;
	uint64_t c_mask;
	bool in_guest;
};

static bool read_entry(const struct space *sp, struct cbit_sim_stage *s, uint64_t bus)
{
	struct cbit_sim *sim = sp->sim;
	struct cbit_spa spa;
	uint64_t gpa;

	s->at = bus & ~sp->c_mask;
	s->in_guest = sp->in_guest;
	s->entry = 0;
	if (!sp->in_guest) {
		s->at_key = sim_key(sim, s->at, (bus & sp->c_mask) != 0);
	} else if (sp->mem == cbit_guest_view(sim->guest)) {
		/* the walker's key */
		s->at_key = sim->guest_key;
	} else {
		gpa = s->at & ~sim->guest_c;
		s->at_key = cbit_guest_spa(sim->guest, CBIT_GPA(gpa), &spa)
				    ? CBIT_KEY_NONE
				    : sim_key(sim, spa.v, sim->cfg.guest.npt_c);
	}
	return cbit_mem_read(sp->mem, (struct cbit_bus){ bus }, &s->entry, sizeof(s->entry)) ==
	       CBIT_MEM_OK;
}

/* Bits of the address that a leaf of amdv1 with next level 7 covers: its run of ones. */
static unsigned int contiguous_bits(uint64_t entry, uint64_t c_mask)
{
	uint64_t address = entry & ADDRESS & ~c_mask;

	return (unsigned int)__builtin_ctzll(~(address >> CBIT_PAGE_SHIFT)) + CBIT_PAGE_SHIFT + 1;
}

static void finish(const struct space *sp, struct cbit_sim_stage *s, unsigned int bits,
		   struct sim_walk *walk)
{
	uint64_t size = (uint64_t)1 << bits;

	s->leaf = true;
	walk->ok = true;
	walk->entry = s->entry;
	walk->c = s->c;
	walk->out = (s->entry & ADDRESS & ~sp->c_mask & ~(size - 1)) | (s->in & (size - 1));
	stage(sp->sim, s);
}

/* The hypervisor takes no C-bit off a guest's entries, but there it is. */
static uint64_t show_c(const struct space *sp)
{
	return sp->in_guest ? sp->sim->guest_c : sp->c_mask;
}

static void walk_x86(const struct space *sp, enum cbit_sim_table table, uint64_t root,
		     unsigned int levels, uint64_t va, struct sim_walk *walk)
{
	for (unsigned int level = levels; level; level--) {
		unsigned int shift = CBIT_PAGE_SHIFT + 9 * (level - 1);
		struct cbit_sim_stage s = { .table = table, .level = level, .in = va };
		bool ok = read_entry(sp, &s, root + 8 * ((va >> shift) & 511));

		s.c = (s.entry & show_c(sp)) != 0;
		if (!ok || !(s.entry & 1)) {
			stage(sp->sim, &s);
			return;
		}
		if (level == 1 || (level < 4 && s.entry & 0x80)) {
			finish(sp, &s, shift, walk);
			return;
		}
		stage(sp->sim, &s);
		root = s.entry & ADDRESS;
	}
}

static void walk_amdv1(const struct space *sp, enum cbit_sim_table table, uint64_t root,
		       unsigned int level, uint64_t iova, struct sim_walk *walk)
{
	while (level) {
		unsigned int shift = CBIT_PAGE_SHIFT + 9 * (level - 1);
		struct cbit_sim_stage s = { .table = table, .level = level, .in = iova };
		bool ok = read_entry(sp, &s, root + 8 * ((iova >> shift) & 511));
		unsigned int next = (s.entry >> 9) & 7;

		s.c = (s.entry & show_c(sp)) != 0;
		if (!ok || !(s.entry & 1)) {
			stage(sp->sim, &s);
			return;
		}
		if (next == 0 || next == 7) {
			finish(sp, &s, next ? contiguous_bits(s.entry, sp->c_mask) : shift, walk);
			return;
		}
		stage(sp->sim, &s);
		if (next >= level)
			return;
		root = s.entry & ADDRESS;
		level = next;
	}
}

static struct space host_space(struct cbit_sim *sim)
{
	return (struct space){ .sim = sim, .mem = sim->mem, .c_mask = sim->c_mask };
}

void sim_trace_host(struct cbit_sim *sim, uint64_t va, struct sim_walk *walk)
{
	const struct space sp = host_space(sim);
	uint64_t root = cbit_mem_bus(sim->mem, cbit_pt_root(sim->host_pt), sim->cfg.platform.sme).v;

	*walk = (struct sim_walk){ 0 };
	walk_x86(&sp, CBIT_SIM_HOST_PT, root, cbit_pt_mode(sim->host_pt), va, walk);
}

void sim_trace_guest(struct cbit_sim *sim, uint64_t gva)
{
	const struct space sp = { .sim = sim,
				  .mem = cbit_guest_view(sim->guest),
				  .c_mask = sim->guest_c,
				  .in_guest = true };
	struct sim_walk walk = { 0 };

	walk_x86(&sp, CBIT_SIM_GUEST_PT, cbit_guest_root(sim->guest).v, 4, gva, &walk);
}

void sim_trace_npt(struct cbit_sim *sim, uint64_t gpa)
{
	const struct space sp = host_space(sim);
	struct cbit_pt *npt = cbit_guest_npt(sim->guest);
	struct sim_walk walk = { 0 };

	walk_x86(&sp, CBIT_SIM_NPT,
		 cbit_mem_bus(sim->mem, cbit_pt_root(npt), sim->cfg.platform.sme).v,
		 cbit_pt_mode(npt), gpa, &walk);
}

/* From the device table of an IOMMU down. */
static void trace_iommu(const struct space *sp, struct cbit_iommu *iommu, uint16_t devid,
			uint64_t iova, struct sim_walk *walk)
{
	uint64_t base = cbit_iommu_reg_read(iommu, CBIT_VI_REG_DEVTAB) & CBIT_VI_BASE_MASK;
	struct cbit_sim_stage s = { .table = sp->in_guest ? CBIT_SIM_VDEVTAB : CBIT_SIM_DEVTAB,
				    .in = devid };
	unsigned int mode;
	bool ok = read_entry(sp, &s, base + s.in * 32);

	s.c = (s.entry & show_c(sp)) != 0;
	mode = (unsigned int)((s.entry & CBIT_VI_DTE0_MODE) >> CBIT_VI_DTE0_MODE_SHIFT);
	stage(sp->sim, &s);
	if (!ok || !(s.entry & CBIT_VI_DTE0_V) || !(s.entry & CBIT_VI_DTE0_TV))
		return;
	if (!mode) {
		walk->ok = true;
		walk->c = (iova & sp->c_mask) != 0;
		walk->out = iova & ~sp->c_mask;
		return;
	}
	walk_amdv1(sp, sp->in_guest ? CBIT_SIM_VIOPT : CBIT_SIM_IOPT, s.entry & ADDRESS, mode, iova,
		   walk);
}

void sim_trace_device(struct cbit_sim *sim, unsigned int index, uint64_t iova,
		      struct sim_walk *walk)
{
	const struct sim_device *dev = &sim->devices[index];
	struct space sp = host_space(sim);

	*walk = (struct sim_walk){ 0 };
	if (dev->viommu) {
		sp.mem = cbit_guest_hypervisor_view(sim->guest);
		sp.c_mask = 0;
		sp.in_guest = true;
		trace_iommu(&sp, cbit_viommu_hardware(sim->viommu), dev->cfg.devid, iova, walk);
	} else if (dev->cfg.guest && (dev->cfg.emulated || dev->cfg.tdisp)) {
		walk->ok = true;
		walk->out = iova;
	} else {
		trace_iommu(&sp, sim->iommu, dev->cfg.devid, iova, walk);
	}
}
