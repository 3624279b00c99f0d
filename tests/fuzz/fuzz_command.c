/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU's hardware side: registers, commands, device table and interrupt tables filled from
 * the input, with DMA and interrupts of a device among them. Everything comes back, pointers
 * stay within their rings, and a ring runs only while it is switched on.
 */
#include "fuzz.h"

#include <errno.h>

#include <cbit/iommu.h>

#define WINDOW  0xfeb80000u
#define DEVICES 512u /* the device table is 4 pages */
#define PAGES   16u

struct rig {
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_spa at;
	struct cbit_platform platform;
	unsigned int irqs;
};

static const uint16_t registers[] = {
	CBIT_VI_REG_DEVTAB,   CBIT_VI_REG_CMD_BASE, CBIT_VI_REG_EVT_BASE, CBIT_VI_REG_CONTROL,
	CBIT_VI_REG_CMD_HEAD, CBIT_VI_REG_CMD_TAIL, CBIT_VI_REG_EVT_HEAD, CBIT_VI_REG_EVT_TAIL,
	CBIT_VI_REG_STATUS,   CBIT_VI_REG_EFR,      CBIT_VI_REG_EFR2,     0x20,
};

static void on_irq(void *opaque)
{
	struct rig *r = opaque;

	r->irqs++;
	cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_STATUS, r->irqs & 7);
}

static uint64_t bus(const struct rig *r, unsigned int page)
{
	return cbit_mem_bus(r->mem, CBIT_SPA(r->at.v + page * CBIT_PAGE_SIZE), r->platform.sme).v;
}

/* Memory and IOMMU are expensive and are kept; tables and registers are new for each input. */
static struct rig *up(bool sme)
{
	const struct cbit_mem_region_desc dram = { .kind = CBIT_MEM_DRAM,
						   .encrypts = true,
						   .base = CBIT_SPA(0x100000),
						   .size = 0x4000000,
						   .name = "dram" };
	static const uint8_t zeros[PAGES * CBIT_PAGE_SIZE];
	static struct rig kept[2];
	struct rig *r = &kept[sme];

	if (!r->mem) {
		FUZZ_CHECK(!cbit_platform_preset(sme ? "sme" : "bare", &r->platform));
		FUZZ_CHECK(!cbit_mem_create(&r->platform, &r->mem));
		FUZZ_CHECK(!cbit_mem_add_region(r->mem, &dram, NULL));
		FUZZ_CHECK(!cbit_iommu_create(r->mem, NULL, &r->iommu));
		FUZZ_CHECK(!cbit_iommu_map_registers(r->iommu, CBIT_SPA(WINDOW), NULL));
		FUZZ_CHECK(!cbit_mem_frames_alloc(r->mem, PAGES,
						  sme ? CBIT_KEY_HOST : CBIT_KEY_NONE, &r->at));
		cbit_iommu_on_irq(r->iommu, on_irq, r);
	}
	cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_CONTROL, 0);
	cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_STATUS, ~UINT64_C(0));
	cbit_mem_write(r->mem, (struct cbit_bus){ bus(r, 0) }, zeros, sizeof(zeros));
	cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_DEVTAB, bus(r, 0) | 3);
	cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_CMD_BASE, bus(r, 4) | UINT64_C(8) << 56);
	cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_EVT_BASE, bus(r, 5) | UINT64_C(8) << 56);
	cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_CONTROL, 0x141d);
	return r;
}

/* A number: as it comes, or an address of ours with some bits of the input in it. */
static uint64_t word(struct rig *r, struct input *in)
{
	uint8_t form = take8(in);

	if (!(form & 0x80))
		return take64(in);
	if (form & 0x40)
		return WINDOW + (take16(in) & (CBIT_VI_WINDOW - 1));
	return (bus(r, form % PAGES) & (form & 0x20 ? UINT64_C(0x7ffffffffffff) : ~UINT64_C(0))) |
	       (uint64_t)take16(in) << 48 | take16(in);
}

static void check(struct rig *r)
{
	uint64_t control = cbit_iommu_reg_read(r->iommu, CBIT_VI_REG_CONTROL);
	uint64_t status = cbit_iommu_reg_read(r->iommu, CBIT_VI_REG_STATUS);

	FUZZ_CHECK(!(status >> 5));
	if (status & CBIT_VI_STATUS_CMD_RUN)
		FUZZ_CHECK(control & CBIT_VI_CTRL_CMD && control & CBIT_VI_CTRL_ENABLE);
	if (status & CBIT_VI_STATUS_EVT_RUN)
		FUZZ_CHECK(control & CBIT_VI_CTRL_EVT_LOG && control & CBIT_VI_CTRL_ENABLE);
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int base = i < 2 ? CBIT_VI_REG_CMD_BASE : CBIT_VI_REG_EVT_BASE;
		uint64_t lg2 = cbit_iommu_reg_read(r->iommu, base) >> CBIT_VI_RING_SHIFT;
		uint64_t p = cbit_iommu_reg_read(r->iommu, CBIT_VI_REG_CMD_HEAD + i * 8);

		FUZZ_CHECK(!(p & 15) && p >> 4 < UINT64_C(1) << (lg2 < 8 ? 8 : lg2));
	}
}

