// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: a signal a millisecond (SIGALRM, without SA_RESTART) while mapping, unmapping,
 * reading config space and copying. Every call must be carried out exactly once: a call that is
 * carried out twice shows as EEXIST or as an unmap of nothing, a lost answer as EINTR.
 *
 * usage: client_timer [ROUNDS]
 */
#include "vfio_client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define COPY_SIZE (256u << 10)

static volatile sig_atomic_t ticks;

static void on_alarm(int number)
{
	(void)number;
	ticks++;
}

static void start_timer(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval every = { .it_interval.tv_usec = 1000, .it_value.tv_usec = 1000 };

	VC_REQUIRE(!sigaction(SIGALRM, &action, NULL), "sigaction");
	VC_REQUIRE(!setitimer(ITIMER_REAL, &every, NULL), "setitimer");
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 2000;
	uint8_t *source, *target, *page;
	struct vc_device *d;
	struct itimerval off;
	struct vc c;

	memset(&off, 0, sizeof(off));
	start_timer();
	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	d = &c.dev[0];
	source = vc_memory(COPY_SIZE, VC_PAGE, 0);
	target = vc_memory(COPY_SIZE, VC_PAGE, 0);
	page = vc_memory(4 * VC_PAGE, VC_PAGE, 0);
	vc_map(&c, source, 0x10000000, COPY_SIZE);
	vc_map(&c, target, 0x20000000, COPY_SIZE);
	vc_engine(&c, d, 0x1000000);

	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t iova = 0x40000000 + (uint64_t)(i % 64) * 0x10000;
		uint64_t size = VC_PAGE * (1 + i % 4), unmapped;
		int ret = vc_map_flags(&c, page, iova, size,
				       VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);

		errno = -ret;
		VC_REQUIRE(!ret, "round %u: MAP_DMA", i);
		ret = vc_map_flags(&c, page, iova, size, VFIO_DMA_MAP_FLAG_READ);
		errno = -ret;
		VC_REQUIRE(ret == -EEXIST, "round %u: a second MAP_DMA", i);
		ret = vc_unmap(&c, iova, size, &unmapped);
		errno = -ret;
		VC_REQUIRE(!ret && unmapped == size, "round %u: unmapped 0x%llx of 0x%llx", i,
			   (unsigned long long)unmapped, (unsigned long long)size);
		ret = vc_unmap(&c, iova, size, &unmapped);
		errno = -ret;
		VC_REQUIRE(!ret && !unmapped, "round %u: unmapping again gave 0x%llx", i,
			   (unsigned long long)unmapped);
		if (i % 20)
			continue;
		vc_fill(source, COPY_SIZE, i);
		VC_REQUIRE(vc_copy(d, 0x10000000, 0x20000000, COPY_SIZE) == IOAT_DONE,
			   "round %u: the copy", i);
		VC_REQUIRE(vc_filled(target, COPY_SIZE, i), "round %u: wrong bytes", i);
	}
	VC_REQUIRE(ticks > 0, "no signal came");
	setitimer(ITIMER_REAL, &off, NULL);
	vc_engine_end(&c, d);
	vc_unmap_exact(&c, 0x10000000, COPY_SIZE);
	vc_unmap_exact(&c, 0x20000000, COPY_SIZE);
	vc_close(&c);
	fprintf(stderr, "client: %ld signals meanwhile\n", (long)ticks);
	printf("%u rounds under a 1 kHz timer: all right\n", rounds);
	return 0;
}
