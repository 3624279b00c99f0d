/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * p2p_copy: one PCI device copies a buffer from memory straight into another device's BAR
 * (peer-to-peer DMA), and the CPU looks what has arrived.
 *
 * This is an ordinary VFIO program. It knows the kernel's interface and nothing else: it runs as
 * it is on a machine with an IOMMU and two such devices, and under "cbit run" without either.
 * How the engine is driven is in ioat_small.c.
 *
 * usage: p2p_copy [BDF_A BDF_B]      (default: the first two words of $CBIT_DEVICES)
 * Device A is an I/OAT DMA engine, device B anything with a BAR2 that can be mapped.
 * Exit status: 0 the bytes arrived, 1 the copy was lost, 2 the devices cannot be used.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "ioat_small.h"

struct device {
	const char *bdf;
	int group_number;
	int group; /* /dev/vfio/N */
	int fd;    /* the device itself */
};

/* Where the device finds things: any free I/O virtual addresses would do. */
#define BUFFER_IOVA 0x10000000ull
#define BAR_IOVA    0x20000000ull
#define BUFFER_SIZE ((size_t)4096) /* what is copied; the descriptor lies in the page behind it */

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "p2p_copy: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, err ? ": %s\n" : "\n", strerror(err));
	exit(2);
}

/* Opens the device's IOMMU group and puts it into the container. */
static void open_group(struct device *dev, int container)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[128], target[256];
	const char *number;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", dev->bdf);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		fail("%s", path);
	target[n] = '\0';
	number = strrchr(target, '/');
	dev->group_number = atoi(number ? number + 1 : target);

	snprintf(path, sizeof(path), "/dev/vfio/%d", dev->group_number);
	dev->group = open(path, O_RDWR | O_CLOEXEC);
	if (dev->group < 0)
		fail("%s", path);
	if (ioctl(dev->group, VFIO_GROUP_GET_STATUS, &status) < 0)
		fail("VFIO_GROUP_GET_STATUS");
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		errno = 0;
		fail("group %d is not viable: bind all of its devices to vfio-pci",
		     dev->group_number);
	}
	if (ioctl(dev->group, VFIO_GROUP_SET_CONTAINER, &container) < 0)
		fail("VFIO_GROUP_SET_CONTAINER");
}

static void open_device(struct device *dev)
{
	dev->fd = ioctl(dev->group, VFIO_GROUP_GET_DEVICE_FD, dev->bdf);
	if (dev->fd < 0)
		fail("VFIO_GROUP_GET_DEVICE_FD %s", dev->bdf);
}

static struct vfio_region_info region(const struct device *dev, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		fail("%s: VFIO_DEVICE_GET_REGION_INFO %u", dev->bdf, index);
	return info;
}

/* Maps a whole BAR into this process; NULL when the BAR is absent or cannot be mapped. */
static void *map_bar(const struct device *dev, uint32_t index, size_t *size)
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

/* A device answers at its BARs and may start DMA only with these two bits of its command word. */
static void enable_device(const struct device *dev)
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

/* Lets the devices of the container reach this process's memory, or a BAR mapped into it. */
static void dma_map(int container, void *address, uint64_t iova, size_t size, const char *what)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)address,
		.iova = iova,
		.size = size,
	};

	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) < 0)
		fail("VFIO_IOMMU_MAP_DMA of the %s", what);
	printf("%-6s mapped for DMA: IOVA 0x%llx, %zu bytes\n", what, (unsigned long long)iova,
	       size);
}

static void dma_unmap(int container, uint64_t iova, size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		fail("VFIO_IOMMU_UNMAP_DMA");
}

/* Runs one descriptor and waits for the engine. */
static void run_engine(volatile uint8_t *bar0, uint64_t descriptor_iova)
{
	uint32_t chanerr = 0;
	int ret = ioat_run(bar0, descriptor_iova, &chanerr);

	errno = 0;
	if (ret == -EIO)
		fail("the engine halted, CHANERR 0x%x", chanerr);
	if (ret)
		fail("the engine does not finish");
	printf("the engine reports success\n");
}

