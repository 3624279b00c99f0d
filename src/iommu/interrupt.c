/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt remapping: from a device's write to what reaches the APICs (AMD I/O Virtualization
 * Technology Specification, section 2.2.5), and the IRTEs that are cached on the way.
 *
 * Field layouts: union irte and struct irte_ga in Linux drivers/iommu/amd/amd_iommu_types.h.
 */
#include <errno.h>

#include "internal.h"

#define MSI_FIRST UINT64_C(0xfee00000)
#define MSI_LAST  UINT64_C(0xfeefffff)

#define DELIVERY_FIXED  0u
#define DELIVERY_LOWEST 1u
#define DELIVERY_NMI    4u
#define DELIVERY_INIT   5u
#define DELIVERY_EXTINT 7u

/* Bits that must be zero with GuestMode=0. */
#define IRTE32_RESERVED  UINT64_C(0xff000000)
#define IRTE128_LO_NO_XT UINT64_C(0xffffffffffff0000)
#define IRTE128_LO_XT    UINT64_C(0xffffffff00000000)
#define IRTE128_HI_NO_XT UINT64_C(0xffffffffffffff00)
#define IRTE128_HI_XT    UINT64_C(0x00ffffffffffff00)

/* @control: as it was when the request came. */
struct msi_request {
	struct cbit_iommu *iommu;
	uint16_t devid;
	uint64_t address;
	uint32_t data;
	uint64_t control;
	uint64_t dte[DTE_WORDS];
	unsigned int index;
	struct cbit_msi out;
};

/* --- cache --- */

static struct irt_slot *slot(struct cbit_iommu *iommu, const struct msi_request *r)
{
	return &iommu->irt.slot[(r->devid * 31u + r->index) % IRT_CACHE];
}

static uint64_t make_tag(const struct msi_request *r)
{
	return UINT64_C(1) << 63 | (uint64_t)(r->control & CBIT_VI_CTRL_GA ? 1 : 0) << 32 |
	       (uint64_t)r->devid << 16 | r->index;
}

static bool lookup(struct msi_request *r, uint64_t irte[2])
{
	const struct irt_slot *s = slot(r->iommu, r);
	bool hit;

	if (r->control & CBIT_VI_CTRL_IRT_UNCACHED)
		return false;
	pthread_mutex_lock(&r->iommu->irt.lock);
	hit = s->tag == make_tag(r);
	irte[0] = s->lo;
	irte[1] = s->hi;
	pthread_mutex_unlock(&r->iommu->irt.lock);
	return hit;
}

static void fill(struct msi_request *r, const uint64_t irte[2])
{
	struct irt_slot *s = slot(r->iommu, r);

	if (r->control & CBIT_VI_CTRL_IRT_UNCACHED || !(irte[0] & CBIT_VI_IRTE_REMAP_EN))
		return;
	pthread_mutex_lock(&r->iommu->irt.lock);
	*s = (struct irt_slot){ .tag = make_tag(r), .lo = irte[0], .hi = irte[1] };
	pthread_mutex_unlock(&r->iommu->irt.lock);
}

void cbit_irt_forget(struct cbit_iommu *iommu, uint16_t devid)
{
	for (unsigned int i = 0; i < IRT_CACHE; i++)
		if ((iommu->irt.slot[i].tag >> 16 & 0xffff) == devid)
			iommu->irt.slot[i].tag = 0;
}

void cbit_irt_forget_all(struct cbit_iommu *iommu)
{
	for (unsigned int i = 0; i < IRT_CACHE; i++)
		iommu->irt.slot[i].tag = 0;
}

/* --- faults --- */

static enum cbit_msi_fate fault(struct msi_request *r, unsigned int code, unsigned int flags,
				uint64_t address)
{
	cbit_iommu_log(r->iommu, &(struct cbit_vi_event){
					 .code = code,
					 .flags = flags | CBIT_VI_EVT_I,
					 .devid = r->devid,
					 .domid = (uint16_t)(r->dte[1] & CBIT_VI_DTE1_DOMAIN),
					 .address = address,
				 });
	return CBIT_MSI_ABORTED;
}

