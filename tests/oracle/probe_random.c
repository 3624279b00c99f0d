// SPDX-License-Identifier: BSD-3-Clause
/*
 * The oracle's probe: iommufd by chance. IOASes are filled, copied, restricted, attached to and
 * destroyed, with arguments that are mostly good.
 */
#include "probe.h"

#define MAX_TRIED 48

struct world {
	int fd;
	int cdev[NR_DEVICES];
	uint32_t dev[NR_DEVICES];
	uint32_t ids; /* the highest number seen */
	struct {
		uint32_t ioas;
		uint64_t iova, size;
	} tried[MAX_TRIED];
	unsigned int nr_tried;
};

static void seen(struct world *w, uint32_t id)
{
	if (id > w->ids && id < 1000)
		w->ids = id;
}

static uint32_t some_id(const struct world *w)
{
	if (probe_chance(3))
		return probe_chance(50) ? 0 : UINT32_MAX;
	return 1 + (uint32_t)probe_below(w->ids + (probe_chance(10) ? 1 : 0) + !w->ids);
}

/* Most of the time one of the first numbers: those are IOASes. */
static uint32_t some_ioas(const struct world *w)
{
	return probe_chance(80) ? 1 + (uint32_t)probe_below(2) : some_id(w);
}

static uint64_t some_size(void)
{
	static const uint64_t odd[] = { 0,          1,
					PAGE - 1,   PAGE + 1,
					0x200000,   UINT64_C(1) << 40,
					UINT64_MAX, UINT64_MAX - PAGE + 1 };

	return probe_chance(95) ? (1 + probe_below(12)) * PAGE : PICK(odd);
}

static uint64_t some_va(void)
{
	static const uint64_t odd[] = {
		0,       AT_RAM + 1, AT_RAM + RAM_SIZE - PAGE, AT_NONE,
		AT_HOLE, KERNEL,     UINT64_C(0x7ffffffff000), UINT64_MAX - PAGE + 1
	};
	uint64_t n = probe_below(100);

	if (n < 75)
		return AT_RAM + probe_below(64) * PAGE;
	if (n < 85)
		return AT_SHM + probe_below(64) * PAGE;
	if (n < 92)
		return AT_MIX + probe_below(49) * PAGE;
	return n < 95 ? AT_RO : PICK(odd);
}

static uint64_t some_iova(void)
{
	static const uint64_t odd[] = { 0,
					0xfee00000,
					0xfedff000,
					UINT64_C(0xfd00000000),
					UINT64_MAX,
					UINT64_MAX - PAGE + 1,
					0x100001,
					UINT64_C(1) << 48,
					UINT64_C(1) << 63 };

	return probe_chance(92) ? 0x100000 + probe_below(64) * PAGE : PICK(odd);
}

static void remember(struct world *w, uint32_t ioas, uint64_t iova, uint64_t size)
{
	unsigned int i =
		w->nr_tried < MAX_TRIED ? w->nr_tried++ : (unsigned int)probe_below(MAX_TRIED);

	w->tried[i].ioas = ioas;
	w->tried[i].iova = iova;
	w->tried[i].size = size;
}

/* A range that was mapped, or nearly. */
static void some_range(const struct world *w, uint32_t *ioas, uint64_t *iova, uint64_t *size)
{
	unsigned int i;

	*ioas = some_ioas(w);
	*iova = some_iova();
	*size = some_size();
	if (!w->nr_tried || probe_chance(20))
		return;
	i = (unsigned int)probe_below(w->nr_tried);
	*ioas = w->tried[i].ioas;
	*iova = w->tried[i].iova;
	*size = w->tried[i].size;
	switch (probe_below(10)) {
	case 0:
		*iova += PAGE;
		break;
	case 1:
		*size += PAGE;
		break;
	case 2:
		*size -= PAGE;
		break;
	case 3:
		*iova -= PAGE;
		*size += 3 * PAGE;
		break;
	case 4:
		*size = UINT64_MAX - *iova;
		break;
	default:
		break;
	}
}

static void do_map(struct world *w)
{
	struct uapi_ioas_map a = { .size = sizeof(a), .ioas_id = some_ioas(w) };

	a.flags =
		probe_chance(95) ? 2u * (1 + (uint32_t)probe_below(3)) : (uint32_t)probe_below(16);
	if (probe_chance(60))
		a.flags |= UAPI_IOAS_MAP_FIXED_IOVA;
	a.user_va = some_va();
	a.length = some_size();
	a.iova = some_iova();
	if (!CALL("IOAS_MAP", w->fd, UAPI_IOMMUFD_IOAS_MAP, a, "iiiiqqq") || probe_chance(20))
		remember(w, a.ioas_id, a.iova, a.length);
}

