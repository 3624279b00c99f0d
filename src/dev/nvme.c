/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme: an NVM Express 1.4 controller: options, creation, reset, and its pin.
 *
 * BAR0 registers and doorbells, watched; BAR2 the controller memory buffer where "cmb" asks for
 * one; BAR4 the MSI-X table, or the persistent memory region where "pmr" asks for that, and then
 * the table is in BAR0. The other files are listed in nvme.h.
 */
#include "nvme.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REG_BAR_SIZE  0x4000u
#define MSIX_BAR_SIZE 0x4000u
#define CMB_MIN       ((uint64_t)64 << 10)
#define CMB_MAX       ((uint64_t)64 << 30)
#define MEMORY_SIZE   ((uint64_t)1 << 30)
#define MEMORY_MAX    ((uint64_t)1 << 44)

/* The MSI-X table where BAR4 is something else, on pages that have nothing else. */
#define MSIX_TABLE_AT   0x2000u
#define MSIX_PENDING_AT 0x3000u

_Static_assert(MSIX_TABLE_AT + 16 * NVME_VECTORS <= MSIX_PENDING_AT &&
		       MSIX_PENDING_AT + NVME_VECTORS / 8 <= REG_BAR_SIZE,
	       "the table lies in the BAR");
_Static_assert(NVME_DOORBELLS + 8 * NVME_QUEUES <= MSIX_TABLE_AT, "doorbells lie in the BAR");

uint64_t nvme_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int nvme_create(struct cbit_pci *pci)
{
	struct nvme *n = calloc(1, sizeof(*n));

	pci->state = n;
	if (!n)
		return -ENOMEM;
	n->pci = pci;
	n->default_shift = NVME_SHIFT_MIN;
	n->memory_size = MEMORY_SIZE;
	n->nr_queues = NVME_QUEUES;
	n->nr_workers = 1;
	n->powered_at = nvme_now();
	n->pmr.fd = -1;
	pthread_cond_init(&n->idle, NULL);
	for (unsigned int i = 0; i < NVME_WORKERS; i++) {
		n->worker[i].n = n;
		n->worker[i].index = i;
	}
	pci->ids = (struct cbit_pci_ids){
		.vendor = NVME_VENDOR,
		.device = NVME_DEVICE,
		.subsystem_vendor = NVME_SUBSYSTEM_VENDOR,
		.subsystem_device = NVME_SUBSYSTEM_DEVICE,
		.class_code = NVME_CLASS,
		.revision = 2,
	};
	pci->bar[NVME_REG_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_WATCHED,
		.size = REG_BAR_SIZE,
		.is64 = true,
	};
	pci->bar[NVME_MSIX_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_MEMORY,
		.size = MSIX_BAR_SIZE,
		.is64 = true,
	};
	pci->msix_bar = NVME_MSIX_BAR;
	pci->irqs[PCI_IRQ_INTX] = 1;
	pci->irqs[PCI_IRQ_MSI] = 1;
	pci->irqs[PCI_IRQ_MSIX] = NVME_VECTORS;
	return 0;
}

static void nvme_destroy(struct cbit_pci *pci)
{
	struct nvme *n = pci->state;

	if (!n)
		return;
	nvme_workers_stop(n);
	for (unsigned int i = 0; i < n->nr_ns; i++)
		nvme_store_close(&n->ns[i]);
	nvme_pmr_close(n);
	pthread_cond_destroy(&n->idle);
	free(n);
}

/* --- options --- */

static int option_file(struct nvme *n, const char *value, struct cbit_error *err)
{
	struct nvme_ns *ns = &n->ns[n->nr_ns];

	if (n->nr_ns == NVME_NAMESPACES)
		return cbit_error_set(err, -EINVAL, "nvme: file=%s: at most %u namespaces", value,
				      NVME_NAMESPACES);
	if (!*value)
		return cbit_error_set(err, -EINVAL, "nvme: file=: which file?");
	*ns = (struct nvme_ns){ .id = n->nr_ns + 1, .fd = -1, .path = strdup(value) };
	if (!ns->path)
		return cbit_error_set(err, -ENOMEM, "out of memory");
	n->nr_ns++;
	return 0;
}

static int option_block(struct nvme *n, const char *value, struct cbit_error *err)
{
	uint64_t size;

	if (!pci_parse_number(value, &size) || (size != 512 && size != 4096))
		return cbit_error_set(err, -EINVAL, "nvme: block=%s: must be 512 or 4096", value);
	if (n->nr_ns)
		n->ns[n->nr_ns - 1].shift = (unsigned int)__builtin_ctzll(size);
	else
		n->default_shift = (unsigned int)__builtin_ctzll(size);
	return 0;
}

