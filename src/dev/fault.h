/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fault rules inside: what the parser makes of a SPEC, and whether it is an event's turn.
 */
#ifndef CBIT_DEV_FAULT_H
#define CBIT_DEV_FAULT_H

#include <cbit/fault.h>

#define FAULT_MAX_RULES 64u
#define FAULT_TEXT      256u

/* Which DMA requests a rule counts. */
#define FAULT_READS  1u
#define FAULT_WRITES 2u

/**
 * struct fault_rule - all but the counts is constant once parsed.
 * @after:   events that pass first.
 * @every:   of those that follow, only each @every-th; 0 for no such rule.
 * @limit:   faults for each device, at most; 0 for no end.
 * @time_ns: nothing before the device has been open for so long; 0 for at once.
 * @chance:  by chance: an event is hit if its draw is at most @threshold.
 * @access:  FAULT_READS, FAULT_WRITES of DMA requests.
 * @delay_ns: how much later a command ends.
 * @for_ns:  how long the link stays down; 0 until a reset.
 * @status:  what an error is told as, if @has_status.
 * @vector:  which interrupt, if @has_vector.
 * @queue:   commands and doorbells of which queue, if @has_queue.
 */
struct fault_rule {
	enum cbit_fault_kind kind;
	bool one_device;
	uint16_t devid;
	uint64_t after;
	uint64_t every;
	uint64_t limit;
	uint64_t time_ns;
	bool chance;
	uint64_t threshold;
	uint64_t seed;
	unsigned int access;
	uint64_t delay_ns;
	uint64_t for_ns;
	bool has_status;
	uint32_t status;
	bool has_vector;
	unsigned int vector;
	bool has_queue;
	unsigned int queue;
	char text[FAULT_TEXT];
	/* of all devices; atomic */
	uint64_t events;
	uint64_t injected;
};

struct cbit_fault_plan {
	struct fault_rule *rules[FAULT_MAX_RULES];
	unsigned int nr;
	uint64_t injected; /* atomic */
};

/* fault_parse.c: 0, or an error with words in @err. */
int fault_parse(const char *spec, struct fault_rule *rule, struct cbit_error *err);

/*
 * fault_plan.c: is it the turn of event @event (from 1) of device @devid, which has had @injected
 * faults by this rule, and has been open for @open_ns? The same for the same arguments, ever.
 */
bool fault_due(const struct fault_rule *rule, uint16_t devid, uint64_t event, uint64_t injected,
	       uint64_t open_ns);

/* Faults of this kind that come by time are nobody's event. */
static inline bool fault_by_time(const struct fault_rule *rule)
{
	return rule->time_ns && (rule->kind == CBIT_FAULT_REMOVAL || rule->kind == CBIT_FAULT_LINK);
}

#endif
