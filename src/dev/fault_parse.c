/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault SPECs of the command line: "KIND,key=value,...".
 */
#include "fault.h"
#include "pci_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SEC_NS UINT64_C(1000000000)
/* Longer than any test waits, and no sum of two wraps. */
#define MAX_NS (UINT64_C(86400) * SEC_NS)

/* Options, as bits: which of them a kind takes. */
enum {
	OPT_DEVICE = 1u << 0,
	OPT_AFTER = 1u << 1,
	OPT_EVERY = 1u << 2,
	OPT_COUNT = 1u << 3,
	OPT_TIME = 1u << 4,
	OPT_PROBABILITY = 1u << 5,
	OPT_SEED = 1u << 6,
	OPT_ACCESS = 1u << 7,
	OPT_VECTOR = 1u << 8,
	OPT_STATUS = 1u << 9,
	OPT_DELAY = 1u << 10,
	OPT_FOR = 1u << 11,
	OPT_QUEUE = 1u << 12,
};

#define OPT_ALL \
	(OPT_DEVICE | OPT_AFTER | OPT_EVERY | OPT_COUNT | OPT_TIME | OPT_PROBABILITY | OPT_SEED)

static const struct {
	const char *name;
	unsigned int options;
	const char *words;
} kinds[CBIT_NR_FAULTS] = {
	[CBIT_FAULT_IOMMU] = { "iommu-fault", OPT_ALL | OPT_ACCESS, ", access" },
	[CBIT_FAULT_COMPLETION] = { "completion-error", OPT_ALL | OPT_STATUS | OPT_QUEUE,
				    ", queue, status" },
	[CBIT_FAULT_LOST_IRQ] = { "lost-interrupt", OPT_ALL | OPT_VECTOR, ", vector" },
	[CBIT_FAULT_DOORBELL] = { "stuck-doorbell", OPT_ALL | OPT_QUEUE, ", queue" },
	[CBIT_FAULT_REMOVAL] = { "surprise-removal", OPT_ALL & ~(OPT_EVERY | OPT_COUNT), "" },
	[CBIT_FAULT_LINK] = { "link-down", OPT_ALL | OPT_FOR, ", for" },
	[CBIT_FAULT_DELAY] = { "delayed-completion", OPT_ALL | OPT_DELAY | OPT_QUEUE,
			       ", queue, delay" },
};

static const struct {
	const char *name;
	unsigned int bit;
} options[] = {
	{ "device", OPT_DEVICE }, { "after", OPT_AFTER },   { "every", OPT_EVERY },
	{ "count", OPT_COUNT },   { "time", OPT_TIME },     { "probability", OPT_PROBABILITY },
	{ "seed", OPT_SEED },     { "access", OPT_ACCESS }, { "vector", OPT_VECTOR },
	{ "status", OPT_STATUS }, { "delay", OPT_DELAY },   { "for", OPT_FOR },
	{ "queue", OPT_QUEUE },
};

const char *cbit_fault_name(enum cbit_fault_kind kind)
{
	return (unsigned int)kind < CBIT_NR_FAULTS ? kinds[kind].name : NULL;
}

const char *cbit_fault_help(void)
{
	return "iommu-fault         a DMA finds no translation (IO_PAGE_FAULT); access=read|write\n"
	       "completion-error    a command ends with an error, undone; status=CODE, queue=N\n"
	       "lost-interrupt      an interrupt does not arrive; vector=N\n"
	       "stuck-doorbell      a doorbell write does not reach the device; queue=N\n"
	       "surprise-removal    the device is pulled out: all ones, REQ interrupt\n"
	       "link-down           all ones until a reset, ERR interrupt; for=TIME brings it "
	       "back\n"
	       "delayed-completion  a command ends late; delay=TIME (100ms), queue=N\n"
	       "every kind: device=BDF, and when: after=N (events pass first), every=N,\n"
	       "  time=TIME (since the device was opened), probability=P, seed=N, count=N (at "
	       "most)\n";
}

/* --- values --- */

static bool parse_time(const char *text, uint64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", SEC_NS } };
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t n;

	if (!digits || digits >= sizeof(number))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	/* Not octal, whatever it begins with. */
	for (size_t i = 0; number[i] == '0' && number[i + 1]; i++)
		number[i] = ' ';
	if (!pci_parse_number(number + strspn(number, " "), &n))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + digits, units[i].unit) != 0)
			continue;
		if (n > MAX_NS / units[i].ns)
			return false;
		*out = n * units[i].ns;
		return true;
	}
	return false;
}

