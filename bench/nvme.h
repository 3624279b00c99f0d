/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the NVMe figures and their client agree on. The client is told "KIND MEMORY QUEUES DEPTH" (0
 * read, 1 write; 0 private, 1 shared), a line each, and answers with the nanoseconds that the
 * round took and those of all processors that cbit used meanwhile.
 */
#ifndef CBIT_BENCH_NVME_H
#define CBIT_BENCH_NVME_H

#define NVME_DISK    ((size_t)64 << 20)
#define NVME_IO_SIZE ((size_t)4096)
#define NVME_DEPTH   32u
#define NVME_QUEUES  4u

/* Commands of a round. */
static inline unsigned int nvme_ios(unsigned int queues, unsigned int depth)
{
	return queues * depth == 1 ? 1000 : 16000;
}

/* Of NVME_DISK in units of NVME_IO_SIZE, in an order that nothing can guess ahead. */
static inline unsigned int nvme_place(unsigned int *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % (unsigned int)(NVME_DISK / NVME_IO_SIZE);
}

#endif
