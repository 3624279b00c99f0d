/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ioat engine on its worker: commands while it runs, and copies to other devices' BARs.
 */
#include "ioat_rig.h"

/* A queue of 64 GiB: the doorbell returns at once, and commands take effect meanwhile. */
static void long_run(struct rig *rig)
{
	struct desc d = copy(1 << 20);

	d.control = INT;
	d.next = IOVA(DESC(0));
	put(rig, 0, d);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 65535);
	assert_int_equal(state_now(rig), ACTIVE);
}

static void wait_for_progress(struct rig *rig)
{
	unsigned int before = __atomic_load_n(&rig->irqs, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&rig->irqs, __ATOMIC_SEQ_CST) < before + 2)
		assert_int_equal(state_now(rig), ACTIVE);
}

static void test_long_run(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	const struct timespec nap = { .tv_nsec = 5000000 };
	unsigned int irqs;

	long_run(rig);
	wait_for_progress(rig);
	reset_channel(rig);
	irqs = __atomic_load_n(&rig->irqs, __ATOMIC_SEQ_CST);
	nanosleep(&nap, NULL);
	assert_int_equal(sts(rig), HALTED);
	assert_int_equal(__atomic_load_n(&rig->irqs, __ATOMIC_SEQ_CST), irqs);

	long_run(rig);
	wait_for_progress(rig);
	reg_write(pci, CHANCMD, SUSPEND, 1);
	assert_int_equal(settled(rig), SUSPENDED);
	assert_int_equal(sts(rig), IOVA(DESC(0)) | SUSPENDED);

	/* a new chain over a running one: only the new one counts */
	long_run(rig);
	wait_for_progress(rig);
	put(rig, 1, copy(64));
	chain(rig, IOVA(DESC(1)));
	doorbell(rig, 1);
	assert_int_equal(settled(rig), DONE);
	assert_int_equal(sts(rig), IOVA(DESC(1)) | DONE);

	/* DPDK's recovery does not wait for the bit */
	long_run(rig);
	wait_for_progress(rig);
	reg_write(pci, CHANCMD, RESET, 1);
	reg_write(pci, CHAINADDR, IOVA(DESC(1)), 8);
	assert_int_equal(sts(rig), ARMED);
	doorbell(rig, 1);
	assert_int_equal(settled(rig), DONE);

	/* resets of the function, and memory pulled away under the engine */
	long_run(rig);
	cbit_pci_reset(pci);
	assert_int_equal(sts(rig), HALTED);
	assert_int_equal(reg_read(pci, 0x03, 1), 0);
	reg_write(pci, 0x03, 0x08, 1);
	long_run(rig);
	wait_for_progress(rig);
	assert_int_equal(cbit_domain_unmap(rig->domain, CBIT_IOVA(RAM_IOVA), RAM_SIZE, NULL), 0);
	assert_int_equal(settled(rig), HALTED);
	assert_int_equal(cbit_domain_map(rig->domain, CBIT_IOVA(RAM_IOVA), rig->ram, RAM_SIZE,
					 rig_ram_attrs(rig)),
			 0);
	reg_write(pci, CHANERR, 0xffffffff, 4);
	long_run(rig);
	cfg_write(pci, 0x04, 0x0002, 2);
	assert_int_equal(settled(rig), HALTED);
	cfg_write(pci, 0x04, 0x0006, 2);
	/* and the rig goes down with the engine running */
	long_run(rig);
}

static void map_bar(struct rig *rig, unsigned int dev, unsigned int bar, uint64_t iova, bool c)
{
	const struct cbit_bar_info *info = cbit_pci_bar(rig->pci[dev], bar);

	assert_int_equal(cbit_domain_map(rig->domain, CBIT_IOVA(iova), info->spa, info->size,
					 CBIT_ATTR_RW | (c ? CBIT_ATTR_ENCRYPTED : 0)),
			 0);
}

static void test_peer_to_peer(void **state)
{
	struct rig rig;
	struct desc d = copy(0x8000);
	uint8_t *bar, *ram = malloc(0x8000);

	rig_up(&rig, "sme", "ioat", "ioat,membar=64K");
	bar = cbit_pci_bar(rig.pci[1], 2)->memory;
	pattern(&rig, SRC_AT, 0x8000, 3);
	ram_read(&rig, SRC_AT, ram, 0x8000);
	map_bar(&rig, 1, 2, 0x40000000, false);
	map_bar(&rig, 1, 2, 0x50000000, true);

	/* C clear: arrives, and comes back */
	d.dst = 0x40000000;
	put(&rig, 0, d);
	chain(&rig, IOVA(DESC(0)));
	doorbell(&rig, 1);
	assert_int_equal(state_now(&rig), DONE);
	assert_memory_equal(bar, ram, 0x8000);
	d = copy(0x8000);
	d.src = 0x40000000;
	put(&rig, 1, d);
	doorbell(&rig, 2);
	assert_true(same(&rig, SRC_AT, DST_AT, 0x8000));
	assert_int_equal(rig.events[CBIT_EVENT_DMA_ABORT], 0);

	/* C set: the write is lost and the device never knows */
	memset(bar, 0x5a, 0x8000);
	d = copy(0x8000);
	d.dst = 0x50000000;
	put(&rig, 2, d);
	doorbell(&rig, 3);
	assert_int_equal(sts(&rig), IOVA(DESC(2)) | DONE);
	for (size_t i = 0; i < 0x8000; i++)
		assert_int_equal(bar[i], 0x5a);
	assert_true(rig.events[CBIT_EVENT_DMA_ABORT] > 0);
	/* and a read is all ones */
	d = copy(0x8000);
	d.src = 0x50000000;
	put(&rig, 3, d);
	doorbell(&rig, 4);
	assert_int_equal(sts(&rig), IOVA(DESC(3)) | DONE);
	assert_int_equal(reg_read(rig.pci[0], CHANERR, 4), 0);
	ram_read(&rig, DST_AT, ram, 0x8000);
	for (size_t i = 0; i < 0x8000; i++)
		assert_int_equal(ram[i], 0xff);
	rig_down(&rig);
	free(ram);
	(void)state;
}

