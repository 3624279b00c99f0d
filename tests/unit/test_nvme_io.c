/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVM commands: data by PRPs, lists, SGLs and the controller memory buffer; ranges, wrong fields,
 * durability, and queues that are full.
 */
#include "nvme_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* Counts instead of the C library's, which this program's own goes before. */
static unsigned int syncs;

int fdatasync(int fd)
{
	(void)fd;
	__atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static char path[64];

static int up(void **state)
{
	struct nrig *r = malloc(sizeof(*r));
	char spec[256];
	int fd;

	*state = r;
	snprintf(path, sizeof(path), "/tmp/test_nvme_io.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	close(fd);
	snprintf(spec, sizeof(spec), "nvme,file=%s,cmb=1M", path);
	nrig_up(r, spec, NULL);
	nqueues(r, 1);
	return 0;
}

static int down(void **state)
{
	unlink(path);
	return nrig_free(state);
}

static bool in_file(struct nrig *r, uint64_t offset, uint64_t at, size_t len)
{
	uint8_t *x = malloc(len), *y = malloc(len);
	int fd = open(path, O_RDONLY);
	bool ok = fd >= 0 && pread(fd, x, len, (off_t)offset) == (ssize_t)len;

	ram_read(&r->rig, at, y, len);
	ok = ok && !memcmp(x, y, len);
	close(fd);
	free(x);
	free(y);
	return ok;
}

static void test_one_and_two_pages(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe sqe;

	pattern(r, DATA_AT, 8192, 1);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 0, 1, DATA_AT)).status, 0);
	assert_true(in_file(r, 0, DATA_AT, 512));
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 8, 16, DATA_AT)).status, 0);
	assert_true(in_file(r, 4096, DATA_AT, 8192));
	/* the first page from its middle on, the rest in the next */
	sqe = nio(NVME_IO_READ, 8, 8, OTHER_AT);
	sqe.dptr[0] = IOVA(OTHER_AT) + 0x800;
	sqe.dptr[1] = IOVA(OTHER_AT) + 0x3000;
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	assert_true(same(&r->rig, OTHER_AT + 0x800, DATA_AT, 0x800));
	assert_true(same(&r->rig, OTHER_AT + 0x3000, DATA_AT + 0x800, 0x800));
}

/* 1 MiB through a list in two pages that starts near the end of the first. */
static void test_lists(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe sqe = nio(NVME_IO_WRITE, 64, 2048, DATA_AT);
	uint64_t entry;

	pattern(r, DATA_AT, 1 << 20, 3);
	for (unsigned int i = 0; i < 3; i++) {
		entry = i == 2 ? IOVA(LIST_AT + 0x1000) : IOVA(DATA_AT + 4096 * (i + 1));
		ram_write(&r->rig, LIST_AT + 0x1000 - 24 + 8 * i, &entry, 8);
	}
	for (unsigned int i = 0; i < 253; i++) {
		entry = IOVA(DATA_AT + 4096 * (i + 3));
		ram_write(&r->rig, LIST_AT + 0x1000 + 8 * i, &entry, 8);
	}
	sqe.dptr[1] = IOVA(LIST_AT + 0x1000 - 24);
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	assert_true(in_file(r, 64 * 512, DATA_AT, 1 << 20));
	/* beyond the largest transfer */
	sqe.cdw12 = 2048;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_INVALID_FIELD);
	/* backwards: pages in an order that is no run */
	for (unsigned int i = 0; i < 8; i++) {
		entry = IOVA(OTHER_AT + 4096 * (7 - i));
		ram_write(&r->rig, LIST_AT + 8 * i, &entry, 8);
	}
	sqe = nio(NVME_IO_READ, 64, 64, OTHER_AT);
	sqe.dptr[0] = IOVA(OTHER_AT + 0x7000);
	sqe.dptr[1] = IOVA(LIST_AT + 8);
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	for (unsigned int i = 0; i < 8; i++)
		assert_true(same(&r->rig, OTHER_AT + 4096 * (7 - i), DATA_AT + 4096 * i, 4096));
}

