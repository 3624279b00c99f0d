/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads that serve the client.
 *
 * One thread, the leader, waits for calls in SECCOMP_IOCTL_NOTIF_RECV. Others would be woken
 * with it for each call, so they sleep, until calls come faster than the leader answers
 * them, or until it hands the lead over because the call it has will take long. The housekeeper
 * waits for everything else: closes, signals, the end; and it takes the lead from a leader whose
 * call does not end, for what it waits for may be another call of the client.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm.h"
#include "../mem/thread.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS      SECCOMP_IOW(4, uint64_t)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* After so many calls the leader looks whether more are waiting, which costs a call itself. */
#define LOOK_INTERVAL 16

#define KICK SIGURG

/* The housekeeper's round: how long a call may take before somebody else leads. */
#define ROUND_MS 100
/* How long closes under way are waited for at last, doubling from 1 ms. */
#define LAST_LOOK_MS 512
/* Rounds between looks for files that no client maps any more, at first and at last. */
#define SWEEP_FIRST 1
#define SWEEP_LAST  600

/* Servers there are: most of them sleep, and stand in for others that wait. */
struct host_server {
	struct host_crew *crew;
	struct seccomp_notif *req;
	bool leads;     /* changed with the lock held */
	bool busy;      /* a call is being carried out, and does not wait */
	uint64_t calls; /* received so far */
	uint64_t seen;  /* of these, when the housekeeper looked last */
	bool exists;
	pthread_t thread;
};

struct host_crew {
	struct host *host;
	size_t req_size;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool lead_free;
	bool stop;
	unsigned int wanted;  /* helpers that shall wake */
	unsigned int helping; /* those awake */
	unsigned int useful;  /* helpers at most */
	struct host_server servers[HOST_SERVERS];
	struct sigaction old_kick;
	pthread_t housekeeper;
	bool housekeeper_exists;
};

/* Called with the lock held. */
static void pass_lead(struct host_crew *crew, struct host_server *s)
{
	__atomic_store_n(&s->leads, false, __ATOMIC_RELAXED);
	crew->lead_free = true;
	pthread_cond_signal(&crew->wake);
}

void host_serve_relieve(struct host_call *call)
{
	struct host_server *s = call->server;

	pthread_mutex_lock(&s->crew->lock);
	__atomic_store_n(&s->busy, false, __ATOMIC_RELEASE);
	if (s->leads)
		pass_lead(s->crew, s);
	pthread_mutex_unlock(&s->crew->lock);
}

void host_serve_look(struct host_call *call, struct host_under_way *out)
{
	for (unsigned int i = 0; i < HOST_SERVERS; i++) {
		struct host_server *s = &call->server->crew->servers[i];

		out->calls[i] = 0;
		if (s != call->server && __atomic_load_n(&s->busy, __ATOMIC_ACQUIRE))
			out->calls[i] = __atomic_load_n(&s->calls, __ATOMIC_RELAXED);
	}
}

bool host_serve_under_way(struct host_call *call, const struct host_under_way *then)
{
	struct host_under_way now;

	host_serve_look(call, &now);
	for (unsigned int i = 0; i < HOST_SERVERS; i++) {
		if (then->calls[i] && now.calls[i] == then->calls[i])
			return true;
	}
	return false;
}

/* Sleep until there is something to do. False when it is time to end. */
static bool sleep_until_needed(struct host_crew *crew, struct host_server *s)
{
	bool go;

	pthread_mutex_lock(&crew->lock);
	while (!crew->lead_free && !crew->wanted && !crew->stop)
		pthread_cond_wait(&crew->wake, &crew->lock);
	go = !crew->stop;
	if (go && crew->lead_free) {
		crew->lead_free = false;
		__atomic_store_n(&s->leads, true, __ATOMIC_RELAXED);
	} else if (go) {
		crew->wanted--;
		crew->helping++;
	}
	pthread_mutex_unlock(&crew->lock);
	return go;
}

static void want_helper(struct host_crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	if (crew->helping + crew->wanted < crew->useful) {
		crew->wanted++;
		pthread_cond_signal(&crew->wake);
	}
	pthread_mutex_unlock(&crew->lock);
}

