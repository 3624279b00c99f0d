/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile calls on a device file: information, resets, features, ioeventfds. Linux 7.2,
 * drivers/vfio/vfio_main.c, drivers/vfio/pci/vfio_pci_core.c, vfio_pci_rdwr.c.
 */
#include "hostile.h"

#define D      FD_DEVICE
#define BAR(n) (UINT64_C(1) << 60 | (uint64_t)(n) << 40)
#define BAR0   (BAR(0) | UINT64_C(1) << 61) /* trapped */
#define NOBODY UINT64_C(0x20)               /* a register of BAR0 that is not there */
#define GET    UAPI_FEATURE_GET
#define SET    UAPI_FEATURE_SET
#define PROBE  UAPI_FEATURE_PROBE
#define NOISE  (1u << 19)

#define INFO(w, r, l, argsz_) CASE(w, D, UAPI_DEVICE_GET_INFO, r, l, .arg.device = { argsz_ })
#define REGION(r, l, argsz_, index_) \
	CASE(W_V2, D, UAPI_DEVICE_GET_REGION_INFO, r, l, .arg.region = { argsz_, 0, index_ })
#define IRQ(r, l, argsz_, index_) \
	CASE(W_V2, D, UAPI_DEVICE_GET_IRQ_INFO, r, l, .arg.irq = { argsz_, 0, index_ })
#define HOTINFO(r, l, argsz_) \
	CASE(W_V2, D, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, r, l, .arg.hot = { { argsz_ } })
#define HOT(r, l, argsz_, flags_, count_, ...)         \
	CASE(W_V2, D, UAPI_DEVICE_PCI_HOT_RESET, r, l, \
	     .arg.hot = { { argsz_, flags_, count_ }, { __VA_ARGS__ } })
#define FEATURE(r, l, argsz_, flags_, ...)       \
	CASE(W_V2, D, UAPI_DEVICE_FEATURE, r, l, \
	     .arg.feature = { { argsz_, flags_ }, { __VA_ARGS__ } })
#define IOEVENTFD(r, argsz_, flags_, offset_, fd_)  \
	CASE(W_V2, D, UAPI_DEVICE_IOEVENTFD, r, 28, \
	     .arg.ioeventfd = { argsz_, flags_, offset_, 1, fd_, 0 })
#define POINTERS(cmd)                                                              \
	VALUE(W_V2, D, cmd, -EFAULT, 0), VALUE(W_V2, D, cmd, -EFAULT, HX_NOWHERE), \
		VALUE(W_V2, D, cmd, -EFAULT, HX_KERNEL)

