/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a scenario: the machine.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "scenario_internal.h"

/* Letters, digits, '-', '_' and '.': what can be quoted and told apart from YAML. */
int scn_name(struct scn_read *r, const yaml_node_t *node, const char *what, char out[CBIT_SIM_NAME])
{
	static const char legal[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *text = yaml_text(&r->in, node, what);

	if (!text)
		return -EINVAL;
	if (!*text || strlen(text) >= CBIT_SIM_NAME || strspn(text, legal) != strlen(text))
		return yaml_error(
			&r->in, node,
			"%s: '%.80s' is not a name: letters, digits, '-', '_' and '.', at "
			"most %d",
			what, text, CBIT_SIM_NAME - 1);
	snprintf(out, CBIT_SIM_NAME, "%s", text);
	return 0;
}

/* Keys that are names of the file's own: none twice. */
static int check_twice(struct scn_read *r, const yaml_node_t *map, unsigned int index,
		       const yaml_node_t *key, const char *name)
{
	yaml_node_t *other, *value;

	for (unsigned int i = 0; i < index && yaml_pair(&r->in, map, i, &other, &value); i++) {
		if (!strcmp((const char *)other->data.scalar.value, name))
			return yaml_error(&r->in, key, "'%s' is there twice", name);
	}
	return 0;
}

static int read_platform(struct scn_read *r, const yaml_node_t *node)
{
	static const char *const names[] = { "bare", "sme", "tsme" };
	static const char *const keys[] = { "name", "c-bit", "snp-reads" };
	static const char *const reads[] = { "abort", "ciphertext" };
	struct cbit_platform *platform = &r->scn->cfg.platform;
	const yaml_node_t *name = node;
	unsigned int index = 1;
	uint64_t c_bit = 0;
	int ret;

	if (yaml_is_map(node)) {
		ret = yaml_check_keys(&r->in, node, "platform", keys, COUNT(keys));
		if (ret)
			return ret;
		name = yaml_get(&r->in, node, "name");
	}
	ret = yaml_word(&r->in, name, "a platform", names, COUNT(names), &index);
	if (!ret)
		ret = cbit_platform_preset(names[index], platform);
	if (!ret && yaml_is_map(node)) {
		const yaml_node_t *at = yaml_get(&r->in, node, "c-bit");

		c_bit = platform->c_bit;
		ret = yaml_number(&r->in, at, "c-bit", 51, &c_bit);
		if (!ret && at && (c_bit < 47 || !platform->sme))
			return yaml_error(&r->in, at,
					  "c-bit: a position from 47 to 51, on platform sme");
		platform->c_bit = (unsigned int)c_bit;
		if (platform->sme && platform->pa_bits > c_bit)
			platform->pa_bits = (unsigned int)c_bit;
		index = platform->snp_reads_ciphertext;
		if (!ret)
			ret = yaml_word(&r->in, yaml_get(&r->in, node, "snp-reads"),
					"what a device's read of a private page comes to", reads,
					COUNT(reads), &index);
		platform->snp_reads_ciphertext = index;
	}
	return ret;
}

static int read_region(struct scn_read *r, const yaml_node_t *name, const yaml_node_t *node)
{
	static const char *const kinds[] = { "dram", "cxl-ram", "coherent" };
	static const enum cbit_mem_kind kind_of[] = { CBIT_MEM_DRAM, CBIT_MEM_CXL_RAM,
						      CBIT_MEM_COHERENT };
	static const char *const keys[] = { "kind", "size", "base", "encrypts" };
	struct cbit_sim_config *cfg = &r->scn->cfg;
	struct cbit_sim_region *region = &cfg->regions[cfg->nr_regions];
	const yaml_node_t *encrypts;
	unsigned int kind = 0;
	int ret;

	if (cfg->nr_regions == CBIT_SIM_REGIONS)
		return yaml_error(&r->in, name, "memory: more than %d regions", CBIT_SIM_REGIONS);
	*region = (struct cbit_sim_region){ .size = 16 << 20, .encrypts = true };
	ret = scn_name(r, name, "a region", region->name);
	if (!ret)
		ret = yaml_check_keys(&r->in, node, "a region", keys, COUNT(keys));
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "kind"), "a kind of memory", kinds,
				COUNT(kinds), &kind);
	if (!ret)
		ret = yaml_number(&r->in, yaml_get(&r->in, node, "size"), "size", UINT64_C(1) << 36,
				  &region->size);
	if (!ret && (!region->size || region->size & ~CBIT_PAGE_MASK))
		ret = yaml_error(&r->in, yaml_get(&r->in, node, "size"),
				 "size: whole pages of 4K, and one at least");
	if (!ret)
		ret = yaml_number(&r->in, yaml_get(&r->in, node, "base"), "base", UINT64_C(1) << 51,
				  &region->base.v);
	if (!ret && region->base.v & ~CBIT_PAGE_MASK)
		ret = yaml_error(&r->in, yaml_get(&r->in, node, "base"),
				 "base: a multiple of 0x1000");
	if (ret)
		return ret;
	region->kind = kind_of[kind];
	encrypts = yaml_get(&r->in, node, "encrypts");
	if (encrypts && region->kind != CBIT_MEM_COHERENT)
		return yaml_error(&r->in, encrypts,
				  "encrypts: only coherent memory has the choice, %s always does",
				  kinds[kind]);
	cfg->nr_regions++;
	return yaml_bool(&r->in, encrypts, "encrypts", &region->encrypts);
}

