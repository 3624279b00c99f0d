/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SWIOTLB: how large the pool is and what it is made of, where slots are taken, what is copied
 * when, and what a device gets to see next to its buffer.
 */
#include "dma_rig.h"

#define BUF (RAM + MIB(128))

static struct kernel *conf_up(const char *policy, uint64_t swiotlb)
{
	struct setup s = {
		.policy = policy, .guest = true, .confidential = true, .swiotlb = swiotlb
	};

	return kernel_up(&s);
}

static struct cbit_iova map(struct cbit_dma_dev *dev, uint64_t phys, size_t size,
			    enum cbit_dma_dir dir)
{
	struct cbit_error err = { .text = "" };
	struct cbit_iova addr = { 0 };

	if (cbit_dma_map_phys(dev, CBIT_PHYS(phys), size, dir, 0, &addr, &err))
		fail_msg("%s", err.text);
	return addr;
}

static void unmap(struct cbit_dma_dev *dev, struct cbit_iova addr, size_t size,
		  enum cbit_dma_dir dir)
{
	assert_int_equal(cbit_dma_unmap_phys(dev, addr, size, dir, 0), 0);
}

static void test_pool_size(void **state)
{
	static const struct {
		bool confidential;
		uint64_t ram, swiotlb, expect;
	} cases[] = {
		{ false, GIB(64), 0, MIB(64) },
		{ true, MIB(512), 0, MIB(64) },
		{ true, GIB(1), 0, MIB(64) },
		{ true, GIB(2), 0, MIB(128) }, /* 122.9 MiB, then a power of two */
		{ true, GIB(4), 0, MIB(256) }, /* 245.8 MiB */
		{ true, GIB(16), 0, GIB(1) },  /* 983.0 MiB */
		{ true, GIB(64), 0, GIB(1) },
		{ false, 0, 1, SEGMENT },
		{ false, 0, SEGMENT, SEGMENT },
		{ false, 0, SEGMENT + 1, 2 * SEGMENT },
		{ false, 0, 5 * SEGMENT, 8 * SEGMENT },
		{ true, GIB(4), MIB(2), MIB(2) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setup s = { .guest = cases[i].confidential,
				   .confidential = cases[i].confidential,
				   .ram = cases[i].ram,
				   .swiotlb = cases[i].swiotlb,
				   .zeroed = MIB(1),
				   .ram_size = cases[i].expect > MIB(128) ? RAM_MOST : 0 };
		struct kernel *k = kernel_up(&s);
		struct cbit_dma_stats stats;

		cbit_dma_stats(k->dma, &stats);
		assert_int_equal(stats.pool_size, cases[i].expect);
		assert_int_equal(stats.slots, cases[i].expect / SLOT);
		assert_int_equal(stats.pool.v % P, 0);
		kernel_down(k);
	}
}

/* Where the kernel has less memory than the pool wants, it takes half, and half again. */
static void test_pool_halved(void **state)
{
	struct setup s = { .guest = true, .confidential = true, .swiotlb = MIB(1) };
	struct kernel *k = kernel_up(&s);
	struct cbit_dma_stats stats;
	struct cbit_phys hole;

	(void)state;
	cbit_dma_destroy(k->dma);
	assert_int_equal(kernel_alloc(k, RAM_SIZE - MIB(6), P, MASK32, &hole), 0);
	s.swiotlb = MIB(64);
	assert_int_equal(kernel_dma_up(k, &s), 0);
	cbit_dma_stats(k->dma, &stats);
	assert_int_equal(stats.pool_size, MIB(4));
	cbit_dma_destroy(k->dma);
	/* no less than 1 MiB */
	memset(k->taken, 1, RAM_SIZE / P);
	assert_int_equal(kernel_dma_up(k, &s), -ENOMEM);
	memset(k->taken, 0, 255);
	assert_int_equal(kernel_dma_up(k, &s), -ENOMEM);
	memset(k->taken, 0, 256);
	assert_int_equal(kernel_dma_up(k, &s), 0);
	memset(k->taken + 256, 0, RAM_SIZE / P - 256);
	kernel_down(k);
}

/* The pool is made shared or plain once, where there is a C-bit, and goes back as it was. */
static void test_pool_state(void **state)
{
	static const struct {
		struct setup s;
		bool decrypted;
	} cases[] = {
		{ { .platform = "sme" }, true },
		{ { .platform = "tsme" }, false },
		{ { .platform = "bare" }, false },
		{ { .platform = "sme", .guest = true }, false },
		{ { .platform = "sme", .guest = true, .confidential = true }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct setup s = cases[i].s;
		struct cbit_dma_stats stats;
		struct kernel *k;

		s.swiotlb = MIB(1);
		k = kernel_up(&s);
		cbit_dma_stats(k->dma, &stats);
		assert_int_equal(k->decrypts, cases[i].decrypted);
		assert_int_equal(kernel_pages(k, stats.pool, stats.pool_size),
				 cases[i].decrypted ? CBIT_DMA_PAGES_PLAIN : CBIT_DMA_PAGES_C);
		assert_true(stats.pool.v + stats.pool_size - 1 <= MASK32);
		cbit_dma_destroy(k->dma);
		assert_int_equal(k->decrypts, 2 * cases[i].decrypted);
		/* not made shared: no pool, and nothing is lost */
		k->fail_decrypt = cases[i].decrypted ? -EIO : 0;
		assert_int_equal(kernel_dma_up(k, &s), cases[i].decrypted ? -EIO : 0);
		assert_int_equal(k->fail_decrypt, 0);
		if (cases[i].decrypted)
			assert_int_equal(kernel_dma_up(k, &s), 0);
		kernel_down(k);
	}
}

static void test_alignment(void **state)
{
	static const struct {
		bool iommu;
		uint32_t min_align_mask;
		uint64_t offset;
		size_t size;
		uint64_t mask, expect; /* address & mask; slots in use behind >> 32 */
		uint64_t slots;
	} cases[] = {
		/* no demand: any slot; from a page on, a page */
		{ false, 0, 100, 100, SLOT - 1, 0, 1 },
		{ false, 0, 100, SLOT, SLOT - 1, 0, 1 },
		{ false, 0, 100, SLOT + 1, SLOT - 1, 0, 2 },
		{ false, 0, 100, P, P - 1, 0, 2 },
		{ false, 0, 100, SEGMENT, P - 1, 0, 128 },
		/* NVMe keeps the offset in its page */
		{ false, P - 1, 100, 100, P - 1, 100, 1 },
		{ false, P - 1, 3000, 100, P - 1, 3000, 1 },
		{ false, P - 1, 2000, 100, P - 1, 2000, 2 },
		{ false, P - 1, 4095, SLOT, P - 1, 4095, 2 },
		{ false, 511, 1000, 100, SLOT - 1, 488, 1 },
		{ false, 0xffff, 0x9321, 5000, 0xffff, 0x9321, 3 },
		/* behind an IOMMU the slots are whole pages */
		{ true, 0, 100, 100, P - 1, 0, 2 },
		{ true, 0, 100, P + 1, P - 1, 0, 4 },
		{ true, P - 1, 100, 100, P - 1, 100, 2 },
		{ true, P - 1, 3000, 100, P - 1, 3000, 2 },
		{ true, P - 1, 3000, 2000, P - 1, 3000, 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kernel *k = conf_up("complete", MIB(1));
		struct cbit_dma_dev_config cfg = dev_config(k, false);
		struct cbit_dma_dev *one, *dev;
		struct cbit_iova first, addr;

		/* one slot in use, so that nothing is aligned by chance */
		one = dev_up(k, &cfg);
		first = map(one, BUF, 1, BIDIR);
		cfg = dev_config(k, cases[i].iommu);
		cfg.min_align_mask = cases[i].min_align_mask;
		dev = dev_up(k, &cfg);
		const uint64_t before = slots_used(k);

		addr = map(dev, BUF + cases[i].offset, cases[i].size, BIDIR);
		if ((addr.v & cases[i].mask) != cases[i].expect ||
		    slots_used(k) - before != cases[i].slots)
			fail_msg("case %zu: address %lx, %lu slots", i, (unsigned long)addr.v,
				 (unsigned long)(slots_used(k) - before));
		unmap(dev, addr, cases[i].size, BIDIR);
		assert_int_equal(slots_used(k), before);
		unmap(one, first, 1, BIDIR);
		cbit_dma_dev_destroy(dev);
		cbit_dma_dev_destroy(one);
		kernel_down(k);
	}
}

static void test_config(void **state)
{
	static const struct {
		bool iommu;
		uint32_t mask;
		int expect;
	} cases[] = {
		{ false, 4095, 0 }, { false, 4096, -EINVAL }, { false, 0xffff, 0 },
		{ true, 4095, 0 },  { true, 8191, -EINVAL },  { false, 0x1ffff, -EINVAL },
		{ true, 1, 0 },     { true, 2, -EINVAL },     { false, UINT32_MAX, -EINVAL },
	};
	struct kernel *k = conf_up("linux-7.2", MIB(1));

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_dma_dev_config cfg = dev_config(k, cases[i].iommu);
		struct cbit_dma_dev *dev = NULL;

		cfg.min_align_mask = cases[i].mask;
		assert_int_equal(cbit_dma_dev_create(k->dma, &cfg, &dev), cases[i].expect);
		cbit_dma_dev_destroy(dev);
	}
	kernel_down(k);
}

/* Too long, too many, and room again as soon as one goes. */
static void test_exhaustion(void **state)
{
	enum { SLOTS = 512 };
	struct kernel *k = conf_up("linux-7.2", MIB(1));
	struct cbit_dma_dev_config cfg = dev_config(k, false);
	struct cbit_dma_dev *dev = dev_up(k, &cfg);
	struct cbit_iova addr[SLOTS], other;
	struct cbit_dma_stats stats;
	struct cbit_error err;

	(void)state;
	assert_int_equal(
		cbit_dma_map_phys(dev, CBIT_PHYS(BUF), SEGMENT + 1, BIDIR, 0, &other, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "segment"));
	for (unsigned int i = 0; i < SLOTS; i++) {
		addr[i] = map(dev, BUF + i, 1, TO);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(addr[i].v, addr[j].v);
	}
	assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 1, BIDIR, 0, &other, &err),
			 -ENOSPC);
	assert_non_null(strstr(err.text, "full"));
	cbit_dma_stats(k->dma, &stats);
	assert_int_equal(stats.used, SLOTS);
	assert_int_equal(stats.used_most, SLOTS);
	assert_int_equal(stats.bounces, SLOTS);
	/* every second: half of the pool is free, and no two slots in a row */
	for (unsigned int i = 0; i < SLOTS; i += 2)
		unmap(dev, addr[i], 1, TO);
	assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), SLOT + 1, BIDIR, 0, &other, NULL),
			 -ENOSPC);
	/* a search that failed must not hide what there is */
	for (unsigned int i = 0; i < SLOTS; i += 2)
		addr[i] = map(dev, BUF + i, 1, TO);
	assert_int_equal(slots_used(k), SLOTS);
	for (unsigned int i = 0; i < SLOTS; i += 2)
		unmap(dev, addr[i], 1, TO);
	for (unsigned int i = 0; i < SLOTS; i += 2)
		addr[i] = CBIT_IOVA(addr[i | 1].v - SLOT);
	unmap(dev, addr[101], 1, TO);
	other = map(dev, BUF, 3 * SLOT, TO); /* slots 100 to 102 */
	assert_int_equal(other.v, addr[100].v);
	/* a run over two segments is none: 127 and 128 are free, 255 and 256 */
	unmap(dev, addr[127], 1, TO);
	assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 4 * SLOT, BIDIR, 0, &other, NULL),
			 -ENOSPC);
	cbit_dma_stats(k->dma, &stats);
	assert_int_equal(stats.used, 256 - 2 + 3);
	assert_int_equal(stats.used_most, SLOTS);
	/* what is left goes with the device */
	cbit_dma_dev_destroy(dev);
	kernel_down(k);
}

