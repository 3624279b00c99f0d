/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts of a device file: GET_IRQ_INFO, SET_IRQS and the eventfds, in the order of
 * checks of Linux 7.2 (vfio_main.c, vfio_set_irqs_validate_and_prepare; vfio_pci_intrs.c).
 */
#include <errno.h>
#include <string.h>

#include "vfio_internal.h"

void vfio_irq_init(struct vfio_device *dev)
{
	pthread_mutex_init(&dev->irq_lock, NULL);
	dev->irq_type = -1;
	dev->err_eventfd = -1;
	dev->req_eventfd = -1;
	for (unsigned int i = 0; i < VFIO_MAX_VECTORS; i++)
		dev->eventfd[i] = -1;
}

static void put(struct vfio_device *dev, int *fd)
{
	if (*fd >= 0)
		dev->machine->client->eventfd_put(dev->machine->client_opaque, *fd);
	*fd = -1;
}

static void ring(struct vfio_device *dev, int fd)
{
	if (fd >= 0)
		dev->machine->client->signal(dev->machine->client_opaque, fd);
}

/*
 * Called with the interrupt lock held, as everything below. The device's own lock is never
 * taken inside it (the device raises interrupts with that held), so what the device must be
 * told is returned: the index that was on, or -1.
 */
static int disable(struct vfio_device *dev)
{
	int type = dev->irq_type;

	for (unsigned int i = 0; i < VFIO_MAX_VECTORS; i++)
		put(dev, &dev->eventfd[i]);
	dev->irq_type = -1;
	dev->intx_masked = false;
	return type;
}

void vfio_irq_disable_all(struct vfio_device *dev)
{
	int type;

	pthread_mutex_lock(&dev->irq_lock);
	type = disable(dev);
	put(dev, &dev->err_eventfd);
	put(dev, &dev->req_eventfd);
	pthread_mutex_unlock(&dev->irq_lock);
	if (type >= 0)
		cbit_pci_set_irqs_enabled(dev->pci, (unsigned int)type, 0);
}

void vfio_irq_raise(struct vfio_device *dev, unsigned int index, unsigned int vector)
{
	pthread_mutex_lock(&dev->irq_lock);
	if (dev->irq_type == (int)index && vector < VFIO_MAX_VECTORS)
		ring(dev, dev->eventfd[vector]);
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

struct request {
	struct vfio_device *dev;
	const struct vfio_call *call;
	struct uapi_irq_set hdr;
	int toggled;          /* index that was switched on or off, -1 for none */
	unsigned int vectors; /* how many it has now */
	union {
		uint8_t bools[VFIO_MAX_VECTORS];
		int32_t fds[VFIO_MAX_VECTORS];
	} data;
};

/* The client's eventfd as a descriptor of our own: clients close theirs before tear-down. */
static int take(const struct request *r, int32_t fd)
{
	struct cbit_machine *machine = r->dev->machine;

	return machine->client->eventfd(machine->client_opaque, r->call->caller, fd);
}

static int set_vector(struct request *r, unsigned int vector, int32_t fd)
{
	int own;

	put(r->dev, &r->dev->eventfd[vector]);
	if (fd < 0)
		return 0;
	own = take(r, fd);
	if (own < 0)
		return own;
	r->dev->eventfd[vector] = own;
	return 0;
}

static int set_block(struct request *r)
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

static long msi_trigger(struct request *r)
{
	struct vfio_device *dev = r->dev;
	bool mine = dev->irq_type == (int)r->hdr.index;
	int ret;

	if (mine && !r->hdr.count && r->hdr.flags & UAPI_IRQ_SET_DATA_NONE) {
		r->toggled = disable(dev);
		return 0;
	}
	if (!mine && dev->irq_type >= 0)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_EVENTFD) {
		if (!mine) {
			if (!r->hdr.start && !r->hdr.count)
				return -ERANGE; /* no vectors at all cannot be enabled */
			dev->irq_type = (int)r->hdr.index;
			r->toggled = dev->irq_type;
			r->vectors = r->hdr.start + r->hdr.count;
		}
		ret = set_block(r);
		if (ret && !mine) {
			disable(dev);
			r->toggled = -1;
		}
		return ret;
	}
	if (!mine)
		return -EINVAL;
	for (unsigned int i = 0; i < r->hdr.count; i++) {
		if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE || r->data.bools[i])
			ring(dev, dev->eventfd[r->hdr.start + i]);
	}
	return 0;
}

