/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client of bench/nvme.c: 4 KiB random reads and writes at a constant depth, polling.
 */
#include <dirent.h>
#include <unistd.h>

#include "../tests/clients/nvme_client.h"
#include "bench.h"
#include "nvme.h"

/* Nanoseconds that all threads of the supervisor have run. */
static double cpu_of_parent(void)
{
	char path[300], line[128];
	double sum = 0;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", getppid());
	dir = opendir(path);
	MUST(dir);
	while ((e = readdir(dir))) {
		double ns = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", getppid(), e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(line, sizeof(line), f) && sscanf(line, "%lf", &ns) == 1)
			sum += ns;
		fclose(f);
	}
	closedir(dir);
	return sum;
}

static unsigned int seed = 1;

static void issue(struct nc *nc, unsigned int q, unsigned int slot, bool write)
{
	uint32_t per = (uint32_t)NVME_IO_SIZE / nc->block;
	struct nc_sqe sqe = nc_io(nc, write ? NC_WRITE : NC_READ, (uint64_t)nvme_place(&seed) * per,
				  per, ((q - 1) * NVME_DEPTH + slot) * NVME_IO_SIZE);

	sqe.cid = (uint16_t)slot;
	nc_put(&nc->q[q], &sqe);
}

/* Completions that are there; each makes room for another command until enough were issued. */
static unsigned int turn(struct nc *nc, unsigned int q, bool write, unsigned int *issued,
			 unsigned int all)
{
	struct nc_cqe cqe;
	unsigned int done = 0, again = 0;

	while (nc_poll(&nc->q[q], &cqe)) {
		MUST(!cqe.status);
		done++;
		if (*issued < all) {
			issue(nc, q, cqe.cid, write);
			++*issued;
			again++;
		}
	}
	if (again)
		nc_ring(nc, &nc->q[q]);
	if (done)
		nc_taken(nc, &nc->q[q]);
	return done;
}

static void run(struct nc *nc, bool write, unsigned int queues, unsigned int depth)
{
	const unsigned int all = nvme_ios(queues, depth);
	unsigned int issued = 0, done = 0;
	double t = bench_now(), cpu = cpu_of_parent();

	for (unsigned int q = 1; q <= queues; q++) {
		for (unsigned int i = 0; i < depth; i++, issued++)
			issue(nc, q, i, write);
		nc_ring(nc, &nc->q[q]);
	}
	while (done < issued) {
		for (unsigned int q = 1; q <= queues; q++)
			done += turn(nc, q, write, &issued, all);
	}
	t = bench_now() - t;
	printf("%f %f\n", t, cpu_of_parent() - cpu);
	fflush(stdout);
}

int main(void)
{
	static struct nc nc[2];
	unsigned int kind, memory, queues, depth;

	for (unsigned int i = 0; i < 2; i++)
		nc_open(&nc[i], i, NVME_QUEUES, NVME_QUEUES * NVME_DEPTH * NVME_IO_SIZE,
			i ? NC_SHARED : NC_PRIVATE, true);
	while (scanf("%u %u %u %u", &kind, &memory, &queues, &depth) == 4)
		run(&nc[memory & 1], kind, queues, depth);
	for (unsigned int i = 0; i < 2; i++)
		nc_close(&nc[i]);
	return 0;
}
