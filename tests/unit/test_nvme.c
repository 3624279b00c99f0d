/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nvme controller as a driver sees it: registers found by watching, enabling and resets, admin
 * commands, interrupts.
 */
#include "nvme_rig.h"

static int up(void **state)
{
	struct nrig *r = malloc(sizeof(*r));

	*state = r;
	nrig_up(r, "nvme,size=64M,cmb=1M", NULL);
	return 0;
}

/* The model's own mask: in memory the register shows what was just stored. */
static bool masked(struct nrig *r, uint32_t mask)
{
	for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end; sched_yield())
		if (reg_read(r->rig.pci[0], NVME_INTMC, 4) == mask)
			return true;
	return false;
}

static void test_registers(void **state)
{
	struct nrig *r = *state;
	const uint64_t cap = nreg(r, NVME_CAP) | (uint64_t)nreg(r, NVME_CAP + 4) << 32;

	assert_true((cap & 0xffff) >= 127);
	assert_true(cap >> 24 & 0xff);
	assert_int_equal(cap >> 32 & 0xf, 0);
	assert_true(cap >> 37 & 1);
	assert_int_equal(nreg(r, NVME_VS), 0x00010400);
	/* hardware ignores writes to these: they are put back */
	nstore64(r, NVME_CAP, 0);
	nstore(r, NVME_VS, 0x12345678);
	nstore(r, NVME_CSTS, 0);
	assert_true(nwait(r, NVME_CAP, ~0u, (uint32_t)cap));
	assert_true(nwait(r, NVME_CAP + 4, ~0u, (uint32_t)(cap >> 32)));
	assert_true(nwait(r, NVME_VS, ~0u, 0x00010400));
	assert_true(nwait(r, NVME_CSTS, ~0u, NVME_CSTS_RDY));
	/* and these keep what is written but for reserved bits */
	nstore(r, NVME_AQA, 0xffffffff);
	assert_true(nwait(r, NVME_AQA, ~0u, 0x0fff0fff));
	nstore64(r, NVME_ASQ, 0x123456789);
	assert_true(nwait(r, NVME_ASQ, ~0u, 0x23456000));
	assert_int_equal(nreg(r, NVME_ASQ + 4), 1);
	/* the masks: set here, clear there; the call that is no store reads both */
	nstore(r, NVME_INTMS, 5);
	assert_true(masked(r, 5));
	nstore(r, NVME_INTMS, 2);
	assert_true(masked(r, 7));
	assert_true(nwait(r, NVME_INTMS, ~0u, 7));
	nstore(r, NVME_INTMC, 1);
	assert_true(masked(r, 6));
	assert_true(nwait(r, NVME_INTMS, ~0u, 6));
	assert_true(nwait(r, NVME_INTMC, ~0u, 0));
	assert_int_equal(reg_read(r->rig.pci[0], NVME_INTMC, 4), 6);
	reg_write(r->rig.pci[0], NVME_INTMC, 6, 4);
	assert_int_equal(reg_read(r->rig.pci[0], NVME_INTMS, 4), 0);
	/* the queues are those of the time when it was enabled */
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_ABORT }).status, 0);
}

