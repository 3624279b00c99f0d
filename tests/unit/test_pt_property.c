/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random operations on every format against a flat model: map, unmap, unmap of parts, cuts, walks,
 * marks, dirty runs, each by the table or by a cursor.
 *
 *   CBIT_OPS=N   operations a shape (default 1000000, 10000 under sanitizers)
 *   CBIT_SEED=N         another sequence
 *
 * A failure names shape, seed and operation; the same seed fails at the same place.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "pt_rig.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OPERATIONS 10000
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OPERATIONS 10000
#endif
#endif
#ifndef OPERATIONS
#define OPERATIONS 1000000
#endif

#define WINDOW ((uint32_t)1 << 19) /* pages: 2 GiB, so that leaves of 1 GiB fit */
#define TOP    ((uint64_t)1 << 47)

/*
 * @base: IOVA of the first page of the window, @pages long. The windows lie across a border of
 * the tables of some level, or at one of the ends of what the tables decode.
 */
static const struct shape {
	const char *name;
	enum cbit_pt_format format;
	unsigned int mode, max;
	bool sign_extend;
	uint64_t base;
	uint32_t pages;
} shapes[] = {
	{ "amdv1, 1 level", CBIT_PT_AMDV1, 1, 1, false, 0, 512 },
	{ "amdv1, 2 levels", CBIT_PT_AMDV1, 2, 2, false, 0, WINDOW / 2 },
	{ "amdv1, 3 levels", CBIT_PT_AMDV1, 3, 3, false, GIB(510), WINDOW },
	{ "amdv1, 4 levels", CBIT_PT_AMDV1, 4, 4, false, GIB(511), WINDOW },
	{ "amdv1, 5 levels", CBIT_PT_AMDV1, 5, 5, false, 2 * TOP - GIB(1), WINDOW },
	{ "amdv1, 6 levels", CBIT_PT_AMDV1, 6, 6, false, -GIB(2), WINDOW },
	{ "amdv1, growing from 1", CBIT_PT_AMDV1, 1, 6, false, 0, WINDOW },
	{ "amdv1, growing from 4", CBIT_PT_AMDV1, 4, 6, false, 2 * TOP - GIB(1), WINDOW },
	{ "x86_64, 4 levels", CBIT_PT_X86_64, 4, 4, false, GIB(511), WINDOW },
	{ "x86_64, 4 levels, top", CBIT_PT_X86_64, 4, 4, false, 2 * TOP - GIB(2), WINDOW },
	{ "x86_64, 4 levels, upper half", CBIT_PT_X86_64, 4, 4, true, -TOP, WINDOW },
	{ "x86_64, 5 levels", CBIT_PT_X86_64, 5, 5, false, 2 * TOP - GIB(1), WINDOW },
	{ "x86_64, 5 levels, upper half", CBIT_PT_X86_64, 5, 5, true, -GIB(2), WINDOW },
};

/*
 * @start: first page of the leaf that a page belongs to; @lg2 its size, 0 for none. @attrs: as the
 * entry says that a walk of this page reads: hardware marks one of several. @spa: of the leaf,
 * at its first page.
 */
struct page {
	uint32_t start;
	uint8_t lg2;
	uint8_t attrs;
	uint64_t spa;
};

struct run {
	uint64_t iova;
	uint64_t len;
};

#define RUNS 4096

struct test {
	const struct shape *shape;
	struct cbit_mem *mem;
	struct cbit_pt *pt;
	struct cbit_pt_cursor cur[2];
	struct page *m;
	uint64_t sizes;
	unsigned int mode;
	uint64_t rng;
	uint64_t seed;
	uint64_t op;
	unsigned int runs;
	struct run run[RUNS];
};

