// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: a VFIO program in a confidential guest. It copies both ways between memory of one
 * kind and memory that a device reaches.
 *
 * usage: client_guest KIND [SIZE [C-BIT]]
 * Without an IOMMU in the guest (/dev/vfio/noiommu-1) the device is given physical addresses, with
 * the C-bit in those of memory that is not shared if its position is given.
 *   ordinary  anonymous memory of the program, for descriptors as well
 *   private   the same, with descriptors and the other buffer from system_cc_shared
 *   shared    everything from system_cc_shared
 *   system    as private, but a buffer of the system heap
 *   bar       as private, but BAR2 of the second device
 *   file      as shared, mapped by descriptor into an iommufd (IOMMU_IOAS_MAP_FILE)
 *   calls     of VFIO without an IOMMU
 *   children  each looks a physical address up: the supervisor keeps nothing of them
 *   scan      64 MiB of /proc/self/pagemap, nearly all of it for addresses where nothing is
 *   sync      the calls of DMA heaps and their buffers
 * Exit status 0: all bytes arrived both ways; 1: they did not; 3: MAP_DMA refused the memory; 2:
 * the test could not be carried out.
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>

#define DESC  0x1000000ull
#define THEIR 0x10000000ull
#define OTHER 0x20000000ull

static void *shared(size_t size)
{
	void *p = vc_heap("system_cc_shared", size);

	VC_REQUIRE(p, "there is no /dev/dma_heap/system_cc_shared");
	return p;
}

/* What is there where @seed should be: the pattern, what was there before, or something else. */
static const char *look(const void *p, size_t size, unsigned int seed, unsigned int before)
{
	return vc_filled(p, size, seed)        ? "arrived"
	       : vc_filled(p, size, before)    ? "untouched"
	       : *(const uint64_t *)p + 1 == 0 ? "all ones"
					       : "noise";
}

static void want(bool ok, const char *what)
{
	printf("%s %s\n", ok ? "ok" : "not ok", what);
	if (!ok)
		exit(1);
}

static int heap_call(int heap, unsigned long cmd, uint64_t len, uint32_t fd, uint32_t fd_flags,
		     uint64_t heap_flags, int *out)
{
	struct dma_heap_allocation_data a = {
		.len = len, .fd = fd, .fd_flags = fd_flags, .heap_flags = heap_flags
	};
	int ret = ioctl(heap, cmd, &a) ? -errno : 0;

	*out = (int)a.fd;
	return ret;
}

/* Answers as drivers/dma-buf/dma-heap.c and dma-buf.c give them. */
static int heaps(const char *name)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	char path[64];
	int heap, fd, none;
	void *p;

	snprintf(path, sizeof(path), "/dev/dma_heap/%s", name);
	heap = open(path, O_RDONLY | O_CLOEXEC);
	VC_REQUIRE(heap >= 0, "%s", path);
	want(heap_call(heap, DMA_HEAP_IOCTL_ALLOC, 0, 0, 0, 0, &none) == -EINVAL, "length 0");
	want(heap_call(heap, DMA_HEAP_IOCTL_ALLOC, UINT64_MAX, 0, 0, 0, &none) == -EINVAL,
	     "a length that wraps");
	want(heap_call(heap, DMA_HEAP_IOCTL_ALLOC, 1ull << 60, 0, 0, 0, &none) == -ENOMEM,
	     "more than there is");
	want(heap_call(heap, DMA_HEAP_IOCTL_ALLOC, 4096, 1, 0, 0, &none) == -EINVAL, "fd given");
	want(heap_call(heap, DMA_HEAP_IOCTL_ALLOC, 4096, 0, O_NONBLOCK, 0, &none) == -EINVAL,
	     "a flag that is none");
	want(heap_call(heap, DMA_HEAP_IOCTL_ALLOC, 4096, 0, 0, 1, &none) == -EINVAL, "heap flags");
	want(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, NULL) && errno == EFAULT, "no structure");
	/* A shorter structure is filled up with zeros, and its answer cut. */
	want(!heap_call(heap, _IOC(_IOC_READ | _IOC_WRITE, 'H', 0, 16), 100, 0, O_RDWR, 1, &fd),
	     "a short structure, whose flags are not read");
	want(lseek(fd, 0, SEEK_END) == 4096, "the size is rounded up to pages");
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	want(p == MAP_FAILED && errno == EINVAL, "no mapping beyond the end");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	want(p != MAP_FAILED && !*(volatile uint64_t *)p, "mapped, and zero");
	want(ftruncate(fd, 8192) != 0, "the size stays");
	want(!ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), "sync");
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE;
	want(!ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), "sync end");
	sync.flags = DMA_BUF_SYNC_END;
	want(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) && errno == EINVAL, "sync of nothing");
	sync.flags = 8 | DMA_BUF_SYNC_READ;
	want(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) && errno == EINVAL, "sync, an unknown flag");
	want(ioctl(fd, DMA_BUF_IOCTL_SYNC, NULL) && errno == EFAULT, "sync, no structure");
	want(ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &sync) && errno == ENOTTY, "a buffer is no heap");
	want(!heap_call(heap, DMA_HEAP_IOCTL_ALLOC, 4096, 0, O_RDONLY | O_CLOEXEC, 0, &none),
	     "a buffer to read");
	want(fcntl(none, F_GETFD) == FD_CLOEXEC && (fcntl(none, F_GETFL) & O_ACCMODE) == O_RDONLY,
	     "which has those flags");
	want(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, none, 0) == MAP_FAILED && errno == EACCES,
	     "and cannot be mapped for writing");
	return 0;
}

