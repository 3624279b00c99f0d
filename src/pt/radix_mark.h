/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The radix engine, sixth part: walks that mark what they pass as accessed and written, as
 * hardware does. An entry is replaced only if it is still what the walk read, so a bit is never
 * set in an entry that was taken away or changed meanwhile, and none is lost. See radix.h.
 */
#ifndef CBIT_PT_RADIX_MARK_H
#define CBIT_PT_RADIX_MARK_H

#include "radix_walk.h"

/* How often to start anew; whoever changes entries that often is not a driver at work. */
#define RADIX_TRIES 64

static inline bool radix_mark_entry(uint64_t *slot, uint64_t entry, uint64_t marks)
{
	return (entry & marks) == marks ||
	       __atomic_compare_exchange_n(slot, &entry, entry | marks, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

/*
 * radix_walk() that sets ACCESSED in every entry and DIRTY in the leaf, of these what is in
 * @marks. With DIRTY it is a write's, otherwise a read's: where the leaf refuses that, nothing is
 * marked.
 */
static inline int radix_mark(struct cbit_mem *mem, uint64_t root, unsigned int mode, uint64_t iova,
			     unsigned int marks, bool write, struct cbit_pt_leaf *leaf)
{
	for (unsigned int tries = 0; tries < RADIX_TRIES; tries++) {
		struct radix_trail trail = { 0 };
		int err = radix_walk(mem, root, mode, iova, leaf, &trail);
		unsigned int i = 0;

		if (err || !(leaf->attrs & (write ? CBIT_ATTR_WRITE : CBIT_ATTR_READ)))
			return err;
		while (i < trail.n &&
		       radix_mark_entry(trail.slot[i], trail.entry[i],
					i + 1 < trail.n ? marks & CBIT_ATTR_ACCESSED : marks))
			i++;
		if (i == trail.n) {
			leaf->entry |= marks;
			leaf->attrs |= marks;
			return 0;
		}
	}
	return radix_refused(leaf, 0, mode & PT_LEVELS, 0);
}

#endif
