/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hot reset: the devices that share a bus are reset together, and whoever asks must own all of
 * them that are in use (Linux 7.2: vfio_pci_core.c, vfio_pci_dev_set_hot_reset).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_internal.h"

/* Each device sits on the secondary bus of a root port; its functions share it, if they are there.
 */
static bool same_bus(const struct vfio_device *a, const struct vfio_device *b)
{
	return a == b || (a->devid >> 8 == b->devid >> 8 && !b->absent);
}

/*
 * Linux: vfio_pci_core_register_device(): devices that a reset takes together are one set, but a
 * virtual function is one for itself, though the reset takes it too.
 */
static bool same_set(const struct vfio_device *a, const struct vfio_device *b)
{
	return a == b || (same_bus(a, b) && !a->pf && !b->pf);
}

static uint32_t count_devices(const struct vfio_device *dev)
{
	const struct cbit_machine *machine = dev->machine;
	uint32_t n = 0;

	for (unsigned int i = 0; i < machine->nr_devices; i++)
		n += same_bus(dev, machine->devices[i]);
	return n;
}

/* A device right under a host bridge has no secondary bus to reset (Linux: pci_probe_reset_bus). */
static bool resettable(const struct vfio_device *dev)
{
	return dev->devid >> 8 != 0;
}

/* The number of @other in @dev's iommufd, or what stands for none (vfio_iommufd_get_dev_id). */
static uint32_t cdev_id(const struct vfio_device *dev, const struct vfio_device *other)
{
	const struct cbit_machine *machine = dev->machine;

	if (!same_set(dev, other))
		return UAPI_HOT_RESET_NOT_OWNED;
	if (other->iommufd == dev->iommufd)
		return other->object.id;
	/* One bound device makes its whole group the iommufd's. */
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->group == other->group &&
		    machine->devices[i]->iommufd == dev->iommufd)
			return UAPI_HOT_RESET_OWNED;
	}
	return UAPI_HOT_RESET_NOT_OWNED;
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
	if (!resettable(dev))
		return -ENODEV;
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
			list[n].id = cdev_id(dev, other);
			if (list[n].id == UAPI_HOT_RESET_NOT_OWNED)
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
	int32_t fds[VFIO_MAX_DEVICES];
	int ret;

	*mask = 0;
	ret = vfio_get(call, fds, sizeof(struct uapi_hot_reset), count * sizeof(fds[0]));
	for (uint32_t i = 0; i < count && !ret; i++) {
		ret = machine->client->file(machine->client_opaque, call->caller, fds[i], &file);
		if (ret)
			break;
		if (!file || file->kind != CBIT_FILE_GROUP)
			return -EINVAL;
		for (unsigned int g = 0; g < machine->nr_groups; g++) {
			if (machine->groups[g] == file->group)
				*mask |= UINT64_C(1) << g;
		}
	}
	return ret;
}

/* Used or not, every device of the bus must be the caller's. */
static bool owned(const struct cbit_file *file, const struct vfio_device *other, uint64_t mask)
{
	const struct cbit_machine *machine = file->machine;

	if (file->cdev)
		return cdev_id(file->device, other) != UAPI_HOT_RESET_NOT_OWNED;
	for (unsigned int g = 0; g < machine->nr_groups; g++) {
		if (machine->groups[g] == other->group)
			return (mask >> g & 1) != 0;
	}
	return false;
}

static void reset_one(struct vfio_device *dev)
{
	cbit_pci_reset(dev->pci);
	vfio_mig_reset(dev);
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
	if (!resettable(file->device))
		return -ENODEV;
	if (reset.count > count_devices(file->device))
		return -EINVAL;
	ret = shown_groups(call, reset.count, &mask);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		/* Linux: vfio_pci_dev_set_resettable(), then who owns them */
		if (same_bus(file->device, machine->devices[i]) &&
		    (!same_set(file->device, machine->devices[i]) ||
		     !owned(file, machine->devices[i], mask)))
			return -EINVAL;
	}
	/* All of them lose their memory before the first is reset. */
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (same_bus(file->device, machine->devices[i]))
			vfio_memory_off(machine->devices[i]);
	}
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (same_bus(file->device, machine->devices[i]))
			reset_one(machine->devices[i]);
	}
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (same_bus(file->device, machine->devices[i]))
			vfio_memory_on(machine->devices[i]);
	}
	return 0;
}
_Static_assert(VFIO_MAX_DEVICES <= 64, "a bit for each group");
