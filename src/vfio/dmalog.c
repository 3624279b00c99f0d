/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA logging: which pages a device has written to (Linux 7.2: drivers/vfio/vfio_main.c for the
 * checks; what is left to a driver is done as by drivers/vfio/pci/mlx5: one log at a time, and
 * stopping one that is not on is no error).
 */
#include <errno.h>
#include <string.h>

#include "vfio_internal.h"

static bool overlap(const struct cbit_pci_log_range *a, const struct cbit_pci_log_range *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* The ranges, as checked in Linux: one after the other. */
static int get_ranges(const struct vfio_call *call, const struct uapi_log_control *control,
		      struct cbit_pci_log_range *out)
{
	const struct cbit_client_ops *ops = call->machine->client;
	const uint64_t mask = control->page_size - 1;
	struct uapi_log_range range;
	uint64_t end;

	for (uint32_t i = 0; i < control->num_ranges; i++) {
		int ret = ops->copy_in(call->machine->client_opaque, call->caller, &range,
				       control->ranges + i * sizeof(range), sizeof(range));

		if (ret)
			return ret;
		if (range.iova & mask || range.length & mask)
			return -EINVAL;
		if (__builtin_add_overflow(range.iova, range.length, &end))
			return -EOVERFLOW;
		out[i] = (struct cbit_pci_log_range){ range.iova, end - 1 };
		for (uint32_t k = 0; k < i; k++) {
			if (overlap(&out[i], &out[k]))
				return -EINVAL;
		}
	}
	return 0;
}

long vfio_log_start(struct vfio_device *dev, const struct vfio_call *call,
		    const struct uapi_feature *feat)
{
	struct cbit_pci_log_range ranges[CBIT_PCI_LOG_RANGES];
	struct uapi_log_control control;
	int ret;

	_Static_assert(CBIT_PCI_LOG_RANGES == CBIT_PAGE_SIZE / sizeof(struct uapi_log_range),
		       "as many as fit into a page");
	if (!cbit_pci_migratable(dev->pci))
		return -ENOTTY;
	ret = vfio_check_feature(feat, UAPI_FEATURE_SET, sizeof(control));
	if (ret != 1)
		return ret;
	ret = vfio_get(call, &control, sizeof(*feat), sizeof(control));
	if (ret)
		return ret;
	if (!control.num_ranges)
		return -EINVAL;
	if (control.num_ranges > CBIT_PCI_LOG_RANGES)
		return -E2BIG;
	ret = get_ranges(call, &control, ranges);
	if (!ret)
		ret = cbit_pci_log_start(dev->pci, ranges, control.num_ranges, &control.page_size);
	if (ret)
		return ret;
	ret = vfio_put(call, sizeof(*feat), &control, sizeof(control));
	if (ret)
		cbit_pci_log_stop(dev->pci);
	return ret;
}

long vfio_log_stop(struct vfio_device *dev, const struct uapi_feature *feat)
{
	int ret;

	if (!cbit_pci_migratable(dev->pci))
		return -ENOTTY;
	ret = vfio_check_feature(feat, UAPI_FEATURE_SET, 0);
	if (ret != 1)
		return ret;
	cbit_pci_log_stop(dev->pci);
	return 0;
}

long vfio_log_report(struct vfio_device *dev, const struct vfio_call *call,
		     const struct uapi_feature *feat)
{
	struct uapi_log_report report;
	struct vfio_bitmap w = { .call = call };
	uint64_t end;
	int ret;

	if (!cbit_pci_migratable(dev->pci))
		return -ENOTTY;
	ret = vfio_check_feature(feat, UAPI_FEATURE_GET, sizeof(report));
	if (ret != 1)
		return ret;
	ret = vfio_get(call, &report, sizeof(*feat), sizeof(report));
	if (ret)
		return ret;
	if (report.page_size < CBIT_PAGE_SIZE || report.page_size & (report.page_size - 1))
		return -EINVAL;
	if (__builtin_add_overflow(report.iova, report.length, &end))
		return -EOVERFLOW;
	w.data = report.bitmap;
	w.iova = report.iova;
	w.shift = (unsigned int)__builtin_ctzll(report.page_size);
	/* A length of 0 ends before it begins, and finds nothing. */
	ret = cbit_pci_log_read(dev->pci, report.iova, report.length ? end - 1 : report.iova,
				vfio_bitmap_set, &w);
	vfio_bitmap_flush(&w);
	return ret;
}
