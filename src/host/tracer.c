/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tracer: the one thread that traces the client's processes. It carries out accesses to
 * trapped registers, follows forks and execs, and reaps what ends. EXITKILL makes the clients
 * die with us, whatever kills us.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"

#define TRACE_OPTIONS                                                                          \
	(PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | \
	 PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL)

/* How many traps pass between looks at which core the client runs on. */
#define CORE_INTERVAL 64u

/* Where the trap under way was found: a string instruction may look it up many times. */
struct window {
	uint64_t start, end;
	struct cbit_pci *pci;
	unsigned int bar;
	uint64_t pos; /* of @start in the BAR */
};

struct tracer {
	struct host *host;
	struct window window;
	unsigned int generation;
	unsigned int traps;
	int core;
	struct cbit_owner *owner; /* of the last trap, by @owner_tid */
	pid_t owner_tid;
};

static void forget_owner(struct tracer *t)
{
	if (t->owner)
		host_owner_put(t->host, t->owner);
	t->owner = NULL;
	t->window.pci = NULL;
}

/* A thread that has trapped once tends to do it again. Its number is not given anew unseen. */
static struct cbit_owner *owner_of(struct tracer *t, pid_t tid)
{
	if (t->owner && t->owner_tid == tid)
		return t->owner;
	forget_owner(t);
	t->owner = host_owner_get(t->host, tid);
	t->owner_tid = tid;
	return t->owner;
}

static bool locate(void *opaque, uint64_t addr, struct host_access *out)
{
	struct tracer *t = opaque;
	struct window *w = &t->window;
	struct host_devfile *dev;
	struct host_vma vma;

	if (!w->pci || addr < w->start || addr >= w->end) {
		if (host_vma_find(t->owner, addr, &vma))
			return false;
		dev = vma.ino ? host_devfile_by_inode(t->host, vma.dev, vma.ino) : NULL;
		if (!dev || !dev->pci || !(vma.offset & CBIT_VFIO_OFFSET_TRAP))
			return false;
		w->start = vma.start;
		w->end = vma.end;
		w->pci = dev->pci;
		w->bar = (unsigned int)(vma.offset >> CBIT_VFIO_INDEX_SHIFT) & 0xff;
		w->pos = vma.offset & ((UINT64_C(1) << CBIT_VFIO_INDEX_SHIFT) - 1);
	}
	out->pci = w->pci;
	out->bar = w->bar;
	out->pos = w->pos + (addr - w->start);
	return true;
}

/*
 * A round trip costs six times as much when client and tracer sit on different cores. The
 * tracer moves, never the client: its affinity is visible to it.
 */
static void follow_core(struct tracer *t, pid_t tid)
{
	char path[64], buf[1024], *p;
	cpu_set_t set;
	FILE *f;
	int core;

	if (t->traps++ % CORE_INTERVAL)
		return;
	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return;
	p = fgets(buf, sizeof(buf), f);
	fclose(f);
	p = p ? strrchr(p, ')') : NULL;
	/* "processor" is field 39; after the name's parenthesis comes field 3. */
	for (int field = 2; p && field < 39; field++)
		p = strchr(p + 1, ' ');
	if (!p || sscanf(p, "%d", &core) != 1 || core == t->core || core < 0 || core >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)core, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		t->core = core;
}

/*
 * What was mapped there at the last trap may be gone, and the signal the program's own. Where
 * asking is dear, only mmaps of device files and other processes are thought of.
 */
static void check_window(struct tracer *t)
{
	unsigned int generation = __atomic_load_n(&t->host->maps_generation, __ATOMIC_ACQUIRE);

	if (host_vma_quick() || t->generation != generation)
		t->window.pci = NULL;
	t->generation = generation;
}

