/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machines that the explorer explores, and how one gets back to where it started.
 */
#include <errno.h>
#include <stdlib.h>

#include "explore_internal.h"

#define RAM     (UINT64_C(1) << 20)
#define SWIOTLB (UINT64_C(256) << 10)

static const struct x_world host_worlds[] = {
	{
		.name = "host-vfio",
		.about = "host; two NICs driven by programs through VFIO, a disk with a BAR",
		.vfio = true,
		.mirror_devs = true,
		.devs = { { "nic0" }, { "nic1" } },
	},
	{
		.name = "host-kernel",
		.about = "host; kernel drivers: a NIC outside the case behind the IOMMU, a 32-bit "
			 "one without, a disk with a BAR",
		.devs = { { "external", .untrusted = true },
			  { "narrow", .direct = true, .narrow = true } },
	},
};

static const struct x_world guest_worlds[] = {
	{
		.name = "guest-viommu",
		.about = "guest; a trusted and an untrusted emulated device behind a vIOMMU, a "
			 "disk with a BAR",
		.guest = true,
		.viommu = true,
		.msi = true,
		.format = CBIT_MSI_FORMAT_REMAPPED,
		.devs = { { "trusted", .emulated = true },
			  { "untrusted", .emulated = true, .untrusted = true } },
	},
	{
		.name = "guest-viommu-patched",
		.about = "the same guest, and a vendor's patch puts the vIOMMU's tables into "
			 "shared memory",
		.guest = true,
		.viommu = true,
		.patched = true,
		.msi = true,
		.format = CBIT_MSI_FORMAT_REMAPPED,
		.devs = { { "trusted", .emulated = true },
			  { "untrusted", .emulated = true, .untrusted = true } },
	},
	{
		.name = "guest-direct",
		.about = "guest without vIOMMU; an emulated device, an assigned one, a disk with "
			 "a BAR",
		.guest = true,
		.msi = true,
		.format = CBIT_MSI_FORMAT_EXT_DEST_ID,
		.devs = { { "emulated", .emulated = true, .direct = true },
			  { "assigned", .direct = true } },
	},
};

static struct cbit_policy_dma ask_guest(const struct cbit_explore_config *cfg)
{
	return (struct cbit_policy_dma){ .platform = &cfg->platform,
					 .guest = true,
					 .confidential = cfg->guest > CBIT_EXPLORE_GUEST_PLAIN,
					 .iommu = true,
					 .mask = UINT64_MAX,
					 .size = CBIT_PAGE_SIZE,
					 .rw = CBIT_ATTR_RW };
}

static bool tables_shared(const struct cbit_explore_config *cfg)
{
	const struct cbit_policy_dma ask = ask_guest(cfg);
	struct cbit_policy_decision decision;

	cbit_policy_iommu_tables(cfg->policy, &ask, &decision);
	return !(decision.attrs & CBIT_ATTR_ENCRYPTED);
}

/* The policy as it is, but for the tables. */
static struct cbit_policy_switches patched_switches(const struct cbit_explore_config *cfg)
{
	struct cbit_policy_dma ask = ask_guest(cfg);
	struct cbit_policy_switches switches = { .tables_shared = true };
	struct cbit_policy_decision decision;

	ask.mmio = ask.window = true;
	(void)cbit_policy_dma_map(cfg->policy, &ask, &decision);
	switches.mmio_clear = !(decision.attrs & CBIT_ATTR_ENCRYPTED);
	ask.mmio = ask.window = false;
	ask.pages = CBIT_DMA_PAGES_PLAIN;
	(void)cbit_policy_dma_map(cfg->policy, &ask, &decision);
	switches.shared_clear = !(decision.attrs & CBIT_ATTR_ENCRYPTED);
	return switches;
}

unsigned int x_worlds(const struct cbit_explore_config *cfg, struct x_world *out)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < sizeof(host_worlds) / sizeof(host_worlds[0]); i++)
		out[nr++] = host_worlds[i];
	for (unsigned int i = 0; cfg->guest && i < sizeof(guest_worlds) / sizeof(guest_worlds[0]);
	     i++) {
		if (guest_worlds[i].patched && tables_shared(cfg))
			continue;
		out[nr] = guest_worlds[i];
		if (cfg->breaks & CBIT_EXPLORE_BREAK_REMAPPING)
			out[nr].format = CBIT_MSI_FORMAT_COMPAT;
		nr++;
	}
	return nr;
}

