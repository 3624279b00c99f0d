/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ioat channel: every rule that the kernel selftest and DPDK lean on, errors and limits.
 */
#include "ioat_rig.h"

static void test_identity(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	assert_int_equal(reg_read(pci, 0x00, 1), 1);
	assert_int_equal(reg_read(pci, 0x01, 1), 20);
	assert_int_equal(reg_read(pci, 0x03, 1), 0x08);
	assert_int_equal(reg_read(pci, 0x08, 1), 0x33);
	assert_int_equal(reg_read(pci, 0x10, 4), 0x40);
	/* read-only registers stay, wide and narrow */
	reg_write(pci, 0x00, 0, 8);
	reg_write(pci, 0x08, 0, 1);
	reg_write(pci, CHANSTS, 0, 8);
	assert_int_equal(reg_read(pci, 0x01, 1), 20);
	assert_int_equal(reg_read(pci, 0x08, 1), 0x33);
	assert_int_equal(sts(rig), HALTED);
	/* halves of wide registers */
	reg_write(pci, CHANCMP, 0x11223344, 4);
	reg_write(pci, CHANCMP + 4, 0x55667788, 4);
	assert_int_equal(reg_read(pci, CHANCMP, 8), 0x5566778811223344);
	assert_int_equal(reg_read(pci, CHANCMP + 4, 4), 0x55667788);
	reg_write(pci, CHAINADDR, (uint32_t)IOVA(DESC(0)), 4);
	reg_write(pci, CHAINADDR + 4, IOVA(DESC(0)) >> 32, 4);
	assert_int_equal(sts(rig), ARMED);
	put(rig, 0, copy(64));
	doorbell(rig, 1);
	assert_int_equal(sts(rig), IOVA(DESC(0)) | DONE);
	assert_int_equal(reg_read(pci, 0x0c00, 4), 0);
}

static void test_reset_and_arm(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	assert_int_equal(sts(rig), HALTED);
	put(rig, 0, copy(64));
	chain(rig, IOVA(DESC(0)));
	assert_int_equal(reg_read(pci, CHAINADDR, 8), IOVA(DESC(0)));
	/* arming runs nothing */
	assert_false(same(rig, SRC_AT, DST_AT, 64));
	doorbell(rig, 1);
	assert_int_equal(sts(rig), IOVA(DESC(0)) | DONE);
	assert_true(same(rig, SRC_AT, DST_AT, 64));

	reset_channel(rig);
	assert_int_equal(reg_read(pci, DMACOUNT, 2), 0);
	/* a halted channel takes no work */
	doorbell(rig, 1);
	assert_int_equal(sts(rig), HALTED);
	/* and what it was told then is forgotten with the new chain */
	chain(rig, IOVA(DESC(0)));
	assert_int_equal(reg_read(pci, DMACOUNT, 2), 0);
	doorbell(rig, 0);
	assert_int_equal(sts(rig), ARMED);
	doorbell(rig, 1);
	assert_int_equal(state_now(rig), DONE);
	assert_int_equal(reg_read(pci, CHANCMD, 1), 0);
}

/* The selftest: the same chain address and the same count again and again. */
static void test_identical_rewrites(void **state)
{
	struct rig *rig = *state;
	struct desc d = copy(4096);

	d.next = IOVA(DESC(0));
	put(rig, 0, d);
	reset_channel(rig);
	for (unsigned int i = 0; i < 5; i++) {
		pattern(rig, SRC_AT, 4096, i + 2);
		chain(rig, IOVA(DESC(0)));
		reg_write(rig->pci[0], CHANCTRL, 0x0009, 2);
		doorbell(rig, 3);
		assert_int_equal(sts(rig), IOVA(DESC(0)) | DONE);
		assert_true(same(rig, SRC_AT, DST_AT, 4096));
		reg_write(rig->pci[0], CHANCMD, SUSPEND, 1);
		assert_int_equal(state_now(rig), SUSPENDED);
	}
	assert_int_equal(rig->irqs, 0);
	/* rearming reads zero, the rest of CHANCTRL stays */
	assert_int_equal(reg_read(rig->pci[0], CHANCTRL, 2), 0x0008);
}

