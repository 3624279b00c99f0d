/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration and DMA logging as a client sees them: errno, the state machine, the stream of a
 * channel in the middle of a chain that another one ends, bitmaps in the client's memory.
 */
#include "client_rig.h"

#include <time.h>

#define P CBIT_PAGE_SIZE

#define GET   UAPI_FEATURE_GET
#define SET   UAPI_FEATURE_SET
#define PROBE UAPI_FEATURE_PROBE

/* Both devices in one container; the third cannot migrate. */
struct fixture {
	struct client *c;
	int container;
	int dev[3];
	struct cbit_pci *pci[3];
};

static void open_device(struct fixture *f, unsigned int i)
{
	struct client *c = f->c;
	struct cbit_device_info info;
	int group = client_open(c, CBIT_FILE_GROUP, i + 1);
	char name[] = "0000:01:00.0";

	assert_int_equal(client_call(c, group, UAPI_GROUP_SET_CONTAINER, &f->container, 4), 0);
	if (!i)
		assert_int_equal(client_ioctl(c, f->container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU),
				 0);
	name[6] = (char)('1' + i);
	f->dev[i] = (int)client_call(c, group, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	assert_true(f->dev[i] >= 0);
	assert_true(cbit_machine_device(c->machine, i, &info));
	f->pci[i] = info.pci;
	cbit_pci_config_write(info.pci, 4, &(uint16_t){ 6 }, 2);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat,migration=on");
	client_plug(f->c, "ioat,migration=on");
	client_plug(f->c, "ioat");
	f->container = client_open(f->c, CBIT_FILE_CONTAINER, 0);
	for (unsigned int i = 0; i < 3; i++)
		open_device(f, i);
	*state = f;
	return 0;
}

static long feature(struct fixture *f, unsigned int dev, uint32_t flags, void *data, size_t len,
		    uint32_t argsz)
{
	uint8_t buf[128];
	const struct uapi_feature head = { argsz, flags };
	long ret;

	memcpy(buf, &head, sizeof(head));
	memcpy(buf + sizeof(head), data, len);
	ret = client_call(f->c, f->dev[dev], UAPI_DEVICE_FEATURE, buf, sizeof(head) + len);
	memcpy(data, buf + sizeof(head), len);
	return ret;
}

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
	int fd;

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
	/* out of descriptors: it stops on the way */
	assert_int_equal(client_ioctl(f->c, f->dev[0], UAPI_DEVICE_RESET, 0), 0);
	f->c->fd_limit = 0;
	assert_int_equal(set_state(f, 0, UAPI_MIG_STOP_COPY, &fd), -EMFILE);
	assert_int_equal(get_state(f, 0), UAPI_MIG_STOP);
	f->c->fd_limit = CLIENT_FDS;
	assert_int_equal(set_state(f, 0, UAPI_MIG_RUNNING, &fd), 0);
}

/* --- a channel moves --- */

#define CHANCMD   0x84
#define DMACOUNT  0x86
#define CHANSTS   0x88
#define CHAINADDR 0x90
#define DESCS     400u
#define SRC       0x100000u
#define DST       0x200000u
#define LIST      0x10000u

struct desc {
	uint32_t size, control;
	uint64_t src, dst, next, rest[4];
};

static void reg(struct fixture *f, unsigned int dev, uint64_t at, uint64_t v, uint32_t len)
{
	cbit_pci_bar_write(f->pci[dev], 0, at, &v, len);
}

static uint64_t sts(struct fixture *f, unsigned int dev)
{
	uint64_t v;

	cbit_pci_bar_read(f->pci[dev], 0, CHANSTS, &v, 8);
	return v;
}

static void make_chain(struct fixture *f, uint32_t size)
{
	for (unsigned int i = 0; i < DESCS; i++) {
		struct desc d = { .size = size,
				  .src = SRC + i * 2048,
				  .dst = DST + i * 2048,
				  .next = LIST + 64 * (i + 1) };

		memcpy(f->c->ram + LIST + 64 * i, &d, sizeof(d));
	}
	for (unsigned int i = 0; i < DESCS * 2048; i++)
		f->c->ram[SRC + i] = (uint8_t)(i * 7 + (i >> 8) * 13 + 1);
	memset(f->c->ram + DST, 0, DESCS * 2048);
}

