/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault plans on an ioat device: what each kind of fault does to it.
 */
#include "ioat_rig.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>

#include "dev/fault.h"
#include "dev/pci_internal.h"

#include <cbit/report.h>

struct faulty {
	struct rig rig;
	struct cbit_fault_plan *plan;
	struct cbit_report *report;
	struct cbit_fault_info last;
	char detail[128];
	unsigned int index_seen[5];
	bool hold; /* whoever tells of the fault waits until it has been seen */
	sem_t down, seen;
};

static struct faulty *current;

static void observe(void *opaque, const struct cbit_event *ev)
{
	const struct cbit_observer report = cbit_report_observer(current->report);

	rig_event(opaque, ev);
	report.event(report.opaque, ev);
	if (ev->type == CBIT_EVENT_FAULT) {
		current->last = *ev->fault;
		snprintf(current->detail, sizeof(current->detail), "%s", ev->fault->detail);
		if (!current->hold)
			return;
		sem_post(&current->down);
		while (sem_wait(&current->seen))
			;
	} else if (ev->type == CBIT_EVENT_DMA_NOT_MAPPED) {
		assert_true(ev->injected);
	}
}

static void irq(void *opaque, unsigned int index, unsigned int vector)
{
	rig_irq(opaque, index, vector);
	__atomic_add_fetch(&current->index_seen[index], 1, __ATOMIC_SEQ_CST);
}

static struct faulty *faulty(const char *spec)
{
	struct faulty *f = calloc(1, sizeof(*f));
	struct cbit_platform platform;
	struct rig *rig = &f->rig;

	current = f;
	f->hold = strstr(spec, "for=");
	sem_init(&f->down, 0, 0);
	sem_init(&f->seen, 0, 0);
	assert_int_equal(cbit_platform_preset("bare", &platform), 0);
	assert_int_equal(cbit_report_create(&platform, "complete", &f->report), 0);
	assert_int_equal(cbit_fault_plan_create(&f->plan), 0);
	assert_int_equal(cbit_fault_plan_add(f->plan, spec, NULL), 0);
	rig_up(rig, "bare", "ioat,membar=64K", NULL);
	rig->observer.event = observe;
	cbit_pci_close(rig->pci[0]);
	rig->pci[0]->host.irq = irq;
	assert_int_equal(cbit_pci_set_faults(rig->pci[0], f->plan), 0);
	cbit_pci_open(rig->pci[0]);
	cfg_write(rig->pci[0], 4, 0x0006, 2);
	reg_write(rig->pci[0], 0x03, 0x08, 1);
	cbit_pci_set_irqs_enabled(rig->pci[0], 2, 16);
	pattern(rig, SRC_AT, 0x200000, 1);
	/* with a fault by time it may be gone before it has answered */
	if (!strstr(spec, "time="))
		reset_channel(rig);
	return f;
}

static void done(struct faulty *f)
{
	/* What was injected is nobody's finding. */
	assert_int_equal(cbit_report_count(f->report), 0);
	rig_down(&f->rig);
	cbit_fault_plan_destroy(f->plan);
	cbit_report_destroy(f->report);
	free(f);
}

/* Copy a page with interrupt and completion; the state it ends in. */
static unsigned int copy_page(struct faulty *f)
{
	struct rig *rig = &f->rig;
	struct desc d = copy(4096);

	d.control = INT | COMPLETION;
	put(rig, 0, d);
	put_u64(rig, COMP_AT, 0);
	pattern(rig, DST_AT, 4096, 77);
	reg_write(rig->pci[0], CHANCMP, IOVA(COMP_AT), 8);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	return settled(rig);
}

static bool copied(struct faulty *f)
{
	return same(&f->rig, SRC_AT, DST_AT, 4096);
}

