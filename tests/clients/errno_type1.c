// SPDX-License-Identifier: BSD-3-Clause
/* client_errno: the calls of a type1 container, IOMMU_GET_INFO, MAP_DMA and UNMAP_DMA. */
#include "errno_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define RW    (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define IOVA  0x10000000ull
#define LIMIT 65535u

static int map(struct vc *c, const void *address, uint64_t iova, uint64_t size, uint32_t flags)
{
	return -vc_map_flags(c, address, iova, size, flags);
}

static int unmap(struct vc *c, uint64_t iova, uint64_t size)
{
	return -vc_unmap(c, iova, size, NULL);
}

/* Looks for a capability; the whole answer is info->argsz bytes long. */
static const struct vfio_info_cap_header *capability(const struct vfio_iommu_type1_info *info,
						     uint16_t id)
{
	uint32_t at = info->cap_offset;

	while (at && at + sizeof(struct vfio_info_cap_header) <= info->argsz) {
		const void *place = (const char *)info + at;
		const struct vfio_info_cap_header *cap = place;

		if (cap->id == id)
			return cap;
		at = cap->next;
	}
	return NULL;
}

static struct vfio_iommu_type1_info *get_info(struct vc *c)
{
	struct vfio_iommu_type1_info first = { .argsz = sizeof(first) };
	struct vfio_iommu_type1_info *info;

	VC_REQUIRE(!ioctl(c->container, VFIO_IOMMU_GET_INFO, &first), "IOMMU_GET_INFO");
	info = calloc(1, first.argsz);
	VC_REQUIRE(info, "calloc");
	info->argsz = first.argsz;
	VC_REQUIRE(!ioctl(c->container, VFIO_IOMMU_GET_INFO, info), "IOMMU_GET_INFO");
	return info;
}

