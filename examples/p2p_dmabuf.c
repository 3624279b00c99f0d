/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * p2p_dmabuf: what p2p_copy does, the way that Linux has had for it since 6.19: the other device's
 * BAR is exported as a dma-buf, and iommufd maps that. Neither a container nor a mapping of the BAR
 * is needed for the DMA, and the IOMMU's entries are those of device memory on any machine.
 *
 * This is an ordinary VFIO program, as p2p_copy is.
 *
 * usage: p2p_dmabuf [BDF_A BDF_B]      (default: the first two words of $CBIT_DEVICES)
 * Device A is an I/OAT DMA engine, device B anything with a BAR2 that can be mapped.
 * Exit status: 0 the bytes arrived, 1 the copy was lost, 2 the devices cannot be used.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

/*
 * What <linux/iommufd.h> and newer versions of <linux/vfio.h> say, by names of our own: headers of
 * Linux 6.1 do not have it.
 */
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

/* I/OAT: the few registers that one copy needs, at their places in BAR0. */
#define IOAT_CHANNEL       0x80 /* where the channel's registers begin */
#define CHANCTRL           0x00 /* 16 bits */
#define CHANCMD            0x04 /* 8 bits */
#define DMACOUNT           0x06 /* 16 bits: writing it starts the engine */
#define CHANSTS            0x08 /* 64 bits, state in the low three */
#define CHAINADDR          0x10 /* 64 bits: IOVA of the first descriptor */
#define CHANERR            0x28 /* 32 bits */
#define CMD_RESET          0x20 /* clears itself */
#define CTRL_STOP_ON_ERROR 0x0008
#define STATE_MASK         7u
#define STATE_DONE         1u
#define STATE_HALTED       3u

struct ioat_descriptor {
	uint32_t size;
	uint32_t control; /* 0: a copy, no interrupt, no completion record */
	uint64_t source;
	uint64_t target;
	uint64_t next;
	uint64_t reserved[4];
};

struct device {
	const char *bdf;
	int fd; /* /dev/vfio/devices/vfioN */
};

#define BUFFER_IOVA 0x10000000ull
#define BAR_IOVA    0x20000000ull
#define BUFFER_SIZE ((size_t)4096) /* what is copied; the descriptor lies in the page behind it */

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	int err = errno;
	va_list ap;

	fprintf(stderr, "p2p_dmabuf: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, err ? ": %s\n" : "\n", strerror(err));
	exit(2);
}

/* Opens the device's own node, whose name is in sysfs, and binds it to the iommufd. */
static void open_device(struct device *dev, int iommufd)
{
	struct bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	char path[300];
	struct dirent *entry;
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
	dev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (dev->fd < 0)
		fail("%s", path);
	if (ioctl(dev->fd, BIND_IOMMUFD, &bind) < 0)
		fail("%s: VFIO_DEVICE_BIND_IOMMUFD", dev->bdf);
}

static struct vfio_region_info region(const struct device *dev, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		fail("%s: VFIO_DEVICE_GET_REGION_INFO %u", dev->bdf, index);
	return info;
}

