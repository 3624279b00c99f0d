// SPDX-License-Identifier: BSD-3-Clause
/*
 * The oracle's probe: what may be done to which file when. Containers, groups, device files of both
 * kinds and iommufds are opened, put together, used and closed by chance.
 */
#include "probe.h"

#include <fcntl.h>

enum kind { CONTAINER, IOMMUFD, GROUP, OTHER, CDEV, DEVICE, NR_KINDS };
#define MAX_FILES 12

struct file {
	enum kind kind;
	int fd;
	unsigned int dev; /* of groups, and device files */
};

struct files {
	struct file file[MAX_FILES];
	unsigned int nr;
};

static void add(struct files *f, enum kind kind, long fd, unsigned int dev)
{
	if (fd >= 0)
		f->file[f->nr++] = (struct file){ kind, (int)fd, dev };
}

/* A file of that kind if there is one, mostly. */
static int some_fd(const struct files *f, enum kind kind)
{
	unsigned int from = (unsigned int)probe_below(MAX_FILES);

	if (probe_chance(4))
		return probe_chance(50) ? -1 : 60;
	if (probe_chance(92)) {
		for (unsigned int i = 0; i < f->nr; i++) {
			const struct file *file = &f->file[(from + i) % f->nr];

			if (file->kind == kind)
				return file->fd;
		}
	}
	return f->nr ? f->file[from % f->nr].fd : -1;
}

/* One file of a device at most: a case of probe_devices() has two. */
static bool has_device(const struct files *f, unsigned int dev)
{
	for (unsigned int i = 0; i < f->nr; i++) {
		if (f->file[i].kind >= CDEV && f->file[i].dev == dev)
			return true;
	}
	return false;
}

static void open_one(struct files *f)
{
	unsigned int dev = (unsigned int)probe_below(NR_DEVICES);

	if (f->nr == MAX_FILES)
		return;
	switch (probe_below(8)) {
	case 0:
	case 1:
		add(f, CONTAINER, probe_open("/dev/vfio/vfio"), 0);
		break;
	case 2:
		add(f, IOMMUFD, probe_open("/dev/iommu"), 0);
		break;
	case 3:
		if (!has_device(f, dev))
			add(f, CDEV, probe_open_cdev(dev), dev);
		break;
	case 4:
		if (probe_chance(10))
			add(f, OTHER, probe_open("/dev/null"), 0);
		break;
	default:
		add(f, GROUP, probe_open_group(dev), dev);
	}
}

static void device_fd(struct files *f)
{
	unsigned int dev = (unsigned int)probe_below(NR_DEVICES);
	char name[256] = "";
	long fd;

	if (f->nr == MAX_FILES || has_device(f, dev))
		return;
	switch (probe_below(10)) {
	case 0:
		snprintf(name, sizeof(name), "%s vf_token=00112233-4455-6677-8899-aabbccddeeff",
			 probe.dev[dev].bdf);
		break;
	case 1:
		snprintf(name, sizeof(name), "%s nonsense", probe.dev[dev].bdf);
		break;
	case 2:
		snprintf(name, sizeof(name), "0000:7f:00.0");
		break;
	default:
		snprintf(name, sizeof(name), "%s", probe.dev[dev].bdf);
	}
	fd = probe_ioctl("DEVICE_FD", some_fd(f, GROUP), UAPI_GROUP_GET_DEVICE_FD, name,
			 sizeof(name), "qq");
	add(f, DEVICE, fd, dev);
}

static void close_one(struct files *f)
{
	unsigned int i;

	if (!f->nr)
		return;
	i = (unsigned int)probe_below(f->nr);
	probe_close(f->file[i].fd);
	f->file[i] = f->file[--f->nr];
}

static void group_call(struct files *f)
{
	int group = some_fd(f, GROUP);
	struct uapi_group_status status = { .argsz = probe_chance(90) ? 8 : 7 };
	int32_t fd;

	switch (probe_below(4)) {
	case 0:
		CALL("STATUS", group, UAPI_GROUP_GET_STATUS, status, "ii");
		break;
	case 1:
		probe_value("UNSET_CONTAINER", group, UAPI_GROUP_UNSET_CONTAINER, 0);
		break;
	default:
		fd = some_fd(f, probe_chance(75) ? CONTAINER : IOMMUFD);
		CALL("SET_CONTAINER", group, UAPI_GROUP_SET_CONTAINER, fd, "i");
	}
}

