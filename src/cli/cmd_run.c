/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit run: run a program on a modelled machine and print what was found.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cbit/report.h>
#include "host/host.h"

#include "cli.h"

enum {
	KEY_PLATFORM = 'p',
	KEY_POLICY = 'k',
	KEY_DEVICE = 'd',
	KEY_FAULT = 'f',
	KEY_STRICT = 's',
	KEY_REPORT = 'r',
	KEY_FRAMES = 256,
	KEY_C_BIT,
	KEY_MEMLOCK,
	KEY_HOST_KEY,
	KEY_STATS,
	KEY_NO_BACKTRACE,
	KEY_NO_WATCH_MEMORY,
	KEY_VIOMMU,
	KEY_TDISP,
	KEY_SNP_READS,
};

#define MAX_REPORTS 8

struct report_target {
	bool json;
	const char *file; /* NULL: stderr */
};

struct options {
	struct host_config host;
	const char *devices[HOST_MAX_DEVICES];
	struct report_target reports[MAX_REPORTS];
	unsigned int nr_reports;
	bool strict;
	bool stats;
	bool no_backtrace;
	bool guest_options;
	bool snp_reads_ciphertext;
};

static const struct argp_option option_list[] = {
	{ "platform", KEY_PLATFORM, "NAME", 0,
	  "bare, sme (default) or tsme; sev-guest or snp-guest: the program runs inside such a "
	  "guest",
	  0 },
	{ "viommu", KEY_VIOMMU, "on|off", 0,
	  "whether a guest sees an IOMMU (default: on); without one VFIO is in its no-IOMMU mode",
	  0 },
	{ "snp-reads", KEY_SNP_READS, "WHAT", 0,
	  "what a device that an SNP guest's host assigned to it reads from private pages: abort "
	  "(default) or ciphertext",
	  0 },
	{ "tdisp", KEY_TDISP, NULL, 0, "a guest's devices are trusted, in TDISP run state", 0 },
	{ "policy", KEY_POLICY, "NAME", 0,
	  "the kernel to be: linux-6.17, linux-7.2, complete (default); see 'cbit devices'", 0 },
	{ "device", KEY_DEVICE, "SPEC", 0,
	  "plug in a device: MODEL[,OPTION]...; may be given again. Default: one ioat", 0 },
	{ "fault", KEY_FAULT, "SPEC", 0,
	  "let something go wrong: KIND[,OPTION]..., see 'cbit devices'; may be given again", 0 },
	{ "strict", KEY_STRICT, NULL, 0, "exit with 3 when there are findings", 0 },
	{ "report", KEY_REPORT, "FORMAT[:FILE]", 0,
	  "text (default) or json, to FILE or stderr; may be given again", 0 },
	{ "frames", KEY_FRAMES, "HOW", 0,
	  "placement of the program's pages in modelled DRAM: congruent (default; large IOMMU "
	  "pages appear as with huge pages) or scattered (4 KiB only)",
	  0 },
	{ "memlock", KEY_MEMLOCK, "LIMIT", 0,
	  "how much the program may map for DMA: unlimited (default), inherit (its own "
	  "RLIMIT_MEMLOCK, as Linux does), or a size such as 64M",
	  0 },
	{ "no-backtrace", KEY_NO_BACKTRACE, NULL, 0,
	  "do not look up where in the program the calls behind a finding came from", 0 },
	{ "no-watch-memory", KEY_NO_WATCH_MEMORY, NULL, 0,
	  "do not look for memory that the program gives up while it is mapped for DMA", 0 },
	{ "c-bit", KEY_C_BIT, "N", 0, "position of the C-bit (sme: 51)", 0 },
	{ "stats", KEY_STATS, NULL, 0, "tell at the end what the run took, a line a figure", 0 },
	{ "host-key", KEY_HOST_KEY, "HEX", 0, "the 32-byte memory encryption key, 64 digits", 0 },
	{ 0 },
};

