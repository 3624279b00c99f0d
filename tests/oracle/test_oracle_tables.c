/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables that Linux has built for the calls of probe_tables, as recorded from its memory,
 * against those that cbit builds for the same calls: both are read by pt, and every entry must be
 * the same to the bit. The record tells where the program's pages lay; here they lie at the same
 * distance from the start of the client's memory, so addresses differ by that start and nothing
 * else does.
 *
 * CBIT_ORACLE_TABLES names the record.
 */
#define CLIENT_RANGES 8192 /* one for each run of pages */
#include "../unit/client_rig.h"

#include <inttypes.h>

#include <cbit/iommu.h>
#include <cbit/pt.h>

#define DEVICE_ID   0x100
#define ADDRESS     UINT64_C(0x000ffffffffff000)
#define LINUX_RAM   (UINT64_C(1) << 30)
#define MOST_LEAVES 65536

struct record {
	FILE *file;
	char *line;
	size_t room;
	unsigned long at;
	struct cbit_mem *mem; /* Linux's tables */
	struct client *c;
	int fd, group, device;
	uint32_t ioas;
	bool native;
	unsigned int dumps, maps;
	uint64_t leaves, of_size[64];
};

/* Says where in the record it was, for the runs of pages are many. */
#define CHECK(r, x, ...)                                                  \
	do {                                                              \
		if (!(x)) {                                               \
			print_error("line %lu of the record: ", (r)->at); \
			fail_msg(__VA_ARGS__);                            \
		}                                                         \
	} while (0)

static bool next_line(struct record *r)
{
	r->at++;
	return getline(&r->line, &r->room, r->file) > 0;
}

static uint64_t word(char **p)
{
	uint64_t v = strtoull(*p, p, 16);

	return v;
}

static struct cbit_mem *linux_memory(void)
{
	struct cbit_platform platform;
	struct cbit_mem_region_desc dram = { .kind = CBIT_MEM_DRAM,
					     .encrypts = true,
					     .base = CBIT_SPA(0),
					     .size = LINUX_RAM,
					     .name = "ram" };
	struct cbit_mem *mem;

	assert_int_equal(cbit_platform_preset("bare", &platform), 0);
	assert_int_equal(cbit_mem_create(&platform, &mem), 0);
	assert_int_equal(cbit_mem_add_region(mem, &dram, NULL), 0);
	return mem;
}

/* A new client with the memory that the record's first lines name. */
static void new_client(struct record *r, const char *platform)
{
	struct client *old = r->c;

	r->c = client_up(platform, "linux-7.2", NULL);
	r->c->ranges = 1; /* the arguments */
	for (unsigned int i = 1; old && i < old->ranges; i++) {
		const struct client_range *range = &old->range[i];

		client_add(r->c, range->start, range->len, range->spa, range->kind, NULL);
	}
	client_plug(r->c, "ioat");
	if (old)
		client_down(old);
}

static void add_memory(struct record *r, char *p)
{
	uint64_t va = word(&p), len = word(&p), pa = word(&p);

	client_add(r->c, va, len, CBIT_CLIENT_DRAM_BASE + pa, CBIT_MEM_DRAM, NULL);
}

static void start(struct record *r, const char *how)
{
	char name[16] = "0000:01:00.0";
	unsigned long type = UAPI_TYPE1v2_IOMMU;

	new_client(r, "bare");
	r->native = !strncmp(how, "iommufd", 7);
	if (r->native) {
		struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };
		struct uapi_bind_iommufd bind = { .argsz = sizeof(bind) };
		struct uapi_attach_pt attach = { .argsz = 12 };

		bind.iommufd = r->fd = client_open(r->c, CBIT_FILE_IOMMUFD, 0);
		r->device = client_open(r->c, CBIT_FILE_DEVICE, 0);
		assert_int_equal(
			client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)),
			0);
		assert_int_equal(
			client_call(r->c, r->device, UAPI_DEVICE_BIND_IOMMUFD, &bind, sizeof(bind)),
			0);
		attach.pt_id = r->ioas = alloc.out_ioas_id;
		assert_int_equal(
			client_call(r->c, r->device, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach, 12),
			0);
		return;
	}
	if (!strncmp(how, "type1\n", 6))
		type = UAPI_TYPE1_IOMMU;
	r->fd = client_open(
		r->c, !strncmp(how, "compat", 6) ? CBIT_FILE_IOMMUFD : CBIT_FILE_CONTAINER, 0);
	r->group = client_open(r->c, CBIT_FILE_GROUP, 1);
	assert_int_equal(client_call(r->c, r->group, UAPI_GROUP_SET_CONTAINER, &r->fd, 4), 0);
	assert_int_equal(client_ioctl(r->c, r->fd, UAPI_SET_IOMMU, type), 0);
	r->device = (int)client_call(r->c, r->group, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	assert_true(r->device >= 0);
}

