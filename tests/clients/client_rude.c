// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: what only a hostile program does, or one that dies at the wrong moment. Whatever
 * comes of it for the program, cbit goes on, and lets go of it.
 *
 * usage: client_rude CASE
 *   dying      processes killed while they open and close one device by many threads
 *   string     a repeated string instruction that runs out of a BAR into a GiB of memory
 *   beyond     the same into memory that is not there: SIGSEGV, just there
 *   eventfd    an interrupt's eventfd filled up just before it is signalled; nobody reads it
 *   attribute  an empty write to an attribute, then one with a number, and one for the terminal
 *   wide       lengths that are 32 bits wide, in registers with more above
 *   page       calls whose arguments lie in a page that another thread brings (userfaultfd), by
 *              opens and other calls of its own, while a third one has closed a file; 77 where
 *              that is not allowed
 *   flags      flags and sizes that Linux refuses
 *
 * Exit status 0 when all went as under Linux.
 */
#include "vfio_client.h"

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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/openat2.h>
#include <linux/userfaultfd.h>

static struct vc c;

static void *open_and_close(void *opaque)
{
	(void)opaque;
	for (;;) {
		int fd = ioctl(c.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, c.dev[0].bdf);

		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static void dying(void)
{
	for (useconds_t i = 0; i < 150; i++) {
		pid_t pid[2];

		for (int k = 0; k < 2; k++) {
			pid[k] = fork();
			if (!pid[k]) {
				pthread_t thread;

				for (int n = 0; n < 3; n++)
					pthread_create(&thread, NULL, open_and_close, NULL);
				open_and_close(NULL);
			}
		}
		usleep(2000 + i * 7919 % 6000);
		for (int k = 0; k < 2; k++)
			kill(pid[k], SIGKILL);
		for (int k = 0; k < 2; k++)
			VC_REQUIRE(waitpid(pid[k], NULL, 0) == pid[k], "waitpid");
	}
	VC_REQUIRE(vc_engine_state(&c.dev[0]) <= IOAT_ARMED, "the device does not answer");
}

/* Two pages of registers where memory follows, by the same file over and over or, @gap, none. */
static uint8_t *bar_and_memory(bool gap)
{
	const size_t size = (size_t)1 << 30, piece = (size_t)1 << 21;
	struct vfio_region_info info = { .argsz = sizeof(info) };
	int fd = memfd_create("memory", 0);
	uint8_t *p =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	VC_REQUIRE(p != MAP_FAILED && fd >= 0 && !ftruncate(fd, (off_t)piece), "memory");
	for (size_t at = 0; at < size && !gap; at += piece)
		VC_REQUIRE(mmap(p + at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
				0) == p + at,
			   "mmap");
	VC_REQUIRE(!ioctl(c.dev[0].fd, VFIO_DEVICE_GET_REGION_INFO, &info), "region 0");
	VC_REQUIRE(mmap(p, 2 * VC_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, c.dev[0].fd,
			(off_t)(info.offset + VC_PAGE)) == p,
		   "BAR0");
	return p;
}

static void store_bytes(uint8_t *to, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
}

static void string(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		uint8_t *p = bar_and_memory(false);

		alarm(1);
		for (;;)
			store_bytes(p, (size_t)1 << 30);
	}
	VC_REQUIRE(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
			   WTERMSIG(status) == SIGALRM,
		   "no alarm, status %x", (unsigned int)status);
}

static sigjmp_buf after_fault;
static void *volatile fault_at;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	fault_at = info->si_addr;
	siglongjmp(after_fault, sig);
}

static void beyond(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	uint8_t *p = bar_and_memory(true);
	int sig;

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sig = sigsetjmp(after_fault, 1);
	if (!sig) {
		store_bytes(p, 4 * VC_PAGE);
		vc_die("no fault");
	}
	VC_REQUIRE(sig == SIGSEGV && fault_at == p + 2 * VC_PAGE, "signal %d at %p, not %p", sig,
		   (void *)fault_at, (void *)(p + 2 * VC_PAGE));
}

static int event;
static volatile unsigned long copies;

static void *fill(void *opaque)
{
	const uint64_t most = UINT64_MAX - 1;
	ssize_t n;

	(void)opaque;
	do
		n = write(event, &most, sizeof(most));
	while (n > 0 || errno == EINTR);
	return NULL;
}

/* Empties it now and then; when the device stands still after that, it waits: die there. */
static void *watch(void *opaque)
{
	unsigned long before;
	uint64_t v;

	(void)opaque;
	for (int i = 0; i < 800; i++) {
		VC_REQUIRE(read(event, &v, sizeof(v)) == sizeof(v), "read");
		usleep(500);
		before = copies;
		usleep(4000);
		if (copies == before)
			break;
	}
	kill(getpid(), SIGKILL);
	return NULL;
}

