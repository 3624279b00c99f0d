// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: memory that is given up while it is mapped for DMA.
 *
 * usage: client_giveup CASE [right]
 *   munmap, fixed, dontneed, shrink, move, over, brk   how private memory is lost
 *   shared, hole                                       a shared file: unmapped; punched
 * The device has to go on using the old pages, and the program's new ones at that address have to
 * stay untouched and be pages of their own for a mapping made later. With "right" the program
 * unmaps for DMA first.
 * Exit status 0: so it was; 1: it was not; 2: the test could not be carried out.
 */
#include "vfio_client.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OLD    0x10000000ull
#define NEW    0x20000000ull
#define RESULT 0x30000000ull
#define PAGES  4u
#define SIZE   (PAGES * VC_PAGE)

static bool is(const char *name, const char *what)
{
	return !strcmp(name, what);
}

static uint8_t *memory(const char *name)
{
	uint8_t *p;
	int fd;

	if (is(name, "brk")) {
		/* The heap's end, not by sbrk(), which others use. */
		p = (uint8_t *)(((uintptr_t)syscall(SYS_brk, 0) + VC_PAGE - 1) & ~(VC_PAGE - 1));
		VC_REQUIRE((uint8_t *)syscall(SYS_brk, p + SIZE) == p + SIZE, "brk");
		return p;
	}
	if (!is(name, "shared") && !is(name, "hole"))
		return vc_memory(SIZE, VC_PAGE, 0);
	fd = memfd_create("giveup", 0);
	VC_REQUIRE(fd >= 0 && !ftruncate(fd, SIZE), "memfd");
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	VC_REQUIRE(p != MAP_FAILED, "mmap of the memfd");
	close(fd);
	return p;
}

/* Give the last three pages up; returns whether others are there by now. */
static bool give_up(const char *name, uint8_t *p)
{
	const size_t size = SIZE - VC_PAGE;
	void *q;

	p += VC_PAGE;
	if (is(name, "munmap") || is(name, "shared")) {
		VC_REQUIRE(!munmap(p, size), "munmap");
	} else if (is(name, "dontneed")) {
		VC_REQUIRE(!madvise(p, size, MADV_DONTNEED), "madvise");
		return true;
	} else if (is(name, "hole")) {
		VC_REQUIRE(!madvise(p, size, MADV_REMOVE), "madvise");
	} else if (is(name, "shrink")) {
		VC_REQUIRE(mremap(p - VC_PAGE, SIZE, VC_PAGE, 0) == p - VC_PAGE, "mremap");
	} else if (is(name, "move")) {
		q = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		VC_REQUIRE(mremap(p, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q, "mremap");
	} else if (is(name, "over")) {
		q = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		VC_REQUIRE(mremap(q, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p, "mremap");
		return true;
	} else if (is(name, "brk")) {
		VC_REQUIRE((uint8_t *)syscall(SYS_brk, p) == p, "brk");
	} else if (is(name, "fixed")) {
		q = mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0);
		VC_REQUIRE(q == p, "mmap");
		return true;
	} else {
		vc_die("unknown case '%s'", name);
	}
	return false;
}

static int check(struct vc *c, const char *name, uint8_t *p, uint8_t *result)
{
	struct vc_device *d = &c->dev[0];
	bool others = give_up(name, p), file = is(name, "shared") || is(name, "hole");

	if (!others && !file) {
		/* Other memory comes to lie there, as it may. */
		VC_REQUIRE(mmap(p + VC_PAGE, SIZE - VC_PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
				0) == p + VC_PAGE,
			   "mmap where it was");
		others = true;
	}
	if (others)
		vc_fill(p + VC_PAGE, SIZE - VC_PAGE, 2);
	if (is(name, "hole"))
		return 0; /* the old pages of a file are not kept, see docs/findings.md */
	VC_REQUIRE(vc_copy(d, OLD, RESULT, SIZE) == IOAT_DONE, "reading the old pages");
	if (!vc_filled(result, SIZE, 1))
		return printf("the device did not read the old pages\n"), 1;
	vc_fill(result, SIZE, 3);
	VC_REQUIRE(vc_copy(d, RESULT, OLD, SIZE) == IOAT_DONE, "writing the old pages");
	vc_fill(result, SIZE, 4);
	VC_REQUIRE(vc_copy(d, OLD, RESULT, SIZE) == IOAT_DONE, "reading them again");
	if (!vc_filled(result, SIZE, 3))
		return printf("what the device wrote did not stay\n"), 1;
	/* The first page is the program's still. */
	if (!vc_filled(p, VC_PAGE, 3))
		return printf("the page that was not given up lost its device\n"), 1;
	if (others && !vc_filled(p + VC_PAGE, SIZE - VC_PAGE, 2))
		return printf("the device wrote to the new pages\n"), 1;
	if (!others)
		return 0;
	vc_map(c, p, NEW, SIZE);
	VC_REQUIRE(vc_copy(d, NEW + VC_PAGE, RESULT, SIZE - VC_PAGE) == IOAT_DONE,
		   "reading the new pages");
	if (!vc_filled(result, SIZE - VC_PAGE, 2))
		return printf("a new mapping does not have the new pages\n"), 1;
	vc_unmap_exact(c, NEW, SIZE);
	VC_REQUIRE(vc_copy(d, OLD, RESULT, SIZE) == IOAT_DONE, "reading the old ones again");
	if (!vc_filled(result, SIZE, 3))
		return printf("the old pages went with the new mapping\n"), 1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	bool right = argc == 3 && is(argv[2], "right");
	uint8_t *p, *result;
	struct vc c;
	int ret = 0;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	result = vc_memory(SIZE, VC_PAGE, 0);
	p = memory(name);
	vc_fill(p, SIZE, 1);
	vc_map(&c, p, OLD, SIZE);
	vc_map(&c, result, RESULT, SIZE);
	vc_engine(&c, &c.dev[0], 0x1000000);
	VC_REQUIRE(vc_copy(&c.dev[0], OLD, RESULT, SIZE) == IOAT_DONE && vc_filled(result, SIZE, 1),
		   "the good copy");
	if (right) {
		vc_unmap_exact(&c, OLD, SIZE);
		give_up(name, p);
	} else {
		ret = check(&c, name, p, result);
		vc_unmap_exact(&c, OLD, SIZE);
	}
	vc_engine_end(&c, &c.dev[0]);
	vc_unmap_exact(&c, RESULT, SIZE);
	vc_close(&c);
	return ret;
}
