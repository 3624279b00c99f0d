/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the IOMMU tests share: a machine with tables in sparse DRAM, client memory behind ops
 * and a BAR of plain memory.
 */
#ifndef CBIT_TEST_IOMMU_RIG_H
#define CBIT_TEST_IOMMU_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/iommu.h>

#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define C51    0x0008000000000000u

#define DRAM        GIB(1)
#define CLIENT      GIB(16)
#define CLIENT_SIZE MIB(4)
#define BAR         GIB(32)
#define BAR_SIZE    MIB(4)
#define DEV         0x0100
#define EVENTS      64

struct rig {
	struct cbit_platform platform;
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	uint8_t *client;
	uint8_t *bar;
	uint64_t client_hole; /* first byte of client memory that is gone */
	struct cbit_observer observer;
	unsigned int n;
	unsigned int described;
	unsigned int calls; /* of the client's ops read and write */
	bool lends;         /* its memory by pointers */
	unsigned int lent;  /* pointers */
	bool gathers;       /* moves many parts at once */
	unsigned int moves; /* so many times */
	struct cbit_event ev[EVENTS];
};

static inline int client_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	struct rig *r = opaque;

	__atomic_fetch_add(&r->calls, 1, __ATOMIC_RELAXED);
	if (offset + len > r->client_hole)
		return -EFAULT;
	memcpy(buf, r->client + offset, len);
	return 0;
}

static inline int client_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	struct rig *r = opaque;

	__atomic_fetch_add(&r->calls, 1, __ATOMIC_RELAXED);
	if (offset + len > r->client_hole)
		return -EFAULT;
	memcpy(r->client + offset, buf, len);
	return 0;
}

/* Lends everything up to the hole, or nothing at all. */
static inline void *client_hold(void *opaque, uint64_t offset, size_t *len, bool write,
				void **cookie)
{
	struct rig *r = opaque;

	(void)write;
	*cookie = NULL;
	if (!r->lends || offset >= r->client_hole)
		return NULL;
	if (*len > r->client_hole - offset)
		*len = r->client_hole - offset;
	r->lent++;
	return r->client + offset;
}

static inline int client_release(void *opaque, void *cookie)
{
	(void)opaque;
	(void)cookie;
	return 0;
}

/* All, or as far as the hole and then an error. */
static inline int client_move(void *opaque, const struct cbit_mem_part *parts, unsigned int nr,
			      void *buf, bool write)
{
	struct rig *r = opaque;
	uint8_t *p = buf;

	if (!r->gathers)
		return -EOPNOTSUPP;
	r->moves++;
	for (unsigned int i = 0; i < nr; p += parts[i++].len) {
		if (parts[i].offset + parts[i].len > r->client_hole)
			return -EFAULT;
		if (write)
			memcpy(r->client + parts[i].offset, p, parts[i].len);
		else
			memcpy(p, r->client + parts[i].offset, parts[i].len);
	}
	return 0;
}

static const struct cbit_mem_ops client_ops = {
	.read = client_read,
	.write = client_write,
	.hold = client_hold,
	.release = client_release,
	.move = client_move,
};

static inline void on_event(void *opaque, const struct cbit_event *ev)
{
	struct rig *r = opaque;
	unsigned int n = __atomic_fetch_add(&r->n, 1, __ATOMIC_RELAXED);

	if (n < EVENTS)
		r->ev[n] = *ev;
}

static inline bool describe(void *opaque, struct cbit_iova iova, struct cbit_mapping_info *out)
{
	struct rig *r = opaque;

	__atomic_fetch_add(&r->described, 1, __ATOMIC_RELAXED);
	*out = (struct cbit_mapping_info){ .id = 7, .iova = iova };
	return true;
}

