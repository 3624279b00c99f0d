/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving a device: stopping its engine, its state as bytes, and those bytes in another one. A
 * header says of which model they are; the rest is the model's.
 */
#include "pci_internal.h"

#include <errno.h>
#include <string.h>

struct header {
	char magic[8];
	char model[8];
	uint32_t length; /* with this header */
	uint32_t reserved;
};
_Static_assert(sizeof(struct header) == 24, "the header of a device's state");

static void fill(const struct cbit_pci *pci, struct header *h, size_t length)
{
	*h = (struct header){ .magic = "cbit-dev", .length = (uint32_t)length };
	strncpy(h->model, pci->model->name, sizeof(h->model) - 1);
}

bool cbit_pci_migratable(const struct cbit_pci *pci)
{
	return pci->log != NULL;
}

void cbit_pci_freeze(struct cbit_pci *pci, bool on)
{
	pthread_mutex_lock(&pci->lock);
	pci->model->freeze(pci, on);
	pthread_mutex_unlock(&pci->lock);
}

size_t cbit_pci_save(struct cbit_pci *pci, void *buf)
{
	struct header h;
	size_t len;

	pthread_mutex_lock(&pci->lock);
	len = sizeof(h) +
	      pci->model->save(pci, (uint8_t *)buf + sizeof(h), CBIT_PCI_STATE_MAX - sizeof(h));
	pthread_mutex_unlock(&pci->lock);
	fill(pci, &h, len);
	memcpy(buf, &h, sizeof(h));
	return len;
}

int cbit_pci_load(struct cbit_pci *pci, const void *buf, size_t len)
{
	struct header want;
	int ret;

	fill(pci, &want, len);
	if (len < sizeof(want) || len > CBIT_PCI_STATE_MAX || memcmp(buf, &want, sizeof(want)) != 0)
		return -EINVAL;
	pthread_mutex_lock(&pci->lock);
	ret = pci->model->load(pci, (const uint8_t *)buf + sizeof(want), len - sizeof(want));
	pthread_mutex_unlock(&pci->lock);
	return ret;
}
