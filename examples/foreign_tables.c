/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * foreign_tables: cbit reads page tables that somebody else keeps: a dump, another simulator, a
 * running machine. All it takes are functions that fetch memory. Here it is an array of five
 * pages, and in it tables of x86-64 as a kernel with the C-bit at bit 51 would have them.
 *
 *   cc foreign_tables.c $(pkg-config --cflags --libs cbit) -o foreign_tables
 */
#include <errno.h>
#include <inttypes.h>

#include <cbit/cbit.h>

#include "example.h"

#define C_BIT  51
#define C      (UINT64_C(1) << C_BIT)
#define BASE   UINT64_C(0x40000000) /* physical address of the array's first byte */
#define FRAMES 5

struct dump {
	uint64_t frame[FRAMES][512];
};

/*
 * The address comes as it stands in the entry, C-bit and all. A dump that was made by the kernel
 * has been decrypted already, so the bit is simply taken off. Who holds ciphertext would look
 * which key the bit calls for.
 */
static uint8_t *at(struct dump *dump, uint64_t addr, size_t len)
{
	uint64_t offset = (addr & ~C) - BASE;

	if (offset >= sizeof(dump->frame) || len > sizeof(dump->frame) - offset)
		return NULL;
	return (uint8_t *)dump->frame + offset;
}

static enum cbit_mem_outcome dump_read(void *opaque, struct cbit_bus addr, void *buf, size_t len)
{
	const uint8_t *bytes = at(opaque, addr.v, len);

	if (!bytes) {
		memset(buf, 0xff, len);
		return CBIT_MEM_ABORT;
	}
	memcpy(buf, bytes, len);
	return CBIT_MEM_OK;
}

/* A dump is not written to. */
static enum cbit_mem_outcome dump_write(void *opaque, struct cbit_bus addr, const void *buf,
					size_t len)
{
	(void)opaque;
	(void)addr;
	(void)buf;
	(void)len;
	return CBIT_MEM_ABORT;
}

/* What walks go by: the whole page that holds an address. */
static void *dump_page(void *opaque, struct cbit_bus addr)
{
	return at(opaque, addr.v & CBIT_PAGE_MASK, CBIT_PAGE_SIZE);
}

static const struct cbit_mem_region *dump_find(void *opaque, struct cbit_spa addr)
{
	(void)opaque;
	(void)addr;
	return NULL; /* nobody asks for kinds of memory here */
}

static void look_up(struct cbit_mem *mem, uint64_t root, uint64_t va)
{
	struct cbit_pt_leaf leaf;
	int ret = cbit_pt_walk_from(mem, CBIT_PT_X86_64, (struct cbit_bus){ root },
				    4 | CBIT_PT_SIGN_EXTEND, CBIT_IOVA(va), &leaf);

	printf("0x%016" PRIx64 ": ", va);
	if (!ret)
		printf("SPA 0x%" PRIx64 ", %s (entry 0x%016" PRIx64 " at level %u, %" PRIu64
		       " KiB)\n",
		       leaf.spa.v + (va - leaf.iova.v),
		       leaf.attrs & CBIT_ATTR_ENCRYPTED ? "encrypted" : "plain", leaf.entry,
		       leaf.level, leaf.size >> 10);
	else if (ret == -ENOENT)
		printf("not mapped\n");
	else
		printf("no table at 0x%" PRIx64 " (level %u)\n", leaf.spa.v, leaf.level);
}

int main(void)
{
	static const struct cbit_mem_forward_ops ops = {
		.read = dump_read, .write = dump_write, .page = dump_page, .find = dump_find
	};
	const uint64_t table = C | 0x63, leaf = 0x63; /* present, writable, accessed, dirty */
	static struct dump dump;
	struct cbit_platform platform;
	struct cbit_mem *mem;

	/* The direct map at 0xffff888000000000: index 273 of the top table, then 0, 0. */
	dump.frame[0][273] = (BASE + 0x1000) | table;
	dump.frame[1][0] = (BASE + 0x2000) | table;
	dump.frame[1][1] = UINT64_C(0x80000000) | 0x80 | C | leaf; /* 1 GiB */
	dump.frame[1][2] = UINT64_C(0x7000000) | table;            /* a table that is not there */
	dump.frame[2][0] = (BASE + 0x3000) | table;
	dump.frame[2][1] = UINT64_C(0x200000) | 0x80 | C | leaf; /* 2 MiB */
	dump.frame[3][16] = UINT64_C(0x10000) | C | leaf;
	dump.frame[3][17] = UINT64_C(0x11000) | leaf; /* set_memory_decrypted() was here */

	MUST(cbit_platform_preset("sme", &platform));
	platform.c_bit = C_BIT;
	MUST(cbit_mem_create_forward(&platform, &ops, &dump, &mem));
	look_up(mem, BASE | C, UINT64_C(0xffff888000010008));
	look_up(mem, BASE | C, UINT64_C(0xffff888000011ff0));
	look_up(mem, BASE | C, UINT64_C(0xffff888000212345));
	look_up(mem, BASE | C, UINT64_C(0xffff888041234567));
	look_up(mem, BASE | C, UINT64_C(0xffff888000012000));
	look_up(mem, BASE | C, UINT64_C(0xffff888080000000));
	look_up(mem, BASE | C, UINT64_C(0x0000888000010008)); /* not canonical */
	cbit_mem_destroy(mem);
	return 0;
}
