/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register page. Clients write it as memory; what they wrote is found by comparing it with what
 * it should be. What they may not write is put back, as hardware ignores such writes.
 *
 * INTMC reads as 0 in memory, not as the mask: a write that clears mask bits would otherwise store
 * what is there already. (Accesses that call the model do read the mask.)
 */
#include "nvme.h"

#include <string.h>

#define WORD(reg) ((reg) / 4)
#define TO_HALF_S 60u /* CAP.TO: 30 s */

static uint32_t load(const struct nvme *n, uint32_t reg)
{
	return __atomic_load_n(&n->regs[WORD(reg)], __ATOMIC_ACQUIRE);
}

static uint64_t load64(const struct nvme *n, uint32_t reg)
{
	return load(n, reg) | (uint64_t)load(n, reg + 4) << 32;
}

/* What the register should be. */
static uint32_t *shadow(struct nvme *n, uint32_t reg)
{
	return WORD(reg) < NVME_REG_WORDS ? &n->shadow[WORD(reg)]
					  : &n->pmr_shadow[WORD(reg - NVME_PMRCAP)];
}

/* The register is to read as @value from now on. */
void nvme_regs_store32(struct nvme *n, uint32_t reg, uint32_t value)
{
	__atomic_store_n(shadow(n, reg), value, __ATOMIC_RELAXED);
	/* A device that has lost its link reads all ones. */
	if (!atomic_load_explicit(&n->pci->gone, memory_order_relaxed))
		__atomic_store_n(&n->regs[WORD(reg)], value, __ATOMIC_RELEASE);
}

static void store64(struct nvme *n, uint32_t reg, uint64_t value)
{
	nvme_regs_store32(n, reg, (uint32_t)value);
	nvme_regs_store32(n, reg + 4, (uint32_t)(value >> 32));
}

