/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dsa engine: what its drivers lean on, every operation, errors in completion records and in
 * SWERR, commands, batches, reset with work under way.
 */
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

static int setup(void **state)
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

static int teardown(void **state)
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

static bool same(struct rig *rig, uint64_t a, uint64_t b, size_t len)
{
	uint8_t *x = malloc(2 * len);
	bool equal;

	ram_read(rig, a, x, len);
	ram_read(rig, b, x + len, len);
	equal = !memcmp(x, x + len, len);
	free(x);
	return equal;
}

static uint64_t swerr(struct rig *rig)
{
	return reg_read(rig->pci[0], SWERR, 8);
}

static void test_identity(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	assert_int_equal(cfg_read(pci, 0, 4), 0x0b258086);
	assert_int_equal(reg_read(pci, 0, 4), 0x100);
	assert_int_equal(reg_read(pci, GENCAP, 8) >> 16 & 0x1f, 31);
	assert_int_equal(reg_read(pci, GENCAP, 8) >> 21 & 0xf, 10);
	assert_int_equal(reg_read(pci, WQCAP, 8) & 0xffffff, 0x080080);
	assert_int_equal(reg_read(pci, 0x30, 1), 4);
	assert_int_equal(reg_read(pci, 0x38, 1), 4);
	assert_int_equal(reg_read(pci, 0x40, 8), 0x3027f);
	/* interrupt handles need not be asked for: the selftest's driver refuses a device where
	 * they must be
	 */
	assert_int_equal(reg_read(pci, 0xb0, 4) >> 13 & 1, 0);
	assert_int_equal(cbit_pci_irq_count(pci, 0), 0);
	assert_int_equal(cbit_pci_irq_count(pci, 1), 0);
	assert_int_equal(cbit_pci_irq_count(pci, 2), 9);
	/* read-only registers stay; portals read as ones and take no short writes */
	reg_write(pci, GENCAP, 0, 8);
	assert_int_equal(reg_read(pci, GENCAP, 8) >> 21 & 0xf, 10);
	cbit_pci_bar_write(pci, 2, 0, &(uint64_t){ 0 }, 8);
	assert_int_equal(swerr(rig), 0);
}

static void test_specs(void **state)
{
	static const struct {
		const char *spec;
		unsigned int shift;
	} good[] = { { "dsa,maxcopy=4K", 12 }, { "dsa,maxcopy=1M", 20 }, { "dsa,maxcopy=2G", 31 } };
	static const char *const bad[] = { "dsa,maxcopy=4G", "dsa,maxcopy=3000", "dsa,maxcopy=2K",
					   "dsa,maxcopy=", "dsa,membar=1M" };
	struct rig rig;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		rig_up(&rig, "bare", good[i].spec, NULL);
		assert_int_equal(reg_read(rig.pci[0], GENCAP, 8) >> 16 & 0x1f, good[i].shift);
		rig_down(&rig);
	}
	rig_up(&rig, "bare", NULL, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cbit_error err;

		assert_int_equal(rig_plug(&rig, 0, bad[i], &err), -EINVAL);
		assert_non_null(strstr(err.text, "dsa"));
	}
	rig_down(&rig);
}