static int read_memory(struct scn_read *r, const yaml_node_t *node)
{
	struct cbit_sim_config *cfg = &r->scn->cfg;
	yaml_node_t *key, *value;
	int ret = 0;

	if (!node) {
		cfg->regions[cfg->nr_regions++] =
			(struct cbit_sim_region){ .name = "ram", .size = 16 << 20 };
		return 0;
	}
	if (!yaml_is_map(node))
		return yaml_error(&r->in, node, "memory: 'NAME: { kind: ... }' is needed");
	for (unsigned int i = 0; !ret && yaml_pair(&r->in, node, i, &key, &value); i++) {
		ret = read_region(r, key, value);
		if (!ret)
			ret = check_twice(r, node, i, key, cfg->regions[i].name);
	}
	return ret;
}

static int read_devid(struct scn_read *r, const yaml_node_t *node, uint16_t *out)
{
	unsigned int bus, dev, fn;
	const char *text;
	char end;

	if (!node)
		return 0;
	text = yaml_text(&r->in, node, "addr");
	if (!text)
		return -EINVAL;
	if (sscanf(text, "%2x:%2x.%1x%c", &bus, &dev, &fn, &end) != 3 || dev > 31 || fn > 7 ||
	    !(bus | dev | fn))
		return yaml_error(&r->in, node, "addr: '%.80s' is not an address such as 01:00.0",
				  text);
	*out = (uint16_t)(bus << 8 | dev << 3 | fn);
	return 0;
}

static int check_devid(struct scn_read *r, const yaml_node_t *node,
		       const struct cbit_sim_device *dev)
{
	const struct cbit_sim_config *cfg = &r->scn->cfg;

	for (unsigned int i = 0; node && i < cfg->nr_devices; i++) {
		if (cfg->devices[i].devid == dev->devid)
			return yaml_error(&r->in, node, "addr: that of %s", cfg->devices[i].name);
	}
	return 0;
}

static int read_bar(struct scn_read *r, const yaml_node_t *node, struct cbit_sim_device *dev)
{
	const struct cbit_sim_config *cfg = &r->scn->cfg;
	char name[CBIT_SIM_NAME + 4];
	int ret = yaml_number(&r->in, node, "bar", 1 << 30, &dev->bar);

	if (ret || !node)
		return ret;
	if (dev->bar < CBIT_PAGE_SIZE || dev->bar & (dev->bar - 1))
		return yaml_error(&r->in, node, "bar: a power of two from 4K to 1G");
	snprintf(name, sizeof(name), "%s.bar", dev->name);
	for (unsigned int i = 0; i < cfg->nr_regions; i++) {
		if (!strcmp(cfg->regions[i].name, name))
			return yaml_error(&r->in, node, "bar: '%s' is a region of memory", name);
	}
	return 0;
}

/* "48" bits, or a mask. */
static int read_mask(struct scn_read *r, const yaml_node_t *node, uint64_t *out)
{
	uint64_t bits = 64;
	int ret = yaml_number(&r->in, node, "mask", 64, &bits);

	if (!ret && node && bits < 12)
		return yaml_error(&r->in, node, "mask: from 12 to 64 bits");
	if (node)
		*out = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
	return ret;
}

