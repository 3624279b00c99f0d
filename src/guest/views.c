/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's physical addresses as address spaces: as its CPU drives them, as its page-table
 * walker does, and as the hypervisor has them mapped.
 */
#include <errno.h>
#include <string.h>

#include "guest_internal.h"

static enum cbit_mem_outcome outcome_of(enum cbit_guest_outcome o)
{
	switch (o) {
	case CBIT_GUEST_OK:
		return CBIT_MEM_OK;
	case CBIT_GUEST_RMP:
	case CBIT_GUEST_VC:
		return CBIT_MEM_REFUSED;
	default:
		return CBIT_MEM_ABORT;
	}
}

/* --- the guest's CPU and its walker --- */

/*
 * How far from @gpa on, at most @len bytes, what was found out of its page at @place holds: pages
 * that follow it in the host's memory as well, under the same key.
 */
static size_t cpu_run(struct cbit_guest *guest, uint64_t gpa, bool c, enum guest_access access,
		      const struct guest_place *place, size_t len)
{
	size_t n = CBIT_PAGE_SIZE - (gpa & ~CBIT_PAGE_MASK);
	struct guest_place next;

	while (n < len && guest_place(guest, gpa + n, c, access, &next) == CBIT_GUEST_OK &&
	       next.spa.v == place->spa.v + n && next.bus.v == place->bus.v + n &&
	       next.key == place->key && next.window == place->window)
		n += CBIT_PAGE_SIZE;
	return n < len ? n : len;
}

static enum cbit_mem_outcome cpu_move(struct cbit_guest *guest, struct cbit_bus addr, uint8_t *buf,
				      size_t len, enum guest_access access, bool always_private)
{
	enum cbit_mem_outcome worst = CBIT_MEM_OK;
	bool c = always_private || addr.v & guest->c_mask;

	for (uint64_t gpa = addr.v & ~guest->c_mask; len;) {
		size_t n = CBIT_PAGE_SIZE - (gpa & ~CBIT_PAGE_MASK);
		enum cbit_guest_outcome outcome;
		struct guest_place place;

		if (n > len)
			n = len;
		outcome = guest_place(guest, gpa, c, access, &place);
		if (outcome == CBIT_GUEST_OK) {
			n = cpu_run(guest, gpa, c, access, &place, len);
			outcome = guest_move(guest, &place, buf, n, access);
		} else if (access == GUEST_READ)
			memset(buf, 0xff, n);
		if (outcome_of(outcome) > worst)
			worst = outcome_of(outcome);
		gpa += n;
		buf += n;
		len -= n;
	}
	return worst;
}

static enum cbit_mem_outcome view_read(void *opaque, struct cbit_bus addr, void *buf, size_t len)
{
	return cpu_move(opaque, addr, buf, len, GUEST_READ, false);
}

static enum cbit_mem_outcome view_write(void *opaque, struct cbit_bus addr, const void *buf,
					size_t len)
{
	return cpu_move(opaque, addr, (uint8_t *)(uintptr_t)buf, len, GUEST_WRITE, false);
}

static void *cpu_page(struct cbit_guest *guest, struct cbit_bus addr, enum guest_access access,
		      bool always_private)
{
	uint64_t gpa = addr.v & ~guest->c_mask & CBIT_PAGE_MASK;
	bool c = always_private || addr.v & guest->c_mask;
	struct guest_place place;

	if (guest_place(guest, gpa, c, access, &place) != CBIT_GUEST_OK || place.window)
		return NULL;
	return guest->key != CBIT_KEY_NONE && place.key == guest->key
		       ? cbit_mem_page_as(guest->mem, place.spa, place.key)
		       : cbit_mem_page(guest->mem, place.bus);
}

/* Who asks for a pointer builds tables: it has to be able to write. */
static void *view_page(void *opaque, struct cbit_bus addr)
{
	return cpu_page(opaque, addr, GUEST_WRITE, false);
}

