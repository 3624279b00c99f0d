/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which addresses are pinned, as intervals that do not overlap, each with its count of pins.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "pinned.h"

static int cmp(const struct pinned *a, const struct pinned *b)
{
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

RB_GENERATE_INTERNAL(pinned_tree, pinned, node, cmp, __attribute__((unused)) static)

struct pinned *pinned_find(struct pinned_set *set, struct cbit_owner *owner, uint64_t first,
			   uint64_t last)
{
	struct pinned *p = RB_ROOT(&set->tree), *best = NULL;

	/* They do not overlap, so their ends are ordered as their starts are. */
	while (p) {
		if (p->owner == owner ? p->last >= first : p->owner > owner) {
			best = p;
			p = RB_LEFT(p, node);
		} else {
			p = RB_RIGHT(p, node);
		}
	}
	return best && best->owner == owner && best->first <= last ? best : NULL;
}

struct pinned *pinned_next(struct pinned *p, uint64_t last)
{
	struct pinned *next = RB_NEXT(pinned_tree, NULL, p);

	return next && next->owner == p->owner && next->first <= last ? next : NULL;
}

struct pinned *pinned_find_gone(struct pinned_set *set, struct cbit_owner *owner, uint64_t first,
				uint64_t last)
{
	struct pinned *p = set->gone ? pinned_find(set, owner, first, last) : NULL;

	while (p && !p->gone)
		p = pinned_next(p, last);
	return p;
}

static struct pinned *insert(struct pinned_set *set, struct cbit_owner *owner, uint64_t first,
			     uint64_t last, uint64_t count)
{
	struct pinned *p = malloc(sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct pinned){ .owner = owner, .first = first, .last = last, .count = count };
	RB_INSERT(pinned_tree, &set->tree, p);
	return p;
}

/* Cut the one that @at lies in, so that one begins there. */
static int split(struct pinned_set *set, struct cbit_owner *owner, uint64_t at)
{
	struct pinned *p = pinned_find(set, owner, at, at), *upper;
	uint64_t last;

	if (!p || p->first == at)
		return 0;
	last = p->last;
	p->last = at - 1;
	upper = insert(set, owner, at, last, p->count);
	if (!upper) {
		p->last = last;
		return -ENOMEM;
	}
	if (p->gone) {
		upper->gone = true;
		upper->kept = p->kept ? p->kept + (at - p->first) : NULL;
		set->gone++;
	}
	return 0; /* NOLINT(clang-analyzer-unix.Malloc): the tree holds it */
}

/* Pages that are mapped as one may be unmapped in parts. */
static void discard(struct pinned_set *set, struct pinned *p)
{
	if (p->kept)
		munmap(p->kept, p->last - p->first + 1);
	set->gone -= p->gone;
	RB_REMOVE(pinned_tree, &set->tree, p);
	free(p);
}

void pinned_drop(struct pinned_set *set, struct cbit_owner *owner, uint64_t first, uint64_t last)
{
	struct pinned *p, *next;

	/* A cut that finds no memory leaves more pinned than is: nothing worse. */
	if (split(set, owner, first) || (last != UINT64_MAX && split(set, owner, last + 1)))
		return;
	for (p = pinned_find(set, owner, first, last); p; p = next) {
		next = pinned_next(p, last);
		if (!--p->count)
			discard(set, p);
	}
}

int pinned_add(struct pinned_set *set, struct cbit_owner *owner, uint64_t first, uint64_t last)
{
	struct pinned *p;
	uint64_t at = first, end;

	/* Mostly the very same range again, or one that nobody has. */
	p = pinned_find(set, owner, first, last);
	if (p && p->first == first && p->last == last) {
		p->count++;
		return 0;
	}
	if (p && (split(set, owner, first) || (last != UINT64_MAX && split(set, owner, last + 1))))
		return -ENOMEM;
	for (;; at = end + 1) {
		p = pinned_find(set, owner, at, last);
		if (p && p->first <= at) {
			p->count++;
			end = p->last;
		} else {
			end = p ? p->first - 1 : last;
			if (!insert(set, owner, at, end, 1)) {
				if (at != first)
					pinned_drop(set, owner, first, at - 1);
				return -ENOMEM;
			}
		}
		if (end >= last)
			return 0;
	}
}

static void keep(struct pinned *p, pid_t tid)
{
	uint64_t size = p->last - p->first + 1, at = 0, n;
	void *kept = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	p->gone = true;
	if (kept == MAP_FAILED)
		return;
	p->kept = kept;
	/* As large pieces as go; what cannot be read was never touched, or is not readable. */
	for (n = size; at < size; n = size - at < n ? size - at : n) {
		if (!host_copy_in(tid, p->kept + at, p->first + at, n))
			at += n;
		else if (n > CBIT_PAGE_SIZE)
			n = (n / 2 + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
		else
			at += CBIT_PAGE_SIZE;
	}
}

void pinned_give_up(struct pinned_set *set, struct cbit_owner *owner, pid_t tid, uint64_t first,
		    uint64_t last)
{
	struct pinned *p;

	if (split(set, owner, first) || (last != UINT64_MAX && split(set, owner, last + 1)))
		return;
	for (p = pinned_find(set, owner, first, last); p; p = pinned_next(p, last)) {
		if (!p->gone) {
			keep(p, tid);
			set->gone++;
		}
	}
}

void pinned_clear(struct pinned_set *set)
{
	struct pinned *p;

	while ((p = RB_ROOT(&set->tree)))
		discard(set, p); /* NOLINT(clang-analyzer-unix.Malloc): it leaves the tree */
}
