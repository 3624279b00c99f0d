/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One instruction of the client, carried out on a device's registers: what compilers and
 * drivers use to touch MMIO. Decoding is Zydis'; what an instruction does to memory, registers
 * and flags follows the AMD64 Architecture Programmer's Manual, volume 3.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <Zydis/Zydis.h>

#include "host.h"
#include "insn_vector.h"

#define FLAG_CF     0x001u
#define FLAG_PF     0x004u
#define FLAG_AF     0x010u
#define FLAG_ZF     0x040u
#define FLAG_SF     0x080u
#define FLAG_DF     0x400u
#define FLAG_OF     0x800u
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* Elements that are moved at once: the tracer has other threads to look after. */
#define STRING_MAX 4096u

struct emu {
	pid_t tid;
	struct user_regs_struct *regs;
	struct user_fpregs_struct fp;
	bool have_fp;
	bool fp_changed;
	bool again; /* the instruction is not at its end */
	struct host_vectors *vectors;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	bool (*locate)(void *opaque, uint64_t addr, struct host_access *out);
	void *opaque;
};

static unsigned long long *gpr(struct user_regs_struct *r, int id)
{
	unsigned long long *const regs[16] = { &r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp,
					       &r->rsi, &r->rdi, &r->r8,  &r->r9,  &r->r10, &r->r11,
					       &r->r12, &r->r13, &r->r14, &r->r15 };

	return regs[id & 15];
}

static uint64_t mask_of(unsigned int bytes)
{
	return bytes >= 8 ? UINT64_MAX : (UINT64_C(1) << bytes * 8) - 1;
}

static bool high_byte(ZydisRegister reg)
{
	return reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH;
}

static bool is_gpr(ZydisRegister reg)
{
	ZydisRegisterClass c = ZydisRegisterGetClass(reg);

	return c == ZYDIS_REGCLASS_GPR8 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR32 ||
	       c == ZYDIS_REGCLASS_GPR64;
}

/* The general register that @reg is a part of. */
static unsigned long long *whole(struct emu *e, ZydisRegister reg)
{
	ZydisRegister big = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	return gpr(e->regs, ZydisRegisterGetId(big));
}

static unsigned int reg_bytes(ZydisRegister reg)
{
	return ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg) / 8u;
}

static uint64_t reg_get(struct emu *e, ZydisRegister reg)
{
	uint64_t v = *whole(e, reg);

	return (high_byte(reg) ? v >> 8 : v) & mask_of(reg_bytes(reg));
}

static void reg_set(struct emu *e, ZydisRegister reg, uint64_t v)
{
	unsigned long long *r = whole(e, reg);

	switch (reg_bytes(reg)) {
	case 8:
		*r = v;
		break;
	case 4:
		*r = v & 0xffffffff; /* the upper half is cleared */
		break;
	case 2:
		*r = (*r & ~UINT64_C(0xffff)) | (v & 0xffff);
		break;
	default:
		if (high_byte(reg))
			*r = (*r & ~UINT64_C(0xff00)) | (v & 0xff) << 8;
		else
			*r = (*r & ~UINT64_C(0xff)) | (v & 0xff);
		break;
	}
}

static uint8_t *xmm(struct emu *e, ZydisRegister reg)
{
	if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_XMM || ZydisRegisterGetId(reg) > 15)
		return NULL;
	if (!e->have_fp) {
		if (ptrace(PTRACE_GETFPREGS, e->tid, 0, &e->fp))
			return NULL;
		e->have_fp = true;
	}
	return (uint8_t *)e->fp.xmm_space + 16 * (size_t)ZydisRegisterGetId(reg);
}

static uint64_t effective(struct emu *e, const ZydisDecodedOperand *op)
{
	uint64_t addr = 0;

	if (op->mem.segment == ZYDIS_REGISTER_FS)
		addr = e->regs->fs_base;
	else if (op->mem.segment == ZYDIS_REGISTER_GS)
		addr = e->regs->gs_base;
	if (op->mem.disp.has_displacement)
		addr += (uint64_t)op->mem.disp.value;
	if (op->mem.base == ZYDIS_REGISTER_RIP)
		addr += e->regs->rip + e->insn.length;
	else if (op->mem.base != ZYDIS_REGISTER_NONE)
		addr += reg_get(e, op->mem.base);
	if (op->mem.index != ZYDIS_REGISTER_NONE)
		addr += reg_get(e, op->mem.index) * op->mem.scale;
	if (e->insn.address_width == 32)
		addr &= 0xffffffff;
	return addr;
}

