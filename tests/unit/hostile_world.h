/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Carrying out hostile calls: each in a world of its own, which is looked at before and after.
 * Who includes this says how the world is reached (the functions declared first).
 */
#ifndef CBIT_TEST_HOSTILE_WORLD_H
#define CBIT_TEST_HOSTILE_WORLD_H

#include <stdio.h>
#include <string.h>

#include "hostile.h"

static void hx_begin(void);
static void hx_end(void); /* closes everything */
/* Open what that descriptor stands for; give a descriptor that a call returned that number. */
static void hx_open(enum hx_fd fd);
static void hx_adopt(long fd, enum hx_fd as);
static long hx_ioctl(int fd, uint32_t cmd, uint64_t arg);       /* a negative errno when it fails */
static void hx_put(uint64_t at, const void *bytes, size_t len); /* also what is read-only */
static void hx_get(uint64_t at, void *bytes, size_t len);
static uint64_t hx_events(enum hx_fd fd); /* take an eventfd's count */
/* What is held on the program's behalf, as far as it can be known. */
static void hx_held(int64_t out[2]);
static void hx_fatal(const char *what, long ret) __attribute__((noreturn));

/* A call that belongs to the world, with a structure. */
static long hx_call(int fd, uint32_t cmd, void *arg, size_t len)
{
	const uint64_t at = HX_ARGS + HX_ARG_SIZE - len;
	long ret;

	hx_put(at, arg, len);
	ret = hx_ioctl(fd, cmd, at);
	hx_get(at, arg, len);
	return ret;
}

static void hx_must(const char *what, long ret)
{
	if (ret)
		hx_fatal(what, ret);
}

static long hx_map(uint64_t iova, uint64_t pages)
{
	struct uapi_dma_map map = { sizeof(map), 3, HX_RAM, iova, pages * HX_PAGE };

	return hx_call(FD_CONTAINER, UAPI_IOMMU_MAP_DMA, &map, sizeof(map));
}

static long hx_unmap(uint64_t iova, uint64_t pages, uint32_t flags)
{
	struct uapi_dma_unmap unmap = { sizeof(unmap), flags, iova, pages * HX_PAGE };

	return hx_call(FD_CONTAINER, UAPI_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap));
}

static long hx_ioas_map(uint64_t iova, uint64_t pages)
{
	struct uapi_ioas_map map = { sizeof(map), 7, 1, 0, HX_RAM, pages * HX_PAGE, iova };

	return hx_call(FD_IOMMUFD, UAPI_IOMMUFD_IOAS_MAP, &map, sizeof(map));
}

static long hx_ioas_unmap(uint64_t iova, uint64_t pages)
{
	struct uapi_ioas_unmap unmap = { sizeof(unmap), 1, iova, pages * HX_PAGE };

	return hx_call(FD_IOMMUFD, UAPI_IOMMUFD_IOAS_UNMAP, &unmap, sizeof(unmap));
}

static long hx_irq(uint32_t index, uint32_t flags, uint32_t count, int32_t fd)
{
	struct {
		struct uapi_irq_set head;
		int32_t fd;
	} set = { { sizeof(set), flags, index, 0, count }, fd };

	return hx_call(FD_DEVICE, UAPI_DEVICE_SET_IRQS, &set, sizeof(set));
}