static void test_iommu_fault(void **state)
{
	/* Requests of a copy: descriptor, source, destination, completion. */
	static const struct {
		const char *spec;
		uint32_t error;
		bool copied;
	} cases[] = {
		{ "iommu-fault", ERR_READ, false },
		{ "iommu-fault,after=1", ERR_SRC, false },
		{ "iommu-fault,access=write", ERR_DST, false },
		{ "iommu-fault,after=1,access=write", 0x1000, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct faulty *f = faulty(cases[i].spec);
		struct rig *rig = &f->rig;

		assert_int_equal(copy_page(f), HALTED);
		assert_int_equal(reg_read(rig->pci[0], CHANERR, 4), cases[i].error);
		assert_int_equal(copied(f), cases[i].copied);
		assert_int_equal(rig->events[CBIT_EVENT_FAULT], 1);
		assert_int_equal(rig->events[CBIT_EVENT_DMA_NOT_MAPPED], 1);
		assert_int_equal(rig->irqs, 0);
		/* The mapping is as it was: the driver's second try works. */
		reset_channel(rig);
		reg_write(rig->pci[0], CHANERR, ~0u, 4);
		assert_int_equal(copy_page(f), DONE);
		assert_true(copied(f));
		assert_int_equal(rig->irqs, 1);
		assert_int_equal(rig->events[CBIT_EVENT_FAULT], 1);
		done(f);
	}
}

/* The IOMMU writes its event log in memory, as for any page fault. */
static void test_event_log(void **state)
{
	struct faulty *f = faulty("iommu-fault,after=1");
	struct rig *rig = &f->rig;
	struct cbit_iommu_log_entry entry;
	const uint32_t *dw = entry.dw;

	(void)state;
	assert_int_equal(copy_page(f), HALTED);
	assert_int_equal(cbit_iommu_log_pop(rig->iommu, &entry), 0);
	assert_int_equal(dw[0] & 0xffff, 0x100);
	assert_int_equal(dw[1] >> 28, CBIT_VI_EVT_IO_PAGE_FAULT);
	assert_int_equal(dw[2] | (uint64_t)dw[3] << 32, IOVA(SRC_AT));
	done(f);
}

static void test_completion_error(void **state)
{
	struct faulty *f = faulty("completion-error,after=1");
	struct rig *rig = &f->rig;

	(void)state;
	assert_int_equal(copy_page(f), DONE);
	assert_int_equal(copy_page(f), HALTED);
	assert_int_equal(reg_read(rig->pci[0], CHANERR, 4), 0x200);
	assert_int_equal(ram_u64(rig, COMP_AT) & 7, HALTED);
	assert_false(copied(f));
	assert_int_equal(f->last.number, 1);
	assert_int_equal(f->last.event, 2);
	reset_channel(rig);
	reg_write(rig->pci[0], CHANERR, ~0u, 4);
	assert_int_equal(copy_page(f), DONE);
	assert_true(copied(f));
	done(f);
}

static void test_completion_status(void **state)
{
	struct faulty *f = faulty("completion-error,status=0x41");

	(void)state;
	assert_int_equal(copy_page(f), HALTED);
	assert_int_equal(reg_read(f->rig.pci[0], CHANERR, 4), 0x41);
	done(f);
}

static void test_lost_interrupt(void **state)
{
	struct faulty *f = faulty("lost-interrupt,every=2,vector=0");

	(void)state;
	for (unsigned int i = 1; i <= 6; i++) {
		assert_int_equal(copy_page(f), DONE);
		assert_true(copied(f));
		assert_int_equal(f->rig.irqs, (i + 1) / 2);
	}
	assert_string_equal(f->detail, "MSI-X vector 0: not delivered");
	assert_int_equal(f->last.times, 3);
	done(f);
}

/* The pin: the message is lost, what it says can still be read. */
static void test_lost_pin(void **state)
{
	struct faulty *f = faulty("lost-interrupt");
	struct rig *rig = &f->rig;

	(void)state;
	cbit_pci_set_irqs_enabled(rig->pci[0], 2, 0);
	reg_write(rig->pci[0], 0x03, 0x01, 1);
	assert_int_equal(copy_page(f), DONE);
	assert_int_equal(rig->irqs, 0);
	assert_true(cbit_pci_intx(rig->pci[0]));
	assert_int_equal(reg_read(rig->pci[0], 0x04, 4), 1);
	assert_false(cbit_pci_intx(rig->pci[0]));
	assert_int_equal(copy_page(f), DONE);
	assert_int_equal(rig->irqs, 1);
	done(f);
}

static void test_stuck_doorbell(void **state)
{
	struct faulty *f = faulty("stuck-doorbell");
	struct rig *rig = &f->rig;

	(void)state;
	assert_int_equal(copy_page(f), ARMED);
	assert_int_equal(reg_read(rig->pci[0], DMACOUNT, 2), 0);
	doorbell(rig, 1);
	assert_int_equal(settled(rig), DONE);
	assert_true(copied(f));
	done(f);
}

static void test_delayed(void **state)
{
	struct faulty *f = faulty("delayed-completion,delay=60ms");
	struct rig *rig = &f->rig;
	uint64_t start = now_ms();

	(void)state;
	assert_int_equal(copy_page(f), DONE);
	assert_true(now_ms() - start >= 60);
	assert_true(copied(f));
	assert_int_equal(rig->irqs, 1);
	done(f);
}

/* A reset does not wait for what is late, and what is late never ends. */
static void test_delayed_reset(void **state)
{
	struct faulty *f = faulty("delayed-completion,delay=3600s");
	struct rig *rig = &f->rig;
	uint64_t start = now_ms();
	struct desc d = copy(4096);

	(void)state;
	d.control = INT | COMPLETION;
	put(rig, 0, d);
	reg_write(rig->pci[0], CHANCMP, IOVA(COMP_AT), 8);
	put_u64(rig, COMP_AT, 0);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	while (!__atomic_load_n(&rig->events[CBIT_EVENT_FAULT], __ATOMIC_SEQ_CST))
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	assert_int_equal(state_now(rig), ACTIVE);
	reset_channel(rig);
	assert_int_equal(ram_u64(rig, COMP_AT), 0);
	assert_int_equal(copy_page(f), DONE);
	assert_true(copied(f));
	assert_true(now_ms() - start < 60000);
	done(f);
}

/* Nor does stopping the device to move it: what is late ends then. */
static void test_delayed_frozen(void **state)
{
	struct faulty *f = faulty("delayed-completion,delay=3600s");
	struct rig *rig = &f->rig;
	uint64_t start = now_ms();
	struct desc d = copy(4096);

	(void)state;
	d.control = COMPLETION;
	put(rig, 0, d);
	reg_write(rig->pci[0], CHANCMP, IOVA(COMP_AT), 8);
	put_u64(rig, COMP_AT, 0);
	chain(rig, IOVA(DESC(0)));
	doorbell(rig, 1);
	while (!__atomic_load_n(&rig->events[CBIT_EVENT_FAULT], __ATOMIC_SEQ_CST))
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	cbit_pci_freeze(rig->pci[0], true);
	assert_true(now_ms() - start < 60000);
	assert_int_equal(ram_u64(rig, COMP_AT) & 7, DONE);
	assert_true(copied(f));
	cbit_pci_freeze(rig->pci[0], false);
	done(f);
}

static void test_removal(void **state)
{
	struct faulty *f = faulty("surprise-removal,after=1");
	struct rig *rig = &f->rig;
	struct cbit_pci *pci = rig->pci[0];
	uint64_t word = 0;

	(void)state;
	assert_false(cbit_pci_removed(pci));
	copy_page(f);
	assert_true(cbit_pci_removed(pci));
	assert_false(copied(f));
	assert_int_equal(f->index_seen[4], 1); /* REQ */
	assert_int_equal(f->index_seen[2], 0);
	assert_true(reg_read(pci, CHANSTS, 8) == UINT64_MAX);
	cbit_pci_bar_read(pci, 2, 0x100, &word, 8);
	assert_true(word == UINT64_MAX);
	/* Configuration space: vfio keeps some of it, the device answers nothing. */
	assert_int_equal(cfg_read(pci, 0x00, 4), 0x20218086);
	assert_int_equal(cfg_read(pci, 0x04, 4), 0xfffffbff);
	assert_int_equal(cfg_read(pci, 0x08, 4), 0xffffffff);
	assert_int_equal(cfg_read(pci, 0x34, 1), 0x40);
	assert_int_equal(cfg_read(pci, 0x40, 4), 0x07ff50ff);
	assert_int_equal(cfg_read(pci, 0x180, 4), 0xffffffff);
	cfg_write(pci, 4, 0, 2);
	assert_int_equal(cfg_read(pci, 0x04, 2), 0xfbff);
	/* Nothing brings it back. */
	cbit_pci_reset(pci);
	assert_true(reg_read(pci, CHANSTS, 8) == UINT64_MAX);
	cbit_pci_close(pci);
	cbit_pci_open(pci);
	assert_true(reg_read(pci, CHANSTS, 8) == UINT64_MAX);
	assert_int_equal(rig->events[CBIT_EVENT_FAULT], 1);
	done(f);
}

static void test_link_down(void **state)
{
	struct faulty *f = faulty("link-down,after=2");
	struct rig *rig = &f->rig;
	struct cbit_pci *pci = rig->pci[0];

	(void)state;
	copy_page(f);
	assert_false(copied(f));
	assert_false(cbit_pci_removed(pci));
	assert_int_equal(f->index_seen[3], 1); /* ERR */
	assert_true(reg_read(pci, CHANSTS, 8) == UINT64_MAX);
	assert_int_equal(cfg_read(pci, 0x08, 4), 0xffffffff);
	cbit_pci_reset(pci);
	assert_int_equal(cfg_read(pci, 0x08, 4), 0x08800004);
	assert_int_equal(cfg_read(pci, 0x04, 2), 0x0006);
	assert_int_equal(sts(rig), HALTED);
	reg_write(pci, 0x03, 0x08, 1);
	assert_int_equal(copy_page(f), DONE);
	assert_true(copied(f));
	assert_int_equal(f->index_seen[2], 1);
	done(f);
}

static bool comes(struct cbit_pci *pci, bool up)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (int i = 0; i < 20000; i++) {
		if ((cfg_read(pci, 0x08, 4) != 0xffffffff) == up)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

static void test_link_by_time(void **state)
{
	struct faulty *f = faulty("link-down,time=20ms,for=1ms");
	struct rig *rig = &f->rig;
	struct cbit_pci *pci = rig->pci[0];

	(void)state;
	while (sem_wait(&f->down))
		;
	assert_true(cfg_read(pci, 0x08, 4) == 0xffffffff);
	sem_post(&f->seen);
	assert_true(comes(pci, true));
	/* As after a reset that nobody restored anything after. */
	assert_int_equal(cfg_read(pci, 0x04, 2), 0);
	cfg_write(pci, 4, 6, 2);
	reg_write(pci, 0x03, 0x08, 1);
	reset_channel(rig);
	assert_int_equal(copy_page(f), DONE);
	assert_true(copied(f));
	assert_int_equal(f->last.event, 0);
	assert_int_equal(rig->events[CBIT_EVENT_FAULT], 1);
	done(f);
}

static void test_removal_by_time(void **state)
{
	struct faulty *f = faulty("surprise-removal,time=10ms");

	(void)state;
	assert_true(comes(f->rig.pci[0], false));
	done(f);
}

static void test_other_device(void **state)
{
	struct faulty *f = faulty("iommu-fault,device=01:00.1");

	(void)state;
	assert_null(f->rig.pci[0]->faults); /* not even asked */
	assert_int_equal(copy_page(f), DONE);
	assert_true(copied(f));
	done(f);
}

/* A finding that comes after a fault says so. */
static void test_finding_after(void **state)
{
	struct faulty *f = faulty("lost-interrupt");
	struct rig *rig = &f->rig;
	char *text;

	(void)state;
	assert_int_equal(copy_page(f), DONE);
	cfg_write(rig->pci[0], 4, 2, 2);
	copy_page(f);
	assert_int_equal(cbit_report_count(f->report), 1);
	text = cbit_report_text(f->report);
	assert_non_null(strstr(text, "cbit: finding bus-master-off"));
	assert_non_null(strstr(text, "after:   fault 1, lost-interrupt of device 0000:01:00.0\n"));
	free(text);
	text = cbit_report_json(f->report);
	assert_non_null(strstr(text, "\"after_fault\""));
	assert_non_null(strstr(text, "\"fault_count\": 1"));
	free(text);
	cbit_report_destroy(f->report);
	assert_int_equal(cbit_report_create(&(struct cbit_platform){ .name = "bare" }, "complete",
					    &f->report),
			 0);
	done(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iommu_fault),      cmocka_unit_test(test_event_log),
		cmocka_unit_test(test_completion_error), cmocka_unit_test(test_completion_status),
		cmocka_unit_test(test_lost_interrupt),   cmocka_unit_test(test_lost_pin),
		cmocka_unit_test(test_stuck_doorbell),   cmocka_unit_test(test_delayed),
		cmocka_unit_test(test_delayed_reset),    cmocka_unit_test(test_delayed_frozen),
		cmocka_unit_test(test_removal),          cmocka_unit_test(test_link_down),
		cmocka_unit_test(test_link_by_time),     cmocka_unit_test(test_removal_by_time),
		cmocka_unit_test(test_other_device),     cmocka_unit_test(test_finding_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
