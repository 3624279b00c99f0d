/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Faults of a device: each place where something can go wrong asks here, if there is a plan.
 *
 * The lock is a leaf: it is never held while the device is locked or the observer called. The
 * thread is there for what comes by time, and started when the device is opened.
 */
#include "pci_fault.h"
#include "../mem/thread.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEC_NS UINT64_C(1000000000)
/* Linux: vfio_unregister_group_dev() asks every ten seconds until the device is closed. */
#define REQ_NS (10 * SEC_NS)

struct pci_faults {
	struct cbit_pci *pci;
	struct cbit_fault_plan *plan;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool started;
	bool stop;
	bool open;
	uint64_t opened_at; /* ns, the monotonic clock; 0 before */
	uint64_t back_at;   /* the link returns; 0 for not by itself */
	uint64_t req_at;    /* REQ is signalled again */
	struct {
		uint64_t events;
		uint64_t injected;
	} rule[];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SEC_NS + (uint64_t)ts.tv_nsec;
}

static bool concerns(const struct fault_rule *rule, const struct cbit_pci *pci)
{
	return !rule->one_device || rule->devid == pci->devid;
}

int cbit_pci_set_faults(struct cbit_pci *pci, struct cbit_fault_plan *plan)
{
	struct pci_faults *faults;
	pthread_condattr_t attr;
	bool any = false;

	for (unsigned int i = 0; i < plan->nr; i++)
		any |= concerns(plan->rules[i], pci);
	if (!any)
		return 0;
	faults = calloc(1, sizeof(*faults) + plan->nr * sizeof(faults->rule[0]));
	if (!faults)
		return -ENOMEM;
	faults->pci = pci;
	faults->plan = plan;
	pthread_mutex_init(&faults->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&faults->wake, &attr);
	pthread_condattr_destroy(&attr);
	pci->faults = faults;
	return 0;
}

void pci_fault_stop(struct pci_faults *faults)
{
	bool started;

	if (!faults)
		return;
	pthread_mutex_lock(&faults->lock);
	faults->stop = true;
	started = faults->started;
	faults->started = false;
	pthread_cond_signal(&faults->wake);
	pthread_mutex_unlock(&faults->lock);
	if (started)
		pthread_join(faults->thread, NULL);
}

void pci_fault_destroy(struct pci_faults *faults)
{
	if (!faults)
		return;
	pthread_cond_destroy(&faults->wake);
	pthread_mutex_destroy(&faults->lock);
	free(faults);
}

/* --- whose turn it is, and telling of it --- */

struct hit {
	const struct fault_rule *rule;
	uint64_t event;
	uint64_t times;
};

static void take(struct pci_faults *faults, unsigned int i, uint64_t event, struct hit *hit)
{
	struct fault_rule *rule = faults->plan->rules[i];

	*hit = (struct hit){ rule, event, ++faults->rule[i].injected };
	__atomic_fetch_add(&rule->injected, 1, __ATOMIC_RELAXED);
}

/* What an event is like, for the rules that look. */
struct event {
	enum cbit_fault_kind kind;
	unsigned int access;
	unsigned int vector;
	unsigned int queue;
};

static bool matches(const struct fault_rule *rule, const struct cbit_pci *pci,
		    const struct event *ev)
{
	if (rule->kind != ev->kind || !concerns(rule, pci) || fault_by_time(rule))
		return false;
	if (ev->kind == CBIT_FAULT_IOMMU && !(rule->access & ev->access))
		return false;
	if (ev->kind == CBIT_FAULT_LOST_IRQ)
		return !rule->has_vector || rule->vector == ev->vector;
	return !rule->has_queue || rule->queue == ev->queue;
}

