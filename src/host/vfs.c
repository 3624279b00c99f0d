/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tree of names held in memory: directories, files, symbolic links and device nodes. It
 * answers for the parts of /sys and /dev that show the modelled machine.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define MAX_LINKS 40

static struct vfs_node *node_new(struct vfs *vfs, struct vfs_node *parent, const char *name,
				 size_t len, enum vfs_type type)
{
	struct vfs_node *node = calloc(1, sizeof(*node)), **at;

	if (!node)
		return NULL;
	node->name = strndup(name, len);
	if (!node->name) {
		free(node);
		return NULL;
	}
	node->type = type;
	node->parent = parent;
	node->id = ++vfs->nr;
	node->there = vfs->there;
	if (parent) {
		node->ours = parent->ours;
		for (at = &parent->child; *at;)
			at = &(*at)->next;
		*at = node;
	}
	return node;
}

int vfs_create(struct vfs *vfs)
{
	vfs->nr = 0;
	vfs->there = NULL;
	vfs->root = node_new(vfs, NULL, "", 0, VFS_DIR);
	return vfs->root ? 0 : -ENOMEM;
}

static void node_free(struct vfs_node *node)
{
	struct vfs_node *child;

	while ((child = node->child)) {
		node->child = child->next;
		node_free(child);
	}
	free(node->name);
	free(node->text);
	free(node);
}

void vfs_destroy(struct vfs *vfs)
{
	if (vfs->root)
		node_free(vfs->root);
	vfs->root = NULL;
}

/* @all: also what is not there at present. */
static struct vfs_node *lookup(const struct vfs_node *dir, const char *name, size_t len, bool all)
{
	struct vfs_node *node;

	for (node = dir->child; node; node = node->next) {
		if (strlen(node->name) == len && !memcmp(node->name, name, len))
			return all || vfs_is_there(node) ? node : NULL;
	}
	return NULL;
}

/* Make what is missing of @path; the last component gets @type. */
static struct vfs_node *make(struct vfs *vfs, const char *path, enum vfs_type type)
{
	struct vfs_node *dir = vfs->root, *node;
	size_t len;

	while (*path == '/')
		path++;
	while (dir && *path) {
		len = strcspn(path, "/");
		node = lookup(dir, path, len, true);
		if (!node)
			node = node_new(vfs, dir, path, len, path[len] ? VFS_DIR : type);
		dir = node;
		path += len;
		while (*path == '/')
			path++;
	}
	return dir;
}

struct vfs_node *vfs_dir(struct vfs *vfs, const char *path, bool ours)
{
	struct vfs_node *node = make(vfs, path, VFS_DIR);

	if (node)
		node->ours |= ours;
	return node;
}

int vfs_file(struct vfs *vfs, const char *path, const char *fmt, ...)
{
	struct vfs_node *node = make(vfs, path, VFS_FILE);
	va_list args;
	int ret;

	if (!node)
		return -ENOMEM;
	free(node->text);
	va_start(args, fmt);
	ret = vasprintf(&node->text, fmt, args);
	va_end(args);
	if (ret < 0)
		node->text = NULL;
	return ret < 0 ? -ENOMEM : 0;
}

int vfs_attr(struct vfs *vfs, const char *path, unsigned int number)
{
	struct vfs_node *node = make(vfs, path, VFS_FILE);

	if (!node)
		return -ENOMEM;
	node->attr = true;
	node->number = number;
	return 0;
}

int vfs_link(struct vfs *vfs, const char *path, const char *target)
{
	struct vfs_node *node = make(vfs, path, VFS_LINK);

	if (!node)
		return -ENOMEM;
	free(node->text);
	node->text = strdup(target);
	return node->text ? 0 : -ENOMEM;
}

static struct vfs_node *make_node(struct vfs *vfs, const char *path, unsigned int major,
				  unsigned int minor, unsigned int number)
{
	struct vfs_node *node = make(vfs, path, VFS_NODE);

	if (node) {
		node->ours = true;
		node->major = major;
		node->minor = minor;
		node->number = number;
	}
	return node;
}

int vfs_node(struct vfs *vfs, const char *path, unsigned int major, unsigned int minor,
	     enum cbit_file_kind kind, unsigned int number)
{
	struct vfs_node *node = make_node(vfs, path, major, minor, number);

	if (!node)
		return -ENOMEM;
	node->kind = kind;
	return 0;
}

int vfs_heap(struct vfs *vfs, const char *path, unsigned int major, unsigned int minor,
	     unsigned int number)
{
	struct vfs_node *node = make_node(vfs, path, major, minor, number);

	if (!node)
		return -ENOMEM;
	node->heap = true;
	return 0;
}

/* Names below a directory of the host's that are ours all the same: "pci0000:01", "vfio_pci". */
static bool claimed(const struct vfs_node *dir, const char *name)
{
	char path[64];

	vfs_path(dir, path, sizeof(path));
	return (!strcmp(path, "/sys/devices") && !strncmp(name, "pci", 3)) ||
	       (!strcmp(path, "/sys/module") && !strncmp(name, "vfio", 4)) ||
	       (!strcmp(path, "/sys/kernel/debug") && !strncmp(name, "iommu", 5));
}

int vfs_walk(struct vfs *vfs, const char *path, bool follow, struct vfs_node **out)
{
	char buf[2 * HOST_PATH_MAX], target[2 * HOST_PATH_MAX], *p = buf;
	struct vfs_node *dir = vfs->root, *node;
	unsigned int links = 0;
	size_t len;
	bool last;

	if (strlen(path) >= HOST_PATH_MAX)
		return 1;
	memcpy(buf, path, strlen(path) + 1);
	for (;;) {
		while (*p == '/')
			p++;
		if (!*p) {
			if (p > buf && p[-1] == '/' && dir->type != VFS_DIR)
				return -ENOTDIR;
			break;
		}
		len = strcspn(p, "/");
		last = !p[len + strspn(p + len, "/")];
		if (dir->type != VFS_DIR)
			return -ENOTDIR;
		if (len == 1 && p[0] == '.') {
			p += len;
			continue;
		}
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			dir = dir->parent ? dir->parent : dir;
			p += len;
			continue;
		}
		node = lookup(dir, p, len, false);
		if (!node)
			return dir->ours || claimed(dir, p) ? -ENOENT : 1;
		p += len;
		if (node->type == VFS_LINK && (follow || !last || *p == '/')) {
			if (++links > MAX_LINKS)
				return -ELOOP;
			len = strlen(node->text);
			if (len + strlen(p) + 1 >= HOST_PATH_MAX)
				return -ENAMETOOLONG;
			memcpy(target, node->text, len);
			memcpy(target + len, p, strlen(p) + 1);
			memcpy(buf, target, strlen(target) + 1);
			p = buf;
			if (*p == '/')
				dir = vfs->root;
			continue;
		}
		dir = node;
	}
	if (!dir->ours)
		return 1;
	*out = dir;
	return 0;
}

void vfs_path(const struct vfs_node *node, char *buf, size_t size)
{
	char parts[HOST_PATH_MAX];
	size_t at = sizeof(parts) - 1, len;

	parts[at] = 0;
	for (; node->parent; node = node->parent) {
		len = strlen(node->name);
		if (at < len + 1)
			break;
		at -= len;
		memcpy(parts + at, node->name, len);
		parts[--at] = '/';
	}
	snprintf(buf, size, "%s", parts[at] ? parts + at : "/");
}
