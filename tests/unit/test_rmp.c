/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reverse map table: its bytes in DRAM, the instructions, and the verdict on every kind of
 * access.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/rmp.h>

#define DRAM    UINT64_C(0x0)
#define SIZE    UINT64_C(0x1000000)
#define TABLE   UINT64_C(0x800000)
#define COVERED UINT64_C(0xc00000)
#define PAGE    UINT64_C(0x123000)
#define GPA     UINT64_C(0x7654321000)

static struct cbit_platform platform(bool sme)
{
	struct cbit_platform p;

	cbit_platform_preset("sme", &p);
	p.sme = sme;
	p.sev = p.sev_es = p.snp = true;
	p.asids = 500;
	return p;
}

static struct cbit_mem *machine(const struct cbit_platform *p)
{
	struct cbit_mem_region_desc dram = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = CBIT_SPA(DRAM), .size = SIZE
	};
	struct cbit_mem *mem;

	assert_int_equal(cbit_mem_create(p, &mem), 0);
	assert_int_equal(cbit_mem_add_region(mem, &dram, NULL), 0);
	return mem;
}

static struct cbit_mem *snp_machine(bool sme)
{
	struct cbit_platform p = platform(sme);
	struct cbit_mem *mem = machine(&p);

	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(TABLE), COVERED, NULL), 0);
	return mem;
}

static const struct cbit_rmp_entry to_guest = { .assigned = true, .asid = 500, .gpa = GPA };

static void enabling_has_rules(void **state)
{
	struct cbit_platform p = platform(true);
	struct cbit_error err;
	struct cbit_mem *mem;

	(void)state;
	p.snp = false;
	mem = machine(&p);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(TABLE), COVERED, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no SNP"));
	assert_false(cbit_rmp_enabled(mem));
	assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(PAGE), CBIT_RMP_HOST_WRITE, 0, 0),
			 CBIT_RMP_OK);
	cbit_mem_destroy(mem);

	p.snp = true;
	mem = machine(&p);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(TABLE + 1), COVERED, &err), -EINVAL);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(TABLE), 0, &err), -EINVAL);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(SIZE - 0x4000), COVERED, &err), -EINVAL);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(2 * SIZE), COVERED, &err), -EINVAL);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(TABLE), COVERED, &err), 0);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(TABLE), COVERED, &err), -EINVAL);
	cbit_mem_destroy(mem);
}

/* The words by hand: 16 KiB, then 16 bytes a page. */
static void entries_are_in_dram(void **state)
{
	for (int sme = 0; sme < 2; sme++) {
		struct cbit_mem *mem = snp_machine(sme);
		uint64_t at = TABLE + 0x4000 + (PAGE >> 12) * 16, word[2];
		struct cbit_rmp_entry e;

		(void)state;
		assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &to_guest), 0);
		assert_int_equal(cbit_mem_read(mem, cbit_mem_bus(mem, CBIT_SPA(at), sme), word, 16),
				 CBIT_MEM_OK);
		assert_int_equal(word[0], UINT64_C(0x0fa0007654321001));
		assert_int_equal(word[1], 0xf);
		assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 500, GPA, true), 0);
		assert_int_equal(cbit_mem_read(mem, cbit_mem_bus(mem, CBIT_SPA(at), sme), word, 16),
				 CBIT_MEM_OK);
		assert_int_equal(word[0], UINT64_C(0x4fa0007654321001));
		assert_int_equal(cbit_rmp_adjust(mem, CBIT_SPA(PAGE), 500, GPA, 2, 3), 0);
		assert_int_equal(cbit_rmp_read(mem, CBIT_SPA(PAGE), &e), 0);
		assert_true(e.assigned && e.validated && !e.large && !e.immutable && !e.vmsa);
		assert_int_equal(e.asid, 500);
		assert_int_equal(e.gpa, GPA);
		assert_int_equal(e.vmpl[0], 0xf);
		assert_int_equal(e.vmpl[1], 0);
		assert_int_equal(e.vmpl[2], 3);
		/* What the chip holds is not that, under a key. */
		assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(at), word, 16), 0);
		assert_int_equal(word[0] == UINT64_C(0x4fa0007654321001), !sme);
		cbit_mem_destroy(mem);
	}
}

