/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client's address spaces, and copies to and from them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "host.h"

#define PIDFD_THREAD_ABI O_EXCL /* Linux 6.9 */

/* 0 where the thread is gone. */
static pid_t read_tgid(pid_t tid)
{
	char path[64], buf[1024], *p;
	pid_t tgid = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n > 0) {
		buf[n] = 0;
		p = strstr(buf, "\nTgid:");
		if (p)
			tgid = (pid_t)strtol(p + 6, NULL, 10);
	}
	return tgid;
}

#define TID_SLOT(host, tid) (&(host)->tids[(unsigned int)(tid) % 256])

/* Called with owners_lock held, as all static functions below. */
static pid_t tgid_of(struct host *host, pid_t tid)
{
	pid_t tgid;

	if (TID_SLOT(host, tid)->tid == tid)
		return TID_SLOT(host, tid)->tgid;
	tgid = read_tgid(tid);
	/* Of a thread that was killed meanwhile nothing is kept: its number is another's next. */
	if (!tgid)
		return tid;
	TID_SLOT(host, tid)->tgid = tgid;
	TID_SLOT(host, tid)->tid = tid;
	return tgid;
}

pid_t host_tgid(struct host *host, pid_t tid)
{
	pid_t tgid;

	pthread_mutex_lock(&host->owners_lock);
	tgid = tgid_of(host, tid);
	pthread_mutex_unlock(&host->owners_lock);
	return tgid;
}

void host_tid_gone(struct host *host, pid_t tid)
{
	pthread_mutex_lock(&host->owners_lock);
	if (TID_SLOT(host, tid)->tid == tid)
		TID_SLOT(host, tid)->tid = 0;
	pthread_mutex_unlock(&host->owners_lock);
	host_fds_forget(&host->fds);
}

