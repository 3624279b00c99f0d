/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O commands with bad fields: namespaces, ranges of blocks, transfer sizes, PRPs and SGLs.
 * Section numbers are those of the NVM Express Base Specification 1.4.
 */
#include "nvme_bad.h"

#include <stdio.h>

static const struct {
	uint8_t opcode;
	const char *name;
} moves[] = {
	{ NVME_IO_READ, "6.9 Read" },
	{ NVME_IO_WRITE, "6.15 Write" },
	{ NVME_IO_COMPARE, "6.6 Compare" },
},
  ranges[] = {
	  { NVME_IO_READ, "6.9 Read" },
	  { NVME_IO_WRITE, "6.15 Write" },
	  { NVME_IO_COMPARE, "6.6 Compare" },
	  { NVME_IO_WRITE_ZEROES, "6.17 Write Zeroes" },
	  { NVME_IO_VERIFY, "6.14 Verify" },
  };

/* A row for one command, of a row for all: its text gets the command's name. */
static void one(struct nrig *r, const struct bad *row, uint8_t opcode, const char *name)
{
	struct bad named = *row;
	char what[160];

	snprintf(what, sizeof(what), "%s: %s", name, row->what);
	named.what = what;
	named.sqe.opcode = opcode;
	bad_run(r, 1 + opcode % 2, &named, 1);
}

#define AT(id, lba, blocks)                                       \
	.sqe = { .nsid = (id),                                    \
		 .dptr = { IOVA(DATA_AT), IOVA(DATA_AT) + 4096 }, \
		 .cdw10 = (uint32_t)(lba),                        \
		 .cdw11 = (uint32_t)((uint64_t)(lba) >> 32),      \
		 .cdw12 = (blocks)-1 }

/* 6.1.3 for namespaces, 4.6.1.2.2 for ranges. */
static const struct bad range_rows[] = {
	{ "namespace 0", NVME_INVALID_NS, AT(0, 0, 1u) },
	{ "namespace NN + 1", NVME_INVALID_NS, AT(BAD_NSID, 0, 1u) },
	{ "namespace FFFFFFFEh", NVME_INVALID_NS, AT(0xfffffffe, 0, 1u) },
	{ "all namespaces", NVME_INVALID_NS, AT(0xffffffff, 0, 1u) },
	{ "first block behind the last", NVME_LBA_RANGE, AT(1, NS1_BLOCKS, 1u) },
	{ "last block and one more", NVME_LBA_RANGE, AT(1, NS1_BLOCKS - 1, 2u) },
	{ "16 blocks, half of them behind the end", NVME_LBA_RANGE, AT(1, NS1_BLOCKS - 8, 16u) },
	{ "block 2^32", NVME_LBA_RANGE, AT(1, UINT64_C(1) << 32, 1u) },
	{ "block 2^55, whose byte address wraps", NVME_LBA_RANGE, AT(1, UINT64_C(1) << 55, 1u) },
	{ "block 2^63", NVME_LBA_RANGE, AT(1, UINT64_C(1) << 63, 1u) },
	{ "the last block that there could be", NVME_LBA_RANGE, AT(1, UINT64_MAX, 1u) },
	{ "a range that wraps", NVME_LBA_RANGE, AT(1, UINT64_MAX, 2u) },
	{ "a range that wraps into the namespace", NVME_LBA_RANGE, AT(1, UINT64_MAX - 3, 16u) },
	{ "blocks of 4096: behind the last", NVME_LBA_RANGE, AT(2, NS2_BLOCKS, 1u) },
	{ "blocks of 4096: last and one more", NVME_LBA_RANGE, AT(2, NS2_BLOCKS - 1, 2u) },
};

/* Identify Controller, MDTS: a transfer that is too long is an Invalid Field. */
static const struct bad length_rows[] = {
	{ "a block more than MDTS", NVME_INVALID_FIELD, AT(1, 0, 2049u) },
	{ "twice MDTS", NVME_INVALID_FIELD, AT(1, 0, 4096u) },
};

/* 4.2: fused operations that there are not, and reserved values. */
static const struct bad flag_rows[] = {
	{ "FUSE 01b", NVME_INVALID_FIELD, .sqe = { .flags = 1, .nsid = 1 } },
	{ "FUSE 10b", NVME_INVALID_FIELD, .sqe = { .flags = 2, .nsid = 1 } },
	{ "FUSE 11b, reserved", NVME_INVALID_FIELD, .sqe = { .flags = 3, .nsid = 1 } },
	{ "PSDT 11b, reserved", NVME_INVALID_FIELD, .sqe = { .flags = 3u << 6, .nsid = 1 } },
};

