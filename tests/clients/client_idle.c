// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: has a device and memory mapped for it, and does nothing for five seconds. What its
 * parent, the supervisor, needs of a processor meanwhile must be less than one per cent.
 *
 * usage: client_idle [doorbell]
 *   doorbell   the BARs stay mapped, after a copy that woke the device's thread
 */
#include "vfio_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECONDS 5

int main(int argc, char **argv)
{
	bool doorbell = argc > 1 && !strcmp(argv[1], "doorbell");
	unsigned long limit = (unsigned long)sysconf(_SC_CLK_TCK) * SECONDS / 100, used;
	struct vc_device *d;
	struct vc c;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	d = &c.dev[0];
	vc_map(&c, vc_memory(VC_MAX_COPY, VC_PAGE, 0), 0x10000000, VC_MAX_COPY);
	vc_engine(&c, d, 0x1000000);
	if (doorbell) {
		for (int i = 0; i < 16; i++)
			VC_REQUIRE(vc_copy(d, 0x10000000, 0x10080000, 0x80000) == IOAT_DONE,
				   "copy");
	} else {
		munmap((void *)(uintptr_t)d->bar0, d->bar0_size);
	}
	usleep(500000);
	used = vc_supervisor_ticks();
	sleep(SECONDS);
	used = vc_supervisor_ticks() - used;
	printf("%lu ticks of %lu allowed\n", used, limit);
	if (used >= limit)
		return 1;
	if (doorbell)
		vc_engine_end(&c, d);
	else
		vc_unmap_exact(&c, 0x1000000, VC_PAGE);
	d->bar0 = doorbell ? d->bar0 : NULL;
	vc_unmap_exact(&c, 0x10000000, VC_MAX_COPY);
	vc_close(&c);
	return 0;
}
