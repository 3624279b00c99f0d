/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of an iommufd for tests: each returns what the call does; numbers of new objects come back
 * as negative errnos or more than 0.
 */
#ifndef CBIT_TEST_IOMMUFD_RIG_H
#define CBIT_TEST_IOMMUFD_RIG_H

#include "client_rig.h"

#define P CBIT_PAGE_SIZE

struct rig {
	struct client *c;
	int fd;        /* the iommufd */
	int cdev[3];   /* nodes of devices 0..2; 1 and 2 share a group */
	uint32_t ioas; /* one is there, object 1 */
};

static inline long rig_ioas_alloc(struct rig *r)
{
	struct uapi_ioas_alloc cmd = { .size = sizeof(cmd) };
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_ALLOC, &cmd, sizeof(cmd));

	return ret ? ret : (long)cmd.out_ioas_id;
}

static inline int rig_up_with(void **state, const char *platform, const char *policy)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->c = client_up(platform, policy, NULL);
	client_plug(r->c, "ioat,membar=64K");
	client_plug(r->c, "ioat,group=2,addr=0000:02:00.0");
	client_plug(r->c, "ioat,group=2,addr=0000:02:00.1");
	r->fd = client_open(r->c, CBIT_FILE_IOMMUFD, 0);
	for (unsigned int i = 0; i < 3; i++)
		r->cdev[i] = client_open(r->c, CBIT_FILE_DEVICE, i);
	r->ioas = (uint32_t)rig_ioas_alloc(r);
	*state = r;
	return r->ioas == 1 ? 0 : -1;
}

static inline int rig_up(void **state)
{
	return rig_up_with(state, "sme", "complete");
}

static inline long rig_destroy(struct rig *r, uint32_t id)
{
	struct uapi_fd_destroy cmd = { .size = sizeof(cmd), .id = id };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_DESTROY, &cmd, sizeof(cmd));
}

static inline long rig_bind(struct rig *r, unsigned int dev)
{
	struct uapi_bind_iommufd cmd = { .argsz = sizeof(cmd), .iommufd = r->fd };
	long ret = client_call(r->c, r->cdev[dev], UAPI_DEVICE_BIND_IOMMUFD, &cmd, sizeof(cmd));

	return ret ? ret : (long)cmd.out_devid;
}

/* Return: the page table that it is attached to then. */
static inline long rig_attach(struct rig *r, unsigned int dev, uint32_t id)
{
	struct uapi_attach_pt cmd = { .argsz = 12, .pt_id = id };
	long ret = client_call(r->c, r->cdev[dev], UAPI_DEVICE_ATTACH_IOMMUFD_PT, &cmd, 12);

	return ret ? ret : (long)cmd.pt_id;
}

static inline long rig_detach(struct rig *r, unsigned int dev)
{
	struct uapi_detach_pt cmd = { .argsz = 8 };

	return client_call(r->c, r->cdev[dev], UAPI_DEVICE_DETACH_IOMMUFD_PT, &cmd, 8);
}

static inline long rig_map_flags(struct rig *r, uint32_t ioas, uint64_t iova, uint64_t va,
				 uint64_t len, uint32_t flags)
{
	struct uapi_ioas_map cmd = { .size = sizeof(cmd),
				     .flags = flags,
				     .ioas_id = ioas,
				     .user_va = va,
				     .length = len,
				     .iova = iova };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_MAP, &cmd, sizeof(cmd));
}

static inline long rig_map(struct rig *r, uint32_t ioas, uint64_t iova, uint64_t va, uint64_t len)
{
	return rig_map_flags(r, ioas, iova, va, len, 7);
}

/* Let the kernel choose the address: it, or a negative errno. */
static inline int64_t rig_map_anywhere(struct rig *r, uint32_t ioas, uint64_t va, uint64_t len)
{
	struct uapi_ioas_map cmd = {
		.size = sizeof(cmd), .flags = 6, .ioas_id = ioas, .user_va = va, .length = len
	};
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_MAP, &cmd, sizeof(cmd));

	return ret ? ret : (int64_t)cmd.iova;
}

