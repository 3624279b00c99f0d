/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random operations on random machines against the oracle of sim_oracle.h: outcome, fault, error
 * and bytes of every one of them.
 *
 * CBIT_SEED and CBIT_OPS replace the seed and the number of operations (2,000,000). A failure
 * prints the seed of its machine and the operations on it: CBIT_SEED=that runs it again at once.
 */
#include "sim_model_cpu.h"

#define EPISODE 3000u /* operations on one machine */

/* --- mappings --- */

static bool idle(const struct model *m, unsigned int dev)
{
	for (unsigned int i = 0; i < MAPS; i++) {
		if (m->maps[i].live && m->maps[i].dma_api && m->maps[i].dev == dev)
			return false;
	}
	return true;
}

/* Owner to slots or back; only where the owner can. */
static bool can_copy(const struct model *m, const struct mapping *map)
{
	const struct page *p = &m->pages[map->page];

	return !map->bounced ||
	       (owner(&m->w, p, false).way == WAY_OK && owner(&m->w, p, true).way == WAY_OK);
}

static unsigned int blocks_of(const struct mapping *map)
{
	return map->whole ? BLOCKS + 1 : map->nr;
}

static void bounce(struct model *m, struct mapping *map, bool to_slots)
{
	struct page *p = &m->pages[map->page];
	enum key mine = owner(&m->w, p, !to_slots).key, pool;

	pool = pool_key(&m->w, m->devs[map->dev].guest);
	for (unsigned int i = map->first; i < map->first + blocks_of(map); i++) {
		if (to_slots)
			copy_block(&map->slot[i], pool, &p->block[i], mine);
		else
			copy_block(&p->block[i], mine, &map->slot[i], pool);
	}
}

static void take_over(struct model *m, struct mapping *map)
{
	struct page *p = &m->pages[map->page];

	for (unsigned int i = 0; i < BLOCKS; i++) {
		if (map->wrote[i])
			memcpy(p->truth[i], map->shadow[i], BLOCK);
		map->wrote[i] = false;
	}
}

/* By its owner, as new memory is. */
static void zeroed(const struct model *m, struct page *p)
{
	const struct access a = owner(&m->w, p, true);

	for (unsigned int i = 0; i <= BLOCKS; i++) {
		p->block[i].place = m->op.buf * 16 + i;
		put(&p->block[i], p->truth[i], a.key);
	}
}

static void map_type1(struct model *m, struct mapping *map)
{
	const struct dev *d = &m->devs[map->dev];
	const struct page *p = &m->pages[map->page];
	bool file = flip(m), window = p->place == WINDOW;

	m->op.mapper = file ? CBIT_SIM_IOMMUFD : CBIT_SIM_TYPE1;
	m->op.rights = map->rights = 1 + below(m, 3);
	m->op.rights = map->rights =
		(map->rights & 1 ? CBIT_ATTR_READ : 0) | (map->rights & 2 ? CBIT_ATTR_WRITE : 0);
	m->op.iova = CBIT_IOVA(m->next_iova);
	m->next_iova += CBIT_PAGE_SIZE;
	map->whole = true;
	map->c = file ? m->w.sme && !window : type1_c(&m->w, p->place);
	do_op(m);
	if (file && window && m->w.kernel == L617) {
		want_refused(m, -ENOTTY);
		return;
	}
	if (d->guest ? d->emulated || d->tdisp : d->direct) {
		want_refused(m, -ENODEV);
		return;
	}
	want(m, CBIT_SIM_OK);
	if (((m->res.iopte >> m->w.c_bit & 1) != 0) != map->c && m->w.c_bit)
		failed(m, "C-bit of the entry", map->c ? "set" : "clear", "the contrary");
	map->used = map->live = true;
}

/* Which slots it got, by the address that the device is told: the same ones may come back. */
static void place_slots(const struct model *m, struct mapping *map)
{
	uint64_t at = m->res.iova.v;

	if (translated(&m->w, &m->devs[map->dev]) && m->res.iopte_valid)
		at = (m->res.iopte & UINT64_C(0xffffffff000)) | (at & ~CBIT_PAGE_MASK);
	for (unsigned int i = map->first; i <= BLOCKS; i++)
		map->slot[i].place = 0x10000000 | (uint32_t)((at >> 4) + i - map->first);
}

