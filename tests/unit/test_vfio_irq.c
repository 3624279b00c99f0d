/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SET_IRQS and GET_IRQ_INFO: every data type and action, errors in the order of Linux 7.2,
 * and eventfds that are signalled exactly as often as asked for.
 */
#include "client_rig.h"
#include "dev/pci_internal.h"
#include "dev/pci_regs.h"

#define TRIGGER UAPI_IRQ_SET_ACTION_TRIGGER
#define MASK    UAPI_IRQ_SET_ACTION_MASK
#define UNMASK  UAPI_IRQ_SET_ACTION_UNMASK
#define NONE    UAPI_IRQ_SET_DATA_NONE
#define BOOL    UAPI_IRQ_SET_DATA_BOOL
#define EVENTFD UAPI_IRQ_SET_DATA_EVENTFD

struct fixture {
	struct client *c;
	int device;
	struct cbit_pci *pci;
	int e[4]; /* eventfds */
	int other;
};

static int setup(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct cbit_device_info dev;

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat");
	assert_true(cbit_machine_device(f->c->machine, 0, &dev));
	f->pci = dev.pci;
	/* no model has a pin yet, but the rules for one are there */
	f->pci->irqs[UAPI_IRQ_INTX] = 1;
	f->device = client_start(f->c, UAPI_TYPE1v2_IOMMU).device;
	for (int i = 0; i < 4; i++)
		f->e[i] = client_fd_new(f->c, FD_EVENTFD, NULL);
	f->other = client_fd_new(f->c, FD_OTHER, NULL);
	*state = f;
	return 0;
}

static long set_raw(struct fixture *f, struct uapi_irq_set hdr, const void *data, size_t len)
{
	uint8_t buf[sizeof(hdr) + 256];

	memcpy(buf, &hdr, sizeof(hdr));
	if (len)
		memcpy(buf + sizeof(hdr), data, len);
	return client_call(f->c, f->device, UAPI_DEVICE_SET_IRQS, buf, sizeof(hdr) + len);
}

static long set(struct fixture *f, uint32_t index, uint32_t flags, uint32_t start, uint32_t count,
		const void *data)
{
	size_t len = flags & EVENTFD ? 4 * (size_t)count : flags & BOOL ? count : 0;
	struct uapi_irq_set hdr = { .argsz = (uint32_t)(sizeof(hdr) + len),
				    .flags = flags,
				    .index = index,
				    .start = start,
				    .count = count };

	return set_raw(f, hdr, data, len);
}

static long set_fds(struct fixture *f, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds)
{
	return set(f, index, EVENTFD | TRIGGER, start, count, fds);
}

static uint64_t taken(struct fixture *f, int i)
{
	return __atomic_exchange_n(&f->c->fd[f->e[i]].count, 0, __ATOMIC_SEQ_CST);
}

static int dups(struct fixture *f)
{
	int n = 0;

	for (int i = 0; i < 4; i++)
		n += f->c->fd[f->e[i]].dups;
	return n;
}

static void test_info(void **state)
{
	struct fixture *f = *state;
	static const uint32_t want[5][2] = { { 7, 1 }, { 9, 1 }, { 1, 16 }, { 9, 1 }, { 9, 1 } };
	struct uapi_irq_info info = { .argsz = 15 };

	assert_int_equal(client_call(f->c, f->device, UAPI_DEVICE_GET_IRQ_INFO, &info, 16),
			 -EINVAL);
	info.argsz = 16;
	assert_int_equal(client_call(f->c, f->device, UAPI_DEVICE_GET_IRQ_INFO, &info, 15),
			 -EFAULT);
	for (uint32_t i = 0; i < 5; i++) {
		info = (struct uapi_irq_info){ .argsz = 20, .index = i };
		assert_int_equal(client_call(f->c, f->device, UAPI_DEVICE_GET_IRQ_INFO, &info, 16),
				 0);
		assert_int_equal(info.flags, want[i][0]);
		assert_int_equal(info.count, want[i][1]);
	}
	info.index = 5;
	assert_int_equal(client_call(f->c, f->device, UAPI_DEVICE_GET_IRQ_INFO, &info, 16),
			 -EINVAL);
}