/* One event: every rule that it concerns counts it, the first whose turn it is gets it. */
static bool count(struct pci_faults *faults, const struct event *ev, struct hit *hit)
{
	const struct cbit_fault_plan *plan = faults->plan;
	uint64_t open_ns;

	hit->rule = NULL;
	pthread_mutex_lock(&faults->lock);
	open_ns = faults->opened_at ? now_ns() - faults->opened_at : 0;
	for (unsigned int i = 0; i < plan->nr; i++) {
		struct fault_rule *rule = plan->rules[i];
		uint64_t event;

		if (!matches(rule, faults->pci, ev))
			continue;
		event = ++faults->rule[i].events;
		__atomic_fetch_add(&rule->events, 1, __ATOMIC_RELAXED);
		if (!hit->rule &&
		    fault_due(rule, faults->pci->devid, event, faults->rule[i].injected, open_ns))
			take(faults, i, event, hit);
	}
	pthread_mutex_unlock(&faults->lock);
	return hit->rule;
}

static void __attribute__((format(printf, 4, 5)))
tell(struct pci_faults *faults, const struct hit *hit, const struct cbit_event *about,
     const char *fmt, ...)
{
	char detail[128];
	struct cbit_fault_info info = {
		.number = __atomic_add_fetch(&faults->plan->injected, 1, __ATOMIC_RELAXED),
		.kind = hit->rule->kind,
		.rule = hit->rule->text,
		.event = hit->event,
		.times = hit->times,
		.detail = detail,
	};
	struct cbit_event ev = { 0 };
	va_list args;

	if (about)
		ev = *about;
	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt,
		  args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(args);
	ev.type = CBIT_EVENT_FAULT;
	ev.devid = faults->pci->devid;
	ev.fault = &info;
	cbit_iommu_tell(faults->pci->host.iommu, &ev);
}

/* --- the link --- */

static void signal_index(struct cbit_pci *pci, unsigned int index)
{
	if (!pci->host.irq)
		return;
	pthread_mutex_lock(&pci->lock);
	pci->host.irq(pci->host.opaque, index, 0);
	pthread_mutex_unlock(&pci->lock);
}

/* What a program has mapped cannot be taken from it, so it finds there what it would read. */
static void fill_memory(struct cbit_pci *pci, int value)
{
	for (unsigned int i = 0; i < CBIT_PCI_BARS; i++) {
		if (pci->bar[i].mode == CBIT_BAR_MEMORY || pci->bar[i].mode == CBIT_BAR_WATCHED)
			memset(pci->bar[i].memory, value, pci->bar[i].size);
	}
}

/* Virtual functions are behind the same link. */
static void lose(struct cbit_pci *pci, bool removed)
{
	pthread_mutex_lock(&pci->lock);
	if (atomic_load(&pci->gone) != PCI_REMOVED)
		atomic_store(&pci->gone, removed ? PCI_REMOVED : PCI_LINK_DOWN);
	pci_config_gone(pci);
	fill_memory(pci, 0xff);
	pthread_mutex_unlock(&pci->lock);
	for (unsigned int i = 0; i < pci->total_vfs; i++) {
		if (pci->vfs[i])
			lose(pci->vfs[i], removed);
	}
}

static void go(struct pci_faults *faults, const struct hit *hit)
{
	struct cbit_pci *pci = faults->pci;
	bool removed = hit->rule->kind == CBIT_FAULT_REMOVAL;

	lose(pci, removed);

	pthread_mutex_lock(&faults->lock);
	faults->req_at = removed ? now_ns() + REQ_NS : faults->req_at;
	faults->back_at = !removed && hit->rule->for_ns ? now_ns() + hit->rule->for_ns : 0;
	pthread_cond_signal(&faults->wake);
	pthread_mutex_unlock(&faults->lock);
	tell(faults, hit, NULL, removed ? "the device is gone" : "the link is down");
	signal_index(pci, removed ? PCI_IRQ_REQ : PCI_IRQ_ERR);
	for (unsigned int i = 0; i < pci->total_vfs; i++) {
		if (pci->vfs[i])
			signal_index(pci->vfs[i], removed ? PCI_IRQ_REQ : PCI_IRQ_ERR);
	}
}

bool pci_fault_link_restored(struct cbit_pci *pci)
{
	int gone = PCI_LINK_DOWN;

	/* A virtual function has no link of its own. */
	if (pci->pf && atomic_load(&pci->pf->gone))
		return false;
	if (!atomic_compare_exchange_strong(&pci->gone, &gone, PCI_PRESENT))
		return false;
	fill_memory(pci, 0);
	return true;
}

