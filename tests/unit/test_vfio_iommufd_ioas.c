/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address spaces of an iommufd: nothing is pinned without a page table, copies share pages, and
 * where addresses are chosen (Linux 7.2: drivers/iommu/iommufd/ioas.c, io_pagetable.c, pages.c).
 */
#include "iommufd_rig.h"

/* Without a page table anything may be named, and is looked at when one comes. */
static void test_lazy(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 2 * P), 0);
	assert_int_equal(rig_map(r, 1, 0x20000, NOWHERE, P), 0);
	assert_int_equal(rig_map(r, 1, 0x30001, RAM + 5, 7), 0);
	assert_int_equal(r->c->pinned, 0);
	assert_int_equal(rig_bind(r, 0), 2);
	/* odd ones first */
	assert_int_equal(rig_attach(r, 0, 1), -EADDRINUSE);
	assert_int_equal(rig_unmap(r, 1, 0x30001, 7), 0);
	assert_int_equal(rig_attach(r, 0, 1), -EFAULT);
	assert_int_equal(r->c->pinned, 0);
	assert_false(rig_reaches(r, 0, 0x10000));
	assert_int_equal(rig_unmap(r, 1, 0x20000, P), 0);
	assert_int_equal(rig_attach(r, 0, 1), 3);
	assert_int_equal(r->c->pinned, 2);
	assert_true(rig_reaches(r, 0, 0x11000));
	assert_int_equal(rig_map(r, 1, 0x30001, RAM + 5, 7), -EINVAL);
	/* and it goes back */
	assert_int_equal(rig_detach(r, 0), 0);
	assert_int_equal(r->c->pinned, 0);
	assert_false(rig_reaches(r, 0, 0x11000));
	assert_int_equal(rig_map(r, 1, 0x30001, RAM + 5, 7), 0);
	/* what a device keeps out must not be in use */
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	assert_int_equal(rig_map(r, 1, 0xfee00000, RAM, P), 0);
	assert_int_equal(rig_attach(r, 0, 1), -EADDRINUSE);
}

static void test_copy(void **state)
{
	struct rig *r = *state;
	uint32_t other = (uint32_t)rig_ioas_alloc(r);
	static const struct {
		uint32_t src, dst, flags;
		uint64_t from, to, len;
		long ret;
	} cases[] = {
		{ 1, 2, 8, 0x10000, 0x90000, P, -EOPNOTSUPP },
		{ 1, 2, 7, UINT64_MAX, 0x90000, P, -EOVERFLOW },
		{ 1, 2, 7, 0x10000, UINT64_MAX, P, -EOVERFLOW },
		{ 1, 2, 7, 0x10000, 0x90000, UINT64_MAX, -EOVERFLOW },
		{ 9, 9, 1, 0x10000, 0x90000, P, -EINVAL },
		{ 9, 2, 7, 0x10000, 0x90000, 0, -ENOENT },
		{ 1, 9, 7, 0x10000, 0x90000, 0, -EINVAL },
		{ 1, 9, 7, UINT64_C(0xfffffffffffff000), 0, 2 * P, -EOVERFLOW },
		{ 1, 9, 7, 0x10000, 0x90000, P, -ENOENT },
		{ 1, 9, 7, 0xf000, 0x90000, P, -ENOENT },
		{ 1, 2, 7, 0xf000, 0x90000, 2 * P, -ENOENT },  /* begins in a gap */
		{ 1, 2, 7, 0x15000, 0x90000, 2 * P, -ENOENT }, /* ends in one */
		{ 1, 2, 7, 0x18000, 0x90000, P, -EPERM },      /* was mapped for reading */
		{ 1, 2, 5, 0x18000, 0x90000, P, 0 },
		{ 1, 2, 7, 0x11000, 0x90000, 4 * P, -EEXIST },
		{ 1, 2, 7, 0x11000, 0xa0000, 4 * P, 0 }, /* across two */
		{ 1, 1, 5, 0x10000, 0xb0000, P, 0 },     /* within one */
		{ 1, 2, 6, 0x10000, 7, P, 0 },           /* anywhere */
	};

	assert_int_equal(other, 2);
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 4 * P), 0);
	assert_int_equal(rig_map(r, 1, 0x14000, RAM + 0x10000, 2 * P), 0);
	assert_int_equal(rig_map_flags(r, 1, 0x18000, RAM, P, 5), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long ret = rig_copy(r, cases[i].src, cases[i].from, cases[i].dst, cases[i].to,
				    cases[i].len, cases[i].flags);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
	}
}

