// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: eight threads make calls of every kind at once, all in one container: they map and
 * unmap buffers of their own, ask for information, read and write regions, trigger an interrupt,
 * open the device once more and close it, while one more thread copies with the device. What each
 * call brings is checked.
 *
 * usage: client_threads [ROUNDS]
 */
#include "vfio_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS   8
#define COPY_SIZE (64u << 10)

static struct vc client;
static atomic_bool stop;
static unsigned int rounds = 200;

static void check_info(int fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };

	VC_REQUIRE(!ioctl(fd, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
	VC_REQUIRE(info.num_regions == VFIO_PCI_NUM_REGIONS && info.num_irqs == VFIO_PCI_NUM_IRQS,
		   "GET_INFO tells of %u regions and %u interrupts", info.num_regions,
		   info.num_irqs);
	VC_REQUIRE(!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region), "GET_REGION_INFO");
	VC_REQUIRE(region.offset == client.dev[0].config, "config space has moved");
	VC_REQUIRE(ioctl(client.container, VFIO_GET_API_VERSION) == VFIO_API_VERSION, "version");
}

/* Registers of ours alone: eight bytes of the plain BAR, through read and write. */
static void check_bar(unsigned int me, uint64_t value)
{
	const struct vc_device *d = &client.dev[0];
	off_t at = (off_t)(d->bar2_offset + 64 * (uint64_t)me);
	uint64_t got = 0;

	VC_REQUIRE(pwrite(d->fd, &value, sizeof(value), at) == sizeof(value), "writing BAR2");
	VC_REQUIRE(pread(d->fd, &got, sizeof(got), at) == sizeof(got), "reading BAR2");
	VC_REQUIRE(got == value, "BAR2 has 0x%llx, not 0x%llx", (unsigned long long)got,
		   (unsigned long long)value);
}

/* For the vector that main() has set up. */
static void set_irqs(uint32_t flags, int eventfd_or_none)
{
	struct vfio_irq_set set = { .argsz = sizeof(set),
				    .flags = flags | VFIO_IRQ_SET_ACTION_TRIGGER,
				    .index = VFIO_PCI_MSIX_IRQ_INDEX,
				    .count = 1 };
	int32_t fd = eventfd_or_none;
	_Alignas(struct vfio_irq_set) uint8_t arg[sizeof(set) + sizeof(fd)];

	if (flags & VFIO_IRQ_SET_DATA_EVENTFD)
		set.argsz = sizeof(arg);
	memcpy(arg, &set, sizeof(set));
	memcpy(arg + sizeof(set), &fd, sizeof(fd));
	VC_REQUIRE(!ioctl(client.dev[0].fd, VFIO_DEVICE_SET_IRQS, arg), "SET_IRQS");
}

static void check_open(void)
{
	int fd = ioctl(client.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, client.dev[0].bdf);

	VC_REQUIRE(fd >= 0, "a second GET_DEVICE_FD");
	check_info(fd);
	VC_REQUIRE(!close(fd), "close");
}

static void *mapper(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg;
	uint64_t iova = 0x100000000ull * (me + 1);
	uint32_t id, first_id;

	vc_config_read(&client.dev[0], 0, &first_id, sizeof(first_id));
	for (unsigned int i = 0; i < rounds; i++) {
		size_t size = VC_PAGE << (i % 5);
		uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);

		VC_REQUIRE(p != MAP_FAILED, "mmap");
		p[0] = (uint8_t)me;
		vc_map(&client, p, iova + (uint64_t)i * 0x100000, size);
		vc_config_read(&client.dev[0], 0, &id, sizeof(id));
		VC_REQUIRE(id == first_id, "config space reads 0x%x, was 0x%x", id, first_id);
		check_info(client.dev[0].fd);
		check_bar(me, (uint64_t)me << 32 | i);
		set_irqs(VFIO_IRQ_SET_DATA_NONE, -1);
		if (i % 4 == me % 4)
			check_open();
		VC_REQUIRE(p[0] == (uint8_t)me, "thread %u's memory has changed", me);
		vc_unmap_exact(&client, iova + (uint64_t)i * 0x100000, size);
		munmap(p, size);
	}
	return NULL;
}

static void *copier(void *arg)
{
	struct vc_device *d = &client.dev[0];
	uint8_t *source = vc_memory(COPY_SIZE, VC_PAGE, 0);
	uint8_t *target = vc_memory(COPY_SIZE, VC_PAGE, 0);
	unsigned long copies = 0;

	vc_map(&client, source, 0x10000000, COPY_SIZE);
	vc_map(&client, target, 0x20000000, COPY_SIZE);
	do {
		vc_fill(source, COPY_SIZE, (unsigned int)copies);
		VC_REQUIRE(vc_copy(d, 0x10000000, 0x20000000, COPY_SIZE) == IOAT_DONE, "copy %lu",
			   copies);
		VC_REQUIRE(vc_filled(target, COPY_SIZE, (unsigned int)copies),
			   "copy %lu brought wrong bytes", copies);
		copies++;
	} while (!atomic_load(&stop));
	vc_unmap_exact(&client, 0x10000000, COPY_SIZE);
	vc_unmap_exact(&client, 0x20000000, COPY_SIZE);
	*(unsigned long *)arg = copies;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t mappers[THREADS], copy;
	unsigned long copies = 0;
	uint64_t interrupts = 0;
	int event = eventfd(0, EFD_CLOEXEC);

	if (argc > 1)
		rounds = (unsigned int)strtoul(argv[1], NULL, 0);
	vc_open(&client, 0, 1, VFIO_TYPE1v2_IOMMU);
	VC_REQUIRE(client.dev[0].bar2, "the device has no BAR2");
	vc_engine(&client, &client.dev[0], 0x1000000);
	set_irqs(VFIO_IRQ_SET_DATA_EVENTFD, event);
	VC_REQUIRE(!pthread_create(&copy, NULL, copier, &copies), "pthread_create");
	for (uintptr_t i = 0; i < THREADS; i++)
		VC_REQUIRE(!pthread_create(&mappers[i], NULL, mapper, (void *)i), "pthread_create");
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(mappers[i], NULL);
	atomic_store(&stop, true);
	pthread_join(copy, NULL);
	VC_REQUIRE(read(event, &interrupts, sizeof(interrupts)) == sizeof(interrupts) &&
			   interrupts == (uint64_t)THREADS * rounds,
		   "%llu interrupts arrived of %u", (unsigned long long)interrupts,
		   THREADS * rounds);
	vc_engine_end(&client, &client.dev[0]);
	vc_close(&client);
	fprintf(stderr, "client: %lu copies meanwhile\n", copies);
	printf("%d threads, %u rounds each: all right\n", THREADS, rounds);
	return 0;
}
