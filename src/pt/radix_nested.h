/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stages: x86_64 tables of a guest, whose addresses are GPAs, and this format's tables, which
 * say where those are. Each entry of the guest's is looked up by a whole walk of the second
 * stage, so a walk of 4 and 4 levels reads 24 entries, each of which waits for the one before. See
 * radix.h.
 */
#ifndef CBIT_PT_RADIX_NESTED_H
#define CBIT_PT_RADIX_NESTED_H

#include "radix_mark.h"
#include "x86_64.h"

/*
 * The second stage. The slow way fills a leaf of its own, so that the fast one's stays in
 * registers.
 */
static inline __attribute__((always_inline)) int
nested_second(struct cbit_mem *mem, const struct mem_view *view, uint64_t one_key,
	      const struct cbit_pt_nested *n, uint64_t gpa, struct cbit_pt_leaf *leaf)
{
	struct cbit_pt_leaf slow;
	int err;

	if (__builtin_expect(radix_walk_fast(view, one_key, false, n->host_root.v, n->host_mode,
					     gpa, leaf, NULL),
			     1))
		return 0;
	err = radix_walk_rest(mem, n->host_root.v, n->host_mode, gpa, &slow);
	*leaf = slow;
	return err;
}

static inline uint64_t nested_bus(const struct mem_view *view, const struct cbit_pt_leaf *leaf,
				  uint64_t gpa)
{
	return (leaf->spa.v + (gpa - leaf->iova.v)) |
	       (leaf->attrs & CBIT_ATTR_ENCRYPTED ? view->c_mask : 0);
}

/* Whether the second stage lets an entry be read. */
static inline bool nested_readable(unsigned int attrs)
{
	const unsigned int need = CBIT_ATTR_READ | FMT_USER;

	return (attrs & need) == need;
}

/* The same for an entry of the first stage at @gpa: its bus address, or an error with @leaf. */
static inline __attribute__((always_inline)) int
nested_entry(struct cbit_mem *mem, const struct mem_view *view, uint64_t one_key,
	     const struct cbit_pt_nested *n, uint64_t gpa, uint64_t *bus, struct cbit_pt_leaf *leaf)
{
	struct radix_hit hit;
	int err;

	if (__builtin_expect(radix_walk_fast(view, one_key, false, n->host_root.v, n->host_mode,
					     gpa, leaf, &hit) &&
				     nested_readable(fmt_path_attrs(hit.path)),
			     1)) {
		*bus = hit.bus;
		return 0;
	}
	err = radix_walk_rest(mem, n->host_root.v, n->host_mode, gpa, leaf);
	*bus = nested_bus(view, leaf, gpa);
	return err || nested_readable(leaf->attrs) ? err : -EACCES;
}

/* An entry in memory that is not of this room's own kind: a guest's that a client provides. */
static __attribute__((noinline)) bool nested_read(struct cbit_mem *mem, uint64_t bus,
						  uint64_t *entry)
{
	enum cbit_mem_outcome out =
		cbit_mem_read(mem, (struct cbit_bus){ bus }, entry, sizeof(*entry));
	const struct cbit_mem_region *region;

	if (out != CBIT_MEM_OK && out != CBIT_MEM_WRONG_KEY)
		return false;
	/* a table is not looked for in a device */
	region = cbit_mem_find(mem, CBIT_SPA(bus & ~mem_view(mem)->c_mask));
	return region && region->kind != CBIT_MEM_MMIO;
}

/* What the second stage lets pass. 24593 15.25.5: to nested tables all accesses are a user's. */
static inline unsigned int nested_rights(const struct cbit_pt_leaf *host)
{
	return (host->attrs & FMT_USER) == FMT_USER ? host->attrs : host->attrs & ~CBIT_ATTR_RW;
}

static inline int nested_first_failed(struct cbit_pt_nested_leaf *out, uint64_t gpa,
				      unsigned int level, int err)
{
	out->stage = 1;
	out->gpa = gpa;
	out->guest_level = level;
	out->guest_entry = out->leaf.entry;
	return err;
}

/*
 * The second stage did not let @gpa through, which is that of an entry at @level, or with @level 0
 * the page itself; @lg2: what of the IOVAs around depends on it.
 */
static __attribute__((noinline)) int nested_second_failed(struct cbit_pt_nested_leaf *out,
							  struct cbit_pt_leaf host, int err,
							  uint64_t iova, uint64_t gpa,
							  unsigned int level, unsigned int lg2)
{
	out->leaf = host;
	out->stage = 2;
	out->gpa = gpa;
	out->guest_level = level;
	out->leaf.size = radix_bytes(lg2);
	/* the page: no more than what the second stage says of it */
	if (!level && host.size && host.size < out->leaf.size)
		out->leaf.size = host.size;
	out->leaf.iova.v = iova & ~(out->leaf.size - 1);
	return err;
}

