/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device files opened by their own node: bound to an iommufd and attached to an IOAS of it
 * (Linux 7.2: drivers/vfio/device_cdev.c, iommufd.c; drivers/iommu/iommufd/device.c).
 */
#include <errno.h>
#include <string.h>

#include "vfio_internal.h"

/* Linux: vfio_df_check_token() for a function that is neither a VF nor has any. */
static int check_token(const struct vfio_call *call, const struct uapi_bind_iommufd *bind)
{
	uint8_t uuid[16];
	int ret;

	if (!(bind->flags & UAPI_BIND_FLAG_TOKEN))
		return 0;
	ret = call->machine->client->copy_in(call->machine->client_opaque, call->caller, uuid,
					     bind->token_uuid_ptr, sizeof(uuid));
	return ret ? ret : -EINVAL;
}

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

static long bind_device(struct cbit_file *file, const struct vfio_call *call,
			const struct uapi_bind_iommufd *bind)
{
	struct cbit_machine *machine = call->machine;
	struct vfio_device *dev = file->device;
	struct cbit_file *target;
	uint32_t number;
	long ret;

	if (dev->group->opened)
		return -EBUSY;
	if (vfio_file_granted(file))
		return -EINVAL;
	ret = check_token(call, bind);
	if (ret)
		return ret;
	ret = machine->client->file(machine->client_opaque, call->caller, bind->iommufd, &target);
	if (ret)
		return ret;
	if (!target || target->kind != CBIT_FILE_IOMMUFD)
		return -EBADFD;
	if (dev->iommufd)
		return -EINVAL; /* bound through another file */
	if (owned_elsewhere(dev, target->iommufd))
		return -EPERM;
	number = vfio_iommufd_number(machine, target->iommufd);
	ret = vfio_put(call, offsetof(struct uapi_bind_iommufd, out_devid), &number,
		       sizeof(number));
	if (ret)
		return ret;
	dev->iommufd = target->iommufd;
	dev->object = number;
	dev->iommufd->users++;
	dev->group->cdev_open++;
	vfio_device_opened(dev);
	vfio_file_grant(file);
	return 0;
}

long vfio_cdev_bind(struct cbit_file *file, const struct vfio_call *call)
{
	struct uapi_bind_iommufd bind;
	long ret = vfio_get_cmd(call, &bind, sizeof(bind),
				offsetof(struct uapi_bind_iommufd, token_uuid_ptr));

	if (ret)
		return ret;
	if (bind.iommufd < 0 || bind.flags & ~UAPI_BIND_FLAG_TOKEN || !file->cdev)
		return -EINVAL;
	return bind_device(file, call, &bind);
}

static void leave(struct vfio_device *dev)
{
	if (!--dev->ioas->users)
		vfio_iommufd_free(dev->iommufd, dev->ioas->table);
	dev->ioas = NULL;
}

static void detach(struct vfio_device *dev)
{
	if (!dev->ioas)
		return;
	cbit_iommu_block(dev->machine->iommu, cbit_pci_devid(dev->pci));
	leave(dev);
}

void vfio_cdev_unbind(struct vfio_device *dev)
{
	if (!dev->iommufd)
		return;
	detach(dev);
	dev->group->cdev_open--;
	vfio_device_closed(dev);
	vfio_iommufd_free(dev->iommufd, dev->object);
	dev->iommufd->users--;
	vfio_iommufd_put(dev->iommufd);
	dev->iommufd = NULL;
	dev->object = 0;
}

/* What the first device of an IOAS reserves must not be mapped (iopt_reserve_iova). */
static bool maps_reserved(struct vfio_space *space)
{
	bool found = false;

	pthread_mutex_lock(&space->lock);
	for (unsigned int i = 1; i < VFIO_IOVA_RANGES; i++)
		found |= vfio_space_first(space, vfio_iova_ranges[i - 1].last + 1,
					  vfio_iova_ranges[i].start - 1) != NULL;
	pthread_mutex_unlock(&space->lock);
	return found;
}

static int enter(struct vfio_device *dev, struct vfio_ioas *ioas)
{
	int ret = cbit_domain_attach(ioas->space->domain, cbit_pci_devid(dev->pci));

	if (ret)
		return ret;
	if (!ioas->users++)
		ioas->table = vfio_iommufd_number(dev->machine, dev->iommufd);
	if (dev->ioas)
		leave(dev);
	dev->ioas = ioas;
	return 0;
}

/*
 * The devices of a group share their address space: the first attaches, others may only follow,
 * and one that is attached already takes all of them with it.
 */
static int attach(struct vfio_device *dev, struct vfio_ioas *ioas)
{
	struct cbit_machine *machine = dev->machine;
	int ret;

	if (dev->ioas == ioas)
		return 0;
	for (unsigned int i = 0; i < machine->nr_devices && !dev->ioas; i++) {
		const struct vfio_device *other = machine->devices[i];

		if (other->group == dev->group && other->ioas && other->ioas != ioas)
			return -EINVAL;
	}
	if (!ioas->users && maps_reserved(ioas->space))
		return -EADDRINUSE;
	if (!dev->ioas)
		return enter(dev, ioas);
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		struct vfio_device *other = machine->devices[i];

		if (other->group != dev->group || !other->ioas)
			continue;
		ret = enter(other, ioas);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * Up to pt_id or flags, and up to pasid where the flag says so. Return: 1 for a call about a
 * PASID, 0 for one about the device, or an errno.
 */
static int get_pasid(const struct vfio_call *call, void *cmd, size_t min, size_t size)
{
	struct uapi_detach_pt head;
	int ret = vfio_get(call, cmd, 0, min);

	if (ret)
		return ret;
	memcpy(&head, cmd, offsetof(struct uapi_detach_pt, pasid));
	if (head.argsz < min || head.flags & ~UAPI_PT_FLAG_PASID)
		return -EINVAL;
	if (!(head.flags & UAPI_PT_FLAG_PASID))
		return 0;
	if (head.argsz < size)
		return -EINVAL;
	ret = vfio_get(call, (uint8_t *)cmd + min, min, size - min);
	return ret ? ret : 1;
}

long vfio_cdev_attach(struct cbit_file *file, const struct vfio_call *call)
{
	struct vfio_device *dev = file->device;
	struct uapi_attach_pt cmd = { 0 };
	struct vfio_ioas *ioas;
	int pasid = get_pasid(call, &cmd, offsetof(struct uapi_attach_pt, pasid), sizeof(cmd));
	int ret;

	if (pasid < 0)
		return pasid;
	switch (vfio_iommufd_find(dev->machine, dev->iommufd, cmd.pt_id, &ioas)) {
	case VFIO_OBJECT_NONE:
		return -ENOENT;
	case VFIO_OBJECT_DEVICE:
		return -EINVAL;
	default:
		break;
	}
	if (pasid)
		return -EINVAL; /* page tables made by attaching have none
				   (iommufd_hwpt_pasid_compat) */
	ret = attach(dev, ioas);
	if (ret)
		return ret;
	ret = vfio_put(call, offsetof(struct uapi_attach_pt, pt_id), &ioas->table,
		       sizeof(ioas->table));
	if (ret)
		detach(dev);
	return ret;
}

long vfio_cdev_detach(struct cbit_file *file, const struct vfio_call *call)
{
	struct uapi_detach_pt cmd = { 0 };
	int pasid = get_pasid(call, &cmd, offsetof(struct uapi_detach_pt, pasid), sizeof(cmd));

	if (pasid < 0)
		return pasid;
	if (!pasid)
		detach(file->device); /* there is no PASID to take away */
	return 0;
}
