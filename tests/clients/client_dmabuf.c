// SPDX-License-Identifier: BSD-3-Clause
/*
 * client_dmabuf file|revoke|memory: dma-bufs of a BAR and files in memory through an
 * iommufd, with devices "ioat" and "ioat,membar=SIZE".
 *
 * file:   the descriptor is as a dma-buf's, here and in a process that it is sent to.
 * revoke: DMA fails after whatever may keep the BAR's memory from answering. Leaves three findings.
 * memory: DMA to a memfd that is not mapped in any process.
 */
#include "iommufd_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#define DESC_IOVA 0x1000000u
#define RAM_IOVA  0x2000000u
#define BAR_IOVA  0x40000000u
#define SIZE      ((size_t)65536)
#define BAR       2u
#define REQUIRE   VC_REQUIRE

/*
 * Both devices through their nodes, bound to one iommufd; the first is attached to an address
 * space, which is the iommufd's as a container, too. Returns its number.
 */
static uint32_t open_nodes(struct vc *c)
{
	struct uapi_attach_pt attach = { .argsz = 12 };
	struct uapi_vfio_ioas compat = { .size = sizeof(compat), .op = UAPI_VFIO_IOAS_SET };
	void *bar0;

	REQUIRE(vc_list(c) >= 2, "two devices are needed");
	c->container = ic_open();
	attach.pt_id = compat.ioas_id = ic_ioas_alloc(c->container);
	for (unsigned int i = 0; i < 2; i++) {
		struct vfio_region_info info = { .argsz = sizeof(info), .index = 7 };
		struct vc_device *d = &c->dev[i];

		d->fd = ic_open_cdev(d->bdf, c->container);
		REQUIRE(!ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info), "REGION_INFO");
		d->config = info.offset;
		info.index = i ? BAR : 0;
		REQUIRE(!ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info), "REGION_INFO");
		bar0 = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd,
			    (off_t)info.offset);
		REQUIRE(bar0 != MAP_FAILED, "mmap of a BAR");
		if (i) {
			d->bar2 = bar0;
			d->bar2_size = info.size;
		} else {
			d->bar0 = bar0;
			d->bar0_size = info.size;
		}
	}
	REQUIRE(!ioctl(c->dev[0].fd, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach), "ATTACH");
	REQUIRE(!ioctl(c->container, UAPI_IOMMUFD_VFIO_IOAS, &compat), "VFIO_IOAS");
	vc_engine(c, &c->dev[0], DESC_IOVA);
	return compat.ioas_id;
}

static int export_bar(const struct vc_device *d, uint64_t offset, uint64_t size, uint32_t flags)
{
	struct {
		struct uapi_feature head;
		struct uapi_feature_dma_buf get;
		struct uapi_dma_range range;
	} cmd = { { sizeof(cmd), UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET },
		  { BAR, flags, 0, 1 },
		  { offset, size } };
	int fd = ioctl(d->fd, UAPI_DEVICE_FEATURE, &cmd);

	REQUIRE(fd >= 0, "FEATURE_DMA_BUF");
	return fd;
}

static void close_nodes(struct vc *c)
{
	vc_engine_end(c, &c->dev[0]);
	munmap((void *)(uintptr_t)c->dev[0].bar0, c->dev[0].bar0_size);
	munmap(c->dev[1].bar2, c->dev[1].bar2_size);
	close(c->dev[0].fd);
	close(c->dev[1].fd);
	close(c->container);
}

/* --- file --- */

static void check_status(int fd, uint64_t size)
{
	struct stat st;
	struct statx stx;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT };
	uint64_t sync = 1, none = 0;
	char path[64];

	REQUIRE(!fstat(fd, &st) && (uint64_t)st.st_size == size, "fstat");
	REQUIRE(st.st_mode == (S_IRUSR | S_IWUSR) && st.st_nlink == 1 && !st.st_rdev,
		"mode %o of a dma-buf", st.st_mode);
	REQUIRE((uint64_t)st.st_blocks == size / 512, "blocks of a dma-buf");
	REQUIRE(!statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) &&
			stx.stx_mode == st.st_mode && stx.stx_ino == st.st_ino,
		"statx");
	REQUIRE((uint64_t)lseek(fd, 0, SEEK_END) == size && !lseek(fd, 0, SEEK_SET), "lseek");
	REQUIRE(poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == (POLLIN | POLLOUT), "poll");
	REQUIRE(mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL,
		"mmap of a dma-buf");
	REQUIRE(!ioctl(fd, UAPI_DMA_BUF_SYNC, &sync), "DMA_BUF_IOCTL_SYNC");
	REQUIRE(ioctl(fd, UAPI_DMA_BUF_SYNC, &none) && errno == EINVAL, "SYNC of nothing");
	REQUIRE(ioctl(fd, UAPI_DEVICE_RESET, 0) && errno == ENOTTY, "a device's call");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	REQUIRE(open(path, O_RDWR) < 0 && errno == ENXIO, "opening it again");
}

