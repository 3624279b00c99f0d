/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults of an NVMe controller: each kind where the real thing would happen, and that a driver
 * which does the right thing afterwards loses nothing.
 */
#include "nvme_rig.h"

#include <dev/pci_internal.h>

#define BLOCK 512u

struct faulty {
	struct nrig r;
	struct cbit_fault_plan *plan;
	unsigned int index_seen[5];
};

static struct faulty *current;

static void irq(void *opaque, unsigned int index, unsigned int vector)
{
	rig_irq(opaque, index, vector);
	__atomic_add_fetch(&current->index_seen[index], 1, __ATOMIC_SEQ_CST);
}

static unsigned int faults(const struct faulty *f)
{
	return __atomic_load_n(&f->r.rig.events[CBIT_EVENT_FAULT], __ATOMIC_SEQ_CST);
}

/*
 * A controller with the rule, enabled, with I/O queues 1 and 2 and a pattern on its first blocks.
 * What comes by time may come before it has answered: that one is left as it is opened.
 */
static struct faulty *faulty(const char *spec)
{
	struct faulty *f = calloc(1, sizeof(*f));
	struct nrig *r = &f->r;
	struct cbit_pci *pci;

	current = f;
	assert_int_equal(cbit_fault_plan_create(&f->plan), 0);
	assert_int_equal(cbit_fault_plan_add(f->plan, spec, NULL), 0);
	rig_up(&r->rig, "sme", "nvme,size=1M,cmb=64K,pmr=64K", NULL);
	pci = r->rig.pci[0];
	cbit_pci_close(pci);
	pci->host.irq = irq;
	assert_int_equal(cbit_pci_set_faults(pci, f->plan), 0);
	cbit_pci_open(pci);
	cfg_write(pci, 4, 0x0006, 2);
	cbit_pci_set_irqs_enabled(pci, 2, 8);
	r->reg = cbit_pci_bar(pci, 0)->memory;
	pattern(r, DATA_AT, 8 * BLOCK, 3);
	if (strstr(spec, "time="))
		return f;
	nenable(r);
	nqueues(r, 1);
	nqueues(r, 2);
	return f;
}

static void done(struct faulty *f)
{
	rig_down(&f->r.rig);
	cbit_fault_plan_destroy(f->plan);
	free(f);
}

static struct answer write8(struct faulty *f, unsigned int q, uint64_t lba)
{
	return ndo(&f->r, q, nio(NVME_IO_WRITE, lba, 8, DATA_AT));
}

/* What is there is what was written. */
static bool reads_back(struct faulty *f, unsigned int q, uint64_t lba)
{
	static const uint8_t zeros[8 * BLOCK];

	ram_write(&f->r.rig, OTHER_AT, zeros, sizeof(zeros));
	return ndo(&f->r, q, nio(NVME_IO_READ, lba, 8, OTHER_AT)).status == NVME_OK &&
	       same(&f->r.rig, DATA_AT, OTHER_AT, 8 * BLOCK);
}

