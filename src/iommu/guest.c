/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest translation (AMD I/O Virtualization Technology Specification, section 2.2.6): the GCR3
 * table finds the tables of a PASID, x86_64 tables (v2) translate its addresses, and what they say
 * goes through the host's tables (v1) where the DTE has any.
 *
 * GCR3 tables are at SPAs, or with GCR3TRPMode at GPAs; what a GCR3 entry of the last level holds
 * is a GPA in both cases (Linux: amd_iommu_set_gcr3(), and enabling of FEATURE_GCR3TRPMODE).
 * Without host tables a GPA is an SPA, and its C-bit says under which key to read.
 *
 * Accessed and dirty bits are left in the guest's tables where these are at SPAs, and with HAD in
 * the host's entry of the page. A guest's tables below host tables are not marked.
 */
#include <errno.h>

#include "internal.h"

#define GN CBIT_VI_EVT_GN

/* Where the entry at @gpa is, or @err is not 0 and @f says why not. */
static struct cbit_bus host_address(struct request *q, uint64_t gpa, int *err, struct failure *f)
{
	struct cbit_mem *mem = q->iommu->mem;
	struct cbit_pt_leaf leaf;

	*err = 0;
	if (!q->dte.mode)
		return (struct cbit_bus){ gpa };
	*err = cbit_pt_walk_from(mem, CBIT_PT_AMDV1, q->dte.root, q->dte.mode, CBIT_IOVA(gpa),
				 &leaf);
	if (!*err && !(leaf.attrs & CBIT_ATTR_READ))
		*err = -EACCES;
	if (*err) {
		cbit_failure_of_walk(f, *err, &leaf, gpa, 0);
		return (struct cbit_bus){ 0 };
	}
	return cbit_mem_bus(mem, CBIT_SPA(leaf.spa.v + (gpa - leaf.iova.v)),
			    leaf.attrs & CBIT_ATTR_ENCRYPTED);
}

static int gcr3_failed(struct failure *f, int err, uint64_t entry, uint64_t gva,
		       struct cbit_pt_leaf *leaf)
{
	*leaf = (struct cbit_pt_leaf){ .entry = entry };
	cbit_failure_of_walk(f, err, leaf, gva, GN);
	return err;
}

/* The GPA of the top table of the request's PASID. On failure @leaf holds the entry. */
static int gcr3_find(struct request *q, uint64_t gva, uint64_t *root, struct cbit_pt_leaf *leaf,
		     struct failure *f)
{
	uint32_t pasid = (uint32_t)(q->ctx & 0xfffff);
	uint64_t entry = q->dte.gcr3.v;

	if (pasid >> 9 * (q->dte.glx + 1))
		return gcr3_failed(f, -ENOENT, 0, gva, leaf);
	for (unsigned int level = q->dte.glx + 1; level--;) {
		struct cbit_bus at = { (entry & CBIT_VI_GCR3_ADDR) +
				       (pasid >> 9 * level & 0x1ff) * sizeof(entry) };
		int err;

		if (q->dte.gcr3_gpa) {
			at = host_address(q, at.v, &err, f);
			if (err) {
				*leaf = (struct cbit_pt_leaf){ 0 };
				return err;
			}
		}
		if (cbit_table_read(q->iommu, at, &entry, sizeof(entry))) {
			*leaf = (struct cbit_pt_leaf){ 0 };
			*f = (struct failure){ CBIT_VI_EVT_PAGETAB_HW_ERROR,
					       GN | CBIT_VI_EVT_MASTER_ABORT,
					       at.v & ~q->iommu->c_mask };
			return -EIO;
		}
		if (!(entry & CBIT_VI_GCR3_V))
			return gcr3_failed(f, -ENOENT, 0, gva, leaf);
		if (entry & CBIT_VI_GCR3_RESERVED)
			return gcr3_failed(f, -EIO, entry, gva, leaf);
	}
	*root = entry & CBIT_VI_GCR3_ADDR;
	return 0;
}

static int walk_nested(struct request *q, uint64_t root, unsigned int mode, uint64_t gva,
		       struct cbit_pt_nested_leaf *out)
{
	const struct cbit_pt_nested nested = {
		.guest_mode = mode,
		.gpa_bits = 52,
		.guest_root = root,
		.host_format = CBIT_PT_AMDV1,
		.host_mode = q->dte.mode,
		.host_root = q->dte.root,
	};

