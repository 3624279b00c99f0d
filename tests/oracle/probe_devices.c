// SPDX-License-Identifier: BSD-3-Clause
/*
 * The oracle's probe: device files. What depends on the device itself (sizes of BARs, numbers of
 * vectors) is asked for, and logged relative to what came back or not at all.
 */
#include "probe.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define NR_EVENTFDS 4

struct device {
	int fd, group, owner; /* the container or the iommufd */
	uint32_t vectors;     /* of MSI-X */
	int eventfd[NR_EVENTFDS];
};

static bool start_group(struct device *d)
{
	char name[16];
	uint32_t fd;

	d->owner = probe_open("/dev/vfio/vfio");
	d->group = probe_open_group(0);
	fd = (uint32_t)d->owner;
	CALL("SET_CONTAINER", d->group, UAPI_GROUP_SET_CONTAINER, fd, "i");
	probe_value("SET_IOMMU", d->owner, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU);
	memcpy(name, probe.dev[0].bdf, sizeof(name));
	d->fd = (int)CALL("DEVICE_FD", d->group, UAPI_GROUP_GET_DEVICE_FD, name, "MM");
	return d->fd >= 0;
}

static bool start_cdev(struct device *d)
{
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind) };

	d->group = -1;
	d->owner = probe_open("/dev/iommu");
	d->fd = probe_open_cdev(0);
	bind.iommufd = d->owner;
	return !CALL("BIND", d->fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
}

