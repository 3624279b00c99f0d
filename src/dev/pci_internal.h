/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the PCI core and the device models share: the device, the model interface, and the
 * services of the core for models (DMA, interrupts, registers in configuration space).
 *
 * Locks: one mutex a device. Models drop it around every DMA, because a DMA may land in the
 * registers of another device, or of the same one.
 */
#ifndef CBIT_DEV_PCI_INTERNAL_H
#define CBIT_DEV_PCI_INTERNAL_H

#include <cbit/dev.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers are kept as the bus has them");

#define PCI_IRQ_INTX 0u
#define PCI_IRQ_MSI  1u
#define PCI_IRQ_MSIX 2u
#define PCI_IRQ_ERR  3u
#define PCI_IRQ_REQ  4u
#define PCI_IRQS     5u

/**
 * struct pci_model - a kind of device.
 * @options:   the option words, for messages.
 * @create:    fill in ids, bar[] (mode, size, is64, prefetch), irqs[], msix_bar and @state.
 *             Return: 0 or a negative errno.
 * @option:    take "key=value", after @create. Return: 0, -ENOENT for a key that it does not
 *             know (the core finds the words), or an error with words in @err.
 * @finish:    optional: all options have been taken, the BARs are not placed yet. Return: 0, or an
 *             error with words in @err.
 * @opened:    optional: the device was opened, or is about to be closed. Called unlocked.
 * @destroy:   stop the engine and free @state. Called unlocked, also when @create failed.
 * @reset:     everything of the model to its default. Called locked; may wait.
 * @bar_read:  one naturally aligned access of 1, 2, 4 or 8 bytes; called locked. Of watched BARs
 *             too: where a client that has it mapped would just find memory.
 * @bar_write: likewise. It may drop the lock. @peer: the write is another device's DMA, so
 *             nothing that issues DMA may be done before returning (the IOMMU is busy with
 *             the access).
 * @sriov:     it may have virtual functions ("sriov=N"), each a device like itself.
 * @freeze:    stop the engine where it is, or let it go on: no DMA and no interrupt of its own
 * while frozen, and registers only change when written. Called locked; may wait for the DMA under
 * way. With @save and @load what "migration=on" needs; NULL: it cannot.
 * @save:      the frozen model as bytes, at most @size. Return: how many there are. Called locked.
 * @load:      such bytes of another one. Return: 0, or -EINVAL for what never was saved by such a
 *             device; nothing has changed then. Called locked, frozen.
 * @bar_bytes: an access to a trapped BAR of any length, for what is not registers; NULL, or false:
 *             it is none of those, and comes as @bar_read and @bar_write. Called unlocked; it may
 *             lock the device.
 * @bar_line:  64 bytes written at once at a multiple of 64 (MOVDIR64B, or one request of a peer);
 *             NULL: such a write comes in pieces of eight bytes. Otherwise like @bar_write.
 */
struct pci_model {
	const char *name;
	const char *options;
	bool sriov;
	int (*create)(struct cbit_pci *pci);
	int (*option)(struct cbit_pci *pci, const char *key, const char *value,
		      struct cbit_error *err);
	int (*finish)(struct cbit_pci *pci, struct cbit_error *err);
	void (*opened)(struct cbit_pci *pci, bool open);
	void (*destroy)(struct cbit_pci *pci);
	void (*reset)(struct cbit_pci *pci);
	uint64_t (*bar_read)(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			     unsigned int size);
	void (*bar_write)(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			  unsigned int size, uint64_t value, bool peer);
	void (*freeze)(struct cbit_pci *pci, bool on);
	size_t (*save)(struct cbit_pci *pci, void *buf, size_t size);
	int (*load)(struct cbit_pci *pci, const void *buf, size_t len);
	bool (*bar_bytes)(struct cbit_pci *pci, unsigned int bar, uint64_t offset, void *buf,
			  uint64_t len, bool write);
	void (*bar_line)(struct cbit_pci *pci, unsigned int bar, uint64_t offset,
			 const uint8_t line[64], bool peer);
};

/* What a region's callbacks are given: which BAR of which device. */
struct pci_bar_port {
	struct cbit_pci *pci;
	unsigned int bar;
};

struct pci_faults;

/* enum pci_presence - a device that is gone answers nothing. */
enum pci_presence {
	PCI_PRESENT,
	PCI_LINK_DOWN, /* until a reset */
	PCI_REMOVED,   /* for good */
};

struct pci_log;

struct cbit_pci {
	const struct pci_model *model;
	void *state;
	struct pci_faults *faults; /* NULL where nothing is to go wrong */
	struct cbit_pci_host host;
	uint16_t devid;
	struct cbit_pci_ids ids;
	struct cbit_bar_info bar[CBIT_PCI_BARS];
	struct pci_bar_port port[CBIT_PCI_BARS];
	unsigned int irqs[PCI_IRQS];
	int msix_bar;
	/* Where in it the table is, and the pending bits; 0: in its second half. */
	uint32_t msix_table;
	uint32_t msix_pending;

