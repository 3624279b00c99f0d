/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrix: one machine for each platform and policy, and every case of it carried out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/matrix.h>

#include "scenario_internal.h"

/* Devices of the machine: two of each sort, and the one whose BAR is the window. */
enum { DEV_IOMMU, DEV_DIRECT = 2, DEV_NARROW = 4, DEV_WINDOW = 6, NR_DEVS };
enum { BUF, MAP_DEVICE = 0, MAP_PEER };

#define LEN   64u
#define C_BIT 51u /* of the platforms here */

struct matrix {
	const struct setup *setup;
	const char *policy;
	struct cbit_sim *sim;
	struct cbit_error *err;
	bool vendor; /* one of the case's operations was undefined */
	int (*cell)(void *opaque, const struct cbit_matrix_cell *cell);
	void *opaque;
	const struct cbit_matrix_cell *only; /* the one case to carry out, or NULL for all */
	FILE *story;
	unsigned int told;
};

/*
 * @host:  platform of the host.
 * @guest: there is one, and the memory is its.
 */
static const struct setup {
	const char *name;
	const char *host;
	bool guest;
	enum cbit_guest_kind kind;
	bool npt_c;
} setups[] = {
	{ "bare", "bare" },
	{ "sme", "sme" },
	{ "tsme", "tsme" },
	{ "plain-guest", "sme", true, CBIT_GUEST_PLAIN, true },
	{ "sev-guest", "sme", true, CBIT_GUEST_SEV, true },
	{ "sev-guest-npt-plain", "sme", true, CBIT_GUEST_SEV, false },
	{ "snp-guest", "sme", true, CBIT_GUEST_SNP, true },
};

static const char *const mapper_names[CBIT_MATRIX_NR_MAPPERS] = {
	[CBIT_MATRIX_TYPE1] = "type1",           [CBIT_MATRIX_IOMMUFD] = "iommufd",
	[CBIT_MATRIX_DMA_DIRECT] = "dma-direct", [CBIT_MATRIX_DMA_SWIOTLB] = "dma-swiotlb",
	[CBIT_MATRIX_DMA_IOMMU] = "dma-iommu",
};

static const char *const accessor_names[CBIT_MATRIX_NR_ACCESSORS] = {
	[CBIT_MATRIX_DEVICE] = "device",         [CBIT_MATRIX_PEER] = "peer",
	[CBIT_MATRIX_HOST_CPU] = "host-cpu",     [CBIT_MATRIX_GUEST_CPU] = "guest-cpu",
	[CBIT_MATRIX_HYPERVISOR] = "hypervisor",
};

static const char *const memory_names[CBIT_MATRIX_NR_MEMORIES] = {
	[CBIT_MATRIX_DRAM] = "dram",         [CBIT_MATRIX_CXL_RAM] = "cxl-ram",
	[CBIT_MATRIX_COHERENT] = "coherent", [CBIT_MATRIX_COHERENT_PLAIN] = "coherent-plain",
	[CBIT_MATRIX_MMIO] = "mmio",
};

const char *cbit_matrix_mapper_name(enum cbit_matrix_mapper mapper)
{
	return mapper_names[mapper];
}

const char *cbit_matrix_accessor_name(enum cbit_matrix_accessor accessor)
{
	return accessor_names[accessor];
}

const char *cbit_matrix_memory_name(enum cbit_matrix_memory memory)
{
	return memory_names[memory];
}

const char *cbit_matrix_key_name(const struct cbit_matrix_access *access)
{
	static const char *const names[] = { "none", "host", "guest" };

	return access->accessed ? names[access->key < 2 ? access->key : 2] : "-";
}

const char *cbit_matrix_platform_at(unsigned int index)
{
	return index < sizeof(setups) / sizeof(setups[0]) ? setups[index].name : NULL;
}

/*
 * A guest's devices: real ones, for which the VMM has mapped the guest; real ones with a narrow
 * mask; and such as the hypervisor emulates, behind its IOMMU.
 */
static void give_to_guest(struct cbit_sim_config *cfg, const struct setup *setup)
{
	cfg->guest = (struct cbit_sim_guest){
		.present = true, .kind = setup->kind, .npt_c = setup->npt_c, .viommu = true
	};
	for (unsigned int i = 0; i < cfg->nr_regions; i++)
		cfg->regions[i].guest = cfg->regions[i].size;
	for (unsigned int i = 0; i < NR_DEVS; i++) {
		cfg->devices[i].guest = true;
		cfg->devices[i].emulated = i < DEV_DIRECT;
		cfg->devices[i].direct = i >= DEV_DIRECT;
	}
}

