// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: eight threads map and unmap buffers of their own and read config space, all in
 * one container, while one more thread copies with the device and checks every byte.
 *
 * usage: client_threads [ROUNDS]
 */
#include "vfio_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define THREADS   8
#define COPY_SIZE (64u << 10)

static struct vc client;
static atomic_bool stop;
static unsigned int rounds = 200;

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

	if (argc > 1)
		rounds = (unsigned int)strtoul(argv[1], NULL, 0);
	vc_open(&client, 0, 1, VFIO_TYPE1v2_IOMMU);
	vc_engine(&client, &client.dev[0], 0x1000000);
	VC_REQUIRE(!pthread_create(&copy, NULL, copier, &copies), "pthread_create");
	for (uintptr_t i = 0; i < THREADS; i++)
		VC_REQUIRE(!pthread_create(&mappers[i], NULL, mapper, (void *)i), "pthread_create");
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(mappers[i], NULL);
	atomic_store(&stop, true);
	pthread_join(copy, NULL);
	vc_engine_end(&client, &client.dev[0]);
	vc_close(&client);
	fprintf(stderr, "client: %lu copies meanwhile\n", copies);
	printf("%d threads, %u rounds each: all right\n", THREADS, rounds);
	return 0;
}
