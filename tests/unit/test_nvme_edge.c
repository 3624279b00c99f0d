/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nvme controller at its edges: lists without an end, memories that touch, doorbells in memory
 * that never rest, a host that takes nothing, resets that forget, what is read with FUA, and
 * controllers that share their namespaces.
 */
#include "nvme_rig.h"

#include <fcntl.h>
#include <stdio.h>

#include <dev/nvme.h>

#define CMB_SIZE 0x100000u
#define CMB_BASE (RAM_IOVA - CMB_SIZE) /* ends where test memory begins */
#define FUA      (1u << 30)

/* Counts instead of the C library's, which this program's own goes before. */
static unsigned int syncs;

int fdatasync(int fd)
{
	(void)fd;
	__atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static char path[64];

static void make_file(off_t size)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/test_nvme_edge.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static int up(void **state)
{
	struct nrig *r = malloc(sizeof(*r));
	char spec[128];

	make_file(16 << 20);
	snprintf(spec, sizeof(spec), "nvme,file=%s,cmb=1M", path);
	nrig_up(r, spec, NULL);
	nqueues(r, 1);
	*state = r;
	return 0;
}

static int down(void **state)
{
	unlink(path);
	return nrig_free(state);
}

static const struct nvme *model(struct nrig *r)
{
	return r->rig.pci[0]->state;
}

static struct nvme_sqe sgl_read(uint8_t type, uint64_t addr, uint32_t len)
{
	struct nvme_sgl sgl = { .addr = addr, .len = len, .id = (uint8_t)(type << 4) };
	struct nvme_sqe sqe = nio(NVME_IO_READ, 0, 8, OTHER_AT);

	sqe.flags = NVME_PSDT_SGL << 6;
	memcpy(sqe.dptr, &sgl, sizeof(sgl));
	return sqe;
}

/* Descriptors of no bytes, as many as there is memory; and more pieces than a DMA is made of. */
static void test_sgl_without_end(void **state)
{
	static const uint8_t zeroes[0x10000];
	struct nrig *r = *state;
	struct answer a;

	for (unsigned int i = 0; i < 32; i++)
		ram_write(&r->rig, OTHER_AT + i * sizeof(zeroes), zeroes, sizeof(zeroes));
	a = ndo(r, 1, sgl_read(NVME_SGL_LAST, IOVA(OTHER_AT), 32 * sizeof(zeroes)));
	assert_int_equal(a.status, NVME_SGL_COUNT_INVALID);
	for (unsigned int i = 0; i < 2048; i++) {
		struct nvme_sgl sgl = { .addr = IOVA(DATA_AT) + 4 * i, .len = 2 };

		ram_write(&r->rig, OTHER_AT + 16 * i, &sgl, sizeof(sgl));
	}
	a = ndo(r, 1, sgl_read(NVME_SGL_LAST, IOVA(OTHER_AT), 2048 * 16));
	assert_int_equal(a.status, NVME_SGL_COUNT_INVALID);
	assert_true(a.dnr);
	/* a chain that leads to itself */
	for (unsigned int i = 0; i < 4; i++) {
		struct nvme_sgl sgl = { .addr = IOVA(OTHER_AT), .len = 64 };

		sgl.id = i == 3 ? NVME_SGL_SEGMENT << 4 : 0;
		sgl.len = i == 3 ? 64 : 0;
		ram_write(&r->rig, OTHER_AT + 16 * i, &sgl, sizeof(sgl));
	}
	a = ndo(r, 1, sgl_read(NVME_SGL_SEGMENT, IOVA(OTHER_AT), 64));
	assert_int_equal(a.status, NVME_SGL_COUNT_INVALID);
	/* and all the room there is, but no more */
	for (unsigned int i = 0; i < 1024; i++) {
		struct nvme_sgl sgl = { .addr = IOVA(DATA_AT) + 8 * i, .len = 4 };

		ram_write(&r->rig, OTHER_AT + 16 * i, &sgl, sizeof(sgl));
	}
	a = ndo(r, 1, sgl_read(NVME_SGL_LAST, IOVA(OTHER_AT), 1024 * 16));
	assert_int_equal(a.status, NVME_OK);
}

/* Where the controller's memory ends, the host's begins: data on both sides, in any way. */
static void test_memories_that_touch(void **state)
{
	struct nrig *r = *state;
	uint8_t *end = (uint8_t *)cbit_pci_bar(r->rig.pci[0], 2)->memory + CMB_SIZE;
	uint8_t disk[8192], got[8192];
	struct nvme_sqe sqe;
	int fd;

	for (unsigned int i = 0; i < sizeof(disk); i++)
		disk[i] = (uint8_t)(i * 5 + (i >> 8));
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, disk, sizeof(disk), 0), sizeof(disk));
	close(fd);
	nstore64(r, NVME_CMBMSC, CMB_BASE | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_true(nwait(r, NVME_CMBSZ, 0xfffff01f, (1 << 20) | 0x1f));
	/* PRPs: the last page here, the first page there */
	memset(end - 4096, 0, 4096);
	sqe = nio(NVME_IO_READ, 0, 16, 0);
	sqe.dptr[0] = RAM_IOVA - 4096;
	sqe.dptr[1] = RAM_IOVA;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	ram_read(&r->rig, 0, got, 4096);
	assert_memory_equal(end - 4096, disk, 4096);
	assert_memory_equal(got, disk + 4096, 4096);
	/* one descriptor across */
	memset(end - 4096, 0, 4096);
	sqe = sgl_read(NVME_SGL_DATA, RAM_IOVA - 1000, 4096);
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	ram_read(&r->rig, 0, got, 3096);
	assert_memory_equal(end - 1000, disk, 1000);
	assert_memory_equal(got, disk + 1000, 3096);
	/* and back */
	sqe = sgl_read(NVME_SGL_DATA, RAM_IOVA - 1000, 4096);
	sqe.opcode = NVME_IO_COMPARE;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	assert_int_equal(r->rig.events[CBIT_EVENT_DMA_NOT_MAPPED], 0);
	/* what would go on behind the last address does not */
	sqe = sgl_read(NVME_SGL_DATA, UINT64_MAX - 999, 4096);
	assert_int_equal(ndo(r, 1, sqe).status, NVME_DATA_TRANSFER);
}

