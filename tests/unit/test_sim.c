/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The operations of a simulated machine as its users call them: what cannot be asked for, what is
 * refused, and what a result holds. What operations come to is told by scenarios/.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/sim.h>

static struct cbit_sim_config config(const char *platform)
{
	struct cbit_sim_config cfg = {
		.policy = cbit_policy_preset("linux-7.2"),
		.regions = { { "ram", CBIT_MEM_DRAM, .size = 1 << 20 } },
		.nr_regions = 1,
		.devices = { { "a", .bar = 1 << 12 }, { "b" } },
		.nr_devices = 2,
		.swiotlb = 1 << 18,
	};

	assert_int_equal(cbit_platform_preset(platform, &cfg.platform), 0);
	return cfg;
}

static struct cbit_sim *machine(const struct cbit_sim_config *cfg)
{
	struct cbit_error err = { 0 };
	struct cbit_sim *sim = NULL;

	if (cbit_sim_create(cfg, &sim, &err))
		fail_msg("%s", err.text);
	return sim;
}

static void done(struct cbit_sim *sim, const struct cbit_sim_op *op, struct cbit_sim_result *res)
{
	int ret = cbit_sim_do(sim, op, res);

	if (ret)
		fail_msg("%s: %d %s", cbit_sim_op_name(op->kind), ret, res->err.text);
}

static void test_bad(void **state)
{
	static const struct {
		struct cbit_sim_op op;
		const char *words;
	} cases[] = {
		{ { .kind = CBIT_SIM_NR_OPS }, "is not known" },
		{ { .kind = CBIT_SIM_ALLOC, .buf = CBIT_SIM_BUFS, .pages = 1 }, "too many" },
		{ { .kind = CBIT_SIM_ALLOC, .buf = 0, .pages = 1 }, "is in use" },
		{ { .kind = CBIT_SIM_ALLOC, .buf = 1 }, "0 pages" },
		{ { .kind = CBIT_SIM_ALLOC, .buf = 1, .pages = 5000 }, "5000 pages" },
		{ { .kind = CBIT_SIM_ALLOC, .buf = 1, .pages = 1, .region = 9 }, "no region 9" },
		{ { .kind = CBIT_SIM_ALLOC, .buf = 1, .pages = 1, .guest = true }, "no guest" },
		{ { .kind = CBIT_SIM_WRITE, .buf = 1, .len = 1 }, "no buffer 1" },
		{ { .kind = CBIT_SIM_WRITE, .buf = 0, .len = 0 }, "not within" },
		{ { .kind = CBIT_SIM_WRITE, .buf = 0, .offset = 4095, .len = 2 }, "not within" },
		{ { .kind = CBIT_SIM_WRITE, .buf = 0, .offset = UINT64_MAX, .len = 2 },
		  "not within" },
		{ { .kind = CBIT_SIM_READ, .buf = 0, .len = 1, .who = CBIT_SIM_GUEST_CPU },
		  "not the guest's memory" },
		{ { .kind = CBIT_SIM_MAP, .buf = 0, .map = CBIT_SIM_MAPS }, "too many" },
		{ { .kind = CBIT_SIM_MAP, .buf = 0, .dev = 2 }, "no device 2" },
		{ { .kind = CBIT_SIM_MAP, .buf = 0, .iova = { 5 } }, "multiple of 0x1000" },
		{ { .kind = CBIT_SIM_MAP, .buf = 0, .mapper = CBIT_SIM_NR_MAPPERS }, "mapper 3" },
		{ { .kind = CBIT_SIM_UNMAP, .map = 3 }, "no mapping 3" },
		{ { .kind = CBIT_SIM_DMA_READ, .map = 3, .len = 1 }, "no mapping 3" },
		{ { .kind = CBIT_SIM_SYNC_CPU, .map = 3 }, "no mapping 3" },
		{ { .kind = CBIT_SIM_SHARE, .buf = 0 }, "only a guest's memory" },
		{ { .kind = CBIT_SIM_MSI, .vector = 0x30 }, "no CPUs" },
		{ { .kind = CBIT_SIM_RAW, .buf = 2, .len = 16 }, "no memory behind" },
	};
	const struct cbit_sim_config cfg = config("sme");
	struct cbit_sim *sim = machine(&cfg);
	struct cbit_sim_result res;

	(void)state;
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .buf = 0, .pages = 1 }, &res);
	done(sim,
	     &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .buf = 2, .pages = 1, .region = 1 },
	     &res);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cbit_sim_do(sim, &cases[i].op, &res), -EINVAL);
		if (!strstr(res.err.text, cases[i].words))
			fail_msg("case %zu: '%s' lacks '%s'", i, res.err.text, cases[i].words);
	}
	cbit_sim_destroy(sim);
}

