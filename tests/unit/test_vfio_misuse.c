/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that are answered as in Linux and do not do what the program thinks: what is told of
 * them, and that nothing is told of those that are right.
 */
#include "client_rig.h"

#define P    CBIT_PAGE_SIZE
#define IOVA UINT64_C(0x10000000)

/* What the last event pointed to. */
static struct seen {
	unsigned int n;
	enum cbit_event_type type;
	char what[32];
	uint64_t count;
	struct cbit_iova iova;
	uint64_t len;
	struct cbit_mapping_info mapping, call, below, above;
} seen;

#define TRACE 99

static void on_event(void *opaque, const struct cbit_event *ev)
{
	(void)opaque;
	if (ev->type == CBIT_EVENT_MAP || ev->type == CBIT_EVENT_MAPPING_LEAKED) {
		assert_int_equal(ev->mapping.trace, TRACE);
		return;
	}
	seen = (struct seen){ .n = seen.n + 1,
			      .type = ev->type,
			      .count = ev->count,
			      .iova = ev->iova,
			      .len = ev->len,
			      .mapping = ev->mapping };
	snprintf(seen.what, sizeof(seen.what), "%s", ev->what);
	assert_non_null(ev->call);
	seen.call = *ev->call;
	assert_int_equal(seen.call.trace, TRACE);
	assert_int_equal(seen.call.pid, CLIENT_PID);
	if (ev->below)
		seen.below = *ev->below;
	if (ev->above)
		seen.above = *ev->above;
}

struct fixture {
	struct client *c;
};

static int setup(void **state)
{
	const struct cbit_observer observer = { .event = on_event };
	struct fixture *f = malloc(sizeof(*f));

	f->c = client_up("sme", "complete", &observer);
	f->c->trace = TRACE;
	client_plug(f->c, "ioat");
	seen = (struct seen){ 0 };
	*state = f;
	return 0;
}

static void unmap(struct client *c, int fd, uint64_t iova, uint64_t size, uint64_t expect)
{
	assert_int_equal(client_unmap(c, fd, iova, &size, 0), 0);
	assert_int_equal(size, expect);
}

static void test_unmapped_nothing(void **state)
{
	struct client *c = ((struct fixture *)*state)->c;
	struct opened o = client_start(c, UAPI_TYPE1v2_IOMMU);
	uint64_t none = 0;

	assert_int_equal(client_map(c, o.container, IOVA, RAM, 2 * P, MAP_RW), 0);
	assert_int_equal(client_map(c, o.container, IOVA + 8 * P, RAM, P, MAP_RW), 0);
	unmap(c, o.container, IOVA + 4 * P, P, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.type, CBIT_EVENT_UNMAPPED_NOTHING);
	assert_string_equal(seen.what, "VFIO_IOMMU_UNMAP_DMA");
	assert_int_equal(seen.call.iova.v, IOVA + 4 * P);
	assert_int_equal(seen.call.size, P);
	assert_int_equal(seen.below.id, 1);
	assert_int_equal(seen.below.iova.v, IOVA);
	assert_int_equal(seen.above.id, 2);
	assert_int_equal(seen.above.iova.v, IOVA + 8 * P);
	unmap(c, o.container, IOVA - P, P, 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.below.id, 0);
	assert_int_equal(seen.above.id, 1);
	/* what is refused says so itself, and what unmaps something is no finding */
	none = P;
	assert_int_equal(client_unmap(c, o.container, IOVA, &none, 0), -EINVAL);
	unmap(c, o.container, IOVA, 8 * P, 2 * P);
	unmap(c, o.container, IOVA + 8 * P, P, P);
	none = 0;
	assert_int_equal(client_unmap(c, o.container, 0, &none, UAPI_DMA_UNMAP_ALL), 0);
	assert_int_equal(seen.n, 2);
}

/* v1: a request that begins inside a mapping is answered with 0, and removes nothing. */
static void test_unmapped_inside(void **state)
{
	struct client *c = ((struct fixture *)*state)->c;
	struct opened o = client_start(c, UAPI_TYPE1_IOMMU);

	assert_int_equal(client_map(c, o.container, IOVA, RAM, 4 * P, MAP_RW), 0);
	unmap(c, o.container, IOVA + P, P, 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.below.id, 1);
	assert_int_equal(seen.above.id, 0);
	unmap(c, o.container, IOVA, P, 4 * P);
	assert_int_equal(seen.n, 1);
}

static void test_no_iommu(void **state)
{
	struct client *c = ((struct fixture *)*state)->c;
	int container = client_open(c, CBIT_FILE_CONTAINER, 0);
	int group = client_open(c, CBIT_FILE_GROUP, 1);
	uint64_t size = P;

	assert_int_equal(client_ioctl(c, container, UAPI_GET_API_VERSION, 0), 0);
	assert_int_equal(client_ioctl(c, container, UAPI_CHECK_EXTENSION, UAPI_TYPE1v2_IOMMU), 1);
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), -EINVAL);
	assert_int_equal(client_ioctl(c, container, UAPI_IOMMU_DIRTY_PAGES, ARGS), -EINVAL);
	assert_int_equal(seen.n, 0);
	assert_int_equal(client_map(c, container, IOVA, RAM, P, MAP_RW), -EINVAL);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.type, CBIT_EVENT_NO_IOMMU);
	assert_string_equal(seen.what, "VFIO_IOMMU_MAP_DMA");
	assert_int_equal(seen.count, 0);
	assert_int_equal(client_call(c, group, UAPI_GROUP_SET_CONTAINER, &container, 4), 0);
	assert_int_equal(client_unmap(c, container, IOVA, &size, 0), -EINVAL);
	assert_int_equal(seen.n, 2);
	assert_string_equal(seen.what, "VFIO_IOMMU_UNMAP_DMA");
	assert_int_equal(seen.count, 1);
	assert_int_equal(client_ioctl(c, container, UAPI_IOMMU_GET_INFO, ARGS), -EINVAL);
	assert_int_equal(seen.n, 3);
	assert_string_equal(seen.what, "VFIO_IOMMU_GET_INFO");
	assert_int_equal(client_ioctl(c, container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), 0);
	assert_int_equal(client_map(c, container, IOVA, RAM, P, MAP_RW), 0);
	assert_int_equal(seen.n, 3);
}

