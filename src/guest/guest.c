/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Life and death of a guest, and its physical map: memory slots, windows, NPT, and the page
 * tables that its kernel builds at boot.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "guest_internal.h"

const char *cbit_guest_kind_name(enum cbit_guest_kind kind)
{
	static const char *const names[] = {
		[CBIT_GUEST_PLAIN] = "plain",
		[CBIT_GUEST_SEV] = "sev",
		[CBIT_GUEST_SEV_ES] = "sev-es",
		[CBIT_GUEST_SNP] = "sev-snp",
	};

	return (unsigned int)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

const char *cbit_guest_outcome_name(enum cbit_guest_outcome outcome)
{
	static const char *const names[] = {
		[CBIT_GUEST_OK] = "ok",    [CBIT_GUEST_PF] = "#PF",
		[CBIT_GUEST_NPF] = "#NPF", [CBIT_GUEST_RMP] = "#NPF(RMP)",
		[CBIT_GUEST_VC] = "#VC",   [CBIT_GUEST_ABORT] = "abort",
	};

	return (unsigned int)outcome < sizeof(names) / sizeof(names[0]) ? names[outcome]
									: "unknown";
}

static int check_config(struct cbit_mem *mem, const struct cbit_guest_config *cfg,
			struct cbit_error *err)
{
	const struct cbit_platform *p = cbit_mem_platform(mem);
	const char *kind = cbit_guest_kind_name(cfg->kind);
	bool there;

	switch (cfg->kind) {
	case CBIT_GUEST_PLAIN:
		return 0;
	case CBIT_GUEST_SEV:
		there = p->sev;
		break;
	case CBIT_GUEST_SEV_ES:
		there = p->sev_es;
		break;
	case CBIT_GUEST_SNP:
		there = p->snp;
		break;
	default:
		return cbit_error_set(err, -EINVAL, "guest: kind %d is not known", (int)cfg->kind);
	}
	if (!there)
		return cbit_error_set(err, -EINVAL, "guest: platform %s has no %s", p->name, kind);
	if (!cfg->asid || cfg->asid > p->asids)
		return cbit_error_set(err, -EINVAL, "guest: ASID %u is not in 1..%u", cfg->asid,
				      p->asids);
	return 0;
}

static void guest_lock_init(struct cbit_guest *guest)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&guest->lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

int cbit_guest_create(struct cbit_mem *mem, const struct cbit_guest_config *cfg,
		      struct cbit_guest **out, struct cbit_error *err)
{
	const struct cbit_platform *p = cbit_mem_platform(mem);
	struct cbit_pt_config npt = {
		.format = CBIT_PT_X86_64,
		.mode = GUEST_LEVELS,
		.max_mode = GUEST_LEVELS,
		.table_c = p->sme,
	};
	struct cbit_guest *guest;
	int ret = check_config(mem, cfg, err);

	if (ret)
		return ret;
	guest = calloc(1, sizeof(*guest));
	if (!guest)
		return cbit_error_set(err, -ENOMEM, "guest: out of memory");
	guest_lock_init(guest);
	guest->mem = mem;
	guest->cfg = *cfg;
	guest->cfg.npt_c = cfg->npt_c && p->sme;
	if (cfg->kind != CBIT_GUEST_PLAIN) {
		guest->c_mask = (uint64_t)1 << p->c_bit;
		guest->key = cbit_mem_guest_key(mem, cfg->asid);
	}
	ret = cbit_pt_create(mem, &npt, &guest->npt);
	if (!ret)
		ret = guest_views_create(guest);
	if (ret) {
		cbit_guest_destroy(guest);
		return cbit_error_set(err, ret, "guest: no memory for the nested page table");
	}
	*out = guest;
	return 0;
}

/* Memory that was never accepted is the hypervisor's as it is. */
static void reclaim(struct cbit_guest *guest, const struct guest_slot *slot)
{
	if (!slot->accepted)
		guest_rmp_reclaim(guest, slot->spa, slot->region.size);
	else if (!slot->shared)
		guest_reclaim_accepted(guest, slot);
}

void cbit_guest_destroy(struct cbit_guest *guest)
{
	struct cbit_pt *pt;

	if (!guest)
		return;
	/* Its frames go back to the guest, whose pages are not looked up in it meanwhile. */
	pt = guest->pt;
	guest->pt = NULL;
	cbit_pt_destroy(pt);
	guest_views_destroy(guest);
	cbit_pt_destroy(guest->npt);
	for (size_t i = 0; i < guest->slot_count; i++) {
		struct guest_slot *slot = guest->slots[i];

		if (!guest_slot_is_window(slot))
			reclaim(guest, slot);
		free(slot->accepted);
		free(slot);
	}
	free(guest->slots);
	free(guest->free);
	pthread_mutex_destroy(&guest->lock);
	free(guest);
}

struct guest_slot *guest_slot_of(const struct cbit_guest *guest, uint64_t gpa)
{
	size_t lo = 0, hi = guest->slot_count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct cbit_mem_region *r = &guest->slots[mid]->region;

		if (gpa < r->base.v)
			hi = mid;
		else if (gpa - r->base.v >= r->size)
			lo = mid + 1;
		else
			return guest->slots[mid];
	}
	return NULL;
}

