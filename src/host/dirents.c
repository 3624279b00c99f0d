/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Directories of the synthetic tree, read through a descriptor of ours.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

/* linux_dirent64, written down from getdents64(2). */
struct dirent_abi {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
} __attribute__((packed));
_Static_assert(sizeof(struct dirent_abi) == 19, "linux_dirent64");

static uint8_t dirent_type(const struct vfs_node *node)
{
	static const uint8_t types[] = { 4, 8, 10, 2 }; /* DT_DIR, DT_REG, DT_LNK, DT_CHR */

	return types[node->type];
}

/* The place in a directory is the memfd's own file position, shared by all its descriptors. */
void host_getdents(struct host_call *call)
{
	const uint64_t *a = (const uint64_t *)call->req->data.args;
	char buf[4096];
	const struct vfs_node *child;
	struct host_fd info;
	size_t used = 0, len, limit;
	int64_t pos, n = 0;
	int fd;

	call->pass = true;
	if (host_fd_lookup(call->host, call->tid, (int)a[0], &info) || info.kind != HOST_FD_VFS)
		return;
	call->pass = false;
	if (info.node->type != VFS_DIR) {
		call->error = -ENOTDIR;
		return;
	}
	fd = host_get_fd(call->host, call->tid, (int)a[0]);
	if (fd < 0) {
		call->error = -EBADF;
		return;
	}
	limit = (uint32_t)a[2] < sizeof(buf) ? (uint32_t)a[2] : sizeof(buf);
	pos = lseek(fd, 0, SEEK_CUR);
	for (child = info.node->child; child; child = child->next, n++) {
		struct dirent_abi entry = { .ino = 0x1000 + child->id,
					    .off = n + 1,
					    .type = dirent_type(child) };

		if (n < pos || !vfs_is_there(child))
			continue;
		len = (sizeof(entry) + strlen(child->name) + 1 + 7) & ~(size_t)7;
		if (used + len > limit)
			break;
		entry.reclen = (uint16_t)len;
		memset(buf + used, 0, len);
		memcpy(buf + used, &entry, sizeof(entry));
		memcpy(buf + used + sizeof(entry), child->name, strlen(child->name) + 1);
		used += len;
	}
	if (!used && child)
		call->error = -EINVAL;
	else if (used && host_copy_out(call->tid, a[1], buf, used))
		call->error = -EFAULT;
	else if (used)
		lseek(fd, n, SEEK_SET);
	call->val = (int64_t)used;
	close(fd);
}