static uint32_t mappings_left(struct vc *c)
{
	struct vfio_iommu_type1_info *info = get_info(c);
	const struct vfio_info_cap_header *cap = capability(info, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
	uint32_t left = UINT32_MAX;

	if (cap)
		memcpy(&left, (const char *)cap + sizeof(*cap), sizeof(left));
	free(info);
	return left;
}

static void check_ranges(struct vc *c, const struct vfio_iommu_type1_info *info, const void *p)
{
	const struct vfio_iommu_type1_info_cap_iova_range *cap;
	uint64_t next = 0;
	bool sorted = true, msi = false;

	cap = (const void *)capability(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
	check_true("the IOVA ranges are given", cap && cap->nr_iovas);
	if (!cap)
		return;
	for (uint32_t i = 0; i < cap->nr_iovas; i++) {
		sorted = sorted && cap->iova_ranges[i].start >= next &&
			 cap->iova_ranges[i].end > cap->iova_ranges[i].start;
		next = cap->iova_ranges[i].end;
		msi = msi || (cap->iova_ranges[i].start <= 0xfee00000 && next >= 0xfee00000);
	}
	check_true("the IOVA ranges are in order and apart", sorted);
	check_true("the MSI window is in no IOVA range", !msi);
	check_errno("MAP_DMA into the MSI window", EINVAL, map(c, p, 0xfee00000, VC_PAGE, RW));
	check_errno("MAP_DMA across the start of the MSI window", EINVAL,
		    map(c, p, 0xfee00000 - VC_PAGE, 2 * VC_PAGE, RW));
	next = cap->iova_ranges[cap->nr_iovas - 1].end;
	check_errno("MAP_DMA of the last page of the last range", 0,
		    map(c, p, next & ~(uint64_t)(VC_PAGE - 1), VC_PAGE, RW));
	vc_unmap_exact(c, next & ~(uint64_t)(VC_PAGE - 1), VC_PAGE);
}

static void check_info(struct vc *c, const void *p)
{
	struct vfio_iommu_type1_info info = { .argsz = 8 };
	struct vfio_iommu_type1_info *whole;

	EXPECT("IOMMU_GET_INFO, argsz too small", EINVAL,
	       ioctl(c->container, VFIO_IOMMU_GET_INFO, &info));
	EXPECT("IOMMU_GET_INFO, bad pointer", EFAULT, ioctl(c->container, VFIO_IOMMU_GET_INFO, 8));
	memset(&info, 0x5a, sizeof(info));
	info.argsz = 16;
	EXPECT("IOMMU_GET_INFO, the oldest argsz", 0,
	       ioctl(c->container, VFIO_IOMMU_GET_INFO, &info));
	check_true("the flags are PGSIZES and CAPS",
		   info.flags == (VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS));
	check_true("argsz tells how much there is", info.argsz > sizeof(info));
	check_true("4 KiB pages are offered", info.iova_pgsizes & VC_PAGE);
	check_true("nothing is written behind argsz", info.cap_offset == 0x5a5a5a5a);
	whole = get_info(c);
	check_true("cap_offset points behind the structure", whole->cap_offset == sizeof(*whole));
	check_true("the migration capability is given",
		   capability(whole, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION));
	check_true("65535 mappings are available", mappings_left(c) == LIMIT);
	check_ranges(c, whole, p);
	free(whole);
}

static void check_map_arguments(struct vc *c, const uint8_t *p)
{
	struct vfio_iommu_type1_dma_map m = { .argsz = sizeof(m) - 1,
					      .flags = RW,
					      .vaddr = (uintptr_t)p,
					      .iova = IOVA,
					      .size = VC_PAGE };
	const uint32_t page = VC_PAGE;

	EXPECT("MAP_DMA, argsz too small", EINVAL, ioctl(c->container, VFIO_IOMMU_MAP_DMA, &m));
	m.argsz = sizeof(m) + 100;
	EXPECT("MAP_DMA, a longer argsz", 0, ioctl(c->container, VFIO_IOMMU_MAP_DMA, &m));
	vc_unmap_exact(c, IOVA, page);
	EXPECT("MAP_DMA, bad pointer", EFAULT, ioctl(c->container, VFIO_IOMMU_MAP_DMA, 8));
	check_errno("MAP_DMA without flags", EINVAL, map(c, p, IOVA, page, 0));
	check_errno("MAP_DMA, unknown flag", EINVAL, map(c, p, IOVA, page, RW | 1u << 7));
	check_errno("MAP_DMA, READ and VADDR", EINVAL,
		    map(c, p, IOVA, page, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_VADDR));
	check_errno("MAP_DMA, VADDR of nothing", ENOENT,
		    map(c, p, IOVA, page, VFIO_DMA_MAP_FLAG_VADDR));
	check_errno("MAP_DMA, size 0", EINVAL, map(c, p, IOVA, 0, RW));
	check_errno("MAP_DMA, odd size", EINVAL, map(c, p, IOVA, page + 1, RW));
	check_errno("MAP_DMA, odd IOVA", EINVAL, map(c, p, IOVA + 512, page, RW));
	check_errno("MAP_DMA, odd address", EINVAL, map(c, p + 512, IOVA, page, RW));
	check_errno("MAP_DMA, the IOVA overflows", EOVERFLOW,
		    map(c, p, 0ull - page, 2ull * page, RW));
	check_errno("MAP_DMA, the address overflows", EOVERFLOW,
		    map(c, (const void *)(uintptr_t)(0ull - page), IOVA, 2ull * page, RW));
	check_errno("MAP_DMA, overflow comes before flags", EOVERFLOW,
		    map(c, p, 0ull - page, 2ull * page, 0));
	check_errno("MAP_DMA, size 0 comes before overflow", EINVAL, map(c, p, 0ull - 1, 0, RW));
}

void check_map(struct vc *c, int type)
{
	uint8_t *p = vc_memory(8 * VC_PAGE, VC_PAGE, 0);
	const uint64_t page = VC_PAGE;
	uint8_t *ro = p + 4 * page, *none = p + 5 * page;

	(void)type;
	check_info(c, p);
	check_map_arguments(c, p);

	check_errno("MAP_DMA", 0, map(c, p, IOVA, 2 * page, RW));
	check_true("one mapping fewer is available", mappings_left(c) == LIMIT - 1);
	check_errno("MAP_DMA of the same again", EEXIST, map(c, p, IOVA, 2 * page, RW));
	check_errno("MAP_DMA over the first page", EEXIST, map(c, p, IOVA - page, 2 * page, RW));
	check_errno("MAP_DMA over the last page", EEXIST, map(c, p, IOVA + page, 2 * page, RW));
	check_errno("MAP_DMA around it", EEXIST, map(c, p, IOVA - page, 4 * page, RW));
	check_errno("MAP_DMA inside it", EEXIST, map(c, p, IOVA + page, page, RW));
	check_errno("MAP_DMA right before it", 0, map(c, p, IOVA - page, page, RW));
	check_errno("MAP_DMA right behind it", 0, map(c, p, IOVA + 2 * page, page, RW));
	check_errno("MAP_DMA, VADDR of a valid mapping", EINVAL,
		    map(c, p, IOVA, 2 * page, VFIO_DMA_MAP_FLAG_VADDR));
	vc_unmap_exact(c, IOVA - page, page);
	vc_unmap_exact(c, IOVA, 2 * page);
	vc_unmap_exact(c, IOVA + 2 * page, page);

	check_errno("MAP_DMA to read only", 0, map(c, p, IOVA, page, VFIO_DMA_MAP_FLAG_READ));
	vc_unmap_exact(c, IOVA, page);
	check_errno("MAP_DMA to write only", 0, map(c, p, IOVA, page, VFIO_DMA_MAP_FLAG_WRITE));
	vc_unmap_exact(c, IOVA, page);

	VC_REQUIRE(!mprotect(ro, page, PROT_READ) && !mprotect(none, page, PROT_NONE) &&
			   !munmap(p + 6 * page, page),
		   "preparing memory");
	check_errno("MAP_DMA of read-only memory to write", EFAULT, map(c, ro, IOVA, page, RW));
	check_errno("MAP_DMA of read-only memory to read", 0,
		    map(c, ro, IOVA, page, VFIO_DMA_MAP_FLAG_READ));
	vc_unmap_exact(c, IOVA, page);
	check_errno("MAP_DMA of memory without access", EFAULT,
		    map(c, none, IOVA, page, VFIO_DMA_MAP_FLAG_READ));
	check_errno("MAP_DMA of no memory", EFAULT, map(c, p + 6 * page, IOVA, page, RW));
	check_errno("MAP_DMA that runs into no memory", EFAULT, map(c, p, IOVA, 8 * page, RW));
	check_true("a failed MAP_DMA leaves nothing", mappings_left(c) == LIMIT);
	check_errno("MAP_DMA where one has failed", 0, map(c, p, IOVA, page, RW));
	vc_unmap_exact(c, IOVA, page);
	munmap(p, 8 * page);
}

static int unmap_flags(struct vc *c, uint64_t iova, uint64_t *size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u), .flags = flags, .iova = iova, .size = *size
	};
	int err = ERRNO_OF(ioctl(c->container, VFIO_IOMMU_UNMAP_DMA, &u));

	*size = u.size;
	return err;
}

