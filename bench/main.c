/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit-bench: the figures of docs/performance.md.
 *
 *   cbit-bench [--once] [NAME-PREFIX]...
 *
 * --once: a single round, for counting instructions (bench/guard.sh).
 */
#include <sched.h>
#include <sys/mman.h>

#include "bench.h"

static char **wanted;
static int wanted_count;
static bool once;

bool bench_wanted(const char *prefix)
{
	for (int i = 0; i < wanted_count; i++) {
		size_t a = strlen(prefix), b = strlen(wanted[i]);

		if (!strncmp(prefix, wanted[i], a < b ? a : b))
			return true;
	}
	return !wanted_count;
}

/* Unlike a group, a figure is asked for by its own name or the start of it. */
static bool asked_for(const char *name)
{
	for (int i = 0; i < wanted_count; i++)
		if (!strncmp(name, wanted[i], strlen(wanted[i])))
			return true;
	return !wanted_count;
}

static void print(const struct bench *b, double best, double ref)
{
	double value = best / b->per;
	double bare = ref / (b->ref_per > 0 ? b->ref_per : b->per);
	bool ok;

	if (b->unit == BENCH_GBS) {
		value = 1 / value; /* bytes a nanosecond */
		bare = 1 / bare;
	}
	printf("bench %s %.2f %s ", b->name, value, b->unit == BENCH_GBS ? "GB/s" : "ns");
	if (b->ref)
		printf("ref=%.2f ratio=%.2f ", bare, value / bare);
	else
		printf("ref=- ratio=- ");
	if (b->unit == BENCH_GBS)
		ok = value / bare >= b->goal;
	else
		ok = (b->unit == BENCH_TIMES ? value / bare : value) <= b->goal;
	if (b->goal > 0)
		printf("goal=%g %s\n", b->goal, ok ? "ok" : "short");
	else
		printf("goal=- -\n");
	fflush(stdout);
}

void bench_figure(const struct bench *b)
{
	double best = 0, ref = 0;

	if (!asked_for(b->name))
		return;
	for (unsigned int i = 0; i < (once ? 1 : b->rounds); i++) {
		double t = b->run(b->opaque);

		if (!i || t < best)
			best = t;
		t = b->ref ? b->ref(b->opaque) : 0;
		if (!i || t < ref)
			ref = t;
	}
	print(b, best, ref);
}

/* One core for the whole run: the last, where interrupts are fewest on small machines. */
static void pin(void)
{
	cpu_set_t all, one;
	size_t last = CPU_SETSIZE;

	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all))
			last = cpu;
	CPU_ZERO(&one);
	if (last < CPU_SETSIZE)
		CPU_SET(last, &one);
	/* not pinned is only noisier */
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static int client_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	const struct bench_rig *r = opaque;

	memcpy(buf, r->client + offset, len);
	return 0;
}

static int client_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	const struct bench_rig *r = opaque;

	memcpy(r->client + offset, buf, len);
	return 0;
}

static void *client_hold(void *opaque, uint64_t offset, size_t *len, bool write, void **cookie)
{
	const struct bench_rig *r = opaque;

	(void)len;
	(void)write;
	*cookie = NULL;
	return r->client + offset;
}

static int client_release(void *opaque, void *cookie)
{
	(void)opaque;
	(void)cookie;
	return 0;
}

static const struct cbit_mem_ops shared_ops = {
	.read = client_read, .write = client_write, .hold = client_hold, .release = client_release
};

void bench_rig_init(struct bench_rig *r)
{
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = CBIT_SPA(GIB(1)), .size = GIB(1)
	};
	struct cbit_mem_region_desc client = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(RIG_CLIENT),
		.size = RIG_CLIENT_SIZE,
		.name = "client",
		.ops = r->ops ? r->ops : &shared_ops,
		.opaque = r,
		.resident = CBIT_KEY_HOST,
	};
	struct cbit_platform platform;

	MUST(!cbit_platform_preset("sme", &platform));
	MUST(!cbit_mem_create(&platform, &r->mem));
	if (!r->client) {
		r->client = mmap(NULL, RIG_CLIENT_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		MUST(r->client != MAP_FAILED);
		memset(r->client, 0x5a, RIG_CLIENT_SIZE);
	}
	MUST(!cbit_mem_add_region(r->mem, &dram, NULL));
	MUST(!cbit_mem_add_region(r->mem, &client, NULL));
	MUST(!cbit_iommu_create(r->mem, NULL, &r->iommu));
	MUST(!cbit_domain_create(r->iommu, NULL, &r->domain));
	MUST(!cbit_domain_attach(r->domain, RIG_DEVICE));
}

void bench_rig_fini(struct bench_rig *r)
{
	cbit_domain_destroy(r->domain);
	cbit_iommu_destroy(r->iommu);
	cbit_mem_destroy(r->mem);
	munmap(r->client, RIG_CLIENT_SIZE);
}

int main(int argc, char **argv)
{
	once = argc > 1 && !strcmp(argv[1], "--once");
	wanted = argv + 1 + once;
	wanted_count = argc - 1 - once;
	pin();
	bench_pt();
	bench_walk();
	bench_nested();
	bench_iommu();
	bench_miss();
	bench_copy();
	bench_client();
	bench_nvme();
	return 0;
}
