/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hostile SET_IRQS. Linux 7.2: vfio_set_irqs_validate_and_prepare (drivers/vfio/vfio_main.c),
 * here "validate", vfio_pci_set_irqs_ioctl and what it calls (drivers/vfio/pci/vfio_pci_intrs.c).
 */
#include "hostile.h"

#define TRIG UAPI_IRQ_SET_ACTION_TRIGGER
#define MASK UAPI_IRQ_SET_ACTION_MASK
#define UNM  UAPI_IRQ_SET_ACTION_UNMASK
#define NONE UAPI_IRQ_SET_DATA_NONE
#define BOOL UAPI_IRQ_SET_DATA_BOOL
#define EVFD UAPI_IRQ_SET_DATA_EVENTFD
#define INTX UAPI_IRQ_INTX
#define MSI  UAPI_IRQ_MSI
#define MSIX UAPI_IRQ_MSIX
#define ERR  UAPI_IRQ_ERR
#define REQ  UAPI_IRQ_REQ

/* argsz, flags, index, start, count; then the data that is there, in bytes of @l */
#define SET(w, r, l, argsz_, flags_, index_, start_, count_, ...) \
	CASE(w, FD_DEVICE, UAPI_DEVICE_SET_IRQS, r, 20 + (l),     \
	     .arg.irqs = { { argsz_, flags_, index_, start_, count_ }, { { __VA_ARGS__ } } })
#define FAIL(w, r, l, argsz_, flags_, index_, start_, count_, ...)             \
	CASE(w, FD_DEVICE, UAPI_DEVICE_SET_IRQS, r, 20 + (l), .changes = true, \
	     .arg.irqs = { { argsz_, flags_, index_, start_, count_ }, { { __VA_ARGS__ } } })

