/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What interrupts in general (irq.c) and the pin (intx.c) share. Everything here is called with
 * the device's igate held, unless it says otherwise.
 */
#ifndef CBIT_VFIO_IRQ_H
#define CBIT_VFIO_IRQ_H

#include "vfio_internal.h"

/* A SET_IRQS that passed the checks of its header, with its data. */
struct vfio_irq_request {
	struct vfio_device *dev;
	const struct vfio_call *call;
	struct uapi_irq_set hdr;
	union {
		uint8_t bools[VFIO_MAX_VECTORS];
		int32_t fds[VFIO_MAX_VECTORS];
	} data;
};

int vfio_irq_take(const struct vfio_irq_request *r, int32_t fd);
/* Put an eventfd of ours into its place, and give back what was there. */
void vfio_irq_replace(struct vfio_device *dev, int *slot, int fd);
void vfio_irq_signal(struct vfio_device *dev, int fd);
void vfio_irq_set_type(struct vfio_device *dev, int type);
void vfio_irq_disable(struct vfio_device *dev);

/* intx.c: the actions of SET_IRQS */
long vfio_intx_trigger(struct vfio_irq_request *r);
long vfio_intx_mask(struct vfio_irq_request *r);
long vfio_intx_unmask(struct vfio_irq_request *r);
/* The pin is asserted. With irq_lock held instead. */
void vfio_intx_fire(struct vfio_device *dev);
/* No eventfd unmasks any more, and none is about to. */
void vfio_intx_unwatch(struct vfio_device *dev);

#endif
