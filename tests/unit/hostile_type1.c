/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile calls on the type1 back end: Linux 7.2, drivers/vfio/vfio_iommu_type1.c. */
#include "hostile.h"

#define P     HX_PAGE
#define RAM   HX_RAM
#define HELD  HX_HELD
#define FREE  HX_FREE
#define RW    3u
#define VADDR UAPI_DMA_MAP_VADDR
#define LAST  UINT64_C(0xfffffffffffff000)

#define INFO(w, r, l, argsz) CASE(w, FD_CONTAINER, UAPI_IOMMU_GET_INFO, r, l, .arg.info = { argsz })
#define MAP(w, r, argsz, flags, vaddr, iova, size)       \
	CASE(w, FD_CONTAINER, UAPI_IOMMU_MAP_DMA, r, 32, \
	     .arg.map = { argsz, flags, vaddr, iova, size })
#define UNMAP(w, r, argsz, flags, iova, size)              \
	CASE(w, FD_CONTAINER, UAPI_IOMMU_UNMAP_DMA, r, 24, \
	     .arg.unmap = { .head = { argsz, flags, iova, size } })
/* with the bitmap behind it: pgsize, bytes, address */
#define UNMAPB(w, r, argsz, flags, iova, size, ...)        \
	CASE(w, FD_CONTAINER, UAPI_IOMMU_UNMAP_DMA, r, 48, \
	     .arg.unmap = { { argsz, flags, iova, size }, { __VA_ARGS__ } })
#define DIRTY(w, r, l, argsz, flags)                        \
	CASE(w, FD_CONTAINER, UAPI_IOMMU_DIRTY_PAGES, r, l, \
	     .arg.dirty = { .head = { argsz, flags } })
#define GET(w, r, argsz, iova, size, ...)                    \
	CASE(w, FD_CONTAINER, UAPI_IOMMU_DIRTY_PAGES, r, 48, \
	     .arg.dirty = { { argsz, 4 }, { iova, size, { __VA_ARGS__ } } })
#define POINTERS(cmd)                                                \
	VALUE(W_V2, FD_CONTAINER, cmd, -EFAULT, 0),                  \
		VALUE(W_V2, FD_CONTAINER, cmd, -EFAULT, HX_NOWHERE), \
		VALUE(W_V2, FD_CONTAINER, cmd, -EFAULT, HX_KERNEL),  \
		VALUE(W_V2, FD_CONTAINER, cmd, -EFAULT, HX_HIGH),    \
		VALUE(W_V2, FD_CONTAINER, cmd, -EFAULT, UINT64_MAX)

