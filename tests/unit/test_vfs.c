/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The synthetic tree: walking it by every kind of path, what is ours and what the host's own
 * file system answers, and the tree that a machine gets.
 */
#include "client_rig.h"
#include "host/host.h"

static int setup(void **state)
{
	struct vfs *vfs = malloc(sizeof(*vfs));

	assert_int_equal(vfs_create(vfs), 0);
	assert_non_null(vfs_dir(vfs, "/sys/bus/pci", true));
	assert_non_null(vfs_dir(vfs, "/sys/devices", false));
	assert_non_null(vfs_dir(vfs, "/sys/devices/pci0000:01", true));
	assert_non_null(vfs_dir(vfs, "/sys/devices/pci0000:01/dev", true));
	assert_int_equal(vfs_file(vfs, "/sys/devices/pci0000:01/dev/vendor", "0x%04x\n", 0x8086),
			 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/short", "../../devices/pci0000:01/dev"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/long", "/sys/devices/pci0000:01/dev"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/twice", "short"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/file", "twice/vendor"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/loop", "loop"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/ping", "pong"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/pong", "ping/x"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/dangling", "nothing"), 0);
	assert_int_equal(vfs_link(vfs, "/sys/bus/pci/away", "/etc/passwd"), 0);
	assert_int_equal(vfs_node(vfs, "/dev/vfio/vfio", 10, 196, CBIT_FILE_CONTAINER, 0), 0);
	assert_non_null(vfs_dir(vfs, "/dev/vfio", true));
	*state = vfs;
	return 0;
}

static int teardown(void **state)
{
	vfs_destroy(*state);
	free(*state);
	return 0;
}

#define DEV "/sys/devices/pci0000:01/dev"

static void test_walk(void **state)
{
	static const struct {
		const char *path;
		bool nofollow;
		int ret;
		const char *where;
	} cases[] = {
		{ DEV, false, 0, DEV },
		{ "//sys///devices/pci0000:01//dev/", false, 0, DEV },
		{ "/sys/./devices/././pci0000:01/dev/.", false, 0, DEV },
		{ "/sys/bus/../devices/pci0000:01/dev/../dev", false, 0, DEV },
		{ "/../../sys/bus/pci", false, 0, "/sys/bus/pci" },
		{ DEV "/vendor", false, 0, DEV "/vendor" },
		{ DEV "/vendor", true, 0, DEV "/vendor" },
		{ "/sys/bus/pci/short", false, 0, DEV },
		{ "/sys/bus/pci/short", true, 0, "/sys/bus/pci/short" },
		{ "/sys/bus/pci/short/", true, 0, DEV },
		{ "/sys/bus/pci/short/.", true, 0, DEV },
		{ "/sys/bus/pci/short/vendor", true, 0, DEV "/vendor" },
		{ "/sys/bus/pci/short/..", false, 0, "/sys/devices/pci0000:01" },
		{ "/sys/bus/pci/long/vendor", false, 0, DEV "/vendor" },
		{ "/sys/bus/pci/twice/vendor", false, 0, DEV "/vendor" },
		{ "/sys/bus/pci/file", false, 0, DEV "/vendor" },
		{ "/sys/bus/pci/file", true, 0, "/sys/bus/pci/file" },
		{ "/dev/vfio/vfio", false, 0, "/dev/vfio/vfio" },
		/* answers that are ours too */
		{ "/dev/vfio/7", false, -ENOENT, NULL },
		{ "/dev/vfio/vfi", false, -ENOENT, NULL },
		{ "/dev/vfio/vfioo", false, -ENOENT, NULL },
		{ "/sys/bus/pci/none/vendor", false, -ENOENT, NULL },
		{ DEV "/none", false, -ENOENT, NULL },
		{ "/sys/bus/pci/dangling", false, -ENOENT, NULL },
		{ "/sys/bus/pci/dangling", true, 0, "/sys/bus/pci/dangling" },
		{ "/sys/bus/pci/loop", false, -ELOOP, NULL },
		{ "/sys/bus/pci/loop", true, 0, "/sys/bus/pci/loop" },
		{ "/sys/bus/pci/loop/x", true, -ELOOP, NULL },
		{ "/sys/bus/pci/ping", false, -ELOOP, NULL },
		{ DEV "/vendor/x", false, -ENOTDIR, NULL },
		{ DEV "/vendor/..", false, -ENOTDIR, NULL },
		{ DEV "/vendor/.", false, -ENOTDIR, NULL },
		{ DEV "/vendor/", false, -ENOTDIR, NULL },
		{ "/dev/vfio/vfio/", true, -ENOTDIR, NULL },
		{ "/sys/bus/pci/file/", false, -ENOTDIR, NULL },
		/* names that are ours wherever they are */
		{ "/sys/devices/pci0000:00", false, -ENOENT, NULL },
		{ "/sys/devices/pci0000:00/0000:00:00.0", false, -ENOENT, NULL },
		/* and those that are the host's */
		{ "/sys/devices", false, 1, NULL },
		{ "/sys/devices/system", false, 1, NULL },
		{ "/sys/devices/pc", false, 1, NULL },
		{ "/sys/bus", false, 1, NULL },
		{ "/sys/bus/usb", false, 1, NULL },
		{ "/dev/null", false, 1, NULL },
		{ "/dev", false, 1, NULL },
		{ "/", false, 1, NULL },
		{ "", false, 1, NULL },
		{ "/etc/passwd", false, 1, NULL },
		{ "/sys/bus/pci/away", false, 1, NULL },
		{ "/sys/bus/pci/../usb", false, 1, NULL },
	};
	struct vfs *vfs = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vfs_node *node = NULL;
		char where[256];
		int ret = vfs_walk(vfs, cases[i].path, !cases[i].nofollow, &node);

		if (ret != cases[i].ret)
			fail_msg("%s: %d instead of %d", cases[i].path, ret, cases[i].ret);
		if (ret)
			continue;
		vfs_path(node, where, sizeof(where));
		assert_string_equal(where, cases[i].where);
	}
}

