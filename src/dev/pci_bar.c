/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BARs: placing them in the address map, and the accesses of clients and of peer devices.
 */
#include "pci_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct cbit_bar_info *cbit_pci_bar(const struct cbit_pci *pci, unsigned int bar)
{
	return bar < CBIT_PCI_BARS ? &pci->bar[bar] : NULL;
}

bool cbit_pci_decoding(const struct cbit_pci *pci)
{
	return atomic_load(&pci->decoding);
}

/* Hardware splits what crosses its registers; models only see naturally aligned accesses. */
static unsigned int piece(uint64_t offset, uint64_t len)
{
	unsigned int n = 8;

	while (n > 1 && (n > len || offset % n))
		n /= 2;
	return n;
}

static bool bar_answers(const struct cbit_pci *pci, unsigned int bar, uint64_t offset, uint64_t len)
{
	const struct cbit_bar_info *info = cbit_pci_bar(pci, bar);

	return info && info->mode != CBIT_BAR_NONE && offset <= info->size &&
	       len <= info->size - offset && atomic_load(&pci->decoding);
}

static void bar_read(struct cbit_pci *pci, unsigned int bar, uint64_t offset, void *buf,
		     uint64_t len)
{
	uint8_t *out = buf;

	if (!bar_answers(pci, bar, offset, len)) {
		memset(buf, 0xff, len);
		return;
	}
	if (pci->bar[bar].mode == CBIT_BAR_MEMORY) {
		memcpy(buf, (uint8_t *)pci->bar[bar].memory + offset, len);
		return;
	}
	if (pci->model->bar_bytes && pci->model->bar_bytes(pci, bar, offset, buf, len, false))
		return;
	pthread_mutex_lock(&pci->lock);
	while (len) {
		unsigned int n = piece(offset, len);
		uint64_t v = pci->model->bar_read(pci, bar, offset, n);

		memcpy(out, &v, n);
		out += n;
		offset += n;
		len -= n;
	}
	pthread_mutex_unlock(&pci->lock);
}

static void bar_write(struct cbit_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
		      uint64_t len, bool peer)
{
	const uint8_t *in = buf;

	if (!bar_answers(pci, bar, offset, len))
		return;
	if (pci->bar[bar].mode == CBIT_BAR_MEMORY) {
		memcpy((uint8_t *)pci->bar[bar].memory + offset, buf, len);
		return;
	}
	/* It only reads what is to be written. */
	if (pci->model->bar_bytes &&
	    pci->model->bar_bytes(pci, bar, offset, (void *)(uintptr_t)buf, len, true))
		return;
	pthread_mutex_lock(&pci->lock);
	if (len == 64 && offset % 64 == 0 && pci->model->bar_line) {
		pci->model->bar_line(pci, bar, offset, in, peer);
		len = 0;
	}
	while (len) {
		unsigned int n = piece(offset, len);
		uint64_t v = 0;

		memcpy(&v, in, n);
		pci->model->bar_write(pci, bar, offset, n, v, peer);
		in += n;
		offset += n;
		len -= n;
	}
	pthread_mutex_unlock(&pci->lock);
}

void cbit_pci_bar_read(struct cbit_pci *pci, unsigned int bar, uint64_t offset, void *buf,
		       uint32_t len)
{
	bar_read(pci, bar, offset, buf, len);
}

void cbit_pci_bar_write(struct cbit_pci *pci, unsigned int bar, uint64_t offset, const void *buf,
			uint32_t len)
{
	bar_write(pci, bar, offset, buf, len, false);
}

static int peer_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	const struct pci_bar_port *port = opaque;

	bar_read(port->pci, port->bar, offset, buf, len);
	return 0;
}

static int peer_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	const struct pci_bar_port *port = opaque;

	bar_write(port->pci, port->bar, offset, buf, len, true);
	return 0;
}

static const struct cbit_mem_ops peer_ops = {
	.read = peer_read,
	.write = peer_write,
};

static int bar_place(struct cbit_pci *pci, unsigned int i, struct cbit_error *err)
{
	struct cbit_bar_info *bar = &pci->bar[i];
	const struct cbit_pci_host *host = &pci->host;
	struct cbit_mem_region_desc desc;
	char name[32];

	bar->spa = host->bar_place(host->opaque, bar->size);

	snprintf(name, sizeof(name), "%02x:%02x.%x BAR%u", pci->devid >> 8, pci->devid >> 3 & 0x1f,
		 pci->devid & 7, i);
	pci->port[i] = (struct pci_bar_port){ .pci = pci, .bar = i };
	desc = (struct cbit_mem_region_desc){
		.kind = CBIT_MEM_MMIO,
		.encrypts = false,
		.base = bar->spa,
		.size = bar->size,
		.name = name,
		.direct = bar->mode == CBIT_BAR_MEMORY ? bar->memory : NULL,
		.ops = bar->mode == CBIT_BAR_MEMORY ? NULL : &peer_ops,
		.opaque = &pci->port[i],
		.resident = CBIT_KEY_NONE,
	};
	return cbit_mem_add_region(host->mem ? host->mem : cbit_iommu_mem(host->iommu), &desc, err);
}

int pci_bars_place(struct cbit_pci *pci, struct cbit_error *err)
{
	/* All memory first: regions cannot be taken out of the map again. */
	for (unsigned int i = 0; i < CBIT_PCI_BARS; i++) {
		struct cbit_bar_info *bar = &pci->bar[i];

		if (bar->mode != CBIT_BAR_MEMORY && bar->mode != CBIT_BAR_WATCHED)
			continue;
		bar->memory = pci->host.bar_memory(pci->host.opaque, i, bar->size);
		if (!bar->memory)
			return cbit_error_set(err, -ENOMEM, "%s: no memory for BAR%u (%llu bytes)",
					      pci->model->name, i, (unsigned long long)bar->size);
	}
	for (unsigned int i = 0; i < CBIT_PCI_BARS; i++) {
		int ret;

		if (pci->bar[i].mode == CBIT_BAR_NONE)
			continue;
		ret = bar_place(pci, i, err);
		if (ret)
			return ret;
	}
	return 0;
}
