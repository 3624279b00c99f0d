/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the test clients share: opening VFIO devices of $CBIT_DEVICES by the kernel's plain
 * interface, mapping memory for DMA, and driving an I/OAT engine. Nothing of cbit is used. With
 * $VC_TOKEN devices are opened with that VF token.
 */
#ifndef TESTS_CLIENTS_VFIO_CLIENT_H
#define TESTS_CLIENTS_VFIO_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/vfio.h>

#define VC_MAX_DEVICES 8
#define VC_PAGE        ((size_t)4096)
#define VC_MAX_COPY    (1u << 20) /* XFERCAP 20: one descriptor moves at most 1 MiB */

struct vc_device {
	char bdf[16];
	int group_number;
	int group;
	int fd;
	uint64_t config; /* offset of config space in fd */
	volatile uint8_t *bar0;
	size_t bar0_size;
	uint8_t *bar2; /* NULL unless the device has membar= */
	size_t bar2_size;
	uint64_t bar2_offset;
	struct ioat_desc *desc; /* see vc_engine() */
	uint64_t desc_iova;
};

struct vc {
	int container;
	unsigned int count;
	struct vc_device dev[VC_MAX_DEVICES];
};

struct ioat_desc {
	uint32_t size;
	uint32_t control;
	uint64_t source;
	uint64_t target;
	uint64_t next;
	uint64_t reserved[4];
};

#define IOAT_CHANNEL            0x80
#define IOAT_CHANCTRL           0x00
#define IOAT_CHANCMD            0x04
#define IOAT_DMACOUNT           0x06
#define IOAT_CHANSTS            0x08
#define IOAT_CHAINADDR          0x10
#define IOAT_CHANERR            0x28
#define IOAT_CMD_RESET          0x20u
#define IOAT_CTRL_ANY_ERR_ABORT 0x0008u
enum ioat_state { IOAT_ACTIVE, IOAT_DONE, IOAT_SUSPENDED, IOAT_HALTED, IOAT_ARMED };

/* Says what went wrong (with errno) and exits with status 2. */
void vc_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define VC_REQUIRE(condition, ...)           \
	do {                                 \
		if (!(condition))            \
			vc_die(__VA_ARGS__); \
	} while (0)

/* Splits $CBIT_DEVICES; the addresses only, nothing is opened. Returns how many. */
unsigned int vc_list(struct vc *c);
int vc_group_number(const char *bdf);
/* Opens devices first .. first + count - 1 of the list in one container of that kind. */
#define VC_IOMMUFD 0x100 /* or'ed to it: the container is an iommufd */
void vc_open(struct vc *c, unsigned int first, unsigned int count, int type);
void vc_close(struct vc *c);

/* Both return 0 or a negative errno; unmapping puts what the kernel reported into *unmapped. */
int vc_map_flags(struct vc *c, const void *address, uint64_t iova, uint64_t size, uint32_t flags);
int vc_unmap(struct vc *c, uint64_t iova, uint64_t size, uint64_t *unmapped);
/* Read and write, must succeed; unmapping must report exactly the size. */
void vc_map(struct vc *c, const void *address, uint64_t iova, uint64_t size);
void vc_unmap_exact(struct vc *c, uint64_t iova, uint64_t size);
void *vc_memory(size_t size, size_t align, size_t offset);

void vc_config_read(const struct vc_device *d, uint64_t at, void *data, size_t size);
void vc_config_write(const struct vc_device *d, uint64_t at, const void *data, size_t size);
void vc_bus_master(const struct vc_device *d, bool on);

/* Maps a page for descriptors at that IOVA, sets bus master and resets the engine. */
void vc_engine(struct vc *c, struct vc_device *d, uint64_t desc_iova);
/* The same with the caller's page, which is mapped for DMA there already. */
void vc_engine_at(struct vc_device *d, void *page, uint64_t desc_iova);
/* Where a page of the program lies, as /proc/self/pagemap has it; it is touched first. */
uint64_t vc_phys(const void *p);
/* A buffer of a DMA heap, "system" or "system_cc_shared", mapped; NULL where there is no such heap.
 */
void *vc_heap(const char *name, size_t size);
/* The same with its descriptor, which vc_heap() closes. */
void *vc_heap_fd(const char *name, size_t size, int *fd);
void vc_engine_end(struct vc *c, struct vc_device *d);
void vc_engine_reset(const struct vc_device *d);
void vc_engine_start(const struct vc_device *d, uint16_t count);
enum ioat_state vc_engine_state(const struct vc_device *d);
enum ioat_state vc_engine_wait(const struct vc_device *d);
/* Any length; cut into descriptors of VC_MAX_COPY, run one after the other. */
enum ioat_state vc_copy(const struct vc_device *d, uint64_t source, uint64_t target, uint64_t size);

void vc_fill(void *p, size_t size, unsigned int seed);
bool vc_filled(const void *p, size_t size, unsigned int seed);
void vc_hex(const char *label, const void *p, size_t size);

/* User and system time of all threads of the supervisor, our parent, in clock ticks. */
unsigned long vc_supervisor_ticks(void);

struct vc_case {
	const char *name;
	void (*run)(void);
};
/* main() of a client that has cases: runs the one that its argument names. */
int vc_run_case(int argc, char **argv, const struct vc_case *cases, size_t nr);

#endif