/* drivers/vfio/container.c: what a container without an IOMMU answers; and pagemap. */
static int calls(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	int container = open("/dev/vfio/vfio", O_RDWR), group = open("/dev/vfio/noiommu-1", O_RDWR);
	uint64_t entries[2] = { 0 }, here = (uintptr_t)entries / VC_PAGE * 8;
	int iommufd, pagemap;
	void *p;

	VC_REQUIRE(container >= 0 && group >= 0, "the files of VFIO");
	want(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1,
	     "type1 without group");
	want(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU) == 1, "noiommu without");
	want(ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU) && errno == EINVAL, "no group");
	want(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	want(!ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), "no type1 with group");
	want(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU) == 1, "noiommu with group");
	want(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) && errno == ENODEV, "SET type1");
	want(ioctl(container, VFIO_IOMMU_GET_INFO, &info) && errno == EINVAL, "GET_INFO before");
	want(!ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "SET noiommu");
	want(ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU) && errno == EINVAL, "twice");
	want(ioctl(container, VFIO_IOMMU_GET_INFO, &info) && errno == ENOTTY, "GET_INFO");
	want(!ioctl(group, VFIO_GROUP_GET_STATUS, &status) && status.flags == 3, "GET_STATUS");
	want(!ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	want(ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU) && errno == EINVAL, "none again");
	iommufd = open("/dev/iommu", O_RDWR);
	want(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommufd), "an iommufd instead");
	want(!ioctl(iommufd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), "which has no type1");
	want(ioctl(iommufd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) && errno == EINVAL, "really");
	want(!ioctl(iommufd, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "but noiommu");
	want(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, getenv("CBIT_DEVICES")) >= 0, "and a device");

	pagemap = open("/proc/self/pagemap", O_RDONLY);
	want(pread(pagemap, entries, 8, (off_t)here) == 8 && entries[0] >> 63,
	     "a page of the stack");
	want((entries[0] & ((1ull << 55) - 1)) == vc_phys(entries) / VC_PAGE, "as seen by read()");
	want(pread(pagemap, entries, 7, (off_t)here) < 0 && errno == EINVAL, "entries are whole");
	want(pread(pagemap, entries, 8, (off_t)here + 4) < 0 && errno == EINVAL, "and aligned");
	p = vc_memory(2 * VC_PAGE, VC_PAGE, 0);
	*(volatile char *)p = 1;
	here = (uintptr_t)p / VC_PAGE * 8;
	want(pread(pagemap, entries, 16, (off_t)here) == 16 && entries[0] >> 63 && !entries[1],
	     "a page that was touched, and one that was not");
	munmap(p, 2 * VC_PAGE);
	want(pread(pagemap, entries, 8, (off_t)here) == 8 && !entries[0], "which then are gone");
	want(!pread(pagemap, entries, 8, 1ll << 45), "nothing beyond all addresses");
	return 0;
}

