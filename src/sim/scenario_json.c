/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run told to programs: {"scenario", "about", "platform", "steps", "failed", "runs": [{"policy",
 * "steps": [{"line", "step", "outcome", ...}]}]}.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "scenario_internal.h"

static json_t *number(uint64_t v)
{
	return json_sprintf("0x%" PRIx64, v);
}

static json_t *bytes(const uint8_t *data, size_t len)
{
	char text[2 * CBIT_SIM_SEEN + 1] = "";

	for (size_t i = 0; i < len && i < CBIT_SIM_SEEN; i++)
		snprintf(text + 2 * i, 3, "%02x", data[i]);
	return json_string(text);
}

static void begin(void *opaque, const struct cbit_scenario *scn)
{
	json_t *root = opaque;

	json_object_set_new(root, "version", json_integer(1));
	json_object_set_new(root, "scenario", json_string(scn->name));
	json_object_set_new(root, "about", json_string(scn->about));
	json_object_set_new(root, "platform", json_string(scn->cfg.platform.name));
	json_object_set_new(root, "runs", json_array());
}

static void policy(void *opaque, const struct cbit_scenario *scn, const struct cbit_policy *p)
{
	json_t *run = json_object();

	(void)scn;
	json_object_set_new(run, "policy", json_string(cbit_policy_name(p)));
	json_object_set_new(run, "steps", json_array());
	json_array_append_new(json_object_get(opaque, "runs"), run);
}

static json_t *stages(const struct cbit_sim_result *res)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < res->nr_stages; i++) {
		const struct cbit_sim_stage *s = &res->stages[i];
		json_t *o = json_object();

		json_object_set_new(o, "table", json_string(cbit_sim_table_name(s->table)));
		json_object_set_new(o, "level", json_integer((json_int_t)s->level));
		json_object_set_new(o, "in", number(s->in));
		json_object_set_new(o, s->in_guest ? "at_gpa" : "at_spa", number(s->at));
		json_object_set_new(o, "at_key", json_string(cbit_mem_key_name(s->at_key)));
		json_object_set_new(o, "entry", number(s->entry));
		json_object_set_new(o, "c_bit", json_boolean(s->c));
		json_object_set_new(o, "leaf", json_boolean(s->leaf));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *decisions(const struct cbit_sim_result *res)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < res->nr_decisions; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "function", json_string(res->decisions[i].function));
		json_object_set_new(o, "text", json_string(res->decisions[i].text));
		json_array_append_new(list, o);
	}
	return list;
}

static void access_to(json_t *o, const struct cbit_sim_result *res)
{
	if (res->accessed) {
		json_object_set_new(o, "spa", number(res->spa.v));
		json_object_set_new(o, "region",
				    res->region ? json_string(res->region) : json_null());
		json_object_set_new(o, "c_bit", json_boolean(res->c));
		json_object_set_new(o, "key", json_string(cbit_mem_key_name(res->key)));
	}
	if (res->len) {
		json_object_set_new(o, "seen", bytes(res->seen, res->len));
		json_object_set_new(o, "wanted", bytes(res->wanted, res->len));
	}
	if (res->dram_valid)
		json_object_set_new(o, "dram", bytes(res->dram, res->len));
}

static void step(void *opaque, const struct cbit_sim *sim, const struct scn_step *s,
		 const struct cbit_sim_result *res, const char *diff)
{
	json_t *runs = json_object_get(opaque, "runs");
	json_t *run = json_array_get(runs, json_array_size(runs) - 1);
	json_t *o = json_object(), *list = json_array();

	(void)sim;
	json_object_set_new(o, "line", json_integer((json_int_t)s->line));
	json_object_set_new(o, "step", json_string(s->text));
	json_object_set_new(o, "outcome", json_string(cbit_sim_outcome_name(res->outcome)));
	json_object_set_new(o, "undefined_by_vendor", json_boolean(res->vendor));
	if (res->outcome == CBIT_SIM_FAULT)
		json_object_set_new(o, "fault", json_string(cbit_sim_fault_name(res->fault)));
	if (s->op.kind == CBIT_SIM_MSI) {
		json_object_set_new(o, "address", number(res->address));
		json_object_set_new(o, "data", number(res->data));
		json_object_set_new(o, "cpus", json_integer((json_int_t)res->cpus));
	}
	if (res->outcome == CBIT_SIM_REFUSED)
		json_object_set_new(o, "error", json_string(strerror(-res->error)));
	if (s->op.kind == CBIT_SIM_MAP)
		json_object_set_new(o, "device_address", number(res->iova.v));
	if (res->iopte_valid)
		json_object_set_new(o, "iopte", number(res->iopte));
	access_to(o, res);
	json_object_set_new(o, "decisions", decisions(res));
	json_object_set_new(o, "stages", stages(res));
	for (unsigned int i = 0; i < res->nr_findings; i++)
		json_array_append_new(list, json_string(res->findings[i]));
	json_object_set_new(o, "findings", list);
	list = json_array();
	for (unsigned int i = 0; i < res->nr_events; i++)
		json_array_append_new(list,
				      json_sprintf("%08x %08x %08x %08x", res->events[i].dw[0],
						   res->events[i].dw[1], res->events[i].dw[2],
						   res->events[i].dw[3]));
	json_object_set_new(o, "events", list);
	json_object_set_new(o, "not_as_expected", diff ? json_string(diff) : json_null());
	json_array_append_new(json_object_get(run, "steps"), o);
}

static void end(void *opaque, unsigned int checked, unsigned int failed)
{
	json_object_set_new(opaque, "steps", json_integer((json_int_t)checked));
	json_object_set_new(opaque, "failed", json_integer((json_int_t)failed));
}

const struct scn_tell scn_tell_json = { begin, policy, step, end };
