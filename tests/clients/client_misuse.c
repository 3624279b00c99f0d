// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: calls that are answered, and do not do what the program thinks.
 *
 * usage: client_misuse CASE [right]
 *   unmap-nothing  unmaps a range beside the one that is mapped
 *   unmap-inside   unmaps from the middle of a mapping on, with VFIO_TYPE1_IOMMU
 *   exists         goes on after MAP_DMA has failed with EEXIST, and has the device use the range
 *   set-iommu      maps, unmaps and asks before the container has an IOMMU
 * With "right" it does what the program should have done.
 * Exit status 0: the kernel's answers were those that are expected; 2: they were not.
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SOURCE 0x10000000ull
#define TARGET 0x20000000ull

static void unmap_nothing(bool right)
{
	uint64_t unmapped = 1;
	struct vc c;
	void *p;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	p = vc_memory(VC_PAGE, VC_PAGE, 0);
	vc_map(&c, p, SOURCE, VC_PAGE);
	if (!right)
		VC_REQUIRE(!vc_unmap(&c, TARGET, VC_PAGE, &unmapped) && !unmapped,
			   "unmapping nothing");
	vc_unmap_exact(&c, SOURCE, VC_PAGE);
	vc_close(&c);
}

static void unmap_inside(bool right)
{
	uint64_t unmapped = 1;
	struct vc c;
	void *p;

	vc_open(&c, 0, 1, VFIO_TYPE1_IOMMU);
	p = vc_memory(4 * VC_PAGE, VC_PAGE, 0);
	vc_map(&c, p, SOURCE, 4 * VC_PAGE);
	if (!right)
		VC_REQUIRE(!vc_unmap(&c, SOURCE + VC_PAGE, 3 * VC_PAGE, &unmapped) && !unmapped,
			   "unmapping from inside");
	vc_unmap_exact(&c, SOURCE, 4 * VC_PAGE);
	vc_close(&c);
}

static void exists(bool right)
{
	const uint32_t rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	uint8_t *source, *old, *target;
	uint64_t size = 2 * VC_PAGE;
	struct vc_device *d;
	struct vc c;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	d = &c.dev[0];
	source = vc_memory(VC_PAGE, VC_PAGE, 0);
	old = vc_memory(size, VC_PAGE, 0);
	target = vc_memory(size, VC_PAGE, 0);
	vc_fill(source, VC_PAGE, 1);
	vc_map(&c, source, SOURCE, VC_PAGE);
	vc_map(&c, old, TARGET, size);
	vc_engine(&c, d, 0x1000000);
	VC_REQUIRE(vc_map_flags(&c, target, TARGET, size, rw) == -EEXIST, "MAP_DMA again");
	/* Just what is there already is refused as well, and is no harm. */
	VC_REQUIRE(vc_map_flags(&c, old, TARGET, size, rw) == -EEXIST, "the same MAP_DMA again");
	if (right) {
		vc_unmap_exact(&c, TARGET, size);
		vc_map(&c, target, TARGET, size);
	}
	VC_REQUIRE(vc_copy(d, SOURCE, TARGET + VC_PAGE, VC_PAGE) == IOAT_DONE, "the copy");
	VC_REQUIRE(vc_copy(d, SOURCE, TARGET, VC_PAGE) == IOAT_DONE, "the second copy");
	VC_REQUIRE(vc_filled((right ? target : old) + VC_PAGE, VC_PAGE, 1), "the bytes");
	vc_engine_end(&c, d);
	vc_unmap_exact(&c, TARGET, size);
	vc_unmap_exact(&c, SOURCE, VC_PAGE);
	vc_close(&c);
}

static void set_iommu(bool right)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	int container = open("/dev/vfio/vfio", O_RDWR), group;
	struct vc c = { .container = container };
	char path[64];
	void *p = vc_memory(VC_PAGE, VC_PAGE, 0);

	vc_list(&c);
	c.container = container;
	VC_REQUIRE(container >= 0, "/dev/vfio/vfio");
	/* What a program may ask at any time. */
	VC_REQUIRE(ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION, "API version");
	VC_REQUIRE(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1, "extension");
	if (!right) {
		VC_REQUIRE(vc_map_flags(&c, p, SOURCE, VC_PAGE, VFIO_DMA_MAP_FLAG_READ) == -EINVAL,
			   "MAP_DMA");
		VC_REQUIRE(ioctl(container, VFIO_IOMMU_GET_INFO, &info) == -1 && errno == EINVAL,
			   "GET_INFO");
	}
	snprintf(path, sizeof(path), "/dev/vfio/%d", vc_group_number(c.dev[0].bdf));
	group = open(path, O_RDWR);
	VC_REQUIRE(group >= 0 && !ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "the group");
	if (!right)
		VC_REQUIRE(vc_unmap(&c, SOURCE, VC_PAGE, NULL) == -EINVAL, "UNMAP_DMA");
	VC_REQUIRE(!ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	VC_REQUIRE(!ioctl(container, VFIO_IOMMU_GET_INFO, &info), "GET_INFO");
	vc_map(&c, p, SOURCE, VC_PAGE);
	vc_unmap_exact(&c, SOURCE, VC_PAGE);
	close(group);
	close(container);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(bool right);
	} cases[] = {
		{ "unmap-nothing", unmap_nothing },
		{ "unmap-inside", unmap_inside },
		{ "exists", exists },
		{ "set-iommu", set_iommu },
	};
	bool right = argc == 3 && !strcmp(argv[2], "right");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc > 1 && !strcmp(argv[1], cases[i].name)) {
			cases[i].run(right);
			return 0;
		}
	}
	vc_die("unknown case");
}