/* Memory as the instruction sees it: a register of a device, or the client's own. */
static int mem_read(struct emu *e, uint64_t addr, void *buf, unsigned int len)
{
	struct host_access a;

	if (!e->locate(e->opaque, addr, &a))
		return host_copy_in(e->tid, buf, addr, len);
	cbit_pci_bar_read(a.pci, a.bar, a.pos, buf, len);
	return 0;
}

static int mem_write(struct emu *e, uint64_t addr, const void *buf, unsigned int len)
{
	struct host_access a;

	if (!e->locate(e->opaque, addr, &a))
		return host_copy_out(e->tid, addr, buf, len);
	cbit_pci_bar_write(a.pci, a.bar, a.pos, buf, len);
	return 0;
}

/* Value of a source that is a general register or an immediate, sign-extended to 64 bits. */
static bool source(struct emu *e, const ZydisDecodedOperand *op, uint64_t *v)
{
	if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		*v = op->imm.value.u;
	else if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(op->reg.value))
		*v = reg_get(e, op->reg.value);
	else
		return false;
	return true;
}

static int64_t sign_extend(uint64_t v, unsigned int bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return (int64_t)(v << shift) >> shift;
}

static int load(struct emu *e, const ZydisDecodedOperand *dst, const ZydisDecodedOperand *src)
{
	uint64_t addr = effective(e, src), v = 0;
	unsigned int len = src->size / 8u;
	uint8_t wide[16] = { 0 };
	uint8_t *x;

	if (is_gpr(dst->reg.value)) {
		if (len > 8 || mem_read(e, addr, &v, len))
			return -ENOSYS;
		if (e->insn.mnemonic == ZYDIS_MNEMONIC_MOVSX ||
		    e->insn.mnemonic == ZYDIS_MNEMONIC_MOVSXD)
			v = (uint64_t)sign_extend(v, len);
		reg_set(e, dst->reg.value, v);
		return 0;
	}
	x = xmm(e, dst->reg.value);
	if (!x || len > 16 || mem_read(e, addr, wide, len))
		return -ENOSYS;
	memcpy(x, wide, sizeof(wide)); /* movd, movq and the rest clear what they do not load */
	e->fp_changed = true;
	return 0;
}

static int store(struct emu *e, const ZydisDecodedOperand *dst, const ZydisDecodedOperand *src)
{
	uint64_t addr = effective(e, dst), v;
	unsigned int len = dst->size / 8u;
	const uint8_t *x;

	if (source(e, src, &v))
		return len <= 8 ? mem_write(e, addr, &v, len) : -ENOSYS;
	x = src->type == ZYDIS_OPERAND_TYPE_REGISTER ? xmm(e, src->reg.value) : NULL;
	return x && len <= 16 ? mem_write(e, addr, x, len) : -ENOSYS;
}

static bool is_vector(ZydisRegister reg)
{
	ZydisRegisterClass c = ZydisRegisterGetClass(reg);

	return c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM || c == ZYDIS_REGCLASS_ZMM;
}

/* Bytes of what one bit of a mask is for. */
static unsigned int element(ZydisMnemonic mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_VMOVDQU8:
		return 1;
	case ZYDIS_MNEMONIC_VMOVDQU16:
		return 2;
	case ZYDIS_MNEMONIC_VMOVDQU32:
	case ZYDIS_MNEMONIC_VMOVDQA32:
	case ZYDIS_MNEMONIC_VMOVUPS:
	case ZYDIS_MNEMONIC_VMOVAPS:
		return 4;
	default:
		return 8;
	}
}

/* Which bytes an AVX-512 instruction moves: all, or those of elements that a mask has. */
static bool enabled(struct emu *e, bool on[HOST_VECTOR_BYTES])
{
	const ZydisRegister k = e->insn.avx.mask.reg;

	memset(on, true, HOST_VECTOR_BYTES);
	return k <= ZYDIS_REGISTER_K0 || k > ZYDIS_REGISTER_K7 ||
	       host_vector_enabled(e->vectors, (unsigned int)(k - ZYDIS_REGISTER_K0),
				   element(e->insn.mnemonic), on);
}

