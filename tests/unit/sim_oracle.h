/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A flat oracle of who may see what: written from the rules (which key an access uses, what the
 * C-bit is to what, what the RMP refuses, what each kernel decides), without tables, walks or AES.
 * It keeps for every 16 bytes of DRAM what they are under which key.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include <errno.h>
#include <string.h>

#include <cbit/sim.h>

enum key { KEY_NONE, KEY_HOST, KEY_GUEST, NR_KEYS };
enum place { RAM, CXL, GPU, CARD, WINDOW }; /* the regions in their order, then BARs */
enum kernel { L617, L72, POSTED, COMPLETE };

#define BLOCK  16u
#define BLOCKS 8u /* that are looked at; one more stands for the rest of the page */
#define REST   BLOCKS

/**
 * struct block - 16 bytes of DRAM (of REST: all that is left), as a chip has them.
 * @place: no two blocks that exist at a time have the same.
 */
struct block {
	uint8_t raw[BLOCK];
	uint32_t place;
};

/**
 * struct page - a buffer.
 * @tdisp: the window of a device in TDISP run state, a private one.
 * @c: of the owner's leaf. @assigned, @validated: in the RMP.
 * @truth: what was last written to it by whoever could.
 */
struct page {
	enum place place;
	bool guest;
	bool tdisp;
	bool c;
	bool assigned;
	bool validated;
	struct block block[BLOCKS + 1];
	uint8_t truth[BLOCKS + 1][BLOCK];
};

/* struct dev - see struct cbit_sim_device. @mask: 0, or bits. */
struct dev {
	bool guest, emulated, direct, untrusted, tdisp;
	unsigned int mask;
};

/* struct world - a machine. @confidential: its guest. @shared_clear and so on: of its kernel. */
struct world {
	bool sme, tsme, guest, confidential, snp, npt_c, viommu;
	bool tables_shared, shared_clear, mmio_clear;
	enum kernel kernel;
	unsigned int c_bit;
};

/**
 * struct mapping - of one page for one device.
 * @first, @nr: blocks; all of the page with @whole.
 * @c: of the entry, or of the address where there is none.
 * @slot, @shadow, @wrote: of a bounce: what is there, what the device wrote and nobody took over.
 */
struct mapping {
	bool used, live, unflushed, bounced, dma_api, whole, coherent, c;
	unsigned int dev, page, first, nr;
	unsigned int rights;
	enum cbit_dma_dir dir;
	struct block slot[BLOCKS + 1];
	uint8_t shadow[BLOCKS + 1][BLOCK];
	bool wrote[BLOCKS + 1];
};

/* --- keys --- */

static inline bool encrypts(enum place place)
{
	return place != CARD && place != WINDOW;
}

enum way { WAY_OK, WAY_ABORT, WAY_FAULT };

/* What an access comes to, and under which key. */
struct access {
	enum way way;
	enum cbit_sim_fault fault;
	enum key key;
};

static inline struct access fault(enum cbit_sim_fault f)
{
	return (struct access){ .way = WAY_FAULT, .fault = f };
}

/* The host's engines: a C-bit where nothing consumes it is an address that nobody decodes. */
static inline struct access host_bus(const struct world *w, enum place place, bool c)
{
	if (!encrypts(place))
		return (struct access){ .way = c ? WAY_ABORT : WAY_OK };
	return (struct access){ .key = w->tsme || (w->sme && c) ? KEY_HOST : KEY_NONE };
}

/* C=0 of a guest, and the hypervisor's own mapping: as the NPT's leaf. */
static inline struct access npt(const struct world *w, enum place place)
{
	return host_bus(w, place, encrypts(place) && w->npt_c && w->sme);
}

static inline struct access host_cpu(const struct world *w, const struct page *p, bool write)
{
	if (write && p->assigned)
		return fault(CBIT_SIM_FAULT_PF_RMP);
	return host_bus(w, p->place, p->guest ? w->sme && p->place != WINDOW : p->c);
}

static inline struct access hypervisor(const struct world *w, const struct page *p, bool write)
{
	return write && p->assigned ? fault(CBIT_SIM_FAULT_PF_RMP) : npt(w, p->place);
}

static inline struct access guest_cpu(const struct world *w, const struct page *p, bool write)
{
	if (p->tdisp && !p->c)
		return fault(CBIT_SIM_FAULT_NPF_RMP);
	if (p->tdisp)
		return (struct access){ .key = KEY_NONE };
	if (!p->c)
		return write && p->assigned ? fault(CBIT_SIM_FAULT_NPF_RMP) : npt(w, p->place);
	if (w->snp && !p->assigned)
		return fault(CBIT_SIM_FAULT_NPF_RMP);
	if (w->snp && !p->validated)
		return fault(CBIT_SIM_FAULT_VC);
	if (!encrypts(p->place))
		return (struct access){ .way = WAY_ABORT };
	return (struct access){ .key = KEY_GUEST };
}

