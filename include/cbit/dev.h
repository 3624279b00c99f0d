/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dev: PCI device models. A core with configuration space, BARs and interrupts, and the
 * models on top of it.
 */
#ifndef CBIT_DEV_H
#define CBIT_DEV_H

#include <cbit/fault.h>
#include <cbit/iommu.h>

CBIT_API_BEGIN

struct cbit_pci;

#define CBIT_PCI_BARS        6
#define CBIT_PCI_CONFIG_SIZE 4096
#define CBIT_PCI_VFS         16 /* virtual functions of one device, at most */

/**
 * enum cbit_bar_mode - how a client reaches a BAR.
 * @CBIT_BAR_NONE:    there is none.
 * @CBIT_BAR_MEMORY:  plain memory; no access is seen by the model.
 * @CBIT_BAR_TRAPPED: each access calls the model.
 * @CBIT_BAR_WATCHED: memory that the model looks at again and again, so that a client's accesses
 * cost nothing: for registers whose every write shows. Accesses that are no stores of a client
 * (cbit_pci_bar_write(), other devices) call the model.
 */
enum cbit_bar_mode {
	CBIT_BAR_NONE,
	CBIT_BAR_MEMORY,
	CBIT_BAR_TRAPPED,
	CBIT_BAR_WATCHED,
};

/**
 * struct cbit_bar_info - one BAR.
 * @size: bytes, a power of two; 0 for none.
 * @spa:  where the host placed it, aligned to its size.
 * @is64, @prefetch: as in the BAR register.
 * @memory: for CBIT_BAR_MEMORY and CBIT_BAR_WATCHED, where the bytes are.
 */
struct cbit_bar_info {
	enum cbit_bar_mode mode;
	uint64_t size;
	struct cbit_spa spa;
	bool is64;
	bool prefetch;
	void *memory;
};

/**
 * struct cbit_pci_host - what a device needs of the machine it is plugged into.
 * @iommu:       the IOMMU its DMA goes through.
 * @mem:         the address map that its BARs become part of; NULL for that of @iommu.
 * @bar_memory:  give out @size bytes of zeroed memory for plain or watched BAR @bar, page aligned,
 * that lives as long as the device; NULL when there is none.
 * @bar_place:   give out an SPA for a BAR of @size bytes, aligned to @size.
 * @irq:         an interrupt message left the device: index VFIO_PCI_*_IRQ_INDEX numbers
 *               (1 MSI, 2 MSI-X), vector from 0; 3 ERR, 4 REQ: the host's own; or its pin is
 * asserted (0 INTx), perhaps as it has been for a while. Called with the device locked: it must not
 * call back into dev (cbit_pci_intx() is allowed), nor take a lock under which dev or iommu are
 *               called.
 */
struct cbit_pci_host {
	struct cbit_iommu *iommu;
	struct cbit_mem *mem;
	void *(*bar_memory)(void *opaque, unsigned int bar, uint64_t size);
	struct cbit_spa (*bar_place)(void *opaque, uint64_t size);
	void (*irq)(void *opaque, unsigned int index, unsigned int vector);
	void *opaque;
};

/**
 * cbit_pci_create() - make a device from its command-line SPEC.
 * @spec: "MODEL[,KEY=VALUE]...", as cbit_pci_models() lists them: "ioat,membar=1M"; sizes take K,
 * M, G. Words that are not the model's own ("group=", "addr=") must have been taken out by the
 *        caller.
 * @devid: bus << 8 | devfn.
 * @host: copied.
 * Its plain BARs and trapped BARs are added to the memory map, so that
 * another device's DMA reaches them.
 * Return: 0; -EINVAL or -ENOENT with words in @err; -ENOMEM.
 */
int cbit_pci_create(const char *spec, uint16_t devid, const struct cbit_pci_host *host,
		    struct cbit_pci **out, struct cbit_error *err);

/**
 * cbit_pci_total_vfs() - the virtual functions that a device may have ("sriov=N").
 * cbit_pci_vf_devid() - where function @n is: one after the other behind the device itself.
 */
