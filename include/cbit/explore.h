/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * explore: the shortest sequences of operations that break a kernel's policy.
 *
 * On small machines, every order of the operations that correct drivers may issue is carried out
 * up to a length: map, unmap, invalidate, DMA, sync, convert, interrupt, reset. After each step
 * the bytes are looked at. What may be wrong is the policy; drivers and devices keep to their
 * rules, but for a device that tries an address once more after its mapping is gone.
 */
#ifndef CBIT_EXPLORE_H
#define CBIT_EXPLORE_H

#include <cbit/sim.h>

CBIT_API_BEGIN

/**
 * enum cbit_explore_guest - which guest's machines are explored besides the host's.
 * The order is that of enum cbit_guest_kind.
 */
enum cbit_explore_guest {
	CBIT_EXPLORE_GUEST_NONE,
	CBIT_EXPLORE_GUEST_PLAIN,
	CBIT_EXPLORE_GUEST_SEV,
	CBIT_EXPLORE_GUEST_SEV_ES,
	CBIT_EXPLORE_GUEST_SNP,
};

/**
 * enum cbit_explore_broken - what must hold whatever correct drivers do.
 * @CBIT_EXPLORE_PRIVATE:     neither a device nor the hypervisor reads a private page's plaintext.
 * @CBIT_EXPLORE_READ_BACK:   what one writes to a mapped page the other reads: CPU and device.
 * @CBIT_EXPLORE_MMIO:        no write to a device's window is lost.
 * @CBIT_EXPLORE_TRANSLATION: no translation outlives its unmap and sync.
 * @CBIT_EXPLORE_INTERRUPT:   no interrupt is lost, none reaches another CPU.
 */
enum cbit_explore_broken {
	CBIT_EXPLORE_HOLDS,
	CBIT_EXPLORE_PRIVATE,
	CBIT_EXPLORE_READ_BACK,
	CBIT_EXPLORE_MMIO,
	CBIT_EXPLORE_TRANSLATION,
	CBIT_EXPLORE_INTERRUPT,
	CBIT_EXPLORE_NR_BROKEN,
};

/** cbit_explore_broken_text() - the rule in words. */
const char *cbit_explore_broken_text(enum cbit_explore_broken broken);

/*
 * What can be broken on purpose, to see that it is found.
 * INVALIDATION: the host's kernel forgets to invalidate the IOTLB after an unmap.
 * KEY: the guest's memory is not encrypted, though its kernel takes it to be.
 * REMAPPING: the guest's kernel writes 8 bits of destination where it should use its IOMMU.
 */
#define CBIT_EXPLORE_BREAK_INVALIDATION (1u << 0)
#define CBIT_EXPLORE_BREAK_KEY          (1u << 1)
#define CBIT_EXPLORE_BREAK_REMAPPING    (1u << 2)

/** struct cbit_explore_progress - how far it is. @level: operations a sequence has by now. */
struct cbit_explore_progress {
	const char *machine;
	unsigned int nr, of; /* this machine of how many */
	unsigned int level, depth;
	uint64_t done, todo; /* states of this level */
};

/**
 * struct cbit_explore_config - what to explore.
 * @platform: of the host; copied. One with SME for a guest.
 * @policy:   the kernel, of host and guest; may be derived. Must outlive the call.
 * @depth:    operations in a sequence, 1 to CBIT_EXPLORE_DEPTH.
 * @guest:    its machines are explored as well.
 * @breaks:   CBIT_EXPLORE_BREAK_*, or 0.
 * @verify:   not 0: of every @verify-th sequence that led to a state which was known already, and
 *            of the one that was first there, carry out every next operation on new machines and
 *            compare what comes of them. Slow.
 * @progress: called now and then; may be NULL.
 */
struct cbit_explore_config {
	struct cbit_platform platform;
	const struct cbit_policy *policy;
	unsigned int depth;
	enum cbit_explore_guest guest;
	unsigned int breaks;
	unsigned int verify;
	void (*progress)(void *opaque, const struct cbit_explore_progress *progress);
	void *opaque;
};

#define CBIT_EXPLORE_DEPTH    16
#define CBIT_EXPLORE_MACHINES 8
#define CBIT_EXPLORE_FINDINGS 16

/**
 * struct cbit_explore_machine - a machine that was explored.
 * @name, @about: static strings.
 * @states:     that were met, those that are each other's mirror images being one.
 * @operations: carried out to find them, without those on the way to a state; @total with them.
 * @merged:     that led to a known state; @verified: of which so many were compared.
 * @refused:    that the kernel refused.
 * @complete:   there are no further states at any depth; @level is the longest way to one.
 */
struct cbit_explore_machine {
	const char *name;
	const char *about;
	uint64_t states;
	uint64_t operations;
	uint64_t total;
	uint64_t merged;
	uint64_t verified;
	uint64_t refused;
	unsigned int level;
	bool complete;
};

/** struct cbit_explore_step - a step of a sequence: in words, and what came of it. @region instead
 * of that of @result, which is gone with its machine. */
struct cbit_explore_step {
	char text[128];
	char region[CBIT_SIM_NAME];
	struct cbit_sim_result result;
};

/**
 * struct cbit_explore_finding - a shortest sequence, as it was carried out on a new machine.
 * @id:      what the machine told of the last step first; or, if nothing, a word for the rule.
 * @machine: index of the machine. @broken: the rule that the last step broke.
 * @times:   sequences of up to the depth that end so, as far as they were met.
 * @looked:  the rule was broken by what was seen afterwards, which is @look.
 */
struct cbit_explore_finding {
	char id[32];
	unsigned int machine;
	enum cbit_explore_broken broken;
	uint64_t times;
	unsigned int nr_steps;
	struct cbit_explore_step steps[CBIT_EXPLORE_DEPTH];
	bool looked;
	struct cbit_explore_step look;
};

/** struct cbit_explore_result - what came of it. @seconds: of wall clock. */
struct cbit_explore_result {
	const char *platform;
	const char *policy;
	unsigned int depth;
	double seconds;
	unsigned int nr_machines;
	struct cbit_explore_machine machines[CBIT_EXPLORE_MACHINES];
	unsigned int nr_findings;
	struct cbit_explore_finding *findings;
};

/**
 * cbit_explore_run() - explore.
 * @out: to be given to cbit_explore_free(). One finding for each id, on the machine where its
 *       sequence is shortest.
 * Return: 0 also with findings; -EINVAL for a depth that there is not, or a guest without SME;
 * -ENOMEM; -EIO when @verify met a difference, or a sequence did not end on a new machine as it had
 * before: an error of the explorer itself. Words in @err.
 */
int cbit_explore_run(const struct cbit_explore_config *config, struct cbit_explore_result **out,
		     struct cbit_error *err);

/** cbit_explore_free() - NULL is allowed. */
void cbit_explore_free(struct cbit_explore_result *result);

/** cbit_explore_render() - as a text, or with @json as JSON; for the caller to free(). -ENOMEM. */
int cbit_explore_render(const struct cbit_explore_result *result, bool json, char **out);

CBIT_API_END

#endif
