/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration as a client sees it: errno, the state machine, the stream of a channel in the middle of
 * a chain that another one ends.
 */
#include "migration_rig.h"

#define CONSTANT UINT64_C(0x610000000000) /* memory for reading alone */

static long get_state(struct fixture *f, unsigned int dev)
{
	struct uapi_mig_state mig = { 99, 99 };

	assert_int_equal(
		feature(f, dev, UAPI_FEATURE_MIG_DEVICE_STATE | GET, &mig, sizeof(mig), 16), 0);
	assert_int_equal(mig.data_fd, -1);
	return mig.device_state;
}

static long set_state(struct fixture *f, unsigned int dev, uint32_t state, int *fd)
{
	struct uapi_mig_state mig = { state, 99 };
	long ret = feature(f, dev, UAPI_FEATURE_MIG_DEVICE_STATE | SET, &mig, sizeof(mig), 16);

	assert_int_equal(mig.device_state, state);
	*fd = mig.data_fd;
	return ret;
}

/* What a device without migration answers is what vfio-pci alone does. */
static void test_off(void **state)
{
	struct fixture *f = *state;
	uint64_t data[4] = { 0 };

	for (uint32_t n = 0; n < 16; n++) {
		long want = n == UAPI_FEATURE_MIG_PRECOPY_INFO_V2 ? -EINVAL : -ENOTTY;

		if ((n >= 3 && n <= 5) || n == UAPI_FEATURE_DMA_BUF)
			continue;
		assert_int_equal(feature(f, 2, n | PROBE, data, 32, 40), want);
		assert_int_equal(feature(f, 2, n | PROBE | SET | GET, data, 32, 40), want);
		assert_int_equal(feature(f, 2, n | SET, data, 32, 40), want);
		assert_int_equal(feature(f, 2, n | GET, data, 32, 40), want);
	}
}

static void test_probes(void **state)
{
	static const struct {
		uint32_t feature, can;
		uint32_t size;
	} cases[] = {
		{ UAPI_FEATURE_MIGRATION, GET, 8 },
		{ UAPI_FEATURE_MIG_DEVICE_STATE, GET | SET, 8 },
		{ UAPI_FEATURE_MIG_DATA_SIZE, GET, 8 },
		{ UAPI_FEATURE_DMA_LOGGING_START, SET, 24 },
		{ UAPI_FEATURE_DMA_LOGGING_STOP, SET, 0 },
		{ UAPI_FEATURE_DMA_LOGGING_REPORT, GET, 32 },
	};
	struct fixture *f = *state;
	uint64_t data[4] = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint32_t op = GET; op <= SET; op <<= 1) {
			long want = cases[i].can & op ? 0 : -EINVAL;

			assert_int_equal(feature(f, 0, cases[i].feature | PROBE | op, data, 0, 8),
					 want);
			if (want || !cases[i].size)
				assert_int_equal(feature(f, 0, cases[i].feature | op, data, 32, 40),
						 want);
			if (cases[i].size)
				assert_int_equal(feature(f, 0, cases[i].feature | op, data, 32,
							 8 + cases[i].size - 1),
						 -EINVAL);
		}
		assert_int_equal(feature(f, 0, cases[i].feature | PROBE, data, 0, 8), 0);
		assert_int_equal(feature(f, 0, cases[i].feature | GET | SET, data, 32, 40),
				 -EINVAL);
	}
	assert_int_equal(feature(f, 0, UAPI_FEATURE_MIGRATION | GET, data, 8, 16), 0);
	assert_int_equal(data[0], UAPI_MIGRATION_STOP_COPY | UAPI_MIGRATION_P2P);
	assert_int_equal(feature(f, 0, UAPI_FEATURE_MIG_DATA_SIZE | GET, data, 8, 16), 0);
	assert_in_range(data[0], 32, CBIT_PCI_STATE_MAX);
	assert_int_equal(feature(f, 0, UAPI_FEATURE_MIG_PRECOPY_INFO_V2 | PROBE, data, 0, 8),
			 -EINVAL);
}