static void map_dma(struct model *m, struct mapping *map)
{
	static const unsigned int rights[] = { CBIT_ATTR_RW, CBIT_ATTR_READ, CBIT_ATTR_WRITE };
	const struct dev *d = &m->devs[map->dev];
	struct page *p = &m->pages[map->page];
	struct decision decision;

	/* a private window is its own device's */
	if (p->guest != d->guest || (p->tdisp && !d->tdisp))
		return;
	m->op.mapper = CBIT_SIM_DMA;
	map->dma_api = true;
	map->whole = flip(m);
	map->dir = m->op.dir = (enum cbit_dma_dir)below(m, 3);
	map->rights = rights[map->dir];
	m->op.attrs = (p->place == WINDOW && flip(m) ? CBIT_DMA_ATTR_MMIO : 0) |
		      (!below(m, 4) ? CBIT_DMA_ATTR_CC_SHARED : 0);
	if (!map->whole) {
		pick_range(m, 0, BLOCKS, &map->first, &map->nr);
	}
	decision = dma_map(&m->w, d, p, map, m->op.attrs);
	map->bounced = decision.bounce && !decision.error;
	map->c = decision.c;
	if (!can_copy(m, map))
		return;
	do_op(m);
	if (decision.error) {
		want_refused(m, decision.error);
		return;
	}
	want(m, CBIT_SIM_OK);
	if ((m->res.way == CBIT_SIM_WAY_SWIOTLB) != map->bounced)
		failed(m, "way", map->bounced ? "swiotlb" : "direct", "the contrary");
	map->used = map->live = true;
	place_slots(m, map);
	if (map->bounced)
		bounce(m, map, true);
}

static void map_coherent(struct model *m, struct mapping *map)
{
	const struct dev *d = &m->devs[map->dev];
	const struct coherent made = coherent(&m->w, d);
	struct page *p;

	m->op.buf = map->page = PAGES + below(m, PAGES);
	if (m->coherent[map->page])
		return;
	m->op.kind = CBIT_SIM_COHERENT;
	m->op.pages = 1;
	p = &m->pages[map->page];
	*p = (struct page){ .place = RAM, .guest = d->guest, .c = made.page };
	p->assigned = p->validated = d->guest && made.page && m->w.snp;
	map->dma_api = map->whole = map->coherent = map->used = map->live = true;
	map->rights = CBIT_ATTR_RW;
	map->c = made.c;
	do_op(m);
	want(m, CBIT_SIM_PLAINTEXT);
	zeroed(m, p);
	m->coherent[map->page] = true;
}

static void map(struct model *m)
{
	unsigned int index = below(m, MAPS);
	struct mapping *old = &m->maps[index], new = { 0 };

	if (old->live)
		return;
	base(m, CBIT_SIM_MAP);
	m->op.map = index;
	m->op.buf = new.page = below(m, m->nr_pages);
	m->op.dev = new.dev = below(m, DEVS);
	if (below(m, 8) == 0)
		map_coherent(m, &new);
	else if (flip(m) && !m->pages[new.page].tdisp)
		map_type1(m, &new);
	else
		map_dma(m, &new);
	if (new.used)
		*old = new;
}

/* A vIOMMU whose tables the hypervisor cannot read does not answer: what it maps stays mapped. */
static bool dead(const struct model *m, const struct mapping *map)
{
	const struct dev *d = &m->devs[map->dev];

	return map->dma_api && d->guest && translated(&m->w, d) && m->w.confidential &&
	       !m->w.tables_shared;
}

