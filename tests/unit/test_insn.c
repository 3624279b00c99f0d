/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions on device registers: each is carried out by the processor on plain memory and
 * by the emulator on a BAR with the same content. Registers, flags and bytes must agree.
 */
#include "insn_rig.h"

/* clang-format off */
#define SIZES(op)                                              \
	I(op "b %al, (%rbx)") I(op "w %ax, 2(%rbx)")           \
	I(op "l %eax, 4(%rbx)") I(op "q %rax, 8(%rbx)")        \
	I(op "b (%rbx), %al") I(op "w 2(%rbx), %ax")           \
	I(op "l 4(%rbx), %eax") I(op "q 8(%rbx), %rax")        \
	I(op "b %ah, (%rbx)") I(op "b (%rbx), %dh")            \
	I(op "l %r9d, -4(%rbx)") I(op "q 3(%rbx), %r15")       \
	I(op "b %sil, 1(%rbx)") I(op "w (%rbx,%rcx,2), %r8w")
#define IMMEDIATES(op)                                                 \
	I(op "b $0x80, (%rbx)") I(op "w $0x8001, (%rbx)")              \
	I(op "l $0x80000001, (%rbx)") I(op "q $-2, (%rbx)")            \
	I(op "l $-1, (%rbx)") I(op "l $5, 8(%rbx)") I(op "q $0, (%rbx)")

asm(".pushsection .rodata\n"
    "insn_table:\n"
    SIZES("mov") IMMEDIATES("mov")
    I("movzbl (%rbx), %eax") I("movzbw (%rbx), %ax") I("movzbq (%rbx), %rdx")
    I("movzwl (%rbx), %r10d") I("movzwq (%rbx), %r10")
    I("movsbl (%rbx), %eax") I("movsbw (%rbx), %ax") I("movsbq (%rbx), %rdx")
    I("movswl (%rbx), %r10d") I("movswq (%rbx), %r10") I("movslq (%rbx), %r10")
    I("movnti %eax, (%rbx)") I("movnti %rax, (%rbx)")
    I("movl %fs:(%rbx), %eax") I("movl (%ebx), %eax") I("movq (%ebx,%ecx,8), %rax")
    I("movl (%rbx,%rcx,8), %eax") I("movb 5(%rbx,%rcx,4), %ch")
    I("movl -0x100000+0x400(%rip), %eax") I("movl $7, -0x100000+0x400(%rip)")
    I("movd (%rbx), %xmm3") I("movq (%rbx), %xmm12") I("movd %xmm2, (%rbx)")
    I("movq %xmm9, (%rbx)") I("movdqu 3(%rbx), %xmm0") I("movdqu %xmm15, 3(%rbx)")
    I("movdqa (%rbx), %xmm7") I("movdqa %xmm8, (%rbx)") I("movups (%rbx), %xmm1")
    I("movups %xmm1, 1(%rbx)") I("movaps (%rbx), %xmm1") I("movaps %xmm1, (%rbx)")
    I("movupd (%rbx), %xmm1") I("movapd %xmm1, (%rbx)") I("movntdq %xmm4, (%rbx)")
    I("movntps %xmm4, (%rbx)")
    SIZES("and") SIZES("or") SIZES("xor") SIZES("add") SIZES("sub") SIZES("cmp")
    IMMEDIATES("and") IMMEDIATES("or") IMMEDIATES("xor") IMMEDIATES("add")
    IMMEDIATES("sub") IMMEDIATES("cmp") IMMEDIATES("test")
    I("testb %al, (%rbx)") I("testw %ax, (%rbx)") I("testl %eax, (%rbx)")
    I("testq %rdx, (%rbx)") I("testb %ah, (%rbx)")
    SIZES("xchg")
    I("lock orl %eax, (%rbx)") I("lock addq $1, (%rbx)") I("lock andb %dl, (%rbx)")
    I("stosb") I("stosw") I("stosl") I("stosq")
    I("rep stosb") I("rep stosw") I("rep stosl") I("rep stosq")
    I("movsb") I("movsw") I("movsl") I("movsq")
    I("rep movsb") I("rep movsw") I("rep movsl") I("rep movsq")
    ".byte 0\n"
    "insn_refused:\n"
    I("incl (%rbx)") I("notl (%rbx)") I("adcl %eax, (%rbx)") I("sbbl %eax, (%rbx)")
    I("btsl %eax, (%rbx)") I("shll $1, (%rbx)") I("lock cmpxchgl %edx, (%rbx)")
    I("lock xaddl %eax, (%rbx)") I("movsd (%rbx), %xmm0") I("movss (%rbx), %xmm0")
    I("addps (%rbx), %xmm0") I("pushq (%rbx)") I("call *(%rbx)") I("jmp *(%rbx)")
    I("mulq (%rbx)") I("lodsb") I("scasb") I("cmpsb") I("movq (%rbx), %mm0")
    I("vaddps (%rbx), %ymm0, %ymm1") I("vbroadcastss (%rbx), %ymm0") I("fldl (%rbx)") I("imull (%rbx), %eax")
    ".byte 0\n"
    ".popsection\n");
