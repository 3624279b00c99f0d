/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public face of the room: arguments are checked here, then the format does the work.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

int pt_frame_alloc(struct cbit_pt *pt, unsigned int level, uint64_t *spa, uint64_t **table)
{
	cbit_key_t key = pt->table_c ? CBIT_KEY_HOST : CBIT_KEY_NONE;
	struct cbit_spa frame;
	int16_t *live;
	int err;

	if (pt->spares) {
		/* Zeroed now: DRAM is open to every device's mistakes in the meantime. */
		frame.v = pt->spare[--pt->spares];
		*table = pt_table(pt, frame.v);
		if (*table)
			memset(*table, 0, CBIT_PAGE_SIZE);
	} else {
		err = cbit_mem_frames_alloc(pt->mem, 1, key, &frame);
		if (err)
			return err;
		*table = pt_table(pt, frame.v);
	}
	if (!*table) {
		cbit_mem_frames_free(pt->mem, frame, 1);
		return -ENOMEM;
	}
	mem_view_watch(mem_view(pt->mem), frame.v);
	live = pt_live(mem_view(pt->mem), frame.v);
	if (live)
		*live = 0;
	pt_hold(pt, frame.v, pt_holder(pt, level));
	*spa = frame.v;
	return 0;
}

void pt_frame_free(struct cbit_pt *pt, uint64_t spa)
{
	if (pt->spares < PT_SPARES)
		pt->spare[pt->spares++] = spa;
	else
		cbit_mem_frames_free(pt->mem, CBIT_SPA(spa), 1);
}

static bool legal(const struct cbit_pt_config *cfg)
{
	switch (cfg->format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_legal(cfg);
	case CBIT_PT_X86_64:
		return cbit_x86_64_legal(cfg);
	}
	return false;
}

int cbit_pt_create(struct cbit_mem *mem, const struct cbit_pt_config *cfg, struct cbit_pt **out)
{
	uint64_t root, *table;
	struct cbit_pt *pt;
	int err;

	if (!legal(cfg))
		return -EINVAL;
	pt = calloc(1, sizeof(*pt));
	if (!pt)
		return -ENOMEM;
	pt->mem = mem;
	pt->cfg = *cfg;
	pt->c_mask = cbit_platform_c_mask(cbit_mem_platform(mem));
	pt->table_c = cfg->table_c ? pt->c_mask : 0;
	pt->one_key = mem_view_one_key_of(mem_view(mem), pt->table_c);
	/* any number but 0 that others rarely have, with room for a level */
	pt->mark = (uint16_t)(((uintptr_t)pt * 0x9e3779b97f4a7c15u >> 48 | 8) & ~UINT64_C(7));
	err = pt_frame_alloc(pt, cfg->mode, &root, &table);
	if (err) {
		free(pt);
		return err;
	}
	pt->want = pt->table_c ? mem_view(mem)->want_c : mem_view(mem)->want;
	pt->top = root | cfg->mode | (cfg->sign_extend ? CBIT_PT_SIGN_EXTEND : 0);
	*out = pt;
	return 0;
}

void cbit_pt_destroy(struct cbit_pt *pt)
{
	if (!pt)
		return;
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		cbit_amdv1_free_all(pt);
		break;
	case CBIT_PT_X86_64:
		cbit_x86_64_free_all(pt);
		break;
	}
	while (pt->spares)
		cbit_mem_frames_free(pt->mem, CBIT_SPA(pt->spare[--pt->spares]), 1);
	free(pt);
}

struct cbit_spa cbit_pt_root(const struct cbit_pt *pt)
{
	return CBIT_SPA(pt_top_spa(pt_top(pt)));
}

unsigned int cbit_pt_mode(const struct cbit_pt *pt)
{
	return pt_top_level(pt_top(pt));
}

uint64_t cbit_pt_page_sizes(const struct cbit_pt *pt)
{
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_sizes();
	case CBIT_PT_X86_64:
		return cbit_x86_64_sizes();
	}
	return 0;
}

static bool aligned(uint64_t v)
{
	return !(v & ~CBIT_PAGE_MASK);
}

static int check_map(const struct cbit_pt *pt, uint64_t iova, uint64_t spa, uint64_t len)
{
	/* An SPA that reached the C-bit would be another address with the attribute set. */
	uint64_t spa_end = pt->c_mask ? pt->c_mask : (uint64_t)1 << 52;

	if (!len || !aligned(iova | spa | len) || iova + (len - 1) < iova)
		return -EINVAL;
	return spa >= spa_end || len > spa_end - spa ? -ERANGE : 0;
}

int cbit_pt_map(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_spa spa, uint64_t len,
		unsigned int attrs, uint64_t *mapped)
{
	int err = check_map(pt, iova.v, spa.v, len);
	uint64_t dummy;

	if (!mapped)
		mapped = &dummy;
	*mapped = 0;
	if (err)
		return err;
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_map(pt, iova.v, spa.v, len, attrs, mapped);
	case CBIT_PT_X86_64:
		return cbit_x86_64_map(pt, iova.v, spa.v, len, attrs, mapped);
	}
	return -EINVAL;
}

int cbit_pt_cursor_map(struct cbit_pt_cursor *cur, struct cbit_iova iova, struct cbit_spa spa,
		       uint64_t len, unsigned int attrs, uint64_t *mapped)
{
	int err = check_map(cur->pt, iova.v, spa.v, len);
	uint64_t dummy;

	if (!mapped)
		mapped = &dummy;
	*mapped = 0;
	if (err)
		return err;
	switch (cur->pt->cfg.format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_cursor_map(cur, iova.v, spa.v, len, attrs, mapped);
	case CBIT_PT_X86_64:
		return cbit_x86_64_cursor_map(cur, iova.v, spa.v, len, attrs, mapped);
	}
	return -EINVAL;
}

