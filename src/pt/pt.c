/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public face of the room: arguments are checked here, then the format does the work.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

int pt_frame_alloc(struct cbit_pt *pt, struct cbit_spa *out)
{
	cbit_key_t key = pt->cfg.table_c && pt->c_mask ? CBIT_KEY_HOST : CBIT_KEY_NONE;

	return cbit_mem_frames_alloc(pt->mem, 1, key, out);
}

int cbit_pt_create(struct cbit_mem *mem, const struct cbit_pt_config *cfg, struct cbit_pt **out)
{
	struct cbit_spa root;
	struct cbit_pt *pt;
	int err;

	if (cfg->format != CBIT_PT_AMDV1 || !cfg->mode || cfg->mode > cfg->max_mode ||
	    cfg->max_mode > cbit_amdv1_levels())
		return -EINVAL;
	pt = calloc(1, sizeof(*pt));
	if (!pt)
		return -ENOMEM;
	pt->mem = mem;
	pt->cfg = *cfg;
	pt->c_mask = cbit_platform_c_mask(cbit_mem_platform(mem));
	err = pt_frame_alloc(pt, &root);
	if (err) {
		free(pt);
		return err;
	}
	pt->top = root.v | cfg->mode;
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
	}
	free(pt);
}

struct cbit_spa cbit_pt_root(const struct cbit_pt *pt)
{
	return CBIT_SPA(pt_top(pt) & ~PT_TOP_LEVEL);
}

unsigned int cbit_pt_mode(const struct cbit_pt *pt)
{
	return (unsigned int)(pt_top(pt) & PT_TOP_LEVEL);
}

uint64_t cbit_pt_page_sizes(const struct cbit_pt *pt)
{
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_sizes();
	}
	return 0;
}

static bool aligned(uint64_t v)
{
	return !(v & ~CBIT_PAGE_MASK);
}

int cbit_pt_map(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_spa spa, uint64_t len,
		unsigned int attrs, uint64_t *mapped)
{
	/* An SPA that reached the C-bit would be another address with the attribute set. */
	uint64_t spa_end = pt->c_mask ? pt->c_mask : (uint64_t)1 << 52;
	uint64_t dummy;

	if (!mapped)
		mapped = &dummy;
	*mapped = 0;
	if (!len || !aligned(iova.v | spa.v | len) || iova.v + (len - 1) < iova.v)
		return -EINVAL;
	if (spa.v >= spa_end || len > spa_end - spa.v)
		return -ERANGE;
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_map(pt, iova.v, spa.v, len, attrs, mapped);
	}
	return -EINVAL;
}

int cbit_pt_unmap(struct cbit_pt *pt, struct cbit_iova iova, uint64_t len, uint64_t *unmapped)
{
	uint64_t removed = 0;

	if (unmapped)
		*unmapped = 0;
	if (!aligned(iova.v | len) || (len && iova.v + (len - 1) < iova.v))
		return -EINVAL;
	if (!len)
		return 0;
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		removed = cbit_amdv1_unmap(pt, iova.v, iova.v + (len - 1));
		break;
	}
	if (unmapped)
		*unmapped = removed;
	return 0;
}

void cbit_pt_gather_free(struct cbit_pt *pt)
{
	switch (pt->cfg.format) {
	case CBIT_PT_AMDV1:
		cbit_amdv1_gather_free(pt);
		break;
	}
}

int cbit_pt_walk(struct cbit_pt *pt, struct cbit_iova iova, struct cbit_pt_leaf *leaf)
{
	uint64_t top = pt_top(pt);
	struct cbit_bus root =
		cbit_mem_bus(pt->mem, CBIT_SPA(top & ~PT_TOP_LEVEL), pt->cfg.table_c);

	return cbit_pt_walk_from(pt->mem, pt->cfg.format, root, (unsigned int)(top & PT_TOP_LEVEL),
				 iova, leaf);
}

int cbit_pt_walk_from(struct cbit_mem *mem, enum cbit_pt_format format, struct cbit_bus root,
		      unsigned int mode, struct cbit_iova iova, struct cbit_pt_leaf *leaf)
{
	switch (format) {
	case CBIT_PT_AMDV1:
		return cbit_amdv1_walk(mem, root.v, mode, iova.v, leaf);
	}
	return -EIO;
}
