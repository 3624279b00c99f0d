// SPDX-License-Identifier: BSD-3-Clause
/* The test clients' common part, see vfio_client.h. */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/dma-heap.h>
#include <linux/pci_regs.h>

void vc_die(const char *format, ...)
{
	int err = errno;
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "client: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, " (errno %d, %s)\n", err, strerror(err));
	exit(2);
}

unsigned int vc_list(struct vc *c)
{
	const char *env = getenv("CBIT_DEVICES");
	char *list, *word, *rest = NULL;

	memset(c, 0, sizeof(*c));
	c->container = -1;
	VC_REQUIRE(env && (list = strdup(env)), "CBIT_DEVICES is not set");
	for (word = strtok_r(list, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		VC_REQUIRE(c->count < VC_MAX_DEVICES, "too many devices");
		VC_REQUIRE(strlen(word) == 12, "'%s' is no PCI address", word);
		memcpy(c->dev[c->count].bdf, word, 13);
		c->dev[c->count].group = c->dev[c->count].fd = -1;
		c->count++;
	}
	free(list);
	return c->count;
}

int vc_group_number(const char *bdf)
{
	char path[128], target[256];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.15s/iommu_group", bdf);
	n = readlink(path, target, sizeof(target) - 1);
	VC_REQUIRE(n > 0, "readlink %s", path);
	target[n] = '\0';
	slash = strrchr(target, '/');
	VC_REQUIRE(slash, "'%s' names no group", target);
	return atoi(slash + 1);
}

static void *map_region(struct vc_device *d, uint32_t index, size_t *size, uint64_t *offset)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };
	void *p;

	VC_REQUIRE(!ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, &info), "region %u", index);
	*offset = info.offset;
	*size = (size_t)info.size;
	if (!info.size || !(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return NULL;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, (off_t)info.offset);
	VC_REQUIRE(p != MAP_FAILED, "mmap of region %u", index);
	return p;
}

static void open_device(struct vc_device *d)
{
	const char *token = getenv("VC_TOKEN");
	char name[128];
	uint64_t offset;
	size_t size;

	/* a virtual function is opened with the token of its physical one */
	snprintf(name, sizeof(name), "%.15s%s%.40s", d->bdf, token ? " vf_token=" : "",
		 token ? token : "");
	d->fd = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, name);
	VC_REQUIRE(d->fd >= 0, "GET_DEVICE_FD %s", name);
	VC_REQUIRE(!map_region(d, VFIO_PCI_CONFIG_REGION_INDEX, &size, &d->config),
		   "config space offers mmap");
	d->bar0 = map_region(d, VFIO_PCI_BAR0_REGION_INDEX, &d->bar0_size, &offset);
	d->bar2 = map_region(d, VFIO_PCI_BAR2_REGION_INDEX, &d->bar2_size, &d->bar2_offset);
}

void vc_open(struct vc *c, unsigned int first, unsigned int count, int type)
{
	struct vc_device *d;
	char path[64];

	VC_REQUIRE(vc_list(c) >= first + count, "%u devices are needed, %u are there",
		   first + count, c->count);
	memmove(c->dev, c->dev + first, count * sizeof(c->dev[0]));
	c->count = count;
	c->container = open(type & VC_IOMMUFD ? "/dev/iommu" : "/dev/vfio/vfio", O_RDWR);
	VC_REQUIRE(c->container >= 0, "opening the container");
	type &= ~VC_IOMMUFD;
	for (d = c->dev; d < c->dev + count; d++) {
		d->group_number = vc_group_number(d->bdf);
		snprintf(path, sizeof(path), "/dev/vfio/%s%d",
			 type == VFIO_NOIOMMU_IOMMU ? "noiommu-" : "", d->group_number);
		d->group = open(path, O_RDWR);
		VC_REQUIRE(d->group >= 0, "%s", path);
		VC_REQUIRE(!ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &c->container),
			   "SET_CONTAINER");
	}
	VC_REQUIRE(!ioctl(c->container, VFIO_SET_IOMMU, (unsigned long)type), "SET_IOMMU %d", type);
	for (d = c->dev; d < c->dev + count; d++)
		open_device(d);
}

void vc_close(struct vc *c)
{
	for (struct vc_device *d = c->dev; d < c->dev + c->count; d++) {
		if (d->bar0)
			munmap((void *)(uintptr_t)d->bar0, d->bar0_size);
		if (d->bar2)
			munmap(d->bar2, d->bar2_size);
		close(d->fd);
		close(d->group);
	}
	close(c->container);
}

