/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The format x86_64: 4 and 5 levels, as CPU tables, nested page tables and I/O page tables for
 * guest translations. Facts from the AMD64 Architecture Programmer's Manual, volume 2 (24593), 5.3
 * and 5.4, which the IOMMU specification (48882), 2.2.6, refers to; reserved bits checked against
 * the kernel's reset_rsvds_bits_mask() (arch/x86/kvm/mmu/mmu.c, for AMD), bits of entries that
 * Linux writes against drivers/iommu/generic_pt/fmt/x86_64.h.
 *
 * PS makes a leaf of an entry of level 2 or 3 and is reserved above; in level 1 the bit is PAT.
 * A present entry may be read; writing and user access are ANDed over the path, NX is ORed.
 */
#include "x86_64.h"

#define FMT_SIZES  ((uint64_t)0x40201000)
#define FMT_LOWEST 4
#define FMT_LEVELS 5
#define FMT_ADDR   X86_ADDR
#define FMT_SIGNED 1
#define FMT_USABLE (X86_P | X86_US)
#define FMT_USER   CBIT_ATTR_USER

/* G is ignored in pointers of level 3 and 2; fmt_kind() knows, and nobody sets it there. */
#define FMT_CHILD_MASK (X86_P | X86_PS | X86_G)

#include "radix.h"
#include "radix_map.h"
#include "radix_unmap.h"
#include "radix_split.h"
#include "radix_dirty.h"
#include "radix_walk.h"
#include "radix_straight.h"
#include "radix_nested.h"

static inline unsigned int fmt_item_lg2(unsigned int level)
{
	return x86_item_lg2(level);
}

static inline bool fmt_single(uint64_t entry, unsigned int level)
{
	return x86_single(entry, level);
}

static inline bool fmt_plain(uint64_t entry, unsigned int level, uint64_t wide)
{
	return x86_plain(entry, level, wide);
}

static inline enum fmt_kind fmt_kind(uint64_t entry, unsigned int level, uint64_t wide)
{
	return x86_kind(entry, level, wide);
}

static inline unsigned int fmt_attrs(uint64_t entry, uint64_t c)
{
	return x86_attrs(entry, c);
}

static inline uint64_t fmt_path(uint64_t entry)
{
	return x86_path(entry);
}

static inline unsigned int fmt_path_attrs(uint64_t path)
{
	return x86_path_attrs(path);
}

static inline unsigned int fmt_level_of(unsigned int lg2)
{
	return (lg2 - CBIT_PAGE_SHIFT) / 9 + 1;
}

static inline unsigned int fmt_items(unsigned int level)
{
	(void)level;
	return 512;
}

static inline unsigned int fmt_leaf_lg2(uint64_t entry, unsigned int level)
{
	(void)entry;
	return fmt_item_lg2(level);
}

static inline unsigned int fmt_next_level(uint64_t entry, unsigned int level)
{
	(void)entry;
	return level - 1;
}

static inline uint64_t fmt_child_bits(unsigned int level)
{
	(void)level;
	return X86_P;
}

static inline uint64_t fmt_table_addr(uint64_t entry)
{
	return entry & X86_ADDR;
}

static inline uint64_t fmt_table(uint64_t spa, unsigned int level, uint64_t c)
{
	(void)level;
	return X86_P | X86_RW | X86_US | X86_A | spa | c;
}

static inline uint64_t fmt_leaf_spa(uint64_t entry, unsigned int lg2, uint64_t c)
{
	return entry & X86_ADDR & ~c & ~(radix_bytes(lg2) - 1);
}

static inline uint64_t fmt_leaf(uint64_t spa, unsigned int lg2, unsigned int item)
{
	(void)item;
	return X86_P | spa | (lg2 == CBIT_PAGE_SHIFT ? 0 : X86_PS);
}

/* READ is the leaf itself; CACHE has no bit here (the kernel ignores IOMMU_CACHE likewise). */
static inline uint64_t fmt_attr_bits(unsigned int attrs, uint64_t c)
{
	return (attrs & (CBIT_ATTR_WRITE | CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY)) |
	       (attrs & CBIT_ATTR_USER) >> 2 | (uint64_t)(attrs & CBIT_ATTR_NOEXEC) << 56 |
	       (attrs & CBIT_ATTR_ENCRYPTED ? c : 0);
}