static void do_unmap(struct world *w)
{
	struct uapi_ioas_unmap a = { .size = sizeof(a) };

	some_range(w, &a.ioas_id, &a.iova, &a.length);
	if (probe_chance(2)) {
		a.iova = 0;
		a.length = UINT64_MAX;
	}
	CALL("IOAS_UNMAP", w->fd, UAPI_IOMMUFD_IOAS_UNMAP, a, "iiqq");
}

static void do_copy(struct world *w)
{
	struct uapi_ioas_copy a = { .size = sizeof(a), .dst_ioas_id = some_ioas(w) };

	some_range(w, &a.src_ioas_id, &a.src_iova, &a.length);
	a.flags =
		probe_chance(95) ? 2u * (1 + (uint32_t)probe_below(3)) : (uint32_t)probe_below(16);
	if (probe_chance(50))
		a.flags |= UAPI_IOAS_MAP_FIXED_IOVA;
	a.dst_iova = some_iova();
	if (!CALL("IOAS_COPY", w->fd, UAPI_IOMMUFD_IOAS_COPY, a, "iiiiqqq"))
		remember(w, a.dst_ioas_id, a.dst_iova, a.length);
}

static void do_ranges(struct world *w)
{
	struct uapi_ioas_iova_ranges a = { .size = sizeof(a),
					   .ioas_id = some_ioas(w),
					   .num_iovas = (uint32_t)probe_below(8),
					   .allowed_iovas = AT_OUT };

	memset((void *)AT_OUT, 0, PAGE);
	CALL("IOVA_RANGES", w->fd, UAPI_IOMMUFD_IOAS_IOVA_RANGES, a, "iiiiqq");
	probe_note("ranges %llx", (unsigned long long)probe_hash(AT_OUT, PAGE));
}

static void do_allow(struct world *w)
{
	struct uapi_ioas_allow_iovas a = { .size = sizeof(a),
					   .ioas_id = some_ioas(w),
					   .num_iovas = (uint32_t)probe_below(4),
					   .allowed_iovas = AT_OUT };
	struct uapi_iova_range r[4];

	for (unsigned int i = 0; i < 4; i++) {
		r[i].start = probe_chance(90) ? probe_below(64) * 16 * PAGE : some_iova();
		r[i].last = r[i].start + (1 + probe_below(64)) * PAGE -
			    (probe_chance(95) ? 1 : PAGE + 1);
		if (i < a.num_iovas)
			probe_note("allow %llx-%llx", (unsigned long long)r[i].start,
				   (unsigned long long)r[i].last);
	}
	memcpy((void *)AT_OUT, r, sizeof(r));
	CALL("ALLOW_IOVAS", w->fd, UAPI_IOMMUFD_IOAS_ALLOW_IOVAS, a, "iiiiq");
}

static void do_option(struct world *w)
{
	struct uapi_option a = { .size = sizeof(a),
				 .option_id = probe_chance(80),
				 .op = (uint16_t)probe_below(2),
				 .object_id = probe_chance(80) ? some_ioas(w) : 0,
				 .val64 = probe_below(3) };

	CALL("OPTION", w->fd, UAPI_IOMMUFD_OPTION, a, "iihhiq");
}

static void do_compat(struct world *w)
{
	struct uapi_vfio_ioas a = { sizeof(a), some_ioas(w), (uint16_t)probe_below(3), 0 };
	struct uapi_dma_map map = { 32, 3, some_va(), some_iova(), some_size() };
	struct uapi_dma_unmap unmap = { 24, probe_chance(10) ? 2 : 0, some_iova(), some_size() };
	uint32_t info[64] = { 136 };

	switch (probe_below(6)) {
	case 0:
		CALL("INFO", w->fd, UAPI_IOMMU_GET_INFO, info, "i");
		break;
	case 1:
		CALL("MAP", w->fd, UAPI_IOMMU_MAP_DMA, map, "iiqqq");
		break;
	case 2:
		CALL("UNMAP", w->fd, UAPI_IOMMU_UNMAP_DMA, unmap, "iiqq");
		break;
	case 3:
		probe_value("SET_IOMMU", w->fd, UAPI_SET_IOMMU, 1 + 2 * probe_below(2));
		break;
	default:
		if (!CALL("VFIO_IOAS", w->fd, UAPI_IOMMUFD_VFIO_IOAS, a, "iihh"))
			seen(w, a.ioas_id);
	}
}