static void put(struct host *host, struct cbit_owner *owner)
{
	struct cbit_owner **at;

	if (__atomic_sub_fetch(&owner->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (at = &host->owners; *at && *at != owner;)
		at = &(*at)->next;
	if (*at)
		*at = owner->next;
	if (owner->pidfd >= 0)
		close(owner->pidfd);
	if (owner->maps >= 0)
		close(owner->maps);
	if (owner->file >= 0)
		close(owner->file);
	free(owner);
}

void host_owner_hold(struct cbit_owner *owner)
{
	__atomic_add_fetch(&owner->refs, 1, __ATOMIC_RELAXED);
}

static bool dead(const struct cbit_owner *owner)
{
	struct pollfd fd = { .fd = owner->pidfd, .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static void gone(struct host *host, struct cbit_owner *owner)
{
	__atomic_store_n(&owner->gone, true, __ATOMIC_RELAXED);
	put(host, owner);
}

/* Who has died; a client's own children are not told of by waitpid. */
static void reap(struct host *host)
{
	struct cbit_owner *owner, *next;

	for (owner = host->owners; owner; owner = next) {
		next = owner->next;
		if (!owner->gone && dead(owner))
			gone(host, owner);
	}
}

static struct cbit_owner *create(struct host *host, pid_t tgid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, tgid, 0);
	struct cbit_owner *owner;

	/* Without it nobody would tell us of the end; mostly that has come already. */
	if (pidfd < 0)
		return NULL;
	owner = calloc(1, sizeof(*owner));
	if (!owner) {
		close(pidfd);
		return NULL;
	}
	owner->serial = ++host->owner_serial;
	owner->tgid = tgid;
	owner->maps = -1;
	owner->file = -1;
	owner->pidfd = pidfd;
	owner->refs = 1; /* the list's own, dropped when the process is gone */
	owner->next = host->owners;
	host->owners = owner;
	return owner;
}

struct cbit_owner *host_owner_get(struct host *host, pid_t tid)
{
	struct cbit_owner *owner;
	pid_t tgid;

	pthread_mutex_lock(&host->owners_lock);
	tgid = tgid_of(host, tid);
	for (owner = host->owners; owner; owner = owner->next) {
		if (owner->tgid == tgid && !owner->gone)
			break;
	}
	if (owner && dead(owner)) {
		/* Process numbers come round again. */
		gone(host, owner);
		owner = NULL;
	}
	if (!owner) {
		reap(host);
		owner = create(host, tgid);
	}
	if (owner) {
		host_owner_hold(owner);
		__atomic_store_n(&owner->tid, tid, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&host->owners_lock);
	return owner;
}

bool host_owner_retarget(struct cbit_owner *owner)
{
	struct dirent *entry;
	bool found = false;
	char path[64], byte;
	pid_t tid;
	DIR *dir;

	if (dead(owner))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task", owner->tgid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		tid = (pid_t)strtol(entry->d_name, NULL, 10);
		/* Address 0 is hardly mapped; a thread that has memory at all says so. */
		if (tid > 0 && (!host_copy_in(tid, &byte, 0, 1) || errno == EFAULT)) {
			__atomic_store_n(&owner->tid, tid, __ATOMIC_RELAXED);
			found = true;
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

int host_get_fd(struct host *host, pid_t tid, int fd)
{
	struct cbit_owner *owner;
	int own, err, pidfd;

	/* A thread may have a table of descriptors of its own, or outlive the first one's. */
	pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD_ABI);
	if (pidfd >= 0) {
		own = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
		err = errno;
		close(pidfd);
		return own < 0 ? -err : own;
	}
	owner = host_owner_get(host, tid);
	if (!owner)
		return -ENOMEM;
	own = (int)syscall(SYS_pidfd_getfd, owner->pidfd, fd, 0);
	err = errno;
	host_owner_put(host, owner);
	return own < 0 ? -err : own;
}

void host_owner_put(struct host *host, struct cbit_owner *owner)
{
	unsigned int refs = __atomic_load_n(&owner->refs, __ATOMIC_RELAXED);

	/* Only the last one takes it off the list, which the lock is for. */
	while (refs > 1) {
		if (__atomic_compare_exchange_n(&owner->refs, &refs, refs - 1, true,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
	}
	pthread_mutex_lock(&host->owners_lock);
	put(host, owner);
	pthread_mutex_unlock(&host->owners_lock);
}

void host_owner_exec(struct host *host, pid_t tgid)
{
	struct cbit_owner *owner;

	pthread_mutex_lock(&host->owners_lock);
	for (owner = host->owners; owner; owner = owner->next) {
		if (owner->tgid == tgid && !owner->gone) {
			gone(host, owner);
			break;
		}
	}
	pthread_mutex_unlock(&host->owners_lock);
}

int64_t host_proc_number(pid_t tgid, const char *file, const char *word, int base, int64_t none)
{
	char path[64], buf[4096], *p, *end;
	int64_t v;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tgid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return none;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	p = strstr(buf, word);
	if (!p)
		return none;
	p += strlen(word);
	v = (int64_t)strtoull(p, &end, base);
	return end == p ? none : v;
}

void host_signal_clients(const struct host *host, int sig)
{
	int64_t tracer = __atomic_load_n(&host->tracer, __ATOMIC_RELAXED);
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	pid_t pid;

	while (dir && (entry = readdir(dir))) {
		pid = (pid_t)strtol(entry->d_name, NULL, 10);
		/* of the thread that traces, not of its process */
		if (pid > 0 && tracer &&
		    host_proc_number(pid, "status", "\nTracerPid:", 10, 0) == tracer)
			kill(pid, sig);
	}
	if (dir)
		closedir(dir);
}

bool host_owner_capable(pid_t tgid, int capability)
{
	return host_proc_number(tgid, "status", "\nCapEff:", 16, 0) >> capability & 1;
}

bool host_owner_dying(struct host *host, pid_t tgid)
{
	bool dying = false;

	pthread_mutex_lock(&host->owners_lock);
	for (const struct cbit_owner *owner = host->owners; owner; owner = owner->next) {
		if (owner->tgid == tgid)
			dying |= owner->gone || __atomic_load_n(&owner->dying, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&host->owners_lock);
	return dying;
}

bool host_owner_lingers(struct host *host)
{
	bool lingers = false;

	pthread_mutex_lock(&host->owners_lock);
	for (struct cbit_owner *owner = host->owners; owner; owner = owner->next)
		lingers |= owner->gone ||
			   (__atomic_load_n(&owner->refs, __ATOMIC_RELAXED) > 1 && dead(owner));
	pthread_mutex_unlock(&host->owners_lock);
	return lingers;
}

void host_owner_reap(struct host *host)
{
	pthread_mutex_lock(&host->owners_lock);
	reap(host);
	pthread_mutex_unlock(&host->owners_lock);
}

int host_copy_in(pid_t tid, void *dst, uint64_t addr, size_t len)
{
	struct iovec local = { .iov_base = dst, .iov_len = len };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)addr, .iov_len = len };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

int host_copy_out(pid_t tid, uint64_t addr, const void *src, size_t len)
{
	struct iovec local = { .iov_base = (void *)(uintptr_t)src, .iov_len = len };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)addr, .iov_len = len };

	return process_vm_writev(tid, &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}