static inline long rig_unmap(struct rig *r, uint32_t ioas, uint64_t iova, uint64_t len)
{
	struct uapi_ioas_unmap cmd = {
		.size = sizeof(cmd), .ioas_id = ioas, .iova = iova, .length = len
	};

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_UNMAP, &cmd, sizeof(cmd));
}

static inline long rig_copy(struct rig *r, uint32_t src, uint64_t from, uint32_t dst, uint64_t to,
			    uint64_t len, uint32_t flags)
{
	struct uapi_ioas_copy cmd = { .size = sizeof(cmd),
				      .flags = flags,
				      .dst_ioas_id = dst,
				      .src_ioas_id = src,
				      .length = len,
				      .dst_iova = to,
				      .src_iova = from };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_COPY, &cmd, sizeof(cmd));
}

static inline long rig_option(struct rig *r, uint32_t option, uint16_t op, uint32_t object,
			      uint64_t *val)
{
	struct uapi_option cmd = { .size = sizeof(cmd),
				   .option_id = option,
				   .op = op,
				   .object_id = object,
				   .val64 = *val };
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_OPTION, &cmd, sizeof(cmd));

	*val = cmd.val64;
	return ret;
}

static inline long rig_hwpt(struct rig *r, uint32_t dev, uint32_t pt, uint32_t flags)
{
	struct uapi_hwpt_alloc cmd = {
		.size = sizeof(cmd), .flags = flags, .dev_id = dev, .pt_id = pt
	};
	long ret = client_call(r->c, r->fd, UAPI_IOMMUFD_HWPT_ALLOC, &cmd, sizeof(cmd));

	return ret ? ret : (long)cmd.out_hwpt_id;
}

static inline long rig_map_file_flags(struct rig *r, uint32_t ioas, uint64_t iova, int fd,
				      uint64_t start, uint64_t len, uint32_t flags)
{
	struct uapi_ioas_map_file cmd = { .size = sizeof(cmd),
					  .flags = flags,
					  .ioas_id = ioas,
					  .fd = fd,
					  .start = start,
					  .length = len,
					  .iova = iova };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_MAP_FILE, &cmd, sizeof(cmd));
}

static inline long rig_map_file(struct rig *r, uint32_t ioas, uint64_t iova, int fd, uint64_t start,
				uint64_t len)
{
	return rig_map_file_flags(r, ioas, iova, fd, start, len, 7);
}

/* One range of a BAR of a device as a dma-buf: its descriptor. */
static inline long rig_dmabuf(struct rig *r, unsigned int dev, uint32_t bar, uint64_t offset,
			      uint64_t len)
{
	struct {
		struct uapi_feature head;
		struct uapi_feature_dma_buf get;
		struct uapi_dma_range range;
	} cmd = { { sizeof(cmd), UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET },
		  { bar, 02000002, 0, 1 }, /* O_CLOEXEC | O_RDWR */
		  { offset, len } };

	return client_call(r->c, r->cdev[dev], UAPI_DEVICE_FEATURE, &cmd, sizeof(cmd));
}

/* Does a device reach it? The first byte of each, for one that is mapped for reading. */
static inline bool rig_reaches(struct rig *r, unsigned int dev, uint64_t iova)
{
	struct cbit_device_info info;
	uint8_t byte;

	CLIENT_CHECK(cbit_machine_device(r->c->machine, dev, &info));
	return cbit_iommu_dma_read(cbit_machine_iommu(r->c->machine), cbit_pci_devid(info.pci),
				   CBIT_IOVA(iova), &byte, 1, NULL) == CBIT_DMA_OK;
}

static inline enum cbit_dma_status rig_dma_write(struct rig *r, unsigned int dev, uint64_t iova,
						 const void *data, size_t len)
{
	struct cbit_device_info info;

	CLIENT_CHECK(cbit_machine_device(r->c->machine, dev, &info));
	return cbit_iommu_dma_write(cbit_machine_iommu(r->c->machine), cbit_pci_devid(info.pci),
				    CBIT_IOVA(iova), data, len, NULL);
}

#endif
