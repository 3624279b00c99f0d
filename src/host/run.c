/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run: power on a machine, show it to a program, and clear up after both.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm.h"

/* Lines about faults, a rule and device. */
#define MAX_FAULT_LINES 16u

void host_say(struct host *host, const char *fmt, ...)
{
	char text[512];
	va_list args;

	if (!host->config->message)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(args);
	host->config->message(host->config->message_opaque, text);
}

/* At once, for the program may not come through it; the rest of many is only counted. */
static void say_fault(struct host *host, const struct cbit_event *ev)
{
	const struct cbit_fault_info *f = ev->fault;
	char which[48] = "by time";

	if (f->times > MAX_FAULT_LINES)
		return;
	if (f->event)
		snprintf(which, sizeof(which), "event %llu", (unsigned long long)f->event);
	host_say(host, "fault %llu: %s: device 0000:%02x:%02x.%x: %s (%s)%s",
		 (unsigned long long)f->number, cbit_fault_name(f->kind), ev->devid >> 8,
		 ev->devid >> 3 & 31, ev->devid & 7, f->detail, which,
		 f->times == MAX_FAULT_LINES ? "; no more lines for this rule and device" : "");
}

/*
 * Between a client's death and the close of its files the kernel keeps pinned memory, and a
 * device goes on unnoticed. We lose that memory with the process: what the device meets from
 * then on until its file is closed is not the program's doing and is not told.
 */
static void observe(void *opaque, const struct cbit_event *ev)
{
	struct host *host = opaque;
	struct host_devfile *dev = NULL;

	if (ev->type >= CBIT_EVENT_DMA_NOT_MAPPED && ev->type <= CBIT_EVENT_DMA_REFUSED_MAP) {
		dev = host_devfile_find(host, ev->devid);
		if (dev && ev->type == CBIT_EVENT_DMA_NO_BACKING &&
		    host_owner_dying(host, ev->mapping.pid))
			__atomic_store_n(&dev->orphan, true, __ATOMIC_RELAXED);
		if (dev && __atomic_load_n(&dev->orphan, __ATOMIC_RELAXED))
			return;
	}
	if (ev->type == CBIT_EVENT_FAULT)
		say_fault(host, ev);
	if (host->config->observer.event)
		host->config->observer.event(host->config->observer.opaque, ev);
}

static int power_on(struct host *host, struct cbit_error *err)
{
	const struct host_config *config = host->config;
	const struct cbit_machine_config machine = {
		.platform = config->platform,
		.policy = config->policy,
		.observer = { .event = observe, .opaque = host },
		.client = &host_client_ops,
		.client_dram = &host_dram_ops,
		.bar_memory = host_devfile_bar_memory,
		.client_opaque = host,
		.guest = config->guest,
	};
	struct cbit_device_info info;
	struct epoll_event closed = { .events = EPOLLIN };
	struct host_devfile *dev;
	sigset_t mask;
	int ret;

	host->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	host->epoll = epoll_create1(EPOLL_CLOEXEC);
	host->stop = eventfd(0, EFD_CLOEXEC);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &mask, &host->old_mask);
	host->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (host->inotify < 0 || host->epoll < 0 || host->stop < 0 || host->signals < 0 ||
	    epoll_ctl(host->epoll, EPOLL_CTL_ADD, host->inotify, &closed))
		return cbit_error_set(err, -errno, "cannot set up event descriptors: %s",
				      strerror(errno));
	ret = host_shm_create(&host->shm);
	ret = ret ? ret : host_frames_create(host, &host->frames);
	if (ret)
		return cbit_error_set(err, ret, "no memory for the frame map");
	ret = cbit_machine_create(&machine, &host->machine, err);
	for (unsigned int i = 0; !ret && i < config->nr_devices; i++)
		ret = cbit_machine_add_device(host->machine, config->devices[i], err);
	if (!ret && config->faults)
		ret = cbit_machine_set_faults(host->machine, config->faults, err);
	for (unsigned int i = 0; !ret && cbit_machine_device(host->machine, i, &info); i++) {
		dev = host_devfile_get(host, cbit_pci_devid(info.pci));
		if (!dev)
			return cbit_error_set(err, -ENOMEM, "cannot make the file of device %s: %s",
					      info.bdf, strerror(errno));
		dev->pci = info.pci;
	}
	if (!ret &&
	    (vfs_create(&host->vfs) || host_sysfs_build(&host->vfs, host->machine, host->there) ||
	     host_heap_nodes(&host->vfs, config->guest.kind != CBIT_GUEST_PLAIN)))
		ret = cbit_error_set(err, -ENOMEM, "no memory for the synthetic sysfs");
	return ret;
}

