/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sysfs and /dev of the modelled machine: PCI devices bound to vfio-pci, their IOMMU
 * groups, and the VFIO nodes, named and filled in as Linux does (Documentation/ABI/testing:
 * sysfs-bus-pci, sysfs-kernel-iommu_groups, sysfs-devices-vfio-dev).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

/* Character devices: 10 is misc; the others are from Linux' dynamic range. */
#define MISC_MAJOR  10u
#define VFIO_MINOR  196u
#define IOMMU_MINOR 124u
#define GROUP_MAJOR 242u
#define CDEV_MAJOR  241u

/* struct resource flags, Linux include/linux/ioport.h. */
#define RESOURCE_MEM       UINT64_C(0x200)
#define RESOURCE_PREFETCH  UINT64_C(0x2000)
#define RESOURCE_SIZEALIGN UINT64_C(0x40000)
#define RESOURCE_MEM64     UINT64_C(0x100000)

static int resources(struct vfs *vfs, const char *dir, const struct cbit_device_info *dev)
{
	char path[256], text[13 * 64], *p = text;

	for (unsigned int i = 0; i < 13; i++) {
		const struct cbit_bar_info *bar =
			i < CBIT_PCI_BARS ? cbit_pci_bar(dev->pci, i) : NULL;
		uint64_t start = 0, end = 0, flags = 0;

		if (bar && bar->size) {
			start = bar->spa.v;
			end = start + bar->size - 1;
			flags = RESOURCE_MEM | RESOURCE_SIZEALIGN |
				(bar->prefetch ? RESOURCE_PREFETCH : 0) |
				(bar->is64 ? RESOURCE_MEM64 : 0) | (bar->prefetch ? 0x8 : 0) |
				(bar->is64 ? 0x4 : 0);
		}
		p += sprintf(p, "0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64 "\n", start, end,
			     flags);
	}
	snprintf(path, sizeof(path), "%s/resource", dir);
	return vfs_file(vfs, path, "%s", text);
}

/* What sysfs says of SR-IOV: of a physical function, or the links between both. */
static int sriov(struct vfs *vfs, struct cbit_machine *machine, const char *dir,
		 const struct cbit_device_info *dev)
{
	const struct {
		const char *name;
		unsigned int value;
	} attrs[] = {
		{ "sriov_totalvfs", dev->total_vfs },
		{ "sriov_offset", 1 },
		{ "sriov_stride", 1 },
		{ "sriov_drivers_autoprobe", 1 },
	};
	struct cbit_device_info pf;
	struct cbit_pci_ids ids;
	char path[256], link[64];
	int ret = 0;

	if (dev->pf != UINT32_MAX && cbit_machine_device(machine, dev->pf, &pf)) {
		snprintf(path, sizeof(path), "%s/physfn", dir);
		snprintf(link, sizeof(link), "../%s", pf.bdf);
		ret = vfs_link(vfs, path, link);
		snprintf(path, sizeof(path), "/sys/devices/pci0000:%.2s/%s/virtfn%u", pf.bdf + 5,
			 pf.bdf, dev->vf);
		snprintf(link, sizeof(link), "../%s", dev->bdf);
		return ret ? ret : vfs_link(vfs, path, link);
	}
	if (!dev->total_vfs)
		return 0;
	for (size_t i = 0; i < sizeof(attrs) / sizeof(attrs[0]) && !ret; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, attrs[i].name);
		ret = vfs_file(vfs, path, "%u\n", attrs[i].value);
	}
	cbit_pci_ids(dev->pci, &ids);
	snprintf(path, sizeof(path), "%s/sriov_vf_device", dir);
	ret = ret ? ret : vfs_file(vfs, path, "%x\n", ids.device);
	snprintf(path, sizeof(path), "%s/sriov_numvfs", dir);
	return ret ? ret : vfs_attr(vfs, path, dev->index);
}

/* /sys/dev/char: character devices by number. @target: in /sys. */
static int by_number(struct vfs *vfs, unsigned int major, unsigned int minor, const char *target)
{
	char path[64], link[512];

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major, minor);
	snprintf(link, sizeof(link), "../../%s", target);
	return vfs_link(vfs, path, link);
}

