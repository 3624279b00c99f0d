/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random machines, the state of one as the oracle has it, and the comparison of the two.
 */
#ifndef SIM_MODEL_RIG_H
#define SIM_MODEL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim_oracle.h"

#define DEVS   4u
#define PAGES  16u /* and as many again that come and go: coherent memory */
#define MAPS   24u
#define LENGTH (BLOCKS * BLOCK)
#define IOVA   UINT64_C(0x4000000000)

struct model {
	uint64_t seed, random;
	struct world w;
	struct dev devs[DEVS];
	struct page pages[2 * PAGES];
	bool coherent[2 * PAGES];
	unsigned int nr_pages;
	struct mapping maps[MAPS];
	uint64_t next_iova;
	uint8_t pattern;
	uint32_t ids[3];
	bool quirk, ext, xt, dead;
	struct cbit_sim *sim;
	struct cbit_sim_result res;
	struct cbit_sim_op op;
	uint64_t count[CBIT_SIM_NR_OPS][CBIT_SIM_NR_OUTCOMES];
	uint64_t done;
};

static inline uint64_t next(struct model *m)
{
	uint64_t z = (m->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline unsigned int below(struct model *m, unsigned int n)
{
	return (unsigned int)(next(m) >> 33) % n;
}

static inline bool flip(struct model *m)
{
	return next(m) >> 63;
}

/* --- a machine --- */

static const char *const kernels[] = { "linux-6.17", "linux-7.2", "posted-mmio", "complete" };

static inline void choose_guest(struct model *m, struct cbit_sim_config *cfg)
{
	static const enum cbit_guest_kind kinds[] = { CBIT_GUEST_PLAIN, CBIT_GUEST_SEV,
						      CBIT_GUEST_SEV_ES, CBIT_GUEST_SNP,
						      CBIT_GUEST_SNP };
	struct world *w = &m->w;
	enum cbit_guest_kind kind = kinds[below(m, 5)];

	w->guest = true;
	w->confidential = kind != CBIT_GUEST_PLAIN;
	w->snp = kind == CBIT_GUEST_SNP;
	w->npt_c = flip(m);
	w->viommu = flip(m);
	if (!w->c_bit)
		w->c_bit = 51;
	cfg->guest = (struct cbit_sim_guest){ .present = true,
					      .kind = kind,
					      .npt_c = w->npt_c,
					      .viommu = w->viommu,
					      .derived = below(m, 3) != 0,
					      .nr_ids = 3,
					      .ext_dest_id = m->ext = flip(m),
					      .broadcast_quirk = m->quirk = flip(m),
					      .xt = m->xt = flip(m) };
	m->ids[0] = below(m, 255);
	m->ids[1] = 255;
	m->ids[2] = 256 + below(m, 32000);
	memcpy(cfg->guest.ids, m->ids, sizeof(m->ids));
	/* what the policy says by itself, in the table of docs/semantics.md */
	w->tables_shared = w->shared_clear = w->kernel == COMPLETE;
	w->mmio_clear = w->kernel != L617;
	if (cfg->guest.derived) {
		w->tables_shared = below(m, 4) != 0;
		w->shared_clear = flip(m);
		w->mmio_clear = flip(m);
		cfg->guest.switches =
			(struct cbit_policy_switches){ w->tables_shared, w->shared_clear,
						       w->mmio_clear };
	}
}

static inline void choose_devices(struct model *m, struct cbit_sim_config *cfg)
{
	static const unsigned int masks[] = { 0, 0, 32, 47 };

	cfg->nr_devices = DEVS;
	for (unsigned int i = 0; i < DEVS; i++) {
		struct dev *d = &m->devs[i];

		*d = (struct dev){ .guest = m->w.guest && i,
				   .direct = flip(m),
				   .untrusted = flip(m),
				   .mask = masks[below(m, 4)] };
		if (d->guest)
			d->emulated = (m->w.viommu && !d->direct) || flip(m);
		d->tdisp = d->guest && m->w.confidential && d->direct && !d->emulated && flip(m);
		cfg->devices[i] = (struct cbit_sim_device){
			.bar = CBIT_PAGE_SIZE,
			.mask = d->mask ? (UINT64_C(1) << d->mask) - 1 : 0,
			.guest = d->guest,
			.emulated = d->emulated,
			.direct = d->direct,
			.untrusted = d->untrusted,
			.tdisp = d->tdisp,
		};
		snprintf(cfg->devices[i].name, CBIT_SIM_NAME, "dev%u", i);
	}
}

static inline void choose(struct model *m, struct cbit_sim_config *cfg)
{
	static const char *const platforms[] = { "sme", "sme", "sme", "bare", "tsme" };

	*cfg = (struct cbit_sim_config){
		.regions = { { "ram", CBIT_MEM_DRAM, .size = 2 << 20, .guest = 1 << 20 },
			     { "cxl", CBIT_MEM_CXL_RAM, .size = 1 << 16, .guest = 1 << 15 },
			     { "gpu", CBIT_MEM_COHERENT, true, .size = 1 << 16, .guest = 1 << 15 },
			     { "card", CBIT_MEM_COHERENT, .size = 1 << 16, .guest = 1 << 15 } },
		.nr_regions = 4,
		.swiotlb = 1 << 18,
	};
	assert_int_equal(cbit_platform_preset(platforms[below(m, 5)], &cfg->platform), 0);
	m->w = (struct world){ .sme = cfg->platform.sme,
			       .tsme = cfg->platform.tsme,
			       .kernel = (enum kernel)below(m, 4) };
	if (m->w.sme && flip(m))
		cfg->platform.c_bit = cfg->platform.pa_bits = 47;
	m->w.c_bit = cfg->platform.c_bit;
	cfg->policy = cbit_policy_preset(kernels[m->w.kernel]);
	if (below(m, 3))
		choose_guest(m, cfg);
	choose_devices(m, cfg);
	for (unsigned int i = 0; !m->w.guest && i < cfg->nr_regions; i++)
		cfg->regions[i].guest = 0;
}

/* --- comparing --- */

static inline void failed(const struct model *m, const char *what, const char *want,
			  const char *got)
{
	const struct world *w = &m->w;
	const struct page *p = &m->pages[m->op.buf];
	const struct mapping *map = &m->maps[m->op.map];

	print_error("sme %d tsme %d guest %d confidential %d snp %d npt_c %d viommu %d tables %d "
		    "shared %d mmio %d kernel %s\n",
		    w->sme, w->tsme, w->guest, w->confidential, w->snp, w->npt_c, w->viommu,
		    w->tables_shared, w->shared_clear, w->mmio_clear, kernels[w->kernel]);
	print_error("page %u: place %d guest %d c %d assigned %d validated %d\n", m->op.buf,
		    p->place, p->guest, p->c, p->assigned, p->validated);
	print_error("mapping %u: dev %u page %u bounced %d dma-api %d c %d whole %d rights %u\n",
		    m->op.map, map->dev, map->page, map->bounced, map->dma_api, map->c, map->whole,
		    map->rights);
	print_error("device: guest %d emulated %d direct %d untrusted %d mask %u\n",
		    m->devs[m->op.dev].guest, m->devs[m->op.dev].emulated,
		    m->devs[m->op.dev].direct, m->devs[m->op.dev].untrusted,
		    m->devs[m->op.dev].mask);
	for (unsigned int i = 0; i < m->res.nr_findings; i++)
		print_error("finding %s\n", m->res.findings[i]);
	fail_msg("CBIT_SEED=%llu: operation %llu, %s by %s (who %d attrs %u offset 0x%llx length "
		 "0x%llx): %s: expected %s, found %s; %s",
		 (unsigned long long)m->seed, (unsigned long long)m->done,
		 cbit_sim_op_name(m->op.kind), cbit_sim_mapper_name(m->op.mapper), (int)m->op.who,
		 m->op.attrs, (unsigned long long)m->op.offset, (unsigned long long)m->op.len, what,
		 want, got, m->res.err.text);
}

/*
 * What goes wrong for a device is told, whatever it is. What goes well is not, but for a way that
 * only the IOTLB still had, and for a device that reads from a private page what it has left there
 * itself.
 */
static inline void want_told(const struct model *m)
{
	switch (m->res.outcome) {
	case CBIT_SIM_CIPHERTEXT:
	case CBIT_SIM_ABORT:
	case CBIT_SIM_LOST:
	case CBIT_SIM_FAULT:
		if (!m->res.nr_findings)
			failed(m, "findings", "one at least", "none");
		break;
	case CBIT_SIM_OK:
	case CBIT_SIM_PLAINTEXT:
		for (unsigned int i = 0; i < m->res.nr_findings; i++) {
			if (strcmp(m->res.findings[i], "stale-iotlb") != 0 &&
			    strcmp(m->res.findings[i], "private-page") != 0)
				failed(m, "findings", "none", m->res.findings[i]);
		}
		break;
	default:
		break;
	}
}

static inline void do_op(struct model *m)
{
	int ret = cbit_sim_do(m->sim, &m->op, &m->res);

	m->done++;
	if (ret)
		failed(m, "status", "0", strerror(-ret));
	m->count[m->op.kind][m->res.outcome]++;
	if (m->op.kind == CBIT_SIM_DMA_READ || m->op.kind == CBIT_SIM_DMA_WRITE ||
	    m->op.kind == CBIT_SIM_MSI)
		want_told(m);
}

static inline void want(const struct model *m, enum cbit_sim_outcome outcome)
{
	if (m->res.outcome != outcome)
		failed(m, "outcome", cbit_sim_outcome_name(outcome),
		       cbit_sim_outcome_name(m->res.outcome));
}

static inline void want_fault(const struct model *m, enum cbit_sim_fault f)
{
	want(m, CBIT_SIM_FAULT);
	if (m->res.fault != f)
		failed(m, "fault", cbit_sim_fault_name(f), cbit_sim_fault_name(m->res.fault));
}

static inline void want_refused(const struct model *m, int error)
{
	want(m, CBIT_SIM_REFUSED);
	if (m->res.error != error)
		failed(m, "error", strerror(-error), strerror(-m->res.error));
}

/* What is shown of the bytes, block by block: what was written where it can be had, else not. */
static inline void want_bytes(const struct model *m, const struct block *b, const uint8_t *truth,
			      enum key key)
{
	if (memcmp(m->res.wanted, truth, m->res.len) != 0)
		failed(m, "bytes", "what was written", "something else");
	for (unsigned int i = 0; (i + 1) * BLOCK <= m->res.len; i++) {
		const uint8_t *at = truth + (size_t)i * BLOCK;
		bool same = !memcmp(m->res.seen + (size_t)i * BLOCK, at, BLOCK);

		if (same != seen(&b[i], key, at))
			failed(m, "bytes", same ? "noise" : "what was written", "the contrary");
	}
}

/* An access ended as @a says: where it moved bytes, these. */
static inline void want_read(const struct model *m, struct access a, const struct block *b,
			     const uint8_t *truth, unsigned int nr)
{
	if (a.way == WAY_FAULT) {
		want_fault(m, a.fault);
	} else if (a.way == WAY_ABORT) {
		want(m, CBIT_SIM_ABORT);
	} else {
		want(m, judge(b, truth, nr, a.key));
		want_bytes(m, b, truth, a.key);
	}
}

#endif
