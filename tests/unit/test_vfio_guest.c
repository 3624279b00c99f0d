/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine that is a confidential guest: what a device reaches of the client's memory through
 * VFIO, for every kind of guest, IOMMU, policy and state of the device; by the bytes.
 */
#include <cbit/rmp.h>

#include "client_rig.h"

#define PRIV   UINT64_C(0x600000000000)
#define SHARED UINT64_C(0x610000000000)
#define BAR    UINT64_C(0x620000000000)
#define LEN    UINT64_C(0x3000)
#define DEVID  0x100
#define IOVA   UINT64_C(0x40000000)

struct world {
	struct client *c;
	uint8_t priv[LEN];
	uint8_t shared[LEN];
	struct cbit_spa bar;
	struct opened o;
};

static void up(struct world *w, const char *platform, const char *policy,
	       struct cbit_machine_guest guest)
{
	struct cbit_device_info dev;

	memset(w, 0, sizeof(*w));
	w->c = client_up_guest(platform, policy, NULL, &client_ops, guest);
	client_plug(w->c, "ioat");
	client_plug(w->c, "ioat,membar=64K");
	assert_true(cbit_machine_device(w->c->machine, 1, &dev));
	w->bar = cbit_pci_bar(dev.pci, 2)->spa;
	client_add(w->c, PRIV, LEN, CBIT_CLIENT_DRAM_BASE + UINT64_C(0x80000000), CBIT_MEM_DRAM,
		   w->priv);
	client_add(w->c, SHARED, LEN, CBIT_CLIENT_SHARED_BASE + UINT64_C(0x80000000), CBIT_MEM_DRAM,
		   w->shared);
	w->c->range[w->c->ranges - 1].pfn_map = true;
	client_add(w->c, BAR, 0x10000, w->bar.v, CBIT_MEM_MMIO, NULL);
}

/* What an access of the device came to. */
enum fate { GOOD, NOISE, LOST, FAULT };

static enum fate fate_of(enum cbit_dma_status status, const uint8_t *seen, const uint8_t *meant,
			 const uint8_t *before)
{
	if (status == CBIT_DMA_FAULT)
		return FAULT;
	if (!memcmp(seen, meant, LEN))
		return GOOD;
	return status == CBIT_DMA_ABORT || !memcmp(seen, before, LEN) ? LOST : NOISE;
}

static enum fate device_reads(struct world *w, uint8_t *mem)
{
	uint8_t seen[LEN], ones[LEN];
	enum cbit_dma_status status;

	memset(mem, 0x5a, LEN);
	memset(ones, 0xff, LEN);
	status = cbit_iommu_dma_read(cbit_machine_iommu(w->c->machine), DEVID, CBIT_IOVA(IOVA),
				     seen, LEN, NULL);
	return fate_of(status, seen, mem, ones);
}

static enum fate device_writes(struct world *w, uint8_t *mem)
{
	uint8_t data[LEN], before[LEN];
	enum cbit_dma_status status;

	memset(mem, 0x11, LEN);
	memset(before, 0x11, LEN);
	memset(data, 0x77, LEN);
	status = cbit_iommu_dma_write(cbit_machine_iommu(w->c->machine), DEVID, CBIT_IOVA(IOVA),
				      data, LEN, NULL);
	return fate_of(status, mem, data, before);
}

/* The whole of docs/semantics.md, "A program in a guest", behind an IOMMU. */
static const struct row {
	const char *platform, *policy;
	enum cbit_guest_kind kind;
	bool tdisp;
	bool dead;                    /* no request is translated */
	enum fate priv_rd, priv_wr;   /* of private memory */
	enum fate shared_rd;          /* of shared memory, both ways, where it can be mapped */
	unsigned int event, event_wr; /* told of reading and writing private memory */
} rows[] = {
	{ "sev-guest", "complete", CBIT_GUEST_SEV, false, false, NOISE, NOISE, GOOD,
	  CBIT_EVENT_DMA_PRIVATE, CBIT_EVENT_DMA_PRIVATE },
	{ "snp-guest", "complete", CBIT_GUEST_SNP, false, false, NOISE, LOST, GOOD,
	  CBIT_EVENT_DMA_PRIVATE, CBIT_EVENT_RMP_FAULT },
	{ "sev-guest", "complete", CBIT_GUEST_SEV, true, false, GOOD, GOOD, GOOD, 0, 0 },
	{ "snp-guest", "complete", CBIT_GUEST_SNP, true, false, GOOD, GOOD, GOOD, 0, 0 },
	{ "sev-guest", "linux-7.2", CBIT_GUEST_SEV, false, true, FAULT, FAULT, FAULT,
	  CBIT_EVENT_TABLE_PRIVATE, CBIT_EVENT_TABLE_PRIVATE },
	{ "snp-guest", "linux-7.2", CBIT_GUEST_SNP, false, true, FAULT, FAULT, FAULT,
	  CBIT_EVENT_TABLE_PRIVATE, CBIT_EVENT_TABLE_PRIVATE },
	{ "snp-guest", "linux-6.17", CBIT_GUEST_SNP, false, true, FAULT, FAULT, FAULT,
	  CBIT_EVENT_TABLE_PRIVATE, CBIT_EVENT_TABLE_PRIVATE },
	{ "snp-guest", "linux-7.2", CBIT_GUEST_SNP, true, true, FAULT, FAULT, FAULT,
	  CBIT_EVENT_TABLE_PRIVATE, CBIT_EVENT_TABLE_PRIVATE },
};

