/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SWIOTLB: the pool of slots that buffers are bounced through.
 *
 * Slots are found as in Linux (kernel/dma/swiotlb.c, swiotlb_search_pool_area(), one area): next
 * fit, within a segment of 128. What is free is a bitmap of 128 bits for each segment, so that a
 * run of slots is found in it by shifts, and a segment without one is passed over by a look at
 * the longest run that it can still have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dma_internal.h"

#define SLOT_SHIFT 11
#define SLOT_SIZE  CBIT_SWIOTLB_SLOT
#define SEGMENT    128u /* slots */
#define MIN_SLOTS  512u /* IO_TLB_MIN_SLABS: 1 MiB */
#define LOW        UINT64_C(0xffffffff)

__extension__ typedef unsigned __int128 slots_t;

/**
 * struct segment - 128 slots.
 * @taken:  a bit for each slot in use.
 * @first:  a bit for each that a buffer's slots begin with.
 * @longest: no run of free slots is longer.
 */
struct segment {
	slots_t taken;
	slots_t first;
	unsigned int longest;
};

/**
 * struct slot - a bounced buffer, at its first slot.
 * @owner:  NULL while the slots are being filled or freed, and when they were abandoned: nobody
 *          finds them then.
 * @offset: of the buffer behind the start of the first slot, in bytes.
 */
struct slot {
	const void *owner;
	uint64_t orig;
	uint32_t size;
	uint32_t offset;
	uint32_t slots;
};

struct cbit_swiotlb {
	struct cbit_kernel_ops ops;
	void *opaque;
	uint64_t start;
	uint64_t bytes;
	bool decrypted;
	unsigned int segments;
	pthread_mutex_t lock; /* of all below */
	struct segment *segment;
	struct slot *slot;
	uint64_t next; /* slot where the next search begins */
	uint64_t used;
	uint64_t used_most;
	uint64_t bounces;
};

static unsigned int first_bit(slots_t x)
{
	uint64_t low = (uint64_t)x;

	return low ? (unsigned int)__builtin_ctzll(low)
		   : 64 + (unsigned int)__builtin_ctzll((uint64_t)(x >> 64));
}

static unsigned int last_bit(slots_t x)
{
	uint64_t high = (uint64_t)(x >> 64);

	return high ? 127 - (unsigned int)__builtin_clzll(high)
		    : 63 - (unsigned int)__builtin_clzll((uint64_t)x);
}

static slots_t from_bit(unsigned int bit)
{
	return ~(slots_t)0 << bit;
}

static slots_t run_mask(unsigned int slot, unsigned int n)
{
	return (n == SEGMENT ? ~(slots_t)0 : (((slots_t)1 << n) - 1)) << slot;
}

static uint64_t round_up_pow2(uint64_t x)
{
	return x <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(x - 1));
}

int cbit_swiotlb_create(const struct cbit_kernel_ops *ops, void *opaque, uint64_t size,
			bool decrypt, struct cbit_swiotlb **out)
{
	const uint64_t segment = CBIT_SWIOTLB_SEGMENT;
	uint64_t slots;
	struct cbit_swiotlb *sw;
	struct cbit_phys phys;
	int err;

	if (size > LOW)
		return -ENOMEM;
	slots = round_up_pow2((size + segment - 1) / segment) * SEGMENT;
	sw = calloc(1, sizeof(*sw));
	if (!sw)
		return -ENOMEM;
	sw->ops = *ops;
	sw->opaque = opaque;
	/* swiotlb_memblock_alloc(): low memory, and less of it if need be */
	while ((err = ops->alloc(opaque, slots << SLOT_SHIFT, CBIT_PAGE_SIZE, LOW, &phys))) {
		if (err != -ENOMEM || slots <= MIN_SLOTS)
			goto free_sw;
		slots /= 2;
	}
	sw->start = phys.v;
	sw->bytes = slots << SLOT_SHIFT;
	sw->segments = (unsigned int)(slots / SEGMENT);
	sw->segment = calloc(sw->segments, sizeof(*sw->segment));
	sw->slot = calloc(slots, sizeof(*sw->slot));
	err = -ENOMEM;
	if (!sw->segment || !sw->slot)
		goto free_pool;
	for (unsigned int i = 0; i < sw->segments; i++)
		sw->segment[i].longest = SEGMENT;
	err = decrypt ? ops->set_decrypted(opaque, phys, sw->bytes, true) : 0;
	if (err)
		goto free_pool;
	sw->decrypted = decrypt;
	pthread_mutex_init(&sw->lock, NULL);
	*out = sw;
	return 0;

free_pool:
	free(sw->segment);
	free(sw->slot);
	ops->free(opaque, phys, sw->bytes);
free_sw:
	free(sw);
	return err;
}