/* include/uapi/linux/iommufd.h, newer than some systems' headers. */
struct ioas_map_file {
	uint32_t size, flags, ioas_id;
	int32_t fd;
	uint64_t start, length, iova;
};
#define IOAS_MAP_FILE_CALL _IO(';', 0x8f)
struct vfio_ioas {
	uint32_t size, ioas_id;
	uint16_t op, reserved;
};
#define VFIO_IOAS_CALL _IO(';', 0x88)

/* A buffer of system_cc_shared, mapped for DMA by its descriptor. Nothing can be changed about it.
 */
static void *by_file(const struct vc *c, uint32_t ioas, uint64_t iova, size_t size)
{
	struct ioas_map_file map = {
		.size = sizeof(map), .flags = 7, .ioas_id = ioas, .length = size, .iova = iova
	};
	void *p = vc_heap_fd("system_cc_shared", size, &map.fd);

	VC_REQUIRE(p, "there is no /dev/dma_heap/system_cc_shared");
	if (ioctl(c->container, IOAS_MAP_FILE_CALL, &map)) {
		printf("IOAS_MAP_FILE of system_cc_shared: %s\n", strerror(errno));
		exit(3);
	}
	close(map.fd);
	return p;
}

/* What the program has, and how a device is to address it. */
struct buffer {
	uint8_t *at;
	uint64_t iova; /* 0: by physical address */
	uint64_t c;    /* added to that */
};

static uint64_t address(const struct buffer *b, size_t offset)
{
	return b->iova ? b->iova + offset : vc_phys(b->at + offset) | b->c;
}

/* At once where addresses are ours to choose, otherwise page by page. */
static enum ioat_state copy(struct vc_device *d, const struct buffer *from, const struct buffer *to,
			    size_t size)
{
	size_t step = from->iova ? size : VC_PAGE;
	enum ioat_state state = IOAT_DONE;

	for (size_t at = 0; at < size && state == IOAT_DONE; at += step)
		state = vc_copy(d, address(from, at), address(to, at), step);
	return state;
}

static int copies(struct vc *c, const struct buffer *theirs, const struct buffer *other,
		  size_t size)
{
	struct vc_device *d = &c->dev[0];
	enum ioat_state state;
	const char *there, *back;

	vc_fill(theirs->at, size, 1);
	vc_fill(other->at, size, 2);
	state = copy(d, theirs, other, size);
	there = look(other->at, size, 1, 2);
	printf("from it: engine %s, %s\n", state == IOAT_DONE ? "done" : "halted", there);
	if (state != IOAT_DONE)
		vc_engine_reset(d);
	vc_fill(theirs->at, size, 3);
	vc_fill(other->at, size, 4);
	state = copy(d, other, theirs, size);
	back = look(theirs->at, size, 4, 3);
	printf("to it: engine %s, %s\n", state == IOAT_DONE ? "done" : "halted", back);
	return strcmp(there, "arrived") != 0 || strcmp(back, "arrived") != 0;
}

/* Into the IOVA space of the container, or nothing where there is none. */
static int map(struct vc *c, bool noiommu, struct buffer *b, uint64_t iova, size_t size)
{
	if (noiommu)
		return 0;
	b->iova = iova;
	return vc_map_flags(c, b->at, iova, size, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
}

static int files(size_t size)
{
	struct vfio_ioas compat = { .size = sizeof(compat) }; /* op 0: IOMMU_VFIO_IOAS_GET */
	struct buffer theirs = { .iova = THEIR }, other = { .iova = OTHER };
	struct vc c;
	int ret;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU | VC_IOMMUFD);
	VC_REQUIRE(!ioctl(c.container, VFIO_IOAS_CALL, &compat), "IOMMU_VFIO_IOAS");
	theirs.at = by_file(&c, compat.ioas_id, THEIR, size);
	other.at = by_file(&c, compat.ioas_id, OTHER, size);
	vc_engine_at(&c.dev[0], by_file(&c, compat.ioas_id, DESC, VC_PAGE), DESC);
	ret = copies(&c, &theirs, &other, size);
	vc_engine_reset(&c.dev[0]);
	vc_unmap_exact(&c, THEIR, size);
	vc_unmap_exact(&c, OTHER, size);
	vc_unmap_exact(&c, DESC, VC_PAGE);
	vc_close(&c);
	return ret;
}