static int power_on(struct matrix *m, const struct cbit_policy *policy)
{
	struct cbit_sim_config *cfg = calloc(1, sizeof(*cfg));
	int ret;

	if (!cfg)
		return -ENOMEM;
	*cfg = (struct cbit_sim_config){
		.policy = policy,
		.regions = { { "ram", CBIT_MEM_DRAM, .size = 4 << 20 },
			     { "cxl", CBIT_MEM_CXL_RAM, .size = 1 << 20 },
			     { "gpu", CBIT_MEM_COHERENT, true, .size = 1 << 20 },
			     { "card", CBIT_MEM_COHERENT, false, .size = 1 << 20 } },
		.nr_regions = 4,
		.devices = { { "iommu-a" },
			     { "iommu-b" },
			     { "direct-a", .direct = true },
			     { "direct-b", .direct = true },
			     { "narrow-a", .direct = true, .mask = UINT32_MAX },
			     { "narrow-b", .direct = true, .mask = UINT32_MAX },
			     { "window", .bar = 1 << 16 } },
		.nr_devices = NR_DEVS,
		.swiotlb = 1 << 20,
	};
	if (m->setup->guest)
		give_to_guest(cfg, m->setup);
	ret = cbit_platform_preset(m->setup->host, &cfg->platform);
	if (!ret)
		ret = cbit_sim_create(cfg, &m->sim, m->err);
	free(cfg);
	return ret;
}

static void tell(struct matrix *m, const struct cbit_sim_op *op, const struct cbit_sim_result *res)
{
	const struct cbit_sim_config *cfg = cbit_sim_config(m->sim);
	struct scn_step step = { .number = ++m->told, .op = *op };
	char text[160];

	switch (op->kind) {
	case CBIT_SIM_ALLOC:
		snprintf(text, sizeof(text), "the %s allocates a page of %s",
			 op->guest ? "guest" : "host", cbit_sim_region(m->sim, op->region)->name);
		break;
	case CBIT_SIM_MAP:
		snprintf(text, sizeof(text), "the page is mapped for device %s by %s",
			 cfg->devices[op->dev].name, cbit_sim_mapper_name(op->mapper));
		break;
	case CBIT_SIM_READ:
	case CBIT_SIM_WRITE:
		snprintf(text, sizeof(text), "%s of the page by %s", cbit_sim_op_name(op->kind),
			 cbit_sim_who_name(op->who));
		break;
	case CBIT_SIM_DMA_READ:
	case CBIT_SIM_DMA_WRITE:
		snprintf(text, sizeof(text), "%s by device %s", cbit_sim_op_name(op->kind),
			 cfg->devices[op->dev].name);
		break;
	default:
		snprintf(text, sizeof(text), "%s", cbit_sim_op_name(op->kind));
	}
	step.text = text;
	scn_story_step(m->story, m->sim, &step, res, NULL);
}

static int run_op(struct matrix *m, const struct cbit_sim_op *op, struct cbit_sim_result *res)
{
	int ret = cbit_sim_do(m->sim, op, res);

	m->vendor |= res->vendor;
	if (m->story && !ret)
		tell(m, op, res);
	return ret ? cbit_error_set(m->err, ret, "matrix: %s: %s", cbit_sim_op_name(op->kind),
				    res->err.text)
		   : 0;
}

static void note(struct cbit_matrix_access *access, const struct cbit_sim_result *res)
{
	access->outcome = res->outcome;
	access->accessed = res->accessed;
	/* where nobody answered there was no key either */
	switch (res->outcome) {
	case CBIT_SIM_ABORT:
	case CBIT_SIM_LOST:
	case CBIT_SIM_FAULT:
	case CBIT_SIM_REFUSED:
		access->accessed = false;
		break;
	default:
		access->key = res->key;
	}
}

/* A guest has no host IOMMU to map in: the VMM maps the page for a real device of it. */
static unsigned int first_device(const struct matrix *m, enum cbit_matrix_mapper mapper)
{
	switch (mapper) {
	case CBIT_MATRIX_TYPE1:
	case CBIT_MATRIX_IOMMUFD:
		return m->setup->guest ? DEV_DIRECT : DEV_IOMMU;
	case CBIT_MATRIX_DMA_DIRECT:
		return DEV_DIRECT;
	case CBIT_MATRIX_DMA_SWIOTLB:
		return DEV_NARROW;
	default:
		return DEV_IOMMU;
	}
}

