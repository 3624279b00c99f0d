/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files opened on a machine: opened and released, their calls handed on, and what is mapped by
 * them.
 */
#include <errno.h>
#include <stdlib.h>

#include "iommufd_internal.h"

/* A group whose only device is a virtual function that is not enabled. */
static bool group_absent(const struct cbit_machine *machine, const struct vfio_group *group)
{
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->group == group && !machine->devices[i]->absent)
			return false;
	}
	return true;
}

static int open_group(struct cbit_machine *machine, unsigned int number, struct cbit_file *file)
{
	for (unsigned int i = 0; i < machine->nr_groups; i++) {
		struct vfio_group *group = machine->groups[i];

		if (group->number != number || group_absent(machine, group))
			continue;
		if (group->cdev_open || group->opened)
			return -EBUSY;
		group->opened = true;
		group->fd_open = true;
		file->group = group;
		return 0;
	}
	return -ENODEV;
}

int cbit_vfio_open(struct cbit_machine *machine, enum cbit_file_kind kind, unsigned int number,
		   struct cbit_file **out)
{
	struct cbit_file *file = calloc(1, sizeof(*file));
	int ret = 0;

	if (!file)
		return -ENOMEM;
	file->machine = machine;
	file->kind = kind;
	/*
	 * For reading: a call may wait for a page of the client, and whoever brings it opens files.
	 * What an open changes is looked at by those alone who have @state for writing.
	 */
	pthread_rwlock_rdlock(&machine->state);
	switch (kind) {
	case CBIT_FILE_CONTAINER:
		file->container = calloc(1, sizeof(*file->container));
		if (file->container)
			file->container->fd_open = true;
		else
			ret = -ENOMEM;
		break;
	case CBIT_FILE_IOMMUFD:
		file->iommufd = vfio_iommufd_create(machine);
		if (!file->iommufd)
			ret = -ENOMEM;
		break;
	case CBIT_FILE_GROUP:
		pthread_mutex_lock(&machine->opens);
		ret = open_group(machine, number, file);
		pthread_mutex_unlock(&machine->opens);
		break;
	case CBIT_FILE_EVENTQ:
	case CBIT_FILE_DMABUF:
		ret = -ENODEV; /* they come from calls */
		break;
	case CBIT_FILE_DEVICE:
		file->cdev = true;
		if (number < machine->nr_devices && !machine->devices[number]->absent)
			file->device = machine->devices[number];
		else
			ret = -ENODEV;
		break;
	}
	pthread_rwlock_unlock(&machine->state);
	if (ret)
		free(file);
	else
		*out = file;
	return ret;
}

void cbit_vfio_release(struct cbit_file *file)
{
	struct cbit_machine *machine = file->machine;

	pthread_rwlock_wrlock(&machine->state);
	switch (file->kind) {
	case CBIT_FILE_CONTAINER:
		vfio_container_release(machine, file->container);
		break;
	case CBIT_FILE_IOMMUFD:
		vfio_iommufd_release(file->iommufd);
		break;
	case CBIT_FILE_EVENTQ:
		vfio_eventq_release(file->eventq);
		break;
	case CBIT_FILE_DMABUF:
		vfio_dmabuf_release(file->dmabuf);
		break;
	case CBIT_FILE_GROUP:
		file->group->fd_open = false;
		vfio_group_put(machine, file->group);
		break;
	case CBIT_FILE_DEVICE:
		if (file->cdev && vfio_file_granted(file)) {
			vfio_cdev_unbind(file->device);
		} else if (!file->cdev) {
			vfio_group_device_closed(file->device);
			vfio_group_put(machine, file->device->group);
		}
		break;
	}
	pthread_rwlock_unlock(&machine->state);
	free(file);
}

enum cbit_file_kind cbit_vfio_kind(const struct cbit_file *file)
{
	return file->kind;
}

unsigned int cbit_vfio_device_index(const struct cbit_file *file)
{
	return file->kind == CBIT_FILE_DEVICE ? file->device->index : UINT32_MAX;
}

