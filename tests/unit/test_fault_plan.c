/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault plans without a device: what SPECs are taken, and whose turn it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "dev/fault.h"

/* --- SPECs --- */

static int add(const char *spec, struct cbit_error *err)
{
	struct cbit_fault_plan *plan;
	int ret;

	assert_int_equal(cbit_fault_plan_create(&plan), 0);
	ret = cbit_fault_plan_add(plan, spec, err);
	cbit_fault_plan_destroy(plan);
	return ret;
}

static void test_specs_taken(void **state)
{
	static const char *const specs[] = {
		"iommu-fault",
		"iommu-fault,device=0000:01:00.0,after=10",
		"iommu-fault,device=01:00.0,access=write,every=3,count=2",
		"lost-interrupt,probability=0.01,seed=7",
		"lost-interrupt,vector=2047,probability=1,seed=0x10",
		"stuck-doorbell,time=1500ms",
		"completion-error,status=0x281,after=0",
		"surprise-removal,time=2s",
		"surprise-removal,probability=.5,seed=1",
		"link-down,after=3,for=10ms",
		"delayed-completion,delay=0008us,time=86400s",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct cbit_error err = { 0 };

		if (add(specs[i], &err))
			fail_msg("%s: %s", specs[i], err.text);
	}
}

static void test_specs_refused(void **state)
{
	static const struct {
		const char *spec, *word;
		int ret;
	} bad[] = {
		{ "", "no fault \"\"", -ENOENT },
		{ "iommu", "no fault \"iommu\"", -ENOENT },
		{ "iommu-fault,", NULL, 0 },
		{ "iommu-fault,after", "\"after\" is not key=value", -EINVAL },
		{ "iommu-fault,after=", "after=: must be", -EINVAL },
		{ "iommu-fault,after=-1", "after=-1: must be", -EINVAL },
		{ "iommu-fault,after=1,after=2", "\"after\" twice", -EINVAL },
		{ "iommu-fault,vector=1", "takes no \"vector\"", -EINVAL },
		{ "iommu-fault,access=both", "read or write", -EINVAL },
		{ "iommu-fault,device=1:00.0", "an address like", -EINVAL },
		{ "iommu-fault,device=0001:01:00.0", "an address like", -EINVAL },
		{ "iommu-fault,device=01:20.0", "an address like", -EINVAL },
		{ "iommu-fault,device=01:00.8", "an address like", -EINVAL },
		{ "iommu-fault,device=01:00.0x", "an address like", -EINVAL },
		{ "stuck-doorbell,every=0", "from 1", -EINVAL },
		{ "stuck-doorbell,count=0", "from 1", -EINVAL },
		{ "stuck-doorbell,time=5", "a time like", -EINVAL },
		{ "stuck-doorbell,time=0s", "a time like", -EINVAL },
		{ "stuck-doorbell,time=86401s", "a time like", -EINVAL },
		{ "stuck-doorbell,time=99999999999999999999999s", "a time like", -EINVAL },
		{ "stuck-doorbell,for=1s", "takes no \"for\"", -EINVAL },
		{ "lost-interrupt,probability=0", "a fraction", -EINVAL },
		{ "lost-interrupt,probability=1.5", "a fraction", -EINVAL },
		{ "lost-interrupt,probability=nan", "a fraction", -EINVAL },
		{ "lost-interrupt,probability=0x1p-3", "a fraction", -EINVAL },
		{ "lost-interrupt,probability=.", "a fraction", -EINVAL },
		{ "lost-interrupt,seed=1", "seed without probability", -EINVAL },
		{ "lost-interrupt,vector=2048", "a vector", -EINVAL },
		{ "completion-error,status=0", "not 0", -EINVAL },
		{ "completion-error,status=0x100000000", "32 bits", -EINVAL },
		{ "surprise-removal,count=2", "takes no \"count\"", -EINVAL },
		{ "surprise-removal,time=1s,after=2", "by time or by events", -EINVAL },
		{ "link-down,time=1s,probability=0.5", "by time or by events", -EINVAL },
		{ "link-down,colour=red", "options: device", -EINVAL },
	};
	char longest[600];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cbit_error err = { 0 };

		assert_int_equal(add(bad[i].spec, &err), bad[i].ret);
		if (bad[i].word && !strstr(err.text, bad[i].word))
			fail_msg("%s: told as: %s", bad[i].spec, err.text);
	}
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(add(longest, NULL), -EINVAL);
}

