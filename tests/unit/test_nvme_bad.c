/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands with bad fields are answered with the status that the specification names, and change
 * nothing: the data is as it was, what the host did not ask for is not written, features and
 * queues are the same, good commands work, and the error log has the failure.
 */
#include "nvme_bad.h"

#include <stdio.h>
#include <sys/mman.h>

#include <dev/nvme.h>

#define NS1_BYTES (NS1_BLOCKS * 512)
#define NS2_BYTES (NS2_BLOCKS * 4096)
#define LOG_AT    0x20000u
#define ID_AT     0x21000u
#define BACK_AT   0x30000u
#define GUARD     0x10000u /* bytes at DATA_AT that no bad command may write */

unsigned int bad_count;

static struct {
	int fd[NAMESPACES];
	uint8_t *file[NAMESPACES];
	uint8_t *golden[NAMESPACES];
	uint32_t feature[16];
	uint8_t guard[GUARD];
} was;

static const uint64_t bytes_of[NAMESPACES] = { NS1_BYTES, NS2_BYTES, 64 * 1024 };
static const uint8_t features[] = { 0x01, 0x02, 0x04, 0x06, 0x07, 0x08, 0x0a, 0x0b };

uint64_t bad_errors(struct nrig *r, struct nvme_error_entry *newest)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADM_GET_LOG,
				.nsid = UINT32_MAX,
				.dptr = { IOVA(LOG_AT) },
				.cdw10 = NVME_LOG_ERROR | 15u << 16 };

	assert_int_equal(nadmin(r, sqe).status, NVME_OK);
	ram_read(&r->rig, LOG_AT, newest, sizeof(*newest));
	return newest->count;
}

static uint32_t feature(struct nrig *r, uint8_t fid)
{
	struct answer a =
		nadmin(r, (struct nvme_sqe){ .opcode = NVME_ADM_GET_FEATURES, .cdw10 = fid });

	assert_int_equal(a.status, NVME_OK);
	return (uint32_t)a.result;
}

static void queues_work(struct nrig *r)
{
	struct nvme_sqe read = nio(NVME_IO_READ, 16, 8, BACK_AT);
	uint8_t back[4096];

	for (unsigned int q = 1; q <= 2; q++) {
		memset(back, 0xee, sizeof(back));
		ram_write(&r->rig, BACK_AT, back, sizeof(back));
		assert_int_equal(ndo(r, q, read).status, NVME_OK);
		ram_read(&r->rig, BACK_AT, back, sizeof(back));
		assert_memory_equal(back, was.golden[0] + 16 * 512, sizeof(back));
	}
	/* There is no third one. */
	for (unsigned int op = NVME_ADM_DELETE_SQ; op <= NVME_ADM_DELETE_CQ; op += 4) {
		struct nvme_sqe sqe = { .opcode = (uint8_t)op, .cdw10 = 3 };

		assert_int_equal(nadmin(r, sqe).status, NVME_QID_INVALID);
	}
}

static void nothing_else(struct nrig *r)
{
	struct nvme_sqe id = { .opcode = NVME_ADM_IDENTIFY,
			       .dptr = { IOVA(ID_AT) },
			       .cdw10 = NVME_CNS_CONTROLLER };
	uint8_t guard[GUARD];
	uint16_t vid;

	assert_int_equal(nreg(r, NVME_CSTS), NVME_CSTS_RDY);
	assert_int_equal(nadmin(r, id).status, NVME_OK);
	ram_read(&r->rig, ID_AT, &vid, sizeof(vid));
	assert_int_equal(vid, NVME_VENDOR);
	for (size_t i = 0; i < sizeof(features); i++)
		assert_int_equal(feature(r, features[i]), was.feature[features[i]]);
	for (unsigned int i = 0; i < NAMESPACES; i++)
		assert_int_equal(memcmp(was.file[i], was.golden[i], bytes_of[i]), 0);
	ram_read(&r->rig, DATA_AT, guard, sizeof(guard));
	assert_memory_equal(guard, was.guard, sizeof(guard));
}

static char current_row[160];

void bad_intact(struct nrig *r, const char *after)
{
	snprintf(current_row, sizeof(current_row), "%s", after);
	queues_work(r);
	nothing_else(r);
}