static void container_call(struct files *f)
{
	static const uint64_t types[] = { 1, 3, 1, 3, 1, 3, 0, 2, 4, 6, 8, UINT64_C(1) << 32 | 1 };
	int fd = some_fd(f, probe_chance(80) ? CONTAINER : IOMMUFD);
	struct uapi_dma_map map = { 32, 3, AT_RAM, 0x10000 + probe_below(4) * PAGE, PAGE };
	struct uapi_dma_unmap unmap = { 24, 0, 0x10000 + probe_below(4) * PAGE, PAGE };
	uint32_t info[64] = { 136 };

	switch (probe_below(8)) {
	case 0:
		probe_value("VERSION", fd, UAPI_GET_API_VERSION, 0);
		break;
	case 1:
		probe_value("EXTENSION", fd, UAPI_CHECK_EXTENSION, probe_below(13));
		break;
	case 2:
		CALL("MAP", fd, UAPI_IOMMU_MAP_DMA, map, "iiqqq");
		break;
	case 3:
		CALL("UNMAP", fd, UAPI_IOMMU_UNMAP_DMA, unmap, "iiqq");
		break;
	case 4:
		CALL("INFO", fd, UAPI_IOMMU_GET_INFO, info, "i");
		break;
	default:
		probe_value("SET_IOMMU", fd, UAPI_SET_IOMMU, PICK(types));
	}
}

static void iommufd_call(struct files *f)
{
	int fd = some_fd(f, IOMMUFD);
	uint32_t id = 1 + (uint32_t)probe_below(5);
	struct uapi_ioas_alloc alloc = { .size = 12 };
	struct uapi_fd_destroy destroy = { 8, id };
	struct uapi_vfio_ioas compat = { 12, id, (uint16_t)probe_below(4), 0 };
	struct uapi_ioas_map map = { 40, 7, id, 0, AT_RAM, PAGE, 0x10000 + probe_below(4) * PAGE };
	struct uapi_ioas_unmap unmap = { 24, id, 0, UINT64_MAX };
	struct uapi_hwpt_alloc hwpt = { .size = 48,
					.dev_id = 1 + (uint32_t)probe_below(5),
					.pt_id = id };

	switch (probe_below(8)) {
	case 0:
		CALL("DESTROY", fd, UAPI_IOMMUFD_DESTROY, destroy, "ii");
		break;
	case 1:
		CALL("VFIO_IOAS", fd, UAPI_IOMMUFD_VFIO_IOAS, compat, "iihh");
		break;
	case 2:
		CALL("IOAS_MAP", fd, UAPI_IOMMUFD_IOAS_MAP, map, "iiiiqqq");
		break;
	case 3:
		CALL("IOAS_UNMAP", fd, UAPI_IOMMUFD_IOAS_UNMAP, unmap, "iiqq");
		break;
	case 4:
		CALL("HWPT_ALLOC", fd, UAPI_IOMMUFD_HWPT_ALLOC, hwpt, "iiiiiiiiqii");
		break;
	default:
		CALL("IOAS_ALLOC", fd, UAPI_IOMMUFD_IOAS_ALLOC, alloc, "iii");
	}
}

static void device_call(struct files *f)
{
	int fd = some_fd(f, probe_chance(75) ? CDEV : DEVICE);
	struct uapi_bind_iommufd bind = { .argsz = probe_chance(95) ? 16 : 15,
					  .flags = probe_chance(95) ? 0 : 2,
					  .iommufd = some_fd(f, IOMMUFD) };
	struct uapi_attach_pt attach = { .argsz = probe_chance(95) ? 12 : 11,
					 .flags = probe_chance(95) ? 0 : 2,
					 .pt_id = (uint32_t)probe_below(7) };
	struct uapi_detach_pt detach = { .argsz = probe_chance(95) ? 8 : 7 };
	struct uapi_irq_info irq = { .argsz = 16, .index = UAPI_IRQ_REQ };

	switch (probe_below(8)) {
	case 0:
	case 1:
	case 2:
		CALL("BIND", fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
		break;
	case 3:
	case 4:
		CALL("ATTACH", fd, UAPI_DEVICE_ATTACH_IOMMUFD_PT, attach, "iiii");
		break;
	case 5:
		CALL("DETACH", fd, UAPI_DEVICE_DETACH_IOMMUFD_PT, detach, "iii");
		break;
	default:
		CALL("IRQ_INFO", fd, UAPI_DEVICE_GET_IRQ_INFO, irq, "iiii");
	}
}

static void one(struct files *f)
{
	uint64_t n = probe_below(100);

	if (n < 20)
		open_one(f);
	else if (n < 29)
		close_one(f);
	else if (n < 45)
		group_call(f);
	else if (n < 53)
		device_fd(f);
	else if (n < 70)
		container_call(f);
	else if (n < 80)
		iommufd_call(f);
	else
		device_call(f);
}

void probe_groups(void)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct files f = { .nr = 0 };

		probe_case("files: seed %llu", (unsigned long long)seed);
		probe_seed(seed);
		for (unsigned int i = 0; i < 120; i++)
			one(&f);
	}
}
