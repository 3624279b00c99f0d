/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One descriptor on an I/OAT DMA engine. See ioat_small.h.
 */
#include "ioat_small.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

/* The few registers that one copy needs, at their places in BAR0. */
#define IOAT_CHANNEL       0x80 /* where the channel's registers begin */
#define CHANCTRL           0x00 /* 16 bits */
#define CHANCMD            0x04 /* 8 bits */
#define DMACOUNT           0x06 /* 16 bits: writing it starts the engine */
#define CHANSTS            0x08 /* 64 bits, state in the low three */
#define CHAINADDR          0x10 /* 64 bits: IOVA of the first descriptor */
#define CHANERR            0x28 /* 32 bits */
#define CMD_RESET          0x20 /* clears itself */
#define CTRL_STOP_ON_ERROR 0x0008
#define STATE_MASK         7u
#define STATE_DONE         1u
#define STATE_HALTED       3u

#define PATIENCE 5 /* seconds */

static bool passed(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec > PATIENCE;
}

int ioat_run(volatile uint8_t *bar0, uint64_t iova, uint32_t *chanerr)
{
	volatile uint8_t *chan = bar0 + IOAT_CHANNEL;
	struct timespec start;
	uint64_t state;

	clock_gettime(CLOCK_MONOTONIC, &start);
	*(chan + CHANCMD) = CMD_RESET;
	while (*(chan + CHANCMD) & CMD_RESET)
		if (passed(&start))
			return -ETIMEDOUT;

	*(volatile uint64_t *)(chan + CHAINADDR) = iova;
	*(volatile uint16_t *)(chan + CHANCTRL) = CTRL_STOP_ON_ERROR;
	*(volatile uint16_t *)(chan + DMACOUNT) = 1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		state = *(volatile uint64_t *)(chan + CHANSTS) & STATE_MASK;
		if (passed(&start))
			return -ETIMEDOUT;
	} while (state != STATE_DONE && state != STATE_HALTED);
	if (state == STATE_DONE)
		return 0;
	*chanerr = *(volatile uint32_t *)(chan + CHANERR);
	return -EIO;
}