void bad_run(struct nrig *r, unsigned int q, const struct bad *rows, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		const struct bad *row = &rows[i];
		struct nvme_error_entry before, e;
		struct answer a;

		snprintf(current_row, sizeof(current_row), "%s", row->what);
		bad_errors(r, &before);
		ram_write(&r->rig, LIST_AT, row->list, sizeof(row->list));
		a = ndo(r, q, row->sqe);
		bad_count++;
		if (a.status != row->status || a.dnr == row->retry)
			fail_msg("%s: status %03x%s, not %03x%s", row->what, a.status,
				 a.dnr ? " DNR" : "", row->status, row->retry ? "" : " DNR");
		bad_errors(r, &e);
		if (e.count != before.count + 1 || e.sq_id != q || e.cid != a.cid ||
		    (e.status >> 1 & 0x7ff) != row->status || e.nsid != row->sqe.nsid)
			fail_msg("%s: error log: %u after %u, queue %u, command %u, status %04x",
				 row->what, (unsigned int)e.count, (unsigned int)before.count,
				 e.sq_id, e.cid, e.status);
		bad_intact(r, row->what);
	}
}

static int set_up(void **state)
{
	struct nrig *r = malloc(sizeof(*r));
	char spec[256], *at = spec;

	at += sprintf(at, "nvme");
	for (unsigned int i = 0; i < NAMESPACES; i++) {
		was.fd[i] = memfd_create("nvme-bad", MFD_CLOEXEC);
		assert_int_equal(ftruncate(was.fd[i], (off_t)bytes_of[i]), 0);
		was.file[i] =
			mmap(NULL, bytes_of[i], PROT_READ | PROT_WRITE, MAP_SHARED, was.fd[i], 0);
		assert_ptr_not_equal(was.file[i], MAP_FAILED);
		was.golden[i] = malloc(bytes_of[i]);
		for (size_t k = 0; k < bytes_of[i]; k++)
			was.golden[i][k] = (uint8_t)(k * 31 + (k >> 9) * 7 + i);
		memcpy(was.file[i], was.golden[i], bytes_of[i]);
		at += sprintf(at, ",file=/proc/self/fd/%d,block=%d", was.fd[i],
			      i == 1 ? 4096 : 512);
	}
	nrig_up(r, spec, NULL);
	((struct nvme *)r->rig.pci[0]->state)->ns[2].readonly = true;
	nqueues(r, 1);
	nqueues(r, 2);
	pattern(r, DATA_AT, GUARD, 5);
	ram_read(&r->rig, DATA_AT, was.guard, GUARD);
	for (size_t i = 0; i < sizeof(features); i++)
		was.feature[features[i]] = feature(r, features[i]);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct nrig *r = *state;

	rig_down(&r->rig);
	for (unsigned int i = 0; i < NAMESPACES; i++) {
		munmap(was.file[i], bytes_of[i]);
		close(was.fd[i]);
		free(was.golden[i]);
	}
	free(r);
	return 0;
}

/* Number of Queues is asked for before there are any: bad values then, and the order of things. */
static void before_queues(void **state)
{
	static const uint32_t numbers[] = { 0xffff, 0xffff0000, 0xffffffff };
	struct nrig *r = *state;

	ndisable(r);
	nenable(r);
	for (size_t i = 0; i < NR(numbers); i++) {
		struct nvme_sqe sqe = { .opcode = NVME_ADM_SET_FEATURES,
					.cdw10 = NVME_FEAT_QUEUES,
					.cdw11 = numbers[i] };
		struct answer a = nadmin(r, sqe);

		bad_count++;
		assert_int_equal(a.status, NVME_INVALID_FIELD); /* 5.21.1.7 */
		assert_true(a.dnr);
	}
	nqueues(r, 1);
	nqueues(r, 2);
	bad_intact(r, "Number of Queues");
}

static void enough(void **state)
{
	(void)state;
	print_message("%u commands with bad fields\n", bad_count);
	assert_true(bad_count >= 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bad_admin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_io, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_prp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_sgl, set_up, tear_down),
		cmocka_unit_test_setup_teardown(before_queues, set_up, tear_down),
		cmocka_unit_test(enough),
		cmocka_unit_test_setup_teardown(bad_doorbells, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_admin_opcodes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_io_opcodes, set_up, tear_down),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	if (failed)
		print_message("the last command was: %s\n", current_row);
	return failed;
}