/* DMA into registers: of a peer, which starts to run, and of the device itself. */
static void test_dma_to_registers(void **state)
{
	struct rig rig;
	struct desc d;
	uint16_t one = 1;

	rig_up(&rig, "bare", "ioat", "ioat");
	pattern(&rig, SRC_AT, 64, 4);
	map_bar(&rig, 0, 0, 0x40000000, false);
	map_bar(&rig, 1, 0, 0x50000000, false);
	/* the peer is armed; its doorbell is rung by a 2-byte copy */
	ram_write(&rig, COMP_AT, &one, 2);
	put(&rig, 8, copy(64));
	reg_write(rig.pci[1], CHAINADDR, IOVA(DESC(8)), 8);
	d = (struct desc){ .size = 2, .src = IOVA(COMP_AT), .dst = 0x50000000 + DMACOUNT };
	put(&rig, 0, d);
	chain(&rig, IOVA(DESC(0)));
	doorbell(&rig, 1);
	assert_int_equal(settled(&rig), DONE);
	while ((reg_read(rig.pci[1], CHANSTS, 8) & 7) == ACTIVE)
		;
	assert_int_equal(reg_read(rig.pci[1], CHANSTS, 8), IOVA(DESC(8)) | DONE);
	assert_true(same(&rig, SRC_AT, DST_AT, 64));
	/* its own status register, read and the count written, while it runs */
	d = (struct desc){ .size = 8, .src = 0x40000000 + CHANSTS, .dst = IOVA(DST_AT) };
	put(&rig, 1, d);
	doorbell(&rig, 2);
	assert_int_equal(ram_u64(&rig, DST_AT), IOVA(DESC(0)) | ACTIVE);
	one = 4;
	ram_write(&rig, COMP_AT, &one, 2);
	put(&rig, 2,
	    (struct desc){ .size = 2, .src = IOVA(COMP_AT), .dst = 0x40000000 + DMACOUNT });
	put(&rig, 3, copy(64));
	doorbell(&rig, 3);
	assert_int_equal(settled(&rig), DONE);
	assert_int_equal(sts(&rig), IOVA(DESC(3)) | DONE);
	/* its own reset: it stops and does not hang */
	one = RESET;
	ram_write(&rig, COMP_AT, &one, 2);
	put(&rig, 4, (struct desc){ .size = 1, .src = IOVA(COMP_AT), .dst = 0x40000000 + CHANCMD });
	doorbell(&rig, 5);
	assert_int_equal(settled(&rig), HALTED);
	assert_int_equal(sts(&rig), HALTED);
	rig_down(&rig);
	(void)state;
}

/*
 * Two devices that ring each other's doorbells and read each other's status, while the domain
 * is changed under them: whoever held a lock over a DMA would hang here.
 */
static void test_crossfire(void **state)
{
	struct rig rig;
	const uint16_t reset_count = 0x5555;

	rig_up(&rig, "bare", "ioat", "ioat");
	map_bar(&rig, 0, 0, 0x40000000, false);
	map_bar(&rig, 1, 0, 0x50000000, false);
	ram_write(&rig, COMP_AT, &reset_count, 2);
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int at = 8 * i;
		uint64_t peer = i ? 0x40000000 : 0x50000000;

		/* read the peer's registers, ring its bell, and round again */
		put(&rig, at, (struct desc){ .size = 64, .src = peer + 0x80, .dst = IOVA(DST_AT) });
		put(&rig, at + 1,
		    (struct desc){ .size = 2,
				   .src = IOVA(COMP_AT),
				   .dst = peer + DMACOUNT,
				   .next = IOVA(DESC(at)) });
		reg_write(rig.pci[i], CHAINADDR, IOVA(DESC(at)), 8);
	}
	for (unsigned int i = 0; i < 2; i++)
		reg_write(rig.pci[i], DMACOUNT, 0x5555, 2);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(cbit_domain_map(rig.domain, CBIT_IOVA(0x60000000), rig.ram, 4096,
						 CBIT_ATTR_RW),
				 0);
		assert_int_equal(cbit_domain_unmap(rig.domain, CBIT_IOVA(0x60000000), 4096, NULL),
				 0);
		cfg_write(rig.pci[i & 1], 0x3c, i, 1);
	}
	for (unsigned int i = 0; i < 2; i++) {
		while ((reg_read(rig.pci[i], CHANSTS, 8) & 7) == ACTIVE)
			;
		assert_int_equal(reg_read(rig.pci[i], CHANSTS, 8) & 7, DONE);
		assert_int_equal(reg_read(rig.pci[i], CHANERR, 4), 0);
	}
	rig_down(&rig);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_long_run),
		cmocka_unit_test(test_peer_to_peer),
		cmocka_unit_test(test_dma_to_registers),
		cmocka_unit_test(test_crossfire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
