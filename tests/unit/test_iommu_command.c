/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command ring: each command by the bytes of 48882 section 2.4, what is illegal, how the
 * ring stops, starts again and wraps, and the stale translations that only commands remove.
 */
#include "vi_rig.h"

static unsigned int irqs;

static void on_irq(void *opaque)
{
	(void)opaque;
	__atomic_fetch_add(&irqs, 1, __ATOMIC_RELAXED);
}

/* --- COMPLETION_WAIT --- */

static void test_completion_wait(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = bus_of(r, SCRATCH + 8).v;

	(void)state;
	irqs = 0;
	cbit_iommu_on_irq(r->iommu, on_irq, NULL);
	/* Store: C-bit and all in the address, which has bits 51:3. */
	command(r, (uint32_t)at | 1, 0x10000000 | (uint32_t)(at >> 32), 0x89abcdef, 0x01234567);
	assert_int_equal(get64(r, SCRATCH + 8), 0x0123456789abcdef);
	assert_int_equal(get64(r, SCRATCH), 0);
	expect_status(r, CBIT_VI_STATUS_CMD_RUN, CBIT_VI_STATUS_WAIT_INT);
	/* Without S nothing is stored, F or not. */
	command(r, (uint32_t)at | 4, 0x10000000 | (uint32_t)(at >> 32), 0, 0);
	assert_int_equal(get64(r, SCRATCH + 8), 0x0123456789abcdef);
	/* Interrupt: the status bit, and the message if it is enabled and the bit was clear. */
	command(r, 2, 0x10000000, 0, 0);
	expect_status(r, CBIT_VI_STATUS_WAIT_INT, 0);
	assert_int_equal(irqs, 0);
	set_reg(r, CBIT_VI_REG_STATUS, CBIT_VI_STATUS_WAIT_INT);
	set_reg(r, CBIT_VI_REG_CONTROL, reg(r, CBIT_VI_REG_CONTROL) | CBIT_VI_CTRL_WAIT_INT);
	command(r, 2, 0x10000000, 0, 0);
	command(r, 2, 0x10000000, 0, 0);
	assert_int_equal(irqs, 1);
	/* A store into nothing vanishes. */
	command(r, 0x70000001, 0x10000000 | 0x7000, 0, 0);
	expect_status(r, CBIT_VI_STATUS_CMD_RUN, 0);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD), reg(r, CBIT_VI_REG_CMD_TAIL));
	expect_no_log(r);
	rig_free(r);
}

/* --- invalidation: the stale IOTLB --- */

static uint8_t peek(struct rig *r, uint64_t iova)
{
	uint8_t b = 0xee;

	dma_read(r, iova, &b, 1, NULL);
	return b;
}

static void test_stale_iotlb(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t pte, entry;

	(void)state;
	r->client[0] = 1;
	r->client[0x1000] = 2;
	map(r, 0x5000, CLIENT, 4096, ENC);
	pte = pte_spa(r, 0x5000);
	entry = get64(r, pte);
	assert_int_equal(peek(r, 0x5000), 1);
	/* Rewritten in DRAM: the old page is still read, however often. */
	put64(r, pte, entry + 0x1000);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(peek(r, 0x5000), 1);
	/* The wrong domain, the wrong page, a device's entry: no help. */
	command(r, 0, 0x30000002, 0x5000, 0);
	command(r, 0, 0x30000001, 0x4000, 0);
	command(r, DEV, 0x20000000, 0, 0);
	command(r, DEV, 0x50000000, 0, 0);
	assert_int_equal(peek(r, 0x5000), 1);
	command(r, 0, 0x30000001, 0x5000, 0);
	assert_int_equal(peek(r, 0x5000), 2);
	/* Taken away altogether, it is still there. */
	put64(r, pte, 0);
	assert_int_equal(peek(r, 0x5000), 2);
	r->n = 0;
	command(r, 0, 0x80000000, 0, 0);
	assert_int_equal(peek(r, 0x5000), 0xff);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_NOT_MAPPED);
	/* What is not present is not cached. */
	put64(r, pte, entry);
	assert_int_equal(peek(r, 0x5000), 1);
	rig_free(r);
}

/*
 * INVALIDATE_IOMMU_PAGES: which of a set of pages a command reaches. Encodings as Linux makes
 * them (build_inv_address() in drivers/iommu/amd/iommu.c).
 */
static const uint64_t places[] = { 0x0,
				   0x1000,
				   0x2000,
				   0x3000,
				   0x7000,
				   0x8000,
				   0x1ff000,
				   0x200000,
				   0x3fffffff000,
				   0x1000000000000,
				   0xfffffffffffff000 };
