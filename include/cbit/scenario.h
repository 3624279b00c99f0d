/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scenario: a machine, steps and what is expected of them, in a YAML file. docs/sim.md tells how
 * such a file is written.
 *
 * An object is used by one thread at a time.
 */
#ifndef CBIT_SCENARIO_H
#define CBIT_SCENARIO_H

#include <cbit/sim.h>

CBIT_API_BEGIN

struct cbit_scenario;

/**
 * cbit_scenario_parse() - read a scenario.
 * @file: its name, for messages. @text: @len bytes, need not be terminated.
 * @message: on error, for the caller to free(): "FILE:LINE:COLUMN: ..." with the bad word and the
 *           legal ones; NULL without memory.
 * Return: 0 and *@out owned by the caller; -EINVAL; -ENOMEM.
 */
int cbit_scenario_parse(const char *file, const char *text, size_t len, struct cbit_scenario **out,
			char **message);

/** cbit_scenario_free() - NULL is allowed. */
void cbit_scenario_free(struct cbit_scenario *scenario);

/**
 * cbit_scenario_name() and cbit_scenario_about() - what the file says of itself, "" where it does
 * not. Return: strings that live as long as the scenario.
 */
const char *cbit_scenario_name(const struct cbit_scenario *scenario);
const char *cbit_scenario_about(const struct cbit_scenario *scenario);

/** cbit_scenario_policy() - the policies it is to run under, one by one; NULL after the last. */
const struct cbit_policy *cbit_scenario_policy(const struct cbit_scenario *scenario,
					       unsigned int index);

/** cbit_scenario_config() - its machine; the policy and the observer are the caller's to fill in.
 */
const struct cbit_sim_config *cbit_scenario_config(const struct cbit_scenario *scenario);

/** cbit_scenario_steps() - how many steps there are. */
unsigned int cbit_scenario_steps(const struct cbit_scenario *scenario);

/**
 * struct cbit_scenario_step - one of them.
 * @line: in the file. @text: the step in words. @op: what it does; valid while the scenario is.
 */
struct cbit_scenario_step {
	unsigned int line;
	const char *text;
	const struct cbit_sim_op *op;
};

/** cbit_scenario_step() - step @index, below cbit_scenario_steps(). */
struct cbit_scenario_step cbit_scenario_step(const struct cbit_scenario *scenario,
					     unsigned int index);

/**
 * cbit_scenario_check() - compare what came of a step with what the file expects of it under
 * @policy. Where it expects nothing, the step has to go well and without findings.
 * @diff: what is not as expected, a line for each, for the caller to free(); NULL if all is.
 * Return: 0; 1 when something is not as expected; -ENOMEM.
 */
int cbit_scenario_check(const struct cbit_scenario *scenario, unsigned int index,
			const struct cbit_policy *policy, const struct cbit_sim_result *result,
			char **diff);

/** enum cbit_scenario_format - how a run is told. */
enum cbit_scenario_format {
	CBIT_SCENARIO_TEXT,
	CBIT_SCENARIO_JSON,
	CBIT_SCENARIO_STORY, /* stage by stage: cbit explain */
};

/**
 * cbit_scenario_run() - execute it under each of its policies, or under @policy alone.
 * @policy: NULL for the file's.
 * @report: what was seen, for the caller to free(); may be NULL when nobody wants it.
 * @failed: how many expectations did not hold.
 * Return: 0; -EINVAL for a machine or an operation that cannot be, with words in @err; -ENOMEM;
 * -EIO for an error of the model.
 */
int cbit_scenario_run(const struct cbit_scenario *scenario, const struct cbit_policy *policy,
		      enum cbit_scenario_format format, char **report, unsigned int *failed,
		      struct cbit_error *err);

/**
 * cbit_scenario_mutants() - how many expectations the file states.
 * cbit_scenario_mutant() - the file's text with expectation @index, below that number, replaced by
 * another legal value: what is right of the file is wrong of this text.
 * @what: the place and the words, "LINE:COLUMN: KEY: OLD -> NEW"; for the caller to free(), as is
 * the text; may be NULL.
 * Return: NULL without memory.
 */
unsigned int cbit_scenario_mutants(const struct cbit_scenario *scenario);
char *cbit_scenario_mutant(const struct cbit_scenario *scenario, unsigned int index, char **what);

CBIT_API_END

#endif
