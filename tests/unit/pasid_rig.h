/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of PASIDs share: the machine of vi_rig.h with x86-64 tables of a guest, a GCR3
 * table that leads to them, and requests by PASID 5, which has two pages at GVA.
 */
#ifndef CBIT_TEST_PASID_RIG_H
#define CBIT_TEST_PASID_RIG_H

#include "vi_rig.h"

#define GVA   UINT64_C(0x7f0012345000)
#define DOMID 0x33
#define GV    (UINT64_C(1) << 55)
#define GIOV  (UINT64_C(1) << 54)
#define IRW   (UINT64_C(3) << 61)
#define USER  (ENC | CBIT_ATTR_USER)
#define GCR3  SCRATCH /* the GCR3 table, one page a level */

struct guest {
	struct rig *r;
	struct cbit_pt *pt;
};

static inline struct cbit_pt *table(struct rig *r, unsigned int levels, bool table_c)
{
	const struct cbit_pt_config cfg = {
		.format = CBIT_PT_X86_64,
		.mode = levels,
		.max_mode = levels,
		.table_c = table_c,
	};
	struct cbit_pt *pt;

	assert_int_equal(cbit_pt_create(r->mem, &cfg, &pt), 0);
	return pt;
}

/* The GCR3 table at GCR3 says that @pasid has @entry; @glx + 1 levels. */
static inline void set_gcr3(struct rig *r, unsigned int glx, uint32_t pasid, uint64_t entry)
{
	for (unsigned int level = glx; level; level--)
		put64(r, GCR3 + (glx - level) * 0x1000 + (pasid >> 9 * level & 0x1ff) * 8,
		      bus_of(r, GCR3 + (glx - level + 1) * 0x1000).v | 1);
	put64(r, GCR3 + glx * 0x1000 + (pasid & 0x1ff) * 8, entry);
}

/* @word0: what is added to a DTE with V, TV, GV and rights: host table, GLX, GIoV. */
static inline void set_dte(struct rig *r, uint64_t gcr3, uint64_t word0, uint64_t word2)
{
	put64(r, dte_spa(r, DEV) + 16, word2);
	put64(r, dte_spa(r, DEV) + 8,
	      DOMID | (gcr3 >> 15 & 0xffff) << 16 | (gcr3 >> 31 & 0x1fffff) << 43);
	put64(r, dte_spa(r, DEV), word0 | 3 | GV | IRW | (gcr3 >> 12 & 7) << 58);
	command(r, DEV, 0x20000000, 0, 0);
}

static inline uint64_t root(struct rig *r, const struct cbit_pt *pt)
{
	return bus_of(r, cbit_pt_root(pt).v).v | 1;
}

static inline struct guest guest_new(void)
{
	struct rig *r = vi_rig_new(true);
	struct guest g = { r, table(r, 4, true) };

	assert_int_equal(cbit_pt_map(g.pt, CBIT_IOVA(GVA), CBIT_SPA(CLIENT), 0x2000, USER, NULL),
			 0);
	set_gcr3(r, 0, 5, root(r, g.pt));
	set_dte(r, bus_of(r, GCR3).v, 0, 0);
	return g;
}

static inline void guest_free(struct guest *g)
{
	cbit_pt_destroy(g->pt);
	rig_free(g->r);
}

static const struct cbit_dma_request pasid5 = { .devid = DEV, .pasid_valid = true, .pasid = 5 };

static inline enum cbit_dma_status wr(struct rig *r, const struct cbit_dma_request *rq,
				      uint64_t iova, uint8_t b)
{
	return cbit_iommu_request_write(r->iommu, rq, CBIT_IOVA(iova), &b, 1, NULL);
}

static inline enum cbit_dma_status rd(struct rig *r, const struct cbit_dma_request *rq,
				      uint64_t iova)
{
	uint8_t b;

	return cbit_iommu_request_read(r->iommu, rq, CBIT_IOVA(iova), &b, 1, NULL);
}

#endif
