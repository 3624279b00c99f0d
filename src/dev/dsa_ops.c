/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations of the dsa engine: what a descriptor must be like, and what it does to memory.
 *
 * A read that nothing decodes gives all ones as data and a write is posted, so neither is an
 * error to the device (the master abort parameter); what the IOMMU refuses is a page fault, told
 * with its address and the bytes done before it.
 */
#include "dsa.h"

#include <string.h>

/* Flags that every operation takes; the rest below. */
#define COMMON                                                                            \
	(DSA_FLAG_COMPLETION | DSA_FLAG_REQUEST | DSA_FLAG_INTERRUPT | DSA_FLAG_CLASSES | \
	 DSA_FLAG_STRICT_ORDER)
#define WRITES (DSA_FLAG_CACHE | DSA_FLAG_READBACK)

/* What operations there are: flags, and whether @size is a number of bytes. */
static bool operation(uint32_t opcode, uint32_t *flags, bool *sized)
{
	*sized = true;
	switch (opcode) {
	case DSA_NOOP:
	case DSA_DRAIN:
	case DSA_BATCH:
		*flags = COMMON;
		*sized = false;
		return true;
	case DSA_MEMMOVE:
	case DSA_FILL:
	case DSA_DUALCAST:
		*flags = COMMON | WRITES;
		return true;
	case DSA_COMPARE:
	case DSA_COMPARE_PATTERN:
		*flags = COMMON | DSA_FLAG_CHECK_RESULT;
		return true;
	case DSA_CRC:
		*flags = COMMON | DSA_FLAG_SEED_ADDRESS;
		return true;
	case DSA_COPY_CRC:
		*flags = COMMON | WRITES | DSA_FLAG_SEED_ADDRESS;
		return true;
	default:
		return false;
	}
}

static uint64_t rest64(const struct dsa_desc *desc, unsigned int at)
{
	uint64_t v;

	memcpy(&v, desc->rest + at, sizeof(v));
	return v;
}

static bool overlap(uint64_t a, uint64_t b, uint64_t len)
{
	return a < b ? b - a < len : a - b < len;
}

/* Addresses that an operation cannot do with. */
static enum dsa_status check_addresses(const struct dsa_desc *desc)
{
	uint64_t dest2 = rest64(desc, DSA_REST_DEST2);

	switch (DSA_OPCODE(desc->op)) {
	case DSA_DUALCAST:
		if ((desc->destination ^ dest2) & 0xfff)
			return DSA_BAD_DUALCAST;
		if (overlap(desc->source, desc->destination, desc->size) ||
		    overlap(desc->source, dest2, desc->size) ||
		    overlap(desc->destination, dest2, desc->size))
			return DSA_BAD_OVERLAP;
		return DSA_SUCCESS;
	case DSA_COPY_CRC:
		return overlap(desc->source, desc->destination, desc->size) ? DSA_BAD_OVERLAP
									    : DSA_SUCCESS;
	default:
		return DSA_SUCCESS;
	}
}

enum dsa_status dsa_check(const struct dsa *dsa, const struct dsa_job *job, bool batch,
			  uint64_t *value)
{
	const struct dsa_desc *desc = &job->desc;
	const uint32_t *cfg = dsa->wqcfg[job->wq];
	uint32_t flags = DSA_FLAGS(desc->op), allowed;
	bool sized;

	if (!operation(DSA_OPCODE(desc->op), &allowed, &sized) ||
	    (batch && DSA_OPCODE(desc->op) == DSA_BATCH))
		return DSA_BAD_OPCODE;
	/* A record that is asked for needs an address; a fence is for batches. */
	if (flags & DSA_FLAG_REQUEST && !(flags & DSA_FLAG_COMPLETION))
		allowed &= ~DSA_FLAG_REQUEST;
	if (batch)
		allowed |= DSA_FLAG_FENCE;
	if (flags & ~allowed) {
		*value = flags & ~allowed;
		return DSA_BAD_FLAGS;
	}
	if (desc->pasid & DSA_PASID_RESERVED || desc->reserved)
		return DSA_BAD_RESERVED;
	if (flags & DSA_FLAG_INTERRUPT && (desc->interrupt >= DSA_VECTORS ||
					   dsa->msix_perm[desc->interrupt] & DSA_MSIX_PERM_PASID))
		return DSA_BAD_INTERRUPT;
	if (sized && (!desc->size || desc->size > UINT64_C(1) << DSA_WQ_XFER_SHIFT(cfg)))
		return DSA_BAD_SIZE;
	if (DSA_OPCODE(desc->op) == DSA_BATCH) {
		if (desc->size < 2 || desc->size > 1u << DSA_WQ_BATCH_SHIFT(cfg))
			return DSA_BAD_COUNT;
		return desc->source % sizeof(*desc) ? DSA_BAD_LIST : DSA_SUCCESS;
	}
	return check_addresses(desc);
}

