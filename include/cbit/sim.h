/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sim: a whole machine in one object (memory of every kind, IOMMU, a kernel with a policy,
 * devices, at most one guest) and the operations that can be carried out on it. Scenarios, the
 * matrix, the explanations and the explorer all drive this one interface.
 *
 * Nothing is looked up: an operation goes the way that it goes in a machine, and what is
 * reported are the bytes at its end, compared with what the owner of the memory last wrote.
 *
 * An object is used by one thread at a time.
 */
#ifndef CBIT_SIM_H
#define CBIT_SIM_H

#include <cbit/apics.h>
#include <cbit/dma.h>
#include <cbit/guest.h>
#include <cbit/iommu.h>
#include <cbit/policy.h>
#include <cbit/viommu.h>

CBIT_API_BEGIN

struct cbit_sim;

#define CBIT_SIM_REGIONS 16
#define CBIT_SIM_DEVICES 8
#define CBIT_SIM_BUFS    32
#define CBIT_SIM_MAPS    32
#define CBIT_SIM_NAME    32
#define CBIT_SIM_CPUS    65536

/**
 * struct cbit_sim_region - memory of the machine.
 * @name:     as messages have it.
 * @kind:     MMIO regions are made with their device, see struct cbit_sim_device.bar.
 * @encrypts: of coherent memory: whether its controller consumes the C-bit. Else ignored.
 * @base:     SPA; 0: placed by the machine. @size in bytes, page aligned.
 * @guest:    bytes of it that the guest has as memory slot, from its start; page aligned.
 */
struct cbit_sim_region {
	char name[CBIT_SIM_NAME];
	enum cbit_mem_kind kind;
	bool encrypts;
	struct cbit_spa base;
	uint64_t size;
	uint64_t guest;
};

/**
 * struct cbit_sim_device - a device.
 * @name:   as messages have it; its BAR is the region "NAME.bar".
 * @devid:  requester; 0: the next of 01:00.0, 02:00.0, ...
 * @bar:    bytes of its BAR of plain memory, 0 for none.
 * @mask, @coherent_mask: what it can address, all ones below its highest bit; 0: all.
 * @guest:  assigned to the guest; if it is real and not trusted, the VMM has mapped all of the
 *          guest for it by VFIO type1, as the policy says. @emulated: and made by the hypervisor,
 * which reads the guest's memory by its own mapping; else the device is real and behind the host's
 * IOMMU.
 * @direct: no IOMMU translates for its driver: dma-direct. On a host that is a machine whose
 *          IOMMU passes the device through; in a guest, a device that is not behind the vIOMMU.
 * @untrusted: an external device, which Linux bounces.
 * @tdisp:  a trusted device in TDISP run state.
 */
struct cbit_sim_device {
	char name[CBIT_SIM_NAME];
	uint16_t devid;
	uint64_t bar;
	uint64_t mask;
	uint64_t coherent_mask;
	bool guest;
	bool emulated;
	bool direct;
	bool untrusted;
	bool tdisp;
};

/**
 * struct cbit_sim_guest - the guest of a machine, if @present.
 * @kind, @npt_c: as in struct cbit_guest_config. More than a plain guest makes the platform one
 *                that has SEV, SEV-ES and, for SNP, an RMP.
 * @asid:   0: 1.
 * @viommu: devices that are not direct sit behind an AMD-Vi IOMMU that the hypervisor emulates.
 * @derived, @switches: the guest's kernel does not do as the policy says in these.
 * @cpus:   APIC ids 0 to @cpus - 1, CBIT_SIM_CPUS at most; and the @nr_ids in @ids. None: no
 *          interrupts.
 * @ext_dest_id, @broadcast_quirk, @xt: see struct cbit_apics_config, struct cbit_viommu_config.
 */
struct cbit_sim_guest {
	bool present;
	enum cbit_guest_kind kind;
	bool npt_c;
	uint32_t asid;
	bool viommu;
	bool derived;
	struct cbit_policy_switches switches;
	unsigned int cpus;
	unsigned int nr_ids;
	uint32_t ids[16];
	bool ext_dest_id;
	bool broadcast_quirk;
	bool xt;
};