static void test_suspend(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	/* halted stays halted; armed and done are suspended at once */
	reg_write(pci, CHANCMD, SUSPEND, 1);
	assert_int_equal(state_now(rig), HALTED);
	put(rig, 0, copy(64));
	chain(rig, IOVA(DESC(0)));
	reg_write(pci, CHANCMD, SUSPEND, 1);
	assert_int_equal(sts(rig), SUSPENDED);
	doorbell(rig, 1);
	assert_int_equal(sts(rig), SUSPENDED);
	assert_false(same(rig, SRC_AT, DST_AT, 64));
	reg_write(pci, CHANCMD, SUSPEND, 1);
	assert_int_equal(sts(rig), SUSPENDED);
	/* stop, start without work, stop: DPDK's test_stop_start */
	chain(rig, IOVA(DESC(0)));
	reg_write(pci, CHANCMD, SUSPEND, 1);
	assert_int_equal(sts(rig), SUSPENDED);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(sts(rig), IOVA(DESC(0)) | DONE);
	reg_write(pci, CHANCMD, SUSPEND, 1);
	assert_int_equal(sts(rig), IOVA(DESC(0)) | SUSPENDED);
	/* RESET wins over SUSPEND in one write */
	reg_write(pci, CHANCMD, SUSPEND | RESET, 1);
	assert_int_equal(sts(rig), HALTED);
}

/* DPDK's ring: a running count, next pointers in a circle, completion words. */
static void test_ring(void **state)
{
	struct rig *rig = *state;
	const unsigned int n = 32;
	unsigned int done = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct desc d = copy(128);

		d.control = COMPLETION;
		d.src += 128 * i;
		d.dst += 128 * i;
		d.next = IOVA(DESC((i + 1) % n));
		put(rig, i, d);
	}
	reset_channel(rig);
	chain(rig, IOVA(DESC(0)));
	reg_write(rig->pci[0], CHANCMP, IOVA(COMP_AT), 8);
	while (done < 4 * n) {
		done += 1 + done % 5;
		doorbell(rig, done);
		assert_int_equal(sts(rig), IOVA(DESC((done - 1) % n)) | DONE);
		assert_int_equal(ram_u64(rig, COMP_AT), IOVA(DESC((done - 1) % n)) | DONE);
	}
	assert_true(same(rig, SRC_AT, DST_AT, 128 * n));
	assert_int_equal(rig->irqs, 0);
}

static void test_count_wraps(void **state)
{
	struct rig *rig = *state;
	struct desc d = copy(8);

	d.next = IOVA(DESC(0));
	put(rig, 0, d);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 65535);
	assert_int_equal(settled(rig), DONE);
	put_u64(rig, DST_AT, 0);
	/* 65535 again is no work, 1 is two descriptors */
	doorbell(rig, 65535);
	assert_int_equal(ram_u64(rig, DST_AT), 0);
	d.next = IOVA(DESC(1));
	put(rig, 0, d);
	put(rig, 1, copy(8));
	d = copy(8);
	d.dst += 8;
	put(rig, 2, d);
	doorbell(rig, 1);
	assert_int_equal(sts(rig), IOVA(DESC(2)) | DONE);
	assert_true(same(rig, SRC_AT, DST_AT, 8));
	assert_true(same(rig, SRC_AT, DST_AT + 8, 8));
}

/* A finished descriptor may be linked to more work afterwards: next is read when needed. */
static void test_next_is_read_late(void **state)
{
	struct rig *rig = *state;
	struct desc d = copy(64);

	d.next = NOWHERE;
	put(rig, 0, d);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(state_now(rig), DONE);
	d.next = IOVA(DESC(5));
	put(rig, 0, d);
	d = copy(64);
	d.dst += 64;
	put(rig, 5, d);
	doorbell(rig, 2);
	assert_int_equal(sts(rig), IOVA(DESC(5)) | DONE);
	assert_int_equal(reg_read(rig->pci[0], CHANERR, 4), 0);
}

