/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register file: reset values, writable bits, parts of registers, the window as a CPU and
 * as a peer device reach it, and the event log's overflow protocol.
 */
#include <pthread.h>

#include "iommu/internal.h"

#include "vi_rig.h"

static unsigned int irqs;

static void on_irq(void *opaque)
{
	(void)opaque;
	__atomic_fetch_add(&irqs, 1, __ATOMIC_RELAXED);
}

static void check_reset(bool sme)
{
	struct rig *r = vi_rig_new(sme);
	uint64_t c = sme ? C51 : 0;

	assert_int_equal(reg(r, CBIT_VI_REG_DEVTAB), r->iommu->devtab.v | c | 0x1ff);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_BASE), r->iommu->cmd_ring.v | c | 8ull << 56);
	assert_int_equal(reg(r, CBIT_VI_REG_EVT_BASE), r->iommu->evt_ring.v | c | 8ull << 56);
	assert_int_equal(reg(r, CBIT_VI_REG_CONTROL), 0x11405);
	assert_int_equal(reg(r, CBIT_VI_REG_STATUS), 0x18);
	assert_int_equal(reg(r, CBIT_VI_REG_EFR), 0x13000f000098dc);
	assert_int_equal(reg(r, CBIT_VI_REG_EFR2), 0x108);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_HEAD) | reg(r, CBIT_VI_REG_CMD_TAIL), 0);
	assert_int_equal(reg(r, CBIT_VI_REG_EVT_HEAD) | reg(r, CBIT_VI_REG_EVT_TAIL), 0);
	rig_free(r);
}

static void test_reset(void **state)
{
	(void)state;
	check_reset(true);
	check_reset(false);
}

/* All ones and all zeros: what sticks. The rings are stopped first. */
static const struct bits {
	unsigned int offset;
	uint64_t ones;
	uint64_t zeros;
} bits[] = {
	{ CBIT_VI_REG_DEVTAB, 0x000ffffffffff1ff, 0 },
	{ CBIT_VI_REG_CMD_BASE, 0x0f0ffffffffff000, 0 },
	{ CBIT_VI_REG_EVT_BASE, 0x0f0ffffffffff000, 0 },
	{ CBIT_VI_REG_EFR, CBIT_IOMMU_EFR, CBIT_IOMMU_EFR },
	{ CBIT_VI_REG_EFR2, CBIT_IOMMU_EFR2, CBIT_IOMMU_EFR2 },
	{ 0x0020, 0, 0 }, /* exclusion range: not there */
	{ 0x0038, 0, 0 }, /* PPR log: not there */
	{ 0x1ff8, 0, 0 },
	{ 0x2030, 0, 0 },
	{ 0x3ff8, 0, 0 },
};

static void test_bits(void **state)
{
	struct rig *r = vi_rig_new(true);

	(void)state;
	set_reg(r, CBIT_VI_REG_CONTROL, 0);
	assert_int_equal(reg(r, CBIT_VI_REG_CONTROL), 0);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		set_reg(r, bits[i].offset, ~0ull);
		assert_int_equal(reg(r, bits[i].offset), bits[i].ones);
		set_reg(r, bits[i].offset, 0);
		assert_int_equal(reg(r, bits[i].offset), bits[i].zeros);
	}
	/* Pointers: bits 18:4, within the ring (length 15: all of them; 8: 4 KiB). */
	set_reg(r, CBIT_VI_REG_CMD_BASE, 15ull << 56);
	set_reg(r, CBIT_VI_REG_EVT_BASE, 8ull << 56);
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int offset = CBIT_VI_REG_CMD_HEAD + i * 8;

		set_reg(r, offset, ~0ull);
		assert_int_equal(reg(r, offset), i < 2 ? 0x7fff0 : 0xff0);
	}
	/* A base takes its pointers back to 0, and not the other ring's. */
	set_reg(r, CBIT_VI_REG_EVT_BASE, SCRATCH | 8ull << 56);
	assert_int_equal(reg(r, CBIT_VI_REG_EVT_HEAD) | reg(r, CBIT_VI_REG_EVT_TAIL), 0);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_TAIL), 0x7fff0);
	/* Control: no PPR, no GAM; reserved modes of NumIntRemapMode become 0. */
	set_reg(r, CBIT_VI_REG_CMD_BASE, 8ull << 56);
	set_reg(r, CBIT_VI_REG_CONTROL, ~0ull & ~CBIT_VI_CTRL_IRT_MASK);
	assert_int_equal(reg(r, CBIT_VI_REG_CONTROL), 0x0c04000000031fff);
	set_reg(r, CBIT_VI_REG_CONTROL, CBIT_VI_CTRL_IRT_MASK);
	assert_int_equal(reg(r, CBIT_VI_REG_CONTROL), 0);
	set_reg(r, CBIT_VI_REG_CONTROL, CBIT_VI_CTRL_IRT_2K);
	assert_int_equal(reg(r, CBIT_VI_REG_CONTROL), CBIT_VI_CTRL_IRT_2K);
	rig_free(r);
}

