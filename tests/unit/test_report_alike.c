/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reports: mapping calls that are alike are one finding, which counts them and says where they are;
 * what differs stays a finding of its own.
 */
#include "report_rig.h"

#define BAR   UINT64_C(0x200000000000)
#define PAGES 600u

static void tell(struct cbit_report *report, const struct cbit_event *ev)
{
	struct cbit_observer observer = cbit_report_observer(report);

	observer.event(observer.opaque, ev);
}

/* Call @id maps page @page of the BAR, or DMA meets that. */
static struct cbit_event page(enum cbit_event_type type, uint64_t id, uint64_t page)
{
	const uint64_t at = page << CBIT_PAGE_SHIFT;

	return (struct cbit_event){
		.type = type,
		.devid = 0x100,
		.write = true,
		.spa_valid = true,
		.iova = CBIT_IOVA(0x20000000 + at),
		.spa = CBIT_SPA(BAR + at),
		.len = CBIT_PAGE_SIZE,
		.entry = C_MASK | 0x7000000000000001 | (BAR + at),
		.c_mask = C_MASK,
		.region = "0000:02:00.0 bar2",
		.kind = CBIT_MEM_MMIO,
		.mapping = { .id = id,
			     .iova = CBIT_IOVA(0x20000000 + at),
			     .size = CBIT_PAGE_SIZE,
			     .vaddr = 0x7f0000000000 + at,
			     .pid = 4711,
			     .attrs = CBIT_ATTR_RW,
			     .trace = 7 },
	};
}

static void map_pages(struct cbit_report *report)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		/* Not in order: 7 and 600 have no divisor in common. */
		const struct cbit_event ev =
			page(CBIT_EVENT_MMIO_ENCRYPTED, 10 + i, (7 * i + 300) % PAGES);

		tell(report, &ev);
	}
}

static void test_one_text(void **state)
{
	struct cbit_report *report = *state;

	map_pages(report);
	assert_int_equal(cbit_report_count(report), 1);
	/* The first one whole, the others by their number and where all of them are. */
	assert_int_equal(times(report, "    mapping: call 10 of process 4711: IOVA 0x2012c000 "),
			 1);
	assert_int_equal(times(report, "    alike:   599 more mapping calls of 0000:02:00.0 bar2; "
				       "in all IOVA 0x20000000 to 0x20257fff -> "
				       "SPA 0x200000000000 to 0x200000257fff\n"),
			 1);
	assert_int_equal(times(report, "runs of this mapping"), 0);
	assert_int_equal(times(report, "cbit: 1 finding\n"), 1);
}

/* A call alone is told as ever. */
static void test_no_other(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = page(CBIT_EVENT_MMIO_ENCRYPTED, 1, 0);

	tell(report, &ev);
	ev = page(CBIT_EVENT_MMIO_ENCRYPTED, 1, 9);
	tell(report, &ev);
	ev = page(CBIT_EVENT_DMA_ABORT, 1, 9);
	tell(report, &ev);
	assert_int_equal(times(report, "alike:"), 0);
	assert_int_equal(times(report, "by mapping call"), 0);
	assert_int_equal(times(report, "; and 1 more run of this mapping\n"), 1);
	ev = page(CBIT_EVENT_MMIO_ENCRYPTED, 2, 3);
	tell(report, &ev);
	assert_int_equal(times(report, "alike:   1 more mapping call of "), 1);
}

/* The runs of a call are one call, also while other threads map. */
static void test_runs(void **state)
{
	struct cbit_report *report = *state;

	for (unsigned int i = 0; i < 12; i++) {
		const struct cbit_event ev = page(CBIT_EVENT_MMIO_ENCRYPTED, 1 + i % 3, 2 * i);

		tell(report, &ev);
	}
	assert_int_equal(cbit_report_count(report), 1);
	assert_int_equal(times(report, "alike:   2 more mapping calls "), 1);
	/* Calls 1, 2 and 3 in turn: 1 has four runs. */
	assert_int_equal(times(report, "; and 3 more runs of this mapping\n"), 1);
	assert_int_equal(times(report, "SPA 0x200000000000 to 0x200000016fff\n"), 1);
}

