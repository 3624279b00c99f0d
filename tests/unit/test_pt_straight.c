/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The short way of a walk (radix_straight.h) says what the long way says, whatever an entry on the
 * way holds. The same four levels under a fifth go the long way, so every bit of every entry is
 * turned over, and other words are put there, and both are asked.
 */
#include <errno.h>
#include <stdlib.h>

#include "pt_rig.h"

#define DRAM GIB(1) /* where frames are: see make_mem() */
#define DATA GIB(8)
#define LOW  MIB(768)
#define HOST GIB(64)
#define IOVA (GIB(700) + MIB(38) + KIB(20)) /* no index is 0, nor the same as another */

struct rig {
	struct cbit_mem *mem;
	struct cbit_pt *host;
	struct cbit_pt *guest;
	struct cbit_pt_nested four;
	struct cbit_pt_nested five; /* the short way as well */
	struct cbit_pt_nested odd;  /* the long way */
	struct cbit_bus slots[32];
	unsigned int nr_slots;
	struct cbit_spa first; /* a frame below all tables */
	struct cbit_spa top[2];
};

static uint64_t rng;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static uint64_t get(struct rig *r, unsigned int slot)
{
	uint64_t entry = 0;

	assert_int_equal(cbit_mem_read(r->mem, r->slots[slot], &entry, sizeof(entry)), CBIT_MEM_OK);
	return entry;
}

static void set(struct rig *r, unsigned int slot, uint64_t entry)
{
	assert_int_equal(cbit_mem_write(r->mem, r->slots[slot], &entry, sizeof(entry)),
			 CBIT_MEM_OK);
}

/* The four entries at whose end @iova is. */
static void add_slots(struct rig *r, struct cbit_pt *pt, bool c, uint64_t iova)
{
	uint64_t table = cbit_pt_root(pt).v;

	for (unsigned int lg2 = 39; lg2 >= 12; lg2 -= 9) {
		uint64_t at = table + (iova >> lg2 & 511) * sizeof(uint64_t);

		r->slots[r->nr_slots] = cbit_mem_bus(r->mem, CBIT_SPA(at), c);
		table = get(r, r->nr_slots++) & 0xffffffffff000 & ~C51;
	}
}

/* A fifth level above the four of @root. */
static struct cbit_bus above(struct rig *r, enum cbit_pt_format format, struct cbit_spa root,
			     bool odd)
{
	/* PR, NextLevel 4, IR, IW; P, RW, US, A */
	uint64_t *page, bits = format == CBIT_PT_AMDV1 ? 0x6000000000000801 : 0x27;

	assert_int_equal(cbit_mem_frames_alloc(r->mem, 1, CBIT_KEY_HOST, &r->top[odd]), 0);
	page = cbit_mem_page(r->mem, cbit_mem_bus(r->mem, r->top[odd], true));
	assert_non_null(page);
	page[0] = root.v | C51 | (odd ? bits ^ 0x20 : bits);
	return cbit_mem_bus(r->mem, r->top[odd], true);
}

