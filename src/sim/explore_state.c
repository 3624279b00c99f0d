/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Abstract states of explored machines: mirror images, hashing, and the graph of those met.
 */
#include <errno.h>
#include <stdlib.h>

#include "explore_internal.h"

static uint8_t mirrored_buf(struct x_mirror how, uint8_t buf)
{
	return how.pages && buf < X_PAGES ? (uint8_t)(1 - buf) : buf;
}

/* The DMA API's mappings go by buffer, VFIO's by address. */
static unsigned int mirrored_map(const struct x_world *world, struct x_mirror how, unsigned int map)
{
	return world->vfio ? map : mirrored_buf(how, (uint8_t)map);
}

static struct x_map mirrored(struct x_mirror how, const struct x_map *m)
{
	struct x_map out = *m;

	if (m->phase != X_NONE)
		out.buf = mirrored_buf(how, m->buf);
	if (m->cached)
		out.cached = (uint8_t)(mirrored_buf(how, (uint8_t)(m->cached - 1)) + 1);
	return out;
}

struct x_state x_mirrored(const struct x_world *world, struct x_mirror how, const struct x_state *s)
{
	struct x_state out = { 0 };

	for (unsigned int p = 0; p < X_PAGES; p++) {
		out.shared[how.pages ? 1 - p : p] = s->shared[p];
		out.defined[how.pages ? 1 - p : p] = s->defined[p];
	}
	for (unsigned int d = 0; d < X_DEVS; d++) {
		unsigned int to = how.devs ? 1 - d : d;

		out.high[to] = s->high[d];
		for (unsigned int i = 0; i < X_MAPS; i++)
			out.map[to][mirrored_map(world, how, i)] = mirrored(how, &s->map[d][i]);
	}
	return out;
}

struct x_op x_mirrored_op(const struct x_world *world, struct x_mirror how, const struct x_op *op)
{
	struct x_op out = *op;

	out.buf = mirrored_buf(how, op->buf);
	out.map = (uint8_t)mirrored_map(world, how, op->map);
	if (how.devs)
		out.dev = (uint8_t)(1 - op->dev);
	return out;
}

struct x_state x_canonical(const struct x_world *world, const struct x_state *s,
			   struct x_mirror *how)
{
	struct x_state best = *s;

	*how = (struct x_mirror){ 0 };
	for (unsigned int i = 1; i < (world->mirror_devs ? 4u : 2u); i++) {
		const struct x_mirror mirror = { .pages = i & 1, .devs = i & 2 };
		struct x_state other = x_mirrored(world, mirror, s);

		if (memcmp(&other, &best, sizeof(best)) < 0) {
			best = other;
			*how = mirror;
		}
	}
	return best;
}

/* FNV-1a by words, and a last stir. Equal hashes of different states cost time, nothing else. */
uint64_t x_hash(const struct x_state *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325), words[sizeof(*s) / 8];

	memcpy(words, s, sizeof(words));
	for (unsigned int i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		h = (h ^ words[i] ^ words[i] >> 29) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

/* --- the graph --- */

int x_graph_init(struct x_graph *g)
{
	*g = (struct x_graph){ .room = 1024, .slots = 4096 };
	g->nodes = calloc(g->room, sizeof(*g->nodes));
	g->table = calloc(g->slots, sizeof(*g->table));
	return g->nodes && g->table ? 0 : -ENOMEM;
}

void x_graph_free(struct x_graph *g)
{
	free(g->nodes);
	free(g->table);
	*g = (struct x_graph){ 0 };
}

static uint32_t *slot_of(const struct x_graph *g, const struct x_state *key)
{
	uint32_t at = (uint32_t)x_hash(key) & (g->slots - 1);

	while (g->table[at] && memcmp(&g->nodes[g->table[at] - 1].key, key, sizeof(*key)) != 0)
		at = (at + 1) & (g->slots - 1);
	return &g->table[at];
}

uint32_t x_graph_find(const struct x_graph *g, const struct x_state *key)
{
	uint32_t found = *slot_of(g, key);

	return found ? found - 1 : X_NO_NODE;
}

static int grow(struct x_graph *g)
{
	struct x_node *nodes;
	uint32_t *table;

	if (g->nr == g->room) {
		nodes = reallocarray(g->nodes, (size_t)g->room * 2, sizeof(*nodes));
		if (!nodes)
			return -ENOMEM;
		g->nodes = nodes;
		g->room *= 2;
	}
	if (g->nr < g->slots / 2)
		return 0;
	table = calloc((size_t)g->slots * 2, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(g->table);
	g->table = table;
	g->slots *= 2;
	for (uint32_t i = 0; i < g->nr; i++)
		*slot_of(g, &g->nodes[i].key) = i + 1;
	return 0;
}

int x_graph_add(struct x_graph *g, const struct x_node *node)
{
	int ret = grow(g);

	if (ret)
		return ret;
	g->nodes[g->nr] = *node;
	*slot_of(g, &node->key) = ++g->nr;
	return 0;
}

unsigned int x_graph_path(const struct x_graph *g, uint32_t node,
			  struct x_op out[CBIT_EXPLORE_DEPTH])
{
	unsigned int len = g->nodes[node].level;

	for (unsigned int i = len; i; i--) {
		out[i - 1] = g->nodes[node].op;
		node = g->nodes[node].parent;
	}
	return len;
}