static void vectors(struct device *d)
{
	struct uapi_irq_info info = { .argsz = sizeof(info), .index = UAPI_IRQ_MSIX };

	CALL("IRQ_INFO", d->fd, UAPI_DEVICE_GET_IRQ_INFO, info, "iiim");
	d->vectors = info.count;
	probe_note("%s", info.count >= 5 ? "enough vectors" : "TOO FEW VECTORS");
	for (unsigned int i = 0; i < NR_EVENTFDS; i++)
		d->eventfd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void table_info(struct device *d)
{
	uint32_t a[16];

	for (uint32_t argsz = 0; argsz < 33; argsz++) {
		memset(a, 0x5a, sizeof(a));
		a[0] = argsz;
		probe_ioctl("DEVICE_INFO", d->fd, UAPI_DEVICE_GET_INFO, a, sizeof(a), "i");
	}
	for (unsigned int len = 4; len < 24; len += 4) {
		memset(a, 0, sizeof(a));
		a[0] = 24;
		probe_ioctl("DEVICE_INFO", d->fd, UAPI_DEVICE_GET_INFO, a, len, "i");
	}
	probe_value("DEVICE_INFO", d->fd, UAPI_DEVICE_GET_INFO, 0);
	probe_value("DEVICE_INFO", d->fd, UAPI_DEVICE_GET_INFO, KERNEL);
	for (uint32_t index = 0; index < 14; index++) {
		for (uint32_t argsz = 28; argsz < 34; argsz += 2) {
			struct uapi_region_info r = { argsz,      0x5a5a5a5a, index,
						      0x5a5a5a5a, 0x5a5a,     0x5a5a };

			/* only BAR0 is on both sides, of different sizes */
			if (index == 0 || index >= UAPI_PCI_ROM_REGION || argsz < 32)
				CALL("REGION_INFO", d->fd, UAPI_DEVICE_GET_REGION_INFO, r,
				     index == 0 ? "iiiiMM" : "iiiiqM");
		}
	}
	for (uint32_t index = 0; index < 8; index++) {
		for (uint32_t argsz = 12; argsz < 21; argsz++) {
			struct uapi_irq_info r = { argsz, 0x5a5a5a5a, index, 0x5a5a5a5a };

			CALL("IRQ_INFO", d->fd, UAPI_DEVICE_GET_IRQ_INFO, r,
			     index == UAPI_IRQ_MSIX ? "iiim" : "iiii");
		}
	}
	for (uint32_t nr = 95; nr < 128; nr++) {
		if ((nr < 107 || nr > 113) && nr < 116)
			probe_value("UNKNOWN", d->fd, UAPI_NR(nr), 0);
	}
	for (uint32_t nr = 0x80; nr < 0x98; nr++)
		probe_value("UNKNOWN", d->fd, UAPI_NR(nr), 0);
}

static void feature(struct device *d, uint32_t argsz, uint32_t flags, size_t len)
{
	uint32_t a[32] = { argsz, flags };

	/* a descriptor that is none, an address that is none */
	memset(a + 2, 0xff, sizeof(a) - 8);
	probe_ioctl("FEATURE", d->fd, UAPI_DEVICE_FEATURE, a, len, "ii");
}

static void table_features(struct device *d)
{
	static const uint32_t sizes[] = { 4, 7, 8, 9, 12, 15, 16, 17, 24, 32, 40, 64 };

	for (uint32_t f = 0; f < 20; f++) {
		for (uint32_t ops = 0; ops < 8; ops++) {
			for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
				feature(d, sizes[i], f | ops << 16, 128);
			feature(d, 64, f | ops << 16, 8);
		}
		feature(d, 64, f | 1u << 19, 128);
		feature(d, 64, f | 1u << 31 | UAPI_FEATURE_PROBE, 128);
	}
}

/* Numbers close to the number of vectors are shown relative to it. */
static const char *relative(const struct device *d, uint32_t n, char *text)
{
	if (n + 1 >= d->vectors && n <= d->vectors + 1)
		sprintf(text, "N%+d", (int)(n - d->vectors));
	else
		sprintf(text, "%x", n);
	return text;
}

static void set_irqs(struct device *d, uint32_t argsz, uint32_t flags, uint32_t index,
		     uint32_t start, uint32_t count, const void *data, size_t len)
{
	struct {
		struct uapi_irq_set head;
		uint8_t data[128];
	} a = { { argsz, flags, index, start, count }, { 0 } };
	uint8_t *place = (uint8_t *)(AT_ARGS + ARGS_SIZE - sizeof(a.head) - len);
	char t[3][16];
	long ret;

	if (len)
		memcpy(a.data, data, len);
	memcpy(place, &a, sizeof(a.head) + len);
	fprintf(probe.log, "SET_IRQS(%d:%x,%x,%x,%s,%s;", d->fd,
		argsz == sizeof(a.head) + len ? 0 : argsz, flags, index, relative(d, start, t[0]),
		relative(d, count, t[1]));
	for (size_t i = 0; i + 4 <= len && flags & UAPI_IRQ_SET_DATA_EVENTFD; i += 4) {
		int32_t fd;

		memcpy(&fd, a.data + i, 4);
		fprintf(probe.log, "%d ", fd);
	}
	for (size_t i = 0; i < len && flags & UAPI_IRQ_SET_DATA_BOOL; i++)
		fprintf(probe.log, "%d ", a.data[i]);
	ret = ioctl(d->fd, UAPI_DEVICE_SET_IRQS, place);
	probe.calls++;
	if (ret < 0)
		fprintf(probe.log, ")=%s", strerrorname_np(errno));
	else
		fprintf(probe.log, ")=%s", relative(d, (uint32_t)ret, t[2]));
	for (unsigned int i = 0; i < NR_EVENTFDS; i++) {
		uint64_t n;

		if (read(d->eventfd[i], &n, 8) == 8)
			fprintf(probe.log, " [%u:%llu]", i, (unsigned long long)n);
	}
	fputc('\n', probe.log);
}

static void table_irqs(struct device *d)
{
	const uint32_t n = d->vectors;
	const uint32_t counts[] = { 0, 1, 2, n - 1, n, n + 1, UINT32_MAX };
	static const uint32_t flags[] = { 0x00, 0x01, 0x02, 0x04, 0x03, 0x07, 0x08, 0x09,
					  0x0a, 0x0c, 0x11, 0x12, 0x14, 0x19, 0x21, 0x22,
					  0x24, 0x29, 0x31, 0x38, 0x39, 0x41, 0x61, 0x80000021 };

	for (uint32_t index = 0; index < 6; index++) {
		for (unsigned int f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
			for (unsigned int s = 0; s < 7; s++) {
				for (unsigned int c = 0; c < 7; c++) {
					int32_t fds[2] = { d->eventfd[0], d->eventfd[1] };
					size_t len = flags[f] & UAPI_IRQ_SET_DATA_EVENTFD ? 8 : 2;

					if (flags[f] & UAPI_IRQ_SET_DATA_NONE)
						len = 0;
					if (counts[s] && counts[c] > 2 && s > 2)
						continue; /* much the same */
					set_irqs(d, (uint32_t)(20 + len), flags[f], index,
						 counts[s], counts[c], fds, len);
				}
			}
		}
	}
}

static void random_irq(struct device *d)
{
	const uint32_t n = d->vectors;
	const uint32_t starts[] = { 0, 0, 0, 0, 1, 1, n - 1, n }; /* nor do they meet */
	uint32_t index = (uint32_t)probe_below(probe_chance(90) ? 3 : 6);
	uint32_t start = PICK(starts), count = (uint32_t)probe_below(4), flags;
	static const uint32_t datas[] = { 1, 1, 2, 4, 4, 4 };
	static const uint32_t actions[] = { 8, 16, 32, 32, 32, 32 };
	uint8_t data[16] = { 0 };
	size_t len = 0;

	if (index != UAPI_IRQ_MSIX && probe_chance(85)) {
		start = 0;
		count = (uint32_t)probe_below(2);
	}
	flags = PICK(datas) | PICK(actions);
	if (flags & UAPI_IRQ_SET_DATA_BOOL) {
		len = count;
		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)probe_below(2);
	} else if (flags & UAPI_IRQ_SET_DATA_EVENTFD) {
		len = 4 * (size_t)count;
		for (size_t i = 0; i < count; i++) {
			int32_t fd = d->eventfd[probe_below(NR_EVENTFDS)];

			if (probe_chance(12))
				fd = -1;
			else if (probe_chance(4))
				fd = probe_chance(50) ? d->fd : 60;
			memcpy(data + 4 * i, &fd, 4);
		}
	}
	set_irqs(d, (uint32_t)(20 + len) + (probe_chance(95) ? 0 : (uint32_t)probe_below(9) - 4),
		 flags, index, start, count, data, len);
}

