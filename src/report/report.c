/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collecting findings: events that have one cause become one finding.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report_internal.h"

/* More are counted, not kept: a program in a loop must not fill our memory. */
#define MAX_FINDINGS 10000u

int cbit_report_create(const struct cbit_platform *platform, const char *policy,
		       struct cbit_report **out)
{
	struct cbit_report *report = calloc(1, sizeof(*report));

	if (!report)
		return -ENOMEM;
	report->platform = *platform;
	snprintf(report->policy, sizeof(report->policy), "%s", policy);
	report->last = &report->first;
	report->fault_end = &report->faults;
	pthread_mutex_init(&report->lock, NULL);
	*out = report;
	return 0;
}

void cbit_report_set_traces(struct cbit_report *report, const struct cbit_trace_source *source)
{
	pthread_mutex_lock(&report->lock);
	report->traces = *source;
	pthread_mutex_unlock(&report->lock);
}

void cbit_report_destroy(struct cbit_report *report)
{
	struct finding *f;

	if (!report)
		return;
	while ((f = report->first)) {
		report->first = f->next;
		free(f);
	}
	report_faults_free(report);
	pthread_mutex_destroy(&report->lock);
	free(report);
}

unsigned int cbit_report_count(struct cbit_report *report)
{
	unsigned int n;

	pthread_mutex_lock(&report->lock);
	n = report->count;
	pthread_mutex_unlock(&report->lock);
	return n;
}

static enum finding_id classify(const struct cbit_event *ev)
{
	switch (ev->type) {
	case CBIT_EVENT_MMIO_ENCRYPTED:
		return FINDING_MMIO_ENCRYPTED;
	case CBIT_EVENT_DMA_WRONG_KEY:
		return FINDING_WRONG_KEY;
	case CBIT_EVENT_DMA_NOT_MAPPED:
		return ev->mapping.backing == CBIT_BACKING_REVOKED ? FINDING_DMABUF_REVOKED
								   : FINDING_IOVA_NOT_MAPPED;
	case CBIT_EVENT_DMA_NO_PERMISSION:
		return ev->write ? FINDING_WRITE_TO_READ_ONLY : FINDING_READ_FROM_WRITE_ONLY;
	case CBIT_EVENT_DMA_ABORT:
		/* An abort is the C-bit's doing where something would have decoded without it. */
		if (!(ev->entry & ev->c_mask) || !ev->region)
			return FINDING_MASTER_ABORT;
		return ev->kind == CBIT_MEM_MMIO || ev->kind == CBIT_MEM_COHERENT
			       ? FINDING_MMIO_ENCRYPTED
			       : FINDING_SHARED_ENTRY_ENCRYPTED;
	case CBIT_EVENT_DMA_NO_BACKING:
		return FINDING_MEMORY_GONE;
	case CBIT_EVENT_DMA_STALE_IOTLB:
		return FINDING_STALE_IOTLB;
	case CBIT_EVENT_DMA_NO_MASTER:
		return FINDING_BUS_MASTER_OFF;
	case CBIT_EVENT_DMA_REFUSED_MAP:
		return FINDING_MAP_EXISTS_IGNORED;
	case CBIT_EVENT_UNMAPPED_NOTHING:
		return FINDING_UNMAPPED_NOTHING;
	case CBIT_EVENT_NO_IOMMU:
		return FINDING_NO_IOMMU;
	case CBIT_EVENT_MEMORY_CHANGED:
		return FINDING_MEMORY_CHANGED;
	case CBIT_EVENT_DMA_PRIVATE:
		return FINDING_PRIVATE_PAGE;
	case CBIT_EVENT_TABLE_PRIVATE:
		return FINDING_TABLE_PRIVATE;
	case CBIT_EVENT_RMP_FAULT:
		return FINDING_RMP_FAULT;
	case CBIT_EVENT_INTERRUPT_LOST:
		return FINDING_INTERRUPT_LOST;
	case CBIT_EVENT_MAP: /* not reached */
	case CBIT_EVENT_FAULT:
	case CBIT_EVENT_MAPPING_LEAKED:
		break;
	}
	return FINDING_MAPPING_LEAKED;
}

/* The same call from the same place; where that is not known, of the same range. */
static bool same_call(const struct finding *f, const struct cbit_event *ev)
{
	const struct cbit_mapping_info *a = &f->call.call, *b = ev->call;

	if (strncmp(f->call.what, ev->what, sizeof(f->call.what) - 1) != 0 || a->pid != b->pid)
		return false;
	if (a->trace || b->trace)
		return a->trace == b->trace;
	return a->iova.v == b->iova.v && a->size == b->size;
}

const char *cbit_report_id(const struct cbit_event *ev)
{
	return ev->type == CBIT_EVENT_MAP || ev->type == CBIT_EVENT_FAULT || ev->injected
		       ? NULL
		       : finding_texts[classify(ev)].id;
}

