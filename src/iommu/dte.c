/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device table in memory and the entries of it that the IOMMU has cached.
 *
 * As in hardware, an entry that was used is not read again until INVALIDATE_DEVTAB_ENTRY or
 * INVALIDATE_IOMMU_ALL; whoever writes to the table has to say so. cbit_dte_write() does.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

/* --- memory --- */

static int dte_at(struct cbit_iommu *iommu, uint16_t devid, struct cbit_bus *out)
{
	uint64_t reg = __atomic_load_n(&iommu->regs.devtab, __ATOMIC_RELAXED);
	uint64_t offset = (uint64_t)devid * DTE_BYTES;

	out->v = (reg & CBIT_VI_BASE_MASK) + offset;
	return offset < ((reg & CBIT_VI_DEVTAB_SIZE) + 1) * CBIT_PAGE_SIZE ? 0 : -ENXIO;
}

uint64_t cbit_dte_spa(struct cbit_iommu *iommu, uint16_t devid)
{
	struct cbit_bus at;

	dte_at(iommu, devid, &at);
	return at.v & ~iommu->c_mask;
}

static int dte_fetch(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[DTE_WORDS])
{
	struct cbit_bus at;
	int err = dte_at(iommu, devid, &at);

	return err ? err : cbit_table_read(iommu, at, dte, DTE_BYTES);
}

int cbit_dte_init(struct cbit_iommu *iommu)
{
	struct cbit_bus at = cbit_driver_bus(iommu, iommu->devtab);
	uint64_t page[CBIT_PAGE_SIZE / sizeof(uint64_t)] = { 0 };

	for (size_t i = 0; i < sizeof(page) / sizeof(page[0]); i += DTE_WORDS)
		page[i] = CBIT_VI_DTE0_V;
	for (unsigned int i = 0; i < DEVTAB_PAGES; i++, at.v += CBIT_PAGE_SIZE)
		if (cbit_driver_write(iommu, at, page, sizeof(page)))
			return -ENOMEM;
	return 0;
}

/* Word 0 goes last: it holds V and the root. */
static void dte_store(struct cbit_iommu *iommu, uint16_t devid, uint64_t word0, uint64_t word1)
{
	struct cbit_bus at;

	if (dte_at(iommu, devid, &at))
		return;
	cbit_driver_write(iommu, (struct cbit_bus){ at.v + sizeof(word0) }, &word1, sizeof(word1));
	cbit_driver_write(iommu, at, &word0, sizeof(word0));
}

void cbit_dte_write(struct cbit_iommu *iommu, uint16_t devid, struct cbit_domain *domain)
{

	if (!domain) {
		dte_store(iommu, devid, CBIT_VI_DTE0_V, 0);
	} else {
		domain->top = cbit_driver_bus(iommu, cbit_pt_root(domain->pt)).v |
			      (uint64_t)cbit_pt_mode(domain->pt) << CBIT_VI_DTE0_MODE_SHIFT;
		dte_store(iommu, devid,
			  CBIT_VI_DTE0_V | CBIT_VI_DTE0_TV | domain->top |
				  (domain->dirty ? CBIT_VI_DTE0_HAD : 0) | CBIT_VI_DTE0_IR |
				  CBIT_VI_DTE0_IW,
			  domain->id);
	}
	cbit_dte_forget(iommu, devid);
	cbit_stat_add(&iommu->stats.invalidations, 1);
}

void cbit_iommu_dte(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[4])
{
	pthread_rwlock_rdlock(&iommu->lock);
	if (dte_fetch(iommu, devid, dte))
		memset(dte, 0xff, DTE_BYTES);
	cbit_iommu_unlock(iommu);
}

/* --- cache: the same protocol as in iotlb.c --- */

static struct dte_slot *slot(struct cbit_iommu *iommu, uint16_t devid)
{
	return &iommu->dtes[devid % DTE_CACHE];
}

static bool lookup(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[DTE_WORDS])
{
	const struct dte_slot *s = slot(iommu, devid);
	uint32_t seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);

	if (seq & 1 || __atomic_load_n(&s->tag, __ATOMIC_ACQUIRE) != devid + 1u)
		return false;
	for (unsigned int i = 0; i < DTE_WORDS; i++)
		dte[i] = __atomic_load_n(&s->word[i], __ATOMIC_ACQUIRE);
	return __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE) == seq;
}