static void test_header(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct uapi_irq_set hdr;
		size_t data;
		long ret;
	} cases[] = {
		{ { 19, EVENTFD | TRIGGER, 2, 0, 1 }, 4, -EINVAL },
		{ { 24, EVENTFD | TRIGGER, 5, 0, 1 }, 4, -EINVAL },
		{ { 24, EVENTFD | TRIGGER, 2, 0, UINT32_MAX }, 4, -EINVAL },
		{ { 24, EVENTFD | TRIGGER, 2, UINT32_MAX, 0 }, 4, -EINVAL },
		{ { 24, EVENTFD | TRIGGER, 2, 2, UINT32_MAX - 1 }, 4, -EINVAL },
		{ { 24, EVENTFD | TRIGGER | 0x40, 2, 0, 1 }, 4, -EINVAL },
		{ { 24, EVENTFD | TRIGGER, 2, 16, 0 }, 4, -EINVAL },
		{ { 24, EVENTFD | TRIGGER, 2, 16, 1 }, 4, -EINVAL },
		{ { 88, EVENTFD | TRIGGER, 2, 0, 17 }, 68, -EINVAL },
		{ { 24, TRIGGER, 2, 0, 1 }, 4, -EINVAL },
		{ { 24, EVENTFD | NONE | TRIGGER, 2, 0, 1 }, 4, -EINVAL },
		{ { 24, EVENTFD | BOOL | TRIGGER, 2, 0, 1 }, 4, -EINVAL },
		/* the data must be within argsz, and in memory */
		{ { 23, EVENTFD | TRIGGER, 2, 0, 1 }, 4, -EINVAL },
		{ { 27, EVENTFD | TRIGGER, 2, 0, 2 }, 8, -EINVAL },
		{ { 24, EVENTFD | TRIGGER, 2, 0, 1 }, 3, -EFAULT },
		{ { 20, BOOL | TRIGGER, 2, 0, 1 }, 1, -EINVAL },
		{ { 21, BOOL | TRIGGER, 2, 0, 1 }, 0, -EFAULT },
		/* no action, two actions, actions that an index does not know */
		{ { 24, EVENTFD, 2, 0, 1 }, 4, -ENOTTY },
		{ { 24, EVENTFD | TRIGGER | MASK, 2, 0, 1 }, 4, -ENOTTY },
		{ { 24, EVENTFD | MASK, 2, 0, 1 }, 4, -ENOTTY },
		{ { 20, NONE | UNMASK, 1, 0, 1 }, 0, -ENOTTY },
		{ { 20, NONE | MASK, 3, 0, 1 }, 0, -ENOTTY },
		{ { 20, NONE | MASK, 4, 0, 1 }, 0, -ENOTTY },
		{ { 20, NONE | MASK | UNMASK, 0, 0, 1 }, 0, -ENOTTY },
		/* nothing armed that could be fired or disarmed */
		{ { 20, NONE | TRIGGER, 2, 0, 1 }, 0, -EINVAL },
		{ { 20, NONE | TRIGGER, 2, 0, 0 }, 0, -EINVAL },
		{ { 21, BOOL | TRIGGER, 1, 0, 1 }, 1, -EINVAL },
		{ { 20, NONE | TRIGGER, 0, 0, 1 }, 0, -EINVAL },
		{ { 20, NONE | MASK, 0, 0, 1 }, 0, -EINVAL },
		{ { 20, EVENTFD | TRIGGER, 2, 0, 0 }, 0, -ERANGE },
		{ { 20, EVENTFD | TRIGGER, 0, 0, 0 }, 0, -EINVAL },
	};
	const int data[17] = { f->e[0] };

	assert_int_equal(client_ioctl(f->c, f->device, UAPI_DEVICE_SET_IRQS, NOWHERE), -EFAULT);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long ret = set_raw(f, cases[i].hdr, data, cases[i].data);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld", i, ret);
		assert_int_equal(dups(f), 0);
	}
}

static bool msix_enabled(struct fixture *f)
{
	uint16_t flags;

	cbit_pci_config_read(f->pci, PCI_MSIX_AT + 2, &flags, 2);
	return (flags & 0x8000) != 0;
}

