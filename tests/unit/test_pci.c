/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PCI core, seen through an ioat device: configuration space as a vfio-pci client finds
 * it, BAR sizing, decoding, reset, SPECs.
 */
#include "dev_rig.h"

#include <errno.h>
#include <stdio.h>

#define COMMAND 0x04
#define PMCSR   0x44
#define MSI     0x50
#define MSIX    0x60
#define EXP     0x70

static int setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	rig_up(rig, "bare", "ioat,membar=1M", NULL);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	rig_down(*state);
	free(*state);
	return 0;
}

/* What a device shows after it was opened, and what all ones and all zeros leave. */
static void test_masks(void **state)
{
	static const struct {
		const char *what;
		uint32_t offset, len, start, ones, zeros;
	} t[] = {
		{ "vendor", 0x00, 2, 0x8086, 0x8086, 0x8086 },
		{ "device", 0x02, 2, 0x2021, 0x2021, 0x2021 },
		{ "status", 0x06, 2, 0x0010, 0x0010, 0x0010 },
		{ "class", 0x08, 4, 0x08800004, 0x08800004, 0x08800004 },
		{ "cache line", 0x0c, 1, 0, 0xff, 0 },
		{ "latency", 0x0d, 1, 0, 0, 0 },
		{ "header type", 0x0e, 1, 0, 0, 0 },
		{ "BIST", 0x0f, 1, 0, 0, 0 },
		{ "BAR5", 0x24, 4, 0x10, 0xffffffff, 0 },
		{ "subsystem", 0x2c, 4, 0x20218086, 0x20218086, 0x20218086 },
		{ "ROM", 0x30, 4, 0, 0, 0 },
		{ "capabilities", 0x34, 1, 0x40, 0x40, 0x40 },
		{ "interrupt line", 0x3c, 1, 0, 0xff, 0 },
		{ "interrupt pin", 0x3d, 1, 1, 1, 1 },
		{ "PM header", 0x40, 4, 0x00035001, 0x00035001, 0x00035001 },
		{ "PMCSR", PMCSR, 2, 0x0008, 0x000b, 0x0008 },
		{ "MSI header", MSI, 2, 0x6005, 0x6005, 0x6005 },
		{ "MSI flags", MSI + 2, 2, 0x0080, 0x0080, 0x0080 },
		{ "MSI address", MSI + 4, 4, 0, 0xfffffffc, 0 },
		{ "MSI address high", MSI + 8, 4, 0, 0xffffffff, 0 },
		{ "MSI data", MSI + 12, 2, 0, 0xffff, 0 },
		{ "MSI-X header", MSIX, 2, 0x7011, 0x7011, 0x7011 },
		{ "MSI-X flags", MSIX + 2, 2, 0x000f, 0x000f, 0x000f },
		{ "MSI-X table", MSIX + 4, 4, 0x00000004, 4, 4 },
		{ "MSI-X PBA", MSIX + 8, 4, 0x00002004, 0x2004, 0x2004 },
		{ "PCIe header", EXP, 4, 0x00020010, 0x00020010, 0x00020010 },
		{ "DEVCAP", EXP + 4, 4, 0x10008021, 0x10008021, 0x10008021 },
		{ "DEVCTL", EXP + 8, 2, 0x2810, 0x7dff, 0 },
		{ "DEVSTA", EXP + 10, 2, 0, 0, 0 },
		{ "DEVCTL2", EXP + 0x28, 2, 0, 0x0010, 0 },
		{ "extended header", 0x100, 4, 0, 0, 0 },
		{ "CHANERR_INT", 0x180, 4, 0, 0, 0 },
		{ "CHANERRMASK_INT", 0x184, 4, 0, 0xffffffff, 0 },
		{ "DMAUNCERRSTS", 0x148, 4, 0, 0, 0 },
		{ "last", 0xffc, 4, 0, 0, 0 },
		/* last here: with it all DMA and decoding goes on and off */
		{ "command", COMMAND, 2, 0x0006, 0x0546, 0 },
	};
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint32_t start = cfg_read(pci, t[i].offset, t[i].len), ones, zeros;

		cfg_write(pci, t[i].offset, 0xffffffff, t[i].len);
		ones = cfg_read(pci, t[i].offset, t[i].len);
		cfg_write(pci, t[i].offset, 0, t[i].len);
		zeros = cfg_read(pci, t[i].offset, t[i].len);
		if (start != t[i].start || ones != t[i].ones || zeros != t[i].zeros)
			fail_msg("%s: %#x %#x %#x", t[i].what, start, ones, zeros);
	}
}

