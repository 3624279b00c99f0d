/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands with bad fields. Section numbers are those of the NVM Express Base Specification
 * 1.4.
 */
#include "nvme_bad.h"

#define CQ(text, wrong, qid, size, vector, pc, prp)                            \
	{                                                                      \
		"5.3 Create I/O Completion Queue: " text, wrong,               \
			.sqe = {.opcode = NVME_ADM_CREATE_CQ,                  \
				.dptr = { (prp) },                             \
				.cdw10 = (qid) | (uint32_t)(size) << 16,       \
				.cdw11 = (pc) | 2 | (uint32_t)(vector) << 16 } \
	}
#define SQ(text, wrong, qid, size, cqid, pc, prp)                        \
	{                                                                \
		"5.4 Create I/O Submission Queue: " text, wrong,         \
			.sqe = {.opcode = NVME_ADM_CREATE_SQ,            \
				.dptr = { (prp) },                       \
				.cdw10 = (qid) | (uint32_t)(size) << 16, \
				.cdw11 = (pc) | (uint32_t)(cqid) << 16 } \
	}
#define DELETE(text, wrong, op, qid)                                  \
	{                                                             \
		text, wrong, .sqe = {.opcode = (op), .cdw10 = (qid) } \
	}
#define IDENTIFY(text, wrong, cns, id)                       \
	{                                                    \
		"5.15 Identify: " text, wrong,               \
			.sqe = {.opcode = NVME_ADM_IDENTIFY, \
				.nsid = (id),                \
				.dptr = { IOVA(DATA_AT) },   \
				.cdw10 = (cns) }             \
	}
#define LOG(text, wrong, lid, id, offset)                                       \
	{                                                                       \
		"5.14 Get Log Page: " text, wrong,                              \
			.sqe = {.opcode = NVME_ADM_GET_LOG,                     \
				.nsid = (id),                                   \
				.dptr = { IOVA(DATA_AT) },                      \
				.cdw10 = (lid) | 15u << 16,                     \
				.cdw12 = (uint32_t)(offset),                    \
				.cdw13 = (uint32_t)((uint64_t)(offset) >> 32) } \
	}
#define GET(text, wrong, fid, id, dw11)                          \
	{                                                        \
		"5.13 Get Features: " text, wrong,               \
			.sqe = {.opcode = NVME_ADM_GET_FEATURES, \
				.nsid = (id),                    \
				.dptr = { IOVA(DATA_AT) },       \
				.cdw10 = (fid),                  \
				.cdw11 = (dw11) }                \
	}
#define SET(text, wrong, fid, id, dw11)                          \
	{                                                        \
		"5.21 Set Features: " text, wrong,               \
			.sqe = {.opcode = NVME_ADM_SET_FEATURES, \
				.nsid = (id),                    \
				.dptr = { IOVA(DATA_AT) },       \
				.cdw10 = (fid),                  \
				.cdw11 = (dw11) }                \
	}
#define FORMAT(text, wrong, id, dw10)                      \
	{                                                  \
		"5.23 Format NVM: " text, wrong,           \
			.sqe = {.opcode = NVME_ADM_FORMAT, \
				.nsid = (id),              \
				.cdw10 = (dw10) }          \
	}
#define FLAGS(text, byte, op)                                                                     \
	{                                                                                         \
		text, NVME_INVALID_FIELD,                                                         \
			.sqe = {.opcode = (op),                                                   \
				.flags = (byte),                                                  \
				.dptr = { IOVA(DATA_AT) },                                        \
				.cdw10 = (op) == NVME_ADM_IDENTIFY ? NVME_CNS_CONTROLLER          \
								   : NVME_LOG_SMART | 15u << 16 } \
	}
#define PRPS(text, wrong, again, p1, p2)                       \
	{                                                      \
		text, wrong, again,                            \
			.sqe = {.opcode = NVME_ADM_IDENTIFY,   \
				.dptr = { (p1), (p2) },        \
				.cdw10 = NVME_CNS_CONTROLLER } \
	}
