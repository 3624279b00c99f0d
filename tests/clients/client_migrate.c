// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: a live migration. Device A works through a long chain in "guest memory" at fixed
 * IOVAs. Its DMA is logged, and dirty pages are copied to another memory, again and again; then it
 * is stopped in the middle of its chain, the rest is copied, its state goes by two descriptors to
 * device B, which has the other memory at the same IOVAs and ends the chain. All bytes must be
 * there.
 */
#include "vfio_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Linux 6.2; its data is one 64-bit number. */
#ifndef VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
#define VFIO_DEVICE_FEATURE_MIG_DATA_SIZE 9
#endif

#define IOVA   0x40000000ull
#define DESCS  3000u
#define BLOCK  4096u
#define LIST   0u /* offsets in the guest's memory */
#define SOURCE (DESCS * 64u / BLOCK * BLOCK + BLOCK)
#define TARGET (SOURCE + 64u * BLOCK)
#define SIZE   (TARGET + DESCS * BLOCK)
#define PAGES  (SIZE / BLOCK)

static long feature(const struct vc_device *d, uint32_t flags, void *data, size_t len)
{
	uint64_t buf[8];
	struct vfio_device_feature *f = (void *)buf;
	long ret;

	f->argsz = (uint32_t)(sizeof(*f) + len);
	f->flags = flags;
	memcpy(f->data, data, len);
	ret = ioctl(d->fd, VFIO_DEVICE_FEATURE, f) ? -errno : 0;
	memcpy(data, f->data, len);
	return ret;
}

static int set_state(const struct vc_device *d, uint32_t state)
{
	struct vfio_device_feature_mig_state mig = { .device_state = state };
	long ret = feature(d, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_SET, &mig,
			   sizeof(mig));

	errno = (int)-ret;
	VC_REQUIRE(!ret, "state %u", state);
	return mig.data_fd;
}

/* Copy what the device has written to since the last time; the number of pages. */
static unsigned int copy_dirty(const struct vc_device *d, const uint8_t *from, uint8_t *to)
{
	static uint64_t bitmap[(PAGES + 63) / 64];
	struct vfio_device_feature_dma_logging_report report = {
		.iova = IOVA, .length = SIZE, .page_size = BLOCK, .bitmap = (uintptr_t)bitmap
	};
	unsigned int n = 0;

	memset(bitmap, 0, sizeof(bitmap));
	VC_REQUIRE(!feature(d, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT | VFIO_DEVICE_FEATURE_GET,
			    &report, sizeof(report)),
		   "report");
	for (unsigned int i = 0; i < PAGES; i++) {
		if (!(bitmap[i / 64] >> (i % 64) & 1))
			continue;
		memcpy(to + (size_t)i * BLOCK, from + (size_t)i * BLOCK, BLOCK);
		n++;
	}
	return n;
}

static void make_guest(uint8_t *m)
{
	for (unsigned int i = 0; i < DESCS; i++) {
		const struct ioat_desc d = { .size = BLOCK,
					     .source = IOVA + SOURCE + i % 61 * BLOCK,
					     .target = IOVA + TARGET + (uint64_t)i * BLOCK,
					     .next = IOVA + LIST + 64ull * ((i + 1) % DESCS) };

		memcpy(m + LIST + (size_t)i * 64, &d, sizeof(d));
	}
	for (unsigned int i = 0; i < 61; i++)
		vc_fill(m + SOURCE + (size_t)i * BLOCK, BLOCK, i);
}

static unsigned int blocks_done(const uint8_t *m)
{
	unsigned int n = 0;

	while (n < DESCS && vc_filled(m + TARGET + (size_t)n * BLOCK, BLOCK, n % 61))
		n++;
	return n;
}