static void test_cmb_sizes(void **state)
{
	static const struct {
		uint64_t size;
		uint64_t unit;
	} cases[] = {
		{ UINT64_C(1) << 16, 1 << 12 }, { UINT64_C(1) << 31, 1 << 12 },
		{ UINT64_C(1) << 32, 1 << 16 }, { UINT64_C(1) << 35, 1 << 16 },
		{ UINT64_C(1) << 36, 1 << 20 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint32_t v = nvme_regs_cmb_size(cases[i].size);
		const uint64_t unit = UINT64_C(1) << (12 + 4 * (v >> 8 & 15));

		assert_int_equal(v & 0xff, 0);
		assert_int_equal((v >> 12) * unit, cases[i].size);
		assert_true(unit >= cases[i].unit);
	}
}

/* A doorbell in memory that is another one at each look. */
static int restless_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	uint32_t v = __atomic_add_fetch((uint32_t *)opaque, 1, __ATOMIC_SEQ_CST);

	(void)offset;
	memset(buf, 0, len);
	memcpy(buf, &v, len < sizeof(v) ? len : sizeof(v));
	return 0;
}

static int restless_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	(void)opaque;
	(void)offset;
	(void)buf;
	(void)len;
	return 0;
}

static void shadow(struct nrig *r)
{
	static const uint8_t zeroes[0x2000];

	ram_write(&r->rig, SHADOW_AT, zeroes, sizeof(zeroes));
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_DOORBELL_BUFFER,
						      .dptr = { IOVA(SHADOW_AT),
								IOVA(SHADOW_AT + 0x1000) } })
				 .status,
			 NVME_OK);
}

