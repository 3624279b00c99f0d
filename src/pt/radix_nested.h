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
#include "radix_straight.h"
#include "x86_64.h"

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

static __attribute__((noinline)) int nested_second(struct cbit_mem *mem,
						   const struct cbit_pt_nested *n, uint64_t gpa,
						   struct cbit_pt_leaf *leaf)
{
	return radix_straight(mem, n->host_root.v, n->host_mode, gpa, leaf);
}

/* The same for an entry of the first stage at @gpa: its bus address, or an error with @leaf. */
static inline int nested_entry(struct cbit_mem *mem, const struct cbit_pt_nested *n, uint64_t gpa,
			       uint64_t *bus, struct cbit_pt_leaf *leaf)
{
	int err = nested_second(mem, n, gpa, leaf);

	*bus = nested_bus(mem_view(mem), leaf, gpa);
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

static __attribute__((noinline)) int nested_walk(struct cbit_mem *mem,
						 const struct cbit_pt_nested *nested, uint64_t iova,
						 struct cbit_pt_nested_leaf *out)
{
	const struct mem_view view = *mem_view(mem);
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
		err = nested_entry(mem, &n, gpa, &bus, &away);
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
	err = nested_second(mem, &n, gpa, &host);
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

/*
 * What the walk as it nearly always goes needs, in registers as far as there are some: both
 * stages with four levels and leaves of 4 KiB, the pointers as their builders write them.
 *
 * @pointer: bits of a guest's entry that decide whether it is such a pointer.
 * @gpa_mask: bits of a guest's entry that are an address.
 */
struct nested_way {
	struct radix_way way;
	const uint8_t *top;
	uint64_t pointer;
	uint64_t gpa_mask;
};

#define NESTED_POINTER (X86_P | X86_RW | X86_US)

/* Sound, and as a hardware's read of a table needs it. */
static inline bool nested_usable(uint64_t host)
{
	return (host & FMT_USABLE) == FMT_USABLE;
}

/*
 * The guest's entry at @gpa. False: nothing done.
 */
static inline __attribute__((always_inline)) bool
nested_straight_entry(const struct mem_view *v, const struct nested_way *way, uint64_t gpa,
		      uint64_t *entry)
{
	uint64_t host, at;

	if (__builtin_expect(radix_straight_four(v, &way->way, way->top, gpa, &host), 0))
		return false;
	at = (host & v->spa) - v->base;
	if (__builtin_expect(!nested_usable(host) || at >= v->size, 0))
		return false;
	if (__builtin_expect(mem_page_view(mem_page_of(v->pages, at)) !=
				     (host & v->c_mask ? v->want_c : v->want),
			     0))
		return false;
	*entry = radix_load_sum((uint64_t)(uintptr_t)v->bytes + (gpa & ~CBIT_PAGE_MASK), at);
	return true;
}

#define NESTED_AT(n) (table + (iova >> x86_item_lg2(n) & 511) * sizeof(entry))

#define NESTED_STRAIGHT(n)                                                                    \
	do {                                                                                  \
		if (__builtin_expect(!nested_straight_entry(v, &way, NESTED_AT(n), &entry) || \
					     (entry & way.pointer) != NESTED_POINTER,         \
				     0))                                                      \
			return false;                                                         \
		table = entry & way.gpa_mask;                                                 \
	} while (0)

static inline __attribute__((always_inline)) bool nested_straight(struct cbit_mem *mem,
								  const struct cbit_pt_nested *n,
								  uint64_t iova,
								  struct cbit_pt_nested_leaf *out)
{
	const struct mem_view *v = mem_view(mem);
	const uint64_t wide = (~(uint64_t)0 << (n->gpa_bits & 63)) & ~n->guest_c;
	const uint64_t c = n->host_root.v & v->c_mask;
	const uint64_t at = (n->host_root.v & FMT_ADDR) - c - v->base;
	const struct nested_way way = {
		.way = radix_way(v, c, mem_view_one_key(v, c)),
		.top = v->bytes + at,
		.pointer = NESTED_POINTER | X86_PS | X86_G | X86_NX | (wide & X86_ADDR),
		.gpa_mask = X86_ADDR & ~n->guest_c,
	};
	uint64_t table = n->guest_root & way.gpa_mask, entry, host, gpa;

	if (__builtin_expect((n->guest_mode & PT_LEVELS) != 4 || n->host_mode != 4 ||
				     radix_rotate(at) >= way.way.limit ||
				     !nested_canonical(n->guest_mode, iova),
			     0))
		return false;
	NESTED_STRAIGHT(4);
	NESTED_STRAIGHT(3);
	NESTED_STRAIGHT(2);
	if (__builtin_expect(!nested_straight_entry(v, &way, NESTED_AT(1), &entry) ||
				     !x86_plain(entry, 1, wide),
			     0))
		return false;
	gpa = entry & way.gpa_mask;
	if (__builtin_expect(radix_straight_four(v, &way.way, way.top, gpa, &host), 0))
		return false;
	radix_straight_leaf(v, iova, host, &out->leaf);
	out->leaf.attrs =
		nested_attrs(x86_path_attrs(x86_path(entry)) | x86_attrs(entry, n->guest_c),
			     nested_rights(&out->leaf));
	out->stage = 0;
	out->guest_level = 1;
	out->gpa = gpa;
	out->guest_entry = entry;
	return true;
}

static inline int radix_nested(struct cbit_mem *mem, const struct cbit_pt_nested *nested,
			       uint64_t iova, struct cbit_pt_nested_leaf *out)
{
	if (__builtin_expect(nested_straight(mem, nested, iova, out), 1))
		return 0;
	return nested_walk(mem, nested, iova, out);
}

#endif