void cbit_swiotlb_destroy(struct cbit_swiotlb *sw)
{
	const struct cbit_phys phys = CBIT_PHYS(sw->start);

	if (!sw->decrypted || !sw->ops.set_decrypted(sw->opaque, phys, sw->bytes, false))
		sw->ops.free(sw->opaque, phys, sw->bytes);
	pthread_mutex_destroy(&sw->lock);
	free(sw->segment);
	free(sw->slot);
	free(sw);
}

bool cbit_swiotlb_find(const struct cbit_swiotlb *sw, struct cbit_phys phys)
{
	return phys.v - sw->start < sw->bytes;
}

/* --- the search --- */

/**
 * struct search - what is looked for.
 * @slots: how many in a row.
 * @fit:   a bit for each slot of a segment whose address will do; the same in every segment,
 *         because what the address must fulfil repeats within one.
 */
struct search {
	unsigned int slots;
	slots_t fit;
};

/* The conditions of swiotlb_search_pool_area() on the address of the first slot. */
static slots_t fitting(const struct cbit_swiotlb *sw, const struct cbit_swiotlb_buffer *b,
		       uint64_t size)
{
	uint32_t align = b->align_mask, keep = b->min_align_mask, period;
	slots_t fit = 0;

	if (!align && !keep && size >= CBIT_PAGE_SIZE)
		align = (uint32_t)CBIT_PAGE_SIZE - 1;
	align |= (uint32_t)SLOT_SIZE - 1;
	keep &= ~align;
	if (!b->phys.v)
		keep = 0;
	period = ((align > keep ? align : keep) >> SLOT_SHIFT) + 1;
	for (uint32_t i = 0; i < period && i < SEGMENT; i++) {
		uint64_t addr = sw->start + i * SLOT_SIZE;

		if ((addr & align) || ((addr ^ b->phys.v) & keep))
			continue;
		for (uint32_t j = i; j < SEGMENT; j += period)
			fit |= (slots_t)1 << j;
		break;
	}
	return fit;
}

/* The first slot in a segment that will do, at @from or behind; -1 for none. */
static int search_segment(struct segment *s, const struct search *what, unsigned int from)
{
	slots_t run = ~s->taken;
	unsigned int have = 1;

	if (s->longest < what->slots)
		return -1;
	while (have < what->slots) {
		unsigned int k = have < what->slots - have ? have : what->slots - have;

		run &= run >> k;
		have += k;
	}
	if (!run)
		s->longest = what->slots - 1;
	run &= what->fit & from_bit(from);
	return run ? (int)first_bit(run) : -1;
}

static int64_t search_pool(struct cbit_swiotlb *sw, const struct search *what)
{
	unsigned int start = (unsigned int)(sw->next / SEGMENT), at = start;
	int slot = search_segment(&sw->segment[at], what, (unsigned int)(sw->next % SEGMENT));

	for (unsigned int i = 0; slot < 0 && i < sw->segments; i++) {
		at = at + 1 == sw->segments ? 0 : at + 1;
		slot = search_segment(&sw->segment[at], what, 0);
	}
	return slot < 0 ? -1 : (int64_t)at * SEGMENT + slot;
}

/* Takes slots for @slot, still without owner. Return: the first of them, or a negative errno. */
static int64_t take(struct cbit_swiotlb *sw, const struct search *what, const struct slot *slot)
{
	int64_t index = -ENOSPC;

	pthread_mutex_lock(&sw->lock);
	if (what->slots <= (uint64_t)sw->segments * SEGMENT - sw->used)
		index = search_pool(sw, what);
	if (index >= 0) {
		struct segment *s = &sw->segment[index / SEGMENT];
		unsigned int bit = (unsigned int)index % SEGMENT;

		s->taken |= run_mask(bit, what->slots);
		s->first |= (slots_t)1 << bit;
		sw->slot[index] = *slot;
		sw->next = (uint64_t)index + what->slots;
		if (sw->next == (uint64_t)sw->segments * SEGMENT)
			sw->next = 0;
		sw->used += what->slots;
		if (sw->used > sw->used_most)
			sw->used_most = sw->used;
		sw->bounces++;
	} else {
		index = -ENOSPC;
	}
	pthread_mutex_unlock(&sw->lock);
	return index;
}