/**
 * struct cbit_sim_config - a machine.
 * @platform: copied. @policy: the kernel, of the host and of the guest.
 * @swiotlb:  bytes of the SWIOTLB pool of either kernel, 0 for Linux' rule.
 * @observer: told of everything that goes wrong, may be NULL; must outlive the machine.
 */
struct cbit_sim_config {
	struct cbit_platform platform;
	const struct cbit_policy *policy;
	struct cbit_sim_region regions[CBIT_SIM_REGIONS];
	unsigned int nr_regions;
	struct cbit_sim_device devices[CBIT_SIM_DEVICES];
	unsigned int nr_devices;
	struct cbit_sim_guest guest;
	uint64_t swiotlb;
	const struct cbit_observer *observer;
};

/**
 * cbit_sim_create() - power on.
 * @config: copied.
 * Return: 0, or a negative errno with words in @err (may be NULL).
 */
int cbit_sim_create(const struct cbit_sim_config *config, struct cbit_sim **out,
		    struct cbit_error *err);

/** cbit_sim_destroy() - NULL is allowed. */
void cbit_sim_destroy(struct cbit_sim *sim);

/**
 * cbit_sim_mem(), cbit_sim_iommu() and cbit_sim_guest() - the parts of the machine, its own; the
 * guest is NULL where there is none. cbit_sim_config() - what it was made from.
 */
struct cbit_mem *cbit_sim_mem(struct cbit_sim *sim);
struct cbit_iommu *cbit_sim_iommu(struct cbit_sim *sim);
struct cbit_guest *cbit_sim_guest(struct cbit_sim *sim);
const struct cbit_sim_config *cbit_sim_config(const struct cbit_sim *sim);

/**
 * cbit_sim_nr_regions() and cbit_sim_region() - its regions: those of the configuration, then those
 * of BARs. @index is below the number.
 */
unsigned int cbit_sim_nr_regions(const struct cbit_sim *sim);
const struct cbit_sim_region *cbit_sim_region(const struct cbit_sim *sim, unsigned int index);

/** enum cbit_sim_mapper - who makes memory reachable for a device. */
enum cbit_sim_mapper {
	CBIT_SIM_TYPE1,   /* VFIO_IOMMU_MAP_DMA */
	CBIT_SIM_IOMMUFD, /* IOMMU_IOAS_MAP_FILE: a memfd, or a dma-buf of a BAR */
	CBIT_SIM_DMA,     /* dma_map_phys() by the kernel of the device's driver */
	CBIT_SIM_NR_MAPPERS,
};

/** cbit_sim_mapper_name() - "type1", "iommufd", "dma-api". */
const char *cbit_sim_mapper_name(enum cbit_sim_mapper mapper);

/** enum cbit_sim_who - whose CPU. */
enum cbit_sim_who {
	CBIT_SIM_HOST_CPU,
	CBIT_SIM_GUEST_CPU,
	CBIT_SIM_GUEST_FETCH, /* instruction fetch */
	CBIT_SIM_HYPERVISOR,  /* the host's CPU by the hypervisor's mapping of guest memory */
	CBIT_SIM_NR_WHO,
};

/** cbit_sim_who_name() - the word for it, a static string. */
const char *cbit_sim_who_name(enum cbit_sim_who who);

