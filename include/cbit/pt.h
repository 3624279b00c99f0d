/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pt: page tables. A format says what an entry's bits mean, the radix engine does the rest.
 * Tables live in the modelled DRAM of a struct cbit_mem.
 */
#ifndef CBIT_PT_H
#define CBIT_PT_H

#include <cbit/mem.h>

CBIT_API_BEGIN

struct cbit_pt;

/**
 * enum cbit_pt_format - what the bits of an entry mean.
 * @CBIT_PT_AMDV1:  AMD I/O page tables for host translations (v1), 48882 2.2.3. Any power of two
 *                  from 4 KiB to 2^51 but 512 GiB, 1 to 6 levels.
 * @CBIT_PT_X86_64: x86-64 tables of 4 or 5 levels with leaves of 4 KiB, 2 MiB and 1 GiB: of CPUs,
 *                  nested (NPT), and AMD I/O page tables for guest translations (v2, GCR3); 24593
 *                  5.3, 48882 2.2.6. A present leaf may be read, so none is without
 *                  CBIT_ATTR_READ. CBIT_ATTR_CACHE has no bit here. What Linux writes into v2
 *                  leaves is CBIT_ATTR_USER and ACCESSED, and DIRTY with WRITE.
 *
 * CBIT_ATTR_ENCRYPTED is the C-bit in both, CBIT_ATTR_ACCESSED and DIRTY are bits 5 and 6.
 */
enum cbit_pt_format {
	CBIT_PT_AMDV1,
	CBIT_PT_X86_64,
};

/**
 * CBIT_PT_SIGN_EXTEND - in the @mode of a walk of x86_64 tables: bits above the 48 or 57 that they
 * decode are copies of the highest of those (canonical addresses), as for a CPU, NPT apart, and for
 * DMA with a PASID other than 0. Without it they are 0 and all 48 or 57 bits count, as in
 * NPT and for DMA with PASID 0 (drivers/iommu/amd/iommu.c, amd_iommu_domain_alloc_paging_v2).
 * An address of another form is not mapped (-ENOENT).
 */
#define CBIT_PT_SIGN_EXTEND 0x100u

/**
 * struct cbit_pt_config - how a table is built.
 * @format:   entry format.
 * @mode:     levels to start with (amdv1: 1..6; Linux starts at 3; x86_64: 4 or 5).
 * @max_mode: levels to which the top may grow when an IOVA needs it (amdv1: up to 6; x86_64: @mode,
 *            for what points to such a table does not say how many it has).
 * @sign_extend: IOVAs are as CBIT_PT_SIGN_EXTEND says (x86_64 only).
 * @table_c:  set the C-bit in table pointers and keep the tables under the host key. The
 *            leaves' C-bit is separate: CBIT_ATTR_ENCRYPTED of each map call.
 * @top_changed: called when the top grew, after the new top is complete and before any entry
 *            is written below it: the owner rewrites and invalidates what points to the
 *            root (the DTE). May be NULL.
 */
struct cbit_pt_config {
	enum cbit_pt_format format;
	unsigned int mode;
	unsigned int max_mode;
	bool sign_extend;
	bool table_c;
	void (*top_changed)(void *opaque, struct cbit_pt *pt);
	void *opaque;
};

/**
 * struct cbit_pt_leaf - a leaf entry as a walk found it.
 * @iova:  start of the leaf, aligned to @size; @size in bytes (the whole contiguous run for
 *         next-level-7 entries).
 * @spa:   what @iova translates to, without the C-bit.
 * @entry: the raw 64 bits.
 * @level: level of the table that holds it (1 is the lowest).
 * @attrs: CBIT_ATTR_*; READ, WRITE, USER and NOEXEC are those of the whole path, the others
 *         those of the leaf.
 */
struct cbit_pt_leaf {
	struct cbit_iova iova;
	uint64_t size;
	struct cbit_spa spa;
	uint64_t entry;
	unsigned int level;
	unsigned int attrs;
};

