/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Figures of what a device moves: copies of 1 MiB blocks through the IOMMU, as the ioat model
 * makes them (the buffered ones: as a device does that has to look at the data), in memory of this
 * process that stands in for a client's: shared memory is a memcpy away, private memory a
 * process_vm_readv or writev.
 */
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "bench.h"

#define BLOCK  MIB(1)
#define BLOCKS 16u
#define HALF   (RIG_CLIENT_SIZE / 2)
#define PLAIN  GIB(4) /* IOVA of the same memory, mapped without the C-bit */
#define EVP_AT KIB(8)

struct fixture {
	struct bench_rig rig;
	uint8_t *bounce;
	size_t piece;
	uint64_t from; /* IOVA offset of the source */
	EVP_CIPHER_CTX *xts;
	bool private;
};

static int private_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	const struct bench_rig *r = opaque;
	struct iovec local = { buf, len }, remote = { r->client + offset, len };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -1;
}

static int private_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	const struct bench_rig *r = opaque;
	struct iovec local = { (void *)(uintptr_t)buf, len }, remote = { r->client + offset, len };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -1;
}

static const struct cbit_mem_ops private_ops = { .read = private_read, .write = private_write };

static double run_copy(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (uint64_t at = 0; at < BLOCKS * BLOCK; at += f->piece) {
		struct cbit_dma_copied copied;

		cbit_iommu_dma_copy(f->rig.iommu, RIG_DEVICE, CBIT_IOVA(HALF + at),
				    CBIT_IOVA(f->from + at), f->piece, f->bounce, f->piece,
				    &copied);
		MUST(!copied.read && !copied.write);
	}
	return bench_now() - t;
}

/* What a device that computes on the data does: it has to have it in between. */
static double run_through(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (uint64_t at = 0; at < BLOCKS * BLOCK; at += f->piece) {
		MUST(!cbit_iommu_dma_read(f->rig.iommu, RIG_DEVICE, CBIT_IOVA(f->from + at),
					  f->bounce, f->piece, NULL));
		MUST(!cbit_iommu_dma_write(f->rig.iommu, RIG_DEVICE, CBIT_IOVA(HALF + at),
					   f->bounce, f->piece, NULL));
	}
	return bench_now() - t;
}

static double ref_memcpy(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (uint64_t at = 0; at < BLOCKS * BLOCK; at += BLOCK)
		memcpy(f->rig.client + HALF + at, f->rig.client + at, BLOCK);
	return bench_now() - t;
}

static double ref_private(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();

	for (uint64_t at = 0; at < BLOCKS * BLOCK; at += BLOCK) {
		MUST(!private_read(&f->rig, at, f->bounce, BLOCK));
		MUST(!private_write(&f->rig, HALF + at, f->bounce, BLOCK));
	}
	return bench_now() - t;
}

/* As openssl speed does it: the same buffer again and again, the tweak never set anew. */
static double ref_evp(void *opaque)
{
	struct fixture *f = opaque;
	double t = bench_now();
	int n;

	for (uint64_t at = 0; at < BLOCKS * BLOCK; at += EVP_AT)
		MUST(EVP_CipherUpdate(f->xts, f->bounce, &n, f->bounce, (int)EVP_AT) == 1);
	return bench_now() - t;
}

static double ref_private_evp(void *opaque)
{
	return ref_private(opaque) + ref_evp(opaque);
}

static void init(struct fixture *f)
{
	uint8_t key[32];

	for (unsigned int i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	f->rig.ops = f->private ? &private_ops : NULL;
	bench_rig_init(&f->rig);
	MUST(!cbit_domain_map(f->rig.domain, CBIT_IOVA(0), CBIT_SPA(RIG_CLIENT), RIG_CLIENT_SIZE,
			      CBIT_ATTR_RW | CBIT_ATTR_ENCRYPTED));
	MUST(!cbit_domain_map(f->rig.domain, CBIT_IOVA(PLAIN), CBIT_SPA(RIG_CLIENT),
			      RIG_CLIENT_SIZE, CBIT_ATTR_RW));
	f->bounce = aligned_alloc(4096, BLOCK);
	f->xts = EVP_CIPHER_CTX_new();
	MUST(f->bounce && f->xts);
	memset(f->bounce, 0, BLOCK);
	MUST(EVP_EncryptInit_ex(f->xts, EVP_aes_128_xts(), NULL, key, key) == 1);
}

static void fini(struct fixture *f)
{
	EVP_CIPHER_CTX_free(f->xts);
	free(f->bounce);
	bench_rig_fini(&f->rig);
}

static void figures(struct fixture *f)
{
	struct bench right = { .name = "copy-shared-1m",
			       .unit = BENCH_GBS,
			       .run = run_copy,
			       .ref = ref_memcpy,
			       .opaque = f,
			       .per = BLOCKS * (double)BLOCK,
			       .goal = 0.8,
			       .rounds = 30 };
	struct bench wrong = right, through;

	/* What the ioat model moves at a time (IOAT_CHUNK). */
	f->piece = KIB(256);
	f->from = 0;
	wrong.name = "copy-shared-wrong-key";
	wrong.ref = ref_evp;
	if (f->private) {
		right.name = "copy-private-1m";
		right.ref = ref_private;
		wrong.name = "copy-private-wrong-key";
		wrong.ref = ref_private_evp;
	}
	bench_figure(&right);
	f->from = PLAIN;
	bench_figure(&wrong);
	if (f->private)
		return;
	through = wrong;
	through.name = "copy-shared-wrong-key-buffered";
	through.run = run_through;
	through.goal = 0;
	bench_figure(&through);
	f->from = 0;
	through.name = "copy-shared-1m-buffered";
	through.ref = ref_memcpy;
	bench_figure(&through);
}

void bench_copy(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct fixture f = { .private = i != 0 };

		if (!bench_wanted("copy-"))
			return;
		init(&f);
		figures(&f);
		fini(&f);
	}
}
