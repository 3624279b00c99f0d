/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DMA API: what becomes of a buffer, for each kernel, platform, device and attribute, and that
 * its bytes then move as decided. The expectations are written from the kernel's rules.
 */
#include "dma_rig.h"

#define BUF  (RAM + MIB(128)) /* pages that the allocator does not reach in these tests */
#define SIZE 3000

#define MMIO   CBIT_DMA_ATTR_MMIO
#define SHARED CBIT_DMA_ATTR_CC_SHARED
#define COHER  CBIT_DMA_ATTR_REQUIRE_COHERENT

enum who { HOST, GUEST, CONF };

/* Where the buffer is, and how the kernel has it mapped. */
enum where {
	PRIV,  /* C-bit set */
	PLAIN, /* C-bit clear */
	MIXED, /* the first page clear, the second set */
	HIGHM, /* above 4 GiB, C-bit set */
	WIN,   /* a window */
	TWIN,  /* a window that is private to a trusted device */
};

/* The device: 'i' behind an IOMMU, 'u' untrusted, 't' in TDISP run state, '3' 32-bit, '4' 48-bit */
struct row {
	const char *policy;
	const char *platform;
	enum who who;
	const char *dev;
	enum where where;
	bool aligned;
	unsigned int attrs;
	const char *expect; /* direct, bounce, with +C; or the errno */
};

#define L6      "linux-6.17"
#define L7      "linux-7.2"
#define CO      "complete"
#define PM      "posted-mmio"
#define NOTSUPP "-EOPNOTSUPP"
#define RANGE   "-ERANGE"

