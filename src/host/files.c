/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files given to clients: containers, groups and iommufd as one end of a socket pair, whose
 * other end hangs up with the last close; and which file a client's descriptor is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

/* How long the release of a file waits for the calls under way. */
#define RELEASE_MS 1000

int host_sock_open(struct host *host, struct cbit_file *file, int *fd)
{
	struct host_sock *sock = calloc(1, sizeof(*sock));
	struct epoll_event ev = { .events = EPOLLHUP, .data.ptr = sock };
	struct stat st;
	int pair[2];

	if (!sock)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		free(sock);
		return -errno;
	}
	/* These files cannot be read: let nobody wait for what never comes. */
	shutdown(pair[1], SHUT_RD);
	sock->file = file;
	sock->end = pair[0];
	if (fstat(pair[1], &st) || epoll_ctl(host->epoll, EPOLL_CTL_ADD, pair[0], &ev)) {
		close(pair[0]);
		close(pair[1]);
		free(sock);
		return -ENOMEM;
	}
	sock->ino = st.st_ino;
	pthread_mutex_lock(&host->files_lock);
	sock->next = host->socks;
	host->socks = sock;
	pthread_mutex_unlock(&host->files_lock);
	*fd = pair[1];
	return 0;
}

static void sock_closed(struct host *host, struct host_sock *sock)
{
	struct host_sock **at;

	pthread_mutex_lock(&host->files_lock);
	for (at = &host->socks; *at != sock;)
		at = &(*at)->next;
	*at = sock->next;
	pthread_mutex_unlock(&host->files_lock);
	host_fds_forget(&host->fds);
	close(sock->end); /* leaves the epoll set by that */
	if (sock->attr)
		__atomic_sub_fetch(&host->attrs, 1, __ATOMIC_RELEASE);
	else
		host_files_release(host, sock->file);
	free(sock);
}

void host_sock_cancel(struct host *host, const struct cbit_file *file)
{
	struct host_sock **at, *sock;

	pthread_mutex_lock(&host->files_lock);
	for (at = &host->socks; (*at)->file != file;)
		at = &(*at)->next;
	sock = *at;
	*at = sock->next;
	pthread_mutex_unlock(&host->files_lock);
	close(sock->end);
	free(sock);
}

/* No call uses a file from now on, until the lock is given back; false where that takes so long. */
static bool without_calls(struct host *host, long ms)
{
	struct timespec when;

	clock_gettime(CLOCK_REALTIME, &when);
	when.tv_nsec += ms % 1000 * 1000000;
	when.tv_sec += ms / 1000 + when.tv_nsec / 1000000000;
	when.tv_nsec %= 1000000000;
	return !pthread_rwlock_timedwrlock(&host->calls, &when);
}

static bool release_late(struct host *host)
{
	while (host->nr_late) {
		if (!without_calls(host, 1))
			return false;
		cbit_vfio_release(host->late[0]);
		pthread_rwlock_unlock(&host->calls);
		host->nr_late--;
		for (unsigned int i = 0; i < host->nr_late; i++)
			host->late[i] = host->late[i + 1];
	}
	return true;
}

/*
 * A call may wait for what another thread of the client does by calls of its own (a page that it
 * brings), and those must not wait for us: what cannot be released in time is released later.
 */
void host_files_release(struct host *host, struct cbit_file *file)
{
	const unsigned int max = sizeof(host->late) / sizeof(host->late[0]);

	if (release_late(host) && without_calls(host, RELEASE_MS)) {
		cbit_vfio_release(file);
		pthread_rwlock_unlock(&host->calls);
		return;
	}
	if (host->nr_late < max) {
		host->late[host->nr_late++] = file;
		host_files_expect(host);
		return;
	}
	pthread_rwlock_wrlock(&host->calls);
	cbit_vfio_release(file);
	pthread_rwlock_unlock(&host->calls);
}

/*
 * Carry out every close that has happened. Called before the call that comes after it: a client
 * that closed a group and opens it again must find it free.
 */
static void drain(struct host *host)
{
	struct epoll_event ev[16];
	int n;

	release_late(host);
	/*
	 * Device files first, so that a process that exits closes in a program's usual order
	 * and the mappings left over are counted while the container is whole.
	 */
	host_devfile_drain(host);
	do {
		n = epoll_wait(host->epoll, ev, 16, 0);
		for (int i = 0; i < n; i++) {
			struct host_sock *sock = ev[i].data.ptr;

			if (sock && (!sock->attr || !host_attr_event(host, sock)))
				sock_closed(host, sock);
		}
	} while (n == 16);
}

void host_files_drain(struct host *host)
{
	pthread_mutex_lock(&host->drain);
	drain(host);
	pthread_mutex_unlock(&host->drain);
}

/*
 * epoll_wait() itself is a point where a thread can be cancelled, and to be ready for that costs a
 * third of what the look does.
 */
static bool anything(const struct host *host)
{
	struct epoll_event ev;

	return syscall(SYS_epoll_wait, host->epoll, &ev, 1, 0) > 0;
}

/*
 * What may close files is told of by the filter, or to the tracer, before it happens: until this
 * many rounds of the housekeeper later the close is looked for before each call. It takes half of
 * what a call costs beyond the kernel's share.
 */