/* With the lock held. */
static void give_back(struct cbit_swiotlb *sw, uint64_t index)
{
	struct segment *s = &sw->segment[index / SEGMENT];
	unsigned int bit = (unsigned int)(index % SEGMENT), n = sw->slot[index].slots;

	s->taken &= ~run_mask(bit, n);
	s->first &= ~((slots_t)1 << bit);
	s->longest = SEGMENT - (unsigned int)__builtin_popcountll((uint64_t)s->taken) -
		     (unsigned int)__builtin_popcountll((uint64_t)(s->taken >> 64));
	sw->slot[index] = (struct slot){ 0 };
	sw->used -= n;
}

/* The first slot of the buffer of @owner's that @phys is in, with the lock held; -1 for none. */
static int64_t lookup(const struct cbit_swiotlb *sw, const void *owner, struct cbit_phys phys)
{
	uint64_t at = (phys.v - sw->start) >> SLOT_SHIFT;
	const struct segment *s = &sw->segment[at / SEGMENT];
	unsigned int bit = (unsigned int)(at % SEGMENT);
	slots_t first = s->first & ~(from_bit(bit) << 1);
	const struct slot *slot;
	int64_t index;

	if (!((s->taken >> bit) & 1) || !first)
		return -1;
	index = (int64_t)(at - bit + last_bit(first));
	slot = &sw->slot[index];
	return slot->owner == owner ? index : -1;
}

/* --- the bytes --- */

static uint64_t left_in_page(uint64_t addr)
{
	return CBIT_PAGE_SIZE - (addr & ~CBIT_PAGE_MASK);
}

static int copy(struct cbit_swiotlb *sw, uint64_t from, uint64_t to, uint64_t size)
{
	uint8_t buf[CBIT_PAGE_SIZE];

	while (size) {
		uint64_t n = size;
		int err;

		n = n < left_in_page(from) ? n : left_in_page(from);
		n = n < left_in_page(to) ? n : left_in_page(to);
		err = sw->ops.read(sw->opaque, CBIT_PHYS(from), buf, n);
		if (!err)
			err = sw->ops.write(sw->opaque, CBIT_PHYS(to), buf, n);
		if (err)
			return err;
		from += n;
		to += n;
		size -= n;
	}
	return 0;
}

static int zero(struct cbit_swiotlb *sw, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[CBIT_PAGE_SIZE];

	while (from < to) {
		uint64_t n = to - from < left_in_page(from) ? to - from : left_in_page(from);
		int err = sw->ops.write(sw->opaque, CBIT_PHYS(from), zeros, n);

		if (err)
			return err;
		from += n;
	}
	return 0;
}

/* As iommu_dma_map_swiotlb(): only what shares pages with the buffer, the device sees no more. */
static int zero_around(struct cbit_swiotlb *sw, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;
	int err = zero(sw, addr & CBIT_PAGE_MASK, addr);

	return err ? err : zero(sw, end, (end + CBIT_PAGE_SIZE - 1) & CBIT_PAGE_MASK);
}

int cbit_swiotlb_map(struct cbit_swiotlb *sw, const struct cbit_swiotlb_buffer *b,
		     struct cbit_phys *out)
{
	/* swiotlb_align_offset() */
	uint32_t offset = (uint32_t)b->phys.v & b->min_align_mask &
			  (b->align_mask | ((uint32_t)SLOT_SIZE - 1));
	struct search what;
	struct slot slot;
	uint64_t size, addr;
	int64_t index;
	int err;

