/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random mappings, partial syncs, transfers and unmappings against a model: the buffer as the CPU
 * has it, a second copy of it while it is bounced, and a map of the slots in use.
 *
 * CBIT_SEED and CBIT_OPS replace the seed and the number of operations (100,000).
 */
#include "dma_rig.h"

#define BUF   (RAM + MIB(64))
#define ARENA (SEGMENT + 6 * P) /* of one mapping, with room on both sides */
#define LIVE  24
#define POOL  MIB(1)
#define SLOTS (POOL / SLOT)

/**
 * struct live - a mapping, or the place for one.
 * @cpu:  the arena as the CPU has it; @slots: the buffer as the device has it, if @bounced.
 */
struct live {
	bool mapped, bounced;
	uint64_t at; /* in the arena */
	uint64_t size;
	enum cbit_dma_dir dir;
	struct cbit_iova addr;
	uint64_t slot, nslots;
	uint8_t *cpu, *slots;
};

struct world {
	const char *name;
	struct setup setup;
	bool iommu, untrusted, tdisp;
	uint32_t min_align;
};

static const struct world worlds[] = {
	{ "sev, direct", { .policy = "linux-7.2", .guest = true, .confidential = true } },
	{ "sev, direct, nvme",
	  { .policy = "linux-6.17", .guest = true, .confidential = true },
	  .min_align = 4095 },
	{ "sev, direct, 64k",
	  { .policy = "complete", .guest = true, .confidential = true },
	  .min_align = 0xffff },
	{ "sme host, direct", { .policy = "linux-7.2" } },
	{ "sme host, iommu", { .policy = "complete" }, .iommu = true, .untrusted = true },
	{ "bare host, iommu, untrusted",
	  { .policy = "linux-7.2", .platform = "bare" },
	  .iommu = true,
	  .untrusted = true,
	  .min_align = 511 },
	{ "sev, iommu, complete",
	  { .policy = "complete", .guest = true, .confidential = true },
	  .iommu = true },
	{ "sev, iommu, complete, nvme",
	  { .policy = "complete", .guest = true, .confidential = true },
	  .iommu = true,
	  .min_align = 4095 },
	{ "sev, tdisp",
	  { .policy = "complete", .guest = true, .confidential = true },
	  .iommu = true,
	  .tdisp = true },
};

struct run {
	const struct world *w;
	struct kernel *k;
	struct cbit_dma_dev *dev;
	struct cbit_dma_stats pool;
	struct live live[LIVE];
	bool taken[SLOTS];
	uint64_t used;
	uint64_t x, seed, op;
	uint64_t full, mapped, bounced;
};

static uint64_t rnd(struct run *r, uint64_t n)
{
	r->x ^= r->x << 13;
	r->x ^= r->x >> 7;
	r->x ^= r->x << 17;
	return (r->x >> 11) % n;
}

#define FAIL(r, what)                                                                     \
	fail_msg("CBIT_SEED=%#llx operation %llu, %s: %s", (unsigned long long)(r)->seed, \
		 (unsigned long long)(r)->op, (r)->w->name, (what))

static uint64_t arena(const struct run *r, const struct live *m)
{
	return BUF + (uint64_t)(m - r->live) * ARENA;
}

/* Where the device's address is in memory. */
static uint64_t reached(struct run *r, struct cbit_iova addr)
{
	struct cbit_pt_leaf leaf;

	if (!r->w->iommu)
		return addr.v & ~C51;
	if (cbit_pt_walk(cbit_domain_pt(r->k->domain), addr, &leaf))
		FAIL(r, "not in the tables");
	return leaf.spa.v + addr.v % P % leaf.size;
}

/* What a buffer needs of the pool, by the rules of swiotlb_tbl_map_single(). */
static uint64_t needs(const struct run *r, uint64_t phys, uint64_t size, uint64_t *offset,
		      uint64_t *align)
{
	uint64_t block = r->w->iommu ? P : 1;

	*offset = phys & r->w->min_align & (r->w->iommu ? P - 1 : SLOT - 1);
	size = (size + *offset + block - 1) / block * block;
	*align = r->w->iommu || (!r->w->min_align && size >= P) ? P : SLOT;
	return (size + SLOT - 1) / SLOT;
}

