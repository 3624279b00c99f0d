// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: rough handling, which a kernel bears.
 *
 * usage: client_rough CASE
 *   twice     a device's file opened twice and both closed at once: the group is free again
 *   reopen    a device's file opened by /proc/self/fd, which Linux refuses, does not close it
 *   path      an O_PATH descriptor of a node, and the node opened by it
 *   truncate  a device's file cannot be cut: its memory stays
 *   read      read() of a container comes back
 *   cdev      a second, unbound open of a device's node leaves the first alone
 *   leader    the first thread ends, another goes on: interrupts, mappings, DMA, directories
 *   children  many processes look at the tree: the supervisor keeps nothing of them
 *   signals   no call that is fast under Linux says EINTR
 *   sigbus    a SIGBUS of the program's own, where a device was mapped before
 *   killed    a program killed while its device is at work: its group is free after wait
 *   churn     processes that fight for one device for two seconds; then its group is free
 * Exit status 0 when all went as under Linux.
 */
#include "vfio_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct vc c;

static void device_answers(int fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	VC_REQUIRE(!ioctl(fd, VFIO_DEVICE_GET_INFO, &info), "the device does not answer");
}

static int open_group(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%d", c.dev[0].group_number);
	return open(path, O_RDWR);
}

static bool list_devices(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	bool found = dir && readdir(dir);

	if (dir)
		closedir(dir);
	return found;
}

static void twice(void)
{
	int second = ioctl(c.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, c.dev[0].bdf);

	VC_REQUIRE(second >= 0, "a second GET_DEVICE_FD");
	munmap((void *)(uintptr_t)c.dev[0].bar0, c.dev[0].bar0_size);
	close(c.dev[0].group);
	close(c.container);
	close(second);
	device_answers(c.dev[0].fd);
	second = dup(c.dev[0].fd);
	VC_REQUIRE(open_group() < 0 && errno == EBUSY, "the group is free too early");
	close(second);
	close(c.dev[0].fd);
	VC_REQUIRE(open_group() >= 0, "the group is not free");
	/* Both closes without a call between them. */
	vc_open(&c, 1, 1, VFIO_TYPE1v2_IOMMU);
	second = ioctl(c.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, c.dev[0].bdf);
	munmap((void *)(uintptr_t)c.dev[0].bar0, c.dev[0].bar0_size);
	if (c.dev[0].bar2)
		munmap(c.dev[0].bar2, c.dev[0].bar2_size);
	close(c.dev[0].group);
	close(c.container);
	close(second);
	close(c.dev[0].fd);
	VC_REQUIRE(open_group() >= 0, "the group is not free after two closes");
}

static void reopen(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", c.dev[0].fd);
	VC_REQUIRE(open(path, O_RDWR) < 0 && errno == ENXIO, "it was opened again");
	device_answers(c.dev[0].fd);
	VC_REQUIRE(open_group() < 0 && errno == EBUSY, "the group is free too early");
}

static void by_path(void)
{
	int fd = open("/dev/vfio/vfio", O_PATH);
	char path[64];

	VC_REQUIRE(fd >= 0, "O_PATH");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDWR);
	VC_REQUIRE(fd >= 0, "%s", path);
	VC_REQUIRE(ioctl(fd, VFIO_GET_API_VERSION) == VFIO_API_VERSION, "it is no container");
}

static void cut(void)
{
	struct vc_device *d = &c.dev[0];
	uint32_t v = 1;

	vc_close(&c);
	vc_open(&c, 1, 1, VFIO_TYPE1v2_IOMMU);
	VC_REQUIRE(d->bar2, "the second device must have memory");
	VC_REQUIRE(ftruncate(d->fd, 0), "ftruncate of a device");
	VC_REQUIRE(pread(d->fd, &v, sizeof(v), (off_t)d->bar2_offset) == sizeof(v), "BAR2");
}