/* A range as unmap and its like take it; an empty one is legal. */
static bool sound(uint64_t iova, uint64_t len)
{
	return aligned(iova | len) && (!len || iova + (len - 1) >= iova);
}

static inline __attribute__((always_inline)) int unmap(struct cbit_pt *pt, struct cbit_iova iova,
						       uint64_t len, struct cbit_pt_cursor *cur,
						       uint64_t *unmapped)
{
	uint64_t removed = 0;

	if (unmapped)
		*unmapped = 0;
	if (!sound(iova.v, len))
		return -EINVAL;
	if (!len)
		return 0;
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		removed = cbit_amdv1_unmap(pt, iova.v, iova.v + (len - 1), cur);
		break;
	case CBIT_PT_X86_64:
		removed = cbit_x86_64_unmap(pt, iova.v, iova.v + (len - 1), cur);
		break;
	}
	if (unmapped)
		*unmapped = removed;
	return 0;
}

int cbit_pt_unmap(struct cbit_pt *pt, struct cbit_iova iova, uint64_t len, uint64_t *unmapped)
{
	return unmap(pt, iova, len, NULL, unmapped);
}

int cbit_pt_cursor_unmap(struct cbit_pt_cursor *cur, struct cbit_iova iova, uint64_t len,
			 uint64_t *unmapped)
{
	return unmap(cur->pt, iova, len, cur, unmapped);
}

static int cut(struct cbit_pt *pt, uint64_t iova)
{
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_cut(pt, iova);
	case CBIT_PT_X86_64:
		return cbit_x86_64_cut(pt, iova);
	}
	return -EINVAL;
}

int cbit_pt_cut(struct cbit_pt *pt, struct cbit_iova iova)
{
	return aligned(iova.v) ? cut(pt, iova.v) : -EINVAL;
}

int cbit_pt_unmap_part(struct cbit_pt *pt, struct cbit_iova iova, uint64_t len, uint64_t *unmapped)
{
	int err;

	if (unmapped)
		*unmapped = 0;
	if (!sound(iova.v, len))
		return -EINVAL;
	if (!len)
		return 0;
	/* behind the last page is no address, and a cut at 0 does nothing */
	err = cut(pt, iova.v);
	if (!err)
		err = cut(pt, iova.v + len);
	return err ? err : unmap(pt, iova, len, NULL, unmapped);
}

int cbit_pt_read_dirty(struct cbit_pt *pt, struct cbit_iova iova, uint64_t len,
		       const struct cbit_pt_dirty *req)
{
	if (!sound(iova.v, len))
		return -EINVAL;
	if (!len)
		return 0;
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		cbit_amdv1_dirty(pt, iova.v, iova.v + (len - 1), req);
		break;
	case CBIT_PT_X86_64:
		cbit_x86_64_dirty(pt, iova.v, iova.v + (len - 1), req);
		break;
	}
	return 0;
}

void cbit_pt_gather_free(struct cbit_pt *pt)
{
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		cbit_amdv1_gather_free(pt);
		break;
	case CBIT_PT_X86_64:
		cbit_x86_64_gather_free(pt);
		break;
	}
}

int cbit_pt_walk(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_pt_leaf *leaf)
{
	if (__builtin_expect(pt->cfg.format == CBIT_PT_AMDV1, 1))
		return cbit_amdv1_pt_walk(pt, iova.v, leaf);
	return cbit_x86_64_pt_walk(pt, iova.v, leaf);
}

int cbit_pt_walk_from(struct cbit_mem *mem, enum cbit_pt_format format, struct cbit_bus root,
		      unsigned int mode, struct cbit_iova iova, struct cbit_pt_leaf *leaf)
{
	switch (format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_walk(mem, root.v, mode, iova.v, leaf);
	case CBIT_PT_X86_64:
		return cbit_x86_64_walk(mem, root.v, mode, iova.v, leaf);
	}
	return -EIO;
}

int cbit_pt_walk_mark(struct cbit_mem *mem, enum cbit_pt_format format, struct cbit_bus root,
		      unsigned int mode, struct cbit_iova iova, unsigned int marks,
		      struct cbit_pt_leaf *leaf)
{
	marks &= CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY;
	switch (format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_mark(mem, root.v, mode, iova.v, marks, leaf);
	case CBIT_PT_X86_64:
		return cbit_x86_64_mark(mem, root.v, mode, iova.v, marks, leaf);
	}
	return -EIO;
}

int cbit_pt_iova_to_phys(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_spa *spa)
{
	struct cbit_pt_leaf leaf;
	int err = cbit_pt_walk(pt, iova, &leaf);

	if (!err)
		spa->v = leaf.spa.v + (iova.v - leaf.iova.v);
	return err;
}

void cbit_pt_cursor_init(struct cbit_pt_cursor *cur, struct cbit_pt *pt)
{
	cur->pt = pt;
	cur->level = 0;
}

int cbit_pt_cursor_walk(struct cbit_pt_cursor *cur, struct cbit_iova iova,
			struct cbit_pt_leaf *leaf)
{
	switch (cur->pt->cfg.format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_cursor_walk(cur, iova.v, leaf);
	case CBIT_PT_X86_64:
		return cbit_x86_64_cursor_walk(cur, iova.v, leaf);
	}
	return -EIO;
}

int cbit_pt_walk_nested(struct cbit_mem *mem, const struct cbit_pt_nested *nested,
			struct cbit_iova iova, struct cbit_pt_nested_leaf *out)
{
	switch (nested->host_format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_walk_nested(mem, nested, iova.v, out);
	case CBIT_PT_X86_64:
		return cbit_x86_64_walk_nested(mem, nested, iova.v, out);
	}
	return -EIO;
}
