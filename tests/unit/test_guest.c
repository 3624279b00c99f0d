/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who sees what of a guest's memory: guest, its walker and fetches, hypervisor, and the DRAM chip.
 */
#include <errno.h>

#include "guest_rig.h"

#define TEXT "what the guest wrote, 32 bytes.."
#define LEN  32u

enum seen {
	PLAIN, /* what was written */
	NOISE,
	ONES,
};

static enum seen seen(const uint8_t *buf)
{
	static const uint8_t ones[LEN] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
					   255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
					   255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };

	if (!memcmp(buf, TEXT, LEN))
		return PLAIN;
	return memcmp(buf, ones, LEN) ? NOISE : ONES;
}

static enum seen by_guest(struct guest_rig *r, struct cbit_gpa gpa)
{
	uint8_t buf[LEN];

	(void)cbit_guest_read(r->guest, cbit_guest_direct(gpa), buf, LEN, NULL);
	return seen(buf);
}

static enum seen by_hypervisor(struct guest_rig *r, struct cbit_gpa gpa)
{
	uint8_t buf[LEN];

	(void)cbit_mem_read(cbit_guest_hypervisor_view(r->guest), (struct cbit_bus){ gpa.v }, buf,
			    LEN);
	return seen(buf);
}

static enum seen in_dram(struct guest_rig *r, struct cbit_gpa gpa)
{
	uint8_t buf[LEN];
	struct cbit_spa spa;

	assert_int_equal(cbit_guest_spa(r->guest, gpa, &spa), 0);
	assert_int_equal(cbit_mem_raw(r->mem, spa, buf, LEN), 0);
	return seen(buf);
}

/* The rules, by kind of guest, mapping of the hypervisor, memory and C-bit of the guest. */
static void who_sees_what(void **state)
{
	static const struct {
		enum cbit_guest_kind kind;
		bool npt_c;
		uint64_t gpa; /* 0: a page of its DRAM */
		bool shared;
		enum seen guest, hypervisor, dram;
	} table[] = {
		{ CBIT_GUEST_PLAIN, false, 0, true, PLAIN, PLAIN, PLAIN },
		{ CBIT_GUEST_PLAIN, true, 0, true, PLAIN, PLAIN, NOISE },
		{ CBIT_GUEST_SEV, false, 0, false, PLAIN, NOISE, NOISE },
		{ CBIT_GUEST_SEV, true, 0, false, PLAIN, NOISE, NOISE },
		/* C=0: over an encrypted NPT both read it and DRAM holds ciphertext... */
		{ CBIT_GUEST_SEV, true, 0, true, PLAIN, PLAIN, NOISE },
		/* ...over a plain one DRAM holds it as it is. */
		{ CBIT_GUEST_SEV, false, 0, true, PLAIN, PLAIN, PLAIN },
		{ CBIT_GUEST_SEV_ES, true, 0, true, PLAIN, PLAIN, NOISE },
		{ CBIT_GUEST_SNP, true, 0, false, PLAIN, NOISE, NOISE },
		{ CBIT_GUEST_SNP, true, 0, true, PLAIN, PLAIN, NOISE },
		{ CBIT_GUEST_SNP, false, 0, true, PLAIN, PLAIN, PLAIN },
		/* CXL memory is system RAM. */
		{ CBIT_GUEST_SEV, true, RIG_CXL_GPA, false, PLAIN, NOISE, NOISE },
		{ CBIT_GUEST_SEV, true, RIG_CXL_GPA, true, PLAIN, PLAIN, NOISE },
		{ CBIT_GUEST_SNP, true, RIG_CXL_GPA, false, PLAIN, NOISE, NOISE },
		/* Coherent memory that takes the C-bit, and such that does not. */
		{ CBIT_GUEST_SEV, true, RIG_GPU_GPA, false, PLAIN, NOISE, NOISE },
		{ CBIT_GUEST_SEV, true, RIG_GPU_RAW_GPA, true, PLAIN, PLAIN, PLAIN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct guest_rig r;
		struct cbit_gpa gpa;

		guest_rig_init(&r, table[i].kind, table[i].npt_c);
		gpa = table[i].gpa ? CBIT_GPA(table[i].gpa) : rig_page(&r);
		if (table[i].shared)
			assert_int_equal(cbit_guest_share(r.guest, gpa, CBIT_PAGE_SIZE), 0);
		assert_int_equal(cbit_guest_is_shared(r.guest, gpa), table[i].shared);
		assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_OK);
		if (in_dram(&r, gpa) != table[i].dram ||
		    by_hypervisor(&r, gpa) != table[i].hypervisor ||
		    by_guest(&r, gpa) != table[i].guest)
			fail_msg("case %zu", i);
		guest_rig_fini(&r);
	}
}

