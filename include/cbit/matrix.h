/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * matrix: every case of platform, policy, kind of memory, mapper and accessor, each carried out on
 * a machine.
 *
 * A case: the owner (the host's kernel, or the guest's where there is one) writes to a page of that
 * memory and has it mapped for a device. If the accessor is a device, it reads the page and writes
 * to it. If it is a CPU, the device writes first, the owner syncs, and the CPU reads and writes.
 */
#ifndef CBIT_MATRIX_H
#define CBIT_MATRIX_H

#include <cbit/sim.h>

CBIT_API_BEGIN

/** enum cbit_matrix_mapper - who makes the page reachable. */
enum cbit_matrix_mapper {
	CBIT_MATRIX_TYPE1,
	CBIT_MATRIX_IOMMUFD,
	CBIT_MATRIX_DMA_DIRECT,  /* DMA API without an IOMMU, a device that reaches everything */
	CBIT_MATRIX_DMA_SWIOTLB, /* likewise, a device with a 32-bit mask */
	CBIT_MATRIX_DMA_IOMMU,   /* DMA API behind an IOMMU: the host's, or a guest's vIOMMU */
	CBIT_MATRIX_NR_MAPPERS,
};

/** enum cbit_matrix_accessor - who reads and writes. */
enum cbit_matrix_accessor {
	CBIT_MATRIX_DEVICE,
	CBIT_MATRIX_PEER, /* another device, with a mapping of its own made likewise */
	CBIT_MATRIX_HOST_CPU,
	CBIT_MATRIX_GUEST_CPU,
	CBIT_MATRIX_HYPERVISOR,
	CBIT_MATRIX_NR_ACCESSORS,
};

/** enum cbit_matrix_memory - what is accessed. */
enum cbit_matrix_memory {
	CBIT_MATRIX_DRAM,
	CBIT_MATRIX_CXL_RAM,
	CBIT_MATRIX_COHERENT,       /* its controller consumes the C-bit */
	CBIT_MATRIX_COHERENT_PLAIN, /* it does not */
	CBIT_MATRIX_MMIO,
	CBIT_MATRIX_NR_MEMORIES,
};

/** struct cbit_matrix_access - one access: what came of it, and the key on DRAM if there was one.
 */
struct cbit_matrix_access {
	enum cbit_sim_outcome outcome;
	bool accessed;
	cbit_key_t key;
};

/**
 * struct cbit_matrix_cell - a case and what came of it. Strings are static.
 * @iopte: the leaf of the accessing device's mapping (for CPUs, of the device's); valid if
 *         @iopte_valid: without an IOMMU there is none. @c: its C-bit.
 * @vendor: by rules that no vendor has published.
 */
struct cbit_matrix_cell {
	const char *platform;
	const char *policy;
	enum cbit_matrix_memory memory;
	enum cbit_matrix_mapper mapper;
	enum cbit_matrix_accessor accessor;
	bool iopte_valid;
	bool c;
	bool vendor;
	uint64_t iopte;
	struct cbit_matrix_access read;
	struct cbit_matrix_access write;
};

/**
 * cbit_matrix_mapper_name(), cbit_matrix_accessor_name(), cbit_matrix_memory_name() - the words for
 * them, as on the command line. Return: static strings.
 */
const char *cbit_matrix_mapper_name(enum cbit_matrix_mapper mapper);
const char *cbit_matrix_accessor_name(enum cbit_matrix_accessor accessor);
const char *cbit_matrix_memory_name(enum cbit_matrix_memory memory);

/** cbit_matrix_key_name() - the word for the key of an access: "none", "host", "guest", or "-"
 * without one. */
const char *cbit_matrix_key_name(const struct cbit_matrix_access *access);
/** cbit_matrix_platform_at() - names of the platforms one by one; NULL after the last. */
const char *cbit_matrix_platform_at(unsigned int index);

/**
 * cbit_matrix_run() - carry out all cases, or those of one platform or policy.
 * @platform: NULL for all; @policy: NULL for all.
 * @cell: called for each case in a fixed order; what it returns other than 0 ends the run.
 * Return: 0; -ENOENT for a platform that there is not; what @cell returned; another negative errno
 * with words in @err.
 */
int cbit_matrix_run(const char *platform, const struct cbit_policy *policy,
		    int (*cell)(void *opaque, const struct cbit_matrix_cell *cell), void *opaque,
		    struct cbit_error *err);

/**
 * cbit_matrix_explain() - carry out one case and tell it: the entries at every level with their
 * addresses, the policy's decisions, keys, bytes.
 * @which: its @platform and @policy, @memory, @mapper and @accessor; the rest is ignored.
 * @out:   for the caller to free().
 * Return: as cbit_matrix_run(); -ENOENT also for a case that there is not.
 */
int cbit_matrix_explain(const struct cbit_matrix_cell *which, char **out, struct cbit_error *err);

/** enum cbit_matrix_format - how it is told. */
enum cbit_matrix_format {
	CBIT_MATRIX_TEXT,
	CBIT_MATRIX_JSON,
	CBIT_MATRIX_CSV,
};

/**
 * cbit_matrix_render() - the matrix as a text.
 * @cells: how many there are; may be NULL.
 * Return: as cbit_matrix_run(), *@out for the caller to free().
 */
int cbit_matrix_render(const char *platform, const struct cbit_policy *policy,
		       enum cbit_matrix_format format, char **out, unsigned int *cells,
		       struct cbit_error *err);

CBIT_API_END

#endif
