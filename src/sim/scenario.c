/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A scenario file as a whole: reading it, and what it can be asked.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_internal.h"

/* More is a mistake, and would take long to say so. */
#define MAX_TEXT ((size_t)1 << 20)

static char *copy_text(struct scn_read *r, const yaml_node_t *root, const char *key)
{
	yaml_node_t *node = yaml_get(&r->in, root, key);
	const char *text = node ? yaml_text(&r->in, node, key) : "";

	for (const char *p = text; p && *p; p++) {
		if (iscntrl((unsigned char)*p) && *p != '\n' && *p != '\t') {
			yaml_error(&r->in, node, "%s: has a control character in it", key);
			return NULL;
		}
	}
	return text ? strdup(text) : NULL;
}

static int read_policies(struct scn_read *r, const yaml_node_t *root)
{
	yaml_node_t *node = yaml_get(&r->in, root, "policy");
	const struct cbit_policy *policy;
	const char *names[16];
	unsigned int count = 0, index = 0;
	struct cbit_scenario *scn = r->scn;

	if (!node) {
		scn->policies[scn->nr_policies++] = cbit_policy_preset("complete");
		return 0;
	}
	while (count < COUNT(names) && (policy = cbit_policy_at(count)))
		names[count++] = cbit_policy_name(policy);
	for (unsigned int i = 0;; i++) {
		yaml_node_t *item = yaml_is_list(node) ? yaml_item(&r->in, node, i)
				    : i                ? NULL
						       : node;

		if (!item && !i)
			return yaml_error(&r->in, node, "policy: at least one is needed");
		if (!item)
			return 0;
		if (scn->nr_policies == SCN_POLICIES)
			return yaml_error(&r->in, item, "policy: more than %d", SCN_POLICIES);
		if (yaml_word(&r->in, item, "a policy", names, count, &index))
			return -EINVAL;
		for (unsigned int j = 0; j < i; j++) {
			if (scn->policies[j] == cbit_policy_at(index))
				return yaml_error(&r->in, item, "policy: '%s' is there twice",
						  names[index]);
		}
		scn->policies[scn->nr_policies++] = cbit_policy_at(index);
	}
}

/* Where the machine is described, for what only shows when it is made. */
static unsigned int line_of(struct scn_read *r, const yaml_node_t *root)
{
	static const char *const keys[] = { "memory", "guest", "devices", "platform" };
	const yaml_node_t *node = NULL;

	for (size_t i = 0; i < COUNT(keys) && !node; i++)
		node = yaml_get(&r->in, root, keys[i]);
	return (unsigned int)(node ? node : root)->start_mark.line + 1;
}

static int read_all(struct scn_read *r)
{
	static const char *const keys[] = { "name",  "about",   "platform", "policy", "memory",
					    "guest", "devices", "swiotlb",  "steps" };
	yaml_node_t *root = yaml_document_get_root_node(&r->in.doc);
	struct cbit_scenario *scn = r->scn;
	yaml_node_t *steps;
	int ret;

	if (!root)
		return yaml_error(&r->in, NULL, "the file is empty");
	ret = yaml_check_keys(&r->in, root, "a scenario", keys, COUNT(keys));
	if (ret)
		return ret;
	scn->name = copy_text(r, root, "name");
	scn->about = copy_text(r, root, "about");
	if (!scn->name || !scn->about)
		return r->in.message ? -EINVAL : -ENOMEM;
	ret = read_policies(r, root);
	if (!ret)
		ret = scn_read_machine(r, root);
	scn->machine_line = line_of(r, root);
	if (ret)
		return ret;
	steps = yaml_get(&r->in, root, "steps");
	if (!yaml_is_list(steps))
		return yaml_error(&r->in, steps ? steps : root,
				  "steps: a list of operations is needed");
	return scn_read_steps(r, steps);
}

