/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a machine out of its description, and unmaking it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/report.h>

#include "sim_internal.h"

/* Memory of the kernel's own (tables, rings, SWIOTLB) lies below 2 GiB, the rest from 4 GiB on. */
#define KERNEL_BASE UINT64_C(0x1000000)
#define KERNEL_SIZE UINT64_C(0x7f000000)
#define RAM_BASE    UINT64_C(0x100000000)
#define RAM_STEP    UINT64_C(0x4000000)
#define MMIO_BASE   UINT64_C(0x200000000000)

/* A guest's IOMMU was led to a private page by its address with the C-bit: the page is the cause.
 */
static bool meant_private(struct cbit_sim *sim, const struct cbit_event *ev)
{
	uint64_t gpa = ev->spa.v & ~sim->guest_c;

	return ev->type == CBIT_EVENT_DMA_ABORT && sim->viommu && ev->spa_valid &&
	       ev->entry & sim->guest_c && ev->region && ev->kind != CBIT_MEM_MMIO &&
	       !cbit_guest_is_shared(sim->guest, CBIT_GPA(gpa));
}

static void observe(void *opaque, const struct cbit_event *original)
{
	struct cbit_sim *sim = opaque;
	struct cbit_sim_result *res = sim->res;
	struct cbit_event copy = *original;
	const struct cbit_event *ev = &copy;
	unsigned int i = 0;
	const char *id;

	if (meant_private(sim, original))
		copy.type = CBIT_EVENT_DMA_PRIVATE;
	id = cbit_report_id(ev);
	sim->told_private |= ev->type == CBIT_EVENT_DMA_PRIVATE;
	if (ev->type == CBIT_EVENT_DMA_STALE_IOTLB)
		sim->stale = *ev;
	while (res && id && i < res->nr_findings && strcmp(res->findings[i], id) != 0)
		i++;
	if (res && id && i == res->nr_findings && i < CBIT_SIM_FINDINGS)
		res->findings[res->nr_findings++] = id;
	if (sim->cfg.observer && sim->cfg.observer->event)
		sim->cfg.observer->event(sim->cfg.observer->opaque, ev);
}

static uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

static int add_region(struct cbit_sim *sim, const struct cbit_sim_region *cfg, int owner,
		      struct cbit_error *err)
{
	struct sim_region *r = &sim->regions[sim->nr_regions];
	struct cbit_mem_region_desc desc = {
		.kind = cfg->kind,
		.encrypts = cfg->kind == CBIT_MEM_DRAM || cfg->kind == CBIT_MEM_CXL_RAM ||
			    (cfg->kind == CBIT_MEM_COHERENT && cfg->encrypts),
		.base = cfg->base,
		.size = cfg->size,
		.name = cfg->name,
	};

	/* More is of no use: buffers are small, and each page has a byte of bookkeeping. */
	if (!cfg->size || cfg->size & ~CBIT_PAGE_MASK || cfg->size > UINT64_C(1) << 36)
		return cbit_error_set(err, -EINVAL,
				      "region %s: size 0x%llx; a multiple of 0x1000 up to 64 GiB",
				      cfg->name, (unsigned long long)cfg->size);
	r->cfg = *cfg;
	r->owner = owner;
	r->used = calloc(cfg->size >> CBIT_PAGE_SHIFT, 1);
	if (cfg->kind == CBIT_MEM_MMIO)
		desc.direct = r->bytes = calloc(1, cfg->size);
	sim->nr_regions++;
	if (!r->used || (cfg->kind == CBIT_MEM_MMIO && !r->bytes))
		return cbit_error_set(err, -ENOMEM, "region %s: out of memory", cfg->name);
	return cbit_mem_add_region(sim->mem, &desc, err);
}

