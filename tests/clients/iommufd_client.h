/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What clients that use an iommufd share, by the kernel's plain interface. What returns an int
 * returns what the call does, 0 or a negative errno; the others must succeed.
 */
#ifndef TESTS_CLIENTS_IOMMUFD_CLIENT_H
#define TESTS_CLIENTS_IOMMUFD_CLIENT_H

#include "vfio_client.h"

#include "vfio/uapi_iommufd.h"

int ic_open(void);
/* IOMMU_OPTION_RLIMIT_MODE: 1 for accounts by process. */
int ic_set_rlimit_mode(int iommufd, uint64_t mode);
uint64_t ic_rlimit_mode(int iommufd);
uint32_t ic_ioas_alloc(int iommufd);
/* The device by its node, bound to the iommufd. */
int ic_open_cdev(const char *bdf, int iommufd);
void ic_attach(int device, uint32_t ioas);
/* For reading and writing. */
int ic_map(int iommufd, uint32_t ioas, uint64_t iova, const void *memory, uint64_t size);
int ic_map_file(int iommufd, uint32_t ioas, uint64_t iova, int fd, uint64_t start, uint64_t size);
/* Just that many bytes. */
void ic_unmap(int iommufd, uint32_t ioas, uint64_t iova, uint64_t size);

#endif
