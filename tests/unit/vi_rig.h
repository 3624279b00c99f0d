/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the IOMMU's hardware side share: the machine of iommu_rig.h with a window
 * for the registers, and access to everything as bytes on the bus.
 */
#ifndef CBIT_TEST_VI_RIG_H
#define CBIT_TEST_VI_RIG_H

#include "iommu_rig.h"

#define WINDOW       0xfeb80000u
#define SCRATCH      (DRAM + MIB(256)) /* DRAM that nobody else uses; zeros at first */
#define SCRATCH_SIZE 0x8000u

static inline struct cbit_bus bus_of(struct rig *r, uint64_t spa)
{
	return cbit_mem_bus(r->mem, CBIT_SPA(spa), r->platform.sme);
}

static inline void put(struct rig *r, uint64_t spa, const void *buf, size_t len)
{
	assert_int_equal(cbit_mem_write(r->mem, bus_of(r, spa), buf, len), CBIT_MEM_OK);
}

static inline uint64_t get64(struct rig *r, uint64_t spa)
{
	uint64_t v;

	assert_int_equal(cbit_mem_read(r->mem, bus_of(r, spa), &v, sizeof(v)), CBIT_MEM_OK);
	return v;
}

static inline void put64(struct rig *r, uint64_t spa, uint64_t v)
{
	put(r, spa, &v, sizeof(v));
}

/* A CPU's access to a register, through the window. */
static inline uint64_t reg(struct rig *r, unsigned int offset)
{
	uint64_t v;

	assert_int_equal(cbit_mem_read(r->mem, (struct cbit_bus){ WINDOW + offset }, &v, sizeof(v)),
			 CBIT_MEM_OK);
	return v;
}

static inline void set_reg(struct rig *r, unsigned int offset, uint64_t v)
{
	assert_int_equal(
		cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + offset }, &v, sizeof(v)),
		CBIT_MEM_OK);
}

static inline uint64_t reg_spa(struct rig *r, unsigned int offset)
{
	return reg(r, offset) & CBIT_VI_BASE_MASK & ~cbit_platform_c_mask(&r->platform);
}

static inline uint64_t dte_spa(struct rig *r, uint16_t devid)
{
	return reg_spa(r, CBIT_VI_REG_DEVTAB) + devid * 32u;
}

static inline struct rig *vi_rig_new(bool sme)
{
	struct rig *r = rig_new(sme);

	static const uint8_t zeros[SCRATCH_SIZE];

	assert_int_equal(cbit_iommu_map_registers(r->iommu, CBIT_SPA(WINDOW), NULL), 0);
	put(r, SCRATCH, zeros, sizeof(zeros));
	return r;
}

/* Put a command at the tail by hand and ring, as a driver with nothing but MMIO does. */
static inline void command(struct rig *r, uint32_t dw0, uint32_t dw1, uint32_t dw2, uint32_t dw3)
{
	const uint32_t dw[4] = { dw0, dw1, dw2, dw3 };
	uint64_t tail = reg(r, CBIT_VI_REG_CMD_TAIL);

	put(r, reg_spa(r, CBIT_VI_REG_CMD_BASE) + tail, dw, sizeof(dw));
	set_reg(r, CBIT_VI_REG_CMD_TAIL, (tail + 16) & 0xfff);
}

/* The leaf of @iova in the domain's own table, for rewriting it behind everybody's back. */
static inline uint64_t pte_spa(struct rig *r, uint64_t iova)
{
	uint64_t table = cbit_pt_root(cbit_domain_pt(r->domain)).v;

	for (unsigned int level = cbit_pt_mode(cbit_domain_pt(r->domain)); level > 1; level--)
		table = get64(r, table + (iova >> (3 + 9 * level) & 0x1ff) * 8) &
			0x0007fffffffff000;
	return table + (iova >> 12 & 0x1ff) * 8;
}

static inline void expect_status(struct rig *r, uint64_t set, uint64_t clear)
{
	uint64_t status = reg(r, CBIT_VI_REG_STATUS);

	assert_int_equal(status & set, set);
	assert_int_equal(status & clear, 0);
}

#endif
