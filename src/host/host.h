/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host: presenting a machine to a real process. What the files of this room share.
 */
#ifndef CBIT_HOST_H
#define CBIT_HOST_H

#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cbit/vfio.h>

#include "vfs.h"

#define HOST_MAX_DEVICES 32
#define HOST_PATH_MAX    4096
#define HOST_STACK_WORDS 1024

/** enum host_frames - how client pages get their modelled SPAs. */
enum host_frames {
	HOST_FRAMES_CONGRUENT, /* as with huge pages: congruent to the address up to 1 GiB */
	HOST_FRAMES_SCATTERED, /* no two neighbours: only 4 KiB leaves */
};

/* ---- vma.c: what is mapped where in a client ---- */

struct host_vma {
	uint64_t start, end;
	uint64_t offset; /* of @start in the file, bytes */
	uint64_t dev, ino;
	bool readable, writable, shared;
	bool cc_shared; /* set by who knows: a confidential guest shares it with the hypervisor */
};

/* One client address space, from its first use to its exit or exec; or a file: see memory.c. */
struct cbit_owner {
	uint64_t serial; /* never given again, unlike the process number */
	pid_t tgid;
	pid_t tid; /* a thread to reach the memory by: the first one may have ended */
	int pidfd;
	int maps; /* /proc/TID/maps, for PROCMAP_QUERY; -1 until first asked */
	unsigned int refs;
	int64_t locked; /* pages accounted as locked by mappings */
	bool gone;      /* exited, or has executed another program */
	bool dying;     /* its memory has been torn down, its files perhaps not yet */
	/* of a file in memory, which has no process: our own descriptor; -1 otherwise */
	int file;
	uint64_t dev, ino;
	struct cbit_owner *next;
};

/** host_vma_find() - the VMA that covers @addr. 0, -ENOENT, or the error of /proc. */
int host_vma_find(struct cbit_owner *owner, uint64_t addr, struct host_vma *out);
/** host_vma_next() - the VMA that covers @addr, or the first one above it. Errors likewise. */
int host_vma_next(struct cbit_owner *owner, uint64_t addr, struct host_vma *out);
/** host_vma_quick() - is that a matter of one call? */
bool host_vma_quick(void);

/* ---- frames.c: client pages as DRAM of the modelled machine ---- */

struct host_frames_map;
struct host;
int host_frames_create(struct host *host, struct host_frames_map **out);
void host_frames_destroy(struct host_frames_map *map);
int host_frames_pin(struct host_frames_map *map, struct cbit_owner *owner,
		    const struct host_vma *vma, uint64_t vaddr, uint64_t len,
		    struct cbit_client_run *run);
void host_frames_unpin(struct host_frames_map *map, struct cbit_owner *owner, uint64_t vaddr,
		       const struct cbit_client_run *run);
/* Is anything pinned at all? Without a lock. */
bool host_frames_any(struct host_frames_map *map);
/* Is any of these addresses pinned, as private memory or, if @shared, as part of a file? */
bool host_frames_pinned(struct host_frames_map *map, struct cbit_owner *owner, uint64_t first,
			uint64_t last, bool shared);
/*
 * These addresses are about to lose their memory: from now on DMA to what is pinned of it goes to
 * a copy. Pages of files stay where they are. @tid: to read them by.
 */
void host_frames_give_up(struct host_frames_map *map, struct cbit_owner *owner, pid_t tid,
			 uint64_t first, uint64_t last);
int host_frames_read(struct host_frames_map *map, uint64_t offset, void *buf, size_t len);
int host_frames_write(struct host_frames_map *map, uint64_t offset, const void *buf, size_t len);
int host_frames_move(struct host_frames_map *map, const struct cbit_mem_part *parts,
		     unsigned int nr, void *buf, bool write);
/* See struct cbit_mem_ops; the cookie is for host_shm_release(). */
void *host_frames_hold(struct host_frames_map *map, uint64_t offset, size_t *len, bool write,
		       void **cookie);

/* ---- devfile.c: the memfds behind device files ---- */

