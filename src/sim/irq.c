/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts: messages that devices send, and the CPUs that they reach.
 */
#include <errno.h>
#include <stdlib.h>

#include "sim_internal.h"

int sim_irq_create(struct cbit_sim *sim)
{
	const struct cbit_sim_guest *g = &sim->cfg.guest;
	struct cbit_apics_config cfg = {
		.ext_dest_id = g->ext_dest_id,
		.broadcast_quirk = g->broadcast_quirk,
		.observer = &sim->observer,
	};
	uint32_t *ids;
	int ret;

	if (!g->cpus && !g->nr_ids)
		return 0;
	ids = calloc(g->cpus + g->nr_ids, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (unsigned int i = 0; i < g->cpus; i++)
		ids[cfg.count++] = i;
	for (unsigned int i = 0; i < g->nr_ids; i++)
		ids[cfg.count++] = g->ids[i];
	cfg.ids = ids;
	ret = cbit_apics_create(&cfg, &sim->apics);
	free(ids);
	return ret;
}

/* One message. Worse outcomes replace better ones, CPUs are added up. */
static int send_one(struct cbit_sim *sim, const struct cbit_sim_op *op, uint32_t dest)
{
	struct cbit_iommu *iommu = sim->viommu ? cbit_viommu_hardware(sim->viommu) : NULL;
	uint16_t devid = sim->devices[op->dev].cfg.devid;
	bool remapped = op->format == CBIT_MSI_FORMAT_REMAPPED;
	struct cbit_sim_result *res = sim->res;
	enum cbit_sim_outcome outcome = CBIT_SIM_OK;
	unsigned int cpus;
	int ret;

	if (remapped) {
		ret = cbit_viommu_msi_setup(sim->viommu, devid, op->index, dest, op->vector);
		/* A dead IOMMU does not answer; the kernel goes on. */
		if (ret && ret != -ETIMEDOUT)
			return sim_refused(sim, ret, "entry %u for APIC id %u", op->index, dest);
	}
	cbit_msi_compose(op->format, remapped ? op->index : dest, op->vector, &res->address,
			 &res->data);
	/* what an earlier broadcast left there is not what is asked for now */
	(void)cbit_apics_take(sim->apics, dest, op->vector);
	cpus = cbit_apics_send(sim->apics, iommu, devid, res->address, res->data);
	if (!cpus)
		outcome = CBIT_SIM_LOST;
	else if (!cbit_apics_take(sim->apics, dest, op->vector) || cpus != 1)
		outcome = CBIT_SIM_MISDIRECTED;
	if (outcome > res->outcome)
		res->outcome = outcome;
	res->cpus += cpus;
	return 0;
}

int sim_op_msi(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	int ret = 0;

	if (!sim->apics)
		return sim_bad(sim, "this machine's guest has no CPUs to interrupt");
	if (op->dev >= sim->cfg.nr_devices || op->vector < 16)
		return sim_bad(sim, "a device, and a vector from 16 to 255");
	if (op->through && (op->through < op->dest || op->through - op->dest > 65535))
		return sim_bad(sim, "from %u through %u", op->dest, op->through);
	if (op->format == CBIT_MSI_FORMAT_REMAPPED && !sim->viommu)
		return sim_refused(sim, -ENODEV, "interrupt remapping needs an IOMMU");
	for (uint32_t dest = op->dest; !ret && sim->res->outcome != CBIT_SIM_REFUSED; dest++) {
		ret = send_one(sim, op, dest);
		if (dest >= op->through)
			break;
	}
	return ret;
}
