/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The explorer's operations: which of them correct drivers and devices may issue in a state, how
 * they are carried out, and what has to hold afterwards.
 */
#include <errno.h>

#include "explore_internal.h"

#define VECTOR       40u
#define VFIO_IOVA    UINT64_C(0x20000000)
#define MAP_ID(d, i) ((unsigned int)(d)*X_MAPS + (i))

/* --- what may be done --- */

struct list {
	struct x_op *ops;
	unsigned int nr;
};

static void add(struct list *l, enum x_kind kind, unsigned int dev, unsigned int map,
		unsigned int buf, unsigned int how)
{
	l->ops[l->nr++] = (struct x_op){ (uint8_t)kind, (uint8_t)dev, (uint8_t)map, (uint8_t)buf,
					 (uint8_t)how };
}

/* A streaming mapping belongs to one side at a time, and a page has one at most. */
static const struct x_map *streaming(const struct x_machine *m, const struct x_state *s,
				     unsigned int buf)
{
	for (unsigned int d = 0; !m->world->vfio && buf < X_PAGES && d < X_DEVS; d++) {
		if (s->map[d][buf].phase == X_LIVE)
			return &s->map[d][buf];
	}
	return NULL;
}

static void add_vfio(struct list *l, const struct x_state *s, unsigned int d)
{
	const struct x_map *slots = s->map[d];

	/* An unmap call that is half done keeps others out of the container. */
	if (slots[0].phase == X_UNFLUSHED || slots[1].phase == X_UNFLUSHED)
		return;
	for (unsigned int p = 0; p < X_PAGES && !slots[0].phase; p++)
		add(l, X_MAP, d, 0, p, X_PLAIN);
	if (!slots[1].phase) {
		add(l, X_MAP, d, 1, X_BAR, X_PLAIN);
		add(l, X_MAP, d, 1, X_BAR, X_DMABUF);
	}
	for (unsigned int p = 0; p < X_PAGES && !slots[0].phase && !slots[1].phase; p++) {
		add(l, X_MAP_BOTH, d, 0, p, 0);
		add(l, X_MAP_BOTH, d, 0, p, 1);
	}
}

static void add_dma(struct list *l, const struct x_machine *m, const struct x_state *s,
		    unsigned int d)
{
	for (unsigned int p = 0; p < X_PAGES; p++) {
		if (streaming(m, s, p) || !s->defined[p])
			continue;
		/* A driver that has shared a page itself says so. */
		add(l, X_MAP, d, p, p,
		    s->shared[p] && m->cfg->guest > CBIT_EXPLORE_GUEST_PLAIN ? X_CC_SHARED
									     : X_PLAIN);
	}
	if (!s->map[d][X_BAR].phase)
		add(l, X_MAP, d, X_BAR, X_BAR, X_PLAIN);
	if (!s->map[d][X_MAPS - 1].phase)
		add(l, X_MAP, d, X_MAPS - 1, X_COHERENT + d, X_PLAIN);
}

/* Whether IOMMU or none, an address is the device's own only if something translates. */
static bool translated(const struct x_machine *m, unsigned int d)
{
	return m->world->vfio || !m->world->devs[d].direct;
}

/* Its addresses are chosen by the kernel: that of a mapping which is gone may be another's now. */
static bool idle(const struct x_machine *m, const struct x_state *s, unsigned int d)
{
	for (unsigned int i = 0; !m->world->vfio && i < X_MAPS; i++) {
		if (s->map[d][i].phase)
			return false;
	}
	return true;
}

static void add_device(struct list *l, const struct x_machine *m, const struct x_state *s,
		       unsigned int d)
{
	bool any = false, dirty = false;

	for (unsigned int i = 0; i < X_MAPS; i++) {
		const struct x_map *map = &s->map[d][i];

		any |= map->phase != X_NONE;
		dirty |= (map->flags & X_DIRTY) != 0;
		if (map->phase == X_LIVE && !(map->flags & X_CPU)) {
			/* of a window, writes are what it is there for */
			add(l, map->buf == X_BAR ? X_DMA_WRITE : X_DMA_READ, d, i, map->buf, 0);
			add(l, map->buf == X_BAR ? X_DMA_READ : X_DMA_WRITE, d, i, map->buf, 0);
		}
		/* One call made them: the first stands for both. */
		if (i && map->flags & X_PAIR && map->phase)
			continue;
		if (map->phase == X_LIVE && !(map->flags & X_DIRTY)) {
			add(l, X_UNMAP, d, i, map->buf, 0);
			if (m->world->vfio)
				add(l, X_UNMAP_ONLY, d, i, map->buf, 0);
		}
		if (map->phase == X_UNFLUSHED)
			add(l, X_FLUSH, d, i, map->buf, 0);
	}
	for (unsigned int p = 0; !m->world->vfio && p < X_PAGES; p++) {
		if (s->map[d][p].phase == X_LIVE)
			add(l, s->map[d][p].flags & X_CPU ? X_SYNC_DEVICE : X_SYNC_CPU, d, p, p, 0);
	}
	for (unsigned int i = 0; translated(m, d) && idle(m, s, d) && i < X_MAPS; i++) {
		if (s->map[d][i].phase != X_LIVE && m->mapped[d][i])
			add(l, X_LATE, d, i, 0, 0);
	}
	if (any && !dirty)
		add(l, X_RESET, d, 0, 0, 0);
}

