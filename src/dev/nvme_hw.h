/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVM Express as the bus shows it: registers, queue entries, opcodes, status codes and the data
 * structures of admin commands.
 *
 * Source: NVM Express Base Specification 1.4 (figures by its numbers); layouts and numbers compared
 * with Linux 7.2 include/linux/nvme.h.
 */
#ifndef CBIT_DEV_NVME_HW_H
#define CBIT_DEV_NVME_HW_H

#include <stddef.h>
#include <stdint.h>

/* The identity that emulated controllers go by; class: mass storage, NVM, NVM Express. */
#define NVME_VENDOR           0x1b36
#define NVME_DEVICE           0x0010
#define NVME_SUBSYSTEM_VENDOR 0x1af4
#define NVME_SUBSYSTEM_DEVICE 0x1100
#define NVME_CLASS            0x010802u

/* Registers (1.4 figure 68). */
#define NVME_CAP       0x00u
#define NVME_VS        0x08u
#define NVME_INTMS     0x0cu
#define NVME_INTMC     0x10u
#define NVME_CC        0x14u
#define NVME_CSTS      0x1cu
#define NVME_NSSR      0x20u
#define NVME_AQA       0x24u
#define NVME_ASQ       0x28u
#define NVME_ACQ       0x30u
#define NVME_CMBLOC    0x38u
#define NVME_CMBSZ     0x3cu
#define NVME_CMBMSC    0x50u
#define NVME_CMBSTS    0x58u
#define NVME_PMRCAP    0xe00u
#define NVME_PMRCTL    0xe04u
#define NVME_PMRSTS    0xe08u
#define NVME_PMREBS    0xe0cu
#define NVME_PMRSWTP   0xe10u
#define NVME_PMRMSCL   0xe14u
#define NVME_PMRMSCU   0xe18u
#define NVME_DOORBELLS 0x1000u

#define NVME_CAP_MQES(n)   ((uint64_t)(n)-1)
#define NVME_CAP_CQR       ((uint64_t)1 << 16)
#define NVME_CAP_TO(half)  ((uint64_t)(half) << 24) /* in units of 500 ms */
#define NVME_CAP_NSSRS     ((uint64_t)1 << 36)
#define NVME_CAP_CSS_NVM   ((uint64_t)1 << 37)
#define NVME_CAP_CSS_ADMIN ((uint64_t)1 << 44)
#define NVME_CAP_MPSMAX(n) ((uint64_t)(n) << 52)
#define NVME_CAP_PMRS      ((uint64_t)1 << 56)
#define NVME_CAP_CMBS      ((uint64_t)1 << 57)

#define NVME_VS_1_4 0x00010400u

#define NVME_CC_EN        (1u << 0)
#define NVME_CC_CSS(v)    ((v) >> 4 & 7u)
#define NVME_CC_MPS(v)    ((v) >> 7 & 15u)
#define NVME_CC_AMS(v)    ((v) >> 11 & 7u)
#define NVME_CC_SHN(v)    ((v) >> 14 & 3u)
#define NVME_CC_IOSQES(v) ((v) >> 16 & 15u)
#define NVME_CC_IOCQES(v) ((v) >> 20 & 15u)
#define NVME_CSS_NVM      0u
#define NVME_CSS_ADMIN    7u

#define NVME_CSTS_RDY       (1u << 0)
#define NVME_CSTS_CFS       (1u << 1)
#define NVME_CSTS_SHST_MASK (3u << 2)
#define NVME_CSTS_SHST_DONE (2u << 2)
#define NVME_CSTS_NSSRO     (1u << 4)

#define NVME_NSSR_MAGIC 0x4e564d65u /* "NVMe" */

#define NVME_AQA_ASQS(v) (((v)&0xfffu) + 1)
#define NVME_AQA_ACQS(v) (((v) >> 16 & 0xfffu) + 1)