static void unmap(struct model *m)
{
	unsigned int index = below(m, MAPS);
	struct mapping *map = &m->maps[index];
	struct page *p = &m->pages[map->page];

	if (!map->live || !can_copy(m, map))
		return;
	base(m, !map->dma_api && map->rights == CBIT_ATTR_RW && flip(m) ? CBIT_SIM_UNMAP_NO_FLUSH
									: CBIT_SIM_UNMAP);
	m->op.map = index;
	m->op.buf = map->page;
	do_op(m);
	map->live = false;
	map->unflushed = m->op.kind == CBIT_SIM_UNMAP_NO_FLUSH;
	if (map->coherent) {
		want(m, CBIT_SIM_OK);
		m->coherent[map->page] = map->used = false;
		m->dead = dead(m, map);
		return;
	}
	if (dead(m, map)) {
		want_refused(m, -ETIMEDOUT);
		/* the pool has lost these slots: a new machine before it is empty */
		m->dead = true;
		map->used = false;
		return;
	}
	if (!map->dma_api) {
		want(m, CBIT_SIM_OK);
		return;
	}
	if (map->bounced && map->dir != CBIT_DMA_TO_DEVICE)
		bounce(m, map, false);
	if (map->dir != CBIT_DMA_TO_DEVICE)
		take_over(m, map);
	want_read(m, owner(&m->w, p, false), &p->block[map->first], p->truth[map->first],
		  blocks_of(map));
}

static void flush(struct model *m)
{
	unsigned int index = below(m, MAPS);

	if (!m->maps[index].used || m->maps[index].dma_api)
		return;
	base(m, CBIT_SIM_FLUSH);
	m->op.map = index;
	do_op(m);
	want(m, CBIT_SIM_OK);
	m->maps[index].unflushed = false;
}

static void sync_map(struct model *m)
{
	unsigned int index = below(m, MAPS);
	struct mapping *map = &m->maps[index];
	struct page *p = &m->pages[map->page];

	if (!map->live || !map->dma_api || !can_copy(m, map))
		return;
	base(m, flip(m) ? CBIT_SIM_SYNC_CPU : CBIT_SIM_SYNC_DEVICE);
	m->op.map = index;
	m->op.buf = map->page;
	do_op(m);
	if (m->op.kind == CBIT_SIM_SYNC_CPU) {
		if (map->bounced && map->dir != CBIT_DMA_TO_DEVICE) {
			bounce(m, map, false);
			take_over(m, map);
		}
		want_read(m, owner(&m->w, p, false), &p->block[map->first], p->truth[map->first],
			  blocks_of(map));
		return;
	}
	want(m, CBIT_SIM_OK);
	if (map->bounced && map->dir != CBIT_DMA_FROM_DEVICE) {
		bounce(m, map, true);
		memset(map->wrote, 0, sizeof(map->wrote));
	}
}

/* --- DMA --- */

/* What the owner of the place makes of a write. */
static void want_write(struct model *m, const struct mapping *map, const uint8_t *data,
		       const struct block *b, unsigned int nr)
{
	struct access back = { .key = pool_key(&m->w, m->devs[map->dev].guest) };
	enum cbit_sim_outcome outcome;

	if (!map->bounced)
		back = owner(&m->w, &m->pages[map->page], false);
	outcome = back.way == WAY_FAULT   ? CBIT_SIM_STALE
		  : back.way == WAY_ABORT ? CBIT_SIM_ABORT
					  : judge(b, data, nr, back.key);
	want(m, outcome);
}

static void dma_write(struct model *m, struct mapping *map, struct access a, unsigned int at,
		      unsigned int nr, const uint8_t *data)
{
	struct page *p = &m->pages[map->page];

	if (a.way == WAY_ABORT) {
		want(m, CBIT_SIM_LOST);
		return;
	}
	if (!map->bounced) {
		store(&p->block[at], &p->truth[at], data, nr, a.key);
		want_write(m, map, data, &p->block[at], nr);
		return;
	}
	store(&map->slot[at], &map->shadow[at], data, nr, a.key);
	memset(&map->wrote[at], 1, nr);
	want_write(m, map, data, &map->slot[at], nr);
}

static void dma_read(struct model *m, const struct mapping *map, struct access a, unsigned int at,
		     unsigned int nr)
{
	const struct page *p = &m->pages[map->page];
	uint8_t truth[BLOCKS][BLOCK];

	for (unsigned int i = 0; i < nr; i++)
		memcpy(truth[i], map->wrote[at + i] ? map->shadow[at + i] : p->truth[at + i],
		       BLOCK);
	want_read(m, a, map->bounced ? &map->slot[at] : &p->block[at], truth[0], nr);
}

