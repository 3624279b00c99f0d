// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: loads on an NVMe disk that can be told apart from any other bytes.
 *
 * usage: client_nvme verify [private|shared] [QUEUES] [irq]
 *            random writes and reads at depth 32 of each queue; every read is what was written
 *        client_nvme load STATE
 *            writes and flushes until it is killed; STATE is a file that says what was
 *            issued, and what was acknowledged as being on the disk
 *        client_nvme check DISK STATE
 *            (without cbit) is that so?
 *        client_nvme idle
 *            the controller is ready and has nothing to do for five seconds
 */
#include "nvme_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define UNIT   VC_PAGE /* bytes of a command */
#define UNITS  1024u   /* of the disk that are used */
#define DEPTH  32u
#define ROUNDS 40000u
#define MAGIC  0x5ca1ab1e0ddba11ull

/* What a unit of the disk holds: nobody else's bytes, nor those of another time or place. */
struct header {
	uint64_t magic;
	uint32_t unit;
	uint32_t sequence;
};

/* Shared with whoever checks; written by stores, so it outlives a kill. */
struct state {
	uint32_t issued[UNITS];
	uint32_t acknowledged[UNITS];
	uint32_t flushes;
};

static uint64_t seed = 88172645463325252ull;

static uint32_t random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static void fill(uint8_t *at, uint32_t unit, uint32_t sequence)
{
	struct header h = { MAGIC, unit, sequence };
	uint64_t v = (uint64_t)unit << 32 | sequence;

	for (size_t i = 0; i < UNIT; i += 8) {
		v = v * 6364136223846793005ull + 1442695040888963407ull;
		memcpy(at + i, &v, 8);
	}
	memcpy(at, &h, sizeof(h));
}

/* The sequence number of a whole unit, 0 where nothing was written; UINT32_MAX: it is neither. */
static uint32_t look(const uint8_t *at, uint32_t unit)
{
	static uint8_t want[UNIT];
	struct header h;

	memcpy(&h, at, sizeof(h));
	memset(want, 0, UNIT);
	if (!memcmp(at, want, UNIT))
		return 0;
	fill(want, unit, h.sequence);
	return h.sequence && !memcmp(at, want, UNIT) ? h.sequence : UINT32_MAX;
}

struct slot {
	bool busy;
	bool write;
	bool fua;
	uint32_t unit;
	uint32_t sequence;
};

/* The load: every slot of every queue is a command under way, in a unit that no other has. */
struct load {
	struct nc nc;
	struct state *state;
	uint32_t completed[UNITS];
	uint32_t snapshot[UNITS]; /* when the flush under way was issued */
	bool flushing;
	bool busy[UNITS];
	struct slot slot[NC_MAX_QUEUES][DEPTH];
	unsigned long writes, reads;
};

#define FLUSH_CID DEPTH

static size_t slot_at(unsigned int q, unsigned int i)
{
	return ((size_t)(q - 1) * DEPTH + i) * UNIT;
}

static void issue(struct load *l, unsigned int q, unsigned int i, bool write)
{
	struct slot *s = &l->slot[q][i];
	uint32_t per = (uint32_t)UNIT / l->nc.block;
	struct nc_sqe sqe;

	do {
		s->unit = random32() % UNITS;
	} while (l->busy[s->unit]);
	l->busy[s->unit] = true;
	s->busy = true;
	s->write = write;
	s->fua = write && random32() % 8 == 0;
	s->sequence = l->state->issued[s->unit] + write;
	if (write) {
		fill(l->nc.data + slot_at(q, i), s->unit, s->sequence);
		/* Before the doorbell: what is on the disk was issued. */
		__atomic_store_n(&l->state->issued[s->unit], s->sequence, __ATOMIC_RELEASE);
	}
	sqe = nc_io(&l->nc, write ? NC_WRITE : NC_READ, (uint64_t)s->unit * per, per,
		    slot_at(q, i));
	sqe.cid = (uint16_t)i;
	sqe.cdw12 |= s->fua ? NC_FUA : 0;
	nc_put(&l->nc.q[q], &sqe);
}

static void acknowledge(struct load *l, uint32_t unit, uint32_t sequence)
{
	if (l->state->acknowledged[unit] < sequence)
		__atomic_store_n(&l->state->acknowledged[unit], sequence, __ATOMIC_RELEASE);
}

