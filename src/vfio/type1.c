/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The type1 and type1v2 back end of a container: GET_INFO, MAP_DMA, UNMAP_DMA, with the
 * checks in the order of Linux 7.2, drivers/vfio/vfio_iommu_type1.c.
 */
#include <errno.h>
#include <string.h>

#include "vfio_internal.h"

long vfio_type1_check_extension(uint64_t extension, bool has_domain)
{
	switch (extension) {
	case UAPI_TYPE1_IOMMU:
	case UAPI_TYPE1v2_IOMMU:
	case UAPI_UNMAP_ALL:
		return 1;
	case UAPI_UPDATE_VADDR:
	case UAPI_DMA_CC_IOMMU:
		/* Once there is a domain; the AMD driver forces coherence (FC in every leaf). */
		return has_domain;
	default:
		return 0;
	}
}

struct caps {
	uint8_t buf[192];
	uint32_t size;
	uint32_t last;
};

static void caps_add(struct caps *caps, const void *cap, uint32_t len, uint32_t base)
{
	struct uapi_cap_header header;

	if (caps->size) {
		memcpy(&header, caps->buf + caps->last, sizeof(header));
		header.next = base + caps->size;
		memcpy(caps->buf + caps->last, &header, sizeof(header));
	}
	caps->last = caps->size;
	memcpy(caps->buf + caps->size, cap, len);
	/* The kernel keeps the headers 8-byte aligned. */
	caps->size += (len + 7) & ~7u;
}

static long get_info(struct vfio_space *space, const struct vfio_call *call)
{
	struct uapi_iommu_info info = { 0 };
	struct uapi_cap_migration migration = {
		.header = { .id = UAPI_IOMMU_CAP_MIGRATION, .version = 1 },
		.pgsize_bitmap = CBIT_PAGE_SIZE,
		.max_dirty_bitmap_size = UAPI_DIRTY_BITMAP_SIZE_MAX,
	};
	struct uapi_cap_dma_avail avail = {
		.header = { .id = UAPI_IOMMU_CAP_DMA_AVAIL, .version = 1 },
	};
	struct uapi_cap_iova_range ranges = {
		.header = { .id = UAPI_IOMMU_CAP_IOVA_RANGE, .version = 1 },
		.nr_iovas = VFIO_IOVA_RANGES,
	};
	struct caps caps = { 0 };
	size_t minsz;
	int ret;

	ret = vfio_get(call, &info, 0, UAPI_IOMMU_INFO_MINSZ);
	if (ret)
		return ret;
	if (info.argsz < UAPI_IOMMU_INFO_MINSZ)
		return -EINVAL;
	minsz = info.argsz < sizeof(info) ? info.argsz : sizeof(info);

	pthread_mutex_lock(&space->lock);
	avail.avail = space->dma_avail;
	pthread_mutex_unlock(&space->lock);
	memcpy(ranges.ranges, vfio_iova_ranges, sizeof(ranges.ranges));
	info.iova_pgsizes = VFIO_PGSIZES;
	caps_add(&caps, &migration, sizeof(migration), sizeof(info));
	caps_add(&caps, &avail, sizeof(avail), sizeof(info));
	caps_add(&caps, &ranges, sizeof(ranges), sizeof(info));
	info.flags = UAPI_IOMMU_INFO_PGSIZES | UAPI_IOMMU_INFO_CAPS;
	if (info.argsz < sizeof(info) + caps.size) {
		info.argsz = (uint32_t)sizeof(info) + caps.size;
	} else {
		ret = vfio_put(call, sizeof(info), caps.buf, caps.size);
		if (ret)
			return ret;
		info.cap_offset = sizeof(info);
	}
	return vfio_put(call, 0, &info, minsz);
}