static void test_restless_doorbell(void **state)
{
	static const struct cbit_mem_ops ops = { .read = restless_read, .write = restless_write };
	struct nrig *r = *state;
	uint32_t looks = 0;
	struct cbit_mem_region_desc desc = { .kind = CBIT_MEM_MMIO,
					     .base = CBIT_SPA(UINT64_C(1) << 38),
					     .size = 4096,
					     .name = "restless",
					     .ops = &ops,
					     .opaque = &looks };
	struct nvme_sqe sqe = { .opcode = NVME_ADM_DOORBELL_BUFFER,
				.dptr = { NO_IOVA, IOVA(SHADOW_AT) } };

	assert_int_equal(cbit_mem_add_region(r->rig.mem, &desc, NULL), 0);
	assert_int_equal(
		cbit_domain_map(r->rig.domain, CBIT_IOVA(NO_IOVA), desc.base, 4096, CBIT_ATTR_RW),
		0);
	assert_int_equal(nadmin(r, sqe).status, NVME_OK);
	nstore(r, NVME_DOORBELLS + 8, 1);
	/* others have their turn, and so has a reset */
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_ABORT }).status,
				 0);
	assert_true(__atomic_load_n(&looks, __ATOMIC_SEQ_CST) > 0);
	ndisable(r);
	nenable(r);
}

static uint64_t errors(struct nrig *r)
{
	struct nvme_error_entry e;

	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_GET_LOG,
						      .nsid = UINT32_MAX,
						      .dptr = { IOVA(LIST_AT) },
						      .cdw10 = NVME_LOG_ERROR | 15u << 16 })
				 .status,
			 NVME_OK);
	ram_read(&r->rig, LIST_AT, &e, sizeof(e));
	return e.count;
}

/* A head in memory that cannot be stays there, and is told once. */
static void test_bad_head_in_memory(void **state)
{
	const uint32_t bad = 0xffff, good = 15;
	struct nrig *r = *state;
	unsigned int seen = 0;
	struct answer a;

	shadow(r);
	ram_write(&r->rig, SHADOW_AT + 12, &bad, sizeof(bad));
	for (unsigned int k = 0; k < 2; k++) {
		for (unsigned int i = 0; i < 10; i++) {
			struct nvme_sqe sqe = nio(NVME_IO_READ, 0, 1, OTHER_AT);

			nput(r, 1, &sqe);
			ram_write(&r->rig, SHADOW_AT + 8, &r->q[1].tail, sizeof(uint32_t));
		}
		nring(r, 1);
		for (time_t end = time(NULL) + PATIENCE_S;
		     seen < (k ? 15 : 10) && time(NULL) < end;)
			seen += npeek(r, 1, &a);
	}
	assert_int_equal(seen, 15);
	usleep(50000);
	assert_int_equal(errors(r), 1);
	ram_write(&r->rig, SHADOW_AT + 12, &good, sizeof(good));
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(nanswer(r, 1).status, NVME_OK);
	assert_int_equal(errors(r), 1);
}

static uint64_t cpu_ns(struct nrig *r)
{
	struct timespec ts;
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(model(r)->worker[0].thread, &clock), 0);
	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* An event that finds no room in the admin queue waits, and waiting costs nothing. */
static void test_no_room_for_an_event(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe aer = { .opcode = NVME_ADM_ASYNC_EVENT };
	struct answer a = { 0 };
	unsigned int seen = 0;
	uint16_t event;
	uint64_t cpu;

	event = nput(r, 0, &aer);
	nring(r, 0);
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_ABORT }).status, 0);
	for (unsigned int i = 0; i < Q_SIZE - 1; i++) {
		struct nvme_sqe sqe = { .opcode = NVME_ADM_ABORT, .cdw10 = 99u << 16 };

		nput(r, 0, &sqe);
	}
	nring(r, 0);
	for (time_t end = time(NULL) + PATIENCE_S; seen < Q_SIZE - 1 && time(NULL) < end;)
		seen += npeek(r, 0, &a);
	assert_int_equal(seen, Q_SIZE - 1);
	nstore(r, NVME_DOORBELLS + 8 * 7, 1);
	assert_true(nwait(r, NVME_DOORBELLS + 8 * 7, ~0u, ~0u));
	cpu = cpu_ns(r);
	usleep(500000);
	assert_true(cpu_ns(r) - cpu < 100000000);
	assert_false(npeek(r, 0, &a));
	nhead(r, 0);
	a = nanswer(r, 0);
	assert_int_equal(a.cid, event);
	assert_int_equal(a.result, NVME_EVENT_BAD_DOORBELL);
}

