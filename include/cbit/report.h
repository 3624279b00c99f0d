/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report: findings, made out of what an observer is told, and their renderings.
 */
#ifndef CBIT_REPORT_H
#define CBIT_REPORT_H

#include <cbit/types.h>

CBIT_API_BEGIN

struct cbit_report;

/**
 * cbit_report_create() - an empty report.
 * @platform: copied; @policy: name of the policy, copied.
 * Return: 0, -ENOMEM.
 */
int cbit_report_create(const struct cbit_platform *platform, const char *policy,
		       struct cbit_report **out);

/**
 * struct cbit_frame - one function call on a client's stack, the strings copied.
 * @module: path of the program or library; @offset: of the return address in it, as its ELF file
 *          counts (addr2line(1) takes that, less one).
 * @function: its name, "" where it is not known; @file and @line: likewise "" and 0.
 */
struct cbit_frame {
	char module[256];
	uint64_t offset;
	char function[128];
	char file[256];
	unsigned int line;
};

/**
 * struct cbit_trace_source - who knows what a trace number of struct cbit_mapping_info stands for.
 * @frames: fill in at most @max frames of @trace, the innermost first. Return: how many.
 *          Called when a report is rendered, by the thread that renders it.
 */
struct cbit_trace_source {
	unsigned int (*frames)(void *opaque, uint32_t trace, struct cbit_frame *out,
			       unsigned int max);
	void *opaque;
};

/** cbit_report_set_traces() - where backtraces come from. @source: copied. */
void cbit_report_set_traces(struct cbit_report *report, const struct cbit_trace_source *source);

/** cbit_report_destroy() - NULL is allowed. */
void cbit_report_destroy(struct cbit_report *report);

/** cbit_report_observer() - the observer to give to a machine; any thread may call it. */
struct cbit_observer cbit_report_observer(struct cbit_report *report);

/** cbit_report_id() - the id of the finding that an event is ("wrong-key"), or NULL for none. */
const char *cbit_report_id(const struct cbit_event *ev);

/** cbit_report_id_at() - the ids that there are, one by one; NULL after the last. */
const char *cbit_report_id_at(unsigned int index);

/** cbit_report_count() - findings so far. */
unsigned int cbit_report_count(struct cbit_report *report);

/**
 * cbit_report_text() - the findings for people, and the closing line
 * ("cbit: N findings" or "cbit: no findings").
 * Return: a string for the caller to free(), NULL when there is no memory.
 */
char *cbit_report_text(struct cbit_report *report);

/**
 * cbit_report_json() - the findings as one JSON object: {"version", "platform", "policy",
 * "findings": [{"id", "summary", "wrong", "right", "mapping": {..., "frames"}, "entry",
 * "alike": {"calls", "iova", "iova_last", "spa", "spa_last"}, "call": {"what", ..., "frames"},
 * "below", "above", "after_fault": {"number", "kind", "device"}, "hits": [{"device", "access",
 * "iova", "spa", "length", "call", "outcome"}], "hit_count"}], "faults": [{"number", "kind",
 * "device", "rule", "event", "detail"}], "fault_count"}. "alike" counts further mapping calls that
 * the finding is about, with the first and last addresses of all; the "call" of a hit is the
 * number of its mapping call; "after_fault" is the last fault injected before the finding; "frames"
 * is an array of {"module", "offset", "function", "file", "line"}. What does not apply is left out.
 * Return: a string for the caller to free(), NULL when there is no memory.
 */
char *cbit_report_json(struct cbit_report *report);

CBIT_API_END

#endif