/* AVX's moves between memory and a register. What is loaded is followed by zeros. */
static int vector_move(struct emu *e)
{
	const ZydisDecodedOperand *mem = NULL;
	uint8_t value[HOST_VECTOR_BYTES], bytes[HOST_VECTOR_BYTES];
	bool on[HOST_VECTOR_BYTES], load = false;
	unsigned int len, reg = 32;
	uint64_t addr;

	for (unsigned int i = 0; i < e->insn.operand_count_visible; i++) {
		if (e->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			mem = &e->op[i];
			load = i > 0;
		} else if (is_vector(e->op[i].reg.value)) {
			reg = (unsigned int)ZydisRegisterGetId(e->op[i].reg.value);
		}
	}
	len = mem ? mem->size / 8u : 0;
	if (!len || len > HOST_VECTOR_BYTES || reg > 31 ||
	    !host_vector_get(e->vectors, reg, value) || !enabled(e, on))
		return -ENOSYS;
	addr = effective(e, mem);
	/* Runs of what is moved: what a mask leaves out is not touched. */
	for (unsigned int i = 0, n; i < len; i += n) {
		for (n = 1; i + n < len && on[i + n] == on[i]; n++)
			;
		if (on[i] && (load ? mem_read(e, addr + i, bytes + i, n)
				   : mem_write(e, addr + i, value + i, n)))
			return -ENOSYS;
	}
	if (!load)
		return 0;
	for (unsigned int i = 0; i < HOST_VECTOR_BYTES; i++) {
		if (i >= len || (!on[i] && e->insn.avx.mask.mode == ZYDIS_MASK_MODE_ZEROING))
			value[i] = 0;
		else if (on[i])
			value[i] = bytes[i];
	}
	return host_vector_set(e->vectors, reg, value) ? 0 : -ENOSYS;
}

static void flags_logic(struct emu *e, uint64_t r, unsigned int len)
{
	uint64_t f = e->regs->eflags & ~(uint64_t)FLAGS_ARITH;

	r &= mask_of(len);
	if (!r)
		f |= FLAG_ZF;
	if (r >> (8 * len - 1))
		f |= FLAG_SF;
	if (!__builtin_parity((unsigned int)(r & 0xff)))
		f |= FLAG_PF;
	e->regs->eflags = f;
}

/* Flags of @r, the sum of @a and @b or, with @sub, their difference. */
static void flags_sum(struct emu *e, uint64_t a, uint64_t b, uint64_t r, unsigned int len, bool sub)
{
	uint64_t m = mask_of(len), change = (sub ? a ^ b : ~(a ^ b)) & (a ^ r);

	flags_logic(e, r, len);
	if (sub ? (a & m) < (b & m) : (r & m) < (a & m))
		e->regs->eflags |= FLAG_CF;
	if ((a ^ b ^ r) & 0x10)
		e->regs->eflags |= FLAG_AF;
	if (change >> (8 * len - 1) & 1)
		e->regs->eflags |= FLAG_OF;
}

/* Two operands, one of them memory: result and flags; what is written back is told. */
static int alu(struct emu *e, uint64_t a, uint64_t b, unsigned int len, uint64_t *r, bool *keep)
{
	*keep = true;
	switch (e->insn.mnemonic) {
	case ZYDIS_MNEMONIC_AND:
		*r = a & b;
		flags_logic(e, *r, len);
		return 0;
	case ZYDIS_MNEMONIC_OR:
		*r = a | b;
		flags_logic(e, *r, len);
		return 0;
	case ZYDIS_MNEMONIC_XOR:
		*r = a ^ b;
		flags_logic(e, *r, len);
		return 0;
	case ZYDIS_MNEMONIC_ADD:
		*r = a + b;
		flags_sum(e, a, b, *r, len, false);
		return 0;
	case ZYDIS_MNEMONIC_SUB:
		*r = a - b;
		flags_sum(e, a, b, *r, len, true);
		return 0;
	case ZYDIS_MNEMONIC_CMP:
		flags_sum(e, a, b, a - b, len, true);
		*keep = false;
		return 0;
	case ZYDIS_MNEMONIC_TEST:
		flags_logic(e, a & b, len);
		*keep = false;
		return 0;
	default:
		return -ENOSYS;
	}
}