static void want_event(struct world *w, unsigned int type, unsigned int before)
{
	if (type)
		assert_int_equal(w->c->events[type], before + 1);
}

static void type1(struct world *w, const struct row *row)
{
	bool takes = !strcmp(row->policy, "complete");
	unsigned int before;
	uint64_t size = LEN;
	int con = w->o.container;

	assert_int_equal(client_map(w->c, con, IOVA, PRIV, LEN, MAP_RW), 0);
	before = w->c->events[row->event];
	assert_int_equal(device_reads(w, w->priv), row->priv_rd);
	want_event(w, row->event, before);
	before = w->c->events[row->event_wr];
	assert_int_equal(device_writes(w, w->priv), row->priv_wr);
	want_event(w, row->event_wr, before);
	assert_int_equal(client_unmap(w->c, con, IOVA, &size, 0), 0);
	/* RAM behind a PFN map: vaddr_get_pfns() does not take it. */
	assert_int_equal(client_map(w->c, con, IOVA, SHARED, LEN, MAP_RW), takes ? 0 : -EFAULT);
	if (!takes)
		return;
	memset(w->c->events, 0, sizeof(w->c->events));
	assert_int_equal(device_reads(w, w->shared), row->shared_rd);
	assert_int_equal(device_writes(w, w->shared), row->shared_rd);
	assert_int_equal(client_unmap(w->c, con, IOVA, &size, 0), 0);
	/* Of the memory that both use, nothing was to be told. */
	for (unsigned int i = CBIT_EVENT_MMIO_ENCRYPTED; i < CBIT_NR_EVENTS; i++)
		assert_int_equal(w->c->events[i], 0);
}

/* A peer's BAR, mapped and reached as the device's state says. */
static void peer(struct world *w, const struct row *row)
{
	const struct cbit_bus at = { w->bar.v };
	uint8_t data[64], seen[64] = { 0 };
	struct cbit_pt_leaf leaf;
	enum cbit_dma_status status;
	uint64_t size = LEN;

	assert_int_equal(client_map(w->c, w->o.container, IOVA, BAR, LEN, MAP_RW), 0);
	memset(data, 0x3c, sizeof(data));
	status = cbit_iommu_dma_write(cbit_machine_iommu(w->c->machine), DEVID, CBIT_IOVA(IOVA),
				      data, sizeof(data), NULL);
	cbit_mem_read(cbit_machine_mem(w->c->machine), at, seen, sizeof(seen));
	assert_int_equal(status, row->dead ? CBIT_DMA_FAULT : CBIT_DMA_OK);
	assert_int_equal(!memcmp(seen, data, sizeof(data)), !row->dead);
	if (!row->dead) {
		/* A private window wants the C-bit, any other wants it clear. */
		assert_int_equal(cbit_pt_walk(cbit_domain_pt(cbit_vfio_domain(
						      w->c->fd[w->o.container].file)),
					      CBIT_IOVA(IOVA), &leaf),
				 0);
		assert_int_equal(!(leaf.attrs & CBIT_ATTR_ENCRYPTED), !row->tdisp);
	}
	assert_int_equal(client_unmap(w->c, w->o.container, IOVA, &size, 0), 0);
}

static void through_type1(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;

		up(&w, rows[i].platform, rows[i].policy,
		   (struct cbit_machine_guest){ rows[i].kind, true, rows[i].tdisp });
		w.o = client_start(w.c, UAPI_TYPE1v2_IOMMU);
		type1(&w, &rows[i]);
		peer(&w, &rows[i]);
		client_down(w.c);
	}
}