static void fill(struct cbit_iommu *iommu, uint16_t devid, const uint64_t dte[DTE_WORDS])
{
	struct dte_slot *s = slot(iommu, devid);
	uint32_t seq = __atomic_load_n(&s->seq, __ATOMIC_RELAXED);

	if (seq & 1 || !__atomic_compare_exchange_n(&s->seq, &seq, seq + 1, false, __ATOMIC_ACQUIRE,
						    __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&s->tag, devid + 1u, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < DTE_WORDS; i++)
		__atomic_store_n(&s->word[i], dte[i], __ATOMIC_RELEASE);
	__atomic_store_n(&s->seq, seq + 2, __ATOMIC_RELEASE);
}

void cbit_dte_forget(struct cbit_iommu *iommu, uint16_t devid)
{
	struct dte_slot *s = slot(iommu, devid);

	if (s->tag == devid + 1u)
		__atomic_store_n(&s->tag, 0, __ATOMIC_RELAXED);
}

void cbit_dte_forget_all(struct cbit_iommu *iommu)
{
	for (unsigned int i = 0; i < DTE_CACHE; i++)
		__atomic_store_n(&iommu->dtes[i].tag, 0, __ATOMIC_RELAXED);
}

/* --- meaning --- */

int cbit_dte_load(struct cbit_iommu *iommu, uint16_t devid, uint64_t dte[DTE_WORDS])
{
	int err;

	if (lookup(iommu, devid, dte))
		return 1;
	err = dte_fetch(iommu, devid, dte);
	if (err)
		return err;
	if (dte[0] & CBIT_VI_DTE0_V &&
	    cbit_dte_check(dte, CBIT_IOMMU_EFR, false) == CBIT_DTE_LEGAL &&
	    cbit_dte_check(dte, CBIT_IOMMU_EFR, true) == CBIT_DTE_LEGAL)
		fill(iommu, devid, dte);
	return 0;
}

/* The root of the GCR3 table is in three fields; its C-bit is among them. */
static uint64_t gcr3_root(const uint64_t dte[DTE_WORDS])
{
	return (dte[0] & CBIT_VI_DTE0_GCR3) >> CBIT_VI_DTE0_GCR3_SHIFT << 12 |
	       (dte[1] & CBIT_VI_DTE1_GCR3_MID) >> 16 << 15 |
	       (dte[1] & CBIT_VI_DTE1_GCR3_HIGH) >> 43 << 31;
}

static void decode_guest(struct cbit_iommu *iommu, const uint64_t dte[DTE_WORDS], struct dte *out)
{
	uint64_t control = cbit_control(iommu);

	if (!(dte[0] & CBIT_VI_DTE0_GV) || !(control & CBIT_VI_CTRL_GT))
		return;
	out->guest = true;
	out->giov = dte[0] & CBIT_VI_DTE0_GIOV;
	out->gcr3_gpa = control & CBIT_VI_CTRL_GCR3_GPA;
	out->glx = (unsigned int)((dte[0] & CBIT_VI_DTE0_GLX) >> CBIT_VI_DTE0_GLX_SHIFT);
	out->guest_mode =
		4 + (unsigned int)((dte[2] & CBIT_VI_DTE2_GUEST_PAGING) >> CBIT_VI_DTE2_GPM_SHIFT);
	out->gcr3.v = gcr3_root(dte);
}

void cbit_dte_decode(struct cbit_iommu *iommu, uint16_t devid, struct dte *out)
{
	uint64_t dte[DTE_WORDS];
	enum cbit_dte_verdict verdict;
	int err;

	*out = (struct dte){ .state = DTE_PASS, .rights = CBIT_ATTR_RW };
	if (!(cbit_control(iommu) & CBIT_VI_CTRL_ENABLE))
		return;
	err = cbit_dte_load(iommu, devid, dte);
	if (err < 0) {
		out->state = err == -ENXIO ? DTE_BEYOND : DTE_UNREADABLE;
		return;
	}
	if (!(dte[0] & CBIT_VI_DTE0_V))
		return;
	verdict = err ? CBIT_DTE_LEGAL : cbit_dte_check(dte, CBIT_IOMMU_EFR, false);
	if (verdict != CBIT_DTE_LEGAL) {
		out->state = verdict == CBIT_DTE_LEVEL ? DTE_ILLEGAL_LEVEL : DTE_ILLEGAL;
		return;
	}
	out->domid = (uint16_t)(dte[1] & CBIT_VI_DTE1_DOMAIN);
	decode_guest(iommu, dte, out);
	out->silent = dte[1] & CBIT_VI_DTE1_SA;
	if (!(dte[0] & CBIT_VI_DTE0_TV)) {
		out->state = DTE_BLOCKED;
		return;
	}
	out->mode = (unsigned int)((dte[0] & CBIT_VI_DTE0_MODE) >> CBIT_VI_DTE0_MODE_SHIFT);
	out->root.v = dte[0] & CBIT_VI_BASE_MASK;
	out->rights = (dte[0] & CBIT_VI_DTE0_IR ? CBIT_ATTR_READ : 0) |
		      (dte[0] & CBIT_VI_DTE0_IW ? CBIT_ATTR_WRITE : 0);
	out->marks = (dte[0] & CBIT_VI_DTE0_HAD ? CBIT_ATTR_ACCESSED : 0) |
		     (dte[0] & CBIT_VI_DTE0_HAD & ~CBIT_VI_DTE0_HAD_A ? CBIT_ATTR_DIRTY : 0);
	out->state = DTE_TRANSLATE;
}
