/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The search: breadth first over the operations of each machine, so that the first sequence that
 * breaks a rule is a shortest one.
 *
 * A state is reached by carrying out its sequence again, on a machine that was put back to its
 * start. Where an operation led back to the state, or is undone by its inverse, that is spared:
 * both are seen from the abstract state, see struct x_state.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "explore_internal.h"

/* struct found - a sequence that broke a rule: @op done in node @parent. */
struct found {
	char id[32];
	uint32_t parent;
	struct x_op op;
	uint64_t times;
};

struct search {
	const struct cbit_explore_config *cfg;
	struct cbit_explore_result *result;
	struct cbit_explore_machine *stats;
	struct cbit_explore_progress progress;
	struct x_world world;
	struct x_machine m;
	struct x_graph graph;
	struct x_outcome out, scratch;
	const struct x_state *forget;
	bool merge;
	uint64_t merges;
	unsigned int nr_found;
	struct found found[CBIT_EXPLORE_FINDINGS];
	struct cbit_error *err;
};

static bool same(const struct x_state *a, const struct x_state *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static int follow(struct search *s, uint32_t node)
{
	struct x_op path[CBIT_EXPLORE_DEPTH];
	unsigned int len = x_graph_path(&s->graph, node, path);
	int ret = x_reset(&s->m);

	for (unsigned int i = 0; !ret && i < len; i++)
		ret = x_do(&s->m, &path[i], false, &s->scratch);
	return ret;
}

/* A machine may be short of something that failed unmaps have left lying about. */
static int reach(struct search *s, uint32_t node)
{
	const struct x_state *there = &s->graph.nodes[node].state;
	int ret = follow(s, node);

	if (!ret && !same(&s->m.now, there)) {
		s->m.worn = true;
		ret = follow(s, node);
	}
	if (!ret && !same(&s->m.now, there))
		return cbit_error_set(s->err, -EIO,
				      "explore: %s: a sequence led elsewhere when it was carried "
				      "out again",
				      s->world.name);
	return ret;
}

static bool short_of_something(const struct x_outcome *out)
{
	return out->refused && (out->result.error == -ENOMEM || out->result.error == -ENOSPC ||
				out->result.error == -EIO);
}

static int try_op(struct search *s, uint32_t node, const struct x_op *op)
{
	int ret = x_do(&s->m, op, true, &s->out);

	s->stats->operations++;
	if (ret || !short_of_something(&s->out))
		return ret;
	s->m.worn = true;
	ret = reach(s, node);
	return ret ? ret : x_do(&s->m, op, true, &s->out);
}

/* From what @op made of the node's state back to it. */
static int go_back(struct search *s, uint32_t node, const struct x_op *op)
{
	const struct x_state here = s->graph.nodes[node].state;
	struct x_op inverse[2];
	unsigned int nr;
	int ret = 0;

	if (!s->m.worn && !s->m.dirty) {
		if (same(&s->m.now, &here))
			return 0;
		nr = x_inverse(&here, op, inverse);
		for (unsigned int i = 0; !ret && i < nr; i++)
			ret = x_do(&s->m, &inverse[i], false, &s->scratch);
		if (ret || (nr && !s->m.worn && same(&s->m.now, &here)))
			return ret;
	}
	return reach(s, node);
}

static void note_found(struct search *s, uint32_t parent, const struct x_op *op)
{
	char id[sizeof(s->found[0].id)];
	unsigned int i = 0;

	x_id(&s->out, id, sizeof(id));
	while (i < s->nr_found && strcmp(s->found[i].id, id) != 0)
		i++;
	if (i == CBIT_EXPLORE_FINDINGS)
		return;
	if (i == s->nr_found) {
		s->found[i] = (struct found){ .parent = parent, .op = *op };
		memcpy(s->found[i].id, id, sizeof(id));
		s->nr_found++;
	}
	s->found[i].times++;
}

static struct x_state key_of(const struct search *s, const struct x_state *state)
{
	struct x_mirror how;
	struct x_state key = x_canonical(&s->world, state, &how);

	for (unsigned int i = 0; s->forget && i < sizeof(key); i++)
		((uint8_t *)&key)[i] &= (uint8_t) ~((const uint8_t *)s->forget)[i];
	return key;
}

static int successor(struct search *s, uint32_t parent, const struct x_op *op)
{
	struct x_node node = {
		.state = s->m.now,
		.key = key_of(s, &s->m.now),
		.parent = parent,
		.op = *op,
		.level = (uint8_t)(s->graph.nodes[parent].level + 1),
	};
	uint32_t known = s->merge ? x_graph_find(&s->graph, &node.key) : X_NO_NODE;

	if (known == X_NO_NODE)
		return x_graph_add(&s->graph, &node);
	s->stats->merged++;
	if (!s->cfg->verify || s->merges++ % s->cfg->verify)
		return 0;
	s->stats->verified++;
	return x_verify(s->cfg, &s->world, &s->graph, known, parent, op, s->err);
}

static int expand(struct search *s, uint32_t node)
{
	const struct x_state here = s->graph.nodes[node].state;
	struct x_op ops[X_MAX_OPS];
	unsigned int nr;
	int ret = reach(s, node);

	nr = ret ? 0 : x_enabled(&s->m, &here, ops);
	for (unsigned int i = 0; !ret && i < nr; i++) {
		ret = try_op(s, node, &ops[i]);
		if (!ret && s->out.broken)
			note_found(s, node, &ops[i]);
		else if (!ret && s->out.refused)
			s->stats->refused++;
		else if (!ret)
			ret = successor(s, node, &ops[i]);
		if (!ret)
			ret = go_back(s, node, &ops[i]);
	}
	return ret;
}

static void tell_progress(struct search *s, uint32_t node, uint32_t first, uint32_t end)
{
	struct cbit_explore_progress *p = &s->progress;

	if (!s->cfg->progress || node % 64)
		return;
	p->machine = s->world.name;
	p->level = s->graph.nodes[node].level + 1u;
	p->depth = s->cfg->depth;
	p->done = node - first;
	p->todo = end - first;
	s->cfg->progress(s->cfg->opaque, p);
}

static int search(struct search *s)
{
	struct x_node start = { .state = x_initial(&s->world) };
	uint32_t first = 0, end = 1;
	int ret = x_graph_init(&s->graph);

	start.key = key_of(s, &start.state);
	if (!ret)
		ret = x_graph_add(&s->graph, &start);
	for (unsigned int level = 0; !ret && level < s->cfg->depth && first < end; level++) {
		for (uint32_t node = first; !ret && node < end; node++) {
			tell_progress(s, node, first, end);
			ret = expand(s, node);
		}
		first = end;
		end = s->graph.nr;
	}
	s->stats->states = s->graph.nr;
	s->stats->level = s->graph.nr ? s->graph.nodes[s->graph.nr - 1].level : 0;
	s->stats->complete = !ret && first == end;
	s->stats->total = s->m.total;
	return ret;
}

/* --- what was found, once more --- */

static void keep_result(struct cbit_explore_step *step, const struct cbit_sim_result *r)
{
	step->result = *r;
	step->result.region = NULL;
	if (r->region)
		strncpy(step->region, r->region, sizeof(step->region) - 1);
}

static int carry_out_again(struct search *s, const struct found *f,
			   struct cbit_explore_finding *out)
{
	struct x_machine m = { .world = &s->world, .cfg = s->cfg, .err = s->err };
	struct x_op path[CBIT_EXPLORE_DEPTH];
	unsigned int len = x_graph_path(&s->graph, f->parent, path);
	char id[sizeof(out->id)];
	int ret = x_power_on(&m);

	path[len++] = f->op;
	*out = (struct cbit_explore_finding){ .machine = s->result->nr_machines,
					      .times = f->times,
					      .nr_steps = len };
	memcpy(out->id, f->id, sizeof(out->id));
	for (unsigned int i = 0; !ret && i < len; i++) {
		x_text(&m, &path[i], out->steps[i].text, sizeof(out->steps[i].text));
		ret = x_do(&m, &path[i], true, &s->out);
		keep_result(&out->steps[i], &s->out.result);
		if (!ret && (s->out.broken != CBIT_EXPLORE_HOLDS) != (i == len - 1))
			ret = -EIO;
	}
	out->broken = s->out.broken;
	out->looked = s->out.looked;
	if (out->looked) {
		strncpy(out->look.text, s->out.look_text, sizeof(out->look.text) - 1);
		keep_result(&out->look, &s->out.look);
	}
	x_power_off(&m);
	x_id(&s->out, id, sizeof(id));
	if (ret == -EIO || (!ret && strcmp(id, f->id) != 0))
		return cbit_error_set(s->err, -EIO,
				      "explore: %s: the sequence for %s ended otherwise on a new "
				      "machine",
				      s->world.name, f->id);
	return ret;
}

/* One for each id, of all machines. */
static int keep_found(struct search *s)
{
	struct cbit_explore_result *r = s->result;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < s->nr_found; i++) {
		unsigned int steps = s->graph.nodes[s->found[i].parent].level + 1u, k = 0;

		while (k < r->nr_findings && strcmp(r->findings[k].id, s->found[i].id) != 0)
			k++;
		if (k == CBIT_EXPLORE_FINDINGS ||
		    (k < r->nr_findings && r->findings[k].nr_steps <= steps))
			continue;
		ret = carry_out_again(s, &s->found[i], &r->findings[k]);
		if (k == r->nr_findings)
			r->nr_findings++;
	}
	return ret;
}