static const struct hx_case cases[] = {
	/* vfio_pci_ioctl_get_info */
	POINTERS(UAPI_DEVICE_GET_INFO), /* copy_from_user */
	INFO(W_V2, -EINVAL, 16, 0),     /* argsz < minsz, up to num_irqs */
	INFO(W_V2, -EINVAL, 16, 15),    /* the same */
	INFO(W_V2, -EFAULT, 15, 15),    /* the copy first */
	INFO(W_V1, 0, 16, 16),          /* the oldest structure */
	INFO(W_V2, 0, 24, UINT32_MAX),  /* no more than there is */
	INFO(W_V2, -EFAULT, 16, 20),    /* copy_to_user of what argsz says */
	CASE(W_V2, D, UAPI_DEVICE_GET_INFO, -EFAULT, 16, .place = AT_RO, .arg.device = { 16 }),
	/* copy_to_user */

	/* vfio_get_region_info, vfio_pci_ioctl_get_region_info */
	POINTERS(UAPI_DEVICE_GET_REGION_INFO), /* copy_from_user */
	REGION(-EINVAL, 32, 31, 0),            /* argsz < minsz */
	REGION(-EFAULT, 31, 31, 0),            /* the copy first */
	REGION(-EINVAL, 32, 31, 99),           /* argsz before the index */
	REGION(-EINVAL, 32, 32, 8),            /* !vdev->has_vga */
	REGION(-EINVAL, 32, 32, 9),            /* index >= VFIO_PCI_NUM_REGIONS + num_regions */
	REGION(-EINVAL, 32, 32, UINT32_MAX),   /* the same */
	REGION(0, 32, 32, 0),                  /* a BAR */
	REGION(0, 32, 32, 1),                  /* none there */
	REGION(0, 32, 32, 6),                  /* no ROM */
	REGION(0, 32, 32, 4),                  /* too short for the capability: told so */
	REGION(0, 40, 40, 4),                  /* msix_mmappable_cap */
	REGION(-EFAULT, 32, 40, 4),            /* copy_to_user of the capability */
	CASE(W_V2, D, UAPI_DEVICE_GET_REGION_INFO, -EFAULT, 32, .place = AT_RO,
	     .arg.region = { 32, 0, 0 }), /* copy_to_user */
	CASE(W_V2, D, UAPI_DEVICE_GET_REGION_INFO, -EINVAL, 32, .place = AT_RO,
	     .arg.region = { 32, 0, 9 }), /* the index before that */

	/* vfio_pci_ioctl_get_irq_info */
	POINTERS(UAPI_DEVICE_GET_IRQ_INFO), /* copy_from_user */
	IRQ(-EINVAL, 16, 15, 0),            /* argsz < minsz */
	IRQ(-EFAULT, 15, 15, 9),            /* the copy first */
	IRQ(-EINVAL, 16, 16, 5),            /* index >= VFIO_PCI_NUM_IRQS */
	IRQ(-EINVAL, 16, 16, UINT32_MAX),   /* the same */
	IRQ(0, 16, 16, 0),                  /* INTx */
	IRQ(0, 16, 100, 3),                 /* ERR: pci_is_pcie */
	CASE(W_V2, D, UAPI_DEVICE_GET_IRQ_INFO, -EFAULT, 16, .place = AT_RO, .arg.irq = { 16 }),
	/* copy_to_user */

	/* vfio_pci_ioctl_reset */
	VALUE(W_V2, D, UAPI_DEVICE_RESET, 0, 0),           /* takes no argument */
	VALUE(W_MSIX, D, UAPI_DEVICE_RESET, 0, HX_KERNEL), /* the same */

	/* vfio_pci_ioctl_get_pci_hot_reset_info */
	POINTERS(UAPI_DEVICE_GET_PCI_HOT_RESET_INFO), /* copy_from_user */
	HOTINFO(-EINVAL, 12, 11),                     /* argsz < minsz */
	HOTINFO(-EFAULT, 11, 11),                     /* the copy first */
	HOTINFO(-ENOSPC, 12, 12),                     /* count > what fits */
	HOTINFO(-ENOSPC, 20, 19),                     /* the same */
	HOTINFO(0, 20, 20),                           /* one device on its bus */
	HOTINFO(-EFAULT, 12, 20),                     /* copy_to_user of the devices */
	CASE(W_V2, D, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, -EFAULT, 12, .place = AT_RO,
	     .arg.hot = { { 12 } }), /* copy_to_user of the header takes ENOSPC's place */

	/* vfio_pci_ioctl_pci_hot_reset, _groups, vfio_pci_dev_set_hot_reset */
	POINTERS(UAPI_DEVICE_PCI_HOT_RESET),            /* copy_from_user */
	HOT(-EINVAL, 16, 11, 0, 1, FD_GROUP),           /* argsz < minsz */
	HOT(-EINVAL, 16, 16, 1, 1, FD_GROUP),           /* hdr.flags */
	HOT(-EFAULT, 11, 11, 1, 1),                     /* the copy first */
	HOT(-EINVAL, 12, 12, 0, 0),                     /* no group: only for a cdev */
	HOT(-EINVAL, 20, 20, 0, 2, FD_GROUP, FD_GROUP), /* array_count > count */
	HOT(-EINVAL, 12, 12, 0, UINT32_MAX),            /* the same, before the array is read */
	HOT(-EFAULT, 12, 16, 0, 1),                     /* copy of the descriptors */
	HOT(-EFAULT, 15, 12, 0, 1, FD_NONE),            /* argsz does not matter here */
	HOT(-EBADF, 16, 16, 0, 1, -1),                  /* fget */
	HOT(-EBADF, 16, 16, 0, 1, FD_NONE),             /* fget */
	HOT(-EINVAL, 16, 16, 0, 1, FD_EVENT),           /* !vfio_file_is_group */
	HOT(-EINVAL, 16, 16, 0, 1, FD_CONTAINER),       /* the same */
	HOT(-EINVAL, 16, 16, 0, 1, FD_DEVICE),          /* the same */
	HOT(0, 16, 16, 0, 1, FD_GROUP),                 /* vfio_dev_in_groups */
	HOT(0, 16, 12, 0, 1, FD_GROUP),                 /* argsz covers the header only */

	/* vfio_ioctl_device_feature */
	POINTERS(UAPI_DEVICE_FEATURE),                 /* copy_from_user */
	FEATURE(-EINVAL, 8, 7, PROBE | GET | 1),       /* argsz < minsz */
	FEATURE(-EFAULT, 7, 7, NOISE),                 /* the copy first */
	FEATURE(-EINVAL, 8, 8, NOISE | PROBE),         /* unknown flags */
	FEATURE(-EINVAL, 8, 8, 1u << 31 | GET | 99),   /* before the feature */
	FEATURE(-EINVAL, 8, 8, GET | SET | 99),        /* both without PROBE, before it as well */
	FEATURE(-ENOTTY, 8, 8, GET | SET | PROBE | 1), /* _migration: !mig_ops */
	FEATURE(-ENOTTY, 8, 8, PROBE | GET | 1),       /* the same */
	FEATURE(-ENOTTY, 8, 8, GET | 2),               /* _mig_device_state */
	FEATURE(-ENOTTY, 8, 8, PROBE | SET | 6),       /* _logging_start: !log_ops */
	FEATURE(-ENOTTY, 8, 8, SET | 7),               /* _logging_stop */
	FEATURE(-ENOTTY, 8, 8, GET | 8),               /* _logging_report */
	FEATURE(-ENOTTY, 8, 8, PROBE | GET | 9),       /* _migration_data_size */
	FEATURE(-ENOTTY, 8, 8, PROBE | SET | 10),      /* BUS_MASTER: not vfio-pci's */
	FEATURE(-EINVAL, 8, 8, PROBE | SET | 12),      /* _migration_precopy_info_v2 */
	FEATURE(-ENOTTY, 8, 8, PROBE | GET | 13),      /* vfio_pci_core_ioctl_feature */
	FEATURE(-ENOTTY, 8, 8, GET | 0xffff),          /* the same */
	FEATURE(-ENOTTY, 8, 8, 0),                     /* number 0: PCI_VF_TOKEN, !vf_token */
	FEATURE(-ENOTTY, 24, 24, SET | 0),             /* the same */
	FEATURE(-EINVAL, 8, 8, GET | 3),               /* vfio_check_feature: it can be set only */
	FEATURE(-EINVAL, 8, 8, GET | PROBE | 3),       /* the same when probing */
	FEATURE(0, 8, 8, PROBE | 3),                   /* it is there */
	FEATURE(0, 8, 8, PROBE | SET | 3),             /* it can be set */
	FEATURE(-EINVAL, 8, 8, 3),                     /* neither */
	FEATURE(0, 8, 8, SET | 3),                     /* vfio_pci_core_pm_entry */
	FEATURE(0, 8, 8, SET | 5),                     /* vfio_pci_core_pm_exit without an entry */
	FEATURE(-EINVAL, 8, 8, GET | 5),               /* vfio_check_feature */
	FEATURE(0, 8, 8, PROBE | 4),                   /* no data is needed to probe */
	FEATURE(-EINVAL, 16, 15, SET | 4, FD_EVENT),   /* argsz - minsz < minsz of the data */
	FEATURE(-EFAULT, 8, 16, SET | 4),              /* copy_from_user */
	FEATURE(-EINVAL, 16, 16, SET | 4, (uint32_t)-1), /* wakeup_eventfd < 0 */
	FEATURE(-EBADF, 16, 16, SET | 4, FD_NONE),       /* eventfd_ctx_fdget */
	FEATURE(-EINVAL, 16, 16, SET | 4, FD_PLAIN),     /* the same */
	FEATURE(-EINVAL, 16, 16, SET | 4, FD_GROUP),     /* the same */
	FEATURE(0, 16, 16, SET | 4, FD_EVENT),           /* vfio_pci_runtime_pm_entry */
	FEATURE(0, 16, 16, SET | 4, FD_EVENT, 9),        /* reserved is not looked at */

	/* vfio_pci_ioctl_ioeventfd, vfio_pci_ioeventfd */
	POINTERS(UAPI_DEVICE_IOEVENTFD), /* copy_from_user */
	CASE(W_V2, D, UAPI_DEVICE_IOEVENTFD, -EFAULT, 27, .arg.ioeventfd = { 27, 99 }), /* first */
	IOEVENTFD(-EINVAL, 27, 4, BAR0 + NOBODY, FD_EVENT),  /* argsz < minsz */
	IOEVENTFD(-EINVAL, 28, 0, BAR0 + NOBODY, FD_EVENT),  /* hweight8(count) != 1 */
	IOEVENTFD(-EINVAL, 28, 6, BAR0 + NOBODY, FD_EVENT),  /* the same */
	IOEVENTFD(-EINVAL, 28, 20, BAR0 + NOBODY, FD_EVENT), /* unknown flags */
	IOEVENTFD(-EINVAL, 28, 4, BAR0 + NOBODY, -2),        /* fd < -1 */
	IOEVENTFD(-EINVAL, 28, 4, BAR(6), FD_EVENT),         /* the ROM is no BAR */
	IOEVENTFD(-EINVAL, 28, 4, BAR(7), FD_NONE),          /* nor is config space; first */
	IOEVENTFD(-EINVAL, 28, 4, BAR(1), FD_EVENT),         /* beyond a BAR that is not there */
	IOEVENTFD(-EINVAL, 28, 4, BAR0 + 0x3ffd, FD_EVENT),  /* across the end */
	IOEVENTFD(-EINVAL, 28, 4, BAR(4) + 0xfc, FD_EVENT),  /* in the MSI-X table */
	IOEVENTFD(-EINVAL, 28, 8, BAR0 + NOBODY, FD_EVENT),  /* count == 8 */
	IOEVENTFD(-EINVAL, 28, 8, BAR0 + NOBODY, -1),        /* before it is looked for */
	IOEVENTFD(-ENODEV, 28, 4, BAR0 + NOBODY, -1),        /* fd < 0, and there is none */
	IOEVENTFD(-EBADF, 28, 4, BAR0 + NOBODY, FD_NONE),    /* vfio_virqfd_enable */
	IOEVENTFD(-EINVAL, 28, 1, BAR0 + NOBODY, FD_PLAIN),  /* eventfd_ctx_fileget */
	IOEVENTFD(0, 28, 2, BAR0 + NOBODY, FD_EVENT),        /* vfio_virqfd_enable */
	IOEVENTFD(0, 28, 4, BAR(4) + 0x100, FD_EVENT),       /* behind the table */

	/* vfio_pci_core_ioctl */
	VALUE(W_V2, D, UAPI_NR(180), -ENOTTY, 0),          /* unknown */
	VALUE(W_V2, D, UAPI_CHECK_EXTENSION, -ENOTTY, 1),  /* another kind of file's */
	VALUE(W_V2, D, UAPI_GROUP_GET_STATUS, -ENOTTY, 0), /* the same */
	VALUE(W_V2, D, UAPI_IOMMU_UNMAP_DMA, -ENOTTY, 0),  /* the same */
	VALUE(W_V2, D, UAPI_NR(115), -ENOTTY, 0),          /* QUERY_GFX_PLANE: not vfio-pci's */
	VALUE(W_V2, D, UAPI_DEVICE_ATTACH_IOMMUFD_PT, -ENOTTY, 0), /* df->group: no cdev */
	VALUE(W_V2, D, UAPI_DEVICE_DETACH_IOMMUFD_PT, -ENOTTY, 0), /* the same */
	VALUE(W_V2, D, UAPI_DEVICE_BIND_IOMMUFD, -EFAULT, 0),      /* vfio_df_ioctl_bind_iommufd */
	CASE(W_V2, D, UAPI_DEVICE_BIND_IOMMUFD, -EINVAL, 16,
	     .arg.bind = { 16, 0, FD_IOMMUFD }), /* df->group */
	CASE(W_V2, D, UAPI_DEVICE_BIND_IOMMUFD, -E2BIG, 32,
	     .arg.words = { 32, 0, FD_IOMMUFD, 0, 0, 0, 1 }), /* copy_struct_from_user before */
};

const struct hx_table hx_device_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
