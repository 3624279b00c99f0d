/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reports: what becomes one finding, what is counted, and the two renderings.
 */
#include "report_rig.h"

static void tell(struct cbit_report *report, struct cbit_event ev)
{
	struct cbit_observer observer = cbit_report_observer(report);

	ev.c_mask = C_MASK;
	observer.event(observer.opaque, &ev);
}

static struct cbit_event event(enum cbit_event_type type, uint64_t mapping)
{
	struct cbit_event ev = { .type = type,
				 .devid = 0x100,
				 .spa_valid = true,
				 .iova = CBIT_IOVA(0x10040),
				 .spa = CBIT_SPA(0x200000000040),
				 .len = 0x200,
				 .key_used = "no key",
				 .key_right = "host key" };

	if (mapping)
		ev.mapping = (struct cbit_mapping_info){ .id = mapping,
							 .iova = CBIT_IOVA(0x10000),
							 .size = 0x4000,
							 .vaddr = 0x7f0000000000,
							 .pid = 4711,
							 .attrs = CBIT_ATTR_READ };
	return ev;
}

static struct cbit_event bar_event(enum cbit_event_type type, uint64_t mapping)
{
	struct cbit_event ev = event(type, mapping);

	ev.region = "0000:02:00.0 bar2";
	ev.kind = CBIT_MEM_MMIO;
	ev.entry = C_MASK | 0x7000200000000001;
	return ev;
}

static void ends_with(struct cbit_report *report, const char *line)
{
	char *text = cbit_report_text(report);

	assert_non_null(text);
	assert_true(strlen(text) >= strlen(line));
	assert_string_equal(text + strlen(text) - strlen(line), line);
	free(text);
}

