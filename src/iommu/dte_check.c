/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which device table entries are legal (AMD I/O Virtualization Technology Specification,
 * sections 2.2.2.1 and 2.5.2): reserved bits, reserved encodings, and fields of features that
 * the IOMMU does not have.
 *
 * An entry has two halves, each with a valid bit of its own: quadwords 0 and 1 for DMA (V), 2
 * and 3 for interrupts (IV). What the valid bit of a half says is not there is not looked at.
 */
#include "internal.h"

static unsigned int field(uint64_t word, uint64_t mask, unsigned int shift)
{
	return (unsigned int)((word & mask) >> shift);
}

/* Bits that are reserved in quadwords 0 and 1 for want of a feature. */
static bool lacks_feature(const uint64_t dte[4], uint64_t efr)
{
	uint64_t bad0 = CBIT_VI_DTE0_RESERVED, bad1 = CBIT_VI_DTE1_RESERVED;

	if (!(efr & (CBIT_VI_EFR_PPR | CBIT_VI_EFR_EPH)))
		bad0 |= CBIT_VI_DTE0_PPR;
	if (!(efr & CBIT_VI_EFR_GIO))
		bad0 |= CBIT_VI_DTE0_GIOV;
	if (!(efr & CBIT_VI_EFR_GT)) {
		bad0 |= CBIT_VI_DTE0_GV | CBIT_VI_DTE0_GLX | CBIT_VI_DTE0_GCR3;
		bad1 |= CBIT_VI_DTE1_GCR3;
	}
	return dte[0] & bad0 || dte[1] & bad1;
}

/* HAD: 0 none, 1 accessed bits, 3 accessed and dirty bits; 2 is reserved. */
static bool had_legal(uint64_t word0, uint64_t efr)
{
	switch (field(word0, CBIT_VI_DTE0_HAD, CBIT_VI_DTE0_HAD_SHIFT)) {
	case 0:
		return true;
	case 1:
		return efr & CBIT_VI_EFR_HA;
	case 3:
		return efr & CBIT_VI_EFR_HA && efr & CBIT_VI_EFR_HD;
	default:
		return false;
	}
}

static enum cbit_dte_verdict check_dma(const uint64_t dte[4], uint64_t efr)
{
	unsigned int levels = 4 + field(efr, CBIT_VI_EFR_HATS, CBIT_VI_EFR_HATS_SHIFT);
	unsigned int glx_max = field(efr, CBIT_VI_EFR_GLX, CBIT_VI_EFR_GLX_SHIFT);

	if (!(dte[0] & CBIT_VI_DTE0_V))
		return CBIT_DTE_LEGAL;
	if (lacks_feature(dte, efr) || (dte[1] >> CBIT_VI_DTE1_IOCTL_SHIFT & 3) == 3)
		return CBIT_DTE_RESERVED;
	/* The fields of a translation that is not there have no meaning. */
	if (!(dte[0] & CBIT_VI_DTE0_TV))
		return CBIT_DTE_LEGAL;
	if (!had_legal(dte[0], efr))
		return CBIT_DTE_RESERVED;
	if (levels > 6)
		levels = 6;
	if (field(dte[0], CBIT_VI_DTE0_MODE, CBIT_VI_DTE0_MODE_SHIFT) > levels)
		return CBIT_DTE_LEVEL;
	if (!(dte[0] & CBIT_VI_DTE0_GV))
		return dte[0] & CBIT_VI_DTE0_GIOV ? CBIT_DTE_RESERVED : CBIT_DTE_LEGAL;
	if (glx_max > 2)
		glx_max = 2;
	if (field(dte[0], CBIT_VI_DTE0_GLX, CBIT_VI_DTE0_GLX_SHIFT) > glx_max ||
	    field(dte[2], CBIT_VI_DTE2_GUEST_PAGING, CBIT_VI_DTE2_GPM_SHIFT) >
		    field(efr, CBIT_VI_EFR_GATS, CBIT_VI_EFR_GATS_SHIFT))
		return CBIT_DTE_LEVEL;
	return CBIT_DTE_LEGAL;
}

static enum cbit_dte_verdict check_interrupts(const uint64_t dte[4], uint64_t efr)
{
	uint64_t bad = CBIT_VI_DTE2_RESERVED;

	if (!(dte[2] & CBIT_VI_DTE2_IV))
		return CBIT_DTE_LEGAL;
	if (!(efr & CBIT_VI_EFR_GT))
		bad |= CBIT_VI_DTE2_GUEST_PAGING;
	if (dte[2] & bad || dte[3] & CBIT_VI_DTE3_RESERVED ||
	    (dte[2] >> CBIT_VI_DTE2_INTCTL_SHIFT & 3) == 3 ||
	    (dte[2] >> CBIT_VI_DTE2_LEN_SHIFT & 0xf) > CBIT_VI_DTE2_LEN_MAX)
		return CBIT_DTE_RESERVED;
	return CBIT_DTE_LEGAL;
}

enum cbit_dte_verdict cbit_dte_check(const uint64_t dte[4], uint64_t efr, bool interrupt)
{
	return interrupt ? check_interrupts(dte, efr) : check_dma(dte, efr);
}
