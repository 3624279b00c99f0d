// SPDX-License-Identifier: BSD-3-Clause
/*
 * The oracle's probe of tables, for Linux alone: maps memory whose physical addresses it looks up,
 * and writes down the device table entry and every page of the tables that Linux has built, as
 * they lie in memory. Needs root, and a kernel that shows all of /dev/mem.
 */
#include "probe.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct probe probe;

#define MMIO_BASE UINT64_C(0xfed80000) /* the AMD IOMMU of QEMU's q35 */
#define DEVICE_ID 0x100                /* 01:00.0 */
#define ADDRESS   UINT64_C(0x000ffffffffff000)

#define AT_THP     UINT64_C(0x180000000000) /* anonymous, of large pages where possible */
#define AT_HUGE    UINT64_C(0x190000000000) /* hugetlbfs, pages of 2 MiB */
#define THP_SIZE   UINT64_C(0x1000000)
#define SMALL_SIZE (1024 * PAGE)

static int devmem, pagemap;
static struct {
	int fd, device;
	uint32_t ioas;
	bool native;
} space;

static void die(const char *what)
{
	fprintf(stderr, "probe_tables: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t physical(uint64_t va)
{
	uint64_t entry;

	if (pread(pagemap, &entry, 8, (off_t)(va / PAGE * 8)) != 8 || !(entry >> 63))
		die("pagemap");
	return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

/* Touch, pin in place, and tell where it lies. */
static void memory(uint64_t at, uint64_t size, int flags, bool thp)
{
	void *p = mmap((void *)at, size, PROT_READ | PROT_WRITE,
		       flags | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	uint64_t start = at, from;

	if (p == MAP_FAILED) {
		fprintf(probe.log, "without %llx\n", (unsigned long long)at);
		return;
	}
	if (thp)
		madvise(p, size, MADV_HUGEPAGE);
	memset(p, 1, size);
	if (mlock(p, size))
		die("mlock");
	while (start < at + size) {
		uint64_t va = start + PAGE;

		from = physical(start);
		while (va < at + size && physical(va) == from + (va - start))
			va += PAGE;
		fprintf(probe.log, "mem %llx %llx %llx\n", (unsigned long long)start,
			(unsigned long long)(va - start), (unsigned long long)from);
		start = va;
	}
}

static void dump_page(uint64_t spa, unsigned int level)
{
	uint64_t entry[512];

	if (pread(devmem, entry, sizeof(entry), (off_t)spa) != sizeof(entry))
		die("/dev/mem");
	fprintf(probe.log, "page %llx", (unsigned long long)spa);
	for (unsigned int i = 0; i < 512; i++) {
		if (entry[i])
			fprintf(probe.log, " %x:%llx", i, (unsigned long long)entry[i]);
	}
	fputc('\n', probe.log);
	for (unsigned int i = 0; i < 512 && level > 1; i++) {
		unsigned int next = (unsigned int)(entry[i] >> 9) & 7;

		/* Whatever is present and no leaf leads to another page. */
		if (entry[i] & 1 && next && next != 7)
			dump_page(entry[i] & ADDRESS, next);
	}
}

static void dump(void)
{
	static volatile uint64_t *mmio;
	uint64_t dte[4];

	if (!mmio) {
		void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, devmem, (off_t)MMIO_BASE);

		if (p == MAP_FAILED)
			die("the IOMMU's registers");
		mmio = p;
	}
	if (pread(devmem, dte, sizeof(dte),
		  (off_t)((mmio[0] & ADDRESS) + DEVICE_ID * sizeof(dte))) != sizeof(dte))
		die("the device table");
	fprintf(probe.log, "dte %llx %llx %llx %llx\n", (unsigned long long)dte[0],
		(unsigned long long)dte[1], (unsigned long long)dte[2], (unsigned long long)dte[3]);
	dump_page(dte[0] & ADDRESS, (unsigned int)(dte[0] >> 9) & 7);
	fprintf(probe.log, "end\n");
}

static long call(int fd, uint32_t cmd, void *arg)
{
	long ret = syscall(SYS_ioctl, fd, (unsigned long)cmd, arg);

	return ret < 0 ? -errno : ret;
}

static void start(const char *how, const char *path, unsigned int type)
{
	char name[64];
	int group;

	for (int fd = 3; fd < 32; fd++)
		close(fd);
	snprintf(name, sizeof(name), "/dev/vfio/%d", probe.dev[0].group);
	space.fd = open(path, O_RDWR);
	space.native = !type;
	space.ioas = 0;
	if (space.native) {
		struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };
		struct uapi_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = space.fd };
		struct uapi_attach_pt attach = { .argsz = 12 };
		int fd = open("/dev/vfio/devices/vfio0", O_RDWR);

		if (call(space.fd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc) ||
		    call(fd, UAPI_DEVICE_BIND_IOMMUFD, &bind))
			die("iommufd");
		attach.pt_id = space.ioas = alloc.out_ioas_id;
		if (call(fd, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach))
			die("attach");
	} else {
		group = open(name, O_RDWR);
		if (call(group, UAPI_GROUP_SET_CONTAINER, &space.fd) ||
		    ioctl(space.fd, UAPI_SET_IOMMU, type))
			die(path);
		/* An iommufd attaches the group with its first device. */
		if (ioctl(group, UAPI_GROUP_GET_DEVICE_FD, "0000:01:00.0") < 0)
			die("the device");
	}
	fprintf(probe.log, "space %s\n", how);
}

static void map(uint64_t iova, uint64_t va, uint64_t size, uint32_t rights)
{
	struct uapi_dma_map m = { sizeof(m), rights, va, iova, size };
	struct uapi_ioas_map n = { .size = sizeof(n),
				   .flags = UAPI_IOAS_MAP_FIXED_IOVA |
					    (rights & 1 ? UAPI_IOAS_MAP_READABLE : 0) |
					    (rights & 2 ? UAPI_IOAS_MAP_WRITEABLE : 0),
				   .ioas_id = space.ioas,
				   .user_va = va,
				   .length = size,
				   .iova = iova };
	long ret = space.native ? call(space.fd, UAPI_IOMMUFD_IOAS_MAP, &n)
				: call(space.fd, UAPI_IOMMU_MAP_DMA, &m);

	fprintf(probe.log, "map %llx %llx %llx %u %ld\n", (unsigned long long)iova,
		(unsigned long long)va, (unsigned long long)size, rights, ret);
}

static void unmap(uint64_t iova, uint64_t size)
{
	struct uapi_dma_unmap m = { sizeof(m), 0, iova, size };
	struct uapi_ioas_unmap n = { sizeof(n), space.ioas, iova, size };
	long ret = space.native ? call(space.fd, UAPI_IOMMUFD_IOAS_UNMAP, &n)
				: call(space.fd, UAPI_IOMMU_UNMAP_DMA, &m);

	fprintf(probe.log, "unmap %llx %llx %ld\n", (unsigned long long)iova,
		(unsigned long long)size, ret);
}

/* Every size and alignment that matters, all rights, and both ends of the space. */
static void by_table(void)
{
	static const uint64_t sizes[] = { 1,  2,   3,   4,   7,   8,   16,  31,
					  64, 128, 256, 511, 512, 513, 1024 };
	uint64_t iova = 0x10000000;

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned int k = 0; k < 3; k++) {
			const uint64_t va[] = { AT_RAM, AT_THP, AT_HUGE };

			map(iova, va[k], sizes[i] * PAGE, 1 + (i + k) % 3);
			map(iova + 0x800000 + PAGE, va[k] + PAGE, sizes[i] / 2 * PAGE, 3);
			iova += 0x1000000;
		}
	}
	dump();
	map(0, AT_HUGE, 0x800000, 3);
	map(0x100000000, AT_HUGE, 0x400000, 1);
	map(UINT64_C(0x10000000000), AT_HUGE + 0x200000, 0x400000, 2);
	map(UINT64_C(0xfffffffff000), AT_RAM, PAGE, 3);
	dump();
	/* Beyond what the levels reach the table grows. */
	map(UINT64_C(0x1000000000000), AT_RAM + PAGE, 2 * PAGE, 3);
	dump();
	map(UINT64_C(0xfffffffffffff000), AT_RAM + 3 * PAGE, PAGE, 3);
	map(UINT64_C(0x8000000000000000), AT_HUGE, 0x800000, 3);
	dump();
	for (iova = 0x10000000; iova < 0x20000000; iova += 0x1000000)
		unmap(iova, 16 * PAGE);
	unmap(0, 0x800000);
	unmap(UINT64_C(0xfffffffffffff000), PAGE);
	dump();
}