static bool refused(enum pci_dma status)
{
	return status == PCI_DMA_FAULT || status == PCI_DMA_DISABLED;
}

/* struct work - one operation under way; @done bytes of it. */
struct work {
	struct dsa *dsa;
	const struct dsa_desc *desc;
	struct dsa_completion *out;
	uint64_t generation;
	uint64_t done;
};

/* False when the work is void, or there is no more. *@n: bytes of the next chunk. */
static bool next_chunk(struct work *w, size_t *n)
{
	uint64_t left = w->desc->size - w->done;

	*n = left < DSA_CHUNK ? (size_t)left : DSA_CHUNK;
	return left && atomic_load(&w->dsa->generation) == w->generation;
}

static void fault(struct work *w, uint64_t at, size_t done, bool write)
{
	w->out->status = (uint8_t)(DSA_PAGE_FAULT | (write ? DSA_STATUS_WRITE : 0));
	w->out->completed = (uint32_t)(w->done + done);
	w->out->fault_address = at + done;
}

static bool get(struct work *w, uint64_t from, void *buf, size_t n)
{
	size_t done;

	if (!refused(pci_dma_read(w->dsa->pci, from, buf, n, &done)))
		return true;
	fault(w, from, done, false);
	return false;
}

static bool put(struct work *w, uint64_t to, const void *buf, size_t n)
{
	size_t done;

	if (!refused(pci_dma_write(w->dsa->pci, to, buf, n, &done)))
		return true;
	fault(w, to, done, true);
	return false;
}

/* Both sides lie apart: the fast way. What it cannot do is found out at the slow one's pace. */
static void move(struct work *w)
{
	uint64_t from = w->desc->source, to = w->desc->destination;
	enum pci_dma read, write;
	size_t n, done;

	while (next_chunk(w, &n)) {
		pci_dma_copy(w->dsa->pci, to + w->done, from + w->done, n, w->dsa->chunk[0],
			     DSA_CHUNK, &read, &write, &done);
		if (refused(write)) {
			fault(w, to + w->done, done, true);
			return;
		}
		if (refused(read)) {
			fault(w, from + w->done, done, false);
			return;
		}
		w->done += n;
	}
}

/*
 * A chunk of a move from its end on was refused after @done bytes of it. Whoever goes on later
 * takes what is done from the end, so none of this chunk counts, and what it wrote over the source
 * is put back.
 */
static void take_back(struct work *w, uint64_t at, size_t n, size_t done)
{
	uint64_t shift = w->desc->destination - w->desc->source;

	w->out->completed = (uint32_t)w->done;
	if (w->out->status & DSA_STATUS_WRITE && shift < n)
		pci_dma_write(w->dsa->pci, w->desc->destination + at, w->dsa->chunk[0] + shift,
			      done < n - shift ? done : n - shift, NULL);
}

/* Sides that overlap, the later one first where the other order would overwrite the source. */
static void move_overlapping(struct work *w)
{
	const struct dsa_desc *d = w->desc;
	bool down = d->destination > d->source;
	size_t n;

	w->out->result = down;
	while (next_chunk(w, &n)) {
		uint64_t at = down ? d->size - w->done - n : w->done;

		if (!get(w, d->source + at, w->dsa->chunk[0], n) ||
		    !put(w, d->destination + at, w->dsa->chunk[0], n)) {
			if (down)
				take_back(w, at, n, w->out->completed - w->done);
			return;
		}
		w->done += n;
	}
}