/* Carry out the instruction that touched a register of ours. False when it is not known. */
static bool emulate(struct tracer *t, pid_t tid, struct user_regs_struct *regs,
		    const struct host_access *access, const char *signal)
{
	char text[128];
	bool changed = false, done = false;

	if (!host_insn_emulate(tid, regs, &changed, locate, t, text, sizeof(text)))
		done = !changed || !ptrace(PTRACE_SETREGS, tid, 0, regs);
	else
		host_say(t->host,
			 "process %d at 0x%llx: cannot carry out '%s' on a device register "
			 "(BAR%u+0x%llx); it gets %s",
			 tid, regs->rip, text, access->bar, (unsigned long long)access->pos,
			 signal);
	follow_core(t, tid);
	return done;
}

/* A SIGBUS: true when it was an access to a register of ours, and has been carried out. */
static bool trapped(struct tracer *t, pid_t tid)
{
	struct user_regs_struct regs;
	struct host_access access;
	siginfo_t info;

	if (ptrace(PTRACE_GETSIGINFO, tid, 0, &info) || info.si_code != BUS_ADRERR)
		return false;
	if (!owner_of(t, tid))
		return false;
	check_window(t);
	return locate(t, (uintptr_t)info.si_addr, &access) &&
	       !ptrace(PTRACE_GETREGS, tid, 0, &regs) && emulate(t, tid, &regs, &access, "SIGBUS");
}

/*
 * A SIGILL: a processor without MOVDIR64B refuses it before it looks at the address. True when it
 * went to a register of ours, as the portals of dsa are, and has been carried out.
 */
static bool illegal(struct tracer *t, pid_t tid)
{
	struct user_regs_struct regs;
	struct host_access access;
	siginfo_t info;
	uint64_t to;

	if (ptrace(PTRACE_GETSIGINFO, tid, 0, &info) || info.si_code != ILL_ILLOPN ||
	    ptrace(PTRACE_GETREGS, tid, 0, &regs) || !host_insn_line(tid, &regs, &to) ||
	    !owner_of(t, tid))
		return false;
	check_window(t);
	return locate(t, to, &access) && emulate(t, tid, &regs, &access, "SIGILL");
}

/* What the kernel keeps in RAX of a call that a signal has interrupted; include/linux/errno.h. */
#define ERESTARTSYS_ABI    512
#define ERESTARTNOINTR_ABI 513

/* A call of ours? One that could wait in the kernel itself does not count, however like it. */
static bool our_call(struct host *host, pid_t tid, const struct user_regs_struct *regs)
{
	switch (regs->orig_rax) {
	case SYS_ioctl:
		return (regs->rsi & 0xff00) == (unsigned int)';' << 8 ||
		       (regs->rsi & 0xff00) == (unsigned int)'b' << 8 ||
		       (regs->rsi & 0xffff) == (unsigned int)'H' << 8;
	case SYS_pread64:
	case SYS_pwrite64:
		if (regs->r10 >> CBIT_VFIO_INDEX_SHIFT == 7)
			return true;
		return (regs->r10 & CBIT_VFIO_OFFSET_MARK) != 0;
	case SYS_preadv:
	case SYS_pwritev:
		return (regs->r10 & CBIT_VFIO_OFFSET_MARK) != 0;
	case SYS_mmap:
		return regs->r9 & CBIT_VFIO_OFFSET_MARK ||
		       (regs->r10 & (MAP_SHARED | MAP_ANONYMOUS)) == MAP_SHARED ||
		       regs->r10 & MAP_FIXED;
	case SYS_munmap:
	case SYS_mremap:
	case SYS_madvise:
	case SYS_brk:
		return true;
	case SYS_open:
		return host_path_prompt(host, tid, AT_FDCWD, regs->rdi);
	case SYS_openat:
	case SYS_openat2:
		return host_path_prompt(host, tid, (int)regs->rdi, regs->rsi);
	case SYS_stat:
	case SYS_lstat:
	case SYS_fstat:
	case SYS_newfstatat:
	case SYS_statx:
	case SYS_access:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_readlink:
	case SYS_readlinkat:
	case SYS_close:
	case SYS_close_range:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_unshare:
	case SYS_clone:
	case SYS_clone3:
	case SYS_io_uring_setup:
	case SYS_getdents64:
	case SYS_getxattr:
	case SYS_lgetxattr:
	case SYS_listxattr:
	case SYS_llistxattr:
		return true;
	default:
		return false;
	}
}