static int add_memory(struct cbit_sim *sim, struct cbit_error *err)
{
	const struct cbit_mem_region_desc kernel = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(KERNEL_BASE),
		.size = KERNEL_SIZE,
		.name = "kernel",
	};
	uint64_t next = RAM_BASE;
	int ret;

	sim->regions[SIM_KERNEL].cfg =
		(struct cbit_sim_region){ .name = "kernel", .kind = CBIT_MEM_DRAM };
	ret = cbit_mem_add_region(sim->mem, &kernel, err);
	for (unsigned int i = 0; !ret && i < sim->cfg.nr_regions; i++) {
		struct cbit_sim_region cfg = sim->cfg.regions[i];

		if (cfg.kind == CBIT_MEM_MMIO)
			return cbit_error_set(err, -EINVAL,
					      "region %s: windows come with their device",
					      cfg.name);
		if (!cfg.base.v) {
			cfg.base = CBIT_SPA(next);
			next = align_up(next + cfg.size, RAM_STEP);
		}
		ret = add_region(sim, &cfg, -1, err);
	}
	return ret;
}

/* No IOMMU for this one: V=1, TV=1, Mode=0 (48882 2.2.2.1), as iommu=pt has it. */
static int pass_through(struct cbit_sim *sim, uint16_t devid)
{
	const uint32_t invalidate[4] = { devid,
					 CBIT_VI_CMD_INVALIDATE_DEVTAB << CBIT_VI_CMD_SHIFT };
	uint64_t base = cbit_iommu_reg_read(sim->iommu, CBIT_VI_REG_DEVTAB) & CBIT_VI_BASE_MASK;
	const uint64_t dte[4] = { CBIT_VI_DTE0_V | CBIT_VI_DTE0_TV | CBIT_VI_DTE0_IR |
				  CBIT_VI_DTE0_IW };

	if (cbit_mem_write(sim->mem, (struct cbit_bus){ base + devid * sizeof(dte) }, dte,
			   sizeof(dte)) != CBIT_MEM_OK)
		return -ENOMEM;
	return cbit_iommu_command(sim->iommu, invalidate);
}

static int add_device(struct cbit_sim *sim, unsigned int index, uint64_t *next_bar,
		      struct cbit_error *err)
{
	struct sim_device *dev = &sim->devices[index];
	struct cbit_sim_region bar = { .kind = CBIT_MEM_MMIO };
	int ret;

	dev->cfg = sim->cfg.devices[index];
	dev->sim = sim;
	dev->next_iova = SIM_IOVA_BASE;
	if (!dev->cfg.devid)
		dev->cfg.devid = (uint16_t)((index + 1) << 8);
	for (unsigned int i = 0; i < index; i++) {
		if (sim->devices[i].cfg.devid == dev->cfg.devid)
			return cbit_error_set(err, -EEXIST, "device %s: its address is that of %s",
					      dev->cfg.name, sim->devices[i].cfg.name);
	}
	if (dev->cfg.bar) {
		if (dev->cfg.bar & (dev->cfg.bar - 1) || dev->cfg.bar > UINT64_C(1) << 30)
			return cbit_error_set(
				err, -EINVAL,
				"device %s: a BAR of 0x%llx bytes; a power of two from 0x1000 "
				"to 1 GiB",
				dev->cfg.name, (unsigned long long)dev->cfg.bar);
		snprintf(bar.name, sizeof(bar.name), "%.*s.bar", CBIT_SIM_NAME - 5, dev->cfg.name);
		bar.size = dev->cfg.bar;
		bar.base = CBIT_SPA(align_up(*next_bar, bar.size));
		*next_bar = bar.base.v + bar.size;
		ret = add_region(sim, &bar, (int)index, err);
		if (ret)
			return ret;
	}
	ret = cbit_domain_create(sim->iommu, NULL, &dev->domain);
	if (ret)
		return ret;
	return dev->cfg.direct && !dev->cfg.guest ? pass_through(sim, dev->cfg.devid)
						  : cbit_domain_attach(dev->domain, dev->cfg.devid);
}

