/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * amdvi: what an AMD-Vi IOMMU and its driver write for each other to read: registers, device
 * table entries, commands, events, interrupt remapping entries.
 *
 * Source: AMD I/O Virtualization Technology (IOMMU) Specification, 48882, by the section named
 * at each group; values agree with Linux drivers/iommu/amd/amd_iommu_types.h.
 */
#ifndef CBIT_AMDVI_H
#define CBIT_AMDVI_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <cbit/api.h>

CBIT_API_BEGIN

#define CBIT_VI_BIT(n) (UINT64_C(1) << (n))

/* Registers, offsets into the window (section 3.4). Each is 64 bits wide. */
#define CBIT_VI_REG_DEVTAB   0x0000u
#define CBIT_VI_REG_CMD_BASE 0x0008u
#define CBIT_VI_REG_EVT_BASE 0x0010u
#define CBIT_VI_REG_CONTROL  0x0018u
#define CBIT_VI_REG_EFR      0x0030u
#define CBIT_VI_REG_EFR2     0x01a0u
#define CBIT_VI_REG_CMD_HEAD 0x2000u
#define CBIT_VI_REG_CMD_TAIL 0x2008u
#define CBIT_VI_REG_EVT_HEAD 0x2010u
#define CBIT_VI_REG_EVT_TAIL 0x2018u
#define CBIT_VI_REG_STATUS   0x2020u
#define CBIT_VI_WINDOW       0x4000u

/* Base registers: bits 51:12 are a bus address, the C-bit included. */
#define CBIT_VI_BASE_MASK   UINT64_C(0x000ffffffffff000)
#define CBIT_VI_DEVTAB_SIZE UINT64_C(0x1ff) /* 4 KiB pages, less one */
#define CBIT_VI_RING_SHIFT  56              /* log2 of the entries; 8 to 15 are legal */
#define CBIT_VI_RING_LEN    (UINT64_C(0xf) << CBIT_VI_RING_SHIFT)
#define CBIT_VI_PTR_MASK    UINT64_C(0x7fff0) /* head and tail: byte offsets */

/* Control register. */
#define CBIT_VI_CTRL_ENABLE       CBIT_VI_BIT(0)
#define CBIT_VI_CTRL_EVT_LOG      CBIT_VI_BIT(2)
#define CBIT_VI_CTRL_EVT_INT      CBIT_VI_BIT(3)
#define CBIT_VI_CTRL_WAIT_INT     CBIT_VI_BIT(4)
#define CBIT_VI_CTRL_COHERENT     CBIT_VI_BIT(10)
#define CBIT_VI_CTRL_CMD          CBIT_VI_BIT(12)
#define CBIT_VI_CTRL_GT           CBIT_VI_BIT(16) /* guest translation */
#define CBIT_VI_CTRL_GA           CBIT_VI_BIT(17) /* IRTEs have 128 bits */
#define CBIT_VI_CTRL_IRT_MASK     (UINT64_C(3) << 43)
#define CBIT_VI_CTRL_IRT_2K       (UINT64_C(1) << 43) /* tables of up to 2048 IRTEs */
#define CBIT_VI_CTRL_XT           CBIT_VI_BIT(50)     /* 32-bit destinations */
#define CBIT_VI_CTRL_GCR3_GPA     CBIT_VI_BIT(58)     /* GCR3TRPMode: GCR3 tables are at GPAs */
#define CBIT_VI_CTRL_IRT_UNCACHED CBIT_VI_BIT(59)

/* Status register; the first three are cleared by writing a one. */
#define CBIT_VI_STATUS_EVT_OVERFLOW CBIT_VI_BIT(0)
#define CBIT_VI_STATUS_EVT_INT      CBIT_VI_BIT(1)
#define CBIT_VI_STATUS_WAIT_INT     CBIT_VI_BIT(2)
#define CBIT_VI_STATUS_EVT_RUN      CBIT_VI_BIT(3)
#define CBIT_VI_STATUS_CMD_RUN      CBIT_VI_BIT(4)