static bool fits(const struct run *r, uint64_t slot, uint64_t n, uint64_t phys, uint64_t align)
{
	const uint64_t at = r->pool.pool.v + slot * SLOT;

	return slot / 128 == (slot + n - 1) / 128 && slot + n <= SLOTS && at % align == 0 &&
	       !((at ^ phys) & r->w->min_align & ~(align - 1)) && !memchr(r->taken + slot, 1, n);
}

static void do_map(struct run *r, struct live *m)
{
	static const enum cbit_dma_dir dirs[] = { BIDIR, TO, FROM };
	const bool large = !rnd(r, 16), whole = !rnd(r, 5);
	uint64_t phys, n, offset, align;
	struct cbit_policy_decision d;
	int err;

	m->size = 1 + rnd(r, large ? SEGMENT : rnd(r, 3) ? 6000 : 200);
	m->at = P + rnd(r, 2 * P);
	if (whole) {
		m->size = (m->size + P - 1) & ~(P - 1);
		m->at = P;
	}
	m->dir = dirs[rnd(r, 3)];
	phys = arena(r, m) + m->at;
	assert_int_equal(cbit_dma_decide(r->dev, CBIT_PHYS(phys), m->size, m->dir, 0, &d), 0);
	m->bounced = d.way == CBIT_DMA_WAY_BOUNCE;
	n = needs(r, phys, m->size, &offset, &align);
	err = cbit_dma_map_phys(r->dev, CBIT_PHYS(phys), m->size, m->dir, 0, &m->addr, NULL);
	if (err) {
		if (!m->bounced || (err == -EINVAL) != (n > 128) ||
		    (err != -EINVAL && err != -ENOSPC))
			FAIL(r, "refused");
		for (uint64_t s = 0; n <= 128 && s < SLOTS; s++)
			if (fits(r, s, n, phys, align))
				FAIL(r, "full, but there is room");
		r->full += err == -ENOSPC;
		return;
	}
	m->mapped = true;
	r->mapped++;
	if (!m->bounced) {
		if (reached(r, m->addr) != phys)
			FAIL(r, "elsewhere");
		return;
	}
	r->bounced++;
	m->nslots = n;
	m->slot = (reached(r, m->addr) - offset - r->pool.pool.v) / SLOT;
	if (m->slot >= SLOTS || !fits(r, m->slot, n, phys, align) ||
	    reached(r, m->addr) != r->pool.pool.v + m->slot * SLOT + offset)
		FAIL(r, "slots that were taken, or do not fit");
	memset(r->taken + m->slot, 1, n);
	r->used += n;
	memcpy(m->slots, m->cpu + m->at, m->size);
}

static void do_unmap(struct run *r, struct live *m)
{
	uint8_t *got = malloc(ARENA);

	if (cbit_dma_unmap_phys(r->dev, m->addr, m->size, m->dir, 0))
		FAIL(r, "unmap");
	if (m->bounced) {
		memset(r->taken + m->slot, 0, m->nslots);
		r->used -= m->nslots;
		if (m->dir != TO)
			memcpy(m->cpu + m->at, m->slots, m->size);
	}
	m->mapped = false;
	/* the buffer, and what is around it */
	assert_non_null(got);
	cpu_read(r->k, arena(r, m) + m->at - 64, got, m->size + 128);
	if (memcmp(got, m->cpu + m->at - 64, m->size + 128) != 0)
		FAIL(r, "memory differs after unmap");
	free(got);
}

