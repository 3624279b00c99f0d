/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a request to where it leads: which tables its DTE sends it through, the IOTLB, the host's
 * tables, and what hardware logs when there is no way.
 */
#include <errno.h>

#include "internal.h"

/* --- the DTE --- */

static bool refuse(struct failure *f, unsigned int code, unsigned int flags, uint64_t address)
{
	*f = (struct failure){ .code = code, .flags = flags, .address = address };
	return false;
}

static uint32_t pasid_of(const struct request *q)
{
	return q->rq.pasid_valid ? q->rq.pasid : 0;
}

bool cbit_request_start(struct request *q, uint64_t iova, struct failure *f)
{
	unsigned int gn = q->rq.pasid_valid ? CBIT_VI_EVT_GN : 0;
	struct dte *dte = &q->dte;

	cbit_dte_decode(q->iommu, q->rq.devid, dte);
	q->ctx = iotlb_host(dte->domid);
	q->identity = true;
	q->compare = false;
	q->marks = 0;
	switch (dte->state) {
	case DTE_PASS:
		return !q->rq.unmapped || refuse(f, CBIT_VI_EVT_IO_PAGE_FAULT, gn, iova);
	case DTE_TRANSLATE:
		break;
	case DTE_ILLEGAL:
		return refuse(f, CBIT_VI_EVT_ILLEGAL_DTE, gn | CBIT_VI_EVT_RZ, iova);
	case DTE_ILLEGAL_LEVEL:
		return refuse(f, CBIT_VI_EVT_ILLEGAL_DTE, gn, iova);
	case DTE_UNREADABLE:
		return refuse(f, CBIT_VI_EVT_DEVTAB_HW_ERROR, CBIT_VI_EVT_MASTER_ABORT,
			      cbit_dte_spa(q->iommu, q->rq.devid));
	case DTE_BLOCKED:
	case DTE_BEYOND:
		return refuse(f, CBIT_VI_EVT_IO_PAGE_FAULT, gn, iova);
	}
	if (dte->guest && (q->rq.pasid_valid || dte->giov))
		q->ctx = iotlb_guest(dte->domid, pasid_of(q) & 0xfffff);
	/* A PASID where no guest is, or one that this IOMMU cannot tell from others. */
	if (q->rq.pasid_valid && (!dte->guest || q->rq.pasid >> CBIT_IOMMU_PASID_BITS))
		return refuse(f, CBIT_VI_EVT_IO_PAGE_FAULT, gn, iova);
	if (__builtin_expect(q->rq.unmapped, 0))
		return refuse(f, CBIT_VI_EVT_IO_PAGE_FAULT, gn, iova);
	q->identity = !dte->mode && !request_is_guest(q);
	if (q->identity)
		return true;
	q->compare = cbit_stale_possible(q);
	/* A guest's tables are marked as a CPU marks them, the host's as HAD says. */
	q->marks = dte->mode ? dte->marks : CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY;
	if (!q->write)
		q->marks &= ~CBIT_ATTR_DIRTY;
	/* What the DTE refuses is not carried out. */
	if ((q->write && !(dte->rights & CBIT_ATTR_WRITE)) ||
	    ((!q->write || q->atomic) && !(dte->rights & CBIT_ATTR_READ)))
		q->marks = 0;
	return true;
}

/* --- tables --- */

/* The IOVA is the SPA, and its C-bit is in the device's hands. */
static int identity(const struct request *q, uint64_t iova, struct cbit_pt_leaf *leaf)
{
	uint64_t c = q->iommu->c_mask, size = (uint64_t)1 << 30;

	*leaf = (struct cbit_pt_leaf){
		.iova = CBIT_IOVA(iova & ~(size - 1)),
		.size = size,
		.spa = CBIT_SPA(iova & ~(size - 1) & ~c),
		.attrs = CBIT_ATTR_RW | (iova & c ? CBIT_ATTR_ENCRYPTED : 0),
	};
	return 0;
}

