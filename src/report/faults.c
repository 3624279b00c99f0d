/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults that were injected: kept beside the findings, never among them, and named by each
 * finding that came after.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "report_internal.h"

void report_fault(struct cbit_report *report, const struct cbit_event *ev)
{
	struct report_fault *f = calloc(1, sizeof(*f));

	report->last_fault = (struct finding_fault){ .number = ev->fault->number,
						     .kind = ev->fault->kind,
						     .devid = ev->devid };
	if (report->nr_faults++ >= REPORT_FAULTS || !f) {
		free(f);
		return;
	}
	f->what = report->last_fault;
	f->event = ev->fault->event;
	snprintf(f->rule, sizeof(f->rule), "%s", ev->fault->rule);
	snprintf(f->detail, sizeof(f->detail), "%s", ev->fault->detail);
	*report->fault_end = f;
	report->fault_end = &f->next;
}

void report_faults_free(struct cbit_report *report)
{
	struct report_fault *f;

	while ((f = report->faults)) {
		report->faults = f->next;
		free(f);
	}
}

void report_text_fault(FILE *out, const struct finding *f)
{
	if (f->after.number)
		fprintf(out, "    after:   fault %" PRIu64 ", %s of device 0000:%02x:%02x.%x\n",
			f->after.number, cbit_fault_name(f->after.kind), f->after.devid >> 8,
			f->after.devid >> 3 & 31, f->after.devid & 7);
}

static json_t *json_fault(const struct finding_fault *f)
{
	json_t *o = json_object();
	char bdf[16];

	snprintf(bdf, sizeof(bdf), "0000:%02x:%02x.%x", f->devid >> 8, f->devid >> 3 & 31,
		 f->devid & 7);
	json_object_set_new(o, "number", json_integer((json_int_t)f->number));
	json_object_set_new(o, "kind", json_string(cbit_fault_name(f->kind)));
	json_object_set_new(o, "device", json_string(bdf));
	return o;
}

void report_json_fault(json_t *to, const struct finding *f)
{
	if (f->after.number)
		json_object_set_new(to, "after_fault", json_fault(&f->after));
}

void report_json_faults(json_t *to, const struct cbit_report *report)
{
	json_t *list = json_array(), *o;

	for (const struct report_fault *f = report->faults; f; f = f->next) {
		o = json_fault(&f->what);
		json_object_set_new(o, "rule", json_string(f->rule));
		json_object_set_new(o, "event", json_integer((json_int_t)f->event));
		json_object_set_new(o, "detail", json_string(f->detail));
		json_array_append_new(list, o);
	}
	json_object_set_new(to, "faults", list);
	json_object_set_new(to, "fault_count", json_integer((json_int_t)report->nr_faults));
}
