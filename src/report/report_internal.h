/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What collecting and rendering findings share.
 */
#ifndef CBIT_REPORT_INTERNAL_H
#define CBIT_REPORT_INTERNAL_H

#include <pthread.h>

#include <cbit/report.h>

#define REPORT_HITS 4 /* DMAs told one by one; the rest are counted */

enum finding_id {
	FINDING_MMIO_ENCRYPTED,
	FINDING_WRONG_KEY,
	FINDING_IOVA_NOT_MAPPED,
	FINDING_WRITE_TO_READ_ONLY,
	FINDING_READ_FROM_WRITE_ONLY,
	FINDING_MASTER_ABORT,
	FINDING_MEMORY_GONE,
	FINDING_STALE_IOTLB,
	FINDING_BUS_MASTER_OFF,
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
};

struct finding {
	enum finding_id id;
	struct cbit_event first; /* strings replaced by copies below */
	char region[64];
	uint64_t runs; /* further runs of the same mapping call */
	struct hit hits[REPORT_HITS];
	uint64_t hit_count;
	struct finding *next;
};

struct cbit_report {
	struct cbit_platform platform;
	char policy[64];
	pthread_mutex_t lock;
	struct finding *first, **last;
	unsigned int count;
	uint64_t dropped;
};

struct finding_text {
	const char *id;
	const char *summary;
	const char *wrong;
	const char *right;
};
extern const struct finding_text finding_texts[NR_FINDING_IDS];

const char *report_outcome(const struct hit *hit);

#endif