static void test_ids(void **state)
{
	static const struct {
		enum cbit_event_type type;
		bool write, region, c;
		const char *id;
		enum cbit_mem_kind kind;
		enum cbit_backing backing;
	} cases[] = {
		{ CBIT_EVENT_MMIO_ENCRYPTED, false, true, true, "mmio-encrypted" },
		{ CBIT_EVENT_DMA_NOT_MAPPED, true, false, false, "dma-buf-revoked",
		  .backing = CBIT_BACKING_REVOKED },
		{ CBIT_EVENT_DMA_NOT_MAPPED, true, false, false, "iova-not-mapped",
		  .backing = CBIT_BACKING_DMABUF },
		{ CBIT_EVENT_DMA_NOT_MAPPED, false, false, false, "iova-not-mapped" },
		{ CBIT_EVENT_DMA_NOT_MAPPED, true, false, false, "iova-not-mapped" },
		{ CBIT_EVENT_DMA_NO_PERMISSION, true, false, false, "write-to-read-only" },
		{ CBIT_EVENT_DMA_NO_PERMISSION, false, false, false, "read-from-write-only" },
		/* an abort is the C-bit's doing only where something would decode without it */
		{ CBIT_EVENT_DMA_ABORT, true, true, true, "mmio-encrypted", CBIT_MEM_MMIO },
		{ CBIT_EVENT_DMA_ABORT, true, true, true, "mmio-encrypted", CBIT_MEM_COHERENT },
		{ CBIT_EVENT_DMA_ABORT, true, true, true, "shared-entry-encrypted", CBIT_MEM_DRAM },
		{ CBIT_EVENT_DMA_ABORT, true, true, false, "master-abort" },
		{ CBIT_EVENT_DMA_ABORT, true, false, true, "master-abort" },
		{ CBIT_EVENT_DMA_WRONG_KEY, true, true, false, "wrong-key" },
		{ CBIT_EVENT_DMA_NO_BACKING, false, true, false, "client-memory-gone" },
		{ CBIT_EVENT_DMA_STALE_IOTLB, true, true, true, "stale-iotlb" },
		{ CBIT_EVENT_DMA_NO_MASTER, true, false, false, "bus-master-off" },
		{ CBIT_EVENT_DMA_REFUSED_MAP, true, false, false, "map-exists-ignored" },
		{ CBIT_EVENT_UNMAPPED_NOTHING, false, false, false, "unmapped-nothing" },
		{ CBIT_EVENT_NO_IOMMU, false, false, false, "map-before-set-iommu" },
		{ CBIT_EVENT_MEMORY_CHANGED, false, false, false, "unmapped-while-mapped" },
		{ CBIT_EVENT_DMA_PRIVATE, false, true, false, "private-page" },
		{ CBIT_EVENT_TABLE_PRIVATE, false, true, true, "table-in-private-memory" },
		{ CBIT_EVENT_RMP_FAULT, true, true, false, "rmp-fault" },
		{ CBIT_EVENT_INTERRUPT_LOST, true, false, false, "interrupt-lost" },
		{ CBIT_EVENT_MAPPING_LEAKED, false, false, false, "mapping-leaked" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_event ev = event(cases[i].type, 1);
		struct cbit_report *report;
		char *text, first[64];
		void *own;

		setup(&own);
		report = own;
		ev.write = cases[i].write;
		ev.kind = cases[i].kind;
		ev.mapping.backing = cases[i].backing;
		ev.what = "some call";
		ev.call = &(struct cbit_mapping_info){ .pid = 4711 };
		ev.region = cases[i].region ? "client-dram" : NULL;
		ev.entry = cases[i].c ? C_MASK | 1 : 1;
		tell(report, ev);
		text = cbit_report_text(report);
		snprintf(first, sizeof(first), "cbit: finding %s: ", cases[i].id);
		if (strncmp(text, first, strlen(first)) != 0)
			fail_msg("case %zu: %s", i, text);
		/* one sentence on that line, everything else indented below */
		assert_int_equal(strncmp(strchr(text, '\n'), "\n    ", 5), 0);
		free(text);
		ends_with(report, "\ncbit: 1 finding\n");
		teardown(&own);
	}
}

static void test_closing(void **state)
{
	struct cbit_report *report = *state;
	char *text = cbit_report_text(report);

	assert_string_equal(text, "cbit: no findings\n");
	free(text);
	assert_int_equal(cbit_report_count(report), 0);
	tell(report, event(CBIT_EVENT_DMA_NOT_MAPPED, 0));
	ends_with(report, "\ncbit: 1 finding\n");
	tell(report, event(CBIT_EVENT_DMA_WRONG_KEY, 2));
	ends_with(report, "\ncbit: 2 findings\n");
	assert_int_equal(cbit_report_count(report), 2);
}

/* A stale IOTLB entry is shown beside what the tables say now. */
static void test_stale(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = event(CBIT_EVENT_DMA_STALE_IOTLB, 1);
	json_t *root, *entry;
	char *text;

	ev.region = "client-dram";
	ev.write = true;
	ev.entry = 0x7000000012345001;
	tell(report, ev);
	ev.mapping.id = 2;
	ev.entry_now = 0x7000000054321001;
	tell(report, ev);
	assert_int_equal(times(report, "IOPTE 0x7000000012345001, C-bit (bit 51) clear"
				       " in the IOTLB, in memory none\n"),
			 1);
	assert_int_equal(times(report, " in the IOTLB, in memory 0x7000000054321001\n"), 1);
	assert_int_equal(times(report, "length 0x200: went where the old entry leads\n"), 2);
	text = cbit_report_json(report);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	entry = json_object_get(json_array_get(json_object_get(root, "findings"), 1), "entry");
	assert_string_equal(json_string_value(json_object_get(entry, "iopte")),
			    "0x7000000012345001");
	assert_string_equal(json_string_value(json_object_get(entry, "iopte_now")),
			    "0x7000000054321001");
	json_decref(root);
	free(text);
}

/* However often it hits, and whether seen when mapped or when used: one cause, one finding. */
static void test_one_per_mapping(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = bar_event(CBIT_EVENT_DMA_ABORT, 3);

	tell(report, bar_event(CBIT_EVENT_MMIO_ENCRYPTED, 3));
	tell(report, bar_event(CBIT_EVENT_MMIO_ENCRYPTED, 3));
	tell(report, bar_event(CBIT_EVENT_MMIO_ENCRYPTED, 3));
	assert_int_equal(times(report, "2 more runs of this mapping"), 1);
	for (unsigned int i = 0; i < 100; i++) {
		ev.iova.v += 0x1000;
		ev.write = i & 1;
		tell(report, ev);
	}
	assert_int_equal(cbit_report_count(report), 1);
	assert_int_equal(times(report, "cbit: finding "), 1);
	assert_int_equal(times(report, "    dma:     device 0000:01:00.0 "), 4);
	assert_int_equal(times(report, "    dma:     and 96 more\n"), 1);
	/* another BAR, another finding; another reason on the same call too */
	ev = bar_event(CBIT_EVENT_DMA_ABORT, 4);
	ev.region = "0000:02:00.0 bar0";
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 2);
	tell(report, event(CBIT_EVENT_DMA_WRONG_KEY, 3));
	assert_int_equal(cbit_report_count(report), 3);
	tell(report, event(CBIT_EVENT_DMA_WRONG_KEY, 3));
	assert_int_equal(cbit_report_count(report), 3);
}