/* The device's own node, vfioN; @dir is the PCI device's directory. */
static int cdev(struct vfs *vfs, const struct cbit_device_info *dev, const char *dir, bool noiommu)
{
	char at[160], path[256], link[256];
	int ret;

	snprintf(at, sizeof(at), "%s/vfio-dev/vfio%u", dir, dev->index);
	if (noiommu) {
		snprintf(path, sizeof(path), "/sys/class/vfio-dev/vfio%u", dev->index);
		snprintf(link, sizeof(link), "../..%s", at + strlen("/sys"));
		return vfs_dir(vfs, at, true) ? vfs_link(vfs, path, link) : -ENOMEM;
	}
	snprintf(path, sizeof(path), "%s/dev", at);
	ret = vfs_file(vfs, path, "%u:%u\n", CDEV_MAJOR, dev->index);
	snprintf(path, sizeof(path), "%s/uevent", at);
	ret = ret ? ret
		  : vfs_file(vfs, path, "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/devices/vfio%u\n",
			     CDEV_MAJOR, dev->index, dev->index);
	snprintf(path, sizeof(path), "%s/device", at);
	snprintf(link, sizeof(link), "../../../%s", dev->bdf);
	ret = ret ? ret : vfs_link(vfs, path, link);
	snprintf(path, sizeof(path), "%s/subsystem", at);
	ret = ret ? ret : vfs_link(vfs, path, "../../../../../class/vfio-dev");
	snprintf(path, sizeof(path), "/sys/class/vfio-dev/vfio%u", dev->index);
	snprintf(link, sizeof(link), "../..%s", at + strlen("/sys"));
	ret = ret ? ret : vfs_link(vfs, path, link);
	ret = ret ? ret : by_number(vfs, CDEV_MAJOR, dev->index, at + strlen("/sys/"));
	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", dev->index);
	return ret ? ret
		   : vfs_node(vfs, path, CDEV_MAJOR, dev->index, CBIT_FILE_DEVICE, dev->index);
}

/* Without an IOMMU VFIO makes a group for each device (vfio_noiommu_group_alloc()), and no cdev. */
static int device(struct vfs *vfs, struct cbit_machine *machine, const struct cbit_device_info *dev)
{
	char dir[128], path[256], link[256];
	const bool noiommu = cbit_machine_noiommu(machine);
	struct cbit_pci_ids ids;
	int ret = 0;

	cbit_pci_ids(dev->pci, &ids);
	/* Each device sits on a bus of its own, as behind a root port. */
	snprintf(dir, sizeof(dir), "/sys/devices/pci0000:%.2s", dev->bdf + 5);
	if (!vfs_dir(vfs, dir, true))
		return -ENOMEM;
	snprintf(dir, sizeof(dir), "/sys/devices/pci0000:%.2s/%s", dev->bdf + 5, dev->bdf);
	if (!vfs_dir(vfs, dir, true))
		return -ENOMEM;
#define ATTR(name, ...)                                             \
	do {                                                        \
		snprintf(path, sizeof(path), "%s/%s", dir, name);   \
		ret = ret ? ret : vfs_file(vfs, path, __VA_ARGS__); \
	} while (0)
#define LINK(from, to)                                     \
	do {                                               \
		ret = ret ? ret : vfs_link(vfs, from, to); \
	} while (0)
	ATTR("vendor", "0x%04x\n", ids.vendor);
	ATTR("device", "0x%04x\n", ids.device);
	ATTR("subsystem_vendor", "0x%04x\n", ids.subsystem_vendor);
	ATTR("subsystem_device", "0x%04x\n", ids.subsystem_device);
	ATTR("class", "0x%06x\n", ids.class_code);
	ATTR("revision", "0x%02x\n", ids.revision);
	ATTR("numa_node", "-1\n");
	ATTR("irq", "0\n");
	ATTR("enable", "1\n");
	ATTR("driver_override", "vfio-pci\n");
	ATTR("modalias", "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", ids.vendor, ids.device,
	     ids.subsystem_vendor, ids.subsystem_device, ids.class_code >> 16,
	     (ids.class_code >> 8) & 0xff, ids.class_code & 0xff);
	ATTR("uevent", "DRIVER=vfio-pci\nPCI_CLASS=%X\nPCI_ID=%04X:%04X\nPCI_SLOT_NAME=%s\n",
	     ids.class_code, ids.vendor, ids.device, dev->bdf);
	ret = ret ? ret : resources(vfs, dir, dev);
	ret = ret ? ret : sriov(vfs, machine, dir, dev);

	snprintf(path, sizeof(path), "%s/driver", dir);
	LINK(path, "../../../bus/pci/drivers/vfio-pci");
	snprintf(path, sizeof(path), "%s/subsystem", dir);
	LINK(path, "../../../bus/pci");
	snprintf(path, sizeof(path), "%s/iommu_group", dir);
	snprintf(link, sizeof(link), "../../../kernel/iommu_groups/%u", dev->group);
	LINK(path, link);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", dev->bdf);
	snprintf(link, sizeof(link), "../../..%s", dir + strlen("/sys"));
	LINK(path, link);
	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", dev->bdf);
	snprintf(link, sizeof(link), "../../../..%s", dir + strlen("/sys"));
	LINK(path, link);
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices/%s", dev->group,
		 dev->bdf);
	LINK(path, link);
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/type", dev->group);
	ret = ret ? ret : vfs_file(vfs, path, noiommu ? "unknown\n" : "DMA\n");
	if (noiommu) {
		snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/name", dev->group);
		ret = ret ? ret : vfs_file(vfs, path, "vfio-noiommu\n");
	}

	ret = ret ? ret : cdev(vfs, dev, dir, noiommu);

	/* And its group. */
	snprintf(path, sizeof(path), "/dev/vfio/%s%u", noiommu ? "noiommu-" : "", dev->group);
	ret = ret ? ret : vfs_node(vfs, path, GROUP_MAJOR, dev->group, CBIT_FILE_GROUP, dev->group);
	snprintf(path, sizeof(path), "/sys/class/vfio/%s%u/dev", noiommu ? "noiommu-" : "",
		 dev->group);
	ret = ret ? ret : vfs_file(vfs, path, "%u:%u\n", GROUP_MAJOR, dev->group);
	snprintf(link, sizeof(link), "class/vfio/%s%u", noiommu ? "noiommu-" : "", dev->group);
	ret = ret ? ret : by_number(vfs, GROUP_MAJOR, dev->group, link);
