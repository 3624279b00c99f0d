/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes of the synthetic sysfs that can be written: sriov_numvfs.
 *
 * A write to a descriptor is the kernel's business and is not told us, so such a file is one end of
 * a pair of sockets that keep the borders of messages: each write is one. What has been written is
 * carried out before the next look at the tree is answered. The price: a write always succeeds, and
 * a value that is refused is told on stderr.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

void host_attr_text(struct host *host, const struct vfs_node *node, char *buf, size_t size)
{
	struct cbit_device_info info = { 0 };

	cbit_machine_device(host->machine, node->number, &info);
	snprintf(buf, size, "%u\n", info.num_vfs);
}

int host_attr_open(struct host_call *call, struct vfs_node *node, bool readable)
{
	struct host *host = call->host;
	struct host_sock *sock = calloc(1, sizeof(*sock));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLHUP, .data.ptr = sock };
	struct stat st;
	char text[32];
	int pair[2];

	if (!sock)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		free(sock);
		return -errno;
	}
	host_attr_text(host, node, text, sizeof(text));
	sock->attr = node;
	sock->end = pair[0];
	/* Read once, then at the end; what cannot be read ends at once. */
	if (fstat(pair[1], &st) ||
	    (readable && send(pair[0], text, strlen(text), MSG_NOSIGNAL) < 0) ||
	    shutdown(pair[0], SHUT_WR) || epoll_ctl(host->epoll, EPOLL_CTL_ADD, pair[0], &ev)) {
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
	__atomic_add_fetch(&host->attrs, 1, __ATOMIC_RELEASE);
	return pair[1];
}

void host_attr_update(struct host *host)
{
	struct cbit_device_info info;

	for (unsigned int i = 0; cbit_machine_device(host->machine, i, &info); i++)
		__atomic_store_n(&host->there[i], info.present, __ATOMIC_RELEASE);
}

/* Linux: kstrtou16() with base 0: a number in C's notation, perhaps a line feed. */
static bool parse(const char *text, unsigned int *out)
{
	unsigned long v;
	char *end;

	if (text[0] == '+')
		text++;
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	v = strtoul(text, &end, 0);
	if (*end == '\n')
		end++;
	*out = (unsigned int)v;
	return !errno && !*end && v <= USHRT_MAX;
}

static void store(struct host *host, const struct vfs_node *node, const char *text)
{
	char path[HOST_PATH_MAX];
	unsigned int n;
	int ret = parse(text, &n) ? cbit_machine_set_vfs(host->machine, node->number, n) : -EINVAL;

	host_attr_update(host);
	if (!ret)
		return;
	vfs_path(node, path, sizeof(path));
	host_say(host, "write of '%.*s' to %s fails: %s", (int)strcspn(text, "\n"), text, path,
		 strerror(-ret));
}

bool host_attr_event(struct host *host, struct host_sock *sock)
{
	struct pollfd fd = { .fd = sock->end, .events = POLLIN };
	char text[64];
	ssize_t n;

	while ((n = recv(sock->end, text, sizeof(text) - 1, MSG_DONTWAIT)) >= 0) {
		/* An empty write looks like the end, which hangs up. */
		if (!n && (poll(&fd, 1, 0) < 0 || fd.revents & POLLHUP))
			return false;
		text[n] = 0;
		if (n)
			store(host, sock->attr, text);
	}
	return errno == EAGAIN || errno == EINTR;
}