static void map(struct record *r, char *p)
{
	uint64_t iova = word(&p), va = word(&p), size = word(&p);
	uint32_t rights = (uint32_t)word(&p);
	long expected = strtol(p, NULL, 10), ret;

	if (r->native) {
		struct uapi_ioas_map m = { .size = sizeof(m),
					   .flags = UAPI_IOAS_MAP_FIXED_IOVA,
					   .ioas_id = r->ioas,
					   .user_va = va,
					   .length = size,
					   .iova = iova };

		m.flags |= rights & UAPI_DMA_MAP_READ ? UAPI_IOAS_MAP_READABLE : 0;
		m.flags |= rights & UAPI_DMA_MAP_WRITE ? UAPI_IOAS_MAP_WRITEABLE : 0;
		ret = client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_MAP, &m, sizeof(m));
	} else {
		ret = client_map(r->c, r->fd, iova, va, size, rights);
	}
	CHECK(r, ret == expected, "mapping: %ld, on Linux %ld", ret, expected);
	r->maps++;
}

static void unmap(struct record *r, char *p)
{
	uint64_t iova = word(&p), size = word(&p);
	long expected = strtol(p, NULL, 10), ret;

	if (r->native) {
		struct uapi_ioas_unmap m = { sizeof(m), r->ioas, iova, size };

		ret = client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_UNMAP, &m, sizeof(m));
	} else {
		ret = client_unmap(r->c, r->fd, iova, &size, 0);
	}
	CHECK(r, ret == expected, "unmapping: %ld, on Linux %ld", ret, expected);
}

/* A page of Linux's tables goes to where it was. */
static void add_page(struct record *r, char *p)
{
	uint64_t spa = word(&p), entry[512] = { 0 };

	while (*p == ' ') {
		uint64_t i = word(&p);

		assert_true(i < 512 && *p++ == ':');
		entry[i] = word(&p);
	}
	assert_int_equal(cbit_mem_write(r->mem, (struct cbit_bus){ spa }, entry, sizeof(entry)),
			 CBIT_MEM_OK);
}

/* All leaves under a device table entry, in order. */
static size_t leaves(struct cbit_mem *mem, uint64_t dte, struct cbit_pt_leaf *out)
{
	unsigned int mode = (unsigned int)(dte >> 9) & 7;
	unsigned int bits = 12 + 9 * mode;
	uint64_t iova = 0;
	size_t n = 0;

	for (;;) {
		struct cbit_pt_leaf *leaf = &out[n];
		int ret = cbit_pt_walk_from(mem, CBIT_PT_AMDV1, (struct cbit_bus){ dte & ADDRESS },
					    mode, CBIT_IOVA(iova), leaf);

		assert_true(!ret || ret == -ENOENT);
		assert_true(n < MOST_LEAVES - 1);
		n += !ret;
		if (__builtin_add_overflow(leaf->iova.v, leaf->size, &iova) ||
		    (bits < 64 && iova >> bits))
			return n;
	}
}

