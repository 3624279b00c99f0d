/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running a scenario: a machine for each policy, step by step.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_internal.h"

struct run {
	const struct cbit_scenario *scn;
	const struct scn_tell *tell;
	void *opaque;
	unsigned int checked;
	unsigned int failed;
};

static int run_step(struct run *run, struct cbit_sim *sim, const struct cbit_policy *policy,
		    unsigned int index, struct cbit_sim_result *res, struct cbit_error *err)
{
	const struct scn_step *step = &run->scn->steps[index];
	char *diff;
	int ret;

	ret = cbit_sim_do(sim, &step->op, res);
	if (ret)
		return cbit_error_set(err, ret, "%s:%u: %.80s: %s", run->scn->file, step->line,
				      step->text,
				      res->err.text[0] ? res->err.text : strerror(-ret));
	ret = cbit_scenario_check(run->scn, index, policy, res, &diff);
	if (ret < 0)
		return ret;
	run->checked++;
	run->failed += (unsigned int)ret;
	if (run->tell)
		run->tell->step(run->opaque, sim, step, res, diff);
	free(diff);
	return 0;
}

/* The machine's own words name regions and devices; here is the file. */
static int power_on(const struct cbit_scenario *scn, const struct cbit_sim_config *cfg,
		    struct cbit_sim **out, struct cbit_error *err)
{
	struct cbit_error why = { 0 };
	int ret = cbit_sim_create(cfg, out, &why);

	return ret ? cbit_error_set(err, ret, "%s:%u: %s", scn->file, scn->machine_line,
				    why.text[0] ? why.text : strerror(-ret))
		   : 0;
}

static int run_policy(struct run *run, const struct cbit_policy *policy, struct cbit_error *err)
{
	struct cbit_sim_config *cfg = malloc(sizeof(*cfg));
	struct cbit_sim_result *res = malloc(sizeof(*res));
	struct cbit_sim *sim = NULL;
	int ret = -ENOMEM;

	if (cfg && res) {
		*cfg = run->scn->cfg;
		cfg->policy = policy;
		ret = power_on(run->scn, cfg, &sim, err);
		if (run->tell && !ret)
			run->tell->policy(run->opaque, run->scn, policy);
		for (unsigned int i = 0; !ret && i < run->scn->nr_steps; i++)
			ret = run_step(run, sim, policy, i, res, err);
	}
	cbit_sim_destroy(sim);
	free(cfg);
	free(res);
	return ret;
}

static int run_all(struct run *run, const struct cbit_policy *only, struct cbit_error *err)
{
	int ret = 0;

	if (run->tell)
		run->tell->begin(run->opaque, run->scn);
	if (only)
		ret = run_policy(run, only, err);
	for (unsigned int i = 0; !only && !ret && i < run->scn->nr_policies; i++)
		ret = run_policy(run, run->scn->policies[i], err);
	if (run->tell && !ret)
		run->tell->end(run->opaque, run->checked, run->failed);
	return ret;
}

static int run_json(struct run *run, const struct cbit_policy *only, char **report,
		    struct cbit_error *err)
{
	json_t *root = json_object();
	int ret;

	run->tell = &scn_tell_json;
	run->opaque = root;
	ret = root ? run_all(run, only, err) : -ENOMEM;
	if (!ret) {
		*report = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		ret = *report ? 0 : -ENOMEM;
	}
	json_decref(root);
	return ret;
}

static int run_text(struct run *run, const struct cbit_policy *only, char **report,
		    struct cbit_error *err)
{
	size_t size;
	FILE *out = open_memstream(report, &size);
	int ret;

	if (!out)
		return -ENOMEM;
	run->opaque = out;
	ret = run_all(run, only, err);
	if (fclose(out) && !ret)
		ret = -ENOMEM;
	if (ret) {
		free(*report);
		*report = NULL;
	}
	return ret;
}

int cbit_scenario_run(const struct cbit_scenario *scn, const struct cbit_policy *policy,
		      enum cbit_scenario_format format, char **report, unsigned int *failed,
		      struct cbit_error *err)
{
	struct run run = { .scn = scn };
	int ret;

	if (err)
		*err = (struct cbit_error){ 0 };
	if (!report) {
		ret = run_all(&run, policy, err);
	} else if (format == CBIT_SCENARIO_JSON) {
		ret = run_json(&run, policy, report, err);
	} else {
		run.tell = format == CBIT_SCENARIO_STORY ? &scn_tell_story : &scn_tell_text;
		ret = run_text(&run, policy, report, err);
	}
	*failed = run.failed;
	if (ret && err && !err->text[0])
		cbit_error_set(err, ret, "%s: %s", scn->file, strerror(-ret));
	return ret;
}