#define DBBUF(text, p1, p2)                                              \
	{                                                                \
		"5.7 Doorbell Buffer Config: " text, NVME_INVALID_FIELD, \
			.sqe = {.opcode = NVME_ADM_DOORBELL_BUFFER,      \
				.dptr = { (p1), (p2) } }                 \
	}

#define SAVE    (1u << 31)
#define SEL(n)  ((uint32_t)(n) << 8)
#define FREE    3u /* a queue that is not there */
#define Q_PAGE  IOVA(0x30000)
#define NO_LIST UINT64_C(0)

static const struct bad queues[] = {
	CQ("QID 0 is the admin queue's", NVME_QID_INVALID, 0u, 15, 3, 1, Q_PAGE),
	CQ("QID in use", NVME_QID_INVALID, 1u, 15, 3, 1, Q_PAGE),
	CQ("QID in use, the other", NVME_QID_INVALID, 2u, 15, 3, 1, Q_PAGE),
	CQ("QID beyond what there is", NVME_QID_INVALID, MAX_QUEUES, 15, 3, 1, Q_PAGE),
	CQ("QID 0xffff", NVME_QID_INVALID, 0xffffu, 15, 3, 1, Q_PAGE),
	CQ("QSIZE 0", NVME_QSIZE_INVALID, FREE, 0, 3, 1, Q_PAGE),
	CQ("QSIZE above MQES by one", NVME_QSIZE_INVALID, FREE, MQES, 3, 1, Q_PAGE),
	CQ("QSIZE 0xffff", NVME_QSIZE_INVALID, FREE, 0xffff, 3, 1, Q_PAGE),
	CQ("IV one too many", NVME_VECTOR_INVALID, FREE, 15, VECTORS, 1, Q_PAGE),
	CQ("IV 2047", NVME_VECTOR_INVALID, FREE, 15, 2047, 1, Q_PAGE),
	CQ("IV 0xffff", NVME_VECTOR_INVALID, FREE, 15, 0xffff, 1, Q_PAGE),
	CQ("PC clear though CAP.CQR is set", NVME_INVALID_FIELD, FREE, 15, 3, 0, Q_PAGE),
	CQ("PRP1 offset 4", NVME_PRP_OFFSET, FREE, 15, 3, 1, Q_PAGE + 4),
	CQ("PRP1 offset 64", NVME_PRP_OFFSET, FREE, 15, 3, 1, Q_PAGE + 64),
	CQ("PRP1 offset 0x800", NVME_PRP_OFFSET, FREE, 15, 3, 1, Q_PAGE + 0x800),
	CQ("PRP1 offset 0xffc", NVME_PRP_OFFSET, FREE, 15, 3, 1, Q_PAGE + 0xffc),

	SQ("QID 0 is the admin queue's", NVME_QID_INVALID, 0u, 15, 1, 1, Q_PAGE),
	SQ("QID in use", NVME_QID_INVALID, 1u, 15, 1, 1, Q_PAGE),
	SQ("QID in use, the other", NVME_QID_INVALID, 2u, 15, 1, 1, Q_PAGE),
	SQ("QID beyond what there is", NVME_QID_INVALID, MAX_QUEUES, 15, 1, 1, Q_PAGE),
	SQ("QID 0xffff", NVME_QID_INVALID, 0xffffu, 15, 1, 1, Q_PAGE),
	SQ("QSIZE 0", NVME_QSIZE_INVALID, FREE, 0, 1, 1, Q_PAGE),
	SQ("QSIZE above MQES by one", NVME_QSIZE_INVALID, FREE, MQES, 1, 1, Q_PAGE),
	SQ("QSIZE 0xffff", NVME_QSIZE_INVALID, FREE, 0xffff, 1, 1, Q_PAGE),
	SQ("CQID 0 is the admin queue's", NVME_QID_INVALID, FREE, 15, 0, 1, Q_PAGE),
	SQ("CQID out of range", NVME_QID_INVALID, FREE, 15, MAX_QUEUES, 1, Q_PAGE),
	SQ("CQID 0xffff", NVME_QID_INVALID, FREE, 15, 0xffff, 1, Q_PAGE),
	SQ("CQID that has not been created", NVME_CQ_INVALID, FREE, 15, FREE, 1, Q_PAGE),
	SQ("CQID that has not been created, the last", NVME_CQ_INVALID, FREE, 15, MAX_QUEUES - 1, 1,
	   Q_PAGE),
	SQ("PC clear though CAP.CQR is set", NVME_INVALID_FIELD, FREE, 15, 1, 0, Q_PAGE),
	SQ("PRP1 offset 4", NVME_PRP_OFFSET, FREE, 15, 1, 1, Q_PAGE + 4),
	SQ("PRP1 offset 64", NVME_PRP_OFFSET, FREE, 15, 1, 1, Q_PAGE + 64),
	SQ("PRP1 offset 0xff8", NVME_PRP_OFFSET, FREE, 15, 1, 1, Q_PAGE + 0xff8),

	DELETE("5.6 Delete I/O Submission Queue 0", NVME_QID_INVALID, NVME_ADM_DELETE_SQ, 0),
	DELETE("5.6 Delete I/O Submission Queue: none", NVME_QID_INVALID, NVME_ADM_DELETE_SQ, FREE),
	DELETE("5.6 Delete I/O Submission Queue 64", NVME_QID_INVALID, NVME_ADM_DELETE_SQ, 64),
	DELETE("5.6 Delete I/O Submission Queue 0xffff", NVME_QID_INVALID, NVME_ADM_DELETE_SQ,
	       0xffff),
	DELETE("5.5 Delete I/O Completion Queue 0", NVME_QID_INVALID, NVME_ADM_DELETE_CQ, 0),
	DELETE("5.5 Delete I/O Completion Queue: none", NVME_QID_INVALID, NVME_ADM_DELETE_CQ, FREE),
	DELETE("5.5 Delete I/O Completion Queue 64", NVME_QID_INVALID, NVME_ADM_DELETE_CQ, 64),
	DELETE("5.5 Delete I/O Completion Queue 0xffff", NVME_QID_INVALID, NVME_ADM_DELETE_CQ,
	       0xffff),
	DELETE("5.5 Delete I/O Completion Queue that is in use", NVME_QUEUE_DELETION,
	       NVME_ADM_DELETE_CQ, 1),
	DELETE("5.5 Delete I/O Completion Queue that is in use, the other", NVME_QUEUE_DELETION,
	       NVME_ADM_DELETE_CQ, 2),

	DBBUF("PRP1 offset 4", IOVA(SHADOW_AT) + 4, IOVA(SHADOW_AT) + 0x1000),
	DBBUF("PRP1 offset 0x800", IOVA(SHADOW_AT) + 0x800, IOVA(SHADOW_AT) + 0x1000),
	DBBUF("PRP2 offset 8", IOVA(SHADOW_AT), IOVA(SHADOW_AT) + 0x1008),
	DBBUF("PRP2 offset 0xffc", IOVA(SHADOW_AT), IOVA(SHADOW_AT) + 0x1ffc),
};

