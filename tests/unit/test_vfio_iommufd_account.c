/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On whose account the pages of an iommufd are: the user's, or with IOMMU_OPTION_RLIMIT_MODE the
 * process's; and what becomes of that when the caller is another one.
 */
#include "iommufd_rig.h"

#define NR 8 /* pages of a mapping */

/* One IOAS, number 1, with device 0 attached to it; none may be there when the mode is set. */
static void begin(struct rig *r, bool by_process)
{
	uint64_t mode = by_process;

	assert_int_equal(rig_destroy(r, 1), 0);
	assert_int_equal(rig_option(r, UAPI_OPTION_RLIMIT_MODE, UAPI_OPTION_SET, 0, &mode), 0);
	assert_int_equal(rig_ioas_alloc(r), 1);
	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_attach(r, 0, 1), 3);
}

static void be(struct rig *r, unsigned int process, unsigned int user)
{
	r->c->process = process;
	r->c->user = user;
}

static void want(const struct rig *r, int64_t user0, int64_t user1, int64_t mm0, int64_t mm1)
{
	assert_int_equal(r->c->user_locked[0], user0);
	assert_int_equal(r->c->user_locked[1], user1);
	assert_int_equal(r->c->mm_locked[0], mm0);
	assert_int_equal(r->c->mm_locked[1], mm1);
}

static long change_process(struct rig *r)
{
	struct uapi_change_process cmd = { .size = sizeof(cmd) };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_CHANGE_PROCESS, &cmd, sizeof(cmd));
}

/* Two processes of one user have one limit, and one of another user has another. */
static void test_user(void **state)
{
	struct rig *r = *state;

	begin(r, false);
	r->c->lock_limit = 12;
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, NR * P), 0);
	want(r, NR, 0, 0, 0);
	be(r, 1, 0);
	assert_int_equal(rig_map(r, 1, 0x40000, RAM, 5 * P), -ENOMEM);
	assert_int_equal(rig_map(r, 1, 0x40000, RAM, 4 * P), 0);
	want(r, 12, 0, 0, 0);
	be(r, 2, 1);
	assert_int_equal(rig_map(r, 1, 0x80000, RAM, 12 * P), 0);
	assert_int_equal(rig_map(r, 1, 0xa0000, RAM, P), -ENOMEM);
	want(r, 12, 12, 0, 0);
	/* Whoever unmaps, it goes off the account that it was on. */
	assert_int_equal(rig_unmap(r, 1, 0x10000, NR * P), 0);
	want(r, 4, 12, 0, 0);
	be(r, 0, 0);
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	want(r, 0, 0, 0, 0);
}

/* Each process has its own limit, whosever it is. */
static void test_process(void **state)
{
	struct rig *r = *state;

	begin(r, true);
	r->c->lock_limit = 12;
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, NR * P), 0);
	be(r, 1, 0);
	assert_int_equal(rig_map(r, 1, 0x40000, RAM, 12 * P), 0);
	want(r, 0, 0, NR, 12);
	assert_int_equal(rig_map(r, 1, 0x80000, RAM, P), -ENOMEM);
	be(r, 0, 0);
	assert_int_equal(rig_map(r, 1, 0x80000, RAM, 4 * P), 0);
	want(r, 0, 0, 12, 12);
	/* The other user is of no help: the process is full. */
	be(r, 0, 1);
	assert_int_equal(rig_map(r, 1, 0xa0000, RAM, P), -ENOMEM);
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	want(r, 0, 0, 0, 0);
}

/* type1 counts by process, an iommufd beside it by user, each up to the limit. */
static void test_beside_type1(void **state)
{
	struct rig *r = *state;
	int container = client_open(r->c, CBIT_FILE_CONTAINER, 0);
	int group = client_open(r->c, CBIT_FILE_GROUP, 2);

	begin(r, false);
	assert_int_equal(client_call(r->c, group, UAPI_GROUP_SET_CONTAINER, &container, 4), 0);
	assert_int_equal(client_ioctl(r->c, container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), 0);
	r->c->lock_limit = 12;
	assert_int_equal(client_map(r->c, container, 0x10000, RAM, 12 * P, MAP_RW), 0);
	want(r, 0, 0, 12, 0);
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 12 * P), 0);
	want(r, 12, 0, 12, 0);
	assert_int_equal(client_map(r->c, container, 0x40000, RAM, P, MAP_RW), -ENOMEM);
	assert_int_equal(rig_map(r, 1, 0x40000, RAM, P), -ENOMEM);
}

/* By process in both they have one account. */
static void test_sharing_with_type1(void **state)
{
	struct rig *r = *state;
	int container = client_open(r->c, CBIT_FILE_CONTAINER, 0);
	int group = client_open(r->c, CBIT_FILE_GROUP, 2);

	begin(r, true);
	assert_int_equal(client_call(r->c, group, UAPI_GROUP_SET_CONTAINER, &container, 4), 0);
	assert_int_equal(client_ioctl(r->c, container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), 0);
	r->c->lock_limit = 12;
	assert_int_equal(client_map(r->c, container, 0x10000, RAM, 8 * P, MAP_RW), 0);
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 5 * P), -ENOMEM);
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, 4 * P), 0);
	want(r, 0, 0, 12, 0);
}