/* By the call, or of the function by its configuration space. */
static void reset(struct fixture *f, bool function)
{
	struct cbit_file *file = f->c->fd[f->dev[0]].file;
	const uint64_t config = cbit_vfio_offset(f->pci[0], 7);
	uint8_t at = 0, cap[2];

	if (!function) {
		assert_int_equal(client_ioctl(f->c, f->dev[0], UAPI_DEVICE_RESET, 0), 0);
		return;
	}
	assert_int_equal(cbit_vfio_rw(file, config + 0x34, &at, 1, false), 1);
	for (;; at = cap[1]) {
		assert_int_not_equal(at, 0);
		assert_int_equal(cbit_vfio_rw(file, config + at, cap, 2, false), 2);
		if (cap[0] == 0x10) /* PCI Express: Device Control is at 8 */
			break;
	}
	assert_int_equal(cbit_vfio_rw(file, config + at + 8, &(uint16_t){ 0x8000 }, 2, true), 2);
}

/* Every state from every other, by way of a reset where need be. */
static void test_states(void **state)
{
	struct fixture *f = *state;
	static uint8_t constant[16];
	int fd;

	client_add(f->c, CONSTANT, sizeof(constant), 0, CBIT_MEM_DRAM, constant);
	f->c->range[f->c->ranges - 1].writable = false;
	for (uint32_t from = 0; from < 9; from++) {
		for (uint32_t to = 0; to < 9; to++) {
			bool from_ok = from >= UAPI_MIG_STOP && from <= UAPI_MIG_RUNNING_P2P;
			bool to_ok = to >= UAPI_MIG_STOP && to <= UAPI_MIG_RUNNING_P2P;
			bool stream = to == UAPI_MIG_STOP_COPY || to == UAPI_MIG_RESUMING;

			reset(f, (from + to) & 1);
			assert_int_equal(get_state(f, 0), UAPI_MIG_RUNNING);
			assert_int_equal(set_state(f, 0, from, &fd), from_ok ? 0 : -EINVAL);
			if (fd >= 0)
				client_close(f->c, fd);
			if (!from_ok) {
				assert_int_equal(get_state(f, 0), UAPI_MIG_RUNNING);
				assert_int_equal(fd, -1);
				continue;
			}
			/* a stream that nothing was written to is not a state */
			if (from == UAPI_MIG_RESUMING && to != from && to_ok) {
				assert_int_equal(set_state(f, 0, to, &fd), -EINVAL);
				assert_int_equal(get_state(f, 0), UAPI_MIG_RESUMING);
				assert_int_equal(fd, -1);
				continue;
			}
			assert_int_equal(set_state(f, 0, to, &fd), to_ok ? 0 : -EINVAL);
			assert_int_equal(get_state(f, 0), to_ok ? to : from);
			assert_true((fd >= 0) == (to_ok && stream && from != to));
			if (fd >= 0)
				client_close(f->c, fd);
		}
	}
	/* where its number cannot be told no stream is made, though the state is another */
	for (uint32_t to = UAPI_MIG_STOP_COPY; to <= UAPI_MIG_RESUMING; to++) {
		const uint32_t cmd[4] = { 16, UAPI_FEATURE_MIG_DEVICE_STATE | SET, to, 0 };

		reset(f, false);
		memcpy(constant, cmd, sizeof(cmd));
		assert_int_equal(client_ioctl(f->c, f->dev[0], UAPI_DEVICE_FEATURE, CONSTANT),
				 -EFAULT);
		assert_int_equal(get_state(f, 0), to);
		for (unsigned int i = 0; i < CLIENT_STREAMS; i++)
			assert_false(f->c->stream[i].in_use);
		assert_int_equal(set_state(f, 0, UAPI_MIG_RUNNING, &fd),
				 to == UAPI_MIG_RESUMING ? -EINVAL : 0);
	}
	/* out of descriptors: it stops on the way */
	assert_int_equal(client_ioctl(f->c, f->dev[0], UAPI_DEVICE_RESET, 0), 0);
	f->c->fd_limit = 0;
	assert_int_equal(set_state(f, 0, UAPI_MIG_STOP_COPY, &fd), -EMFILE);
	assert_int_equal(get_state(f, 0), UAPI_MIG_STOP);
	f->c->fd_limit = CLIENT_FDS;
	assert_int_equal(set_state(f, 0, UAPI_MIG_RUNNING, &fd), 0);
}

