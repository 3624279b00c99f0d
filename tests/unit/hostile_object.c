/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile calls on an iommufd about its objects beyond mappings: copies, options, page tables and
 * what devices wrote, vIOMMUs, queues. Linux 7.2: drivers/iommu/iommufd, the functions named, with
 * the AMD driver (drivers/iommu/amd/iommu.c, iommufd.c).
 */
#include "hostile.h"

#define F    FD_IOMMUFD
#define P    HX_PAGE
#define HELD HX_HELD
#define FREE HX_FREE
#define RAM  HX_RAM
#define MOST UINT64_C(0xffffffffffffffff)
#define ALL  7u /* FIXED_IOVA, WRITEABLE, READABLE */

/* get_user of the size, min_size, copy_struct_from_user: the same of every command */
#define SIZES(cmd, min, size)                                                 \
	VALUE(W_NEW, F, cmd, -EFAULT, HX_KERNEL),                             \
		CASE(W_NEW, F, cmd, -EINVAL, size, .arg.words = { (min)-1 }), \
		CASE(W_NEW, F, cmd, -EFAULT, (min)-1, .arg.words = { min }),  \
		CASE(W_NEW, F, cmd, -E2BIG, (size) + 4,                       \
		     .arg.words = { (size) + 4, [(size) / 4] = 1 }),          \
		CASE(W_NEW, F, (cmd) | 0x80000000, -ENOTTY, size, .arg.words = { size })
#define COPY(w, r, flags_, dst, src, len_, to, from) \
	CASE(w, F, UAPI_IOMMUFD_IOAS_COPY, r, 40,    \
	     .arg.copy = { 40, flags_, dst, src, len_, to, from })
#define ALLOW(w, r, id, nr, res, at) \
	CASE(w, F, UAPI_IOMMUFD_IOAS_ALLOW_IOVAS, r, 24, .arg.allow = { 24, id, nr, res, at })
#define OPTION(w, r, id, op_, res, obj, val) \
	CASE(w, F, UAPI_IOMMUFD_OPTION, r, 24, .arg.option = { 24, id, op_, res, obj, val })
#define COMPAT(w, r, id, op_, res) \
	CASE(w, F, UAPI_IOMMUFD_VFIO_IOAS, r, 12, .arg.vfio_ioas = { 12, id, op_, res })
#define HWPT(w, r, flags_, dev, pt, res, type, len_, fault_) \
	CASE(w, F, UAPI_IOMMUFD_HWPT_ALLOC, r, 48,           \
	     .arg.hwpt = { 48, flags_, dev, pt, 0, res, type, len_, RAM, fault_, 0 })
#define INFO(w, r, flags_, dev, len_, at, type, res) \
	CASE(w, F, UAPI_IOMMUFD_GET_HW_INFO, r, 40,  \
	     .arg.hw_info = { 40, flags_, dev, len_, at, type, 0, { 0, 0, res }, 0 })
#define TRACK(w, r, flags_, id) \
	CASE(w, F, UAPI_IOMMUFD_SET_DIRTY_TRACKING, r, 16, .arg.tracking = { 16, flags_, id, 9 })
#define BITMAP(w, r, id, flags_, res, iova_, len_, page) \
	CASE(w, F, UAPI_IOMMUFD_GET_DIRTY_BITMAP, r, 48, \
	     .arg.bitmap = { 48, id, flags_, res, iova_, len_, page, RAM })
#define FLUSH(w, r, id, at, len_, nr, res)              \
	CASE(w, F, UAPI_IOMMUFD_HWPT_INVALIDATE, r, 32, \
	     .arg.invalidate = { 32, id, at, 1, len_, nr, res })
#define VIOMMU(w, r, flags_, type_, dev, hwpt_)      \
	CASE(w, F, UAPI_IOMMUFD_VIOMMU_ALLOC, r, 40, \
	     .arg.viommu = { 40, flags_, type_, dev, hwpt_, 0, 0, 0, 0 })
