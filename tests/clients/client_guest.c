// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: a VFIO program in a confidential guest. It copies both ways between memory of one
 * kind and memory that a device reaches.
 *
 * usage: client_guest KIND [SIZE]
 *   ordinary  anonymous memory of the program, for descriptors as well
 *   private   the same, with descriptors and the other buffer from system_cc_shared
 *   shared    everything from system_cc_shared
 *   system    as private, but a buffer of the system heap
 *   bar       as private, but BAR2 of the second device
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

static int copies(struct vc *c, uint8_t *theirs, uint64_t their_iova, uint8_t *other, size_t size)
{
	struct vc_device *d = &c->dev[0];
	enum ioat_state state;
	const char *there, *back;

	vc_fill(theirs, size, 1);
	vc_fill(other, size, 2);
	state = vc_copy(d, their_iova, OTHER, size);
	there = look(other, size, 1, 2);
	printf("from it: engine %s, %s\n", state == IOAT_DONE ? "done" : "halted", there);
	if (state != IOAT_DONE)
		vc_engine_reset(d);
	vc_fill(theirs, size, 3);
	vc_fill(other, size, 4);
	state = vc_copy(d, OTHER, their_iova, size);
	back = look(theirs, size, 4, 3);
	printf("to it: engine %s, %s\n", state == IOAT_DONE ? "done" : "halted", back);
	return strcmp(there, "arrived") != 0 || strcmp(back, "arrived") != 0;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 4 * VC_PAGE;
	bool bar = !strcmp(kind, "bar"), ordinary = !strcmp(kind, "ordinary");
	uint8_t *desc, *theirs, *other;
	struct vc c;
	int ret;

	if (!strcmp(kind, "sync"))
		return heaps(argc > 2 ? argv[2] : "system_cc_shared");
	vc_open(&c, 0, bar ? 2 : 1, VFIO_TYPE1v2_IOMMU);
	if (ordinary || !strcmp(kind, "private"))
		theirs = vc_memory(size, VC_PAGE, 0);
	else if (!strcmp(kind, "shared"))
		theirs = shared(size);
	else if (!strcmp(kind, "system"))
		theirs = vc_heap("system", size);
	else if (bar)
		theirs = c.dev[1].bar2;
	else
		vc_die("unknown kind '%s'", kind);
	VC_REQUIRE(theirs, "no memory of kind '%s'", kind);
	desc = ordinary ? vc_memory(VC_PAGE, VC_PAGE, 0) : shared(VC_PAGE);
	other = ordinary ? vc_memory(size, VC_PAGE, 0) : shared(size);
	ret = vc_map_flags(&c, other, OTHER, size,
			   VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
	if (ret) {
		printf("MAP_DMA of system_cc_shared: %s\n", strerror(-ret));
		return 3;
	}
	vc_map(&c, desc, DESC, VC_PAGE);
	vc_map(&c, theirs, THEIR, size);
	vc_engine_at(&c.dev[0], desc, DESC);
	ret = copies(&c, theirs, THEIR, other, size);
	vc_engine_reset(&c.dev[0]);
	vc_unmap_exact(&c, THEIR, size);
	vc_unmap_exact(&c, DESC, VC_PAGE);
	vc_unmap_exact(&c, OTHER, size);
	vc_close(&c);
	return ret;
}