/* Devices share the pool and not each other's slots. */
static void test_owners(void **state)
{
	struct kernel *k = conf_up("linux-7.2", MIB(1));
	struct cbit_dma_dev_config cfg = dev_config(k, false);
	struct cbit_dma_dev *a = dev_up(k, &cfg), *b = dev_up(k, &cfg);
	struct cbit_iova x = map(a, BUF, 100, BIDIR), y = map(b, BUF + P, 3 * SLOT, BIDIR);

	(void)state;
	assert_int_equal(cbit_dma_unmap_phys(b, x, 100, BIDIR, 0), -ENOENT);
	assert_int_equal(cbit_dma_sync_for_cpu(a, y, 1, BIDIR), -ENOENT);
	assert_int_equal(cbit_dma_unmap_phys(a, x, 99, BIDIR, 0), -EINVAL);
	assert_int_equal(cbit_dma_unmap_phys(a, CBIT_IOVA(x.v + 1), 100, BIDIR, 0), -ENOENT);
	assert_int_equal(cbit_dma_unmap_phys(b, CBIT_IOVA(y.v + SLOT), 3 * SLOT, BIDIR, 0),
			 -ENOENT);
	cbit_dma_dev_destroy(b);
	assert_int_equal(slots_used(k), 1);
	unmap(a, x, 100, BIDIR);
	assert_int_equal(cbit_dma_unmap_phys(a, x, 100, BIDIR, 0), -ENOENT);
	assert_int_equal(cbit_dma_sync_for_device(a, x, 100, BIDIR), -ENOENT);
	cbit_dma_dev_destroy(a);
	kernel_down(k);
}

