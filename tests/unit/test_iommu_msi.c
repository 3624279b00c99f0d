/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupt remapping: what reaches the APICs for each kind of entry, the decisions of the
 * device table entry, the events, and entries that stay until they are invalidated.
 */
#include "vi_rig.h"

#define IRT   SCRATCH
#define MSI   UINT64_C(0xfee00000)
#define DM    UINT64_C(4)
#define PASS  (UINT64_C(1) << 60)
#define REMAP (UINT64_C(2) << 60)

#define CTRL32  0
#define CTRL128 CBIT_VI_CTRL_GA
#define CTRLXT  (CBIT_VI_CTRL_GA | CBIT_VI_CTRL_XT)

/* Quadword 2 of the DTE, with the table of 2^@len entries. */
static void set_dte2(struct rig *r, uint64_t bits, unsigned int len)
{
	put64(r, dte_spa(r, DEV) + 16, bits | (uint64_t)len << 1 | 1 | bus_of(r, IRT).v);
	command(r, DEV, 0x20000000, 0, 0);
	command(r, DEV, 0x50000000, 0, 0);
}

static void set_control(struct rig *r, uint64_t bits)
{
	set_reg(r, CBIT_VI_REG_CONTROL, 0x1405 | bits);
}

/* --- entries --- */

/*
 * One entry each, index 5 of the table. @log: dw1 of the event, 0 for none.
 */
static const struct entry {
	const char *what;
	uint64_t control;
	uint64_t lo, hi;
	struct cbit_msi out;
	uint32_t log;
} entries[] = {
	/* 32 bits: vector 23:16, destination 15:8, DM 6, IntType 4:2, SupIOPF 1, RemapEn 0 */
	{ "fixed", CTRL32, 0x00410301, 0, { .dest = 3, .vector = 0x41 }, 0 },
	{ "logical", CTRL32, 0x00ffff41, 0, { .dest = 255, .vector = 255, .logical = true }, 0 },
	{ "lowest priority", CTRL32, 0x00310005, 0, { .vector = 0x31, .delivery = 1 }, 0 },
	{ "RqEoi is no concern", CTRL32, 0x00310021, 0, { .vector = 0x31 }, 0 },
	{ "RemapEn=0", CTRL32, 0x00410300, 0, { 0 }, 0x20080001 },
	{ "RemapEn=0, silent", CTRL32, 0x00410302, 0, { 0 }, 0 },
	{ "IntType 2", CTRL32, 0x00410309, 0, { 0 }, 0x20980001 },
	{ "IntType 7", CTRL32, 0x0041031d, 0, { 0 }, 0x20980001 },
	{ "IntType 7, silent", CTRL32, 0x0041031f, 0, { 0 }, 0 },
	{ "GuestMode", CTRL32, 0x00410381, 0, { 0 }, 0x20980001 },
	{ "reserved 24", CTRL32, 0x01410301, 0, { 0 }, 0x20980001 },
	{ "reserved 31", CTRL32, 0x80410301, 0, { 0 }, 0x20980001 },
	/* 128 bits: vector 71:64, destination 15:8 */
	{ "fixed, 128", CTRL128, 0x0301, 0x41, { .dest = 3, .vector = 0x41 }, 0 },
	{ "logical, 128",
	  CTRL128,
	  0xff45,
	  0xff,
	  { .dest = 255, .vector = 255, .delivery = 1, .logical = true },
	  0 },
	{ "RemapEn=0, 128", CTRL128, 0x0300, 0x41, { 0 }, 0x20080001 },
	{ "RemapEn=0, silent, 128", CTRL128, 0x0302, 0x41, { 0 }, 0 },
	{ "GuestMode, 128: no virtual APIC", CTRL128, 0x0381, 0x41, { 0 }, 0x20980001 },
	{ "IntType 4, 128", CTRL128, 0x0311, 0x41, { 0 }, 0x20980001 },
	{ "long destination without XT", CTRL128, 0x00010301, 0x41, { 0 }, 0x20980001 },
	{ "high destination without XT", CTRL128, 0x0301, 0x0100000000000041, { 0 }, 0x20980001 },
	{ "reserved 63:32", CTRL128, 0x100000301, 0x41, { 0 }, 0x20980001 },
	{ "reserved 72", CTRL128, 0x0301, 0x141, { 0 }, 0x20980001 },
	/* XT: destination 23:0 in 31:8, 31:24 in 127:120 */
	{ "x2APIC",
	  CTRLXT,
	  0x34567801,
	  0x1200000000000041,
	  { .dest = 0x12345678, .vector = 0x41 },
	  0 },
	{ "x2APIC, last id",
	  CTRLXT,
	  0xffffff01,
	  0xff00000000000041,
	  { .dest = 0xffffffff, .vector = 0x41 },
	  0 },
	{ "x2APIC, reserved 119", CTRLXT, 0x0301, 0x0080000000000041, { 0 }, 0x20980001 },
	{ "x2APIC, reserved 32", CTRLXT, 0x100000301, 0x41, { 0 }, 0x20980001 },
	{ "XT without GA: 32 bits",
	  CBIT_VI_CTRL_XT,
	  0x00410301,
	  0,
	  { .dest = 3, .vector = 0x41 },
	  0 },
};

