/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA of a whole machine through the wrong key: what is left in the client's memory, and what
 * the device gets to see, is AES-128-XTS as libcrypto computes it, to the byte.
 */
#include "client_rig.h"

#include <openssl/evp.h>
#include <time.h>

#define P CBIT_PAGE_SIZE

/*
 * At IOVA GOOD the client's memory as it should be. At IOVA BAD a copy of it from BAD_AT on,
 * mapped in front of a BAR under the policy that lets such memory lose its C-bit.
 */
#define GOOD      UINT64_C(0x100000)
#define BAD       UINT64_C(0x40000000)
#define BAD_AT    UINT64_C(0x200000)
#define BAD_PAGES 4u
#define MIXED     UINT64_C(0x600000000000)
#define DESC      UINT64_C(0x1000)
#define DATA      UINT64_C(0x10000)

struct fixture {
	struct client *c;
	struct cbit_pci *pci;
	struct opened o;
};

static int setup_on(void **state, const char *platform)
{
	struct fixture *f = malloc(sizeof(*f));
	struct cbit_device_info dev;

	f->c = client_up(platform, "posted-mmio", NULL);
	client_plug(f->c, "ioat,membar=1M");
	assert_true(cbit_machine_device(f->c->machine, 0, &dev));
	f->pci = dev.pci;
	client_add(f->c, MIXED, BAD_PAGES * P, RAM_SPA + BAD_AT, CBIT_MEM_DRAM, f->c->ram + BAD_AT);
	client_add(f->c, MIXED + BAD_PAGES * P, P, cbit_pci_bar(f->pci, 2)->spa.v, CBIT_MEM_MMIO,
		   NULL);
	f->o = client_start(f->c, UAPI_TYPE1v2_IOMMU);
	assert_int_equal(client_map(f->c, f->o.container, GOOD, RAM, RAM_SIZE, MAP_RW), 0);
	assert_int_equal(client_map(f->c, f->o.container, BAD, MIXED, (BAD_PAGES + 1) * P, MAP_RW),
			 0);
	cbit_pci_config_write(f->pci, 4, &(uint16_t){ 6 }, 2);
	for (size_t i = 0; i < RAM_SIZE; i++)
		f->c->ram[i] = (uint8_t)(i * 11 + (i >> 8) * 5 + (i >> 16));
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_on(state, "sme");
}

static int setup_tsme(void **state)
{
	return setup_on(state, "tsme");
}

/* One page by libcrypto: data unit number = SPA >> 12, little-endian. */
static void xts(uint64_t spa, uint8_t *page, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct cbit_platform platform;
	uint8_t iv[16] = { 0 };
	int n;

	assert_int_equal(cbit_platform_preset("sme", &platform), 0);
	for (unsigned int i = 0; i < 8; i++)
		iv[i] = (uint8_t)(spa >> 12 >> 8 * i);
	assert_int_equal(
		EVP_CipherInit_ex(ctx, EVP_aes_128_xts(), NULL, platform.host_key, iv, encrypt), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, page, &n, page, (int)P), 1);
	assert_int_equal(n, (int)P);
	EVP_CIPHER_CTX_free(ctx);
}

static void dma(struct fixture *f, uint64_t dst, uint64_t src, uint32_t size)
{
	const struct {
		uint32_t size, control;
		uint64_t src, dst, next, rest[4];
	} desc = { .size = size, .src = src, .dst = dst };
	const struct timespec nap = { .tv_nsec = 20000 };
	uint64_t sts = 0, chain = GOOD + DESC;

	memcpy(f->c->ram + DESC, &desc, sizeof(desc));
	cbit_pci_bar_write(f->pci, 0, 0x84, &(uint8_t){ 0x20 }, 1);
	cbit_pci_bar_write(f->pci, 0, 0x90, &chain, 8);
	cbit_pci_bar_write(f->pci, 0, 0x86, &(uint16_t){ 1 }, 2);
	for (int i = 0; i < 500000; i++) {
		cbit_pci_bar_read(f->pci, 0, 0x88, &sts, 8);
		if (sts & 7)
			break;
		nanosleep(&nap, NULL);
	}
	assert_int_equal(sts & 7, 1);
}

