/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pin as vfio-pci serves it (Linux 7.2, vfio_pci_intrs.c and vfio_pci_config.c): a level that
 * masks itself when it is delivered, unmasking by ioctl, by eventfd and by the command register,
 * and what keeps INTx, MSI and MSI-X apart. The device is an ioat that finishes descriptors.
 */
#include "client_rig.h"
#include "dev/ioat_hw.h"
#include "dev/pci_internal.h"
#include "dev/pci_regs.h"

#define TRIGGER UAPI_IRQ_SET_ACTION_TRIGGER
#define MASK    UAPI_IRQ_SET_ACTION_MASK
#define UNMASK  UAPI_IRQ_SET_ACTION_UNMASK
#define NONE    UAPI_IRQ_SET_DATA_NONE
#define BOOL    UAPI_IRQ_SET_DATA_BOOL
#define EVENTFD UAPI_IRQ_SET_DATA_EVENTFD
#define DESC    UINT64_C(0x100000) /* an IOVA; a null descriptor that interrupts is there */

struct fixture {
	struct client *c;
	struct opened o;
	struct cbit_pci *pci;
	int e[4];
};

static void bar(struct fixture *f, uint64_t offset, uint64_t v, unsigned int size)
{
	assert_int_equal(cbit_vfio_rw(f->c->fd[f->o.device].file,
				      cbit_vfio_offset(f->pci, 0) + offset, &v, size, true),
			 size);
}

static uint64_t bar_get(struct fixture *f, uint64_t offset, unsigned int size)
{
	uint64_t v = 0;

	assert_int_equal(cbit_vfio_rw(f->c->fd[f->o.device].file,
				      cbit_vfio_offset(f->pci, 0) + offset, &v, size, false),
			 size);
	return v;
}

static uint16_t config(struct fixture *f, unsigned int offset)
{
	uint16_t v;

	assert_int_equal(cbit_vfio_rw(f->c->fd[f->o.device].file,
				      cbit_vfio_offset(f->pci, UAPI_PCI_CONFIG_REGION) + offset, &v,
				      2, false),
			 2);
	return v;
}

static void command(struct fixture *f, uint16_t v)
{
	assert_int_equal(
		cbit_vfio_rw(f->c->fd[f->o.device].file,
			     cbit_vfio_offset(f->pci, UAPI_PCI_CONFIG_REGION) + PCI_COMMAND, &v, 2,
			     true),
		2);
}

#define ON  (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define OFF (ON | PCI_COMMAND_INTX_OFF)

static int setup(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct cbit_device_info dev;
	struct ioat_desc desc = { .size = 1,
				  .control = IOAT_CTL_NULL | IOAT_CTL_INTERRUPT,
				  .next = DESC };

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat");
	assert_true(cbit_machine_device(f->c->machine, 0, &dev));
	f->pci = dev.pci;
	f->o = client_start(f->c, UAPI_TYPE1v2_IOMMU);
	for (int i = 0; i < 4; i++)
		f->e[i] = client_fd_new(f->c, FD_EVENTFD, NULL);
	memcpy(f->c->ram, &desc, sizeof(desc));
	assert_int_equal(client_map(f->c, f->o.container, DESC, RAM, CBIT_PAGE_SIZE, MAP_RW), 0);
	command(f, ON);
	bar(f, IOAT_INTRCTRL, IOAT_INTRCTRL_MASTER_EN, 1);
	bar(f, IOAT_CHANNEL + IOAT_CHAINADDR, DESC, 8);
	*state = f;
	return 0;
}

/* One more descriptor done, and with it an interrupt asked for; a few run in this thread. */
static void interrupt(struct fixture *f)
{
	uint16_t count = (uint16_t)bar_get(f, IOAT_CHANNEL + IOAT_DMACOUNT, 2);

	bar(f, IOAT_CHANNEL + IOAT_DMACOUNT, count + 1u, 2);
}

/* What a driver's handler does with the device: the pin goes down. */
static void serve(struct fixture *f)
{
	assert_int_equal(bar_get(f, IOAT_ATTNSTATUS, 4), 1);
}

static long set(struct fixture *f, uint32_t index, uint32_t flags, uint32_t count, const void *data)
{
	size_t len = flags & EVENTFD ? 4 * (size_t)count : flags & BOOL ? count : 0;
	struct uapi_irq_set hdr = { .argsz = (uint32_t)(sizeof(hdr) + len),
				    .flags = flags,
				    .index = index,
				    .count = count };
	uint8_t buf[sizeof(hdr) + 16];

	memcpy(buf, &hdr, sizeof(hdr));
	if (len)
		memcpy(buf + sizeof(hdr), data, len);
	return client_call(f->c, f->o.device, UAPI_DEVICE_SET_IRQS, buf, sizeof(hdr) + len);
}