static void test_enable(void **state)
{
	static const struct {
		uint32_t cc;
		uint32_t aqa;
		uint64_t asq;
		bool fatal;
	} cases[] = {
		{ CC_ENABLE, 0x000f000f, IOVA(SQ_AT(0)), false },
		{ CC_ENABLE, 0x0000000f, IOVA(SQ_AT(0)), true },    /* one completion */
		{ CC_ENABLE, 0x000f0000, IOVA(SQ_AT(0)), true },    /* one command */
		{ CC_ENABLE | 5u << 7, 0x000f000f, 0, true },       /* pages of 128 KiB */
		{ CC_ENABLE | 1u << 7, 0x000f000f, 0x1000, true },  /* not aligned to 8 KiB */
		{ CC_ENABLE | 1u << 4, 0x000f000f, 0x1000, true },  /* another command set */
		{ CC_ENABLE | 1u << 11, 0x000f000f, 0x1000, true }, /* weighted round robin */
	};
	struct nrig *r = *state;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		nstore(r, NVME_CC, 0);
		assert_true(nwait(r, NVME_CSTS, ~0u, 0));
		nstore(r, NVME_AQA, cases[i].aqa);
		nstore64(r, NVME_ASQ, cases[i].asq);
		nstore(r, NVME_CC, cases[i].cc);
		assert_true(nwait(r, NVME_CSTS, 3, cases[i].fatal ? 2 : 1));
	}
	nstore(r, NVME_CC, 0);
	assert_true(nwait(r, NVME_CSTS, ~0u, 0));
	nenable(r);
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_ABORT }).status, 0);
	/* shutdown, and back */
	nstore(r, NVME_CC, CC_ENABLE | 1u << 14);
	assert_true(nwait(r, NVME_CSTS, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_DONE));
	ndisable(r);
	nenable(r);
	/* a subsystem reset says that there was one */
	nstore(r, NVME_NSSR, NVME_NSSR_MAGIC);
	assert_true(nwait(r, NVME_CSTS, ~0u, NVME_CSTS_NSSRO));
	assert_true(nwait(r, NVME_CC, ~0u, 0));
	reg_write(r->rig.pci[0], NVME_CSTS, NVME_CSTS_NSSRO, 4);
	assert_true(nwait(r, NVME_CSTS, ~0u, 0));
	nenable(r);
	/* function level reset */
	cbit_pci_reset(r->rig.pci[0]);
	assert_int_equal(nreg(r, NVME_CSTS), 0);
	assert_int_equal(nreg(r, NVME_CC), 0);
	nenable(r);
}

/* The same by accesses that call the model: what was written acts before the call returns. */
static void test_calls(void **state)
{
	struct nrig *r = *state;
	struct cbit_pci *pci = r->rig.pci[0];
	struct nvme_sqe sqe = { .opcode = NVME_ADM_ABORT };

	reg_write(pci, NVME_CC, 0, 4);
	assert_int_equal(reg_read(pci, NVME_CSTS, 4), 0);
	reg_write(pci, NVME_AQA, 0x000f000f, 4);
	reg_write(pci, NVME_ASQ, IOVA(SQ_AT(0)), 8);
	reg_write(pci, NVME_ACQ, IOVA(CQ_AT(0)), 8);
	reg_write(pci, NVME_CC, CC_ENABLE, 4);
	assert_int_equal(reg_read(pci, NVME_CSTS, 4), NVME_CSTS_RDY);
	r->q[0] = (struct nq){ .phase = true };
	nput(r, 0, &sqe);
	reg_write(pci, NVME_DOORBELLS, 1, 4);
	assert_int_equal(nanswer(r, 0).cid, sqe.cid);
}

static struct answer identify(struct nrig *r, uint32_t cns, uint32_t nsid, void *page)
{
	struct answer a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_IDENTIFY,
						       .nsid = nsid,
						       .dptr = { IOVA(DATA_AT) },
						       .cdw10 = cns });

	ram_read(&r->rig, DATA_AT, page, 4096);
	return a;
}