static void check_unmap_arguments(struct vc *c)
{
	struct vfio_iommu_type1_dma_unmap u = { .argsz = sizeof(u) - 1,
						.iova = IOVA,
						.size = VC_PAGE };
	const uint64_t page = VC_PAGE;
	uint64_t size;

	EXPECT("UNMAP_DMA, argsz too small", EINVAL, ioctl(c->container, VFIO_IOMMU_UNMAP_DMA, &u));
	EXPECT("UNMAP_DMA, bad pointer", EFAULT, ioctl(c->container, VFIO_IOMMU_UNMAP_DMA, 8));
	size = page;
	check_errno("UNMAP_DMA, unknown flag", EINVAL, unmap_flags(c, IOVA, &size, 1u << 7));
	check_true("a refused UNMAP_DMA leaves size as it was", size == page);
	check_errno("UNMAP_DMA, size 0", EINVAL, unmap(c, IOVA, 0));
	check_errno("UNMAP_DMA, odd size", EINVAL, unmap(c, IOVA, page + 1));
	check_errno("UNMAP_DMA, odd IOVA", EINVAL, unmap(c, IOVA + 512, page));
	check_errno("UNMAP_DMA, the IOVA overflows", EOVERFLOW, unmap(c, 0ull - page, 2 * page));
	size = page;
	check_errno("UNMAP_DMA, ALL with a size", EINVAL,
		    unmap_flags(c, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	size = 0;
	check_errno("UNMAP_DMA, ALL with an IOVA", EINVAL,
		    unmap_flags(c, page, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	check_errno("UNMAP_DMA, ALL of nothing", 0,
		    unmap_flags(c, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	check_true("ALL of nothing unmaps 0 bytes", !size);
	check_errno("UNMAP_DMA, ALL and the dirty bitmap", EINVAL,
		    unmap_flags(c, 0, &size,
				VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP));
	size = page;
	check_errno("UNMAP_DMA of nothing", 0, unmap_flags(c, IOVA, &size, 0));
	check_true("UNMAP_DMA of nothing unmaps 0 bytes", !size);
}

void check_unmap(struct vc *c, int type)
{
	uint8_t *p = vc_memory(4 * VC_PAGE, VC_PAGE, 0);
	bool v2 = type == VFIO_TYPE1v2_IOMMU;
	const uint64_t page = VC_PAGE;
	uint64_t size;

	check_unmap_arguments(c);

	vc_map(c, p, IOVA, 4 * page);
	size = page;
	check_errno("UNMAP_DMA of the middle", v2 ? EINVAL : 0,
		    unmap_flags(c, IOVA + page, &size, 0));
	check_true("the middle unmaps nothing", size == (v2 ? page : 0));
	size = page;
	check_errno("UNMAP_DMA of the last page", v2 ? EINVAL : 0,
		    unmap_flags(c, IOVA + 3 * page, &size, 0));
	check_true("the last page unmaps nothing", size == (v2 ? page : 0));
	size = page;
	check_errno("UNMAP_DMA of the first page", v2 ? EINVAL : 0, unmap_flags(c, IOVA, &size, 0));
	check_true(v2 ? "the first page unmaps nothing" : "the first page unmaps all of it",
		   size == (v2 ? page : 4 * page));
	if (v2)
		vc_unmap_exact(c, IOVA, 4 * page);

	vc_map(c, p, IOVA, page);
	vc_map(c, p, IOVA + 4 * page, 2 * page);
	size = 16 * page;
	check_errno("UNMAP_DMA around two mappings", 0, unmap_flags(c, IOVA - page, &size, 0));
	check_true("it unmaps the bytes of both, not of the gap", size == 3 * page);

	vc_map(c, p, IOVA, page);
	vc_map(c, p, IOVA + 4 * page, 2 * page);
	size = 5 * page;
	check_errno("UNMAP_DMA that ends inside a mapping", v2 ? EINVAL : 0,
		    unmap_flags(c, IOVA, &size, 0));
	check_true("nothing or everything is unmapped", size == (v2 ? 5 * page : 3 * page));
	if (v2) {
		size = 0;
		check_errno("UNMAP_DMA, ALL", 0, unmap_flags(c, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
		check_true("ALL unmaps the bytes of both", size == 3 * page);
	}
	check_errno("MAP_DMA again", 0, map(c, p, IOVA, 4 * page, RW));
	vc_unmap_exact(c, IOVA, 4 * page);
	check_true("no mapping is left", mappings_left(c) == LIMIT);
	munmap(p, 4 * page);
}

/* The default limit of mappings in a container, 65535. */
void check_limit(struct vc *c)
{
	uint8_t *p = vc_memory(VC_PAGE, VC_PAGE, 0);
	uint64_t size = 0;
	uint32_t n = 0;

	while (n < LIMIT && !map(c, p, IOVA + n * 2ull * VC_PAGE, VC_PAGE, RW))
		n++;
	check_true("65535 mappings can be made", n == LIMIT);
	check_true("none is available then", mappings_left(c) == 0);
	check_errno("the next MAP_DMA", ENOSPC, map(c, p, IOVA + n * 2ull * VC_PAGE, VC_PAGE, RW));
	check_errno("an overlap comes first", EEXIST, map(c, p, IOVA, VC_PAGE, RW));
	vc_unmap_exact(c, IOVA, VC_PAGE);
	check_errno("MAP_DMA after one UNMAP_DMA", 0, map(c, p, IOVA, VC_PAGE, RW));
	check_errno("UNMAP_DMA, ALL", 0, unmap_flags(c, 0, &size, VFIO_DMA_UNMAP_FLAG_ALL));
	check_true("ALL unmaps 65535 pages", size == (uint64_t)LIMIT * VC_PAGE);
	munmap(p, VC_PAGE);
}
