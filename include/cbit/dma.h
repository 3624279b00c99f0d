/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma: the DMA API of a kernel on the modelled machine, in the kernel's shape: what a driver
 * calls to make memory reachable for its device, and what the kernel does for it: a direct
 * address, a bounce buffer (SWIOTLB), or a mapping in an IOMMU.
 *
 * The kernel is the host's or a guest's. Its physical addresses are struct cbit_phys: an SPA on
 * a host, a GPA in a guest, never with the C-bit in it.
 */
#ifndef CBIT_DMA_H
#define CBIT_DMA_H

#include <cbit/policy.h>
#include <cbit/types.h>

/** struct cbit_phys - a physical address as the kernel at hand knows it, in bytes. */
struct cbit_phys {
	uint64_t v;
};

#define CBIT_PHYS(x) ((struct cbit_phys){ (uint64_t)(x) })

/**
 * struct cbit_kernel_ops - what the DMA API asks of the kernel that it is part of.
 * @read:  the CPU reads by the kernel's own mapping of that page (private or shared, encrypted or
 *         plain, as it is mapped now). Return: 0 or a negative errno.
 * @write: likewise.
 * @alloc: pages of RAM, zeroed, private/encrypted as the kernel's pages are at first; @size in
 *         bytes (a multiple of the page size), @align a power of two, the last byte not above
 *         @limit. Return: 0, -ENOMEM.
 * @free:  gives them back.
 * @set_decrypted: set_memory_decrypted() and set_memory_encrypted(): after it the kernel's own
 *         mapping has the C-bit clear (@decrypted) or set, and whatever the platform demands for
 *         that has been done. Contents are not converted.
 * @is_mmio: whether @phys is a device's window.
 */
struct cbit_kernel_ops {
	int (*read)(void *opaque, struct cbit_phys phys, void *buf, size_t len);
	int (*write)(void *opaque, struct cbit_phys phys, const void *buf, size_t len);
	int (*alloc)(void *opaque, uint64_t size, uint64_t align, uint64_t limit,
		     struct cbit_phys *out);
	void (*free)(void *opaque, struct cbit_phys phys, uint64_t size);
	int (*set_decrypted)(void *opaque, struct cbit_phys phys, uint64_t size, bool decrypted);
	bool (*is_mmio)(void *opaque, struct cbit_phys phys);
};

/**
 * struct cbit_dma_iommu_ops - the IOMMU driver behind a device: of the host's IOMMU, or of the one
 * that a hypervisor gives to its guest.
 * @map:   @attrs are CBIT_ATTR_*, decided by the policy: the driver writes them as they are. All
 *         addresses and sizes are page aligned.
 * @unmap: unmap and wait until the device cannot use it any more.
 */
struct cbit_dma_iommu_ops {
	int (*map)(void *opaque, struct cbit_iova iova, struct cbit_phys phys, uint64_t size,
		   unsigned int attrs);
	int (*unmap)(void *opaque, struct cbit_iova iova, uint64_t size);
};

/** enum cbit_dma_dir - direction of a transfer, seen from memory: DMA_TO_DEVICE and so on. */
enum cbit_dma_dir {
	CBIT_DMA_BIDIRECTIONAL,
	CBIT_DMA_TO_DEVICE,
	CBIT_DMA_FROM_DEVICE,
};

/* Attributes of a mapping call, named after the kernel's DMA_ATTR_*. */
#define CBIT_DMA_ATTR_MMIO             (1u << 0) /* phys is a device's window */
#define CBIT_DMA_ATTR_CC_SHARED        (1u << 1) /* the caller has made the memory shared itself */
#define CBIT_DMA_ATTR_SKIP_CPU_SYNC    (1u << 2)
#define CBIT_DMA_ATTR_REQUIRE_COHERENT (1u << 3) /* never bounce */

/**
 * struct cbit_dma_config - a kernel as the DMA API sees it.
 * @platform: copied. @guest: the kernel runs in a guest; @confidential: and its memory is
 *            encrypted with a key of its own (SEV and later).
 * @policy:   which kernel it is.
 * @ops:      copied; @opaque is passed on.
 * @ram:      bytes of RAM: SWIOTLB is sized from it as in Linux, see cbit_dma_create().
 * @swiotlb:  size of the SWIOTLB pool in bytes, 0 for the kernel's own rule.
 * @observer: may be NULL.
 */
struct cbit_dma_config {
	struct cbit_platform platform;
	bool guest;
	bool confidential;
	const struct cbit_policy *policy;
	struct cbit_kernel_ops ops;
	void *opaque;
	uint64_t ram;
	uint64_t swiotlb;
	const struct cbit_observer *observer;
};