/* The leaves as they stand in DRAM, and the key that comes out. */
static void entries_say_it(void **state)
{
	struct guest_rig r;
	struct cbit_guest_trace t;
	struct cbit_gpa gpa;
	uint8_t buf[LEN];

	(void)state;
	guest_rig_init(&r, CBIT_GUEST_SEV, true);
	gpa = rig_page(&r);
	assert_int_equal(cbit_guest_read(r.guest, cbit_guest_direct(gpa), buf, LEN, &t),
			 CBIT_GUEST_OK);
	assert_int_equal(t.gpa.v, gpa.v);
	assert_int_equal(t.spa.v, RIG_MEMORY + gpa.v - RIG_GPA);
	assert_true(t.c);
	assert_int_equal(t.guest_entry & UINT64_C(0x000ffffffffff003), gpa.v | r.c | 3);
	assert_int_equal(t.npt_entry & UINT64_C(0x000ffffffffff007), t.spa.v | r.c | 7);
	assert_int_equal(t.key, cbit_mem_guest_key(r.mem, 7));
	assert_int_equal(cbit_guest_share(r.guest, gpa, CBIT_PAGE_SIZE), 0);
	assert_int_equal(cbit_guest_read(r.guest, cbit_guest_direct(gpa), buf, LEN, &t),
			 CBIT_GUEST_OK);
	assert_false(t.c);
	assert_int_equal(t.guest_entry & UINT64_C(0x000ffffffffff003), gpa.v | 3);
	assert_int_equal(t.key, CBIT_KEY_HOST);
	guest_rig_fini(&r);
}

/* Contents do not survive a change of state, in either direction. */
static void contents_are_lost(void **state)
{
	(void)state;
	for (enum cbit_guest_kind kind = CBIT_GUEST_SEV; kind <= CBIT_GUEST_SNP; kind++) {
		struct guest_rig r;
		struct cbit_gpa gpa;

		guest_rig_init(&r, kind, true);
		gpa = rig_page(&r);
		assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_OK);
		assert_int_equal(cbit_guest_share(r.guest, gpa, CBIT_PAGE_SIZE), 0);
		assert_int_equal(by_guest(&r, gpa), NOISE);
		assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_OK);
		assert_int_equal(by_hypervisor(&r, gpa), PLAIN);
		assert_int_equal(cbit_guest_unshare(r.guest, gpa, CBIT_PAGE_SIZE), 0);
		assert_int_equal(by_guest(&r, gpa), NOISE);
		guest_rig_fini(&r);
	}
}

/* A fetch is private whatever the leaf says; so is the table walk, which the next case breaks. */
static void fetches_are_private(void **state)
{
	struct guest_rig r;
	struct cbit_gpa gpa;
	uint8_t buf[LEN];

	(void)state;
	guest_rig_init(&r, CBIT_GUEST_SEV, true);
	gpa = rig_page(&r);
	assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_OK);
	assert_int_equal(cbit_guest_fetch(r.guest, cbit_guest_direct(gpa), buf, LEN, NULL),
			 CBIT_GUEST_OK);
	assert_int_equal(seen(buf), PLAIN);
	assert_int_equal(cbit_guest_share(r.guest, gpa, CBIT_PAGE_SIZE), 0);
	assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_OK);
	assert_int_equal(cbit_guest_fetch(r.guest, cbit_guest_direct(gpa), buf, LEN, NULL),
			 CBIT_GUEST_OK);
	assert_int_equal(seen(buf), NOISE);
	/* A window is never executed from. */
	assert_int_equal(
		cbit_guest_fetch(r.guest, cbit_guest_direct(CBIT_GPA(RIG_BAR_GPA)), buf, LEN, NULL),
		CBIT_GUEST_PF);
	guest_rig_fini(&r);
}

/* Tables that somebody wrote without the guest's key are noise to its walker: #PF. */
static void tables_are_walked_as_private(void **state)
{
	struct guest_rig r;
	struct cbit_gpa gpa;
	uint8_t buf[LEN], zeros[CBIT_PAGE_SIZE] = { 0 };
	struct cbit_spa spa;

	(void)state;
	guest_rig_init(&r, CBIT_GUEST_SEV, true);
	gpa = rig_page(&r);
	/* All of the guest's memory but this page: its tables are in there. */
	for (uint64_t at = 0; at < RIG_SIZE; at += CBIT_PAGE_SIZE) {
		assert_int_equal(cbit_guest_spa(r.guest, CBIT_GPA(RIG_GPA + at), &spa), 0);
		assert_int_equal(
			cbit_mem_write(r.mem, cbit_mem_bus(r.mem, spa, true), zeros, sizeof(zeros)),
			CBIT_MEM_OK);
	}
	assert_int_equal(cbit_guest_read(r.guest, cbit_guest_direct(gpa), buf, LEN, NULL),
			 CBIT_GUEST_PF);
	assert_int_equal(seen(buf), ONES);
	guest_rig_fini(&r);
}