static const struct cbit_mem_region *view_find(void *opaque, struct cbit_spa addr)
{
	const struct guest_slot *slot = guest_slot(opaque, addr.v);

	return slot ? &slot->region : NULL;
}

static int frames_alloc(struct cbit_guest *guest, unsigned int count, bool c, struct cbit_spa *out)
{
	uint64_t size = count * CBIT_PAGE_SIZE, align = CBIT_PAGE_SIZE;
	struct cbit_gpa gpa;
	int ret;

	while (align < size)
		align *= 2;
	ret = cbit_guest_alloc(guest, size, align, ~(uint64_t)0, &gpa);
	if (ret)
		return ret;
	if (!c && guest->c_mask) {
		uint8_t zero[CBIT_PAGE_SIZE] = { 0 };

		ret = cbit_guest_share(guest, gpa, size);
		for (uint64_t at = 0; at < size && !ret; at += sizeof(zero))
			if (cpu_move(guest, (struct cbit_bus){ gpa.v + at }, zero, sizeof(zero),
				     GUEST_WRITE, false) != CBIT_MEM_OK)
				ret = -ENOMEM;
		if (ret) {
			cbit_guest_free(guest, gpa, size);
			return ret;
		}
	}
	*out = CBIT_SPA(gpa.v);
	return 0;
}

static int view_frames_alloc(void *opaque, unsigned int count, bool c, struct cbit_spa *out)
{
	struct cbit_guest *guest = opaque;
	int ret;

	pthread_mutex_lock(&guest->lock);
	ret = frames_alloc(guest, count, c, out);
	pthread_mutex_unlock(&guest->lock);
	return ret;
}

static void view_frames_free(void *opaque, struct cbit_spa addr, unsigned int count)
{
	struct cbit_guest *guest = opaque;

	pthread_mutex_lock(&guest->lock);
	cbit_guest_free(guest, CBIT_GPA(addr.v), count * CBIT_PAGE_SIZE);
	pthread_mutex_unlock(&guest->lock);
}

static enum cbit_mem_outcome walker_read(void *opaque, struct cbit_bus addr, void *buf, size_t len)
{
	return cpu_move(opaque, addr, buf, len, GUEST_READ, true);
}

static enum cbit_mem_outcome walker_write(void *opaque, struct cbit_bus addr, const void *buf,
					  size_t len)
{
	return cpu_move(opaque, addr, (uint8_t *)(uintptr_t)buf, len, GUEST_WRITE, true);
}

static void *walker_page(void *opaque, struct cbit_bus addr)
{
	return cpu_page(opaque, addr, GUEST_READ, true);
}

/* --- the hypervisor --- */

/*
 * Its mapping is by memory slot, and has the C-bit as the NPT's leaves do. It knows nothing of the
 * guest's C-bit: an address that has it is in no slot.
 */
static bool hv_place(struct cbit_guest *guest, uint64_t gpa, uint64_t *spa, struct cbit_bus *out)
{
	const struct guest_slot *slot = guest_slot(guest, gpa);

	if (!slot)
		return false;
	*spa = slot->spa + (gpa - slot->region.base.v);
	*out = cbit_mem_bus(guest->mem, CBIT_SPA(*spa), guest->cfg.npt_c && slot->region.encrypts);
	return true;
}

/*
 * How far from @gpa on, at most @len bytes, one access to the host's memory serves: to the end of
 * the slot, and for a write as long as the RMP says of each page what it says of the first.
 */
static size_t hv_run(struct cbit_guest *guest, uint64_t gpa, uint64_t spa, size_t len, bool write,
		     bool *refused)
{
	const struct guest_slot *slot = guest_slot(guest, gpa);
	uint64_t rest = slot->region.base.v + slot->region.size - gpa;
	size_t n = CBIT_PAGE_SIZE - (gpa & ~CBIT_PAGE_MASK);

	if (rest < len)
		len = (size_t)rest;
	*refused = write && guest_rmp_refuses(guest, spa);
	if (!write)
		return len;
	while (n < len && guest_rmp_refuses(guest, spa + n) == *refused)
		n += CBIT_PAGE_SIZE;
	return n < len ? n : len;
}