#define EXPECT_ROUNDS 13

void host_files_expect(struct host *host)
{
	__atomic_store_n(&host->expect, EXPECT_ROUNDS, __ATOMIC_RELEASE);
}

void host_files_expect_always(struct host *host)
{
	__atomic_store_n(&host->expect_always, true, __ATOMIC_RELEASE);
}

void host_files_round(struct host *host)
{
	unsigned int left = __atomic_load_n(&host->expect, __ATOMIC_RELAXED);

	/* not if it has been set anew meanwhile */
	if (left)
		__atomic_compare_exchange_n(&host->expect, &left, left - 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

/* Without a watch on memory nobody tells of munmap(), which may be a device file's last use. */
static bool expected(const struct host *host)
{
	return __atomic_load_n(&host->expect, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&host->expect_always, __ATOMIC_ACQUIRE) ||
	       __atomic_load_n(&host->surplus, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&host->attrs, __ATOMIC_ACQUIRE) || !host->config->watch_memory;
}

void host_files_settle(struct host *host)
{
	if (!expected(host))
		return;
	pthread_mutex_lock(&host->drain);
	if (host->again || host->nr_late || __atomic_load_n(&host->surplus, __ATOMIC_RELAXED) ||
	    anything(host))
		drain(host);
	pthread_mutex_unlock(&host->drain);
}

int host_files_look(struct host *host, bool late, int last)
{
	int again;

	pthread_mutex_lock(&host->drain);
	if (!late || host->again || host->nr_late)
		drain(host);
	if (late && host->again)
		host->again = host->again < last ? 2 * host->again : 0;
	again = host->again;
	pthread_mutex_unlock(&host->drain);
	return again;
}

static void sock_find(struct host *host, uint64_t ino, struct host_fd *out)
{
	pthread_mutex_lock(&host->files_lock);
	for (struct host_sock *sock = host->socks; sock; sock = sock->next) {
		if (sock->ino != ino)
			continue;
		out->file = sock->file;
		out->node = sock->attr;
		out->kind = sock->attr ? HOST_FD_VFS : HOST_FD_SOCK;
	}
	pthread_mutex_unlock(&host->files_lock);
}

/* The kernel's word on it. */
static int look_up(struct host *host, pid_t tid, int fd, struct host_fd *out)
{
	char path[64], text[HOST_PATH_MAX], *end;
	unsigned long devid;
	uint64_t ino;
	ssize_t n;

	memset(out, 0, sizeof(*out));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	n = readlink(path, text, sizeof(text) - 1);
	if (n < 0)
		return -EBADF;
	text[n] = 0;
	if (!strncmp(text, "socket:[", 8)) {
		ino = strtoull(text + 8, NULL, 10);
		sock_find(host, ino, out);
	} else if (!strncmp(text, "/memfd:cbit-dev:", 16)) {
		devid = strtoul(text + 16, NULL, 16);
		out->dev = host_devfile_find(host, (uint16_t)devid);
	} else if (!strncmp(text, "/memfd:" HOST_DMABUF_NAME, 7 + strlen(HOST_DMABUF_NAME))) {
		ino = strtoull(text + 7 + strlen(HOST_DMABUF_NAME), NULL, 16);
		out->file = host_dmabuf_find(host, ino);
		out->kind = out->file ? HOST_FD_DMABUF : HOST_FD_OTHER;
	} else if (!strncmp(text, "/memfd:cbit-pagemap:", 20)) {
		out->kind = HOST_FD_PAGEMAP;
		out->number = strtoull(text + 20, NULL, 16);
	} else if (!strncmp(text, "/memfd:cbit-heap:", 17)) {
		out->kind = HOST_FD_HEAP_BUFFER;
	} else if (!strncmp(text, "/memfd:cbit-vfs:", 16)) {
		end = strstr(text, " (deleted)");
		if (end)
			*end = 0;
		if (!vfs_walk(&host->vfs, text + 16, false, &out->node))
			out->kind = HOST_FD_VFS;
	}
	return 0;
}

int host_fd_lookup(struct host *host, pid_t tid, int fd, struct host_fd *out)
{
	pid_t tgid = host_tgid(host, tid);
	unsigned int generation;
	int ret;

	if (!host_fds_find(&host->fds, tgid, fd, out)) {
		generation = host_fds_generation(&host->fds);
		ret = look_up(host, tid, fd, out);
		if (ret)
			return ret;
		/* of those numbers closes are not told */
		if (fd >= HOST_FDS_MAX && (out->dev || out->kind != HOST_FD_OTHER))
			host_files_expect_always(host);
		/* Others we are seldom asked for. */
		if (out->kind == HOST_FD_SOCK || out->dev)
			host_fds_keep(&host->fds, generation, tgid, fd, out);
	}
	/* Which of its files a device's descriptor stands for changes with each open and close. */
	if (out->dev) {
		pthread_mutex_lock(&host->files_lock);
		out->file = host_devfile_current(out->dev);
		out->kind = out->file ? HOST_FD_DEVICE : HOST_FD_OTHER;
		pthread_mutex_unlock(&host->files_lock);
	}
	return 0;
}