void cbit_failure_of_walk(struct failure *f, int err, const struct cbit_pt_leaf *leaf,
			  uint64_t address, unsigned int gn)
{
	f->code = CBIT_VI_EVT_IO_PAGE_FAULT;
	f->flags = gn;
	f->address = address;
	if (err == -ENOENT)
		return;
	if (err == -EACCES) {
		f->flags |= CBIT_VI_EVT_PR | CBIT_VI_EVT_PE;
	} else if (leaf->entry) {
		f->flags |= CBIT_VI_EVT_PR | CBIT_VI_EVT_RZ;
	} else {
		unsigned int item = CBIT_PAGE_SHIFT + 9 * (leaf->level ? leaf->level - 1 : 0);

		/* The entry, not its table: it is where the read went. */
		f->code = CBIT_VI_EVT_PAGETAB_HW_ERROR;
		f->flags |= CBIT_VI_EVT_MASTER_ABORT;
		f->address = leaf->spa.v + (address >> item & 0x1ff) * sizeof(uint64_t);
	}
}

int cbit_request_walk(struct request *q, uint64_t iova, unsigned int marks,
		      struct cbit_pt_leaf *leaf, struct failure *f)
{
	const struct dte *dte = &q->dte;
	int err;

	if (request_is_guest(q))
		return cbit_guest_walk(q, iova, marks, leaf, f);
	if (q->identity)
		return identity(q, iova, leaf);
	if (__builtin_expect(marks != 0, 0))
		err = cbit_pt_walk_mark(q->iommu->mem, CBIT_PT_AMDV1, dte->root, dte->mode,
					CBIT_IOVA(iova), marks, leaf);
	else
		err = cbit_pt_walk_from(q->iommu->mem, CBIT_PT_AMDV1, dte->root, dte->mode,
					CBIT_IOVA(iova), leaf);
	if (__builtin_expect(err != 0, 0)) {
		if (q->iommu->owner.is_private)
			cbit_owner_table(q->iommu, dte->root, false);
		cbit_failure_of_walk(f, err, leaf, iova, 0);
		if (err != -ENOENT)
			leaf_is_page(leaf, iova);
	}
	return err;
}

int cbit_request_translate(struct request *q, uint64_t iova, struct cbit_pt_leaf *leaf,
			   struct failure *f)
{
	struct cbit_iommu *iommu = q->iommu;
	int err;

	if (__builtin_expect(q->identity, 0))
		return identity(q, iova, leaf);
	/* An entry that is not marked yet as the request has to mark it is walked for again. */
	if (cbit_iotlb_lookup(&iommu->iotlb, q->ctx, iova, leaf) && !(q->marks & ~leaf->attrs)) {
		q->hits++;
		if (__builtin_expect(q->compare, 0))
			cbit_stale_compare(q, iova, leaf);
		return 0;
	}
	q->walks++;
	err = cbit_request_walk(q, iova, q->marks, leaf, f);
	if (!err)
		cbit_iotlb_fill(&iommu->iotlb, q->ctx, leaf);
	return err;
}

/* --- rights --- */

unsigned int cbit_request_denied(const struct request *q, const struct cbit_pt_leaf *leaf)
{
	unsigned int want = q->write ? CBIT_ATTR_WRITE : CBIT_ATTR_READ;
	unsigned int attrs = leaf->attrs;

	if (q->atomic)
		want = CBIT_ATTR_RW;
	if ((attrs & q->dte.rights & want) != want)
		return CBIT_VI_EVT_PR | CBIT_VI_EVT_PE;
	if (!request_is_guest(q))
		return 0;
	if ((!(attrs & CBIT_ATTR_USER) && !(q->rq.pasid_valid && q->rq.privileged)) ||
	    (attrs & CBIT_ATTR_NOEXEC && q->rq.pasid_valid && q->rq.exec))
		return CBIT_VI_EVT_PR | CBIT_VI_EVT_PE;
	return 0;
}

/* --- log --- */

void cbit_request_log(const struct request *q, const struct failure *f)
{
	struct cbit_vi_event ev = {
		.code = f->code,
		.flags = f->flags | (q->write ? CBIT_VI_EVT_RW : 0),
		.devid = q->rq.devid,
		.domid = q->dte.domid,
		.pasid = pasid_of(q),
		.address = f->address,
	};

	if (f->code == CBIT_VI_EVT_IO_PAGE_FAULT && q->dte.silent)
		return;
	/* Without a prefix a request is a user's. */
	if (f->flags & CBIT_VI_EVT_GN)
		ev.flags |= (q->rq.pasid_valid && q->rq.privileged ? 0 : CBIT_VI_EVT_US) |
			    (q->rq.pasid_valid && q->rq.exec ? CBIT_VI_EVT_NX : 0);
	cbit_iommu_log(q->iommu, &ev);
}
