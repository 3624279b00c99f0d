/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sub-commands of cbit.
 */
#ifndef CBIT_CLI_H
#define CBIT_CLI_H

/* Exit statuses of our own, as a shell has them. */
#define EXIT_FINDINGS   3
#define EXIT_CBIT       125
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND  127

int cmd_run(int argc, char **argv);
int cmd_sim(int argc, char **argv);
int cmd_matrix(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_explore(int argc, char **argv);
int cmd_devices(int argc, char **argv);

#endif
