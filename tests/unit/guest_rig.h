/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine with memory of every kind, and a guest of a given kind in it.
 */
#ifndef GUEST_RIG_H
#define GUEST_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/guest.h>
#include <cbit/rmp.h>

#define RIG_DRAM    UINT64_C(0x1000000) /* the host's own: tables */
#define RIG_RMP     UINT64_C(0x1000000)
#define RIG_MEMORY  UINT64_C(0x100000000) /* the guest's DRAM */
#define RIG_CXL     UINT64_C(0x200000000)
#define RIG_GPU     UINT64_C(0x300000000) /* coherent, consumes the C-bit */
#define RIG_GPU_RAW UINT64_C(0x380000000) /* coherent, does not */
#define RIG_BAR     UINT64_C(0x400000000)
#define RIG_SIZE    UINT64_C(0x400000)

#define RIG_GPA         UINT64_C(0x0)
#define RIG_CXL_GPA     UINT64_C(0x40000000)
#define RIG_GPU_GPA     UINT64_C(0x50000000)
#define RIG_GPU_RAW_GPA UINT64_C(0x58000000)
#define RIG_BAR_GPA     UINT64_C(0x60000000)
#define RIG_TDISP_GPA   UINT64_C(0x60001000)

struct rig_log {
	unsigned int count[32];
	struct cbit_event last;
};

struct guest_rig {
	struct cbit_mem *mem;
	struct cbit_guest *guest;
	uint8_t bar[2 * CBIT_PAGE_SIZE];
	struct rig_log log;
	struct cbit_observer observer;
	uint64_t c;
};

static inline void rig_hear(void *opaque, const struct cbit_event *ev)
{
	struct rig_log *log = opaque;

	log->count[ev->type]++;
	log->last = *ev;
}

static inline void rig_region(struct cbit_mem *mem, enum cbit_mem_kind kind, uint64_t base,
			      uint64_t size, bool encrypts, const char *name, void *direct)
{
	struct cbit_mem_region_desc d = { .kind = kind,
					  .encrypts = encrypts,
					  .base = CBIT_SPA(base),
					  .size = size,
					  .name = name,
					  .direct = direct };

	assert_int_equal(cbit_mem_add_region(mem, &d, NULL), 0);
}

static inline void guest_rig_init(struct guest_rig *r, enum cbit_guest_kind kind, bool npt_c)
{
	struct cbit_guest_config cfg = {
		.kind = kind, .asid = kind ? 7 : 0, .npt_c = npt_c, .observer = &r->observer
	};
	struct cbit_platform p;
	struct cbit_error err = { 0 };

	memset(r, 0, sizeof(*r));
	r->observer = (struct cbit_observer){ .event = rig_hear, .opaque = &r->log };
	assert_int_equal(cbit_platform_preset("sme", &p), 0);
	p.sev = p.sev_es = p.snp = true;
	p.asids = 15;
	r->c = (uint64_t)1 << p.c_bit;
	assert_int_equal(cbit_mem_create(&p, &r->mem), 0);
	rig_region(r->mem, CBIT_MEM_DRAM, RIG_DRAM, 2 * UINT64_C(0x10000000), true, "host-dram",
		   NULL);
	rig_region(r->mem, CBIT_MEM_DRAM, RIG_MEMORY, RIG_SIZE, true, "guest-dram", NULL);
	rig_region(r->mem, CBIT_MEM_CXL_RAM, RIG_CXL, RIG_SIZE, true, "cxl0", NULL);
	rig_region(r->mem, CBIT_MEM_COHERENT, RIG_GPU, RIG_SIZE, true, "gpu0", NULL);
	rig_region(r->mem, CBIT_MEM_COHERENT, RIG_GPU_RAW, RIG_SIZE, false, "gpu1", NULL);
	rig_region(r->mem, CBIT_MEM_MMIO, RIG_BAR, sizeof(r->bar), false, "bar", r->bar);
	if (kind == CBIT_GUEST_SNP) {
		struct cbit_spa table;

		/* 4 MiB + 16 KiB of table cover 1 GiB; what lies higher is covered too here. */
		assert_int_equal(cbit_mem_frames_alloc(r->mem, 0x5000, CBIT_KEY_HOST, &table), 0);
		assert_int_equal(cbit_rmp_enable(r->mem, table, UINT64_C(0x400000000), &err), 0);
	}
	if (cbit_guest_create(r->mem, &cfg, &r->guest, &err))
		fail_msg("%s", err.text);
	assert_int_equal(cbit_guest_add_memory(r->guest, CBIT_GPA(RIG_GPA), CBIT_SPA(RIG_MEMORY),
					       RIG_SIZE, &err),
			 0);
	assert_int_equal(cbit_guest_add_memory(r->guest, CBIT_GPA(RIG_CXL_GPA), CBIT_SPA(RIG_CXL),
					       4 * CBIT_PAGE_SIZE, &err),
			 0);
	assert_int_equal(cbit_guest_add_memory(r->guest, CBIT_GPA(RIG_GPU_GPA), CBIT_SPA(RIG_GPU),
					       4 * CBIT_PAGE_SIZE, &err),
			 0);
	assert_int_equal(cbit_guest_add_memory(r->guest, CBIT_GPA(RIG_GPU_RAW_GPA),
					       CBIT_SPA(RIG_GPU_RAW), 4 * CBIT_PAGE_SIZE, &err),
			 0);
	assert_int_equal(cbit_guest_add_mmio(r->guest, CBIT_GPA(RIG_BAR_GPA), CBIT_SPA(RIG_BAR),
					     CBIT_PAGE_SIZE, false, &err),
			 0);
	assert_int_equal(cbit_guest_add_mmio(r->guest, CBIT_GPA(RIG_TDISP_GPA),
					     CBIT_SPA(RIG_BAR + CBIT_PAGE_SIZE), CBIT_PAGE_SIZE,
					     true, &err),
			 0);
	if (cbit_guest_boot(r->guest, &err))
		fail_msg("%s", err.text);
}

static inline void guest_rig_fini(struct guest_rig *r)
{
	cbit_guest_destroy(r->guest);
	cbit_mem_destroy(r->mem);
}

static inline struct cbit_gpa rig_page(struct guest_rig *r)
{
	struct cbit_gpa gpa;

	assert_int_equal(
		cbit_guest_alloc(r->guest, CBIT_PAGE_SIZE, CBIT_PAGE_SIZE, ~UINT64_C(0), &gpa), 0);
	return gpa;
}

static inline enum cbit_guest_outcome rig_put(struct guest_rig *r, struct cbit_gpa gpa,
					      const char *text)
{
	return cbit_guest_write(r->guest, cbit_guest_direct(gpa), text, strlen(text) + 1, NULL);
}

#endif