static void ioeventfd(struct device *d, uint32_t argsz, uint32_t flags, uint64_t offset,
		      uint64_t data, int32_t fd)
{
	struct uapi_ioeventfd a = { argsz, flags, offset, data, fd, 0 };

	CALL("IOEVENTFD", d->fd, UAPI_DEVICE_IOEVENTFD, a, "iiMqii");
}

static uint64_t region_offset(struct device *d, uint32_t index)
{
	struct uapi_region_info r = { .argsz = sizeof(r), .index = index };

	ioctl(d->fd, UAPI_DEVICE_GET_REGION_INFO, &r);
	return r.offset;
}

static void table_ioeventfds(struct device *d)
{
	const uint64_t bar0 = region_offset(d, 0);
	const uint64_t config = region_offset(d, UAPI_PCI_CONFIG_REGION);
	static const uint32_t flags[] = { 0, 1, 2, 4, 8, 3, 16 };

	for (unsigned int i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		for (uint64_t at = 0; at < 9; at++)
			ioeventfd(d, 32, flags[i], bar0 + 0x100 + at, at, d->eventfd[0]);
		ioeventfd(d, 32, flags[i], config, 0, d->eventfd[0]);
		ioeventfd(d, 32, flags[i], bar0 + UINT64_C(0x8000000000), 0, d->eventfd[0]);
	}
	ioeventfd(d, 31, 4, bar0, 0, d->eventfd[0]);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, -2);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, -1);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, 60);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, d->fd);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, d->eventfd[0]);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, d->eventfd[0]);
	ioeventfd(d, 32, 4, bar0 + 0x200, 1, d->eventfd[0]);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, -1);
	ioeventfd(d, 32, 4, bar0 + 0x200, 0, -1);
}

static void logged_rw(const char *what, long ret, int err)
{
	probe.calls++;
	if (ret < 0)
		probe_note("%s=%s", what, strerrorname_np(err));
	else
		probe_note("%s=%ld", what, ret);
}

