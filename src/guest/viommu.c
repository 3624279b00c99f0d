/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver side of an IOMMU in a guest: device table, page tables, rings and interrupt tables in
 * guest memory, written through the guest's own mapping; and the IOMMU that the hypervisor
 * emulates, which reads them through its own.
 *
 * Register accesses of the driver are trapped and emulated: they reach the register file directly.
 * Layouts: <cbit/amdvi.h>; the order of set-up is that of Linux drivers/iommu/amd/init.c
 * (early_enable_iommu()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/viommu.h>

#include "guest_internal.h"

#define DTE_BYTES     32u
#define RING_BYTES    4096u /* 256 commands or events */
#define RING_LEN      (UINT64_C(8) << CBIT_VI_RING_SHIFT)
#define COMMAND_BYTES 16u
#define DOMAINS       256u
#define TABLES        64u

_Static_assert(512u * 4096u == 65536u * DTE_BYTES, "the largest device table is 512 pages");

struct cbit_viommu_domain {
	struct cbit_viommu *viommu;
	struct cbit_pt *pt;
	uint16_t id;
	uint16_t devid;
};

/* An interrupt remapping table of a device. */
struct irt {
	uint64_t gpa;
	uint16_t devid;
	unsigned int pages;
};

/*
 * @c: the C-bit as pointers to tables have it, and as the guest's CPU reaches them.
 * @sem: GPA of the word that COMPLETION_WAIT stores to; @stamp: the last value asked for.
 */
struct cbit_viommu {
	struct cbit_guest *guest;
	struct cbit_viommu_config cfg;
	struct cbit_mem *view;
	struct cbit_iommu *hw;
	uint64_t c;
	struct cbit_spa devtab;
	unsigned int devtab_pages;
	struct cbit_spa cmd;
	struct cbit_spa evt;
	struct cbit_spa sem;
	uint64_t stamp;
	bool alive;
	struct cbit_viommu_domain *domains[DOMAINS]; /* by id, from 1 */
	struct irt irts[TABLES];
	unsigned int irt_count;
};

/* --- the guest's memory --- */

static struct cbit_bus table_bus(const struct cbit_viommu *v, uint64_t gpa)
{
	return (struct cbit_bus){ gpa | v->c };
}

static int put(struct cbit_viommu *v, uint64_t gpa, const void *data, size_t len)
{
	return cbit_mem_write(v->view, table_bus(v, gpa), data, len) == CBIT_MEM_OK ? 0 : -EFAULT;
}

static int get(struct cbit_viommu *v, uint64_t gpa, void *data, size_t len)
{
	return cbit_mem_read(v->view, table_bus(v, gpa), data, len) == CBIT_MEM_OK ? 0 : -EFAULT;
}

static int alloc(struct cbit_viommu *v, unsigned int pages, struct cbit_spa *out)
{
	return cbit_mem_frames_alloc(v->view, pages, v->c ? CBIT_KEY_HOST : CBIT_KEY_NONE, out);
}

/* --- commands --- */

static int submit(struct cbit_viommu *v, const uint32_t dw[4])
{
	uint64_t tail = cbit_iommu_reg_read(v->hw, CBIT_VI_REG_CMD_TAIL);
	uint64_t next = (tail + COMMAND_BYTES) % RING_BYTES;
	int ret;

	/* The emulation drains the ring at once, unless it has stopped. */
	if (next == cbit_iommu_reg_read(v->hw, CBIT_VI_REG_CMD_HEAD))
		return -ETIMEDOUT;
	ret = put(v, v->cmd.v + tail, dw, COMMAND_BYTES);
	if (!ret)
		cbit_iommu_reg_write(v->hw, CBIT_VI_REG_CMD_TAIL, next);
	return ret;
}

static int wait_done(struct cbit_viommu *v)
{
	uint64_t at = table_bus(v, v->sem.v).v, seen = 0;
	uint32_t dw[4];
	int ret;

	v->stamp++;
	dw[0] = (uint32_t)(at & 0xfffffff8u) | CBIT_VI_WAIT_STORE;
	dw[1] = (uint32_t)(at >> 32) | CBIT_VI_CMD_COMPLETION_WAIT << CBIT_VI_CMD_SHIFT;
	dw[2] = (uint32_t)v->stamp;
	dw[3] = (uint32_t)(v->stamp >> 32);
	ret = submit(v, dw);
	if (!ret)
		ret = get(v, v->sem.v, &seen, sizeof(seen));
	v->alive = !ret && seen == v->stamp;
	return v->alive ? 0 : -ETIMEDOUT;
}

static int command(struct cbit_viommu *v, uint32_t dw0, uint32_t code, uint32_t dw1, uint64_t dw23)
{
	const uint32_t dw[4] = { dw0, dw1 | code << CBIT_VI_CMD_SHIFT, (uint32_t)dw23,
				 (uint32_t)(dw23 >> 32) };
	int ret = submit(v, dw);

	return ret ? ret : wait_done(v);
}

/* --- device table --- */

static int dte_read(struct cbit_viommu *v, uint16_t devid, uint64_t dte[4])
{
	return get(v, v->devtab.v + (uint64_t)devid * DTE_BYTES, dte, DTE_BYTES);
}

/* Word 0 goes last: it holds V and the root. */
static int dte_write(struct cbit_viommu *v, uint16_t devid, const uint64_t dte[4])
{
	uint64_t at = v->devtab.v + (uint64_t)devid * DTE_BYTES;
	int ret = put(v, at + 8, &dte[1], DTE_BYTES - 8);

	if (!ret)
		ret = put(v, at, &dte[0], 8);
	return ret ? ret : command(v, devid, CBIT_VI_CMD_INVALIDATE_DEVTAB, 0, 0);
}

static int dte_point(struct cbit_viommu_domain *d)
{
	struct cbit_viommu *v = d->viommu;
	uint64_t dte[4];
	int ret = dte_read(v, d->devid, dte);

	if (ret)
		return ret;
	dte[0] = CBIT_VI_DTE0_V | CBIT_VI_DTE0_TV |
		 (uint64_t)cbit_pt_mode(d->pt) << CBIT_VI_DTE0_MODE_SHIFT |
		 table_bus(v, cbit_pt_root(d->pt).v).v | CBIT_VI_DTE0_IR | CBIT_VI_DTE0_IW;
	dte[1] = d->id;
	return dte_write(v, d->devid, dte);
}

/* --- life --- */

static int setup(struct cbit_viommu *v)
{
	uint64_t control = CBIT_VI_CTRL_ENABLE | CBIT_VI_CTRL_COHERENT | CBIT_VI_CTRL_CMD |
			   CBIT_VI_CTRL_EVT_LOG;
	uint64_t page[CBIT_PAGE_SIZE / sizeof(uint64_t)] = { 0 };
	int ret = alloc(v, v->devtab_pages, &v->devtab);

	if (!ret)
		ret = alloc(v, 1, &v->cmd);
	if (!ret)
		ret = alloc(v, 1, &v->evt);
	if (!ret)
		ret = alloc(v, 1, &v->sem);
	for (size_t i = 0; i < sizeof(page) / sizeof(page[0]); i += DTE_BYTES / sizeof(page[0]))
		page[i] = CBIT_VI_DTE0_V;
	for (unsigned int i = 0; i < v->devtab_pages && !ret; i++)
		ret = put(v, v->devtab.v + i * CBIT_PAGE_SIZE, page, sizeof(page));
	if (ret)
		return ret;
	if (v->cfg.xt)
		control |= CBIT_VI_CTRL_GA | CBIT_VI_CTRL_XT | CBIT_VI_CTRL_IRT_2K;
	cbit_iommu_reg_write(v->hw, CBIT_VI_REG_DEVTAB,
			     table_bus(v, v->devtab.v).v | (v->devtab_pages - 1));
	cbit_iommu_reg_write(v->hw, CBIT_VI_REG_CMD_BASE, table_bus(v, v->cmd.v).v | RING_LEN);
	cbit_iommu_reg_write(v->hw, CBIT_VI_REG_EVT_BASE, table_bus(v, v->evt.v).v | RING_LEN);
	cbit_iommu_reg_write(v->hw, CBIT_VI_REG_CONTROL, control);
	(void)command(v, 0, CBIT_VI_CMD_INVALIDATE_ALL, 0, 0);
	return 0;
}

/* What the guest has private is told of when the emulation meets it. */
static bool is_private(void *opaque, struct cbit_spa at)
{
	return !cbit_guest_is_shared(opaque, CBIT_GPA(at.v));
}

int cbit_viommu_create(struct cbit_guest *guest, const struct cbit_viommu_config *cfg,
		       struct cbit_viommu **out)
{
	struct cbit_iommu_owner owner;
	struct cbit_viommu *v;
	int ret;

	if (!guest->pt)
		return -EINVAL;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->guest = guest;
	v->cfg = *cfg;
	v->view = cbit_guest_view(guest);
	v->c = cfg->tables_shared ? 0 : guest->c_mask;
	v->devtab_pages = (cfg->last_devid ? cfg->last_devid : 0xffffu) * DTE_BYTES / 4096u + 1;
	owner = (struct cbit_iommu_owner){ guest->c_mask, is_private, guest };
	ret = cbit_iommu_create_reset(cbit_guest_hypervisor_view(guest), cfg->observer, &v->hw);
	if (!ret && guest->c_mask)
		cbit_iommu_set_owner(v->hw, &owner);
	if (!ret)
		ret = setup(v);
	if (ret) {
		cbit_viommu_destroy(v);
		return ret;
	}
	*out = v;
	return 0;
}

void cbit_viommu_destroy(struct cbit_viommu *viommu)
{
	if (!viommu)
		return;
	if (viommu->hw)
		cbit_iommu_reg_write(viommu->hw, CBIT_VI_REG_CONTROL, 0);
	for (unsigned int id = 1; id < DOMAINS; id++) {
		if (!viommu->domains[id])
			continue;
		cbit_pt_destroy(viommu->domains[id]->pt);
		free(viommu->domains[id]);
	}
	for (unsigned int i = 0; i < viommu->irt_count; i++)
		cbit_mem_frames_free(viommu->view, CBIT_SPA(viommu->irts[i].gpa),
				     viommu->irts[i].pages);
	if (viommu->sem.v)
		cbit_mem_frames_free(viommu->view, viommu->sem, 1);
	if (viommu->evt.v)
		cbit_mem_frames_free(viommu->view, viommu->evt, 1);
	if (viommu->cmd.v)
		cbit_mem_frames_free(viommu->view, viommu->cmd, 1);
	if (viommu->devtab.v)
		cbit_mem_frames_free(viommu->view, viommu->devtab, viommu->devtab_pages);
	cbit_iommu_destroy(viommu->hw);
	free(viommu);
}

struct cbit_iommu *cbit_viommu_hardware(struct cbit_viommu *viommu)
{
	return viommu->hw;
}

bool cbit_viommu_alive(const struct cbit_viommu *viommu)
{
	return viommu->alive;
}

/* --- domains --- */

static int invalidate_all_pages(struct cbit_viommu_domain *d)
{
	/* The largest size: address ones up to bit 62, S and PDE set (48882 2.4.3). */
	return command(d->viommu, 0, CBIT_VI_CMD_INVALIDATE_PAGES, d->id,
		       UINT64_C(0x7ffffffffffff000) | CBIT_VI_PAGES_S | CBIT_VI_PAGES_PDE);
}

/* As Linux build_inv_address(): one page, or the smallest power of two around the range. */
static int invalidate_pages(struct cbit_viommu_domain *d, uint64_t iova, uint64_t size)
{
	uint64_t last = iova + size - 1, at = iova & CBIT_PAGE_MASK;
	unsigned int msb;

	if (size > CBIT_PAGE_SIZE) {
		msb = 63u - (unsigned int)__builtin_clzll(last ^ iova);
		if (msb > 51)
			return invalidate_all_pages(d);
		/* Ones below the size's top bit, a zero in it, say how large it is. */
		at = (iova | ((UINT64_C(1) << msb) - 1)) & ~(UINT64_C(1) << msb) & CBIT_PAGE_MASK;
		at |= CBIT_VI_PAGES_S;
	}
	return command(d->viommu, 0, CBIT_VI_CMD_INVALIDATE_PAGES, d->id, at | CBIT_VI_PAGES_PDE);
}

static void top_changed(void *opaque, struct cbit_pt *pt)
{
	struct cbit_viommu_domain *d = opaque;

	/* A dead IOMMU does not see it: nothing to be done about that here. */
	(void)pt;
	(void)dte_point(d);
	(void)invalidate_all_pages(d);
}

static bool has_dte(const struct cbit_viommu *v, uint16_t devid)
{
	return devid < v->devtab_pages * (4096u / DTE_BYTES);
}

int cbit_viommu_attach(struct cbit_viommu *viommu, uint16_t devid, struct cbit_viommu_domain **out)
{
	struct cbit_viommu_domain *d;
	struct cbit_pt_config cfg = {
		.format = CBIT_PT_AMDV1,
		.mode = 3, /* Linux: amd_iommu_domain_alloc_paging_v1() */
		.max_mode = 6,
		.table_c = viommu->c != 0,
		.top_changed = top_changed,
	};
	unsigned int id = 0;
	int ret;

	if (!has_dte(viommu, devid))
		return -EINVAL;
	for (unsigned int i = DOMAINS - 1; i; i--) {
		if (!viommu->domains[i])
			id = i;
		else if (viommu->domains[i]->devid == devid)
			return -EEXIST;
	}
	d = id ? calloc(1, sizeof(*d)) : NULL;
	if (!d)
		return -ENOMEM;
	d->viommu = viommu;
	d->id = (uint16_t)id;
	d->devid = devid;
	cfg.opaque = d;
	ret = cbit_pt_create(viommu->view, &cfg, &d->pt);
	if (ret) {
		free(d);
		return ret;
	}
	viommu->domains[id] = d;
	*out = d;
	(void)dte_point(d);
	return 0;
}

struct cbit_pt *cbit_viommu_domain_pt(struct cbit_viommu_domain *domain)
{
	return domain->pt;
}

int cbit_viommu_map(struct cbit_viommu_domain *domain, struct cbit_iova iova, struct cbit_gpa gpa,
		    uint64_t size, unsigned int attrs)
{
	uint64_t mapped;
	int ret = cbit_pt_map(domain->pt, iova, CBIT_SPA(gpa.v), size, attrs, &mapped);

	if (ret && mapped)
		(void)cbit_viommu_unmap(domain, iova, mapped);
	return ret;
}

int cbit_viommu_unmap_only(struct cbit_viommu_domain *domain, struct cbit_iova iova, uint64_t size)
{
	uint64_t removed;
	int ret = cbit_pt_unmap(domain->pt, iova, size, &removed);

	return ret || removed ? ret : -ENOENT;
}

int cbit_viommu_unmap(struct cbit_viommu_domain *domain, struct cbit_iova iova, uint64_t size)
{
	int ret = cbit_viommu_unmap_only(domain, iova, size);

	if (!ret)
		ret = invalidate_pages(domain, iova.v, size);
	cbit_pt_gather_free(domain->pt);
	return ret;
}

static int ops_map(void *opaque, struct cbit_iova iova, struct cbit_phys phys, uint64_t size,
		   unsigned int attrs)
{
	return cbit_viommu_map(opaque, iova, CBIT_GPA(phys.v), size, attrs);
}

static int ops_unmap(void *opaque, struct cbit_iova iova, uint64_t size)
{
	return cbit_viommu_unmap(opaque, iova, size);
}

struct cbit_dma_iommu_ops cbit_viommu_dma_ops(void)
{
	return (struct cbit_dma_iommu_ops){ .map = ops_map, .unmap = ops_unmap };
}

/* --- interrupts --- */

static struct irt *irt_of(struct cbit_viommu *v, uint16_t devid)
{
	for (unsigned int i = 0; i < v->irt_count; i++)
		if (v->irts[i].devid == devid)
			return &v->irts[i];
	return NULL;
}

/* Linux' set_dte_irq_entry(): table, length, remapping on, the pass bits of NMI, INIT and ExtINT.
 */
static int irt_create(struct cbit_viommu *v, uint16_t devid, struct irt **out)
{
	unsigned int lg2 = v->cfg.xt ? 11 : 9;
	unsigned int pages = v->cfg.xt ? 8 : 1; /* 2048 entries of 16 bytes, 512 of 4 */
	struct cbit_spa at;
	uint64_t dte[4];
	int ret;

	if (v->irt_count == TABLES)
		return -ENOMEM;
	ret = alloc(v, pages, &at);
	if (ret)
		return ret;
	*out = &v->irts[v->irt_count++];
	**out = (struct irt){ .gpa = at.v, .devid = devid, .pages = pages };
	ret = dte_read(v, devid, dte);
	if (ret)
		return ret;
	dte[2] = CBIT_VI_DTE2_IV | (uint64_t)lg2 << CBIT_VI_DTE2_LEN_SHIFT | table_bus(v, at.v).v |
		 (uint64_t)CBIT_VI_INTCTL_REMAP << CBIT_VI_DTE2_INTCTL_SHIFT | CBIT_VI_DTE2_NMI |
		 CBIT_VI_DTE2_INIT | CBIT_VI_DTE2_EINT;
	return dte_write(v, devid, dte);
}

int cbit_viommu_msi_setup(struct cbit_viommu *viommu, uint16_t devid, unsigned int index,
			  uint32_t dest, uint8_t vector)
{
	struct irt *irt = irt_of(viommu, devid);
	bool xt = viommu->cfg.xt;
	int ret = 0;

	if (!has_dte(viommu, devid) || index >= (xt ? 2048u : 512u) || (!xt && dest > 0xff))
		return -EINVAL;
	if (!irt)
		ret = irt_create(viommu, devid, &irt);
	if (!irt || (ret && ret != -ETIMEDOUT))
		return ret;
	if (xt) {
		/* 48882 2.2.5.2: destination 31:8, vector 7:0 of the high word, id's top byte. */
		uint64_t irte[2] = {
			CBIT_VI_IRTE_REMAP_EN | (uint64_t)(dest & 0xffffff) << 8,
			vector | (uint64_t)(dest >> 24) << 56,
		};

		ret = put(viommu, irt->gpa + (uint64_t)index * 16, irte, sizeof(irte));
	} else {
		uint32_t irte =
			(uint32_t)CBIT_VI_IRTE_REMAP_EN | dest << 8 | (uint32_t)vector << 16;

		ret = put(viommu, irt->gpa + (uint64_t)index * 4, &irte, sizeof(irte));
	}
	return ret ? ret : command(viommu, devid, CBIT_VI_CMD_INVALIDATE_IRT, 0, 0);
}