static void put_sgl(struct nrig *r, uint64_t at, uint8_t id, uint64_t addr, uint32_t len)
{
	struct nvme_sgl sgl = { .addr = addr, .len = len, .id = id };

	ram_write(&r->rig, at, &sgl, sizeof(sgl));
}

static void set_sgl(struct nvme_sqe *sqe, uint8_t id, uint64_t addr, uint32_t len)
{
	struct nvme_sgl sgl = { .addr = addr, .len = len, .id = id };

	sqe->flags = NVME_PSDT_SGL << 6;
	memcpy(sqe->dptr, &sgl, sizeof(sgl));
}

static void test_sgls(void **state)
{
	static const struct {
		uint8_t id; /* of the descriptor in the command */
		uint32_t len;
		uint8_t first; /* of those in the list */
		uint8_t second;
		uint32_t second_len;
		uint16_t status;
	} cases[] = {
		{ 0x00, 4096, 0, 0, 0, NVME_OK },
		{ 0x00, 8192, 0, 0, 0, NVME_OK }, /* longer than the data */
		{ 0x00, 4095, 0, 0, 0, NVME_SGL_LENGTH_INVALID },
		{ 0x00, 0, 0, 0, 0, NVME_SGL_LENGTH_INVALID },
		{ 0x01, 4096, 0, 0, 0, NVME_SGL_TYPE_INVALID },
		{ 0x40, 4096, 0, 0, 0, NVME_SGL_TYPE_INVALID },
		{ 0xf0, 4096, 0, 0, 0, NVME_SGL_TYPE_INVALID },
		{ 0x30, 32, 0x00, 0x00, 3096, NVME_OK },
		{ 0x30, 32, 0x00, 0x00, 3095, NVME_SGL_LENGTH_INVALID },
		{ 0x30, 16, 0x00, 0x00, 3096, NVME_SGL_LENGTH_INVALID },
		{ 0x30, 31, 0x00, 0x00, 3096, NVME_SGL_SEGMENT_INVALID },
		{ 0x30, 0, 0x00, 0x00, 3096, NVME_SGL_SEGMENT_INVALID },
		{ 0x30, 32, 0x00, 0x30, 16, NVME_SGL_SEGMENT_INVALID }, /* after the last one */
		{ 0x20, 32, 0x20, 0x00, 16, NVME_SGL_COUNT_INVALID },   /* not at the end */
		{ 0x20, 32, 0x00, 0x30, 32, NVME_OK },
		{ 0x20, 32, 0x00, 0x30, 24, NVME_SGL_SEGMENT_INVALID },
		{ 0x20, 32, 0x00, 0x50, 32, NVME_SGL_TYPE_INVALID },
	};
	struct nrig *r = *state;

	pattern(r, DATA_AT, 8192, 5);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 0, 8, DATA_AT)).status, 0);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nvme_sqe sqe = nio(NVME_IO_READ, 0, 8, OTHER_AT);
		bool list = cases[i].id >= 0x20 && cases[i].id < 0x40;
		uint16_t status;

		pattern(r, OTHER_AT, 8192, 99 + i);
		put_sgl(r, LIST_AT, cases[i].first, IOVA(OTHER_AT), 1000);
		put_sgl(r, LIST_AT + 16, cases[i].second,
			cases[i].second >= 0x20 ? IOVA(LIST_AT + 32) : IOVA(OTHER_AT + 1000),
			cases[i].second_len);
		put_sgl(r, LIST_AT + 32, 0x00, IOVA(OTHER_AT + 1000), 3000);
		put_sgl(r, LIST_AT + 48, 0x00, IOVA(OTHER_AT + 4000), 96);
		set_sgl(&sqe, cases[i].id, IOVA(list ? LIST_AT : OTHER_AT), cases[i].len);
		status = ndo(r, 1, sqe).status;
		if (status != cases[i].status)
			fail_msg("case %u: 0x%x, not 0x%x", i, status, cases[i].status);
		if (!status)
			assert_true(same(&r->rig, OTHER_AT, DATA_AT, 4096));
	}
}

