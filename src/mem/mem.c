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

static bool platform_is_sound(const struct cbit_platform *p)
{
	if (p->pa_bits < PA_BITS_MIN || p->pa_bits > PA_BITS_MAX)
		return false;
	if (p->sme && (p->c_bit < p->pa_bits || p->c_bit > C_BIT_MAX))
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
	mem->platform = *platform;
	mem->c_mask = cbit_platform_c_mask(platform);
	mem->view.c_mask = mem->c_mask;
	mem->view.wide = ~(((uint64_t)1 << platform->pa_bits) - 1) & ~mem->c_mask;
	ret = cbit_mem_frames_init(mem);
	if (ret) {
		pthread_mutex_destroy(&mem->atomics);
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
 * access is raw, so "none" can only mean the host key; without an engine there is only raw.
 */
cbit_key_t cbit_mem_key_here(const struct cbit_mem *mem, cbit_key_t key)
{
	if (mem->platform.tsme)
		return key == CBIT_KEY_NONE ? CBIT_KEY_HOST : key;
	return mem->platform.sme ? key : CBIT_KEY_NONE;
}
