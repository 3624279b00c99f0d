// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: the persistent memory region of an NVMe controller.
 *
 * usage: client_pmr data
 *            the handshake, accesses of all kinds, and data of commands
 *        client_pmr write SEED [wait]
 *            fills the region, and says so when a barrier has told that it is persistent; with
 *            "wait" it does not end by itself
 *        client_pmr check SEED
 *            is it filled so?
 *        client_pmr peer
 *            the I/OAT engine that is the second device copies into it, and out of it
 */
#include "nvme_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PMRCAP  (0xe00 / 4)
#define PMRCTL  (0xe04 / 4)
#define PMRSTS  (0xe08 / 4)
#define PMRMSCL (0xe14 / 4)
#define PMRMSCU (0xe18 / 4)
#define NRDY    0x100u
#define CC      (0x14 / 4)
#define CSTS    (0x1c / 4)

#define PMR_IOVA 0x5500000000ull

struct pmr {
	volatile uint32_t *reg;
	uint8_t *bytes;
	size_t size;
	int fd;
	uint64_t offset;
};

/* Finds it as a driver does: PMRCAP says which BAR it is. */
static void open_pmr(struct pmr *p, const struct vc_device *d)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };

	p->reg = (volatile uint32_t *)(volatile void *)d->bar0;
	VC_REQUIRE(p->reg && p->reg[1] >> 24 & 1, "CAP.PMRS is not set");
	VC_REQUIRE(p->reg[PMRCAP] >> 10 & 3, "PMRCAP 0x%x: no barrier", p->reg[PMRCAP]);
	info.index = p->reg[PMRCAP] >> 5 & 7;
	VC_REQUIRE(!ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info) && info.size, "region %u",
		   info.index);
	p->fd = d->fd;
	p->offset = info.offset;
	p->size = info.size;
	p->bytes =
		mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, (off_t)info.offset);
	VC_REQUIRE(p->bytes != MAP_FAILED, "mmap of region %u", info.index);
}

static void wait_status(const struct pmr *p, uint32_t want)
{
	for (unsigned int i = 0; p->reg[PMRSTS] != want; i++) {
		VC_REQUIRE(i < 30000, "PMRSTS 0x%x, expected 0x%x", p->reg[PMRSTS], want);
		usleep(1000);
	}
}

/* After a reset NRDY is 0 before EN is, so what tells is that a store stays. */
static void enable(const struct pmr *p)
{
	volatile uint32_t *last = (volatile uint32_t *)(void *)(p->bytes + p->size - 4);
	const uint32_t there = *last;

	p->reg[PMRCTL] = 1;
	for (unsigned int i = 0; *last == there && there == UINT32_MAX && i < 30000; i++)
		usleep(1000);
	wait_status(p, 0);
}

static uint64_t word(uint64_t seed, size_t i)
{
	uint64_t v = (seed << 32) + i + 1;

	v *= 6364136223846793005ull;
	return v ^ v >> 29;
}

static void bytes_differ(const struct pmr *p, size_t at, const void *want, size_t len,
			 const char *what)
{
	uint8_t *got = malloc(len);

	VC_REQUIRE(got, "memory");
	memcpy(got, p->bytes + at, len);
	VC_REQUIRE(!memcmp(got, want, len), "%s, %zu bytes at %zu", what, len, at);
	free(got);
}

/* Whatever the C library copies with, and calls. */
static void accesses(const struct pmr *p)
{
	static uint8_t buf[20000];

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + (i >> 8) * 3);
	for (size_t len = 1; len < sizeof(buf); len += len < 300 ? 1 : 977) {
		size_t at = len % 61;

		memcpy(p->bytes + at, buf + len % 13, len);
		bytes_differ(p, at, buf + len % 13, len, "memcpy");
	}
	memset(p->bytes + 5, 0xa5, 10000);
	memset(buf, 0xa5, 10000);
	bytes_differ(p, 5, buf, 10000, "memset");
	VC_REQUIRE(pwrite(p->fd, "persistent", 10, (off_t)(p->offset + 3)) == 10 &&
			   pread(p->fd, buf, 16, (off_t)p->offset) == 16 &&
			   !memcmp(buf + 3, "persistent", 10),
		   "pwrite and pread");
	bytes_differ(p, 0, buf, 16, "what was read");
}

static void fill(const struct pmr *p, uint64_t seed)
{
	for (size_t i = 0; i < p->size / 8; i++)
		((volatile uint64_t *)(void *)p->bytes)[i] = word(seed, i);
	VC_REQUIRE(!p->reg[PMRSTS], "the barrier says 0x%x", p->reg[PMRSTS]);
}

static void check(const struct pmr *p, uint64_t seed)
{
	for (size_t i = 0; i < p->size / 8; i++) {
		uint64_t v = ((volatile uint64_t *)(void *)p->bytes)[i];

		VC_REQUIRE(v == word(seed, i), "word %zu is 0x%llx", i, (unsigned long long)v);
	}
}

static void controller_reset(const struct pmr *p)
{
	p->reg[CC] = 0;
	for (unsigned int i = 0; p->reg[CSTS] & 1; i++) {
		VC_REQUIRE(i < 30000, "CSTS 0x%x", p->reg[CSTS]);
		usleep(1000);
	}
}

