/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the explorer found, as a text and as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "explore_internal.h"

#define SHOWN 16u

/* --- text --- */

static void bytes(FILE *out, const char *what, const uint8_t *b, size_t len)
{
	fprintf(out, "       %-8s", what);
	for (size_t i = 0; i < len && i < SHOWN; i++)
		fprintf(out, " %02x", b[i]);
	fputs(len > SHOWN ? " ...\n" : "\n", out);
}

static void text_result(FILE *out, const struct cbit_explore_step *step)
{
	const struct cbit_sim_result *r = &step->result;

	fprintf(out, ": %s", cbit_sim_outcome_name(r->outcome));
	if (r->fault)
		fprintf(out, " (%s)", cbit_sim_fault_name(r->fault));
	if (r->error)
		fprintf(out, ", error %d", r->error);
	if (r->way)
		fprintf(out, ", %s", r->way == CBIT_SIM_WAY_SWIOTLB ? "bounced" : "direct");
	if (r->iopte_valid)
		fprintf(out, ", IOVA 0x%" PRIx64 ", IOPTE 0x%016" PRIx64, r->iova.v, r->iopte);
	if (r->accessed)
		fprintf(out, ", SPA 0x%" PRIx64 " (%s), C-bit %s", r->spa.v, step->region,
			r->c ? "set" : "clear");
	for (unsigned int i = 0; i < r->nr_findings; i++)
		fprintf(out, "%s%s", i ? ", " : " [", r->findings[i]);
	fputs(r->nr_findings ? "]\n" : "\n", out);
}

static void text_last(FILE *out, const struct cbit_sim_result *r)
{
	for (unsigned int i = 0; i < r->nr_decisions; i++)
		fprintf(out, "       %s: %s\n", r->decisions[i].function, r->decisions[i].text);
	if (!r->len)
		return;
	if (r->outcome == CBIT_SIM_LOST) {
		bytes(out, "wrote", r->wanted, r->len);
		return;
	}
	bytes(out, "seen", r->seen, r->len);
	bytes(out, "expected", r->wanted, r->len);
	if (r->dram_valid)
		bytes(out, "DRAM", r->dram, r->len);
}

static void text_finding(FILE *out, const struct cbit_explore_result *res,
			 const struct cbit_explore_finding *f)
{
	fprintf(out, "\nfinding %s: %u step%s on %s\n", f->id, f->nr_steps,
		f->nr_steps == 1 ? "" : "s", res->machines[f->machine].name);
	for (unsigned int i = 0; i < f->nr_steps; i++) {
		fprintf(out, "    %u. %s", i + 1, f->steps[i].text);
		text_result(out, &f->steps[i]);
		if (i + 1 == f->nr_steps || f->steps[i].result.nr_decisions)
			text_last(out, &f->steps[i].result);
	}
	if (f->looked) {
		fprintf(out, "    then %s", f->look.text);
		text_result(out, &f->look);
		text_last(out, &f->look.result);
	}
	fprintf(out, "    broken: %s\n", cbit_explore_broken_text(f->broken));
	fprintf(out, "    %" PRIu64 " sequence%s of up to %u operations met it\n", f->times,
		f->times == 1 ? "" : "s", res->depth);
}

static void text_machine(FILE *out, const struct cbit_explore_machine *m)
{
	fprintf(out, "  %s: %s\n", m->name, m->about);
	fprintf(out,
		"    %" PRIu64 " states, %s; %" PRIu64 " operations, %" PRIu64
		" led to a known state, %" PRIu64 " refused",
		m->states, m->complete ? "all that there are" : "up to the depth", m->operations,
		m->merged, m->refused);
	if (m->verified)
		fprintf(out, "; %" PRIu64 " compared", m->verified);
	fputc('\n', out);
}

static uint64_t states(const struct cbit_explore_result *r)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < r->nr_machines; i++)
		n += r->machines[i].states;
	return n;
}

static uint64_t operations(const struct cbit_explore_result *r)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < r->nr_machines; i++)
		n += r->machines[i].total;
	return n;
}

static double per_second(uint64_t n, double seconds)
{
	return seconds > 0 ? (double)n / seconds : 0;
}