static const struct bad flush_rows[] = {
	{ "namespace 0", NVME_INVALID_NS, .sqe = { .nsid = 0 } },
	{ "namespace NN + 1", NVME_INVALID_NS, .sqe = { .nsid = BAD_NSID } },
	{ "namespace FFFFFFFEh", NVME_INVALID_NS, .sqe = { .nsid = 0xfffffffe } },
};

#define DSM_AD 4u
#define DSM(id, nr) \
	.sqe = { .nsid = (id), .dptr = { IOVA(LIST_AT) }, .cdw10 = (nr)-1, .cdw11 = DSM_AD }
#define RANGE(lba, blocks) (uint64_t)(blocks) << 32, lba

static const struct bad dsm_rows[] = {
	{ "namespace 0", NVME_INVALID_NS, DSM(0, 1u), { RANGE(0, 1) } },
	{ "namespace NN + 1", NVME_INVALID_NS, DSM(BAD_NSID, 1u), { RANGE(0, 1) } },
	{ "all namespaces", NVME_INVALID_NS, DSM(0xffffffff, 1u), { RANGE(0, 1) } },
	{ "a range behind the end", NVME_LBA_RANGE, DSM(1, 1u), { RANGE(NS1_BLOCKS, 1) } },
	{ "a range across the end", NVME_LBA_RANGE, DSM(1, 1u), { RANGE(NS1_BLOCKS - 1, 2) } },
	{ "a range of 2^32 - 1 blocks", NVME_LBA_RANGE, DSM(1, 1u), { RANGE(0, 0xffffffff) } },
	{ "a range that wraps", NVME_LBA_RANGE, DSM(1, 1u), { RANGE(UINT64_MAX, 2) } },
	{ "the second range is bad, the first not",
	  NVME_LBA_RANGE,
	  DSM(1, 2u),
	  { RANGE(0, 8), RANGE(NS1_BLOCKS, 8) } },
	{ "a range behind the end of blocks of 4096",
	  NVME_LBA_RANGE,
	  DSM(2, 1u),
	  { RANGE(NS2_BLOCKS, 1) } },
	{ "a namespace that is write protected",
	  NVME_WRITE_PROTECTED,
	  DSM(3, 1u),
	  { RANGE(0, 1) } },
	{ "4.3 PRP1 offset 2", NVME_PRP_OFFSET,
	  .sqe = { .nsid = 1, .dptr = { IOVA(LIST_AT) + 2 }, .cdw11 = DSM_AD } },
	{ "4.6.1.2 PRP1 leads nowhere", NVME_DATA_TRANSFER, true,
	  .sqe = { .nsid = 1, .dptr = { NO_IOVA }, .cdw11 = DSM_AD } },
};

static const struct bad protected_rows[] = {
	{ "4.6.1.2 a namespace that is write protected", NVME_WRITE_PROTECTED, AT(3, 0, 1u) },
	{ "4.6.1.2 a namespace that is write protected, its last block", NVME_WRITE_PROTECTED,
	  AT(3, 127, 1u) },
};

void bad_io(void **state)
{
	static const uint8_t all[] = { NVME_IO_FLUSH,   NVME_IO_WRITE,        NVME_IO_READ,
				       NVME_IO_COMPARE, NVME_IO_WRITE_ZEROES, NVME_IO_DSM,
				       NVME_IO_VERIFY };
	struct nrig *r = *state;

	for (size_t c = 0; c < NR(ranges); c++) {
		for (size_t i = 0; i < NR(range_rows); i++)
			one(r, &range_rows[i], ranges[c].opcode, ranges[c].name);
	}
	for (size_t c = 0; c < NR(moves); c++) {
		for (size_t i = 0; i < NR(length_rows); i++)
			one(r, &length_rows[i], moves[c].opcode, moves[c].name);
	}
	for (size_t c = 0; c < NR(all); c++) {
		for (size_t i = 0; i < NR(flag_rows); i++)
			one(r, &flag_rows[i], all[c], "4.2 Command Dword 0");
	}
	for (size_t i = 0; i < NR(flush_rows); i++)
		one(r, &flush_rows[i], NVME_IO_FLUSH, "6.8 Flush");
	for (size_t i = 0; i < NR(dsm_rows); i++)
		one(r, &dsm_rows[i], NVME_IO_DSM, "6.7 Dataset Management");
	for (size_t i = 0; i < NR(protected_rows); i++) {
		one(r, &protected_rows[i], NVME_IO_WRITE, "6.15 Write");
		one(r, &protected_rows[i], NVME_IO_WRITE_ZEROES, "6.17 Write Zeroes");
	}
}