static void data(void)
{
	struct nc nc;
	struct pmr p;
	struct nc_sqe sqe;
	uint32_t blocks;

	nc_open(&nc, 0, 1, 2 * VC_PAGE, NC_PRIVATE, true);
	open_pmr(&p, nc.dev);
	*(volatile uint32_t *)(void *)p.bytes = 0x12345678;
	VC_REQUIRE(*(volatile uint32_t *)(void *)p.bytes != 0x12345678, "it is not enabled");
	enable(&p);
	VC_REQUIRE(*(volatile uint32_t *)(void *)p.bytes == 0, "it was not enabled");
	accesses(&p);
	p.reg[PMRMSCU] = (uint32_t)(PMR_IOVA >> 32);
	p.reg[PMRMSCL] = (uint32_t)PMR_IOVA | 2;
	fill(&p, 1);
	usleep(100000); /* until the registers are seen; a command says whether they were */
	blocks = (uint32_t)VC_PAGE / nc.block;
	sqe = nc_io(&nc, NC_WRITE, 0, blocks, 0);
	sqe.prp1 = PMR_IOVA + VC_PAGE;
	nc_do(&nc, 1, sqe);
	nc_do(&nc, 1, nc_io(&nc, NC_READ, 0, blocks, 0));
	bytes_differ(&p, VC_PAGE, nc.data, VC_PAGE, "a write from it");
	vc_fill(nc.data, VC_PAGE, 5);
	nc_do(&nc, 1, nc_io(&nc, NC_WRITE, 0, blocks, 0));
	sqe = nc_io(&nc, NC_READ, 0, blocks, 0);
	sqe.prp1 = PMR_IOVA + p.size - VC_PAGE;
	nc_do(&nc, 1, sqe);
	bytes_differ(&p, p.size - VC_PAGE, nc.data, VC_PAGE, "a read into it");
	sqe.opcode = NC_WRITE;
	nc_do(&nc, 1, sqe);
	fill(&p, 2);
	controller_reset(&p);
	VC_REQUIRE(p.reg[PMRCTL] == 1 && p.reg[PMRMSCL] == ((uint32_t)PMR_IOVA | 2),
		   "a controller reset took its registers");
	check(&p, 2);
	p.reg[PMRCTL] = 0;
	wait_status(&p, NRDY);
	*(volatile uint32_t *)(void *)p.bytes = 0x12345678;
	VC_REQUIRE(!ioctl(nc.dev->fd, VFIO_DEVICE_RESET), "VFIO_DEVICE_RESET");
	VC_REQUIRE(p.reg[PMRCTL] == 0 && p.reg[PMRMSCL] == 0, "a reset left its registers");
	enable(&p);
	check(&p, 2);
	munmap(p.bytes, p.size);
	nc_close(&nc);
	printf("a region of %zu bytes: all right\n", p.size);
}

static void peer(void)
{
	struct vc vc;
	struct pmr p;
	struct vc_device *engine = &vc.dev[1];
	uint8_t *memory = vc_memory(4 * VC_PAGE, VC_PAGE, 0);
	size_t arrived = 0;

	vc_open(&vc, 0, 2, VFIO_TYPE1v2_IOMMU);
	open_pmr(&p, &vc.dev[0]);
	enable(&p);
	vc_map(&vc, memory, NC_IOVA, 4 * VC_PAGE);
	vc_map(&vc, p.bytes, PMR_IOVA, p.size);
	vc_engine(&vc, engine, 0x200000000ull);
	vc_fill(memory, 2 * VC_PAGE, 9);
	vc_copy(engine, NC_IOVA, PMR_IOVA + 0x3000, 2 * VC_PAGE);
	for (size_t i = 0; i < 2 * VC_PAGE; i++)
		arrived += ((volatile uint8_t *)p.bytes)[0x3000 + i] == memory[i];
	if (arrived == 2 * VC_PAGE) {
		vc_copy(engine, PMR_IOVA + 0x3000, NC_IOVA + 2 * VC_PAGE, 2 * VC_PAGE);
		VC_REQUIRE(!memcmp(memory, memory + 2 * VC_PAGE, 2 * VC_PAGE), "copied out of it");
	}
	vc_engine_end(&vc, engine);
	vc_unmap_exact(&vc, PMR_IOVA, p.size);
	vc_unmap_exact(&vc, NC_IOVA, 4 * VC_PAGE);
	munmap(p.bytes, p.size);
	vc_close(&vc);
	printf("%s\n", arrived == 2 * VC_PAGE ? "arrived" : "lost");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct vc vc;
	struct pmr p;

	if (!strcmp(what, "data")) {
		data();
		return 0;
	}
	if (!strcmp(what, "peer")) {
		peer();
		return 0;
	}
	VC_REQUIRE(argc > 2 && (!strcmp(what, "write") || !strcmp(what, "check")), "usage");
	vc_open(&vc, 0, 1, VFIO_TYPE1v2_IOMMU);
	open_pmr(&p, &vc.dev[0]);
	enable(&p);
	if (!strcmp(what, "check")) {
		check(&p, strtoull(argv[2], NULL, 0));
		printf("there\n");
	} else {
		fill(&p, strtoull(argv[2], NULL, 0));
		printf("written\n");
		fflush(stdout);
	}
	if (argc > 3) {
		for (;;)
			pause();
	}
	munmap(p.bytes, p.size);
	vc_close(&vc);
	return 0;
}
