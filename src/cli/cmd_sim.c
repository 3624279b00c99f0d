/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit sim: carry out scenario files, check what they expect, and prove that they can fail.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "scenario_file.h"

enum {
	KEY_FORMAT = 'f',
	KEY_POLICY = 'k',
	KEY_QUIET = 'q',
	KEY_PROVE = 256,
};

struct options {
	enum cbit_scenario_format format;
	const struct cbit_policy *policy;
	bool quiet;
	bool prove;
	char **files;
	int nr_files;
	int told; /* reports that were printed */
};

static const struct argp_option option_list[] = {
	{ "format", KEY_FORMAT, "FORMAT", 0, "text (default) or json; of several files a list", 0 },
	{ "policy", KEY_POLICY, "NAME", 0,
	  "run under this policy instead of those that the file names", 0 },
	{ "quiet", KEY_QUIET, NULL, 0, "print only scenarios that fail", 0 },
	{ "prove", KEY_PROVE, NULL, 0,
	  "also change each expectation to another legal value, one at a time, and demand that "
	  "the changed scenario fails",
	  0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_FORMAT:
		if (!strcmp(arg, "json"))
			o->format = CBIT_SCENARIO_JSON;
		else if (strcmp(arg, "text") != 0)
			argp_error(state, "--format '%s': text or json", arg);
		break;
	case KEY_POLICY:
		o->policy = cbit_policy_preset(arg);
		if (!o->policy)
			argp_error(state, "--policy '%s': 'cbit devices' lists the policies", arg);
		break;
	case KEY_QUIET:
		o->quiet = true;
		break;
	case KEY_PROVE:
		o->prove = true;
		break;
	case ARGP_KEY_ARGS:
		o->files = state->argv + state->next;
		o->nr_files = state->argc - state->next;
		break;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no scenario file given");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* Whether the text with one expectation changed fails; -1 when it cannot be run. */
static int mutant_fails(const struct options *o, const char *file, const char *text)
{
	struct cbit_scenario *scn;
	struct cbit_error err;
	unsigned int failed = 0;
	char *message;
	int ret;

	ret = cbit_scenario_parse(file, text, strlen(text), &scn, &message);
	if (ret) {
		fprintf(stderr, "cbit: %s\n", message ? message : strerror(-ret));
		free(message);
		return -1;
	}
	ret = cbit_scenario_run(scn, o->policy, CBIT_SCENARIO_TEXT, NULL, &failed, &err);
	if (ret)
		fprintf(stderr, "cbit: %s\n", err.text);
	cbit_scenario_free(scn);
	return ret ? -1 : failed != 0;
}

static int prove(const struct options *o, const char *file, const struct cbit_scenario *scn)
{
	unsigned int n = cbit_scenario_mutants(scn), idle = 0;

	for (unsigned int i = 0; i < n; i++) {
		char *what = NULL;
		char *text = cbit_scenario_mutant(scn, i, &what);
		int fails = text ? mutant_fails(o, file, text) : -1;

		if (!fails)
			fprintf(o->format == CBIT_SCENARIO_JSON ? stderr : stdout,
				"%s:%s: and the scenario still holds\n", file, what);
		idle += !fails;
		free(text);
		free(what);
		if (fails < 0)
			return EXIT_CBIT;
	}
	if (!idle && !o->quiet && o->format == CBIT_SCENARIO_TEXT)
		printf("  %u expectations, each proven able to fail\n", n);
	return idle ? 1 : 0;
}

/* Several reports are one JSON text: a list. */
static void print_report(struct options *o, const char *report)
{
	bool json = o->format == CBIT_SCENARIO_JSON;

	if (json && o->nr_files > 1)
		fputs(o->told ? ",\n" : "[\n", stdout);
	printf("%s%s", report, json && o->nr_files == 1 ? "\n" : "");
	o->told++;
}

static int run_file(struct options *o, const char *file)
{
	struct cbit_scenario *scn = scenario_load(file);
	struct cbit_error err;
	unsigned int failed;
	char *report = NULL;
	int ret, code;

	if (!scn)
		return EXIT_CBIT;
	ret = cbit_scenario_run(scn, o->policy, o->format, &report, &failed, &err);
	if (ret) {
		fprintf(stderr, "cbit: %s\n", err.text);
		code = EXIT_CBIT;
	} else {
		code = failed ? 1 : 0;
		if (!o->quiet || failed)
			print_report(o, report);
		if (!code && o->prove)
			code = prove(o, file, scn);
	}
	free(report);
	cbit_scenario_free(scn);
	return code;
}

int cmd_sim(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_list,
		.parser = parse,
		.args_doc = "FILE...",
		.doc = "Carry out scenarios: a machine, steps, and what is expected of them.\v"
		       "Exit status 0 when all is as expected, 1 when it is not, 125 for a file "
		       "that cannot be read or a machine that cannot be. FILE may be -.",
	};
	struct options o = { .format = CBIT_SCENARIO_TEXT };
	int code = 0;

	argp_err_exit_status = EXIT_CBIT;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return EXIT_CBIT;
	for (int i = 0; i < o.nr_files; i++) {
		int one = run_file(&o, o.files[i]);

		if (one > code)
			code = one;
	}
	if (o.format == CBIT_SCENARIO_JSON && o.nr_files > 1)
		puts(o.told ? "\n]" : "[]");
	return code;
}