/* One thing that CPU, device or driver do with a part of a mapping. */
static void do_transfer(struct run *r, struct live *m)
{
	const uint64_t at = rnd(r, m->size),
		       len = 1 + rnd(r, m->size - at < 5000 ? m->size - at : 5000);
	uint8_t *device = m->bounced ? m->slots : m->cpu + m->at, buf[5000];
	const struct cbit_iova addr = CBIT_IOVA(m->addr.v + at);

	switch (rnd(r, 5)) {
	case 0:
		pattern(buf, len, (unsigned int)rnd(r, 256));
		cpu_write(r->k, arena(r, m) + m->at + at, buf, len);
		memcpy(m->cpu + m->at + at, buf, len);
		break;
	case 1:
		if (m->dir == TO)
			break;
		pattern(buf, len, (unsigned int)rnd(r, 256));
		if (!dev_write(r->k, r->w->iommu, addr, buf, len))
			FAIL(r, "the device cannot write");
		memcpy(device + at, buf, len);
		break;
	case 2:
		if (m->dir == FROM)
			break;
		if (!dev_read(r->k, r->w->iommu, addr, buf, len))
			FAIL(r, "the device cannot read");
		if (memcmp(buf, device + at, len) != 0)
			FAIL(r, "the device reads something else");
		break;
	case 3:
		if (cbit_dma_sync_for_cpu(r->dev, addr, len, m->dir))
			FAIL(r, "sync for cpu");
		if (m->bounced && m->dir != TO)
			memcpy(m->cpu + m->at + at, m->slots + at, len);
		cpu_read(r->k, arena(r, m) + m->at + at, buf, len);
		if (memcmp(buf, m->cpu + m->at + at, len) != 0)
			FAIL(r, "the CPU reads something else");
		break;
	default:
		if (cbit_dma_sync_for_device(r->dev, addr, len, m->dir))
			FAIL(r, "sync for device");
		if (m->bounced && m->dir != FROM)
			memcpy(m->slots + at, m->cpu + m->at + at, len);
		break;
	}
}

static void run_world(struct run *r, uint64_t ops)
{
	struct setup s = r->w->setup;
	struct cbit_dma_dev_config cfg;

	s.swiotlb = POOL;
	r->k = kernel_up(&s);
	cfg = dev_config(r->k, r->w->iommu);
	cfg.untrusted = r->w->untrusted;
	cfg.tdisp_run = r->w->tdisp;
	cfg.min_align_mask = r->w->min_align;
	r->dev = dev_up(r->k, &cfg);
	cbit_dma_stats(r->k->dma, &r->pool);
	for (unsigned int i = 0; i < LIVE; i++) {
		r->live[i].mapped = false;
		pattern(r->live[i].cpu, ARENA, i);
		cpu_write(r->k, arena(r, &r->live[i]), r->live[i].cpu, ARENA);
	}
	for (uint64_t i = 0; i < ops; i++, r->op++) {
		struct live *m = &r->live[rnd(r, LIVE)];

		if (!m->mapped)
			do_map(r, m);
		else if (!rnd(r, 4))
			do_unmap(r, m);
		else
			do_transfer(r, m);
		if (slots_used(r->k) != r->used)
			FAIL(r, "count of slots");
	}
	for (unsigned int i = 0; i < LIVE; i++)
		if (r->live[i].mapped)
			do_unmap(r, &r->live[i]);
	cbit_dma_dev_destroy(r->dev);
	kernel_down(r->k);
}

static void test_random(void **state)
{
	enum { N = sizeof(worlds) / sizeof(worlds[0]) };
	const char *seed = getenv("CBIT_SEED"), *ops = getenv("CBIT_OPS");
	const uint64_t total = ops ? strtoull(ops, NULL, 0) : 100000;
	struct run *r = calloc(1, sizeof(*r));

	(void)state;
	assert_non_null(r);
	r->seed = seed ? strtoull(seed, NULL, 0) : 0x5eed0d3a;
	r->x = r->seed ? r->seed : 1;
	print_message("CBIT_SEED=%#llx CBIT_OPS=%llu\n", (unsigned long long)r->seed,
		      (unsigned long long)total);
	for (unsigned int i = 0; i < LIVE; i++) {
		r->live[i].cpu = malloc(ARENA);
		r->live[i].slots = malloc(ARENA);
		assert_true(r->live[i].cpu && r->live[i].slots);
	}
	for (unsigned int i = 0; i < N; i++) {
		r->w = &worlds[i];
		run_world(r, (total + N - 1) / N);
	}
	print_message("%llu mapped, %llu bounced, %llu times full\n", (unsigned long long)r->mapped,
		      (unsigned long long)r->bounced, (unsigned long long)r->full);
	if (total >= 100000)
		assert_true(r->full > 50 && r->bounced > 5000 && r->mapped > r->bounced + 500);
	for (unsigned int i = 0; i < LIVE; i++) {
		free(r->live[i].cpu);
		free(r->live[i].slots);
	}
	free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
