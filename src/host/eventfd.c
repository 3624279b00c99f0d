/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds of the program's that devices signal. They are the program's own open files: a write to
 * one whose counter is full waits, unless the program made it otherwise, until somebody reads it.
 * Linux's own devices never wait (eventfd_signal()). We look first, but the program may fill it
 * just then, and who should read it may have been killed: who waits is taken out of it by a signal.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

/* A write that takes longer waits. */
#define WAITS_NS INT64_C(100000000)

/* A thread that writes, on its stack. */
struct host_signaller {
	pthread_t thread;
	int64_t since; /* ns */
	struct host_signaller *next;
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int host_eventfd_get(struct host *host, pid_t tid, int fd)
{
	int own = host_get_fd(host, tid, fd);
	char path[64], text[64];
	ssize_t n;

	if (own < 0)
		return own == -EPERM || own == -ENOMEM ? own : -EBADF;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", own);
	n = readlink(path, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	if (strcmp(text, "anon_inode:[eventfd]") != 0) {
		close(own);
		return -EINVAL;
	}
	return own;
}

void host_eventfd_signal(struct host *host, int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	struct host_signaller self = { .thread = pthread_self(), .since = now() }, **at;
	const uint64_t one = 1;
	ssize_t n;

	/* As in the kernel a full counter stays full. */
	if (poll(&poll_fd, 1, 0) != 1 || !(poll_fd.revents & POLLOUT))
		return;
	pthread_mutex_lock(&host->signallers_lock);
	self.next = host->signallers;
	/* It leaves the list below. */
	host->signallers = &self; /* cppcheck-suppress autoVariables */
	pthread_mutex_unlock(&host->signallers_lock);
	n = write(fd, &one, sizeof(one));
	(void)n; /* where it is full meanwhile: likewise */
	pthread_mutex_lock(&host->signallers_lock);
	for (at = &host->signallers; *at != &self;)
		at = &(*at)->next;
	*at = self.next;
	pthread_mutex_unlock(&host->signallers_lock);
}

/*
 * The signal is SIGBUS: threads of devices block all others. It may come just before the write
 * begins to wait, and is sent again with the next look then.
 */
bool host_eventfds_unblock(struct host *host, bool all)
{
	int64_t before = now() - WAITS_NS;
	bool any;

	pthread_mutex_lock(&host->signallers_lock);
	any = host->signallers != NULL;
	for (const struct host_signaller *s = host->signallers; s; s = s->next) {
		if (all || s->since < before)
			pthread_kill(s->thread, SIGBUS);
	}
	pthread_mutex_unlock(&host->signallers_lock);
	return any;
}
