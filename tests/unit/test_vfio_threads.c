/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eight threads in the vfio room at once: mappings in containers of their own and in a shared
 * one, interrupts armed and masked while a device raises them, a group that comes and goes,
 * device nodes bound and attached. Built with -Db_sanitize=thread it says that nothing races;
 * built without, that nothing is lost, deadlocks or is left behind.
 */
#include "client_rig.h"
#include "dev/ioat_hw.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROUNDS  400
#define THREADS 8
#define PAGE    CBIT_PAGE_SIZE

/* What the made-up client keeps in plain numbers is under this lock here. */
static pthread_mutex_t rig = PTHREAD_MUTEX_INITIALIZER;
static __thread uint64_t args_at; /* each thread has its own place for arguments */

struct fixture {
	struct client *c;
	struct opened own[4]; /* four groups in four containers; the last is shared by threads */
	struct cbit_pci *pci[4];
	int nodes[2];
	int iommufd;
	uint32_t ioas;
	int e[4];
	atomic_uint mapped;
};

struct job {
	struct fixture *f;
	unsigned int n;
	pthread_t thread;
};

static int pin(void *opaque, struct cbit_owner *owner, uint64_t vaddr, uint64_t len, bool write,
	       struct cbit_client_run *run)
{
	int ret;

	pthread_mutex_lock(&rig);
	ret = client_pin(opaque, owner, vaddr, len, write, run);
	pthread_mutex_unlock(&rig);
	return ret;
}

static void unpin(void *opaque, struct cbit_owner *owner, uint64_t vaddr,
		  const struct cbit_client_run *run)
{
	pthread_mutex_lock(&rig);
	client_unpin(opaque, owner, vaddr, run);
	pthread_mutex_unlock(&rig);
}

static int get_eventfd(void *opaque, void *caller, int fd)
{
	int ret;

	pthread_mutex_lock(&rig);
	ret = client_eventfd(opaque, caller, fd);
	pthread_mutex_unlock(&rig);
	return ret;
}

static void signal_eventfd(void *opaque, int fd)
{
	pthread_mutex_lock(&rig);
	client_signal(opaque, fd);
	pthread_mutex_unlock(&rig);
}

static void put_eventfd(void *opaque, int fd)
{
	pthread_mutex_lock(&rig);
	client_eventfd_put(opaque, fd);
	pthread_mutex_unlock(&rig);
}

static int watch(void *opaque, int fd, void (*wake)(void *ctx), void *ctx)
{
	int ret;

	pthread_mutex_lock(&rig);
	ret = client_watch(opaque, fd, wake, ctx);
	pthread_mutex_unlock(&rig);
	return ret;
}

static int file_of(void *opaque, void *caller, int fd, struct cbit_file **out)
{
	int ret;

	pthread_mutex_lock(&rig);
	ret = client_file(opaque, caller, fd, out);
	pthread_mutex_unlock(&rig);
	return ret;
}

static int install(void *opaque, void *caller, struct cbit_file *file)
{
	int ret;

	pthread_mutex_lock(&rig);
	ret = client_install(opaque, caller, file);
	pthread_mutex_unlock(&rig);
	return ret;
}

static const struct cbit_client_ops ops = {
	.copy_in = client_copy_in,
	.copy_out = client_copy_out,
	.owner = client_owner,
	.owner_put = client_owner_put,
	.pin = pin,
	.unpin = unpin,
	.eventfd = get_eventfd,
	.signal = signal_eventfd,
	.eventfd_put = put_eventfd,
	.watch = watch,
	.file = file_of,
	.install = install,
};

static struct cbit_file *file_at(struct client *c, int fd)
{
	struct cbit_file *file;

	pthread_mutex_lock(&rig);
	file = c->fd[fd].file;
	pthread_mutex_unlock(&rig);
	return file;
}

static long call(struct client *c, int fd, uint32_t cmd, void *arg, size_t len)
{
	uint8_t *at = c->args + (args_at - ARGS);
	long ret;

	memcpy(at, arg, len);
	ret = cbit_vfio_ioctl(file_at(c, fd), NULL, cmd, args_at);
	memcpy(arg, at, len);
	return ret;
}

