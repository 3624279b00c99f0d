// SPDX-License-Identifier: BSD-3-Clause
/*
 * The oracle's probe: type1 and type1v2, of a container and of an iommufd in its place: IOMMU
 * information, mapping, unmapping, dirty pages; first from a table, then by chance.
 */
#include "probe.h"

#include <fcntl.h>
#include <sys/mman.h>

#define MAX_TRIED 64

enum backend { CONTAINER, IOMMUFD, NR_BACKENDS };
static const char *const backends[] = { "/dev/vfio/vfio", "/dev/iommu" };

struct space {
	int fd;
	bool v2;
	/* what mapping calls have asked for, whatever came of it */
	struct {
		uint64_t iova, size;
	} tried[MAX_TRIED];
	unsigned int nr_tried;
};

/* A container, or what stands for it, with the group of device 0; -1 where that fails. */
static int start(struct space *s, enum backend backend, unsigned int type)
{
	uint32_t fd;
	int group;

	*s = (struct space){ .v2 = type == UAPI_TYPE1v2_IOMMU };
	s->fd = probe_open(backends[backend]);
	group = probe_open_group(0);
	if (s->fd < 0 || group < 0)
		return -1;
	fd = (uint32_t)s->fd;
	if (backend == IOMMUFD) {
		/* Where nobody says otherwise a group makes the IOAS of compatibility. */
		struct uapi_vfio_ioas get = { .size = sizeof(get), .op = UAPI_VFIO_IOAS_GET };

		CALL("VFIO_IOAS", s->fd, UAPI_IOMMUFD_VFIO_IOAS, get, "iihh");
	}
	CALL("SET_CONTAINER", group, UAPI_GROUP_SET_CONTAINER, fd, "i");
	return probe_value("SET_IOMMU", s->fd, UAPI_SET_IOMMU, type) ? -1 : 0;
}

static long map(struct space *s, uint32_t argsz, uint32_t flags, uint64_t vaddr, uint64_t iova,
		uint64_t size)
{
	struct uapi_dma_map m = {
		.argsz = argsz, .flags = flags, .vaddr = vaddr, .iova = iova, .size = size
	};

	if (s->nr_tried < MAX_TRIED) {
		s->tried[s->nr_tried].iova = iova;
		s->tried[s->nr_tried++].size = size;
	}
	return CALL("MAP", s->fd, UAPI_IOMMU_MAP_DMA, m, "iiqqq");
}

static long unmap(struct space *s, uint32_t argsz, uint32_t flags, uint64_t iova, uint64_t size)
{
	struct uapi_dma_unmap u = { .argsz = argsz, .flags = flags, .iova = iova, .size = size };

	return CALL("UNMAP", s->fd, UAPI_IOMMU_UNMAP_DMA, u, "iiqq");
}

static long unmap_dirty(struct space *s, uint32_t argsz, uint64_t iova, uint64_t size,
			uint64_t pgsize, uint64_t bytes, uint64_t data)
{
	struct {
		struct uapi_dma_unmap u;
		struct uapi_bitmap b;
	} a = { { argsz, UAPI_DMA_UNMAP_DIRTY_BITMAP, iova, size }, { pgsize, bytes, data } };
	long ret;

	memset((void *)AT_OUT, 0, OUT_SIZE);
	ret = CALL("UNMAP", s->fd, UAPI_IOMMU_UNMAP_DMA, a, "iiqqqqq");
	probe_note("bitmap %llx", (unsigned long long)probe_hash(AT_OUT, OUT_SIZE));
	return ret;
}

static long dirty(struct space *s, uint32_t argsz, uint32_t flags)
{
	struct uapi_dirty d = { argsz, flags };

	return CALL("DIRTY", s->fd, UAPI_IOMMU_DIRTY_PAGES, d, "ii");
}

static long dirty_get(struct space *s, uint32_t argsz, uint32_t flags, uint64_t iova, uint64_t size,
		      uint64_t pgsize, uint64_t bytes, uint64_t data)
{
	struct {
		struct uapi_dirty d;
		struct uapi_dirty_get g;
	} a = { { argsz, flags }, { iova, size, { pgsize, bytes, data } } };
	long ret;

	memset((void *)AT_OUT, 0, OUT_SIZE);
	ret = CALL("DIRTY", s->fd, UAPI_IOMMU_DIRTY_PAGES, a, "iiqqqqq");
	probe_note("bitmap %llx", (unsigned long long)probe_hash(AT_OUT, OUT_SIZE));
	return ret;
}

