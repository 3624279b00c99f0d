/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of a machine: its memory, its devices' windows, its IOMMU, and what its CPUs and the
 * hypervisor see of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/rmp.h>

#include "sim_internal.h"

#define SLOT_STEP   UINT64_C(0x10000000) /* from one memory slot to the next */
#define WINDOW_GPA  UINT64_C(0x8000000000)
#define WINDOW_STEP UINT64_C(0x40000000)

/* --- making it --- */

/* SNP: a table for all SPAs up to the end of memory. */
static int enable_rmp(struct cbit_sim *sim, struct cbit_error *err)
{
	struct cbit_spa table;
	uint64_t end = 0, size;
	int ret;

	for (unsigned int i = 0; i < sim->cfg.nr_regions; i++) {
		const struct cbit_sim_region *r = &sim->regions[i].cfg;

		if (r->base.v + r->size > end)
			end = r->base.v + r->size;
	}
	size = CBIT_RMP_BOOKKEEPING + (end >> CBIT_PAGE_SHIFT) * CBIT_RMP_ENTRY_BYTES;
	ret = cbit_mem_frames_alloc(sim->mem,
				    (unsigned int)((size + CBIT_PAGE_SIZE - 1) >> CBIT_PAGE_SHIFT),
				    CBIT_KEY_HOST, &table);
	if (ret)
		return cbit_error_set(err, ret,
				      "RMP: no room below 2 GiB for the 0x%" PRIx64
				      " bytes that memory up to 0x%" PRIx64 " needs",
				      size, end);
	return cbit_rmp_enable(sim->mem, table, end, err);
}

/* A memory slot; what is not DRAM is kept from the guest's page allocator. */
static int add_slot(struct cbit_sim *sim, unsigned int index, uint64_t *next,
		    struct cbit_error *err)
{
	struct sim_region *r = &sim->regions[index];
	struct cbit_gpa taken;
	int ret;

	r->guest = r->cfg.guest;
	if (!r->guest)
		return 0;
	if (r->guest > r->cfg.size || r->guest & ~CBIT_PAGE_MASK)
		return cbit_error_set(err, -EINVAL, "region %s: the guest's part is 0x%llx",
				      r->cfg.name, (unsigned long long)r->guest);
	r->gpa = *next;
	*next = (*next + r->guest + SLOT_STEP - 1) & ~(SLOT_STEP - 1);
	memset(r->used, 1, (size_t)(r->guest >> CBIT_PAGE_SHIFT));
	/* The host's kernel has all memory in its direct map. */
	ret = sim_host_map(sim, r->cfg.base.v, r->guest, sim->cfg.platform.sme);
	if (!ret)
		ret = cbit_guest_add_memory(sim->guest, CBIT_GPA(r->gpa), r->cfg.base, r->guest,
					    err);
	if (!ret && r->cfg.kind == CBIT_MEM_CXL_RAM)
		ret = cbit_guest_alloc(sim->guest, r->guest, CBIT_PAGE_SIZE, r->gpa + r->guest - 1,
				       &taken);
	/* From here on these are the pages that the guest's driver of it gives out. */
	if (!ret && r->cfg.kind != CBIT_MEM_DRAM)
		memset(r->used, 0, (size_t)(r->guest >> CBIT_PAGE_SHIFT));
	return ret;
}