static int two_operands(struct emu *e)
{
	const ZydisDecodedOperand *dst = &e->op[0], *src = &e->op[1];
	bool to_mem = dst->type == ZYDIS_OPERAND_TYPE_MEMORY, keep;
	unsigned int len = dst->size / 8u;
	uint64_t a = 0, b = 0, r = 0, addr = effective(e, to_mem ? dst : src);

	if (len > 8 || !source(e, to_mem ? src : dst, to_mem ? &b : &a) ||
	    mem_read(e, addr, to_mem ? &a : &b, len))
		return -ENOSYS;
	if (e->insn.mnemonic == ZYDIS_MNEMONIC_XCHG) {
		ZydisRegister reg = (to_mem ? src : dst)->reg.value;

		if (mem_write(e, addr, to_mem ? &b : &a, len))
			return -ENOSYS;
		reg_set(e, reg, to_mem ? a : b);
		return 0;
	}
	if (alu(e, a, b, len, &r, &keep))
		return -ENOSYS;
	if (!keep)
		return 0;
	if (to_mem)
		return mem_write(e, addr, &r, len);
	reg_set(e, dst->reg.value, r);
	return 0;
}

/*
 * MOVS and STOS, once or repeated. A repeated one may be interrupted between two elements, as by
 * the processor: the program goes on with it by itself once it has left the registers, or meets
 * memory that is not there.
 */
static int string_op(struct emu *e, unsigned int len, bool movs)
{
	bool rep = (e->insn.attributes & ZYDIS_ATTRIB_HAS_REP) != 0;
	int64_t step = e->regs->eflags & FLAG_DF ? -(int64_t)len : (int64_t)len;
	uint64_t v = e->regs->rax;

	/* The other widths of addresses, and segments, nobody uses for this. */
	if (e->insn.address_width != 64 ||
	    (e->insn.attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS)))
		return -ENOSYS;
	for (unsigned int n = 0; !rep || e->regs->rcx; n++) {
		struct host_access from, to;
		bool reads = movs && e->locate(e->opaque, e->regs->rsi, &from);
		bool writes = e->locate(e->opaque, e->regs->rdi, &to);

		e->again = n && (n == STRING_MAX || (!reads && !writes));
		if (e->again)
			break;
		if (reads)
			cbit_pci_bar_read(from.pci, from.bar, from.pos, &v, len);
		else if (movs)
			e->again = host_copy_in(e->tid, &v, e->regs->rsi, len) != 0;
		if (writes && !e->again)
			cbit_pci_bar_write(to.pci, to.bar, to.pos, &v, len);
		else if (!e->again)
			e->again = host_copy_out(e->tid, e->regs->rdi, &v, len) != 0;
		if (e->again)
			return n ? 0 : -ENOSYS;
		if (movs)
			e->regs->rsi += (uint64_t)step;
		e->regs->rdi += (uint64_t)step;
		if (!rep)
			break;
		e->regs->rcx--;
	}
	return 0;
}

