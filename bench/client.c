/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures that a client sees: calls answered, and copies by a device in its memory. The client
 * (client_program.c) runs under cbit; beside it, in the same rounds, a process whose calls are
 * answered at once by the barest supervisor there can be, in this one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS /* Linux 6.6 */
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif
#define SYNC_WAKE_UP  1ul
#define KILLABLE_RECV (1ul << 5) /* Linux 5.19 */

#define BARE_CMD 0x3b64 /* VFIO_GET_API_VERSION, whoever is asked */

/* What the bare supervisor does before it answers. */
enum bare { BARE, BARE_COPIES, BARE_COPIES_VMA };

/* Linux include/uapi/linux/fs.h, struct procmap_query (6.11). */
struct vma_query {
	uint64_t size, flags, addr, result[12];
};
_Static_assert(offsetof(struct vma_query, result) == 24, "struct procmap_query");
#define VMA_QUERY_SIZE 104
#define VMA_QUERY      _IOC(_IOC_READ | _IOC_WRITE, 'f', 17, VMA_QUERY_SIZE)

struct client {
	pid_t pid;
	FILE *to, *from;
	const char *what; /* the figure under way */
};

struct fixture {
	struct client cbit;
	struct client bare;
	pthread_t supervisor;
	int listener;
	int maps;
	enum bare mode;
	uint8_t *remote; /* private memory of the bare client */
	uint8_t *bounce;
};

static double ask(struct client *c)
{
	double ns;

	fprintf(c->to, "%s\n", c->what);
	fflush(c->to);
	MUST(fscanf(c->from, "%lf", &ns) == 1);
	return ns;
}

/* --- the bare client, a fork of this process --- */

static double bare_round(void)
{
	char arg[64] = { 0 };
	double t = bench_now();

	for (unsigned int i = 0; i < CLIENT_CALLS; i++)
		MUST(!ioctl(0, BARE_CMD, arg));
	return bench_now() - t;
}

static void __attribute__((noreturn)) bare_main(int in, int out, uint8_t *memory)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BARE_CMD, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	FILE *from = fdopen(in, "r"), *to = fdopen(out, "w");
	char line[64];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(memory, 1, 2 * CLIENT_HALF);
	MUST(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER | KILLABLE_RECV, &prog);
	MUST(from && to && fd >= 0);
	fprintf(to, "%d\n", fd);
	fflush(to);
	while (fgets(line, sizeof(line), from)) {
		fprintf(to, "%f\n", bare_round());
		fflush(to);
	}
	_exit(0);
}

static void vma_query(const struct fixture *f, uint64_t addr)
{
	struct vma_query q = { .size = VMA_QUERY_SIZE, .addr = addr };
	char text[4096];

	/* Before 6.11 there is the text alone. */
	if (ioctl(f->maps, VMA_QUERY, &q))
		MUST(pread(f->maps, text, sizeof(text), 0) > 0);
}