struct host_devfile {
	uint16_t devid;
	int fd; /* our own file description, kept for the device's life */
	int lease;
	int watch;
	uint64_t dev, ino;
	struct cbit_pci *pci;
	struct cbit_file *open[16]; /* files given out, the newest last */
	unsigned int nr_open;
	/* Files whose descriptors are being handed over: until then no close can be theirs. */
	struct cbit_file *giving[16];
	unsigned int nr_giving;
	/* Taken out of @open for want of room, to be released with the next closes. */
	struct cbit_file *surplus[16];
	unsigned int nr_surplus;
	bool orphan; /* its user died while it was at work: what it does now is nobody's fault */
	unsigned int skip; /* closes to come that are not of a file above, at most */
};

struct host_devfile *host_devfile_find(struct host *host, uint16_t devid);
struct host_devfile *host_devfile_get(struct host *host, uint16_t devid);
struct host_devfile *host_devfile_by_inode(struct host *host, uint64_t dev, uint64_t ino);
void *host_devfile_bar_memory(void *opaque, uint16_t devid, unsigned int bar, uint64_t size);
/*
 * A descriptor to hand over, or a negative errno. A file that its owner takes back when that fails
 * is @giving until host_devfile_given() says what came of it.
 */
int host_devfile_open(struct host *host, struct cbit_file *file, bool giving);
void host_devfile_given(struct host *host, struct cbit_file *file, bool arrived);
void host_devfile_drain(struct host *host);
/* What a descriptor of an open device file stands for: the newest that may be used, if any. */
struct cbit_file *host_devfile_current(const struct host_devfile *dev);

/* ---- dmabuf.c: dma-bufs given to clients ---- */

#define HOST_DMABUF_NAME "cbit-dmabuf:" /* of the memfd, a number follows */

int host_dmabuf_open(struct host *host, struct cbit_file *file, int *fd);
/* The client never got its descriptor: forget it. @file is not released. */
void host_dmabuf_cancel(struct host *host, const struct cbit_file *file);
/* inotify tells of a close: of one of them, or of something else. */
void host_dmabuf_closed(struct host *host, int watch);
/* Some closes were not told: find out of which. Is any left? */
bool host_dmabuf_look(struct host *host);
void host_dmabuf_close_all(struct host *host);
struct cbit_file *host_dmabuf_find(struct host *host, uint64_t id);
int host_dmabuf_stat(pid_t tid, int fd, struct stat *st);
/* What /proc/PID/fdinfo shows of it: a descriptor of ours, or a negative errno. */
int host_dmabuf_fdinfo(pid_t tid, int fd, struct cbit_file *file);

/* ---- memory.c: files in memory that are mapped for DMA by descriptor ---- */

/* See struct cbit_client_ops. */
int host_memory_open(struct host *host, pid_t tid, int fd, struct cbit_owner **out);
int host_memory_pin(struct host *host, struct cbit_owner *o, uint64_t offset, uint64_t len,
		    struct cbit_client_run *run);
bool host_memory_move(const struct cbit_owner *o, char *buf, const struct iovec *remote,
		      unsigned long nr, bool write);

/* ---- heap.c: DMA heaps and their buffers ---- */

enum host_heap { HOST_HEAP_SYSTEM, HOST_HEAP_CC_SHARED };

struct heap_buffer;
struct host_heaps {
	pthread_mutex_t lock;
	struct heap_buffer *buffers; /* by inode */
	size_t nr, cap;
};

int host_heap_nodes(struct vfs *vfs, bool confidential);
void host_heaps_destroy(struct host_heaps *heaps);
/* Is this file such a buffer? *@shared: of system_cc_shared. */
bool host_heap_find(struct host_heaps *heaps, uint64_t dev, uint64_t ino, bool *shared);
struct host_call;
/* An ioctl that is not VFIO's; false: none of ours. */
bool host_heap_ioctl(struct host_call *call);
/* May a client map this part of what may be a buffer? 0 or -EINVAL. */
int host_heap_mmap_check(struct host_call *call);

/* ---- pagemap.c: frame numbers for a program whose devices are behind no IOMMU of its own ---- */