/**
 * enum cbit_sim_op_kind - what can be done. Buffers (@buf) and mappings (@map) are numbers below
 * CBIT_SIM_BUFS and CBIT_SIM_MAPS that the caller chooses.
 * @CBIT_SIM_ALLOC: @pages of region @region become buffer @buf, zeroed by its owner: the host, or
 *      with @guest the guest. @c_clear: the owner's own mapping of it has the C-bit clear
 *      (always so on MMIO).
 * @CBIT_SIM_FREE: give @buf back; refused (-EBUSY) while a mapping has it.
 * @CBIT_SIM_WRITE: @who writes @len bytes at @offset of @buf: those at @data, or with NULL such as
 *      @seed makes. The outcome is what the owner reads afterwards.
 * @CBIT_SIM_READ: @who reads.
 * @CBIT_SIM_RAW: what DRAM holds there: the outcome is PLAINTEXT or CIPHERTEXT.
 * @CBIT_SIM_MAP: make @map: @buf for device @dev by @mapper, with @rights (CBIT_ATTR_READ, WRITE)
 *      and, for CBIT_SIM_DMA, @dir and @attrs (CBIT_DMA_ATTR_*). @iova: where, for type1 and
 *      iommufd; 0: anywhere. @len bytes at @offset of the buffer, for CBIT_SIM_DMA; 0: all of it.
 *      @both: for type1: one call that goes on with all of @buf2, which becomes mapping @map2.
 * @CBIT_SIM_UNMAP: unmap and wait until no device can use it. @CBIT_SIM_UNMAP_NO_FLUSH: change the
 *      tables and do not tell the IOTLB. @CBIT_SIM_FLUSH: tell it now.
 * @CBIT_SIM_DMA_READ, @CBIT_SIM_DMA_WRITE: device @dev reads or writes @len bytes at @offset of
 *      @map, also after it was unmapped.
 * @CBIT_SIM_DMA_COPY: @dev reads from @map and writes to @map2.
 * @CBIT_SIM_SYNC_CPU, @CBIT_SIM_SYNC_DEVICE: dma_sync_single_for_cpu() and _for_device() of @len
 *      bytes at @offset of @map. The outcome of the first is what the owner reads afterwards.
 * @CBIT_SIM_COHERENT: dma_alloc_coherent() of @pages for @dev: they become buffer @buf and mapping
 *      @map; CBIT_SIM_UNMAP of @map gives both back, and is refused (-EBUSY) while another
 *      mapping has @buf.
 * @CBIT_SIM_CHECK: the owner reads @buf (@offset, @len) by its own mapping.
 * @CBIT_SIM_SHARE, @CBIT_SIM_UNSHARE: the guest shares @buf with the hypervisor, all that it takes;
 *      or makes it private again. @CBIT_SIM_SET_C (@on: set), @CBIT_SIM_PAGE_STATE (@on: shared),
 *      @CBIT_SIM_PVALIDATE (@on: valid): the steps of it. Contents do not survive; what the owner
 *      last wrote stays what he is to read.
 * @CBIT_SIM_RMPUPDATE: the hypervisor takes @buf from an SNP guest (@on: gives it back), unasked.
 * @CBIT_SIM_MSI: device @dev sends an interrupt in @format to the CPU with APIC id @dest, @vector;
 *      for CBIT_MSI_FORMAT_REMAPPED by entry @index, which the guest's kernel writes first.
 *      @through: if not 0, likewise to each id from @dest through this one: the worst outcome
 * counts.
 */
enum cbit_sim_op_kind {
	CBIT_SIM_ALLOC,
	CBIT_SIM_FREE,
	CBIT_SIM_WRITE,
	CBIT_SIM_READ,
	CBIT_SIM_RAW,
	CBIT_SIM_MAP,
	CBIT_SIM_UNMAP,
	CBIT_SIM_UNMAP_NO_FLUSH,
	CBIT_SIM_FLUSH,
	CBIT_SIM_DMA_READ,
	CBIT_SIM_DMA_WRITE,
	CBIT_SIM_DMA_COPY,
	CBIT_SIM_SYNC_CPU,
	CBIT_SIM_SYNC_DEVICE,
	CBIT_SIM_COHERENT,
	CBIT_SIM_CHECK,
	CBIT_SIM_SHARE,
	CBIT_SIM_UNSHARE,
	CBIT_SIM_SET_C,
	CBIT_SIM_PAGE_STATE,
	CBIT_SIM_PVALIDATE,
	CBIT_SIM_RMPUPDATE,
	CBIT_SIM_MSI,
	CBIT_SIM_NR_OPS,
};

/** cbit_sim_op_name() - the word for it, as in a scenario file; a static string. */
const char *cbit_sim_op_name(enum cbit_sim_op_kind kind);

/** struct cbit_sim_op - an operation; fields that its kind does not name are ignored. */
struct cbit_sim_op {
	enum cbit_sim_op_kind kind;
	unsigned int buf;
	unsigned int map;
	unsigned int map2;
	bool both;
	unsigned int buf2;
	unsigned int dev;
	unsigned int region;
	unsigned int pages;
	bool guest;
	bool c_clear;
	enum cbit_sim_who who;
	enum cbit_sim_mapper mapper;
	unsigned int rights;
	unsigned int attrs;
	enum cbit_dma_dir dir;
	struct cbit_iova iova;
	uint64_t offset;
	uint64_t len;
	const uint8_t *data;
	uint8_t seed;
	bool on;
	enum cbit_msi_format format;
	uint32_t dest;
	uint32_t through;
	uint32_t index;
	uint8_t vector;
};

