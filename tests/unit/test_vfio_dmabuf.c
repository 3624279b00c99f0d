/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma-bufs of BARs: exporting, mapping by an iommufd, and revocation (Linux 7.2:
 * drivers/vfio/pci/vfio_pci_dmabuf.c, drivers/iommu/iommufd/pages.c).
 */
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "iommufd_rig.h"

#define BAR      2u
#define BAR_SIZE UINT64_C(0x10000)
#define RDWR     02000002u /* O_CLOEXEC | O_RDWR */

/* Device 0 has the BAR, device 1 does DMA. Objects: IOAS 1, devices 2 and 3, page table 4. */
static int up_with(void **state, const char *policy)
{
	int ret = rig_up_with(state, "sme", policy);
	struct rig *r = *state;

	assert_int_equal(rig_bind(r, 0), 2);
	assert_int_equal(rig_bind(r, 1), 3);
	assert_int_equal(rig_attach(r, 1, 1), 4);
	return ret;
}

static int up(void **state)
{
	return up_with(state, "complete");
}

static int up_old(void **state)
{
	return up_with(state, "linux-6.17");
}

static int up_72(void **state)
{
	return up_with(state, "linux-7.2");
}

static struct cbit_pci *pci_of(struct rig *r, unsigned int dev)
{
	struct cbit_device_info info;

	assert_true(cbit_machine_device(r->c->machine, dev, &info));
	return info.pci;
}

static uint8_t *bar_bytes(struct rig *r)
{
	return cbit_pci_bar(pci_of(r, 0), BAR)->memory;
}

static void config_write(struct rig *r, unsigned int dev, uint32_t pos, uint16_t value)
{
	uint64_t at = cbit_vfio_offset(pci_of(r, dev), UAPI_PCI_CONFIG_REGION) + pos;

	assert_int_equal(cbit_vfio_rw(r->c->fd[r->cdev[dev]].file, at, &value, 2, true), 2);
}

struct export
{
	struct uapi_feature head;
	struct uapi_feature_dma_buf get;
	struct uapi_dma_range range[3];
};

#define GET (UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_GET)
#define RANGES1(o, l)            \
	{                        \
		{                \
			(o), (l) \
		}                \
	}

