// SPDX-License-Identifier: BSD-3-Clause
/* client_errno: the calls of a PCI device's descriptor: info, regions, interrupts, config space. */
#include "errno_check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct vfio_region_info region(int fd, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	VC_REQUIRE(!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info), "GET_REGION_INFO %u", index);
	return info;
}

static int mmap_errno(size_t size, int flags, int fd, uint64_t offset)
{
	void *p;

	errno = 0;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);
	if (p == MAP_FAILED)
		return errno;
	munmap(p, size);
	return 0;
}

static void check_regions(int fd)
{
	struct vfio_region_info info = { .argsz = sizeof(info) - 1 }, bar0, config;

	EXPECT("GET_REGION_INFO, argsz too small", EINVAL,
	       ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info));
	info.argsz = sizeof(info);
	info.index = VFIO_PCI_NUM_REGIONS;
	EXPECT("GET_REGION_INFO, index out of range", EINVAL,
	       ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info));
	info.index = VFIO_PCI_VGA_REGION_INDEX;
	EXPECT("GET_REGION_INFO, no VGA", EINVAL, ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info));
	info = region(fd, VFIO_PCI_ROM_REGION_INDEX);
	check_true("there is no ROM", !info.size && !info.flags);
	info = region(fd, VFIO_PCI_BAR1_REGION_INDEX);
	check_true("the upper half of a 64-bit BAR is no region", !info.size && !info.flags);
	bar0 = region(fd, VFIO_PCI_BAR0_REGION_INDEX);
	check_true("BAR0 can be read, written and mapped",
		   (bar0.flags & 7) == (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
					VFIO_REGION_INFO_FLAG_MMAP));
	config = region(fd, VFIO_PCI_CONFIG_REGION_INDEX);
	check_true("config space can be read and written only",
		   config.flags == (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE));
	check_true("config space has 4096 bytes", config.size == 4096);

	check_errno("mmap of a BAR", 0, mmap_errno(bar0.size, MAP_SHARED, fd, bar0.offset));
	check_errno("mmap of a BAR's second page", 0,
		    mmap_errno(VC_PAGE, MAP_SHARED, fd, bar0.offset + VC_PAGE));
	check_errno("mmap of a BAR, private", EINVAL,
		    mmap_errno(bar0.size, MAP_PRIVATE, fd, bar0.offset));
	check_errno("mmap beyond a BAR's end", EINVAL,
		    mmap_errno(bar0.size + VC_PAGE, MAP_SHARED, fd, bar0.offset));
	check_errno("mmap behind a BAR", EINVAL,
		    mmap_errno(VC_PAGE, MAP_SHARED, fd, bar0.offset + bar0.size));
	check_errno("mmap of config space", EINVAL,
		    mmap_errno(VC_PAGE, MAP_SHARED, fd, config.offset));
}

static void check_config(const struct vc_device *d)
{
	uint32_t id = 0, ones = UINT32_MAX, bar, again;
	uint8_t byte = 0;

	vc_config_read(d, 0, &id, sizeof(id));
	check_true("vendor and device are 8086:2021", id == 0x20218086);
	vc_config_read(d, 1, &byte, 1);
	check_true("one odd byte can be read", byte == 0x80);
	vc_config_write(d, 0, &ones, sizeof(ones));
	vc_config_read(d, 0, &id, sizeof(id));
	check_true("vendor and device cannot be written", id == 0x20218086);
	vc_config_read(d, 0x10, &bar, sizeof(bar));
	vc_config_write(d, 0x10, &ones, sizeof(ones));
	vc_config_read(d, 0x10, &again, sizeof(again));
	check_true("BAR0 sizes itself: 16 KiB, 64-bit", (again & 0xfffffff7) == 0xffffc004);
	vc_config_write(d, 0x10, &bar, sizeof(bar));
	vc_config_read(d, 0x10, &again, sizeof(again));
	check_true("BAR0 takes its address back", bar == again);
	EXPECT("reading beyond config space", EFAULT,
	       pread(d->fd, &id, sizeof(id), (off_t)(d->config + 4096)));
	EXPECT("reading across the end of config space", EFAULT,
	       pread(d->fd, &id, sizeof(id), (off_t)(d->config + 4094)));
}

void check_device(struct vc *c)
{
	struct vfio_device_info info = { .argsz = 12 };
	uint32_t feature[6] = { 4, 0 }; /* argsz, flags, data */
	int fd = c->dev[0].fd;

	EXPECT("DEVICE_GET_INFO, argsz too small", EINVAL, ioctl(fd, VFIO_DEVICE_GET_INFO, &info));
	EXPECT("DEVICE_GET_INFO, bad pointer", EFAULT, ioctl(fd, VFIO_DEVICE_GET_INFO, 8));
	info.argsz = 16;
	EXPECT("DEVICE_GET_INFO, the oldest argsz", 0, ioctl(fd, VFIO_DEVICE_GET_INFO, &info));
	check_true("it is a PCI device that can be reset",
		   (info.flags & 3) == (VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI));
	check_true("it has 9 regions and 5 interrupt kinds",
		   info.num_regions == VFIO_PCI_NUM_REGIONS && info.num_irqs == VFIO_PCI_NUM_IRQS);
	check_regions(fd);
	check_config(&c->dev[0]);
	EXPECT("DEVICE_RESET", 0, ioctl(fd, VFIO_DEVICE_RESET));
	EXPECT("DEVICE_FEATURE, argsz too small", EINVAL, ioctl(fd, VFIO_DEVICE_FEATURE, feature));
	feature[0] = sizeof(feature);
	feature[1] = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | 0xfff0;
	EXPECT("DEVICE_FEATURE, an unknown feature", ENOTTY,
	       ioctl(fd, VFIO_DEVICE_FEATURE, feature));
	EXPECT("an unknown call on a device", ENOTTY, ioctl(fd, _IO(VFIO_TYPE, 180)));
	EXPECT("ATTACH_IOMMUFD_PT on a group's device", ENOTTY,
	       ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + 19), feature));
}

