/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A DPDK application: each DMA device that the EAL finds copies and fills by librte_dmadev, and
 * every byte is looked at, those around the destination too.
 *
 * usage: client_dpdk EAL-OPTIONS
 * Exit status 0 when every device did right, 1 otherwise, 2 when the EAL does not start or
 * there is no device.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_dmadev.h>
#include <rte_eal.h>
#include <rte_memzone.h>

#define AREA    (UINT32_C(1) << 20)
#define GUARD   64u
#define FILLER  0xa5
#define BURST   128u
#define SECONDS 20

/* The device under test and its two areas. */
struct test {
	int16_t id;
	uint16_t ring;
	uint8_t *from, *to;
	rte_iova_t from_iova, to_iova;
	uint64_t seed;
	uint64_t done;
	struct rte_dma_info info;
	char name[64]; /* closing the device takes @info's away */
};

static bool complain(const struct test *t, const char *what, uint64_t offset, uint64_t len)
{
	printf("not ok %s: %s (offset %" PRIu64 ", length %" PRIu64 ")\n", t->name, what, offset,
	       len);
	return false;
}

static uint8_t random_byte(struct test *t)
{
	t->seed = t->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint8_t)(t->seed >> 56);
}

/* Until @count operations are done. */
static bool wait_for(struct test *t, unsigned int count)
{
	const time_t limit = time(NULL) + SECONDS;
	bool error = false;
	uint16_t last;

	while (count && !error && time(NULL) <= limit) {
		uint16_t n = rte_dma_completed(t->id, 0, (uint16_t)count, &last, &error);

		count -= n;
		t->done += n;
	}
	if (error)
		return complain(t, "an operation failed", last, 0);
	return !count || complain(t, "operations not done in time", 0, count);
}

/* Bytes of the destination that nothing was to write. */
static bool untouched(const struct test *t, uint64_t start, uint64_t end)
{
	for (uint64_t i = start; i < end; i++) {
		if (t->to[i] != FILLER)
			return complain(t, "a byte outside was written", i, end - start);
	}
	return true;
}

static bool copy(struct test *t, uint32_t from, uint32_t to, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		t->from[from + i] = random_byte(t);
	memset(t->to, FILLER, AREA);
	if (rte_dma_copy(t->id, 0, t->from_iova + from, t->to_iova + to, len,
			 RTE_DMA_OP_FLAG_SUBMIT) < 0)
		return complain(t, "rte_dma_copy refused", from, len);
	if (!wait_for(t, 1))
		return false;
	if (memcmp(t->from + from, t->to + to, len) != 0)
		return complain(t, "the copy differs", to, len);
	return untouched(t, to - GUARD, to) && untouched(t, to + len, to + len + GUARD);
}

static bool fill(struct test *t, uint32_t to, uint32_t len)
{
	uint64_t pattern = UINT64_C(0x1122334455667788) ^ len;

	memset(t->to, FILLER, AREA);
	if (rte_dma_fill(t->id, 0, pattern, t->to_iova + to, len, RTE_DMA_OP_FLAG_SUBMIT) < 0)
		return complain(t, "rte_dma_fill refused", to, len);
	if (!wait_for(t, 1))
		return false;
	for (uint32_t i = 0; i < len; i++) {
		if (t->to[to + i] != (uint8_t)(pattern >> 8 * (i % 8)))
			return complain(t, "the fill differs", to + i, len);
	}
	return untouched(t, to - GUARD, to) && untouched(t, to + len, to + len + GUARD);
}

/* Many copies of one doorbell, the blocks in reverse order. */
static bool burst(struct test *t)
{
	const unsigned int count = t->ring / 2 < BURST ? t->ring / 2u : BURST;
	const uint32_t block = 4096;

	for (uint32_t i = 0; i < count * block; i++)
		t->from[i] = random_byte(t);
	memset(t->to, FILLER, AREA);
	for (unsigned int i = 0; i < count; i++) {
		if (rte_dma_copy(t->id, 0, t->from_iova + i * block,
				 t->to_iova + (count - 1 - i) * block, block, 0) < 0)
			return complain(t, "rte_dma_copy refused in a burst", i, block);
	}
	if (rte_dma_submit(t->id, 0))
		return complain(t, "rte_dma_submit refused", 0, count);
	if (!wait_for(t, count))
		return false;
	for (unsigned int i = 0; i < count; i++) {
		if (memcmp(t->from + i * block, t->to + (count - 1 - i) * block, block) != 0)
			return complain(t, "a copy of a burst differs", i, block);
	}
	return true;
}

