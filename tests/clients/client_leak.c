// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: ends with DMA mappings left.
 *
 * usage: client_leak [COUNT]     (default 1; _exit()s with everything open)
 */
#include "vfio_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 1;
	struct vc c;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	for (unsigned int i = 0; i < count; i++)
		vc_map(&c, vc_memory(VC_PAGE, VC_PAGE, 0), 0x10000000 + i * 0x10000ull, VC_PAGE);
	printf("leaving %u mappings\n", count);
	fflush(stdout);
	_exit(0);
}
