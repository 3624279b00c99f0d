/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine with a made-up client (client_world.h): started, called, and ended with nothing left
 * behind.
 */
#ifndef CBIT_TEST_CLIENT_RIG_H
#define CBIT_TEST_CLIENT_RIG_H

#include "client_world.h"

static inline void client_add(struct client *c, uint64_t start, uint64_t len, uint64_t spa,
			      enum cbit_mem_kind kind, uint8_t *bytes)
{
	CLIENT_CHECK(c->ranges < CLIENT_RANGES);
	c->range[c->ranges++] = (struct client_range){ start, len, spa, kind, true, bytes, false };
}

/* A machine with the given platform and policy, told to @observer (NULL: counted here). */
static inline struct client *client_up_guest(const char *platform, const char *policy,
					     const struct cbit_observer *observer,
					     const struct cbit_client_ops *ops,
					     struct cbit_machine_guest guest)
{
	struct client *c = calloc(1, sizeof(*c));
	struct cbit_machine_config config = {
		.policy = cbit_policy_preset(policy),
		.observer = { .event = client_event, .opaque = c },
		.client = ops,
		.client_dram = &client_dram_ops,
		.client_opaque = c,
		.guest = guest,
	};

	CLIENT_CHECK(!cbit_platform_preset(platform, &config.platform));
	if (observer)
		config.observer = *observer;
	c->fd_limit = CLIENT_FDS;
	c->ram = calloc(1, RAM_SIZE);
	client_add(c, ARGS, ARGS_SIZE, 0, CBIT_MEM_DRAM, c->args);
	client_add(c, RAM, RAM_SIZE, RAM_SPA, CBIT_MEM_DRAM, c->ram);
	if (!guest.kind) /* more than a guest has */
		client_add(c, BLANK, BLANK_SIZE, BLANK_SPA, CBIT_MEM_DRAM, NULL);
	client_add(c, READONLY, READONLY_SIZE, READONLY_SPA, CBIT_MEM_DRAM, NULL);
	c->range[c->ranges - 1].writable = false;
	CLIENT_CHECK(!cbit_machine_create(&config, &c->machine, NULL));
	return c;
}

static inline struct client *client_up_with(const char *platform, const char *policy,
					    const struct cbit_observer *observer,
					    const struct cbit_client_ops *ops)
{
	return client_up_guest(platform, policy, observer, ops, (struct cbit_machine_guest){ 0 });
}

static inline struct client *client_up(const char *platform, const char *policy,
				       const struct cbit_observer *observer)
{
	return client_up_with(platform, policy, observer, &client_ops);
}

static inline void client_plug(struct client *c, const char *spec)
{
	CLIENT_CHECK(!cbit_machine_add_device(c->machine, spec, NULL));
}

static inline int client_open(struct client *c, enum cbit_file_kind kind, unsigned int number)
{
	struct cbit_file *file = NULL;
	int ret = cbit_vfio_open(c->machine, kind, number, &file);

	if (ret)
		return ret;
	ret = client_fd_new(c, FD_FILE, file);
	if (ret < 0)
		cbit_vfio_release(file);
	return ret;
}

static inline void client_close(struct client *c, int fd)
{
	CLIENT_CHECK(fd >= 0 && fd < CLIENT_FDS && c->fd[fd].kind != FD_CLOSED);
	if (c->fd[fd].kind == FD_FILE)
		cbit_vfio_release(c->fd[fd].file);
	c->fd[fd].kind = FD_CLOSED;
	c->fd[fd].file = NULL;
}

/* Everything closed, nothing may be left: neither pins, owners nor eventfds. */
static inline void client_down(struct client *c)
{
	for (int fd = 0; fd < CLIENT_FDS; fd++) {
		if (c->fd[fd].kind != FD_CLOSED)
			client_close(c, fd);
	}
	CLIENT_CHECK(c->pinned == 0);
	CLIENT_CHECK(c->locked == 0);
	for (unsigned int i = 0; i < CLIENT_PROCESSES; i++)
		CLIENT_CHECK(!c->mm_locked[i]);
	CLIENT_CHECK(c->owners == 0);
	for (unsigned int i = 0; i < CLIENT_MEMORIES; i++)
		CLIENT_CHECK(!c->memory[i].refs && !c->memory[i].pinned);
	for (unsigned int i = 0; i < CLIENT_STREAMS; i++)
		CLIENT_CHECK(!c->stream[i].in_use);
	cbit_machine_destroy(c->machine);
	for (int fd = 0; fd < CLIENT_FDS; fd++)
		CLIENT_CHECK(c->fd[fd].dups == 0);
	free(c->ram);
	free(c);
}

/* cmocka's teardown of a fixture from malloc() whose first member is its client. */
static inline int client_teardown(void **state)
{
	struct client *const *fixture = *state;

	client_down(*fixture);
	free(*state);
	return 0;
}

static inline long client_ioctl(struct client *c, int fd, uint32_t cmd, uint64_t arg)
{
	return cbit_vfio_ioctl(c->fd[fd].file, NULL, cmd, arg);
}

/* An ioctl with a structure: @len bytes of it are there, and nothing behind them. */
static inline long client_call(struct client *c, int fd, uint32_t cmd, void *arg, size_t len)
{
	uint8_t *at = c->args + ARGS_SIZE - len;
	long ret;

	memcpy(at, arg, len);
	ret = client_ioctl(c, fd, cmd, ARGS + ARGS_SIZE - len);
	memcpy(arg, at, len);
	return ret;
}

static inline long client_map(struct client *c, int fd, uint64_t iova, uint64_t vaddr,
			      uint64_t size, uint32_t flags)
{
	struct uapi_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .vaddr = vaddr, .iova = iova, .size = size
	};

	return client_call(c, fd, UAPI_IOMMU_MAP_DMA, &map, sizeof(map));
}

/* Unmap; *@size in: what is asked for, out: what the call reports. */
static inline long client_unmap(struct client *c, int fd, uint64_t iova, uint64_t *size,
				uint32_t flags)
{
	struct uapi_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = flags, .iova = iova, .size = *size
	};
	long ret = client_call(c, fd, UAPI_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap));

	*size = unmap.size;
	return ret;
}

#define MAP_RW (UAPI_DMA_MAP_READ | UAPI_DMA_MAP_WRITE)

/* Container, group and device of the usual start: group 1, device 0000:01:00.0. */
struct opened {
	int container, group, device;
};

static inline struct opened client_start(struct client *c, unsigned long type)
{
	struct opened o;
	char name[16] = "0000:01:00.0";

	o.container = client_open(c, CBIT_FILE_CONTAINER, 0);
	o.group = client_open(c, CBIT_FILE_GROUP, 1);
	CLIENT_CHECK(o.container >= 0 && o.group >= 0);
	CLIENT_CHECK(!client_call(c, o.group, UAPI_GROUP_SET_CONTAINER, &o.container, 4));
	CLIENT_CHECK(!client_ioctl(c, o.container, UAPI_SET_IOMMU, type));
	o.device = (int)client_call(c, o.group, UAPI_GROUP_GET_DEVICE_FD, name, sizeof(name));
	CLIENT_CHECK(o.device >= 0);
	return o;
}

static inline uint32_t client_dma_avail(struct client *c, int container)
{
	uint8_t buf[136] = { 136 };
	uint32_t avail;

	CLIENT_CHECK(!client_call(c, container, UAPI_IOMMU_GET_INFO, buf, sizeof(buf)));
	memcpy(&avail, buf + 24 + 32 + 8, sizeof(avail));
	return avail;
}

#endif