static void test_export(void **state)
{
	static const struct {
		uint32_t argsz, flags, region, buf_flags, nr;
		struct uapi_dma_range range[3];
		uint32_t len; /* bytes that are there; 0: all */
		long ret;
	} cases[] = {
		{ 24, GET | UAPI_FEATURE_PROBE, .ret = 0 },
		{ 8, UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_PROBE, .ret = 0 },
		{ 24, UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_SET | UAPI_FEATURE_PROBE,
		  .ret = -EINVAL },
		{ 24, UAPI_FEATURE_DMA_BUF | UAPI_FEATURE_SET, .ret = -EINVAL },
		{ 24, UAPI_FEATURE_DMA_BUF, .ret = -EINVAL },
		{ 23, GET, BAR, 0, 1, RANGES1(0, P), .ret = -EINVAL },
		{ 24, GET, BAR, 0, 1, .len = 20, .ret = -EFAULT },
		{ 24, GET, 99, 1, 1, .ret = -EINVAL },           /* flags before the region */
		{ 24, GET, 99, 0, 0, .ret = -EINVAL },           /* nr_ranges likewise */
		{ 24, GET, 6, 0, 1, .len = 24, .ret = -ENODEV }, /* the ROM; before the ranges */
		{ 24, GET, UINT32_MAX, 0, 1, .ret = -ENODEV },
		{ 24, GET, 3, 0, 1, .ret = -ENODEV }, /* the upper half of a BAR */
		{ 24, GET, 5, 0, 1, .ret = -ENODEV }, /* none */
		{ 24, GET, BAR, 0, 1, .len = 24, .ret = -EFAULT },
		{ 24, GET, BAR, 0, 2, .len = 48, .ret = -EFAULT },
		{ 24, GET, BAR, 0, UINT32_MAX, .ret = -ENOMEM }, /* more than memdup_user() has */
		{ 24, GET, BAR, 0, 262144, .ret = -EFAULT },
		{ 24, GET, BAR, 0, 1, RANGES1(0, 0), .ret = -EINVAL },
		{ 24, GET, BAR, 0, 1, RANGES1(1, P), .ret = -EINVAL },
		{ 24, GET, BAR, 0, 1, RANGES1(0, P + 1), .ret = -EINVAL },
		{ 24, GET, BAR, 0, 1, RANGES1(0, UINT64_C(1) << 63), .ret = -EINVAL },
		{ 24, GET, BAR, 0, 2, { { 0, -P }, { 0, 2 * P } }, .ret = -EINVAL }, /* the sum */
		{ 24, GET, BAR, 0, 1, RANGES1(-P, P), .ret = -EOVERFLOW },
		{ 24, GET, BAR, 0, 1, RANGES1(BAR_SIZE, P), .ret = -EINVAL },
		{ 24, GET, BAR, 0, 1, RANGES1(0, BAR_SIZE + P), .ret = -EINVAL },
		{ 24, GET, BAR, 0, 2, { { 0, P }, { BAR_SIZE, P } }, .ret = -EINVAL },
		{ 24, GET, BAR, 0, 1, RANGES1(0, BAR_SIZE), .ret = 1 },
		{ 24, GET, BAR, 0, 1, RANGES1(BAR_SIZE - P, P), .ret = 1 },
		{ 24, GET, BAR, 0, 3, { { 0, P }, { P, P }, { 0, P } }, .ret = 1 },
		{ 24, GET, 0, 0, 1, RANGES1(0, 4 * P), .ret = 1 }, /* registers are as good */
		{ UINT32_MAX, GET, BAR, 0, 1, RANGES1(0, P), .ret = 1 },
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct export cmd = { { cases[i].argsz, cases[i].flags },
				      { cases[i].region, RDWR, cases[i].buf_flags, cases[i].nr },
				      { { 0 } } };
		struct cbit_dmabuf_info info;
		long ret;

		memcpy(cmd.range, cases[i].range, sizeof(cmd.range));
		ret = client_call(r->c, r->cdev[0], UAPI_DEVICE_FEATURE, &cmd,
				  cases[i].len ? cases[i].len : sizeof(cmd));
		if (cases[i].ret == 1 ? ret < 0 : ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
		if (ret <= 0)
			continue;
		assert_true(cbit_vfio_dmabuf(r->c->fd[ret].file, &info));
		assert_int_equal(info.flags, RDWR);
		assert_string_equal(info.name, "");
		client_close(r->c, (int)ret);
	}
	/* no descriptor is left for it */
	r->c->fd_limit = 0;
	assert_int_equal(rig_dmabuf(r, 0, BAR, 0, P), -EMFILE);
	r->c->fd_limit = CLIENT_FDS;
}

/* DMA into the other device's BAR, entries without the C-bit. */
static void test_p2p(void **state)
{
	struct rig *r = *state;
	uint64_t spa = cbit_pci_bar(pci_of(r, 0), BAR)->spa.v;
	int fd = (int)rig_dmabuf(r, 0, BAR, 2 * P, BAR_SIZE - 2 * P);
	struct cbit_pt_leaf leaf;
	struct cbit_pt *pt = cbit_domain_pt(cbit_vfio_domain(r->c->fd[r->cdev[1]].file));

	assert_true(fd > 0);
	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, P, 2 * P), 0);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0x10000), &leaf), 0);
	assert_int_equal(leaf.spa.v, spa + 3 * P);
	assert_int_equal(leaf.attrs & CBIT_ATTR_ENCRYPTED, 0);
	assert_int_equal(rig_dma_write(r, 1, 0x11ffc, "peer", 4), CBIT_DMA_OK);
	assert_memory_equal(bar_bytes(r) + 5 * P - 4, "peer", 4);
	assert_false(rig_reaches(r, 1, 0x12000));
	assert_int_equal(r->c->events[CBIT_EVENT_MMIO_ENCRYPTED], 0);
	assert_int_equal(r->c->locked, 0);
	/* the mapping keeps it when its descriptor goes; a copy shares it */
	client_close(r->c, fd);
	assert_int_equal(rig_dma_write(r, 1, 0x10000, "peer", 4), CBIT_DMA_OK);
	assert_int_equal(rig_copy(r, 1, 0x11000, 1, 0x20000, P, 7), 0);
	assert_int_equal(rig_unmap(r, 1, 0x10000, 2 * P), 0);
	assert_int_equal(rig_dma_write(r, 1, 0x20000, "copy", 4), CBIT_DMA_OK);
	assert_memory_equal(bar_bytes(r) + 4 * P, "copy", 4);
}

