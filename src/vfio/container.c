/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Containers and groups: the state machine of Linux's drivers/vfio/container.c and group.c.
 * Called with the machine's state locked: for writing for everything that changes it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

static void container_put(struct vfio_container *container)
{
	if (!container->fd_open && !container->groups)
		free(container);
}

void vfio_container_release(struct cbit_machine *machine, struct vfio_container *container)
{
	(void)machine;
	container->fd_open = false;
	container_put(container);
}

static int attach_group(struct cbit_machine *machine, struct vfio_space *space,
			const struct vfio_group *group)
{
	int ret = 0;

	for (unsigned int i = 0; i < machine->nr_devices && !ret; i++) {
		if (machine->devices[i]->group == group)
			ret = cbit_domain_attach(space->domain,
						 cbit_pci_devid(machine->devices[i]->pci));
	}
	return ret;
}

static void block_group(struct cbit_machine *machine, const struct vfio_group *group)
{
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->group == group)
			cbit_iommu_block(machine->iommu, cbit_pci_devid(machine->devices[i]->pci));
	}
}

static long set_iommu(struct vfio_container *container, const struct vfio_call *call)
{
	struct cbit_machine *machine = call->machine;
	struct vfio_space *space;
	int ret;

	if (!container->groups || container->type)
		return -EINVAL;
	if (machine->noiommu) {
		if (call->arg != UAPI_NOIOMMU_IOMMU)
			return -ENODEV;
		container->type = UAPI_NOIOMMU_IOMMU;
		return 0;
	}
	if (vfio_type1_check_extension(call->arg, false) <= 0)
		return -ENODEV;
	if (call->arg != UAPI_TYPE1_IOMMU && call->arg != UAPI_TYPE1v2_IOMMU)
		return -EINVAL;
	ret = vfio_space_create(machine, NULL, &space);
	if (ret)
		return ret;
	space->v2 = call->arg == UAPI_TYPE1v2_IOMMU;
	for (unsigned int i = 0; i < machine->nr_groups && !ret; i++) {
		if (machine->groups[i]->container == container)
			ret = attach_group(machine, space, machine->groups[i]);
	}
	if (ret) {
		vfio_space_destroy(space);
		return ret;
	}
	container->space = space;
	container->type = (unsigned int)call->arg;
	return 0;
}

long vfio_container_ioctl(struct vfio_container *container, const struct vfio_call *call,
			  uint32_t cmd)
{
	switch (cmd) {
	case UAPI_GET_API_VERSION:
		return 0;
	case UAPI_CHECK_EXTENSION:
		if (call->machine->noiommu &&
		    (container->groups || call->arg == UAPI_NOIOMMU_IOMMU))
			return call->arg == UAPI_NOIOMMU_IOMMU;
		return vfio_type1_check_extension(call->arg, container->type != 0);
	case UAPI_SET_IOMMU:
		return set_iommu(container, call);
	default:
		if (container->type == UAPI_NOIOMMU_IOMMU)
			return -ENOTTY; /* vfio_noiommu_ioctl() */
		if (container->type)
			return vfio_type1_ioctl(container, call, cmd);
		vfio_tell_no_iommu(container, call, cmd);
		return -EINVAL;
	}
}

static void detach_container(struct cbit_machine *machine, struct vfio_group *group)
{
	struct vfio_container *container = group->container;

	if (!machine->noiommu)
		block_group(machine, group);
	group->container = NULL;
	container->groups--;
	if (!container->groups && container->type) {
		/* The last group takes the privilege and all mappings with it. */
		if (container->space)
			vfio_space_destroy(container->space);
		container->space = NULL;
		container->type = 0;
	}
	container_put(container);
}

static void drop_iommufd(struct vfio_group *group)
{
	struct vfio_iommufd *fd = group->iommufd;

	group->iommufd = NULL;
	fd->users--;
	vfio_iommufd_put(fd);
}

void vfio_group_put(struct cbit_machine *machine, struct vfio_group *group)
{
	/* Device files hold the group open. */
	if (group->fd_open || group->device_files)
		return;
	if (group->container)
		detach_container(machine, group);
	if (group->iommufd)
		drop_iommufd(group);
	group->opened = false;
}

/* Somebody drives DMA of the group: Linux, iommu_group_dma_owner_claimed(). */
static bool claimed(const struct cbit_machine *machine, const struct vfio_group *group)
{
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->group == group && machine->devices[i]->iommufd)
			return true;
	}
	return false;
}

static long get_status(const struct vfio_group *group, const struct vfio_call *call)
{
	struct uapi_group_status status;
	int ret = vfio_get(call, &status, 0, sizeof(status));

	if (ret)
		return ret;
	if (status.argsz < sizeof(status))
		return -EINVAL;
	status.flags = 0;
	if (group->container || group->iommufd)
		status.flags = UAPI_GROUP_FLAGS_VIABLE | UAPI_GROUP_FLAGS_CONTAINER_SET;
	else if (!claimed(call->machine, group))
		status.flags = UAPI_GROUP_FLAGS_VIABLE;
	return vfio_put(call, 0, &status, sizeof(status));
}