/* VFIO_DEVICE_SET_IRQS with at most four descriptors (argsz, flags, index, start, count, data). */
static int set_irqs(int fd, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds)
{
	uint32_t set[5 + 4] = { 5 * sizeof(uint32_t), flags, index, start, count };

	if (fds) {
		memcpy(set + 5, fds, count * sizeof(int));
		set[0] += count * (uint32_t)sizeof(int);
	}
	return ERRNO_OF(ioctl(fd, VFIO_DEVICE_SET_IRQS, set));
}

static void check_irq_info(int fd)
{
	struct vfio_irq_info info = { .argsz = sizeof(info) - 1 };

	EXPECT("GET_IRQ_INFO, argsz too small", EINVAL, ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	info.argsz = sizeof(info);
	info.index = VFIO_PCI_NUM_IRQS;
	EXPECT("GET_IRQ_INFO, index out of range", EINVAL,
	       ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	info.index = VFIO_PCI_REQ_IRQ_INDEX;
	EXPECT("GET_IRQ_INFO of the request interrupt", 0,
	       ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	check_true("there is one request interrupt", info.count == 1);
	info.index = VFIO_PCI_MSIX_IRQ_INDEX;
	EXPECT("GET_IRQ_INFO of MSI-X", 0, ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	check_true("there is an MSI-X vector", info.count >= 1);
	check_true("MSI-X goes to an eventfd", info.flags & VFIO_IRQ_INFO_EVENTFD);
}

void check_irqs(struct vc *c)
{
	const uint32_t trigger = VFIO_IRQ_SET_ACTION_TRIGGER, msix = VFIO_PCI_MSIX_IRQ_INDEX;
	const uint32_t none = VFIO_IRQ_SET_DATA_NONE | trigger;
	const uint32_t event = VFIO_IRQ_SET_DATA_EVENTFD | trigger;
	int fd = c->dev[0].fd, efd = eventfd(0, EFD_NONBLOCK), bad[2];
	uint64_t value = 0;

	VC_REQUIRE(efd >= 0 && !pipe(bad), "descriptors");
	check_irq_info(fd);
	check_errno("SET_IRQS, index out of range", EINVAL, set_irqs(fd, none, 5, 0, 1, NULL));
	check_errno("SET_IRQS, vector out of range", EINVAL,
		    set_irqs(fd, none, msix, 4096, 1, NULL));
	check_errno("SET_IRQS, unknown flag", EINVAL,
		    set_irqs(fd, none | 1u << 9, msix, 0, 1, NULL));
	check_errno("SET_IRQS, two kinds of data", EINVAL,
		    set_irqs(fd, none | event, msix, 0, 1, &efd));
	check_errno("SET_IRQS, data missing", EINVAL, set_irqs(fd, event, msix, 0, 1, NULL));
	check_errno(
		"SET_IRQS, MSI-X has no mask", ENOTTY,
		set_irqs(fd, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, msix, 0, 1, NULL));
	check_errno("SET_IRQS, loopback before it is set", EINVAL,
		    set_irqs(fd, none, msix, 0, 1, NULL));
	check_errno("SET_IRQS, off before it is set", EINVAL, set_irqs(fd, none, msix, 0, 0, NULL));
	check_errno("SET_IRQS, no eventfd", EINVAL, set_irqs(fd, event, msix, 0, 1, bad));
	check_errno("SET_IRQS, an eventfd", 0, set_irqs(fd, event, msix, 0, 1, &efd));
	check_errno("SET_IRQS, loopback", 0, set_irqs(fd, none, msix, 0, 1, NULL));
	check_true("the eventfd counts 1", read(efd, &value, 8) == 8 && value == 1);
	EXPECT("and nothing more", EAGAIN, read(efd, &value, 8));
	check_errno("SET_IRQS, off", 0, set_irqs(fd, none, msix, 0, 0, NULL));
	check_errno("SET_IRQS, the request interrupt", 0,
		    set_irqs(fd, event, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &efd));
	check_errno("SET_IRQS, loopback of it", 0,
		    set_irqs(fd, none, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, NULL));
	check_true("the eventfd counts 1 again", read(efd, &value, 8) == 8 && value == 1);
	check_errno("SET_IRQS, off again", 0,
		    set_irqs(fd, none, VFIO_PCI_REQ_IRQ_INDEX, 0, 0, NULL));
	close(efd);
	close(bad[0]);
	close(bad[1]);
}