/* Linux 6.17: dma-bufs are not there, files in memory are. */
static void test_old(void **state)
{
	struct rig *r = *state;
	int memfd = client_memfd(r->c, 0, 0, 4 * P);

	assert_int_equal(rig_dmabuf(r, 0, BAR, 0, P), -ENOTTY);
	assert_int_equal(rig_dmabuf(r, 0, 99, 0, 0), -ENOTTY);
	assert_int_equal(rig_map_file(r, 1, 0x10000, memfd, 0, P), 0);
	assert_true(rig_reaches(r, 1, 0x10000));
}

static void test_map_errors(void **state)
{
	struct rig *r = *state;
	int fd = (int)rig_dmabuf(r, 0, BAR, 0, BAR_SIZE);
	struct export two = { { sizeof(two), GET }, { BAR, RDWR, 0, 2 }, { { 0, P }, { P, P } } };
	int split = (int)client_call(r->c, r->cdev[0], UAPI_DEVICE_FEATURE, &two, sizeof(two));
	uint32_t other = (uint32_t)rig_ioas_alloc(r);
	const struct {
		uint32_t ioas, flags;
		uint64_t iova;
		int fd;
		uint64_t start, len;
		long ret;
	} cases[] = {
		{ 1, 8, 0, fd, 0, P, -EOPNOTSUPP },
		{ 1, 7, UINT64_MAX, fd, 0, P, -EOVERFLOW },
		{ 1, 7, 0, fd, 0, UINT64_MAX, -EOVERFLOW },
		{ 9, 1, 0, fd, 0, P, -EINVAL },
		{ 9, 7, 0, fd, 0, 0, -ENOENT },
		{ 1, 7, 0, 60, 0, 0, -EINVAL },
		{ 1, 7, 0, 60, -P, 2 * P, -EOVERFLOW },
		{ 1, 7, 0, 60, 0, P, -EBADF },
		{ 1, 7, 0, -1, 0, P, -EBADF },
		{ 1, 7, 0, fd, 0, BAR_SIZE + P, -EINVAL },
		{ 1, 7, 0, fd, BAR_SIZE, P, -EINVAL },
		{ 1, 7, 0, split, 0, P, -EOPNOTSUPP },
		{ 1, 7, 0, split, 0, 3 * P, -EINVAL },
		{ 1, 7, 0, r->cdev[0], 0, P, -EINVAL }, /* no file in memory */
		{ 1, 7, 0, r->fd, 0, P, -EINVAL },
		{ 1, 7, 1, fd, 0, P, -EINVAL }, /* not aligned */
		{ 1, 7, 0, fd, 1, P, -EINVAL },
		{ 1, 7, 0xfee00000, fd, 0, P, -EINVAL },
		{ 1, 7, 0x10000, fd, 0, BAR_SIZE, 0 },
		{ 1, 7, 0x11000, fd, 0, P, -EEXIST },
		{ 1, 6, 0, fd, 0, P, 0 },                     /* anywhere */
		{ other, 7, 0, r->cdev[0], 0, P, 0 },         /* nobody looks at it */
		{ other, 7, 0x1001, fd, 1, BAR_SIZE - 1, 0 }, /* nor has any entries */
	};

	assert_true(fd > 0 && split > 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long ret = rig_map_file_flags(r, cases[i].ioas, cases[i].iova, cases[i].fd,
					      cases[i].start, cases[i].len, cases[i].flags);

		if (ret != cases[i].ret)
			fail_msg("case %zu: %ld instead of %ld", i, ret, cases[i].ret);
	}
	/* a mapping of one is never cut */
	assert_int_equal(rig_unmap(r, 1, 0x10000, P), -ENOENT);
}

