/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The persistent memory region (1.4 section 4.8): its file, its registers, and accesses to it.
 *
 * Every access through the BAR calls us, and is a read or write of the file. So what was written is
 * in the file when the instruction has ended, and outlives this process however it ends; what is
 * written while the region is not ready goes nowhere; and a file that somebody cuts short, or that
 * finds no room, is an error in PMRSTS and not a signal. Without a file of the user's it is one in
 * memory, which outlives resets.
 */
#include "nvme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PMR_MIN ((uint64_t)64 << 10)
#define PMR_MAX ((uint64_t)64 << 30)
/* PMRTO: 30 s, as CAP.TO. */
#define TO_HALF_S 60u

/* --- the options, the file --- */

static bool is_size(uint64_t size)
{
	return !(size & (size - 1)) && size >= PMR_MIN && size <= PMR_MAX;
}

int nvme_pmr_option(struct nvme *n, const char *key, const char *value, struct cbit_error *err)
{
	if (!strcmp(key, "pmr")) {
		if (!pci_parse_size(value, &n->pmr.size) || !is_size(n->pmr.size))
			return cbit_error_set(
				err, -EINVAL,
				"nvme: pmr=%s: must be a power of two from 64K to 64G", value);
		return 0;
	}
	if (!*value)
		return cbit_error_set(err, -EINVAL, "nvme: pmr-file=: which file?");
	free(n->pmr.path);
	n->pmr.path = strdup(value);
	return n->pmr.path ? 0 : cbit_error_set(err, -ENOMEM, "out of memory");
}

static int open_memory(struct nvme_pmr *pmr, struct cbit_error *err)
{
	pmr->fd = memfd_create("cbit-nvme-pmr", MFD_CLOEXEC);
	if (pmr->fd < 0 || ftruncate(pmr->fd, (off_t)pmr->size))
		return cbit_error_set(err, -ENOMEM,
				      "nvme: no memory for a region of %llu bytes: %s",
				      (unsigned long long)pmr->size, strerror(errno));
	return 0;
}

