/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_p2p: data goes from one disk into the memory of another without passing through the
 * machine's: NVMe controller A reads its blocks straight into the controller memory buffer (CMB) of
 * controller B, which writes them to its own disk. An I/OAT engine, if there is one, copies into
 * the CMB, too. The CPU looks what has arrived. docs/tutorial-p2p.md tells the story.
 *
 * This is an ordinary VFIO program. It knows the kernel's interface and nothing else.
 *
 * usage: nvme_p2p type1|dmabuf [BDF_A BDF_B [BDF_C]]      (default: the words of $CBIT_DEVICES)
 * type1: the CMB is mapped for DMA as memory of this process; dmabuf: as a dma-buf, by iommufd.
 * The first 8 KiB of namespace 1 of A and of B are OVERWRITTEN.
 * Exit status: 0 all bytes arrived, 1 some were lost, 2 the devices cannot be used.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "nvme_small.h"
#include "vfio_space.h"

/* Where things are for the devices, and in this process's memory. */
#define MEMORY_IOVA 0x10000000ull
#define CMB_IOVA    0x20000000ull
#define DATA_SIZE   (2 * NVME_PAGE)
#define QUEUES_A    ((size_t)0)
#define QUEUES_B    NVME_MEMORY
#define SOURCE      (2 * NVME_MEMORY)
#define BACK        (SOURCE + DATA_SIZE)
#define DESCRIPTOR  (BACK + DATA_SIZE)
#define MEMORY_SIZE (DESCRIPTOR + NVME_PAGE)
/* In the CMB: what A brings, and what the engine brings. */
#define CMB_FROM_A      ((size_t)0)
#define CMB_FROM_ENGINE DATA_SIZE

/* I/OAT, as in p2p_copy.c. */
#define CHANCTRL  0x80 /* 16 bits */
#define CHANCMD   0x84 /* 8 bits */
#define DMACOUNT  0x86 /* 16 bits: writing it starts the engine */
#define CHANSTS   0x88 /* 64 bits, state in the low three */
#define CHAINADDR 0x90 /* 64 bits */
#define CHANERR   0xa8 /* 32 bits */

struct descriptor {
	uint32_t size, control;
	uint64_t source, target, next;
	uint64_t reserved[4];
};

/* How many bytes are as they should be; read as the device's memory that they are in. */
static size_t equal(const void *found, const uint8_t *expected)
{
	const volatile uint8_t *at = found;
	size_t n = 0;

	for (size_t i = 0; i < DATA_SIZE; i++)
		n += at[i] == expected[i];
	return n;
}

static bool report(const char *what, size_t right)
{
	printf("%s: %zu of %zu bytes %s\n", what, right, DATA_SIZE,
	       right == DATA_SIZE ? "arrived" : "arrived, the rest was lost");
	return right == DATA_SIZE;
}

/* Runs one copy; the engine's word is that it is done. */
static void engine_copy(volatile uint8_t *bar0, uint8_t *memory, uint64_t source, uint64_t target)
{
	struct descriptor *d = (struct descriptor *)(memory + DESCRIPTOR);
	time_t end = time(NULL) + 5;
	uint64_t state;

	*d = (struct descriptor){
		.size = DATA_SIZE,
		.source = source,
		.target = target,
		.next = MEMORY_IOVA + DESCRIPTOR,
	};
	errno = 0;
	*(bar0 + CHANCMD) = 0x20;
	while (*(bar0 + CHANCMD) & 0x20)
		if (time(NULL) > end)
			fail("the engine does not come out of reset");
	*(volatile uint64_t *)(bar0 + CHAINADDR) = d->next;
	*(volatile uint16_t *)(bar0 + CHANCTRL) = 0x0008;
	*(volatile uint16_t *)(bar0 + DMACOUNT) = 1;
	do {
		state = *(volatile uint64_t *)(bar0 + CHANSTS) & 7;
		if (time(NULL) > end)
			fail("the engine does not finish (state %u)", (unsigned int)state);
	} while (state != 1 && state != 3);
	if (state == 3)
		fail("the engine halted, CHANERR 0x%x", *(volatile uint32_t *)(bar0 + CHANERR));
}

static void io(struct nvme *n, const char *name, uint8_t opcode, uint64_t iova)
{
	unsigned int status = nvme_two_pages(n, opcode, iova);

	errno = 0;
	if (status)
		fail("%s: %s: status 0x%x", name, opcode == NVME_READ ? "read" : "write", status);
}

