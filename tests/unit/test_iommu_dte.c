/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Illegal device table entries: every reserved bit and encoding, what is logged of a DMA and of
 * an interrupt that meets one, and the entries that the IOMMU keeps until it is told.
 */
#include "vi_rig.h"

#define EFR_ALL (CBIT_IOMMU_EFR | CBIT_VI_EFR_PPR)

/* Without guest translation and what depends on it. */
#define EFR_NONE                                                                 \
	(CBIT_IOMMU_EFR & ~(CBIT_VI_EFR_GT | CBIT_VI_EFR_GIO | CBIT_VI_EFR_GLX | \
			    CBIT_VI_EFR_GATS | CBIT_VI_EFR_HA | CBIT_VI_EFR_HD))

#define V_TV UINT64_C(0x3)
#define IV   UINT64_C(0x1)

/* One field of a legal entry changed. @efr: features under which the verdict holds. */
static const struct row {
	const char *what;
	uint64_t efr;
	uint64_t dte[4];
	enum cbit_dte_verdict dma;
	enum cbit_dte_verdict interrupt;
} rows[] = {
	{ "all zero", CBIT_IOMMU_EFR, { 0 }, 0, 0 },
	{ "V=0: the rest is not looked at", CBIT_IOMMU_EFR, { ~V_TV, ~0ull, ~IV, ~0ull }, 0, 0 },
	{ "mode 1", CBIT_IOMMU_EFR, { V_TV | 1 << 9 }, 0, 0 },
	{ "mode 6", CBIT_IOMMU_EFR, { V_TV | 6 << 9 }, 0, 0 },
	{ "mode 7", CBIT_IOMMU_EFR, { V_TV | 7 << 9 }, CBIT_DTE_LEVEL, 0 },
	{ "mode 7 without TV", CBIT_IOMMU_EFR, { 1 | 7 << 9 }, 0, 0 },
	{ "mode 5, HATS 4 levels", CBIT_VI_EFR_IA, { V_TV | 5 << 9 }, CBIT_DTE_LEVEL, 0 },
	{ "mode 4, HATS 4 levels", CBIT_VI_EFR_IA, { V_TV | 4 << 9 }, 0, 0 },
	{ "mode 6, HATS 5 levels", 1 << 10, { V_TV | 6 << 9 }, CBIT_DTE_LEVEL, 0 },
	{ "HAD 1 without HASup", EFR_NONE, { V_TV | 1 << 7 }, CBIT_DTE_RESERVED, 0 },
	{ "HAD 1", EFR_ALL, { V_TV | 1 << 7 }, 0, 0 },
	{ "HAD 2", EFR_ALL, { V_TV | 2 << 7 }, CBIT_DTE_RESERVED, 0 },
	{ "HAD 3", EFR_ALL, { V_TV | 3 << 7 }, 0, 0 },
	{ "HAD 3 without HDSup",
	  EFR_ALL & ~CBIT_VI_EFR_HD,
	  { V_TV | 3 << 7 },
	  CBIT_DTE_RESERVED,
	  0 },
	{ "PPR without PPRSup", EFR_NONE, { V_TV | 1ull << 52 }, CBIT_DTE_RESERVED, 0 },
	{ "GPRP without PPRSup", EFR_NONE, { V_TV | 1ull << 53 }, CBIT_DTE_RESERVED, 0 },
	{ "PPR", EFR_ALL, { V_TV | 1ull << 52 }, 0, 0 },
	{ "GIoV without GIoSup", EFR_NONE, { V_TV | 1ull << 54 }, CBIT_DTE_RESERVED, 0 },
	{ "GIoV without GV", EFR_ALL, { V_TV | 1ull << 54 }, CBIT_DTE_RESERVED, 0 },
	{ "GIoV", EFR_ALL, { V_TV | 3ull << 54 }, 0, 0 },
	{ "GV without GTSup", EFR_NONE, { V_TV | 1ull << 55 }, CBIT_DTE_RESERVED, 0 },
	{ "GV", EFR_ALL, { V_TV | 1ull << 55 }, 0, 0 },
	{ "GLX without GTSup", EFR_NONE, { V_TV | 1ull << 56 }, CBIT_DTE_RESERVED, 0 },
	{ "GLX 2", EFR_ALL, { V_TV | 1ull << 55 | 2ull << 56 }, 0, 0 },
	{ "GLX 3",
	  EFR_ALL | CBIT_VI_EFR_GLX,
	  { V_TV | 1ull << 55 | 3ull << 56 },
	  CBIT_DTE_LEVEL,
	  0 },
	{ "GLX beyond GLXSup",
	  EFR_ALL & ~CBIT_VI_EFR_GLX,
	  { V_TV | 1ull << 55 | 1ull << 56 },
	  CBIT_DTE_LEVEL,
	  0 },
	{ "GCR3 14:12 without GTSup", EFR_NONE, { V_TV | 1ull << 58 }, CBIT_DTE_RESERVED, 0 },
	{ "GCR3 30:15 without GTSup", EFR_NONE, { V_TV, 1ull << 16 }, CBIT_DTE_RESERVED, 0 },
	{ "GCR3 51:31 without GTSup", EFR_NONE, { V_TV, 1ull << 63 }, CBIT_DTE_RESERVED, 0 },
	{ "SE, SA", CBIT_IOMMU_EFR, { V_TV, 3ull << 33 }, 0, 0 },
	{ "IoCtl 2", CBIT_IOMMU_EFR, { V_TV, 2ull << 35 }, 0, 0 },
	{ "IoCtl 3", CBIT_IOMMU_EFR, { V_TV, 3ull << 35 }, CBIT_DTE_RESERVED, 0 },
	{ "IoCtl 3 without TV", CBIT_IOMMU_EFR, { 1, 3ull << 35 }, CBIT_DTE_RESERVED, 0 },
	{ "SysMgt 3", CBIT_IOMMU_EFR, { V_TV, 3ull << 40 }, 0, 0 },
	{ "IntCtl 2, 2048 entries", CBIT_IOMMU_EFR, { 0, 0, IV | 11 << 1 | 2ull << 60 }, 0, 0 },
	{ "IntCtl 3", CBIT_IOMMU_EFR, { 0, 0, IV | 3ull << 60 }, 0, CBIT_DTE_RESERVED },
	{ "IntCtl 3 without IV", CBIT_IOMMU_EFR, { 0, 0, 3ull << 60 }, 0, 0 },
	{ "IntTabLen 12", CBIT_IOMMU_EFR, { 0, 0, IV | 12 << 1 }, 0, CBIT_DTE_RESERVED },
	{ "IntTabLen 15", CBIT_IOMMU_EFR, { 0, 0, IV | 15 << 1 }, 0, CBIT_DTE_RESERVED },
	{ "guest paging without GTSup", EFR_NONE, { 0, 0, IV | 1ull << 54 }, 0, CBIT_DTE_RESERVED },
	{ "guest paging", EFR_ALL, { 0, 0, IV | 1ull << 54 }, 0, 0 },
	{ "guest of 4 levels", EFR_ALL, { V_TV | 1ull << 55 }, 0, 0 },
	{ "guest of 5 levels", EFR_ALL, { V_TV | 1ull << 55, 0, 1ull << 54 }, 0, 0 },
	{ "guest of 6 levels", EFR_ALL, { V_TV | 1ull << 55, 0, 2ull << 54 }, CBIT_DTE_LEVEL, 0 },
	{ "guest of 5 levels, GATS 4 levels",
	  EFR_ALL & ~CBIT_VI_EFR_GATS,
	  { V_TV | 1ull << 55, 0, 1ull << 54 },
	  CBIT_DTE_LEVEL,
	  0 },
	{ "guest of 6 levels without GV", EFR_ALL, { V_TV, 0, 2ull << 54 }, 0, 0 },
	{ "pass bits, lints", CBIT_IOMMU_EFR, { 0, 0, IV | 0xc700000000000000 }, 0, 0 },
	{ "attributes", CBIT_IOMMU_EFR, { 0, 0, IV, 0xffc0000000000000 }, 0, 0 },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		if (cbit_dte_check(row->dte, row->efr, false) != row->dma ||
		    cbit_dte_check(row->dte, row->efr, true) != row->interrupt)
			fail_msg("%s", row->what);
	}
}