static int open_path(struct nvme_pmr *pmr, struct cbit_error *err)
{
	const char *path = pmr->path;
	struct stat st;
	off_t end;

	pmr->fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (pmr->fd < 0)
		return cbit_error_set(err, -errno, "nvme: cannot open pmr-file=%s for writing: %s",
				      path, strerror(errno));
	if (fstat(pmr->fd, &st) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return cbit_error_set(err, -EINVAL,
				      "nvme: pmr-file=%s is neither a file nor a block device",
				      path);
	end = lseek(pmr->fd, 0, SEEK_END);
	if (end < 0)
		return cbit_error_set(err, -errno, "nvme: pmr-file=%s: no size: %s", path,
				      strerror(errno));
	if (!pmr->size && !is_size((uint64_t)end))
		return cbit_error_set(err, -EINVAL,
				      "nvme: pmr-file=%s: %llu bytes are not a power of two from "
				      "64K to 64G; pmr=SIZE says how many of them to use",
				      path, (unsigned long long)end);
	if (!pmr->size)
		pmr->size = (uint64_t)end;
	if ((uint64_t)end < pmr->size)
		return cbit_error_set(err, -EINVAL,
				      "nvme: pmr-file=%s: %llu bytes are less than pmr=%llu", path,
				      (unsigned long long)end, (unsigned long long)pmr->size);
	if (flock(pmr->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return cbit_error_set(err, -EBUSY, "nvme: pmr-file=%s is in use by another device",
				      path);
	return 0;
}

int nvme_pmr_finish(struct nvme *n, struct cbit_error *err)
{
	struct cbit_pci *pci = n->pci;
	int ret;

	if (!n->pmr.size && !n->pmr.path)
		return 0;
	/* Each function has a region of its own, and there is one file. */
	if (n->pmr.path && nvme_has_siblings(n))
		return cbit_error_set(err, -EINVAL, "nvme: no pmr-file= with sriov=");
	ret = n->pmr.path ? open_path(&n->pmr, err) : open_memory(&n->pmr, err);
	if (ret)
		return ret;
	pci->bar[NVME_PMR_BAR] = (struct cbit_bar_info){
		.mode = CBIT_BAR_TRAPPED,
		.size = n->pmr.size,
		.is64 = true,
		.prefetch = true,
	};
	return 0;
}

void nvme_pmr_close(struct nvme *n)
{
	if (n->pmr.fd >= 0) {
		nvme_pmr_sync(n);
		close(n->pmr.fd);
	}
	n->pmr.fd = -1;
	free(n->pmr.path);
	n->pmr.path = NULL;
}

bool nvme_pmr_sync(struct nvme *n)
{
	if (!n->pmr.path)
		return true;
	while (fdatasync(n->pmr.fd)) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

/* --- its registers --- */

static void show_status(struct nvme *n)
{
	const struct nvme_pmr *pmr = &n->pmr;
	uint32_t v = 0;

	if (!pmr->size)
		return;
	/* After a reset it is neither enabled nor busy: PMRCTL tells the two from one another. */
	if (pmr->disabled)
		v = NVME_PMRSTS_NRDY;
	if (atomic_load(&pmr->failed))
		v |= NVME_PMRSTS_ERR(1);
	if (pmr->msc & NVME_PMRMSC_CMSE && !pmr->on)
		v |= NVME_PMRSTS_CBAI;
	nvme_regs_store32(n, NVME_PMRSTS, v);
}

void nvme_pmr_init(struct nvme *n)
{
	atomic_store(&n->pmr.ready, false);
	atomic_store(&n->pmr.failed, false);
	n->pmr.msc = 0;
	n->pmr.on = false;
	n->pmr.disabled = false;
	for (uint32_t i = 0; i < NVME_PMR_WORDS; i++)
		nvme_regs_store32(n, NVME_PMRCAP + 4 * i, 0);
	if (n->pmr.size)
		nvme_regs_store32(n, NVME_PMRCAP,
				  NVME_PMRCAP_RDS | NVME_PMRCAP_WDS |
					  NVME_PMRCAP_BIR(NVME_PMR_BAR) | NVME_PMRCAP_PMRWBM_READ |
					  NVME_PMRCAP_PMRWBM_STS | NVME_PMRCAP_PMRTO(TO_HALF_S) |
					  NVME_PMRCAP_CMSS);
}

void nvme_pmr_control(struct nvme *n, uint32_t v)
{
	const bool ready = v & NVME_PMRCTL_EN;

	if (ready == atomic_load(&n->pmr.ready))
		return;
	atomic_store(&n->pmr.ready, ready);
	n->pmr.disabled = !ready;
	if (!ready && !nvme_pmr_sync(n))
		atomic_store(&n->pmr.failed, true);
	show_status(n);
}

void nvme_pmr_space(struct nvme *n)
{
	struct nvme_pmr *pmr = &n->pmr;
	const uint64_t base = NVME_PMRMSC_CBA(pmr->msc);

	if (!pmr->size)
		return;
	pmr->base = base;
	pmr->on = pmr->msc & NVME_PMRMSC_CMSE && nvme_range_fits(base, pmr->size) &&
		  !(n->cmb_on && base <= n->cmb_base + (n->cmb_size - 1) &&
		    n->cmb_base <= base + (pmr->size - 1));
	show_status(n);
}

/* --- its bytes --- */

/* It is told before the access has ended, so that a read of PMRSTS after it tells the truth. */
static void write_failed(struct nvme *n)
{
	pthread_mutex_lock(&n->pci->lock);
	atomic_store(&n->pmr.failed, true);
	show_status(n);
	pthread_mutex_unlock(&n->pci->lock);
}

bool nvme_pmr_move(struct nvme *n, uint64_t offset, void *buf, size_t len, bool write)
{
	if (!atomic_load(&n->pmr.ready))
		return false;
	if (!write)
		return !nvme_file_read(n->pmr.fd, offset, buf, len);
	if (!nvme_file_write(n->pmr.fd, offset, buf, len, false))
		return true;
	write_failed(n);
	return false;
}

bool nvme_pmr_bytes(struct cbit_pci *pci, unsigned int bar, uint64_t offset, void *buf,
		    uint64_t len, bool write)
{
	struct nvme *n = pci->state;

	if (!n->pmr.size || bar != NVME_PMR_BAR)
		return false;
	/* What is read of a region that is not ready is not defined; ones, so that it is seen. */
	if (!nvme_pmr_move(n, offset, buf, len, write) && !write)
		memset(buf, 0xff, len);
	return true;
}
