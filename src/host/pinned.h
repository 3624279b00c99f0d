/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pinned: which addresses are mapped for DMA, how often, and the pages that a program gave up
 * while they were.
 */
#ifndef CBIT_HOST_PINNED_H
#define CBIT_HOST_PINNED_H

#include <bsd/sys/tree.h>

#include "host.h"

/**
 * struct pinned - addresses @first..@last of @owner, pinned @count times alike. No two of one set
 * overlap.
 * @gone: the program has given that memory up; what is at these addresses now is something else.
 * @kept: the pages as they were then, which DMA goes on using; NULL when they could not be had.
 */
struct pinned {
	RB_ENTRY(pinned) node;
	struct cbit_owner *owner;
	uint64_t first, last;
	uint64_t count;
	bool gone;
	uint8_t *kept;
};

RB_HEAD(pinned_tree, pinned);

/** struct pinned_set - @gone: how many of them are gone. All zero is an empty set. */
struct pinned_set {
	struct pinned_tree tree;
	unsigned int gone;
};

/** pinned_add() - one pin more. Nothing of the range may be gone. 0 or -ENOMEM. */
int pinned_add(struct pinned_set *set, struct cbit_owner *owner, uint64_t first, uint64_t last);

/** pinned_drop() - one pin less; what has no pin left is forgotten, kept pages too. */
void pinned_drop(struct pinned_set *set, struct cbit_owner *owner, uint64_t first, uint64_t last);

/** pinned_find() - the lowest that touches the range, NULL if none. */
struct pinned *pinned_find(struct pinned_set *set, struct cbit_owner *owner, uint64_t first,
			   uint64_t last);

/** pinned_next() - the one of the same owner after it, up to address @last; NULL if none. */
struct pinned *pinned_next(struct pinned *p, uint64_t last);

/** pinned_find_gone() - the lowest that touches the range and is gone. */
struct pinned *pinned_find_gone(struct pinned_set *set, struct cbit_owner *owner, uint64_t first,
				uint64_t last);

/**
 * pinned_give_up() - the program is about to lose the range: keep what is pinned of it as it is
 * now, read through thread @tid. Where memory does not suffice it is kept as nothing.
 */
void pinned_give_up(struct pinned_set *set, struct cbit_owner *owner, pid_t tid, uint64_t first,
		    uint64_t last);

/** pinned_clear() - forget all. */
void pinned_clear(struct pinned_set *set);

#endif
