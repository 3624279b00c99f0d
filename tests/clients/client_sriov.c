// SPDX-License-Identifier: BSD-3-Clause
/*
 * Test client: SR-IOV. Enables virtual functions by sysfs, sees them come and go there, opens
 * each with the token, and copies with all engines at once: the same IOVAs, in a container
 * for each function, are other memory. Afterwards what a disabled function leaves.
 */
#include "vfio_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define VFS    3u
#define SIZE   (256u << 10)
#define ROUNDS 8u
#define SOURCE 0x10000000u
#define TARGET 0x20000000u
#define DESC   0x1000000u
#define TOKEN  "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

static void path_of(char *path, size_t size, const char *bdf, const char *name)
{
	snprintf(path, size, "/sys/bus/pci/devices/%s/%s", bdf, name);
}

static unsigned int get(const char *bdf, const char *name)
{
	char path[128], text[32];
	ssize_t n;
	int fd;

	path_of(path, sizeof(path), bdf, name);
	fd = open(path, O_RDONLY);
	VC_REQUIRE(fd >= 0, "%s", path);
	n = read(fd, text, sizeof(text) - 1);
	VC_REQUIRE(n > 0 && text[n - 1] == '\n', "%s reads %zd", path, n);
	text[n] = '\0';
	close(fd);
	return (unsigned int)strtoul(text, NULL, 0);
}

static void set(const char *bdf, const char *text)
{
	char path[128];
	int fd;

	path_of(path, sizeof(path), bdf, "sriov_numvfs");
	fd = open(path, O_WRONLY);
	VC_REQUIRE(fd >= 0, "%s", path);
	VC_REQUIRE(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write to %s", path);
	close(fd);
}

static bool there(const char *bdf)
{
	struct stat st;
	char path[128];

	path_of(path, sizeof(path), bdf, "");
	return !stat(path, &st);
}

/* Which function virtfnN leads to. */
static void vf_bdf(const char *pf, unsigned int n, char bdf[16])
{
	char path[128], name[32], target[256];
	ssize_t len;

	snprintf(name, sizeof(name), "virtfn%u", n);
	path_of(path, sizeof(path), pf, name);
	len = readlink(path, target, sizeof(target) - 1);
	VC_REQUIRE(len == 15, "readlink %s: %zd", path, len);
	target[len] = '\0';
	memcpy(bdf, target + 3, 13);
	path_of(path, sizeof(path), bdf, "physfn");
	len = readlink(path, target, sizeof(target) - 1);
	VC_REQUIRE(len == 15 && !strncmp(target + 3, pf, 12), "readlink %s", path);
}

/* One function, by vc_open(). */
static void open_function(struct vc *c, const char *bdf)
{
	setenv("CBIT_DEVICES", bdf, 1);
	vc_open(c, 0, 1, VFIO_TYPE1v2_IOMMU);
}

static void copies(struct vc *c, unsigned int count)
{
	uint8_t *source[VFS + 1], *target[VFS + 1];

	for (unsigned int i = 0; i < count; i++) {
		source[i] = vc_memory(SIZE, VC_PAGE, 0);
		target[i] = vc_memory(SIZE, VC_PAGE, 0);
		vc_map(&c[i], source[i], SOURCE, SIZE);
		vc_map(&c[i], target[i], TARGET, SIZE);
		vc_engine(&c[i], &c[i].dev[0], DESC);
	}
	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (unsigned int i = 0; i < count; i++) {
			vc_fill(source[i], SIZE, 10 * round + i);
			*c[i].dev[0].desc = (struct ioat_desc){
				.size = SIZE, .source = SOURCE, .target = TARGET, .next = DESC
			};
			vc_engine_start(&c[i].dev[0], 1);
		}
		for (unsigned int i = 0; i < count; i++) {
			VC_REQUIRE(vc_engine_wait(&c[i].dev[0]) == IOAT_DONE, "function %u", i);
			VC_REQUIRE(vc_filled(target[i], SIZE, 10 * round + i),
				   "function %u: wrong bytes", i);
		}
	}
	for (unsigned int i = 0; i < count; i++) {
		vc_engine_end(&c[i], &c[i].dev[0]);
		vc_unmap_exact(&c[i], SOURCE, SIZE);
		vc_unmap_exact(&c[i], TARGET, SIZE);
	}
}

/* Enables the first function and leaves it with the token, for another program. */
static int prepare(const char *pf)
{
	struct vc c;
	char vf[16];

	set(pf, "1");
	open_function(&c, pf);
	vc_close(&c);
	vf_bdf(pf, 0, vf);
	printf("%s\n", vf);
	return 0;
}

/* usage: client_sriov [prepare] */
int main(int argc, char **argv)
{
	char vf[VFS][16], path[64];
	struct vc list, c[VFS + 1];
	const char *pf;

	VC_REQUIRE(vc_list(&list) == 1, "%u devices", list.count);
	setenv("VC_TOKEN", TOKEN, 1);
	pf = list.dev[0].bdf;
	if (argc == 2 && !strcmp(argv[1], "prepare"))
		return prepare(pf);
	VC_REQUIRE(get(pf, "sriov_totalvfs") == 4 && !get(pf, "sriov_numvfs"), "attributes");
	set(pf, "3\n");
	VC_REQUIRE(get(pf, "sriov_numvfs") == VFS, "sriov_numvfs is %u", get(pf, "sriov_numvfs"));
	open_function(&c[0], pf);
	for (unsigned int i = 0; i < VFS; i++) {
		vf_bdf(pf, i, vf[i]);
		VC_REQUIRE(get(vf[i], "vendor") == 0x8086, "vendor of %s", vf[i]);
		open_function(&c[i + 1], vf[i]);
	}
	copies(c, VFS + 1);
	/* others while these are enabled; then none, and each is gone when its user is */
	set(pf, "4");
	VC_REQUIRE(get(pf, "sriov_numvfs") == VFS, "more were enabled");
	for (unsigned int i = 0; i <= VFS; i++)
		vc_close(&c[i]);
	set(pf, "0");
	VC_REQUIRE(!there(vf[0]) && !there(vf[2]) && there(pf), "functions are still there");
	snprintf(path, sizeof(path), "/dev/vfio/%d", c[1].dev[0].group_number);
	VC_REQUIRE(open(path, O_RDWR) < 0 && errno == ENOENT, "%s is still there", path);
	set(pf, "1");
	VC_REQUIRE(there(vf[0]) && !there(vf[1]), "not the first one");
	open_function(&c[0], pf);
	open_function(&c[1], vf[0]);
	copies(c, 2);
	vc_close(&c[0]);
	vc_close(&c[1]);
	printf("physical and virtual functions: all right\n");
	return 0;
}