static const struct bad identify[] = {
	IDENTIFY("CNS 04h, not supported", NVME_INVALID_FIELD, 0x04, 0),
	IDENTIFY("CNS 07h, reserved", NVME_INVALID_FIELD, 0x07, 0),
	IDENTIFY("CNS 0Fh, reserved", NVME_INVALID_FIELD, 0x0f, 0),
	IDENTIFY("CNS 10h without namespace management", NVME_INVALID_FIELD, 0x10, 0),
	IDENTIFY("CNS 11h without namespace management", NVME_INVALID_FIELD, 0x11, 1),
	IDENTIFY("CNS 12h without namespace management", NVME_INVALID_FIELD, 0x12, 1),
	IDENTIFY("CNS 13h without namespace management", NVME_INVALID_FIELD, 0x13, 0),
	IDENTIFY("CNS 14h, not supported", NVME_INVALID_FIELD, 0x14, 0),
	IDENTIFY("CNS 15h, not supported", NVME_INVALID_FIELD, 0x15, 0),
	IDENTIFY("CNS 20h, reserved", NVME_INVALID_FIELD, 0x20, 0),
	IDENTIFY("CNS FFh, reserved", NVME_INVALID_FIELD, 0xff, 0),
	IDENTIFY("namespace 0", NVME_INVALID_NS, 0x00, 0),
	IDENTIFY("namespace NN + 1", NVME_INVALID_NS, 0x00, BAD_NSID),
	IDENTIFY("namespace FFFFFFFEh", NVME_INVALID_NS, 0x00, 0xfffffffe),
	IDENTIFY("all namespaces, without namespace management", NVME_INVALID_NS, 0x00, 0xffffffff),
	IDENTIFY("list after FFFFFFFEh", NVME_INVALID_NS, 0x02, 0xfffffffe),
	IDENTIFY("list after FFFFFFFFh", NVME_INVALID_NS, 0x02, 0xffffffff),
	IDENTIFY("descriptors of namespace 0", NVME_INVALID_NS, 0x03, 0),
	IDENTIFY("descriptors of namespace NN + 1", NVME_INVALID_NS, 0x03, BAD_NSID),
	IDENTIFY("descriptors of namespace FFFFFFFFh", NVME_INVALID_NS, 0x03, 0xffffffff),
	FLAGS("4.2 PSDT 01b in an admin command", 1u << 6, NVME_ADM_IDENTIFY),
	FLAGS("4.2 PSDT 10b in an admin command", 2u << 6, NVME_ADM_IDENTIFY),
	FLAGS("4.2 PSDT 11b, reserved", 3u << 6, NVME_ADM_IDENTIFY),
	FLAGS("4.2 PSDT 01b in an admin command, Get Log Page", 1u << 6, NVME_ADM_GET_LOG),
	FLAGS("4.2 FUSE 01b, no fused operations", 1u, NVME_ADM_IDENTIFY),
	FLAGS("4.2 FUSE 10b, no fused operations", 2u, NVME_ADM_IDENTIFY),
	FLAGS("4.2 FUSE 11b, reserved", 3u, NVME_ADM_GET_LOG),
	PRPS("4.3 PRP1 offset 2", NVME_PRP_OFFSET, false, IOVA(DATA_AT) + 2, NO_LIST),
	PRPS("4.3 PRP1 offset 1", NVME_PRP_OFFSET, false, IOVA(DATA_AT) + 1, NO_LIST),
	PRPS("4.3 PRP2 offset 4", NVME_PRP_OFFSET, false, IOVA(DATA_AT) + 0x800,
	     IOVA(DATA_AT) + 0x1004),
	PRPS("4.3 PRP2 offset 0x800", NVME_PRP_OFFSET, false, IOVA(DATA_AT) + 0x800,
	     IOVA(DATA_AT) + 0x1800),
	PRPS("4.6.1.2 PRP1 leads nowhere", NVME_DATA_TRANSFER, true, NO_IOVA, NO_LIST),
};

