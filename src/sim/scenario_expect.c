/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a scenario: what is expected; and comparing it with what came.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_internal.h"

const char *const scn_key_names[SCN_NR_KEYS] = {
	[SCN_OUTCOME] = "outcome", [SCN_FINDING_IDS] = "findings",
	[SCN_KEY] = "key",         [SCN_DRAM] = "dram",
	[SCN_SEEN] = "seen",       [SCN_C] = "c",
	[SCN_IOPTE_C] = "iopte-c", [SCN_IOPTE] = "iopte",
	[SCN_VENDOR] = "vendor",   [SCN_ERROR] = "error",
	[SCN_ADDRESS] = "address", [SCN_EVENT] = "event",
	[SCN_WAY] = "way",         [SCN_SLOTS] = "slots",
	[SCN_FAULT] = "fault",     [SCN_CPUS] = "cpus",
};

static const char *const c_words[] = { "clear", "set", "none" };
static const char *const key_words[] = { "none", "host", "guest" };
static const char *const dram_words[] = { "plain", "encrypted" };
static const char *const way_words[] = { "none", "direct", "swiotlb" };
static const char *const vendor_words[] = { "defined", "undefined" };

static const struct {
	const char *name;
	int code;
} errors[] = {
	{ "EINVAL", -EINVAL }, { "EEXIST", -EEXIST },         { "ENOENT", -ENOENT },
	{ "EBUSY", -EBUSY },   { "EOPNOTSUPP", -EOPNOTSUPP }, { "ERANGE", -ERANGE },
	{ "ENOSPC", -ENOSPC }, { "EFAULT", -EFAULT },         { "EPERM", -EPERM },
	{ "ENOTTY", -ENOTTY }, { "ENODEV", -ENODEV },         { "ENOMEM", -ENOMEM },
	{ "EIO", -EIO },       { "EOVERFLOW", -EOVERFLOW },   { "ETIMEDOUT", -ETIMEDOUT },
	{ "ENXIO", -ENXIO },
};

/* The words of a key, NULL for a key without. */
static const char *const *words_of(enum scn_key key, const char **outcomes, const char **codes,
				   size_t *count)
{
	switch (key) {
	case SCN_OUTCOME:
		for (unsigned int i = 0; i < CBIT_SIM_NR_OUTCOMES; i++)
			outcomes[i] = cbit_sim_outcome_name((enum cbit_sim_outcome)i);
		*count = CBIT_SIM_NR_OUTCOMES;
		return outcomes;
	case SCN_FAULT:
		for (unsigned int i = 0; i < CBIT_SIM_NR_FAULTS; i++)
			outcomes[i] = cbit_sim_fault_name((enum cbit_sim_fault)i);
		*count = CBIT_SIM_NR_FAULTS;
		return outcomes;
	case SCN_ERROR:
		for (size_t i = 0; i < COUNT(errors); i++)
			codes[i] = errors[i].name;
		*count = COUNT(errors);
		return codes;
	case SCN_C:
	case SCN_IOPTE_C:
		*count = COUNT(c_words);
		return c_words;
	case SCN_KEY:
		*count = COUNT(key_words);
		return key_words;
	case SCN_DRAM:
		*count = COUNT(dram_words);
		return dram_words;
	case SCN_WAY:
		*count = COUNT(way_words);
		return way_words;
	case SCN_VENDOR:
		*count = COUNT(vendor_words);
		return vendor_words;
	default:
		return NULL;
	}
}

