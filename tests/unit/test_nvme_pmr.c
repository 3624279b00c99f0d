/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The persistent memory region: options, registers and handshake, what outlives what, and data of
 * commands in it.
 */
#include "nvme_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#define PMR_SIZE 0x100000u
#define PMR_BASE UINT64_C(0x5500000000)
#define PMR_BAR  4u

static char path[] = "/tmp/cbit-test-pmr-XXXXXX";

static int up(void **state)
{
	struct nrig *r = malloc(sizeof(*r));

	nrig_up(r, "nvme,size=16M,cmb=1M,pmr=1M", NULL);
	nqueues(r, 1);
	*state = r;
	return 0;
}

static void pmr_read(struct nrig *r, uint64_t at, void *buf, uint32_t len)
{
	cbit_pci_bar_read(r->rig.pci[0], PMR_BAR, at, buf, len);
}

static void pmr_write(struct nrig *r, uint64_t at, const void *buf, uint32_t len)
{
	cbit_pci_bar_write(r->rig.pci[0], PMR_BAR, at, buf, len);
}

static uint32_t pmr32(struct nrig *r, uint64_t at)
{
	uint32_t v;

	pmr_read(r, at, &v, sizeof(v));
	return v;
}

static void pmr_set32(struct nrig *r, uint64_t at, uint32_t v)
{
	pmr_write(r, at, &v, sizeof(v));
}

/* The status must become and stay that: a worker has looked once more. */
static void status(struct nrig *r, uint32_t want)
{
	assert_true(nwait(r, NVME_PMRSTS, ~0u, want));
}

static void pmr_on(struct nrig *r)
{
	nstore(r, NVME_PMRCTL, NVME_PMRCTL_EN);
	for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end; sched_yield()) {
		pmr_set32(r, PMR_SIZE - 4, 0x600d600d);
		if (pmr32(r, PMR_SIZE - 4) == 0x600d600d)
			break;
	}
	assert_int_equal(pmr32(r, PMR_SIZE - 4), 0x600d600d);
	/* The status follows. */
	assert_true(nwait(r, NVME_PMRSTS, NVME_PMRSTS_NRDY, 0));
}

static void pmr_off(struct nrig *r)
{
	nstore(r, NVME_PMRCTL, 0);
	assert_true(nwait(r, NVME_PMRSTS, NVME_PMRSTS_NRDY, NVME_PMRSTS_NRDY));
}

static void space(struct nrig *r, uint64_t msc)
{
	nstore(r, NVME_PMRMSCU, (uint32_t)(msc >> 32));
	nstore(r, NVME_PMRMSCL, (uint32_t)msc);
}