static long map_dma(struct vfio_space *space, const struct vfio_call *call)
{
	struct uapi_dma_map map;
	unsigned int attrs = 0;
	uint64_t iova_last, vaddr_last;
	bool set_vaddr;
	long ret;

	ret = vfio_get(call, &map, 0, sizeof(map));
	if (ret)
		return ret;
	if (map.argsz < sizeof(map) ||
	    map.flags & ~(UAPI_DMA_MAP_READ | UAPI_DMA_MAP_WRITE | UAPI_DMA_MAP_VADDR))
		return -EINVAL;
	if (!map.size)
		return -EINVAL;
	if (__builtin_add_overflow(map.iova, map.size - 1, &iova_last) ||
	    __builtin_add_overflow(map.vaddr, map.size - 1, &vaddr_last))
		return -EOVERFLOW;
	if (map.flags & UAPI_DMA_MAP_WRITE)
		attrs |= CBIT_ATTR_WRITE;
	if (map.flags & UAPI_DMA_MAP_READ)
		attrs |= CBIT_ATTR_READ;
	set_vaddr = (map.flags & UAPI_DMA_MAP_VADDR) != 0;
	if (set_vaddr == (attrs != 0))
		return -EINVAL;
	if ((map.size | map.iova | map.vaddr) & ~CBIT_PAGE_MASK)
		return -EINVAL;

	pthread_mutex_lock(&space->lock);
	if (set_vaddr) {
		struct vfio_mapping *m = vfio_space_first(space, map.iova, iova_last);

		if (!m)
			ret = -ENOENT;
		else if (!m->vaddr_invalid || m->iova != map.iova || m->size != map.size)
			ret = -EINVAL;
		else
			ret = vfio_space_update_vaddr(space, call->caller, m, map.vaddr);
	} else if (vfio_space_first(space, map.iova, iova_last)) {
		const struct cbit_mapping_info refused = { .iova = CBIT_IOVA(map.iova),
							   .size = map.size,
							   .vaddr = map.vaddr,
							   .attrs = attrs };

		vfio_watch_refused(space, call, "VFIO_IOMMU_MAP_DMA", &refused);
		ret = -EEXIST;
	} else if (!space->dma_avail) {
		ret = -ENOSPC;
	} else if (!vfio_space_iova_valid(map.iova, iova_last)) {
		ret = -EINVAL;
	} else {
		ret = vfio_space_map(space, call->caller, map.iova, map.size, map.vaddr, attrs);
	}
	pthread_mutex_unlock(&space->lock);
	return ret;
}

/* Take the addresses of a range of mappings back: all of them, or none if one is taken already. */
static long invalidate_vaddr(struct vfio_space *space, uint64_t first, uint64_t last,
			     uint64_t *size)
{
	struct vfio_mapping *m, *undo;

	for (m = vfio_space_first(space, first, last); m && m->iova <= last;
	     m = vfio_space_next(space, m)) {
		if (!space->v2 && first > m->iova)
			break;
		if (m->vaddr_invalid) {
			for (undo = vfio_space_first(space, first, last); undo != m;
			     undo = vfio_space_next(space, undo)) {
				undo->vaddr_invalid = false;
				space->vaddr_invalid--;
			}
			*size = 0;
			return -EINVAL;
		}
		m->vaddr_invalid = true;
		space->vaddr_invalid++;
		*size += m->size;
	}
	return 0;
}

static long do_unmap(struct vfio_space *space, const struct vfio_call *call,
		     struct uapi_dma_unmap *unmap, const struct uapi_bitmap *bitmap)
{
	bool all = (unmap->flags & UAPI_DMA_UNMAP_ALL) != 0;
	struct vfio_mapping *m, *next;
	uint64_t first = unmap->iova, last, unmapped = 0;
	long ret = 0;

