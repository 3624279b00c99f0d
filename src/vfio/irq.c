/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of a device file: GET_IRQ_INFO, SET_IRQS and the eventfds, in the order of
 * checks of Linux 7.2 (vfio_main.c, vfio_set_irqs_validate_and_prepare; vfio_pci_intrs.c).
 * What is about the pin is in intx.c.
 *
 * Two locks, as in the kernel: igate makes SET_IRQS and what changes INTx disable follow one
 * another; irq_lock is held for moments, by the device's threads too. Eventfds change under
 * both, so either is enough to look at one.
 */
#include <errno.h>
#include <string.h>

#include "irq.h"

void vfio_irq_init(struct vfio_device *dev)
{
	pthread_mutex_init(&dev->igate, NULL);
	pthread_mutex_init(&dev->irq_lock, NULL);
	dev->irq_type = -1;
	dev->unmask_eventfd = -1;
	dev->err_eventfd = -1;
	dev->req_eventfd = -1;
	for (unsigned int i = 0; i < VFIO_MAX_VECTORS; i++)
		dev->eventfd[i] = -1;
}

void vfio_irq_destroy(struct vfio_device *dev)
{
	pthread_mutex_destroy(&dev->igate);
	pthread_mutex_destroy(&dev->irq_lock);
}

void vfio_irq_replace(struct vfio_device *dev, int *slot, int fd)
{
	int old;

	pthread_mutex_lock(&dev->irq_lock);
	old = *slot;
	*slot = fd;
	pthread_mutex_unlock(&dev->irq_lock);
	if (old >= 0)
		dev->machine->client->eventfd_put(dev->machine->client_opaque, old);
}

void vfio_irq_signal(struct vfio_device *dev, int fd)
{
	if (fd >= 0)
		dev->machine->client->signal(dev->machine->client_opaque, fd);
}

void vfio_irq_set_type(struct vfio_device *dev, int type)
{
	pthread_mutex_lock(&dev->irq_lock);
	dev->irq_type = type;
	pthread_mutex_unlock(&dev->irq_lock);
}

/*
 * With igate held. The device is told last: its own lock is never taken inside irq_lock, for it
 * raises interrupts with that held.
 */
void vfio_irq_disable(struct vfio_device *dev)
{
	int type = dev->irq_type;

	if (type < 0)
		return;
	vfio_intx_unwatch(dev);
	vfio_irq_set_type(dev, -1);
	for (unsigned int i = 0; i < VFIO_MAX_VECTORS; i++)
		vfio_irq_replace(dev, &dev->eventfd[i], -1);
	cbit_pci_set_irqs_enabled(dev->pci, (unsigned int)type, 0);
}

void vfio_irq_disable_all(struct vfio_device *dev)
{
	pthread_mutex_lock(&dev->igate);
	vfio_irq_disable(dev);
	vfio_irq_replace(dev, &dev->err_eventfd, -1);
	vfio_irq_replace(dev, &dev->req_eventfd, -1);
	dev->intx_disabled = false;
	pthread_mutex_unlock(&dev->igate);
}

void vfio_irq_raise(struct vfio_device *dev, unsigned int index, unsigned int vector)
{
	pthread_mutex_lock(&dev->irq_lock);
	/* These two are vfio-pci's own, armed or not. */
	if (index == UAPI_IRQ_ERR || index == UAPI_IRQ_REQ)
		vfio_irq_signal(dev, index == UAPI_IRQ_ERR ? dev->err_eventfd : dev->req_eventfd);
	else if (dev->irq_type == (int)index && vector < VFIO_MAX_VECTORS) {
		if (index == UAPI_IRQ_INTX)
			vfio_intx_fire(dev);
		else
			vfio_irq_signal(dev, dev->eventfd[vector]);
	}
	pthread_mutex_unlock(&dev->irq_lock);
}

long vfio_irq_info(struct vfio_device *dev, const struct vfio_call *call)
{
	struct uapi_irq_info info;
	int ret = vfio_get(call, &info, 0, sizeof(info));

	if (ret)
		return ret;
	if (info.argsz < sizeof(info) || info.index >= UAPI_PCI_NUM_IRQS)
		return -EINVAL;
	info.flags = UAPI_IRQ_EVENTFD;
	info.count = cbit_pci_irq_count(dev->pci, info.index);
	if (info.index == UAPI_IRQ_INTX)
		info.flags |= UAPI_IRQ_MASKABLE | UAPI_IRQ_AUTOMASKED;
	else if (info.index != UAPI_IRQ_MSIX) /* MSI-X can grow at run time on this host */
		info.flags |= UAPI_IRQ_NORESIZE;
	return vfio_put(call, 0, &info, sizeof(info));
}

/* The client's eventfd as a descriptor of our own: clients close theirs before tear-down. */
int vfio_irq_take(const struct vfio_irq_request *r, int32_t fd)
{
	struct cbit_machine *machine = r->dev->machine;

	return machine->client->eventfd(machine->client_opaque, r->call->caller, fd);
}

static int set_vector(struct vfio_irq_request *r, unsigned int vector, int32_t fd)
{
	int own;

	vfio_irq_replace(r->dev, &r->dev->eventfd[vector], -1);
	if (fd < 0)
		return 0;
	own = vfio_irq_take(r, fd);
	if (own < 0)
		return own;
	vfio_irq_replace(r->dev, &r->dev->eventfd[vector], own);
	return 0;
}

