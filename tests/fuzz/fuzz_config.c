/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space and BAR accesses of an ioat by a client without manners, with the DMA
 * that they lead to. Identification stays what it is, reads do not depend on how they are
 * cut, and the device can always be reset and closed.
 */
#include "fuzz.h"

#define CLIENT_CHECK(x) FUZZ_CHECK(x)
#include "../unit/client_rig.h"

#define IOVA UINT64_C(0x100000)

static uint64_t register_value(struct input *in)
{
	uint8_t form = take8(in);

	/* mostly addresses of descriptors, for chains to be run */
	return form & 1 ? IOVA + (uint64_t)take8(in) * 64 : form & 2 ? form : take64(in);
}

static void step(struct client *c, struct cbit_pci *pci, struct input *in)
{
	static const uint16_t registers[] = { 0x00, 0x03, 0x80, 0x84, 0x86, 0x88, 0x90,
					      0x94, 0x98, 0x9c, 0xa0, 0xa8, 0xac };
	uint8_t what = take8(in), buf[64];
	uint32_t offset, len;
	uint64_t v;

	switch (what % 8) {
	case 0:
		offset = take16(in) % CBIT_PCI_CONFIG_SIZE;
		len = take8(in) % sizeof(buf);
		if (len > CBIT_PCI_CONFIG_SIZE - offset)
			len = CBIT_PCI_CONFIG_SIZE - offset;
		take(in, buf, len);
		cbit_pci_config_write(pci, offset, buf, len);
		return;
	case 1:
		/* decoding and bus mastering on: without them little happens */
		cbit_pci_config_write(pci, 4, &(uint16_t){ 6 }, 2);
		return;
	case 2:
		offset = take16(in);
		len = take8(in) % sizeof(buf);
		take(in, buf, len);
		cbit_pci_bar_write(pci, what >> 3 & 7, offset, buf, len);
		return;
	case 3:
		cbit_pci_bar_read(pci, what >> 3 & 7, take16(in), buf, take8(in) % sizeof(buf));
		return;
	case 4:
	case 5:
		v = register_value(in);
		offset = registers[(what >> 3) % (sizeof(registers) / sizeof(registers[0]))];
		cbit_pci_bar_write(pci, 0, offset, &v, 1u << (take8(in) & 3));
		return;
	case 6:
		/* a descriptor */
		offset = take8(in) * 64u;
		len = take16(in);
		v = register_value(in);
		memcpy(c->ram + offset, &len, 4);
		len = take32(in);
		memcpy(c->ram + offset + 4, &len, 4);
		memcpy(c->ram + offset + 8, &v, 8);
		v = register_value(in);
		memcpy(c->ram + offset + 16, &v, 8);
		v = register_value(in);
		memcpy(c->ram + offset + 24, &v, 8);
		return;
	default:
		if (what & 0x80)
			cbit_pci_reset(pci);
		else
			cbit_pci_set_irqs_enabled(pci, what >> 3 & 7, what >> 6);
		return;
	}
}

static void check_config(struct cbit_pci *pci)
{
	uint8_t whole[CBIT_PCI_CONFIG_SIZE], bytes[CBIT_PCI_CONFIG_SIZE];

	cbit_pci_config_read(pci, 0, whole, sizeof(whole));
	for (uint32_t i = 0; i < sizeof(bytes); i++)
		cbit_pci_config_read(pci, i, bytes + i, 1);
	FUZZ_CHECK(!memcmp(whole, bytes, sizeof(whole)));
	FUZZ_CHECK(whole[0] == 0x86 && whole[1] == 0x80);
}

/* Machines are expensive: one of each platform is kept, its device closed in between. */
static struct client *machine(bool sme)
{
	static struct client *kept[2];

	if (!kept[sme]) {
		kept[sme] = client_up(sme ? "sme" : "bare", "complete", NULL);
		client_plug(kept[sme], "ioat,membar=64K");
	}
	return kept[sme];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct client *c = machine(take8(&in) & 1);
	struct cbit_device_info dev;
	struct opened o;

	memset(c->ram, 0, 0x10000);
	FUZZ_CHECK(cbit_machine_device(c->machine, 0, &dev));
	o = client_start(c, UAPI_TYPE1v2_IOMMU);
	FUZZ_CHECK(!client_map(c, o.container, IOVA, RAM, 0x10000, MAP_RW));
	for (unsigned int i = 0; i < 300 && in.left; i++)
		step(c, dev.pci, &in);
	cbit_pci_reset(dev.pci);
	check_config(dev.pci);
	client_close(c, o.device);
	client_close(c, o.group);
	client_close(c, o.container);
	FUZZ_CHECK(!c->pinned && !c->owners);
	return 0;
}