static void test_entries(void **state)
{
	struct rig *r = vi_rig_new(true);

	(void)state;
	set_dte2(r, REMAP, 9);
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		const struct entry *e = &entries[i];
		bool ga = e->control & CBIT_VI_CTRL_GA;
		enum cbit_msi_fate fate;
		struct cbit_msi out = { 0 };
		uint32_t lo = (uint32_t)e->lo;

		set_control(r, e->control);
		if (ga) {
			put64(r, IRT + 5 * 16, e->lo);
			put64(r, IRT + 5 * 16 + 8, e->hi);
		} else {
			put(r, IRT + 5 * 4, &lo, 4);
		}
		command(r, DEV, 0x50000000, 0, 0);
		fate = cbit_iommu_msi(r->iommu, DEV, MSI | DM, 5, &out);
		if (fate !=
		    (e->lo & 1 && !e->log && !(e->lo & 2) ? CBIT_MSI_REMAPPED : CBIT_MSI_ABORTED))
			fail_msg("%s: fate %d", e->what, (int)fate);
		if (fate == CBIT_MSI_REMAPPED &&
		    (out.dest != e->out.dest || out.vector != e->out.vector ||
		     out.delivery != e->out.delivery || out.logical != e->out.logical ||
		     out.index != 5))
			fail_msg("%s: dest %#x vector %#x", e->what, out.dest, out.vector);
		if (e->log)
			expect_log(r, DEV, e->log, MSI | DM);
		expect_no_log(r);
	}
	rig_free(r);
}

/* --- the DTE's decisions --- */

static const struct decision {
	const char *what;
	uint64_t dte2;
	uint64_t address;
	uint32_t data;
	enum cbit_msi_fate fate;
	uint32_t log;
} decisions[] = {
	{ "not an interrupt", REMAP, 0xfedffffc, 5, CBIT_MSI_NONE, 0 },
	{ "not one either", REMAP, 0xfef00000, 5, CBIT_MSI_NONE, 0 },
	{ "nor with high bits", REMAP, 0x1fee00000, 5, CBIT_MSI_NONE, 0 },
	{ "remap", REMAP, MSI, 5, CBIT_MSI_REMAPPED, 0 },
	{ "remap, lowest priority: index 256 + 5", REMAP, MSI, 0x105, CBIT_MSI_REMAPPED, 0 },
	{ "forward", PASS, MSI, 5, CBIT_MSI_FORWARDED, 0 },
	{ "abort", 0, MSI, 5, CBIT_MSI_ABORTED, 0x20080001 },
	{ "reserved IntCtl", PASS | REMAP, MSI, 5, CBIT_MSI_ABORTED, 0x10880000 },
	{ "SMI", REMAP, MSI, 0x200, CBIT_MSI_ABORTED, 0x20080001 },
	{ "SMI: no bit lets it pass", REMAP | 7ull << 56, MSI, 0x200, CBIT_MSI_ABORTED,
	  0x20080001 },
	{ "reserved 3", REMAP, MSI, 0x300, CBIT_MSI_ABORTED, 0x20080001 },
	{ "NMI", REMAP, MSI, 0x400, CBIT_MSI_ABORTED, 0x20080001 },
	{ "NMI passes", REMAP | 1ull << 58, MSI, 0x400, CBIT_MSI_FORWARDED, 0 },
	{ "NMI passes, DM=1 does not", REMAP | 1ull << 58, MSI | DM, 0x400, CBIT_MSI_ABORTED,
	  0x20080001 },
	{ "INIT", REMAP, MSI, 0x500, CBIT_MSI_ABORTED, 0x20080001 },
	{ "INIT passes", REMAP | 1ull << 56, MSI, 0x500, CBIT_MSI_FORWARDED, 0 },
	{ "INIT, others' bits", REMAP | 6ull << 56, MSI, 0x500, CBIT_MSI_ABORTED, 0x20080001 },
	{ "reserved 6", REMAP, MSI, 0x600, CBIT_MSI_ABORTED, 0x20080001 },
	{ "ExtINT", REMAP, MSI, 0x700, CBIT_MSI_ABORTED, 0x20080001 },
	{ "ExtINT passes", REMAP | 1ull << 57, MSI, 0x700, CBIT_MSI_FORWARDED, 0 },
};

static void test_decisions(void **state)
{
	struct rig *r = vi_rig_new(true);
	const uint32_t irte = 0x00410301;
	struct cbit_msi out;

	(void)state;
	put(r, IRT + 5 * 4, &irte, 4);
	put(r, IRT + 0x105 * 4, &irte, 4);
	for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
		const struct decision *d = &decisions[i];

		set_dte2(r, d->dte2, 9);
		if (cbit_iommu_msi(r->iommu, DEV, d->address, d->data, NULL) != d->fate)
			fail_msg("%s", d->what);
		if (d->log)
			expect_log(r, DEV, d->log, d->address);
		expect_no_log(r);
	}
	/* IV=0: as it was, whatever else the entry says; V is about DMA only. */
	put64(r, dte_spa(r, DEV) + 16, REMAP | 0xf << 1);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, 0xfee5600c, 0x4141, &out),
			 CBIT_MSI_FORWARDED);
	assert_int_equal(out.dest, 0x56);
	assert_int_equal(out.vector, 0x41);
	assert_int_equal(out.delivery, 1);
	assert_true(out.logical);
	put64(r, dte_spa(r, DEV), 0);
	set_dte2(r, REMAP, 9);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_REMAPPED);
	assert_int_equal(out.dest, 3);
	expect_no_log(r);
	rig_free(r);
}