struct host_pagemap;
struct host_pagemaps {
	pthread_mutex_t lock;
	struct host_pagemap *first;
	uint64_t last;
};

/* A descriptor for the client if @path is such a file and there is no IOMMU, else -ENOENT. */
int host_pagemap_open(struct host_call *call, const char *path);
/* A read or pread64 that may be of such a file. */
void host_pagemap_read(struct host_call *call);
/* These addresses are given up: what is there next is other memory. */
void host_pagemap_lost(struct host *host, const struct cbit_owner *owner, uint64_t first,
		       uint64_t last);
void host_pagemaps_destroy(struct host *host);

/* ---- backtrace.c: where in a program a call came from ---- */

struct host_traces;
struct cbit_trace_source;
int host_traces_create(struct host_traces **out);
void host_traces_destroy(struct host_traces *traces);
/** host_traces_source() - for a report; valid until they are destroyed, without the program too. */
struct cbit_trace_source host_traces_source(struct host_traces *traces);
struct host_call;
/**
 * host_trace_take() - the backtrace of a thread that waits for the answer to a call.
 * Return: its number; equal ones have one number. 0 when it cannot be had.
 */
uint32_t host_trace_take(struct host_traces *traces, const struct cbit_owner *owner,
			 struct host_call *call);
/**
 * host_trace_copy_in() - read a call's argument and, where such a call came before, the stack
 * with it, which spares host_trace_take() its own reads. Return: has it been read?
 */
bool host_trace_copy_in(struct host_traces *traces, struct host_call *call, void *dst,
			uint64_t addr, size_t len);

/* ---- the rest: one run ---- */

/* A file of the vfio room, or an attribute, given out as one end of a socket pair. */
struct host_sock {
	struct cbit_file *file;
	struct vfs_node *attr;
	uint64_t ino;
	int end; /* our end: hangs up with the last descriptor of the other */
	int fd;  /* the client's end, until it is handed over */
	struct host_sock *next;
};

/** enum host_memlock - whose limit on locked memory counts. */
enum host_memlock {
	HOST_MEMLOCK_UNLIMITED,
	HOST_MEMLOCK_INHERIT, /* the program's own, as Linux does it */
	HOST_MEMLOCK_SIZE,
};

/** struct host_stats - what a run took. Bytes are those that devices moved. */
struct host_stats {
	uint64_t by_pointer; /* bytes in client memory that is mapped here */
	uint64_t by_call;    /* bytes moved by process_vm_readv and process_vm_writev */
	uint64_t calls;      /* of these two, for DMA */
	uint64_t answered;   /* calls of the client that we were notified of */
};

struct host_config {
	struct cbit_platform platform;
	const struct cbit_policy *policy;
	struct cbit_observer observer;
	struct cbit_machine_guest guest; /* all zero: the program runs on the host itself */
	enum host_frames frames;
	enum host_memlock memlock;
	uint64_t memlock_size; /* bytes, with HOST_MEMLOCK_SIZE */
	const char *const *devices;
	unsigned int nr_devices;
	struct cbit_fault_plan *faults; /* NULL for none */
	char *const *argv;
	bool watch_memory;          /* look for memory that is given up while it is mapped */
	struct host_traces *traces; /* NULL: no backtraces are taken */
	/* The machine is on and the program has not begun; NULL when nobody wants to know. */
	void (*ready)(void *opaque, struct cbit_machine *machine);
	void *ready_opaque;
	void (*message)(void *opaque, const char *text); /* one line for the user */
	void *message_opaque;
};

/* watch.c: calls that the program's eventfds ask for */
struct watch;
struct host_watcher {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	pthread_t thread;
	bool started;
	int epoll;
	int stop;
	int running; /* the eventfd whose call is under way, -1 for none */
	struct watch *first;
};

void host_watcher_init(struct host_watcher *w);
void host_watcher_destroy(struct host_watcher *w);
/*
 * Take the count of eventfd @fd, ours, whenever there is one and call @call with @ctx. @call NULL
 * ends that, and returns when no call is under way; not to be called from one. 0 or -ENOMEM.
 */
