/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address spaces: the mappings that a client made, cut into runs wherever what backs them
 * changes, each run with the attributes that the policy gives it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

/* Linux, AMD: MSI window of iommu_dma_get_resv_regions, HyperTransport hole of the driver. */
const struct uapi_iova_range vfio_iova_ranges[VFIO_IOVA_RANGES] = {
	{ 0, UINT64_C(0xfedfffff) },
	{ UINT64_C(0xfef00000), UINT64_C(0xfcffffffff) },
	{ UINT64_C(0x10000000000), UINT64_MAX },
};

static int mapping_cmp(const struct vfio_mapping *a, const struct vfio_mapping *b)
{
	return a->iova < b->iova ? -1 : a->iova > b->iova;
}

RB_GENERATE_INTERNAL(vfio_mappings, vfio_mapping, node, mapping_cmp, __attribute__((unused)) static)

bool vfio_space_iova_valid(uint64_t first, uint64_t last)
{
	for (unsigned int i = 0; i < VFIO_IOVA_RANGES; i++) {
		if (first >= vfio_iova_ranges[i].start && last <= vfio_iova_ranges[i].last)
			return true;
	}
	return false;
}

static uint64_t mapping_last(const struct vfio_mapping *m)
{
	return m->iova + m->size - 1;
}

struct vfio_mapping *vfio_space_first(struct vfio_space *space, uint64_t from, uint64_t last)
{
	struct vfio_mapping *m = RB_ROOT(&space->mappings), *best = NULL;

	/* Mappings do not overlap, so the ends are ordered as the starts are. */
	while (m) {
		if (mapping_last(m) >= from) {
			best = m;
			m = RB_LEFT(m, node);
		} else {
			m = RB_RIGHT(m, node);
		}
	}
	return best && best->iova <= last ? best : NULL;
}

struct vfio_mapping *vfio_space_next(struct vfio_space *space, struct vfio_mapping *m)
{
	(void)space;
	return RB_NEXT(vfio_mappings, &space->mappings, m);
}

void vfio_space_mapping_info(const struct vfio_mapping *m, struct cbit_mapping_info *out)
{
	out->id = m->id;
	out->iova = CBIT_IOVA(m->iova);
	out->size = m->size;
	out->vaddr = m->vaddr;
	out->pid = m->pid;
	out->attrs = m->attrs;
	out->trace = m->trace;
	out->backing = m->pages ? vfio_pages_backing(m->pages) : CBIT_BACKING_MEMORY;
}

bool vfio_space_describe(struct vfio_space *space, uint64_t iova, struct cbit_mapping_info *out)
{
	struct vfio_mapping *m;

	pthread_mutex_lock(&space->lock);
	m = vfio_space_first(space, iova, iova);
	if (m)
		vfio_space_mapping_info(m, out);
	pthread_mutex_unlock(&space->lock);
	return m != NULL;
}

static bool ref_describe(void *opaque, struct cbit_iova iova, struct cbit_mapping_info *out)
{
	struct vfio_space_ref *ref = opaque;
	bool found = false;

	pthread_mutex_lock(&ref->lock);
	if (ref->space)
		found = vfio_space_describe(ref->space, iova.v, out);
	pthread_mutex_unlock(&ref->lock);
	return found;
}

static struct vfio_space_ref *ref_get(struct cbit_machine *machine)
{
	struct vfio_space_ref *ref;

	pthread_mutex_lock(&machine->refs_lock);
	ref = machine->spare_refs;
	if (ref)
		machine->spare_refs = ref->next;
	pthread_mutex_unlock(&machine->refs_lock);
	if (ref)
		return ref;
	ref = calloc(1, sizeof(*ref));
	if (ref)
		pthread_mutex_init(&ref->lock, NULL);
	return ref;
}

static void ref_drop(struct cbit_machine *machine, struct vfio_space_ref *ref)
{
	pthread_mutex_lock(&ref->lock);
	ref->space = NULL;
	pthread_mutex_unlock(&ref->lock);
	pthread_mutex_lock(&machine->refs_lock);
	ref->next = machine->spare_refs;
	machine->spare_refs = ref;
	pthread_mutex_unlock(&machine->refs_lock);
}

struct cbit_domain_owner vfio_space_owner(struct vfio_space *space)
{
	return (struct cbit_domain_owner){ .describe = ref_describe, .opaque = space->ref };
}

