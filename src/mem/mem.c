/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Life and death of an address space, and the little questions about it.
 */
#include <errno.h>
#include <stdlib.h>

#include "mem_internal.h"

#define PA_BITS_MIN 32u
#define PA_BITS_MAX 52u
#define C_BIT_MAX   51u /* entries keep the bits above for themselves */

#define ASIDS_MAX     (UINT16_MAX - MEM_KEY_GUEST + 1u)
#define ASIDS_MAX_SNP 1023u

static bool platform_is_sound(const struct cbit_platform *p)
{
	if (p->pa_bits < PA_BITS_MIN || p->pa_bits > PA_BITS_MAX)
		return false;
	if ((p->sme || p->sev) && (p->c_bit < p->pa_bits || p->c_bit > C_BIT_MAX))
		return false;
	/* each kind of guest builds on the one before; key ids and the RMP have so many bits */
	if ((p->sev_es && !p->sev) || (p->snp && !p->sev_es) || !p->sev != !p->asids ||
	    p->asids > (p->snp ? ASIDS_MAX_SNP : ASIDS_MAX))
		return false;
	/* XTS with one key for both parts is no XTS, and libcrypto refuses it */
	return memcmp(p->host_key, p->host_key + MEM_KEY_BYTES / 2, MEM_KEY_BYTES / 2) != 0;
}

static int create(const struct cbit_platform *platform, struct cbit_mem **out)
{
	struct cbit_mem *mem;
	int ret;

	if (!platform_is_sound(platform))
		return -EINVAL;
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return -ENOMEM;
	if (pthread_mutex_init(&mem->atomics, NULL)) {
		free(mem);
		return -ENOMEM;
	}
	mem->guest_keys = calloc((size_t)platform->asids + 1, sizeof(mem->guest_keys[0]));
	if (!mem->guest_keys) {
		pthread_mutex_destroy(&mem->atomics);
		free(mem);
		return -ENOMEM;
	}
	mem->platform = *platform;
	mem->c_mask = cbit_platform_c_mask(platform);
	mem->view.c_mask = mem->c_mask;
	mem->view.spa = UINT64_C(0x000ffffffffff000) & ~mem->c_mask;
	mem->view.wide = ~(((uint64_t)1 << platform->pa_bits) - 1) & ~mem->c_mask;
	ret = cbit_mem_frames_init(mem);
	if (ret) {
		pthread_mutex_destroy(&mem->atomics);
		free(mem->guest_keys);
		free(mem);
	} else {
		*out = mem;
	}
	return ret;
}

int cbit_mem_create_forward(const struct cbit_platform *platform,
			    const struct cbit_mem_forward_ops *ops, void *opaque,
			    struct cbit_mem **out)
{
	int ret = create(platform, out);

	if (ret)
		return ret;
	(*out)->forwards = true;
	(*out)->forward = *ops;
	(*out)->forward_opaque = opaque;
	return 0;
}

int cbit_mem_create(const struct cbit_platform *platform, struct cbit_mem **out)
{
	struct cbit_mem *mem;
	int ret = create(platform, &mem);

	if (ret)
		return ret;
	ret = cbit_mem_engine_init(mem);
	if (ret) {
		cbit_mem_destroy(mem);
		return ret;
	}
	*out = mem;
	return 0;
}

void cbit_mem_destroy(struct cbit_mem *mem)
{
	if (!mem)
		return;
	cbit_mem_regions_destroy(mem);
	cbit_mem_frames_destroy(mem);
	if (!mem->forwards)
		cbit_mem_engine_destroy(mem);
	pthread_mutex_destroy(&mem->atomics);
	free(mem->guest_keys);
	free(mem);
}

const struct cbit_platform *cbit_mem_platform(const struct cbit_mem *mem)
{
	return &mem->platform;
}

struct cbit_bus cbit_mem_bus(const struct cbit_mem *mem, struct cbit_spa spa, bool c)
{
	return (struct cbit_bus){ spa.v | (c ? mem->c_mask : 0) };
}

void cbit_mem_set_slow(struct cbit_mem *mem, bool slow)
{
	atomic_store_explicit(&mem->slow, slow, memory_order_relaxed);
}

const char *cbit_mem_key_name(cbit_key_t key)
{
	if (key == CBIT_KEY_NONE)
		return "no key";
	return key == CBIT_KEY_HOST ? "host key" : "guest key";
}

/*
 * cbit_mem_key_here() - the key that a caller's word means on this platform. Under TSME no
 * access is raw, so "none" can only mean the host key; a host that does not use the C-bit
 * has no key either; guests have theirs with SEV.
 */
cbit_key_t cbit_mem_key_here(const struct cbit_mem *mem, cbit_key_t key)
{
	const struct cbit_platform *p = &mem->platform;

	if (key >= MEM_KEY_GUEST && p->sev)
		return key;
	if (p->tsme)
		return CBIT_KEY_HOST;
	return p->sme && key == CBIT_KEY_HOST ? key : CBIT_KEY_NONE;
}

cbit_key_t cbit_mem_guest_key(const struct cbit_mem *mem, unsigned int asid)
{
	if (!asid || asid > mem->platform.asids)
		return CBIT_KEY_NONE;
	return (cbit_key_t)(MEM_KEY_GUEST + asid - 1);
}

int cbit_mem_guest_rekey(struct cbit_mem *mem, unsigned int asid)
{
	cbit_key_t key = cbit_mem_guest_key(mem, asid);

	if (key == CBIT_KEY_NONE || mem->forwards)
		return -EINVAL;
	for (size_t i = 0; i < mem->window_count; i++) {
		const struct mem_region *r = mem->windows[i].region;

		if (r->sparse)
			cbit_mem_sparse_settle(r->sparse, key);
	}
	atomic_fetch_add_explicit(&mem->guest_keys[asid], 1, memory_order_release);
	return 0;
}