static void test_identify(void **state)
{
	struct nrig *r = *state;
	struct nvme_id_ctrl ctrl;
	struct nvme_id_ns ns;
	uint32_t list[1024];

	assert_int_equal(identify(r, NVME_CNS_CONTROLLER, 0, &ctrl).status, 0);
	assert_int_equal(ctrl.vid, NVME_VENDOR);
	assert_int_equal(ctrl.ver, 0x00010400);
	assert_int_equal(ctrl.sqes, 0x66);
	assert_int_equal(ctrl.cqes, 0x44);
	assert_int_equal(ctrl.nn, 1);
	assert_memory_equal(ctrl.sn, "CBIT0100            ", 20);
	assert_memory_equal(ctrl.subnqn, "nqn.", 4);
	assert_int_equal(identify(r, NVME_CNS_NAMESPACE, 1, &ns).status, 0);
	assert_int_equal(ns.nsze, (64 << 20) / 512);
	assert_int_equal(ns.lbaf[ns.flbas & 15].ds, 9);
	assert_int_equal(ns.lbaf[0].ms, 0);
	assert_int_equal(ns.dlfeat & 7, 1);
	assert_int_equal(identify(r, NVME_CNS_ACTIVE, 0, list).status, 0);
	assert_int_equal(list[0], 1);
	assert_int_equal(list[1], 0);
	assert_int_equal(identify(r, NVME_CNS_ACTIVE, 1, list).status, 0);
	assert_int_equal(list[0], 0);
	assert_int_equal(identify(r, NVME_CNS_DESCRIPTORS, 1, list).status, 0);
	assert_int_equal(list[0] & 0xffff, 0x0801);
	assert_int_equal(identify(r, NVME_CNS_NAMESPACE, 2, &ns).status, NVME_INVALID_NS);
	assert_int_equal(identify(r, NVME_CNS_NAMESPACE, 0, &ns).status, NVME_INVALID_NS);
	assert_int_equal(identify(r, 0xaa, 0, &ns).status, NVME_INVALID_FIELD);
	assert_int_equal(identify(r, NVME_CNS_ACTIVE, 0xffffffff, &ns).status, NVME_INVALID_NS);
}

static void test_queues(void **state)
{
	static const struct {
		uint8_t opcode;
		uint32_t cdw10;
		uint32_t cdw11;
		uint64_t prp1;
		uint16_t status;
	} cases[] = {
		{ NVME_ADM_CREATE_CQ, 0x000f0000, 3, IOVA(CQ_AT(2)), NVME_QID_INVALID },
		{ NVME_ADM_CREATE_CQ, 0x000f0040, 3, IOVA(CQ_AT(2)), NVME_QID_INVALID },
		{ NVME_ADM_CREATE_CQ, 0x000f0001, 3, IOVA(CQ_AT(2)), NVME_QID_INVALID },
		{ NVME_ADM_CREATE_CQ, 0x00000002, 3, IOVA(CQ_AT(2)), NVME_QSIZE_INVALID },
		{ NVME_ADM_CREATE_CQ, 0x04000002, 3, IOVA(CQ_AT(2)), NVME_QSIZE_INVALID },
		{ NVME_ADM_CREATE_CQ, 0x000f0002, 2, IOVA(CQ_AT(2)), NVME_INVALID_FIELD },
		{ NVME_ADM_CREATE_CQ, 0x000f0002, 3, IOVA(CQ_AT(2)) + 64, NVME_PRP_OFFSET },
		/* 0 is an address like others */
		{ NVME_ADM_CREATE_CQ, 0x000f0002, 3, 0, NVME_OK },
		{ NVME_ADM_DELETE_CQ, 2, 0, 0, NVME_OK },
		{ NVME_ADM_CREATE_CQ, 0x000f0002, 3 | 64u << 16, IOVA(CQ_AT(2)),
		  NVME_VECTOR_INVALID },
		{ NVME_ADM_CREATE_SQ, 0x000f0002, 1 | 2u << 16, IOVA(SQ_AT(2)), NVME_CQ_INVALID },
		{ NVME_ADM_CREATE_SQ, 0x000f0002, 1, IOVA(SQ_AT(2)), NVME_QID_INVALID },
		{ NVME_ADM_CREATE_SQ, 0x000f0001, 1 | 1u << 16, IOVA(SQ_AT(2)), NVME_QID_INVALID },
		{ NVME_ADM_CREATE_SQ, 0x000f0002, 1u << 16, IOVA(SQ_AT(2)), NVME_INVALID_FIELD },
		{ NVME_ADM_CREATE_SQ, 0x00000002, 1 | 1u << 16, IOVA(SQ_AT(2)),
		  NVME_QSIZE_INVALID },
		{ NVME_ADM_CREATE_SQ, 0x000f0002, 1 | 1u << 16, IOVA(SQ_AT(2)) + 8,
		  NVME_PRP_OFFSET },
		{ NVME_ADM_DELETE_SQ, 0, 0, 0, NVME_QID_INVALID },
		{ NVME_ADM_DELETE_SQ, 2, 0, 0, NVME_QID_INVALID },
		{ NVME_ADM_DELETE_CQ, 0, 0, 0, NVME_QID_INVALID },
		{ NVME_ADM_DELETE_CQ, 2, 0, 0, NVME_QID_INVALID },
		{ NVME_ADM_DELETE_CQ, 1, 0, 0, NVME_QUEUE_DELETION },
		{ NVME_ADM_DELETE_SQ, 1, 0, 0, NVME_OK },
		{ NVME_ADM_DELETE_CQ, 1, 0, 0, NVME_OK },
		{ 0x7f, 0, 0, 0, NVME_INVALID_OPCODE },
	};
	struct nrig *r = *state;

	nqueues(r, 1);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a = nadmin(r, (struct nvme_sqe){ .opcode = cases[i].opcode,
							       .dptr = { cases[i].prp1 },
							       .cdw10 = cases[i].cdw10,
							       .cdw11 = cases[i].cdw11 });

		if (a.status != cases[i].status)
			fail_msg("case %u: status 0x%x, not 0x%x", i, a.status, cases[i].status);
		assert_int_equal(a.dnr, a.status != NVME_OK);
	}
}

