/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mem room against its contract: decoding, keys, the engine, backings. Storage, frames
 * and threads are test_mem_frames.c's subject, fast path = reference path test_mem_equal.c's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include <cbit/mem.h>

#define DRAM  0x100000000u
#define BACK  0x200000000u
#define BAR   0xfe000000u
#define KIB   ((uint64_t)1 << 10)
#define C_BIT ((uint64_t)1 << 51)

static struct cbit_mem *make(const char *preset)
{
	struct cbit_platform p;
	struct cbit_mem *mem;

	assert_int_equal(cbit_platform_preset(preset, &p), 0);
	assert_int_equal(cbit_mem_create(&p, &mem), 0);
	return mem;
}

static void add_dram(struct cbit_mem *mem, uint64_t base, uint64_t size)
{
	struct cbit_mem_region_desc d = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = { base }, .size = size
	};

	d.name = "ram";
	assert_int_equal(cbit_mem_add_region(mem, &d, NULL), 0);
}

/* A backing in plain memory that counts its calls, and fails from @hole on. */
struct backing {
	uint8_t bytes[128 * 1024];
	uint64_t hole;
	unsigned int reads;
	unsigned int writes;
};

static int backing_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	struct backing *b = opaque;

	b->reads++;
	if (offset + len > b->hole)
		return -EFAULT;
	memcpy(buf, b->bytes + offset, len);
	return 0;
}

static int backing_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	struct backing *b = opaque;

	b->writes++;
	if (offset + len > b->hole)
		return -EFAULT;
	memcpy(b->bytes + offset, buf, len);
	return 0;
}

static const struct cbit_mem_ops backing_ops = { .read = backing_read, .write = backing_write };

static struct backing *add_backing(struct cbit_mem *mem, uint64_t base, cbit_key_t resident)
{
	struct backing *b = calloc(1, sizeof(*b));
	struct cbit_mem_region_desc d = {
		.kind = CBIT_MEM_DRAM, .encrypts = true, .base = { base }, .name = "client"
	};

	assert_non_null(b);
	b->hole = sizeof(b->bytes);
	for (size_t i = 0; i < sizeof(b->bytes); i++)
		b->bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	d.size = sizeof(b->bytes);
	d.ops = &backing_ops;
	d.opaque = b;
	d.resident = resident;
	assert_int_equal(cbit_mem_add_region(mem, &d, NULL), 0);
	return b;
}

static bool all_are(const void *buf, uint8_t byte, size_t len)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		if (p[i] != byte)
			return false;
	}
	return true;
}

/* What the documentation says the engine does, done with libcrypto alone, page by page. */
static void xts(const uint8_t *key, uint64_t spa, const void *in, void *out, int enc)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint64_t page = spa >> 12;
	uint8_t iv[16] = { 0 };
	int n;

	for (int i = 0; i < 8; i++)
		iv[i] = (uint8_t)(page >> (8 * i));
	assert_int_equal(EVP_CipherInit_ex(ctx, EVP_aes_128_xts(), NULL, key, iv, enc), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, out, &n, in, 4096), 1);
	EVP_CIPHER_CTX_free(ctx);
}

