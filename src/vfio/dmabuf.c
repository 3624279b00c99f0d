/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma-bufs: ranges of a BAR as a file of their own, which an iommufd maps and its device takes
 * back whenever its memory may not answer (Linux 7.2: drivers/vfio/pci/vfio_pci_dmabuf.c, and
 * drivers/dma-buf/dma-buf.c for the calls of the file).
 *
 * Pages made of a revoked dma-buf stay without entries for good; the dma-buf itself can be mapped
 * anew when the device's memory answers again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

/* Linux: memdup_user() has no more than kmalloc() has, MAX_PAGE_ORDER pages. */
#define RANGES_MAX ((UINT32_C(4) << 20) / sizeof(struct uapi_dma_range))
/* Linux: DMA_IOVA_USE_SWIOTLB */
#define SIZE_LIMIT (UINT64_C(1) << 63)

/**
 * struct vfio_dmabuf - @refs: its file, and pages made of it.
 * @dev:   NULL when it has been closed since.
 * @pages: those made of it that have not been revoked.
 * @spa:   where the first of @nr ranges is; one of several cannot be mapped.
 */
struct vfio_dmabuf {
	struct cbit_machine *machine;
	struct vfio_device *dev;
	struct vfio_dmabuf *next; /* of the device */
	struct vfio_pages *pages;
	unsigned int refs;
	bool revoked;
	uint64_t size;
	struct cbit_spa spa;
	uint32_t nr;
	uint32_t open_flags;
	char name[UAPI_DMA_BUF_NAME_LEN];
};
_Static_assert(sizeof(((struct cbit_dmabuf_info *)0)->name) == UAPI_DMA_BUF_NAME_LEN,
	       "room for any name");

/* --- life --- */

/* With the lock held. True when it was the last one. */
static bool put(struct vfio_dmabuf *buf)
{
	struct vfio_dmabuf **at;

	if (--buf->refs)
		return false;
	if (buf->dev) {
		for (at = &buf->dev->dmabufs; *at != buf;)
			at = &(*at)->next;
		*at = buf->next;
	}
	return true;
}

void vfio_dmabuf_release(struct vfio_dmabuf *buf)
{
	struct cbit_machine *machine = buf->machine;
	bool last;

	pthread_mutex_lock(&machine->dmabuf_lock);
	last = put(buf);
	pthread_mutex_unlock(&machine->dmabuf_lock);
	if (last)
		free(buf);
}

void vfio_dmabuf_move(struct vfio_device *dev, bool revoked)
{
	struct cbit_machine *machine = dev->machine;
	struct vfio_pages *pages;
	bool taken = false;

	pthread_mutex_lock(&machine->dmabuf_lock);
	for (struct vfio_dmabuf *buf = dev->dmabufs; buf; buf = buf->next) {
		if (buf->revoked == revoked)
			continue;
		buf->revoked = revoked;
		/* A revoked one has none. */
		while ((pages = buf->pages)) {
			buf->pages = pages->dmabuf_next;
			__atomic_store_n(&pages->revoked, true, __ATOMIC_RELEASE);
			taken = true;
		}
	}
	pthread_mutex_unlock(&machine->dmabuf_lock);
	if (taken)
		vfio_ioas_unfill_revoked(machine);
}

void vfio_dmabuf_cleanup(struct vfio_device *dev)
{
	struct cbit_machine *machine = dev->machine;
	struct vfio_dmabuf *buf;

	pthread_mutex_lock(&dev->memory_lock);
	vfio_dmabuf_move(dev, true);
	pthread_mutex_lock(&machine->dmabuf_lock);
	while ((buf = dev->dmabufs)) {
		dev->dmabufs = buf->next;
		buf->dev = NULL;
	}
	pthread_mutex_unlock(&machine->dmabuf_lock);
	pthread_mutex_unlock(&dev->memory_lock);
}

/* --- pages of iommufds --- */

int vfio_dmabuf_attach(struct cbit_file *file, uint64_t start, uint64_t len,
		       struct vfio_pages *pages)
{
	struct vfio_dmabuf *buf = file->dmabuf;
	int ret = 0;

