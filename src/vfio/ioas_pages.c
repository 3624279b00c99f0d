/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of an iommufd: what a mapping call named, pinned once however many address spaces and
 * page tables it is in (Linux 7.2: drivers/iommu/iommufd/pages.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

/* Linux: iopt_alloc_pages(), iopt_map_common() */
static int create(const struct vfio_iommufd *iommufd, const struct vfio_call *call,
		  enum vfio_pages_kind kind, uint64_t start, uint64_t len, bool writable,
		  struct vfio_pages **out)
{
	const struct cbit_client_ops *ops = call->machine->client;
	uint64_t offset = start & ~CBIT_PAGE_MASK;
	struct vfio_pages *pages;

	if (!len || len > UINT64_MAX - CBIT_PAGE_SIZE)
		return -EINVAL;
	pages = calloc(1, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	pages->machine = call->machine;
	pages->refs = 1;
	pages->seg = &pages->one;
	pages->room = 1;
	pages->kind = kind;
	pages->writable = writable;
	pages->base = start - offset;
	pages->nr = (len + offset + CBIT_PAGE_SIZE - 1) >> CBIT_PAGE_SHIFT;
	pages->owner = ops->owner(call->machine->client_opaque, call->caller, &pages->pid);
	if (!pages->owner) {
		free(pages);
		return -ENOMEM;
	}
	if (ops->lock_counts && kind != VFIO_PAGES_DMABUF &&
	    ops->lock_counts(call->machine->client_opaque, call->caller, &pages->user))
		pages->account = iommufd->account_mm ? VFIO_ACCOUNT_MM : VFIO_ACCOUNT_USER;
	pthread_mutex_init(&pages->lock, NULL);
	*out = pages;
	return 0;
}

int vfio_pages_create(const struct vfio_iommufd *iommufd, const struct vfio_call *call,
		      uint64_t vaddr, uint64_t len, bool writable, struct vfio_pages **out)
{
	uint64_t end;

	if (__builtin_add_overflow(vaddr, len, &end))
		return -EOVERFLOW;
	return create(iommufd, call, VFIO_PAGES_USER, vaddr, len, writable, out);
}

/* Linux: iopt_map_file_pages(). A file that is not in memory is told when it is to be pinned. */
int vfio_pages_create_file(const struct vfio_iommufd *iommufd, const struct vfio_call *call, int fd,
			   uint64_t start, uint64_t len, bool writable, struct vfio_pages **out)
{
	const struct cbit_client_ops *ops = call->machine->client;
	enum vfio_pages_kind kind = VFIO_PAGES_FILE;
	struct vfio_pages *pages;
	struct cbit_file *file;
	int ret;

	ret = ops->file(call->machine->client_opaque, call->caller, fd, &file);
	if (ret)
		return ret;
	if (file && file->kind == CBIT_FILE_DMABUF)
		kind = VFIO_PAGES_DMABUF;
	ret = create(iommufd, call, kind, start, len, writable, &pages);
	if (ret)
		return ret;
	if (kind == VFIO_PAGES_DMABUF)
		ret = vfio_dmabuf_attach(file, start, len, pages);
	else if (!file && ops->memory)
		ret = ops->memory(call->machine->client_opaque, call->caller, fd, &pages->memory);
	if (ret)
		vfio_pages_put(pages);
	else
		*out = pages;
	return ret;
}

enum cbit_backing vfio_pages_backing(const struct vfio_pages *pages)
{
	if (vfio_pages_revoked(pages))
		return CBIT_BACKING_REVOKED;
	return pages->kind == VFIO_PAGES_FILE     ? CBIT_BACKING_FILE
	       : pages->kind == VFIO_PAGES_DMABUF ? CBIT_BACKING_DMABUF
						  : CBIT_BACKING_MEMORY;
}

void vfio_pages_get(struct vfio_pages *pages)
{
	__atomic_add_fetch(&pages->refs, 1, __ATOMIC_RELAXED);
}

void vfio_pages_put(struct vfio_pages *pages)
{
	if (__atomic_sub_fetch(&pages->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (pages->dmabuf)
		vfio_dmabuf_detach(pages);
	if (pages->memory)
		pages->machine->client->owner_put(pages->machine->client_opaque, pages->memory);
	pages->machine->client->owner_put(pages->machine->client_opaque, pages->owner);
	if (pages->seg != &pages->one)
		free(pages->seg);
	pthread_mutex_destroy(&pages->lock);
	free(pages);
}

/* The first one that ends at @at or behind it; with the lock held, as all that follow. */
static unsigned int find(const struct vfio_pages *pages, uint64_t at)
{
	unsigned int low = 0, high = pages->nr_segs;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (pages->seg[mid].last < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int insert(struct vfio_pages *pages, unsigned int i, const struct vfio_seg *seg)
{
	if (pages->nr_segs == pages->room) {
		unsigned int room = pages->room * 4;
		struct vfio_seg *more = malloc(room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		memcpy(more, pages->seg, pages->nr_segs * sizeof(*more));
		if (pages->seg != &pages->one)
			free(pages->seg);
		pages->seg = more;
		pages->room = room;
	}
	memmove(&pages->seg[i + 1], &pages->seg[i], (pages->nr_segs - i) * sizeof(*seg));
	pages->seg[i] = *seg;
	pages->nr_segs++;
	return 0;
}

static uint64_t vaddr_of(const struct vfio_pages *pages, uint64_t page)
{
	return pages->base + (page << CBIT_PAGE_SHIFT);
}

/* Make one begin at @at, if @at is in the middle of one. */
static int split(struct vfio_pages *pages, uint64_t at)
{
	unsigned int i = find(pages, at);
	struct vfio_seg upper;
	uint64_t head;

	if (i == pages->nr_segs || pages->seg[i].first >= at)
		return 0;
	upper = pages->seg[i];
	head = (at - upper.first) << CBIT_PAGE_SHIFT;
	upper.first = at;
	upper.run.spa.v += head;
	upper.run.len -= head;
	if (insert(pages, i + 1, &upper))
		return -ENOMEM;
	pages->seg[i].last = at - 1;
	pages->seg[i].run.len = head;
	return 0;
}

int vfio_pages_charge(const struct cbit_machine *machine, enum vfio_account account,
		      struct cbit_owner *owner, uint32_t user, int64_t nr)
{
	if (!nr || account == VFIO_ACCOUNT_NONE)
		return 0;
	return machine->client->lock_user(machine->client_opaque, owner,
					  account == VFIO_ACCOUNT_USER ? user : CBIT_NO_USER, nr);
}

static int account(struct vfio_pages *pages, int64_t nr)
{
	return vfio_pages_charge(pages->machine, pages->account, pages->owner, pages->user, nr);
}

/* What its addresses are those of. */
static struct cbit_owner *pinned_by(const struct vfio_pages *pages)
{
	return pages->kind == VFIO_PAGES_FILE ? pages->memory : pages->owner;
}

static void unpin(struct vfio_pages *pages, const struct vfio_seg *seg)
{
	pages->machine->client->unpin(pages->machine->client_opaque, pinned_by(pages),
				      vaddr_of(pages, seg->first), &seg->run);
}

/* Pin from @at, which is not pinned, to @last or less; @i is where it comes. */
static int pin(struct vfio_pages *pages, unsigned int i, uint64_t at, uint64_t last)
{
	struct vfio_seg seg = { .first = at, .users = 1 };
	int ret;

	if (!pinned_by(pages))
		return -EINVAL; /* memfd_pin_folios() */
	ret = vfio_pin(pages->machine, pinned_by(pages), vaddr_of(pages, at),
		       (last - at + 1) << CBIT_PAGE_SHIFT, pages->writable, &seg.run);
	if (ret)
		return ret;
	seg.last = at + (seg.run.len >> CBIT_PAGE_SHIFT) - 1;
	/* Pages only: a BAR that is mapped has none (pin_user_pages of a PFN map). */
	ret = seg.run.kind == CBIT_MEM_MMIO ? -EFAULT : insert(pages, i, &seg);
	if (ret)
		unpin(pages, &seg);
	return ret;
}

/* @fresh: of the pages that lose their last slice, those that were not accounted for. */
static void drop(struct vfio_pages *pages, uint64_t first, uint64_t last, int64_t fresh)
{
	int64_t nr = 0;
	unsigned int i, to;

	for (i = to = find(pages, first); i < pages->nr_segs; i++) {
		struct vfio_seg *seg = &pages->seg[i];

		if (seg->first <= last && !--seg->users) {
			nr += (int64_t)(seg->last - seg->first + 1);
			unpin(pages, seg);
			continue;
		}
		if (to != i)
			pages->seg[to] = *seg;
		to++;
	}
	pages->nr_segs = to;
	account(pages, fresh - nr);
}

int vfio_pages_take(struct vfio_pages *pages, uint64_t first, uint64_t last)
{
	uint64_t at = first;
	int64_t fresh = 0;
	unsigned int i;
	int ret;

	/* A BAR is where it is. */
	if (pages->kind == VFIO_PAGES_DMABUF)
		return 0;
	pthread_mutex_lock(&pages->lock);
	ret = split(pages, first);
	if (!ret)
		ret = split(pages, last + 1);
	for (i = find(pages, first); !ret && at <= last; i++) {
		if (i < pages->nr_segs && pages->seg[i].first <= at) {
			pages->seg[i].users++;
		} else {
			uint64_t end = i < pages->nr_segs && pages->seg[i].first <= last
					       ? pages->seg[i].first - 1
					       : last;

			ret = pin(pages, i, at, end);
			if (ret)
				break;
			fresh += (int64_t)(pages->seg[i].last - at + 1);
		}
		at = pages->seg[i].last + 1;
	}
	if (!ret)
		ret = account(pages, fresh);
	if (ret && at > first)
		drop(pages, first, at - 1, fresh);
	pthread_mutex_unlock(&pages->lock);
	return ret;
}

void vfio_pages_drop(struct vfio_pages *pages, uint64_t first, uint64_t last)
{
	if (pages->kind == VFIO_PAGES_DMABUF)
		return;
	pthread_mutex_lock(&pages->lock);
	drop(pages, first, last, 0);
	pthread_mutex_unlock(&pages->lock);
}

int vfio_pages_cut(struct vfio_pages *pages, uint64_t at)
{
	int ret;

	pthread_mutex_lock(&pages->lock);
	ret = split(pages, at);
	pthread_mutex_unlock(&pages->lock);
	return ret;
}

int64_t vfio_pages_pinned(struct vfio_pages *pages)
{
	int64_t nr = 0;

	pthread_mutex_lock(&pages->lock);
	for (unsigned int i = 0; i < pages->nr_segs; i++)
		nr += (int64_t)(pages->seg[i].last - pages->seg[i].first + 1);
	pthread_mutex_unlock(&pages->lock);
	return nr;
}

/* Linux: need_charge_update() */
bool vfio_pages_moves(const struct vfio_pages *pages, const struct cbit_owner *owner, uint32_t user)
{
	if (pages->account == VFIO_ACCOUNT_NONE)
		return false;
	return pages->owner != owner ||
	       (pages->account == VFIO_ACCOUNT_USER && pages->user != user);
}

int vfio_pages_give(struct vfio_pages *pages, const struct vfio_call *call, uint32_t user)
{
	const struct cbit_client_ops *ops = pages->machine->client;
	int pid;
	struct cbit_owner *owner = ops->owner(pages->machine->client_opaque, call->caller, &pid);
	int64_t nr = vfio_pages_pinned(pages);
	int ret = 0;

	/* Without memory it stays as it is; a second reference to the caller needs none. */
	if (!owner)
		return -ENOMEM;
	pthread_mutex_lock(&pages->lock);
	if (vfio_pages_moves(pages, owner, user))
		ret = account(pages, -nr);
	ops->owner_put(pages->machine->client_opaque, pages->owner);
	pages->owner = owner;
	pages->pid = pid;
	pages->user = user;
	pthread_mutex_unlock(&pages->lock);
	return ret;
}

void vfio_pages_run(struct vfio_pages *pages, uint64_t at, uint64_t last,
		    struct cbit_client_run *out)
{
	const uint64_t most = (last - at + 1) << CBIT_PAGE_SHIFT;
	uint64_t head;
	unsigned int i;

	if (pages->kind == VFIO_PAGES_DMABUF) {
		*out = (struct cbit_client_run){
			.spa = CBIT_SPA(pages->spa.v + vaddr_of(pages, at)),
			.len = most,
			.kind = CBIT_MEM_MMIO,
		};
		return;
	}
	pthread_mutex_lock(&pages->lock);
	i = find(pages, at);
	head = (at - pages->seg[i].first) << CBIT_PAGE_SHIFT;
	*out = pages->seg[i].run;
	out->spa.v += head;
	out->len -= head;
	/* Slices may have cut what lies together. */
	while (out->len < most && ++i < pages->nr_segs &&
	       pages->seg[i].run.spa.v == out->spa.v + out->len &&
	       pages->seg[i].run.kind == out->kind)
		out->len += pages->seg[i].run.len;
	if (out->len > most)
		out->len = most;
	pthread_mutex_unlock(&pages->lock);
}
