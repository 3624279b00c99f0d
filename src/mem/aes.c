/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The AES engine of the memory controller: AES-128-XTS by libcrypto.
 *
 * The data unit is the 4 KiB page, its number (SPA >> 12, little-endian in 16 bytes) is the
 * tweak; the 16-byte blocks of a page are chained to nothing, but each depends on its place.
 * Real engines have a tweak of their own that nobody publishes; what the project needs of it
 * is only that it depends on the key and on the SPA.
 *
 * The host key is the platform's, and the secret that guests' keys come from. Key n (of ASID
 * n - 1), replaced r times, is what the host key makes of 32 zero bytes in data unit
 * 2^64 + r * 2^16 + n, which is beyond every SPA: different for every n and r, and the same
 * in every run.
 */
#include <errno.h>

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "mem_internal.h"

/* Set the tweak of one data unit, hi * 2^64 + lo, by the call that libcrypto has for it. */
static bool tweak_call(const struct mem_cipher *c, uint64_t lo, uint8_t hi)
{
	uint8_t iv[16] = { 0 };

	for (unsigned int i = 0; i < 8; i++)
		iv[i] = (uint8_t)(lo >> (8 * i));
	iv[8] = hi;
	return EVP_CipherInit_ex(c->ctx, NULL, NULL, NULL, iv, -1) == 1;
}

/* The same at the place that tweak_find() found. */
static void tweak_store(const struct mem_cipher *c, uint64_t lo, uint8_t hi)
{
	for (unsigned int i = 0; i < 8; i++)
		c->tweak[i] = (uint8_t)(lo >> (8 * i));
	memset(c->tweak + 8, 0, 8);
	c->tweak[8] = hi;
}

static bool update(const struct mem_cipher *c, const uint8_t *in, uint8_t *out, size_t len)
{
	int done;

	return EVP_CipherUpdate(c->ctx, out, &done, in, (int)len) == 1;
}

/*
 * Find the cipher's tweak. EVP_CipherInit_ex() goes by way of parameters that it looks up by
 * name: 60 ns for each page, of 440. The cipher tells where its current IV is ("updated-iv", as
 * a pointer); that it takes another from there is promised nowhere, so it is tried, and where
 * it fails the call stays in use.
 */
static bool tweak_find(struct mem_cipher *c)
{
	uint8_t in[2 * MEM_BLOCK] = { 1 }, want[2 * MEM_BLOCK], got[2 * MEM_BLOCK];
	OSSL_PARAM ask[2];
	void *at = NULL;

	if (!tweak_call(c, 0x1122334455667788, 1) || !update(c, in, want, sizeof(in)) ||
	    !tweak_call(c, 5, 0) || !update(c, in, got, sizeof(in)))
		return false;
	ask[0] = OSSL_PARAM_construct_octet_ptr(OSSL_CIPHER_PARAM_UPDATED_IV, &at, sizeof(in) / 2);
	ask[1] = OSSL_PARAM_construct_end();
	if (EVP_CIPHER_CTX_get_params(c->ctx, ask) != 1 || !at || ask[0].return_size != 16)
		return true;
	c->tweak = at;
	tweak_store(c, 0x1122334455667788, 1);
	if (!update(c, in, got, sizeof(in)) || memcmp(want, got, sizeof(want)) != 0)
		c->tweak = NULL;
	return true;
}

static bool cipher_create(struct mem_cipher *c, const uint8_t *key, int dir)
{
	c->ctx = EVP_CIPHER_CTX_new();
	return c->ctx && EVP_CipherInit_ex(c->ctx, EVP_aes_128_xts(), NULL, key, NULL, dir) == 1 &&
	       tweak_find(c);
}

int cbit_mem_engine_init(struct cbit_mem *mem)
{
	const uint8_t *key = mem->platform.host_key;
	struct mem_engine *e = &mem->engine;

	for (unsigned int i = 0; i < MEM_ENGINE_SLOTS; i++) {
		struct mem_engine_slot *s = &e->slot[i];

		if (pthread_mutex_init(&s->lock, NULL))
			return -ENOMEM;
		e->ready++;
		for (int dir = 0; dir < MEM_DIRECTIONS; dir++) {
			/* guests' contexts get their key at first use; any key will do till then */
			if (!cipher_create(&s->host[dir], key, dir) ||
			    !cipher_create(&s->guest[dir], key, dir))
				return -EIO;
		}
	}
	return 0;
}

void cbit_mem_engine_destroy(struct cbit_mem *mem)
{
	struct mem_engine *e = &mem->engine;

	for (unsigned int i = 0; i < e->ready; i++) {
		struct mem_engine_slot *s = &e->slot[i];

		for (int dir = 0; dir < MEM_DIRECTIONS; dir++) {
			EVP_CIPHER_CTX_free(s->host[dir].ctx);
			EVP_CIPHER_CTX_free(s->guest[dir].ctx);
		}
		pthread_mutex_destroy(&s->lock);
	}
}

