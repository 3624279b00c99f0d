/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device files: one memfd a device, whose plain BARs are pages of it and whose trapped BARs
 * lie beyond its end. Every open hands out a file description of its own. That one has been
 * closed and unmapped is told by inotify, but not how many, since it merges events that are
 * alike; that none is left is told by a lease, which the kernel gives to the only file that is
 * open on an inode.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

struct host_devfile *host_devfile_find(struct host *host, uint16_t devid)
{
	for (unsigned int i = 0; i < host->nr_devfiles; i++) {
		if (host->devfiles[i].devid == devid)
			return &host->devfiles[i];
	}
	return NULL;
}

struct host_devfile *host_devfile_get(struct host *host, uint16_t devid)
{
	struct host_devfile *dev = host_devfile_find(host, devid);
	struct stat st;
	char name[64];

	if (dev)
		return dev;
	if (host->nr_devfiles == HOST_MAX_DEVICES)
		return NULL;
	dev = &host->devfiles[host->nr_devfiles];
	snprintf(name, sizeof(name), "cbit-dev:%04x", devid);
	dev->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (dev->fd < 0)
		return NULL;
	/* Sealed, for a client could cut off the pages that we have mapped ourselves. */
	if (ftruncate(dev->fd, (off_t)CBIT_VFIO_FILE_SIZE) || fstat(dev->fd, &st) ||
	    fcntl(dev->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		close(dev->fd);
		return NULL;
	}
	dev->devid = devid;
	dev->dev = st.st_dev;
	dev->ino = st.st_ino;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", dev->fd);
	/* A description of its own: the one of memfd_create() is not counted as an open. */
	dev->lease = open(name, O_RDONLY | O_CLOEXEC);
	dev->watch = inotify_add_watch(host->inotify, name, IN_CLOSE);
	if (dev->watch < 0 || dev->lease < 0) {
		close(dev->fd);
		if (dev->lease >= 0)
			close(dev->lease);
		return NULL;
	}
	host->nr_devfiles++;
	return dev;
}

struct host_devfile *host_devfile_by_inode(struct host *host, uint64_t dev, uint64_t ino)
{
	for (unsigned int i = 0; i < host->nr_devfiles; i++) {
		if (host->devfiles[i].ino == ino && host->devfiles[i].dev == dev)
			return &host->devfiles[i];
	}
	return NULL;
}

void *host_devfile_bar_memory(void *opaque, uint16_t devid, unsigned int bar, uint64_t size)
{
	struct host_devfile *dev = host_devfile_get(opaque, devid);
	uint64_t offset = CBIT_VFIO_OFFSET_MARK | (uint64_t)bar << CBIT_VFIO_INDEX_SHIFT;
	void *p;

	if (!dev)
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd, (off_t)offset);
	return p == MAP_FAILED ? NULL : p;
}

/*
 * Closes that were one event leave files here that nobody has any more. One is as good as another
 * where they come from a group, and the lease tells when the last is closed: the oldest goes.
 */
static bool make_room(struct host *host, struct host_devfile *dev)
{
	const unsigned int max = sizeof(dev->open) / sizeof(dev->open[0]);
	unsigned int i = 0;

	if (dev->nr_open + dev->nr_giving < max)
		return true;
	while (i < dev->nr_open && cbit_vfio_cdev(dev->open[i]))
		i++;
	if (i == dev->nr_open || dev->nr_surplus == sizeof(dev->surplus) / sizeof(dev->surplus[0]))
		return false;
	dev->surplus[dev->nr_surplus++] = dev->open[i];
	for (dev->nr_open--; i < dev->nr_open; i++)
		dev->open[i] = dev->open[i + 1];
	__atomic_store_n(&host->surplus, true, __ATOMIC_RELAXED);
	return true;
}

int host_devfile_open(struct host *host, struct cbit_file *file, bool giving)
{
	struct cbit_device_info info;
	struct host_devfile *dev;
	char path[64];
	int fd;

	if (!cbit_machine_device(host->machine, cbit_vfio_device_index(file), &info))
		return -ENODEV;
	dev = host_devfile_get(host, cbit_pci_devid(info.pci));
	if (!dev)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dev->fd);
	pthread_mutex_lock(&host->files_lock);
	if (!make_room(host, dev)) {
		fd = -EMFILE;
	} else {
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
		else if (giving)
			dev->giving[dev->nr_giving++] = file;
		else
			dev->open[dev->nr_open++] = file;
	}
	pthread_mutex_unlock(&host->files_lock);
	return fd;
}

void host_devfile_given(struct host *host, struct cbit_file *file, bool arrived)
{
	pthread_mutex_lock(&host->files_lock);
	for (unsigned int i = 0; i < host->nr_devfiles; i++) {
		struct host_devfile *dev = &host->devfiles[i];

		for (unsigned int k = 0; k < dev->nr_giving; k++) {
			if (dev->giving[k] != file)
				continue;
			dev->giving[k--] = dev->giving[--dev->nr_giving];
			if (arrived)
				dev->open[dev->nr_open++] = file;
			else
				dev->skip++; /* our own close of it will be seen by inotify */
		}
	}
	pthread_mutex_unlock(&host->files_lock);
}