/* --- 4.3 Physical Region Pages --- */

#define DATA(n) (IOVA(DATA_AT) + 4096 * (uint64_t)(n))
#define PRP(blocks, p1, p2) \
	.sqe = { .nsid = 1, .dptr = { (p1), (p2) }, .cdw10 = 64, .cdw12 = (blocks)-1 }

static const struct bad prp_rows[] = {
	{ "4.3 PRP1 offset 1", NVME_PRP_OFFSET, PRP(8u, DATA(0) + 1, 0) },
	{ "4.3 PRP1 offset 2", NVME_PRP_OFFSET, PRP(8u, DATA(0) + 2, 0) },
	{ "4.3 PRP1 offset 3", NVME_PRP_OFFSET, PRP(8u, DATA(0) + 3, 0) },
	{ "4.3 PRP2 offset 4", NVME_PRP_OFFSET, PRP(16u, DATA(0), DATA(1) + 4) },
	{ "4.3 PRP2 offset 8", NVME_PRP_OFFSET, PRP(16u, DATA(0), DATA(1) + 8) },
	{ "4.3 PRP2 offset 0x200", NVME_PRP_OFFSET, PRP(16u, DATA(0), DATA(1) + 0x200) },
	{ "4.3 PRP2 offset 0xffc", NVME_PRP_OFFSET, PRP(16u, DATA(0), DATA(1) + 0xffc) },
	{ "4.3 PRP2 offset where PRP1 has one", NVME_PRP_OFFSET,
	  PRP(8u, DATA(0) + 0x800, DATA(1) + 0x800) },
	{ "4.3 list pointer offset 1",
	  NVME_PRP_OFFSET,
	  PRP(24u, DATA(0), IOVA(LIST_AT) + 1),
	  { DATA(1), DATA(2) } },
	{ "4.3 list pointer offset 4",
	  NVME_PRP_OFFSET,
	  PRP(24u, DATA(0), IOVA(LIST_AT) + 4),
	  { DATA(1), DATA(2) } },
	{ "4.3 first list entry with an offset",
	  NVME_PRP_OFFSET,
	  PRP(24u, DATA(0), IOVA(LIST_AT)),
	  { DATA(1) + 0x10, DATA(2) } },
	{ "4.3 second list entry with an offset",
	  NVME_PRP_OFFSET,
	  PRP(24u, DATA(0), IOVA(LIST_AT)),
	  { DATA(1), DATA(2) + 0xff8 } },
	{ "4.3 last list entry with an offset",
	  NVME_PRP_OFFSET,
	  PRP(64u, DATA(0), IOVA(LIST_AT)),
	  { DATA(1), DATA(2), DATA(3), DATA(4), DATA(5), DATA(6), DATA(7) + 4 } },
	{ "4.6.1.2 PRP1 leads nowhere", NVME_DATA_TRANSFER, true, PRP(8u, NO_IOVA, 0) },
	{ "4.6.1.2 PRP2 leads nowhere", NVME_DATA_TRANSFER, true,
	  PRP(16u, IOVA(OTHER_AT), NO_IOVA) },
	{ "4.6.1.2 list pointer leads nowhere", NVME_DATA_TRANSFER, true,
	  PRP(24u, IOVA(OTHER_AT), NO_IOVA) },
	{ "4.6.1.2 a list entry leads nowhere",
	  NVME_DATA_TRANSFER,
	  true,
	  PRP(24u, IOVA(OTHER_AT), IOVA(LIST_AT)),
	  { IOVA(OTHER_AT) + 4096, NO_IOVA } },
};