static void test_operations(void **state)
{
	struct rig *rig = *state;
	struct desc d = make(MEMMOVE, DONE, 0x12345);
	uint64_t pattern = UINT64_C(0x1122334455667788), word;
	struct comp c;

	assert_int_equal(run(rig, &d).status, 1);
	assert_true(same(rig, SRC_AT, DST_AT, 0x12345));
	assert_false(same(rig, SRC_AT + 0x12345, DST_AT + 0x12345, 8));

	d = make(FILL, DONE, 20);
	d.src = pattern;
	d.dst = IOVA(DST_AT + 3);
	assert_int_equal(run(rig, &d).status, 1);
	ram_read(rig, DST_AT + 3 + 8, &word, 8);
	assert_int_equal(word, pattern);
	ram_read(rig, DST_AT + 3 + 16, &word, 8);
	assert_int_equal((uint32_t)word, (uint32_t)pattern);
	assert_true(same(rig, DST_AT + 23, SRC_AT + 23, 100));

	/* equal but for one byte */
	d = make(MEMMOVE, DONE, 0x1000);
	run(rig, &d);
	d = make(COMPARE, DONE, 0x1000);
	c = run(rig, &d);
	assert_int_equal(c.status, 1);
	assert_int_equal(c.result, 0);
	ram_read(rig, DST_AT + 0x777, &word, 1);
	word ^= 1;
	ram_write(rig, DST_AT + 0x777, &word, 1);
	c = run(rig, &d);
	assert_int_equal(c.status, 1);
	assert_int_equal(c.result, 1);
	assert_int_equal(c.done, 0x777);
	d.op |= CHECK; /* expected: equal */
	assert_int_equal(run(rig, &d).status, 2);
	d.rest[0] = 1;
	assert_int_equal(run(rig, &d).status, 1);

	d = make(FILL, DONE, 0x100);
	d.src = pattern;
	run(rig, &d);
	d = make(COMPVAL, DONE, 0x100);
	d.src = IOVA(DST_AT);
	d.dst = pattern;
	assert_int_equal(run(rig, &d).result, 0);
	d.dst = pattern + 1;
	assert_int_equal(run(rig, &d).result, 1);

	d = make(DUALCAST, DONE, 0x3000);
	d.rest[0] = IOVA(DST_AT + 0x10000);
	assert_int_equal(run(rig, &d).status, 1);
	assert_true(same(rig, SRC_AT, DST_AT, 0x3000));
	assert_true(same(rig, SRC_AT, DST_AT + 0x10000, 0x3000));

	/* the check value of CRC-32C (RFC 3720): "123456789" gives e3069283 */
	ram_write(rig, DST_AT, "123456789", 9);
	d = make(CRC, DONE, 9);
	d.src = IOVA(DST_AT);
	assert_int_equal(run(rig, &d).value, 0xe3069283);
	d = make(COPY_CRC, DONE, 9);
	d.src = IOVA(DST_AT);
	d.dst = IOVA(DST_AT + 0x100);
	assert_int_equal(run(rig, &d).value, 0xe3069283);
	assert_true(same(rig, DST_AT, DST_AT + 0x100, 9));
	/* in two halves, the first one's as the seed */
	d = make(CRC, DONE, 4);
	d.src = IOVA(DST_AT);
	word = run(rig, &d).value;
	d = make(CRC, DONE, 5);
	d.src = IOVA(DST_AT + 4);
	d.rest[0] = word;
	assert_int_equal(run(rig, &d).value, 0xe3069283);

	d = make(NOOP, DONE, 0);
	assert_int_equal(run(rig, &d).status, 1);
	assert_int_equal(swerr(rig), 0);
}

static void test_overlap(void **state)
{
	static const int shifts[] = { 1, -1, 64, -64, 0x50000, -0x50000 };
	const uint32_t len = 0x61003; /* more than a chunk */
	struct rig *rig = *state;
	uint8_t *want = malloc(len), *got = malloc(len);

	for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		struct desc d = make(MEMMOVE, DONE, len);
		struct comp c;

		for (uint32_t k = 0; k < len; k++)
			want[k] = (uint8_t)(k * 31 + (k >> 8) + i);
		ram_write(rig, SRC_AT + 0x80000, want, len);
		d.src = IOVA(SRC_AT + 0x80000);
		d.dst = d.src + (uint64_t)(int64_t)shifts[i];
		c = run(rig, &d);
		assert_int_equal(c.status, 1);
		assert_int_equal(c.result, shifts[i] > 0);
		ram_read(rig, SRC_AT + 0x80000 + (uint64_t)(int64_t)shifts[i], got, len);
		assert_memory_equal(got, want, len);
	}
	free(want);
	free(got);
}

