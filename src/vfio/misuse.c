/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that are answered as Linux answers them, but do not do what the program seems to think:
 * told to the observer with the place they came from.
 */
#include "iommufd_internal.h"

/* Who called, and from where. */
static void caller_info(const struct vfio_call *call, struct cbit_mapping_info *info)
{
	const struct cbit_client_ops *ops = call->machine->client;
	void *opaque = call->machine->client_opaque;
	struct cbit_owner *owner = ops->owner(opaque, call->caller, &info->pid);

	if (!owner)
		return;
	if (ops->trace)
		info->trace = ops->trace(opaque, owner, call->caller);
	ops->owner_put(opaque, owner);
}

static void tell(const struct vfio_call *call, const struct cbit_event *ev)
{
	const struct cbit_observer *observer = &call->machine->observer;

	observer->event(observer->opaque, ev);
}

/* The mappings on either side of @iova; one that @iova lies in counts as below. */
static void neighbours(struct vfio_space *space, uint64_t iova, struct cbit_mapping_info *below,
		       struct cbit_mapping_info *above)
{
	struct vfio_mapping *m = RB_ROOT(&space->mappings), *under = NULL, *over = NULL;

	while (m) {
		if (m->iova <= iova) {
			under = m;
			m = RB_RIGHT(m, node);
		} else {
			over = m;
			m = RB_LEFT(m, node);
		}
	}
	if (under)
		vfio_space_mapping_info(under, below);
	if (over)
		vfio_space_mapping_info(over, above);
}

void vfio_tell_unmapped_nothing(struct vfio_space *space, const struct vfio_call *call,
				uint64_t iova, uint64_t size)
{
	struct cbit_mapping_info info = { .iova = CBIT_IOVA(iova), .size = size };
	struct cbit_mapping_info below = { 0 }, above = { 0 };
	const struct cbit_event ev = { .type = CBIT_EVENT_UNMAPPED_NOTHING,
				       .iova = info.iova,
				       .len = size,
				       .what = "VFIO_IOMMU_UNMAP_DMA",
				       .call = &info,
				       .below = &below,
				       .above = &above };

	if (!call->machine->observer.event)
		return;
	caller_info(call, &info);
	neighbours(space, iova, &below, &above);
	tell(call, &ev);
}

void vfio_tell_no_iommu(const struct vfio_container *container, const struct vfio_call *call,
			uint32_t cmd)
{
	struct cbit_mapping_info info = { 0 };
	struct cbit_event ev = { .type = CBIT_EVENT_NO_IOMMU,
				 .count = container->groups,
				 .call = &info };

	switch (cmd) {
	case UAPI_IOMMU_GET_INFO:
		ev.what = "VFIO_IOMMU_GET_INFO";
		break;
	case UAPI_IOMMU_MAP_DMA:
		ev.what = "VFIO_IOMMU_MAP_DMA";
		break;
	case UAPI_IOMMU_UNMAP_DMA:
		ev.what = "VFIO_IOMMU_UNMAP_DMA";
		break;
	default:
		return;
	}
	if (!call->machine->observer.event)
		return;
	caller_info(call, &info);
	tell(call, &ev);
}

void vfio_watch_refused(struct vfio_space *space, const struct vfio_call *call, const char *what,
			const struct cbit_mapping_info *refused)
{
	const struct vfio_mapping *old =
		vfio_space_first(space, refused->iova.v, refused->iova.v + (refused->size - 1));
	struct cbit_mapping_info info = *refused;
	struct vfio_hwpt *hwpt;

	if (!call->machine->observer.event || !old)
		return;
	caller_info(call, &info);
	/* Mapped already just as the call would have had it: no harm in going on. */
	if (old->pid == info.pid && old->iova <= info.iova.v &&
	    old->iova + (old->size - 1) >= info.iova.v + (info.size - 1) &&
	    old->vaddr - old->iova == info.vaddr - info.iova.v &&
	    !(info.attrs & ~old->attrs & CBIT_ATTR_RW))
		return;
	if (space->domain)
		cbit_domain_watch(space->domain, what, &info);
	for (hwpt = space->ioas ? space->ioas->hwpts : NULL; hwpt; hwpt = hwpt->next)
		cbit_domain_watch(hwpt->domain, what, &info);
}

static void tell_changed(struct vfio_space *space, const struct cbit_owner *owner,
			 struct cbit_event *ev)
{
	const struct cbit_observer *observer = &space->machine->observer;
	uint64_t last = ev->call->vaddr + (ev->call->size - 1);
	struct vfio_mapping *m;

	/* Without a page table nothing is pinned. */
	if (space->ioas && !space->ioas->hwpts)
		return;
	for (m = vfio_space_first(space, 0, UINT64_MAX); m; m = vfio_space_next(space, m)) {
		if (m->owner != owner || m->vaddr > last ||
		    m->vaddr + (m->size - 1) < ev->call->vaddr ||
		    (m->run.kind == CBIT_MEM_MMIO && !m->nr_more))
			continue;
		vfio_space_mapping_info(m, &ev->mapping);
		observer->event(observer->opaque, ev);
	}
}

void cbit_machine_gave_up(struct cbit_machine *machine, const struct cbit_owner *owner,
			  const char *what, const struct cbit_mapping_info *call)
{
	struct cbit_event ev = { .type = CBIT_EVENT_MEMORY_CHANGED, .what = what, .call = call };

	if (!machine->observer.event)
		return;
	pthread_mutex_lock(&machine->refs_lock);
	for (struct vfio_space *space = machine->spaces; space; space = space->next) {
		pthread_mutex_lock(&space->lock);
		tell_changed(space, owner, &ev);
		pthread_mutex_unlock(&space->lock);
	}
	pthread_mutex_unlock(&machine->refs_lock);
}
