/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A run told to people: what each step came to, and for a story also how.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "scenario_internal.h"

#define SHOWN 16u /* bytes of what was seen */

static void bytes(FILE *out, const char *what, const uint8_t *data, size_t len)
{
	size_t n = len < SHOWN ? len : SHOWN;

	fprintf(out, "        %-14s", what);
	for (size_t i = 0; i < n; i++)
		fprintf(out, " %02x", data[i]);
	fprintf(out, "%s\n", n < len ? " ..." : "");
}

static const char *address_of(enum cbit_sim_table table)
{
	switch (table) {
	case CBIT_SIM_DEVTAB:
	case CBIT_SIM_VDEVTAB:
		return "device";
	case CBIT_SIM_IOPT:
	case CBIT_SIM_VIOPT:
		return "IOVA";
	case CBIT_SIM_NPT:
		return "GPA";
	default:
		return "address";
	}
}

static void begin(void *opaque, const struct cbit_scenario *scn)
{
	FILE *out = opaque;

	fprintf(out, "scenario %s\n", scn->name[0] ? scn->name : scn->file);
}

static void policy_text(void *opaque, const struct cbit_scenario *scn,
			const struct cbit_policy *policy)
{
	const struct cbit_platform *p = &scn->cfg.platform;
	FILE *out = opaque;

	fprintf(out, "  platform %s", p->name);
	if (p->sme)
		fprintf(out, " (C-bit %u)", p->c_bit);
	if (scn->cfg.guest.present)
		fprintf(out, ", %s guest over %s NPT%s", cbit_guest_kind_name(scn->cfg.guest.kind),
			scn->cfg.guest.npt_c && p->sme ? "encrypted" : "plain",
			scn->cfg.guest.viommu ? " with a vIOMMU" : "");
	fprintf(out, ", policy %s\n", cbit_policy_name(policy));
}

static const char *who_accessed(const struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	switch (op->kind) {
	case CBIT_SIM_WRITE:
	case CBIT_SIM_READ:
		return cbit_sim_who_name(op->who);
	case CBIT_SIM_RAW:
		return "dram chip";
	case CBIT_SIM_CHECK:
	/* given back to the CPU, which looks at it */
	case CBIT_SIM_UNMAP:
	case CBIT_SIM_SYNC_CPU:
	case CBIT_SIM_COHERENT:
		return "owner";
	default:
		return op->dev < CBIT_SIM_DEVICES ? cbit_sim_config(sim)->devices[op->dev].name
						  : "device";
	}
}

static bool is_write(enum cbit_sim_op_kind kind)
{
	return kind == CBIT_SIM_WRITE || kind == CBIT_SIM_DMA_WRITE || kind == CBIT_SIM_DMA_COPY;
}

/* What was seen, what was to be seen, what DRAM holds. */
static void seen(FILE *out, const struct cbit_sim *sim, const struct cbit_sim_op *op,
		 const struct cbit_sim_result *res)
{
	char what[CBIT_SIM_NAME + 16];

	if (!res->len)
		return;
	if (is_write(op->kind)) {
		snprintf(what, sizeof(what), "%s wrote", who_accessed(sim, op));
		bytes(out, what, res->wanted, res->len);
		if (res->outcome != CBIT_SIM_FAULT && res->outcome != CBIT_SIM_LOST)
			bytes(out, "owner reads", res->seen, res->len);
	} else {
		if (op->kind == CBIT_SIM_RAW)
			snprintf(what, sizeof(what), "DRAM holds");
		else
			snprintf(what, sizeof(what), "%s reads", who_accessed(sim, op));
		bytes(out, what, res->seen, res->len);
		if (memcmp(res->seen, res->wanted, res->len) != 0)
			bytes(out, "owner wrote", res->wanted, res->len);
	}
	if (res->dram_valid && op->kind != CBIT_SIM_RAW)
		bytes(out, "DRAM holds", res->dram, res->len);
}

/* Where a C-bit is, the host's or the guest's; 0 where nobody has one. */
static uint64_t c_mask_of(const struct cbit_sim *sim)
{
	const struct cbit_platform *p = &cbit_sim_config(sim)->platform;

	return p->sme || p->sev ? UINT64_C(1) << p->c_bit : 0;
}