static const struct row rows[] = {
	/* dma-direct on a host: phys_to_dma(), dma_capable() */
	{ L7, "bare", HOST, "", PRIV, false, 0, "direct" },
	{ L7, "tsme", HOST, "", PRIV, false, 0, "direct" },
	{ L7, "sme", HOST, "", PRIV, false, 0, "direct+C" },
	{ L7, "sme", HOST, "4", PRIV, false, 0, "bounce" },
	{ L7, "sme", HOST, "3", PRIV, true, 0, "bounce" },
	{ L7, "sme", HOST, "4", PRIV, false, COHER, RANGE },
	{ L7, "sme", HOST, "", PRIV, false, COHER, "direct+C" },
	{ L7, "bare", HOST, "3", PRIV, false, 0, "direct" },
	{ L7, "bare", HOST, "3", HIGHM, false, 0, "bounce" },
	{ L7, "bare", HOST, "3", HIGHM, false, COHER, RANGE },
	{ L7, "tsme", HOST, "3", HIGHM, false, 0, "bounce" },
	{ L7, "sme", HOST, "", PRIV, false, SHARED, NOTSUPP },
	{ L7, "bare", HOST, "", PRIV, false, SHARED, NOTSUPP },
	{ L7, "sme", HOST, "", WIN, true, MMIO, "direct" },
	{ L7, "sme", HOST, "3", WIN, true, MMIO, RANGE },
	{ L7, "sme", HOST, "", WIN, true, 0, "direct+C" }, /* the caller forgot DMA_ATTR_MMIO */
	{ L7, "sme", HOST, "", PLAIN, true, 0, "direct+C" },
	{ L7, "sme", HOST, "t", PRIV, true, 0, "direct+C" },
	{ L6, "sme", HOST, "", PRIV, false, 0, "direct+C" },
	{ L6, "sme", HOST, "4", PRIV, false, 0, "bounce" },
	{ L6, "sme", HOST, "", WIN, true, MMIO, "direct" },
	{ L6, "sme", HOST, "", PRIV, false, SHARED, NOTSUPP },
	{ L6, "sme", HOST, "", PRIV, false, COHER, NOTSUPP },
	{ PM, "sme", HOST, "4", PRIV, false, 0, "bounce" },
	{ PM, "sme", HOST, "", WIN, true, MMIO, "direct" },
	{ CO, "sme", HOST, "", PRIV, false, 0, "direct+C" },
	{ CO, "sme", HOST, "", PLAIN, true, 0, "direct" },
	{ CO, "sme", HOST, "4", PLAIN, true, 0, "direct" },
	{ CO, "sme", HOST, "", MIXED, true, 0, "bounce" },
	{ CO, "sme", HOST, "", MIXED, true, COHER, NOTSUPP },
	{ CO, "bare", HOST, "", MIXED, true, 0, "direct" },
	{ CO, "sme", HOST, "4", PRIV, false, 0, "bounce" },
	{ CO, "sme", HOST, "4", PRIV, false, COHER, RANGE },
	{ CO, "sme", HOST, "", WIN, true, 0, "direct" },
	{ CO, "sme", HOST, "", WIN, true, MMIO, "direct" },
	{ CO, "sme", HOST, "3", WIN, true, MMIO, RANGE },
	{ CO, "sme", HOST, "", PLAIN, true, SHARED, NOTSUPP },
	/* an ordinary guest has no C-bit */
	{ L7, "sme", GUEST, "", PLAIN, false, 0, "direct" },
	{ L7, "sme", GUEST, "i", PLAIN, false, 0, "direct" },
	{ L7, "sme", GUEST, "", PLAIN, false, SHARED, NOTSUPP },
	{ CO, "sme", GUEST, "i", PLAIN, false, 0, "direct" },
	/* dma-direct in a confidential guest: is_swiotlb_force_bounce() */
	{ L7, "sme", CONF, "", PRIV, false, 0, "bounce" },
	{ L7, "sme", CONF, "", PRIV, true, 0, "bounce" },
	{ L7, "sme", CONF, "", PLAIN, true, 0, "bounce" },
	{ L7, "sme", CONF, "t", PRIV, true, 0, "bounce" },
	{ L7, "sme", CONF, "", PLAIN, true, SHARED, "direct" },
	{ L7, "sme", CONF, "3", PLAIN, true, SHARED, "direct" },
	{ L7, "sme", CONF, "3", HIGHM, true, SHARED, RANGE },
	{ L7, "sme", CONF, "", PRIV, false, COHER, NOTSUPP },
	{ L7, "sme", CONF, "", PLAIN, true, SHARED | COHER, "direct" },
	{ L7, "sme", CONF, "", WIN, true, MMIO, NOTSUPP },
	{ L7, "sme", CONF, "", WIN, true, MMIO | SHARED, "direct" },
	{ PM, "sme", CONF, "", WIN, true, MMIO, NOTSUPP },
	{ L6, "sme", CONF, "", PRIV, false, 0, "bounce" },
	{ L6, "sme", CONF, "", WIN, true, MMIO, "direct" },
	{ L6, "sme", CONF, "", PLAIN, true, SHARED, NOTSUPP },
	{ CO, "sme", CONF, "", PRIV, false, 0, "bounce" },
	{ CO, "sme", CONF, "", PRIV, false, COHER, NOTSUPP },
	{ CO, "sme", CONF, "", PLAIN, true, 0, "direct" },
	{ CO, "sme", CONF, "", PLAIN, true, SHARED, "direct" },
	{ CO, "sme", CONF, "", MIXED, true, 0, "bounce" },
	{ CO, "sme", CONF, "", WIN, true, MMIO, "direct" },
	{ CO, "sme", CONF, "", TWIN, true, MMIO, "direct" },
	{ CO, "sme", CONF, "t", PRIV, false, 0, "direct+C" },
	{ CO, "sme", CONF, "t4", PRIV, false, 0, "bounce" },
	{ CO, "sme", CONF, "t", PLAIN, true, 0, "direct" },
	{ CO, "sme", CONF, "t", PLAIN, true, SHARED, "direct" },
	{ CO, "sme", CONF, "t", TWIN, true, MMIO, "direct+C" },
	{ CO, "sme", CONF, "t", WIN, true, MMIO, "direct" },
	/* behind the host's IOMMU */
	{ L7, "bare", HOST, "i", PRIV, false, 0, "direct" },
	{ L7, "bare", HOST, "iu", PRIV, false, 0, "bounce" },
	{ L7, "bare", HOST, "iu", PRIV, true, 0, "direct" },
	{ L7, "sme", HOST, "i", PRIV, false, 0, "direct+C" },
	{ L7, "sme", HOST, "i4", PRIV, false, 0, "direct+C" },
	{ L7, "sme", HOST, "iu", PRIV, true, 0, "direct+C" },
	{ L7, "sme", HOST, "iu", PRIV, false, 0, "bounce+C" },
	{ L7, "sme", HOST, "iu", PRIV, false, COHER, NOTSUPP },
	{ L7, "sme", HOST, "iu", PRIV, true, COHER, "direct+C" },
	{ L7, "sme", HOST, "i", WIN, true, MMIO, "direct" },
	{ L7, "sme", HOST, "iu", WIN, false, MMIO, "direct" },
	{ L7, "sme", HOST, "i", WIN, true, 0, "direct+C" },
	{ L7, "sme", HOST, "i", PLAIN, true, 0, "direct+C" },
	{ L7, "sme", HOST, "i", PLAIN, true, SHARED, NOTSUPP },
	{ L6, "sme", HOST, "i", WIN, true, MMIO, "direct+C" },
	{ L6, "sme", HOST, "iu", PRIV, false, 0, "bounce+C" },
	{ PM, "sme", HOST, "i", WIN, true, MMIO, "direct" },
	{ CO, "sme", HOST, "i", PRIV, false, 0, "direct+C" },
	{ CO, "sme", HOST, "i", PLAIN, false, 0, "direct" },
	{ CO, "sme", HOST, "i", MIXED, false, 0, "bounce" },
	{ CO, "sme", HOST, "iu", PRIV, false, 0, "bounce" },
	{ CO, "sme", HOST, "iu", PRIV, true, 0, "direct+C" },
	{ CO, "sme", HOST, "i", WIN, true, 0, "direct" },
	{ CO, "sme", HOST, "i", PLAIN, true, SHARED, NOTSUPP },
	{ CO, "bare", HOST, "iu", PRIV, false, 0, "bounce" },
	/* behind the IOMMU of a confidential guest */
	{ L7, "sme", CONF, "i", PRIV, false, 0, "direct+C" },
	{ L7, "sme", CONF, "i", PRIV, true, 0, "direct+C" },
	{ L7, "sme", CONF, "iu", PRIV, true, 0, "direct+C" },
	{ L7, "sme", CONF, "iu", PRIV, false, 0, "bounce+C" },
	{ L7, "sme", CONF, "i", PLAIN, true, SHARED, NOTSUPP },
	{ L7, "sme", CONF, "i", PLAIN, true, 0, "direct+C" },
	{ L7, "sme", CONF, "i", WIN, true, MMIO, "direct" },
	{ L7, "sme", CONF, "it", TWIN, true, MMIO, "direct" },
	{ L7, "sme", CONF, "i", WIN, true, MMIO | SHARED, NOTSUPP },
	{ L6, "sme", CONF, "i", PRIV, false, 0, "direct+C" },
	{ L6, "sme", CONF, "i", WIN, true, MMIO, "direct+C" },
	{ L6, "sme", CONF, "iu", PRIV, false, 0, "bounce+C" },
	{ PM, "sme", CONF, "i", PRIV, true, 0, "direct+C" },
	{ CO, "sme", CONF, "i", PRIV, true, 0, "bounce" },
	{ CO, "sme", CONF, "i", PRIV, false, 0, "bounce" },
	{ CO, "sme", CONF, "i", PRIV, false, COHER, NOTSUPP },
	{ CO, "sme", CONF, "iu", PRIV, true, 0, "bounce" },
	{ CO, "sme", CONF, "i", PLAIN, true, 0, "direct" },
	{ CO, "sme", CONF, "i", PLAIN, true, SHARED, "direct" },
	{ CO, "sme", CONF, "iu", PLAIN, false, SHARED, "bounce" },
	{ CO, "sme", CONF, "i", MIXED, true, 0, "bounce" },
	{ CO, "sme", CONF, "i", WIN, true, MMIO, "direct" },
	{ CO, "sme", CONF, "i", TWIN, true, MMIO, "direct" },
	{ CO, "sme", CONF, "it", TWIN, true, MMIO, "direct+C" },
	{ CO, "sme", CONF, "it", WIN, true, MMIO, "direct" },
	{ CO, "sme", CONF, "it", PRIV, false, 0, "direct+C" },
	{ CO, "sme", CONF, "itu", PRIV, false, 0, "direct+C" },
	{ CO, "sme", CONF, "it", PLAIN, true, 0, "direct" },
	{ CO, "sme", CONF, "it", PLAIN, true, SHARED, "direct" },
	{ CO, "sme", CONF, "it", MIXED, true, 0, "bounce" },
};

