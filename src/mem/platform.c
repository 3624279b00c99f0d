/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shared words of types.h: platform presets, errors, names of memory kinds.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cbit/types.h>

/*
 * The default host key is no secret: bytes 0 to 15 are the data key, 16 to 31 the tweak key.
 * A known key lets anybody recompute a dump of modelled DRAM with `openssl enc` alone.
 */
#define DEFAULT_HOST_KEY                                                                          \
	{                                                                                         \
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
			23, 24, 25, 26, 27, 28, 29, 30, 31,                                       \
	}

/* The first EPYC generations had the C-bit at 47, later ones at 51 (CPUID 8000001F EBX[5:0]). */
static const struct cbit_platform presets[] = {
	{ .name = "bare", .pa_bits = 48, .host_key = DEFAULT_HOST_KEY },
	{ .name = "sme", .sme = true, .c_bit = 51, .pa_bits = 48, .host_key = DEFAULT_HOST_KEY },
	{ .name = "tsme", .tsme = true, .pa_bits = 48, .host_key = DEFAULT_HOST_KEY },
	/* Hosts of guests: SME is there, and Linux does not use it (mem_encrypt=off is its
	   default). */
	{ .name = "sev-guest",
	  .sev = true,
	  .c_bit = 51,
	  .pa_bits = 48,
	  .asids = 15,
	  .host_key = DEFAULT_HOST_KEY },
	{ .name = "snp-guest",
	  .sev = true,
	  .sev_es = true,
	  .snp = true,
	  .c_bit = 51,
	  .pa_bits = 48,
	  .asids = 15,
	  .host_key = DEFAULT_HOST_KEY },
};

int cbit_platform_preset(const char *name, struct cbit_platform *out)
{
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
		if (!strcmp(presets[i].name, name)) {
			*out = presets[i];
			return 0;
		}
	}
	return -ENOENT;
}

int cbit_error_set(struct cbit_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
		err->text[0] = '\0';
	va_end(ap);
	return code;
}

const char *cbit_mem_kind_name(enum cbit_mem_kind kind)
{
	switch (kind) {
	case CBIT_MEM_DRAM:
		return "dram";
	case CBIT_MEM_CXL_RAM:
		return "cxl-ram";
	case CBIT_MEM_COHERENT:
		return "coherent";
	case CBIT_MEM_MMIO:
		return "mmio";
	}
	return "unknown";
}