static void up(struct rig *r, enum cbit_pt_format format, bool guest_c)
{
	struct cbit_pt_config guest = {
		.format = CBIT_PT_X86_64, .mode = 4, .max_mode = 4, .table_c = guest_c
	};
	struct cbit_pt_config host = {
		.format = format, .mode = 4, .max_mode = 4, .table_c = true
	};
	const unsigned int attrs = CBIT_ATTR_RW | CBIT_ATTR_USER;

	*r = (struct rig){ .mem = make_mem(true, 51) };
	assert_int_equal(cbit_mem_frames_alloc(r->mem, 1, CBIT_KEY_HOST, &r->first), 0);
	assert_int_equal(cbit_pt_create(r->mem, &host, &r->host), 0);
	assert_int_equal(cbit_pt_create(r->mem, &guest, &r->guest), 0);
	assert_int_equal(
		cbit_pt_map(r->guest, CBIT_IOVA(IOVA), CBIT_SPA(DATA), KIB(4), attrs, NULL), 0);
	assert_int_equal(
		cbit_pt_map(r->guest, CBIT_IOVA(IOVA + KIB(4)), CBIT_SPA(LOW), KIB(4), attrs, NULL),
		0);
	/* the guest's tables are at GPAs that equal their SPAs; page by page, so that leaves are 4
	 * KiB */
	for (uint64_t at = 0; at < MIB(1); at += KIB(4))
		assert_int_equal(cbit_pt_map(r->host, CBIT_IOVA(DRAM + at), CBIT_SPA(DRAM + at),
					     KIB(4), attrs | (guest_c ? CBIT_ATTR_ENCRYPTED : 0),
					     NULL),
				 0);
	assert_int_equal(cbit_pt_map(r->host, CBIT_IOVA(DATA), CBIT_SPA(HOST), KIB(4), attrs, NULL),
			 0);
	assert_int_equal(cbit_pt_map(r->host, CBIT_IOVA(LOW), CBIT_SPA(HOST), KIB(4), attrs, NULL),
			 0);
	r->four = (struct cbit_pt_nested){
		.guest_mode = 4,
		.gpa_bits = 47,
		.guest_root = cbit_pt_root(r->guest).v,
		.guest_c = guest_c ? C51 : 0,
		.host_format = format,
		.host_mode = 4,
		.host_root = cbit_mem_bus(r->mem, cbit_pt_root(r->host), true),
	};
	r->five = r->four;
	r->five.host_mode = 5;
	r->odd = r->five;
	r->five.host_root = above(r, format, cbit_pt_root(r->host), false);
	r->odd.host_root = above(r, format, cbit_pt_root(r->host), true);
}

static void down(struct rig *r)
{
	cbit_mem_frames_free(r->mem, r->top[0], 1);
	cbit_mem_frames_free(r->mem, r->top[1], 1);
	cbit_mem_frames_free(r->mem, r->first, 1);
	cbit_pt_destroy(r->guest);
	cbit_pt_destroy(r->host);
	cbit_mem_destroy(r->mem);
}

static void same_leaf(const struct cbit_pt_leaf *a, const struct cbit_pt_leaf *b)
{
	assert_int_equal(a->iova.v, b->iova.v);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->spa.v, b->spa.v);
	assert_int_equal(a->entry, b->entry);
	assert_int_equal(a->level, b->level);
	assert_int_equal(a->attrs, b->attrs);
}

/* One stage: @pt by itself and from its root, below a fifth level of either kind, and by the walk
 * that marks. */
static void ask_one(struct rig *r)
{
	const struct cbit_iova iova = CBIT_IOVA(DATA + 0x123);
	enum cbit_pt_format format = r->four.host_format;
	struct cbit_pt_leaf leaf, other;
	int err = cbit_pt_walk(r->host, iova, &leaf);

	assert_int_equal(cbit_pt_walk_from(r->mem, format, r->four.host_root, 4, iova, &other),
			 err);
	same_leaf(&leaf, &other);
	assert_int_equal(cbit_pt_walk_from(r->mem, format, r->five.host_root, 5, iova, &other),
			 err);
	same_leaf(&leaf, &other);
	assert_int_equal(cbit_pt_walk_from(r->mem, format, r->odd.host_root, 5, iova, &other), err);
	same_leaf(&leaf, &other);
	assert_int_equal(cbit_pt_walk_mark(r->mem, format, r->four.host_root, 4, iova, 0, &other),
			 err);
	same_leaf(&leaf, &other);
}

static void ask_both(struct rig *r)
{
	const struct cbit_iova iova = CBIT_IOVA(IOVA + 0x123);
	struct cbit_pt_nested_leaf a, b;
	int err = cbit_pt_walk_nested(r->mem, &r->four, iova, &a);

	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(cbit_pt_walk_nested(r->mem, i ? &r->odd : &r->five, iova, &b),
				 err);
		same_leaf(&a.leaf, &b.leaf);
		assert_int_equal(a.stage, b.stage);
		assert_int_equal(a.gpa, b.gpa);
		assert_int_equal(a.guest_level, b.guest_level);
		assert_int_equal(a.guest_entry, b.guest_entry);
	}
}

