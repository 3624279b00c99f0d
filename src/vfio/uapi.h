/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The VFIO and iommufd ABI as facts: numbers and layouts of Linux's
 * include/uapi/linux/vfio.h and iommufd.h, written down anew.
 */
#ifndef CBIT_VFIO_UAPI_H
#define CBIT_VFIO_UAPI_H

#include <stdint.h>
#include <sys/ioctl.h>

#define UAPI_NR(nr) ((uint32_t)_IO(';', nr))

enum {
	UAPI_GET_API_VERSION = UAPI_NR(100),
	UAPI_CHECK_EXTENSION = UAPI_NR(101),
	UAPI_SET_IOMMU = UAPI_NR(102),
	UAPI_GROUP_GET_STATUS = UAPI_NR(103),
	UAPI_GROUP_SET_CONTAINER = UAPI_NR(104),
	UAPI_GROUP_UNSET_CONTAINER = UAPI_NR(105),
	UAPI_GROUP_GET_DEVICE_FD = UAPI_NR(106),
	UAPI_DEVICE_GET_INFO = UAPI_NR(107),
	UAPI_DEVICE_GET_REGION_INFO = UAPI_NR(108),
	UAPI_DEVICE_GET_IRQ_INFO = UAPI_NR(109),
	UAPI_DEVICE_SET_IRQS = UAPI_NR(110),
	UAPI_DEVICE_RESET = UAPI_NR(111),
	UAPI_DEVICE_GET_PCI_HOT_RESET_INFO = UAPI_NR(112), /* also IOMMU_GET_INFO */
	UAPI_IOMMU_GET_INFO = UAPI_NR(112),
	UAPI_IOMMU_MAP_DMA = UAPI_NR(113), /* also PCI_HOT_RESET */
	UAPI_DEVICE_PCI_HOT_RESET = UAPI_NR(113),
	UAPI_IOMMU_UNMAP_DMA = UAPI_NR(114),
	UAPI_DEVICE_IOEVENTFD = UAPI_NR(116),
	UAPI_DEVICE_FEATURE = UAPI_NR(117), /* also IOMMU_DIRTY_PAGES */
	UAPI_IOMMU_DIRTY_PAGES = UAPI_NR(117),
	UAPI_DEVICE_BIND_IOMMUFD = UAPI_NR(118),
	UAPI_DEVICE_ATTACH_IOMMUFD_PT = UAPI_NR(119),
	UAPI_DEVICE_DETACH_IOMMUFD_PT = UAPI_NR(120),

	UAPI_IOMMUFD_DESTROY = UAPI_NR(0x80),
	UAPI_IOMMUFD_IOAS_ALLOC = UAPI_NR(0x81),
	UAPI_IOMMUFD_IOAS_ALLOW_IOVAS = UAPI_NR(0x82),
	UAPI_IOMMUFD_IOAS_COPY = UAPI_NR(0x83),
	UAPI_IOMMUFD_IOAS_IOVA_RANGES = UAPI_NR(0x84),
	UAPI_IOMMUFD_IOAS_MAP = UAPI_NR(0x85),
	UAPI_IOMMUFD_IOAS_UNMAP = UAPI_NR(0x86),
	UAPI_IOMMUFD_OPTION = UAPI_NR(0x87),
	UAPI_IOMMUFD_VFIO_IOAS = UAPI_NR(0x88),
	UAPI_IOMMUFD_HWPT_ALLOC = UAPI_NR(0x89),
	UAPI_IOMMUFD_GET_HW_INFO = UAPI_NR(0x8a),
	UAPI_IOMMUFD_SET_DIRTY_TRACKING = UAPI_NR(0x8b),
	UAPI_IOMMUFD_GET_DIRTY_BITMAP = UAPI_NR(0x8c),
	UAPI_IOMMUFD_HWPT_INVALIDATE = UAPI_NR(0x8d),
	UAPI_IOMMUFD_FAULT_QUEUE_ALLOC = UAPI_NR(0x8e),
	UAPI_IOMMUFD_IOAS_MAP_FILE = UAPI_NR(0x8f),
	UAPI_IOMMUFD_VIOMMU_ALLOC = UAPI_NR(0x90),
	UAPI_IOMMUFD_VDEVICE_ALLOC = UAPI_NR(0x91),
	UAPI_IOMMUFD_IOAS_CHANGE_PROCESS = UAPI_NR(0x92),
	UAPI_IOMMUFD_VEVENTQ_ALLOC = UAPI_NR(0x93),
	UAPI_IOMMUFD_HW_QUEUE_ALLOC = UAPI_NR(0x94),
	UAPI_IOMMUFD_FIRST = 0x80,
	UAPI_IOMMUFD_LAST = 0x94, /* IOMMUFD_CMD_HW_QUEUE_ALLOC */
};
_Static_assert(UAPI_GET_API_VERSION == 0x3b64, "VFIO_GET_API_VERSION");
_Static_assert(UAPI_IOMMU_MAP_DMA == 0x3b71, "VFIO_IOMMU_MAP_DMA");
_Static_assert(UAPI_DEVICE_FEATURE == 0x3b75, "VFIO_DEVICE_FEATURE");
_Static_assert(UAPI_IOMMUFD_IOAS_MAP == 0x3b85, "IOMMU_IOAS_MAP");

