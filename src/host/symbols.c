/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names for addresses in ELF files: function, source file and line, by libdw. Works on the files
 * alone, when a report is printed; nothing is fetched from anywhere.
 */
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backtrace.h"

#define OPEN_FILES 16

/* A file that was looked into, the oldest of OPEN_FILES is dropped for a new one. */
struct opened {
	char path[256];
	Dwfl *dwfl;
	Dwfl_Module *module;
};

struct symbols {
	struct opened file[OPEN_FILES];
	unsigned int next;
};

/* Debug information may lie beside the file or by build id in the usual directories. */
static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_build_id_find_debuginfo,
};

struct symbols *host_symbols_create(void)
{
	return calloc(1, sizeof(struct symbols));
}

void host_symbols_destroy(struct symbols *symbols)
{
	if (!symbols)
		return;
	for (unsigned int i = 0; i < OPEN_FILES; i++) {
		if (symbols->file[i].dwfl)
			dwfl_end(symbols->file[i].dwfl);
	}
	free(symbols);
}

static struct opened *open_file(struct symbols *symbols, const char *path)
{
	struct opened *f;

	for (unsigned int i = 0; i < OPEN_FILES; i++) {
		if (symbols->file[i].dwfl && !strcmp(symbols->file[i].path, path))
			return &symbols->file[i];
	}
	f = &symbols->file[symbols->next++ % OPEN_FILES];
	if (f->dwfl)
		dwfl_end(f->dwfl);
	f->module = NULL;
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->dwfl = dwfl_begin(&callbacks);
	if (!f->dwfl)
		return NULL;
	dwfl_report_begin(f->dwfl);
	/* As the file counts: at base 0 with its own addresses. */
	f->module = dwfl_report_elf(f->dwfl, path, path, -1, 0, true);
	dwfl_report_end(f->dwfl, NULL, NULL);
	return f;
}

/* @addr in the address space of the module as it is reported. */
static const char *source_of(Dwfl_Module *module, Dwarf_Addr addr, int *number)
{
	Dwfl_Line *line = dwfl_module_getsrc(module, addr);
	Dwarf_Die *unit = NULL;
	Dwarf_Addr bias;
	Dwarf_Line *found;

	if (line)
		return dwfl_lineinfo(line, NULL, number, NULL, NULL, NULL);
	/* That goes by .debug_aranges, which clang leaves out: ask each unit. */
	while ((unit = dwfl_module_nextcu(module, unit, &bias))) {
		if (dwarf_haspc(unit, addr - bias) <= 0)
			continue;
		found = dwarf_getsrc_die(unit, addr - bias);
		if (found && !dwarf_lineno(found, number))
			return dwarf_linesrc(found, NULL, NULL);
	}
	return NULL;
}

void host_symbols_name(struct symbols *symbols, const char *path, uint64_t vaddr,
		       struct cbit_frame *out)
{
	/* The call, not what comes after it: that may be another line or function. */
	struct opened *f = open_file(symbols, path);
	const char *name, *source;
	GElf_Addr bias;
	GElf_Word section;
	GElf_Off offset;
	GElf_Sym sym;
	int number = 0;

	if (!f || !f->module || !dwfl_module_getelf(f->module, &bias))
		return;
	name = dwfl_module_addrinfo(f->module, vaddr - 1 + bias, &offset, &sym, &section, NULL,
				    NULL);
	/* Without a size it is only the nearest of the few names that a stripped file has. */
	if (name && sym.st_size && offset < sym.st_size)
		snprintf(out->function, sizeof(out->function), "%s", name);
	source = source_of(f->module, vaddr - 1 + bias, &number);
	if (source && number > 0) {
		snprintf(out->file, sizeof(out->file), "%s", source);
		out->line = (unsigned int)number;
	}
}