/**
 * enum cbit_sim_outcome - how it ended.
 * @CBIT_SIM_OK:         carried out; nothing was read or written that could be compared.
 * @CBIT_SIM_PLAINTEXT:  the bytes read are those that the owner last wrote; for a write, the owner
 *                       reads what was written.
 * @CBIT_SIM_CIPHERTEXT: they are not, nothing faulted, and another key makes the right bytes of
 *                       what DRAM holds.
 * @CBIT_SIM_STALE:      they are not, and no key does: bytes of another time or place.
 * @CBIT_SIM_ABORT:      nobody decoded the address: a read of all ones.
 * @CBIT_SIM_LOST:       nobody decoded the address: a write that vanished.
 * @CBIT_SIM_FAULT:      a table, the IOMMU or the RMP refused the access.
 * @CBIT_SIM_REFUSED:    a kernel refused the call; @error says with what.
 * @CBIT_SIM_MISDIRECTED: an interrupt that reached another CPU than the one that was meant, or more
 *                       than that.
 * CBIT_SIM_OK of an interrupt: it reached the CPU that was meant; CBIT_SIM_LOST: none.
 */
enum cbit_sim_outcome {
	CBIT_SIM_OK,
	CBIT_SIM_PLAINTEXT,
	CBIT_SIM_CIPHERTEXT,
	CBIT_SIM_STALE,
	CBIT_SIM_ABORT,
	CBIT_SIM_LOST,
	CBIT_SIM_FAULT,
	CBIT_SIM_REFUSED,
	CBIT_SIM_MISDIRECTED,
	CBIT_SIM_NR_OUTCOMES,
};

/** cbit_sim_outcome_name() - the word for it, as in a scenario file; a static string. */
const char *cbit_sim_outcome_name(enum cbit_sim_outcome outcome);

/** enum cbit_sim_fault - what refused an access that ended in CBIT_SIM_FAULT. */
enum cbit_sim_fault {
	CBIT_SIM_FAULT_NONE,
	CBIT_SIM_FAULT_PF,      /* #PF by the CPU's own tables */
	CBIT_SIM_FAULT_PF_RMP,  /* #PF with the RMP bit: the host's CPU */
	CBIT_SIM_FAULT_NPF,     /* #NPF */
	CBIT_SIM_FAULT_NPF_RMP, /* #NPF with the RMP bit */
	CBIT_SIM_FAULT_VC,      /* #VC: not validated */
	CBIT_SIM_FAULT_IOMMU,   /* the IOMMU */
	CBIT_SIM_FAULT_DMA_RMP, /* the RMP, for a device */
	CBIT_SIM_NR_FAULTS,
};

/** cbit_sim_fault_name() - the word for it, as in a scenario file; a static string. */
const char *cbit_sim_fault_name(enum cbit_sim_fault fault);

/** enum cbit_sim_table - the tables on the way of an access. */
enum cbit_sim_table {
	CBIT_SIM_HOST_PT, /* the host CPU's page table */
	CBIT_SIM_DEVTAB,  /* device table entry of the host's IOMMU */
	CBIT_SIM_IOPT,    /* page table of the host's IOMMU */
	CBIT_SIM_GUEST_PT,
	CBIT_SIM_NPT,
	CBIT_SIM_VDEVTAB, /* device table of the guest's IOMMU, as the hypervisor reads it */
	CBIT_SIM_VIOPT,   /* its page table */
	CBIT_SIM_NR_TABLES,
};

/** cbit_sim_table_name() - what it is called in a story; a static string. */
const char *cbit_sim_table_name(enum cbit_sim_table table);

