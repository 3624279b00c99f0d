/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA: what bytes move and what is told, for every way in which it can end.
 */
#include "iommu_rig.h"

/* --- what DMA does --- */

static void test_blocked(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t buf[16];
	size_t done = 1;

	(void)state;
	assert_int_equal(cbit_iommu_dma_read(r->iommu, 0x0201, CBIT_IOVA(0x123456789a), buf,
					     sizeof(buf), &done),
			 CBIT_DMA_FAULT);
	assert_int_equal(done, 0);
	assert_ones(buf, sizeof(buf));
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_NOT_MAPPED);
	assert_int_equal(r->ev[0].devid, 0x0201);
	assert_int_equal(r->described, 0);
	expect_log(r, 0x0201, 0x20000000, 0x123456789a);
	expect_no_log(r);
	rig_free(r);
}

static void test_not_mapped(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t buf[3 * 4096];
	size_t done;

	(void)state;
	map(r, 0x10000, CLIENT, 4096, ENC);
	memset(r->client, 0x11, 4096);
	assert_int_equal(dma_read(r, 0x10000, buf, sizeof(buf), &done), CBIT_DMA_FAULT);
	assert_int_equal(done, 4096);
	assert_int_equal(buf[4095], 0x11);
	assert_ones(buf + 4096, 8192);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_NOT_MAPPED);
	assert_int_equal(r->ev[0].iova.v, 0x11000);
	assert_int_equal(r->ev[0].len, 8192);
	assert_int_equal(r->ev[0].entry, 0);
	assert_false(r->ev[0].spa_valid);
	assert_int_equal(r->ev[0].mapping.id, 7);
	expect_log(r, DEV, 0x20000001, 0x11000);
	/* The hole ends where the next mapping begins; a write says so in the log. */
	map(r, 0x12000, CLIENT + 0x2000, 4096, ENC);
	assert_int_equal(dma_write(r, 0x10800, buf, 8192, &done), CBIT_DMA_FAULT);
	assert_int_equal(done, 2048);
	assert_int_equal(r->ev[1].iova.v, 0x11000);
	assert_int_equal(r->ev[1].len, 4096);
	assert_true(r->ev[1].write);
	expect_log(r, DEV, 0x20200001, 0x11000);
	expect_no_log(r);
	rig_free(r);
}

static void test_permissions(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t buf[16] = { 1, 2, 3 };
	size_t done;

	(void)state;
	map(r, 0x10000, CLIENT, 4096, CBIT_ATTR_READ | CBIT_ATTR_ENCRYPTED);
	map(r, 0x20000, CLIENT + 4096, 4096, CBIT_ATTR_WRITE | CBIT_ATTR_ENCRYPTED);
	assert_int_equal(dma_read(r, 0x10000, buf, sizeof(buf), NULL), CBIT_DMA_OK);
	assert_int_equal(dma_write(r, 0x20000, buf, sizeof(buf), NULL), CBIT_DMA_OK);
	assert_int_equal(r->n, 0);
	assert_int_equal(dma_write(r, 0x10010, buf, sizeof(buf), &done), CBIT_DMA_FAULT);
	assert_int_equal(done, 0);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_NO_PERMISSION);
	assert_true(r->ev[0].spa_valid);
	assert_int_equal(r->ev[0].spa.v, CLIENT + 0x10);
	assert_int_equal(r->ev[0].entry, 0x2000000000000001 | C51 | CLIENT);
	assert_int_equal(r->ev[0].len, 16);
	assert_string_equal(r->ev[0].region, "client");
	expect_log(r, DEV, 0x20700001, 0x10010);
	assert_int_equal(dma_read(r, 0x20000, buf, sizeof(buf), NULL), CBIT_DMA_FAULT);
	assert_ones(buf, sizeof(buf));
	expect_log(r, DEV, 0x20500001, 0x20000);
	rig_free(r);
}