/* Which copy is made by which call, for each direction; parts of a mapping too. */
static void test_sync(void **state)
{
	static const enum cbit_dma_dir dirs[] = { BIDIR, TO, FROM };
	enum { SIZE = 3 * 2048 + 700, AT = 2000, LEN = 2500 };

	(void)state;
	for (unsigned int i = 0; i < 12; i++) {
		const enum cbit_dma_dir dir = dirs[i % 3];
		const bool iommu = i / 3 % 2, keep = i / 6;
		const uint64_t phys = BUF + 1234;
		struct kernel *k = conf_up("complete", MIB(1));
		struct cbit_dma_dev_config cfg = dev_config(k, iommu);
		uint8_t first[SIZE], cpu[SIZE], device[SIZE], got[SIZE];
		struct cbit_dma_dev *dev;
		struct cbit_iova addr;

		cfg.min_align_mask = keep ? (uint32_t)P - 1 : 0;
		dev = dev_up(k, &cfg);
		pattern(first, SIZE, 1);
		pattern(cpu, SIZE, 2);
		pattern(device, SIZE, 3);
		cpu_write(k, phys, first, SIZE);
		addr = map(dev, phys, SIZE, dir);
		/* the slots begin as the buffer, whatever the direction */
		if (dir != FROM || !iommu) {
			assert_true(dev_read(k, iommu, addr, got, SIZE));
			assert_memory_equal(got, first, SIZE);
		}
		/* CPU writes: seen by the device after a sync of that part, and only that */
		cpu_write(k, phys, cpu, SIZE);
		assert_int_equal(cbit_dma_sync_for_device(dev, CBIT_IOVA(addr.v + AT), LEN, dir),
				 0);
		if (dir != FROM || !iommu) {
			assert_true(dev_read(k, iommu, addr, got, SIZE));
			assert_memory_equal(got, first, AT);
			assert_memory_equal(got + AT, dir == FROM ? first + AT : cpu + AT, LEN);
			assert_memory_equal(got + AT + LEN, first + AT + LEN, SIZE - AT - LEN);
		}
		/* the device writes a part */
		if (dir != TO || !iommu) {
			assert_true(dev_write(k, iommu, CBIT_IOVA(addr.v + AT), device + AT, LEN));
			assert_int_equal(cbit_dma_sync_for_cpu(dev, CBIT_IOVA(addr.v + AT + 5),
							       LEN - 10, dir),
					 0);
			cpu_read(k, phys, got, SIZE);
			assert_memory_equal(got, cpu, AT + 5);
			assert_memory_equal(got + AT + 5, (dir == TO ? cpu : device) + AT + 5,
					    LEN - 10);
			assert_memory_equal(got + AT + LEN - 5, cpu + AT + LEN - 5,
					    SIZE - AT - LEN + 5);
		}
		/* beyond the mapping */
		assert_int_equal(
			cbit_dma_sync_for_cpu(dev, CBIT_IOVA(addr.v + AT), SIZE - AT + 1, dir),
			-EINVAL);
		assert_int_equal(cbit_dma_sync_for_device(dev, addr, SIZE + 1, dir), -EINVAL);
		unmap(dev, addr, SIZE, dir);
		cpu_read(k, phys, got, SIZE);
		assert_memory_equal(got + AT, (dir == TO ? cpu : device) + AT,
				    iommu && dir == TO ? 0 : LEN);
		cbit_dma_dev_destroy(dev);
		kernel_down(k);
	}
}