static void test_words(void **state)
{
	struct cbit_platform p;
	struct cbit_error err;

	(void)state;
	assert_int_equal(cbit_platform_preset("sme", &p), 0);
	assert_true(p.sme && !p.tsme && p.c_bit == 51 && p.pa_bits == 48);
	assert_int_equal(cbit_platform_c_mask(&p), C_BIT);
	assert_int_equal(cbit_platform_preset("tsme", &p), 0);
	assert_true(!p.sme && p.tsme && !cbit_platform_c_mask(&p));
	assert_int_equal(cbit_platform_preset("bare", &p), 0);
	assert_true(!p.sme && !p.tsme && !cbit_platform_c_mask(&p));
	assert_int_equal(cbit_platform_preset("SME", &p), -ENOENT);
	assert_string_equal(cbit_mem_kind_name(CBIT_MEM_CXL_RAM), "cxl-ram");
	assert_string_equal(cbit_mem_kind_name(CBIT_MEM_MMIO), "mmio");
	assert_string_equal(cbit_mem_key_name(CBIT_KEY_NONE), "no key");
	assert_string_equal(cbit_mem_key_name(CBIT_KEY_HOST), "host key");
	assert_string_equal(cbit_mem_key_name(7), "guest key");
	assert_int_equal(cbit_error_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(cbit_error_set(&err, -EINVAL, "bad %0300d", 1), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void test_platforms_refused(void **state)
{
	struct cbit_platform good, p;
	struct cbit_mem *mem;

	(void)state;
	assert_int_equal(cbit_platform_preset("sme", &good), 0);
	p = good;
	p.c_bit = 47;
	assert_int_equal(cbit_mem_create(&p, &mem), -EINVAL);
	p.pa_bits = 47;
	assert_int_equal(cbit_mem_create(&p, &mem), 0);
	cbit_mem_destroy(mem);
	p = good;
	p.c_bit = 52;
	assert_int_equal(cbit_mem_create(&p, &mem), -EINVAL);
	p = good;
	p.pa_bits = 31;
	assert_int_equal(cbit_mem_create(&p, &mem), -EINVAL);
	p = good;
	p.sme = false;
	p.pa_bits = 53;
	assert_int_equal(cbit_mem_create(&p, &mem), -EINVAL);
	p = good;
	memset(p.host_key, 3, sizeof(p.host_key));
	assert_int_equal(cbit_mem_create(&p, &mem), -EINVAL);
	cbit_mem_destroy(NULL);
}

static int try_region(struct cbit_mem *mem, enum cbit_mem_kind kind, bool encrypts, uint64_t base,
		      uint64_t size, void *direct, const struct cbit_mem_ops *ops)
{
	struct cbit_mem_region_desc d = {
		.kind = kind, .encrypts = encrypts, .base = { base }, .size = size, .name = "it"
	};
	struct cbit_error err = { 0 };
	int ret;

	d.direct = direct;
	d.ops = ops;
	ret = cbit_mem_add_region(mem, &d, &err);
	assert_int_equal(err.code, ret);
	assert_int_equal(ret != 0, strstr(err.text, "region it") != NULL);
	return ret;
}

static void test_region_rules(void **state)
{
	struct cbit_mem_ops half = { .read = backing_read };
	struct cbit_mem *mem = make("sme");
	char page[4096];

	(void)state;
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, false, 0, 4096, NULL, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_CXL_RAM, false, 0, 4096, NULL, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 8, 4096, NULL, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0, 0, NULL, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0, 4097, NULL, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0, 4096, page, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_MMIO, true, 0, 4096, page, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_MMIO, false, 0, 4096, NULL, NULL), -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_MMIO, false, 0, 4096, page, &backing_ops),
			 -EINVAL);
	assert_int_equal(try_region(mem, CBIT_MEM_MMIO, false, 0, 4096, NULL, &half), -EINVAL);
	assert_int_equal(try_region(mem, (enum cbit_mem_kind)9, true, 0, 4096, NULL, NULL),
			 -EINVAL);
	/* the last page of 48 bits is there, the next is not, nor does a sum wrap */
	assert_int_equal(
		try_region(mem, CBIT_MEM_DRAM, true, (1ull << 48) - 4096, 8192, NULL, NULL),
		-EINVAL);
	assert_int_equal(
		try_region(mem, CBIT_MEM_DRAM, true, 4096, UINT64_MAX & ~4095ull, NULL, NULL),
		-EINVAL);
	assert_int_equal(
		try_region(mem, CBIT_MEM_DRAM, true, (1ull << 48) - 4096, 4096, NULL, NULL), 0);

	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0x10000, 0x4000, NULL, NULL), 0);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0x10000, 0x1000, NULL, NULL),
			 -EEXIST);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0xf000, 0x6000, NULL, NULL), -EEXIST);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0x13000, 0x2000, NULL, NULL),
			 -EEXIST);
	assert_int_equal(try_region(mem, CBIT_MEM_DRAM, true, 0xf000, 0x2000, NULL, NULL), -EEXIST);
	assert_int_equal(try_region(mem, CBIT_MEM_COHERENT, false, 0x14000, 0x1000, NULL, NULL), 0);
	assert_int_equal(try_region(mem, CBIT_MEM_COHERENT, true, 0xf000, 0x1000, NULL, NULL), 0);

	assert_null(cbit_mem_find(mem, CBIT_SPA(0xefff)));
	assert_int_equal(cbit_mem_find(mem, CBIT_SPA(0xf000))->base.v, 0xf000);
	assert_int_equal(cbit_mem_find(mem, CBIT_SPA(0x13fff))->base.v, 0x10000);
	assert_int_equal(cbit_mem_find(mem, CBIT_SPA(0x14fff))->kind, CBIT_MEM_COHERENT);
	assert_null(cbit_mem_find(mem, CBIT_SPA(0x15000)));
	assert_null(cbit_mem_find(mem, CBIT_SPA(UINT64_MAX)));
	cbit_mem_destroy(mem);
}

