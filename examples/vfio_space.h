/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An address space for DMA that several devices share, by either of the kernel's ways: a container
 * with type1, or iommufd. For examples that have more to tell than how VFIO is opened; p2p_copy.c
 * goes through each step itself. All functions say what went wrong and exit with status 2.
 */
#ifndef EXAMPLES_VFIO_SPACE_H
#define EXAMPLES_VFIO_SPACE_H

#include <stddef.h>
#include <stdint.h>

/* How a BAR is mapped for the DMA of others: as memory of this process, or as a dma-buf. */
enum space_kind { SPACE_TYPE1, SPACE_DMABUF };

struct space {
	enum space_kind kind;
	int fd;        /* the container, or the iommufd */
	uint32_t ioas; /* with an iommufd */
};

struct device {
	const char *bdf;
	int group; /* -1 with an iommufd */
	int fd;
};

void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...);

/* Opens @nr devices in one space, with memory decoding and bus mastering on. */
void space_open(struct space *space, enum space_kind kind, struct device *devices, unsigned int nr);
void space_close(struct space *space, struct device *devices, unsigned int nr);

/* Lets the devices reach memory of this process at @iova. */
void space_map(const struct space *space, void *address, uint64_t iova, size_t size);
/* Lets them reach a BAR, which is mapped into this process at @address. */
void space_map_bar(const struct space *space, const struct device *dev, uint32_t index,
		   void *address, uint64_t iova, size_t size);
void space_unmap(const struct space *space, uint64_t iova, size_t size);

/* Maps a whole BAR into this process; NULL where there is none that can be mapped. */
void *device_bar(const struct device *dev, uint32_t index, size_t *size);

#endif