static const struct bad logs[] = {
	LOG("LID 00h, reserved", NVME_LOG_INVALID, 0x00u, 0, 0),
	LOG("LID 06h, not supported", NVME_LOG_INVALID, 0x06u, 0, 0),
	LOG("LID 07h, not supported", NVME_LOG_INVALID, 0x07u, 0, 0),
	LOG("LID 08h, not supported", NVME_LOG_INVALID, 0x08u, 0, 0),
	LOG("LID 09h, not supported", NVME_LOG_INVALID, 0x09u, 0, 0),
	LOG("LID 0Ch, not supported", NVME_LOG_INVALID, 0x0cu, 0, 0),
	LOG("LID 0Dh, not supported", NVME_LOG_INVALID, 0x0du, 0, 0),
	LOG("LID 6Fh, reserved", NVME_LOG_INVALID, 0x6fu, 0, 0),
	LOG("LID 70h, of fabrics", NVME_LOG_INVALID, 0x70u, 0, 0),
	LOG("LID 80h, not supported", NVME_LOG_INVALID, 0x80u, 0, 0),
	LOG("LID 81h, not supported", NVME_LOG_INVALID, 0x81u, 0, 0),
	LOG("LID C0h, a vendor's", NVME_LOG_INVALID, 0xc0u, 0, 0),
	LOG("LID FFh, a vendor's", NVME_LOG_INVALID, 0xffu, 0, 0),
	LOG("offset beyond the error log", NVME_INVALID_FIELD, 0x01u, 0, 64 * 64 + 4),
	LOG("offset beyond SMART", NVME_INVALID_FIELD, 0x02u, 0, 516),
	LOG("offset beyond the firmware log", NVME_INVALID_FIELD, 0x03u, 0, 516),
	LOG("offset of 4 GiB", NVME_INVALID_FIELD, 0x01u, 0, UINT64_C(1) << 32),
	LOG("the largest offset", NVME_INVALID_FIELD, 0x02u, 0, UINT64_MAX - 3),
	LOG("SMART of one namespace, LPA bit 0 clear", NVME_INVALID_FIELD, 0x02u, 1, 0),
	LOG("SMART of no namespace, LPA bit 0 clear", NVME_INVALID_FIELD, 0x02u, BAD_NSID, 0),
};