static void check_fdinfo(int fd, const char *line)
{
	char path[64], text[1024];
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY);
	REQUIRE(info >= 0, "%s", path);
	n = read(info, text, sizeof(text) - 1);
	close(info);
	REQUIRE(n > 0, "reading %s", path);
	text[n] = '\0';
	REQUIRE(strstr(text, line), "%s has no line '%s'", path, line);
}

static void send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (char[]){ 'f' }, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	REQUIRE(sendmsg(sock, &msg, 0) == 1, "sendmsg");
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd;

	REQUIRE(recvmsg(sock, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg), "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* The other process: an iommufd of its own, which nobody does DMA by. */
static void other_process(struct vc *c, int sock)
{
	int fd = receive_fd(sock), iommufd = open("/dev/iommu", O_RDWR);
	uint32_t ioas;
	char byte = 0;

	REQUIRE(iommufd >= 0, "/dev/iommu");
	/* What a fork left here is the device, too. */
	munmap(c->dev[1].bar2, c->dev[1].bar2_size);
	close(c->dev[1].fd);
	ioas = ic_ioas_alloc(iommufd);
	check_status(fd, SIZE);
	REQUIRE(!ic_map_file(iommufd, ioas, 0, fd, 0, SIZE), "IOAS_MAP_FILE of what was sent");
	REQUIRE(write(sock, &byte, 1) == 1 && read(sock, &byte, 1) == 1, "the other side");
	/* revoked meanwhile */
	REQUIRE(ic_map_file(iommufd, ioas, BAR_IOVA, fd, 0, SIZE) == -ENODEV, "it is there yet");
	ic_unmap(iommufd, ioas, 0, SIZE);
	exit(0);
}

static void descriptor(void)
{
	char name[] = "a BAR";
	struct vc c;
	int fd, second, pair[2], status, low;
	pid_t child;
	char byte;

	open_nodes(&c);
	REQUIRE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, c.container, 0) == MAP_FAILED &&
			errno == ENXIO,
		"mmap of an iommufd");
	fd = export_bar(&c.dev[1], 0, SIZE, O_RDWR);
	REQUIRE(!(fcntl(fd, F_GETFD) & FD_CLOEXEC), "close-on-exec was not asked for");
	REQUIRE((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR, "access mode");
	check_status(fd, SIZE);
	check_fdinfo(fd, "size:\t65536\n");
	check_fdinfo(fd, "exp_name:\tvfio_pci_core\n");
	REQUIRE(!ioctl(fd, UAPI_DMA_BUF_SET_NAME_B, name), "DMA_BUF_SET_NAME");
	second = dup(fd);
	close(fd);
	check_fdinfo(second, "name:\ta BAR\n");
	low = export_bar(&c.dev[1], 4096, 4096, O_RDONLY | O_CLOEXEC);
	REQUIRE(fcntl(low, F_GETFD) & FD_CLOEXEC, "close-on-exec");
	REQUIRE((fcntl(low, F_GETFL) & O_ACCMODE) == O_RDONLY, "access mode");
	check_status(low, 4096);
	close(low);

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	child = fork();
	if (!child) {
		close(second);
		close(pair[0]);
		other_process(&c, pair[1]);
	}
	close(pair[1]);
	send_fd(pair[0], second);
	/* Only the child has it now. */
	close(second);
	REQUIRE(read(pair[0], &byte, 1) == 1, "the child");
	close(c.dev[1].fd);
	munmap(c.dev[1].bar2, c.dev[1].bar2_size);
	REQUIRE(write(pair[0], &byte, 1) == 1, "the child");
	REQUIRE(waitpid(child, &status, 0) == child && !status, "the child: status %x", status);
	vc_engine_end(&c, &c.dev[0]);
	munmap((void *)(uintptr_t)c.dev[0].bar0, c.dev[0].bar0_size);
	close(c.dev[0].fd);
	close(c.container);
}

/* --- revoke --- */

static void command(const struct vc_device *d, uint16_t value)
{
	vc_config_write(d, PCI_COMMAND, &value, sizeof(value));
}

