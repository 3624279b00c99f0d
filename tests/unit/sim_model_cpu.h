/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random reads and writes by every CPU, and changes of page state, compared with the oracle.
 */
#ifndef SIM_MODEL_CPU_H
#define SIM_MODEL_CPU_H

#include "sim_model_rig.h"

static inline void base(struct model *m, enum cbit_sim_op_kind kind)
{
	m->op = (struct cbit_sim_op){ .kind = kind };
}

static inline void pick_range(struct model *m, unsigned int first, unsigned int nr,
			      unsigned int *at, unsigned int *count)
{
	*at = below(m, nr);
	*count = 1 + below(m, nr - *at);
	m->op.offset = (uint64_t)(first + *at) * BLOCK;
	m->op.len = (uint64_t)*count * BLOCK;
	*at += first;
}

static inline void fill(struct model *m, uint8_t data[LENGTH], unsigned int nr)
{
	m->op.data = data;
	for (unsigned int i = 0; i < nr * BLOCK; i++)
		data[i] = (uint8_t)(next(m) >> 56);
}

static inline void store(struct block *b, uint8_t (*truth)[BLOCK], const uint8_t *data,
			 unsigned int nr, enum key key)
{
	for (unsigned int i = 0; i < nr; i++) {
		put(&b[i], data + (size_t)i * BLOCK, key);
		if (truth)
			memcpy(truth[i], data + (size_t)i * BLOCK, BLOCK);
	}
}

/* Now and then coherent memory, if there is any. */
static inline unsigned int pick_page(struct model *m)
{
	unsigned int other = PAGES + below(m, PAGES);

	return m->coherent[other] && flip(m) ? other : below(m, m->nr_pages);
}

static inline bool pick_cpu(struct model *m, const struct page *p, bool write)
{
	m->op.who = (enum cbit_sim_who)below(m, CBIT_SIM_NR_WHO);
	/* nobody says what the hypervisor sees of a private window */
	if (p->tdisp && m->op.who != CBIT_SIM_GUEST_CPU)
		return false;
	if (m->op.who == CBIT_SIM_HOST_CPU)
		return true;
	/* nor what a fetch meets of a page that is not, or not quite, the guest's own */
	return p->guest && !(m->op.who == CBIT_SIM_GUEST_FETCH &&
			     (write || (m->w.snp && !(p->c && p->assigned && p->validated)) ||
			      !encrypts(p->place)));
}

static inline struct access cpu_access(const struct model *m, const struct page *p, bool write)
{
	switch (m->op.who) {
	case CBIT_SIM_HOST_CPU:
		return host_cpu(&m->w, p, write);
	case CBIT_SIM_GUEST_CPU:
		return guest_cpu(&m->w, p, write);
	case CBIT_SIM_HYPERVISOR:
		return hypervisor(&m->w, p, write);
	default:
		/* always the guest's key, if it has one */
		if (!m->w.confidential)
			return npt(&m->w, p->place);
		return (struct access){ .key = KEY_GUEST };
	}
}

static inline void cpu_write(struct model *m)
{
	unsigned int buf = pick_page(m), at, nr;
	struct page *p = &m->pages[buf];
	struct access a, back;
	uint8_t data[LENGTH];

	base(m, CBIT_SIM_WRITE);
	m->op.buf = buf;
	if (!pick_cpu(m, p, true))
		return;
	pick_range(m, 0, BLOCKS, &at, &nr);
	fill(m, data, nr);
	a = cpu_access(m, p, true);
	do_op(m);
	if (a.way == WAY_FAULT) {
		want_fault(m, a.fault);
		return;
	}
	if (a.way == WAY_ABORT) {
		want(m, CBIT_SIM_LOST);
		return;
	}
	store(&p->block[at], &p->truth[at], data, nr, a.key);
	back = owner(&m->w, p, false);
	if (back.way == WAY_FAULT)
		want_fault(m, back.fault);
	else
		want(m, back.way == WAY_ABORT ? CBIT_SIM_LOST
					      : judge(&p->block[at], p->truth[at], nr, back.key));
}

static inline void cpu_read(struct model *m)
{
	static const enum cbit_sim_op_kind kinds[] = { CBIT_SIM_READ, CBIT_SIM_READ, CBIT_SIM_READ,
						       CBIT_SIM_CHECK, CBIT_SIM_RAW };
	unsigned int buf = pick_page(m), at, nr;
	struct page *p = &m->pages[buf];
	struct access a = { .key = KEY_NONE };

	base(m, kinds[below(m, 5)]);
	m->op.buf = buf;
	if (m->op.kind == CBIT_SIM_READ && !pick_cpu(m, p, false))
		return;
	if (m->op.kind == CBIT_SIM_RAW && p->place == WINDOW)
		return;
	if (m->op.kind == CBIT_SIM_READ)
		a = cpu_access(m, p, false);
	else if (m->op.kind == CBIT_SIM_CHECK)
		a = owner(&m->w, p, false);
	pick_range(m, 0, BLOCKS, &at, &nr);
	do_op(m);
	want_read(m, a, &p->block[at], p->truth[at], nr);
}

/* --- private and shared --- */

static inline void convert(struct model *m)
{
	static const enum cbit_sim_op_kind kinds[] = { CBIT_SIM_SHARE,     CBIT_SIM_UNSHARE,
						       CBIT_SIM_SET_C,     CBIT_SIM_PAGE_STATE,
						       CBIT_SIM_PVALIDATE, CBIT_SIM_RMPUPDATE };
	unsigned int buf = below(m, m->nr_pages);
	struct page *p = &m->pages[buf];
	bool private = p->c && (!m->w.snp || (p->assigned && p->validated));
	bool shared = !p->c && !p->assigned;

	base(m, kinds[below(m, 6)]);
	m->op.buf = buf;
	m->op.on = flip(m);
	if (!p->guest || !m->w.confidential || !encrypts(p->place) ||
	    (m->op.kind == CBIT_SIM_SHARE && !private) ||
	    (m->op.kind == CBIT_SIM_UNSHARE && !shared) ||
	    (m->op.kind == CBIT_SIM_PAGE_STATE && m->op.on != p->assigned) ||
	    (m->op.kind == CBIT_SIM_RMPUPDATE && m->op.on == p->assigned))
		return;
	do_op(m);
	if (m->op.kind >= CBIT_SIM_PAGE_STATE && !m->w.snp) {
		want_refused(m, -EOPNOTSUPP);
		return;
	}
	if (m->op.kind == CBIT_SIM_PVALIDATE && !p->assigned) {
		want_refused(m, -EPERM);
		return;
	}
	want(m, CBIT_SIM_OK);
	switch (m->op.kind) {
	case CBIT_SIM_SHARE:
	case CBIT_SIM_UNSHARE:
		p->c = m->op.kind == CBIT_SIM_UNSHARE;
		p->assigned = p->validated = p->c && m->w.snp;
		break;
	case CBIT_SIM_SET_C:
		p->c = m->op.on;
		break;
	case CBIT_SIM_PVALIDATE:
		p->validated = m->op.on;
		break;
	default:
		p->assigned = !p->assigned;
		p->validated = false;
		break;
	}
}

#endif
