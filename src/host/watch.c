/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds of the program's that act on a device when they are signalled: one thread takes
 * their counts. It is started by the first of them; few programs have any.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host.h"
#include "../mem/thread.h"

struct watch {
	struct watch *next;
	int fd;
	void (*wake)(void *ctx);
	void *ctx;
};

static struct watch *find(struct host_watcher *w, int fd)
{
	struct watch *watch = w->first;

	while (watch && watch->fd != fd)
		watch = watch->next;
	return watch;
}

static void wake(struct host_watcher *w, int fd)
{
	struct watch *watch, call;
	struct iovec iov;
	uint64_t count;

	pthread_mutex_lock(&w->lock);
	watch = find(w, fd);
	if (watch) {
		call = *watch;
		w->running = fd;
	}
	pthread_mutex_unlock(&w->lock);
	if (!watch)
		return;
	/* The program may have read it meanwhile, and its flags are not ours to change. */
	iov = (struct iovec){ &count, sizeof(count) };
	if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(count))
		call.wake(call.ctx);
	pthread_mutex_lock(&w->lock);
	w->running = -1;
	pthread_cond_broadcast(&w->idle);
	pthread_mutex_unlock(&w->lock);
}

static void *watch_main(void *opaque)
{
	struct host_watcher *w = opaque;
	struct epoll_event event;
	int n;

	for (;;) {
		n = epoll_wait(w->epoll, &event, 1, -1);
		if (n < 0 && errno != EINTR)
			return NULL;
		if (n != 1)
			continue;
		if (event.data.fd == w->stop)
			return NULL;
		wake(w, event.data.fd);
	}
}

void host_watcher_init(struct host_watcher *w)
{
	*w = (struct host_watcher){ .epoll = -1, .stop = -1, .running = -1 };
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->idle, NULL);
}

void host_watcher_destroy(struct host_watcher *w)
{
	const uint64_t one = 1;

	if (w->started && write(w->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(w->thread, NULL);
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->stop >= 0)
		close(w->stop);
	pthread_cond_destroy(&w->idle);
	pthread_mutex_destroy(&w->lock);
}

static int start(struct host_watcher *w)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (w->started)
		return 0;
	if (w->epoll < 0)
		w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->stop < 0)
		w->stop = eventfd(0, EFD_CLOEXEC);
	event.data.fd = w->stop;
	if (w->epoll < 0 || w->stop < 0 ||
	    (epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->stop, &event) && errno != EEXIST) ||
	    mem_thread_start(&w->thread, watch_main, w))
		return -ENOMEM;
	w->started = true;
	return 0;
}

static void unwatch(struct host_watcher *w, int fd)
{
	struct watch **at = &w->first, *watch;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	watch = *at;
	if (!watch)
		return;
	*at = watch->next;
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
	while (w->running == fd)
		pthread_cond_wait(&w->idle, &w->lock);
	free(watch);
}

int host_watch(struct host_watcher *w, int fd, void (*call)(void *ctx), void *ctx)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	struct watch *watch;
	int ret = 0;

	pthread_mutex_lock(&w->lock);
	if (!call) {
		unwatch(w, fd);
		pthread_mutex_unlock(&w->lock);
		return 0;
	}
	watch = malloc(sizeof(*watch));
	if (watch)
		*watch = (struct watch){ .next = w->first, .fd = fd, .wake = call, .ctx = ctx };
	if (!watch || start(w) || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event)) {
		free(watch);
		ret = -ENOMEM;
	} else {
		w->first = watch;
	}
	pthread_mutex_unlock(&w->lock);
	return ret;
}
