// SPDX-License-Identifier: BSD-3-Clause
/* The oracle's probe: its memory, its log, and the order of its cases. */
#include "probe.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <linux/capability.h>

struct probe probe;

#define MAX_FDS 64 /* a case has fewer */

static void die(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(2);
}

bool probe_chance(unsigned int percent)
{
	return probe_below(100) < percent;
}

void probe_case(const char *format, ...)
{
	va_list ap;

	for (int fd = 3; fd < MAX_FDS; fd++)
		close(fd);
	munmap((void *)AT_BAR, 16 * PAGE);
	va_start(ap, format);
	fputs("= ", probe.log);
	vfprintf(probe.log, format, ap);
	fputc('\n', probe.log);
	va_end(ap);
}

void probe_note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(probe.log, format, ap);
	fputc('\n', probe.log);
	va_end(ap);
}

static size_t field_size(char c)
{
	switch (c) {
	case 'b':
		return 1;
	case 'h':
		return 2;
	case 'q':
	case 'M':
		return 8;
	default:
		return 4;
	}
}

static uint64_t field(const uint8_t *p, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static void log_result(long ret, int err)
{
	if (ret < 0)
		fprintf(probe.log, "=%s", strerrorname_np(err));
	else
		fprintf(probe.log, "=%ld", ret);
	probe.calls++;
}

static void log_fields(const uint8_t *arg, size_t len, const char *layout)
{
	size_t at = 0;

	for (const char *c = layout; *c; c++) {
		size_t size = field_size(*c);

		if (at + size > len)
			break;
		if (*c == 'm' || *c == 'M')
			fprintf(probe.log, "%s.", at ? "," : "");
		else
			fprintf(probe.log, "%s%llx", at ? "," : "",
				(unsigned long long)field(arg + at, size));
		at += size;
	}
}

static void log_changes(const uint8_t *before, const uint8_t *after, size_t len, const char *layout)
{
	const char *c = layout, *separator = " {";
	unsigned int i = 0;

	for (size_t at = 0, size; at < len; at += size, i++) {
		char kind = *c ? *c++ : 'i';

		size = field_size(kind);
		if (size > len - at) {
			size = len - at;
			size = size > 8 ? 8 : size;
		}
		if (kind == 'm' || kind == 'M' || !memcmp(before + at, after + at, size))
			continue;
		fprintf(probe.log, "%s%u:%llx", separator, i,
			(unsigned long long)field(after + at, size));
		separator = " ";
	}
	if (*separator == ' ' && !separator[1])
		fputc('}', probe.log);
}

long probe_ioctl(const char *name, int fd, uint32_t cmd, void *arg, size_t len, const char *layout)
{
	uint8_t *place = (uint8_t *)(AT_ARGS + ARGS_SIZE - len);
	long ret;
	int err;

	memcpy(place, arg, len);
	fprintf(probe.log, "%s(%d:", name, fd);
	log_fields(arg, len, layout);
	fputc(')', probe.log);
	ret = syscall(SYS_ioctl, fd, (unsigned long)cmd, place);
	err = errno;
	log_result(ret, err);
	log_changes(arg, place, len, layout);
	fputc('\n', probe.log);
	memcpy(arg, place, len);
	return ret < 0 ? -err : ret;
}

long probe_value(const char *name, int fd, uint32_t cmd, uint64_t arg)
{
	long ret = syscall(SYS_ioctl, fd, (unsigned long)cmd, arg);
	int err = errno;

	fprintf(probe.log, "%s(%d:%llx)", name, fd, (unsigned long long)arg);
	log_result(ret, err);
	fputc('\n', probe.log);
	return ret < 0 ? -err : ret;
}

static int logged_open(const char *path, const char *what)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), err = errno;

	fprintf(probe.log, "open(%s)", what);
	log_result(fd, err);
	fputc('\n', probe.log);
	return fd < 0 ? -err : fd;
}

int probe_open(const char *path)
{
	return logged_open(path, path);
}

int probe_open_group(unsigned int dev)
{
	char path[64], what[64];

	snprintf(path, sizeof(path), "/dev/vfio/%d", probe.dev[dev].group);
	snprintf(what, sizeof(what), "group of %u", dev);
	return logged_open(path, what);
}