int vfio_space_create(struct cbit_machine *machine, struct vfio_ioas *ioas, struct vfio_space **out)
{
	struct vfio_space *space = calloc(1, sizeof(*space));
	struct cbit_domain_owner owner;
	int ret = 0;

	if (!space)
		return -ENOMEM;
	space->machine = machine;
	space->ioas = ioas;
	space->dma_avail = VFIO_DMA_ENTRY_LIMIT;
	RB_INIT(&space->mappings);
	space->ref = ref_get(machine);
	if (!space->ref) {
		free(space);
		return -ENOMEM;
	}
	owner = vfio_space_owner(space);
	if (!ioas)
		ret = cbit_domain_create(machine->iommu, &owner, &space->domain);
	if (ret) {
		ref_drop(machine, space->ref);
		free(space);
		return ret;
	}
	pthread_mutex_init(&space->lock, NULL);
	pthread_mutex_lock(&space->ref->lock);
	space->ref->space = space;
	pthread_mutex_unlock(&space->ref->lock);
	pthread_mutex_lock(&machine->refs_lock);
	space->next = machine->spaces;
	machine->spaces = space;
	pthread_mutex_unlock(&machine->refs_lock);
	*out = space;
	return 0;
}

/* BAR pages are nobody's memory, and not accounted. */
static int lock_run(struct vfio_space *space, struct cbit_owner *owner,
		    const struct cbit_client_run *run, bool lock)
{
	const struct cbit_client_ops *ops = space->machine->client;
	int64_t pages = (int64_t)(run->len >> CBIT_PAGE_SHIFT);

	if (!ops->lock || run->kind == CBIT_MEM_MMIO || run->pfn_map)
		return 0;
	return ops->lock(space->machine->client_opaque, owner, lock ? pages : -pages);
}

static void unpin(struct vfio_space *space, struct vfio_mapping *m)
{
	const struct cbit_client_ops *ops = space->machine->client;
	void *opaque = space->machine->client_opaque;
	uint64_t vaddr = m->vaddr;

	if (m->run.len) {
		lock_run(space, m->owner, &m->run, false);
		ops->unpin(opaque, m->owner, vaddr, &m->run);
		vaddr += m->run.len;
	}
	for (unsigned int i = 0; i < m->nr_more; i++) {
		lock_run(space, m->owner, &m->more[i], false);
		ops->unpin(opaque, m->owner, vaddr, &m->more[i]);
		vaddr += m->more[i].len;
	}
	if (m->owner)
		ops->owner_put(opaque, m->owner);
}

struct vfio_mapping *vfio_space_mapping_new(struct vfio_space *space)
{
	struct vfio_mapping *m = space->spare;

	if (m)
		space->spare = RB_LEFT(m, node);
	else
		m = malloc(sizeof(*m));
	if (m)
		memset(m, 0, sizeof(*m));
	return m;
}

void vfio_space_mapping_free(struct vfio_space *space, struct vfio_mapping *m)
{
	free(m->more);
	RB_LEFT(m, node) = space->spare;
	space->spare = m;
}

void vfio_space_insert(struct vfio_space *space, struct vfio_mapping *m)
{
	RB_INSERT(vfio_mappings, &space->mappings, m);
}

void vfio_space_take_out(struct vfio_space *space, struct vfio_mapping *m)
{
	RB_REMOVE(vfio_mappings, &space->mappings, m);
}

void vfio_space_remove(struct vfio_space *space, struct vfio_mapping *m)
{
	cbit_domain_unmap(space->domain, CBIT_IOVA(m->iova), m->size, NULL);
	RB_REMOVE(vfio_mappings, &space->mappings, m);
	space->vaddr_invalid -= m->vaddr_invalid;
	unpin(space, m);
	vfio_space_mapping_free(space, m);
	space->dma_avail++;
}