static bool parse_probability(const char *text, uint64_t *threshold)
{
	size_t len = strlen(text);
	double p;
	char *end;

	/* strtod() takes much that is no decimal fraction. */
	if (!len || len > 24 || strspn(text, "0123456789.") != len)
		return false;
	p = strtod(text, &end);
	if (*end || !(p > 0 && p <= 1))
		return false;
	*threshold = p == 1 ? UINT64_MAX : (uint64_t)(p * 0x1p64);
	return true;
}

static bool parse_bdf(const char *text, uint16_t *devid)
{
	unsigned int domain = 0, bus, dev, fn;
	size_t len = strlen(text);
	char end;

	if (len < 7 || strspn(text, "0123456789abcdefABCDEF:.") != len)
		return false;
	/* With the domain or without. */
	if (sscanf(text, "%2x:%2x.%1x%c", &bus, &dev, &fn, &end) != 3 &&
	    (sscanf(text, "%4x:%2x:%2x.%1x%c", &domain, &bus, &dev, &fn, &end) != 4 || domain))
		return false;
	if (dev > 31 || fn > 7)
		return false;
	*devid = (uint16_t)(bus << 8 | dev << 3 | fn);
	return true;
}

static bool parse_access(const char *text, unsigned int *access)
{
	if (!strcmp(text, "read"))
		*access = FAULT_READS;
	else if (!strcmp(text, "write"))
		*access = FAULT_WRITES;
	else
		return false;
	return true;
}

static bool parse_positive(const char *text, uint64_t *out)
{
	return pci_parse_number(text, out) && *out;
}

/* NULL, or what the value should have been. */
static const char *take(struct fault_rule *rule, unsigned int option, const char *value)
{
	uint64_t n;

	switch (option) {
	case OPT_DEVICE:
		rule->one_device = true;
		return parse_bdf(value, &rule->devid) ? NULL : "an address like 0000:01:00.0";
	case OPT_AFTER:
		return pci_parse_number(value, &rule->after) ? NULL : "a number of events";
	case OPT_EVERY:
		return parse_positive(value, &rule->every) ? NULL : "a number from 1";
	case OPT_COUNT:
		return parse_positive(value, &rule->limit) ? NULL : "a number from 1";
	case OPT_TIME:
		return parse_time(value, &rule->time_ns) && rule->time_ns
			       ? NULL
			       : "a time like 250ms, up to a day";
	case OPT_PROBABILITY:
		rule->chance = true;
		return parse_probability(value, &rule->threshold) ? NULL
								  : "a fraction above 0, up to 1";
	case OPT_SEED:
		return pci_parse_number(value, &rule->seed) ? NULL : "a number";
	case OPT_ACCESS:
		return parse_access(value, &rule->access) ? NULL : "read or write";
	case OPT_VECTOR:
		rule->has_vector = true;
		if (!pci_parse_number(value, &n) || n > 2047)
			return "a vector from 0 to 2047";
		rule->vector = (unsigned int)n;
		return NULL;
	case OPT_QUEUE:
		rule->has_queue = true;
		if (!pci_parse_number(value, &n) || n > 65535)
			return "a queue from 0 to 65535";
		rule->queue = (unsigned int)n;
		return NULL;
	case OPT_STATUS:
		rule->has_status = true;
		if (!parse_positive(value, &n) || n > UINT32_MAX)
			return "a number of 32 bits, not 0";
		rule->status = (uint32_t)n;
		return NULL;
	case OPT_DELAY:
		return parse_time(value, &rule->delay_ns) ? NULL : "a time like 250ms, up to a day";
	default:
		return parse_time(value, &rule->for_ns) && rule->for_ns
			       ? NULL
			       : "a time like 250ms, up to a day";
	}
}

/* --- words --- */

static int no_option(const char *spec, const char *word, const struct fault_rule *rule,
		     struct cbit_error *err)
{
	bool lasting = rule->kind == CBIT_FAULT_REMOVAL;