/* Every entry with one and two bits turned, with other words, and together with another. */
static void turn(struct rig *r, void (*ask)(struct rig *r))
{
	ask(r);
	for (unsigned int i = 0; i < r->nr_slots; i++) {
		uint64_t was = get(r, i);

		for (unsigned int bit = 0; bit < 64; bit++) {
			for (unsigned int other = 0; other <= bit; other++) {
				set(r, i,
				    was ^ (uint64_t)1 << bit ^ (uint64_t)(other < bit) << other);
				ask(r);
			}
		}
		for (unsigned int k = 0; k < 1000; k++) {
			uint64_t word = rnd();

			if (k % 3 == 1) /* the address stays */
				word = (word & ~UINT64_C(0x7fffffffff000)) |
				       (was & 0x7fffffffff000);
			else if (k % 3 == 2)
				word = get(r, (unsigned int)(word % r->nr_slots));
			set(r, i, word);
			ask(r);
		}
		set(r, i, was);
		for (unsigned int k = 0; k < 500; k++) {
			unsigned int j = (unsigned int)(rnd() % r->nr_slots);
			uint64_t also = get(r, j);

			set(r, i, was ^ (uint64_t)1 << (rnd() & 63));
			set(r, j, get(r, j) ^ (uint64_t)1 << (rnd() & 63));
			ask(r);
			set(r, j, also);
			set(r, i, was);
		}
	}
	ask(r);
}

static void test_one_stage(void **state)
{
	struct rig r;

	(void)state;
	rng = 0x5eed0001;
	for (unsigned int format = 0; format < 2; format++) {
		up(&r, format ? CBIT_PT_X86_64 : CBIT_PT_AMDV1, false);
		add_slots(&r, r.host, true, DATA);
		turn(&r, ask_one);
		down(&r);
	}
}

static void test_two_stages(void **state)
{
	struct cbit_pt_nested_leaf leaf;
	struct rig r;

	(void)state;
	rng = 0x5eed0002;
	for (unsigned int i = 0; i < 4; i++) {
		up(&r, i & 1 ? CBIT_PT_X86_64 : CBIT_PT_AMDV1, i & 2);
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.four, CBIT_IOVA(IOVA), &leaf), 0);
		assert_int_equal(leaf.leaf.spa.v, HOST);
		add_slots(&r, r.guest, i & 2, IOVA);
		/* the second stage of a table's entry, and of the page */
		add_slots(&r, r.host, true,
			  cbit_pt_root(r.guest).v + (IOVA >> 39 & 511) * sizeof(uint64_t));
		add_slots(&r, r.host, true, DATA);
		turn(&r, ask_both);
		/* the page, and then all tables, beyond the GPA's width */
		r.four.gpa_bits = 33;
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.four, CBIT_IOVA(IOVA), &leaf), -EIO);
		assert_int_equal(leaf.guest_level, 1);
		assert_int_equal(
			cbit_pt_walk_nested(r.mem, &r.four, CBIT_IOVA(IOVA + KIB(4)), &leaf), 0);
		r.four.gpa_bits = 30;
		assert_int_equal(
			cbit_pt_walk_nested(r.mem, &r.four, CBIT_IOVA(IOVA + KIB(4)), &leaf), -EIO);
		assert_int_equal(leaf.guest_level, 4);
		down(&r);
	}
}

/* A page under another key among the tables: both ways look, and see noise. */
static void test_key(void **state)
{
	struct cbit_pt_nested_leaf leaf;
	uint8_t byte = 1;
	struct rig r;

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		up(&r, i & 1 ? CBIT_PT_X86_64 : CBIT_PT_AMDV1, i & 2);
		/* in front of all tables: no run of pages under one key is left */
		cbit_mem_write(r.mem, (struct cbit_bus){ r.first.v }, &byte, 1);
		ask_one(&r);
		ask_both(&r);
		assert_int_equal(cbit_pt_walk_nested(r.mem, &r.four, CBIT_IOVA(IOVA), &leaf), 0);
		/* the guest's root, under the key that it is not read with */
		cbit_mem_write(r.mem, (struct cbit_bus){ r.four.guest_root | (i & 2 ? 0 : C51) },
			       &byte, 1);
		ask_both(&r);
		assert_int_not_equal(cbit_pt_walk_nested(r.mem, &r.four, CBIT_IOVA(IOVA), &leaf),
				     0);
		down(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_stage),
		cmocka_unit_test(test_two_stages),
		cmocka_unit_test(test_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