	/* Linux: iopt_alloc_dmabuf_pages(), vfio_pci_dma_buf_iommufd_map() */
	if (buf->size <= start + (len - 1) || len >> CBIT_PAGE_SHIFT >= UINT32_MAX)
		return -EINVAL;
	pthread_mutex_lock(&buf->machine->dmabuf_lock);
	if (buf->revoked) {
		ret = -ENODEV;
	} else if (buf->nr != 1) {
		ret = -EOPNOTSUPP;
	} else {
		buf->refs++;
		pages->dmabuf = buf;
		pages->spa = buf->spa;
		pages->dmabuf_next = buf->pages;
		buf->pages = pages;
	}
	pthread_mutex_unlock(&buf->machine->dmabuf_lock);
	return ret;
}

void vfio_dmabuf_detach(struct vfio_pages *pages)
{
	struct vfio_dmabuf *buf = pages->dmabuf;
	struct vfio_pages **at;
	bool last;

	pthread_mutex_lock(&buf->machine->dmabuf_lock);
	for (at = &buf->pages; *at && *at != pages;)
		at = &(*at)->dmabuf_next;
	if (*at)
		*at = pages->dmabuf_next;
	last = put(buf);
	pthread_mutex_unlock(&buf->machine->dmabuf_lock);
	if (last)
		free(buf);
}

/* --- making one --- */

/* Linux: validate_dmabuf_input() */
static int sum(const struct uapi_dma_range *range, uint32_t nr, uint64_t *size)
{
	*size = 0;
	for (uint32_t i = 0; i < nr; i++) {
		if (!range[i].length || (range[i].offset | range[i].length) & ~CBIT_PAGE_MASK ||
		    __builtin_add_overflow(*size, range[i].length, size))
			return -EINVAL;
	}
	return *size & SIZE_LIMIT ? -EINVAL : 0;
}

/* Linux: vfio_pci_core_fill_phys_vec() */
static int within(const struct cbit_bar_info *bar, const struct uapi_dma_range *range, uint32_t nr)
{
	uint64_t start, end;

	for (uint32_t i = 0; i < nr; i++) {
		if (__builtin_add_overflow(bar->spa.v, range[i].offset, &start) ||
		    __builtin_add_overflow(start, range[i].length, &end))
			return -EOVERFLOW;
		if (end > bar->spa.v + bar->size)
			return -EINVAL;
	}
	return 0;
}

static long install(struct vfio_device *dev, const struct vfio_call *call, struct vfio_dmabuf *buf)
{
	struct cbit_machine *machine = dev->machine;
	struct cbit_file *file = calloc(1, sizeof(*file));
	long fd = -ENOMEM;

	if (file) {
		file->machine = machine;
		file->kind = CBIT_FILE_DMABUF;
		file->dmabuf = buf;
		pthread_mutex_lock(&dev->memory_lock);
		pthread_mutex_lock(&machine->dmabuf_lock);
		buf->revoked = !cbit_pci_decoding(dev->pci);
		buf->next = dev->dmabufs;
		dev->dmabufs = buf;
		pthread_mutex_unlock(&machine->dmabuf_lock);
		pthread_mutex_unlock(&dev->memory_lock);
		fd = machine->client->install(machine->client_opaque, call->caller, file);
	}
	if (fd < 0) {
		if (!file)
			buf->dev = NULL;
		free(file);
		vfio_dmabuf_release(buf);
	}
	return fd;
}

static long export_ranges(struct vfio_device *dev, const struct vfio_call *call,
			  const struct uapi_feature_dma_buf *get,
			  const struct uapi_dma_range *range)
{
	const struct cbit_bar_info *bar = cbit_pci_bar(dev->pci, get->region_index);
	struct vfio_dmabuf *buf;
	uint64_t size;
	int ret;

	ret = sum(range, get->nr_ranges, &size);
	ret = ret ? ret : within(bar, range, get->nr_ranges);
	if (ret)
		return ret;
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return -ENOMEM;
	buf->machine = dev->machine;
	buf->dev = dev;
	buf->refs = 1;
	buf->size = size;
	buf->spa = CBIT_SPA(bar->spa.v + range[0].offset);
	buf->nr = get->nr_ranges;
	buf->open_flags = get->open_flags;
	return install(dev, call, buf);
}