#define VDEVICE(w, r, viommu_, dev, id) \
	CASE(w, F, UAPI_IOMMUFD_VDEVICE_ALLOC, r, 24, .arg.vdevice = { 24, viommu_, dev, 0, id })
#define EVENTS(w, r, flags_, viommu_, type_, depth, res) \
	CASE(w, F, UAPI_IOMMUFD_VEVENTQ_ALLOC, r, 32,    \
	     .arg.veventq = { 32, flags_, viommu_, type_, depth, 0, 0, res })
#define QUEUE(w, r, flags_, viommu_, type_, iova_, len_) \
	CASE(w, F, UAPI_IOMMUFD_HW_QUEUE_ALLOC, r, 40,   \
	     .arg.hw_queue = { 40, flags_, viommu_, type_, 0, 0, iova_, len_ })

static const struct hx_case cases[] = {
	/* iommufd_fops_ioctl */
	SIZES(UAPI_IOMMUFD_IOAS_ALLOW_IOVAS, 24, 24),
	SIZES(UAPI_IOMMUFD_IOAS_COPY, 40, 40),
	SIZES(UAPI_IOMMUFD_OPTION, 24, 24),
	SIZES(UAPI_IOMMUFD_VFIO_IOAS, 12, 12),
	SIZES(UAPI_IOMMUFD_HWPT_ALLOC, 24, 48),  /* old programs end before the data */
	SIZES(UAPI_IOMMUFD_GET_HW_INFO, 32, 40), /* and here before the capabilities */
	SIZES(UAPI_IOMMUFD_SET_DIRTY_TRACKING, 16, 16),
	SIZES(UAPI_IOMMUFD_GET_DIRTY_BITMAP, 48, 48),
	SIZES(UAPI_IOMMUFD_HWPT_INVALIDATE, 32, 32),
	SIZES(UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, 16, 16),
	SIZES(UAPI_IOMMUFD_VIOMMU_ALLOC, 24, 40),
	SIZES(UAPI_IOMMUFD_VDEVICE_ALLOC, 24, 24),
	SIZES(UAPI_IOMMUFD_VEVENTQ_ALLOC, 28, 32),
	SIZES(UAPI_IOMMUFD_HW_QUEUE_ALLOC, 40, 40),

	/* iommufd_ioas_allow_iovas */
	ALLOW(W_NEW, -EOPNOTSUPP, 9, 1, 1, HX_NOWHERE), /* __reserved, before the IOAS */
	ALLOW(W_NEW, -ENOENT, 9, 1, 0, HX_NOWHERE),     /* iommufd_get_ioas */
	ALLOW(W_NEW, -EFAULT, 1, 1, 0, HX_NOWHERE),     /* copy_from_user */
	ALLOW(W_NEW, -EINVAL, 1, 1, 0, RAM + P),        /* start >= last: zeros */
	ALLOW(W_NEW, 0, 1, 0, 0, HX_NOWHERE),           /* nothing is read of nothing */

	/* iommufd_ioas_copy */
	COPY(W_ATTACHED, -EOPNOTSUPP, 8 | ALL, 1, 1, P, FREE, HELD), /* flags */
	COPY(W_ATTACHED, -EOVERFLOW, 1, 9, 9, MOST, FREE, HELD),     /* length >= ULONG_MAX */
	COPY(W_ATTACHED, -EOVERFLOW, 1, 9, 9, P, MOST, HELD),        /* the others likewise */
	COPY(W_ATTACHED, -EOVERFLOW, 1, 9, 9, P, FREE, MOST),
	COPY(W_ATTACHED, -EINVAL, 1, 9, 9, P, FREE, HELD),   /* neither way, before the IOAS */
	COPY(W_ATTACHED, -ENOENT, ALL, 1, 9, 0, FREE, HELD), /* iommufd_get_ioas */
	COPY(W_ATTACHED, -EINVAL, ALL, 9, 1, 0, FREE, HELD), /* iopt_get_pages: !length */
	COPY(W_ATTACHED, -EOVERFLOW, ALL, 9, 1, 2 * P, FREE, MOST - P), /* check_add_overflow */
	COPY(W_ATTACHED, -ENOENT, ALL, 9, 1, P, FREE, FREE),            /* nothing there */
	COPY(W_ATTACHED, -ENOENT, ALL, 9, 1, 5 * P, FREE, HELD),        /* not all of it */
	COPY(W_ATTACHED, -ENOENT, ALL, 9, 1, P, FREE, HELD), /* iommufd_get_ioas of the target */
	COPY(W_ATTACHED, -EEXIST, ALL, 1, 1, P, HELD, HELD), /* iopt_map_pages */
	COPY(W_ATTACHED, -EINVAL, ALL, 1, 1, P - 1, FREE, HELD), /* the same */
	COPY(W_ATTACHED, 0, ALL, 1, 1, 2 * P, FREE, HELD + P),
	CASE(W_ATTACHED, F, UAPI_IOMMUFD_IOAS_COPY, -EFAULT, 40, .place = AT_RO, .changes = true,
	     .arg.copy = { 40, ALL, 1, 1, P, FREE, HELD }), /* iommufd_ucmd_respond */

	/* iommufd_option, iommufd_option_rlimit_mode, iommufd_ioas_option_huge_pages */
	OPTION(W_NEW, -EOPNOTSUPP, 9, 9, 1, 9, 9),  /* __reserved */
	OPTION(W_NEW, -EOPNOTSUPP, 2, 0, 0, 1, 1),  /* option_id */
	OPTION(W_NEW, -EOPNOTSUPP, 0, 1, 0, 1, 0),  /* object_id */
	OPTION(W_NEW, -EOPNOTSUPP, 0, 2, 0, 0, 0),  /* op */
	OPTION(W_NEW, 0, 0, 1, 0, 0, 9),            /* IOMMU_OPTION_OP_GET */
	OPTION(W_NEW, -ENOENT, 1, 9, 0, 9, 9),      /* iommufd_get_ioas */
	OPTION(W_NEW, -EOPNOTSUPP, 1, 2, 0, 1, 9),  /* op */
	OPTION(W_NEW, -EINVAL, 1, 0, 0, 1, 2),      /* neither on nor off */
	OPTION(W_NEW, 0, 1, 0, 0, 1, 0),            /* iopt_disable_large_pages */
	OPTION(W_ATTACHED, -EINVAL, 1, 0, 0, 1, 0), /* it is mapped */
	OPTION(W_ATTACHED, 0, 1, 0, 0, 1, 1),       /* iopt_enable_large_pages */
	CASE(W_NEW, F, UAPI_IOMMUFD_OPTION, -EFAULT, 24, .place = AT_RO,
	     .arg.option = { 24, 1, 1, 0, 1, 0 }), /* copy_to_user */

	/* iommufd_vfio_ioas */
	COMPAT(W_NEW, -EOPNOTSUPP, 1, 1, 1),  /* __reserved */
	COMPAT(W_NEW, -EOPNOTSUPP, 9, 3, 0),  /* op, before the IOAS */
	COMPAT(W_NEW, -ENODEV, 0, 0, 0),      /* get_compat_ioas */
	COMPAT(W_NEW, -ENOENT, 9, 1, 0),      /* iommufd_get_ioas */
	COMPAT(W_ATTACHED, -ENOENT, 3, 1, 0), /* a page table is none */
	COMPAT(W_NEW, 0, 1, 1, 0),
	COMPAT(W_NEW, 0, 9, 2, 0), /* IOMMU_VFIO_IOAS_CLEAR */

	/* iommufd_hwpt_alloc, amd_iommu_domain_alloc_paging_flags */
	HWPT(W_NEST, -EOPNOTSUPP, 0, 9, 9, 1, 1, 0, 0),  /* __reserved */
	HWPT(W_NEST, -EINVAL, 0, 9, 9, 0, 1, 0, 0),      /* a kind without data */
	HWPT(W_NEST, -EINVAL, 0, 9, 9, 0, 0, 1, 0),      /* data without a kind */
	HWPT(W_NEST, -ENOENT, 0, 9, 9, 0, 0, 0, 0),      /* iommufd_get_device */
	HWPT(W_NEST, -ENOENT, 0, 1, 1, 0, 0, 0, 0),      /* an IOAS is no device */
	HWPT(W_NEST, -EINVAL, 16, 2, 9, 0, 0, 0, 0),     /* no such object */
	HWPT(W_NEST, -EINVAL, 16, 2, 2, 0, 0, 0, 0),     /* a device is no page table */
	HWPT(W_NEST, -EINVAL, 0, 2, 5, 0, 0, 0, 0),      /* nor is a queue */
	HWPT(W_NEST, -EOPNOTSUPP, 16, 2, 1, 0, 0, 0, 0), /* valid_flags */
	HWPT(W_NEST, -EOPNOTSUPP, 5, 2, 1, 0, 0, 0, 5),  /* FAULT_ID_VALID of a nest parent */
	HWPT(W_NEST, -EOPNOTSUPP, 9, 2, 1, 0, 0, 0, 0),  /* PASIDs of a nest parent */
	HWPT(W_NEST, -EOPNOTSUPP, 10, 2, 1, 0, 0, 0, 0), /* of one that tracks */
	HWPT(W_NEST, -EOPNOTSUPP, 0, 2, 1, 0, 1, 8, 0),  /* user_data */
	HWPT(W_NEST, -EOPNOTSUPP, 0, 2, 3, 0, 1, 8, 0),  /* domain_alloc_nested is not there */
	HWPT(W_NEST, -EOPNOTSUPP, 0, 2, 3, 0, 0, 0, 0),  /* the same without data */
	HWPT(W_NEST, -EOPNOTSUPP, 16, 2, 4, 0, 1, 8, 0), /* iommufd_viommu_alloc_hwpt_nested */
	HWPT(W_NEST, -EOPNOTSUPP, 0, 2, 4, 0, 1, 8, 0),  /* alloc_domain_nested is not there */
	HWPT(W_NEST, -ENOENT, 4, 2, 1, 0, 0, 0, 9),      /* iommufd_get_fault */
	HWPT(W_NEST, -ENOENT, 4, 2, 1, 0, 0, 0, 4),      /* a vIOMMU is none */
	HWPT(W_NEST, 0, 4, 2, 1, 0, 0, 0, 5),            /* a queue that stays empty */
	HWPT(W_NEST, 0, 8, 2, 1, 0, 0, 0, 0),            /* amd_iommu_domain_alloc_paging_v2 */
	CASE(W_NEST, F, UAPI_IOMMUFD_HWPT_ALLOC, -EFAULT, 48, .place = AT_RO,
	     .arg.hwpt = { 48, 0, 2, 1 }), /* iommufd_ucmd_respond */

	/* iommufd_get_hw_info, amd_iommufd_hw_info */
	INFO(W_BOUND, -EOPNOTSUPP, 2, 9, 0, 0, 0, 0),          /* flags */
	INFO(W_BOUND, -EOPNOTSUPP, 0, 9, 0, 0, 0, 1),          /* __reserved */
	INFO(W_BOUND, -ENOENT, 0, 9, 4, HX_NOWHERE, 0, 0),     /* iommufd_get_device */
	INFO(W_BOUND, -EOPNOTSUPP, 1, 2, 4, HX_NOWHERE, 1, 0), /* another maker's */
	INFO(W_BOUND, 0, 0, 2, 0, HX_NOWHERE, 1, 0),           /* in_data_type does not count */
	INFO(W_BOUND, -EFAULT, 0, 2, 4, HX_NOWHERE, 0, 0),     /* copy_to_user */
	INFO(W_BOUND, -EFAULT, 0, 2, UINT32_MAX, RAM, 0, 0),   /* clear_user of the rest */
	INFO(W_BOUND, 0, 1, 2, 64, RAM, 4, 0),

	/* iommufd_hwpt_set_dirty_tracking; __reserved is not looked at */
	TRACK(W_NEST, -EOPNOTSUPP, 2, 9),     /* flags */
	TRACK(W_NEST, -ENOENT, 1, 9),         /* iommufd_get_hwpt_paging */
	TRACK(W_NEST, -ENOENT, 1, 4),         /* a vIOMMU is none */
	TRACK(W_ATTACHED, -EOPNOTSUPP, 1, 3), /* !ops: it was not made for that */
	TRACK(W_ATTACHED, -EOPNOTSUPP, 0, 3), /* the same */
	TRACK(W_NEST, 0, 1, 3),               /* iopt_set_dirty_tracking */
	TRACK(W_NEST, 0, 0, 3),               /* the same */

	/* iommufd_hwpt_get_dirty_bitmap, iommufd_check_iova_range */
	BITMAP(W_NEST, -EOPNOTSUPP, 9, 2, 0, 1, 0, 0),        /* flags */
	BITMAP(W_NEST, -EOPNOTSUPP, 9, 0, 1, 1, 0, 0),        /* __reserved */
	BITMAP(W_NEST, -ENOENT, 9, 0, 0, 1, 0, 0),            /* iommufd_get_hwpt_paging */
	BITMAP(W_ATTACHED, -EOVERFLOW, 3, 0, 0, 1, 0, 0),     /* check_add_overflow: no length */
	BITMAP(W_ATTACHED, -EINVAL, 3, 0, 0, 1, P, P),        /* iova_alignment */
	BITMAP(W_ATTACHED, -EINVAL, 3, 0, 0, HELD, P, 0),     /* !page_size */
	BITMAP(W_ATTACHED, -EINVAL, 3, 0, 0, HELD, P, 2 * P), /* page_size - 1 */
	BITMAP(W_ATTACHED, -EOPNOTSUPP, 3, 0, 0, HELD, P, P), /* read_and_clear_dirty */
	BITMAP(W_NEST, 0, 3, 0, 0, HELD, 4 * P, P),
	BITMAP(W_NEST, 0, 3, 1, 0, FREE, 4 * P, P), /* of nothing */

	/* iommufd_hwpt_invalidate */
	FLUSH(W_NEST, -EOPNOTSUPP, 9, 0, 0, 1, 1),            /* __reserved */
	FLUSH(W_NEST, -EINVAL, 9, 0, 8, 1, 0),                /* !data_uptr */
	FLUSH(W_NEST, -EINVAL, 9, RAM, 0, 1, 0),              /* !entry_len */
	FLUSH(W_NEST, -EINVAL, 9, RAM, 4097, 1, 0),           /* entry_len > PAGE_SIZE */
	FLUSH(W_NEST, -EINVAL, 9, RAM, 8, (1u << 19) + 1, 0), /* entry_num */
	FLUSH(W_NEST, -ENOENT, 9, RAM, 8, 1u << 19, 0),       /* iommufd_get_object */
	FLUSH(W_NEST, -ENOENT, 9, 0, 0, 0, 0),                /* nothing to do is no help */
	FLUSH(W_NEST, -EINVAL, 3, RAM, 8, 1, 0),              /* no nested page table */
	FLUSH(W_NEST, -EINVAL, 2, RAM, 8, 1, 0),              /* a device */
	FLUSH(W_NEST, -EOPNOTSUPP, 4, RAM, 8, 1, 0),          /* cache_invalidate is not there */
	CASE(W_NEST, F, UAPI_IOMMUFD_HWPT_INVALIDATE, -EFAULT, 32, .place = AT_RO,
	     .arg.invalidate = { 32, 9 }), /* iommufd_ucmd_respond takes ENOENT's place */

	/* iommufd_fault_alloc */
	CASE(W_NEW, F, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, -EOPNOTSUPP, 16, .arg.fault = { 16, 1 }),
	CASE(W_NEW, F, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, -EFAULT, 16, .place = AT_RO,
	     .arg.fault = { 16 }),                                    /* iommufd_ucmd_respond */
	VALUE(W_NEST, FD_QUEUE, UAPI_IOMMUFD_IOAS_ALLOC, -ENOTTY, 0), /* its file has no calls */

	/* iommufd_viommu_alloc_ioctl, amd_iommufd_viommu_init */
	VIOMMU(W_NEST, -EOPNOTSUPP, 1, 1, 9, 9), /* flags */
	VIOMMU(W_NEST, -EOPNOTSUPP, 0, 0, 9, 9), /* IOMMU_VIOMMU_TYPE_DEFAULT */
	VIOMMU(W_NEST, -ENOENT, 0, 1, 9, 9),     /* iommufd_get_device */
	VIOMMU(W_NEST, -ENOENT, 0, 1, 2, 9),     /* iommufd_get_hwpt_paging */
	VIOMMU(W_NEST, -ENOENT, 0, 1, 2, 1),     /* an IOAS is none */
	VIOMMU(W_ATTACHED, -EINVAL, 0, 1, 2, 3), /* !nest_parent */
	VIOMMU(W_NEST, 0, 0, 77, 2, 3),          /* amd_iommufd_get_viommu_size: any kind */

	/* iommufd_vdevice_alloc_ioctl */
	VDEVICE(W_NEST, -ENOENT, 9, 9, 0), /* iommufd_get_viommu */
	VDEVICE(W_NEST, -ENOENT, 3, 2, 0), /* a page table is none */
	VDEVICE(W_NEST, -ENOENT, 4, 9, 0), /* iommufd_get_device */
	VDEVICE(W_NEST, 0, 4, 2, MOST),

	/* iommufd_veventq_alloc */
	EVENTS(W_NEST, -EOPNOTSUPP, 1, 9, 1, 1, 0),          /* flags */
	EVENTS(W_NEST, -EOPNOTSUPP, 0, 9, 1, 1, 1),          /* __reserved */
	EVENTS(W_NEST, -EOPNOTSUPP, 0, 9, 0, 0, 0),          /* IOMMU_VEVENTQ_TYPE_DEFAULT */
	EVENTS(W_NEST, -EINVAL, 0, 9, 1, 0, 0),              /* veventq_depth */
	EVENTS(W_NEST, -EINVAL, 0, 9, 1, (1u << 19) + 1, 0), /* the same */
	EVENTS(W_NEST, -ENOENT, 0, 9, 1, 1, 0),              /* iommufd_get_viommu */

	/* iommufd_hw_queue_alloc_ioctl */
	QUEUE(W_NEST, -EOPNOTSUPP, 1, 9, 1, 0, 0),    /* flags */
	QUEUE(W_NEST, -EOPNOTSUPP, 0, 9, 0, 0, 0),    /* IOMMU_HW_QUEUE_TYPE_DEFAULT */
	QUEUE(W_NEST, -EINVAL, 0, 9, 1, 0, 0),        /* !length */
	QUEUE(W_NEST, -EOVERFLOW, 0, 9, 1, MOST, 2),  /* check_add_overflow */
	QUEUE(W_NEST, -ENOENT, 0, 9, 1, HELD, P),     /* iommufd_get_viommu */
	QUEUE(W_NEST, -EOPNOTSUPP, 0, 4, 1, HELD, P), /* get_hw_queue_size is not there */

	/* iommufd_destroy */
	CASE(W_NEST, F, UAPI_IOMMUFD_DESTROY, -EBUSY, 8,
	     .arg.destroy = { 8, 3 }), /* the vIOMMU's */
	CASE(W_NEST, F, UAPI_IOMMUFD_DESTROY, -EBUSY, 8, .arg.destroy = { 8, 5 }), /* its file */
	CASE(W_NEST, F, UAPI_IOMMUFD_DESTROY, 0, 8, .arg.destroy = { 8, 4 }),
};

const struct hx_table hx_object_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
