/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys: what every key, the C-bit and each kind of memory make of one another; guests' keys
 * and their replacement; ciphertext that is moved.
 */
#include <openssl/evp.h>

#include "mem/mem_internal.h"
#include "mem_rig.h"

#define ASIDS 5u
#define G1    2 /* of ASID 1 */
#define G5    6
#define KEYS  4u

static const cbit_key_t keys[KEYS] = { CBIT_KEY_NONE, CBIT_KEY_HOST, G1, G5 };

static struct cbit_platform platform(const char *preset, bool sev)
{
	struct cbit_platform p;

	assert_int_equal(cbit_platform_preset(preset, &p), 0);
	p.c_bit = 51;
	p.sev = p.sev_es = p.snp = sev;
	p.asids = sev ? ASIDS : 0;
	return p;
}

static struct rig *make(void)
{
	struct cbit_platform p = platform("sme", true);

	return rig_up_with(&p, NULL);
}

/* The rule, said once more: the key on DRAM for an access that names @key. */
static cbit_key_t rule(const struct rig *r, enum rig_kind kind, cbit_key_t key)
{
	if (kind == RIG_COHERENT_PLAIN || kind == RIG_BAR || kind == RIG_DOORBELL)
		return CBIT_KEY_NONE;
	if (key >= G1 && r->platform.sev)
		return key;
	if (r->platform.tsme)
		return CBIT_KEY_HOST;
	return key == CBIT_KEY_HOST && r->platform.sme ? CBIT_KEY_HOST : CBIT_KEY_NONE;
}

/* Whether an access that names @key reaches this kind of memory at all. */
static bool reaches(const struct rig *r, enum rig_kind kind, cbit_key_t key)
{
	bool c = key == CBIT_KEY_HOST ? r->platform.sme : key != CBIT_KEY_NONE && r->platform.sev;

	return !c || (kind != RIG_COHERENT_PLAIN && kind != RIG_BAR && kind != RIG_DOORBELL);
}

/* What those behind ops show without the engine. */
static enum cbit_mem_outcome right(const struct rig *r, enum rig_kind kind, cbit_key_t key)
{
	cbit_key_t resident = CBIT_KEY_NONE;

	if (kind == RIG_CLIENT || kind == RIG_LENT)
		resident = CBIT_KEY_HOST;
	else if (kind != RIG_LENT_RAW)
		return CBIT_MEM_OK;
	return rule(r, kind, key) == rule(r, kind, resident) ? CBIT_MEM_OK : CBIT_MEM_WRONG_KEY;
}

/* One kind of memory, one key that writes and one that reads. */
static void check(struct rig *r, enum rig_kind kind, cbit_key_t writer, cbit_key_t reader)
{
	struct cbit_spa spa = CBIT_SPA(rig_spa(kind) + RIG_PAGE + 48);
	cbit_key_t w = rule(r, kind, writer), d = rule(r, kind, reader);
	uint8_t text[64], raw[64], want[64], got[64];
	enum cbit_mem_outcome outcome;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i + writer * 16 + reader);
	outcome = reaches(r, kind, writer) ? right(r, kind, writer) : CBIT_MEM_ABORT;
	assert_int_equal(cbit_mem_write_as(r->mem, spa, writer, text, sizeof(text)), outcome);
	if (outcome == CBIT_MEM_ABORT)
		return;
	outcome = reaches(r, kind, reader) ? right(r, kind, reader) : CBIT_MEM_ABORT;
	assert_int_equal(cbit_mem_read_as(r->mem, spa, reader, got, sizeof(got)), outcome);
	cbit_mem_aes(r->mem, w, spa, text, raw, sizeof(raw), true);
	cbit_mem_aes(r->mem, d, spa, raw, want, sizeof(want), false);
	if (outcome == CBIT_MEM_ABORT)
		memset(want, 0xff, sizeof(want));
	assert_memory_equal(got, want, sizeof(got));
	assert_int_equal(!memcmp(want, text, sizeof(text)), w == d && outcome != CBIT_MEM_ABORT);
	if (kind != RIG_BAR && kind != RIG_DOORBELL) {
		assert_int_equal(cbit_mem_raw(r->mem, spa, got, sizeof(got)), 0);
		assert_memory_equal(got, raw, sizeof(got));
	}
	/* the C-bit of an address says the same as the two keys that it can name */
	if (reader <= CBIT_KEY_HOST && r->platform.sme) {
		assert_int_equal(
			cbit_mem_read(r->mem, cbit_mem_bus(r->mem, spa, reader), got, sizeof(got)),
			outcome);
		assert_memory_equal(got, want, sizeof(got));
	}
	if (kind <= RIG_COHERENT) {
		const uint8_t *page = cbit_mem_page_as(r->mem, spa, reader);

		assert_non_null(page);
		assert_memory_equal(page + 48, want, sizeof(want));
	} else if (outcome == CBIT_MEM_ABORT) {
		assert_null(cbit_mem_page_as(r->mem, spa, reader));
	}
}