enum how { BY_RESET, BY_COMMAND, BY_D3, BY_FLR, BY_LOW_POWER, BY_HOT_RESET, BY_CLOSE, NR_HOW };

static long low_power(struct rig *r, uint32_t feature)
{
	struct uapi_feature feat = { sizeof(feat), feature | UAPI_FEATURE_SET };

	return client_call(r->c, r->cdev[0], UAPI_DEVICE_FEATURE, &feat, sizeof(feat));
}

static uint32_t cap(struct rig *r, uint8_t id)
{
	uint8_t config[256];
	uint32_t at;

	cbit_pci_config_read(pci_of(r, 0), 0, config, sizeof(config));
	for (at = config[0x34]; at && config[at] != id;)
		at = config[at + 1];
	assert_true(at);
	return at;
}

static void take_away(struct rig *r, enum how how)
{
	struct uapi_hot_reset hot = { sizeof(hot), 0, 0 };

	switch (how) {
	case BY_RESET:
		assert_int_equal(client_ioctl(r->c, r->cdev[0], UAPI_DEVICE_RESET, 0), 0);
		break;
	case BY_COMMAND:
		config_write(r, 0, 4, 0);
		break;
	case BY_D3:
		config_write(r, 0, cap(r, 1) + 4, 3);
		break;
	case BY_FLR:
		config_write(r, 0, cap(r, 0x10) + 8, 0x8000);
		break;
	case BY_LOW_POWER:
		assert_int_equal(low_power(r, UAPI_FEATURE_LOW_POWER_ENTRY), 0);
		break;
	case BY_HOT_RESET:
		assert_int_equal(
			client_call(r->c, r->cdev[0], UAPI_DEVICE_PCI_HOT_RESET, &hot, sizeof(hot)),
			0);
		break;
	default:
		client_close(r->c, r->cdev[0]);
		break;
	}
}

/* True where its memory answers already; false where it never does again. */
static bool bring_back(struct rig *r, enum how how, int fd)
{
	if (how == BY_COMMAND || how == BY_D3 || how == BY_LOW_POWER || how == BY_CLOSE)
		assert_int_equal(rig_map_file(r, 1, 0x40000, fd, 0, P), -ENODEV);
	switch (how) {
	case BY_COMMAND:
		/* another bit of the register changes nothing */
		config_write(r, 0, 4, 4);
		assert_int_equal(rig_map_file(r, 1, 0x40000, fd, 0, P), -ENODEV);
		config_write(r, 0, 4, 2);
		return true;
	case BY_D3:
		config_write(r, 0, 4, 6);
		assert_int_equal(rig_map_file(r, 1, 0x40000, fd, 0, P), -ENODEV);
		config_write(r, 0, cap(r, 1) + 4, 0);
		return true;
	case BY_LOW_POWER:
		assert_int_equal(low_power(r, UAPI_FEATURE_LOW_POWER_ENTRY), -EINVAL);
		assert_int_equal(rig_map_file(r, 1, 0x40000, fd, 0, P), -ENODEV);
		assert_int_equal(low_power(r, UAPI_FEATURE_LOW_POWER_EXIT), 0);
		return true;
	case BY_CLOSE:
		return false;
	default:
		return true;
	}
}