static void power_off(struct host *host)
{
	/* What the program left open is closed now that nobody holds it any more. */
	host->again = 1;
	if (host->machine)
		host_files_drain(host);
	host_dmabuf_close_all(host);
	host_pagemaps_destroy(host);
	cbit_machine_destroy(host->machine);
	host_watcher_destroy(&host->watcher);
	host_frames_destroy(host->frames);
	host_shm_destroy(host->shm);
	host_heaps_destroy(&host->heaps);
	vfs_destroy(&host->vfs);
	while (host->owners) {
		struct cbit_owner *owner = host->owners;

		owner->refs = 1;
		host_owner_put(host, owner);
	}
	for (unsigned int i = 0; i < host->nr_devfiles; i++) {
		close(host->devfiles[i].fd);
		close(host->devfiles[i].lease);
	}
	if (host->listener > 0)
		close(host->listener);
	close(host->inotify);
	close(host->epoll);
	close(host->stop);
	close(host->signals);
	if (host->child_pidfd >= 0)
		close(host->child_pidfd);
	pthread_sigmask(SIG_SETMASK, &host->old_mask, NULL);
}

static void set_environment(struct host *host)
{
	char list[HOST_MAX_DEVICES * 16] = "";
	struct cbit_device_info info;
	size_t at = 0;

	for (unsigned int i = 0; cbit_machine_device(host->machine, i, &info); i++) {
		if (info.present)
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? " " : "",
					       info.bdf);
	}
	setenv("CBIT_DEVICES", list, 1);
}

/* A descriptor here for many of the program's: ours may be as many as we can have. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Ctrl-C is for the program: it decides, and its end is ours. */
static void take_signals(struct sigaction old[4])
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &ignore, &old[0]);
	sigaction(SIGQUIT, &ignore, &old[1]);
	/* An open that meets a lease of devfile.c, taken and given back, is no news. */
	sigaction(SIGIO, &ignore, &old[2]);
	host_shm_catch(&old[3]);
}

int host_run(const struct host_config *config, int *status, struct host_stats *stats,
	     struct cbit_error *err)
{
	struct host host = { .config = config,
			     .owners_lock = PTHREAD_MUTEX_INITIALIZER,
			     .files_lock = PTHREAD_MUTEX_INITIALIZER,
			     .signallers_lock = PTHREAD_MUTEX_INITIALIZER,
			     .drain = PTHREAD_MUTEX_INITIALIZER,
			     .pagemaps = { .lock = PTHREAD_MUTEX_INITIALIZER },
			     .heaps = { .lock = PTHREAD_MUTEX_INITIALIZER },
			     .fds = { .lock = PTHREAD_MUTEX_INITIALIZER, .generation = 1 },
			     .child_pidfd = -1,
			     .listener = -1 };
	struct sigaction old[4];
	pthread_rwlockattr_t attr;
	int ret, sync, code = 0;

	pthread_rwlockattr_init(&attr);
	/* A close must come through however many calls there are. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&host.calls, &attr);
	pthread_rwlockattr_destroy(&attr);
	host_watcher_init(&host.watcher);
	ret = power_on(&host, err);
	if (ret) {
		power_off(&host);
		return ret;
	}
	set_environment(&host);
	if (config->ready)
		config->ready(config->ready_opaque, host.machine);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sync = host_spawn(&host, err);
	if (sync < 0) {
		power_off(&host);
		return sync;
	}
	raise_limit();
	take_signals(old);
	ret = host_serve_start(&host);
	if (ret) {
		kill(host.child, SIGKILL);
		cbit_error_set(err, ret, "cannot start the threads that serve the program: %s",
			       strerror(-ret));
	} else {
		ret = host_trace(&host, sync, err);
		if (ret)
			kill(host.child, SIGKILL);
	}
	host_serve_stop(&host);
	if (ret)
		waitpid(host.child, NULL, __WALL);
	/* The child's word on why the program could not be executed, if that is so. */
	else if (read(sync, &code, sizeof(code)) == sizeof(code))
		ret = cbit_error_set(err, -ENOEXEC, "cannot run '%s': %s", config->argv[0],
				     strerror(code));
	close(sync);
	*status = host.status;
	power_off(&host);
	sigaction(SIGINT, &old[0], NULL);
	sigaction(SIGQUIT, &old[1], NULL);
	sigaction(SIGIO, &old[2], NULL);
	sigaction(SIGBUS, &old[3], NULL);
	if (stats)
		*stats = host.stats;
	return ret;
}
