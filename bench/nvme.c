/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of the NVMe controller: 4 KiB random reads and writes, one queue and four, at depth 1 and
 * 32, in private and in shared memory of the client; and the processor time of cbit for each.
 *
 * The reference, in the same rounds, is the bare work of a batch: submission entries from another
 * process, a pread or pwrite for each command on a file of the same kind, the data of the batch and
 * its completions to that process, and an eventfd. Across processes by one process_vm_readv or
 * process_vm_writev each where the client's memory is private, by memcpy where it is shared.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "nvme.h"

#define SQE 64u
#define CQE 16u

struct fixture {
	pid_t cbit, remote;
	FILE *to, *from;
	char path[3][64];
	int file;
	int event;
	uint8_t *private; /* the remote process's, after the fork */
	uint8_t *shared;
	uint8_t *bounce;
	/* the figure under way */
	bool write, memory, cpu;
	unsigned int queues, depth;
};

static double run(void *opaque)
{
	struct fixture *f = opaque;
	double ns, cpu;

	fprintf(f->to, "%d %d %u %u\n", f->write, f->memory, f->queues, f->depth);
	fflush(f->to);
	MUST(fscanf(f->from, "%lf %lf", &ns, &cpu) == 2);
	return f->cpu ? cpu : ns;
}

/* @nr pieces of @size bytes at multiples of @stride of the client's memory, and one buffer. */
static void move(struct fixture *f, uint8_t *buf, size_t at, size_t size, unsigned int nr, bool out)
{
	struct iovec local = { buf, size * nr }, remote[NVME_DEPTH];
	ssize_t n;

	for (unsigned int i = 0; i < nr; i++) {
		uint8_t *there = (f->memory ? f->shared : f->private) + at + i * size;

		remote[i] = (struct iovec){ there, size };
		if (f->memory && out)
			memcpy(there, buf + i * size, size);
		else if (f->memory)
			memcpy(buf + i * size, there, size);
	}
	if (f->memory)
		return;
	n = out ? process_vm_writev(f->remote, &local, 1, remote, nr, 0)
		: process_vm_readv(f->remote, &local, 1, remote, nr, 0);
	MUST(n == (ssize_t)(size * nr));
}

static void bare_batch(struct fixture *f, unsigned int *seed)
{
	const size_t data = 2 * NVME_IO_SIZE;
	uint8_t entries[NVME_DEPTH * SQE] = { 0 };
	const uint64_t one = 1;

	move(f, entries, 0, (size_t)f->depth * SQE, 1, false);
	if (f->write)
		move(f, f->bounce, data, NVME_IO_SIZE, f->depth, false);
	for (unsigned int i = 0; i < f->depth; i++) {
		off_t at = (off_t)nvme_place(seed) * (off_t)NVME_IO_SIZE;
		uint8_t *buf = f->bounce + i * NVME_IO_SIZE;

		if (f->write)
			MUST(pwrite(f->file, buf, NVME_IO_SIZE, at) == (ssize_t)NVME_IO_SIZE);
		else
			MUST(pread(f->file, buf, NVME_IO_SIZE, at) == (ssize_t)NVME_IO_SIZE);
	}
	if (!f->write)
		move(f, f->bounce, data, NVME_IO_SIZE, f->depth, true);
	move(f, entries, NVME_IO_SIZE, (size_t)f->depth * CQE, 1, true);
	MUST(write(f->event, &one, sizeof(one)) == sizeof(one));
}