/*
 * A signal that comes between the call and our receiving it ends the wait. The call has not been
 * carried out then, and must be made again: VFIO's calls are never interrupted, so no program
 * expects EINTR of them, SA_RESTART or not.
 */
static void restart_call(struct tracer *t, pid_t tid)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) || (long long)regs.orig_rax < 0 ||
	    (long long)regs.rax != -ERESTARTSYS_ABI || !our_call(t->host, tid, &regs))
		return;
	regs.rax = (unsigned long long)-ERESTARTNOINTR_ABI;
	ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

/*
 * Whether what @tid has just made is a thread of its own process. Another process closes its files
 * when it ends, at some time after it was let go of.
 */
static bool is_thread(struct host *host, pid_t tid)
{
	unsigned long made;

	return !ptrace(PTRACE_GETEVENTMSG, tid, 0, &made) &&
	       host_tgid(host, (pid_t)made) == host_tgid(host, tid);
}

static void stopped(struct tracer *t, pid_t tid, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	unsigned long old;

	if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
	    (event == PTRACE_EVENT_CLONE && !is_thread(t->host, tid)))
		host_files_expect_always(t->host);
	if (event == PTRACE_EVENT_EXEC) {
		host_files_expect(t->host);
		forget_owner(t);
		host_owner_exec(t->host, tid);
		/* Another thread's exec continues under the leader's number. */
		if (!ptrace(PTRACE_GETEVENTMSG, tid, 0, &old) && (pid_t)old != tid)
			host_tid_gone(t->host, (pid_t)old);
		host_tid_gone(t->host, tid);
		sig = 0;
	} else if (event == PTRACE_EVENT_EXIT) {
		/*
		 * Let go before the end: a zombie that is still traced is hidden from its own
		 * parent's wait, even after the parent's pidfd has told of the exit.
		 */
		forget_owner(t);
		host_tid_gone(t->host, tid);
		__atomic_store_n(&t->host->shm_news, true, __ATOMIC_RELAXED);
		ptrace(PTRACE_DETACH, tid, 0, 0);
		return;
	} else if (event == PTRACE_EVENT_STOP) {
		if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
			/* A stop of the whole process: stay stopped, but listen for SIGCONT. */
			ptrace(PTRACE_LISTEN, tid, 0, 0);
			return;
		}
		sig = 0;
	} else if (event || (sig == SIGBUS && trapped(t, tid)) ||
		   (sig == SIGILL && illegal(t, tid))) {
		sig = 0;
	} else {
		restart_call(t, tid);
	}
	ptrace(PTRACE_CONT, tid, 0, sig);
}

int host_trace(struct host *host, int sync, struct cbit_error *err)
{
	struct tracer t = { .host = host, .core = -1 };
	int status;
	pid_t tid;

	__atomic_store_n(&host->tracer, gettid(), __ATOMIC_RELAXED);
	if (ptrace(PTRACE_SEIZE, host->child, 0, TRACE_OPTIONS))
		return cbit_error_set(err, -errno,
				      "cannot trace the program: %s (is it traced "
				      "already, or kernel.yama.ptrace_scope 3?)",
				      strerror(errno));
	if (host_release_child(sync, err))
		return err->code;
	for (;;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			return 0; /* ECHILD: everything has ended */
		if (WIFSTOPPED(status)) {
			stopped(&t, tid, status);
			continue;
		}
		forget_owner(&t);
		if (tid == host->child)
			host->status = status;
		host_tid_gone(host, tid);
		host_owner_reap(host);
	}
}