static void test_c_bit_misses_mmio(void **state)
{
	struct cbit_mem *mem = make("sme");
	uint8_t bar[4096], buf[8] = { 0 };
	struct cbit_bus plain, enc;

	(void)state;
	memset(bar, 0x5a, sizeof(bar));
	assert_int_equal(try_region(mem, CBIT_MEM_MMIO, false, BAR, 4096, bar, NULL), 0);
	assert_int_equal(try_region(mem, CBIT_MEM_COHERENT, false, DRAM, 4096, NULL, NULL), 0);
	plain = cbit_mem_bus(mem, CBIT_SPA(BAR + 16), false);
	enc = cbit_mem_bus(mem, CBIT_SPA(BAR + 16), true);
	assert_int_equal(enc.v, plain.v | C_BIT);
	assert_int_equal(cbit_mem_read(mem, plain, buf, 8), CBIT_MEM_OK);
	assert_true(all_are(buf, 0x5a, 8));
	assert_int_equal(cbit_mem_read(mem, enc, buf, 8), CBIT_MEM_ABORT);
	assert_true(all_are(buf, 0xff, 8));
	assert_int_equal(cbit_mem_write(mem, enc, "12345678", 8), CBIT_MEM_ABORT);
	assert_true(all_are(bar, 0x5a, sizeof(bar)));
	assert_int_equal(cbit_mem_write(mem, plain, "12345678", 8), CBIT_MEM_OK);
	assert_memory_equal(bar + 16, "12345678", 8);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(BAR), buf, 8), -ENXIO);
	assert_null(cbit_mem_page(mem, plain));

	/* coherent memory whose vendor says no behaves alike, but is memory */
	plain.v = DRAM;
	assert_int_equal(cbit_mem_write(mem, plain, "abcdefgh", 8), CBIT_MEM_OK);
	plain.v |= C_BIT;
	assert_int_equal(cbit_mem_write(mem, plain, "ABCDEFGH", 8), CBIT_MEM_ABORT);
	assert_null(cbit_mem_page(mem, plain));
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM), buf, 8), 0);
	assert_memory_equal(buf, "abcdefgh", 8);
	cbit_mem_destroy(mem);
}

static void test_holes(void **state)
{
	struct cbit_mem *mem = make("sme");
	uint8_t buf[12288];

	(void)state;
	add_dram(mem, DRAM, 4096);
	add_dram(mem, DRAM + 8192, 4096);
	memset(buf, 1, sizeof(buf));
	assert_int_equal(cbit_mem_write(mem, (struct cbit_bus){ DRAM }, buf, sizeof(buf)),
			 CBIT_MEM_ABORT);
	memset(buf, 2, sizeof(buf));
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ DRAM }, buf, sizeof(buf)),
			 CBIT_MEM_ABORT);
	assert_true(all_are(buf, 1, 4096) && all_are(buf + 4096, 0xff, 4096) &&
		    all_are(buf + 8192, 1, 4096));
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ UINT64_MAX - 3 }, buf, 64),
			 CBIT_MEM_ABORT);
	assert_true(all_are(buf, 0xff, 64));
	/* an address bit between the last SPA bit and the C-bit selects nothing */
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ DRAM | 1ull << 49 }, buf, 64),
			 CBIT_MEM_ABORT);
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ 0 }, buf, 0), CBIT_MEM_OK);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM), buf, 8192), -ENXIO);
	cbit_mem_destroy(mem);
}

