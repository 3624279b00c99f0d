/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locked memory: on whose account it is, and whose limit counts (Linux 7.2: mm/util.c,
 * drivers/iommu/iommufd/pages.c).
 */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdlib.h>

#include "host.h"

/* A user's account, of all processes of the run; there is one while something is on it. */
struct host_user {
	uint32_t uid;
	int64_t locked;
	struct host_user *next;
};

/* RLIMIT_MEMLOCK in pages. A process that is gone has none any more. */
static int64_t rlimit_of(pid_t tgid)
{
	int64_t limit = host_proc_number(tgid, "limits", "\nMax locked memory", 10, INT64_MAX);

	return limit == INT64_MAX ? limit : limit >> CBIT_PAGE_SHIFT;
}

/*
 * What may be on the account of @owner; for a user's account @by_user. An address space has there
 * what it has locked by other means, too.
 */
static int64_t limit_of(const struct host *host, const struct cbit_owner *owner, bool by_user)
{
	int64_t limit;

	if (host->config->memlock == HOST_MEMLOCK_SIZE)
		return (int64_t)(host->config->memlock_size >> CBIT_PAGE_SHIFT);
	if (host->config->memlock != HOST_MEMLOCK_INHERIT)
		return INT64_MAX;
	limit = rlimit_of(owner->tgid);
	if (limit != INT64_MAX && !by_user)
		limit -= host_proc_number(owner->tgid, "status", "\nVmLck:", 10, 0) * 1024 >>
			 CBIT_PAGE_SHIFT;
	return limit;
}

/* With the lock held. */
static int charge(int64_t *account, int64_t pages, int64_t limit)
{
	if (pages > 0 && *account + pages > limit)
		return -ENOMEM;
	*account += pages;
	return 0;
}

static int lock_mm(struct host *host, struct cbit_owner *owner, int64_t pages, int64_t limit)
{
	int ret;

	pthread_mutex_lock(&host->owners_lock);
	ret = charge(&owner->locked, pages, limit);
	pthread_mutex_unlock(&host->owners_lock);
	return ret;
}

int host_lock(struct host *host, struct cbit_owner *owner, int64_t pages)
{
	int64_t limit = INT64_MAX;

	if (pages > 0 && !(host->config->memlock == HOST_MEMLOCK_INHERIT &&
			   host_owner_capable(owner->tgid, CAP_IPC_LOCK)))
		limit = limit_of(host, owner, false);
	return lock_mm(host, owner, pages, limit);
}

bool host_lock_counts(struct host *host, pid_t tid, uint32_t *uid)
{
	int64_t real;

	*uid = 0;
	/* Nobody asks then, and looking costs more than the call. */
	if (host->config->memlock == HOST_MEMLOCK_UNLIMITED)
		return false;
	/* The real one, of the thread. One that was killed meanwhile has none, and gets no answer.
	 */
	real = host_proc_number(tid, "status", "\nUid:", 10, -1);
	if (real < 0)
		return false;
	*uid = (uint32_t)real;
	return host->config->memlock == HOST_MEMLOCK_SIZE || !host_owner_capable(tid, CAP_IPC_LOCK);
}

/* Is the address space no more? */
static bool ended(const struct cbit_owner *owner)
{
	struct pollfd fd = { .fd = owner->pidfd, .events = POLLIN };

	return __atomic_load_n(&owner->gone, __ATOMIC_RELAXED) || poll(&fd, 1, 0) == 1;
}

int host_lock_user(struct host *host, struct cbit_owner *owner, uint32_t uid, int64_t pages)
{
	int64_t limit = pages > 0 ? limit_of(host, owner, uid != CBIT_NO_USER) : INT64_MAX;
	struct host_user **at, *user;
	int ret = -ENOMEM;

	if (uid == CBIT_NO_USER) {
		ret = lock_mm(host, owner, pages, limit);
		return pages < 0 && ended(owner) ? -EINVAL : ret;
	}
	pthread_mutex_lock(&host->owners_lock);
	for (at = &host->users; *at && (*at)->uid != uid;)
		at = &(*at)->next;
	if (!*at && (user = calloc(1, sizeof(*user)))) {
		user->uid = uid;
		*at = user;
	}
	user = *at;
	if (user) {
		ret = charge(&user->locked, pages, limit);
		if (!user->locked) {
			*at = user->next;
			free(user);
		}
	}
	pthread_mutex_unlock(&host->owners_lock);
	return ret;
}