static void test_completion_only_where_asked(void **state)
{
	struct rig *rig = *state;

	put(rig, 0, copy(64));
	put(rig, 1,
	    (struct desc){
		    .size = 64, .control = COMPLETION, .src = IOVA(SRC_AT), .dst = IOVA(DST_AT) });
	put(rig, 2, copy(64));
	put_u64(rig, COMP_AT, 0x1234);
	reg_write(rig->pci[0], CHANCMP, IOVA(COMP_AT), 8);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(ram_u64(rig, COMP_AT), 0x1234);
	doorbell(rig, 3);
	/* in the middle of the queue the channel is active */
	assert_int_equal(ram_u64(rig, COMP_AT), IOVA(DESC(1)) | ACTIVE);
	assert_int_equal(sts(rig), IOVA(DESC(2)) | DONE);
}

static void test_interrupts(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	struct desc d = copy(64);

	d.control = INT;
	put(rig, 0, d);
	put(rig, 1, copy(64));
	put(rig, 2, d);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(rig->irqs, 1);
	assert_int_equal(rig->irq_index, 2);
	assert_int_equal(rig->irq_vector, 0);
	doorbell(rig, 2);
	assert_int_equal(rig->irqs, 1);
	doorbell(rig, 3);
	assert_int_equal(rig->irqs, 2);

	/* MSI when that is what is armed */
	cbit_pci_set_irqs_enabled(pci, 2, 0);
	cbit_pci_set_irqs_enabled(pci, 1, 1);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(rig->irqs, 3);
	assert_int_equal(rig->irq_index, 1);
	/* nothing armed, or not enabled in INTRCTRL: none */
	cbit_pci_set_irqs_enabled(pci, 1, 0);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	cbit_pci_set_irqs_enabled(pci, 2, 16);
	reg_write(pci, 0x03, 0, 1);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(state_now(rig), DONE);
	assert_int_equal(rig->irqs, 3);
}

static void test_fill_and_null(void **state)
{
	static const unsigned int lengths[] = { 8, 64, 1024, 50, 100, 89, 1 };
	const uint64_t value = 0xfedcba9876543210;
	struct rig *rig = *state;
	uint8_t out[1100], zero[1100] = { 0 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ram_write(rig, DST_AT, zero, sizeof(zero));
		put(rig, 0,
		    (struct desc){ .size = lengths[i],
				   .control = FILL,
				   .src = value,
				   .dst = IOVA(DST_AT) });
		chain(rig, IOVA(DESC(0)));
		doorbell(rig, 1);
		assert_int_equal(state_now(rig), DONE);
		ram_read(rig, DST_AT, out, sizeof(out));
		for (size_t j = 0; j < sizeof(out); j++)
			assert_int_equal(out[j],
					 j < lengths[i] ? (uint8_t)(value >> 8 * (j % 8)) : 0);
	}
	/* Linux starts its channel with a null descriptor */
	put(rig, 0, (struct desc){ .size = 8, .control = NULL_DESC | COMPLETION | INT });
	reg_write(rig->pci[0], CHANCMP, IOVA(COMP_AT), 8);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(ram_u64(rig, COMP_AT), IOVA(DESC(0)) | DONE);
	assert_int_equal(rig->irqs, 1);
}

static void test_large_and_overlapping(void **state)
{
	struct rig *rig = *state;
	struct desc d = copy(1 << 20);

	put(rig, 0, d);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(settled(rig), DONE);
	assert_true(same(rig, SRC_AT, DST_AT, 1 << 20));
	/* moving up by a page within one chunk is like memmove() */
	d.size = 0x20000;
	d.dst = IOVA(SRC_AT + 4096);
	put(rig, 0, d);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(settled(rig), DONE);
	assert_true(same(rig, DST_AT, SRC_AT + 4096, 0x20000));
	/* nothing moved onto itself */
	d = copy(4096);
	d.dst = d.src;
	put(rig, 0, d);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(state_now(rig), DONE);
}

