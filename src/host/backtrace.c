/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where in a program a call came from: backtraces by number, each kept once.
 *
 * Unwinding costs a hundred microseconds, so a call from where one came before is recognised: the
 * same stack pointer, and the same return addresses in the places where they were. That takes two
 * short reads, and none where the call's argument lies on the stack, as it mostly does: then the
 * argument's address tells the stack pointer, and the return addresses are read together with the
 * argument. (Were the stack pointer another one, then the return address of the frame above the
 * one that the argument lies in, or of the frame below it, would be too.) Names are looked up
 * when somebody wants to read them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backtrace.h"

#define MAX_TRACES  4096u
#define MAX_MODULES 256u
#define SETS        512u
#define WAYS        4u
#define STATUS_FDS  16u
#define HINTS       256u

/*
 * A look at all return addresses is one call that reads at most so many stretches of the stack;
 * stretches that lie no further apart than this are one. Deeper stacks are unwound each time.
 */
#define MAX_RUNS  6u
#define MERGE_GAP 512u

/* How far above the stack pointer an argument still counts as lying on that stack, in bytes. */
#define NEAR UINT64_C(0x10000)

struct trace {
	unsigned int nr;
	struct trace_place place[TRACE_FRAMES];
};

struct module {
	char path[256];
	uint64_t dev, ino;
	struct timespec mtime;
	bool known; /* it was a file, with the identity above */
};

/*
 * A stack seen before.
 * @run: the stretches to read, in words from @sp; one behind the other they are @words long.
 * @at:  where in them the return addresses are, whose values were @value.
 */
struct seen {
	uint64_t serial; /* 0: unused */
	uint64_t pc, sp;
	uint64_t id; /* of this entry, never given again */
	uint32_t trace;
	unsigned int nr, nr_runs, words;
	struct {
		uint32_t first, words;
	} run[MAX_RUNS];
	uint16_t at[TRACE_FRAMES];
	uint64_t value[TRACE_FRAMES];
};

/* Which stack it was when that thread made that call with that argument. */
struct hint {
	pid_t tid; /* 0: unused */
	uint64_t pc, cmd, arg;
	struct seen *seen;
	uint64_t id;
};

struct host_traces {
	pthread_mutex_t lock;
	struct unwinder *unwinder;
	struct symbols *symbols;
	struct module *modules;
	unsigned int nr_modules;
	struct trace *traces;
	unsigned int nr_traces, cap_traces;
	unsigned int turn; /* which way of a full set goes */
	uint64_t next_id;
	struct {
		pid_t tid;
		int fd; /* of /proc/TID/syscall */
	} status[STATUS_FDS];
	struct hint hints[HINTS];
	struct seen seen[SETS][WAYS];
};