static void test_engine_is_xts(void **state)
{
	uint8_t plain[8192], want[8192], got[8192], other[4096];
	struct cbit_mem *mem = make("sme");
	const uint8_t *key = cbit_mem_platform(mem)->host_key;
	uint64_t spa = 0x123456789000;

	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i % 251);
	xts(key, spa, plain, want, 1);
	xts(key, spa + 4096, plain + 4096, want + 4096, 1);
	cbit_mem_aes(mem, CBIT_KEY_HOST, CBIT_SPA(spa), plain, got, sizeof(plain), true);
	assert_memory_equal(got, want, sizeof(want));
	cbit_mem_aes(mem, CBIT_KEY_HOST, CBIT_SPA(spa), got, got, sizeof(got), false);
	assert_memory_equal(got, plain, sizeof(plain));
	/* any run of blocks, crossing the page or not */
	for (size_t at = 0; at < 4096; at += 208) {
		cbit_mem_aes(mem, CBIT_KEY_HOST, CBIT_SPA(spa + at), plain + at, got, 4096, true);
		assert_memory_equal(got, want + at, 4096);
		cbit_mem_aes(mem, CBIT_KEY_HOST, CBIT_SPA(spa + at), plain + at, got, 16, true);
		assert_memory_equal(got, want + at, 16);
	}
	cbit_mem_aes(mem, CBIT_KEY_NONE, CBIT_SPA(spa), plain, got, 4096, true);
	assert_memory_equal(got, plain, 4096);
	/* guests' keys: each its own, both ways, whatever was used before */
	cbit_mem_aes(mem, 2, CBIT_SPA(spa), plain, got, 4096, true);
	cbit_mem_aes(mem, 3, CBIT_SPA(spa), plain, other, 4096, true);
	assert_memory_not_equal(got, other, 16);
	assert_memory_not_equal(got, want, 16);
	cbit_mem_aes(mem, 2, CBIT_SPA(spa), got, got, 4096, false);
	cbit_mem_aes(mem, 3, CBIT_SPA(spa), other, other, 4096, false);
	assert_memory_equal(got, plain, 4096);
	assert_memory_equal(other, plain, 4096);
	cbit_mem_destroy(mem);
}

static void test_dram_holds_ciphertext(void **state)
{
	static const char secret[6] = { 's', 'e', 'c', 'r', 'e', 't' };
	uint8_t zeros[4096] = { 0 }, page[4096], want[4096], raw[4096], a[16], b[16];
	struct cbit_mem *mem = make("sme");
	const uint8_t *key = cbit_mem_platform(mem)->host_key;
	struct cbit_bus enc, plain;

	(void)state;
	add_dram(mem, DRAM, 64 * KIB);
	enc = cbit_mem_bus(mem, CBIT_SPA(DRAM + 4096), true);
	plain = cbit_mem_bus(mem, CBIT_SPA(DRAM + 4096), false);

	/* untouched DRAM is zeros to the chip, noise to the host key; looking creates nothing */
	assert_int_equal(cbit_mem_read(mem, enc, page, 4096), CBIT_MEM_OK);
	xts(key, DRAM + 4096, zeros, want, 0);
	assert_memory_equal(page, want, 4096);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM + 4096), raw, 4096), 0);
	assert_memory_equal(raw, zeros, 4096);

	/* a write of a few bytes under the host key leaves the rest of the noise as it is */
	assert_int_equal(cbit_mem_write(mem, enc, secret, 6), CBIT_MEM_OK);
	memcpy(want, secret, 6);
	assert_int_equal(cbit_mem_read(mem, enc, page, 4096), CBIT_MEM_OK);
	assert_memory_equal(page, want, 4096);
	xts(key, DRAM + 4096, want, want, 1);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM + 4096), raw, 4096), 0);
	assert_memory_equal(raw, want, 4096);
	assert_int_equal(cbit_mem_read(mem, plain, page, 4096), CBIT_MEM_OK);
	assert_memory_equal(raw, page, 4096);
	assert_memory_equal(raw + 16, zeros, 4096 - 16);

	/* the same plaintext elsewhere is other ciphertext; ciphertext moved is noise */
	memset(page, 0x11, sizeof(page));
	assert_int_equal(cbit_mem_write(mem, enc, page, 4096), CBIT_MEM_OK);
	enc.v += 4096;
	assert_int_equal(cbit_mem_write(mem, enc, page, 4096), CBIT_MEM_OK);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM + 4096), raw, 4096), 0);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM + 8192), a, 16), 0);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM + 8192 + 16), b, 16), 0);
	assert_memory_not_equal(raw, a, 16);
	assert_memory_not_equal(a, b, 16);
	plain.v += 4096;
	assert_int_equal(cbit_mem_write(mem, plain, raw, 4096), CBIT_MEM_OK);
	assert_int_equal(cbit_mem_read(mem, enc, page, 4096), CBIT_MEM_OK);
	assert_false(all_are(page, 0x11, 16));
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM + 8192), page, 4096), 0);
	assert_memory_equal(page, raw, 4096);
	cbit_mem_destroy(mem);
}

