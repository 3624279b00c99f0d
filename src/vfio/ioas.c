/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An address space of an iommufd: what is mapped where, and the page tables that all of it is in
 * (Linux 7.2: drivers/iommu/iommufd/io_pagetable.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "iommufd_internal.h"

int vfio_ioas_create(struct vfio_iommufd *fd, struct vfio_ioas **out)
{
	struct vfio_ioas *ioas = calloc(1, sizeof(*ioas));
	int ret;

	if (!ioas)
		return -ENOMEM;
	ioas->fd = fd;
	ioas->alignment = 1;
	ret = vfio_space_create(fd->machine, ioas, &ioas->space);
	if (!ret) {
		ret = vfio_object_add(fd, &ioas->obj, VFIO_OBJECT_IOAS);
		if (ret)
			vfio_space_destroy(ioas->space);
	}
	if (ret) {
		free(ioas);
		return ret;
	}
	*out = ioas;
	return 0;
}

void vfio_ioas_destroy(struct vfio_ioas *ioas)
{
	vfio_space_destroy(ioas->space);
	free(ioas->allowed);
	free(ioas);
}

/* --- slices and page tables --- */

static uint64_t first_page(const struct vfio_mapping *m)
{
	return m->start >> CBIT_PAGE_SHIFT;
}

static uint64_t last_page(const struct vfio_mapping *m)
{
	return (m->start + (m->size - 1)) >> CBIT_PAGE_SHIFT;
}

/* Small pages: entries of 4 KiB each, which can be unmapped one by one (batch_iommu_map_small). */
static int map_run(struct vfio_ioas *ioas, struct cbit_domain *domain, uint64_t iova,
		   const struct cbit_client_run *run, unsigned int attrs)
{
	uint64_t step = ioas->small ? CBIT_PAGE_SIZE : run->len;
	int ret = 0;

	for (uint64_t at = 0; at < run->len && !ret; at += step) {
		ret = cbit_domain_map(domain, CBIT_IOVA(iova + at), CBIT_SPA(run->spa.v + at), step,
				      attrs);
		if (ret && at)
			cbit_domain_unmap(domain, CBIT_IOVA(iova), at, NULL);
	}
	return ret;
}

/* Map a mapping whose pages are pinned. Nothing stays on error. */
static int fill(struct vfio_ioas *ioas, struct cbit_domain *domain, const struct vfio_mapping *m)
{
	const struct cbit_machine *machine = ioas->fd->machine;
	struct cbit_policy_decision decision;
	struct cbit_client_run run;
	int ret = m->attrs & CBIT_ATTR_RW ? 0 : -EINVAL;
	uint64_t done = 0;

	if (vfio_pages_revoked(m->pages))
		return ret;
	while (!ret && done < m->size) {
		vfio_pages_run(m->pages, first_page(m) + (done >> CBIT_PAGE_SHIFT), last_page(m),
			       &run);
		ret = cbit_policy_map_file(machine->policy, vfio_kernel_platform(machine), run.kind,
					   m->attrs, &decision);
		if (!ret && machine->guest)
			decision.attrs = vfio_guest_attrs(machine, &run, decision.attrs);
		if (!ret)
			ret = map_run(ioas, domain, m->iova + done, &run, decision.attrs);
		if (!ret)
			done += run.len;
	}
	if (ret && done)
		cbit_domain_unmap(domain, CBIT_IOVA(m->iova), done, NULL);
	return ret;
}

static void unfill(struct vfio_ioas *ioas, const struct vfio_hwpt *until,
		   const struct vfio_mapping *m)
{
	for (struct vfio_hwpt *hwpt = ioas->hwpts; hwpt != until; hwpt = hwpt->next)
		cbit_domain_unmap(hwpt->domain, CBIT_IOVA(m->iova), m->size, NULL);
}

/* Pin the slice and map it into every page table, if there is one. */
static int fill_all(struct vfio_ioas *ioas, const struct vfio_mapping *m)
{
	int ret;

	if (!ioas->hwpts)
		return 0;
	ret = vfio_pages_take(m->pages, first_page(m), last_page(m));
	if (ret)
		return ret;
	for (struct vfio_hwpt *hwpt = ioas->hwpts; hwpt; hwpt = hwpt->next) {
		ret = fill(ioas, hwpt->domain, m);
		if (ret) {
			unfill(ioas, hwpt, m);
			vfio_pages_drop(m->pages, first_page(m), last_page(m));
			return ret;
		}
	}
	return 0;
}

/* Of entries whose C-bit nothing consumes. DRAM consumes it, so ordinary memory is passed by. */
static void check(struct cbit_domain *domain, const struct vfio_mapping *m)
{
	struct cbit_mapping_info info;

	if (m->pages->kind != VFIO_PAGES_DMABUF || vfio_pages_revoked(m->pages))
		return;
	vfio_space_mapping_info(m, &info);
	cbit_domain_check(domain, CBIT_IOVA(m->iova), m->size, &info);
}

/* --- mapping and unmapping --- */

static void remove_mapping(struct vfio_ioas *ioas, struct vfio_mapping *m)
{
	struct vfio_pages *pages = m->pages;

	if (ioas->hwpts) {
		unfill(ioas, NULL, m);
		vfio_pages_drop(pages, first_page(m), last_page(m));
	}
	vfio_space_take_out(ioas->space, m);
	vfio_space_mapping_free(ioas->space, m);
	vfio_pages_put(pages);
}

static void tell(struct vfio_ioas *ioas, const struct vfio_mapping *m)
{
	const struct cbit_observer *observer = &ioas->fd->machine->observer;
	struct cbit_event ev = { .type = CBIT_EVENT_MAP };

	vfio_space_mapping_info(m, &ev.mapping);
	if (observer->event)
		observer->event(observer->opaque, &ev);
	for (struct vfio_hwpt *hwpt = ioas->hwpts; hwpt; hwpt = hwpt->next)
		check(hwpt->domain, m);
}

/* Linux: iopt_check_iova() */
static int check_iova(struct vfio_ioas *ioas, const struct vfio_call *call,
		      const struct vfio_area *area)
{
	uint64_t last;

	if (area->iova & (ioas->alignment - 1))
		return -EINVAL;
	if (__builtin_add_overflow(area->iova, area->len - 1, &last))
		return -EOVERFLOW;
	if (vfio_ioas_reserved(ioas, area->iova, last))
		return -EINVAL;
	if (vfio_space_first(ioas->space, area->iova, last)) {
		const struct cbit_mapping_info refused = {
			.iova = CBIT_IOVA(area->iova),
			.size = area->len,
			.vaddr = area->slice->pages->base + area->slice->start,
			.attrs = area->attrs,
			.backing = vfio_pages_backing(area->slice->pages),
		};

		vfio_watch_refused(ioas->space, call, area->call_name, &refused);
		return -EEXIST;
	}
	return 0;
}

/* Linux: iopt_insert_area() */
static int check_slice(const struct vfio_ioas *ioas, const struct vfio_area *area,
		       const struct vfio_slice *slice, uint64_t iova)
{
	uint64_t last;

	if (area->attrs & CBIT_ATTR_WRITE && !slice->pages->writable)
		return -EPERM;
	if (slice->start & ~CBIT_PAGE_MASK & (ioas->alignment - 1))
		return -EINVAL;
	if (__builtin_add_overflow(iova, slice->len - 1, &last))
		return -EOVERFLOW;
	return 0;
}

static struct vfio_mapping *mapping_create(struct vfio_ioas *ioas, const struct vfio_call *call,
					   const struct vfio_area *area,
					   const struct vfio_slice *slice, uint64_t iova)
{
	const struct cbit_client_ops *ops = call->machine->client;
	struct vfio_mapping *m = vfio_space_mapping_new(ioas->space);
	struct vfio_pages *pages = slice->pages;

	if (!m)
		return NULL;
	m->id = __atomic_add_fetch(&call->machine->next_mapping, 1, __ATOMIC_RELAXED);
	m->iova = iova;
	m->size = slice->len;
	m->vaddr = pages->base + slice->start;
	m->attrs = area->attrs;
	m->pages = pages;
	m->start = slice->start;
	m->pid = pages->pid;
	if (pages->kind == VFIO_PAGES_USER)
		m->owner = pages->owner;
	if (ops->trace)
		m->trace = ops->trace(call->machine->client_opaque, pages->owner, call->caller);
	return m;
}

static int map_slices(struct vfio_ioas *ioas, const struct vfio_call *call,
		      const struct vfio_area *area)
{
	uint64_t iova = area->iova, last = iova + (area->len - 1);
	struct vfio_mapping *m, *next;
	int ret = 0;

	for (unsigned int i = 0; i < area->nr && !ret; i++) {
		ret = check_slice(ioas, area, &area->slice[i], iova);
		iova += area->slice[i].len;
	}
	iova = area->iova;
	for (unsigned int i = 0; i < area->nr && !ret; i++) {
		m = mapping_create(ioas, call, area, &area->slice[i], iova);
		ret = m ? fill_all(ioas, m) : -ENOMEM;
		if (!ret) {
			vfio_pages_get(m->pages);
			vfio_space_insert(ioas->space, m);
		} else if (m) {
			vfio_space_mapping_free(ioas->space, m);
		}
		iova += area->slice[i].len;
	}
	/* All or nothing: what there is in the range came just now. */
	for (m = ret ? vfio_space_first(ioas->space, area->iova, last) : NULL; m && m->iova <= last;
	     m = next) {
		next = vfio_space_next(ioas->space, m);
		remove_mapping(ioas, m);
	}
	for (m = ret ? NULL : vfio_space_first(ioas->space, area->iova, last); m && m->iova <= last;
	     m = vfio_space_next(ioas->space, m))
		tell(ioas, m);
	return ret;
}

int vfio_ioas_map(struct vfio_ioas *ioas, const struct vfio_call *call, struct vfio_area *area)
{
	int ret;

	pthread_mutex_lock(&ioas->space->lock);
	if (!area->len || area->len & (ioas->alignment - 1))
		ret = -EINVAL;
	else if (area->fixed)
		ret = check_iova(ioas, call, area);
	else
		ret = vfio_ioas_choose(ioas, area->slice->pages->base + area->slice->start,
				       area->len, &area->iova);
	if (!ret)
		ret = map_slices(ioas, call, area);
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

void vfio_ioas_unfill_revoked(struct cbit_machine *machine)
{
	struct vfio_mapping *m;

	pthread_mutex_lock(&machine->refs_lock);
	for (struct vfio_space *space = machine->spaces; space; space = space->next) {
		pthread_mutex_lock(&space->lock);
		for (m = space->ioas ? vfio_space_first(space, 0, UINT64_MAX) : NULL; m;
		     m = vfio_space_next(space, m)) {
			if (vfio_pages_revoked(m->pages))
				unfill(space->ioas, NULL, m);
		}
		pthread_mutex_unlock(&space->lock);
	}
	pthread_mutex_unlock(&machine->refs_lock);
}

/* A mapping that would be cut ends the call; what was whole before it is gone by then. */
int vfio_ioas_unmap(struct vfio_ioas *ioas, uint64_t first, uint64_t last, uint64_t *unmapped)
{
	struct vfio_mapping *m, *next;
	int ret = 0;

	*unmapped = 0;
	pthread_mutex_lock(&ioas->space->lock);
	for (m = vfio_space_first(ioas->space, first, last); m && m->iova <= last; m = next) {
		if (m->iova < first || m->iova + (m->size - 1) > last) {
			ret = -ENOENT;
			break;
		}
		next = vfio_space_next(ioas->space, m);
		*unmapped += m->size;
		remove_mapping(ioas, m);
	}
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

/* Linux: iopt_area_split() */
static int cut(struct vfio_ioas *ioas, struct vfio_mapping *m, uint64_t last)
{
	uint64_t from = last + 1, start;
	struct vfio_mapping *upper;

	if (last == m->iova || last == m->iova + (m->size - 1))
		return 0;
	if (m->pages->kind == VFIO_PAGES_DMABUF)
		return -EOPNOTSUPP;
	start = m->start + (from - m->iova);
	if ((from | start) & (ioas->alignment - 1))
		return -EINVAL;
	if (ioas->hwpts && !ioas->small)
		return -EINVAL;
	upper = vfio_space_mapping_new(ioas->space);
	if (!upper || vfio_pages_cut(m->pages, start >> CBIT_PAGE_SHIFT)) {
		if (upper)
			vfio_space_mapping_free(ioas->space, upper);
		return -ENOMEM;
	}
	*upper = *m;
	upper->iova = from;
	upper->size = m->size - (from - m->iova);
	upper->vaddr = m->vaddr + (from - m->iova);
	upper->start = start;
	vfio_pages_get(m->pages);
	m->size = from - m->iova;
	vfio_space_insert(ioas->space, upper);
	return 0;
}

int vfio_ioas_cut(struct vfio_ioas *ioas, uint64_t last)
{
	struct vfio_mapping *m;
	int ret = 0;

	pthread_mutex_lock(&ioas->space->lock);
	m = vfio_space_first(ioas->space, last, last);
	if (m)
		ret = cut(ioas, m, last);
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

/* --- page tables come and go --- */

static bool aligned(struct vfio_ioas *ioas, uint64_t alignment)
{
	struct vfio_mapping *m;

	for (m = vfio_space_first(ioas->space, 0, UINT64_MAX); m;
	     m = vfio_space_next(ioas->space, m)) {
		if ((m->iova | m->size | m->start) & (alignment - 1))
			return false;
	}
	return true;
}

/* Linux: iopt_calculate_iova_alignment() */
static int set_alignment(struct vfio_ioas *ioas)
{
	uint64_t alignment = ioas->small || ioas->hwpts ? CBIT_PAGE_SIZE : 1;

	if (alignment > ioas->alignment && !aligned(ioas, alignment))
		return -EADDRINUSE;
	ioas->alignment = alignment;
	return 0;
}

int vfio_ioas_small(struct vfio_ioas *ioas)
{
	int ret = 0;

	pthread_mutex_lock(&ioas->space->lock);
	if (!ioas->small) {
		if (ioas->hwpts && vfio_space_first(ioas->space, 0, UINT64_MAX)) {
			ret = -EINVAL;
		} else {
			ioas->small = true;
			ret = set_alignment(ioas);
			ioas->small = !ret;
		}
	}
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

void vfio_ioas_large(struct vfio_ioas *ioas)
{
	pthread_mutex_lock(&ioas->space->lock);
	ioas->small = false;
	set_alignment(ioas);
	pthread_mutex_unlock(&ioas->space->lock);
}

static struct vfio_mapping *first_mapping(struct vfio_ioas *ioas)
{
	return vfio_space_first(ioas->space, 0, UINT64_MAX);
}

/* Linux: iopt_fill_domain(). The first page table pins what is mapped. */
static int fill_table(struct vfio_ioas *ioas, struct cbit_domain *domain)
{
	const bool pins = !ioas->hwpts;
	struct vfio_mapping *m, *undo;
	int ret = 0;

	for (m = first_mapping(ioas); m; m = vfio_space_next(ioas->space, m)) {
		if (pins)
			ret = vfio_pages_take(m->pages, first_page(m), last_page(m));
		if (!ret) {
			ret = fill(ioas, domain, m);
			if (ret && pins)
				vfio_pages_drop(m->pages, first_page(m), last_page(m));
		}
		if (ret)
			break;
	}
	for (undo = ret ? first_mapping(ioas) : NULL; undo && undo != m;
	     undo = vfio_space_next(ioas->space, undo)) {
		cbit_domain_unmap(domain, CBIT_IOVA(undo->iova), undo->size, NULL);
		if (pins)
			vfio_pages_drop(undo->pages, first_page(undo), last_page(undo));
	}
	return ret;
}

int vfio_ioas_add_table(struct vfio_ioas *ioas, struct vfio_hwpt *hwpt)
{
	struct vfio_hwpt **at;
	struct vfio_mapping *m;
	int ret = 0;

	pthread_mutex_lock(&ioas->space->lock);
	if ((ioas->alignment < CBIT_PAGE_SIZE && !aligned(ioas, CBIT_PAGE_SIZE)) ||
	    (hwpt->pasid && vfio_ioas_in_use(ioas, VFIO_PASID_LAST + 1, UINT64_MAX)))
		ret = -EADDRINUSE;
	if (!ret)
		ret = fill_table(ioas, hwpt->domain);
	if (!ret) {
		ioas->alignment = CBIT_PAGE_SIZE;
		ioas->narrow += hwpt->pasid;
		for (at = &ioas->hwpts; *at;)
			at = &(*at)->next;
		*at = hwpt;
		for (m = first_mapping(ioas); m; m = vfio_space_next(ioas->space, m))
			check(hwpt->domain, m);
	}
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

/* Its domain goes with all that is mapped in it; the last one lets the pages go, too. */
void vfio_ioas_remove_table(struct vfio_ioas *ioas, struct vfio_hwpt *hwpt)
{
	struct vfio_hwpt **at;
	struct vfio_mapping *m;

	pthread_mutex_lock(&ioas->space->lock);
	for (at = &ioas->hwpts; *at != hwpt;)
		at = &(*at)->next;
	*at = hwpt->next;
	ioas->narrow -= hwpt->pasid;
	for (m = first_mapping(ioas); m; m = vfio_space_next(ioas->space, m)) {
		cbit_domain_unmap(hwpt->domain, CBIT_IOVA(m->iova), m->size, NULL);
		if (!ioas->hwpts)
			vfio_pages_drop(m->pages, first_page(m), last_page(m));
	}
	set_alignment(ioas);
	pthread_mutex_unlock(&ioas->space->lock);
}
