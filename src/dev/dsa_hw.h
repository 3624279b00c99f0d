/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intel DSA (Data Streaming Accelerator), version 1, as its drivers use it: register offsets,
 * bits, descriptor and completion record. Sources: Linux drivers/dma/idxd/registers.h and
 * include/uapi/linux/idxd.h (names, layouts, codes); DPDK drivers/dma/idxd (what a user-space
 * driver does with them).
 */
#ifndef CBIT_DEV_DSA_HW_H
#define CBIT_DEV_DSA_HW_H

#include <stddef.h>
#include <stdint.h>

#define DSA_VENDOR 0x8086
#define DSA_DEVICE 0x0b25
#define DSA_CLASS  0x088000 /* system peripheral, other */

/* Registers of BAR0. */
#define DSA_VERSION            0x00 /* 32 */
#define DSA_VERSION_1          0x100u
#define DSA_GENCAP             0x10
#define DSA_GENCAP_OVERLAP     (UINT64_C(1) << 1)
#define DSA_GENCAP_CC_MEM      (UINT64_C(1) << 2)
#define DSA_GENCAP_CMDCAP      (UINT64_C(1) << 4)
#define DSA_GENCAP_READBACK    (UINT64_C(1) << 8)
#define DSA_GENCAP_XFER_SHIFT  16
#define DSA_GENCAP_BATCH_SHIFT 21
#define DSA_GENCAP_CONFIG      (UINT64_C(1) << 31)
#define DSA_WQCAP              0x20
#define DSA_WQCAP_NUM_SHIFT    16
#define DSA_WQCAP_DEDICATED    (UINT64_C(1) << 49)
#define DSA_WQCAP_PRIORITY     (UINT64_C(1) << 51)
#define DSA_GRPCAP             0x30
#define DSA_ENGCAP             0x38
#define DSA_OPCAP              0x40 /* 256 */
#define DSA_OFFSETS            0x60 /* 128: where the tables are, in units of 0x100 */
#define DSA_OFFSETS_GRPCFG     0
#define DSA_OFFSETS_WQCFG      16
#define DSA_OFFSETS_MSIX_PERM  32
#define DSA_GENCFG             0x80 /* 32 */
#define DSA_GENCTRL            0x88 /* 32 */
#define DSA_GENCTRL_SWERR_INT  0x1u
#define DSA_GENSTS             0x90 /* 32 */
#define DSA_GENSTS_ENABLED     0x1u
#define DSA_INTCAUSE           0x98 /* 32, write 1 to clear */
#define DSA_INTCAUSE_SWERR     0x01u
#define DSA_INTCAUSE_COMMAND   0x02u
#define DSA_CMD                0xa0 /* 32, write only */
#define DSA_CMD_OPERAND(v)     ((v)&0xfffffu)
#define DSA_CMD_CODE(v)        ((v) >> 20 & 0x1fu)
#define DSA_CMD_INT            0x80000000u
#define DSA_CMDSTS             0xa8 /* 32 */
#define DSA_CMDSTS_ACTIVE      0x80000000u
#define DSA_CMDCAP             0xb0 /* 32 */
#define DSA_SWERR              0xc0 /* 256 */
#define DSA_SWERR_VALID        0x1u
#define DSA_SWERR_OVERFLOW     0x2u
#define DSA_SWERR_DESC         0x4u
#define DSA_SWERR_WQ           0x8u
#define DSA_SWERR_BATCH        0x10u
#define DSA_SWERR_WRITE        0x20u
#define DSA_SWERR_PRIV         0x40u
#define DSA_SWERR_CODE_SHIFT   8
#define DSA_SWERR_WQ_SHIFT     16
#define DSA_SWERR_OPCODE_SHIFT 32
#define DSA_SWERR_PASID_SHIFT  40
#define DSA_GRPCFG             0x400 /* ours; 64 bytes a group */
#define DSA_GRPCFG_SIZE        64u
#define DSA_GRPCFG_ENGINES     32u
#define DSA_WQCFG              0x500 /* ours; 32 bytes a queue */
#define DSA_WQCFG_SIZE         32u
#define DSA_MSIX_PERM          0x600 /* ours; 8 bytes a vector */
#define DSA_MSIX_PERM_PASID    0x8u
#define DSA_REGISTERS          0x700

