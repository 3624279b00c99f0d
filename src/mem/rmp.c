/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reverse map table: entries in modelled DRAM, the instructions that change them, and the
 * check that every access to memory makes.
 */
#include <errno.h>
#include <inttypes.h>

#include <cbit/rmp.h>

#include "mem_internal.h"

#define ENTRY_WORDS 2

_Static_assert(ENTRY_WORDS * sizeof(uint64_t) == CBIT_RMP_ENTRY_BYTES, "an entry is 16 bytes");
_Static_assert(CBIT_RMP_GPA >> CBIT_RMP_ASID_SHIFT == 0, "GPA ends where the ASID begins");
_Static_assert((CBIT_RMP_ASID | CBIT_RMP_VMSA | CBIT_RMP_VALIDATED) >> 51 == 0xfff,
	       "ASID, VMSA and validated are neighbours");

static struct cbit_bus entry_at(const struct cbit_mem *mem, uint64_t spa)
{
	uint64_t at = mem->rmp.base + CBIT_RMP_BOOKKEEPING +
		      (spa >> CBIT_PAGE_SHIFT) * CBIT_RMP_ENTRY_BYTES;

	return cbit_mem_bus(mem, CBIT_SPA(at), mem->platform.sme);
}

static bool covered(const struct cbit_mem *mem, uint64_t spa)
{
	return spa < mem->rmp.covered;
}

static bool of_the_table(const struct cbit_mem *mem, uint64_t spa)
{
	return spa - mem->rmp.base < mem->rmp.size;
}

int cbit_rmp_enable(struct cbit_mem *mem, struct cbit_spa base, uint64_t size_covered,
		    struct cbit_error *err)
{
	const struct cbit_mem_region *region = cbit_mem_find(mem, base);
	uint64_t pages = size_covered >> CBIT_PAGE_SHIFT;
	uint64_t size = (CBIT_RMP_BOOKKEEPING + pages * CBIT_RMP_ENTRY_BYTES + ~CBIT_PAGE_MASK) &
			CBIT_PAGE_MASK;

	if (!mem->platform.snp)
		return cbit_error_set(err, -EINVAL, "RMP: platform %s has no SNP",
				      mem->platform.name);
	if (mem->rmp.size)
		return cbit_error_set(err, -EINVAL, "RMP: enabled already");
	if ((base.v | size_covered) & ~CBIT_PAGE_MASK || !pages)
		return cbit_error_set(err, -EINVAL,
				      "RMP: base 0x%" PRIx64 ", coverage 0x%" PRIx64
				      ": not whole pages",
				      base.v, size_covered);
	if (!region || !region->encrypts || size > region->base.v + region->size - base.v ||
	    !cbit_mem_page(mem, cbit_mem_bus(mem, base, mem->platform.sme)))
		return cbit_error_set(err, -EINVAL,
				      "RMP: 0x%" PRIx64 " bytes at SPA 0x%" PRIx64
				      " are not DRAM in one piece",
				      size, base.v);
	/* Pages that were never touched read as zeros without a key, as noise with one. */
	if (mem->platform.sme || mem->platform.tsme) {
		static const uint8_t zeros[CBIT_PAGE_SIZE];

		for (uint64_t at = 0; at < size; at += sizeof(zeros))
			if (cbit_mem_write(mem, cbit_mem_bus(mem, CBIT_SPA(base.v + at), true),
					   zeros, sizeof(zeros)) != CBIT_MEM_OK)
				return cbit_error_set(err, -ENOMEM, "RMP: out of memory");
	}
	mem->rmp.base = base.v;
	mem->rmp.size = size;
	mem->rmp.covered = size_covered;
	return 0;
}

bool cbit_rmp_enabled(const struct cbit_mem *mem)
{
	return mem->rmp.size != 0;
}

static void load(struct cbit_mem *mem, uint64_t spa, uint64_t word[ENTRY_WORDS])
{
	cbit_mem_read(mem, entry_at(mem, spa), word, CBIT_RMP_ENTRY_BYTES);
}

static void store(struct cbit_mem *mem, uint64_t spa, const uint64_t word[ENTRY_WORDS])
{
	cbit_mem_write(mem, entry_at(mem, spa), word, CBIT_RMP_ENTRY_BYTES);
}

int cbit_rmp_read(struct cbit_mem *mem, struct cbit_spa spa, struct cbit_rmp_entry *out)
{
	uint64_t word[ENTRY_WORDS];

	if (!covered(mem, spa.v))
		return -ENXIO;
	load(mem, spa.v, word);
	*out = (struct cbit_rmp_entry){
		.assigned = word[0] & CBIT_RMP_ASSIGNED,
		.large = word[0] & CBIT_RMP_LARGE,
		.immutable = word[0] & CBIT_RMP_IMMUTABLE,
		.vmsa = word[0] & CBIT_RMP_VMSA,
		.validated = word[0] & CBIT_RMP_VALIDATED,
		.asid = (uint16_t)((word[0] & CBIT_RMP_ASID) >> CBIT_RMP_ASID_SHIFT),
		.gpa = word[0] & CBIT_RMP_GPA,
	};
	for (unsigned int i = 0; i < 4; i++)
		out->vmpl[i] = (uint8_t)(word[1] >> (8 * i));
	return 0;
}