static int children(void)
{
	const struct rlimit few = { 64, 64 };
	int status;

	VC_REQUIRE(!prlimit(getppid(), RLIMIT_NOFILE, &few, NULL), "a limit for the supervisor");
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(!vc_phys(vc_memory(VC_PAGE, VC_PAGE, 0)));
		VC_REQUIRE(waitpid(pid, &status, 0) == pid && !status, "child %d", i);
	}
	return 0;
}

static int scan(void)
{
	const size_t size = 1 << 20;
	uint64_t *entries = vc_memory(size, VC_PAGE, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t first = (uintptr_t)entries / VC_PAGE * 8 & ~(uint64_t)(size - 1), any = 0;
	struct stat st;

	VC_REQUIRE(fd >= 0, "/proc/self/pagemap");
	/* Where this memory is, and below, where nothing is as yet. */
	VC_REQUIRE(pread(fd, entries, size, (off_t)first) == (ssize_t)size, "pagemap");
	for (size_t i = 0; i < size / 8; i++)
		any |= entries[i];
	VC_REQUIRE(any, "no page is there");
	for (uint64_t at = size; at <= 64 * size; at += size) {
		VC_REQUIRE(pread(fd, entries, size, (off_t)(first - at)) == (ssize_t)size,
			   "pagemap");
	}
	VC_REQUIRE(!fstat(fd, &st) && st.st_blocks < 8192, "%ld blocks", (long)st.st_blocks);
	return 0;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 4 * VC_PAGE;
	uint64_t c_bit = argc > 3 ? 1ull << strtoul(argv[3], NULL, 0) : 0;
	bool bar = !strcmp(kind, "bar"), ordinary = !strcmp(kind, "ordinary");
	bool noiommu = !access("/dev/vfio/noiommu-1", F_OK);
	struct buffer desc = { 0 }, theirs = { .c = c_bit }, other = { 0 };
	struct vc c;
	int ret;

	if (!strcmp(kind, "sync"))
		return heaps(argc > 2 ? argv[2] : "system_cc_shared");
	if (!strcmp(kind, "calls"))
		return calls();
	if (!strcmp(kind, "scan"))
		return scan();
	if (!strcmp(kind, "children"))
		return children();
	if (!strcmp(kind, "file"))
		return files(size);
	vc_open(&c, 0, bar ? 2 : 1, noiommu ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU);
	if (ordinary || !strcmp(kind, "private"))
		theirs.at = vc_memory(size, VC_PAGE, 0);
	else if (!strcmp(kind, "shared"))
		theirs = (struct buffer){ .at = shared(size) };
	else if (!strcmp(kind, "system"))
		theirs.at = vc_heap("system", size);
	else if (bar)
		theirs.at = c.dev[1].bar2;
	else
		vc_die("unknown kind '%s'", kind);
	VC_REQUIRE(theirs.at, "no memory of kind '%s'", kind);
	desc.at = ordinary ? vc_memory(VC_PAGE, VC_PAGE, 0) : shared(VC_PAGE);
	other.at = ordinary ? vc_memory(size, VC_PAGE, 0) : shared(size);
	desc.c = other.c = ordinary ? c_bit : 0;
	ret = map(&c, noiommu, &other, OTHER, size);
	if (ret) {
		printf("MAP_DMA of system_cc_shared: %s\n", strerror(-ret));
		return 3;
	}
	VC_REQUIRE(!map(&c, noiommu, &desc, DESC, VC_PAGE), "MAP_DMA of descriptors");
	VC_REQUIRE(!map(&c, noiommu, &theirs, THEIR, size), "MAP_DMA of the memory");
	vc_engine_at(&c.dev[0], desc.at, address(&desc, 0));
	ret = copies(&c, &theirs, &other, size);
	vc_engine_reset(&c.dev[0]);
	if (!noiommu) {
		vc_unmap_exact(&c, THEIR, size);
		vc_unmap_exact(&c, DESC, VC_PAGE);
		vc_unmap_exact(&c, OTHER, size);
	}
	vc_close(&c);
	return ret;
}