/* Maps a whole BAR into this process. */
static void *map_bar(const struct device *dev, uint32_t index, size_t *size)
{
	struct vfio_region_info info = region(dev, index);
	void *bar;

	errno = 0;
	if (!(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || info.size < BUFFER_SIZE)
		fail("%s has no BAR%u that can be mapped", dev->bdf, index);
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

/* The whole BAR as a dma-buf. It is good until the device is reset, closed or switched off. */
static int export_bar(const struct device *dev, uint32_t index, size_t size)
{
	struct get_dma_buf get = {
		.argsz = sizeof(get),
		.flags = VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF,
		.region_index = index,
		.open_flags = O_RDWR | O_CLOEXEC,
		.nr_ranges = 1,
		.length = size,
	};
	int fd = ioctl(dev->fd, VFIO_DEVICE_FEATURE, &get);

	if (fd < 0)
		fail("%s: VFIO_DEVICE_FEATURE_DMA_BUF of BAR%u (there since Linux 6.19)", dev->bdf,
		     index);
	return fd;
}

static bool passed(const struct timespec *start, time_t seconds)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec > seconds;
}

/* Runs one descriptor and waits for the engine. */
static void run_engine(volatile uint8_t *bar0, uint64_t descriptor_iova)
{
	volatile uint8_t *chan = bar0 + IOAT_CHANNEL;
	struct timespec start;
	uint64_t state;

	errno = 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	*(chan + CHANCMD) = CMD_RESET;
	while (*(chan + CHANCMD) & CMD_RESET)
		if (passed(&start, 5))
			fail("the engine does not come out of reset");

	*(volatile uint64_t *)(chan + CHAINADDR) = descriptor_iova;
	*(volatile uint16_t *)(chan + CHANCTRL) = CTRL_STOP_ON_ERROR;
	*(volatile uint16_t *)(chan + DMACOUNT) = 1;
	do {
		state = *(volatile uint64_t *)(chan + CHANSTS) & STATE_MASK;
		if (passed(&start, 5))
			fail("the engine does not finish (state %u)", (unsigned int)state);
	} while (state != STATE_DONE && state != STATE_HALTED);
	if (state == STATE_HALTED)
		fail("the engine halted, CHANERR 0x%x", *(volatile uint32_t *)(chan + CHANERR));
}

int main(int argc, char **argv)
{
	struct device a = { .fd = -1 }, b = { .fd = -1 };
	struct ioas_alloc ioas = { .size = sizeof(ioas) };
	struct attach_iommufd attach = { .argsz = sizeof(attach) };
	struct ioas_map map = {
		.size = sizeof(map),
		.flags = MAP_FLAGS,
		.length = 2 * BUFFER_SIZE,
		.iova = BUFFER_IOVA,
	};
	struct ioas_map_file map_file = { .size = sizeof(map_file),
					  .flags = MAP_FLAGS,
					  .iova = BAR_IOVA };
	struct ioas_unmap unmap = { .size = sizeof(unmap), .length = UINT64_MAX };
	struct ioat_descriptor *descriptor;
	size_t bar0_size, bar_size, equal = 0;
	void *bar0, *bar;
	uint8_t *buffer;
	char list[256];
	int iommufd;

	if (argc == 3) {
		a.bdf = argv[1];
		b.bdf = argv[2];
	} else if (argc == 1 && getenv("CBIT_DEVICES")) {
		snprintf(list, sizeof(list), "%s", getenv("CBIT_DEVICES"));
		a.bdf = strtok(list, " ");
		b.bdf = strtok(NULL, " ");
	}
	if (!a.bdf || !b.bdf) {
		fprintf(stderr, "usage: p2p_dmabuf BDF_A BDF_B\n");
		return 2;
	}

	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (iommufd < 0)
		fail("/dev/iommu");
	open_device(&a, iommufd);
	open_device(&b, iommufd);
	/* One address space, for device A. Device B does no DMA and needs none. */
	if (ioctl(iommufd, IOAS_ALLOC, &ioas) < 0)
		fail("IOMMU_IOAS_ALLOC");
	attach.pt_id = ioas.out_ioas_id;
	if (ioctl(a.fd, ATTACH_IOMMUFD_PT, &attach) < 0)
		fail("%s: VFIO_DEVICE_ATTACH_IOMMUFD_PT", a.bdf);
	enable_device(&a);
	enable_device(&b);

	bar0 = map_bar(&a, VFIO_PCI_BAR0_REGION_INDEX, &bar0_size);
	/* Only to look what has arrived. */
	bar = map_bar(&b, VFIO_PCI_BAR2_REGION_INDEX, &bar_size);
	printf("device A %s copies into BAR2 of device B %s\n", a.bdf, b.bdf);

	buffer = mmap(NULL, BUFFER_SIZE + sizeof(*descriptor), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		fail("mmap of the buffer");
	for (size_t i = 0; i < BUFFER_SIZE; i++)
		buffer[i] = (uint8_t)("peer to peer"[i % 12]);
	map.ioas_id = ioas.out_ioas_id;
	map.user_va = (uintptr_t)buffer;
	if (ioctl(iommufd, IOAS_MAP, &map) < 0)
		fail("IOMMU_IOAS_MAP of the buffer");

	map_file.ioas_id = ioas.out_ioas_id;
	map_file.fd = export_bar(&b, VFIO_PCI_BAR2_REGION_INDEX, bar_size);
	map_file.length = bar_size;
	if (ioctl(iommufd, IOAS_MAP_FILE, &map_file) < 0)
		fail("IOMMU_IOAS_MAP_FILE of the BAR");
	close(map_file.fd); /* the mapping keeps the dma-buf */

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
	printf(equal == BUFFER_SIZE ? "the bytes arrived: %zu of %zu\n"
				    : "the copy was lost: %zu of %zu bytes arrived\n",
	       equal, BUFFER_SIZE);

	unmap.ioas_id = ioas.out_ioas_id;
	if (ioctl(iommufd, IOAS_UNMAP, &unmap) < 0)
		fail("IOMMU_IOAS_UNMAP");
	munmap(bar, bar_size);
	munmap(bar0, bar0_size);
	close(b.fd);
	close(a.fd);
	close(iommufd);
	return equal == BUFFER_SIZE ? 0 : 1;
}