/* The calls of a container on an iommufd are accounted as its own. */
static void test_compat(void **state)
{
	struct rig *r = *state;
	struct uapi_vfio_ioas cmd = { .size = sizeof(cmd), .ioas_id = 1 };

	for (unsigned int mode = 0; mode < 2; mode++) {
		if (mode) {
			client_close(r->c, r->cdev[0]);
			r->cdev[0] = client_open(r->c, CBIT_FILE_DEVICE, 0);
		}
		begin(r, mode);
		cmd.op = UAPI_VFIO_IOAS_SET;
		assert_int_equal(
			client_call(r->c, r->fd, UAPI_IOMMUFD_VFIO_IOAS, &cmd, sizeof(cmd)), 0);
		assert_int_equal(client_map(r->c, r->fd, 0x10000, RAM, NR * P, MAP_RW), 0);
		want(r, mode ? 0 : NR, 0, mode ? NR : 0, 0);
		assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
		cmd.op = UAPI_VFIO_IOAS_CLEAR;
		assert_int_equal(
			client_call(r->c, r->fd, UAPI_IOMMUFD_VFIO_IOAS, &cmd, sizeof(cmd)), 0);
	}
}

/* Decided when the memory is named, not when it is pinned. */
static void test_unlimited(void **state)
{
	struct rig *r = *state;

	begin(r, false);
	assert_int_equal(rig_detach(r, 0), 0);
	r->c->lock_limit = 4;
	r->c->unlimited = true;
	assert_int_equal(rig_map(r, 1, 0x10000, RAM, NR * P), 0);
	r->c->unlimited = false;
	assert_int_equal(rig_map(r, 1, 0x40000, RAM, 4 * P), 0);
	assert_int_equal(rig_attach(r, 0, 1), 3);
	assert_int_equal(r->c->pinned, NR + 4);
	want(r, 4, 0, 0, 0);
	assert_int_equal(rig_map(r, 1, 0x80000, RAM, P), -ENOMEM);
	/* A copy is of the same pages, whoever makes it. */
	assert_int_equal(rig_copy(r, 1, 0x10000, 1, 0xa0000, NR * P, 7), 0);
	assert_int_equal(rig_unmap(r, 1, 0x10000, NR * P), 0);
	want(r, 4, 0, 0, 0);
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	want(r, 0, 0, 0, 0);
}

/* --- another process takes it over --- */

static void test_change_user(void **state)
{
	struct rig *r = *state;
	int fd = client_memfd(r->c, 0, 0, NR * P);

	begin(r, false);
	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, NR * P), 0);
	assert_int_equal(rig_copy(r, 1, 0x10000, 1, 0x40000, NR * P, 7), 0);
	want(r, NR, 0, 0, 0);
	assert_int_equal(change_process(r), 0);
	want(r, NR, 0, 0, 0);
	/* To the same user's other process it counts twice on the way. */
	be(r, 1, 0);
	r->c->lock_limit = 2 * NR - 1;
	assert_int_equal(change_process(r), -ENOMEM);
	want(r, NR, 0, 0, 0);
	r->c->lock_limit = 2 * NR;
	assert_int_equal(change_process(r), 0);
	want(r, NR, 0, 0, 0);
	/* Already there: nothing is charged, however little room there is. */
	r->c->lock_limit = 1;
	assert_int_equal(change_process(r), 0);
	/* Another user, who has room or not. */
	be(r, 1, 1);
	r->c->lock_limit = NR - 1;
	assert_int_equal(change_process(r), -ENOMEM);
	want(r, NR, 0, 0, 0);
	r->c->lock_limit = NR;
	assert_int_equal(change_process(r), 0);
	want(r, 0, NR, 0, 0);
	/* Its process may have ended: the user is there yet. */
	r->c->ended = 1u << 1;
	/* What is allowed any amount takes over what counts, and it goes on counting. */
	be(r, 2, 0);
	r->c->unlimited = true;
	assert_int_equal(change_process(r), 0);
	want(r, NR, 0, 0, 0);
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	want(r, 0, 0, 0, 0);
}

static void test_change_mm(void **state)
{
	struct rig *r = *state;
	int fd = client_memfd(r->c, 0, 0, NR * P);

	begin(r, true);
	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, NR * P), 0);
	be(r, 0, 1);
	r->c->lock_limit = 1;
	/* The process is the same. */
	assert_int_equal(change_process(r), 0);
	want(r, 0, 0, NR, 0);
	be(r, 1, 1);
	assert_int_equal(change_process(r), -ENOMEM);
	want(r, 0, 0, NR, 0);
	r->c->lock_limit = NR;
	assert_int_equal(change_process(r), 0);
	want(r, 0, 0, 0, NR);
	be(r, 0, 0);
	/* From a process that has ended: an error, and done all the same. */
	r->c->ended = 1u << 1;
	assert_int_equal(change_process(r), -EINVAL);
	want(r, 0, 0, NR, 0);
	assert_int_equal(change_process(r), 0);
	assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	want(r, 0, 0, 0, 0);
}

/* What was named by who may lock any amount is nobody's for good. */
static void test_change_uncounted(void **state)
{
	struct rig *r = *state;
	int fd = client_memfd(r->c, 0, 0, NR * P);

	begin(r, false);
	r->c->unlimited = true;
	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, NR * P), 0);
	be(r, 1, 1);
	r->c->unlimited = false;
	r->c->lock_limit = 1;
	assert_int_equal(change_process(r), 0);
	want(r, 0, 0, 0, 0);
	be(r, 0, 0);
}

#define T(t) cmocka_unit_test_setup_teardown(t, rig_up, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_user),
		T(test_process),
		T(test_beside_type1),
		T(test_sharing_with_type1),
		T(test_compat),
		T(test_unlimited),
		T(test_change_user),
		T(test_change_mm),
		T(test_change_uncounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