static void do_hwpt(struct world *w)
{
	struct uapi_hwpt_alloc a = { .size = sizeof(a),
				     .dev_id = probe_chance(80) ? w->dev[probe_below(NR_DEVICES)]
								: some_id(w),
				     .pt_id = some_ioas(w) };
	struct uapi_set_dirty_tracking set = { sizeof(set), (uint32_t)probe_below(2), some_id(w),
					       0 };
	struct uapi_get_dirty_bitmap get = { .size = sizeof(get),
					     .hwpt_id = some_id(w),
					     .iova = 0x100000,
					     .length = 64 * PAGE,
					     .page_size = PAGE,
					     .data = AT_OUT };

	switch (probe_below(6)) {
	case 0:
		CALL("SET_DIRTY", w->fd, UAPI_IOMMUFD_SET_DIRTY_TRACKING, set, "iiii");
		break;
	case 1:
		CALL("GET_DIRTY", w->fd, UAPI_IOMMUFD_GET_DIRTY_BITMAP, get, "iiiiqqqq");
		break;
	default:
		if (!CALL("HWPT_ALLOC", w->fd, UAPI_IOMMUFD_HWPT_ALLOC, a, "iiiiiiiiqii"))
			seen(w, a.out_hwpt_id);
	}
}

static void do_device(struct world *w)
{
	unsigned int d = (unsigned int)probe_below(NR_DEVICES);
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = w->fd };
	struct uapi_attach_pt attach = { .argsz = 12,
					 .pt_id = probe_chance(60) ? some_ioas(w) : some_id(w) };
	struct uapi_detach_pt detach = { .argsz = 8 };

	if (w->cdev[d] < 0) {
		w->cdev[d] = probe_open_cdev(d);
		if (!CALL("BIND", w->cdev[d], UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq")) {
			w->dev[d] = bind.out_devid;
			seen(w, bind.out_devid);
		}
		return;
	}
	switch (probe_below(12)) {
	case 0:
		probe_close(w->cdev[d]);
		w->cdev[d] = -1;
		break;
	case 1:
	case 2:
	case 3:
		CALL("DETACH", w->cdev[d], UAPI_DEVICE_DETACH_IOMMUFD_PT, detach, "iii");
		break;
	default:
		if (!CALL("ATTACH", w->cdev[d], UAPI_DEVICE_ATTACH_IOMMUFD_PT, attach, "iiii"))
			seen(w, attach.pt_id);
	}
}

static void do_object(struct world *w)
{
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct uapi_fd_destroy destroy = { sizeof(destroy), some_id(w) };
	struct uapi_fault_alloc fault = { .size = sizeof(fault) };

	switch (probe_below(8)) {
	case 0:
	case 1:
	case 2:
		if (!CALL("IOAS_ALLOC", w->fd, UAPI_IOMMUFD_IOAS_ALLOC, alloc, "iii"))
			seen(w, alloc.out_ioas_id);
		break;
	case 3:
		if (!CALL("FAULT_ALLOC", w->fd, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, fault, "iiii"))
			seen(w, fault.out_fault_id);
		break;
	default:
		CALL("DESTROY", w->fd, UAPI_IOMMUFD_DESTROY, destroy, "ii");
	}
}

static void one(struct world *w)
{
	uint64_t n = probe_below(100);

	if (n < 32)
		do_map(w);
	else if (n < 52)
		do_unmap(w);
	else if (n < 64)
		do_copy(w);
	else if (n < 67)
		do_ranges(w);
	else if (n < 69)
		do_allow(w);
	else if (n < 72)
		do_option(w);
	else if (n < 76)
		do_compat(w);
	else if (n < 81)
		do_hwpt(w);
	else if (n < 94)
		do_device(w);
	else
		do_object(w);
}

void probe_iommufd_random(void)
{
	for (uint64_t seed = 1; seed <= 120; seed++) {
		struct world w = { .fd = -1 };

		probe_case("iommufd: seed %llu", (unsigned long long)seed);
		probe_seed(seed);
		for (unsigned int d = 0; d < NR_DEVICES; d++)
			w.cdev[d] = -1;
		w.fd = probe_open("/dev/iommu");
		for (unsigned int i = 0; i < 2; i++) {
			struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };

			CALL("IOAS_ALLOC", w.fd, UAPI_IOMMUFD_IOAS_ALLOC, alloc, "iii");
			seen(&w, alloc.out_ioas_id);
		}
		for (unsigned int i = 0; i < 120; i++)
			one(&w);
	}
}
