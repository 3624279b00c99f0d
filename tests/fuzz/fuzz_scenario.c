/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scenario files. What is refused has a message with a place; what is taken can be run, and each
 * copy with one expectation changed is still a scenario.
 */
#include "fuzz.h"

#include <errno.h>

#include <cbit/scenario.h>

/* Machines that take long to make are of no use here. */
static bool is_small(const struct cbit_scenario *scn)
{
	const struct cbit_sim_config *cfg = cbit_scenario_config(scn);
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < cfg->nr_regions; i++)
		bytes += cfg->regions[i].size + cfg->regions[i].base.v / 256;
	for (unsigned int i = 0; i < cfg->nr_devices; i++)
		bytes += cfg->devices[i].bar;
	return bytes <= UINT64_C(64) << 20 && cfg->swiotlb && cfg->swiotlb <= 1 << 20;
}

static void run_mutants(const struct cbit_scenario *scn)
{
	for (unsigned int i = 0; i < cbit_scenario_mutants(scn) && i < 4; i++) {
		struct cbit_scenario *copy = NULL;
		char *what = NULL, *message;
		char *text = cbit_scenario_mutant(scn, i, &what);

		FUZZ_CHECK(text && what);
		if (!cbit_scenario_parse("mutant", text, strlen(text), &copy, &message))
			cbit_scenario_free(copy);
		free(message);
		free(text);
		free(what);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cbit_scenario *scn;
	struct cbit_error err;
	unsigned int failed;
	char *message, *report = NULL;
	int ret;

	ret = cbit_scenario_parse("f", (const char *)data, size, &scn, &message);
	FUZZ_CHECK((ret == 0) == (message == NULL));
	if (ret) {
		unsigned long line, column;

		FUZZ_CHECK(sscanf(message, "f:%lu:%lu: ", &line, &column) == 2);
		free(message);
		return 0;
	}
	if (is_small(scn)) {
		ret = cbit_scenario_run(scn, cbit_policy_preset("complete"),
					size & 1 ? CBIT_SCENARIO_STORY : CBIT_SCENARIO_JSON,
					&report, &failed, &err);
		/* An error of the model itself is one of ours. */
		FUZZ_CHECK(ret != -EIO);
		FUZZ_CHECK(ret == 0 || err.text[0]);
		free(report);
	}
	run_mutants(scn);
	cbit_scenario_free(scn);
	return 0;
}