/* The last entry of a page leads to the next page of the list. */
static void chained_lists(struct nrig *r, uint8_t opcode, const char *name)
{
	static const struct bad rows[] = {
		{ "4.3 next list page with an offset", NVME_PRP_OFFSET,
		  PRP(32u, DATA(0), IOVA(LIST_AT) + 0x1ff0) },
		{ "4.6.1.2 next list page leads nowhere", NVME_DATA_TRANSFER, true,
		  PRP(32u, IOVA(OTHER_AT), IOVA(LIST_AT) + 0x2ff0) },
	};
	static const uint64_t tail[2][2] = {
		{ DATA(1), IOVA(LIST_AT) + 0x3008 },
		{ IOVA(OTHER_AT) + 4096, NO_IOVA },
	};

	for (size_t i = 0; i < NR(rows); i++) {
		ram_write(&r->rig, LIST_AT + 0x1ff0 + 0x1000 * i, tail[i], sizeof(tail[i]));
		one(r, &rows[i], opcode, name);
	}
}

void bad_prp(void **state)
{
	struct nrig *r = *state;

	for (size_t c = 0; c < NR(moves); c++) {
		for (size_t i = 0; i < NR(prp_rows); i++)
			one(r, &prp_rows[i], moves[c].opcode, moves[c].name);
		chained_lists(r, moves[c].opcode, moves[c].name);
	}
}

/* --- 4.4 Scatter Gather Lists --- */

/* The two halves of a descriptor. */
#define SGL(id, addr, len) addr, (uint64_t)(len) | (uint64_t)(id) << 56
#define WITH(id, addr, len)                      \
	.sqe = { .flags = NVME_PSDT_SGL << 6,    \
		 .nsid = 1,                      \
		 .dptr = { SGL(id, addr, len) }, \
		 .cdw10 = 64,                    \
		 .cdw12 = 7 }
#define BLOCKS_8 4096u
#define LIST     IOVA(LIST_AT)

