/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client of bench/client.c: a VFIO program that knows nothing of cbit.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../tests/clients/vfio_client.h"
#include "bench.h"
#include "client.h"

#define PAGES_AT   0x4000000000ull
#define SHARED_AT  0x10000000ull
#define PRIVATE_AT 0x20000000ull
#define RING_AT    0x1000000ull
#define DONE_AT    (RING_AT + VC_PAGE)

#define IOAT_CHANCMP 0x18
#define CTL_COMPLETE 8u
#define RING         (VC_PAGE / sizeof(struct ioat_desc))

static struct vc client;
static volatile uint64_t *done_word;
static uint8_t *shared, *private;

static double no_struct(void)
{
	double t = bench_now();

	for (unsigned int i = 0; i < CLIENT_CALLS; i++)
		MUST(ioctl(client.container, VFIO_GET_API_VERSION) == VFIO_API_VERSION);
	return bench_now() - t;
}

static double get_info(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	double t = bench_now();

	for (unsigned int i = 0; i < CLIENT_CALLS; i++)
		MUST(!ioctl(client.dev[0].fd, VFIO_DEVICE_GET_INFO, &info));
	return bench_now() - t;
}

/* One page after another; which half counts is up to @unmap. */
static double map_dma(bool unmap)
{
	double t = bench_now(), mapped;

	for (unsigned int i = 0; i < CLIENT_CALLS; i++)
		vc_map(&client, private + i % 512 * VC_PAGE, PAGES_AT + i * VC_PAGE, VC_PAGE);
	mapped = bench_now();
	for (unsigned int i = 0; i < CLIENT_CALLS; i++)
		vc_unmap_exact(&client, PAGES_AT + i * VC_PAGE, VC_PAGE);
	return unmap ? bench_now() - mapped : mapped - t;
}

/* The device's copies, the last of which writes the completion word. */
static double copy(uint64_t at)
{
	struct vc_device *d = &client.dev[0];
	double t;

	for (unsigned int i = 0; i < CLIENT_BLOCKS; i++)
		d->desc[i] = (struct ioat_desc){
			.size = CLIENT_BLOCK,
			.control = i == CLIENT_BLOCKS - 1 ? CTL_COMPLETE : 0,
			.source = at + i * CLIENT_BLOCK,
			.target = at + CLIENT_HALF + i * CLIENT_BLOCK,
			.next = RING_AT + (i + 1) % RING * sizeof(struct ioat_desc),
		};
	*done_word = 0;
	vc_engine_reset(d);
	*(volatile uint64_t *)(d->bar0 + IOAT_CHANNEL + IOAT_CHANCMP) = DONE_AT;
	t = bench_now();
	vc_engine_start(d, CLIENT_BLOCKS);
	/* The core may be the worker's too. */
	while (!*done_word)
		usleep(50);
	return bench_now() - t;
}

static double reference(void)
{
	double t = bench_now();

	for (unsigned int i = 0; i < CLIENT_BLOCKS; i++) {
		memcpy(shared + CLIENT_HALF + i * CLIENT_BLOCK, shared + i * CLIENT_BLOCK,
		       CLIENT_BLOCK);
		bench_use((uint64_t)(uintptr_t)shared);
	}
	return bench_now() - t;
}

static void set_up(void)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	uint8_t *page;

	MUST(fd >= 0 && !ftruncate(fd, 2 * CLIENT_HALF));
	vc_open(&client, 0, 1, VFIO_TYPE1v2_IOMMU);
	shared = mmap(NULL, 2 * CLIENT_HALF, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(shared != MAP_FAILED);
	close(fd);
	private = vc_memory(2 * CLIENT_HALF, VC_PAGE, 0);
	page = vc_memory(VC_PAGE, VC_PAGE, 0);
	memset(shared, 1, 2 * CLIENT_HALF);
	memset(private, 2, 2 * CLIENT_HALF);
	done_word = (volatile uint64_t *)(void *)page;
	vc_map(&client, shared, SHARED_AT, 2 * CLIENT_HALF);
	vc_map(&client, private, PRIVATE_AT, 2 * CLIENT_HALF);
	vc_map(&client, page, DONE_AT, VC_PAGE);
	vc_engine(&client, &client.dev[0], RING_AT);
}

int main(void)
{
	char line[64];

	set_up();
	/* As a program that has run for a while: files are not looked for that it may have closed.
	 */
	usleep(1700000);
	while (fgets(line, sizeof(line), stdin)) {
		double ns;

		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "ioctl-no-struct"))
			ns = no_struct();
		else if (!strcmp(line, "ioctl-get-info"))
			ns = get_info();
		else if (!strcmp(line, "ioctl-map-dma"))
			ns = map_dma(false);
		else if (!strcmp(line, "ioctl-unmap-dma"))
			ns = map_dma(true);
		else if (!strcmp(line, "client-copy-shared-1m"))
			ns = copy(SHARED_AT);
		else if (!strcmp(line, "client-copy-private-1m"))
			ns = copy(PRIVATE_AT);
		else
			ns = reference();
		printf("%f\n", ns);
		fflush(stdout);
	}
	vc_engine_end(&client, &client.dev[0]);
	vc_unmap_exact(&client, SHARED_AT, 2 * CLIENT_HALF);
	vc_unmap_exact(&client, PRIVATE_AT, 2 * CLIENT_HALF);
	vc_unmap_exact(&client, DONE_AT, VC_PAGE);
	vc_close(&client);
	return 0;
}