static int option_cmb(struct cbit_pci *pci, const char *value, struct cbit_error *err)
{
	struct nvme *n = pci->state;
	uint64_t size;

	if (!pci_parse_size(value, &size) || size & (size - 1) || size < CMB_MIN || size > CMB_MAX)
		return cbit_error_set(err, -EINVAL,
				      "nvme: cmb=%s: must be a power of two from 64K to 64G",
				      value);
	n->cmb_size = size;
	pci->bar[NVME_CMB_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_MEMORY,
		.size = size,
		.is64 = true,
		.prefetch = true,
	};
	return 0;
}

static int option_size(struct nvme *n, const char *value, struct cbit_error *err)
{
	if (!pci_parse_size(value, &n->memory_size) || n->memory_size < 4096 ||
	    n->memory_size > MEMORY_MAX)
		return cbit_error_set(err, -EINVAL, "nvme: size=%s: must be from 4K to 16384G",
				      value);
	return 0;
}

static int nvme_option(struct cbit_pci *pci, const char *key, const char *value,
		       struct cbit_error *err)
{
	struct nvme *n = pci->state;

	if (!strcmp(key, "file"))
		return option_file(n, value, err);
	if (!strcmp(key, "block"))
		return option_block(n, value, err);
	if (!strcmp(key, "cmb"))
		return option_cmb(pci, value, err);
	if (!strcmp(key, "size"))
		return option_size(n, value, err);
	if (!strcmp(key, "pmr") || !strcmp(key, "pmr-file"))
		return nvme_pmr_option(n, key, value, err);
	return -ENOENT;
}

static int nvme_finish(struct cbit_pci *pci, struct cbit_error *err)
{
	struct nvme *n = pci->state;
	int ret = 0;

	if (!n->nr_ns) {
		n->ns[0] = (struct nvme_ns){ .id = 1, .fd = -1 };
		n->nr_ns = 1;
	}
	for (unsigned int i = 0; i < n->nr_ns && !ret; i++) {
		if (!n->ns[i].shift)
			n->ns[i].shift = n->default_shift;
		/* The functions of one device are controllers of one subsystem. */
		if (pci->pf)
			ret = nvme_store_share(&n->ns[i], &((struct nvme *)pci->pf->state)->ns[i],
					       err);
		else
			ret = nvme_store_open(&n->ns[i], n->memory_size, err);
	}
	if (!ret)
		ret = nvme_pmr_finish(n, err);
	if (n->pmr.size) {
		pci->msix_bar = NVME_REG_BAR;
		pci->msix_table = MSIX_TABLE_AT;
		pci->msix_pending = MSIX_PENDING_AT;
	}
	return ret;
}

/* --- reset, the pin --- */

static void nvme_reset(struct cbit_pci *pci)
{
	struct nvme *n = pci->state;

	/* Workers look at them without the lock: set once, before there are any. */
	if (!n->regs) {
		n->regs = pci->bar[NVME_REG_BAR].memory;
		n->doorbell = n->regs + NVME_DOORBELLS / 4;
	}
	nvme_regs_enter(n);
	nvme_regs_reset(n);
	nvme_regs_init(n);
	nvme_regs_leave(n);
}

static void nvme_opened(struct cbit_pci *pci, bool open)
{
	struct nvme *n = pci->state;

	/* Without a thread the controller never gets ready, which a driver can tell. */
	if (open && !nvme_workers_start(n))
		for (unsigned int i = 0; i < n->nr_workers; i++)
			nvme_kick(n, i);
}

void nvme_pin(struct nvme *n)
{
	bool on = false;

	for (unsigned int i = 0; i < n->nr_queues && !on; i++) {
		const struct nvme_cq *cq = &n->cq[i];

		on = cq->exists && cq->ien && cq->tail != cq->head &&
		     !(cq->vector < 32 && n->intms >> cq->vector & 1);
	}
	/* With messages nobody looks at the pin, nor need we watch for it. */
	atomic_store(&n->pin, on && !pci_irq_messages(n->pci));
	pci_intx_set(n->pci, on);
}

const struct pci_model pci_nvme_model = {
	.name = "nvme",
	.sriov = true,
	.options = "file=PATH, size=SIZE, block=512|4096, cmb=SIZE, pmr=SIZE, pmr-file=PATH, "
		   "sriov=N",
	.create = nvme_create,
	.option = nvme_option,
	.finish = nvme_finish,
	.opened = nvme_opened,
	.destroy = nvme_destroy,
	.reset = nvme_reset,
	.bar_read = nvme_bar_read,
	.bar_write = nvme_bar_write,
	.bar_bytes = nvme_pmr_bytes,
};
