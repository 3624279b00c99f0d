/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page table object as the files of this room share it, and the entry points a format
 * exports to the dispatcher in pt.c.
 */
#ifndef CBIT_PT_INTERNAL_H
#define CBIT_PT_INTERNAL_H

#include <cbit/pt.h>

#include "../mem/view.h"

/* Tables kept for the next that is needed: three are what one page far from others takes. */
#define PT_SPARES 8

/*
 * A table used a while ago, see radix_near.h: of the level and the IOVAs in @tag, 0 for none.
 * 64 cover 128 MiB in 4 KiB leaves.
 */
#define PT_NEAR 64

struct pt_near {
	uint64_t tag;
	uint64_t *table;
	struct mem_page *page;
};

/*
 * @top: SPA of the top table with its mode in the low bits: one word, so that a walker which
 *       runs while the top grows sees either the old pair or the new one.
 * @table_c: the C-bit as pointers to tables have it, 0 where they do not.
 * @one_key: see mem_view_one_key(), for the key of the tables.
 * @gather: first table set aside by unmap (see radix_set_aside()), 0 when there is none; @gathered
 * of them.
 * @mark:   see pt_holder().
 * @want:   mem_page_view() of a table.
 * @epoch:  how often a table was set aside or the top grew: cursors made before are void.
 * @near_used: anything in @near.
 * @spare:  SPAs of frames that no table uses at present, @spares of them.
 */
struct cbit_pt {
	struct cbit_mem *mem;
	struct cbit_pt_config cfg;
	uint64_t c_mask;
	uint64_t top;
	uint64_t table_c;
	const uint64_t *one_key;
	uint64_t gather;
	uint64_t gathered;
	uint64_t epoch;
	uint64_t spare[PT_SPARES];
	unsigned int spares;
	uint32_t want;
	uint16_t mark;
	bool near_used;
	struct pt_near near[PT_NEAR];
};

/* The mode is a level and CBIT_PT_SIGN_EXTEND. */
#define PT_TOP_MODE ((uint64_t)0xfff)
#define PT_LEVELS   0xffu

static inline uint64_t pt_top_spa(uint64_t top)
{
	return top & ~PT_TOP_MODE;
}

static inline unsigned int pt_top_mode(uint64_t top)
{
	return (unsigned int)(top & PT_TOP_MODE);
}

static inline unsigned int pt_top_level(uint64_t top)
{
	return (unsigned int)top & PT_LEVELS;
}

static inline uint64_t pt_top(const struct cbit_pt *pt)
{
	return __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE);
}

static inline uint64_t *pt_table(const struct cbit_pt *pt, uint64_t spa)
{
	return mem_view_page(mem_view(pt->mem), pt->mem, spa | pt->table_c);
}

/*
 * Entries present in the table at @spa, kept beside DRAM so that nobody counts them; NULL
 * where there is no room for that. A device that writes into a table makes it wrong: believe
 * it when it says that a table is not empty, look when it says that one is.
 */
static inline int16_t *pt_live(const struct mem_view *view, uint64_t spa)
{
	struct mem_page *page = mem_view_frame(view, spa);

	return page ? &page->note : NULL;
}

/*
 * Whose table of which level a frame is: beside DRAM, so that a device which writes pointers into
 * a table cannot make the writer take other frames for its own, nor one of its own twice.
 */
static inline uint16_t pt_holder(const struct cbit_pt *pt, unsigned int level)
{
	return (uint16_t)(pt->mark | level);
}

/* Where there is no room for the mark, whatever a pointer leads to is taken for ours. */
static inline void pt_hold(const struct cbit_pt *pt, uint64_t spa, uint16_t holder)
{
	struct mem_page *page = mem_view_frame(mem_view(pt->mem), spa);

	if (page)
		page->holder = holder;
}

static inline bool pt_holds(const struct cbit_pt *pt, const struct mem_view *view, uint64_t spa,
			    unsigned int level)
{
	const struct mem_page *page = mem_view_frame(view, spa);

	return !page || page->holder == pt_holder(pt, level);
}

/*
 * pt_frame_alloc() - a zeroed table of @level under the key that the table's pointers will
 * select, and its SPA in *@spa. Return: 0, -ENOMEM.
 */
int pt_frame_alloc(struct cbit_pt *pt, unsigned int level, uint64_t *spa, uint64_t **table);
/* pt_frame_free() - keep a frame for the next pt_frame_alloc(), or give it back. */
void pt_frame_free(struct cbit_pt *pt, uint64_t spa);

/* What an entry is. */
enum fmt_kind {
	FMT_EMPTY,
	FMT_LEAF,
	FMT_TABLE,
	FMT_BAD,
};

/* The operations of a format; arguments have been checked by pt.c. @last is inclusive,
 * @cur NULL for none. */
#define PT_FORMAT(name)                                                                          \
	bool cbit_##name##_legal(const struct cbit_pt_config *cfg);                              \
	int cbit_##name##_map(struct cbit_pt *pt, uint64_t iova, uint64_t spa, uint64_t len,     \
			      unsigned int attrs, uint64_t *mapped);                             \
	int cbit_##name##_cursor_map(struct cbit_pt_cursor *cur, uint64_t iova, uint64_t spa,    \
				     uint64_t len, unsigned int attrs, uint64_t *mapped);        \
	uint64_t cbit_##name##_unmap(struct cbit_pt *pt, uint64_t first, uint64_t last,          \
				     struct cbit_pt_cursor *cur);                                \
	void cbit_##name##_gather_free(struct cbit_pt *pt);                                      \
	void cbit_##name##_free_all(struct cbit_pt *pt);                                         \
	int cbit_##name##_walk(struct cbit_mem *mem, uint64_t root, unsigned int mode,           \
			       uint64_t iova, struct cbit_pt_leaf *leaf);                        \
	int cbit_##name##_pt_walk(struct cbit_pt *pt, uint64_t iova, struct cbit_pt_leaf *leaf); \
	int cbit_##name##_mark(struct cbit_mem *mem, uint64_t root, unsigned int mode,           \
			       uint64_t iova, unsigned int marks, struct cbit_pt_leaf *leaf);    \
	int cbit_##name##_cursor_walk(struct cbit_pt_cursor *cur, uint64_t iova,                 \
				      struct cbit_pt_leaf *leaf);                                \
	int cbit_##name##_cut(struct cbit_pt *pt, uint64_t iova);                                \
	void cbit_##name##_dirty(struct cbit_pt *pt, uint64_t first, uint64_t last,              \
				 const struct cbit_pt_dirty *req);                               \
	int cbit_##name##_walk_nested(struct cbit_mem *mem, const struct cbit_pt_nested *nested, \
				      uint64_t iova, struct cbit_pt_nested_leaf *out);           \
	uint64_t cbit_##name##_sizes(void);

PT_FORMAT(amdv1)
PT_FORMAT(x86_64)

#endif