static void outcome(FILE *out, const struct cbit_sim *sim, const struct cbit_sim_op *op,
		    const struct cbit_sim_result *res)
{
	uint64_t c_mask = c_mask_of(sim);

	fprintf(out, "      %s%s", cbit_sim_outcome_name(res->outcome),
		res->vendor ? " (undefined by vendor)" : "");
	if (res->outcome == CBIT_SIM_FAULT)
		fprintf(out, " (%s)", cbit_sim_fault_name(res->fault));
	if (op->kind == CBIT_SIM_MSI && res->address)
		fprintf(out, ": address 0x%" PRIx64 " data 0x%x reached %u CPU%s", res->address,
			res->data, res->cpus, res->cpus == 1 ? "" : "s");
	if (res->outcome == CBIT_SIM_REFUSED)
		fprintf(out, ": %s (%s)", strerror(-res->error), res->err.text);
	else if (op->kind == CBIT_SIM_MAP)
		fprintf(out, ": device address 0x%" PRIx64, res->iova.v);
	else if (op->kind == CBIT_SIM_ALLOC)
		fprintf(out, ": SPA 0x%" PRIx64, res->spa.v);
	if (res->iopte_valid)
		fprintf(out, ", IOPTE 0x%016" PRIx64 "%s", res->iopte,
			!c_mask               ? ""
			: res->iopte & c_mask ? ", C-bit set"
					      : ", C-bit clear");
	if (res->accessed && op->kind == CBIT_SIM_RAW)
		fprintf(out, ": SPA 0x%" PRIx64 " (%s) in DRAM", res->spa.v, res->region);
	else if (res->accessed)
		fprintf(out, ": SPA 0x%" PRIx64 " (%s), %s%s", res->spa.v,
			res->region ? res->region : "nothing", cbit_mem_key_name(res->key),
			!c_mask  ? ""
			: res->c ? ", C-bit set"
				 : ", C-bit clear");
	fputc('\n', out);
}

static void events(FILE *out, const struct cbit_sim_result *res)
{
	for (unsigned int i = 0; i < res->nr_events; i++)
		fprintf(out, "      event log: %08x %08x %08x %08x\n", res->events[i].dw[0],
			res->events[i].dw[1], res->events[i].dw[2], res->events[i].dw[3]);
	for (unsigned int i = 0; i < res->nr_findings; i++)
		fprintf(out, "      finding %s\n", res->findings[i]);
}

static void wrong(FILE *out, const char *diff)
{
	while (diff && *diff) {
		size_t n = strcspn(diff, "\n");

		fprintf(out, "      NOT AS EXPECTED: %.*s\n", (int)n, diff);
		diff += n + (diff[n] == '\n');
	}
}

static void step_text(void *opaque, const struct cbit_sim *sim, const struct scn_step *step,
		      const struct cbit_sim_result *res, const char *diff)
{
	FILE *out = opaque;

	fprintf(out, "    line %u: %s\n", step->line, step->text);
	outcome(out, sim, &step->op, res);
	seen(out, sim, &step->op, res);
	events(out, res);
	wrong(out, diff);
}

static void stage(FILE *out, const struct cbit_sim_stage *s, uint64_t c_mask)
{
	fprintf(out, "      %s", cbit_sim_table_name(s->table));
	if (s->level)
		fprintf(out, " level %u", s->level);
	fprintf(out, ", %s 0x%" PRIx64 ": entry at %s 0x%" PRIx64 " (%s) is 0x%016" PRIx64,
		address_of(s->table), s->in, s->in_guest ? "GPA" : "SPA", s->at,
		cbit_mem_key_name(s->at_key), s->entry);
	if (c_mask)
		fprintf(out, ", C-bit %s", s->c ? "set" : "clear");
	fputs(s->leaf ? ", a leaf\n" : "\n", out);
}

void scn_story_step(FILE *out, const struct cbit_sim *sim, const struct scn_step *step,
		    const struct cbit_sim_result *res, const char *diff)
{
	uint64_t c_mask = c_mask_of(sim);

	fprintf(out, "    %u. %s", step->number, step->text);
	if (step->line)
		fprintf(out, " (line %u)", step->line);
	fputc('\n', out);
	for (unsigned int i = 0; i < res->nr_decisions; i++)
		fprintf(out, "      %s: %s\n", res->decisions[i].function, res->decisions[i].text);
	for (unsigned int i = 0; i < res->nr_stages; i++)
		stage(out, &res->stages[i], c_mask);
	outcome(out, sim, &step->op, res);
	if (res->before_valid)
		bytes(out, "DRAM held", res->before, res->len);
	seen(out, sim, &step->op, res);
	events(out, res);
	wrong(out, diff);
}

static void step_story(void *opaque, const struct cbit_sim *sim, const struct scn_step *step,
		       const struct cbit_sim_result *res, const char *diff)
{
	scn_story_step(opaque, sim, step, res, diff);
}

static void end(void *opaque, unsigned int checked, unsigned int failed)
{
	FILE *out = opaque;

	if (failed)
		fprintf(out, "  %u of %u steps NOT as expected\n", failed, checked);
	else
		fprintf(out, "  %u steps, all as expected\n", checked);
}

const struct scn_tell scn_tell_text = { begin, policy_text, step_text, end };
const struct scn_tell scn_tell_story = { begin, policy_text, step_story, end };
