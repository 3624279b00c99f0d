/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report: findings, made out of what an observer is told, and their renderings.
 */
#ifndef CBIT_REPORT_H
#define CBIT_REPORT_H

#include <cbit/types.h>

struct cbit_report;

/**
 * cbit_report_create() - an empty report.
 * @platform: copied; @policy: name of the policy, copied.
 * Return: 0, -ENOMEM.
 */
int cbit_report_create(const struct cbit_platform *platform, const char *policy,
		       struct cbit_report **out);

/** cbit_report_destroy() - NULL is allowed. */
void cbit_report_destroy(struct cbit_report *report);

/** cbit_report_observer() - the observer to give to a machine; any thread may call it. */
struct cbit_observer cbit_report_observer(struct cbit_report *report);

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
 * "findings": [{"id", "summary", "details": {...}, "hits": [...], "hit_count"}]}.
 * Return: a string for the caller to free(), NULL when there is no memory.
 */
char *cbit_report_json(struct cbit_report *report);

#endif
