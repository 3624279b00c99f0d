/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequences of opens, ioctls, accesses and closes on every kind of file, over a made-up
 * client. Afterwards nothing may be left: no pin, no owner, no eventfd, no used-up mapping.
 *
 * Input: bytes that say what to do; structures are filled with numbers that mean something
 * (one byte picks it) or with the input's own, or come from the tables of hostile calls
 * (tests/unit/hostile.h), as they stand there or with words replaced. The descriptors of those
 * tables are opened by the input as well, at their fixed numbers.
 *
 * Compiled twice: as fuzz_ioctl, where the calls are mostly those of type1 and devices, and as
 * fuzz_iommufd (FUZZ_IOMMUFD), where they are those of an iommufd, device nodes and dma-bufs.
 */
#include "fuzz.h"

#define CLIENT_CHECK(x) FUZZ_CHECK(x)
#include "../unit/client_rig.h"
#include "../unit/hostile.h"

#define MAX_STEPS 200

static const uint32_t cmds[] = {
	UAPI_GET_API_VERSION,
	UAPI_CHECK_EXTENSION,
	UAPI_SET_IOMMU,
	UAPI_GROUP_GET_STATUS,
	UAPI_GROUP_SET_CONTAINER,
	UAPI_GROUP_UNSET_CONTAINER,
	UAPI_GROUP_GET_DEVICE_FD,
	UAPI_DEVICE_GET_INFO,
	UAPI_DEVICE_GET_REGION_INFO,
	UAPI_DEVICE_GET_IRQ_INFO,
	UAPI_DEVICE_SET_IRQS,
	UAPI_DEVICE_RESET,
	UAPI_IOMMU_GET_INFO,
	UAPI_IOMMU_MAP_DMA,
	UAPI_IOMMU_UNMAP_DMA,
	UAPI_DEVICE_IOEVENTFD,
	UAPI_DEVICE_FEATURE,
	UAPI_DEVICE_BIND_IOMMUFD,
	UAPI_DEVICE_ATTACH_IOMMUFD_PT,
	UAPI_DEVICE_DETACH_IOMMUFD_PT,
	UAPI_DMA_BUF_SYNC,
	UAPI_DMA_BUF_SET_NAME_B,
};

/* One of those above, or any command of an iommufd. */
static uint32_t command(struct input *in)
{
	uint8_t pick = take8(in);
	unsigned int iommufd = UAPI_IOMMUFD_LAST - UAPI_IOMMUFD_FIRST + 1;
	unsigned int all = sizeof(cmds) / sizeof(cmds[0]) + iommufd;

#ifdef FUZZ_IOMMUFD
	if (pick & 0x80)
		return UAPI_NR(UAPI_IOMMUFD_FIRST + pick % iommufd);
#endif
	pick %= all;
	return pick < iommufd ? UAPI_NR(UAPI_IOMMUFD_FIRST + pick) : cmds[pick - iommufd];
}

static const uint64_t numbers[] = {
	0,
	1,
	2,
	3,
	4,
	7,
	8,
	12,
	16,
	20,
	24,
	32,
	36,
	40,
	136,
	0x21,
	0x22,
	0x24,
	0x1000,
	0x2000,
	0x3000,
	0x10000,
	0x100000,
	0x200000,
	0x40000000,
	0xfedff000,
	0xfee00000,
	0xfef00000,
	UINT64_C(0xfd00000000),
	UINT64_C(0x10000000000),
	UINT64_C(0xfffffffffffff000),
	UINT32_MAX,
	UINT64_MAX,
	RAM,
	RAM + 0x1000,
	RAM + RAM_SIZE - 0x1000,
	BLANK,
	READONLY,
	ARGS,
	HX_RAM,
	HX_RO,
	HX_HELD,
	FD_CONTAINER,
	FD_GROUP,
	FD_IOMMUFD,
	FD_EVENT,
	FD_EVENT2,
	FD_MEMFD,
	FD_DMABUF,
	UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET,
	CBIT_VFIO_OFFSET_MARK,
};

/* A number that means something, or one of the input's own. */
static uint64_t number(struct input *in)
{
	uint8_t pick = take8(in);

	return pick < sizeof(numbers) / sizeof(numbers[0]) ? numbers[pick] : take64(in);
}