static void test_wrong_fields(void **state)
{
	static const struct {
		uint8_t opcode;
		uint8_t flags;
		uint32_t nsid;
		uint64_t prp1, prp2;
		uint64_t lba;
		uint32_t cdw12;
		uint16_t status;
	} cases[] = {
		{ NVME_IO_READ, 0, 0, IOVA(DATA_AT), 0, 0, 0, NVME_INVALID_NS },
		{ NVME_IO_READ, 0, 2, IOVA(DATA_AT), 0, 0, 0, NVME_INVALID_NS },
		{ NVME_IO_READ, 0, 0xffffffff, IOVA(DATA_AT), 0, 0, 0, NVME_INVALID_NS },
		{ NVME_IO_FLUSH, 0, 0xffffffff, 0, 0, 0, 0, NVME_OK },
		{ NVME_IO_FLUSH, 0, 2, 0, 0, 0, 0, NVME_INVALID_NS },
		{ NVME_IO_READ, 1, 1, IOVA(DATA_AT), 0, 0, 0, NVME_INVALID_FIELD },
		{ NVME_IO_READ, 0xc0, 1, IOVA(DATA_AT), 0, 0, 0, NVME_INVALID_FIELD },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT), 0, 131071, 0, NVME_OK },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT), 0, 131072, 0, NVME_LBA_RANGE },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT), 0, 131071, 1, NVME_LBA_RANGE },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT), 0, UINT64_MAX, 0, NVME_LBA_RANGE },
		{ NVME_IO_WRITE, 0, 1, IOVA(DATA_AT), 0, UINT64_C(1) << 55, 0, NVME_LBA_RANGE },
		{ NVME_IO_VERIFY, 0, 1, 0, 0, 131000, 71, NVME_OK },
		{ NVME_IO_VERIFY, 0, 1, 0, 0, 131000, 72, NVME_LBA_RANGE },
		{ NVME_IO_WRITE_ZEROES, 0, 1, 0, 0, 131000, 72, NVME_LBA_RANGE },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT) + 2, 0, 0, 0, NVME_PRP_OFFSET },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT), IOVA(DATA_AT) + 8, 0, 15, NVME_PRP_OFFSET },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT), IOVA(LIST_AT) + 4, 0, 31, NVME_PRP_OFFSET },
		{ NVME_IO_READ, 0, 1, NO_IOVA, 0, 0, 0, NVME_DATA_TRANSFER },
		{ NVME_IO_WRITE, 0, 1, NO_IOVA, 0, 0, 0, NVME_DATA_TRANSFER },
		{ NVME_IO_READ, 0, 1, IOVA(DATA_AT), NO_IOVA, 0, 31, NVME_DATA_TRANSFER },
		{ 0x55, 0, 1, 0, 0, 0, 0, NVME_INVALID_OPCODE },
	};
	struct nrig *r = *state;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a = ndo(r, 1,
				      (struct nvme_sqe){ .opcode = cases[i].opcode,
							 .flags = cases[i].flags,
							 .nsid = cases[i].nsid,
							 .dptr = { cases[i].prp1, cases[i].prp2 },
							 .cdw10 = (uint32_t)cases[i].lba,
							 .cdw11 = (uint32_t)(cases[i].lba >> 32),
							 .cdw12 = cases[i].cdw12 });

		if (a.status != cases[i].status)
			fail_msg("case %u: 0x%x, not 0x%x", i, a.status, cases[i].status);
	}
}

/* Commands of a batch of which some fail: each has its own status, and the others' data is there.
 */
static void test_mixed_batch(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe sqe[6];
	struct answer a;

	pattern(r, DATA_AT, 32768, 7);
	for (unsigned int i = 0; i < 6; i++) {
		sqe[i] = nio(i < 3 ? NVME_IO_WRITE : NVME_IO_READ, 8 * (i % 3), 8,
			     i < 3 ? DATA_AT + 4096 * i : OTHER_AT + 4096 * i);
		if (i % 3 == 1)
			sqe[i].dptr[0] = NO_IOVA;
		nput(r, 1, &sqe[i]);
	}
	nring(r, 1);
	for (unsigned int i = 0; i < 6; i++) {
		a = nanswer(r, 1);
		assert_int_equal(a.cid, sqe[i].cid);
		assert_int_equal(a.status, i % 3 == 1 ? NVME_DATA_TRANSFER : NVME_OK);
	}
	assert_true(same(&r->rig, OTHER_AT + 4096 * 3, DATA_AT, 4096));
	assert_true(same(&r->rig, OTHER_AT + 4096 * 5, DATA_AT + 8192, 4096));
}

