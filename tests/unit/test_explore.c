/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The explorer: what it finds under each policy and that nothing shorter does, that each rule can
 * be broken, and that states which it takes for one are one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "sim/explore_internal.h"

static struct cbit_explore_config config(const char *policy, unsigned int depth)
{
	struct cbit_explore_config cfg = {
		.policy = cbit_policy_preset(policy),
		.depth = depth,
		.guest = CBIT_EXPLORE_GUEST_SEV,
	};

	assert_int_equal(cbit_platform_preset("sme", &cfg.platform), 0);
	return cfg;
}

static struct cbit_explore_result *run(const struct cbit_explore_config *cfg)
{
	struct cbit_explore_result *result;
	struct cbit_error err = { 0 };

	if (cbit_explore_run(cfg, &result, &err))
		fail_msg("%s", err.text);
	return result;
}

static const struct cbit_explore_finding *find(const struct cbit_explore_result *r, const char *id)
{
	for (unsigned int i = 0; i < r->nr_findings; i++) {
		if (!strcmp(r->findings[i].id, id))
			return &r->findings[i];
	}
	return NULL;
}

/* --- policies --- */

/* struct expected - a finding: on which machine, in how many steps, what is broken. */
struct expected {
	const char *id;
	const char *machine;
	unsigned int steps;
	enum cbit_explore_broken broken;
};

#define VIOMMU                                                                              \
	{ "interrupt-lost", "guest-viommu", 1, CBIT_EXPLORE_INTERRUPT },                    \
		{ "table-in-private-memory", "guest-viommu", 2, CBIT_EXPLORE_READ_BACK },   \
		{ "private-page", "guest-viommu-patched", 2, CBIT_EXPLORE_READ_BACK },      \
	{                                                                                   \
		"shared-entry-encrypted", "guest-viommu-patched", 2, CBIT_EXPLORE_READ_BACK \
	}

static const struct {
	const char *policy;
	struct expected findings[8];
} policies[] = {
	{ "linux-6.17",
	  { { "mmio-encrypted", "host-vfio", 2, CBIT_EXPLORE_MMIO },
	    { "wrong-key", "host-kernel", 2, CBIT_EXPLORE_READ_BACK },
	    VIOMMU } },
	{ "linux-7.2",
	  { { "mmio-encrypted", "host-vfio", 2, CBIT_EXPLORE_MMIO },
	    { "wrong-key", "host-kernel", 2, CBIT_EXPLORE_READ_BACK },
	    VIOMMU } },
	{ "posted-mmio", { { "wrong-key", "host-vfio", 2, CBIT_EXPLORE_READ_BACK }, VIOMMU } },
	{ "complete", { { 0 } } },
};

static void check_findings(const struct cbit_explore_result *r, const struct expected *want)
{
	unsigned int nr = 0;

	for (; want[nr].id; nr++) {
		const struct cbit_explore_finding *f = find(r, want[nr].id);

		if (!f) {
			fail_msg("%s: %s is not found", r->policy, want[nr].id);
			return;
		}
		assert_string_equal(r->machines[f->machine].name, want[nr].machine);
		assert_int_equal(f->nr_steps, want[nr].steps);
		assert_int_equal(f->broken, want[nr].broken);
	}
	assert_int_equal(r->nr_findings, nr);
}

static void test_policies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		const struct cbit_explore_config cfg = config(policies[i].policy, 4);
		struct cbit_explore_result *r = run(&cfg);

		check_findings(r, policies[i].findings);
		cbit_explore_free(r);
	}
}