#define NVME_CMBSZ_SQS      (1u << 0)
#define NVME_CMBSZ_CQS      (1u << 1)
#define NVME_CMBSZ_LISTS    (1u << 2)
#define NVME_CMBSZ_RDS      (1u << 3)
#define NVME_CMBSZ_WDS      (1u << 4)
#define NVME_CMBSZ_SZU(n)   ((uint32_t)(n) << 8)  /* 0: units of 4 KiB, 1: of 64 KiB, ... */
#define NVME_CMBSZ_SZ(n)    ((uint32_t)(n) << 12) /* in such units, 20 bits */
#define NVME_CMBLOC_CQMMS   (1u << 3)             /* queues and lists may mix memories */
#define NVME_CMBLOC_CQPDS   (1u << 4)
#define NVME_CMBLOC_CDPMLS  (1u << 5)
#define NVME_CMBLOC_CDPCILS (1u << 6)
#define NVME_CMBLOC_CDMMMS  (1u << 7)
#define NVME_CMBLOC_CQDA    (1u << 8)
#define NVME_CMBMSC_CRE     ((uint64_t)1 << 0)
#define NVME_CMBMSC_CMSE    ((uint64_t)1 << 1)
#define NVME_CMBMSC_CBA(v)  ((v) & ~(uint64_t)0xfff)
#define NVME_CMBSTS_CBAI    (1u << 0)

/* The persistent memory region's registers. */
#define NVME_PMRCAP_RDS         (1u << 3) /* data of commands that read may be there */
#define NVME_PMRCAP_WDS         (1u << 4) /* and of those that write */
#define NVME_PMRCAP_BIR(n)      ((uint32_t)(n) << 5)
#define NVME_PMRCAP_PMRTU(v)    ((v) >> 8 & 3u)       /* 0: units of 500 ms, 1: minutes */
#define NVME_PMRCAP_PMRWBM_READ (1u << 10)            /* a read of the region is a barrier */
#define NVME_PMRCAP_PMRWBM_STS  (1u << 11)            /* a read of PMRSTS is one */
#define NVME_PMRCAP_PMRTO(n)    ((uint32_t)(n) << 16) /* in such units, 8 bits */
#define NVME_PMRCAP_CMSS        (1u << 24)
#define NVME_PMRCTL_EN          (1u << 0)
#define NVME_PMRSTS_ERR(n)      ((uint32_t)(n) << 0) /* 8 bits */
#define NVME_PMRSTS_NRDY        (1u << 8)
#define NVME_PMRSTS_HSTS(v)     ((v) >> 9 & 7u) /* 0: as it should be */
#define NVME_PMRSTS_CBAI        (1u << 12)
#define NVME_PMRMSC_CMSE        ((uint64_t)1 << 1) /* of PMRMSCU and PMRMSCL together */
#define NVME_PMRMSC_CBA(v)      ((v) & ~(uint64_t)0xfff)

_Static_assert(NVME_PMRCAP_BIR(4) == 0x80, "BIR is bits 7:5");
_Static_assert(NVME_PMRCAP_PMRTU(0x300) == 3, "PMRTU is bits 9:8");
_Static_assert((NVME_PMRCAP_PMRWBM_READ | NVME_PMRCAP_PMRWBM_STS) == 3u << 10, "PMRWBM: 13:10");
_Static_assert(NVME_PMRCAP_PMRTO(0xff) == 0xff0000, "PMRTO is bits 23:16");
_Static_assert(NVME_PMRCAP_CMSS == 0x1000000, "CMSS is bit 24");
_Static_assert(NVME_PMRSTS_NRDY == 0x100 && NVME_PMRSTS_CBAI == 0x1000, "PMRSTS: bits 8 and 12");
_Static_assert(NVME_PMRSTS_HSTS(0xe00) == 7, "HSTS is bits 11:9");
_Static_assert(NVME_PMRMSCU == NVME_PMRMSCL + 4, "the two are one register of 64 bits");

/* A submission queue entry (figure 104). */
struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags; /* 1:0 fused, 7:6 PSDT */
	uint16_t cid;
	uint32_t nsid;
	uint32_t cdw2;
	uint32_t cdw3;
	uint64_t mptr;
	uint64_t dptr[2]; /* PRP1 and PRP2, or an SGL descriptor */
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
};

_Static_assert(sizeof(struct nvme_sqe) == 64, "a command is 64 bytes");
_Static_assert(offsetof(struct nvme_sqe, dptr) == 24, "DPTR is dword 6");
_Static_assert(offsetof(struct nvme_sqe, cdw10) == 40, "dword 10");