static void test_revoke(void **state)
{
	struct rig *r = *state;

	for (enum how how = 0; how < NR_HOW; how++) {
		int fd = (int)rig_dmabuf(r, 0, BAR, 0, BAR_SIZE);
		uint32_t other = (uint32_t)rig_ioas_alloc(r);
		unsigned int events = r->c->events[CBIT_EVENT_DMA_NOT_MAPPED];

		assert_true(fd > 0);
		assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, 4 * P), 0);
		assert_int_equal(rig_map(r, 1, 0x80000, RAM, P), 0);
		/* without a page table, too */
		assert_int_equal(rig_map_file(r, other, 0, fd, 0, P), 0);
		assert_true(rig_reaches(r, 1, 0x10000));
		/* writes that take nothing away */
		config_write(r, 0, 4, 6);
		config_write(r, 0, cap(r, 1) + 4, 0);
		assert_int_equal(low_power(r, UAPI_FEATURE_LOW_POWER_EXIT), 0);
		assert_true(rig_reaches(r, 1, 0x13000));
		take_away(r, how);
		assert_false(rig_reaches(r, 1, 0x10000));
		assert_int_equal(r->c->events[CBIT_EVENT_DMA_NOT_MAPPED], events + 1);
		assert_int_equal(r->c->last.mapping.iova.v, 0x10000);
		assert_int_equal(r->c->last.mapping.backing, CBIT_BACKING_REVOKED);
		assert_true(rig_reaches(r, 1, 0x80000));
		/* the range is taken still, and what is copied from it is as dead */
		assert_int_equal(rig_map(r, 1, 0x10000, RAM, P), -EEXIST);
		assert_int_equal(rig_copy(r, 1, 0x10000, 1, 0x30000, P, 7), 0);
		if (bring_back(r, how, fd)) {
			assert_false(rig_reaches(r, 1, 0x10000));
			assert_false(rig_reaches(r, 1, 0x30000));
			assert_int_equal(rig_map_file(r, 1, 0x40000, fd, 0, P), 0);
			assert_true(rig_reaches(r, 1, 0x40000));
			assert_false(rig_reaches(r, 1, 0x10000));
		}
		/* a page table that comes gets no entries of it */
		assert_true(rig_attach(r, 1, other) > 0);
		assert_false(rig_reaches(r, 1, 0));
		assert_true(rig_attach(r, 1, 1) > 0);
		assert_false(rig_reaches(r, 1, 0x10000));
		assert_int_equal(rig_unmap(r, 1, 0x10000, 4 * P), 0);
		assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
		assert_int_equal(rig_map(r, 1, 0x10000, RAM, P), 0);
		assert_true(rig_reaches(r, 1, 0x10000));
		assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
		assert_int_equal(rig_destroy(r, other), 0);
		client_close(r->c, fd);
	}
}

/* Exported while its memory is off: revoked from the start. */
static void test_born_revoked(void **state)
{
	struct rig *r = *state;
	int fd;

	config_write(r, 0, 4, 0);
	fd = (int)rig_dmabuf(r, 0, BAR, 0, P);
	assert_true(fd > 0);
	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, P), -ENODEV);
	config_write(r, 0, 4, 2);
	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, P), 0);
	assert_true(rig_reaches(r, 1, 0x10000));
}

static void test_file_calls(void **state)
{
	struct rig *r = *state;
	int fd = (int)rig_dmabuf(r, 0, BAR, 0, P);
	char longest[32] = "thirty-one characters, no more.", longer[33];
	struct cbit_dmabuf_info info;
	const struct {
		uint64_t flags;
		long ret;
	} syncs[] = { { 0, -EINVAL },
		      { 4, -EINVAL },
		      { 8, -EINVAL },
		      { 9, -EINVAL },
		      { UINT64_C(1) << 32 | 1, -EINVAL },
		      { 1, 0 },
		      { 2, 0 },
		      { 3, 0 },
		      { 7, 0 } };

	for (size_t i = 0; i < sizeof(syncs) / sizeof(syncs[0]); i++) {
		uint64_t flags = syncs[i].flags;

		assert_int_equal(client_call(r->c, fd, UAPI_DMA_BUF_SYNC, &flags, 8), syncs[i].ret);
	}
	assert_int_equal(client_ioctl(r->c, fd, UAPI_DMA_BUF_SYNC, NOWHERE), -EFAULT);
	assert_int_equal(client_ioctl(r->c, fd, UAPI_DMA_BUF_SYNC ^ 0x40000, ARGS), -ENOTTY);
	assert_int_equal(client_ioctl(r->c, fd, UAPI_DEVICE_RESET, 0), -ENOTTY);
	assert_int_equal(client_call(r->c, fd, UAPI_DMA_BUF_SET_NAME_A, longest, 32), 0);
	memset(longer, 'x', sizeof(longer));
	assert_int_equal(client_call(r->c, fd, UAPI_DMA_BUF_SET_NAME_B, longer, 33), -EINVAL);
	assert_int_equal(client_call(r->c, fd, UAPI_DMA_BUF_SET_NAME_B, longer, 31), -EFAULT);
	assert_true(cbit_vfio_dmabuf(r->c->fd[fd].file, &info));
	assert_string_equal(info.name, longest);
	assert_int_equal(info.size, P);
	assert_int_equal(client_call(r->c, fd, UAPI_DMA_BUF_SET_NAME_B, (char[]){ "b" }, 2), 0);
	assert_true(cbit_vfio_dmabuf(r->c->fd[fd].file, &info));
	assert_string_equal(info.name, "b");
	assert_false(cbit_vfio_dmabuf(r->c->fd[r->fd].file, &info));
	assert_false(cbit_vfio_describe(r->c->fd[fd].file, CBIT_IOVA(0), &r->c->last.mapping));
}

