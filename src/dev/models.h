/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device models that there are, and what "cbit devices" says of each.
 */
#ifndef CBIT_DEV_MODELS_H
#define CBIT_DEV_MODELS_H

#include "pci_internal.h"

extern const struct pci_model pci_dsa_model;
extern const struct pci_model pci_ioat_model;
extern const struct pci_model pci_nvme_model;

#define PCI_IOAT_HELP                                                                        \
	"ioat     Intel I/OAT copy engine (8086:2021), driven by Linux and DPDK\n"           \
	"         membar=SIZE   plain memory in BAR2, a power of two from 64K to 64G\n"      \
	"         version=V     0x32, 0x33 (default) or 0x34; DPDK tests errors with "       \
	"0x34\n"                                                                             \
	"         sriov=N       1 to 16 virtual functions, each with an engine of its own\n" \
	"         migration=on  the state can be moved, and the pages DMA writes to be logged\n"

#define PCI_DSA_HELP                                                                      \
	"dsa      Intel Data Streaming Accelerator (8086:0b25), dedicated queues\n"       \
	"         maxcopy=SIZE  largest transfer, a power of two from 4K to 2G (default " \
	"2G)\n"                                                                           \
	"         sriov=N       as for ioat\n"

#define PCI_NVME_HELP                                                                              \
	"nvme     NVM Express 1.4 controller (1b36:0010)\n"                                        \
	"         file=PATH     a namespace in a file or block device; may be repeated\n"          \
	"         size=SIZE     without file=: a namespace in memory (default 1G)\n"               \
	"         block=B       512 (default) or 4096, of the file= before it, else of all\n"      \
	"         cmb=SIZE      controller memory buffer in BAR2, a power of two from 64K to "     \
	"64G\n"                                                                                    \
	"         pmr=SIZE      persistent memory region in BAR4, a power of two from 64K to "     \
	"64G\n"                                                                                    \
	"         pmr-file=PATH the region in a file or block device (default size: the file's)\n" \
	"         sriov=N       as for ioat; all functions have the same namespaces\n"

#endif