unsigned int cbit_pci_total_vfs(const struct cbit_pci *pf);
uint16_t cbit_pci_vf_devid(const struct cbit_pci *pf, unsigned int n);

/**
 * cbit_pci_create_vf() - make virtual function @n of @pf, a device of its own at
 * cbit_pci_vf_devid(), not yet enabled.
 * @spec: as @pf was made from. In the order of @n, before @pf is used. It must be destroyed
 * after @pf. Return: as cbit_pci_create().
 */
int cbit_pci_create_vf(struct cbit_pci *pf, const char *spec, unsigned int n,
		       const struct cbit_pci_host *host, struct cbit_pci **out,
		       struct cbit_error *err);

/** cbit_pci_enable_vfs() - the first @n virtual functions are there from now on, reset. */
void cbit_pci_enable_vfs(struct cbit_pci *pf, unsigned int n);

/**
 * cbit_pci_migratable() - was it made with "migration=on"? The calls below are for such devices.
 * Any thread, as for all of them.
 */
bool cbit_pci_migratable(const struct cbit_pci *pci);

/**
 * cbit_pci_freeze() - stop the device's engine where it is, or let it go on.
 * Frozen it issues no DMA and no interrupt; a DMA under way has ended when this returns.
 */
void cbit_pci_freeze(struct cbit_pci *pci, bool on);

/** Bytes that the state of a device takes, at most. */
#define CBIT_PCI_STATE_MAX 4096

/**
 * cbit_pci_save() - the state of a frozen device, but for configuration space and BAR memory.
 * @buf: CBIT_PCI_STATE_MAX bytes. Return: how many of them are used.
 * cbit_pci_load() - make that the state of another one of the same kind and options, frozen.
 * Return: 0, or -EINVAL for bytes that such a device has not saved: nothing has changed then.
 */
size_t cbit_pci_save(struct cbit_pci *pci, void *buf);
int cbit_pci_load(struct cbit_pci *pci, const void *buf, size_t len);

/** struct cbit_pci_log_range - IOVAs @first to @last. */
struct cbit_pci_log_range {
	uint64_t first, last;
};

/** Ranges of one log, at most. */
#define CBIT_PCI_LOG_RANGES 256

/**
 * cbit_pci_log_start() - from now on note the pages that the device's DMA writes to.
 * @ranges: that do not overlap, in any order; one whose @last is below @first is empty.
 * @page_size: in: what is wished for; out: what it will be, a power of two from 4096 on, larger
 *          where the ranges are too long for it.
 * Return: 0; -EINVAL when it is on already; -ENOMEM.
 */
int cbit_pci_log_start(struct cbit_pci *pci, const struct cbit_pci_log_range *ranges,
		       unsigned int nr, uint64_t *page_size);

/** cbit_pci_log_stop() - and forget what was noted. */
void cbit_pci_log_stop(struct cbit_pci *pci);

/**
 * cbit_pci_log_read() - tell of the pages noted in @first to @last, and forget them.
 * @found: called for runs of bytes, in ascending order within a range; it may not call this room.
 * What was visible in memory before the call is told. A page that reaches beyond
 * @first or @last is told as far as it lies between, and not forgotten.
 * Return: 0; -EINVAL when there is no log.
 */
int cbit_pci_log_read(struct cbit_pci *pci, uint64_t first, uint64_t last,
		      void (*found)(void *opaque, struct cbit_iova iova, uint64_t len),
		      void *opaque);

/**
 * cbit_pci_destroy() - stop its engine and free it. NULL is allowed. Its regions stay in the
 * memory map, so by then no device may be able to reach it (the domains are gone).
 */
void cbit_pci_destroy(struct cbit_pci *pci);

/** cbit_pci_devid() - bus << 8 | devfn; cbit_pci_model() - "ioat". */
uint16_t cbit_pci_devid(const struct cbit_pci *pci);
const char *cbit_pci_model(const struct cbit_pci *pci);

/** cbit_pci_models() - the help text: a line for each model and its options. */
const char *cbit_pci_models(void);

