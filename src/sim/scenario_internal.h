/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a scenario.
 */
#ifndef CBIT_SIM_SCENARIO_INTERNAL_H
#define CBIT_SIM_SCENARIO_INTERNAL_H

#include <stdio.h>

#include <cbit/report.h>
#include <cbit/scenario.h>

#include "yaml.h"

#define SCN_POLICIES 8
#define SCN_STEPS    512
#define SCN_FINDINGS CBIT_SIM_FINDINGS
#define SCN_DATA     4096
#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))

/* What may be expected of a step. */
enum scn_key {
	SCN_OUTCOME,
	SCN_FINDING_IDS,
	SCN_KEY,
	SCN_DRAM,
	SCN_SEEN,
	SCN_C,
	SCN_IOPTE_C,
	SCN_IOPTE,
	SCN_VENDOR,
	SCN_ERROR,
	SCN_ADDRESS,
	SCN_EVENT,
	SCN_WAY,
	SCN_SLOTS,
	SCN_FAULT,
	SCN_CPUS,
	SCN_NR_KEYS,
};
extern const char *const scn_key_names[SCN_NR_KEYS];

/*
 * A set of expectations; @has by key. Words are indices, @findings are static strings.
 */
struct scn_expect {
	bool has[SCN_NR_KEYS];
	unsigned int word[SCN_NR_KEYS];
	uint64_t number[SCN_NR_KEYS];
	uint8_t seen[CBIT_SIM_SEEN];
	size_t seen_len;
	uint8_t event[16];
	size_t event_len;
	const char *findings[SCN_FINDINGS];
	unsigned int nr_findings;
};

/* @under: instead of @expect, key by key, for one policy. */
struct scn_step {
	unsigned int number; /* from 1 */
	unsigned int line;   /* 0: from no file */
	char *text;
	struct cbit_sim_op op;
	uint8_t *data;
	struct scn_expect expect;
	const struct cbit_policy *policy[SCN_POLICIES];
	struct scn_expect *under[SCN_POLICIES];
	unsigned int nr_under;
};

/* A stated expectation in the text: characters @start to @end, and what may stand there. */
struct scn_mutant {
	unsigned int line;
	unsigned int column;
	size_t start;
	size_t end;
	enum scn_key key;
	char *other;
};

struct cbit_scenario {
	char *file;
	char *text;
	size_t len;
	char *name;
	char *about;
	struct cbit_sim_config cfg;
	unsigned int machine_line;
	const struct cbit_policy *policies[SCN_POLICIES];
	unsigned int nr_policies;
	struct scn_step *steps;
	unsigned int nr_steps;
	struct scn_mutant *mutants;
	unsigned int nr_mutants;
};

/* A scenario being read. Names of buffers and mappings are numbers by their order. */
struct scn_read {
	struct yaml_in in;
	struct cbit_scenario *scn;
	char buf_name[CBIT_SIM_BUFS][CBIT_SIM_NAME];
	char map_name[CBIT_SIM_MAPS][CBIT_SIM_NAME];
	unsigned int map_dev[CBIT_SIM_MAPS];
	unsigned int nr_bufs;
	unsigned int nr_maps;
};

/* How a run is told: what happens, in order. */
struct scn_tell {
	void (*begin)(void *opaque, const struct cbit_scenario *scn);
	void (*policy)(void *opaque, const struct cbit_scenario *scn,
		       const struct cbit_policy *policy);
	void (*step)(void *opaque, const struct cbit_sim *sim, const struct scn_step *step,
		     const struct cbit_sim_result *res, const char *diff);
	void (*end)(void *opaque, unsigned int checked, unsigned int failed);
};

/* scenario_text.c, scenario_json.c: @opaque is a FILE, or a json_t object to fill */
extern const struct scn_tell scn_tell_text;
extern const struct scn_tell scn_tell_story;
extern const struct scn_tell scn_tell_json;

/* One step of a story, for tellers without a scenario. */
void scn_story_step(FILE *out, const struct cbit_sim *sim, const struct scn_step *step,
		    const struct cbit_sim_result *res, const char *diff);

/* scenario_machine.c */
int scn_read_machine(struct scn_read *r, const yaml_node_t *root);
int scn_name(struct scn_read *r, const yaml_node_t *node, const char *what,
	     char out[CBIT_SIM_NAME]);
/* scenario_step.c */
int scn_read_steps(struct scn_read *r, const yaml_node_t *list);
/* scenario_expect.c */
int scn_read_expect(struct scn_read *r, const yaml_node_t *map, struct scn_expect *out);

#endif