/* The sequences are those that the failures are known by. */
static void test_sequences(void **state)
{
	static const struct {
		const char *id;
		const char *first;
		enum cbit_sim_way way;
		const char *second;
		enum cbit_sim_outcome outcome;
	} want[] = {
		{ "mmio-encrypted", "map disk.bar for nic0 by type1", CBIT_SIM_WAY_NONE,
		  "nic0 writes disk.bar by DMA", CBIT_SIM_LOST },
		{ "private-page", "map page0 (private) for trusted by the DMA API",
		  CBIT_SIM_WAY_DIRECT, "trusted reads page0 (private) by DMA", CBIT_SIM_ABORT },
		{ "shared-entry-encrypted", "map page0 (private) for untrusted by the DMA API",
		  CBIT_SIM_WAY_SWIOTLB, "untrusted reads page0 (private) by DMA", CBIT_SIM_ABORT },
		{ "table-in-private-memory", "map page0 (private) for trusted by the DMA API",
		  CBIT_SIM_WAY_DIRECT, "trusted reads page0 (private) by DMA", CBIT_SIM_FAULT },
	};
	const struct cbit_explore_config cfg = config("linux-7.2", 2);
	struct cbit_explore_result *r = run(&cfg);

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct cbit_explore_finding *f = find(r, want[i].id);

		assert_non_null(f);
		assert_string_equal(f->steps[0].text, want[i].first);
		assert_int_equal(f->steps[0].result.way, want[i].way);
		assert_string_equal(f->steps[1].text, want[i].second);
		assert_int_equal(f->steps[1].result.outcome, want[i].outcome);
		assert_true(f->times >= 1);
	}
	cbit_explore_free(r);
}

/* Every kind of guest, and the other hosts. */
static void test_clean(void **state)
{
	static const struct {
		const char *platform;
		enum cbit_explore_guest guest;
	} machines[] = {
		{ "sme", CBIT_EXPLORE_GUEST_SEV_ES }, { "sme", CBIT_EXPLORE_GUEST_SNP },
		{ "sme", CBIT_EXPLORE_GUEST_PLAIN },  { "bare", CBIT_EXPLORE_GUEST_PLAIN },
		{ "tsme", CBIT_EXPLORE_GUEST_PLAIN }, { "tsme", CBIT_EXPLORE_GUEST_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		struct cbit_explore_config cfg = config("complete", 4);
		struct cbit_explore_result *r;

		assert_int_equal(cbit_platform_preset(machines[i].platform, &cfg.platform), 0);
		cfg.guest = machines[i].guest;
		r = run(&cfg);
		assert_int_equal(r->nr_findings, 0);
		assert_int_equal(r->nr_machines, cfg.guest ? 4 : 2);
		cbit_explore_free(r);
	}
}

/* Policies like complete but for one switch and another: one of eight is clean. */
static void test_mutated(void **state)
{
	static const char *const want[8] = {
		/* bit 0: tables shared, bit 1: shared entries clear, bit 2: windows clear */
		[0] = "table-in-private-memory", [1] = "shared-entry-encrypted",
		[2] = "table-in-private-memory", [3] = "mmio-encrypted",
		[4] = "table-in-private-memory", [5] = "shared-entry-encrypted",
		[6] = "table-in-private-memory",
	};

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		const struct cbit_policy_switches switches = { i & 1, i & 2, i & 4 };
		struct cbit_explore_config cfg = config("complete", 3);
		struct cbit_explore_result *r;
		struct cbit_policy *policy;

		assert_int_equal(cbit_policy_derive(cfg.policy, &switches, &policy), 0);
		cfg.policy = policy;
		r = run(&cfg);
		if (want[i])
			assert_non_null(find(r, want[i]));
		else
			assert_int_equal(r->nr_findings, 0);
		cbit_explore_free(r);
		cbit_policy_free(policy);
	}
}

/* --- rules --- */