/* Forty links are followed, as in Linux, and no more. */
static void test_link_depth(void **state)
{
	struct vfs *vfs = *state;
	struct vfs_node *node;
	char path[64], target[64];

	assert_int_equal(vfs_file(vfs, "/sys/bus/pci/l0", "end"), 0);
	for (int i = 1; i <= 41; i++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/l%d", i);
		snprintf(target, sizeof(target), "l%d", i - 1);
		assert_int_equal(vfs_link(vfs, path, target), 0);
	}
	assert_int_equal(vfs_walk(vfs, "/sys/bus/pci/l40", true, &node), 0);
	assert_string_equal(node->text, "end");
	assert_int_equal(vfs_walk(vfs, "/sys/bus/pci/l41", true, &node), -ELOOP);
	assert_int_equal(vfs_walk(vfs, "/sys/bus/pci/l41", false, &node), 0);
}

/* Paths up to the limit, and links that would make one longer. */
static void test_long(void **state)
{
	struct vfs *vfs = *state;
	static char path[HOST_PATH_MAX + 64];
	struct vfs_node *node = NULL;

	memset(path, '/', HOST_PATH_MAX + 63);
	memcpy(path + HOST_PATH_MAX - 1 - strlen(DEV), DEV, sizeof(DEV));
	assert_int_equal(strlen(path), HOST_PATH_MAX - 1);
	assert_int_equal(vfs_walk(vfs, path, true, &node), 0);
	memset(path, '/', HOST_PATH_MAX + 63);
	memcpy(path + HOST_PATH_MAX - strlen(DEV), DEV, sizeof(DEV));
	assert_int_equal(vfs_walk(vfs, path, true, &node), 1);
	/* one that fits, but not with what its link stands for */
	memcpy(path, "/sys/bus/pci/long/", sizeof("/sys/bus/pci/long/"));
	memset(path + strlen(path), '.', HOST_PATH_MAX);
	path[HOST_PATH_MAX - 2] = 0;
	assert_int_equal(vfs_walk(vfs, path, true, &node), -ENAMETOOLONG);
}