/* Pages are pinned once, however many have them, and stay until the last has gone. */
static void test_shared(void **state)
{
	struct rig *r = *state;
	uint32_t other = (uint32_t)rig_ioas_alloc(r);

	assert_int_equal(rig_bind(r, 0), 3);
	assert_int_equal(rig_bind(r, 1), 4);
	assert_int_equal(rig_attach(r, 0, 1), 5);
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 8 * P), 0);
	assert_int_equal(r->c->pinned, 8);
	/* a copy that nobody uses pins nothing; one that is used pins nothing new */
	assert_int_equal(rig_copy(r, 1, 0x12000, other, 0x80000, 4 * P, 7), 0);
	assert_int_equal(r->c->pinned, 8);
	assert_int_equal(rig_attach(r, 1, other), 6);
	assert_int_equal(r->c->pinned, 8);
	assert_int_equal(r->c->locked, 8);
	r->c->ram[2 * P] = 0x5a;
	assert_true(rig_reaches(r, 0, 0x12000));
	assert_true(rig_reaches(r, 1, 0x80000));
	assert_false(rig_reaches(r, 0, 0x80000));
	/* the copy keeps its part */
	assert_int_equal(rig_unmap(r, 1, 0x10000, 8 * P), 0);
	assert_int_equal(r->c->pinned, 4);
	assert_int_equal(r->c->locked, 4);
	assert_false(rig_reaches(r, 0, 0x12000));
	assert_true(rig_reaches(r, 1, 0x83000));
	/* also where the client has nothing any more: pages that are pinned are there */
	r->c->ranges -= 3;
	assert_int_equal(rig_copy(r, other, 0x81000, 1, 0x40000, 2 * P, 7), 0);
	assert_int_equal(rig_copy(r, other, 0x80000, 1, 0x50000, 4 * P, 7), 0);
	r->c->ranges += 3;
	assert_true(rig_reaches(r, 0, 0x41000));
	assert_int_equal(r->c->pinned, 4);
	assert_int_equal(rig_unmap(r, other, 0, UINT64_MAX), 0);
	assert_int_equal(r->c->pinned, 4);
	assert_int_equal(rig_unmap(r, 1, 0x50000, 4 * P), 0);
	assert_int_equal(r->c->pinned, 2);
	assert_int_equal(rig_unmap(r, 1, 0x40000, 2 * P), 0);
	assert_int_equal(r->c->pinned, 0);
	assert_int_equal(r->c->locked, 0);
}

/* A mapping that cannot be had whole leaves nothing: neither entries, pins nor accounts. */
static void test_unwind(void **state)
{
	struct rig *r = *state;
	uint32_t other = (uint32_t)rig_ioas_alloc(r);

	assert_int_equal(rig_bind(r, 0), 3);
	assert_int_equal(rig_attach(r, 0, 1), 4);
	/* half of it is no memory */
	assert_int_equal(rig_map(r, 1, 0x10000, RAM + RAM_SIZE - 2 * P, 4 * P), -EFAULT);
	assert_int_equal(r->c->pinned, 0);
	/* the account */
	r->c->lock_limit = 5;
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 4 * P), 0);
	assert_int_equal(rig_map(r, 1, 0x20000, RAM, 2 * P), -ENOMEM);
	assert_int_equal(r->c->pinned, 4);
	assert_int_equal(r->c->locked, 4);
	assert_false(rig_reaches(r, 0, 0x20000));
	/* of two slices the second is more than that */
	assert_int_equal(rig_map(r, other, 0x10000, RAM, P), 0);
	assert_int_equal(rig_map(r, other, 0x11000, RAM + P, P), 0);
	assert_int_equal(rig_copy(r, other, 0x10000, 1, 0x20000, 2 * P, 7), -ENOMEM);
	assert_int_equal(r->c->locked, 4);
	assert_int_equal(rig_map(r, 1, 0x20000, RAM, P), 0);
	/* what there is already counts once */
	assert_int_equal(rig_copy(r, 1, 0x10000, 1, 0x30000, 4 * P, 7), 0);
	assert_int_equal(r->c->locked, 5);
	/* an attach that runs into it */
	assert_int_equal(rig_bind(r, 1), 5);
	assert_int_equal(rig_attach(r, 1, other), -ENOMEM);
	assert_int_equal(r->c->pinned, 5);
	assert_false(rig_reaches(r, 1, 0x10000));
	assert_int_equal(rig_destroy(r, other), 0);
}

