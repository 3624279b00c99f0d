/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions on device registers: each is carried out by the processor on plain memory and
 * by the emulator on a BAR with the same content. Registers, flags and bytes must agree.
 */
#include "client_rig.h"
#include "host/host.h"

#include <cpuid.h>
#include <elf.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The traced child's memory. What lies from WINDOW on is plain; the same addresses plus SHIFT
 * are the device's, with code of their own, so that addresses relative to RIP work out too.
 */
#define WINDOW UINT64_C(0x30000000)
#define CODE   UINT64_C(0x30100000)
#define SHIFT  UINT64_C(0x08000000)
#define PLAIN  UINT64_C(0x34000000) /* memory of the client's own in both runs */
#define LEN    4096u
#define AT     0x400u /* where the registers point to in it */
#define ROUNDS 40

/* clang-format off */
/* Length, code and text of each instruction, ended by a length of 0. */
#define I(text) ".byte 2f - 1f\n1: " text "\n2: .asciz \"" text "\"\n"
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
extern const uint8_t insn_table[], insn_refused[], insn_avx[], insn_avx512[];

struct fixture {
	struct client *c;
	struct cbit_pci *pci;
	pid_t pid;
};

struct insn {
	const uint8_t *code;
	unsigned int len;
	const char *text;
};

/* What the machine is like before or after. */
struct cpu {
	struct user_regs_struct regs;
	struct user_fpregs_struct fp;
	uint8_t window[LEN];
	uint8_t plain[LEN];
};

static bool next_insn(const uint8_t **at, struct insn *out)
{
	out->len = *(*at)++;
	out->code = *at;
	out->text = (const char *)*at + out->len;
	if (out->len)
		*at = (const uint8_t *)out->text + strlen(out->text) + 1;
	return out->len != 0;
}

static void child_memory(uint64_t at, size_t len)
{
	void *p = mmap((void *)(uintptr_t)at, len, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != (void *)(uintptr_t)at)
		_exit(1);
}

static int setup(void **state)
{
	struct fixture *f = malloc(sizeof(*f));
	struct cbit_device_info dev;
	int status;

	f->c = client_up("bare", "complete", NULL);
	client_plug(f->c, "ioat,membar=64K");
	assert_true(cbit_machine_device(f->c->machine, 0, &dev));
	f->pci = dev.pci;
	cbit_pci_open(f->pci);
	cbit_pci_config_write(f->pci, 4, &(uint16_t){ 2 }, 2);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (!f->pid) {
		child_memory(WINDOW, LEN);
		child_memory(CODE, LEN);
		child_memory(CODE + SHIFT, LEN);
		child_memory(PLAIN, LEN);
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFSTOPPED(status));
	ptrace(PTRACE_SETOPTIONS, f->pid, 0, PTRACE_O_EXITKILL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	client_down(f->c);
	free(f);
	return 0;
}

static bool locate(void *opaque, uint64_t addr, struct host_access *out)
{
	struct fixture *f = opaque;

	if (addr < WINDOW + SHIFT || addr >= WINDOW + SHIFT + LEN)
		return false;
	*out = (struct host_access){ .pci = f->pci, .bar = 2, .pos = addr - WINDOW - SHIFT };
	return true;
}

static uint64_t noise(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	/* now and then values at which carries and signs turn */
	switch (x & 7) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return UINT64_C(0x8000000080008080);
	case 3:
		return UINT64_C(0x7fffffff7fff7f7f);
	default:
		return x * UINT64_C(0x2545f4914f6cdd1d);
	}
}

static void copy_in(pid_t pid, void *dst, uint64_t at, size_t len)
{
	assert_int_equal(host_copy_in(pid, dst, at, len), 0);
}

static void copy_out(pid_t pid, uint64_t at, const void *src, size_t len)
{
	assert_int_equal(host_copy_out(pid, at, src, len), 0);
}

static void start(struct fixture *f, struct cpu *cpu, unsigned int variant)
{
	unsigned long long *const random[] = { &cpu->regs.rax, &cpu->regs.rdx, &cpu->regs.rbp,
					       &cpu->regs.r8,  &cpu->regs.r9,  &cpu->regs.r10,
					       &cpu->regs.r11, &cpu->regs.r12, &cpu->regs.r13,
					       &cpu->regs.r14, &cpu->regs.r15 };

	assert_int_equal(ptrace(PTRACE_GETREGS, f->pid, 0, &cpu->regs), 0);
	assert_int_equal(ptrace(PTRACE_GETFPREGS, f->pid, 0, &cpu->fp), 0);
	for (size_t i = 0; i < sizeof(random) / sizeof(random[0]); i++)
		*random[i] = noise();
	for (size_t i = 0; i < 64; i++)
		cpu->fp.xmm_space[i] = (unsigned int)noise();
	for (size_t i = 0; i < LEN; i += 8) {
		uint64_t a = noise(), b = noise();

		memcpy(cpu->window + i, &a, 8);
		memcpy(cpu->plain + i, &b, 8);
	}
	/* string instructions go into the window, out of it, or from place to place in it */
	cpu->regs.rcx = variant % 5;
	cpu->regs.rbx = WINDOW + AT;
	cpu->regs.rdi = variant % 3 == 1 ? PLAIN + AT : WINDOW + AT;
	cpu->regs.rsi = variant % 3 == 0 ? PLAIN + AT : WINDOW + AT + 24;
	cpu->regs.rip = CODE;
	cpu->regs.orig_rax = UINT64_MAX;
	cpu->regs.fs_base = 0x40;
	cpu->regs.eflags = (cpu->regs.eflags & ~UINT64_C(0xcd5)) | (noise() & 0x8d5) |
			   (variant & 8 ? 0x400 : 0);
}

