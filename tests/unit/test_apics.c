/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages to machines with more than 255 CPUs: the bits of each format, who is reached, who is
 * not, and that a lost interrupt is told.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <cbit/apics.h>

#define DEVID  0x0108
#define VECTOR 0x41

struct heard {
	unsigned int lost;
	uint64_t dest;
};

static void hear(void *opaque, const struct cbit_event *ev)
{
	struct heard *h = opaque;

	assert_int_equal(ev->type, CBIT_EVENT_INTERRUPT_LOST);
	assert_int_equal(ev->devid, DEVID);
	h->lost++;
	h->dest = ev->count;
}

struct rig {
	struct heard heard;
	struct cbit_observer observer;
	struct cbit_apics *apics;
};

static void rig_init(struct rig *r, uint32_t first, size_t count, bool ext, bool quirk)
{
	uint32_t *ids = malloc(count * sizeof(*ids));
	struct cbit_apics_config cfg = { .ids = ids,
					 .count = count,
					 .ext_dest_id = ext,
					 .broadcast_quirk = quirk,
					 .observer = &r->observer };

	assert_non_null(ids);
	/* In descending order: any order will do. */
	for (size_t i = 0; i < count; i++)
		ids[i] = first + (uint32_t)(count - 1 - i);
	memset(&r->heard, 0, sizeof(r->heard));
	r->observer = (struct cbit_observer){ .event = hear, .opaque = &r->heard };
	assert_int_equal(cbit_apics_create(&cfg, &r->apics), 0);
	free(ids);
}

static unsigned int send(struct rig *r, enum cbit_msi_format format, uint32_t dest)
{
	uint64_t address;
	uint32_t data;

	cbit_msi_compose(format, dest, VECTOR, &address, &data);
	return cbit_apics_send(r->apics, NULL, DEVID, address, data);
}

/* Layouts by hand: 24593 16.11, and struct x86_msi_addr_lo of Linux for bits 11:5. */
static void messages_have_these_bits(void **state)
{
	static const struct {
		enum cbit_msi_format format;
		uint32_t dest;
		uint64_t address;
		uint32_t data;
	} table[] = {
		{ CBIT_MSI_FORMAT_COMPAT, 0, 0xfee00000, 0x41 },
		{ CBIT_MSI_FORMAT_COMPAT, 254, 0xfeefe000, 0x41 },
		{ CBIT_MSI_FORMAT_COMPAT, 287, 0xfee1f000, 0x41 }, /* bit 8 has no place */
		{ CBIT_MSI_FORMAT_EXT_DEST_ID, 254, 0xfeefe000, 0x41 },
		{ CBIT_MSI_FORMAT_EXT_DEST_ID, 287, 0xfee1f020, 0x41 },
		{ CBIT_MSI_FORMAT_EXT_DEST_ID, 32767, 0xfeefffe0, 0x41 },
		{ CBIT_MSI_FORMAT_EXT_DEST_ID, 32768, 0xfee00000, 0x41 },
		{ CBIT_MSI_FORMAT_REMAPPED, 2047, 0xfee00004, 2047 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t address;
		uint32_t data;

		cbit_msi_compose(table[i].format, table[i].dest, VECTOR, &address, &data);
		assert_int_equal(address, table[i].address);
		assert_int_equal(data, table[i].data);
	}
	assert_int_equal(cbit_msi_reach(CBIT_MSI_FORMAT_COMPAT, true), 254);
	assert_int_equal(cbit_msi_reach(CBIT_MSI_FORMAT_COMPAT, false), 255);
	assert_int_equal(cbit_msi_reach(CBIT_MSI_FORMAT_EXT_DEST_ID, true), 32767);
	assert_true(cbit_msi_reach(CBIT_MSI_FORMAT_REMAPPED, true) > 32768);
}

/* Every id from 0 to 4095, and only that one CPU. */
static void each_id_is_reached_or_lost(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 0, 4096, true, false);
	for (uint32_t id = 0; id < 4096; id++) {
		assert_int_equal(send(&r, CBIT_MSI_FORMAT_EXT_DEST_ID, id), 1);
		assert_true(cbit_apics_take(r.apics, id, VECTOR));
		assert_false(cbit_apics_take(r.apics, id, VECTOR));
		assert_int_equal(send(&r, CBIT_MSI_FORMAT_COMPAT, id), 1);
		/* The bits that were cut off named somebody else. */
		assert_true(cbit_apics_take(r.apics, id & 0xff, VECTOR));
	}
	assert_int_equal(r.heard.lost, 0);
	cbit_apics_destroy(r.apics);

	/* CPUs 256..4095 only: what was cut off is missed. */
	rig_init(&r, 256, 3840, false, false);
	for (uint32_t id = 256; id < 4096; id++) {
		assert_int_equal(send(&r, CBIT_MSI_FORMAT_COMPAT, id), 0);
		assert_int_equal(r.heard.lost, id - 255);
		assert_int_equal(r.heard.dest, id & 0xff);
	}
	cbit_apics_destroy(r.apics);
}