static int explore_world(struct search *s)
{
	int ret;

	s->stats = &s->result->machines[s->result->nr_machines];
	*s->stats = (struct cbit_explore_machine){ .name = s->world.name, .about = s->world.about };
	s->m = (struct x_machine){ .world = &s->world, .cfg = s->cfg, .err = s->err };
	s->nr_found = 0;
	ret = search(s);
	if (!ret)
		ret = keep_found(s);
	s->result->nr_machines++;
	x_power_off(&s->m);
	x_graph_free(&s->graph);
	return ret;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int explore_all(struct search *s)
{
	struct x_world worlds[CBIT_EXPLORE_MACHINES];
	unsigned int nr = x_worlds(s->cfg, worlds);
	int ret = 0;

	s->progress.of = nr;
	for (unsigned int i = 0; !ret && i < nr; i++) {
		s->world = worlds[i];
		s->progress.nr = i;
		ret = explore_world(s);
	}
	return ret;
}

int x_explore(const struct cbit_explore_config *config, bool merge, const struct x_state *forget,
	      struct cbit_explore_result **out, struct cbit_error *err)
{
	struct search *s;
	double start = seconds();
	int ret;

	*out = NULL;
	if (err)
		err->text[0] = '\0';
	if (!config->policy || !config->depth || config->depth > CBIT_EXPLORE_DEPTH)
		return cbit_error_set(err, -EINVAL, "a depth of 1 to %d", CBIT_EXPLORE_DEPTH);
	if (config->guest > CBIT_EXPLORE_GUEST_PLAIN && !config->platform.sme)
		return cbit_error_set(err, -EINVAL, "a confidential guest needs a host with SME");
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->cfg = config;
	s->err = err;
	s->merge = merge;
	s->forget = forget;
	s->result = calloc(1, sizeof(*s->result));
	ret = s->result ? 0 : -ENOMEM;
	if (!ret) {
		s->result->platform = config->platform.name;
		s->result->policy = cbit_policy_name(config->policy);
		s->result->depth = config->depth;
		s->result->findings = calloc(CBIT_EXPLORE_FINDINGS, sizeof(*s->result->findings));
		ret = s->result->findings ? explore_all(s) : -ENOMEM;
		s->result->seconds = seconds() - start;
	}
	if (ret)
		cbit_explore_free(s->result);
	else
		*out = s->result;
	free(s);
	return ret;
}

int cbit_explore_run(const struct cbit_explore_config *config, struct cbit_explore_result **out,
		     struct cbit_error *err)
{
	return x_explore(config, true, NULL, out, err);
}

void cbit_explore_free(struct cbit_explore_result *result)
{
	if (result)
		free(result->findings);
	free(result);
}