static enum cbit_mem_outcome hv_move(struct cbit_guest *guest, struct cbit_bus addr, uint8_t *buf,
				     size_t len, bool write)
{
	enum cbit_mem_outcome worst = CBIT_MEM_OK;

	for (uint64_t gpa = addr.v; len;) {
		size_t n = CBIT_PAGE_SIZE - (gpa & ~CBIT_PAGE_MASK);
		enum cbit_mem_outcome o = CBIT_MEM_ABORT;
		struct cbit_bus bus;
		bool refused;
		uint64_t spa;

		if (n > len)
			n = len;
		if (!hv_place(guest, gpa, &spa, &bus)) {
			if (!write)
				memset(buf, 0xff, n);
		} else {
			n = hv_run(guest, gpa, spa, len, write, &refused);
			if (refused)
				o = CBIT_MEM_REFUSED;
			else
				o = write ? cbit_mem_write(guest->mem, bus, buf, n)
					  : cbit_mem_read(guest->mem, bus, buf, n);
		}
		if (o > worst)
			worst = o;
		gpa += n;
		buf += n;
		len -= n;
	}
	return worst;
}

static enum cbit_mem_outcome hv_read(void *opaque, struct cbit_bus addr, void *buf, size_t len)
{
	return hv_move(opaque, addr, buf, len, false);
}

static enum cbit_mem_outcome hv_write(void *opaque, struct cbit_bus addr, const void *buf,
				      size_t len)
{
	return hv_move(opaque, addr, (uint8_t *)(uintptr_t)buf, len, true);
}

static void *hv_page(void *opaque, struct cbit_bus addr)
{
	struct cbit_guest *guest = opaque;
	struct cbit_bus bus;
	uint64_t spa;

	return hv_place(guest, addr.v & CBIT_PAGE_MASK, &spa, &bus) ? cbit_mem_page(guest->mem, bus)
								    : NULL;
}

/* --- */

static const struct cbit_mem_forward_ops view_ops = {
	.read = view_read,
	.write = view_write,
	.page = view_page,
	.find = view_find,
	.frames_alloc = view_frames_alloc,
	.frames_free = view_frames_free,
};

static const struct cbit_mem_forward_ops walker_ops = {
	.read = walker_read,
	.write = walker_write,
	.page = walker_page,
	.find = view_find,
};

static const struct cbit_mem_forward_ops hv_ops = {
	.read = hv_read,
	.write = hv_write,
	.page = hv_page,
	.find = view_find,
};

int guest_views_create(struct cbit_guest *guest)
{
	struct cbit_platform p = *cbit_mem_platform(guest->mem);
	int ret;

	/* What a guest knows of: its own C-bit at the same place, or none. */
	p.tsme = false;
	p.sme = guest->c_mask != 0;
	ret = cbit_mem_create_forward(&p, &view_ops, guest, &guest->view);
	if (!ret)
		ret = cbit_mem_create_forward(&p, &walker_ops, guest, &guest->walker);
	p.sme = false;
	if (!ret)
		ret = cbit_mem_create_forward(&p, &hv_ops, guest, &guest->hv);
	return ret;
}

void guest_views_destroy(struct cbit_guest *guest)
{
	cbit_mem_destroy(guest->hv);
	cbit_mem_destroy(guest->walker);
	cbit_mem_destroy(guest->view);
}

struct cbit_mem *cbit_guest_view(struct cbit_guest *guest)
{
	return guest->view;
}

struct cbit_mem *cbit_guest_hypervisor_view(struct cbit_guest *guest)
{
	return guest->hv;
}
