/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine that is a confidential guest: its memory with NPT, RMP and page tables, the IOMMU that
 * it sees or the host's that it does not see, and what that makes of a mapping.
 *
 * The guest's kernel has memory of its own for page tables and IOMMU tables. The client's pages are
 * two slots, private and shared, which are accepted when pages are first mapped for DMA; both are
 * backed by the client's memory, whose bytes are plaintext of the key that the guest's CPU uses
 * there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/rmp.h>

#include "vfio_internal.h"

/* Of the address map: the guest kernel's memory, and the reverse map table. */
#define KERNEL_BASE UINT64_C(0x4000000000)
#define KERNEL_SIZE UINT64_C(0x8000000)
#define RMP_BASE    UINT64_C(0x8000000000)
#define RMP_COVERED CBIT_CLIENT_SHARED_BASE
#define RMP_SIZE    (CBIT_RMP_BOOKKEEPING + (RMP_COVERED >> CBIT_PAGE_SHIFT) * CBIT_RMP_ENTRY_BYTES)

_Static_assert(KERNEL_BASE + KERNEL_SIZE <= RMP_BASE, "the kernel's memory, then the table");
_Static_assert(RMP_BASE + RMP_SIZE <= UINT64_C(0xfd00000000), "below the HyperTransport hole");

/*
 * @platform: as the guest's kernel has it: SME stands for "entries have a C-bit".
 * @all: of the host's IOMMU: the guest's memory as it is, for devices that no vIOMMU translates.
 */
struct vfio_guest {
	struct cbit_machine_guest cfg;
	struct cbit_platform platform;
	struct cbit_guest *guest;
	struct cbit_domain *all;
	const struct cbit_mem_ops *client;
	void *client_opaque;
};

/* --- the client's shared memory: what lies behind the private in the same backing --- */

#define SHARED_OFFSET (CBIT_CLIENT_SHARED_BASE - CBIT_CLIENT_DRAM_BASE)

static int shared_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	const struct vfio_guest *g = opaque;

	return g->client->read(g->client_opaque, SHARED_OFFSET + offset, buf, len);
}

static int shared_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	const struct vfio_guest *g = opaque;

	return g->client->write(g->client_opaque, SHARED_OFFSET + offset, buf, len);
}

static void *shared_hold(void *opaque, uint64_t offset, size_t *len, bool write, void **cookie)
{
	const struct vfio_guest *g = opaque;

	return g->client->hold(g->client_opaque, SHARED_OFFSET + offset, len, write, cookie);
}

static int shared_release(void *opaque, void *cookie)
{
	const struct vfio_guest *g = opaque;

	return g->client->release(g->client_opaque, cookie);
}

static int shared_move(void *opaque, const struct cbit_mem_part *parts, unsigned int nr, void *buf,
		       bool write)
{
	const struct vfio_guest *g = opaque;
	struct cbit_mem_part moved[64];

	for (unsigned int i = 0; i < nr; i++) {
		moved[i] = parts[i];
		moved[i].offset += SHARED_OFFSET;
	}
	return g->client->move(g->client_opaque, moved, nr, buf, write);
}

static int shared_atomic(void *opaque, uint64_t offset, enum cbit_atomic_op op, unsigned int size,
			 const uint64_t operand[2], const uint64_t compare[2], uint64_t old[2])
{
	const struct vfio_guest *g = opaque;

	return g->client->atomic(g->client_opaque, SHARED_OFFSET + offset, op, size, operand,
				 compare, old);
}

static int add_shared(struct cbit_machine *machine, struct cbit_error *err)
{
	struct vfio_guest *g = machine->guest;
	const struct cbit_mem_ops ops = {
		.read = shared_read,
		.write = shared_write,
		.hold = g->client->hold ? shared_hold : NULL,
		.release = g->client->release ? shared_release : NULL,
		.move = g->client->move ? shared_move : NULL,
		.atomic = g->client->atomic ? shared_atomic : NULL,
	};
	const struct cbit_mem_region_desc desc = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(CBIT_CLIENT_SHARED_BASE),
		.size = CBIT_CLIENT_GUEST_SIZE,
		.name = "client-shared",
		.ops = &ops,
		.opaque = g,
		/* Guest C=0, NPT C=0; on a host that encrypts everything, its key. */
		.resident = machine->platform.tsme ? CBIT_KEY_HOST : CBIT_KEY_NONE,
	};

	return cbit_mem_add_region(machine->mem, &desc, err);
}

/* --- life --- */