/* Bit by bit, what 48882 calls reserved; the other half of an entry does not mind. */
static void test_reserved_bits(void **state)
{
	static const uint64_t reserved[4] = { 0x800000000000007c, 1ull << 42, 0x0830000000000000,
					      0x003fffffffffffff };

	(void)state;
	for (unsigned int bit = 0; bit < 256; bit++) {
		uint64_t dte[4] = { V_TV | 1ull << 55, 0, IV, 0 };
		bool dma = bit < 128, is_reserved = reserved[bit / 64] >> bit % 64 & 1;

		dte[bit / 64] |= 1ull << bit % 64;
		if (is_reserved)
			assert_int_equal(cbit_dte_check(dte, EFR_ALL, !dma), CBIT_DTE_RESERVED);
		/* but for GuestPagingMode, which stands among the interrupts' */
		if (bit != 128 + 55)
			assert_int_equal(cbit_dte_check(dte, EFR_ALL, dma), CBIT_DTE_LEGAL);
	}
}

/* The events, bytes as 48882 section 2.5.2 has them. */
static void test_events(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = dte_spa(r, DEV), good = get64(r, at);
	uint8_t b = 0;

	(void)state;
	map(r, 0x5000, CLIENT, 4096, ENC);
	put64(r, at, good | 1 << 3);
	assert_int_equal(dma_read(r, 0x5003, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, 0x00000100, 0x10800000, 0x5000);
	assert_int_equal(dma_write(r, 0x5004, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, 0x00000100, 0x10a00000, 0x5004);
	put64(r, at, good | 7 << 9);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, 0x00000100, 0x10000000, 0x5000);
	put64(r, at, good);
	/* The halves: an interrupt half that is illegal stops interrupts and not DMA. */
	put64(r, at + 16, IV | 3ull << 60);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, 0xfee01004, 0x41, NULL), CBIT_MSI_ABORTED);
	expect_log(r, 0x00000100, 0x10880000, 0xfee01004);
	put64(r, at + 16, 0);
	/* TV=0 with V=1: nothing is translated. */
	put64(r, at, 1);
	assert_int_equal(dma_write(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, 0x00000100, 0x20200001, 0x5000);
	expect_no_log(r);
	put64(r, at, good);
	rig_free(r);
}

