/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * type1v2's dirty bitmaps and address updates: every bit of the bitmap, every error in the
 * order of Linux 7.2's vfio_iommu_type1.c, and DMA that goes on across an update.
 */
#include "client_rig.h"

#define P      CBIT_PAGE_SIZE
#define BITMAP (ARGS + 0x1000)

struct fixture {
	struct client *c;
	struct opened o;
};

static int setup(void **state)
{
	struct fixture *f = malloc(sizeof(*f));

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat");
	f->o = client_start(f->c, UAPI_TYPE1v2_IOMMU);
	*state = f;
	return 0;
}

static long map(struct fixture *f, uint64_t iova, uint64_t size, uint64_t vaddr, uint32_t flags)
{
	return client_map(f->c, f->o.container, iova, vaddr, size, flags);
}

static long unmap(struct fixture *f, uint64_t iova, uint64_t size, uint32_t flags, uint64_t *done)
{
	uint64_t n = size;

	return client_unmap(f->c, f->o.container, iova, done ? (*done = size, done) : &n, flags);
}

static long dirty(struct fixture *f, uint32_t flags)
{
	struct uapi_dirty arg = { sizeof(arg), flags };

	return client_call(f->c, f->o.container, UAPI_IOMMU_DIRTY_PAGES, &arg, sizeof(arg));
}

struct get {
	struct uapi_dirty head;
	struct uapi_dirty_get range;
};

static struct get get_arg(uint64_t iova, uint64_t size)
{
	return (struct get){ .head = { sizeof(struct get), UAPI_DIRTY_GET_BITMAP },
			     .range = { iova, size, { P, 64, BITMAP } } };
}

static long get(struct fixture *f, struct get *arg)
{
	return client_call(f->c, f->o.container, UAPI_IOMMU_DIRTY_PAGES, arg, sizeof(*arg));
}

static uint8_t *bitmap(struct fixture *f)
{
	return f->c->args + (BITMAP - ARGS);
}

static uint64_t word(struct fixture *f, unsigned int i)
{
	uint64_t v;

	memcpy(&v, bitmap(f) + i * sizeof(v), sizeof(v));
	return v;
}

static void test_bits(void **state)
{
	struct fixture *f = *state;
	struct get arg = get_arg(0, 200 * P);

	/* pages 3..5, 62..66, 130..193: within a word, across one, a word and more */
	assert_int_equal(map(f, 3 * P, 3 * P, RAM, 3), 0);
	assert_int_equal(map(f, 62 * P, 5 * P, RAM + 16 * P, 3), 0);
	assert_int_equal(map(f, 130 * P, 64 * P, RAM + 32 * P, 3), 0);
	assert_int_equal(get(f, &arg), -EINVAL); /* not tracking */
	assert_int_equal(dirty(f, UAPI_DIRTY_START), 0);
	assert_int_equal(dirty(f, UAPI_DIRTY_START), 0);
	memset(bitmap(f), 0, 64);
	assert_int_equal(get(f, &arg), 0);
	assert_int_equal(word(f, 0), UINT64_C(0x38) | UINT64_C(3) << 62);
	assert_int_equal(word(f, 1), 7);
	assert_int_equal(word(f, 2), ~UINT64_C(3));
	assert_int_equal(word(f, 3), 3);
	assert_int_equal(word(f, 4), 0);
	/*
	 * The bits before a mapping's first are the client's; those behind its last are cleared,
	 * but for what an earlier shift has left behind the last one in the kernel's own bitmap.
	 */
	memset(bitmap(f), 0xff, 64);
	arg = get_arg(62 * P, 5 * P);
	assert_int_equal(get(f, &arg), 0);
	assert_int_equal(word(f, 0), UINT64_C(0x3f) | UINT64_C(3) << 62);
	assert_int_equal(word(f, 1), UINT64_MAX);
	/* unless the mapping starts within a word: the kernel ORs the whole of that one in */
	memset(bitmap(f), 0xf0, 64);
	arg = get_arg(60 * P, 7 * P);
	assert_int_equal(get(f, &arg), 0);
	assert_int_equal(word(f, 0), UINT64_C(0xf0f0f0f0f0f0f0f0) | 0xfc);
	assert_int_equal(word(f, 1), UINT64_C(0xf0f0f0f0f0f0f0f0));
	arg = get_arg(62 * P, 5 * P);
	assert_int_equal(dirty(f, UAPI_DIRTY_STOP), 0);
	assert_int_equal(get(f, &arg), -EINVAL);
	/* a new start has new bitmaps */
	assert_int_equal(dirty(f, UAPI_DIRTY_START), 0);
	assert_int_equal(get(f, &arg), 0);
	assert_int_equal(word(f, 0), 0x1f);
}