/* Where no mapping is behind it: by device, direction and page. */
static void test_without_mapping(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = event(CBIT_EVENT_DMA_NOT_MAPPED, 0);

	tell(report, ev);
	ev.iova.v = 0x10fff;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 1);
	ev.iova.v = 0x11000;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 2);
	ev.write = true;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 3);
	ev.devid = 0x200;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 4);
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 4);
	assert_int_equal(times(report, "    mapping: "), 0);
}

/* A call that is not the mapping: what it was, what lies beside it, where it came from. */
static void test_calls(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_mapping_info call = { .iova = CBIT_IOVA(0x5000), .size = 0x2000, .pid = 12 };
	const struct cbit_mapping_info below = { .id = 3,
						 .iova = CBIT_IOVA(0x1000),
						 .size = 0x1000 };
	struct cbit_event ev = { .type = CBIT_EVENT_UNMAPPED_NOTHING,
				 .what = "VFIO_IOMMU_UNMAP_DMA",
				 .call = &call,
				 .below = &below };

	tell(report, ev);
	tell(report, ev);
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 1);
	assert_int_equal(times(report,
			       "    call:    VFIO_IOMMU_UNMAP_DMA of process 12: IOVA 0x5000 "
			       "length 0x2000; and 2 more such calls\n"
			       "    below:   mapping call 3: IOVA 0x1000 length 0x1000 -- "),
			 1);
	assert_int_equal(times(report, "    above:"), 0);
	/* another range is another finding; unless it is told from where it comes, and that is one
	 */
	call.iova.v = 0x9000;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 2);
	call.trace = 7;
	tell(report, ev);
	call.iova.v = 0xa000;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 3);
	call.trace = 8;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 4);
	call.pid = 13;
	tell(report, ev);
	assert_int_equal(cbit_report_count(report), 5);
}

static unsigned int two_frames(void *opaque, uint32_t trace, struct cbit_frame *out,
			       unsigned int max)
{
	unsigned int *asked = opaque;

	assert_int_equal(trace, 7);
	assert_true(max >= 2);
	++*asked;
	out[0] = (struct cbit_frame){ .module = "/lib/libc.so.6", .offset = 0x1234 };
	out[1] = (struct cbit_frame){ .module = "/bin/prog",
				      .offset = 0x99,
				      .function = "setup",
				      .file = "prog.c",
				      .line = 42 };
	return 2;
}

static void test_frames(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = event(CBIT_EVENT_DMA_ABORT, 3);
	unsigned int asked = 0;
	const json_t *frames;
	char *text;
	json_t *root;

	ev.mapping.trace = 7;
	tell(report, ev);
	/* who has no source has no frames */
	assert_int_equal(times(report, "        #0"), 0);
	cbit_report_set_traces(report, &(struct cbit_trace_source){ two_frames, &asked });
	assert_int_equal(times(report, "-> client address 0x7f0000000000\n"
				       "        #0 /lib/libc.so.6+0x1234\n"
				       "        #1 /bin/prog+0x99 setup (prog.c:42)\n"),
			 1);
	assert_int_equal(asked, 1);
	text = cbit_report_json(report);
	root = json_loads(text, 0, NULL);
	frames = json_object_get(
		json_object_get(json_array_get(json_object_get(root, "findings"), 0), "mapping"),
		"frames");
	assert_int_equal(json_array_size(frames), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(frames, 0), "offset")),
			    "0x1234");
	assert_null(json_object_get(json_array_get(frames, 0), "function"));
	assert_int_equal(json_integer_value(json_object_get(json_array_get(frames, 1), "line")),
			 42);
	assert_string_equal(json_string_value(json_object_get(json_array_get(frames, 1), "file")),
			    "prog.c");
	json_decref(root);
	free(text);
}

