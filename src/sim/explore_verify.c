/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether two sequences that end in one abstract state can be told apart: both are carried out on
 * new machines, then each operation that may come next, and what comes of it is compared. If no
 * merged pair differs in its next step or in the state that it leads to, none differs in any
 * number of steps.
 */
#include <errno.h>
#include <stdlib.h>

#include "explore_internal.h"

struct side {
	struct x_machine m;
	struct x_op path[CBIT_EXPLORE_DEPTH + 1];
	unsigned int len;
	struct x_outcome out;
};

/* A new machine for every next operation: nothing of the one before is left. */
static int walk(struct side *side, const struct x_op *next)
{
	int ret = x_power_on(&side->m);

	for (unsigned int i = 0; !ret && i < side->len; i++)
		ret = x_do(&side->m, &side->path[i], false, &side->out);
	return ret || !next ? ret : x_do(&side->m, next, true, &side->out);
}

/* By words: which comes first of several things told may be chance, what was told is not. */
static bool told(const struct cbit_sim_result *r, const char *id)
{
	for (unsigned int i = 0; i < r->nr_findings; i++) {
		if (!strcmp(r->findings[i], id))
			return true;
	}
	return false;
}

static const char *difference(const struct x_world *world, const struct side *a,
			      const struct side *b)
{
	const struct cbit_sim_result *ra = &a->out.result, *rb = &b->out.result;
	struct x_mirror how;
	struct x_state ka = x_canonical(world, &a->m.now, &how);
	struct x_state kb = x_canonical(world, &b->m.now, &how);

	if (ra->outcome != rb->outcome || ra->fault != rb->fault || ra->error != rb->error)
		return "outcome";
	if (a->out.broken != b->out.broken || a->out.refused != b->out.refused)
		return "rule";
	if (ra->way != rb->way || ra->cpus != rb->cpus || ra->key != rb->key || ra->c != rb->c)
		return "way";
	if (ra->nr_findings != rb->nr_findings)
		return "number of findings";
	for (unsigned int i = 0; i < ra->nr_findings; i++) {
		if (!told(rb, ra->findings[i]))
			return "findings";
	}
	return memcmp(&ka, &kb, sizeof(ka)) ? "state" : NULL;
}

/* The mirror that makes one state of the other. */
static bool find_mirror(const struct x_world *world, const struct x_state *from,
			const struct x_state *to, struct x_mirror *how)
{
	for (unsigned int i = 0; i < (world->mirror_devs ? 4u : 2u); i++) {
		struct x_state image;

		*how = (struct x_mirror){ .pages = i & 1, .devs = i & 2 };
		image = x_mirrored(world, *how, from);
		if (!memcmp(&image, to, sizeof(image)))
			return true;
	}
	*how = (struct x_mirror){ 0 };
	return false;
}

static int compare(const struct x_world *world, struct side *a, struct side *b,
		   struct cbit_error *err)
{
	struct x_op ops[X_MAX_OPS];
	struct x_mirror how;
	unsigned int nr;
	int ret = walk(a, NULL);

	if (!ret)
		ret = walk(b, NULL);
	if (ret)
		return ret;
	/* What a key leaves out may be different; then operations are taken as they are. */
	(void)find_mirror(world, &a->m.now, &b->m.now, &how);
	nr = x_enabled(&a->m, &a->m.now, ops);
	for (unsigned int i = 0; !ret && i < nr; i++) {
		const struct x_op other = x_mirrored_op(world, how, &ops[i]);
		const char *what;
		char text[128];

		ret = walk(a, &ops[i]);
		if (!ret)
			ret = walk(b, &other);
		what = ret ? NULL : difference(world, a, b);
		if (!what)
			continue;
		x_text(&a->m, &ops[i], text, sizeof(text));
		ret = cbit_error_set(err, -EIO,
				     "explore: %s: two sequences that end in one state are told "
				     "apart by '%s': %s",
				     world->name, text, what);
	}
	return ret;
}

int x_verify(const struct cbit_explore_config *cfg, const struct x_world *world,
	     const struct x_graph *g, uint32_t known, uint32_t parent, const struct x_op *op,
	     struct cbit_error *err)
{
	const struct x_machine m = { .world = world, .cfg = cfg, .err = err };
	struct side *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	int ret = a && b ? 0 : -ENOMEM;

	if (!ret) {
		a->m = b->m = m;
		a->len = x_graph_path(g, known, a->path);
		b->len = x_graph_path(g, parent, b->path);
		b->path[b->len++] = *op;
		ret = compare(world, a, b, err);
		x_power_off(&a->m);
		x_power_off(&b->m);
	}
	free(a);
	free(b);
	return ret;
}