/**
 * struct cbit_dma_dev_config - a device as the DMA API sees it.
 * @devid:     requester, bus << 8 | devfn.
 * @mask:      streaming DMA mask, @coherent_mask that of coherent memory (both all ones below
 *             the highest address bit that the device can drive).
 * @untrusted: an external device, which Linux bounces where a buffer does not fill its pages.
 * @tdisp_run: a trusted device in TDISP run state: private memory is open to it.
 * @iommu:     NULL for a device that no IOMMU translates (dma-direct); else @iommu_opaque is
 *             passed on. Copied.
 * @iova_base, @iova_size: the IOVAs that may be given out.
 */
struct cbit_dma_dev_config {
	uint16_t devid;
	uint64_t mask;
	uint64_t coherent_mask;
	bool untrusted;
	bool tdisp_run;
	const struct cbit_dma_iommu_ops *iommu;
	void *iommu_opaque;
	struct cbit_iova iova_base;
	uint64_t iova_size;
};

struct cbit_dma;
struct cbit_dma_dev;

/**
 * cbit_dma_create() - the DMA layer of a kernel.
 * The SWIOTLB pool is taken and, in a confidential guest, made shared here, once: 64 MiB on a
 * host; in a confidential guest 6 % of RAM, at least 64 MiB and at most 1 GiB
 * (arch/x86/mm/mem_encrypt.c, mem_encrypt_setup_arch()). Slots are 2 KiB, 128 make a segment
 * (include/linux/swiotlb.h).
 * Return: 0, -ENOMEM, or what making it shared returned.
 */
int cbit_dma_create(const struct cbit_dma_config *cfg, struct cbit_dma **out);

/** cbit_dma_destroy() - after its devices. NULL is allowed. */
void cbit_dma_destroy(struct cbit_dma *dma);

/** cbit_dma_dev_create() - a device of that kernel. Return: 0, -ENOMEM, -EINVAL. */
int cbit_dma_dev_create(struct cbit_dma *dma, const struct cbit_dma_dev_config *cfg,
			struct cbit_dma_dev **out);

/** cbit_dma_dev_destroy() - unmaps what is left. NULL is allowed. */
void cbit_dma_dev_destroy(struct cbit_dma_dev *dev);

/**
 * cbit_dma_map_phys() - dma_map_phys(): make @size bytes at @phys reachable.
 * @attrs: CBIT_DMA_ATTR_*.
 * @out:   what the driver gives to its device: it may carry the C-bit (dma-direct on an SME host),
 *         because there it is an address like any other.
 * Return: 0; where the kernel returns DMA_MAPPING_ERROR: -EOPNOTSUPP for attributes that the
 * kernel refuses for this device, -ERANGE for an address that the device's mask cannot reach,
 * -ENOSPC for a full SWIOTLB, -EINVAL for a buffer longer than a SWIOTLB segment, -ENOMEM without
 * IOVAs. @err (may be NULL) says which kernel function refused.
 */
int cbit_dma_map_phys(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		      enum cbit_dma_dir dir, unsigned int attrs, struct cbit_iova *out,
		      struct cbit_error *err);

/**
 * cbit_dma_unmap_phys() - dma_unmap_phys(), with the arguments of the mapping call.
 * Return: 0, -ENOENT when there is no such mapping.
 */
int cbit_dma_unmap_phys(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			enum cbit_dma_dir dir, unsigned int attrs);

/** cbit_dma_sync_for_cpu() - dma_sync_single_for_cpu(), also for a part of a mapping. */
int cbit_dma_sync_for_cpu(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			  enum cbit_dma_dir dir);

/** cbit_dma_sync_for_device() - dma_sync_single_for_device(), likewise. */
int cbit_dma_sync_for_device(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			     enum cbit_dma_dir dir);

/**
 * cbit_dma_alloc_coherent() - dma_alloc_coherent(): memory that CPU and device both use.
 * In a confidential guest, and on an SME host for a device whose mask cannot reach the C-bit
 * (force_dma_unencrypted()), it is made shared or plain.
 * @phys: where it is for the CPU; @out for the device. Zeroed.
 */
int cbit_dma_alloc_coherent(struct cbit_dma_dev *dev, size_t size, struct cbit_phys *phys,
			    struct cbit_iova *out, struct cbit_error *err);

/** cbit_dma_free_coherent() - gives it back, private or encrypted again. */
void cbit_dma_free_coherent(struct cbit_dma_dev *dev, size_t size, struct cbit_phys phys,
			    struct cbit_iova addr);

/** struct cbit_dma_stats - slots of SWIOTLB: all, in use, the most that were in use. */
struct cbit_dma_stats {
	uint64_t slots;
	uint64_t used;
	uint64_t used_most;
	uint64_t bounces;
};

/** cbit_dma_stats() - a snapshot. */
void cbit_dma_stats(struct cbit_dma *dma, struct cbit_dma_stats *out);

#endif