static short listener_events(const struct host_crew *crew)
{
	struct pollfd fd = { .fd = crew->host->listener, .events = POLLIN };

	return poll(&fd, 1, 0) == 1 ? fd.revents : 0;
}

/* One call. 0, -EAGAIN when there was none after all, or the error that ends it all. */
static int serve_one(struct host_crew *crew, struct host_server *s)
{
	uint64_t stack[HOST_STACK_WORDS];
	struct host_call call = { .host = crew->host, .req = s->req, .server = s, .stack = stack };

	memset(s->req, 0, crew->req_size);
	if (ioctl(crew->host->listener, SECCOMP_IOCTL_NOTIF_RECV, s->req))
		return errno == EINTR ? -EAGAIN : -errno;
	call.tid = (pid_t)s->req->pid;
	__atomic_store_n(&s->calls, s->calls + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&s->busy, true, __ATOMIC_RELEASE);
	if (s->calls % LOOK_INTERVAL == 0 && listener_events(crew) & POLLIN)
		want_helper(crew);
	host_call_serve(&call);
	__atomic_store_n(&s->busy, false, __ATOMIC_RELEASE);
	return 0;
}

static int lead(struct host_crew *crew, struct host_server *s)
{
	while (__atomic_load_n(&s->leads, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&crew->stop, __ATOMIC_RELAXED)) {
		int ret = serve_one(crew, s);

		/* The caller was killed meanwhile; or no process with the filter is left. */
		if (ret == -ENOENT && listener_events(crew) & POLLHUP)
			return 0;
		if (ret && ret != -EAGAIN && ret != -ENOENT)
			return ret;
	}
	return 0;
}

static void help(struct host_crew *crew, struct host_server *s)
{
	while (!__atomic_load_n(&crew->stop, __ATOMIC_RELAXED) && listener_events(crew) & POLLIN &&
	       !serve_one(crew, s))
		;
	pthread_mutex_lock(&crew->lock);
	crew->helping--;
	pthread_mutex_unlock(&crew->lock);
}

static void *server_main(void *opaque)
{
	struct host_server *s = opaque;
	struct host_crew *crew = s->crew;
	int ret;

	while (sleep_until_needed(crew, s)) {
		if (!__atomic_load_n(&s->leads, __ATOMIC_RELAXED)) {
			help(crew, s);
			continue;
		}
		ret = lead(crew, s);
		if (!__atomic_load_n(&s->leads, __ATOMIC_RELAXED))
			continue;
		if (ret) {
			host_say(crew->host, "internal error: cannot receive calls: %s",
				 strerror(-ret));
			kill(crew->host->child, SIGKILL);
		}
		/* Nobody is left to lead for; the tracer is about to say so. */
		break;
	}
	return NULL;
}

/*
 * Who asks us to end means the program: it decides, and we end with it. When it has ended, what it
 * has left behind is meant.
 */
static void forward_signal(struct host *host)
{
	struct signalfd_siginfo info;

	if (read(host->signals, &info, sizeof(info)) == sizeof(info) &&
	    syscall(SYS_pidfd_send_signal, host->child_pidfd, (int)info.ssi_signo, NULL, 0))
		host_signal_clients(host, (int)info.ssi_signo);
}

/* A call that takes rounds may wait for another call of the client: let somebody else lead. */
static void watch_leader(struct host_crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	for (unsigned int i = 0; i < HOST_SERVERS; i++) {
		struct host_server *s = &crew->servers[i];
		uint64_t calls = __atomic_load_n(&s->calls, __ATOMIC_RELAXED);

		if (s->leads && s->seen == calls && __atomic_load_n(&s->busy, __ATOMIC_ACQUIRE))
			pass_lead(crew, s);
		s->seen = calls;
	}
	pthread_mutex_unlock(&crew->lock);
}

