/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands with bad fields: how a table of them looks, and what is there besides. The tables are
 * written from the NVM Express Base Specification 1.4; numbers in their texts are its sections.
 *
 * Namespace 1 has 8192 blocks of 512 bytes, 2 has 256 of 4096, 3 is write protected. There are I/O
 * queues 1 and 2; whoever adds one in error is found by the check that follows each command.
 */
#ifndef CBIT_TEST_NVME_BAD_H
#define CBIT_TEST_NVME_BAD_H

#include "nvme_rig.h"

#define NS1_BLOCKS UINT64_C(8192)
#define NS2_BLOCKS UINT64_C(256)
#define NAMESPACES 3u
#define BAD_NSID   (NAMESPACES + 1)
#define MQES       1024u /* entries that a queue may have: CAP.MQES + 1 */
#define VECTORS    64u
#define MAX_QUEUES 64u

/**
 * struct bad - one command.
 * @what:   the field, and the section that names the status.
 * @status: type << 8 | code.
 * @retry:  the same command may succeed another time: Do Not Retry must be clear.
 * @list:   written to LIST_AT first: a PRP list, a segment of SGL descriptors, or ranges.
 */
struct bad {
	const char *what;
	uint16_t status;
	bool retry;
	struct nvme_sqe sqe;
	uint64_t list[16];
};

/* Submit all to queue @q, each followed by the check that nothing has changed. */
void bad_run(struct nrig *r, unsigned int q, const struct bad *rows, size_t nr);
/* The check alone. */
void bad_intact(struct nrig *r, const char *after);

/* Entries of the error log, and the newest of them. */
uint64_t bad_errors(struct nrig *r, struct nvme_error_entry *newest);

/* Commands submitted so far. */
extern unsigned int bad_count;

#define NR(rows) (sizeof(rows) / sizeof((rows)[0]))

void bad_admin(void **state);
void bad_admin_opcodes(void **state);
void bad_io(void **state);
void bad_prp(void **state);
void bad_sgl(void **state);
void bad_io_opcodes(void **state);
void bad_doorbells(void **state);

#endif