static int read_device(struct scn_read *r, const yaml_node_t *name, const yaml_node_t *node)
{
	static const char *const keys[] = { "bar",           "addr",     "mask",
					    "coherent-mask", "direct",   "untrusted",
					    "owner",         "emulated", "tdisp" };
	static const char *const owners[] = { "host", "guest" };
	static const char *const states[] = { "unlocked", "run" };
	struct cbit_sim_config *cfg = &r->scn->cfg;
	struct cbit_sim_device *dev = &cfg->devices[cfg->nr_devices];
	unsigned int owner = 0, state = 0;
	int ret;

	if (cfg->nr_devices == CBIT_SIM_DEVICES)
		return yaml_error(&r->in, name, "devices: more than %d", CBIT_SIM_DEVICES);
	*dev = (struct cbit_sim_device){ 0 };
	ret = scn_name(r, name, "a device", dev->name);
	/* "nic:" alone is a device without anything. */
	if (!ret && node->type == YAML_SCALAR_NODE && !node->data.scalar.length) {
		cfg->nr_devices++;
		return 0;
	}
	if (!ret)
		ret = yaml_check_keys(&r->in, node, "a device", keys, COUNT(keys));
	if (!ret)
		ret = read_bar(r, yaml_get(&r->in, node, "bar"), dev);
	if (!ret)
		ret = read_devid(r, yaml_get(&r->in, node, "addr"), &dev->devid);
	if (!ret)
		ret = check_devid(r, yaml_get(&r->in, node, "addr"), dev);
	if (!ret)
		ret = read_mask(r, yaml_get(&r->in, node, "mask"), &dev->mask);
	if (!ret)
		ret = read_mask(r, yaml_get(&r->in, node, "coherent-mask"), &dev->coherent_mask);
	if (!ret)
		ret = yaml_bool(&r->in, yaml_get(&r->in, node, "direct"), "direct", &dev->direct);
	if (!ret)
		ret = yaml_bool(&r->in, yaml_get(&r->in, node, "untrusted"), "untrusted",
				&dev->untrusted);
	if (!ret)
		ret = yaml_bool(&r->in, yaml_get(&r->in, node, "emulated"), "emulated",
				&dev->emulated);
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "owner"), "an owner", owners,
				COUNT(owners), &owner);
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "tdisp"), "a TDISP state", states,
				COUNT(states), &state);
	dev->guest = owner;
	dev->tdisp = state;
	if (!ret && dev->guest && !cfg->guest.present)
		ret = yaml_error(&r->in, yaml_get(&r->in, node, "owner"),
				 "owner: there is no guest in this scenario");
	if (!ret && (dev->emulated || dev->tdisp) && !dev->guest)
		ret = yaml_error(&r->in, node, "emulated, tdisp: only for a device of the guest");
	cfg->nr_devices++;
	return ret;
}

/* What the guest's kernel does behind its IOMMU, instead of what the policy says. */
static int read_viommu(struct scn_read *r, const yaml_node_t *node)
{
	static const char *const keys[] = { "tables", "shared-entries", "mmio-entries" };
	static const char *const tables[] = { "private", "shared" };
	static const char *const entries[] = { "set", "clear" };
	struct cbit_sim_guest *g = &r->scn->cfg.guest;
	unsigned int w[3] = { 1, 1, 1 };
	int ret;

	if (!node)
		return 0;
	if (!yaml_is_map(node))
		return yaml_bool(&r->in, node, "viommu", &g->viommu);
	ret = yaml_check_keys(&r->in, node, "viommu", keys, COUNT(keys));
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "tables"), "where tables lie",
				tables, 2, &w[0]);
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "shared-entries"),
				"a state of the C-bit", entries, 2, &w[1]);
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "mmio-entries"),
				"a state of the C-bit", entries, 2, &w[2]);
	g->viommu = g->derived = true;
	g->switches = (struct cbit_policy_switches){ w[0] != 0, w[1] != 0, w[2] != 0 };
	return ret;
}

static int read_cpus(struct scn_read *r, const yaml_node_t *node)
{
	const yaml_node_t *list = yaml_get(&r->in, node, "apic-ids");
	struct cbit_sim_guest *g = &r->scn->cfg.guest;
	yaml_node_t *item;
	uint64_t n = 0;
	int ret;

	ret = yaml_number(&r->in, yaml_get(&r->in, node, "vcpus"), "vcpus", 4096, &n);
	g->cpus = (unsigned int)n;
	if (!ret && list && !yaml_is_list(list))
		ret = yaml_error(&r->in, list, "apic-ids: a list such as [255, 32767]");
	for (unsigned int i = 0; !ret && list && (item = yaml_item(&r->in, list, i)); i++) {
		if (i == COUNT(g->ids))
			return yaml_error(&r->in, item, "apic-ids: more than %zu", COUNT(g->ids));
		ret = yaml_number(&r->in, item, "an APIC id", UINT32_MAX - 1, &n);
		if (!ret && n < g->cpus)
			ret = yaml_error(&r->in, item,
					 "an APIC id: %" PRIu64
					 " is one of those of vcpus, 0 to %u",
					 n, g->cpus - 1);
		for (unsigned int j = 0; !ret && j < g->nr_ids; j++) {
			if (g->ids[j] == n)
				ret = yaml_error(&r->in, item,
						 "an APIC id: %" PRIu64 " is there twice", n);
		}
		g->ids[g->nr_ids++] = (uint32_t)n;
	}
	if (!ret)
		ret = yaml_bool(&r->in, yaml_get(&r->in, node, "ext-dest-id"), "ext-dest-id",
				&g->ext_dest_id);
	g->broadcast_quirk = true;
	if (!ret)
		ret = yaml_bool(&r->in, yaml_get(&r->in, node, "broadcast-quirk"),
				"broadcast-quirk", &g->broadcast_quirk);
	g->xt = true;
	return ret ? ret : yaml_bool(&r->in, yaml_get(&r->in, node, "xt"), "xt", &g->xt);
}

