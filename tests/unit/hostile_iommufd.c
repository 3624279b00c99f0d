/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile calls on an iommufd. Linux 7.2: iommufd_fops_ioctl (drivers/iommu/iommufd/main.c),
 * ioas.c, io_pagetable.c.
 */
#include "hostile.h"

#define F    FD_IOMMUFD
#define P    HX_PAGE
#define RAM  HX_RAM
#define HELD HX_HELD
#define FREE HX_FREE
#define LAST UINT64_C(0xfffffffffffff000)
#define ALL  7u /* FIXED_IOVA, WRITEABLE, READABLE */

#define ALLOC(w, r, l, ...)   CASE(w, F, UAPI_IOMMUFD_IOAS_ALLOC, r, l, .arg.words = { __VA_ARGS__ })
#define DESTROY(w, r, l, ...) CASE(w, F, UAPI_IOMMUFD_DESTROY, r, l, .arg.words = { __VA_ARGS__ })
#define RANGES(w, r, l, size, id, n, res, at) \
	CASE(w, F, UAPI_IOMMUFD_IOAS_IOVA_RANGES, r, l, .arg.ranges = { size, id, n, res, at, 0 })
#define MAP(w, r, flags, id, res, va, len_, iova) \
	CASE(w, F, UAPI_IOMMUFD_IOAS_MAP, r, 40,  \
	     .arg.ioas_map = { 40, flags, id, res, va, len_, iova })
#define UNMAP(w, r, id, iova, len_) \
	CASE(w, F, UAPI_IOMMUFD_IOAS_UNMAP, r, 24, .arg.ioas_unmap = { 24, id, iova, len_ })
#define SIZES(cmd, size)                                                             \
	VALUE(W_NEW, F, cmd, -EFAULT, 0), VALUE(W_NEW, F, cmd, -EFAULT, HX_NOWHERE), \
		VALUE(W_NEW, F, cmd, -EFAULT, HX_KERNEL),                            \
		CASE(W_NEW, F, cmd, -EFAULT, 3, .arg.words = { 0 }),                 \
		CASE(W_NEW, F, cmd, -EINVAL, size, .arg.words = { 0 }),              \
		CASE(W_NEW, F, cmd, -EINVAL, size, .arg.words = { (size)-1 }),       \
		CASE(W_NEW, F, cmd, -EINVAL, 4, .arg.words = { (size)-1 }),          \
		CASE(W_NEW, F, cmd, -EFAULT, (size)-1, .arg.words = { size }),       \
		CASE(W_NEW, F, cmd, -EFAULT, size, .arg.words = { (size) + 1 }),     \
		CASE(W_NEW, F, cmd, -EFAULT, size, .arg.words = { UINT32_MAX }),     \
		CASE(W_NEW, F, cmd, -E2BIG, (size) + 4,                              \
		     .arg.words = { (size) + 4, [(size) / 4] = 1 }),                 \
		CASE(W_NEW, F, cmd, -E2BIG, (size) + 4,                              \
		     .arg.words = { UINT32_MAX, [(size) / 4] = 1u << 31 })

