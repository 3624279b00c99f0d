/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A policy as switches, for the files of this room.
 */
#ifndef CBIT_POLICY_INTERNAL_H
#define CBIT_POLICY_INTERNAL_H

#include <cbit/policy.h>

/**
 * struct cbit_policy - a kernel's behaviour as switches.
 * @type1_passes_mmio:   type1 passes IOMMU_MMIO for PFN maps.
 * @format_honours_mmio: the page-table format leaves the C-bit off for IOMMU_MMIO.
 * @mmio_leaks:          the flag is kept in the call's own prot: see "posted-mmio".
 * @phys_attrs:          there is dma_map_phys() with DMA_ATTR_MMIO, CC_SHARED, REQUIRE_COHERENT;
 *                       before, dma_map_resource() stands for DMA_ATTR_MMIO.
 * @mmio_unforced:       a device's window is mapped where bouncing is forced.
 * @sees_pages:          what a page is decides, and not only what the caller says of it.
 * @iommu_bounces:       behind an IOMMU, too, a confidential guest bounces what is private.
 * @iommu_shared_clear:  entries of pages that the kernel maps with the C-bit clear have it clear.
 * @tables_shared:       an IOMMU's tables and rings in a confidential guest are shared pages.
 * @tdisp:               a device in TDISP run state is let at private memory.
 */
struct cbit_policy {
	const char *name;
	const char *about;
	bool type1_passes_mmio;
	bool format_honours_mmio;
	bool mmio_leaks;
	bool phys_attrs;
	bool mmio_unforced;
	bool sees_pages;
	bool iommu_bounces;
	bool iommu_shared_clear;
	bool tables_shared;
	bool tdisp;
};

#endif
