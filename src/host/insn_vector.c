/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vector registers of a traced thread, as XSAVE lays them out (AMD64 Architecture Programmer's
 * Manual, volume 2, chapter 11): the lowest 16 bytes of the first sixteen in the legacy area, the
 * rest in components whose place CPUID tells.
 */
#include <cpuid.h>
#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "insn_vector.h"

#define AREA_XMM      160u
#define AREA_FEATURES 464u /* Linux: those that are enabled, arch/x86/include/asm/user.h */
#define AREA_BV       512u /* XSTATE_BV: those that are not as after a reset */
#define AREA_MIN      576u

enum component {
	SSE = 1,
	YMM_HIGH = 2, /* bytes 16 to 31 of the first sixteen */
	OPMASK = 5,
	ZMM_HIGH = 6, /* bytes 32 to 63 of them */
	ZMM_MORE = 7, /* the other sixteen */
};

static uint64_t word(const struct host_vectors *v, unsigned int at)
{
	uint64_t w;

	memcpy(&w, v->area + at, sizeof(w));
	return w;
}

void host_vector_begin(struct host_vectors *v, pid_t tid)
{
	v->tid = tid;
	v->have = false;
	v->changed = false;
}

static bool fetch(struct host_vectors *v)
{
	struct iovec iov = { v->area, sizeof(v->area) };

	if (v->have)
		return true;
	if (ptrace(PTRACE_GETREGSET, v->tid, NT_X86_XSTATE, &iov) || iov.iov_len < AREA_MIN)
		return false;
	v->len = iov.iov_len;
	v->have = true;
	return true;
}

/* Part of a component; NULL where the processor or the kernel has no such one. */
static uint8_t *part(struct host_vectors *v, enum component c, unsigned int at, unsigned int len)
{
	unsigned int size, offset, ecx, edx;

	if (!(word(v, AREA_FEATURES) >> c & 1) ||
	    !__get_cpuid_count(0xd, (unsigned int)c, &size, &offset, &ecx, &edx) ||
	    at + len > size || offset + size > v->len)
		return NULL;
	return v->area + offset + at;
}

/* The pieces of register @reg: where they are, and how long; absent ones are NULL. */
static unsigned int pieces(struct host_vectors *v, unsigned int reg, uint8_t *at[3],
			   unsigned int len[3], enum component of[3])
{
	if (reg >= 16) {
		at[0] = part(v, ZMM_MORE, 64 * (reg - 16), 64);
		len[0] = 64;
		of[0] = ZMM_MORE;
		return 1;
	}
	at[0] = v->area + AREA_XMM + (size_t)16 * reg;
	at[1] = part(v, YMM_HIGH, 16 * reg, 16);
	at[2] = part(v, ZMM_HIGH, 32 * reg, 32);
	for (unsigned int i = 0; i < 3; i++)
		len[i] = i ? 16 * i : 16;
	of[0] = SSE;
	of[1] = YMM_HIGH;
	of[2] = ZMM_HIGH;
	return 3;
}

bool host_vector_get(struct host_vectors *v, unsigned int reg, uint8_t out[HOST_VECTOR_BYTES])
{
	enum component of[3];
	uint8_t *at[3];
	unsigned int len[3], nr;

	if (!fetch(v))
		return false;
	memset(out, 0, HOST_VECTOR_BYTES);
	nr = pieces(v, reg, at, len, of);
	for (unsigned int i = 0; i < nr && at[i]; i++) {
		/* What is as after a reset need not be written out. */
		if (word(v, AREA_BV) >> of[i] & 1)
			memcpy(out, at[i], len[i]);
		out += len[i];
	}
	return at[0] != NULL;
}

bool host_vector_set(struct host_vectors *v, unsigned int reg, const uint8_t value[])
{
	enum component of[3];
	uint8_t *at[3];
	unsigned int len[3], nr;
	uint64_t bv;

	if (!fetch(v))
		return false;
	bv = word(v, AREA_BV);
	nr = pieces(v, reg, at, len, of);
	for (unsigned int i = 0; i < nr && at[i]; i++) {
		memcpy(at[i], value, len[i]);
		value += len[i];
		bv |= UINT64_C(1) << of[i];
	}
	memcpy(v->area + AREA_BV, &bv, sizeof(bv));
	v->changed = true;
	return at[0] != NULL;
}

bool host_vector_enabled(struct host_vectors *v, unsigned int k, unsigned int size,
			 bool on[HOST_VECTOR_BYTES])
{
	uint64_t mask = 0;
	const uint8_t *at = fetch(v) ? part(v, OPMASK, 8 * k, 8) : NULL;

	if (!at)
		return false;
	if (word(v, AREA_BV) >> OPMASK & 1)
		memcpy(&mask, at, sizeof(mask));
	for (unsigned int i = 0; i < HOST_VECTOR_BYTES; i++)
		on[i] = mask >> i / size & 1;
	return true;
}

bool host_vector_put(struct host_vectors *v)
{
	struct iovec iov = { v->area, v->len };

	return !v->changed || !ptrace(PTRACE_SETREGSET, v->tid, NT_X86_XSTATE, &iov);
}
