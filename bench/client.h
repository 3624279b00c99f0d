/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmark and its client agree on: how much a round is. The client is told figures by
 * name, a line each, and answers with the nanoseconds that the round took.
 */
#ifndef CBIT_BENCH_CLIENT_H
#define CBIT_BENCH_CLIENT_H

#define CLIENT_CALLS  2000u
#define CLIENT_BLOCK  ((size_t)1 << 20)
#define CLIENT_BLOCKS 16u
/* Blocks are copied from the lower half of as much memory to the upper one, each in its turn. */
#define CLIENT_HALF (CLIENT_BLOCKS * CLIENT_BLOCK)

#endif
