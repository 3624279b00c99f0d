/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IOMMU tables that real clients cause, read out of modelled DRAM and decoded here by hand:
 * C-bit on RAM, none on BAR pages, every other bit as the format says, at every leaf size.
 * And what a DMA under the wrong key leaves in client memory, against libcrypto.
 *
 * CBIT_CLIENTS and CBIT_SELFTESTS name the directories of the test clients and of the kernel's
 * VFIO selftests.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/host.h"

/* AMD I/O Virtualization Technology (IOMMU) Specification, 2.2.2 and 2.2.3, by bit number. */
#define PR      (UINT64_C(1) << 0)
#define FC      (UINT64_C(1) << 60)
#define IR      (UINT64_C(1) << 61)
#define IW      (UINT64_C(1) << 62)
#define C_BIT   (UINT64_C(1) << 51)
#define ADDRESS UINT64_C(0x000ffffffffff000)

#define NR_KINDS 4
#define MAX_LG2  52

struct seen {
	struct cbit_machine *machine;
	bool mmio_c;         /* the policy sets the C-bit on BARs */
	bool ram_may_lack_c; /* the policy is the one that loses it */
	unsigned int mappings;
	unsigned int wrong;
	uint64_t leaves[NR_KINDS][MAX_LG2];
	/* the second page of a mapping whose RAM has lost the C-bit */
	uint64_t plain_spa;
};

static uint64_t read_dram(struct cbit_machine *machine, uint64_t bus)
{
	uint64_t v = 0;

	assert_int_equal(cbit_mem_read(cbit_machine_mem(machine), (struct cbit_bus){ bus }, &v, 8),
			 CBIT_MEM_OK);
	return v;
}

/* The leaf for @iova, walked by hand from the DTE of device 01:00.0. */
static uint64_t walk(struct cbit_machine *machine, uint64_t iova, uint64_t *size)
{
	uint64_t dte[4], entry, table, ones;
	unsigned int level, next, shift;

	cbit_iommu_dte(cbit_machine_iommu(machine), 0x100, dte);
	if ((dte[0] & 3) != 3 || !(dte[0] & C_BIT))
		return 0; /* V, TV, and the root under the host key */
	level = (unsigned int)(dte[0] >> 9) & 7;
	table = dte[0] & ADDRESS;
	for (;; level = next) {
		shift = 12 + 9 * (level - 1);
		entry = read_dram(machine, table + 8 * ((iova >> shift) & 511));
		next = (unsigned int)(entry >> 9) & 7;
		if (!(entry & PR))
			return 0;
		if (next == 0 || next == 7)
			break;
		/* A pointer: readable, writable, under the host key, nothing else. */
		if (next != level - 1 ||
		    (entry & ~ADDRESS) != (PR | (uint64_t)next << 9 | IR | IW) || !(entry & C_BIT))
			return 0;
		table = entry & ADDRESS;
	}
	*size = UINT64_C(1) << shift;
	if (next == 7) {
		/* The size is one more than the position of the lowest clear address bit. */
		ones = ~(entry >> 12);
		*size = UINT64_C(1) << (12 + __builtin_ctzll(ones) + 1);
	}
	return entry;
}

/* What an entry for @spa of @size must be, bit by bit. */
static uint64_t expected(uint64_t spa, uint64_t size, unsigned int attrs, bool c)
{
	uint64_t entry = PR | FC | spa | (c ? C_BIT : 0);
	unsigned int lg2 = (unsigned int)__builtin_ctzll(size);

	if (attrs & CBIT_ATTR_READ)
		entry |= IR;
	if (attrs & CBIT_ATTR_WRITE)
		entry |= IW;
	if ((lg2 - 12) % 9) /* not a level's own size */
		entry |= UINT64_C(7) << 9 | ((size >> 1) - 4096);
	return entry;
}