static void test_other_commands(void **state)
{
	struct nrig *r = *state;
	struct nvme_dsm_range range[2] = { { 0, 8, 0 }, { 0, 8, 16 } };
	struct nvme_sqe sqe;
	static const uint8_t zeroes[4096];
	uint8_t got[4096];

	pattern(r, DATA_AT, 16384, 9);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 8 * i, 8, DATA_AT + 4096 * i)).status,
				 0);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_COMPARE, 8, 8, DATA_AT + 4096)).status, 0);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_COMPARE, 8, 8, DATA_AT)).status,
			 NVME_COMPARE_FAILED);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_VERIFY, 0, 32, 0)).status, 0);
	/* deallocated blocks read as zeros; attributes alone do nothing */
	ram_write(&r->rig, LIST_AT, range, sizeof(range));
	sqe = (struct nvme_sqe){
		.opcode = NVME_IO_DSM, .nsid = 1, .dptr = { IOVA(LIST_AT) }, .cdw10 = 1
	};
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_COMPARE, 0, 8, DATA_AT)).status, 0);
	sqe.cdw11 = 4;
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(ndo(r, 1, nio(NVME_IO_READ, 8 * i, 8, OTHER_AT)).status, 0);
		ram_read(&r->rig, OTHER_AT, got, sizeof(got));
		assert_int_equal(!memcmp(got, zeroes, sizeof(got)), i % 2 == 0);
	}
	range[1].blocks = 0xffffffff;
	ram_write(&r->rig, LIST_AT, range, sizeof(range));
	assert_int_equal(ndo(r, 1, sqe).status, NVME_LBA_RANGE);
	sqe = nio(NVME_IO_WRITE_ZEROES, 8, 4, 0);
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_READ, 8, 8, OTHER_AT)).status, 0);
	ram_read(&r->rig, OTHER_AT, got, sizeof(got));
	assert_memory_equal(got, zeroes, 2048);
	assert_true(same(&r->rig, OTHER_AT + 2048, DATA_AT + 4096 + 2048, 2048));
}

/* Flush reaches the file's own storage; a write of its own does not, but with the cache off. */
static void test_durability(void **state)
{
	struct nrig *r = *state;

	__atomic_store_n(&syncs, 0, __ATOMIC_SEQ_CST);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 0, 8, DATA_AT)).status, 0);
	assert_int_equal(syncs, 0);
	assert_int_equal(ndo(r, 1, (struct nvme_sqe){ .opcode = NVME_IO_FLUSH, .nsid = 1 }).status,
			 0);
	assert_int_equal(syncs, 1);
	assert_int_equal(
		ndo(r, 1, (struct nvme_sqe){ .opcode = NVME_IO_FLUSH, .nsid = ~0u }).status, 0);
	assert_int_equal(syncs, 2);
	/* switching the cache off empties it */
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_SET_FEATURES,
						      .cdw10 = NVME_FEAT_WRITE_CACHE })
				 .status,
			 0);
	assert_int_equal(syncs, 3);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE_ZEROES, 0, 8, 0)).status, 0);
	assert_int_equal(syncs, 4);
	/* and so does a shutdown */
	nstore(r, NVME_CC, CC_ENABLE | 1u << 14);
	assert_true(nwait(r, NVME_CSTS, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_DONE));
	assert_int_equal(syncs, 5);
}