/* --- files in memory --- */

static void test_memory(void **state)
{
	struct rig *r = *state;
	int fd = client_memfd(r->c, 0, 0x10000, 8 * P + 5);
	struct client_memory *file = &r->c->memory[0];
	uint32_t other = (uint32_t)rig_ioas_alloc(r);
	struct cbit_pt_leaf leaf;
	struct cbit_pt *pt = cbit_domain_pt(cbit_vfio_domain(r->c->fd[r->cdev[1]].file));

	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 2 * P, 4 * P), 0);
	assert_int_equal(file->pinned, 4);
	assert_int_equal(r->c->locked, 4);
	assert_int_equal(cbit_pt_walk(pt, CBIT_IOVA(0x10000), &leaf), 0);
	assert_int_equal(leaf.spa.v, RAM_SPA + 0x10000 + 2 * P);
	assert_int_equal(leaf.attrs & CBIT_ATTR_ENCRYPTED, CBIT_ATTR_ENCRYPTED);
	assert_int_equal(rig_dma_write(r, 1, 0x10000, "file", 4), CBIT_DMA_OK);
	assert_memory_equal(r->c->ram + 0x10000 + 2 * P, "file", 4);
	/* the whole page must be there, and is looked at when it is pinned */
	assert_int_equal(rig_map_file(r, 1, 0x20000, fd, 0, 9 * P), -EINVAL);
	assert_int_equal(rig_map_file(r, 1, 0x20000, fd, -P, P), -EINVAL);
	assert_int_equal(file->pinned, 4);
	assert_int_equal(rig_map_file(r, other, 0x20000, fd, 0, 9 * P), 0);
	assert_int_equal(rig_attach(r, 1, other), -EINVAL);
	assert_int_equal(rig_unmap(r, other, 0, UINT64_MAX), 0);
	/* a copy pins nothing new; the descriptor may go */
	assert_int_equal(rig_copy(r, 1, 0x11000, 1, 0x30000, 2 * P, 7), 0);
	assert_int_equal(file->pinned, 4);
	client_close(r->c, fd);
	assert_int_equal(rig_unmap(r, 1, 0x10000, 4 * P), 0);
	assert_int_equal(file->pinned, 2);
	assert_int_equal(r->c->locked, 2);
	assert_true(rig_reaches(r, 1, 0x31000));
	/* the account */
	r->c->lock_limit = 2;
	fd = client_memfd(r->c, 1, 0, P);
	assert_int_equal(rig_map_file(r, 1, 0x40000, fd, 0, P), -ENOMEM);
	assert_int_equal(r->c->memory[1].pinned, 0);
	r->c->lock_limit = 0;
	/* only for reading */
	assert_int_equal(rig_map_file_flags(r, 1, 0x40000, fd, 0, P, 5), 0);
	assert_int_equal(rig_dma_write(r, 1, 0x40000, "no", 2), CBIT_DMA_FAULT);
	assert_int_equal(rig_copy(r, 1, 0x40000, 1, 0x50000, P, 7), -EPERM);
	/* what a presenter without files in memory says */
	assert_int_equal(rig_map_file(r, 1, 0x60000, r->fd, 0, P), -EINVAL);
}

static long change_process(struct rig *r)
{
	struct uapi_change_process cmd = { .size = sizeof(cmd) };

	return client_call(r->c, r->fd, UAPI_IOMMUFD_IOAS_CHANGE_PROCESS, &cmd, sizeof(cmd));
}