/* "memory: { ram: 8M }"; without it the guest has half of each region. */
static int read_slots(struct scn_read *r, const yaml_node_t *node)
{
	struct cbit_sim_config *cfg = &r->scn->cfg;
	const char *names[CBIT_SIM_REGIONS];
	yaml_node_t *key, *value;
	unsigned int index = 0;
	int ret = 0;

	for (unsigned int i = 0; i < cfg->nr_regions; i++) {
		names[i] = cfg->regions[i].name;
		if (!node)
			cfg->regions[i].guest = cfg->regions[i].size / 2 & CBIT_PAGE_MASK;
	}
	if (!node)
		return 0;
	ret = yaml_check_keys(&r->in, node, "the guest's memory", names, cfg->nr_regions);
	for (unsigned int i = 0; !ret && yaml_pair(&r->in, node, i, &key, &value); i++) {
		ret = yaml_word(&r->in, key, "a region", names, cfg->nr_regions, &index);
		if (!ret)
			ret = yaml_number(&r->in, value, "the guest's part",
					  cfg->regions[index].size, &cfg->regions[index].guest);
	}
	return ret;
}

static int read_guest(struct scn_read *r, const yaml_node_t *node)
{
	static const char *const keys[] = { "kind",           "npt",    "asid",
					    "memory",         "viommu", "vcpus",
					    "apic-ids",       "xt",     "ext-dest-id",
					    "broadcast-quirk" };
	static const char *const npts[] = { "plain", "encrypted" };
	struct cbit_sim_guest *g = &r->scn->cfg.guest;
	const char *kinds[CBIT_GUEST_SNP + 1];
	unsigned int kind = 0, npt = 1;
	uint64_t asid = 1;
	int ret;

	if (!node)
		return 0;
	for (unsigned int i = 0; i < COUNT(kinds); i++)
		kinds[i] = cbit_guest_kind_name((enum cbit_guest_kind)i);
	g->present = true;
	ret = yaml_check_keys(&r->in, node, "guest", keys, COUNT(keys));
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "kind"), "a kind of guest", kinds,
				COUNT(kinds), &kind);
	if (!ret)
		ret = yaml_word(&r->in, yaml_get(&r->in, node, "npt"),
				"a state of the NPT's leaves", npts, COUNT(npts), &npt);
	if (!ret)
		ret = yaml_number(&r->in, yaml_get(&r->in, node, "asid"), "asid", 15, &asid);
	if (!ret && !asid)
		ret = yaml_error(&r->in, yaml_get(&r->in, node, "asid"), "asid: from 1 to 15");
	g->kind = (enum cbit_guest_kind)kind;
	g->npt_c = npt;
	g->asid = (uint32_t)asid;
	if (!ret)
		ret = read_slots(r, yaml_get(&r->in, node, "memory"));
	if (!ret)
		ret = read_viommu(r, yaml_get(&r->in, node, "viommu"));
	return ret ? ret : read_cpus(r, node);
}

int scn_read_machine(struct scn_read *r, const yaml_node_t *root)
{
	const yaml_node_t *devices = yaml_get(&r->in, root, "devices");
	yaml_node_t *key, *value;
	int ret;

	ret = read_platform(r, yaml_get(&r->in, root, "platform"));
	if (!ret)
		ret = read_memory(r, yaml_get(&r->in, root, "memory"));
	if (!ret)
		ret = yaml_number(&r->in, yaml_get(&r->in, root, "swiotlb"), "swiotlb", 1 << 30,
				  &r->scn->cfg.swiotlb);
	if (!ret)
		ret = read_guest(r, yaml_get(&r->in, root, "guest"));
	if (ret || !devices)
		return ret;
	if (!yaml_is_map(devices))
		return yaml_error(&r->in, devices, "devices: 'NAME: { ... }' is needed");
	for (unsigned int i = 0; !ret && yaml_pair(&r->in, devices, i, &key, &value); i++) {
		ret = read_device(r, key, value);
		if (!ret)
			ret = check_twice(r, devices, i, key, r->scn->cfg.devices[i].name);
	}
	return ret;
}