static void hx_container(enum hx_world world)
{
	static const uint32_t full_but = 65535;
	char name[] = "0000:01:00.0";
	int32_t fd = FD_CONTAINER;
	struct uapi_dirty dirty = { sizeof(dirty), UAPI_DIRTY_START };
	long ret;

	hx_must("SET_CONTAINER", hx_call(FD_GROUP, UAPI_GROUP_SET_CONTAINER, &fd, sizeof(fd)));
	if (world == W_JOINED)
		return;
	hx_must("SET_IOMMU", hx_ioctl(FD_CONTAINER, UAPI_SET_IOMMU,
				      world == W_V1 ? UAPI_TYPE1_IOMMU : UAPI_TYPE1v2_IOMMU));
	ret = hx_call(FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	if (ret < 0)
		hx_fatal("GET_DEVICE_FD", ret);
	hx_adopt(ret, FD_DEVICE);
	if (world == W_BARE)
		return;
	if (world >= W_INTX) {
		hx_must("SET_IRQS", hx_irq(world - W_INTX,
					   UAPI_IRQ_SET_DATA_EVENTFD | UAPI_IRQ_SET_ACTION_TRIGGER,
					   1, FD_EVENT));
		return;
	}
	hx_must("MAP_DMA", hx_map(HX_HELD, 4));
	if (world == W_TRACK)
		hx_must("DIRTY_PAGES",
			hx_call(FD_CONTAINER, UAPI_IOMMU_DIRTY_PAGES, &dirty, sizeof(dirty)));
	if (world == W_VADDR)
		hx_must("UNMAP_DMA", hx_unmap(HX_HELD, 4, UAPI_DMA_UNMAP_VADDR));
	for (uint32_t i = 1; world == W_FULL && i < full_but; i++)
		hx_must("MAP_DMA", hx_map(UINT64_C(0x100000000) + i * HX_PAGE, 1));
}
_Static_assert(W_MSI - W_INTX == UAPI_IRQ_MSI && W_MSIX - W_INTX == UAPI_IRQ_MSIX,
	       "the worlds with interrupts are in the order of the indexes");

static void hx_dmabuf(void)
{
	struct {
		struct uapi_feature head;
		struct uapi_feature_dma_buf get;
		struct uapi_dma_range range;
	} cmd = { { sizeof(cmd), UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET },
		  { 0, 02000002, 0, 1 }, /* O_CLOEXEC | O_RDWR */
		  { 0, 2 * HX_PAGE } };
	long ret = hx_call(FD_CDEV, UAPI_DEVICE_FEATURE, &cmd, sizeof(cmd));

	if (ret < 0)
		hx_fatal("FEATURE_DMA_BUF", ret);
	hx_adopt(ret, FD_DMABUF);
}

static void hx_nest(void)
{
	struct uapi_hwpt_alloc hwpt = { .size = sizeof(hwpt), .flags = 3, .dev_id = 2, .pt_id = 1 };
	struct uapi_viommu_alloc viommu = {
		.size = sizeof(viommu), .type = 1, .dev_id = 2, .hwpt_id = 3
	};
	struct uapi_fault_alloc fault = { .size = sizeof(fault) };

	hx_must("HWPT_ALLOC", hx_call(FD_IOMMUFD, UAPI_IOMMUFD_HWPT_ALLOC, &hwpt, sizeof(hwpt)));
	hx_must("VIOMMU_ALLOC",
		hx_call(FD_IOMMUFD, UAPI_IOMMUFD_VIOMMU_ALLOC, &viommu, sizeof(viommu)));
	hx_must("FAULT_QUEUE_ALLOC",
		hx_call(FD_IOMMUFD, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, &fault, sizeof(fault)));
	if (hwpt.out_hwpt_id != 3 || viommu.out_viommu_id != 4 || fault.out_fault_id != 5)
		hx_fatal("numbers of objects", fault.out_fault_id);
	hx_adopt(fault.out_fault_fd, FD_QUEUE);
	hx_must("IOAS_MAP", hx_ioas_map(HX_HELD, 4));
}

static void hx_cdev(enum hx_world world)
{
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = FD_IOMMUFD };
	struct uapi_attach_pt attach = { .argsz = sizeof(attach), .pt_id = 1 };

	hx_must("BIND_IOMMUFD", hx_call(FD_CDEV, UAPI_DEVICE_BIND_IOMMUFD, &bind, sizeof(bind)));
	if (bind.out_devid != 2)
		hx_fatal("BIND_IOMMUFD: number", bind.out_devid);
	if (world == W_BOUND)
		return;
	if (world == W_NEST) {
		hx_nest();
		return;
	}
	hx_must("ATTACH_IOMMUFD_PT",
		hx_call(FD_CDEV, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach, sizeof(attach)));
	if (attach.pt_id != 3)
		hx_fatal("ATTACH_IOMMUFD_PT: number", attach.pt_id);
	hx_must("IOAS_MAP", hx_ioas_map(HX_HELD, 4));
	if (world == W_DMABUF)
		hx_dmabuf();
}

static void hx_up(enum hx_world world)
{
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };

	hx_begin();
	for (enum hx_fd fd = FD_CONTAINER; fd < FD_DMABUF; fd++) {
		if (fd != FD_DEVICE)
			hx_open(fd);
	}
	hx_must("IOAS_ALLOC", hx_call(FD_IOMMUFD, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)));
	if (world >= W_BOUND)
		hx_cdev(world);
	else if (world != W_NEW)
		hx_container(world);
}

/* What can be seen of a world from outside without changing it. */
struct hx_view {
	long info, avail;
	uint32_t group;
	long device, node;
	long mapped, ioas_mapped;
	long ranges;
	uint32_t nr_ranges;
	long fired;
	uint64_t events;
	int64_t held[2];
};