/* A guest starts with one page private and one shared. */
struct x_state x_initial(const struct x_world *world)
{
	struct x_state s = { .defined = { 1, 1 } };

	s.shared[1] = world->guest;
	return s;
}

static void give_to_guest(struct x_machine *m, struct cbit_sim_config *cfg)
{
	const struct x_world *w = m->world;

	cfg->regions[0].guest = RAM;
	cfg->guest = (struct cbit_sim_guest){
		.present = true,
		.kind = (enum cbit_guest_kind)(m->cfg->guest - CBIT_EXPLORE_GUEST_PLAIN),
		.npt_c = true,
		.viommu = w->viommu,
		.nr_ids = 2,
		.ids = { X_CPU_LOW, X_CPU_HIGH },
		.ext_dest_id = w->format == CBIT_MSI_FORMAT_EXT_DEST_ID,
		.broadcast_quirk = true,
		.xt = true,
	};
	m->secret = cfg->guest.kind != CBIT_GUEST_PLAIN;
	if (m->cfg->breaks & CBIT_EXPLORE_BREAK_KEY)
		cfg->guest.kind = CBIT_GUEST_PLAIN;
	if (w->patched) {
		cfg->guest.derived = true;
		cfg->guest.switches = patched_switches(m->cfg);
	}
	for (unsigned int i = 0; i <= X_DISK; i++) {
		cfg->devices[i].guest = true;
		/* the disk does no DMA: its window is all that there is to it */
		cfg->devices[i].emulated = i == X_DISK ? w->viommu : w->devs[i].emulated;
		cfg->devices[i].direct = i == X_DISK ? !w->viommu : w->devs[i].direct;
	}
}

static void describe(struct x_machine *m, struct cbit_sim_config *cfg)
{
	const struct x_world *w = m->world;

	*cfg = (struct cbit_sim_config){
		.platform = m->cfg->platform,
		.policy = m->cfg->policy,
		/* below 4 GiB: an RMP has an entry for every page up to the end of memory */
		.regions = { { "ram", CBIT_MEM_DRAM, .base = { 0x80000000 }, .size = RAM } },
		.nr_regions = 1,
		.nr_devices = X_DEVS + 1,
		.swiotlb = SWIOTLB,
	};
	for (unsigned int i = 0; i < X_DEVS; i++) {
		const struct x_device *d = &w->devs[i];

		cfg->devices[i] = (struct cbit_sim_device){
			.direct = d->direct,
			.untrusted = d->untrusted,
			.mask = d->narrow ? UINT32_MAX : 0,
		};
		strncpy(cfg->devices[i].name, d->name, CBIT_SIM_NAME - 1);
	}
	cfg->devices[X_DISK] = (struct cbit_sim_device){ .name = "disk", .bar = CBIT_PAGE_SIZE };
	if (w->guest)
		give_to_guest(m, cfg);
}

static int alloc(struct x_machine *m, unsigned int buf)
{
	const struct cbit_sim_op op = { .kind = CBIT_SIM_ALLOC,
					.buf = buf,
					.region = buf == X_BAR,
					.pages = 1,
					.guest = m->world->guest };
	struct cbit_sim_result res;
	int ret = x_sim(m, &op, &res);

	if (!ret && res.outcome != CBIT_SIM_OK)
		ret = cbit_error_set(m->err, -EIO, "no memory for a buffer: %s", res.err.text);
	return ret;
}

/*
 * Everything that a driver does when it starts: each mapping has been there once, so that its
 * address can be tried, and each interrupt has gone to the CPU with the low APIC id.
 */
static int settle(struct x_machine *m)
{
	struct x_outcome *out = calloc(1, sizeof(*out));
	int ret = out ? 0 : -ENOMEM;

	for (uint8_t d = 0; !ret && d < X_DEVS; d++) {
		const struct x_op msi = { .kind = X_MSI, .dev = d };

		if (m->world->msi)
			ret = x_do(m, &msi, false, out);
		for (uint8_t i = 0; !ret && i < (m->world->vfio ? X_SLOTS : X_MAPS); i++) {
			uint8_t buf = m->world->vfio    ? (i ? X_BAR : 0)
				      : i == X_MAPS - 1 ? (uint8_t)(X_COHERENT + d)
							: i;
			const struct x_op map = { X_MAP, d, i, buf, X_PLAIN };
			const struct x_op unmap = { X_UNMAP, d, i, buf, 0 };

			ret = x_do(m, &map, false, out);
			if (ret || out->refused)
				continue;
			m->mapped[d][i] = true;
			ret = x_do(m, &unmap, false, out);
		}
	}
	free(out);
	return ret;
}