static int add_memory(struct cbit_sim *sim, struct cbit_error *err)
{
	/* GPA 0 is not given out, and DRAM comes first: page tables are taken from its top. */
	uint64_t next = 0;
	int ret = 0;

	for (int dram = 1; dram >= 0; dram--) {
		for (unsigned int i = 0; !ret && i < sim->cfg.nr_regions; i++) {
			if ((sim->regions[i].cfg.kind == CBIT_MEM_DRAM) == (dram != 0))
				ret = add_slot(sim, i, &next, err);
		}
	}
	for (unsigned int i = sim->cfg.nr_regions; !ret && i < sim->nr_regions; i++) {
		struct sim_region *r = &sim->regions[i];
		const struct sim_device *dev = &sim->devices[r->owner];

		if (!dev->cfg.guest)
			continue;
		r->gpa = WINDOW_GPA + (uint64_t)r->owner * WINDOW_STEP;
		r->guest = r->cfg.size;
		/* the VMM has it mapped as vfio-pci's mmap() does: without C-bit */
		ret = sim_host_map(sim, r->cfg.base.v, r->guest, false);
		if (ret)
			return ret;
		ret = cbit_guest_add_mmio(sim->guest, CBIT_GPA(r->gpa), r->cfg.base, r->guest,
					  dev->cfg.tdisp, err);
	}
	return ret;
}

/* What the VMM does for a real device: all of the guest by type1, IOVA equal to GPA. */
static int assign(struct cbit_sim *sim, const struct sim_device *dev)
{
	for (unsigned int i = 0; i < sim->nr_regions; i++) {
		const struct sim_region *r = &sim->regions[i];
		struct cbit_policy_type1 call = { 0 };
		unsigned int attrs =
			cbit_policy_type1_attrs(sim->cfg.policy, &sim->cfg.platform, &call,
						r->cfg.kind, false, CBIT_ATTR_RW);
		/* With an RMP the sizes of entries have to be those of the RMP. */
		uint64_t step = sim->cfg.guest.kind == CBIT_GUEST_SNP ? CBIT_PAGE_SIZE : r->guest;

		for (uint64_t at = 0; at < r->guest; at += step) {
			int ret = cbit_domain_map(dev->domain, CBIT_IOVA(r->gpa + at),
						  CBIT_SPA(r->cfg.base.v + at), step, attrs);

			if (ret)
				return ret;
		}
	}
	return 0;
}

static int add_devices(struct cbit_sim *sim, struct cbit_error *err)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < sim->cfg.nr_devices; i++) {
		struct sim_device *dev = &sim->devices[i];
		bool behind = dev->cfg.guest && sim->viommu && !dev->cfg.direct;

		if (!dev->cfg.guest)
			continue;
		if (behind && !dev->cfg.emulated)
			return cbit_error_set(err, -EINVAL,
					      "device %s: what is behind the guest's IOMMU is "
					      "emulated by the hypervisor",
					      dev->cfg.name);
		if (behind)
			ret = cbit_viommu_attach(sim->viommu, dev->cfg.devid, &dev->viommu);
		else if (!dev->cfg.emulated && !dev->cfg.tdisp)
			ret = assign(sim, dev);
	}
	return ret;
}

static bool is_private(void *opaque, struct cbit_spa spa)
{
	return sim_guest_private(opaque, spa.v);
}

static int add_viommu(struct cbit_sim *sim)
{
	const struct cbit_policy_dma ask = {
		.platform = &sim->cfg.platform,
		.guest = true,
		.confidential = sim->guest_c != 0,
	};
	struct cbit_viommu_config cfg = {
		.xt = sim->cfg.guest.xt,
		.last_devid = (uint16_t)((CBIT_SIM_DEVICES + 1) << 8),
		.observer = &sim->observer,
	};
	struct cbit_policy_decision decision;

	for (unsigned int i = 0; i < sim->cfg.nr_devices; i++) {
		if (sim->devices[i].cfg.devid > cfg.last_devid)
			cfg.last_devid = sim->devices[i].cfg.devid;
	}
	cbit_policy_iommu_tables(sim->guest_policy, &ask, &decision);
	cfg.tables_shared = !(decision.attrs & CBIT_ATTR_ENCRYPTED);
	return cbit_viommu_create(sim->guest, &cfg, &sim->viommu);
}

