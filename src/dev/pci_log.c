/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of DMA writes: a bit for each page of the ranges that are watched.
 *
 * Each write holds the lock for reading until its pages are marked, so whoever reads the log and
 * has the lock for writing finds every write whose bytes can be seen. The bits are one mapping of
 * which only the touched pages exist; a bit for each of those says where to look.
 */
#include "pci_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Log pages of all ranges together: a mapping of 4 GiB. Longer ranges get larger pages. */
#define BITS_LOG2   35u
#define SHIFT_MIN   12u
#define SHIFT_MAX   30u
#define CHUNK_LOG2  15u /* bits in a page of the mapping */
#define CHUNK_WORDS ((UINT64_C(1) << CHUNK_LOG2) / 64)

/* @base: the bit of the page that @first is in; a multiple of 64. */
struct range {
	uint64_t first, last;
	uint64_t base;
};

struct pci_log {
	pthread_rwlock_t lock;
	bool on;
	unsigned int shift;
	unsigned int nr;
	struct range range[CBIT_PCI_LOG_RANGES];
	uint64_t *map;
	size_t map_bytes;
	uint64_t *touched;
};

int pci_log_create(struct cbit_pci *pci)
{
	struct pci_log *log = calloc(1, sizeof(*log));
	pthread_rwlockattr_t attr;

	if (!log)
		return -ENOMEM;
	/* A reader of the log must get in however many writes there are. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&log->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pci->log = log;
	return 0;
}

static void forget(struct pci_log *log)
{
	if (log->map)
		munmap(log->map, log->map_bytes);
	free(log->touched);
	log->map = NULL;
	log->touched = NULL;
	log->on = false;
}

void pci_log_destroy(struct cbit_pci *pci)
{
	if (!pci->log)
		return;
	forget(pci->log);
	pthread_rwlock_destroy(&pci->log->lock);
	free(pci->log);
	pci->log = NULL;
}

void pci_log_lock(struct pci_log *log)
{
	pthread_rwlock_rdlock(&log->lock);
}

void pci_log_unlock(struct pci_log *log)
{
	pthread_rwlock_unlock(&log->lock);
}

static uint64_t pages_of(const struct range *r, unsigned int shift)
{
	return (r->last >> shift) - (r->first >> shift) + 1;
}

/* Where the bits of each range are; the number of all. */
static uint64_t lay_out(struct pci_log *log)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < log->nr; i++) {
		log->range[i].base = bits;
		bits += (pages_of(&log->range[i], log->shift) + 63) & ~UINT64_C(63);
		if (bits > UINT64_C(1) << BITS_LOG2)
			return bits;
	}
	return bits;
}

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static unsigned int wished_shift(uint64_t page_size)
{
	unsigned int shift = page_size ? 63 - (unsigned int)__builtin_clzll(page_size) : 0;

	return shift < SHIFT_MIN ? SHIFT_MIN : shift > SHIFT_MAX ? SHIFT_MAX : shift;
}

static int start(struct pci_log *log, const struct cbit_pci_log_range *ranges, unsigned int nr,
		 uint64_t *page_size)
{
	uint64_t bits;
	void *map;

	log->nr = 0;
	for (unsigned int i = 0; i < nr; i++) {
		if (ranges[i].first <= ranges[i].last)
			log->range[log->nr++] =
				(struct range){ ranges[i].first, ranges[i].last, 0 };
	}
	qsort(log->range, log->nr, sizeof(log->range[0]), by_first);
	log->shift = wished_shift(*page_size);
	while ((bits = lay_out(log)) > UINT64_C(1) << BITS_LOG2)
		log->shift++;
	log->map_bytes = (bits / 8 + CBIT_PAGE_SIZE) & CBIT_PAGE_MASK;
	log->touched = calloc((log->map_bytes >> CBIT_PAGE_SHIFT) / 64 + 1, sizeof(uint64_t));
	if (!log->touched)
		return -ENOMEM;
	map = mmap(NULL, log->map_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		forget(log);
		return -ENOMEM;
	}
	log->map = map;
	log->on = true;
	*page_size = UINT64_C(1) << log->shift;
	return 0;
}

int cbit_pci_log_start(struct cbit_pci *pci, const struct cbit_pci_log_range *ranges,
		       unsigned int nr, uint64_t *page_size)
{
	struct pci_log *log = pci->log;
	int ret = -EINVAL;

	pthread_rwlock_wrlock(&log->lock);
	if (!log->on && nr <= CBIT_PCI_LOG_RANGES)
		ret = start(log, ranges, nr, page_size);
	pthread_rwlock_unlock(&log->lock);
	return ret;
}

void cbit_pci_log_stop(struct cbit_pci *pci)
{
	pthread_rwlock_wrlock(&pci->log->lock);
	forget(pci->log);
	pthread_rwlock_unlock(&pci->log->lock);
}

static void set_word(uint64_t *word, uint64_t bits)
{
	/* Most pages are written more than once. */
	if ((__atomic_load_n(word, __ATOMIC_RELAXED) & bits) != bits)
		__atomic_fetch_or(word, bits, __ATOMIC_RELAXED);
}

