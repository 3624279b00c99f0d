/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A report of a machine with SME under linux-7.2, and what its text has.
 */
#ifndef REPORT_RIG_H
#define REPORT_RIG_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <cbit/report.h>

#define C_MASK (UINT64_C(1) << 51)

static inline int setup(void **state)
{
	struct cbit_report *report;
	struct cbit_platform platform;

	assert_int_equal(cbit_platform_preset("sme", &platform), 0);
	assert_int_equal(cbit_report_create(&platform, "linux-7.2", &report), 0);
	*state = report;
	return 0;
}

static inline int teardown(void **state)
{
	cbit_report_destroy(*state);
	return 0;
}

/* How often @needle is in the text. */
static inline unsigned int times(struct cbit_report *report, const char *needle)
{
	char *text = cbit_report_text(report);
	unsigned int n = 0;

	assert_non_null(text);
	for (const char *p = text; (p = strstr(p, needle)); p += strlen(needle))
		n++;
	free(text);
	return n;
}

#endif