/* SA: the fault happens and the log is silent; only page faults are. */
static void test_suppress_all(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = dte_spa(r, DEV);
	uint8_t b;

	(void)state;
	put64(r, at + 8, get64(r, at + 8) | CBIT_VI_DTE1_SA);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_no_log(r);
	put64(r, at, get64(r, at) | 1 << 3);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x10800000, 0x5000);
	rig_free(r);
}

/* What was used is kept: a rewritten entry counts from INVALIDATE_DEVTAB_ENTRY on. */
static void test_stale_entry(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t at = dte_spa(r, DEV), good = get64(r, at);
	uint8_t b;

	(void)state;
	map(r, 0x5000, CLIENT, 4096, ENC);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_OK);
	put64(r, at, 1);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_OK);
	command(r, DEV + 1, 0x20000000, 0, 0); /* another device's */
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_OK);
	command(r, DEV, 0x20000000, 0, 0);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	/* A legal V=1 entry is kept although it blocks; one with V=0 is not (NpCache is 0). */
	put64(r, at, 0);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	command(r, 0, 0x80000000, 0, 0);
	assert_int_equal(dma_read(r, BAR, &b, 1, NULL), CBIT_DMA_OK);
	put64(r, at, good);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_OK);
	/* The driver's side says so itself. */
	cbit_iommu_block(r->iommu, DEV);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	rig_free(r);
}

/* The table itself: shorter than the device id, elsewhere, under the wrong key. */
static void test_table(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t base = reg(r, CBIT_VI_REG_DEVTAB);
	struct cbit_msi msi;
	uint64_t dte[4];
	uint8_t b;

	(void)state;
	set_reg(r, CBIT_VI_REG_DEVTAB, base & ~CBIT_VI_DEVTAB_SIZE); /* 128 entries */
	assert_int_equal(reg(r, CBIT_VI_REG_DEVTAB), base & ~CBIT_VI_DEVTAB_SIZE);
	assert_int_equal(dma_read(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x20000000, 0x5000);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, 0xfee00000, 0x41, &msi), CBIT_MSI_ABORTED);
	expect_log(r, DEV, 0x20080000, 0xfee00000);
	cbit_iommu_dte(r->iommu, DEV, dte);
	assert_true(!~dte[0] && !~dte[3]);
	cbit_iommu_block(r->iommu, DEV); /* nowhere to write it: no effect, no harm */

	set_reg(r, CBIT_VI_REG_DEVTAB, 0x600000000000 | CBIT_VI_DEVTAB_SIZE);
	assert_int_equal(dma_write(r, 0x5000, &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x32200000, 0x600000000000 + DEV * 32);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, 0xfee00000, 0x41, &msi), CBIT_MSI_ABORTED);
	expect_log(r, DEV, 0x32080000, 0x600000000000 + DEV * 32);
	/* Registers are no memory for tables. */
	set_reg(r, CBIT_VI_REG_DEVTAB, WINDOW);
	assert_int_equal(cbit_iommu_dma_read(r->iommu, 1, CBIT_IOVA(0), &b, 1, NULL),
			 CBIT_DMA_FAULT);
	expect_log(r, 1, 0x32000000, WINDOW + 32);

	/* Mode 0 in a table of the embedder's own. */
	put64(r, SCRATCH + DEV * 32, 0x6000000000000003);
	set_reg(r, CBIT_VI_REG_DEVTAB, bus_of(r, SCRATCH).v | 3);
	r->bar[7] = 0x55;
	assert_int_equal(dma_read(r, BAR + 7, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(b, 0x55);
	/* IommuEn clear: nothing of all that counts. */
	command(r, 0, 0x80000000, 0, 0);
	set_reg(r, CBIT_VI_REG_DEVTAB, WINDOW);
	set_reg(r, CBIT_VI_REG_CONTROL, 0);
	assert_int_equal(dma_read(r, BAR + 7, &b, 1, NULL), CBIT_DMA_OK);
	assert_int_equal(cbit_iommu_msi(r->iommu, DEV, 0xfee03000, 0x41, &msi), CBIT_MSI_FORWARDED);
	assert_int_equal(msi.dest, 3);
	expect_no_log(r);
	set_reg(r, CBIT_VI_REG_DEVTAB, base);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),        cmocka_unit_test(test_reserved_bits),
		cmocka_unit_test(test_events),      cmocka_unit_test(test_suppress_all),
		cmocka_unit_test(test_stale_entry), cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