/* WQCFG: dwords. */
#define DSA_WQ_SIZE(cfg)        ((cfg)[0] & 0xffffu)
#define DSA_WQ_DEDICATED(cfg)   ((cfg)[2] & 0x1u)
#define DSA_WQ_BOF(cfg)         ((cfg)[2] & 0x2u)
#define DSA_WQ_PRIORITY(cfg)    ((cfg)[2] >> 4 & 0xfu)
#define DSA_WQ_PASID_EN(cfg)    ((cfg)[2] >> 28 & 0x1u)
#define DSA_WQ_XFER_SHIFT(cfg)  ((cfg)[3] & 0x1fu)
#define DSA_WQ_BATCH_SHIFT(cfg) ((cfg)[3] >> 5 & 0xfu)
#define DSA_WQ_STATE_DWORD      6u
#define DSA_WQ_STATE_SHIFT      30

enum dsa_command {
	DSA_ENABLE_DEVICE = 1,
	DSA_DISABLE_DEVICE,
	DSA_DRAIN_ALL,
	DSA_ABORT_ALL,
	DSA_RESET_DEVICE,
	DSA_ENABLE_WQ,
	DSA_DISABLE_WQ,
	DSA_DRAIN_WQ,
	DSA_ABORT_WQ,
	DSA_RESET_WQ,
	DSA_DRAIN_PASID,
	DSA_ABORT_PASID,
};

/* CMDSTS[7:0]. */
enum dsa_command_error {
	DSA_OK = 0,
	DSA_ERR_COMMAND = 0x01,
	DSA_ERR_WQ_INDEX = 0x02,
	DSA_ERR_DEV_ENABLED = 0x10,
	DSA_ERR_BUS_MASTER = 0x12,
	DSA_ERR_SIZES = 0x14,
	DSA_ERR_GROUP_WQ = 0x15,
	DSA_ERR_GROUP_ENGINE = 0x16,
	DSA_ERR_GROUP_EMPTY = 0x17,
	DSA_ERR_DEV_OFF = 0x20,
	DSA_ERR_WQ_ENABLED = 0x21,
	DSA_ERR_WQ_SIZE = 0x22,
	DSA_ERR_WQ_PRIORITY = 0x23,
	DSA_ERR_WQ_MODE = 0x24,
	DSA_ERR_WQ_BOF = 0x25,
	DSA_ERR_WQ_PASID = 0x26,
	DSA_ERR_WQ_BATCH = 0x27,
	DSA_ERR_WQ_XFER = 0x28,
	DSA_ERR_NOT_ENABLED = 0x31,
	DSA_ERR_WQ_NOT_ENABLED = 0x32,
};

enum dsa_opcode {
	DSA_NOOP = 0x00,
	DSA_BATCH = 0x01,
	DSA_DRAIN = 0x02,
	DSA_MEMMOVE = 0x03,
	DSA_FILL = 0x04,
	DSA_COMPARE = 0x05,
	DSA_COMPARE_PATTERN = 0x06,
	DSA_DUALCAST = 0x09,
	DSA_CRC = 0x10,
	DSA_COPY_CRC = 0x11,
};

struct dsa_desc {
	uint32_t pasid; /* [19:0]; [31]: privileged */
	uint32_t op;    /* [23:0] flags, [31:24] opcode */
	uint64_t completion;
	uint64_t source;      /* of a fill: the pattern; of a batch: the list */
	uint64_t destination; /* of a compare: the second source, or the pattern */
	uint32_t size;        /* of a batch: the number of descriptors */
	uint16_t interrupt;
	uint16_t reserved;
	uint8_t rest[24];
};
_Static_assert(sizeof(struct dsa_desc) == 64, "a descriptor is 64 bytes");
_Static_assert(offsetof(struct dsa_desc, completion) == 8, "completion record address");
_Static_assert(offsetof(struct dsa_desc, source) == 16, "source address");
_Static_assert(offsetof(struct dsa_desc, destination) == 24, "destination address");
_Static_assert(offsetof(struct dsa_desc, size) == 32, "transfer size");
_Static_assert(offsetof(struct dsa_desc, interrupt) == 36, "completion interrupt handle");
_Static_assert(offsetof(struct dsa_desc, rest) == 40, "what depends on the operation");