static void on_map(struct seen *seen, const struct cbit_mapping_info *m)
{
	uint64_t at = 0, size = CBIT_PAGE_SIZE, entry, spa, mask;
	const struct cbit_mem_region *region;
	bool c;

	seen->mappings++;
	while (at < m->size) {
		entry = walk(seen->machine, m->iova.v + at, &size);
		mask = size - 1;
		spa = entry & ADDRESS & ~C_BIT & ~mask;
		region = entry ? cbit_mem_find(cbit_machine_mem(seen->machine), CBIT_SPA(spa))
			       : NULL;
		if (!region || (m->iova.v + at) & mask ||
		    (region->kind == CBIT_MEM_DRAM && (m->vaddr + at) & mask)) {
			fprintf(stderr,
				"mapping %" PRIu64 ": IOVA 0x%" PRIx64 ": entry 0x%" PRIx64 "\n",
				m->id, m->iova.v + at, entry);
			seen->wrong++;
			return;
		}
		c = region->kind == CBIT_MEM_MMIO ? seen->mmio_c : true;
		if (seen->ram_may_lack_c && region->kind == CBIT_MEM_DRAM && !(entry & C_BIT)) {
			if (at <= 4096 && at + size > 4096)
				seen->plain_spa = spa + 4096 - at;
			c = false;
		}
		if (entry != expected(spa, size, m->attrs, c)) {
			fprintf(stderr,
				"IOVA 0x%" PRIx64 ": entry 0x%" PRIx64 ", expected 0x%" PRIx64 "\n",
				m->iova.v + at, entry, expected(spa, size, m->attrs, c));
			seen->wrong++;
		}
		seen->leaves[region->kind][__builtin_ctzll(size)]++;
		at += size;
	}
}

static void observe(void *opaque, const struct cbit_event *ev)
{
	if (ev->type == CBIT_EVENT_MAP)
		on_map(opaque, &ev->mapping);
}

static void ready(void *opaque, struct cbit_machine *machine)
{
	((struct seen *)opaque)->machine = machine;
}

static void say(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "cbit: %s\n", text);
}

/* Run @argv on one ioat with @membar, under @policy; its exit status must be @status. */
static void run(struct seen *seen, const char *policy, const char *membar, enum host_frames frames,
		char *const *argv, int status)
{
	const char *const devices[] = { membar };
	struct host_config config = {
		.policy = cbit_policy_preset(policy),
		.observer = { .event = observe, .opaque = seen },
		.frames = frames,
		.devices = devices,
		.nr_devices = 1,
		.argv = argv,
		.ready = ready,
		.ready_opaque = seen,
		.message = say,
	};
	struct cbit_error err = { 0 };
	int got = -1;

	memset(seen, 0, sizeof(*seen));
	seen->mmio_c = !strcmp(policy, "linux-7.2") || !strcmp(policy, "linux-6.17");
	seen->ram_may_lack_c = !strcmp(policy, "posted-mmio");
	assert_int_equal(cbit_platform_preset("sme", &config.platform), 0);
	if (host_run(&config, &got, NULL, &err))
		fail_msg("%s", err.text);
	assert_true(WIFEXITED(got));
	assert_int_equal(WEXITSTATUS(got), status);
	assert_int_equal(seen->wrong, 0);
	assert_true(seen->mappings > 0);
}

static const char *program(char *buf, size_t size, const char *variable, const char *name)
{
	const char *dir = getenv(variable);

	if (!dir)
		fail_msg("%s is not set", variable);
	snprintf(buf, size, "%s/%s", dir, name);
	return buf;
}

static void test_ram(void **state)
{
	char path[4096];
	char *argv[] = {
		path, (char[]){ "4K" }, (char[]){ "64K" }, (char[]){ "2M" }, (char[]){ "1G" }, NULL
	};
	struct seen seen;

	(void)state;
	program(path, sizeof(path), "CBIT_CLIENTS", "client_memory");
	run(&seen, "complete", "ioat,membar=1M", HOST_FRAMES_CONGRUENT, argv, 0);
	assert_true(seen.leaves[CBIT_MEM_DRAM][12] > 0);
	assert_true(seen.leaves[CBIT_MEM_DRAM][16] > 0);
	assert_true(seen.leaves[CBIT_MEM_DRAM][21] > 0);
	assert_true(seen.leaves[CBIT_MEM_DRAM][30] > 0);
}

static void test_ram_scattered(void **state)
{
	char path[4096];
	char *argv[] = { path, (char[]){ "4K" }, (char[]){ "2M" }, NULL };
	struct seen seen;

	(void)state;
	program(path, sizeof(path), "CBIT_CLIENTS", "client_memory");
	run(&seen, "complete", "ioat,membar=1M", HOST_FRAMES_SCATTERED, argv, 0);
	assert_true(seen.leaves[CBIT_MEM_DRAM][12] >= 1 + 512);
	for (unsigned int lg2 = 13; lg2 < MAX_LG2; lg2++)
		assert_int_equal(seen.leaves[CBIT_MEM_DRAM][lg2], 0);
}