static long map(struct client *c, int container, uint64_t iova, uint64_t pages)
{
	struct uapi_dma_map map = { sizeof(map), 3, RAM, iova, pages * PAGE };

	return call(c, container, UAPI_IOMMU_MAP_DMA, &map, sizeof(map));
}

static long unmap(struct client *c, int container, uint64_t iova, uint64_t *size)
{
	struct uapi_dma_unmap unmap = { sizeof(unmap), 0, iova, *size };
	long ret = call(c, container, UAPI_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap));

	*size = unmap.size;
	return ret;
}

/* In one container nobody else is in, or in one that three threads share: every page counts. */
static void mapper(struct fixture *f, unsigned int which, unsigned int n)
{
	const int container = f->own[which].container;
	const uint64_t base = UINT64_C(0x40000000) + n * UINT64_C(0x1000000);
	uint32_t info[34] = { sizeof(info) };
	uint64_t size;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		assert_int_equal(map(f->c, container, base, 4), 0);
		assert_int_equal(map(f->c, container, base + 4 * PAGE, 1), 0);
		assert_int_equal(map(f->c, container, base, 1), -EEXIST);
		info[0] = sizeof(info);
		assert_int_equal(call(f->c, container, UAPI_IOMMU_GET_INFO, info, sizeof(info)), 0);
		assert_true(info[(24 + 32 + 8) / 4] <= 65535 - 2);
		size = 5 * PAGE;
		assert_int_equal(unmap(f->c, container, base, &size), 0);
		assert_int_equal(size, 5 * PAGE);
		atomic_fetch_add(&f->mapped, 5);
	}
}

/* All three for one page: one of them gets it, and only that one finds it when it unmaps. */
static void quarrel(struct fixture *f)
{
	const int container = f->own[3].container;
	uint64_t size;
	long ret;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		ret = map(f->c, container, UINT64_C(0x7000000), 1);
		if (ret == -EEXIST)
			continue;
		assert_int_equal(ret, 0);
		size = PAGE;
		assert_int_equal(unmap(f->c, container, UINT64_C(0x7000000), &size), 0);
		assert_int_equal(size, PAGE);
	}
}

static long irqs(struct fixture *f, int device, uint32_t index, uint32_t flags, uint32_t count,
		 int32_t fd)
{
	struct {
		struct uapi_irq_set head;
		int32_t fd;
	} set = { { sizeof(set), flags, index, 0, count }, fd };

	return call(f->c, device, UAPI_DEVICE_SET_IRQS, &set, sizeof(set));
}

static void write_bar(struct fixture *f, unsigned int which, uint64_t offset, uint64_t v,
		      unsigned int size)
{
	assert_int_equal(cbit_vfio_rw(file_at(f->c, f->own[which].device),
				      cbit_vfio_offset(f->pci[which], 0) + offset, &v, size, true),
			 size);
}

/* The interrupts of a device are armed, masked and switched while another thread has it raise. */
static void armer(struct fixture *f)
{
	const uint32_t none = UAPI_IRQ_SET_DATA_NONE, event = UAPI_IRQ_SET_DATA_EVENTFD;
	const int device = f->own[0].device;
	uint16_t command;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint32_t index = i % 3;

		assert_int_equal(
			irqs(f, device, index, event | UAPI_IRQ_SET_ACTION_TRIGGER, 1, f->e[i & 1]),
			0);
		if (index == UAPI_IRQ_INTX) {
			assert_int_equal(
				irqs(f, device, 0, event | UAPI_IRQ_SET_ACTION_UNMASK, 1, f->e[2]),
				0);
			assert_int_equal(irqs(f, device, 0, none | UAPI_IRQ_SET_ACTION_MASK, 1, 0),
					 0);
			assert_int_equal(
				irqs(f, device, 0, none | UAPI_IRQ_SET_ACTION_UNMASK, 1, 0), 0);
			command = i & 4 ? 0x406 : 6;
			assert_int_equal(
				cbit_vfio_rw(file_at(f->c, device),
					     cbit_vfio_offset(f->pci[0], UAPI_PCI_CONFIG_REGION) +
						     4,
					     &command, 2, true),
				2);
		}
		assert_int_equal(irqs(f, device, index, none | UAPI_IRQ_SET_ACTION_TRIGGER, 1, 0),
				 0);
		assert_int_equal(irqs(f, device, index, none | UAPI_IRQ_SET_ACTION_TRIGGER, 0, 0),
				 0);
	}
}

