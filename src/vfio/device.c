/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device files: info, regions, configuration space and BAR access, reset, features, as
 * vfio-pci of Linux 7.2 answers (drivers/vfio/pci/vfio_pci_core.c, vfio_pci_rdwr.c).
 */
#include <errno.h>
#include <string.h>

#include "vfio_internal.h"

void vfio_device_opened(struct vfio_device *dev)
{
	if (dev->open_count++)
		return;
	cbit_pci_open(dev->pci);
	vfio_mig_reset(dev);
	if (dev->pf)
		dev->pf->token.users++;
}

void vfio_device_closed(struct vfio_device *dev)
{
	if (--dev->open_count)
		return;
	dev->low_power = false;
	vfio_dmabuf_cleanup(dev);
	vfio_ioeventfd_drop_all(dev);
	vfio_irq_disable_all(dev);
	cbit_pci_close(dev->pci);
	vfio_mig_reset(dev);
	if (cbit_pci_migratable(dev->pci))
		cbit_pci_log_stop(dev->pci);
	if (dev->pf)
		dev->pf->token.users--;
}

uint64_t cbit_vfio_offset(const struct cbit_pci *pci, unsigned int index)
{
	uint64_t offset = CBIT_VFIO_OFFSET_MARK | (uint64_t)index << CBIT_VFIO_INDEX_SHIFT;

	if (index < CBIT_PCI_BARS && cbit_pci_bar(pci, index)->mode == CBIT_BAR_TRAPPED)
		offset |= CBIT_VFIO_OFFSET_TRAP;
	return offset;
}

static long get_info(const struct vfio_call *call)
{
	struct uapi_device_info info = { 0 };
	const size_t minsz = offsetof(struct uapi_device_info, cap_offset);
	size_t len;
	int ret = vfio_get(call, &info, 0, minsz);

	if (ret)
		return ret;
	if (info.argsz < minsz)
		return -EINVAL;
	len = info.argsz < sizeof(info) ? info.argsz : sizeof(info);
	info.flags = UAPI_DEVICE_FLAGS_PCI | UAPI_DEVICE_FLAGS_RESET;
	info.num_regions = UAPI_PCI_NUM_REGIONS;
	info.num_irqs = UAPI_PCI_NUM_IRQS;
	return vfio_put(call, 0, &info, len);
}

static long get_region_info(struct vfio_device *dev, const struct vfio_call *call)
{
	struct uapi_region_info info = { 0 };
	struct uapi_cap_header cap = { .id = UAPI_REGION_CAP_MSIX_MAPPABLE, .version = 1 };
	bool has_cap = false;
	int ret = vfio_get(call, &info, 0, sizeof(info));

	if (ret)
		return ret;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	/* cap_offset comes back as it came where there is no capability. */
	info.flags = 0;
	info.size = 0;
	if (info.index < CBIT_PCI_BARS) {
		info.size = cbit_pci_bar(dev->pci, info.index)->size;
		if (info.size) {
			info.flags = UAPI_REGION_FLAG_READ | UAPI_REGION_FLAG_WRITE |
				     UAPI_REGION_FLAG_MMAP;
			has_cap = (int)info.index == cbit_pci_msix_bar(dev->pci);
		}
	} else if (info.index == UAPI_PCI_CONFIG_REGION) {
		info.size = CBIT_PCI_CONFIG_SIZE;
		info.flags = UAPI_REGION_FLAG_READ | UAPI_REGION_FLAG_WRITE;
	} else if (info.index != UAPI_PCI_ROM_REGION) {
		return -EINVAL; /* no VGA, and nothing beyond */
	}
	info.offset = cbit_vfio_offset(dev->pci, info.index);
	if (has_cap) {
		info.flags |= UAPI_REGION_FLAG_CAPS;
		if (info.argsz < sizeof(info) + sizeof(cap)) {
			info.argsz = sizeof(info) + sizeof(cap);
			info.cap_offset = 0;
		} else {
			ret = vfio_put(call, sizeof(info), &cap, sizeof(cap));
			if (ret)
				return ret;
			info.cap_offset = sizeof(info);
		}
	}
	return vfio_put(call, 0, &info, sizeof(info));
}

int vfio_check_feature(const struct uapi_feature *feat, uint32_t supported, size_t len)
{
	const uint32_t ops = feat->flags & (UAPI_FEATURE_GET | UAPI_FEATURE_SET);

	if (ops & ~supported)
		return -EINVAL;
	if (feat->flags & UAPI_FEATURE_PROBE)
		return 0;
	if (!ops || feat->argsz - sizeof(*feat) < len)
		return -EINVAL;
	return 1;
}