static void describe(const struct row *r, char *out, size_t size)
{
	static const char *const who[] = { "host", "guest", "confidential" };
	static const char *const where[] = { "C",    "plain",  "mixed",
					     "high", "window", "private window" };

	snprintf(out, size, "%s %s %s dev \"%s\" %s %s attrs %u", r->policy, r->platform,
		 who[r->who], r->dev, where[r->where], r->aligned ? "aligned" : "unaligned",
		 r->attrs);
}

static struct kernel *row_up(const struct row *r, struct cbit_dma_dev **dev)
{
	struct setup s = { .platform = r->platform,
			   .policy = r->policy,
			   .guest = r->who != HOST,
			   .confidential = r->who == CONF,
			   .swiotlb = MIB(1) };
	struct kernel *k = kernel_up(&s);
	struct cbit_dma_dev_config cfg = dev_config(k, strchr(r->dev, 'i'));

	cfg.untrusted = strchr(r->dev, 'u');
	cfg.tdisp_run = strchr(r->dev, 't');
	if (strchr(r->dev, '3'))
		cfg.mask = MASK32;
	if (strchr(r->dev, '4'))
		cfg.mask = MASK48;
	*dev = dev_up(k, &cfg);
	k->bar_private = r->where == TWIN;
	if (r->where == PLAIN)
		kernel_set_decrypted(k, CBIT_PHYS(BUF), 4 * P, true);
	if (r->where == MIXED)
		kernel_set_decrypted(k, CBIT_PHYS(BUF), P, true);
	return k;
}