static void instructions_refuse(void **state)
{
	struct cbit_mem *mem = snp_machine(true);
	struct cbit_rmp_entry e = to_guest;

	(void)state;
	e.asid = 0;
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &e), -EINVAL);
	e.asid = 501;
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &e), -EINVAL);
	e.asid = 1;
	e.gpa = GPA + 1;
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &e), -EINVAL);
	e.gpa = GPA;
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(COVERED), &e), -ENXIO);
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(TABLE), &e), -EPERM);
	assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 1, GPA, true), -EPERM);
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &e), 0);
	assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 2, GPA, true), -EPERM);
	assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 1, GPA + 0x1000, true), -EPERM);
	assert_int_equal(cbit_rmp_adjust(mem, CBIT_SPA(PAGE), 1, GPA, 1, 1), -EPERM);
	assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 1, GPA, true), 0);
	assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 1, GPA, true), 1);
	assert_int_equal(cbit_rmp_adjust(mem, CBIT_SPA(PAGE), 1, GPA, 0, 1), -EINVAL);
	assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 1, GPA, false), 0);
	e.immutable = true;
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &e), 0);
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &to_guest), -EPERM);
	cbit_mem_destroy(mem);
}

/* 24593 15.36.10, by state of the page. */
static void verdicts(void **state)
{
	static const struct {
		enum cbit_rmp_access access;
		enum cbit_rmp_verdict free, assigned, validated;
	} table[] = {
		{ CBIT_RMP_HOST_READ, CBIT_RMP_OK, CBIT_RMP_OK, CBIT_RMP_OK },
		{ CBIT_RMP_HOST_WRITE, CBIT_RMP_OK, CBIT_RMP_NOT_OWNED, CBIT_RMP_NOT_OWNED },
		{ CBIT_RMP_GUEST_READ, CBIT_RMP_OK, CBIT_RMP_OK, CBIT_RMP_OK },
		{ CBIT_RMP_GUEST_WRITE, CBIT_RMP_OK, CBIT_RMP_NOT_OWNED, CBIT_RMP_NOT_OWNED },
		{ CBIT_RMP_PRIVATE, CBIT_RMP_NOT_ASSIGNED, CBIT_RMP_NOT_VALIDATED, CBIT_RMP_OK },
		{ CBIT_RMP_DEVICE_READ, CBIT_RMP_OK, CBIT_RMP_NOT_OWNED, CBIT_RMP_NOT_OWNED },
		{ CBIT_RMP_DEVICE_WRITE, CBIT_RMP_OK, CBIT_RMP_NOT_OWNED, CBIT_RMP_NOT_OWNED },
	};
	struct cbit_platform p = platform(true);
	struct cbit_mem *mem;

	(void)state;
	mem = snp_machine(true);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct cbit_rmp_entry none = { 0 };

		assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(PAGE), table[i].access, 500, GPA),
				 table[i].free);
		assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &to_guest), 0);
		assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(PAGE), table[i].access, 500, GPA),
				 table[i].assigned);
		assert_int_equal(cbit_rmp_pvalidate(mem, CBIT_SPA(PAGE), 500, GPA, true), 0);
		assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(PAGE), table[i].access, 500, GPA),
				 table[i].validated);
		assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &none), 0);
	}
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &to_guest), 0);
	assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(PAGE), CBIT_RMP_PRIVATE, 499, GPA),
			 CBIT_RMP_WRONG_GUEST);
	assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(PAGE), CBIT_RMP_PRIVATE, 500, GPA + 0x1000),
			 CBIT_RMP_WRONG_GPA);
	assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(TABLE), CBIT_RMP_DEVICE_WRITE, 0, 0),
			 CBIT_RMP_NOT_OWNED);
	assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(COVERED), CBIT_RMP_DEVICE_WRITE, 0, 0),
			 CBIT_RMP_OK);
	cbit_mem_destroy(mem);

	p.snp_reads_ciphertext = true;
	mem = machine(&p);
	assert_int_equal(cbit_rmp_enable(mem, CBIT_SPA(TABLE), COVERED, NULL), 0);
	assert_int_equal(cbit_rmp_update(mem, CBIT_SPA(PAGE), &to_guest), 0);
	assert_int_equal(cbit_rmp_check(mem, CBIT_SPA(PAGE), CBIT_RMP_DEVICE_READ, 0, 0),
			 CBIT_RMP_OK);
	cbit_mem_destroy(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enabling_has_rules),
		cmocka_unit_test(entries_are_in_dram),
		cmocka_unit_test(instructions_refuse),
		cmocka_unit_test(verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
