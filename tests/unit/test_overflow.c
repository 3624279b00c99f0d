/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closes of dma-bufs that the kernel does not tell of, for its queue of events is full: which are
 * closed is found out all the same, and those that are open stay.
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/host.h"
#include "iommufd_rig.h"

#define BAR 2u

static struct host host = { .inotify = -1 };
static struct cbit_client_ops ops;

/* Descriptors of dma-bufs are real ones here. */
static int install(void *opaque, void *caller, struct cbit_file *file)
{
	struct cbit_dmabuf_info info;
	int fd, ret;

	if (!cbit_vfio_dmabuf(file, &info))
		return client_install(opaque, caller, file);
	ret = host_dmabuf_open(&host, file, &fd);
	return ret ? ret : fd;
}

static int up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	ops = client_ops;
	ops.install = install;
	*state = r;
	host = (struct host){ .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
			      .epoll = -1,
			      .calls = PTHREAD_RWLOCK_INITIALIZER,
			      .files_lock = PTHREAD_MUTEX_INITIALIZER,
			      .fds = { .lock = PTHREAD_MUTEX_INITIALIZER, .generation = 1 } };
	assert_true(host.inotify >= 0);
	r->c = client_up_with("sme", "complete", NULL, &ops);
	client_plug(r->c, "ioat,membar=64K");
	r->fd = client_open(r->c, CBIT_FILE_IOMMUFD, 0);
	r->cdev[0] = client_open(r->c, CBIT_FILE_DEVICE, 0);
	assert_true(rig_bind(r, 0) > 0);
	return 0;
}

static int down(void **state)
{
	host_dmabuf_close_all(&host);
	close(host.inotify);
	return client_teardown(state);
}

/* More events than the queue has room for, of files that nobody knows. */
static void overflow(void)
{
	FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
	unsigned int length = 0;
	char path[2][64];
	int fd[2];

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &length), 1);
	fclose(f);
	for (unsigned int i = 0; i < 2; i++) {
		fd[i] = memfd_create("test", MFD_CLOEXEC);
		snprintf(path[i], sizeof(path[i]), "/proc/self/fd/%d", fd[i]);
		assert_true(inotify_add_watch(host.inotify, path[i], IN_CLOSE) >= 0);
	}
	/* by turns, for two that are alike are one */
	for (unsigned int i = 0; i < length + 10; i++)
		close(open(path[i % 2], O_RDONLY | O_CLOEXEC));
	close(fd[0]);
	close(fd[1]);
}

static void test_overflow(void **state)
{
	struct rig *r = *state;
	int fd[6];

	for (unsigned int i = 0; i < 6; i++) {
		fd[i] = (int)rig_dmabuf(r, 0, BAR, i * P, P);
		assert_true(fd[i] >= 0);
		assert_non_null(host_dmabuf_find(&host, i + 1));
	}
	close(fd[0]);
	overflow();
	close(fd[2]);
	close(fd[3]);
	close(fd[5]);
	host_devfile_drain(&host);
	for (unsigned int i = 0; i < 6; i++) {
		bool open = i == 1 || i == 4;

		assert_int_equal(host_dmabuf_find(&host, i + 1) != NULL, open);
	}
	/* from here on as ever */
	close(fd[4]);
	host_devfile_drain(&host);
	assert_null(host_dmabuf_find(&host, 5));
	assert_non_null(host_dmabuf_find(&host, 2));
	close(fd[1]);
	host_devfile_drain(&host);
	assert_null(host.dmabufs);
}

/* The event is lost, and the close not done when we look: it is found by looking once more. */
static void test_late(void **state)
{
	struct rig *r = *state;
	int fd = (int)rig_dmabuf(r, 0, BAR, 0, P), held;
	char events[4096];

	assert_true(fd >= 0);
	held = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	overflow();
	close(fd);
	host_devfile_drain(&host);
	assert_non_null(host_dmabuf_find(&host, 1));
	assert_int_equal(host.again, 1);
	close(held);
	while (read(host.inotify, events, sizeof(events)) > 0)
		;
	assert_int_equal(host_files_look(&host, true, 512), 0);
	assert_null(host_dmabuf_find(&host, 1));
}

/* One that stays open is not looked for for ever. */
static void test_end(void **state)
{
	struct rig *r = *state;
	unsigned int looks = 0;

	assert_true(rig_dmabuf(r, 0, BAR, 0, P) >= 0);
	overflow();
	host_devfile_drain(&host);
	while (host_files_look(&host, true, 512))
		looks++;
	assert_int_equal(looks, 9); /* after 2, 4 and so on up to 512 ms */
	host_devfile_drain(&host);
	assert_false(host.lost);
	assert_non_null(host_dmabuf_find(&host, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_overflow, up, down),
		cmocka_unit_test_setup_teardown(test_late, up, down),
		cmocka_unit_test_setup_teardown(test_end, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
