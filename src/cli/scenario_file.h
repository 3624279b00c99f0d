/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scenario files for the commands that take them.
 */
#ifndef CBIT_CLI_SCENARIO_FILE_H
#define CBIT_CLI_SCENARIO_FILE_H

#include <cbit/scenario.h>

/* The text of a file ("-": stdin), or NULL when the reason has been printed. */
char *scenario_read(const char *file, size_t *len);

/* A scenario, or NULL when the reason has been printed. */
struct cbit_scenario *scenario_load(const char *file);

#endif
