/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a simulated machine.
 */
#ifndef CBIT_SIM_INTERNAL_H
#define CBIT_SIM_INTERNAL_H

#include <cbit/sim.h>

#define SIM_MAX_REGIONS (CBIT_SIM_REGIONS + CBIT_SIM_DEVICES)
#define SIM_KERNEL      SIM_MAX_REGIONS /* index of the kernel's own memory */
#define SIM_IOVA_BASE   UINT64_C(0x10000000)
#define SIM_IOVA_SIZE   UINT64_C(0xe0000000)

/*
 * @used:  by page, what the page allocator gave out.
 * @bytes: of an MMIO region.
 * @owner: device whose BAR it is, or -1.
 * @gpa:   where the guest has its part of it.
 */
struct sim_region {
	struct cbit_sim_region cfg;
	uint8_t *used;
	uint64_t next;
	uint8_t *bytes;
	int owner;
	uint64_t gpa;
	uint64_t guest; /* bytes of it */
};

/*
 * @addr:  where its owner's kernel has it: an SPA on the host, a GPA in the guest.
 * @spa:   where that is.
 * @truth: what its owner last wrote, or let a device write.
 * @serial: no two buffers of a machine have had the same.
 */
struct sim_buf {
	bool used;
	bool guest;
	bool c_clear;
	unsigned int region;
	uint64_t addr;
	struct cbit_spa spa;
	uint64_t size;
	uint8_t *truth;
	uint64_t serial;
};

/*
 * @live:   not unmapped yet; @used: it was made, and a device may still try the address.
 * @serial: of the buffer: when it is not live, another one may be in that place.
 * @offset: of the first byte in the buffer.
 * @coherent: the buffer came with it.
 * @shadow: of a mapping that bounces: what the device is to find, @wrote which bytes of it the
 *          device has written since the CPU last took them over.
 */
struct sim_map {
	bool used;
	bool live;
	unsigned int buf;
	uint64_t serial;
	unsigned int dev;
	enum cbit_sim_mapper mapper;
	unsigned int attrs;
	enum cbit_dma_dir dir;
	struct cbit_iova iova;
	uint64_t offset;
	uint64_t size;
	unsigned int dma_attrs;
	bool coherent;
	uint8_t *shadow;
	uint8_t *wrote;
};

struct sim_device {
	struct cbit_sim_device cfg;
	struct cbit_sim *sim;
	struct cbit_domain *domain;
	struct cbit_viommu_domain *viommu; /* behind the guest's IOMMU */
	struct cbit_dma_dev *dma;          /* made at first use */
	uint64_t next_iova;
};

struct cbit_sim {
	struct cbit_sim_config cfg;
	uint64_t c_mask;
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_observer observer;
	struct cbit_pt *host_pt;
	struct cbit_dma *host_dma; /* made at first use */
	struct cbit_dma *guest_dma;
	struct cbit_guest *guest;
	const struct cbit_policy *guest_policy;
	struct cbit_policy *derived; /* owned */
	struct cbit_viommu *viommu;
	struct cbit_apics *apics;
	cbit_key_t guest_key;
	uint64_t guest_c;
	struct sim_region regions[SIM_MAX_REGIONS + 1];
	unsigned int nr_regions;
	struct sim_device devices[CBIT_SIM_DEVICES];
	struct sim_buf bufs[CBIT_SIM_BUFS];
	uint64_t serial; /* of the last one */
	struct sim_map maps[CBIT_SIM_MAPS];
	struct cbit_sim_result *res; /* of the operation under way */
	struct cbit_event stale;     /* the last DMA through a stale entry; valid if len is not 0 */
	bool told_private;           /* that a device met a private page */
	struct cbit_spa before;      /* where res->before was read; 0 for nowhere */
};

/* hostmem.c: the host's kernel: pages and the mapping of them that its CPUs use */
int sim_host_init(struct cbit_sim *sim);
uint64_t sim_host_va(uint64_t spa);
int sim_host_map(struct cbit_sim *sim, uint64_t spa, uint64_t size, bool c);
void sim_host_unmap(struct cbit_sim *sim, uint64_t spa, uint64_t size);
int sim_pages_alloc(struct sim_region *region, bool guest, uint64_t size, uint64_t *out);
void sim_pages_free(struct sim_region *region, uint64_t spa, uint64_t size);

struct cbit_kernel_ops sim_host_kernel(void);
bool sim_host_c(struct cbit_sim *sim, uint64_t spa);

/*
 * struct sim_place - where an access ended: what it takes to look at the same bytes again.
 */
