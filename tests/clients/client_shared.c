// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: DMA in shared memory.
 *
 * usage: client_shared CASE
 *   equal      copies of many lengths and alignments among private memory, a shared file in memory
 *              and a second view of that file: the same bytes everywhere
 *   truncate   the file is cut short while the device copies in it, and made longer again
 *   huge       a file of large pages, whose length must not change; exit status 77 without any
 *   files      many files are mapped and let go of: whoever watches keeps none of them
 * Exit status 0: all right; 2: something was not.
 */
#include "vfio_client.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK  ((size_t)1 << 20)
#define SIZE   (2 * BLOCK + 4 * VC_PAGE)
#define IOVA_A 0x10000000ull
#define IOVA_B 0x20000000ull
#define IOVA_C 0x30000000ull

static int file(void)
{
	int fd = memfd_create("client", MFD_CLOEXEC);

	VC_REQUIRE(fd >= 0 && !ftruncate(fd, (off_t)SIZE), "memfd_create");
	return fd;
}

static uint8_t *shared(int fd)
{
	uint8_t *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	VC_REQUIRE(p != MAP_FAILED, "mmap of a file");
	return p;
}

/* Among all three, each way: copies that begin and end anywhere, and touch no neighbour. */
static void equal(struct vc *c)
{
	static const struct {
		size_t from, gap, length;
	} copies[] = {
		{ 0, 1, 1 },       { 3, 5, 7 },       { 8, 16, 8 },      { 64, 64, 64 },
		{ 61, 3, 67 },     { 0, 0, 4096 },    { 4095, 1, 4098 }, { 8, 4088, 65536 },
		{ 1, 2, 1048575 }, { 0, 0, 1048576 },
	};
	int fd = file();
	uint8_t *at[3] = { vc_memory(SIZE, VC_PAGE, 0), shared(fd), shared(fd) };
	const uint64_t iova[3] = { IOVA_A, IOVA_B, IOVA_C };
	unsigned int seed = 0;

	close(fd);
	for (unsigned int i = 0; i < 3; i++)
		vc_map(c, at[i], iova[i], SIZE);
	for (unsigned int n = 0; n < 9 * sizeof(copies) / sizeof(copies[0]); n++) {
		size_t from = copies[n / 9].from, length = copies[n / 9].length;
		size_t to = from + length + copies[n / 9].gap;
		unsigned int s = n % 3, t = n / 3 % 3;

		memset(at[t], 0x11, SIZE);
		vc_fill(at[s] + from, length, ++seed);
		VC_REQUIRE(vc_copy(&c->dev[0], iova[s] + from, iova[t] + to, length) == IOAT_DONE,
			   "copy %u", n);
		VC_REQUIRE(vc_filled(at[t] + to, length, seed), "copy %u: other bytes", n);
		VC_REQUIRE(at[t][to + length] == 0x11 &&
				   (!copies[n / 9].gap || at[t][to - 1] == 0x11),
			   "copy %u: its neighbours were written", n);
		VC_REQUIRE(!memcmp(at[1], at[2], SIZE), "copy %u: two views differ", n);
	}
	for (unsigned int i = 0; i < 3; i++)
		vc_unmap_exact(c, iova[i], SIZE);
}

static void truncate_case(struct vc *c)
{
	struct vc_device *d = &c->dev[0];
	int fd = file();
	uint8_t *p = shared(fd);

	memset(p, 0x22, SIZE);
	vc_map(c, p, IOVA_A, SIZE);
	*d->desc = (struct ioat_desc){
		.size = BLOCK, .source = IOVA_A, .target = IOVA_A + BLOCK, .next = d->desc_iova
	};
	/* As good as endless: it is stopped below. */
	vc_engine_start(d, 65535);
	usleep(2000);
	VC_REQUIRE(vc_engine_state(d) == IOAT_ACTIVE, "the copies are over before the test begins");
	VC_REQUIRE(!ftruncate(fd, (off_t)VC_PAGE), "ftruncate");
	usleep(100000);
	VC_REQUIRE(vc_engine_state(d) == IOAT_ACTIVE, "the engine has stopped");
	vc_engine_reset(d);
	VC_REQUIRE(p[0] == 0x22, "the page that is left has changed");
	/* What has grown again is the file's, and the device's. */
	VC_REQUIRE(!ftruncate(fd, (off_t)SIZE), "ftruncate");
	vc_fill(p, VC_PAGE, 9);
	VC_REQUIRE(vc_copy(d, IOVA_A, IOVA_A + BLOCK, VC_PAGE) == IOAT_DONE, "the last copy");
	VC_REQUIRE(vc_filled(p + BLOCK, VC_PAGE, 9), "the last copy brought other bytes");
	vc_unmap_exact(c, IOVA_A, SIZE);
	munmap(p, SIZE);
	close(fd);
}

/* One large page mapped of two: a view of the whole would make the file longer. */
static bool huge(struct vc *c)
{
	const size_t page = (size_t)2 << 20;
	int fd = memfd_create("client", MFD_CLOEXEC | MFD_HUGETLB);
	struct stat st;
	uint8_t *p;

	if (fd < 0 || ftruncate(fd, (off_t)page))
		return false;
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return false;
	vc_map(c, p, IOVA_A, page);
	vc_fill(p, BLOCK, 3);
	VC_REQUIRE(vc_copy(&c->dev[0], IOVA_A, IOVA_A + BLOCK, BLOCK) == IOAT_DONE, "copy");
	VC_REQUIRE(vc_filled(p + BLOCK, BLOCK, 3), "other bytes");
	VC_REQUIRE(!fstat(fd, &st) && st.st_size == (off_t)page, "the file is %lld bytes long",
		   (long long)st.st_size);
	vc_unmap_exact(c, IOVA_A, page);
	munmap(p, page);
	close(fd);
	return true;
}

static unsigned int descriptors(void)
{
	unsigned int n = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", getppid());
	dir = opendir(path);
	VC_REQUIRE(dir, "%s", path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void files(struct vc *c)
{
	unsigned int before = descriptors(), most = 0, now = 0;

	for (int i = 0; i < 300; i++) {
		int fd = file();
		uint8_t *p = shared(fd);

		if (i % 10 == 0) {
			vc_map(c, p, IOVA_A, SIZE);
			VC_REQUIRE(vc_copy(&c->dev[0], IOVA_A, IOVA_A + VC_PAGE, VC_PAGE) ==
					   IOAT_DONE,
				   "copy %d", i);
			vc_unmap_exact(c, IOVA_A, SIZE);
		}
		munmap(p, SIZE);
		close(fd);
		now = descriptors();
		most = now > most ? now : most;
	}
	for (int i = 0; i < 100 && now > before; i++) {
		usleep(50000);
		now = descriptors();
	}
	VC_REQUIRE(most <= before + 70, "%u descriptors at most, %u before", most, before);
	VC_REQUIRE(now <= before, "%u descriptors are left, %u before", now, before);
}

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";
	bool skipped = false;
	struct vc c;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	vc_engine(&c, &c.dev[0], 0x1000000);
	if (!strcmp(name, "equal"))
		equal(&c);
	else if (!strcmp(name, "truncate"))
		truncate_case(&c);
	else if (!strcmp(name, "huge"))
		skipped = !huge(&c);
	else if (!strcmp(name, "files"))
		files(&c);
	else
		vc_die("unknown case '%s'", name);
	vc_engine_end(&c, &c.dev[0]);
	vc_close(&c);
	printf("%s: %s\n", name, skipped ? "no huge pages here" : "all right");
	return skipped ? 77 : 0;
}