/* A free slot if there is one; threads start at different ones so that they rarely meet. */
static struct mem_engine_slot *slot_take(struct mem_engine *e)
{
	/* thread descriptors lie megabytes apart: mix the high bits down */
	uint64_t self = (uint64_t)pthread_self() * 0x9e3779b97f4a7c15u;
	unsigned int start = (unsigned int)(self >> 60);

	for (unsigned int i = 0; i < MEM_ENGINE_SLOTS; i++) {
		struct mem_engine_slot *s = &e->slot[(start + i) % MEM_ENGINE_SLOTS];

		if (!pthread_mutex_trylock(&s->lock))
			return s;
	}
	pthread_mutex_lock(&e->slot[start % MEM_ENGINE_SLOTS].lock);
	return &e->slot[start % MEM_ENGINE_SLOTS];
}

/* One data unit from its first block on; the tweak is hi * 2^64 + lo. */
static bool unit_crypt(const struct mem_cipher *c, uint64_t lo, uint8_t hi, const uint8_t *in,
		       uint8_t *out, size_t len)
{
	if (c->tweak)
		tweak_store(c, lo, hi);
	else if (!tweak_call(c, lo, hi))
		return false;
	return update(c, in, out, len);
}

static const struct mem_cipher *slot_cipher(struct cbit_mem *mem, struct mem_engine_slot *s,
					    cbit_key_t key, int dir)
{
	uint8_t derived[MEM_KEY_BYTES] = { 0 };
	unsigned int asid = key + 1u - MEM_KEY_GUEST;
	uint32_t round = 0;

	if (key == CBIT_KEY_HOST)
		return &s->host[dir];
	if (asid <= mem->platform.asids)
		round = atomic_load_explicit(&mem->guest_keys[asid], memory_order_acquire);
	if (s->guest_key[dir] == key && s->guest_round[dir] == round)
		return &s->guest[dir];
	s->guest_key[dir] = CBIT_KEY_NONE;
	if (!unit_crypt(&s->host[MEM_ENCRYPT], (uint64_t)round << 16 | key, 1, derived, derived,
			sizeof(derived)) ||
	    EVP_CipherInit_ex(s->guest[dir].ctx, NULL, NULL, derived, NULL, dir) != 1)
		return NULL;
	s->guest_key[dir] = key;
	s->guest_round[dir] = round;
	return &s->guest[dir];
}

/* At most a page. XTS starts at the first block of its unit, so blank ones lead up to ours. */
static bool page_crypt(const struct mem_cipher *c, uint64_t spa, const uint8_t *in, uint8_t *out,
		       size_t len)
{
	size_t lead = (size_t)(spa & (MEM_PAGE - 1));
	uint8_t tmp[MEM_PAGE];

	if (!lead)
		return unit_crypt(c, spa >> CBIT_PAGE_SHIFT, 0, in, out, len);
	memset(tmp, 0, lead);
	memcpy(tmp + lead, in, len);
	if (!unit_crypt(c, spa >> CBIT_PAGE_SHIFT, 0, tmp, tmp, lead + len))
		return false;
	memcpy(out, tmp + lead, len);
	return true;
}

void cbit_mem_aes(struct cbit_mem *mem, cbit_key_t key, struct cbit_spa spa, const void *in,
		  void *out, size_t len, bool encrypt)
{
	struct mem_engine_slot *slot;
	const uint8_t *src = in;
	const struct mem_cipher *c;
	uint8_t *dst = out;

	if (key == CBIT_KEY_NONE) {
		if (in != out)
			memcpy(out, in, len);
		return;
	}
	slot = slot_take(&mem->engine);
	c = slot_cipher(mem, slot, key, encrypt ? MEM_ENCRYPT : MEM_DECRYPT);
	while (len) {
		size_t n = MEM_PAGE - (size_t)(spa.v & (MEM_PAGE - 1));

		if (n > len)
			n = len;
		/* a cipher that worked at creation does not fail later; never leak plaintext */
		if (!c || !page_crypt(c, spa.v, src, dst, n))
			memset(dst, 0xff, n);
		spa.v += n;
		src += n;
		dst += n;
		len -= n;
	}
	pthread_mutex_unlock(&slot->lock);
}

/*
 * cbit_mem_transcode() - from one key's view of some blocks to another's, by way of the bytes
 * in DRAM; @in may equal @out. Equal keys change nothing, so only the reference path goes the
 * way then. Where one of the keys is none, @in is read once and @out written once.
 */
void cbit_mem_transcode(struct cbit_mem *mem, cbit_key_t from, cbit_key_t to, uint64_t spa,
			const uint8_t *in, uint8_t *out, size_t len)
{
	if (from == to && !mem_is_slow(mem)) {
		if (in != out)
			memcpy(out, in, len);
		return;
	}
	if (from != CBIT_KEY_NONE) {
		cbit_mem_aes(mem, from, CBIT_SPA(spa), in, out, len, true);
		in = out;
	}
	cbit_mem_aes(mem, to, CBIT_SPA(spa), in, out, len, false);
}