/* The kernel's own test maps a BAR whole, one page of it, and misaligned. */
static void bars(const char *policy)
{
	static const struct {
		const char *device;
		unsigned int lg2;
	} cases[] = {
		{ "ioat,membar=64K", 16 },
		{ "ioat,membar=2M", 21 },
		{ "ioat,membar=1G", 30 },
	};
	char path[4096];
	char *argv[] = { path, (char[]){ "-v" }, (char[]){ "vfio_type1v2_iommu" },
			 (char[]){ "0000:01:00.0" }, NULL };
	struct seen seen;

	program(path, sizeof(path), "CBIT_SELFTESTS", "vfio_dma_mapping_mmio_test");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(&seen, policy, cases[i].device, HOST_FRAMES_CONGRUENT, argv, 0);
		assert_int_equal(seen.mappings, 3);
		assert_true(seen.leaves[CBIT_MEM_MMIO][cases[i].lg2] > 0);
		assert_true(seen.leaves[CBIT_MEM_MMIO][12] > 0);
	}
}

static void test_bar_complete(void **state)
{
	(void)state;
	bars("complete");
}

static void test_bar_linux_7_2(void **state)
{
	(void)state;
	bars("linux-7.2");
}

/* What the program printed, in its own words. */
static void line_bytes(const char *file, const char *word, uint8_t *out, size_t len)
{
	char line[4096];
	unsigned int byte;
	const char *p;
	FILE *f = fopen(file, "re");
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f)) {
		p = strstr(line, word);
		if (!p)
			continue;
		p += strlen(word);
		for (size_t i = 0; i < len; i++, p += 2) {
			p += strspn(p, ": ");
			assert_int_equal(sscanf(p, "%2x", &byte), 1);
			out[i] = (uint8_t)byte;
		}
		found = true;
	}
	fclose(f);
	if (!found)
		fail_msg("no line with '%s' in the program's output", word);
}

/* AES-128-XTS straight from libcrypto: data unit is the page, tweak its number. */
static void xts(const uint8_t key[32], uint64_t spa, const uint8_t *in, uint8_t *out, int len,
		int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint64_t tweak[2] = { spa >> 12, 0 };
	int n;

	assert_non_null(ctx);
	assert_int_equal(
		EVP_CipherInit_ex(ctx, EVP_aes_128_xts(), NULL, key, (uint8_t *)tweak, encrypt), 1);
	assert_int_equal(EVP_CipherUpdate(ctx, out, &n, in, len), 1);
	assert_int_equal(n, len);
	EVP_CIPHER_CTX_free(ctx);
}

/*
 * A mapping of RAM directly followed by a BAR, under the policy that loses the RAM's C-bit: the
 * device writes under no key what the program reads under the host key.
 */
static void test_wrong_key(void **state)
{
	char path[4096], out[] = "/tmp/cbit-tables-XXXXXX", script[8192];
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, script, NULL };
	uint8_t left[16], right[16], want[16];
	struct cbit_platform platform;
	struct seen seen;
	int fd = mkstemp(out);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	program(path, sizeof(path), "CBIT_CLIENTS", "client_memory");
	snprintf(script, sizeof(script), "exec '%s' span >%s", path, out);
	run(&seen, "posted-mmio", "ioat,membar=1M", HOST_FRAMES_CONGRUENT, argv, 1);
	assert_true(seen.plain_spa);
	/* The client's mapping is two pages of RAM and two of a BAR; it copies across. */
	line_bytes(out, "memory:", left, sizeof(left));
	line_bytes(out, "expected:", right, sizeof(right));
	unlink(out);
	assert_int_equal(cbit_platform_preset("sme", &platform), 0);
	/* DRAM holds the plaintext as it is; the CPU decrypts it at that SPA. */
	xts(platform.host_key, seen.plain_spa, right, want, sizeof(want), 0);
	assert_memory_not_equal(left, right, sizeof(left));
	assert_memory_equal(left, want, sizeof(left));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ram),          cmocka_unit_test(test_ram_scattered),
		cmocka_unit_test(test_bar_complete), cmocka_unit_test(test_bar_linux_7_2),
		cmocka_unit_test(test_wrong_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