enum {
	UAPI_TYPE1_IOMMU = 1,
	UAPI_TYPE1v2_IOMMU = 3,
	UAPI_DMA_CC_IOMMU = 4,
	UAPI_TYPE1_NESTING_IOMMU = 6,
	UAPI_NOIOMMU_IOMMU = 8,
	UAPI_UNMAP_ALL = 9,
	UAPI_UPDATE_VADDR = 10,
};

struct uapi_group_status {
	uint32_t argsz;
	uint32_t flags;
};
_Static_assert(sizeof(struct uapi_group_status) == 8, "vfio_group_status");
#define UAPI_GROUP_FLAGS_VIABLE        1u
#define UAPI_GROUP_FLAGS_CONTAINER_SET 2u

struct uapi_cap_header {
	uint16_t id;
	uint16_t version;
	uint32_t next;
};
_Static_assert(sizeof(struct uapi_cap_header) == 8, "vfio_info_cap_header");

struct uapi_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
	uint32_t cap_offset;
	uint32_t pad;
};
_Static_assert(sizeof(struct uapi_device_info) == 24, "vfio_device_info");
#define UAPI_DEVICE_FLAGS_RESET 1u
#define UAPI_DEVICE_FLAGS_PCI   2u
#define UAPI_PCI_NUM_REGIONS    9u
#define UAPI_PCI_ROM_REGION     6u
#define UAPI_PCI_CONFIG_REGION  7u
#define UAPI_PCI_VGA_REGION     8u
#define UAPI_PCI_NUM_IRQS       5u

struct uapi_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset;
};
_Static_assert(sizeof(struct uapi_region_info) == 32, "vfio_region_info");
#define UAPI_REGION_FLAG_READ         1u
#define UAPI_REGION_FLAG_WRITE        2u
#define UAPI_REGION_FLAG_MMAP         4u
#define UAPI_REGION_FLAG_CAPS         8u
#define UAPI_REGION_CAP_MSIX_MAPPABLE 3u

struct uapi_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
_Static_assert(sizeof(struct uapi_irq_info) == 16, "vfio_irq_info");
#define UAPI_IRQ_EVENTFD    1u
#define UAPI_IRQ_MASKABLE   2u
#define UAPI_IRQ_AUTOMASKED 4u
#define UAPI_IRQ_NORESIZE   8u

enum {
	UAPI_IRQ_INTX,
	UAPI_IRQ_MSI,
	UAPI_IRQ_MSIX,
	UAPI_IRQ_ERR,
	UAPI_IRQ_REQ,
};

struct uapi_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
};
_Static_assert(sizeof(struct uapi_irq_set) == 20, "vfio_irq_set");
#define UAPI_IRQ_SET_DATA_NONE      1u
#define UAPI_IRQ_SET_DATA_BOOL      2u
#define UAPI_IRQ_SET_DATA_EVENTFD   4u
#define UAPI_IRQ_SET_DATA_MASK      7u
#define UAPI_IRQ_SET_ACTION_MASK    8u
#define UAPI_IRQ_SET_ACTION_UNMASK  16u
#define UAPI_IRQ_SET_ACTION_TRIGGER 32u
#define UAPI_IRQ_SET_ACTION_ALL     0x38u

/* What vfio_pci_hot_reset_info and vfio_pci_hot_reset begin with. */
struct uapi_hot_reset {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
};
_Static_assert(sizeof(struct uapi_hot_reset) == 12, "vfio_pci_hot_reset");

struct uapi_feature {
	uint32_t argsz;
	uint32_t flags;
};
_Static_assert(sizeof(struct uapi_feature) == 8, "vfio_device_feature");
#define UAPI_FEATURE_MASK  0xffffu
#define UAPI_FEATURE_GET   (1u << 16)
#define UAPI_FEATURE_SET   (1u << 17)
#define UAPI_FEATURE_PROBE (1u << 18)