int probe_open_cdev(unsigned int dev)
{
	char path[64], what[64];

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%d", probe.dev[dev].cdev);
	snprintf(what, sizeof(what), "cdev %u", dev);
	return logged_open(path, what);
}

void probe_close(int fd)
{
	int ret = close(fd), err = errno;

	fprintf(probe.log, "close(%d)", fd);
	log_result(ret, err);
	fputc('\n', probe.log);
}

/* FNV-1a */
uint64_t probe_hash(uint64_t addr, size_t len)
{
	const uint8_t *p = (const uint8_t *)addr;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void map_at(uint64_t at, uint64_t size, int prot, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	void *p = mmap((void *)at, size, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

	if (p != (void *)at)
		die("mmap");
}

static void memory(void)
{
	int memfd = memfd_create("probe", MFD_CLOEXEC);

	if (memfd < 0 || ftruncate(memfd, (off_t)SHM_SIZE))
		die("memfd");
	map_at(AT_ARGS, ARGS_SIZE, PROT_READ | PROT_WRITE, -1);
	map_at(AT_RAM, RAM_SIZE, PROT_READ | PROT_WRITE, -1);
	map_at(AT_RO, RO_SIZE, PROT_READ, -1);
	map_at(AT_NONE, RO_SIZE, PROT_NONE, -1);
	map_at(AT_SHM, SHM_SIZE, PROT_READ | PROT_WRITE, memfd);
	map_at(AT_MIX, MIX_SIZE, PROT_READ | PROT_WRITE, -1);
	map_at(AT_OUT, OUT_SIZE, PROT_READ | PROT_WRITE, -1);
	munmap((void *)(AT_MIX + 16 * PAGE), PAGE);
	mprotect((void *)(AT_MIX + 17 * PAGE), 16 * PAGE, PROT_READ);
	memset((void *)AT_MIX, 1, 16 * PAGE);
	memset((void *)(AT_MIX + 33 * PAGE), 1, 16 * PAGE);
	close(memfd);
}

/* Nothing may depend on who runs the probe. */
static void powerless(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (syscall(SYS_capset, &header, none))
		die("capset");
}

static int link_number(const char *path)
{
	char target[256];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		die(path);
	target[n] = 0;
	return atoi(strrchr(target, '/') + 1);
}

static void devices(const char *list)
{
	char path[128];

	for (unsigned int i = 0; i < NR_DEVICES; i++) {
		struct probe_device *d = &probe.dev[i];
		int n = 0;

		if (sscanf(list, " %15s%n", d->bdf, &n) != 1) {
			fprintf(stderr, "probe: four devices are needed\n");
			exit(2);
		}
		list += n;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", d->bdf);
		d->group = link_number(path);
		for (d->cdev = 0; d->cdev < 64; d->cdev++) {
			snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/vfio%d",
				 d->bdf, d->cdev);
			if (!access(path, F_OK))
				break;
		}
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} families[] = {
		{ "type1", probe_type1 },           { "groups", probe_groups },
		{ "devices", probe_devices },       { "iommufd", probe_iommufd },
		{ "random", probe_iommufd_random },
	};
	const char *list = getenv("CBIT_DEVICES");
	int fd;

	if (argc < 2 || !list) {
		fprintf(stderr, "usage: CBIT_DEVICES=\"BDF BDF BDF BDF\" probe LOG [FAMILY...]\n");
		return 2;
	}
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || dup2(fd, MAX_FDS) < 0)
		die(argv[1]);
	close(fd);
	probe.log = fdopen(MAX_FDS, "w");
	setvbuf(probe.log, NULL, _IOFBF, 1 << 16);
	for (fd = 3; fd < MAX_FDS; fd++)
		close(fd);
	devices(list);
	probe_note("groups %d %d %d %d", probe.dev[0].group, probe.dev[1].group, probe.dev[2].group,
		   probe.dev[3].group);
	memory();
	powerless();
	for (unsigned int i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		bool wanted = argc == 2 || !strcmp(argv[2], "all");

		for (int k = 2; k < argc; k++)
			wanted = wanted || !strcmp(argv[k], families[i].name);
		if (!wanted)
			continue;
		probe_note("== %s", families[i].name);
		families[i].run();
		probe_case("end");
	}
	probe_note("%llu calls", (unsigned long long)probe.calls);
	if (fclose(probe.log))
		die(argv[1]);
	return 0;
}