static long ioas_map(struct client *c, int fd, uint32_t ioas, uint64_t vaddr)
{
	struct uapi_ioas_map map = { .size = sizeof(map),
				     .flags = UAPI_IOAS_MAP_FIXED_IOVA | UAPI_IOAS_MAP_READABLE |
					      UAPI_IOAS_MAP_WRITEABLE,
				     .ioas_id = ioas,
				     .user_va = vaddr,
				     .length = LEN,
				     .iova = IOVA };

	return client_call(c, fd, UAPI_IOMMUFD_IOAS_MAP, &map, sizeof(map));
}

/* The same by an iommufd. */
static void through_iommufd(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct uapi_bind_iommufd bind = { .argsz = sizeof(bind) };
		struct uapi_attach_pt attach = { .argsz = sizeof(attach) };
		struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };
		struct uapi_ioas_unmap unmap = { .size = sizeof(unmap), .length = UINT64_MAX };
		bool takes = !strcmp(row->policy, "complete");
		struct world w;
		int fd, dev;

		up(&w, row->platform, row->policy,
		   (struct cbit_machine_guest){ row->kind, true, row->tdisp });
		fd = client_open(w.c, CBIT_FILE_IOMMUFD, 0);
		dev = client_open(w.c, CBIT_FILE_DEVICE, 0);
		bind.iommufd = fd;
		assert_int_equal(
			client_call(w.c, dev, UAPI_DEVICE_BIND_IOMMUFD, &bind, sizeof(bind)), 0);
		assert_int_equal(
			client_call(w.c, fd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)), 0);
		attach.pt_id = alloc.out_ioas_id;
		assert_int_equal(client_call(w.c, dev, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach,
					     sizeof(attach)),
				 0);
		assert_int_equal(ioas_map(w.c, fd, alloc.out_ioas_id, PRIV), 0);
		assert_int_equal(device_reads(&w, w.priv), row->priv_rd);
		assert_int_equal(device_writes(&w, w.priv), row->priv_wr);
		unmap.ioas_id = alloc.out_ioas_id;
		assert_int_equal(
			client_call(w.c, fd, UAPI_IOMMUFD_IOAS_UNMAP, &unmap, sizeof(unmap)), 0);
		assert_int_equal(ioas_map(w.c, fd, alloc.out_ioas_id, SHARED), takes ? 0 : -EFAULT);
		if (takes) {
			assert_int_equal(device_reads(&w, w.shared), row->shared_rd);
			assert_int_equal(device_writes(&w, w.shared), row->shared_rd);
		}
		client_down(w.c);
	}
}

/* --- no IOMMU in the guest --- */

#define GPA        (CBIT_CLIENT_DRAM_BASE + UINT64_C(0x80000000))
#define SHARED_GPA (CBIT_CLIENT_SHARED_BASE + UINT64_C(0x80000000))

static enum fate at_address(struct world *w, uint64_t address, uint8_t *mem, bool write)
{
	struct cbit_iommu *iommu = cbit_machine_iommu(w->c->machine);
	uint8_t data[LEN], other[LEN];
	enum cbit_dma_status status;

	memset(mem, 0x11, LEN);
	if (write) {
		memset(other, 0x11, LEN);
		memset(data, 0x77, LEN);
		status = cbit_iommu_dma_write(iommu, DEVID, CBIT_IOVA(address), data, LEN, NULL);
		return fate_of(status, mem, data, other);
	}
	memset(other, 0xff, LEN);
	status = cbit_iommu_dma_read(iommu, DEVID, CBIT_IOVA(address), data, LEN, NULL);
	return fate_of(status, data, mem, other);
}