/* What is refused before anything moves. */
static void test_bad_descriptors(void **state)
{
	static const struct {
		uint32_t opcode, flags, size;
		uint8_t status;
		uint32_t pasid;
		uint16_t irq, reserved;
		int64_t src;
		uint64_t rest;
		uint32_t bad;
	} cases[] = {
		{ .opcode = 0x07, .size = 64, .status = 0x10 },
		{ .opcode = 0x42, .size = 64, .status = 0x10 },
		{ .opcode = MEMMOVE, .flags = 2, .size = 64, .status = 0x11, .bad = 2 },
		{ .opcode = MEMMOVE, .flags = FENCE, .size = 64, .status = 0x11, .bad = FENCE },
		{ .opcode = MEMMOVE, .flags = CHECK, .size = 64, .status = 0x11, .bad = CHECK },
		{ .opcode = FILL, .flags = 0x10000, .size = 64, .status = 0x11, .bad = 0x10000 },
		{ .opcode = MEMMOVE, .size = 64, .status = 0x12, .pasid = 1 << 20 },
		{ .opcode = MEMMOVE, .size = 64, .status = 0x12, .reserved = 1 },
		{ .opcode = MEMMOVE, .size = 0, .status = 0x13 },
		{ .opcode = FILL, .size = 0x80000001, .status = 0x13 },
		{ .opcode = BATCH, .size = 1, .status = 0x14 },
		{ .opcode = BATCH, .size = 1025, .status = 0x14 },
		{ .opcode = BATCH, .size = 2, .status = 0x18, .src = 32 },
		{ .opcode = COPY_CRC, .size = 0x1000, .status = 0x16, .src = DST_AT - SRC_AT },
		{ .opcode = DUALCAST, .size = 64, .status = 0x17, .rest = IOVA(0x500001) },
		{ .opcode = DUALCAST, .size = 64, .status = 0x16, .rest = IOVA(DST_AT) },
		{ .opcode = NOOP, .flags = RCI, .irq = 9, .status = 0x19 },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct desc d = make(cases[i].opcode, DONE | cases[i].flags, cases[i].size);
		struct comp c;

		d.pasid = cases[i].pasid;
		d.irq = cases[i].irq;
		d.reserved = cases[i].reserved;
		d.src += (uint64_t)cases[i].src;
		d.rest[0] = cases[i].rest;
		c = run(rig, &d);
		if (c.status != cases[i].status)
			fail_msg("case %zu: status %x", i, c.status);
		assert_int_equal((uint32_t)c.value, cases[i].bad);
	}
	assert_int_equal(rig->irqs, 0);
	/* without a record the same goes to SWERR, which keeps the first and says there were more
	 */
	for (unsigned int i = 0; i < 2; i++) {
		struct desc d = make(MEMMOVE, i ? 0 : 2, 0);

		submit(rig, 0, &d);
	}
	assert_int_equal(swerr(rig) & 0xff, 0x0f); /* valid, overflow, descriptor, queue */
	assert_int_equal(swerr(rig) >> 8 & 0xff, 0x11);
	assert_int_equal(swerr(rig) >> 32 & 0xff, MEMMOVE);
	assert_int_equal(reg_read(rig->pci[0], SWERR + 8, 8) >> 32, 2);
	reg_write(rig->pci[0], SWERR, 3, 8);
	assert_int_equal(swerr(rig), 0);
	/* a request for a record without an address is a bad flag itself */
	submit(rig, 0, &(struct desc){ .op = NOOP << 24 | RCR });
	assert_int_equal(swerr(rig) >> 8 & 0xff, 0x11);
}

static void test_faults(void **state)
{
	struct rig *rig = *state;
	struct desc d = make(MEMMOVE, CRAV, 0x1000);
	struct comp c;

	d.src = NOWHERE + 0x123;
	c = run(rig, &d); /* a failure is recorded whether asked for or not */
	assert_int_equal(c.status, 0x03);
	assert_int_equal(c.done, 0);
	assert_int_equal(c.fault, NOWHERE + 0x123);
	d = make(MEMMOVE, DONE, 0x1000);
	d.dst = NOWHERE;
	c = run(rig, &d);
	assert_int_equal(c.status, 0x83);
	assert_int_equal(c.fault, NOWHERE);
	/* off the end of what is mapped, after some bytes */
	d = make(MEMMOVE, DONE, 0x3000);
	d.dst = RAM_IOVA + RAM_SIZE - 0x1800;
	c = run(rig, &d);
	assert_int_equal(c.status, 0x83);
	assert_int_equal(c.done, 0x1800);
	assert_int_equal(c.fault, RAM_IOVA + RAM_SIZE);
	assert_true(same(rig, SRC_AT, RAM_SIZE - 0x1800, 0x1800));
	d = make(MEMMOVE, DONE, 0x3000);
	d.src = RAM_IOVA + RAM_SIZE - 0x800;
	c = run(rig, &d);
	assert_int_equal(c.status, 0x03);
	assert_int_equal(c.done, 0x800);
	assert_true(rig->events[CBIT_EVENT_DMA_NOT_MAPPED] >= 4);
	assert_int_equal(swerr(rig), 0);
	/* the record itself */
	d = make(NOOP, DONE, 0);
	d.comp = NOWHERE;
	submit(rig, 0, &d);
	assert_int_equal(swerr(rig) >> 8 & 0xff, 0x1a);
	assert_int_equal(reg_read(rig->pci[0], SWERR + 16, 8), NOWHERE);
	reg_write(rig->pci[0], SWERR, 1, 4);
	d.comp = IOVA(COMP_AT + 8);
	submit(rig, 0, &d);
	assert_int_equal(swerr(rig) >> 8 & 0xff, 0x1b);
}