static void test_msix(void **state)
{
	struct fixture *f = *state;
	const int fds[3] = { f->e[0], -1, f->e[2] };
	const uint8_t bools[3] = { 0, 1, 1 };

	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 4, 3, fds), 0);
	assert_true(msix_enabled(f));
	assert_int_equal(dups(f), 2);
	/* loopback: exactly one each, and none where there is no eventfd */
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 4, 3, NULL), 0);
	assert_int_equal(taken(f, 0), 1);
	assert_int_equal(taken(f, 2), 1);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 6, 1, NULL), 0);
	assert_int_equal(taken(f, 0), 0);
	assert_int_equal(taken(f, 2), 1);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, BOOL | TRIGGER, 4, 3, bools), 0);
	assert_int_equal(taken(f, 0), 0);
	assert_int_equal(taken(f, 2), 1);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 0, 4, NULL), 0);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 7, 9, NULL), 0);
	assert_int_equal(taken(f, 0) + taken(f, 2), 0);
	/* more vectors while it is on, one taken away, one replaced */
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 15, 1, &f->e[1]), 0);
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 4, 1, &fds[1]), 0);
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 6, 1, &f->e[3]), 0);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 0, 16, NULL), 0);
	assert_int_equal(taken(f, 0), 0);
	assert_int_equal(taken(f, 1), 1);
	assert_int_equal(taken(f, 2), 0);
	assert_int_equal(taken(f, 3), 1);
	assert_int_equal(dups(f), 2);
	/* another index has to wait */
	assert_int_equal(set_fds(f, UAPI_IRQ_MSI, 0, 1, &f->e[0]), -EINVAL);
	assert_int_equal(set_fds(f, UAPI_IRQ_INTX, 0, 1, &f->e[0]), -EINVAL);
	assert_int_equal(set(f, UAPI_IRQ_MSI, NONE | TRIGGER, 0, 0, NULL), -EINVAL);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 0, 0, NULL), 0);
	assert_false(msix_enabled(f));
	assert_int_equal(dups(f), 0);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 0, 0, NULL), -EINVAL);
	assert_int_equal(set_fds(f, UAPI_IRQ_MSI, 0, 1, &f->e[0]), 0);
	assert_int_equal(set(f, UAPI_IRQ_MSI, NONE | TRIGGER, 0, 1, NULL), 0);
	assert_int_equal(taken(f, 0), 1);
}

/* A descriptor that is no eventfd: nothing is armed by the call that first arms. */
static void test_bad_fds(void **state)
{
	struct fixture *f = *state;
	const int closed[2] = { f->e[0], 60 }, wrong[2] = { f->e[0], f->other };

	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 0, 2, closed), -EBADF);
	assert_int_equal(dups(f), 0);
	assert_false(msix_enabled(f));
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 0, 2, wrong), -EINVAL);
	assert_int_equal(dups(f), 0);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 0, 1, NULL), -EINVAL);
	/* once armed the vectors of the failed call are lost, the others stay */
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 0, 1, &f->e[1]), 0);
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 5, 1, &f->e[2]), 0);
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 0, 2, closed), -EBADF);
	assert_true(msix_enabled(f));
	assert_int_equal(dups(f), 1);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 0, 16, NULL), 0);
	assert_int_equal(taken(f, 0) + taken(f, 1), 0);
	assert_int_equal(taken(f, 2), 1);
}

static void test_intx(void **state)
{
	struct fixture *f = *state;
	const int closed = 60, none = -1;
	const uint8_t yes = 1, no = 0;

	assert_int_equal(set_fds(f, UAPI_IRQ_INTX, 0, 1, &closed), -EBADF);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 0, 1, NULL), -EINVAL);
	assert_int_equal(set_fds(f, UAPI_IRQ_INTX, 0, 1, &f->e[0]), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 0, 1, NULL), 0);
	assert_int_equal(taken(f, 0), 1);
	assert_int_equal(set(f, UAPI_IRQ_INTX, BOOL | TRIGGER, 0, 1, &yes), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, BOOL | TRIGGER, 0, 1, &no), 0);
	assert_int_equal(taken(f, 0), 1);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | MASK, 0, 1, NULL), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, BOOL | MASK, 0, 1, &yes), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | MASK, 0, 1, &f->e[1]), -ENOTTY);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | UNMASK, 0, 1, NULL), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 0, 1, &none), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | UNMASK, 0, 0, NULL), -EINVAL);
	/* unlike MSI, a bad descriptor leaves the one before in place */
	assert_int_equal(set_fds(f, UAPI_IRQ_INTX, 0, 1, &closed), -EBADF);
	assert_int_equal(set_fds(f, UAPI_IRQ_INTX, 0, 1, &f->other), -EINVAL);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 0, 1, NULL), 0);
	assert_int_equal(taken(f, 0), 1);
	assert_int_equal(set_fds(f, UAPI_IRQ_INTX, 0, 1, &f->e[1]), 0);
	assert_int_equal(dups(f), 1);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 0, 0, NULL), 0);
	assert_int_equal(dups(f), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 0, 0, NULL), -EINVAL);
}

