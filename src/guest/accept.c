/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that a guest accepts when it first uses it: the hypervisor puts a page behind the GPA
 * (NPT, RMPUPDATE), and the guest's kernel validates it and maps it. Linux does so by units of
 * 2 MiB (CONFIG_UNACCEPTED_MEMORY, drivers/firmware/efi/unaccepted_memory.c).
 *
 * What takes and gives back pages by a guest's view may do so in several threads; together with
 * what is here they are the writers of its tables, and take the guest's lock. Walks do not: entries
 * are written whole, tables before what points to them.
 */
#include <errno.h>
#include <stdlib.h>

#include "guest_internal.h"

#define UNIT_SHIFT 21
#define UNIT       (UINT64_C(1) << UNIT_SHIFT)

int cbit_guest_add_unaccepted(struct cbit_guest *guest, struct cbit_gpa gpa, struct cbit_spa spa,
			      uint64_t size, bool shared, struct cbit_error *err)
{
	uint64_t units = size >> UNIT_SHIFT;
	struct guest_slot *slot = NULL;
	int ret;

	if (!size || (gpa.v | spa.v | size) & (UNIT - 1))
		return cbit_error_set(err, -EINVAL,
				      "guest: memory to be accepted comes in units of 2 MiB");
	ret = guest_slot_add(guest, gpa.v, spa.v, size, &slot, err);
	if (!slot)
		return ret;
	slot->shared = shared;
	slot->accepted = calloc((size_t)(units + 63) / 64, sizeof(*slot->accepted));
	return slot->accepted ? 0 : cbit_error_set(err, -ENOMEM, "guest: out of memory");
}

static bool is_accepted(const struct guest_slot *slot, uint64_t unit)
{
	return __atomic_load_n(&slot->accepted[unit / 64], __ATOMIC_ACQUIRE) >> (unit % 64) & 1;
}

bool guest_is_as_accepted(const struct guest_slot *slot, uint64_t gpa)
{
	return slot->accepted && !__atomic_load_n(&slot->converted, __ATOMIC_RELAXED) &&
	       is_accepted(slot, (gpa - slot->region.base.v) >> UNIT_SHIFT);
}

/* One unit, with the lock held. What a failure leaves behind is found and kept the next time. */
static int accept_unit(struct cbit_guest *guest, struct guest_slot *slot, uint64_t unit)
{
	uint64_t offset = unit << UNIT_SHIFT, gpa = slot->region.base.v + offset;
	unsigned int npt = CBIT_ATTR_RW | CBIT_ATTR_USER, own = CBIT_ATTR_RW;
	int ret;

	if (guest->cfg.npt_c && slot->region.encrypts)
		npt |= CBIT_ATTR_ENCRYPTED;
	if (guest->c_mask && slot->region.encrypts && !slot->shared)
		own |= CBIT_ATTR_ENCRYPTED;
	ret = guest_map_pages(guest->npt, gpa, slot->spa + offset, UNIT, npt);
	if (!ret && slot->region.encrypts && !slot->shared)
		ret = guest_rmp_launch(guest, gpa, slot->spa + offset, UNIT);
	if (!ret || ret == -EEXIST)
		ret = guest_map_pages(guest->pt, CBIT_GUEST_DIRECT_MAP + gpa, gpa, UNIT, own);
	if (!ret || ret == -EEXIST)
		__atomic_fetch_or(&slot->accepted[unit / 64], UINT64_C(1) << (unit % 64),
				  __ATOMIC_RELEASE);
	return ret == -EEXIST ? 0 : ret;
}

int cbit_guest_accept(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size)
{
	struct guest_slot *slot = guest_slot_of(guest, gpa.v);
	uint64_t unit, last;
	int ret = 0;

	if (!slot || !size || size > slot->region.base.v + slot->region.size - gpa.v)
		return -EINVAL;
	if (!slot->accepted)
		return 0;
	if (!guest->pt)
		return -EINVAL;
	unit = (gpa.v - slot->region.base.v) >> UNIT_SHIFT;
	last = (gpa.v - slot->region.base.v + (size - 1)) >> UNIT_SHIFT;
	for (; unit <= last && !ret; unit++) {
		if (is_accepted(slot, unit))
			continue;
		pthread_mutex_lock(&guest->lock);
		if (!is_accepted(slot, unit))
			ret = accept_unit(guest, slot, unit);
		pthread_mutex_unlock(&guest->lock);
	}
	return ret;
}

void guest_reclaim_accepted(struct cbit_guest *guest, const struct guest_slot *slot)
{
	uint64_t units = slot->region.size >> UNIT_SHIFT;

	for (uint64_t unit = 0; unit < units; unit++) {
		if (!slot->accepted[unit / 64])
			unit |= 63;
		else if (is_accepted(slot, unit))
			guest_rmp_reclaim(guest, slot->spa + (unit << UNIT_SHIFT), UNIT);
	}
}