/* Map the page for the device, or its peer. */
static int map(struct matrix *m, struct cbit_matrix_cell *cell, bool peer, bool *mapped,
	       struct cbit_sim_result *res)
{
	struct cbit_sim_op op = {
		.kind = CBIT_SIM_MAP,
		.buf = BUF,
		.map = peer ? MAP_PEER : MAP_DEVICE,
		.dev = first_device(m, cell->mapper) + peer,
		.mapper = cell->mapper == CBIT_MATRIX_TYPE1     ? CBIT_SIM_TYPE1
			  : cell->mapper == CBIT_MATRIX_IOMMUFD ? CBIT_SIM_IOMMUFD
								: CBIT_SIM_DMA,
		.rights = CBIT_ATTR_RW,
		/* beyond the guest's GPAs */
		.iova = CBIT_IOVA(m->setup->guest ? UINT64_C(0x4000000000) : 0),
		.attrs = cell->memory == CBIT_MATRIX_MMIO ? CBIT_DMA_ATTR_MMIO : 0,
	};
	int ret = run_op(m, &op, res);

	*mapped = !ret && res->outcome != CBIT_SIM_REFUSED;
	if (ret)
		return ret;
	if (!*mapped)
		note(&cell->read, res);
	cell->write = cell->read;
	cell->iopte_valid = res->iopte_valid;
	cell->iopte = res->iopte;
	cell->c =
		res->iopte >> C_BIT & 1 && m->setup->guest + cbit_sim_config(m->sim)->platform.sme;
	return 0;
}

/* The device reads what the owner wrote, then writes what the owner reads. */
static int by_device(struct matrix *m, struct cbit_matrix_cell *cell, bool peer,
		     struct cbit_sim_result *res)
{
	struct cbit_sim_op op = {
		.kind = CBIT_SIM_DMA_READ,
		.map = peer ? MAP_PEER : MAP_DEVICE,
		.dev = first_device(m, cell->mapper) + peer,
		.len = LEN,
		.seed = 0x60,
	};
	int ret = run_op(m, &op, res);

	if (ret)
		return ret;
	note(&cell->read, res);
	op.kind = CBIT_SIM_DMA_WRITE;
	ret = run_op(m, &op, res);
	if (!ret)
		note(&cell->write, res);
	return ret;
}

/* The device writes, the owner syncs, the CPU reads and writes. */
static int by_cpu(struct matrix *m, struct cbit_matrix_cell *cell, enum cbit_sim_who who,
		  bool mapped, struct cbit_sim_result *res)
{
	struct cbit_sim_op op = {
		.kind = CBIT_SIM_DMA_WRITE,
		.buf = BUF,
		.map = MAP_DEVICE,
		.dev = first_device(m, cell->mapper),
		.len = LEN,
		.seed = 0x90,
		.who = who,
	};
	int ret = 0;

	if (mapped)
		ret = run_op(m, &op, res);
	op.kind = CBIT_SIM_SYNC_CPU;
	if (!ret && mapped && cell->mapper >= CBIT_MATRIX_DMA_DIRECT)
		ret = run_op(m, &op, res);
	op.kind = CBIT_SIM_READ;
	if (!ret)
		ret = run_op(m, &op, res);
	if (ret)
		return ret;
	note(&cell->read, res);
	op.kind = CBIT_SIM_WRITE;
	op.seed = 0xc0;
	ret = run_op(m, &op, res);
	if (!ret)
		note(&cell->write, res);
	return ret;
}

static const enum cbit_sim_who who_of[CBIT_MATRIX_NR_ACCESSORS] = {
	[CBIT_MATRIX_HOST_CPU] = CBIT_SIM_HOST_CPU,
	[CBIT_MATRIX_GUEST_CPU] = CBIT_SIM_GUEST_CPU,
	[CBIT_MATRIX_HYPERVISOR] = CBIT_SIM_HYPERVISOR,
};

static int access_page(struct matrix *m, struct cbit_matrix_cell *cell, struct cbit_sim_result *res)
{
	bool peer = cell->accessor == CBIT_MATRIX_PEER, mapped = false;
	struct cbit_sim_op op = { .kind = CBIT_SIM_UNMAP,
				  .map = peer ? MAP_PEER : MAP_DEVICE,
				  .buf = BUF };
	int ret;

	ret = map(m, cell, peer, &mapped, res);
	if (ret)
		return ret;
	switch (cell->accessor) {
	case CBIT_MATRIX_DEVICE:
	case CBIT_MATRIX_PEER:
		ret = mapped ? by_device(m, cell, peer, res) : 0;
		break;
	default:
		ret = by_cpu(m, cell, who_of[cell->accessor], mapped, res);
		break;
	}
	return ret || !mapped ? ret : run_op(m, &op, res);
}