static void raiser(struct fixture *f)
{
	for (unsigned int i = 0; i < 4 * ROUNDS; i++) {
		uint32_t status;

		write_bar(f, 0, IOAT_CHANNEL + IOAT_DMACOUNT, i + 1, 2);
		assert_int_equal(cbit_vfio_rw(file_at(f->c, f->own[0].device),
					      cbit_vfio_offset(f->pci[0], 0) + IOAT_ATTNSTATUS,
					      &status, 4, false),
				 4);
		if (i % 64 == 0)
			assert_int_equal(cbit_vfio_ioctl(file_at(f->c, f->own[1].device), NULL,
							 UAPI_DEVICE_RESET, 0),
					 0);
	}
}

/* A group leaves its container and joins it again; files are opened and closed. */
static void joiner(struct fixture *f)
{
	struct uapi_group_status status;
	struct cbit_file *container;
	int32_t fd = f->own[2].container;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		status = (struct uapi_group_status){ .argsz = sizeof(status) };
		assert_int_equal(cbit_vfio_ioctl(file_at(f->c, f->own[2].group), NULL,
						 UAPI_GROUP_UNSET_CONTAINER, 0),
				 0);
		assert_int_equal(
			call(f->c, f->own[2].group, UAPI_GROUP_GET_STATUS, &status, sizeof(status)),
			0);
		assert_int_equal(status.flags, UAPI_GROUP_FLAGS_VIABLE);
		assert_int_equal(map(f->c, fd, 0, 1), -EINVAL);
		assert_int_equal(
			call(f->c, f->own[2].group, UAPI_GROUP_SET_CONTAINER, &fd, sizeof(fd)), 0);
		assert_int_equal(cbit_vfio_ioctl(file_at(f->c, fd), NULL, UAPI_SET_IOMMU, 3), 0);
		assert_int_equal(map(f->c, fd, 0, 1), 0);
		assert_int_equal(cbit_vfio_open(f->c->machine, CBIT_FILE_CONTAINER, 0, &container),
				 0);
		cbit_vfio_release(container);
	}
}

/* Two nodes move between two address spaces while the spaces are mapped and unmapped. */
static void attacher(struct fixture *f, unsigned int node)
{
	struct uapi_attach_pt attach;
	struct uapi_detach_pt detach;
	struct uapi_ioas_alloc alloc;
	struct uapi_fd_destroy destroy = { .size = sizeof(destroy) };
	struct uapi_ioas_map io;
	struct uapi_ioas_unmap un;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		alloc = (struct uapi_ioas_alloc){ .size = sizeof(alloc) };
		assert_int_equal(
			call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)), 0);
		attach = (struct uapi_attach_pt){ .argsz = 12,
						  .pt_id = i & 1 ? f->ioas : alloc.out_ioas_id };
		assert_int_equal(
			call(f->c, f->nodes[node], UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach, 12), 0);
		io = (struct uapi_ioas_map){ sizeof(io), 6, f->ioas, 0, RAM, PAGE, 0 };
		assert_int_equal(call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_MAP, &io, sizeof(io)), 0);
		un = (struct uapi_ioas_unmap){ sizeof(un), f->ioas, io.iova, PAGE };
		assert_int_equal(call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_UNMAP, &un, sizeof(un)),
				 0);
		detach = (struct uapi_detach_pt){ .argsz = 8 };
		assert_int_equal(
			call(f->c, f->nodes[node], UAPI_DEVICE_DETACH_IOMMUFD_PT, &detach, 8), 0);
		destroy.id = alloc.out_ioas_id;
		assert_int_equal(
			call(f->c, f->iommufd, UAPI_IOMMUFD_DESTROY, &destroy, sizeof(destroy)), 0);
	}
}

