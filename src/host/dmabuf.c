/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dma-bufs given to clients: each is a memfd of its size, without memory, for what the kernel
 * answers of a descriptor by itself (where it ends, its place, its number); one open description,
 * whose close inotify tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

struct host_dmabuf {
	struct cbit_file *file;
	uint64_t id;
	int watch;
	bool watched; /* see host_dmabuf_look() */
	struct host_dmabuf *next;
};

/* As dma_buf_getfile() has it; and a file that nobody makes longer or shorter. */
static int open_description(uint64_t id, const struct cbit_dmabuf_info *info)
{
	char path[64];
	int fd, own;

	snprintf(path, sizeof(path), HOST_DMABUF_NAME "%llx", (unsigned long long)id);
	fd = memfd_create(path, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)info->size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) {
		own = -errno;
	} else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, (int)(info->flags & (O_ACCMODE | O_NONBLOCK)) | O_CLOEXEC);
		if (own < 0)
			own = -errno;
	}
	close(fd);
	return own;
}

int host_dmabuf_open(struct host *host, struct cbit_file *file, int *fd)
{
	struct host_dmabuf *buf = calloc(1, sizeof(*buf));
	struct cbit_dmabuf_info info;
	char path[64];

	if (!buf)
		return -ENOMEM;
	cbit_vfio_dmabuf(file, &info);
	pthread_mutex_lock(&host->files_lock);
	buf->id = ++host->dmabuf_id;
	pthread_mutex_unlock(&host->files_lock);
	*fd = open_description(buf->id, &info);
	if (*fd < 0) {
		free(buf);
		return *fd;
	}
	/* Whatever was open of it before is closed by now, and not told. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	buf->file = file;
	buf->watch = inotify_add_watch(host->inotify, path, IN_CLOSE);
	if (buf->watch < 0) {
		close(*fd);
		free(buf);
		return -ENOMEM;
	}
	pthread_mutex_lock(&host->files_lock);
	buf->next = host->dmabufs;
	host->dmabufs = buf;
	pthread_mutex_unlock(&host->files_lock);
	return 0;
}

/* Called with the lock held. */
static struct host_dmabuf *take_out(struct host_dmabuf **at)
{
	struct host_dmabuf *buf = *at;

	if (buf)
		*at = buf->next;
	return buf;
}

/* What is told of it from now on is nobody's: numbers of watches come round late. */
static void forget(struct host *host, struct host_dmabuf *buf)
{
	inotify_rm_watch(host->inotify, buf->watch);
	host_fds_forget(&host->fds);
	free(buf);
}

void host_dmabuf_cancel(struct host *host, const struct cbit_file *file)
{
	struct host_dmabuf **at, *buf;

	pthread_mutex_lock(&host->files_lock);
	for (at = &host->dmabufs; *at && (*at)->file != file;)
		at = &(*at)->next;
	buf = take_out(at);
	pthread_mutex_unlock(&host->files_lock);
	if (buf)
		forget(host, buf);
}

void host_dmabuf_closed(struct host *host, int watch)
{
	struct host_dmabuf **at, *buf;
	struct cbit_file *file;

	pthread_mutex_lock(&host->files_lock);
	for (at = &host->dmabufs; *at && (*at)->watch != watch;)
		at = &(*at)->next;
	buf = take_out(at);
	pthread_mutex_unlock(&host->files_lock);
	if (!buf)
		return;
	file = buf->file;
	forget(host, buf);
	host_files_release(host, file);
}

/*
 * Which watches there are, as the kernel shows them; it takes each away with its file. The order is
 * that of the list, but for those that are gone. Called with the lock held.
 */
static bool find_watches(struct host *host)
{
	struct host_dmabuf *at = NULL, *buf;
	char text[256];
	unsigned int watch;
	FILE *f;

	snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", host->inotify);
	f = fopen(text, "re");
	if (!f)
		return false;
	for (buf = host->dmabufs; buf; buf = buf->next)
		buf->watched = false;
	while (fgets(text, sizeof(text), f)) {
		if (sscanf(text, "inotify wd:%x ", &watch) != 1)
			continue;
		for (buf = at; buf && buf->watch != (int)watch;)
			buf = buf->next;
		if (!buf) {
			for (buf = host->dmabufs; buf && buf->watch != (int)watch;)
				buf = buf->next;
		}
		if (!buf)
			continue;
		buf->watched = true;
		at = buf->next;
	}
	fclose(f);
	return true;
}

bool host_dmabuf_look(struct host *host)
{
	struct host_dmabuf **at, *buf, *gone = NULL;
	bool open;

	pthread_mutex_lock(&host->files_lock);
	if (host->dmabufs && find_watches(host)) {
		for (at = &host->dmabufs; *at;) {
			if ((*at)->watched) {
				at = &(*at)->next;
				continue;
			}
			buf = take_out(at);
			buf->next = gone;
			gone = buf;
		}
	}
	open = host->dmabufs != NULL;
	pthread_mutex_unlock(&host->files_lock);
	while ((buf = gone)) {
		struct cbit_file *file = buf->file;

		gone = buf->next;
		forget(host, buf);
		host_files_release(host, file);
	}
	return open;
}

void host_dmabuf_close_all(struct host *host)
{
	while (host->dmabufs)
		host_dmabuf_closed(host, host->dmabufs->watch);
}

struct cbit_file *host_dmabuf_find(struct host *host, uint64_t id)
{
	struct cbit_file *file = NULL;

	pthread_mutex_lock(&host->files_lock);
	for (const struct host_dmabuf *buf = host->dmabufs; buf; buf = buf->next) {
		if (buf->id == id)
			file = buf->file;
	}
	pthread_mutex_unlock(&host->files_lock);
	return file;
}

/* The kernel's word on the memfd, but for what a dma-buf differs in (alloc_anon_inode()). */
int host_dmabuf_stat(pid_t tid, int fd, struct stat *st)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	if (stat(path, st))
		return -errno;
	st->st_mode = S_IRUSR | S_IWUSR;
	st->st_nlink = 1;
	st->st_blocks = st->st_size / 512;
	return 0;
}

/* Linux: dma_buf_show_fdinfo(), behind what every descriptor shows */
int host_dmabuf_fdinfo(pid_t tid, int fd, struct cbit_file *file)
{
	struct cbit_dmabuf_info info;
	char path[64], text[1024];
	size_t len;
	ssize_t n;
	int own;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", tid, fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		return -errno;
	n = read(own, text, sizeof(text) / 2);
	close(own);
	len = n > 0 ? (size_t)n : 0;
	cbit_vfio_dmabuf(file, &info);
	len += (size_t)snprintf(text + len, sizeof(text) - len,
				"size:\t%llu\ncount:\t%u\nexp_name:\tvfio_pci_core\n",
				(unsigned long long)info.size, info.users);
	if (info.name[0])
		len += (size_t)snprintf(text + len, sizeof(text) - len, "name:\t%s\n", info.name);
	own = memfd_create("fdinfo", MFD_CLOEXEC);
	if (own < 0)
		return -errno;
	if (write(own, text, len) != (ssize_t)len || lseek(own, 0, SEEK_SET)) {
		close(own);
		return -EIO;
	}
	return own;
}