static void test_completion_errors(void **state)
{
	static const struct {
		const char *spec;
		uint8_t opcode;
		uint16_t status;
	} cases[] = {
		{ "completion-error,queue=1", NVME_IO_WRITE, NVME_WRITE_FAULT },
		{ "completion-error,queue=1", NVME_IO_WRITE_ZEROES, NVME_WRITE_FAULT },
		{ "completion-error,queue=1", NVME_IO_READ, NVME_READ_ERROR },
		{ "completion-error,queue=1", NVME_IO_COMPARE, NVME_READ_ERROR },
		{ "completion-error,queue=1", NVME_IO_FLUSH, NVME_INTERNAL },
		{ "completion-error,queue=1,status=0x282", NVME_IO_READ, 0x282 },
		{ "completion-error,queue=1,status=0x4", NVME_IO_WRITE, NVME_DATA_TRANSFER },
		/* no status of a command: a fault all the same */
		{ "completion-error,queue=1,status=0x8000", NVME_IO_WRITE, NVME_WRITE_FAULT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct faulty *f = faulty(cases[i].spec);
		struct answer a;

		/* The other queue has no trouble. */
		assert_int_equal(write8(f, 2, 0).status, NVME_OK);
		assert_true(reads_back(f, 2, 0));
		pattern(&f->r, DATA_AT, 8 * BLOCK, 9);
		pattern(&f->r, OTHER_AT, 8 * BLOCK, 11);
		a = ndo(&f->r, 1,
			nio(cases[i].opcode, 0, 8,
			    cases[i].opcode == NVME_IO_READ ? OTHER_AT : DATA_AT));
		assert_int_equal(a.status, cases[i].status);
		/* Undone: the blocks are as they were, and so is the host's memory. */
		pattern(&f->r, DATA_AT, 8 * BLOCK, 11);
		assert_true(same(&f->r.rig, DATA_AT, OTHER_AT, 8 * BLOCK));
		pattern(&f->r, DATA_AT, 8 * BLOCK, 3);
		assert_true(reads_back(f, 2, 0));
		assert_int_equal(ndo(&f->r, 1, nio(NVME_IO_READ, 0, 8, OTHER_AT)).status, NVME_OK);
		assert_int_equal(faults(f), 1);
		done(f);
	}
}

/* Commands of one queue by chance: the same seed, the same ones. */
static void test_probability(void **state)
{
	uint64_t failed[2] = { 0 };

	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		struct faulty *f = faulty("completion-error,queue=1,probability=0.5,seed=5");

		for (unsigned int i = 0; i < 64; i++) {
			uint16_t status = write8(f, 1, 0).status;

			assert_true(status == NVME_OK || status == NVME_WRITE_FAULT);
			failed[round] |= (uint64_t)(status != NVME_OK) << i;
			assert_int_equal(write8(f, 2, 8).status, NVME_OK);
		}
		assert_int_equal(faults(f), __builtin_popcountll(failed[round]));
		done(f);
	}
	assert_true(failed[0] == failed[1]);
	assert_in_range(__builtin_popcountll(failed[0]), 16, 48);
}

static void test_admin_error(void **state)
{
	struct faulty *f = faulty("completion-error,queue=0,after=4");
	const struct nvme_sqe id = { .opcode = NVME_ADM_IDENTIFY,
				     .dptr = { IOVA(OTHER_AT) },
				     .cdw10 = NVME_CNS_CONTROLLER };

	(void)state;
	/* Four commands made the queues. */
	assert_int_equal(nadmin(&f->r, id).status, NVME_INTERNAL);
	assert_int_equal(nadmin(&f->r, id).status, NVME_OK);
	done(f);
}

/* The command after it overtakes it, and sees what it did. */
static void test_delayed_overtaken(void **state)
{
	struct faulty *f = faulty("delayed-completion,queue=1,delay=3600s");
	struct nrig *r = &f->r;
	struct nvme_sqe sqe = nio(NVME_IO_WRITE, 0, 8, DATA_AT);

	(void)state;
	nput(r, 1, &sqe);
	nring(r, 1);
	while (!faults(f))
		sched_yield();
	assert_true(reads_back(f, 1, 0));
	done(f);
}

static void test_delayed(void **state)
{
	struct faulty *f = faulty("delayed-completion,queue=1,delay=80ms");
	uint64_t start = now_ms();

	(void)state;
	assert_int_equal(write8(f, 1, 0).status, NVME_OK);
	assert_true(now_ms() - start >= 80);
	assert_int_equal(faults(f), 1);
	assert_true(reads_back(f, 1, 0));
	done(f);
}