bool cbit_vfio_cdev(const struct cbit_file *file)
{
	return file->cdev;
}

bool cbit_vfio_granted(const struct cbit_file *file)
{
	return vfio_file_granted(file);
}

unsigned int cbit_vfio_group_number(const struct cbit_file *file)
{
	return file->kind == CBIT_FILE_GROUP ? file->group->number : UINT32_MAX;
}

/* Calls that only use what is set up leave the state alone and may run side by side. */
static bool changes_state(const struct cbit_file *file, uint32_t cmd)
{
	switch (file->kind) {
	case CBIT_FILE_CONTAINER:
		return cmd == UAPI_SET_IOMMU;
	case CBIT_FILE_GROUP:
		return cmd != UAPI_GROUP_GET_STATUS;
	case CBIT_FILE_IOMMUFD:
		return vfio_iommufd_changes(cmd);
	case CBIT_FILE_DMABUF:
		return false;
	default:
		return cmd == UAPI_DEVICE_BIND_IOMMUFD || cmd == UAPI_DEVICE_ATTACH_IOMMUFD_PT ||
		       cmd == UAPI_DEVICE_DETACH_IOMMUFD_PT;
	}
}

long cbit_vfio_ioctl(struct cbit_file *file, void *caller, uint32_t cmd, uint64_t arg)
{
	struct cbit_machine *machine = file->machine;
	const struct vfio_call call = { .machine = machine, .caller = caller, .arg = arg };
	char byte;
	long ret;

	if (changes_state(file, cmd)) {
		/*
		 * The page may have to be brought by other calls of the client: it is waited for
		 * without the lock. (Where @arg is no address nothing comes of it.)
		 */
		(void)machine->client->copy_in(machine->client_opaque, caller, &byte, arg, 1);
		pthread_rwlock_wrlock(&machine->state);
	} else {
		pthread_rwlock_rdlock(&machine->state);
	}
	switch (file->kind) {
	case CBIT_FILE_CONTAINER:
		ret = vfio_container_ioctl(file->container, &call, cmd);
		break;
	case CBIT_FILE_GROUP:
		ret = vfio_group_ioctl(file->group, &call, cmd);
		break;
	case CBIT_FILE_IOMMUFD:
		ret = vfio_iommufd_ioctl(file->iommufd, &call, cmd);
		break;
	case CBIT_FILE_EVENTQ:
		ret = -ENOTTY;
		break;
	case CBIT_FILE_DMABUF:
		ret = vfio_dmabuf_ioctl(file->dmabuf, &call, cmd);
		break;
	default:
		ret = vfio_device_ioctl(file, &call, cmd);
		break;
	}
	pthread_rwlock_unlock(&machine->state);
	return ret;
}

static struct vfio_space *space_of(const struct cbit_file *file)
{
	switch (file->kind) {
	case CBIT_FILE_CONTAINER:
		return file->container->space;
	case CBIT_FILE_DEVICE:
		if (file->device->attached)
			return file->device->group->hwpt->ioas->space;
		return file->device->group->container ? file->device->group->container->space
						      : NULL;
	default:
		return NULL;
	}
}

bool cbit_vfio_describe(struct cbit_file *file, struct cbit_iova iova,
			struct cbit_mapping_info *out)
{
	struct vfio_space *space;
	bool found = false;

	pthread_rwlock_rdlock(&file->machine->state);
	space = space_of(file);
	if (space)
		found = vfio_space_describe(space, iova.v, out);
	pthread_rwlock_unlock(&file->machine->state);
	return found;
}

struct cbit_domain *cbit_vfio_domain(struct cbit_file *file)
{
	struct cbit_domain *domain = NULL;
	struct vfio_space *space;

	pthread_rwlock_rdlock(&file->machine->state);
	space = space_of(file);
	if (space)
		domain = space->ioas ? file->device->group->hwpt->domain : space->domain;
	pthread_rwlock_unlock(&file->machine->state);
	return domain;
}