static void test_page_views(void **state)
{
	struct cbit_mem *mem = make("sme");
	const uint8_t *key = cbit_mem_platform(mem)->host_key;
	uint8_t zeros[4096] = { 0 }, want[4096], buf[8];
	struct cbit_bus enc = { DRAM | C_BIT }, plain = { DRAM };
	struct backing *b = add_backing(mem, BACK, CBIT_KEY_HOST);
	uint8_t *view;

	(void)state;
	add_dram(mem, DRAM, 64 * KIB);
	view = cbit_mem_page(mem, plain);
	assert_non_null(view);
	assert_true(all_are(view, 0, 4096));
	memset(view + 8, 0x42, 8);
	assert_ptr_equal(cbit_mem_page(mem, (struct cbit_bus){ DRAM + 100 }), view);
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ DRAM + 8 }, buf, 8), CBIT_MEM_OK);
	assert_true(all_are(buf, 0x42, 8));
	memset(zeros + 8, 0x42, 8);
	xts(key, DRAM, zeros, want, 0);
	view = cbit_mem_page(mem, enc);
	assert_memory_equal(view, want, 4096);
	view = cbit_mem_page(mem, plain);
	assert_memory_equal(view, zeros, 4096);
	assert_null(cbit_mem_page(mem, (struct cbit_bus){ DRAM - 1 }));
	assert_null(cbit_mem_page(mem, (struct cbit_bus){ BACK }));
	cbit_mem_destroy(mem);
	free(b);
}

static void test_backing(void **state)
{
	struct cbit_mem *mem = make("sme");
	const uint8_t *key = cbit_mem_platform(mem)->host_key;
	struct backing *b = add_backing(mem, BACK, CBIT_KEY_HOST);
	uint8_t *before = malloc(sizeof(b->bytes)), *buf = malloc(sizeof(b->bytes));
	struct cbit_bus enc = { BACK | C_BIT }, plain = { BACK };
	uint8_t page[4096], want[4096];

	(void)state;
	memcpy(before, b->bytes, sizeof(b->bytes));
	/* the right key: one call, however long and however crooked */
	enc.v += 5;
	assert_int_equal(cbit_mem_read(mem, enc, buf, sizeof(b->bytes) - 5), CBIT_MEM_OK);
	assert_int_equal(b->reads, 1);
	assert_memory_equal(buf, before + 5, sizeof(b->bytes) - 5);
	assert_int_equal(cbit_mem_write(mem, enc, buf, 70001), CBIT_MEM_OK);
	assert_int_equal(b->writes, 1);
	assert_memory_equal(b->bytes, before, sizeof(b->bytes));

	/* the wrong key reads Enc(P), at every offset and across pages */
	assert_int_equal(cbit_mem_read(mem, plain, buf, sizeof(b->bytes)), CBIT_MEM_WRONG_KEY);
	for (size_t i = 0; i < sizeof(b->bytes); i += 4096) {
		xts(key, BACK + i, before + i, want, 1);
		assert_memory_equal(buf + i, want, 4096);
	}
	plain.v = BACK + 4093;
	assert_int_equal(cbit_mem_read(mem, plain, page, 20), CBIT_MEM_WRONG_KEY);
	assert_memory_equal(page, buf + 4093, 20);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(BACK + 77), page, 4000), 0);
	assert_memory_equal(page, buf + 77, 4000);

	/* and writes Dec(D) */
	memset(page, 0x77, sizeof(page));
	xts(key, BACK + 8192, page, want, 0);
	plain.v = BACK + 8192;
	assert_int_equal(cbit_mem_write(mem, plain, page, 4096), CBIT_MEM_WRONG_KEY);
	assert_memory_equal(b->bytes + 8192, want, 4096);
	assert_memory_equal(b->bytes, before, 8192);
	assert_memory_equal(b->bytes + 12288, before + 12288, sizeof(b->bytes) - 12288);

	/* parts of blocks: the chip's other bytes stay, so the client's whole block changes */
	for (size_t len = 1; len < 40; len++) {
		size_t at = 16384 + len * 61;

		plain.v = BACK + at;
		xts(key, BACK + (at & ~4095ul), b->bytes + (at & ~4095ul), want, 1);
		memcpy(want + (at & 4095), page, len);
		xts(key, BACK + (at & ~4095ul), want, want, 0);
		assert_int_equal(cbit_mem_write(mem, plain, page, len), CBIT_MEM_WRONG_KEY);
		assert_memory_equal(b->bytes + (at & ~4095ul), want, 4096);
	}

	/* nothing there: all ones, whichever key */
	b->hole = 8192;
	for (int c = 0; c < 2; c++) {
		struct cbit_bus at = cbit_mem_bus(mem, CBIT_SPA(BACK + 8190), c);

		memset(page, 0, sizeof(page));
		assert_int_equal(cbit_mem_read(mem, at, page, 100), CBIT_MEM_NO_BACKING);
		assert_true(all_are(page, 0xff, 100));
		assert_int_equal(cbit_mem_write(mem, at, page, 100), CBIT_MEM_NO_BACKING);
	}
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(BACK + 8190), page, 100), -EFAULT);
	cbit_mem_destroy(mem);
	free(before);
	free(buf);
	free(b);
}

