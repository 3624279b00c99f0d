/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client_hostile: the tables of hostile calls (tests/unit/hostile.h), made by a real program with
 * devices "ioat,membar=64K", "ioat,group=2" and "ioat,group=2,addr=0000:02:00.1". One TAP line a
 * table.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit/hostile_world.h"

static void hx_fatal(const char *what, long ret)
{
	printf("Bail out! %s: %ld\n", what, ret);
	exit(2);
}

static void region(uint64_t at, size_t len)
{
	/* An address by number: the tables are about addresses. */
	void *p = mmap((void *)(uintptr_t)at, len, PROT_READ | PROT_WRITE, // NOLINT
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		hx_fatal("mmap", errno);
}

static void hx_begin(void)
{
}

static void hx_end(void)
{
	for (int fd = FD_CONTAINER; fd < FD_END; fd++)
		close(fd);
}

static void hx_adopt(long fd, enum hx_fd as)
{
	if (fd < 0 || dup3((int)fd, (int)as, O_CLOEXEC) != (int)as)
		hx_fatal("a descriptor", fd < 0 ? fd : -errno);
	close((int)fd);
}

static void hx_open(enum hx_fd fd)
{
	static const char *const nodes[] = {
		[0] = "/dev/vfio/vfio",
		[FD_GROUP - FD_CONTAINER] = "/dev/vfio/1",
		[FD_IOMMUFD - FD_CONTAINER] = "/dev/iommu",
		[FD_CDEV - FD_CONTAINER] = "/dev/vfio/devices/vfio1",
		[FD_CDEV2 - FD_CONTAINER] = "/dev/vfio/devices/vfio2",
		[FD_PLAIN - FD_CONTAINER] = "/dev/null",
		[FD_CONTAINER2 - FD_CONTAINER] = "/dev/vfio/vfio",
		[FD_IOMMUFD2 - FD_CONTAINER] = "/dev/iommu",
	};

	int memory;

	if (fd == FD_MEMFD) {
		memory = memfd_create("hostile", MFD_CLOEXEC);
		if (memory < 0 || ftruncate(memory, 4 * HX_PAGE + 5))
			hx_fatal("memfd_create", -errno);
		hx_adopt(memory, fd);
		return;
	}
	if (fd == FD_EVENT || fd == FD_EVENT2)
		hx_adopt(eventfd(0, EFD_NONBLOCK), fd);
	else
		hx_adopt(open(nodes[fd - FD_CONTAINER], O_RDWR), fd);
}

static long hx_ioctl(int fd, uint32_t cmd, uint64_t arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static void hx_put(uint64_t at, const void *bytes, size_t len)
{
	void *page = (void *)(uintptr_t)HX_RO; // NOLINT

	if (at == HX_RO && mprotect(page, HX_PAGE, PROT_READ | PROT_WRITE))
		hx_fatal("mprotect", errno);
	memcpy((void *)(uintptr_t)at, bytes, len); // NOLINT
	if (at == HX_RO && mprotect(page, HX_PAGE, PROT_READ))
		hx_fatal("mprotect", errno);
}

static void hx_get(uint64_t at, void *bytes, size_t len)
{
	memcpy(bytes, (const void *)(uintptr_t)at, len); // NOLINT
}

static uint64_t hx_events(enum hx_fd fd)
{
	uint64_t count = 0;

	return read((int)fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void hx_held(int64_t out[2])
{
	out[0] = 0;
	out[1] = 0;
}

int main(void)
{
	static const struct hx_table *const tables[] = { &hx_container_table, &hx_type1_table,
							 &hx_device_table,    &hx_irq_table,
							 &hx_iommufd_table,   &hx_cdev_table,
							 &hx_dmabuf_table,    &hx_object_table };
	static const char *const names[] = { "containers and groups",
					     "type1",
					     "devices",
					     "interrupts",
					     "iommufd",
					     "device nodes",
					     "dma-bufs and files",
					     "objects of an iommufd" };
	bool failed = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	region(HX_RAM, HX_RAM_SIZE);
	region(HX_ARGS, HX_ARG_SIZE);
	region(HX_RO, HX_PAGE);
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		int bad = 0;

		for (size_t i = 0; i < tables[t]->count; i++)
			bad += hx_run(tables[t], &tables[t]->cases[i]);
		printf("%sok %zu - %zu hostile calls on %s\n", bad ? "not " : "", t + 1,
		       tables[t]->count, names[t]);
		failed |= bad != 0;
	}
	printf("1..%zu\n", sizeof(tables) / sizeof(tables[0]));
	return failed;
}
