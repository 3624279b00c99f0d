/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files in memory that clients share with us.
 *
 * An ordinary user cannot open /proc/PID/map_files, so a file is remembered when a client maps
 * it. What is kept is a description of our own, for reading: the client's own would keep its
 * flock() locks, and one for writing would make execve() of the file fail. Files on disks are
 * left alone: they are seldom a device's target, and what we held would be seen.
 *
 * A file may be cut short at any time, and whoever touches what was cut off gets a SIGBUS. The
 * handler puts a page of zeros there and marks the map, which is not used from then on: the same
 * access is then made through the client, whose kernel knows what is there.
 */
#include "shm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Files remembered; the oldest goes when there are more. */
#define MAX_FILES 64
/* How many a thread may hold: source and destination, and one to spare. */
#define MAX_HELD 3

struct file {
	uint64_t dev, ino;
	size_t granule;
	pid_t tgid; /* the process that was last seen to map it */
	int fd;
};

struct host_shm {
	pthread_mutex_t lock;
	bool no_map_files; /* the kernel does not let us */
	unsigned int nr;
	struct file files[MAX_FILES]; /* the oldest first */
};

/*
 * What this thread holds. A signal handler has no argument of its own, hence the only variable
 * of this room that outlives a call; each thread has one.
 */
static _Thread_local struct held {
	struct host_shm_map *map;
	const uint8_t *last; /* the last byte */
} held[MAX_HELD];

int host_shm_create(struct host_shm **out)
{
	struct host_shm *shm = calloc(1, sizeof(*shm));

	if (!shm)
		return -ENOMEM;
	pthread_mutex_init(&shm->lock, NULL);
	*out = shm;
	return 0;
}

void host_shm_destroy(struct host_shm *shm)
{
	if (!shm)
		return;
	for (unsigned int i = 0; i < shm->nr; i++)
		close(shm->files[i].fd);
	pthread_mutex_destroy(&shm->lock);
	free(shm);
}

/* Called with the lock held. */
static void drop(struct host_shm *shm, unsigned int i)
{
	close(shm->files[i].fd);
	shm->nr--;
	memmove(&shm->files[i], &shm->files[i + 1], (shm->nr - i) * sizeof(shm->files[0]));
}

/* Is it a file in memory? Then @granule is the size of its pages. */
bool host_shm_in_memory(int fd, size_t *granule)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	*granule = fs.f_type == HUGETLBFS_MAGIC ? (size_t)fs.f_bsize : CBIT_PAGE_SIZE;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC;
}

int host_shm_reopen(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* Not to wait for somebody's lease. */
	return open(path, flags | O_CLOEXEC | O_NONBLOCK);
}

static void remember(struct host_shm *shm, const struct file *file, int fd)
{
	unsigned int i;
	int own;

	for (i = 0; i < shm->nr; i++) {
		if (shm->files[i].dev == file->dev && shm->files[i].ino == file->ino) {
			shm->files[i].tgid = file->tgid;
			return;
		}
	}
	own = host_shm_reopen(fd, O_RDONLY);
	if (own < 0)
		return;
	if (shm->nr == MAX_FILES)
		drop(shm, 0);
	shm->files[shm->nr] = *file;
	shm->files[shm->nr++].fd = own;
}

void host_shm_seen(struct host *host, struct host_shm *shm, pid_t tid, int fd)
{
	struct file file = { .fd = -1 };
	struct cbit_owner *owner;
	struct stat st;
	int dup, mode;

	dup = host_get_fd(host, tid, fd);
	if (dup < 0)
		return;
	mode = fcntl(dup, F_GETFL);
	/* What the client can only read is no memory that it works in. */
	if (mode >= 0 && (mode & O_ACCMODE) == O_RDWR && !fstat(dup, &st) && S_ISREG(st.st_mode) &&
	    host_shm_in_memory(dup, &file.granule)) {
		owner = host_owner_get(host, tid);
		if (owner) {
			file.tgid = owner->tgid;
			file.dev = st.st_dev;
			file.ino = st.st_ino;
			pthread_mutex_lock(&shm->lock);
			remember(shm, &file, dup);
			__atomic_store_n(&host->shm_news, true, __ATOMIC_RELAXED);
			pthread_mutex_unlock(&shm->lock);
			host_owner_put(host, owner);
		}
	}
	close(dup);
}

/* Called with the lock held: marks the files that @tgid maps. */
static void mark_mapped(struct host_shm *shm, pid_t tgid, bool *mapped)
{
	char path[64], line[HOST_PATH_MAX + 256];
	unsigned int major, minor;
	uint64_t ino;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", tgid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x-%*x %*s %*x %x:%x %" SCNu64, &major, &minor, &ino) != 3)
			continue;
		for (unsigned int i = 0; ino && i < shm->nr; i++) {
			if (shm->files[i].ino == ino && shm->files[i].tgid == tgid)
				mapped[i] = true;
		}
	}
	fclose(f);
}

unsigned int host_shm_sweep(struct host_shm *shm)
{
	bool mapped[MAX_FILES] = { false }, looked[MAX_FILES] = { false };
	unsigned int nr;

	pthread_mutex_lock(&shm->lock);
	for (unsigned int i = 0; i < shm->nr; i++) {
		if (looked[i])
			continue;
		mark_mapped(shm, shm->files[i].tgid, mapped);
		for (unsigned int k = i; k < shm->nr; k++)
			looked[k] |= shm->files[k].tgid == shm->files[i].tgid;
	}
	for (unsigned int i = shm->nr; i--;) {
		if (!mapped[i])
			drop(shm, i);
	}
	nr = shm->nr;
	pthread_mutex_unlock(&shm->lock);
	return nr;
}

