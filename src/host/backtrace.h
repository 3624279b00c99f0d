/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Backtraces of clients' calls: what unwinding, remembering and naming share.
 */
#ifndef CBIT_HOST_BACKTRACE_H
#define CBIT_HOST_BACKTRACE_H

#include <cbit/report.h>
#include "host.h"

#define TRACE_FRAMES 16

/**
 * struct trace_place - a return address in the words of its ELF file.
 * @module: index of host_traces' modules; @vaddr: as the file counts, so that a process need not
 *          be there any more when it is looked up.
 */
struct trace_place {
	uint16_t module;
	uint64_t vaddr;
};

/**
 * struct trace_frame - one step of an unwinding.
 * @slot: where in the stack the return address to this frame lies; 0: not known (and for the
 * first).
 */
struct trace_frame {
	uint64_t pc;
	uint64_t slot;
	struct trace_place place;
};

/* A client's files. Numbers are given once and stay. */
uint16_t host_traces_module(struct host_traces *traces, const char *path);

/* unwind.c */
struct unwinder;
struct unwinder *host_unwinder_create(struct host_traces *traces);
void host_unwinder_destroy(struct unwinder *unwinder);
/**
 * host_unwind() - the stack of a thread that is in a system call.
 * @serial: of its address space; @tgid its process.
 * @pc, @sp: its registers; no others are known.
 * Return: how many frames, the innermost first; 0 when there is nothing to go by.
 */
unsigned int host_unwind(struct unwinder *unwinder, uint64_t serial, pid_t tgid, pid_t tid,
			 uint64_t pc, uint64_t sp, struct trace_frame frames[TRACE_FRAMES]);

/* symbols.c */
struct symbols;
struct symbols *host_symbols_create(void);
void host_symbols_destroy(struct symbols *symbols);
/* Fill in function, file and line of a return address where they can be had. */
void host_symbols_name(struct symbols *symbols, const char *path, uint64_t vaddr,
		       struct cbit_frame *out);

#endif