/* Note the place, so that a copy with another value can be made. */
static int add_mutant(struct scn_read *r, enum scn_key key, const yaml_node_t *node,
		      const char *other)
{
	struct cbit_scenario *scn = r->scn;
	struct scn_mutant *m;

	m = reallocarray(scn->mutants, scn->nr_mutants + 1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	scn->mutants = m;
	m += scn->nr_mutants;
	*m = (struct scn_mutant){ .line = (unsigned int)node->start_mark.line + 1,
				  .column = (unsigned int)node->start_mark.column + 1,
				  .start = node->start_mark.index,
				  .end = node->end_mark.index,
				  .key = key,
				  .other = strdup(other) };
	if (!m->other)
		return -ENOMEM;
	scn->nr_mutants++;
	return 0;
}

static int read_findings(struct scn_read *r, const yaml_node_t *node, struct scn_expect *e)
{
	const char *ids[64];
	unsigned int count = 0, index = 0;
	yaml_node_t *item;
	const char *id;

	while (count < COUNT(ids) && (id = cbit_report_id_at(count)))
		ids[count++] = id;
	if (!yaml_is_list(node) || node->data.sequence.style == YAML_BLOCK_SEQUENCE_STYLE)
		return yaml_error(&r->in, node, "findings: a list such as [mmio-encrypted] or []");
	for (unsigned int i = 0; (item = yaml_item(&r->in, node, i)); i++) {
		if (i == SCN_FINDINGS)
			return yaml_error(&r->in, item, "findings: more than %d", SCN_FINDINGS);
		if (yaml_word(&r->in, item, "a finding", ids, count, &index))
			return -EINVAL;
		for (unsigned int j = 0; j < i; j++) {
			if (e->findings[j] == ids[index])
				return yaml_error(&r->in, item, "findings: '%s' is there twice",
						  ids[index]);
		}
		e->findings[e->nr_findings++] = ids[index];
	}
	return add_mutant(r, SCN_FINDING_IDS, node, e->nr_findings ? "[]" : "[mmio-encrypted]");
}

static int read_bytes(struct scn_read *r, enum scn_key key, const yaml_node_t *node, uint8_t *out,
		      size_t max, size_t *len)
{
	uint8_t other[CBIT_SIM_SEEN];
	char text[3 * CBIT_SIM_SEEN + 3] = "\"";
	int ret;

	ret = yaml_hex(&r->in, node, scn_key_names[key], out, max, len);
	if (ret)
		return ret;
	if (!*len)
		return yaml_error(&r->in, node, "%s: there are no bytes", scn_key_names[key]);
	memcpy(other, out, *len);
	other[0] ^= 1;
	for (size_t i = 0; i < *len; i++)
		snprintf(text + 1 + 3 * i, 4, "%02x ", other[i]);
	text[3 * *len] = '"';
	return add_mutant(r, key, node, text);
}

static int read_value(struct scn_read *r, enum scn_key key, const yaml_node_t *node,
		      struct scn_expect *e)
{
	const char *outcomes[CBIT_SIM_NR_OUTCOMES], *codes[COUNT(errors)], *const *words;
	char other[32];
	size_t count;
	int ret;

	e->has[key] = true;
	words = words_of(key, outcomes, codes, &count);
	if (words) {
		snprintf(other, sizeof(other), "a value of %s", scn_key_names[key]);
		ret = yaml_word(&r->in, node, other, words, count, &e->word[key]);
		return ret ? ret : add_mutant(r, key, node, words[(e->word[key] + 1) % count]);
	}
	switch (key) {
	case SCN_FINDING_IDS:
		return read_findings(r, node, e);
	case SCN_SEEN:
		return read_bytes(r, key, node, e->seen, sizeof(e->seen), &e->seen_len);
	case SCN_EVENT:
		return read_bytes(r, key, node, e->event, sizeof(e->event), &e->event_len);
	default:
		ret = yaml_number(&r->in, node, scn_key_names[key], UINT64_MAX, &e->number[key]);
		snprintf(other, sizeof(other), "0x%" PRIx64, e->number[key] ^ 1);
		return ret ? ret : add_mutant(r, key, node, other);
	}
}

int scn_read_expect(struct scn_read *r, const yaml_node_t *map, struct scn_expect *out)
{
	yaml_node_t *key, *value;
	unsigned int index = 0;
	int ret;

	ret = yaml_check_keys(&r->in, map, "expect", scn_key_names, SCN_NR_KEYS);
	for (unsigned int i = 0; !ret && yaml_pair(&r->in, map, i, &key, &value); i++) {
		ret = yaml_word(&r->in, key, "expect", scn_key_names, SCN_NR_KEYS, &index);
		if (!ret)
			ret = read_value(r, (enum scn_key)index, value, out);
	}
	return ret;
}

/* --- comparing --- */

/* What is expected of @key under @policy: the policy's own word, or the general one. */
static const struct scn_expect *who_says(const struct scn_step *step,
					 const struct cbit_policy *policy, enum scn_key key)
{
	for (unsigned int i = 0; i < step->nr_under; i++) {
		if (step->policy[i] == policy && step->under[i]->has[key])
			return step->under[i];
	}
	return step->expect.has[key] ? &step->expect : NULL;
}

static void hex(FILE *out, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%s%02x", i ? " " : "", bytes[i]);
}

static void differ(FILE *out, enum scn_key key, const char *expected, const char *found)
{
	fprintf(out, "%s: expected %s, found %s\n", scn_key_names[key], expected, found);
}

static void check_findings(FILE *out, const struct scn_expect *e, const struct cbit_sim_result *res)
{
	unsigned int n = e ? e->nr_findings : 0;
	bool same = n == res->nr_findings;

	for (unsigned int i = 0; i < n && same; i++) {
		bool found = false;

		for (unsigned int j = 0; j < res->nr_findings; j++)
			found |= !strcmp(e->findings[i], res->findings[j]);
		same = found;
	}
	if (same)
		return;
	fputs("findings: expected [", out);
	for (unsigned int i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? ", " : "", e->findings[i]);
	fputs("], found [", out);
	for (unsigned int i = 0; i < res->nr_findings; i++)
		fprintf(out, "%s%s", i ? ", " : "", res->findings[i]);
	fputs("]\n", out);
}

static void check_bytes(FILE *out, enum scn_key key, const uint8_t *expected, size_t want,
			const uint8_t *found, size_t have)
{
	size_t n = want < have ? want : have;

	if (want <= have && !memcmp(expected, found, want))
		return;
	fprintf(out, "%s: expected ", scn_key_names[key]);
	hex(out, expected, want);
	fputs(", found ", out);
	hex(out, found, n);
	fputc('\n', out);
}

static const char *error_name(int code)
{
	for (size_t i = 0; i < COUNT(errors); i++) {
		if (errors[i].code == code)
			return errors[i].name;
	}
	return code ? "another error" : "no error";
}

/* The word that @res has for a key of words; NULL when it has none. */
static const char *found_word(enum scn_key key, const struct scn_step *step,
			      const struct cbit_sim_result *res)
{
	(void)step;
	switch (key) {
	case SCN_OUTCOME:
		return cbit_sim_outcome_name(res->outcome);
	case SCN_FAULT:
		return cbit_sim_fault_name(res->fault);
	case SCN_KEY:
		return res->accessed ? key_words[res->key < 2 ? res->key : 2] : NULL;
	case SCN_DRAM:
		if (!res->dram_valid)
			return NULL;
		return dram_words[memcmp(res->dram, res->wanted, res->len) != 0];
	case SCN_C:
		return c_words[res->accessed ? res->c : 2];
	case SCN_WAY:
		return way_words[res->way];
	case SCN_VENDOR:
		return vendor_words[res->vendor];
	case SCN_ERROR:
		return error_name(res->error);
	default:
		return NULL;
	}
}

static void check_word(FILE *out, enum scn_key key, const struct scn_expect *e, const char *found)
{
	const char *outcomes[CBIT_SIM_NR_OUTCOMES], *codes[COUNT(errors)], *const *words;
	size_t count;

	words = words_of(key, outcomes, codes, &count);
	if (!found || strcmp(words[e->word[key]], found) != 0)
		differ(out, key, words[e->word[key]], found ? found : "nothing");
}

static void check_number(FILE *out, enum scn_key key, uint64_t expected, bool valid, uint64_t found)
{
	char a[32], b[32];

	if (valid && expected == found)
		return;
	snprintf(a, sizeof(a), "0x%" PRIx64, expected);
	snprintf(b, sizeof(b), "0x%" PRIx64, found);
	differ(out, key, a, valid ? b : "none");
}

_Static_assert((int)CBIT_SIM_NR_FAULTS <= (int)CBIT_SIM_NR_OUTCOMES, "words_of() has room");

static void check_key(FILE *out, enum scn_key key, const struct scn_step *step,
		      const struct scn_expect *e, uint64_t c_mask,
		      const struct cbit_sim_result *res)
{
	switch (key) {
	case SCN_FINDING_IDS:
		check_findings(out, e, res);
		return;
	case SCN_OUTCOME:
		if (!e && res->outcome != CBIT_SIM_OK && res->outcome != CBIT_SIM_PLAINTEXT)
			differ(out, key, "ok or plaintext", cbit_sim_outcome_name(res->outcome));
		break;
	default:
		break;
	}
	if (!e)
		return;
	switch (key) {
	case SCN_SEEN:
		check_bytes(out, key, e->seen, e->seen_len, res->seen, res->len);
		return;
	case SCN_EVENT:
		check_bytes(out, key, e->event, e->event_len,
			    res->nr_events ? (const uint8_t *)res->events[0].dw : NULL,
			    res->nr_events ? sizeof(res->events[0]) : 0);
		return;
	case SCN_IOPTE:
		check_number(out, key, e->number[key], res->iopte_valid, res->iopte);
		return;
	case SCN_IOPTE_C:
		check_word(out, key, e, c_words[res->iopte_valid ? (res->iopte & c_mask) != 0 : 2]);
		return;
	case SCN_CPUS:
		check_number(out, key, e->number[key], true, res->cpus);
		return;
	case SCN_SLOTS:
		check_number(out, key, e->number[key], true, res->slots);
		return;
	case SCN_ADDRESS:
		check_number(out, key, e->number[key], true, res->iova.v);
		return;
	default:
		check_word(out, key, e, found_word(key, step, res));
	}
}

int cbit_scenario_check(const struct cbit_scenario *scn, unsigned int index,
			const struct cbit_policy *policy, const struct cbit_sim_result *res,
			char **diff)
{
	const struct scn_step *step = &scn->steps[index];
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	*diff = NULL;
	if (!out)
		return -ENOMEM;
	for (unsigned int key = 0; key < SCN_NR_KEYS; key++)
		check_key(out, (enum scn_key)key, step, who_says(step, policy, (enum scn_key)key),
			  UINT64_C(1) << (scn->cfg.platform.c_bit ? scn->cfg.platform.c_bit : 63),
			  res);
	if (fclose(out)) {
		free(text);
		return -ENOMEM;
	}
	if (size) {
		*diff = text;
		return 1;
	}
	free(text);
	return 0;
}