#define DSA_OPCODE(op)     ((op) >> 24)
#define DSA_FLAGS(op)      ((op)&0xffffffu)
#define DSA_PASID_RESERVED 0x7ff00000u

#define DSA_FLAG_FENCE          0x000001u
#define DSA_FLAG_BLOCK_ON_FAULT 0x000002u
#define DSA_FLAG_COMPLETION     0x000004u /* the completion address is valid */
#define DSA_FLAG_REQUEST        0x000008u /* write the record also on success */
#define DSA_FLAG_INTERRUPT      0x000010u
#define DSA_FLAG_CHECK_RESULT   0x000080u
#define DSA_FLAG_CACHE          0x000100u
#define DSA_FLAG_CLASSES        0x001e00u /* traffic class selectors */
#define DSA_FLAG_STRICT_ORDER   0x002000u
#define DSA_FLAG_READBACK       0x004000u
#define DSA_FLAG_SEED_ADDRESS   0x010000u /* CRC: the seed is read from memory */

/* Where a descriptor's own part has things. */
#define DSA_REST_EXPECTED  0u /* u8: compare with DSA_FLAG_CHECK_RESULT */
#define DSA_REST_DEST2     0u /* u64: dualcast */
#define DSA_REST_SEED      0u /* u32: CRC */
#define DSA_REST_SEED_ADDR 8u /* u64 */

struct dsa_completion {
	uint8_t status; /* [6:0]; [7]: the fault was a write's */
	uint8_t result;
	uint8_t fault_info;
	uint8_t reserved;
	uint32_t completed; /* bytes, or descriptors of a batch */
	uint64_t fault_address;
	uint64_t value; /* a CRC; with DSA_BAD_FLAGS those flags */
	uint64_t value2;
};
_Static_assert(sizeof(struct dsa_completion) == 32, "a completion record is 32 bytes");
_Static_assert(offsetof(struct dsa_completion, completed) == 4, "bytes completed");
_Static_assert(offsetof(struct dsa_completion, fault_address) == 8, "fault address");
_Static_assert(offsetof(struct dsa_completion, value) == 16, "CRC value");

/* Status of a completion record, error of SWERR. */
enum dsa_status {
	DSA_SUCCESS = 0x01,
	DSA_SUCCESS_FALSE = 0x02, /* and the result is not the expected one */
	DSA_PAGE_FAULT = 0x03,
	DSA_BATCH_FAILED = 0x05,
	DSA_BATCH_PAGE_FAULT = 0x06,
	DSA_BAD_OPCODE = 0x10,
	DSA_BAD_FLAGS = 0x11,
	DSA_BAD_RESERVED = 0x12,
	DSA_BAD_SIZE = 0x13,
	DSA_BAD_COUNT = 0x14,
	DSA_BAD_OVERLAP = 0x16,
	DSA_BAD_DUALCAST = 0x17,
	DSA_BAD_LIST = 0x18,
	DSA_BAD_INTERRUPT = 0x19,
	DSA_COMPLETION_FAULT = 0x1a,
	DSA_COMPLETION_ALIGN = 0x1b,
	DSA_BAD_ALIGN = 0x1c,
	DSA_HW_ERROR = 0x20,
	/* No public document that we could read numbers these two. */
	DSA_WQ_OFF = 0x51,
	DSA_WQ_FULL = 0x52,
};
#define DSA_STATUS_WRITE 0x80u
#define DSA_STATUS_MASK  0x7fu

#endif