	pthread_mutex_t lock;
	/* Configuration space; a bit is writable, write-1-clear or read-only. */
	uint8_t cfg[CBIT_PCI_CONFIG_SIZE];
	uint8_t wmask[CBIT_PCI_CONFIG_SIZE];
	uint8_t w1c[CBIT_PCI_CONFIG_SIZE];
	/* Follow from the command register and the power state; read without the lock. */
	atomic_bool decoding;
	atomic_bool mastering;
	atomic_bool in_use; /* between open and close */
	atomic_int gone;    /* enum pci_presence; with the lock held to change it */
	/*
	 * SR-IOV: of a physical function those it has and, under the lock, how many are enabled; of
	 * a virtual one its physical function.
	 */
	unsigned int total_vfs;
	unsigned int num_vfs;
	struct cbit_pci *vfs[CBIT_PCI_VFS];
	struct cbit_pci *pf;
	struct pci_log *log; /* with migration=on */
	/* The INTx pin: what the model asks for, and what the bus sees of it. */
	bool intx_wanted;
	atomic_bool intx;
};

/* pci_config.c. Called locked, or before the device is known to anybody. */
void pci_config_defaults(struct cbit_pci *pci);
void pci_config_power_up(struct cbit_pci *pci);
/* pci_config_gone() - follow a change of @gone. */
void pci_config_gone(struct cbit_pci *pci);
/* pci_config_unconfigured() - memory decoding and bus mastering off, as after a reset. */
void pci_config_unconfigured(struct cbit_pci *pci);
uint32_t pci_config_get32(const struct cbit_pci *pci, uint32_t offset);
void pci_config_set32(struct cbit_pci *pci, uint32_t offset, uint32_t value);

/* pci_config_declare() - a model's own register: bits that are writable, and write-1-clear. */
void pci_config_declare(struct cbit_pci *pci, uint32_t offset, uint32_t writable, uint32_t w1c);

/* pci_irq.c. Called locked. */
void pci_irq_raise(struct cbit_pci *pci, unsigned int vector);
/* pci_irq_messages() - does an interrupt leave as a message, MSI or MSI-X being enabled? */
bool pci_irq_messages(const struct cbit_pci *pci);
/* pci_intx_set() - the model asserts its pin, or no longer does. */
void pci_intx_set(struct cbit_pci *pci, bool asserted);
/* pci_intx_update() - something else changed that the pin depends on. */
void pci_intx_update(struct cbit_pci *pci);
void pci_irq_defaults(struct cbit_pci *pci);

/* pci_bar.c */
int pci_bars_place(struct cbit_pci *pci, struct cbit_error *err);

/*
 * pci_log.c: pages that DMA writes to. A write is between begin and end, which says what of it
 * arrived; both do nothing without a log.
 */
int pci_log_create(struct cbit_pci *pci);
void pci_log_destroy(struct cbit_pci *pci);
void pci_log_lock(struct pci_log *log);
void pci_log_unlock(struct pci_log *log);
void pci_log_mark(struct pci_log *log, uint64_t iova, uint64_t len);

static inline void pci_log_begin(struct cbit_pci *pci)
{
	if (pci->log)
		pci_log_lock(pci->log);
}

static inline void pci_log_end(struct cbit_pci *pci, uint64_t iova, uint64_t len)
{
	if (!pci->log)
		return;
	pci_log_mark(pci->log, iova, len);
	pci_log_unlock(pci->log);
}

/* pci_sriov.c */
/* The capability, as the functions that there are make it. Called locked. */
void pci_sriov_defaults(struct cbit_pci *pci);
/* A reset of a physical function takes its virtual ones with it. Called unlocked. */
void pci_sriov_reset(struct cbit_pci *pci);

/* pci_spec.c */
int pci_spec_parse(struct cbit_pci *pci, const char *spec, struct cbit_error *err);
const struct pci_model *pci_spec_model(const char *spec, struct cbit_error *err);
bool pci_parse_number(const char *text, uint64_t *out);
bool pci_parse_size(const char *text, uint64_t *out);

/* pci.c */
void pci_reset_locked(struct cbit_pci *pci);

/* enum pci_dma - how a DMA ended; the first three as enum cbit_dma_status. */
enum pci_dma {
	PCI_DMA_OK = CBIT_DMA_OK,
	PCI_DMA_FAULT = CBIT_DMA_FAULT,
	PCI_DMA_ABORT = CBIT_DMA_ABORT,
	PCI_DMA_DISABLED, /* bus mastering is off: nothing left the device */
};

/*
 * pci_dma_read(), pci_dma_write() - issue a DMA; never with the device locked. @done may be
 * NULL: bytes moved before the first failure. A read that failed leaves all ones.
 */
enum pci_dma pci_dma_read(struct cbit_pci *pci, uint64_t iova, void *buf, size_t len, size_t *done);
enum pci_dma pci_dma_write(struct cbit_pci *pci, uint64_t iova, const void *buf, size_t len,
			   size_t *done);

/*
 * pci_dma_vec() - read or (@write) write many segments, whose bytes follow one another in @buf. Of
 * a read that failed nothing in @buf is defined.
 */
enum pci_dma pci_dma_vec(struct cbit_pci *pci, const struct cbit_dma_seg *segs, unsigned int nr,
			 void *buf, bool write);

/*
 * pci_dma_copy() - read and write as cbit_iommu_dma_copy() has it, by way of @room bytes at @buf
 * where need be. With bus mastering off neither happens. @done may be NULL: bytes written before
 * the first that the IOMMU refused.
 */
void pci_dma_copy(struct cbit_pci *pci, uint64_t to, uint64_t from, size_t len, void *buf,
		  size_t room, enum pci_dma *read, enum pci_dma *write, size_t *done);

#endif