static inline struct access owner(const struct world *w, const struct page *p, bool write)
{
	return p->guest ? guest_cpu(w, p, write) : host_cpu(w, p, write);
}

/* The pool of a kernel: shared with the hypervisor, or plain on a host with SME. */
static inline enum key pool_key(const struct world *w, bool guest)
{
	return guest ? npt(w, RAM).key : host_bus(w, RAM, false).key;
}

/* Whether tables stand between the device and memory that its driver's kernel fills. */
static inline bool translated(const struct world *w, const struct dev *d)
{
	return !d->direct && (!d->guest || w->viommu);
}

/* --- what kernels decide --- */

static inline bool type1_c(const struct world *w, enum place place)
{
	return w->sme && !(place == WINDOW && (w->kernel == COMPLETE || w->kernel == POSTED));
}

struct decision {
	int error;
	bool bounce, c;
};

static inline struct decision refuse(int error)
{
	return (struct decision){ .error = error };
}

/* Whether a device's mask reaches an address; all memory here is above 4 GiB, a guest's below. */
static inline bool reaches(const struct world *w, const struct dev *d, const struct page *p, bool c)
{
	unsigned int bits = p->place == WINDOW ? (d->guest ? 40 : 46) : d->guest ? 32 : 34;

	if (c)
		bits = w->c_bit + 1;
	return !d->mask || d->mask >= bits;
}

static inline struct decision by_iommu(const struct world *w, const struct dev *d,
				       const struct page *p, const struct mapping *m,
				       unsigned int attrs)
{
	bool c_bit = d->guest ? w->confidential : w->sme;
	bool cc = attrs & CBIT_DMA_ATTR_CC_SHARED, mmio = attrs & CBIT_DMA_ATTR_MMIO;
	bool honours = d->guest ? w->mmio_clear : w->kernel != L617;
	bool bounce = d->untrusted && !m->whole;

	if (w->kernel != COMPLETE)
		return cc ? refuse(-EOPNOTSUPP)
			  : (struct decision){ .bounce = bounce && !mmio,
					       .c = c_bit && !(mmio && honours) };
	if (cc && !(d->guest && w->confidential))
		return refuse(-EOPNOTSUPP);
	if (mmio || p->place == WINDOW)
		return (struct decision){ .c = c_bit && !honours };
	if (!d->guest)
		return (struct decision){ .bounce = bounce, .c = !bounce && c_bit && p->c };
	bounce |= w->confidential && p->c && !cc;
	return (struct decision){ .bounce = bounce, .c = c_bit && !w->shared_clear };
}

static inline struct decision by_address(const struct world *w, const struct dev *d,
					 const struct page *p, unsigned int attrs)
{
	bool cc = attrs & CBIT_DMA_ATTR_CC_SHARED, mmio = attrs & CBIT_DMA_ATTR_MMIO;
	bool forced = d->guest && w->confidential, trusted, window = mmio || p->place == WINDOW;
	bool c = !d->guest && w->sme;

	if (w->kernel == L617 && cc)
		return refuse(-EOPNOTSUPP);
	if (w->kernel == COMPLETE) {
		if (cc && !forced)
			return refuse(-EOPNOTSUPP);
		trusted = forced && d->tdisp;
		c = (d->guest ? trusted : w->sme) && p->c && !cc;
		if (window && !reaches(w, d, p, c))
			return refuse(-ERANGE);
		if (window)
			return (struct decision){ .c = c && trusted };
		return (struct decision){ .bounce = (forced && p->c && !cc && !trusted) ||
						    !reaches(w, d, p, c),
					  .c = reaches(w, d, p, c) && c };
	}
	if (mmio && (!forced || w->kernel == L617))
		return refuse(cc ? -EOPNOTSUPP : reaches(w, d, p, false) ? 0 : -ERANGE);
	if (forced && cc)
		return refuse(reaches(w, d, p, false) ? 0 : -ERANGE);
	if (cc || mmio)
		return refuse(-EOPNOTSUPP);
	if (forced || !reaches(w, d, p, c))
		return (struct decision){ .bounce = true };
	return (struct decision){ .c = c };
}

static inline struct decision dma_map(const struct world *w, const struct dev *d,
				      const struct page *p, const struct mapping *m,
				      unsigned int attrs)
{
	/* before 6.18 there is no such attribute at all */
	if (w->kernel == L617 && attrs & CBIT_DMA_ATTR_CC_SHARED)
		return refuse(-EOPNOTSUPP);
	return translated(w, d) ? by_iommu(w, d, p, m, attrs) : by_address(w, d, p, attrs);
}

/* dma_alloc_coherent(): whether the kernel's mapping (@page) and the device's (@c) have the C-bit.
 */
struct coherent {
	bool page, c;
};