static unsigned int usage(void)
{
	fprintf(stderr, "usage: nvme_p2p type1|dmabuf [BDF_A BDF_B [BDF_C]]\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct device dev[3] = { 0 };
	unsigned int nr = 0;
	struct space space;
	struct nvme a, b;
	size_t size_a = 0, size_b = 0, size_c = 0, size_cmb = 0;
	void *bar_a, *bar_b, *bar_c = NULL;
	uint8_t *memory, *cmb;
	bool dmabuf = argc > 1 && !strcmp(argv[1], "dmabuf"), ok = true;
	char list[256], *save = NULL;

	if (argc < 2 || (!dmabuf && strcmp(argv[1], "type1") != 0))
		return (int)usage();
	snprintf(list, sizeof(list), "%s", getenv("CBIT_DEVICES") ? getenv("CBIT_DEVICES") : "");
	for (; nr < 3; nr++) {
		dev[nr].bdf = argc > 2 ? argc > 2 + (int)nr ? argv[2 + nr] : NULL
				       : strtok_r(nr ? NULL : list, " ", &save);
		if (!dev[nr].bdf)
			break;
	}
	if (nr < 2)
		return (int)usage();

	space_open(&space, dmabuf ? SPACE_DMABUF : SPACE_TYPE1, dev, nr);
	bar_a = device_bar(&dev[0], 0, &size_a);
	bar_b = device_bar(&dev[1], 0, &size_b);
	cmb = device_bar(&dev[1], 2, &size_cmb);
	if (nr == 3)
		bar_c = device_bar(&dev[2], 0, &size_c);
	errno = 0;
	if (!bar_a || !bar_b || !cmb || size_cmb < CMB_FROM_ENGINE + DATA_SIZE)
		fail("%s has no registers, or %s has no CMB", dev[0].bdf, dev[1].bdf);

	memory =
		mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	space_map(&space, memory, MEMORY_IOVA, MEMORY_SIZE);
	space_map_bar(&space, &dev[1], 2, cmb, CMB_IOVA, size_cmb);
	nvme_start(&a, bar_a, memory + QUEUES_A, MEMORY_IOVA + QUEUES_A);
	nvme_start(&b, bar_b, memory + QUEUES_B, MEMORY_IOVA + QUEUES_B);
	nvme_enable_cmb(&b, CMB_IOVA);
	printf("A %s: %llu blocks of %u bytes; B %s: %llu blocks of %u bytes, CMB of %zu KiB, "
	       "mapped for DMA %s\n",
	       dev[0].bdf, (unsigned long long)a.blocks, a.block, dev[1].bdf,
	       (unsigned long long)b.blocks, b.block, size_cmb / 1024,
	       dmabuf ? "as a dma-buf" : "by type1");

	for (size_t i = 0; i < DATA_SIZE; i++)
		memory[SOURCE + i] = (uint8_t)((size_t) "from disk to disk "[i % 18] ^ i >> 8);
	io(&a, "A", NVME_WRITE, MEMORY_IOVA + SOURCE);

	/* The peer-to-peer part: no byte of it goes through the machine's memory. */
	io(&a, "A", NVME_READ, CMB_IOVA + CMB_FROM_A);
	ok &= report("A read into B's CMB", equal(cmb + CMB_FROM_A, memory + SOURCE));
	io(&b, "B", NVME_WRITE, CMB_IOVA + CMB_FROM_A);
	io(&b, "B", NVME_READ, MEMORY_IOVA + BACK);
	ok &= report("B wrote them from its CMB to its disk",
		     equal(memory + BACK, memory + SOURCE));
	if (bar_c) {
		engine_copy(bar_c, memory, MEMORY_IOVA + SOURCE, CMB_IOVA + CMB_FROM_ENGINE);
		ok &= report("the I/OAT engine copied into the CMB",
			     equal(cmb + CMB_FROM_ENGINE, memory + SOURCE));
	}

	nvme_stop(&a);
	nvme_stop(&b);
	space_unmap(&space, CMB_IOVA, size_cmb);
	space_unmap(&space, MEMORY_IOVA, MEMORY_SIZE);
	munmap(cmb, size_cmb);
	munmap(bar_a, size_a);
	munmap(bar_b, size_b);
	if (bar_c)
		munmap(bar_c, size_c);
	munmap(memory, MEMORY_SIZE);
	space_close(&space, dev, nr);
	return ok ? 0 : 1;
}