static void windows(void **state)
{
	struct guest_rig r;
	uint8_t buf[LEN];

	(void)state;
	guest_rig_init(&r, CBIT_GUEST_SEV, true);
	assert_int_equal(rig_put(&r, CBIT_GPA(RIG_BAR_GPA), TEXT), CBIT_GUEST_OK);
	assert_memory_equal(r.bar, TEXT, LEN);
	assert_int_equal(by_guest(&r, CBIT_GPA(RIG_BAR_GPA)), PLAIN);
	/* A private GPA: C=1 reaches it, and nothing is encrypted on the way. */
	assert_int_equal(rig_put(&r, CBIT_GPA(RIG_TDISP_GPA), TEXT), CBIT_GUEST_OK);
	assert_memory_equal(r.bar + CBIT_PAGE_SIZE, TEXT, LEN);
	/* The view takes the address as it comes. */
	assert_int_equal(cbit_mem_read(cbit_guest_view(r.guest), (struct cbit_bus){ RIG_TDISP_GPA },
				       buf, LEN),
			 CBIT_MEM_REFUSED);
	assert_int_equal(cbit_mem_read(cbit_guest_view(r.guest),
				       (struct cbit_bus){ RIG_BAR_GPA | r.c }, buf, LEN),
			 CBIT_MEM_ABORT);
	assert_int_equal(seen(buf), ONES);
	/* So does coherent memory that nobody decrypts. */
	assert_int_equal(cbit_mem_read(cbit_guest_view(r.guest),
				       (struct cbit_bus){ RIG_GPU_RAW_GPA | r.c }, buf, LEN),
			 CBIT_MEM_ABORT);
	guest_rig_fini(&r);
}

/* Each step of a page-state change that is left out, or done out of turn. */
static void snp_steps(void **state)
{
	struct guest_rig r;
	struct cbit_gpa gpa;
	struct cbit_mem *hv;
	uint8_t buf[LEN] = { 0 };

	(void)state;
	guest_rig_init(&r, CBIT_GUEST_SNP, true);
	hv = cbit_guest_hypervisor_view(r.guest);
	gpa = rig_page(&r);
	/* The hypervisor may read ciphertext, but not write. */
	assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_OK);
	assert_int_equal(cbit_mem_write(hv, (struct cbit_bus){ gpa.v }, buf, LEN),
			 CBIT_MEM_REFUSED);
	assert_int_equal(by_guest(&r, gpa), PLAIN);
	/* Only the C-bit: the page is still the guest's, a write is #NPF(RMP). */
	assert_int_equal(cbit_guest_set_c(r.guest, gpa, CBIT_PAGE_SIZE, false), 0);
	assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_RMP);
	assert_int_equal(cbit_guest_set_c(r.guest, gpa, CBIT_PAGE_SIZE, true), 0);
	assert_int_equal(by_guest(&r, gpa), PLAIN);
	/* The hypervisor takes it away: #NPF(RMP) on C=1. */
	assert_int_equal(cbit_guest_page_state(r.guest, gpa, CBIT_PAGE_SIZE, true), 0);
	assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_RMP);
	/* And gives it back: the guest has to validate it, and what was there is not lost only
	 * because nobody wrote meanwhile. */
	assert_int_equal(cbit_guest_page_state(r.guest, gpa, CBIT_PAGE_SIZE, false), 0);
	assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_VC);
	assert_int_equal(cbit_guest_pvalidate(r.guest, gpa, CBIT_PAGE_SIZE, true), 0);
	assert_int_equal(cbit_guest_pvalidate(r.guest, gpa, CBIT_PAGE_SIZE, true), 1);
	assert_int_equal(rig_put(&r, gpa, TEXT), CBIT_GUEST_OK);
	/* A page that is not the guest's cannot be validated. */
	assert_int_equal(cbit_guest_page_state(r.guest, gpa, CBIT_PAGE_SIZE, true), 0);
	assert_int_equal(cbit_guest_pvalidate(r.guest, gpa, CBIT_PAGE_SIZE, true), -EPERM);
	guest_rig_fini(&r);

	guest_rig_init(&r, CBIT_GUEST_SEV, true);
	gpa = rig_page(&r);
	assert_int_equal(cbit_guest_pvalidate(r.guest, gpa, CBIT_PAGE_SIZE, true), -EOPNOTSUPP);
	assert_int_equal(cbit_guest_page_state(r.guest, gpa, CBIT_PAGE_SIZE, true), -EOPNOTSUPP);
	guest_rig_fini(&r);
}