static void test_every_kind_and_key(void **state)
{
	static const struct {
		const char *preset;
		bool sev;
	} machines[] = { { "sme", true },   { "sme", false }, { "bare", true },
			 { "bare", false }, { "tsme", true }, { "tsme", false } };

	(void)state;
	for (unsigned int i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		for (unsigned int slow = 0; slow < 2; slow++) {
			struct cbit_platform p = platform(machines[i].preset, machines[i].sev);
			struct rig *r = rig_up_with(&p, NULL);

			cbit_mem_set_slow(r->mem, slow);
			for (unsigned int n = 0; n < RIG_KINDS * KEYS * KEYS; n++)
				check(r, (enum rig_kind)(n / KEYS / KEYS), keys[n / KEYS % KEYS],
				      keys[n % KEYS]);
			rig_down(r);
		}
	}
}

static void test_which_keys(void **state)
{
	struct rig *r = make(), *none = rig_up("sme");

	(void)state;
	assert_int_equal(cbit_mem_guest_key(r->mem, 0), CBIT_KEY_NONE);
	for (unsigned int asid = 1; asid <= ASIDS; asid++)
		assert_int_equal(cbit_mem_guest_key(r->mem, asid), 1 + asid);
	assert_int_equal(cbit_mem_guest_key(r->mem, ASIDS + 1), CBIT_KEY_NONE);
	assert_int_equal(cbit_mem_guest_key(none->mem, 1), CBIT_KEY_NONE);
	assert_int_equal(cbit_mem_guest_rekey(r->mem, 0), -EINVAL);
	assert_int_equal(cbit_mem_guest_rekey(r->mem, ASIDS + 1), -EINVAL);
	assert_int_equal(cbit_mem_guest_rekey(none->mem, 1), -EINVAL);
	rig_down(r);
	rig_down(none);
}

static void test_sound_platforms(void **state)
{
	static const struct {
		bool sme, sev, sev_es, snp;
		unsigned int c_bit, asids;
		int ret;
	} cases[] = {
		{ true, true, true, true, 51, 1023, 0 },
		{ true, true, true, true, 51, 1024, -EINVAL },
		{ true, true, true, false, 51, 1024, 0 },
		{ true, true, false, false, 51, 65534, 0 },
		{ true, true, false, false, 51, 65535, -EINVAL },
		{ true, true, false, false, 51, 0, -EINVAL },
		{ true, false, false, false, 51, 1, -EINVAL },
		{ true, true, false, true, 51, 8, -EINVAL },
		{ true, false, true, false, 51, 8, -EINVAL },
		{ false, true, false, false, 51, 8, 0 },
		{ false, true, false, false, 47, 8, -EINVAL },
		{ false, false, false, false, 0, 0, 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_platform p = platform("sme", false);
		struct cbit_mem *mem;

		p.sme = cases[i].sme;
		p.sev = cases[i].sev;
		p.sev_es = cases[i].sev_es;
		p.snp = cases[i].snp;
		p.c_bit = cases[i].c_bit;
		p.asids = cases[i].asids;
		assert_int_equal(cbit_mem_create(&p, &mem), cases[i].ret);
		if (!cases[i].ret)
			cbit_mem_destroy(mem);
	}
}

/* AES-128-XTS of one data unit by libcrypto alone. */
static void xts(const uint8_t key[32], const uint8_t tweak[16], const void *in, void *out,
		size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	assert_int_equal(EVP_CipherInit_ex(ctx, EVP_aes_128_xts(), NULL, key, tweak, 1), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, out, &n, in, (int)len), 1);
	EVP_CIPHER_CTX_free(ctx);
}

/* docs/semantics.md: whoever has the host key can compute every other. */
static void test_derivation(void **state)
{
	struct rig *r = make();

	(void)state;
	for (unsigned int asid = 1; asid <= ASIDS; asid++) {
		for (unsigned int round = 0; round < 3; round++) {
			uint8_t tweak[16] = { [2] = (uint8_t)round, [8] = 1 }, key[32] = { 0 };
			uint8_t page[16] = { 0x12, 0x34 }, text[4096] = "text", got[4096],
				want[4096];

			tweak[0] = (uint8_t)(asid + 1);
			xts(r->platform.host_key, tweak, key, key, sizeof(key));
			xts(key, page, text, want, sizeof(want));
			cbit_mem_aes(r->mem, cbit_mem_guest_key(r->mem, asid), CBIT_SPA(0x3412000),
				     text, got, sizeof(got), true);
			assert_memory_equal(got, want, sizeof(got));
			cbit_mem_aes(r->mem, cbit_mem_guest_key(r->mem, asid), CBIT_SPA(0x3412000),
				     got, got, sizeof(got), false);
			assert_memory_equal(got, text, sizeof(got));
			assert_int_equal(cbit_mem_guest_rekey(r->mem, asid), 0);
		}
	}
	rig_down(r);
}