static void compare_dte(struct record *r, const uint64_t dte[4], const uint64_t own[4])
{
	/* where tables lie, and the domain's number */
	const uint64_t mask0 = ~ADDRESS, mask1 = ~UINT64_C(0xffff);

	CHECK(r, (dte[0] & mask0) == (own[0] & mask0), "DTE %" PRIx64 ", on Linux %" PRIx64, own[0],
	      dte[0]);
	CHECK(r, (dte[1] & mask1) == (own[1] & mask1), "DTE+8 %" PRIx64 ", on Linux %" PRIx64,
	      own[1], dte[1]);
}

static void dump(struct record *r, char *p)
{
	static struct cbit_pt_leaf linux_leaves[MOST_LEAVES], own_leaves[MOST_LEAVES];
	struct cbit_mem *own_mem = cbit_machine_mem(r->c->machine);
	uint64_t dte[4], own[4];
	size_t n, nr_own;

	for (unsigned int i = 0; i < 4; i++)
		dte[i] = word(&p);
	r->mem = linux_memory();
	while (next_line(r) && !strncmp(r->line, "page ", 5))
		add_page(r, r->line + 5);
	cbit_iommu_dte(cbit_machine_iommu(r->c->machine), DEVICE_ID, own);
	compare_dte(r, dte, own);
	n = leaves(r->mem, dte[0], linux_leaves);
	nr_own = leaves(own_mem, own[0], own_leaves);
	for (size_t i = 0; i < n && i < nr_own; i++) {
		const struct cbit_pt_leaf *a = &linux_leaves[i], *b = &own_leaves[i];

		CHECK(r, a->iova.v == b->iova.v,
		      "an entry at IOVA %" PRIx64 ", on Linux the next one is at %" PRIx64,
		      b->iova.v, a->iova.v);
		CHECK(r, a->size == b->size,
		      "IOVA %" PRIx64 ": size %" PRIx64 ", on Linux %" PRIx64, a->iova.v, b->size,
		      a->size);
		CHECK(r, a->level == b->level && a->attrs == b->attrs,
		      "IOVA %" PRIx64 ": level %u attributes %x, on Linux level %u attributes %x",
		      a->iova.v, b->level, b->attrs, a->level, a->attrs);
		CHECK(r, a->entry + CBIT_CLIENT_DRAM_BASE == b->entry,
		      "IOVA %" PRIx64 ": entry %" PRIx64 ", on Linux %" PRIx64, a->iova.v, b->entry,
		      a->entry);
		r->of_size[__builtin_ctzll(a->size)]++;
	}
	CHECK(r, n == nr_own, "%zu entries, on Linux %zu", nr_own, n);
	r->leaves += n;
	r->dumps++;
	cbit_mem_destroy(r->mem);
}

static void test_tables(void **state)
{
	const char *path = getenv("CBIT_ORACLE_TABLES");
	struct record r = { 0 };

	(void)state;
	assert_non_null(path);
	r.file = fopen(path, "r");
	assert_non_null(r.file);
	new_client(&r, "bare");
	while (next_line(&r)) {
		char *p = strchr(r.line, ' ');

		assert_non_null(p);
		p++;
		if (!strncmp(r.line, "mem ", 4))
			add_memory(&r, p);
		else if (!strncmp(r.line, "space ", 6))
			start(&r, p);
		else if (!strncmp(r.line, "map ", 4))
			map(&r, p);
		else if (!strncmp(r.line, "unmap ", 6))
			unmap(&r, p);
		else if (!strncmp(r.line, "dte ", 4))
			dump(&r, p);
		else
			fail_msg("line %lu of the record: %s", r.at, r.line);
	}
	client_down(r.c);
	printf("# %u mappings, %u tables, %" PRIu64 " entries:", r.maps, r.dumps, r.leaves);
	for (unsigned int i = 0; i < 64; i++) {
		if (r.of_size[i])
			printf(" %" PRIu64 " of 2^%u", r.of_size[i], i);
	}
	putchar('\n');
	/* Every kind of entry has been there. */
	assert_true(r.leaves > 1000 && r.of_size[12] && r.of_size[14] && r.of_size[16] &&
		    r.of_size[21]);
	free(r.line);
	fclose(r.file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
