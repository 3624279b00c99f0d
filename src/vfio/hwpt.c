/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page tables of an iommufd: made, and asked what devices wrote (Linux 7.2:
 * drivers/iommu/iommufd/hw_pagetable.c, iova_bitmap.c; drivers/iommu/amd/iommu.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

#define FLAGS                                                                          \
	(UAPI_HWPT_NEST_PARENT | UAPI_HWPT_DIRTY_TRACKING | UAPI_HWPT_FAULT_ID_VALID | \
	 UAPI_HWPT_PASID)

static bool efr(uint64_t bits)
{
	return (CBIT_IOMMU_EFR & bits) == bits;
}

/* Linux: amd_iommu_domain_alloc_paging_flags() */
static int check_flags(uint32_t flags, bool user_data)
{
	if (flags & ~FLAGS)
		return -EOPNOTSUPP;
	if (flags & UAPI_HWPT_FAULT_ID_VALID && flags & UAPI_HWPT_NEST_PARENT)
		return -EOPNOTSUPP;
	if (user_data)
		return -EOPNOTSUPP;
	switch (flags & ~UAPI_HWPT_FAULT_ID_VALID) {
	case UAPI_HWPT_DIRTY_TRACKING | UAPI_HWPT_NEST_PARENT:
	case UAPI_HWPT_DIRTY_TRACKING:
		if (!efr(CBIT_VI_EFR_HD))
			return -EOPNOTSUPP;
		if (flags & UAPI_HWPT_NEST_PARENT)
			break;
		return 0;
	case UAPI_HWPT_NEST_PARENT:
		break;
	case UAPI_HWPT_PASID:
		return efr(CBIT_VI_EFR_GT) ? 0 : -EOPNOTSUPP;
	case 0:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
	/* is_nest_parent_supported() */
	return efr(CBIT_VI_EFR_GT | CBIT_VI_EFR_GIO) && CBIT_IOMMU_EFR2 & CBIT_VI_EFR2_GCR3_GPA
		       ? 0
		       : -EOPNOTSUPP;
}

/* @attach: attach it before it is filled, as is done for one that is made by attaching. */
int vfio_hwpt_alloc(struct vfio_ioas *ioas, struct vfio_device *attach, uint32_t flags,
		    bool user_data, struct vfio_hwpt **out)
{
	struct cbit_domain_owner owner = vfio_space_owner(ioas->space);
	struct vfio_hwpt *hwpt;
	int ret = check_flags(flags, user_data);

	if (ret)
		return ret;
	hwpt = calloc(1, sizeof(*hwpt));
	if (!hwpt)
		return -ENOMEM;
	hwpt->ioas = ioas;
	hwpt->nest_parent = flags & UAPI_HWPT_NEST_PARENT;
	hwpt->dirty = flags & UAPI_HWPT_DIRTY_TRACKING;
	hwpt->pasid = flags & UAPI_HWPT_PASID;
	ret = vfio_object_add(ioas->fd, &hwpt->obj, VFIO_OBJECT_HWPT);
	if (ret)
		goto free_hwpt;
	ret = cbit_domain_create(ioas->fd->machine->iommu, &owner, &hwpt->domain);
	if (ret)
		goto remove;
	ioas->obj.users++;
	if (attach)
		ret = vfio_hwpt_attach(hwpt, attach);
	if (ret)
		goto destroy;
	ret = vfio_ioas_add_table(ioas, hwpt);
	if (ret) {
		if (attach)
			vfio_device_detach_pt(attach);
		goto destroy;
	}
	*out = hwpt;
	return 0;

destroy:
	ioas->obj.users--;
	cbit_domain_destroy(hwpt->domain);
remove:
	vfio_object_remove(ioas->fd, &hwpt->obj);
free_hwpt:
	free(hwpt);
	return ret;
}

void vfio_hwpt_destroy(struct vfio_hwpt *hwpt)
{
	vfio_ioas_remove_table(hwpt->ioas, hwpt);
	cbit_domain_destroy(hwpt->domain);
	if (hwpt->fault)
		hwpt->fault->users--;
	hwpt->ioas->obj.users--;
	free(hwpt);
}

long vfio_iommufd_hwpt_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_hwpt_alloc *cmd = arg;
	struct vfio_object *obj, *fault;
	struct vfio_hwpt *hwpt;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	if (!cmd->data_type != !cmd->data_len)
		return -EINVAL;
	if (!vfio_iommufd_device(fd, cmd->dev_id))
		return -ENOENT;
	obj = vfio_object_find(fd, cmd->pt_id, VFIO_OBJECT_NONE);
	if (!obj)
		return -EINVAL;
	/* The AMD driver has no nested page tables: neither domain_alloc_nested of a page table,
	 * nor alloc_domain_nested of a vIOMMU. */
	if (obj->type == VFIO_OBJECT_HWPT || obj->type == VFIO_OBJECT_VIOMMU)
		return -EOPNOTSUPP;
	if (obj->type != VFIO_OBJECT_IOAS)
		return -EINVAL;
	ret = vfio_hwpt_alloc(vfio_ioas_of(obj), NULL, cmd->flags, cmd->data_len, &hwpt);
	if (ret)
		return ret;
	if (cmd->flags & UAPI_HWPT_FAULT_ID_VALID) {
		fault = vfio_object_find(fd, cmd->fault_id, VFIO_OBJECT_FAULT);
		if (fault) {
			hwpt->fault = fault;
			fault->users++;
		} else {
			ret = -ENOENT;
		}
	}
	cmd->out_hwpt_id = hwpt->obj.id;
	if (!ret)
		ret = vfio_respond(call, cmd, sizeof(*cmd));
	if (ret)
		vfio_object_destroy(fd, &hwpt->obj);
	return ret;
}

/* --- what devices wrote --- */

long vfio_iommufd_set_dirty(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	const struct uapi_set_dirty_tracking *cmd = arg;
	const struct cbit_pt_dirty clear = { 0 };
	struct vfio_hwpt *hwpt;
	bool on = cmd->flags & UAPI_DIRTY_TRACKING_ENABLE;
	int ret = 0;

	(void)call;
	if (cmd->flags & ~UAPI_DIRTY_TRACKING_ENABLE)
		return -EOPNOTSUPP;
	hwpt = vfio_hwpt_of(vfio_object_find(fd, cmd->hwpt_id, VFIO_OBJECT_HWPT));
	if (!hwpt)
		return -ENOENT;
	if (!hwpt->dirty)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&hwpt->ioas->space->lock);
	for (struct vfio_mapping *m = vfio_space_first(hwpt->ioas->space, 0, UINT64_MAX);
	     on && m && !ret; m = vfio_space_next(hwpt->ioas->space, m))
		ret = cbit_domain_read_dirty(hwpt->domain, CBIT_IOVA(m->iova), m->size, &clear);
	if (!ret)
		cbit_domain_set_dirty_tracking(hwpt->domain, on);
	pthread_mutex_unlock(&hwpt->ioas->space->lock);
	return ret;
}

