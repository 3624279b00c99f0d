/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy: the code that a kernel would be: which attributes a mapping gets.
 */
#ifndef CBIT_POLICY_H
#define CBIT_POLICY_H

#include <cbit/types.h>

/** struct cbit_policy - a preset; opaque, static, never freed. */
struct cbit_policy;

/** cbit_policy_preset() - by name ("linux-6.17", "linux-7.2", "complete", ...), or NULL. */
const struct cbit_policy *cbit_policy_preset(const char *name);

/** cbit_policy_name() and cbit_policy_about() - its name and one line about it. */
const char *cbit_policy_name(const struct cbit_policy *policy);
const char *cbit_policy_about(const struct cbit_policy *policy);

/** cbit_policy_at() - the presets one by one, NULL after the last. */
const struct cbit_policy *cbit_policy_at(unsigned int index);

/**
 * struct cbit_policy_type1 - the state of one type1 MAP_DMA call, zeroed at its start.
 * @mmio_seen: a refill of the batch has met a PFN map.
 */
struct cbit_policy_type1 {
	bool mmio_seen;
};

/**
 * cbit_policy_type1_attrs() - the attributes of one run of a type1 mapping.
 * @platform: where.
 * @call:     state of the call; a policy that lets one run influence another keeps it here.
 * @kind:     what backs the run.
 * @next_mmio: the run that follows in the same call is a PFN map (the kernel's batch refill
 *            has already looked at it when this run is mapped).
 * @attrs:    CBIT_ATTR_READ and CBIT_ATTR_WRITE as the client asked.
 * Return: CBIT_ATTR_*.
 */
unsigned int cbit_policy_type1_attrs(const struct cbit_policy *policy,
				     const struct cbit_platform *platform,
				     struct cbit_policy_type1 *call, enum cbit_mem_kind kind,
				     bool next_mmio, unsigned int attrs);

#endif