const char *cbit_report_id_at(unsigned int index)
{
	return index < NR_FINDING_IDS ? finding_texts[index].id : NULL;
}

/* Is it about a transfer, and not about a call? */
static bool is_dma(enum cbit_event_type type)
{
	switch (type) {
	case CBIT_EVENT_MAP:
	case CBIT_EVENT_FAULT:
	case CBIT_EVENT_MMIO_ENCRYPTED:
	case CBIT_EVENT_UNMAPPED_NOTHING:
	case CBIT_EVENT_NO_IOMMU:
	case CBIT_EVENT_MEMORY_CHANGED:
	case CBIT_EVENT_TABLE_PRIVATE:
	case CBIT_EVENT_MAPPING_LEAKED:
		return false;
	default:
		return true;
	}
}

/* What @ev points to is only good during the call. */
static void keep(struct finding *f, const struct cbit_event *ev)
{
	f->first = *ev;
	snprintf(f->region, sizeof(f->region), "%s", ev->region ? ev->region : "");
	if (ev->call) {
		snprintf(f->call.what, sizeof(f->call.what), "%s", ev->what);
		f->call.call = *ev->call;
	}
	if (ev->below)
		f->call.below = *ev->below;
	if (ev->above)
		f->call.above = *ev->above;
	f->first.region = NULL;
	f->first.key_used = NULL;
	f->first.key_right = NULL;
	f->first.what = NULL;
	f->first.call = NULL;
	f->first.below = NULL;
	f->first.above = NULL;
}

/*
 * Is @ev one more of what @f tells? By mapping call, or by what calls have in common; where there
 * is none, by device and page.
 */
static bool same(const struct finding *f, enum finding_id id, const struct cbit_event *ev)
{
	if (f->id != id || id == FINDING_MAPPING_LEAKED)
		return false;
	if (id == FINDING_BUS_MASTER_OFF)
		return ev->devid == f->first.devid;
	if (id == FINDING_NO_IOMMU || id == FINDING_UNMAPPED_NOTHING)
		return same_call(f, ev);
	/* A program that maps a buffer each time and frees it each time does one thing wrong. */
	if (id == FINDING_MEMORY_CHANGED && ev->mapping.trace && ev->call && ev->call->trace)
		return ev->mapping.trace == f->first.mapping.trace && same_call(f, ev);
	/* Without an IOMMU in the guest there is no mapping that pages have in common. */
	if ((id == FINDING_PRIVATE_PAGE || id == FINDING_RMP_FAULT) && !ev->mapping.id &&
	    !f->first.mapping.id)
		return ev->devid == f->first.devid && ev->write == f->first.write;
	if (ev->mapping.id || f->first.mapping.id)
		return ev->mapping.id == f->first.mapping.id ||
		       (id == FINDING_MMIO_ENCRYPTED && report_alike(f, ev));
	return ev->devid == f->first.devid && ev->write == f->first.write &&
	       (ev->iova.v & CBIT_PAGE_MASK) == (f->first.iova.v & CBIT_PAGE_MASK);
}

static void add_hit(struct finding *f, const struct cbit_event *ev)
{
	if (f->hit_count < REPORT_HITS)
		f->hits[f->hit_count] = (struct hit){ .devid = ev->devid,
						      .write = ev->write,
						      .spa_valid = ev->spa_valid,
						      .type = ev->type,
						      .iova = ev->iova,
						      .spa = ev->spa,
						      .len = ev->len,
						      .call = ev->mapping.id };
	f->hit_count++;
}

static void observe(void *opaque, const struct cbit_event *ev)
{
	bool dma = is_dma(ev->type);
	struct cbit_report *report = opaque;
	enum finding_id id;
	struct finding *f;

	if (ev->type == CBIT_EVENT_FAULT) {
		pthread_mutex_lock(&report->lock);
		report_fault(report, ev);
		pthread_mutex_unlock(&report->lock);
		return;
	}
	if (!cbit_report_id(ev))
		return; /* nothing wrong with that, or nobody's fault */
	id = classify(ev);
	pthread_mutex_lock(&report->lock);
	for (f = report->first; f && !same(f, id, ev);)
		f = f->next;
	if (f && !dma && (id != FINDING_MMIO_ENCRYPTED || ev->mapping.id == f->first.mapping.id))
		f->runs++;
	if (!f && report->count < MAX_FINDINGS)
		f = calloc(1, sizeof(*f));
	if (f && !f->next && report->last != &f->next) {
		f->id = id;
		keep(f, ev);
		f->after = report->last_fault;
		*report->last = f;
		report->last = &f->next;
		report->count++;
	}
	if (f && id == FINDING_MMIO_ENCRYPTED && !dma)
		report_alike_add(f, ev);
	if (f && dma)
		add_hit(f, ev);
	if (!f)
		report->dropped++;
	pthread_mutex_unlock(&report->lock);
}

struct cbit_observer cbit_report_observer(struct cbit_report *report)
{
	return (struct cbit_observer){ .event = observe, .opaque = report };
}