/* No entry, or one that does not remap. The device's DTE may ask for silence. */
static enum cbit_msi_fate unmapped(struct msi_request *r, uint64_t irte)
{
	if (r->dte[2] & CBIT_VI_DTE2_IG || irte & CBIT_VI_IRTE_SUP_IOPF)
		return CBIT_MSI_ABORTED;
	return fault(r, CBIT_VI_EVT_IO_PAGE_FAULT, 0, r->address);
}

/* --- remapping --- */

static int fetch(struct msi_request *r, uint64_t irte[2], struct cbit_bus *at)
{
	unsigned int size = r->control & CBIT_VI_CTRL_GA ? 16 : 4;
	int err;

	irte[0] = 0;
	irte[1] = 0;
	at->v = (r->dte[2] & CBIT_VI_DTE2_ROOT) + (uint64_t)r->index * size;
	if (lookup(r, irte))
		return 0;
	/* What was cached under another tag. */
	irte[0] = 0;
	irte[1] = 0;
	err = cbit_table_read(r->iommu, *at, irte, size);
	if (!err)
		fill(r, irte);
	return err;
}

/* False for a reserved bit or encoding. */
static bool decode_irte(struct msi_request *r, const uint64_t irte[2])
{
	bool ga = r->control & CBIT_VI_CTRL_GA, xt = ga && r->control & CBIT_VI_CTRL_XT;
	unsigned int type = (unsigned int)(irte[0] >> CBIT_VI_IRTE_TYPE_SHIFT & 7);

	/* Posting to a guest's virtual APIC is a feature that is not there (GAMSup 0). */
	if (type > DELIVERY_LOWEST || irte[0] & CBIT_VI_IRTE_GUEST)
		return false;
	r->out.delivery = (uint8_t)type;
	r->out.logical = irte[0] & CBIT_VI_IRTE_DM;
	r->out.index = (uint16_t)r->index;
	if (!ga) {
		r->out.dest = (uint32_t)(irte[0] >> 8 & 0xff);
		r->out.vector = (uint8_t)(irte[0] >> 16);
		return !(irte[0] & IRTE32_RESERVED);
	}
	r->out.vector = (uint8_t)irte[1];
	if (!xt) {
		r->out.dest = (uint32_t)(irte[0] >> 8 & 0xff);
		return !(irte[0] & IRTE128_LO_NO_XT) && !(irte[1] & IRTE128_HI_NO_XT);
	}
	r->out.dest = (uint32_t)(irte[0] >> 8 & 0xffffff) | (uint32_t)(irte[1] >> 56) << 24;
	return !(irte[0] & IRTE128_LO_XT) && !(irte[1] & IRTE128_HI_XT);
}

static enum cbit_msi_fate remap(struct msi_request *r)
{
	unsigned int limit = 1u << (r->dte[2] >> CBIT_VI_DTE2_LEN_SHIFT & 0xf);
	bool big = r->control & CBIT_VI_CTRL_IRT_2K;
	struct cbit_bus at;
	uint64_t irte[2];

	if (limit > (big ? 2048u : 512u))
		limit = big ? 2048 : 512;
	r->index = r->data & 0x7ff;
	if (r->index >= limit)
		return unmapped(r, 0);
	if (fetch(r, irte, &at))
		return fault(r, CBIT_VI_EVT_PAGETAB_HW_ERROR, CBIT_VI_EVT_MASTER_ABORT,
			     at.v & ~r->iommu->c_mask);
	if (!(irte[0] & CBIT_VI_IRTE_REMAP_EN))
		return unmapped(r, irte[0]);
	if (!decode_irte(r, irte)) {
		if (irte[0] & CBIT_VI_IRTE_SUP_IOPF)
			return CBIT_MSI_ABORTED;
		return fault(r, CBIT_VI_EVT_IO_PAGE_FAULT, CBIT_VI_EVT_PR | CBIT_VI_EVT_RZ,
			     r->address);
	}
	return CBIT_MSI_REMAPPED;
}

