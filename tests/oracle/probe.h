/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The oracle's probe: calls of VFIO and iommufd whose every outcome is written down, so that the
 * same run on Linux and under cbit can be compared line by line. Nothing that varies from run to
 * run gets into the log: all memory lies at fixed addresses, random choices come from a seed.
 */
#ifndef TESTS_ORACLE_PROBE_H
#define TESTS_ORACLE_PROBE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfio/uapi_iommufd.h"

#define PAGE UINT64_C(4096)

/* The address space, the same everywhere. */
#define AT_ARGS   UINT64_C(0x0f0000000000) /* arguments; nothing behind them */
#define AT_RAM    UINT64_C(0x100000000000) /* anonymous */
#define AT_RO     UINT64_C(0x110000000000) /* anonymous, read-only */
#define AT_NONE   UINT64_C(0x120000000000) /* PROT_NONE */
#define AT_HOLE   UINT64_C(0x130000000000) /* nothing */
#define AT_SHM    UINT64_C(0x140000000000) /* a memfd, shared */
#define AT_MIX    UINT64_C(0x150000000000) /* 16 pages, a hole of one, 16 read-only ones, 16 more */
#define AT_BAR    UINT64_C(0x160000000000) /* BAR0 of device 0, where a case maps it */
#define AT_OUT    UINT64_C(0x170000000000) /* for bitmaps and the like; nothing behind it */
#define ARGS_SIZE (16 * PAGE)
#define RAM_SIZE  (16384 * PAGE)
#define RO_SIZE   (256 * PAGE)
#define SHM_SIZE  (1024 * PAGE)
#define MIX_SIZE  (49 * PAGE)
#define OUT_SIZE  (16 * PAGE)
#define KERNEL    UINT64_C(0xffff888000000000)

#define NR_DEVICES 4 /* 0 and 1 alone in their groups, 2 and 3 in one */

struct probe_device {
	char bdf[16];
	int group;
	int cdev;
};

struct probe {
	FILE *log;
	uint64_t calls;
	uint64_t random;
	unsigned int only; /* 0, or the family to run */
	struct probe_device dev[NR_DEVICES];
};
extern struct probe probe;

/* A case begins: all that was open before is closed. */
void probe_case(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line that is no call. */
void probe_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Random numbers: the same for the same seed. */
void probe_seed(uint64_t seed);
uint64_t probe_random(void);
uint64_t probe_below(uint64_t n);
bool probe_chance(unsigned int percent);
#define PICK(array) ((array)[probe_below(sizeof(array) / sizeof((array)[0]))])

/*
 * An ioctl. @layout describes the argument for the log, a letter a field: b, h, i, q of 1, 2, 4, 8
 * bytes, m and M of 4 and 8 bytes that depend on the device, or are Linux's to choose, and are not
 * shown; bytes beyond it are shown as
 * words where the call changes them. @arg is copied to where the last of its @len bytes is the last
 * mapped one, and back. What changed is logged as {field:value}.
 */
long probe_ioctl(const char *name, int fd, uint32_t cmd, void *arg, size_t len, const char *layout);
/* An ioctl whose argument is a number, or an address as it is. */
long probe_value(const char *name, int fd, uint32_t cmd, uint64_t arg);
#define CALL(name, fd, cmd, arg, layout) probe_ioctl(name, fd, cmd, &(arg), sizeof(arg), layout)

int probe_open(const char *path);
void probe_close(int fd);
/* The names of the nodes by number of device; what they are called is not logged. */
int probe_open_group(unsigned int dev);
int probe_open_cdev(unsigned int dev);
/* A hash of memory that a call has filled. */
uint64_t probe_hash(uint64_t addr, size_t len);

/* The families of cases. */
void probe_type1(void);
void probe_groups(void);
void probe_devices(void);
void probe_iommufd(void);
void probe_iommufd_random(void);

#endif