static void test_rewrite(void **state)
{
	struct vfs *vfs = *state;
	struct vfs_node *a, *b;

	assert_int_equal(vfs_walk(vfs, DEV "/vendor", true, &a), 0);
	assert_string_equal(a->text, "0x8086\n");
	assert_int_equal(vfs_file(vfs, DEV "/vendor", "0x%04x\n", 0x10de), 0);
	assert_int_equal(vfs_walk(vfs, DEV "/vendor", true, &b), 0);
	assert_ptr_equal(a, b);
	assert_string_equal(b->text, "0x10de\n");
}

static const char *content(struct vfs *vfs, const char *path)
{
	struct vfs_node *node;

	if (vfs_walk(vfs, path, true, &node))
		fail_msg("%s is not there", path);
	assert_int_equal(node->type, VFS_FILE);
	return node->text;
}

static void leads_to(struct vfs *vfs, const char *path, const char *where)
{
	struct vfs_node *node;
	char got[256];

	if (vfs_walk(vfs, path, true, &node))
		fail_msg("%s leads nowhere", path);
	vfs_path(node, got, sizeof(got));
	assert_string_equal(got, where);
}

static void node_is(struct vfs *vfs, const char *path, const char *attr, enum cbit_file_kind kind,
		    unsigned int number)
{
	struct vfs_node *node;
	char dev[32];

	assert_int_equal(vfs_walk(vfs, path, true, &node), 0);
	assert_int_equal(node->type, VFS_NODE);
	assert_int_equal(node->kind, kind);
	assert_int_equal(node->number, number);
	if (!attr)
		return;
	snprintf(dev, sizeof(dev), "%u:%u\n", node->major, node->minor);
	assert_string_equal(content(vfs, attr), dev);
}

/* The tree of a machine: every link that programs follow leads where they expect. */
static void test_machine(void **state)
{
	struct client *c = client_up("sme", "complete", NULL);
	struct vfs_node *node;
	struct vfs vfs;

	(void)state;
	client_plug(c, "ioat,membar=1M");
	client_plug(c, "ioat,addr=0000:41:02.3,group=9");
	assert_int_equal(vfs_create(&vfs), 0);
	assert_int_equal(host_sysfs_build(&vfs, c->machine, NULL), 0);
#define D2 "/sys/devices/pci0000:41/0000:41:02.3"
	leads_to(&vfs, "/sys/bus/pci/devices/0000:41:02.3", D2);
	leads_to(&vfs, "/sys/bus/pci/drivers/vfio-pci/0000:41:02.3", D2);
	leads_to(&vfs, "/sys/kernel/iommu_groups/9/devices/0000:41:02.3", D2);
	leads_to(&vfs, "/sys/bus/pci/devices/0000:41:02.3/driver", "/sys/bus/pci/drivers/vfio-pci");
	leads_to(&vfs, "/sys/bus/pci/devices/0000:41:02.3/subsystem", "/sys/bus/pci");
	leads_to(&vfs, "/sys/bus/pci/devices/0000:41:02.3/iommu_group",
		 "/sys/kernel/iommu_groups/9");
	leads_to(&vfs, "/sys/bus/pci/devices/0000:01:00.0/iommu_group",
		 "/sys/kernel/iommu_groups/1");
	/* realpath() looks at every directory on the way */
	leads_to(&vfs, "/sys/bus/pci/devices/0000:41:02.3/..", "/sys/devices/pci0000:41");
	leads_to(&vfs, "/sys/class/vfio-dev/vfio1", D2 "/vfio-dev/vfio1");
	leads_to(&vfs, "/sys/dev/char/241:1", D2 "/vfio-dev/vfio1");
	leads_to(&vfs, "/sys/dev/char/241:1/device", D2);
	leads_to(&vfs, "/sys/dev/char/241:1/subsystem", "/sys/class/vfio-dev");
	leads_to(&vfs, "/sys/dev/char/242:9", "/sys/class/vfio/9");
	assert_int_equal(vfs_walk(&vfs, "/sys/dev/char/1:3", true, &node), 1);
	assert_string_equal(content(&vfs, "/sys/bus/pci/devices/0000:41:02.3/vendor"), "0x8086\n");
	assert_string_equal(
		content(&vfs, "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"),
		"65535\n");
	/* thirteen lines: six BARs, the ROM, six more */
	assert_int_equal(strlen(content(&vfs, "/sys/bus/pci/devices/0000:01:00.0/resource")),
			 13 * (3 * 18 + 3));
	node_is(&vfs, "/dev/vfio/vfio", NULL, CBIT_FILE_CONTAINER, 0);
	node_is(&vfs, "/dev/iommu", NULL, CBIT_FILE_IOMMUFD, 0);
	node_is(&vfs, "/dev/vfio/9", "/sys/class/vfio/9/dev", CBIT_FILE_GROUP, 9);
	node_is(&vfs, "/dev/vfio/devices/vfio1", D2 "/vfio-dev/vfio1/dev", CBIT_FILE_DEVICE, 1);
	/* the host's own devices are not there, the rest of /sys is the host's */
	assert_int_equal(vfs_walk(&vfs, "/sys/bus/pci/devices/0000:00:00.0", true, &node), -ENOENT);
	assert_int_equal(vfs_walk(&vfs, "/sys/devices/pci0000:00", true, &node), -ENOENT);
	assert_int_equal(vfs_walk(&vfs, "/sys/kernel/debug/iommu", true, &node), -ENOENT);
	assert_int_equal(vfs_walk(&vfs, "/sys/kernel/debug/tracing", true, &node), 1);
	assert_int_equal(vfs_walk(&vfs, "/sys/module/vfio_x", true, &node), -ENOENT);
	assert_int_equal(vfs_walk(&vfs, "/sys/module/kvm", true, &node), 1);
	assert_int_equal(vfs_walk(&vfs, "/sys/devices/system/cpu", true, &node), 1);
	assert_int_equal(vfs_walk(&vfs, "/dev/vfio/1/x", true, &node), -ENOTDIR);
	vfs_destroy(&vfs);
	client_down(c);
}

