/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unwinding a client's stack by the call frame information of its ELF files (libdw).
 *
 * A thread that waits for us in a system call shows its instruction and stack pointers in
 * /proc/TID/syscall, and no other register. Code without frame pointers needs no other. Where a
 * frame is found by RBP and nobody has saved it on the way there, RBP is looked for: it points at
 * a place in the stack that is followed by a return address, and with the right one the call
 * frame information leads all the way to the first function.
 */
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backtrace.h"

#define PROCESSES    8
#define STACK_WORDS  2048u /* of the stack, read at once */
#define MAX_GUESSES  32u
#define MAX_READS    64u
#define MAX_REBUILDS 16u /* of a process's modules: libraries that came later */

/* DWARF numbers of x86-64 registers (psABI 3.6.2, figure 3.36). */
#define DWARF_RBP 6
#define DWARF_RSP 7
#define DWARF_RA  16

struct process {
	uint64_t serial; /* 0: unused */
	Dwfl *dwfl;
	uint64_t used;
	unsigned int rebuilds;
};

/* @reads: words read since the last frame: one of them is the return address. */
struct unwinder {
	struct host_traces *traces;
	struct process process[PROCESSES];
	uint64_t clock;
	/* of the unwinding under way */
	pid_t tid;
	uint64_t pc, sp, rbp;
	bool have_rbp;
	unsigned int words;
	uint64_t stack[STACK_WORDS];
	unsigned int nr_reads;
	struct {
		uint64_t addr, value;
	} reads[MAX_READS];
	Dwfl *dwfl;
	unsigned int nr;
	bool lost; /* a frame lies in no module */
	struct trace_frame *frames;
};

static int no_debuginfo(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **out)
{
	(void)module, (void)userdata, (void)name, (void)base;
	(void)file, (void)link, (void)crc, (void)out;
	return -1; /* what unwinding needs is in the file itself */
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = no_debuginfo,
};

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	struct unwinder *u = arg;

	(void)dwfl;
	if (*thread_arg)
		return 0;
	*thread_arg = u;
	return u->tid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	(void)dwfl;
	*thread_arg = arg;
	return tid == ((struct unwinder *)arg)->tid;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	struct unwinder *u = arg;
	uint64_t at = addr - u->sp;

	(void)dwfl;
	if (!(at & 7) && at / 8 < u->words)
		*result = u->stack[at / 8];
	else if (host_copy_in(u->tid, result, addr, sizeof(*result)))
		return false;
	u->reads[u->nr_reads++ % MAX_READS].addr = addr;
	u->reads[(u->nr_reads - 1) % MAX_READS].value = *result;
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct unwinder *u = arg;

	dwfl_thread_state_register_pc(thread, u->pc);
	return dwfl_thread_state_registers(thread, DWARF_RSP, 1, &u->sp) &&
	       (!u->have_rbp || dwfl_thread_state_registers(thread, DWARF_RBP, 1, &u->rbp));
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_registers,
};

static void process_drop(struct process *p)
{
	if (p->dwfl)
		dwfl_end(p->dwfl);
	p->dwfl = NULL;
	p->serial = 0;
}

static bool process_build(struct unwinder *u, struct process *p, uint64_t serial, pid_t tgid)
{
	process_drop(p);
	p->dwfl = dwfl_begin(&callbacks);
	if (!p->dwfl)
		return false;
	dwfl_report_begin(p->dwfl);
	if (dwfl_linux_proc_report(p->dwfl, tgid) || dwfl_report_end(p->dwfl, NULL, NULL) ||
	    !dwfl_attach_state(p->dwfl, NULL, tgid, &thread_callbacks, u)) {
		process_drop(p);
		return false;
	}
	p->serial = serial;
	return true;
}

static struct process *process_get(struct unwinder *u, uint64_t serial, pid_t tgid)
{
	struct process *oldest = &u->process[0];

	for (unsigned int i = 0; i < PROCESSES; i++) {
		struct process *p = &u->process[i];

		if (p->serial == serial) {
			p->used = ++u->clock;
			return p;
		}
		if (p->used < oldest->used)
			oldest = p;
	}
	oldest->used = ++u->clock;
	oldest->rebuilds = 0;
	return process_build(u, oldest, serial, tgid) ? oldest : NULL;
}

static bool place(struct unwinder *u, uint64_t pc, struct trace_place *out)
{
	Dwfl_Module *module = dwfl_addrmodule(u->dwfl, pc - 1);
	const char *name, *file = NULL;
	GElf_Addr bias;

	if (!module || !dwfl_module_getelf(module, &bias))
		return false;
	name = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &file, NULL);
	out->module = host_traces_module(u->traces, file ? file : name);
	out->vaddr = pc - bias;
	return true;
}

