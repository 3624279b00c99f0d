/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Identify: the controller, its namespaces, and lists of them.
 */
#include "nvme.h"

#include <stdio.h>
#include <string.h>

#define SIZE           4096u
#define CMIC_SEVERAL   (1u << 1) /* controllers in the subsystem */
#define NMIC_SHARED    (1u << 0)
#define OACS_FORMAT    (1u << 1)
#define OACS_FIRMWARE  (1u << 2)
#define OACS_DOORBELLS (1u << 8)
#define OAES_NS        (1u << 8)
#define ONCS_COMPARE   (1u << 0)
#define ONCS_DSM       (1u << 2)
#define ONCS_ZEROES    (1u << 3)
#define ONCS_SELECT    (1u << 4)
#define ONCS_TIMESTAMP (1u << 6)
#define ONCS_VERIFY    (1u << 7)
#define LPA_COMMANDS   (1u << 1)
#define LPA_EXTENDED   (1u << 2)
#define FRMW_ONE_RO    (1u << 0) /* slot 1 cannot be written */
#define FRMW_SLOTS(n)  ((n) << 1)
#define VWC_PRESENT    (1u << 0)
#define VWC_ALL_NS     (3u << 1) /* Flush takes the broadcast NSID */
#define SGLS_BYTE      (1u << 0)
#define SGLS_LONGER    (1u << 18)
#define DLFEAT_ZEROES  (1u << 0) /* deallocated blocks read as zeros */
#define DLFEAT_WZ_DEAC (1u << 3)
#define NIDT_EUI64     1
#define NIDT_NGUID     2

/* Text fields are padded with spaces. */
static void put_text(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	memset(to, ' ', size);
	memcpy(to, text, len < size ? len : size);
}

/* The functions of one device are controllers of one subsystem: it goes by the first one's place.
 */
static unsigned int subsystem(const struct nvme *n)
{
	return n->pci->pf ? n->pci->pf->devid : n->pci->devid;
}

static void controller(struct nvme *n, void *page)
{
	struct nvme_id_ctrl *id = page;
	char text[32];
	uint64_t total = 0;

	for (unsigned int i = 0; i < n->nr_ns; i++)
		total += n->ns[i].bytes;
	id->vid = n->pci->ids.vendor;
	id->ssvid = n->pci->ids.subsystem_vendor;
	snprintf(text, sizeof(text), "CBIT%04X", subsystem(n));
	put_text(id->sn, sizeof(id->sn), text);
	put_text(id->mn, sizeof(id->mn), "cbit NVMe controller");
	put_text(id->fr, sizeof(id->fr), CBIT_VERSION);
	id->rab = 6;
	id->cmic = nvme_has_siblings(n) ? CMIC_SEVERAL : 0;
	id->mdts = NVME_MDTS;
	id->cntlid = n->pci->devid;
	id->ver = NVME_VS_1_4;
	id->oaes = OAES_NS;
	id->cntrltype = 1; /* I/O controller */
	id->oacs = OACS_FIRMWARE | OACS_DOORBELLS | (nvme_has_siblings(n) ? 0 : OACS_FORMAT);
	id->acl = 3;
	id->aerl = NVME_AERS - 1;
	id->frmw = FRMW_ONE_RO | FRMW_SLOTS(1);
	id->lpa = LPA_COMMANDS | LPA_EXTENDED;
	id->elpe = NVME_ERRORS - 1;
	id->wctemp = 0x157;
	id->cctemp = 0x175;
	id->tnvmcap[0] = total;
	id->sqes = 0x66;
	id->cqes = 0x44;
	id->nn = n->nr_ns;
	id->oncs =
		ONCS_COMPARE | ONCS_DSM | ONCS_ZEROES | ONCS_SELECT | ONCS_TIMESTAMP | ONCS_VERIFY;
	id->vwc = VWC_PRESENT | VWC_ALL_NS;
	id->sgls = SGLS_BYTE | SGLS_LONGER;
	snprintf(id->subnqn, sizeof(id->subnqn), "nqn.2014-08.org.nvmexpress:cbit:%04x",
		 subsystem(n));
	id->psd[0].max_power = 2500;
}