static void issue_flush(struct load *l)
{
	const struct nc_sqe sqe = { .opcode = NC_FLUSH, .nsid = 1, .cid = FLUSH_CID };

	memcpy(l->snapshot, l->completed, sizeof(l->snapshot));
	l->flushing = true;
	nc_put(&l->nc.q[1], &sqe);
	nc_ring(&l->nc, &l->nc.q[1]);
}

static void flushed(struct load *l)
{
	for (uint32_t i = 0; i < UNITS; i++)
		acknowledge(l, i, l->snapshot[i]);
	l->flushing = false;
	l->state->flushes++;
}

static void completed(struct load *l, unsigned int q, const struct nc_cqe *cqe)
{
	struct slot *s = &l->slot[q][cqe->cid % DEPTH];

	VC_REQUIRE(!cqe->status, "queue %u command %u: status 0x%x", q, cqe->cid, cqe->status);
	if (cqe->cid == FLUSH_CID) {
		flushed(l);
		return;
	}
	VC_REQUIRE(cqe->cid < DEPTH && s->busy, "queue %u: a completion of nothing, cid %u", q,
		   cqe->cid);
	if (!s->write) {
		uint32_t found = look(l->nc.data + slot_at(q, cqe->cid), s->unit);

		VC_REQUIRE(found == l->completed[s->unit], "unit %u: read sequence %u, wrote %u",
			   s->unit, found, l->completed[s->unit]);
		l->reads++;
	} else {
		l->completed[s->unit] = s->sequence;
		if (s->fua)
			acknowledge(l, s->unit, s->sequence);
		l->writes++;
	}
	s->busy = false;
	l->busy[s->unit] = false;
}

static unsigned int reap(struct load *l, unsigned int q)
{
	struct nc_cqe cqe;
	unsigned int n = 0;

	while (nc_poll(&l->nc.q[q], &cqe)) {
		completed(l, q, &cqe);
		n++;
	}
	if (n)
		nc_taken(&l->nc, &l->nc.q[q]);
	return n;
}

static unsigned int refill(struct load *l, unsigned int q, unsigned int writes_of_8)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < DEPTH; i++) {
		if (l->slot[q][i].busy)
			continue;
		issue(l, q, i, random32() % 8 < writes_of_8);
		n++;
	}
	if (n)
		nc_ring(&l->nc, &l->nc.q[q]);
	return n;
}

static bool under_way(const struct load *l)
{
	for (unsigned int q = 1; q <= l->nc.queues; q++)
		for (unsigned int i = 0; i < DEPTH; i++)
			if (l->slot[q][i].busy)
				return true;
	return l->flushing;
}

static void open_load(struct load *l, unsigned int queues, enum nc_memory kind, bool irq)
{
	nc_open(&l->nc, 0, queues, (size_t)queues * DEPTH * UNIT, kind, irq);
	VC_REQUIRE(l->nc.blocks * l->nc.block >= UNITS * UNIT, "the disk is too small");
}

static int verify(int argc, char **argv)
{
	static struct load l;
	static struct state state;
	enum nc_memory kind = NC_PRIVATE;
	unsigned int queues = 2;
	unsigned long done = 0;
	time_t end = time(NULL) + 160;
	bool irq = false;

	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "shared"))
			kind = NC_SHARED;
		else if (!strcmp(argv[i], "irq"))
			irq = true;
		else if (strcmp(argv[i], "private") != 0)
			queues = (unsigned int)atoi(argv[i]);
	}
	l.state = &state;
	open_load(&l, queues, kind, irq);
	/* What an earlier run left is not zeros. */
	for (uint32_t i = 0; i < UNITS; i++) {
		uint32_t per = (uint32_t)UNIT / l.nc.block;

		memset(l.nc.data, 0, UNIT);
		nc_do(&l.nc, 1, nc_io(&l.nc, NC_WRITE, (uint64_t)i * per, per, 0));
	}
	while (done < ROUNDS) {
		unsigned long before = done;

		for (unsigned int q = 1; q <= queues; q++) {
			refill(&l, q, 4);
			done += reap(&l, q);
		}
		if (irq && done == before)
			VC_REQUIRE(nc_wait(&l.nc, 10000), "no interrupt");
		VC_REQUIRE(time(NULL) < end, "only %lu commands in so long", done);
	}
	while (under_way(&l)) {
		for (unsigned int q = 1; q <= queues; q++)
			reap(&l, q);
		VC_REQUIRE(time(NULL) < end, "commands do not end");
	}
	nc_close(&l.nc);
	printf("%lu writes, %lu reads: all right\n", l.writes, l.reads);
	return 0;
}