unsigned int x_enabled(const struct x_machine *m, const struct x_state *s, struct x_op *out)
{
	struct list l = { out, 0 };

	for (unsigned int d = 0; d < X_DEVS; d++) {
		if (m->world->vfio)
			add_vfio(&l, s, d);
		else
			add_dma(&l, m, s, d);
		if (m->world->msi) {
			add(&l, X_MSI, d, 0, 0, 0);
			add(&l, X_MSI, d, 0, 0, 1);
		}
	}
	for (unsigned int d = 0; d < X_DEVS; d++)
		add_device(&l, m, s, d);
	for (unsigned int p = 0; p < X_PAGES; p++) {
		const struct x_map *map = streaming(m, s, p);

		if (!map || map->flags & X_CPU)
			add(&l, X_WRITE, 0, 0, p, 0);
		if (m->world->guest && !map)
			add(&l, s->shared[p] ? X_UNSHARE : X_SHARE, 0, 0, p, 0);
	}
	add(&l, X_WRITE, 0, 0, X_BAR, 0);
	return l.nr;
}

/* What leads back, if nothing was lost on the way; the caller looks whether it did. */
unsigned int x_inverse(const struct x_state *before, const struct x_op *op, struct x_op out[2])
{
	const struct x_map *map = &before->map[op->dev][op->map];

	out[0] = out[1] = *op;
	switch (op->kind) {
	case X_MAP:
	case X_MAP_BOTH:
		out[0].kind = X_UNMAP;
		return 1;
	case X_UNMAP:
		out[0].kind = X_MAP;
		out[0].how = map->how;
		return map->flags & X_PAIR ? 0 : 1;
	case X_SYNC_CPU:
		out[0].kind = X_SYNC_DEVICE;
		return 1;
	case X_SYNC_DEVICE:
		out[0].kind = X_SYNC_CPU;
		return 1;
	case X_MSI:
		out[0].how = before->high[op->dev];
		return 1;
	case X_SHARE:
	case X_UNSHARE:
		out[0].kind = op->kind == X_SHARE ? X_UNSHARE : X_SHARE;
		out[1].kind = X_WRITE;
		return 2;
	default:
		return 0;
	}
}

/* --- doing it --- */

int x_sim(struct x_machine *m, const struct cbit_sim_op *op, struct cbit_sim_result *res)
{
	int ret = cbit_sim_do(m->sim, op, res);

	m->total++;
	if (ret)
		return cbit_error_set(m->err, ret, "explore: %s: %s", cbit_sim_op_name(op->kind),
				      res->err.text[0] ? res->err.text : "failed");
	return 0;
}

/* Patterns of one buffer are never those of another, nor of the time before. */
static uint8_t seed(struct x_machine *m, unsigned int buf)
{
	return (uint8_t)(buf * 48 + (m->seeds[buf]++ & 31) + 1);
}

static struct cbit_sim_op base(const struct x_machine *m, const struct x_op *op,
			       enum cbit_sim_op_kind kind)
{
	return (struct cbit_sim_op){
		.kind = kind,
		.buf = op->buf,
		.map = MAP_ID(op->dev, op->map),
		.map2 = MAP_ID(op->dev, 1),
		.dev = op->dev,
		.pages = 1,
		.len = X_LEN,
		.who = m->world->guest ? CBIT_SIM_GUEST_CPU : CBIT_SIM_HOST_CPU,
		.iova = CBIT_IOVA(VFIO_IOVA + op->map * CBIT_PAGE_SIZE),
		.format = m->world->format,
		.vector = VECTOR,
	};
}

