/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Intel I/OAT as its drivers use it: register offsets, bits and the descriptor. Sources: Linux
 * drivers/dma/ioat/registers.h and hw.h (names), dma.c (names of the CHANERR bits, and that a
 * size of 0 is an error); DPDK drivers/dma/ioat (ARMED, the completion word).
 */
#ifndef CBIT_DEV_IOAT_HW_H
#define CBIT_DEV_IOAT_HW_H

#include <stddef.h>
#include <stdint.h>

#define IOAT_VENDOR 0x8086
#define IOAT_DEVICE 0x2021   /* Sky Lake-E */
#define IOAT_CLASS  0x088000 /* system peripheral, other */

/* Device registers. */
#define IOAT_CHANCNT               0x00 /* 8 */
#define IOAT_XFERCAP               0x01 /* 8: log2 of the largest transfer */
#define IOAT_GENCTRL               0x02 /* 8 */
#define IOAT_INTRCTRL              0x03 /* 8 */
#define IOAT_INTRCTRL_MASTER_EN    0x01u
#define IOAT_INTRCTRL_INT_STATUS   0x02u /* some channel has ATTNSTATUS set */
#define IOAT_INTRCTRL_INT          0x04u /* that, and MASTER_EN: the pin */
#define IOAT_INTRCTRL_MSIX_CONTROL 0x08u
#define IOAT_ATTNSTATUS            0x04 /* 32: a bit for each channel */
#define IOAT_CBVER                 0x08 /* 8 */
#define IOAT_INTRDELAY             0x0c /* 16 */
#define IOAT_DMACAP                0x10 /* 32 */
#define IOAT_DMACAP_FILL           0x40u
#define IOAT_CHANNEL               0x80 /* the only channel starts here */

/* Channel registers, relative to the channel. */
#define IOAT_CHANCTRL                0x00    /* 16 */
#define IOAT_CHANCTRL_INT_REARM      0x0001u /* write only */
#define IOAT_CHANCTRL_ERR_COMPLETION 0x0004u
#define IOAT_CHANCTRL_ERR_INT        0x0010u
#define IOAT_CHANCMD                 0x04 /* 8 */
#define IOAT_CHANCMD_SUSPEND         0x04u
#define IOAT_CHANCMD_RESET           0x20u
#define IOAT_DMACOUNT                0x06 /* 16 */
#define IOAT_CHANSTS                 0x08 /* 64, read only */
#define IOAT_CHAINADDR               0x10 /* 64 */
#define IOAT_CHANCMP                 0x18 /* 64 */
#define IOAT_CDAR                    0x20 /* 64, read only: current descriptor */
#define IOAT_CHANERR                 0x28 /* 32, write 1 to clear */
#define IOAT_CHANERR_MASK            0x2c /* 32 */

/* Low bits of CHANSTS and of the completion word; the rest is a descriptor's address. */
enum ioat_state {
	IOAT_ACTIVE = 0,
	IOAT_DONE = 1,
	IOAT_SUSPENDED = 2,
	IOAT_HALTED = 3,
	IOAT_ARMED = 4,
};

#define IOAT_ERR_SOURCE        0x0001u
#define IOAT_ERR_DESTINATION   0x0002u
#define IOAT_ERR_NEXT_ALIGN    0x0008u
#define IOAT_ERR_CHAIN_ADDRESS 0x0010u
#define IOAT_ERR_READ_DATA     0x0100u /* a descriptor could not be read */
#define IOAT_ERR_WRITE_DATA    0x0200u
#define IOAT_ERR_CONTROL       0x0400u
#define IOAT_ERR_LENGTH        0x0800u
#define IOAT_ERR_COMPLETION    0x1000u

/* Extended configuration space. */
#define IOAT_PCI_DMAUNCERRSTS    0x148
#define IOAT_PCI_CHANERR_INT     0x180
#define IOAT_PCI_CHANERRMASK_INT 0x184

struct ioat_desc {
	uint32_t size;
	uint32_t control;
	uint64_t source; /* of a fill: the pattern */
	uint64_t destination;
	uint64_t next;
	uint64_t reserved[2];
	uint64_t user[2];
};
_Static_assert(sizeof(struct ioat_desc) == 64, "a descriptor is 64 bytes");
_Static_assert(offsetof(struct ioat_desc, next) == 24, "next pointer");

#define IOAT_DESC_ALIGN      64u
#define IOAT_CTL_INTERRUPT   0x00000001u
#define IOAT_CTL_COMPLETION  0x00000008u
#define IOAT_CTL_NULL        0x00000020u /* move nothing */
#define IOAT_CTL_OP(control) ((control) >> 24)
#define IOAT_OP_COPY         0u
#define IOAT_OP_FILL         1u

#endif