static void transfer(const struct vc_device *a, const struct vc_device *b)
{
	int out = set_state(a, VFIO_DEVICE_STATE_STOP_COPY);
	int in = set_state(b, VFIO_DEVICE_STATE_RESUMING);
	uint64_t size = 0, total = 0;
	uint8_t buf[11];
	ssize_t n;

	VC_REQUIRE(out >= 0 && in >= 0, "data_fd %d and %d", out, in);
	VC_REQUIRE(!feature(a, VFIO_DEVICE_FEATURE_MIG_DATA_SIZE | VFIO_DEVICE_FEATURE_GET, &size,
			    sizeof(size)),
		   "data size");
	/* in pieces of any length, as a stream */
	while ((n = read(out, buf, sizeof(buf))) > 0) {
		VC_REQUIRE(write(in, buf, (size_t)n) == n, "write to data_fd");
		total += (uint64_t)n;
	}
	VC_REQUIRE(!n && total == size, "%llu bytes of %llu", (unsigned long long)total,
		   (unsigned long long)size);
	close(out);
	close(in);
}

/* A's chain from its start, stopped somewhere and brought over to B; the blocks that were done
 * then. */
static unsigned int migrate(const struct vc_device *a, const struct vc_device *b, uint8_t *ram[2],
			    unsigned int *pages)
{
	unsigned int stopped;

	memset(ram[0] + TARGET, 0, SIZE - TARGET);
	memcpy(ram[1], ram[0], SIZE);
	*pages = 0;
	vc_engine_start(a, DESCS);
	for (unsigned int i = 0; i < 3; i++)
		*pages += copy_dirty(a, ram[0], ram[1]);
	transfer(a, b);
	stopped = blocks_done(ram[0]);
	*pages += copy_dirty(a, ram[0], ram[1]);
	VC_REQUIRE(*pages >= stopped, "%u pages were dirty, %u were written", *pages, stopped);
	VC_REQUIRE(blocks_done(ram[1]) == stopped, "%u blocks came over, %u were done",
		   blocks_done(ram[1]), stopped);
	return stopped;
}

/* Both as they were before. */
static void again(const struct vc_device *a, const struct vc_device *b)
{
	set_state(a, VFIO_DEVICE_STATE_RUNNING);
	set_state(b, VFIO_DEVICE_STATE_RUNNING);
	vc_engine_reset(a);
	vc_engine_reset(b);
}

int main(void)
{
	struct vfio_device_feature_dma_logging_range range = { .iova = IOVA, .length = SIZE };
	struct vfio_device_feature_dma_logging_control control = { .page_size = BLOCK,
								   .num_ranges = 1,
								   .ranges = (uintptr_t)&range };
	uint8_t *ram[2];
	struct vc c[2] = { 0 };
	struct vc_device *a = &c[0].dev[0], *b = &c[1].dev[0];
	unsigned int pages, stopped;

	for (unsigned int i = 0; i < 2; i++) {
		vc_open(&c[i], i, 1, VFIO_TYPE1v2_IOMMU);
		ram[i] = vc_memory(SIZE, VC_PAGE, 0);
		vc_map(&c[i], ram[i], IOVA, SIZE);
		vc_bus_master(&c[i].dev[0], true);
		vc_engine_reset(&c[i].dev[0]);
		c[i].dev[0].desc_iova = IOVA + LIST;
	}
	make_guest(ram[0]);
	VC_REQUIRE(!feature(a, VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET,
			    &control, sizeof(control)) &&
			   control.page_size == BLOCK,
		   "logging, page size %llu", (unsigned long long)control.page_size);
	stopped = migrate(a, b, ram, &pages);
	/* On a busy machine the chain may end, or not begin, before it is stopped. */
	for (unsigned int i = 0; i < 100 && (!stopped || stopped == DESCS); i++) {
		again(a, b);
		stopped = migrate(a, b, ram, &pages);
	}
	/* A stays stopped; B goes on with the memory that it has */
	set_state(b, VFIO_DEVICE_STATE_RUNNING);
	VC_REQUIRE(vc_engine_wait(b) == IOAT_DONE, "device B");
	VC_REQUIRE(blocks_done(ram[1]) == DESCS, "%u blocks of %u", blocks_done(ram[1]), DESCS);
	VC_REQUIRE(blocks_done(ram[0]) == stopped, "device A went on");
	printf("stopped after %u of %u blocks, %u dirty pages copied: all right\n", stopped, DESCS,
	       pages);
	for (unsigned int i = 0; i < 2; i++) {
		vc_engine_reset(&c[i].dev[0]);
		vc_unmap_exact(&c[i], IOVA, SIZE);
		vc_close(&c[i]);
	}
	return 0;
}