/* The seed that a rule gets is told, and makes the same rule again. */
static void test_seed(void **state)
{
	struct cbit_fault_rule_info info[2];
	struct cbit_fault_plan *plan;
	struct fault_rule a, b;

	(void)state;
	assert_int_equal(cbit_fault_plan_create(&plan), 0);
	assert_int_equal(cbit_fault_plan_add(plan, "lost-interrupt,probability=0.5", NULL), 0);
	assert_true(cbit_fault_plan_rule(plan, 0, &info[0]));
	assert_false(cbit_fault_plan_rule(plan, 1, &info[1]));
	assert_non_null(strstr(info[0].text, ",seed="));
	assert_int_equal(fault_parse(info[0].text, &a, NULL), 0);
	b = *plan->rules[0];
	assert_int_equal(a.seed, b.seed);
	for (uint64_t e = 1; e < 1000; e++)
		assert_int_equal(fault_due(&a, 0x100, e, 0, 0), fault_due(&b, 0x100, e, 0, 0));
	cbit_fault_plan_destroy(plan);
}

/* --- whose turn it is --- */

static void test_schedules(void **state)
{
	/* @turns: 20 events, '1' where a fault is injected */
	static const struct {
		const char *spec, *turns;
	} cases[] = {
		{ "iommu-fault", "10000000000000000000" },
		{ "iommu-fault,after=3", "00010000000000000000" },
		{ "iommu-fault,every=4", "00010001000100010001" },
		{ "iommu-fault,after=2,every=4,count=3", "00000100010001000000" },
		{ "iommu-fault,after=1,count=3", "01110000000000000000" },
		{ "iommu-fault,every=1", "11111111111111111111" },
		{ "iommu-fault,probability=1,seed=3,after=17", "00000000000000000111" },
		{ "iommu-fault,time=1s", "00000000000000000000" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t injected = 0;
		struct fault_rule rule;

		assert_int_equal(fault_parse(cases[i].spec, &rule, NULL), 0);
		for (uint64_t e = 1; cases[i].turns[e - 1]; e++) {
			bool due = fault_due(&rule, 0x100, e, injected, 999999999);

			injected += due;
			if (due != (cases[i].turns[e - 1] == '1'))
				fail_msg("%s: event %u", cases[i].spec, (unsigned int)e);
		}
	}
}

static void test_chance(void **state)
{
	static const double chances[] = { 0.001, 0.01, 0.25, 0.9 };
	unsigned int differs = 0;
	struct fault_rule rule;
	char spec[64];

	(void)state;
	for (size_t i = 0; i < sizeof(chances) / sizeof(chances[0]); i++) {
		unsigned int n = 0;
		double expect = 200000 * chances[i];

		snprintf(spec, sizeof(spec), "iommu-fault,probability=%g,seed=11", chances[i]);
		assert_int_equal(fault_parse(spec, &rule, NULL), 0);
		for (uint64_t e = 1; e <= 200000; e++) {
			bool due = fault_due(&rule, 0x100, e, n, 0);

			n += due;
			differs += due != fault_due(&rule, 0x200, e, n, 0);
		}
		/* Ten standard deviations at the least: the seed is fixed, so it holds or not. */
		assert_in_range(n, (unsigned int)(expect * 0.7), (unsigned int)(expect * 1.3));
	}
	assert_true(differs > 1000); /* each device has its own luck */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specs_taken), cmocka_unit_test(test_specs_refused),
		cmocka_unit_test(test_seed),        cmocka_unit_test(test_schedules),
		cmocka_unit_test(test_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