/* What a kernel refuses is an outcome, and changes nothing. */
static void test_refused(void **state)
{
	const struct cbit_sim_op map = { .kind = CBIT_SIM_MAP, .iova = { 0x10000 } };
	struct cbit_sim_op again = map;
	const struct cbit_sim_config cfg = config("sme");
	struct cbit_sim *sim = machine(&cfg);
	struct cbit_sim_result res;

	(void)state;
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .pages = 1 }, &res);
	done(sim, &map, &res);
	assert_int_equal(res.outcome, CBIT_SIM_OK);
	again.map = 1;
	done(sim, &again, &res);
	assert_int_equal(res.outcome, CBIT_SIM_REFUSED);
	assert_int_equal(res.error, -EEXIST);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_FREE }, &res);
	assert_int_equal(res.error, -EBUSY);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_UNMAP }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_OK);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_UNMAP }, &res);
	assert_int_equal(res.error, -ENOENT);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .buf = 1, .pages = 4096 }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_REFUSED);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_FREE }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_OK);
	cbit_sim_destroy(sim);
}

/* type1 and iommufd give out no IOVA that the IOMMU's driver reserves; nor one that wraps. */
static void test_reserved(void **state)
{
	static const struct {
		uint64_t iova;
		int error;
	} cases[] = {
		{ 0xfedff000, -EINVAL },   { 0xfee00000, -EINVAL },
		{ 0xfeeff000, -EINVAL },   { 0xfef00000, 0 },
		{ 0xfedfe000, 0 },         { 0xfcfffff000, -EINVAL },
		{ 0xfffffff000, -EINVAL }, { 0x10000000000, 0 },
		{ 0xfcffffe000, 0 },       { 0xfffffffffffff000, -EOVERFLOW },
		{ 0xffffffffffffe000, 0 },
	};
	const struct cbit_sim_config cfg = config("sme");
	struct cbit_sim *sim = machine(&cfg);
	struct cbit_sim_result res;

	(void)state;
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .pages = 2 }, &res);
	for (unsigned int mapper = CBIT_SIM_TYPE1; mapper <= CBIT_SIM_IOMMUFD; mapper++) {
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			done(sim,
			     &(struct cbit_sim_op){ .kind = CBIT_SIM_MAP,
						    .mapper = mapper,
						    .iova = { cases[i].iova } },
			     &res);
			assert_int_equal(res.outcome,
					 cases[i].error ? CBIT_SIM_REFUSED : CBIT_SIM_OK);
			assert_int_equal(res.error, cases[i].error);
			if (!cases[i].error)
				done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_UNMAP }, &res);
		}
	}
	cbit_sim_destroy(sim);
}

/* A result: the entries on the way in order, each where the one before points to. */
static void test_stages(void **state)
{
	const struct cbit_sim_config cfg = config("sme");
	struct cbit_sim *sim = machine(&cfg);
	const uint64_t c = cbit_platform_c_mask(&cfg.platform);
	const uint64_t address = UINT64_C(0x000ffffffffff000);
	struct cbit_sim_result res;

	(void)state;
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .pages = 1 }, &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_MAP }, &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_DMA_WRITE, .len = 64, .seed = 7 }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_PLAINTEXT);
	assert_int_equal(res.nr_stages, 4);
	assert_int_equal(res.stages[0].table, CBIT_SIM_DEVTAB);
	for (unsigned int i = 1; i < res.nr_stages; i++) {
		assert_int_equal(res.stages[i].table, CBIT_SIM_IOPT);
		assert_int_equal(res.stages[i].level, 4 - i);
		assert_int_equal(res.stages[i].at & ~UINT64_C(0xfff),
				 res.stages[i - 1].entry & address & ~c);
		assert_int_equal(res.stages[i].at_key, CBIT_KEY_HOST);
		assert_int_equal(res.stages[i].leaf, i == 3);
	}
	assert_int_equal(res.stages[3].entry & address & ~c, res.spa.v);
	assert_int_equal(res.key, CBIT_KEY_HOST);
	assert_true(res.dram_valid && memcmp(res.dram, res.wanted, 64) != 0);
	assert_int_equal(memcmp(res.seen, res.wanted, 64), 0);
	cbit_sim_destroy(sim);
}