static void test_tsme_and_bare(void **state)
{
	struct cbit_mem *mem = make("tsme");
	struct backing *b = add_backing(mem, BACK, CBIT_KEY_NONE);
	const uint8_t *key = cbit_mem_platform(mem)->host_key;
	uint8_t page[4096], want[4096], raw[4096];
	struct cbit_spa spa;

	(void)state;
	add_dram(mem, DRAM, 64 * KIB);
	memset(page, 0x33, sizeof(page));
	assert_int_equal(cbit_mem_bus(mem, CBIT_SPA(DRAM), true).v, DRAM);
	assert_int_equal(cbit_mem_write(mem, (struct cbit_bus){ DRAM + 4096 }, page, 4096), 0);
	xts(key, DRAM + 4096, page, want, 1);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(DRAM + 4096), raw, 4096), 0);
	assert_memory_equal(raw, want, 4096);
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ DRAM + 4096 }, raw, 4096), 0);
	assert_memory_equal(raw, page, 4096);
	/* "no key" can only mean the host key here */
	assert_int_equal(cbit_mem_frames_alloc(mem, 1, CBIT_KEY_NONE, &spa), 0);
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ spa.v }, raw, 4096), 0);
	assert_true(all_are(raw, 0, 4096));
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ BACK }, raw, 4096), CBIT_MEM_OK);
	assert_memory_equal(raw, b->bytes, 4096);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(BACK), raw, 4096), 0);
	assert_memory_not_equal(raw, b->bytes, 16);
	cbit_mem_destroy(mem);
	free(b);

	mem = make("bare");
	b = add_backing(mem, BACK, CBIT_KEY_HOST);
	add_dram(mem, DRAM, 64 * KIB);
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ BACK }, raw, 4096), CBIT_MEM_OK);
	assert_memory_equal(raw, b->bytes, 4096);
	assert_int_equal(cbit_mem_raw(mem, CBIT_SPA(BACK), raw, 4096), 0);
	assert_memory_equal(raw, b->bytes, 4096);
	assert_int_equal(cbit_mem_read(mem, (struct cbit_bus){ DRAM | C_BIT }, raw, 1),
			 CBIT_MEM_ABORT);
	cbit_mem_destroy(mem);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_platforms_refused),
		cmocka_unit_test(test_region_rules),
		cmocka_unit_test(test_c_bit_misses_mmio),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_engine_is_xts),
		cmocka_unit_test(test_dram_holds_ciphertext),
		cmocka_unit_test(test_page_views),
		cmocka_unit_test(test_backing),
		cmocka_unit_test(test_tsme_and_bare),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
