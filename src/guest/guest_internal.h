/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest as the files of this room share it.
 */
#ifndef CBIT_GUEST_INTERNAL_H
#define CBIT_GUEST_INTERNAL_H

#include <pthread.h>

#include <cbit/guest.h>
#include <cbit/pt.h>

/* GPAs and GVAs are mapped in leaves of 4 KiB: the RMP and shared pages go by that size. */
#define GUEST_LEVELS 4u

/*
 * A piece of the guest's physical map: @region.base is a GPA. @tdisp: a trusted device's window.
 * @accepted: of memory that is accepted unit by unit (accept.c), a bit each, @shared or private;
 * NULL of memory that was there at boot. @converted: a page has been shared or made private since.
 */
struct guest_slot {
	struct cbit_mem_region region; /* first: cbit_mem_find() of a view gives it out */
	uint64_t spa;
	bool tdisp;
	bool shared;
	uint64_t *accepted;
	bool converted;
};

static inline bool guest_slot_is_window(const struct guest_slot *slot)
{
	return slot->region.kind == CBIT_MEM_MMIO;
}

/* Free pages of the guest's memory: extents by address, none touching another. */
struct guest_extent {
	uint64_t gpa;
	uint64_t size;
};

/*
 * @mem:      the host's address space; @npt lives in it.
 * @key:      of the ASID; CBIT_KEY_NONE for a plain guest.
 * @c_mask:   the C-bit in the guest's entries and addresses, 0 for a plain guest.
 * @view:     see cbit_guest_view(); @hv: cbit_guest_hypervisor_view().
 * @walker:   the guest's physical addresses as its page-table walker reads them.
 * @pt:       the guest kernel's page table, built by way of @view; NULL until boot.
 * @lock:     of who writes to its tables while others may; recursive, for tables need pages.
 */
struct cbit_guest {
	pthread_mutex_t lock;
	struct cbit_mem *mem;
	struct cbit_guest_config cfg;
	cbit_key_t key;
	uint64_t c_mask;
	struct cbit_pt *npt;
	struct cbit_mem *view;
	struct cbit_mem *hv;
	struct cbit_mem *walker;
	struct cbit_pt *pt;
	struct guest_slot **slots; /* by GPA */
	size_t slot_count;
	struct guest_extent *free;
	size_t free_count;
	size_t free_cap;
};

/* What the RMP is asked for an access. */
enum guest_access {
	GUEST_READ,
	GUEST_WRITE,
};

/*
 * A page of the guest's physical memory as somebody reaches it.
 * @window: a device's: no key, and the address is what @bus says.
 */
struct guest_place {
	struct cbit_spa spa;
	struct cbit_bus bus;
	cbit_key_t key;
	uint64_t npt_entry;
	bool window;
};

/*
 * walk.c: where the guest's CPU gets to with @gpa and the C-bit: NPT, RMP and key of one page.
 * @gpa may lie anywhere in it; what is returned does as well.
 */
enum cbit_guest_outcome guest_place(struct cbit_guest *guest, uint64_t gpa, bool c,
				    enum guest_access access, struct guest_place *out);
/* Move up to the end of the page. */
enum cbit_guest_outcome guest_move(struct cbit_guest *guest, const struct guest_place *place,
				   void *buf, size_t len, enum guest_access access);
/* One entry of the guest's own table. */
int guest_walk(struct cbit_guest *guest, uint64_t gva, struct cbit_pt_leaf *leaf);

struct guest_slot *guest_slot_of(const struct cbit_guest *guest, uint64_t gpa);
static inline const struct guest_slot *guest_slot(const struct cbit_guest *guest, uint64_t gpa)
{
	return guest_slot_of(guest, gpa);
}

/* guest.c: a slot of the physical map, with nothing behind it in the NPT yet. */
int guest_slot_add(struct cbit_guest *guest, uint64_t gpa, uint64_t spa, uint64_t size,
		   struct guest_slot **out, struct cbit_error *err);
/* In leaves of 4 KiB each: see GUEST_LEVELS. */
int guest_map_pages(struct cbit_pt *pt, uint64_t from, uint64_t to, uint64_t size,
		    unsigned int attrs);

/* views.c */
int guest_views_create(struct cbit_guest *guest);
void guest_views_destroy(struct cbit_guest *guest);

/* accept.c: whether all of the guest's leaves around @gpa are as they were made when accepted. */
bool guest_is_as_accepted(const struct guest_slot *slot, uint64_t gpa);
/* accept.c: what was accepted of a slot goes back to the hypervisor. */
void guest_reclaim_accepted(struct cbit_guest *guest, const struct guest_slot *slot);

/* alloc.c */
int guest_alloc_add(struct cbit_guest *guest, uint64_t gpa, uint64_t size);

/* state.c: what the RMP says to the guest, or to a write by the hypervisor. */
enum cbit_guest_outcome guest_rmp_check(struct cbit_guest *guest, uint64_t gpa, uint64_t spa,
					bool c, enum guest_access access);
bool guest_rmp_refuses(struct cbit_guest *guest, uint64_t spa);
/* Pages go to the guest, validated, or back to the hypervisor. */
int guest_rmp_launch(struct cbit_guest *guest, uint64_t gpa, uint64_t spa, uint64_t size);
void guest_rmp_reclaim(struct cbit_guest *guest, uint64_t spa, uint64_t size);

#endif