	if (first & ~CBIT_PAGE_MASK)
		return -EINVAL;
	if (all) {
		if (first || unmap->size)
			return -EINVAL;
		last = UINT64_MAX;
	} else {
		if (!unmap->size || unmap->size & ~CBIT_PAGE_MASK)
			return -EINVAL;
		if (__builtin_add_overflow(first, unmap->size - 1, &last))
			return -EOVERFLOW;
	}
	if (unmap->flags & UAPI_DMA_UNMAP_DIRTY_BITMAP &&
	    (!space->dirty_tracking || bitmap->pgsize != CBIT_PAGE_SIZE))
		return -EINVAL;
	if (space->v2 && !all) {
		/* v2: the range must not cut a mapping at either end. */
		m = vfio_space_first(space, first, first);
		if (m && m->iova != first)
			return -EINVAL;
		m = vfio_space_first(space, last, last);
		if (m && m->iova + m->size - 1 != last)
			return -EINVAL;
	}
	if (unmap->flags & UAPI_DMA_UNMAP_VADDR) {
		ret = invalidate_vaddr(space, first, last, &unmapped);
		if (!ret)
			unmap->size = unmapped;
		return ret;
	}
	for (m = vfio_space_first(space, first, last); m && m->iova <= last; m = next) {
		/* v1: a request that starts inside a mapping removes nothing, nor what follows. */
		if (!space->v2 && first > m->iova)
			break;
		next = vfio_space_next(space, m);
		if (unmap->flags & UAPI_DMA_UNMAP_DIRTY_BITMAP) {
			ret = vfio_dirty_mark(call, bitmap->data, m, first);
			if (ret)
				break;
		}
		unmapped += m->size;
		vfio_space_remove(space, m);
	}
	if (!ret && !unmapped && !all)
		vfio_tell_unmapped_nothing(space, call, first, unmap->size);
	unmap->size = unmapped;
	return ret;
}

static long unmap_dma(struct vfio_space *space, const struct vfio_call *call)
{
	struct uapi_bitmap bitmap = { 0 };
	struct uapi_dma_unmap unmap;
	long ret;

	ret = vfio_get(call, &unmap, 0, sizeof(unmap));
	if (ret)
		return ret;
	if (unmap.argsz < sizeof(unmap) ||
	    unmap.flags &
		    ~(UAPI_DMA_UNMAP_DIRTY_BITMAP | UAPI_DMA_UNMAP_ALL | UAPI_DMA_UNMAP_VADDR))
		return -EINVAL;
	if (unmap.flags & UAPI_DMA_UNMAP_DIRTY_BITMAP &&
	    unmap.flags & (UAPI_DMA_UNMAP_ALL | UAPI_DMA_UNMAP_VADDR))
		return -EINVAL;
	if (unmap.flags & UAPI_DMA_UNMAP_DIRTY_BITMAP) {
		if (unmap.argsz < sizeof(unmap) + sizeof(bitmap))
			return -EINVAL;
		ret = vfio_get(call, &bitmap, sizeof(unmap), sizeof(bitmap));
		if (ret)
			return ret;
		if (!vfio_access_ok(bitmap.data, bitmap.size) || !bitmap.pgsize)
			return -EINVAL;
		ret = vfio_dirty_check(unmap.size >> __builtin_ctzll(bitmap.pgsize), bitmap.size);
		if (ret)
			return ret;
	}
	pthread_mutex_lock(&space->lock);
	ret = do_unmap(space, call, &unmap, &bitmap);
	pthread_mutex_unlock(&space->lock);
	return ret ? ret : vfio_put(call, 0, &unmap, sizeof(unmap));
}

long vfio_type1_ioctl(struct vfio_container *container, const struct vfio_call *call, uint32_t cmd)
{
	switch (cmd) {
	case UAPI_IOMMU_GET_INFO:
		return get_info(container->space, call);
	case UAPI_IOMMU_MAP_DMA:
		return map_dma(container->space, call);
	case UAPI_IOMMU_UNMAP_DMA:
		return unmap_dma(container->space, call);
	case UAPI_IOMMU_DIRTY_PAGES:
		return vfio_dirty_pages(container->space, call);
	default:
		return -ENOTTY;
	}
}