/** cbit_pt_create() - an empty table. Return: 0, -EINVAL, -ENOMEM. */
int cbit_pt_create(struct cbit_mem *mem, const struct cbit_pt_config *cfg, struct cbit_pt **out);

/** cbit_pt_destroy() - free the table and all its frames. */
void cbit_pt_destroy(struct cbit_pt *pt);

/** cbit_pt_root() - SPA of the top table; cbit_pt_mode() - its level. */
struct cbit_spa cbit_pt_root(const struct cbit_pt *pt);
unsigned int cbit_pt_mode(const struct cbit_pt *pt);

/** cbit_pt_page_sizes() - bit n set: leaves of 2^n bytes exist in the format. */
uint64_t cbit_pt_page_sizes(const struct cbit_pt *pt);

/**
 * cbit_pt_map() - map a range, with the largest leaves that alignment and length allow.
 * @iova, @spa, @len: page aligned; the last byte must not wrap.
 * @attrs:  CBIT_ATTR_*.
 * @mapped: bytes entered, also on error (the caller unmaps them). May be NULL.
 * Return: 0; -EEXIST where something is mapped; -ERANGE beyond the table's reach, an SPA beyond
 * the C-bit or, for x86_64, the width of an SPA; -EINVAL for misalignment, and for x86_64 without
 * CBIT_ATTR_READ; -ENOMEM.
 * One writer at a time; walks of other ranges may go on meanwhile.
 */
int cbit_pt_map(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_spa spa, uint64_t len,
		unsigned int attrs, uint64_t *mapped);

/**
 * cbit_pt_unmap() - remove every leaf that starts in a range.
 * Leaves are never split: one that starts inside the range and reaches beyond it goes
 * wholly, one that starts before the range stays (iommu_unmap's behaviour; the callers
 * unmap what they mapped).
 * @unmapped: bytes removed. May be NULL.
 * Table frames that become empty are kept aside until cbit_pt_gather_free().
 * Return: 0, -EINVAL for misalignment or wrap.
 */
int cbit_pt_unmap(struct cbit_pt *pt, struct cbit_iova iova, uint64_t len, uint64_t *unmapped);

/**
 * cbit_pt_cut() - split leaves until none has @iova inside, that is, until one starts there or
 * nothing is mapped there. Every address keeps its translation and attributes, ACCESSED and DIRTY
 * too, at every moment; an IOTLB may go on with the larger leaf until it is invalidated.
 * @iova: page aligned.
 * Return: 0; -EINVAL for misalignment; -ENOMEM: then some leaves may have been split.
 * No counterpart in Linux 7.2, whose IOMMU tables are never split.
 */
int cbit_pt_cut(struct cbit_pt *pt, struct cbit_iova iova);

/**
 * cbit_pt_unmap_part() - cbit_pt_unmap() of exactly the range: leaves that reach beyond one of its
 * ends are split there first. Return: as cbit_pt_unmap(), or -ENOMEM with nothing unmapped.
 */
int cbit_pt_unmap_part(struct cbit_pt *pt, struct cbit_iova iova, uint64_t len, uint64_t *unmapped);

/** CBIT_PT_DIRTY_NO_CLEAR - leave the DIRTY bits as they are (IOMMU_DIRTY_NO_CLEAR). */
#define CBIT_PT_DIRTY_NO_CLEAR (1u << 0)

/**
 * struct cbit_pt_dirty - whom to tell of what was written, and how.
 * @flags: CBIT_PT_DIRTY_NO_CLEAR or 0.
 * @found: called for each run of dirty leaves, ascending, clipped to the range asked for; may
 *         be NULL. Must not call into this table.
 */
struct cbit_pt_dirty {
	unsigned int flags;
	void (*found)(void *opaque, struct cbit_iova iova, uint64_t len);
	void *opaque;
};