/* Extended feature registers. */
#define CBIT_VI_EFR_PPR          CBIT_VI_BIT(1)
#define CBIT_VI_EFR_XT           CBIT_VI_BIT(2)
#define CBIT_VI_EFR_NX           CBIT_VI_BIT(3)
#define CBIT_VI_EFR_GT           CBIT_VI_BIT(4)
#define CBIT_VI_EFR_IA           CBIT_VI_BIT(6)
#define CBIT_VI_EFR_GA           CBIT_VI_BIT(7)
#define CBIT_VI_EFR_HATS_SHIFT   10 /* levels of a host table, less four */
#define CBIT_VI_EFR_HATS         (UINT64_C(3) << CBIT_VI_EFR_HATS_SHIFT)
#define CBIT_VI_EFR_GATS_SHIFT   12 /* levels of a guest table, less four */
#define CBIT_VI_EFR_GATS         (UINT64_C(3) << CBIT_VI_EFR_GATS_SHIFT)
#define CBIT_VI_EFR_GLX_SHIFT    14
#define CBIT_VI_EFR_GLX          (UINT64_C(3) << CBIT_VI_EFR_GLX_SHIFT)
#define CBIT_VI_EFR_PASMAX_SHIFT 32 /* bits of a PASID, less one */
#define CBIT_VI_EFR_PASMAX       (UINT64_C(0x1f) << CBIT_VI_EFR_PASMAX_SHIFT)
#define CBIT_VI_EFR_GIO          CBIT_VI_BIT(48)
#define CBIT_VI_EFR_HA           CBIT_VI_BIT(49)
#define CBIT_VI_EFR_EPH          CBIT_VI_BIT(50)
#define CBIT_VI_EFR_HD           CBIT_VI_BIT(52)
#define CBIT_VI_EFR2_GCR3_GPA    CBIT_VI_BIT(3)
#define CBIT_VI_EFR2_IRT_2K      (UINT64_C(1) << 8)

/* Device table entry (section 2.2.2.1), quadword 0: host and guest translation. */
#define CBIT_VI_DTE0_V          CBIT_VI_BIT(0)
#define CBIT_VI_DTE0_TV         CBIT_VI_BIT(1)
#define CBIT_VI_DTE0_HAD_SHIFT  7
#define CBIT_VI_DTE0_HAD        (UINT64_C(3) << CBIT_VI_DTE0_HAD_SHIFT)
#define CBIT_VI_DTE0_HAD_A      (UINT64_C(1) << CBIT_VI_DTE0_HAD_SHIFT) /* accessed bits alone */
#define CBIT_VI_DTE0_MODE_SHIFT 9
#define CBIT_VI_DTE0_MODE       (UINT64_C(7) << CBIT_VI_DTE0_MODE_SHIFT)
#define CBIT_VI_DTE0_PPR        (UINT64_C(3) << 52) /* PPR, GPRP */
#define CBIT_VI_DTE0_GIOV       CBIT_VI_BIT(54)
#define CBIT_VI_DTE0_GV         CBIT_VI_BIT(55)
#define CBIT_VI_DTE0_GLX_SHIFT  56
#define CBIT_VI_DTE0_GLX        (UINT64_C(3) << CBIT_VI_DTE0_GLX_SHIFT)
#define CBIT_VI_DTE0_GCR3_SHIFT 58 /* bits 14:12 of the root of the GCR3 table */
#define CBIT_VI_DTE0_GCR3       (UINT64_C(7) << CBIT_VI_DTE0_GCR3_SHIFT)
#define CBIT_VI_DTE0_IR         CBIT_VI_BIT(61)
#define CBIT_VI_DTE0_IW         CBIT_VI_BIT(62)
#define CBIT_VI_DTE0_RESERVED   (UINT64_C(0x1f) << 2 | CBIT_VI_BIT(63))
/* Quadword 1. */
#define CBIT_VI_DTE1_DOMAIN      UINT64_C(0xffff)
#define CBIT_VI_DTE1_SA          CBIT_VI_BIT(34) /* log no page fault of this device */
#define CBIT_VI_DTE1_IOCTL_SHIFT 35
#define CBIT_VI_DTE1_GCR3_MID    (UINT64_C(0xffff) << 16)   /* bits 30:15 */
#define CBIT_VI_DTE1_GCR3_HIGH   (UINT64_C(0x1fffff) << 43) /* bits 51:31 */
#define CBIT_VI_DTE1_GCR3        (CBIT_VI_DTE1_GCR3_MID | CBIT_VI_DTE1_GCR3_HIGH)
#define CBIT_VI_DTE1_RESERVED    CBIT_VI_BIT(42)
/* Quadword 2: interrupts. */
#define CBIT_VI_DTE2_IV           CBIT_VI_BIT(0)
#define CBIT_VI_DTE2_LEN_SHIFT    1
#define CBIT_VI_DTE2_LEN_MAX      11u /* 2048 entries */
#define CBIT_VI_DTE2_IG           CBIT_VI_BIT(5)
#define CBIT_VI_DTE2_ROOT         UINT64_C(0x000fffffffffffc0)
#define CBIT_VI_DTE2_GPM_SHIFT    54 /* GuestPagingMode: levels of the guest's tables, less 4 */
#define CBIT_VI_DTE2_GUEST_PAGING (UINT64_C(3) << CBIT_VI_DTE2_GPM_SHIFT)
#define CBIT_VI_DTE2_INIT         CBIT_VI_BIT(56)
#define CBIT_VI_DTE2_EINT         CBIT_VI_BIT(57)
#define CBIT_VI_DTE2_NMI          CBIT_VI_BIT(58)
#define CBIT_VI_DTE2_INTCTL_SHIFT 60
#define CBIT_VI_DTE2_RESERVED     (UINT64_C(3) << 52 | CBIT_VI_BIT(59))
/* Quadword 3: only AttrV, Mode0FC and SnoopAttribute without virtual IOMMUs. */
#define CBIT_VI_DTE3_RESERVED UINT64_C(0x003fffffffffffff)