#define NVME_FUSE(flags) ((flags)&3u)
#define NVME_PSDT(flags) ((flags) >> 6)
#define NVME_PSDT_PRP    0u
#define NVME_PSDT_SGL    1u
#define NVME_PSDT_SGL_MD 2u

/* A completion queue entry (figure 122). @status: bit 0 the phase. */
struct nvme_cqe {
	uint64_t result;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status;
};

_Static_assert(sizeof(struct nvme_cqe) == 16, "a completion is 16 bytes");

/* An SGL descriptor (figure 110). @id: type in bits 7:4, sub-type in 3:0. */
struct nvme_sgl {
	uint64_t addr;
	uint32_t len;
	uint8_t reserved[3];
	uint8_t id;
};

_Static_assert(sizeof(struct nvme_sgl) == 16, "an SGL descriptor is 16 bytes");

enum nvme_sgl_type {
	NVME_SGL_DATA = 0,
	NVME_SGL_BIT_BUCKET = 1,
	NVME_SGL_SEGMENT = 2,
	NVME_SGL_LAST = 3,
};

enum nvme_admin_op {
	NVME_ADM_DELETE_SQ = 0x00,
	NVME_ADM_CREATE_SQ = 0x01,
	NVME_ADM_GET_LOG = 0x02,
	NVME_ADM_DELETE_CQ = 0x04,
	NVME_ADM_CREATE_CQ = 0x05,
	NVME_ADM_IDENTIFY = 0x06,
	NVME_ADM_ABORT = 0x08,
	NVME_ADM_SET_FEATURES = 0x09,
	NVME_ADM_GET_FEATURES = 0x0a,
	NVME_ADM_ASYNC_EVENT = 0x0c,
	NVME_ADM_FW_COMMIT = 0x10,
	NVME_ADM_FW_DOWNLOAD = 0x11,
	NVME_ADM_DOORBELL_BUFFER = 0x7c,
	NVME_ADM_FORMAT = 0x80,
};

enum nvme_io_op {
	NVME_IO_FLUSH = 0x00,
	NVME_IO_WRITE = 0x01,
	NVME_IO_READ = 0x02,
	NVME_IO_COMPARE = 0x05,
	NVME_IO_WRITE_ZEROES = 0x08,
	NVME_IO_DSM = 0x09,
	NVME_IO_VERIFY = 0x0c,
};

/* Status codes, with their type in bits 10:8 (figures 126 to 132), and Do Not Retry. */
enum nvme_status {
	NVME_OK = 0x000,
	NVME_INVALID_OPCODE = 0x001,
	NVME_INVALID_FIELD = 0x002,
	NVME_DATA_TRANSFER = 0x004,
	NVME_INTERNAL = 0x006,
	NVME_ABORTED = 0x007,
	NVME_SQ_DELETED = 0x008,
	NVME_INVALID_NS = 0x00b,
	NVME_SEQUENCE = 0x00c,
	NVME_SGL_SEGMENT_INVALID = 0x00d,
	NVME_SGL_COUNT_INVALID = 0x00e,
	NVME_SGL_LENGTH_INVALID = 0x00f,
	NVME_SGL_TYPE_INVALID = 0x011,
	NVME_PRP_OFFSET = 0x013,
	NVME_WRITE_PROTECTED = 0x020,
	NVME_LBA_RANGE = 0x080,
	NVME_CAPACITY = 0x081,
	NVME_CQ_INVALID = 0x100,
	NVME_QID_INVALID = 0x101,
	NVME_QSIZE_INVALID = 0x102,
	NVME_AER_LIMIT = 0x105,
	NVME_FW_SLOT = 0x106,
	NVME_FW_IMAGE = 0x107,
	NVME_VECTOR_INVALID = 0x108,
	NVME_LOG_INVALID = 0x109,
	NVME_FORMAT_INVALID = 0x10a,
	NVME_QUEUE_DELETION = 0x10c,
	NVME_FEATURE_NOT_SAVEABLE = 0x10d,
	NVME_FEATURE_NOT_CHANGEABLE = 0x10e,
	NVME_FEATURE_NOT_NS = 0x10f,
	NVME_OVERLAPPING = 0x114,
	NVME_CONFLICTING = 0x180,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_COMPARE_FAILED = 0x285,
	NVME_STATUS_MASK = 0x7ff,
	NVME_MORE = 0x2000,
	NVME_DNR = 0x4000,
};

