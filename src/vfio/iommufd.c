/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of iommufd that VFIO programs need to get going: objects by number, and an IOAS with
 * map and unmap (Linux 7.2: drivers/iommu/iommufd/main.c, ioas.c, io_pagetable.c). Objects made
 * by hand other than an IOAS, copies and dma-bufs are not there yet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vfio_internal.h"

static struct vfio_ioas *ioas_find(const struct vfio_iommufd *fd, uint32_t id)
{
	struct vfio_ioas *ioas = fd->ioas;

	while (ioas && ioas->id != id)
		ioas = ioas->next;
	return ioas;
}

enum vfio_object vfio_iommufd_find(const struct cbit_machine *machine,
				   const struct vfio_iommufd *fd, uint32_t id,
				   struct vfio_ioas **out)
{
	*out = NULL;
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->iommufd == fd && machine->devices[i]->object == id)
			return VFIO_OBJECT_DEVICE;
	}
	for (struct vfio_ioas *ioas = fd->ioas; ioas; ioas = ioas->next) {
		if (ioas->id != id && (!ioas->users || ioas->table != id))
			continue;
		*out = ioas;
		return ioas->id == id ? VFIO_OBJECT_IOAS : VFIO_OBJECT_TABLE;
	}
	return VFIO_OBJECT_NONE;
}

/* Numbers are given as xa_alloc() gives them: the lowest that is free, from 1. */
uint32_t vfio_iommufd_number(const struct cbit_machine *machine, struct vfio_iommufd *fd)
{
	struct vfio_ioas *ioas;
	uint32_t id = fd->low ? fd->low : 1;

	while (vfio_iommufd_find(machine, fd, id, &ioas) != VFIO_OBJECT_NONE)
		id++;
	fd->low = id;
	return id;
}

void vfio_iommufd_free(struct vfio_iommufd *fd, uint32_t id)
{
	if (id < fd->low)
		fd->low = id;
}

void vfio_iommufd_put(struct vfio_iommufd *fd)
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
	vfio_iommufd_put(fd);
}

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
	return vfio_get(call, cmd, 0, user < size ? user : size);
}

static long ioas_alloc(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_ioas_alloc cmd;
	struct vfio_ioas *ioas;
	long ret = vfio_get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

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
	ioas->id = vfio_iommufd_number(call->machine, fd);
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
	long ret = vfio_get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

	if (ret)
		return ret;
	switch (vfio_iommufd_find(call->machine, fd, cmd.id, &ioas)) {
	case VFIO_OBJECT_NONE:
		return -ENOENT;
	case VFIO_OBJECT_IOAS:
		if (!ioas->users)
			break;
		return -EBUSY;
	default:
		return -EBUSY; /* a bound device, or the page table of an attached one */
	}
	for (at = &fd->ioas; *at != ioas;)
		at = &(*at)->next;
	*at = ioas->next;
	vfio_iommufd_free(fd, ioas->id);
	vfio_space_destroy(ioas->space);
	free(ioas);
	return 0;
}

static long iova_ranges(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	static const struct uapi_iova_range everything = { 0, UINT64_MAX };
	struct uapi_ioas_iova_ranges cmd;
	const struct uapi_iova_range *ranges;
	struct vfio_ioas *ioas;
	uint32_t max;
	long ret = vfio_get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

	if (ret)
		return ret;
	if (cmd.reserved)
		return -EOPNOTSUPP;
	ioas = ioas_find(fd, cmd.ioas_id);
	if (!ioas)
		return -ENOENT;
	/* Without a device nothing is reserved, and no page table asks for alignment. */
	ranges = ioas->users ? vfio_iova_ranges : &everything;
	max = cmd.num_iovas;
	cmd.num_iovas = ioas->users ? VFIO_IOVA_RANGES : 1;
	cmd.out_iova_alignment = ioas->users ? CBIT_PAGE_SIZE : 1;
	for (uint32_t i = 0; i < cmd.num_iovas && i < max; i++) {
		ret = call->machine->client->copy_out(call->machine->client_opaque, call->caller,
						      cmd.allowed_iovas + i * sizeof(ranges[0]),
						      &ranges[i], sizeof(ranges[0]));
		if (ret)
			return ret;
	}
	ret = vfio_put(call, 0, &cmd, sizeof(cmd));
	if (ret)
		return ret;
	return cmd.num_iovas > max ? -EMSGSIZE : 0;
}

static uint64_t round_up_power(uint64_t n)
{
	return n <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(n - 1));
}

/* The lowest place from @first to @last that is free, or 0. */
static uint64_t find_hole(struct vfio_space *space, uint64_t first, uint64_t last, uint64_t len,
			  uint64_t align)
{
	struct vfio_mapping *m;
	uint64_t end;

	for (;;) {
		if (__builtin_add_overflow(first, align - 1, &first))
			return 0;
		first &= ~(align - 1);
		m = vfio_space_first(space, first, last);
		end = m && m->iova > first ? m->iova - 1 : last;
		if ((!m || m->iova > first) && first < end && end - first >= len - 1)
			return first;
		if (!m || __builtin_add_overflow(m->iova, m->size, &first) || first > last)
			return 0;
	}
}

