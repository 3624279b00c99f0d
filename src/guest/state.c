/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private and shared: the C-bit of the guest's leaves, page-state changes, PVALIDATE, and what
 * the RMP says to an access.
 *
 * Orders as in Linux (arch/x86/coco/sev/core.c): to share, the guest rescinds its validation
 * before it asks the hypervisor; to make private, it asks first and validates then.
 */
#include <errno.h>

#include <cbit/rmp.h>

#include "guest_internal.h"

static bool has_rmp(const struct cbit_guest *guest)
{
	return guest->cfg.kind == CBIT_GUEST_SNP && cbit_rmp_enabled(guest->mem);
}

static uint16_t asid(const struct cbit_guest *guest)
{
	return (uint16_t)guest->cfg.asid;
}

/* --- what an access is told --- */

enum cbit_guest_outcome guest_rmp_check(struct cbit_guest *guest, uint64_t gpa, uint64_t spa,
					bool c, enum guest_access access)
{
	enum cbit_rmp_access kind =
		access == GUEST_WRITE ? CBIT_RMP_GUEST_WRITE : CBIT_RMP_GUEST_READ;

	if (guest->cfg.kind != CBIT_GUEST_SNP)
		kind = access == GUEST_WRITE ? CBIT_RMP_HOST_WRITE : CBIT_RMP_HOST_READ;
	else if (c)
		kind = CBIT_RMP_PRIVATE;
	switch (cbit_rmp_check(guest->mem, CBIT_SPA(spa), kind, asid(guest), gpa)) {
	case CBIT_RMP_OK:
		return CBIT_GUEST_OK;
	case CBIT_RMP_NOT_VALIDATED:
		return CBIT_GUEST_VC;
	default:
		return CBIT_GUEST_RMP;
	}
}

bool guest_rmp_refuses(struct cbit_guest *guest, uint64_t spa)
{
	return cbit_rmp_check(guest->mem, CBIT_SPA(spa), CBIT_RMP_HOST_WRITE, 0, 0) != CBIT_RMP_OK;
}

/* --- pages come and go --- */

int guest_rmp_launch(struct cbit_guest *guest, uint64_t gpa, uint64_t spa, uint64_t size)
{
	struct cbit_rmp_entry entry = { .assigned = true, .asid = asid(guest) };
	int ret = 0;

	if (!has_rmp(guest))
		return 0;
	for (uint64_t at = 0; at < size && !ret; at += CBIT_PAGE_SIZE) {
		entry.gpa = gpa + at;
		ret = cbit_rmp_update(guest->mem, CBIT_SPA(spa + at), &entry);
		if (!ret)
			ret = cbit_rmp_pvalidate(guest->mem, CBIT_SPA(spa + at), asid(guest),
						 gpa + at, true);
	}
	return ret;
}

void guest_rmp_reclaim(struct cbit_guest *guest, uint64_t spa, uint64_t size)
{
	struct cbit_rmp_entry none = { 0 };

	for (uint64_t at = 0; has_rmp(guest) && at < size; at += CBIT_PAGE_SIZE)
		(void)cbit_rmp_update(guest->mem, CBIT_SPA(spa + at), &none);
}

/* --- steps --- */

static int check_range(const struct cbit_guest *guest, uint64_t gpa, uint64_t size)
{
	const struct guest_slot *slot = guest_slot(guest, gpa);

	if (!guest->pt || !size || (gpa | size) & ~CBIT_PAGE_MASK || !slot ||
	    guest_slot_is_window(slot) || size > slot->region.base.v + slot->region.size - gpa)
		return -EINVAL;
	return 0;
}

int cbit_guest_set_c(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size, bool c)
{
	int ret = check_range(guest, gpa.v, size);

	if (!guest->c_mask)
		return ret;
	if (!ret)
		__atomic_store_n(&guest_slot_of(guest, gpa.v)->converted, true, __ATOMIC_RELAXED);
	for (uint64_t at = 0; at < size && !ret; at += CBIT_PAGE_SIZE) {
		struct cbit_iova gva = CBIT_IOVA(cbit_guest_direct(CBIT_GPA(gpa.v + at)).v);
		struct cbit_pt_leaf leaf;
		unsigned int attrs;

		ret = cbit_pt_walk(guest->pt, gva, &leaf);
		if (ret || !(leaf.attrs & CBIT_ATTR_ENCRYPTED) == !c)
			continue;
		attrs = leaf.attrs ^ CBIT_ATTR_ENCRYPTED;
		/* The table stays: the leaf that goes makes room for the one that comes. */
		ret = cbit_pt_unmap(guest->pt, gva, CBIT_PAGE_SIZE, NULL);
		if (!ret)
			ret = cbit_pt_map(guest->pt, gva, leaf.spa, CBIT_PAGE_SIZE, attrs, NULL);
		cbit_pt_gather_free(guest->pt);
	}
	return ret;
}

