/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * p2p_dmabuf: what p2p_copy does, the way that Linux has had for it since 6.19: the other device's
 * BAR is exported as a dma-buf, and iommufd maps that. Neither a container nor a mapping of the BAR
 * is needed for the DMA, and the IOMMU's entries are those of device memory on any machine.
 * Each step of it is in vfio_space.c, where SPACE_DMABUF is.
 *
 * This is an ordinary VFIO program, as p2p_copy is.
 *
 * usage: p2p_dmabuf [BDF_A BDF_B]      (default: the first two words of $CBIT_DEVICES)
 * Device A is an I/OAT DMA engine, device B anything with a BAR2 that can be mapped.
 * Exit status: 0 the bytes arrived, 1 the copy was lost, 2 the devices cannot be used.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ioat_small.h"
#include "vfio_space.h"

#define BUFFER_IOVA 0x10000000ull
#define BAR_IOVA    0x20000000ull
#define BUFFER_SIZE ((size_t)4096) /* what is copied; the descriptor lies in the page behind it */

int main(int argc, char **argv)
{
	struct device dev[2] = { { .fd = -1 }, { .fd = -1 } };
	size_t bar0_size = 0, bar_size = 0, equal = 0;
	struct ioat_descriptor *descriptor;
	struct space space;
	uint32_t chanerr = 0;
	void *bar0, *bar;
	uint8_t *buffer;
	char list[256];
	int ret;

	if (argc == 3) {
		dev[0].bdf = argv[1];
		dev[1].bdf = argv[2];
	} else if (argc == 1 && getenv("CBIT_DEVICES")) {
		snprintf(list, sizeof(list), "%s", getenv("CBIT_DEVICES"));
		dev[0].bdf = strtok(list, " ");
		dev[1].bdf = strtok(NULL, " ");
	}
	if (!dev[0].bdf || !dev[1].bdf) {
		fprintf(stderr, "usage: p2p_dmabuf BDF_A BDF_B\n");
		return 2;
	}

	space_open(&space, SPACE_DMABUF, dev, 2);
	bar0 = device_bar(&dev[0], 0, &bar0_size);
	bar = device_bar(&dev[1], 2, &bar_size); /* only to look what has arrived */
	errno = 0;
	if (!bar0 || !bar || bar_size < BUFFER_SIZE)
		fail("%s has no BAR%d that can be mapped", dev[bar0 ? 1 : 0].bdf, bar0 ? 2 : 0);
	printf("device A %s copies into BAR2 of device B %s\n", dev[0].bdf, dev[1].bdf);

	buffer = mmap(NULL, BUFFER_SIZE + sizeof(*descriptor), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		fail("mmap of the buffer");
	for (size_t i = 0; i < BUFFER_SIZE; i++)
		buffer[i] = (uint8_t)("peer to peer"[i % 12]);
	space_map(&space, buffer, BUFFER_IOVA, 2 * BUFFER_SIZE);
	/* The whole BAR as a dma-buf. It is good until the device is reset, closed or switched off.
	 */
	space_map_bar(&space, &dev[1], 2, bar, BAR_IOVA, bar_size);

	descriptor = (struct ioat_descriptor *)(buffer + BUFFER_SIZE);
	*descriptor = (struct ioat_descriptor){
		.size = BUFFER_SIZE,
		.source = BUFFER_IOVA,
		.target = BAR_IOVA,
		.next = BUFFER_IOVA + BUFFER_SIZE,
	};
	ret = ioat_run(bar0, descriptor->next, &chanerr);
	errno = 0;
	if (ret == -EIO)
		fail("the engine halted, CHANERR 0x%x", chanerr);
	if (ret)
		fail("the engine does not finish");

	for (size_t i = 0; i < BUFFER_SIZE; i++)
		equal += ((volatile uint8_t *)bar)[i] == buffer[i];
	printf(equal == BUFFER_SIZE ? "the bytes arrived: %zu of %zu\n"
				    : "the copy was lost: %zu of %zu bytes arrived\n",
	       equal, BUFFER_SIZE);

	space_unmap(&space, BAR_IOVA, bar_size);
	space_unmap(&space, BUFFER_IOVA, 2 * BUFFER_SIZE);
	munmap(bar, bar_size);
	munmap(bar0, bar0_size);
	space_close(&space, dev, 2);
	return equal == BUFFER_SIZE ? 0 : 1;
}