int vc_map_flags(struct vc *c, const void *address, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (uintptr_t)address,
		.iova = iova,
		.size = size,
	};

	return ioctl(c->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

int vc_unmap(struct vc *c, uint64_t iova, uint64_t size, uint64_t *unmapped)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};
	int ret = ioctl(c->container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;

	if (unmapped)
		*unmapped = unmap.size;
	return ret;
}

void vc_map(struct vc *c, const void *address, uint64_t iova, uint64_t size)
{
	int ret = vc_map_flags(c, address, iova, size,
			       VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);

	errno = -ret;
	VC_REQUIRE(!ret, "MAP_DMA iova 0x%llx size 0x%llx", (unsigned long long)iova,
		   (unsigned long long)size);
}

void vc_unmap_exact(struct vc *c, uint64_t iova, uint64_t size)
{
	uint64_t unmapped = ~size;
	int ret = vc_unmap(c, iova, size, &unmapped);

	errno = -ret;
	VC_REQUIRE(!ret && unmapped == size, "UNMAP_DMA iova 0x%llx size 0x%llx unmapped 0x%llx",
		   (unsigned long long)iova, (unsigned long long)size,
		   (unsigned long long)unmapped);
}

/* Private anonymous memory at an address that is offset bytes behind a multiple of align. */
void *vc_memory(size_t size, size_t align, size_t offset)
{
	uint8_t *base = mmap(NULL, size + 2 * align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at, *p;

	VC_REQUIRE(base != MAP_FAILED, "reserving address space");
	at = base + (align - (uintptr_t)base % align) + offset % align;
	p = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	VC_REQUIRE(p == at, "mmap of %zu bytes", size);
	if (at > base)
		munmap(base, (size_t)(at - base));
	munmap(at + size, (size_t)(base + size + 2 * align - (at + size)));
	return p;
}

void vc_config_read(const struct vc_device *d, uint64_t at, void *data, size_t size)
{
	VC_REQUIRE(pread(d->fd, data, size, (off_t)(d->config + at)) == (ssize_t)size,
		   "reading config space at 0x%llx", (unsigned long long)at);
}

void vc_config_write(const struct vc_device *d, uint64_t at, const void *data, size_t size)
{
	VC_REQUIRE(pwrite(d->fd, data, size, (off_t)(d->config + at)) == (ssize_t)size,
		   "writing config space at 0x%llx", (unsigned long long)at);
}

void vc_bus_master(const struct vc_device *d, bool on)
{
	uint16_t command;

	vc_config_read(d, PCI_COMMAND, &command, sizeof(command));
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (!on)
		command &= (uint16_t)~PCI_COMMAND_MASTER;
	vc_config_write(d, PCI_COMMAND, &command, sizeof(command));
}

static volatile void *chan(const struct vc_device *d, size_t offset)
{
	return d->bar0 + IOAT_CHANNEL + offset;
}

void vc_engine_reset(const struct vc_device *d)
{
	uint32_t errors = *(volatile uint32_t *)chan(d, IOAT_CHANERR);

	*(volatile uint32_t *)chan(d, IOAT_CHANERR) = errors;
	*(volatile uint8_t *)chan(d, IOAT_CHANCMD) = IOAT_CMD_RESET;
	for (int i = 0; *(volatile uint8_t *)chan(d, IOAT_CHANCMD) & IOAT_CMD_RESET; i++) {
		VC_REQUIRE(i < 1000, "the engine stays in reset");
		usleep(1000);
	}
	VC_REQUIRE(vc_engine_state(d) == IOAT_HALTED, "state %d after reset", vc_engine_state(d));
}

void vc_engine(struct vc *c, struct vc_device *d, uint64_t desc_iova)
{
	void *page = vc_memory(VC_PAGE, VC_PAGE, 0);

	vc_map(c, page, desc_iova, VC_PAGE);
	vc_engine_at(d, page, desc_iova);
}

void vc_engine_at(struct vc_device *d, void *page, uint64_t desc_iova)
{
	VC_REQUIRE(d->bar0, "%s has no BAR0", d->bdf);
	d->desc = page;
	d->desc_iova = desc_iova;
	vc_bus_master(d, true);
	vc_engine_reset(d);
}

/* As DPDK's rte_mem_virt2phy() does it, by lseek() and read(). */
uint64_t vc_phys(const void *p)
{
	uint64_t at = (uintptr_t)p, entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile const uint8_t *touch = p;

	(void)*touch;
	VC_REQUIRE(fd >= 0, "/proc/self/pagemap");
	VC_REQUIRE(lseek(fd, (off_t)(at / VC_PAGE * 8), SEEK_SET) != -1, "seeking in pagemap");
	VC_REQUIRE(read(fd, &entry, sizeof(entry)) == sizeof(entry), "reading pagemap");
	VC_REQUIRE(entry >> 63, "the page at %p is not there", p);
	close(fd);
	return (entry & ((1ull << 55) - 1)) * VC_PAGE + at % VC_PAGE;
}

void *vc_heap(const char *name, size_t size)
{
	int fd;
	void *p = vc_heap_fd(name, size, &fd);

	if (p)
		close(fd);
	return p;
}

void *vc_heap_fd(const char *name, size_t size, int *fd)
{
	struct dma_heap_allocation_data alloc = { .len = size, .fd_flags = O_RDWR | O_CLOEXEC };
	char path[64];
	void *p;
	int heap;

	snprintf(path, sizeof(path), "/dev/dma_heap/%s", name);
	heap = open(path, O_RDONLY | O_CLOEXEC);
	if (heap < 0)
		return NULL;
	VC_REQUIRE(!ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &alloc), "DMA_HEAP_IOCTL_ALLOC of %s", path);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)alloc.fd, 0);
	VC_REQUIRE(p != MAP_FAILED, "mmap of a buffer of %s", path);
	*fd = (int)alloc.fd;
	close(heap);
	return p;
}

