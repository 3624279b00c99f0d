/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device SPECs as a command line has them. What is refused has words and leaves nothing;
 * what is taken is a device with sound BARs.
 */
#include "fuzz.h"

#define CLIENT_CHECK(x) FUZZ_CHECK(x)
#include "../unit/client_rig.h"

/* BARs of up to 64 GiB are not worth having here. */
static void *bar_memory(void *opaque, uint16_t devid, unsigned int bar, uint64_t size)
{
	static uint8_t small[1 << 20] __attribute__((aligned(4096)));

	(void)opaque;
	(void)devid;
	(void)bar;
	return size <= sizeof(small) ? small : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cbit_machine_config config = { .policy = cbit_policy_preset("complete"),
					      .client = &client_ops,
					      .bar_memory = bar_memory };
	struct cbit_machine *machine;
	struct cbit_device_info dev;
	char *text, *spec, *save = NULL;
	unsigned int n = 0;

	FUZZ_CHECK(!cbit_platform_preset("bare", &config.platform));
	FUZZ_CHECK(!cbit_machine_create(&config, &machine, NULL));
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = 0;
	/* one line, one device: they compete for addresses and groups */
	for (spec = strtok_r(text, "\n", &save); spec; spec = strtok_r(NULL, "\n", &save)) {
		struct cbit_error err = { .code = 1 };
		int ret = cbit_machine_add_device(machine, spec, &err);

		FUZZ_CHECK(memchr(err.text, 0, sizeof(err.text)));
		FUZZ_CHECK(ret == 0 || (err.code == ret && err.text[0]));
		/* virtual functions come behind all of them */
		FUZZ_CHECK((cbit_machine_device(machine, n, &dev) && dev.pf == UINT32_MAX) == !ret);
		if (ret)
			continue;
		FUZZ_CHECK(dev.index == n && dev.group <= 65535);
		for (unsigned int i = 0; i < CBIT_PCI_BARS; i++) {
			const struct cbit_bar_info *bar = cbit_pci_bar(dev.pci, i);

			FUZZ_CHECK(!(bar->size & (bar->size - 1)));
			FUZZ_CHECK(!bar->size || !(bar->spa.v & (bar->size - 1)));
		}
		n++;
	}
	free(text);
	cbit_machine_destroy(machine);
	return 0;
}