static int check_slot(const struct cbit_guest *guest, uint64_t gpa, uint64_t spa, uint64_t size,
		      struct cbit_error *err)
{
	const struct cbit_mem_region *region = cbit_mem_find(guest->mem, CBIT_SPA(spa));
	uint64_t limit = guest->c_mask ? guest->c_mask : (uint64_t)1 << 48;

	if (!size || (gpa | spa | size) & ~CBIT_PAGE_MASK)
		return cbit_error_set(err, -EINVAL,
				      "guest: 0x%" PRIx64 " bytes at GPA 0x%" PRIx64
				      ", SPA 0x%" PRIx64 ": not whole pages",
				      size, gpa, spa);
	if (limit > (uint64_t)1 << 48)
		limit = (uint64_t)1 << 48; /* what four levels reach */
	if (gpa >= limit || size > limit - gpa)
		return cbit_error_set(err, -EINVAL,
				      "guest: GPA 0x%" PRIx64 " and 0x%" PRIx64
				      " bytes reach beyond 0x%" PRIx64,
				      gpa, size, limit);
	if (!region || size > region->base.v + region->size - spa)
		return cbit_error_set(err, -EINVAL,
				      "guest: SPA 0x%" PRIx64 " and 0x%" PRIx64
				      " bytes are not in one region",
				      spa, size);
	for (size_t i = 0; i < guest->slot_count; i++) {
		const struct cbit_mem_region *r = &guest->slots[i]->region;

		if (gpa < r->base.v + r->size && r->base.v < gpa + size)
			return cbit_error_set(err, -EEXIST,
					      "guest: GPA 0x%" PRIx64 " is taken by %s", gpa,
					      r->name);
	}
	return 0;
}

int guest_map_pages(struct cbit_pt *pt, uint64_t from, uint64_t to, uint64_t size,
		    unsigned int attrs)
{
	for (uint64_t at = 0; at < size; at += CBIT_PAGE_SIZE) {
		int ret = cbit_pt_map(pt, CBIT_IOVA(from + at), CBIT_SPA(to + at), CBIT_PAGE_SIZE,
				      attrs, NULL);

		if (ret)
			return ret;
	}
	return 0;
}

int guest_slot_add(struct cbit_guest *guest, uint64_t gpa, uint64_t spa, uint64_t size,
		   struct guest_slot **out, struct cbit_error *err)
{
	const struct cbit_mem_region *region = cbit_mem_find(guest->mem, CBIT_SPA(spa));
	struct guest_slot **slots, *slot;
	int ret = check_slot(guest, gpa, spa, size, err);
	size_t at = 0;

	if (ret)
		return ret;
	slots = reallocarray(guest->slots, guest->slot_count + 1, sizeof(void *));
	slot = calloc(1, sizeof(*slot));
	if (slots)
		guest->slots = slots;
	if (!slots || !slot) {
		free(slot);
		return cbit_error_set(err, -ENOMEM, "guest: out of memory");
	}
	slot->region = *region;
	slot->region.base = CBIT_SPA(gpa);
	slot->region.size = size;
	slot->spa = spa;
	while (at < guest->slot_count && guest->slots[at]->region.base.v < gpa)
		at++;
	for (size_t i = guest->slot_count; i > at; i--)
		slots[i] = slots[i - 1];
	slots[at] = slot;
	guest->slot_count++;
	*out = slot;
	return 0;
}

static int fill_slot(struct cbit_guest *guest, const struct guest_slot *slot, unsigned int attrs,
		     struct cbit_error *err)
{
	int ret = guest_map_pages(guest->npt, slot->region.base.v, slot->spa, slot->region.size,
				  attrs);

	return ret ? cbit_error_set(err, ret, "guest: no memory for the nested page table") : 0;
}

