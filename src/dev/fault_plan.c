/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault plans: the rules, and whose turn it is.
 */
#include "fault.h"

#include <errno.h>
#include <stdlib.h>

int cbit_fault_plan_create(struct cbit_fault_plan **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void cbit_fault_plan_destroy(struct cbit_fault_plan *plan)
{
	if (!plan)
		return;
	for (unsigned int i = 0; i < plan->nr; i++)
		free(plan->rules[i]);
	free(plan);
}

int cbit_fault_plan_add(struct cbit_fault_plan *plan, const char *spec, struct cbit_error *err)
{
	struct fault_rule *rule;
	int ret;

	if (plan->nr == FAULT_MAX_RULES)
		return cbit_error_set(err, -EINVAL, "fault '%.60s': there are %u already", spec,
				      FAULT_MAX_RULES);
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return cbit_error_set(err, -ENOMEM, "out of memory");
	ret = fault_parse(spec, rule, err);
	if (ret)
		free(rule);
	else
		plan->rules[plan->nr++] = rule;
	return ret;
}

bool cbit_fault_plan_rule(const struct cbit_fault_plan *plan, unsigned int index,
			  struct cbit_fault_rule_info *out)
{
	const struct fault_rule *rule;

	if (index >= plan->nr)
		return false;
	rule = plan->rules[index];
	*out = (struct cbit_fault_rule_info){
		.text = rule->text,
		.kind = rule->kind,
		.one_device = rule->one_device,
		.device = rule->devid,
		.events = __atomic_load_n(&rule->events, __ATOMIC_RELAXED),
		.injected = __atomic_load_n(&rule->injected, __ATOMIC_RELAXED),
	};
	return true;
}

/*
 * The draw of an event is a function of seed, device and number alone, so that a run can be had
 * again whatever the threads of other devices do. Mixing: splitmix64 (Steele, Lea, Flood 2014).
 */
static uint64_t draw(uint64_t seed, uint16_t devid, uint64_t event)
{
	uint64_t z = seed + ((uint64_t)devid << 48) + event * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

bool fault_due(const struct fault_rule *rule, uint16_t devid, uint64_t event, uint64_t injected,
	       uint64_t open_ns)
{
	if (event <= rule->after || open_ns < rule->time_ns ||
	    (rule->limit && injected >= rule->limit))
		return false;
	if (rule->every && (event - rule->after) % rule->every)
		return false;
	return !rule->chance || draw(rule->seed, devid, event) <= rule->threshold;
}