static struct state *open_state(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct state *state;

	VC_REQUIRE(fd >= 0 && !ftruncate(fd, sizeof(*state)), "%s", path);
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	VC_REQUIRE(state != MAP_FAILED, "%s", path);
	close(fd);
	return state;
}

static int __attribute__((noreturn)) load(const char *path)
{
	static struct load l;
	unsigned int since = 0;

	l.state = open_state(path);
	seed ^= (uint64_t)time(NULL) * 2654435761u ^ (uint64_t)getpid();
	open_load(&l, 2, NC_PRIVATE, false);
	/* After a power cut the disk is where it is: go on from there. */
	for (uint32_t i = 0; i < UNITS; i++)
		l.completed[i] = l.state->acknowledged[i];
	printf("starting\n");
	fflush(stdout);
	for (;;) {
		for (unsigned int q = 1; q <= 2; q++) {
			refill(&l, q, 8);
			since += reap(&l, q);
		}
		if (since > 200 && !l.flushing) {
			issue_flush(&l);
			since = 0;
		}
	}
}

static int check(const char *disk, const char *path)
{
	struct state *state = open_state(path);
	int fd = open(disk, O_RDONLY | O_CLOEXEC);
	unsigned long acknowledged = 0, ahead = 0, bad = 0;
	static uint8_t unit[UNIT];

	VC_REQUIRE(fd >= 0, "%s", disk);
	for (uint32_t i = 0; i < UNITS; i++) {
		uint32_t found;

		VC_REQUIRE(pread(fd, unit, UNIT, (off_t)i * (off_t)UNIT) == (ssize_t)UNIT, "%s",
			   disk);
		found = look(unit, i);
		acknowledged += state->acknowledged[i] > 0;
		ahead += found != UINT32_MAX && found > state->acknowledged[i];
		if (found >= state->acknowledged[i] && found <= state->issued[i])
			continue;
		bad++;
		printf("unit %u: sequence %u on the disk, acknowledged %u, issued %u\n", i, found,
		       state->acknowledged[i], state->issued[i]);
	}
	printf("%lu units acknowledged, %lu ahead of that, %u flushes, %lu wrong\n", acknowledged,
	       ahead, state->flushes, bad);
	/* The next load goes on from what is there. */
	for (uint32_t i = 0; i < UNITS && !bad; i++) {
		VC_REQUIRE(pread(fd, unit, UNIT, (off_t)i * (off_t)UNIT) == (ssize_t)UNIT, "%s",
			   disk);
		state->acknowledged[i] = state->issued[i] = look(unit, i);
	}
	return bad ? 1 : 0;
}

static int idle(void)
{
	const unsigned int seconds = 5;
	unsigned long limit = (unsigned long)sysconf(_SC_CLK_TCK) * seconds / 100, used;
	struct timespec a, b;
	struct nc nc;
	long us;

	nc_open(&nc, 0, 1, VC_PAGE, NC_PRIVATE, true);
	for (int i = 0; i < 1000; i++)
		nc_do(&nc, 1, nc_io(&nc, NC_READ, 0, 1, 0));
	usleep(500000);
	used = vc_supervisor_ticks();
	sleep(seconds);
	used = vc_supervisor_ticks() - used;
	/* After all that silence it still reacts. */
	clock_gettime(CLOCK_MONOTONIC, &a);
	nc_do(&nc, 1, nc_io(&nc, NC_READ, 0, 1, 0));
	clock_gettime(CLOCK_MONOTONIC, &b);
	us = (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
	printf("%lu ticks of %lu allowed; the first command after it took %ld us\n", used, limit,
	       us);
	nc_close(&nc);
	return used >= limit;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "verify"))
		return verify(argc, argv);
	if (argc == 3 && !strcmp(argv[1], "load"))
		load(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "check"))
		return check(argv[2], argv[3]);
	if (argc == 2 && !strcmp(argv[1], "idle"))
		return idle();
	fprintf(stderr, "usage: client_nvme verify|load|check|idle ...\n");
	return 2;
}
