/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two ioat devices that can migrate and log their DMA, and one that cannot, in a container of a
 * made-up client; their features, and a channel's registers and chain.
 */
#ifndef CBIT_TEST_MIGRATION_RIG_H
#define CBIT_TEST_MIGRATION_RIG_H

#include "client_rig.h"

#include <time.h>

#define P CBIT_PAGE_SIZE

#define GET   UAPI_FEATURE_GET
#define SET   UAPI_FEATURE_SET
#define PROBE UAPI_FEATURE_PROBE

/* Both devices in one container; the third cannot migrate. */
struct fixture {
	struct client *c;
	int container;
	int dev[3];
	struct cbit_pci *pci[3];
};

static inline void open_device(struct fixture *f, unsigned int i)
{
	struct client *c = f->c;
	struct cbit_device_info info;
	int group = client_open(c, CBIT_FILE_GROUP, i + 1);
	char name[] = "0000:01:00.0";

	assert_int_equal(client_call(c, group, UAPI_GROUP_SET_CONTAINER, &f->container, 4), 0);
	if (!i)
		assert_int_equal(client_ioctl(c, f->container, UAPI_SET_IOMMU, UAPI_TYPE1v2_IOMMU),
				 0);
	name[6] = (char)('1' + i);
	f->dev[i] = (int)client_call(c, group, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	assert_true(f->dev[i] >= 0);
	assert_true(cbit_machine_device(c->machine, i, &info));
	f->pci[i] = info.pci;
	cbit_pci_config_write(info.pci, 4, &(uint16_t){ 6 }, 2);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->c = client_up("sme", "complete", NULL);
	client_plug(f->c, "ioat,migration=on");
	client_plug(f->c, "ioat,migration=on");
	client_plug(f->c, "ioat");
	f->container = client_open(f->c, CBIT_FILE_CONTAINER, 0);
	for (unsigned int i = 0; i < 3; i++)
		open_device(f, i);
	*state = f;
	return 0;
}

static inline long feature(struct fixture *f, unsigned int dev, uint32_t flags, void *data,
			   size_t len, uint32_t argsz)
{
	uint8_t buf[128];
	const struct uapi_feature head = { argsz, flags };
	long ret;

	memcpy(buf, &head, sizeof(head));
	memcpy(buf + sizeof(head), data, len);
	ret = client_call(f->c, f->dev[dev], UAPI_DEVICE_FEATURE, buf, sizeof(head) + len);
	memcpy(data, buf + sizeof(head), len);
	return ret;
}

#define CHANCMD   0x84
#define DMACOUNT  0x86
#define CHANSTS   0x88
#define CHAINADDR 0x90
#define DESCS     400u
#define SRC       0x100000u
#define DST       0x200000u
#define LIST      0x10000u

struct desc {
	uint32_t size, control;
	uint64_t src, dst, next, rest[4];
};

static inline void reg(struct fixture *f, unsigned int dev, uint64_t at, uint64_t v, uint32_t len)
{
	cbit_pci_bar_write(f->pci[dev], 0, at, &v, len);
}

static inline uint64_t sts(struct fixture *f, unsigned int dev)
{
	uint64_t v;

	cbit_pci_bar_read(f->pci[dev], 0, CHANSTS, &v, 8);
	return v;
}

static inline void make_chain(struct fixture *f, uint32_t size)
{
	for (unsigned int i = 0; i < DESCS; i++) {
		struct desc d = { .size = size,
				  .src = SRC + i * 2048,
				  .dst = DST + i * 2048,
				  .next = LIST + 64 * (i + 1) };

		memcpy(f->c->ram + LIST + 64 * i, &d, sizeof(d));
	}
	for (unsigned int i = 0; i < DESCS * 2048; i++)
		f->c->ram[SRC + i] = (uint8_t)(i * 7 + (i >> 8) * 13 + 1);
	memset(f->c->ram + DST, 0, DESCS * 2048);
}

static inline unsigned int done(struct fixture *f)
{
	unsigned int n = 0;

	while (n < DESCS && f->c->ram[DST + n * 2048] == f->c->ram[SRC + n * 2048] &&
	       f->c->ram[DST + n * 2048])
		n++;
	return n;
}

static inline void nap(void)
{
	const struct timespec t = { .tv_nsec = 20000 };

	nanosleep(&t, NULL);
}

static inline void wait_done(struct fixture *f, unsigned int dev)
{
	for (unsigned int i = 0; i < 500000 && !(sts(f, dev) & 7); i++)
		nap();
	assert_int_equal(sts(f, dev) & 7, 1);
}

#endif
