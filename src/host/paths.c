/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls that name a path, or that ask about a descriptor of ours: answered from the synthetic
 * tree where the path is ours, left to the kernel otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host.h"

/* A C string from the client, stopping at page ends: what follows may not be mapped. */
static int get_path(pid_t tid, uint64_t addr, char *buf)
{
	size_t at = 0, chunk;

	while (at < HOST_PATH_MAX) {
		chunk = 256 - ((addr + at) & 255);
		if (chunk > HOST_PATH_MAX - at)
			chunk = HOST_PATH_MAX - at;
		if (host_copy_in(tid, buf + at, addr + at, chunk))
			return -EFAULT;
		if (memchr(buf + at, 0, chunk))
			return 0;
		at += chunk;
	}
	return -ENAMETOOLONG;
}

/* Put the directory that a relative path starts from in front of it. */
static int absolute(pid_t tid, int dirfd, char *path)
{
	char link[64], dir[2 * HOST_PATH_MAX], *start = dir, *end;
	size_t len;
	ssize_t n;

	if (path[0] == '/')
		return 0;
	if (dirfd == AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/%d/cwd", tid);
	else
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", tid, dirfd);
	n = readlink(link, dir, HOST_PATH_MAX);
	if (n < 0)
		return -ENOENT;
	dir[n] = 0;
	if (!strncmp(dir, "/memfd:cbit-vfs:", 16)) {
		start = dir + 16;
		end = strstr(start, " (deleted)");
		if (end)
			*end = 0;
	}
	if (start[0] != '/' || strlen(start) + strlen(path) + 2 > HOST_PATH_MAX)
		return -ENOENT;
	len = strlen(start);
	start[len++] = '/';
	memcpy(start + len, path, strlen(path) + 1);
	memmove(path, start, strlen(start) + 1);
	return 0;
}

static void fill_stat(const struct vfs_node *node, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = makedev(0, 22);
	st->st_ino = 0x1000 + node->id;
	st->st_nlink = 1;
	st->st_blksize = 4096;
	switch (node->type) {
	case VFS_DIR:
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
		break;
	case VFS_FILE:
		st->st_mode = S_IFREG | (node->attr ? 0644 : 0444);
		st->st_size = 4096; /* as sysfs says of every attribute */
		break;
	case VFS_LINK:
		st->st_mode = S_IFLNK | 0777;
		break;
	case VFS_NODE:
		st->st_mode = S_IFCHR | 0666;
		st->st_rdev = makedev(node->major, node->minor);
		break;
	}
}

/* On x86-64 the C library's layout is the kernel's. */
static int put_stat(struct host_call *call, const struct stat *st, uint64_t addr)
{
	return host_copy_out(call->tid, addr, st, sizeof(*st));
}

static int put_statx(struct host_call *call, const struct stat *st, uint64_t addr)
{
	struct statx stx = { 0 };

	stx.stx_mask = STATX_BASIC_STATS;
	stx.stx_blksize = 4096;
	stx.stx_nlink = (uint32_t)st->st_nlink;
	stx.stx_uid = st->st_uid;
	stx.stx_gid = st->st_gid;
	stx.stx_mode = (uint16_t)st->st_mode;
	stx.stx_ino = st->st_ino;
	stx.stx_size = (uint64_t)st->st_size;
	stx.stx_blocks = (uint64_t)st->st_blocks;
	stx.stx_rdev_major = major(st->st_rdev);
	stx.stx_rdev_minor = minor(st->st_rdev);
	stx.stx_dev_major = major(st->st_dev);
	stx.stx_dev_minor = minor(st->st_dev);
	return host_copy_out(call->tid, addr, &stx, sizeof(stx));
}

/* The path of the node that a file of the vfio room was opened by, or would be. */
static void node_path(const struct cbit_file *file, bool noiommu, char *path, size_t size)
{
	switch (cbit_vfio_kind(file)) {
	case CBIT_FILE_DEVICE:
		snprintf(path, size, "/dev/vfio/devices/vfio%u", cbit_vfio_device_index(file));
		break;
	case CBIT_FILE_IOMMUFD:
		snprintf(path, size, "/dev/iommu");
		break;
	case CBIT_FILE_CONTAINER:
		snprintf(path, size, "/dev/vfio/vfio");
		break;
	case CBIT_FILE_GROUP:
		snprintf(path, size, "/dev/vfio/%s%u", noiommu ? "noiommu-" : "",
			 cbit_vfio_group_number(file));
		break;
	default: /* has no node */
		break;
	}
}

bool host_fd_node(struct host *host, pid_t tid, int fd, bool *has_node, struct vfs_node **out)
{
	struct vfs_node *node = NULL;
	struct host_fd info;
	char path[64] = "";

	*has_node = true;
	pthread_rwlock_rdlock(&host->calls);
	if (!host_fd_lookup(host, tid, fd, &info)) {
		node = info.node;
		if (info.file) {
			node_path(info.file, host_noiommu(host->config), path, sizeof(path));
			*has_node = info.kind != HOST_FD_DEVICE || cbit_vfio_cdev(info.file);
		}
	}
	pthread_rwlock_unlock(&host->calls);
	if (path[0] && vfs_walk(&host->vfs, path, true, &node))
		return false;
	*out = node;
	return node != NULL;
}

#define RESOLVE_KNOWN                                                               \
	((uint64_t)(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | \
		    RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_CACHED))

/* The calls, brought to one shape. */
struct path_call {
	int dirfd;
	uint64_t path;  /* address, 0 when the call has none */
	uint64_t out;   /* address of the result */
	uint64_t size;  /* of the result, for readlink */
	uint64_t flags; /* AT_* or O_* */
	uint32_t mode;  /* of access, or the mask of statx */
	enum { DO_OPEN, DO_STAT, DO_STATX, DO_ACCESS, DO_READLINK, DO_XATTR } what;
};

static bool decode(const struct host_call *call, struct path_call *pc)
{
	const uint64_t *a = (const uint64_t *)call->req->data.args;
	struct open_how how;

	*pc = (struct path_call){ .dirfd = AT_FDCWD, .path = a[0] };
	switch (call->req->data.nr) {
	case SYS_open:
		pc->flags = (uint32_t)a[1];
		pc->what = DO_OPEN;
		return true;
	case SYS_stat:
	case SYS_lstat:
		pc->out = a[1];
		pc->flags = call->req->data.nr == SYS_lstat ? AT_SYMLINK_NOFOLLOW : 0;
		pc->what = DO_STAT;
		return true;
	case SYS_fstat:
		pc->dirfd = (int)a[0];
		pc->path = 0;
		pc->out = a[1];
		pc->what = DO_STAT;
		return true;
	case SYS_access:
		pc->mode = (uint32_t)a[1];
		pc->what = DO_ACCESS;
		return true;
	case SYS_getxattr:
	case SYS_listxattr:
	case SYS_lgetxattr:
	case SYS_llistxattr:
		if (call->req->data.nr == SYS_lgetxattr || call->req->data.nr == SYS_llistxattr)
			pc->flags = AT_SYMLINK_NOFOLLOW;
		pc->what = DO_XATTR;
		return true;
	case SYS_readlink:
		pc->out = a[1];
		pc->size = a[2];
		pc->what = DO_READLINK;
		return true;
	default:
		break;
	}
	pc->dirfd = (int)a[0];
	pc->path = a[1];
	switch (call->req->data.nr) {
	case SYS_openat:
		pc->flags = (uint32_t)a[2];
		pc->what = DO_OPEN;
		return true;
	case SYS_openat2:
		/* What is none of a structure is the kernel's to refuse. */
		if (a[3] < sizeof(how) || host_copy_in(call->tid, &how, a[2], sizeof(how)) ||
		    how.resolve & ~RESOLVE_KNOWN)
			return false;
		pc->flags = how.flags;
		pc->what = DO_OPEN;
		return true;
	case SYS_newfstatat:
		pc->out = a[2];
		pc->flags = (uint32_t)a[3];
		pc->what = DO_STAT;
		return true;
	case SYS_statx:
		pc->out = a[4];
		pc->flags = (uint32_t)a[2];
		pc->mode = (uint32_t)a[3];
		pc->what = DO_STATX;
		return true;
	case SYS_faccessat:
		pc->mode = (uint32_t)a[2];
		pc->what = DO_ACCESS;
		return true;
	case SYS_faccessat2:
		pc->flags = (uint32_t)a[3];
		pc->mode = (uint32_t)a[2];
		pc->what = DO_ACCESS;
		return true;
	case SYS_readlinkat:
		pc->out = a[2];
		pc->size = a[3];
		pc->what = DO_READLINK;
		return true;
	default:
		return false;
	}
}

/* Flags and modes that Linux does not know (vfs_statx(), do_statx(), do_faccessat()). */
static bool refused(const struct path_call *pc)
{
	switch (pc->what) {
	case DO_STAT:
		return pc->flags &
		       ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH);
	case DO_STATX:
		return pc->flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT |
					       AT_EMPTY_PATH | AT_STATX_SYNC_TYPE) ||
		       (pc->flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ||
		       pc->mode & STATX__RESERVED;
	case DO_ACCESS:
		return pc->flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH) ||
		       pc->mode & ~(unsigned int)(R_OK | W_OK | X_OK);
	default:
		return false;
	}
}

