/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd: its files, objects by number, and which command is whose (Linux 7.2:
 * drivers/iommu/iommufd/main.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

/* --- objects --- */

static int make_room(struct vfio_iommufd *fd, uint32_t id)
{
	uint32_t room = fd->room ? fd->room : 8;
	struct vfio_object **objects;

	while (room <= id)
		room *= 2;
	if (room == fd->room)
		return 0;
	objects = realloc(fd->objects, room * sizeof(struct vfio_object *));
	if (!objects)
		return -ENOMEM;
	memset(objects + fd->room, 0, (room - fd->room) * sizeof(struct vfio_object *));
	fd->objects = objects;
	fd->room = room;
	return 0;
}

/* Numbers are given as xa_alloc() gives them: the lowest that is free, from 1. */
int vfio_object_add(struct vfio_iommufd *fd, struct vfio_object *obj, enum vfio_object_type type)
{
	uint32_t id = fd->low;

	while (id < fd->room && fd->objects[id])
		id++;
	if (make_room(fd, id))
		return -ENOMEM;
	fd->low = id + 1;
	fd->objects[id] = obj;
	obj->id = id;
	obj->type = type;
	obj->users = 1;
	return 0;
}

void vfio_object_remove(struct vfio_iommufd *fd, struct vfio_object *obj)
{
	fd->objects[obj->id] = NULL;
	if (obj->id < fd->low)
		fd->low = obj->id;
	if (fd->compat && &fd->compat->obj == obj)
		fd->compat = NULL;
}

struct vfio_object *vfio_object_find(const struct vfio_iommufd *fd, uint32_t id,
				     enum vfio_object_type type)
{
	struct vfio_object *obj = id < fd->room ? fd->objects[id] : NULL;

	if (!obj || obj->type == VFIO_OBJECT_NONE ||
	    (type != VFIO_OBJECT_NONE && obj->type != type))
		return NULL;
	return obj;
}

struct vfio_device *vfio_iommufd_device(const struct vfio_iommufd *fd, uint32_t id)
{
	struct vfio_object *obj = vfio_object_find(fd, id, VFIO_OBJECT_DEVICE);

	return obj ? (struct vfio_device *)((char *)obj - offsetof(struct vfio_device, object))
		   : NULL;
}

int vfio_object_destroy(struct vfio_iommufd *fd, struct vfio_object *obj)
{
	if (obj->users != 1)
		return -EBUSY;
	vfio_object_remove(fd, obj);
	switch (obj->type) {
	case VFIO_OBJECT_IOAS:
		vfio_ioas_destroy(vfio_ioas_of(obj));
		break;
	case VFIO_OBJECT_HWPT:
		vfio_hwpt_destroy(vfio_hwpt_of(obj));
		break;
	default:
		vfio_viommu_destroy(fd, obj);
		break;
	}
	return 0;
}

/* --- files --- */

struct vfio_iommufd *vfio_iommufd_create(struct cbit_machine *machine)
{
	struct vfio_iommufd *fd = calloc(1, sizeof(*fd));

	if (!fd)
		return NULL;
	fd->machine = machine;
	fd->fd_open = true;
	fd->low = 1;
	return fd;
}

void vfio_iommufd_put(struct vfio_iommufd *fd)
{
	bool again = true;

	if (fd->fd_open || fd->users)
		return;
	/* Those that nobody uses first, until all are gone. */
	while (again) {
		again = false;
		for (uint32_t id = 1; id < fd->room; id++) {
			struct vfio_object *obj = vfio_object_find(fd, id, VFIO_OBJECT_NONE);

			if (obj && !vfio_object_destroy(fd, obj))
				again = true;
		}
	}
	free(fd->objects);
	free(fd);
}

void vfio_iommufd_release(struct vfio_iommufd *fd)
{
	fd->fd_open = false;
	vfio_iommufd_put(fd);
}

/* --- commands --- */

/* Is all zero what a client has behind the @size bytes that are known here? (check_zeroed_user) */
static long rest_zero(const struct vfio_call *call, size_t size, uint32_t user)
{
	uint8_t rest[1024];
	size_t len;
	int ret;

	for (uint64_t at = size; at < user; at += len) {
		/* What comes first decides: bytes that are not zero, or a page that is not there.
		 */
		len = sizeof(rest) - ((call->arg + at) & (sizeof(rest) - 1));
		if (len > user - at)
			len = user - at;
		ret = vfio_get(call, rest, at, len);
		if (ret)
			return ret;
		for (size_t i = 0; i < len; i++) {
			if (rest[i])
				return -E2BIG;
		}
	}
	return 0;
}

long vfio_get_cmd(const struct vfio_call *call, void *cmd, size_t size, size_t min)
{
	uint32_t user;
	long ret = vfio_get(call, &user, 0, sizeof(user));

	if (ret)
		return ret;
	if (user < min)
		return -EINVAL;
	ret = rest_zero(call, size, user);
	if (ret)
		return ret;
	memset(cmd, 0, size);
	ret = vfio_get(call, cmd, 0, user < size ? user : size);
	/* What was checked counts, whatever the client has made of it meanwhile. */
	memcpy(cmd, &user, sizeof(user));
	return ret;
}

int vfio_respond(const struct vfio_call *call, const void *cmd, size_t size)
{
	uint32_t user;

	memcpy(&user, cmd, sizeof(user));
	return vfio_put(call, 0, cmd, user < size ? user : size);
}

static long destroy(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd)
{
	const struct uapi_fd_destroy *destroy = cmd;
	struct vfio_object *obj = vfio_object_find(fd, destroy->id, VFIO_OBJECT_NONE);

	(void)call;
	return obj ? vfio_object_destroy(fd, obj) : -ENOENT;
}

typedef long command_fn(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);

#define END(type, member) (offsetof(struct type, member) + sizeof(((struct type *)0)->member))

/* Of the commands in their order: how long, how much of it there must be, who carries it out. */
static const struct command {
	size_t size, min;
	command_fn *run;
	bool changes;
} commands[] = {
	{ sizeof(struct uapi_fd_destroy), END(uapi_fd_destroy, id), destroy, true },
	{ sizeof(struct uapi_ioas_alloc), END(uapi_ioas_alloc, out_ioas_id),
	  vfio_iommufd_ioas_alloc, true },
	{ sizeof(struct uapi_ioas_allow_iovas), END(uapi_ioas_allow_iovas, allowed_iovas),
	  vfio_iommufd_allow_iovas, false },
	{ sizeof(struct uapi_ioas_copy), END(uapi_ioas_copy, src_iova), vfio_iommufd_copy, false },
	{ sizeof(struct uapi_ioas_iova_ranges), END(uapi_ioas_iova_ranges, out_iova_alignment),
	  vfio_iommufd_iova_ranges, false },
	{ sizeof(struct uapi_ioas_map), END(uapi_ioas_map, iova), vfio_iommufd_map, false },
	{ sizeof(struct uapi_ioas_unmap), END(uapi_ioas_unmap, length), vfio_iommufd_unmap, false },
	{ sizeof(struct uapi_option), END(uapi_option, val64), vfio_iommufd_option, true },
	{ sizeof(struct uapi_vfio_ioas), END(uapi_vfio_ioas, reserved), vfio_iommufd_vfio_ioas,
	  true },
	{ sizeof(struct uapi_hwpt_alloc), END(uapi_hwpt_alloc, reserved), vfio_iommufd_hwpt_alloc,
	  true },
	{ sizeof(struct uapi_hw_info), END(uapi_hw_info, reserved), vfio_iommufd_hw_info, false },
	{ sizeof(struct uapi_set_dirty_tracking), END(uapi_set_dirty_tracking, reserved),
	  vfio_iommufd_set_dirty, false },
	{ sizeof(struct uapi_get_dirty_bitmap), END(uapi_get_dirty_bitmap, data),
	  vfio_iommufd_get_dirty, false },
	{ sizeof(struct uapi_hwpt_invalidate), END(uapi_hwpt_invalidate, reserved),
	  vfio_iommufd_invalidate, false },
	{ sizeof(struct uapi_fault_alloc), END(uapi_fault_alloc, out_fault_fd),
	  vfio_iommufd_fault_alloc, true },
	{ sizeof(struct uapi_ioas_map_file), END(uapi_ioas_map_file, iova), vfio_iommufd_map_file,
	  false },
	{ sizeof(struct uapi_viommu_alloc), END(uapi_viommu_alloc, out_viommu_id),
	  vfio_iommufd_viommu_alloc, true },
	{ sizeof(struct uapi_vdevice_alloc), END(uapi_vdevice_alloc, virt_id),
	  vfio_iommufd_vdevice_alloc, true },
	{ sizeof(struct uapi_change_process), END(uapi_change_process, reserved),
	  vfio_iommufd_change_process, true },
	{ sizeof(struct uapi_veventq_alloc), END(uapi_veventq_alloc, out_veventq_fd),
	  vfio_iommufd_veventq_alloc, true },
	{ sizeof(struct uapi_hw_queue_alloc), END(uapi_hw_queue_alloc, length),
	  vfio_iommufd_hw_queue_alloc, true },
};
_Static_assert(sizeof(commands) / sizeof(commands[0]) == UAPI_IOMMUFD_LAST - UAPI_IOMMUFD_FIRST + 1,
	       "a row for each command");

static const struct command *command(uint32_t cmd)
{
	unsigned int nr = _IOC_NR(cmd) - UAPI_IOMMUFD_FIRST;

	return nr < sizeof(commands) / sizeof(commands[0]) ? &commands[nr] : NULL;
}

bool vfio_iommufd_changes(uint32_t cmd)
{
	const struct command *c = command(cmd);

	return c && c->changes;
}

long vfio_iommufd_ioctl(struct vfio_iommufd *fd, const struct vfio_call *call, uint32_t cmd)
{
	const struct command *c = command(cmd);
	uint64_t buf[8];
	uint32_t size;
	long ret;

	if (!c)
		return vfio_iommufd_compat(fd, call, cmd);
	/* Mostly a program has the very structure that is known here: one look at its memory. */
	if (cmd == UAPI_NR(_IOC_NR(cmd)) && !vfio_get(call, buf, 0, c->size)) {
		memcpy(&size, buf, sizeof(size));
		if (size == c->size)
			return c->run(fd, call, buf);
	}
	/* Linux takes the size of any command in its table's range before it knows it. */
	ret = vfio_get(call, &size, 0, sizeof(size));
	if (ret)
		return ret;
	if (cmd != UAPI_NR(_IOC_NR(cmd)))
		return -ENOTTY;
	ret = vfio_get_cmd(call, buf, c->size, c->min);
	return ret ? ret : c->run(fd, call, buf);
}
_Static_assert(sizeof(struct uapi_hwpt_alloc) <= 64 && sizeof(struct uapi_get_dirty_bitmap) <= 64,
	       "the longest command fits its buffer");
