/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit explain: tell a scenario stage by stage.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "scenario_file.h"

struct options {
	const struct cbit_policy *policy;
	const char *file;
};

static const struct argp_option option_list[] = {
	{ "policy", 'k', "NAME", 0, "under this policy instead of those that the file names", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'k':
		o->policy = cbit_policy_preset(arg);
		if (!o->policy)
			argp_error(state, "--policy '%s': 'cbit devices' lists the policies", arg);
		break;
	case ARGP_KEY_ARG:
		if (o->file)
			argp_error(state, "one file at a time");
		o->file = arg;
		break;
	case ARGP_KEY_END:
		if (!o->file)
			argp_error(state, "no scenario file given");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int cmd_explain(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_list,
		.parser = parse,
		.args_doc = "FILE",
		.doc = "Tell a scenario stage by stage: the entries at every level and where they "
		       "stand, each decision with the kernel function that makes it, keys and "
		       "bytes.",
	};
	struct options o = { 0 };
	struct cbit_scenario *scn;
	struct cbit_error err;
	unsigned int failed;
	char *report = NULL;
	int code = EXIT_CBIT;

	argp_err_exit_status = EXIT_CBIT;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return EXIT_CBIT;
	scn = scenario_load(o.file);
	if (!scn)
		return EXIT_CBIT;
	if (cbit_scenario_run(scn, o.policy, CBIT_SCENARIO_STORY, &report, &failed, &err)) {
		fprintf(stderr, "cbit: %s\n", err.text);
	} else {
		fputs(report, stdout);
		code = failed ? 1 : 0;
	}
	free(report);
	cbit_scenario_free(scn);
	return code;
}