static int on_frame(Dwfl_Frame *state, void *arg)
{
	struct unwinder *u = arg;
	struct trace_frame *f = &u->frames[u->nr];
	unsigned int reads = u->nr_reads < MAX_READS ? u->nr_reads : MAX_READS;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(state, &pc, NULL))
		return DWARF_CB_ABORT;
	if (!place(u, pc, &f->place)) {
		u->lost = true;
		return DWARF_CB_ABORT;
	}
	f->pc = pc;
	f->slot = 0;
	for (unsigned int i = 0; i < reads && u->nr; i++) {
		if (u->reads[i].value == pc)
			f->slot = u->reads[i].addr;
	}
	u->nr_reads = 0;
	return ++u->nr == TRACE_FRAMES ? DWARF_CB_ABORT : DWARF_CB_OK;
}

/*
 * Is that in a thread's first function? Its call frame information says that it has no return
 * address. A frame that could not be found otherwise ends the unwinding just as quietly.
 */
static bool outermost(const struct unwinder *u, uint64_t pc)
{
	Dwfl_Module *module = dwfl_addrmodule(u->dwfl, pc);
	Dwarf_Op mem[3], *ops;
	Dwarf_Frame *frame;
	Dwarf_Addr bias;
	Dwarf_CFI *cfi;
	size_t nr;
	bool none;

	cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;
	if (!cfi || dwarf_cfi_addrframe(cfi, pc - bias, &frame))
		return false;
	none = !dwarf_frame_register(frame, DWARF_RA, mem, &ops, &nr) && !nr && ops == mem;
	free(frame);
	return none;
}

/* True when the first function was reached, or as many frames as are wanted. */
static bool run(struct unwinder *u, struct trace_frame *frames)
{
	u->frames = frames;
	u->nr = 0;
	u->nr_reads = 0;
	u->lost = false;
	dwfl_getthread_frames(u->dwfl, u->tid, on_frame, u);
	return u->nr == TRACE_FRAMES || (u->nr && outermost(u, frames[u->nr - 1].pc - 1));
}

static bool after_call(const struct unwinder *u, uint64_t addr)
{
	uint8_t code[8];

	if (!dwfl_addrmodule(u->dwfl, addr) ||
	    host_copy_in(u->tid, code, addr - sizeof(code), sizeof(code)))
		return false;
	if (code[3] == 0xe8) /* call rel32 */
		return true;
	/* call r/m64: ff /2, by its possible lengths 2, 3, 4, 6 and 7 */
	for (unsigned int len = 2; len <= 7; len++) {
		if (len != 5 && code[8 - len] == 0xff && (code[9 - len] >> 3 & 7) == 2)
			return true;
	}
	return false;
}

/*
 * Where the function that @pc lies in begins, by the sorted table of .eh_frame_hdr (LSB core,
 * 10.6.2); 0 when nothing tells.
 */
static uint64_t function_of(const struct unwinder *u, uint64_t pc)
{
	Dwfl_Module *module = dwfl_addrmodule(u->dwfl, pc);
	GElf_Addr bias;
	Elf *elf = module ? dwfl_module_getelf(module, &bias) : NULL;
	Elf_Data *data = NULL;
	uint32_t nr, low = 0, high, mid;
	int32_t start;
	GElf_Phdr ph;
	size_t phs;

	if (!elf || elf_getphdrnum(elf, &phs))
		return 0;
	for (size_t i = 0; i < phs && !data; i++) {
		if (gelf_getphdr(elf, (int)i, &ph) && ph.p_type == PT_GNU_EH_FRAME)
			data = elf_getdata_rawchunk(elf, (int64_t)ph.p_offset, ph.p_filesz,
						    ELF_T_BYTE);
	}
	/* Version 1, a count of 4 bytes, a table of pairs of 4 bytes from the section's start. */
	if (!data || data->d_size < 12 || memcmp(data->d_buf, "\x01\x1b\x03\x3b", 4) != 0)
		return 0;
	memcpy(&nr, (const char *)data->d_buf + 8, sizeof(nr));
	if (!nr || nr > (data->d_size - 12) / 8)
		return 0;
	for (high = nr; high - low > 1;) {
		mid = low + (high - low) / 2;
		memcpy(&start, (const char *)data->d_buf + 12 + 8 * (size_t)mid, sizeof(start));
		if (ph.p_vaddr + (uint64_t)(int64_t)start + bias <= pc)
			low = mid;
		else
			high = mid;
	}
	memcpy(&start, (const char *)data->d_buf + 12 + 8 * (size_t)low, sizeof(start));
	return ph.p_vaddr + (uint64_t)(int64_t)start + bias;
}

