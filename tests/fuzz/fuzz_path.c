/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths through the synthetic tree of a machine. A walk ends, says the same twice, and the
 * name of what it found leads to it again.
 */
#include "fuzz.h"

#define CLIENT_CHECK(x) FUZZ_CHECK(x)
#include "../unit/client_rig.h"
#include "host/host.h"

static struct vfs *tree(void)
{
	static struct vfs vfs;
	struct client *c;

	if (vfs.root)
		return &vfs;
	c = client_up("bare", "complete", NULL);
	client_plug(c, "ioat");
	client_plug(c, "ioat,addr=0000:41:02.3,group=9");
	FUZZ_CHECK(!vfs_create(&vfs));
	FUZZ_CHECK(!host_sysfs_build(&vfs, c->machine, NULL));
	FUZZ_CHECK(!vfs_link(&vfs, "/sys/bus/pci/loop", "loop/loop"));
	FUZZ_CHECK(!vfs_link(&vfs, "/sys/bus/pci/root", "/"));
	client_down(c);
	return &vfs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vfs_node *node = NULL, *again = NULL;
	struct vfs *vfs = tree();
	char *path = malloc(size + 1), name[HOST_PATH_MAX];

	memcpy(path, data, size);
	path[size] = 0;
	for (int follow = 0; follow < 2; follow++) {
		int ret = vfs_walk(vfs, path, follow, &node);

		FUZZ_CHECK(ret == 0 || ret == 1 || ret == -ENOENT || ret == -ENOTDIR ||
			   ret == -ELOOP || ret == -ENAMETOOLONG);
		if (ret)
			continue;
		FUZZ_CHECK(node->ours);
		FUZZ_CHECK(!follow || node->type != VFS_LINK);
		vfs_path(node, name, sizeof(name));
		FUZZ_CHECK(!vfs_walk(vfs, name, false, &again));
		FUZZ_CHECK(again == node);
	}
	free(path);
	return 0;
}
