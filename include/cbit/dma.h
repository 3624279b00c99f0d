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

CBIT_API_BEGIN

/** struct cbit_phys - a physical address as the kernel at hand knows it, in bytes. */
struct cbit_phys {
	uint64_t v;
};

#define CBIT_PHYS(x) CBIT_VALUE(cbit_phys, (uint64_t)(x))

/**
 * struct cbit_kernel_ops - what the DMA API asks of the kernel that it is part of.
 * @read:  the CPU reads by the kernel's own mapping of that page (private or shared, encrypted or
 *         plain, as it is mapped now). Never across a page boundary. Return: 0 or a negative errno.
 * @write: likewise.
 * @alloc: pages of RAM, zeroed, private/encrypted as the kernel's pages are at first; @size in
 *         bytes (a multiple of the page size), @align a power of two, the last byte not above
 *         @limit. Return: 0, -ENOMEM.
 * @free:  gives them back.
 * @set_decrypted: set_memory_decrypted() and set_memory_encrypted(): after it the kernel's own
 *         mapping has the C-bit clear (@decrypted) or set, and whatever the platform demands for
 *         that has been done. Contents are not converted.
 * @is_mmio: whether @phys is a device's window.
 * @pages: how the kernel's own mapping has the pages of a range of @size bytes.
 *
 * @is_mmio and @pages are asked only for a policy that looks at pages (cbit_policy_dma_looks()).
 * All of them may be called by any thread that uses the DMA API, with no lock of it held.
 */
struct cbit_kernel_ops {
	int (*read)(void *opaque, struct cbit_phys phys, void *buf, size_t len);
	int (*write)(void *opaque, struct cbit_phys phys, const void *buf, size_t len);
	int (*alloc)(void *opaque, uint64_t size, uint64_t align, uint64_t limit,
		     struct cbit_phys *out);
	void (*free)(void *opaque, struct cbit_phys phys, uint64_t size);
	int (*set_decrypted)(void *opaque, struct cbit_phys phys, uint64_t size, bool decrypted);
	bool (*is_mmio)(void *opaque, struct cbit_phys phys);
	enum cbit_dma_pages (*pages)(void *opaque, struct cbit_phys phys, uint64_t size);
};

/**
 * struct cbit_dma_iommu_ops - the IOMMU driver behind a device: of the host's IOMMU, or of the one
 * that a hypervisor gives to its guest.
 * @map:   @attrs are CBIT_ATTR_*, decided by the policy: the driver writes them as they are. All
 *         addresses and sizes are page aligned.
 * @unmap: unmap and wait until the device cannot use it any more.
 *
 * Any thread that uses the DMA API, with no lock of it held; ranges under way at one time do not
 * overlap. Return: 0 or a negative errno. After an unmap that failed the IOVA is not given out
 * again, nor is what it was mapped to: the device may still reach it.
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
 * @swiotlb:  size of the SWIOTLB pool in bytes, as on the kernel's command line (swiotlb=), 0 for
 *            the kernel's own rule.
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
};

/**
 * struct cbit_dma_dev_config - a device as the DMA API sees it.
 * @devid:     requester, bus << 8 | devfn.
 * @mask:      streaming DMA mask, @coherent_mask that of coherent memory (both all ones below
 *             the highest address bit that the device can drive).
 * @untrusted: an external device, which Linux bounces where a buffer does not fill its pages.
 * @tdisp_run: a trusted device in TDISP run state: private memory is open to it.
 * @min_align_mask: address bits that a bounced buffer keeps (dma_set_min_align_mask(): 4095 for
 *             NVMe); 0, or below 64 KiB and one less than a power of two; below 4 KiB with an
 * IOMMU.
 * @iommu:     NULL for a device that no IOMMU translates (dma-direct); else @iommu_opaque is
 *             passed on. Copied.
 * @iova_base, @iova_size: the IOVAs that may be given out, except page 0 and what AMD's driver
 *             reserves: 0xfee00000..0xfeefffff (MSI) and 0xfd00000000..0xffffffffff.
 */
struct cbit_dma_dev_config {
	uint16_t devid;
	uint64_t mask;
	uint64_t coherent_mask;
	bool untrusted;
	bool tdisp_run;
	uint32_t min_align_mask;
	const struct cbit_dma_iommu_ops *iommu;
	void *iommu_opaque;
	struct cbit_iova iova_base;
	uint64_t iova_size;
};

struct cbit_dma;
struct cbit_dma_dev;

/* SWIOTLB: slots of 2 KiB, 128 to a segment, which is the longest buffer (linux/swiotlb.h). */
#define CBIT_SWIOTLB_SLOT    UINT64_C(2048)
#define CBIT_SWIOTLB_SEGMENT (128 * CBIT_SWIOTLB_SLOT)

/**
 * cbit_dma_create() - the DMA layer of a kernel.
 * The SWIOTLB pool is taken here, below 4 GiB, and, in a confidential guest or on an SME host, made
 * shared or plain, once (swiotlb_update_mem_attributes()). Its size: 64 MiB; in a confidential
 * guest 6 % of RAM, at least 64 MiB and at most 1 GiB (mem_encrypt_setup_arch()); then, or if given
 * by @swiotlb, rounded up to whole segments and to a power of two (swiotlb_adjust_nareas(), one
 * area). Where there is not as much memory it is halved, down to 1 MiB. It does not grow
 * (CONFIG_SWIOTLB_DYNAMIC is off).
 * Return: 0; -EINVAL without a policy, for a confidential kernel that is no guest, or for
 * operations that are missing; -ENOMEM; what making it shared returned. All functions on the result
 * may be called by several threads at once.
 */
int cbit_dma_create(const struct cbit_dma_config *cfg, struct cbit_dma **out);

