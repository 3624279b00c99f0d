/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is mapped at an address of a client: PROCMAP_QUERY where the kernel has it (6.11),
 * otherwise the text of /proc/PID/maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host.h"

/* Linux include/uapi/linux/fs.h, struct procmap_query. */
struct procmap_query_abi {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};
_Static_assert(sizeof(struct procmap_query_abi) == 104, "struct procmap_query");
#define PROCMAP_QUERY_ABI _IOWR('f', 17, struct procmap_query_abi)
#define VMA_READABLE      1u
#define VMA_WRITABLE      2u
#define VMA_SHARED        8u
#define COVERING_OR_NEXT  0x10u

static int find_in_text(struct cbit_owner *owner, uint64_t addr, bool next, struct host_vma *out)
{
	char path[64], line[HOST_PATH_MAX + 256], perms[8];
	unsigned int major, minor;
	int ret = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps",
		 __atomic_load_n(&owner->tid, __ATOMIC_RELAXED));
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64,
			   &out->start, &out->end, perms, &out->offset, &major, &minor,
			   &out->ino) != 7)
			continue;
		if ((addr < out->start && !next) || addr >= out->end)
			continue;
		out->dev = makedev(major, minor);
		out->readable = perms[0] == 'r';
		out->writable = perms[1] == 'w';
		out->shared = perms[3] == 's';
		ret = 0;
		break;
	}
	fclose(f);
	return ret;
}

static bool text_only; /* the kernel has no PROCMAP_QUERY */

bool host_vma_quick(void)
{
	return !__atomic_load_n(&text_only, __ATOMIC_RELAXED);
}

/* Opened by whichever thread of ours comes first. */
static int maps_of(struct cbit_owner *owner)
{
	int maps = __atomic_load_n(&owner->maps, __ATOMIC_ACQUIRE), none = -1;
	char path[64];

	if (maps >= 0)
		return maps;
	snprintf(path, sizeof(path), "/proc/%d/maps",
		 __atomic_load_n(&owner->tid, __ATOMIC_RELAXED));
	maps = open(path, O_RDONLY | O_CLOEXEC);
	if (maps < 0)
		return -errno;
	if (__atomic_compare_exchange_n(&owner->maps, &none, maps, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return maps;
	close(maps);
	return none;
}

static int find(struct cbit_owner *owner, uint64_t addr, bool next, struct host_vma *out)
{
	struct procmap_query_abi q = { .size = sizeof(q),
				       .query_flags = next ? COVERING_OR_NEXT : 0,
				       .query_addr = addr };
	int maps;

	maps = maps_of(owner);
	if (maps < 0)
		return maps;
	if (ioctl(maps, PROCMAP_QUERY_ABI, &q)) {
		if (errno == ENOTTY || errno == EINVAL) {
			__atomic_store_n(&text_only, true, __ATOMIC_RELAXED);
			return find_in_text(owner, addr, next, out);
		}
		return -errno;
	}
	out->start = q.vma_start;
	out->end = q.vma_end;
	out->offset = q.vma_offset;
	out->dev = makedev(q.dev_major, q.dev_minor);
	out->ino = q.inode;
	out->readable = (q.vma_flags & VMA_READABLE) != 0;
	out->writable = (q.vma_flags & VMA_WRITABLE) != 0;
	out->shared = (q.vma_flags & VMA_SHARED) != 0;
	return 0;
}

int host_vma_find(struct cbit_owner *owner, uint64_t addr, struct host_vma *out)
{
	return find(owner, addr, false, out);
}

int host_vma_next(struct cbit_owner *owner, uint64_t addr, struct host_vma *out)
{
	return find(owner, addr, true, out);
}