static void table_files(struct device *d)
{
	const uint64_t config = region_offset(d, UAPI_PCI_CONFIG_REGION);
	const uint64_t rom = region_offset(d, UAPI_PCI_ROM_REGION);
	static const size_t lens[] = { 0, 1, 2, 3, 4, 7, 8 };
	static const uint64_t ats[] = {
		0, 2, 4, 5, 0xff, 0x3c, 0xffc, 0xffd, 0xfff, 0x1000, 0x2000
	};
	struct iovec iov[2] = { { (void *)AT_OUT, 2 }, { (void *)(AT_OUT + 8), 2 } };
	long ret;
	char what[64];

	for (unsigned int i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (unsigned int k = 0; k < sizeof(ats) / sizeof(ats[0]); k++) {
			snprintf(what, sizeof(what), "read config %llx,%zu",
				 (unsigned long long)ats[k], lens[i]);
			ret = pread(d->fd, (void *)AT_OUT, lens[i], (off_t)(config + ats[k]));
			logged_rw(what, ret, errno);
		}
		ret = pread(d->fd, (void *)AT_OUT, lens[i], (off_t)rom);
		logged_rw("read ROM", ret, errno);
		ret = pwrite(d->fd, (void *)AT_OUT, lens[i], (off_t)rom);
		logged_rw("write ROM", ret, errno);
		ret = pread(d->fd, (void *)AT_HOLE, lens[i], (off_t)config);
		logged_rw("read to nowhere", ret, errno);
	}
	ret = preadv(d->fd, iov, 2, (off_t)config);
	logged_rw("preadv", ret, errno);
	for (unsigned int shared = 0; shared < 2; shared++) {
		static const uint64_t at[] = { 0, PAGE, UINT64_C(0x8000000000) };
		static const uint64_t size[] = { 1, PAGE, 2 * PAGE, 0x4000000 };

		for (unsigned int i = 0; i < 3; i++) {
			for (unsigned int k = 0; k < 4; k++) {
				void *p = mmap(NULL, size[k], PROT_READ | PROT_WRITE,
					       shared ? MAP_SHARED : MAP_PRIVATE, d->fd,
					       (off_t)(region_offset(d, 0) + at[i]));

				snprintf(what, sizeof(what), "mmap %u %llx %llx", shared,
					 (unsigned long long)at[i], (unsigned long long)size[k]);
				logged_rw(what, p == MAP_FAILED ? -1 : 0, errno);
				if (p != MAP_FAILED)
					munmap(p, size[k]);
			}
		}
		for (uint32_t index = UAPI_PCI_ROM_REGION; index < 12; index++) {
			void *p = mmap(NULL, PAGE, PROT_READ, shared ? MAP_SHARED : MAP_PRIVATE,
				       d->fd,
				       (off_t)(index <= UAPI_PCI_CONFIG_REGION
						       ? region_offset(d, index)
						       : config + ((uint64_t)(index - 7) << 40)));

			snprintf(what, sizeof(what), "mmap region %u", index);
			logged_rw(what, p == MAP_FAILED ? -1 : 0, errno);
		}
	}
}

static void table_reset(struct device *d)
{
	static const uint32_t sizes[] = { 0, 8, 11, 12, 13, 19, 20, 24, 28, 1000 };
	uint32_t a[16];

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(a, 0, sizeof(a));
		a[0] = sizes[i];
		probe_ioctl("HOT_RESET_INFO", d->fd, UAPI_DEVICE_GET_PCI_HOT_RESET_INFO, a,
			    sizeof(a), "iiii");
	}
	for (uint32_t count = 0; count < 4; count++) {
		for (uint32_t argsz = 8; argsz < 32; argsz += 4) {
			memset(a, 0, sizeof(a));
			a[0] = argsz;
			a[2] = count;
			a[3] = a[4] = a[5] = 60;
			probe_ioctl("HOT_RESET", d->fd, UAPI_DEVICE_PCI_HOT_RESET, a, 24, "iii");
			if (d->group < 0)
				continue;
			a[3] = (uint32_t)d->group;
			probe_ioctl("HOT_RESET", d->fd, UAPI_DEVICE_PCI_HOT_RESET, a, 24, "iiii");
			a[4] = (uint32_t)d->group;
			a[5] = (uint32_t)d->owner;
			probe_ioctl("HOT_RESET", d->fd, UAPI_DEVICE_PCI_HOT_RESET, a, 24, "iiii");
		}
	}
	a[0] = 24;
	a[1] = 1;
	a[2] = 0;
	probe_ioctl("HOT_RESET", d->fd, UAPI_DEVICE_PCI_HOT_RESET, a, 24, "iii");
	probe_value("RESET", d->fd, UAPI_DEVICE_RESET, 0);
	probe_value("RESET", d->fd, UAPI_DEVICE_RESET, 1);
}

/* All calls on a device file that has not been bound; where its regions are is known from before.
 */
static void unbound(void)
{
	uint32_t a[16] = { 64 };
	struct device d;
	uint64_t config;
	int fd;

	start_cdev(&d);
	config = region_offset(&d, UAPI_PCI_CONFIG_REGION);
	probe_close(d.fd);
	fd = probe_open_cdev(0);
	for (uint32_t nr = 100; nr < 124; nr++)
		probe_ioctl("UNBOUND", fd, UAPI_NR(nr), a, sizeof(a), "i");
	logged_rw("read unbound", pread(fd, a, 4, (off_t)config), errno);
	logged_rw("write unbound", pwrite(fd, a, 4, (off_t)config), errno);
	logged_rw("mmap unbound",
		  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)config) == MAP_FAILED ? -1 : 0,
		  errno);
}