/* The file behind @vma, for writing if that can be had; a negative errno. */
static int file_open(struct host_shm *shm, struct cbit_owner *owner, const struct host_vma *vma,
		     size_t *granule)
{
	char path[96];
	int fd = -ENOENT;

	if (owner->file >= 0)
		return host_shm_in_memory(owner->file, granule)
			       ? host_shm_reopen(owner->file, O_RDWR)
			       : -ENOTSUP;
	pthread_mutex_lock(&shm->lock);
	for (unsigned int i = 0; i < shm->nr && fd < 0; i++) {
		const struct file *file = &shm->files[i];

		if (file->dev == vma->dev && file->ino == vma->ino) {
			fd = host_shm_reopen(file->fd, O_RDWR);
			*granule = file->granule;
		}
	}
	pthread_mutex_unlock(&shm->lock);
	if (fd >= 0 || __atomic_load_n(&shm->no_map_files, __ATOMIC_RELAXED))
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64,
		 __atomic_load_n(&owner->tid, __ATOMIC_RELAXED), vma->start, vma->end);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		if (errno == EPERM)
			__atomic_store_n(&shm->no_map_files, true, __ATOMIC_RELAXED);
		return -errno;
	}
	if (!host_shm_in_memory(fd, granule)) {
		close(fd);
		return -ENOTSUP;
	}
	return fd;
}

struct host_shm_map *host_shm_get(struct host_shm *shm, struct cbit_owner *owner,
				  const struct host_vma *vma, int64_t offset, uint64_t size)
{
	struct host_shm_map *map = calloc(1, sizeof(*map));
	uint64_t lead = offset < 0 ? (uint64_t)-offset : 0;
	int fd = map ? file_open(shm, owner, vma, &map->granule) : -ENOMEM;
	uint8_t *p = MAP_FAILED;
	struct stat st;

	if (fd >= 0) {
		map->size = size - lead;
		/* A mapping for writing beyond the end makes a file of hugetlbfs longer. */
		if (map->granule != CBIT_PAGE_SIZE &&
		    (fstat(fd, &st) || st.st_size <= offset + (int64_t)lead)) {
			close(fd);
			free(map);
			return NULL;
		}
		if (map->granule != CBIT_PAGE_SIZE &&
		    map->size > (uint64_t)(st.st_size - offset) - lead)
			map->size = (uint64_t)(st.st_size - offset) - lead;
		/* NORESERVE: what the client has set aside in hugetlbfs serves us as well. */
		p = mmap(NULL, map->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
			 (off_t)(offset + (int64_t)lead));
		map->writable = p != MAP_FAILED;
		if (p == MAP_FAILED) /* sealed against it */
			p = mmap(NULL, map->size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd,
				 (off_t)(offset + (int64_t)lead));
		close(fd);
	}
	if (p == MAP_FAILED) {
		free(map);
		return NULL;
	}
	map->start = p;
	map->base = p - lead;
	map->users = 1;
	return map;
}

void host_shm_put(struct host_shm_map *map)
{
	if (!map || __atomic_sub_fetch(&map->users, 1, __ATOMIC_ACQ_REL))
		return;
	munmap(map->start, map->size);
	free(map);
}

bool host_shm_hold(struct host_shm_map *map, const uint8_t *at, size_t len, void **cookie)
{
	if (__atomic_load_n(&map->broken, __ATOMIC_RELAXED))
		return false;
	for (unsigned int i = 0; i < MAX_HELD; i++) {
		if (held[i].map)
			continue;
		__atomic_add_fetch(&map->users, 1, __ATOMIC_RELAXED);
		held[i].last = at + len - 1;
		__atomic_store_n(&held[i].map, map, __ATOMIC_RELAXED);
		__atomic_signal_fence(__ATOMIC_SEQ_CST); /* before the bytes are touched */
		*cookie = &held[i];
		return true;
	}
	return false;
}

int host_shm_release(void *cookie)
{
	struct held *h = cookie;
	struct host_shm_map *map = h->map;
	const uint8_t *broken;
	bool lost;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&h->map, NULL, __ATOMIC_RELAXED);
	broken = __atomic_load_n(&map->broken, __ATOMIC_ACQUIRE);
	lost = broken && h->last >= broken;
	host_shm_put(map);
	return lost ? -EFAULT : 0;
}

/* From @page on nothing is the file's any more. Others may have found an earlier one. */
static void mark(struct host_shm_map *map, uint8_t *page)
{
	uint8_t *old = __atomic_load_n(&map->broken, __ATOMIC_RELAXED);

	while ((!old || page < old) &&
	       !__atomic_compare_exchange_n(&map->broken, &old, page, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uint8_t *at = info->si_addr;
	int code = errno;

	(void)context;
	/* Our own, to end a wait; see eventfd.c. */
	if (info->si_code == SI_TKILL && info->si_pid == getpid())
		return;
	for (unsigned int i = 0; i < MAX_HELD; i++) {
		struct host_shm_map *map = __atomic_load_n(&held[i].map, __ATOMIC_RELAXED);

		if (!map || at < map->start || at >= map->start + map->size)
			continue;
		at -= (uintptr_t)at % map->granule;
		/* Marked first: who reads such a page without a fault of its own finds the mark. */
		mark(map, at);
		if (mmap(at, (size_t)(map->start + map->size - at), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			break;
		errno = code;
		return;
	}
	/* Nothing of ours: once more, without us. */
	signal(sig, SIG_DFL);
	errno = code;
}

void host_shm_catch(struct sigaction *old)
{
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, old);
}