static void test_errors(void **state)
{
	static const struct {
		const char *what;
		struct desc bad;
		uint64_t chain;
		uint32_t err;
		bool second; /* a good descriptor goes before */
	} t[] = {
		{ "source", { 64, COMPLETION, NOWHERE, IOVA(DST_AT) }, 0, ERR_SRC, false },
		{ "source, second", { 64, COMPLETION | INT, 0, IOVA(DST_AT) }, 0, ERR_SRC, true },
		{ "destination", { 64, COMPLETION | INT, IOVA(SRC_AT), 0 }, 0, ERR_DST, true },
		{ "both", { 64, COMPLETION, NOWHERE, NOWHERE }, 0, ERR_SRC, true },
		{ "fill destination", { 64, COMPLETION | FILL, 5, 0 }, 0, ERR_DST, true },
		{ "source ends",
		  { 64, COMPLETION, IOVA(RAM_SIZE - 32), IOVA(DST_AT) },
		  0,
		  ERR_SRC,
		  true },
		{ "no size", { 0, COMPLETION, IOVA(SRC_AT), IOVA(DST_AT) }, 0, 0x800, true },
		{ "too long",
		  { (1 << 20) + 1, COMPLETION, IOVA(SRC_AT), IOVA(DST_AT) },
		  0,
		  0x800,
		  false },
		{ "huge", { 0xffffffff, COMPLETION, IOVA(SRC_AT), IOVA(DST_AT) }, 0, 0x800, true },
		{ "operation",
		  { 64, COMPLETION | 0x87000000, IOVA(SRC_AT), IOVA(DST_AT) },
		  0,
		  0x400,
		  true },
		{ "chain not mapped", { 0 }, NOWHERE, ERR_READ, false },
		{ "chain not aligned", { 0 }, IOVA(DESC_AT) + 8, 0x10, false },
		{ "next not mapped", { 0 }, NOWHERE, ERR_READ, true },
		{ "next not aligned", { 0 }, IOVA(DESC_AT) + 32, 0x08, true },
	};
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		unsigned int at = t[i].second;
		uint64_t last = at ? IOVA(DESC(0)) : 0;
		uint64_t first = t[i].chain && !at ? t[i].chain : IOVA(DESC(0));

		if (at) {
			struct desc d = copy(64);

			d.next = t[i].chain;
			put(rig, 0, d);
		}
		put(rig, at, t[i].bad);
		put(rig, at + 1, copy(64));
		put_u64(rig, COMP_AT, 0x77);
		reset_channel(rig);
		chain(rig, first);
		/* as DPDK: errors are completions */
		reg_write(pci, CHANCTRL, 0x000c, 2);
		reg_write(pci, CHANCMP, IOVA(COMP_AT), 8);
		rig->irqs = 0;
		doorbell(rig, 5);
		if (settled(rig) != HALTED || sts(rig) != (last | HALTED) ||
		    reg_read(pci, CHANERR, 4) != t[i].err || cfg_read(pci, 0x180, 4) != t[i].err ||
		    ram_u64(rig, COMP_AT) != (last | HALTED) || rig->irqs)
			fail_msg("%s: chansts %#llx chanerr %#llx/%#x completion %#llx irqs %u",
				 t[i].what, (unsigned long long)sts(rig),
				 (unsigned long long)reg_read(pci, CHANERR, 4),
				 cfg_read(pci, 0x180, 4), (unsigned long long)ram_u64(rig, COMP_AT),
				 rig->irqs);
		/* more work is not taken; suspending hides nothing */
		doorbell(rig, 7);
		reg_write(pci, CHANCMD, SUSPEND, 1);
		assert_int_equal(sts(rig), last | HALTED);
		/* writing what was read clears, writing zeros does not */
		reg_write(pci, CHANERR, 0, 4);
		assert_int_equal(reg_read(pci, CHANERR, 4), t[i].err);
		reg_write(pci, CHANERR, reg_read(pci, CHANERR, 4), 4);
		assert_int_equal(reg_read(pci, CHANERR, 4), 0);
		cfg_write(pci, 0x180, cfg_read(pci, 0x180, 4), 4);
		assert_int_equal(cfg_read(pci, 0x180, 4), 0);
	}
}