static void test_format(void **state)
{
	struct nrig *r = *state;
	struct nvme_sqe sqe = { .opcode = NVME_ADM_FORMAT, .nsid = 1, .cdw10 = 1 };
	uint32_t list[1024];

	pattern(r, DATA_AT, 4096, 11);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 0, 8, DATA_AT)).status, 0);
	assert_int_equal(nadmin(r, sqe).status, 0);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_READ, 16383, 1, OTHER_AT)).status, 0);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_READ, 16384, 1, OTHER_AT)).status, NVME_LBA_RANGE);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_COMPARE, 0, 1, DATA_AT)).status,
			 NVME_COMPARE_FAILED);
	assert_int_equal(ndo(r, 1, nio(NVME_IO_WRITE, 1, 1, DATA_AT)).status, 0);
	assert_true(in_file(r, 4096, DATA_AT, 4096));
	/* what changed is told once */
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(
			nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_GET_LOG,
						     .dptr = { IOVA(LIST_AT) },
						     .cdw10 = NVME_LOG_CHANGED_NS | 1023u << 16 })
				.status,
			0);
		ram_read(&r->rig, LIST_AT, list, sizeof(list));
		assert_int_equal(list[0], i ? 0 : 1);
	}
	sqe.cdw10 = 2;
	assert_int_equal(nadmin(r, sqe).status, NVME_FORMAT_INVALID);
	sqe.cdw10 = 1 << 5;
	assert_int_equal(nadmin(r, sqe).status, NVME_FORMAT_INVALID);
	sqe.cdw10 = 2 << 9;
	assert_int_equal(nadmin(r, sqe).status, NVME_INVALID_FIELD);
	sqe.nsid = 3;
	assert_int_equal(nadmin(r, sqe).status, NVME_INVALID_NS);
}

/* Queues and data in the controller's own memory, at the address that the host chose. */
static void test_cmb(void **state)
{
	struct nrig *r = *state;
	const struct cbit_bar_info *bar = cbit_pci_bar(r->rig.pci[0], 2);
	const uint64_t base = UINT64_C(0x5500000000);
	struct nvme_sqe sqe;
	uint8_t *cmb = bar->memory;

	assert_int_equal(nreg(r, NVME_CMBSZ), 0);
	nstore64(r, NVME_CMBMSC, base | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_true(nwait(r, NVME_CMBSZ, 0xfffff01f, (1 << 20) | 0x1f));
	assert_int_equal(nreg(r, NVME_CMBLOC) & 7, 2);
	for (unsigned int i = 0; i < 4096; i++)
		cmb[0x8000 + i] = (uint8_t)(i * 3);
	sqe = nio(NVME_IO_WRITE, 0, 16, DATA_AT);
	pattern(r, DATA_AT, 8192, 13);
	/* a page of each memory */
	sqe.dptr[0] = base + 0x8000;
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	assert_true(in_file(r, 4096, DATA_AT + 4096, 4096));
	sqe = nio(NVME_IO_READ, 0, 8, OTHER_AT);
	sqe.dptr[0] = base + 0x9000;
	assert_int_equal(ndo(r, 1, sqe).status, 0);
	assert_memory_equal(cmb + 0x9000, cmb + 0x8000, 4096);
	assert_int_equal(r->rig.events[CBIT_EVENT_DMA_NOT_MAPPED], 0);
	/* a queue pair in it */
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_CREATE_CQ,
						      .dptr = { base + 0x1000 },
						      .cdw10 = 2 | 15u << 16,
						      .cdw11 = 1 })
				 .status,
			 0);
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_CREATE_SQ,
						      .dptr = { base },
						      .cdw10 = 2 | 15u << 16,
						      .cdw11 = 1 | 2u << 16 })
				 .status,
			 0);
	sqe = nio(NVME_IO_READ, 8, 8, OTHER_AT);
	sqe.cid = 0x1234;
	memcpy(cmb, &sqe, sizeof(sqe));
	nstore(r, NVME_DOORBELLS + 8 * 2, 1);
	for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end; sched_yield())
		if (__atomic_load_n((uint16_t *)(void *)(cmb + 0x100e), __ATOMIC_ACQUIRE) & 1)
			break;
	assert_int_equal(*(uint16_t *)(void *)(cmb + 0x100c), 0x1234);
	assert_int_equal(*(uint16_t *)(void *)(cmb + 0x100e), 1);
	assert_true(same(&r->rig, OTHER_AT, DATA_AT + 4096, 4096));
	/* switched off, these are addresses like others */
	nstore64(r, NVME_CMBMSC, 0);
	assert_true(nwait(r, NVME_CMBSZ, ~0u, 0));
	sqe = nio(NVME_IO_READ, 0, 8, OTHER_AT);
	sqe.dptr[0] = base + 0x9000;
	assert_int_equal(ndo(r, 1, sqe).status, NVME_DATA_TRANSFER);
}

