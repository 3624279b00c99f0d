/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults of a dsa device: each kind where the real thing would happen, and that the next try works.
 */
#include "dsa_rig.h"

#include <dev/pci_internal.h>

#include <stdio.h>

struct faulty {
	struct rig rig;
	struct cbit_fault_plan *plan;
	unsigned int index_seen[5];
	char detail[128];
};

static struct faulty *current;

static void irq(void *opaque, unsigned int index, unsigned int vector)
{
	rig_irq(opaque, index, vector);
	__atomic_add_fetch(&current->index_seen[index], 1, __ATOMIC_SEQ_CST);
}

static void observe(void *opaque, const struct cbit_event *ev)
{
	if (ev->type == CBIT_EVENT_FAULT)
		snprintf(current->detail, sizeof(current->detail), "%s", ev->fault->detail);
	rig_event(opaque, ev);
}

static unsigned int faults(const struct faulty *f)
{
	return __atomic_load_n(&f->rig.events[CBIT_EVENT_FAULT], __ATOMIC_SEQ_CST);
}

/* A device with the rule, its queues 0 and 1 on, and a pattern to copy. */
static struct faulty *faulty(const char *spec)
{
	struct faulty *f = calloc(1, sizeof(*f));
	struct rig *rig = &f->rig;
	struct cbit_pci *pci;

	current = f;
	assert_int_equal(cbit_fault_plan_create(&f->plan), 0);
	assert_int_equal(cbit_fault_plan_add(f->plan, spec, NULL), 0);
	rig_up(rig, "bare", "dsa", NULL);
	rig->observer.event = observe;
	pci = rig->pci[0];
	cbit_pci_close(pci);
	pci->host.irq = irq;
	assert_int_equal(cbit_pci_set_faults(pci, f->plan), 0);
	cbit_pci_open(pci);
	cfg_write(pci, 4, 0x0006, 2);
	cbit_pci_set_irqs_enabled(pci, 2, 9);
	enable(rig);
	for (uint64_t i = 0; i < 0x2000; i += 8) {
		uint64_t v = i * UINT64_C(0x9e3779b97f4a7c15) + 1;

		ram_write(rig, SRC_AT + i, &v, 8);
	}
	return f;
}

static void done(struct faulty *f)
{
	rig_down(&f->rig);
	cbit_fault_plan_destroy(f->plan);
	free(f);
}

/* Copy a page, with an interrupt of vector 1; how it ended. */
static unsigned int copy_page(struct faulty *f)
{
	static const uint8_t zeros[4096];
	struct desc d = make(MEMMOVE, DONE | RCI, sizeof(zeros));

	d.irq = 1;
	ram_write(&f->rig, DST_AT, zeros, sizeof(zeros));
	return run(&f->rig, &d).status;
}

static bool copied(struct faulty *f)
{
	return same(&f->rig, SRC_AT, DST_AT, 4096);
}