static int add_dram(struct cbit_machine *machine, uint64_t base, uint64_t size, const char *name,
		    struct cbit_error *err)
{
	const struct cbit_mem_region_desc desc = { .kind = CBIT_MEM_DRAM,
						   .encrypts = true,
						   .base = CBIT_SPA(base),
						   .size = size,
						   .name = name };

	return cbit_mem_add_region(machine->mem, &desc, err);
}

/* In the memory map, GPA and SPA of all that the client and its devices see are one. */
static int boot(struct cbit_machine *machine, struct cbit_error *err)
{
	struct vfio_guest *g = machine->guest;
	const struct cbit_guest_config cfg = { .kind = g->cfg.kind,
					       .asid = VFIO_GUEST_ASID,
					       .observer = &machine->observer };
	int ret = add_dram(machine, KERNEL_BASE, KERNEL_SIZE, "guest-dram", err);

	if (!ret && g->cfg.kind == CBIT_GUEST_SNP) {
		ret = add_dram(machine, RMP_BASE, RMP_SIZE, "rmp", err);
		if (!ret)
			ret = cbit_rmp_enable(machine->mem, CBIT_SPA(RMP_BASE), RMP_COVERED, err);
	}
	if (!ret)
		ret = cbit_guest_create(machine->mem, &cfg, &g->guest, err);
	if (!ret)
		ret = cbit_guest_add_memory(g->guest, CBIT_GPA(KERNEL_BASE), CBIT_SPA(KERNEL_BASE),
					    KERNEL_SIZE, err);
	if (!ret && g->client)
		ret = cbit_guest_add_unaccepted(g->guest, CBIT_GPA(CBIT_CLIENT_DRAM_BASE),
						CBIT_SPA(CBIT_CLIENT_DRAM_BASE),
						CBIT_CLIENT_GUEST_SIZE, false, err);
	if (!ret && g->client)
		ret = cbit_guest_add_unaccepted(g->guest, CBIT_GPA(CBIT_CLIENT_SHARED_BASE),
						CBIT_SPA(CBIT_CLIENT_SHARED_BASE),
						CBIT_CLIENT_GUEST_SIZE, true, err);
	return ret ? ret : cbit_guest_boot(g->guest, err);
}

/* What is none of the guest's memory is nobody's secret. */
static bool is_private(void *opaque, struct cbit_spa at)
{
	struct cbit_spa spa;

	return !cbit_guest_is_shared(opaque, CBIT_GPA(at.v)) &&
	       !cbit_guest_spa(opaque, CBIT_GPA(at.v), &spa);
}

/* An IOMMU that the hypervisor emulates, with tables where the policy's driver puts them. */
static int add_viommu(struct cbit_machine *machine)
{
	struct vfio_guest *g = machine->guest;
	const struct cbit_policy_dma ask = { .platform = &g->platform,
					     .guest = true,
					     .confidential = true };
	struct cbit_policy_decision tables;

	cbit_policy_iommu_tables(machine->policy, &ask, &tables);
	return cbit_iommu_create_driven(cbit_guest_hypervisor_view(g->guest),
					cbit_guest_view(g->guest), !tables.decrypt,
					&machine->observer, &machine->iommu);
}

/* What the hypervisor's VFIO maps: the guest's memory by GPA, all of it. */
static int map_slot(struct vfio_guest *g, const struct cbit_policy *policy,
		    const struct cbit_platform *host, uint64_t at, uint64_t size,
		    enum cbit_mem_kind kind)
{
	struct cbit_policy_type1 call = { 0 };

	return cbit_domain_map(
		g->all, CBIT_IOVA(at), CBIT_SPA(at), size,
		cbit_policy_type1_attrs(policy, host, &call, kind, false, CBIT_ATTR_RW));
}

/* The host's own IOMMU, which the guest does not see: its devices are assigned to it. */
static int add_host_iommu(struct cbit_machine *machine)
{
	struct vfio_guest *g = machine->guest;
	int ret = cbit_iommu_create(machine->mem, &machine->observer, &machine->iommu);

	if (!ret)
		ret = cbit_domain_create(machine->iommu, NULL, &g->all);
	if (!ret)
		ret = map_slot(g, machine->policy, &machine->platform, KERNEL_BASE, KERNEL_SIZE,
			       CBIT_MEM_DRAM);
	if (!ret && g->client)
		ret = map_slot(g, machine->policy, &machine->platform, CBIT_CLIENT_DRAM_BASE,
			       2 * CBIT_CLIENT_GUEST_SIZE, CBIT_MEM_DRAM);
	return ret;
}

