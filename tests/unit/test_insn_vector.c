/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AVX and AVX-512 moves on device registers, as the processor does them and as the emulator does:
 * all vector and mask registers must agree, besides what test_insn compares.
 */
#include "insn_rig.h"

#include <cpuid.h>
#include <elf.h>
#include <sys/uio.h>

/* clang-format off */
asm(".pushsection .rodata\n"
    "insn_avx:\n"
    I("vmovdqu (%rbx), %ymm0") I("vmovdqu 3(%rbx), %xmm12") I("vmovdqu %ymm15, 5(%rbx)")
    I("vmovdqu %xmm7, (%rbx)") I("vmovdqa (%rbx), %ymm1") I("vmovdqa %ymm1, (%rbx)")
    I("vmovups 1(%rbx), %ymm9") I("vmovups %xmm9, 1(%rbx)") I("vmovaps (%rbx), %xmm2")
    I("vmovaps %ymm2, (%rbx)") I("vmovupd (%rbx), %xmm3") I("vmovupd %ymm3, (%rbx)")
    I("vmovapd (%rbx), %ymm3") I("vmovapd %xmm3, (%rbx)") I("vmovntdq %ymm4, (%rbx)")
    I("vmovntps %ymm4, (%rbx)") I("vmovntpd %xmm4, (%rbx)") I("vmovntdqa (%rbx), %ymm5")
    I("vmovd (%rbx), %xmm6") I("vmovd %xmm6, 4(%rbx)") I("vmovq (%rbx), %xmm8")
    I("vmovq %xmm8, 8(%rbx)") I("vmovdqu %fs:-0x40(%rbx), %ymm11")
    ".byte 0\n"
    "insn_avx512:\n"
    I("vmovdqu64 (%rbx), %zmm0") I("vmovdqu64 1(%rbx), %zmm31") I("vmovdqu64 %zmm17, 64(%rbx)")
    I("vmovdqu64 (%rbx), %ymm16") I("vmovdqu64 %ymm16, (%rbx)") I("vmovdqu64 %xmm21, (%rbx)")
    I("vmovdqu32 %zmm3, (%rbx)") I("vmovdqu16 (%rbx), %xmm4") I("vmovdqu8 %ymm30, 7(%rbx)")
    I("vmovdqa64 (%rbx), %zmm8") I("vmovdqa32 %zmm8, (%rbx)") I("vmovntdq %zmm20, (%rbx)")
    I("vmovups (%rbx), %zmm22") I("vmovapd %zmm22, (%rbx)") I("vmovntdqa (%rbx), %zmm1")
    I("vmovd %xmm19, (%rbx)") I("vmovq (%rbx), %xmm18")
    I("vmovdqu8 %ymm16, (%rbx){%k1}") I("vmovdqu8 (%rbx), %zmm2{%k7}")
    I("vmovdqu8 (%rbx), %xmm2{%k2}{z}") I("vmovdqu16 %zmm5, (%rbx){%k3}")
    I("vmovdqu32 (%rbx), %ymm17{%k4}{z}") I("vmovdqu64 %zmm9, (%rbx){%k5}")
    I("vmovups (%rbx), %zmm9{%k6}") I("vmovapd (%rbx), %ymm10{%k1}")
    ".byte 0\n"
    ".popsection\n");
/* clang-format on */
extern const uint8_t insn_avx[], insn_avx512[];

/* The extended state of the child, with something in each of its vector and mask registers. */
static size_t vectors(struct fixture *f, struct cpu *cpu, uint8_t area[16384])
{
	static const unsigned int components[] = { 2, 5, 6, 7 };
	struct iovec iov = { area, 16384 };
	uint64_t enabled, bv;

	assert_int_equal(ptrace(PTRACE_GETREGSET, f->pid, NT_X86_XSTATE, &iov), 0);
	memcpy(&enabled, area + 464, sizeof(enabled));
	memcpy(&bv, area + 512, sizeof(bv));
	for (unsigned int i = 0; i < sizeof(components) / sizeof(components[0]); i++) {
		unsigned int c = components[i], size, at, ecx, edx;

		if (!(enabled >> c & 1))
			continue;
		__cpuid_count(0xd, c, size, at, ecx, edx);
		for (unsigned int k = 0; k < size; k += 8)
			memcpy(area + at + k, &(uint64_t){ noise() }, 8);
		bv |= UINT64_C(1) << c;
	}
	bv |= 3;
	memcpy(area + 512, &bv, sizeof(bv));
	memcpy(area + 160, cpu->fp.xmm_space, sizeof(cpu->fp.xmm_space));
	return iov.iov_len;
}

static void set_vectors(struct fixture *f, uint8_t *area, size_t len)
{
	struct iovec iov = { area, len };

	assert_int_equal(ptrace(PTRACE_SETREGSET, f->pid, NT_X86_XSTATE, &iov), 0);
}

/* The whole of them, XMM0 and all; not which of them the processor says are as after a reset. */
static void get_vectors(struct fixture *f, uint8_t *area, size_t len)
{
	struct iovec iov = { area, len };

	assert_int_equal(ptrace(PTRACE_GETREGSET, f->pid, NT_X86_XSTATE, &iov), 0);
	memset(area, 0, 160);
	memset(area + 464, 0, 576 - 464);
}

static void vector_table(struct fixture *f, const uint8_t *at)
{
	static uint8_t before[16384], want_area[16384], got_area[16384];
	struct insn insn;
	char text[128];

	while (next_insn(&at, &insn)) {
		for (unsigned int round = 0; round < ROUNDS; round++) {
			struct cpu want, got;
			size_t len;

			start(f, &want, round);
			want.regs.rbx = WINDOW + AT; /* aligned */
			got = want;
			len = vectors(f, &want, before);
			set_vectors(f, before, len);
			run_native(f, &want, &insn);
			get_vectors(f, want_area, len);
			set_vectors(f, before, len);
			if (emulate(f, &got, &insn, text))
				fail_msg("'%s' is refused: %s", insn.text, text);
			get_vectors(f, got_area, len);
			compare(&insn, &want, &got);
			if (memcmp(want_area, got_area, len) != 0)
				fail_msg("%s: vector registers differ", insn.text);
		}
	}
}

static void test_vectors(void **state)
{
	if (!__builtin_cpu_supports("avx2"))
		skip();
	vector_table(*state, insn_avx);
	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
		vector_table(*state, insn_avx512);
}

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_vectors) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