static void test_unaligned_and_beyond(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	uint8_t b[4];

	/* bytes from two registers, as a debugger or lspci may read them */
	cbit_pci_config_read(pci, 1, b, 3);
	assert_memory_equal(b, "\x80\x21\x20", 3);
	cfg_write(pci, 0x0b, 0xffffff, 3);
	assert_int_equal(cfg_read(pci, 0x08, 4), 0x08800004);
	assert_int_equal(cfg_read(pci, 0x0c, 1), 0xff);
	assert_int_equal(cfg_read(pci, 4096, 4), 0xffffffff);
	assert_int_equal(cfg_read(pci, 4094, 4), 0xffffffff);
	cfg_write(pci, 4094, 0, 4);
}

static void test_bar_sizing(void **state)
{
	static const struct {
		unsigned int bar;
		uint64_t size;
		uint32_t flags;
	} t[] = { { 0, 0x4000, 0x4 }, { 2, 0x100000, 0xc }, { 4, 0x4000, 0x4 } };
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	for (size_t i = 0; i < 3; i++) {
		const struct cbit_bar_info *bar = cbit_pci_bar(pci, t[i].bar);
		uint32_t at = 0x10 + 4 * t[i].bar;
		uint64_t v, spa = bar->spa.v;

		assert_int_equal(bar->size, t[i].size);
		assert_int_equal(bar->spa.v % bar->size, 0);
		v = cfg_read(pci, at, 4) | (uint64_t)cfg_read(pci, at + 4, 4) << 32;
		assert_int_equal(v, spa | t[i].flags);

		cfg_write(pci, at, 0xffffffff, 4);
		cfg_write(pci, at + 4, 0xffffffff, 4);
		v = cfg_read(pci, at, 4) | (uint64_t)cfg_read(pci, at + 4, 4) << 32;
		assert_int_equal(v, ~(t[i].size - 1) | t[i].flags);
		/* virtual: the real one did not move */
		assert_int_equal(cbit_pci_bar(pci, t[i].bar)->spa.v, spa);
		assert_ptr_equal(cbit_mem_find(rig->mem, CBIT_SPA(spa)) != NULL, true);

		cfg_write(pci, at, (uint32_t)spa, 4);
		cfg_write(pci, at + 4, (uint32_t)(spa >> 32), 4);
		v = cfg_read(pci, at, 4) | (uint64_t)cfg_read(pci, at + 4, 4) << 32;
		assert_int_equal(v, spa | t[i].flags);
	}
	assert_int_equal(cbit_pci_bar(pci, 1)->mode, CBIT_BAR_NONE);
	assert_null(cbit_pci_bar(pci, 6));
}

static void test_regions(void **state)
{
	struct rig *rig = *state;
	const struct cbit_bar_info *bar = cbit_pci_bar(rig->pci[0], 2);
	const struct cbit_mem_region *r = cbit_mem_find(rig->mem, bar->spa);
	struct cbit_bus bus = cbit_mem_bus(rig->mem, bar->spa, false);
	uint8_t v;

	assert_non_null(r);
	assert_int_equal(r->kind, CBIT_MEM_MMIO);
	assert_false(r->encrypts);
	assert_int_equal(r->size, bar->size);
	assert_string_equal(r->name, "01:00.0 BAR2");
	/* plain memory is the same bytes on every way */
	assert_int_equal(cbit_mem_write(rig->mem, bus, "x", 1), CBIT_MEM_OK);
	assert_int_equal(*(char *)bar->memory, 'x');
	cbit_pci_bar_read(rig->pci[0], 2, 0, &v, 1);
	assert_int_equal(v, 'x');
	/* trapped registers answer peers too: CBVER */
	bus = cbit_mem_bus(rig->mem, CBIT_SPA(cbit_pci_bar(rig->pci[0], 0)->spa.v + 8), false);
	assert_int_equal(cbit_mem_read(rig->mem, bus, &v, 1), CBIT_MEM_OK);
	assert_int_equal(v, 0x33);
}