static const struct bad sgl_rows[] = {
	{ "4.4 bit bucket, SGLS bit 16 clear", NVME_SGL_TYPE_INVALID,
	  WITH(0x10, DATA(0), BLOCKS_8) },
	{ "4.4 keyed data block", NVME_SGL_TYPE_INVALID, WITH(0x40, DATA(0), BLOCKS_8) },
	{ "4.4 transport data block", NVME_SGL_TYPE_INVALID, WITH(0x50, DATA(0), BLOCKS_8) },
	{ "4.4 type 6, reserved", NVME_SGL_TYPE_INVALID, WITH(0x60, DATA(0), BLOCKS_8) },
	{ "4.4 type 9, reserved", NVME_SGL_TYPE_INVALID, WITH(0x90, DATA(0), BLOCKS_8) },
	{ "4.4 type E, reserved", NVME_SGL_TYPE_INVALID, WITH(0xe0, DATA(0), BLOCKS_8) },
	{ "4.4 type F, a vendor's", NVME_SGL_TYPE_INVALID, WITH(0xf0, DATA(0), BLOCKS_8) },
	{ "4.4 data block, sub-type 1", NVME_SGL_TYPE_INVALID, WITH(0x01, DATA(0), BLOCKS_8) },
	{ "4.4 data block, sub-type A", NVME_SGL_TYPE_INVALID, WITH(0x0a, DATA(0), BLOCKS_8) },
	{ "4.4 segment, sub-type 1",
	  NVME_SGL_TYPE_INVALID,
	  WITH(0x21, LIST, 16),
	  { SGL(0, DATA(0), BLOCKS_8) } },
	{ "4.4 last segment, sub-type F",
	  NVME_SGL_TYPE_INVALID,
	  WITH(0x3f, LIST, 16),
	  { SGL(0, DATA(0), BLOCKS_8) } },
	{ "4.4 a bad type inside a segment",
	  NVME_SGL_TYPE_INVALID,
	  WITH(0x30, LIST, 32),
	  { SGL(0, DATA(0), 512), SGL(0x70, DATA(1), BLOCKS_8) } },
	{ "4.6.1.2 no data at all", NVME_SGL_LENGTH_INVALID, WITH(0x00, DATA(0), 0) },
	{ "4.6.1.2 a byte too short", NVME_SGL_LENGTH_INVALID, WITH(0x00, DATA(0), BLOCKS_8 - 1) },
	{ "4.6.1.2 half the data", NVME_SGL_LENGTH_INVALID, WITH(0x00, DATA(0), 2048) },
	{ "4.6.1.2 a segment with too little",
	  NVME_SGL_LENGTH_INVALID,
	  WITH(0x30, LIST, 32),
	  { SGL(0, DATA(0), 1024), SGL(0, DATA(1), 1024) } },
	{ "4.6.1.2 segment of length 0", NVME_SGL_SEGMENT_INVALID, WITH(0x20, LIST, 0) },
	{ "4.6.1.2 last segment of length 0", NVME_SGL_SEGMENT_INVALID, WITH(0x30, LIST, 0) },
	{ "4.6.1.2 segment of length 8", NVME_SGL_SEGMENT_INVALID, WITH(0x20, LIST, 8) },
	{ "4.6.1.2 last segment of length 1", NVME_SGL_SEGMENT_INVALID, WITH(0x30, LIST, 1) },
	{ "4.6.1.2 last segment of length 17",
	  NVME_SGL_SEGMENT_INVALID,
	  WITH(0x30, LIST, 17),
	  { SGL(0, DATA(0), BLOCKS_8) } },
	{ "4.6.1.2 segment address offset 1", NVME_SGL_SEGMENT_INVALID, WITH(0x20, LIST + 1, 16) },
	{ "4.6.1.2 last segment address offset 4", NVME_SGL_SEGMENT_INVALID,
	  WITH(0x30, LIST + 4, 16) },
	{ "4.6.1.2 a segment in the last segment",
	  NVME_SGL_SEGMENT_INVALID,
	  WITH(0x30, LIST, 16),
	  { SGL(0x20, LIST + 64, 16) } },
	{ "4.6.1.2 a last segment in the last segment",
	  NVME_SGL_SEGMENT_INVALID,
	  WITH(0x30, LIST, 32),
	  { SGL(0, DATA(0), 512), SGL(0x30, LIST + 64, 16) } },
	{ "4.6.1.2 second segment of length 8",
	  NVME_SGL_SEGMENT_INVALID,
	  WITH(0x20, LIST, 32),
	  { SGL(0, DATA(0), 512), SGL(0x30, LIST + 64, 8) } },
	{ "4.6.1.2 second segment address offset 2",
	  NVME_SGL_SEGMENT_INVALID,
	  WITH(0x20, LIST, 32),
	  { SGL(0, DATA(0), 512), SGL(0x30, LIST + 66, 16) } },
	{ "4.6.1.2 a segment that is not the last descriptor",
	  NVME_SGL_COUNT_INVALID,
	  WITH(0x20, LIST, 32),
	  { SGL(0x30, LIST + 64, 16), SGL(0, DATA(0), BLOCKS_8) } },
	{ "4.6.1.2 a segment in the middle",
	  NVME_SGL_COUNT_INVALID,
	  WITH(0x20, LIST, 48),
	  { SGL(0, DATA(0), 512), SGL(0x20, LIST + 64, 16), SGL(0, DATA(1), BLOCKS_8) } },
	{ "4.6.1.2 data leads nowhere", NVME_DATA_TRANSFER, true, WITH(0x00, NO_IOVA, BLOCKS_8) },
	{ "4.6.1.2 the segment leads nowhere", NVME_DATA_TRANSFER, true, WITH(0x30, NO_IOVA, 32) },
	{ "4.6.1.2 the second data block leads nowhere",
	  NVME_DATA_TRANSFER,
	  true,
	  WITH(0x30, LIST, 32),
	  { SGL(0, IOVA(OTHER_AT), 2048), SGL(0, NO_IOVA, 2048) } },
};

void bad_sgl(void **state)
{
	struct nrig *r = *state;

	for (size_t c = 0; c < NR(moves); c++) {
		for (size_t i = 0; i < NR(sgl_rows); i++)
			one(r, &sgl_rows[i], moves[c].opcode, moves[c].name);
	}
}

/* 4.6.1.2: every opcode that the commands log does not have. */
void bad_io_opcodes(void **state)
{
	static const uint8_t good[] = { 0x00, 0x01, 0x02, 0x05, 0x08, 0x09, 0x0c };

	for (unsigned int op = 0; op < 256; op++) {
		const struct bad row = { "an opcode that there is not", NVME_INVALID_OPCODE,
					 AT(1, 0, 1u) };

		if (!memchr(good, (int)op, sizeof(good)))
			one(*state, &row, (uint8_t)op, "4.6.1.2");
	}
}