/* 3.1.18 to 3.1.24: every field, by number. */
static void test_registers(void **state)
{
	static const struct {
		uint32_t at;
		uint32_t reset;
		uint32_t writable;
	} regs[] = {
		/* RDS, WDS, BIR 4, PMRTU 0, PMRWBM both, PMRTO 60, CMSS */
		{ 0xe00, 0x013c0c98, 0 }, { 0xe04, 0, 1 }, { 0xe08, 0, 0 },
		{ 0xe0c, 0, 0 },          { 0xe10, 0, 0 }, { 0xe14, 0, 0xfffff002 },
		{ 0xe18, 0, 0xffffffff }, { 0xe1c, 0, 0 },
	};
	struct nrig *r = *state;

	assert_int_equal(nreg(r, NVME_CAP + 4) >> 24 & 1, 1); /* PMRS: bit 56 */
	assert_int_equal(cbit_pci_bar(r->rig.pci[0], 4)->size, PMR_SIZE);
	assert_true(cbit_pci_bar(r->rig.pci[0], 4)->is64);
	for (unsigned int i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		assert_int_equal(nreg(r, regs[i].at), regs[i].reset);
	for (unsigned int i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		const uint32_t want = regs[i].reset & ~regs[i].writable;

		nstore(r, regs[i].at, ~regs[i].reset);
		/* What may not be written is put back; what goes with enabling is not looked at. */
		if (regs[i].at != 0xe08)
			assert_true(nwait(r, regs[i].at, ~0u,
					  want | (~regs[i].reset & regs[i].writable)));
		if (regs[i].writable)
			nstore(r, regs[i].at, 0);
	}
	status(r, NVME_PMRSTS_NRDY);
}

/* Without the option the registers are there, and 0 whatever is written. */
static void test_without(void **state)
{
	struct nrig r;

	(void)state;
	nrig_up(&r, "nvme,size=16M", NULL);
	assert_int_equal(nreg(&r, NVME_CAP + 4) >> 24 & 1, 0);
	assert_int_equal(cbit_pci_msix_bar(r.rig.pci[0]), 4);
	for (uint32_t at = 0xe00; at < 0xe20; at += 4) {
		assert_int_equal(nreg(&r, at), 0);
		nstore(&r, at, ~0u);
		assert_true(nwait(&r, at, ~0u, 0));
	}
	rig_down(&r.rig);
}

/* BAR4 is taken, so the MSI-X table is in BAR0, apart from registers and doorbells. */
static void test_msix(void **state)
{
	struct nrig *r = *state;
	uint32_t v[3];

	assert_int_equal(cbit_pci_msix_bar(r->rig.pci[0]), 0);
	assert_int_equal(cbit_pci_msix_table(r->rig.pci[0]), 0x2000);
	for (uint32_t at = 0x40; at < 0x100; at += 4) {
		cbit_pci_config_read(r->rig.pci[0], at, v, sizeof(v));
		if ((v[0] & 0xff) == 0x11)
			break;
	}
	assert_int_equal(v[0] & 0xff, 0x11);
	assert_int_equal(v[1], 0x2000);
	assert_int_equal(v[2], 0x3000);
}

/* 4.8: not ready, reads return something and writes nothing changes; contents stay. */
static void test_handshake(void **state)
{
	struct nrig *r = *state;

	assert_int_equal(pmr32(r, 0), ~0u);
	pmr_set32(r, 0, 0x11111111);
	assert_int_equal(pmr32(r, 0), ~0u);
	nstore(r, NVME_PMRCTL, 1);
	pmr_on(r);
	assert_int_equal(pmr32(r, 0), 0);
	pmr_set32(r, 0, 0x22222222);
	assert_int_equal(pmr32(r, 0), 0x22222222);
	pmr_off(r);
	assert_int_equal(pmr32(r, 0), ~0u);
	pmr_set32(r, 0, 0x33333333);
	pmr_on(r);
	assert_int_equal(pmr32(r, 0), 0x22222222);
	/* beyond its end nothing answers */
	assert_int_equal(pmr32(r, PMR_SIZE), ~0u);
	assert_int_equal(pmr32(r, PMR_SIZE - 2), ~0u);
	pmr_set32(r, PMR_SIZE - 2, 0);
	assert_int_equal(pmr32(r, PMR_SIZE - 4), 0x600d600d);
}

/* The controller need not be enabled; its reset leaves registers and contents, others only those.
 */
static void test_resets(void **state)
{
	struct nrig *r = *state;

	ndisable(r);
	pmr_on(r);
	space(r, PMR_BASE | NVME_PMRMSC_CMSE);
	pmr_set32(r, 0x1000, 0xabcdef01);
	nenable(r);
	ndisable(r);
	assert_int_equal(nreg(r, NVME_PMRCTL), 1);
	assert_int_equal(nreg(r, NVME_PMRMSCL), 2);
	assert_int_equal(nreg(r, NVME_PMRMSCU), 0x55);
	assert_int_equal(pmr32(r, 0x1000), 0xabcdef01);
	for (unsigned int how = 0; how < 3; how++) {
		uint16_t command = 6;

		if (!how) {
			nstore(r, NVME_NSSR, NVME_NSSR_MAGIC);
			assert_true(nwait(r, NVME_CSTS, ~0u, NVME_CSTS_NSSRO));
		} else if (how == 1) {
			cbit_pci_reset(r->rig.pci[0]);
		} else {
			cbit_pci_close(r->rig.pci[0]);
			cbit_pci_open(r->rig.pci[0]);
			cbit_pci_config_write(r->rig.pci[0], 4, &command, 2);
		}
		assert_int_equal(nreg(r, NVME_PMRCTL), 0);
		assert_int_equal(nreg(r, NVME_PMRSTS), 0);
		assert_int_equal(nreg(r, NVME_PMRMSCL), 0);
		assert_int_equal(nreg(r, NVME_PMRMSCU), 0);
		assert_int_equal(pmr32(r, 0x1000), ~0u);
		pmr_on(r);
		assert_int_equal(pmr32(r, 0x1000), 0xabcdef01);
		space(r, PMR_BASE | NVME_PMRMSC_CMSE);
	}
}

/* Data by PRPs and SGLs, in both directions, and what is refused. */
static void test_data(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe sqe;
	struct nvme_sgl sgl;
	uint8_t want[8192], got[8192];

	pmr_on(r);
	space(r, PMR_BASE | NVME_PMRMSC_CMSE);
	assert_true(nwait(r, NVME_PMRSTS, ~0u, 0));
	for (unsigned int i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)(i * 11 + (i >> 8));
	pmr_write(r, 0x8000, want, sizeof(want));
	sqe = nio(NVME_IO_WRITE, 0, 16, DATA_AT);
	sqe.dptr[0] = PMR_BASE + 0x8000;
	sqe.dptr[1] = PMR_BASE + 0x9000;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_READ, 0, 16, OTHER_AT)).status, NVME_OK);
	ram_read(&r->rig, OTHER_AT, got, sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
	/* the pages the other way round, into it; then by one descriptor that ends where it ends */
	sqe = nio(NVME_IO_READ, 0, 16, DATA_AT);
	sqe.dptr[0] = PMR_BASE + 0x20000;
	sqe.dptr[1] = PMR_BASE + 0x10000;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	pmr_read(r, 0x20000, got, 4096);
	pmr_read(r, 0x10000, got + 4096, 4096);
	assert_memory_equal(got, want, sizeof(want));
	sgl = (struct nvme_sgl){ .addr = PMR_BASE + PMR_SIZE - 8192, .len = 8192 };
	sqe.flags = NVME_PSDT_SGL << 6;
	memcpy(sqe.dptr, &sgl, sizeof(sgl));
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	pmr_read(r, PMR_SIZE - 8192, got, 8192);
	assert_memory_equal(got, want, sizeof(want));
	/* partly in it, and partly not: neither in memory nor beyond its end */
	sqe = nio(NVME_IO_READ, 0, 16, OTHER_AT);
	sqe.dptr[0] = PMR_BASE;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_INVALID_FIELD);
	sqe.flags = NVME_PSDT_SGL << 6;
	sgl.addr += 4096;
	memcpy(sqe.dptr, &sgl, sizeof(sgl));
	assert_int_equal(ndo(r, 1, sqe).status, NVME_INVALID_FIELD);
	/* a list in it, whose data is elsewhere */
	pmr_write(r, 0x3000, (uint64_t[]){ IOVA(OTHER_AT) + 4096, IOVA(OTHER_AT) }, 16);
	sqe = nio(NVME_IO_READ, 0, 24, DATA_AT);
	sqe.dptr[1] = PMR_BASE + 0x3000;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	assert_int_equal(r->rig.events[CBIT_EVENT_DMA_NOT_MAPPED], 0);
	/* not ready, there is nothing to be had; without CMSE the host's memory is meant */
	pmr_off(r);
	sqe = nio(NVME_IO_READ, 0, 8, DATA_AT);
	sqe.dptr[0] = PMR_BASE;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_DATA_TRANSFER);
	assert_int_equal(r->rig.events[CBIT_EVENT_DMA_NOT_MAPPED], 0);
	pmr_on(r);
	assert_int_equal(ndo(r, 1, sqe).status, NVME_OK);
	space(r, PMR_BASE);
	do {
		sqe.cdw11 = 0;
	} while (ndo(r, 1, sqe).status == NVME_OK);
	assert_int_equal(ndo(r, 1, sqe).status, NVME_DATA_TRANSFER);
	assert_true(r->rig.events[CBIT_EVENT_DMA_NOT_MAPPED] > 0);
}