static const struct bad feature_rows[] = {
	GET("FID 00h, reserved", NVME_INVALID_FIELD, 0x00, 0, 0),
	GET("FID 03h, not supported", NVME_INVALID_FIELD, 0x03, 1, 0),
	GET("FID 0Ch, not supported", NVME_INVALID_FIELD, 0x0c, 0, 0),
	GET("FID 0Dh, not supported", NVME_INVALID_FIELD, 0x0d, 0, 0),
	GET("FID 0Fh, not supported", NVME_INVALID_FIELD, 0x0f, 0, 0),
	GET("FID 10h, not supported", NVME_INVALID_FIELD, 0x10, 0, 0),
	GET("FID 77h, reserved", NVME_INVALID_FIELD, 0x77, 0, 0),
	GET("FID 80h, not supported", NVME_INVALID_FIELD, 0x80, 0, 0),
	GET("FID 84h, not supported", NVME_INVALID_FIELD, 0x84, 1, 0),
	GET("FID C0h, a vendor's", NVME_INVALID_FIELD, 0xc0, 0, 0),
	GET("FID FFh, a vendor's", NVME_INVALID_FIELD, 0xff, 0, 0),
	GET("SEL 4, reserved", NVME_INVALID_FIELD, NVME_FEAT_POWER | SEL(4), 0, 0),
	GET("SEL 5, reserved", NVME_INVALID_FIELD, NVME_FEAT_WRITE_CACHE | SEL(5), 0, 0),
	GET("SEL 7, reserved", NVME_INVALID_FIELD, NVME_FEAT_ARBITRATION | SEL(7), 0, 0),
	GET("5.21.1.9 vector one too many", NVME_INVALID_FIELD, NVME_FEAT_VECTOR, 0, VECTORS),
	GET("5.21.1.9 vector 0xffff", NVME_INVALID_FIELD, NVME_FEAT_VECTOR, 0, 0xffff),
	GET("5.21.1.5 error recovery of namespace 0", NVME_INVALID_NS, NVME_FEAT_ERROR_RECOVERY, 0,
	    0),
	GET("5.21.1.5 error recovery of namespace NN + 1", NVME_INVALID_NS,
	    NVME_FEAT_ERROR_RECOVERY, BAD_NSID, 0),
	GET("5.21.1.4 threshold type 2, reserved", NVME_INVALID_FIELD, NVME_FEAT_TEMPERATURE, 0,
	    2u << 20),
	GET("5.21.1.4 sensor 9, reserved", NVME_INVALID_FIELD, NVME_FEAT_TEMPERATURE, 0, 9u << 16),

	SET("FID 00h, reserved", NVME_INVALID_FIELD, 0x00, 0, 0),
	SET("FID 03h, not supported", NVME_INVALID_FIELD, 0x03, 1, 0),
	SET("FID 0Dh, not supported", NVME_INVALID_FIELD, 0x0d, 0, 1),
	SET("FID 18h, not supported", NVME_INVALID_FIELD, 0x18, 0, 0),
	SET("FID 78h, reserved", NVME_INVALID_FIELD, 0x78, 0, 0),
	SET("FID 84h, not supported", NVME_INVALID_FIELD, 0x84, 1, 1),
	SET("FID C0h, a vendor's", NVME_INVALID_FIELD, 0xc0, 0, 0),
	SET("FID FFh, a vendor's", NVME_INVALID_FIELD, 0xff, 0, 0),
	SET("arbitration cannot be saved", NVME_FEATURE_NOT_SAVEABLE, NVME_FEAT_ARBITRATION | SAVE,
	    0, 0),
	SET("power state cannot be saved", NVME_FEATURE_NOT_SAVEABLE, NVME_FEAT_POWER | SAVE, 0, 0),
	SET("thresholds cannot be saved", NVME_FEATURE_NOT_SAVEABLE, NVME_FEAT_TEMPERATURE | SAVE,
	    0, 0x150),
	SET("write cache cannot be saved", NVME_FEATURE_NOT_SAVEABLE, NVME_FEAT_WRITE_CACHE | SAVE,
	    0, 0),
	SET("coalescing cannot be saved", NVME_FEATURE_NOT_SAVEABLE, NVME_FEAT_COALESCING | SAVE, 0,
	    0),
	SET("events cannot be saved", NVME_FEATURE_NOT_SAVEABLE, NVME_FEAT_ASYNC_EVENT | SAVE, 0,
	    0),
	SET("arbitration is no namespace's", NVME_FEATURE_NOT_NS, NVME_FEAT_ARBITRATION, 1, 7),
	SET("power state is no namespace's", NVME_FEATURE_NOT_NS, NVME_FEAT_POWER, 1, 0),
	SET("write cache is no namespace's", NVME_FEATURE_NOT_NS, NVME_FEAT_WRITE_CACHE, 2, 0),
	SET("events are no namespace's", NVME_FEATURE_NOT_NS, NVME_FEAT_ASYNC_EVENT, 1, 1),
	SET("5.21.1.2 power state above NPSS", NVME_INVALID_FIELD, NVME_FEAT_POWER, 0, 1),
	SET("5.21.1.2 power state 31", NVME_INVALID_FIELD, NVME_FEAT_POWER, 0, 31),
	SET("5.21.1.4 threshold type 2, reserved", NVME_INVALID_FIELD, NVME_FEAT_TEMPERATURE, 0,
	    2u << 20),
	SET("5.21.1.4 threshold type 3, reserved", NVME_INVALID_FIELD, NVME_FEAT_TEMPERATURE, 0,
	    3u << 20),
	SET("5.21.1.4 sensor 9, reserved", NVME_INVALID_FIELD, NVME_FEAT_TEMPERATURE, 0, 9u << 16),
	SET("5.21.1.4 sensor 14, reserved", NVME_INVALID_FIELD, NVME_FEAT_TEMPERATURE, 0,
	    14u << 16),
	SET("5.21.1.5 error recovery of namespace 0", NVME_INVALID_NS, NVME_FEAT_ERROR_RECOVERY, 0,
	    1),
	SET("5.21.1.5 error recovery of namespace NN + 1", NVME_INVALID_NS,
	    NVME_FEAT_ERROR_RECOVERY, BAD_NSID, 1),
	SET("5.21.1.7 number of queues once there are any", NVME_SEQUENCE, NVME_FEAT_QUEUES, 0,
	    0x10001),
	SET("5.21.1.9 vector one too many", NVME_INVALID_FIELD, NVME_FEAT_VECTOR, 0, VECTORS),
	SET("5.21.1.9 vector 0xffff", NVME_INVALID_FIELD, NVME_FEAT_VECTOR, 0, 0xffff),
};