static void print_bytes(const char *label, const uint8_t *bytes)
{
	printf("  %-8s", label);
	for (int i = 0; i < 16; i++)
		printf(" %02x", bytes[i]);
	printf(" ...\n");
}

int main(int argc, char **argv)
{
	struct device a = { .fd = -1 }, b = { .fd = -1 };
	char list[256];
	struct ioat_descriptor *descriptor;
	void *bar0, *bar;
	size_t bar0_size = 0, bar_size = 0;
	size_t equal = 0;
	uint8_t *buffer;
	int container;

	if (argc == 3) {
		a.bdf = argv[1];
		b.bdf = argv[2];
	} else if (argc == 1 && getenv("CBIT_DEVICES")) {
		snprintf(list, sizeof(list), "%s", getenv("CBIT_DEVICES"));
		a.bdf = strtok(list, " ");
		b.bdf = strtok(NULL, " ");
	}
	if (!a.bdf || !b.bdf) {
		fprintf(stderr, "usage: p2p_copy BDF_A BDF_B\n");
		return 2;
	}

	/* One container, one set of DMA mappings, for both groups. */
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (container < 0)
		fail("/dev/vfio/vfio");
	open_group(&a, container);
	open_group(&b, container);
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		fail("VFIO_SET_IOMMU");
	open_device(&a);
	open_device(&b);
	enable_device(&a);
	enable_device(&b);

	bar0 = map_bar(&a, VFIO_PCI_BAR0_REGION_INDEX, &bar0_size);
	bar = map_bar(&b, VFIO_PCI_BAR2_REGION_INDEX, &bar_size);
	errno = 0;
	if (!bar0 || !bar || bar_size < BUFFER_SIZE)
		fail("%s has no BAR%d that can be mapped", bar0 ? b.bdf : a.bdf, bar0 ? 2 : 0);
	printf("device A %s (group %d) copies into BAR2 of device B %s (group %d)\n", a.bdf,
	       a.group_number, b.bdf, b.group_number);

	buffer = mmap(NULL, BUFFER_SIZE + sizeof(*descriptor), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		fail("mmap of the buffer");
	for (size_t i = 0; i < BUFFER_SIZE; i++)
		buffer[i] = (uint8_t)("peer to peer"[i % 12]);

	dma_map(container, buffer, BUFFER_IOVA, 2 * BUFFER_SIZE, "buffer");
	dma_map(container, bar, BAR_IOVA, bar_size, "BAR");

	descriptor = (struct ioat_descriptor *)(buffer + BUFFER_SIZE);
	*descriptor = (struct ioat_descriptor){
		.size = BUFFER_SIZE,
		.source = BUFFER_IOVA,
		.target = BAR_IOVA,
		.next = BUFFER_IOVA + BUFFER_SIZE,
	};
	run_engine(bar0, descriptor->next);

	for (size_t i = 0; i < BUFFER_SIZE; i++)
		equal += ((volatile uint8_t *)bar)[i] == buffer[i];
	if (equal == BUFFER_SIZE) {
		printf("the bytes arrived: %zu of %zu\n", equal, BUFFER_SIZE);
	} else {
		printf("the copy was lost: %zu of %zu bytes arrived\n", equal, BUFFER_SIZE);
		print_bytes("BAR holds", bar);
		print_bytes("expected", buffer);
	}

	dma_unmap(container, BAR_IOVA, bar_size);
	dma_unmap(container, BUFFER_IOVA, 2 * BUFFER_SIZE);
	munmap(bar, bar_size);
	munmap(bar0, bar0_size);
	close(b.fd);
	close(a.fd);
	close(b.group);
	close(a.group);
	close(container);
	return equal == BUFFER_SIZE ? 0 : 1;
}
