/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Page tables filled from the input: the walkers of every format, of two stages too, and DMA by a
 * device whose entry points to them. A walk is a function of the tables, a leaf covers the address
 * asked for, a walk that marks finds what one that does not found, and two stages agree with
 * one after the other.
 */
#include "fuzz.h"

#include <errno.h>

#include <cbit/iommu.h>

#define TABLES 6u
#define DEVID  0x100

struct rig {
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct cbit_domain *domain;
	struct cbit_spa at;
	struct cbit_platform platform;
};

/* Memory and IOMMU are expensive and are kept; tables and domain are new for each input. */
static struct rig *up(bool sme)
{
	const struct cbit_mem_region_desc dram = { .kind = CBIT_MEM_DRAM,
						   .encrypts = true,
						   .base = CBIT_SPA(0x100000),
						   .size = 0x10000000,
						   .name = "dram" };
	static struct rig kept[2];
	struct rig *r = &kept[sme];

	if (!r->mem) {
		FUZZ_CHECK(!cbit_platform_preset(sme ? "sme" : "bare", &r->platform));
		FUZZ_CHECK(!cbit_mem_create(&r->platform, &r->mem));
		FUZZ_CHECK(!cbit_mem_add_region(r->mem, &dram, NULL));
		FUZZ_CHECK(!cbit_iommu_create(r->mem, NULL, &r->iommu));
	}
	FUZZ_CHECK(!cbit_domain_create(r->iommu, NULL, &r->domain));
	FUZZ_CHECK(!cbit_domain_attach(r->domain, DEVID));
	FUZZ_CHECK(!cbit_mem_frames_alloc(r->mem, TABLES, sme ? CBIT_KEY_HOST : CBIT_KEY_NONE,
					  &r->at));
	return r;
}

static void write_entry(struct rig *r, uint64_t spa, uint64_t entry)
{
	cbit_mem_write(r->mem, cbit_mem_bus(r->mem, CBIT_SPA(spa), r->platform.sme), &entry, 8);
}

static void down(struct rig *r)
{
	/* whatever stands in its table */
	cbit_domain_unmap(r->domain, CBIT_IOVA(0), UINT64_C(1) << 40, NULL);
	cbit_domain_destroy(r->domain);
	cbit_mem_frames_free(r->mem, r->at, TABLES);
}

/* An entry: all of it from the input, or one that points to a table or page of ours. */
static uint64_t entry(struct rig *r, struct input *in)
{
	uint8_t form = take8(in);
	uint64_t c = form & 0x80 ? cbit_platform_c_mask(&r->platform) : 0;

	if (!(form & 0x40))
		return take64(in);
	return (r->at.v + (uint64_t)(take8(in) % (TABLES + 1)) * CBIT_PAGE_SIZE) | c |
	       (uint64_t)(form >> 3 & 3) << 61 | (uint64_t)(form & 7) << 9 | UINT64_C(1) |
	       (uint64_t)take8(in) << 52;
}

static void check_walk(struct rig *r, enum cbit_pt_format format, unsigned int mode, uint64_t iova)
{
	struct cbit_bus root = cbit_mem_bus(r->mem, r->at, r->platform.sme);
	struct cbit_pt_leaf leaf = { 0 }, again = { 0 };
	int ret = cbit_pt_walk_from(r->mem, format, root, mode, CBIT_IOVA(iova), &leaf);

	FUZZ_CHECK(ret == 0 || ret == -ENOENT || ret == -EIO);
	FUZZ_CHECK(cbit_pt_walk_from(r->mem, format, root, mode, CBIT_IOVA(iova), &again) == ret);
	FUZZ_CHECK(leaf.entry == again.entry && leaf.level == again.level);
	if (ret == -EIO)
		return;
	/* the leaf, or the hole, is around the address */
	FUZZ_CHECK(leaf.size >= CBIT_PAGE_SIZE || !leaf.size);
	FUZZ_CHECK(iova >= leaf.iova.v);
	FUZZ_CHECK(iova - leaf.iova.v < leaf.size || !leaf.size);
	if (ret)
		return;
	FUZZ_CHECK(leaf.level >= 1 && leaf.level <= (mode & 7));
	FUZZ_CHECK(!(leaf.size & (leaf.size - 1)));
	FUZZ_CHECK(leaf.entry & 1);
}

/*
 * Marks go into the tables, which may be their own leaves: only that it ends, and that without an
 * entry marked twice the same leaf is found, can be said.
 */
