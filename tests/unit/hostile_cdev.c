/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile calls on a device node. Linux 7.2: drivers/vfio/device_cdev.c, vfio_main.c
 * (vfio_device_fops_unl_ioctl), drivers/iommu/iommufd/device.c.
 */
#include "hostile.h"

#define C FD_CDEV
#define BIND(w, f, r, l, ...) \
	CASE(w, f, UAPI_DEVICE_BIND_IOMMUFD, r, l, .arg.words = { __VA_ARGS__ })
#define ATTACH(w, r, l, ...) \
	CASE(w, C, UAPI_DEVICE_ATTACH_IOMMUFD_PT, r, l, .arg.words = { __VA_ARGS__ })
#define DETACH(w, r, l, ...) \
	CASE(w, C, UAPI_DEVICE_DETACH_IOMMUFD_PT, r, l, .arg.words = { __VA_ARGS__ })
#define NOFD UINT32_MAX

static const struct hx_case cases[] = {
	/* !access_granted: nothing but binding, and nothing is looked at */
	VALUE(W_NEW, C, UAPI_DEVICE_GET_INFO, -EINVAL, 0),         /* vfio_device_fops_unl_ioctl */
	VALUE(W_NEW, C, UAPI_DEVICE_RESET, -EINVAL, 0),            /* the same */
	VALUE(W_NEW, C, UAPI_DEVICE_SET_IRQS, -EINVAL, HX_KERNEL), /* the same */
	VALUE(W_NEW, C, UAPI_DEVICE_FEATURE, -EINVAL, 0),          /* the same */
	VALUE(W_NEW, C, UAPI_NR(180), -EINVAL, 0),                 /* the same */
	ATTACH(W_NEW, -EINVAL, 12, 12, 0, 1),                      /* the same */
	DETACH(W_NEW, -EINVAL, 8, 8, 0),                           /* the same */
	VALUE(W_BOUND, FD_CDEV2, UAPI_DEVICE_GET_INFO, -EINVAL,
	      0), /* another device's is no help */

	/* vfio_df_ioctl_bind_iommufd */
	VALUE(W_NEW, C, UAPI_DEVICE_BIND_IOMMUFD, -EFAULT, 0),          /* get_user */
	VALUE(W_NEW, C, UAPI_DEVICE_BIND_IOMMUFD, -EFAULT, HX_NOWHERE), /* get_user */
	VALUE(W_NEW, C, UAPI_DEVICE_BIND_IOMMUFD, -EFAULT, HX_KERNEL),  /* get_user */
	BIND(W_NEW, C, -EINVAL, 16, 0, 0, FD_IOMMUFD),                  /* user_size < minsz */
	BIND(W_NEW, C, -EINVAL, 16, 15, 0, FD_IOMMUFD),                 /* the same */
	BIND(W_NEW, C, -EINVAL, 4, 15),                                 /* that before the copy */
	BIND(W_NEW, C, -EFAULT, 15, 16, 0, NOFD),                       /* copy_struct_from_user */
	BIND(W_NEW, C, -EFAULT, 16, 24, 0, FD_IOMMUFD),                 /* the same */
	BIND(W_NEW, C, -E2BIG, 28, 28, 0, FD_IOMMUFD, 0, 0, 0, 1),      /* the same */
	BIND(W_NEW, C, -E2BIG, 28, 28, 2, NOFD, 0, 0, 0, 1),            /* before the fields */
	BIND(W_NEW, C, -EINVAL, 16, 16, 0, NOFD),                       /* iommufd < 0 */
	BIND(W_NEW, C, -EINVAL, 16, 16, 2, FD_IOMMUFD),                 /* flags */
	BIND(W_NEW, C, -EINVAL, 16, 16, 1u << 31, FD_NONE),             /* before the descriptor */
	BIND(W_NEW, C, -EBADF, 16, 16, 0, FD_NONE),                     /* iommufd_ctx_from_fd */
	BIND(W_NEW, C, -EBADFD, 16, 16, 0, FD_EVENT),                   /* the same */
	BIND(W_NEW, C, -EBADFD, 16, 16, 0, FD_CONTAINER),               /* the same */
	BIND(W_NEW, C, -EBADFD, 16, 16, 0, FD_CDEV),                    /* itself */
	BIND(W_NEW, C, -EFAULT, 16, 16, 1, FD_NONE), /* vfio_df_check_token, at NULL */
	BIND(W_NEW, C, -EFAULT, 24, 24, 1, FD_IOMMUFD, 0, 0, 0xffff), /* the same, elsewhere */
	BIND(W_NEW, C, -EINVAL, 24, 24, 1, FD_NONE, 0, 0, 1), /* match_token: before the fd */
	BIND(W_NEW, C, 0, 16, 16, 0, FD_IOMMUFD),             /* vfio_df_open */
	BIND(W_NEW, C, 0, 24, 24, 0, FD_IOMMUFD, 0, 0xffffffff, 0xffffffff), /* no token: ignored */
	BIND(W_NEW, C, 0, 28, 28, 0, FD_IOMMUFD2),                           /* zeros beyond */
	BIND(W_BOUND, C, -EINVAL, 16, 16, 0, FD_IOMMUFD),                    /* access_granted */
	BIND(W_BOUND, C, -EINVAL, 16, 16, 0, FD_NONE),           /* before the descriptor */
	BIND(W_BOUND, C, -EINVAL, 16, 16, 1, FD_IOMMUFD),        /* and before the token */
	BIND(W_BOUND, FD_CDEV2, 0, 16, 16, 0, FD_IOMMUFD),       /* the group's other device */
	BIND(W_BOUND, FD_CDEV2, -EPERM, 16, 16, 0, FD_IOMMUFD2), /* iommu_device_claim_dma_owner */
	BIND(W_BOUND, FD_CDEV2, -EBADF, 16, 16, 0, FD_NONE),     /* before that */
	CASE(W_NEW, C, UAPI_DEVICE_BIND_IOMMUFD, -EFAULT, 16, .place = AT_RO,
	     .arg.bind = { 16, 0, FD_IOMMUFD }), /* copy_to_user: not bound */

	/* vfio_df_ioctl_attach_pt, iommufd_device_change_pt */
	VALUE(W_BOUND, C, UAPI_DEVICE_ATTACH_IOMMUFD_PT, -EFAULT, 0),         /* copy_from_user */
	VALUE(W_BOUND, C, UAPI_DEVICE_ATTACH_IOMMUFD_PT, -EFAULT, HX_KERNEL), /* the same */
	ATTACH(W_BOUND, -EFAULT, 11, 11, 2, 9),                               /* the copy first */
	ATTACH(W_BOUND, -EINVAL, 12, 11, 0, 1),                               /* argsz < minsz */
	ATTACH(W_BOUND, -EINVAL, 12, 12, 2, 1),                               /* flags */
	ATTACH(W_BOUND, -EINVAL, 12, 12, 1u << 31, 9),   /* before the object */
	ATTACH(W_BOUND, -EINVAL, 16, 12, 1, 1, 1),       /* PASID: argsz < xend */
	ATTACH(W_BOUND, -EFAULT, 12, 16, 1, 1),          /* PASID: the rest of the copy */
	ATTACH(W_BOUND, -ENOENT, 16, 16, 1, 9, 1),       /* iommufd_get_object */
	ATTACH(W_BOUND, -EINVAL, 16, 16, 1, 1, 1),       /* iommufd_hwpt_pasid_compat */
	ATTACH(W_BOUND, -ENOENT, 12, 12, 0, 0),          /* iommufd_get_object */
	ATTACH(W_BOUND, -ENOENT, 12, 12, 0, 3),          /* the same */
	ATTACH(W_BOUND, -ENOENT, 12, 12, 0, UINT32_MAX), /* the same */
	ATTACH(W_BOUND, -EINVAL, 12, 12, 0, 2),          /* pt_obj->type: a device */
	ATTACH(W_BOUND, 0, 12, 12, 0, 1),                /* iommufd_device_auto_get_domain */
	ATTACH(W_BOUND, 0, 16, 100, 0, 1),               /* longer is fine */
	ATTACH(W_ATTACHED, 0, 12, 12, 0, 1),             /* iommufd_device_replace: the same */
	ATTACH(W_ATTACHED, 0, 12, 12, 0, 3),             /* by its page table */
	ATTACH(W_ATTACHED, -ENOENT, 12, 12, 0, 4),       /* it stays where it was */
	CASE(W_BOUND, C, UAPI_DEVICE_ATTACH_IOMMUFD_PT, -EFAULT, 12, .place = AT_RO,
	     .arg.attach = { 12, 0, 1, 0 }), /* copy_to_user: detached again */
	CASE(W_ATTACHED, C, UAPI_DEVICE_ATTACH_IOMMUFD_PT, -EFAULT, 12, .place = AT_RO,
	     .changes = true, .arg.attach = { 12, 0, 1, 0 }), /* also what was attached before */

	/* vfio_df_ioctl_detach_pt */
	VALUE(W_ATTACHED, C, UAPI_DEVICE_DETACH_IOMMUFD_PT, -EFAULT, 0), /* copy_from_user */
	VALUE(W_ATTACHED, C, UAPI_DEVICE_DETACH_IOMMUFD_PT, -EFAULT, HX_NOWHERE), /* the same */
	DETACH(W_ATTACHED, -EFAULT, 7, 7, 2),      /* the copy first */
	DETACH(W_ATTACHED, -EINVAL, 8, 7, 0),      /* argsz < minsz */
	DETACH(W_ATTACHED, -EINVAL, 8, 8, 2),      /* flags */
	DETACH(W_ATTACHED, -EINVAL, 12, 11, 1, 1), /* PASID: argsz < xend */
	DETACH(W_ATTACHED, -EFAULT, 8, 12, 1),     /* PASID: the rest of the copy */
	DETACH(W_ATTACHED, 0, 12, 12, 1, 1),       /* pasid_detach_ioas of none */
	DETACH(W_ATTACHED, 0, 8, 8, 0),            /* vfio_iommufd_physical_detach_ioas */
	DETACH(W_BOUND, 0, 8, 8, 0),               /* of nothing */

	/* a device node has no containers, and hot reset no groups */
	VALUE(W_BOUND, C, UAPI_GET_API_VERSION, -ENOTTY, 0),    /* vfio_pci_core_ioctl */
	VALUE(W_BOUND, C, UAPI_IOMMUFD_IOAS_ALLOC, -ENOTTY, 0), /* the same */
	CASE(W_BOUND, C, UAPI_DEVICE_PCI_HOT_RESET, -EINVAL, 16,
	     .arg.hot = { { 16, 0, 1 }, { FD_GROUP } }), /* !!hdr.count == cdev_opened */
	CASE(W_BOUND, C, UAPI_DEVICE_PCI_HOT_RESET, 0, 12, .arg.hot = { { 12, 0, 0 } }),
	/* vfio_iommufd_get_dev_id: the group's other device is owned as well */
	CASE(W_BOUND, C, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, -ENOSPC, 20, .arg.hot = { { 20 } }),
	/* two devices on the bus */
	CASE(W_BOUND, C, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, 0, 28, .arg.hot = { { 28 } }),
	/* vfio_pci_fill_devs */
};

const struct hx_table hx_cdev_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