/* --- decisions --- */

static enum cbit_msi_fate forward(struct msi_request *r)
{
	r->out = (struct cbit_msi){
		.dest = (uint32_t)(r->address >> 12 & 0xff),
		.vector = (uint8_t)r->data,
		.delivery = (uint8_t)(r->data >> 8 & 7),
		.logical = r->address & 4,
	};
	return CBIT_MSI_FORWARDED;
}

/* NMI, INIT and ExtINT have a bit each in the DTE that lets them pass; others have none. */
static bool passes(const struct msi_request *r, unsigned int delivery)
{
	switch (delivery) {
	case DELIVERY_NMI:
		return r->dte[2] & CBIT_VI_DTE2_NMI;
	case DELIVERY_INIT:
		return r->dte[2] & CBIT_VI_DTE2_INIT;
	case DELIVERY_EXTINT:
		return r->dte[2] & CBIT_VI_DTE2_EINT;
	default:
		return false;
	}
}

static enum cbit_msi_fate decide(struct msi_request *r)
{
	unsigned int delivery = r->data >> 8 & 7;
	bool dm = r->address & 4;
	int err;

	if (!(r->control & CBIT_VI_CTRL_ENABLE))
		return forward(r);
	err = cbit_dte_load(r->iommu, r->devid, r->dte);
	if (err == -ENXIO)
		return fault(r, CBIT_VI_EVT_IO_PAGE_FAULT, 0, r->address);
	if (err < 0)
		return fault(r, CBIT_VI_EVT_DEVTAB_HW_ERROR, CBIT_VI_EVT_MASTER_ABORT,
			     cbit_dte_spa(r->iommu, r->devid));
	if (!(r->dte[2] & CBIT_VI_DTE2_IV))
		return forward(r);
	if (cbit_dte_check(r->dte, CBIT_IOMMU_EFR, true) != CBIT_DTE_LEGAL)
		return fault(r, CBIT_VI_EVT_ILLEGAL_DTE, CBIT_VI_EVT_RZ, r->address);
	/*
	 * With tables of 2048 entries the index reaches into the bits of the delivery mode: DM=1,
	 * which only fixed and lowest-priority interrupts may have, tells that it does (Linux:
	 * fill_msi_msg() in drivers/iommu/amd/iommu.c).
	 */
	if (delivery > DELIVERY_LOWEST && !(dm && r->control & CBIT_VI_CTRL_IRT_2K)) {
		if (!dm && passes(r, delivery))
			return forward(r);
		return fault(r, CBIT_VI_EVT_IO_PAGE_FAULT, 0, r->address);
	}
	switch (r->dte[2] >> CBIT_VI_DTE2_INTCTL_SHIFT & 3) {
	case CBIT_VI_INTCTL_FORWARD:
		return forward(r);
	case CBIT_VI_INTCTL_REMAP:
		return remap(r);
	default:
		return fault(r, CBIT_VI_EVT_IO_PAGE_FAULT, 0, r->address);
	}
}

enum cbit_msi_fate cbit_iommu_msi(struct cbit_iommu *iommu, uint16_t devid, uint64_t address,
				  uint32_t data, struct cbit_msi *out)
{
	struct msi_request r = {
		.iommu = iommu,
		.devid = devid,
		.address = address,
		.data = data,
	};
	enum cbit_msi_fate fate;

	if (address < MSI_FIRST || address > MSI_LAST)
		return CBIT_MSI_NONE;
	pthread_rwlock_rdlock(&iommu->lock);
	r.control = cbit_control(iommu);
	fate = decide(&r);
	cbit_iommu_unlock(iommu);
	if (out && (fate == CBIT_MSI_FORWARDED || fate == CBIT_MSI_REMAPPED))
		*out = r.out;
	return fate;
}