int x_power_on(struct x_machine *m)
{
	struct cbit_sim_config *cfg = calloc(1, sizeof(*cfg));
	struct x_state start = x_initial(m->world);
	const struct x_op share = { .kind = X_SHARE, .buf = 1 };
	struct x_outcome *out = calloc(1, sizeof(*out));
	int ret = cfg && out ? 0 : -ENOMEM;

	x_power_off(m);
	if (!ret) {
		describe(m, cfg);
		ret = cbit_sim_create(cfg, &m->sim, m->err);
	}
	for (unsigned int buf = 0; !ret && buf <= X_BAR; buf++)
		ret = alloc(m, buf);
	m->now = (struct x_state){ 0 };
	memset(m->mapped, 0, sizeof(m->mapped));
	if (!ret && start.shared[1])
		ret = x_do(m, &share, false, out);
	for (uint8_t buf = 0; !ret && buf <= X_BAR; buf++) {
		const struct x_op write = { .kind = X_WRITE, .buf = buf };

		ret = x_do(m, &write, false, out);
	}
	if (!ret)
		ret = settle(m);
	m->now = start;
	m->worn = m->dirty = false;
	m->leaks = 0;
	free(cfg);
	free(out);
	return ret;
}

void x_power_off(struct x_machine *m)
{
	cbit_sim_destroy(m->sim);
	m->sim = NULL;
}

/* --- back to the start --- */

static int put_back(struct x_machine *m, struct x_outcome *out, const struct x_op *op)
{
	int ret = x_do(m, op, false, out);

	m->worn |= out->refused && op->kind != X_UNMAP;
	return ret;
}

static int reset_maps(struct x_machine *m, struct x_outcome *out, uint8_t dev)
{
	int ret = 0;

	for (uint8_t i = 0; !ret && i < X_MAPS; i++) {
		const struct x_map *map = &m->now.map[dev][i];
		const struct x_op unmap = { X_UNMAP, dev, i, map->buf, 0 };
		const struct x_op sync = { X_SYNC_DEVICE, dev, i, map->buf, 0 };
		const struct x_op flush = { X_FLUSH, dev, i, map->buf, 0 };

		if (map->flags & X_DIRTY)
			ret = put_back(m, out, &sync);
		if (!ret && map->phase == X_LIVE)
			ret = put_back(m, out, &unmap);
		/* what was forgotten on purpose as well */
		if (!ret && m->world->vfio && m->mapped[dev][i] &&
		    (m->dirty || map->phase || map->cached))
			ret = put_back(m, out, &flush);
	}
	return ret;
}

static int reset_pages(struct x_machine *m, struct x_outcome *out)
{
	const struct x_state start = x_initial(m->world);
	int ret = 0;

	for (uint8_t buf = 0; !ret && buf <= X_BAR; buf++) {
		const struct x_op write = { .kind = X_WRITE, .buf = buf };
		bool change = buf < X_PAGES && m->now.shared[buf] != start.shared[buf];
		const struct x_op convert = {
			.kind = buf < X_PAGES && start.shared[buf] ? X_SHARE : X_UNSHARE, .buf = buf
		};

		if (change)
			ret = put_back(m, out, &convert);
		if (!ret && (m->dirty || (buf < X_PAGES && !m->now.defined[buf])))
			ret = put_back(m, out, &write);
	}
	return ret;
}

int x_reset(struct x_machine *m)
{
	const struct x_state start = x_initial(m->world);
	struct x_outcome *out;
	int ret = 0;

	if (!m->sim)
		return x_power_on(m);
	if (!m->dirty && !m->worn && !memcmp(&start, &m->now, sizeof(start)))
		return 0;
	out = calloc(1, sizeof(*out));
	if (!out)
		return -ENOMEM;
	m->mending = true;
	for (uint8_t d = 0; !ret && !m->worn && d < X_DEVS; d++) {
		const struct x_op msi = { .kind = X_MSI, .dev = d };

		ret = reset_maps(m, out, d);
		if (!ret && m->world->msi && (m->now.high[d] || m->dirty))
			ret = put_back(m, out, &msi);
	}
	if (!ret && !m->worn)
		ret = reset_pages(m, out);
	free(out);
	m->dirty = m->mending = false;
	if (!ret && (m->worn || memcmp(&start, &m->now, sizeof(start)) != 0))
		ret = x_power_on(m);
	return ret;
}