/* --- the table --- */

static void test_length(void **state)
{
	struct rig *r = vi_rig_new(true);

	(void)state;
	for (unsigned int i = 0; i < 2048; i++) {
		const uint32_t irte = 0x00000001 | (i & 0xff) << 16 | (i >> 8) << 8;

		put(r, IRT + i * 4, &irte, 4);
	}
	for (unsigned int len = 0; len <= 11; len++) {
		for (unsigned int mode = 0; mode < 2; mode++) {
			unsigned int limit = 1u << len;

			if (limit > (mode ? 2048u : 512u))
				limit = mode ? 2048 : 512;
			set_control(r, mode ? CBIT_VI_CTRL_IRT_2K : 0);
			set_dte2(r, REMAP, len);
			for (unsigned int i = 0; i < 2048; i += i < 16 ? 1 : 127) {
				struct cbit_msi out = { 0 };
				enum cbit_msi_fate fate =
					cbit_iommu_msi(r->iommu, DEV, MSI | DM, i, &out);

				if (i < limit) {
					assert_int_equal(fate, CBIT_MSI_REMAPPED);
					assert_int_equal(out.vector | out.dest << 8, i);
				} else {
					assert_int_equal(fate, CBIT_MSI_ABORTED);
					expect_log(r, DEV, 0x20080001, MSI | DM);
				}
			}
		}
	}
	/* The last of 2048 is where Linux puts it; DM=0 makes its index a delivery mode. */
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI | DM, 2047, NULL), CBIT_MSI_REMAPPED);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 2047, NULL), CBIT_MSI_ABORTED);
	expect_log(r, DEV, 0x20080001, MSI);
	/* IG: what is not mapped is not told of. */
	set_dte2(r, REMAP | CBIT_VI_DTE2_IG, 2);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI | DM, 4, NULL), CBIT_MSI_ABORTED);
	expect_no_log(r);
	rig_free(r);
}

static void test_memory(void **state)
{
	struct rig *r = vi_rig_new(true);
	const uint32_t irte = 0x00410301;

	(void)state;
	/* No memory at the root: PAGE_TAB_HARDWARE_ERROR with I. */
	put64(r, dte_spa(r, DEV) + 16, REMAP | 9 << 1 | 1 | 0x600000000000);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, NULL), CBIT_MSI_ABORTED);
	/* IRTE 5 of 4 bytes: bits 2:0 of the address are reserved. */
	expect_log(r, DEV, 0x42080001, 0x600000000000 + 16);
	/* The root without the C-bit: ciphertext, and no entry that anybody wrote. */
	put(r, IRT + 5 * 4, &irte, 4);
	put64(r, dte_spa(r, DEV) + 16, REMAP | 9 << 1 | 1 | IRT);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, NULL), CBIT_MSI_ABORTED);
	set_dte2(r, REMAP, 9);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, NULL), CBIT_MSI_REMAPPED);
	rig_free(r);
}

/* INVALIDATE_INTERRUPT_TABLE, and the switch that makes it unnecessary. */
static void test_stale(void **state)
{
	struct rig *r = vi_rig_new(true);
	const uint32_t old = 0x00410301, new = 0x00420401, none = 0;
	struct cbit_msi out;

	(void)state;
	set_dte2(r, REMAP, 9);
	/* Not present is not cached. */
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_ABORTED);
	put(r, IRT + 5 * 4, &old, 4);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_REMAPPED);
	put(r, IRT + 5 * 4, &new, 4);
	command(r, DEV + 1, 0x50000000, 0, 0);
	command(r, DEV, 0x20000000, 0, 0);
	command(r, 0, 0x30000001, 0xfffff001, 0x7fffffff);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_REMAPPED);
	assert_int_equal(out.vector, 0x41);
	command(r, DEV, 0x50000000, 0, 0);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_REMAPPED);
	assert_int_equal(out.vector, 0x42);
	put(r, IRT + 5 * 4, &none, 4);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_REMAPPED);
	command(r, 0, 0x80000000, 0, 0);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_ABORTED);
	/* IRTCacheDis. */
	set_control(r, CBIT_VI_CTRL_IRT_UNCACHED);
	put(r, IRT + 5 * 4, &old, 4);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_REMAPPED);
	put(r, IRT + 5 * 4, &new, 4);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, MSI, 5, &out), CBIT_MSI_REMAPPED);
	assert_int_equal(out.vector, 0x42);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries), cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_length),  cmocka_unit_test(test_memory),
		cmocka_unit_test(test_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