static inline bool nested_canonical(unsigned int mode, uint64_t iova)
{
	unsigned int lg2 = x86_item_lg2(mode & PT_LEVELS) + 9;

	if (mode & CBIT_PT_SIGN_EXTEND)
		iova += radix_bytes(lg2 - 1);
	return !(iova >> lg2);
}

/*
 * Rights and what hardware recorded are of both; no fetches if either forbids them. The key and
 * the cache are the second stage's; who is a user is the guest's matter.
 */
static inline unsigned int nested_attrs(unsigned int guest, unsigned int host)
{
	const unsigned int both = CBIT_ATTR_RW | CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY;

	return (guest & host & both) | ((guest | host) & CBIT_ATTR_NOEXEC) |
	       (guest & CBIT_ATTR_USER) | (host & (CBIT_ATTR_ENCRYPTED | CBIT_ATTR_CACHE));
}

static inline int radix_nested(struct cbit_mem *mem, const struct cbit_pt_nested *nested,
			       uint64_t iova, struct cbit_pt_nested_leaf *out)
{
	const struct mem_view view = *mem_view(mem);
	const uint64_t one_key = mem_view_one_key(mem_view(mem), nested->host_root.v & view.c_mask);
	const struct cbit_pt_nested n = *nested;
	const uint64_t wide = (~(uint64_t)0 << (n.gpa_bits & 63)) & ~n.guest_c;
	unsigned int level = n.guest_mode & PT_LEVELS, item;
	uint64_t table = n.guest_root & X86_ADDR & ~n.guest_c;
	uint64_t path = ~(uint64_t)0, entry, gpa, size;
	struct cbit_pt_leaf host, away;
	int err;

	out->guest_entry = 0;
	if (level < 4 || level > 5)
		return nested_first_failed(out, table, level,
					   radix_refused(&out->leaf, 0, level, 0));
	if (!nested_canonical(n.guest_mode, iova))
		return nested_first_failed(
			out, table, level,
			radix_hole(&out->leaf, iova, x86_item_lg2(level) + 8, level));
	for (;; level--) {
		const uint64_t *page;
		uint64_t bus;

		item = x86_item_lg2(level);
		gpa = table + (iova >> item & 511) * sizeof(entry);
		err = nested_entry(mem, &view, one_key, &n, gpa, &bus, &away);
		if (__builtin_expect(err, 0))
			return nested_second_failed(out, away, err, iova, gpa, level,
						    item + 9 < 64 ? item + 9 : 63);
		page = mem_view_page(&view, mem, bus);
		if (__builtin_expect(page != NULL, 1))
			entry = radix_load(&page[bus / sizeof(entry) & 511]);
		else if (!nested_read(mem, bus, &entry))
			return nested_first_failed(
				out, gpa, level,
				radix_refused(&out->leaf, 0, level, bus & ~view.c_mask));
		if (__builtin_expect(x86_plain(entry, level, wide), level == 1))
			break;
		switch (x86_kind(entry, level, wide)) {
		case FMT_EMPTY:
			return nested_first_failed(out, gpa, level,
						   radix_hole(&out->leaf, iova, item, level));
		case FMT_TABLE:
			break;
		default:
			return nested_first_failed(out, gpa, level,
						   radix_refused(&out->leaf, entry, level, 0));
		}
		path &= x86_path(entry);
		table = entry & X86_ADDR & ~n.guest_c;
	}
	size = radix_bytes(item);
	gpa = (entry & X86_ADDR & ~n.guest_c & ~(size - 1)) + (iova & (size - 1));
	out->guest_entry = entry;
	err = nested_second(mem, &view, one_key, &n, gpa, &host);
	if (__builtin_expect(err, 0))
		return nested_second_failed(out, host, err, iova, gpa, 0, item);
	if (host.size < size)
		size = host.size;
	path &= x86_path(entry);
	out->leaf.iova.v = iova & ~(size - 1);
	out->leaf.size = size;
	out->leaf.spa.v = host.spa.v + ((gpa & ~(size - 1)) - host.iova.v);
	out->leaf.entry = host.entry;
	out->leaf.level = host.level;
	out->leaf.attrs = nested_attrs(x86_path_attrs(path) | x86_attrs(entry, n.guest_c),
				       nested_rights(&host));
	out->guest_level = level;
	out->gpa = gpa & ~(size - 1);
	out->stage = 0;
	return 0;
}

#endif
