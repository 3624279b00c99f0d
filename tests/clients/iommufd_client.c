/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of an iommufd for clients.
 */
#include "iommufd_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int ic_open(void)
{
	int fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);

	VC_REQUIRE(fd >= 0, "/dev/iommu");
	return fd;
}

int ic_set_rlimit_mode(int iommufd, uint64_t mode)
{
	struct uapi_option cmd = { .size = sizeof(cmd),
				   .option_id = UAPI_OPTION_RLIMIT_MODE,
				   .op = UAPI_OPTION_SET,
				   .val64 = mode };

	return ioctl(iommufd, UAPI_IOMMUFD_OPTION, &cmd) ? -errno : 0;
}

uint64_t ic_rlimit_mode(int iommufd)
{
	struct uapi_option cmd = { .size = sizeof(cmd),
				   .option_id = UAPI_OPTION_RLIMIT_MODE,
				   .op = UAPI_OPTION_GET,
				   .val64 = 7 };

	VC_REQUIRE(!ioctl(iommufd, UAPI_IOMMUFD_OPTION, &cmd), "OPTION");
	return cmd.val64;
}

uint32_t ic_ioas_alloc(int iommufd)
{
	struct uapi_ioas_alloc alloc = { .size = sizeof(alloc) };

	VC_REQUIRE(!ioctl(iommufd, UAPI_IOMMUFD_IOAS_ALLOC, &alloc), "IOAS_ALLOC");
	return alloc.out_ioas_id;
}

int ic_open_cdev(const char *bdf, int iommufd)
{
	struct uapi_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	char path[300];
	struct dirent *entry;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.15s/vfio-dev", bdf);
	dir = opendir(path);
	VC_REQUIRE(dir, "%s", path);
	while ((entry = readdir(dir)) && strncmp(entry->d_name, "vfio", 4) != 0)
		;
	VC_REQUIRE(entry, "%s is empty", path);
	snprintf(path, sizeof(path), "/dev/vfio/devices/%.255s", entry->d_name);
	closedir(dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	VC_REQUIRE(fd >= 0, "%s", path);
	VC_REQUIRE(!ioctl(fd, UAPI_DEVICE_BIND_IOMMUFD, &bind), "BIND_IOMMUFD");
	return fd;
}

void ic_attach(int device, uint32_t ioas)
{
	struct uapi_attach_pt attach = { .argsz = 12, .pt_id = ioas };

	VC_REQUIRE(!ioctl(device, UAPI_DEVICE_ATTACH_IOMMUFD_PT, &attach), "ATTACH");
}

int ic_map(int iommufd, uint32_t ioas, uint64_t iova, const void *memory, uint64_t size)
{
	struct uapi_ioas_map cmd = { sizeof(cmd), 7, ioas, 0, (uintptr_t)memory, size, iova };

	return ioctl(iommufd, UAPI_IOMMUFD_IOAS_MAP, &cmd) ? -errno : 0;
}

int ic_map_file(int iommufd, uint32_t ioas, uint64_t iova, int fd, uint64_t start, uint64_t size)
{
	struct uapi_ioas_map_file cmd = { sizeof(cmd), 7, ioas, fd, start, size, iova };

	return ioctl(iommufd, UAPI_IOMMUFD_IOAS_MAP_FILE, &cmd) ? -errno : 0;
}

void ic_unmap(int iommufd, uint32_t ioas, uint64_t iova, uint64_t size)
{
	struct uapi_ioas_unmap cmd = { sizeof(cmd), ioas, iova, size };

	VC_REQUIRE(!ioctl(iommufd, UAPI_IOMMUFD_IOAS_UNMAP, &cmd) && cmd.length == size,
		   "IOAS_UNMAP");
}
