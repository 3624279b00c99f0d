/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The iommufd ABI as facts: layouts of Linux 7.2's include/uapi/linux/iommufd.h, written down
 * anew. The numbers of the commands are in uapi.h.
 */
#ifndef CBIT_VFIO_UAPI_IOMMUFD_H
#define CBIT_VFIO_UAPI_IOMMUFD_H

#include "uapi.h"

struct uapi_fd_destroy {
	uint32_t size;
	uint32_t id;
};
_Static_assert(sizeof(struct uapi_fd_destroy) == 8, "iommu_destroy");

struct uapi_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};
_Static_assert(sizeof(struct uapi_ioas_alloc) == 12, "iommu_ioas_alloc");

struct uapi_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas;
	uint64_t out_iova_alignment;
};
_Static_assert(sizeof(struct uapi_ioas_iova_ranges) == 32, "iommu_ioas_iova_ranges");

struct uapi_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};
_Static_assert(sizeof(struct uapi_ioas_map) == 40, "iommu_ioas_map");
#define UAPI_IOAS_MAP_FIXED_IOVA 1u
#define UAPI_IOAS_MAP_WRITEABLE  2u
#define UAPI_IOAS_MAP_READABLE   4u

struct uapi_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};
_Static_assert(sizeof(struct uapi_ioas_unmap) == 24, "iommu_ioas_unmap");

struct uapi_ioas_allow_iovas {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas; /* address of struct uapi_iova_range */
};
_Static_assert(sizeof(struct uapi_ioas_allow_iovas) == 24, "iommu_ioas_allow_iovas");

struct uapi_ioas_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};
_Static_assert(sizeof(struct uapi_ioas_map_file) == 40, "iommu_ioas_map_file");

struct uapi_ioas_copy {
	uint32_t size;
	uint32_t flags;
	uint32_t dst_ioas_id;
	uint32_t src_ioas_id;
	uint64_t length;
	uint64_t dst_iova;
	uint64_t src_iova;
};
_Static_assert(sizeof(struct uapi_ioas_copy) == 40, "iommu_ioas_copy");

struct uapi_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t reserved;
	uint32_t object_id;
	uint64_t val64;
};
_Static_assert(sizeof(struct uapi_option) == 24, "iommu_option");
#define UAPI_OPTION_RLIMIT_MODE 0u
#define UAPI_OPTION_HUGE_PAGES  1u
#define UAPI_OPTION_SET         0u
#define UAPI_OPTION_GET         1u

struct uapi_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t reserved;
};
_Static_assert(sizeof(struct uapi_vfio_ioas) == 12, "iommu_vfio_ioas");
#define UAPI_VFIO_IOAS_GET   0u
#define UAPI_VFIO_IOAS_SET   1u
#define UAPI_VFIO_IOAS_CLEAR 2u

struct uapi_hwpt_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t pt_id;
	uint32_t out_hwpt_id;
	uint32_t reserved;
	uint32_t data_type;
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t fault_id;
	uint32_t reserved2;
};
_Static_assert(sizeof(struct uapi_hwpt_alloc) == 48, "iommu_hwpt_alloc");
#define UAPI_HWPT_NEST_PARENT    1u
#define UAPI_HWPT_DIRTY_TRACKING 2u
#define UAPI_HWPT_FAULT_ID_VALID 4u
#define UAPI_HWPT_PASID          8u

struct uapi_hw_info {
	uint32_t size;
	uint32_t flags;
	uint32_t dev_id;
	uint32_t data_len;
	uint64_t data_uptr;
	uint32_t data_type; /* asked for, and given */
	uint8_t out_max_pasid_log2;
	uint8_t reserved[3];
	uint64_t out_capabilities;
};
_Static_assert(sizeof(struct uapi_hw_info) == 40, "iommu_hw_info");
#define UAPI_HW_INFO_INPUT_TYPE     1u
#define UAPI_HW_INFO_TYPE_DEFAULT   0u
#define UAPI_HW_INFO_TYPE_AMD       4u
#define UAPI_HW_CAP_DIRTY_TRACKING  UINT64_C(1)
#define UAPI_HW_CAP_ATS_UNSUPPORTED UINT64_C(8)

struct uapi_hw_info_amd {
	uint64_t efr;
	uint64_t efr2;
};
_Static_assert(sizeof(struct uapi_hw_info_amd) == 16, "iommu_hw_info_amd");

struct uapi_set_dirty_tracking {
	uint32_t size;
	uint32_t flags;
	uint32_t hwpt_id;
	uint32_t reserved;
};
_Static_assert(sizeof(struct uapi_set_dirty_tracking) == 16, "iommu_hwpt_set_dirty_tracking");
#define UAPI_DIRTY_TRACKING_ENABLE 1u

struct uapi_get_dirty_bitmap {
	uint32_t size;
	uint32_t hwpt_id;
	uint32_t flags;
	uint32_t reserved;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t data; /* address */
};
_Static_assert(sizeof(struct uapi_get_dirty_bitmap) == 48, "iommu_hwpt_get_dirty_bitmap");
#define UAPI_DIRTY_BITMAP_NO_CLEAR 1u

struct uapi_hwpt_invalidate {
	uint32_t size;
	uint32_t hwpt_id;
	uint64_t data_uptr;
	uint32_t data_type;
	uint32_t entry_len;
	uint32_t entry_num;
	uint32_t reserved;
};
_Static_assert(sizeof(struct uapi_hwpt_invalidate) == 32, "iommu_hwpt_invalidate");

struct uapi_fault_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_fault_id;
	uint32_t out_fault_fd;
};
_Static_assert(sizeof(struct uapi_fault_alloc) == 16, "iommu_fault_alloc");

struct uapi_viommu_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t type;
	uint32_t dev_id;
	uint32_t hwpt_id;
	uint32_t out_viommu_id;
	uint32_t data_len;
	uint32_t reserved;
	uint64_t data_uptr;
};
_Static_assert(sizeof(struct uapi_viommu_alloc) == 40, "iommu_viommu_alloc");

struct uapi_vdevice_alloc {
	uint32_t size;
	uint32_t viommu_id;
	uint32_t dev_id;
	uint32_t out_vdevice_id;
	uint64_t virt_id;
};
_Static_assert(sizeof(struct uapi_vdevice_alloc) == 24, "iommu_vdevice_alloc");

struct uapi_change_process {
	uint32_t size;
	uint32_t reserved;
};
_Static_assert(sizeof(struct uapi_change_process) == 8, "iommu_ioas_change_process");

struct uapi_veventq_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t viommu_id;
	uint32_t type;
	uint32_t veventq_depth;
	uint32_t out_veventq_id;
	uint32_t out_veventq_fd;
	uint32_t reserved;
};
_Static_assert(sizeof(struct uapi_veventq_alloc) == 32, "iommu_veventq_alloc");

struct uapi_hw_queue_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t viommu_id;
	uint32_t type;
	uint32_t index;
	uint32_t out_hw_queue_id;
	uint64_t nesting_parent_iova;
	uint64_t length;
};
_Static_assert(sizeof(struct uapi_hw_queue_alloc) == 40, "iommu_hw_queue_alloc");

#endif
