/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dsa engine: what its drivers lean on, every operation, errors in completion records and in
 * SWERR, batches.
 */
#include "dsa_rig.h"

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

static void map_part(struct rig *rig, uint64_t from, uint64_t to, unsigned int attrs)
{
	if (from < to)
		assert_int_equal(cbit_domain_map(rig->domain, CBIT_IOVA(IOVA(from)),
						 CBIT_SPA(rig->ram.v + from), to - from, attrs),
				 0);
}

/* Test memory anew, but for one page that may only be read if @hole. */
static void map_anew(struct rig *rig, uint64_t page, bool hole)
{
	const unsigned int attrs = rig_ram_attrs(rig);

	assert_int_equal(cbit_domain_unmap(rig->domain, CBIT_IOVA(RAM_IOVA), RAM_SIZE, NULL), 0);
	map_part(rig, 0, page, attrs);
	map_part(rig, page, page + 4096, hole ? attrs & ~CBIT_ATTR_WRITE : attrs);
	map_part(rig, page + 4096, RAM_SIZE, attrs);
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

/*
 * A move that overlaps and is refused in the middle tells from which end it went and how far, so
 * that the rest can be moved once its memory is there.
 */
static void test_overlap_resumed(void **state)
{
	const uint32_t len = 0x61000, at = 0x600000;
	static const struct {
		int32_t shift;
		uint32_t hole; /* a page of the destination, from its start */
	} cases[] = { { 0x3000, 0x5000 },  { 0x3000, 0x50000 }, { 0x50000, 0x1000 },
		      { 0x3000, 0x60000 }, { -0x3000, 0x5000 }, { -0x3000, 0x50000 } };
	struct rig *rig = *state;
	uint8_t *want = malloc(len), *got = malloc(len);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct desc d = make(MEMMOVE, DONE, len);
		const uint64_t to = at + (uint64_t)(int64_t)cases[i].shift;
		const uint64_t hole = to + cases[i].hole;
		struct comp c;

		for (uint32_t k = 0; k < len; k++)
			want[k] = (uint8_t)(k * 31 + (k >> 8) + i);
		ram_write(rig, at, want, len);
		d.src = IOVA(at);
		d.dst = IOVA(to);
		/* for reading it is there: it is a part of the source as well */
		map_anew(rig, hole, true);
		c = run(rig, &d);
		assert_int_equal(c.status, 0x83);
		assert_int_equal(c.fault, IOVA(hole));
		assert_int_equal(c.result, cases[i].shift > 0);
		assert_true(c.done < len);
		map_anew(rig, hole, false);
		d.size -= c.done;
		if (!c.result) {
			d.src += c.done;
			d.dst += c.done;
		}
		c = run(rig, &d);
		assert_int_equal(c.status, 1);
		ram_read(rig, to, got, len);
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
	/* a large one was the worker's, which may not have left; without it the portal does the
	 * work */
	assert_int_equal(command(rig, DRAIN_ALL, 0), 0);
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

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity), T(test_operations),      cmocka_unit_test(test_specs),
		T(test_overlap),  T(test_overlap_resumed), T(test_bad_descriptors),
		T(test_faults),   T(test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
