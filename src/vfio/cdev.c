/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device files opened by their own node: bound to an iommufd and attached to a page table of it
 * (Linux 7.2: drivers/vfio/device_cdev.c, iommufd.c; drivers/iommu/iommufd/device.c).
 */
#include <errno.h>
#include <string.h>

#include "iommufd_internal.h"

/* Linux: vfio_df_check_token() */
static int check_token(struct vfio_device *dev, const struct vfio_call *call,
		       const struct uapi_bind_iommufd *bind)
{
	uint8_t uuid[16];
	int ret;

	if (!(bind->flags & UAPI_BIND_FLAG_TOKEN))
		return vfio_token_match(dev, NULL);
	ret = call->machine->client->copy_in(call->machine->client_opaque, call->caller, uuid,
					     bind->token_uuid_ptr, sizeof(uuid));
	return ret ? ret : vfio_token_match(dev, uuid);
}

static long bind_device(struct cbit_file *file, const struct vfio_call *call,
			const struct uapi_bind_iommufd *bind)
{
	struct cbit_machine *machine = call->machine;
	struct vfio_device *dev = file->device;
	struct cbit_file *target;
	long ret;

	if (cbit_pci_removed(dev->pci))
		return -ENODEV;
	if (dev->group->opened)
		return -EBUSY;
	if (vfio_file_granted(file))
		return -EINVAL;
	ret = check_token(dev, call, bind);
	if (ret)
		return ret;
	ret = machine->client->file(machine->client_opaque, call->caller, bind->iommufd, &target);
	if (ret)
		return ret;
	if (!target || target->kind != CBIT_FILE_IOMMUFD)
		return -EBADFD;
	if (dev->iommufd)
		return -EINVAL; /* bound through another file */
	ret = vfio_device_bind(dev, target->iommufd);
	if (ret)
		return ret;
	ret = vfio_put(call, offsetof(struct uapi_bind_iommufd, out_devid), &dev->object.id,
		       sizeof(dev->object.id));
	if (ret) {
		vfio_device_unbind(dev);
		return ret;
	}
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

void vfio_cdev_unbind(struct vfio_device *dev)
{
	if (!dev->iommufd)
		return;
	dev->group->cdev_open--;
	vfio_device_closed(dev);
	vfio_device_unbind(dev);
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
	int pasid = get_pasid(call, &cmd, offsetof(struct uapi_attach_pt, pasid), sizeof(cmd));
	int ret;

	if (pasid < 0)
		return pasid;
	if (pasid)
		return vfio_device_attach_pasid(dev, cmd.pt_id);
	ret = vfio_device_attach_pt(dev, &cmd.pt_id);
	if (ret)
		return ret;
	ret = vfio_put(call, offsetof(struct uapi_attach_pt, pt_id), &cmd.pt_id, sizeof(cmd.pt_id));
	if (ret)
		vfio_device_detach_pt(dev);
	return ret;
}

long vfio_cdev_detach(struct cbit_file *file, const struct vfio_call *call)
{
	struct uapi_detach_pt cmd = { 0 };
	int pasid = get_pasid(call, &cmd, offsetof(struct uapi_detach_pt, pasid), sizeof(cmd));

	if (pasid < 0)
		return pasid;
	if (!pasid)
		vfio_device_detach_pt(file->device); /* there is no PASID to take away */
	return 0;
}