/* What cannot be private is mapped shared: ioremap(), memremap() of such memory. */
static int direct_map(struct cbit_guest *guest, const struct guest_slot *slot)
{
	unsigned int attrs = CBIT_ATTR_RW;

	if (guest->c_mask && (slot->region.encrypts || slot->tdisp))
		attrs |= CBIT_ATTR_ENCRYPTED;
	if (guest_slot_is_window(slot))
		attrs |= CBIT_ATTR_NOEXEC;
	return guest_map_pages(guest->pt, CBIT_GUEST_DIRECT_MAP + slot->region.base.v,
			       slot->region.base.v, slot->region.size, attrs);
}

int cbit_guest_add_memory(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa spa,
			  uint64_t size, struct cbit_error *err)
{
	unsigned int attrs = CBIT_ATTR_RW | CBIT_ATTR_USER;
	const struct cbit_mem_region *region;
	struct guest_slot *slot = NULL;
	int ret;

	if (guest->pt)
		return cbit_error_set(err, -EINVAL, "guest: it has booted");
	region = cbit_mem_find(guest->mem, spa);
	if (region && region->kind == CBIT_MEM_MMIO)
		return cbit_error_set(err, -EINVAL, "guest: %s at SPA 0x%" PRIx64 " is no memory",
				      region->name, spa.v);
	ret = guest_slot_add(guest, gpa.v, spa.v, size, &slot, err);
	if (!slot)
		return ret;
	region = &slot->region;
	if (guest->cfg.npt_c && region->encrypts)
		attrs |= CBIT_ATTR_ENCRYPTED;
	ret = fill_slot(guest, slot, attrs, err);
	if (!ret && region->encrypts) {
		ret = guest_rmp_launch(guest, gpa.v, spa.v, size);
		if (ret)
			return cbit_error_set(err, ret,
					      "guest: the RMP does not take SPA 0x%" PRIx64, spa.v);
	}
	/* Coherent device memory is its driver's, not the page allocator's. */
	if (!ret && region->kind != CBIT_MEM_COHERENT && guest_alloc_add(guest, gpa.v, size))
		ret = cbit_error_set(err, -ENOMEM, "guest: out of memory");
	return ret;
}

int cbit_guest_add_mmio(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa spa,
			uint64_t size, bool tdisp, struct cbit_error *err)
{
	const struct cbit_mem_region *region = cbit_mem_find(guest->mem, spa);
	struct guest_slot *slot = NULL;
	int ret;

	if (region && region->kind != CBIT_MEM_MMIO)
		return cbit_error_set(err, -EINVAL, "guest: %s at SPA 0x%" PRIx64 " is no window",
				      region->name, spa.v);
	ret = guest_slot_add(guest, gpa.v, spa.v, size, &slot, err);
	if (!slot)
		return ret;
	slot->tdisp = tdisp;
	ret = fill_slot(guest, slot, CBIT_ATTR_RW | CBIT_ATTR_USER, err);
	/* A device may come later than the kernel. */
	if (!ret && guest->pt && direct_map(guest, slot))
		ret = cbit_error_set(err, -ENOMEM, "guest: no memory for its page tables");
	return ret;
}

int cbit_guest_boot(struct cbit_guest *guest, struct cbit_error *err)
{
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_X86_64,
		.mode = GUEST_LEVELS,
		.max_mode = GUEST_LEVELS,
		.sign_extend = true,
		.table_c = guest->c_mask != 0,
	};
	int ret;

	if (guest->pt)
		return cbit_error_set(err, -EINVAL, "guest: it has booted");
	ret = cbit_pt_create(guest->view, &cfg, &guest->pt);
	for (size_t i = 0; i < guest->slot_count && !ret; i++) {
		if (!guest->slots[i]->accepted)
			ret = direct_map(guest, guest->slots[i]);
	}
	if (ret)
		return cbit_error_set(err, ret, "guest: no memory for its page tables");
	return 0;
}

int cbit_guest_spa(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa *out)
{
	struct cbit_pt_leaf leaf;

	if (cbit_pt_walk(guest->npt, CBIT_IOVA(gpa.v), &leaf))
		return -ENOENT;
	*out = CBIT_SPA(leaf.spa.v + (gpa.v - leaf.iova.v));
	return 0;
}

struct cbit_bus cbit_guest_root(const struct cbit_guest *guest)
{
	return (struct cbit_bus){ guest->pt ? cbit_pt_root(guest->pt).v | guest->c_mask : 0 };
}

struct cbit_pt *cbit_guest_npt(struct cbit_guest *guest)
{
	return guest->npt;
}