static void test_features(void **state)
{
	static const struct {
		uint8_t opcode;
		uint32_t cdw10;
		uint32_t cdw11;
		uint16_t status;
		uint32_t result;
	} cases[] = {
		{ NVME_ADM_SET_FEATURES, NVME_FEAT_QUEUES, 0x00070003, 0, 0x003e003e },
		{ NVME_ADM_SET_FEATURES, NVME_FEAT_QUEUES, 0x0007ffff, NVME_INVALID_FIELD, 0 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_QUEUES, 0, 0, 0x003e003e },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_WRITE_CACHE, 0, 0, 1 },
		{ NVME_ADM_SET_FEATURES, NVME_FEAT_WRITE_CACHE, 0, 0, 0 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_WRITE_CACHE, 0, 0, 0 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_WRITE_CACHE | 1u << 8, 0, 0, 1 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_WRITE_CACHE | 3u << 8, 0, 0, 4 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_WRITE_CACHE | 4u << 8, 0, NVME_INVALID_FIELD,
		  0 },
		{ NVME_ADM_SET_FEATURES, NVME_FEAT_POWER, 1, NVME_INVALID_FIELD, 0 },
		{ NVME_ADM_SET_FEATURES, NVME_FEAT_ARBITRATION, 0x01020304, 0, 0 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_ARBITRATION, 0, 0, 0x01020304 },
		{ NVME_ADM_SET_FEATURES, NVME_FEAT_ARBITRATION | 1u << 31, 0,
		  NVME_FEATURE_NOT_SAVEABLE, 0 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_VECTOR, 3, 0, 3 },
		{ NVME_ADM_GET_FEATURES, NVME_FEAT_VECTOR, 64, NVME_INVALID_FIELD, 0 },
		{ NVME_ADM_GET_FEATURES, 0xc7, 0, NVME_INVALID_FIELD, 0 },
		{ NVME_ADM_SET_FEATURES, 0, 0, NVME_INVALID_FIELD, 0 },
	};
	struct nrig *r = *state;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a = nadmin(r, (struct nvme_sqe){ .opcode = cases[i].opcode,
							       .cdw10 = cases[i].cdw10,
							       .cdw11 = cases[i].cdw11 });

		if (a.status != cases[i].status || a.result != cases[i].result)
			fail_msg("case %u: status 0x%x result 0x%llx", i, a.status,
				 (unsigned long long)a.result);
	}
}