static void test_batch(void **state)
{
	struct rig *rig = *state;
	struct desc list[40], d = make(BATCH, DONE, 40);
	struct comp c;

	for (unsigned int i = 0; i < 40; i++) {
		list[i] = make(MEMMOVE, CRAV, 0x1000);
		list[i].src += 0x100 * i;
		list[i].dst += 0x1000 * i;
		list[i].comp = IOVA(COMP_AT + 0x1000 + 32 * i);
	}
	ram_write(rig, LIST_AT, list, sizeof(list));
	d.src = IOVA(LIST_AT);
	c = run(rig, &d);
	assert_int_equal(c.status, 1);
	assert_int_equal(c.done, 40);
	for (unsigned int i = 0; i < 40; i++)
		assert_true(same(rig, SRC_AT + 0x100 * i, DST_AT + 0x1000 * i, 0x1000));
	/* one fails, the others are done; its own record tells why */
	list[7].src = NOWHERE;
	list[9].op = BATCH << 24 | CRAV;
	ram_write(rig, LIST_AT, list, sizeof(list));
	c = run(rig, &d);
	assert_int_equal(c.status, 5);
	assert_int_equal(c.done, 40);
	ram_read(rig, COMP_AT + 0x1000 + 32 * 7, &c, sizeof(c));
	assert_int_equal(c.status, 3);
	ram_read(rig, COMP_AT + 0x1000 + 32 * 9, &c, sizeof(c));
	assert_int_equal(c.status, 0x10);
	ram_read(rig, COMP_AT + 0x1000 + 32 * 8, &c, sizeof(c));
	assert_int_equal(c.status, 0);
	/* nothing passes a fence behind a failure */
	list[20].op |= FENCE;
	ram_write(rig, LIST_AT, list, sizeof(list));
	c = run(rig, &d);
	assert_int_equal(c.status, 5);
	assert_int_equal(c.done, 20);
	/* the list runs off what is mapped */
	for (unsigned int i = 0; i < 3; i++)
		ram_write(rig, RAM_SIZE - 64 * (3 - i), &list[i], 64);
	d.src = RAM_IOVA + RAM_SIZE - 3 * 64;
	c = run(rig, &d);
	assert_int_equal(c.status, 6);
	assert_int_equal(c.done, 3);
	assert_int_equal(c.fault, RAM_IOVA + RAM_SIZE);
}

static void test_interrupts(void **state)
{
	struct rig *rig = *state;
	struct desc d = make(MEMMOVE, DONE | RCI, 0x1000);

	d.irq = 3;
	run(rig, &d);
	assert_int_equal(rig->irqs, 1);
	assert_int_equal(rig->irq_index, 2);
	assert_int_equal(rig->irq_vector, 3);
	/* errors and commands are vector 0's, when asked for */
	submit(rig, 0, &(struct desc){ .op = 0x3fu << 24 });
	assert_int_equal(rig->irqs, 1);
	assert_int_equal(reg_read(rig->pci[0], INTCAUSE, 4), 1);
	reg_write(rig->pci[0], SWERR, 3, 8);
	reg_write(rig->pci[0], INTCAUSE, 1, 4);
	reg_write(rig->pci[0], GENCTRL, 1, 4);
	submit(rig, 0, &(struct desc){ .op = 0x3fu << 24 });
	assert_int_equal(rig->irqs, 2);
	assert_int_equal(rig->irq_vector, 0);
	command(rig, DRAIN_ALL | 1u << 11, 0);
	assert_int_equal(rig->irqs, 3);
	assert_int_equal(reg_read(rig->pci[0], INTCAUSE, 4), 3);
	/* a vector that the table gives to PASIDs is no handle of ours */
	reg_write(rig->pci[0], 0x600 + 3 * 8, 8, 4);
	assert_int_equal(run(rig, &d).status, 0x19);
}

