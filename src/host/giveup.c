/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that a program gives up while it is mapped for DMA: munmap, mmap over it, mremap, brk, and
 * madvise that drops pages. Linux lets it: the device keeps the old pages, which the program does
 * not see any more. So do we, and tell.
 *
 * The calls are looked at before the kernel carries them out. Their arguments are in registers,
 * and cannot change meanwhile.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "host.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
#define MADV_GUARD_INSTALL_ABI 102 /* Linux 6.13 */

/* @shared: pages of shared files are lost as well. */
struct loss {
	const char *what;
	uint64_t first, last;
	bool shared;
};

static bool range(struct loss *loss, const char *what, uint64_t addr, uint64_t len, bool shared)
{
	if (!len || addr & ~CBIT_PAGE_MASK || addr + len < addr ||
	    len > UINT64_MAX - CBIT_PAGE_SIZE)
		return false; /* refused by the kernel, or nothing */
	*loss = (struct loss){ .what = what, .first = addr, .shared = shared };
	loss->last = addr + ((len + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK) - 1;
	return true;
}

/* Can the mapping grow where it is (Linux: vma_expandable)? */
static bool grows_in_place(struct cbit_owner *owner, uint64_t addr, uint64_t old_len,
			   uint64_t new_len)
{
	struct host_vma vma;

	if (host_vma_find(owner, addr, &vma) || vma.end != addr + old_len)
		return false;
	return host_vma_next(owner, addr + old_len, &vma) == -ENOENT || vma.start >= addr + new_len;
}

static bool by_mremap(struct cbit_owner *owner, const uint64_t *args, struct loss *loss)
{
	uint64_t old_len = (args[1] + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	uint64_t new_len = (args[2] + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;

	if (args[3] & (MREMAP_FIXED | MREMAP_DONTUNMAP) ||
	    (args[3] & MREMAP_MAYMOVE && new_len > old_len &&
	     !grows_in_place(owner, args[0], old_len, new_len)))
		return range(loss, "mremap", args[0], old_len, false);
	if (new_len < old_len)
		return range(loss, "mremap", args[0] + new_len, old_len - new_len, true);
	return false;
}

static bool by_madvise(const uint64_t *args, struct loss *loss)
{
	switch ((int)args[2]) {
	case MADV_DONTNEED:
		return range(loss, "madvise(MADV_DONTNEED)", args[0], args[1], false);
	case MADV_DONTNEED_LOCKED:
		return range(loss, "madvise(MADV_DONTNEED_LOCKED)", args[0], args[1], false);
	case MADV_GUARD_INSTALL_ABI:
		return range(loss, "madvise(MADV_GUARD_INSTALL)", args[0], args[1], false);
	case MADV_REMOVE:
		return range(loss, "madvise(MADV_REMOVE)", args[0], args[1], true);
	default:
		return false;
	}
}

/* The heap up to its end, when the break goes down. */
static bool by_brk(struct cbit_owner *owner, uint64_t to, struct loss *loss)
{
	uint64_t from = (to + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK;
	struct host_vma vma;

	/* It asks for the break, or raises it; a break below the heap is refused. */
	if (!to || host_vma_find(owner, from, &vma) || vma.ino)
		return false;
	return range(loss, "brk", from, vma.end - from, false);
}

static bool loss_of(struct host_call *call, struct cbit_owner *owner, struct loss *loss)
{
	const uint64_t *args = (const uint64_t *)call->req->data.args;

	switch (call->req->data.nr) {
	case SYS_munmap:
		return range(loss, "munmap", args[0], args[1], true);
	case SYS_mmap:
		return args[3] & MAP_FIXED &&
		       range(loss, "mmap(MAP_FIXED)", args[0], args[1], true);
	case SYS_mremap:
		return by_mremap(owner, args, loss);
	case SYS_madvise:
		return by_madvise(args, loss);
	case SYS_brk:
		return by_brk(owner, args[0], loss);
	default:
		return false;
	}
}

static void lose(struct host_call *call, struct cbit_owner *owner, const struct loss *loss)
{
	struct host *host = call->host;
	struct cbit_mapping_info info = { .vaddr = loss->first,
					  .size = loss->last - loss->first + 1,
					  .pid = owner->tgid };

	if (host->config->traces)
		info.trace = host_trace_take(host->config->traces, owner, call);
	cbit_machine_gave_up(host->machine, owner, loss->what, &info);
	host_pagemap_lost(host, owner, loss->first, loss->last);
	host_frames_give_up(host->frames, owner, call->tid, loss->first, loss->last);
}

void host_give_up(struct host_call *call)
{
	struct host *host = call->host;
	struct cbit_owner *owner;
	struct loss loss[2];
	unsigned int nr = 0;

	/* Most programs, most of the time. */
	if (!host_frames_any(host->frames))
		return;
	owner = host_owner_get(host, call->tid);
	if (!owner)
		return;
	nr += loss_of(call, owner, &loss[nr]);
	/* What mremap moves something to goes as well. */
	if (call->req->data.nr == SYS_mremap && call->req->data.args[3] & MREMAP_FIXED)
		nr += range(&loss[nr], "mremap(MREMAP_FIXED)", call->req->data.args[4],
			    call->req->data.args[2], true);
	for (unsigned int i = 0; i < nr; i++) {
		if (!host_frames_pinned(host->frames, owner, loss[i].first, loss[i].last,
					loss[i].shared))
			continue;
		/* A container closed a moment ago has unmapped everything. */
		host_files_settle(host);
		if (host_frames_pinned(host->frames, owner, loss[i].first, loss[i].last,
				       loss[i].shared))
			lose(call, owner, &loss[i]);
	}
	host_owner_put(host, owner);
}
