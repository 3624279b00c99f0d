/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault SPECs as a command line has them, one a line. What is refused has words and leaves the
 * plan as it was; what is taken can be had again from its own words, and keeps its bounds.
 */
#include "fuzz.h"

#include "dev/fault.h"

static void check_rule(const struct cbit_fault_plan *plan, unsigned int n)
{
	struct fault_rule *rule = plan->rules[n], again;
	struct cbit_fault_rule_info info;
	uint64_t injected = 0;

	FUZZ_CHECK(cbit_fault_plan_rule(plan, n, &info) && info.kind == rule->kind);
	FUZZ_CHECK(!fault_parse(info.text, &again, NULL));
	FUZZ_CHECK(!strcmp(again.text, rule->text) && again.seed == rule->seed);
	FUZZ_CHECK(rule->limit || rule->every || rule->chance);
	for (uint64_t event = 1; event < 64; event++) {
		bool due = fault_due(rule, 0x100, event, injected, UINT64_MAX);

		FUZZ_CHECK(due == fault_due(&again, 0x100, event, injected, UINT64_MAX));
		injected += due;
		FUZZ_CHECK(!due || event > rule->after);
	}
	FUZZ_CHECK(!rule->limit || injected <= rule->limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cbit_fault_plan *plan;
	struct cbit_fault_rule_info info;
	char *text, *spec, *save = NULL;
	unsigned int n = 0;

	FUZZ_CHECK(!cbit_fault_plan_create(&plan));
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = 0;
	for (spec = strtok_r(text, "\n", &save); spec; spec = strtok_r(NULL, "\n", &save)) {
		struct cbit_error err = { .code = 1 };
		int ret = cbit_fault_plan_add(plan, spec, &err);

		FUZZ_CHECK(memchr(err.text, 0, sizeof(err.text)));
		FUZZ_CHECK(ret == 0 || (err.code == ret && err.text[0]));
		FUZZ_CHECK(cbit_fault_plan_rule(plan, n, &info) == !ret);
		if (!ret)
			check_rule(plan, n++);
	}
	free(text);
	cbit_fault_plan_destroy(plan);
	return 0;
}