/* A new guest on the same ASID: DRAM stays as it is, and what it held is noise. */
static void test_rekey(void **state)
{
	static const enum rig_kind kinds[] = { RIG_DRAM, RIG_CXL, RIG_COHERENT };

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		struct rig *r = make();
		uint64_t base = rig_spa(kinds[i % 3]);
		uint8_t text[RIG_PAGE], raw[KEYS][RIG_PAGE], want[RIG_PAGE], got[RIG_PAGE];

		cbit_mem_set_slow(r->mem, i / 3);
		memset(text, 0x6b, sizeof(text));
		for (unsigned int n = 0; n < KEYS; n++) {
			struct cbit_spa spa = CBIT_SPA(base + n * RIG_PAGE);

			cbit_mem_write_as(r->mem, spa, keys[n], text, sizeof(text));
			cbit_mem_raw(r->mem, spa, raw[n], RIG_PAGE);
		}
		assert_int_equal(cbit_mem_guest_rekey(r->mem, 1), 0);
		for (unsigned int n = 0; n < KEYS; n++) {
			struct cbit_spa spa = CBIT_SPA(base + n * RIG_PAGE);

			cbit_mem_raw(r->mem, spa, got, RIG_PAGE);
			assert_memory_equal(got, raw[n], RIG_PAGE);
			cbit_mem_read_as(r->mem, spa, keys[n], got, RIG_PAGE);
			cbit_mem_aes(r->mem, keys[n], spa, raw[n], want, RIG_PAGE, false);
			assert_memory_equal(got, want, RIG_PAGE);
			assert_int_equal(!memcmp(got, text, RIG_PAGE), keys[n] != G1);
		}
		/* the new guest writes over it, and it works again */
		cbit_mem_write_as(r->mem, CBIT_SPA(base), G1, text, 100);
		cbit_mem_read_as(r->mem, CBIT_SPA(base), G1, got, 100);
		assert_memory_equal(got, text, 100);
		rig_down(r);
	}
}

/* Who can reach DRAM but has no key moves ciphertext: only where it came from does it mean
 * anything. */
static void test_moved_ciphertext(void **state)
{
	static const struct {
		enum rig_kind from, to;
		uint64_t from_at, to_at;
	} cases[] = {
		{ RIG_DRAM, RIG_DRAM, 0, 2 * RIG_PAGE },
		{ RIG_DRAM, RIG_DRAM, 0, 64 },
		{ RIG_DRAM, RIG_DRAM, 64, RIG_PAGE + 64 },
		{ RIG_DRAM, RIG_CXL, 0, 0 },
		{ RIG_CXL, RIG_COHERENT, 0, 0 },
		{ RIG_CLIENT, RIG_DRAM, 0, 0 },
		{ RIG_DRAM, RIG_LENT, 0, 0 },
		{ RIG_LENT, RIG_LENT, 0, 16 },
	};

	(void)state;
	for (unsigned int i = 0; i < (KEYS - 1) * sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = make();
		unsigned int n = i / (KEYS - 1);
		cbit_key_t key = keys[1 + i % (KEYS - 1)];
		struct cbit_spa from = CBIT_SPA(rig_spa(cases[n].from) + cases[n].from_at);
		struct cbit_spa to = CBIT_SPA(rig_spa(cases[n].to) + cases[n].to_at);
		uint8_t text[64], first[64], second[64], got[64];

		memset(text, 0xa7, sizeof(text));
		/* the same plaintext at two addresses, and in two blocks of one page, differs */
		cbit_mem_write_as(r->mem, from, key, text, sizeof(text));
		cbit_mem_raw(r->mem, from, first, sizeof(first));
		cbit_mem_write_as(r->mem, to, key, text, sizeof(text));
		cbit_mem_raw(r->mem, to, second, sizeof(second));
		cbit_mem_write_as(r->mem, from, key, text, sizeof(text));
		for (unsigned int block = 0; block < 4; block++) {
			assert_memory_not_equal(first, second + 16 * block, 16);
			assert_true(!block || memcmp(first, first + 16 * block, 16) != 0);
		}
		/* carried over by the hypervisor, it decrypts to noise in every block */
		cbit_mem_raw(r->mem, from, first, sizeof(first));
		cbit_mem_write_as(r->mem, to, CBIT_KEY_NONE, first, sizeof(first));
		cbit_mem_read_as(r->mem, to, key, got, sizeof(got));
		for (unsigned int block = 0; block < 4; block++)
			assert_memory_not_equal(got + 16 * block, text, 16);
		/* and carried back, it is what it was: a replay is not noticed */
		cbit_mem_write_as(r->mem, from, CBIT_KEY_NONE, second, sizeof(second));
		cbit_mem_write_as(r->mem, from, CBIT_KEY_NONE, first, sizeof(first));
		cbit_mem_read_as(r->mem, from, key, got, sizeof(got));
		assert_memory_equal(got, text, sizeof(got));
		rig_down(r);
	}
}