int sim_guest_create(struct cbit_sim *sim, struct cbit_error *err)
{
	const struct cbit_sim_guest *g = &sim->cfg.guest;
	const struct cbit_guest_config cfg = {
		.kind = g->kind,
		.asid = g->kind == CBIT_GUEST_PLAIN ? 0
			: g->asid                   ? g->asid
						    : 1,
		.npt_c = g->npt_c,
		.observer = &sim->observer,
	};
	const struct cbit_iommu_owner owner = { .is_private = is_private, .opaque = sim };
	int ret = 0;

	sim->guest_policy = sim->cfg.policy;
	if (!g->present)
		return 0;
	if (g->derived) {
		ret = cbit_policy_derive(sim->cfg.policy, &g->switches, &sim->derived);
		sim->guest_policy = sim->derived;
	}
	if (!ret && g->kind == CBIT_GUEST_SNP)
		ret = enable_rmp(sim, err);
	if (!ret)
		ret = cbit_guest_create(sim->mem, &cfg, &sim->guest, err);
	if (ret)
		return ret;
	if (g->kind != CBIT_GUEST_PLAIN) {
		sim->guest_key = cbit_mem_guest_key(sim->mem, cfg.asid);
		sim->guest_c = UINT64_C(1) << sim->cfg.platform.c_bit;
		cbit_iommu_set_owner(sim->iommu, &owner);
	}
	ret = add_memory(sim, err);
	if (!ret)
		ret = cbit_guest_boot(sim->guest, err);
	if (!ret && g->viommu)
		ret = add_viommu(sim);
	if (!ret)
		ret = add_devices(sim, err);
	return ret ? ret : sim_irq_create(sim);
}

void sim_guest_destroy(struct cbit_sim *sim)
{
	cbit_dma_destroy(sim->guest_dma);
	cbit_apics_destroy(sim->apics);
	cbit_viommu_destroy(sim->viommu);
	cbit_guest_destroy(sim->guest);
	cbit_policy_free(sim->derived);
}

/* --- its memory --- */

bool sim_guest_gpa(const struct cbit_sim *sim, uint64_t spa, uint64_t *gpa)
{
	for (unsigned int i = 0; sim->guest && i < sim->nr_regions; i++) {
		const struct sim_region *r = &sim->regions[i];

		if (spa - r->cfg.base.v < r->guest) {
			*gpa = r->gpa + (spa - r->cfg.base.v);
			return true;
		}
	}
	return false;
}

/* Whether the guest has the page at @spa private. */
bool sim_guest_private(struct cbit_sim *sim, uint64_t spa)
{
	const struct cbit_mem_region *region = cbit_mem_find(sim->mem, CBIT_SPA(spa));
	uint64_t gpa;

	return sim->guest_c && region && region->kind != CBIT_MEM_MMIO &&
	       sim_guest_gpa(sim, spa, &gpa) && !cbit_guest_is_shared(sim->guest, CBIT_GPA(gpa));
}

static enum cbit_dma_pages kernel_pages(void *opaque, struct cbit_phys phys, uint64_t size)
{
	uint64_t at = phys.v & CBIT_PAGE_MASK;
	bool shared = cbit_guest_is_shared(opaque, CBIT_GPA(at));

	for (at += CBIT_PAGE_SIZE; at < phys.v + size; at += CBIT_PAGE_SIZE) {
		if (cbit_guest_is_shared(opaque, CBIT_GPA(at)) != shared)
			return CBIT_DMA_PAGES_MIXED;
	}
	return shared ? CBIT_DMA_PAGES_PLAIN : CBIT_DMA_PAGES_C;
}

struct cbit_kernel_ops sim_guest_kernel(void)
{
	struct cbit_kernel_ops ops = cbit_guest_kernel();

	if (!ops.pages)
		ops.pages = kernel_pages;
	return ops;
}

