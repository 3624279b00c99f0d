/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile calls about files: exporting BARs as dma-bufs, the calls of such a file, mapping files.
 * Linux 7.2: drivers/vfio/pci/vfio_pci_dmabuf.c, drivers/dma-buf/dma-buf.c, and of
 * drivers/iommu/iommufd ioas.c, io_pagetable.c, pages.c.
 */
#include "hostile.h"

#define C    FD_CDEV
#define F    FD_IOMMUFD
#define B    FD_DMABUF
#define P    HX_PAGE
#define HELD HX_HELD
#define FREE HX_FREE
#define LAST UINT64_C(0xfffffffffffff000)
#define MOST UINT64_C(0xffffffffffffffff)
#define ALL  7u /* FIXED_IOVA, WRITEABLE, READABLE */
#define GET  (UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET)
#define SET  (UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_SET)
#define ASK  (UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_PROBE)

#define HEAD(r, l, argsz_, flags_) \
	CASE(W_BOUND, C, UAPI_DEVICE_FEATURE, r, l, .arg.dma_buf = { { argsz_, flags_ } })
#define EXPORT(r, l, bar, flags_, nr, ...)          \
	CASE(W_BOUND, C, UAPI_DEVICE_FEATURE, r, l, \
	     .arg.dma_buf = { { 24, GET }, { bar, 2, flags_, nr }, { __VA_ARGS__ } })
#define MAP(w, r, flags_, id, fd_, start_, len_, iova_) \
	CASE(w, F, UAPI_IOMMUFD_IOAS_MAP_FILE, r, 40,   \
	     .arg.map_file = { 40, flags_, id, fd_, start_, len_, iova_ })
#define CHANGE(w, r, l, ...) \
	CASE(w, F, UAPI_IOMMUFD_IOAS_CHANGE_PROCESS, r, l, .arg.words = { __VA_ARGS__ })