struct uapi_iommu_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova_pgsizes;
	uint32_t cap_offset;
	uint32_t pad;
};
_Static_assert(sizeof(struct uapi_iommu_info) == 24, "vfio_iommu_type1_info");
#define UAPI_IOMMU_INFO_MINSZ     16u
#define UAPI_IOMMU_INFO_PGSIZES   1u
#define UAPI_IOMMU_INFO_CAPS      2u
#define UAPI_IOMMU_CAP_IOVA_RANGE 1u
#define UAPI_IOMMU_CAP_MIGRATION  2u
#define UAPI_IOMMU_CAP_DMA_AVAIL  3u

struct uapi_iova_range {
	uint64_t start;
	uint64_t last;
};
struct uapi_cap_iova_range {
	struct uapi_cap_header header;
	uint32_t nr_iovas;
	uint32_t reserved;
	struct uapi_iova_range ranges[3];
};
_Static_assert(sizeof(struct uapi_cap_iova_range) == 16 + 48, "iova range capability");
struct uapi_cap_migration {
	struct uapi_cap_header header;
	uint32_t flags;
	uint32_t pad;
	uint64_t pgsize_bitmap;
	uint64_t max_dirty_bitmap_size;
};
_Static_assert(sizeof(struct uapi_cap_migration) == 32, "migration capability");
struct uapi_cap_dma_avail {
	struct uapi_cap_header header;
	uint32_t avail;
};
_Static_assert(sizeof(struct uapi_cap_dma_avail) == 12, "dma_avail capability");

struct uapi_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size;
};
_Static_assert(sizeof(struct uapi_dma_map) == 32, "vfio_iommu_type1_dma_map");
#define UAPI_DMA_MAP_READ  1u
#define UAPI_DMA_MAP_WRITE 2u
#define UAPI_DMA_MAP_VADDR 4u

struct uapi_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size;
};
_Static_assert(sizeof(struct uapi_dma_unmap) == 24, "vfio_iommu_type1_dma_unmap");
#define UAPI_DMA_UNMAP_DIRTY_BITMAP 1u
#define UAPI_DMA_UNMAP_ALL          2u
#define UAPI_DMA_UNMAP_VADDR        4u

struct uapi_bitmap {
	uint64_t pgsize;
	uint64_t size; /* bytes */
	uint64_t data; /* address */
};
_Static_assert(sizeof(struct uapi_bitmap) == 24, "vfio_bitmap");
/* Linux: DIRTY_BITMAP_SIZE_MAX, 2^31 pages' worth. */
#define UAPI_DIRTY_BITMAP_SIZE_MAX (UINT64_C(1) << 28)

struct uapi_dirty {
	uint32_t argsz;
	uint32_t flags;
};
_Static_assert(sizeof(struct uapi_dirty) == 8, "vfio_iommu_type1_dirty_bitmap");
#define UAPI_DIRTY_START      1u
#define UAPI_DIRTY_STOP       2u
#define UAPI_DIRTY_GET_BITMAP 4u
#define UAPI_DIRTY_ALL        7u

struct uapi_dirty_get {
	uint64_t iova;
	uint64_t size;
	struct uapi_bitmap bitmap;
};
_Static_assert(sizeof(struct uapi_dirty_get) == 40, "vfio_iommu_type1_dirty_bitmap_get");

struct uapi_dependent_device {
	uint32_t id; /* group, or devid for files opened as a cdev */
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn;
};
_Static_assert(sizeof(struct uapi_dependent_device) == 8, "vfio_pci_dependent_device");

#define UAPI_HOT_RESET_DEV_ID       1u
#define UAPI_HOT_RESET_DEV_ID_OWNED 2u
#define UAPI_HOT_RESET_OWNED        0u         /* VFIO_PCI_DEVID_OWNED */
#define UAPI_HOT_RESET_NOT_OWNED    UINT32_MAX /* VFIO_PCI_DEVID_NOT_OWNED */

struct uapi_low_power_wakeup {
	int32_t wakeup_eventfd;
	uint32_t reserved;
};
_Static_assert(sizeof(struct uapi_low_power_wakeup) == 8,
	       "vfio_device_low_power_entry_with_wakeup");