/**
 * cbit_pt_read_dirty() - tell of the dirty leaves of a range, and make them clean.
 * A leaf that reaches beyond the range becomes clean as a whole; what is not mapped is passed over.
 * A leaf of several entries (amdv1) is dirty if one of them is. After the call the IOTLB is
 * to be invalidated: an entry that it holds as dirty is not marked again. Walks that mark may run
 * beside: their bits are told now or stay for the next call, none is lost.
 * Return: 0; -EINVAL for misalignment or wrap. One writer at a time.
 * generic_pt/iommu_pt.h, read_and_clear_dirty(), 48882 2.2.3 (A and D of host tables), 24593 5.4.
 */
int cbit_pt_read_dirty(struct cbit_pt *pt, struct cbit_iova iova, uint64_t len,
		       const struct cbit_pt_dirty *req);

/** cbit_pt_gather_free() - free the tables set aside, once no walker can hold them. */
void cbit_pt_gather_free(struct cbit_pt *pt);

/**
 * cbit_pt_walk() - read the entry for an IOVA through modelled DRAM, as hardware would.
 * Return: 0; -ENOENT when nothing is mapped: then @leaf->iova and @leaf->size are a hole around
 * @iova in which nothing is; -EIO for an entry that hardware would refuse:
 * then @leaf->entry is that entry, or 0 when a table itself could not be read, whose SPA is
 * in @leaf->spa; @leaf->level says where.
 */
int cbit_pt_walk(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_pt_leaf *leaf);

/**
 * cbit_pt_walk_from() - the same from a root as hardware knows it.
 * @root: bus address of the top table: its C-bit says under which key to read it. Each
 *        further table is read under the C-bit of the entry that points to it.
 * @mode: level of the top table, with x86_64 perhaps CBIT_PT_SIGN_EXTEND.
 */
int cbit_pt_walk_from(struct cbit_mem *mem, enum cbit_pt_format format, struct cbit_bus root,
		      unsigned int mode, struct cbit_iova iova, struct cbit_pt_leaf *leaf);

/**
 * cbit_pt_walk_mark() - cbit_pt_walk_from() that leaves marks, as hardware does where it is told to
 * (x86_64; amdv1 with HAD in the DTE).
 * @marks: CBIT_ATTR_ACCESSED, set in every entry on the way, and for a write CBIT_ATTR_DIRTY, set
 * in the leaf: of several entries in the one that the walk read. Nothing is marked where the rights
 * refuse a read or, with CBIT_ATTR_DIRTY, a write: the caller has a fault to report. Bits are set
 * by compare and exchange: an entry that was changed meanwhile is walked for again. Return: as
 * cbit_pt_walk_from(). Any thread.
 */
int cbit_pt_walk_mark(struct cbit_mem *mem, enum cbit_pt_format format, struct cbit_bus root,
		      unsigned int mode, struct cbit_iova iova, unsigned int marks,
		      struct cbit_pt_leaf *leaf);

/** cbit_pt_iova_to_phys() - what @iova translates to. Return: as cbit_pt_walk(). */
int cbit_pt_iova_to_phys(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_spa *spa);

/**
 * struct cbit_pt_cursor - a place in a table, for lists of addresses near each other: each
 * operation starts at the lowest table that its address shares with the last one's instead of at
 * the root. Its members are this room's. Set up by cbit_pt_cursor_init(); nothing to free; not
 * to be used after the table went. Operations that do not use it may come in between, and other
 * cursors: it starts at the root then if it has to.
 */
struct cbit_pt_cursor {
	struct cbit_pt *pt;
	uint64_t iova;
	uint64_t epoch;
	unsigned int level;
	struct {
		uint64_t *table;
		uint64_t spa;
		uint64_t path;
	} at[7]; /* by level */
};

/** cbit_pt_cursor_init() - a cursor on @pt that knows no place yet. */
void cbit_pt_cursor_init(struct cbit_pt_cursor *cur, struct cbit_pt *pt);

