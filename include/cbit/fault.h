/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault: what is to go wrong with the devices of a machine, and when: so that the recovery
 * paths of their drivers can be run. docs/faults.md has the words of a SPEC.
 */
#ifndef CBIT_FAULT_H
#define CBIT_FAULT_H

#include <cbit/types.h>

CBIT_API_BEGIN

/* Rules, in the order in which they were added. */
struct cbit_fault_plan;

/**
 * enum cbit_fault_kind - what goes wrong, and what counts as an event of it.
 * @CBIT_FAULT_IOMMU: a DMA of the device finds no translation: IO_PAGE_FAULT in the event log, and
 *      the device sees a target abort. Events: the device's DMA requests.
 * @CBIT_FAULT_COMPLETION: a command ends with an error of the model's own and is not carried out.
 *      Events: commands.
 * @CBIT_FAULT_LOST_IRQ: an interrupt does not arrive. Events: interrupts that would have left.
 * @CBIT_FAULT_DOORBELL: the write of a doorbell does not reach the device. Events: such writes.
 * @CBIT_FAULT_REMOVAL: the device is pulled out: registers and configuration space read all ones,
 *      nothing leaves it, VFIO's REQ interrupt is signalled. For good. Events: DMA requests.
 * @CBIT_FAULT_LINK: the link goes down: all ones likewise, and the ERR interrupt, until the device
 *      is reset. Events: DMA requests.
 * @CBIT_FAULT_DELAY: a command is carried out, and ends later. Events: commands.
 */
enum cbit_fault_kind {
	CBIT_FAULT_IOMMU,
	CBIT_FAULT_COMPLETION,
	CBIT_FAULT_LOST_IRQ,
	CBIT_FAULT_DOORBELL,
	CBIT_FAULT_REMOVAL,
	CBIT_FAULT_LINK,
	CBIT_FAULT_DELAY,
};

/** The number of kinds. */
#define CBIT_NR_FAULTS (CBIT_FAULT_DELAY + 1)

/** cbit_fault_name() - "lost-interrupt"; NULL for no kind. */
const char *cbit_fault_name(enum cbit_fault_kind kind);

/** cbit_fault_help() - the help text: a line for each kind, and one for the options of all. */
const char *cbit_fault_help(void);

/**
 * struct cbit_fault_info - one fault that was injected: what CBIT_EVENT_FAULT points to.
 * @number: from 1, in the order of the machine; @kind.
 * @rule:   the SPEC that asked for it, with the seed that it used.
 * @event:  the how manyth event of this device for that rule it was; 0 for one that came by time.
 * @times:  how often the rule has injected it into this device, this time included.
 * @detail: what was hit ("MSI-X vector 0").
 */
struct cbit_fault_info {
	uint64_t number;
	enum cbit_fault_kind kind;
	const char *rule;
	uint64_t event;
	uint64_t times;
	const char *detail;
};

/** cbit_fault_plan_create() - an empty plan. Return: 0, -ENOMEM. */
int cbit_fault_plan_create(struct cbit_fault_plan **out);

/** cbit_fault_plan_destroy() - after the machines that use it. NULL is allowed. */
void cbit_fault_plan_destroy(struct cbit_fault_plan *plan);

/**
 * cbit_fault_plan_add() - one more rule.
 * @spec: "KIND[,option]...", see docs/faults.md. A rule by chance without a seed gets one.
 * Before the plan is given to a machine. Return: 0; -EINVAL, -ENOENT (no such kind) or -ENOMEM with
 * words in @err.
 */
int cbit_fault_plan_add(struct cbit_fault_plan *plan, const char *spec, struct cbit_error *err);

/**
 * struct cbit_fault_rule_info - a rule, and what has come of it.
 * @text:   its SPEC, with the seed it uses; lives as long as the plan.
 * @device: the device that it is for, bus << 8 | devfn, if @one_device; otherwise for each.
 * @events: the events it has counted, on all devices; @injected: the faults it has injected.
 */
struct cbit_fault_rule_info {
	const char *text;
	enum cbit_fault_kind kind;
	bool one_device;
	uint16_t device;
	uint64_t events;
	uint64_t injected;
};

/** cbit_fault_plan_rule() - rule @index from 0; false after the last. Any thread. */
bool cbit_fault_plan_rule(const struct cbit_fault_plan *plan, unsigned int index,
			  struct cbit_fault_rule_info *out);

CBIT_API_END

#endif