#define PLACES (sizeof(places) / sizeof(places[0]))

static const struct pages {
	uint32_t dw2, dw3;
	unsigned int reached; /* bit n: places[n] */
} pages[] = {
	{ 0x00000000, 0x00000000, 0x001 }, /* S=0: one page */
	{ 0x00001000, 0x00000000, 0x002 },
	{ 0x00001002, 0x00000000, 0x002 }, /* PDE changes nothing here */
	{ 0x00000001, 0x00000000, 0x003 }, /* 8 KiB: no ones */
	{ 0x00002001, 0x00000000, 0x00c },
	{ 0x00001001, 0x00000000, 0x00f }, /* 16 KiB */
	{ 0x00003001, 0x00000000, 0x01f }, /* 32 KiB */
	{ 0x00007001, 0x00000000, 0x03f }, /* 64 KiB */
	{ 0x000ff001, 0x00000000, 0x07f }, /* 2 MiB */
	{ 0x001ff001, 0x00000000, 0x0ff }, /* 4 MiB */
	{ 0x002ff001, 0x00000000, 0x080 }, /* 2 MiB, the second */
	{ 0xfffff001, 0x000001ff, 0x1ff }, /* 4 TiB */
	{ 0xfffff003, 0x0007ffff, 0x3ff }, /* 2^52: bit 51 clear */
	{ 0xfffff003, 0x7fffffff, 0x7ff }, /* CMD_INV_IOMMU_ALL_PAGES_ADDRESS */
	{ 0xfffff001, 0xffffffff, 0x7ff }, /* no zero at all */
	{ 0xfffff000, 0xffffffff, 0x400 },
};

static void test_page_sizes(void **state)
{
	struct rig *r = vi_rig_new(true);
	struct cbit_iommu_stats s0, s1;
	uint8_t b;

	(void)state;
	for (size_t i = 0; i < PLACES; i++)
		map(r, places[i], CLIENT, 4096, ENC);
	for (size_t k = 0; k < sizeof(pages) / sizeof(pages[0]); k++) {
		unsigned int reached = 0;

		/* One by one, as they may share slots of the IOTLB. */
		for (size_t i = 0; i < PLACES; i++) {
			assert_int_equal(dma_read(r, places[i], &b, 1, NULL), CBIT_DMA_OK);
			command(r, 0, 0x30000001, pages[k].dw2, pages[k].dw3);
			cbit_iommu_stats(r->iommu, &s0);
			assert_int_equal(dma_read(r, places[i], &b, 1, NULL), CBIT_DMA_OK);
			cbit_iommu_stats(r->iommu, &s1);
			reached |= (unsigned int)(s1.walks - s0.walks) << i;
		}
		if (reached != pages[k].reached)
			fail_msg("%08x:%08x reaches %#x", pages[k].dw3, pages[k].dw2, reached);
	}
	expect_no_log(r);
	rig_free(r);
}

/* --- illegal commands --- */

static const uint32_t illegal[][4] = {
	{ 0, 0x00000000, 0, 0 }, /* codes that are not there */
	{ 0, 0x90000000, 0, 0 },
	{ 0, 0xa0000000, 0, 0 },
	{ 0, 0xb0000000, 0, 0 },
	{ 0, 0xc0000000, 0, 0 },
	{ 0, 0xd0000000, 0, 0 },
	{ 0, 0xe0000000, 0, 0 },
	{ 0, 0xf0000000, 0, 0 },
	{ DEV, 0x40000000 | DEV, 0x1000, 0 }, /* INVALIDATE_IOTLB_PAGES: IotlbSup=0 */
	{ DEV, 0x60000000, 0x1000, 0 },       /* PREFETCH_IOMMU_PAGES: PreFSup=0 */
	{ DEV, 0x70000000, 0, 0 },            /* COMPLETE_PPR_REQUEST: PPRSup=0 */
	{ 0, 0x10100000, 0, 0 },              /* reserved bits */
	{ 0, 0x18000000, 0, 0 },
	{ 0x00010000 | DEV, 0x20000000, 0, 0 },
	{ 0x80000000 | DEV, 0x20000000, 0, 0 },
	{ DEV, 0x20000001, 0, 0 },
	{ DEV, 0x28000000, 0, 0 },
	{ DEV, 0x20000000, 1, 0 },
	{ DEV, 0x20000000, 0, 0x80000000 },
	{ 0x00100000, 0x30000001, 0, 0 },
	{ 0, 0x30010001, 0, 0 },
	{ 0, 0x38000001, 0, 0 },
	{ 0, 0x30000001, 0x008, 0 },
	{ 0, 0x30000001, 0x800, 0 },
	{ 0x00010000 | DEV, 0x50000000, 0, 0 },
	{ DEV, 0x50000001, 0, 0 },
	{ DEV, 0x50000000, 1, 0 },
	{ DEV, 0x50000000, 0, 1 },
	{ 1, 0x80000000, 0, 0 },
	{ 0, 0x80000001, 0, 0 },
	{ 0, 0x80000000, 1, 0 },
	{ 0, 0x80000000, 0, 1 },
};

