/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A link that goes down: what it takes with it, and the end of a device while things come by time.
 */
#include "ioat_rig.h"

#include "dev/pci_internal.h"

#include <semaphore.h>

#define VFS 2u

static struct {
	unsigned int seen[VFS + 1][5];
} irqs;

static unsigned int *seen_by[VFS + 1];

static void irq(void *opaque, unsigned int index, unsigned int vector)
{
	(void)vector;
	__atomic_add_fetch(&((unsigned int *)opaque)[index], 1, __ATOMIC_SEQ_CST);
}

/*
 * The link stays down as long as the test looks: the thread that would bring it back waits in the
 * observer, which is told when it has gone down.
 */
static struct {
	bool on;
	sem_t down, seen;
} hold;

static void hold_link(bool on)
{
	hold.on = on;
	sem_init(&hold.down, 0, 0);
	sem_init(&hold.seen, 0, 0);
}

static void observe(void *opaque, const struct cbit_event *ev)
{
	rig_event(opaque, ev);
	if (!hold.on || ev->type != CBIT_EVENT_FAULT)
		return;
	sem_post(&hold.down);
	while (sem_wait(&hold.seen))
		;
}

static void wait_down(void)
{
	while (sem_wait(&hold.down))
		;
}

/* struct family - a physical function, faulty by @spec, with its virtual ones enabled. */
struct family {
	struct rig rig;
	struct cbit_fault_plan *plan;
	struct cbit_pci *pf, *vf[VFS];
};

static struct family *family(const char *spec)
{
	static const char device[] = "ioat,membar=64K,sriov=2";
	struct family *f = calloc(1, sizeof(*f));

	memset(&irqs, 0, sizeof(irqs));
	for (unsigned int i = 0; i <= VFS; i++)
		seen_by[i] = irqs.seen[i];
	assert_int_equal(cbit_fault_plan_create(&f->plan), 0);
	assert_int_equal(cbit_fault_plan_add(f->plan, spec, NULL), 0);
	rig_up(&f->rig, "bare", device, NULL);
	f->rig.observer.event = observe;
	f->pf = f->rig.pci[0];
	for (unsigned int i = 0; i < VFS; i++) {
		assert_int_equal(
			cbit_pci_create_vf(f->pf, device, i, &f->pf->host, &f->vf[i], NULL), 0);
		f->vf[i]->host.irq = irq;
		f->vf[i]->host.opaque = seen_by[i + 1];
		assert_int_equal(cbit_pci_set_faults(f->vf[i], f->plan), 0);
	}
	cbit_pci_close(f->pf);
	f->pf->host.irq = irq;
	f->pf->host.opaque = seen_by[0];
	assert_int_equal(cbit_pci_set_faults(f->pf, f->plan), 0);
	cbit_pci_enable_vfs(f->pf, VFS);
	for (unsigned int i = 0; i < VFS; i++)
		cbit_pci_open(f->vf[i]);
	cbit_pci_open(f->pf);
	return f;
}

static void done(struct family *f)
{
	for (unsigned int i = 0; i < VFS; i++)
		cbit_pci_close(f->vf[i]);
	cbit_pci_close(f->pf);
	cbit_domain_destroy(f->rig.domain);
	cbit_pci_destroy(f->pf);
	for (unsigned int i = 0; i < VFS; i++)
		cbit_pci_destroy(f->vf[i]);
	cbit_iommu_destroy(f->rig.iommu);
	cbit_mem_destroy(f->rig.mem);
	for (unsigned int i = 0; i < f->rig.memories; i++)
		free(f->rig.memory[i]);
	cbit_fault_plan_destroy(f->plan);
	free(f);
}

static bool there(struct cbit_pci *pci)
{
	return cfg_read(pci, 0x08, 4) != 0xffffffff;
}

static bool comes(struct cbit_pci *pci, bool up)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (int i = 0; i < 20000; i++) {
		if (there(pci) == up)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

static bool signalled(unsigned int who, unsigned int index)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	for (int i = 0; i < 20000; i++) {
		if (__atomic_load_n(&irqs.seen[who][index], __ATOMIC_SEQ_CST))
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

/* The link of the physical function is that of its virtual ones; only its reset brings them back.
 */
static void test_link(void **state)
{
	struct family *f = family("link-down,time=10ms,device=01:00.0");
	uint32_t word;

	(void)state;
	assert_true(comes(f->pf, false));
	for (unsigned int i = 0; i < VFS; i++) {
		assert_true(comes(f->vf[i], false));
		assert_true(signalled(i + 1, 3)); /* ERR */
		cbit_pci_bar_read(f->vf[i], 2, 0, &word, 4);
		assert_int_equal(word, 0xffffffff);
		cbit_pci_reset(f->vf[i]);
		assert_false(there(f->vf[i]));
	}
	/* closed and opened again, there is still no link */
	cbit_pci_close(f->vf[0]);
	cbit_pci_open(f->vf[0]);
	assert_false(there(f->vf[0]));
	cbit_pci_reset(f->pf);
	assert_true(there(f->pf));
	for (unsigned int i = 0; i < VFS; i++) {
		assert_true(there(f->vf[i]));
		assert_false(cbit_pci_removed(f->vf[i]));
	}
	done(f);
}

static void test_removal(void **state)
{
	struct family *f = family("surprise-removal,time=10ms,device=01:00.0");

	(void)state;
	assert_true(signalled(VFS, 4)); /* REQ */
	assert_true(cbit_pci_removed(f->pf));
	for (unsigned int i = 0; i < VFS; i++)
		assert_true(cbit_pci_removed(f->vf[i]));
	cbit_pci_reset(f->pf);
	assert_false(there(f->vf[0]));
	done(f);
}

/* A virtual function alone, and one that comes back by itself with the others. */
static void test_one(void **state)
{
	struct family *f;

	(void)state;
	hold_link(true);
	f = family("link-down,time=10ms,for=1ms,device=01:00.1");
	wait_down();
	assert_false(there(f->vf[0]));
	assert_true(there(f->pf));
	assert_true(there(f->vf[1]));
	sem_post(&hold.seen);
	assert_true(comes(f->vf[0], true));
	done(f);
	f = family("link-down,time=10ms,for=1ms,device=01:00.0");
	wait_down();
	assert_false(there(f->pf));
	assert_false(there(f->vf[0]));
	assert_false(there(f->vf[1]));
	sem_post(&hold.seen);
	assert_true(comes(f->pf, true));
	assert_true(comes(f->vf[0], true));
	assert_true(comes(f->vf[1], true));
	done(f);
	hold_link(false);
}

/* Devices end at any moment, those of the plan's own thread too. */
static void test_end(void **state)
{
	(void)state;
	for (long i = 0; i < 100; i++) {
		struct family *f = family("link-down,time=1ms,for=1ns");

		nanosleep(&(struct timespec){ .tv_nsec = 900000 + i * 4000 }, NULL);
		done(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
