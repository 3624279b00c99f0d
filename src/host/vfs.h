/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The synthetic tree that answers for /sys and /dev: vfs.c, and sysfs.c, which fills it.
 */
#ifndef CBIT_HOST_VFS_H
#define CBIT_HOST_VFS_H

#include <cbit/vfio.h>

enum vfs_type { VFS_DIR, VFS_FILE, VFS_LINK, VFS_NODE };

struct vfs_node {
	enum vfs_type type;
	const bool *there; /* where set and false, the name is missing */
	bool attr;         /* a file that can be written, see attr.c; of device @number */
	bool ours; /* a name missing below is ENOENT; otherwise the host's own tree answers */
	char *name;
	char *text; /* file content or link target */
	unsigned int major, minor;
	enum cbit_file_kind kind; /* VFS_NODE: what opening it opens, with @number */
	unsigned int number;
	bool heap; /* VFS_NODE: a DMA heap instead, @number is an enum host_heap */
	unsigned int id;
	struct vfs_node *parent, *child, *next;
};

struct vfs {
	struct vfs_node *root;
	const bool *there; /* for what is made from now on */
	unsigned int nr;
};

int vfs_create(struct vfs *vfs);
void vfs_destroy(struct vfs *vfs);
struct vfs_node *vfs_dir(struct vfs *vfs, const char *path, bool ours);
int vfs_file(struct vfs *vfs, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int vfs_link(struct vfs *vfs, const char *path, const char *target);
/* A file that can be written; it shows the number of virtual functions of device @number. */
int vfs_attr(struct vfs *vfs, const char *path, unsigned int number);
static inline bool vfs_is_there(const struct vfs_node *node)
{
	return !node->there || __atomic_load_n(node->there, __ATOMIC_ACQUIRE);
}
int vfs_node(struct vfs *vfs, const char *path, unsigned int major, unsigned int minor,
	     enum cbit_file_kind kind, unsigned int number);
int vfs_heap(struct vfs *vfs, const char *path, unsigned int major, unsigned int minor,
	     unsigned int number);
/**
 * vfs_walk() - look a path up.
 * @follow: follow a symbolic link in the last component.
 * Return: 0 and *@out; -ENOENT, -ENOTDIR, -ELOOP: the answer; 1: not ours, the host's own
 * file system answers.
 */
int vfs_walk(struct vfs *vfs, const char *path, bool follow, struct vfs_node **out);
void vfs_path(const struct vfs_node *node, char *buf, size_t size);

/* sysfs.c */
/* @there: of each device, whether it is; for those that come and go. */
int host_sysfs_build(struct vfs *vfs, struct cbit_machine *machine, const bool *there);

#endif