int host_watch(struct host_watcher *w, int fd, void (*call)(void *ctx), void *ctx);

/* eventfd.c: eventfds of the program's, as descriptors of our own, and their signals */
struct host_signaller;
int host_eventfd_get(struct host *host, pid_t tid, int fd);
void host_eventfd_signal(struct host *host, int fd);
/* Whoever waits for long to signal one, or @all, waits no more. True when somebody is at it. */
bool host_eventfds_unblock(struct host *host, bool all);

/* Which file of ours a descriptor is */
enum host_fd_kind {
	HOST_FD_OTHER,
	HOST_FD_SOCK,
	HOST_FD_DEVICE,
	HOST_FD_VFS,
	HOST_FD_DMABUF,
	HOST_FD_PAGEMAP,
	HOST_FD_HEAP_BUFFER, /* a dma-buf of a DMA heap */
};
struct host_fd {
	enum host_fd_kind kind;
	struct cbit_file *file;
	struct host_devfile *dev;
	struct vfs_node *node;
	uint64_t number; /* of a pagemap */
};

/* fds.c: such answers, kept; descriptors below HOST_FDS_MAX only */
#define HOST_FDS_MAX       256
#define HOST_FDS_SLOTS     512
#define HOST_FDS_PROCESSES 8
struct host_fds {
	pthread_mutex_t lock;
	bool off;
	unsigned int generation; /* from 1 on */
	struct host_fd_entry {
		unsigned int generation;
		pid_t tgid;
		int fd;
		struct host_fd what;
	} entries[HOST_FDS_SLOTS];
	struct host_fd_close {
		int64_t when; /* ns, the monotonic clock */
		unsigned int count;
	} closes[HOST_FDS_PROCESSES][HOST_FDS_MAX];
};

struct host {
	const struct host_config *config;
	struct cbit_machine *machine;
	struct host_frames_map *frames;
	struct host_shm *shm;
	struct host_heaps heaps;
	struct host_pagemaps pagemaps;
	struct host_stats stats;
	struct vfs vfs;
	struct host_devfile devfiles[HOST_MAX_DEVICES];
	unsigned int nr_devfiles;
	int inotify;
	int epoll;
	int listener;
	int signals;       /* signalfd: SIGTERM and SIGHUP, for the program */
	sigset_t old_mask; /* what the program starts with */
	int stop;          /* eventfd: the housekeeper is to end */
	struct host_crew *crew;
	/* Held for reading while a call uses a file, for writing when one is released. */
	pthread_rwlock_t calls;
	pthread_mutex_t drain; /* closes are carried out one by one */
	bool shm_news;         /* there may be files in memory to let go of */
	pid_t tracer;          /* the thread; 0 before there is one */
	pid_t child;
	int child_pidfd;
	int status; /* of waitpid, for the program itself */

	pthread_mutex_t owners_lock;
	struct cbit_owner *owners;
	uint64_t owner_serial;
	struct host_user *users; /* with memory locked, see locked.c */
	struct {
		pid_t tid, tgid;
	} tids[256];

	struct host_watcher watcher;
	pthread_mutex_t signallers_lock;
	struct host_signaller *signallers; /* threads that write to eventfds, see eventfd.c */

	pthread_mutex_t files_lock;
	struct host_sock *socks;
	struct host_dmabuf *dmabufs;
	uint64_t dmabuf_id; /* the last one given */
	struct host_fds fds;
	/* ms until device files are looked at again for a close under way; 0: never. By @drain. */
	int again;
	bool lost; /* closes may not have been told: until @again is 0 dma-bufs are looked at, too
		    */
	/* Closed, and not released yet for a call that does not end. By @drain. */
	struct cbit_file *late[64];
	unsigned int nr_late;
	bool surplus;        /* a device file has some */
	unsigned int expect; /* see host_files_expect() */
	bool expect_always;
	bool there[HOST_MAX_DEVICES]; /* is the device of that index enabled? */
	unsigned int attrs;           /* writable attributes that are open */
	unsigned int moving;          /* transfers through the client that are under way */
	unsigned int maps_generation; /* counts mmaps of device files, for the tracer's cache */
};

