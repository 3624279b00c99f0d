/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit explore: the shortest sequences of operations that break a policy.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cbit/explore.h>

#include "cli.h"

enum { OPT_BREAK = 1000, OPT_VERIFY };

struct options {
	struct cbit_explore_config cfg;
	bool guest_given;
	bool json;
};

static const struct argp_option option_list[] = {
	{ "platform", 'p', "NAME", 0, "bare, sme (default) or tsme", 0 },
	{ "policy", 'k', "NAME", 0, "the kernel of host and guest (default complete)", 0 },
	{ "depth", 'n', "N", 0, "operations in a sequence (default 6)", 0 },
	{ "guest", 'g', "KIND", 0,
	  "its machines as well: none, plain, sev (default on sme), sev-es or sev-snp", 0 },
	{ "format", 'f', "FORMAT", 0, "text (default) or json", 0 },
	{ "break", OPT_BREAK, "WHAT", 0,
	  "break on purpose, to see it found: invalidation, key or remapping", 0 },
	{ "verify", OPT_VERIFY, "N", 0,
	  "of every Nth sequence that led to a known state, check that nothing that may come next "
	  "tells it from the one that was there first",
	  0 },
	{ 0 },
};

static const char *const guests[] = { "none", "plain", "sev", "sev-es", "sev-snp" };
static const char *const breaks[] = { "invalidation", "key", "remapping" };
static const char *const formats[] = { "text", "json" };

static int which(const char *arg, const char *const *names, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!strcmp(arg, names[i]))
			return (int)i;
	}
	return -1;
}

static unsigned int number(const char *arg, const char *option, unsigned int max,
			   struct argp_state *state)
{
	char *end;
	unsigned long v = strtoul(arg, &end, 10);

	if (*arg < '0' || *arg > '9' || *end || !v || v > max)
		argp_error(state, "%s '%s': 1 to %u", option, arg, max);
	return (unsigned int)v;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	int i;

	switch (key) {
	case 'p':
		/* Guests have an option of their own. */
		if (cbit_platform_preset(arg, &o->cfg.platform) || o->cfg.platform.sev)
			argp_error(state, "--platform '%s': bare, sme or tsme", arg);
		break;
	case 'k':
		o->cfg.policy = cbit_policy_preset(arg);
		if (!o->cfg.policy)
			argp_error(state, "--policy '%s': 'cbit devices' lists the policies", arg);
		break;
	case 'n':
		o->cfg.depth = number(arg, "--depth", CBIT_EXPLORE_DEPTH, state);
		break;
	case 'g':
		i = which(arg, guests, 5);
		if (i < 0)
			argp_error(state, "--guest '%s': none, plain, sev, sev-es or sev-snp", arg);
		o->cfg.guest = (enum cbit_explore_guest)i;
		o->guest_given = true;
		break;
	case 'f':
		i = which(arg, formats, 2);
		if (i < 0)
			argp_error(state, "--format '%s': text or json", arg);
		o->json = i == 1;
		break;
	case OPT_BREAK:
		i = which(arg, breaks, 3);
		if (i < 0)
			argp_error(state, "--break '%s': invalidation, key or remapping", arg);
		else
			o->cfg.breaks |= 1u << i;
		break;
	case OPT_VERIFY:
		o->cfg.verify = number(arg, "--verify", 1000000, state);
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s': there are no arguments", arg);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* A line that is written over again. */
static void bar(void *opaque, const struct cbit_explore_progress *p)
{
	static const char full[] = "####################";
	uint64_t part = p->todo ? p->done * 20 / p->todo : 0;

	(void)opaque;
	fprintf(stderr, "\r[%-20.*s] machine %u of %u, %s: operation %u of %u\033[K", (int)part,
		full, p->nr + 1, p->of, p->machine, p->level, p->depth);
}

int cmd_explore(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_list,
		.parser = parse,
		.doc = "Carry out every order of the operations that correct drivers may issue, up "
		       "to a length, on small machines, and print the shortest sequence for each "
		       "way in which the policy fails.\v"
		       "Exit status: 0 without findings, 3 with findings, 125 when cbit itself "
		       "failed.",
	};
	struct options o = { .cfg = { .depth = 6 } };
	struct cbit_explore_result *result;
	struct cbit_error err = { 0 };
	bool terminal = isatty(STDERR_FILENO);
	char *text;
	int ret;

	o.cfg.policy = cbit_policy_preset("complete");
	cbit_platform_preset("sme", &o.cfg.platform);
	argp_err_exit_status = EXIT_CBIT;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return EXIT_CBIT;
	if (!o.guest_given && o.cfg.platform.sme)
		o.cfg.guest = CBIT_EXPLORE_GUEST_SEV;
	if (terminal)
		o.cfg.progress = bar;
	ret = cbit_explore_run(&o.cfg, &result, &err);
	if (terminal)
		fputs("\r\033[K", stderr);
	if (!ret)
		ret = cbit_explore_render(result, o.json, &text);
	if (ret) {
		fprintf(stderr, "cbit: %s\n", err.text[0] ? err.text : strerror(-ret));
		return EXIT_CBIT;
	}
	fputs(text, stdout);
	if (o.json)
		putchar('\n');
	ret = result->nr_findings ? EXIT_FINDINGS : 0;
	free(text);
	cbit_explore_free(result);
	return ret;
}
