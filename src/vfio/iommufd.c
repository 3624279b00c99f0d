/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of iommufd that VFIO programs need to get going: an IOAS with map and unmap, and
 * device files bound and attached to it (Linux 7.2: drivers/iommu/iommufd/ioas.c, main.c,
 * drivers/vfio/device_cdev.c). Page-table objects, copies and dma-bufs are not there yet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_internal.h"

static struct vfio_ioas *ioas_find(struct vfio_iommufd *fd, uint32_t id)
{
	struct vfio_ioas *ioas = fd->ioas;

	while (ioas && ioas->id != id)
		ioas = ioas->next;
	return ioas;
}

static void iommufd_put(struct vfio_iommufd *fd)
{
	struct vfio_ioas *ioas;

	if (fd->fd_open || fd->users)
		return;
	while ((ioas = fd->ioas)) {
		fd->ioas = ioas->next;
		vfio_space_destroy(ioas->space);
		free(ioas);
	}
	free(fd);
}

void vfio_iommufd_release(struct vfio_iommufd *fd)
{
	fd->fd_open = false;
	iommufd_put(fd);
}

/*
 * The structure of a command, by the size rules of the kernel's copy_struct_from_user(): a
 * longer one from the client must be zero beyond what is known here.
 */
static long get_cmd(const struct vfio_call *call, void *cmd, size_t size, size_t min)
{
	uint8_t rest[64];
	uint32_t user;
	int ret = vfio_get(call, &user, 0, sizeof(user));

	if (ret)
		return ret;
	if (user < min)
		return -EINVAL;
	if (user > CBIT_PAGE_SIZE)
		return -E2BIG;
	memset(cmd, 0, size);
	for (size_t at = size; at < user; at += sizeof(rest)) {
		size_t len = user - at < sizeof(rest) ? user - at : sizeof(rest);

		ret = vfio_get(call, rest, at, len);
		if (ret)
			return ret;
		for (size_t i = 0; i < len; i++) {
			if (rest[i])
				return -E2BIG;
		}
	}
	return vfio_get(call, cmd, 0, user < size ? user : size);
}

static long ioas_alloc(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_ioas_alloc cmd;
	struct vfio_ioas *ioas;
	long ret = get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

	if (ret)
		return ret;
	if (cmd.flags)
		return -EOPNOTSUPP;
	ioas = calloc(1, sizeof(*ioas));
	if (!ioas)
		return -ENOMEM;
	ret = vfio_space_create(call->machine, &ioas->space);
	if (ret) {
		free(ioas);
		return ret;
	}
	ioas->space->v2 = true;
	ioas->space->refuse_mmio = true;
	ioas->space->dma_avail = UINT32_MAX;
	ioas->id = ++fd->next_id;
	cmd.out_ioas_id = ioas->id;
	ret = vfio_put(call, 0, &cmd, sizeof(cmd));
	if (ret) {
		vfio_space_destroy(ioas->space);
		free(ioas);
		return ret;
	}
	ioas->next = fd->ioas;
	fd->ioas = ioas;
	return 0;
}

static long destroy(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct vfio_ioas **at, *ioas;
	struct uapi_fd_destroy cmd;
	long ret = get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

	if (ret)
		return ret;
	for (at = &fd->ioas; *at && (*at)->id != cmd.id;)
		at = &(*at)->next;
	ioas = *at;
	if (!ioas)
		return -ENOENT;
	if (ioas->users)
		return -EBUSY;
	*at = ioas->next;
	vfio_space_destroy(ioas->space);
	free(ioas);
	return 0;
}

static long iova_ranges(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_ioas_iova_ranges cmd;
	struct vfio_ioas *ioas;
	uint32_t max;
	long ret = get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

	if (ret)
		return ret;
	if (cmd.reserved)
		return -EOPNOTSUPP;
	ioas = ioas_find(fd, cmd.ioas_id);
	if (!ioas)
		return -ENOENT;
	max = cmd.num_iovas;
	for (uint32_t i = 0; i < VFIO_IOVA_RANGES && i < max; i++) {
		ret = call->machine->client->copy_out(
			call->machine->client_opaque, call->caller,
			cmd.allowed_iovas + i * sizeof(vfio_iova_ranges[0]), &vfio_iova_ranges[i],
			sizeof(vfio_iova_ranges[0]));
		if (ret)
			return ret;
	}
	cmd.num_iovas = VFIO_IOVA_RANGES;
	cmd.out_iova_alignment = CBIT_PAGE_SIZE;
	ret = vfio_put(call, 0, &cmd, sizeof(cmd));
	if (ret)
		return ret;
	return cmd.num_iovas > max ? -EMSGSIZE : 0;
}

