// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: calls whose place in this file has to be told.
 *
 * usage: client_trace [thread]
 * Unmaps nothing at two places in turn, and maps what it leaves behind at a third, the same
 * number of calls deep; with "thread" all that in a thread of its own. Prints "expect FUNCTION
 * LINE" for each. Built with and without frame pointers, optimized or not, static, and stripped.
 */
#include "vfio_client.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

/* No tail calls: a caller that has jumped away cannot be told. */
#define KEEP __asm__ volatile("" ::: "memory")

/* Room on the stack whose size only the run tells, so that a frame pointer is needed. */
static volatile unsigned int room = 64;
static volatile int rounds = 3; /* one place each, not three */

NOINLINE static void first_place(struct vc *c, int *line)
{
	uint64_t unmapped;

	*line = __LINE__ + 1;
	VC_REQUIRE(!vc_unmap(c, 0x1000000, VC_PAGE, &unmapped) && !unmapped, "unmapping nothing");
	KEEP;
}

NOINLINE static void second_place(struct vc *c, int *line)
{
	volatile char *p = __builtin_alloca(room);
	uint64_t unmapped;

	p[0] = 1;
	*line = __LINE__ + 1;
	VC_REQUIRE(!vc_unmap(c, 0x2000000, VC_PAGE, &unmapped) && !unmapped, "unmapping nothing");
	KEEP;
}

NOINLINE static void third_place(struct vc *c, int *line)
{
	void *p = vc_memory(VC_PAGE, VC_PAGE, 0);

	*line = __LINE__ + 1;
	vc_map(c, p, 0x3000000, VC_PAGE);
	KEEP;
}

NOINLINE static void *work(void *arg)
{
	int lines[3] = { 0 };

	for (int i = 0; i < rounds; i++) {
		first_place(arg, &lines[0]);
		second_place(arg, &lines[1]);
	}
	third_place(arg, &lines[2]);
	printf("expect first_place %d\nexpect second_place %d\nexpect third_place %d\n", lines[0],
	       lines[1], lines[2]);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	struct vc c;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	if (argc > 1 && !strcmp(argv[1], "thread")) {
		VC_REQUIRE(!pthread_create(&thread, NULL, work, &c), "a thread");
		pthread_join(thread, NULL);
	} else {
		work(&c);
		KEEP;
	}
	vc_close(&c);
	return 0;
}