static void readable(void)
{
	uint32_t v;

	alarm(10);
	VC_REQUIRE(read(c.container, &v, sizeof(v)) <= 0, "a container can be read");
	VC_REQUIRE(ioctl(c.container, VFIO_GET_API_VERSION) == VFIO_API_VERSION,
		   "the container does not answer");
}

static void cdev(void)
{
	/* Linux include/uapi/linux/vfio.h, struct vfio_device_bind_iommufd: newer than some. */
	struct {
		uint32_t argsz, flags;
		int32_t iommufd;
		uint32_t devid;
	} bind = { .argsz = sizeof(bind) };
	int first, second;

	vc_close(&c);
	first = open("/dev/vfio/devices/vfio0", O_RDWR);
	bind.iommufd = open("/dev/iommu", O_RDWR);
	VC_REQUIRE(first >= 0 && bind.iommufd >= 0, "opening the device and iommufd");
	VC_REQUIRE(!ioctl(first, _IO(VFIO_TYPE, VFIO_BASE + 18), &bind), "BIND_IOMMUFD");
	second = open("/dev/vfio/devices/vfio0", O_RDWR);
	VC_REQUIRE(second >= 0, "a second open");
	device_answers(first);
	close(second);
	device_answers(first);
	close(first);
	VC_REQUIRE(open_group() >= 0, "the group is not free");
}

static void *second_thread(void *opaque)
{
	struct vc_device *d = &c.dev[0];
	uint8_t *memory = opaque;
	const struct vfio_irq_set hdr = {
		.argsz = sizeof(hdr) + sizeof(int32_t),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = 1,
	};
	const int32_t fd = eventfd(0, 0);
	uint8_t irq[sizeof(hdr) + sizeof(fd)];
	char state[64] = "";
	FILE *f;

	memcpy(irq, &hdr, sizeof(hdr));
	memcpy(irq + sizeof(hdr), &fd, sizeof(fd));
	/* Until the first thread is a zombie. */
	while (!strstr(state, "(zombie)")) {
		f = fopen("/proc/self/status", "r");
		VC_REQUIRE(f, "/proc/self/status");
		while (fgets(state, sizeof(state), f) && strncmp(state, "State:", 6) != 0)
			;
		fclose(f);
	}
	VC_REQUIRE(!ioctl(d->fd, VFIO_DEVICE_SET_IRQS, irq), "SET_IRQS");
	VC_REQUIRE(vc_copy(d, 0x10000000, 0x10001000, VC_PAGE) == IOAT_DONE, "the copy");
	VC_REQUIRE(vc_filled(memory + VC_PAGE, VC_PAGE, 1), "the copy brought wrong bytes");
	vc_map(&c, memory, 0x20000000, VC_PAGE);
	vc_unmap_exact(&c, 0x20000000, VC_PAGE);
	VC_REQUIRE(list_devices(), "the directory is empty");
	vc_engine_end(&c, d);
	vc_unmap_exact(&c, 0x10000000, 2 * VC_PAGE);
	printf("leader: all right\n");
	exit(0);
}

static void leader(void)
{
	uint8_t *memory = vc_memory(2 * VC_PAGE, VC_PAGE, 0);
	pthread_t thread;

	vc_fill(memory, VC_PAGE, 1);
	vc_map(&c, memory, 0x10000000, 2 * VC_PAGE);
	vc_engine(&c, &c.dev[0], 0x1000000);
	VC_REQUIRE(!pthread_create(&thread, NULL, second_thread, memory), "a thread");
	pthread_exit(NULL);
}

static void children(void)
{
	const struct rlimit few = { 64, 64 };
	int status;

	VC_REQUIRE(!prlimit(getppid(), RLIMIT_NOFILE, &few, NULL), "a limit for the supervisor");
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(!list_devices());
		VC_REQUIRE(waitpid(pid, &status, 0) == pid && !status, "child %d found nothing", i);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void signals(void)
{
	const struct sigaction action = { .sa_handler = on_alarm }; /* no SA_RESTART */
	const struct itimerval often = { { 0, 500 }, { 0, 500 } };
	uint32_t v;
	int fd;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 10000; i++) {
		fd = open("/proc/self/exe", O_RDONLY);
		VC_REQUIRE(fd >= 0, "open %d", i);
		close(fd);
		VC_REQUIRE(getxattr("/proc/self/exe", "user.none", &v, sizeof(v)) < 0 &&
				   errno != EINTR,
			   "getxattr %d", i);
		/* vfio-pci's own offset of configuration space, as DPDK uses it. */
		VC_REQUIRE(pread(c.dev[0].fd, &v, sizeof(v), (off_t)7 << 40) == sizeof(v),
			   "config %d", i);
	}
}

