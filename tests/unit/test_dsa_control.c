/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dsa engine: interrupts, commands, long work and what ends it, another device that submits.
 */
#include "dsa_rig.h"

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
		T(test_interrupts),
		T(test_commands),
		T(test_long_work),
		T(test_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