/* clang-format on */
extern const uint8_t insn_table[], insn_refused[];

static void test_same_as_native(void **state)
{
	struct fixture *f = *state;
	const uint8_t *at = insn_table;
	unsigned int n = 0;
	struct insn insn;
	char text[128];

	for (; next_insn(&at, &insn); n++) {
		for (unsigned int round = 0; round < ROUNDS; round++) {
			struct cpu want, got;

			start(f, &want, round);
			got = want;
			run_native(f, &want, &insn);
			if (emulate(f, &got, &insn, text))
				fail_msg("'%s' is refused: %s", insn.text, text);
			compare(&insn, &want, &got);
		}
	}
	assert_true(n > 200);
}

/* What is not known is refused whole: with its text, and nothing changed. */
static void test_refused(void **state)
{
	struct fixture *f = *state;
	const uint8_t *at = insn_refused;
	struct insn insn;
	char text[128];

	while (next_insn(&at, &insn)) {
		struct cpu before, got;

		start(f, &before, 2);
		got = before;
		memset(text, 0, sizeof(text));
		if (emulate(f, &got, &insn, text) != -ENOSYS)
			fail_msg("'%s' is taken", insn.text);
		assert_true(strlen(text) > 3);
		before.regs.rbx = moved(before.regs.rbx);
		before.regs.rsi = moved(before.regs.rsi);
		before.regs.rdi = moved(before.regs.rdi);
		before.regs.rip = moved(before.regs.rip);
		assert_memory_equal(&before.regs, &got.regs, sizeof(got.regs));
		assert_memory_equal(before.fp.xmm_space, got.fp.xmm_space,
				    sizeof(got.fp.xmm_space));
		assert_memory_equal(before.window, got.window, LEN);
		assert_memory_equal(before.plain, got.plain, LEN);
	}
}

/* Instructions at the end of a page, and none at all. */
static void test_edges(void **state)
{
	struct fixture *f = *state;
	static const uint8_t load[] = { 0x8b, 0x03 }; /* mov (%rbx), %eax */
	uint32_t word = 0x12345678;
	bool changed = false;
	struct cpu cpu;
	char text[128];

	start(f, &cpu, 0);
	copy_out(f->pid, CODE + LEN - sizeof(load), load, sizeof(load));
	cbit_pci_bar_write(f->pci, 2, AT, &word, sizeof(word));
	cpu.regs.rbx += SHIFT;
	cpu.regs.rip = CODE + LEN - sizeof(load);
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, locate, f, text, sizeof(text)), 0);
	assert_int_equal(cpu.regs.rax, word);
	assert_int_equal(cpu.regs.rip, CODE + LEN);
	/* cut off by the end, not there, no instruction */
	cpu.regs.rip = CODE + LEN - 1;
	copy_out(f->pid, CODE + LEN - 1, load, 1);
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, locate, f, text, sizeof(text)),
		-ENOSYS);
	assert_string_equal(text, "(cannot be decoded)");
	cpu.regs.rip = 0x1000;
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, locate, f, text, sizeof(text)),
		-ENOSYS);
	assert_string_equal(text, "(cannot be read)");
	cpu.regs.rip = CODE;
	copy_out(f->pid, CODE, "\x06", 1);
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, locate, f, text, sizeof(text)),
		-ENOSYS);
	assert_int_equal(cpu.regs.rip, CODE);
}

/* Once more at @rdi and @rsi for @count elements: how many were carried out before it was left. */
static uint64_t repeat(struct fixture *f, const char *code, uint64_t rdi, uint64_t rsi,
		       uint64_t count)
{
	bool changed = false;
	struct cpu cpu;
	char text[128];

	start(f, &cpu, 0);
	copy_out(f->pid, CODE, code, strlen(code));
	cpu.regs.rdi = rdi;
	cpu.regs.rsi = rsi;
	cpu.regs.rcx = count;
	cpu.regs.eflags &= ~UINT64_C(0x400);
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, locate, f, text, sizeof(text)), 0);
	assert_true(changed);
	assert_int_equal(cpu.regs.rdi, rdi + count - cpu.regs.rcx);
	assert_int_equal(cpu.regs.rip, CODE + (cpu.regs.rcx ? 0 : strlen(code)));
	return count - cpu.regs.rcx;
}