static void revoked(void)
{
	struct vc c;
	uint32_t ioas = open_nodes(&c);
	uint8_t *ram = vc_memory(SIZE, VC_PAGE, 0);
	struct vc_device *engine = &c.dev[0], *bar = &c.dev[1];
	int fd = export_bar(bar, 0, SIZE, O_RDWR | O_CLOEXEC);

	vc_map(&c, ram, RAM_IOVA, SIZE);
	for (unsigned int how = 0; how < 3; how++) {
		vc_fill(ram, SIZE, how);
		REQUIRE(!ic_map_file(c.container, ioas, BAR_IOVA, fd, 0, SIZE), "MAP_FILE");
		REQUIRE(vc_copy(engine, RAM_IOVA, BAR_IOVA, SIZE) == IOAT_DONE, "a copy failed");
		REQUIRE(vc_filled(bar->bar2, SIZE, how), "the bytes did not arrive");
		switch (how) {
		case 0:
			REQUIRE(!ioctl(bar->fd, UAPI_DEVICE_RESET, 0), "RESET");
			break;
		case 1:
			command(bar, 0);
			REQUIRE(ic_map_file(c.container, ioas, 0, fd, 0, SIZE) == -ENODEV,
				"it is there without memory decoding");
			command(bar, PCI_COMMAND_MEMORY);
			break;
		default:
			munmap(bar->bar2, bar->bar2_size);
			close(bar->fd);
			REQUIRE(ic_map_file(c.container, ioas, 0, fd, 0, SIZE) == -ENODEV,
				"it is there without its device");
			break;
		}
		REQUIRE(vc_copy(engine, RAM_IOVA, BAR_IOVA, SIZE) == IOAT_HALTED,
			"DMA goes on after the dma-buf was revoked");
		vc_engine_reset(engine);
		ic_unmap(c.container, ioas, BAR_IOVA, SIZE);
	}
	close(fd);
	vc_unmap_exact(&c, RAM_IOVA, SIZE);
	vc_engine_end(&c, engine);
	munmap((void *)(uintptr_t)engine->bar0, engine->bar0_size);
	close(engine->fd);
	close(c.container);
}

/* --- memory --- */

static void memory(void)
{
	static uint8_t sent[SIZE], got[SIZE];
	struct vc c;
	uint32_t ioas = open_nodes(&c);
	int fd = memfd_create("buffer", MFD_CLOEXEC), plain = open("/proc/self/exe", O_RDONLY);
	char path[64];
	int again;

	REQUIRE(fd >= 0 && !ftruncate(fd, 3 * SIZE + 5) && plain >= 0, "memfd_create");
	vc_fill(sent, SIZE, 1);
	REQUIRE(pwrite(fd, sent, SIZE, 4096) == (ssize_t)SIZE, "pwrite");
	REQUIRE(ic_map_file(c.container, ioas, RAM_IOVA, 1000, 0, 4096) == -EBADF, "no descriptor");
	REQUIRE(ic_map_file(c.container, ioas, RAM_IOVA, c.dev[0].fd, 0, 4096) == -EINVAL,
		"a device");
	REQUIRE(ic_map_file(c.container, ioas, RAM_IOVA, c.container, 0, 4096) == -EINVAL,
		"iommufd");
	REQUIRE(ic_map_file(c.container, ioas, RAM_IOVA, 2, 0, 4096) == -EINVAL, "standard error");
	REQUIRE(ic_map_file(c.container, ioas, RAM_IOVA, fd, 0, 3 * SIZE + 4096) == -EINVAL,
		"a page that is not there whole");
	/* for reading alone, and yet the device may write */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(again >= 0, "opening it again");
	REQUIRE(!ic_map_file(c.container, ioas, RAM_IOVA, again, 0, 3 * SIZE), "MAP_FILE");
	close(again);
	REQUIRE(vc_copy(&c.dev[0], RAM_IOVA + 4096, RAM_IOVA + 2 * SIZE - 4096, SIZE) == IOAT_DONE,
		"the copy failed");
	REQUIRE(pread(fd, got, SIZE, 2 * SIZE - 4096) == (ssize_t)SIZE, "pread");
	REQUIRE(!memcmp(sent, got, SIZE), "other bytes arrived");
	close(fd);
	ic_unmap(c.container, ioas, RAM_IOVA, 3 * SIZE);
	close(plain);
	close_nodes(&c);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "file"))
		descriptor();
	else if (!strcmp(what, "revoke"))
		revoked();
	else if (!strcmp(what, "memory"))
		memory();
	else
		vc_die("usage: client_dmabuf file|revoke|memory");
	printf("%s: all right\n", what);
	return 0;
}
