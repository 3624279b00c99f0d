/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening a path of the synthetic tree: a file of the machine, an attribute, or a directory or file
 * that can be read; and the few paths of the host's own under which something of ours may stand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"

/*
 * A directory or file as a memfd whose name tells us what it is, when we see it again. It can be
 * read even where the client asked for O_PATH: such a file cannot be handed to another process.
 */
static int open_text(struct host *host, const struct vfs_node *node)
{
	char path[HOST_PATH_MAX], name[HOST_PATH_MAX + 16], attr[32];
	const char *text = node->text;
	size_t len;
	int fd, ro;

	if (node->attr) {
		host_attr_text(host, node, attr, sizeof(attr));
		text = attr;
	}
	len = text ? strlen(text) : 0;
	vfs_path(node, path, sizeof(path));
	snprintf(name, sizeof(name), "cbit-vfs:%s", path);
	fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (node->type == VFS_FILE && write(fd, text, len) != (ssize_t)len) {
		close(fd);
		return -EIO;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	if (ro < 0)
		ro = -errno;
	close(fd);
	return ro;
}

/*
 * How long a program that was killed may keep its devices by what we do for it, in ms: at most,
 * and at most without any sign that we do anything.
 */
#define LINGER_MAX_MS 1000
#define LINGER_MS     50

/*
 * A group is busy, but perhaps no more by anything that a program does: a transfer of a device
 * to or from a process that is killed holds that memory, with the BARs mapped in it, until
 * it ends; and what another server opens for a call whose caller is killed is closed with that
 * call. A moment after the process itself, that is.
 */
static bool lingers(struct host_call *call, const struct host_under_way *then, int ms)
{
	struct host *host = call->host;

	if (host_serve_under_way(call, then))
		return ms < LINGER_MAX_MS;
	return host_owner_lingers(host) &&
	       (ms < LINGER_MS ||
		(ms < LINGER_MAX_MS && __atomic_load_n(&host->moving, __ATOMIC_ACQUIRE)));
}

static int open_node(struct host_call *call, const struct vfs_node *node)
{
	struct host *host = call->host;
	struct host_under_way then;
	struct cbit_file *file;
	bool wait = true;
	int ret, fd;

	host_serve_look(call, &then);
	for (int ms = 0;; ms++) {
		host_files_drain(host);
		ret = cbit_vfio_open(host->machine, node->kind, node->number, &file);
		if (ret != -EBUSY || !wait)
			break;
		/* Once more in any case: what ended while we looked may have freed it. */
		wait = lingers(call, &then, ms);
		host_serve_relieve(call);
		if (wait)
			usleep(1000);
	}
	if (ret)
		return ret;
	if (node->kind == CBIT_FILE_DEVICE) {
		fd = host_devfile_open(host, file, false);
		ret = fd < 0 ? fd : 0;
	} else {
		ret = host_sock_open(host, file, &fd);
	}
	if (ret) {
		cbit_vfio_release(file);
		return ret;
	}
	return fd;
}

/*
 * A path that names a descriptor, as /proc/self/fd/3 does. The kernel would open what stands
 * behind ours; but what it stands for is meant. 0 with the node, an error, or 1 for others.
 */
static int open_again(struct host_call *call, const char *path, struct vfs_node **out)
{
	pid_t tid = call->tid;
	int fd, end = 0, pid;
	struct host_fd info;
	bool has_node;

	if (sscanf(path, "/proc/self/fd/%d%n", &fd, &end) != 1 &&
	    sscanf(path, "/proc/thread-self/fd/%d%n", &fd, &end) != 1 &&
	    sscanf(path, "/dev/fd/%d%n", &fd, &end) != 1) {
		if (sscanf(path, "/proc/%d/fd/%d%n", &pid, &fd, &end) != 2)
			return 1;
		tid = (pid_t)pid;
	}
	if (!end || path[end])
		return 1;
	if (!host_fd_lookup(call->host, tid, fd, &info) && info.kind == HOST_FD_DMABUF)
		return -ENXIO;
	if (!host_fd_node(call->host, tid, fd, &has_node, out))
		return 1;
	return has_node ? 0 : -ENXIO; /* as of every file without a node */
}

/* Of a path that shows what a descriptor is: a descriptor of ours where it is a dma-buf's, or -1.
 */
static int open_fdinfo(struct host_call *call, const char *path)
{
	pid_t tid = call->tid;
	struct host_fd info;
	int fd, end = 0, pid, own = -1;

	if (sscanf(path, "/proc/self/fdinfo/%d%n", &fd, &end) != 1) {
		if (sscanf(path, "/proc/%d/fdinfo/%d%n", &pid, &fd, &end) != 2)
			return -1;
		tid = (pid_t)pid;
	}
	if (!end || path[end])
		return -1;
	pthread_rwlock_rdlock(&call->host->calls);
	if (!host_fd_lookup(call->host, tid, fd, &info) && info.kind == HOST_FD_DMABUF)
		own = host_dmabuf_fdinfo(tid, fd, info.file);
	pthread_rwlock_unlock(&call->host->calls);
	return own < 0 ? -1 : own;
}

static void give(struct host_call *call, int fd, uint64_t flags)
{
	int ret = host_install_fd(call, fd, (flags & O_CLOEXEC) != 0);

	close(fd);
	if (ret < 0)
		call->error = ret;
	else
		call->val = ret;
}

void host_open_path(struct host_call *call, const char *path, uint64_t flags)
{
	struct vfs_node *node;
	bool path_only = (flags & O_PATH) != 0;
	int ret, fd;

	ret = vfs_walk(&call->host->vfs, path, !(flags & O_NOFOLLOW), &node);
	if (ret > 0 && !path_only && !(flags & O_NOFOLLOW))
		ret = open_again(call, path, &node);
	if (ret > 0) {
		fd = (flags & O_ACCMODE) == O_RDONLY ? open_fdinfo(call, path) : -1;
		if (fd < 0 && !path_only)
			fd = host_pagemap_open(call, path);
		if (fd >= 0)
			give(call, fd, flags);
		else
			call->pass = true;
		return;
	}
	if (!ret && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		ret = -EEXIST;
	if (!ret && node->type == VFS_LINK)
		ret = -ELOOP;
	if (!ret && node->type == VFS_DIR && flags & O_CREAT)
		ret = -EISDIR;
	if (!ret && (flags & O_DIRECTORY) == O_DIRECTORY && node->type != VFS_DIR)
		ret = -ENOTDIR;
	if (!ret && (flags & O_ACCMODE) != O_RDONLY && !path_only) {
		if (node->type == VFS_DIR)
			ret = -EISDIR;
		else if (node->type == VFS_FILE && !node->attr)
			ret = -EACCES;
	}
	if (ret) {
		call->error = ret;
		return;
	}
	/* A heap has no state of its own: that its descriptor names it is enough. */
	if (node->type == VFS_NODE && !node->heap && !path_only)
		fd = open_node(call, node);
	else if (node->attr && !path_only && (flags & O_ACCMODE) != O_RDONLY)
		fd = host_attr_open(call, node, (flags & O_ACCMODE) == O_RDWR);
	else
		fd = open_text(call->host, node);
	if (fd < 0) {
		call->error = fd;
		return;
	}
	give(call, fd, flags);
}
