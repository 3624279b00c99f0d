/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hot reset: the devices that share a bus are reset together, and whoever asks must own all of
 * them that are in use (Linux 7.2: vfio_pci_core.c, vfio_pci_dev_set_hot_reset).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_internal.h"

/* Each device sits on the secondary bus of a root port; functions of one device share it. */
static bool same_bus(const struct vfio_device *a, const struct vfio_device *b)
{
	return a->devid >> 8 == b->devid >> 8;
}

static uint32_t count_devices(const struct vfio_device *dev)
{
	const struct cbit_machine *machine = dev->machine;
	uint32_t n = 0;

	for (unsigned int i = 0; i < machine->nr_devices; i++)
		n += same_bus(dev, machine->devices[i]);
	return n;
}

long vfio_hot_reset_info(struct cbit_file *file, const struct vfio_call *call)
{
	struct uapi_dependent_device list[VFIO_MAX_DEVICES];
	struct vfio_device *dev = file->device;
	const struct cbit_machine *machine = dev->machine;
	uint32_t count = count_devices(dev), n = 0;
	struct uapi_hot_reset info;
	long ret;

	ret = vfio_get(call, &info, 0, sizeof(info));
	if (ret)
		return ret;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info.flags = 0;
	info.count = count;
	if (count > (info.argsz - sizeof(info)) / sizeof(list[0])) {
		ret = vfio_put(call, 0, &info, sizeof(info));
		return ret ? ret : -ENOSPC;
	}
	if (file->cdev)
		info.flags = UAPI_HOT_RESET_DEV_ID | UAPI_HOT_RESET_DEV_ID_OWNED;
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		const struct vfio_device *other = machine->devices[i];

		if (!same_bus(dev, other))
			continue;
		list[n] = (struct uapi_dependent_device){ .id = other->group->number,
							  .bus = (uint8_t)(other->devid >> 8),
							  .devfn = (uint8_t)other->devid };
		if (file->cdev) {
			/* 0: owned by the caller but not bound; -1: not the caller's */
			bool mine = other->iommufd == dev->iommufd;

			list[n].id = mine ? other->index + 1 : UINT32_MAX;
			if (!mine && !other->group->opened && !other->group->cdev_open)
				list[n].id = 0;
			if (list[n].id == UINT32_MAX)
				info.flags &= ~UAPI_HOT_RESET_DEV_ID_OWNED;
		}
		n++;
	}
	ret = vfio_put(call, sizeof(info), list, n * sizeof(list[0]));
	return ret ? ret : vfio_put(call, 0, &info, sizeof(info));
}

/* The groups that the caller shows to be its own, as a bit for each of the machine's groups. */
static int shown_groups(const struct vfio_call *call, uint32_t count, uint64_t *mask)
{
	const struct cbit_machine *machine = call->machine;
	struct cbit_file *file;
	int32_t fd;
	int ret;

	*mask = 0;
	for (uint32_t i = 0; i < count; i++) {
		ret = vfio_get(call, &fd, sizeof(struct uapi_hot_reset) + i * sizeof(fd),
			       sizeof(fd));
		if (ret)
			return ret;
		ret = machine->client->file(machine->client_opaque, call->caller, fd, &file);
		if (ret)
			return ret;
		if (!file || file->kind != CBIT_FILE_GROUP)
			return -EINVAL;
		for (unsigned int g = 0; g < machine->nr_groups; g++) {
			if (machine->groups[g] == file->group)
				*mask |= UINT64_C(1) << g;
		}
	}
	return 0;
}

static bool owned(const struct cbit_file *file, const struct vfio_device *other, uint64_t mask)
{
	const struct cbit_machine *machine = file->machine;

	if (!other->open_count)
		return true;
	if (file->cdev)
		return other->iommufd == file->device->iommufd;
	for (unsigned int g = 0; g < machine->nr_groups; g++) {
		if (machine->groups[g] == other->group)
			return (mask >> g & 1) != 0;
	}
	return false;
}

long vfio_hot_reset(struct cbit_file *file, const struct vfio_call *call)
{
	struct cbit_machine *machine = file->machine;
	struct uapi_hot_reset reset;
	uint64_t mask = 0;
	long ret;

	ret = vfio_get(call, &reset, 0, sizeof(reset));
	if (ret)
		return ret;
	/* Groups are shown by files opened through groups, and by no others. */
	if (reset.argsz < sizeof(reset) || reset.flags || (reset.count != 0) == file->cdev)
		return -EINVAL;
	if (reset.count > count_devices(file->device))
		return -EINVAL;
	ret = shown_groups(call, reset.count, &mask);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (same_bus(file->device, machine->devices[i]) &&
		    !owned(file, machine->devices[i], mask))
			return -EINVAL;
	}
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (same_bus(file->device, machine->devices[i]))
			cbit_pci_reset(machine->devices[i]->pci);
	}
	return 0;
}
_Static_assert(VFIO_MAX_DEVICES <= 64, "a bit for each group");