/* More commands than the completion queue has room for: the rest waits for the host to take some.
 */
static void test_full_queue(void **state)
{
	struct nrig *r = *state;
	struct answer a;
	unsigned int seen = 0;

	/* leave 10 in the queue untaken, add 10 more: only 5 have room */
	for (unsigned int k = 0; k < 2; k++) {
		for (unsigned int i = 0; i < 10; i++) {
			struct nvme_sqe sqe = nio(NVME_IO_READ, 0, 1, OTHER_AT);

			nput(r, 1, &sqe);
		}
		nring(r, 1);
		for (time_t end = time(NULL) + PATIENCE_S;
		     seen < (k ? 15 : 10) && time(NULL) < end;)
			seen += npeek(r, 1, &a);
	}
	assert_int_equal(seen, 15);
	usleep(20000);
	assert_false(npeek(r, 1, &a));
	nhead(r, 1);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(nanswer(r, 1).status, 0);
}

/* Doorbell Buffer Config: doorbells in memory, rung only when the event index is passed. */
static void test_shadow(void **state)
{
	struct nrig *r = *state;
	unsigned int rings = 0, barrier;

	pattern(r, SHADOW_AT, 0x2000, 0);
	for (unsigned int i = 0; i < 512; i++)
		ram_write(&r->rig, SHADOW_AT + 16 * i, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_DOORBELL_BUFFER,
						      .dptr = { IOVA(SHADOW_AT),
								IOVA(SHADOW_AT + 0x1000) } })
				 .status,
			 0);
	for (unsigned int i = 0; i < 100; i++) {
		struct nvme_sqe sqe = nio(NVME_IO_READ, 0, 1, OTHER_AT);
		uint32_t old = r->q[1].tail, ei;
		struct answer a = { 0 };
		bool there = false;

		nput(r, 1, &sqe);
		ram_write(&r->rig, SHADOW_AT + 8, &r->q[1].tail, 4);
		/* the index is read once the doorbell can be seen; TSan has no fences */
		__atomic_exchange_n(&barrier, i, __ATOMIC_SEQ_CST);
		ram_read(&r->rig, SHADOW_AT + 0x1000 + 8, &ei, 4);
		if ((uint16_t)(r->q[1].tail - ei - 1) < (uint16_t)(r->q[1].tail - old)) {
			rings++;
			nring(r, 1);
		}
		for (time_t end = time(NULL) + PATIENCE_S; !there && time(NULL) < end;)
			there = npeek(r, 1, &a);
		assert_true(there);
		assert_int_equal(a.status, 0);
		ram_write(&r->rig, SHADOW_AT + 12, &r->q[1].head, 4);
	}
	assert_true(rings > 0);
	assert_int_equal(
		nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_DOORBELL_BUFFER,
					     .dptr = { IOVA(SHADOW_AT) + 8, IOVA(SHADOW_AT) } })
			.status,
		NVME_INVALID_FIELD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_and_two_pages, up, down),
		cmocka_unit_test_setup_teardown(test_lists, up, down),
		cmocka_unit_test_setup_teardown(test_sgls, up, down),
		cmocka_unit_test_setup_teardown(test_wrong_fields, up, down),
		cmocka_unit_test_setup_teardown(test_mixed_batch, up, down),
		cmocka_unit_test_setup_teardown(test_other_commands, up, down),
		cmocka_unit_test_setup_teardown(test_durability, up, down),
		cmocka_unit_test_setup_teardown(test_format, up, down),
		cmocka_unit_test_setup_teardown(test_cmb, up, down),
		cmocka_unit_test_setup_teardown(test_full_queue, up, down),
		cmocka_unit_test_setup_teardown(test_shadow, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