static long intx_trigger(struct request *r)
{
	struct vfio_device *dev = r->dev;
	bool mine = dev->irq_type == UAPI_IRQ_INTX;
	int own = -1;

	if (mine && !r->hdr.count && r->hdr.flags & UAPI_IRQ_SET_DATA_NONE) {
		r->toggled = disable(dev);
		return 0;
	}
	if ((!mine && dev->irq_type >= 0) || r->hdr.start || r->hdr.count != 1)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_EVENTFD) {
		/* Unlike MSI: what was set before stays when the new one is no eventfd. */
		if (r->data.fds[0] >= 0) {
			own = take(r, r->data.fds[0]);
			if (own < 0)
				return own;
		}
		put(dev, &dev->eventfd[0]);
		dev->eventfd[0] = own;
		dev->irq_type = UAPI_IRQ_INTX;
		r->toggled = UAPI_IRQ_INTX;
		r->vectors = 1;
		return 0;
	}
	if (!mine)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE || r->data.bools[0])
		ring(dev, dev->eventfd[0]);
	return 0;
}

static long intx_mask(struct request *r, bool mask)
{
	if (r->dev->irq_type != UAPI_IRQ_INTX || r->hdr.start || r->hdr.count != 1)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_EVENTFD)
		return mask ? -ENOTTY : 0;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE || r->data.bools[0])
		r->dev->intx_masked = mask;
	return 0;
}

/* ERR and REQ: one eventfd, no state of the hardware. */
static long single_trigger(struct request *r, int *eventfd)
{
	int own;

	if (r->hdr.start || r->hdr.count > 1)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_NONE) {
		if (*eventfd < 0)
			return -EINVAL;
		if (r->hdr.count)
			ring(r->dev, *eventfd);
		else
			put(r->dev, eventfd);
		return 0;
	}
	if (!r->hdr.count)
		return -EINVAL;
	if (r->hdr.flags & UAPI_IRQ_SET_DATA_BOOL) {
		if (r->data.bools[0])
			ring(r->dev, *eventfd);
		return 0;
	}
	if (r->data.fds[0] < -1)
		return -EINVAL;
	own = r->data.fds[0] < 0 ? -1 : take(r, r->data.fds[0]);
	if (own < 0 && r->data.fds[0] >= 0)
		return own;
	put(r->dev, eventfd);
	*eventfd = own;
	return 0;
}

static long dispatch(struct request *r)
{
	uint32_t action = r->hdr.flags & UAPI_IRQ_SET_ACTION_ALL;

	switch (r->hdr.index) {
	case UAPI_IRQ_INTX:
		if (action == UAPI_IRQ_SET_ACTION_TRIGGER)
			return intx_trigger(r);
		if (action == UAPI_IRQ_SET_ACTION_MASK || action == UAPI_IRQ_SET_ACTION_UNMASK)
			return intx_mask(r, action == UAPI_IRQ_SET_ACTION_MASK);
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
	struct request r = { .dev = dev, .call = call, .toggled = -1 };
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
	pthread_mutex_lock(&dev->irq_lock);
	ret = dispatch(&r);
	pthread_mutex_unlock(&dev->irq_lock);
	if (r.toggled >= 0)
		cbit_pci_set_irqs_enabled(dev->pci, (unsigned int)r.toggled, r.vectors);
	return ret;
}
