/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rmp: the reverse map table of SEV-SNP: whose each 4 KiB page of system memory is.
 *
 * It lies in modelled DRAM in its real layout: 16 KiB for the processor's own use, then 16 bytes
 * a page, by SPA. Nothing here carries out an access: whoever reaches memory for a CPU or a device
 * asks first, as the hardware's table walk does (24593 15.36.3, 15.36.10).
 */
#ifndef CBIT_RMP_H
#define CBIT_RMP_H

#include <cbit/mem.h>

CBIT_API_BEGIN

#define CBIT_RMP_BOOKKEEPING UINT64_C(0x4000)
#define CBIT_RMP_ENTRY_BYTES 16

/*
 * The first word of an entry as Zen 3 and 4 have it (arch/x86/virt/svm/sev.c, struct
 * rmpentry_raw). The second word's layout is not published: this model keeps the rights of
 * VMPL0..3 there, 8 bits each.
 */
#define CBIT_RMP_ASSIGNED   (UINT64_C(1) << 0)
#define CBIT_RMP_LARGE      (UINT64_C(1) << 1)
#define CBIT_RMP_IMMUTABLE  (UINT64_C(1) << 2)
#define CBIT_RMP_GPA        UINT64_C(0x0007fffffffff000)
#define CBIT_RMP_ASID_SHIFT 51
#define CBIT_RMP_ASID       (UINT64_C(0x3ff) << CBIT_RMP_ASID_SHIFT)
#define CBIT_RMP_VMSA       (UINT64_C(1) << 61)
#define CBIT_RMP_VALIDATED  (UINT64_C(1) << 62)

/* Rights of a VMPL (24593 15.36.7). */
#define CBIT_RMP_VMPL_READ       (1u << 0)
#define CBIT_RMP_VMPL_WRITE      (1u << 1)
#define CBIT_RMP_VMPL_EXEC_USER  (1u << 2)
#define CBIT_RMP_VMPL_EXEC_SUPER (1u << 3)
#define CBIT_RMP_VMPL_ALL        0xfu

/**
 * struct cbit_rmp_entry - a decoded entry.
 * @assigned: to a guest; otherwise the page is the hypervisor's.
 * @gpa:      where the guest has it, in bytes.
 * @vmpl:     rights of VMPL0..3, CBIT_RMP_VMPL_*.
 */
struct cbit_rmp_entry {
	bool assigned;
	bool large;
	bool immutable;
	bool vmsa;
	bool validated;
	uint16_t asid;
	uint64_t gpa;
	uint8_t vmpl[4];
};

/**
 * cbit_rmp_enable() - switch SNP on for an address space: RMP_BASE is @base.
 * @covered: SPAs below it have an entry; page aligned. Pages beyond are the hypervisor's for ever.
 * The table must lie in one region of sparse memory that encrypts; it is kept under the host key
 * where the platform has SME. All pages start as the hypervisor's.
 * Return: 0; -EINVAL for a platform without SNP, a table that does not fit or one enabled already.
 */
int cbit_rmp_enable(struct cbit_mem *mem, struct cbit_spa base, uint64_t covered,
		    struct cbit_error *err);

/** cbit_rmp_enabled() - whether anybody needs to ask. */
bool cbit_rmp_enabled(const struct cbit_mem *mem);

/** cbit_rmp_read() - RMPREAD. Return: 0, -ENXIO for a page without an entry. */
int cbit_rmp_read(struct cbit_mem *mem, struct cbit_spa spa, struct cbit_rmp_entry *out);

/**
 * cbit_rmp_update() - RMPUPDATE by the hypervisor, of one 4 KiB page.
 * @entry: @validated and @vmpl are ignored: the page is not validated afterwards, and VMPL0 alone
 *         has rights.
 * Return: 0; -ENXIO for a page without an entry; -EINVAL for an ASID of 0 on an assigned page or
 * one out of range, or a GPA that is not a page's (FAIL_INPUT); -EPERM for a page of the table
 * itself or one that is immutable (FAIL_PERMISSION).
 */