struct cbit_file *host_devfile_current(const struct host_devfile *dev)
{
	/* The client may use a descriptor before we have heard that it arrived. */
	for (unsigned int i = dev->nr_giving; i--;) {
		if (cbit_vfio_granted(dev->giving[i]))
			return dev->giving[i];
	}
	for (unsigned int i = dev->nr_open; i--;) {
		if (cbit_vfio_granted(dev->open[i]))
			return dev->open[i];
	}
	return dev->nr_open ? dev->open[dev->nr_open - 1] : NULL;
}

/* Does anybody have a device file open or mapped still? Undecided (-1) where leases are off. */
static int in_use(const struct host_devfile *dev)
{
	if (fcntl(dev->lease, F_SETLEASE, F_WRLCK))
		return errno == EAGAIN ? 1 : -1;
	fcntl(dev->lease, F_SETLEASE, F_UNLCK);
	return 0;
}

/* The next file to release: of one that nothing was done with, if there is such a file. */
static struct cbit_file *take(struct host_devfile *dev)
{
	unsigned int i = dev->nr_open - 1;
	struct cbit_file *file;

	while (i && cbit_vfio_granted(dev->open[i]))
		i--;
	if (cbit_vfio_granted(dev->open[i]))
		i = dev->nr_open - 1;
	file = dev->open[i];
	for (dev->nr_open--; i < dev->nr_open; i++)
		dev->open[i] = dev->open[i + 1];
	return file;
}

/* After an @event, or to look once more for one that came before its close was done. */
static void closed(struct host *host, struct host_devfile *dev, bool event)
{
	struct cbit_file *files[sizeof(dev->open) / sizeof(dev->open[0])];
	unsigned int nr = 0;
	int used;

	pthread_mutex_lock(&host->files_lock);
	/* With the lock held: a file that is opened after the look is none of those to release. */
	used = in_use(dev);
	if (!used) {
		dev->skip = 0;
		while (dev->nr_open)
			files[nr++] = take(dev);
	} else if (event && dev->skip) {
		dev->skip--;
	} else if (event && dev->nr_open && dev->nr_open + dev->nr_giving > (used > 0)) {
		/* Which one it was cannot be told, but for the last it does not matter. */
		files[nr++] = take(dev);
	}
	/* The kernel tells of a close before it counts it. */
	if (event && dev->nr_open)
		host->again = 1;
	if (!dev->nr_open)
		__atomic_store_n(&dev->orphan, false, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&host->files_lock);
	for (unsigned int i = 0; i < nr; i++)
		host_files_release(host, files[i]);
}

static bool is_open(struct host *host, const struct host_devfile *dev)
{
	bool open;

	pthread_mutex_lock(&host->files_lock);
	open = dev->nr_open != 0;
	pthread_mutex_unlock(&host->files_lock);
	return open;
}

static void release_surplus(struct host *host)
{
	struct cbit_file *files[HOST_MAX_DEVICES * 16];
	unsigned int nr = 0;

	if (!__atomic_exchange_n(&host->surplus, false, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&host->files_lock);
	for (unsigned int i = 0; i < host->nr_devfiles; i++) {
		struct host_devfile *dev = &host->devfiles[i];

		while (dev->nr_surplus)
			files[nr++] = dev->surplus[--dev->nr_surplus];
	}
	pthread_mutex_unlock(&host->files_lock);
	for (unsigned int i = 0; i < nr; i++)
		host_files_release(host, files[i]);
}

void host_devfile_drain(struct host *host)
{
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *ev;
	bool open = false;
	ssize_t n;

	release_surplus(host);
	while ((n = read(host->inotify, buf, sizeof(buf))) > 0) {
		for (const char *p = buf; p < buf + n; p += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)(const void *)p;
			/* More closes than the kernel keeps: what is open has to be asked. */
			if (ev->mask & IN_Q_OVERFLOW) {
				host->again = 1;
				host->lost = true;
			}
			if (!(ev->mask & IN_CLOSE))
				continue;
			for (unsigned int i = 0; i < host->nr_devfiles; i++) {
				if (host->devfiles[i].watch == ev->wd)
					closed(host, &host->devfiles[i], true);
			}
			host_dmabuf_closed(host, ev->wd);
		}
	}
	if (!host->again) {
		host->lost = false;
		return;
	}
	for (unsigned int i = 0; i < host->nr_devfiles; i++) {
		if (is_open(host, &host->devfiles[i]))
			closed(host, &host->devfiles[i], false);
		open |= is_open(host, &host->devfiles[i]);
	}
	if (host->lost)
		open |= host_dmabuf_look(host);
	if (!open)
		host->again = 0;
}