static int add_iommu(struct cbit_machine *machine)
{
	struct vfio_guest *g = machine->guest;
	struct cbit_iommu_owner owner = { .is_private = is_private, .opaque = g->guest };
	int ret;

	machine->noiommu = !g->cfg.viommu;
	if (g->cfg.viommu)
		ret = add_viommu(machine);
	else if (g->cfg.tdisp)
		/* Off: what the device issues is the address, with the C-bit where it has one. */
		ret = cbit_iommu_create_reset(cbit_guest_hypervisor_view(g->guest),
					      &machine->observer, &machine->iommu);
	else
		ret = add_host_iommu(machine);
	if (ret)
		return ret;
	owner.c_mask = UINT64_C(1) << machine->platform.c_bit;
	cbit_iommu_set_owner(machine->iommu, &owner);
	/* A trusted device reaches what the guest's CPU reaches, by the same addresses. */
	if (g->cfg.tdisp)
		cbit_iommu_set_out(machine->iommu, cbit_guest_view(g->guest));
	return 0;
}

int vfio_guest_create(struct cbit_machine *machine, const struct cbit_machine_config *config,
		      struct cbit_error *err)
{
	struct vfio_guest *g = calloc(1, sizeof(*g));
	int ret;

	if (!g)
		return cbit_error_set(err, -ENOMEM, "no memory for a guest");
	machine->guest = g;
	g->cfg = config->guest;
	g->client = config->client_dram;
	g->client_opaque = config->client_opaque;
	g->platform = machine->platform;
	g->platform.sme = true;
	g->platform.tsme = false;
	ret = g->client ? add_shared(machine, err) : 0;
	if (!ret)
		ret = boot(machine, err);
	if (!ret) {
		ret = add_iommu(machine);
		if (ret)
			cbit_error_set(err, ret, "cannot create the IOMMU: %s", strerror(-ret));
	}
	return ret;
}

void vfio_guest_destroy(struct cbit_machine *machine)
{
	struct vfio_guest *g = machine->guest;

	cbit_domain_destroy(g->all);
	/* Its tables are pages of the guest's. */
	cbit_iommu_destroy(machine->iommu);
	cbit_guest_destroy(g->guest);
	free(g);
	machine->guest = NULL;
}

int vfio_guest_add_device(struct cbit_machine *machine, const struct vfio_device *dev,
			  struct cbit_error *err)
{
	struct vfio_guest *g = machine->guest;
	int ret = 0;

	for (unsigned int i = 0; i < CBIT_PCI_BARS && !ret; i++) {
		const struct cbit_bar_info *bar = cbit_pci_bar(dev->pci, i);

		if (bar->mode == CBIT_BAR_NONE)
			continue;
		ret = cbit_guest_add_mmio(g->guest, CBIT_GPA(bar->spa.v), bar->spa, bar->size,
					  g->cfg.tdisp, err);
		if (!ret && g->all)
			ret = map_slot(g, machine->policy, &machine->platform, bar->spa.v,
				       bar->size, CBIT_MEM_MMIO);
	}
	if (!ret && g->all)
		ret = cbit_domain_attach(g->all, dev->devid);
	return ret;
}

bool cbit_machine_noiommu(const struct cbit_machine *machine)
{
	return machine->noiommu;
}

struct cbit_guest *cbit_machine_guest(struct cbit_machine *machine)
{
	return machine->guest ? machine->guest->guest : NULL;
}

/* --- mappings --- */

int vfio_guest_accept(struct cbit_machine *machine, const struct cbit_client_run *run)
{
	return cbit_guest_accept(machine->guest->guest, CBIT_GPA(run->spa.v), run->len);
}

const struct cbit_platform *vfio_kernel_platform(const struct cbit_machine *machine)
{
	return machine->guest ? &machine->guest->platform : &machine->platform;
}

unsigned int vfio_guest_attrs(const struct cbit_machine *machine, const struct cbit_client_run *run,
			      unsigned int attrs)
{
	const struct vfio_guest *g = machine->guest;
	const struct cbit_policy_guest_page page = {
		.shared = cbit_guest_is_shared(g->guest, CBIT_GPA(run->spa.v)),
		.window = run->kind == CBIT_MEM_MMIO,
		.tdisp_run = g->cfg.tdisp,
	};

	return cbit_policy_guest_attrs(machine->policy, &page, attrs);
}
