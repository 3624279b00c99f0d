// SPDX-License-Identifier: BSD-3-Clause
/* The choices of the probes: the same from the same seed, everywhere. */
#include "probe.h"

void probe_seed(uint64_t seed)
{
	probe.random = seed * UINT64_C(0xd1342543de82ef95) ^ seed << 32;
}

/* splitmix64 */
uint64_t probe_random(void)
{
	uint64_t z = probe.random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t probe_below(uint64_t n)
{
	return probe_random() % n;
}