/* Lengths of the commands of an iommufd, in their order. */
static const uint8_t lengths[] = {
	sizeof(struct uapi_fd_destroy),       sizeof(struct uapi_ioas_alloc),
	sizeof(struct uapi_ioas_allow_iovas), sizeof(struct uapi_ioas_copy),
	sizeof(struct uapi_ioas_iova_ranges), sizeof(struct uapi_ioas_map),
	sizeof(struct uapi_ioas_unmap),       sizeof(struct uapi_option),
	sizeof(struct uapi_vfio_ioas),        sizeof(struct uapi_hwpt_alloc),
	sizeof(struct uapi_hw_info),          sizeof(struct uapi_set_dirty_tracking),
	sizeof(struct uapi_get_dirty_bitmap), sizeof(struct uapi_hwpt_invalidate),
	sizeof(struct uapi_fault_alloc),      sizeof(struct uapi_ioas_map_file),
	sizeof(struct uapi_viommu_alloc),     sizeof(struct uapi_vdevice_alloc),
	sizeof(struct uapi_change_process),   sizeof(struct uapi_veventq_alloc),
	sizeof(struct uapi_hw_queue_alloc),
};
_Static_assert(sizeof(lengths) == UAPI_IOMMUFD_LAST - UAPI_IOMMUFD_FIRST + 1, "one for each");

static void fill(struct client *c, struct input *in, uint32_t cmd, uint8_t *at, size_t room)
{
	unsigned int nr = (cmd & 0xff) - UAPI_IOMMUFD_FIRST;
	uint8_t form = take8(in);
	size_t pos = 0;

	if (cmd == UAPI_GROUP_GET_DEVICE_FD && form & 1) {
		memcpy(at, form & 2 ? "0000:01:00.0" : "0000:02:00.0", 13);
		return;
	}
	(void)c;
	if (nr < sizeof(lengths) && !(form & 0x40)) {
		uint32_t length = lengths[nr];

		memcpy(at, &length, sizeof(length));
		pos = sizeof(length);
	}
	/* four-byte numbers first, as the structures have them, then eight-byte ones */
	for (unsigned int i = 0; i < (form & 7) && pos + 4 <= room; i++, pos += 4) {
		uint32_t v = (uint32_t)number(in);

		memcpy(at + pos, &v, 4);
	}
	pos = (pos + 7) & ~(size_t)7;
	for (unsigned int i = 0; i < (form >> 3 & 7) && pos + 8 <= room; i++, pos += 8) {
		uint64_t v = number(in);

		memcpy(at + pos, &v, 8);
	}
}

static void do_ioctl(struct client *c, struct input *in, int fd)
{
	uint32_t cmd = command(in);
	uint8_t form = take8(in);
	size_t room = form & 0x80 ? 64 : ARGS_SIZE;

	memset(c->args, 0, sizeof(c->args));
	fill(c, in, cmd, c->args + ARGS_SIZE - room, room);
	client_ioctl(c, fd, cmd, form & 0x40 ? number(in) : ARGS + ARGS_SIZE - room);
}

static const struct hx_table *const tables[] = {
#ifdef FUZZ_IOMMUFD
	&hx_iommufd_table,
	&hx_cdev_table,
	&hx_dmabuf_table,
	&hx_object_table,
#else
	&hx_container_table, &hx_type1_table, &hx_device_table, &hx_irq_table,
	&hx_iommufd_table,   &hx_cdev_table,  &hx_dmabuf_table, &hx_object_table,
#endif
};

/* A call of the tables, with up to three of its words replaced, on its file or on another. */
static void do_hostile(struct client *c, struct input *in)
{
	const struct hx_table *table = tables[take8(in) % (sizeof(tables) / sizeof(tables[0]))];
	const struct hx_case *of = &table->cases[take16(in) % table->count];
	union hx_arg arg = of->arg;
	uint8_t form = take8(in);
	uint64_t at = ARGS + ARGS_SIZE - of->len;
	int fd = form & 0x80 ? take8(in) % CLIENT_FDS : (int)of->fd;

	if (c->fd[fd].kind != FD_FILE)
		return;
	for (unsigned int i = 0; i < (form & 3); i++)
		arg.words[take8(in) % (sizeof(arg.words) / 4)] = (uint32_t)number(in);
	if (of->len <= sizeof(arg))
		memcpy(c->args + (at - ARGS), &arg, of->len);
	client_ioctl(c, fd, of->cmd,
		     of->place == AT_VALUE ? of->value
		     : form & 4            ? number(in)
					   : at);
}

