/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a command's data is, and moving it: PRP lists, SGLs, and the controller's own memories,
 * which it reaches without a DMA where the host told it their addresses (CMBMSC, PMRMSC).
 */
#include "nvme.h"

#include <string.h>

#define PRP_SIZE sizeof(uint64_t)
/* Entries of a list that are read at a time. */
#define PRP_CHUNK 128u
#define SGL_CHUNK 64u
/*
 * What a command's SGL may have: more segments are a chain without an end, and descriptors need not
 * have a byte of data each.
 */
#define SGL_SEGMENTS_MAX    256u
#define SGL_DESCRIPTORS_MAX 65536u

/* --- the controller's own memories --- */

enum place {
	HOST = 0,
	CMB = 1,
	PMR = 2,
};

/* Whose memory @addr is; *@offset: where in it, and *@left: how much of that follows. */
static enum place place_of(const struct nvme *n, uint64_t addr, uint64_t *offset, uint64_t *left)
{
	*left = UINT64_MAX;
	if (n->cmb_on) {
		*offset = addr - n->cmb_base;
		if (addr >= n->cmb_base && *offset < n->cmb_size) {
			*left = n->cmb_size - *offset;
			return CMB;
		}
		if (addr < n->cmb_base)
			*left = n->cmb_base - addr;
	}
	if (n->pmr.on) {
		*offset = addr - n->pmr.base;
		if (addr >= n->pmr.base && *offset < n->pmr.size) {
			*left = n->pmr.size - *offset;
			return PMR;
		}
		if (addr < n->pmr.base && n->pmr.base - addr < *left)
			*left = n->pmr.base - addr;
	}
	return HOST;
}

/* The host's CPU looks at it meanwhile: whole words, the last one last. */
static void store(uint8_t *to, const void *from, size_t len)
{
	const uint8_t *src = from;

	if (((uintptr_t)to | len) & 7 || len > NVME_BATCH * sizeof(struct nvme_cqe)) {
		memcpy(to, from, len);
		return;
	}
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v;

		memcpy(&v, src + i, sizeof(v));
		__atomic_store_n((uint64_t *)(void *)(to + i), v, __ATOMIC_RELEASE);
	}
}

/* Bytes of ours. The CPU may look at the buffer meanwhile, as at the other, by calls. */
static bool move_own(struct nvme *n, enum place place, uint64_t offset, void *buf, size_t len,
		     bool write)
{
	uint8_t *cmb;

	if (place == PMR)
		return nvme_pmr_move(n, offset, buf, len, write);
	cmb = (uint8_t *)n->pci->bar[NVME_CMB_BAR].memory + offset;
	if (write)
		store(cmb, buf, len);
	else
		memcpy(buf, cmb, len);
	return true;
}

/*
 * What nothing decoded is no error to a device: its writes are posted, and what it reads is all
 * ones where the platform says so (as for the other models).
 */
static bool arrived(enum pci_dma status)
{
	return status == PCI_DMA_OK || status == PCI_DMA_ABORT;
}

bool nvme_data_read(struct nvme *n, uint64_t addr, void *buf, size_t len)
{
	uint64_t offset, left;
	enum place place = place_of(n, addr, &offset, &left);

	if (place == HOST || len > left)
		return arrived(pci_dma_read(n->pci, addr, buf, len, NULL));
	return move_own(n, place, offset, buf, len, false);
}

bool nvme_data_write(struct nvme *n, uint64_t addr, const void *buf, size_t len)
{
	uint64_t offset, left;
	enum place place = place_of(n, addr, &offset, &left);

	if (place == HOST || len > left)
		return arrived(pci_dma_write(n->pci, addr, buf, len, NULL));
	return move_own(n, place, offset, (void *)(uintptr_t)buf, len, true);
}