static void bind_calls(void)
{
	int iommufd = probe_open("/dev/iommu"), other = probe_open("/dev/vfio/vfio");
	int fd = probe_open_cdev(0);
	struct uapi_bind_iommufd bind;
	struct uapi_attach_pt attach;
	struct uapi_detach_pt detach;
	const int fds[] = { -1, -2, 60, other, fd, iommufd };

	for (uint32_t flags = 2; flags-- > 0;) {
		for (uint32_t argsz = 12; argsz < 33; argsz += 4) {
			for (unsigned int i = 0; i < 5; i++) {
				bind = (struct uapi_bind_iommufd){ argsz, flags, fds[i], 0x5a,
								   AT_HOLE };
				CALL("BIND", fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
			}
		}
	}
	bind = (struct uapi_bind_iommufd){ 24, 1, iommufd, 0, AT_HOLE };
	CALL("BIND", fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
	bind = (struct uapi_bind_iommufd){ 24, 2, iommufd, 0, 0 };
	CALL("BIND", fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
	bind = (struct uapi_bind_iommufd){ 16, 0, iommufd, 0, 0 };
	CALL("BIND", fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
	CALL("BIND", fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
	for (uint32_t argsz = 8; argsz < 21; argsz += 4) {
		for (uint32_t flags = 0; flags < 4; flags++) {
			for (uint32_t id = 0; id < 4; id++) {
				attach = (struct uapi_attach_pt){ argsz, flags, id, 1 };
				CALL("ATTACH", fd, UAPI_DEVICE_ATTACH_IOMMUFD_PT, attach, "iiii");
			}
			detach = (struct uapi_detach_pt){ argsz, flags, 1 };
			CALL("DETACH", fd, UAPI_DEVICE_DETACH_IOMMUFD_PT, detach, "iii");
		}
	}
	attach = (struct uapi_attach_pt){ 12, 0, UINT32_MAX, 0 };
	CALL("ATTACH", fd, UAPI_DEVICE_ATTACH_IOMMUFD_PT, attach, "iiii");
}

/* Two files of one device, of which one is bound. */
static void second_file(void)
{
	int iommufd = probe_open("/dev/iommu");
	int fd = probe_open_cdev(0), again = probe_open_cdev(0);
	struct uapi_bind_iommufd bind = { 16, 0, iommufd, 0, 0 };
	struct uapi_attach_pt attach = { 12, 0, 1, 0 };
	struct uapi_irq_info info = { .argsz = sizeof(info) };

	CALL("BIND", fd, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
	CALL("BIND", again, UAPI_DEVICE_BIND_IOMMUFD, bind, "iiiiq");
	CALL("ATTACH", again, UAPI_DEVICE_ATTACH_IOMMUFD_PT, attach, "iiii");
	CALL("IRQ_INFO", again, UAPI_DEVICE_GET_IRQ_INFO, info, "iiii");
}

void probe_devices(void)
{
	static const struct {
		const char *name;
		void (*run)(struct device *d);
	} tables[] = {
		{ "info", table_info },       { "features", table_features },
		{ "interrupts", table_irqs }, { "ioeventfds", table_ioeventfds },
		{ "files", table_files },     { "reset", table_reset },
	};
	struct device d;

	probe_case("cdev: unbound");
	unbound();
	probe_case("cdev: bind and attach");
	bind_calls();
	probe_case("cdev: second file");
	second_file();
	for (unsigned int cdev = 0; cdev < 2; cdev++) {
		const char *how = cdev ? "cdev" : "group";

		for (unsigned int i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
			probe_case("%s: %s", how, tables[i].name);
			if (cdev ? start_cdev(&d) : start_group(&d)) {
				vectors(&d);
				tables[i].run(&d);
			}
		}
		for (uint64_t seed = 1; seed <= 30; seed++) {
			probe_case("%s: interrupts, seed %llu", how, (unsigned long long)seed);
			probe_seed(seed);
			if (!(cdev ? start_cdev(&d) : start_group(&d)))
				continue;
			vectors(&d);
			for (unsigned int i = 0; i < 100; i++)
				random_irq(&d);
		}
	}
}