/* Choose an IOVA (Linux: iopt_alloc_iova). The alignment of the address is kept up to 2 MiB. */
static long alloc_iova(const struct vfio_ioas *ioas, uint64_t addr, uint64_t len, uint64_t *iova)
{
	const uint64_t lowest = CBIT_PAGE_SIZE, highest = UINT64_MAX - CBIT_PAGE_SIZE;
	uint64_t align = UINT64_C(2) << 20;

	if (len >= UINT64_MAX / 2)
		return -EOVERFLOW;
	if (round_up_power(len) < align)
		align = round_up_power(len);
	if (addr && (addr & -addr) < align)
		align = addr & -addr;
	if (!ioas->users) {
		*iova = find_hole(ioas->space, lowest, highest, len, align);
		return *iova ? 0 : -ENOSPC;
	}
	for (unsigned int i = 0; i < VFIO_IOVA_RANGES; i++) {
		const struct uapi_iova_range *r = &vfio_iova_ranges[i];

		*iova = find_hole(ioas->space, r->start < lowest ? lowest : r->start,
				  r->last > highest ? highest : r->last, len, align);
		if (*iova)
			return 0;
	}
	return -ENOSPC;
}

/* Linux: iopt_alloc_area_pages() and what it calls. */
static long map_area(struct vfio_ioas *ioas, const struct vfio_call *call,
		     struct uapi_ioas_map *cmd, unsigned int attrs)
{
	const uint64_t off = ~CBIT_PAGE_MASK;
	uint64_t last;
	long ret;

	/* Before a device is attached Linux takes odd addresses as well; pages only, here. */
	if (cmd->length & off)
		return -EINVAL;
	if (!(cmd->flags & UAPI_IOAS_MAP_FIXED_IOVA)) {
		if (cmd->user_va & off)
			return -EINVAL;
		ret = alloc_iova(ioas, cmd->user_va, cmd->length, &cmd->iova);
		if (ret)
			return ret;
	} else {
		if (cmd->iova & off)
			return -EINVAL;
		if (__builtin_add_overflow(cmd->iova, cmd->length - 1, &last))
			return -EOVERFLOW;
		if (ioas->users && !vfio_space_iova_valid(cmd->iova, last))
			return -EINVAL;
		if (vfio_space_first(ioas->space, cmd->iova, last)) {
			const struct cbit_mapping_info refused = { .iova = CBIT_IOVA(cmd->iova),
								   .size = cmd->length,
								   .vaddr = cmd->user_va,
								   .attrs = attrs };

			vfio_watch_refused(ioas->space, call, "IOMMU_IOAS_MAP", &refused);
			return -EEXIST;
		}
		if (cmd->user_va & off)
			return -EINVAL;
	}
	return vfio_space_map(ioas->space, call->caller, cmd->iova, cmd->length, cmd->user_va,
			      attrs);
}

static long ioas_map(struct vfio_iommufd *fd, const struct vfio_call *call)
{
	struct uapi_ioas_map cmd;
	struct vfio_ioas *ioas;
	unsigned int attrs = 0;
	uint64_t end;
	long ret = vfio_get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

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
	if (__builtin_add_overflow(cmd.user_va, cmd.length, &end))
		return -EOVERFLOW;
	if (!cmd.length)
		return -EINVAL;
	pthread_mutex_lock(&ioas->space->lock);
	ret = map_area(ioas, call, &cmd, attrs);
	pthread_mutex_unlock(&ioas->space->lock);
	return ret ? ret : vfio_put(call, 0, &cmd, sizeof(cmd));
}

/* A mapping that is cut ends the call; what was whole before it is gone by then. */
static long unmap_range(struct vfio_space *space, uint64_t first, uint64_t last, uint64_t *done)
{
	struct vfio_mapping *m, *next;

	*done = 0;
	for (m = vfio_space_first(space, first, last); m && m->iova <= last; m = next) {
		if (m->iova < first || m->iova + m->size - 1 > last)
			return -ENOENT;
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
	long ret = vfio_get_cmd(call, &cmd, sizeof(cmd), sizeof(cmd));

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
	uint32_t size;
	int ret;

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
		/* Linux takes the size of any command in its table's range before it knows it. */
		if (_IOC_NR(cmd) >= UAPI_IOMMUFD_FIRST && _IOC_NR(cmd) <= UAPI_IOMMUFD_LAST) {
			ret = vfio_get(call, &size, 0, sizeof(size));
			if (ret)
				return ret;
		}
		return -ENOTTY;
	}
}