static void arguments(void **state)
{
	struct guest_rig r;
	struct cbit_guest_config cfg = { .kind = CBIT_GUEST_SEV, .asid = 16 };
	struct cbit_guest *guest;
	struct cbit_error err;

	(void)state;
	guest_rig_init(&r, CBIT_GUEST_SEV, true);
	assert_int_equal(cbit_guest_create(r.mem, &cfg, &guest, &err), -EINVAL);
	assert_non_null(strstr(err.text, "1..15"));
	cfg.asid = 8;
	assert_int_equal(cbit_guest_create(r.mem, &cfg, &guest, &err), 0);
	assert_int_equal(cbit_guest_add_memory(guest, CBIT_GPA(1), CBIT_SPA(RIG_GPU), 4096, &err),
			 -EINVAL);
	assert_int_equal(cbit_guest_add_memory(guest, CBIT_GPA(r.c), CBIT_SPA(RIG_GPU), 4096, &err),
			 -EINVAL);
	assert_int_equal(cbit_guest_add_memory(guest, CBIT_GPA(0), CBIT_SPA(RIG_BAR), 4096, &err),
			 -EINVAL);
	assert_int_equal(
		cbit_guest_add_mmio(guest, CBIT_GPA(0), CBIT_SPA(RIG_GPU), 4096, false, &err),
		-EINVAL);
	assert_int_equal(cbit_guest_add_memory(guest, CBIT_GPA(0), CBIT_SPA(RIG_GPU), 8192, &err),
			 0);
	assert_int_equal(
		cbit_guest_add_memory(guest, CBIT_GPA(4096), CBIT_SPA(RIG_GPU), 4096, &err),
		-EEXIST);
	/* Coherent memory is not the allocator's: there is no page for its tables. */
	assert_int_equal(cbit_guest_boot(guest, &err), -ENOMEM);
	cbit_guest_destroy(guest);
	/* Ranges that are not memory. */
	assert_int_equal(cbit_guest_share(r.guest, CBIT_GPA(RIG_BAR_GPA), 4096), -EINVAL);
	assert_int_equal(cbit_guest_share(r.guest, CBIT_GPA(RIG_GPA), RIG_SIZE + 4096), -EINVAL);
	assert_int_equal(cbit_guest_unshare(r.guest, CBIT_GPA(RIG_GPU_RAW_GPA), 4096), -EINVAL);
	guest_rig_fini(&r);
}

/* The allocator: everything once, nothing twice, all of it back; freed pages are private again. */
static void allocator(void **state)
{
	struct cbit_gpa got[2048], one;
	struct guest_rig r;
	size_t n = 0;

	(void)state;
	guest_rig_init(&r, CBIT_GUEST_SEV, true);
	while (!cbit_guest_alloc(r.guest, 4096, 4096, ~UINT64_C(0), &got[n]))
		n++;
	assert_true(n > 900 && n < 1024 + 4);
	for (size_t i = 1; i < n; i++)
		assert_true(got[i].v != got[i - 1].v);
	assert_int_equal(cbit_guest_share(r.guest, got[5], 4096), 0);
	for (size_t i = 0; i < n; i++)
		cbit_guest_free(r.guest, got[i], 4096);
	assert_false(cbit_guest_is_shared(r.guest, got[5]));
	assert_int_equal(cbit_guest_alloc(r.guest, 0x100000, 0x100000, ~UINT64_C(0), &one), 0);
	assert_int_equal(one.v & 0xfffff, 0);
	cbit_guest_free(r.guest, one, 0x100000);
	assert_int_equal(cbit_guest_alloc(r.guest, 4096, 4096, 0xfff, &one), -ENOMEM);
	assert_int_equal(cbit_guest_alloc(r.guest, 4096, 4096, 0x1fff, &one), 0);
	assert_int_equal(one.v, 0x1000);
	guest_rig_fini(&r);
}

/* Memory that comes when it is used: nothing before, and then as at boot; windows that come late.
 */