static void dma(struct model *m)
{
	unsigned int index = below(m, MAPS), at, nr;
	struct mapping *map = &m->maps[index];
	bool write = flip(m);
	uint8_t data[LENGTH];
	struct access a;

	if (!map->used)
		return;
	/* An address that was given back to the DMA API may be another's by now. */
	if (!map->live && map->dma_api &&
	    (!translated(&m->w, &m->devs[map->dev]) || !idle(m, map->dev)))
		return;
	base(m, write ? CBIT_SIM_DMA_WRITE : CBIT_SIM_DMA_READ);
	m->op.map = index;
	m->op.buf = map->page;
	m->op.dev = map->dev;
	pick_range(m, map->first, map->whole ? BLOCKS : map->nr, &at, &nr);
	m->op.offset -= (uint64_t)map->first * BLOCK;
	if (write)
		fill(m, data, nr);
	a = device(&m->w, &m->devs[map->dev], &m->pages[map->page], map, write);
	do_op(m);
	if (!map->live && (!map->unflushed || m->res.outcome == CBIT_SIM_FAULT)) {
		/* the IOTLB may have it until it is told, and never after that */
		want(m, CBIT_SIM_FAULT);
		return;
	}
	if (a.way == WAY_FAULT)
		want_fault(m, a.fault);
	else if (write)
		dma_write(m, map, a, at, nr, data);
	else
		dma_read(m, map, a, at, nr);
}

/* --- interrupts --- */

static void msi(struct model *m)
{
	static const uint32_t others[] = { 0, 254, 255, 256, 4095, 32767, 32768 };
	const struct world *w = &m->w;
	uint32_t dest, reached;
	unsigned int cpus = 0;
	bool hit = false;

	if (!w->guest)
		return;
	base(m, CBIT_SIM_MSI);
	m->op.dev = 1 + below(m, DEVS - 1);
	m->op.format = w->viommu ? CBIT_MSI_FORMAT_REMAPPED
		       : flip(m) ? CBIT_MSI_FORMAT_COMPAT
				 : CBIT_MSI_FORMAT_EXT_DEST_ID;
	dest = flip(m) ? m->ids[below(m, 3)] : others[below(m, 7)];
	m->op.dest = dest;
	m->op.index = below(m, 64);
	m->op.vector = (uint8_t)(16 + below(m, 240));
	do_op(m);
	if (w->viommu && !m->xt && dest > 255) {
		want_refused(m, -EINVAL);
		return;
	}
	reached = w->viommu ? dest : m->op.format && m->ext ? dest & 0x7fff : dest & 0xff;
	for (unsigned int i = 0; i < 3; i++) {
		bool takes = m->ids[i] == reached || (reached == 255 && m->quirk);

		cpus += takes;
		hit |= takes && m->ids[i] == dest;
	}
	if (w->viommu && w->confidential && !w->tables_shared)
		cpus = 0;
	want(m, !cpus ? CBIT_SIM_LOST : hit && cpus == 1 ? CBIT_SIM_OK : CBIT_SIM_MISDIRECTED);
}

/* --- episodes --- */

static void alloc(struct model *m, enum place place, unsigned int region, bool guest)
{
	struct page *p = &m->pages[m->nr_pages];

	base(m, CBIT_SIM_ALLOC);
	m->op.buf = m->nr_pages++;
	m->op.region = region;
	m->op.pages = 1;
	m->op.guest = guest;
	m->op.c_clear = flip(m);
	*p = (struct page){ .place = place, .guest = guest };
	p->c = guest ? m->w.confidential && encrypts(place)
		     : m->w.sme && !m->op.c_clear && place != WINDOW;
	p->assigned = p->validated = guest && m->w.snp && encrypts(place);
	p->tdisp = place == WINDOW && m->devs[region - WINDOW].tdisp;
	p->c |= p->tdisp;
	do_op(m);
	want(m, CBIT_SIM_OK);
	zeroed(m, p);
}