/* A register that was written before a doorbell counts for the command. */
static void test_order(void **state)
{
	static const uint64_t base[] = { PMR_BASE, PMR_BASE + 0x10000000 };
	struct nrig *r = *state;
	struct nvme_sqe sqe = nio(NVME_IO_READ, 0, 8, DATA_AT);

	pmr_on(r);
	nstore(r, NVME_PMRMSCU, (uint32_t)(PMR_BASE >> 32));
	for (unsigned int i = 0; i < 2000; i++) {
		nstore(r, NVME_PMRMSCL, (uint32_t)base[i % 2] | NVME_PMRMSC_CMSE);
		sqe.dptr[0] = base[i % 2];
		if (ndo(r, 1, sqe).status != NVME_OK)
			fail_msg("command %u went by the register's old value", i);
	}
}

/* 3.1.23: ranges that end beyond the last address, or are the buffer's too. */
static void test_bad_base(void **state)
{
	static const struct {
		uint64_t base;
		bool bad;
	} alone[] = {
		{ 0, false },
		{ UINT64_C(0) - PMR_SIZE, false }, /* the very end */
		{ UINT64_C(0) - PMR_SIZE + 4096, true },
		{ UINT64_C(0) - 4096, true },
		{ PMR_BASE, false },
	};
	static const struct {
		int64_t off;
		bool bad;
	} beside[] = {
		{ -(int64_t)PMR_SIZE, false },
		{ 4096 - (int64_t)PMR_SIZE, true },
		{ 0, true },
		{ PMR_SIZE - 4096, true },
		{ PMR_SIZE, false },
	};
	struct nrig *r = *state;

	pmr_on(r);
	for (unsigned int i = 0; i < sizeof(alone) / sizeof(alone[0]); i++) {
		/* What it was before must be seen to have changed. */
		space(r, alone[i].bad ? PMR_BASE | 2 : UINT64_MAX & ~UINT64_C(0xffd));
		status(r, alone[i].bad ? 0 : NVME_PMRSTS_CBAI);
		space(r, alone[i].base | NVME_PMRMSC_CMSE);
		status(r, alone[i].bad ? NVME_PMRSTS_CBAI : 0);
		/* without CMSE nothing is wrong */
		space(r, alone[i].base);
		status(r, 0);
	}
	nstore64(r, NVME_CMBMSC, PMR_BASE | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_true(nwait(r, NVME_CMBLOC, 7, 2));
	for (unsigned int i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		space(r, beside[i].bad ? 2 : UINT64_MAX & ~UINT64_C(0xffd));
		status(r, beside[i].bad ? 0 : NVME_PMRSTS_CBAI);
		space(r, (PMR_BASE + (uint64_t)beside[i].off) | NVME_PMRMSC_CMSE);
		status(r, beside[i].bad ? NVME_PMRSTS_CBAI : 0);
		assert_int_equal(nreg(r, NVME_CMBSTS), 0);
	}
	/* the one that comes second is the wrong one, and is right when the other has gone */
	nstore64(r, NVME_CMBMSC, (PMR_BASE + PMR_SIZE) | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_true(nwait(r, NVME_CMBSTS, 1, NVME_CMBSTS_CBAI));
	assert_int_equal(nreg(r, NVME_PMRSTS), 0);
	space(r, 0);
	assert_true(nwait(r, NVME_CMBSTS, 1, 0));
	/* and the buffer may end with the last address, too */
	nstore64(r, NVME_CMBMSC, (0 - UINT64_C(0xff000)) | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_true(nwait(r, NVME_CMBSTS, 1, NVME_CMBSTS_CBAI));
	nstore64(r, NVME_CMBMSC, (0 - UINT64_C(0x100000)) | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_true(nwait(r, NVME_CMBSTS, 1, 0));
}

/* Another device's DMA into it is as the CPU's access: one controller writes to the other's. */
static void test_peer(void **state)
{
	struct nrig r;
	struct nvme_sqe sqe;
	uint32_t v;
	uint8_t want[4096], got[4096];
	const struct cbit_bar_info *bar;

	(void)state;
	nrig_up(&r, "nvme,size=16M", "nvme,size=16M,pmr=1M");
	nqueues(&r, 1);
	bar = cbit_pci_bar(r.rig.pci[1], PMR_BAR);
	assert_int_equal(cbit_domain_map(r.rig.domain, CBIT_IOVA(PMR_BASE), bar->spa, PMR_SIZE,
					 CBIT_ATTR_RW),
			 0);
	pattern(&r, DATA_AT, 4096, 3);
	ram_read(&r.rig, DATA_AT, want, sizeof(want));
	assert_int_equal(ndo(&r, 1, nio(NVME_IO_WRITE, 0, 8, DATA_AT)).status, NVME_OK);
	sqe = nio(NVME_IO_READ, 0, 8, DATA_AT);
	sqe.dptr[0] = PMR_BASE + 0x4000;
	/* not enabled, the write is taken and nothing changes */
	assert_int_equal(ndo(&r, 1, sqe).status, NVME_OK);
	v = NVME_PMRCTL_EN;
	cbit_pci_bar_write(r.rig.pci[1], 0, NVME_PMRCTL, &v, sizeof(v));
	cbit_pci_bar_read(r.rig.pci[1], PMR_BAR, 0x4000, &v, sizeof(v));
	assert_int_equal(v, 0);
	assert_int_equal(ndo(&r, 1, sqe).status, NVME_OK);
	cbit_pci_bar_read(r.rig.pci[1], PMR_BAR, 0x4000, got, sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
	/* and back */
	sqe.opcode = NVME_IO_COMPARE;
	assert_int_equal(ndo(&r, 1, sqe).status, NVME_OK);
	v = ~v;
	cbit_pci_bar_write(r.rig.pci[1], PMR_BAR, 0x4ffc, &v, sizeof(v));
	assert_int_equal(ndo(&r, 1, sqe).status, NVME_COMPARE_FAILED);
	rig_down(&r.rig);
}

static void file_of(uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* What was written is in the file at once, and there for the next machine. */
static void test_file(void **state)
{
	struct nrig r;
	char spec[128];
	uint32_t v;
	int fd;

	(void)state;
	file_of(PMR_SIZE);
	snprintf(spec, sizeof(spec), "nvme,size=16M,pmr-file=%s", path);
	nrig_up(&r, spec, NULL);
	assert_int_equal(cbit_pci_bar(r.rig.pci[0], PMR_BAR)->size, PMR_SIZE);
	pmr_on(&r);
	pmr_set32(&r, 0x5004, 0xfeedf00d);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &v, sizeof(v), 0x5004), sizeof(v));
	assert_int_equal(v, 0xfeedf00d);
	v = 0x01020304;
	assert_int_equal(pwrite(fd, &v, sizeof(v), 0x6000), sizeof(v));
	close(fd);
	assert_int_equal(pmr32(&r, 0x6000), 0x01020304);
	/* one of a virtual machine's disks at a time */
	assert_int_equal(rig_plug(&r.rig, 1, spec, NULL), -EBUSY);
	rig_down(&r.rig);
	snprintf(spec, sizeof(spec), "nvme,size=16M,pmr=64K,pmr-file=%s", path);
	nrig_up(&r, spec, NULL);
	assert_int_equal(cbit_pci_bar(r.rig.pci[0], PMR_BAR)->size, 0x10000);
	nstore(&r, NVME_PMRCTL, 1);
	while (pmr32(&r, 0x5004) == ~0u)
		sched_yield();
	assert_int_equal(pmr32(&r, 0x5004), 0xfeedf00d);
	rig_down(&r.rig);
	unlink(path);
}

/* A file that takes no writes any more, and one that has been cut short. */
static void test_file_fails(void **state)
{
	int fd = memfd_create("pmr", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct nvme_sqe sqe = nio(NVME_IO_READ, 0, 8, DATA_AT);
	struct nrig r;
	char spec[128];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PMR_SIZE), 0);
	snprintf(spec, sizeof(spec), "nvme,size=16M,pmr-file=/proc/self/fd/%d", fd);
	nrig_up(&r, spec, NULL);
	nqueues(&r, 1);
	pmr_on(&r);
	space(&r, PMR_BASE | NVME_PMRMSC_CMSE);
	sqe.dptr[0] = PMR_BASE;
	while (ndo(&r, 1, sqe).status != NVME_OK)
		sched_yield();
	assert_int_equal(ftruncate(fd, 0x1000), 0);
	assert_int_equal(pmr32(&r, 0x2000), ~0u);
	assert_int_equal(nreg(&r, NVME_PMRSTS), 0);
	sqe.opcode = NVME_IO_WRITE;
	sqe.dptr[0] = PMR_BASE + 0x1000;
	assert_int_equal(ndo(&r, 1, sqe).status, NVME_DATA_TRANSFER);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	pmr_set32(&r, 0, 1);
	/* at once, and until the function is reset */
	assert_int_equal(nreg(&r, NVME_PMRSTS), 1);
	sqe.opcode = NVME_IO_READ;
	assert_int_equal(ndo(&r, 1, sqe).status, NVME_DATA_TRANSFER);
	/* neither enabling it nor the opposite hides the error for a moment */
	for (unsigned int i = 0; i < 200; i++) {
		const uint32_t want = i % 2 ? 1 : NVME_PMRSTS_NRDY | 1;
		uint32_t v;

		nstore(&r, NVME_PMRCTL, i % 2);
		while ((v = nreg(&r, NVME_PMRSTS)) != want)
			assert_int_equal(v & 1, 1);
	}
	cbit_pci_reset(r.rig.pci[0]);
	assert_int_equal(nreg(&r, NVME_PMRSTS), 0);
	rig_down(&r.rig);
	close(fd);
}

static void test_options(void **state)
{
	static const struct {
		const char *spec;
		uint64_t file; /* so long a file, whose path stands behind @spec, then @more */
		int ret;
		const char *words;
		const char *more;
	} cases[] = {
		{ "nvme,pmr=0", 0, -EINVAL, "power of two" },
		{ "nvme,pmr=", 0, -EINVAL, "power of two" },
		{ "nvme,pmr=-1", 0, -EINVAL, "power of two" },
		{ "nvme,pmr=3M", 0, -EINVAL, "power of two" },
		{ "nvme,pmr=32K", 0, -EINVAL, "from 64K" },
		{ "nvme,pmr=128G", 0, -EINVAL, "to 64G" },
		{ "nvme,pmr=99999999999999999999", 0, -EINVAL, "power of two" },
		{ "nvme,pmr", 0, -EINVAL, "not key=value" },
		{ "nvme,pmr-file=", 0, -EINVAL, "which file" },
		{ "nvme,pmr-file=/nonexistent/pmr", 0, -ENOENT, "cannot open" },
		{ "nvme,pmr-file=/dev/null", 0, -EINVAL, "neither a file nor" },
		{ "nvme,pmr-file=/tmp", 0, -EISDIR, "cannot open" },
		{ "nvme,pmr-file=", 100000, -EINVAL, "pmr=SIZE says", "" },
		{ "nvme,pmr-file=", 0, -EINVAL, "0 bytes", "" },
		{ "nvme,pmr=1M,pmr-file=", 0xff000, -EINVAL, "less than pmr=1048576", "" },
		{ "nvme,pmr-file=", 0x100000, -EINVAL, "sriov", ",sriov=2" },
		{ "nvme,pmr-file=/proc/version", 0, -EACCES, "for writing" },
	};
	struct nrig r;

	(void)state;
	nrig_up(&r, "nvme,size=16M", NULL);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_error err = { 0 };
		char spec[128];
		int ret;

		file_of(cases[i].file);
		snprintf(spec, sizeof(spec), "%s%s%s", cases[i].spec, cases[i].more ? path : "",
			 cases[i].more ? cases[i].more : "");
		ret = rig_plug(&r.rig, 1, spec, &err);
		/* Root may open what is read-only, and is told something else. */
		if (cases[i].ret == -EACCES && ret != -EACCES)
			assert_true(ret < 0);
		else
			assert_int_equal(ret, cases[i].ret);
		if (ret == cases[i].ret && !strstr(err.text, cases[i].words))
			fail_msg("%s: \"%s\"", spec, err.text);
	}
	/* functions have a region each */
	r.rig.pci[1] = NULL;
	assert_int_equal(rig_plug(&r.rig, 1, "nvme,size=16M,pmr=64K,sriov=2", NULL), 0);
	rig_down(&r.rig);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_registers, up, nrig_free),
		cmocka_unit_test(test_without),
		cmocka_unit_test_setup_teardown(test_msix, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_handshake, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_resets, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_data, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_order, up, nrig_free),
		cmocka_unit_test_setup_teardown(test_bad_base, up, nrig_free),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_fails),
		cmocka_unit_test(test_options),
	};
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