static int power_on(struct cbit_sim *sim, struct cbit_error *err)
{
	uint64_t next_bar = MMIO_BASE;
	int ret;

	if (!sim->cfg.policy || sim->cfg.nr_regions > CBIT_SIM_REGIONS ||
	    sim->cfg.nr_devices > CBIT_SIM_DEVICES)
		return cbit_error_set(err, -EINVAL, "a policy, %d regions, %d devices at most",
				      CBIT_SIM_REGIONS, CBIT_SIM_DEVICES);
	if (sim->cfg.guest.nr_ids > sizeof(sim->cfg.guest.ids) / sizeof(sim->cfg.guest.ids[0]) ||
	    sim->cfg.guest.cpus > CBIT_SIM_CPUS)
		return cbit_error_set(err, -EINVAL, "a guest of more than %d CPUs, or too many ids",
				      CBIT_SIM_CPUS);
	for (unsigned int i = 0; i < sim->cfg.nr_devices; i++) {
		if (sim->cfg.devices[i].guest && !sim->cfg.guest.present)
			return cbit_error_set(err, -EINVAL, "device %s: there is no guest",
					      sim->cfg.devices[i].name);
	}
	ret = cbit_mem_create(&sim->cfg.platform, &sim->mem);
	if (!ret)
		ret = add_memory(sim, err);
	if (!ret)
		ret = cbit_iommu_create(sim->mem, &sim->observer, &sim->iommu);
	if (!ret)
		ret = sim_host_init(sim);
	for (unsigned int i = 0; !ret && i < sim->cfg.nr_devices; i++)
		ret = add_device(sim, i, &next_bar, err);
	return ret ? ret : sim_guest_create(sim, err);
}

/* A platform that has what the guest needs. */
static void offer_sev(struct cbit_platform *p, enum cbit_guest_kind kind)
{
	p->sev = true;
	p->sev_es = true;
	p->snp = kind == CBIT_GUEST_SNP;
	if (!p->asids)
		p->asids = 15;
	if (!p->c_bit)
		p->c_bit = 51;
}

int cbit_sim_create(const struct cbit_sim_config *config, struct cbit_sim **out,
		    struct cbit_error *err)
{
	struct cbit_sim *sim = calloc(1, sizeof(*sim));
	int ret;

	if (!sim)
		return cbit_error_set(err, -ENOMEM, "out of memory");
	if (err)
		err->text[0] = '\0';
	sim->cfg = *config;
	if (config->guest.present && config->guest.kind != CBIT_GUEST_PLAIN)
		offer_sev(&sim->cfg.platform, config->guest.kind);
	sim->c_mask = cbit_platform_c_mask(&config->platform);
	sim->observer = (struct cbit_observer){ .event = observe, .opaque = sim };
	ret = power_on(sim, err);
	if (ret) {
		if (err && !err->text[0])
			cbit_error_set(err, ret, "cannot make the machine: %s", strerror(-ret));
		cbit_sim_destroy(sim);
		return ret;
	}
	*out = sim;
	return 0;
}

void cbit_sim_destroy(struct cbit_sim *sim)
{
	if (!sim)
		return;
	for (unsigned int i = 0; i < CBIT_SIM_BUFS; i++)
		free(sim->bufs[i].truth);
	for (unsigned int i = 0; i < CBIT_SIM_MAPS; i++)
		sim_map_drop(&sim->maps[i]);
	for (unsigned int i = 0; i < CBIT_SIM_DEVICES; i++)
		cbit_dma_dev_destroy(sim->devices[i].dma);
	cbit_dma_destroy(sim->host_dma);
	sim_guest_destroy(sim);
	for (unsigned int i = 0; i < CBIT_SIM_DEVICES; i++)
		cbit_domain_destroy(sim->devices[i].domain);
	cbit_iommu_destroy(sim->iommu);
	if (sim->host_pt)
		cbit_pt_destroy(sim->host_pt);
	cbit_mem_destroy(sim->mem);
	for (unsigned int i = 0; i < sim->nr_regions; i++) {
		free(sim->regions[i].used);
		free(sim->regions[i].bytes);
	}
	free(sim);
}

struct cbit_mem *cbit_sim_mem(struct cbit_sim *sim)
{
	return sim->mem;
}

struct cbit_iommu *cbit_sim_iommu(struct cbit_sim *sim)
{
	return sim->iommu;
}

struct cbit_guest *cbit_sim_guest(struct cbit_sim *sim)
{
	return sim->guest;
}

const struct cbit_sim_config *cbit_sim_config(const struct cbit_sim *sim)
{
	return &sim->cfg;
}

unsigned int cbit_sim_nr_regions(const struct cbit_sim *sim)
{
	return sim->nr_regions;
}

const struct cbit_sim_region *cbit_sim_region(const struct cbit_sim *sim, unsigned int index)
{
	return index < sim->nr_regions ? &sim->regions[index].cfg : NULL;
}