static void test_completion_error(void **state)
{
	static const struct {
		const char *spec;
		unsigned int status;
	} cases[] = {
		{ "completion-error,after=1", 0x20 },
		{ "completion-error,after=1,status=0x1c,queue=0", 0x1c },
		/* a device that lies: success, and nothing was done */
		{ "completion-error,after=1,status=1", 0x01 },
		/* no status of this device at all */
		{ "completion-error,after=1,status=0x100", 0x20 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct faulty *f = faulty(cases[i].spec);

		assert_int_equal(copy_page(f), 1);
		assert_true(copied(f));
		assert_int_equal(copy_page(f), cases[i].status);
		assert_false(copied(f));
		assert_int_equal(faults(f), 1);
		assert_non_null(strstr(f->detail, "not carried out, status 0x"));
		assert_int_equal(copy_page(f), 1);
		assert_true(copied(f));
		done(f);
	}
}

/* Descriptors of a batch are commands; one that is malformed by itself is not asked about. */
static void test_batch(void **state)
{
	struct faulty *f = faulty("completion-error,every=2,count=2,queue=0");
	struct desc list[6], d = make(BATCH, DONE, 6);
	struct comp c;

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		list[i] = make(MEMMOVE, DONE, 0x100);
		list[i].dst += 0x100 * i;
		list[i].comp = IOVA(COMP_AT + 0x1000 + 32 * i);
	}
	list[0].op = 0x3fu << 24 | DONE;
	ram_write(&f->rig, LIST_AT, list, sizeof(list));
	d.src = IOVA(LIST_AT);
	c = run(&f->rig, &d);
	assert_int_equal(c.status, 5);
	assert_int_equal(c.done, 6);
	for (unsigned int i = 0; i < 6; i++) {
		static const uint8_t status[] = { 0x10, 1, 0x20, 1, 0x20, 1 };

		ram_read(&f->rig, COMP_AT + 0x1000 + 32 * i, &c, sizeof(c));
		assert_int_equal(c.status, status[i]);
		assert_int_equal(same(&f->rig, SRC_AT, DST_AT + 0x100 * i, 0x100), status[i] == 1);
	}
	assert_int_equal(faults(f), 2);
	done(f);
}

/* The same seed, the same failures, and about as many as were asked for. */
static void test_probability(void **state)
{
	uint64_t failed[2] = { 0 };

	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		struct faulty *f = faulty("completion-error,probability=0.5,seed=11");

		for (unsigned int i = 0; i < 64; i++) {
			unsigned int status = copy_page(f);

			assert_true(status == 1 || status == 0x20);
			assert_int_equal(copied(f), status == 1);
			failed[round] |= (uint64_t)(status != 1) << i;
		}
		assert_int_equal(faults(f), __builtin_popcountll(failed[round]));
		done(f);
	}
	assert_true(failed[0] == failed[1]);
	assert_in_range(__builtin_popcountll(failed[0]), 16, 48);
}

static void test_lost_interrupt(void **state)
{
	struct faulty *f = faulty("lost-interrupt,vector=1,every=2");

	(void)state;
	for (unsigned int i = 1; i <= 4; i++) {
		assert_int_equal(copy_page(f), 1);
		assert_int_equal(command(&f->rig, DRAIN_ALL, 0), 0);
		assert_int_equal(f->index_seen[2], (i + 1) / 2);
	}
	assert_string_equal(f->detail, "MSI-X vector 1: not delivered");
	done(f);
}

/* A descriptor that never came: of the queue that the rule names, and nobody is told. */
static void test_stuck_doorbell(void **state)
{
	struct faulty *f = faulty("stuck-doorbell,queue=1");
	struct desc d = make(NOOP, DONE, 0);
	const struct comp none = { 0 };

	(void)state;
	assert_int_equal(copy_page(f), 1);
	assert_int_equal(faults(f), 0);
	ram_write(&f->rig, COMP_AT, &none, sizeof(none));
	submit(&f->rig, 1, &d);
	assert_int_equal(command(&f->rig, DRAIN_ALL, 0), 0);
	assert_int_equal(faults(f), 1);
	assert_int_equal(completion(&f->rig).status, 0);
	assert_int_equal(swerr(&f->rig), 0);
	submit(&f->rig, 1, &d);
	assert_int_equal(command(&f->rig, DRAIN_ALL, 0), 0);
	assert_int_equal(completion(&f->rig).status, 1);
	done(f);
}

static void test_delayed(void **state)
{
	struct faulty *f = faulty("delayed-completion,delay=60ms");
	uint64_t start = now_ms();

	(void)state;
	assert_int_equal(copy_page(f), 1);
	assert_true(now_ms() - start >= 60);
	assert_true(copied(f));
	assert_int_equal(faults(f), 1);
	done(f);
}