/* The descriptors that the tables speak of, where they are. */
static void do_open_fixed(struct client *c, unsigned int n)
{
	static const struct {
		enum cbit_file_kind kind;
		unsigned int number;
	} nodes[] = {
		{ CBIT_FILE_CONTAINER, 0 }, { CBIT_FILE_GROUP, 1 },  { CBIT_FILE_DEVICE, 0 },
		{ CBIT_FILE_IOMMUFD, 0 },   { CBIT_FILE_DEVICE, 1 }, { CBIT_FILE_DEVICE, 0 },
	};
	unsigned int slot = FD_CONTAINER + n;
	int fd;

	if (c->fd[slot].kind != FD_CLOSED || c->fd[slot].dups)
		return;
	if (slot == FD_MEMFD) {
		if (c->memory[0].refs)
			return;
		fd = client_fd_new(c, FD_MEMORY, NULL);
		if (fd < 0)
			return;
		c->memory[0] = (struct client_memory){ .spa = RAM_SPA, .size = 4 * HX_PAGE + 5 };
		c->fd[slot] = (struct client_fd){ .kind = FD_MEMORY, .memory = &c->memory[0] };
		c->fd[fd] = (struct client_fd){ 0 };
		return;
	}
	if (n >= sizeof(nodes) / sizeof(nodes[0])) {
		c->fd[slot] = (struct client_fd){ .kind = FD_EVENTFD };
		return;
	}
	fd = client_open(c, nodes[n].kind, nodes[n].number);
	if (fd < 0)
		return;
	c->fd[slot] = (struct client_fd){ .kind = FD_FILE, .file = c->fd[fd].file };
	c->fd[fd] = (struct client_fd){ 0 };
}

static void start_node(struct client *c, bool attached)
{
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = FD_IOMMUFD };
	struct uapi_attach_pt attach = { .argsz = sizeof(attach), .pt_id = 1 };
	struct uapi_ioas_map map = { sizeof(map), 7, 1, 0, HX_RAM, 4 * HX_PAGE, HX_HELD };

	client_call(c, FD_IOMMUFD, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc));
	client_call(c, FD_CDEV, UAPI_DEVICE_BIND_IOMMUFD, &bind, sizeof(bind));
	if (attached)
		client_call(c, FD_CDEV, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach, sizeof(attach));
	client_call(c, FD_IOMMUFD, UAPI_IOMMUFD_IOAS_MAP, &map, sizeof(map));
}

/* Two pages of a BAR as FD_DMABUF, mapped. */
static void start_dmabuf(struct client *c)
{
	struct {
		struct uapi_feature head;
		struct uapi_feature_dma_buf get;
		struct uapi_dma_range range;
	} cmd = { { sizeof(cmd), UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET },
		  { 0, 2, 0, 1 },
		  { 0, 2 * HX_PAGE } };
	struct uapi_ioas_map_file map = { sizeof(map), 7, 1, FD_DMABUF, 0, HX_PAGE, HX_FREE };
	long fd;

	if (c->fd[FD_CDEV].kind != FD_FILE || c->fd[FD_DMABUF].kind != FD_CLOSED)
		return;
	fd = client_call(c, FD_CDEV, UAPI_DEVICE_FEATURE, &cmd, sizeof(cmd));
	if (fd < 0)
		return;
	c->fd[FD_DMABUF] = c->fd[fd];
	c->fd[fd] = (struct client_fd){ 0 };
	if (c->fd[FD_IOMMUFD].kind == FD_FILE)
		client_call(c, FD_IOMMUFD, UAPI_IOMMUFD_IOAS_MAP_FILE, &map, sizeof(map));
}

#ifdef FUZZ_IOMMUFD
/* A nest parent that tracks, a vIOMMU on it, a queue of faults. */
static void start_objects(struct client *c)
{
	struct uapi_hwpt_alloc hwpt = { .size = sizeof(hwpt), .flags = 3, .dev_id = 2, .pt_id = 1 };
	struct uapi_viommu_alloc viommu = { .size = sizeof(viommu), .type = 1, .dev_id = 2 };
	struct uapi_fault_alloc fault = { .size = sizeof(fault) };

	if (c->fd[FD_IOMMUFD].kind != FD_FILE)
		return;
	client_call(c, FD_IOMMUFD, UAPI_IOMMUFD_HWPT_ALLOC, &hwpt, sizeof(hwpt));
	viommu.hwpt_id = hwpt.out_hwpt_id;
	client_call(c, FD_IOMMUFD, UAPI_IOMMUFD_VIOMMU_ALLOC, &viommu, sizeof(viommu));
	client_call(c, FD_IOMMUFD, UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, &fault, sizeof(fault));
}
#endif

