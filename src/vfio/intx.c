/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pin: a level, so an interrupt masks itself when it is delivered and is delivered again
 * after unmasking for as long as the device asserts it (Linux 7.2: vfio_pci_intrs.c,
 * vfio_intx_handler, vfio_pci_intx_unmask_handler; vfio_pci_config.c for INTx disable).
 *
 * Who unmasks looks at the level under irq_lock, and the device changes its level before it takes
 * that lock: whichever comes second sees what the first did, and no assertion is missed.
 */
#include <errno.h>

#include "irq.h"

/* What SET_IRQS and the handler send; not while the client has INTx disabled. */
static void send(struct vfio_device *dev)
{
	if (!dev->intx_disabled)
		vfio_irq_signal(dev, dev->eventfd[0]);
}

void vfio_intx_fire(struct vfio_device *dev)
{
	if (dev->intx_masked)
		return;
	dev->intx_masked = true;
	send(dev);
}

static void mask(struct vfio_device *dev)
{
	pthread_mutex_lock(&dev->irq_lock);
	dev->intx_masked = true;
	pthread_mutex_unlock(&dev->irq_lock);
}

/* Stays masked, and is sent again, when the pin is still asserted. Any thread, no lock held. */
static void unmask(void *opaque)
{
	struct vfio_device *dev = opaque;

	pthread_mutex_lock(&dev->irq_lock);
	if (dev->irq_type == UAPI_IRQ_INTX && dev->intx_masked && !dev->intx_disabled) {
		dev->intx_masked = cbit_pci_intx(dev->pci);
		if (dev->intx_masked)
			send(dev);
	}
	pthread_mutex_unlock(&dev->irq_lock);
}

void vfio_intx_unwatch(struct vfio_device *dev)
{
	const struct cbit_client_ops *ops = dev->machine->client;

	if (dev->unmask_eventfd < 0)
		return;
	ops->watch(dev->machine->client_opaque, dev->unmask_eventfd, NULL, NULL);
	vfio_irq_replace(dev, &dev->unmask_eventfd, -1);
}

static long watch(struct vfio_irq_request *r, int32_t fd)
{
	struct vfio_device *dev = r->dev;
	const struct cbit_client_ops *ops = dev->machine->client;
	int own, ret;

	own = vfio_irq_take(r, fd);
	if (own < 0)
		return own;
	if (dev->unmask_eventfd >= 0)
		ret = -EBUSY;
	else
		ret = ops->watch ? ops->watch(dev->machine->client_opaque, own, unmask, dev)
				 : -ENOTTY;
	if (ret)
		ops->eventfd_put(dev->machine->client_opaque, own);
	else
		vfio_irq_replace(dev, &dev->unmask_eventfd, own);
	return ret;
}

/* INTx becomes the interrupt of the device; what it asserts already comes at once. */
static void arm(struct vfio_device *dev, int eventfd)
{
	pthread_mutex_lock(&dev->irq_lock);
	dev->eventfd[0] = eventfd;
	dev->intx_masked = dev->intx_disabled;
	dev->irq_type = UAPI_IRQ_INTX;
	if (cbit_pci_intx(dev->pci))
		vfio_intx_fire(dev);
	pthread_mutex_unlock(&dev->irq_lock);
}

long vfio_intx_trigger(struct vfio_irq_request *r)
{
	struct vfio_device *dev = r->dev;
	bool mine = dev->irq_type == UAPI_IRQ_INTX;
	int own = -1;

	if (mine && !r->hdr.count && r->hdr.flags & UAPI_IRQ_SET_DATA_NONE) {
		vfio_irq_disable(dev);
		return 0;
	}
	if ((!mine && dev->irq_type >= 0) || r->hdr.start || r->hdr.count != 1)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_EVENTFD) {
		/* Unlike MSI: what was set before stays when the new one is no eventfd. */
		if (r->data.fds[0] >= 0) {
			own = vfio_irq_take(r, r->data.fds[0]);
			if (own < 0)
				return own;
		}
		if (mine)
			vfio_irq_replace(dev, &dev->eventfd[0], own);
		else
			arm(dev, own);
		return 0;
	}
	if (!mine)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE || r->data.bools[0])
		send(dev);
	return 0;
}

/* Masking and unmasking have one interrupt, and need it armed. */
static bool no_pin(const struct vfio_irq_request *r)
{
	return r->dev->irq_type != UAPI_IRQ_INTX || r->hdr.start || r->hdr.count != 1;
}

long vfio_intx_mask(struct vfio_irq_request *r)
{
	if (no_pin(r))
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_EVENTFD)
		return -ENOTTY;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE || r->data.bools[0])
		mask(r->dev);
	return 0;
}

long vfio_intx_unmask(struct vfio_irq_request *r)
{
	if (no_pin(r))
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_EVENTFD) {
		if (r->data.fds[0] >= 0)
			return watch(r, r->data.fds[0]);
		vfio_intx_unwatch(r->dev);
		return 0;
	}
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE || r->data.bools[0])
		unmask(r->dev);
	return 0;
}

void vfio_intx_config_written(struct vfio_device *dev)
{
	uint16_t command;
	bool disabled;

	pthread_mutex_lock(&dev->igate);
	cbit_pci_config_read(dev->pci, VFIO_PCI_COMMAND, &command, sizeof(command));
	disabled = (command & VFIO_PCI_COMMAND_INTX_OFF) != 0;
	if (disabled != dev->intx_disabled) {
		pthread_mutex_lock(&dev->irq_lock);
		dev->intx_disabled = disabled;
		pthread_mutex_unlock(&dev->irq_lock);
		if (disabled)
			mask(dev);
		else
			unmask(dev);
	}
	pthread_mutex_unlock(&dev->igate);
}