static void test_decoding(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	uint8_t v = 7;

	cbit_pci_bar_write(pci, 2, 5, &v, 1);
	cfg_write(pci, COMMAND, 0x0004, 2);
	assert_int_equal(reg_read(pci, 8, 1), 0xff);
	cbit_pci_bar_read(pci, 2, 5, &v, 1);
	assert_int_equal(v, 0xff);
	v = 8;
	cbit_pci_bar_write(pci, 2, 5, &v, 1);
	reg_write(pci, 0x98, 0x1000, 8);
	cfg_write(pci, COMMAND, 0x0006, 2);
	assert_int_equal(reg_read(pci, 8, 1), 0x33);
	cbit_pci_bar_read(pci, 2, 5, &v, 1);
	assert_int_equal(v, 7);
	assert_int_equal(reg_read(pci, 0x98, 8), 0);

	/* D3hot decodes nothing; it comes back without a reset */
	reg_write(pci, 0x98, 0x1000, 8);
	cfg_write(pci, PMCSR, 3, 2);
	assert_int_equal(cfg_read(pci, PMCSR, 2), 0x000b);
	assert_int_equal(reg_read(pci, 8, 1), 0xff);
	cfg_write(pci, PMCSR, 1, 2); /* D1 is not there */
	assert_int_equal(cfg_read(pci, PMCSR, 2), 0x000b);
	cfg_write(pci, PMCSR, 0, 2);
	assert_int_equal(reg_read(pci, 0x98, 8), 0x1000);

	/* outside the BAR, and none there */
	assert_int_equal(reg_read(pci, 0x4000, 4), 0xffffffff);
	assert_int_equal(reg_read(pci, 0x3ffe, 4), 0xffffffff);
	cbit_pci_bar_read(pci, 1, 0, &v, 1);
	assert_int_equal(v, 0xff);
}

static void test_irq_enables(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];
	static const unsigned int counts[] = { 1, 1, 16, 1, 1, 0 };

	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(cbit_pci_irq_count(pci, i), counts[i]);
	assert_int_equal(cbit_pci_msix_bar(pci), 4);

	cbit_pci_set_irqs_enabled(pci, 2, 16);
	assert_int_equal(cfg_read(pci, MSIX + 2, 2), 0x800f);
	cfg_write(pci, MSIX + 2, 0, 2);
	assert_int_equal(cfg_read(pci, MSIX + 2, 2), 0x800f);
	cbit_pci_set_irqs_enabled(pci, 2, 0);
	assert_int_equal(cfg_read(pci, MSIX + 2, 2), 0x000f);

	cbit_pci_set_irqs_enabled(pci, 1, 1);
	assert_int_equal(cfg_read(pci, MSI + 2, 2), 0x0081);
	cfg_write(pci, MSI + 2, 0, 2);
	assert_int_equal(cfg_read(pci, MSI + 2, 2), 0x0080);
	cfg_write(pci, MSI + 2, 0xffff, 2);
	assert_int_equal(cfg_read(pci, MSI + 2, 2), 0x0081);
	cbit_pci_set_irqs_enabled(pci, 1, 0);
	cfg_write(pci, MSI + 2, 0xffff, 2);
	assert_int_equal(cfg_read(pci, MSI + 2, 2), 0x0080);
	cbit_pci_set_irqs_enabled(pci, 0, 1); /* the pin has no enable bit */
	cbit_pci_set_irqs_enabled(pci, 5, 1); /* and that is nothing at all */
}

/* VFIO_DEVICE_RESET and a function level reset alike keep what the client wrote. */
static void test_reset(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci *pci = rig->pci[0];

	for (int flr = 0; flr < 2; flr++) {
		cfg_write(pci, 0x10, 0xabcd0000, 4);
		cfg_write(pci, 0x3c, 0x0b, 1);
		cbit_pci_set_irqs_enabled(pci, 2, 16);
		reg_write(pci, 0x98, 0x1000, 8);
		cfg_write(pci, 0x184, 0x55, 4);
		if (flr) {
			cfg_write(pci, EXP + 8, 0x8000 | cfg_read(pci, EXP + 8, 2), 2);
		} else {
			cfg_write(pci, PMCSR, 3, 2);
			cbit_pci_reset(pci);
		}
		assert_int_equal(cfg_read(pci, COMMAND, 2), 0x0006);
		assert_int_equal(cfg_read(pci, 0x10, 4), 0xabcd0004);
		assert_int_equal(cfg_read(pci, 0x3c, 1), 0x0b);
		assert_int_equal(cfg_read(pci, MSIX + 2, 2), 0x800f);
		assert_int_equal(cfg_read(pci, EXP + 8, 2), 0x2810);
		assert_int_equal(cfg_read(pci, PMCSR, 2), 0x0008);
		assert_int_equal(cfg_read(pci, 0x184, 4), 0);
		assert_int_equal(reg_read(pci, 0x98, 8), 0);
	}
	/* opening and closing leave nothing of it */
	for (int close = 0; close < 2; close++) {
		cfg_write(pci, COMMAND, 0x0406, 2);
		cfg_write(pci, 0x10, 0xabcd0000, 4);
		if (close)
			cbit_pci_close(pci);
		else
			cbit_pci_open(pci);
		assert_int_equal(cfg_read(pci, COMMAND, 2), 0x0002);
		assert_int_equal(cfg_read(pci, 0x14, 4), cbit_pci_bar(pci, 0)->spa.v >> 32);
		assert_int_equal(cfg_read(pci, MSIX + 2, 2), 0x000f);
	}
}

