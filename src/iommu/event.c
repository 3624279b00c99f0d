/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events as bytes (AMD I/O Virtualization Technology Specification, section 2.5): which fields a
 * kind has, and where.
 */
#include <string.h>

#include "internal.h"

#define TYPE2 (3u << CBIT_VI_EVT_TYPE_SHIFT)
#define TYPE3 (7u << CBIT_VI_EVT_TYPE_SHIFT)

/* What stands in dw1[15:0], and with it in dw0[31:16]. */
enum id {
	ID_NONE,
	ID_PASID,  /* with GN */
	ID_DOMAIN, /* or with GN a PASID */
	ID_PPR,
	ID_RMP,
};

/* @address: bits that are not reserved; 0 for a kind that there is not. */
static const struct layout {
	uint64_t address;
	uint32_t flags;
	bool device;
	enum id id;
} layouts[16] = {
	[CBIT_VI_EVT_ILLEGAL_DTE] = { ~UINT64_C(3),
				      CBIT_VI_EVT_GN | CBIT_VI_EVT_I | CBIT_VI_EVT_RW |
					      CBIT_VI_EVT_RZ | CBIT_VI_EVT_TR,
				      true, ID_PASID },
	[CBIT_VI_EVT_IO_PAGE_FAULT] = { ~UINT64_C(0),
					CBIT_VI_EVT_GN | CBIT_VI_EVT_NX | CBIT_VI_EVT_US |
						CBIT_VI_EVT_I | CBIT_VI_EVT_PR | CBIT_VI_EVT_RW |
						CBIT_VI_EVT_PE | CBIT_VI_EVT_RZ | CBIT_VI_EVT_TR,
					true, ID_DOMAIN },
	[CBIT_VI_EVT_DEVTAB_HW_ERROR] = { ~UINT64_C(15),
					  CBIT_VI_EVT_I | CBIT_VI_EVT_RW | CBIT_VI_EVT_TR | TYPE2,
					  true, ID_NONE },
	[CBIT_VI_EVT_PAGETAB_HW_ERROR] = { ~UINT64_C(7),
					   CBIT_VI_EVT_GN | CBIT_VI_EVT_I | CBIT_VI_EVT_RW |
						   CBIT_VI_EVT_TR | TYPE2,
					   true, ID_DOMAIN },
	[CBIT_VI_EVT_ILLEGAL_COMMAND] = { ~UINT64_C(15), 0, false, ID_NONE },
	[CBIT_VI_EVT_COMMAND_HW_ERROR] = { ~UINT64_C(15), TYPE2, false, ID_NONE },
	[CBIT_VI_EVT_IOTLB_TIMEOUT] = { ~UINT64_C(15), 0, true, ID_NONE },
	[CBIT_VI_EVT_INVALID_DEVICE] = { ~UINT64_C(0), CBIT_VI_EVT_GN | CBIT_VI_EVT_TR | TYPE3,
					 true, ID_PASID },
	[CBIT_VI_EVT_INVALID_PPR] = { ~UINT64_C(0), CBIT_VI_EVT_FLAGS, true, ID_PPR },
	/* The upper 20 bits of the note come first. */
	[CBIT_VI_EVT_COUNTER_ZERO] = { UINT64_C(0xfffffffffffff), 0, false, ID_NONE },
	[CBIT_VI_EVT_RMP_FAULT] = { ~UINT64_C(0), CBIT_VI_EVT_FLAGS, true, ID_RMP },
	[CBIT_VI_EVT_RMP_HW_ERROR] = { ~UINT64_C(7), CBIT_VI_EVT_FLAGS, true, ID_RMP },
};

static void put_pasid(uint32_t dw[4], uint32_t pasid)
{
	dw[0] |= pasid & 0xf0000;
	dw[1] |= pasid & 0xffff;
}

bool cbit_vi_event_encode(const struct cbit_vi_event *ev, uint32_t dw[4])
{
	const struct layout *l = &layouts[ev->code & 0xf];
	uint64_t address = ev->address & l->address;
	uint32_t flags = ev->flags & l->flags;

	memset(dw, 0, 4 * sizeof(dw[0]));
	if (ev->code > 0xf || !l->address)
		return false;
	if (ev->code == CBIT_VI_EVT_COUNTER_ZERO)
		address = address << 32 | address >> 32;
	dw[0] = l->device ? ev->devid : 0;
	dw[1] = ev->code << CBIT_VI_EVT_SHIFT | flags;
	dw[2] = (uint32_t)address;
	dw[3] = (uint32_t)(address >> 32);
	switch (l->id) {
	case ID_NONE:
		break;
	case ID_PASID:
	case ID_DOMAIN:
		if (flags & CBIT_VI_EVT_GN)
			put_pasid(dw, ev->pasid);
		else if (l->id == ID_DOMAIN)
			dw[1] |= ev->domid;
		break;
	case ID_PPR:
		dw[0] |= (ev->pasid & 0xffff) << 16;
		dw[1] |= (ev->pasid >> 16 & 0xf) << 10 | (ev->tag & 0x3ffu);
		break;
	case ID_RMP:
		dw[1] |= ev->tag;
		if (ev->code == CBIT_VI_EVT_RMP_FAULT)
			dw[0] |= (uint32_t)ev->rmp << 16;
		break;
	}
	return true;
}