static void accepted(void **state)
{
	static const enum cbit_guest_kind kinds[] = { CBIT_GUEST_PLAIN, CBIT_GUEST_SEV,
						      CBIT_GUEST_SNP };
	const struct cbit_gpa priv = CBIT_GPA(0x80000000), shared = CBIT_GPA(0x80200000);
	const uint64_t unit = 0x200000;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct cbit_guest_trace trace;
		struct guest_rig r;
		struct cbit_spa spa;
		char text[8];

		guest_rig_init(&r, kinds[i], false);
		assert_int_equal(cbit_guest_add_unaccepted(r.guest, priv, CBIT_SPA(RIG_GPU), unit,
							   false, NULL),
				 0);
		assert_int_equal(cbit_guest_add_unaccepted(r.guest, shared,
							   CBIT_SPA(RIG_GPU + unit), unit, true,
							   NULL),
				 0);
		assert_int_equal(cbit_guest_add_unaccepted(r.guest, CBIT_GPA(0x90000000),
							   CBIT_SPA(RIG_CXL + 4096), unit, true,
							   NULL),
				 -EINVAL);
		/* Not before, and not beyond. */
		assert_int_equal(cbit_guest_spa(r.guest, priv, &spa), -ENOENT);
		assert_int_equal(rig_put(&r, priv, "early"), CBIT_GUEST_PF);
		assert_int_equal(cbit_guest_accept(r.guest, priv, 2 * unit), -EINVAL);
		assert_int_equal(cbit_guest_accept(r.guest, CBIT_GPA(0xa0000000), 4096), -EINVAL);
		/* What was there at boot is there. */
		assert_int_equal(cbit_guest_accept(r.guest, CBIT_GPA(RIG_GPA), 4096), 0);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(cbit_guest_accept(r.guest, CBIT_GPA(priv.v + 4096), 1), 0);
			assert_int_equal(cbit_guest_accept(r.guest, shared, unit), 0);
		}
		assert_int_equal(rig_put(&r, priv, "private"), CBIT_GUEST_OK);
		assert_int_equal(rig_put(&r, shared, "shared"), CBIT_GUEST_OK);
		assert_int_equal(cbit_guest_read(r.guest, cbit_guest_direct(priv), text, 8, &trace),
				 CBIT_GUEST_OK);
		assert_string_equal(text, "private");
		assert_int_equal(trace.c, kinds[i] != CBIT_GUEST_PLAIN);
		assert_int_equal(trace.spa.v, RIG_GPU);
		assert_int_equal(cbit_guest_is_shared(r.guest, priv), kinds[i] == CBIT_GUEST_PLAIN);
		assert_true(cbit_guest_is_shared(r.guest, shared));
		/* The hypervisor reads the one and not the other, and writes to it. */
		cbit_mem_read(cbit_guest_hypervisor_view(r.guest), (struct cbit_bus){ shared.v },
			      text, 7);
		assert_string_equal(text, "shared");
		cbit_mem_read(cbit_guest_hypervisor_view(r.guest), (struct cbit_bus){ priv.v },
			      text, 8);
		assert_int_equal(!memcmp(text, "private", 8), kinds[i] == CBIT_GUEST_PLAIN);
		assert_int_equal(cbit_mem_write(cbit_guest_hypervisor_view(r.guest),
						(struct cbit_bus){ priv.v + unit - 4 }, "over both",
						9),
				 kinds[i] == CBIT_GUEST_SNP ? CBIT_MEM_REFUSED : CBIT_MEM_OK);
		assert_int_equal(cbit_guest_read(r.guest, cbit_guest_direct(shared), text, 5, NULL),
				 CBIT_GUEST_OK);
		assert_memory_equal(text, " both", 5);
		/* A page of it can change hands as any other. */
		assert_int_equal(cbit_guest_share(r.guest, priv, 4096), 0);
		assert_true(cbit_guest_is_shared(r.guest, priv));
		assert_int_equal(cbit_guest_add_mmio(r.guest, CBIT_GPA(0x70000000),
						     CBIT_SPA(RIG_BAR), CBIT_PAGE_SIZE, false,
						     NULL),
				 0);
		assert_int_equal(rig_put(&r, CBIT_GPA(0x70000000), "late"), CBIT_GUEST_OK);
		assert_string_equal((char *)r.bar, "late");
		guest_rig_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sees_what),
		cmocka_unit_test(entries_say_it),
		cmocka_unit_test(contents_are_lost),
		cmocka_unit_test(fetches_are_private),
		cmocka_unit_test(tables_are_walked_as_private),
		cmocka_unit_test(windows),
		cmocka_unit_test(snp_steps),
		cmocka_unit_test(arguments),
		cmocka_unit_test(allocator),
		cmocka_unit_test(accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