static long ioas_map(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_ioas_map cmd;
	struct vfio_ioas *ioas;
	unsigned int attrs = 0;
	uint64_t last, vlast;
	long ret = get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

	if (ret)
		return ret;
	if (cmd.flags & ~(UAPI_IOAS_MAP_FIXED_IOVA | UAPI_IOAS_MAP_WRITEABLE |
			  UAPI_IOAS_MAP_READABLE) ||
	    cmd.reserved)
		return -EOPNOTSUPP;
	if (cmd.iova == UINT64_MAX || cmd.length == UINT64_MAX)
		return -EOVERFLOW;
	if (cmd.flags & UAPI_IOAS_MAP_WRITEABLE)
		attrs |= CBIT_ATTR_WRITE;
	if (cmd.flags & UAPI_IOAS_MAP_READABLE)
		attrs |= CBIT_ATTR_READ;
	if (!attrs)
		return -EINVAL;
	ioas = ioas_find(fd, cmd.ioas_id);
	if (!ioas)
		return -ENOENT;
	if (!cmd.length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd.iova, cmd.length - 1, &last) ||
	    __builtin_add_overflow(cmd.user_va, cmd.length - 1, &vlast))
		return -EOVERFLOW;
	if ((cmd.iova | cmd.length | cmd.user_va) & ~CBIT_PAGE_MASK)
		return -EINVAL;
	if (!(cmd.flags & UAPI_IOAS_MAP_FIXED_IOVA))
		return -EOPNOTSUPP; /* choosing an IOVA comes with the rest of iommufd */
	pthread_mutex_lock(&ioas->space->lock);
	if (!vfio_space_iova_valid(cmd.iova, last))
		ret = -EINVAL;
	else if (vfio_space_first(ioas->space, cmd.iova, last))
		ret = -EEXIST;
	else
		ret = vfio_space_map(ioas->space, call->caller, cmd.iova, cmd.length, cmd.user_va,
				     attrs);
	pthread_mutex_unlock(&ioas->space->lock);
	return ret ? ret : vfio_put(call, 0, &cmd, sizeof(cmd));
}

/* Every mapping that the range touches must lie in it whole, or nothing is removed. */
static long unmap_range(struct vfio_space *space, uint64_t first, uint64_t last, uint64_t *done)
{
	struct vfio_mapping *m, *next;

	m = vfio_space_first(space, first, last);
	if (m && m->iova < first)
		return -ENOENT;
	for (; m && m->iova <= last; m = vfio_space_next(space, m)) {
		if (m->iova + m->size - 1 > last)
			return -ENOENT;
	}
	*done = 0;
	for (m = vfio_space_first(space, first, last); m && m->iova <= last; m = next) {
		next = vfio_space_next(space, m);
		*done += m->size;
		vfio_space_remove(space, m);
	}
	return 0;
}

static long ioas_unmap(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_ioas_unmap cmd;
	struct vfio_ioas *ioas;
	uint64_t last, done = 0;
	bool all;
	long ret = get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

	if (ret)
		return ret;
	ioas = ioas_find(fd, cmd.ioas_id);
	if (!ioas)
		return -ENOENT;
	all = !cmd.iova && cmd.length == UINT64_MAX;
	if (!all) {
		if (cmd.iova == UINT64_MAX || cmd.length == UINT64_MAX)
			return -EOVERFLOW;
		if (!cmd.length)
			return -EINVAL;
		if (__builtin_add_overflow(cmd.iova, cmd.length - 1, &last))
			return -EOVERFLOW;
	} else {
		last = UINT64_MAX;
	}
	pthread_mutex_lock(&ioas->space->lock);
	ret = unmap_range(ioas->space, cmd.iova, last, &done);
	pthread_mutex_unlock(&ioas->space->lock);
	if (!ret && !all && !done)
		ret = -ENOENT;
	if (ret)
		return ret;
	cmd.length = done;
	return vfio_put(call, 0, &cmd, sizeof(cmd));
}

