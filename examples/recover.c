/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recover: a DMA engine copies a buffer block by block, and something goes wrong on the way.
 *
 * Two drivers for the same engine. The careless one has the two mistakes that recovery paths are
 * full of: it waits for an interrupt without an end, and it takes the end of a command for its
 * success. Both work on a good day. The careful one waits so long and no longer, asks the device
 * what happened, tries again, and gives up cleanly when the device is gone.
 * docs/faults.md makes the day a bad one.
 *
 * usage: recover careless|careful [BDF]      (default: the first word of $CBIT_DEVICES)
 * The device is an I/OAT DMA engine.
 * Exit status: 0 all copied, 1 the copy is not what it should be, 2 the device cannot be used,
 * 3 the device failed for good and the program has cleared up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

/* I/OAT registers in BAR0. */
#define INTRCTRL     0x03 /* 8 bits */
#define MSIX_CONTROL 0x08
#define CHANCTRL     0x80 /* 16 bits */
#define CTRL_ERRORS  0x14 /* errors are written as completions and interrupt too */
#define CHANCMD      0x84 /* 8 bits */
#define DMACOUNT     0x86 /* 16 bits: writing it starts the engine */
#define CHANSTS      0x88 /* 64 bits, state in the low three */
#define CHAINADDR    0x90 /* 64 bits */
#define CHANCMP      0x98 /* 64 bits: where the engine writes how it ended */
#define CHANERR      0xa8 /* 32 bits, write 1 to clear */
#define CMD_RESET    0x20
#define STATE_MASK   7u
#define STATE_DONE   1u
#define STATE_HALTED 3u
#define CTL_INT      0x1u
#define CTL_DONE     0x8u /* write the completion */

struct ioat_descriptor {
	uint32_t size;
	uint32_t control;
	uint64_t source;
	uint64_t target;
	uint64_t next;
	uint64_t reserved[4];
};

#define BLOCK  4096u
#define BLOCKS 8u
#define IOVA   0x10000000ull
#define SIZE   ((size_t)BLOCK * (2 * BLOCKS + 1))
#define TRIES  3

/* How long a copy of a page may take, and then some. */
#define PATIENCE_MS 200

struct engine {
	int container, group, device;
	int interrupt;
	volatile uint8_t *bar0;
	size_t bar0_size;
	uint8_t *memory; /* BLOCKS of source, as many of target, descriptor and completion */
};

enum outcome { COPIED, FAILED, GONE };

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "recover: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(2);
}

/* --- setting up: as in p2p_copy.c --- */

static void open_device(struct engine *e, const char *bdf)
{
	char path[512], target[256], *number;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		fail("%s", path);
	target[n] = '\0';
	number = strrchr(target, '/');
	snprintf(path, sizeof(path), "/dev/vfio/%s", number ? number + 1 : target);
	e->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	e->group = open(path, O_RDWR | O_CLOEXEC);
	if (e->container < 0 || e->group < 0)
		fail("%s", path);
	if (ioctl(e->group, VFIO_GROUP_SET_CONTAINER, &e->container) < 0 ||
	    ioctl(e->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		fail("setting up the container");
	e->device = ioctl(e->group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (e->device < 0)
		fail("VFIO_GROUP_GET_DEVICE_FD %s", bdf);
}

static struct vfio_region_info region(const struct engine *e, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(e->device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		fail("VFIO_DEVICE_GET_REGION_INFO %u", index);
	return info;
}

static void enable(struct engine *e)
{
	struct vfio_region_info config = region(e, VFIO_PCI_CONFIG_REGION_INDEX);
	struct vfio_region_info bar = region(e, VFIO_PCI_BAR0_REGION_INDEX);
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	void *p;

	if (pwrite(e->device, &command, sizeof(command), (off_t)config.offset + PCI_COMMAND) !=
	    sizeof(command))
		fail("writing the command register");
	p = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, e->device, (off_t)bar.offset);
	if (p == MAP_FAILED)
		fail("mmap of BAR0");
	e->bar0 = p;
	e->bar0_size = bar.size;
}

static void arm(struct engine *e)
{
	/* The header, and behind it one descriptor. */
	_Alignas(struct vfio_irq_set) uint8_t arg[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	const struct vfio_irq_set set = {
		.argsz = sizeof(arg),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = 1,
	};

	e->interrupt = eventfd(0, EFD_CLOEXEC);
	if (e->interrupt < 0)
		fail("eventfd");
	memcpy(arg, &set, sizeof(set));
	memcpy(arg + sizeof(set), &e->interrupt, sizeof(int32_t));
	if (ioctl(e->device, VFIO_DEVICE_SET_IRQS, arg) < 0)
		fail("VFIO_DEVICE_SET_IRQS");
	*(e->bar0 + INTRCTRL) = MSIX_CONTROL;
}

static void map_memory(struct engine *e)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = IOVA,
		.size = SIZE,
	};
	void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	e->memory = p;
	map.vaddr = (uintptr_t)p;
	if (ioctl(e->container, VFIO_IOMMU_MAP_DMA, &map) < 0)
		fail("VFIO_IOMMU_MAP_DMA");
	for (size_t i = 0; i < (size_t)BLOCK * BLOCKS; i++)
		e->memory[i] = (uint8_t)(1 + i / BLOCK + i % 7);
}

static void clear_up(struct engine *e)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap),
						    .iova = IOVA,
						    .size = SIZE };

	if (ioctl(e->container, VFIO_IOMMU_UNMAP_DMA, &unmap) < 0)
		fail("VFIO_IOMMU_UNMAP_DMA");
	munmap(e->memory, SIZE);
	munmap((void *)(uintptr_t)e->bar0, e->bar0_size);
	close(e->interrupt);
	close(e->device);
	close(e->group);
	close(e->container);
}

