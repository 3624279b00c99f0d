/* SPDX-License-Identifier: BSD-3-Clause */
/* Hostile calls on containers and groups: Linux 7.2, drivers/vfio/container.c, group.c. */
#include "hostile.h"

#define EXT(w, r, v)   VALUE(w, FD_CONTAINER, UAPI_CHECK_EXTENSION, r, v)
#define IOMMU(w, r, v) VALUE(w, FD_CONTAINER, UAPI_SET_IOMMU, r, v)
#define JOIN(w, r, n)  CASE(w, FD_GROUP, UAPI_GROUP_SET_CONTAINER, r, 4, .arg.fd = (n))
#define STATUS(w, r, l, ...) \
	CASE(w, FD_GROUP, UAPI_GROUP_GET_STATUS, r, l, .arg.status = { __VA_ARGS__ })
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a string that an array starts as stands alone */
#define NAME(w, r, s) CASE(w, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, r, sizeof(s), .arg.text = s)
#define UNTERMINATED(w, r, n) \
	CASE(w, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, r, n, .arg.text = "0000:01:00.0")

static const struct hx_case cases[] = {
	/* a container without an IOMMU */
	VALUE(W_NEW, FD_CONTAINER, UAPI_GET_API_VERSION, 0, 0),         /* vfio_fops_unl_ioctl */
	VALUE(W_NEW, FD_CONTAINER, UAPI_GET_API_VERSION, 0, HX_KERNEL), /* takes no argument */
	EXT(W_NEW, 0, 0),                     /* vfio_iommu_type1_check_extension */
	EXT(W_NEW, 1, 1),                     /* TYPE1: the same */
	EXT(W_NEW, 0, 2),                     /* SPAPR_TCE */
	EXT(W_NEW, 1, 3),                     /* TYPE1v2 */
	EXT(W_NEW, 0, 4),                     /* DMA_CC: no domain yet */
	EXT(W_NEW, 0, 5),                     /* EEH */
	EXT(W_NEW, 0, 6),                     /* nesting: reserved since 6.14 */
	EXT(W_NEW, 0, 7),                     /* SPAPR_TCE_v2 */
	EXT(W_NEW, 0, 8),                     /* vfio_noiommu_ioctl: not enabled */
	EXT(W_NEW, 1, 9),                     /* UNMAP_ALL */
	EXT(W_NEW, 0, 10),                    /* UPDATE_VADDR: no container yet */
	EXT(W_NEW, 0, 11),                    /* nothing */
	EXT(W_NEW, 0, UINT64_MAX),            /* the whole word counts */
	EXT(W_NEW, 0, UINT64_C(0x100000001)), /* also its upper half */
	EXT(W_V2, 1, 1),                      /* vfio_container_ioctl_check_extension */
	EXT(W_V1, 1, 3),                      /* whatever was set */
	EXT(W_V2, 1, 4),                      /* vfio_domains_have_enforce_cache_coherency */
	EXT(W_V2, 1, 10),                     /* !vfio_iommu_has_emulated */
	EXT(W_V2, 0, 8),                      /* the driver that is set, only */
	IOMMU(W_NEW, -EINVAL, 1),             /* vfio_ioctl_set_iommu: no group */
	IOMMU(W_NEW, -EINVAL, 77),            /* that comes before the type */
	IOMMU(W_JOINED, -ENODEV, 0),          /* no driver has it */
	IOMMU(W_JOINED, -ENODEV, 2),          /* vfio_ioctl_set_iommu */
	IOMMU(W_JOINED, -ENODEV, 4),          /* an extension that is 0 without a domain */
	IOMMU(W_JOINED, -ENODEV, 6),          /* vfio_iommu_type1_check_extension says 0 */
	IOMMU(W_JOINED, -ENODEV, 8),          /* vfio_iommu_driver_allowed */
	IOMMU(W_JOINED, -EINVAL, 9),          /* vfio_iommu_type1_open: it is no type */
	IOMMU(W_JOINED, -ENODEV, 10),         /* vfio_ioctl_set_iommu */
	IOMMU(W_JOINED, -ENODEV, UINT64_MAX), /* vfio_ioctl_set_iommu */
	IOMMU(W_JOINED, -ENODEV, UINT64_C(0x100000001)), /* vfio_ioctl_set_iommu */
	IOMMU(W_V2, -EINVAL, 3),                         /* vfio_ioctl_set_iommu: it has one */
	IOMMU(W_V1, -EINVAL, 77),                        /* that comes before the type, too */
	VALUE(W_NEW, FD_CONTAINER, UAPI_IOMMU_GET_INFO, -EINVAL,
	      HX_NOWHERE),                                               /* vfio_fops_unl_ioctl */
	VALUE(W_NEW, FD_CONTAINER, UAPI_IOMMU_MAP_DMA, -EINVAL, 0),      /* vfio_fops_unl_ioctl */
	VALUE(W_JOINED, FD_CONTAINER, UAPI_IOMMU_MAP_DMA, -EINVAL, 0),   /* the same */
	VALUE(W_JOINED, FD_CONTAINER, UAPI_IOMMU_UNMAP_DMA, -EINVAL, 0), /* the same */
	VALUE(W_JOINED, FD_CONTAINER, UAPI_NR(180), -EINVAL, 0),         /* unknown is no better */
	VALUE(W_V2, FD_CONTAINER, UAPI_NR(180), -ENOTTY, 0),          /* vfio_iommu_type1_ioctl */
	VALUE(W_V2, FD_CONTAINER, UAPI_NR(99), -ENOTTY, HX_NOWHERE),  /* vfio_iommu_type1_ioctl */
	VALUE(W_V2, FD_CONTAINER, UAPI_GROUP_GET_STATUS, -ENOTTY, 0), /* another kind of file's */
	VALUE(W_V2, FD_CONTAINER, UAPI_DEVICE_SET_IRQS, -ENOTTY, 0),  /* vfio_iommu_type1_ioctl */
	VALUE(W_V2, FD_CONTAINER, UAPI_IOMMUFD_IOAS_MAP, -ENOTTY, 0), /* vfio_iommu_type1_ioctl */
	VALUE(W_V2, FD_CONTAINER2, UAPI_IOMMU_GET_INFO, -EINVAL, 0),  /* a second one is its own */

	/* status */
	STATUS(W_NEW, -EINVAL, 8, 7),                              /* vfio_group_ioctl_get_status */
	STATUS(W_NEW, -EINVAL, 8, 0),                              /* the same */
	STATUS(W_NEW, 0, 8, 8),                                    /* the same */
	STATUS(W_V2, 0, 8, 8, 0xffffffff),                         /* flags are overwritten */
	STATUS(W_V2, 0, 8, UINT32_MAX),                            /* longer is fine */
	STATUS(W_NEW, -EFAULT, 7, 8),                              /* copy_from_user before argsz */
	STATUS(W_NEW, -EFAULT, 4, 4),                              /* the same, with both wrong */
	VALUE(W_NEW, FD_GROUP, UAPI_GROUP_GET_STATUS, -EFAULT, 0), /* get_status */
	VALUE(W_NEW, FD_GROUP, UAPI_GROUP_GET_STATUS, -EFAULT, HX_NOWHERE), /* get_status */
	VALUE(W_NEW, FD_GROUP, UAPI_GROUP_GET_STATUS, -EFAULT, HX_KERNEL),  /* get_status */
	CASE(W_NEW, FD_GROUP, UAPI_GROUP_GET_STATUS, -EFAULT, 8, .place = AT_RO,
	     .arg.status = { 8 }), /* copy_to_user */
	CASE(W_NEW, FD_GROUP, UAPI_GROUP_GET_STATUS, -EINVAL, 8, .place = AT_RO,
	     .arg.status = { 4 }), /* argsz before that */

	/* joining a container */
	VALUE(W_NEW, FD_GROUP, UAPI_GROUP_SET_CONTAINER, -EFAULT, 0),          /* get_user */
	VALUE(W_NEW, FD_GROUP, UAPI_GROUP_SET_CONTAINER, -EFAULT, HX_NOWHERE), /* get_user */
	CASE(W_NEW, FD_GROUP, UAPI_GROUP_SET_CONTAINER, -EFAULT, 3,
	     .arg.fd = FD_CONTAINER),           /* half */
	JOIN(W_NEW, -EBADF, -1),                /* vfio_group_ioctl_set_container */
	JOIN(W_NEW, -EBADF, FD_NONE),           /* the same */
	JOIN(W_NEW, -EBADF, INT32_MIN),         /* the same */
	JOIN(W_NEW, -EBADFD, FD_EVENT),         /* neither container nor iommufd */
	JOIN(W_NEW, -EBADFD, FD_PLAIN),         /* the same */
	JOIN(W_NEW, -EBADFD, FD_GROUP),         /* itself */
	JOIN(W_NEW, -EBADFD, FD_CDEV),          /* the same */
	JOIN(W_NEW, 0, FD_CONTAINER),           /* vfio_container_attach_group */
	JOIN(W_JOINED, -EINVAL, FD_CONTAINER),  /* vfio_group_has_iommu */
	JOIN(W_JOINED, -EINVAL, FD_CONTAINER2), /* the same */
	JOIN(W_JOINED, -EINVAL, FD_EVENT),      /* before the kind of file */
	JOIN(W_JOINED, -EBADF, FD_NONE),        /* but after the descriptor */
	JOIN(W_V2, -EINVAL, FD_CONTAINER),      /* vfio_group_has_iommu */
	JOIN(W_V2, -EBADF, -1),                 /* fd_empty first */

	/* leaving it */
	VALUE(W_NEW, FD_GROUP, UAPI_GROUP_UNSET_CONTAINER, -EINVAL, 0), /* vfio_group_has_iommu */
	VALUE(W_JOINED, FD_GROUP, UAPI_GROUP_UNSET_CONTAINER, 0, HX_KERNEL), /* no argument */
	VALUE(W_V2, FD_GROUP, UAPI_GROUP_UNSET_CONTAINER, -EBUSY, 0),   /* container_users != 1 */
	VALUE(W_MSIX, FD_GROUP, UAPI_GROUP_UNSET_CONTAINER, -EBUSY, 0), /* the same */

	/* the device's descriptor */
	VALUE(W_V2, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, -EFAULT, 0),          /* strndup_user */
	VALUE(W_V2, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, -EFAULT, HX_NOWHERE), /* strndup_user */
	VALUE(W_V2, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, -EFAULT, HX_KERNEL),  /* strndup_user */
	VALUE(W_NEW, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, -EFAULT, 0), /* before the container */
	UNTERMINATED(W_V2, -EFAULT, 12), /* strnlen_user meets the end */
	UNTERMINATED(W_V2, -EFAULT, 1),  /* the same */
	CASE(W_V2, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, -EINVAL, HX_ARG_SIZE,
	     .arg.text = "\1"),                        /* strndup_user: longer than a page */
	NAME(W_V2, -ENODEV, ""),                       /* vfio_device_get_from_name */
	NAME(W_V2, -ENODEV, "0000:01:00.1"),           /* the same */
	NAME(W_V2, -ENODEV, "0000:02:00.0"),           /* another group's */
	NAME(W_V2, -ENODEV, "0000:01:00."),            /* vfio_pci_core_match: all of the name */
	NAME(W_V2, -ENODEV, "0000:01:00.00"),          /* and what follows is a space */
	NAME(W_V2, -ENODEV, " 0000:01:00.0"),          /* the same */
	NAME(W_V2, -ENODEV, "0000:01:00.0\t"),         /* the same */
	NAME(W_V2, -EINVAL, "0000:01:00.0 x"),         /* vfio_pci_core_match: unknown option */
	NAME(W_V2, -EINVAL, "0000:01:00.0 vf_token="), /* no UUID */
	NAME(W_V2, -EINVAL, "0000:01:00.0 vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3"),
	/* vfio_pci_core_match_token_uuid: neither PF nor VF */
	NAME(W_NEW, -ENODEV, "0000:02:00.0"),    /* the name before the container */
	NAME(W_NEW, -EINVAL, "0000:01:00.0 x"),  /* its options, too */
	NAME(W_NEW, -EINVAL, "0000:01:00.0"),    /* vfio_df_group_open: no container */
	NAME(W_JOINED, -EINVAL, "0000:01:00.0"), /* vfio_group_use_container: no IOMMU */

	/* other kinds of calls */
	VALUE(W_V2, FD_GROUP, UAPI_NR(180), -ENOTTY, 0),         /* vfio_group_fops_unl_ioctl */
	VALUE(W_V2, FD_GROUP, UAPI_GET_API_VERSION, -ENOTTY, 0), /* the same */
	VALUE(W_V2, FD_GROUP, UAPI_SET_IOMMU, -ENOTTY, 3),       /* the same */
	VALUE(W_V2, FD_GROUP, UAPI_DEVICE_GET_INFO, -ENOTTY, 0), /* the same */
	VALUE(W_V2, FD_GROUP, UAPI_IOMMU_MAP_DMA, -ENOTTY, 0),   /* the same */
};

const struct hx_table hx_container_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