static const struct {
	uint64_t at;
	uint32_t len;
} pieces[] = {
	{ 0, 4096 },  { 0, 16 },   { 4080, 16 }, { 2048, 512 }, { 1, 1 },       { 15, 2 },
	{ 100, 200 }, { 4095, 2 }, { 8, 8192 },  { 0, 16384 },  { 5000, 7000 },
};

/* The client sees noise: its DRAM with the device's bytes put in raw, decrypted again. */
static void test_write(void **state)
{
	struct fixture *f = *state;
	uint8_t *bad = f->c->ram + BAD_AT, *want = malloc(BAD_PAGES * P);

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		unsigned int before = f->c->events[CBIT_EVENT_DMA_WRONG_KEY];

		memcpy(want, bad, BAD_PAGES * P);
		for (unsigned int page = 0; page < BAD_PAGES; page++)
			xts(RAM_SPA + BAD_AT + page * P, want + page * P, 1);
		memcpy(want + pieces[i].at, f->c->ram + DATA, pieces[i].len);
		for (unsigned int page = 0; page < BAD_PAGES; page++)
			xts(RAM_SPA + BAD_AT + page * P, want + page * P, 0);
		dma(f, BAD + pieces[i].at, GOOD + DATA, pieces[i].len);
		assert_memory_equal(bad, want, BAD_PAGES * P);
		assert_true(memcmp(bad + pieces[i].at, f->c->ram + DATA, pieces[i].len) != 0 ||
			    pieces[i].len < 8);
		assert_int_equal(f->c->events[CBIT_EVENT_DMA_WRONG_KEY], before + 1);
		assert_true(f->c->last.write);
		assert_int_equal(f->c->last.iova.v, BAD + pieces[i].at);
		assert_int_equal(f->c->last.len, pieces[i].len);
		assert_string_equal(f->c->last.key_used, "no key");
		assert_string_equal(f->c->last.key_right, "host key");
		assert_int_equal(f->c->last.mapping.vaddr, MIXED);
	}
	free(want);
}

/* The device sees what DRAM holds. */
static void test_read(void **state)
{
	struct fixture *f = *state;
	uint8_t *bad = f->c->ram + BAD_AT, *want = malloc(BAD_PAGES * P);

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		memcpy(want, bad, BAD_PAGES * P);
		for (unsigned int page = 0; page < BAD_PAGES; page++)
			xts(RAM_SPA + BAD_AT + page * P, want + page * P, 1);
		dma(f, GOOD + DATA, BAD + pieces[i].at, pieces[i].len);
		assert_memory_equal(f->c->ram + DATA, want + pieces[i].at, pieces[i].len);
		assert_int_equal(f->c->events[CBIT_EVENT_DMA_WRONG_KEY], i + 1);
		assert_false(f->c->last.write);
	}
	free(want);
}

/* Out through the wrong key and back is nobody's loss; that is why it goes unnoticed. */
static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	uint8_t *copy = malloc(2 * P);

	memcpy(copy, f->c->ram + DATA, 2 * P);
	dma(f, BAD, GOOD + DATA, 2 * (uint32_t)P);
	memset(f->c->ram + DATA, 0, 2 * P);
	dma(f, GOOD + DATA, BAD, 2 * (uint32_t)P);
	assert_memory_equal(copy, f->c->ram + DATA, 2 * P);
	free(copy);
}

/* With TSME the same mapping moves plaintext: the C-bit has no say. */
static void test_tsme(void **state)
{
	struct fixture *f = *state;

	dma(f, BAD + 100, GOOD + DATA, 5000);
	assert_memory_equal(f->c->ram + BAD_AT + 100, f->c->ram + DATA, 5000);
	dma(f, GOOD + DATA + 0x10000, BAD + 100, 5000);
	assert_memory_equal(f->c->ram + DATA, f->c->ram + DATA + 0x10000, 5000);
	assert_int_equal(f->c->events[CBIT_EVENT_DMA_WRONG_KEY], 0);
}

#define T(t, s) cmocka_unit_test_setup_teardown(t, s, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_write, setup),
		T(test_read, setup),
		T(test_round_trip, setup),
		T(test_tsme, setup_tsme),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
