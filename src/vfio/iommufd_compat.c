/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An iommufd as a VFIO container: the calls of one go to its compatibility IOAS (Linux 7.2:
 * drivers/iommu/iommufd/vfio_compat.c).
 */
#include <errno.h>
#include <string.h>

#include "iommufd_internal.h"

/* A group was given this iommufd for its container. */
int vfio_iommufd_compat_create(struct vfio_iommufd *fd)
{
	struct vfio_ioas *ioas;
	int ret;

	if (fd->noiommu)
		return -EINVAL;
	if (fd->compat)
		return 0;
	ret = vfio_ioas_create(fd, &ioas);
	if (!ret)
		fd->compat = ioas;
	return ret;
}

/* iommufd_vfio_compat_set_no_iommu() */
int vfio_iommufd_compat_noiommu(struct vfio_iommufd *fd)
{
	if (fd->compat)
		return -EINVAL;
	fd->noiommu = true;
	return 0;
}

long vfio_iommufd_vfio_ioas(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_vfio_ioas *cmd = arg;
	struct vfio_ioas *ioas;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case UAPI_VFIO_IOAS_GET:
		if (!fd->compat)
			return -ENODEV;
		cmd->ioas_id = fd->compat->obj.id;
		return vfio_respond(call, cmd, sizeof(*cmd));
	case UAPI_VFIO_IOAS_SET:
		ioas = vfio_ioas_find(fd, cmd->ioas_id);
		if (!ioas)
			return -ENOENT;
		fd->compat = ioas;
		return 0;
	case UAPI_VFIO_IOAS_CLEAR:
		fd->compat = NULL;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static long map_dma(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_dma_map map;
	struct vfio_slice slice = { 0 };
	struct vfio_area area = {
		.slice = &slice, .nr = 1, .fixed = true, .call_name = "VFIO_IOMMU_MAP_DMA"
	};
	int ret = vfio_get(call, &map, 0, sizeof(map));

	if (ret)
		return ret;
	if (map.argsz < sizeof(map) || map.flags & ~(UAPI_DMA_MAP_READ | UAPI_DMA_MAP_WRITE))
		return -EINVAL;
	if (map.flags & UAPI_DMA_MAP_READ)
		area.attrs |= CBIT_ATTR_READ;
	if (map.flags & UAPI_DMA_MAP_WRITE)
		area.attrs |= CBIT_ATTR_WRITE;
	if (!fd->compat)
		return -ENODEV;
	ret = vfio_pages_create(fd, call, map.vaddr, map.size, area.attrs & CBIT_ATTR_WRITE,
				&slice.pages);
	if (ret)
		return ret;
	slice.start = map.vaddr & ~CBIT_PAGE_MASK;
	slice.len = map.size;
	area.len = map.size;
	area.iova = map.iova;
	ret = vfio_ioas_map(fd->compat, call, &area);
	vfio_pages_put(slice.pages);
	return ret;
}

/* What type1 allows: to unmap the middle of what was mapped as one. */
static int cut_ends(struct vfio_ioas *ioas, uint64_t iova, uint64_t size)
{
	int ret = vfio_ioas_cut(ioas, iova + size - 1);

	return ret || !iova ? ret : vfio_ioas_cut(ioas, iova - 1);
}

static int unmap_range(struct vfio_ioas *ioas, const struct uapi_dma_unmap *unmap, uint64_t *done)
{
	uint64_t last;

	if (unmap->flags & UAPI_DMA_UNMAP_ALL)
		return vfio_ioas_unmap(ioas, 0, UINT64_MAX, done);
	if (!unmap->size)
		return -EINVAL;
	if (__builtin_add_overflow(unmap->iova, unmap->size - 1, &last))
		return -EOVERFLOW;
	return vfio_ioas_unmap(ioas, unmap->iova, last, done);
}

static long unmap_dma(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct vfio_ioas *ioas = fd->compat;
	struct uapi_dma_unmap unmap;
	uint64_t done = 0;
	int ret = vfio_get(call, &unmap, 0, sizeof(unmap));
	bool all;

	if (ret)
		return ret;
	if (unmap.argsz < sizeof(unmap) || unmap.flags & ~UAPI_DMA_UNMAP_ALL)
		return -EINVAL;
	if (!ioas)
		return -ENODEV;
	all = unmap.flags & UAPI_DMA_UNMAP_ALL;
	if (all && (unmap.iova || unmap.size))
		return -EINVAL;
	if (!all && ioas->small) {
		ret = cut_ends(ioas, unmap.iova, unmap.size);
		if (ret)
			return ret;
	}
	ret = unmap_range(ioas, &unmap, &done);
	if (!ret && !all && !done) {
		pthread_mutex_lock(&ioas->space->lock);
		vfio_tell_unmapped_nothing(ioas->space, call, unmap.iova, unmap.size);
		pthread_mutex_unlock(&ioas->space->lock);
	}
	/* The size is told whether it went well or not. */
	unmap.size = done;
	return vfio_put(call, 0, &unmap, sizeof(unmap)) ? -EFAULT : ret;
}

static long check_extension(const struct vfio_iommufd *fd, uint64_t extension)
{
	switch (extension) {
	case UAPI_TYPE1_IOMMU:
	case UAPI_TYPE1v2_IOMMU:
	case UAPI_UNMAP_ALL:
		return !fd->noiommu;
	case UAPI_NOIOMMU_IOMMU:
		return 1; /* what the kernel was built with, not what is there */
	case UAPI_DMA_CC_IOMMU:
		/* Every page table of the AMD driver forces coherence. */
		return fd->compat ? 1 : -ENODEV;
	default:
		return 0;
	}
}

static long set_iommu(struct vfio_iommufd *fd, uint64_t type)
{
	if (type == UAPI_NOIOMMU_IOMMU && fd->noiommu)
		return 0;
	if ((type != UAPI_TYPE1_IOMMU && type != UAPI_TYPE1v2_IOMMU) || fd->noiommu)
		return -EINVAL;
	if (!fd->compat)
		return -ENODEV;
	return type == UAPI_TYPE1_IOMMU ? vfio_ioas_small(fd->compat) : 0;
}

/* --- VFIO_IOMMU_GET_INFO: each capability is written if there is room for it --- */

struct info {
	const struct vfio_call *call;
	uint64_t room; /* what the client has, from the start */
	uint64_t at;   /* where the next one goes */
	uint64_t last; /* where the last one is, 0 if none */
};

/* Where the next capability goes, as far as there is room for saying so. */
static int link_cap(struct info *info, size_t len)
{
	const uint32_t next = (uint32_t)info->at;
	int ret = 0;

	if (info->last && info->room >= info->at)
		ret = vfio_put(info->call, info->last + offsetof(struct uapi_cap_header, next),
			       &next, sizeof(next));
	info->last = info->at;
	info->at += (len + 7) & ~UINT64_C(7);
	return ret;
}

static int add_cap(struct info *info, const void *cap, size_t len)
{
	int ret = 0;

	if (info->room >= info->at + len)
		ret = vfio_put(info->call, info->at, cap, len);
	return ret ? ret : link_cap(info, len);
}

/* Linux: iommufd_fill_cap_iova() writes as many ranges as there is room for, and then the rest. */
static int add_ranges(struct info *info, const struct uapi_cap_iova_range *cap)
{
	size_t at = offsetof(struct uapi_cap_iova_range, ranges);
	int ret = 0;

	for (uint32_t i = 0; i < cap->nr_iovas && !ret; i++, at += sizeof(cap->ranges[0])) {
		if (info->room >= info->at + at + sizeof(cap->ranges[0]))
			ret = vfio_put(info->call, info->at + at, &cap->ranges[i],
				       sizeof(cap->ranges[0]));
	}
	if (!ret && info->room >= info->at + at)
		ret = vfio_put(info->call, info->at, cap,
			       offsetof(struct uapi_cap_iova_range, ranges));
	return ret ? ret : link_cap(info, at);
}

/* Linux: iommufd_get_pagesizes(), the pages of amdv1 if there is a page table */
static uint64_t page_sizes(const struct vfio_ioas *ioas)
{
	uint64_t sizes = ioas->hwpts ? VFIO_PGSIZES : UINT64_MAX & CBIT_PAGE_MASK;

	for (const struct vfio_hwpt *hwpt = ioas->hwpts; hwpt; hwpt = hwpt->next) {
		if (hwpt->pasid)
			sizes &= UINT64_C(0x40201000);
	}
	return sizes > ioas->alignment ? sizes : ioas->alignment;
}

static long get_info(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_iommu_info info = { 0 };
	struct uapi_cap_dma_avail avail = {
		.header = { .id = UAPI_IOMMU_CAP_DMA_AVAIL, .version = 1 },
		.avail = UINT32_MAX,
	};
	struct uapi_cap_iova_range ranges = {
		.header = { .id = UAPI_IOMMU_CAP_IOVA_RANGE, .version = 1 },
	};
	struct info put = { .call = call, .at = sizeof(info) };
	struct uapi_iova_range r[4];
	int ret = vfio_get(call, &info, 0, UAPI_IOMMU_INFO_MINSZ);
	uint32_t len;

	if (ret)
		return ret;
	if (info.argsz < UAPI_IOMMU_INFO_MINSZ)
		return -EINVAL;
	if (!fd->compat)
		return -ENODEV;
	put.room = info.argsz;
	len = info.argsz < sizeof(info) ? info.argsz : (uint32_t)sizeof(info);
	pthread_mutex_lock(&fd->compat->space->lock);
	info.iova_pgsizes = page_sizes(fd->compat);
	ranges.nr_iovas = vfio_ioas_ranges(fd->compat, r);
	pthread_mutex_unlock(&fd->compat->space->lock);
	memcpy(ranges.ranges, r, sizeof(ranges.ranges));
	ret = add_cap(&put, &avail, sizeof(avail));
	if (!ret)
		ret = add_ranges(&put, &ranges);
	if (ret)
		return ret;
	info.flags = UAPI_IOMMU_INFO_PGSIZES | UAPI_IOMMU_INFO_CAPS;
	info.cap_offset = info.argsz >= put.at ? sizeof(info) : 0;
	info.argsz = (uint32_t)put.at;
	return vfio_put(call, 0, &info, len);
}

long vfio_iommufd_compat(struct vfio_iommufd *fd, const struct vfio_call *call, uint32_t cmd)
{
	switch (cmd) {
	case UAPI_GET_API_VERSION:
		return 0;
	case UAPI_CHECK_EXTENSION:
		return check_extension(fd, call->arg);
	case UAPI_SET_IOMMU:
		return set_iommu(fd, call->arg);
	case UAPI_IOMMU_GET_INFO:
		return get_info(fd, call);
	case UAPI_IOMMU_MAP_DMA:
		return map_dma(fd, call);
	case UAPI_IOMMU_UNMAP_DMA:
		return unmap_dma(fd, call);
	default:
		return -ENOTTY; /* VFIO_IOMMU_DIRTY_PAGES as well */
	}
}
