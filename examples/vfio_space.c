/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One address space for DMA: a container with type1, or an iommufd. See vfio_space.h.
 */
#include "vfio_space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

/* Of <linux/iommufd.h> and newer versions of <linux/vfio.h>, by names of our own. */
struct bind_iommufd { /* VFIO_DEVICE_BIND_IOMMUFD */
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_devid;
};
struct attach_iommufd { /* VFIO_DEVICE_ATTACH_IOMMUFD_PT */
	uint32_t argsz, flags, pt_id;
};
struct get_dma_buf { /* VFIO_DEVICE_FEATURE with VFIO_DEVICE_FEATURE_DMA_BUF, one range */
	uint32_t argsz, flags;
	uint32_t region_index, open_flags, reserved, nr_ranges;
	uint64_t offset, length;
};
struct ioas_alloc { /* IOMMU_IOAS_ALLOC */
	uint32_t size, flags, out_ioas_id;
};
struct ioas_map { /* IOMMU_IOAS_MAP */
	uint32_t size, flags, ioas_id, reserved;
	uint64_t user_va, length, iova;
};
struct ioas_map_file { /* IOMMU_IOAS_MAP_FILE */
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};
struct ioas_unmap { /* IOMMU_IOAS_UNMAP */
	uint32_t size, ioas_id;
	uint64_t iova, length;
};
#define BIND_IOMMUFD      _IO(';', 118)
#define ATTACH_IOMMUFD_PT _IO(';', 119)
#define IOAS_ALLOC        _IO(';', 0x81)
#define IOAS_MAP          _IO(';', 0x85)
#define IOAS_UNMAP        _IO(';', 0x86)
#define IOAS_MAP_FILE     _IO(';', 0x8f)
#define FEATURE_DMA_BUF   11
#define MAP_FLAGS         7 /* FIXED_IOVA, WRITEABLE, READABLE */

void fail(const char *format, ...)
{
	int err = errno;
	va_list ap;

	fflush(stdout);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, err ? ": %s\n" : "\n", strerror(err));
	exit(2);
}

/* --- opening --- */

static void open_in_container(struct space *space, struct device *dev)
{
	char path[512], target[256], *number;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", dev->bdf);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		fail("%s", path);
	target[n] = '\0';
	number = strrchr(target, '/');
	snprintf(path, sizeof(path), "/dev/vfio/%s", number ? number + 1 : target);
	dev->group = open(path, O_RDWR | O_CLOEXEC);
	if (dev->group < 0)
		fail("%s", path);
	if (ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &space->fd) < 0)
		fail("%s: VFIO_GROUP_SET_CONTAINER", dev->bdf);
}

static void open_with_iommufd(struct space *space, struct device *dev)
{
	struct bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = space->fd };
	struct attach_iommufd attach = { .argsz = sizeof(attach), .pt_id = space->ioas };
	struct dirent *entry;
	char path[300];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", dev->bdf);
	dir = opendir(path);
	if (!dir)
		fail("%s (is the device bound to vfio-pci?)", path);
	do {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			fail("%s is empty", path);
	} while (strncmp(entry->d_name, "vfio", 4) != 0);
	snprintf(path, sizeof(path), "/dev/vfio/devices/%.255s", entry->d_name);
	closedir(dir);
	dev->group = -1;
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0)
		fail("%s", path);
	if (ioctl(dev->fd, BIND_IOMMUFD, &bind) < 0)
		fail("%s: VFIO_DEVICE_BIND_IOMMUFD", dev->bdf);
	if (ioctl(dev->fd, ATTACH_IOMMUFD_PT, &attach) < 0)
		fail("%s: VFIO_DEVICE_ATTACH_IOMMUFD_PT", dev->bdf);
}

static struct vfio_region_info region(const struct device *dev, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		fail("%s: VFIO_DEVICE_GET_REGION_INFO %u", dev->bdf, index);
	return info;
}

static void enable(const struct device *dev)
{
	struct vfio_region_info config = region(dev, VFIO_PCI_CONFIG_REGION_INDEX);
	off_t at = (off_t)config.offset + PCI_COMMAND;
	uint16_t command;

	if (pread(dev->fd, &command, sizeof(command), at) != sizeof(command))
		fail("%s: reading the command register", dev->bdf);
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(dev->fd, &command, sizeof(command), at) != sizeof(command))
		fail("%s: writing the command register", dev->bdf);
}