/* 3.1.13, 7.3.1: a subsystem reset takes what a controller reset leaves. */
static void test_subsystem_reset(void **state)
{
	struct nrig *r = *state;

	nstore64(r, NVME_CMBMSC, CMB_BASE | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_true(nwait(r, NVME_CMBSZ, 0xfffff01f, (1 << 20) | 0x1f));
	ndisable(r);
	assert_int_equal(nreg(r, NVME_AQA), (Q_SIZE - 1) | (Q_SIZE - 1) << 16);
	assert_int_equal(nreg(r, NVME_CMBMSC) & 3, 3);
	nstore(r, NVME_NSSR, NVME_NSSR_MAGIC);
	assert_true(nwait(r, NVME_CSTS, ~0u, NVME_CSTS_NSSRO));
	assert_int_equal(nreg(r, NVME_AQA), 0);
	assert_int_equal(nreg(r, NVME_CMBMSC), 0);
	assert_int_equal(nreg(r, NVME_CMBSZ), 0);
	nenable(r);
	assert_int_equal(nreg(r, NVME_CSTS), NVME_CSTS_RDY | NVME_CSTS_NSSRO);
}

/* The controller's address of its memory changes under its work: that goes here or there. */
static void test_cmb_moves(void **state)
{
	struct nrig *r = *state;

	for (unsigned int i = 0; i < 200; i++) {
		struct nvme_sqe sqe = nio(NVME_IO_WRITE, 0, 16, DATA_AT);
		uint16_t cid;
		struct answer a;

		sqe.dptr[0] = CMB_BASE + 0x4000;
		cid = nput(r, 1, &sqe);
		nring(r, 1);
		nstore64(r, NVME_CMBMSC,
			 (CMB_BASE - (i & 1 ? 0x4000 : 0)) | NVME_CMBMSC_CRE | (i & 2));
		a = nanswer(r, 1);
		assert_int_equal(a.cid, cid);
		assert_true(a.status == NVME_OK || a.status == NVME_DATA_TRANSFER);
	}
}

/* 6.6, 6.9, 6.14: what is read with FUA is on the medium first. */
static void test_read_with_fua(void **state)
{
	static const uint8_t ops[] = { NVME_IO_READ, NVME_IO_COMPARE, NVME_IO_VERIFY };
	struct nrig *r = *state;

	pattern(r, DATA_AT, 4096, 3);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 0, 8, DATA_AT)).status, 0);
	__atomic_store_n(&syncs, 0, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < sizeof(ops); i++) {
		struct nvme_sqe sqe = nio(ops[i], 0, 8, DATA_AT);

		assert_int_equal(ndo(r, 1, sqe).status, 0);
		assert_int_equal(syncs, i);
		sqe.cdw12 |= FUA;
		assert_int_equal(ndo(r, 1, sqe).status, 0);
		assert_int_equal(syncs, i + 1);
	}
}

static struct answer feature(struct nrig *r, uint8_t op, uint32_t dw10, uint32_t dw11)
{
	return nadmin(r, (struct nvme_sqe){ .opcode = op, .cdw10 = dw10, .cdw11 = dw11 });
}