static void check_mark(struct rig *r, enum cbit_pt_format format, unsigned int mode, uint64_t iova)
{
	struct cbit_bus root = cbit_mem_bus(r->mem, r->at, r->platform.sme);
	struct cbit_pt_leaf leaf = { 0 };
	int ret = cbit_pt_walk_mark(r->mem, format, root, mode, CBIT_IOVA(iova),
				    CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY, &leaf);

	FUZZ_CHECK(ret == 0 || ret == -ENOENT || ret == -EIO);
	if (!ret && leaf.attrs & CBIT_ATTR_WRITE)
		FUZZ_CHECK(leaf.attrs & CBIT_ATTR_DIRTY);
}

/* The same tables as both stages: the first at GPAs that are what the input makes of them. */
static void check_nested(struct rig *r, uint8_t how, uint64_t root, uint64_t iova)
{
	struct cbit_pt_nested n = {
		.guest_mode = (how & 1 ? 5u : 4u) | (how & 2 ? CBIT_PT_SIGN_EXTEND : 0),
		.gpa_bits = how & 4 ? 52 : 40,
		.guest_root = root,
		.guest_c = how & 8 ? cbit_platform_c_mask(&r->platform) : 0,
		.host_format = how & 16 ? CBIT_PT_X86_64 : CBIT_PT_AMDV1,
		.host_mode = how & 32 ? 4 : 5,
		.host_root = cbit_mem_bus(r->mem, r->at, r->platform.sme),
	};
	struct cbit_pt_nested_leaf leaf = { 0 };
	struct cbit_pt_leaf host;
	int ret = cbit_pt_walk_nested(r->mem, &n, CBIT_IOVA(iova), &leaf);

	FUZZ_CHECK(ret == 0 || ret == -ENOENT || ret == -EIO || ret == -EACCES);
	if (ret) {
		FUZZ_CHECK(leaf.stage == 1 || leaf.stage == 2);
		FUZZ_CHECK(leaf.guest_level <= 5);
		return;
	}
	FUZZ_CHECK(!leaf.stage && leaf.guest_entry & 1);
	FUZZ_CHECK(leaf.leaf.size >= CBIT_PAGE_SIZE && iova - leaf.leaf.iova.v < leaf.leaf.size);
	FUZZ_CHECK(!cbit_pt_walk_from(r->mem, n.host_format, n.host_root, n.host_mode,
				      CBIT_IOVA(leaf.gpa), &host));
	FUZZ_CHECK(host.spa.v + (leaf.gpa - host.iova.v) == leaf.leaf.spa.v);
	FUZZ_CHECK(host.entry == leaf.leaf.entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t head = take8(&in);
	unsigned int mode = 1 + (head >> 1) % 6, n;
	uint8_t buf[64];
	struct rig *r;

	r = up(head & 1);
	n = take8(&in) % 64;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t at = r->at.v + (take8(&in) % TABLES) * CBIT_PAGE_SIZE;

		write_entry(r, at + (take16(&in) % 512u) * 8, entry(r, &in));
	}
	/* and some over the domain's own root, for DMA through the device table */
	n = take8(&in) % 8;
	for (unsigned int i = 0; i < n; i++)
		write_entry(r, cbit_pt_root(cbit_domain_pt(r->domain)).v + (take8(&in) & 7) * 8,
			    entry(r, &in));
	for (unsigned int i = 0; i < 16 && in.left; i++) {
		uint64_t iova = take64(&in);
		size_t len = take8(&in) & 63, done = 0;
		enum cbit_dma_status status;

		check_walk(r, CBIT_PT_AMDV1, mode, iova);
		check_walk(r, CBIT_PT_AMDV1, mode, iova & 0x3fffffff);
		check_walk(r, CBIT_PT_X86_64, mode, iova & 0xffffffffffff);
		check_walk(r, CBIT_PT_X86_64, mode | CBIT_PT_SIGN_EXTEND, iova);
		check_nested(r, (uint8_t)len, r->at.v, iova & 0xffffffffffff);
		check_nested(r, (uint8_t)(len ^ head), iova & 0xff000, iova >> 20);
		if (iova + len < iova)
			continue;
		status = cbit_iommu_dma_read(r->iommu, DEVID, CBIT_IOVA(iova), buf, len, &done);
		FUZZ_CHECK(done <= len && (status != CBIT_DMA_OK || done == len));
		/* What could not be read is all ones; behind a page that aborted the read goes on.
		 */
		for (size_t k = done; k < len && (k == done || (iova + k) & ~CBIT_PAGE_MASK ||
						  status != CBIT_DMA_ABORT);
		     k++)
			FUZZ_CHECK(buf[k] == 0xff);
		memset(buf, (int)i, sizeof(buf));
		cbit_iommu_dma_write(r->iommu, DEVID, CBIT_IOVA(iova), buf, len, &done);
		FUZZ_CHECK(done <= len);
	}
	/* last, for they change what was walked */
	check_mark(r, CBIT_PT_AMDV1, mode, head);
	check_mark(r, CBIT_PT_X86_64, mode, head);
	down(r);
	return 0;
}