static const struct hx_case cases[] = {
	/* vfio_check_feature, vfio_pci_core_feature_dma_buf */
	HEAD(-EINVAL, 24, 24, SET),                      /* it can be got only */
	HEAD(-EINVAL, 24, 24, SET | UAPI_FEATURE_PROBE), /* the same when probing */
	HEAD(0, 8, 8, ASK),                              /* it is there; no data is needed */
	HEAD(0, 8, 8, ASK | UAPI_FEATURE_GET),           /* the same */
	HEAD(-EINVAL, 24, 24, UAPI_FEATURE_DMA_BUF),     /* neither */
	HEAD(-EINVAL, 24, 23, GET),                      /* argsz - minsz < minsz of the data */
	HEAD(-EFAULT, 23, 24, GET),                      /* copy_from_user of the data */
	HEAD(-EINVAL, 24, UINT32_MAX, GET),              /* of no range */
	EXPORT(-EINVAL, 24, 99, 0, 0),                   /* nr_ranges before the region */
	EXPORT(-EINVAL, 24, 99, 1, 1),                   /* flags likewise */
	EXPORT(-EINVAL, 24, 0, 1u << 31, 1),             /* flags */
	EXPORT(-ENODEV, 24, 6, 0, 1),                    /* >= VFIO_PCI_ROM_REGION_INDEX */
	EXPORT(-ENODEV, 24, 7, 0, 1),                    /* the same */
	EXPORT(-ENODEV, 24, UINT32_MAX, 0, 1),           /* the same */
	EXPORT(-ENODEV, 24, 1, 0, 1),                    /* vfio_pci_core_get_iomap: no BAR */
	EXPORT(-ENODEV, 24, 5, 0, UINT32_MAX),           /* that before the ranges */
	EXPORT(-ENOMEM, 24, 0, 0, UINT32_MAX),           /* memdup_array_user: the memory first */
	EXPORT(-EFAULT, 24, 0, 0, 1),                    /* memdup_array_user */
	EXPORT(-EFAULT, 40, 0, 0, 2, { 1, 1 }),          /* all of it before it is looked at */
	EXPORT(-EINVAL, 40, 0, 0, 1, { 0, 0 }),          /* validate_dmabuf_input: no length */
	EXPORT(-EINVAL, 40, 0, 0, 1, { 1, P }),          /* not aligned */
	EXPORT(-EINVAL, 40, 0, 0, 1, { 0, P - 1 }),      /* the same */
	EXPORT(-EINVAL, 40, 0, 0, 1, { MOST, P }),       /* the same, before the overflow */
	EXPORT(-EINVAL, 40, 0, 0, 1, { 0, UINT64_C(1) << 63 }), /* DMA_IOVA_USE_SWIOTLB */
	EXPORT(-EINVAL, 56, 0, 0, 2, { LAST, LAST }, { 0, P }), /* the sum, before the places */
	EXPORT(-EOVERFLOW, 40, 0, 0, 1, { LAST, P }), /* vfio_pci_core_fill_phys_vec: start */
	EXPORT(-EINVAL, 40, 0, 0, 1, { 0, UINT64_C(1) << 62 }), /* beyond the BAR */
	EXPORT(-EINVAL, 40, 0, 0, 1, { 0x4000, P }),            /* the same */
	EXPORT(-EINVAL, 40, 0, 0, 1, { 0x3000, 2 * P }),        /* the same */
	EXPORT(-EINVAL, 56, 0, 0, 2, { 0, P }, { 0x4000, P }),  /* the second */

	/* dma_buf_ioctl */
	VALUE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EFAULT, 0),                /* copy_from_user */
	VALUE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EFAULT, HX_NOWHERE),       /* the same */
	VALUE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EFAULT, HX_KERNEL),        /* the same */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EFAULT, 7, .arg.flags = 1), /* the same */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EINVAL, 8, .arg.flags = 0), /* neither way */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EINVAL, 8, .arg.flags = 4), /* the same */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EINVAL, 8,
	     .arg.flags = 9), /* DMA_BUF_SYNC_VALID_FLAGS_MASK */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, -EINVAL, 8,
	     .arg.flags = UINT64_C(1) << 32 | 1),                   /* the same */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, 0, 8, .arg.flags = 1), /* dma_buf_begin_cpu_access */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SYNC, 0, 8, .arg.flags = 6), /* dma_buf_end_cpu_access */
	VALUE(W_DMABUF, B, UAPI_DMA_BUF_SET_NAME_A, -EFAULT, 0),    /* strndup_user */
	VALUE(W_DMABUF, B, UAPI_DMA_BUF_SET_NAME_B, -EFAULT, HX_KERNEL), /* the same */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SET_NAME_A, -EFAULT, 4,
	     .arg.text = "name"), /* without an end */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SET_NAME_A, -EINVAL, 40,
	     .arg.text = "a name of more than thirty-two bytes!!"), /* length > n */
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SET_NAME_A, -EINVAL, HX_ARG_SIZE),
	CASE(W_DMABUF, B, UAPI_DMA_BUF_SET_NAME_A, 0, 5, .arg.text = "name"), /* strndup_user */
	VALUE(W_DMABUF, B, UAPI_DEVICE_GET_INFO, -ENOTTY, 0),                 /* not its own */
	VALUE(W_DMABUF, B, UAPI_IOMMUFD_IOAS_ALLOC, -ENOTTY, HX_KERNEL),      /* the same */
	VALUE(W_DMABUF, F, UAPI_DMA_BUF_SYNC, -ENOTTY, 0), /* iommufd_vfio_ioctl */
	VALUE(W_DMABUF, C, UAPI_DMA_BUF_SYNC, -ENOTTY, 0), /* vfio_pci_core_ioctl */
	CASE(W_NEW, C, UAPI_DEVICE_BIND_IOMMUFD, -EBADFD, 16,
	     .arg.bind = { 16, 0, FD_MEMFD }), /* iommufd_ctx_from_fd */

	/* iommufd_fops_ioctl, as of every command */
	VALUE(W_NEW, F, UAPI_IOMMUFD_IOAS_MAP_FILE, -EFAULT, 0),                      /* get_user */
	CASE(W_NEW, F, UAPI_IOMMUFD_IOAS_MAP_FILE, -EINVAL, 40, .arg.words = { 39 }), /* min_size */
	CASE(W_NEW, F, UAPI_IOMMUFD_IOAS_MAP_FILE, -EFAULT, 39, .arg.words = { 40 }), /* the copy */
	CASE(W_NEW, F, UAPI_IOMMUFD_IOAS_MAP_FILE, -E2BIG, 44, .arg.words = { 44, [10] = 1 }),
	/* check_zeroed_user */
	CASE(W_NEW, F, UAPI_IOMMUFD_IOAS_MAP_FILE, -EFAULT, 40, .arg.words = { 44 }), /* the same */

	/* iommufd_ioas_map_file, iopt_map_file_pages */
	MAP(W_DMABUF, -EOPNOTSUPP, 8 | ALL, 1, FD_MEMFD, 0, P, FREE),    /* flags */
	MAP(W_DMABUF, -EOPNOTSUPP, 1u << 31, 9, FD_NONE, 0, MOST, MOST), /* before the rest */
	MAP(W_DMABUF, -EOVERFLOW, 1, 9, FD_NONE, 0, P, MOST),            /* iova >= ULONG_MAX */
	MAP(W_DMABUF, -EOVERFLOW, 1, 9, FD_NONE, 0, MOST, FREE),         /* length >= ULONG_MAX */
	MAP(W_DMABUF, -EINVAL, 1, 9, FD_NONE, 0, P, FREE),               /* neither way */
	MAP(W_DMABUF, -ENOENT, ALL, 9, FD_NONE, 0, 0, FREE),             /* iommufd_get_ioas */
	MAP(W_DMABUF, -ENOENT, ALL, 2, FD_MEMFD, 0, P, FREE),            /* a device is no IOAS */
	MAP(W_DMABUF, -ENOENT, ALL, 3, FD_MEMFD, 0, P, FREE),            /* nor is a page table */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_NONE, MOST, 0, FREE),          /* !length */
	MAP(W_DMABUF, -EOVERFLOW, ALL, 1, FD_NONE, LAST, 2 * P, FREE),   /* check_add_overflow */
	MAP(W_DMABUF, -EBADF, ALL, 1, FD_NONE, 0, P, FREE),              /* fget */
	MAP(W_DMABUF, -EBADF, ALL, 1, -1, 0, P, HELD),                   /* before EEXIST */
	/* iopt_alloc_dmabuf_pages */
	MAP(W_DMABUF, -EINVAL, ALL, 1, B, 0, 2 * P + 1, HELD), /* beyond its end, before EEXIST */
	MAP(W_DMABUF, -EINVAL, ALL, 1, B, 2 * P, P, FREE),     /* the same */
	MAP(W_DMABUF, -EINVAL, ALL, 1, B, LAST, P, FREE),      /* the same */
	MAP(W_DMABUF, -EINVAL, ALL, 1, B, 0, MOST - P + 2, FREE), /* the same */
	MAP(W_DMABUF, -EEXIST, ALL, 1, B, 0, P, HELD),            /* iopt_check_iova */
	MAP(W_DMABUF, -EINVAL, ALL, 1, B, 1, P, FREE),       /* iopt_insert_area: page_offset */
	MAP(W_DMABUF, -EINVAL, ALL, 1, B, 0, P - 1, FREE),   /* the length's alignment */
	MAP(W_DMABUF, -EINVAL, ALL, 1, B, 0, P, 0xfee00000), /* iopt_reserved_iter_first */
	MAP(W_DMABUF, 0, ALL, 1, B, P, P, FREE),             /* iopt_map_dmabuf */
	MAP(W_DMABUF, 0, 6, 1, B, 0, 2 * P, HELD),           /* anywhere */
	/* iopt_alloc_file_pages, memfd_pin_folios */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_MEMFD, 0, MOST - 1, FREE), /* iopt_alloc_pages */
	MAP(W_DMABUF, -EEXIST, ALL, 1, FD_MEMFD, MOST - P, P, HELD), /* before the pages */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_MEMFD, LAST - P, P, FREE), /* start < 0 */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_MEMFD, 4 * P, P, FREE),    /* end >= i_size_read */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_MEMFD, 0, 5 * P, FREE),    /* the same */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_PLAIN, 0, P, FREE),        /* !shmem_file */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_EVENT, 0, P, FREE),        /* the same */
	MAP(W_DMABUF, -EINVAL, ALL, 1, F, 0, P, FREE),               /* the same */
	MAP(W_DMABUF, -EINVAL, ALL, 1, C, 0, P, FREE),               /* the same */
	MAP(W_DMABUF, -EINVAL, ALL, 1, FD_GROUP, 0, P, FREE),        /* the same */
	MAP(W_DMABUF, 0, ALL, 1, FD_MEMFD, P, 3 * P, FREE),          /* iopt_map_common */
	MAP(W_DMABUF, 0, 6, 1, FD_MEMFD, 0, 4 * P, HELD),            /* anywhere */
	MAP(W_NEW, 0, ALL, 1, FD_MEMFD, 7, 9 * P, 7),                /* nobody looks */
	MAP(W_NEW, 0, ALL, 1, FD_PLAIN, 0, P, FREE),                 /* the same */
	CASE(W_DMABUF, F, UAPI_IOMMUFD_IOAS_MAP_FILE, -EFAULT, 40, .place = AT_RO, .changes = true,
	     .arg.map_file = { 40, ALL, 1, FD_MEMFD, 0, P, FREE }), /* iommufd_ucmd_respond */

	/* iommufd_ioas_change_process */
	CHANGE(W_DMABUF, -EINVAL, 8, 7, 0),     /* min_size */
	CHANGE(W_DMABUF, -EOPNOTSUPP, 8, 8, 1), /* __reserved, before the mappings */
	CHANGE(W_DMABUF, -EINVAL, 8, 8, 0),     /* what is mapped is no file */
	CHANGE(W_BOUND, 0, 8, 8, 0),            /* nothing is mapped */
};

const struct hx_table hx_dmabuf_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