static void test_config(void **state)
{
	struct cbit_sim_config cfg;
	struct cbit_sim *sim;
	struct cbit_error err;

	(void)state;
	cfg = config("sme");
	cfg.devices[1].devid = 0x100;
	assert_int_equal(cbit_sim_create(&cfg, &sim, &err), -EEXIST);
	assert_non_null(strstr(err.text, "device b"));
	cfg = config("sme");
	cfg.devices[0].bar = 3 << 12;
	assert_int_equal(cbit_sim_create(&cfg, &sim, &err), -EINVAL);
	assert_non_null(strstr(err.text, "power of two"));
	cfg = config("sme");
	cfg.devices[0].guest = true;
	assert_int_equal(cbit_sim_create(&cfg, &sim, &err), -EINVAL);
	assert_non_null(strstr(err.text, "there is no guest"));
	cfg = config("sme");
	cfg.regions[0].size = 5;
	assert_int_equal(cbit_sim_create(&cfg, &sim, &err), -EINVAL);
	cfg = config("sme");
	cfg.guest.nr_ids = 17;
	assert_int_equal(cbit_sim_create(&cfg, &sim, &err), -EINVAL);
	cfg.guest.nr_ids = 0;
	cfg.guest.cpus = CBIT_SIM_CPUS + 1;
	assert_int_equal(cbit_sim_create(&cfg, &sim, &err), -EINVAL);
	cfg = config("sme");
	cfg.policy = NULL;
	assert_int_equal(cbit_sim_create(&cfg, &sim, &err), -EINVAL);
}

/* Two machines that are treated alike are alike to the bit. */
static void test_same(void **state)
{
	static const struct cbit_sim_op ops[] = {
		{ .kind = CBIT_SIM_ALLOC, .pages = 2, .guest = true },
		{ .kind = CBIT_SIM_WRITE, .len = 64, .seed = 9, .who = CBIT_SIM_GUEST_CPU },
		{ .kind = CBIT_SIM_MAP, .dev = 1, .mapper = CBIT_SIM_DMA },
		{ .kind = CBIT_SIM_DMA_WRITE, .dev = 1, .len = 64, .seed = 3 },
		{ .kind = CBIT_SIM_UNMAP },
	};
	struct cbit_sim_config cfg = config("sme");
	struct cbit_sim_result a, b;
	struct cbit_sim *x, *y;

	(void)state;
	cfg.regions[0].guest = cfg.regions[0].size;
	cfg.guest.present = true;
	cfg.guest.kind = CBIT_GUEST_SEV;
	cfg.guest.npt_c = true;
	cfg.devices[1].guest = cfg.devices[1].direct = true;
	x = machine(&cfg);
	y = machine(&cfg);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		done(x, &ops[i], &a);
		done(y, &ops[i], &b);
		assert_true(a.outcome <= CBIT_SIM_PLAINTEXT);
		assert_int_equal(a.outcome, b.outcome);
		assert_int_equal(a.spa.v, b.spa.v);
		assert_int_equal(a.nr_stages, b.nr_stages);
		for (unsigned int j = 0; j < a.nr_stages; j++) {
			assert_int_equal(a.stages[j].at, b.stages[j].at);
			assert_int_equal(a.stages[j].entry, b.stages[j].entry);
		}
		assert_memory_equal(a.dram, b.dram, sizeof(a.dram));
	}
	assert_int_equal(a.seen[0], 3);
	cbit_sim_destroy(x);
	cbit_sim_destroy(y);
}