static int runs_add(struct vfio_mapping *m, const struct cbit_client_run *run)
{
	struct cbit_client_run *more;
	unsigned int cap;

	if (!m->run.len) {
		m->run = *run;
		return 0;
	}
	if (m->nr_more == m->cap_more) {
		cap = m->cap_more ? m->cap_more * 2 : 4;
		more = realloc(m->more, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		m->more = more;
		m->cap_more = cap;
	}
	m->more[m->nr_more++] = *run;
	return 0;
}

int vfio_pin(struct cbit_machine *machine, struct cbit_owner *owner, uint64_t vaddr, uint64_t len,
	     bool write, struct cbit_client_run *run)
{
	const struct cbit_client_ops *ops = machine->client;
	int ret;

	run->pfn_map = false;
	ret = ops->pin(machine->client_opaque, owner, vaddr, len, write, run);
	if (ret)
		return ret;
	/* Linux: vaddr_get_pfns(); iommufd: pin_user_pages_remote() */
	if (run->pfn_map && !cbit_policy_takes_pfn_ram(machine->policy))
		ret = -EFAULT;
	if (!ret && machine->guest)
		ret = vfio_guest_accept(machine, run);
	if (ret)
		ops->unpin(machine->client_opaque, owner, vaddr, run);
	return ret;
}

/* The next piece of a mapping at @pos, pinned and remembered for the way back. */
static int pin_next(struct vfio_space *space, struct vfio_mapping *m, uint64_t size, uint64_t pos,
		    struct cbit_client_run *run)
{
	const struct cbit_client_ops *ops = space->machine->client;
	int ret;

	ret = vfio_pin(space->machine, m->owner, m->vaddr + pos, size - pos,
		       (m->attrs & CBIT_ATTR_WRITE) != 0, run);
	if (ret)
		return ret;
	ret = lock_run(space, m->owner, run, true);
	if (!ret) {
		ret = runs_add(m, run);
		if (ret)
			lock_run(space, m->owner, run, false);
	}
	if (ret)
		ops->unpin(space->machine->client_opaque, m->owner, m->vaddr + pos, run);
	return ret;
}

static int map_runs(struct vfio_space *space, struct vfio_mapping *m, uint64_t size)
{
	struct cbit_machine *machine = space->machine;
	struct cbit_policy_type1 call = { 0 };
	struct cbit_client_run run, next = { 0 };
	uint64_t pos = 0, after;
	unsigned int attrs;
	int ret;

	ret = pin_next(space, m, size, 0, &run);
	while (!ret) {
		after = pos + run.len;
		/*
		 * As in the kernel, the run that follows is looked up before this one is
		 * mapped. What it is must not leak into this run's attributes.
		 */
		if (after < size) {
			ret = pin_next(space, m, size, after, &next);
			if (ret)
				break;
		}
		attrs = cbit_policy_type1_attrs(
			machine->policy, vfio_kernel_platform(machine), &call, run.kind,
			after < size && next.kind == CBIT_MEM_MMIO, m->attrs);
		if (machine->guest)
			attrs = vfio_guest_attrs(machine, &run, attrs);
		ret = cbit_domain_map(space->domain, CBIT_IOVA(m->iova + pos), run.spa, run.len,
				      attrs);
		if (ret)
			break;
		m->size = after;
		pos = after;
		if (pos == size)
			break;
		run = next;
	}
	return ret;
}

/*
 * Tell of the mapping, and of IOPTEs whose C-bit nothing consumes. DRAM consumes it, so runs of
 * that are passed by.
 */
static void tell(struct vfio_space *space, struct vfio_mapping *m)
{
	const struct cbit_observer *observer = &space->machine->observer;
	struct cbit_event ev = { .type = CBIT_EVENT_MAP };
	bool other = m->run.kind == CBIT_MEM_MMIO || m->run.kind == CBIT_MEM_COHERENT;

	for (unsigned int i = 0; i < m->nr_more; i++) {
		other |= m->more[i].kind == CBIT_MEM_MMIO || m->more[i].kind == CBIT_MEM_COHERENT;
	}
	vfio_space_mapping_info(m, &ev.mapping);
	if (observer->event)
		observer->event(observer->opaque, &ev);
	if (other)
		cbit_domain_check(space->domain, CBIT_IOVA(m->iova), m->size, &ev.mapping);
}

int vfio_space_map(struct vfio_space *space, void *caller, uint64_t iova, uint64_t size,
		   uint64_t vaddr, unsigned int attrs)
{
	struct cbit_machine *machine = space->machine;
	struct vfio_mapping *m = vfio_space_mapping_new(space);
	int ret;

	if (!m)
		return -ENOMEM;
	m->id = __atomic_add_fetch(&machine->next_mapping, 1, __ATOMIC_RELAXED);
	m->iova = iova;
	m->vaddr = vaddr;
	m->attrs = attrs;
	m->owner = machine->client->owner(machine->client_opaque, caller, &m->pid);
	ret = m->owner ? map_runs(space, m, size) : -ENOMEM;
	if (ret) {
		if (m->size)
			cbit_domain_unmap(space->domain, CBIT_IOVA(iova), m->size, NULL);
		unpin(space, m);
		vfio_space_mapping_free(space, m);
		return ret;
	}
	if (machine->client->trace)
		m->trace = machine->client->trace(machine->client_opaque, m->owner, caller);
	RB_INSERT(vfio_mappings, &space->mappings, m);
	space->dma_avail--;
	tell(space, m);
	return 0;
}

static const struct cbit_client_run *run_at(const struct vfio_mapping *m, unsigned int i)
{
	return i ? &m->more[i - 1] : &m->run;
}

static void unpin_runs(struct vfio_space *space, struct cbit_owner *owner, uint64_t vaddr,
		       const struct vfio_mapping *m, unsigned int nr)
{
	const struct cbit_client_ops *ops = space->machine->client;

	for (unsigned int i = 0; i < nr; i++) {
		ops->unpin(space->machine->client_opaque, owner, vaddr, run_at(m, i));
		vaddr += run_at(m, i)->len;
	}
}

/* Pin at @vaddr of @owner what @m has pinned: false unless the very same pages are there. */
static bool pin_same(struct vfio_space *space, struct cbit_owner *owner, uint64_t vaddr,
		     const struct vfio_mapping *m)
{
	const struct cbit_client_ops *ops = space->machine->client;
	void *opaque = space->machine->client_opaque;
	struct cbit_client_run got;
	uint64_t at = vaddr;

	for (unsigned int i = 0; i <= m->nr_more; i++) {
		const struct cbit_client_run *run = run_at(m, i);

		if (!vfio_pin(space->machine, owner, at, run->len,
			      (m->attrs & CBIT_ATTR_WRITE) != 0, &got)) {
			if (got.spa.v == run->spa.v && got.len == run->len) {
				at += run->len;
				continue;
			}
			ops->unpin(opaque, owner, at, &got);
		}
		unpin_runs(space, owner, vaddr, m, i);
		return false;
	}
	return true;
}

/*
 * The same memory at a new address, perhaps in a new process. Linux keeps the pinned pages and
 * only remembers the address; here a page is reached through an address. Where the same pages
 * are found there, the device does not notice; otherwise the mapping is made anew.
 */
int vfio_space_update_vaddr(struct vfio_space *space, void *caller, struct vfio_mapping *m,
			    uint64_t vaddr)
{
	const struct cbit_client_ops *ops = space->machine->client;
	void *opaque = space->machine->client_opaque;
	const struct vfio_mapping old = *m;
	struct cbit_owner *owner;
	int pid = m->pid;

	owner = ops->owner(opaque, caller, &pid);
	if (!owner)
		return -ENOMEM;
	if (!pin_same(space, owner, vaddr, m)) {
		ops->owner_put(opaque, owner);
		vfio_space_remove(space, m);
		return vfio_space_map(space, caller, old.iova, old.size, vaddr, old.attrs);
	}
	for (unsigned int i = 0; owner != m->owner && i <= m->nr_more; i++) {
		/* The old space's account is settled whatever the new one's limit says. */
		lock_run(space, owner, run_at(m, i), true);
		lock_run(space, m->owner, run_at(m, i), false);
	}
	unpin_runs(space, m->owner, m->vaddr, m, m->nr_more + 1);
	ops->owner_put(opaque, m->owner);
	m->owner = owner;
	m->pid = pid;
	m->vaddr = vaddr;
	m->vaddr_invalid = false;
	space->vaddr_invalid--;
	return 0;
}

void vfio_space_destroy(struct vfio_space *space)
{
	struct cbit_machine *machine = space->machine;
	struct cbit_event ev = { .type = CBIT_EVENT_MAPPING_LEAKED,
				 .c_mask = cbit_platform_c_mask(&machine->platform) };
	struct vfio_mapping *m, *next;
	struct vfio_space **at;
	uint64_t unmapped;

	ref_drop(machine, space->ref);
	pthread_mutex_lock(&machine->refs_lock);
	for (at = &machine->spaces; *at != space;)
		at = &(*at)->next;
	*at = space->next;
	pthread_mutex_unlock(&machine->refs_lock);
	pthread_mutex_lock(&space->lock);
	for (m = RB_MIN(vfio_mappings, &space->mappings); m; m = next) {
		next = RB_NEXT(vfio_mappings, &space->mappings, m);
		if (!ev.count++) {
			vfio_space_mapping_info(m, &ev.mapping);
			ev.iova = CBIT_IOVA(m->iova);
		}
		ev.len += m->size;
		if (!space->ioas)
			vfio_space_remove(space, m);
	}
	pthread_mutex_unlock(&space->lock);
	if (space->ioas)
		vfio_ioas_unmap(space->ioas, 0, UINT64_MAX, &unmapped);
	cbit_domain_destroy(space->domain);
	while (space->spare) {
		m = space->spare;
		space->spare = RB_LEFT(m, node);
		free(m);
	}
	pthread_mutex_destroy(&space->lock);
	if (ev.count && machine->observer.event)
		machine->observer.event(machine->observer.opaque, &ev);
	free(space);
}