static void test_breaks(void **state)
{
	static const struct {
		unsigned int breaks;
		struct expected finding[2];
	} cases[] = {
		{ CBIT_EXPLORE_BREAK_INVALIDATION,
		  { { "stale-iotlb", "host-vfio", 4, CBIT_EXPLORE_TRANSLATION } } },
		{ CBIT_EXPLORE_BREAK_KEY,
		  { { "private-plaintext", "guest-viommu", 1, CBIT_EXPLORE_PRIVATE } } },
		{ CBIT_EXPLORE_BREAK_REMAPPING,
		  { { "interrupt-lost", "guest-viommu", 1, CBIT_EXPLORE_INTERRUPT } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_explore_config cfg = config("complete", 4);
		struct cbit_explore_result *r;

		cfg.breaks = cases[i].breaks;
		r = run(&cfg);
		check_findings(r, cases[i].finding);
		cbit_explore_free(r);
	}
}

/*
 * An entry that was left in the IOTLB sends a write elsewhere, and the device is told that all went
 * well: it is seen in the page that was hit.
 */
static void test_looking_around(void **state)
{
	struct cbit_explore_config cfg = config("complete", 5);
	const struct cbit_explore_finding *f;
	struct cbit_explore_result *r;

	(void)state;
	cfg.guest = CBIT_EXPLORE_GUEST_NONE;
	cfg.breaks = CBIT_EXPLORE_BREAK_INVALIDATION;
	r = run(&cfg);
	f = find(r, "not-read-back");
	assert_non_null(f);
	assert_int_equal(f->nr_steps, 5);
	assert_int_equal(f->broken, CBIT_EXPLORE_READ_BACK);
	assert_int_equal(f->steps[4].result.outcome, CBIT_SIM_PLAINTEXT);
	assert_true(f->looked);
	assert_string_equal(f->look.text, "the owner reads page0");
	assert_int_equal(f->look.result.outcome, CBIT_SIM_STALE);
	cbit_explore_free(r);
}

/* Of four operations, three: the first DMA fills the IOTLB, so none of them can be left out. */
static void test_needs_all(void **state)
{
	struct cbit_explore_config cfg = config("complete", 3);
	struct cbit_explore_result *r;

	(void)state;
	cfg.guest = CBIT_EXPLORE_GUEST_NONE;
	cfg.breaks = CBIT_EXPLORE_BREAK_INVALIDATION;
	r = run(&cfg);
	assert_int_equal(r->nr_findings, 0);
	cbit_explore_free(r);
}

/* Without merging, every sequence of that length is carried out: no shorter one, no other id. */
static void test_minimal(void **state)
{
	static const char *const names[] = { "linux-6.17", "linux-7.2", "posted-mmio", "complete" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct cbit_explore_config cfg = config(names[i], 3);
		struct cbit_explore_result *all, *merged = run(&cfg);
		struct cbit_error err = { 0 };

		if (x_explore(&cfg, false, NULL, &all, &err))
			fail_msg("%s", err.text);
		assert_int_equal(all->nr_findings, merged->nr_findings);
		for (unsigned int k = 0; k < all->nr_findings; k++) {
			const struct cbit_explore_finding *f = find(merged, all->findings[k].id);

			assert_non_null(f);
			assert_int_equal(f->nr_steps, all->findings[k].nr_steps);
		}
		for (unsigned int k = 0; k < all->nr_machines; k++)
			assert_true(all->machines[k].states > merged->machines[k].states);
		cbit_explore_free(all);
		cbit_explore_free(merged);
	}
}

/* --- states --- */

static const struct x_world mirrored = { .vfio = true, .mirror_devs = true };
static const struct x_world by_buffer = { .guest = true };

static void test_mirrors(void **state)
{
	struct x_state s = { .shared = { 1, 0 }, .defined = { 0, 1 }, .high = { 1, 0 } }, t, key;
	struct x_mirror how;

	(void)state;
	s.map[0][0] = (struct x_map){ X_LIVE, 1, X_PLAIN, 2, X_BOUNCED };
	s.map[1][1] = (struct x_map){ X_LIVE, X_BAR, X_DMABUF, 0, 0 };
	for (unsigned int i = 0; i < 4; i++) {
		const struct x_mirror mirror = { .pages = i & 1, .devs = i & 2 };

		t = x_mirrored(&mirrored, mirror, &s);
		key = x_canonical(&mirrored, &t, &how);
		t = x_canonical(&mirrored, &s, &how);
		assert_memory_equal(&key, &t, sizeof(t));
		assert_int_equal(x_hash(&key), x_hash(&t));
		t = x_mirrored(&mirrored, mirror, &s);
		t = x_mirrored(&mirrored, mirror, &t);
		assert_memory_equal(&t, &s, sizeof(t));
	}
	/* by VFIO a page is mapped where it was; by the DMA API a mapping goes by its buffer */
	t = x_mirrored(&mirrored, (struct x_mirror){ .pages = true }, &s);
	assert_int_equal(t.map[0][0].buf, 0);
	assert_int_equal(t.map[0][0].cached, 1);
	t = x_mirrored(&by_buffer, (struct x_mirror){ .pages = true }, &s);
	assert_int_equal(t.map[0][1].buf, 0);
	assert_int_equal(t.map[0][0].phase, X_NONE);
	/* devices that are not alike are not mirrored */
	t = x_mirrored(&by_buffer, (struct x_mirror){ .devs = true }, &s);
	key = x_canonical(&by_buffer, &t, &how);
	t = x_canonical(&by_buffer, &s, &how);
	assert_memory_not_equal(&key, &t, sizeof(t));
}

/* Each fact of a state is a fact of its hash. */
static void test_hash(void **state)
{
	const struct x_state zero = { 0 };

	(void)state;
	for (size_t i = 0; i < offsetof(struct x_state, zero); i++) {
		for (size_t k = 0; k < i; k++) {
			struct x_state a = zero, b = zero;

			((uint8_t *)&a)[i] = 1;
			((uint8_t *)&b)[k] = 1;
			assert_int_not_equal(x_hash(&a), x_hash(&b));
			assert_int_not_equal(x_hash(&a), x_hash(&zero));
		}
	}
}

static int explore_forgetting(struct cbit_explore_config *cfg, const struct x_state *forget,
			      struct cbit_error *err)
{
	struct cbit_explore_result *r;
	int ret = x_explore(cfg, true, forget, &r, err);

	if (!ret) {
		for (unsigned int i = 0; i < r->nr_machines; i++)
			assert_true(r->machines[i].verified > 0);
	}
	cbit_explore_free(r);
	return ret;
}

/* Sequences that end in one state go on alike, under policies that fail as well. */
static void test_equal_states(void **state)
{
	static const struct {
		const char *policy;
		enum cbit_explore_guest guest;
		unsigned int breaks, depth, verify;
	} runs[] = {
		{ "complete", CBIT_EXPLORE_GUEST_NONE, 0, 5, 593 },
		{ "complete", CBIT_EXPLORE_GUEST_NONE, CBIT_EXPLORE_BREAK_INVALIDATION, 5, 197 },
		{ "complete", CBIT_EXPLORE_GUEST_SEV, 0, 4, 1399 },
		{ "complete", CBIT_EXPLORE_GUEST_SNP, 0, 3, 419 },
		{ "linux-7.2", CBIT_EXPLORE_GUEST_SEV, 0, 4, 607 },
	};
	struct cbit_error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct cbit_explore_config cfg = config(runs[i].policy, runs[i].depth);

		cfg.guest = runs[i].guest;
		cfg.breaks = runs[i].breaks;
		cfg.verify = runs[i].verify;
		if (explore_forgetting(&cfg, NULL, &err))
			fail_msg("%s", err.text);
	}
}

/* A key that leaves something out merges what is not the same, and that is told. */
static void test_forgetful_keys(void **state)
{
	struct x_state forget = { 0 };
	struct cbit_explore_config cfg = config("complete", 4);
	struct cbit_error err;

	(void)state;
	/* whether the IOTLB has an entry */
	for (unsigned int d = 0; d < X_DEVS; d++) {
		for (unsigned int i = 0; i < X_MAPS; i++)
			forget.map[d][i].cached = 0xff;
	}
	cfg.verify = 1;
	cfg.guest = CBIT_EXPLORE_GUEST_NONE;
	cfg.breaks = CBIT_EXPLORE_BREAK_INVALIDATION;
	assert_int_equal(explore_forgetting(&cfg, &forget, &err), -EIO);
	assert_non_null(strstr(err.text, "are told apart by"));

	/* whether a mapping is there */
	forget = (struct x_state){ 0 };
	forget.map[0][1].phase = 0xff;
	forget.map[0][1].buf = 0xff;
	cfg.breaks = 0;
	assert_int_equal(explore_forgetting(&cfg, &forget, &err), -EIO);
	assert_non_null(strstr(err.text, "are told apart by"));
}

/* --- the interface --- */

static void test_bad(void **state)
{
	struct cbit_explore_config cfg = config("complete", 0);
	struct cbit_explore_result *r;
	struct cbit_error err;

	(void)state;
	assert_int_equal(cbit_explore_run(&cfg, &r, &err), -EINVAL);
	assert_null(r);
	cfg.depth = CBIT_EXPLORE_DEPTH + 1;
	assert_int_equal(cbit_explore_run(&cfg, &r, &err), -EINVAL);
	assert_non_null(strstr(err.text, "1 to 16"));
	cfg = config("complete", 1);
	cfg.policy = NULL;
	assert_int_equal(cbit_explore_run(&cfg, &r, NULL), -EINVAL);
	cfg = config("complete", 1);
	assert_int_equal(cbit_platform_preset("tsme", &cfg.platform), 0);
	assert_int_equal(cbit_explore_run(&cfg, &r, &err), -EINVAL);
	assert_non_null(strstr(err.text, "SME"));
}

static void count_progress(void *opaque, const struct cbit_explore_progress *p)
{
	unsigned int *calls = opaque;

	assert_true(p->done < p->todo);
	assert_true(p->level >= 1 && p->level <= p->depth);
	assert_true(p->nr < p->of);
	++*calls;
}

/* All states of the host's machines are met: behind the last level there is nothing. */
static void test_all_states(void **state)
{
	struct cbit_explore_config cfg = config("complete", CBIT_EXPLORE_DEPTH);
	struct cbit_explore_result *r;
	unsigned int calls = 0;

	(void)state;
	cfg.guest = CBIT_EXPLORE_GUEST_NONE;
	cfg.progress = count_progress;
	cfg.opaque = &calls;
	r = run(&cfg);
	for (unsigned int i = 0; i < r->nr_machines; i++) {
		assert_true(r->machines[i].complete);
		assert_true(r->machines[i].level < CBIT_EXPLORE_DEPTH);
		assert_true(r->machines[i].states > 1000);
	}
	assert_true(calls > 10);
	cbit_explore_free(r);
}

static void test_render(void **state)
{
	const struct cbit_explore_config cfg = config("linux-7.2", 2);
	struct cbit_explore_result *r = run(&cfg);
	json_t *root, *f;
	char *text;

	(void)state;
	assert_int_equal(cbit_explore_render(r, false, &text), 0);
	assert_non_null(strstr(text, "finding mmio-encrypted: 2 steps on host-vfio\n"));
	assert_non_null(strstr(text, "vfio_iommu_map(): prot | IOMMU_CACHE"));
	assert_non_null(strstr(text, "(disk.bar), C-bit set [mmio-encrypted]\n"));
	assert_non_null(strstr(text, " states a second"));
	free(text);
	assert_int_equal(cbit_explore_render(r, true, &text), 0);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_array_size(json_object_get(root, "findings")), r->nr_findings);
	f = json_array_get(json_object_get(root, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(f, "id")), r->findings[0].id);
	assert_int_equal(json_array_size(json_object_get(f, "steps")), 2);
	json_decref(root);
	free(text);
	cbit_explore_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policies),     cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_clean),        cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_breaks),       cmocka_unit_test(test_looking_around),
		cmocka_unit_test(test_needs_all),    cmocka_unit_test(test_minimal),
		cmocka_unit_test(test_mirrors),      cmocka_unit_test(test_hash),
		cmocka_unit_test(test_equal_states), cmocka_unit_test(test_forgetful_keys),
		cmocka_unit_test(test_bad),          cmocka_unit_test(test_all_states),
		cmocka_unit_test(test_render),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