/* Entering low power; the model wakes at once, as a device does that is used all the time. */
static long low_power(struct vfio_device *dev, const struct vfio_call *call,
		      const struct uapi_feature *feat, bool wakeup)
{
	const struct cbit_client_ops *ops = call->machine->client;
	struct uapi_low_power_wakeup entry;
	int ret, fd;

	ret = vfio_check_feature(feat, UAPI_FEATURE_SET, wakeup ? sizeof(entry) : 0);
	if (ret != 1)
		return ret;
	if (wakeup) {
		ret = vfio_get(call, &entry, sizeof(*feat), sizeof(entry));
		if (ret)
			return ret;
		if (entry.wakeup_eventfd < 0)
			return -EINVAL;
		fd = ops->eventfd(call->machine->client_opaque, call->caller, entry.wakeup_eventfd);
		if (fd < 0)
			return fd;
		/* Nothing wakes a modelled device but its user. */
		ops->eventfd_put(call->machine->client_opaque, fd);
	}
	/* Also where it is in low power already, and the call fails (vfio_pci_runtime_pm_entry). */
	vfio_memory_off(dev);
	ret = __atomic_exchange_n(&dev->low_power, true, __ATOMIC_RELAXED) ? -EINVAL : 0;
	pthread_mutex_unlock(&dev->memory_lock);
	return ret;
}

static long feature(struct vfio_device *dev, const struct vfio_call *call)
{
	struct uapi_feature feat;
	int ret = vfio_get(call, &feat, 0, sizeof(feat));

	if (ret)
		return ret;
	if (feat.argsz < sizeof(feat))
		return -EINVAL;
	if (feat.flags &
	    ~(UAPI_FEATURE_MASK | UAPI_FEATURE_GET | UAPI_FEATURE_SET | UAPI_FEATURE_PROBE))
		return -EINVAL;
	if (!(feat.flags & UAPI_FEATURE_PROBE) && (feat.flags & UAPI_FEATURE_GET) &&
	    (feat.flags & UAPI_FEATURE_SET))
		return -EINVAL;
	switch (feat.flags & UAPI_FEATURE_MASK) {
	case UAPI_FEATURE_LOW_POWER_ENTRY:
	case UAPI_FEATURE_LOW_POWER_ENTRY_WAKEUP:
		return low_power(dev, call, &feat,
				 (feat.flags & UAPI_FEATURE_MASK) ==
					 UAPI_FEATURE_LOW_POWER_ENTRY_WAKEUP);
	case UAPI_FEATURE_LOW_POWER_EXIT:
		ret = vfio_check_feature(&feat, UAPI_FEATURE_SET, 0);
		if (ret == 1) {
			pthread_mutex_lock(&dev->memory_lock);
			__atomic_store_n(&dev->low_power, false, __ATOMIC_RELAXED);
			vfio_memory_on(dev);
			ret = 0;
		}
		return ret;
	case UAPI_FEATURE_PCI_VF_TOKEN:
		return vfio_token_feature(dev, call, &feat);
	case UAPI_FEATURE_MIGRATION:
		return vfio_mig_flags(dev, call, &feat);
	case UAPI_FEATURE_MIG_DEVICE_STATE:
		return vfio_mig_state(dev, call, &feat);
	case UAPI_FEATURE_MIG_DATA_SIZE:
		return vfio_mig_data_size(dev, call, &feat);
	case UAPI_FEATURE_DMA_LOGGING_START:
		return vfio_log_start(dev, call, &feat);
	case UAPI_FEATURE_DMA_LOGGING_STOP:
		return vfio_log_stop(dev, &feat);
	case UAPI_FEATURE_DMA_LOGGING_REPORT:
		return vfio_log_report(dev, call, &feat);
	case UAPI_FEATURE_DMA_BUF:
		return vfio_dmabuf_export(dev, call, &feat);
	case UAPI_FEATURE_MIG_PRECOPY_INFO_V2:
		return -EINVAL; /* alone among those of migration; the device has no pre-copy */
	default:
		return -ENOTTY;
	}
}