static void arm(struct fixture *f, uint32_t index, int e)
{
	assert_int_equal(set(f, index, EVENTFD | TRIGGER, 1, &f->e[e]), 0);
}

static void disarm(struct fixture *f, uint32_t index)
{
	assert_int_equal(set(f, index, NONE | TRIGGER, 0, NULL), 0);
}

static void unmask(struct fixture *f)
{
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | UNMASK, 1, NULL), 0);
}

static uint64_t taken(struct fixture *f, int i)
{
	return __atomic_exchange_n(&f->c->fd[f->e[i]].count, 0, __ATOMIC_SEQ_CST);
}

static bool pending(struct fixture *f)
{
	return (config(f, PCI_STATUS) & PCI_STATUS_INTERRUPT) != 0;
}

static void test_device(void **state)
{
	struct fixture *f = *state;
	struct uapi_irq_info info = { .argsz = 16, .index = UAPI_IRQ_INTX };

	assert_int_equal(client_call(f->c, f->o.device, UAPI_DEVICE_GET_IRQ_INFO, &info, 16), 0);
	assert_int_equal(info.count, 1);
	assert_int_equal(info.flags, 7); /* EVENTFD, MASKABLE, AUTOMASKED */
	assert_int_equal(config(f, PCI_INTERRUPT_LINE) >> 8, 1);
	/* the level is in the status register, armed or not, and in the device's own */
	assert_false(pending(f));
	assert_int_equal(bar_get(f, IOAT_INTRCTRL, 1), 1);
	interrupt(f);
	assert_true(pending(f));
	assert_int_equal(bar_get(f, IOAT_INTRCTRL, 1), 7);
	bar(f, IOAT_INTRCTRL, 0, 1);
	assert_false(pending(f));
	assert_int_equal(bar_get(f, IOAT_INTRCTRL, 1), 2);
	bar(f, IOAT_INTRCTRL, 1, 1);
	assert_true(pending(f));
	serve(f);
	assert_false(pending(f));
	assert_int_equal(bar_get(f, IOAT_ATTNSTATUS, 4), 0);
	interrupt(f);
	assert_int_equal(client_ioctl(f->c, f->o.device, UAPI_DEVICE_RESET, 0), 0);
	assert_false(pending(f));
}

static void test_automask(void **state)
{
	struct fixture *f = *state;

	arm(f, UAPI_IRQ_INTX, 0);
	for (int i = 0; i < 3; i++) {
		/* once for any number of them, until it is unmasked */
		interrupt(f);
		assert_int_equal(taken(f, 0), 1);
		interrupt(f);
		serve(f);
		interrupt(f);
		assert_int_equal(taken(f, 0), 0);
		/* still asserted: again, and masked again */
		unmask(f);
		assert_int_equal(taken(f, 0), 1);
		unmask(f);
		assert_int_equal(taken(f, 0), 1);
		serve(f);
		unmask(f);
		assert_int_equal(taken(f, 0), 0);
		/* nothing is masked: nothing to send */
		unmask(f);
		assert_int_equal(taken(f, 0), 0);
	}
}

static void test_mask(void **state)
{
	struct fixture *f = *state;
	const uint8_t yes = 1, no = 0;

	arm(f, UAPI_IRQ_INTX, 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, BOOL | MASK, 1, &yes), 0);
	interrupt(f);
	assert_int_equal(taken(f, 0), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, BOOL | UNMASK, 1, &no), 0);
	assert_int_equal(taken(f, 0), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, BOOL | UNMASK, 1, &yes), 0);
	assert_int_equal(taken(f, 0), 1);
	serve(f);
	unmask(f);
	assert_int_equal(set(f, UAPI_IRQ_INTX, BOOL | MASK, 1, &no), 0);
	interrupt(f);
	assert_int_equal(taken(f, 0), 1);
	serve(f);
	unmask(f);
	/* loopback does not mask, and is not kept back by masking */
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | MASK, 1, NULL), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 1, NULL), 0);
	assert_int_equal(taken(f, 0), 1);
}

/* What the device asserts before it is armed comes with arming. */
static void test_arm_pending(void **state)
{
	struct fixture *f = *state;
	const int none = -1;

	interrupt(f);
	arm(f, UAPI_IRQ_INTX, 0);
	assert_int_equal(taken(f, 0), 1);
	/* another eventfd takes over; the interrupt stays masked */
	arm(f, UAPI_IRQ_INTX, 1);
	assert_int_equal(taken(f, 1), 0);
	unmask(f);
	assert_int_equal(taken(f, 0), 0);
	assert_int_equal(taken(f, 1), 1);
	/* and without one it is armed all the same */
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | TRIGGER, 1, &none), 0);
	unmask(f);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 1, NULL), 0);
	disarm(f, UAPI_IRQ_INTX);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | TRIGGER, 1, &none), 0);
	disarm(f, UAPI_IRQ_INTX);
	assert_int_equal(taken(f, 1), 0);
}

