/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds that write to a BAR when they are signalled (Linux 7.2: vfio_pci_core.c,
 * vfio_pci_ioctl_ioeventfd; vfio_pci_rdwr.c, vfio_pci_ioeventfd).
 */
#include <errno.h>
#include <stdlib.h>

#include "vfio_internal.h"

/* Linux: VFIO_PCI_IOEVENTFD_MAX. */
#define MAX 1000u

struct vfio_ioeventfd {
	struct vfio_ioeventfd *next;
	struct cbit_pci *pci;
	unsigned int bar;
	unsigned int count;
	uint64_t pos;
	uint64_t data;
	int eventfd;
};

static void written(void *opaque)
{
	const struct vfio_ioeventfd *io = opaque;

	cbit_pci_bar_write(io->pci, io->bar, io->pos, &io->data, io->count);
}

static void drop(struct vfio_device *dev, struct vfio_ioeventfd *io)
{
	const struct cbit_client_ops *ops = dev->machine->client;

	ops->watch(dev->machine->client_opaque, io->eventfd, NULL, NULL);
	ops->eventfd_put(dev->machine->client_opaque, io->eventfd);
	dev->nr_ioeventfds--;
	free(io);
}

void vfio_ioeventfd_drop_all(struct vfio_device *dev)
{
	struct vfio_ioeventfd *io;

	while ((io = dev->ioeventfds)) {
		dev->ioeventfds = io->next;
		drop(dev, io);
	}
}

static long add(struct vfio_device *dev, const struct vfio_call *call,
		const struct vfio_ioeventfd *what, int32_t fd)
{
	const struct cbit_client_ops *ops = call->machine->client;
	void *opaque = call->machine->client_opaque;
	struct vfio_ioeventfd *io;
	int own, ret;

	if (fd < 0)
		return -ENODEV;
	if (dev->nr_ioeventfds >= MAX)
		return -ENOSPC;
	own = ops->eventfd(opaque, call->caller, fd);
	if (own < 0)
		return own;
	io = malloc(sizeof(*io));
	if (io) {
		*io = *what;
		io->eventfd = own;
		ret = ops->watch ? ops->watch(opaque, own, written, io) : -ENOTTY;
	} else {
		ret = -ENOMEM;
	}
	if (ret) {
		ops->eventfd_put(opaque, own);
		free(io);
		return ret;
	}
	io->next = dev->ioeventfds;
	dev->ioeventfds = io;
	dev->nr_ioeventfds++;
	return 0;
}

static long change(struct vfio_device *dev, const struct vfio_call *call,
		   const struct vfio_ioeventfd *what, int32_t fd)
{
	struct vfio_ioeventfd **at, *io;

	for (at = &dev->ioeventfds; (io = *at); at = &io->next) {
		if (io->pos != what->pos || io->bar != what->bar || io->data != what->data ||
		    io->count != what->count)
			continue;
		if (fd >= 0)
			return -EEXIST;
		*at = io->next;
		drop(dev, io);
		return 0;
	}
	return add(dev, call, what, fd);
}

static bool in_msix_table(const struct vfio_ioeventfd *io)
{
	const uint64_t entry = 16, table = cbit_pci_msix_table(io->pci);

	return (int)io->bar == cbit_pci_msix_bar(io->pci) && io->pos + io->count > table &&
	       io->pos < table + entry * cbit_pci_irq_count(io->pci, UAPI_IRQ_MSIX);
}

long vfio_ioeventfd(struct vfio_device *dev, const struct vfio_call *call)
{
	struct uapi_ioeventfd arg;
	struct vfio_ioeventfd what = { .pci = dev->pci };
	int ret = vfio_get(call, &arg, 0, offsetof(struct uapi_ioeventfd, reserved));
	long done;

	if (ret)
		return ret;
	if (arg.argsz < offsetof(struct uapi_ioeventfd, reserved) ||
	    arg.flags & ~UAPI_IOEVENTFD_SIZES || __builtin_popcount(arg.flags) != 1 || arg.fd < -1)
		return -EINVAL;
	what.count = arg.flags;
	what.data = arg.data;
	what.bar = VFIO_INDEX_OF(arg.offset);
	what.pos = VFIO_POS_OF(arg.offset);
	if (what.bar >= CBIT_PCI_BARS ||
	    arg.offset - what.pos != cbit_vfio_offset(dev->pci, what.bar))
		return -EINVAL;
	if (what.pos + what.count > cbit_pci_bar(dev->pci, what.bar)->size)
		return -EINVAL;
	if (in_msix_table(&what) || what.count == 8)
		return -EINVAL;
	pthread_mutex_lock(&dev->igate);
	done = change(dev, call, &what, arg.fd);
	pthread_mutex_unlock(&dev->igate);
	return done;
}
