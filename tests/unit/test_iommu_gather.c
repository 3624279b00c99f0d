/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA over pages that lie apart: many in one access where the backing has that, and the same
 * bytes, counts and events as one by one in every case.
 */
#include "iommu_rig.h"

#define AT    GIB(1) /* IOVA */
#define PAGES 96u
#define LEN   (PAGES * CBIT_PAGE_SIZE)

/* IOVA page @i is client page 2 (@PAGES - @i): no two are neighbours. */
static uint64_t place(unsigned int i)
{
	return 2 * (uint64_t)(PAGES - i) * CBIT_PAGE_SIZE;
}

static void map_pages(struct rig *r, unsigned int first, unsigned int last, unsigned int attrs)
{
	for (unsigned int i = first; i < last; i++)
		assert_int_equal(cbit_domain_map(r->domain, CBIT_IOVA(AT + i * CBIT_PAGE_SIZE),
						 CBIT_SPA(CLIENT + place(i)), CBIT_PAGE_SIZE,
						 attrs),
				 0);
}

/* The byte at @at of what the IOVAs show. */
static uint8_t *byte(const struct rig *r, size_t at)
{
	return r->client + place((unsigned int)(at / CBIT_PAGE_SIZE)) + at % CBIT_PAGE_SIZE;
}

static struct rig *start(unsigned int attrs)
{
	struct rig *r = rig_new(true);

	r->gathers = true;
	map_pages(r, 0, PAGES, attrs);
	for (size_t i = 0; i < LEN; i++)
		*byte(r, i) = (uint8_t)(i * 7 + i / 4096 * 13);
	return r;
}

#define RIGHT (CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED)

static void test_many_in_one(void **state)
{
	static const struct {
		size_t at, len;
		unsigned int calls, moves;
	} dmas[] = {
		{ 0, 100, 1, 0 },       /* one page */
		{ 0, 4096, 1, 0 },      /* exactly */
		{ 4000, 8192, 1, 1 },   /* parts of three */
		{ 1, 4096 * 64, 1, 1 }, /* the first by itself, 64 at once */
		{ 0, LEN, 2, 2 },       /* 1 + 64 + 30, and what is left over */
	};
	uint8_t *buf = malloc(LEN);

	(void)state;
	assert_non_null(buf);
	for (size_t n = 0; n < sizeof(dmas) / sizeof(dmas[0]); n++) {
		struct rig *r = start(RIGHT);
		size_t done = 0;

		memset(buf, 0, LEN);
		assert_int_equal(cbit_iommu_dma_read(r->iommu, DEV, CBIT_IOVA(AT + dmas[n].at), buf,
						     dmas[n].len, &done),
				 CBIT_DMA_OK);
		assert_int_equal(done, dmas[n].len);
		for (size_t i = 0; i < dmas[n].len; i++)
			assert_int_equal(buf[i], *byte(r, dmas[n].at + i));
		assert_true(r->calls <= dmas[n].calls && r->moves <= dmas[n].moves);
		assert_int_equal(dmas[n].moves != 0, r->moves != 0);

		for (size_t i = 0; i < dmas[n].len; i++)
			buf[i] = (uint8_t)(i * 11 + 5);
		assert_int_equal(cbit_iommu_dma_write(r->iommu, DEV, CBIT_IOVA(AT + dmas[n].at),
						      buf, dmas[n].len, &done),
				 CBIT_DMA_OK);
		assert_int_equal(done, dmas[n].len);
		for (size_t i = 0; i < dmas[n].len; i++)
			assert_int_equal(*byte(r, dmas[n].at + i), (uint8_t)(i * 11 + 5));
		/* the neighbours: pages in between are nobody's */
		for (unsigned int i = 0; i < PAGES; i++)
			assert_int_equal(r->client[place(i) + CBIT_PAGE_SIZE], 0);
		assert_int_equal(r->n, 0);
		rig_free(r);
	}
	free(buf);
}

/* Whatever is unusual ends as it does page by page. */
static void test_as_one_by_one(void **state)
{
	enum { NOT_MAPPED, READ_ONLY, RAW, GONE, LENT, CASES };
	uint8_t *buf[2] = { malloc(LEN), malloc(LEN) };

	(void)state;
	assert_true(buf[0] && buf[1]);
	for (unsigned int c = 0; c < CASES; c++) {
		for (unsigned int write = 0; write < 2; write++) {
			enum cbit_dma_status status[2];
			struct rig *r[2];
			size_t done[2];

			for (unsigned int i = 0; i < 2; i++) {
				r[i] = start(RIGHT);
				r[i]->gathers = i;
				cbit_domain_unmap(r[i]->domain, CBIT_IOVA(AT + 40 * CBIT_PAGE_SIZE),
						  CBIT_PAGE_SIZE, NULL);
				if (c == READ_ONLY)
					map_pages(r[i], 40, 41,
						  CBIT_ATTR_READ | CBIT_ATTR_ENCRYPTED);
				else if (c == RAW)
					map_pages(r[i], 40, 41, CBIT_ATTR_RW);
				else if (c != NOT_MAPPED)
					map_pages(r[i], 40, 41, RIGHT);
				/* pages from the 60th on lie below it, the others are gone */
				if (c == GONE)
					r[i]->client_hole = place(60);
				r[i]->lends = c == LENT;
				memset(buf[i], 0x5a, LEN);
				status[i] =
					write ? cbit_iommu_dma_write(r[i]->iommu, DEV,
								     CBIT_IOVA(AT), buf[i], LEN,
								     &done[i])
					      : cbit_iommu_dma_read(r[i]->iommu, DEV, CBIT_IOVA(AT),
								    buf[i], LEN, &done[i]);
			}
			assert_int_equal(status[0], status[1]);
			assert_int_equal(done[0], done[1]);
			assert_int_equal(r[0]->n, r[1]->n);
			for (unsigned int i = 0; i < r[0]->n && i < EVENTS; i++) {
				assert_int_equal(r[0]->ev[i].type, r[1]->ev[i].type);
				assert_int_equal(r[0]->ev[i].iova.v, r[1]->ev[i].iova.v);
				assert_int_equal(r[0]->ev[i].len, r[1]->ev[i].len);
			}
			assert_memory_equal(buf[0], buf[1], LEN);
			assert_memory_equal(r[0]->client, r[1]->client, CLIENT_SIZE);
			rig_free(r[0]);
			rig_free(r[1]);
		}
	}
	free(buf[0]);
	free(buf[1]);
}

