// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: starts 65535 copies of 1 MiB each and stays, to be killed in the middle of it.
 * Prints "starting" before and "started" after the register write that starts them.
 *
 * usage: client_longdma [fork]   (fork: a second process of the client stays as well)
 */
#include "vfio_client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct vc_device *d;
	struct vc c;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	d = &c.dev[0];
	vc_map(&c, vc_memory(VC_MAX_COPY, VC_PAGE, 0), 0x10000000, VC_MAX_COPY);
	vc_map(&c, vc_memory(VC_MAX_COPY, VC_PAGE, 0), 0x20000000, VC_MAX_COPY);
	vc_engine(&c, d, 0x1000000);
	if (argc > 1 && !strcmp(argv[1], "fork") && !fork())
		for (;;)
			pause();
	*d->desc = (struct ioat_desc){ .size = VC_MAX_COPY,
				       .source = 0x10000000,
				       .target = 0x20000000,
				       .next = d->desc_iova };
	printf("starting\n");
	fflush(stdout);
	vc_engine_start(d, 65535);
	printf("started\n");
	fflush(stdout);
	for (;;) {
		vc_engine_state(d);
		usleep(10000);
	}
}
