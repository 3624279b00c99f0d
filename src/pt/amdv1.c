/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The format amdv1: I/O page tables for host translations. Facts from the AMD I/O
 * Virtualization Technology (IOMMU) Specification, section 2.2.3, checked against tables that
 * Linux 7.2 wrote (tests/unit/test_pt.c has samples).
 *
 * A leaf of its level's own size has NextLevel 0. Any other power of two has NextLevel 7 and
 * codes its size in the address: 2^n bytes are ones from bit 12 to n-2 and a zero at n-1,
 * repeated in every entry the leaf spans. The C-bit is an ordinary address bit to that rule;
 * pt.c keeps leaves below it, so the run of ones never meets it.
 */
#define AMDV1_PR         ((uint64_t)1 << 0)
#define AMDV1_A          ((uint64_t)1 << 5)
#define AMDV1_D          ((uint64_t)1 << 6)
#define AMDV1_NEXT_SHIFT 9
#define AMDV1_NEXT_MASK  ((uint64_t)7)
#define AMDV1_ADDR       ((uint64_t)0x000ffffffffff000)
#define AMDV1_FC         ((uint64_t)1 << 60)
#define AMDV1_IR         ((uint64_t)1 << 61)
#define AMDV1_IW         ((uint64_t)1 << 62)
#define AMDV1_NEXT_CODED 7

/* 4 KiB to 2^51 without 512 GiB, which Linux never writes (a processor erratum). */
#define FMT_SIZES  ((uint64_t)0x000fff7ffffff000)
#define FMT_LOWEST 1
#define FMT_LEVELS 6
#define FMT_ADDR   AMDV1_ADDR
#define FMT_SIGNED 0
#define FMT_USABLE AMDV1_IR
#define FMT_USER   0

#define FMT_CHILD_MASK (AMDV1_PR | AMDV1_NEXT_MASK << AMDV1_NEXT_SHIFT)

#include "radix.h"
#include "radix_map.h"
#include "radix_unmap.h"
#include "radix_split.h"
#include "radix_dirty.h"
#include "radix_walk.h"
#include "radix_straight.h"
#include "radix_nested.h"

_Static_assert((FMT_SIZES & ((uint64_t)1 << 39)) == 0, "512 GiB leaves are not written");
_Static_assert(AMDV1_IR == (uint64_t)CBIT_ATTR_READ << 61, "rights are two bits to shift");
_Static_assert(AMDV1_IW == (uint64_t)CBIT_ATTR_WRITE << 61, "rights are two bits to shift");
_Static_assert(AMDV1_FC == (uint64_t)CBIT_ATTR_CACHE << 57, "FC is a bit to shift");
_Static_assert(AMDV1_A == CBIT_ATTR_ACCESSED && AMDV1_D == CBIT_ATTR_DIRTY, "bits as they are");
_Static_assert(FMT_SIZES >> 52 == 0 && FMT_SIZES >> 51 == 1, "the largest leaf is 2^51");

static inline unsigned int fmt_item_lg2(unsigned int level)
{
	return CBIT_PAGE_SHIFT + 9 * (level - 1);
}

static inline unsigned int fmt_level_of(unsigned int lg2)
{
	return (lg2 - CBIT_PAGE_SHIFT) / 9 + 1;
}

static inline unsigned int fmt_items(unsigned int level)
{
	return level == FMT_LEVELS ? 128 : 512;
}

static inline unsigned int fmt_next_level(uint64_t entry, unsigned int level)
{
	(void)level;
	return (unsigned int)(entry >> AMDV1_NEXT_SHIFT & AMDV1_NEXT_MASK);
}

static inline unsigned int fmt_leaf_lg2(uint64_t entry, unsigned int level)
{
	uint64_t field;

	if (!fmt_next_level(entry, level))
		return fmt_item_lg2(level);
	field = (entry & AMDV1_ADDR) >> CBIT_PAGE_SHIFT;
	return CBIT_PAGE_SHIFT + 1 + (unsigned int)__builtin_ctzll(~field);
}

static inline enum fmt_kind fmt_kind(uint64_t entry, unsigned int level, uint64_t wide)
{
	unsigned int next = fmt_next_level(entry, level);
	unsigned int lg2, item;

	(void)wide; /* no IOMMU checks it: such a table or page is one that nothing decodes */
	if (!(entry & AMDV1_PR))
		return FMT_EMPTY;
	if (next && next < level)
		return FMT_TABLE;
	/* The top level holds no leaves. 512 GiB is legal to the specification: walk it. */
	if (level == FMT_LEVELS || (next && next != AMDV1_NEXT_CODED))
		return FMT_BAD;
	item = fmt_item_lg2(level);
	lg2 = fmt_leaf_lg2(entry, level);
	return lg2 >= item && lg2 < item + 9 && lg2 < 52 ? FMT_LEAF : FMT_BAD;
}

static inline bool fmt_single(uint64_t entry, unsigned int level)
{
	return (entry & FMT_CHILD_MASK) == AMDV1_PR && level != FMT_LEVELS;
}

static inline bool fmt_plain(uint64_t entry, unsigned int level, uint64_t wide)
{
	(void)wide;
	return fmt_single(entry, level);
}

static inline uint64_t fmt_child_bits(unsigned int level)
{
	return AMDV1_PR | (uint64_t)(level - 1) << AMDV1_NEXT_SHIFT;
}