static unsigned int odd_frames(void *opaque, uint32_t trace, struct cbit_frame *out,
			       unsigned int max)
{
	(void)opaque;
	(void)trace;
	assert_true(max >= 1);
	out[0] = (struct cbit_frame){ .module = "/tmp/\033[2J\xc3\xa4",
				      .offset = 0x12,
				      .function = "a\rb\x7f",
				      .file = "c\nd\xc3",
				      .line = 1 };
	return 1;
}

/* Names are the program's: a terminal does not obey them, and JSON stays JSON. */
static void test_odd_names(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = event(CBIT_EVENT_DMA_ABORT, 3);
	const json_t *frame;
	json_t *root;
	char *text;

	ev.mapping.trace = 7;
	tell(report, ev);
	cbit_report_set_traces(report, &(struct cbit_trace_source){ odd_frames, NULL });
	assert_int_equal(times(report, "        #0 /tmp/?[2J\xc3\xa4+0x12 a?b? (c?d\xc3:1)\n"), 1);
	text = cbit_report_json(report);
	root = json_loads(text, 0, NULL);
	frame = json_array_get(
		json_object_get(
			json_object_get(json_array_get(json_object_get(root, "findings"), 0),
					"mapping"),
			"frames"),
		0);
	assert_string_equal(json_string_value(json_object_get(frame, "module")),
			    "/tmp/\033[2J\xc3\xa4");
	assert_string_equal(json_string_value(json_object_get(frame, "file")), "c\nd?");
	json_decref(root);
	free(text);
}

static void test_leaks(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = event(CBIT_EVENT_MAPPING_LEAKED, 1);

	ev.count = 3;
	ev.len = 0x5000;
	tell(report, ev);
	ev.count = 1;
	tell(report, ev);
	/* every container that goes away tells by itself */
	assert_int_equal(cbit_report_count(report), 2);
	assert_int_equal(times(report, "    left:    3 mappings, 0x5000 bytes"), 1);
	assert_int_equal(times(report, "    left:    1 mapping, 0x5000 bytes"), 1);
}

static void test_details(void **state)
{
	struct cbit_report *report = *state;

	tell(report, bar_event(CBIT_EVENT_DMA_ABORT, 3));
	assert_int_equal(times(report, "    mapping: call 3 of process 4711: IOVA 0x10000 length "
				       "0x4000 r- -> client address 0x7f0000000000\n"),
			 1);
	assert_int_equal(times(report, "IOVA 0x10040 -> SPA 0x200000000040 (0000:02:00.0 bar2, "
				       "mmio), IOPTE 0x7008200000000001"),
			 1);
	assert_int_equal(times(report,
			       "read IOVA 0x10040 SPA 0x200000000040 length 0x200: all ones "
			       "(master abort)\n"),
			 1);
	assert_int_equal(times(report, "C-bit (bit "), 1);
	assert_int_equal(times(report, " set\n"), 1);
}

/* A program in a loop must not fill the memory: counted on, not kept. */
static void test_limit(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = event(CBIT_EVENT_MAPPING_LEAKED, 1);

	for (unsigned int i = 0; i < 10005; i++)
		tell(report, ev);
	assert_int_equal(cbit_report_count(report), 10000);
	assert_int_equal(times(report, "cbit: 5 further events not kept\n"), 1);
	ends_with(report, "\ncbit: 10000 findings\n");
}

static const char *text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	assert_true(json_is_string(value));
	return json_string_value(value);
}

static json_int_t int_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static json_t *parse(struct cbit_report *report)
{
	char *text = cbit_report_json(report);
	json_error_t err;
	json_t *root;

	assert_non_null(text);
	root = json_loads(text, JSON_REJECT_DUPLICATES, &err);
	if (!root)
		fail_msg("line %d: %s", err.line, err.text);
	free(text);
	return root;
}

