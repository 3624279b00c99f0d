// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: one DMA mapping of each kind and size that is asked for, and copies through it.
 *
 * usage: client_memory SPEC...
 *   SIZE[@OFFSET]    private memory at an address OFFSET bytes behind a multiple of SIZE
 *   shared:SIZE      shared anonymous memory
 *   file:SIZE        a file in memory, mapped shared, its descriptor closed
 *   private:SIZE     the same, mapped private
 *   bar              the last device's BAR2
 *   span             one mapping: two pages of memory directly followed by that BAR's first two
 * SIZE and OFFSET take K, M, G. The device copies a page to the mapping's first and last page; a
 * line for each says what lies there afterwards. Exit status 0: all arrived, 1: something did not.
 */
#include "vfio_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOURCE 0x10000000ull
#define BACK   0x11000000ull

static uint8_t *source, *back;
static unsigned int seed;

static uint64_t number(const char *text, char **end)
{
	static const char units[] = "KMG";
	uint64_t n = strtoull(text, end, 0);
	const char *unit = **end ? strchr(units, **end) : NULL;

	if (unit) {
		n <<= 10 * (unit - units + 1);
		++*end;
	}
	return n;
}

/* Copies a page to iova, looks at it through the CPU and reads it back through the device. */
static bool check_page(const struct vc_device *d, const char *spec, uint64_t iova, const uint8_t *p)
{
	bool there, read_back;

	vc_fill(source, VC_PAGE, ++seed);
	memset(back, 0, VC_PAGE);
	VC_REQUIRE(vc_copy(d, SOURCE, iova, VC_PAGE) == IOAT_DONE, "the copy to 0x%llx",
		   (unsigned long long)iova);
	there = vc_filled(p, VC_PAGE, seed);
	VC_REQUIRE(vc_copy(d, iova, BACK, VC_PAGE) == IOAT_DONE, "the copy from 0x%llx",
		   (unsigned long long)iova);
	read_back = vc_filled(back, VC_PAGE, seed);
	printf("%s iova 0x%llx: %s, read back %s\n", spec, (unsigned long long)iova,
	       there ? "arrived" : "lost", read_back ? "the same" : "other bytes");
	if (!there)
		vc_hex("  cpu sees", p, 16);
	if (!read_back)
		vc_hex("  device reads", back, 16);
	if (!there || !read_back)
		vc_hex("  expected", source, 16);
	return there && read_back;
}

static bool check(struct vc *c, const char *spec, uint8_t *p, uint64_t iova, uint64_t size)
{
	struct vc_device *d = &c->dev[0];
	bool ok;

	vc_map(c, p, iova, size);
	ok = check_page(d, spec, iova, p);
	if (size > VC_PAGE)
		ok = check_page(d, spec, iova + size - VC_PAGE, p + size - VC_PAGE) && ok;
	vc_unmap_exact(c, iova, size);
	return ok;
}

static uint8_t *map_file(uint64_t size, int flags)
{
	int fd = memfd_create("client", MFD_CLOEXEC);
	uint8_t *p;

	VC_REQUIRE(fd >= 0 && !ftruncate(fd, (off_t)(size + VC_PAGE)), "memfd_create");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)VC_PAGE);
	VC_REQUIRE(p != MAP_FAILED, "mmap of a file");
	close(fd);
	return p;
}

static bool check_memory(struct vc *c, const char *spec)
{
	const char *colon = strchr(spec, ':');
	uint64_t size, offset = 0, iova;
	uint8_t *p;
	char *end;
	bool ok;

	size = number(colon ? colon + 1 : spec, &end);
	if (*end == '@')
		offset = number(end + 1, &end);
	VC_REQUIRE(size >= VC_PAGE && !*end, "what is %s?", spec);
	if (!colon) {
		p = vc_memory(size, size, offset);
	} else if (*spec == 'f') {
		p = map_file(size, MAP_SHARED);
	} else if (*spec == 'p') {
		p = map_file(size, MAP_PRIVATE);
	} else {
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		VC_REQUIRE(p != MAP_FAILED, "mmap of %s", spec);
	}
	/* An IOVA as far from a 1 GiB boundary as the address: large entries become possible. */
	iova = 0x4000000000ull + ((uintptr_t)p & ((1ull << 30) - 1));
	ok = check(c, spec, p, iova, size);
	munmap(p, size);
	return ok;
}

/* Memory and device memory in one mapping, and one copy across the border. */
static bool check_span(struct vc *c, struct vc_device *target)
{
	uint64_t iova = 0x5000000000ull, size = 4 * VC_PAGE;
	uint8_t *p = vc_memory(size, VC_PAGE, 0);
	bool ram, bar;

	VC_REQUIRE(mmap(p + 2 * VC_PAGE, 2 * VC_PAGE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED, target->fd,
			(off_t)target->bar2_offset) == p + 2 * VC_PAGE,
		   "mmap of the BAR behind the memory");
	vc_map(c, p, iova, size);
	vc_fill(source, 2 * VC_PAGE, ++seed);
	VC_REQUIRE(vc_copy(&c->dev[0], SOURCE, iova + VC_PAGE, 2 * VC_PAGE) == IOAT_DONE,
		   "the copy across the border");
	ram = !memcmp(p + VC_PAGE, source, VC_PAGE);
	bar = !memcmp(p + 2 * VC_PAGE, source + VC_PAGE, VC_PAGE);
	printf("span: the memory's half %s, the BAR's half %s\n", ram ? "arrived" : "lost",
	       bar ? "arrived" : "lost");
	vc_hex("  memory", p + VC_PAGE, 16);
	vc_hex("  expected", source, 16);
	vc_hex("  BAR", p + 2 * VC_PAGE, 16);
	vc_hex("  expected", source + VC_PAGE, 16);
	vc_unmap_exact(c, iova, size);
	munmap(p, size);
	return ram && bar;
}

int main(int argc, char **argv)
{
	struct vc_device *last;
	bool ok = true;
	struct vc c;

	vc_open(&c, 0, vc_list(&c), VFIO_TYPE1v2_IOMMU);
	last = &c.dev[c.count - 1];
	vc_bus_master(last, true);
	source = vc_memory(2 * VC_PAGE, VC_PAGE, 0);
	back = vc_memory(VC_PAGE, VC_PAGE, 0);
	vc_map(&c, source, SOURCE, 2 * VC_PAGE);
	vc_map(&c, back, BACK, VC_PAGE);
	vc_engine(&c, &c.dev[0], 0x1000000);
	for (int i = 1; i < argc; i++) {
		bool bar = !strcmp(argv[i], "bar"), span = !strcmp(argv[i], "span");

		VC_REQUIRE(!(bar || span) || last->bar2, "%s has no BAR2", last->bdf);
		if (bar)
			ok = check(&c, argv[i], last->bar2, 0x6000000000ull, last->bar2_size) && ok;
		else if (span)
			ok = check_span(&c, last) && ok;
		else
			ok = check_memory(&c, argv[i]) && ok;
	}
	vc_engine_end(&c, &c.dev[0]);
	vc_unmap_exact(&c, SOURCE, 2 * VC_PAGE);
	vc_unmap_exact(&c, BACK, VC_PAGE);
	vc_close(&c);
	return ok ? 0 : 1;
}