static void interrupt_for_ever(void)
{
	struct vfio_irq_set hdr = {
		.argsz = sizeof(hdr) + sizeof(int32_t),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = 1,
	};
	struct vc_device *d = &c.dev[0];
	uint8_t irq[sizeof(hdr) + sizeof(event)];
	uint8_t *memory = vc_memory(2 * VC_PAGE, VC_PAGE, 0);
	pthread_t thread;

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	event = eventfd(0, 0);
	memcpy(irq, &hdr, sizeof(hdr));
	memcpy(irq + sizeof(hdr), &event, sizeof(event));
	VC_REQUIRE(!ioctl(d->fd, VFIO_DEVICE_SET_IRQS, irq), "SET_IRQS");
	vc_engine(&c, d, 0x1000000);
	vc_map(&c, memory, 0x10000000, 2 * VC_PAGE);
	d->bar0[3] = 8; /* INTRCTRL: MSI-X */
	pthread_create(&thread, NULL, fill, NULL);
	pthread_create(&thread, NULL, watch, NULL);
	for (;; copies++) {
		*d->desc = (struct ioat_desc){ .size = 64,
					       .control = 1, /* interrupt when done */
					       .source = 0x10000000,
					       .target = 0x10001000,
					       .next = d->desc_iova };
		vc_engine_start(d, 1);
		vc_engine_wait(d);
	}
}

static void eventfds(void)
{
	int status;

	vc_close(&c);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid)
			interrupt_for_ever();
		VC_REQUIRE(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
				   WTERMSIG(status) == SIGKILL,
			   "status %x", (unsigned int)status);
	}
	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
}

static void attribute(void)
{
	char path[128], text[8] = "";
	int fd, i = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/sriov_numvfs", c.dev[0].bdf);
	fd = open(path, O_WRONLY);
	VC_REQUIRE(fd >= 0, "%s", path);
	vc_close(&c);
	VC_REQUIRE(!write(fd, "", 0), "an empty write");
	/* The attribute is looked at before this is answered. */
	VC_REQUIRE(!access(path, F_OK), "%s", path);
	VC_REQUIRE(write(fd, "2", 1) == 1, "the write after an empty one");
	do {
		FILE *f = fopen(path, "r");

		VC_REQUIRE(f && fgets(text, sizeof(text), f), "%s", path);
		fclose(f);
	} while (strcmp(text, "2\n") != 0 && ++i < 100);
	VC_REQUIRE(i < 100, "there are '%s' virtual functions", text);
	VC_REQUIRE(write(fd, "\033[2J", 4) == 4, "words for the terminal");
}

static void wide(void)
{
	const long none = 1l << 32;
	char buf[4096];
	int fd = open("/sys/bus/pci/devices", O_RDONLY | O_DIRECTORY);

	VC_REQUIRE(fd >= 0, "/sys/bus/pci/devices");
	VC_REQUIRE(syscall(SYS_getdents64, fd, buf, none) < 0 && errno == EINVAL, "getdents64");
	snprintf(buf, sizeof(buf), "/sys/bus/pci/devices/%s", c.dev[0].bdf);
	VC_REQUIRE(syscall(SYS_readlink, buf, buf, none) < 0 && errno == EINVAL, "readlink");
	VC_REQUIRE(syscall(SYS_readlink, buf, buf, none + 4) == 4 && !memcmp(buf, "../.", 4),
		   "readlink of four bytes");
}

static int faults;
static char group_path[32];
static uint8_t *missing;

/* Whoever brings pages makes calls of every kind meanwhile. */
static void *bring(void *bytes)
{
	struct vfio_device_info own = { .argsz = sizeof(own) };
	struct uffdio_copy copy = { .dst = (uintptr_t)missing,
				    .src = (uintptr_t)bytes,
				    .len = VC_PAGE };
	struct uffd_msg msg;
	struct stat st;
	int container, iommufd;

	VC_REQUIRE(read(faults, &msg, sizeof(msg)) == sizeof(msg), "no fault");
	usleep(300000); /* the file has been closed meanwhile */
	VC_REQUIRE(!fstat(c.container, &st), "fstat");
	VC_REQUIRE(!ioctl(c.dev[0].fd, VFIO_DEVICE_GET_INFO, &own), "GET_INFO");
	container = open("/dev/vfio/vfio", O_RDWR);
	iommufd = open("/dev/iommu", O_RDWR);
	VC_REQUIRE(container >= 0 && iommufd >= 0, "opening a container and an iommufd");
	VC_REQUIRE(open(group_path, O_RDWR) < 0 && errno == EBUSY, "opening the group twice");
	VC_REQUIRE(!ioctl(faults, UFFDIO_COPY, &copy), "UFFDIO_COPY");
	close(container);
	close(iommufd);
	return NULL;
}