/* What DRAM held before a write, at the end of a buffer and in a bounce buffer too. */
static void test_before(void **state)
{
	struct cbit_sim_config cfg = config("sme");
	struct cbit_sim_op write = { .kind = CBIT_SIM_DMA_WRITE, .dev = 1, .len = 24, .seed = 3 };
	struct cbit_sim_result res;
	struct cbit_sim *sim;
	uint8_t dram[24];

	(void)state;
	cfg.regions[0].guest = cfg.regions[0].size;
	cfg.guest.present = true;
	cfg.guest.kind = CBIT_GUEST_SEV;
	cfg.guest.npt_c = true;
	cfg.devices[1].guest = cfg.devices[1].direct = true;
	sim = machine(&cfg);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .pages = 1, .guest = true }, &res);
	for (unsigned int way = 0; way < 2; way++) {
		write.offset = 4096 - 24;
		if (way)
			done(sim,
			     &(struct cbit_sim_op){ .kind = CBIT_SIM_MAP,
						    .dev = 1,
						    .mapper = CBIT_SIM_DMA,
						    .dir = CBIT_DMA_BIDIRECTIONAL },
			     &res);
		else
			write.kind = CBIT_SIM_WRITE;
		write.who = CBIT_SIM_GUEST_CPU;
		done(sim, &write, &res);
		assert_int_equal(res.outcome, CBIT_SIM_PLAINTEXT);
		assert_true(res.before_valid);
		memcpy(dram, res.dram, sizeof(dram));
		assert_true(memcmp(dram, res.before, sizeof(dram)) != 0);
		write.seed++;
		done(sim, &write, &res);
		assert_true(res.before_valid);
		assert_memory_equal(res.before, dram, sizeof(dram));
		write.kind = CBIT_SIM_DMA_WRITE;
		write.seed++;
	}
	cbit_sim_destroy(sim);
}

/*
 * A device that goes on with an old mapping meets pages that were given back; another buffer in
 * the same place, and a smaller one, is not taken for the one that was there.
 */
static void test_given_back(void **state)
{
	const struct cbit_sim_config cfg = config("sme");
	struct cbit_sim *sim = machine(&cfg);
	struct cbit_sim_result res;

	(void)state;
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .pages = 4 }, &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_MAP, .dev = 1 }, &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_DMA_READ, .dev = 1, .len = 0x4000 },
	     &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_UNMAP_NO_FLUSH }, &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_FREE }, &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_ALLOC, .pages = 1 }, &res);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_WRITE, .len = 64, .seed = 9 }, &res);
	done(sim,
	     &(struct cbit_sim_op){
		     .kind = CBIT_SIM_DMA_READ, .dev = 1, .offset = 0x3000, .len = 0x1000 },
	     &res);
	assert_int_equal(res.outcome, CBIT_SIM_STALE);
	assert_string_equal(res.findings[0], "stale-iotlb");
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_DMA_WRITE, .dev = 1, .len = 0x4000 },
	     &res);
	assert_int_equal(res.outcome, CBIT_SIM_STALE);
	/* it was not the new owner who let the device write there */
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_CHECK, .len = 64 }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_STALE);
	assert_int_equal(res.wanted[0], 9);
	assert_int_equal(res.seen[0], 0);
	cbit_sim_destroy(sim);
}

/* Coherent memory that another device has mapped as well is not given back. */
static void test_coherent_in_use(void **state)
{
	const struct cbit_sim_config cfg = config("sme");
	struct cbit_sim *sim = machine(&cfg);
	struct cbit_sim_result res;

	(void)state;
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_COHERENT, .pages = 2 }, &res);
	done(sim,
	     &(struct cbit_sim_op){
		     .kind = CBIT_SIM_MAP, .map = 1, .dev = 1, .mapper = CBIT_SIM_DMA },
	     &res);
	assert_int_equal(res.outcome, CBIT_SIM_OK);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_UNMAP }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_REFUSED);
	assert_int_equal(res.error, -EBUSY);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_SYNC_CPU, .map = 1 }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_PLAINTEXT);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_UNMAP, .map = 1 }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_PLAINTEXT);
	done(sim, &(struct cbit_sim_op){ .kind = CBIT_SIM_UNMAP }, &res);
	assert_int_equal(res.outcome, CBIT_SIM_OK);
	cbit_sim_destroy(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_before),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_coherent_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