static void info(struct space *s, uint32_t argsz)
{
	uint32_t a[64];

	memset(a, 0x5a, sizeof(a));
	a[0] = argsz;
	probe_ioctl("INFO", s->fd, UAPI_IOMMU_GET_INFO, a, sizeof(a), "i");
}

static void table_info(struct space *s)
{
	static const uint32_t sizes[] = { 0,   4,   15,  16,  17,  20,   23,        24,
					  25,  28,  32,  56,  72,  120,  127,       128,
					  135, 136, 137, 144, 160, 4096, UINT32_MAX };
	static const uint32_t ends[] = { 4, 8, 15, 16, 20, 23, 24, 64, 135 };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		info(s, sizes[i]);
	/* argsz tells of more than is mapped */
	for (unsigned int i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		uint32_t a[64] = { 256 };

		probe_ioctl("INFO", s->fd, UAPI_IOMMU_GET_INFO, a, ends[i], "i");
		a[0] = 24;
		probe_ioctl("INFO", s->fd, UAPI_IOMMU_GET_INFO, a, ends[i], "i");
	}
	probe_value("INFO", s->fd, UAPI_IOMMU_GET_INFO, AT_RO);
	probe_value("INFO", s->fd, UAPI_IOMMU_GET_INFO, AT_HOLE);
	probe_value("INFO", s->fd, UAPI_IOMMU_GET_INFO, KERNEL);
	probe_value("VERSION", s->fd, UAPI_GET_API_VERSION, 0);
	probe_value("VERSION", s->fd, UAPI_GET_API_VERSION, 1);
	for (uint64_t i = 0; i < 16; i++)
		probe_value("EXTENSION", s->fd, UAPI_CHECK_EXTENSION, i);
	probe_value("EXTENSION", s->fd, UAPI_CHECK_EXTENSION, UINT32_MAX);
	probe_value("EXTENSION", s->fd, UAPI_CHECK_EXTENSION, UINT64_C(1) << 32 | 1);
	for (uint32_t nr = 95; nr < 128; nr++) {
		if (nr != 100 && nr != 102 && (nr < 112 || nr > 114))
			probe_value("UNKNOWN", s->fd, UAPI_NR(nr), 0);
	}
	probe_value("UNKNOWN", s->fd, 0x40000000u | UAPI_IOMMU_MAP_DMA, 0);
	probe_value("UNKNOWN", s->fd, 0x5401, AT_OUT);
}

/* Every kind of place at which an IOVA, an address or a size may go wrong. */
static const uint64_t iovas[] = { 0,
				  PAGE,
				  0x10000000,
				  0x10000800,
				  0xfedff000,
				  0xfee00000,
				  0xfeeff000,
				  0xfef00000,
				  UINT64_C(0xfcfffff000),
				  UINT64_C(0xfd00000000),
				  UINT64_C(0xfffffff000),
				  UINT64_C(0x10000000000),
				  UINT64_C(0xfffffffff000),
				  UINT64_C(0x1000000000000),
				  UINT64_C(0x7fffffffffffe000),
				  UINT64_C(0x8000000000000000),
				  UINT64_C(0xffffffffffffe000),
				  UINT64_C(0xfffffffffffff000),
				  UINT64_C(0xffffffffffffffff) };
static const uint64_t vaddrs[] = { 0,
				   AT_RAM,
				   AT_RAM + 0x800,
				   AT_RAM + RAM_SIZE - PAGE,
				   AT_RO,
				   AT_NONE,
				   AT_HOLE,
				   AT_SHM,
				   AT_SHM + SHM_SIZE - PAGE,
				   AT_MIX + 15 * PAGE,
				   AT_MIX + 16 * PAGE,
				   AT_MIX + 32 * PAGE,
				   UINT64_C(0x7ffffffff000),
				   UINT64_C(0x800000000000),
				   KERNEL,
				   UINT64_C(0xffffffffff600000),
				   UINT64_C(0xfffffffffffff000) };
static const uint64_t sizes[] = { 0,
				  1,
				  PAGE - 1,
				  PAGE,
				  PAGE + 1,
				  2 * PAGE,
				  16 * PAGE,
				  0x100000,
				  UINT64_C(0x8000000000000000),
				  UINT64_C(0xfffffffffffff000),
				  UINT64_C(0xffffffffffffffff) };