/* DPDK after an error: clear, reset, chain at the one after, and go on. */
static void test_recovery(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	uint64_t err;

	for (unsigned int i = 0; i < 16; i++) {
		struct desc d = copy(64);

		d.control = COMPLETION;
		d.src = i == 7 ? 0 : d.src;
		d.dst += 64 * i;
		put(rig, i, d);
	}
	reset_channel(rig);
	chain(rig, IOVA(DESC(0)));
	reg_write(pci, CHANCTRL, 0x000c, 2);
	reg_write(pci, CHANCMP, IOVA(COMP_AT), 8);
	doorbell(rig, 16);
	assert_int_equal(ram_u64(rig, COMP_AT), IOVA(DESC(6)) | HALTED);
	err = reg_read(pci, CHANERR, 4);
	assert_int_equal(err, ERR_SRC);
	reg_write(pci, CHANERR, err, 4);
	reg_write(pci, CHANCMD, RESET, 1);
	reg_write(pci, CHAINADDR, IOVA(DESC(8)), 8);
	reg_write(pci, CHANCMP, IOVA(COMP_AT), 8);
	assert_int_equal(sts(rig), ARMED);
	doorbell(rig, 8);
	assert_int_equal(ram_u64(rig, COMP_AT), IOVA(DESC(15)) | DONE);
	assert_int_equal(reg_read(pci, CHANERR, 4), 0);
}

static void test_error_options(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	struct desc bad = copy(64);

	/* without bit 3 and without the channel's wish there is no completion */
	bad.src = NOWHERE;
	put(rig, 0, bad);
	put_u64(rig, COMP_AT, 0x77);
	reg_write(pci, CHANCMP, IOVA(COMP_AT), 8);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(sts(rig), HALTED);
	assert_int_equal(ram_u64(rig, COMP_AT), 0x77);
	assert_int_equal(rig->irqs, 0);
	/* Linux asks for error interrupts */
	reg_write(pci, CHANCTRL, 0x001d, 2);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(ram_u64(rig, COMP_AT), HALTED);
	assert_int_equal(rig->irqs, 1);
	/* the completion word itself has nowhere to go, or is not aligned */
	for (int i = 0; i < 2; i++) {
		struct desc d = copy(64);

		d.control = COMPLETION | INT;
		put(rig, 0, d);
		reset_channel(rig);
		reg_write(pci, CHANERR, 0xffffffff, 4);
		reg_write(pci, CHANCTRL, 0, 2);
		reg_write(pci, CHANCMP, i ? IOVA(COMP_AT) + 4 : NOWHERE, 8);
		chain(rig, IOVA(DESC(0)));
		doorbell(rig, 1);
		assert_int_equal(state_now(rig), HALTED);
		assert_int_equal(reg_read(pci, CHANERR, 4), 0x1000);
		assert_int_equal(rig->irqs, 1);
	}
}

static void test_bus_master_off(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	put(rig, 0, copy(64));
	cfg_write(pci, 0x04, 0x0002, 2);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(sts(rig), HALTED);
	assert_int_equal(reg_read(pci, CHANERR, 4), ERR_READ);
	assert_false(same(rig, SRC_AT, DST_AT, 64));
	assert_int_equal(rig->events[CBIT_EVENT_DMA_NOT_MAPPED], 0);
	cfg_write(pci, 0x04, 0x0006, 2);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	assert_int_equal(state_now(rig), DONE);
	/* D3hot masters nothing either, but registers are off too: all ones */
	cfg_write(pci, 0x44, 3, 2);
	assert_int_equal(sts(rig), UINT64_MAX);
	cfg_write(pci, 0x44, 0, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_reset_and_arm),
		TEST(test_identical_rewrites),
		TEST(test_suspend),
		TEST(test_ring),
		TEST(test_count_wraps),
		TEST(test_next_is_read_late),
		TEST(test_completion_only_where_asked),
		TEST(test_interrupts),
		TEST(test_fill_and_null),
		TEST(test_large_and_overlapping),
		TEST(test_errors),
		TEST(test_recovery),
		TEST(test_error_options),
		TEST(test_bus_master_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
