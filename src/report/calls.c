/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of the client in a report: where they came from, and those that an event is about
 * besides the mapping.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "report_internal.h"

#define MAX_FRAMES 32

const char *report_access(unsigned int attrs)
{
	static const char *const words[] = { "--", "r-", "-w", "rw" };

	return words[(attrs & CBIT_ATTR_READ ? 1 : 0) + (attrs & CBIT_ATTR_WRITE ? 2 : 0)];
}

/* NULL when there are none. */
static struct cbit_frame *frames_of(const struct cbit_report *report, uint32_t trace,
				    unsigned int *nr)
{
	struct cbit_frame *frames;

	if (!trace || !report->traces.frames)
		return NULL;
	frames = calloc(MAX_FRAMES, sizeof(*frames));
	if (!frames)
		return NULL;
	*nr = report->traces.frames(report->traces.opaque, trace, frames, MAX_FRAMES);
	return frames;
}

/* Names come from the program's files, and may hold what a terminal would obey. */
static void put_name(FILE *out, const char *name)
{
	for (; *name; name++)
		fputc((unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name, out);
}

void report_text_frames(FILE *out, const struct cbit_report *report, uint32_t trace)
{
	unsigned int nr = 0;
	struct cbit_frame *frames = frames_of(report, trace, &nr);

	for (unsigned int i = 0; i < nr; i++) {
		const struct cbit_frame *f = &frames[i];

		fprintf(out, "        #%u ", i);
		put_name(out, f->module);
		fprintf(out, "+0x%" PRIx64, f->offset);
		if (f->function[0]) {
			fputc(' ', out);
			put_name(out, f->function);
		}
		if (f->file[0]) {
			fputs(" (", out);
			put_name(out, f->file);
			fprintf(out, ":%u)", f->line);
		}
		fputc('\n', out);
	}
	free(frames);
}

static void text_neighbour(FILE *out, const char *label, const struct cbit_mapping_info *m)
{
	if (!m->id)
		return;
	fprintf(out,
		"    %s   mapping call %" PRIu64 ": IOVA 0x%" PRIx64 " length 0x%" PRIx64
		" %s -> %s 0x%" PRIx64 "\n",
		label, m->id, m->iova.v, m->size, report_access(m->attrs), report_backing(m),
		m->vaddr);
}

void report_text_call(FILE *out, const struct cbit_report *report, const struct finding *f)
{
	const struct cbit_mapping_info *c = &f->call.call;

	if (!f->call.what[0])
		return;
	fprintf(out, "    call:    %s of process %d", f->call.what, c->pid);
	if (f->id != FINDING_MEMORY_CHANGED && c->size)
		fprintf(out, ": IOVA 0x%" PRIx64 " length 0x%" PRIx64, c->iova.v, c->size);
	if (f->id == FINDING_MAP_EXISTS_IGNORED)
		fprintf(out, " %s -> %s 0x%" PRIx64 ": refused (EEXIST)", report_access(c->attrs),
			report_backing(c), c->vaddr);
	if (f->id == FINDING_MEMORY_CHANGED)
		fprintf(out, ": client address 0x%" PRIx64 " length 0x%" PRIx64, c->vaddr, c->size);
	if (f->id == FINDING_NO_IOMMU) {
		if (f->first.count)
			fprintf(out, ": the container has %" PRIu64 " group%s and no IOMMU set",
				f->first.count, f->first.count == 1 ? "" : "s");
		else
			fputs(": the container has no group, and so no IOMMU", out);
	}
	if (f->runs)
		fprintf(out, "; and %" PRIu64 " more such call%s", f->runs,
			f->runs == 1 ? "" : "s");
	fputc('\n', out);
	report_text_frames(out, report, c->trace);
	text_neighbour(out, "below:", &f->call.below);
	text_neighbour(out, "above:", &f->call.above);
}

/* JSON is of Unicode, and a file's name need not be. */
static json_t *json_name(const char *name)
{
	char plain[sizeof(((struct cbit_frame *)NULL)->module)];
	json_t *o = json_string(name);
	size_t n = 0;

	if (o)
		return o;
	for (; n < sizeof(plain) - 1 && name[n]; n++)
		plain[n] = (char)((unsigned char)name[n] < 0x80 ? name[n] : '?');
	plain[n] = 0;
	return json_string(plain);
}

json_t *report_json_hex(uint64_t v)
{
	return json_sprintf("0x%" PRIx64, v);
}

void report_json_frames(json_t *to, const struct cbit_report *report, uint32_t trace)
{
	unsigned int nr = 0;
	struct cbit_frame *frames = frames_of(report, trace, &nr);
	json_t *list, *o;

	if (!nr) {
		free(frames);
		return;
	}
	list = json_array();
	for (unsigned int i = 0; i < nr; i++) {
		o = json_object();
		json_object_set_new(o, "module", json_name(frames[i].module));
		json_object_set_new(o, "offset", report_json_hex(frames[i].offset));
		if (frames[i].function[0])
			json_object_set_new(o, "function", json_name(frames[i].function));
		if (frames[i].file[0]) {
			json_object_set_new(o, "file", json_name(frames[i].file));
			json_object_set_new(o, "line", json_integer((json_int_t)frames[i].line));
		}
		json_array_append_new(list, o);
	}
	json_object_set_new(to, "frames", list);
	free(frames);
}

static void json_neighbour(json_t *to, const char *key, const struct cbit_mapping_info *m)
{
	json_t *o;

	if (!m->id)
		return;
	o = json_object();
	json_object_set_new(o, "call", json_integer((json_int_t)m->id));
	json_object_set_new(o, "iova", report_json_hex(m->iova.v));
	json_object_set_new(o, "length", report_json_hex(m->size));
	json_object_set_new(o, "address", report_json_hex(m->vaddr));
	json_object_set_new(to, key, o);
}

void report_json_call(json_t *to, const struct cbit_report *report, const struct finding *f)
{
	const struct cbit_mapping_info *c = &f->call.call;
	json_t *o;

	if (!f->call.what[0])
		return;
	o = json_object();
	json_object_set_new(o, "what", json_string(f->call.what));
	json_object_set_new(o, "pid", json_integer(c->pid));
	if (f->id != FINDING_MEMORY_CHANGED && c->size)
		json_object_set_new(o, "iova", report_json_hex(c->iova.v));
	if (c->size)
		json_object_set_new(o, "length", report_json_hex(c->size));
	if (c->vaddr)
		json_object_set_new(o, "address", report_json_hex(c->vaddr));
	if (f->id == FINDING_NO_IOMMU)
		json_object_set_new(o, "groups", json_integer((json_int_t)f->first.count));
	json_object_set_new(o, "more", json_integer((json_int_t)f->runs));
	report_json_frames(o, report, c->trace);
	json_object_set_new(to, "call", o);
	json_neighbour(to, "below", &f->call.below);
	json_neighbour(to, "above", &f->call.above);
}