/*
 * How many frames were not called by the call in front of their return address, as far as that
 * tells: what an earlier call left in the stack looks like a frame, but seldom like a whole chain
 * of them. (Tail calls and functions in two parts count as well, for every guess alike.)
 */
static unsigned int doubts(const struct unwinder *u, const struct trace_frame *f, unsigned int nr)
{
	unsigned int n = 0;
	uint64_t target;
	uint8_t code[5];
	int32_t distance;

	for (unsigned int i = 0; i + 1 < nr; i++) {
		if (i && f[i + 1].slot <= f[i].slot)
			n++;
		if (host_copy_in(u->tid, code, f[i + 1].pc - sizeof(code), sizeof(code)) ||
		    code[0] != 0xe8)
			continue;
		memcpy(&distance, code + 1, sizeof(distance));
		target = f[i + 1].pc + (uint64_t)(int64_t)distance;
		/* A stub of the PLT is no function's beginning, and may lead anywhere. */
		if (function_of(u, target) == target && function_of(u, f[i].pc - 1) != target)
			n++;
	}
	return n;
}

/* Try places in the stack that may be what RBP points at. */
static unsigned int guess(struct unwinder *u, struct trace_frame *frames, unsigned int nr)
{
	struct trace_frame tried[TRACE_FRAMES];
	unsigned int guesses = 0, least = UINT32_MAX, n;
	bool whole, best_whole = false;

	for (unsigned int i = 0; i + 1 < u->words && guesses < MAX_GUESSES; i++) {
		if (!after_call(u, u->stack[i + 1]))
			continue;
		guesses++;
		u->have_rbp = true;
		u->rbp = u->sp + 8 * (uint64_t)i;
		whole = run(u, tried);
		n = doubts(u, tried, u->nr);
		if (whole != best_whole ? whole : n < least && u->nr >= nr) {
			best_whole = whole;
			least = n;
			nr = u->nr;
			memcpy(frames, tried, nr * sizeof(*frames));
		}
		if (whole && !n)
			break;
	}
	u->have_rbp = false;
	return nr;
}

/* As much as can be had of the stack: it may end before STACK_WORDS do. */
static void read_stack(struct unwinder *u)
{
	const uint64_t page = CBIT_PAGE_SIZE - (u->sp & ~CBIT_PAGE_MASK);
	struct iovec local = { .iov_base = u->stack, .iov_len = sizeof(u->stack) };
	struct iovec remote[5];
	size_t len = page, at = 0;
	unsigned int nr = 0;
	ssize_t n;

	for (; at < sizeof(u->stack) && nr < 5; nr++) {
		if (len > sizeof(u->stack) - at)
			len = sizeof(u->stack) - at;
		remote[nr].iov_base = (void *)(uintptr_t)(u->sp + at);
		remote[nr].iov_len = len;
		at += len;
		len = CBIT_PAGE_SIZE;
	}
	n = process_vm_readv(u->tid, &local, 1, remote, nr, 0);
	u->words = n > 0 ? (unsigned int)n / 8 : 0;
}

struct unwinder *host_unwinder_create(struct host_traces *traces)
{
	struct unwinder *u = calloc(1, sizeof(*u));

	if (u)
		u->traces = traces;
	return u;
}

void host_unwinder_destroy(struct unwinder *u)
{
	if (!u)
		return;
	for (unsigned int i = 0; i < PROCESSES; i++)
		process_drop(&u->process[i]);
	free(u);
}

unsigned int host_unwind(struct unwinder *u, uint64_t serial, pid_t tgid, pid_t tid, uint64_t pc,
			 uint64_t sp, struct trace_frame frames[TRACE_FRAMES])
{
	struct process *p = process_get(u, serial, tgid);
	bool whole;

	if (!p)
		return 0;
	u->tid = tid;
	u->pc = pc;
	u->sp = sp;
	u->have_rbp = false;
	u->dwfl = p->dwfl;
	read_stack(u);
	whole = run(u, frames);
	if (!whole && u->lost && p->rebuilds < MAX_REBUILDS) {
		p->rebuilds++;
		if (!process_build(u, p, serial, tgid))
			return 0;
		u->dwfl = p->dwfl;
		whole = run(u, frames);
	}
	return whole ? u->nr : guess(u, frames, u->nr);
}