int cbit_rmp_update(struct cbit_mem *mem, struct cbit_spa spa, const struct cbit_rmp_entry *entry)
{
	uint64_t word[ENTRY_WORDS];

	if (!covered(mem, spa.v))
		return -ENXIO;
	if (entry->large || entry->gpa & ~CBIT_RMP_GPA ||
	    (entry->assigned && (!entry->asid || entry->asid > mem->platform.asids)))
		return -EINVAL;
	load(mem, spa.v, word);
	if (of_the_table(mem, spa.v) || word[0] & CBIT_RMP_IMMUTABLE)
		return -EPERM;
	word[0] = word[1] = 0;
	if (entry->assigned) {
		word[0] = CBIT_RMP_ASSIGNED | entry->gpa |
			  (uint64_t)entry->asid << CBIT_RMP_ASID_SHIFT |
			  (entry->immutable ? CBIT_RMP_IMMUTABLE : 0) |
			  (entry->vmsa ? CBIT_RMP_VMSA : 0);
		word[1] = CBIT_RMP_VMPL_ALL;
	}
	store(mem, spa.v, word);
	return 0;
}

/* The page's words if it is assigned to this guest at this place. */
static bool of_guest(struct cbit_mem *mem, uint64_t spa, uint16_t asid, uint64_t gpa,
		     uint64_t word[ENTRY_WORDS])
{
	if (!covered(mem, spa))
		return false;
	load(mem, spa, word);
	return word[0] & CBIT_RMP_ASSIGNED &&
	       (word[0] & CBIT_RMP_ASID) >> CBIT_RMP_ASID_SHIFT == asid &&
	       (word[0] & CBIT_RMP_GPA) == (gpa & CBIT_RMP_GPA);
}

int cbit_rmp_pvalidate(struct cbit_mem *mem, struct cbit_spa spa, uint16_t asid, uint64_t gpa,
		       bool valid)
{
	uint64_t word[ENTRY_WORDS];

	if (!of_guest(mem, spa.v, asid, gpa, word) || word[0] & CBIT_RMP_IMMUTABLE)
		return -EPERM;
	if (!(word[0] & CBIT_RMP_VALIDATED) == !valid)
		return 1;
	word[0] ^= CBIT_RMP_VALIDATED;
	store(mem, spa.v, word);
	return 0;
}

int cbit_rmp_adjust(struct cbit_mem *mem, struct cbit_spa spa, uint16_t asid, uint64_t gpa,
		    unsigned int vmpl, uint8_t rights)
{
	uint64_t word[ENTRY_WORDS];

	if (!vmpl || vmpl > 3 || rights & ~CBIT_RMP_VMPL_ALL)
		return -EINVAL;
	if (!of_guest(mem, spa.v, asid, gpa, word) || !(word[0] & CBIT_RMP_VALIDATED))
		return -EPERM;
	word[1] = (word[1] & ~((uint64_t)0xff << (8 * vmpl))) | (uint64_t)rights << (8 * vmpl);
	store(mem, spa.v, word);
	return 0;
}

const char *cbit_rmp_verdict_name(enum cbit_rmp_verdict verdict)
{
	switch (verdict) {
	case CBIT_RMP_OK:
		return "allowed";
	case CBIT_RMP_NOT_OWNED:
		return "the page is a guest's";
	case CBIT_RMP_NOT_ASSIGNED:
		return "the page is not assigned to the guest";
	case CBIT_RMP_WRONG_GUEST:
		return "the page is another guest's";
	case CBIT_RMP_WRONG_GPA:
		return "the page is assigned at another GPA";
	case CBIT_RMP_NOT_VALIDATED:
		return "the page is not validated";
	}
	return "unknown";
}

enum cbit_rmp_verdict cbit_rmp_check(struct cbit_mem *mem, struct cbit_spa spa,
				     enum cbit_rmp_access access, uint16_t asid, uint64_t gpa)
{
	uint64_t word[ENTRY_WORDS] = { 0 };

	if (!mem->rmp.size)
		return CBIT_RMP_OK;
	/* The processor alone writes to the table. */
	if (of_the_table(mem, spa.v) &&
	    (access == CBIT_RMP_HOST_WRITE || access == CBIT_RMP_DEVICE_WRITE))
		return CBIT_RMP_NOT_OWNED;
	if (covered(mem, spa.v))
		load(mem, spa.v, word);
	switch (access) {
	case CBIT_RMP_HOST_READ:
	case CBIT_RMP_GUEST_READ:
		return CBIT_RMP_OK;
	case CBIT_RMP_DEVICE_READ:
		if (mem->platform.snp_reads_ciphertext)
			return CBIT_RMP_OK;
		break;
	case CBIT_RMP_PRIVATE:
		if (!(word[0] & CBIT_RMP_ASSIGNED))
			return CBIT_RMP_NOT_ASSIGNED;
		if ((word[0] & CBIT_RMP_ASID) >> CBIT_RMP_ASID_SHIFT != asid)
			return CBIT_RMP_WRONG_GUEST;
		if ((word[0] & CBIT_RMP_GPA) != (gpa & CBIT_RMP_GPA))
			return CBIT_RMP_WRONG_GPA;
		return word[0] & CBIT_RMP_VALIDATED ? CBIT_RMP_OK : CBIT_RMP_NOT_VALIDATED;
	case CBIT_RMP_HOST_WRITE:
	case CBIT_RMP_GUEST_WRITE:
	case CBIT_RMP_DEVICE_WRITE:
		break;
	}
	return word[0] & CBIT_RMP_ASSIGNED ? CBIT_RMP_NOT_OWNED : CBIT_RMP_OK;
}