static unsigned int done(struct fixture *f)
{
	unsigned int n = 0;

	while (n < DESCS && f->c->ram[DST + n * 2048] == f->c->ram[SRC + n * 2048] &&
	       f->c->ram[DST + n * 2048])
		n++;
	return n;
}

static void nap(void)
{
	const struct timespec t = { .tv_nsec = 20000 };

	nanosleep(&t, NULL);
}

static void wait_done(struct fixture *f, unsigned int dev)
{
	for (unsigned int i = 0; i < 500000 && !(sts(f, dev) & 7); i++)
		nap();
	assert_int_equal(sts(f, dev) & 7, 1);
}

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

static void test_stop_copy(void **state)
{
	struct fixture *f = *state;
	unsigned int stopped = 0, between = 0;
	int fd;

	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	for (unsigned int round = 0; round < 20; round++) {
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
	assert_true(between > 0); /* some of them in the middle of the chain */
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

/* --- the log by ioctl --- */

static long log_start(struct fixture *f, uint64_t page, const struct uapi_log_range *ranges,
		      uint32_t nr, uint64_t *got)
{
	struct uapi_log_control control = { .page_size = page, .num_ranges = nr, .ranges = ARGS };
	long ret;

	memcpy(f->c->args, ranges, (nr < 2 ? nr : 2) * sizeof(*ranges));
	ret = feature(f, 0, UAPI_FEATURE_DMA_LOGGING_START | SET, &control, sizeof(control), 32);
	if (got)
		*got = control.page_size;
	return ret;
}

static long log_stop(struct fixture *f)
{
	uint64_t none = 0;

	return feature(f, 0, UAPI_FEATURE_DMA_LOGGING_STOP | SET, &none, 0, 8);
}

static long log_report(struct fixture *f, uint64_t iova, uint64_t len, uint64_t page,
		       uint64_t bitmap)
{
	struct uapi_log_report report = { iova, len, page, bitmap };

	return feature(f, 0, UAPI_FEATURE_DMA_LOGGING_REPORT | GET, &report, sizeof(report), 40);
}

static void test_log_errors(void **state)
{
	static const struct {
		struct uapi_log_range r[2];
		uint64_t page;
		uint32_t nr;
		long ret;
	} cases[] = {
		{ { { 0, P } }, P, 0, -EINVAL },
		{ { { 0, P } }, P, 257, -E2BIG },
		{ { { 0, P } }, P, UINT32_MAX, -E2BIG },
		{ { { 1, P } }, P, 1, -EINVAL },
		{ { { 0, P - 1 } }, P, 1, -EINVAL },
		{ { { P, P } }, 2 * P, 1, -EINVAL },
		{ { { P, P } }, 0, 1, -EINVAL },
		{ { { UINT64_MAX - P + 1, P } }, P, 1, -EOVERFLOW },
		{ { { 0, 2 * P }, { P, P } }, P, 2, -EINVAL },
		{ { { P, P }, { 0, 4 * P } }, P, 2, -EINVAL },
		{ { { P, P }, { 2 * P, P } }, P, 2, 0 },
		{ { { P, 0 } }, P, 1, 0 },
		{ { { P, 1 } }, 1, 1, 0 },
	};
	struct fixture *f = *state;
	uint64_t got;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long ret = log_start(f, cases[i].page, cases[i].r, cases[i].nr, &got);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld", i, ret);
		if (!ret) {
			assert_int_equal(got, P);
			assert_int_equal(log_start(f, P, cases[i].r, cases[i].nr, NULL), -EINVAL);
		}
		assert_int_equal(log_stop(f), 0);
		assert_int_equal(log_stop(f), 0);
	}
	{
		struct uapi_log_control control = { .page_size = P,
						    .num_ranges = 1,
						    .ranges = NOWHERE };

		assert_int_equal(feature(f, 0, UAPI_FEATURE_DMA_LOGGING_START | SET, &control,
					 sizeof(control), 32),
				 -EFAULT);
	}
	assert_int_equal(log_report(f, 0, P, P, ARGS), -EINVAL); /* no log */
	assert_int_equal(log_start(f, P, cases[10].r, 2, NULL), 0);
	assert_int_equal(log_report(f, 0, P, P / 2, ARGS), -EINVAL);
	assert_int_equal(log_report(f, 0, P, 3 * P, ARGS), -EINVAL);
	assert_int_equal(log_report(f, 0, P, 0, ARGS), -EINVAL);
	assert_int_equal(log_report(f, UINT64_MAX, 1, P, ARGS), -EOVERFLOW);
	assert_int_equal(log_report(f, 0, 0, P, ARGS), 0);
	assert_int_equal(log_report(f, 0, UINT64_MAX, P, ARGS), 0);
	/* the bits have nowhere to go: they are lost, and it is no error (Linux likewise) */
	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	make_chain(f, 64);
	reg(f, 0, CHAINADDR, LIST, 8);
	assert_int_equal(log_report(f, 0, 16 * P, P, NOWHERE), 0);
	assert_int_equal(log_stop(f), 0);
}

static void copy_one(struct fixture *f, uint64_t src, uint64_t dst, uint32_t size)
{
	const struct desc d = { .size = size, .src = src, .dst = dst, .next = LIST };

	memcpy(f->c->ram + LIST, &d, sizeof(d));
	reg(f, 0, CHAINADDR, LIST, 8);
	reg(f, 0, DMACOUNT, 1, 2);
	wait_done(f, 0);
}

/* The engine copies at random; the bitmap is what was written, at both page sizes, ORed in. */
static void test_log_bitmap(void **state)
{
	struct fixture *f = *state;
	const struct uapi_log_range all = { 0x40000000, 64 * RAM_SIZE };
	const uint64_t pages = all.length / P;
	uint64_t *map = calloc(pages / 64, 8), x = 4242, got;

	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(
			client_map(f->c, f->container, all.iova + i * RAM_SIZE, RAM, RAM_SIZE, 3),
			0);
	client_add(f->c, 0x600000000000, pages / 8, 0, CBIT_MEM_DRAM, (uint8_t *)map);
	for (unsigned int round = 0; round < 4; round++) {
		const unsigned int log_shift = round & 1 ? 21 : 12, shift = round & 2 ? 21 : 12;
		uint8_t *written = calloc(1, pages);

		assert_int_equal(log_start(f, UINT64_C(1) << log_shift, &all, 1, &got), 0);
		assert_int_equal(got, UINT64_C(1) << log_shift);
		memset(map, 0, pages / 8);
		map[0] = 1; /* what is set stays so */
		for (unsigned int i = 0; i < 300; i++) {
			uint64_t at;
			uint32_t size;

			x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
			size = (uint32_t)(x >> 40) % 30000 + 1;
			at = (x >> 20) % (all.length - size);
			/* not over the descriptor */
			if ((at % RAM_SIZE) + size > LIST && at % RAM_SIZE < LIST + 64)
				at += 0x80000;
			copy_one(f, 0x80000, all.iova + at, size);
			for (uint64_t p = at / P; p <= (at + size - 1) / P; p++)
				written[p] = 1;
		}
		assert_int_equal(
			log_report(f, all.iova, all.length, UINT64_C(1) << shift, 0x600000000000),
			0);
		for (uint64_t bit = 0; bit < all.length >> shift; bit++) {
			unsigned int large = log_shift > shift ? log_shift : shift;
			uint64_t per = UINT64_C(1) << (large - 12);
			uint64_t first = (bit << (shift - 12)) & ~(per - 1);
			bool want = !bit;

			for (uint64_t p = first; p < first + per; p++)
				want |= written[p];
			if ((map[bit / 64] >> (bit & 63) & 1) != want)
				fail_msg("round %u: bit %llu", round, (unsigned long long)bit);
		}
		assert_int_equal(log_stop(f), 0);
		free(written);
	}
	free(map);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_off),         T(test_probes),      T(test_states),     T(test_stop_copy),
		T(test_stop_and_go), T(test_bad_streams), T(test_log_errors), T(test_log_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