static void fill(struct work *w)
{
	uint64_t pattern = w->desc->source;
	size_t n;

	for (size_t i = 0; i < DSA_CHUNK && i < w->desc->size + 7; i += sizeof(pattern))
		memcpy(w->dsa->chunk[0] + i, &pattern, sizeof(pattern));
	while (next_chunk(w, &n)) {
		if (!put(w, w->desc->destination + w->done, w->dsa->chunk[0], n))
			return;
		w->done += n;
	}
}

static void dualcast(struct work *w)
{
	uint64_t dest2 = rest64(w->desc, DSA_REST_DEST2);
	size_t n;

	while (next_chunk(w, &n)) {
		if (!get(w, w->desc->source + w->done, w->dsa->chunk[0], n) ||
		    !put(w, w->desc->destination + w->done, w->dsa->chunk[0], n) ||
		    !put(w, dest2 + w->done, w->dsa->chunk[0], n))
			return;
		w->done += n;
	}
}

static void compare(struct work *w, bool pattern)
{
	const struct dsa_desc *d = w->desc;
	const uint8_t *a = w->dsa->chunk[0], *b = w->dsa->chunk[1];
	uint64_t word = d->destination;
	size_t n, i;

	for (i = 0; pattern && i < DSA_CHUNK; i += sizeof(word))
		memcpy(w->dsa->chunk[1] + i, &word, sizeof(word));
	while (next_chunk(w, &n)) {
		if (!get(w, d->source + w->done, w->dsa->chunk[0], n) ||
		    (!pattern && !get(w, d->destination + w->done, w->dsa->chunk[1], n)))
			return;
		for (i = 0; i < n && a[i] == b[i]; i++)
			;
		if (i < n) {
			w->out->result = 1;
			w->out->completed = (uint32_t)(w->done + i);
			break;
		}
		w->done += n;
	}
	if (d->op & DSA_FLAG_CHECK_RESULT && w->out->result != (d->rest[DSA_REST_EXPECTED] & 1))
		w->out->status = DSA_SUCCESS_FALSE;
}

/* CRC-32C (the polynomial of iSCSI, RFC 3720 appendix B.4, reflected), four bits at a time. */
static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	while (len--) {
		crc ^= *p++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

static void checksum(struct work *w, bool copy)
{
	const struct dsa_desc *d = w->desc;
	uint32_t crc;
	size_t n;

	memcpy(&crc, d->rest + DSA_REST_SEED, sizeof(crc));
	if (d->op & DSA_FLAG_SEED_ADDRESS && !get(w, rest64(d, DSA_REST_SEED_ADDR), &crc, 4))
		return;
	crc = ~crc;
	while (next_chunk(w, &n)) {
		if (!get(w, d->source + w->done, w->dsa->chunk[0], n))
			return;
		crc = crc32c(crc, w->dsa->chunk[0], n);
		if (copy && !put(w, d->destination + w->done, w->dsa->chunk[0], n))
			return;
		w->done += n;
	}
	w->out->value = ~crc;
}

void dsa_operate(struct dsa *dsa, const struct dsa_desc *desc, uint64_t generation,
		 struct dsa_completion *out)
{
	struct work w = { .dsa = dsa, .desc = desc, .out = out, .generation = generation };

	switch (DSA_OPCODE(desc->op)) {
	case DSA_MEMMOVE:
		if (overlap(desc->source, desc->destination, desc->size))
			move_overlapping(&w);
		else
			move(&w);
		break;
	case DSA_FILL:
		fill(&w);
		break;
	case DSA_COMPARE:
	case DSA_COMPARE_PATTERN:
		compare(&w, DSA_OPCODE(desc->op) == DSA_COMPARE_PATTERN);
		break;
	case DSA_DUALCAST:
		dualcast(&w);
		break;
	case DSA_CRC:
	case DSA_COPY_CRC:
		checksum(&w, DSA_OPCODE(desc->op) == DSA_COPY_CRC);
		break;
	default:
		break; /* what was queued before has been done: nothing to drain */
	}
}
