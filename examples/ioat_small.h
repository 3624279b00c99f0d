/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much of an I/OAT DMA engine as one copy needs. For examples that have more to tell than how
 * the engine is driven.
 */
#ifndef EXAMPLES_IOAT_SMALL_H
#define EXAMPLES_IOAT_SMALL_H

#include <stdint.h>

struct ioat_descriptor {
	uint32_t size;
	uint32_t control; /* 0: a copy, no interrupt, no completion record */
	uint64_t source;  /* IOVAs, all of them */
	uint64_t target;
	uint64_t next;
	uint64_t reserved[4];
};

/*
 * Resets the engine, lets it carry out the descriptor at @iova and waits for its end, at most 5 s a
 * step. Returns 0, -ETIMEDOUT, or -EIO when the engine has halted, with *@chanerr saying why.
 */
int ioat_run(volatile uint8_t *bar0, uint64_t iova, uint32_t *chanerr);

#endif
