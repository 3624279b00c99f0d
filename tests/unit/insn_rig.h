/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A traced child in which one instruction is carried out by the processor on plain memory, and by
 * the emulator on a BAR with the same content; and their comparison.
 */
#ifndef INSN_RIG_H
#define INSN_RIG_H

#include "client_rig.h"
#include "host/host.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
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
/* clang-format on */

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

static inline bool next_insn(const uint8_t **at, struct insn *out)
{
	out->len = *(*at)++;
	out->code = *at;
	out->text = (const char *)*at + out->len;
	if (out->len)
		*at = (const uint8_t *)out->text + strlen(out->text) + 1;
	return out->len != 0;
}

static inline void child_memory(uint64_t at, size_t len)
{
	void *p = mmap((void *)(uintptr_t)at, len, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != (void *)(uintptr_t)at)
		_exit(1);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	client_down(f->c);
	free(f);
	return 0;
}

static inline bool locate(void *opaque, uint64_t addr, struct host_access *out)
{
	struct fixture *f = opaque;

	if (addr < WINDOW + SHIFT || addr >= WINDOW + SHIFT + LEN)
		return false;
	*out = (struct host_access){ .pci = f->pci, .bar = 2, .pos = addr - WINDOW - SHIFT };
	return true;
}

static inline uint64_t noise(void)
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

static inline void copy_in(pid_t pid, void *dst, uint64_t at, size_t len)
{
	assert_int_equal(host_copy_in(pid, dst, at, len), 0);
}

static inline void copy_out(pid_t pid, uint64_t at, const void *src, size_t len)
{
	assert_int_equal(host_copy_out(pid, at, src, len), 0);
}

static inline void start(struct fixture *f, struct cpu *cpu, unsigned int variant)
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
static inline void run_native(struct fixture *f, struct cpu *cpu, const struct insn *insn)
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

static inline uint64_t moved(uint64_t v)
{
	return v >= WINDOW && v < CODE + LEN ? v + SHIFT : v;
}

static inline int emulate(struct fixture *f, struct cpu *cpu, const struct insn *insn, char *text)
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

static inline void compare(const struct insn *insn, struct cpu *want, const struct cpu *got)
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

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