static void *housekeeper_main(void *opaque)
{
	struct host_crew *crew = opaque;
	struct host *host = crew->host;
	struct pollfd fds[3] = { { .fd = host->stop, .events = POLLIN },
				 { .fd = host->signals, .events = POLLIN },
				 { .fd = host->epoll, .events = POLLIN } };
	unsigned int sweep = SWEEP_FIRST, rounds = 0;
	int again = 0, wait, n;

	for (;;) {
		wait = again && again < ROUND_MS ? again : ROUND_MS;
		n = poll(fds, 3, wait);
		if ((n < 0 && errno != EINTR) || fds[0].revents)
			break;
		if (fds[1].revents)
			forward_signal(host);
		host_eventfds_unblock(host, false);
		again = host_files_look(host, !n, LAST_LOOK_MS);
		if (n)
			continue;
		if (wait == ROUND_MS)
			host_files_round(host);
		watch_leader(crew);
		if (__atomic_exchange_n(&host->shm_news, false, __ATOMIC_RELAXED)) {
			sweep = SWEEP_FIRST;
			rounds = 0;
		} else if (++rounds >= sweep) {
			host_shm_sweep(host->shm);
			sweep = sweep < SWEEP_LAST ? 2 * sweep : SWEEP_LAST;
			rounds = 0;
		}
	}
	return NULL;
}

/* Takes a thread out of a receive that older kernels do not end with the last client. */
static void on_kick(int sig)
{
	(void)sig;
}

int host_serve_start(struct host *host)
{
	struct host_crew *crew = calloc(1, sizeof(*crew));
	struct sigaction kick = { .sa_handler = on_kick };
	struct seccomp_notif_sizes sizes;
	cpu_set_t cpus;
	int ret = 0;

	if (!crew)
		return -ENOMEM;
	host->crew = crew;
	crew->host = host;
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->wake, NULL);
	crew->lead_free = true;
	crew->useful = 1;
	/* More than cores are of no use, unless they wait for something. */
	if (!sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) > 2)
		crew->useful = (unsigned int)CPU_COUNT(&cpus) - 1;
	sigemptyset(&kick.sa_mask);
	sigaction(KICK, &kick, &crew->old_kick);
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes))
		return -errno;
	/* The kernel's structure may be longer than ours. */
	crew->req_size = sizes.seccomp_notif > sizeof(struct seccomp_notif)
				 ? sizes.seccomp_notif
				 : sizeof(struct seccomp_notif);
	/* A faster hand-over where the kernel has it. */
	(void)ioctl(host->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
		    SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	for (unsigned int i = 0; i < HOST_SERVERS && !ret; i++) {
		struct host_server *s = &crew->servers[i];

		s->crew = crew;
		s->req = calloc(1, crew->req_size);
		ret = s->req ? mem_thread_start(&s->thread, server_main, s) : -ENOMEM;
		s->exists = !ret;
	}
	ret = ret ? ret : mem_thread_start(&crew->housekeeper, housekeeper_main, crew);
	crew->housekeeper_exists = !ret;
	return ret;
}

static void join(struct host_server *s)
{
	struct timespec when;

	do {
		pthread_kill(s->thread, KICK);
		clock_gettime(CLOCK_REALTIME, &when);
		when.tv_nsec += 10000000;
		when.tv_sec += when.tv_nsec / 1000000000;
		when.tv_nsec %= 1000000000;
	} while (pthread_timedjoin_np(s->thread, NULL, &when) == ETIMEDOUT);
}

void host_serve_stop(struct host *host)
{
	struct host_crew *crew = host->crew;
	const uint64_t one = 1;

	if (!crew)
		return;
	/* No program is left that could read what somebody of ours waits to write. */
	while (host_eventfds_unblock(host, true))
		usleep(1000);
	pthread_mutex_lock(&crew->lock);
	__atomic_store_n(&crew->stop, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&crew->wake);
	pthread_mutex_unlock(&crew->lock);
	if (crew->housekeeper_exists && write(host->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(crew->housekeeper, NULL);
	for (unsigned int i = 0; i < HOST_SERVERS; i++) {
		if (crew->servers[i].exists)
			join(&crew->servers[i]);
		free(crew->servers[i].req);
	}
	sigaction(KICK, &crew->old_kick, NULL);
	pthread_cond_destroy(&crew->wake);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
	host->crew = NULL;
}
