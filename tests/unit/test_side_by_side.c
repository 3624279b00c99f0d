/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Machines beside one another, in one thread and in several: nothing of one is seen in another.
 * Built against the tree, and by tests/suite/libcbit.sh against an installed libcbit: so it uses
 * the public headers alone.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/cbit.h>

#define DRAM   UINT64_C(0x10000000)
#define SIZE   UINT64_C(0x10000000)
#define DEVICE 0x0100
#define IOVA   UINT64_C(0x40000)
#define PAGES  8
#define ROUNDS 400

struct machine {
	struct cbit_platform platform;
	struct cbit_observer observer;
	unsigned int findings;
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	struct cbit_spa spa;
};

static void told(void *opaque, const struct cbit_event *ev)
{
	struct machine *m = opaque;

	if (cbit_report_id(ev))
		m->findings++;
}

/* 0, or the line that failed: cmocka's own checks are for its own thread. */
#define CHECK(what)                      \
	do {                             \
		if (!(what))             \
			return __LINE__; \
	} while (0)

static int start(struct machine *m, unsigned int c_bit, uint8_t key)
{
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = CBIT_SPA(DRAM), .size = SIZE
	};

	memset(m, 0, sizeof(*m));
	CHECK(!cbit_platform_preset("sme", &m->platform));
	m->platform.c_bit = c_bit;
	if (m->platform.pa_bits > c_bit)
		m->platform.pa_bits = c_bit;
	m->platform.host_key[0] = key;
	m->observer = (struct cbit_observer){ .event = told, .opaque = m };
	CHECK(!cbit_mem_create(&m->platform, &m->mem));
	CHECK(!cbit_mem_add_region(m->mem, &dram, NULL));
	CHECK(!cbit_iommu_create(m->mem, &m->observer, &m->iommu));
	CHECK(!cbit_domain_create(m->iommu, NULL, &m->domain));
	CHECK(!cbit_domain_attach(m->domain, DEVICE));
	CHECK(!cbit_mem_frames_alloc(m->mem, PAGES, CBIT_KEY_HOST, &m->spa));
	return 0;
}

static void stop(struct machine *m)
{
	cbit_domain_destroy(m->domain);
	cbit_iommu_destroy(m->iommu);
	cbit_mem_destroy(m->mem);
}

/* Map, DMA both ways, look at DRAM, unmap, DMA into the hole: all of it again and again. */
static int work(struct machine *m, unsigned int round)
{
	uint64_t in[8], back[8], raw[8];

	for (unsigned int i = 0; i < 8; i++)
		in[i] = round * UINT64_C(0x9e3779b97f4a7c15) + i + m->platform.c_bit;
	CHECK(!cbit_domain_map(m->domain, CBIT_IOVA(IOVA), m->spa, PAGES * CBIT_PAGE_SIZE,
			       CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED));
	CHECK(cbit_iommu_dma_write(m->iommu, DEVICE, CBIT_IOVA(IOVA + 0x1fe0), in, sizeof(in),
				   NULL) == CBIT_DMA_OK);
	CHECK(cbit_mem_read(m->mem, cbit_mem_bus(m->mem, CBIT_SPA(m->spa.v + 0x1fe0), true), back,
			    sizeof(back)) == CBIT_MEM_OK);
	CHECK(!memcmp(in, back, sizeof(in)));
	CHECK(!cbit_mem_raw(m->mem, CBIT_SPA(m->spa.v + 0x1fe0), raw, sizeof(raw)));
	CHECK(memcmp(in, raw, sizeof(in)));
	CHECK(!cbit_domain_unmap(m->domain, CBIT_IOVA(IOVA), PAGES * CBIT_PAGE_SIZE, NULL));
	CHECK(cbit_iommu_dma_read(m->iommu, DEVICE, CBIT_IOVA(IOVA), back, sizeof(back), NULL) ==
	      CBIT_DMA_FAULT);
	CHECK(m->findings == round + 1);
	return 0;
}

/* What DRAM holds in the end: a machine alone and one among others come to the same. */
static int digest(struct machine *m, uint8_t out[64])
{
	CHECK(!cbit_mem_raw(m->mem, CBIT_SPA(m->spa.v + 0x1fe0), out, 64));
	return 0;
}

struct job {
	unsigned int c_bit;
	uint8_t key;
	uint8_t dram[64];
	int failed;
};

static void *alone(void *opaque)
{
	struct job *job = opaque;
	struct machine m;

	job->failed = start(&m, job->c_bit, job->key);
	for (unsigned int i = 0; i < ROUNDS && !job->failed; i++)
		job->failed = work(&m, i);
	if (!job->failed)
		job->failed = digest(&m, job->dram);
	stop(&m);
	return NULL;
}

static void in_one_thread(void **state)
{
	struct job one = { .c_bit = 51, .key = 1 }, two = { .c_bit = 47, .key = 2 };
	struct machine a, b;
	uint8_t dram[64];

	(void)state;
	alone(&one);
	alone(&two);
	assert_int_equal(one.failed, 0);
	assert_int_equal(two.failed, 0);
	assert_memory_not_equal(one.dram, two.dram, 64);

	assert_int_equal(start(&a, 51, 1), 0);
	assert_int_equal(start(&b, 47, 2), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		assert_int_equal(work(&a, i), 0);
		assert_int_equal(work(&b, i), 0);
	}
	assert_int_equal(digest(&a, dram), 0);
	assert_memory_equal(dram, one.dram, 64);
	assert_int_equal(digest(&b, dram), 0);
	assert_memory_equal(dram, two.dram, 64);
	/* One goes, the other stays as it was. */
	stop(&a);
	assert_int_equal(work(&b, ROUNDS), 0);
	stop(&b);
}

static void in_two_threads(void **state)
{
	struct job ref = { .c_bit = 51, .key = 1 }, job[2] = { ref, { .c_bit = 47, .key = 2 } };
	pthread_t thread[2];

	(void)state;
	alone(&ref);
	assert_int_equal(ref.failed, 0);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, alone, &job[i]), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(job[i].failed, 0);
	}
	assert_memory_equal(job[0].dram, ref.dram, 64);
	assert_memory_not_equal(job[0].dram, job[1].dram, 64);
}

/* The top of the library: the matrix in two threads is the matrix in one. */
static void *matrix(void *opaque)
{
	char **out = opaque;

	if (cbit_matrix_render("sev-guest", cbit_policy_preset("linux-7.2"), CBIT_MATRIX_CSV, out,
			       NULL, NULL))
		*out = NULL;
	return NULL;
}

static void matrices(void **state)
{
	char *text[3] = { NULL };
	pthread_t thread[2];

	(void)state;
	matrix(&text[0]);
	assert_non_null(text[0]);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, matrix, &text[i + 1]), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_non_null(text[i + 1]);
		assert_string_equal(text[0], text[i + 1]);
		free(text[i + 1]);
	}
	assert_true(strlen(text[0]) > 1000);
	free(text[0]);
}

static void versions(void **state)
{
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d.%d.%d", CBIT_VERSION_MAJOR, CBIT_VERSION_MINOR,
		 CBIT_VERSION_PATCH);
	assert_string_equal(cbit_version(), text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_one_thread),
		cmocka_unit_test(in_two_threads),
		cmocka_unit_test(matrices),
		cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
