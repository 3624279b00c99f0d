/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the page table tests share: a memory, a table, a count of what stands in it.
 */
#ifndef CBIT_TEST_PT_RIG_H
#define CBIT_TEST_PT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/pt.h>

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)
#define C51    0x0008000000000000u
#define C47    0x0000800000000000u

static inline struct cbit_mem *make_mem(bool sme, unsigned int c_bit)
{
	struct cbit_platform platform = { .name = "test", .sme = sme, .c_bit = c_bit };
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(GIB(1)),
		.size = MIB(256),
		.name = "dram",
	};
	struct cbit_mem *mem;

	platform.pa_bits = c_bit == 47 ? 43 : 48;
	memset(platform.host_key, 0x5a, 16);
	assert_int_equal(cbit_mem_create(&platform, &mem), 0);
	assert_int_equal(cbit_mem_add_region(mem, &dram, NULL), 0);
	return mem;
}

static inline struct cbit_pt *make_pt(struct cbit_mem *mem, unsigned int mode, unsigned int max)
{
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1,
		.mode = mode,
		.max_mode = max,
		.table_c = true,
	};
	struct cbit_pt *pt;

	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), 0);
	return pt;
}

static inline struct cbit_pt *make_x86(struct cbit_mem *mem, unsigned int levels, bool sign_extend)
{
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_X86_64,
		.mode = levels,
		.max_mode = levels,
		.sign_extend = sign_extend,
		.table_c = true,
	};
	struct cbit_pt *pt;

	assert_int_equal(cbit_pt_create(mem, &cfg, &pt), 0);
	return pt;
}

static inline uint64_t *table_at(struct cbit_mem *mem, uint64_t entry, uint64_t c)
{
	uint64_t addr = entry & 0xffffffffff000 & ~c;

	return cbit_mem_page(mem, cbit_mem_bus(mem, CBIT_SPA(addr), true));
}

/* Present entries of all tables below an entry, and the tables. */
static inline void count(struct cbit_mem *mem, uint64_t table, unsigned int level, uint64_t c,
			 bool x86, unsigned int *leaves, unsigned int *tables)
{
	uint64_t *t = table_at(mem, table, c);

	assert_non_null(t);
	++*tables;
	for (unsigned int i = 0; i < 512; i++) {
		unsigned int next = t[i] >> 9 & 7;
		bool down = x86 ? level > 1 && !(t[i] & 0x80) : next && next != 7;

		if (!(t[i] & 1))
			continue;
		if (down)
			count(mem, t[i], level - 1, c, x86, leaves, tables);
		else
			++*leaves;
	}
}

static inline unsigned int count_tables(struct cbit_mem *mem, struct cbit_pt *pt,
					unsigned int *leaves)
{
	uint64_t c = cbit_platform_c_mask(cbit_mem_platform(mem));
	unsigned int tables = 0;

	*leaves = 0;
	/* only x86_64 has so few sizes */
	count(mem, cbit_pt_root(pt).v, cbit_pt_mode(pt), c, cbit_pt_page_sizes(pt) == 0x40201000,
	      leaves, &tables);
	return tables;
}

#endif