/* The client's @seen becomes @value, unless he has written something else by now. */
static void settle(struct nvme *n, uint32_t reg, uint32_t seen, uint32_t value)
{
	__atomic_store_n(shadow(n, reg), value, __ATOMIC_RELAXED);
	if (seen != value)
		__atomic_compare_exchange_n(&n->regs[WORD(reg)], &seen, value, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/*
 * One at a time, for some of what registers do waits with the lock dropped: whoever came between
 * would start from what is half done, and an old value would be the last word.
 */
void nvme_regs_enter(struct nvme *n)
{
	while (n->scanning)
		pthread_cond_wait(&n->idle, &n->pci->lock);
	n->scanning = true;
}

void nvme_regs_leave(struct nvme *n)
{
	n->scanning = false;
	pthread_cond_broadcast(&n->idle);
}

static bool differ(const uint32_t *is, const uint32_t *should, unsigned int words)
{
	for (unsigned int i = 0; i < words; i += 2) {
		if (__atomic_load_n((const uint64_t *)(const void *)&is[i], __ATOMIC_RELAXED) !=
		    __atomic_load_n((const uint64_t *)(const void *)&should[i], __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

bool nvme_regs_touched(const struct nvme *n)
{
	return differ(n->regs, n->shadow, NVME_REG_WORDS) ||
	       differ(&n->regs[WORD(NVME_PMRCAP)], n->pmr_shadow, NVME_PMR_WORDS);
}

/* --- the controller memory buffer --- */

/* CMBSZ counts up to 2^20 - 1 units; units grow by 16. */
uint32_t nvme_regs_cmb_size(uint64_t size)
{
	unsigned int szu = 0;

	while (size >> 12 >> 4 * szu > 0xfffff)
		szu++;
	return NVME_CMBSZ_SZU(szu) | NVME_CMBSZ_SZ(size >> 12 >> 4 * szu);
}

/* Locked, with no worker busy: those look up addresses without the lock. */
static void cmb_update(struct nvme *n)
{
	const bool capable = n->cmbmsc & NVME_CMBMSC_CRE;
	uint64_t base = NVME_CMBMSC_CBA(n->cmbmsc);
	bool bad;

	nvme_regs_store32(n, NVME_CMBLOC,
			  capable ? NVME_CMB_BAR | NVME_CMBLOC_CQMMS | NVME_CMBLOC_CQPDS |
					    NVME_CMBLOC_CDPMLS | NVME_CMBLOC_CDPCILS |
					    NVME_CMBLOC_CDMMMS | NVME_CMBLOC_CQDA
				  : 0);
	nvme_regs_store32(n, NVME_CMBSZ,
			  capable ? NVME_CMBSZ_SQS | NVME_CMBSZ_CQS | NVME_CMBSZ_LISTS |
					    NVME_CMBSZ_RDS | NVME_CMBSZ_WDS |
					    nvme_regs_cmb_size(n->cmb_size)
				  : 0);
	bad = n->cmb_size && (!nvme_range_fits(base, n->cmb_size) ||
			      (n->pmr.on && base <= n->pmr.base + (n->pmr.size - 1) &&
			       n->pmr.base <= base + (n->cmb_size - 1)));
	n->cmb_base = base;
	n->cmb_on = capable && n->cmbmsc & NVME_CMBMSC_CMSE && !bad;
	nvme_regs_store32(n, NVME_CMBSTS,
			  n->cmbmsc & NVME_CMBMSC_CMSE && bad ? NVME_CMBSTS_CBAI : 0);
}

/* --- the controller's life --- */

void nvme_regs_fatal(struct nvme *n)
{
	n->halted = true;
	n->csts |= NVME_CSTS_CFS;
	nvme_regs_store32(n, NVME_CSTS, n->csts);
}

void nvme_regs_reset(struct nvme *n)
{
	nvme_quiesce(n, NULL);
	nvme_queues_clear(n);
	nvme_log_forget(n);
	nvme_feature_defaults(n);
	n->shadowed = false;
	n->halted = false;
	n->intms = 0;
	n->csts &= NVME_CSTS_NSSRO;
	nvme_pin(n);
	nvme_regs_store32(n, NVME_INTMS, 0);
	nvme_regs_store32(n, NVME_CSTS, n->csts);
	nvme_resume(n);
}

static bool may_start(const struct nvme *n, uint32_t aqa, uint64_t asq, uint64_t acq)
{
	const uint64_t page = (uint64_t)1 << nvme_page_shift(n);

	return NVME_CC_MPS(n->cc) <= NVME_MPS_MAX && NVME_CC_CSS(n->cc) == NVME_CSS_NVM &&
	       !NVME_CC_AMS(n->cc) && NVME_AQA_ASQS(aqa) >= 2 && NVME_AQA_ACQS(aqa) >= 2 &&
	       !(asq & (page - 1)) && !(acq & (page - 1));
}

static void enable(struct nvme *n)
{
	uint32_t aqa = load(n, NVME_AQA);
	uint64_t asq = load64(n, NVME_ASQ), acq = load64(n, NVME_ACQ);

	if (!may_start(n, aqa, asq, acq)) {
		nvme_regs_fatal(n);
		return;
	}
	nvme_queue_create_cq(n, 0, NVME_AQA_ACQS(aqa), acq, true, 0);
	nvme_queue_create_sq(n, 0, 0, NVME_AQA_ASQS(aqa), asq);
	n->csts = NVME_CSTS_RDY | (n->csts & NVME_CSTS_NSSRO);
	nvme_regs_store32(n, NVME_CSTS, n->csts);
}

/* What was written is in the files by then; this is for what is below them. */
static void shutdown(struct nvme *n)
{
	nvme_quiesce(n, NULL);
	for (unsigned int i = 0; i < n->nr_ns; i++)
		nvme_store_flush(&n->ns[i]);
	nvme_pmr_sync(n);
	nvme_resume(n);
	n->csts = (n->csts & ~NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_DONE;
	nvme_regs_store32(n, NVME_CSTS, n->csts);
}

static void write_cc(struct nvme *n, uint32_t cc)
{
	const uint32_t old = n->cc;

	if (old & NVME_CC_EN && !(cc & NVME_CC_EN))
		nvme_regs_reset(n);
	n->cc = cc;
	if (!(old & NVME_CC_EN) && cc & NVME_CC_EN)
		enable(n);
	if (!NVME_CC_SHN(old) && NVME_CC_SHN(cc)) {
		shutdown(n);
	} else if (NVME_CC_SHN(old) && !NVME_CC_SHN(cc)) {
		n->csts &= ~NVME_CSTS_SHST_MASK;
		nvme_regs_store32(n, NVME_CSTS, n->csts);
	}
}

static void scan_masks(struct nvme *n)
{
	uint32_t set = load(n, NVME_INTMS), clear = load(n, NVME_INTMC), was = n->intms;

	if (set != n->intms)
		n->intms |= set;
	if (clear)
		n->intms &= ~clear;
	settle(n, NVME_INTMS, set, n->intms);
	settle(n, NVME_INTMC, clear, 0);
	if (n->intms != was)
		nvme_pin(n);
	/* A message that was held back is sent now. */
	for (unsigned int i = 0; was & ~n->intms && i < n->nr_queues; i++) {
		const struct nvme_cq *cq = &n->cq[i];

		if (cq->exists && cq->ien && cq->tail != cq->head && cq->vector < 32 &&
		    (was & ~n->intms) >> cq->vector & 1 && pci_irq_messages(n->pci))
			pci_irq_raise(n->pci, cq->vector);
	}
}

static void scan_cc(struct nvme *n)
{
	uint32_t cc = load(n, NVME_CC);

	settle(n, NVME_CC, cc, cc & 0x00fffff1u);
	if ((cc & 0x00fffff1u) != n->cc)
		write_cc(n, cc & 0x00fffff1u);
}

static void scan_status(struct nvme *n)
{
	uint32_t csts = load(n, NVME_CSTS), nssr = load(n, NVME_NSSR);

	if (csts != n->csts)
		n->csts &= ~(csts & NVME_CSTS_NSSRO);
	settle(n, NVME_CSTS, csts, n->csts);
	settle(n, NVME_NSSR, nssr, 0);
	if (nssr != NVME_NSSR_MAGIC || !(n->cap & NVME_CAP_NSSRS))
		return;
	nvme_regs_reset(n);
	nvme_regs_init(n);
	n->csts = NVME_CSTS_NSSRO;
	nvme_regs_store32(n, NVME_CSTS, n->csts);
}

static void accept(struct nvme *n, uint32_t reg, uint32_t writable)
{
	uint32_t v = load(n, reg);

	settle(n, reg, v, v & writable);
}

/* What the host says of where memories of the controller are for it, and PMRCTL. */
static void scan_memories(struct nvme *n)
{
	const uint64_t cmbmsc =
		n->shadow[WORD(NVME_CMBMSC)] | (uint64_t)n->shadow[WORD(NVME_CMBMSC) + 1] << 32;
	const uint64_t pmrmsc = *shadow(n, NVME_PMRMSCL) | (uint64_t)*shadow(n, NVME_PMRMSCU) << 32;
	const uint32_t pmrctl = *shadow(n, NVME_PMRCTL);

	if (cmbmsc == n->cmbmsc && pmrmsc == n->pmr.msc &&
	    !(pmrctl & NVME_PMRCTL_EN) == !atomic_load(&n->pmr.ready))
		return;
	nvme_quiesce(n, NULL);
	/* Of two that overlap the one that was there first stays. */
	if (pmrmsc != n->pmr.msc) {
		n->pmr.msc = pmrmsc;
		nvme_pmr_space(n);
	}
	n->cmbmsc = cmbmsc;
	cmb_update(n);
	nvme_pmr_space(n);
	nvme_pmr_control(n, pmrctl);
	nvme_resume(n);
}

void nvme_regs_scan(struct nvme *n)
{
	static const uint16_t constant[] = {
		NVME_CAP,    NVME_CAP + 4, NVME_VS,     0x18,         NVME_CMBLOC,     NVME_CMBSZ,
		0x40,        0x44,         0x48,        0x4c,         NVME_CMBSTS,     0x5c,
		NVME_PMRCAP, NVME_PMRSTS,  NVME_PMREBS, NVME_PMRSWTP, NVME_PMRMSCU + 4
	};

	if (atomic_load(&n->pci->gone))
		return;
	nvme_regs_enter(n);
	for (unsigned int i = 0; i < sizeof(constant) / sizeof(constant[0]); i++)
		settle(n, constant[i], load(n, constant[i]), *shadow(n, constant[i]));
	accept(n, NVME_AQA, 0x0fff0fffu);
	accept(n, NVME_ASQ, ~0xfffu);
	accept(n, NVME_ASQ + 4, ~0u);
	accept(n, NVME_ACQ, ~0xfffu);
	accept(n, NVME_ACQ + 4, ~0u);
	accept(n, NVME_CMBMSC, n->cmb_size ? 0xfffff003u : 0);
	accept(n, NVME_CMBMSC + 4, n->cmb_size ? ~0u : 0);
	accept(n, NVME_PMRCTL, n->pmr.size ? NVME_PMRCTL_EN : 0);
	accept(n, NVME_PMRMSCL, n->pmr.size ? 0xfffff002u : 0);
	accept(n, NVME_PMRMSCU, n->pmr.size ? ~0u : 0);
	scan_memories(n);
	scan_masks(n);
	scan_status(n);
	/* Last: it latches what was written before. */
	scan_cc(n);
	nvme_regs_leave(n);
}

void nvme_regs_init(struct nvme *n)
{
	n->cap = NVME_CAP_MQES(NVME_QUEUE_MAX) | NVME_CAP_CQR | NVME_CAP_TO(TO_HALF_S) |
		 NVME_CAP_CSS_NVM | NVME_CAP_MPSMAX(NVME_MPS_MAX) |
		 (n->cmb_size ? NVME_CAP_CMBS : 0) | (n->pmr.size ? NVME_CAP_PMRS : 0);
	/* A reset of the subsystem would be one of all its controllers. */
	if (!nvme_has_siblings(n))
		n->cap |= NVME_CAP_NSSRS;
	for (unsigned int i = 0; i < NVME_REG_WORDS; i++)
		nvme_regs_store32(n, 4 * i, 0);
	store64(n, NVME_CAP, n->cap);
	nvme_regs_store32(n, NVME_VS, NVME_VS_1_4);
	n->cc = 0;
	n->csts = 0;
	n->cmbmsc = 0;
	nvme_pmr_init(n);
	cmb_update(n);
}

/* --- accesses that are not stores of a client --- */

uint64_t nvme_bar_read(struct cbit_pci *pci, unsigned int bar, uint64_t offset, unsigned int size)
{
	const struct nvme *n = pci->state;
	uint64_t v = 0;

	memcpy(&v, (const uint8_t *)pci->bar[bar].memory + offset, size);
	if (offset == NVME_INTMC && size == 4)
		v = n->intms;
	return v;
}

void nvme_bar_write(struct cbit_pci *pci, unsigned int bar, uint64_t offset, unsigned int size,
		    uint64_t value, bool peer)
{
	struct nvme *n = pci->state;
	uint8_t *at = (uint8_t *)pci->bar[bar].memory + offset;

	/* Registers are dwords or quadwords; narrower writes are not NVMe's. */
	if (size < 4)
		return;
	if (offset < NVME_DOORBELLS && !peer)
		nvme_regs_scan(n);
	if (offset <= NVME_CSTS && NVME_CSTS - offset < size)
		n->csts &= ~((uint32_t)(value >> 8 * (NVME_CSTS - offset)) & NVME_CSTS_NSSRO);
	for (unsigned int i = 0; i < size; i += 4)
		__atomic_store_n((uint32_t *)(void *)(at + i), (uint32_t)(value >> 8 * i),
				 __ATOMIC_RELEASE);
	/* What may wait is for our own threads: a peer's access holds locks. */
	if (offset < NVME_DOORBELLS && !peer)
		nvme_regs_scan(n);
	for (unsigned int i = 0; i < n->nr_workers; i++)
		nvme_kick(n, i);
}