static void by_physical_address(void **state)
{
	const uint64_t c = UINT64_C(1) << 51;
	const struct {
		enum cbit_guest_kind kind;
		bool tdisp;
		uint64_t c;
		enum fate priv_rd, priv_wr, shared;
	} cases[] = {
		{ CBIT_GUEST_SEV, false, 0, NOISE, NOISE, GOOD },
		{ CBIT_GUEST_SNP, false, 0, FAULT, FAULT, GOOD },
		/* To the host's IOMMU the C-bit is an address that is not mapped. */
		{ CBIT_GUEST_SEV, false, c, FAULT, FAULT, FAULT },
		{ CBIT_GUEST_SEV, true, c, GOOD, GOOD, NOISE },
		{ CBIT_GUEST_SNP, true, c, GOOD, GOOD, LOST },
		{ CBIT_GUEST_SNP, true, 0, NOISE, LOST, GOOD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool snp = cases[i].kind == CBIT_GUEST_SNP;
		struct cbit_guest *guest;
		struct world w;

		up(&w, snp ? "snp-guest" : "sev-guest", "linux-7.2",
		   (struct cbit_machine_guest){ cases[i].kind, false, cases[i].tdisp });
		assert_true(cbit_machine_noiommu(w.c->machine));
		guest = cbit_machine_guest(w.c->machine);
		assert_int_equal(cbit_guest_accept(guest, CBIT_GPA(GPA), LEN), 0);
		assert_int_equal(cbit_guest_accept(guest, CBIT_GPA(SHARED_GPA), LEN), 0);
		w.o = client_start(w.c, UAPI_NOIOMMU_IOMMU);
		assert_int_equal(client_map(w.c, w.o.container, IOVA, PRIV, LEN, MAP_RW), -ENOTTY);
		assert_int_equal(at_address(&w, GPA | cases[i].c, w.priv, false), cases[i].priv_rd);
		assert_int_equal(at_address(&w, GPA | cases[i].c, w.priv, true), cases[i].priv_wr);
		assert_int_equal(at_address(&w, SHARED_GPA | cases[i].c, w.shared, true),
				 cases[i].shared);
		/* The last group gone, its device goes on: there is nobody to block it. */
		client_close(w.c, w.o.device);
		client_close(w.c, w.o.group);
		client_close(w.c, w.o.container);
		assert_int_equal(at_address(&w, SHARED_GPA | cases[i].c, w.shared, true),
				 cases[i].shared);
		client_down(w.c);
	}
}

/* What stands where: entries in the guest's memory, RMP entries of what was mapped, and of no more.
 */
static void page_state(void **state)
{
	struct cbit_rmp_entry e;
	struct world w;
	struct cbit_mem *mem;
	uint64_t priv, shared;

	(void)state;
	up(&w, "snp-guest", "complete", (struct cbit_machine_guest){ CBIT_GUEST_SNP, true, false });
	mem = cbit_machine_mem(w.c->machine);
	w.o = client_start(w.c, UAPI_TYPE1v2_IOMMU);
	priv = CBIT_CLIENT_DRAM_BASE + UINT64_C(0x80000000);
	shared = CBIT_CLIENT_SHARED_BASE + UINT64_C(0x80000000);
	assert_int_equal(cbit_rmp_read(mem, CBIT_SPA(priv), &e), 0);
	assert_false(e.assigned);
	assert_int_equal(client_map(w.c, w.o.container, IOVA, PRIV, LEN, MAP_RW), 0);
	assert_int_equal(cbit_rmp_read(mem, CBIT_SPA(priv), &e), 0);
	assert_true(e.assigned && e.validated && e.asid == 1 && e.gpa == priv);
	assert_int_equal(cbit_rmp_read(mem, CBIT_SPA(priv + 0x200000), &e), 0);
	assert_false(e.assigned);
	assert_int_equal(client_map(w.c, w.o.container, IOVA + LEN, SHARED, LEN, MAP_RW), 0);
	assert_false(cbit_guest_is_shared(cbit_machine_guest(w.c->machine), CBIT_GPA(priv)));
	assert_true(cbit_guest_is_shared(cbit_machine_guest(w.c->machine), CBIT_GPA(shared)));
	client_down(w.c);
	assert_null(cbit_machine_guest((w.c = client_up("sme", "complete", NULL))->machine));
	client_down(w.c);
}

/* What VFIO in a guest makes of a page, as a table. */
static void entries(void **state)
{
	static const struct {
		const char *policy;
		struct cbit_policy_guest_page page; /* shared, window, tdisp_run */
		bool c;
	} cases[] = {
		{ "linux-7.2", { false, false, false }, true },
		{ "linux-7.2", { true, false, false }, true },
		{ "linux-7.2", { true, true, false }, true },
		{ "linux-6.17", { true, false, true }, true },
		{ "posted-mmio", { true, false, false }, true },
		{ "complete", { false, false, false }, false },
		{ "complete", { true, false, false }, false },
		{ "complete", { true, true, false }, false },
		{ "complete", { false, false, true }, true },
		{ "complete", { true, false, true }, false },
		{ "complete", { false, true, true }, true },
		{ "complete", { true, true, true }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(cbit_policy_guest_attrs(cbit_policy_preset(cases[i].policy),
							 &cases[i].page,
							 CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED),
				 CBIT_ATTR_RW | (cases[i].c ? CBIT_ATTR_ENCRYPTED : 0));
	assert_true(cbit_policy_takes_pfn_ram(cbit_policy_preset("complete")));
	assert_false(cbit_policy_takes_pfn_ram(cbit_policy_preset("linux-7.2")));
	assert_false(cbit_policy_takes_pfn_ram(cbit_policy_preset("linux-6.17")));
	assert_false(cbit_policy_takes_pfn_ram(cbit_policy_preset("posted-mmio")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(through_type1),
		cmocka_unit_test(through_iommufd),
		cmocka_unit_test(by_physical_address),
		cmocka_unit_test(page_state),
		cmocka_unit_test(entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
