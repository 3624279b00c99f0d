/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space: offsets and bits, from the PCI Express Base Specification 5.0,
 * chapter 7 (type 0 header 7.5.1, power management 7.5.2, PCI Express 7.5.3, MSI 7.7.1,
 * MSI-X 7.7.2). Capabilities of our devices sit at fixed places.
 */
#ifndef CBIT_DEV_PCI_REGS_H
#define CBIT_DEV_PCI_REGS_H

/* Type 0 header. */
#define PCI_VENDOR_ID           0x00
#define PCI_DEVICE_ID           0x02
#define PCI_COMMAND             0x04
#define PCI_COMMAND_MEMORY      0x0002u
#define PCI_COMMAND_MASTER      0x0004u
#define PCI_COMMAND_PARITY      0x0040u
#define PCI_COMMAND_SERR        0x0100u
#define PCI_COMMAND_INTX_OFF    0x0400u
#define PCI_STATUS              0x06
#define PCI_STATUS_INTERRUPT    0x0008u
#define PCI_STATUS_CAP_LIST     0x0010u
#define PCI_REVISION_ID         0x08
#define PCI_CLASS_CODE          0x09
#define PCI_CACHE_LINE_SIZE     0x0c
#define PCI_BAR0                0x10
#define PCI_BAR_64              0x4u
#define PCI_BAR_PREFETCH        0x8u
#define PCI_SUBSYSTEM_VENDOR_ID 0x2c
#define PCI_SUBSYSTEM_ID        0x2e
#define PCI_ROM_ADDRESS         0x30
#define PCI_CAP_POINTER         0x34
#define PCI_INTERRUPT_LINE      0x3c
#define PCI_INTERRUPT_PIN       0x3d

/* Where our capabilities are. */
#define PCI_PM_AT   0x40
#define PCI_MSI_AT  0x50
#define PCI_MSIX_AT 0x60
#define PCI_EXP_AT  0x70

#define PCI_CAP_ID_PM   0x01
#define PCI_CAP_ID_MSI  0x05
#define PCI_CAP_ID_EXP  0x10
#define PCI_CAP_ID_MSIX 0x11

/* Power management: PMC at +2, PMCSR at +4. */
#define PCI_PM_PMC           0x02
#define PCI_PM_PMC_V3        0x0003u
#define PCI_PM_PMC_PME       0xf800u
#define PCI_PM_CSR           0x04
#define PCI_PM_CSR_STATE     0x0003u
#define PCI_PM_CSR_D3HOT     0x0003u
#define PCI_PM_CSR_NO_SOFT_R 0x0008u
#define PCI_PM_CSR_PME       0x8100u /* status and enable */

/* MSI with a 64-bit address. */
#define PCI_MSI_FLAGS      0x02
#define PCI_MSI_ENABLE     0x0001u
#define PCI_MSI_64BIT      0x0080u
#define PCI_MSI_ADDRESS_LO 0x04
#define PCI_MSI_ADDRESS_HI 0x08
#define PCI_MSI_DATA       0x0c

/* MSI-X: the table and PBA registers hold an offset with the BAR number in bits 2:0. */
#define PCI_MSIX_FLAGS      0x02
#define PCI_MSIX_ENABLE     0x8000u
#define PCI_MSIX_TABLE      0x04
#define PCI_MSIX_PBA        0x08
#define PCI_MSIX_ENTRY_SIZE 16u

/* PCI Express, version 2, endpoint. */
#define PCI_EXP_FLAGS          0x02
#define PCI_EXP_FLAGS_V2       0x0002u
#define PCI_EXP_DEVCAP         0x04
#define PCI_EXP_DEVCAP_MPS_256 0x00000001u
#define PCI_EXP_DEVCAP_EXT_TAG 0x00000020u
#define PCI_EXP_DEVCAP_RBER    0x00008000u
#define PCI_EXP_DEVCAP_FLR     0x10000000u
#define PCI_EXP_DEVCTL         0x08
#define PCI_EXP_DEVCTL_RELAX   0x0010u
#define PCI_EXP_DEVCTL_PHANTOM 0x0200u
#define PCI_EXP_DEVCTL_NOSNOOP 0x0800u
#define PCI_EXP_DEVCTL_MRRS512 0x2000u
#define PCI_EXP_DEVCTL_FLR     0x8000u
#define PCI_EXP_DEVCTL_VIRTUAL 0xf0e0u /* FLR, read request and payload size: vfio-pci's own */
#define PCI_EXP_LNKCAP         0x0c
#define PCI_EXP_LNKSTA         0x12
#define PCI_EXP_LNK_GEN3_X8    0x0083u
#define PCI_EXP_DEVCAP2        0x24
#define PCI_EXP_DEVCAP2_CTO    0x00000010u /* completion timeout can be disabled */
#define PCI_EXP_DEVCTL2        0x28
#define PCI_EXP_DEVCTL2_CTO    0x0010u

/* Single Root I/O Virtualization, an extended capability (PCI Express 5.0, 9.3.3). */
#define PCI_SRIOV_AT          0x100
#define PCI_EXT_CAP_ID_SRIOV  0x0010u
#define PCI_EXT_CAP_VERSION_1 0x10000u
#define PCI_SRIOV_CTRL        0x08
#define PCI_SRIOV_CTRL_VFE    0x0001u
#define PCI_SRIOV_CTRL_MSE    0x0008u
#define PCI_SRIOV_CTRL_ARI    0x0010u
#define PCI_SRIOV_INITIAL_VFS 0x0c /* 16, TotalVFs above */
#define PCI_SRIOV_NUM_VFS     0x10 /* 16 */
#define PCI_SRIOV_OFFSET      0x14 /* 16, the stride above */
#define PCI_SRIOV_VF_DEVICE   0x1a /* 16 */
#define PCI_SRIOV_PAGE_SIZES  0x1c
#define PCI_SRIOV_PAGE_SIZE   0x20
#define PCI_SRIOV_BAR0        0x24

#endif