void vc_engine_end(struct vc *c, struct vc_device *d)
{
	vc_engine_reset(d);
	vc_unmap_exact(c, d->desc_iova, VC_PAGE);
	munmap(d->desc, VC_PAGE);
	d->desc = NULL;
}

enum ioat_state vc_engine_state(const struct vc_device *d)
{
	return (enum ioat_state)(*(volatile uint64_t *)chan(d, IOAT_CHANSTS) & 7);
}

void vc_engine_start(const struct vc_device *d, uint16_t count)
{
	*(volatile uint64_t *)chan(d, IOAT_CHAINADDR) = d->desc_iova;
	*(volatile uint16_t *)chan(d, IOAT_CHANCTRL) = IOAT_CTRL_ANY_ERR_ABORT;
	*(volatile uint16_t *)chan(d, IOAT_DMACOUNT) = count;
}

enum ioat_state vc_engine_wait(const struct vc_device *d)
{
	struct timespec start, now;
	enum ioat_state state;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		state = vc_engine_state(d);
		if (state == IOAT_DONE || state == IOAT_HALTED)
			return state;
		clock_gettime(CLOCK_MONOTONIC, &now);
		VC_REQUIRE(now.tv_sec - start.tv_sec < 30, "the engine hangs, state %d", state);
	}
}

enum ioat_state vc_copy(const struct vc_device *d, uint64_t source, uint64_t target, uint64_t size)
{
	enum ioat_state state = IOAT_DONE;

	while (size && state == IOAT_DONE) {
		uint32_t n = size < VC_MAX_COPY ? (uint32_t)size : VC_MAX_COPY;

		*d->desc = (struct ioat_desc){
			.size = n, .source = source, .target = target, .next = d->desc_iova
		};
		vc_engine_start(d, 1);
		state = vc_engine_wait(d);
		source += n;
		target += n;
		size -= n;
	}
	return state;
}

/* Bytes that differ from place to place and from seed to seed. */
static uint8_t pattern(size_t at, unsigned int seed)
{
	return (uint8_t)(at * 7 + (at >> 8) * 13 + (size_t)seed * 101 + 1);
}

void vc_fill(void *p, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)p)[i] = pattern(i, seed);
}

bool vc_filled(const void *p, size_t size, unsigned int seed)
{
	for (size_t i = 0; i < size; i++)
		if (((const volatile uint8_t *)p)[i] != pattern(i, seed))
			return false;
	return true;
}

void vc_hex(const char *label, const void *p, size_t size)
{
	printf("%s:", label);
	for (size_t i = 0; i < size; i++)
		printf(" %02x", ((const volatile uint8_t *)p)[i]);
	printf("\n");
}

unsigned long vc_supervisor_ticks(void)
{
	unsigned long user, system;
	char path[64], line[1024], *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", getppid());
	f = fopen(path, "re");
	VC_REQUIRE(f && fgets(line, sizeof(line), f), "%s", path);
	fclose(f);
	end = strrchr(line, ')');
	/* After the name come the state and ten numbers, then these two (proc(5)). */
	VC_REQUIRE(end && sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				 &user, &system) == 2,
		   "what is '%s'?", line);
	return user + system;
}

int vc_run_case(int argc, char **argv, const struct vc_case *cases, size_t nr)
{
	for (size_t i = 0; argc == 2 && i < nr; i++) {
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			printf("%s: all right\n", argv[1]);
			return 0;
		}
	}
	vc_die("no such case");
}