static void parse_report(struct argp_state *state, struct options *o, const char *arg)
{
	struct report_target *r = &o->reports[o->nr_reports];
	const char *colon = strchr(arg, ':');
	size_t len = colon ? (size_t)(colon - arg) : strlen(arg);

	if (o->nr_reports == MAX_REPORTS)
		argp_error(state, "more than %d --report", MAX_REPORTS);
	if (len == 4 && !strncmp(arg, "json", 4))
		r->json = true;
	else if (len != 4 || strncmp(arg, "text", 4) != 0)
		argp_error(state, "--report '%s': the format is text or json", arg);
	r->file = colon ? colon + 1 : NULL;
	if (r->file && !*r->file)
		argp_error(state, "--report '%s': a file name must follow the colon", arg);
	o->nr_reports++;
}

static void parse_host_key(struct argp_state *state, struct options *o, const char *arg)
{
	unsigned int byte;

	if (strlen(arg) != 64 || strspn(arg, "0123456789abcdefABCDEF") != 64)
		argp_error(state, "--host-key: 64 hexadecimal digits are needed, not '%s'", arg);
	for (size_t i = 0; i < 32; i++) {
		sscanf(arg + 2 * i, "%2x", &byte);
		o->host.platform.host_key[i] = (uint8_t)byte;
	}
}

/* The platform comes first, since others change parts of it. */
static void parse_platform(struct argp_state *state, struct options *o, const char *arg)
{
	uint8_t key[32];

	memcpy(key, o->host.platform.host_key, sizeof(key));
	if (cbit_platform_preset(arg, &o->host.platform))
		argp_error(state, "--platform '%s': bare, sme, tsme, sev-guest or snp-guest", arg);
	o->host.guest.kind = o->host.platform.snp   ? CBIT_GUEST_SNP
			     : o->host.platform.sev ? CBIT_GUEST_SEV
						    : CBIT_GUEST_PLAIN;
	memcpy(o->host.platform.host_key, key, sizeof(key));
}

static void parse_memlock(struct argp_state *state, struct options *o, const char *arg)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	if (!strcmp(arg, "unlimited")) {
		o->host.memlock = HOST_MEMLOCK_UNLIMITED;
		return;
	}
	if (!strcmp(arg, "inherit")) {
		o->host.memlock = HOST_MEMLOCK_INHERIT;
		return;
	}
	o->host.memlock = HOST_MEMLOCK_SIZE;
	errno = 0;
	o->host.memlock_size = strtoull(arg, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		if (o->host.memlock_size > UINT64_MAX >> 10 * (unit - units + 1))
			errno = ERANGE;
		o->host.memlock_size <<= 10 * (unit - units + 1);
		end++;
	}
	if (*arg < '0' || *arg > '9' || *end || errno)
		argp_error(state, "--memlock '%s': unlimited, inherit or a size such as 64M", arg);
}