static void start_device(struct client *c, uint8_t how)
{
	struct uapi_dirty dirty = { sizeof(dirty), UAPI_DIRTY_START };
	struct {
		struct uapi_irq_set head;
		int32_t fd;
	} set = { { sizeof(set), UAPI_IRQ_SET_DATA_EVENTFD | UAPI_IRQ_SET_ACTION_TRIGGER,
		    (how >> 6 & 3) - 1u, 0, 1 },
		  FD_EVENT };
	int32_t container = FD_CONTAINER;
	char name[] = "0000:01:00.0";
	long fd;

	client_call(c, FD_GROUP, UAPI_GROUP_SET_CONTAINER, &container, sizeof(container));
	client_ioctl(c, FD_CONTAINER, UAPI_SET_IOMMU, how & 8 ? 1 : 3);
	fd = client_call(c, FD_GROUP, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	if (fd >= 0 && c->fd[FD_DEVICE].kind == FD_CLOSED && !c->fd[FD_DEVICE].dups) {
		c->fd[FD_DEVICE] = c->fd[fd];
		c->fd[fd] = (struct client_fd){ 0 };
		if (how & 0xc0)
			client_call(c, FD_DEVICE, UAPI_DEVICE_SET_IRQS, &set, sizeof(set));
	}
	if (how & 0x10)
		client_map(c, FD_CONTAINER, HX_HELD, HX_RAM, 4 * HX_PAGE, MAP_RW);
	if (how & 0x20)
		client_call(c, FD_CONTAINER, UAPI_IOMMU_DIRTY_PAGES, &dirty, sizeof(dirty));
}

/* The usual start of one stack or the other, so that the input need not find it. */
static void do_start(struct client *c, struct input *in)
{
	uint8_t how = take8(in);

#ifdef FUZZ_IOMMUFD
	how |= 1;
#endif
	for (unsigned int n = 0; n < 8; n++) {
		if (n != FD_DEVICE - FD_CONTAINER)
			do_open_fixed(c, n);
	}
	do_open_fixed(c, FD_MEMFD - FD_CONTAINER);
	if (how & 1 && c->fd[FD_CDEV].kind == FD_FILE && c->fd[FD_IOMMUFD].kind == FD_FILE)
		start_node(c, how & 2);
	if (how & 1)
		start_dmabuf(c);
#ifdef FUZZ_IOMMUFD
	if (how & 0x10)
		start_objects(c);
#endif
	if (how & 4 && c->fd[FD_GROUP].kind == FD_FILE && c->fd[FD_CONTAINER].kind == FD_FILE)
		start_device(c, how);
}

static void do_rw(struct client *c, struct input *in, int fd)
{
	uint8_t buf[256] = { 0 };
	uint64_t offset = number(in) + ((uint64_t)take8(in) << CBIT_VFIO_INDEX_SHIFT);
	size_t len = take8(in);
	bool write = take8(in) & 1;

	if (write)
		take(in, buf, len);
	if (len & 1)
		offset = (CBIT_VFIO_OFFSET_MARK | UINT64_C(7) << CBIT_VFIO_INDEX_SHIFT) +
			 4; /* command */
	cbit_vfio_rw(c->fd[fd].file, offset, buf, len, write);
	cbit_vfio_mmap_check(c->fd[fd].file, offset, number(in), true);
}

/* A device moves some bytes, wherever they may be. */
static void do_dma(struct client *c, struct input *in, int fd)
{
	struct cbit_iommu *iommu = cbit_machine_iommu(c->machine);
	struct cbit_iova iova = CBIT_IOVA(number(in));
	struct cbit_mapping_info info;
	struct cbit_device_info dev;
	uint8_t how = take8(in), bytes[16] = { 0 };

	cbit_vfio_describe(c->fd[fd].file, iova, &info);
	if (!cbit_machine_device(c->machine, how & 1, &dev))
		return;
	if (how & 2)
		cbit_iommu_dma_write(iommu, cbit_pci_devid(dev.pci), iova, bytes, sizeof(bytes),
				     NULL);
	else
		cbit_iommu_dma_read(iommu, cbit_pci_devid(dev.pci), iova, bytes, sizeof(bytes),
				    NULL);
}

static int pick_fd(struct input *in)
{
	uint8_t pick = take8(in);

#ifdef FUZZ_IOMMUFD
	/* What the start has opened is what there is to call. */
	if (pick & 0x80)
		return FD_CONTAINER + pick % (FD_END - FD_CONTAINER);
#endif
	return pick % 16;
}

static void step(struct client *c, struct input *in)
{
	uint8_t what = take8(in);
	int fd = pick_fd(in);

	switch (what % 8) {
	case 4:
	case 5:
		do_hostile(c, in);
		return;
	case 6:
		if (what & 0x80)
			do_start(c, in);
		else if (what & 0x40)
			do_open_fixed(c, (unsigned int)fd % 12);
		else if (c->fd[FD_CONTAINER + fd % 13].kind != FD_CLOSED && what & 0x20)
			client_close(c, FD_CONTAINER + fd % 13);
		else if (c->fd[FD_EVENT + fd % 2].kind == FD_EVENTFD)
			client_kick(c, FD_EVENT + fd % 2);
		return;
	case 0:
		client_open(c, (enum cbit_file_kind)(fd % 4), take8(in) % 4);
		return;
	case 1:
		if (what & 0x80)
			client_fd_new(c, FD_EVENTFD, NULL);
		else if (c->fd[fd].kind != FD_CLOSED)
			client_close(c, fd);
		return;
	default:
		break;
	}
	if (c->fd[fd].kind != FD_FILE)
		return;
	if (what % 8 == 2)
		do_rw(c, in, fd);
	else if (what % 8 == 3)
		do_dma(c, in, fd);
	else
		do_ioctl(c, in, fd);
}

/* Machines are expensive and are as new once every file is closed: one for each kind is kept. */
static struct client *machine(uint8_t head)
{
	static const char *const policies[] = { "complete", "linux-7.2", "posted-mmio",
						"linux-6.17" };
	static struct client *kept[16];
	struct client *c = kept[head & 15];
	struct cbit_device_info dev;

	if (c)
		return c;
	c = client_up(head & 4 ? "bare" : "sme", policies[head & 3], NULL);
	client_plug(c, "ioat,membar=64K");
	client_plug(c,
		    head & 8 ? "ioat,group=1,migration=on,sriov=1" : "ioat,migration=on,sriov=1");
	FUZZ_CHECK(cbit_machine_device(c->machine, 0, &dev));
	/* a BAR behind the client's memory */
	client_add(c, RAM + RAM_SIZE, 0x10000, cbit_pci_bar(dev.pci, 2)->spa.v, CBIT_MEM_MMIO,
		   NULL);
	client_add(c, HX_RAM, HX_RAM_SIZE, RAM_SPA + 0x10000000, CBIT_MEM_DRAM,
		   calloc(1, HX_RAM_SIZE));
	client_add(c, HX_RO, HX_PAGE, RAM_SPA + 0x20000000, CBIT_MEM_DRAM, calloc(1, HX_PAGE));
	c->range[c->ranges - 1].writable = false;
	c->fd_limit = 16;
	kept[head & 15] = c;
	return c;
}

static void close_all(struct client *c)
{
	for (int fd = 0; fd < CLIENT_FDS; fd++) {
		if (c->fd[fd].kind != FD_CLOSED)
			client_close(c, fd);
	}
	FUZZ_CHECK(!c->pinned && !c->owners && !c->memory[0].refs && !c->memory[0].pinned);
	for (int fd = 0; fd < CLIENT_FDS; fd++)
		FUZZ_CHECK(!c->fd[fd].dups);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t head = take8(&in);
	struct client *c = machine(head);
	struct opened o;

	c->pins = 0;
	c->fail_pin = head & 0x10 ? 3 : 0;
	if (head & 0x20)
		client_start(c, head & 0x40 ? UAPI_TYPE1_IOMMU : UAPI_TYPE1v2_IOMMU);
#ifdef FUZZ_IOMMUFD
	do_start(c, &in);
#endif
	for (unsigned int i = 0; i < MAX_STEPS && in.left; i++)
		step(c, &in);
	close_all(c);
	/* as new: the usual start works, and every mapping is to be had */
	c->fail_pin = 0;
	o = client_start(c, UAPI_TYPE1v2_IOMMU);
	FUZZ_CHECK(client_dma_avail(c, o.container) == 65535);
	close_all(c);
	return 0;
}