static const struct bad others[] = {
	FORMAT("LBA format 2, not there", NVME_FORMAT_INVALID, 1, 2),
	FORMAT("LBA format 3, not there", NVME_FORMAT_INVALID, 1, 3),
	FORMAT("LBA format 15, not there", NVME_FORMAT_INVALID, 1, 15),
	FORMAT("protection type 1 without metadata", NVME_FORMAT_INVALID, 1, 1u << 5),
	FORMAT("protection type 2 without metadata", NVME_FORMAT_INVALID, 1, 2u << 5),
	FORMAT("protection type 3 without metadata", NVME_FORMAT_INVALID, 1, 3u << 5),
	FORMAT("erase by key, FNA bit 2 clear", NVME_INVALID_FIELD, 1, 2u << 9),
	FORMAT("SES 3, reserved", NVME_INVALID_FIELD, 1, 3u << 9),
	FORMAT("SES 7, reserved", NVME_INVALID_FIELD, 1, 7u << 9),
	FORMAT("namespace 0", NVME_INVALID_NS, 0, 0),
	FORMAT("namespace NN + 1", NVME_INVALID_NS, BAD_NSID, 0),
	FORMAT("namespace FFFFFFFEh", NVME_INVALID_NS, 0xfffffffe, 0),
	FORMAT("a namespace that is write protected", NVME_WRITE_PROTECTED, 3, 0),
	DELETE("5.11 Firmware Commit: slot 2 of 1", NVME_FW_SLOT, NVME_ADM_FW_COMMIT, 2 | 1u << 3),
	DELETE("5.11 Firmware Commit: slot 3 of 1", NVME_FW_SLOT, NVME_ADM_FW_COMMIT, 3 | 2u << 3),
	DELETE("5.11 Firmware Commit: slot 7 of 1", NVME_FW_SLOT, NVME_ADM_FW_COMMIT, 7),
};