static inline struct rig *rig_new(bool sme)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct cbit_mem_region_desc dram = { .kind = CBIT_MEM_DRAM,
					     .encrypts = true,
					     .base = CBIT_SPA(DRAM),
					     .size = MIB(512),
					     .name = "dram" };
	struct cbit_mem_region_desc client = { .kind = CBIT_MEM_DRAM,
					       .encrypts = true,
					       .base = CBIT_SPA(CLIENT),
					       .size = CLIENT_SIZE,
					       .name = "client",
					       .ops = &client_ops,
					       .resident = CBIT_KEY_HOST };
	struct cbit_mem_region_desc bar = { .kind = CBIT_MEM_MMIO,
					    .base = CBIT_SPA(BAR),
					    .size = BAR_SIZE,
					    .name = "0000:02:00.0 BAR2" };
	struct cbit_domain_owner owner = { .describe = describe, .opaque = r };

	assert_non_null(r);
	assert_int_equal(cbit_platform_preset(sme ? "sme" : "bare", &r->platform), 0);
	assert_int_equal(cbit_mem_create(&r->platform, &r->mem), 0);
	r->client = aligned_alloc(4096, CLIENT_SIZE);
	r->bar = aligned_alloc(4096, BAR_SIZE);
	assert_true(r->client && r->bar);
	memset(r->client, 0, CLIENT_SIZE);
	memset(r->bar, 0, BAR_SIZE);
	r->client_hole = CLIENT_SIZE;
	client.opaque = r;
	bar.direct = r->bar;
	assert_int_equal(cbit_mem_add_region(r->mem, &dram, NULL), 0);
	assert_int_equal(cbit_mem_add_region(r->mem, &client, NULL), 0);
	assert_int_equal(cbit_mem_add_region(r->mem, &bar, NULL), 0);
	r->observer = (struct cbit_observer){ .event = on_event, .opaque = r };
	assert_int_equal(cbit_iommu_create(r->mem, &r->observer, &r->iommu), 0);
	assert_ptr_equal(cbit_iommu_mem(r->iommu), r->mem);
	assert_int_equal(cbit_domain_create(r->iommu, &owner, &r->domain), 0);
	assert_int_equal(cbit_domain_attach(r->domain, DEV), 0);
	return r;
}

static inline void rig_free(struct rig *r)
{
	cbit_domain_destroy(r->domain);
	cbit_iommu_destroy(r->iommu);
	cbit_mem_destroy(r->mem);
	free(r->client);
	free(r->bar);
	free(r);
}

#define ENC   (CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED | CBIT_ATTR_CACHE)
#define PLAIN (CBIT_ATTR_RW | CBIT_ATTR_CACHE)

static inline void map(struct rig *r, uint64_t iova, uint64_t spa, uint64_t len, unsigned int attrs)
{
	assert_int_equal(cbit_domain_map(r->domain, CBIT_IOVA(iova), CBIT_SPA(spa), len, attrs), 0);
}

static inline enum cbit_dma_status dma_read(struct rig *r, uint64_t iova, void *buf, size_t len,
					    size_t *done)
{
	return cbit_iommu_dma_read(r->iommu, DEV, CBIT_IOVA(iova), buf, len, done);
}

static inline enum cbit_dma_status dma_write(struct rig *r, uint64_t iova, const void *buf,
					     size_t len, size_t *done)
{
	return cbit_iommu_dma_write(r->iommu, DEV, CBIT_IOVA(iova), buf, len, done);
}

static inline void expect_log(struct rig *r, uint32_t dw0, uint32_t dw1, uint64_t address)
{
	struct cbit_iommu_log_entry e;

	assert_int_equal(cbit_iommu_log_pop(r->iommu, &e), 0);
	assert_int_equal(e.dw[0], dw0);
	assert_int_equal(e.dw[1], dw1);
	assert_int_equal((uint64_t)e.dw[3] << 32 | e.dw[2], address);
}

static inline void expect_no_log(struct rig *r)
{
	struct cbit_iommu_log_entry e;

	assert_int_equal(cbit_iommu_log_pop(r->iommu, &e), -ENOENT);
}

static inline void fill(uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
}

static inline void assert_ones(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(p[i], 0xff);
}

#endif