static const uint32_t map_flags[] = { 3, 0, 1, 2, 4, 5, 6, 7, 8, 11, 16, UINT32_C(0x80000003) };

static void table_map(struct space *s)
{
	for (unsigned int i = 0; i < sizeof(iovas) / sizeof(iovas[0]); i++) {
		for (unsigned int k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			map(s, 32, 3, AT_RAM, iovas[i], sizes[k]);
			unmap(s, 24, 0, iovas[i], sizes[k]);
		}
	}
	for (unsigned int i = 0; i < sizeof(vaddrs) / sizeof(vaddrs[0]); i++) {
		for (unsigned int k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			for (uint32_t f = 1; f < 4; f++) {
				/* what there is twice the memory of is no question here */
				if (sizes[k] >> 63 || sizes[k] <= 2 * PAGE)
					map(s, 32, f, vaddrs[i], 0x200000, sizes[k]);
				unmap(s, 24, UAPI_DMA_UNMAP_ALL, 0, 0);
			}
		}
	}
	for (unsigned int i = 0; i < sizeof(map_flags) / sizeof(map_flags[0]); i++) {
		map(s, 32, map_flags[i], AT_RAM, 0x200000, PAGE);
		map(s, 32, map_flags[i], AT_RAM + 1, 0x200000, PAGE);
		map(s, 32, map_flags[i], AT_RAM, 0x200000, 0);
		map(s, 32, map_flags[i], AT_RAM, 0x200000, 2 * PAGE);
		map(s, 32, map_flags[i], AT_RAM, UINT64_MAX - 8191, 2 * PAGE);
		map(s, 32, map_flags[i], AT_RAM, UINT64_MAX - 4095, 2 * PAGE);
	}
	for (uint32_t argsz = 28; argsz < 37; argsz++)
		map(s, argsz, 3, AT_RAM, 0x400000 + argsz * PAGE, PAGE);
	map(s, 0, 3, AT_RAM, 0x600000, PAGE);
	map(s, UINT32_MAX, 3, AT_RAM, 0x601000, PAGE);
	for (unsigned int len = 4; len < 32; len += 4) {
		struct uapi_dma_map m = { 32, 3, AT_RAM, 0x700000, PAGE };

		probe_ioctl("MAP", s->fd, UAPI_IOMMU_MAP_DMA, &m, len, "iiqqq");
	}
}

static void table_unmap(struct space *s)
{
	static const uint32_t flags[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, UINT32_C(0x80000000) };

	/* Four mappings, each of which an unmap may cut anywhere, in every combination. */
	for (uint64_t from = 0; from < 12; from++) {
		for (uint64_t to = from + 1; to <= 12; to++) {
			map(s, 32, 3, AT_RAM, 0x100000 + 1 * PAGE, 2 * PAGE);
			map(s, 32, 3, AT_RAM, 0x100000 + 3 * PAGE, 3 * PAGE);
			map(s, 32, 1, AT_SHM, 0x100000 + 7 * PAGE, PAGE);
			map(s, 32, 2, AT_RAM, 0x100000 + 8 * PAGE, 3 * PAGE);
			unmap(s, 24, 0, 0x100000 + from * PAGE, (to - from) * PAGE);
			info(s, 136);
		}
	}
	unmap(s, 24, UAPI_DMA_UNMAP_ALL, 0, 0);
	unmap(s, 24, UAPI_DMA_UNMAP_ALL, 0, 0);
	for (unsigned int i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		for (unsigned int k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			map(s, 32, 3, AT_RAM, 0x200000, 2 * PAGE);
			unmap(s, 24, flags[i], 0x200000, sizes[k]);
			unmap(s, 24, flags[i], 0, sizes[k]);
			unmap(s, 24, flags[i], 0x200000 + PAGE, sizes[k]);
			unmap(s, 24, flags[i], UINT64_C(0xfffffffffffff000), sizes[k]);
			unmap(s, 24, flags[i], 0x200001, sizes[k]);
		}
	}
	for (uint32_t argsz = 20; argsz < 28; argsz++)
		unmap(s, argsz, 0, 0x300000, PAGE);
	unmap(s, 0, 0, 0x300000, PAGE);
	unmap(s, UINT32_MAX, 0, 0x300000, PAGE);
	map(s, 32, 3, AT_RAM, 0x300000, PAGE);
	for (unsigned int len = 4; len < 24; len += 4) {
		struct uapi_dma_unmap u = { 24, 0, 0x300000, PAGE };

		probe_ioctl("UNMAP", s->fd, UAPI_IOMMU_UNMAP_DMA, &u, len, "iiqq");
	}
	unmap(s, 24, 0, 0x300000, PAGE);
}

