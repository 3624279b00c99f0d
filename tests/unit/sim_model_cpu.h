/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random reads and writes by every CPU, compared with the oracle.
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

static inline bool pick_cpu(struct model *m, const struct page *p, bool write)
{
	m->op.who = (enum cbit_sim_who)below(m, CBIT_SIM_NR_WHO);
	if (m->op.who == CBIT_SIM_HOST_CPU)
		return true;
	/* instruction fetches: see fetch_access() */
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
	unsigned int buf = below(m, m->nr_pages), at, nr;
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
	unsigned int buf = below(m, m->nr_pages), at, nr;
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

#endif