static struct answer get_log(struct nrig *r, uint8_t lid, uint32_t bytes, void *page)
{
	struct answer a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_GET_LOG,
						       .nsid = 0xffffffff,
						       .dptr = { IOVA(DATA_AT) },
						       .cdw10 = lid | (bytes / 4 - 1) << 16 });

	ram_read(&r->rig, DATA_AT, page, bytes);
	return a;
}

/* A doorbell that nobody may ring, its event, and the log that says more. */
static void test_events(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe aer = { .opcode = NVME_ADM_ASYNC_EVENT };
	struct nvme_error_entry log[4];
	uint16_t cid[4];
	uint8_t smart[512];
	struct answer a;

	for (unsigned int i = 0; i < 4; i++)
		cid[i] = nput(r, 0, &aer);
	nring(r, 0);
	a = nadmin(r, aer);
	assert_int_equal(a.status, NVME_AER_LIMIT);
	nstore(r, NVME_DOORBELLS + 8 * 5, 1);
	a = nanswer(r, 0);
	assert_int_equal(a.cid, cid[0]);
	assert_int_equal(a.result, NVME_EVENT_BAD_DOORBELL);
	/* the second of its kind waits until the log has been read */
	nstore(r, NVME_DOORBELLS + 8 * 6, 1);
	assert_true(nwait(r, NVME_DOORBELLS + 8 * 6, ~0u, ~0u));
	assert_int_equal(get_log(r, NVME_LOG_ERROR, sizeof(log), log).status, 0);
	assert_int_equal(log[0].count, 3);
	assert_int_equal(log[0].sq_id, 6);
	assert_int_equal(log[1].sq_id, 5);
	assert_int_equal(log[2].status >> 1 & 0x7ff, NVME_AER_LIMIT);
	a = nanswer(r, 0);
	assert_int_equal(a.cid, cid[1]);
	/* a tail beyond the ring is no tail */
	nstore(r, NVME_DOORBELLS, Q_SIZE);
	assert_true(nwait(r, NVME_DOORBELLS, ~0u, ~0u));
	assert_int_equal(get_log(r, NVME_LOG_ERROR, sizeof(log), log).status, 0);
	a = nanswer(r, 0);
	assert_int_equal(a.cid, cid[2]);
	assert_int_equal(a.result, NVME_EVENT_BAD_VALUE);
	/* one is left: abort it */
	a = nadmin(r,
		   (struct nvme_sqe){ .opcode = NVME_ADM_ABORT, .cdw10 = (uint32_t)cid[3] << 16 });
	assert_int_equal(a.result, 0);
	a = nanswer(r, 0);
	assert_int_equal(a.cid, cid[3]);
	assert_int_equal(a.status, NVME_ABORTED);
	a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_ABORT, .cdw10 = 77u << 16 });
	assert_int_equal(a.result, 1);
	assert_int_equal(get_log(r, NVME_LOG_SMART, sizeof(smart), smart).status, 0);
	assert_int_equal(smart[NVME_SMART_SPARE], 100);
	assert_int_equal(smart[NVME_SMART_TEMPERATURE] | smart[NVME_SMART_TEMPERATURE + 1] << 8,
			 273 + 38);
	assert_int_equal(smart[NVME_SMART_ERROR_ENTRIES], 4);
	assert_int_equal(get_log(r, 0x70, 512, smart).status, NVME_LOG_INVALID);
}

static unsigned int irqs_of(struct nrig *r, unsigned int vector)
{
	return __atomic_load_n(&r->rig.irqs_of[vector], __ATOMIC_SEQ_CST);
}