static void test_mmio(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t out[8192], in[8192];
	struct cbit_event *ev = &r->ev[0];
	size_t done;

	(void)state;
	fill(out, sizeof(out));
	map(r, 0x100000, BAR + 0x3000, 0x4000, PLAIN);
	assert_int_equal(dma_write(r, 0x100800, out, sizeof(out), &done), CBIT_DMA_OK);
	assert_int_equal(done, sizeof(out));
	assert_memory_equal(r->bar + 0x3800, out, sizeof(out));
	assert_int_equal(dma_read(r, 0x100800, in, sizeof(in), NULL), CBIT_DMA_OK);
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(r->n, 0);

	map(r, 0x200000, BAR + 0x3000, 0x4000, ENC);
	assert_int_equal(dma_read(r, 0x200800, in, sizeof(in), &done), CBIT_DMA_ABORT);
	assert_int_equal(done, 0);
	assert_ones(in, sizeof(in));
	assert_int_equal(r->n, 1);
	assert_int_equal(ev->type, CBIT_EVENT_DMA_ABORT);
	assert_int_equal(ev->devid, DEV);
	assert_false(ev->write);
	assert_int_equal(ev->iova.v, 0x200800);
	assert_int_equal(ev->len, sizeof(in));
	assert_true(ev->spa_valid);
	assert_int_equal(ev->spa.v, BAR + 0x3800);
	assert_int_equal(ev->entry, 0x7000000000000001 | C51 | (BAR + 0x3000));
	assert_int_equal(ev->c_mask, C51);
	assert_int_equal(ev->kind, CBIT_MEM_MMIO);
	assert_string_equal(ev->region, "0000:02:00.0 BAR2");
	assert_string_equal(ev->key_used, "host key");
	assert_int_equal(ev->mapping.id, 7);
	assert_int_equal(dma_write(r, 0x200800, in, sizeof(in), NULL), CBIT_DMA_ABORT);
	assert_memory_equal(r->bar + 0x3800, out, sizeof(out));
	/* An abort is not the IOMMU's business: nothing in its log. */
	expect_no_log(r);
	rig_free(r);
}

static void test_no_region(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t buf[0x3000];
	size_t done;

	(void)state;
	/* Runs past the end of the BAR's window: what lies inside has moved. */
	map(r, 0, BAR + BAR_SIZE - 0x1000, 0x3000, PLAIN);
	assert_int_equal(dma_read(r, 0x10, buf, sizeof(buf) - 0x10, &done), CBIT_DMA_ABORT);
	assert_int_equal(done, 0xff0);
	assert_int_equal(buf[0], 0);
	assert_ones(buf + 0xff0, 0x2000);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].iova.v, 0x1000);
	assert_null(r->ev[0].region);
	rig_free(r);
}

static void test_wrong_key(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t in[4096], out[4096], want[4096];
	struct cbit_event *ev = &r->ev[0];

	(void)state;
	fill(r->client, 0x10000);
	/* With C the client's own bytes, without C what DRAM holds of them. */
	map(r, 0x10000, CLIENT + 0x5000, 0x2000, ENC);
	assert_int_equal(dma_read(r, 0x10000, in, sizeof(in), NULL), CBIT_DMA_OK);
	assert_memory_equal(in, r->client + 0x5000, sizeof(in));
	assert_int_equal(r->n, 0);

	map(r, 0x20000, CLIENT + 0x5000, 0x2000, PLAIN);
	assert_int_equal(dma_read(r, 0x20000, in, sizeof(in), NULL), CBIT_DMA_OK);
	cbit_mem_aes(r->mem, CBIT_KEY_HOST, CBIT_SPA(CLIENT + 0x5000), r->client + 0x5000, want,
		     sizeof(want), true);
	assert_memory_equal(in, want, sizeof(in));
	assert_int_equal(r->n, 1);
	assert_int_equal(ev->type, CBIT_EVENT_DMA_WRONG_KEY);
	assert_int_equal(ev->len, sizeof(in));
	assert_int_equal(ev->spa.v, CLIENT + 0x5000);
	assert_int_equal(ev->entry & C51, 0);
	assert_string_equal(ev->key_used, "no key");
	assert_string_equal(ev->key_right, "host key");

	/* A write without C: the client decrypts what the device left in DRAM. */
	fill(out, sizeof(out));
	assert_int_equal(dma_write(r, 0x20000, out, sizeof(out), NULL), CBIT_DMA_OK);
	cbit_mem_aes(r->mem, CBIT_KEY_HOST, CBIT_SPA(CLIENT + 0x5000), out, want, sizeof(want),
		     false);
	assert_memory_equal(r->client + 0x5000, want, sizeof(want));
	assert_int_equal(r->n, 2);
	rig_free(r);
}

/* A long transfer through a mistaken mapping is one event, whatever the chunks. */
static void test_wrong_key_long(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t *buf = malloc(CLIENT_SIZE);

	(void)state;
	map(r, 0, CLIENT, CLIENT_SIZE, PLAIN);
	assert_int_equal(dma_read(r, 0, buf, CLIENT_SIZE, NULL), CBIT_DMA_OK);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].len, CLIENT_SIZE);
	free(buf);
	rig_free(r);
}

/* More mistakes in one chunk than are noted at once: all are told, every byte moves. */
static void test_many_notes(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t *buf = malloc(80 * 4096);
	size_t done;

	(void)state;
	for (unsigned int i = 0; i < 80; i++)
		map(r, (uint64_t)i * 4096, CLIENT + (uint64_t)i * 4096, 4096, i & 1 ? PLAIN : ENC);
	assert_int_equal(dma_read(r, 0, buf, 80 * 4096, &done), CBIT_DMA_OK);
	assert_int_equal(done, 80 * 4096);
	assert_int_equal(r->n, 40);
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(r->ev[i].iova.v, (2 * i + 1) * 4096);
	free(buf);
	rig_free(r);
}

