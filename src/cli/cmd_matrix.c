/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit matrix: every case of platform, policy, memory, mapper and accessor.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/matrix.h>

#include "cli.h"

struct options {
	enum cbit_matrix_format format;
	const struct cbit_policy *policy;
	const char *platform;
};

static const struct argp_option option_list[] = {
	{ "platform", 'p', "NAME", 0, "only this one", 0 },
	{ "policy", 'k', "NAME", 0, "only this one", 0 },
	{ "format", 'f', "FORMAT", 0, "text (default), json or csv", 0 },
	{ 0 },
};

static bool platform_is(const char *name)
{
	const char *p;

	for (unsigned int i = 0; (p = cbit_matrix_platform_at(i)); i++) {
		if (!strcmp(p, name))
			return true;
	}
	return false;
}

static void unknown_platform(struct argp_state *state, const char *arg)
{
	char list[256] = "";
	const char *p;
	size_t n = 0;

	for (unsigned int i = 0; (p = cbit_matrix_platform_at(i)) && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", p);
	argp_error(state, "--platform '%s': one of %s", arg, list);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		if (!platform_is(arg))
			unknown_platform(state, arg);
		o->platform = arg;
		break;
	case 'k':
		o->policy = cbit_policy_preset(arg);
		if (!o->policy)
			argp_error(state, "--policy '%s': 'cbit devices' lists the policies", arg);
		break;
	case 'f':
		if (!strcmp(arg, "json"))
			o->format = CBIT_MATRIX_JSON;
		else if (!strcmp(arg, "csv"))
			o->format = CBIT_MATRIX_CSV;
		else if (strcmp(arg, "text") != 0)
			argp_error(state, "--format '%s': text, json or csv", arg);
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s': there are no arguments", arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int cmd_matrix(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_list,
		.parser = parse,
		.doc = "Carry out every case of platform, policy, kind of memory, mapper and "
		       "accessor, and print what each saw.\v"
		       "In the text form a question mark says that no vendor has defined the case; "
		       "the word in parentheses is the key used on DRAM.",
	};
	struct options o = { .format = CBIT_MATRIX_TEXT };
	struct cbit_error err = { 0 };
	char *text;

	argp_err_exit_status = EXIT_CBIT;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return EXIT_CBIT;
	if (cbit_matrix_render(o.platform, o.policy, o.format, &text, NULL, &err)) {
		fprintf(stderr, "cbit: %s\n", err.text[0] ? err.text : "the matrix failed");
		return EXIT_CBIT;
	}
	fputs(text, stdout);
	if (o.format == CBIT_MATRIX_JSON)
		putchar('\n');
	free(text);
	return 0;
}