/**
 * struct cbit_sim_stage - an entry that the access met.
 * @level: of the table, 1 is the lowest; 0 for a device table entry.
 * @in:    the address that was looked up.
 * @at:    where the entry stands: an SPA; a GPA for tables of a guest (@in_guest). @at_key: under
 * which key it was read there.
 * @entry: its 64 bits (the first of a longer one). @c: its C-bit.
 * @leaf:  it ends the walk.
 */
struct cbit_sim_stage {
	enum cbit_sim_table table;
	unsigned int level;
	uint64_t in;
	uint64_t at;
	cbit_key_t at_key;
	uint64_t entry;
	bool c;
	bool leaf;
	bool in_guest;
};

/** struct cbit_sim_decision - what the kernel decided, where, and why. Static strings. */
struct cbit_sim_decision {
	const char *function;
	const char *text;
};

/** enum cbit_sim_way - how the DMA API made a mapping; CBIT_SIM_WAY_NONE for other mappers. */
enum cbit_sim_way {
	CBIT_SIM_WAY_NONE,
	CBIT_SIM_WAY_DIRECT,
	CBIT_SIM_WAY_SWIOTLB,
};

#define CBIT_SIM_SEEN      64
#define CBIT_SIM_STAGES    32
#define CBIT_SIM_DECISIONS 8
#define CBIT_SIM_FINDINGS  8
#define CBIT_SIM_EVENTS    4

/**
 * struct cbit_sim_result - what came of an operation.
 * @outcome:  how it ended. @vendor: by rules that no vendor has published; what was executed
 *            follows the region's parameter.
 * @error:    a negative errno when a kernel refused, with words in @err.
 * @len:      bytes in @seen (what was really read, or written) and @wanted (what the owner last
 *            wrote), at most CBIT_SIM_SEEN; @dram: what DRAM held there when it was over; valid if
 *            @dram_valid. @before: what it held before a write, if @before_valid.
 * @accessed: @spa, @c and @key tell of the last access to memory: where, with which C-bit and
 *            under which key. @region is its name, @kind its kind.
 * @cpus:     that took an interrupt. @address, @data: the message.
 * @way:      of CBIT_SIM_MAP by the DMA API. @slots: SWIOTLB slots in use afterwards.
 * @iova:     of CBIT_SIM_MAP: what the device is told. @iopte: the leaf that was written, if one
 *            was (@iopte_valid).
 * @stages:   the entries on the way, in order.
 * @findings: ids of what the observer was told, each once.
 * @events:   entries of the IOMMU's event log that the operation caused.
 */
struct cbit_sim_result {
	enum cbit_sim_outcome outcome;
	enum cbit_sim_fault fault;
	bool vendor;
	int error;
	struct cbit_error err;
	size_t len;
	uint8_t seen[CBIT_SIM_SEEN];
	uint8_t wanted[CBIT_SIM_SEEN];
	uint8_t dram[CBIT_SIM_SEEN];
	bool dram_valid;
	uint8_t before[CBIT_SIM_SEEN];
	bool before_valid;
	bool accessed;
	bool c;
	struct cbit_spa spa;
	cbit_key_t key;
	enum cbit_mem_kind mem_kind;
	const char *region;
	unsigned int cpus;
	uint64_t address;
	uint32_t data;
	enum cbit_sim_way way;
	uint64_t slots;
	struct cbit_iova iova;
	bool iopte_valid;
	uint64_t iopte;
	unsigned int nr_stages;
	struct cbit_sim_stage stages[CBIT_SIM_STAGES];
	unsigned int nr_decisions;
	struct cbit_sim_decision decisions[CBIT_SIM_DECISIONS];
	unsigned int nr_findings;
	const char *findings[CBIT_SIM_FINDINGS];
	unsigned int nr_events;
	struct cbit_iommu_log_entry events[CBIT_SIM_EVENTS];
};

/**
 * cbit_sim_do() - carry out one operation.
 * @result: filled in.
 * Return: 0 also when the operation failed as it would in a machine (@result->outcome tells);
 * -EINVAL for an operation that cannot be asked for (a number out of range, a buffer that is not
 * there), with words in @result->err; -ENOMEM; -EIO when the bytes seen are not what the
 * key makes of DRAM: an error of the model itself.
 */
int cbit_sim_do(struct cbit_sim *sim, const struct cbit_sim_op *op, struct cbit_sim_result *result);

CBIT_API_END

#endif