static long allow(struct rig *r, uint32_t nr, uint64_t at)
{
	struct uapi_ioas_allow_iovas cmd = {
		.size = sizeof(cmd), .ioas_id = 1, .num_iovas = nr, .allowed_iovas = at
	};

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_ALLOW_IOVAS, &cmd, sizeof(cmd));
}

static void test_allow(void **state)
{
	struct rig *r = *state;
	static const struct {
		struct uapi_iova_range range[3];
		uint32_t nr;
		long ret;
	} cases[] = {
		{ { { 5, 5 } }, 1, -EINVAL },
		{ { { 6, 5 } }, 1, -EINVAL },
		{ { { 0, 10 }, { 10, 20 } }, 2, -EINVAL },
		{ { { 10, 20 }, { 0, 100 } }, 2, -EINVAL },
		{ { { 0, 0xffff }, { 0x40000, 0x5ffff }, { 0x10000, 0x10fff } }, 3, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(r->c->args, cases[i].range, sizeof(cases[i].range));
		assert_int_equal(allow(r, cases[i].nr, ARGS), cases[i].ret);
	}
	assert_int_equal(allow(r, 1, NOWHERE), -EFAULT);
	memcpy(r->c->ram + RAM_SIZE - 16, &(struct uapi_iova_range){ 7, 8 }, 16);
	assert_int_equal(allow(r, 0x1000000, RAM + RAM_SIZE - 16), -EFAULT);
	/* chosen from the lowest on; those side by side are one */
	assert_int_equal(rig_map_anywhere(r, 1, RAM + P, 15 * P), P);
	assert_int_equal(rig_map_anywhere(r, 1, RAM + P, 2 * P), 0x40000);
	assert_int_equal(rig_map_anywhere(r, 1, RAM + P, P), 0x10000);
	assert_int_equal(rig_map_anywhere(r, 1, RAM, 0x20000), -ENOSPC);
	/* an address that is given may be anywhere */
	assert_int_equal(rig_map(r, 1, 0x20000, RAM, P), 0);
	/* neither may keep the other out */
	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_attach(r, 0, 1), 3);
	memcpy(r->c->args, &(struct uapi_iova_range){ 0xfeeff000, 0xffffffff }, 16);
	assert_int_equal(allow(r, 1, ARGS), -EADDRINUSE);
	assert_int_equal(rig_map_anywhere(r, 1, RAM, P), 0x42000);
	assert_int_equal(rig_detach(r, 0), 0);
	memcpy(r->c->args, &(struct uapi_iova_range){ 0xfeeff000, 0xffffffff }, 16);
	assert_int_equal(allow(r, 1, ARGS), 0);
	assert_int_equal(rig_attach(r, 0, 1), -EADDRINUSE);
	assert_int_equal(allow(r, 0, NOWHERE), 0);
	assert_int_equal(rig_attach(r, 0, 1), 3);
}