static const struct hx_case cases[] = {
	/* GET_INFO: vfio_iommu_type1_get_info */
	POINTERS(UAPI_IOMMU_GET_INFO),       /* copy_from_user */
	INFO(W_V2, -EINVAL, 16, 0),          /* minsz is up to iova_pgsizes */
	INFO(W_V2, -EINVAL, 16, 15),         /* the same */
	INFO(W_V2, -EFAULT, 15, 15),         /* the copy first */
	INFO(W_V2, 0, 16, 16),               /* the oldest structure */
	INFO(W_V1, 0, 20, 20),               /* half of a field is copied back */
	INFO(W_V2, 0, 24, 135),              /* too short for the capabilities: not written */
	INFO(W_V2, -EFAULT, 24, 136),        /* copy_to_user of the capabilities */
	INFO(W_V2, -EFAULT, 24, UINT32_MAX), /* the same */
	INFO(W_V2, -EFAULT, 16, 24),         /* minsz is what the caller says, at most 24 */
	CASE(W_V2, FD_CONTAINER, UAPI_IOMMU_GET_INFO, -EFAULT, 24, .place = AT_RO,
	     .arg.info = { .argsz = 24 }), /* copy_to_user */

	/* MAP_DMA: vfio_iommu_type1_map_dma, vfio_dma_do_map */
	POINTERS(UAPI_IOMMU_MAP_DMA), /* copy_from_user */
	CASE(W_V2, FD_CONTAINER, UAPI_IOMMU_MAP_DMA, -EFAULT, 31, .arg.map = { 31, 8, 1, 1, 0 }),
	/* the copy before any check */
	MAP(W_V2, -EINVAL, 0, RW, RAM, FREE, P),                 /* argsz */
	MAP(W_V2, -EINVAL, 31, RW, RAM, FREE, P),                /* argsz */
	MAP(W_V2, 0, 32, RW, RAM, FREE, P),                      /* vfio_dma_do_map */
	MAP(W_V2, 0, UINT32_MAX, RW, RAM, FREE, P),              /* longer is fine */
	MAP(W_V2, -EINVAL, 32, 8, RAM, FREE, P),                 /* flags & ~mask */
	MAP(W_V2, -EINVAL, 32, RW | 1u << 31, RAM, LAST, 2 * P), /* before the overflow */
	MAP(W_V2, -EINVAL, 32, RW, RAM, FREE, 0),                /* !size */
	MAP(W_V2, -EINVAL, 32, 0, RAM, UINT64_MAX, 0),        /* !size, before all that follows */
	MAP(W_V2, -EOVERFLOW, 32, RW, RAM, LAST, 2 * P),      /* check_add_overflow: IOVA */
	MAP(W_V2, -EOVERFLOW, 32, RW, LAST, FREE, 2 * P),     /* and address */
	MAP(W_V2, -EOVERFLOW, 32, RW, RAM, FREE, UINT64_MAX), /* IOVA */
	MAP(W_V2, -EOVERFLOW, 32, RW, RAM, 0, UINT64_MAX),    /* address */
	MAP(W_V2, -EOVERFLOW, 32, RW, RAM, UINT64_MAX, 2),    /* before the alignment */
	MAP(W_V2, -EOVERFLOW, 32, 0, RAM, LAST, 2 * P),       /* before READ, WRITE, VADDR */
	MAP(W_V2, -EINVAL, 32, RW, RAM, UINT64_MAX, 1),  /* its end is no overflow; alignment */
	MAP(W_V2, -EINVAL, 32, RW, 0, 0, UINT64_MAX),    /* alignment of the size */
	MAP(W_V2, -EEXIST, 32, RW, 0, 0, LAST),          /* as large as it gets: vfio_find_dma */
	MAP(W_BARE, -EINVAL, 32, RW, 0, 0, LAST),        /* vfio_iommu_iova_dma_valid */
	MAP(W_V2, -EINVAL, 32, 0, RAM, FREE, P),         /* neither READ nor WRITE nor VADDR */
	MAP(W_V2, -EINVAL, 32, 1 | VADDR, RAM, FREE, P), /* prot && set_vaddr */
	MAP(W_VADDR, -EINVAL, 32, RW | VADDR, RAM, HELD, 4 * P), /* the same */
	MAP(W_V2, -EINVAL, 32, RW, RAM, FREE + 1, P),            /* (size | iova | vaddr) & ... */
	MAP(W_V2, -EINVAL, 32, RW, RAM, FREE + 0x800, P),        /* the same */
	MAP(W_V2, -EINVAL, 32, RW, RAM + 1, FREE, P),            /* the same */
	MAP(W_V2, -EINVAL, 32, RW, RAM, FREE, P - 1),            /* the same */
	MAP(W_V2, -EINVAL, 32, RW, RAM, FREE, 1),                /* the same */
	MAP(W_V2, -EINVAL, 32, RW, RAM, HELD + 1, P),            /* before EEXIST */
	MAP(W_V2, -EINVAL, 32, VADDR, RAM, FREE + 1, P),         /* before ENOENT */
	MAP(W_V2, -ENOENT, 32, VADDR, RAM, FREE, P),             /* set_vaddr && !dma */
	MAP(W_V2, -ENOENT, 32, VADDR, HX_NOWHERE, FREE, P),      /* the address is not looked at */
	MAP(W_V2, -EINVAL, 32, VADDR, RAM, HELD, 4 * P),         /* !dma->vaddr_invalid */
	MAP(W_VADDR, -EINVAL, 32, VADDR, RAM, HELD, 3 * P),      /* dma->size != size */
	MAP(W_VADDR, -EINVAL, 32, VADDR, RAM, HELD + P, 4 * P),  /* dma->iova != iova */
	MAP(W_VADDR, -ENOENT, 32, VADDR, RAM, FREE, 4 * P),      /* another one */
	MAP(W_VADDR, 0, 32, VADDR, RAM, HELD, 4 * P),            /* vfio_change_dma_owner */
	MAP(W_VADDR, -EEXIST, 32, RW, RAM, HELD, 4 * P),         /* it is still mapped */
	MAP(W_V2, -EEXIST, 32, RW, RAM, HELD, 4 * P),            /* vfio_find_dma: itself */
	MAP(W_V2, -EEXIST, 32, RW, RAM, HELD + P, P),            /* inside */
	MAP(W_V2, -EEXIST, 32, RW, RAM, HELD - P, 2 * P),        /* its first page */
	MAP(W_V2, -EEXIST, 32, RW, RAM, HELD + 3 * P, 2 * P),    /* its last page */
	MAP(W_V1, -EEXIST, 32, RW, RAM, HELD - P, 8 * P),        /* around it */
	MAP(W_V2, 0, 32, RW, RAM, HELD - P, P),                  /* next to it */
	MAP(W_V2, 0, 32, RW, RAM, HELD + 4 * P, P),              /* the same */
	MAP(W_V2, -EEXIST, 32, RW, HX_NOWHERE, HELD, P), /* before the pages are looked at */
	MAP(W_V2, -EEXIST, 32, RW, 0, HELD, UINT64_C(0x100000000)), /* before the ranges */
	MAP(W_FULL, -ENOSPC, 32, RW, RAM, FREE, P),                 /* !dma_avail */
	MAP(W_FULL, -ENOSPC, 32, RW, RAM, 0xfee00000, P),           /* before the ranges */
	MAP(W_FULL, -ENOSPC, 32, RW, HX_NOWHERE, FREE, P),          /* before the pages */
	MAP(W_FULL, -EEXIST, 32, RW, RAM, HELD, P),                 /* after EEXIST */
	MAP(W_FULL, -EINVAL, 32, RW, RAM, FREE + 1, P),             /* and alignment */
	MAP(W_V2, -EINVAL, 32, RW, RAM, 0xfee00000, P),     /* vfio_iommu_iova_dma_valid: MSI */
	MAP(W_V2, -EINVAL, 32, RW, RAM, 0xfeeff000, P),     /* its last page */
	MAP(W_V2, -EINVAL, 32, RW, RAM, 0xfedff000, 2 * P), /* across its start */
	MAP(W_V2, -EINVAL, 32, RW, RAM, 0xfeeff000, 2 * P), /* across its end */
	MAP(W_V2, 0, 32, RW, RAM, 0xfedff000, P),           /* the page before */
	MAP(W_V2, 0, 32, RW, RAM, 0xfef00000, P),           /* the page behind */
	MAP(W_V2, -EINVAL, 32, RW, RAM, UINT64_C(0xfd00000000), P),     /* HyperTransport */
	MAP(W_V2, -EINVAL, 32, RW, RAM, UINT64_C(0xfffffff000), P),     /* its last page */
	MAP(W_V1, -EINVAL, 32, RW, RAM, UINT64_C(0xfcfffff000), 2 * P), /* across its start */
	MAP(W_V2, 0, 32, RW, RAM, UINT64_C(0xfcfffff000), P),           /* the page before */
	MAP(W_V2, 0, 32, RW, RAM, UINT64_C(0x10000000000), P),          /* the page behind */
	MAP(W_V2, 0, 32, RW, RAM, LAST, P),                             /* the last page there is */
	MAP(W_V2, 0, 32, RW, RAM, 0, P),                                /* and the first */
	MAP(W_V2, -EINVAL, 32, RW, HX_NOWHERE, 0xfee00000, P),  /* the ranges before the pages */
	MAP(W_V2, -EFAULT, 32, RW, HX_NOWHERE, FREE, P),        /* vaddr_get_pfns */
	MAP(W_V2, -EFAULT, 32, RW, 0, FREE, P),                 /* vaddr_get_pfns */
	MAP(W_V2, -EFAULT, 32, RW, HX_KERNEL, FREE, P),         /* vaddr_get_pfns */
	MAP(W_V2, -EFAULT, 32, 1, HX_KERNEL, FREE, P),          /* also to read */
	MAP(W_V2, -EFAULT, 32, RW, HX_HIGH, FREE, P),           /* vaddr_get_pfns */
	MAP(W_V2, -EFAULT, 32, RW, LAST, FREE, P),              /* vaddr_get_pfns */
	MAP(W_V2, -EFAULT, 32, RW, HX_RO, FREE, P),             /* FOLL_WRITE */
	MAP(W_V2, -EFAULT, 32, 2, HX_RO, FREE, P),              /* FOLL_WRITE */
	MAP(W_V2, 0, 32, 1, HX_RO, FREE, P),                    /* the device may only read */
	MAP(W_V2, -EFAULT, 32, RW, RAM, FREE, HX_RAM_SIZE + P), /* vfio_pin_map_dma: all undone */
	MAP(W_V2, -EFAULT, 32, RW, RAM + HX_RAM_SIZE - P, FREE, 2 * P),              /* the same */
	MAP(W_V2, -EFAULT, 32, RW, RAM, UINT64_C(0x10000000000), UINT64_C(1) << 62), /* the same */
	MAP(W_V1, 0, 32, 1, RAM, FREE, P),                                           /* read only */
	MAP(W_TRACK, 0, 32, 2, RAM, FREE, P), /* write only */

	/* UNMAP_DMA: vfio_iommu_type1_unmap_dma, vfio_dma_do_unmap */
	POINTERS(UAPI_IOMMU_UNMAP_DMA), /* copy_from_user */
	CASE(W_V2, FD_CONTAINER, UAPI_IOMMU_UNMAP_DMA, -EFAULT, 23,
	     .arg.unmap = { { 23, 8, 1, 0 } }),
	/* the copy before any check */
	UNMAP(W_V2, -EINVAL, 0, 0, HELD, 4 * P),                 /* argsz */
	UNMAP(W_V2, -EINVAL, 23, 0, HELD, 4 * P),                /* argsz */
	UNMAP(W_V2, 0, 24, 0, HELD, 4 * P),                      /* vfio_dma_do_unmap */
	UNMAP(W_V2, -EINVAL, 24, 8, HELD, 4 * P),                /* flags & ~mask */
	UNMAP(W_V2, -EINVAL, 24, 1u << 31, LAST, 2 * P),         /* the same */
	UNMAPB(W_TRACK, -EINVAL, 48, 3, 0, 0, P, 8, RAM),        /* bitmap with ALL */
	UNMAPB(W_TRACK, -EINVAL, 48, 5, HELD, 4 * P, P, 8, RAM), /* bitmap with VADDR */
	UNMAPB(W_TRACK, -EINVAL, 47, 1, HELD, 4 * P, P, 8, RAM), /* argsz < minsz + bitmap */
	UNMAP(W_TRACK, -EFAULT, 48, 1, HELD, 4 * P),             /* copy of the bitmap */
	UNMAP(W_V2, -EFAULT, 48, 1, HELD + 1, 0),                /* before the range is checked */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 4 * P, P, 8, HX_KERNEL),  /* access_ok */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 4 * P, P, 8, UINT64_MAX), /* access_ok */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, FREE, P, P, 8, HX_HIGH),  /* though nothing is mapped */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 4 * P, P, 0, RAM),  /* verify_bitmap_size */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 0, P, 8, RAM),      /* no pages */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 4 * P, P, 7, RAM),  /* too small */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 65 * P, P, 8, RAM), /* too small */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 4 * P, P, (1u << 28) + 8, RAM), /* too large */
	UNMAPB(W_V2, -EINVAL, 48, 1, HELD, 4 * P, P, 8, RAM),           /* !dirty_page_tracking */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD, 4 * P, 2 * P, 8, RAM),    /* bitmap->pgsize */
	UNMAPB(W_TRACK, -EINVAL, 48, 1, HELD + P, P, P, 8, RAM),        /* bisected */
	UNMAPB(W_TRACK, -EOVERFLOW, 48, 1, LAST, 2 * P, 2 * P, 8, RAM), /* before pgsize */
	UNMAPB(W_TRACK, -EFAULT, 48, 1, HELD, 4 * P, P, 8, HX_NOWHERE), /* update_user_bitmap */
	UNMAPB(W_TRACK, -EFAULT, 48, 1, HELD, 4 * P, P, 8, HX_RO),      /* update_user_bitmap */
	UNMAPB(W_TRACK, 0, 48, 1, FREE, P, P, 8, HX_NOWHERE),           /* nothing to tell */
	UNMAPB(W_TRACK, 0, 48, 1, HELD, 4 * P, P, 8, RAM),              /* vfio_dma_do_unmap */
	UNMAP(W_V2, -EINVAL, 24, 0, HELD + 1, 4 * P),                   /* iova & (pgsize - 1) */
	UNMAP(W_V2, -EINVAL, 24, 0, UINT64_MAX, 1),                     /* the same */
	UNMAP(W_V2, -EINVAL, 24, 0, HELD, 0),                           /* !size */
	UNMAP(W_V2, -EINVAL, 24, 0, HELD, 4 * P - 1),                   /* size & (pgsize - 1) */
	UNMAP(W_V2, -EINVAL, 24, 0, 0, UINT64_MAX),   /* the same: not "all" here */
	UNMAP(W_V2, -EOVERFLOW, 24, 0, LAST, 2 * P),  /* check_add_overflow */
	UNMAP(W_V1, -EOVERFLOW, 24, 4, LAST, 2 * P),  /* the same */
	UNMAP(W_V2, -EINVAL, 24, 0, LAST + 1, 2 * P), /* alignment before overflow */
	UNMAP(W_V2, -EINVAL, 24, 2, HELD, 0),         /* ALL with an IOVA */
	UNMAP(W_V2, -EINVAL, 24, 2, 0, 4 * P),        /* ALL with a size */
	UNMAP(W_V2, 0, 24, 2, 0, 0),                  /* ALL */
	UNMAP(W_BARE, 0, 24, 2, 0, 0),                /* all of nothing */
	UNMAP(W_V1, 0, 24, 2, 0, 0),                  /* v1 as well */
	UNMAP(W_V2, -EINVAL, 24, 0, HELD, P),         /* v2: cut at the end */
	UNMAP(W_V2, -EINVAL, 24, 0, HELD + P, 3 * P), /* v2: cut at the start */
	UNMAP(W_V2, -EINVAL, 24, 0, HELD + P, P),     /* v2: cut at both */
	UNMAP(W_V2, -EINVAL, 24, 0, HELD - P, 2 * P), /* v2: cut at the end */
	UNMAP(W_V2, -EINVAL, 24, 4, HELD + P, P),     /* with VADDR as well */
	UNMAP(W_V2, 0, 24, 0, FREE, P),               /* nothing there */
	UNMAP(W_V2, 0, 24, 0, HELD - P, 6 * P),       /* more than there is */
	UNMAP(W_V2, 0, 24, 0, 0, LAST),               /* nearly everything */
	UNMAP(W_V1, 0, 24, 0, HELD, P),               /* v1: all of it goes */
	UNMAP(W_V1, 0, 24, 0, HELD + P, P),           /* v1: nothing goes */
	UNMAP(W_V2, 0, 24, 4, HELD, 4 * P),           /* VADDR */
	UNMAP(W_V2, 0, 24, 6, 0, 0),                  /* VADDR of all */
	UNMAP(W_VADDR, -EINVAL, 24, 4, HELD, 4 * P),  /* dma->vaddr_invalid */
	UNMAP(W_VADDR, -EINVAL, 24, 6, 0, 0),         /* the same */
	UNMAP(W_VADDR, 0, 24, 0, HELD, 4 * P),        /* unmapping is allowed */
	CASE(W_V2, FD_CONTAINER, UAPI_IOMMU_UNMAP_DMA, -EFAULT, 24, .place = AT_RO, .changes = true,
	     .arg.unmap = { { 24, 0, HELD, 4 * P } }), /* copy_to_user, when it has gone */
	CASE(W_V2, FD_CONTAINER, UAPI_IOMMU_UNMAP_DMA, -EINVAL, 24, .place = AT_RO,
	     .arg.unmap = { { 24, 0, HELD, P } }), /* nothing to write back */

	/* DIRTY_PAGES: vfio_iommu_type1_dirty_pages */
	POINTERS(UAPI_IOMMU_DIRTY_PAGES),                              /* copy_from_user */
	VALUE(W_V1, FD_CONTAINER, UAPI_IOMMU_DIRTY_PAGES, -EACCES, 0), /* !v2 before the copy */
	DIRTY(W_V1, -EACCES, 8, 8, 1),                                 /* the same */
	DIRTY(W_V2, -EFAULT, 7, 7, 8),                        /* the copy before the checks */
	DIRTY(W_V2, -EINVAL, 8, 7, 1),                        /* argsz */
	DIRTY(W_V2, -EINVAL, 8, 8, 8),                        /* flags & ~mask */
	DIRTY(W_V2, -EINVAL, 8, 8, 0),                        /* none of them */
	DIRTY(W_V2, -EINVAL, 8, 8, 3),                        /* more than one */
	DIRTY(W_V2, -EINVAL, 8, 8, 5),                        /* the same */
	DIRTY(W_TRACK, -EINVAL, 8, 8, 7),                     /* the same */
	DIRTY(W_V2, 0, 8, 8, 1),                              /* start */
	DIRTY(W_TRACK, 0, 8, 8, 1),                           /* again */
	DIRTY(W_V2, 0, 8, 8, 2),                              /* stop what is not on */
	DIRTY(W_TRACK, 0, 8, 8, 2),                           /* stop */
	DIRTY(W_TRACK, -EINVAL, 8, 8, 4),                     /* !data_size */
	DIRTY(W_TRACK, -EINVAL, 8, 47, 4),                    /* data_size < sizeof(range) */
	DIRTY(W_TRACK, -EFAULT, 8, 48, 4),                    /* copy of the range */
	GET(W_TRACK, -EINVAL, 48, HELD, 0, P, 8, RAM),        /* !size */
	GET(W_TRACK, -EINVAL, 48, UINT64_MAX, 0, 0, 0, 0),    /* !size, before all that follows */
	GET(W_TRACK, -EOVERFLOW, 48, LAST, 2 * P, P, 8, RAM), /* check_add_overflow */
	GET(W_V2, -EOVERFLOW, 48, LAST, 2 * P, 0, 0, HX_KERNEL), /* before the bitmap, tracking */
	GET(W_TRACK, -EINVAL, 48, HELD, 4 * P, P, 8, HX_KERNEL), /* access_ok */
	GET(W_TRACK, -EINVAL, 48, FREE, 4 * P, P, 8, HX_HIGH),   /* access_ok, nothing mapped */
	GET(W_TRACK, -EINVAL, 48, HELD, 4 * P, P, 0, RAM),       /* verify_bitmap_size */
	GET(W_TRACK, -EINVAL, 48, HELD, 4 * P, P, 7, RAM),       /* the same */
	GET(W_TRACK, -EINVAL, 48, HELD, 128 * P, P, 8, RAM),     /* the same */
	GET(W_TRACK, -EINVAL, 48, HELD, P - 1, P, 8, RAM),       /* less than a page: none */
	GET(W_TRACK, -EINVAL, 48, HELD, 4 * P, P, (1u << 28) + 8, RAM), /* the same */
	GET(W_TRACK, -EINVAL, 48, HELD, 4 * P, 2 * P, 8, RAM),          /* pgsize != iommu_pgsize */
	GET(W_TRACK, -EINVAL, 48, HELD, 4 * P, 0x800, 8, RAM),          /* the same */
	GET(W_TRACK, -EINVAL, 48, HELD + 1, 4 * P, P, 8, RAM),          /* iova & ... */
	GET(W_TRACK, -EINVAL, 48, HELD, 4 * P + 1, P, 8, RAM),          /* size & ... */
	GET(W_V2, -EINVAL, 48, HELD, 4 * P, P, 8, RAM),                 /* !dirty_page_tracking */
	GET(W_TRACK, -EINVAL, 48, HELD + P, 3 * P, P, 8, RAM),    /* vfio_iova_dirty_bitmap: cut */
	GET(W_TRACK, -EINVAL, 48, HELD, 3 * P, P, 8, RAM),        /* the same */
	GET(W_TRACK, -EFAULT, 48, HELD, 4 * P, P, 8, HX_NOWHERE), /* update_user_bitmap */
	GET(W_TRACK, -EFAULT, 48, HELD - P, 5 * P, P, 8, HX_NOWHERE), /* reading what is before */
	GET(W_TRACK, -EFAULT, 48, HELD, 4 * P, P, 8, HX_RO),          /* update_user_bitmap */
	GET(W_TRACK, 0, 48, FREE, 4 * P, P, 8, HX_NOWHERE), /* nothing mapped, nothing told */
	GET(W_TRACK, 0, 48, HELD, 4 * P, P, 8, RAM),        /* vfio_iova_dirty_bitmap */
};

const struct hx_table hx_type1_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