static bool operations(struct test *t)
{
	static const uint32_t sizes[] = { 1, 7, 64, 100, 4095, 4096, 65536 + 3, 500000 };
	struct rte_dma_stats stats;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (uint32_t shift = 0; shift < 3; shift++) {
			if (!copy(t, 4096 + 5 * shift, 8192 + 11 * shift, sizes[i]))
				return false;
			if (t->info.dev_capa & RTE_DMA_CAPA_OPS_FILL &&
			    !fill(t, 4096 + 8 * shift, sizes[i]))
				return false;
		}
	}
	for (unsigned int i = 0; i < 20; i++) {
		if (!burst(t))
			return false;
	}
	if (rte_dma_stats_get(t->id, 0, &stats))
		return complain(t, "no statistics", 0, 0);
	return (stats.completed == t->done && !stats.errors) ||
	       complain(t, "statistics differ", stats.completed, t->done);
}

static bool run(struct test *t)
{
	const struct rte_dma_conf conf = { .nb_vchans = 1 };
	struct rte_dma_vchan_conf vchan = { .direction = RTE_DMA_DIR_MEM_TO_MEM };
	bool ok;

	if (rte_dma_info_get(t->id, &t->info))
		return complain(t, "no information", 0, 0);
	snprintf(t->name, sizeof(t->name), "%s", t->info.dev_name);
	vchan.nb_desc = t->info.max_desc < 512 ? t->info.max_desc : 512;
	t->ring = vchan.nb_desc;
	if (rte_dma_configure(t->id, &conf) || rte_dma_vchan_setup(t->id, 0, &vchan) ||
	    rte_dma_start(t->id))
		return complain(t, "cannot be set up", 0, 0);
	ok = operations(t);
	if (rte_dma_stop(t->id) || rte_dma_close(t->id))
		return complain(t, "cannot be stopped", 0, 0);
	if (ok)
		printf("ok %s: %" PRIu64 " operations, fill %s\n", t->name, t->done,
		       t->info.dev_capa & RTE_DMA_CAPA_OPS_FILL ? "too" : "not offered");
	return ok;
}

/* An area that is contiguous for the device, whatever IOVAs are. */
static const struct rte_memzone *area(const char *name)
{
	return rte_memzone_reserve_aligned(name, AREA, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG,
					   4096);
}

int main(int argc, char **argv)
{
	const struct rte_memzone *from, *to;
	int devices = 0, failed = 0;

	if (rte_eal_init(argc, argv) < 0)
		return 2;
	from = area("from");
	to = area("to");
	if (!from || !to) {
		printf("not ok: no memory\n");
		rte_eal_cleanup();
		return 2;
	}
	printf("iova mode %s, %s addresses, pages of %" PRIu64 " KiB\n",
	       rte_eal_iova_mode() == RTE_IOVA_PA ? "pa" : "va",
	       from->iova == from->addr_64 ? "the program's" : "other", from->hugepage_sz >> 10);
	for (int16_t id = 0; id < RTE_DMADEV_DEFAULT_MAX; id++) {
		struct test t = { .id = id,
				  .from = from->addr,
				  .to = to->addr,
				  .from_iova = from->iova,
				  .to_iova = to->iova,
				  .seed = (uint64_t)id + 1 };

		if (!rte_dma_is_valid(id))
			continue;
		failed += !run(&t);
		devices++;
	}
	rte_memzone_free(from);
	rte_memzone_free(to);
	rte_eal_cleanup();
	if (!devices)
		printf("not ok: no DMA device\n");
	return devices ? failed != 0 : 2;
}