static long set_container(struct vfio_group *group, const struct vfio_call *call)
{
	struct cbit_machine *machine = call->machine;
	struct vfio_container *container;
	struct cbit_file *file;
	int32_t fd;
	int ret;

	ret = vfio_get(call, &fd, 0, sizeof(fd));
	if (ret)
		return ret;
	ret = machine->client->file(machine->client_opaque, call->caller, fd, &file);
	if (ret)
		return ret;
	if (group->container || group->iommufd)
		return -EINVAL;
	if (file && file->kind == CBIT_FILE_IOMMUFD) {
		ret = machine->noiommu ? vfio_iommufd_compat_noiommu(file->iommufd)
				       : vfio_iommufd_compat_create(file->iommufd);
		if (ret)
			return ret;
		group->iommufd = file->iommufd;
		group->iommufd->users++;
		return 0;
	}
	if (!file || file->kind != CBIT_FILE_CONTAINER)
		return -EBADFD;
	container = file->container;
	if (claimed(machine, group))
		return -EPERM;
	if (container->space) {
		ret = attach_group(machine, container->space, group);
		if (ret)
			return ret;
	}
	group->container = container;
	container->groups++;
	return 0;
}

static long unset_container(struct vfio_group *group, const struct vfio_call *call)
{
	if (group->iommufd) {
		drop_iommufd(group); /* open devices stay where they are */
		return 0;
	}
	if (!group->container)
		return -EINVAL;
	if (group->device_files)
		return -EBUSY;
	detach_container(call->machine, group);
	return 0;
}

/* A C string of at most a page from the client, as strndup_user() takes it. */
static int get_string(const struct vfio_call *call, char *buf, size_t size)
{
	size_t len = 0, chunk;
	int ret;

	/* Stop at each 64-byte line: what follows the string may not be mapped. */
	while (len < size) {
		chunk = 64 - ((call->arg + len) & 63);
		if (chunk > size - len)
			chunk = size - len;
		ret = vfio_get(call, buf + len, len, chunk);
		if (ret)
			return ret;
		if (memchr(buf + len, 0, chunk))
			return 0;
		len += chunk;
	}
	return -EINVAL;
}

/* The first file of a device in a group that has an iommufd: vfio_df_group_open(). */
static int open_bound(struct vfio_device *dev, struct vfio_iommufd *fd)
{
	uint32_t id;
	int ret;

	/* Nobody may have done what implies that addresses are translated. */
	if (dev->machine->noiommu)
		return fd->compat ? -EPERM : 0;
	ret = vfio_device_bind(dev, fd);
	if (ret)
		return ret;
	id = fd->compat ? fd->compat->obj.id : 0;
	ret = fd->compat ? vfio_device_attach_pt(dev, &id) : -ENODEV;
	if (ret)
		vfio_device_unbind(dev);
	return ret;
}

void vfio_group_device_closed(struct vfio_device *dev)
{
	dev->group->device_files--;
	vfio_device_closed(dev);
	if (!dev->open_count && dev->iommufd)
		vfio_device_unbind(dev);
}

static long get_device_fd(struct vfio_group *group, const struct vfio_call *call)
{
	struct cbit_machine *machine = call->machine;
	struct vfio_device *dev = NULL;
	struct cbit_file *file;
	char name[CBIT_PAGE_SIZE];
	long ret;

	ret = get_string(call, name, sizeof(name));
	if (ret)
		return ret;
	/* The first device that takes the name for its own, or refuses what comes behind it. */
	for (unsigned int i = 0; i < machine->nr_devices && !dev; i++) {
		if (machine->devices[i]->group != group || machine->devices[i]->absent)
			continue;
		ret = vfio_token_name(machine->devices[i], name);
		if (ret < 0)
			return ret;
		if (ret)
			dev = machine->devices[i];
	}
	/* A device that was pulled out is unregistered. */
	if (!dev || cbit_pci_removed(dev->pci))
		return -ENODEV;
	if (!group->iommufd && (!group->container || !group->container->type))
		return -EINVAL;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	if (group->iommufd && !dev->open_count) {
		ret = open_bound(dev, group->iommufd);
		if (ret) {
			free(file);
			return ret;
		}
	}
	file->machine = machine;
	file->kind = CBIT_FILE_DEVICE;
	file->device = dev;
	file->granted = true;
	vfio_device_opened(dev);
	group->device_files++;
	ret = machine->client->install(machine->client_opaque, call->caller, file);
	if (ret < 0) {
		vfio_group_device_closed(dev);
		free(file);
	}
	return ret;
}

long vfio_group_ioctl(struct vfio_group *group, const struct vfio_call *call, uint32_t cmd)
{
	switch (cmd) {
	case UAPI_GROUP_GET_STATUS:
		return get_status(group, call);
	case UAPI_GROUP_SET_CONTAINER:
		return set_container(group, call);
	case UAPI_GROUP_UNSET_CONTAINER:
		return unset_container(group, call);
	case UAPI_GROUP_GET_DEVICE_FD:
		return get_device_fd(group, call);
	default:
		return -ENOTTY;
	}
}