#define CBIT_VI_INTCTL_ABORT   0u
#define CBIT_VI_INTCTL_FORWARD 1u
#define CBIT_VI_INTCTL_REMAP   2u

/* GCR3 tables (section 2.2.6): 512 entries of 8 bytes at each of GLX + 1 levels. */
#define CBIT_VI_GCR3_V        CBIT_VI_BIT(0)
#define CBIT_VI_GCR3_ADDR     UINT64_C(0x000ffffffffff000)
#define CBIT_VI_GCR3_RESERVED UINT64_C(0xfff0000000000ffe)

/* Commands (section 2.4): the code is dw1[31:28]. */
#define CBIT_VI_CMD_SHIFT             28
#define CBIT_VI_CMD_COMPLETION_WAIT   0x1u
#define CBIT_VI_CMD_INVALIDATE_DEVTAB 0x2u
#define CBIT_VI_CMD_INVALIDATE_PAGES  0x3u
#define CBIT_VI_CMD_INVALIDATE_IOTLB  0x4u
#define CBIT_VI_CMD_INVALIDATE_IRT    0x5u
#define CBIT_VI_CMD_PREFETCH          0x6u
#define CBIT_VI_CMD_COMPLETE_PPR      0x7u
#define CBIT_VI_CMD_INVALIDATE_ALL    0x8u
#define CBIT_VI_WAIT_STORE            0x1u /* dw0 */
#define CBIT_VI_WAIT_INT              0x2u
#define CBIT_VI_PAGES_S               0x1u /* dw2 */
#define CBIT_VI_PAGES_PDE             0x2u
#define CBIT_VI_PAGES_GN              0x4u

/* Events (section 2.5): the code is dw1[31:28], flags are bits of dw1. */
#define CBIT_VI_EVT_SHIFT            28
#define CBIT_VI_EVT_ILLEGAL_DTE      0x1u
#define CBIT_VI_EVT_IO_PAGE_FAULT    0x2u
#define CBIT_VI_EVT_DEVTAB_HW_ERROR  0x3u
#define CBIT_VI_EVT_PAGETAB_HW_ERROR 0x4u
#define CBIT_VI_EVT_ILLEGAL_COMMAND  0x5u
#define CBIT_VI_EVT_COMMAND_HW_ERROR 0x6u
#define CBIT_VI_EVT_IOTLB_TIMEOUT    0x7u
#define CBIT_VI_EVT_INVALID_DEVICE   0x8u
#define CBIT_VI_EVT_INVALID_PPR      0x9u
#define CBIT_VI_EVT_COUNTER_ZERO     0xau
#define CBIT_VI_EVT_RMP_FAULT        0xdu
#define CBIT_VI_EVT_RMP_HW_ERROR     0xeu
#define CBIT_VI_EVT_GN               (1u << 16) /* the address is a GVA, a PASID is named */
#define CBIT_VI_EVT_NX               (1u << 17) /* an instruction fetch */
#define CBIT_VI_EVT_US               (1u << 18) /* a user's request */
#define CBIT_VI_EVT_I                (1u << 19) /* an interrupt request */
#define CBIT_VI_EVT_PR               (1u << 20)
#define CBIT_VI_EVT_RW               (1u << 21)
#define CBIT_VI_EVT_PE               (1u << 22)
#define CBIT_VI_EVT_RZ               (1u << 23)
#define CBIT_VI_EVT_TR               (1u << 24) /* a translation request */
#define CBIT_VI_EVT_MASTER_ABORT     (1u << 25) /* Type of a hardware error: 01b */
#define CBIT_VI_EVT_TYPE_SHIFT       25         /* hardware errors two bits, INVALID_DEVICE three */
#define CBIT_VI_EVT_FLAGS            0x0fff0000u

