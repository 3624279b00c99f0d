/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOTLB: leaves by domain id, PASID, IOVA and size.
 *
 * Every field is atomic and the word with the sequence number is read before and after the
 * others. Loads are acquire and stores release, so no fence is needed: whoever sees a field of
 * a newer fill also sees its odd sequence number.
 */
#include "internal.h"

static inline unsigned int slot(uint64_t ctx, uint64_t iova, unsigned int lg2)
{
	uint64_t h = (iova >> lg2) + ctx * 0x9e3779b97f4a7c15u + (uint64_t)lg2 * 977;

	/* Neighbours get neighbouring slots: a sequential DMA never evicts itself. */
	return (unsigned int)(h ^ h >> IOTLB_LG2 ^ h >> 32) & (IOTLB_ENTRIES - 1);
}

/* A GVA or an IOVA, its size, and that there is an entry. */
static inline uint64_t make_tag(uint64_t ctx, uint64_t iova, unsigned int lg2)
{
	return iova | (ctx & IOTLB_GUEST) >> 56 | (uint64_t)lg2 << 1 | 1;
}

#define TAG_GUEST (IOTLB_GUEST >> 56)

bool cbit_iotlb_lookup(const struct iotlb *tlb, uint64_t ctx, uint64_t iova,
		       struct cbit_pt_leaf *leaf)
{
	uint64_t sizes = __atomic_load_n(&tlb->sizes, __ATOMIC_RELAXED);

	for (; sizes; sizes &= sizes - 1) {
		unsigned int lg2 = (unsigned int)__builtin_ctzll(sizes);
		uint64_t base = iova & ~(((uint64_t)1 << lg2) - 1);
		const struct iotlb_entry *e = &tlb->entry[slot(ctx, base, lg2)];
		uint64_t meta = __atomic_load_n(&e->meta, __ATOMIC_ACQUIRE);
		uint64_t spa;

		/* Also that no fill is under way. */
		if (((meta ^ ctx) & (IOTLB_IDS | IOTLB_SEQ)) ||
		    __atomic_load_n(&e->tag, __ATOMIC_ACQUIRE) != make_tag(ctx, base, lg2))
			continue;
		spa = __atomic_load_n(&e->spa, __ATOMIC_ACQUIRE);
		leaf->iova.v = base;
		leaf->size = (uint64_t)1 << lg2;
		leaf->spa.v = spa & CBIT_PAGE_MASK;
		leaf->entry = __atomic_load_n(&e->entry, __ATOMIC_ACQUIRE);
		leaf->level = (unsigned int)(spa >> 8 & 0xf);
		leaf->attrs = (uint8_t)spa;
		if (__atomic_load_n(&e->meta, __ATOMIC_ACQUIRE) == meta)
			return true;
	}
	return false;
}

void cbit_iotlb_fill(struct iotlb *tlb, uint64_t ctx, const struct cbit_pt_leaf *leaf)
{
	unsigned int lg2 = (unsigned int)__builtin_ctzll(leaf->size);
	struct iotlb_entry *e = &tlb->entry[slot(ctx, leaf->iova.v, lg2)];
	uint64_t meta = __atomic_load_n(&e->meta, __ATOMIC_RELAXED);
	uint64_t seq = meta & -IOTLB_SEQ;
	uint64_t spa = leaf->spa.v | (uint64_t)(leaf->level & 0xf) << 8 | (leaf->attrs & 0xff);

	if (!(__atomic_load_n(&tlb->sizes, __ATOMIC_RELAXED) & leaf->size))
		__atomic_fetch_or(&tlb->sizes, leaf->size, __ATOMIC_RELAXED);
	if (ctx & IOTLB_GUEST && !__atomic_load_n(&tlb->guests, __ATOMIC_RELAXED))
		__atomic_store_n(&tlb->guests, true, __ATOMIC_RELAXED);
	if (meta & IOTLB_SEQ ||
	    !__atomic_compare_exchange_n(&e->meta, &meta, meta + IOTLB_SEQ, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return; /* another fill has the slot: this leaf is walked for again */
	__atomic_store_n(&e->tag, make_tag(ctx, leaf->iova.v, lg2), __ATOMIC_RELEASE);
	__atomic_store_n(&e->spa, spa, __ATOMIC_RELEASE);
	__atomic_store_n(&e->entry, leaf->entry, __ATOMIC_RELEASE);
	__atomic_store_n(&e->meta, (seq + 2 * IOTLB_SEQ) | (ctx & IOTLB_IDS), __ATOMIC_RELEASE);
}

static inline uint64_t ids_of(const struct iotlb_entry *e)
{
	return e->meta & IOTLB_IDS;
}

static inline uint16_t domain_of(const struct iotlb_entry *e)
{
	return (uint16_t)(ids_of(e) >> IOTLB_DOMAIN_SHIFT);
}

/* The lock is held for writing: no look-up or fill runs beside this. */
static void drop(struct iotlb_entry *e)
{
	__atomic_store_n(&e->tag, 0, __ATOMIC_RELAXED);
}

void cbit_iotlb_invalidate_range(struct iotlb *tlb, uint64_t ctx, uint64_t first, uint64_t last)
{
	uint64_t guest = make_tag(ctx, 0, 0) & TAG_GUEST;
	bool scan = false;

	for (uint64_t sizes = tlb->sizes; sizes; sizes &= sizes - 1) {
		unsigned int lg2 = (unsigned int)__builtin_ctzll(sizes);
		uint64_t n = (last >> lg2) - (first >> lg2);

		if (n >= IOTLB_ENTRIES / 4) {
			scan = true;
			continue;
		}
		for (uint64_t base = first >> lg2 << lg2;; base += (uint64_t)1 << lg2) {
			struct iotlb_entry *e = &tlb->entry[slot(ctx, base, lg2)];

			if (e->tag == make_tag(ctx, base, lg2) && ids_of(e) == (ctx & IOTLB_IDS))
				drop(e);
			if (!n--)
				break;
		}
	}
	for (unsigned int i = 0; scan && i < IOTLB_ENTRIES; i++) {
		struct iotlb_entry *e = &tlb->entry[i];
		uint64_t base = e->tag & CBIT_PAGE_MASK;
		uint64_t size = (uint64_t)1 << (e->tag >> 1 & 63);

		if (e->tag && (e->tag & TAG_GUEST) == guest && ids_of(e) == (ctx & IOTLB_IDS) &&
		    base <= last && base + (size - 1) >= first)
			drop(e);
	}
}

void cbit_iotlb_invalidate_guests(struct iotlb *tlb, uint16_t domid)
{
	for (unsigned int i = 0; tlb->guests && i < IOTLB_ENTRIES; i++)
		if (tlb->entry[i].tag & TAG_GUEST && domain_of(&tlb->entry[i]) == domid)
			drop(&tlb->entry[i]);
}

void cbit_iotlb_invalidate_domain(struct iotlb *tlb, uint16_t domid)
{
	for (unsigned int i = 0; i < IOTLB_ENTRIES; i++)
		if (domain_of(&tlb->entry[i]) == domid)
			drop(&tlb->entry[i]);
}

void cbit_iotlb_invalidate_all(struct iotlb *tlb)
{
	for (unsigned int i = 0; i < IOTLB_ENTRIES; i++)
		drop(&tlb->entry[i]);
	tlb->sizes = 0; /* each costs a look-up a look */
	tlb->guests = false;
}