static void dma(struct client *c, uint64_t iova, size_t len)
{
	uint8_t buf[16 * 4096] = { 0 };

	assert_true(len <= sizeof(buf));
	assert_int_equal(cbit_iommu_dma_write(cbit_machine_iommu(c->machine), 0x100,
					      CBIT_IOVA(iova), buf, len, NULL),
			 CBIT_DMA_OK);
}

static void test_exists(void **state)
{
	static const struct {
		uint64_t old_pages, vaddr, iova, pages;
		uint32_t flags, old_flags;
		uint64_t dma, dma_len;
		bool told;
		uint64_t at, len;
	} cases[] = {
		/* beside it; then across its beginning; the refused range is longer than the old */
		{ 4, RAM + 64 * P, 0, 4, MAP_RW, MAP_RW, 0, P, true, 0, P },
		{ 8, RAM + 64 * P, 4 * P, 2, MAP_RW, MAP_RW, 0, 4 * P, false, 0, 0 },
		{ 8, RAM + 64 * P, 4 * P, 2, MAP_RW, MAP_RW, 0, 5 * P, true, 4 * P, P },
		{ 8, RAM + 64 * P, 4 * P, 2, MAP_RW, MAP_RW, 5 * P + 5, 2 * P, true, 5 * P + 5,
		  P - 5 },
		{ 8, RAM + 64 * P, 4 * P, 2, MAP_RW, MAP_RW, 6 * P, 2 * P, false, 0, 0 },
		/* what is there already, or part of it: no harm */
		{ 4, RAM, 0, 4, MAP_RW, MAP_RW, 0, P, false, 0, 0 },
		{ 4, RAM + P, P, 2, UAPI_DMA_MAP_READ, MAP_RW, P, P, false, 0, 0 },
		/* but not with fewer rights, nor reaching beyond it */
		{ 4, RAM, 0, 4, MAP_RW, UAPI_DMA_MAP_WRITE, 0, P, true, 0, P },
		{ 4, RAM, 0, 5, MAP_RW, MAP_RW, 0, P, true, 0, P },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client *c = ((struct fixture *)*state)->c;
		struct opened o = client_start(c, UAPI_TYPE1v2_IOMMU);

		seen.n = 0;
		assert_int_equal(client_map(c, o.container, IOVA, RAM, cases[i].old_pages * P,
					    cases[i].old_flags),
				 0);
		assert_int_equal(client_map(c, o.container, IOVA + cases[i].iova, cases[i].vaddr,
					    cases[i].pages * P, cases[i].flags),
				 -EEXIST);
		assert_int_equal(seen.n, 0);
		for (unsigned int again = 0; again < 3; again++)
			dma(c, IOVA + cases[i].dma, cases[i].dma_len);
		if (seen.n != cases[i].told)
			fail_msg("case %zu: told %u times", i, seen.n);
		if (cases[i].told) {
			assert_int_equal(seen.type, CBIT_EVENT_DMA_REFUSED_MAP);
			assert_int_equal(seen.iova.v, IOVA + cases[i].at);
			assert_int_equal(seen.len, cases[i].len);
			assert_int_equal(seen.mapping.vaddr, RAM);
			assert_int_equal(seen.mapping.trace, TRACE);
			assert_int_equal(seen.call.vaddr, cases[i].vaddr);
			assert_int_equal(seen.call.iova.v, IOVA + cases[i].iova);
			assert_int_equal(seen.call.size, cases[i].pages * P);
			assert_int_equal(seen.call.id, 0);
		}
		client_close(c, o.device);
		client_close(c, o.group);
		client_close(c, o.container);
	}
}

/* Unmapped or mapped anew, it is as the program wants it; and only so many are remembered. */
static void test_exists_over(void **state)
{
	struct client *c = ((struct fixture *)*state)->c;
	struct opened o = client_start(c, UAPI_TYPE1v2_IOMMU);

	assert_int_equal(client_map(c, o.container, IOVA, RAM, 4 * P, MAP_RW), 0);
	assert_int_equal(client_map(c, o.container, IOVA, RAM + P, 2 * P, MAP_RW), -EEXIST);
	unmap(c, o.container, IOVA, 4 * P, 4 * P);
	assert_int_equal(client_map(c, o.container, IOVA, RAM + P, 2 * P, MAP_RW), 0);
	dma(c, IOVA, 2 * P);
	assert_int_equal(seen.n, 0);
	unmap(c, o.container, IOVA, 2 * P, 2 * P);

	assert_int_equal(client_map(c, o.container, IOVA, RAM, 16 * P, MAP_RW), 0);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(client_map(c, o.container, IOVA + i % 16 * P, RAM + 100 * P,
					    (1 + i / 16) * P, MAP_RW),
				 -EEXIST);
	dma(c, IOVA, 16 * P);
	assert_int_equal(seen.n, 1);
	for (unsigned int i = 0; i < 40; i++)
		dma(c, IOVA, 16 * P);
	/* each once: twenty calls, of which sixteen are remembered */
	assert_int_equal(seen.n, 16);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_unmapped_nothing), T(test_unmapped_inside), T(test_no_iommu),
		T(test_exists),           T(test_exists_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