static void test_change_process(void **state)
{
	struct rig *r = *state;
	int fd = client_memfd(r->c, 0, 0, 4 * P);
	int bar = (int)rig_dmabuf(r, 0, BAR, 0, P);

	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, 4 * P), 0);
	assert_int_equal(change_process(r), 0);
	assert_int_equal(r->c->locked, 4);
	assert_int_equal(rig_map_file(r, 1, 0x20000, bar, 0, P), 0);
	assert_int_equal(change_process(r), -EINVAL);
}

/* --- many threads --- */

#define ROUNDS 300

struct racer {
	struct rig *r;
	pthread_t thread;
	bool stop;
	unsigned int late;
};

/* On a busy processor each turn that is given away is a slice of time, and a few will do. */
static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Does anything arrive in the BAR while its dma-buf is revoked? It cannot be mapped anew then. */
static bool arrives(struct rig *r)
{
	const uint64_t *word = (const uint64_t *)bar_bytes(r);
	uint64_t before = __atomic_load_n(word, __ATOMIC_ACQUIRE), start = now_us();

	for (unsigned int i = 0; i < 20 && now_us() - start < 1000; i++)
		sched_yield();
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) != before;
}

static void *resetter(void *arg)
{
	struct racer *me = arg;

	for (int i = 0; i < ROUNDS; i++) {
		config_write(me->r, 0, 4, 0);
		me->late += arrives(me->r);
		config_write(me->r, 0, 4, 2);
		client_ioctl(me->r->c, me->r->cdev[0], UAPI_DEVICE_RESET, 0);
	}
	return NULL;
}

static void *writer(void *arg)
{
	struct racer *me = arg;

	for (uint64_t n = 1; !__atomic_load_n(&me->stop, __ATOMIC_RELAXED); n++)
		rig_dma_write(me->r, 1, 0x10000, &n, sizeof(n));
	return NULL;
}

/*
 * Maps and unmaps while the device is reset and DMA goes on: never may an entry outlive its
 * dma-buf, or a write come after it.
 */
static void test_race(void **state)
{
	struct rig *r = *state;
	int fd = (int)rig_dmabuf(r, 0, BAR, 0, BAR_SIZE);
	struct racer reset = { .r = r }, write = { .r = r };

	assert_int_equal(pthread_create(&reset.thread, NULL, resetter, &reset), 0);
	assert_int_equal(pthread_create(&write.thread, NULL, writer, &write), 0);
	for (int i = 0; i < ROUNDS; i++) {
		long ret = rig_map_file(r, 1, 0x10000, fd, 0, BAR_SIZE);

		assert_true(ret == 0 || ret == -ENODEV);
		if (!ret && i % 3)
			assert_int_equal(rig_copy(r, 1, 0x10000, 1, 0x40000, P, 7), 0);
		/* now and then it stays until it is revoked */
		for (uint64_t start = now_us();
		     !ret && !(i & 7) && now_us() - start < 5000 && rig_reaches(r, 1, 0x10000);)
			sched_yield();
		if (!ret)
			assert_int_equal(rig_unmap(r, 1, 0, UINT64_MAX), 0);
	}
	pthread_join(reset.thread, NULL);
	__atomic_store_n(&write.stop, true, __ATOMIC_RELAXED);
	pthread_join(write.thread, NULL);
	assert_int_equal(reset.late, 0);
	assert_int_equal(rig_map_file(r, 1, 0x10000, fd, 0, BAR_SIZE), 0);
	assert_true(rig_reaches(r, 1, 0x10000));
	config_write(r, 0, 4, 0);
	assert_false(rig_reaches(r, 1, 0x10000));
}

#define T(t) cmocka_unit_test_setup_teardown(t, up, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_export),
		T(test_p2p),
		cmocka_unit_test_setup_teardown(test_p2p, up_72, client_teardown),
		cmocka_unit_test_setup_teardown(test_old, up_old, client_teardown),
		T(test_map_errors),
		T(test_revoke),
		T(test_born_revoked),
		T(test_file_calls),
		T(test_memory),
		T(test_change_process),
		T(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