static void finish(struct host_call *call, const struct path_call *pc, const struct vfs_node *node)
{
	struct stat st;
	size_t len;

	switch (pc->what) {
	case DO_STAT:
		fill_stat(node, &st);
		call->error = put_stat(call, &st, pc->out);
		break;
	case DO_STATX:
		fill_stat(node, &st);
		call->error = put_statx(call, &st, pc->out);
		break;
	case DO_READLINK:
		if (node->type != VFS_LINK || (int)pc->size <= 0) {
			call->error = -EINVAL;
			break;
		}
		len = strlen(node->text);
		if (len > (uint32_t)pc->size)
			len = (uint32_t)pc->size;
		call->error = host_copy_out(call->tid, pc->out, node->text, len);
		call->val = (int64_t)len;
		break;
	case DO_XATTR:
		call->error = -EOPNOTSUPP;
		break;
	default:
		break; /* access: whatever is there may be used */
	}
}

/* The status of a dma-buf, which has no node. False for another file, or another question. */
static bool dmabuf_call(struct host_call *call, const struct path_call *pc)
{
	struct host_fd info;
	struct stat st;

	if ((pc->what != DO_STAT && pc->what != DO_STATX) ||
	    host_fd_lookup(call->host, call->tid, pc->dirfd, &info) ||
	    info.kind != HOST_FD_DMABUF || host_dmabuf_stat(call->tid, pc->dirfd, &st))
		return false;
	call->pass = false;
	call->error =
		pc->what == DO_STAT ? put_stat(call, &st, pc->out) : put_statx(call, &st, pc->out);
	return true;
}

