/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmark and its client agree on: how much a round is. The client is told figures by
 * name, a line each, and answers with the nanoseconds that the round took.
 */
#ifndef CBIT_BENCH_CLIENT_H
#define CBIT_BENCH_CLIENT_H

#define CLIENT_CALLS  2000u
#define CLIENT_BLOCK  (1u << 20)
#define CLIENT_BLOCKS 32u

#endif