/* Linux: iommufd_check_iova_range() */
static int check_range(const struct vfio_ioas *ioas, const struct uapi_get_dirty_bitmap *cmd,
		       uint64_t *last)
{
	if (__builtin_add_overflow(cmd->iova, cmd->length - 1, last))
		return -EOVERFLOW;
	if ((cmd->iova | (*last + 1)) & (ioas->alignment - 1))
		return -EINVAL;
	if (!cmd->page_size || (cmd->iova | (*last + 1)) & (cmd->page_size - 1))
		return -EINVAL;
	return 0;
}

/* From the start on as far as mappings lie side by side; a gap ends it without an error. */
long vfio_iommufd_get_dirty(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	const struct uapi_get_dirty_bitmap *cmd = arg;
	struct vfio_bitmap w = { .call = call, .data = cmd->data, .iova = cmd->iova };
	const struct cbit_pt_dirty req = {
		.flags = cmd->flags & UAPI_DIRTY_BITMAP_NO_CLEAR ? CBIT_PT_DIRTY_NO_CLEAR : 0,
		.found = vfio_bitmap_set,
		.opaque = &w,
	};
	struct vfio_mapping *m;
	struct vfio_hwpt *hwpt;
	uint64_t at = cmd->iova, last, end;
	int ret;

	if (cmd->flags & ~UAPI_DIRTY_BITMAP_NO_CLEAR || cmd->reserved)
		return -EOPNOTSUPP;
	hwpt = vfio_hwpt_of(vfio_object_find(fd, cmd->hwpt_id, VFIO_OBJECT_HWPT));
	if (!hwpt)
		return -ENOENT;
	pthread_mutex_lock(&hwpt->ioas->space->lock);
	ret = check_range(hwpt->ioas, cmd, &last);
	if (!ret && !hwpt->dirty)
		ret = -EOPNOTSUPP;
	if (!ret)
		w.shift = (unsigned int)__builtin_ctzll(cmd->page_size);
	while (!ret) {
		m = vfio_space_first(hwpt->ioas->space, at, at);
		if (!m)
			break;
		end = m->iova + (m->size - 1);
		end = end < last ? end : last;
		ret = cbit_domain_read_dirty(hwpt->domain, CBIT_IOVA(at), end - at + 1, &req);
		if (end == last)
			break;
		at = end + 1;
	}
	vfio_bitmap_flush(&w);
	pthread_mutex_unlock(&hwpt->ioas->space->lock);
	return ret;
}

/* Linux: iommufd_hwpt_invalidate(); nothing that there is here can be invalidated by hand. */
long vfio_iommufd_invalidate(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_hwpt_invalidate *cmd = arg;
	const struct vfio_object *obj = vfio_object_find(fd, cmd->hwpt_id, VFIO_OBJECT_NONE);
	int ret;

	if (cmd->reserved)
		ret = -EOPNOTSUPP;
	else if (cmd->entry_num && (!cmd->data_uptr || !cmd->entry_len ||
				    cmd->entry_len > CBIT_PAGE_SIZE || cmd->entry_num > 1u << 19))
		ret = -EINVAL;
	else if (!obj)
		ret = -ENOENT;
	else
		ret = obj->type == VFIO_OBJECT_VIOMMU ? -EOPNOTSUPP : -EINVAL;
	cmd->entry_num = 0;
	if (vfio_respond(call, cmd, sizeof(*cmd)))
		ret = -EFAULT;
	return ret;
}