	if (b->size > CBIT_SWIOTLB_SEGMENT)
		return -EINVAL;
	size = (b->size + offset + b->align_mask) & ~(uint64_t)b->align_mask;
	if (size > CBIT_SWIOTLB_SEGMENT)
		return -EINVAL;
	what.slots = (unsigned int)((size + SLOT_SIZE - 1) >> SLOT_SHIFT);
	what.fit = fitting(sw, b, size);
	slot = (struct slot){
		.orig = b->phys.v, .size = (uint32_t)b->size, .offset = offset, .slots = what.slots
	};
	index = take(sw, &what, &slot);
	if (index < 0)
		return (int)index;
	addr = sw->start + ((uint64_t)index << SLOT_SHIFT) + offset;
	err = copy(sw, b->phys.v, addr, b->size);
	if (!err && b->zero)
		err = zero_around(sw, addr, b->size);
	pthread_mutex_lock(&sw->lock);
	if (err)
		give_back(sw, (uint64_t)index);
	else
		sw->slot[index].owner = b->owner;
	pthread_mutex_unlock(&sw->lock);
	*out = CBIT_PHYS(addr);
	return err;
}

int cbit_swiotlb_copy(struct cbit_swiotlb *sw, const void *owner, struct cbit_phys phys,
		      size_t size, enum cbit_swiotlb_copy how)
{
	struct slot slot = { 0 };
	uint64_t at = 0;
	int64_t index;

	pthread_mutex_lock(&sw->lock);
	index = lookup(sw, owner, phys);
	if (index >= 0) {
		slot = sw->slot[index];
		at = phys.v - (sw->start + ((uint64_t)index << SLOT_SHIFT) + slot.offset);
	}
	pthread_mutex_unlock(&sw->lock);
	if (index < 0)
		return -ENOENT;
	/* also when @phys is in the padding before the buffer */
	if (at > slot.size || size > slot.size - at)
		return -EINVAL;
	if (how == CBIT_SWIOTLB_NOTHING)
		return 0;
	return how == CBIT_SWIOTLB_TO_SLOTS ? copy(sw, slot.orig + at, phys.v, size)
					    : copy(sw, phys.v, slot.orig + at, size);
}

int cbit_swiotlb_unmap(struct cbit_swiotlb *sw, const void *owner, struct cbit_phys phys,
		       size_t size, bool copy_back)
{
	struct slot slot = { 0 };
	int64_t index;
	int err = 0;

	pthread_mutex_lock(&sw->lock);
	index = lookup(sw, owner, phys);
	if (index < 0 ||
	    phys.v != sw->start + ((uint64_t)index << SLOT_SHIFT) + sw->slot[index].offset)
		err = -ENOENT;
	else if (sw->slot[index].size != size)
		err = -EINVAL;
	else
		sw->slot[index].owner = NULL;
	if (!err)
		slot = sw->slot[index];
	pthread_mutex_unlock(&sw->lock);
	if (err)
		return err;
	if (copy_back)
		err = copy(sw, phys.v, slot.orig, slot.size);
	pthread_mutex_lock(&sw->lock);
	give_back(sw, (uint64_t)index);
	pthread_mutex_unlock(&sw->lock);
	return err;
}

static void leave(struct cbit_swiotlb *sw, const void *owner, bool free_slots)
{
	pthread_mutex_lock(&sw->lock);
	for (unsigned int i = 0; sw->used && i < sw->segments; i++) {
		for (slots_t first = sw->segment[i].first; first; first &= first - 1) {
			uint64_t index = (uint64_t)i * SEGMENT + first_bit(first);

			if (sw->slot[index].owner != owner)
				continue;
			if (free_slots)
				give_back(sw, index);
			else
				sw->slot[index].owner = NULL;
		}
	}
	pthread_mutex_unlock(&sw->lock);
}

void cbit_swiotlb_release(struct cbit_swiotlb *sw, const void *owner)
{
	leave(sw, owner, true);
}

void cbit_swiotlb_abandon(struct cbit_swiotlb *sw, const void *owner)
{
	leave(sw, owner, false);
}

void cbit_swiotlb_stats(struct cbit_swiotlb *sw, struct cbit_dma_stats *out)
{
	pthread_mutex_lock(&sw->lock);
	*out = (struct cbit_dma_stats){
		.slots = (uint64_t)sw->segments * SEGMENT,
		.used = sw->used,
		.used_most = sw->used_most,
		.bounces = sw->bounces,
		.pool = CBIT_PHYS(sw->start),
		.pool_size = sw->bytes,
	};
	pthread_mutex_unlock(&sw->lock);
}