/* The alignment of the memory is kept, and so is the place in its page. */
static void test_choose(void **state)
{
	struct rig *r = *state;

	assert_int_equal(rig_map_anywhere(r, 1, RAM, 3 * P), 0x4000);
	assert_int_equal(rig_map_anywhere(r, 1, RAM + P, 3 * P), 0x1000);
	assert_int_equal(rig_map_anywhere(r, 1, RAM, 0x200000), 0x200000);
	assert_int_equal(rig_map_anywhere(r, 1, BLANK, UINT64_C(0x40000000)), 0x400000);
	assert_int_equal(rig_map_anywhere(r, 1, RAM + 5, 6), 0x7005);
	assert_int_equal(rig_map_anywhere(r, 1, RAM, 0), -EINVAL);
	assert_int_equal(rig_map_anywhere(r, 1, 4 * P, UINT64_MAX / 2), -EOVERFLOW);
	/* device 0 keeps the interrupts' place out */
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_attach(r, 0, 1), 3);
	assert_int_equal(rig_map_anywhere(r, 1, BLANK, UINT64_C(0xfea00000)), 0x200000);
	assert_int_equal(rig_map_anywhere(r, 1, RAM, 0x200000), 0xfec00000);
	assert_int_equal(rig_map_anywhere(r, 1, RAM, 0x200000), 0xff000000);
}

static void test_options(void **state)
{
	struct rig *r = *state;
	uint64_t v = 7;

	assert_int_equal(rig_option(r, 2, 0, 0, &v), -EOPNOTSUPP);
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_GET, 0, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_GET, 1, &v),
			 -EOPNOTSUPP);
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, 2, 0, &v), -EOPNOTSUPP);
	v = 9;
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_SET, 0, &v), -EBUSY);
	assert_int_equal(rig_destroy(r, 1), 0);
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_SET, 0, &v), -EINVAL);
	v = 1;
	r->c->powerless = true;
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_SET, 0, &v), -EPERM);
	r->c->powerless = false;
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_SET, 0, &v), 0);
	v = 7;
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_GET, 0, &v), 0);
	assert_int_equal(v, 1);

	assert_int_equal(rig_ioas_alloc(r), 1);
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_GET, 2, &v), -ENOENT);
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, 2, 1, &v), -EOPNOTSUPP);
	v = 2;
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_SET, 1, &v), -EINVAL);
	/* small pages want page alignment, and a page table without anything in it */
	assert_int_equal(rig_map(r, 1, 1, RAM, 1), 0);
	v = 0;
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_SET, 1, &v),
			 -EADDRINUSE);
	assert_int_equal(rig_unmap(r, 1, 1, 1), 0);
	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_attach(r, 0, 1), 3);
	assert_int_equal(rig_map(r, 1, 0x400000, RAM, RAM_SIZE), 0);
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_SET, 1, &v), -EINVAL);
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_SET, 1, &v), 0);
	v = 7;
	assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_GET, 1, &v), 0);
	assert_int_equal(v, 0);
}

/* With small pages every entry is one. */
static void test_small_pages(void **state)
{
	struct rig *r = *state;
	struct cbit_pt_leaf leaf;
	struct cbit_pt *pt;

	assert_int_equal(rig_bind(r, 0), 2);
	for (uint64_t v = 0; v < 2; v++) {
		assert_int_equal(rig_option(r, UAPI_OPTION_HUGE_PAGES, UAPI_OPTION_SET, 1, &v), 0);
		assert_int_equal(rig_attach(r, 0, 1), 3);
		assert_int_equal(rig_map(r, 1, 0x400000, RAM, RAM_SIZE), 0);
		pt = cbit_domain_pt(cbit_vfio_domain(r->c->fd[r->cdev[0]].file));
		assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0x400000), &leaf), 0);
		assert_int_equal(leaf.size, v ? RAM_SIZE : P);
		assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
		assert_int_equal(rig_detach(r, 0), 0);
	}
}

static long change_process(struct rig *r)
{
	struct uapi_change_process cmd = { .size = sizeof(cmd) };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_CHANGE_PROCESS, &cmd, sizeof(cmd));
}

static void test_change_process(void **state)
{
	struct rig *r = *state;

	assert_int_equal(change_process(r), 0);
	assert_int_equal(rig_map(r, 1, 0, RAM, P), 0);
	assert_int_equal(change_process(r), -EINVAL);
}

#define T(t) cmocka_unit_test_setup_teardown(t, rig_up, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lazy),    T(test_copy),        T(test_shared),
		T(test_unwind),  T(test_allow),       T(test_choose),
		T(test_options), T(test_small_pages), T(test_change_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
