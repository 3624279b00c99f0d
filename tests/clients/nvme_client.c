// SPDX-License-Identifier: BSD-3-Clause
/* The test clients' NVMe driver, see nvme_client.h. */
#include "nvme_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define REG_CAP  0x00
#define REG_CC   0x14
#define REG_CSTS 0x1c
#define REG_AQA  0x24
#define REG_ASQ  0x28
#define REG_ACQ  0x30
#define DOORBELL 0x1000

#define CC_ENABLE 0x00460001u

#define CREATE_SQ 0x01
#define CREATE_CQ 0x05

_Static_assert(sizeof(struct nc_sqe) == 64 && sizeof(struct nc_cqe) == 16, "queue entries");

static void wait_ready(const struct nc *nc, uint32_t ready)
{
	for (int i = 0; (nc->reg[REG_CSTS / 4] & 1) != ready; i++) {
		VC_REQUIRE(i < 30000 && !(nc->reg[REG_CSTS / 4] & 2), "CSTS 0x%x",
			   nc->reg[REG_CSTS / 4]);
		usleep(1000);
	}
}

static void set64(struct nc *nc, unsigned int at, uint64_t v)
{
	nc->reg[at / 4] = (uint32_t)v;
	nc->reg[at / 4 + 1] = (uint32_t)(v >> 32);
}

static void *get_memory(size_t size, enum nc_memory kind)
{
	void *p;
	int fd;

	if (kind == NC_PRIVATE)
		return vc_memory(size, VC_PAGE, 0);
	fd = memfd_create("nvme-client", MFD_CLOEXEC);
	VC_REQUIRE(fd >= 0 && !ftruncate(fd, (off_t)size), "memfd of %zu bytes", size);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	VC_REQUIRE(p != MAP_FAILED, "mmap of %zu bytes", size);
	close(fd);
	return p;
}

