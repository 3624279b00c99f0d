// SPDX-License-Identifier: BSD-3-Clause
/*
 * The oracle's probe: iommufd from a table. Each command is made with a good argument and with
 * every field of it set to values that are known to matter, in three states of the file.
 */
#include "probe.h"

#include <sys/mman.h>

#define MAX_ARG 64

struct world {
	int fd, cdev;
	/* numbers of objects as they are given: IOAS, IOAS, device, page table */
	uint32_t ioas, other, dev, hwpt;
};

enum state { EMPTY, BOUND, ATTACHED, NR_STATES };
static const char *const states[] = { "new", "bound", "attached" };

static uint32_t ioas_alloc(struct world *w)
{
	struct uapi_ioas_alloc a = { .size = sizeof(a) };

	CALL("IOAS_ALLOC", w->fd, UAPI_IOMMUFD_IOAS_ALLOC, a, "iii");
	return a.out_ioas_id;
}

static void ioas_map(struct world *w, uint32_t ioas, uint64_t va, uint64_t length, uint64_t iova)
{
	struct uapi_ioas_map a = { sizeof(a), 7, ioas, 0, va, length, iova };

	CALL("IOAS_MAP", w->fd, UAPI_IOMMUFD_IOAS_MAP, a, "iiiiqqq");
}