void space_open(struct space *space, enum space_kind kind, struct device *devices, unsigned int nr)
{
	struct ioas_alloc ioas = { .size = sizeof(ioas) };

	space->kind = kind;
	space->fd = open(kind == SPACE_TYPE1 ? "/dev/vfio/vfio" : "/dev/iommu", O_RDWR | O_CLOEXEC);
	if (space->fd < 0)
		fail(kind == SPACE_TYPE1 ? "/dev/vfio/vfio" : "/dev/iommu");
	if (kind == SPACE_DMABUF && ioctl(space->fd, IOAS_ALLOC, &ioas) < 0)
		fail("IOMMU_IOAS_ALLOC");
	space->ioas = ioas.out_ioas_id;
	for (unsigned int i = 0; i < nr; i++) {
		if (kind == SPACE_TYPE1)
			open_in_container(space, &devices[i]);
		else
			open_with_iommufd(space, &devices[i]);
	}
	if (kind == SPACE_TYPE1 && ioctl(space->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		fail("VFIO_SET_IOMMU");
	for (unsigned int i = 0; i < nr; i++) {
		if (kind == SPACE_TYPE1)
			devices[i].fd =
				ioctl(devices[i].group, VFIO_GROUP_GET_DEVICE_FD, devices[i].bdf);
		if (devices[i].fd < 0)
			fail("VFIO_GROUP_GET_DEVICE_FD %s", devices[i].bdf);
		enable(&devices[i]);
	}
}

void space_close(struct space *space, struct device *devices, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		close(devices[i].fd);
		if (devices[i].group >= 0)
			close(devices[i].group);
	}
	close(space->fd);
}

/* --- mapping --- */

void space_map(const struct space *space, void *address, uint64_t iova, size_t size)
{
	struct vfio_iommu_type1_dma_map type1 = {
		.argsz = sizeof(type1),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)address,
		.iova = iova,
		.size = size,
	};
	struct ioas_map map = {
		.size = sizeof(map),
		.flags = MAP_FLAGS,
		.ioas_id = space->ioas,
		.user_va = (uintptr_t)address,
		.length = size,
		.iova = iova,
	};

	if (space->kind == SPACE_TYPE1 ? ioctl(space->fd, VFIO_IOMMU_MAP_DMA, &type1)
				       : ioctl(space->fd, IOAS_MAP, &map))
		fail("mapping 0x%llx for DMA", (unsigned long long)iova);
}

void space_map_bar(const struct space *space, const struct device *dev, uint32_t index,
		   void *address, uint64_t iova, size_t size)
{
	struct get_dma_buf get = {
		.argsz = sizeof(get),
		.flags = VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF,
		.region_index = index,
		.open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = 1,
		.length = size,
	};
	struct ioas_map_file map = {
		.size = sizeof(map),
		.flags = MAP_FLAGS,
		.ioas_id = space->ioas,
		.length = size,
		.iova = iova,
	};

	if (space->kind == SPACE_TYPE1) {
		space_map(space, address, iova, size);
		return;
	}
	map.fd = ioctl(dev->fd, VFIO_DEVICE_FEATURE, &get);
	if (map.fd < 0)
		fail("%s: VFIO_DEVICE_FEATURE_DMA_BUF of BAR%u (there since Linux 6.19)", dev->bdf,
		     index);
	if (ioctl(space->fd, IOAS_MAP_FILE, &map) < 0)
		fail("%s: IOMMU_IOAS_MAP_FILE of BAR%u", dev->bdf, index);
	close(map.fd); /* the mapping keeps the dma-buf */
}

void space_unmap(const struct space *space, uint64_t iova, size_t size)
{
	struct vfio_iommu_type1_dma_unmap type1 = {
		.argsz = sizeof(type1),
		.iova = iova,
		.size = size,
	};
	struct ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = space->ioas,
		.iova = iova,
		.length = size,
	};

	if (space->kind == SPACE_TYPE1 ? ioctl(space->fd, VFIO_IOMMU_UNMAP_DMA, &type1)
				       : ioctl(space->fd, IOAS_UNMAP, &unmap))
		fail("unmapping 0x%llx", (unsigned long long)iova);
}

void *device_bar(const struct device *dev, uint32_t index, size_t *size)
{
	struct vfio_region_info info = region(dev, index);
	void *bar;

	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || !info.size)
		return NULL;
	*size = (size_t)info.size;
	bar = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd, (off_t)info.offset);
	if (bar == MAP_FAILED)
		fail("%s: mmap of BAR%u", dev->bdf, index);
	return bar;
}