long vfio_dmabuf_export(struct vfio_device *dev, const struct vfio_call *call,
			const struct uapi_feature *feat)
{
	const struct cbit_machine *machine = dev->machine;
	struct cbit_policy_decision decision;
	struct uapi_feature_dma_buf get;
	struct uapi_dma_range *range;
	long ret;

	/* Is there such a thing? */
	ret = cbit_policy_map_file(machine->policy, &machine->platform, CBIT_MEM_MMIO, CBIT_ATTR_RW,
				   &decision);
	if (ret)
		return ret;
	ret = vfio_check_feature(feat, UAPI_FEATURE_GET, sizeof(get));
	if (ret != 1)
		return ret;
	ret = vfio_get(call, &get, sizeof(*feat), sizeof(get));
	if (ret)
		return ret;
	if (!get.nr_ranges || get.flags)
		return -EINVAL;
	if (get.region_index >= UAPI_PCI_ROM_REGION ||
	    !cbit_pci_bar(dev->pci, get.region_index)->size)
		return -ENODEV;
	if (get.nr_ranges > RANGES_MAX)
		return -ENOMEM;
	range = malloc(get.nr_ranges * sizeof(*range));
	if (!range)
		return -ENOMEM;
	ret = vfio_get(call, range, sizeof(*feat) + sizeof(get), get.nr_ranges * sizeof(*range));
	if (!ret)
		ret = export_ranges(dev, call, &get, range);
	free(range);
	return ret;
}

/* --- the calls of its file --- */

static long sync_access(const struct vfio_call *call)
{
	uint64_t flags;
	int ret = vfio_get(call, &flags, 0, sizeof(flags));

	if (ret)
		return ret;
	if (flags & ~(uint64_t)UAPI_DMA_BUF_SYNC_FLAGS || !(flags & UAPI_DMA_BUF_SYNC_RW))
		return -EINVAL;
	return 0; /* there are no fences to wait for, and the exporter has nothing to do */
}

static long set_name(struct vfio_dmabuf *buf, const struct vfio_call *call)
{
	char name[UAPI_DMA_BUF_NAME_LEN];
	size_t len = 0;
	int ret;

	/* Its end may be the end of what is mapped. */
	do {
		if (len == sizeof(name))
			return -EINVAL;
		ret = vfio_get(call, &name[len], len, 1);
		if (ret)
			return ret;
	} while (name[len++]);
	pthread_mutex_lock(&buf->machine->dmabuf_lock);
	memcpy(buf->name, name, len);
	pthread_mutex_unlock(&buf->machine->dmabuf_lock);
	return 0;
}

long vfio_dmabuf_ioctl(struct vfio_dmabuf *buf, const struct vfio_call *call, uint32_t cmd)
{
	switch (cmd) {
	case UAPI_DMA_BUF_SYNC:
		return sync_access(call);
	case UAPI_DMA_BUF_SET_NAME_A:
	case UAPI_DMA_BUF_SET_NAME_B:
		return set_name(buf, call);
	default:
		return -ENOTTY; /* also the fences, as of a kernel without CONFIG_SYNC_FILE */
	}
}

bool cbit_vfio_dmabuf(struct cbit_file *file, struct cbit_dmabuf_info *out)
{
	struct vfio_dmabuf *buf = file->dmabuf;

	if (file->kind != CBIT_FILE_DMABUF)
		return false;
	out->size = buf->size;
	out->flags = buf->open_flags;
	pthread_mutex_lock(&buf->machine->dmabuf_lock);
	out->users = buf->refs;
	memcpy(out->name, buf->name, sizeof(out->name));
	pthread_mutex_unlock(&buf->machine->dmabuf_lock);
	return true;
}