static struct cbit_sim_op map_op(const struct x_machine *m, const struct x_op *op)
{
	struct cbit_sim_op o = base(m, op, CBIT_SIM_MAP);

	o.mapper = !m->world->vfio       ? CBIT_SIM_DMA
		   : op->how == X_DMABUF ? CBIT_SIM_IOMMUFD
					 : CBIT_SIM_TYPE1;
	o.attrs = (op->buf == X_BAR ? CBIT_DMA_ATTR_MMIO : 0) |
		  (op->how == X_CC_SHARED ? CBIT_DMA_ATTR_CC_SHARED : 0);
	if (op->kind == X_MAP_BOTH) {
		o.mapper = CBIT_SIM_TYPE1;
		o.both = true;
		o.buf2 = op->how ? op->buf : X_BAR;
		o.buf = op->how ? X_BAR : op->buf;
	}
	if (op->buf >= X_COHERENT)
		o.kind = CBIT_SIM_COHERENT;
	return o;
}

static int do_map(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	struct cbit_sim_op o = map_op(m, op);
	struct x_map *map = &m->now.map[op->dev][op->map];
	int ret = x_sim(m, &o, &out->result);

	out->refused = out->result.outcome == CBIT_SIM_REFUSED;
	if (ret || out->refused)
		return ret;
	map->phase = X_LIVE;
	map->buf = (uint8_t)o.buf;
	map->how = op->kind == X_MAP ? op->how : X_PLAIN;
	map->flags = out->result.way == CBIT_SIM_WAY_SWIOTLB ? X_BOUNCED : 0;
	if (op->kind == X_MAP_BOTH) {
		map[1] = (struct x_map){ .phase = X_LIVE,
					 .buf = (uint8_t)o.buf2,
					 .cached = map[1].cached };
		map[0].flags |= X_PAIR;
		map[1].flags |= X_PAIR;
	}
	if (op->buf >= X_COHERENT) {
		o = base(m, op, CBIT_SIM_WRITE);
		o.seed = seed(m, op->buf);
		ret = x_sim(m, &o, &out->look);
	}
	return ret;
}

static int flush_one(struct x_machine *m, const struct x_op *op, unsigned int i,
		     struct cbit_sim_result *res)
{
	struct cbit_sim_op o = base(m, op, CBIT_SIM_FLUSH);
	struct x_map *map = &m->now.map[op->dev][i];

	if (map->phase == X_UNFLUSHED)
		*map = (struct x_map){ .cached = map->cached };
	if (m->cfg->breaks & CBIT_EXPLORE_BREAK_INVALIDATION && !m->mending)
		return 0;
	map->cached = 0;
	o.map = MAP_ID(op->dev, i);
	return x_sim(m, &o, res);
}

static int unmap_one(struct x_machine *m, const struct x_op *op, unsigned int i,
		     struct x_outcome *out)
{
	struct x_map *map = &m->now.map[op->dev][i];
	struct cbit_sim_op o = base(m, op, CBIT_SIM_UNMAP);
	int ret;

	o.map = MAP_ID(op->dev, i);
	if (m->world->vfio)
		o.kind = CBIT_SIM_UNMAP_NO_FLUSH;
	ret = x_sim(m, &o, &out->result);
	out->refused |= out->result.outcome == CBIT_SIM_REFUSED;
	if (m->world->vfio)
		map->phase = X_UNFLUSHED;
	else
		*map = (struct x_map){ 0 };
	return ret;
}

/* VFIO's unmap is both halves of it: first the tables, of everything, then the IOTLB. */
static int do_unmap(struct x_machine *m, const struct x_op *op, bool flush, struct x_outcome *out)
{
	bool pair = m->now.map[op->dev][op->map].flags & X_PAIR;
	int ret = unmap_one(m, op, op->map, out);

	if (!ret && pair)
		ret = unmap_one(m, op, 1u - op->map, out);
	if (!ret && flush && m->world->vfio)
		ret = flush_one(m, op, op->map, &out->look);
	if (!ret && flush && m->world->vfio && pair)
		ret = flush_one(m, op, 1u - op->map, &out->look);
	return ret;
}

static int do_flush(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	bool pair = m->now.map[op->dev][op->map].flags & X_PAIR;
	int ret = flush_one(m, op, op->map, &out->result);

	if (!ret && pair)
		ret = flush_one(m, op, 1u - op->map, &out->result);
	return ret;
}

