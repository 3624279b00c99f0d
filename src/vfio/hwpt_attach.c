/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices bound to an iommufd, and attached to its page tables: by group, for the devices of a
 * group share an address space (Linux 7.2: drivers/iommu/iommufd/device.c).
 */
#include <errno.h>

#include "iommufd_internal.h"

/* The group's DMA belongs to one iommufd at a time (Linux: iommu_device_claim_dma_owner). */
static bool owned_elsewhere(const struct vfio_device *dev, const struct vfio_iommufd *fd)
{
	const struct cbit_machine *machine = dev->machine;

	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		const struct vfio_device *other = machine->devices[i];

		if (other->group == dev->group && other->iommufd && other->iommufd != fd)
			return true;
	}
	return false;
}

int vfio_device_bind(struct vfio_device *dev, struct vfio_iommufd *fd)
{
	int ret;

	if (owned_elsewhere(dev, fd))
		return -EPERM;
	ret = vfio_object_add(fd, &dev->object, VFIO_OBJECT_DEVICE);
	if (ret)
		return ret;
	dev->object.users++; /* only unbinding ends it */
	dev->iommufd = fd;
	fd->users++;
	return 0;
}

void vfio_device_unbind(struct vfio_device *dev)
{
	struct vfio_iommufd *fd = dev->iommufd;

	vfio_device_detach_pt(dev);
	vfio_vdevice_orphan(dev);
	vfio_object_remove(fd, &dev->object);
	dev->object.id = 0;
	dev->iommufd = NULL;
	fd->users--;
	vfio_iommufd_put(fd);
}

static int attach_group(const struct vfio_group *group, struct cbit_machine *machine,
			struct vfio_hwpt *hwpt)
{
	int ret = 0;

	for (unsigned int i = 0; i < machine->nr_devices && !ret; i++) {
		if (machine->devices[i]->group == group)
			ret = cbit_domain_attach(hwpt->domain, machine->devices[i]->devid);
	}
	return ret;
}

static void block_group(const struct vfio_group *group, struct cbit_machine *machine)
{
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->group == group)
			cbit_iommu_block(machine->iommu, machine->devices[i]->devid);
	}
}

/* One device less; a page table that was made for attaching goes with its last one. */
static void put(struct vfio_hwpt *hwpt)
{
	hwpt->obj.users--;
	if (hwpt->automatic && hwpt->obj.users == 1)
		vfio_object_destroy(hwpt->ioas->fd, &hwpt->obj);
}

/* Linux: iommufd_hw_pagetable_attach(). The first device of a group attaches all of them. */
int vfio_hwpt_attach(struct vfio_hwpt *hwpt, struct vfio_device *dev)
{
	struct vfio_group *group = dev->group;
	int ret;

	if (group->hwpt && group->hwpt != hwpt)
		return -EINVAL;
	ret = vfio_ioas_reserve(hwpt->ioas);
	if (ret)
		return ret;
	if (!group->hwpt) {
		ret = attach_group(group, dev->machine, hwpt);
		if (ret) {
			vfio_ioas_unreserve(hwpt->ioas);
			return ret;
		}
		group->hwpt = hwpt;
	}
	hwpt->obj.users++;
	group->attached++;
	dev->attached = true;
	return 0;
}

void vfio_device_detach_pt(struct vfio_device *dev)
{
	struct vfio_group *group = dev->group;
	struct vfio_hwpt *hwpt = group->hwpt;

	if (!dev->attached)
		return;
	dev->attached = false;
	if (!--group->attached) {
		block_group(group, dev->machine);
		group->hwpt = NULL;
	}
	vfio_ioas_unreserve(hwpt->ioas);
	put(hwpt);
}

/* Linux: iommufd_device_do_replace(). All devices of the group move. */
static int replace(struct vfio_hwpt *hwpt, struct vfio_device *dev)
{
	struct vfio_group *group = dev->group;
	struct vfio_hwpt *old = group->hwpt;
	bool other = hwpt->ioas != old->ioas;
	unsigned int n = 0;
	int ret = 0;

	if (hwpt == old)
		return 0;
	while (other && n < group->attached && !ret) {
		ret = vfio_ioas_reserve(hwpt->ioas);
		n += !ret;
	}
	if (!ret)
		ret = attach_group(group, dev->machine, hwpt);
	if (ret) {
		while (n--)
			vfio_ioas_unreserve(hwpt->ioas);
		return ret;
	}
	for (n = 0; other && n < group->attached; n++)
		vfio_ioas_unreserve(old->ioas);
	group->hwpt = hwpt;
	hwpt->obj.users += group->attached;
	old->obj.users -= group->attached - 1;
	put(old);
	return 0;
}

static int attach_or_replace(struct vfio_hwpt *hwpt, struct vfio_device *dev)
{
	return dev->attached ? replace(hwpt, dev) : vfio_hwpt_attach(hwpt, dev);
}

/*
 * Linux: iommufd_device_auto_get_domain(). A page table that was made for this before, if it can
 * be used, or a new one.
 */
static int attach_ioas(struct vfio_ioas *ioas, struct vfio_device *dev, uint32_t *id)
{
	bool move = dev->attached;
	struct vfio_hwpt *hwpt;
	int ret;

	for (hwpt = ioas->hwpts; hwpt; hwpt = hwpt->next) {
		if (!hwpt->automatic)
			continue;
		*id = hwpt->obj.id;
		ret = attach_or_replace(hwpt, dev);
		if (ret != -EINVAL)
			return ret;
	}
	ret = vfio_hwpt_alloc(ioas, move ? NULL : dev, 0, false, &hwpt);
	if (ret)
		return ret;
	if (move) {
		ret = replace(hwpt, dev);
		if (ret) {
			vfio_object_destroy(ioas->fd, &hwpt->obj);
			return ret;
		}
	}
	hwpt->automatic = true;
	*id = hwpt->obj.id;
	return 0;
}

/* Linux: iommufd_device_change_pt() */
int vfio_device_attach_pt(struct vfio_device *dev, uint32_t *id)
{
	struct vfio_object *obj = vfio_object_find(dev->iommufd, *id, VFIO_OBJECT_NONE);

	if (!obj)
		return -ENOENT;
	if (obj->type == VFIO_OBJECT_HWPT)
		return attach_or_replace(vfio_hwpt_of(obj), dev);
	if (obj->type == VFIO_OBJECT_IOAS)
		return attach_ioas(vfio_ioas_of(obj), dev, id);
	return -EINVAL;
}

/*
 * A PASID: page tables that were not made for it are refused (iommufd_hwpt_pasid_compat()), and
 * those of AMD that were cannot be attached to one (iommu_attach_device_pasid(): no
 * set_dev_pasid).
 */
int vfio_device_attach_pasid(struct vfio_device *dev, uint32_t id)
{
	const struct vfio_object *obj = vfio_object_find(dev->iommufd, id, VFIO_OBJECT_NONE);
	const struct vfio_hwpt *hwpt = (const struct vfio_hwpt *)obj;

	if (!obj)
		return -ENOENT;
	if (obj->type != VFIO_OBJECT_HWPT || !hwpt->pasid ||
	    (dev->group->hwpt && !dev->group->hwpt->pasid))
		return -EINVAL;
	return -EOPNOTSUPP;
}