static void command_wait_int(struct rig *r)
{
	set_reg(r, CBIT_VI_REG_CMD_BASE, bus_of(r, r->iommu->cmd_ring.v).v | 8ull << 56);
	set_reg(r, CBIT_VI_REG_CONTROL, CBIT_VI_CTRL_ENABLE | CBIT_VI_CTRL_CMD);
	command(r, 2, 0x10000000, 0, 0);
}

/* Linux writes pointers with writel() and bases with two halves; bytes work too. */
static void test_parts(void **state)
{
	struct rig *r = vi_rig_new(true);
	const uint32_t lo = 0x12345678, hi = 0x09000001, tail = 0x40;
	uint8_t bytes[12], b = 0x7f;
	uint32_t dw;

	(void)state;
	set_reg(r, CBIT_VI_REG_CONTROL, CBIT_VI_CTRL_ENABLE);
	cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + 8 }, &lo, 4);
	cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + 12 }, &hi, 4);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_BASE), 0x0900000112345000);
	cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + CBIT_VI_REG_CMD_TAIL }, &tail, 4);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_TAIL), 0x40);
	cbit_mem_read(r->mem, (struct cbit_bus){ WINDOW + 12 }, &dw, 4);
	assert_int_equal(dw, hi);
	cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + 10 }, &b, 1);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_BASE), 0x09000001127f5000);
	/* Two registers and a half at once. */
	assert_int_equal(cbit_mem_read(r->mem, (struct cbit_bus){ WINDOW + 4 }, bytes, 12),
			 CBIT_MEM_OK);
	assert_int_equal(bytes[4 + 2], 0x7f);
	/* A byte of the status register does not clear the bits of another. */
	b = 0xff;
	command_wait_int(r);
	cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + CBIT_VI_REG_STATUS + 1 }, &b, 1);
	expect_status(r, CBIT_VI_STATUS_WAIT_INT, 0);
	cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + CBIT_VI_REG_STATUS }, &b, 1);
	expect_status(r, 0, CBIT_VI_STATUS_WAIT_INT);
	/* Not the offset of a register. */
	assert_int_equal(cbit_iommu_reg_read(r->iommu, 0x7), 0);
	cbit_iommu_reg_write(r->iommu, 0x9, ~0ull);
	assert_int_equal(reg(r, CBIT_VI_REG_CMD_BASE) & CBIT_VI_BASE_MASK,
			 r->iommu->cmd_ring.v | C51);
	rig_free(r);
}

static void test_window(void **state)
{
	struct rig *r = rig_new(true);
	struct cbit_error err;
	uint64_t v;

	(void)state;
	assert_int_equal(cbit_iommu_map_registers(r->iommu, CBIT_SPA(WINDOW + 0x1000), &err),
			 -EINVAL);
	assert_int_equal(cbit_iommu_map_registers(r->iommu, CBIT_SPA(DRAM), &err), -EEXIST);
	assert_int_equal(cbit_iommu_map_registers(r->iommu, CBIT_SPA(WINDOW), &err), 0);
	assert_int_equal(cbit_iommu_map_registers(r->iommu, CBIT_SPA(WINDOW + 0x4000), &err),
			 -EBUSY);
	/* It is MMIO: the C-bit misses it. */
	assert_int_equal(cbit_mem_read(r->mem, (struct cbit_bus){ WINDOW | C51 }, &v, 8),
			 CBIT_MEM_ABORT);
	rig_free(r);
}

/* --- peer to peer --- */

