/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The address map: which window decodes an SPA, and the rules a new window must keep.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "mem_internal.h"

/* The first window that ends at @spa or later; window_count if there is none. */
static size_t window_at(const struct cbit_mem *mem, uint64_t spa)
{
	size_t lo = 0, hi = mem->window_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (mem->windows[mid].last < spa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct mem_region *cbit_mem_region_find(const struct cbit_mem *mem, uint64_t spa)
{
	size_t i = window_at(mem, spa);

	if (i == mem->window_count || spa < mem->windows[i].base)
		return NULL;
	return mem->windows[i].region;
}

/*
 * cbit_mem_region_decode() - find what answers at @spa, and cut *@len to the part of the
 * access that goes there; for a hole, to what is left of the hole.
 */
struct mem_region *cbit_mem_region_decode(const struct cbit_mem *mem, uint64_t spa, size_t *len)
{
	size_t i = window_at(mem, spa);
	const struct mem_window *w;
	uint64_t left;

	if (i == mem->window_count)
		return NULL;
	w = &mem->windows[i];
	left = spa < w->base ? w->base - spa : w->last - spa + 1;
	if (*len > left)
		*len = (size_t)left;
	return spa < w->base ? NULL : w->region;
}

const struct cbit_mem_region *cbit_mem_find(const struct cbit_mem *mem, struct cbit_spa spa)
{
	const struct mem_region *r = cbit_mem_region_find(mem, spa.v);

	if (!r && mem->forwards)
		return mem->forward.find(mem->forward_opaque, spa);
	return r ? &r->pub : NULL;
}

static const char *desc_name(const struct cbit_mem_region_desc *d)
{
	return d->name ? d->name : cbit_mem_kind_name(d->kind);
}

static int check_place(const struct cbit_mem *mem, const struct cbit_mem_region_desc *d,
		       struct cbit_error *err)
{
	uint64_t limit = (uint64_t)1 << mem->platform.pa_bits;

	if (d->base.v & (CBIT_PAGE_SIZE - 1))
		return cbit_error_set(err, -EINVAL,
				      "region %s: base 0x%" PRIx64 " is not a multiple of 0x1000",
				      desc_name(d), d->base.v);
	if (!d->size || d->size & (CBIT_PAGE_SIZE - 1))
		return cbit_error_set(err, -EINVAL,
				      "region %s: size 0x%" PRIx64
				      " is not a multiple of 0x1000, at least 0x1000",
				      desc_name(d), d->size);
	if (d->base.v >= limit || d->size > limit - d->base.v)
		return cbit_error_set(err, -EINVAL,
				      "region %s: 0x%" PRIx64 " + 0x%" PRIx64
				      " is beyond the last SPA, 0x%" PRIx64,
				      desc_name(d), d->base.v, d->size, limit - 1);
	return 0;
}

static int check_kind(const struct cbit_mem_region_desc *d, struct cbit_error *err)
{
	switch (d->kind) {
	case CBIT_MEM_DRAM:
	case CBIT_MEM_CXL_RAM:
		if (!d->encrypts)
			return cbit_error_set(err, -EINVAL, "region %s: %s must encrypt",
					      desc_name(d), cbit_mem_kind_name(d->kind));
		return 0;
	case CBIT_MEM_COHERENT:
		return 0;
	case CBIT_MEM_MMIO:
		if (d->encrypts)
			return cbit_error_set(err, -EINVAL, "region %s: mmio cannot encrypt",
					      desc_name(d));
		if (!d->direct && !d->ops)
			return cbit_error_set(err, -EINVAL,
					      "region %s: mmio needs direct memory or ops",
					      desc_name(d));
		return 0;
	}
	return cbit_error_set(err, -EINVAL, "region %s: kind %d is not known", desc_name(d),
			      (int)d->kind);
}

static int check_backing(const struct cbit_mem_region_desc *d, struct cbit_error *err)
{
	if (d->direct && d->ops)
		return cbit_error_set(err, -EINVAL,
				      "region %s: direct memory and ops exclude each other",
				      desc_name(d));
	if (d->direct && d->encrypts)
		return cbit_error_set(err, -EINVAL,
				      "region %s: direct memory has no engine in front of it",
				      desc_name(d));
	if (d->ops && (!d->ops->read || !d->ops->write))
		return cbit_error_set(err, -EINVAL, "region %s: ops need both read and write",
				      desc_name(d));
	if (d->ops && !d->ops->hold != !d->ops->release)
		return cbit_error_set(err, -EINVAL,
				      "region %s: ops need hold and release, or neither",
				      desc_name(d));
	return 0;
}

static int check_overlap(const struct cbit_mem *mem, const struct cbit_mem_region_desc *d,
			 struct cbit_error *err)
{
	uint64_t last = d->base.v + d->size - 1;
	size_t i = window_at(mem, d->base.v);
	const struct mem_window *w;

	if (i == mem->window_count || mem->windows[i].base > last)
		return 0;
	w = &mem->windows[i];
	return cbit_error_set(err, -EEXIST,
			      "region %s: 0x%" PRIx64 "..0x%" PRIx64 " overlaps %s at 0x%" PRIx64
			      "..0x%" PRIx64,
			      desc_name(d), d->base.v, last, w->region->pub.name, w->base, w->last);
}

static void region_free(struct mem_region *r)
{
	char *name;

	if (!r)
		return;
	cbit_mem_sparse_destroy(r->sparse);
	/* ours by strdup; the public type only promises readers not to change it */
	memcpy(&name, &r->pub.name, sizeof(name));
	free(name);
	free(r);
}

static struct mem_region *region_create(struct cbit_mem *mem, const struct cbit_mem_region_desc *d)
{
	struct mem_region *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->pub.kind = d->kind;
	r->pub.encrypts = d->encrypts;
	r->pub.base = d->base;
	r->pub.size = d->size;
	r->pub.name = strdup(desc_name(d));
	r->last = d->base.v + d->size - 1;
	r->has_ops = d->ops != NULL;
	if (d->ops)
		r->ops = *d->ops;
	r->opaque = d->opaque;
	r->direct = d->direct;
	r->resident = d->encrypts ? cbit_mem_key_here(mem, d->resident) : CBIT_KEY_NONE;
	if (!r->pub.name || (!d->ops && !d->direct &&
			     cbit_mem_sparse_create(mem, d->base.v, d->size, &r->sparse))) {
		region_free(r);
		return NULL;
	}
	return r;
}

/*
 * The view shows the region that frames come from: the lowest sparse DRAM, until the first
 * frame was taken from it; a region added below it later does not take its place. It begins with
 * the first page that can be a frame, so that all pages from its start on may be under one key.
 */
static void view_update(struct cbit_mem *mem)
{
	const struct mem_region *r = mem->frames.region;
	struct mem_view *v = &mem->view;
	uint64_t skip;

	for (size_t i = 0; i < mem->window_count && !r; i++) {
		const struct mem_region *w = mem->windows[i].region;

		if (w->pub.kind == CBIT_MEM_DRAM && w->sparse)
			r = w;
	}
	skip = r && !r->pub.base.v ? CBIT_PAGE_SIZE : 0;
	if (!r || v->pages == r->sparse->pages + (skip >> CBIT_PAGE_SHIFT))
		return;
	v->base = r->pub.base.v + skip;
	v->size = cbit_mem_sparse_direct(r->sparse);
	if (v->size > r->pub.size)
		v->size = r->pub.size;
	v->size -= skip;
	v->bytes = r->sparse->bytes + skip;
	v->pages = r->sparse->pages + (skip >> CBIT_PAGE_SHIFT);
	v->want = MEM_STATE_HERE | cbit_mem_key_here(mem, CBIT_KEY_NONE);
	v->want_c = MEM_STATE_HERE | CBIT_KEY_HOST;
	cbit_mem_one_key_restart(mem);
}

int cbit_mem_add_region(struct cbit_mem *mem, const struct cbit_mem_region_desc *desc,
			struct cbit_error *err)
{
	struct mem_window *w;
	struct mem_region *r;
	size_t at;
	int ret;

	ret = check_place(mem, desc, err);
	if (!ret)
		ret = check_kind(desc, err);
	if (!ret)
		ret = check_backing(desc, err);
	if (!ret)
		ret = check_overlap(mem, desc, err);
	if (!ret && mem->forwards && desc->kind != CBIT_MEM_MMIO)
		ret = cbit_error_set(
			err, -EINVAL,
			"region %s: a forwarding space takes windows of kind mmio only",
			desc_name(desc));
	if (ret)
		return ret;

	w = reallocarray(mem->windows, mem->window_count + 1, sizeof(*w));
	if (w)
		mem->windows = w;
	r = w ? region_create(mem, desc) : NULL;
	if (!r)
		return cbit_error_set(err, -ENOMEM, "region %s: out of memory", desc_name(desc));

	at = window_at(mem, desc->base.v);
	memmove(w + at + 1, w + at, (mem->window_count - at) * sizeof(*w));
	w[at] = (struct mem_window){ .base = desc->base.v, .last = r->last, .region = r };
	mem->window_count++;
	view_update(mem);
	return 0;
}

void cbit_mem_regions_destroy(struct cbit_mem *mem)
{
	for (size_t i = 0; i < mem->window_count; i++)
		region_free(mem->windows[i].region);
	free(mem->windows);
}