static bool went_through(enum cbit_sim_outcome outcome)
{
	return outcome == CBIT_SIM_PLAINTEXT || outcome == CBIT_SIM_CIPHERTEXT ||
	       outcome == CBIT_SIM_STALE;
}

static int do_dma(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	struct cbit_sim_op o =
		base(m, op, op->kind == X_DMA_READ ? CBIT_SIM_DMA_READ : CBIT_SIM_DMA_WRITE);
	struct x_map *map = &m->now.map[op->dev][op->map];
	int ret;

	o.seed = seed(m, op->buf);
	ret = x_sim(m, &o, &out->result);
	if (op->kind == X_LATE)
		return ret;
	if (translated(m, op->dev) && went_through(out->result.outcome) && !map->cached)
		map->cached = (uint8_t)(map->buf + 1);
	if (op->kind == X_DMA_WRITE && map->flags & X_BOUNCED)
		map->flags |= X_PENDING;
	return ret;
}

static int do_sync(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	struct cbit_sim_op o =
		base(m, op, op->kind == X_SYNC_CPU ? CBIT_SIM_SYNC_CPU : CBIT_SIM_SYNC_DEVICE);
	struct x_map *map = &m->now.map[op->dev][op->map];
	int ret = x_sim(m, &o, &out->result);

	map->flags &= (uint8_t) ~(X_CPU | X_PENDING | X_DIRTY);
	if (op->kind == X_SYNC_CPU)
		map->flags |= X_CPU;
	return ret;
}

static int do_convert(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	const struct cbit_sim_op o =
		base(m, op, op->kind == X_SHARE ? CBIT_SIM_SHARE : CBIT_SIM_UNSHARE);
	int ret = x_sim(m, &o, &out->result);

	out->refused = out->result.outcome == CBIT_SIM_REFUSED;
	if (!ret && !out->refused) {
		m->now.shared[op->buf] = op->kind == X_SHARE;
		m->now.defined[op->buf] = 0;
	}
	return ret;
}

static int do_msi(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	struct cbit_sim_op o = base(m, op, CBIT_SIM_MSI);
	int ret;

	o.index = op->dev;
	o.dest = op->how ? X_CPU_HIGH : X_CPU_LOW;
	ret = x_sim(m, &o, &out->result);
	out->refused = out->result.outcome == CBIT_SIM_REFUSED;
	if (!ret && !out->refused)
		m->now.high[op->dev] = op->how;
	return ret;
}

/* Function level reset, and its driver lets go of everything. */
static int do_reset(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	int ret = 0;

	for (uint8_t i = 0; !ret && i < X_MAPS; i++) {
		const struct x_map *map = &m->now.map[op->dev][i];
		const struct x_op each = { X_UNMAP, op->dev, i, map->buf, 0 };

		if (map->phase == X_LIVE)
			ret = do_unmap(m, &each, true, out);
		else if (map->phase == X_UNFLUSHED)
			ret = do_flush(m, &each, out);
	}
	return ret;
}

static int do_write(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	struct cbit_sim_op o = base(m, op, CBIT_SIM_WRITE);

	o.seed = seed(m, op->buf);
	if (op->buf < X_PAGES)
		m->now.defined[op->buf] = 1;
	for (unsigned int d = 0; op->buf < X_PAGES && d < X_DEVS; d++) {
		if (m->now.map[d][op->buf].flags & X_CPU)
			m->now.map[d][op->buf].flags |= X_DIRTY;
	}
	return x_sim(m, &o, &out->result);
}

int x_carry_out(struct x_machine *m, const struct x_op *op, struct x_outcome *out)
{
	switch ((enum x_kind)op->kind) {
	case X_MAP:
	case X_MAP_BOTH:
		return do_map(m, op, out);
	case X_DMA_READ:
	case X_DMA_WRITE:
	case X_LATE:
		return do_dma(m, op, out);
	case X_MSI:
		return do_msi(m, op, out);
	case X_WRITE:
		return do_write(m, op, out);
	case X_SHARE:
	case X_UNSHARE:
		return do_convert(m, op, out);
	case X_SYNC_CPU:
	case X_SYNC_DEVICE:
		return do_sync(m, op, out);
	case X_UNMAP:
		return do_unmap(m, op, true, out);
	case X_UNMAP_ONLY:
		return do_unmap(m, op, false, out);
	case X_FLUSH:
		return do_flush(m, op, out);
	case X_RESET:
		return do_reset(m, op, out);
	}
	return -EINVAL;
}