static void test_interrupts(void **state)
{
	struct nrig *r = *state;
	struct cbit_pci *pci = r->rig.pci[0];
	struct nvme_sqe sqe = { .opcode = NVME_ADM_ABORT };

	/* no messages: the pin, until the completion has been taken */
	nput(r, 0, &sqe);
	nring(r, 0);
	for (time_t end = time(NULL) + PATIENCE_S; !cbit_pci_intx(pci) && time(NULL) < end;)
		sched_yield();
	assert_true(cbit_pci_intx(pci));
	nstore(r, NVME_INTMS, 1);
	for (time_t end = time(NULL) + PATIENCE_S; cbit_pci_intx(pci) && time(NULL) < end;)
		sched_yield();
	assert_false(cbit_pci_intx(pci));
	nstore(r, NVME_INTMC, 1);
	for (time_t end = time(NULL) + PATIENCE_S; !cbit_pci_intx(pci) && time(NULL) < end;)
		sched_yield();
	assert_true(cbit_pci_intx(pci));
	nanswer(r, 0);
	for (time_t end = time(NULL) + PATIENCE_S; cbit_pci_intx(pci) && time(NULL) < end;)
		sched_yield();
	assert_false(cbit_pci_intx(pci));
	/* messages: the vector of the queue; the admin queue's may come as late as they like */
	cbit_pci_set_irqs_enabled(pci, 2, 8);
	nqueues(r, 3);
	assert_int_equal(irqs_of(r, 3), 0);
	assert_int_equal(ndo(r, 3, (struct nvme_sqe){ .opcode = NVME_IO_FLUSH, .nsid = 1 }).status,
			 0);
	for (time_t end = time(NULL) + PATIENCE_S; !irqs_of(r, 3) && time(NULL) < end;)
		sched_yield();
	assert_int_equal(irqs_of(r, 3), 1);
}

/* However soon after a close the controller goes, its thread is told. */
static void test_ends(void **state)
{
	struct nrig r;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++) {
		nrig_up(&r, "nvme,size=1M", NULL);
		cbit_pci_close(r.rig.pci[0]);
		cbit_pci_destroy(r.rig.pci[0]);
		r.rig.pci[0] = NULL;
		rig_down(&r.rig);
	}
}

/* A queue whose memory is not there is an error that only a reset ends. */
static void test_no_memory(void **state)
{
	struct nrig *r = *state;
	struct answer a;

	a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_CREATE_CQ,
					 .dptr = { IOVA(CQ_AT(1)) },
					 .cdw10 = 1 | 15u << 16,
					 .cdw11 = 1 });
	assert_int_equal(a.status, 0);
	a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_CREATE_SQ,
					 .dptr = { NO_IOVA },
					 .cdw10 = 1 | 15u << 16,
					 .cdw11 = 1 | 1u << 16 });
	assert_int_equal(a.status, 0);
	nstore(r, NVME_DOORBELLS + 8, 1);
	assert_true(nwait(r, NVME_CSTS, NVME_CSTS_CFS, NVME_CSTS_CFS));
	assert_true(r->rig.events[CBIT_EVENT_DMA_NOT_MAPPED] > 0);
	nstore(r, NVME_CC, 0);
	assert_true(nwait(r, NVME_CSTS, ~0u, 0));
	nenable(r);
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_ABORT }).status, 0);
}

static void test_options(void **state)
{
	static const char *const bad[] = {
		"nvme,block=1024", "nvme,cmb=100000", "nvme,cmb=32K",         "nvme,size=100",
		"nvme,size=x",     "nvme,file=",      "nvme,file=/nowhere/x", "nvme,file=/dev/null",
		"nvme,fast=1",     "nvme,file=/",
	};
	struct nrig *r = *state;
	struct cbit_error err;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		assert_true(rig_plug(&r->rig, 1, bad[i], &err) < 0);
		assert_non_null(strstr(err.text, "nvme"));
	}
	assert_non_null(strstr(cbit_pci_models(), "nvme"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_enable, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_calls, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_identify, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_queues, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_features, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_events, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_interrupts, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_no_memory, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_options, up, nrig_free),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