/* A device rings the doorbell: the command is done when its DMA is. */
static void test_peer(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = bus_of(r, SCRATCH).v, status = 0, tail;
	uint32_t dw[4] = { (uint32_t)at | 1, 0x10000000 | (uint32_t)(at >> 32), 0xabcd, 0 };

	(void)state;
	irqs = 0;
	cbit_iommu_on_irq(r->iommu, on_irq, NULL);
	set_reg(r, CBIT_VI_REG_CONTROL, reg(r, CBIT_VI_REG_CONTROL) | CBIT_VI_CTRL_EVT_INT);
	map(r, 0x10000, WINDOW, CBIT_VI_WINDOW, PLAIN);
	put(r, reg_spa(r, CBIT_VI_REG_CMD_BASE), dw, sizeof(dw));
	tail = 16;
	assert_int_equal(dma_write(r, 0x10000 + CBIT_VI_REG_CMD_TAIL, &tail, 8, NULL), CBIT_DMA_OK);
	assert_int_equal(get64(r, SCRATCH), 0xabcd);
	assert_int_equal(dma_read(r, 0x10000 + CBIT_VI_REG_STATUS, &status, 8, NULL), CBIT_DMA_OK);
	assert_int_equal(status, 0x18);
	/* The command takes the device's own mapping away. */
	memcpy(dw, (uint32_t[]){ 0, 0x80000000, 0, 0 }, sizeof(dw));
	put(r, reg_spa(r, CBIT_VI_REG_CMD_BASE) + 16, dw, sizeof(dw));
	put64(r, dte_spa(r, DEV), 1);
	tail = 32;
	assert_int_equal(dma_write(r, 0x10000 + CBIT_VI_REG_CMD_TAIL, &tail, 8, NULL), CBIT_DMA_OK);
	assert_int_equal(irqs, 0);
	assert_int_equal(dma_write(r, 0x10000 + CBIT_VI_REG_CMD_TAIL, &tail, 8, NULL),
			 CBIT_DMA_FAULT);
	/* An event's interrupt out of a DMA. */
	assert_int_equal(irqs, 1);
	rig_free(r);
}

/* --- event log --- */

static void fault(struct rig *r, unsigned int n)
{
	uint8_t b;

	for (unsigned int i = 0; i < n; i++)
		dma_read(r, 0x1000 * (1 + i), &b, 1, NULL);
}

static void test_log_ring(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t ring = reg_spa(r, CBIT_VI_REG_EVT_BASE);

	(void)state;
	/* By hand: tail tells how far, the entry is in DRAM, head says what was read. */
	fault(r, 1);
	assert_int_equal(reg(r, CBIT_VI_REG_EVT_TAIL), 16);
	assert_int_equal(get64(r, ring), 0x2000000100000100);
	assert_int_equal(get64(r, ring + 8), 0x1000);
	expect_status(r, CBIT_VI_STATUS_EVT_INT, CBIT_VI_STATUS_EVT_OVERFLOW);
	set_reg(r, CBIT_VI_REG_EVT_HEAD, 16);
	expect_no_log(r);
	/* Round and round. */
	for (unsigned int i = 1; i < 600; i++) {
		fault(r, 1);
		assert_int_equal(reg(r, CBIT_VI_REG_EVT_TAIL), (i + 1) * 16 % 4096);
		set_reg(r, CBIT_VI_REG_EVT_HEAD, reg(r, CBIT_VI_REG_EVT_TAIL));
	}
	/* Somewhere else, 512 entries, without encryption. */
	set_reg(r, CBIT_VI_REG_EVT_BASE, SCRATCH | 9ull << 56);
	fault(r, 500);
	assert_int_equal(reg(r, CBIT_VI_REG_EVT_TAIL), 500 * 16);
	expect_status(r, CBIT_VI_STATUS_EVT_RUN, CBIT_VI_STATUS_EVT_OVERFLOW);
	expect_log(r, DEV, 0x20000001, 0x1000);
	/* Where nothing is, events vanish as posted writes do. */
	set_reg(r, CBIT_VI_REG_EVT_BASE, WINDOW | 8ull << 56);
	fault(r, 1);
	expect_status(r, CBIT_VI_STATUS_EVT_RUN, 0);
	expect_no_log(r);
	rig_free(r);
}