/* A repeated instruction is left where the processor can go on by itself, and never takes long. */
static void test_repeat(void **state)
{
	static const char stos[] = "\xf3\xaa", movs[] = "\xf3\xa4", stos32[] = "\x67\xf3\xaa";
	const uint64_t window = WINDOW + SHIFT;
	struct fixture *f = *state;
	bool changed = false;
	struct cpu cpu, before;
	char text[128];

	assert_int_equal(repeat(f, stos, window, 0, 100), 100);
	/* out of the registers, where other memory follows, or none does */
	assert_int_equal(repeat(f, stos, window + LEN - 16, 0, UINT64_C(1) << 40), 16);
	assert_int_equal(repeat(f, movs, PLAIN, window + LEN - 16, UINT64_C(1) << 40), 16);
	assert_int_equal(repeat(f, movs, PLAIN + LEN - 24, window, 1000), 24);
	assert_int_equal(repeat(f, movs, window, PLAIN + LEN - 24, 1000), 24);
	/* at the very first element the instruction fails, whole */
	start(f, &cpu, 0);
	copy_out(f->pid, CODE, movs, strlen(movs));
	cpu.regs.rsi = 0x1000;
	cpu.regs.rdi = window;
	cpu.regs.rcx = 8;
	before = cpu;
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, locate, f, text, sizeof(text)),
		-ENOSYS);
	assert_false(changed);
	assert_memory_equal(&before.regs, &cpu.regs, sizeof(cpu.regs));
	/* addresses of 32 bits, whose registers wrap elsewhere */
	copy_out(f->pid, CODE, stos32, strlen(stos32));
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, locate, f, text, sizeof(text)),
		-ENOSYS);
}

static bool anywhere(void *opaque, uint64_t addr, struct host_access *out)
{
	struct fixture *f = opaque;

	*out = (struct host_access){ .pci = f->pci, .bar = 2, .pos = addr % LEN };
	return true;
}

static void test_repeat_bounded(void **state)
{
	static const char stos[] = "\xf3\xaa";
	struct fixture *f = *state;
	bool changed = false;
	struct cpu cpu;
	char text[128];

	start(f, &cpu, 0);
	copy_out(f->pid, CODE, stos, strlen(stos));
	cpu.regs.rcx = UINT64_C(1) << 40;
	assert_int_equal(
		host_insn_emulate(f->pid, &cpu.regs, &changed, anywhere, f, text, sizeof(text)), 0);
	assert_int_equal(cpu.regs.rip, CODE);
	assert_in_range((UINT64_C(1) << 40) - cpu.regs.rcx, 1, 1 << 16);
}

/* MOVDIR64B, which many processors lack: 64 bytes from memory to where a register points. */
static void test_line(void **state)
{
	struct fixture *f = *state;
	static const uint8_t code[] = { 0x66, 0x0f, 0x38, 0xf8, 0x7e, 0x08 }; /* 8(%rsi), %rdi */
	const struct insn insn = { code, sizeof(code), "movdir64b 8(%rsi), %rdi" };
	static const uint8_t other[] = { 0x0f, 0x0b }; /* ud2 */
	struct cpu cpu, before;
	char text[128];
	uint64_t to;

	start(f, &before, 0);
	before.regs.rsi = PLAIN + AT;
	before.regs.rdi = WINDOW + AT;
	cpu = before;
	assert_int_equal(emulate(f, &cpu, &insn, text), 0);
	memcpy(before.window + AT, before.plain + AT + 8, 64);
	assert_memory_equal(cpu.window, before.window, LEN);
	assert_int_equal(cpu.regs.rip, CODE + SHIFT + sizeof(code));
	/* where it would go, and what else is none */
	cpu.regs.rip = CODE + SHIFT;
	assert_true(host_insn_line(f->pid, &cpu.regs, &to));
	assert_int_equal(to, WINDOW + SHIFT + AT);
	cpu.regs.rdi += 8; /* not aligned: the processor would refuse it */
	assert_false(host_insn_line(f->pid, &cpu.regs, &to));
	assert_int_not_equal(emulate(f, &cpu, &insn, text), 0);
	copy_out(f->pid, CODE + SHIFT, other, sizeof(other));
	assert_false(host_insn_line(f->pid, &cpu.regs, &to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_same_as_native), T(test_refused), T(test_edges),
		T(test_line),           T(test_repeat),  T(test_repeat_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
