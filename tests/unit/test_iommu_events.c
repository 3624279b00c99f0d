/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bytes of every event (48882 section 2.5), and the way of those that are put into the log from
 * outside. What raises the others is in test_iommu_dma.c, _dte.c, _command.c, _msi.c and _guest.c.
 */
#include "vi_rig.h"

#define ALL_ONES                                                                            \
	.flags = ~0u, .devid = 0x8123, .domid = 0x4567, .pasid = 0xfffabcde, .tag = 0xffff, \
	.rmp = 0xa5, .address = ~UINT64_C(0)
#define SPA UINT64_C(0x0008000123456789)

static const struct row {
	const char *what;
	struct cbit_vi_event ev;
	uint32_t dw[4];
} rows[] = {
	{ "ILLEGAL_DEV_TABLE_ENTRY",
	  { .code = 0x1,
	    .flags = CBIT_VI_EVT_RZ | CBIT_VI_EVT_RW,
	    .devid = 0x0100,
	    .domid = 7,
	    .pasid = 9,
	    .address = 0x5003 },
	  { 0x00000100, 0x10a00000, 0x00005000, 0 } },
	{ "ILLEGAL_DEV_TABLE_ENTRY with PASID",
	  { .code = 0x1,
	    .flags = CBIT_VI_EVT_GN,
	    .devid = 0x0100,
	    .pasid = 0xabcde,
	    .address = 0x123456789abcdef0 },
	  { 0x000a0100, 0x1001bcde, 0x9abcdef0, 0x12345678 } },
	{ "ILLEGAL_DEV_TABLE_ENTRY of an interrupt",
	  { .code = 0x1,
	    .flags = CBIT_VI_EVT_I | CBIT_VI_EVT_RZ,
	    .devid = 0xffff,
	    .address = 0xfee00000 },
	  { 0x0000ffff, 0x10880000, 0xfee00000, 0 } },
	{ "IO_PAGE_FAULT",
	  { .code = 0x2,
	    .flags = CBIT_VI_EVT_PR | CBIT_VI_EVT_PE | CBIT_VI_EVT_RW,
	    .devid = 0x0100,
	    .domid = 0x1234,
	    .pasid = 9,
	    .address = 0xfffffffffffff123 },
	  { 0x00000100, 0x20701234, 0xfffff123, 0xffffffff } },
	{ "IO_PAGE_FAULT with PASID: the domain is not named",
	  { .code = 0x2,
	    .flags = CBIT_VI_EVT_GN | CBIT_VI_EVT_US | CBIT_VI_EVT_NX,
	    .devid = 0x0100,
	    .domid = 0x1234,
	    .pasid = 0x81357,
	    .address = 0x7fff00001000 },
	  { 0x00080100, 0x20071357, 0x00001000, 0x00007fff } },
	{ "IO_PAGE_FAULT, every bit",
	  { .code = 0x2, ALL_ONES },
	  { 0x000a8123, 0x21ffbcde, 0xffffffff, 0xffffffff } },
	{ "DEV_TAB_HARDWARE_ERROR",
	  { .code = 0x3,
	    .flags = CBIT_VI_EVT_MASTER_ABORT,
	    .devid = 0x0100,
	    .domid = 7,
	    .address = SPA },
	  { 0x00000100, 0x32000000, 0x23456780, 0x00080001 } },
	{ "DEV_TAB_HARDWARE_ERROR, every bit",
	  { .code = 0x3, ALL_ONES },
	  { 0x00008123, 0x37280000, 0xfffffff0, 0xffffffff } },
	{ "PAGE_TAB_HARDWARE_ERROR",
	  { .code = 0x4,
	    .flags = CBIT_VI_EVT_MASTER_ABORT | CBIT_VI_EVT_RW,
	    .devid = 0x0100,
	    .domid = 7,
	    .address = SPA },
	  { 0x00000100, 0x42200007, 0x23456788, 0x00080001 } },
	{ "PAGE_TAB_HARDWARE_ERROR, every bit",
	  { .code = 0x4, ALL_ONES },
	  { 0x000a8123, 0x4729bcde, 0xfffffff8, 0xffffffff } },
	{ "ILLEGAL_COMMAND_ERROR",
	  { .code = 0x5, ALL_ONES },
	  { 0, 0x50000000, 0xfffffff0, 0xffffffff } },
	{ "COMMAND_HARDWARE_ERROR",
	  { .code = 0x6, .flags = CBIT_VI_EVT_MASTER_ABORT, .devid = 1, .address = SPA },
	  { 0, 0x62000000, 0x23456780, 0x00080001 } },
	{ "COMMAND_HARDWARE_ERROR, every bit",
	  { .code = 0x6, ALL_ONES },
	  { 0, 0x66000000, 0xfffffff0, 0xffffffff } },
	{ "IOTLB_INV_TIMEOUT",
	  { .code = 0x7, ALL_ONES },
	  { 0x00008123, 0x70000000, 0xfffffff0, 0xffffffff } },
	/* As kernels log it: "INVALID_DEVICE_REQUEST ... address=0xfffffffdf8000000 flags=0x0a00"
	 */
	{ "INVALID_DEVICE_REQUEST",
	  { .code = 0x8,
	    .flags = 5u << CBIT_VI_EVT_TYPE_SHIFT,
	    .devid = 0,
	    .address = 0xfffffffdf8000000 },
	  { 0, 0x8a000000, 0xf8000000, 0xfffffffd } },
	{ "INVALID_DEVICE_REQUEST, every bit",
	  { .code = 0x8, ALL_ONES },
	  { 0x000a8123, 0x8f01bcde, 0xffffffff, 0xffffffff } },
	{ "INVALID_PPR_REQUEST",
	  { .code = 0x9,
	    .devid = 0x0100,
	    .pasid = 0x5abcd,
	    .tag = 0x2a5,
	    .address = 0x7fff00001000 },
	  { 0xabcd0100, 0x900016a5, 0x00001000, 0x00007fff } },
	{ "INVALID_PPR_REQUEST, every bit",
	  { .code = 0x9, ALL_ONES },
	  { 0xbcde8123, 0x9fff2bff, 0xffffffff, 0xffffffff } },
	{ "EVENT_COUNTER_ZERO",
	  { .code = 0xa, .devid = 1, .flags = ~0u, .address = 0xfff123456789abcd },
	  { 0, 0xa0000000, 0x00012345, 0x6789abcd } },
	{ "RMP_PAGE_FAULT",
	  { .code = 0xd,
	    .flags = CBIT_VI_EVT_RW,
	    .devid = 0x0100,
	    .domid = 7,
	    .tag = 0x1234,
	    .rmp = 0x81,
	    .address = 0x123456789 },
	  { 0x00810100, 0xd0201234, 0x23456789, 0x00000001 } },
	{ "RMP_HW_ERROR",
	  { .code = 0xe,
	    .flags = CBIT_VI_EVT_MASTER_ABORT,
	    .devid = 0x0100,
	    .tag = 0x1234,
	    .rmp = 0x81,
	    .address = SPA },
	  { 0x00000100, 0xe2001234, 0x23456788, 0x00080001 } },
};