static const char *outcome(const struct cbit_policy_decision *d, int err)
{
	bool c = d->attrs & CBIT_ATTR_ENCRYPTED;

	if (err)
		return err == -EOPNOTSUPP ? NOTSUPP : err == -ERANGE ? RANGE : "?";
	if (d->way == CBIT_DMA_WAY_BOUNCE)
		return c ? "bounce+C" : "bounce";
	return d->way == CBIT_DMA_WAY_DIRECT ? (c ? "direct+C" : "direct") : "?";
}

/* The device reads what the CPU wrote, and the other way, exactly when key and address agree. */
static void transfer(struct kernel *k, struct cbit_dma_dev *dev, const struct row *r, uint64_t phys,
		     size_t size, const char *name)
{
	const bool iommu = strchr(r->dev, 'i'), bounced = !strncmp(r->expect, "bounce", 6);
	const bool c = strstr(r->expect, "+C"), window = r->where >= WIN;
	const uint64_t c_mask = k->platform.sme && r->who != GUEST ? C51 : 0;
	uint8_t *sent = malloc(size), *got = malloc(size);
	struct cbit_error err;
	struct cbit_iova addr;
	bool cpu_c, works;

	assert_true(sent && got);
	pattern(sent, size, 1);
	cpu_write(k, phys, sent, size);
	if (cbit_dma_map_phys(dev, CBIT_PHYS(phys), size, BIDIR, r->attrs, &addr, &err))
		fail_msg("%s: %s", name, err.text);
	if ((slots_used(k) != 0) != bounced)
		fail_msg("%s: %lu slots", name, (unsigned long)slots_used(k));
	if (iommu) {
		if (k->attrs != ((c ? CBIT_ATTR_ENCRYPTED : 0) | CBIT_ATTR_RW | CBIT_ATTR_CACHE))
			fail_msg("%s: attributes %x", name, k->attrs);
	} else {
		if ((addr.v & C51) != (c ? c_mask : 0))
			fail_msg("%s: address %lx", name, (unsigned long)addr.v);
		if (in_pool(k, addr.v & ~C51) != bounced)
			fail_msg("%s: address %lx is%s of the pool's", name, (unsigned long)addr.v,
				 bounced ? " not" : "");
		if (!bounced)
			assert_int_equal(addr.v & ~C51, phys);
	}
	/* how the CPU has what the device reaches */
	cpu_c = c_mask && !bounced && !window && !*page_plain(k, phys);
	works = c == cpu_c && !(window && c && c_mask);
	dev_read(k, iommu, addr, got, size);
	if (!memcmp(sent, got, size) != works)
		fail_msg("%s: the device %s what the CPU wrote", name, works ? "misses" : "reads");
	pattern(sent, size, 2);
	dev_write(k, iommu, addr, sent, size);
	if (cbit_dma_unmap_phys(dev, addr, size, BIDIR, r->attrs))
		fail_msg("%s: unmap", name);
	cpu_read(k, phys, got, size);
	if (!memcmp(sent, got, size) != works)
		fail_msg("%s: the CPU %s what the device wrote", name, works ? "misses" : "reads");
	free(sent);
	free(got);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		const uint64_t at = r->where == HIGHM ? HIGH : r->where >= WIN ? BAR : BUF;
		uint64_t phys = r->aligned ? at : at + 1500;
		size_t size = r->aligned ? 2 * P : SIZE;
		struct cbit_policy_decision d;
		struct cbit_dma_dev *dev;
		struct cbit_error err = { 0 };
		struct cbit_iova addr;
		struct kernel *k = row_up(r, &dev);
		char name[160];
		int code;

		describe(r, name, sizeof(name));
		code = cbit_dma_decide(dev, CBIT_PHYS(phys), size, BIDIR, r->attrs, &d);
		if (strcmp(outcome(&d, code), r->expect) != 0)
			fail_msg("%s: %s, not %s (%s: %s)", name, outcome(&d, code), r->expect,
				 d.step[d.steps - 1].function, d.step[d.steps - 1].why);
		assert_int_equal(code, d.error);
		assert_true(d.steps >= 1 && d.steps <= CBIT_POLICY_STEPS);
		for (unsigned int s = 0; s < d.steps; s++)
			assert_true(d.step[s].function && strlen(d.step[s].why) > 5);
		if (code) {
			assert_int_equal(cbit_dma_map_phys(dev, CBIT_PHYS(phys), size, BIDIR,
							   r->attrs, &addr, &err),
					 code);
			assert_int_equal(err.code, code);
			assert_non_null(strstr(err.text, d.step[d.steps - 1].function));
			assert_non_null(strstr(err.text, "01:00.0"));
		} else {
			transfer(k, dev, r, phys, size, name);
		}
		cbit_dma_dev_destroy(dev);
		kernel_down(k);
	}
}