/**
 * struct cbit_vi_event - an event before it is laid out. Fields that its kind has no place for are
 * left out of the entry, reserved bits of an address and of the flags are cleared.
 * @code:    CBIT_VI_EVT_*.
 * @flags:   CBIT_VI_EVT_* of dw1[27:16].
 * @devid:   the requester.
 * @domid:   IO_PAGE_FAULT and PAGE_TAB_HARDWARE_ERROR without GN: the domain. With GN the PASID is
 *           in its place.
 * @pasid:   20 bits; INVALID_PPR_REQUEST, and the kinds with GN if that is set.
 * @tag:     INVALID_PPR_REQUEST: the PPR tag (10 bits); RMP events: the VMG tag (16 bits).
 * @rmp:     RMP_PAGE_FAULT: flags of the RMP check, dw0[23:16].
 * @address: what the kind says: IOVA, SPA, GPA, or the counter note of EVENT_COUNTER_ZERO.
 */
struct cbit_vi_event {
	unsigned int code;
	uint32_t flags;
	uint16_t devid;
	uint16_t domid;
	uint32_t pasid;
	uint16_t tag;
	uint8_t rmp;
	uint64_t address;
};

/**
 * cbit_vi_event_encode() - the 16 bytes of an event log entry (section 2.5).
 * Return: false for a code that there is not: @dw is zero.
 *
 * Layouts: iommu_print_event() and amd_iommu_report_rmp_*() in Linux drivers/iommu/amd/iommu.c for
 * PASIDs, tags and RMP events; flags, reserved bits and the counter note agree with the structures
 * of VirtualBox (include/VBox/iommu-amd.h). Where 48882 contradicts itself on the low address bits
 * of PAGE_TAB_HARDWARE_ERROR (31:3 in the figure, 31:4 in the table) the figure is followed.
 */
bool cbit_vi_event_encode(const struct cbit_vi_event *ev, uint32_t dw[4]);

/* Interrupt remapping table entries (section 2.2.5): low bits are the same in both formats. */
#define CBIT_VI_IRTE_REMAP_EN   CBIT_VI_BIT(0)
#define CBIT_VI_IRTE_SUP_IOPF   CBIT_VI_BIT(1) /* log no fault that this entry causes */
#define CBIT_VI_IRTE_TYPE_SHIFT 2
#define CBIT_VI_IRTE_DM         CBIT_VI_BIT(6)
#define CBIT_VI_IRTE_GUEST      CBIT_VI_BIT(7)

static_assert(CBIT_VI_EVT_RMP_FAULT == 0xd, "EVENT_TYPE_RMP_FAULT in Linux");
static_assert(CBIT_VI_EVT_RMP_HW_ERROR == 0xe, "EVENT_TYPE_RMP_HW_ERR in Linux");
static_assert(CBIT_VI_EVT_INVALID_PPR == 0x9, "EVENT_TYPE_INV_PPR_REQ in Linux");
static_assert(CBIT_VI_DTE2_LEN_MAX == 11, "DTE_INTTABLEN_VALUE_2K in Linux");
static_assert(CBIT_VI_CTRL_IRT_2K == UINT64_C(0x80000000000), "CONTROL_NUM_INT_REMAP_MODE is 43");

CBIT_API_END

#endif