static void test_layouts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t dw[4];

		assert_true(cbit_vi_event_encode(&rows[i].ev, dw));
		if (memcmp(dw, rows[i].dw, sizeof(dw)) != 0)
			fail_msg("%s: %08x %08x %08x %08x", rows[i].what, dw[0], dw[1], dw[2],
				 dw[3]);
	}
}

/* What a driver that decodes as Linux does reads in the log. */
static void test_log(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint64_t ring = reg_spa(r, CBIT_VI_REG_EVT_BASE);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint32_t *dw = rows[i].dw;

		assert_int_equal(cbit_iommu_log(r->iommu, &rows[i].ev), 0);
		assert_int_equal(get64(r, ring + i * 16), (uint64_t)dw[1] << 32 | dw[0]);
		assert_int_equal(get64(r, ring + i * 16 + 8), (uint64_t)dw[3] << 32 | dw[2]);
		expect_log(r, dw[0], dw[1], (uint64_t)dw[3] << 32 | dw[2]);
	}
	expect_status(r, CBIT_VI_STATUS_EVT_INT, CBIT_VI_STATUS_EVT_OVERFLOW);
	rig_free(r);
}

static void test_refused(void **state)
{
	static const unsigned int bad[] = { 0x0, 0xb, 0xc, 0xf, 0x10, 0x12, ~0u };
	struct rig *r = vi_rig_new(true);
	struct cbit_vi_event ev = { .code = CBIT_VI_EVT_IOTLB_TIMEOUT, .devid = DEV };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct cbit_vi_event none = { .code = bad[i], ALL_ONES };
		uint32_t dw[4];

		assert_false(cbit_vi_event_encode(&none, dw));
		assert_int_equal(dw[0] | dw[1] | dw[2] | dw[3], 0);
		assert_int_equal(cbit_iommu_log(r->iommu, &none), -EINVAL);
	}
	expect_no_log(r);
	for (unsigned int i = 0; i < 255; i++)
		assert_int_equal(cbit_iommu_log(r->iommu, &ev), 0);
	assert_int_equal(cbit_iommu_log(r->iommu, &ev), -ENOSPC);
	expect_status(r, CBIT_VI_STATUS_EVT_OVERFLOW, CBIT_VI_STATUS_EVT_RUN);
	assert_int_equal(cbit_iommu_log(r->iommu, &ev), -ENOSPC);
	rig_free(r);
}

/* PAGE_TAB_HARDWARE_ERROR names the entry that could not be read, not just its table. */
static void test_entry_address(void **state)
{
	struct rig *r = vi_rig_new(true);
	uint8_t b;

	(void)state;
	map(r, UINT64_C(0x8040201000), CLIENT, 4096, ENC);
	/* The top entry for 0x80_4020_1000 is number 1; its table is nowhere now. */
	put64(r, cbit_pt_root(cbit_domain_pt(r->domain)).v + 8, 0x6000600000000601);
	assert_int_equal(dma_read(r, UINT64_C(0x8040201000), &b, 1, NULL), CBIT_DMA_FAULT);
	expect_log(r, DEV, 0x42000001, 0x600000000000 + 8);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_entry_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