static void test_unmask_eventfd(void **state)
{
	struct fixture *f = *state;
	const int none = -1, closed = 60;

	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &f->e[1]), -EINVAL);
	arm(f, UAPI_IRQ_INTX, 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &closed), -EBADF);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &f->o.group), -EINVAL);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &f->e[1]), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &f->e[2]), -EBUSY);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &closed), -EBADF);
	interrupt(f);
	assert_int_equal(taken(f, 0), 1);
	client_kick(f->c, f->e[1]);
	assert_int_equal(taken(f, 0), 1);
	serve(f);
	client_kick(f->c, f->e[1]);
	assert_int_equal(taken(f, 0), 0);
	interrupt(f);
	assert_int_equal(taken(f, 0), 1);
	/* taken away; then it is an eventfd like any other */
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &none), 0);
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &none), 0);
	client_kick(f->c, f->e[1]);
	assert_int_equal(taken(f, 0), 0);
	assert_int_equal(taken(f, 1), 1);
	/* disarming takes it along */
	assert_int_equal(set(f, UAPI_IRQ_INTX, EVENTFD | UNMASK, 1, &f->e[2]), 0);
	disarm(f, UAPI_IRQ_INTX);
	assert_int_equal(f->c->fd[f->e[2]].dups, 0);
	assert_null(f->c->fd[f->e[2]].watch.wake);
}

/* INTx disable of the command register, which the client sees a virtual one of. */
static void test_command_register(void **state)
{
	struct fixture *f = *state;

	arm(f, UAPI_IRQ_INTX, 0);
	command(f, OFF);
	assert_int_equal(config(f, PCI_COMMAND), OFF);
	interrupt(f);
	assert_true(pending(f));
	assert_int_equal(taken(f, 0), 0);
	unmask(f);
	assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | TRIGGER, 1, NULL), 0);
	assert_int_equal(taken(f, 0), 0);
	command(f, OFF | PCI_COMMAND_PARITY);
	assert_int_equal(taken(f, 0), 0);
	command(f, ON);
	assert_int_equal(taken(f, 0), 1);
	serve(f);
	unmask(f);
	/* one that was armed while it was off */
	disarm(f, UAPI_IRQ_INTX);
	command(f, OFF);
	interrupt(f);
	arm(f, UAPI_IRQ_INTX, 0);
	assert_int_equal(taken(f, 0), 0);
	command(f, ON);
	assert_int_equal(taken(f, 0), 1);
	/* only the last close forgets it */
	command(f, OFF);
	client_close(f->c, f->o.device);
	f->o.device = (int)client_call(f->c, f->o.group, UAPI_GROUP_GET_DEVICE_FD,
				       (char[]){ "0000:01:00.0" }, 13);
	assert_true(f->o.device >= 0);
	assert_false(pending(f));
	command(f, ON);
	bar(f, IOAT_INTRCTRL, IOAT_INTRCTRL_MASTER_EN, 1);
	bar(f, IOAT_CHANNEL + IOAT_CHAINADDR, DESC, 8);
	arm(f, UAPI_IRQ_INTX, 0);
	interrupt(f);
	assert_int_equal(taken(f, 0), 1);
}

/* One kind at a time; a device that sends messages leaves its pin alone. */
static void test_switching(void **state)
{
	struct fixture *f = *state;
	static const uint32_t order[] = { UAPI_IRQ_INTX, UAPI_IRQ_MSI, UAPI_IRQ_MSIX,
					  UAPI_IRQ_INTX };

	for (unsigned int i = 0; i < 4; i++) {
		if (i)
			disarm(f, order[i - 1]);
		arm(f, order[i], 0);
		for (uint32_t other = 0; other < 3; other++) {
			if (other == order[i])
				continue;
			assert_int_equal(set(f, other, EVENTFD | TRIGGER, 1, &f->e[1]), -EINVAL);
			assert_int_equal(set(f, other, NONE | TRIGGER, 0, NULL), -EINVAL);
			assert_int_equal(set(f, other, NONE | TRIGGER, 1, NULL), -EINVAL);
		}
		if (order[i] != UAPI_IRQ_INTX) {
			assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | MASK, 1, NULL), -EINVAL);
			assert_int_equal(set(f, UAPI_IRQ_INTX, NONE | UNMASK, 1, NULL), -EINVAL);
		}
		taken(f, 0);
		interrupt(f);
		assert_int_equal(taken(f, 0), 1);
		assert_int_equal(pending(f), order[i] == UAPI_IRQ_INTX);
		/* messages are edges */
		interrupt(f);
		assert_int_equal(taken(f, 0), order[i] != UAPI_IRQ_INTX);
		/* the device's own status is there whatever carries the interrupt */
		serve(f);
	}
}