bool cbit_x86_64_legal(const struct cbit_pt_config *cfg)
{
	return cfg->mode >= FMT_LOWEST && cfg->mode <= FMT_LEVELS && cfg->mode == cfg->max_mode;
}

static inline __attribute__((always_inline)) int map(struct cbit_pt *pt, uint64_t iova,
						     uint64_t spa, uint64_t len, unsigned int attrs,
						     struct cbit_pt_cursor *cur, uint64_t *mapped)
{
	if (!(attrs & CBIT_ATTR_READ))
		return -EINVAL;
	if ((spa + (len - 1)) & mem_view(pt->mem)->wide)
		return -ERANGE;
	if (radix_near_map(pt, iova, spa, len, attrs)) {
		*mapped = len;
		return 0;
	}
	return radix_map(pt, iova, spa, len, attrs, cur, mapped);
}

int cbit_x86_64_map(struct cbit_pt *pt, uint64_t iova, uint64_t spa, uint64_t len,
		    unsigned int attrs, uint64_t *mapped)
{
	return map(pt, iova, spa, len, attrs, NULL, mapped);
}

int cbit_x86_64_cursor_map(struct cbit_pt_cursor *cur, uint64_t iova, uint64_t spa, uint64_t len,
			   unsigned int attrs, uint64_t *mapped)
{
	return map(cur->pt, iova, spa, len, attrs, cur, mapped);
}

/* Where addresses are sign-extended, each half by itself: nothing is mapped between them. */
static uint64_t unmap_halves(struct cbit_pt *pt, uint64_t first, uint64_t last,
			     struct cbit_pt_cursor *cur)
{
	uint64_t half = radix_bytes(fmt_item_lg2(pt_top_level(pt_top(pt))) + 8);
	uint64_t removed = 0;

	if (first < half)
		removed = radix_unmap(pt, first, last < half ? last : half - 1, cur);
	if (last >= -half)
		removed += radix_unmap(pt, first > -half ? first : -half, last, cur);
	return removed;
}

uint64_t cbit_x86_64_unmap(struct cbit_pt *pt, uint64_t first, uint64_t last,
			   struct cbit_pt_cursor *cur)
{
	uint64_t len = last - first + 1;

	if (radix_near_unmap(pt, first, len))
		return len;
	return pt->cfg.sign_extend ? unmap_halves(pt, first, last, cur)
				   : radix_unmap(pt, first, last, cur);
}

void cbit_x86_64_gather_free(struct cbit_pt *pt)
{
	radix_gather_free(pt);
}

void cbit_x86_64_free_all(struct cbit_pt *pt)
{
	radix_free_all(pt);
}

int cbit_x86_64_walk(struct cbit_mem *mem, uint64_t root, unsigned int mode, uint64_t iova,
		     struct cbit_pt_leaf *leaf)
{
	return radix_straight(mem, root, mode, iova, leaf);
}

int cbit_x86_64_pt_walk(struct cbit_pt *pt, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	return radix_straight_pt(pt, iova, leaf);
}

int cbit_x86_64_walk_nested(struct cbit_mem *mem, const struct cbit_pt_nested *nested,
			    uint64_t iova, struct cbit_pt_nested_leaf *out)
{
	return radix_nested(mem, nested, iova, out);
}

int cbit_x86_64_cursor_walk(struct cbit_pt_cursor *cur, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	return radix_walk_on(cur, iova, leaf);
}

int cbit_x86_64_cut(struct cbit_pt *pt, uint64_t iova)
{
	return radix_cut(pt, iova);
}

void cbit_x86_64_dirty(struct cbit_pt *pt, uint64_t first, uint64_t last,
		       const struct cbit_pt_dirty *req)
{
	uint64_t half = radix_bytes(fmt_item_lg2(pt_top_level(pt_top(pt))) + 8);

	if (!pt->cfg.sign_extend) {
		radix_dirty(pt, first, last, req);
		return;
	}
	if (first < half)
		radix_dirty(pt, first, last < half ? last : half - 1, req);
	if (last >= -half)
		radix_dirty(pt, first > -half ? first : -half, last, req);
}

int cbit_x86_64_mark(struct cbit_mem *mem, uint64_t root, unsigned int mode, uint64_t iova,
		     unsigned int marks, struct cbit_pt_leaf *leaf)
{
	return radix_mark(mem, root, mode, iova, marks, marks & CBIT_ATTR_DIRTY, leaf);
}

uint64_t cbit_x86_64_sizes(void)
{
	return FMT_SIZES;
}