/* Each of these is not like the first, and like nothing else. */
static void test_distinct(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev[] = {
		page(CBIT_EVENT_MMIO_ENCRYPTED, 1, 0), page(CBIT_EVENT_MMIO_ENCRYPTED, 2, 1),
		page(CBIT_EVENT_MMIO_ENCRYPTED, 3, 2), page(CBIT_EVENT_MMIO_ENCRYPTED, 4, 3),
		page(CBIT_EVENT_MMIO_ENCRYPTED, 5, 4), page(CBIT_EVENT_MMIO_ENCRYPTED, 6, 5),
		page(CBIT_EVENT_MMIO_ENCRYPTED, 7, 6), page(CBIT_EVENT_DMA_WRONG_KEY, 8, 7),
	};
	const unsigned int nr = sizeof(ev) / sizeof(ev[0]);

	ev[1].region = "0000:02:00.0 bar0";
	ev[2].region = "0000:03:00.0 bar2";
	ev[3].mapping.pid = 4712;
	ev[4].mapping.trace = 8;
	ev[5].mapping.attrs = CBIT_ATTR_READ;
	ev[6].mapping.backing = CBIT_BACKING_DMABUF;
	for (unsigned int i = 0; i < nr; i++)
		tell(report, &ev[i]);
	assert_int_equal(cbit_report_count(report), nr);
	assert_int_equal(times(report, "alike:"), 0);
	/* Once more each, by other calls: only a wrong key stays a matter of the call. */
	for (unsigned int i = 0; i < nr; i++) {
		ev[i].mapping.id += 100;
		tell(report, &ev[i]);
	}
	assert_int_equal(cbit_report_count(report), nr + 1);
	assert_int_equal(times(report, "alike:   1 more mapping call of "), nr - 1);
}

/* Without backtraces it is the BAR, the process and the rights. */
static void test_no_trace(void **state)
{
	struct cbit_report *report = *state;

	for (unsigned int i = 0; i < 5; i++) {
		struct cbit_event ev = page(CBIT_EVENT_MMIO_ENCRYPTED, 1 + i, i);

		ev.mapping.trace = 0;
		tell(report, &ev);
	}
	assert_int_equal(cbit_report_count(report), 1);
	assert_int_equal(times(report, "alike:   4 more mapping calls "), 1);
}

static json_int_t int_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void same_hex(const json_t *object, const char *key, uint64_t v)
{
	const char *text = json_string_value(json_object_get(object, key));
	char *end;

	assert_non_null(text);
	assert_int_equal(strtoull(text, &end, 16), v);
	assert_int_equal(*end, 0);
}

/* A DMA says by which of the calls; JSON has the same in numbers. */
static void test_dma(void **state)
{
	struct cbit_report *report = *state;
	const json_t *f, *part, *hits;
	struct cbit_event ev;
	json_t *root;
	char *text;

	map_pages(report);
	for (unsigned int i = 0; i < 6; i++) {
		ev = page(CBIT_EVENT_DMA_ABORT, 500 + i, i);
		tell(report, &ev);
	}
	assert_int_equal(cbit_report_count(report), 1);
	assert_int_equal(times(report, "    dma:     device 0000:01:00.0 write IOVA 0x20001000 "
				       "SPA 0x200000001000 length 0x1000 by mapping call 501: "
				       "lost (master abort)\n"),
			 1);
	assert_int_equal(times(report, "    dma:     and 2 more\n"), 1);
	assert_int_equal(times(report, "alike:   599 more mapping calls "), 1);

	text = cbit_report_json(report);
	assert_non_null(text);
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	f = json_array_get(json_object_get(root, "findings"), 0);
	part = json_object_get(f, "alike");
	assert_int_equal(int_of(part, "calls"), PAGES - 1);
	same_hex(part, "iova", 0x20000000);
	same_hex(part, "iova_last", 0x20257fff);
	same_hex(part, "spa", BAR);
	same_hex(part, "spa_last", BAR + 0x257fff);
	assert_int_equal(int_of(f, "hit_count"), 6);
	hits = json_object_get(f, "hits");
	assert_int_equal(json_array_size(hits), 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(int_of(json_array_get(hits, i), "call"), 500 + i);
	json_decref(root);
	free(text);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_text), T(test_no_other), T(test_runs),
		T(test_distinct), T(test_no_trace), T(test_dma),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