/* Virtual functions: their names come and go with what says whether they are there. */
static void test_sriov(void **state)
{
	static const char *const names[] = { "/sys/bus/pci/devices/0000:01:00.1",
					     "/sys/bus/pci/devices/0000:01:00.0/virtfn0",
					     "/sys/bus/pci/drivers/vfio-pci/0000:01:00.1",
					     "/sys/kernel/iommu_groups/3",
					     "/sys/class/vfio-dev/vfio2",
					     "/dev/vfio/devices/vfio2",
					     "/dev/vfio/3" };
	struct client *c = client_up("sme", "complete", NULL);
	bool there[4] = { true, true, false, false };
	struct vfs_node *node;
	struct vfs vfs;

	(void)state;
	client_plug(c, "ioat,sriov=2");
	client_plug(c, "ioat");
	assert_int_equal(vfs_create(&vfs), 0);
	assert_int_equal(host_sysfs_build(&vfs, c->machine, there), 0);
#define PF "/sys/bus/pci/devices/0000:01:00.0/"
	assert_string_equal(content(&vfs, PF "sriov_totalvfs"), "2\n");
	assert_string_equal(content(&vfs, PF "sriov_offset"), "1\n");
	assert_string_equal(content(&vfs, PF "sriov_vf_device"), "2021\n");
	assert_int_equal(vfs_walk(&vfs, PF "sriov_numvfs", true, &node), 0);
	assert_true(node->attr);
	assert_int_equal(
		vfs_walk(&vfs, "/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs", true, &node),
		-ENOENT);
	for (unsigned int round = 0; round < 4; round++) {
		there[2] = round & 1;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			assert_int_equal(vfs_walk(&vfs, names[i], true, &node),
					 there[2] ? 0 : -ENOENT);
		assert_int_equal(vfs_walk(&vfs, PF "virtfn1", true, &node), -ENOENT);
	}
	leads_to(&vfs, PF "virtfn0", "/sys/devices/pci0000:01/0000:01:00.1");
	leads_to(&vfs, "/sys/bus/pci/devices/0000:01:00.1/physfn",
		 "/sys/devices/pci0000:01/0000:01:00.0");
	leads_to(&vfs, "/sys/bus/pci/devices/0000:01:00.1/iommu_group",
		 "/sys/kernel/iommu_groups/3");
	vfs_destroy(&vfs);
	client_down(c);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_walk),
		T(test_link_depth),
		T(test_long),
		T(test_rewrite),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_sriov),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