/* Messages on top of an asserted pin: it goes down with MSI on, and comes back with it off. */
static void test_pin_and_messages(void **state)
{
	struct fixture *f = *state;

	interrupt(f);
	assert_true(pending(f));
	arm(f, UAPI_IRQ_MSI, 0);
	assert_false(pending(f));
	assert_int_equal(taken(f, 0), 0);
	disarm(f, UAPI_IRQ_MSI);
	assert_true(pending(f));
	arm(f, UAPI_IRQ_INTX, 1);
	assert_int_equal(taken(f, 1), 1);
}

static void test_ioeventfd(void **state)
{
	struct fixture *f = *state;
	const uint64_t reg = cbit_vfio_offset(f->pci, 0) + IOAT_CHANNEL + IOAT_CHANCMP;
	const struct {
		uint32_t argsz, flags;
		uint64_t offset;
		int fd;
		long ret;
	} cases[] = {
		{ 27, 4, reg, f->e[0], -EINVAL },
		{ 28, 0, reg, f->e[0], -EINVAL },
		{ 28, 3, reg, f->e[0], -EINVAL },
		{ 28, 16, reg, f->e[0], -EINVAL },
		{ 28, 20, reg, f->e[0], -EINVAL },
		{ 28, 4, reg, -2, -EINVAL },
		{ 28, 4, cbit_vfio_offset(f->pci, 7) + 4, f->e[0], -EINVAL },
		{ 28, 4, cbit_vfio_offset(f->pci, 1), f->e[0], -EINVAL },
		{ 28, 4, cbit_vfio_offset(f->pci, 0) + 0x3ffd, f->e[0], -EINVAL },
		{ 28, 4, cbit_vfio_offset(f->pci, 4), f->e[0], -EINVAL },
		{ 28, 4, cbit_vfio_offset(f->pci, 4) + 255, f->e[0], -EINVAL },
		{ 28, 4, IOAT_CHANNEL, f->e[0], -EINVAL },
		{ 28, 8, reg, f->e[0], -EINVAL },
		{ 28, 4, reg, -1, -ENODEV },
		{ 28, 4, reg, 60, -EBADF },
		{ 28, 4, reg, f->o.group, -EINVAL },
		{ 28, 4, reg, f->e[0], 0 },
		{ 28, 4, reg, f->e[1], -EEXIST },
		{ 28, 4, reg, 60, -EEXIST },
		{ 28, 2, reg, f->e[1], 0 },
		{ 28, 4, cbit_vfio_offset(f->pci, 4) + 256, f->e[2], 0 },
		{ 28, 2, reg, -1, 0 },
		{ 28, 2, reg, -1, -ENODEV },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct uapi_ioeventfd arg = { .argsz = cases[i].argsz,
					      .flags = cases[i].flags,
					      .offset = cases[i].offset,
					      .data = 0x1234,
					      .fd = cases[i].fd };
		long ret = client_call(f->c, f->o.device, UAPI_DEVICE_IOEVENTFD, &arg, 28);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld", i, ret);
	}
	assert_int_equal(client_ioctl(f->c, f->o.device, UAPI_DEVICE_IOEVENTFD, NOWHERE), -EFAULT);
	assert_int_equal(f->c->fd[f->e[1]].dups, 0);
	client_kick(f->c, f->e[0]);
	assert_int_equal(bar_get(f, IOAT_CHANNEL + IOAT_CHANCMP, 8), 0x1234);
	/* memory decoding off: the write goes nowhere */
	bar(f, IOAT_CHANNEL + IOAT_CHANCMP, 0, 8);
	command(f, 0);
	client_kick(f->c, f->e[0]);
	command(f, ON);
	assert_int_equal(bar_get(f, IOAT_CHANNEL + IOAT_CHANCMP, 8), 0);
	/* the last close takes them along */
	client_close(f->c, f->o.device);
	assert_int_equal(f->c->fd[f->e[0]].dups + f->c->fd[f->e[2]].dups, 0);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_device),      T(test_automask),         T(test_mask),
		T(test_arm_pending), T(test_unmask_eventfd),   T(test_command_register),
		T(test_switching),   T(test_pin_and_messages), T(test_ioeventfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