static int one_cell(struct matrix *m, struct cbit_matrix_cell *cell, struct cbit_sim_result *res)
{
	struct cbit_sim_op op = { .kind = CBIT_SIM_ALLOC,
				  .buf = BUF,
				  .region = (unsigned int)cell->memory,
				  .pages = 1,
				  .guest = m->setup->guest,
				  .who = m->setup->guest ? CBIT_SIM_GUEST_CPU : CBIT_SIM_HOST_CPU,
				  .len = LEN,
				  .seed = 0x30 };
	int ret;

	m->vendor = false;
	ret = run_op(m, &op, res);
	op.kind = CBIT_SIM_WRITE;
	if (!ret)
		ret = run_op(m, &op, res);
	if (!ret)
		ret = access_page(m, cell, res);
	op.kind = CBIT_SIM_FREE;
	if (!ret)
		ret = run_op(m, &op, res);
	cell->vendor = m->vendor;
	return ret ? ret : m->cell(m->opaque, cell);
}

static int run_machine(struct matrix *m)
{
	struct cbit_sim_result *res = malloc(sizeof(*res));
	unsigned int last = m->setup->guest ? CBIT_MATRIX_HYPERVISOR : CBIT_MATRIX_HOST_CPU;
	int ret = res ? 0 : -ENOMEM;

	for (unsigned int i = 0; i < CBIT_MATRIX_NR_MEMORIES * CBIT_MATRIX_NR_MAPPERS; i++) {
		for (unsigned int a = 0; !ret && a <= last; a++) {
			struct cbit_matrix_cell cell = {
				.platform = m->setup->name,
				.policy = m->policy,
				.memory = (enum cbit_matrix_memory)(i / CBIT_MATRIX_NR_MAPPERS),
				.mapper = (enum cbit_matrix_mapper)(i % CBIT_MATRIX_NR_MAPPERS),
				.accessor = (enum cbit_matrix_accessor)a,
			};

			if (!m->only ||
			    (m->only->memory == cell.memory && m->only->mapper == cell.mapper &&
			     m->only->accessor == cell.accessor))
				ret = one_cell(m, &cell, res);
		}
	}
	free(res);
	return ret;
}

static int run_all(struct matrix *m, const char *platform, const struct cbit_policy *policy)
{
	const struct cbit_policy *p;
	bool found = false;
	int ret = 0;

	for (unsigned int i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
		m->setup = &setups[i];
		if (platform && strcmp(platform, m->setup->name) != 0)
			continue;
		found = true;
		for (unsigned int j = 0; !ret && (p = cbit_policy_at(j)); j++) {
			if (policy && policy != p)
				continue;
			m->policy = cbit_policy_name(p);
			ret = power_on(m, p);
			if (!ret)
				ret = run_machine(m);
			cbit_sim_destroy(m->sim);
			m->sim = NULL;
		}
	}
	return found ? ret : cbit_error_set(m->err, -ENOENT, "'%s' is not a platform", platform);
}

int cbit_matrix_run(const char *platform, const struct cbit_policy *policy,
		    int (*cell)(void *opaque, const struct cbit_matrix_cell *cell), void *opaque,
		    struct cbit_error *err)
{
	struct matrix m = { .err = err, .cell = cell, .opaque = opaque };

	return run_all(&m, platform, policy);
}

static int on_cell(void *opaque, const struct cbit_matrix_cell *c)
{
	struct matrix *m = opaque;

	fprintf(m->story, "  %s, %s: %s by %s, accessed by %s: read %s, write %s%s\n", c->platform,
		c->policy, memory_names[c->memory], mapper_names[c->mapper],
		accessor_names[c->accessor], cbit_sim_outcome_name(c->read.outcome),
		cbit_sim_outcome_name(c->write.outcome), c->vendor ? " (undefined by vendor)" : "");
	return 0;
}

int cbit_matrix_explain(const struct cbit_matrix_cell *which, char **out, struct cbit_error *err)
{
	struct matrix m = { .err = err, .cell = on_cell, .only = which };
	const struct cbit_policy *policy = cbit_policy_preset(which->policy);
	size_t size;
	int ret;

	*out = NULL;
	if (!policy)
		return cbit_error_set(err, -ENOENT, "'%s' is not a policy", which->policy);
	m.opaque = &m;
	m.story = open_memstream(out, &size);
	if (!m.story)
		return -ENOMEM;
	ret = run_all(&m, which->platform, policy);
	if (!ret && !m.told)
		ret = cbit_error_set(err, -ENOENT, "%s has no accessor %s", which->platform,
				     accessor_names[which->accessor]);
	if (fclose(m.story) && !ret)
		ret = -ENOMEM;
	if (ret) {
		free(*out);
		*out = NULL;
	}
	return ret;
}