static void *work(void *opaque)
{
	struct job *job = opaque;
	struct fixture *f = job->f;

	args_at = ARGS + job->n * 0x200;
	switch (job->n) {
	case 0:
		mapper(f, 0, 0);
		armer(f);
		break;
	case 1:
		raiser(f);
		break;
	case 2:
		joiner(f);
		break;
	case 3:
	case 4:
	case 5:
		mapper(f, 3, job->n);
		quarrel(f);
		break;
	default:
		attacher(f, job->n - 6);
		break;
	}
	return NULL;
}

static void start_group(struct fixture *f, unsigned int i)
{
	char name[] = "0000:01:00.0";
	struct opened *o = &f->own[i];

	name[6] = (char)('1' + i);
	o->container = client_open(f->c, CBIT_FILE_CONTAINER, 0);
	o->group = client_open(f->c, CBIT_FILE_GROUP, i + 1);
	assert_int_equal(client_call(f->c, o->group, UAPI_GROUP_SET_CONTAINER, &o->container, 4),
			 0);
	assert_int_equal(client_ioctl(f->c, o->container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU), 0);
	if (i != 2) /* that one comes and goes */
		o->device = (int)client_call(f->c, o->group, UAPI_GROUP_GET_DEVICE_FD, name,
					     sizeof(name));
	assert_true(i == 2 || o->device >= 0);
}

static void start_nodes(struct fixture *f)
{
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind) };

	f->iommufd = client_open(f->c, CBIT_FILE_IOMMUFD, 0);
	assert_int_equal(
		client_call(f->c, f->iommufd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc, sizeof(alloc)), 0);
	f->ioas = alloc.out_ioas_id;
	for (unsigned int i = 0; i < 2; i++) {
		f->nodes[i] = client_open(f->c, CBIT_FILE_DEVICE, 4 + i);
		bind.iommufd = f->iommufd;
		assert_int_equal(client_call(f->c, f->nodes[i], UAPI_DEVICE_BIND_IOMMUFD, &bind,
					     sizeof(bind)),
				 0);
	}
}

static void test_threads(void **state)
{
	const struct cbit_observer nobody = { 0 };
	struct fixture f = { .c = client_up_with("sme", "complete", &nobody, &ops) };
	struct ioat_desc desc = { .size = 1,
				  .control = IOAT_CTL_NULL | IOAT_CTL_INTERRUPT,
				  .next = UINT64_C(0x100000) };
	struct job jobs[THREADS];
	struct cbit_device_info dev;
	uint16_t command = 6;

	(void)state;
	for (unsigned int i = 0; i < 6; i++)
		client_plug(f.c, "ioat");
	for (unsigned int i = 0; i < 4; i++) {
		start_group(&f, i);
		assert_true(cbit_machine_device(f.c->machine, i, &dev));
		f.pci[i] = dev.pci;
		f.e[i] = client_fd_new(f.c, FD_EVENTFD, NULL);
	}
	start_nodes(&f);
	/* a ring of one descriptor that does nothing and interrupts */
	memcpy(f.c->ram, &desc, sizeof(desc));
	assert_int_equal(client_map(f.c, f.own[0].container, 0x100000, RAM, PAGE, MAP_RW), 0);
	assert_int_equal(cbit_vfio_rw(f.c->fd[f.own[0].device].file,
				      cbit_vfio_offset(f.pci[0], UAPI_PCI_CONFIG_REGION) + 4,
				      &command, 2, true),
			 2);
	write_bar(&f, 0, IOAT_INTRCTRL, IOAT_INTRCTRL_MASTER_EN, 1);
	write_bar(&f, 0, IOAT_CHANNEL + IOAT_CHAINADDR, 0x100000, 8);
	for (unsigned int i = 0; i < THREADS; i++) {
		jobs[i] = (struct job){ .f = &f, .n = i };
		assert_int_equal(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), 0);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(jobs[i].thread, NULL);
	assert_int_equal(atomic_load(&f.mapped), 4 * ROUNDS * 5);
	/* nothing was lost on the way */
	assert_int_equal(client_dma_avail(f.c, f.own[3].container), 65535);
	assert_int_equal(client_dma_avail(f.c, f.own[0].container), 65534);
	client_down(f.c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