/* DMA_ATTR_SKIP_CPU_SYNC: unmapping copies nothing; mapping copies all the same. */
static void test_skip_sync(void **state)
{
	struct kernel *k = conf_up("linux-7.2", MIB(1));
	struct cbit_dma_dev_config cfg = dev_config(k, false);
	struct cbit_dma_dev *dev = dev_up(k, &cfg);
	uint8_t one[64], two[64], got[64];
	struct cbit_iova addr;

	(void)state;
	pattern(one, 64, 1);
	pattern(two, 64, 2);
	cpu_write(k, BUF, one, 64);
	assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 64, FROM,
					   CBIT_DMA_ATTR_SKIP_CPU_SYNC, &addr, NULL),
			 0);
	assert_true(dev_read(k, false, addr, got, 64));
	assert_memory_equal(got, one, 64);
	assert_true(dev_write(k, false, addr, two, 64));
	assert_int_equal(cbit_dma_unmap_phys(dev, addr, 64, FROM, CBIT_DMA_ATTR_SKIP_CPU_SYNC), 0);
	cpu_read(k, BUF, got, 64);
	assert_memory_equal(got, one, 64);
	cbit_dma_dev_destroy(dev);
	kernel_down(k);
}

/* What the device sees in the pages of its mapping, when others used those slots before. */
static void test_neighbours(void **state)
{
	enum { SIZE = 5000, OLD = 64 }; /* all slots of the pool */
	static const struct {
		const char *policy;
		bool untrusted;
	} cases[] = { { "complete", false }, { "complete", true }, { "linux-7.2", true } };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const bool complete = !strcmp(cases[i / 2].policy, "complete");
		/* Linux without encryption, so that its set C-bit does not hide what is there */
		struct setup s = { .policy = cases[i / 2].policy,
				   .platform = complete ? "sme" : "bare",
				   .guest = true,
				   .confidential = complete,
				   .swiotlb = SEGMENT };
		struct kernel *k = kernel_up(&s);
		struct cbit_dma_dev_config cfg = dev_config(k, true);
		uint8_t page[3 * P], poison[SLOT];
		struct cbit_dma_dev *old, *dev;
		struct cbit_iova addr[OLD], mine;
		uint64_t offset;

		cfg.untrusted = true;
		old = dev_up(k, &cfg);
		cfg.untrusted = cases[i / 2].untrusted;
		cfg.min_align_mask = i % 2 ? (uint32_t)P - 1 : 0;
		dev = dev_up(k, &cfg);
		memset(poison, 0x5a, sizeof(poison));
		cpu_fill(k, BUF, 0x5a, OLD * P);
		for (unsigned int n = 0; n < OLD; n++)
			addr[n] = map(old, BUF + n * P + 8, P - 16, TO);
		for (unsigned int n = 0; n < OLD; n++)
			unmap(old, addr[n], P - 16, TO);
		cpu_fill(k, BUF + MIB(1), 0x11, 4 * P);
		mine = map(dev, BUF + MIB(1) + 300, SIZE, TO);
		offset = mine.v % P;
		assert_int_equal(offset, i % 2 ? 300 : 0);
		assert_true(dev_read(k, true, CBIT_IOVA(mine.v - offset), page, 2 * P));
		for (uint64_t n = 0; n < 2 * P; n++) {
			bool inside = n >= offset && n < offset + SIZE;

			if (page[n] != (inside ? 0x11 : 0))
				fail_msg("case %zu: byte %lu is %02x", i, (unsigned long)n,
					 page[n]);
		}
		/* and there is no third page */
		assert_false(dev_read(k, true, CBIT_IOVA(mine.v - offset + 2 * P), page, 1));
		unmap(dev, mine, SIZE, TO);
		cbit_dma_dev_destroy(old);
		cbit_dma_dev_destroy(dev);
		kernel_down(k);
	}
}

