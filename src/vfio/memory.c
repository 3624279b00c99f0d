/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a device's memory answers. What takes it away revokes its dma-bufs first, and what may
 * have brought it back makes them good again (Linux 7.2: drivers/vfio/pci/vfio_pci_config.c and
 * vfio_pci_core.c, the places that hold memory_lock for writing).
 */
#include "vfio_internal.h"

/* PCI Express Base Specification 5.0, 7.5.1.1, 7.5.2, 7.5.3.4 */
#define PCI_COMMAND_MEMORY 2u
#define PCI_CAP_POINTER    0x34u
#define PCI_CAP_ID_PM      1u
#define PCI_CAP_ID_EXP     0x10u
#define PCI_PM_CTRL        4u
#define PCI_PM_STATE_MASK  3u
#define PCI_PM_D3HOT       3u
#define PCI_EXP_DEVCTL_HI  9u
#define PCI_EXP_DEVCTL_FLR 0x80u

static uint8_t config8(struct cbit_pci *pci, uint32_t pos)
{
	uint8_t v;

	cbit_pci_config_read(pci, pos, &v, sizeof(v));
	return v;
}

static uint32_t find_cap(struct cbit_pci *pci, uint8_t id)
{
	uint32_t pos = config8(pci, PCI_CAP_POINTER);

	/* A list that bites its tail ends some time. */
	for (unsigned int i = 0; pos && i < 48; i++) {
		if (config8(pci, pos) == id)
			return pos;
		pos = config8(pci, pos + 1);
	}
	return 0;
}

void vfio_memory_init(struct vfio_device *dev)
{
	pthread_mutex_init(&dev->memory_lock, NULL);
	dev->pm_cap = find_cap(dev->pci, PCI_CAP_ID_PM);
	dev->exp_cap = find_cap(dev->pci, PCI_CAP_ID_EXP);
}

void vfio_memory_destroy(struct vfio_device *dev)
{
	pthread_mutex_destroy(&dev->memory_lock);
}

void vfio_memory_off(struct vfio_device *dev)
{
	pthread_mutex_lock(&dev->memory_lock);
	vfio_dmabuf_move(dev, true);
}

void vfio_memory_on(struct vfio_device *dev)
{
	if (cbit_pci_decoding(dev->pci))
		vfio_dmabuf_move(dev, false);
	pthread_mutex_unlock(&dev->memory_lock);
}

/* The byte at @at, where a write has it. */
static const uint8_t *covered(uint32_t at, uint32_t pos, const uint8_t *buf, uint32_t len)
{
	return at >= pos && at - pos < len ? buf + (at - pos) : NULL;
}

void vfio_memory_config_write(struct vfio_device *dev, uint32_t pos, const void *buf, uint32_t len)
{
	const uint8_t *command = covered(VFIO_PCI_COMMAND, pos, buf, len), *pm = NULL, *flr = NULL;

	if (dev->pm_cap)
		pm = covered(dev->pm_cap + PCI_PM_CTRL, pos, buf, len);
	if (dev->exp_cap)
		flr = covered(dev->exp_cap + PCI_EXP_DEVCTL_HI, pos, buf, len);
	if (flr && !(*flr & PCI_EXP_DEVCTL_FLR))
		flr = NULL;
	if (!command && !pm && !flr) {
		cbit_pci_config_write(dev->pci, pos, buf, len);
		return;
	}
	pthread_mutex_lock(&dev->memory_lock);
	if ((command && !(*command & PCI_COMMAND_MEMORY)) ||
	    (pm && (*pm & PCI_PM_STATE_MASK) == PCI_PM_D3HOT) || flr)
		vfio_dmabuf_move(dev, true);
	cbit_pci_config_write(dev->pci, pos, buf, len);
	/* However it is reset, a device runs afterwards (include/uapi/linux/vfio.h). */
	if (flr && !cbit_pci_removed(dev->pci))
		vfio_mig_reset(dev);
	vfio_memory_on(dev);
}