int sim_guest_alloc(struct cbit_sim *sim, struct sim_buf *buf)
{
	struct sim_region *r = &sim->regions[buf->region];
	struct cbit_gpa gpa;
	uint64_t spa;
	int ret;

	if (!r->guest)
		return sim_bad(sim, "region %s: the guest has no part of it", r->cfg.name);
	if (r->cfg.kind == CBIT_MEM_DRAM) {
		ret = cbit_guest_alloc(sim->guest, buf->size, CBIT_PAGE_SIZE, r->gpa + r->guest - 1,
				       &gpa);
		if (!ret && gpa.v < r->gpa) {
			cbit_guest_free(sim->guest, gpa, buf->size);
			ret = -ENOMEM;
		}
	} else {
		ret = sim_pages_alloc(r, true, buf->size, &spa);
		gpa = CBIT_GPA(ret ? 0 : r->gpa + (spa - r->cfg.base.v));
	}
	if (ret)
		return sim_refused(sim, -ENOSPC, "%s: the guest has no such pages left",
				   r->cfg.name);
	buf->addr = gpa.v;
	buf->spa = CBIT_SPA(r->cfg.base.v + (gpa.v - r->gpa));
	buf->used = true;
	return 0;
}

void sim_guest_free(struct cbit_sim *sim, struct sim_buf *buf)
{
	struct sim_region *r = &sim->regions[buf->region];

	if (r->cfg.kind == CBIT_MEM_DRAM) {
		cbit_guest_free(sim->guest, CBIT_GPA(buf->addr), buf->size);
		return;
	}
	if (r->cfg.kind != CBIT_MEM_MMIO && sim->guest_c)
		(void)cbit_guest_unshare(sim->guest, CBIT_GPA(buf->addr), buf->size);
	sim_pages_free(r, buf->spa.v, buf->size);
}

/* --- accesses --- */

static enum cbit_sim_outcome outcome_of(struct cbit_sim *sim, enum cbit_guest_outcome outcome,
					bool write)
{
	static const enum cbit_sim_fault faults[] = {
		[CBIT_GUEST_PF] = CBIT_SIM_FAULT_PF,
		[CBIT_GUEST_NPF] = CBIT_SIM_FAULT_NPF,
		[CBIT_GUEST_RMP] = CBIT_SIM_FAULT_NPF_RMP,
		[CBIT_GUEST_VC] = CBIT_SIM_FAULT_VC,
	};

	switch (outcome) {
	case CBIT_GUEST_OK:
		return CBIT_SIM_OK;
	case CBIT_GUEST_ABORT:
		return write ? CBIT_SIM_LOST : CBIT_SIM_ABORT;
	default:
		sim->res->fault = faults[outcome];
		return CBIT_SIM_FAULT;
	}
}

static enum cbit_sim_outcome hypervisor(struct cbit_sim *sim, uint64_t gpa, bool write,
					uint8_t *buf, size_t len, struct sim_place *place)
{
	struct cbit_mem *view = cbit_guest_hypervisor_view(sim->guest);
	const struct cbit_mem_region *region = cbit_mem_find(view, CBIT_SPA(gpa));
	enum cbit_mem_outcome o = write ? cbit_mem_write(view, (struct cbit_bus){ gpa }, buf, len)
					: cbit_mem_read(view, (struct cbit_bus){ gpa }, buf, len);
	struct cbit_spa spa;

	sim_trace_npt(sim, gpa);
	if (region && !cbit_guest_spa(sim->guest, CBIT_GPA(gpa), &spa)) {
		bool c = sim->cfg.guest.npt_c && sim->cfg.platform.sme && region->encrypts;

		*place = (struct sim_place){ true, spa, c, sim_key(sim, spa.v, c) };
	}
	switch (o) {
	case CBIT_MEM_OK:
	case CBIT_MEM_WRONG_KEY:
		return CBIT_SIM_OK;
	case CBIT_MEM_REFUSED:
		sim->res->fault = CBIT_SIM_FAULT_PF_RMP;
		return CBIT_SIM_FAULT;
	default:
		return write ? CBIT_SIM_LOST : CBIT_SIM_ABORT;
	}
}