static void by_chance(uint64_t seed)
{
	uint64_t iova[64], size[64];
	unsigned int n = 0;

	probe_seed(seed);
	for (unsigned int i = 0; i < 120; i++) {
		if (n == 64 || (n && probe_below(3) == 0)) {
			unsigned int k = (unsigned int)probe_below(n);

			unmap(iova[k], size[k]);
			iova[k] = iova[--n];
			size[k] = size[n];
		} else {
			uint64_t at = probe_below(3), pages = at ? 4096 : 1024;
			uint64_t page = probe_below(pages / 2);

			if (at && probe_below(2))
				page &= ~UINT64_C(511);
			iova[n] = (probe_below(4) ? page : probe_below(pages)) * PAGE +
				  (1 + probe_below(64)) * 0x1000000;
			size[n] = (1 + probe_below(probe_below(3) ? 40 : pages / 2)) * PAGE;
			map(iova[n],
			    (at == 2 ? AT_HUGE
			     : at    ? AT_THP
				     : AT_RAM) +
				    page * PAGE,
			    size[n], 1 + (uint32_t)probe_below(3));
			n++;
		}
		if (i % 30 == 29)
			dump();
	}
}

static int group_of(const char *bdf)
{
	char path[128], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.15s/iommu_group", bdf);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		die(path);
	target[n] = 0;
	return atoi(strrchr(target, '/') + 1);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *how, *path;
		unsigned int type;
	} spaces[] = {
		{ "type1", "/dev/vfio/vfio", UAPI_TYPE1_IOMMU },
		{ "type1v2", "/dev/vfio/vfio", UAPI_TYPE1v2_IOMMU },
		{ "compat", "/dev/iommu", UAPI_TYPE1v2_IOMMU },
		{ "iommufd", "/dev/iommu", 0 },
	};
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: probe_tables LOG\n");
		return 2;
	}
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0666);
	devmem = open("/dev/mem", O_RDONLY | O_SYNC);
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (fd < 0 || devmem < 0 || pagemap < 0)
		die("open");
	probe.log = fdopen(dup2(fd, 60), "w");
	devmem = dup2(devmem, 61);
	pagemap = dup2(pagemap, 62);
	probe.dev[0].group = group_of("0000:01:00.0");
	memory(AT_RAM, SMALL_SIZE, MAP_PRIVATE, false);
	memory(AT_THP, THP_SIZE, MAP_PRIVATE, true);
	memory(AT_HUGE, THP_SIZE, MAP_PRIVATE | MAP_HUGETLB, false);
	for (unsigned int i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		start(spaces[i].how, spaces[i].path, spaces[i].type);
		by_table();
		for (uint64_t seed = 1; seed <= 4; seed++) {
			start(spaces[i].how, spaces[i].path, spaces[i].type);
			by_chance(seed);
		}
	}
	if (fclose(probe.log))
		die(argv[1]);
	return 0;
}
