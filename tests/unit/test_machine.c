/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Machines: which devices can be plugged in, where they come to sit, and that one which
 * cannot leaves nothing behind.
 */
#include "client_rig.h"

static bool no_memory;

static void *bar_memory(void *opaque, uint16_t devid, unsigned int bar, uint64_t size)
{
	static uint8_t memory[1 << 16] __attribute__((aligned(4096)));

	(void)opaque;
	(void)devid;
	return size > sizeof(memory) || (no_memory && bar == 4) ? NULL : memory;
}

static int setup(void **state)
{
	struct cbit_machine_config config = { .policy = cbit_policy_preset("complete"),
					      .client = &client_ops,
					      .bar_memory = bar_memory };
	struct cbit_machine *machine;

	no_memory = false;
	assert_int_equal(cbit_platform_preset("sme", &config.platform), 0);
	assert_int_equal(cbit_machine_create(&config, &machine, NULL), 0);
	*state = machine;
	return 0;
}

static int teardown(void **state)
{
	cbit_machine_destroy(*state);
	return 0;
}

static void test_places(void **state)
{
	static const struct {
		const char *spec;
		int ret;
		const char *bdf;
		unsigned int group;
	} cases[] = {
		{ "ioat", 0, "0000:01:00.0", 1 },
		{ "ioat,group=3", 0, "0000:02:00.0", 3 },
		{ "addr=0000:41:02.3,ioat", 0, "0000:41:02.3", 2 },
		{ "ioat,version=0x34,group=3,addr=0000:fF:1f.7", 0, "0000:ff:1f.7", 3 },
		{ "ioat", 0, "0000:05:00.0", 4 },
		{ "ioat,addr=0000:01:00.0", -EEXIST, NULL, 0 },
		{ "ioat,addr=0000:01:20.0", -EINVAL, NULL, 0 },
		{ "ioat,addr=0000:01:00.8", -EINVAL, NULL, 0 },
		{ "ioat,addr=0001:01:00.0", -EINVAL, NULL, 0 },
		{ "ioat,addr=0000:06:00.0x", -EINVAL, NULL, 0 },
		{ "ioat,addr=", -EINVAL, NULL, 0 },
		{ "ioat,group=", -EINVAL, NULL, 0 },
		{ "ioat,group=65536", -EINVAL, NULL, 0 },
		{ "ioat,group=1x", -EINVAL, NULL, 0 },
		{ "ioat,group=-1", -EINVAL, NULL, 0 },
		{ "ioat,colour=red", -EINVAL, NULL, 0 },
		{ "ioat,membar=3K", -EINVAL, NULL, 0 },
		{ "toaster", -ENOENT, NULL, 0 },
		{ "", -ENOENT, NULL, 0 },
		{ "ioat,group=65535", 0, "0000:06:00.0", 65535 },
	};
	struct cbit_machine *machine = *state;
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_error err = { 0 };
		struct cbit_device_info dev;

		if (cbit_machine_add_device(machine, cases[i].spec, &err) != cases[i].ret)
			fail_msg("'%s': %d %s", cases[i].spec, err.code, err.text);
		assert_int_equal(cbit_machine_device(machine, n, &dev), !cases[i].ret);
		assert_int_equal(err.text[0] != 0, cases[i].ret != 0);
		if (cases[i].ret)
			continue;
		assert_string_equal(dev.bdf, cases[i].bdf);
		assert_int_equal(dev.group, cases[i].group);
		assert_int_equal(dev.index, n++);
	}
}

/* As many as there is room for, however many were refused before. */
static void test_refused_leave_nothing(void **state)
{
	struct cbit_machine *machine = *state;
	struct cbit_device_info dev;
	struct cbit_file *file;
	char spec[64];

	for (unsigned int i = 0; i < 100; i++) {
		snprintf(spec, sizeof(spec), "ioat,group=%u,membar=1", i + 100);
		assert_int_equal(cbit_machine_add_device(machine, spec, NULL), -EINVAL);
		assert_int_equal(cbit_vfio_open(machine, CBIT_FILE_GROUP, i + 100, &file), -ENODEV);
	}
	for (unsigned int i = 0; i < 32; i++)
		assert_int_equal(cbit_machine_add_device(machine, "ioat", NULL), 0);
	assert_int_equal(cbit_machine_add_device(machine, "ioat", NULL), -EINVAL);
	assert_true(cbit_machine_device(machine, 31, &dev));
	assert_int_equal(dev.group, 32);
}

/* A group that has another device already stays. */
static void test_group_stays(void **state)
{
	struct cbit_machine *machine = *state;
	struct cbit_file *file;

	assert_int_equal(cbit_machine_add_device(machine, "ioat,group=5", NULL), 0);
	assert_int_equal(cbit_machine_add_device(machine, "ioat,group=5,x=y", NULL), -EINVAL);
	assert_int_equal(cbit_vfio_open(machine, CBIT_FILE_GROUP, 5, &file), 0);
	cbit_vfio_release(file);
}

/* No memory for the last of its BARs: none of them may be in the map. */
static void test_no_memory(void **state)
{
	struct cbit_machine *machine = *state;
	struct cbit_error err;

	no_memory = true;
	assert_int_equal(cbit_machine_add_device(machine, "ioat,membar=64K", &err), -ENOMEM);
	assert_string_equal(err.text, "ioat: no memory for BAR4 (16384 bytes)");
	for (uint64_t at = 0; at < 0x100000; at += CBIT_PAGE_SIZE)
		assert_null(
			cbit_mem_find(cbit_machine_mem(machine), CBIT_SPA(CBIT_MMIO_BASE + at)));
	no_memory = false;
	assert_int_equal(cbit_machine_add_device(machine, "ioat,membar=64K", &err), 0);
	assert_non_null(cbit_mem_find(cbit_machine_mem(machine), CBIT_SPA(CBIT_MMIO_BASE)));
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_places),
		T(test_refused_leave_nothing),
		T(test_group_stays),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