static const struct hx_case cases[] = {
	VALUE(W_V2, FD_DEVICE, UAPI_DEVICE_SET_IRQS, -EFAULT, 0),          /* copy_from_user */
	VALUE(W_V2, FD_DEVICE, UAPI_DEVICE_SET_IRQS, -EFAULT, HX_NOWHERE), /* the same */
	VALUE(W_V2, FD_DEVICE, UAPI_DEVICE_SET_IRQS, -EFAULT, HX_KERNEL),  /* the same */
	CASE(W_V2, FD_DEVICE, UAPI_DEVICE_SET_IRQS, -EFAULT, 19, .arg.words = { 19, 0x1000, 9 }),
	/* the copy before the checks */
	SET(W_V2, -EINVAL, 4, 19, EVFD | TRIG, MSIX, 0, 1, FD_EVENT),          /* validate: argsz */
	SET(W_V2, -EINVAL, 4, 0, EVFD | TRIG, MSIX, 0, 1, FD_EVENT),           /* the same */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, 5, 0, 1, FD_EVENT),             /* index */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, UINT32_MAX, 0, 1, FD_EVENT),    /* index */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSIX, 0, UINT32_MAX, FD_EVENT), /* count */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSIX, UINT32_MAX, 0, FD_EVENT), /* start + count */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSIX, 3, UINT32_MAX - 3, FD_EVENT), /* the same */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG | 0x40, MSIX, 0, 1, FD_EVENT),       /* flags */
	SET(W_V2, -EINVAL, 4, 24, 1u << 31, MSIX, 0, 1, FD_EVENT),                 /* flags */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSIX, 16, 1, FD_EVENT), /* start >= num_irqs */
	SET(W_V2, -EINVAL, 0, 20, EVFD | TRIG, MSIX, 16, 0),           /* even with a count of 0 */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSIX, 15, 2,
	    FD_EVENT),                                               /* start + count > num_irqs */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSI, 1, 1, FD_EVENT), /* MSI has one */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, REQ, 1, 1, FD_EVENT), /* and REQ */
	SET(W_V2, -EINVAL, 4, 24, TRIG, MSIX, 0, 1, FD_EVENT),       /* no data type */
	SET(W_V2, -EINVAL, 4, 24, NONE | EVFD | TRIG, MSIX, 0, 1, FD_EVENT), /* two of them */
	SET(W_V2, -EINVAL, 4, 24, BOOL | EVFD | TRIG, MSIX, 0, 1, FD_EVENT), /* the same */
	SET(W_V2, -EINVAL, 4, 24, 7 | TRIG, MSIX, 0, 1, FD_EVENT),           /* all */
	SET(W_V2, -EINVAL, 4, 23, EVFD | TRIG, MSIX, 0, 1, FD_EVENT), /* argsz - minsz < data */
	SET(W_V2, -EINVAL, 8, 27, EVFD | TRIG, MSIX, 0, 2, FD_EVENT), /* the same */
	SET(W_V2, -EINVAL, 1, 20, BOOL | TRIG, MSIX, 0, 1),           /* the same */
	SET(W_V2, -EINVAL, 0, 20, EVFD, MSIX, 0, 1),                  /* before the action */
	SET(W_V2, -EFAULT, 3, 24, EVFD | TRIG, MSIX, 0, 1),           /* memdup_user */
	SET(W_V2, -EFAULT, 0, 21, BOOL | TRIG, MSIX, 0, 1),           /* memdup_user */
	SET(W_V2, -EFAULT, 0, 24, EVFD, MSIX, 0, 1),                  /* before the action */
	SET(W_V2, -ENOTTY, 4, 24, EVFD, MSIX, 0, 1, FD_EVENT),        /* set_irqs_ioctl: !func */
	SET(W_V2, -ENOTTY, 4, 24, EVFD | TRIG | MASK, MSIX, 0, 1, FD_EVENT), /* two actions */
	SET(W_V2, -ENOTTY, 0, 20, NONE | MASK, MSIX, 0, 1),       /* no masking of MSI-X */
	SET(W_V2, -ENOTTY, 0, 20, NONE | UNM, MSI, 0, 1),         /* nor of MSI */
	SET(W_V2, -ENOTTY, 0, 20, NONE | MASK, ERR, 0, 1),        /* nor here */
	SET(W_V2, -ENOTTY, 0, 20, NONE | UNM, REQ, 0, 1),         /* nor here */
	SET(W_V2, -ENOTTY, 0, 20, NONE | MASK | UNM, INTX, 0, 1), /* one action, please */
	SET(W_V2, -ENOTTY, 0, 20, NONE, INTX, 0, 1),              /* some action */

	/* vfio_pci_set_msi_trigger */
	SET(W_V2, -EINVAL, 0, 20, NONE | TRIG, MSIX, 0, 0),           /* !irq_is: not armed */
	SET(W_V2, -EINVAL, 0, 20, NONE | TRIG, MSIX, 0, 1),           /* the same */
	SET(W_V2, -EINVAL, 1, 21, BOOL | TRIG, MSI, 0, 1, 1),         /* the same */
	SET(W_V2, -ERANGE, 0, 20, EVFD | TRIG, MSIX, 0, 0),           /* vfio_msi_enable of none */
	SET(W_V2, 0, 0, 20, EVFD | TRIG, MSIX, 5, 0),                 /* of 5, and none set */
	SET(W_V2, 0, 4, 24, EVFD | TRIG, MSIX, 15, 1, FD_EVENT),      /* the last one only */
	SET(W_V2, 0, 8, 28, EVFD | TRIG, MSIX, 0, 2, -1, FD_EVENT),   /* one left out */
	SET(W_V2, 0, 4, 24, EVFD | TRIG, MSI, 0, 1, INT32_MIN),       /* fd < 0: all the same */
	SET(W_V2, -EBADF, 4, 24, EVFD | TRIG, MSIX, 0, 1, FD_NONE),   /* eventfd_ctx_fdget */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSIX, 0, 1, FD_PLAIN), /* the same */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, MSI, 0, 1, FD_GROUP),  /* the same */
	SET(W_V2, -EBADF, 8, 28, EVFD | TRIG, MSIX, 0, 2, FD_EVENT, FD_NONE), /* set_block undoes */
	SET(W_V2, -EBADF, 8, 28, EVFD | TRIG, MSIX, 0, 2, FD_NONE, FD_PLAIN), /* the first counts */
	SET(W_MSIX, -EINVAL, 4, 24, EVFD | TRIG, MSI, 0, 1, FD_EVENT),  /* another one is armed */
	SET(W_MSIX, -EINVAL, 4, 24, EVFD | TRIG, MSI, 0, 1, FD_NONE),   /* before the descriptor */
	SET(W_MSIX, -EINVAL, 0, 20, NONE | TRIG, MSI, 0, 0),            /* nor can it be disarmed */
	SET(W_MSIX, -EINVAL, 4, 24, EVFD | TRIG, INTX, 0, 1, FD_EVENT), /* set_intx_trigger */
	SET(W_INTX, -EINVAL, 4, 24, EVFD | TRIG, MSIX, 0, 1, FD_EVENT), /* set_msi_trigger */
	SET(W_INTX, -EINVAL, 4, 24, EVFD | TRIG, MSI, 0, 1, FD_EVENT),  /* the same */
	SET(W_MSI, -EINVAL, 4, 24, EVFD | TRIG, MSIX, 0, 1, FD_EVENT),  /* the same */
	SET(W_MSIX, 0, 0, 20, EVFD | TRIG, MSIX, 0, 0),                 /* set_block of none */
	SET(W_MSIX, 0, 0, 20, BOOL | TRIG, MSIX, 0, 0),                 /* none to fire */
	SET(W_MSIX, 0, 0, 20, NONE | TRIG, MSIX, 4, 0),                 /* disarmed, start or not */
	SET(W_MSIX, 0, 0, 20, NONE | TRIG, MSIX, 0, 16),                /* those without: skipped */
	SET(W_MSIX, 0, 1, 21, BOOL | TRIG, MSIX, 3, 1, 1),              /* the same */
	SET(W_MSIX, 0, 4, 24, EVFD | TRIG, MSIX, 9, 1, FD_EVENT2),      /* one more at run time */
	FAIL(W_MSIX, -EBADF, 4, 24, EVFD | TRIG, MSIX, 0, 1, FD_NONE),  /* the old one is gone */
	SET(W_MSIX, -EBADF, 4, 24, EVFD | TRIG, MSIX, 1, 1, FD_NONE),   /* another's stays */

	/* vfio_pci_set_intx_trigger, _mask, _unmask */
	SET(W_V2, -EINVAL, 0, 20, NONE | TRIG, INTX, 0, 0),             /* not armed */
	SET(W_V2, -EINVAL, 0, 20, NONE | TRIG, INTX, 0, 1),             /* !is_intx */
	SET(W_V2, -EINVAL, 1, 21, BOOL | TRIG, INTX, 0, 1, 1),          /* the same */
	SET(W_V2, -EINVAL, 0, 20, EVFD | TRIG, INTX, 0, 0),             /* count != 1 */
	SET(W_V2, -EBADF, 4, 24, EVFD | TRIG, INTX, 0, 1, FD_NONE),     /* eventfd_ctx_fdget */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, INTX, 0, 1, FD_PLAIN),   /* the same */
	SET(W_V2, 0, 4, 24, EVFD | TRIG, INTX, 0, 1, FD_EVENT),         /* vfio_intx_enable */
	SET(W_V2, 0, 4, 24, EVFD | TRIG, INTX, 0, 1, -1),               /* without an eventfd */
	SET(W_INTX, -EBADF, 4, 24, EVFD | TRIG, INTX, 0, 1, FD_NONE),   /* the old one stays */
	SET(W_INTX, 0, 4, 24, EVFD | TRIG, INTX, 0, 1, FD_EVENT2),      /* vfio_intx_set_signal */
	SET(W_INTX, 0, 0, 20, NONE | TRIG, INTX, 0, 0),                 /* vfio_intx_disable */
	SET(W_INTX, 0, 0, 20, NONE | TRIG, INTX, 0, 1),                 /* vfio_send_intx_eventfd */
	SET(W_INTX, -EINVAL, 0, 20, BOOL | TRIG, INTX, 0, 0),           /* count != 1 */
	SET(W_V2, -EINVAL, 0, 20, NONE | MASK, INTX, 0, 1),             /* !is_intx */
	SET(W_V2, -EINVAL, 0, 20, NONE | UNM, INTX, 0, 1),              /* the same */
	SET(W_MSIX, -EINVAL, 0, 20, NONE | MASK, INTX, 0, 1),           /* the same */
	SET(W_V2, -EINVAL, 4, 24, EVFD | UNM, INTX, 0, 1, FD_NONE),     /* before the descriptor */
	SET(W_INTX, -EINVAL, 0, 20, NONE | MASK, INTX, 0, 0),           /* count != 1 */
	SET(W_INTX, -EINVAL, 0, 20, NONE | UNM, INTX, 0, 0),            /* the same */
	SET(W_INTX, 0, 0, 20, NONE | MASK, INTX, 0, 1),                 /* __vfio_pci_intx_mask */
	SET(W_INTX, 0, 1, 21, BOOL | MASK, INTX, 0, 1, 0),              /* nothing to do */
	SET(W_INTX, -ENOTTY, 4, 24, EVFD | MASK, INTX, 0, 1, FD_EVENT), /* not implemented */
	SET(W_INTX, -ENOTTY, 4, 24, EVFD | MASK, INTX, 0, 1, FD_NONE),  /* in whatever form */
	SET(W_INTX, 0, 0, 20, NONE | UNM, INTX, 0, 1),                  /* __vfio_pci_intx_unmask */
	SET(W_INTX, 0, 4, 24, EVFD | UNM, INTX, 0, 1, -1),        /* vfio_virqfd_disable of none */
	SET(W_INTX, 0, 4, 24, EVFD | UNM, INTX, 0, 1, FD_EVENT2), /* vfio_virqfd_enable */
	SET(W_INTX, -EBADF, 4, 24, EVFD | UNM, INTX, 0, 1, FD_NONE),   /* the same */
	SET(W_INTX, -EINVAL, 4, 24, EVFD | UNM, INTX, 0, 1, FD_PLAIN), /* eventfd_ctx_fileget */

	/* vfio_pci_set_err_trigger, _req_trigger: vfio_pci_set_ctx_trigger_single */
	SET(W_V2, -EINVAL, 0, 20, NONE | TRIG, REQ, 0, 1),           /* no eventfd */
	SET(W_V2, -EINVAL, 0, 20, NONE | TRIG, ERR, 0, 0),           /* the same */
	SET(W_V2, -EINVAL, 0, 20, BOOL | TRIG, REQ, 0, 0),           /* !count */
	SET(W_V2, 0, 1, 21, BOOL | TRIG, REQ, 0, 1, 1),              /* no eventfd: no matter */
	SET(W_V2, -EINVAL, 0, 20, EVFD | TRIG, ERR, 0, 0),           /* !count */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, REQ, 0, 1, -2),       /* neither -1 nor fd >= 0 */
	SET(W_V2, 0, 4, 24, EVFD | TRIG, REQ, 0, 1, -1),             /* nothing taken away */
	SET(W_V2, -EBADF, 4, 24, EVFD | TRIG, ERR, 0, 1, FD_NONE),   /* eventfd_ctx_fdget */
	SET(W_V2, -EINVAL, 4, 24, EVFD | TRIG, ERR, 0, 1, FD_PLAIN), /* the same */
	SET(W_MSIX, 0, 4, 24, EVFD | TRIG, REQ, 0, 1, FD_EVENT2),    /* beside any other */
	SET(W_INTX, 0, 4, 24, EVFD | TRIG, ERR, 0, 1, FD_EVENT2),    /* the same */
};

const struct hx_table hx_irq_table = { __FILE__, cases, sizeof(cases) / sizeof(cases[0]) };