/* What a transfer leaves alone: the bytes around the buffer, and what a device does not write. */
static void test_around(void **state)
{
	enum { SIZE = 3333 };
	struct kernel *k = conf_up("complete", MIB(1));

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		struct cbit_dma_dev_config cfg = dev_config(k, i & 1);
		uint8_t before[3 * P], after[3 * P], data[100];
		const uint64_t phys = BUF + 2500;
		struct cbit_dma_dev *dev;
		struct cbit_iova addr;

		cfg.min_align_mask = i & 2 ? 511 : 0;
		dev = dev_up(k, &cfg);
		pattern(before, sizeof(before), i);
		memset(data, 0xee, sizeof(data));
		cpu_write(k, BUF, before, sizeof(before));
		addr = map(dev, phys, SIZE, FROM);
		assert_true(dev_write(k, i & 1, CBIT_IOVA(addr.v + 1000), data, sizeof(data)));
		unmap(dev, addr, SIZE, FROM);
		memcpy(before + 2500 + 1000, data, sizeof(data));
		cpu_read(k, BUF, after, sizeof(after));
		assert_memory_equal(before, after, sizeof(after));
		cbit_dma_dev_destroy(dev);
	}
	kernel_down(k);
}

/* A kernel that cannot copy: the error comes back and no slot is lost. */
static void test_copy_fails(void **state)
{
	struct kernel *k = conf_up("complete", MIB(1));

	(void)state;
	for (unsigned int iommu = 0; iommu < 2; iommu++) {
		struct cbit_dma_dev_config cfg = dev_config(k, iommu);
		struct cbit_dma_dev *dev = dev_up(k, &cfg);
		struct cbit_error err;
		struct cbit_iova addr;

		k->fail_read = -EFAULT;
		assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 100, BIDIR, 0, &addr, &err),
				 -EFAULT);
		assert_non_null(strstr(err.text, "swiotlb_bounce"));
		assert_int_equal(slots_used(k), 0);
		k->fail_write = -EIO;
		assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(BUF), 100, BIDIR, 0, &addr, NULL),
				 -EIO);
		assert_int_equal(slots_used(k), 0);
		addr = map(dev, BUF, 100, BIDIR);
		k->fail_read = -EFAULT;
		assert_int_equal(cbit_dma_sync_for_cpu(dev, addr, 100, BIDIR), -EFAULT);
		k->fail_read = -EFAULT;
		assert_int_equal(cbit_dma_unmap_phys(dev, addr, 100, BIDIR, 0), -EFAULT);
		assert_int_equal(slots_used(k), 0);
		cbit_dma_dev_destroy(dev);
	}
	kernel_down(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_size),  cmocka_unit_test(test_pool_halved),
		cmocka_unit_test(test_pool_state), cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_config),     cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_owners),     cmocka_unit_test(test_sync),
		cmocka_unit_test(test_skip_sync),  cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_around),     cmocka_unit_test(test_copy_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
