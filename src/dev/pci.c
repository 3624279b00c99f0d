/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a PCI device: creation, opening, reset and destruction, and the DMA it issues.
 */
#include "pci_fault.h"
#include "pci_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int create(const char *spec, uint16_t devid, const struct cbit_pci_host *host,
		  struct cbit_pci *pf, struct cbit_pci **out, struct cbit_error *err)
{
	const struct pci_model *model = pci_spec_model(spec, err);
	struct cbit_pci *pci;
	int ret;

	if (!model)
		return -ENOENT;
	pci = calloc(1, sizeof(*pci));
	if (!pci)
		return cbit_error_set(err, -ENOMEM, "out of memory");
	pci->model = model;
	pci->devid = devid;
	pci->host = *host;
	pci->pf = pf;
	pci->msix_bar = -1;
	/* Every PCI Express device has these two of vfio-pci's own. */
	pci->irqs[PCI_IRQ_ERR] = 1;
	pci->irqs[PCI_IRQ_REQ] = 1;
	pthread_mutex_init(&pci->lock, NULL);

	ret = model->create(pci);
	if (ret)
		cbit_error_set(err, ret, "%s: out of memory", model->name);
	else
		ret = pci_spec_parse(pci, spec, err);
	if (!ret && model->finish)
		ret = model->finish(pci, err);
	/* A virtual function has no pin. */
	if (pf)
		pci->irqs[PCI_IRQ_INTX] = 0;
	if (!ret)
		ret = pci_bars_place(pci, err);
	if (ret) {
		cbit_pci_destroy(pci);
		return ret;
	}
	pci_config_defaults(pci);
	model->reset(pci);
	*out = pci;
	return 0;
}

int cbit_pci_create(const char *spec, uint16_t devid, const struct cbit_pci_host *host,
		    struct cbit_pci **out, struct cbit_error *err)
{
	return create(spec, devid, host, NULL, out, err);
}

int cbit_pci_create_vf(struct cbit_pci *pf, const char *spec, unsigned int n,
		       const struct cbit_pci_host *host, struct cbit_pci **out,
		       struct cbit_error *err)
{
	int ret;

	if (n >= pf->total_vfs)
		return cbit_error_set(err, -EINVAL, "%s: there is no virtual function %u",
				      pf->model->name, n);
	ret = create(spec, cbit_pci_vf_devid(pf, n), host, pf, &pf->vfs[n], err);
	if (ret)
		return ret;
	*out = pf->vfs[n];
	pthread_mutex_lock(&pf->lock);
	pci_sriov_defaults(pf);
	pthread_mutex_unlock(&pf->lock);
	return 0;
}

void cbit_pci_destroy(struct cbit_pci *pci)
{
	if (!pci)
		return;
	/* A link that came back would reset a model that is not there; one of a VF looks at its PF.
	 */
	pci_fault_stop(pci->faults);
	for (unsigned int i = 0; i < pci->total_vfs; i++) {
		if (pci->vfs[i])
			pci_fault_stop(pci->vfs[i]->faults);
	}
	pci->model->destroy(pci);
	pci_log_destroy(pci);
	pci_fault_destroy(pci->faults);
	pthread_mutex_destroy(&pci->lock);
	free(pci);
}

uint16_t cbit_pci_devid(const struct cbit_pci *pci)
{
	return pci->devid;
}

const char *cbit_pci_model(const struct cbit_pci *pci)
{
	return pci->model->name;
}

void cbit_pci_ids(const struct cbit_pci *pci, struct cbit_pci_ids *out)
{
	*out = pci->ids;
}

/*
 * vfio-pci saves the configuration space before a function level reset and restores it after,
 * so a client finds its own command register again: DPDK enables bus mastering first and
 * resets then. Only the power state is new, D0.
 */
void pci_reset_locked(struct cbit_pci *pci)
{
	pci->model->reset(pci);
	pci_config_power_up(pci);
}

void cbit_pci_reset(struct cbit_pci *pci)
{
	pthread_mutex_lock(&pci->lock);
	/* Resetting the bus trains the link again. */
	pci_fault_link_restored(pci);
	pci_reset_locked(pci);
	pthread_mutex_unlock(&pci->lock);
	pci_sriov_reset(pci);
}

static void start_over(struct cbit_pci *pci)
{
	pthread_mutex_lock(&pci->lock);
	pci_fault_link_restored(pci);
	pci_config_defaults(pci);
	pci->model->reset(pci);
	pthread_mutex_unlock(&pci->lock);
}

void cbit_pci_open(struct cbit_pci *pci)
{
	start_over(pci);
	atomic_store(&pci->in_use, true);
	if (pci->model->opened)
		pci->model->opened(pci, true);
	if (pci_faulty(pci))
		pci_fault_opened(pci->faults, true);
}

void cbit_pci_close(struct cbit_pci *pci)
{
	/* Bus mastering goes off before the engine stops, and what a client left is forgotten. */
	atomic_store(&pci->in_use, false);
	if (pci->model->opened)
		pci->model->opened(pci, false);
	start_over(pci);
	if (pci_faulty(pci))
		pci_fault_opened(pci->faults, false);
}

/* A driver's mistake, unless the device is being closed under its engine. */
static enum pci_dma no_master(struct cbit_pci *pci, uint64_t iova, size_t len, bool write)
{
	struct cbit_event ev = { .type = CBIT_EVENT_DMA_NO_MASTER,
				 .devid = pci->devid,
				 .write = write,
				 .iova = CBIT_IOVA(iova),
				 .len = len };