static inline struct coherent coherent(const struct world *w, const struct dev *d)
{
	bool narrow = d->mask && d->mask <= w->c_bit;

	if (!d->guest)
		return d->direct && narrow ? (struct coherent){ false, false }
					   : (struct coherent){ w->sme, w->sme };
	if (!w->confidential)
		return (struct coherent){ false, false };
	if (w->kernel == COMPLETE && d->tdisp && (translated(w, d) || !narrow))
		return (struct coherent){ true, true };
	if (!translated(w, d))
		return (struct coherent){ false, false };
	if (w->kernel != COMPLETE)
		return (struct coherent){ true, true };
	return (struct coherent){ false, !w->shared_clear };
}

/* --- DMA --- */

static inline struct access device(const struct world *w, const struct dev *d, const struct page *p,
				   const struct mapping *m, bool write)
{
	bool tables = !m->dma_api || translated(w, d);
	enum place place = m->bounced ? RAM : p->place;
	struct access a;

	if (d->guest && d->emulated && tables && w->confidential && !w->tables_shared)
		return fault(CBIT_SIM_FAULT_IOMMU);
	if (tables && !(m->rights & (write ? CBIT_ATTR_WRITE : CBIT_ATTR_READ)))
		return fault(CBIT_SIM_FAULT_IOMMU);
	if (d->guest && d->emulated) {
		/* an address with the guest's C-bit is in no memory of the hypervisor's */
		if (m->c)
			return (struct access){ .way = WAY_ABORT };
		a = m->bounced ? npt(w, RAM) : hypervisor(w, p, write);
		if (a.way == WAY_FAULT)
			a.fault = CBIT_SIM_FAULT_DMA_RMP;
		return a;
	}
	if (d->tdisp) {
		/* as the guest's own CPU by that C-bit; its pool is shared */
		struct page there = *p;

		there.c = m->c;
		a = m->bounced ? npt(w, RAM) : guest_cpu(w, &there, write);
		if (a.way == WAY_FAULT)
			a.fault = CBIT_SIM_FAULT_DMA_RMP;
		return a;
	}
	/* the IOMMU asks the RMP, reading and writing */
	if (!m->bounced && p->assigned && !(place == WINDOW))
		return fault(CBIT_SIM_FAULT_DMA_RMP);
	/* what the VMM has mapped for an assigned device has the C-bit that type1 gave it */
	return host_bus(w, place, d->guest && m->dma_api ? type1_c(w, place) : m->c);
}

/* --- bytes --- */

static inline uint64_t stir(uint64_t z)
{
	z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
}

/*
 * An engine that encrypts by key and place, in four rounds; not the one of the model. Keys must not
 * cancel each other in any order: what a kernel copies to and fro under a wrong key comes back
 * whole.
 */
static inline void engine(uint8_t bytes[BLOCK], enum key key, uint32_t place, bool decrypt)
{
	uint64_t half[2];

	if (key == KEY_NONE)
		return;
	memcpy(half, bytes, BLOCK);
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int round = decrypt ? 3 - i : i;
		uint64_t f = stir(half[1 - round % 2] + ((uint64_t)key << 40 | place) +
				  UINT64_C(0x9e3779b97f4a7c15) * (round + 1));

		half[round % 2] ^= f;
	}
	memcpy(bytes, half, BLOCK);
}

static inline void look(const struct block *b, enum key key, uint8_t out[BLOCK])
{
	memcpy(out, b->raw, BLOCK);
	engine(out, key, b->place, true);
}

static inline void put(struct block *b, const uint8_t *bytes, enum key key)
{
	memcpy(b->raw, bytes, BLOCK);
	engine(b->raw, key, b->place, false);
}

static inline bool seen(const struct block *b, enum key key, const uint8_t *want)
{
	uint8_t bytes[BLOCK];

	look(b, key, bytes);
	return !memcmp(bytes, want, BLOCK);
}

/* What reading a range of blocks as @key comes to, where @want was to be seen. */
static inline enum cbit_sim_outcome judge(const struct block *b, const uint8_t *want,
					  unsigned int nr, enum key key)
{
	for (unsigned int k = 0; k < NR_KEYS; k++) {
		enum key other = (enum key)((key + k) % NR_KEYS);
		unsigned int i = 0;

		while (i < nr && seen(&b[i], other, want + (size_t)i * BLOCK))
			i++;
		if (i == nr)
			return k ? CBIT_SIM_CIPHERTEXT : CBIT_SIM_PLAINTEXT;
	}
	return CBIT_SIM_STALE;
}

/* A kernel copies from one place to another, each by its own key. */
static inline void copy_block(struct block *to, enum key to_key, const struct block *from,
			      enum key from_key)
{
	uint8_t bytes[BLOCK];

	look(from, from_key, bytes);
	put(to, bytes, to_key);
}

#endif