	return cbit_error_set(err, -EINVAL,
			      "fault '%.60s': %s takes no \"%.40s\"; options: device, after, "
			      "%stime, probability, seed%s",
			      spec, kinds[rule->kind].name, word, lasting ? "" : "every, count, ",
			      kinds[rule->kind].words);
}

static int parse_word(const char *spec, char *word, struct fault_rule *rule, unsigned int *seen,
		      struct cbit_error *err)
{
	char *value = strchr(word, '=');
	const char *wanted;
	size_t i;

	if (!value)
		return cbit_error_set(err, -EINVAL, "fault '%.60s': \"%.40s\" is not key=value",
				      spec, word);
	*value++ = '\0';
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!strcmp(options[i].name, word))
			break;
	}
	if (i == sizeof(options) / sizeof(options[0]) ||
	    !(options[i].bit & kinds[rule->kind].options))
		return no_option(spec, word, rule, err);
	if (*seen & options[i].bit)
		return cbit_error_set(err, -EINVAL, "fault '%.60s': \"%s\" twice", spec, word);
	*seen |= options[i].bit;
	wanted = take(rule, options[i].bit, value);
	if (wanted)
		return cbit_error_set(err, -EINVAL, "fault '%.60s': %s=%.40s: must be %s", spec,
				      word, value, wanted);
	return 0;
}

static int parse_kind(const char *spec, struct fault_rule *rule, struct cbit_error *err)
{
	size_t len = strcspn(spec, ",");

	for (unsigned int i = 0; i < CBIT_NR_FAULTS; i++) {
		if (strlen(kinds[i].name) == len && !strncmp(kinds[i].name, spec, len)) {
			rule->kind = (enum cbit_fault_kind)i;
			return 0;
		}
	}
	return cbit_error_set(err, -ENOENT,
			      "no fault \"%.*s\"; there are: iommu-fault, completion-error, "
			      "lost-interrupt, stuck-doorbell, surprise-removal, link-down, "
			      "delayed-completion",
			      (int)(len > 40 ? 40 : len), spec);
}

static int check(const char *spec, struct fault_rule *rule, unsigned int seen,
		 struct cbit_error *err)
{
	const unsigned int by_events = OPT_AFTER | OPT_EVERY | OPT_COUNT | OPT_PROBABILITY;
	size_t len = strlen(rule->text);

	if (seen & OPT_SEED && !(seen & OPT_PROBABILITY))
		return cbit_error_set(err, -EINVAL, "fault '%.60s': seed without probability",
				      spec);
	if (fault_by_time(rule) && seen & by_events)
		return cbit_error_set(err, -EINVAL,
				      "fault '%.60s': %s comes by time or by events, not by both",
				      spec, kinds[rule->kind].name);
	/* Once, unless it is asked for again and again. */
	if (!(seen & (OPT_COUNT | OPT_EVERY | OPT_PROBABILITY)) || rule->kind == CBIT_FAULT_REMOVAL)
		rule->limit = 1;
	if (rule->chance && !(seen & OPT_SEED)) {
		uint32_t seed = 0;

		if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
			return cbit_error_set(err, -errno, "fault '%.60s': no seed: %s", spec,
					      strerror(errno));
		rule->seed = seed;
		snprintf(rule->text + len, sizeof(rule->text) - len, ",seed=%u", seed);
	}
	return 0;
}

int fault_parse(const char *spec, struct fault_rule *rule, struct cbit_error *err)
{
	char copy[FAULT_TEXT], *save = NULL, *word;
	unsigned int seen = 0;
	int ret;

	/* Room for a seed. */
	if (strlen(spec) >= FAULT_TEXT - 24)
		return cbit_error_set(err, -EINVAL, "fault '%.40s...': longer than %u characters",
				      spec, FAULT_TEXT - 25);
	*rule = (struct fault_rule){ .access = FAULT_READS | FAULT_WRITES,
				     .delay_ns = 100 * UINT64_C(1000000) };
	snprintf(rule->text, sizeof(rule->text), "%s", spec);
	snprintf(copy, sizeof(copy), "%s", spec);
	ret = parse_kind(spec, rule, err);
	strtok_r(copy, ",", &save);
	while (!ret && (word = strtok_r(NULL, ",", &save)))
		ret = parse_word(spec, word, rule, &seen, err);
	return ret ? ret : check(spec, rule, seen, err);
}