#define UAPI_FEATURE_PCI_VF_TOKEN           0u
#define UAPI_FEATURE_MIGRATION              1u
#define UAPI_FEATURE_MIG_DEVICE_STATE       2u
#define UAPI_FEATURE_LOW_POWER_ENTRY        3u
#define UAPI_FEATURE_LOW_POWER_ENTRY_WAKEUP 4u
#define UAPI_FEATURE_LOW_POWER_EXIT         5u
#define UAPI_FEATURE_DMA_LOGGING_START      6u
#define UAPI_FEATURE_DMA_LOGGING_STOP       7u
#define UAPI_FEATURE_DMA_LOGGING_REPORT     8u
#define UAPI_FEATURE_MIG_DATA_SIZE          9u
#define UAPI_FEATURE_MIG_PRECOPY_INFO_V2    12u

struct uapi_dma_range {
	uint64_t offset;
	uint64_t length;
};
_Static_assert(sizeof(struct uapi_dma_range) == 16, "vfio_region_dma_range");
/* struct uapi_dma_range follow, @nr_ranges of them */
struct uapi_feature_dma_buf {
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
};
_Static_assert(sizeof(struct uapi_feature_dma_buf) == 16, "vfio_device_feature_dma_buf");
#define UAPI_FEATURE_DMA_BUF 11u

/* Calls of a dma-buf: include/uapi/linux/dma-buf.h */
#define UAPI_DMA_BUF_SYNC       ((uint32_t)_IOW('b', 0, uint64_t))
#define UAPI_DMA_BUF_SYNC_RW    3u
#define UAPI_DMA_BUF_SYNC_FLAGS 7u
#define UAPI_DMA_BUF_SET_NAME_A ((uint32_t)_IOW('b', 1, uint32_t))
#define UAPI_DMA_BUF_SET_NAME_B ((uint32_t)_IOW('b', 1, uint64_t))
#define UAPI_DMA_BUF_NAME_LEN   32u
_Static_assert(UAPI_DMA_BUF_SYNC == 0x40086200, "DMA_BUF_IOCTL_SYNC");
_Static_assert(UAPI_DMA_BUF_SET_NAME_A == 0x40046201, "DMA_BUF_SET_NAME_A");
_Static_assert(UAPI_DMA_BUF_SET_NAME_B == 0x40086201, "DMA_BUF_SET_NAME_B");

struct uapi_ioeventfd {
	uint32_t argsz;
	uint32_t flags; /* one of 1, 2, 4, 8: the bytes of a write */
	uint64_t offset;
	uint64_t data;
	int32_t fd;
	uint32_t reserved;
};
_Static_assert(sizeof(struct uapi_ioeventfd) == 32, "vfio_device_ioeventfd");
#define UAPI_IOEVENTFD_SIZES 0xfu

struct uapi_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr;
};
_Static_assert(sizeof(struct uapi_bind_iommufd) == 24, "vfio_device_bind_iommufd");
#define UAPI_BIND_FLAG_TOKEN 1u

struct uapi_attach_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
	uint32_t pasid;
};
_Static_assert(sizeof(struct uapi_attach_pt) == 16, "vfio_device_attach_iommufd_pt");

struct uapi_detach_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid;
};
#define UAPI_PT_FLAG_PASID 1u
_Static_assert(sizeof(struct uapi_detach_pt) == 12, "vfio_device_detach_iommufd_pt");

/* Migration and DMA logging: struct vfio_device_feature_migration and those behind it. */
#define UAPI_MIGRATION_STOP_COPY 1u
#define UAPI_MIGRATION_P2P       2u

enum {
	UAPI_MIG_ERROR,
	UAPI_MIG_STOP,
	UAPI_MIG_RUNNING,
	UAPI_MIG_STOP_COPY,
	UAPI_MIG_RESUMING,
	UAPI_MIG_RUNNING_P2P,
	UAPI_MIG_PRE_COPY,
	UAPI_MIG_PRE_COPY_P2P,
};

struct uapi_mig_state {
	uint32_t device_state;
	int32_t data_fd;
};
_Static_assert(sizeof(struct uapi_mig_state) == 8, "vfio_device_feature_mig_state");

struct uapi_log_control {
	uint64_t page_size;
	uint32_t num_ranges;
	uint32_t reserved;
	uint64_t ranges;
};
_Static_assert(sizeof(struct uapi_log_control) == 24, "vfio_device_feature_dma_logging_control");

struct uapi_log_range {
	uint64_t iova;
	uint64_t length;
};
_Static_assert(sizeof(struct uapi_log_range) == 16, "vfio_device_feature_dma_logging_range");

struct uapi_log_report {
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t bitmap;
};
_Static_assert(sizeof(struct uapi_log_report) == 32, "vfio_device_feature_dma_logging_report");

#endif
