/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The threads of a controller: they look at registers and doorbells, which are plain memory that
 * clients write, and carry out what they find.
 *
 * Looking costs a processor, so a thread looks hot only for a moment after it had work, and then
 * sleeps between looks, an eighth of the time that nothing has happened, up to SLEEP_MAX: a client
 * never waits much longer than an eighth of its own silence. Who was silent for longer than that
 * is idle, and waits up to IDLE_MAX. It never yields: a client that polls
 * on the same processor would keep it for a whole slice, whereas the end of a sleep takes it away
 * at once. A write that does not come from a client's store (VFIO's pwrite, another device) wakes
 * the thread. docs/design/watching.md has the figures.
 */
#include "nvme.h"
#include "../mem/thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HOT_NS    UINT64_C(20000)
#define SLEEP_MIN UINT64_C(4000)
#define SLEEP_MAX UINT64_C(5000000)
#define SILENCE   8u
#define IDLE_MAX  UINT64_C(20000000)
#define IDLE      128u
#define SLICE_NS  UINT64_C(100000)
/* Looks between looks at the clock. */
#define LOOKS 32u

static void sleep_on(atomic_uint *word, unsigned int seen, const struct timespec *timeout)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, timeout, NULL, 0);
}

void nvme_kick(struct nvme *n, unsigned int worker)
{
	struct nvme_worker *w = &n->worker[worker];

	atomic_fetch_add(&w->kicked, 1);
	syscall(SYS_futex, &w->kicked, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void nvme_quiesce(struct nvme *n, const struct nvme_worker *self)
{
	n->stopping++;
	for (unsigned int i = 0; i < n->nr_workers; i++) {
		struct nvme_worker *w = &n->worker[i];

		while (w != self && w->busy)
			pthread_cond_wait(&n->idle, &n->pci->lock);
	}
}

void nvme_resume(struct nvme *n)
{
	n->stopping--;
	/* What was rung meanwhile has not been taken. */
	for (unsigned int i = 0; i < n->nr_workers; i++)
		nvme_kick(n, i);
}

/* What is nobody's doorbell. Worker 0 does it. */
static bool chores(struct nvme_worker *w)
{
	struct nvme *n = w->n;
	bool found = false;

	if (nvme_regs_touched(n)) {
		pthread_mutex_lock(&n->pci->lock);
		nvme_regs_scan(n);
		pthread_mutex_unlock(&n->pci->lock);
		found = true;
	}
	if (!atomic_load_explicit(&n->chores, memory_order_relaxed) &&
	    !atomic_load_explicit(&n->nr_late, memory_order_relaxed) &&
	    !atomic_load_explicit(&n->pin, memory_order_relaxed))
		return found;
	pthread_mutex_lock(&n->pci->lock);
	if (!n->stopping) {
		w->busy = true;
		atomic_store(&n->chores, false);
		/* The pin falls when the host has taken its completions. */
		for (unsigned int i = 0; i < n->nr_queues && atomic_load(&n->pin); i++) {
			if (n->cq[i].exists)
				nvme_queue_head(n, &n->cq[i]);
		}
		found |= nvme_log_deliver(n);
		if (atomic_load_explicit(&n->nr_late, memory_order_relaxed))
			nvme_fault_deliver(n);
		w->busy = false;
		if (n->stopping)
			pthread_cond_broadcast(&n->idle);
	}
	pthread_mutex_unlock(&n->pci->lock);
	return found;
}

bool nvme_worker_look(struct nvme_worker *w)
{
	struct nvme *n = w->n;
	uint64_t live = atomic_load_explicit(&w->live, memory_order_relaxed);
	uint64_t waiting = atomic_load_explicit(&w->waiting, memory_order_relaxed);
	bool found = w->index ? false : chores(w);

	for (; live; live &= live - 1) {
		unsigned int id = (unsigned int)__builtin_ctzll(live);

		if (!(waiting >> id & 1) && __atomic_load_n(&n->doorbell[(size_t)2 * id],
							    __ATOMIC_RELAXED) == NVME_DOORBELL_NONE)
			continue;
		found |= nvme_queue_run(w, (uint16_t)id);
	}
	return found;
}

/* As the kernel has it; its header and the C library's cannot be had together. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

/*
 * The end of a sleep shall take the processor from a client that polls on it. By default a sleep
 * may end 50 us late, and whoever runs is left alone for a slice of some milliseconds, unless the
 * thread that wakes up has asked for a shorter one (Linux 6.12; before, that is ignored).
 */
static void be_prompt(void)
{
	struct attributes attr = { .size = sizeof(attr) };

	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) || attr.policy)
		return;
	attr.runtime = SLICE_NS;
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

/* How long to sleep after so much silence. */
static uint64_t nap(uint64_t silent)
{
	uint64_t ns = silent / SILENCE;

	if (ns < SLEEP_MIN)
		return SLEEP_MIN;
	if (ns <= SLEEP_MAX)
		return ns;
	ns = silent / IDLE;
	return ns < SLEEP_MAX ? SLEEP_MAX : ns > IDLE_MAX ? IDLE_MAX : ns;
}

static void *worker_main(void *arg)
{
	struct nvme_worker *w = arg;
	struct nvme *n = w->n;
	uint64_t last = nvme_now();
	unsigned int looks = 0;

	be_prompt();
	for (;;) {
		/* First: whatever is looked at below is told by a kick. */
		unsigned int kicked = atomic_load(&w->kicked);
		uint64_t silent;
		struct timespec ts;

		if (atomic_load(&n->stop))
			break;
		if (!atomic_load(&n->pci->in_use)) {
			sleep_on(&w->kicked, kicked, NULL);
			last = nvme_now();
			continue;
		}
		if (__builtin_expect(atomic_load(&n->pci->gone), 0)) {
			nvme_fault_absent(n);
			ts = (struct timespec){ .tv_nsec = (long)SLEEP_MAX };
			sleep_on(&w->kicked, kicked, &ts);
			last = nvme_now();
			continue;
		}
		if (nvme_worker_look(w)) {
			last = nvme_now();
			looks = 0;
			continue;
		}
		if (++looks % LOOKS) {
			__builtin_ia32_pause();
			continue;
		}
		silent = nvme_now() - last;
		if (silent < HOT_NS)
			continue;
		/* The next look is the one that decides again. */
		looks = LOOKS - 1;
		if (!w->index) {
			pthread_mutex_lock(&n->pci->lock);
			nvme_queue_strays(n);
			pthread_mutex_unlock(&n->pci->lock);
		}
		ts = (struct timespec){ .tv_nsec = (long)nap(silent) };
		sleep_on(&w->kicked, kicked, &ts);
	}
	return NULL;
}

static bool start(struct nvme_worker *w)
{
	void *room = mmap(NULL, 2 * NVME_DATA_MAX, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return false;
	w->in = room;
	w->out = w->in + NVME_DATA_MAX;
	w->exists = !mem_thread_start_worker(&w->thread, worker_main, w);
	if (!w->exists)
		munmap(room, 2 * NVME_DATA_MAX);
	return w->exists;
}

int nvme_workers_start(struct nvme *n)
{
	bool ok = true;

	for (unsigned int i = 0; i < n->nr_workers && ok; i++)
		ok = n->worker[i].exists || start(&n->worker[i]);
	return ok ? 0 : -ENOMEM;
}

void nvme_workers_stop(struct nvme *n)
{
	atomic_store(&n->stop, true);
	for (unsigned int i = 0; i < n->nr_workers; i++) {
		struct nvme_worker *w = &n->worker[i];

		if (!w->exists)
			continue;
		nvme_kick(n, i);
		pthread_join(w->thread, NULL);
		munmap(w->in, 2 * NVME_DATA_MAX);
		w->exists = false;
	}
}
