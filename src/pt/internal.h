/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page table object as the files of this room share it, and the entry points a format
 * exports to the dispatcher in pt.c.
 */
#ifndef CBIT_PT_INTERNAL_H
#define CBIT_PT_INTERNAL_H

#include <cbit/pt.h>

/*
 * @top: SPA of the top table with its level in the low bits: one word, so that a walker which
 *       runs while the top grows sees either the old pair or the new one.
 * @gather: first table set aside by unmap (see radix_set_aside()), 0 when there is none.
 */
struct cbit_pt {
	struct cbit_mem *mem;
	struct cbit_pt_config cfg;
	uint64_t c_mask;
	uint64_t top;
	uint64_t gather;
};

#define PT_TOP_LEVEL ((uint64_t)0xfff)

static inline uint64_t pt_top(const struct cbit_pt *pt)
{
	return __atomic_load_n(&pt->top, __ATOMIC_ACQUIRE);
}

/* pt_frame_alloc() - a zeroed table under the key that the table's pointers will select. */
int pt_frame_alloc(struct cbit_pt *pt, struct cbit_spa *out);

/* The operations of a format; arguments have been checked by pt.c. @last is inclusive. */
int cbit_amdv1_map(struct cbit_pt *pt, uint64_t iova, uint64_t spa, uint64_t len,
		   unsigned int attrs, uint64_t *mapped);
uint64_t cbit_amdv1_unmap(struct cbit_pt *pt, uint64_t first, uint64_t last);
void cbit_amdv1_gather_free(struct cbit_pt *pt);
void cbit_amdv1_free_all(struct cbit_pt *pt);
int cbit_amdv1_walk(struct cbit_mem *mem, uint64_t root, unsigned int mode, uint64_t iova,
		    struct cbit_pt_leaf *leaf);
uint64_t cbit_amdv1_sizes(void);
unsigned int cbit_amdv1_levels(void);

#endif