static struct hx_view hx_look(enum hx_world world)
{
	struct hx_view v = { 0 };
	uint32_t info[34] = { sizeof(info) };
	struct uapi_group_status status = { .argsz = sizeof(status) };
	struct uapi_device_info device = { .argsz = sizeof(device) };
	struct uapi_ioas_iova_ranges ranges = {
		.size = sizeof(ranges), .ioas_id = 1, .num_iovas = 3, .allowed_iovas = HX_RAM
	};

	hx_held(v.held);
	v.info = hx_call(FD_CONTAINER, UAPI_IOMMU_GET_INFO, info, sizeof(info));
	v.avail = v.info ? 0 : info[(24 + 32 + 8) / 4];
	hx_must("GET_STATUS", hx_call(FD_GROUP, UAPI_GROUP_GET_STATUS, &status, sizeof(status)));
	v.group = status.flags;
	if (world >= W_V1 && world < W_BOUND)
		v.device = hx_call(FD_DEVICE, UAPI_DEVICE_GET_INFO, &device, sizeof(device));
	v.node = hx_call(FD_CDEV, UAPI_DEVICE_GET_INFO, &device, sizeof(device));
	v.mapped = hx_map(HX_HELD, 1);
	if (!v.mapped)
		hx_must("UNMAP_DMA", hx_unmap(HX_HELD, 1, 0));
	v.ioas_mapped = hx_ioas_map(HX_HELD, 1);
	if (!v.ioas_mapped)
		hx_must("IOAS_UNMAP", hx_ioas_unmap(HX_HELD, 1));
	v.ranges = hx_call(FD_IOMMUFD, UAPI_IOMMUFD_IOAS_IOVA_RANGES, &ranges, sizeof(ranges));
	v.nr_ranges = ranges.num_iovas;
	if (world >= W_INTX && world <= W_MSIX) {
		v.fired = hx_irq(world - W_INTX,
				 UAPI_IRQ_SET_DATA_NONE | UAPI_IRQ_SET_ACTION_TRIGGER, 1, 0);
		v.events = hx_events(FD_EVENT);
	}
	return v;
}

static bool hx_same(const struct hx_view *a, const struct hx_view *b)
{
	return a->info == b->info && a->avail == b->avail && a->group == b->group &&
	       a->device == b->device && a->node == b->node && a->mapped == b->mapped &&
	       a->ioas_mapped == b->ioas_mapped && a->ranges == b->ranges &&
	       a->nr_ranges == b->nr_ranges && a->fired == b->fired && a->events == b->events &&
	       a->held[0] == b->held[0] && a->held[1] == b->held[1];
}

static uint64_t hx_place(const struct hx_case *c)
{
	static char endless[HX_ARG_SIZE];
	uint64_t at = HX_ARGS + HX_ARG_SIZE - c->len;

	if (c->place == AT_VALUE)
		return c->value;
	if (c->place == AT_RO)
		at = HX_RO;
	if (c->len > sizeof(c->arg)) {
		memset(endless, 'x', sizeof(endless));
		hx_put(at, endless, c->len);
	} else {
		hx_put(at, &c->arg, c->len);
	}
	return at;
}

/* 0, or 1 with words on stdout. */
static int hx_run(const struct hx_table *table, const struct hx_case *c)
{
	struct hx_view before = { 0 }, after;
	int bad = 0;
	long ret;

	hx_up(c->world);
	if (c->ret < 0 && !c->changes)
		before = hx_look(c->world);
	ret = hx_ioctl((int)c->fd, c->cmd, hx_place(c));
	if (c->cmd == UAPI_GROUP_GET_DEVICE_FD && ret >= 0 && c->fd == FD_GROUP)
		hx_fatal("a device file was given out", ret);
	if (ret != c->ret) {
		printf("# %s:%d: %ld instead of %ld\n", table->file, c->line, ret, c->ret);
		bad = 1;
	} else if (c->ret < 0 && !c->changes) {
		after = hx_look(c->world);
		if (!hx_same(&before, &after)) {
			printf("# %s:%d: failed as it should, but left a trace\n", table->file,
			       c->line);
			bad = 1;
		}
	} else {
		/* Whatever it did, the files answer. */
		hx_must("GET_API_VERSION", hx_ioctl(FD_CONTAINER, UAPI_GET_API_VERSION, 0));
		hx_look(W_NEW);
	}
	hx_end();
	return bad;
}

#endif