static void *supervisor_main(void *opaque)
{
	struct fixture *f = opaque;
	struct seccomp_notif req;
	char buf[32] = { 0 };

	for (;;) {
		struct seccomp_notif_resp resp = { 0 };
		struct iovec local = { buf, sizeof(buf) }, remote;

		memset(&req, 0, sizeof(req));
		if (ioctl(f->listener, SECCOMP_IOCTL_NOTIF_RECV, &req)) {
			if (errno == EINTR)
				continue;
			return NULL;
		}
		remote = (struct iovec){ (void *)(uintptr_t)req.data.args[2], sizeof(buf) };
		if (f->mode >= BARE_COPIES)
			MUST(process_vm_readv((pid_t)req.pid, &local, 1, &remote, 1, 0) > 0);
		if (f->mode == BARE_COPIES_VMA)
			vma_query(f, req.data.args[2]);
		if (f->mode >= BARE_COPIES)
			MUST(process_vm_writev((pid_t)req.pid, &local, 1, &remote, 1, 0) > 0);
		resp.id = req.id;
		(void)ioctl(f->listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
	}
}

/* --- references --- */

static double ref_bare(void *opaque)
{
	struct fixture *f = opaque;

	return ask(&f->bare);
}

static double ref_memcpy(void *opaque)
{
	struct fixture *f = opaque;
	struct client c = f->cbit;

	c.what = "memcpy";
	return ask(&c);
}

static double ref_calls(void *opaque)
{
	struct fixture *f = opaque;
	struct iovec local = { f->bounce, CLIENT_BLOCK };
	double t = bench_now();

	for (unsigned int i = 0; i < CLIENT_BLOCKS; i++) {
		struct iovec from = { f->remote + i * CLIENT_BLOCK, CLIENT_BLOCK };
		struct iovec to = { f->remote + CLIENT_HALF + i * CLIENT_BLOCK, CLIENT_BLOCK };

		MUST(process_vm_readv(f->bare.pid, &local, 1, &from, 1, 0) > 0);
		MUST(process_vm_writev(f->bare.pid, &local, 1, &to, 1, 0) > 0);
	}
	return bench_now() - t;
}

static double run_client(void *opaque)
{
	struct fixture *f = opaque;

	return ask(&f->cbit);
}

/* --- both of them --- */

static void start(struct client *c, struct fixture *f, const char *dir)
{
	char cbit[4096], program[4096];
	int in[2], out[2];

	MUST(!pipe(in) && !pipe(out));
	c->pid = fork();
	MUST(c->pid >= 0);
	if (!c->pid) {
		close(in[1]);
		close(out[0]);
		if (c == &f->bare)
			bare_main(in[0], out[1], f->remote);
		dup2(in[0], 0);
		dup2(out[1], 1);
		snprintf(cbit, sizeof(cbit), "%s/../cbit", dir);
		snprintf(program, sizeof(program), "%s/cbit-bench-client", dir);
		execl(cbit, "cbit", "run", "--", program, (char *)NULL);
		fprintf(stderr, "cbit-bench: %s: %s\n", cbit, strerror(errno));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	c->to = fdopen(in[1], "w");
	c->from = fdopen(out[0], "r");
	MUST(c->to && c->from);
}

static void end(struct client *c)
{
	fclose(c->to);
	fclose(c->from);
	MUST(waitpid(c->pid, NULL, 0) == c->pid);
}

static void init(struct fixture *f)
{
	char dir[3072], path[64], *slash;
	int pidfd, fd;
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	MUST(n > 0);
	dir[n] = 0;
	slash = strrchr(dir, '/');
	MUST(slash);
	*slash = 0;
	f->remote = mmap(NULL, 2 * CLIENT_HALF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	f->bounce = aligned_alloc(4096, CLIENT_BLOCK);
	MUST(f->remote != MAP_FAILED && f->bounce);
	memset(f->bounce, 0, CLIENT_BLOCK);
	start(&f->bare, f, dir);
	MUST(fscanf(f->bare.from, "%d", &fd) == 1);
	pidfd = (int)syscall(SYS_pidfd_open, f->bare.pid, 0);
	f->listener = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	close(pidfd);
	snprintf(path, sizeof(path), "/proc/%d/maps", f->bare.pid);
	f->maps = open(path, O_RDONLY | O_CLOEXEC);
	MUST(f->listener >= 0 && f->maps >= 0);
	(void)ioctl(f->listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP);
	MUST(!pthread_create(&f->supervisor, NULL, supervisor_main, f));
	f->bare.what = "bare";
	start(&f->cbit, f, dir);
}

static void fini(struct fixture *f)
{
	end(&f->cbit);
	kill(f->bare.pid, SIGKILL);
	end(&f->bare);
	/* Kernels before 6.11 do not end the receive. */
	pthread_cancel(f->supervisor);
	pthread_join(f->supervisor, NULL);
	close(f->listener);
	close(f->maps);
	free(f->bounce);
	munmap(f->remote, 2 * CLIENT_HALF);
}

static void calls(struct fixture *f)
{
	const struct {
		const char *name;
		enum bare mode;
		double goal;
	} figures[] = {
		{ "ioctl-no-struct", BARE, 1.1 },
		{ "ioctl-get-info", BARE_COPIES, 1.15 },
		{ "ioctl-map-dma", BARE_COPIES_VMA, 1.3 },
		{ "ioctl-unmap-dma", BARE_COPIES, 0 },
	};
	struct bench b = { .unit = BENCH_TIMES,
			   .run = run_client,
			   .ref = ref_bare,
			   .opaque = f,
			   .per = CLIENT_CALLS,
			   .rounds = 40 };
	struct bench bare = b;

	bare.name = "ioctl-bare";
	bare.run = ref_bare;
	bare.ref = NULL;
	f->mode = BARE;
	bench_figure(&bare);
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		f->mode = figures[i].mode;
		f->cbit.what = b.name = figures[i].name;
		b.goal = figures[i].goal;
		bench_figure(&b);
	}
}

static void copies(struct fixture *f)
{
	struct bench b = { .name = "client-copy-shared-1m",
			   .unit = BENCH_GBS,
			   .run = run_client,
			   .ref = ref_memcpy,
			   .opaque = f,
			   .per = (double)CLIENT_HALF,
			   .goal = 0.8,
			   .rounds = 20 };

	f->cbit.what = b.name;
	bench_figure(&b);
	f->cbit.what = b.name = "client-copy-private-1m";
	b.ref = ref_calls;
	bench_figure(&b);
}

void bench_client(void)
{
	struct fixture f = { 0 };

	if (!bench_wanted("ioctl-") && !bench_wanted("client-"))
		return;
	init(&f);
	calls(&f);
	copies(&f);
	fini(&f);
}