static void test_json(void **state)
{
	struct cbit_report *report = *state;
	const json_t *list, *f, *hit, *part;
	json_t *root = parse(report);

	assert_int_equal(int_of(root, "version"), 1);
	assert_string_equal(text_of(root, "platform"), "sme");
	assert_string_equal(text_of(root, "policy"), "linux-7.2");
	assert_int_equal(int_of(root, "not_kept"), 0);
	assert_int_equal(json_array_size(json_object_get(root, "findings")), 0);
	json_decref(root);

	for (unsigned int i = 0; i < 6; i++)
		tell(report, bar_event(CBIT_EVENT_DMA_ABORT, 3));
	tell(report, event(CBIT_EVENT_DMA_NOT_MAPPED, 0));
	root = parse(report);
	list = json_object_get(root, "findings");
	assert_int_equal(json_array_size(list), 2);
	f = json_array_get(list, 0);
	assert_string_equal(text_of(f, "id"), "mmio-encrypted");
	assert_true(strlen(text_of(f, "summary")) > 10);
	assert_int_equal(int_of(f, "hit_count"), 6);
	assert_int_equal(json_array_size(json_object_get(f, "hits")), 4);
	hit = json_array_get(json_object_get(f, "hits"), 0);
	assert_string_equal(text_of(hit, "device"), "0000:01:00.0");
	assert_string_equal(text_of(hit, "access"), "read");
	assert_string_equal(text_of(hit, "iova"), "0x10040");
	assert_string_equal(text_of(hit, "spa"), "0x200000000040");
	assert_string_equal(text_of(hit, "length"), "0x200");
	assert_string_equal(text_of(hit, "outcome"), "all ones (master abort)");
	part = json_object_get(f, "entry");
	assert_true(json_is_true(json_object_get(part, "c_bit")));
	assert_string_equal(text_of(part, "region"), "0000:02:00.0 bar2");
	assert_string_equal(text_of(part, "kind"), "mmio");
	part = json_object_get(f, "mapping");
	assert_int_equal(int_of(part, "call"), 3);
	assert_int_equal(int_of(part, "pid"), 4711);
	assert_string_equal(text_of(part, "iova"), "0x10000");
	f = json_array_get(list, 1);
	assert_string_equal(text_of(f, "id"), "iova-not-mapped");
	assert_null(json_object_get(f, "mapping"));
	json_decref(root);
}

/* Strings of an event are only good during the call. */
static void test_strings_copied(void **state)
{
	struct cbit_report *report = *state;
	struct cbit_event ev = bar_event(CBIT_EVENT_DMA_ABORT, 3);
	char name[32] = "0000:09:00.0 bar2";

	ev.region = name;
	tell(report, ev);
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(times(report, "0000:09:00.0 bar2"), 1);
}

#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

/* Buffers that are mapped, used and freed in a loop: one finding for the two places. */
static void test_given_up_in_a_loop(void **state)
{
	struct cbit_report *report = *state;
	static const struct {
		uint32_t map;
		uint32_t call;
		unsigned int findings;
	} cases[] = {
		{ 7, 8, 1 }, { 7, 8, 1 }, { 7, 9, 2 }, { 6, 8, 3 },
		{ 7, 8, 3 }, { 0, 8, 4 }, { 0, 8, 5 },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cbit_event ev = event(CBIT_EVENT_MEMORY_CHANGED, 100 + i);
		char *text, *at;
		unsigned int n = 0;

		ev.mapping.trace = cases[i].map;
		ev.what = "munmap";
		ev.call = &(struct cbit_mapping_info){ .pid = 4711, .trace = cases[i].call };
		tell(report, ev);
		text = cbit_report_text(report);
		for (at = text; (at = strstr(at, "cbit: finding unmapped-while-mapped")); at++)
			n++;
		assert_int_equal(n, cases[i].findings);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		T(test_closing),
		T(test_stale),
		T(test_one_per_mapping),
		T(test_without_mapping),
		T(test_calls),
		T(test_frames),
		T(test_odd_names),
		T(test_leaks),
		T(test_details),
		T(test_limit),
		T(test_json),
		T(test_strings_copied),
		T(test_given_up_in_a_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
