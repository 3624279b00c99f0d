// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: DMA that must not work.
 *
 * usage: client_faults CASE
 *   unmapped-source, unmapped-target   an IOVA that was never mapped
 *   stale                              an IOVA that was mapped, used and unmapped
 *   read-only                          a write to memory mapped with the read flag alone
 *   bus-master                         the device's bus master bit is clear
 * Exit status 0: the device was stopped and no byte was written; 1: bytes were written, or the
 * engine reported success; 2: the test could not be carried out.
 */
#include "vfio_client.h"

#include <stdio.h>
#include <string.h>

#define SOURCE  0x10000000ull
#define TARGET  0x20000000ull
#define NOWHERE 0x70000000ull

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";
	uint8_t *source, *target;
	enum ioat_state state;
	struct vc_device *d;
	bool engine = true;
	struct vc c;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	d = &c.dev[0];
	source = vc_memory(VC_PAGE, VC_PAGE, 0);
	target = vc_memory(VC_PAGE, VC_PAGE, 0);
	vc_fill(source, VC_PAGE, 1);
	vc_fill(target, VC_PAGE, 2);
	vc_map(&c, source, SOURCE, VC_PAGE);
	if (vc_map_flags(&c, target, TARGET, VC_PAGE,
			 strcmp(name, "read-only")
				 ? VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE
				 : VFIO_DMA_MAP_FLAG_READ))
		vc_die("MAP_DMA of the target");
	vc_engine(&c, d, 0x1000000);

	if (!strcmp(name, "unmapped-source")) {
		state = vc_copy(d, NOWHERE, TARGET, VC_PAGE);
	} else if (!strcmp(name, "unmapped-target")) {
		state = vc_copy(d, SOURCE, NOWHERE, VC_PAGE);
	} else if (!strcmp(name, "read-only")) {
		state = vc_copy(d, SOURCE, TARGET, VC_PAGE);
	} else if (!strcmp(name, "stale")) {
		vc_map(&c, target, NOWHERE, VC_PAGE);
		VC_REQUIRE(vc_copy(d, SOURCE, NOWHERE, VC_PAGE) == IOAT_DONE, "the good copy");
		VC_REQUIRE(vc_filled(target, VC_PAGE, 1), "the good copy brought wrong bytes");
		vc_fill(target, VC_PAGE, 2);
		vc_unmap_exact(&c, NOWHERE, VC_PAGE);
		state = vc_copy(d, SOURCE, NOWHERE, VC_PAGE);
	} else if (!strcmp(name, "bus-master")) {
		vc_bus_master(d, false);
		*d->desc = (struct ioat_desc){
			.size = VC_PAGE, .source = SOURCE, .target = TARGET, .next = d->desc_iova
		};
		vc_engine_start(d, 1);
		/* Without bus mastering the engine need not report anything. */
		state = IOAT_HALTED;
		for (int i = 0; i < 1000; i++)
			if (vc_engine_state(d) == IOAT_DONE)
				engine = false;
	} else {
		vc_die("unknown case '%s'", name);
	}
	printf("%s: the engine %s, the target is %s\n", name,
	       state == IOAT_HALTED && engine ? "stopped" : "went on",
	       vc_filled(target, VC_PAGE, 2) ? "untouched" : "written");
	if (state == IOAT_HALTED && strcmp(name, "bus-master") != 0)
		VC_REQUIRE(*(volatile uint32_t *)(d->bar0 + IOAT_CHANNEL + IOAT_CHANERR),
			   "CHANERR is 0 on a halted channel");
	if (state != IOAT_HALTED || !engine || !vc_filled(target, VC_PAGE, 2))
		return 1;
	vc_engine_end(&c, d);
	vc_unmap_exact(&c, SOURCE, VC_PAGE);
	vc_unmap_exact(&c, TARGET, VC_PAGE);
	vc_close(&c);
	return 0;
}