static void arm(struct nc *nc)
{
	_Alignas(struct vfio_irq_set) uint8_t arg[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	const struct vfio_irq_set set = {
		.argsz = sizeof(arg),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
		.count = 1,
	};

	nc->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	VC_REQUIRE(nc->eventfd >= 0, "eventfd");
	memcpy(arg, &set, sizeof(set));
	memcpy(arg + sizeof(set), &nc->eventfd, sizeof(int32_t));
	VC_REQUIRE(!ioctl(nc->dev->fd, VFIO_DEVICE_SET_IRQS, arg), "SET_IRQS");
}

static void create_queues(struct nc *nc)
{
	const uint32_t last = NC_ENTRIES - 1;

	for (unsigned int i = 1; i <= nc->queues; i++) {
		nc_do(nc, 0,
		      (struct nc_sqe){ .opcode = CREATE_CQ,
				       .prp1 = nc->q[i].cq_iova,
				       .cdw10 = i | last << 16,
				       .cdw11 = nc->eventfd >= 0 ? 3 : 1 });
		nc_do(nc, 0,
		      (struct nc_sqe){ .opcode = CREATE_SQ,
				       .prp1 = nc->q[i].sq_iova,
				       .cdw10 = i | last << 16,
				       .cdw11 = 1 | i << 16 });
	}
}

static void identify(struct nc *nc)
{
	uint8_t lbaf;

	nc_do(nc, 0, (struct nc_sqe){ .opcode = NC_IDENTIFY, .nsid = 1, .prp1 = nc->data_iova });
	memcpy(&nc->blocks, nc->data, sizeof(nc->blocks));
	lbaf = nc->data[26] & 15;
	nc->block = 1u << nc->data[128 + 4 * lbaf + 2];
}

void nc_open(struct nc *nc, unsigned int index, unsigned int queues, size_t data,
	     enum nc_memory kind, bool interrupts)
{
	const size_t pages = 2 * ((size_t)queues + 1);

	VC_REQUIRE(queues < NC_MAX_QUEUES && data >= VC_PAGE, "so many queues, so little data");
	memset(nc, 0, sizeof(*nc));
	vc_open(&nc->vc, index, 1, VFIO_TYPE1v2_IOMMU);
	nc->dev = &nc->vc.dev[0];
	nc->reg = (volatile uint32_t *)(volatile void *)nc->dev->bar0;
	VC_REQUIRE(nc->reg, "no BAR0");
	nc->queues = queues;
	nc->eventfd = -1;
	nc->size = pages * VC_PAGE + data;
	nc->memory = get_memory(nc->size, kind);
	memset(nc->memory, 0, nc->size);
	nc->data = nc->memory + pages * VC_PAGE;
	nc->data_iova = NC_IOVA + pages * VC_PAGE;
	vc_map(&nc->vc, nc->memory, NC_IOVA, nc->size);
	vc_bus_master(nc->dev, true);
	for (unsigned int i = 0; i <= queues; i++)
		nc->q[i] = (struct nc_queue){
			.sq = (void *)(nc->memory + 2 * i * VC_PAGE),
			.cq = (void *)(nc->memory + (2 * i + 1) * VC_PAGE),
			.sq_iova = NC_IOVA + 2 * i * VC_PAGE,
			.cq_iova = NC_IOVA + (2 * i + 1) * VC_PAGE,
			.phase = 1,
			.number = i,
		};
	nc->reg[REG_CC / 4] = 0;
	wait_ready(nc, 0);
	nc->reg[REG_AQA / 4] = (NC_ENTRIES - 1) | (NC_ENTRIES - 1) << 16;
	set64(nc, REG_ASQ, nc->q[0].sq_iova);
	set64(nc, REG_ACQ, nc->q[0].cq_iova);
	nc->reg[REG_CC / 4] = CC_ENABLE;
	wait_ready(nc, 1);
	if (interrupts)
		arm(nc);
	create_queues(nc);
	identify(nc);
}

void nc_close(struct nc *nc)
{
	nc->reg[REG_CC / 4] = 0;
	wait_ready(nc, 0);
	vc_unmap_exact(&nc->vc, NC_IOVA, nc->size);
	munmap(nc->memory, nc->size);
	if (nc->eventfd >= 0)
		close(nc->eventfd);
	vc_close(&nc->vc);
}

void nc_put(struct nc_queue *q, const struct nc_sqe *sqe)
{
	q->sq[q->tail] = *sqe;
	q->tail = (q->tail + 1) % NC_ENTRIES;
}

void nc_ring(struct nc *nc, struct nc_queue *q)
{
	/* The entries first. */
	__atomic_store_n(&nc->reg[(DOORBELL + 8 * q->number) / 4], q->tail, __ATOMIC_RELEASE);
}

bool nc_poll(struct nc_queue *q, struct nc_cqe *out)
{
	volatile struct nc_cqe *cqe = &q->cq[q->head];

	if ((__atomic_load_n(&cqe->status, __ATOMIC_ACQUIRE) & 1) != q->phase)
		return false;
	*out = (struct nc_cqe){ .result = cqe->result,
				.sq_head = cqe->sq_head,
				.sq_id = cqe->sq_id,
				.cid = cqe->cid,
				.status = (uint16_t)(cqe->status >> 1) };
	q->head = (q->head + 1) % NC_ENTRIES;
	if (!q->head)
		q->phase ^= 1;
	return true;
}

void nc_taken(struct nc *nc, struct nc_queue *q)
{
	nc->reg[(DOORBELL + 8 * q->number) / 4 + 1] = q->head;
}

bool nc_wait(struct nc *nc, int ms)
{
	struct pollfd p = { .fd = nc->eventfd, .events = POLLIN };
	uint64_t count;

	return poll(&p, 1, ms) == 1 && read(nc->eventfd, &count, sizeof(count)) == sizeof(count);
}

uint32_t nc_do(struct nc *nc, unsigned int queue, struct nc_sqe sqe)
{
	struct nc_queue *q = &nc->q[queue];
	struct timespec start, now;
	struct nc_cqe cqe;

	nc_put(q, &sqe);
	nc_ring(nc, q);
	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!nc_poll(q, &cqe)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		VC_REQUIRE(now.tv_sec - start.tv_sec < 30, "command 0x%x does not end", sqe.opcode);
	}
	nc_taken(nc, q);
	VC_REQUIRE(!cqe.status, "command 0x%x: status 0x%x", sqe.opcode, cqe.status);
	return (uint32_t)cqe.result;
}

struct nc_sqe nc_io(const struct nc *nc, uint8_t opcode, uint64_t lba, uint32_t blocks, size_t at)
{
	return (struct nc_sqe){ .opcode = opcode,
				.nsid = 1,
				.prp1 = nc->data_iova + at,
				.prp2 = nc->data_iova + at + VC_PAGE,
				.cdw10 = (uint32_t)lba,
				.cdw11 = (uint32_t)(lba >> 32),
				.cdw12 = blocks - 1 };
}