/* The temperature is what it is; the thresholds go past it. */
static void test_temperature(void **state)
{
	const uint32_t now = 273 + 38, under = 1u << 20;
	struct nrig *r = *state;
	struct nvme_sqe aer = { .opcode = NVME_ADM_ASYNC_EVENT };
	uint8_t smart[512];
	struct answer a;

	nput(r, 0, &aer);
	nring(r, 0);
	/* not asked for: no event, but the page tells */
	assert_int_equal(feature(r, NVME_ADM_SET_FEATURES, NVME_FEAT_TEMPERATURE, now).status, 0);
	for (unsigned int i = 0; i < 3; i++) {
		a = nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_GET_LOG,
						 .dptr = { IOVA(LIST_AT) },
						 .cdw10 = NVME_LOG_SMART | 127u << 16 });
		assert_int_equal(a.status, 0);
		ram_read(&r->rig, LIST_AT, smart, sizeof(smart));
		assert_int_equal(smart[NVME_SMART_WARNING], i != 1 ? 2 : 0);
		assert_int_equal(smart[NVME_SMART_POWER_CYCLES], 1);
		/* above all there is, then below from the other side */
		a = feature(r, NVME_ADM_SET_FEATURES, NVME_FEAT_TEMPERATURE,
			    i ? under | now : now + 1);
		assert_int_equal(a.status, 0);
	}
	assert_int_equal(feature(r, NVME_ADM_GET_FEATURES, NVME_FEAT_TEMPERATURE, under).result,
			 now);
	assert_int_equal(feature(r, NVME_ADM_GET_FEATURES, NVME_FEAT_TEMPERATURE, 0).result,
			 now + 1);
	assert_int_equal(
		feature(r, NVME_ADM_GET_FEATURES, NVME_FEAT_TEMPERATURE | 1u << 8, under).result,
		0);
	/* asked for */
	nput(r, 0,
	     &(struct nvme_sqe){
		     .opcode = NVME_ADM_SET_FEATURES, .cdw10 = NVME_FEAT_ASYNC_EVENT, .cdw11 = 2 });
	nring(r, 0);
	assert_int_equal(nanswer(r, 0).status, 0);
	a = nanswer(r, 0);
	assert_int_equal(a.result, NVME_EVENT_TEMPERATURE);
	/* interrupt vectors have a setting each */
	assert_int_equal(feature(r, NVME_ADM_SET_FEATURES, NVME_FEAT_VECTOR, 5 | 1u << 16).status,
			 0);
	assert_int_equal(feature(r, NVME_ADM_GET_FEATURES, NVME_FEAT_VECTOR, 5).result,
			 5 | 1u << 16);
	assert_int_equal(feature(r, NVME_ADM_GET_FEATURES, NVME_FEAT_VECTOR, 6).result, 6);
}

/* A page that was asked for in a wrong way has not been read. */
static void test_log_not_read(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe log = { .opcode = NVME_ADM_GET_LOG,
				.dptr = { IOVA(LIST_AT) },
				.cdw10 = NVME_LOG_CHANGED_NS | 1023u << 16 };
	struct nvme_sqe format = { .opcode = NVME_ADM_FORMAT, .nsid = 1, .cdw10 = 1 };
	uint32_t first;

	assert_int_equal(nadmin(r, format).status, 0);
	log.cdw12 = 2;
	assert_int_equal(nadmin(r, log).status, NVME_INVALID_FIELD);
	log.cdw12 = 0;
	assert_int_equal(nadmin(r, log).status, 0);
	ram_read(&r->rig, LIST_AT, &first, sizeof(first));
	assert_int_equal(first, 1);
}

/* A file of less than a larger block cannot have those. */
static void test_format_too_large(void **state)
{
	struct nrig r;
	char spec[128];
	struct nvme_sqe sqe = { .opcode = NVME_ADM_FORMAT, .nsid = 1, .cdw10 = 1 };

	(void)state;
	make_file(2048);
	snprintf(spec, sizeof(spec), "nvme,file=%s", path);
	nrig_up(&r, spec, NULL);
	nqueues(&r, 1);
	assert_int_equal(nadmin(&r, sqe).status, NVME_FORMAT_INVALID);
	assert_int_equal(ndo(&r, 1, nio(NVME_IO_READ, 3, 1, DATA_AT)).status, NVME_OK);
	rig_down(&r.rig);
	unlink(path);
}