static void test_runs(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t *buf = malloc(CLIENT_SIZE);

	(void)state;
	fill(r->client, CLIENT_SIZE);
	/* 4 KiB leaves that continue one another are one access to the backing. */
	map(r, 0x1000, CLIENT, MIB(1), ENC);
	assert_int_equal(dma_read(r, 0x1003, buf, MIB(1) - 5, NULL), CBIT_DMA_OK);
	assert_memory_equal(buf, r->client + 3, MIB(1) - 5);
	assert_int_equal(r->calls, 1);
	/* A chunk of 1 MiB is the most that one access moves. */
	r->calls = 0;
	map(r, GIB(1), CLIENT, CLIENT_SIZE, ENC);
	assert_int_equal(dma_read(r, GIB(1), buf, CLIENT_SIZE, NULL), CBIT_DMA_OK);
	assert_memory_equal(buf, r->client, CLIENT_SIZE);
	assert_int_equal(r->calls, 4);
	/* Pages in reverse order: each its own, and in the right place. */
	r->calls = 0;
	for (unsigned int i = 0; i < 16; i++)
		map(r, GIB(2) + i * 4096, CLIENT + (15 - i) * 4096, 4096, ENC);
	assert_int_equal(dma_read(r, GIB(2) + 8, buf, 16 * 4096 - 8, NULL), CBIT_DMA_OK);
	assert_int_equal(r->calls, 16);
	assert_memory_equal(buf, r->client + 15 * 4096 + 8, 4088);
	assert_memory_equal(buf + 15 * 4096 - 8, r->client, 4096);
	/* Equal places, other rights: a run ends at the change, the transfer does not. */
	r->calls = 0;
	map(r, GIB(3), CLIENT, 4096, ENC);
	map(r, GIB(3) + 4096, CLIENT + 4096, 4096, CBIT_ATTR_READ | CBIT_ATTR_ENCRYPTED);
	assert_int_equal(dma_read(r, GIB(3), buf, 8192, NULL), CBIT_DMA_OK);
	assert_int_equal(r->calls, 2);
	assert_memory_equal(buf, r->client, 8192);
	assert_int_equal(r->n, 0);
	free(buf);
	rig_free(r);
}

/* An abort is one request's fate: what lies behind the window still gets its bytes. */
static void test_behind_an_abort(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t out[0x3000], in[0x3000];
	size_t done;

	(void)state;
	fill(out, sizeof(out));
	memset(r->client, 0, 0x2000);
	map(r, 0x0000, CLIENT, 0x1000, ENC);
	map(r, 0x1000, BAR, 0x1000, ENC);
	map(r, 0x2000, CLIENT + 0x1000, 0x1000, ENC);
	assert_int_equal(dma_write(r, 0, out, sizeof(out), &done), CBIT_DMA_ABORT);
	assert_int_equal(done, 0x1000);
	assert_memory_equal(r->client, out, 0x1000);
	assert_memory_equal(r->client + 0x1000, out + 0x2000, 0x1000);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].iova.v, 0x1000);
	assert_int_equal(r->ev[0].len, 0x1000);
	assert_int_equal(dma_read(r, 0, in, sizeof(in), &done), CBIT_DMA_ABORT);
	assert_int_equal(done, 0x1000);
	assert_ones(in + 0x1000, 0x1000);
	assert_memory_equal(in + 0x2000, out + 0x2000, 0x1000);
	rig_free(r);
}

static void test_no_backing(void **state)
{
	struct rig *r = rig_new(true);
	uint8_t buf[0x8000], out[0x8000];
	size_t done;

	(void)state;
	fill(r->client, CLIENT_SIZE);
	fill(out, sizeof(out));
	map(r, 0, CLIENT, 0x8000, ENC);
	r->client_hole = 0x3000;
	assert_int_equal(dma_read(r, 0x800, buf, 0x7000, &done), CBIT_DMA_ABORT);
	assert_int_equal(done, 0x2800);
	assert_memory_equal(buf, r->client + 0x800, done);
	assert_ones(buf + done, 0x7000 - done);
	assert_int_equal(r->n, 1);
	assert_int_equal(r->ev[0].type, CBIT_EVENT_DMA_NO_BACKING);
	assert_int_equal(r->ev[0].iova.v, 0x3000);
	assert_int_equal(dma_write(r, 0, out, sizeof(out), &done), CBIT_DMA_ABORT);
	assert_int_equal(done, 0x3000);
	assert_memory_equal(r->client, out, done);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocked),         cmocka_unit_test(test_not_mapped),
		cmocka_unit_test(test_permissions),     cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_behind_an_abort), cmocka_unit_test(test_no_region),
		cmocka_unit_test(test_wrong_key),       cmocka_unit_test(test_wrong_key_long),
		cmocka_unit_test(test_many_notes),      cmocka_unit_test(test_runs),
		cmocka_unit_test(test_no_backing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