static inline uint64_t fmt_table_addr(uint64_t entry)
{
	return entry & AMDV1_ADDR;
}

static inline uint64_t fmt_table(uint64_t spa, unsigned int level, uint64_t c)
{
	/* Rights are ANDed over the levels: a table lets all pass, the leaf decides. */
	return AMDV1_PR | (uint64_t)level << AMDV1_NEXT_SHIFT | spa | c | AMDV1_IR | AMDV1_IW;
}

static inline uint64_t fmt_leaf_spa(uint64_t entry, unsigned int lg2, uint64_t c)
{
	return entry & AMDV1_ADDR & ~c & ~(radix_bytes(lg2) - 1);
}

static inline uint64_t fmt_leaf(uint64_t spa, unsigned int lg2, unsigned int item)
{
	if (lg2 == item)
		return AMDV1_PR | spa;
	return AMDV1_PR | (uint64_t)AMDV1_NEXT_CODED << AMDV1_NEXT_SHIFT | spa |
	       (radix_bytes(lg2 - 1) - CBIT_PAGE_SIZE);
}

static inline uint64_t fmt_attr_bits(unsigned int attrs, uint64_t c)
{
	return (attrs & CBIT_ATTR_READ ? AMDV1_IR : 0) | (attrs & CBIT_ATTR_WRITE ? AMDV1_IW : 0) |
	       (attrs & CBIT_ATTR_CACHE ? AMDV1_FC : 0) | (attrs & CBIT_ATTR_ENCRYPTED ? c : 0) |
	       (attrs & (CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY));
}

static inline unsigned int fmt_attrs(uint64_t entry, uint64_t c)
{
	return (unsigned int)(entry >> 57 & CBIT_ATTR_CACHE) |
	       (unsigned int)(entry & (CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY)) |
	       (entry & c ? CBIT_ATTR_ENCRYPTED : 0);
}

static inline uint64_t fmt_path(uint64_t entry)
{
	return entry;
}

static inline unsigned int fmt_path_attrs(uint64_t path)
{
	return (unsigned int)(path >> 61 & CBIT_ATTR_RW);
}

bool cbit_amdv1_legal(const struct cbit_pt_config *cfg)
{
	return cfg->mode >= FMT_LOWEST && cfg->mode <= cfg->max_mode &&
	       cfg->max_mode <= FMT_LEVELS && !cfg->sign_extend;
}

static inline __attribute__((always_inline)) int map(struct cbit_pt *pt, uint64_t iova,
						     uint64_t spa, uint64_t len, unsigned int attrs,
						     struct cbit_pt_cursor *cur, uint64_t *mapped)
{
	if (radix_near_map(pt, iova, spa, len, attrs)) {
		*mapped = len;
		return 0;
	}
	return radix_map(pt, iova, spa, len, attrs, cur, mapped);
}

int cbit_amdv1_map(struct cbit_pt *pt, uint64_t iova, uint64_t spa, uint64_t len,
		   unsigned int attrs, uint64_t *mapped)
{
	return map(pt, iova, spa, len, attrs, NULL, mapped);
}

int cbit_amdv1_cursor_map(struct cbit_pt_cursor *cur, uint64_t iova, uint64_t spa, uint64_t len,
			  unsigned int attrs, uint64_t *mapped)
{
	return map(cur->pt, iova, spa, len, attrs, cur, mapped);
}

uint64_t cbit_amdv1_unmap(struct cbit_pt *pt, uint64_t first, uint64_t last,
			  struct cbit_pt_cursor *cur)
{
	uint64_t len = last - first + 1;

	return radix_near_unmap(pt, first, len) ? len : radix_unmap(pt, first, last, cur);
}

void cbit_amdv1_gather_free(struct cbit_pt *pt)
{
	radix_gather_free(pt);
}

void cbit_amdv1_free_all(struct cbit_pt *pt)
{
	radix_free_all(pt);
}

int cbit_amdv1_walk(struct cbit_mem *mem, uint64_t root, unsigned int mode, uint64_t iova,
		    struct cbit_pt_leaf *leaf)
{
	return radix_straight(mem, root, mode, iova, leaf);
}

int cbit_amdv1_pt_walk(struct cbit_pt *pt, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	return radix_straight_pt(pt, iova, leaf);
}

int cbit_amdv1_walk_nested(struct cbit_mem *mem, const struct cbit_pt_nested *nested, uint64_t iova,
			   struct cbit_pt_nested_leaf *out)
{
	return radix_nested(mem, nested, iova, out);
}

int cbit_amdv1_cursor_walk(struct cbit_pt_cursor *cur, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	return radix_walk_on(cur, iova, leaf);
}

int cbit_amdv1_cut(struct cbit_pt *pt, uint64_t iova)
{
	return radix_cut(pt, iova);
}

void cbit_amdv1_dirty(struct cbit_pt *pt, uint64_t first, uint64_t last,
		      const struct cbit_pt_dirty *req)
{
	radix_dirty(pt, first, last, req);
}

int cbit_amdv1_mark(struct cbit_mem *mem, uint64_t root, unsigned int mode, uint64_t iova,
		    unsigned int marks, struct cbit_pt_leaf *leaf)
{
	return radix_mark(mem, root, mode, iova, marks, marks & CBIT_ATTR_DIRTY, leaf);
}

uint64_t cbit_amdv1_sizes(void)
{
	return FMT_SIZES;
}
