/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmark's files share: the clock, rounds of which the fastest counts, and the
 * line that a figure is printed on.
 */
#ifndef CBIT_BENCH_H
#define CBIT_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cbit/iommu.h>

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define MUST(expr)                                                                             \
	do {                                                                                   \
		if (!(expr)) {                                                                 \
			fprintf(stderr, "cbit-bench: %s:%d: not so: %s\n", __FILE__, __LINE__, \
				#expr);                                                        \
			exit(1);                                                               \
		}                                                                              \
	} while (0)

/* Keeps @v and what it was computed from alive. */
static inline void bench_use(uint64_t v)
{
	__asm__ volatile("" : : "r"(v) : "memory");
}

static inline double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/*
 * struct bench - one figure.
 * @run: carries the work out once and returns the nanoseconds of the part that counts.
 * @ref: the bare reference, likewise. Both run in every round, one after the other, so that
 *       whatever else the machine does falls on both; the fastest round of each counts.
 * @per: operations (for BENCH_GBS: bytes) of one run; @ref_per of one reference, 0: the same.
 * @goal: an upper bound in nanoseconds, with BENCH_TIMES of the ratio to the reference, or with
 *       BENCH_GBS a lower bound of that ratio. 0: no goal.
 */
enum bench_unit {
	BENCH_NS,
	BENCH_TIMES,
	BENCH_GBS,
};

struct bench {
	const char *name;
	enum bench_unit unit;
	double (*run)(void *opaque);
	double (*ref)(void *opaque);
	void *opaque;
	double per;
	double ref_per;
	double goal;
	unsigned int rounds;
};

/* bench_figure() - measure and print, unless the name was not asked for. */
void bench_figure(const struct bench *b);

/* bench_wanted() - whether any figure whose name starts with @prefix was asked for. */
bool bench_wanted(const char *prefix);

/* A machine: sparse DRAM for tables, and client memory behind ops under the host key. */
struct bench_rig {
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	uint8_t *client;
	const struct cbit_mem_ops *ops;
};

#define RIG_CLIENT      GIB(64)
#define RIG_CLIENT_SIZE MIB(64)
#define RIG_DEVICE      0x0100

void bench_rig_init(struct bench_rig *r);
void bench_rig_fini(struct bench_rig *r);

void bench_pt(void);
void bench_walk(void);
void bench_nested(void);
void bench_iommu(void);
void bench_miss(void);
void bench_copy(void);
void bench_client(void);
void bench_nvme(void);

#endif