static void start(struct world *w, enum state state)
{
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct uapi_attach_pt attach = { .argsz = 12 };

	*w = (struct world){ .fd = probe_open("/dev/iommu") };
	w->ioas = ioas_alloc(w);
	w->other = ioas_alloc(w);
	ioas_map(w, w->ioas, AT_RAM, 16 * PAGE, 0x100000);
	ioas_map(w, w->other, AT_SHM, 16 * PAGE, 0x200000);
	if (state == EMPTY)
		return;
	w->cdev = probe_open_cdev(0);
	bind.iommufd = w->fd;
	CALL("BIND", w->cdev, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
	w->dev = bind.out_devid;
	if (state == BOUND)
		return;
	attach.pt_id = w->ioas;
	CALL("ATTACH", w->cdev, UAPI_DEVICE_ATTACH_IOMMUFD_PT, attach, "iiii");
	w->hwpt = attach.pt_id;
}

/* Letters of the table below: what a good argument has there. */
enum good {
	G_0,    /* zero */
	G_IOAS, /* and so on: a number of that object */
	G_OTHER,
	G_DEV,
	G_HWPT,
	G_1,
	G_7,
	G_VA,   /* an address with memory */
	G_PAGE, /* a page's length */
	G_IOVA, /* mapped by start() */
	G_FREE, /* not mapped */
	G_OUT,  /* room for an answer */
	G_16,
};

static uint64_t good(const struct world *w, enum good g)
{
	const uint64_t values[] = {
		[G_0] = 0,           [G_IOAS] = w->ioas,  [G_OTHER] = w->other,
		[G_DEV] = w->dev,    [G_HWPT] = w->hwpt,  [G_1] = 1,
		[G_7] = 7,           [G_VA] = AT_RAM,     [G_PAGE] = PAGE,
		[G_IOVA] = 0x100000, [G_FREE] = 0x400000, [G_OUT] = AT_OUT,
		[G_16] = 16,
	};

	return values[g];
}

struct command {
	const char *name;
	uint32_t cmd;
	const char *layout; /* the first field is the size */
	uint8_t good[12];
};

#define LAYOUT(type, layout) layout
static const struct command commands[] = {
	{ "IOAS_ALLOC", UAPI_IOMMUFD_IOAS_ALLOC, "iii", { 0 } },
	{ "DESTROY", UAPI_IOMMUFD_DESTROY, "ii", { 0, G_OTHER } },
	{ "IOVA_RANGES", UAPI_IOMMUFD_IOAS_IOVA_RANGES, "iiiiqq", { 0, G_IOAS, G_7, 0, G_OUT } },
	{ "ALLOW_IOVAS", UAPI_IOMMUFD_IOAS_ALLOW_IOVAS, "iiiiq", { 0, G_OTHER, G_0, 0, G_OUT } },
	{ "IOAS_MAP",
	  UAPI_IOMMUFD_IOAS_MAP,
	  "iiiiqqq",
	  { 0, G_7, G_IOAS, 0, G_VA, G_PAGE, G_FREE } },
	{ "IOAS_COPY",
	  UAPI_IOMMUFD_IOAS_COPY,
	  "iiiiqqq",
	  { 0, G_7, G_OTHER, G_IOAS, G_PAGE, G_FREE, G_IOVA } },
	{ "IOAS_UNMAP", UAPI_IOMMUFD_IOAS_UNMAP, "iiqq", { 0, G_IOAS, G_IOVA, G_PAGE } },
	{ "OPTION", UAPI_IOMMUFD_OPTION, "iihhiq", { 0, G_1, G_1, 0, G_IOAS, 0 } },
	{ "OPTION", UAPI_IOMMUFD_OPTION, "iihhiq", { 0, G_1, 0, 0, G_IOAS, 0 } },
	{ "OPTION", UAPI_IOMMUFD_OPTION, "iihhiq", { 0, 0, G_1, 0, 0, 0 } },
	{ "OPTION", UAPI_IOMMUFD_OPTION, "iihhiq", { 0, 0, 0, 0, 0, 0 } },
	{ "VFIO_IOAS", UAPI_IOMMUFD_VFIO_IOAS, "iihh", { 0, G_IOAS, 0 } },
	{ "VFIO_IOAS", UAPI_IOMMUFD_VFIO_IOAS, "iihh", { 0, G_OTHER, G_1 } },
	{ "HWPT_ALLOC",
	  UAPI_IOMMUFD_HWPT_ALLOC,
	  "iiiiiiiiqii",
	  { 0, 0, G_DEV, G_IOAS, 0, 0, 0, 0, 0, 0, 0 } },
	{ "HW_INFO", UAPI_IOMMUFD_GET_HW_INFO, "iiiiqibbhM", { 0, 0, G_DEV, G_16, G_OUT } },
	{ "SET_DIRTY", UAPI_IOMMUFD_SET_DIRTY_TRACKING, "iiii", { 0, G_1, G_HWPT } },
	{ "GET_DIRTY",
	  UAPI_IOMMUFD_GET_DIRTY_BITMAP,
	  "iiiiqqqq",
	  { 0, G_HWPT, 0, 0, G_IOVA, G_PAGE, G_PAGE, G_OUT } },
	{ "INVALIDATE",
	  UAPI_IOMMUFD_HWPT_INVALIDATE,
	  "iiqiiii",
	  { 0, G_HWPT, G_OUT, G_0, G_16, G_1, 0 } },
	{ "FAULT_ALLOC", UAPI_IOMMUFD_FAULT_QUEUE_ALLOC, "iiii", { 0 } },
	{ "VIOMMU_ALLOC",
	  UAPI_IOMMUFD_VIOMMU_ALLOC,
	  "iiiiiiiiq",
	  { 0, 0, G_0, G_DEV, G_HWPT, 0, 0, 0, 0 } },
	{ "VDEVICE_ALLOC", UAPI_IOMMUFD_VDEVICE_ALLOC, "iiiiq", { 0, G_HWPT, G_DEV, 0, 0 } },
	{ "CHANGE_PROCESS", UAPI_IOMMUFD_IOAS_CHANGE_PROCESS, "ii", { 0 } },
	{ "VEVENTQ_ALLOC",
	  UAPI_IOMMUFD_VEVENTQ_ALLOC,
	  "iiiiiiii",
	  { 0, 0, G_HWPT, G_1, G_7, 0, 0, 0 } },
	{ "HW_QUEUE_ALLOC",
	  UAPI_IOMMUFD_HW_QUEUE_ALLOC,
	  "iiiiiiqq",
	  { 0, 0, G_HWPT, G_1, 0, 0, G_IOVA, G_PAGE } },
};

static size_t size_of(char c)
{
	return c == 'q' || c == 'M' ? 8 : c == 'h' ? 2 : c == 'b' ? 1 : 4;
}

static size_t argument(const struct world *w, const struct command *c, uint8_t *arg)
{
	size_t at = 0;

	memset(arg, 0, MAX_ARG);
	for (unsigned int i = 0; c->layout[i]; i++) {
		uint64_t v = good(w, c->good[i]);

		memcpy(arg + at, &v, size_of(c->layout[i]));
		at += size_of(c->layout[i]);
	}
	memcpy(arg, &(uint32_t){ (uint32_t)at }, 4);
	return at;
}

static void make(struct world *w, const struct command *c, uint8_t *arg, size_t len)
{
	/* What hardware says of itself is no matter of calls, but where it says it is. */
	bool hw = c->cmd == UAPI_IOMMUFD_GET_HW_INFO;
	uint64_t at = AT_OUT + (hw ? 16 : 0);

	memset((void *)AT_OUT, 0, 2 * PAGE);
	memset((void *)AT_OUT, hw ? 0x5a : 0, PAGE);
	probe_ioctl(c->name, w->fd, c->cmd, arg, len, c->layout);
	if (hw || memcmp((void *)at, (void *)(AT_OUT + PAGE), 1024) != 0)
		probe_note("answer %llx", (unsigned long long)probe_hash(at, 1024));
}

static void sizes_of(struct world *w, const struct command *c)
{
	uint8_t arg[MAX_ARG];
	size_t len = argument(w, c, arg);

	for (uint32_t size = 0; size <= len + 8; size += size + 9 < len ? 4 : 1) {
		argument(w, c, arg);
		memcpy(arg, &size, 4);
		make(w, c, arg, len);
		if (size < len)
			continue;
		argument(w, c, arg);
		memcpy(arg, &size, 4);
		make(w, c, arg, len + 8);
		argument(w, c, arg);
		memcpy(arg, &size, 4);
		arg[len] = 1;
		make(w, c, arg, len + 8);
	}
	for (size_t part = 4; part < len; part += 4) {
		argument(w, c, arg);
		make(w, c, arg, part);
	}
	argument(w, c, arg);
	memset(arg, 0xff, 4);
	make(w, c, arg, len);
	probe_value(c->name, w->fd, c->cmd, 0);
	probe_value(c->name, w->fd, c->cmd, AT_HOLE);
	probe_value(c->name, w->fd, c->cmd, KERNEL);
	probe_value(c->name, w->fd, c->cmd | 0x80000000u, AT_RO);
	probe_value(c->name, w->fd, c->cmd, AT_RO);
}

static void fields_of(struct world *w, const struct command *c)
{
	static const uint64_t small[] = { 0,       1,          2,          3,         4,
					  5,       6,          7,          8,         9,
					  16,      32,         64,         0x100,     0x8000,
					  0x10000, 0x80000000, 0x7fffffff, 0xffffffff };
	static const uint64_t large[] = { 0,
					  1,
					  8,
					  PAGE - 1,
					  PAGE,
					  PAGE + 1,
					  2 * PAGE,
					  16 * PAGE,
					  17 * PAGE,
					  0x100000,
					  0x10f000,
					  0x110000,
					  0x400800,
					  0xfee00000,
					  UINT64_C(0xfd00000000),
					  UINT64_C(1) << 48,
					  AT_RAM,
					  AT_RO,
					  AT_HOLE,
					  AT_OUT,
					  AT_OUT + OUT_SIZE - 8,
					  KERNEL,
					  UINT64_C(1) << 63,
					  UINT64_MAX - PAGE,
					  UINT64_MAX - PAGE + 1,
					  UINT64_MAX };
	uint8_t arg[MAX_ARG];
	size_t len, at = 4;

	for (unsigned int i = 1; c->layout[i]; i++) {
		bool wide = size_of(c->layout[i]) == 8;
		size_t n = wide ? sizeof(large) / 8 : sizeof(small) / 8;

		for (size_t k = 0; k < n; k++) {
			uint64_t v = wide ? large[k] : small[k];

			/* that is what hardware offers, for which there is a case of its own */
			if (c->cmd == UAPI_IOMMUFD_HWPT_ALLOC && i == 1 && v && v < 9)
				continue;
			len = argument(w, c, arg);
			memcpy(arg + at, &v, size_of(c->layout[i]));
			make(w, c, arg, len);
		}
		at += size_of(c->layout[i]);
	}
	len = argument(w, c, arg);
	make(w, c, arg, len);
	make(w, c, arg, len);
}

static void unknown(void)
{
	int fd = probe_open("/dev/iommu");
	uint32_t a[16] = { 64 };

	for (uint32_t nr = 0x70; nr < 0xa0; nr++) {
		if (nr >= UAPI_IOMMUFD_FIRST && nr <= UAPI_IOMMUFD_LAST)
			continue;
		probe_ioctl("UNKNOWN", fd, UAPI_NR(nr), a, sizeof(a), "i");
	}
	for (uint32_t nr = 0x60; nr < 0x7a; nr++)
		probe_value("UNKNOWN", fd, UAPI_NR(nr), 0);
	for (uint32_t nr = 0x80; nr < 0x98; nr++)
		probe_value("UNKNOWN", fd, 0x80000000u | UAPI_NR(nr), 0);
	probe_value("UNKNOWN", fd, 0x5401, AT_OUT);
}

/* What an AMD IOMMU must have for it: dirty tracking, and parents of nested page tables. */
static void hardware(void)
{
	static const uint8_t flags[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16 };

	for (unsigned int i = 0; i < sizeof(flags); i++) {
		struct uapi_hwpt_alloc a = { .size = sizeof(a), .flags = flags[i] };
		struct uapi_attach_pt attach = { .argsz = 12 };
		struct world w;

		probe_case("iommufd: hardware, flags %u", flags[i]);
		start(&w, BOUND);
		a.dev_id = w.dev;
		a.pt_id = w.ioas;
		CALL("HWPT_ALLOC", w.fd, UAPI_IOMMUFD_HWPT_ALLOC, a, "iiiiiiiiqii");
		attach.pt_id = a.out_hwpt_id;
		CALL("ATTACH", w.cdev, UAPI_DEVICE_ATTACH_IOMMUFD_PT, attach, "iiii");
	}
}

void probe_iommufd(void)
{
	struct world w;

	probe_case("iommufd: unknown commands");
	unknown();
	hardware();
	for (unsigned int i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		for (unsigned int s = 0; s < NR_STATES; s++) {
			probe_case("iommufd: %s %u, %s, sizes", commands[i].name, i, states[s]);
			start(&w, s);
			sizes_of(&w, &commands[i]);
			probe_case("iommufd: %s %u, %s, fields", commands[i].name, i, states[s]);
			start(&w, s);
			fields_of(&w, &commands[i]);
		}
	}
}