/* The link trained again by itself: a function that has been through a reset, not set up again. */
static void come_back(struct cbit_pci *pci)
{
	pthread_mutex_lock(&pci->lock);
	if (pci_fault_link_restored(pci)) {
		pci_reset_locked(pci);
		pci_config_unconfigured(pci);
	}
	pthread_mutex_unlock(&pci->lock);
	for (unsigned int i = 0; i < pci->total_vfs; i++) {
		if (pci->vfs[i])
			come_back(pci->vfs[i]);
	}
}

/* --- what comes by time --- */

/* When the next thing is due; 0 for never. With the lock held. */
static uint64_t next_time(const struct pci_faults *faults)
{
	uint64_t next = faults->back_at;

	if (faults->req_at && faults->open && (!next || faults->req_at < next))
		next = faults->req_at;
	for (unsigned int i = 0; i < faults->plan->nr; i++) {
		const struct fault_rule *rule = faults->plan->rules[i];
		uint64_t at = faults->opened_at + rule->time_ns;

		if (fault_by_time(rule) && concerns(rule, faults->pci) && faults->opened_at &&
		    !faults->rule[i].injected && (!next || at < next))
			next = at;
	}
	return next;
}

/* One thing that is due, done without the lock. False when there is none. */
static bool due_now(struct pci_faults *faults)
{
	uint64_t now = now_ns();
	struct hit hit = { .rule = NULL };
	bool back, req;

	back = faults->back_at && faults->back_at <= now;
	req = !back && faults->open && faults->req_at && faults->req_at <= now;
	if (back)
		faults->back_at = 0;
	if (req)
		faults->req_at = now + REQ_NS;
	for (unsigned int i = 0; !back && !req && !hit.rule && i < faults->plan->nr; i++) {
		const struct fault_rule *rule = faults->plan->rules[i];

		if (fault_by_time(rule) && concerns(rule, faults->pci) && faults->opened_at &&
		    !faults->rule[i].injected && faults->opened_at + rule->time_ns <= now)
			take(faults, i, 0, &hit);
	}
	if (!back && !req && !hit.rule)
		return false;
	pthread_mutex_unlock(&faults->lock);
	if (back)
		come_back(faults->pci);
	else if (req)
		signal_index(faults->pci, PCI_IRQ_REQ);
	else
		go(faults, &hit);
	pthread_mutex_lock(&faults->lock);
	return true;
}

static void *clock_main(void *arg)
{
	struct pci_faults *faults = arg;

	pthread_mutex_lock(&faults->lock);
	while (!faults->stop) {
		uint64_t next;

		if (due_now(faults))
			continue;
		next = next_time(faults);
		if (next) {
			const struct timespec at = { .tv_sec = (time_t)(next / SEC_NS),
						     .tv_nsec = (long)(next % SEC_NS) };

			pthread_cond_timedwait(&faults->wake, &faults->lock, &at);
		} else {
			pthread_cond_wait(&faults->wake, &faults->lock);
		}
	}
	pthread_mutex_unlock(&faults->lock);
	return NULL;
}

static bool needs_clock(const struct pci_faults *faults)
{
	for (unsigned int i = 0; i < faults->plan->nr; i++) {
		const struct fault_rule *rule = faults->plan->rules[i];

		if (concerns(rule, faults->pci) &&
		    (rule->kind == CBIT_FAULT_REMOVAL || rule->kind == CBIT_FAULT_LINK))
			return true;
	}
	return false;
}

void pci_fault_opened(struct pci_faults *faults, bool open)
{
	pthread_mutex_lock(&faults->lock);
	faults->open = open;
	if (!faults->opened_at)
		faults->opened_at = now_ns();
	pthread_cond_signal(&faults->wake);
	if (open && !faults->started && !faults->stop && needs_clock(faults))
		faults->started = !mem_thread_start_worker(&faults->thread, clock_main, faults);
	pthread_mutex_unlock(&faults->lock);
}

/* --- the places --- */