/* A trusted device counts in a guest's memory; the host's view of the block is noise. */
static void test_atomics(void **state)
{
	static const uint64_t one[2] = { 1 };
	struct rig *r = make();

	(void)state;
	for (unsigned int i = 0; i < RIG_KINDS; i++) {
		struct cbit_spa spa = CBIT_SPA(rig_spa((enum rig_kind)i) + 72);
		bool there = reaches(r, (enum rig_kind)i, G1);
		uint64_t old[2], host[1], v = 41;

		cbit_mem_write_as(r->mem, spa, G1, &v, 8);
		assert_int_equal(cbit_mem_atomic_as(r->mem, spa, G1, CBIT_ATOMIC_FETCH_ADD, 8, one,
						    NULL, old),
				 there ? right(r, (enum rig_kind)i, G1) : CBIT_MEM_ABORT);
		assert_true(old[0] == (there ? 41 : UINT64_MAX));
		if (!there)
			continue;
		cbit_mem_read_as(r->mem, spa, G1, &v, 8);
		assert_int_equal(v, 42);
		cbit_mem_read_as(r->mem, spa, CBIT_KEY_HOST, host, 8);
		assert_int_not_equal(host[0], 42);
	}
	rig_down(r);
}

/* Frames for tables in a guest's memory: zeros to the guest, noise to everybody else. */
static void test_frames(void **state)
{
	struct rig *r = make();
	uint8_t got[RIG_PAGE], zero[RIG_PAGE] = { 0 };
	struct cbit_spa spa;

	(void)state;
	for (unsigned int n = 0; n < KEYS; n++) {
		assert_int_equal(cbit_mem_frames_alloc(r->mem, 1, keys[n], &spa), 0);
		for (unsigned int d = 0; d < KEYS; d++) {
			cbit_mem_read_as(r->mem, spa, keys[d], got, sizeof(got));
			assert_int_equal(!memcmp(got, zero, sizeof(got)), d == n);
		}
		/* the next owner of the same frame must not find this */
		cbit_mem_write_as(r->mem, spa, keys[n], "leftover", 8);
		cbit_mem_frames_free(r->mem, spa, 1);
	}
	rig_down(r);
}

/* Where libcrypto does not show its tweak, it is set by the call that costs more: same bytes. */
static void test_tweak_by_call(void **state)
{
	struct rig *a = make(), *b = make();

	(void)state;
	for (unsigned int i = 0; i < MEM_ENGINE_SLOTS; i++) {
		for (int dir = 0; dir < MEM_DIRECTIONS; dir++) {
			b->mem->engine.slot[i].host[dir].tweak = NULL;
			b->mem->engine.slot[i].guest[dir].tweak = NULL;
		}
	}
	for (unsigned int n = 0; n < 64; n++) {
		struct cbit_spa spa = CBIT_SPA((0x123456789abull + n * 77) << (n % 5 + 4));
		uint8_t text[2 * RIG_PAGE], x[2 * RIG_PAGE], y[2 * RIG_PAGE];
		size_t len = 16 * (1 + n * 8 % 511);

		memset(text, (int)n, sizeof(text));
		cbit_mem_aes(a->mem, keys[1 + n % 3], spa, text, x, len, n & 4);
		cbit_mem_aes(b->mem, keys[1 + n % 3], spa, text, y, len, n & 4);
		assert_memory_equal(x, y, len);
		assert_memory_not_equal(x, text, len);
	}
	rig_down(a);
	rig_down(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_and_key),
		cmocka_unit_test(test_which_keys),
		cmocka_unit_test(test_sound_platforms),
		cmocka_unit_test(test_derivation),
		cmocka_unit_test(test_rekey),
		cmocka_unit_test(test_moved_ciphertext),
		cmocka_unit_test(test_atomics),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_tweak_by_call),
	};

	return cmocka_run_group_tests_name("mem_guest", tests, NULL, NULL);
}
