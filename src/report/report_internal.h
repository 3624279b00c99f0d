/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What collecting and rendering findings share.
 */
#ifndef CBIT_REPORT_INTERNAL_H
#define CBIT_REPORT_INTERNAL_H

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

#include <cbit/fault.h>
#include <cbit/report.h>

#define REPORT_FAULTS 1000u /* faults told one by one; the rest are counted */
#define REPORT_HITS   4     /* DMAs told one by one; the rest are counted */
#define REPORT_RECENT 8     /* mapping calls that may be under way at once and are told apart */

enum finding_id {
	FINDING_MMIO_ENCRYPTED,
	FINDING_WRONG_KEY,
	FINDING_IOVA_NOT_MAPPED,
	FINDING_DMABUF_REVOKED,
	FINDING_WRITE_TO_READ_ONLY,
	FINDING_READ_FROM_WRITE_ONLY,
	FINDING_MASTER_ABORT,
	FINDING_MEMORY_GONE,
	FINDING_STALE_IOTLB,
	FINDING_BUS_MASTER_OFF,
	FINDING_MAP_EXISTS_IGNORED,
	FINDING_UNMAPPED_NOTHING,
	FINDING_NO_IOMMU,
	FINDING_MEMORY_CHANGED,
	FINDING_PRIVATE_PAGE,
	FINDING_TABLE_PRIVATE,
	FINDING_SHARED_ENTRY_ENCRYPTED,
	FINDING_RMP_FAULT,
	FINDING_INTERRUPT_LOST,
	FINDING_MAPPING_LEAKED,
	NR_FINDING_IDS,
};

/* One DMA that belongs to a finding. Region names live as long as the machine: copied. */
struct hit {
	uint16_t devid;
	bool write;
	bool spa_valid;
	enum cbit_event_type type;
	struct cbit_iova iova;
	struct cbit_spa spa;
	uint64_t len;
	uint64_t call; /* the mapping call behind it, 0 for none */
};

/*
 * Further mapping calls that a finding tells of, and the entries of all of them and of the first:
 * from the lowest address to the highest. @recent: calls that have been counted.
 */
struct finding_alike {
	uint64_t calls;
	uint64_t iova, iova_last;
	uint64_t spa, spa_last;
	uint64_t recent[REPORT_RECENT];
};

/* The calls that an event points to, copied; id, size and address are 0 where there is none. */
struct finding_call {
	char what[64]; /* "" for no call */
	struct cbit_mapping_info call;
	struct cbit_mapping_info below;
	struct cbit_mapping_info above;
};

/* A fault that was injected, as a finding names the last one before it; number 0 for none. */
struct finding_fault {
	uint64_t number;
	enum cbit_fault_kind kind;
	uint16_t devid;
};

struct report_fault {
	struct finding_fault what;
	uint64_t event;
	char rule[256];
	char detail[128];
	struct report_fault *next;
};

struct finding {
	enum finding_id id;
	struct cbit_event first; /* pointers replaced by copies below */
	char region[64];
	struct finding_call call;
	struct finding_fault after;
	uint64_t runs; /* further runs of the same mapping call */
	struct finding_alike alike;
	struct hit hits[REPORT_HITS];
	uint64_t hit_count;
	struct finding *next;
};

struct cbit_report {
	struct cbit_platform platform;
	char policy[64];
	struct cbit_trace_source traces;
	pthread_mutex_t lock;
	struct finding *first, **last;
	unsigned int count;
	uint64_t dropped;
	struct report_fault *faults, **fault_end;
	uint64_t nr_faults;
	struct finding_fault last_fault;
};

struct finding_text {
	const char *id;
	const char *summary;
	const char *wrong;
	const char *right;
};
extern const struct finding_text finding_texts[NR_FINDING_IDS];

const char *report_outcome(const struct hit *hit);

/* faults.c: with the report locked */
void report_fault(struct cbit_report *report, const struct cbit_event *ev);
void report_faults_free(struct cbit_report *report);
void report_text_fault(FILE *out, const struct finding *f);
void report_json_fault(json_t *to, const struct finding *f);
void report_json_faults(json_t *to, const struct cbit_report *report);

/* alike.c: with the report locked */
/* Is the mapping of @ev one more like that of @f? Both are of an entry with the C-bit on MMIO. */
bool report_alike(const struct finding *f, const struct cbit_event *ev);
/* Take @ev, which @f tells of already, into account: an entry that was written. */
void report_alike_add(struct finding *f, const struct cbit_event *ev);
void report_text_alike(FILE *out, const struct finding *f);
void report_json_alike(json_t *to, const struct finding *f);

/* calls.c */
/* "rw", "r-", "-w" */
/* What @m->vaddr is. */
const char *report_backing(const struct cbit_mapping_info *m);
const char *report_access(unsigned int attrs);
/* The lines below a call: one a frame. */
void report_text_frames(FILE *out, const struct cbit_report *report, uint32_t trace);
void report_text_call(FILE *out, const struct cbit_report *report, const struct finding *f);
json_t *report_json_hex(uint64_t v);
void report_json_frames(json_t *to, const struct cbit_report *report, uint32_t trace);
void report_json_call(json_t *to, const struct cbit_report *report, const struct finding *f);

#endif