/* The processor itself, step by step until it has left the instruction. */
static void run_native(struct fixture *f, struct cpu *cpu, const struct insn *insn)
{
	int status;

	copy_out(f->pid, CODE, insn->code, insn->len);
	copy_out(f->pid, WINDOW, cpu->window, LEN);
	copy_out(f->pid, PLAIN, cpu->plain, LEN);
	assert_int_equal(ptrace(PTRACE_SETREGS, f->pid, 0, &cpu->regs), 0);
	assert_int_equal(ptrace(PTRACE_SETFPREGS, f->pid, 0, &cpu->fp), 0);
	for (unsigned int i = 0; i < 16 && cpu->regs.rip == CODE; i++) {
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, f->pid, 0, 0), 0);
		assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			fail_msg("%s: status %x", insn->text, (unsigned int)status);
		assert_int_equal(ptrace(PTRACE_GETREGS, f->pid, 0, &cpu->regs), 0);
	}
	assert_int_equal(ptrace(PTRACE_GETFPREGS, f->pid, 0, &cpu->fp), 0);
	copy_in(f->pid, cpu->window, WINDOW, LEN);
	copy_in(f->pid, cpu->plain, PLAIN, LEN);
}

static uint64_t moved(uint64_t v)
{
	return v >= WINDOW && v < CODE + LEN ? v + SHIFT : v;
}

static int emulate(struct fixture *f, struct cpu *cpu, const struct insn *insn, char *text)
{
	bool changed = false;
	uint64_t rip;
	int ret;

	copy_out(f->pid, CODE + SHIFT, insn->code, insn->len);
	copy_out(f->pid, PLAIN, cpu->plain, LEN);
	cbit_pci_bar_write(f->pci, 2, 0, cpu->window, LEN);
	cpu->regs.rbx = moved(cpu->regs.rbx);
	cpu->regs.rsi = moved(cpu->regs.rsi);
	cpu->regs.rdi = moved(cpu->regs.rdi);
	cpu->regs.rip = moved(cpu->regs.rip);
	assert_int_equal(ptrace(PTRACE_SETFPREGS, f->pid, 0, &cpu->fp), 0);
	rip = cpu->regs.rip;
	do { /* where a repeated one is left to the processor: the same again */
		changed = false;
		ret = host_insn_emulate(f->pid, &cpu->regs, &changed, locate, f, text, 128);
		assert_true(changed == !ret);
	} while (!ret && cpu->regs.rip == rip);
	assert_int_equal(ptrace(PTRACE_GETFPREGS, f->pid, 0, &cpu->fp), 0);
	cbit_pci_bar_read(f->pci, 2, 0, cpu->window, LEN);
	copy_in(f->pid, cpu->plain, PLAIN, LEN);
	return ret;
}

static void compare(const struct insn *insn, struct cpu *want, const struct cpu *got)
{
	static const char *const logic[] = { "and", "or", "xor", "test", "lock or", "lock and" };
	uint64_t flags = 0xcd5;

	for (size_t i = 0; i < sizeof(logic) / sizeof(logic[0]); i++) {
		if (!strncmp(insn->text, logic[i], strlen(logic[i])))
			flags &= ~UINT64_C(0x10); /* AF is undefined */
	}
	if ((want->regs.eflags ^ got->regs.eflags) & flags)
		fail_msg("%s: flags %llx instead of %llx", insn->text, got->regs.eflags & flags,
			 want->regs.eflags & flags);
	want->regs.eflags = got->regs.eflags;
	want->regs.orig_rax = got->regs.orig_rax;
	want->regs.rbx = moved(want->regs.rbx);
	want->regs.rsi = moved(want->regs.rsi);
	want->regs.rdi = moved(want->regs.rdi);
	want->regs.rip = moved(want->regs.rip);
	if (memcmp(&want->regs, &got->regs, sizeof(got->regs)) != 0)
		fail_msg("%s: registers differ: rax %llx instead of %llx, rip %llx, %llx",
			 insn->text, got->regs.rax, want->regs.rax, got->regs.rip, want->regs.rip);
	if (memcmp(want->fp.xmm_space, got->fp.xmm_space, sizeof(got->fp.xmm_space)) != 0)
		fail_msg("%s: XMM registers differ", insn->text);
	if (memcmp(want->window, got->window, LEN) != 0)
		fail_msg("%s: the device's bytes differ", insn->text);
	if (memcmp(want->plain, got->plain, LEN) != 0)
		fail_msg("%s: the client's bytes differ", insn->text);
}

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

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_same_as_native), T(test_vectors), T(test_refused),        T(test_edges),
		T(test_line),           T(test_repeat),  T(test_repeat_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