/* What ends a descriptor that is late: it never completes, and nobody waits for it. */
static void test_delayed_ended(void **state)
{
	static const struct comp none;

	(void)state;
	for (unsigned int how = 0; how < 4; how++) {
		struct faulty *f = faulty("delayed-completion,delay=3600s");
		struct rig *rig = &f->rig;
		struct desc d = make(MEMMOVE, DONE | RCI, 4096);
		uint64_t start = now_ms();

		d.irq = 1;
		ram_write(rig, COMP_AT, &none, sizeof(none));
		submit(rig, 0, &d);
		while (!faults(f))
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
		if (how == 0)
			assert_int_equal(command(rig, ABORT_WQ, 1), 0);
		else if (how == 1)
			assert_int_equal(command(rig, RESET_DEV, 0), 0);
		else if (how == 2)
			cbit_pci_reset(rig->pci[0]);
		assert_int_equal(completion(rig).status, 0);
		assert_int_equal(f->index_seen[2], 0);
		if (how && how < 3)
			enable(rig);
		if (how < 3) {
			assert_int_equal(copy_page(f), 1);
			assert_true(copied(f));
		}
		/* the last one ends with the device */
		done(f);
		assert_true(now_ms() - start < 60000);
	}
}

static void test_iommu_fault(void **state)
{
	/* Requests of a copy: source, destination, record in two parts. */
	static const struct {
		const char *spec;
		unsigned int status, swerr;
	} cases[] = {
		{ "iommu-fault", 0x03, 0 },
		{ "iommu-fault,access=write", 0x83, 0 },
		{ "iommu-fault,after=1,access=write", 0, 0x1a },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct faulty *f = faulty(cases[i].spec);
		struct desc d = make(MEMMOVE, DONE, 4096);

		submit(&f->rig, 0, &d);
		assert_int_equal(command(&f->rig, DRAIN_ALL, 0), 0);
		assert_int_equal(completion(&f->rig).status, cases[i].status);
		assert_int_equal(swerr(&f->rig) >> 8 & 0xff, cases[i].swerr);
		assert_int_equal(f->rig.events[CBIT_EVENT_DMA_NOT_MAPPED], 1);
		assert_int_equal(copy_page(f), 1);
		assert_true(copied(f));
		done(f);
	}
}

static void test_removal(void **state)
{
	struct faulty *f = faulty("surprise-removal,after=1");
	struct rig *rig = &f->rig;
	struct desc d = make(MEMMOVE, DONE | RCI, 4096);

	(void)state;
	submit(rig, 0, &d);
	for (int i = 0; i < 50000 && !faults(f); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	assert_true(cbit_pci_removed(rig->pci[0]));
	assert_false(copied(f));
	assert_true(reg_read(rig->pci[0], GENSTS, 4) == UINT32_MAX);
	assert_int_equal(completion(rig).status, 0);
	assert_int_equal(f->index_seen[4], 1); /* REQ */
	assert_int_equal(f->index_seen[2], 0);
	done(f);
}

static void test_link_down(void **state)
{
	struct faulty *f = faulty("link-down,after=2");
	struct rig *rig = &f->rig;
	struct desc d = make(MEMMOVE, DONE, 4096);

	(void)state;
	submit(rig, 0, &d);
	for (int i = 0; i < 50000 && !faults(f); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	assert_true(reg_read(rig->pci[0], GENSTS, 4) == UINT32_MAX);
	assert_int_equal(f->index_seen[3], 1); /* ERR */
	cbit_pci_reset(rig->pci[0]);
	assert_int_equal(reg_read(rig->pci[0], GENSTS, 4), 0);
	enable(rig);
	assert_int_equal(copy_page(f), 1);
	assert_true(copied(f));
	done(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_error), cmocka_unit_test(test_batch),
		cmocka_unit_test(test_probability),      cmocka_unit_test(test_lost_interrupt),
		cmocka_unit_test(test_stuck_doorbell),   cmocka_unit_test(test_delayed),
		cmocka_unit_test(test_delayed_ended),    cmocka_unit_test(test_iommu_fault),
		cmocka_unit_test(test_removal),          cmocka_unit_test(test_link_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