static void parse_fault(struct argp_state *state, struct options *o, const char *arg)
{
	struct cbit_error fault = { 0 };

	if ((!o->host.faults && cbit_fault_plan_create(&o->host.faults)) ||
	    cbit_fault_plan_add(o->host.faults, arg, &fault))
		argp_error(state, "--fault: %s", fault.text[0] ? fault.text : strerror(ENOMEM));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	unsigned long n;
	char *end;

	switch (key) {
	case KEY_PLATFORM:
		parse_platform(state, o, arg);
		break;
	case KEY_POLICY:
		o->host.policy = cbit_policy_preset(arg);
		if (!o->host.policy)
			argp_error(state, "--policy '%s': 'cbit devices' lists the policies", arg);
		break;
	case KEY_DEVICE:
		if (o->host.nr_devices == HOST_MAX_DEVICES)
			argp_error(state, "more than %d --device", HOST_MAX_DEVICES);
		o->devices[o->host.nr_devices++] = arg;
		break;
	case KEY_FAULT:
		parse_fault(state, o, arg);
		break;
	case KEY_STRICT:
		o->strict = true;
		break;
	case KEY_REPORT:
		parse_report(state, o, arg);
		break;
	case KEY_FRAMES:
		if (!strcmp(arg, "congruent"))
			o->host.frames = HOST_FRAMES_CONGRUENT;
		else if (!strcmp(arg, "scattered"))
			o->host.frames = HOST_FRAMES_SCATTERED;
		else
			argp_error(state, "--frames '%s': congruent or scattered", arg);
		break;
	case KEY_NO_BACKTRACE:
		o->no_backtrace = true;
		break;
	case KEY_NO_WATCH_MEMORY:
		o->host.watch_memory = false;
		break;
	case KEY_MEMLOCK:
		parse_memlock(state, o, arg);
		break;
	case KEY_C_BIT:
		n = strtoul(arg, &end, 10);
		if (!*arg || *end || n < 47 || n > 51)
			argp_error(state, "--c-bit '%s': a position from 47 to 51", arg);
		o->host.platform.c_bit = (unsigned int)n;
		/* Addresses end below it: the reduction of CPUID 8000001F EBX[11:6]. */
		if (o->host.platform.pa_bits > n)
			o->host.platform.pa_bits = (unsigned int)n;
		break;
	case KEY_VIOMMU:
		o->host.guest.viommu = !strcmp(arg, "on");
		o->guest_options = true;
		if (!o->host.guest.viommu && strcmp(arg, "off") != 0)
			argp_error(state, "--viommu '%s': on or off", arg);
		break;
	case KEY_SNP_READS:
		o->snp_reads_ciphertext = !strcmp(arg, "ciphertext");
		o->guest_options = true;
		if (!o->snp_reads_ciphertext && strcmp(arg, "abort") != 0)
			argp_error(state, "--snp-reads '%s': abort or ciphertext", arg);
		break;
	case KEY_TDISP:
		o->host.guest.tdisp = true;
		o->guest_options = true;
		break;
	case KEY_STATS:
		o->stats = true;
		break;
	case KEY_HOST_KEY:
		parse_host_key(state, o, arg);
		break;
	case ARGP_KEY_ARG:
		/* The first word that is no option of ours begins the program. */
		o->host.argv = &state->argv[state->next - 1];
		state->next = state->argc;
		break;
	case ARGP_KEY_END:
		if (!o->host.argv)
			argp_error(state, "no program given");
		if (o->guest_options && !o->host.guest.kind)
			argp_error(state,
				   "--viommu, --tdisp and --snp-reads are for a guest: --platform "
				   "sev-guest or snp-guest");
		o->host.platform.snp_reads_ciphertext = o->snp_reads_ciphertext;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* A line of which the program may have chosen some words: a terminal is not to obey them. */
static void say(void *opaque, const char *text)
{
	char line[512];
	size_t n = 0;

	(void)opaque;
	for (; n < sizeof(line) - 1 && text[n]; n++)
		line[n] = (char)((unsigned char)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n]);
	line[n] = 0;
	fprintf(stderr, "cbit: %s\n", line);
}

static void print_stats(const struct host_stats *stats)
{
	const struct {
		const char *name;
		uint64_t value;
	} lines[] = {
		{ "calls-answered", stats->answered },
		{ "dma-bytes-by-pointer", stats->by_pointer },
		{ "dma-bytes-by-call", stats->by_call },
		{ "dma-calls", stats->calls },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		fprintf(stderr, "cbit: stat %s %" PRIu64 "\n", lines[i].name, lines[i].value);
}

/* Before the program runs, for it may not come through: with these words it can be had again. */
static void print_plan(const struct cbit_fault_plan *plan)
{
	struct cbit_fault_rule_info rule;

	for (unsigned int i = 0; plan && cbit_fault_plan_rule(plan, i, &rule); i++)
		fprintf(stderr, "cbit: fault plan: --fault %s\n", rule.text);
}

static void print_faults(const struct cbit_fault_plan *plan)
{
	struct cbit_fault_rule_info rule;

	for (unsigned int i = 0; plan && cbit_fault_plan_rule(plan, i, &rule); i++)
		fprintf(stderr, "cbit: faults: %s: injected %" PRIu64 ", of %" PRIu64 " events\n",
			rule.text, rule.injected, rule.events);
}

static int write_reports(const struct options *o, struct cbit_report *report)
{
	static const struct report_target to_stderr;
	const struct report_target *r = o->nr_reports ? o->reports : &to_stderr;
	unsigned int nr = o->nr_reports ? o->nr_reports : 1;
	bool closing = false;
	int ret = 0;

	fflush(stdout);
	for (unsigned int i = 0; i < nr; i++, r++) {
		char *text = r->json ? cbit_report_json(report) : cbit_report_text(report);
		FILE *out = r->file ? fopen(r->file, "we") : stderr;
		bool good =
			text && out && fputs(text, out) >= 0 && (!r->json || fputc('\n', out) >= 0);

		/* What is not flushed yet may still find no room. */
		if (out && r->file && fclose(out))
			good = false;
		if (!good) {
			fprintf(stderr, "cbit: cannot write the report to %s: %s\n",
				r->file ? r->file : "stderr", strerror(errno));
			ret = EXIT_CBIT;
		}
		closing |= !r->json && !r->file;
		free(text);
	}
	if (!closing) {
		unsigned int count = cbit_report_count(report);

		/* The last line of a run is always there. */
		if (count)
			fprintf(stderr, "cbit: %u finding%s\n", count, count == 1 ? "" : "s");
		else
			fputs("cbit: no findings\n", stderr);
	}
	return ret;
}

/* As a shell has it; and a program that a signal ended ends us by the same, core dumps apart. */
static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int cmd_run(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_list,
		.parser = parse,
		.args_doc = "PROGRAM [ARG]...",
		.doc = "Run a VFIO program, unmodified and as any user, on a modelled machine with "
		       "an AMD IOMMU and encrypted memory.\v"
		       "The program finds its devices' addresses in CBIT_DEVICES. Its exit status "
		       "is "
		       "passed on; 3 with --strict and findings, 125 when cbit itself failed, 126 "
		       "or "
		       "127 when the program cannot be run or is not there.",
	};
	struct options o = { .host = { .message = say,
				       .watch_memory = true,
				       .devices = NULL,
				       .guest = { .viommu = true } } };
	struct host_stats stats = { 0 };
	struct cbit_report *report;
	struct cbit_error err = { 0 };
	int ret, status = 0, code;

	argp_err_exit_status = EXIT_CBIT;
	cbit_platform_preset("sme", &o.host.platform);
	o.host.policy = cbit_policy_preset("complete");
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o))
		return EXIT_CBIT;
	if (!o.host.nr_devices)
		o.devices[o.host.nr_devices++] = "ioat";
	o.host.devices = o.devices;
	ret = cbit_report_create(&o.host.platform, cbit_policy_name(o.host.policy), &report);
	if (ret) {
		fprintf(stderr, "cbit: %s\n", strerror(-ret));
		return EXIT_CBIT;
	}
	o.host.observer = cbit_report_observer(report);
	if (!o.no_backtrace && !host_traces_create(&o.host.traces)) {
		const struct cbit_trace_source source = host_traces_source(o.host.traces);

		cbit_report_set_traces(report, &source);
	}
	print_plan(o.host.faults);
	ret = host_run(&o.host, &status, &stats, &err);
	if (ret == -ENOEXEC) {
		say(NULL, err.text);
		code = exit_status(status);
	} else if (ret) {
		fprintf(stderr, "cbit: %s\n", err.text);
		code = EXIT_CBIT;
	} else {
		code = exit_status(status);
		if (o.strict && cbit_report_count(report))
			code = EXIT_FINDINGS;
		if (o.stats)
			print_stats(&stats);
		print_faults(o.host.faults);
		ret = write_reports(&o, report);
		if (ret)
			code = ret;
	}
	cbit_report_destroy(report);
	host_traces_destroy(o.host.traces);
	cbit_fault_plan_destroy(o.host.faults);
	return code;
}