static void test_identity(void **state)
{
	struct rig *rig = *state;
	struct cbit_pci_ids ids;

	cbit_pci_ids(rig->pci[0], &ids);
	assert_int_equal(ids.vendor, 0x8086);
	assert_int_equal(ids.device, 0x2021);
	assert_int_equal(ids.class_code, 0x088000);
	assert_int_equal(cbit_pci_devid(rig->pci[0]), 0x100);
	assert_string_equal(cbit_pci_model(rig->pci[0]), "ioat");
	assert_non_null(strstr(cbit_pci_models(), "ioat"));
	assert_non_null(strstr(cbit_pci_models(), "membar="));
}

static void test_specs(void **state)
{
	static const struct {
		const char *spec;
		int ret;
		const char *word, *legal;
	} t[] = {
		{ "floppy", -ENOENT, "\"floppy\"", "ioat" },
		{ "", -ENOENT, "\"\"", "ioat" },
		{ "ioa", -ENOENT, "\"ioa\"", "ioat" },
		{ "ioats,membar=1M", -ENOENT, "\"ioats\"", "ioat" },
		{ "ioat,colour=red", -EINVAL, "\"colour\"", "membar=SIZE" },
		{ "ioat,membar", -EINVAL, "\"membar\"", "key=value" },
		{ "ioat,membar=", -EINVAL, "membar=", "from 64K to 64G" },
		{ "ioat,membar=32K", -EINVAL, "membar=32K", "from 64K to 64G" },
		{ "ioat,membar=96K", -EINVAL, "membar=96K", "power of two" },
		{ "ioat,membar=128G", -EINVAL, "membar=128G", "from 64K to 64G" },
		{ "ioat,membar=0", -EINVAL, "membar=0", "from 64K to 64G" },
		{ "ioat,membar=-1", -EINVAL, "membar=-1", "from 64K to 64G" },
		{ "ioat,membar=K", -EINVAL, "membar=K", "from 64K to 64G" },
		{ "ioat,membar=1MB", -EINVAL, "membar=1MB", "from 64K to 64G" },
		{ "ioat,membar=18014398509481984K", -EINVAL, "membar=", "from 64K to 64G" },
		{ "ioat,membar=99999999999999999999999999999999999999999", -EINVAL,
		  "membar=", "from 64K to 64G" },
		{ "ioat,version=0x31", -EINVAL, "version=0x31", "0x32, 0x33 or 0x34" },
		{ "ioat,version=0x35", -EINVAL, "version=0x35", "0x32, 0x33 or 0x34" },
		{ "ioat,version=new", -EINVAL, "version=new", "0x32, 0x33 or 0x34" },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct cbit_error err = { 0 };
		int ret = rig_plug(rig, 1, t[i].spec, &err);

		if (ret != t[i].ret || !strstr(err.text, t[i].word) ||
		    !strstr(err.text, t[i].legal))
			fail_msg("%s: %d \"%s\"", t[i].spec, ret, err.text);
		assert_null(rig->pci[1]);
		assert_int_equal(rig_plug(rig, 1, t[i].spec, NULL), t[i].ret);
	}
}

static void test_good_specs(void **state)
{
	static const struct {
		const char *spec;
		uint64_t membar;
		unsigned int version;
	} t[] = {
		{ "ioat", 0, 0x33 },
		{ "ioat,membar=65536", 65536, 0x33 },
		{ "ioat,version=0x34,membar=64K", 65536, 0x34 },
		{ "ioat,membar=0x20000", 0x20000, 0x33 },
		{ "ioat,membar=2m,version=50", 2 << 20, 0x32 },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct rig rig;
		const struct cbit_bar_info *bar;

		rig_up(&rig, "bare", t[i].spec, NULL);
		bar = cbit_pci_bar(rig.pci[0], 2);
		assert_int_equal(bar->size, t[i].membar);
		assert_int_equal(bar->mode, t[i].membar ? CBIT_BAR_MEMORY : CBIT_BAR_NONE);
		assert_int_equal(reg_read(rig.pci[0], 8, 1), t[i].version);
		rig_down(&rig);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_masks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unaligned_and_beyond, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bar_sizing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_regions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decoding, setup, teardown),
		cmocka_unit_test_setup_teardown(test_irq_enables, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_specs, setup, teardown),
		cmocka_unit_test(test_good_specs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