static sigjmp_buf after_bus;

static void on_bus(int sig)
{
	siglongjmp(after_bus, sig);
}

static void sigbus(void)
{
	struct vc_device *d = &c.dev[0];
	void *at = (void *)(uintptr_t)d->bar0;
	int fd = memfd_create("empty", 0);

	VC_REQUIRE(vc_engine_state(d) <= IOAT_ARMED, "the device's state");
	VC_REQUIRE(mmap(at, VC_PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == at, "mmap");
	signal(SIGBUS, on_bus);
	if (!sigsetjmp(after_bus, 1)) {
		vc_engine_state(d);
		vc_die("no SIGBUS beyond the end of a file");
	}
}

static void copy_on(void)
{
	const uint64_t size = 8u << 20;
	uint8_t *memory;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	vc_engine(&c, &c.dev[0], 0x1000000);
	memory = vc_memory(size, VC_PAGE, 0);
	vc_map(&c, memory, 0x10000000, size);
	for (;;)
		vc_copy(&c.dev[0], 0x10000000, 0x10000000 + size / 2, size / 2);
}

static void killed(void)
{
	int status, group;

	vc_close(&c);
	for (useconds_t i = 0; i < 40; i++) {
		pid_t pid = fork();

		if (!pid)
			copy_on();
		usleep(5000 + i * 7919 % 30000);
		kill(pid, SIGKILL);
		VC_REQUIRE(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "child %u", i);
		group = open_group();
		VC_REQUIRE(group >= 0, "round %u: the group is not free", i);
		close(group);
	}
}

/* Whoever gets the group opens the device and closes all, at times the mapping last. */
static void fight(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };
	struct vc_device *d = &c.dev[0];

	for (unsigned int i = 0;; i++) {
		void *bar;

		d->group = open_group();
		if (d->group < 0)
			continue;
		c.container = open("/dev/vfio/vfio", O_RDWR);
		VC_REQUIRE(!ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &c.container) &&
				   !ioctl(c.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
			   "the container");
		d->fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->bdf);
		VC_REQUIRE(d->fd >= 0, "the device");
		VC_REQUIRE(!ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info), "region 0");
		bar = mmap(NULL, VC_PAGE, PROT_READ, MAP_SHARED, d->fd, (off_t)info.offset);
		VC_REQUIRE(bar != MAP_FAILED, "BAR0");
		if (i % 2)
			munmap(bar, VC_PAGE);
		close(d->fd);
		close(d->group);
		close(c.container);
		if (!(i % 2))
			munmap(bar, VC_PAGE);
	}
}

static void churn(void)
{
	pid_t pid[3];
	int status;

	vc_close(&c);
	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (!pid[i])
			fight();
	}
	sleep(2);
	for (int i = 0; i < 3; i++) {
		kill(pid[i], SIGKILL);
		VC_REQUIRE(waitpid(pid[i], &status, 0) == pid[i] && WIFSIGNALED(status),
			   "a process ended by itself");
	}
	VC_REQUIRE(open_group() >= 0, "the group is not free");
}

int main(int argc, char **argv)
{
	static const struct vc_case cases[] = {
		{ "twice", twice },   { "reopen", reopen },     { "path", by_path },
		{ "truncate", cut },  { "cdev", cdev },         { "read", readable },
		{ "leader", leader }, { "children", children }, { "signals", signals },
		{ "sigbus", sigbus }, { "killed", killed },     { "churn", churn },
	};

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	return vc_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
