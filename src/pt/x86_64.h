/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entries of x86_64 tables: for the format itself (x86_64.c) and for the first stage of a walk
 * whose second stage may be of another format (radix_nested.h). Sources: see x86_64.c.
 */
#ifndef CBIT_PT_X86_64_H
#define CBIT_PT_X86_64_H

#include "internal.h"

#define X86_P    ((uint64_t)1 << 0)
#define X86_RW   ((uint64_t)1 << 1)
#define X86_US   ((uint64_t)1 << 2)
#define X86_A    ((uint64_t)1 << 5)
#define X86_D    ((uint64_t)1 << 6)
#define X86_PS   ((uint64_t)1 << 7)
#define X86_G    ((uint64_t)1 << 8) /* leaves only; reserved in levels 4 and 5 */
#define X86_ADDR ((uint64_t)0x000ffffffffff000)
#define X86_NX   ((uint64_t)1 << 63)

_Static_assert(X86_P == CBIT_ATTR_READ && X86_RW == CBIT_ATTR_WRITE, "bits as they are");
_Static_assert(X86_A == CBIT_ATTR_ACCESSED && X86_D == CBIT_ATTR_DIRTY, "bits as they are");
_Static_assert(X86_US == CBIT_ATTR_USER >> 2, "US is a bit to shift");
_Static_assert(X86_NX == (uint64_t)CBIT_ATTR_NOEXEC << 56, "NX is a bit to shift");

static inline unsigned int x86_item_lg2(unsigned int level)
{
	return CBIT_PAGE_SHIFT + 9 * (level - 1);
}

/* Address bits below the size of a leaf. Bit 12 is PAT there, in leaves of level 1 an address. */
static inline uint64_t x86_unaligned(unsigned int level)
{
	return (((uint64_t)1 << x86_item_lg2(level)) - 1) & X86_ADDR & ~CBIT_PAGE_SIZE;
}

static inline bool x86_single(uint64_t entry, unsigned int level)
{
	return level == 1 ? entry & X86_P
			  : level < 4 && (entry & (X86_P | X86_PS)) == (X86_P | X86_PS);
}

static inline bool x86_plain(uint64_t entry, unsigned int level, uint64_t wide)
{
	return x86_single(entry, level) && !(entry & ((wide & X86_ADDR) | x86_unaligned(level)));
}

static inline enum fmt_kind x86_kind(uint64_t entry, unsigned int level, uint64_t wide)
{
	if (!(entry & X86_P))
		return FMT_EMPTY;
	if (x86_single(entry, level))
		return x86_plain(entry, level, wide) ? FMT_LEAF : FMT_BAD;
	if (entry & wide & X86_ADDR || (level > 3 && entry & (X86_PS | X86_G)))
		return FMT_BAD;
	return FMT_TABLE;
}

static inline unsigned int x86_attrs(uint64_t entry, uint64_t c)
{
	return (unsigned int)(entry & (CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY)) |
	       (entry & c ? CBIT_ATTR_ENCRYPTED : 0);
}

static inline uint64_t x86_path(uint64_t entry)
{
	return entry ^ X86_NX;
}

static inline unsigned int x86_path_attrs(uint64_t path)
{
	return (unsigned int)(path & CBIT_ATTR_RW) | (unsigned int)(path & X86_US) << 2 |
	       (unsigned int)(~path >> 56 & CBIT_ATTR_NOEXEC);
}

#endif