static void set_bits(struct pci_log *log, uint64_t first, uint64_t last)
{
	for (uint64_t at = first; at <= last; at = (at | 63) + 1) {
		uint64_t end = (at | 63) < last ? at | 63 : last;

		set_word(&log->map[at / 64], UINT64_MAX >> (63 - (end - at)) << (at & 63));
	}
	for (uint64_t c = first >> CHUNK_LOG2; c <= last >> CHUNK_LOG2; c++)
		set_word(&log->touched[c / 64], UINT64_C(1) << (c & 63));
}

/* The first range that ends at @iova or behind it. */
static unsigned int range_at(const struct pci_log *log, uint64_t iova)
{
	unsigned int low = 0, high = log->nr;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (log->range[mid].last < iova)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void pci_log_mark(struct pci_log *log, uint64_t iova, uint64_t len)
{
	uint64_t last = iova + (len - 1);

	if (!log->on || !len || last < iova)
		return;
	for (unsigned int i = range_at(log, iova); i < log->nr && log->range[i].first <= last;
	     i++) {
		const struct range *r = &log->range[i];
		uint64_t a = iova > r->first ? iova : r->first, b = last < r->last ? last : r->last;
		uint64_t origin = r->first >> log->shift;

		set_bits(log, r->base + ((a >> log->shift) - origin),
			 r->base + ((b >> log->shift) - origin));
	}
}

/* struct reading - what is read; @from to @to is the run found last, if @any. */
struct reading {
	struct pci_log *log;
	uint64_t first, last;
	void (*found)(void *opaque, struct cbit_iova iova, uint64_t len);
	void *opaque;
	bool any;
	uint64_t from, to;
};

static void tell(struct reading *rd)
{
	if (rd->any)
		rd->found(rd->opaque, CBIT_IOVA(rd->from), rd->to - rd->from + 1);
	rd->any = false;
}

/* Page @page of the range is dirty: told as far as it is asked for. True: it may be forgotten. */
static bool dirty_page(struct reading *rd, const struct range *r, uint64_t page)
{
	uint64_t start = page << rd->log->shift,
		 end = start | ((UINT64_C(1) << rd->log->shift) - 1);
	uint64_t a, b;

	start = start > r->first ? start : r->first;
	end = end < r->last ? end : r->last;
	a = start > rd->first ? start : rd->first;
	b = end < rd->last ? end : rd->last;
	if (rd->any && a != rd->to + 1)
		tell(rd);
	if (!rd->any)
		rd->from = a;
	rd->any = true;
	rd->to = b;
	return a == start && b == end;
}

/* One word of the bits from @low on, of which up to @high are asked for. */
static void read_word(struct reading *rd, const struct range *r, uint64_t low, uint64_t high)
{
	uint64_t *word = &rd->log->map[low / 64], end = (low | 63) < high ? low | 63 : high;
	uint64_t mask = UINT64_MAX >> (63 - (end - low)) << (low & 63), bits = *word & mask;

	while (bits) {
		unsigned int n = (unsigned int)__builtin_ctzll(bits);
		uint64_t page =
			(r->first >> rd->log->shift) + ((low & ~UINT64_C(63)) + n - r->base);

		if (dirty_page(rd, r, page))
			*word &= ~(UINT64_C(1) << n);
		bits &= bits - 1;
	}
}

static bool chunk_empty(const struct pci_log *log, uint64_t chunk)
{
	const uint64_t *word = &log->map[chunk * CHUNK_WORDS];

	for (uint64_t i = 0; i < CHUNK_WORDS; i++) {
		if (word[i])
			return false;
	}
	return true;
}

static void read_range(struct reading *rd, const struct range *r)
{
	struct pci_log *log = rd->log;
	uint64_t origin = r->first >> log->shift;
	uint64_t a = rd->first > r->first ? rd->first : r->first;
	uint64_t b = rd->last < r->last ? rd->last : r->last;
	uint64_t low = r->base + ((a >> log->shift) - origin);
	uint64_t high = r->base + ((b >> log->shift) - origin);

	while (low <= high) {
		uint64_t chunk = low >> CHUNK_LOG2, next = (chunk + 1) << CHUNK_LOG2;

		if (!(log->touched[chunk / 64] >> (chunk & 63) & 1)) {
			low = next;
			continue;
		}
		for (; low <= high && low < next; low = (low | 63) + 1)
			read_word(rd, r, low, high);
		if (chunk_empty(log, chunk))
			log->touched[chunk / 64] &= ~(UINT64_C(1) << (chunk & 63));
	}
	tell(rd);
}

int cbit_pci_log_read(struct cbit_pci *pci, uint64_t first, uint64_t last,
		      void (*found)(void *opaque, struct cbit_iova iova, uint64_t len),
		      void *opaque)
{
	struct pci_log *log = pci->log;
	struct reading rd = {
		.log = log, .first = first, .last = last, .found = found, .opaque = opaque
	};
	int ret = 0;

	pthread_rwlock_wrlock(&log->lock);
	if (!log->on)
		ret = -EINVAL;
	for (unsigned int i = ret ? log->nr : range_at(log, first);
	     i < log->nr && log->range[i].first <= last; i++)
		read_range(&rd, &log->range[i]);
	pthread_rwlock_unlock(&log->lock);
	return ret;
}