/* What is late when its queue goes never comes, not to the next queue of that number either. */
static void test_delayed_deleted(void **state)
{
	struct faulty *f = faulty("delayed-completion,queue=1,delay=30ms");
	struct nrig *r = &f->r;
	struct nvme_sqe sqe = nio(NVME_IO_WRITE, 0, 8, DATA_AT);
	struct nvme_sqe del = { .opcode = NVME_ADM_DELETE_SQ, .cdw10 = 1 };
	static const char zeros[0x2000];

	(void)state;
	nput(r, 1, &sqe);
	nring(r, 1);
	while (!faults(f))
		sched_yield();
	assert_int_equal(nadmin(r, del).status, NVME_OK);
	del.opcode = NVME_ADM_DELETE_CQ;
	assert_int_equal(nadmin(r, del).status, NVME_OK);
	ram_write(&r->rig, SQ_AT(1), zeros, sizeof(zeros));
	r->q[1] = (struct nq){ .phase = true };
	nqueues(r, 1);
	nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
	assert_true(reads_back(f, 1, 0));
	assert_true(reads_back(f, 1, 0));
	done(f);
}

static void test_stuck_doorbell(void **state)
{
	struct faulty *f = faulty("stuck-doorbell,queue=1");
	struct nrig *r = &f->r;
	struct nvme_sqe sqe = nio(NVME_IO_WRITE, 0, 8, DATA_AT);
	uint16_t first = nput(r, 1, &sqe);
	struct answer a;

	(void)state;
	nring(r, 1);
	while (!faults(f))
		sched_yield();
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	assert_false(npeek(r, 1, &a));
	assert_true(reads_back(f, 2, 0) == false); /* nothing was written */
	/* Ringing again is all it takes. */
	nring(r, 1);
	a = nanswer(r, 1);
	assert_int_equal(a.cid, first);
	assert_int_equal(a.status, NVME_OK);
	assert_true(reads_back(f, 1, 0));
	done(f);
}

/* Those of the admin queue's vector come, and may come late. */
static void test_lost_interrupt(void **state)
{
	struct faulty *f = faulty("lost-interrupt,vector=1");
	unsigned int *seen = &f->r.rig.irqs_of[1];

	(void)state;
	assert_int_equal(write8(f, 1, 0).status, NVME_OK);
	while (!faults(f))
		sched_yield();
	assert_int_equal(__atomic_load_n(seen, __ATOMIC_SEQ_CST), 0);
	assert_int_equal(write8(f, 1, 0).status, NVME_OK);
	while (!__atomic_load_n(seen, __ATOMIC_SEQ_CST))
		sched_yield();
	assert_int_equal(__atomic_load_n(seen, __ATOMIC_SEQ_CST), 1);
	done(f);
}

static void test_iommu_fault(void **state)
{
	/* Of a write: the command, its data, the completion. The queues took 8 requests. */
	struct faulty *f = faulty("iommu-fault,access=read,after=5");
	struct nrig *r = &f->r;

	(void)state;
	assert_int_equal(write8(f, 1, 0).status, NVME_DATA_TRANSFER);
	assert_int_equal(r->rig.events[CBIT_EVENT_DMA_NOT_MAPPED], 1);
	assert_int_equal(write8(f, 1, 0).status, NVME_OK);
	assert_true(reads_back(f, 1, 0));
	done(f);
}

/* A command that cannot be fetched is fatal (1.4, 9.5); a reset helps. */
static void test_fetch_fault(void **state)
{
	struct faulty *f = faulty("iommu-fault,access=read,after=4");
	struct nrig *r = &f->r;
	struct nvme_sqe sqe = nio(NVME_IO_WRITE, 0, 8, DATA_AT);

	(void)state;
	nput(r, 1, &sqe);
	nring(r, 1);
	assert_true(nwait(r, NVME_CSTS, NVME_CSTS_CFS, NVME_CSTS_CFS));
	ndisable(r);
	nenable(r);
	nqueues(r, 1);
	assert_int_equal(write8(f, 1, 0).status, NVME_OK);
	assert_true(reads_back(f, 1, 0));
	done(f);
}