/* ERR and REQ stand beside the others; they can be replaced and taken away. */
static void test_single(void **state)
{
	struct fixture *f = *state;
	const int none = -1, odd = -2, closed = 60;
	const uint8_t yes = 1, no = 0;

	for (uint32_t index = UAPI_IRQ_ERR; index <= UAPI_IRQ_REQ; index++) {
		assert_int_equal(set(f, index, NONE | TRIGGER, 0, 1, NULL), -EINVAL);
		assert_int_equal(set(f, index, NONE | TRIGGER, 0, 0, NULL), -EINVAL);
		assert_int_equal(set(f, index, BOOL | TRIGGER, 0, 1, &yes), 0);
		assert_int_equal(set(f, index, BOOL | TRIGGER, 0, 0, NULL), -EINVAL);
		assert_int_equal(set(f, index, EVENTFD | TRIGGER, 0, 0, NULL), -EINVAL);
		assert_int_equal(set_fds(f, index, 0, 1, &odd), -EINVAL);
		assert_int_equal(set_fds(f, index, 0, 1, &none), 0);
		assert_int_equal(set_fds(f, index, 0, 1, &f->e[0]), 0);
		assert_int_equal(set_fds(f, index, 0, 1, &closed), -EBADF);
		assert_int_equal(set_fds(f, index, 0, 1, &f->other), -EINVAL);
		assert_int_equal(set(f, index, NONE | TRIGGER, 0, 1, NULL), 0);
		assert_int_equal(taken(f, 0), 1);
		assert_int_equal(set(f, index, BOOL | TRIGGER, 0, 1, &yes), 0);
		assert_int_equal(set(f, index, BOOL | TRIGGER, 0, 1, &no), 0);
		assert_int_equal(taken(f, 0), 1);
		assert_int_equal(set_fds(f, index, 0, 1, &f->e[1]), 0);
		assert_int_equal(dups(f), 1);
		assert_int_equal(set(f, index, NONE | TRIGGER, 0, 1, NULL), 0);
		assert_int_equal(taken(f, 0), 0);
		assert_int_equal(taken(f, 1), 1);
		assert_int_equal(set(f, index, NONE | TRIGGER, 0, 0, NULL), 0);
		assert_int_equal(dups(f), 0);
		assert_int_equal(set_fds(f, index, 0, 1, &f->e[3]), 0);
		assert_int_equal(set_fds(f, index, 0, 1, &none), 0);
		assert_int_equal(dups(f), 0);
	}
}

/* The last file on the device takes every eventfd with it, and a reset none. */
static void test_close(void **state)
{
	struct fixture *f = *state;
	char name[16] = "0000:01:00.0";
	int group = client_open(f->c, CBIT_FILE_GROUP, 1), more;

	assert_int_equal(group, -EBUSY);
	for (group = 0; f->c->fd[group].kind != FD_FILE ||
			cbit_vfio_kind(f->c->fd[group].file) != CBIT_FILE_GROUP;)
		group++;
	more = (int)client_call(f->c, group, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	assert_true(more >= 0);
	assert_int_equal(set_fds(f, UAPI_IRQ_MSIX, 0, 2, f->e), 0);
	assert_int_equal(set_fds(f, UAPI_IRQ_ERR, 0, 1, &f->e[2]), 0);
	assert_int_equal(set_fds(f, UAPI_IRQ_REQ, 0, 1, &f->e[3]), 0);
	assert_int_equal(client_ioctl(f->c, f->device, UAPI_DEVICE_RESET, 0), 0);
	assert_int_equal(set(f, UAPI_IRQ_MSIX, NONE | TRIGGER, 0, 2, NULL), 0);
	assert_int_equal(taken(f, 0) + taken(f, 1), 2);
	client_close(f->c, more);
	assert_int_equal(dups(f), 4);
	client_close(f->c, f->device);
	assert_int_equal(dups(f), 0);
	assert_false(msix_enabled(f));
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_info), T(test_header), T(test_msix),  T(test_bad_fds),
		T(test_intx), T(test_single), T(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