enum nvme_feature {
	NVME_FEAT_ARBITRATION = 0x01,
	NVME_FEAT_POWER = 0x02,
	NVME_FEAT_LBA_RANGE = 0x03,
	NVME_FEAT_TEMPERATURE = 0x04,
	NVME_FEAT_ERROR_RECOVERY = 0x05,
	NVME_FEAT_WRITE_CACHE = 0x06,
	NVME_FEAT_QUEUES = 0x07,
	NVME_FEAT_COALESCING = 0x08,
	NVME_FEAT_VECTOR = 0x09,
	NVME_FEAT_ATOMICITY = 0x0a,
	NVME_FEAT_ASYNC_EVENT = 0x0b,
	NVME_FEAT_TIMESTAMP = 0x0e,
};

enum nvme_log {
	NVME_LOG_ERROR = 0x01,
	NVME_LOG_SMART = 0x02,
	NVME_LOG_FIRMWARE = 0x03,
	NVME_LOG_CHANGED_NS = 0x04,
	NVME_LOG_COMMANDS = 0x05,
};

enum nvme_cns {
	NVME_CNS_NAMESPACE = 0x00,
	NVME_CNS_CONTROLLER = 0x01,
	NVME_CNS_ACTIVE = 0x02,
	NVME_CNS_DESCRIPTORS = 0x03,
};

/* Asynchronous events: type in bits 2:0, information in 15:8, log page in 23:16 (figure 146). */
#define NVME_EVENT(type, info, log) \
	((uint32_t)(type) | (uint32_t)(info) << 8 | (uint32_t)(log) << 16)
#define NVME_EVENT_TYPE(event)  ((event)&7u)
#define NVME_EVENT_BAD_DOORBELL NVME_EVENT(0, 0, NVME_LOG_ERROR)
#define NVME_EVENT_BAD_VALUE    NVME_EVENT(0, 1, NVME_LOG_ERROR)
#define NVME_EVENT_TRANSIENT    NVME_EVENT(0, 4, NVME_LOG_ERROR)
#define NVME_EVENT_TEMPERATURE  NVME_EVENT(1, 1, NVME_LOG_SMART)
#define NVME_EVENT_NS_CHANGED   NVME_EVENT(2, 0, NVME_LOG_CHANGED_NS)
#define NVME_EVENT_TYPE_NOTICE  2u

struct nvme_power_state {
	uint16_t max_power; /* in units of 10 mW */
	uint8_t reserved[30];
};

/* Identify Controller (figure 247). */
struct nvme_id_ctrl {
	uint16_t vid;
	uint16_t ssvid;
	char sn[20];
	char mn[40];
	char fr[8];
	uint8_t rab;
	uint8_t ieee[3];
	uint8_t cmic;
	uint8_t mdts;
	uint16_t cntlid;
	uint32_t ver;
	uint32_t rtd3r;
	uint32_t rtd3e;
	uint32_t oaes;
	uint32_t ctratt;
	uint8_t reserved100[11];
	uint8_t cntrltype;
	uint8_t reserved112[144];
	uint16_t oacs;
	uint8_t acl;
	uint8_t aerl;
	uint8_t frmw;
	uint8_t lpa;
	uint8_t elpe;
	uint8_t npss;
	uint8_t avscc;
	uint8_t apsta;
	uint16_t wctemp;
	uint16_t cctemp;
	uint8_t reserved270[10];
	uint64_t tnvmcap[2];
	uint64_t unvmcap[2];
	uint8_t reserved312[200];
	uint8_t sqes;
	uint8_t cqes;
	uint16_t maxcmd;
	uint32_t nn;
	uint16_t oncs;
	uint16_t fuses;
	uint8_t fna;
	uint8_t vwc;
	uint16_t awun;
	uint16_t awupf;
	uint8_t nvscc;
	uint8_t nwpc;
	uint16_t acwu;
	uint16_t reserved534;
	uint32_t sgls;
	uint32_t mnan;
	uint8_t reserved544[224];
	char subnqn[256];
	uint8_t reserved1024[1024];
	struct nvme_power_state psd[32];
	uint8_t vendor[1024];
};

