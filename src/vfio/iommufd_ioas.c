/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of an iommufd about address spaces (Linux 7.2: drivers/iommu/iommufd/ioas.c).
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

long vfio_iommufd_ioas_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_ioas_alloc *cmd = arg;
	struct vfio_ioas *ioas;
	int ret;

	if (cmd->flags)
		return -EOPNOTSUPP;
	ret = vfio_ioas_create(fd, &ioas);
	if (ret)
		return ret;
	cmd->out_ioas_id = ioas->obj.id;
	ret = vfio_respond(call, cmd, sizeof(*cmd));
	if (ret)
		vfio_object_destroy(fd, &ioas->obj);
	return ret;
}

/* --- which addresses --- */

long vfio_iommufd_iova_ranges(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	const struct cbit_client_ops *ops = call->machine->client;
	struct uapi_ioas_iova_ranges *cmd = arg;
	struct uapi_iova_range ranges[4];
	uint32_t max = cmd->num_iovas;
	struct vfio_ioas *ioas;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	ioas = vfio_ioas_find(fd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	pthread_mutex_lock(&ioas->space->lock);
	cmd->num_iovas = vfio_ioas_ranges(ioas, ranges);
	cmd->out_iova_alignment = ioas->alignment;
	pthread_mutex_unlock(&ioas->space->lock);
	for (uint32_t i = 0; i < cmd->num_iovas && i < max; i++) {
		ret = ops->copy_out(call->machine->client_opaque, call->caller,
				    cmd->allowed_iovas + i * sizeof(ranges[0]), &ranges[i],
				    sizeof(ranges[0]));
		if (ret)
			return ret;
	}
	ret = vfio_respond(call, cmd, sizeof(*cmd));
	if (ret)
		return ret;
	return cmd->num_iovas > max ? -EMSGSIZE : 0;
}

struct allowed {
	struct uapi_iova_range *range; /* ascending */
	uint32_t nr, room;
};

static int allow(struct allowed *a, const struct uapi_iova_range *range)
{
	uint32_t low = 0, high = a->nr;

	if (range->start >= range->last)
		return -EINVAL;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (a->range[mid].last < range->start)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < a->nr && a->range[low].start <= range->last)
		return -EINVAL;
	if (a->nr == a->room) {
		uint32_t room = a->room ? 2 * a->room : 8;
		struct uapi_iova_range *more = realloc(a->range, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		a->range = more;
		a->room = room;
	}
	memmove(&a->range[low + 1], &a->range[low], (a->nr - low) * sizeof(*range));
	a->range[low] = *range;
	a->nr++;
	return 0;
}

long vfio_iommufd_allow_iovas(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	const struct cbit_client_ops *ops = call->machine->client;
	const struct uapi_ioas_allow_iovas *cmd = arg;
	struct uapi_iova_range range;
	struct vfio_ioas *ioas;
	struct allowed a = { 0 };
	int ret = 0;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	ioas = vfio_ioas_find(fd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	/* One by one: what is wrong with an earlier one is told before a later one is looked at. */
	for (uint32_t i = 0; i < cmd->num_iovas && !ret; i++) {
		ret = ops->copy_in(call->machine->client_opaque, call->caller, &range,
				   cmd->allowed_iovas + i * sizeof(range), sizeof(range));
		if (!ret)
			ret = allow(&a, &range);
	}
	if (!ret)
		ret = vfio_ioas_allow(ioas, a.range, a.nr);
	if (ret)
		free(a.range);
	return ret;
}

/* --- mapping --- */

#define MAP_FLAGS (UAPI_IOAS_MAP_FIXED_IOVA | UAPI_IOAS_MAP_WRITEABLE | UAPI_IOAS_MAP_READABLE)

static unsigned int attrs_of(uint32_t flags)
{
	return (flags & UAPI_IOAS_MAP_WRITEABLE ? CBIT_ATTR_WRITE : 0u) |
	       (flags & UAPI_IOAS_MAP_READABLE ? CBIT_ATTR_READ : 0u);
}

long vfio_iommufd_map(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_ioas_map *cmd = arg;
	struct vfio_slice slice = { .start = cmd->user_va & ~CBIT_PAGE_MASK, .len = cmd->length };
	struct vfio_area area = {
		.slice = &slice,
		.nr = 1,
		.len = cmd->length,
		.iova = cmd->iova,
		.fixed = cmd->flags & UAPI_IOAS_MAP_FIXED_IOVA,
		.attrs = attrs_of(cmd->flags),
		.call_name = "IOMMU_IOAS_MAP",
	};
	struct vfio_ioas *ioas;
	int ret;

	if (cmd->flags & ~MAP_FLAGS || cmd->reserved)
		return -EOPNOTSUPP;
	if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
		return -EOVERFLOW;
	if (!area.attrs)
		return -EINVAL;
	ioas = vfio_ioas_find(fd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	ret = vfio_pages_create(fd, call, cmd->user_va, cmd->length, area.attrs & CBIT_ATTR_WRITE,
				&slice.pages);
	if (ret)
		return ret;
	ret = vfio_ioas_map(ioas, call, &area);
	vfio_pages_put(slice.pages);
	if (ret)
		return ret;
	cmd->iova = area.iova;
	return vfio_respond(call, cmd, sizeof(*cmd));
}

long vfio_iommufd_map_file(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_ioas_map_file *cmd = arg;
	struct vfio_slice slice = { .start = cmd->start & ~CBIT_PAGE_MASK, .len = cmd->length };
	struct vfio_area area = {
		.slice = &slice,
		.nr = 1,
		.len = cmd->length,
		.iova = cmd->iova,
		.fixed = cmd->flags & UAPI_IOAS_MAP_FIXED_IOVA,
		.attrs = attrs_of(cmd->flags),
		.call_name = "IOMMU_IOAS_MAP_FILE",
	};
	struct vfio_ioas *ioas;
	uint64_t last;
	int ret;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
		return -EOVERFLOW;
	if (!area.attrs)
		return -EINVAL;
	ioas = vfio_ioas_find(fd, cmd->ioas_id);
	if (!ioas)
		return -ENOENT;
	if (!cmd->length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->start, cmd->length - 1, &last))
		return -EOVERFLOW;
	ret = vfio_pages_create_file(fd, call, cmd->fd, cmd->start, cmd->length,
				     area.attrs & CBIT_ATTR_WRITE, &slice.pages);
	if (ret)
		return ret;
	ret = vfio_ioas_map(ioas, call, &area);
	vfio_pages_put(slice.pages);
	if (ret)
		return ret;
	cmd->iova = area.iova;
	return vfio_respond(call, cmd, sizeof(*cmd));
}

struct slices {
	struct vfio_slice *slice;
	unsigned int nr, room;
};

static void slices_put(struct slices *s)
{
	for (unsigned int i = 0; i < s->nr; i++)
		vfio_pages_put(s->slice[i].pages);
	free(s->slice);
}

static int slices_add(struct slices *s, const struct vfio_mapping *m, uint64_t from, uint64_t len)
{
	if (s->nr == s->room) {
		unsigned int room = s->room ? 2 * s->room : 4;
		struct vfio_slice *more = realloc(s->slice, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->slice = more;
		s->room = room;
	}
	vfio_pages_get(m->pages);
	s->slice[s->nr++] = (struct vfio_slice){ m->pages, m->start + (from - m->iova), len };
	return 0;
}

/* What is mapped from @first to @last without a gap (iopt_get_pages). */
static int slices_get(struct vfio_ioas *ioas, uint64_t first, uint64_t last, struct slices *s)
{
	uint64_t at = first;
	int ret = 0;

	pthread_mutex_lock(&ioas->space->lock);
	for (;;) {
		struct vfio_mapping *m = vfio_space_first(ioas->space, at, last);
		uint64_t end;

		if (!m || m->iova > at) {
			ret = -ENOENT;
			break;
		}
		end = m->iova + (m->size - 1);
		end = end < last ? end : last;
		ret = slices_add(s, m, at, end - at + 1);
		if (ret || end == last)
			break;
		at = end + 1;
	}
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

long vfio_iommufd_copy(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_ioas_copy *cmd = arg;
	struct vfio_area area = {
		.len = cmd->length,
		.iova = cmd->dst_iova,
		.fixed = cmd->flags & UAPI_IOAS_MAP_FIXED_IOVA,
		.attrs = attrs_of(cmd->flags),
		.call_name = "IOMMU_IOAS_COPY",
	};
	struct slices slices = { 0 };
	struct vfio_ioas *src, *dst;
	uint64_t last;
	int ret;

	if (cmd->flags & ~MAP_FLAGS)
		return -EOPNOTSUPP;
	if (cmd->length == UINT64_MAX || cmd->src_iova == UINT64_MAX || cmd->dst_iova == UINT64_MAX)
		return -EOVERFLOW;
	if (!area.attrs)
		return -EINVAL;
	src = vfio_ioas_find(fd, cmd->src_ioas_id);
	if (!src)
		return -ENOENT;
	if (!cmd->length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->src_iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	ret = slices_get(src, cmd->src_iova, last, &slices);
	if (!ret) {
		dst = vfio_ioas_find(fd, cmd->dst_ioas_id);
		area.slice = slices.slice;
		area.nr = slices.nr;
		ret = dst ? vfio_ioas_map(dst, call, &area) : -ENOENT;
	}
	slices_put(&slices);
	if (ret)
		return ret;
	cmd->dst_iova = area.iova;
	return vfio_respond(call, cmd, sizeof(*cmd));
}

long vfio_iommufd_unmap(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_ioas_unmap *cmd = arg;
	struct vfio_ioas *ioas = vfio_ioas_find(fd, cmd->ioas_id);
	bool all = !cmd->iova && cmd->length == UINT64_MAX;
	uint64_t last = UINT64_MAX, done;
	int ret;

	if (!ioas)
		return -ENOENT;
	if (!all) {
		if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
			return -EOVERFLOW;
		if (!cmd->length)
			return -EINVAL;
		if (__builtin_add_overflow(cmd->iova, cmd->length - 1, &last))
			return -EOVERFLOW;
	}
	ret = vfio_ioas_unmap(ioas, cmd->iova, last, &done);
	if (!ret && !all && !done)
		ret = -ENOENT;
	if (ret)
		return ret;
	cmd->length = done;
	return vfio_respond(call, cmd, sizeof(*cmd));
}

/* --- options --- */

/* Linux: iommufd_option_rlimit_mode() */
static int rlimit_mode(struct vfio_iommufd *fd, const struct vfio_call *call,
		       struct uapi_option *cmd)
{
	const struct cbit_client_ops *ops = call->machine->client;

	if (cmd->object_id)
		return -EOPNOTSUPP;
	if (cmd->op == UAPI_OPTION_GET) {
		cmd->val64 = fd->account_mm;
		return 0;
	}
	if (cmd->op != UAPI_OPTION_SET)
		return -EOPNOTSUPP;
	if (ops->capable &&
	    !ops->capable(call->machine->client_opaque, call->caller, CAP_SYS_RESOURCE))
		return -EPERM;
	for (uint32_t id = 1; id < fd->room; id++) {
		if (fd->objects[id])
			return -EBUSY;
	}
	if (cmd->val64 > 1)
		return -EINVAL;
	fd->account_mm = cmd->val64 == 1;
	return 0;
}

/* Linux: iommufd_ioas_option_huge_pages() */
static int huge_pages(struct vfio_iommufd *fd, struct uapi_option *cmd)
{
	struct vfio_ioas *ioas = vfio_ioas_find(fd, cmd->object_id);

	if (!ioas)
		return -ENOENT;
	if (cmd->op == UAPI_OPTION_GET) {
		cmd->val64 = !ioas->small;
		return 0;
	}
	if (cmd->op != UAPI_OPTION_SET)
		return -EOPNOTSUPP;
	if (cmd->val64 == 0)
		return vfio_ioas_small(ioas);
	if (cmd->val64 != 1)
		return -EINVAL;
	vfio_ioas_large(ioas);
	return 0;
}

long vfio_iommufd_option(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_option *cmd = arg;
	int ret;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	if (cmd->option_id == UAPI_OPTION_RLIMIT_MODE)
		ret = rlimit_mode(fd, call, cmd);
	else if (cmd->option_id == UAPI_OPTION_HUGE_PAGES)
		ret = huge_pages(fd, cmd);
	else
		ret = -EOPNOTSUPP;
	return ret ? ret
		   : vfio_put(call, offsetof(struct uapi_option, val64), &cmd->val64,
			      sizeof(cmd->val64));
}

/* --- whose memory it is --- */

/* The next mapping of any address space; NULL after the last. Nothing is mapped meanwhile. */
static struct vfio_mapping *next_mapping(struct vfio_iommufd *fd, uint32_t *id,
					 struct vfio_mapping *m)
{
	struct vfio_ioas *ioas;

	if (m)
		m = vfio_space_next(vfio_ioas_find(fd, *id)->space, m);
	while (!m && ++*id < fd->room) {
		ioas = vfio_ioas_find(fd, *id);
		m = ioas ? vfio_space_first(ioas->space, 0, UINT64_MAX) : NULL;
	}
	return m;
}

/*
 * Put on the caller's account what has to be moved there; pages that several mappings share count
 * once (Linux: charge_current()). Until it is taken off the old account, what goes from one process
 * of a user to another is on that user's twice.
 */
static int charge_caller(struct vfio_iommufd *fd, struct cbit_owner *owner, uint32_t user)
{
	int64_t by_user = 0, by_mm = 0;
	struct vfio_mapping *m;
	uint32_t id = 0;
	int ret;

	for (m = next_mapping(fd, &id, NULL); m; m = next_mapping(fd, &id, m)) {
		if (!m->pages->moving && vfio_pages_moves(m->pages, owner, user))
			*(m->pages->account == VFIO_ACCOUNT_USER ? &by_user : &by_mm) +=
				vfio_pages_pinned(m->pages);
		m->pages->moving = true;
	}
	ret = vfio_pages_charge(fd->machine, VFIO_ACCOUNT_USER, owner, user, by_user);
	if (ret)
		return ret;
	ret = vfio_pages_charge(fd->machine, VFIO_ACCOUNT_MM, owner, user, by_mm);
	if (ret)
		vfio_pages_charge(fd->machine, VFIO_ACCOUNT_USER, owner, user, -by_user);
	return ret;
}

/*
 * What is pinned of files goes from the account of who mapped it to the caller's (Linux:
 * iommufd_ioas_change_process()). Memory of a process is that process's. The machine's state is
 * locked for writing, so mappings stay as they are.
 */
long vfio_iommufd_change_process(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	const struct cbit_client_ops *ops = call->machine->client;
	const struct uapi_change_process *cmd = arg;
	struct vfio_mapping *m;
	struct cbit_owner *owner;
	uint32_t id = 0, user = 0;
	int pid, ret, given, err = 0;

	if (cmd->reserved)
		return -EOPNOTSUPP;
	for (m = next_mapping(fd, &id, NULL); m; m = next_mapping(fd, &id, m)) {
		if (m->pages->kind != VFIO_PAGES_FILE)
			return -EINVAL;
	}
	owner = ops->owner(call->machine->client_opaque, call->caller, &pid);
	if (!owner)
		return -ENOMEM;
	/* What counted goes on counting, whatever the caller may do. */
	if (ops->lock_counts)
		ops->lock_counts(call->machine->client_opaque, call->caller, &user);
	ret = charge_caller(fd, owner, user);
	id = 0;
	for (m = next_mapping(fd, &id, NULL); m; m = next_mapping(fd, &id, m)) {
		if (m->pages->moving && !ret) {
			given = vfio_pages_give(m->pages, call, user);
			err = given ? given : err;
		}
		m->pages->moving = false;
		m->pid = m->pages->pid;
	}
	ops->owner_put(call->machine->client_opaque, owner);
	/* An error on the way, and yet they are the caller's: so it is in Linux. */
	return ret ? ret : err;
}
