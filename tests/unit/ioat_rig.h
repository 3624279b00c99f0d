/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine with an ioat channel driven as its clients do: descriptors, registers, polling.
 */
#ifndef CBIT_TEST_IOAT_RIG_H
#define CBIT_TEST_IOAT_RIG_H

#include "dev_rig.h"

/* Channel registers as BAR0 offsets. */
#define CHANCTRL  0x80
#define CHANCMD   0x84
#define DMACOUNT  0x86
#define CHANSTS   0x88
#define CHAINADDR 0x90
#define CHANCMP   0x98
#define CDAR      0xa0
#define CHANERR   0xa8

#define RESET   0x20
#define SUSPEND 0x04

enum { ACTIVE, DONE, SUSPENDED, HALTED, ARMED };

#define INT        0x1u
#define COMPLETION 0x8u
#define NULL_DESC  0x20u
#define FILL       0x01000000u

#define ERR_SRC  0x001u
#define ERR_DST  0x002u
#define ERR_READ 0x100u

/* Layout of test memory. */
#define DESC_AT 0x10000u
#define COMP_AT 0x8000u
#define SRC_AT  0x100000u
#define DST_AT  0x300000u
#define IOVA(x) (RAM_IOVA + (x))
#define DESC(i) (DESC_AT + 64u * (unsigned int)(i))
#define NOWHERE 0x7000000000u

struct desc {
	uint32_t size, control;
	uint64_t src, dst, next, rest[4];
};

static inline void put(struct rig *rig, unsigned int i, struct desc d)
{
	if (!d.next)
		d.next = IOVA(DESC(i + 1));
	ram_write(rig, DESC(i), &d, sizeof(d));
}

static inline struct desc copy(uint32_t size)
{
	return (struct desc){ .size = size, .src = IOVA(SRC_AT), .dst = IOVA(DST_AT) };
}

static inline uint64_t sts(struct rig *rig)
{
	return reg_read(rig->pci[0], CHANSTS, 8);
}

static inline unsigned int state_now(struct rig *rig)
{
	return sts(rig) & 7;
}

/* Poll as a client does; work that fits no doorbell write is the worker's. */
static inline unsigned int settled(struct rig *rig)
{
	const struct timespec nap = { .tv_nsec = 20000 };

	for (int i = 0; i < 500000; i++) {
		if (state_now(rig) != ACTIVE)
			return state_now(rig);
		nanosleep(&nap, NULL);
	}
	fail_msg("the channel stays active");
	return ACTIVE;
}

static inline void reset_channel(struct rig *rig)
{
	struct cbit_pci *pci = rig->pci[0];

	reg_write(pci, CHANCMD, RESET, 1);
	while (reg_read(pci, CHANCMD, 1) & RESET)
		;
	assert_int_equal(sts(rig), HALTED);
}

static inline void chain(struct rig *rig, uint64_t iova)
{
	reg_write(rig->pci[0], CHAINADDR, iova, 8);
	assert_int_equal(sts(rig), ARMED);
}

static inline void doorbell(struct rig *rig, unsigned int count)
{
	reg_write(rig->pci[0], DMACOUNT, count, 2);
}

static inline void pattern(struct rig *rig, uint64_t at, size_t len, unsigned int seed)
{
	uint8_t *b = malloc(len);

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + seed);
	ram_write(rig, at, b, len);
	free(b);
}

static inline uint64_t ram_u64(struct rig *rig, uint64_t at)
{
	uint64_t v;

	ram_read(rig, at, &v, sizeof(v));
	return v;
}

static inline void put_u64(struct rig *rig, uint64_t at, uint64_t v)
{
	ram_write(rig, at, &v, sizeof(v));
}

static inline int ioat_setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	rig_up(rig, "bare", "ioat", NULL);
	reg_write(rig->pci[0], 0x03, 0x08, 1);
	cbit_pci_set_irqs_enabled(rig->pci[0], 2, 16);
	pattern(rig, SRC_AT, 0x200000, 1);
	*state = rig;
	return 0;
}

static inline int ioat_teardown(void **state)
{
	rig_down(*state);
	free(*state);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, ioat_setup, ioat_teardown)

#endif