/* --- a channel moves --- */

/* From device 0 in whatever it is at to device 1. */
static void move(struct fixture *f)
{
	int out, in;

	assert_int_equal(set_state(f, 0, UAPI_MIG_STOP_COPY, &out), 0);
	assert_int_equal(set_state(f, 1, UAPI_MIG_RESUMING, &in), 0);
	*f->c->fd[in].stream = *f->c->fd[out].stream;
	f->c->fd[in].stream->in_use = true;
	assert_int_equal(set_state(f, 1, UAPI_MIG_STOP, &out), 0);
}

static uint64_t seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

static void test_stop_copy(void **state)
{
	struct fixture *f = *state;
	const uint64_t patience = 20, begun = seconds();
	unsigned int stopped = 0, between = 0;
	int fd;

	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	/* some of them in the middle of the chain; the worker may be faster for a while */
	for (unsigned int round = 0; round < 20 || (!between && seconds() - begun < patience);
	     round++) {
		make_chain(f, 2048);
		reg(f, 0, CHANCMD, 0x20, 1);
		reg(f, 0, CHAINADDR, LIST, 8);
		reg(f, 0, DMACOUNT, DESCS - 1, 2);
		if (round & 1)
			nap();
		move(f);
		/* nothing moves any more, whatever is written to the source or the target */
		stopped = done(f);
		between += stopped > 0 && stopped < DESCS - 1;
		reg(f, 0, DMACOUNT, DESCS - 1, 2);
		nap();
		assert_int_equal(done(f), stopped);
		assert_int_equal(sts(f, 1), sts(f, 0));
		/* the target goes on where the source stopped, and takes more */
		assert_int_equal(set_state(f, 1, UAPI_MIG_RUNNING, &fd), 0);
		wait_done(f, 1);
		assert_int_equal(done(f), DESCS - 1);
		reg(f, 1, DMACOUNT, DESCS, 2);
		wait_done(f, 1);
		assert_memory_equal(f->c->ram + DST, f->c->ram + SRC, DESCS * 2048);
		assert_int_equal(sts(f, 1), (LIST + 64 * (DESCS - 1)) | 1);
		/* the source has done what it had, and no more */
		assert_true(sts(f, 0) >> 6 == 0 || sts(f, 0) >> 6 == (LIST >> 6) + stopped - 1);
		assert_int_equal(client_ioctl(f->c, f->dev[0], UAPI_DEVICE_RESET, 0), 0);
		assert_int_equal(client_ioctl(f->c, f->dev[1], UAPI_DEVICE_RESET, 0), 0);
		for (int i = 0; i < CLIENT_FDS; i++) {
			if (f->c->fd[i].kind == FD_OTHER)
				client_close(f->c, i);
		}
	}
	assert_true(between > 0);
}

