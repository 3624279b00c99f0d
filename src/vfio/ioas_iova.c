/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which addresses of an iommufd's address space are kept out, and which one a mapping gets that
 * names none (Linux 7.2: drivers/iommu/iommufd/io_pagetable.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

#define MAX_ALIGNMENT (UINT64_C(2) << 20) /* HPAGE_SIZE */

unsigned int vfio_ioas_ranges(const struct vfio_ioas *ioas, struct uapi_iova_range out[4])
{
	unsigned int n = 1;

	out[0] = (struct uapi_iova_range){ 0, UINT64_MAX };
	if (ioas->resv) {
		memcpy(out, vfio_iova_ranges, sizeof(vfio_iova_ranges));
		n = VFIO_IOVA_RANGES;
	}
	if (ioas->narrow)
		out[n - 1].last = VFIO_PASID_LAST;
	return n;
}

bool vfio_ioas_reserved(const struct vfio_ioas *ioas, uint64_t first, uint64_t last)
{
	struct uapi_iova_range r[4];
	unsigned int n = vfio_ioas_ranges(ioas, r);

	for (unsigned int i = 0; i < n; i++) {
		if (first >= r[i].start && last <= r[i].last)
			return false;
	}
	return true;
}

/* Is there anything that a new reservation must not meet? (iopt_reserve_iova) */
bool vfio_ioas_in_use(struct vfio_ioas *ioas, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < ioas->nr_allowed; i++) {
		if (ioas->allowed[i].start <= last && ioas->allowed[i].last >= first)
			return true;
	}
	return vfio_space_first(ioas->space, first, last) != NULL;
}

int vfio_ioas_reserve(struct vfio_ioas *ioas)
{
	int ret = 0;

	pthread_mutex_lock(&ioas->space->lock);
	for (unsigned int i = 1; i < VFIO_IOVA_RANGES; i++) {
		if (vfio_ioas_in_use(ioas, vfio_iova_ranges[i - 1].last + 1,
				     vfio_iova_ranges[i].start - 1))
			ret = -EADDRINUSE;
	}
	if (!ret)
		ioas->resv++;
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

void vfio_ioas_unreserve(struct vfio_ioas *ioas)
{
	pthread_mutex_lock(&ioas->space->lock);
	ioas->resv--;
	pthread_mutex_unlock(&ioas->space->lock);
}

int vfio_ioas_allow(struct vfio_ioas *ioas, struct uapi_iova_range *allowed, uint32_t nr)
{
	int ret = 0;

	pthread_mutex_lock(&ioas->space->lock);
	for (uint32_t i = 0; i < nr; i++) {
		if (vfio_ioas_reserved(ioas, allowed[i].start, allowed[i].last))
			ret = -EADDRINUSE;
	}
	if (!ret) {
		free(ioas->allowed);
		ioas->allowed = allowed;
		ioas->nr_allowed = nr;
	}
	pthread_mutex_unlock(&ioas->space->lock);
	return ret;
}

/* --- choosing an address (iopt_alloc_iova) --- */

struct fit {
	uint64_t len, align, offset; /* @offset: in its page */
};

/* Does it fit from *@start to @last? Then that is where it starts. (__alloc_iova_check_range) */
static bool fits(const struct fit *fit, uint64_t *start, uint64_t last)
{
	uint64_t at;

	if (__builtin_add_overflow(*start, fit->align - 1, &at))
		return false;
	at = (at & ~(fit->align - 1)) | fit->offset;
	if (at >= last || last - at < fit->len - 1)
		return false;
	*start = at;
	return true;
}

/* The first free place of @from..@last. */
static bool find_hole(struct vfio_ioas *ioas, const struct fit *fit, uint64_t from, uint64_t last,
		      uint64_t *iova)
{
	struct uapi_iova_range r[4];
	unsigned int n = vfio_ioas_ranges(ioas, r);

	if (!fits(fit, &from, last))
		return false;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t at = from > r[i].start ? from : r[i].start;
		uint64_t to = last < r[i].last ? last : r[i].last;

		while (at <= to) {
			struct vfio_mapping *m = vfio_space_first(ioas->space, at, to);
			uint64_t end = m ? m->iova - 1 : to;

			if ((!m || m->iova > at) && fits(fit, &at, end)) {
				*iova = at;
				return true;
			}
			if (!m || __builtin_add_overflow(m->iova, m->size, &at))
				break;
		}
	}
	return false;
}

static uint64_t round_up_power(uint64_t n)
{
	return n <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(n - 1));
}

int vfio_ioas_choose(struct vfio_ioas *ioas, uint64_t addr, uint64_t len, uint64_t *iova)
{
	const uint64_t lowest = CBIT_PAGE_SIZE, highest = UINT64_MAX - CBIT_PAGE_SIZE;
	struct fit fit = { .len = len, .offset = addr & ~CBIT_PAGE_MASK };

	if (!len || len >= UINT64_MAX / 2)
		return -EOVERFLOW;
	fit.align = round_up_power(len);
	if (addr && (addr & -addr) < fit.align)
		fit.align = addr & -addr;
	if (fit.align > MAX_ALIGNMENT)
		fit.align = MAX_ALIGNMENT;
	if (fit.align < ioas->alignment)
		return -EINVAL;
	if (!ioas->nr_allowed)
		return find_hole(ioas, &fit, lowest, highest, iova) ? 0 : -ENOSPC;
	for (uint32_t i = 0, next; i < ioas->nr_allowed; i = next) {
		uint64_t from = ioas->allowed[i].start, last = ioas->allowed[i].last;

		/* Ranges side by side are one. */
		for (next = i + 1; next < ioas->nr_allowed && ioas->allowed[next].start == last + 1;
		     next++)
			last = ioas->allowed[next].last;
		from = from < lowest ? lowest : from;
		last = last > highest ? highest : last;
		if (from <= last && find_hole(ioas, &fit, from, last, iova))
			return 0;
	}
	return -ENOSPC;
}
