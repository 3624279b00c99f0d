/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The page allocator of a guest's kernel, and that kernel as the DMA API sees it.
 *
 * Free pages are extents in an array by address; a request is served from the top of the highest
 * that fits, so that low memory is left to devices that reach no other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest_internal.h"

static bool reserve(struct cbit_guest *guest)
{
	size_t cap = guest->free_cap ? 2 * guest->free_cap : 16;
	struct guest_extent *v;

	if (guest->free_count < guest->free_cap)
		return true;
	v = reallocarray(guest->free, cap, sizeof(*v));
	if (!v)
		return false;
	guest->free = v;
	guest->free_cap = cap;
	return true;
}

static void insert(struct cbit_guest *guest, size_t at, uint64_t gpa, uint64_t size)
{
	memmove(&guest->free[at + 1], &guest->free[at],
		(guest->free_count - at) * sizeof(guest->free[0]));
	guest->free[at] = (struct guest_extent){ .gpa = gpa, .size = size };
	guest->free_count++;
}

static void erase(struct cbit_guest *guest, size_t at)
{
	guest->free_count--;
	memmove(&guest->free[at], &guest->free[at + 1],
		(guest->free_count - at) * sizeof(guest->free[0]));
}

int guest_alloc_add(struct cbit_guest *guest, uint64_t gpa, uint64_t size)
{
	size_t at = 0;

	/* GPA 0 looks too much like "no table" to readers of entries. */
	if (!gpa) {
		gpa += CBIT_PAGE_SIZE;
		size -= CBIT_PAGE_SIZE;
	}
	if (!size)
		return 0;
	if (!reserve(guest))
		return -ENOMEM;
	while (at < guest->free_count && guest->free[at].gpa < gpa)
		at++;
	if (at && guest->free[at - 1].gpa + guest->free[at - 1].size == gpa) {
		guest->free[at - 1].size += size;
		if (at < guest->free_count && gpa + size == guest->free[at].gpa) {
			guest->free[at - 1].size += guest->free[at].size;
			erase(guest, at);
		}
	} else if (at < guest->free_count && gpa + size == guest->free[at].gpa) {
		guest->free[at].gpa = gpa;
		guest->free[at].size += size;
	} else {
		insert(guest, at, gpa, size);
	}
	return 0;
}

/* A page that the guest has just been given: nobody may see what was there. */
static int zero(struct cbit_guest *guest, uint64_t gpa, uint64_t size)
{
	static const uint8_t zeros[CBIT_PAGE_SIZE];

	for (uint64_t at = 0; at < size; at += sizeof(zeros))
		if (cbit_mem_write(guest->view, (struct cbit_bus){ (gpa + at) | guest->c_mask },
				   zeros, sizeof(zeros)) != CBIT_MEM_OK)
			return -ENOMEM;
	return 0;
}

int cbit_guest_alloc(struct cbit_guest *guest, uint64_t size, uint64_t align, uint64_t limit,
		     struct cbit_gpa *out)
{
	if (!size || size & ~CBIT_PAGE_MASK || !align || align & (align - 1))
		return -ENOMEM;
	if (align < CBIT_PAGE_SIZE)
		align = CBIT_PAGE_SIZE;
	for (size_t i = guest->free_count; i-- > 0;) {
		struct guest_extent e = guest->free[i];
		uint64_t end = e.gpa + e.size, gpa;

		if (limit < end - 1)
			end = (limit + 1) & CBIT_PAGE_MASK;
		if (end <= e.gpa || end - e.gpa < size)
			continue;
		gpa = (end - size) & ~(align - 1);
		if (gpa < e.gpa)
			continue;
		if (!reserve(guest))
			return -ENOMEM;
		end = e.gpa + e.size;
		guest->free[i].size = gpa - e.gpa;
		if (end > gpa + size)
			insert(guest, i + 1, gpa + size, end - (gpa + size));
		if (!guest->free[i].size)
			erase(guest, i);
		if (zero(guest, gpa, size)) {
			cbit_guest_free(guest, CBIT_GPA(gpa), size);
			return -ENOMEM;
		}
		*out = CBIT_GPA(gpa);
		return 0;
	}
	return -ENOMEM;
}

void cbit_guest_free(struct cbit_guest *guest, struct cbit_gpa gpa, uint64_t size)
{
	/* What cannot be made private again is never used again. */
	for (uint64_t at = 0; guest->pt && guest->c_mask && at < size; at += CBIT_PAGE_SIZE)
		if (cbit_guest_is_shared(guest, CBIT_GPA(gpa.v + at)) &&
		    cbit_guest_unshare(guest, CBIT_GPA(gpa.v + at), CBIT_PAGE_SIZE))
			return;
	/* Without memory for the note the pages are lost to the guest; nothing else is. */
	(void)guest_alloc_add(guest, gpa.v, size);
}

/* --- the kernel, for the DMA API --- */

static int kernel_read(void *opaque, struct cbit_phys phys, void *buf, size_t len)
{
	return cbit_guest_read(opaque, cbit_guest_direct(CBIT_GPA(phys.v)), buf, len, NULL) ==
			       CBIT_GUEST_OK
		       ? 0
		       : -EFAULT;
}

static int kernel_write(void *opaque, struct cbit_phys phys, const void *buf, size_t len)
{
	return cbit_guest_write(opaque, cbit_guest_direct(CBIT_GPA(phys.v)), buf, len, NULL) ==
			       CBIT_GUEST_OK
		       ? 0
		       : -EFAULT;
}

static int kernel_alloc(void *opaque, uint64_t size, uint64_t align, uint64_t limit,
			struct cbit_phys *out)
{
	struct cbit_gpa gpa;
	int ret = cbit_guest_alloc(opaque, size, align, limit, &gpa);

	if (!ret)
		*out = CBIT_PHYS(gpa.v);
	return ret;
}

static void kernel_free(void *opaque, struct cbit_phys phys, uint64_t size)
{
	cbit_guest_free(opaque, CBIT_GPA(phys.v), size);
}

static int kernel_set_decrypted(void *opaque, struct cbit_phys phys, uint64_t size, bool decrypted)
{
	return decrypted ? cbit_guest_share(opaque, CBIT_GPA(phys.v), size)
			 : cbit_guest_unshare(opaque, CBIT_GPA(phys.v), size);
}

static bool kernel_is_mmio(void *opaque, struct cbit_phys phys)
{
	const struct guest_slot *slot = guest_slot(opaque, phys.v);

	return slot && guest_slot_is_window(slot);
}

static enum cbit_dma_pages kernel_pages(void *opaque, struct cbit_phys phys, uint64_t size)
{
	uint64_t first = phys.v & CBIT_PAGE_MASK, last = phys.v + (size - 1);
	bool shared = cbit_guest_is_shared(opaque, CBIT_GPA(first));

	for (uint64_t at = first + CBIT_PAGE_SIZE; at <= last; at += CBIT_PAGE_SIZE)
		if (cbit_guest_is_shared(opaque, CBIT_GPA(at)) != shared)
			return CBIT_DMA_PAGES_MIXED;
	return shared ? CBIT_DMA_PAGES_PLAIN : CBIT_DMA_PAGES_C;
}

struct cbit_kernel_ops cbit_guest_kernel(void)
{
	return (struct cbit_kernel_ops){
		.read = kernel_read,
		.write = kernel_write,
		.alloc = kernel_alloc,
		.free = kernel_free,
		.set_decrypted = kernel_set_decrypted,
		.is_mmio = kernel_is_mmio,
		.pages = kernel_pages,
	};
}