static void *close_late(void *opaque)
{
	usleep(100000);
	close(*(int *)opaque);
	return NULL;
}

/* A call whose argument is on a page that is missing, and is brought with those bytes. */
static long call(int fd, unsigned long cmd, const void *bytes, size_t len)
{
	void *source = vc_memory(VC_PAGE, VC_PAGE, 0);
	pthread_t thread;
	long ret;

	memcpy(source, bytes, len);
	VC_REQUIRE(!madvise(missing, VC_PAGE, MADV_DONTNEED), "madvise");
	VC_REQUIRE(!pthread_create(&thread, NULL, bring, source), "pthread_create");
	ret = ioctl(fd, cmd, missing);
	pthread_join(thread, NULL);
	return ret;
}

static void page(void)
{
	const struct vfio_device_info info = { .argsz = sizeof(info) };
	struct uffdio_register range = { .range = { .len = VC_PAGE },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	int other = open("/dev/vfio/vfio", O_RDWR), fd;
	pthread_t thread;

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0)
		exit(77);
	missing = mmap(NULL, VC_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	VC_REQUIRE(missing != MAP_FAILED && other >= 0, "a page, a container");
	range.range.start = (uintptr_t)missing;
	VC_REQUIRE(!ioctl(faults, UFFDIO_API, &api) && !ioctl(faults, UFFDIO_REGISTER, &range),
		   "userfaultfd");
	snprintf(group_path, sizeof(group_path), "/dev/vfio/%d", c.dev[0].group_number);
	VC_REQUIRE(!pthread_create(&thread, NULL, close_late, &other), "pthread_create");
	VC_REQUIRE(!call(c.dev[0].fd, VFIO_DEVICE_GET_INFO, &info, sizeof(info)),
		   "GET_INFO of a missing page");
	pthread_join(thread, NULL);
	/* one that no other call may meet once it has its argument */
	fd = (int)call(c.dev[0].group, VFIO_GROUP_GET_DEVICE_FD, c.dev[0].bdf,
		       sizeof(c.dev[0].bdf));
	VC_REQUIRE(fd >= 0, "GET_DEVICE_FD of a missing name");
	close(fd);
	/* And the file is released in the end: the group is free when all is closed. */
	vc_close(&c);
	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
}

static bool invalid(long ret)
{
	return ret < 0 && errno == EINVAL;
}

static void flags(void)
{
	static const char dir[] = "/sys/bus/pci/devices", node[] = "/dev/vfio/vfio";
	struct open_how how = { .flags = O_RDONLY };
	char buf[512];

	VC_REQUIRE(invalid(syscall(SYS_openat2, AT_FDCWD, dir, &how, 8l)), "openat2, a short one");
	how.resolve = UINT64_MAX;
	VC_REQUIRE(invalid(syscall(SYS_openat2, AT_FDCWD, dir, &how, sizeof(how))), "openat2");
	VC_REQUIRE(open(dir, O_RDONLY | O_CREAT, 0600) < 0 && errno == EISDIR, "O_CREAT");
	VC_REQUIRE(invalid(syscall(SYS_access, node, 0xffl)), "access");
	VC_REQUIRE(invalid(syscall(SYS_faccessat2, AT_FDCWD, node, 0l, 1l)), "faccessat2");
	VC_REQUIRE(invalid(syscall(SYS_newfstatat, AT_FDCWD, node, buf, 1l)), "newfstatat");
	VC_REQUIRE(invalid(syscall(SYS_statx, AT_FDCWD, node, 0x6000l, 0l, buf)), "statx, how");
	VC_REQUIRE(invalid(syscall(SYS_statx, AT_FDCWD, node, 0l, 1l << 31, buf)), "statx, what");
	VC_REQUIRE(!syscall(SYS_statx, AT_FDCWD, node, 0x2000l, 0x7ffl, buf), "statx");
}

int main(int argc, char **argv)
{
	static const struct vc_case cases[] = {
		{ "dying", dying },      { "string", string },       { "beyond", beyond },
		{ "eventfd", eventfds }, { "attribute", attribute }, { "wide", wide },
		{ "flags", flags },      { "page", page },
	};

	vc_open(&c, 0, 1, VFIO_TYPE1v2_IOMMU);
	return vc_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