/* 5.2: Event Requests beyond the limit; those within it wait. */
static void too_many_events(struct nrig *r)
{
	const struct bad more = { "5.2 Asynchronous Event Request beyond AERL", NVME_AER_LIMIT,
				  .sqe = { .opcode = NVME_ADM_ASYNC_EVENT } };

	for (unsigned int i = 0; i < 4; i++) {
		struct nvme_sqe sqe = { .opcode = NVME_ADM_ASYNC_EVENT };

		nput(r, 0, &sqe);
		nring(r, 0);
	}
	bad_run(r, 0, &more, 1);
}

void bad_admin(void **state)
{
	struct nrig *r = *state;

	bad_run(r, 0, queues, NR(queues));
	bad_run(r, 0, identify, NR(identify));
	bad_run(r, 0, logs, NR(logs));
	bad_run(r, 0, feature_rows, NR(feature_rows));
	bad_run(r, 0, others, NR(others));
	too_many_events(r);
}

/* 4.6.1.2: every opcode that Identify and the commands log do not have. */
void bad_admin_opcodes(void **state)
{
	static const uint8_t good[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08,
					0x09, 0x0a, 0x0c, 0x10, 0x11, 0x7c, 0x80 };

	for (unsigned int op = 0; op < 256; op++) {
		const struct bad row = {
			"4.6.1.2 an admin opcode that there is not", NVME_INVALID_OPCODE,
			.sqe = { .opcode = (uint8_t)op, .nsid = 1, .dptr = { IOVA(DATA_AT) } }
		};

		if (!memchr(good, (int)op, sizeof(good)))
			bad_run(*state, 0, &row, 1);
	}
}