/* Linux: amd_iommu_reset_cmd_buffer(). */
static void restart(struct rig *r)
{
	uint64_t control = reg(r, CBIT_VI_REG_CONTROL);

	set_reg(r, CBIT_VI_REG_CONTROL, control & ~CBIT_VI_CTRL_CMD);
	set_reg(r, CBIT_VI_REG_CMD_HEAD, 0);
	set_reg(r, CBIT_VI_REG_CMD_TAIL, 0);
	set_reg(r, CBIT_VI_REG_CONTROL, control | CBIT_VI_CTRL_CMD);
	expect_status(r, CBIT_VI_STATUS_CMD_RUN, 0);
}

static void test_illegal(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t base = reg(r, CBIT_VI_REG_CMD_BASE) & CBIT_VI_BASE_MASK;
	uint64_t at = bus_of(r, SCRATCH).v;

	(void)state;
	for (size_t i = 0; i < sizeof(illegal) / sizeof(illegal[0]); i++) {
		const uint32_t *dw = illegal[i];

		put64(r, SCRATCH, 0);
		command(r, 0, 0x10000000, 0, 0);
		command(r, dw[0], dw[1], dw[2], dw[3]);
		if (reg(r, CBIT_VI_REG_STATUS) & CBIT_VI_STATUS_CMD_RUN)
			fail_msg("%08x %08x %08x %08x is legal", dw[0], dw[1], dw[2], dw[3]);
		/* Head is at it, the log names it, and what follows is not carried out. */
		assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD), 16);
		expect_log(r, 0, 0x50000000, base + 16);
		command(r, (uint32_t)at | 1, 0x10000000 | (uint32_t)(at >> 32), 1, 0);
		assert_int_equal(get64(r, SCRATCH), 0);
		assert_int_equal(cbit_iommu_command(r->iommu, dw), -EIO);
		expect_no_log(r);
		restart(r);
	}
	/* The public function reports what it caused. */
	assert_int_equal(cbit_iommu_command(r->iommu, illegal[0]), -EIO);
	expect_log(r, 0, 0x50000000, base);
	/* Started again without a new head, it meets the same one. */
	set_reg(r, CBIT_VI_REG_CONTROL, reg(r, CBIT_VI_REG_CONTROL) & ~CBIT_VI_CTRL_CMD);
	set_reg(r, CBIT_VI_REG_CONTROL, reg(r, CBIT_VI_REG_CONTROL) | CBIT_VI_CTRL_CMD);
	expect_log(r, 0, 0x50000000, base);
	expect_status(r, 0, CBIT_VI_STATUS_CMD_RUN);
	restart(r);
	rig_free(r);
}

/* COMMAND_HARDWARE_ERROR: the ring is where no memory is, or in a window. */
static void test_hardware_error(void **state)
{
	static const uint64_t where[] = { 0x600000000000, BAR, WINDOW };
	struct rig *r = vi_rig_new(true);
	uint64_t base = reg(r, CBIT_VI_REG_CMD_BASE);
	const uint32_t all[4] = { 0, 0x80000000, 0, 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		set_reg(r, CBIT_VI_REG_CMD_BASE, where[i] | 8ull << 56);
		set_reg(r, CBIT_VI_REG_CMD_TAIL, 0x20);
		expect_status(r, 0, CBIT_VI_STATUS_CMD_RUN);
		assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD), 0);
		expect_log(r, 0, 0x62000000, where[i]);
		restart(r);
		assert_int_equal(cbit_iommu_command(r->iommu, all), -EFAULT);
	}
	/* Without the C-bit in the base, ciphertext is read: noise, and so illegal. */
	set_reg(r, CBIT_VI_REG_CMD_BASE, base & ~C51);
	command(r, 0, 0x80000000, 0, 0);
	expect_log(r, 0, 0x50000000, base & CBIT_VI_BASE_MASK & ~C51);
	restart(r);
	set_reg(r, CBIT_VI_REG_CMD_BASE, base);
	command(r, 0, 0x80000000, 0, 0);
	expect_status(r, CBIT_VI_STATUS_CMD_RUN, 0);
	expect_no_log(r);
	rig_free(r);
}

