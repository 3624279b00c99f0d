/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ioat channel as bytes: registers, and how far it has come in its chain. The next descriptor is
 * read again by the channel that goes on.
 */
#include "ioat.h"

#include <errno.h>
#include <string.h>

struct ioat_saved {
	uint8_t version;
	uint8_t genctrl, intrctrl, attention;
	uint8_t state, next_known, chained, reserved;
	uint16_t intrdelay, chanctrl, dmacount, executed;
	uint64_t chainaddr, chancmp;
	uint32_t chanerr, chanerr_mask;
	uint64_t last, next;
	uint32_t config[3];
	uint32_t reserved2;
};
_Static_assert(sizeof(struct ioat_saved) == 72, "no holes, or they would have to be checked");

static const uint16_t config[] = { IOAT_PCI_DMAUNCERRSTS, IOAT_PCI_CHANERR_INT,
				   IOAT_PCI_CHANERRMASK_INT };

size_t ioat_save(struct cbit_pci *pci, void *buf, size_t size)
{
	const struct ioat *ioat = pci->state;
	struct ioat_saved s = {
		.version = ioat->version,
		.genctrl = ioat->genctrl,
		.intrctrl = ioat->intrctrl,
		.attention = ioat->attention,
		.state = (uint8_t)ioat->state,
		.next_known = ioat->next_known,
		.chained = ioat->chained,
		.intrdelay = ioat->intrdelay,
		.chanctrl = ioat->chanctrl,
		.dmacount = ioat->dmacount,
		.executed = ioat->executed,
		.chainaddr = ioat->chainaddr,
		.chancmp = ioat->chancmp,
		.chanerr = ioat->chanerr,
		.chanerr_mask = ioat->chanerr_mask,
		.last = ioat->last,
		.next = ioat->next,
	};

	for (unsigned int i = 0; i < 3; i++)
		s.config[i] = pci_config_get32(pci, config[i]);
	if (size >= sizeof(s))
		memcpy(buf, &s, sizeof(s));
	return sizeof(s);
}

/* Whatever a channel can be in: what follows from it must not surprise the engine. */
static bool sane(const struct ioat *ioat, const struct ioat_saved *s)
{
	return s->version == ioat->version && s->state <= IOAT_ARMED && s->attention <= 1 &&
	       s->next_known <= 1 && s->chained <= 1 && !s->reserved && !s->reserved2 &&
	       !(s->intrctrl & ~(IOAT_INTRCTRL_MASTER_EN | IOAT_INTRCTRL_MSIX_CONTROL)) &&
	       !(s->last % IOAT_DESC_ALIGN) &&
	       !(s->state == IOAT_DONE && s->dmacount != s->executed);
}

int ioat_load(struct cbit_pci *pci, const void *buf, size_t len)
{
	struct ioat *ioat = pci->state;
	struct ioat_saved s;

	if (len != sizeof(s))
		return -EINVAL;
	memcpy(&s, buf, sizeof(s));
	if (!sane(ioat, &s))
		return -EINVAL;
	ioat_engine_reset(ioat); /* forgets what this one was at */
	ioat->resetting = false;
	ioat->genctrl = s.genctrl;
	ioat->intrctrl = s.intrctrl;
	ioat->attention = s.attention;
	ioat->intrdelay = s.intrdelay;
	ioat->chanctrl = s.chanctrl;
	ioat->dmacount = s.dmacount;
	ioat->chainaddr = s.chainaddr;
	ioat->chancmp = s.chancmp;
	ioat->chanerr = s.chanerr;
	ioat->chanerr_mask = s.chanerr_mask;
	ioat->state = (enum ioat_state)s.state;
	ioat->executed = s.executed;
	ioat->last = s.last;
	ioat->next = s.next;
	ioat->next_known = s.next_known;
	ioat->chained = s.chained;
	for (unsigned int i = 0; i < 3; i++)
		pci_config_set32(pci, config[i], s.config[i]);
	ioat_pin(ioat);
	return 0;
}
