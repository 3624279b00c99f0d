/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scenario files for the commands that take them: reading one from disk.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_file.h"

#define MAX_FILE ((size_t)2 << 20)

char *scenario_read(const char *file, size_t *len)
{
	FILE *in = strcmp(file, "-") != 0 ? fopen(file, "re") : stdin;
	char *text = in ? malloc(MAX_FILE) : NULL;
	bool bad = !text;

	if (text) {
		*len = fread(text, 1, MAX_FILE, in);
		bad = ferror(in) != 0;
	}
	if (bad)
		fprintf(stderr, "cbit: %s: %s\n", file, strerror(errno));
	if (in && in != stdin)
		fclose(in);
	if (!bad)
		return text;
	free(text);
	return NULL;
}

struct cbit_scenario *scenario_load(const char *file)
{
	struct cbit_scenario *scn = NULL;
	char *text, *message;
	size_t len;
	int ret;

	text = scenario_read(file, &len);
	if (!text)
		return NULL;
	ret = cbit_scenario_parse(file, text, len, &scn, &message);
	if (ret)
		fprintf(stderr, "cbit: %s\n", message ? message : strerror(-ret));
	free(message);
	free(text);
	return ret ? NULL : scn;
}