/* Linux: amd_iommu_restart_event_logging(). */
static void test_overflow(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t control = reg(r, CBIT_VI_REG_CONTROL) | CBIT_VI_CTRL_EVT_INT;

	(void)state;
	irqs = 0;
	cbit_iommu_on_irq(r->iommu, on_irq, NULL);
	set_reg(r, CBIT_VI_REG_CONTROL, control);
	fault(r, 255);
	expect_status(r, CBIT_VI_STATUS_EVT_RUN | CBIT_VI_STATUS_EVT_INT,
		      CBIT_VI_STATUS_EVT_OVERFLOW);
	assert_int_equal(irqs, 1); /* EventLogInt was never cleared */
	fault(r, 1);
	expect_status(r, CBIT_VI_STATUS_EVT_OVERFLOW, CBIT_VI_STATUS_EVT_RUN);
	assert_int_equal(irqs, 2);
	fault(r, 1);
	assert_int_equal(irqs, 2);
	/* Making room is not enough, nor is switching it off and on, nor clearing the bit. */
	set_reg(r, CBIT_VI_REG_EVT_HEAD, reg(r, CBIT_VI_REG_EVT_TAIL));
	fault(r, 1);
	set_reg(r, CBIT_VI_REG_CONTROL, control & ~CBIT_VI_CTRL_EVT_LOG);
	set_reg(r, CBIT_VI_REG_CONTROL, control);
	expect_status(r, CBIT_VI_STATUS_EVT_OVERFLOW, CBIT_VI_STATUS_EVT_RUN);
	fault(r, 1);
	set_reg(r, CBIT_VI_REG_STATUS, 0);
	expect_status(r, CBIT_VI_STATUS_EVT_OVERFLOW, 0);
	set_reg(r, CBIT_VI_REG_STATUS, CBIT_VI_STATUS_EVT_OVERFLOW);
	expect_status(r, CBIT_VI_STATUS_EVT_INT,
		      CBIT_VI_STATUS_EVT_OVERFLOW | CBIT_VI_STATUS_EVT_RUN);
	fault(r, 1);
	expect_no_log(r);
	/* All three, in order. */
	set_reg(r, CBIT_VI_REG_CONTROL, control & ~CBIT_VI_CTRL_EVT_LOG);
	set_reg(r, CBIT_VI_REG_STATUS, ~0ull);
	set_reg(r, CBIT_VI_REG_CONTROL, control);
	expect_status(r, CBIT_VI_STATUS_EVT_RUN | CBIT_VI_STATUS_CMD_RUN, 0x7);
	fault(r, 1);
	assert_int_equal(irqs, 3);
	expect_log(r, DEV, 0x20000001, 0x1000);
	expect_no_log(r);
	/* Off: nothing is logged, and nothing is lost that was counted as overflow. */
	set_reg(r, CBIT_VI_REG_CONTROL, control & ~CBIT_VI_CTRL_EVT_LOG);
	fault(r, 1);
	expect_no_log(r);
	expect_status(r, 0, CBIT_VI_STATUS_EVT_OVERFLOW | CBIT_VI_STATUS_EVT_RUN);
	rig_free(r);
}

/* --- many at once --- */

#define ROUNDS 300

static void *dma_thread(void *opaque)
{
	struct rig *r = opaque;
	uint8_t buf[64];
	uint64_t v = 0;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		dma_read(r, 0x5000, buf, sizeof(buf), NULL);
		dma_write(r, 0x10000 + CBIT_VI_REG_STATUS, &v, sizeof(v), NULL);
		dma_read(r, 0x10000 + CBIT_VI_REG_CMD_HEAD, &v, sizeof(v), NULL);
		cbit_iommu_msi(r->iommu, DEV, 0xfee00000, i & 3, NULL);
	}
	return NULL;
}

/* Rings and waits as a driver does; what it waits for comes, whoever carries it out. */
static void *driver_thread(void *opaque)
{
	struct rig *r = opaque;
	uint64_t at = bus_of(r, SCRATCH).v, tail = 0, seen;

	for (unsigned int i = 1; i <= ROUNDS; i++) {
		const uint32_t dw[4] = { (uint32_t)at | 1, 0x10000000 | (uint32_t)(at >> 32), i,
					 0 };
		const uint32_t all[4] = { 0, 0x80000000, 0, 0 };
		uint64_t ring = bus_of(r, r->iommu->cmd_ring.v).v;

		cbit_mem_write(r->mem, (struct cbit_bus){ ring + tail }, all, 16);
		tail = (tail + 16) & 0xfff;
		cbit_mem_write(r->mem, (struct cbit_bus){ ring + tail }, dw, 16);
		tail = (tail + 16) & 0xfff;
		cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + CBIT_VI_REG_CMD_TAIL }, &tail,
			       8);
		do
			cbit_mem_read(r->mem, (struct cbit_bus){ at }, &seen, 8);
		while (seen != i);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct rig *r = vi_rig_new(true);
	pthread_t thread[4];

	(void)state;
	map(r, 0x5000, CLIENT, 4096, ENC);
	map(r, 0x10000, WINDOW, CBIT_VI_WINDOW, PLAIN);
	put64(r, dte_spa(r, DEV) + 16, 1 | 9 << 1 | 2ull << 60 | bus_of(r, SCRATCH + 4096).v);
	for (unsigned int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, dma_thread, r);
	pthread_create(&thread[3], NULL, driver_thread, r);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		cbit_domain_unmap(r->domain, CBIT_IOVA(0x5000), 4096, NULL);
		map(r, 0x5000, CLIENT, 4096, ENC);
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),    cmocka_unit_test(test_bits),
		cmocka_unit_test(test_parts),    cmocka_unit_test(test_window),
		cmocka_unit_test(test_peer),     cmocka_unit_test(test_log_ring),
		cmocka_unit_test(test_overflow), cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