static void test_errors(void **state)
{
	struct fixture *f = *state;
	struct get arg;
	static const struct {
		uint32_t argsz, flags;
		long ret;
	} heads[] = {
		{ 7, UAPI_DIRTY_START, -EINVAL },
		{ 8, 0, -EINVAL },
		{ 8, 8, -EINVAL },
		{ 8, UAPI_DIRTY_START | UAPI_DIRTY_STOP, -EINVAL },
		{ 8, UAPI_DIRTY_GET_BITMAP, -EINVAL },
		{ 47, UAPI_DIRTY_GET_BITMAP, -EINVAL },
	};
	static const struct {
		uint64_t iova, size, pgsize, bytes, data;
		long ret;
	} gets[] = {
		{ 0, 0, P, 64, BITMAP, -EINVAL },
		{ UINT64_MAX - P + 1, 2 * P, P, 64, BITMAP, -EOVERFLOW },
		{ 0, 4 * P, 0, 64, BITMAP, -EINVAL },
		{ 0, 4 * P, 2 * P, 64, BITMAP, -EINVAL },
		{ 0, 4 * P, P, 0, BITMAP, -EINVAL },
		{ 0, 4 * P, P, (1u << 28) + 8, BITMAP, -EINVAL },
		{ 0, 65 * P, P, 8, BITMAP, -EINVAL }, /* two words are needed */
		{ 1, 4 * P, P, 64, BITMAP, -EINVAL },
		{ 0, 4 * P + 1, P, 64, BITMAP, -EINVAL },
		{ P, 3 * P, P, 64, BITMAP, -EINVAL }, /* cuts the mapping's begin */
		{ 0, 2 * P, P, 64, BITMAP, -EINVAL }, /* and its end */
		{ 0, 4 * P, P, 8, NOWHERE, -EFAULT },
		{ 0, 4 * P, P, 8, BITMAP, 0 },
	};

	assert_int_equal(map(f, 0, 4 * P, RAM, 3), 0);
	assert_int_equal(dirty(f, UAPI_DIRTY_START), 0);
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		arg = get_arg(0, 4 * P);
		arg.head = (struct uapi_dirty){ heads[i].argsz, heads[i].flags };
		assert_int_equal(get(f, &arg), heads[i].ret);
	}
	for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++) {
		arg = get_arg(gets[i].iova, gets[i].size);
		arg.range.bitmap =
			(struct uapi_bitmap){ gets[i].pgsize, gets[i].bytes, gets[i].data };
		assert_int_equal(get(f, &arg), gets[i].ret);
	}
}