/**
 * cbit_dma_destroy() - after its devices. Gives the pool back, private or encrypted again; where
 * that fails, its memory is leaked, as in Linux. NULL is allowed.
 */
void cbit_dma_destroy(struct cbit_dma *dma);

/**
 * cbit_dma_dev_create() - a device of that kernel.
 * Return: 0; -ENOMEM; -EINVAL for an alignment mask that breaks its rule, or IOVAs that wrap or
 * are none.
 */
int cbit_dma_dev_create(struct cbit_dma *dma, const struct cbit_dma_dev_config *cfg,
			struct cbit_dma_dev **out);

/**
 * cbit_dma_dev_destroy() - unmaps what is left, without copying anything back, and frees its
 * coherent memory. Not while another thread uses the device. NULL is allowed.
 */
void cbit_dma_dev_destroy(struct cbit_dma_dev *dev);

/**
 * cbit_dma_map_phys() - dma_map_phys(): make @size bytes at @phys reachable.
 * @attrs: CBIT_DMA_ATTR_*.
 * @out:   what the driver gives to its device: it may carry the C-bit (dma-direct on an SME host),
 *         because there it is an address like any other.
 * @dir:   what the device may do behind an IOMMU. A bounced buffer is copied to its slots in any
 *         direction, so that bytes the device leaves alone survive (swiotlb_tbl_map_single()).
 * Return: 0; where the kernel returns DMA_MAPPING_ERROR: -EOPNOTSUPP for attributes that the
 * kernel refuses for this device, -ERANGE for an address that the device's mask cannot reach,
 * -ENOSPC for a full SWIOTLB, -EINVAL for a buffer longer than a SWIOTLB segment, -ENOMEM without
 * IOVAs, or what the kernel's or the IOMMU driver's operation returned. Also -EINVAL for a buffer
 * of no bytes, that wraps, or whose address has the C-bit in it. @err (may be NULL) says which
 * kernel function refused. Nothing stays mapped on error.
 */
int cbit_dma_map_phys(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		      enum cbit_dma_dir dir, unsigned int attrs, struct cbit_iova *out,
		      struct cbit_error *err);

/**
 * cbit_dma_decide() - what cbit_dma_map_phys() would decide, for a story of it; nothing is done.
 * @out: also filled in when refused.
 * Return: as cbit_policy_dma_map(); -EINVAL as cbit_dma_map_phys().
 */
int cbit_dma_decide(struct cbit_dma_dev *dev, struct cbit_phys phys, size_t size,
		    enum cbit_dma_dir dir, unsigned int attrs, struct cbit_policy_decision *out);

/**
 * cbit_dma_unmap_phys() - dma_unmap_phys(), with the arguments of the mapping call.
 * A bounced buffer is copied back, unless @dir is DMA_TO_DEVICE or @attrs has SKIP_CPU_SYNC.
 * Return: 0; -ENOENT when there is no such mapping, -EINVAL when it was made with another size or
 * direction: then nothing is done, where Linux would warn at best (DMA_API_DEBUG) and go on. What
 * dma-direct maps without a bounce it does not remember: unmapping is nothing, and not checked.
 * What the operations returned: the slots are free then, but not an IOVA that stayed mapped.
 */
int cbit_dma_unmap_phys(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			enum cbit_dma_dir dir, unsigned int attrs);

/**
 * cbit_dma_sync_for_cpu() - dma_sync_single_for_cpu(), also for a part of a mapping: copies what
 * was bounced back, unless @dir is DMA_TO_DEVICE. Return: 0; -ENOENT for an address that is not
 * mapped; -EINVAL for bytes beyond the mapping, where Linux copies as much as the slots hold. As
 * for unmapping, dma-direct checks only what it bounced.
 */
int cbit_dma_sync_for_cpu(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			  enum cbit_dma_dir dir);

/**
 * cbit_dma_sync_for_device() - dma_sync_single_for_device(), likewise: copies to the slots, unless
 * @dir is DMA_FROM_DEVICE.
 */
int cbit_dma_sync_for_device(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
			     enum cbit_dma_dir dir);

/**
 * cbit_dma_alloc_coherent() - dma_alloc_coherent(): memory that CPU and device both use.
 * In a confidential guest, and on an SME host for a device whose mask cannot reach the C-bit
 * (force_dma_unencrypted()), it is made shared or plain; not behind an IOMMU, unless the policy is
 * one that does.
 * @size: bytes, rounded up to pages; aligned to that, rounded up to a power of two.
 * @phys: where it is for the CPU; @out for the device. Zeroed.
 * Return: 0, -EINVAL for no bytes, -ENOMEM, or what an operation returned.
 */
int cbit_dma_alloc_coherent(struct cbit_dma_dev *dev, size_t size, struct cbit_phys *phys,
			    struct cbit_iova *out, struct cbit_error *err);

/**
 * cbit_dma_free_coherent() - gives it back, private or encrypted again.
 * Return: 0; -ENOENT when @phys and @addr are not such memory of that size; what an operation
 * returned: then the memory is leaked, as in Linux, because the device may still reach it.
 */
int cbit_dma_free_coherent(struct cbit_dma_dev *dev, size_t size, struct cbit_phys phys,
			   struct cbit_iova addr);

/**
 * struct cbit_dma_stats - slots of SWIOTLB: all, in use, the most that were in use; buffers that
 * were bounced; where the pool is and its bytes.
 */
struct cbit_dma_stats {
	uint64_t slots;
	uint64_t used;
	uint64_t used_most;
	uint64_t bounces;
	struct cbit_phys pool;
	uint64_t pool_size;
};

/** cbit_dma_stats() - a snapshot. */
void cbit_dma_stats(struct cbit_dma *dma, struct cbit_dma_stats *out);

CBIT_API_END

#endif
