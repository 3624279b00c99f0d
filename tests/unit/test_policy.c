/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies: what each preset decides for each kind of memory, and what becomes of mappings
 * that cross from memory to a BAR, executed through vfio down to the entries in DRAM.
 */
#include "client_rig.h"

#define P     CBIT_PAGE_SIZE
#define C     CBIT_ATTR_ENCRYPTED
#define MIXED UINT64_C(0x600000000000) /* where the tests put their neighbours */

static unsigned int decide(const char *policy, const char *platform, enum cbit_mem_kind kind,
			   bool next_mmio, unsigned int attrs)
{
	struct cbit_policy_type1 call = { 0 };
	struct cbit_platform p;

	assert_int_equal(cbit_platform_preset(platform, &p), 0);
	return cbit_policy_type1_attrs(cbit_policy_preset(policy), &p, &call, kind, next_mmio,
				       attrs);
}

static void test_table(void **state)
{
	static const struct {
		const char *policy, *platform;
		bool c[4]; /* dram, cxl-ram, coherent, mmio */
	} cases[] = {
		{ "linux-6.17", "bare", { 0, 0, 0, 0 } },
		{ "linux-6.17", "tsme", { 0, 0, 0, 0 } },
		{ "linux-6.17", "sme", { 1, 1, 1, 1 } },
		{ "linux-7.2", "bare", { 0, 0, 0, 0 } },
		{ "linux-7.2", "tsme", { 0, 0, 0, 0 } },
		{ "linux-7.2", "sme", { 1, 1, 1, 1 } },
		{ "complete", "bare", { 0, 0, 0, 0 } },
		{ "complete", "tsme", { 0, 0, 0, 0 } },
		{ "complete", "sme", { 1, 1, 1, 0 } },
		{ "posted-mmio", "bare", { 0, 0, 0, 0 } },
		{ "posted-mmio", "tsme", { 0, 0, 0, 0 } },
		{ "posted-mmio", "sme", { 1, 1, 1, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned int kind = 0; kind < 4; kind++) {
			for (unsigned int rw = 0; rw <= CBIT_ATTR_RW; rw++)
				assert_int_equal(decide(cases[i].policy, cases[i].platform,
							(enum cbit_mem_kind)kind, false,
							rw | 0x80000000),
						 rw | CBIT_ATTR_CACHE | (cases[i].c[kind] ? C : 0));
		}
	}
	/* what follows matters to one of them only */
	assert_int_equal(decide("complete", "sme", CBIT_MEM_DRAM, true, 0) & C, C);
	assert_int_equal(decide("linux-7.2", "sme", CBIT_MEM_DRAM, true, 0) & C, C);
	assert_int_equal(decide("posted-mmio", "sme", CBIT_MEM_DRAM, true, 0) & C, 0);
}

static void test_names(void **state)
{
	const struct cbit_policy *policy;
	unsigned int n = 0;

	(void)state;
	for (; (policy = cbit_policy_at(n)); n++) {
		assert_ptr_equal(cbit_policy_preset(cbit_policy_name(policy)), policy);
		assert_true(strlen(cbit_policy_about(policy)) > 10);
	}
	assert_int_equal(n, 4);
	assert_null(cbit_policy_at(UINT32_MAX));
	assert_null(cbit_policy_preset("linux-7"));
	assert_null(cbit_policy_preset("linux-7.20"));
	assert_null(cbit_policy_preset(""));
}

/* What lies at MIXED: 'r' a page of RAM that goes on, 'R' one that does not, 'b' one of a BAR. */
static void lay_out(struct client *c, const char *pages)
{
	struct cbit_device_info dev;
	uint64_t ram = BLANK_SPA + UINT64_C(0x40000000), bar;

	assert_true(cbit_machine_device(c->machine, 0, &dev));
	bar = cbit_pci_bar(dev.pci, 2)->spa.v;
	c->ranges = 4;
	for (uint64_t i = 0; pages[i]; i++) {
		if (pages[i] == 'R')
			ram += 16 * P;
		client_add(c, MIXED + i * P, P, pages[i] == 'b' ? bar + i * P : ram + i * P,
			   pages[i] == 'b' ? CBIT_MEM_MMIO : CBIT_MEM_DRAM, NULL);
	}
}

static const struct trap {
	const char *policy, *pages;
	const char *c; /* the C-bit of each page: 'C' set */
	unsigned int events;
} traps[] = {
	{ "complete", "rb", "C.", 0 },
	{ "complete", "br", ".C", 0 },
	{ "complete", "rbr", "C.C", 0 },
	{ "complete", "brb", ".C.", 0 },
	{ "complete", "rRbb", "CC..", 0 },
	{ "linux-7.2", "rb", "CC", 1 },
	{ "linux-7.2", "br", "CC", 1 },
	{ "linux-7.2", "rr", "CC", 0 },
	{ "linux-6.17", "rb", "CC", 1 },
	{ "linux-6.17", "b", "C", 1 },
	/* the refill meets the BAR before the memory in front of it is mapped */
	{ "posted-mmio", "rb", "..", 0 },
	{ "posted-mmio", "br", "..", 0 },
	{ "posted-mmio", "rR", "CC", 0 },
	{ "posted-mmio", "rRb", "C..", 0 },
	{ "posted-mmio", "rbrR", "....", 0 },
};

static void run_trap(const struct trap *t, const char *platform)
{
	struct client *c = client_up(platform, t->policy, NULL);
	bool sme = !strcmp(platform, "sme");
	uint64_t size = strlen(t->pages) * P;
	struct cbit_pt *pt;
	struct opened o;

	client_plug(c, "ioat,membar=1M");
	lay_out(c, t->pages);
	o = client_start(c, UAPI_TYPE1v2_IOMMU);
	assert_int_equal(client_map(c, o.container, 0x100000, MIXED, size, MAP_RW), 0);
	assert_int_equal(c->events[CBIT_EVENT_MMIO_ENCRYPTED], sme ? t->events : 0);
	pt = cbit_domain_pt(cbit_vfio_domain(c->fd[o.container].file));
	for (unsigned int i = 0; t->pages[i]; i++) {
		const uint64_t c_bit =
			sme ? cbit_mem_bus(cbit_machine_mem(c->machine), CBIT_SPA(0), true).v : 0;
		struct cbit_pt_leaf leaf;

		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0x100000 + i * P), &leaf), 0);
		if (((leaf.attrs & C) != 0) != (sme && t->c[i] == 'C'))
			fail_msg("%s on %s: page %u of %s: entry %016lx", t->policy, platform, i,
				 t->pages, (unsigned long)leaf.entry);
		/* the entry itself: C-bit, FC, IR, IW, present */
		assert_int_equal(leaf.entry & c_bit, t->c[i] == 'C' ? c_bit : 0);
		assert_int_equal(leaf.entry >> 60, 7);
		assert_int_equal(leaf.entry & 1, 1);
		assert_int_equal(leaf.spa.v, c->range[4 + i].spa);
	}
	if (sme && t->events) {
		assert_int_equal(c->last.mapping.id, 1);
		assert_int_equal(c->last.mapping.iova.v, 0x100000);
		assert_int_equal(c->last.mapping.size, size);
		assert_int_equal(c->last.kind, CBIT_MEM_MMIO);
	}
	/* one for each call, not for each machine */
	assert_int_equal(client_map(c, o.container, 0x900000, MIXED, size, MAP_RW), 0);
	assert_int_equal(c->events[CBIT_EVENT_MMIO_ENCRYPTED], sme ? 2 * t->events : 0);
	client_down(c);
}

static void test_run_boundary(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
		run_trap(&traps[i], "sme");
		run_trap(&traps[i], "tsme");
		run_trap(&traps[i], "bare");
	}
}

/* State of one call must not reach the next. */
static void test_calls_apart(void **state)
{
	struct client *c = client_up("sme", "posted-mmio", NULL);
	struct cbit_pt_leaf leaf;
	struct opened o;

	(void)state;
	client_plug(c, "ioat,membar=1M");
	lay_out(c, "rb");
	o = client_start(c, UAPI_TYPE1v2_IOMMU);
	assert_int_equal(client_map(c, o.container, 0, MIXED, 2 * P, MAP_RW), 0);
	assert_int_equal(client_map(c, o.container, 4 * P, MIXED, P, MAP_RW), 0);
	assert_int_equal(cbit_pt_walk(cbit_domain_pt(cbit_vfio_domain(c->fd[o.container].file)),
				      CBIT_IOVA(4 * P), &leaf),
			 0);
	assert_int_equal(leaf.attrs & C, C);
	client_down(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_run_boundary),
		cmocka_unit_test(test_calls_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
