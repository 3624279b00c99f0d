/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA from several threads against map, unmap, attach and destroy. Run it under TSan.
 */
#include <pthread.h>

#include "iommu_rig.h"

/* --- concurrency --- */

#define WINDOW 64 /* pages */
#define ROUNDS 3000

struct racer {
	struct rig *r;
	pthread_t thread;
	unsigned int seed;
	bool *stop;
	unsigned long ok, faults, wrong;
};

/* Reads whole pages: each holds one value, its page number, whichever mapping is in force. */
static void *race(void *opaque)
{
	struct racer *me = opaque;
	uint8_t buf[4096 * 4];
	unsigned int x = me->seed;

	while (!__atomic_load_n(me->stop, __ATOMIC_RELAXED)) {
		size_t done;

		x = x * 1103515245 + 12345;
		cbit_iommu_dma_read(me->r->iommu, DEV, CBIT_IOVA((x >> 8) % WINDOW * 4096), buf,
				    sizeof(buf), &done);
		for (size_t at = 0; at < done; at += 4096) {
			for (size_t i = 1; i < 4096; i++)
				me->wrong += buf[at + i] != buf[at];
			me->ok++;
		}
		me->faults += done < sizeof(buf);
	}
	return NULL;
}

static void test_concurrency(void **state)
{
	struct rig *r = rig_new(true);
	struct racer racers[3] = { 0 };
	bool stop = false;
	struct cbit_iommu_log_entry e;
	struct cbit_domain *other;

	(void)state;
	for (unsigned int i = 0; i < CLIENT_SIZE / 4096; i++)
		memset(r->client + i * 4096, (int)(i & 0x7f), 4096);
	for (unsigned int i = 0; i < 3; i++) {
		racers[i].r = r;
		racers[i].seed = i + 1;
		racers[i].stop = &stop;
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int at = round * 13 % (WINDOW - 8), pages = round % 8 + 1;
		uint64_t spa = CLIENT + (round * 29 % 512) * 4096, n;
		struct cbit_pt_leaf leaf;
		uint8_t byte;

		map(r, at * 4096, spa, pages * 4096, round % 5 ? ENC : CBIT_ATTR_ENCRYPTED);
		assert_int_equal(
			cbit_pt_walk(cbit_domain_pt(r->domain), CBIT_IOVA(at * 4096), &leaf), 0);
		cbit_domain_check(r->domain, CBIT_IOVA(0), WINDOW * 4096, NULL);
		assert_int_equal(
			cbit_domain_unmap(r->domain, CBIT_IOVA(at * 4096), pages * 4096, &n), 0);
		assert_int_equal(n, pages * 4096);
		assert_int_equal(dma_read(r, at * 4096, &byte, 1, NULL), CBIT_DMA_FAULT);
		if (round % 50 == 0) {
			assert_int_equal(cbit_domain_create(r->iommu, NULL, &other), 0);
			cbit_domain_attach(other, DEV);
			cbit_domain_destroy(other);
			cbit_domain_attach(r->domain, DEV);
		}
		if (round == ROUNDS / 2)
			map(r, 0xfffffffffffff000, CLIENT, 4096, ENC);
		while (!cbit_iommu_log_pop(r->iommu, &e))
			;
	}
	/* Writers never leave readers out for good. */
	map(r, 0, CLIENT, WINDOW * 4096, ENC);
	for (unsigned int calls = __atomic_load_n(&r->calls, __ATOMIC_RELAXED);
	     calls == __atomic_load_n(&r->calls, __ATOMIC_RELAXED);)
		;
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < 3; i++) {
		pthread_join(racers[i].thread, NULL);
		assert_int_equal(racers[i].wrong, 0);
	}
	rig_free(r);
}

/* Destroying a domain while devices fault in it and its owner is being asked. */
static void test_destroy_race(void **state)
{
	struct rig *r = rig_new(true);
	struct racer racer = { .r = r, .seed = 1 };
	bool stop = false;

	(void)state;
	racer.stop = &stop;
	assert_int_equal(pthread_create(&racer.thread, NULL, race, &racer), 0);
	for (unsigned int i = 0; i < 300; i++) {
		struct cbit_domain_owner owner = { .describe = describe };
		struct rig *copy = calloc(1, sizeof(*copy));
		struct cbit_domain *domain;

		owner.opaque = copy;
		assert_int_equal(cbit_domain_create(r->iommu, &owner, &domain), 0);
		cbit_domain_attach(domain, DEV);
		for (unsigned int k = 0;
		     k < 1000 && !__atomic_load_n(&copy->described, __ATOMIC_RELAXED); k++)
			;
		cbit_domain_destroy(domain);
		free(copy);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(racer.thread, NULL);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_concurrency),
		cmocka_unit_test(test_destroy_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
