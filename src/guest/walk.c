/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accesses of the guest's CPU: its own table, the NPT, the RMP, and the key that comes out of it.
 *
 * Rules: 24593 15.34.5 (SEV: the C-bit of the guest's leaf selects the guest's key, its page-table
 * walks and fetches are always private), 15.36.10 (RMP checks by kind of access); with C=0 the
 * NPT's leaf decides between host key and none.
 */
#include <errno.h>
#include <string.h>

#include "guest_internal.h"

enum cbit_guest_outcome guest_place(struct cbit_guest *guest, uint64_t gpa, bool c,
				    enum guest_access access, struct guest_place *out)
{
	const struct guest_slot *slot;
	struct cbit_pt_leaf leaf;
	uint64_t host_c = cbit_platform_c_mask(cbit_mem_platform(guest->mem));

	*out = (struct guest_place){ 0 };
	if (cbit_pt_walk(guest->npt, CBIT_IOVA(gpa), &leaf))
		return CBIT_GUEST_NPF;
	out->npt_entry = leaf.entry;
	out->spa = CBIT_SPA(leaf.spa.v + (gpa - leaf.iova.v));
	out->bus = cbit_mem_bus(guest->mem, out->spa, leaf.attrs & CBIT_ATTR_ENCRYPTED);
	slot = guest_slot(guest, gpa);
	out->window = slot && guest_slot_is_window(slot);
	c = c && guest->key != CBIT_KEY_NONE;
	if (out->window) {
		/*
		 * A trusted device's window is a private GPA: with the C-bit, which goes no
		 * further, it is reached, without it is not. On any other window the C-bit is
		 * an address bit that nothing takes off.
		 */
		if (slot->tdisp)
			return c ? CBIT_GUEST_OK : CBIT_GUEST_RMP;
		if (c)
			out->bus.v |= guest->c_mask;
		return CBIT_GUEST_OK;
	}
	if (c && slot && !slot->region.encrypts) {
		out->bus.v = out->spa.v | guest->c_mask;
		return CBIT_GUEST_OK;
	}
	if (c)
		out->key = guest->key;
	else
		out->key = out->bus.v & host_c || cbit_mem_platform(guest->mem)->tsme
				   ? CBIT_KEY_HOST
				   : CBIT_KEY_NONE;
	return guest_rmp_check(guest, gpa, out->spa.v, c, access);
}

static enum cbit_guest_outcome outcome_of(enum cbit_mem_outcome o)
{
	/* Bytes that were moved were moved: with the wrong key they are noise. */
	return o == CBIT_MEM_ABORT || o == CBIT_MEM_NO_BACKING ? CBIT_GUEST_ABORT : CBIT_GUEST_OK;
}

enum cbit_guest_outcome guest_move(struct cbit_guest *guest, const struct guest_place *place,
				   void *buf, size_t len, enum guest_access access)
{
	bool own = guest->key != CBIT_KEY_NONE && place->key == guest->key;

	if (access == GUEST_WRITE)
		return outcome_of(
			own ? cbit_mem_write_as(guest->mem, place->spa, place->key, buf, len)
			    : cbit_mem_write(guest->mem, place->bus, buf, len));
	return outcome_of(own ? cbit_mem_read_as(guest->mem, place->spa, place->key, buf, len)
			      : cbit_mem_read(guest->mem, place->bus, buf, len));
}

int guest_walk(struct cbit_guest *guest, uint64_t gva, struct cbit_pt_leaf *leaf)
{
	struct cbit_bus root = { 0 };

	if (!guest->pt)
		return -ENOENT;
	root.v = cbit_pt_root(guest->pt).v | guest->c_mask;
	return cbit_pt_walk_from(guest->walker, CBIT_PT_X86_64, root,
				 GUEST_LEVELS | CBIT_PT_SIGN_EXTEND, CBIT_IOVA(gva), leaf);
}

/* One page, or the part of one that is wanted. */
static enum cbit_guest_outcome access_page(struct cbit_guest *guest, uint64_t gva, uint8_t *buf,
					   size_t len, enum guest_access access, bool fetch,
					   struct cbit_guest_trace *trace)
{
	enum cbit_guest_outcome outcome;
	struct guest_place place;
	struct cbit_pt_leaf leaf;
	bool c;

	*trace = (struct cbit_guest_trace){ .gva = CBIT_GVA(gva) };
	if (guest_walk(guest, gva, &leaf))
		return CBIT_GUEST_PF;
	c = leaf.attrs & CBIT_ATTR_ENCRYPTED;
	trace->gpa = CBIT_GPA(leaf.spa.v + (gva - leaf.iova.v));
	trace->c = c;
	trace->guest_entry = leaf.entry;
	if ((access == GUEST_WRITE && !(leaf.attrs & CBIT_ATTR_WRITE)) ||
	    (fetch && leaf.attrs & CBIT_ATTR_NOEXEC))
		return CBIT_GUEST_PF;
	outcome = guest_place(guest, trace->gpa.v, c || fetch, access, &place);
	trace->spa = place.spa;
	trace->npt_entry = place.npt_entry;
	trace->key = place.key;
	return outcome == CBIT_GUEST_OK ? guest_move(guest, &place, buf, len, access) : outcome;
}

static enum cbit_guest_outcome access_range(struct cbit_guest *guest, uint64_t gva, uint8_t *buf,
					    size_t len, enum guest_access access, bool fetch,
					    struct cbit_guest_trace *trace)
{
	struct cbit_guest_trace first = { .gva = CBIT_GVA(gva) }, here;
	enum cbit_guest_outcome outcome = CBIT_GUEST_OK;

	for (size_t done = 0; done < len && outcome == CBIT_GUEST_OK;) {
		size_t n = CBIT_PAGE_SIZE - ((gva + done) & ~CBIT_PAGE_MASK);

		if (n > len - done)
			n = len - done;
		outcome = access_page(guest, gva + done, buf + done, n, access, fetch, &here);
		if (!done || outcome != CBIT_GUEST_OK)
			first = here;
		if (outcome != CBIT_GUEST_OK && access == GUEST_READ)
			memset(buf + done, 0xff, len - done);
		done += n;
	}
	if (trace)
		*trace = first;
	return outcome;
}

enum cbit_guest_outcome cbit_guest_read(struct cbit_guest *guest, struct cbit_gva gva, void *buf,
					size_t len, struct cbit_guest_trace *trace)
{
	return access_range(guest, gva.v, buf, len, GUEST_READ, false, trace);
}

enum cbit_guest_outcome cbit_guest_write(struct cbit_guest *guest, struct cbit_gva gva,
					 const void *buf, size_t len,
					 struct cbit_guest_trace *trace)
{
	/* Only ever read from: one loop serves both ways. */
	return access_range(guest, gva.v, (uint8_t *)(uintptr_t)buf, len, GUEST_WRITE, false,
			    trace);
}

enum cbit_guest_outcome cbit_guest_fetch(struct cbit_guest *guest, struct cbit_gva gva, void *buf,
					 size_t len, struct cbit_guest_trace *trace)
{
	return access_range(guest, gva.v, buf, len, GUEST_READ, true, trace);
}