bool pci_fault_dma(struct cbit_pci *pci, uint64_t iova, size_t len, bool write)
{
	struct event ev = { .access = write ? FAULT_WRITES : FAULT_READS };
	const struct cbit_event about = { .write = write, .iova = CBIT_IOVA(iova), .len = len };
	struct hit hit;

	ev.kind = CBIT_FAULT_REMOVAL;
	if (count(pci->faults, &ev, &hit))
		go(pci->faults, &hit);
	ev.kind = CBIT_FAULT_LINK;
	if (count(pci->faults, &ev, &hit))
		go(pci->faults, &hit);
	if (atomic_load(&pci->gone))
		return false;
	ev.kind = CBIT_FAULT_IOMMU;
	if (!count(pci->faults, &ev, &hit))
		return false;
	tell(pci->faults, &hit, &about, "%s IOVA 0x%llx length 0x%llx: IO_PAGE_FAULT",
	     write ? "write" : "read", (unsigned long long)iova, (unsigned long long)len);
	return true;
}

bool pci_fault_irq(struct cbit_pci *pci, unsigned int index, unsigned int vector)
{
	static const char *const names[PCI_IRQS] = { "INTx", "MSI", "MSI-X", "ERR", "REQ" };
	const struct event ev = { .kind = CBIT_FAULT_LOST_IRQ, .vector = vector };
	struct hit hit;

	if (!count(pci->faults, &ev, &hit))
		return false;
	tell(pci->faults, &hit, NULL, "%s vector %u: not delivered", names[index], vector);
	return true;
}

bool pci_fault_doorbell(struct cbit_pci *pci, unsigned int queue, const char *name,
			unsigned int number, uint64_t value)
{
	const struct event ev = { .kind = CBIT_FAULT_DOORBELL, .queue = queue };
	struct hit hit;

	if (!count(pci->faults, &ev, &hit))
		return false;
	tell(pci->faults, &hit, NULL, "%s %u: the write of 0x%llx is not seen", name, number,
	     (unsigned long long)value);
	return true;
}

struct pci_fault_end pci_fault_command(struct cbit_pci *pci, unsigned int queue, const char *name,
				       uint64_t number, uint32_t status, uint32_t mask)
{
	struct event ev = { .kind = CBIT_FAULT_COMPLETION, .queue = queue };
	struct pci_fault_end end = { 0 };
	struct hit hit;

	if (count(pci->faults, &ev, &hit)) {
		end.fail = true;
		/* A rule for several kinds of devices may have a status that this one has not. */
		end.status = hit.rule->status & mask ? hit.rule->status & mask : status;
		tell(pci->faults, &hit, NULL, "queue %u, %s 0x%llx: not carried out, status 0x%x",
		     queue, name, (unsigned long long)number, end.status);
	}
	ev.kind = CBIT_FAULT_DELAY;
	if (count(pci->faults, &ev, &hit)) {
		end.until_ns = now_ns() + hit.rule->delay_ns;
		tell(pci->faults, &hit, NULL, "queue %u, %s 0x%llx: ends %llu us late", queue, name,
		     (unsigned long long)number, (unsigned long long)hit.rule->delay_ns / 1000);
	}
	return end;
}

bool pci_fault_delays(const struct cbit_pci *pci)
{
	const struct cbit_fault_plan *plan = pci->faults->plan;

	for (unsigned int i = 0; i < plan->nr; i++) {
		if (plan->rules[i]->kind == CBIT_FAULT_DELAY && concerns(plan->rules[i], pci))
			return true;
	}
	return false;
}

bool pci_fault_wait(uint64_t until_ns, pthread_cond_t *cond, pthread_mutex_t *lock)
{
	uint64_t now = now_ns();
	struct timespec at;
	uint64_t end;

	if (now >= until_ns)
		return false;
	/* The condition's clock is the one of the wall. */
	clock_gettime(CLOCK_REALTIME, &at);
	end = (uint64_t)at.tv_sec * SEC_NS + (uint64_t)at.tv_nsec + (until_ns - now);
	at = (struct timespec){ .tv_sec = (time_t)(end / SEC_NS), .tv_nsec = (long)(end % SEC_NS) };
	pthread_cond_timedwait(cond, lock, &at);
	return true;
}

bool cbit_pci_removed(const struct cbit_pci *pci)
{
	return atomic_load(&pci->gone) == PCI_REMOVED;
}