#undef ATTR
#undef LINK
	return ret;
}

int host_sysfs_build(struct vfs *vfs, struct cbit_machine *machine, const bool *there)
{
	static const char *const dirs[] = {
		"/dev/vfio",
		"/sys/bus/pci",
		"/sys/bus/pci/devices",
		"/sys/bus/pci/drivers/vfio-pci",
		"/sys/kernel/iommu_groups",
		"/sys/class/iommu",
		"/sys/class/vfio",
		"/sys/class/vfio-dev",
		"/sys/module/vfio",
		"/sys/module/vfio_pci",
		"/sys/module/vfio_iommu_type1",
		"/sys/devices",
		"/sys/kernel/debug",
		"/sys/dev/char",
	};
	struct cbit_device_info dev;
	int ret = 0;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		/* Of these only some names are ours; see claimed() in vfs.c. */
		bool ours = strcmp(dirs[i], "/sys/devices") != 0 &&
			    strcmp(dirs[i], "/sys/kernel/debug") != 0 &&
			    strcmp(dirs[i], "/sys/dev/char") != 0;

		if (!vfs_dir(vfs, dirs[i], ours))
			return -ENOMEM;
	}
	ret = vfs_node(vfs, "/dev/vfio/vfio", MISC_MAJOR, VFIO_MINOR, CBIT_FILE_CONTAINER, 0);
	ret = ret ? ret
		  : vfs_node(vfs, "/dev/iommu", MISC_MAJOR, IOMMU_MINOR, CBIT_FILE_IOMMUFD, 0);
	ret = ret ? ret
		  : vfs_file(vfs, "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
			     "65535\n");
	if (cbit_machine_noiommu(machine))
		ret = ret ? ret
			  : vfs_file(vfs, "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
				     "Y\n");
	for (unsigned int i = 0; !ret && cbit_machine_device(machine, i, &dev); i++) {
		vfs->there = dev.pf == UINT32_MAX ? NULL : &there[i];
		ret = device(vfs, machine, &dev);
	}
	vfs->there = NULL;
	return ret;
}