/* What the figure counts: time, or that of a processor. */
static double clock_ns(const struct fixture *f)
{
	struct timespec t;

	clock_gettime(f->cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double reference(void *opaque)
{
	struct fixture *f = opaque;
	unsigned int seed = 1;
	double t = clock_ns(f);

	for (unsigned int i = 0; i < nvme_ios(f->queues, f->depth); i += f->depth)
		bare_batch(f, &seed);
	return clock_ns(f) - t;
}

static int make_file(char path[64])
{
	static char block[1 << 20];
	int fd;

	snprintf(path, 64, "/tmp/cbit-bench.XXXXXX");
	fd = mkstemp(path);
	MUST(fd >= 0);
	memset(block, 1, sizeof(block));
	for (size_t i = 0; i < NVME_DISK; i += sizeof(block))
		MUST(write(fd, block, sizeof(block)) == (ssize_t)sizeof(block));
	return fd;
}

static uint8_t *get_memory(int flags)
{
	uint8_t *p = mmap(NULL, (2 + NVME_DEPTH) * NVME_IO_SIZE, PROT_READ | PROT_WRITE,
			  flags | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	memset(p, 2, (2 + NVME_DEPTH) * NVME_IO_SIZE);
	return p;
}

/*
 * A client that polls and a controller that watches have a processor each, as they would without
 * us: on one they would wait for each other's slices.
 */
static void unpin(void)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	(void)sched_setaffinity(0, sizeof(all), &all);
}

static void start_cbit(struct fixture *f)
{
	char dir[3072], cbit[4096], program[4096], device[2][96], *slash;
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	int in[2], out[2];

	MUST(n > 0);
	dir[n] = 0;
	slash = strrchr(dir, '/');
	MUST(slash);
	*slash = 0;
	snprintf(cbit, sizeof(cbit), "%s/../cbit", dir);
	snprintf(program, sizeof(program), "%s/cbit-bench-nvme", dir);
	for (int i = 0; i < 2; i++)
		snprintf(device[i], sizeof(device[i]), "nvme,file=%s", f->path[i]);
	MUST(!pipe(in) && !pipe(out));
	f->cbit = fork();
	MUST(f->cbit >= 0);
	if (!f->cbit) {
		close(in[1]);
		close(out[0]);
		dup2(in[0], 0);
		dup2(out[1], 1);
		unpin();
		execl(cbit, "cbit", "run", "--device", device[0], "--device", device[1], "--",
		      program, (char *)NULL);
		fprintf(stderr, "cbit-bench: %s: %s\n", cbit, strerror(errno));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	f->to = fdopen(in[1], "w");
	f->from = fdopen(out[0], "r");
	MUST(f->to && f->from);
}

static void init(struct fixture *f)
{
	for (int i = 0; i < 3; i++) {
		int fd = make_file(f->path[i]);

		if (i == 2)
			f->file = fd;
		else
			close(fd);
	}
	f->private = get_memory(MAP_PRIVATE);
	f->shared = get_memory(MAP_SHARED);
	f->bounce = aligned_alloc(4096, NVME_DEPTH * NVME_IO_SIZE);
	f->event = eventfd(0, EFD_CLOEXEC);
	MUST(f->bounce && f->event >= 0);
	memset(f->bounce, 3, NVME_DEPTH * NVME_IO_SIZE);
	f->remote = fork();
	MUST(f->remote >= 0);
	if (!f->remote) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memset(f->private, 4, (2 + NVME_DEPTH) * NVME_IO_SIZE);
		for (;;)
			pause();
	}
	usleep(100000);
	start_cbit(f);
}

static void fini(struct fixture *f)
{
	fclose(f->to);
	fclose(f->from);
	MUST(waitpid(f->cbit, NULL, 0) == f->cbit);
	kill(f->remote, SIGKILL);
	MUST(waitpid(f->remote, NULL, 0) == f->remote);
	for (int i = 0; i < 3; i++)
		unlink(f->path[i]);
	close(f->file);
	close(f->event);
	free(f->bounce);
}

static void figure(struct fixture *f, bool goal)
{
	char name[64];
	struct bench b = { .name = name,
			   .unit = BENCH_TIMES,
			   .run = run,
			   .ref = reference,
			   .opaque = f,
			   .per = nvme_ios(f->queues, f->depth),
			   .goal = goal ? 1.5 : 0,
			   .rounds = 8 };

	snprintf(name, sizeof(name), "nvme-%s%s-%s-q%u-d%u", f->cpu ? "cpu-" : "",
		 f->write ? "write" : "read", f->memory ? "shared" : "private", f->queues,
		 f->depth);
	bench_figure(&b);
}

void bench_nvme(void)
{
	struct fixture f = { 0 };

	if (!bench_wanted("nvme-"))
		return;
	init(&f);
	for (unsigned int i = 0; i < 32; i++) {
		f.cpu = i >> 4 & 1;
		f.memory = i >> 3 & 1;
		f.write = i >> 2 & 1;
		f.queues = i >> 1 & 1 ? NVME_QUEUES : 1;
		f.depth = i & 1 ? NVME_DEPTH : 1;
		figure(&f, !f.cpu && !f.memory && f.depth > 1);
	}
	fini(&f);
}