static void power_on(struct model *m, uint64_t seed)
{
	struct cbit_sim_config *cfg = calloc(1, sizeof(*cfg));
	struct cbit_error err = { 0 };

	assert_non_null(cfg);
	m->seed = m->random = seed;
	m->nr_pages = 0;
	m->next_iova = IOVA;
	m->dead = false;
	memset(m->maps, 0, sizeof(m->maps));
	memset(m->coherent, 0, sizeof(m->coherent));
	choose(m, cfg);
	if (cbit_sim_create(cfg, &m->sim, &err))
		fail_msg("CBIT_SEED=%llu: %s", (unsigned long long)seed, err.text);
	for (unsigned int r = RAM; r <= CARD; r++) {
		alloc(m, (enum place)r, r, false);
		if (m->w.guest)
			alloc(m, (enum place)r, r, true);
	}
	if (m->w.guest)
		alloc(m, RAM, RAM, true);
	for (unsigned int d = 0; d < DEVS; d++)
		alloc(m, WINDOW, WINDOW + d, m->devs[d].guest);
	free(cfg);
}

static void step(struct model *m)
{
	switch (below(m, 16)) {
	case 0:
	case 1:
		cpu_write(m);
		break;
	case 2:
	case 3:
	case 4:
		cpu_read(m);
		break;
	case 5:
	case 6:
		map(m);
		break;
	case 7:
		unmap(m);
		break;
	case 8:
		sync_map(m);
		break;
	case 9:
		convert(m);
		break;
	case 10:
		if (below(m, 4))
			flush(m);
		else
			msi(m);
		break;
	default:
		dma(m);
		break;
	}
}

static void episode(struct model *m, uint64_t seed)
{
	uint64_t start = m->done;
	unsigned int leaks = 0;

	power_on(m, seed);
	while (m->done - start < EPISODE && leaks < 8) {
		step(m);
		leaks += m->dead;
		m->dead = false;
	}
	cbit_sim_destroy(m->sim);
	m->sim = NULL;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Every outcome that an operation can have is met: nothing here holds for want of trying. */
static void check_counts(const struct model *m)
{
	static const struct {
		enum cbit_sim_op_kind kind;
		unsigned int outcomes;
	} all[] = {
#define O(x) (1u << CBIT_SIM_##x)
		{ CBIT_SIM_WRITE, O(PLAINTEXT) | O(CIPHERTEXT) | O(LOST) | O(FAULT) },
		{ CBIT_SIM_READ, O(PLAINTEXT) | O(CIPHERTEXT) | O(STALE) | O(ABORT) | O(FAULT) },
		{ CBIT_SIM_RAW, O(PLAINTEXT) | O(CIPHERTEXT) | O(STALE) },
		{ CBIT_SIM_MAP, O(OK) | O(REFUSED) },
		{ CBIT_SIM_UNMAP, O(OK) | O(PLAINTEXT) | O(CIPHERTEXT) | O(STALE) | O(REFUSED) },
		{ CBIT_SIM_UNMAP_NO_FLUSH, O(OK) },
		{ CBIT_SIM_DMA_READ,
		  O(PLAINTEXT) | O(CIPHERTEXT) | O(STALE) | O(ABORT) | O(FAULT) },
		{ CBIT_SIM_DMA_WRITE, O(PLAINTEXT) | O(CIPHERTEXT) | O(LOST) | O(FAULT) },
		{ CBIT_SIM_SYNC_CPU, O(PLAINTEXT) | O(CIPHERTEXT) | O(STALE) },
		{ CBIT_SIM_MSI, O(OK) | O(LOST) | O(MISDIRECTED) | O(REFUSED) },
		{ CBIT_SIM_COHERENT, O(PLAINTEXT) },
		{ CBIT_SIM_PVALIDATE, O(OK) | O(REFUSED) },
#undef O
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (unsigned int o = 0; o < CBIT_SIM_NR_OUTCOMES; o++) {
			if (all[i].outcomes >> o & 1 && !m->count[all[i].kind][o])
				fail_msg("%s never came to %s", cbit_sim_op_name(all[i].kind),
					 cbit_sim_outcome_name((enum cbit_sim_outcome)o));
		}
	}
}

static void test_random(void **state)
{
	uint64_t operations = from_environment("CBIT_OPS", 2000000);
	uint64_t seed = from_environment("CBIT_SEED", 20260101);
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	assert_non_null(m);
	/* A machine's seed is the one before it plus one, so that any can be the first. */
	while (m->done < operations)
		episode(m, seed++);
	print_message("%llu operations\n", (unsigned long long)m->done);
	if (operations >= 100000)
		check_counts(m);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
