/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrix as text, JSON and CSV.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/matrix.h>

struct render {
	enum cbit_matrix_format format;
	FILE *out;
	json_t *list;
	unsigned int cells;
	struct cbit_matrix_cell last;
};

/* "plaintext (host)"; what no vendor has defined has a question mark. */
static void word(char *buf, size_t size, const struct cbit_matrix_access *a, bool vendor)
{
	snprintf(buf, size, "%s%s (%s)", cbit_sim_outcome_name(a->outcome), vendor ? "?" : "",
		 cbit_matrix_key_name(a));
}

static void text_cell(struct render *r, const struct cbit_matrix_cell *c)
{
	bool machine = !r->cells || strcmp(c->platform, r->last.platform) != 0 ||
		       strcmp(c->policy, r->last.policy) != 0;
	bool row = machine || c->memory != r->last.memory || c->mapper != r->last.mapper;
	char read[40], write[40];

	if (machine)
		fprintf(r->out, "%splatform %s, policy %s\n", r->cells ? "\n" : "", c->platform,
			c->policy);
	if (row) {
		fprintf(r->out, "  %s by %s: ", cbit_matrix_memory_name(c->memory),
			cbit_matrix_mapper_name(c->mapper));
		if (c->iopte_valid)
			fprintf(r->out, "IOPTE 0x%016" PRIx64 ", C-bit %s\n", c->iopte,
				c->c ? "set" : "clear");
		else
			fputs("no IOPTE\n", r->out);
	}
	word(read, sizeof(read), &c->read, c->vendor);
	word(write, sizeof(write), &c->write, c->vendor);
	fprintf(r->out, "    %-12s read %-22s write %s\n", cbit_matrix_accessor_name(c->accessor),
		read, write);
}

static void csv_cell(struct render *r, const struct cbit_matrix_cell *c)
{
	if (!r->cells)
		fputs("platform,policy,memory,mapper,accessor,iopte,c_bit,read,read_key,write,"
		      "write_key,undefined_by_vendor\n",
		      r->out);
	fprintf(r->out, "%s,%s,%s,%s,%s,", c->platform, c->policy,
		cbit_matrix_memory_name(c->memory), cbit_matrix_mapper_name(c->mapper),
		cbit_matrix_accessor_name(c->accessor));
	if (c->iopte_valid)
		fprintf(r->out, "0x%016" PRIx64 ",%s,", c->iopte, c->c ? "set" : "clear");
	else
		fputs("-,-,", r->out);
	fprintf(r->out, "%s,%s,%s,%s,%s\n", cbit_sim_outcome_name(c->read.outcome),
		cbit_matrix_key_name(&c->read), cbit_sim_outcome_name(c->write.outcome),
		cbit_matrix_key_name(&c->write), c->vendor ? "yes" : "no");
}

static int json_cell(struct render *r, const struct cbit_matrix_cell *c)
{
	json_t *o = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "platform", c->platform,
		"policy", c->policy, "memory", cbit_matrix_memory_name(c->memory), "mapper",
		cbit_matrix_mapper_name(c->mapper), "accessor",
		cbit_matrix_accessor_name(c->accessor), "read",
		cbit_sim_outcome_name(c->read.outcome), "read_key", cbit_matrix_key_name(&c->read),
		"write", cbit_sim_outcome_name(c->write.outcome), "write_key",
		cbit_matrix_key_name(&c->write), "undefined_by_vendor", c->vendor);

	if (!o)
		return -ENOMEM;
	json_object_set_new(o, "iopte",
			    c->iopte_valid ? json_sprintf("0x%016" PRIx64, c->iopte) : json_null());
	json_object_set_new(o, "c_bit", c->iopte_valid ? json_boolean(c->c) : json_null());
	return json_array_append_new(r->list, o) ? -ENOMEM : 0;
}

static int on_cell(void *opaque, const struct cbit_matrix_cell *c)
{
	struct render *r = opaque;
	int ret = 0;

	switch (r->format) {
	case CBIT_MATRIX_TEXT:
		text_cell(r, c);
		break;
	case CBIT_MATRIX_CSV:
		csv_cell(r, c);
		break;
	case CBIT_MATRIX_JSON:
		ret = json_cell(r, c);
		break;
	}
	r->cells++;
	r->last = *c;
	return ret;
}

static int render_json(struct render *r, const char *platform, const struct cbit_policy *policy,
		       char **out, struct cbit_error *err)
{
	json_t *root = json_pack("{s:i, s:[]}", "version", 1, "cells");
	int ret;

	if (!root)
		return -ENOMEM;
	r->list = json_object_get(root, "cells");
	ret = cbit_matrix_run(platform, policy, on_cell, r, err);
	if (!ret) {
		*out = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
		ret = *out ? 0 : -ENOMEM;
	}
	json_decref(root);
	return ret;
}

int cbit_matrix_render(const char *platform, const struct cbit_policy *policy,
		       enum cbit_matrix_format format, char **out, unsigned int *cells,
		       struct cbit_error *err)
{
	struct render r = { .format = format };
	size_t size;
	int ret;

	*out = NULL;
	if (format == CBIT_MATRIX_JSON) {
		ret = render_json(&r, platform, policy, out, err);
	} else {
		r.out = open_memstream(out, &size);
		if (!r.out)
			return -ENOMEM;
		ret = cbit_matrix_run(platform, policy, on_cell, &r, err);
		if (!ret && format == CBIT_MATRIX_TEXT)
			fprintf(r.out, "\n%u cells, each carried out\n", r.cells);
		if (fclose(r.out) && !ret)
			ret = -ENOMEM;
	}
	if (ret) {
		free(*out);
		*out = NULL;
	}
	if (cells)
		*cells = r.cells;
	return ret;
}