struct sim_place {
	bool known;
	struct cbit_spa spa;
	bool c;
	cbit_key_t key;
};
/* trace.c: the tables on the way of an address, entry by entry */
struct sim_walk {
	bool ok;
	uint64_t out;
	uint64_t entry;
	bool c;
};
void sim_trace_host(struct cbit_sim *sim, uint64_t va, struct sim_walk *walk);
void sim_trace_guest(struct cbit_sim *sim, uint64_t gva);
void sim_trace_npt(struct cbit_sim *sim, uint64_t gpa);
/* For a device that the hypervisor emulates the walk ends at a GPA, else at an SPA. */
void sim_trace_device(struct cbit_sim *sim, unsigned int dev, uint64_t iova, struct sim_walk *walk);

/* guestside.c: the guest of the machine */
int sim_guest_create(struct cbit_sim *sim, struct cbit_error *err);
void sim_guest_destroy(struct cbit_sim *sim);
struct cbit_kernel_ops sim_guest_kernel(void);
int sim_guest_alloc(struct cbit_sim *sim, struct sim_buf *buf);
void sim_guest_free(struct cbit_sim *sim, struct sim_buf *buf);
bool sim_guest_private(struct cbit_sim *sim, uint64_t spa);
bool sim_guest_gpa(const struct cbit_sim *sim, uint64_t spa, uint64_t *gpa);
int sim_guest_cpu(struct cbit_sim *sim, enum cbit_sim_who who, uint64_t gpa, bool write,
		  uint8_t *buf, size_t len, struct sim_place *place, enum cbit_sim_outcome *out);
int sim_op_state(struct cbit_sim *sim, const struct cbit_sim_op *op);

/* irq.c */
int sim_irq_create(struct cbit_sim *sim);
int sim_op_msi(struct cbit_sim *sim, const struct cbit_sim_op *op);

/* access.c */
cbit_key_t sim_key(const struct cbit_sim *sim, uint64_t spa, bool c);
void sim_note_place(struct cbit_sim *sim, const struct sim_place *place);
int sim_judge_read(struct cbit_sim *sim, const uint8_t *seen, const uint8_t *wanted, size_t len,
		   const struct sim_place *place, enum cbit_sim_outcome *out);
int sim_cpu(struct cbit_sim *sim, enum cbit_sim_who who, uint64_t addr, bool write, uint8_t *buf,
	    size_t len, struct sim_place *place, enum cbit_sim_outcome *out);
int sim_op_write(struct cbit_sim *sim, const struct cbit_sim_op *op);
int sim_read_as_owner(struct cbit_sim *sim, const struct sim_buf *buf, uint64_t offset, size_t len);
int sim_op_read(struct cbit_sim *sim, const struct cbit_sim_op *op);
int sim_op_raw(struct cbit_sim *sim, const struct cbit_sim_op *op);
void sim_pattern(uint8_t seed, uint8_t *out, size_t len);

/* buffer.c */
int sim_op_alloc(struct cbit_sim *sim, const struct cbit_sim_op *op);
bool sim_buf_mapped(const struct cbit_sim *sim, unsigned int index, const struct sim_map *but);
int sim_op_free(struct cbit_sim *sim, const struct cbit_sim_op *op);
void sim_buf_drop(struct cbit_sim *sim, struct sim_buf *buf);
struct sim_buf *sim_buf_get(struct cbit_sim *sim, unsigned int index, uint64_t offset,
			    uint64_t len);

/* map.c: what makes memory reachable for a device */
int sim_op_map(struct cbit_sim *sim, const struct cbit_sim_op *op);
int sim_op_unmap(struct cbit_sim *sim, const struct cbit_sim_op *op);
int sim_op_flush(struct cbit_sim *sim, const struct cbit_sim_op *op);
struct sim_map *sim_map_get(struct cbit_sim *sim, unsigned int index);
/* NULL when it has been given back. */
struct sim_buf *sim_map_buf(struct cbit_sim *sim, const struct sim_map *map);

int sim_iova_place(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map);
void sim_map_drop(struct sim_map *map);

/* mapdma.c: the DMA API */
int sim_dma_map(struct cbit_sim *sim, const struct cbit_sim_op *op, struct sim_map *map);
int sim_dma_unmap(struct cbit_sim *sim, struct sim_map *map);
int sim_op_sync(struct cbit_sim *sim, const struct cbit_sim_op *op);
int sim_op_coherent(struct cbit_sim *sim, const struct cbit_sim_op *op);

/* device.c: DMA */
int sim_op_dma(struct cbit_sim *sim, const struct cbit_sim_op *op, bool write);
int sim_op_dma_copy(struct cbit_sim *sim, const struct cbit_sim_op *op);

/* op.c */
void sim_look_before(struct cbit_sim *sim, const struct cbit_sim_op *op, struct cbit_spa at);
int sim_bad(struct cbit_sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int sim_refused(struct cbit_sim *sim, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void sim_decide_all(struct cbit_sim *sim, const struct cbit_policy_decision *decision);
void sim_decide(struct cbit_sim *sim, const char *function, const char *text);

#endif