bool nvme_data_move(struct nvme_worker *w, uint32_t first, uint32_t nr, uint8_t *buf, bool to_host)
{
	struct nvme *n = w->n;
	const struct cbit_dma_seg *segs = w->segs + first;
	uint32_t run = 0;

	/* Runs of segments that are not our own memory go together. */
	while (nr) {
		enum place place = HOST;
		uint64_t offset, left;
		size_t bytes = 0;

		for (run = 0; run < nr; run++) {
			place = place_of(n, segs[run].iova.v, &offset, &left);
			if (place != HOST)
				break;
			bytes += segs[run].len;
		}
		if (run && !arrived(pci_dma_vec(n->pci, segs, run, buf, to_host)))
			return false;
		buf += bytes;
		segs += run;
		nr -= run;
		if (place == HOST)
			break;
		if (!move_own(n, place, offset, buf, segs->len, to_host))
			return false;
		buf += segs->len;
		segs++;
		nr--;
	}
	return true;
}

/* --- the list of a command's segments --- */

/*
 * @left: bytes of the command that have no place yet. @sgls: descriptors looked at.
 * @places: a bit for each enum place that has some of them; @last that of the last segment.
 */
struct list {
	struct nvme_worker *w;
	struct nvme_cmd *cmd;
	uint64_t left;
	uint32_t sgls;
	unsigned int places;
	enum place last;
};

static uint16_t add_one(struct list *l, uint64_t addr, uint64_t len, enum place place)
{
	struct cbit_dma_seg *segs = l->w->segs + l->cmd->first_seg;
	struct cbit_dma_seg *last = l->cmd->nr_segs ? &segs[l->cmd->nr_segs - 1] : NULL;

	l->left -= len;
	/* What is at address 0 does not follow what is at the last. */
	if (last && last->iova.v + last->len == addr && addr && place == l->last) {
		last->len += (size_t)len;
		return NVME_OK;
	}
	if (l->cmd->first_seg + l->cmd->nr_segs == (l->cmd->to_host ? 2 : 1) * NVME_SEGS)
		return NVME_INTERNAL;
	segs[l->cmd->nr_segs++] =
		(struct cbit_dma_seg){ .iova = CBIT_IOVA(addr), .len = (size_t)len };
	l->places |= 1u << place;
	l->last = place;
	return NVME_OK;
}

/* A segment is of one memory: one of ours, or what a DMA reaches. */
static uint16_t add(struct list *l, uint64_t addr, uint64_t len)
{
	uint16_t status = NVME_OK;

	if (len > l->left)
		len = l->left;
	while (len && !status) {
		uint64_t offset, most, one;
		enum place place = place_of(l->w->n, addr, &offset, &most);

		one = len < most ? len : most;
		status = add_one(l, addr, one, place);
		addr += one;
		len -= one;
	}
	return status;
}

/* A PRP list (1.4 section 4.3): pages, and where a page of the list ends, the next such page. */
static uint16_t prp_list(struct list *l, uint64_t at, uint64_t page)
{
	uint64_t entry[PRP_CHUNK];

	if (at % PRP_SIZE)
		return NVME_PRP_OFFSET;
	while (l->left) {
		uint64_t here = (page - (at & (page - 1))) / PRP_SIZE;
		uint64_t need = (l->left + page - 1) / page;
		unsigned int nr = PRP_CHUNK, i;

		/* The last entry of a page leads on if there is more than one page of data to come.
		 */
		if (here < nr)
			nr = (unsigned int)here;
		if (need < nr)
			nr = (unsigned int)need;
		if (!nvme_data_read(l->w->n, at, entry, nr * PRP_SIZE))
			return NVME_DATA_TRANSFER;
		for (i = 0; i < nr && l->left; i++) {
			uint16_t status;

			if (i == here - 1 && l->left > page) {
				if (entry[i] & (page - 1))
					return NVME_PRP_OFFSET;
				break;
			}
			if (entry[i] & (page - 1))
				return NVME_PRP_OFFSET;
			status = add(l, entry[i], page);
			if (status)
				return status;
		}
		at = i < nr ? entry[i] : at + nr * PRP_SIZE;
	}
	return NVME_OK;
}

static uint16_t map_prp(struct list *l, const struct nvme_sqe *sqe, uint64_t page)
{
	uint64_t prp1 = sqe->dptr[0], prp2 = sqe->dptr[1];
	uint16_t status;

	if (prp1 & 3)
		return NVME_PRP_OFFSET;
	status = add(l, prp1, page - (prp1 & (page - 1)));
	if (status || !l->left)
		return status;
	if (l->left > page)
		return prp_list(l, prp2, page);
	if (prp2 & (page - 1))
		return NVME_PRP_OFFSET;
	return add(l, prp2, page);
}