/* dma_alloc_coherent(): what it is made of, by force_dma_unencrypted() or the policy's answer. */
static void test_coherent(void **state)
{
	static const struct {
		const char *policy, *platform;
		enum who who;
		const char *dev;
		bool plain, c; /* the kernel's mapping; address or entry */
	} cases[] = {
		{ L7, "bare", HOST, "", false, false },
		{ L7, "tsme", HOST, "4", false, false },
		{ L7, "sme", HOST, "", false, true },
		{ L7, "sme", HOST, "4", true, false },
		{ L7, "sme", HOST, "3", true, false },
		{ L7, "sme", HOST, "5", true, false }, /* up to, and not with, the C-bit */
		{ L7, "sme", HOST, "6", false, true },
		{ L7, "sme", HOST, "i", false, true },
		{ L7, "sme", HOST, "i3", false, true },
		{ L7, "sme", CONF, "", true, false },
		{ L7, "sme", CONF, "t", true, false },
		{ L7, "sme", CONF, "i", false, true }, /* nothing makes it shared */
		{ L6, "sme", CONF, "i", false, true },
		{ L6, "sme", CONF, "", true, false },
		{ CO, "sme", HOST, "", false, true },
		{ CO, "sme", HOST, "4", true, false },
		{ CO, "sme", HOST, "i", false, true },
		{ CO, "sme", CONF, "", true, false },
		{ CO, "sme", CONF, "i", true, false },
		{ CO, "sme", CONF, "it", false, true },
		{ CO, "sme", CONF, "t", false, true },
		{ CO, "sme", CONF, "t4", true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct row r = { cases[i].policy,
				       cases[i].platform,
				       cases[i].who,
				       cases[i].dev,
				       PRIV,
				       true,
				       0,
				       NULL };
		const uint64_t c_mask = strcmp(cases[i].platform, "sme") != 0 ? 0 : C51;
		const bool iommu = strchr(r.dev, 'i');
		uint8_t sent[3 * P], got[3 * P];
		struct cbit_dma_dev *dev, *other;
		struct kernel *k = row_up(&r, &dev);
		struct cbit_dma_dev_config cfg = dev_config(k, iommu);
		struct cbit_phys phys, left;
		struct cbit_iova addr, left_addr;
		unsigned int decrypts;

		/* the rig's devices differ in the streaming mask; here the coherent one counts */
		cfg.coherent_mask = strchr(r.dev, '3')   ? MASK32
				    : strchr(r.dev, '4') ? MASK48
				    : strchr(r.dev, '5') ? C51 - 1
				    : strchr(r.dev, '6') ? 2 * C51 - 1
							 : MASK64;
		cfg.tdisp_run = strchr(r.dev, 't');
		other = dev_up(k, &cfg);
		decrypts = k->decrypts;
		assert_int_equal(cbit_dma_alloc_coherent(other, 2 * P + 1, &phys, &addr, NULL), 0);
		assert_int_equal(phys.v % (4 * P), 0);
		if (k->decrypts - decrypts != cases[i].plain ||
		    *page_plain(k, phys.v + 2 * P) != cases[i].plain)
			fail_msg("case %zu: plain is %u", i, *page_plain(k, phys.v));
		if (iommu)
			assert_int_equal(k->attrs, (cases[i].c ? CBIT_ATTR_ENCRYPTED : 0) |
							   CBIT_ATTR_RW | CBIT_ATTR_CACHE);
		else
			assert_int_equal(addr.v, phys.v | (cases[i].c ? c_mask : 0));
		/* zeroed for both, and both see what the other writes at once */
		memset(sent, 0, sizeof(sent));
		cpu_read(k, phys.v, got, sizeof(got));
		assert_memory_equal(got, sent, sizeof(got));
		assert_true(dev_read(k, iommu, addr, got, sizeof(got)));
		assert_memory_equal(got, sent, sizeof(got));
		pattern(sent, sizeof(sent), 5);
		assert_true(dev_write(k, iommu, addr, sent, sizeof(sent)));
		cpu_read(k, phys.v, got, sizeof(got));
		assert_memory_equal(got, sent, sizeof(got));
		/* it is no streaming mapping, nor one of another size or device */
		if (iommu)
			assert_int_equal(cbit_dma_unmap_phys(other, addr, 3 * P, BIDIR, 0),
					 -ENOENT);
		assert_int_equal(cbit_dma_free_coherent(other, 3 * P + 1, phys, addr), -ENOENT);
		assert_int_equal(cbit_dma_free_coherent(dev, 2 * P + 1, phys, addr), -ENOENT);
		assert_int_equal(cbit_dma_free_coherent(other, 2 * P + 1, phys, addr), 0);
		assert_int_equal(cbit_dma_free_coherent(other, 2 * P + 1, phys, addr), -ENOENT);
		assert_false(*page_plain(k, phys.v));
		/* what is left goes with the device */
		assert_int_equal(cbit_dma_alloc_coherent(other, 1, &left, &left_addr, NULL), 0);
		cbit_dma_dev_destroy(other);
		cbit_dma_dev_destroy(dev);
		kernel_down(k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_coherent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