static void identify(struct nrig *r, uint32_t cns, void *page)
{
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_IDENTIFY,
						      .nsid = cns ? 0 : 1,
						      .dptr = { IOVA(DATA_AT) },
						      .cdw10 = cns })
				 .status,
			 NVME_OK);
	ram_read(&r->rig, DATA_AT, page, 4096);
}

/* Physical and virtual function: two controllers of one subsystem, with one namespace. */
static void test_siblings(void **state)
{
	struct cbit_pci_host host = { .bar_memory = rig_bar_memory,
				      .bar_place = rig_bar_place,
				      .irq = rig_irq };
	struct nrig r;
	struct nvme_id_ctrl ctrl[2];
	struct nvme_id_ns ns[2];
	struct nvme_sqe format = { .opcode = NVME_ADM_FORMAT, .nsid = 1, .cdw10 = 1 };
	uint16_t command = 0x0006;
	struct cbit_pci *vf;

	(void)state;
	nrig_up(&r, "nvme,size=16M,sriov=2", NULL);
	host.iommu = r.rig.iommu;
	host.opaque = &r.rig;
	assert_int_equal(
		cbit_pci_create_vf(r.rig.pci[0], "nvme,size=16M,sriov=2", 0, &host, &vf, NULL), 0);
	for (unsigned int i = 0; i < 2; i++) {
		identify(&r, NVME_CNS_CONTROLLER, &ctrl[i]);
		identify(&r, NVME_CNS_NAMESPACE, &ns[i]);
		assert_int_equal(nadmin(&r, format).status, NVME_INVALID_OPCODE);
		assert_int_equal(nreg(&r, NVME_CAP + 4) >> 4 & 1, 0); /* NSSRS */
		assert_int_equal(ctrl[i].oacs & 2, 0);
		assert_int_equal(ctrl[i].cmic & 2, 2);
		assert_int_equal(ns[i].nmic & 1, 1);
		if (i)
			break;
		cbit_pci_close(r.rig.pci[0]);
		r.rig.pci[1] = vf;
		cbit_pci_enable_vfs(r.rig.pci[0], 1);
		cbit_pci_open(vf);
		cbit_pci_config_write(vf, 4, &command, 2);
		assert_int_equal(cbit_domain_attach(r.rig.domain, cbit_pci_devid(vf)), 0);
		r.reg = cbit_pci_bar(vf, 0)->memory;
		nenable(&r);
	}
	assert_memory_equal(ctrl[0].subnqn, ctrl[1].subnqn, sizeof(ctrl[0].subnqn));
	assert_memory_equal(ctrl[0].sn, ctrl[1].sn, sizeof(ctrl[0].sn));
	assert_int_not_equal(ctrl[0].cntlid, ctrl[1].cntlid);
	assert_memory_equal(ns[0].nguid, ns[1].nguid, sizeof(ns[0].nguid));
	assert_memory_equal(ns[0].eui64, ns[1].eui64, sizeof(ns[0].eui64));
	cbit_pci_open(r.rig.pci[0]);
	rig_down(&r.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sgl_without_end, up, down),
		cmocka_unit_test_setup_teardown(test_memories_that_touch, up, down),
		cmocka_unit_test(test_cmb_sizes),
		cmocka_unit_test_setup_teardown(test_restless_doorbell, up, down),
		cmocka_unit_test_setup_teardown(test_bad_head_in_memory, up, down),
		cmocka_unit_test_setup_teardown(test_no_room_for_an_event, up, down),
		cmocka_unit_test_setup_teardown(test_subsystem_reset, up, down),
		cmocka_unit_test_setup_teardown(test_cmb_moves, up, down),
		cmocka_unit_test_setup_teardown(test_read_with_fua, up, down),
		cmocka_unit_test_setup_teardown(test_temperature, up, down),
		cmocka_unit_test_setup_teardown(test_log_not_read, up, down),
		cmocka_unit_test(test_format_too_large),
		cmocka_unit_test(test_siblings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