static void test_commands(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	struct desc d = make(NOOP, DONE, 0);
	uint64_t at = wqcfg(rig, 2);

	assert_int_equal(reg_read(pci, GENSTS, 4), 1);
	assert_int_equal(reg_read(pci, wqcfg(rig, 0) + 24, 4) >> 30, 1);
	assert_int_equal(command(rig, 0x1f, 0), 0x01);
	assert_int_equal(command(rig, EN_DEV, 0), 0x10);
	assert_int_equal(command(rig, EN_WQ, 0), 0x21);
	assert_int_equal(command(rig, EN_WQ, 2), 0x22);
	assert_int_equal(command(rig, EN_WQ, 8), 0x02);
	assert_int_equal(command(rig, DIS_WQ, 1 << 2), 0x32);
	/* sizes are fixed while the device is on, an enabled queue as a whole */
	reg_write(pci, at, 5, 4);
	assert_int_equal(reg_read(pci, at, 4), 0);
	reg_write(pci, wqcfg(rig, 0) + 8, 0, 4);
	assert_int_equal(reg_read(pci, wqcfg(rig, 0) + 8, 4), 0x11);
	reg_write(pci, grpcfg(rig, 1), 4, 8);
	assert_int_equal(reg_read(pci, grpcfg(rig, 1), 8), 0);
	/* a queue that is off takes nothing */
	assert_int_equal(command(rig, DIS_WQ, 1 << 0), 0);
	assert_int_equal(reg_read(pci, wqcfg(rig, 0) + 24, 4) >> 30, 0);
	submit(rig, 0, &d);
	assert_int_equal(swerr(rig) >> 8 & 0xff, 0x51);
	reg_write(pci, SWERR, 3, 8);
	assert_int_equal(command(rig, DIS_DEV, 0), 0);
	assert_int_equal(command(rig, DIS_DEV, 0), 0x31);
	assert_int_equal(command(rig, EN_WQ, 0), 0x20);
	assert_int_equal(reg_read(pci, wqcfg(rig, 1), 4), 4);
	/* what makes a device unfit to be enabled */
	reg_write(pci, grpcfg(rig, 1), 1, 8);
	assert_int_equal(command(rig, EN_DEV, 0), 0x15);
	reg_write(pci, grpcfg(rig, 1), 0, 8);
	reg_write(pci, grpcfg(rig, 1) + 32, 1, 8);
	assert_int_equal(command(rig, EN_DEV, 0), 0x16);
	reg_write(pci, grpcfg(rig, 1) + 32, 0, 8);
	reg_write(pci, wqcfg(rig, 0), 125, 4);
	assert_int_equal(command(rig, EN_DEV, 0), 0x14);
	reg_write(pci, wqcfg(rig, 0), 64, 4);
	cfg_write(pci, 4, 2, 2);
	assert_int_equal(command(rig, EN_DEV, 0), 0x12);
	cfg_write(pci, 4, 6, 2);
	assert_int_equal(command(rig, EN_DEV, 0), 0);
	/* and a queue */
	reg_write(pci, wqcfg(rig, 0) + 8, 0x10, 4);
	assert_int_equal(command(rig, EN_WQ, 0), 0x24);
	reg_write(pci, wqcfg(rig, 0) + 8, 0x01, 4);
	assert_int_equal(command(rig, EN_WQ, 0), 0x23);
	reg_write(pci, wqcfg(rig, 0) + 8, 0x13, 4);
	assert_int_equal(command(rig, EN_WQ, 0), 0x25);
	reg_write(pci, wqcfg(rig, 0) + 8, 0x10000011, 4);
	assert_int_equal(command(rig, EN_WQ, 0), 0x26);
	reg_write(pci, wqcfg(rig, 0) + 8, 0x11, 4);
	reg_write(pci, wqcfg(rig, 0) + 12, 31 | 11 << 5, 4);
	assert_int_equal(command(rig, EN_WQ, 0), 0x27);
	reg_write(pci, wqcfg(rig, 0) + 12, 12 | 3 << 5, 4);
	assert_int_equal(command(rig, EN_WQ, 0), 0);
	/* the queue's own limits */
	d = make(MEMMOVE, DONE, 4097);
	assert_int_equal(run(rig, &d).status, 0x13);
	d = make(BATCH, DONE, 9);
	assert_int_equal(run(rig, &d).status, 0x14);
	assert_int_equal(command(rig, RESET_DEV, 0), 0);
	assert_int_equal(reg_read(pci, wqcfg(rig, 0), 8), 0);
	assert_int_equal(reg_read(pci, GENSTS, 4), 0);
}

