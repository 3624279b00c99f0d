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

int sim_op_msi(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct cbit_iommu *iommu = sim->viommu ? cbit_viommu_hardware(sim->viommu) : NULL;
	struct cbit_sim_result *res = sim->res;
	bool remapped = op->format == CBIT_MSI_FORMAT_REMAPPED;
	uint16_t devid;
	int ret;

	if (!sim->apics)
		return sim_bad(sim, "msi: this machine's guest has no CPUs to interrupt");
	if (op->dev >= sim->cfg.nr_devices || op->vector < 16)
		return sim_bad(sim, "msi: a device, and a vector from 16 to 255");
	devid = sim->devices[op->dev].cfg.devid;
	if (remapped && !sim->viommu)
		return sim_refused(sim, -ENODEV, "interrupt remapping needs an IOMMU");
	if (remapped) {
		ret = cbit_viommu_msi_setup(sim->viommu, devid, op->index, op->dest, op->vector);
		/* A dead IOMMU does not answer; the kernel goes on. */
		if (ret && ret != -ETIMEDOUT)
			return sim_refused(sim, ret, "entry %u for APIC id %u", op->index,
					   op->dest);
	}
	cbit_msi_compose(op->format, remapped ? op->index : op->dest, op->vector, &res->address,
			 &res->data);
	res->cpus = cbit_apics_send(sim->apics, iommu, devid, res->address, res->data);
	if (cbit_apics_take(sim->apics, op->dest, op->vector))
		res->outcome = res->cpus == 1 ? CBIT_SIM_OK : CBIT_SIM_MISDIRECTED;
	else
		res->outcome = res->cpus ? CBIT_SIM_MISDIRECTED : CBIT_SIM_LOST;
	return 0;
}