static void test_unmap_bitmap(void **state)
{
	struct fixture *f = *state;
	struct {
		struct uapi_dma_unmap head;
		struct uapi_bitmap bitmap;
	} arg = { { sizeof(arg), UAPI_DMA_UNMAP_DIRTY_BITMAP, 0, 8 * P }, { P, 8, BITMAP } };

	assert_int_equal(map(f, 2 * P, 2 * P, RAM, 3), 0);
	assert_int_equal(map(f, 6 * P, P, RAM + 8 * P, 3), 0);
	/* only while tracking */
	assert_int_equal(client_call(f->c, f->o.container, UAPI_IOMMU_UNMAP_DMA, &arg, sizeof(arg)),
			 -EINVAL);
	assert_int_equal(dirty(f, UAPI_DIRTY_START), 0);
	arg.head.argsz = sizeof(arg.head);
	assert_int_equal(client_call(f->c, f->o.container, UAPI_IOMMU_UNMAP_DMA, &arg, sizeof(arg)),
			 -EINVAL);
	arg.head.argsz = sizeof(arg);
	memset(bitmap(f), 0, 64);
	assert_int_equal(client_call(f->c, f->o.container, UAPI_IOMMU_UNMAP_DMA, &arg, sizeof(arg)),
			 0);
	assert_int_equal(arg.head.size, 3 * P);
	assert_int_equal(word(f, 0), 0x4c);
	assert_int_equal(f->c->pinned, 0);
}

static void test_vaddr(void **state)
{
	struct fixture *f = *state;
	uint64_t done;

	assert_int_equal(client_ioctl(f->c, f->o.container, UAPI_CHECK_EXTENSION, 10), 1);
	assert_int_equal(map(f, 0, 4 * P, RAM, 3), 0);
	assert_int_equal(map(f, 8 * P, 4 * P, RAM + 8 * P, 3), 0);
	assert_int_equal(map(f, 0, 4 * P, RAM, UAPI_DMA_MAP_VADDR), -EINVAL); /* it has one */
	assert_int_equal(map(f, 16 * P, 4 * P, RAM, UAPI_DMA_MAP_VADDR), -ENOENT);
	assert_int_equal(unmap(f, 8 * P, 4 * P, UAPI_DMA_UNMAP_VADDR, &done), 0);
	assert_int_equal(done, 4 * P);
	/* all or nothing: the second has none, so the first keeps its own */
	assert_int_equal(unmap(f, 0, 12 * P, UAPI_DMA_UNMAP_VADDR, NULL), -EINVAL);
	assert_int_equal(map(f, 0, 4 * P, RAM, UAPI_DMA_MAP_VADDR), -EINVAL);
	assert_int_equal(map(f, 8 * P, 2 * P, RAM, UAPI_DMA_MAP_VADDR), -EINVAL);
	/* the same pages at another address: nothing moves */
	client_add(f->c, UINT64_C(0x600000000000), 64 * P, RAM_SPA, CBIT_MEM_DRAM, NULL);
	assert_int_equal(map(f, 8 * P, 4 * P, UINT64_C(0x600000000000) + 8 * P, UAPI_DMA_MAP_VADDR),
			 0);
	assert_int_equal(f->c->pinned, 8);
	/* other pages: the device sees what the program shows */
	assert_int_equal(unmap(f, 8 * P, 4 * P, UAPI_DMA_UNMAP_VADDR, NULL), 0);
	assert_int_equal(map(f, 8 * P, 4 * P, RAM + 64 * P, UAPI_DMA_MAP_VADDR), 0);
	memset(f->c->ram + 64 * P, 0x5a, 4 * P);
	{
		uint8_t buf[16];

		assert_int_equal(cbit_iommu_dma_read(cbit_machine_iommu(f->c->machine), 0x100,
						     CBIT_IOVA(8 * P), buf, 16, NULL),
				 CBIT_DMA_OK);
		assert_int_equal(buf[0], 0x5a);
	}
	assert_int_equal(f->c->pinned, 8);
	/* one that was taken back can be unmapped for good */
	assert_int_equal(unmap(f, 0, 4 * P, UAPI_DMA_UNMAP_VADDR, NULL), 0);
	assert_int_equal(unmap(f, 0, 0, UAPI_DMA_UNMAP_ALL, &done), 0);
	assert_int_equal(done, 8 * P);
	assert_int_equal(f->c->pinned, 0);
	assert_int_equal(f->c->owners, 0);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(test_bits), T(test_errors), T(test_unmap_bitmap),
					    T(test_vaddr) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
