/* SPDX-License-Identifier: BSD-3-Clause */
/* The tables of hostile calls, on the vfio room over a made-up client. */
#include "client_rig.h"
#include "hostile_world.h"

static struct client *c;
static uint8_t *ram, *args, *read_only;

static void hx_begin(void)
{
	c = client_up("sme", "complete", NULL);
	client_plug(c, "ioat,membar=64K");
	client_plug(c, "ioat,group=2");
	client_plug(c, "ioat,group=2,addr=0000:02:00.1");
	ram = calloc(1, HX_RAM_SIZE);
	args = calloc(1, HX_ARG_SIZE);
	read_only = calloc(1, HX_PAGE);
	client_add(c, HX_RAM, HX_RAM_SIZE, RAM_SPA + 0x10000000, CBIT_MEM_DRAM, ram);
	client_add(c, HX_ARGS, HX_ARG_SIZE, 0, CBIT_MEM_DRAM, args);
	client_add(c, HX_RO, HX_PAGE, RAM_SPA + 0x20000000, CBIT_MEM_DRAM, read_only);
	c->range[c->ranges - 1].writable = false;
}

static void hx_end(void)
{
	client_down(c);
	free(ram);
	free(args);
	free(read_only);
}

static void hx_adopt(long fd, enum hx_fd as)
{
	assert_true(fd >= 0 && c->fd[as].kind == FD_CLOSED);
	c->fd[as] = c->fd[fd];
	c->fd[fd] = (struct client_fd){ 0 };
}

static void hx_open(enum hx_fd fd)
{
	static const struct {
		enum cbit_file_kind kind;
		unsigned int number;
	} nodes[] = {
		[0] = { CBIT_FILE_CONTAINER, 0 },
		[FD_GROUP - FD_CONTAINER] = { CBIT_FILE_GROUP, 1 },
		[FD_IOMMUFD - FD_CONTAINER] = { CBIT_FILE_IOMMUFD, 0 },
		[FD_CDEV - FD_CONTAINER] = { CBIT_FILE_DEVICE, 1 },
		[FD_CDEV2 - FD_CONTAINER] = { CBIT_FILE_DEVICE, 2 },
		[FD_CONTAINER2 - FD_CONTAINER] = { CBIT_FILE_CONTAINER, 0 },
		[FD_IOMMUFD2 - FD_CONTAINER] = { CBIT_FILE_IOMMUFD, 0 },
	};

	if (fd == FD_EVENT || fd == FD_EVENT2)
		c->fd[fd].kind = FD_EVENTFD;
	else if (fd == FD_MEMFD)
		hx_adopt(client_memfd(c, 0, 0, 4 * HX_PAGE + 5), fd);
	else if (fd == FD_PLAIN)
		hx_adopt(client_fd_new(c, FD_OTHER, NULL), fd);
	else
		hx_adopt(client_open(c, nodes[fd - FD_CONTAINER].kind,
				     nodes[fd - FD_CONTAINER].number),
			 fd);
}

static long hx_ioctl(int fd, uint32_t cmd, uint64_t arg)
{
	return client_ioctl(c, fd, cmd, arg);
}

static uint8_t *bytes_at(uint64_t at, size_t len)
{
	struct client_range *r = client_find(c, at);

	assert_true(r && r->bytes && len <= r->len - (at - r->start));
	return r->bytes + (at - r->start);
}

static void hx_put(uint64_t at, const void *bytes, size_t len)
{
	if (len)
		memcpy(bytes_at(at, len), bytes, len);
}

static void hx_get(uint64_t at, void *bytes, size_t len)
{
	memcpy(bytes, bytes_at(at, len), len);
}

static uint64_t hx_events(enum hx_fd fd)
{
	return __atomic_exchange_n(&c->fd[fd].count, 0, __ATOMIC_SEQ_CST);
}

static void hx_held(int64_t out[2])
{
	out[0] = c->pinned;
	out[1] = c->owners + 100000 * c->memory[0].refs + 10000000 * c->memory[0].pinned;
	for (int fd = 0; fd < CLIENT_FDS; fd++)
		out[1] += 1000 * (int64_t)c->fd[fd].dups;
}

static void hx_fatal(const char *what, long ret)
{
	fail_msg("%s: %ld", what, ret);
	abort(); /* cmocka jumps, but does not say so */
}

static void run(const struct hx_table *table)
{
	int bad = 0;

	for (size_t i = 0; i < table->count; i++)
		bad += hx_run(table, &table->cases[i]);
	print_message("%zu hostile calls\n", table->count);
	assert_int_equal(bad, 0);
}

#define TABLE(name)                           \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		run(&hx_##name##_table);      \
	}

TABLE(container)
TABLE(type1)
TABLE(device)
TABLE(irq)
TABLE(iommufd)
TABLE(cdev)
TABLE(dmabuf)
TABLE(object)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_container), cmocka_unit_test(test_type1),
		cmocka_unit_test(test_device),    cmocka_unit_test(test_irq),
		cmocka_unit_test(test_iommufd),   cmocka_unit_test(test_cdev),
		cmocka_unit_test(test_dmabuf),    cmocka_unit_test(test_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
