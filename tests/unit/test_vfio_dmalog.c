/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA logging as a client sees it: errno, and bitmaps in its memory (Linux 7.2:
 * drivers/vfio/vfio_main.c, drivers/iommu/iommufd/iova_bitmap.c).
 */
#include "migration_rig.h"

static long log_start(struct fixture *f, uint64_t page, const struct uapi_log_range *ranges,
		      uint32_t nr, uint64_t *got)
{
	struct uapi_log_control control = { .page_size = page, .num_ranges = nr, .ranges = ARGS };
	long ret;

	memcpy(f->c->args, ranges, (nr < 2 ? nr : 2) * sizeof(*ranges));
	ret = feature(f, 0, UAPI_FEATURE_DMA_LOGGING_START | SET, &control, sizeof(control), 32);
	if (got)
		*got = control.page_size;
	return ret;
}

static long log_stop(struct fixture *f)
{
	uint64_t none = 0;

	return feature(f, 0, UAPI_FEATURE_DMA_LOGGING_STOP | SET, &none, 0, 8);
}

static long log_report(struct fixture *f, uint64_t iova, uint64_t len, uint64_t page,
		       uint64_t bitmap)
{
	struct uapi_log_report report = { iova, len, page, bitmap };

	return feature(f, 0, UAPI_FEATURE_DMA_LOGGING_REPORT | GET, &report, sizeof(report), 40);
}

static void test_log_errors(void **state)
{
	static const struct {
		struct uapi_log_range r[2];
		uint64_t page;
		uint32_t nr;
		long ret;
	} cases[] = {
		{ { { 0, P } }, P, 0, -EINVAL },
		{ { { 0, P } }, P, 257, -E2BIG },
		{ { { 0, P } }, P, UINT32_MAX, -E2BIG },
		{ { { 1, P } }, P, 1, -EINVAL },
		{ { { 0, P - 1 } }, P, 1, -EINVAL },
		{ { { P, P } }, 2 * P, 1, -EINVAL },
		{ { { P, P } }, 0, 1, -EINVAL },
		{ { { UINT64_MAX - P + 1, P } }, P, 1, -EOVERFLOW },
		{ { { 0, 2 * P }, { P, P } }, P, 2, -EINVAL },
		{ { { P, P }, { 0, 4 * P } }, P, 2, -EINVAL },
		{ { { P, P }, { 2 * P, P } }, P, 2, 0 },
		{ { { P, 0 } }, P, 1, 0 },
		{ { { P, 1 } }, 1, 1, 0 },
	};
	struct fixture *f = *state;
	uint64_t got;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long ret = log_start(f, cases[i].page, cases[i].r, cases[i].nr, &got);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld", i, ret);
		if (!ret) {
			assert_int_equal(got, P);
			assert_int_equal(log_start(f, P, cases[i].r, cases[i].nr, NULL), -EINVAL);
		}
		assert_int_equal(log_stop(f), 0);
		assert_int_equal(log_stop(f), 0);
	}
	{
		struct uapi_log_control control = { .page_size = P,
						    .num_ranges = 1,
						    .ranges = NOWHERE };

		assert_int_equal(feature(f, 0, UAPI_FEATURE_DMA_LOGGING_START | SET, &control,
					 sizeof(control), 32),
				 -EFAULT);
	}
	assert_int_equal(log_report(f, 0, P, P, ARGS), -EINVAL); /* no log */
	assert_int_equal(log_start(f, P, cases[10].r, 2, NULL), 0);
	assert_int_equal(log_report(f, 0, P, P / 2, ARGS), -EINVAL);
	assert_int_equal(log_report(f, 0, P, 3 * P, ARGS), -EINVAL);
	assert_int_equal(log_report(f, 0, P, 0, ARGS), -EINVAL);
	assert_int_equal(log_report(f, UINT64_MAX, 1, P, ARGS), -EOVERFLOW);
	assert_int_equal(log_report(f, 0, 0, P, ARGS), 0);
	assert_int_equal(log_report(f, 0, UINT64_MAX, P, ARGS), 0);
	/* the bits have nowhere to go: they are lost, and it is no error (Linux likewise) */
	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	make_chain(f, 64);
	reg(f, 0, CHAINADDR, LIST, 8);
	assert_int_equal(log_report(f, 0, 16 * P, P, NOWHERE), 0);
	assert_int_equal(log_stop(f), 0);
}

static void copy_one(struct fixture *f, uint64_t src, uint64_t dst, uint32_t size)
{
	const struct desc d = { .size = size, .src = src, .dst = dst, .next = LIST };

	memcpy(f->c->ram + LIST, &d, sizeof(d));
	reg(f, 0, CHAINADDR, LIST, 8);
	reg(f, 0, DMACOUNT, 1, 2);
	wait_done(f, 0);
}

/* The engine copies at random; the bitmap is what was written, at both page sizes, ORed in. */
static void test_log_bitmap(void **state)
{
	struct fixture *f = *state;
	const struct uapi_log_range all = { 0x40000000, 64 * RAM_SIZE };
	const uint64_t pages = all.length / P;
	uint64_t *map = calloc(pages / 64, 8), x = 4242, got;

	assert_int_equal(client_map(f->c, f->container, 0, RAM, RAM_SIZE, 3), 0);
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(
			client_map(f->c, f->container, all.iova + i * RAM_SIZE, RAM, RAM_SIZE, 3),
			0);
	client_add(f->c, 0x600000000000, pages / 8, 0, CBIT_MEM_DRAM, (uint8_t *)map);
	for (unsigned int round = 0; round < 4; round++) {
		const unsigned int log_shift = round & 1 ? 21 : 12, shift = round & 2 ? 21 : 12;
		uint8_t *written = calloc(1, pages);

		assert_int_equal(log_start(f, UINT64_C(1) << log_shift, &all, 1, &got), 0);
		assert_int_equal(got, UINT64_C(1) << log_shift);
		memset(map, 0, pages / 8);
		map[0] = 1; /* what is set stays so */
		for (unsigned int i = 0; i < 300; i++) {
			uint64_t at;
			uint32_t size;

			x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
			size = (uint32_t)(x >> 40) % 30000 + 1;
			at = (x >> 20) % (all.length - size);
			/* not over the descriptor */
			if ((at % RAM_SIZE) + size > LIST && at % RAM_SIZE < LIST + 64)
				at += 0x80000;
			copy_one(f, 0x80000, all.iova + at, size);
			for (uint64_t p = at / P; p <= (at + size - 1) / P; p++)
				written[p] = 1;
		}
		assert_int_equal(
			log_report(f, all.iova, all.length, UINT64_C(1) << shift, 0x600000000000),
			0);
		for (uint64_t bit = 0; bit < all.length >> shift; bit++) {
			unsigned int large = log_shift > shift ? log_shift : shift;
			uint64_t per = UINT64_C(1) << (large - 12);
			uint64_t first = (bit << (shift - 12)) & ~(per - 1);
			bool want = !bit;

			for (uint64_t p = first; p < first + per; p++)
				want |= written[p];
			if ((map[bit / 64] >> (bit & 63) & 1) != want)
				fail_msg("round %u: bit %llu", round, (unsigned long long)bit);
		}
		assert_int_equal(log_stop(f), 0);
		free(written);
	}
	free(map);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_log_errors), T(test_log_bitmap) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