int host_traces_create(struct host_traces **out)
{
	struct host_traces *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	for (unsigned int i = 0; i < STATUS_FDS; i++)
		t->status[i].fd = -1;
	t->modules = calloc(MAX_MODULES, sizeof(*t->modules));
	t->unwinder = host_unwinder_create(t);
	t->symbols = host_symbols_create();
	if (!t->modules || !t->unwinder || !t->symbols) {
		host_traces_destroy(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

void host_traces_destroy(struct host_traces *t)
{
	if (!t)
		return;
	for (unsigned int i = 0; i < STATUS_FDS; i++) {
		if (t->status[i].fd >= 0)
			close(t->status[i].fd);
	}
	host_unwinder_destroy(t->unwinder);
	host_symbols_destroy(t->symbols);
	free(t->modules);
	free(t->traces);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

uint16_t host_traces_module(struct host_traces *t, const char *path)
{
	struct module *m;
	struct stat st;
	unsigned int i;

	for (i = 0; i < t->nr_modules; i++) {
		if (!strncmp(t->modules[i].path, path, sizeof(t->modules[i].path) - 1))
			return (uint16_t)i;
	}
	/* The last one stands for all that have no room. */
	if (i == MAX_MODULES)
		return MAX_MODULES - 1;
	m = &t->modules[t->nr_modules++];
	snprintf(m->path, sizeof(m->path), "%s", i == MAX_MODULES - 1 ? "(unknown)" : path);
	if (!stat(m->path, &st)) {
		m->known = true;
		m->dev = st.st_dev;
		m->ino = st.st_ino;
		m->mtime = st.st_mtim;
	}
	return (uint16_t)i;
}

/* The same file as when it ran? Another one has other lines at these addresses. */
static bool module_same(const struct module *m)
{
	struct stat st;

	return m->known && !stat(m->path, &st) && st.st_dev == m->dev && st.st_ino == m->ino &&
	       st.st_mtim.tv_sec == m->mtime.tv_sec && st.st_mtim.tv_nsec == m->mtime.tv_nsec;
}

static unsigned int frames(void *opaque, uint32_t trace, struct cbit_frame *out, unsigned int max)
{
	struct host_traces *t = opaque;
	unsigned int nr = 0;

	pthread_mutex_lock(&t->lock);
	while (trace && trace <= t->nr_traces && nr < max && nr < t->traces[trace - 1].nr) {
		const struct trace_place *at = &t->traces[trace - 1].place[nr];
		const struct module *m = &t->modules[at->module];

		memset(&out[nr], 0, sizeof(out[nr]));
		snprintf(out[nr].module, sizeof(out[nr].module), "%s", m->path);
		out[nr].offset = at->vaddr;
		if (module_same(m))
			host_symbols_name(t->symbols, m->path, at->vaddr, &out[nr]);
		/* What called main() is nobody's code. */
		if (!strcmp(out[nr++].function, "main"))
			break;
	}
	pthread_mutex_unlock(&t->lock);
	return nr;
}

struct cbit_trace_source host_traces_source(struct host_traces *t)
{
	return (struct cbit_trace_source){ .frames = frames, .opaque = t };
}

/* "NR ARG... SP PC", in hexadecimal but for the first. */
static bool registers(struct host_traces *t, pid_t tid, uint64_t *pc, uint64_t *sp)
{
	unsigned int slot = (unsigned int)tid % STATUS_FDS;
	char text[256], path[64], *last, *before;
	ssize_t n = -1;

	/* A descriptor is bound to its thread: a later one with that number is not read by it. */
	if (t->status[slot].fd >= 0 && t->status[slot].tid == tid)
		n = pread(t->status[slot].fd, text, sizeof(text) - 1, 0);
	if (n <= 0) {
		if (t->status[slot].fd >= 0)
			close(t->status[slot].fd);
		snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
		t->status[slot].fd = open(path, O_RDONLY | O_CLOEXEC);
		t->status[slot].tid = tid;
		if (t->status[slot].fd >= 0)
			n = pread(t->status[slot].fd, text, sizeof(text) - 1, 0);
	}
	if (n <= 0)
		return false;
	text[n] = 0;
	last = strrchr(text, ' ');
	if (!last)
		return false;
	*last = 0;
	before = strrchr(text, ' ');
	if (!before)
		return false;
	*pc = strtoull(last + 1, NULL, 16);
	*sp = strtoull(before + 1, NULL, 16);
	return *pc && *sp;
}

static struct seen *set_of(struct host_traces *t, uint64_t serial, uint64_t pc, uint64_t sp)
{
	uint64_t h = (serial * 31 + pc) * UINT64_C(0x9e3779b97f4a7c15) ^
		     (sp >> 3) * UINT64_C(0xff51afd7ed558ccd);

	return t->seen[(h ^ h >> 32) % SETS];
}

static struct hint *hint_of(struct host_traces *t, const struct host_call *call)
{
	const struct seccomp_data *data = &call->req->data;
	uint64_t h = ((uint64_t)call->tid * 31 + data->args[2]) * UINT64_C(0x9e3779b97f4a7c15) +
		     data->args[1];

	return &t->hints[(h ^ h >> 32) % HINTS];
}

static bool hint_fits(const struct hint *hint, const struct host_call *call)
{
	const struct seccomp_data *data = &call->req->data;

	return hint->tid == call->tid && hint->pc == data->instruction_pointer &&
	       hint->cmd == data->args[1] && hint->arg == data->args[2];
}

static void hint_set(struct host_traces *t, const struct host_call *call, struct seen *seen)
{
	const struct seccomp_data *data = &call->req->data;

	if (data->nr != SYS_ioctl || data->args[2] - seen->sp >= NEAR)
		return;
	*hint_of(t, call) = (struct hint){ .tid = call->tid,
					   .pc = data->instruction_pointer,
					   .cmd = data->args[1],
					   .arg = data->args[2],
					   .seen = seen,
					   .id = seen->id };
}

/* Read @len bytes at @addr and then the stretches of @s into @words. */
static bool read_runs(pid_t tid, void *dst, uint64_t addr, size_t len, const struct seen *s,
		      uint64_t *words)
{
	struct iovec local[2] = { { .iov_base = dst, .iov_len = len },
				  { .iov_base = words, .iov_len = s->words * sizeof(*words) } };
	struct iovec remote[1 + MAX_RUNS];
	unsigned int n = 0;

	if (len)
		remote[n++] = (struct iovec){ (void *)(uintptr_t)addr, len };
	for (unsigned int i = 0; i < s->nr_runs; i++)
		remote[n++] = (struct iovec){ (void *)(uintptr_t)(s->sp + 8ull * s->run[i].first),
					      s->run[i].words * sizeof(*words) };
	return process_vm_readv(tid, len ? local : local + 1, len ? 2 : 1, remote, n, 0) ==
	       (ssize_t)(len + local[1].iov_len);
}

bool host_trace_copy_in(struct host_traces *t, struct host_call *call, void *dst, uint64_t addr,
			size_t len)
{
	const struct hint *hint;
	struct seen s;
	bool fits;

	if (call->req->data.nr != SYS_ioctl || addr != call->req->data.args[2] || !call->stack ||
	    call->stack_id || !len)
		return false;
	pthread_mutex_lock(&t->lock);
	hint = hint_of(t, call);
	fits = hint_fits(hint, call) && hint->seen->id == hint->id;
	if (fits)
		s = *hint->seen;
	pthread_mutex_unlock(&t->lock);
	if (!fits || !read_runs(call->tid, dst, addr, len, &s, call->stack))
		return false;
	call->stack_id = s.id;
	return true;
}

static bool same_stack(const struct seen *s, const uint64_t *words)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		if (words[s->at[i]] != s->value[i])
			return false;
	}
	return true;
}

/* The stack that is there now among those seen before. */
static struct seen *recognise(struct host_traces *t, pid_t tid, uint64_t serial, uint64_t pc,
			      uint64_t sp)
{
	struct seen *set = set_of(t, serial, pc, sp);
	uint64_t words[HOST_STACK_WORDS];

	for (unsigned int w = 0; w < WAYS; w++) {
		if (set[w].serial == serial && set[w].pc == pc && set[w].sp == sp &&
		    read_runs(tid, NULL, 0, 0, &set[w], words) && same_stack(&set[w], words))
			return &set[w];
	}
	return NULL;
}

static struct seen *remember(struct host_traces *t, uint64_t serial, uint64_t pc, uint64_t sp,
			     const struct trace_frame *f, unsigned int nr, uint32_t trace)
{
	struct seen *set = set_of(t, serial, pc, sp), *at = NULL;
	struct seen s = { .serial = serial, .pc = pc, .sp = sp, .trace = trace };
	uint64_t offset, end = 0;

	for (unsigned int i = 1; i < nr; i++) {
		offset = (f[i].slot - sp) / 8;
		/* Return addresses lie ever higher. */
		if (f[i].slot < sp || offset < end || offset >= UINT32_MAX)
			return NULL;
		if (!s.nr_runs || offset - end > MERGE_GAP) {
			if (s.nr_runs == MAX_RUNS)
				return NULL;
			s.run[s.nr_runs++].first = (uint32_t)offset;
			end = offset;
		}
		s.run[s.nr_runs - 1].words += (uint32_t)(offset + 1 - end);
		s.words += (uint32_t)(offset + 1 - end);
		if (s.words > HOST_STACK_WORDS)
			return NULL;
		end = offset + 1;
		s.at[s.nr] = (uint16_t)(s.words - 1);
		s.value[s.nr++] = f[i].pc;
	}
	if (!s.nr)
		return NULL;
	for (unsigned int w = 0; w < WAYS && !at; w++) {
		if (!set[w].serial)
			at = &set[w];
	}
	if (!at)
		at = &set[t->turn++ % WAYS];
	s.id = ++t->next_id;
	*at = s;
	return at;
}

/* The number of a backtrace: of an equal one if there is. */
static uint32_t number(struct host_traces *t, const struct trace_frame *f, unsigned int nr)
{
	struct trace trace = { .nr = nr };

	for (unsigned int i = 0; i < nr; i++) {
		trace.place[i].module = f[i].place.module;
		trace.place[i].vaddr = f[i].place.vaddr;
	}
	for (unsigned int i = 0; i < t->nr_traces; i++) {
		unsigned int same = 0;

		if (t->traces[i].nr != nr)
			continue;
		while (same < nr && t->traces[i].place[same].vaddr == trace.place[same].vaddr &&
		       t->traces[i].place[same].module == trace.place[same].module)
			same++;
		if (same == nr)
			return i + 1;
	}
	if (t->nr_traces == t->cap_traces) {
		unsigned int cap = t->cap_traces ? 2 * t->cap_traces : 64;
		struct trace *more =
			cap > MAX_TRACES ? NULL : realloc(t->traces, cap * sizeof(*more));

		if (!more)
			return 0;
		t->traces = more;
		t->cap_traces = cap;
	}
	t->traces[t->nr_traces++] = trace;
	return t->nr_traces;
}

uint32_t host_trace_take(struct host_traces *t, const struct cbit_owner *owner,
			 struct host_call *call)
{
	const struct hint *hint = hint_of(t, call);
	struct trace_frame f[TRACE_FRAMES];
	struct seen *seen = NULL;
	uint32_t trace = 0;
	unsigned int nr;
	uint64_t pc, sp;

	pthread_mutex_lock(&t->lock);
	if (call->stack_id && hint->id == call->stack_id && hint->seen->id == hint->id &&
	    hint->seen->serial == owner->serial && same_stack(hint->seen, call->stack)) {
		trace = hint->seen->trace;
	} else if (registers(t, call->tid, &pc, &sp)) {
		seen = recognise(t, call->tid, owner->serial, pc, sp);
		if (seen) {
			trace = seen->trace;
		} else {
			nr = host_unwind(t->unwinder, owner->serial, owner->tgid, call->tid, pc, sp,
					 f);
			trace = nr ? number(t, f, nr) : 0;
			if (trace)
				seen = remember(t, owner->serial, pc, sp, f, nr, trace);
		}
		if (seen)
			hint_set(t, call, seen);
	}
	pthread_mutex_unlock(&t->lock);
	return trace;
}