/**
 * host_run() - run a program.
 * @stats: filled in where not NULL.
 * Return: its wait status in *@status; -errno with @err.
 */
int host_run(const struct host_config *config, int *status, struct host_stats *stats,
	     struct cbit_error *err);

/* Has the machine no IOMMU that its program could use? */
static inline bool host_noiommu(const struct host_config *config)
{
	return config->guest.kind != CBIT_GUEST_PLAIN && !config->guest.viommu;
}

static inline void host_count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

void host_say(struct host *host, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* owner.c */
struct cbit_owner *host_owner_get(struct host *host, pid_t tid);
void host_owner_hold(struct cbit_owner *owner); /* one more, of one that is held already */
void host_owner_put(struct host *host, struct cbit_owner *owner);
/*
 * A number after @word in /proc/TGID/@file; @none where it cannot be had or is "unlimited". /proc
 * tells of processes of other users too, where prlimit() wants CAP_SYS_RESOURCE.
 */
int64_t host_proc_number(pid_t tgid, const char *file, const char *word, int base, int64_t none);
/* Has the process that capability (CAP_*) in its effective set? */
bool host_owner_capable(pid_t tgid, int capability);
bool host_owner_dying(struct host *host, pid_t tgid);
/* Is there a process that has ended, but whose mappings are there yet? */
bool host_owner_lingers(struct host *host);
void host_owner_exec(struct host *host, pid_t tgid);
void host_owner_reap(struct host *host);
void host_tid_gone(struct host *host, pid_t tid);
pid_t host_tgid(struct host *host, pid_t tid);
/* locked.c, see struct cbit_client_ops */
int host_lock(struct host *host, struct cbit_owner *owner, int64_t pages);
bool host_lock_counts(struct host *host, pid_t tid, uint32_t *uid);
int host_lock_user(struct host *host, struct cbit_owner *owner, uint32_t uid, int64_t pages);
/* All processes that we trace, the program's and those that it has left behind. */
void host_signal_clients(const struct host *host, int sig);
/* Another thread of @owner that still runs is its @tid from now on; false when there is none. */
bool host_owner_retarget(struct cbit_owner *owner);
/* A client's descriptor as one of our own; a negative errno. */
int host_get_fd(struct host *host, pid_t tid, int fd);
int host_copy_in(pid_t tid, void *dst, uint64_t addr, size_t len);
int host_copy_out(pid_t tid, uint64_t addr, const void *src, size_t len);

/* files.c */
int host_fd_lookup(struct host *host, pid_t tid, int fd, struct host_fd *out);
int host_sock_open(struct host *host, struct cbit_file *file, int *fd);
/* The client never got its descriptor: forget it. @file is not released. */
void host_sock_cancel(struct host *host, const struct cbit_file *file);
/* Carry out the closes that have happened; settle: with little ado when there are none. */
void host_files_drain(struct host *host);
/* The client is about to do what may close files: for a while they are looked for before each
 * call... */
void host_files_expect(struct host *host);
/* ...or from now on, where it can close them unseen. */
void host_files_expect_always(struct host *host);
/* The housekeeper's: ROUND_MS have passed. */
void host_files_round(struct host *host);
void host_files_settle(struct host *host);
/* The housekeeper's: likewise. In how many ms again, at most every @last ms; 0: not needed. */
int host_files_look(struct host *host, bool late, int last);
/* A file that no client has any more. Waits for the calls under way, but not for ever. */
void host_files_release(struct host *host, struct cbit_file *file);

/* attr.c: attributes that can be written */
struct host_call;
/* What a read of it shows. */
void host_attr_text(struct host *host, const struct vfs_node *node, char *buf, size_t size);
/* Open it for writing: a descriptor to hand over, or a negative errno. */
int host_attr_open(struct host_call *call, struct vfs_node *node, bool readable);
/* Carry out what has been written. False when nobody has it open any more. */
bool host_attr_event(struct host *host, struct host_sock *sock);
/* Which devices are there. */
void host_attr_update(struct host *host);

/* fds.c */
bool host_fds_find(struct host_fds *fds, pid_t tgid, int fd, struct host_fd *out);
/* Ask for the generation before looking the descriptor up; what changed since is not kept. */
unsigned int host_fds_generation(struct host_fds *fds);
void host_fds_keep(struct host_fds *fds, unsigned int generation, pid_t tgid, int fd,
		   const struct host_fd *what);
/* Forget everything: a process is another program now, or gone, or one of our files is. */
void host_fds_forget(struct host_fds *fds);
/* Keep nothing from now on. */
void host_fds_off(struct host_fds *fds);
void host_fds_closing(struct host_fds *fds, pid_t tgid, unsigned int first, unsigned int last);
/* A call after which a descriptor may be another file, or threads have tables of their own. */
void host_fds_call(struct host_call *call);

/* notify.c */
struct host_call {
	struct host *host;
	const struct seccomp_notif *req;
	pid_t tid;
	struct host_server *server;
	/* the answer */
	int64_t val;
	int error; /* negative errno */
	bool pass; /* let the kernel carry the call out */
	/* for backtrace.c: room for HOST_STACK_WORDS of the stack, or NULL; which one is in it */
	uint64_t *stack;
	uint64_t stack_id;
};
void host_call_serve(struct host_call *call);
int host_install_fd(struct host_call *call, int fd, bool cloexec);

/* serve.c */
int host_serve_start(struct host *host);
void host_serve_stop(struct host *host);
/* The call will take long: somebody else answers the others from now on. */
void host_serve_relieve(struct host_call *call);
/*
 * The calls that others are carrying out at this moment, and whether any of those still is. One
 * that waits itself (host_serve_relieve()) does not count.
 */
#define HOST_SERVERS 8
struct host_under_way {
	uint64_t calls[HOST_SERVERS];
};
void host_serve_look(struct host_call *call, struct host_under_way *out);
bool host_serve_under_way(struct host_call *call, const struct host_under_way *then);

/* client.c */
extern const struct cbit_client_ops host_client_ops;
extern const struct cbit_mem_ops host_dram_ops;

/* giveup.c: a call that may take memory away; always left to the kernel */
void host_give_up(struct host_call *call);

/* paths.c */
void host_path_call(struct host_call *call);
/*
 * What a descriptor of ours shows when asked for its status. *@has_node: it was opened by that
 * node, unlike a device file that a group gave out.
 */
bool host_fd_node(struct host *host, pid_t tid, int fd, bool *has_node, struct vfs_node **out);
/* Does an open of that path never wait in the kernel: ours, a plain file, or not there? */
bool host_path_prompt(struct host *host, pid_t tid, int dirfd, uint64_t addr);

/* open.c: an absolute path; what is none of ours is left to the kernel */
void host_open_path(struct host_call *call, const char *path, uint64_t flags);

/* dirents.c */
void host_getdents(struct host_call *call);

/* filter.c */
int host_spawn(struct host *host, struct cbit_error *err);
int host_release_child(int sync, struct cbit_error *err);

/* tracer.c */
int host_trace(struct host *host, int sync, struct cbit_error *err);

/* insn.c */
struct user_regs_struct;
struct host_access {
	struct cbit_pci *pci;
	unsigned int bar;
	uint64_t pos;
};
/**
 * host_insn_emulate() - carry out the instruction at the client's RIP on a device's registers.
 * @locate: find the access for a client address; false when it is no trapped register.
 * Return: 0, regs advanced; -ENOSYS for an instruction that is not known, with its text.
 */
int host_insn_emulate(pid_t tid, struct user_regs_struct *regs, bool *regs_changed,
		      bool (*locate)(void *opaque, uint64_t addr, struct host_access *out),
		      void *opaque, char *text, size_t text_size);
/** host_insn_line() - is it MOVDIR64B, and to which address? */
bool host_insn_line(pid_t tid, struct user_regs_struct *regs, uint64_t *to);

#endif