#define CHECK(t, expr)                                                                          \
	do {                                                                                    \
		if (!(expr)) {                                                                  \
			fprintf(stderr, "%s, seed %llu, operation %llu: line %d: not so: %s\n", \
				(t)->shape->name, (unsigned long long)(t)->seed,                \
				(unsigned long long)(t)->op, __LINE__, #expr);                  \
			fail();                                                                 \
		}                                                                               \
	} while (0)

static uint64_t rnd(struct test *t)
{
	t->rng ^= t->rng << 13;
	t->rng ^= t->rng >> 7;
	t->rng ^= t->rng << 17;
	return t->rng;
}

static struct cbit_iova iova_of(const struct test *t, uint32_t at)
{
	return CBIT_IOVA(t->shape->base + (uint64_t)at * 4096);
}

static uint64_t bytes(uint32_t pages)
{
	return (uint64_t)pages * 4096;
}

/* --- the model --- */

/* Leaves of one table of the top's level and below. */
static uint64_t model_sizes(const struct test *t)
{
	unsigned int reach = 12 + 9 * t->mode;

	return t->sizes & (reach < 64 ? ((uint64_t)1 << reach) - 1 : ~(uint64_t)0);
}

/* The largest leaf by the definition, one candidate after the other. */
static unsigned int model_best(uint64_t sizes, uint64_t iova, uint64_t spa, uint64_t left)
{
	unsigned int best = 12;

	for (unsigned int n = 13; n < 40; n++) {
		uint64_t size = (uint64_t)1 << n;

		if (sizes & size && !(iova % size) && !(spa % size) && size <= left)
			best = n;
	}
	return best;
}

static void model_put(struct test *t, uint32_t at, unsigned int lg2, uint64_t spa,
		      unsigned int attrs)
{
	uint32_t n = 1u << (lg2 - 12);

	for (uint32_t i = 0; i < n; i++)
		t->m[at + i] =
			(struct page){ .start = at, .lg2 = (uint8_t)lg2, .attrs = (uint8_t)attrs };
	t->m[at].spa = spa;
}

/* The range in the fewest leaves. */
static void model_enter(struct test *t, uint32_t at, uint64_t spa, uint32_t pages,
			unsigned int attrs)
{
	uint64_t sizes = model_sizes(t);

	while (pages) {
		unsigned int lg2 = model_best(sizes, iova_of(t, at).v, spa, bytes(pages));
		uint32_t n = 1u << (lg2 - 12);

		model_put(t, at, lg2, spa, attrs);
		at += n;
		pages -= n;
		spa += bytes(n);
	}
}

static bool model_free(const struct test *t, uint32_t at, uint32_t pages)
{
	for (uint32_t i = 0; i < pages; i++)
		if (t->m[at + i].lg2)
			return false;
	return true;
}

/* The tables that a map needs are there afterwards, whether or not it succeeds. */
static void model_grow(struct test *t, uint64_t last)
{
	while (t->shape->format == CBIT_PT_AMDV1 && t->mode < 6 && last >> (12 + 9 * t->mode))
		t->mode++;
}

static uint64_t model_unmap(struct test *t, uint32_t at, uint32_t pages)
{
	uint64_t removed = 0;
	uint32_t i = at;

	while (i < at + pages) {
		uint32_t n = t->m[i].lg2 ? 1u << (t->m[i].lg2 - 12) : 1;

		if (!t->m[i].lg2) {
			i++;
			continue;
		}
		if (t->m[i].start != i) {
			i = t->m[i].start + n;
			continue;
		}
		memset(&t->m[i], 0, n * sizeof(t->m[i]));
		removed += bytes(n);
		i += n;
	}
	return removed;
}

/* Both sides in the fewest leaves: that is what is left when only what must be is split. */
static void model_cut(struct test *t, uint32_t at)
{
	struct page leaf;
	uint32_t start, n;

	if (at >= t->shape->pages || !t->m[at].lg2 || t->m[at].start == at)
		return;
	start = t->m[at].start;
	leaf = t->m[start];
	n = 1u << (leaf.lg2 - 12);
	for (uint32_t i = 0; i < n; i++)
		leaf.attrs |= t->m[start + i].attrs;
	model_enter(t, start, leaf.spa, at - start, leaf.attrs);
	model_enter(t, at, leaf.spa + bytes(at - start), start + n - at, leaf.attrs);
}

/* --- operations --- */

static struct cbit_pt_cursor *pick(struct test *t)
{
	return &t->cur[rnd(t) & 1];
}

static void check_leaf(struct test *t, uint32_t at, int err, const struct cbit_pt_leaf *leaf)
{
	const struct page *p;
	uint64_t iova = iova_of(t, at).v;

	if (!t->m[at].lg2) {
		CHECK(t, err == -ENOENT);
		/* nothing is mapped in the whole of the hole */
		CHECK(t, iova - leaf->iova.v < leaf->size);
		for (uint32_t i = at; i < at + 8 && i < t->shape->pages; i++)
			CHECK(t, !t->m[i].lg2 || iova_of(t, i).v - leaf->iova.v >= leaf->size);
		return;
	}
	p = &t->m[t->m[at].start];
	CHECK(t, !err);
	CHECK(t, leaf->iova.v == iova_of(t, p->start).v);
	CHECK(t, leaf->size == (uint64_t)1 << p->lg2);
	CHECK(t, leaf->spa.v == p->spa);
	CHECK(t, leaf->attrs == t->m[at].attrs);
}

static void op_walk(struct test *t, uint32_t at)
{
	struct cbit_iova iova = CBIT_IOVA(iova_of(t, at).v + rnd(t) % 4096);
	struct cbit_pt_leaf leaf;
	struct cbit_spa spa;
	int err;

	switch (rnd(t) & 3) {
	case 0:
		err = cbit_pt_walk(t->pt, iova, &leaf);
		break;
	case 1:
		err = cbit_pt_walk_from(
			t->mem, t->shape->format, cbit_mem_bus(t->mem, cbit_pt_root(t->pt), true),
			cbit_pt_mode(t->pt) | (t->shape->sign_extend ? CBIT_PT_SIGN_EXTEND : 0),
			iova, &leaf);
		break;
	case 2:
		err = cbit_pt_cursor_walk(pick(t), iova, &leaf);
		break;
	default:
		err = cbit_pt_iova_to_phys(t->pt, iova, &spa);
		CHECK(t, err == (t->m[at].lg2 ? 0 : -ENOENT));
		if (!err)
			CHECK(t, spa.v == t->m[t->m[at].start].spa +
						  (iova.v - iova_of(t, t->m[at].start).v));
		return;
	}
	check_leaf(t, at, err, &leaf);
}

static void op_map(struct test *t, uint32_t at, uint32_t pages)
{
	bool x86 = t->shape->format == CBIT_PT_X86_64;
	unsigned int attrs = (unsigned int)rnd(t) & 0xff;
	uint64_t spa = rnd(t) % (1u << 20) * 4096, done, gone;
	bool free = model_free(t, at, pages);
	int err;

	/* what the format has */
	if (x86)
		attrs = (attrs | CBIT_ATTR_READ) & ~CBIT_ATTR_CACHE;
	else
		attrs &= ~(CBIT_ATTR_USER | CBIT_ATTR_NOEXEC);
	/* Half the SPAs are congruent, as with huge pages behind them. */
	if (rnd(t) & 1)
		spa = GIB(4) + iova_of(t, at).v % GIB(1);
	if (rnd(t) & 1)
		err = cbit_pt_map(t->pt, iova_of(t, at), CBIT_SPA(spa), bytes(pages), attrs, &done);
	else
		err = cbit_pt_cursor_map(pick(t), iova_of(t, at), CBIT_SPA(spa), bytes(pages),
					 attrs, &done);
	model_grow(t, iova_of(t, at).v + bytes(pages) - 1);
	CHECK(t, cbit_pt_mode(t->pt) == t->mode);
	CHECK(t, err == (free ? 0 : -EEXIST));
	if (free) {
		CHECK(t, done == bytes(pages));
		model_enter(t, at, spa, pages, attrs);
		return;
	}
	CHECK(t, done < bytes(pages));
	if (!done)
		return;
	CHECK(t, !cbit_pt_unmap(t->pt, iova_of(t, at), done, &gone));
	CHECK(t, gone == done);
}

static void op_unmap(struct test *t, uint32_t at, uint32_t pages)
{
	uint64_t gone;

	if (rnd(t) & 1)
		CHECK(t, !cbit_pt_unmap(t->pt, iova_of(t, at), bytes(pages), &gone));
	else
		CHECK(t, !cbit_pt_cursor_unmap(pick(t), iova_of(t, at), bytes(pages), &gone));
	CHECK(t, gone == model_unmap(t, at, pages));
	if (rnd(t) & 1)
		cbit_pt_gather_free(t->pt);
}

static void op_unmap_part(struct test *t, uint32_t at, uint32_t pages)
{
	uint64_t gone;

	CHECK(t, !cbit_pt_unmap_part(t->pt, iova_of(t, at), bytes(pages), &gone));
	model_cut(t, at);
	model_cut(t, at + pages);
	CHECK(t, gone == model_unmap(t, at, pages));
}

static void op_mark(struct test *t, uint32_t at)
{
	unsigned int marks = rnd(t) & 1 ? CBIT_ATTR_ACCESSED | CBIT_ATTR_DIRTY : CBIT_ATTR_ACCESSED;
	unsigned int right = marks & CBIT_ATTR_DIRTY ? CBIT_ATTR_WRITE : CBIT_ATTR_READ;
	struct cbit_pt_leaf leaf;
	int err = cbit_pt_walk_mark(
		t->mem, t->shape->format, cbit_mem_bus(t->mem, cbit_pt_root(t->pt), true),
		cbit_pt_mode(t->pt) | (t->shape->sign_extend ? CBIT_PT_SIGN_EXTEND : 0),
		iova_of(t, at), marks, &leaf);
	unsigned int item = t->m[at].lg2 ? 9 * ((t->m[at].lg2 - 12u) / 9) : 0;
	uint32_t from = at & ~((1u << item) - 1);

	/* what one entry spans; windows start at a multiple of that */
	if (t->m[at].lg2 && t->m[at].attrs & right)
		for (uint32_t i = from; i < from + (1u << item); i++)
			t->m[i].attrs |= (uint8_t)marks;
	check_leaf(t, at, err, &leaf);
}

static void found(void *opaque, struct cbit_iova iova, uint64_t len)
{
	struct test *t = opaque;

	if (t->runs < RUNS)
		t->run[t->runs] = (struct run){ iova.v, len };
	t->runs++;
}

static bool model_dirty(const struct test *t, uint32_t at)
{
	uint32_t start = t->m[at].start, n = 1u << (t->m[at].lg2 - 12);

	for (uint32_t i = start; i < start + n; i++)
		if (t->m[i].attrs & CBIT_ATTR_DIRTY)
			return true;
	return false;
}

static void model_clean(struct test *t, uint32_t at)
{
	uint32_t start = t->m[at].start, n = 1u << (t->m[at].lg2 - 12);

	for (uint32_t i = start; i < start + n; i++)
		t->m[i].attrs &= (uint8_t)~CBIT_ATTR_DIRTY;
}

static void op_dirty(struct test *t, uint32_t at, uint32_t pages)
{
	bool clear = rnd(t) & 1;
	struct cbit_pt_dirty req = {
		.flags = clear ? 0 : CBIT_PT_DIRTY_NO_CLEAR,
		.found = found,
		.opaque = t,
	};
	struct run want = { 0 };
	unsigned int run = 0;
	uint32_t i = at, end;

	t->runs = 0;
	CHECK(t, !cbit_pt_read_dirty(t->pt, iova_of(t, at), bytes(pages), &req));
	for (; i < at + pages; i = end) {
		end = t->m[i].lg2 ? t->m[i].start + (1u << (t->m[i].lg2 - 12)) : i + 1;
		if (end > at + pages)
			end = at + pages;
		if (!t->m[i].lg2 || !model_dirty(t, i))
			continue;
		if (clear)
			model_clean(t, i);
		if (want.len && want.iova + want.len == iova_of(t, i).v) {
			want.len += bytes(end - i);
			continue;
		}
		if (want.len && run < RUNS) {
			CHECK(t, run < t->runs && t->run[run].iova == want.iova);
			CHECK(t, t->run[run].len == want.len);
			run++;
		}
		want = (struct run){ iova_of(t, i).v, bytes(end - i) };
	}
	if (want.len && run < RUNS) {
		CHECK(t, run < t->runs && t->run[run].iova == want.iova);
		CHECK(t, t->run[run].len == want.len);
		run++;
	}
	CHECK(t, run == (t->runs < RUNS ? t->runs : RUNS));
}

static void operation(struct test *t)
{
	uint32_t at = (uint32_t)(rnd(t) % t->shape->pages), pages, span = 48;

	/* mostly some pages; now and then what large leaves, and tables that become empty, need */
	if (t->op % 64 == 0)
		span = 4096;
	if (t->op % 4096 == 0)
		span = t->shape->pages;
	pages = (uint32_t)(rnd(t) % span) + 1;
	/* as much as some leaf, which need not begin there */
	if (rnd(t) % 8 == 0)
		pages = 1u << rnd(t) % (span > 4096 ? 19 : 11);
	if (rnd(t) & 1)
		at &= ~(uint32_t)(span > 4096 ? 0x3ffff : span > 48 ? 511 : 15);
	if (pages > t->shape->pages - at)
		pages = t->shape->pages - at;
	switch (rnd(t) % 16) {
	case 0 ... 4:
		op_map(t, at, pages);
		break;
	case 5 ... 6:
		op_unmap(t, at, pages);
		break;
	case 7:
		op_unmap_part(t, at, pages);
		break;
	case 8:
		CHECK(t, !cbit_pt_cut(t->pt, iova_of(t, at)));
		model_cut(t, at);
		break;
	case 9:
		op_dirty(t, at, pages);
		break;
	case 10:
		op_mark(t, at);
		break;
	default:
		op_walk(t, at);
		break;
	}
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static void run_shape(const struct shape *shape)
{
	struct cbit_pt_config cfg = {
		.format = shape->format,
		.mode = shape->mode,
		.max_mode = shape->max,
		.sign_extend = shape->sign_extend,
		.table_c = true,
	};
	struct test *t = calloc(1, sizeof(*t));
	uint64_t operations = number("CBIT_OPS", OPERATIONS), gone;
	unsigned int leaves, tables;

	assert_non_null(t);
	t->shape = shape;
	t->seed = number("CBIT_SEED", 0x123456789abcdef);
	t->rng = t->seed * 2 + 1;
	t->mode = shape->mode;
	t->m = calloc(shape->pages, sizeof(*t->m));
	assert_non_null(t->m);
	t->mem = make_mem(true, 51);
	assert_int_equal(cbit_pt_create(t->mem, &cfg, &t->pt), 0);
	t->sizes = cbit_pt_page_sizes(t->pt);
	for (unsigned int i = 0; i < ARRAY_SIZE(t->cur); i++)
		cbit_pt_cursor_init(&t->cur[i], t->pt);
	for (; t->op < operations; t->op++)
		operation(t);
	for (uint32_t at = 0; at < shape->pages; at++) {
		struct cbit_pt_leaf leaf;

		check_leaf(t, at, cbit_pt_walk(t->pt, iova_of(t, at), &leaf), &leaf);
	}
	CHECK(t, !cbit_pt_unmap(t->pt, iova_of(t, 0), bytes(shape->pages), &gone));
	CHECK(t, gone == model_unmap(t, 0, shape->pages));
	tables = count_tables(t->mem, t->pt, &leaves);
	CHECK(t, !leaves);
	/* a top that was empty when the table grew stays below the new one */
	CHECK(t, tables <= 1 + shape->max - shape->mode);
	cbit_pt_destroy(t->pt);
	cbit_mem_destroy(t->mem);
	free(t->m);
	free(t);
}

static void test_amdv1(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].format == CBIT_PT_AMDV1)
			run_shape(&shapes[i]);
}

static void test_x86_64(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].format == CBIT_PT_X86_64)
			run_shape(&shapes[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amdv1),
		cmocka_unit_test(test_x86_64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