/* --- the ring --- */

static void test_wrap(void **state)
{
	struct rig *r = vi_rig_new(false);
	struct cbit_iommu_stats s0, s1;
	const uint32_t all[4] = { 0, 0x80000000, 0, 0 };

	(void)state;
	cbit_iommu_stats(r->iommu, &s0);
	/* One at a time, and never a head of 256 entries (QEMU's issue 3338). */
	for (unsigned int i = 1; i <= 600; i++) {
		command(r, 0, 0x80000000, 0, 0);
		assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD), i * 16 % 4096);
	}
	cbit_iommu_stats(r->iommu, &s1);
	assert_int_equal(s1.invalidations - s0.invalidations, 600);
	/* All but one slot at once, across the end. */
	for (unsigned int i = 0; i < 256; i++)
		put(r, reg_spa(r, CBIT_VI_REG_CMD_BASE) + i * 16, all, 16);
	set_reg(r, CBIT_VI_REG_CMD_TAIL, (reg(r, CBIT_VI_REG_CMD_HEAD) - 16) & 0xfff);
	cbit_iommu_stats(r->iommu, &s0);
	assert_int_equal(s0.invalidations - s1.invalidations, 255);
	/* A longer ring, at another place; pointers are taken modulo its length. */
	set_reg(r, CBIT_VI_REG_CMD_BASE, SCRATCH | 9ull << 56);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD) | reg(r, CBIT_VI_REG_CMD_TAIL), 0);
	for (unsigned int i = 0; i < 512; i++)
		put(r, SCRATCH + i * 16, all, 16);
	set_reg(r, CBIT_VI_REG_CMD_TAIL, 0x1ff0);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD), 0x1ff0);
	set_reg(r, CBIT_VI_REG_CMD_TAIL, 0x72010);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_TAIL), 0x10);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD), 0x10);
	cbit_iommu_stats(r->iommu, &s1);
	assert_int_equal(s1.invalidations - s0.invalidations, 513);
	rig_free(r);
}

/* A stopped ring takes commands until it is full, and does them when it starts. */
static void test_enable(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t control = reg(r, CBIT_VI_REG_CONTROL), at = bus_of(r, SCRATCH).v;
	const uint32_t all[4] = { 0, 0x80000000, 0, 0 };

	(void)state;
	set_reg(r, CBIT_VI_REG_CONTROL, control & ~CBIT_VI_CTRL_CMD);
	command(r, (uint32_t)at | 1, 0x10000000 | (uint32_t)(at >> 32), 7, 0);
	assert_int_equal(get64(r, SCRATCH), 0);
	assert_int_equal(cbit_iommu_command(r->iommu, all), -EIO);
	set_reg(r, CBIT_VI_REG_CONTROL, control);
	assert_int_equal(get64(r, SCRATCH), 7);
	/* So it is with the IOMMU as a whole. */
	set_reg(r, CBIT_VI_REG_CONTROL, control & ~CBIT_VI_CTRL_ENABLE);
	expect_status(r, 0, CBIT_VI_STATUS_CMD_RUN | CBIT_VI_STATUS_EVT_RUN);
	command(r, (uint32_t)at | 1, 0x10000000 | (uint32_t)(at >> 32), 8, 0);
	assert_int_equal(get64(r, SCRATCH), 7);
	set_reg(r, CBIT_VI_REG_CONTROL, control);
	assert_int_equal(get64(r, SCRATCH), 8);
	rig_free(r);
}

/* A command that moves the tail of its own ring, for ever: every call comes back. */
static void test_self_feeding(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = WINDOW + CBIT_VI_REG_CMD_HEAD;

	(void)state;
	command(r, (uint32_t)at | 1, 0x10000000, 0, 0); /* store 0 to head: again */
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD), 0);
	expect_status(r, CBIT_VI_STATUS_CMD_RUN, 0);
	set_reg(r, CBIT_VI_REG_CONTROL, 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_wait), cmocka_unit_test(test_stale_iotlb),
		cmocka_unit_test(test_page_sizes),      cmocka_unit_test(test_illegal),
		cmocka_unit_test(test_hardware_error),  cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_enable),          cmocka_unit_test(test_self_feeding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