/* Long work, and what ends it: drain waits, abort and reset drop. */
static void test_long_work(void **state)
{
	struct rig *rig = *state;
	struct desc d = make(FILL, DONE, 0x400000);
	struct comp c;

	d.dst = IOVA(0x400000);
	for (unsigned int round = 0; round < 3; round++) {
		const struct comp none = { 0 };

		ram_write(rig, COMP_AT, &none, sizeof(none));
		for (unsigned int i = 0; i < 20; i++)
			submit(rig, 0, &d);
		if (round == 0) {
			assert_int_equal(command(rig, DRAIN_WQ, 1), 0);
			assert_int_equal(completion(rig).status, 1);
		} else if (round == 1) {
			assert_int_equal(command(rig, ABORT_WQ, 1), 0);
			c = run(rig,
				&(struct desc){ .op = NOOP << 24 | DONE, .comp = IOVA(COMP_AT) });
			assert_int_equal(c.status, 1);
		} else {
			cbit_pci_reset(rig->pci[0]);
			assert_int_equal(reg_read(rig->pci[0], GENSTS, 4), 0);
		}
	}
	enable(rig);
	/* a queue holds no more than its size */
	for (unsigned int i = 0; i < 3; i++)
		submit(rig, 0, &d);
	d = make(NOOP, 0, 0);
	for (unsigned int i = 0; i < 5; i++)
		submit(rig, 1, &d);
	if (swerr(rig)) /* unless the engine was faster */
		assert_int_equal(swerr(rig) >> 8 & 0xff, 0x52);
	assert_int_equal(command(rig, DRAIN_ALL, 0), 0);
}

/* Another device's DMA writes the portal: one request of 64 bytes is a descriptor. */
static void test_peer(void **state)
{
	struct rig *rig = *state;
	const struct cbit_bar_info *portals = cbit_pci_bar(rig->pci[0], 2);
	const struct comp none = { 0 };
	const struct timespec nap = { .tv_nsec = 20000 };
	struct desc d = make(MEMMOVE, DONE, 0x2000);

	assert_int_equal(cbit_domain_map(rig->domain, CBIT_IOVA(NOWHERE), portals->spa,
					 portals->size, CBIT_ATTR_RW),
			 0);
	ram_write(rig, COMP_AT, &none, sizeof(none));
	assert_int_equal(cbit_iommu_dma_write(rig->iommu, cbit_pci_devid(rig->pci[1]),
					      CBIT_IOVA(NOWHERE), &d, sizeof(d), NULL),
			 CBIT_DMA_OK);
	for (int i = 0; i < 500000 && !completion(rig).status; i++)
		nanosleep(&nap, NULL);
	assert_int_equal(completion(rig).status, 1);
	assert_true(same(rig, SRC_AT, DST_AT, 0x2000));
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_operations),
		cmocka_unit_test(test_specs),
		T(test_overlap),
		T(test_bad_descriptors),
		T(test_faults),
		T(test_batch),
		T(test_interrupts),
		T(test_commands),
		T(test_long_work),
		T(test_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