int sim_guest_cpu(struct cbit_sim *sim, enum cbit_sim_who who, uint64_t gpa, bool write,
		  uint8_t *buf, size_t len, struct sim_place *place, enum cbit_sim_outcome *out)
{
	struct cbit_gva gva = cbit_guest_direct(CBIT_GPA(gpa));
	struct cbit_guest_trace trace = { 0 };
	enum cbit_guest_outcome o;

	*place = (struct sim_place){ 0 };
	if (!sim->guest)
		return sim_bad(sim, "%s: this machine has no guest", cbit_sim_who_name(who));
	if (who == CBIT_SIM_HYPERVISOR) {
		*out = hypervisor(sim, gpa, write, buf, len, place);
		return 0;
	}
	if (who == CBIT_SIM_GUEST_FETCH && write)
		return sim_bad(sim, "guest-fetch: instruction fetches do not write");
	sim_trace_guest(sim, gva.v);
	sim_trace_npt(sim, gpa);
	if (who == CBIT_SIM_GUEST_FETCH)
		o = cbit_guest_fetch(sim->guest, gva, buf, len, &trace);
	else if (write)
		o = cbit_guest_write(sim->guest, gva, buf, len, &trace);
	else
		o = cbit_guest_read(sim->guest, gva, buf, len, &trace);
	*out = outcome_of(sim, o, write);
	*place = (struct sim_place){ .known = trace.spa.v != 0,
				     .spa = trace.spa,
				     .c = trace.c || who == CBIT_SIM_GUEST_FETCH,
				     .key = trace.key };
	if (cbit_mem_find(sim->mem, trace.spa) && !cbit_mem_find(sim->mem, trace.spa)->encrypts)
		place->key = CBIT_KEY_NONE;
	return 0;
}

/* --- private and shared --- */

static int rmp_update(struct cbit_sim *sim, const struct sim_buf *buf, bool give)
{
	struct cbit_rmp_entry entry = {
		.assigned = give,
		.asid = (uint16_t)(sim->cfg.guest.asid ? sim->cfg.guest.asid : 1),
	};
	int ret = 0;

	for (uint64_t at = 0; at < buf->size && !ret; at += CBIT_PAGE_SIZE) {
		entry.gpa = give ? buf->addr + at : 0;
		ret = cbit_rmp_update(sim->mem, CBIT_SPA(buf->spa.v + at), &entry);
	}
	return ret;
}

int sim_op_state(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = sim_buf_get(sim, op->buf, 0, 1);
	struct cbit_gpa gpa;
	int ret;

	if (!buf)
		return -EINVAL;
	if (!buf->guest)
		return sim_bad(sim, "%s: only a guest's memory has states",
			       cbit_sim_op_name(op->kind));
	gpa = CBIT_GPA(buf->addr);
	switch (op->kind) {
	case CBIT_SIM_SHARE:
		ret = cbit_guest_share(sim->guest, gpa, buf->size);
		break;
	case CBIT_SIM_UNSHARE:
		ret = cbit_guest_unshare(sim->guest, gpa, buf->size);
		break;
	case CBIT_SIM_SET_C:
		ret = cbit_guest_set_c(sim->guest, gpa, buf->size, op->on);
		break;
	case CBIT_SIM_PAGE_STATE:
		ret = cbit_guest_page_state(sim->guest, gpa, buf->size, op->on);
		break;
	case CBIT_SIM_PVALIDATE:
		ret = cbit_guest_pvalidate(sim->guest, gpa, buf->size, op->on);
		break;
	default:
		ret = cbit_rmp_enabled(sim->mem) ? rmp_update(sim, buf, op->on) : -EOPNOTSUPP;
		break;
	}
	if (ret < 0)
		return sim_refused(sim, ret, "%s of %u pages", cbit_sim_op_name(op->kind),
				   (unsigned int)(buf->size >> CBIT_PAGE_SHIFT));
	return 0;
}
