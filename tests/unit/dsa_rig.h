/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the dsa engine share: its registers as a driver sees them, descriptors, and a
 * device with two queues that are on.
 */
#ifndef CBIT_TEST_DSA_RIG_H
#define CBIT_TEST_DSA_RIG_H

#include "dev_rig.h"

#include <errno.h>

#define GENCAP   0x10
#define WQCAP    0x20
#define OFFSETS  0x60
#define GENCTRL  0x88
#define GENSTS   0x90
#define INTCAUSE 0x98
#define CMD      0xa0
#define CMDSTS   0xa8
#define SWERR    0xc0

enum { EN_DEV = 1, DIS_DEV, DRAIN_ALL, ABORT_ALL, RESET_DEV, EN_WQ, DIS_WQ, DRAIN_WQ, ABORT_WQ };

#define NOOP     0x00u
#define BATCH    0x01u
#define MEMMOVE  0x03u
#define FILL     0x04u
#define COMPARE  0x05u
#define COMPVAL  0x06u
#define DUALCAST 0x09u
#define CRC      0x10u
#define COPY_CRC 0x11u

#define FENCE 0x01u
#define CRAV  0x04u
#define RCR   0x08u
#define RCI   0x10u
#define CHECK 0x80u
#define DONE  (CRAV | RCR)

#define IOVA(x) (RAM_IOVA + (x))
#define COMP_AT 0x8000u
#define LIST_AT 0x10000u
#define SRC_AT  0x100000u
#define DST_AT  0x300000u
#define NOWHERE 0x7000000000u

struct desc {
	uint32_t pasid, op;
	uint64_t comp, src, dst;
	uint32_t size;
	uint16_t irq, reserved;
	uint64_t rest[3];
};
_Static_assert(sizeof(struct desc) == 64, "descriptor");

struct comp {
	uint8_t status, result, info, reserved;
	uint32_t done;
	uint64_t fault, value, value2;
};

static struct desc make(uint32_t opcode, uint32_t flags, uint32_t size)
{
	return (struct desc){ .op = opcode << 24 | flags,
			      .comp = IOVA(COMP_AT),
			      .src = IOVA(SRC_AT),
			      .dst = IOVA(DST_AT),
			      .size = size };
}

static unsigned int command(struct rig *rig, uint32_t code, uint32_t operand)
{
	const struct timespec nap = { .tv_nsec = 20000 };

	reg_write(rig->pci[0], CMD, code << 20 | operand, 4);
	for (int i = 0; i < 500000; i++) {
		uint32_t status = (uint32_t)reg_read(rig->pci[0], CMDSTS, 4);

		if (!(status >> 31))
			return status & 0xff;
		nanosleep(&nap, NULL);
	}
	fail_msg("command %u stays active", code);
	return 0;
}

static uint64_t wqcfg(struct rig *rig, unsigned int wq)
{
	return (reg_read(rig->pci[0], OFFSETS, 8) >> 16 & 0xffff) * 0x100 + wq * 32ull;
}

static uint64_t grpcfg(struct rig *rig, unsigned int group)
{
	return (reg_read(rig->pci[0], OFFSETS, 8) & 0xffff) * 0x100 + group * 64ull;
}

static void configure(struct rig *rig, unsigned int wq, unsigned int size)
{
	uint64_t at = wqcfg(rig, wq);

	reg_write(rig->pci[0], at, size, 4);
	reg_write(rig->pci[0], at + 8, 1 | 1 << 4, 4);
	reg_write(rig->pci[0], at + 12, 31 | 10 << 5, 4);
}

static void enable(struct rig *rig)
{
	assert_int_equal(command(rig, RESET_DEV, 0), 0);
	configure(rig, 0, 64);
	configure(rig, 1, 4);
	reg_write(rig->pci[0], grpcfg(rig, 0), 3, 8);
	reg_write(rig->pci[0], grpcfg(rig, 0) + 32, 1, 8);
	assert_int_equal(command(rig, EN_DEV, 0), 0);
	assert_int_equal(command(rig, EN_WQ, 0), 0);
	assert_int_equal(command(rig, EN_WQ, 1), 0);
}

static inline int setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	rig_up(rig, "bare", "dsa", "ioat");
	cbit_pci_set_irqs_enabled(rig->pci[0], 2, 9);
	enable(rig);
	for (uint64_t i = 0; i < 0x200000; i += 8) {
		uint64_t v = i * UINT64_C(0x9e3779b97f4a7c15) + 1;

		if (i < 0x20000)
			ram_write(rig, SRC_AT + i, &v, 8);
	}
	*state = rig;
	return 0;
}

static inline int teardown(void **state)
{
	rig_down(*state);
	free(*state);
	return 0;
}

static void submit(struct rig *rig, unsigned int wq, const struct desc *d)
{
	cbit_pci_bar_write(rig->pci[0], 2, wq * 0x4000ull, d, sizeof(*d));
}

static struct comp completion(struct rig *rig)
{
	struct comp c;

	ram_read(rig, COMP_AT, &c, sizeof(c));
	return c;
}

static struct comp run(struct rig *rig, const struct desc *d)
{
	const struct timespec nap = { .tv_nsec = 20000 };
	const struct comp none = { 0 };

	ram_write(rig, COMP_AT, &none, sizeof(none));
	submit(rig, 0, d);
	for (int i = 0; i < 500000; i++) {
		if (completion(rig).status)
			return completion(rig);
		nanosleep(&nap, NULL);
	}
	fail_msg("no completion of operation %u", d->op >> 24);
	return none;
}

static uint64_t swerr(struct rig *rig)
{
	return reg_read(rig->pci[0], SWERR, 8);
}

#endif