/* --- the engine --- */

static volatile uint64_t *completion(const struct engine *e)
{
	return (volatile uint64_t *)(e->memory + SIZE - 64);
}

/* Out of reset, with the errors of before forgotten. False: the device does not answer. */
static bool reset(struct engine *e)
{
	*(e->bar0 + CHANCMD) = CMD_RESET;
	for (int i = 0; *(e->bar0 + CHANCMD) & CMD_RESET; i++) {
		if (i == 1000)
			return false;
	}
	*(volatile uint32_t *)(e->bar0 + CHANERR) = UINT32_MAX;
	*(volatile uint16_t *)(e->bar0 + CHANCTRL) = CTRL_ERRORS;
	*(volatile uint64_t *)(e->bar0 + CHANCMP) = IOVA + SIZE - 64;
	return true;
}

static void start(struct engine *e, unsigned int block)
{
	struct ioat_descriptor *d = (struct ioat_descriptor *)(e->memory + SIZE - BLOCK);

	*d = (struct ioat_descriptor){
		.size = BLOCK,
		.control = CTL_INT | CTL_DONE,
		.source = IOVA + (uint64_t)block * BLOCK,
		.target = IOVA + (uint64_t)(BLOCKS + block) * BLOCK,
		.next = IOVA + SIZE - BLOCK,
	};
	*completion(e) = 0;
	*(volatile uint64_t *)(e->bar0 + CHAINADDR) = IOVA + SIZE - BLOCK;
	*(volatile uint16_t *)(e->bar0 + DMACOUNT) = 1;
}

/* --- the two drivers --- */

static enum outcome copy_careless(struct engine *e, unsigned int block)
{
	uint64_t count;

	start(e, block);
	/* The interrupt will come ... */
	if (read(e->interrupt, &count, sizeof(count)) != sizeof(count))
		fail("waiting for the interrupt");
	/* ... and then the block has been copied. */
	return COPIED;
}

/* Interrupts may be lost: the device's word counts. The completion comes before the interrupt. */
static enum outcome copy_careful(struct engine *e, unsigned int block)
{
	struct pollfd p = { .fd = e->interrupt, .events = POLLIN };
	uint64_t count, word;

	start(e, block);
	if (poll(&p, 1, PATIENCE_MS) > 0 &&
	    read(e->interrupt, &count, sizeof(count)) != sizeof(count))
		fail("reading the interrupt");
	word = *completion(e);
	if ((word & STATE_MASK) == STATE_DONE)
		return COPIED;
	/* All ones are what nobody answers: the link is down, or the device has been pulled out. */
	return *(volatile uint64_t *)(e->bar0 + CHANSTS) == UINT64_MAX ? GONE : FAILED;
}

/* VFIO resets the bus and sets up configuration space and interrupts as they were. */
static bool revive(struct engine *e)
{
	if (ioctl(e->device, VFIO_DEVICE_RESET) < 0)
		return false;
	*(e->bar0 + INTRCTRL) = MSIX_CONTROL;
	return reset(e);
}

static enum outcome copy_with_retries(struct engine *e, unsigned int block)
{
	enum outcome outcome = FAILED;

	for (int try = 0; try < TRIES && outcome != COPIED; try++) {
		outcome = copy_careful(e, block);
		if (outcome == COPIED)
			break;
		printf("block %u: not copied (CHANERR 0x%x)\n", block,
		       *(volatile uint32_t *)(e->bar0 + CHANERR));
		if (!(outcome == GONE ? revive(e) : reset(e)))
			return GONE;
	}
	return outcome;
}

int main(int argc, char **argv)
{
	const char *bdf = argc > 2 ? argv[2] : getenv("CBIT_DEVICES");
	bool careful = argc > 1 && !strcmp(argv[1], "careful");
	enum outcome outcome = COPIED;
	struct engine e = { .device = -1 };
	unsigned int wrong = 0;
	char first[64];

	if (argc < 2 || argc > 3 || !bdf || (!careful && strcmp(argv[1], "careless") != 0)) {
		fprintf(stderr, "usage: recover careless|careful [BDF]\n");
		return 2;
	}
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(bdf, " "), bdf);
	open_device(&e, first);
	enable(&e);
	arm(&e);
	map_memory(&e);
	if (!reset(&e))
		outcome = GONE;
	for (unsigned int i = 0; i < BLOCKS && outcome == COPIED; i++)
		outcome = careful ? copy_with_retries(&e, i) : copy_careless(&e, i);
	if (outcome != COPIED) {
		printf(outcome == GONE ? "the device is gone\n" : "the device fails for good\n");
		clear_up(&e);
		return 3;
	}
	for (unsigned int i = 0; i < BLOCKS; i++)
		wrong += memcmp(e.memory + (size_t)i * BLOCK,
				e.memory + (size_t)(BLOCKS + i) * BLOCK, BLOCK) != 0;
	printf("%u of %u blocks are as they should be\n", BLOCKS - wrong, BLOCKS);
	clear_up(&e);
	return wrong ? 1 : 0;
}