int cbit_rmp_update(struct cbit_mem *mem, struct cbit_spa spa, const struct cbit_rmp_entry *entry);

/**
 * cbit_rmp_pvalidate() - PVALIDATE by the guest with @asid, whose NPT has @spa at @gpa.
 * Return: 0; 1 when the page was so already (CF); -EPERM when it is not that guest's, there.
 */
int cbit_rmp_pvalidate(struct cbit_mem *mem, struct cbit_spa spa, uint16_t asid, uint64_t gpa,
		       bool valid);

/**
 * cbit_rmp_adjust() - RMPADJUST by the guest: rights of @vmpl (1..3) on its page.
 * Return: 0; -EINVAL for another VMPL; -EPERM for a page that is not validated and its.
 */
int cbit_rmp_adjust(struct cbit_mem *mem, struct cbit_spa spa, uint16_t asid, uint64_t gpa,
		    unsigned int vmpl, uint8_t rights);

/**
 * enum cbit_rmp_access - who wants to do what.
 * @CBIT_RMP_HOST_READ, @CBIT_RMP_HOST_WRITE: the host's CPU, or a guest without SNP.
 * @CBIT_RMP_GUEST_READ, @CBIT_RMP_GUEST_WRITE: an SNP guest with C=0.
 * @CBIT_RMP_PRIVATE: an SNP guest with C=1, its page-table walk or its fetch.
 * @CBIT_RMP_DEVICE_READ, @CBIT_RMP_DEVICE_WRITE: a device through the IOMMU.
 */
enum cbit_rmp_access {
	CBIT_RMP_HOST_READ,
	CBIT_RMP_HOST_WRITE,
	CBIT_RMP_GUEST_READ,
	CBIT_RMP_GUEST_WRITE,
	CBIT_RMP_PRIVATE,
	CBIT_RMP_DEVICE_READ,
	CBIT_RMP_DEVICE_WRITE,
};

/**
 * enum cbit_rmp_verdict - what the table says.
 * @CBIT_RMP_OK:            go on.
 * @CBIT_RMP_NOT_OWNED:     a guest's page, and the access is for the hypervisor's only.
 * @CBIT_RMP_NOT_ASSIGNED:  the hypervisor's page, and the access is for a guest's only.
 * @CBIT_RMP_WRONG_GUEST:   another ASID's.
 * @CBIT_RMP_WRONG_GPA:     the guest's, but at another GPA.
 * @CBIT_RMP_NOT_VALIDATED: the guest's, there, but it has not accepted it (#VC, not #NPF).
 */
enum cbit_rmp_verdict {
	CBIT_RMP_OK,
	CBIT_RMP_NOT_OWNED,
	CBIT_RMP_NOT_ASSIGNED,
	CBIT_RMP_WRONG_GUEST,
	CBIT_RMP_WRONG_GPA,
	CBIT_RMP_NOT_VALIDATED,
};

/** cbit_rmp_verdict_name() - a few words, for messages. */
const char *cbit_rmp_verdict_name(enum cbit_rmp_verdict verdict);

/**
 * cbit_rmp_check() - ask for one page.
 * @asid, @gpa: of the guest, for CBIT_RMP_PRIVATE; otherwise ignored.
 *
 * Host reads are never refused; neither are an SNP guest's reads with C=0 (24593 15.36.10, table
 * of RMP checks). What a device's read gets has no public source: the platform's
 * @snp_reads_ciphertext decides, and refusing is the default.
 * Any thread; one comparison while SNP is off.
 */
enum cbit_rmp_verdict cbit_rmp_check(struct cbit_mem *mem, struct cbit_spa spa,
				     enum cbit_rmp_access access, uint16_t asid, uint64_t gpa);

CBIT_API_END

#endif
