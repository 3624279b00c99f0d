/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peer to peer into a BAR side by side: by dma-buf it works under policy complete and under Linux
 * 7.2's, by type1 only under complete. One table, one copy, and what differs is how it is mapped.
 */
#include "iommufd_rig.h"

#define BAR      2u
#define BAR_SIZE UINT64_C(0x10000)
#define BAR_VA   UINT64_C(0x610000000000) /* where the client has it mapped */
#define IOVA     UINT64_C(0x40000000)

static struct cbit_pci *pci_of(struct client *c, unsigned int dev)
{
	struct cbit_device_info info;

	assert_true(cbit_machine_device(c->machine, dev, &info));
	return info.pci;
}

/* Device 1 of group 2 in a container; device 0's BAR is memory of the client. */
static void map_by_type1(struct rig *r)
{
	const struct cbit_bar_info *bar = cbit_pci_bar(pci_of(r->c, 0), BAR);
	int container = client_open(r->c, CBIT_FILE_CONTAINER, 0);
	int group = client_open(r->c, CBIT_FILE_GROUP, 2);
	char name[] = "0000:02:00.0";

	client_add(r->c, BAR_VA, BAR_SIZE, bar->spa.v, CBIT_MEM_MMIO, NULL);
	assert_int_equal(client_call(r->c, group, UAPI_GROUP_SET_CONTAINER, &container, 4), 0);
	assert_int_equal(client_ioctl(r->c, container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), 0);
	assert_true(client_call(r->c, group, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name)) > 0);
	assert_int_equal(client_map(r->c, container, IOVA, BAR_VA, BAR_SIZE, 3), 0);
}

static void map_by_dmabuf(struct rig *r)
{
	int fd;

	assert_true(rig_bind(r, 0) > 0);
	assert_true(rig_bind(r, 1) > 0);
	assert_true(rig_attach(r, 1, r->ioas) > 0);
	fd = (int)rig_dmabuf(r, 0, BAR, 0, BAR_SIZE);
	assert_true(fd > 0);
	assert_int_equal(rig_map_file(r, r->ioas, IOVA, fd, 0, BAR_SIZE), 0);
}

/* What comes of it: bytes and entry. */
static void check(struct rig *r, bool arrives)
{
	const char *bytes = "peer to peer";
	const size_t len = strlen(bytes);
	struct cbit_pci *peer = pci_of(r->c, 0);
	uint8_t back[16];

	assert_int_equal(r->c->events[CBIT_EVENT_MMIO_ENCRYPTED], arrives ? 0 : 1);
	assert_int_equal(rig_dma_write(r, 1, IOVA + P, bytes, len),
			 arrives ? CBIT_DMA_OK : CBIT_DMA_ABORT);
	cbit_pci_bar_read(peer, BAR, P, back, (uint32_t)len);
	if (arrives)
		assert_memory_equal(back, bytes, len);
	else
		assert_memory_equal(back, (uint8_t[16]){ 0 }, len);
	assert_int_equal(cbit_iommu_dma_read(cbit_machine_iommu(r->c->machine),
					     cbit_pci_devid(pci_of(r->c, 1)), CBIT_IOVA(IOVA + P),
					     back, len, NULL),
			 arrives ? CBIT_DMA_OK : CBIT_DMA_ABORT);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(back[i], arrives ? (uint8_t)bytes[i] : 0xff);
}

static void test_side_by_side(void **state)
{
	static const struct {
		const char *policy;
		bool type1;
		bool arrives;
	} cases[] = {
		{ "complete", false, true },   { "linux-7.2", false, true },
		{ "linux-7.2", true, false },  { "complete", true, true },
		{ "linux-6.17", true, false }, /* before there were dma-bufs of BARs */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void *rig;

		assert_int_equal(rig_up_with(&rig, "sme", cases[i].policy), 0);
		if (cases[i].type1)
			map_by_type1(rig);
		else
			map_by_dmabuf(rig);
		check(rig, cases[i].arrives);
		client_teardown(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_side_by_side) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