/**
 * cbit_pt_cursor_map(), cbit_pt_cursor_unmap(), cbit_pt_cursor_walk() - as cbit_pt_map(),
 * cbit_pt_unmap() and cbit_pt_walk(). The walk is not for a thread beside the writer: it may read
 * tables that unmap has set aside.
 */
int cbit_pt_cursor_map(struct cbit_pt_cursor *cur, struct cbit_iova iova, struct cbit_spa spa,
		       uint64_t len, unsigned int attrs, uint64_t *mapped);
int cbit_pt_cursor_unmap(struct cbit_pt_cursor *cur, struct cbit_iova iova, uint64_t len,
			 uint64_t *unmapped);
int cbit_pt_cursor_walk(struct cbit_pt_cursor *cur, struct cbit_iova iova,
			struct cbit_pt_leaf *leaf);

/**
 * struct cbit_pt_nested - two stages of translation.
 * @guest_mode: levels of the guest's x86_64 tables, 4 or 5, perhaps with CBIT_PT_SIGN_EXTEND.
 * @gpa_bits:   width of a GPA: address bits above it are reserved in the guest's entries (12..52).
 * @guest_root: GPA of the guest's top table (GCR3, CR3).
 * @guest_c:    the guest's C-bit as a mask, for a CPU that strips it before the second stage; 0
 *              for an IOMMU, to which it is an address bit like any other: a guest that sets it in
 * an entry sends the IOMMU to a GPA that the second stage does not have.
 * @host_format, @host_mode, @host_root: the second stage, as in cbit_pt_walk_from(). It says where
 *              each GPA is and under which key it is read, tables of the guest included.
 */
struct cbit_pt_nested {
	unsigned int guest_mode;
	unsigned int gpa_bits;
	uint64_t guest_root;
	uint64_t guest_c;
	enum cbit_pt_format host_format;
	unsigned int host_mode;
	struct cbit_bus host_root;
};

/**
 * struct cbit_pt_nested_leaf - what a walk of two stages found.
 * @leaf:  of both: the smaller size, READ, WRITE, ACCESSED and DIRTY where both have them, NOEXEC
 *         where either has it, USER of the first, ENCRYPTED and CACHE of the second; @entry and
 *         @level are the second stage's.
 * @guest_entry, @guest_level: leaf of the first stage.
 * @gpa:   what @leaf.iova is in between.
 * @stage: 0.
 *
 * On failure @stage says which failed, and @gpa where: stage 1, the entry of @guest_level that is
 * missing or refused, which @leaf describes as cbit_pt_walk() does; stage 2, an entry of
 * @guest_level, or the page itself (@guest_level 0, @guest_entry its leaf) whose GPA has no
 * translation: then @leaf.entry and @leaf.level are the second stage's, and @leaf.iova and
 * @leaf.size are addresses for which the same holds.
 */
struct cbit_pt_nested_leaf {
	struct cbit_pt_leaf leaf;
	uint64_t guest_entry;
	uint64_t gpa;
	unsigned int guest_level;
	unsigned int stage;
};

/**
 * cbit_pt_walk_nested() - read what both stages say of an address (a GVA, or an IOVA of a guest),
 * as hardware would: every entry of the first at a GPA that the second translates.
 * @nested: not changed; may be built on the spot.
 * Return: 0; -ENOENT where a stage has nothing; -EACCES where the second does not let an entry of
 * the first be read; -EIO for an entry that hardware would refuse, or a table that is not in
 * memory: then @leaf.entry is 0 and @leaf.spa its SPA. Any thread. 48882 2.2.6, 24593 15.25.
 */
int cbit_pt_walk_nested(struct cbit_mem *mem, const struct cbit_pt_nested *nested,
			struct cbit_iova iova, struct cbit_pt_nested_leaf *out);

CBIT_API_END

#endif