int cbit_guest_page_state(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size, bool shared)
{
	struct cbit_rmp_entry entry = { .assigned = !shared, .asid = asid(guest) };
	int ret = check_range(guest, gpa.v, size);

	if (!ret && !has_rmp(guest))
		return -EOPNOTSUPP;
	for (uint64_t at = 0; at < size && !ret; at += CBIT_PAGE_SIZE) {
		struct cbit_spa spa;

		ret = cbit_guest_spa(guest, CBIT_GPA(gpa.v + at), &spa);
		entry.gpa = shared ? 0 : gpa.v + at;
		if (!ret)
			ret = cbit_rmp_update(guest->mem, spa, &entry);
	}
	return ret;
}

int cbit_guest_pvalidate(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size, bool valid)
{
	int ret = check_range(guest, gpa.v, size), unchanged = 0;

	if (!ret && !has_rmp(guest))
		return -EOPNOTSUPP;
	for (uint64_t at = 0; at < size && ret >= 0; at += CBIT_PAGE_SIZE) {
		struct cbit_spa spa;

		ret = cbit_guest_spa(guest, CBIT_GPA(gpa.v + at), &spa);
		if (!ret)
			ret = cbit_rmp_pvalidate(guest->mem, spa, asid(guest), gpa.v + at, valid);
		unchanged |= ret > 0;
	}
	return ret < 0 ? ret : unchanged;
}

/* --- the whole --- */

/* Memory that does not encrypt has no private state. */
static bool convertible(const struct cbit_guest *guest, uint64_t gpa)
{
	return guest_slot(guest, gpa)->region.encrypts;
}

int cbit_guest_share(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size)
{
	int ret = check_range(guest, gpa.v, size);

	if (ret || !convertible(guest, gpa.v))
		return ret;
	/* Page by page: a range may be shared in part already. */
	for (uint64_t at = 0; guest->c_mask && at < size && !ret; at += CBIT_PAGE_SIZE) {
		struct cbit_gpa page = CBIT_GPA(gpa.v + at);

		if (cbit_guest_is_shared(guest, page))
			continue;
		if (has_rmp(guest)) {
			ret = cbit_guest_pvalidate(guest, page, CBIT_PAGE_SIZE, false);
			if (ret >= 0)
				ret = cbit_guest_page_state(guest, page, CBIT_PAGE_SIZE, true);
		}
		if (!ret)
			ret = cbit_guest_set_c(guest, page, CBIT_PAGE_SIZE, false);
	}
	return ret;
}

int cbit_guest_unshare(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size)
{
	int ret = check_range(guest, gpa.v, size);

	if (ret || !guest->c_mask)
		return ret;
	if (!convertible(guest, gpa.v))
		return -EINVAL;
	for (uint64_t at = 0; at < size && !ret; at += CBIT_PAGE_SIZE) {
		struct cbit_gpa page = CBIT_GPA(gpa.v + at);

		if (!cbit_guest_is_shared(guest, page))
			continue;
		ret = cbit_guest_set_c(guest, page, CBIT_PAGE_SIZE, true);
		if (!ret && has_rmp(guest)) {
			ret = cbit_guest_page_state(guest, page, CBIT_PAGE_SIZE, false);
			if (!ret)
				ret = cbit_guest_pvalidate(guest, page, CBIT_PAGE_SIZE, true);
			if (ret > 0)
				ret = 0;
		}
	}
	return ret;
}

bool cbit_guest_is_shared(struct cbit_guest *guest, struct cbit_gpa gpa)
{
	const struct guest_slot *slot = guest_slot(guest, gpa.v);
	struct cbit_pt_leaf leaf;

	if (!guest->c_mask)
		return true;
	/* Asked of each page that a device reaches: a walk only where it could say something else.
	 */
	if (slot && guest_is_as_accepted(slot, gpa.v))
		return slot->shared || !slot->region.encrypts;
	if (guest_walk(guest, cbit_guest_direct(gpa).v, &leaf))
		return false;
	return !(leaf.attrs & CBIT_ATTR_ENCRYPTED);
}