static uint16_t add_data(struct list *l, const struct nvme_sgl *sgl)
{
	if (sgl->id & 0xf || sgl->id >> 4 != NVME_SGL_DATA)
		return NVME_SGL_TYPE_INVALID;
	/* SGLS says that a list may be longer than the data. */
	return sgl->len && l->left ? add(l, sgl->addr, sgl->len) : NVME_OK;
}

static bool is_segment(const struct nvme_sgl *sgl)
{
	return sgl->id >> 4 == NVME_SGL_SEGMENT || sgl->id >> 4 == NVME_SGL_LAST;
}

/* The descriptors of @seg; *@seg becomes the segment after it, of length 0 if there is none. */
static uint16_t sgl_segment(struct list *l, struct nvme_sgl *seg)
{
	const bool last = seg->id >> 4 == NVME_SGL_LAST;
	struct nvme_sgl sgl[SGL_CHUNK];
	uint64_t at = seg->addr;
	uint32_t nr = seg->len / (uint32_t)sizeof(sgl[0]);

	if (seg->id & 0xf)
		return NVME_SGL_TYPE_INVALID;
	/* Segments are qword aligned (4.4). */
	if (!seg->len || seg->len % sizeof(sgl[0]) || at & 7)
		return NVME_SGL_SEGMENT_INVALID;
	seg->len = 0;
	/* What follows the last byte of data is not looked at. */
	while (nr && l->left) {
		uint32_t n = nr < SGL_CHUNK ? nr : SGL_CHUNK;

		l->sgls += n;
		if (l->sgls > SGL_DESCRIPTORS_MAX)
			return NVME_SGL_COUNT_INVALID;
		if (!nvme_data_read(l->w->n, at, sgl, n * sizeof(sgl[0])))
			return NVME_DATA_TRANSFER;
		for (uint32_t i = 0; i < n && l->left; i++) {
			uint16_t status;

			if (is_segment(&sgl[i])) {
				if (last)
					return NVME_SGL_SEGMENT_INVALID;
				if (i + 1 != nr)
					return NVME_SGL_COUNT_INVALID;
				*seg = sgl[i];
				return NVME_OK;
			}
			status = add_data(l, &sgl[i]);
			if (status)
				return status;
		}
		at += n * sizeof(sgl[0]);
		nr -= n;
	}
	return NVME_OK;
}

static uint16_t map_sgl(struct list *l, const struct nvme_sqe *sqe)
{
	struct nvme_sgl seg;
	uint16_t status;

	memcpy(&seg, sqe->dptr, sizeof(seg));
	if (!is_segment(&seg)) {
		status = add_data(l, &seg);
		return status ? status : l->left ? NVME_SGL_LENGTH_INVALID : NVME_OK;
	}
	for (unsigned int i = 0; l->left; i++) {
		if (i == SGL_SEGMENTS_MAX)
			return NVME_SGL_COUNT_INVALID;
		status = sgl_segment(l, &seg);
		if (status)
			return status;
		if (!seg.len)
			break;
	}
	return l->left ? NVME_SGL_LENGTH_INVALID : NVME_OK;
}

/* 4.8: data of a command is all in the persistent memory region, or none of it. */
static uint16_t check_places(const struct list *l, uint16_t status)
{
	if (!status && l->places & 1u << PMR && l->places != 1u << PMR)
		return NVME_INVALID_FIELD;
	return status;
}

uint16_t nvme_data_map(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd)
{
	struct list l = { .w = w, .cmd = cmd, .left = cmd->len };

	cmd->nr_segs = 0;
	switch (NVME_PSDT(cmd->sqe.flags)) {
	case NVME_PSDT_PRP:
		return check_places(&l, map_prp(&l, &cmd->sqe, (uint64_t)1 << b->mps));
	case NVME_PSDT_SGL:
	case NVME_PSDT_SGL_MD:
		/* Admin commands use PRPs (1.4 section 4.1). */
		return b->sqid ? check_places(&l, map_sgl(&l, &cmd->sqe)) : NVME_INVALID_FIELD;
	default:
		return NVME_INVALID_FIELD;
	}
}