static const uint64_t bitmap_sizes[] = {
	0, 1, 7, 8, 9, 16, 64, 4096, UINT64_C(1) << 28, (UINT64_C(1) << 28) + 8, UINT64_MAX
};
static const uint64_t bitmap_pages[] = {
	0, 1, 2048, 4096, 4097, 8192, 0x200000, UINT64_C(1) << 51, UINT64_C(1) << 63
};
static const uint64_t bitmap_places[] = { 0,      AT_OUT,     AT_OUT + OUT_SIZE - 8,
					  AT_RO,  AT_HOLE,    AT_OUT + OUT_SIZE - 4,
					  KERNEL, AT_OUT + 1, UINT64_C(0x7ffffffff000) };

static void table_dirty(struct space *s)
{
	for (uint32_t flags = 0; flags < 16; flags++) {
		dirty(s, 8, flags);
		dirty_get(s, 48, flags, 0x100000, PAGE, PAGE, 8, AT_OUT);
	}
	dirty(s, 7, 1);
	dirty(s, UINT32_MAX, 1);
	for (unsigned int on = 0; on < 2; on++) {
		dirty(s, 8, on ? UAPI_DIRTY_START : UAPI_DIRTY_STOP);
		map(s, 32, 3, AT_RAM, 0x100000, 80 * PAGE);
		map(s, 32, 3, AT_RAM, 0x180000, 3 * PAGE);
		for (uint32_t argsz = 44; argsz < 52; argsz++)
			dirty_get(s, argsz, 4, 0x100000, 64 * PAGE, PAGE, 16, AT_OUT);
		for (unsigned int i = 0; i < sizeof(bitmap_sizes) / sizeof(bitmap_sizes[0]); i++) {
			for (unsigned int k = 0; k < sizeof(bitmap_pages) / sizeof(bitmap_pages[0]);
			     k++) {
				dirty_get(s, 48, 4, 0x100000, 80 * PAGE, bitmap_pages[k],
					  bitmap_sizes[i], AT_OUT);
				unmap_dirty(s, 48, 0x180000, PAGE, bitmap_pages[k], bitmap_sizes[i],
					    AT_OUT);
			}
		}
		for (unsigned int i = 0; i < sizeof(bitmap_places) / sizeof(bitmap_places[0]);
		     i++) {
			dirty_get(s, 48, 4, 0x100000, 80 * PAGE, PAGE, 16, bitmap_places[i]);
			map(s, 32, 3, AT_RAM, 0x180000, 3 * PAGE);
			unmap_dirty(s, 48, 0x180000, 3 * PAGE, PAGE, 8, bitmap_places[i]);
		}
		for (unsigned int i = 0; i < sizeof(iovas) / sizeof(iovas[0]); i++) {
			for (unsigned int k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
				dirty_get(s, 48, 4, iovas[i], sizes[k], PAGE, 4096, AT_OUT);
		}
		for (uint64_t from = 0; from < 8; from++) {
			for (uint64_t to = from + 1; to <= 8; to++) {
				map(s, 32, 3, AT_RAM, 0x200000 + PAGE, 2 * PAGE);
				map(s, 32, 1, AT_RAM, 0x200000 + 3 * PAGE, 2 * PAGE);
				map(s, 32, 3, AT_RAM, 0x200000 + 6 * PAGE, PAGE);
				dirty_get(s, 48, 4, 0x200000 + from * PAGE, (to - from) * PAGE,
					  PAGE, 16, AT_OUT);
				unmap_dirty(s, 48, 0x200000 + from * PAGE, (to - from) * PAGE, PAGE,
					    16, AT_OUT);
			}
		}
		unmap(s, 24, UAPI_DMA_UNMAP_ALL, 0, 0);
	}
	dirty(s, 8, UAPI_DIRTY_START);
	dirty(s, 8, UAPI_DIRTY_START);
	dirty(s, 8, UAPI_DIRTY_STOP);
	dirty(s, 8, UAPI_DIRTY_STOP);
}

static uint64_t some_iova(const struct space *s, uint64_t *size)
{
	uint64_t n = probe_below(100);

	*size = (1 + probe_below(12)) * PAGE;
	if (n < 45 && s->nr_tried) {
		uint64_t k = probe_below(s->nr_tried), iova = s->tried[k].iova;

		*size = s->tried[k].size;
		switch (probe_below(8)) {
		case 0:
			return iova + PAGE;
		case 1:
			*size += PAGE;
			return iova;
		case 2:
			*size = *size > PAGE ? *size - PAGE : PAGE;
			return iova;
		case 3:
			*size += 2 * PAGE;
			return iova - PAGE;
		default:
			return iova;
		}
	}
	if (n < 90)
		return 0x100000 + probe_below(96) * PAGE;
	*size = PICK(sizes);
	if (*size > 0x100000 && *size < UINT64_MAX / 2)
		*size = PAGE;
	return n < 95 ? PICK(iovas) : probe_random() & ~(PAGE - 1);
}

static uint64_t some_vaddr(uint64_t size)
{
	uint64_t n = probe_below(100);

	if (n < 70)
		return AT_RAM + probe_below(1024) * PAGE;
	if (n < 80 && size < SHM_SIZE)
		return AT_SHM + probe_below((SHM_SIZE - size) / PAGE) * PAGE;
	if (n < 90)
		return AT_MIX + probe_below(52) * PAGE;
	return PICK(vaddrs);
}

static void one(struct space *s)
{
	uint64_t n = probe_below(100), size, iova = some_iova(s, &size);

	if (n < 45) {
		map(s, probe_chance(97) ? 32 : (uint32_t)probe_below(40),
		    probe_chance(92) ? 1 + (uint32_t)probe_below(3) : PICK(map_flags),
		    some_vaddr(size), iova, size);
	} else if (n < 75) {
		unmap(s, probe_chance(97) ? 24 : (uint32_t)probe_below(32),
		      probe_chance(92) ? 0 : (uint32_t)probe_below(8), iova, size);
	} else if (n < 77) {
		unmap(s, 24, UAPI_DMA_UNMAP_ALL, 0, 0);
	} else if (n < 82) {
		info(s, probe_chance(60) ? 136 : (uint32_t)probe_below(160));
	} else if (n < 86) {
		dirty(s, 8,
		      probe_chance(80) ? 1 + (uint32_t)probe_below(2) : (uint32_t)probe_below(8));
	} else if (n < 92) {
		dirty_get(s, 48, 4, iova, size, probe_chance(90) ? PAGE : PICK(bitmap_pages),
			  probe_chance(80) ? 64 : PICK(bitmap_sizes),
			  probe_chance(90) ? AT_OUT : PICK(bitmap_places));
	} else if (n < 95) {
		unmap_dirty(s, probe_chance(95) ? 48 : 40, iova, size,
			    probe_chance(90) ? PAGE : PICK(bitmap_pages),
			    probe_chance(80) ? 64 : PICK(bitmap_sizes),
			    probe_chance(90) ? AT_OUT : PICK(bitmap_places));
	} else if (n < 97) {
		unmap(s, 24, UAPI_DMA_UNMAP_VADDR | (probe_chance(20) ? UAPI_DMA_UNMAP_ALL : 0),
		      probe_chance(20) ? 0 : iova, probe_chance(20) ? 0 : size);
	} else if (n < 98) {
		map(s, 32, UAPI_DMA_MAP_VADDR, some_vaddr(size), iova, size);
	} else {
		probe_value("EXTENSION", s->fd, UAPI_CHECK_EXTENSION, probe_below(12));
	}
}

void probe_type1(void)
{
	static const struct {
		const char *name;
		void (*run)(struct space *s);
	} tables[] = {
		{ "info", table_info },
		{ "map", table_map },
		{ "unmap", table_unmap },
		{ "dirty", table_dirty },
	};
	static const unsigned int types[] = { UAPI_TYPE1_IOMMU, UAPI_TYPE1v2_IOMMU };
	struct space s;

	for (unsigned int b = 0; b < NR_BACKENDS; b++) {
		for (unsigned int t = 0; t < 2; t++) {
			for (unsigned int i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
				probe_case("%s type %u: %s", backends[b], types[t], tables[i].name);
				if (!start(&s, b, types[t]))
					tables[i].run(&s);
			}
			for (uint64_t seed = 1; seed <= 40; seed++) {
				probe_case("%s type %u: seed %llu", backends[b], types[t],
					   (unsigned long long)seed);
				probe_seed(seed);
				if (start(&s, b, types[t]))
					continue;
				for (unsigned int i = 0; i < 100; i++)
					one(&s);
			}
		}
	}
}