int cbit_scenario_parse(const char *file, const char *text, size_t len, struct cbit_scenario **out,
			char **error)
{
	struct scn_read *r = calloc(1, sizeof(*r));
	struct cbit_scenario *scn = calloc(1, sizeof(*scn));
	int ret = -ENOMEM;

	*error = NULL;
	if (!r || !scn)
		goto out;
	r->scn = scn;
	scn->file = strdup(file);
	scn->text = malloc(len + 1);
	if (!scn->file || !scn->text)
		goto out;
	memcpy(scn->text, text, len);
	scn->text[len] = '\0';
	scn->len = len;
	r->in.file = file;
	if (len > MAX_TEXT)
		ret = yaml_error(&r->in, NULL, "longer than 1 MiB");
	else
		ret = yaml_in_load(&r->in, scn->file, scn->text, len);
	if (!ret)
		ret = read_all(r);
out:
	if (r) {
		*error = r->in.message;
		r->in.message = NULL;
		yaml_in_free(&r->in);
		free(r);
	}
	if (ret) {
		cbit_scenario_free(scn);
		return ret;
	}
	*out = scn;
	return 0;
}

void cbit_scenario_free(struct cbit_scenario *scn)
{
	if (!scn)
		return;
	for (unsigned int i = 0; i < scn->nr_steps; i++) {
		free(scn->steps[i].text);
		free(scn->steps[i].data);
		for (unsigned int j = 0; j < scn->steps[i].nr_under; j++)
			free(scn->steps[i].under[j]);
	}
	for (unsigned int i = 0; i < scn->nr_mutants; i++)
		free(scn->mutants[i].other);
	free(scn->steps);
	free(scn->mutants);
	free(scn->file);
	free(scn->text);
	free(scn->name);
	free(scn->about);
	free(scn);
}

const char *cbit_scenario_name(const struct cbit_scenario *scn)
{
	return scn->name;
}

const char *cbit_scenario_about(const struct cbit_scenario *scn)
{
	return scn->about;
}

const struct cbit_policy *cbit_scenario_policy(const struct cbit_scenario *scn, unsigned int index)
{
	return index < scn->nr_policies ? scn->policies[index] : NULL;
}

const struct cbit_sim_config *cbit_scenario_config(const struct cbit_scenario *scn)
{
	return &scn->cfg;
}

unsigned int cbit_scenario_steps(const struct cbit_scenario *scn)
{
	return scn->nr_steps;
}

struct cbit_scenario_step cbit_scenario_step(const struct cbit_scenario *scn, unsigned int index)
{
	const struct scn_step *step = &scn->steps[index];

	return (struct cbit_scenario_step){ .line = step->line,
					    .text = step->text,
					    .op = &step->op };
}

unsigned int cbit_scenario_mutants(const struct cbit_scenario *scn)
{
	return scn->nr_mutants;
}

/* YAML counts characters, but no byte order mark: the byte at which character @index begins. */
static size_t byte_of(const struct cbit_scenario *scn, size_t index)
{
	size_t at = scn->len >= 3 && !memcmp(scn->text, "\xef\xbb\xbf", 3) ? 3 : 0;

	while (at < scn->len && index) {
		at++;
		while (at < scn->len && ((unsigned char)scn->text[at] & 0xc0) == 0x80)
			at++;
		index--;
	}
	return at;
}

char *cbit_scenario_mutant(const struct cbit_scenario *scn, unsigned int index, char **what)
{
	const struct scn_mutant *m = &scn->mutants[index];
	size_t start = byte_of(scn, m->start), end = byte_of(scn, m->end);
	char *text = NULL;

	if (asprintf(&text, "%.*s%s%s", (int)start, scn->text, m->other, scn->text + end) < 0)
		return NULL;
	if (what &&
	    asprintf(what, "%u:%u: %s: %.*s -> %s", m->line, m->column, scn_key_names[m->key],
		     (int)(end - start), scn->text + start, m->other) < 0) {
		free(text);
		return NULL;
	}
	return text;
}
