/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Migration, version 2: the state machine of a device that supports stop-copy and the
 * quiescent states of peer-to-peer, and the streams of its state (Linux 7.2:
 * include/uapi/linux/vfio.h; drivers/vfio/vfio_main.c; what a driver does on each arc as
 * drivers/vfio/pci/mlx5).
 */
#include <errno.h>
#include <string.h>

#include "vfio_internal.h"

#define FLAGS (UAPI_MIGRATION_STOP_COPY | UAPI_MIGRATION_P2P)

void vfio_mig_init(struct vfio_device *dev)
{
	pthread_mutex_init(&dev->mig_lock, NULL);
	dev->mig_state = UAPI_MIG_RUNNING;
	dev->mig_stream = NULL;
}

void vfio_mig_destroy(struct vfio_device *dev)
{
	pthread_mutex_destroy(&dev->mig_lock);
}

static void drop_stream(struct vfio_device *dev)
{
	if (dev->mig_stream)
		dev->machine->client->stream_drop(dev->machine->client_opaque, dev->mig_stream);
	dev->mig_stream = NULL;
}

void vfio_mig_reset(struct vfio_device *dev)
{
	if (!cbit_pci_migratable(dev->pci))
		return;
	pthread_mutex_lock(&dev->mig_lock);
	drop_stream(dev);
	if (dev->mig_state != UAPI_MIG_RUNNING)
		cbit_pci_freeze(dev->pci, false);
	dev->mig_state = UAPI_MIG_RUNNING;
	pthread_mutex_unlock(&dev->mig_lock);
}

/*
 * The next state on the shortest way: RUNNING - RUNNING_P2P - STOP, from where STOP_COPY and
 * RESUMING are reached and left. Linux: vfio_mig_get_next_state().
 */
static int next_state(uint32_t now, uint32_t wanted, uint32_t *next)
{
	if (now == UAPI_MIG_ERROR || wanted == UAPI_MIG_ERROR || wanted >= UAPI_MIG_PRE_COPY)
		return -EINVAL;
	if (now == UAPI_MIG_RUNNING)
		*next = UAPI_MIG_RUNNING_P2P;
	else if (now == UAPI_MIG_RUNNING_P2P)
		*next = wanted == UAPI_MIG_RUNNING ? wanted : UAPI_MIG_STOP;
	else if (now == UAPI_MIG_STOP)
		*next = wanted == UAPI_MIG_RUNNING ? UAPI_MIG_RUNNING_P2P : wanted;
	else
		*next = UAPI_MIG_STOP;
	return 0;
}

/* The end of RESUMING: what came is the state, or it is not taken. */
static int take_in(struct vfio_device *dev)
{
	const struct cbit_client_ops *ops = dev->machine->client;
	uint8_t buf[CBIT_PCI_STATE_MAX];
	long len;

	if (!dev->mig_stream)
		return -EINVAL; /* nobody was given it */
	len = ops->stream_take(dev->machine->client_opaque, dev->mig_stream, buf, sizeof(buf));
	return len < 0 ? (int)len : cbit_pci_load(dev->pci, buf, (size_t)len);
}

/* One arc. *@fd: the descriptor of a new stream; NULL where none can be given. */
static int step(struct vfio_device *dev, const struct vfio_call *call, uint32_t next, int *fd)
{
	const struct cbit_client_ops *ops = dev->machine->client;
	uint8_t buf[CBIT_PCI_STATE_MAX];
	int ret = 0;

	if (next == UAPI_MIG_RUNNING_P2P && dev->mig_state == UAPI_MIG_RUNNING) {
		/* What of its DMA is peer-to-peer it cannot tell: all of it stops. */
		cbit_pci_freeze(dev->pci, true);
	} else if (next == UAPI_MIG_RUNNING) {
		cbit_pci_freeze(dev->pci, false);
	} else if (next == UAPI_MIG_STOP_COPY && fd) {
		ret = ops->stream_out(dev->machine->client_opaque, call->caller, buf,
				      cbit_pci_save(dev->pci, buf));
	} else if (next == UAPI_MIG_RESUMING && fd) {
		ret = ops->stream_in(dev->machine->client_opaque, call->caller, &dev->mig_stream);
	} else if (dev->mig_state == UAPI_MIG_RESUMING) {
		ret = take_in(dev);
		if (!ret)
			drop_stream(dev);
	}
	if (ret >= 0 && fd && (next == UAPI_MIG_STOP_COPY || next == UAPI_MIG_RESUMING)) {
		*fd = ret;
		ret = 0;
	}
	return ret;
}

static int set_state(struct vfio_device *dev, const struct vfio_call *call, uint32_t wanted,
		     int *fd)
{
	uint32_t next;
	int ret = 0;

	pthread_mutex_lock(&dev->mig_lock);
	while (!ret && dev->mig_state != wanted) {
		ret = next_state(dev->mig_state, wanted, &next);
		ret = ret ? ret : step(dev, call, next, fd);
		if (!ret)
			dev->mig_state = next;
	}
	pthread_mutex_unlock(&dev->mig_lock);
	return ret;
}

long vfio_mig_flags(struct vfio_device *dev, const struct vfio_call *call,
		    const struct uapi_feature *feat)
{
	const uint64_t flags = FLAGS;
	int ret;

	if (!cbit_pci_migratable(dev->pci))
		return -ENOTTY;
	ret = vfio_check_feature(feat, UAPI_FEATURE_GET, sizeof(flags));
	return ret == 1 ? vfio_put(call, sizeof(*feat), &flags, sizeof(flags)) : ret;
}

long vfio_mig_state(struct vfio_device *dev, const struct vfio_call *call,
		    const struct uapi_feature *feat)
{
	struct uapi_mig_state mig;
	int ret, put;

	if (!cbit_pci_migratable(dev->pci))
		return -ENOTTY;
	ret = vfio_check_feature(feat, UAPI_FEATURE_SET | UAPI_FEATURE_GET, sizeof(mig));
	if (ret != 1)
		return ret;
	ret = vfio_get(call, &mig, sizeof(*feat), sizeof(mig));
	if (ret)
		return ret;
	if (feat->flags & UAPI_FEATURE_GET) {
		pthread_mutex_lock(&dev->mig_lock);
		mig.device_state = dev->mig_state;
		pthread_mutex_unlock(&dev->mig_lock);
		mig.data_fd = -1;
	} else {
		/* A descriptor that is given cannot be taken back: is there a place for its number?
		 */
		mig.data_fd = -1;
		put = vfio_put(call, sizeof(*feat), &mig, sizeof(mig));
		ret = set_state(dev, call, mig.device_state, put ? NULL : &mig.data_fd);
	}
	put = vfio_put(call, sizeof(*feat), &mig, sizeof(mig));
	return put ? put : ret;
}

long vfio_mig_data_size(struct vfio_device *dev, const struct vfio_call *call,
			const struct uapi_feature *feat)
{
	uint8_t buf[CBIT_PCI_STATE_MAX];
	uint64_t length;
	int ret;

	if (!cbit_pci_migratable(dev->pci))
		return -ENOTTY;
	ret = vfio_check_feature(feat, UAPI_FEATURE_GET, sizeof(length));
	if (ret != 1)
		return ret;
	/* It does not depend on what the device is doing. */
	length = cbit_pci_save(dev->pci, buf);
	return vfio_put(call, sizeof(*feat), &length, sizeof(length));
}