long vfio_iommufd_ioctl(struct vfio_iommufd *fd, const struct vfio_call *call, uint32_t cmd)
{
	switch (cmd) {
	case UAPI_IOMMUFD_DESTROY:
		return destroy(fd, call);
	case UAPI_IOMMUFD_IOAS_ALLOC:
		return ioas_alloc(fd, call);
	case UAPI_IOMMUFD_IOAS_IOVA_RANGES:
		return iova_ranges(fd, call);
	case UAPI_IOMMUFD_IOAS_MAP:
		return ioas_map(fd, call);
	case UAPI_IOMMUFD_IOAS_UNMAP:
		return ioas_unmap(fd, call);
	default:
		return -ENOTTY;
	}
}

long vfio_cdev_bind(struct cbit_file *file, const struct vfio_call *call)
{
	struct cbit_machine *machine = call->machine;
	struct vfio_device *dev = file->device;
	struct uapi_bind_iommufd bind;
	struct cbit_file *target;
	const uint32_t devid = dev->index + 1;
	long ret;

	ret = get_cmd(call, &bind, sizeof(bind),
		      offsetof(struct uapi_bind_iommufd, token_uuid_ptr));
	if (ret)
		return ret;
	if (bind.iommufd < 0 || bind.flags & ~UAPI_BIND_FLAG_TOKEN || !file->cdev)
		return -EINVAL;
	if (dev->group->opened)
		return -EBUSY;
	if (file->granted || bind.flags & UAPI_BIND_FLAG_TOKEN)
		return -EINVAL;
	ret = machine->client->file(machine->client_opaque, call->caller, bind.iommufd, &target);
	if (ret)
		return ret;
	if (!target || target->kind != CBIT_FILE_IOMMUFD)
		return -EBADFD;
	if (dev->iommufd)
		return -EINVAL; /* bound through another file */
	ret = vfio_put(call, offsetof(struct uapi_bind_iommufd, out_devid), &devid, sizeof(devid));
	if (ret)
		return ret;
	dev->iommufd = target->iommufd;
	dev->iommufd->users++;
	dev->group->cdev_open++;
	vfio_device_opened(dev);
	file->granted = true;
	return 0;
}

static void detach(struct vfio_device *dev)
{
	if (!dev->ioas)
		return;
	cbit_iommu_block(dev->machine->iommu, cbit_pci_devid(dev->pci));
	dev->ioas->users--;
	dev->ioas = NULL;
}

void vfio_cdev_unbind(struct vfio_device *dev)
{
	if (!dev->iommufd)
		return;
	detach(dev);
	dev->group->cdev_open--;
	vfio_device_closed(dev);
	dev->iommufd->users--;
	iommufd_put(dev->iommufd);
	dev->iommufd = NULL;
}

long vfio_cdev_attach(struct cbit_file *file, const struct vfio_call *call)
{
	const size_t min = offsetof(struct uapi_attach_pt, pasid);
	struct vfio_device *dev = file->device;
	struct uapi_attach_pt attach = { 0 };
	struct vfio_ioas *ioas;
	long ret = vfio_get(call, &attach, 0, min);

	if (ret)
		return ret;
	if (attach.argsz < min || attach.flags)
		return -EINVAL;
	ioas = ioas_find(dev->iommufd, attach.pt_id);
	if (!ioas)
		return -ENOENT;
	ret = cbit_domain_attach(ioas->space->domain, cbit_pci_devid(dev->pci));
	if (ret)
		return ret;
	if (dev->ioas)
		dev->ioas->users--;
	dev->ioas = ioas;
	ioas->users++;
	return vfio_put(call, 0, &attach, min);
}

long vfio_cdev_detach(struct cbit_file *file, const struct vfio_call *call)
{
	const size_t min = offsetof(struct uapi_detach_pt, pasid);
	struct uapi_detach_pt cmd = { 0 };
	long ret = vfio_get(call, &cmd, 0, min);

	if (ret)
		return ret;
	if (cmd.argsz < min || cmd.flags)
		return -EINVAL;
	detach(file->device);
	return 0;
}