/* Everything reads as ones, what is written is not there, and nothing brings it back. */
static void is_removed(struct faulty *f)
{
	struct nrig *r = &f->r;
	struct cbit_pci *pci = r->rig.pci[0];
	uint64_t cmb;

	assert_true(nwait(r, NVME_CSTS, UINT32_MAX, UINT32_MAX));
	assert_true(nwait(r, NVME_CC, UINT32_MAX, UINT32_MAX));
	cbit_pci_bar_read(pci, 2, 0, &cmb, sizeof(cmb));
	assert_true(cmb == UINT64_MAX);
	while (!__atomic_load_n(&f->index_seen[4], __ATOMIC_SEQ_CST))
		sched_yield();
	nstore(r, NVME_CC, 0);
	assert_true(nwait(r, NVME_CC, UINT32_MAX, UINT32_MAX));
	nring(r, 1);
	cbit_pci_reset(pci);
	assert_int_equal(nreg(r, NVME_CSTS), UINT32_MAX);
	assert_int_equal(nreg(r, NVME_CAP), UINT32_MAX);
	assert_int_equal(faults(f), 1);
	done(f);
}

/* Under its work: the queues took 8 requests. */
static void test_removal(void **state)
{
	struct faulty *f = faulty("surprise-removal,after=8");
	struct nvme_sqe sqe = nio(NVME_IO_WRITE, 0, 8, DATA_AT);

	(void)state;
	nput(&f->r, 1, &sqe);
	nring(&f->r, 1);
	is_removed(f);
}

static void test_removal_by_time(void **state)
{
	(void)state;
	is_removed(faulty("surprise-removal,time=30ms"));
}

/* The persistent memory region, enabled: its first word. */
static uint32_t pmr_word(struct faulty *f)
{
	struct cbit_pci *pci = f->r.rig.pci[0];
	uint32_t v = NVME_PMRCTL_EN;

	cbit_pci_bar_write(pci, 0, NVME_PMRCTL, &v, sizeof(v));
	cbit_pci_bar_read(pci, 4, 0, &v, sizeof(v));
	return v;
}

static void test_link_down(void **state)
{
	/* 4 commands of 2 requests made the queues; so many are the first write's. */
	struct faulty *f = faulty("link-down,after=11");
	struct nrig *r = &f->r;
	struct cbit_pci *pci = r->rig.pci[0];
	struct nvme_sqe sqe = nio(NVME_IO_WRITE, 64, 8, DATA_AT);
	uint32_t v = 0x5eed;

	(void)state;
	assert_int_equal(pmr_word(f), 0);
	cbit_pci_bar_write(pci, 4, 0, &v, sizeof(v));
	assert_int_equal(write8(f, 1, 0).status, NVME_OK);
	nput(r, 1, &sqe);
	nring(r, 1);
	assert_true(nwait(r, NVME_CSTS, UINT32_MAX, UINT32_MAX));
	assert_int_equal(pmr_word(f), UINT32_MAX);
	while (!__atomic_load_n(&f->index_seen[3], __ATOMIC_SEQ_CST))
		sched_yield();
	cbit_pci_reset(pci);
	assert_int_equal(nreg(r, NVME_CSTS), 0);
	assert_int_equal(nreg(r, NVME_VS), NVME_VS_1_4);
	/* what is persistent is there, and not enabled */
	assert_int_equal(nreg(r, NVME_PMRCTL), 0);
	assert_int_equal(pmr_word(f), 0x5eed);
	nenable(r);
	nqueues(r, 1);
	assert_true(reads_back(f, 1, 0));
	assert_int_equal(write8(f, 1, 64).status, NVME_OK);
	assert_true(reads_back(f, 1, 64));
	assert_int_equal(faults(f), 1);
	done(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_errors), cmocka_unit_test(test_admin_error),
		cmocka_unit_test(test_probability),       cmocka_unit_test(test_delayed_overtaken),
		cmocka_unit_test(test_delayed),           cmocka_unit_test(test_delayed_deleted),
		cmocka_unit_test(test_stuck_doorbell),    cmocka_unit_test(test_lost_interrupt),
		cmocka_unit_test(test_iommu_fault),       cmocka_unit_test(test_fetch_fault),
		cmocka_unit_test(test_removal),           cmocka_unit_test(test_removal_by_time),
		cmocka_unit_test(test_link_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