static const struct hx_case cases[] = {
	/*
	 * iommufd_fops_ioctl: get_user of the size; less than min_size; copy_struct_from_user with
	 * what is beyond looked at first: its bytes as far as they are there, then the rest
	 */
	SIZES(UAPI_IOMMUFD_DESTROY, 8),           /* get_user, min_size, check_zeroed_user */
	SIZES(UAPI_IOMMUFD_IOAS_ALLOC, 12),       /* the same */
	SIZES(UAPI_IOMMUFD_IOAS_IOVA_RANGES, 32), /* the same */
	SIZES(UAPI_IOMMUFD_IOAS_MAP, 40),         /* the same */
	SIZES(UAPI_IOMMUFD_IOAS_UNMAP, 24),       /* the same */
	VALUE(W_NEW, F, UAPI_NR(0x94) | 0x40000000, -EFAULT,
	      0), /* in the table's range: get_user */
	CASE(W_NEW, F, UAPI_IOMMUFD_IOAS_MAP | 0xc0280000, -ENOTTY, 40, .arg.words = { 40 }),
	/* op->ioctl_num != cmd */
	CASE(W_NEW, F, UAPI_IOMMUFD_DESTROY | 0x40000000, -ENOTTY, 4, .arg.words = { 0 }),
	/* that before min_size */
	VALUE(W_NEW, F, UAPI_NR(0x95), -ENOTTY, 0),            /* iommufd_vfio_ioctl */
	VALUE(W_NEW, F, UAPI_NR(0x7f), -ENOTTY, 0),            /* the same */
	VALUE(W_NEW, F, UAPI_GROUP_SET_CONTAINER, -ENOTTY, 0), /* the same */

	/* iommufd_ioas_alloc_ioctl */
	ALLOC(W_NEW, 0, 12, 12),                     /* iommufd_ucmd_respond */
	ALLOC(W_NEW, 0, 16, 16),                     /* zeros beyond */
	ALLOC(W_NEW, -EOPNOTSUPP, 12, 12, 1),        /* flags */
	ALLOC(W_NEW, -EOPNOTSUPP, 12, 12, 1u << 31), /* the same */
	ALLOC(W_NEW, -E2BIG, 16, 16, 1, 0, 1),       /* before the flags */
	CASE(W_NEW, F, UAPI_IOMMUFD_IOAS_ALLOC, -EFAULT, 12, .place = AT_RO, .arg.words = { 12 }),
	/* iommufd_ucmd_respond; the IOAS never was */
	CASE(W_NEW, F, UAPI_IOMMUFD_IOAS_ALLOC, -EOPNOTSUPP, 12, .place = AT_RO,
	     .arg.words = { 12, 1 }),

	/* iommufd_destroy: iommufd_object_remove */
	DESTROY(W_NEW, 0, 8, 8, 1),                /* the IOAS */
	DESTROY(W_NEW, -ENOENT, 8, 8, 0),          /* numbers start at 1 */
	DESTROY(W_NEW, -ENOENT, 8, 8, 2),          /* not there */
	DESTROY(W_NEW, -ENOENT, 8, 8, UINT32_MAX), /* the same */
	DESTROY(W_BOUND, -EBUSY, 8, 8, 2),         /* the bound device */
	DESTROY(W_BOUND, 0, 8, 8, 1),              /* nobody is attached */
	DESTROY(W_ATTACHED, -EBUSY, 8, 8, 1),      /* its page table uses it */
	DESTROY(W_ATTACHED, -EBUSY, 8, 8, 2),      /* the device */
	DESTROY(W_ATTACHED, -EBUSY, 8, 8, 3),      /* the page table */
	DESTROY(W_ATTACHED, -ENOENT, 8, 8, 4),     /* nothing more */

	/* iommufd_ioas_iova_ranges */
	RANGES(W_NEW, -EOPNOTSUPP, 32, 32, 1, 0, 1, 0),           /* __reserved */
	RANGES(W_NEW, -EOPNOTSUPP, 32, 32, 9, 0, 1, 0),           /* before the IOAS */
	RANGES(W_NEW, -ENOENT, 32, 32, 0, 0, 0, 0),               /* iommufd_get_ioas */
	RANGES(W_NEW, -ENOENT, 32, 32, 9, 4, 0, HX_NOWHERE),      /* before the array */
	RANGES(W_BOUND, -ENOENT, 32, 32, 2, 4, 0, RAM),           /* a device is no IOAS */
	RANGES(W_ATTACHED, -ENOENT, 32, 32, 3, 4, 0, RAM),        /* nor is a page table */
	RANGES(W_NEW, -EMSGSIZE, 32, 32, 1, 0, 0, 0),             /* num_iovas > max_iovas: one */
	RANGES(W_NEW, 0, 32, 32, 1, 1, 0, RAM),                   /* everything, before a device */
	RANGES(W_ATTACHED, -EMSGSIZE, 32, 32, 1, 2, 0, RAM),      /* three with one */
	RANGES(W_ATTACHED, 0, 32, 32, 1, 3, 0, RAM),              /* the same */
	RANGES(W_ATTACHED, -EFAULT, 32, 32, 1, 3, 0, HX_NOWHERE), /* copy_to_user */
	RANGES(W_ATTACHED, -EFAULT, 32, 32, 1, 1, 0, HX_RO), /* copy_to_user, before EMSGSIZE */
	RANGES(W_ATTACHED, -EFAULT, 32, 32, 1, UINT32_MAX, 0, RAM + HX_RAM_SIZE - 40),
	/* copy_to_user of the third */
	CASE(W_ATTACHED, F, UAPI_IOMMUFD_IOAS_IOVA_RANGES, -EFAULT, 32, .place = AT_RO,
	     .arg.ranges = { 32, 1, 0, 0, 0, 0 }), /* iommufd_ucmd_respond, before EMSGSIZE */

	/* iommufd_ioas_map, iopt_map_user_pages, iopt_alloc_area_pages */
	MAP(W_ATTACHED, -EOPNOTSUPP, 8 | ALL, 1, 0, RAM, P, FREE),           /* flags */
	MAP(W_ATTACHED, -EOPNOTSUPP, ALL, 1, 1, RAM, P, FREE),               /* __reserved */
	MAP(W_ATTACHED, -EOPNOTSUPP, 1u << 31, 9, 1, RAM, UINT64_MAX, FREE), /* before the rest */
	MAP(W_ATTACHED, -EOVERFLOW, 1, 9, 0, RAM, P, UINT64_MAX),            /* iova >= ULONG_MAX */
	MAP(W_ATTACHED, -EOVERFLOW, ALL, 1, 0, RAM, UINT64_MAX, FREE), /* length >= ULONG_MAX */
	MAP(W_ATTACHED, -EINVAL, 1, 9, 0, RAM, P, FREE),       /* neither way, before the IOAS */
	MAP(W_ATTACHED, -ENOENT, ALL, 9, 0, RAM, 0, FREE),     /* iommufd_get_ioas */
	MAP(W_ATTACHED, -ENOENT, ALL, 0, 0, RAM, P, FREE),     /* the same */
	MAP(W_ATTACHED, -ENOENT, ALL, 2, 0, RAM, P, FREE),     /* a device is no IOAS */
	MAP(W_ATTACHED, -ENOENT, ALL, 3, 0, RAM, P, FREE),     /* nor is a page table */
	MAP(W_ATTACHED, -EOVERFLOW, ALL, 1, 0, LAST, P, FREE), /* iopt_alloc_user_pages: to 2^64 */
	MAP(W_ATTACHED, -EOVERFLOW, ALL, 1, 0, LAST, 2 * P, LAST), /* the address before the IOVA */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, 0, FREE), /* iopt_alloc_pages: length == 0 */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, UINT64_MAX, 0, FREE), /* the sum is no overflow */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, P + 1, FREE), /* length & (iova_alignment - 1) */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, 1, LAST + 1), /* the same */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, P, FREE + 1), /* iopt_check_iova: alignment */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, 2 * P, LAST + 1),   /* before the overflow */
	MAP(W_ATTACHED, -EOVERFLOW, ALL, 1, 0, RAM, 2 * P, LAST),    /* iova + length - 1 */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, P, 0xfee00000),     /* iopt_reserved_iter_first */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, 2 * P, 0xfedff000), /* the same */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, P, UINT64_C(0xfd00000000)),   /* the same */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM, UINT64_C(0x100000000), HELD), /* before EEXIST */
	MAP(W_ATTACHED, -EEXIST, ALL, 1, 0, RAM, P, HELD),         /* iopt_area_iter_first */
	MAP(W_ATTACHED, -EEXIST, ALL, 1, 0, RAM, 2 * P, HELD - P), /* the same */
	MAP(W_ATTACHED, -EEXIST, ALL, 1, 0, RAM + 1, P, HELD),     /* before iopt_insert_area */
	MAP(W_ATTACHED, -EEXIST, ALL, 1, 0, HX_NOWHERE, P, HELD),  /* before the pages */
	MAP(W_ATTACHED, -EINVAL, ALL, 1, 0, RAM + 1, P, FREE), /* iopt_insert_area: page_offset */
	MAP(W_ATTACHED, -EFAULT, ALL, 1, 0, HX_NOWHERE, P, FREE), /* pin_user_pages */
	MAP(W_ATTACHED, -EFAULT, ALL, 1, 0, 0, P, FREE),          /* pin_user_pages */
	MAP(W_ATTACHED, -EFAULT, ALL, 1, 0, HX_KERNEL, P, FREE),  /* pin_user_pages */
	MAP(W_ATTACHED, -EFAULT, ALL, 1, 0, HX_RO, P, FREE),      /* FOLL_WRITE */
	MAP(W_ATTACHED, -EFAULT, ALL, 1, 0, RAM, HX_RAM_SIZE + P,
	    FREE),                                       /* the last page: all undone */
	MAP(W_ATTACHED, 0, 5, 1, 0, HX_RO, P, FREE),     /* to read */
	MAP(W_ATTACHED, 0, ALL, 1, 0, RAM, P, LAST - P), /* high up */
	MAP(W_ATTACHED, -EOVERFLOW, 6, 1, 0, 0, (UINT64_C(1) << 63) - P + P,
	    0),                                               /* iopt_alloc_iova */
	MAP(W_ATTACHED, -EINVAL, 6, 1, 0, RAM + 0x800, P, 0), /* iova_alignment < iopt's */
	MAP(W_ATTACHED, -EFAULT, 6, 1, 0, HX_NOWHERE, P, 0),  /* with an IOVA chosen */
	MAP(W_ATTACHED, 0, 6, 1, 0, RAM, 3 * P, HELD),        /* the IOVA given does not matter */
	MAP(W_NEW, 0, ALL, 1, 0, RAM, P, 0xfee00000),         /* nothing is reserved yet */
	MAP(W_NEW, 0, 6, 1, 0, RAM, P, 0),                    /* iopt_alloc_iova */
	CASE(W_ATTACHED, F, UAPI_IOMMUFD_IOAS_MAP, -EFAULT, 40, .place = AT_RO, .changes = true,
	     .arg.ioas_map = { 40, ALL, 1, 0, RAM, P,
			       FREE }), /* iommufd_ucmd_respond: it is mapped */

	/* iommufd_ioas_unmap, iopt_unmap_iova */
	UNMAP(W_ATTACHED, -ENOENT, 9, HELD, 0),          /* iommufd_get_ioas */
	UNMAP(W_ATTACHED, -ENOENT, 3, 0, UINT64_MAX),    /* no IOAS; before that is "all" */
	UNMAP(W_ATTACHED, -EOVERFLOW, 1, UINT64_MAX, P), /* iova >= ULONG_MAX */
	UNMAP(W_ATTACHED, -EOVERFLOW, 1, P, UINT64_MAX), /* length >= ULONG_MAX */
	UNMAP(W_ATTACHED, -EINVAL, 1, HELD, 0),          /* !length */
	UNMAP(W_ATTACHED, -EOVERFLOW, 1, LAST, 2 * P),   /* check_add_overflow */
	UNMAP(W_ATTACHED, -ENOENT, 1, HELD, P),          /* iopt_unmap_iova_range: cut */
	UNMAP(W_ATTACHED, -ENOENT, 1, HELD + P, 3 * P),  /* the same */
	UNMAP(W_ATTACHED, -ENOENT, 1, HELD, 4 * P - 1),  /* a byte short is short */
	UNMAP(W_ATTACHED, -ENOENT, 1, HELD + 1, 4 * P),  /* the same */
	UNMAP(W_ATTACHED, -ENOENT, 1, FREE, P),          /* !unmapped */
	UNMAP(W_ATTACHED, -ENOENT, 1, FREE + 1, 1),      /* alignment does not matter */
	UNMAP(W_ATTACHED, 0, 1, HELD, 4 * P),            /* iopt_unmap_iova */
	UNMAP(W_ATTACHED, 0, 1, HELD - 1, 4 * P + 2),    /* nor does it here */
	UNMAP(W_ATTACHED, 0, 1, 0, UINT64_MAX - 1),      /* nearly everything */
	UNMAP(W_ATTACHED, 0, 1, 0, UINT64_MAX),          /* iopt_unmap_all */
	UNMAP(W_NEW, 0, 1, 0, UINT64_MAX),               /* of nothing */
	CASE(W_ATTACHED, F, UAPI_IOMMUFD_IOAS_UNMAP, -EFAULT, 24, .place = AT_RO, .changes = true,
	     .arg.ioas_unmap = { 24, 1, HELD, 4 * P }), /* iommufd_ucmd_respond: it has gone */
};

const struct hx_table hx_iommufd_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