/* Requests that carry more than an address: PASIDs, privilege, atomics. */
static void request(struct rig *r, struct input *in, uint16_t devid, uint8_t op)
{
	const struct cbit_dma_request rq = {
		.devid = devid,
		.pasid_valid = op & 4,
		.privileged = op & 8,
		.exec = op & 16,
		.pasid = take32(in) >> (take8(in) & 31),
	};
	uint64_t iova = word(r, in), v[2] = { word(r, in), 1 }, old[2];
	size_t done = sizeof(v) + 1;

	switch (op & 3) {
	case 0:
		cbit_iommu_request_read(r->iommu, &rq, CBIT_IOVA(iova), v, sizeof(v), &done);
		break;
	case 1:
		cbit_iommu_request_write(r->iommu, &rq, CBIT_IOVA(iova), v, sizeof(v), &done);
		break;
	default:
		cbit_iommu_dma_atomic(r->iommu, &rq, CBIT_IOVA(iova & ~UINT64_C(15)),
				      (enum cbit_atomic_op)(take8(in) % 3), 1u << (take8(in) & 7),
				      v, v, old);
		done = 0;
		break;
	}
	FUZZ_CHECK(done <= sizeof(v));
}

static void step(struct rig *r, struct input *in)
{
	uint16_t devid = take8(in) % (DEVICES + 2);
	struct cbit_iommu_log_entry entry;
	struct cbit_msi msi;
	uint32_t dw[4];
	uint8_t buf[16];
	uint64_t v;
	uint8_t op;
	int err;

	op = take8(in);
	if (op >= 0xc0) {
		request(r, in, devid, op);
		check(r);
		return;
	}
	switch (op & 7) {
	case 0:
		v = word(r, in);
		cbit_iommu_reg_write(r->iommu, registers[devid % 12], v);
		break;
	case 1:
		v = word(r, in);
		cbit_mem_write(r->mem,
			       (struct cbit_bus){ bus(r, devid % PAGES) + (take16(in) & 0xff8) },
			       &v, 8);
		break;
	case 2:
		take(in, dw, sizeof(dw));
		if (devid & 1)
			dw[1] = (dw[1] & 0x000fffff) | (uint32_t)devid << 28;
		err = cbit_iommu_command(r->iommu, dw);
		FUZZ_CHECK(!err || err == -EIO || err == -EAGAIN || err == -EFAULT);
		break;
	case 3:
		v = word(r, in);
		cbit_mem_write(r->mem, (struct cbit_bus){ WINDOW + (take16(in) & 0x3fff) }, &v,
			       devid & 7);
		break;
	case 4:
		cbit_iommu_dma_read(r->iommu, devid, CBIT_IOVA(word(r, in)), buf, sizeof(buf),
				    NULL);
		break;
	case 5:
		v = word(r, in);
		cbit_iommu_dma_write(r->iommu, devid, CBIT_IOVA(word(r, in)), &v, sizeof(v), NULL);
		break;
	case 6:
		v = (uint64_t)cbit_iommu_msi(r->iommu, devid, 0xfee00000 | (take32(in) & 0xfffff),
					     take16(in), &msi);
		FUZZ_CHECK(v != CBIT_MSI_NONE);
		if (v == CBIT_MSI_REMAPPED)
			FUZZ_CHECK(msi.index < 2048 && msi.delivery < 2);
		break;
	default:
		err = cbit_iommu_log_pop(r->iommu, &entry);
		FUZZ_CHECK(!err || err == -ENOENT);
		break;
	}
	check(r);
	/* A ring may feed itself for as many rounds as there are steps: keep rounds short. */
	v = cbit_iommu_reg_read(r->iommu, CBIT_VI_REG_CMD_BASE);
	if (v >> CBIT_VI_RING_SHIFT > 9)
		cbit_iommu_reg_write(r->iommu, CBIT_VI_REG_CMD_BASE, v & ~CBIT_VI_RING_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct rig *r = up(take8(&in) & 1);

	for (unsigned int i = 0; i < 200 && in.left; i++)
		step(r, &in);
	return 0;
}