	return cbit_pt_walk_nested(q->iommu->mem, &nested, CBIT_IOVA(gva), out);
}

/* Levels of the guest's tables. Those of PASID 0 take addresses as they are. */
static unsigned int guest_mode(const struct request *q)
{
	return q->dte.guest_mode | (q->ctx & 0xfffff ? CBIT_PT_SIGN_EXTEND : 0);
}

/* A fault of the second stage names the GPA, as a page fault of the host's. */
static void nested_failed(struct failure *f, int err, const struct cbit_pt_nested_leaf *out,
			  uint64_t gva)
{
	struct cbit_pt_leaf at = out->leaf;

	if (out->stage == 2) {
		cbit_failure_of_walk(f, err, &at, out->gpa, 0);
	} else {
		at.level = out->guest_level;
		cbit_failure_of_walk(f, err, &at, gva, GN);
	}
}

/* The page is marked in the host's table, once both stages have let the request pass. */
static int mark_host(struct request *q, const struct cbit_pt_nested_leaf *at, uint64_t gva,
		     unsigned int marks, struct cbit_pt_leaf *leaf)
{
	struct cbit_pt_leaf host;
	int err;

	leaf->attrs &= ~(CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY);
	if (!marks || cbit_request_denied(q, leaf))
		return 0;
	err = cbit_pt_walk_mark(q->iommu->mem, CBIT_PT_AMDV1, q->dte.root, q->dte.mode,
				CBIT_IOVA(at->gpa + (gva - leaf->iova.v)), marks, &host);
	leaf->attrs |= host.attrs & marks;
	return err;
}

/* What users may not reach, or may not execute, is not marked by them either. */
static int walk_guest(struct request *q, uint64_t root, uint64_t gva, unsigned int marks,
		      struct cbit_pt_leaf *leaf)
{
	struct cbit_mem *mem = q->iommu->mem;
	struct cbit_bus top = { root };
	int err = cbit_pt_walk_from(mem, CBIT_PT_X86_64, top, guest_mode(q), CBIT_IOVA(gva), leaf);

	if (err || !(marks & ~leaf->attrs) || cbit_request_denied(q, leaf))
		return err;
	return cbit_pt_walk_mark(mem, CBIT_PT_X86_64, top, guest_mode(q), CBIT_IOVA(gva), marks,
				 leaf);
}

int cbit_guest_walk(struct request *q, uint64_t gva, unsigned int marks, struct cbit_pt_leaf *leaf,
		    struct failure *f)
{
	struct cbit_pt_nested_leaf out;
	uint64_t root;
	int err = gcr3_find(q, gva, &root, leaf, f);

	if (err) {
		leaf_is_page(leaf, gva);
		return err;
	}
	if (q->dte.mode) {
		err = walk_nested(q, root, guest_mode(q), gva, &out);
		*leaf = out.leaf;
		if (!err)
			err = mark_host(q, &out, gva, marks, leaf);
		if (err)
			nested_failed(f, err, &out, gva);
	} else {
		err = walk_guest(q, root, gva, marks, leaf);
		if (err)
			cbit_failure_of_walk(f, err, leaf, gva, GN);
	}
	if (err && err != -ENOENT)
		leaf_is_page(leaf, gva);
	return err;
}

void cbit_guest_denied(struct request *q, uint64_t gva, struct failure *f)
{
	unsigned int want = q->atomic ? CBIT_ATTR_RW : q->write ? CBIT_ATTR_WRITE : CBIT_ATTR_READ;
	struct cbit_pt_nested_leaf out;
	struct cbit_pt_leaf leaf;
	struct failure none;
	uint64_t root, gpa;

	f->flags |= GN;
	if (!q->dte.mode || gcr3_find(q, gva, &root, &leaf, &none) ||
	    walk_nested(q, root, guest_mode(q), gva, &out))
		return;
	gpa = out.gpa + (gva - out.leaf.iova.v);
	if (cbit_pt_walk_from(q->iommu->mem, CBIT_PT_AMDV1, q->dte.root, q->dte.mode,
			      CBIT_IOVA(gpa), &leaf) ||
	    (leaf.attrs & want) == want)
		return;
	f->flags &= ~GN;
	f->address = gpa;
}