static void limits(void **state)
{
	static const struct {
		uint32_t first;
		size_t count;
		bool ext, quirk;
		enum cbit_msi_format format;
		uint32_t dest;
		unsigned int reached;
	} table[] = {
		{ 0, 288, false, true, CBIT_MSI_FORMAT_COMPAT, 254, 1 },
		{ 0, 288, false, true, CBIT_MSI_FORMAT_COMPAT, 255, 288 }, /* broadcast */
		{ 0, 288, false, false, CBIT_MSI_FORMAT_COMPAT, 255, 1 },
		{ 0, 288, true, true, CBIT_MSI_FORMAT_EXT_DEST_ID, 255, 288 },
		{ 0, 288, true, false, CBIT_MSI_FORMAT_EXT_DEST_ID, 255, 1 },
		{ 0, 288, true, true, CBIT_MSI_FORMAT_EXT_DEST_ID, 287, 1 },
		{ 0, 288, true, true, CBIT_MSI_FORMAT_EXT_DEST_ID, 288, 0 },
		/* The kernel writes the bits, but the hypervisor does not look at them. */
		{ 0, 288, false, false, CBIT_MSI_FORMAT_EXT_DEST_ID, 287, 1 },
		{ 256, 32, false, false, CBIT_MSI_FORMAT_EXT_DEST_ID, 287, 0 },
		{ 32760, 16, true, true, CBIT_MSI_FORMAT_EXT_DEST_ID, 32767, 1 },
		{ 32760, 16, true, true, CBIT_MSI_FORMAT_EXT_DEST_ID, 32768, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct rig r;

		rig_init(&r, table[i].first, table[i].count, table[i].ext, table[i].quirk);
		if (send(&r, table[i].format, table[i].dest) != table[i].reached)
			fail_msg("case %zu", i);
		assert_int_equal(r.heard.lost, table[i].reached ? 0 : 1);
		cbit_apics_destroy(r.apics);
	}
}

static void remapped_ones_have_32_bits(void **state)
{
	struct cbit_msi msi = { .dest = 32768, .vector = VECTOR };
	struct rig r;

	(void)state;
	rig_init(&r, 32700, 100, false, true);
	assert_int_equal(cbit_apics_remapped(r.apics, DEVID, &msi), 1);
	assert_true(cbit_apics_take(r.apics, 32768, VECTOR));
	msi.dest = 0xffffffff;
	assert_int_equal(cbit_apics_remapped(r.apics, DEVID, &msi), 100);
	msi.dest = 40000;
	assert_int_equal(cbit_apics_remapped(r.apics, DEVID, &msi), 0);
	/* Other deliveries and logical destinations are for nobody here. */
	msi = (struct cbit_msi){ .dest = 32768, .vector = VECTOR, .delivery = 4 };
	assert_int_equal(cbit_apics_remapped(r.apics, DEVID, &msi), 0);
	msi = (struct cbit_msi){ .dest = 32768, .vector = VECTOR, .logical = true };
	assert_int_equal(cbit_apics_remapped(r.apics, DEVID, &msi), 0);
	assert_int_equal(r.heard.lost, 3);
	cbit_apics_destroy(r.apics);
}

/* Bit 4 set is the remappable format, an upper half is no compatibility message. */
static void other_addresses_are_not_extended(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r, 0, 288, true, false);
	assert_int_equal(cbit_apics_message(r.apics, DEVID, 0xfee1f030, VECTOR), 1);
	assert_true(cbit_apics_take(r.apics, 31, VECTOR));
	assert_int_equal(cbit_apics_message(r.apics, DEVID, 0x1fee1f020, VECTOR), 0);
	assert_int_equal(cbit_apics_message(r.apics, DEVID, 0xfed1f020, VECTOR), 0);
	assert_int_equal(r.heard.lost, 2);
	cbit_apics_destroy(r.apics);
}

static void twins_are_refused(void **state)
{
	const uint32_t ids[] = { 1, 2, 1 };
	struct cbit_apics_config cfg = { .ids = ids, .count = 3 };
	struct cbit_apics *apics;

	(void)state;
	assert_int_equal(cbit_apics_create(&cfg, &apics), -EINVAL);
	cfg.count = 0;
	assert_int_equal(cbit_apics_create(&cfg, &apics), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_have_these_bits),
		cmocka_unit_test(each_id_is_reached_or_lost),
		cmocka_unit_test(limits),
		cmocka_unit_test(remapped_ones_have_32_bits),
		cmocka_unit_test(other_addresses_are_not_extended),
		cmocka_unit_test(twins_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
