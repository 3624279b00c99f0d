/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mapping calls that one finding tells of: a VMM maps a BAR page by page, and the same again
 * whenever its guest's tables change, and has one thing wrong.
 */
#include <inttypes.h>
#include <string.h>

#include "report_internal.h"

/* One BAR of one device, by one place of one process, alike in what the client asked for. */
bool report_alike(const struct finding *f, const struct cbit_event *ev)
{
	const struct cbit_mapping_info *a = &f->first.mapping, *b = &ev->mapping;

	return a->id && b->id && a->trace == b->trace && a->pid == b->pid && a->attrs == b->attrs &&
	       a->backing == b->backing && ev->region && f->region[0] &&
	       !strncmp(f->region, ev->region, sizeof(f->region) - 1);
}

/* Runs of one call come one after another, but other threads make calls meanwhile. */
static bool counted(struct finding_alike *a, uint64_t call)
{
	for (unsigned int i = 0; i < REPORT_RECENT; i++) {
		if (a->recent[i] == call)
			return true;
	}
	a->recent[a->calls % REPORT_RECENT] = call;
	return false;
}

void report_alike_add(struct finding *f, const struct cbit_event *ev)
{
	uint64_t iova_last = ev->iova.v + (ev->len ? ev->len - 1 : 0);
	uint64_t spa_last = ev->spa.v + (ev->len ? ev->len - 1 : 0);
	struct finding_alike *a = &f->alike;

	if (!a->recent[0]) {
		*a = (struct finding_alike){ .iova = ev->iova.v,
					     .iova_last = iova_last,
					     .spa = ev->spa.v,
					     .spa_last = spa_last };
		a->recent[0] = f->first.mapping.id;
	}
	if (ev->mapping.id != f->first.mapping.id && !counted(a, ev->mapping.id))
		a->calls++;
	if (ev->iova.v < a->iova)
		a->iova = ev->iova.v;
	if (iova_last > a->iova_last)
		a->iova_last = iova_last;
	if (ev->spa.v < a->spa)
		a->spa = ev->spa.v;
	if (spa_last > a->spa_last)
		a->spa_last = spa_last;
}

void report_text_alike(FILE *out, const struct finding *f)
{
	const struct finding_alike *a = &f->alike;

	if (!a->calls)
		return;
	fprintf(out,
		"    alike:   %" PRIu64 " more mapping call%s of %s; in all IOVA 0x%" PRIx64
		" to 0x%" PRIx64 " -> SPA 0x%" PRIx64 " to 0x%" PRIx64 "\n",
		a->calls, a->calls == 1 ? "" : "s", f->region, a->iova, a->iova_last, a->spa,
		a->spa_last);
}

void report_json_alike(json_t *to, const struct finding *f)
{
	const struct finding_alike *a = &f->alike;
	json_t *o;

	if (!a->calls)
		return;
	o = json_object();
	json_object_set_new(o, "calls", json_integer((json_int_t)a->calls));
	json_object_set_new(o, "iova", report_json_hex(a->iova));
	json_object_set_new(o, "iova_last", report_json_hex(a->iova_last));
	json_object_set_new(o, "spa", report_json_hex(a->spa));
	json_object_set_new(o, "spa_last", report_json_hex(a->spa_last));
	json_object_set_new(to, "alike", o);
}