long vfio_device_ioctl(struct cbit_file *file, const struct vfio_call *call, uint32_t cmd)
{
	struct vfio_device *dev = file->device;

	if (cmd == UAPI_DEVICE_BIND_IOMMUFD)
		return vfio_cdev_bind(file, call);
	if (!vfio_file_granted(file))
		return -EINVAL;
	if (file->cdev && cmd == UAPI_DEVICE_ATTACH_IOMMUFD_PT)
		return vfio_cdev_attach(file, call);
	if (file->cdev && cmd == UAPI_DEVICE_DETACH_IOMMUFD_PT)
		return vfio_cdev_detach(file, call);
	switch (cmd) {
	case UAPI_DEVICE_GET_INFO:
		return get_info(call);
	case UAPI_DEVICE_GET_REGION_INFO:
		return get_region_info(dev, call);
	case UAPI_DEVICE_GET_IRQ_INFO:
		return vfio_irq_info(dev, call);
	case UAPI_DEVICE_SET_IRQS:
		return vfio_irq_set(dev, call);
	case UAPI_DEVICE_RESET:
		/* Linux: pci_dev_wait() of a device that is disconnected. */
		if (cbit_pci_removed(dev->pci))
			return -ENOTTY;
		vfio_memory_off(dev);
		cbit_pci_reset(dev->pci);
		vfio_mig_reset(dev);
		vfio_memory_on(dev);
		return 0;
	case UAPI_DEVICE_IOEVENTFD:
		return vfio_ioeventfd(dev, call);
	case UAPI_DEVICE_FEATURE:
		return feature(dev, call);
	case UAPI_DEVICE_GET_PCI_HOT_RESET_INFO:
		return vfio_hot_reset_info(file, call);
	case UAPI_DEVICE_PCI_HOT_RESET:
		return vfio_hot_reset(file, call);
	default:
		return -ENOTTY;
	}
}

static long bar_rw(struct vfio_device *dev, unsigned int index, uint64_t pos, uint8_t *buf,
		   size_t len, bool write)
{
	const struct cbit_bar_info *bar = cbit_pci_bar(dev->pci, index);

	if (pos >= bar->size)
		return -EINVAL;
	if (len > bar->size - pos)
		len = (size_t)(bar->size - pos);
	for (size_t done = 0; done < len;) {
		uint32_t chunk = (uint32_t)(len - done > 65536 ? 65536 : len - done);

		if (write)
			cbit_pci_bar_write(dev->pci, index, pos + done, buf + done, chunk);
		else
			cbit_pci_bar_read(dev->pci, index, pos + done, buf + done, chunk);
		done += chunk;
	}
	return (long)len;
}

long cbit_vfio_rw(struct cbit_file *file, uint64_t offset, void *buf, size_t len, bool write)
{
	unsigned int index = VFIO_INDEX_OF(offset);
	uint64_t pos = VFIO_POS_OF(offset);

	if (file->kind != CBIT_FILE_DEVICE || !vfio_file_granted(file))
		return -EINVAL;
	if (!len)
		return 0;
	if (index < CBIT_PCI_BARS)
		return bar_rw(file->device, index, pos, buf, len, write);
	if (index != UAPI_PCI_CONFIG_REGION)
		return -EINVAL;
	/* Unlike a BAR's, an access across the end is refused whole. */
	if (pos >= CBIT_PCI_CONFIG_SIZE || len > CBIT_PCI_CONFIG_SIZE - pos)
		return -EFAULT;
	if (!write) {
		cbit_pci_config_read(file->device->pci, (uint32_t)pos, buf, (uint32_t)len);
		return (long)len;
	}
	vfio_memory_config_write(file->device, (uint32_t)pos, buf, (uint32_t)len);
	if (pos < VFIO_PCI_COMMAND + 2 && pos + len > VFIO_PCI_COMMAND)
		vfio_intx_config_written(file->device);
	return (long)len;
}

int cbit_vfio_mmap_check(struct cbit_file *file, uint64_t offset, uint64_t len, bool shared)
{
	unsigned int index = VFIO_INDEX_OF(offset);
	uint64_t size, pos = VFIO_POS_OF(offset);

	if (file->kind != CBIT_FILE_DEVICE || !vfio_file_granted(file) || !shared ||
	    index >= CBIT_PCI_BARS)
		return -EINVAL;
	if ((offset & ~(VFIO_POS_OF(UINT64_MAX))) != cbit_vfio_offset(file->device->pci, index))
		return -EINVAL;
	size = cbit_pci_bar(file->device->pci, index)->size;
	size = (size + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	len = (len + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	if (!size || !len || pos > size || len > size - pos)
		return -EINVAL;
	return 0;
}