/* Which is unique is the device's place and the namespace's number; no registry gave them out. */
static void identifiers(const struct nvme *n, const struct nvme_ns *ns, uint8_t eui64[8],
			uint8_t nguid[16])
{
	const uint8_t bytes[8] = { 0x02,
				   0xcb,
				   0x17,
				   0xff,
				   (uint8_t)(subsystem(n) >> 8),
				   (uint8_t)subsystem(n),
				   (uint8_t)(ns->id >> 8),
				   (uint8_t)ns->id };

	memcpy(eui64, bytes, 8);
	memset(nguid, 0, 16);
	memcpy(nguid + 8, bytes, 8);
}

static void namespace(const struct nvme *n, const struct nvme_ns *ns, void *page)
{
	struct nvme_id_ns *id = page;

	id->nsze = ns->blocks;
	id->ncap = ns->blocks;
	id->nuse = nvme_store_used(ns);
	id->nlbaf = 1;
	id->flbas = ns->shift == NVME_SHIFT_MIN ? 0 : 1;
	id->nmic = nvme_has_siblings(n) ? NMIC_SHARED : 0;
	id->dlfeat = DLFEAT_ZEROES | DLFEAT_WZ_DEAC;
	id->nvmcap[0] = ns->bytes;
	id->nsattr = ns->readonly;
	id->lbaf[0] = (struct nvme_lba_format){ .ds = NVME_SHIFT_MIN, .rp = 1 };
	id->lbaf[1] = (struct nvme_lba_format){ .ds = NVME_SHIFT_MAX, .rp = 0 };
	identifiers(n, ns, id->eui64, id->nguid);
}

static uint8_t *put_descriptor(uint8_t *at, uint8_t type, const void *data, uint8_t len)
{
	at[0] = type;
	at[1] = len;
	memcpy(at + 4, data, len);
	return at + 4 + len;
}

static void descriptors(const struct nvme *n, const struct nvme_ns *ns, uint8_t *page)
{
	uint8_t eui64[8], nguid[16];

	identifiers(n, ns, eui64, nguid);
	page = put_descriptor(page, NIDT_EUI64, eui64, sizeof(eui64));
	put_descriptor(page, NIDT_NGUID, nguid, sizeof(nguid));
}

static void active(const struct nvme *n, uint32_t above, uint32_t *list)
{
	for (uint32_t nsid = 1; nsid <= n->nr_ns; nsid++) {
		if (nsid > above)
			*list++ = nsid;
	}
}

uint16_t nvme_admin_identify(struct nvme_worker *w, const struct nvme_batch *b,
			     struct nvme_cmd *cmd)
{
	struct nvme *n = w->n;
	const uint32_t nsid = cmd->sqe.nsid;
	const struct nvme_ns *ns = nvme_ns_find(n, nsid);
	uint64_t page[SIZE / 8] = { 0 };

	switch (cmd->sqe.cdw10 & 0xff) {
	case NVME_CNS_NAMESPACE:
		if (!ns)
			return NVME_INVALID_NS;
		namespace(n, ns, page);
		break;
	case NVME_CNS_CONTROLLER:
		controller(n, page);
		break;
	case NVME_CNS_ACTIVE:
		/* 5.15.2.3: these two are no namespace to start after */
		if (nsid >= UINT32_MAX - 1)
			return NVME_INVALID_NS;
		active(n, nsid, (uint32_t *)page);
		break;
	case NVME_CNS_DESCRIPTORS:
		if (!ns)
			return NVME_INVALID_NS;
		descriptors(n, ns, (uint8_t *)page);
		break;
	default:
		return NVME_INVALID_FIELD;
	}
	return nvme_admin_send(w, b, cmd, page, SIZE);
}
