/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile calls: what one of them is, the worlds that it may come into, and the tables of them.
 * The same tables are carried out on the vfio room over a made-up client (test_vfio_hostile.c)
 * and by a real program under cbit (tests/clients/client_hostile.c).
 *
 * Each case stands beside the function of Linux 7.2 that answers so. Cases with more than one
 * fault say which of them Linux sees first.
 */
#ifndef CBIT_TEST_HOSTILE_H
#define CBIT_TEST_HOSTILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfio/uapi_iommufd.h"

/* Fixed descriptors. */
enum hx_fd {
	FD_CONTAINER = 40,
	FD_GROUP,   /* group 1 */
	FD_DEVICE,  /* its device 0000:01:00.0, where a world has it */
	FD_IOMMUFD, /* holds IOAS 1 */
	FD_CDEV,    /* node of 0000:02:00.0, group 2 */
	FD_CDEV2,   /* node of 0000:02:00.1, group 2 */
	FD_EVENT,   /* eventfds */
	FD_EVENT2,
	FD_PLAIN,      /* something else */
	FD_CONTAINER2, /* nobody joined it */
	FD_IOMMUFD2,   /* empty */
	FD_MEMFD,      /* a file in memory: four pages and five bytes */
	FD_DMABUF,     /* two pages of FD_CDEV's BAR0, where a world has it */
	FD_QUEUE,      /* of page faults, where a world has it */
	FD_END,
	FD_NONE = 60,
};

/* Fixed memory, in a program's lowest 8 GiB, where nothing else is. */
#define HX_RAM      UINT64_C(0x100000000)
#define HX_RAM_SIZE UINT64_C(0x10000)
#define HX_ARGS     UINT64_C(0x110000000) /* nothing behind it */
#define HX_ARG_SIZE UINT64_C(0x3000)
#define HX_RO       UINT64_C(0x120000000) /* a page that can only be read */
#define HX_NOWHERE  UINT64_C(0x500000000000)
#define HX_KERNEL   UINT64_C(0xffff888000000000)
#define HX_HIGH     UINT64_C(0x800000000000) /* the first address that is not canonical */

#define HX_PAGE UINT64_C(0x1000)
#define HX_HELD UINT64_C(0x100000) /* four pages are mapped there where a world says so */
#define HX_FREE UINT64_C(0x200000)

enum hx_world {
	W_NEW,    /* everything open, nothing joined, bound or attached */
	W_JOINED, /* the group is in the container */
	W_V1,     /* type1, device open, HELD mapped */
	W_V2,     /* type1v2, the same */
	W_BARE,   /* type1v2, device open, nothing mapped */
	W_TRACK,  /* W_V2 with dirty tracking on */
	W_VADDR,  /* W_V2 with the address of HELD taken back */
	W_FULL,   /* W_V2 with as many mappings as there may be */
	W_INTX,   /* W_BARE with an interrupt armed to FD_EVENT */
	W_MSI,
	W_MSIX,
	W_BOUND,    /* FD_CDEV bound: object 2 */
	W_ATTACHED, /* and attached to IOAS 1: page table 3; HELD mapped there */
	W_DMABUF,   /* and FD_DMABUF is there */
	W_NEST,     /* W_BOUND; page table 3 a nest parent that tracks, 4 vIOMMU, 5 FD_QUEUE */
};

enum hx_place {
	AT_END,  /* the argument's bytes end where the memory ends */
	AT_RO,   /* in memory that cannot be written */
	AT_VALUE /* the argument is .value, whatever is there */
};

union hx_arg {
	uint8_t bytes[80];
	char text[80];
	uint32_t words[20];
	int32_t fd;
	struct uapi_group_status status;
	struct uapi_device_info device;
	struct uapi_region_info region;
	struct uapi_irq_info irq;
	struct {
		struct uapi_irq_set head;
		union {
			int32_t fds[8];
			uint8_t bools[8];
		};
	} irqs;
	struct {
		struct uapi_hot_reset head;
		int32_t fds[4];
	} hot;
	struct {
		struct uapi_feature head;
		uint32_t data[8];
	} feature;
	struct {
		struct uapi_feature head;
		struct uapi_feature_dma_buf get;
		struct uapi_dma_range range[2];
	} dma_buf;
	struct uapi_ioeventfd ioeventfd;
	struct uapi_iommu_info info;
	struct uapi_dma_map map;
	struct {
		struct uapi_dma_unmap head;
		struct uapi_bitmap bitmap;
	} unmap;
	struct {
		struct uapi_dirty head;
		struct uapi_dirty_get range;
	} dirty;
	struct uapi_bind_iommufd bind;
	struct uapi_attach_pt attach;
	struct uapi_detach_pt detach;
	struct uapi_fd_destroy destroy;
	struct uapi_ioas_alloc alloc;
	struct uapi_ioas_iova_ranges ranges;
	struct uapi_ioas_map ioas_map;
	struct uapi_ioas_unmap ioas_unmap;
	struct uapi_ioas_map_file map_file;
	struct uapi_change_process process;
	struct uapi_ioas_allow_iovas allow;
	struct uapi_ioas_copy copy;
	struct uapi_option option;
	struct uapi_vfio_ioas vfio_ioas;
	struct uapi_hwpt_alloc hwpt;
	struct uapi_hw_info hw_info;
	struct uapi_set_dirty_tracking tracking;
	struct uapi_get_dirty_bitmap bitmap;
	struct uapi_hwpt_invalidate invalidate;
	struct uapi_fault_alloc fault;
	struct uapi_viommu_alloc viommu;
	struct uapi_vdevice_alloc vdevice;
	struct uapi_veventq_alloc veventq;
	struct uapi_hw_queue_alloc hw_queue;
	uint64_t flags;
};

struct hx_case {
	int line;
	enum hx_world world;
	enum hx_fd fd;
	uint32_t cmd;
	long ret;
	enum hx_place place;
	bool changes; /* it fails, and yet something was done */
	uint32_t len; /* bytes of the argument that are there */
	uint64_t value;
	union hx_arg arg;
};

#define CASE(w, f, c, r, l, ...)                                                               \
	{                                                                                      \
		.line = __LINE__, .world = (w), .fd = (f), .cmd = (c), .ret = (r), .len = (l), \
		__VA_ARGS__                                                                    \
	}
/* A call whose argument is a number, or a bad pointer. */
#define VALUE(w, f, c, r, v)                                                       \
	{                                                                          \
		.line = __LINE__, .world = (w), .fd = (f), .cmd = (c), .ret = (r), \
		.place = AT_VALUE, .value = (v)                                    \
	}

struct hx_table {
	const char *file;
	const struct hx_case *cases;
	size_t count;
};

extern const struct hx_table hx_container_table, hx_type1_table, hx_device_table, hx_irq_table,
	hx_iommufd_table, hx_cdev_table, hx_dmabuf_table, hx_object_table;

#endif