	/* Nor is it one when the device has lost its link. */
	if (atomic_load(&pci->in_use) && !atomic_load(&pci->gone)) {
		cbit_iommu_describe(pci->host.iommu, pci->devid, ev.iova, &ev.mapping);
		cbit_iommu_tell(pci->host.iommu, &ev);
	}
	return PCI_DMA_DISABLED;
}

/*
 * With a fault plan each request asks whether it is to fault; then it goes to the IOMMU as one
 * that has no translation. False: there is no such request any more.
 */
static bool leaves(struct cbit_pci *pci, uint64_t iova, size_t len, bool write,
		   struct cbit_dma_request *rq)
{
	*rq = (struct cbit_dma_request){ .devid = pci->devid };
	if (pci_faulty(pci) && atomic_load(&pci->mastering))
		rq->unmapped = pci_fault_dma(pci, iova, len, write);
	return atomic_load(&pci->mastering);
}

enum pci_dma pci_dma_read(struct cbit_pci *pci, uint64_t iova, void *buf, size_t len, size_t *done)
{
	struct cbit_dma_request rq;

	if (!leaves(pci, iova, len, false, &rq)) {
		memset(buf, 0xff, len);
		if (done)
			*done = 0;
		return no_master(pci, iova, len, false);
	}
	return (enum pci_dma)cbit_iommu_request_read(pci->host.iommu, &rq, CBIT_IOVA(iova), buf,
						     len, done);
}

enum pci_dma pci_dma_write(struct cbit_pci *pci, uint64_t iova, const void *buf, size_t len,
			   size_t *done)
{
	struct cbit_dma_request rq;
	enum pci_dma status;
	size_t n;

	if (!leaves(pci, iova, len, true, &rq)) {
		if (done)
			*done = 0;
		return no_master(pci, iova, len, true);
	}
	pci_log_begin(pci);
	status = (enum pci_dma)cbit_iommu_request_write(pci->host.iommu, &rq, CBIT_IOVA(iova), buf,
							len, &n);
	pci_log_end(pci, iova, status == PCI_DMA_FAULT ? n : len);
	if (done)
		*done = n;
	return status;
}

/* A copy whose requests are asked about one by one. Return: bytes done before one was refused. */
static size_t copy_faulty(struct cbit_pci *pci, uint64_t to, uint64_t from, size_t len, void *buf,
			  size_t room, enum pci_dma *read, enum pci_dma *write)
{
	size_t done = 0, put;

	*read = *write = PCI_DMA_OK;
	while (done < len) {
		size_t n = len - done < room ? len - done : room;
		enum pci_dma status = pci_dma_read(pci, from + done, buf, n, NULL);

		if (status != PCI_DMA_OK)
			*read = status;
		if (status == PCI_DMA_FAULT || status == PCI_DMA_DISABLED)
			return done;
		status = pci_dma_write(pci, to + done, buf, n, &put);
		if (status != PCI_DMA_OK)
			*write = status;
		if (status == PCI_DMA_FAULT || status == PCI_DMA_DISABLED)
			return done + put;
		done += n;
	}
	return done;
}

/* Segments whose requests are asked about one by one. */
static enum pci_dma vec_faulty(struct cbit_pci *pci, const struct cbit_dma_seg *segs,
			       unsigned int nr, uint8_t *buf, bool write)
{
	enum pci_dma worst = PCI_DMA_OK;

	for (unsigned int i = 0; i < nr; buf += segs[i++].len) {
		enum pci_dma status =
			write ? pci_dma_write(pci, segs[i].iova.v, buf, segs[i].len, NULL)
			      : pci_dma_read(pci, segs[i].iova.v, buf, segs[i].len, NULL);

		if (status == PCI_DMA_FAULT || status == PCI_DMA_DISABLED)
			return status;
		worst = status == PCI_DMA_OK ? worst : status;
	}
	return worst;
}

enum pci_dma pci_dma_vec(struct cbit_pci *pci, const struct cbit_dma_seg *segs, unsigned int nr,
			 void *buf, bool write)
{
	if (!nr)
		return PCI_DMA_OK;
	if (!atomic_load(&pci->mastering))
		return no_master(pci, segs[0].iova.v, segs[0].len, write);
	/* With a log, too, each write is one of its own. */
	if (pci_faulty(pci) || (write && pci->log))
		return vec_faulty(pci, segs, nr, buf, write);
	return (enum pci_dma)cbit_iommu_dma_vec(pci->host.iommu, pci->devid, segs, nr, buf, write);
}

void pci_dma_copy(struct cbit_pci *pci, uint64_t to, uint64_t from, size_t len, void *buf,
		  size_t room, enum pci_dma *read, enum pci_dma *write, size_t *done)
{
	struct cbit_dma_copied copied;

	if (!atomic_load(&pci->mastering)) {
		*read = no_master(pci, from, len, false);
		*write = PCI_DMA_OK;
		if (done)
			*done = 0;
		return;
	}
	if (pci_faulty(pci)) {
		size_t n = copy_faulty(pci, to, from, len, buf, room, read, write);

		if (done)
			*done = n;
		return;
	}
	pci_log_begin(pci);
	cbit_iommu_dma_copy(pci->host.iommu, pci->devid, CBIT_IOVA(to), CBIT_IOVA(from), len, buf,
			    room, &copied);
	pci_log_end(pci, to, copied.done);
	*read = (enum pci_dma)copied.read;
	*write = (enum pci_dma)copied.write;
	if (done)
		*done = copied.done;
}