_Static_assert(sizeof(struct nvme_id_ctrl) == 4096, "Identify data is 4096 bytes");
_Static_assert(offsetof(struct nvme_id_ctrl, cntrltype) == 111, "CNTRLTYPE");
_Static_assert(offsetof(struct nvme_id_ctrl, oacs) == 256, "OACS");
_Static_assert(offsetof(struct nvme_id_ctrl, tnvmcap) == 280, "TNVMCAP");
_Static_assert(offsetof(struct nvme_id_ctrl, sqes) == 512, "SQES");
_Static_assert(offsetof(struct nvme_id_ctrl, sgls) == 536, "SGLS");
_Static_assert(offsetof(struct nvme_id_ctrl, subnqn) == 768, "SUBNQN");
_Static_assert(offsetof(struct nvme_id_ctrl, psd) == 2048, "PSD0");

struct nvme_lba_format {
	uint16_t ms;
	uint8_t ds; /* log2 of the block size */
	uint8_t rp;
};

/* Identify Namespace (figure 245). */
struct nvme_id_ns {
	uint64_t nsze;
	uint64_t ncap;
	uint64_t nuse;
	uint8_t nsfeat;
	uint8_t nlbaf;
	uint8_t flbas;
	uint8_t mc;
	uint8_t dpc;
	uint8_t dps;
	uint8_t nmic;
	uint8_t rescap;
	uint8_t fpi;
	uint8_t dlfeat;
	uint16_t nawun;
	uint16_t nawupf;
	uint16_t nacwu;
	uint16_t nabsn;
	uint16_t nabo;
	uint16_t nabspf;
	uint16_t noiob;
	uint64_t nvmcap[2];
	uint16_t npwg;
	uint16_t npwa;
	uint16_t npdg;
	uint16_t npda;
	uint16_t nows;
	uint8_t reserved74[25];
	uint8_t nsattr;
	uint16_t nvmsetid;
	uint16_t endgid;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct nvme_lba_format lbaf[16];
	uint8_t reserved192[3904];
};

_Static_assert(sizeof(struct nvme_id_ns) == 4096, "Identify data is 4096 bytes");
_Static_assert(offsetof(struct nvme_id_ns, nvmcap) == 48, "NVMCAP");
_Static_assert(offsetof(struct nvme_id_ns, nsattr) == 99, "NSATTR");
_Static_assert(offsetof(struct nvme_id_ns, nguid) == 104, "NGUID");
_Static_assert(offsetof(struct nvme_id_ns, lbaf) == 128, "LBAF0");

/* Error Information (figure 193). @status: phase in bit 0, as in the completion. */
struct nvme_error_entry {
	uint64_t count;
	uint16_t sq_id;
	uint16_t cid;
	uint16_t status;
	uint16_t location; /* byte in bits 7:0, bit in 10:8; all ones: none */
	uint64_t lba;
	uint32_t nsid;
	uint8_t vendor;
	uint8_t transport;
	uint8_t reserved30[2];
	uint64_t specific;
	uint16_t transport_specific;
	uint8_t reserved42[22];
};

_Static_assert(sizeof(struct nvme_error_entry) == 64, "an error entry is 64 bytes");

/* SMART / Health Information (figure 194), packed by hand: its numbers are not aligned. */
#define NVME_SMART_SIZE            512u
#define NVME_SMART_WARNING         0u
#define NVME_SMART_TEMPERATURE     1u
#define NVME_SMART_SPARE           3u
#define NVME_SMART_SPARE_THRESHOLD 4u
#define NVME_SMART_UNITS_READ      32u
#define NVME_SMART_UNITS_WRITTEN   48u
#define NVME_SMART_READS           64u
#define NVME_SMART_WRITES          80u
#define NVME_SMART_BUSY            96u
#define NVME_SMART_POWER_CYCLES    112u
#define NVME_SMART_POWER_ON_HOURS  128u
#define NVME_SMART_UNSAFE          144u
#define NVME_SMART_MEDIA_ERRORS    160u
#define NVME_SMART_ERROR_ENTRIES   176u

/* Dataset Management range (figure 368). */
struct nvme_dsm_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t lba;
};

_Static_assert(sizeof(struct nvme_dsm_range) == 16, "a range is 16 bytes");

#endif