/* MOVDIR64B: the destination is the address that a register holds, 64 bytes at once. */
static bool line_target(struct emu *e, uint64_t *to)
{
	const ZydisDecodedOperand *dst = &e->op[0];

	if (e->insn.mnemonic != ZYDIS_MNEMONIC_MOVDIR64B ||
	    dst->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	*to = reg_get(e, dst->reg.value);
	return *to % 64 == 0;
}

static int line(struct emu *e)
{
	uint8_t buf[64];
	uint64_t to;

	if (!line_target(e, &to) || mem_read(e, effective(e, &e->op[1]), buf, sizeof(buf)))
		return -ENOSYS;
	return mem_write(e, to, buf, sizeof(buf));
}

static int execute(struct emu *e)
{
	switch (e->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVDIR64B:
		return line(e);
	case ZYDIS_MNEMONIC_MOV:
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_MOVD:
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVAPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVAPD:
	case ZYDIS_MNEMONIC_MOVNTDQ:
	case ZYDIS_MNEMONIC_MOVNTPS:
		if (e->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return store(e, &e->op[0], &e->op[1]);
		return load(e, &e->op[0], &e->op[1]);
	case ZYDIS_MNEMONIC_VMOVD:
	case ZYDIS_MNEMONIC_VMOVQ:
	case ZYDIS_MNEMONIC_VMOVDQU:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVUPS:
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVUPD:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQU8:
	case ZYDIS_MNEMONIC_VMOVDQU16:
	case ZYDIS_MNEMONIC_VMOVDQU32:
	case ZYDIS_MNEMONIC_VMOVDQU64:
	case ZYDIS_MNEMONIC_VMOVDQA32:
	case ZYDIS_MNEMONIC_VMOVDQA64:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQA:
		return vector_move(e);
	case ZYDIS_MNEMONIC_MOVSB:
	case ZYDIS_MNEMONIC_STOSB:
		return string_op(e, 1, e->insn.mnemonic == ZYDIS_MNEMONIC_MOVSB);
	case ZYDIS_MNEMONIC_MOVSW:
	case ZYDIS_MNEMONIC_STOSW:
		return string_op(e, 2, e->insn.mnemonic == ZYDIS_MNEMONIC_MOVSW);
	case ZYDIS_MNEMONIC_MOVSD:
		if (e->insn.opcode != 0xa5) /* the SSE one of that name */
			return -ENOSYS;
		return string_op(e, 4, true);
	case ZYDIS_MNEMONIC_STOSD:
		return string_op(e, 4, false);
	case ZYDIS_MNEMONIC_MOVSQ:
	case ZYDIS_MNEMONIC_STOSQ:
		return string_op(e, 8, e->insn.mnemonic == ZYDIS_MNEMONIC_MOVSQ);
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_XCHG:
		return two_operands(e);
	default:
		return -ENOSYS;
	}
}

static void describe(struct emu *e, uint64_t rip, char *text, size_t size)
{
	ZydisFormatter formatter;

	snprintf(text, size, "(no text)");
	if (ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)))
		ZydisFormatterFormatInstruction(&formatter, &e->insn, e->op,
						e->insn.operand_count_visible, text, size, rip,
						NULL);
}

/* The instruction at RIP; @text says why there is none. */
static bool decode(struct emu *e, char *text, size_t text_size)
{
	ZydisDecoder decoder;
	uint8_t code[ZYDIS_MAX_INSTRUCTION_LENGTH];
	size_t len = sizeof(code);

	/* It may be the last on its page. */
	if (host_copy_in(e->tid, code, e->regs->rip, len)) {
		len = (size_t)(CBIT_PAGE_SIZE - (e->regs->rip & ~CBIT_PAGE_MASK));
		if (len > sizeof(code) || host_copy_in(e->tid, code, e->regs->rip, len)) {
			snprintf(text, text_size, "(cannot be read)");
			return false;
		}
	}
	if (ZYAN_FAILED(
		    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
	    ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code, len, &e->insn, e->op))) {
		snprintf(text, text_size, "(cannot be decoded)");
		return false;
	}
	return true;
}

int host_insn_emulate(pid_t tid, struct user_regs_struct *regs, bool *regs_changed,
		      bool (*locate)(void *opaque, uint64_t addr, struct host_access *out),
		      void *opaque, char *text, size_t text_size)
{
	struct host_vectors vectors;
	struct emu e = {
		.tid = tid, .regs = regs, .vectors = &vectors, .locate = locate, .opaque = opaque
	};
	struct user_regs_struct before = *regs;
	int ret;

	if (!decode(&e, text, text_size))
		return -ENOSYS;
	/* Its area is large, and seldom used. */
	host_vector_begin(&vectors, tid);
	ret = execute(&e);
	if (ret) {
		*regs = before;
		describe(&e, regs->rip, text, text_size);
		return ret;
	}
	if ((e.fp_changed && ptrace(PTRACE_SETFPREGS, tid, 0, &e.fp)) || !host_vector_put(&vectors))
		return -ENOSYS;
	if (!e.again)
		regs->rip += e.insn.length;
	*regs_changed = true;
	return 0;
}

bool host_insn_line(pid_t tid, struct user_regs_struct *regs, uint64_t *to)
{
	struct emu e = { .tid = tid, .regs = regs };
	char text[32];

	return decode(&e, text, sizeof(text)) && line_target(&e, to);
}