/** cbit_pci_bar() - BAR @bar, 0..5. */
const struct cbit_bar_info *cbit_pci_bar(const struct cbit_pci *pci, unsigned int bar);

/**
 * struct cbit_pci_ids - identification, for sysfs.
 * @class_code: 24 bits.
 */
struct cbit_pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem_device;
	uint32_t class_code;
	uint8_t revision;
};

/** cbit_pci_ids() - fill in what identifies the device. Any thread. */
void cbit_pci_ids(const struct cbit_pci *pci, struct cbit_pci_ids *out);

/** cbit_pci_irq_count() - vectors of an index (0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ). */
unsigned int cbit_pci_irq_count(const struct cbit_pci *pci, unsigned int index);

/** cbit_pci_intx() - is the INTx pin asserted? Any thread, any lock. */
bool cbit_pci_intx(const struct cbit_pci *pci);

/** cbit_pci_msix_bar() - the BAR that holds the MSI-X table, or -1. */
int cbit_pci_msix_bar(const struct cbit_pci *pci);

/** cbit_pci_msix_table() - where in that BAR it begins. */
uint32_t cbit_pci_msix_table(const struct cbit_pci *pci);

/**
 * cbit_pci_config_read() - read configuration space. @offset + @len within 4096.
 * cbit_pci_config_write() - write it: read-only bits stay, write-1-clear bits clear.
 * Any thread.
 */
void cbit_pci_config_read(struct cbit_pci *pci, uint32_t offset, void *buf, uint32_t len);
void cbit_pci_config_write(struct cbit_pci *pci, uint32_t offset, const void *buf, uint32_t len);

/**
 * cbit_pci_decoding() - does the device answer at its BARs: memory decoding is on in the command
 * register, and the power state is not D3hot? Any thread, any lock.
 */
bool cbit_pci_decoding(const struct cbit_pci *pci);

/**
 * cbit_pci_bar_read() - an access of 1, 2, 4 or 8 bytes (or a longer one, done in such
 * pieces) at @offset of BAR @bar, within its size; likewise cbit_pci_bar_write().
 * With memory decoding off in the command register reads give all ones and writes vanish.
 * Any thread.
 */
void cbit_pci_bar_read(struct cbit_pci *pci, unsigned int bar, uint64_t offset, void *buf,
		       uint32_t len);
void cbit_pci_bar_write(struct cbit_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
			uint32_t len);

/**
 * cbit_pci_set_irqs_enabled() - the host armed or disarmed an interrupt index (VFIO does it
 * in SET_IRQS): sets or clears the enable bit of the MSI or MSI-X capability.
 */
void cbit_pci_set_irqs_enabled(struct cbit_pci *pci, unsigned int index, unsigned int vectors);

/**
 * cbit_pci_open() and cbit_pci_close() - the first file on the device was opened (function
 * reset, memory decoding as the host left it, bus mastering off), the last was closed (reset, bus
 * mastering off).
 */
void cbit_pci_open(struct cbit_pci *pci);
void cbit_pci_close(struct cbit_pci *pci);

/**
 * cbit_pci_reset() - function level reset as VFIO_DEVICE_RESET does it: engine stopped, the
 * model's registers at their default, power state D0. Header and capabilities keep what the
 * client wrote, because Linux saves and restores them around the reset; bus mastering and
 * armed interrupts survive (DPDK relies on it). Waits for a DMA under way, as open, close and
 * destroy do: not to be called with a lock held that the observer or a domain's owner takes.
 */
void cbit_pci_reset(struct cbit_pci *pci);

/**
 * cbit_pci_set_faults() - what is to go wrong with this device. Before it is opened, and once.
 * @plan: rules for other devices are left alone. It must live as long as the device.
 * Return: 0, -ENOMEM.
 */
int cbit_pci_set_faults(struct cbit_pci *pci, struct cbit_fault_plan *plan);

/** cbit_pci_removed() - has the device been pulled out? Any thread. */
bool cbit_pci_removed(const struct cbit_pci *pci);

CBIT_API_END

#endif