static int set_block(struct vfio_irq_request *r)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < r->hdr.count && !ret; i++)
		ret = set_vector(r, r->hdr.start + i, r->data.fds[i]);
	if (ret) {
		while (i--)
			set_vector(r, r->hdr.start + i, -1);
	}
	return ret;
}

static long msi_arm(struct vfio_irq_request *r)
{
	struct vfio_device *dev = r->dev;
	int ret;

	if (!r->hdr.start && !r->hdr.count)
		return -ERANGE; /* no vectors at all cannot be enabled */
	vfio_irq_set_type(dev, (int)r->hdr.index);
	ret = set_block(r);
	if (ret)
		vfio_irq_disable(dev);
	else
		cbit_pci_set_irqs_enabled(dev->pci, r->hdr.index, r->hdr.start + r->hdr.count);
	return ret;
}

static long msi_trigger(struct vfio_irq_request *r)
{
	struct vfio_device *dev = r->dev;
	bool mine = dev->irq_type == (int)r->hdr.index;

	if (mine && !r->hdr.count && r->hdr.flags & UAPI_IRQ_SET_DATA_NONE) {
		vfio_irq_disable(dev);
		return 0;
	}
	if (!mine && dev->irq_type >= 0)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_EVENTFD)
		return mine ? set_block(r) : msi_arm(r);
	if (!mine)
		return -EINVAL;
	for (unsigned int i = 0; i < r->hdr.count; i++) {
		if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE || r->data.bools[i])
			vfio_irq_signal(dev, dev->eventfd[r->hdr.start + i]);
	}
	return 0;
}

/* ERR and REQ: one eventfd, no state of the hardware. */
static long single_trigger(struct vfio_irq_request *r, int *eventfd)
{
	int own;

	if (r->hdr.start || r->hdr.count > 1)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE) {
		if (*eventfd < 0)
			return -EINVAL;
		if (r->hdr.count)
			vfio_irq_signal(r->dev, *eventfd);
		else
			vfio_irq_replace(r->dev, eventfd, -1);
		return 0;
	}
	if (!r->hdr.count)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_BOOL) {
		if (r->data.bools[0])
			vfio_irq_signal(r->dev, *eventfd);
		return 0;
	}
	if (r->data.fds[0] < -1)
		return -EINVAL;
	own = r->data.fds[0] < 0 ? -1 : vfio_irq_take(r, r->data.fds[0]);
	if (own < 0 && r->data.fds[0] >= 0)
		return own;
	vfio_irq_replace(r->dev, eventfd, own);
	return 0;
}

static long dispatch(struct vfio_irq_request *r)
{
	uint32_t action = r->hdr.flags & UAPI_IRQ_SET_ACTION_ALL;

	switch (r->hdr.index) {
	case UAPI_IRQ_INTX:
		if (action == UAPI_IRQ_SET_ACTION_TRIGGER)
			return vfio_intx_trigger(r);
		if (action == UAPI_IRQ_SET_ACTION_MASK)
			return vfio_intx_mask(r);
		if (action == UAPI_IRQ_SET_ACTION_UNMASK)
			return vfio_intx_unmask(r);
		return -ENOTTY;
	case UAPI_IRQ_MSI:
	case UAPI_IRQ_MSIX:
		return action == UAPI_IRQ_SET_ACTION_TRIGGER ? msi_trigger(r) : -ENOTTY;
	case UAPI_IRQ_ERR:
		return action == UAPI_IRQ_SET_ACTION_TRIGGER
			       ? single_trigger(r, &r->dev->err_eventfd)
			       : -ENOTTY;
	default:
		return action == UAPI_IRQ_SET_ACTION_TRIGGER
			       ? single_trigger(r, &r->dev->req_eventfd)
			       : -ENOTTY;
	}
}

long vfio_irq_set(struct vfio_device *dev, const struct vfio_call *call)
{
	struct vfio_irq_request r = { .dev = dev, .call = call };
	uint32_t max, size;
	long ret;

	ret = vfio_get(call, &r.hdr, 0, sizeof(r.hdr));
	if (ret)
		return ret;
	if (r.hdr.argsz < sizeof(r.hdr) || r.hdr.index >= UAPI_PCI_NUM_IRQS ||
	    r.hdr.count >= UINT32_MAX - r.hdr.start ||
	    r.hdr.flags & ~(UAPI_IRQ_SET_DATA_MASK | UAPI_IRQ_SET_ACTION_ALL))
		return -EINVAL;
	max = cbit_pci_irq_count(dev->pci, r.hdr.index);
	if (max > VFIO_MAX_VECTORS)
		max = VFIO_MAX_VECTORS;
	if (r.hdr.start >= max || r.hdr.start + r.hdr.count > max)
		return -EINVAL;
	switch (r.hdr.flags & UAPI_IRQ_SET_DATA_MASK) {
	case UAPI_IRQ_SET_DATA_NONE:
		size = 0;
		break;
	case UAPI_IRQ_SET_DATA_BOOL:
		size = 1;
		break;
	case UAPI_IRQ_SET_DATA_EVENTFD:
		size = 4;
		break;
	default:
		return -EINVAL;
	}
	size *= r.hdr.count;
	if (r.hdr.argsz - sizeof(r.hdr) < size)
		return -EINVAL;
	if (size) {
		ret = vfio_get(call, &r.data, sizeof(r.hdr), size);
		if (ret)
			return ret;
	}
	pthread_mutex_lock(&dev->igate);
	ret = dispatch(&r);
	pthread_mutex_unlock(&dev->igate);
	return ret;
}