/* Stopped and started again, the same one goes on. */
static void test_stop_and_go(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	make_chain(f, 2048);
	reg(f, 0, CHANCMD, 0x20, 1);
	assert_int_equal(set_state(f, 0, UAPI_MIG_RUNNING_P2P, &fd), 0);
	reg(f, 0, CHAINADDR, LIST, 8);
	reg(f, 0, DMACOUNT, DESCS, 2);
	assert_int_equal(sts(f, 0), 0); /* active, and at nothing */
	nap();
	assert_int_equal(done(f), 0);
	for (unsigned int i = 0; i < 50; i++) {
		assert_int_equal(set_state(f, 0, UAPI_MIG_RUNNING, &fd), 0);
		assert_int_equal(set_state(f, 0, UAPI_MIG_STOP, &fd), 0);
	}
	assert_int_equal(set_state(f, 0, UAPI_MIG_RUNNING, &fd), 0);
	wait_done(f, 0);
	assert_memory_equal(f->c->ram + DST, f->c->ram + SRC, DESCS * 2048);
	/* a close while it is stopped: the next user finds it running */
	assert_int_equal(set_state(f, 0, UAPI_MIG_RESUMING, &fd), 0);
	client_close(f->c, f->dev[0]);
	for (int i = 0; i < CLIENT_FDS; i++) {
		char name[] = "0000:01:00.0";

		if (f->c->fd[i].kind == FD_FILE &&
		    cbit_vfio_kind(f->c->fd[i].file) == CBIT_FILE_GROUP &&
		    cbit_vfio_group_number(f->c->fd[i].file) == 1)
			f->dev[0] = (int)client_call(f->c, i, UAPI_GROUP_GET_DEVICE_FD, name,
						     sizeof(name));
	}
	assert_int_equal(get_state(f, 0), UAPI_MIG_RUNNING);
	cbit_pci_config_write(f->pci[0], 4, &(uint16_t){ 6 }, 2);
	make_chain(f, 64);
	reg(f, 0, CHANCMD, 0x20, 1);
	reg(f, 0, CHAINADDR, LIST, 8);
	reg(f, 0, DMACOUNT, 1, 2);
	wait_done(f, 0);
}

/* A stream that is changed anywhere is taken for what it is, or not at all. */
static void test_bad_streams(void **state)
{
	struct fixture *f = *state;
	struct client_stream good, *in;
	unsigned int refused = 0;
	uint64_t before;
	int out, fd, none;

	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	make_chain(f, 64);
	reg(f, 0, CHANCMD, 0x20, 1);
	reg(f, 0, CHAINADDR, LIST, 8);
	reg(f, 0, DMACOUNT, 3, 2);
	wait_done(f, 0);
	assert_int_equal(set_state(f, 0, UAPI_MIG_STOP_COPY, &out), 0);
	good = *f->c->fd[out].stream;
	before = sts(f, 1);
	assert_int_equal(set_state(f, 1, UAPI_MIG_RESUMING, &fd), 0);
	in = f->c->fd[fd].stream;
	for (size_t len = 0; len < good.len + 8; len++) {
		if (len == good.len)
			continue;
		memcpy(in->data, good.data, sizeof(good.data));
		in->len = len;
		assert_int_equal(set_state(f, 1, UAPI_MIG_STOP, &none), -EINVAL);
	}
	in->len = sizeof(in->data);
	assert_int_equal(set_state(f, 1, UAPI_MIG_STOP, &none), -EINVAL);
	assert_int_equal(sts(f, 1), before);
	for (size_t at = 0; at < good.len; at++) {
		memcpy(in->data, good.data, good.len);
		in->len = good.len;
		in->data[at] ^= 0xff;
		if (set_state(f, 1, UAPI_MIG_RUNNING, &none)) {
			refused++;
			assert_int_equal(get_state(f, 1), UAPI_MIG_RESUMING);
			continue;
		}
		/* then it runs as any channel does that was given such registers */
		for (unsigned int i = 0; i < 1000 && !(sts(f, 1) & 7); i++)
			nap();
		assert_int_equal(client_ioctl(f->c, f->dev[1], UAPI_DEVICE_RESET, 0), 0);
		client_close(f->c, fd);
		assert_int_equal(set_state(f, 1, UAPI_MIG_RESUMING, &fd), 0);
		in = f->c->fd[fd].stream;
	}
	assert_true(refused >= 24);
	memcpy(in->data, good.data, good.len);
	in->len = good.len;
	assert_int_equal(set_state(f, 1, UAPI_MIG_RUNNING, &fd), 0);
	assert_int_equal(sts(f, 1), sts(f, 0));
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_off),       T(test_probes),      T(test_states),
		T(test_stop_copy), T(test_stop_and_go), T(test_bad_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