#define SEGS 40u

/* Lengths of 0 and more than a page, places that overlap the unusual page or do not. */
static size_t segments(struct cbit_dma_seg *segs)
{
	size_t all = 0;

	for (unsigned int i = 0; i < SEGS; i++) {
		segs[i] = (struct cbit_dma_seg){ CBIT_IOVA(AT + i * 9000 + i % 3 * 100),
						 i % 7 == 3 ? 0 : 1 + i * 733 % 8000 };
		all += segs[i].len;
	}
	return all;
}

/* As one by one, with whatever lies under the segments. */
static void test_segments(void **state)
{
	enum { FINE, NOT_MAPPED, READ_ONLY, RAW, GONE, LENT, CASES };
	struct cbit_dma_seg segs[SEGS];
	size_t all = segments(segs);
	uint8_t *buf[2] = { malloc(all), malloc(all) };

	(void)state;
	assert_true(buf[0] && buf[1]);
	for (unsigned int c = 0; c < 2 * CASES; c++) {
		enum cbit_dma_status status[2] = { CBIT_DMA_OK, CBIT_DMA_OK };
		bool write = c & 1;
		struct rig *r[2];
		uint8_t *p = buf[0];

		for (unsigned int i = 0; i < 2; i++) {
			r[i] = start(RIGHT);
			cbit_domain_unmap(r[i]->domain, CBIT_IOVA(AT + 40 * CBIT_PAGE_SIZE),
					  CBIT_PAGE_SIZE, NULL);
			if (c / 2 == READ_ONLY)
				map_pages(r[i], 40, 41, CBIT_ATTR_READ | CBIT_ATTR_ENCRYPTED);
			else if (c / 2 == RAW)
				map_pages(r[i], 40, 41, CBIT_ATTR_RW);
			else if (c / 2 != NOT_MAPPED)
				map_pages(r[i], 40, 41, RIGHT);
			if (c / 2 == GONE)
				r[i]->client_hole = place(60);
			r[i]->lends = c / 2 == LENT;
			for (size_t k = 0; k < all; k++)
				buf[i][k] = (uint8_t)(k * 5 + 3);
		}
		r[0]->gathers = false;
		for (unsigned int i = 0; i < SEGS; p += segs[i++].len) {
			enum cbit_dma_status s =
				write ? dma_write(r[0], segs[i].iova.v, p, segs[i].len, NULL)
				      : dma_read(r[0], segs[i].iova.v, p, segs[i].len, NULL);

			if (s == CBIT_DMA_FAULT || status[0] == CBIT_DMA_OK)
				status[0] = s;
		}
		status[1] = cbit_iommu_dma_vec(r[1]->iommu, DEV, segs, SEGS, buf[1], write);
		assert_int_equal(status[0], status[1]);
		assert_int_equal(status[1] == CBIT_DMA_OK, c / 2 == FINE || c / 2 == RAW ||
								   c / 2 == LENT ||
								   (c / 2 == READ_ONLY && !write));
		assert_memory_equal(buf[0], buf[1], all);
		assert_memory_equal(r[0]->client, r[1]->client, CLIENT_SIZE);
		assert_int_equal(r[0]->n, r[1]->n);
		for (unsigned int i = 0; i < r[0]->n && i < EVENTS; i++) {
			assert_int_equal(r[0]->ev[i].type, r[1]->ev[i].type);
			assert_int_equal(r[0]->ev[i].iova.v, r[1]->ev[i].iova.v);
			assert_int_equal(r[0]->ev[i].len, r[1]->ev[i].len);
		}
		if (c / 2 == FINE)
			assert_true(r[1]->moves && r[1]->moves <= 3 && !r[1]->calls);
		rig_free(r[0]);
		rig_free(r[1]);
	}
	free(buf[0]);
	free(buf[1]);
}

/* Translated requests go where the IOMMU's do, many at once as well. */
static void test_segments_elsewhere(void **state)
{
	const struct cbit_dma_seg segs[] = { { CBIT_IOVA(AT), 4096 },
					     { CBIT_IOVA(AT + 8192), 4096 } };
	struct rig *r = start(RIGHT), *out = start(RIGHT);
	uint8_t buf[8192], untouched[8192];

	(void)state;
	memset(buf, 0x77, sizeof(buf));
	memcpy(untouched, r->client + place(2), sizeof(untouched));
	cbit_iommu_set_out(r->iommu, out->mem);
	assert_int_equal(cbit_iommu_dma_vec(r->iommu, DEV, segs, 2, buf, true), CBIT_DMA_OK);
	assert_memory_equal(r->client + place(2), untouched, sizeof(untouched));
	assert_memory_equal(out->client + place(0), buf, 4096);
	assert_memory_equal(out->client + place(2), buf + 4096, 4096);
	assert_int_equal(r->moves, 0);
	assert_int_equal(out->moves, 1);
	rig_free(r);
	rig_free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_segments_elsewhere),
		cmocka_unit_test(test_many_in_one),
		cmocka_unit_test(test_as_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
