/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of our files a client's descriptor was when it was last looked at.
 *
 * To ask the kernel costs half of what a whole call does (docs/design/host.md has figures), so
 * the answer is kept until the number may mean something else: the filter tells of close(), dup2()
 * and the like on low numbers, before they are carried out. In the moment until then the number can
 * be looked up once more, hence what has been told of lately is asked for again each time. Where
 * threads of a process have not one table of descriptors, or the kernel closes without a call,
 * nothing is kept.
 */
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "host.h"

/* A close that was let through has been carried out after that time, unless its thread starves. */
#define CLOSE_NS INT64_C(1000000000)

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct host_fd_entry *entry_of(struct host_fds *fds, pid_t tgid, int fd)
{
	return &fds->entries[((unsigned int)fd + 31 * (unsigned int)tgid) % HOST_FDS_SLOTS];
}

/* The last closes of a number, by whichever process if several share the place. */
static struct host_fd_close *close_of(struct host_fds *fds, pid_t tgid, int fd)
{
	return &fds->closes[(unsigned int)tgid % HOST_FDS_PROCESSES][fd];
}

static bool closing(struct host_fds *fds, pid_t tgid, int fd, unsigned int allowed)
{
	const struct host_fd_close *c = close_of(fds, tgid, fd);

	return c->count > allowed && now() - c->when < CLOSE_NS;
}

bool host_fds_find(struct host_fds *fds, pid_t tgid, int fd, struct host_fd *out)
{
	const struct host_fd_entry *e = entry_of(fds, tgid, fd);
	bool found;

	if (fd < 0 || fd >= HOST_FDS_MAX)
		return false;
	pthread_mutex_lock(&fds->lock);
	found = e->generation == fds->generation && e->tgid == tgid && e->fd == fd && !fds->off;
	if (found)
		*out = e->what;
	pthread_mutex_unlock(&fds->lock);
	return found;
}

unsigned int host_fds_generation(struct host_fds *fds)
{
	unsigned int generation;

	pthread_mutex_lock(&fds->lock);
	generation = fds->generation;
	pthread_mutex_unlock(&fds->lock);
	return generation;
}

void host_fds_keep(struct host_fds *fds, unsigned int generation, pid_t tgid, int fd,
		   const struct host_fd *what)
{
	if (fd < 0 || fd >= HOST_FDS_MAX)
		return;
	pthread_mutex_lock(&fds->lock);
	if (generation == fds->generation && !closing(fds, tgid, fd, 0))
		*entry_of(fds, tgid, fd) = (struct host_fd_entry){
			.generation = generation, .tgid = tgid, .fd = fd, .what = *what
		};
	pthread_mutex_unlock(&fds->lock);
}

void host_fds_forget(struct host_fds *fds)
{
	pthread_mutex_lock(&fds->lock);
	fds->generation++;
	pthread_mutex_unlock(&fds->lock);
}

void host_fds_off(struct host_fds *fds)
{
	pthread_mutex_lock(&fds->lock);
	fds->off = true;
	pthread_mutex_unlock(&fds->lock);
}

void host_fds_closing(struct host_fds *fds, pid_t tgid, unsigned int first, unsigned int last)
{
	int64_t when = now();

	if (last >= HOST_FDS_MAX)
		last = HOST_FDS_MAX - 1;
	pthread_mutex_lock(&fds->lock);
	for (unsigned int fd = first; fd <= last; fd++) {
		struct host_fd_entry *e = entry_of(fds, tgid, (int)fd);
		struct host_fd_close *c = close_of(fds, tgid, (int)fd);

		if (e->tgid == tgid && e->fd == (int)fd)
			e->generation = fds->generation - 1;
		c->count = when - c->when < CLOSE_NS ? c->count + 1 : 1;
		c->when = when;
	}
	pthread_mutex_unlock(&fds->lock);
}

/* struct clone_args of include/uapi/linux/sched.h begins with its flags. */
static bool odd_table(uint64_t flags)
{
	return !(flags & CLONE_FILES) != !(flags & CLONE_THREAD);
}

/* From now on descriptors may change in ways that are not told of. */
static void unseen(struct host *host)
{
	host_fds_off(&host->fds);
	host_files_expect_always(host);
}

void host_fds_call(struct host_call *call)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;
	struct host_fds *fds = &call->host->fds;
	pid_t tgid = host_tgid(call->host, call->tid);
	uint64_t flags = 0;

	host_files_expect(call->host);
	switch (call->req->data.nr) {
	case SYS_close:
		host_fds_closing(fds, tgid, (unsigned int)args[0], (unsigned int)args[0]);
		break;
	case SYS_dup2:
	case SYS_dup3:
		host_fds_closing(fds, tgid, (unsigned int)args[1], (unsigned int)args[1]);
		break;
	case SYS_close_range:
		if (args[2] & CLOSE_RANGE_UNSHARE)
			unseen(call->host);
		host_fds_closing(fds, tgid, (unsigned int)args[0], (unsigned int)args[1]);
		break;
	case SYS_clone3:
		if (!host_copy_in(call->tid, &flags, args[0], sizeof(flags)) && odd_table(flags))
			unseen(call->host);
		break;
	default: /* unshare(), clone() with such flags; rings, which close on their own */
		unseen(call->host);
		break;
	}
	call->pass = true;
}