static void text(FILE *out, const struct cbit_explore_result *r)
{
	fprintf(out, "explored: platform %s, policy %s, depth %u\n", r->platform, r->policy,
		r->depth);
	for (unsigned int i = 0; i < r->nr_machines; i++)
		text_machine(out, &r->machines[i]);
	for (unsigned int i = 0; i < r->nr_findings; i++)
		text_finding(out, r, &r->findings[i]);
	fprintf(out,
		"\n%" PRIu64 " states in %.2f s: %.0f states a second, %.0f operations a second\n",
		states(r), r->seconds, per_second(states(r), r->seconds),
		per_second(operations(r), r->seconds));
	if (r->nr_findings)
		fprintf(out, "%u finding%s\n", r->nr_findings, r->nr_findings == 1 ? "" : "s");
	else
		fputs("no findings\n", out);
}

/* --- JSON --- */

static json_t *json_hex(const uint8_t *b, size_t len)
{
	char hex[2 * CBIT_SIM_SEEN + 1] = "";

	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", b[i]);
	return json_string(hex);
}

static json_t *json_step(const struct cbit_explore_step *s)
{
	const struct cbit_sim_result *r = &s->result;
	json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:[]}", "text", s->text, "outcome",
			      cbit_sim_outcome_name(r->outcome), "fault",
			      cbit_sim_fault_name(r->fault), "error", r->error, "findings");
	json_t *list = json_object_get(o, "findings");

	for (unsigned int i = 0; i < r->nr_findings; i++)
		json_array_append_new(list, json_string(r->findings[i]));
	if (r->iopte_valid) {
		json_object_set_new(o, "iova", json_sprintf("0x%" PRIx64, r->iova.v));
		json_object_set_new(o, "iopte", json_sprintf("0x%016" PRIx64, r->iopte));
	}
	if (r->accessed) {
		json_object_set_new(o, "spa", json_sprintf("0x%" PRIx64, r->spa.v));
		json_object_set_new(o, "c_bit", json_boolean(r->c));
	}
	if (r->len) {
		json_object_set_new(o, "seen", json_hex(r->seen, r->len));
		json_object_set_new(o, "expected", json_hex(r->wanted, r->len));
	}
	return o;
}

static json_t *json_finding(const struct cbit_explore_result *res,
			    const struct cbit_explore_finding *f)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:[]}", "id", f->id, "machine",
			      res->machines[f->machine].name, "broken",
			      cbit_explore_broken_text(f->broken), "times", (json_int_t)f->times,
			      "steps");
	json_t *steps = json_object_get(o, "steps");

	for (unsigned int i = 0; i < f->nr_steps; i++)
		json_array_append_new(steps, json_step(&f->steps[i]));
	if (f->looked)
		json_object_set_new(o, "then", json_step(&f->look));
	return o;
}

static json_t *json_machine(const struct cbit_explore_machine *m)
{
	return json_pack("{s:s, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I}", "name", m->name, "about",
			 m->about, "states", (json_int_t)m->states, "complete", m->complete,
			 "operations", (json_int_t)m->operations, "total", (json_int_t)m->total,
			 "merged", (json_int_t)m->merged, "verified", (json_int_t)m->verified,
			 "refused", (json_int_t)m->refused);
}

static char *render_json(const struct cbit_explore_result *r)
{
	json_t *root =
		json_pack("{s:i, s:s, s:s, s:i, s:[], s:[], s:I, s:f, s:f}", "version", 1,
			  "platform", r->platform, "policy", r->policy, "depth", (int)r->depth,
			  "machines", "findings", "states", (json_int_t)states(r), "seconds",
			  r->seconds, "states_per_second", per_second(states(r), r->seconds));
	char *out;

	for (unsigned int i = 0; i < r->nr_machines; i++)
		json_array_append_new(json_object_get(root, "machines"),
				      json_machine(&r->machines[i]));
	for (unsigned int i = 0; i < r->nr_findings; i++)
		json_array_append_new(json_object_get(root, "findings"),
				      json_finding(r, &r->findings[i]));
	out = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER) : NULL;
	json_decref(root);
	return out;
}

int cbit_explore_render(const struct cbit_explore_result *result, bool json, char **out)
{
	size_t size;
	FILE *f;

	*out = NULL;
	if (json) {
		*out = render_json(result);
		return *out ? 0 : -ENOMEM;
	}
	f = open_memstream(out, &size);
	if (!f)
		return -ENOMEM;
	text(f, result);
	if (fclose(f)) {
		free(*out);
		*out = NULL;
		return -ENOMEM;
	}
	return 0;
}