void host_path_call(struct host_call *call)
{
	char path[2 * HOST_PATH_MAX];
	struct vfs_node *node;
	struct path_call pc;
	bool nofollow, has_node;
	int ret;

	call->pass = true;
	/* What has been written to an attribute shows from now on. */
	if (__atomic_load_n(&call->host->attrs, __ATOMIC_ACQUIRE))
		host_files_settle(call->host);
	if (!decode(call, &pc))
		return;
	if (pc.path && get_path(call->tid, pc.path, path))
		return;
	if (!pc.path || (!path[0] && pc.flags & AT_EMPTY_PATH && pc.what != DO_OPEN)) {
		if (dmabuf_call(call, &pc))
			return;
		if (host_fd_node(call->host, call->tid, pc.dirfd, &has_node, &node)) {
			call->pass = false;
			finish(call, &pc, node);
		}
		return;
	}
	if (!path[0] || absolute(call->tid, pc.dirfd, path))
		return;
	if (pc.what == DO_OPEN) {
		call->pass = false;
		host_open_path(call, path, pc.flags);
		return;
	}
	nofollow = pc.what == DO_READLINK || pc.flags & AT_SYMLINK_NOFOLLOW;
	ret = vfs_walk(&call->host->vfs, path, !nofollow, &node);
	if (ret > 0)
		return;
	call->pass = false;
	if (refused(&pc))
		call->error = -EINVAL;
	else if (ret)
		call->error = ret;
	else
		finish(call, &pc, node);
}

bool host_path_prompt(struct host *host, pid_t tid, int dirfd, uint64_t addr)
{
	char path[2 * HOST_PATH_MAX];
	struct vfs_node *node;
	struct stat st;

	if (get_path(tid, addr, path) || !path[0] || absolute(tid, dirfd, path))
		return true; /* it fails */
	if (vfs_walk(&host->vfs, path, true, &node) <= 0)
		return true;
	return stat(path, &st) ? errno == ENOENT : S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}
