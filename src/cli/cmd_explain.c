/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit explain: tell a scenario, or one case of the matrix, stage by stage.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/matrix.h>

#include "cli.h"
#include "scenario_file.h"

enum {
	KEY_PLATFORM = 'p',
	KEY_POLICY = 'k',
	KEY_MEMORY = 'm',
	KEY_MAPPER = 'b',
	KEY_ACCESSOR = 'a',
};

struct options {
	const struct cbit_policy *policy;
	struct cbit_matrix_cell which;
	bool selected;
	const char *file;
};

static const struct argp_option option_list[] = {
	{ "platform", KEY_PLATFORM, "NAME", 0, "of the case: as in 'cbit matrix' (sme)", 0 },
	{ "policy", KEY_POLICY, "NAME", 0,
	  "of the case (complete); with a FILE, instead of those that it names", 0 },
	{ "memory", KEY_MEMORY, "KIND", 0,
	  "dram (default), cxl-ram, coherent, coherent-plain or mmio", 0 },
	{ "mapper", KEY_MAPPER, "NAME", 0,
	  "type1 (default), iommufd, dma-direct, dma-swiotlb or dma-iommu", 0 },
	{ "accessor", KEY_ACCESSOR, "NAME", 0,
	  "device (default), peer, host-cpu, guest-cpu or hypervisor", 0 },
	{ 0 },
};

static const char *memory_name(unsigned int i)
{
	return i < CBIT_MATRIX_NR_MEMORIES ? cbit_matrix_memory_name((enum cbit_matrix_memory)i)
					   : NULL;
}

static const char *mapper_name(unsigned int i)
{
	return i < CBIT_MATRIX_NR_MAPPERS ? cbit_matrix_mapper_name((enum cbit_matrix_mapper)i)
					  : NULL;
}

static const char *accessor_name(unsigned int i)
{
	return i < CBIT_MATRIX_NR_ACCESSORS
		       ? cbit_matrix_accessor_name((enum cbit_matrix_accessor)i)
		       : NULL;
}

/* The index of @arg among the names; an error that lists them otherwise. */
static unsigned int pick(struct argp_state *state, const char *option, const char *arg,
			 const char *(*name)(unsigned int))
{
	char list[256] = "";
	unsigned int i;
	size_t n = 0;

	for (i = 0; name(i); i++) {
		if (!strcmp(name(i), arg))
			return i;
		if (n < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "",
					      name(i));
	}
	argp_error(state, "%s '%s': one of %s", option, arg, list);
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_PLATFORM:
		o->which.platform = cbit_matrix_platform_at(
			pick(state, "--platform", arg, cbit_matrix_platform_at));
		break;
	case KEY_POLICY:
		o->policy = cbit_policy_preset(arg);
		if (!o->policy)
			argp_error(state, "--policy '%s': 'cbit devices' lists the policies", arg);
		return 0;
	case KEY_MEMORY:
		o->which.memory =
			(enum cbit_matrix_memory)pick(state, "--memory", arg, memory_name);
		break;
	case KEY_MAPPER:
		o->which.mapper =
			(enum cbit_matrix_mapper)pick(state, "--mapper", arg, mapper_name);
		break;
	case KEY_ACCESSOR:
		o->which.accessor =
			(enum cbit_matrix_accessor)pick(state, "--accessor", arg, accessor_name);
		break;
	case ARGP_KEY_ARG:
		if (o->file)
			argp_error(state, "one file at a time");
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->file && o->selected)
			argp_error(state, "a file, or a case of the matrix, but not both");
		if (!o->file && !o->selected)
			argp_error(state, "no scenario file given, nor a case of the matrix");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	o->selected = true;
	return 0;
}

static int explain_file(const struct options *o)
{
	struct cbit_scenario *scn = scenario_load(o->file);
	struct cbit_error err;
	unsigned int failed;
	char *report = NULL;
	int code = EXIT_CBIT;

	if (!scn)
		return EXIT_CBIT;
	if (cbit_scenario_run(scn, o->policy, CBIT_SCENARIO_STORY, &report, &failed, &err)) {
		fprintf(stderr, "cbit: %s\n", err.text);
	} else {
		fputs(report, stdout);
		code = failed ? 1 : 0;
	}
	free(report);
	cbit_scenario_free(scn);
	return code;
}

static int explain_case(struct options *o)
{
	struct cbit_error err = { 0 };
	char *story;

	if (o->policy)
		o->which.policy = cbit_policy_name(o->policy);
	if (cbit_matrix_explain(&o->which, &story, &err)) {
		fprintf(stderr, "cbit: %s\n", err.text[0] ? err.text : "the case failed");
		return EXIT_CBIT;
	}
	fputs(story, stdout);
	free(story);
	return 0;
}

int cmd_explain(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_list,
		.parser = parse,
		.args_doc = "FILE\n--memory KIND ...",
		.doc = "Tell a scenario, or one case of the matrix, stage by stage: the entries at "
		       "every level and where they stand, each decision with the kernel function "
		       "that makes it, keys and bytes.",
	};
	struct options o = { .which = { .platform = "sme", .policy = "complete" } };

	argp_err_exit_status = EXIT_CBIT;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return EXIT_CBIT;
	return o.file ? explain_file(&o) : explain_case(&o);
}
